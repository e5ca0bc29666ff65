/* SPDX-License-Identifier: Apache-2.0 */
/* The file with the ACL token. The request has one header line for it, with one word. */
#include "fuzz.h"

#include "agent/token.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("token", MFD_CLOEXEC);
    char path[32];
    consul_settings settings = {.token_file = path};
    const consul_agent agent = {.settings = &settings};
    enum consul_token kind = CONSUL_TOKEN_NONE;
    struct curl_slist *headers = NULL;
    consul_error err = {0};
    const char *c;
    int ok;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    REQUIRE(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    ok = consul_append_token(&agent, NULL, &headers, &kind, &err);
    fuzz_require_result(ok, &err);
    REQUIRE((headers != NULL) == (ok && kind == CONSUL_TOKEN_SENT));
    if (headers != NULL) {
        REQUIRE(headers->next == NULL && strncmp(headers->data, "X-Consul-Token: ", 16) == 0);
        for (c = headers->data + 16; *c != '\0'; c++)
            REQUIRE((unsigned char)*c > 0x20 && *c != 0x7f);
        REQUIRE(c > headers->data + 16);
        REQUIRE(memmem(data, size, headers->data + 16, strlen(headers->data + 16)) != NULL);
    }
    curl_slist_free_all(headers);
    close(fd);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's part of STARTTLS, for consul-tls check. The first byte of an input chooses the protocol, and the server
 * says the rest at once. No byte of TLS after it is read.
 */
#include "fuzz.h"

#include "check/starttls.h"

#include <sys/socket.h>
#include <unistd.h>

#define SAID_MAX 8192 /* bytes; a socket takes them at once */

/* Return the name of a protocol of the list in cli_starttls_names. */
static const char *choose(unsigned number, char name[32])
{
    const char *names = cli_starttls_names, *comma;

    for (; number > 0 && (comma = strchr(names, ',')) != NULL; number--)
        names = comma + 2;
    snprintf(name, 32, "%.*s", (int)strcspn(names, ","), names);
    return name;
}

static size_t count_unread(int fd)
{
    char bytes[SAID_MAX];
    ssize_t len = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    return len < 0 ? 0 : (size_t)len;
}

/* Require the last byte that was read to be the end of the server's consent. */
static void require_end(const char *protocol, const fuzz_input *said, size_t len)
{
    REQUIRE(len > 0 && len <= said->len);
    if (strcmp(protocol, "postgres") == 0)
        REQUIRE(len == 1 && said->data[0] == 'S');
    else if (strcmp(protocol, "mysql") == 0)
        REQUIRE(len == 4 + (said->data[0] | (size_t)said->data[1] << 8) && said->data[4] == 10);
    else
        REQUIRE(said->data[len - 1] == '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input said = {data, size};
    char name[32], why[CLI_STARTTLS_WHY] = "";
    int ends[2];
    bool ok;

    choose(fuzz_byte(&said) % 9, name);
    REQUIRE(cli_starttls_knows(name));
    if (said.len > SAID_MAX)
        return 0;
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    REQUIRE(send(ends[1], said.data, said.len, MSG_NOSIGNAL) == (ssize_t)said.len);
    REQUIRE(shutdown(ends[1], SHUT_WR) == 0);
    ok = cli_starttls_begin(ends[0], name, why);
    REQUIRE(ok == (*why == '\0'));
    fuzz_require_printable(why);
    if (ok)
        require_end(name, &said, said.len - count_unread(ends[0]));
    close(ends[0]);
    close(ends[1]);
    return 0;
}

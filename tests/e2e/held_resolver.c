/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a program, for which agent.test is 127.0.0.1 then. Another process holds up the
 * look-up of that name by a lock on the file that $HELD_RESOLVER names.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define SHOWN __attribute__((visibility("default")))

static void wait_for_release(void)
{
    const char *name = getenv("HELD_RESOLVER");
    int fd = name == NULL ? -1 : open(name, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    flock(fd, LOCK_SH);
    close(fd);
}

SHOWN int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                      struct addrinfo **result)
{
    static int (*libcs)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

    if (libcs == NULL)
        *(void **)&libcs = dlsym(RTLD_NEXT, "getaddrinfo");
    if (node != NULL && strcmp(node, "agent.test") == 0) {
        wait_for_release();
        node = "127.0.0.1";
    }
    return libcs(node, service, hints, result);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into a program: the socket of the syslog is the file that $SYSLOG_SOCKET names. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>

/* The type of the second argument is glibc's own, a transparent union. */
__attribute__((visibility("default"))) int connect(int s, __CONST_SOCKADDR_ARG to, socklen_t len)
{
    const struct sockaddr *address = to.__sockaddr__;
    int (*libcs)(int, const struct sockaddr *, socklen_t);
    const char *elsewhere = getenv("SYSLOG_SOCKET");
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    void *symbol = dlsym(RTLD_NEXT, "connect");

    memcpy(&libcs, &symbol, sizeof(libcs));
    if (elsewhere == NULL || address->sa_family != AF_UNIX
        || strcmp(((const struct sockaddr_un *)address)->sun_path, _PATH_LOG) != 0)
        return libcs(s, address, len);
    strncpy(un.sun_path, elsewhere, sizeof(un.sun_path) - 1);
    return libcs(s, (const struct sockaddr *)&un, sizeof(un));
}

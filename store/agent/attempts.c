/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/attempts.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void consul_attempts_add(consul_attempts *attempts, const struct sockaddr *address, size_t len)
{
    if (attempts->count < CONSUL_ATTEMPTS_MAX && len <= sizeof(attempts->addresses[0])
        && (address->sa_family == AF_INET || address->sa_family == AF_INET6))
        memcpy(&attempts->addresses[attempts->count], address, len);
    attempts->count++;
}

/* Return true for the errno of an address without a route, or without a program that listens. */
static bool is_nobody(long error)
{
    return error == ECONNREFUSED || error == ENOENT || error == EHOSTUNREACH || error == EHOSTDOWN
           || error == ENETUNREACH || error == ENETDOWN || error == ETIMEDOUT;
}

/* Begin a connection and give it up at once. Return its errno, or 0 where it was there at once. */
static int try(const struct sockaddr *address, int type)
{
    socklen_t len =
        address->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    int fd = socket(address->sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error;

    if (fd < 0)
        return errno;
    error = connect(fd, address, len) == 0 ? 0 : errno;
    close(fd);
    return error;
}

/*
 * Return true where no program of this host could connect. EADDRNOTAVAIL is also the error of a
 * host without a free TCP port. A host without an address of the family gives it for UDP, too.
 */
static bool leads_nowhere(const struct sockaddr *address)
{
    int error = try(address, SOCK_STREAM);

    if (error == EADDRNOTAVAIL)
        return try(address, SOCK_DGRAM) == EADDRNOTAVAIL;
    return error == EINPROGRESS || is_nobody(error);
}

bool consul_attempts_found_nobody(const consul_attempts *attempts, long error)
{
    size_t i;

    if (attempts->count <= 1)
        return is_nobody(error);
    for (i = 0; i < attempts->count && i < CONSUL_ATTEMPTS_MAX; i++) {
        if (!leads_nowhere(&attempts->addresses[i].any))
            return false;
    }
    return i == attempts->count;
}

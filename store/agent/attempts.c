/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/attempts.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOK_MS 5 /* a wait for the kernel of this host, which may be busy */

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

/* Return the errno of a connection that has begun, 0 where it is there, EINPROGRESS without either. */
static int find_error(int fd)
{
    struct pollfd connecting = {.fd = fd, .events = POLLOUT};
    int error = EINPROGRESS;
    socklen_t len = sizeof(error);

    if (poll(&connecting, 1, LOOK_MS) == 1)
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    return error;
}

/* Begin a connection and give it up at once. Return its errno, as find_error does. */
static int try(const struct sockaddr *address, int type)
{
    socklen_t len =
        address->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    int fd = socket(address->sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error;

    if (fd < 0)
        return errno;
    error = connect(fd, address, len) == 0 ? 0 : errno;
    if (error == EINPROGRESS)
        error = find_error(fd);
    close(fd);
    return error;
}

static bool is_loopback(const struct sockaddr *address)
{
    struct sockaddr_in6 v6;
    struct sockaddr_in v4;

    if (address->sa_family == AF_INET6) {
        memcpy(&v6, address, sizeof(v6));
        return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
    }
    memcpy(&v4, address, sizeof(v4));
    return ntohl(v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

/*
 * Return true where no program of this host could connect. EADDRNOTAVAIL is also the error of a
 * host without a free TCP port. A host without an address of the family gives it for UDP, too. An
 * attempt that goes on proves a full queue of a program that listens, on the loopback.
 */
static bool leads_nowhere(const struct sockaddr *address)
{
    int error = try(address, SOCK_STREAM);

    if (error == EADDRNOTAVAIL)
        return try(address, SOCK_DGRAM) == EADDRNOTAVAIL;
    return is_nobody(error) || (error == EINPROGRESS && !is_loopback(address));
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

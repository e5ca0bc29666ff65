/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/attempts.h"

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/lock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PASS_OVER_MS 60000
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
    int fd = consul_descriptor_above_stderr(
        socket(address->sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    int error;

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

/* ---- addresses to pass over ---- */

static atomic_bool any_passed_over;

/* Under the lock of base/lock.h. The first are the addresses, and zeros follow. */
static consul_attempts passed_over;
static consul_deadline passed_over_until;

static bool is_at(const struct sockaddr *address, const char *ip)
{
    char text[INET6_ADDRSTRLEN];
    struct sockaddr_in6 v6;
    struct sockaddr_in v4;

    if (address->sa_family == AF_INET6) {
        memcpy(&v6, address, sizeof(v6));
        inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
    } else {
        memcpy(&v4, address, sizeof(v4));
        inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
    }
    return strcmp(text, ip) == 0;
}

void consul_attempts_pass_over_others(const consul_attempts *attempts, const char *connected)
{
    size_t i;

    consul_lock();
    if (!atomic_load(&any_passed_over) || consul_now_ms() >= passed_over_until)
        passed_over.count = 0;
    for (i = 0; i < attempts->count && i < CONSUL_ATTEMPTS_MAX; i++) {
        if (passed_over.count < CONSUL_ATTEMPTS_MAX
            && !is_at(&attempts->addresses[i].any, connected))
            passed_over.addresses[passed_over.count++] = attempts->addresses[i];
    }
    passed_over_until = consul_deadline_after(PASS_OVER_MS);
    atomic_store(&any_passed_over, passed_over.count > 0);
    consul_unlock();
}

void consul_attempts_pass_over_none(void)
{
    atomic_store(&any_passed_over, false);
}

bool consul_attempts_passes_over(const struct sockaddr *address, size_t len)
{
    bool passes = false;
    size_t i;

    if (!atomic_load(&any_passed_over) || len > sizeof(passed_over.addresses[0]))
        return false;
    consul_lock();
    for (i = 0; i < passed_over.count && consul_now_ms() < passed_over_until; i++)
        passes |= memcmp(&passed_over.addresses[i], address, len) == 0;
    consul_unlock();
    return passes;
}

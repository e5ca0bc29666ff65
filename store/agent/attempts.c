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

/* Return true for the end of a connection where no program listens, or where no way leads. */
static bool is_nobody(long error)
{
    return error == ECONNREFUSED || error == ENOENT || error == EHOSTUNREACH || error == EHOSTDOWN
           || error == ENETUNREACH || error == ENETDOWN || error == ETIMEDOUT;
}

/* Return the errno of a connection that is begun, and given up at once; 0 where it is there at once. */
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
 * Return true where no program of this host could connect. A host without an address of that family
 * says the same as one without a port, but also of UDP.
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

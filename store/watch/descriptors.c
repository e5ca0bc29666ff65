/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MULTI_TRIES 20

void consul_descriptors_init(consul_watch_thread *r)
{
    size_t i;

    r->wake[0] = r->wake[1] = r->slot = r->of_multi[0] = r->of_multi[1] = consul_no_descriptor;
    for (i = 0; i < SOCKETS_MAX; i++)
        r->sockets[i] = consul_no_descriptor;
}

static bool is_anothers(const consul_descriptor *d)
{
    return d->fd >= 0 && !consul_descriptor_is_ours(d);
}

static bool is_connected(int fd)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);

    return fd >= 0 && getpeername(fd, (struct sockaddr *)&peer, &len) == 0;
}

bool consul_descriptors_are_ours(consul_watch_thread *r)
{
    size_t i;

    for (i = 0; i < SOCKETS_MAX; i++) {
        if (is_anothers(&r->sockets[i]))
            return false;
        r->connected[i] = is_connected(r->sockets[i].fd);
    }
    if (is_anothers(&r->of_multi[0]) || is_anothers(&r->of_multi[1]))
        return false;
    return consul_descriptor_is_ours(&r->wake[0]) && consul_descriptor_is_ours(&r->wake[1]);
}

/* Forget what libcurl 7.88 to 8.1 closes silently: https://github.com/curl/curl/pull/11439 */
void consul_descriptors_forget_closed(consul_watch_thread *r)
{
    size_t i;

    for (i = 0; i < SOCKETS_MAX; i++) {
        if (!r->connected[i] && is_anothers(&r->sockets[i]))
            r->sockets[i] = consul_no_descriptor;
    }
}

void consul_descriptors_close(consul_watch_thread *r)
{
    size_t i;

    for (i = 0; i < SOCKETS_MAX; i++)
        consul_descriptor_close(&r->sockets[i]);
    for (i = 0; i < 2; i++) {
        consul_descriptor_close(&r->wake[i]);
        consul_descriptor_close(&r->of_multi[i]);
    }
    consul_descriptor_close(&r->slot);
}

curl_socket_t consul_descriptors_open_socket(void *arg, curlsocktype purpose,
                                             struct curl_sockaddr *address)
{
    consul_watch_thread *r = arg;
    int fd = consul_descriptor_above_stderr(
        socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol));
    size_t i;

    for (i = 0; i < SOCKETS_MAX; i++) {
        if (r->sockets[i].fd < 0 && consul_descriptor_take(&r->sockets[i], fd))
            return fd;
    }
    if (fd >= 0) {
        close(fd);
        errno = EMFILE;
    }
    return CURL_SOCKET_BAD;
}

int consul_descriptors_close_socket(void *arg, curl_socket_t fd)
{
    consul_watch_thread *r = arg;
    size_t i;

    for (i = 0; i < SOCKETS_MAX; i++) {
        if (r->sockets[i].fd == fd)
            consul_descriptor_close(&r->sockets[i]);
    }
    return 0;
}

static bool make_pair(int fds[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0;
}

static bool holds_a_byte(int fd, unsigned long where)
{
    int count = 0;

    return ioctl(fd, where, &count) == 0 && count > 0;
}

/*
 * Find the pair of sockets of a multi handle, and keep executed programs from inheriting them.
 * Return false where the pair has other numbers. libcurl up to 8.9 opens the pair, and does not
 * tell its numbers. They are `fds`, which were free just before, unless another thread was faster.
 * A wake-up sends a byte through the pair, and a poll takes it away. A byte that is seen in `fds`
 * proves the pair.
 */
static bool know_pair(consul_watch_thread *r, const int fds[2])
{
    bool quiet[2], shows;
    int i;

    quiet[0] = !holds_a_byte(fds[0], FIONREAD) && !holds_a_byte(fds[1], TIOCOUTQ);
    curl_multi_wakeup(r->multi);
    shows = holds_a_byte(fds[0], FIONREAD) && holds_a_byte(fds[1], TIOCOUTQ);
    curl_multi_poll(r->multi, NULL, 0, 0, NULL);
    quiet[1] = !holds_a_byte(fds[0], FIONREAD) && !holds_a_byte(fds[1], TIOCOUTQ);
    if (!quiet[0] || !shows || !quiet[1])
        return false;
    for (i = 0; i < 2; i++) {
        if (consul_descriptor_take(&r->of_multi[i], fds[i]))
            fcntl(fds[i], F_SETFD, FD_CLOEXEC);
    }
    return true;
}

/*
 * Make handles until the pair is known. The thread that started this one opens a socket just now.
 */
void consul_descriptors_make_multi(consul_watch_thread *r)
{
    bool known = false;
    int fds[2], try;

    for (try = 0; try < MULTI_TRIES && !known; try++) {
        curl_multi_cleanup(r->multi); /* first, so that its numbers are the next free ones */
        r->multi = NULL;
        if (!make_pair(fds))
            return;
        close(fds[0]);
        close(fds[1]);
        if ((r->multi = curl_multi_init()) == NULL)
            return;
        known = know_pair(r, fds);
    }
}

bool consul_descriptors_make_waking(consul_watch_thread *r)
{
    int fds[2];

    if (!make_pair(fds))
        return false;
    return consul_descriptor_take(&r->wake[0], fds[0])
           && consul_descriptor_take(&r->wake[1], fds[1]);
}

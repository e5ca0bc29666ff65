/*
 * What the thread of a watch has open. A host may close all descriptors that it does not know, and a
 * fork takes all along. Ours are known by their inode; one that has become another's is not touched.
 */
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

/* Of libcurl 7.88 to 8.1, https://github.com/curl/curl/pull/11439 */
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
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
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
 * libcurl up to 8.9 opens a pair of sockets with a multi handle, which a program that is executed
 * would inherit, and does not tell which. They get the numbers that were free just before, unless
 * another thread was faster: then it is not in them that the byte that wakes shows, and goes.
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

/* Try until the pair is known: the thread that has started this one opens a socket just now. */
void consul_descriptors_make_multi(consul_watch_thread *r)
{
    bool known = false;
    int fds[2], try;

    for (try = 0; try < MULTI_TRIES && !known; try++) {
        curl_multi_cleanup(r->multi); /* first: its numbers are the next ones to be given away */
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

/* SPDX-License-Identifier: Apache-2.0 */
#include "report/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

enum kind { SINK_OFF, SINK_STDERR, SINK_SYSLOG, SINK_FILE };

static enum kind kind;
static char *path;
static consul_descriptor file = {.fd = -1};
static consul_descriptor syslog_socket = {.fd = -1};
static consul_descriptor own_stderr = {.fd = -1}; /* known again, and never closed */

/* ---- a file ---- */

#define OTHERS_WRITE (S_IWGRP | S_IWOTH) /* an ACL shows in the bits of the group */

/* Return true for a folder in which another user than root and this one can put files. */
static bool is_shared(const struct stat *folder)
{
    return (folder->st_mode & OTHERS_WRITE) != 0
           || (folder->st_uid != 0 && folder->st_uid != geteuid());
}

/*
 * Return true for a file that another user has not prepared in such a folder. By such a file the user could
 * read the log. A link would have it written to a file that this process may write and that user may not.
 */
static bool is_trusted(int opened, const struct stat *folder)
{
    bool is_for_others = (folder->st_mode & OTHERS_WRITE) != 0;
    struct stat st;

    return fstat(opened, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1
           && (st.st_uid == 0 || st.st_uid == geteuid()
               || (!is_for_others && st.st_uid == folder->st_uid));
}

/* Open the file of a name in a folder; or return -1. ELOOP stands for a file that is not trusted. */
static int open_in(int folder, const char *name)
{
    int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, opened;
    struct stat st;
    bool shared;

    if (fstat(folder, &st) != 0)
        return -1;
    shared = is_shared(&st);
    opened = openat(folder, name, flags | (shared ? O_NOFOLLOW : 0), 0640);
    if (opened >= 0 && shared && !is_trusted(opened, &st)) {
        close(opened);
        errno = ELOOP;
        return -1;
    }
    return opened;
}

/* Open the file. On failure the open one goes on, and errno tells why. */
static bool open_file(void)
{
    char *slash = strrchr(path, '/');
    int folder, opened, error;

    *slash = '\0';
    folder = open(*path == '\0' ? "/" : path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    *slash = '/';
    if (folder < 0)
        return false;
    opened = consul_descriptor_above_stderr(open_in(folder, slash + 1));
    error = errno;
    close(folder);
    errno = error;
    if (opened < 0)
        return false;
    consul_descriptor_close(&file);
    return consul_descriptor_take(&file, opened);
}

/* Refuse the setting, as the file could not be opened. */
static int refuse_file(consul_error *err)
{
    if (errno == ELOOP)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "log = \"%s\": another user may have put this file or link there; "
                                "name a file in a folder that only root or this user can write",
                                path);
    return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                            "log = \"%s\": the file cannot be opened to append to it: %s", path,
                            strerror(errno));
}

/* Return the descriptor of the file, opened again after logrotate has moved the file away; or -1. */
static int file_descriptor(void)
{
    struct stat st;

    if (!consul_descriptor_is_ours(&file))
        file = consul_no_descriptor;
    if (file.fd < 0 || stat(path, &st) != 0 || st.st_dev != file.dev || st.st_ino != file.ino)
        open_file();
    return file.fd;
}

/* ---- stderr ---- */

/*
 * Return stderr, or -1. A daemon closes its stderr, and the next connection, or a file of its data, may get
 * the number. Only a file that is appended to may be another log.
 */
static int stderr_descriptor(void)
{
    struct stat st;
    int flags;

    if (consul_descriptor_is_ours(&own_stderr))
        return STDERR_FILENO;
    if (fstat(STDERR_FILENO, &st) != 0)
        return -1;
    flags = fcntl(STDERR_FILENO, F_GETFL);
    return S_ISSOCK(st.st_mode) || S_ISBLK(st.st_mode)
                   || (S_ISREG(st.st_mode) && (flags < 0 || (flags & O_APPEND) == 0))
               ? -1
               : STDERR_FILENO;
}

/* ---- writing ---- */

/*
 * Write without waiting. A terminal or a pipe with some room may have too little, or lose it to another
 * process. The mode of a shared descriptor stays as it is: a descriptor of our own is opened instead.
 */
static ssize_t write_at_once(int descriptor, const char *line, size_t len)
{
    char name[32];
    struct stat st;
    ssize_t written;
    int own = -1, error;

    if (fstat(descriptor, &st) == 0 && (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode))) {
        snprintf(name, sizeof(name), "/proc/self/fd/%d", descriptor);
        own = open(name, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    }
    if (own < 0)
        return write(descriptor, line, len);
    written = write(own, line, len);
    error = errno;
    close(own);
    errno = error;
    return written;
}

/*
 * Write without waiting and without a signal. A reader may be slow or gone (SIGPIPE). A file may be as large
 * as it may be (SIGXFSZ). A terminal may belong to another process group by now (SIGTTOU).
 */
static bool write_quietly(int descriptor, const char *line, size_t len)
{
    static const int deadly[] = {SIGPIPE, SIGXFSZ};
    struct pollfd ready = {.fd = descriptor, .events = POLLOUT};
    const struct timespec at_once = {0};
    sigset_t blocked, before, pending, raised;
    bool written = false;
    size_t i;

    sigemptyset(&blocked);
    sigaddset(&blocked, SIGPIPE);
    sigaddset(&blocked, SIGXFSZ);
    sigaddset(&blocked, SIGTTOU);
    sigpending(&pending);
    if (poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0
        || pthread_sigmask(SIG_BLOCK, &blocked, &before) != 0)
        return false;
    written = write_at_once(descriptor, line, len) == (ssize_t)len;
    if (!written && (errno == EPIPE || errno == EFBIG)) {
        for (i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++) {
            sigemptyset(&raised);
            sigaddset(&raised, deadly[i]);
            if (!sigismember(&pending, deadly[i]))
                sigtimedwait(&raised, NULL, &at_once);
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return written;
}

/* ---- syslog ---- */

/*
 * Open a socket to the local syslog, or to journald in its place. syslog(3) would go on with a descriptor
 * that the host has closed. The next file with that number would get the line.
 */
static bool open_syslog(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int s = consul_descriptor_above_stderr(
        socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

    if (s < 0)
        return false;
    OPENSSL_strlcpy(address.sun_path, _PATH_LOG, sizeof(address.sun_path));
    if (connect(s, (struct sockaddr *)&address, sizeof(address)) == 0
        && consul_descriptor_take(&syslog_socket, s))
        return true;
    close(s);
    return false;
}

static bool send_to_syslog(const char *line, size_t len)
{
    return send(syslog_socket.fd, line, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
}

/* Send by the socket that is open, or by another one where the syslog has been started anew. */
static bool write_to_syslog(const char *line, size_t len)
{
    if (consul_descriptor_is_ours(&syslog_socket)) {
        if (send_to_syslog(line, len))
            return true;
        if (errno == EAGAIN) /* a full queue: nothing waits for room */
            return false;
    }
    consul_descriptor_close(&syslog_socket);
    return open_syslog() && send_to_syslog(line, len);
}

/* ---- all of them ---- */

int prov_sink_open(const char *setting, bool is_held, consul_error *err)
{
    enum kind wanted = SINK_SYSLOG; /* also of a value that is refused: the log tells of that */

    if (strcmp(setting, "off") == 0)
        wanted = SINK_OFF;
    else if (strcmp(setting, "stderr") == 0)
        wanted = SINK_STDERR;
    else if (*setting == '/')
        wanted = SINK_FILE;
    consul_descriptor_close(&file);
    consul_descriptor_close(&syslog_socket);
    OPENSSL_free(path);
    path = wanted == SINK_FILE ? OPENSSL_strdup(setting) : NULL;
    kind = SINK_OFF;
    if (wanted == SINK_FILE && path == NULL)
        return consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the log");
    if (wanted == SINK_FILE && !open_file())
        return refuse_file(err);
    if (wanted == SINK_SYSLOG && is_held)
        open_syslog();
    if (wanted == SINK_STDERR)
        consul_descriptor_take(&own_stderr, STDERR_FILENO);
    kind = wanted;
    return 1;
}

bool prov_sink_is_open(void)
{
    return kind != SINK_OFF;
}

bool prov_sink_is_syslog(void)
{
    return kind == SINK_SYSLOG;
}

bool prov_sink_write(const char *line, size_t len)
{
    int saved = errno;
    bool written = false;

    if (kind == SINK_SYSLOG)
        written = write_to_syslog(line, len);
    else if (kind == SINK_FILE)
        written = write_quietly(file_descriptor(), line, len);
    else if (kind == SINK_STDERR)
        written = write_quietly(stderr_descriptor(), line, len);
    errno = saved;
    return written;
}

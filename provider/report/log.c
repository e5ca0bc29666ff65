/*
 * The log that the setting `log` asks for: a line for each refusal, for the people who run this
 * host. It must never harm its process, which is a stranger's: it does not block, raises no signal,
 * and writes to no descriptor that has become something else meanwhile.
 */
#include "report/log.h"

#include "report/log_allowance.h"

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

#define LINE_MAX_BYTES 2048 /* below PIPE_BUF: written whole or not at all */

enum target { TARGET_OFF, TARGET_STDERR, TARGET_SYSLOG, TARGET_FILE };

/* A file that we know again, whatever its descriptor's number stands for by then. */
typedef struct known_file {
    dev_t device;
    ino_t inode;
} known_file;

/* Guards all below; held over the few system calls of one line, none of which waits. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum target target;
static char program[64]; /* as it was called: nginx and others overwrite their own name later */
static char *path;
static int fd = -1; /* of TARGET_FILE */
static known_file known;

/*
 * A thread that is cancelled in a system call would leave the log locked for ever. Returns what to
 * hand to unlock_log_of.
 */
static int lock_log_of(void)
{
    int state;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    pthread_mutex_lock(&lock);
    return state;
}

static void unlock_log_of(int state)
{
    pthread_mutex_unlock(&lock);
    pthread_setcancelstate(state, NULL);
}

static void lock_log(void)
{
    pthread_mutex_lock(&lock);
}

static void unlock_log(void)
{
    pthread_mutex_unlock(&lock);
}

static void keep_lock_sane_over_fork(void)
{
    pthread_atfork(lock_log, unlock_log, unlock_log);
}

/* ---- where it goes ---- */

static bool identify(int descriptor, known_file *file)
{
    struct stat st;

    if (fstat(descriptor, &st) != 0)
        return false;
    *file = (known_file){st.st_dev, st.st_ino};
    return true;
}

static bool is_same(const known_file *a, const known_file *b)
{
    return a->device == b->device && a->inode == b->inode;
}

/* The host may have closed our descriptor, and been given its number for something else. */
static bool is_still_ours(void)
{
    known_file now;

    return fd >= 0 && identify(fd, &now) && is_same(&now, &known);
}

static void open_file(void)
{
    int opened =
        open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);

    if (opened >= 0 && opened <= STDERR_FILENO) { /* not ours to take, where they are closed */
        int higher = fcntl(opened, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

        close(opened);
        opened = higher;
    }
    if (opened < 0)
        return; /* the one that is open will do */
    if (is_still_ours())
        close(fd);
    fd = opened;
    identify(fd, &known);
}

/* The descriptor of the file; opened again where logrotate has moved it away. -1 for none. */
static int file_descriptor(void)
{
    struct stat st;

    if (!is_still_ours())
        fd = -1;
    if (fd < 0 || stat(path, &st) != 0 || st.st_dev != known.device || st.st_ino != known.inode)
        open_file();
    return fd;
}

/*
 * A daemon closes its stderr, and the next connection, or a file of its data, may get the number.
 * Only a file that is appended to may be another log.
 */
static int stderr_descriptor(void)
{
    struct stat st;
    known_file now;
    int flags;

    if (fstat(STDERR_FILENO, &st) != 0)
        return -1;
    now = (known_file){st.st_dev, st.st_ino};
    if (is_same(&now, &known))
        return STDERR_FILENO;
    flags = fcntl(STDERR_FILENO, F_GETFL);
    return S_ISSOCK(st.st_mode) || S_ISBLK(st.st_mode)
                   || (S_ISREG(st.st_mode) && (flags < 0 || (flags & O_APPEND) == 0))
               ? -1
               : STDERR_FILENO;
}

/*
 * A terminal or pipe with some room may have too little, or another process may take it first. The
 * mode of a descriptor that others share is not ours to change: write through one of our own.
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
 * write(2) that neither waits nor kills: a reader may be slow, or gone (SIGPIPE), a file as large as
 * it may be (SIGXFSZ), a terminal not ours any more (SIGTTOU).
 */
static void write_quietly(int descriptor, const char *line, size_t len)
{
    static const int deadly[] = {SIGPIPE, SIGXFSZ};
    struct pollfd ready = {.fd = descriptor, .events = POLLOUT};
    const struct timespec at_once = {0};
    sigset_t blocked, before, pending, raised;
    int saved = errno;
    size_t i;

    sigemptyset(&blocked);
    sigaddset(&blocked, SIGPIPE);
    sigaddset(&blocked, SIGXFSZ);
    sigaddset(&blocked, SIGTTOU);
    sigpending(&pending);
    if (poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT)
        && pthread_sigmask(SIG_BLOCK, &blocked, &before) == 0) {
        if (write_at_once(descriptor, line, len) < 0 && (errno == EPIPE || errno == EFBIG)) {
            for (i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++) {
                sigemptyset(&raised);
                sigaddset(&raised, deadly[i]);
                if (!sigismember(&pending, deadly[i]))
                    sigtimedwait(&raised, NULL, &at_once);
            }
        }
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    errno = saved;
}

/*
 * A datagram to the local syslog, RFC 3164. Not by syslog(3), which would keep a descriptor that the
 * host may close, and write to whatever has its number then.
 */
static void send_to_syslog(const char *line, size_t len)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int saved = errno, s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    OPENSSL_strlcpy(address.sun_path, _PATH_LOG, sizeof(address.sun_path));
    if (s >= 0) {
        sendto(s, line, len, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address,
               sizeof(address));
        close(s);
    }
    errno = saved;
}

/* ---- what is written ---- */

/*
 * The time in UTC. Not by gmtime_r(3) or localtime_r(3): they take a lock that in the child of a
 * fork stays locked, where another thread had it. The calendar is Howard Hinnant's civil_from_days.
 */
static void tell_time(char *text, size_t size)
{
    struct timespec ts;
    int64_t days, seconds, era, day_of_era, year_of_era, day_of_year, month, day, year;

    clock_gettime(CLOCK_REALTIME, &ts);
    days = ts.tv_sec / 86400;
    seconds = ts.tv_sec % 86400;
    days += 719468;
    era = days / 146097;
    day_of_era = days - era * 146097;
    year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    month = (5 * day_of_year + 2) / 153;
    day = day_of_year - (153 * month + 2) / 5 + 1;
    month += month < 10 ? 3 : -9;
    year = year_of_era + era * 400 + (month <= 2);
    snprintf(text, size, "%04d-%02d-%02dT%02d:%02d:%02dZ", (int)year, (int)month, (int)day,
             (int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60));
}

static void write_line(const char *text)
{
    char line[LINE_MAX_BYTES], when[32];
    size_t i, len;

    if (target == TARGET_SYSLOG) { /* which knows the time itself */
        snprintf(line, sizeof(line), "<%d>%s[%d]: consul: %s", LOG_DAEMON | LOG_WARNING, program,
                 (int)getpid(), text);
    } else {
        tell_time(when, sizeof(when));
        snprintf(line, sizeof(line) - 1, "%s %s[%d]: consul: %s", when, program, (int)getpid(),
                 text);
    }
    for (i = 0; line[i] != '\0'; i++) { /* whatever the peer, or the program's name, is made of */
        if ((unsigned char)line[i] < 0x20 || (unsigned char)line[i] > 0x7e)
            line[i] = '?';
    }
    len = i;
    if (target == TARGET_SYSLOG) {
        send_to_syslog(line, len);
        return;
    }
    line[len++] = '\n';
    write_quietly(target == TARGET_FILE ? file_descriptor() : stderr_descriptor(), line, len);
}

void prov_log_open(const char *setting)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    enum target wanted = TARGET_OFF;
    int cancel_state;

    if (setting != NULL && strcmp(setting, "stderr") == 0)
        wanted = TARGET_STDERR;
    else if (setting != NULL && strcmp(setting, "syslog") == 0)
        wanted = TARGET_SYSLOG;
    else if (setting != NULL && *setting == '/')
        wanted = TARGET_FILE;
    if (wanted == TARGET_OFF)
        return;
    pthread_once(&once, keep_lock_sane_over_fork);
    cancel_state = lock_log_of();
    prov_log_allowance_share();
    OPENSSL_strlcpy(program, program_invocation_short_name, sizeof(program));
    if (is_still_ours())
        close(fd);
    fd = -1;
    OPENSSL_free(path);
    path = wanted == TARGET_FILE ? OPENSSL_strdup(setting) : NULL;
    target = wanted == TARGET_FILE && path == NULL ? TARGET_OFF : wanted;
    if (target == TARGET_FILE)
        open_file(); /* now, while the host still may: it may drop its privileges */
    else if (target == TARGET_STDERR)
        identify(STDERR_FILENO, &known);
    unlock_log_of(cancel_state);
}

void prov_log(const consul_error *err, const char *context, const char *about)
{
    char text[LINE_MAX_BYTES];
    unsigned long left_out;
    int cancel_state;

    cancel_state = lock_log_of();
    if (target != TARGET_OFF && prov_log_allowance_take(&left_out)) {
        if (left_out > 0) {
            snprintf(text, sizeof(text),
                     "%lu more were not written here, being more than %d a second", left_out,
                     PROV_LOG_PER_SECOND);
            write_line(text);
        }
        snprintf(text, sizeof(text), "%s: %s%s%s%s%s%s", consul_reason_text(err->reason),
                 context == NULL ? "" : context, context == NULL ? "" : ": ", err->text,
                 about == NULL ? "" : " [", about == NULL ? "" : about, about == NULL ? "" : "]");
        write_line(text);
    }
    unlock_log_of(cancel_state);
}

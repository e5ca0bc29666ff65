/* SPDX-License-Identifier: Apache-2.0 */
/* The log: where its lines go, and the limits of their effect on the process that writes them. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "report/allowance.h"
#include "report/log.h"

#define TEXT_MAX (1 << 20)

/* Stand between the log and libc. libc's functions are the __real ones: meson.build. */
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
int __real_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_connect(int s, const struct sockaddr *address, socklen_t address_len);
int __real_connect(int s, const struct sockaddr *address, socklen_t address_len);

static char folder[] = "/tmp/consul-test-XXXXXX";
static char socket_path[64], log_path[64];
static time_t later; /* seconds that this process is ahead of the real time */
static const consul_error denied = {.reason = CONSUL_R_PEER_DENIED, .text = "because"};

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
    int result = __real_clock_gettime(clock, ts);

    if (clock == CLOCK_MONOTONIC)
        ts->tv_sec += later;
    return result;
}

/* Connect to this test's socket in the place of syslog's. */
int __wrap_connect(int s, const struct sockaddr *address, socklen_t address_len)
{
    struct sockaddr_un here = {.sun_family = AF_UNIX};

    assert_int_equal(address_len, sizeof(here));
    assert_string_equal(((const struct sockaddr_un *)address)->sun_path, _PATH_LOG);
    memcpy(here.sun_path, socket_path, sizeof(socket_path));
    return __real_connect(s, (const struct sockaddr *)&here, sizeof(here));
}

static void refuse(const consul_error *err, const char *context)
{
    prov_log_error(CONSUL_LOG_WARNING, "peer_refused", err, context);
}

/* Let so much time pass that as many lines as ever may be written at once. */
static void wait_for_allowance(void)
{
    later += 1 + PROV_LOG_BURST / PROV_LOG_PER_SECOND;
}

/* Open the log as an instance with these settings would. */
static int open_log(const char *sink, enum consul_log_level level, bool audit, consul_error *err)
{
    return prov_log_open(&(prov_log_settings){.sink = sink, .level = level, .audit = audit}, err);
}

/* Begin with an empty file, the whole allowance, and no line that was left out. */
static void start(const char *setting)
{
    wait_for_allowance();
    assert_int_equal(open_log("/dev/null", CONSUL_LOG_INFO, false, NULL), 1);
    refuse(&denied, NULL);
    unlink(log_path);
    assert_int_equal(open_log(setting, CONSUL_LOG_INFO, false, NULL), 1);
    wait_for_allowance();
}

static char *read_log(void)
{
    static char text[TEXT_MAX];
    FILE *file = fopen(log_path, "r");
    size_t len;

    assert_non_null(file);
    len = fread(text, 1, sizeof(text) - 1, file);
    text[len] = '\0';
    fclose(file);
    return text;
}

static size_t count(const char *text, const char *part)
{
    size_t found = 0;

    for (; (text = strstr(text, part)) != NULL; text++)
        found++;
    return found;
}

/* Listen where the syslog of the host would. */
static int listen_as_syslog(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int s = socket(AF_UNIX, SOCK_DGRAM, 0);

    memcpy(address.sun_path, socket_path, sizeof(socket_path));
    assert_int_equal(bind(s, (struct sockaddr *)&address, sizeof(address)), 0);
    return s;
}

static void stop_syslog(int s)
{
    close(s);
    unlink(socket_path);
}

/* Return the next line that the syslog was sent, or "". */
static const char *heard(int s)
{
    static char text[PROV_LINE_MAX + 1];
    ssize_t len = recv(s, text, sizeof(text) - 1, MSG_DONTWAIT);

    text[len < 0 ? 0 : len] = '\0';
    return text;
}

/* The first test, as the choice of a sink is not taken back. */
static void test_defaults_and_choices(void **state)
{
    int s;

    refuse(&denied, NULL); /* nothing was opened yet */
    assert_false(prov_log_wants(CONSUL_LOG_ERROR));
    assert_int_equal(open_log(NULL, CONSUL_LOG_INFO, false, NULL), 1);
    refuse(&denied, "nobody listens");
    s = listen_as_syslog();
    refuse(&denied, "by default");
    assert_contains(heard(s), "1 more were not written here");
    assert_contains(heard(s), "by default");

    assert_int_equal(open_log("off", CONSUL_LOG_INFO, false, NULL), 1);
    refuse(&denied, NULL);
    assert_int_equal(open_log(NULL, CONSUL_LOG_INFO, false, NULL), 1); /* another instance */
    refuse(&denied, NULL);
    assert_false(prov_log_wants(CONSUL_LOG_ERROR));
    assert_string_equal(heard(s), "");
    assert_int_equal(access(log_path, F_OK), -1);

    start(log_path);
    assert_int_equal(open_log("off", CONSUL_LOG_INFO, false, NULL), 1);
    assert_int_equal(open_log(NULL, CONSUL_LOG_INFO, false, NULL), 1);
    refuse(&denied, "chosen");
    assert_contains(read_log(), "chosen");
    assert_string_equal(heard(s), "");
    stop_syslog(s);
}

static void say(enum consul_log_level level, const char *message, bool is_audit)
{
    prov_log(
        &(prov_record){.level = level, .event = "test", .message = message, .is_audit = is_audit});
}

static void test_levels(void **state)
{
    static const char *const words[] = {"gravest", "grave", "light", "lightest"};
    int most, level;

    for (most = CONSUL_LOG_ERROR; most <= CONSUL_LOG_DEBUG; most++) {
        start(log_path);
        assert_int_equal(open_log(log_path, (enum consul_log_level)most, false, NULL), 1);
        for (level = CONSUL_LOG_ERROR; level <= CONSUL_LOG_DEBUG; level++) {
            assert_int_equal(prov_log_wants((enum consul_log_level)level), level <= most);
            say((enum consul_log_level)level, words[level], false);
        }
        assert_int_equal(count(read_log(), "\n"), (size_t)most + 1);
        assert_contains(read_log(), words[most]);
        say(CONSUL_LOG_ERROR, "audited", true);
        assert_lacks(read_log(), "audited");
    }
}

/* An audit is complete: each line is written, at any level and however many there are. */
static void test_an_audit(void **state)
{
    int i;

    start(log_path);
    assert_int_equal(open_log(log_path, CONSUL_LOG_ERROR, true, NULL), 1);
    assert_true(prov_log_audits());
    for (i = 0; i < 10 * PROV_LOG_BURST; i++)
        say(CONSUL_LOG_INFO, "audited", true);
    assert_int_equal(count(read_log(), "audited\n"), 10 * PROV_LOG_BURST);
}

/* A full disk harms no handshake, and is accounted for. */
static void test_a_full_disk(void **state)
{
    int i;

    start("/dev/full");
    errno = EDOM;
    for (i = 0; i < 3; i++)
        refuse(&denied, NULL);
    assert_int_equal(errno, EDOM);
    assert_int_equal(open_log(log_path, CONSUL_LOG_INFO, false, NULL), 1);
    refuse(&denied, "after");
    assert_contains(read_log(), "3 more were not written here");
    assert_contains(read_log(), "after");
}

static void test_a_line(void **state)
{
    char expected[128];
    struct stat st;

    start(log_path);
    assert_int_equal(stat(log_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640 & ~umask(022));
    prov_log(&(prov_record){.level = CONSUL_LOG_WARNING,
                            .event = "peer_refused",
                            .reason = "peer denied by Consul",
                            .message = "client refused: because",
                            .service = "web",
                            .address = "192.0.2.7",
                            .port = "4711"});
    snprintf(expected, sizeof(expected),
             "Z %s[%d]: consul: peer denied by Consul: client refused: because [service web, peer "
             "192.0.2.7 port 4711]\n",
             program_invocation_short_name, (int)getpid());
    assert_contains(read_log(), expected);
    assert_int_equal(count(read_log(), "\n"), 1);
    refuse(&denied, NULL);
    assert_contains(read_log(), "consul: peer denied by Consul: because\n");
}

/* A peer's certificate, or a program's name, cannot break a line or hide in one. */
static void test_a_line_stays_one(void **state)
{
    consul_error err = {.reason = CONSUL_R_PEER_DENIED, .text = "a\nforged line\r\033[2J\xff"};
    char huge[2 * PIPE_BUF];

    start(log_path);
    refuse(&err, NULL);
    assert_contains(read_log(), "a?forged line??[2J?\n");
    assert_int_equal(count(read_log(), "\n"), 1);
    memset(huge, 'x', sizeof(huge));
    huge[sizeof(huge) - 1] = '\0';
    say(CONSUL_LOG_ERROR, huge, false);
    assert_int_equal(count(read_log(), "\n"), 2);
    assert_int_equal(read_log()[strlen(read_log()) - 1], '\n');
    assert_between(strlen(strchr(read_log(), '\n') + 1), 1000, PIPE_BUF); /* written whole */
}

/* Return the number of lines that the log says it has left out. */
static size_t count_left_out(void)
{
    static const char words[] = " more were not written here";
    const char *said = read_log();
    size_t sum = 0;

    while ((said = strstr(said + 1, words)) != NULL) {
        const char *number = said;

        while (number[-1] >= '0' && number[-1] <= '9')
            number--;
        sum += strtoul(number, NULL, 10);
    }
    return sum;
}

/* Much later there is another line, and all are accounted for. */
static void assert_accounted_for(size_t lines)
{
    wait_for_allowance();
    refuse(&denied, NULL);
    assert_int_equal(count(read_log(), "because") + count_left_out(), lines + 1);
}

static void test_a_flood(void **state)
{
    size_t i;

    start(log_path);
    for (i = 0; i < 5000; i++)
        refuse(&denied, NULL);
    assert_between(count(read_log(), "because"), PROV_LOG_BURST, 4999);
    assert_accounted_for(5000);
}

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* A child for each connection has no allowance of its own. */
static void test_a_flood_by_children(void **state)
{
    int64_t began;
    int i, status;

    start(log_path);
    began = now_ms();
    for (i = 0; i < 250; i++) {
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0) {
            refuse(&denied, NULL);
            _exit(0);
        }
        if (i % 16 == 15) {
            while (wait(&status) > 0)
                ;
        }
    }
    while (wait(&status) > 0)
        ;
    assert_between(count(read_log(), "because"), PROV_LOG_BURST,
                   PROV_LOG_BURST + PROV_LOG_PER_SECOND * (size_t)(now_ms() - began) / 1000 + 1);
    assert_accounted_for(250);
}

/* Wherever a child is killed, its relatives write on. */
static void test_children_that_are_killed(void **state)
{
    int i, status;

    start(log_path);
    for (i = 0; i < 50; i++) {
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0) {
            alarm(20);
            for (;;)
                refuse(&denied, NULL);
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000 * (long)(i * 37 % 50)}, NULL);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
    }
    wait_for_allowance();
    refuse(&denied, "of the parent");
    assert_contains(read_log(), "of the parent: because");
}

/* A clock of another kind, or a process of the family that means harm, does not silence the log. */
static void test_a_moment_far_ahead(void **state)
{
    int status;

    start(log_path);
    if (fork() == 0) {
        later += 1000000;
        refuse(&denied, NULL);
        _exit(0);
    }
    assert_true(wait(&status) > 0);
    assert_int_equal(status, 0);
    assert_int_equal(count(read_log(), "because"), 1);
    refuse(&denied, NULL);
    assert_int_equal(count(read_log(), "because"), 2);
}

static void test_a_moved_file_is_opened_again(void **state)
{
    char moved[80];

    start(log_path);
    refuse(&denied, "first");
    snprintf(moved, sizeof(moved), "%s.1", log_path);
    assert_int_equal(rename(log_path, moved), 0);
    refuse(&denied, "second");
    assert_contains(read_log(), "second");
    assert_lacks(read_log(), "first");
    unlink(moved);
}

/* Return the number of the descriptor that has the log open, or -1. */
static int descriptor_of_log(void)
{
    char link[64], target[128];
    int number;

    for (number = 0; number < 1024; number++) {
        ssize_t len;

        snprintf(link, sizeof(link), "/proc/self/fd/%d", number);
        len = readlink(link, target, sizeof(target) - 1);
        if (len > 0) {
            target[len] = '\0';
            if (strcmp(target, log_path) == 0)
                return number;
        }
    }
    return -1;
}

/* A host that daemonises closes unknown descriptors, and its next connection gets the number. */
static void test_a_descriptor_that_became_another(void **state)
{
    char other_path[80], text[64];
    int number, other;

    start(log_path);
    number = descriptor_of_log();
    assert_true(number > STDERR_FILENO);
    snprintf(other_path, sizeof(other_path), "%s.other", log_path);
    other = open(other_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(dup2(other, number), number);
    refuse(&denied, "after");
    assert_int_equal(pread(other, text, sizeof(text), 0), 0);
    assert_contains(read_log(), "after");
    assert_int_equal(fcntl(number, F_GETFD), 0); /* the host's still, and open */
    close(number);
    close(other);
    unlink(other_path);
}

/* Another user of the group may have made a link there. An ACL shows in the same bits. */
static void test_a_link_in_a_folder_of_a_group(void **state)
{
    char group[72], link[80];
    consul_error err = {0};

    start(log_path);
    snprintf(group, sizeof(group), "%s/group", folder);
    snprintf(link, sizeof(link), "%s/log", group);
    assert_int_equal(mkdir(group, 0700), 0);
    assert_int_equal(symlink(log_path, link), 0);
    assert_int_equal(open_log(link, CONSUL_LOG_INFO, false, &err), 1); /* the administrator's own */
    assert_int_equal(chmod(group, 0770), 0);
    assert_int_equal(open_log(link, CONSUL_LOG_INFO, false, &err), 0);
    assert_error(&err, CONSUL_R_SETTING_INVALID,
                 "another user may have put this file or link there");
    unlink(link);
    rmdir(group);
}

/* It is a refused setting, and the syslog hears of the refusal. */
static void test_a_file_that_cannot_be_opened(void **state)
{
    const char *const paths[] = {"/nonexistent/folder/log", folder};
    int s = listen_as_syslog();
    size_t i;

    for (i = 0; i < 2; i++) {
        consul_error err = {0};

        start("/dev/null");
        assert_int_equal(open_log(paths[i], CONSUL_LOG_INFO, false, &err), 0);
        assert_error(&err, CONSUL_R_SETTING_INVALID, paths[i]);
        assert_contains(err.text, i == 0 ? "No such file or directory" : "Is a directory");
        refuse(&denied, paths[i]);
        assert_contains(heard(s), paths[i]);
    }
    stop_syslog(s);
    start(log_path);
    errno = EDOM;
    refuse(&denied, NULL);
    assert_int_equal(errno, EDOM);
}

static void test_forked_children_share_it(void **state)
{
    int i, j, status;

    start(log_path);
    for (i = 0; i < 4; i++) {
        if (fork() == 0) {
            for (j = 0; j < 10; j++)
                refuse(&denied, "a line of a child");
            _exit(0);
        }
    }
    for (i = 0; i < 4; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(count(read_log(), "a line of a child: because\n"), 40);
    assert_int_equal(count(read_log(), "\n"), 40);
}

static void *write_many(void *arg)
{
    int i;

    for (i = 0; i < 2000; i++)
        refuse(&denied, NULL);
    return NULL;
}

/* A fork while other threads are writing leaves the child a lock that it can take. */
static void test_a_fork_in_between(void **state)
{
    pthread_t writer;
    int i, status;

    start(log_path);
    assert_int_equal(pthread_create(&writer, NULL, write_many, NULL), 0);
    for (i = 0; i < 50; i++) {
        pid_t child = fork();

        if (child == 0) {
            alarm(20);
            refuse(&denied, NULL);
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    pthread_join(writer, NULL);
}

/* Run with this as stderr; cmocka's own messages come afterwards. */
static int swap_stderr(int descriptor)
{
    int kept = dup(STDERR_FILENO);

    assert_int_equal(dup2(descriptor, STDERR_FILENO), STDERR_FILENO);
    return kept;
}

static void test_stderr_whose_reader_is_gone_or_slow(void **state)
{
    char text[4096];
    int ends[2], kept;
    ssize_t len;

    signal(SIGPIPE, SIG_DFL);
    assert_int_equal(pipe(ends), 0);
    kept = swap_stderr(ends[1]);
    start("stderr");
    refuse(&denied, "to stderr");
    len = read(ends[0], text, sizeof(text) - 1);
    assert_true(len > 0);
    text[len] = '\0';
    assert_contains(text, "to stderr");

    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    while (write(ends[1], text, sizeof(text)) > 0)
        ;
    fcntl(ends[1], F_SETFL, 0);
    refuse(&denied, NULL); /* would wait for ever */

    close(ends[0]);
    refuse(&denied, NULL); /* would kill */
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(ends[1]);
}

static void test_stderr_that_became_a_connection(void **state)
{
    int connection[2], kept;
    char text[64];

    start("stderr");
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, connection), 0);
    kept = swap_stderr(connection[1]);
    refuse(&denied, NULL);
    assert_int_equal(recv(connection[0], text, sizeof(text), MSG_DONTWAIT), -1);
    start("stderr"); /* where it was one from the beginning, as under systemd */
    refuse(&denied, NULL);
    assert_true(recv(connection[0], text, sizeof(text), MSG_DONTWAIT) > 0);
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(connection[0]);
    close(connection[1]);
}

static void test_syslog(void **state)
{
    char expected[128];
    const char *text;
    int s = listen_as_syslog();

    start("syslog");
    refuse(&denied, "client refused");
    text = heard(s);
    snprintf(expected, sizeof(expected),
             "<28>%s[%d]: consul: peer denied by Consul: client refused: because",
             program_invocation_short_name, (int)getpid());
    assert_string_equal(text, expected); /* daemon.warning */
    say(CONSUL_LOG_INFO, "lighter", false);
    assert_int_equal(strncmp(heard(s), "<30>", 4), 0);

    stop_syslog(s); /* the next line finds the one that was started in its place */
    s = listen_as_syslog();
    refuse(&denied, "again");
    assert_contains(heard(s), "again");
    stop_syslog(s);
}

/* An open socket stays open for a process that cannot see it any more, in a chroot say. */
static void test_syslog_out_of_sight(void **state)
{
    int s = listen_as_syslog();

    start("syslog");
    assert_int_equal(unlink(socket_path), 0);
    refuse(&denied, "from within");
    assert_contains(heard(s), "from within");
    close(s);
}

/* A syslog that is slow makes none wait: its queue is full, and the lines are counted. */
static void test_syslog_that_is_slow(void **state)
{
    int s = listen_as_syslog(), i;
    const char *text;

    start("syslog");
    assert_int_equal(open_log("syslog", CONSUL_LOG_INFO, true, NULL), 1);
    for (i = 0; i < 2000; i++)
        say(CONSUL_LOG_INFO, "audited", true);
    while (*heard(s) != '\0')
        ;
    say(CONSUL_LOG_INFO, "audited", true);
    text = heard(s);
    assert_contains(text, "more were not written here");
    assert_contains(heard(s), "audited");
    stop_syslog(s);
}

static int set_up(void **state)
{
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(socket_path, sizeof(socket_path), "%s/syslog", folder);
    snprintf(log_path, sizeof(log_path), "%s/log", folder);
    return 0;
}

static int clean_up(void **state)
{
    unlink(log_path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_and_choices),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_an_audit),
        cmocka_unit_test(test_a_full_disk),
        cmocka_unit_test(test_a_line),
        cmocka_unit_test(test_a_line_stays_one),
        cmocka_unit_test(test_a_flood),
        cmocka_unit_test(test_a_flood_by_children),
        cmocka_unit_test(test_children_that_are_killed),
        cmocka_unit_test(test_a_moment_far_ahead),
        cmocka_unit_test(test_a_moved_file_is_opened_again),
        cmocka_unit_test(test_a_descriptor_that_became_another),
        cmocka_unit_test(test_a_link_in_a_folder_of_a_group),
        cmocka_unit_test(test_a_file_that_cannot_be_opened),
        cmocka_unit_test(test_forked_children_share_it),
        cmocka_unit_test(test_a_fork_in_between),
        cmocka_unit_test(test_stderr_whose_reader_is_gone_or_slow),
        cmocka_unit_test(test_stderr_that_became_a_connection),
        cmocka_unit_test(test_syslog),
        cmocka_unit_test(test_syslog_out_of_sight),
        cmocka_unit_test(test_syslog_that_is_slow),
    };

    return cmocka_run_group_tests(tests, set_up, clean_up);
}

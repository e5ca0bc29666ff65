/* SPDX-License-Identifier: Apache-2.0 */
/* The watch: its start and its end, its requests, and the entries that it vouches for. */
#include "agent/slot.h"
#include "base/lock.h"
#include "watch/descriptors.h"
#include "watch/load.h"
#include "watch/process.h"
#include "watch/thread.h"

#include "unit.h" /* after it: cmocka has names of its own */

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "live_agent.h"

#define LONG 600000   /* longer than any test */
#define SLOTS_MAX 256 /* more than there are */
#define PROMPTLY 3000 /* as long as something that happens at once may take on a busy machine */

typedef struct fixture {
    live_agent *agent;
    consul_settings settings;
    consul_agent *client;
    consul_table *live;
    consul_watch *watch;
    consul_entry *roots, *leaf;
    int hole[2]; /* a listener, and a connection that it does not take */
} fixture;

static int set_up_at(void **state, fixture *f, const char *address)
{
    static const consul_scope scope;

    f->settings = (consul_settings){.address = strdup(address),
                                    .connect_timeout = 5000,
                                    .request_timeout = 30000,
                                    .authorize_timeout = 300,
                                    .watch_wait = LONG};
    f->client = consul_agent_new(&f->settings, NULL);
    f->live = consul_table_new(NULL, NULL);
    f->watch = consul_watch_new(f->client, NULL, f->live, NULL, NULL);
    assert_non_null(f->watch);
    f->watch->idle_after = LONG;
    f->roots = consul_table_entry(f->live, CONSUL_KIND_ROOTS, "", &scope, NULL);
    f->leaf = consul_table_entry(f->live, CONSUL_KIND_LEAF, "web", &scope, NULL);
    *state = f;
    return 0;
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->agent = live_agent_start();
    live_agent_issue(f->agent);
    return set_up_at(state, f, live_agent_address(f->agent));
}

/* Set up with an address that takes no connection and refuses none. */
static int set_up_in_a_hole(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    fixture *f = calloc(1, sizeof(*f));
    socklen_t len = sizeof(at);
    char address[64];
    int i;

    assert_non_null(f);
    for (i = 0; i < 2; i++)
        f->hole[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->hole[0], (struct sockaddr *)&at, len), 0);
    assert_int_equal(getsockname(f->hole[0], (struct sockaddr *)&at, &len), 0);
    assert_int_equal(listen(f->hole[0], 0), 0); /* one connection may wait */
    assert_int_equal(connect(f->hole[1], (struct sockaddr *)&at, len), 0);
    snprintf(address, sizeof(address), "127.0.0.1:%d", ntohs(at.sin_port));
    return set_up_at(state, f, address);
}

static int tear_down(void **state)
{
    fixture *f = *state;

    consul_watch_free(f->watch);
    consul_table_free(f->live);
    consul_agent_free(f->client);
    if (f->agent != NULL) {
        live_agent_stop(f->agent);
    } else {
        close(f->hole[0]);
        close(f->hole[1]);
    }
    free(f->settings.address);
    free(f);
    return 0;
}

static void start_watching(fixture *f)
{
    consul_watch_note_handshake(f->watch);
    consul_watch_note_handshake(f->watch);
}

static bool is_vouched_for(consul_entry *entry)
{
    consul_roots *roots =
        entry->kind == CONSUL_KIND_ROOTS ? consul_entry_roots(entry, INT64_MAX) : NULL;
    consul_leaf *leaf =
        entry->kind == CONSUL_KIND_ROOTS ? NULL : consul_entry_leaf(entry, INT64_MAX);
    bool fresh = roots != NULL || leaf != NULL;

    consul_roots_unref(roots);
    consul_leaf_unref(leaf);
    return fresh;
}

/* Note that a handshake has asked for the roots in vain. It had so much time, or any if 0. */
static void note_timeout_within(fixture *f, int64_t time)
{
    consul_request request = consul_entry_request(f->roots);
    const consul_answer answer = {.began = consul_now_ms(), .unanswered = true, .lost = true};
    const consul_error err = {.reason = CONSUL_R_AGENT_TIMEOUT};

    if (time != 0)
        request.deadline = answer.began + time;
    consul_watch_note_failure(f->watch, &request, &answer, &err);
}

static void note_timeout(fixture *f)
{
    note_timeout_within(f, 0);
}

static int why_agent_hangs(fixture *f)
{
    consul_request request = consul_entry_request(f->roots);

    return consul_watch_agent_hangs(f->watch, &request);
}

static bool agent_hangs(fixture *f)
{
    return why_agent_hangs(f) != 0;
}

static void pause_a_little(void)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    nanosleep(&pause, NULL);
}

#define WAIT_UNTIL(condition)                               \
    do {                                                    \
        int64_t give_up = consul_deadline_after(60000);     \
        while (!(condition)) {                              \
            if (consul_now_ms() > give_up)                  \
                fail_msg("waited in vain: %s", #condition); \
            pause_a_little();                               \
        }                                                   \
    } while (0)

/* ---- the thread ---- */

static int deaf_before; /* any test */

/*
 * Return the number of threads of this process that take no signal. The watch's are such
 * threads. A sanitizer may have another, and any thread is one in the moment of its begin.
 */
static int deaf_threads(void)
{
    DIR *folder = opendir("/proc/self/task");
    const struct dirent *task;
    int count = -deaf_before;

    assert_non_null(folder);
    while ((task = readdir(folder)) != NULL) {
        char path[320], line[128];
        unsigned long long blocked = 0;
        FILE *status;

        snprintf(path, sizeof(path), "/proc/self/task/%s/status", task->d_name);
        if (!isdigit((unsigned char)*task->d_name) || (status = fopen(path, "re")) == NULL)
            continue;
        while (fgets(line, sizeof(line), status) != NULL)
            sscanf(line, "SigBlk: %llx", &blocked);
        fclose(status);
        /* All that can be blocked, so not KILL and STOP, nor the two that glibc keeps. */
        count += (blocked | 1ULL << 8 | 1ULL << 18 | 3ULL << 31) == ~0ULL;
    }
    closedir(folder);
    return count;
}

static void test_from_the_second_handshake_on(void **state)
{
    fixture *f = *state;

    consul_watch_note_handshake(f->watch);
    assert_null(f->watch->thread);
    assert_int_equal(live_agent_opened(f->agent), 0);
    consul_watch_note_handshake(f->watch);
    assert_non_null(f->watch->thread);
    WAIT_UNTIL(is_vouched_for(f->roots) && is_vouched_for(f->leaf));
    assert_int_equal(deaf_threads(), 1);
}

/* Return the milliseconds until a leaf is watched, if first wanted after the thread's begin. */
static int64_t leaf_after_the_thread(const fixture *f)
{
    static const consul_scope scope;
    consul_table *live = consul_table_new(NULL, NULL);
    consul_watch *watch = consul_watch_new(f->client, NULL, live, NULL, NULL);
    consul_entry *roots = consul_table_entry(live, CONSUL_KIND_ROOTS, "", &scope, NULL), *leaf;
    int64_t began;

    consul_watch_note_handshake(watch);
    consul_watch_note_handshake(watch);
    WAIT_UNTIL(is_vouched_for(roots));
    began = consul_now_ms();
    leaf = consul_table_entry(live, CONSUL_KIND_LEAF, "web", &scope, NULL);
    WAIT_UNTIL(is_vouched_for(leaf));
    began = consul_now_ms() - began;
    consul_watch_free(watch);
    consul_table_free(live);
    return began;
}

/* Several first handshakes at a time begin the thread before one of them comes to its leaf. */
static void test_a_leaf_just_after_the_thread(void **state)
{
    int tries = 5; /* for a busy machine */

    while (leaf_after_the_thread(*state) > SLOT_PAUSE_MS / 2)
        assert_true(--tries > 0);
}

/* A waiting query, a query on a silent connection, and a probe: all end at once. */
static void test_it_ends_promptly(void **state)
{
    fixture *f = *state;
    int64_t began;

    start_watching(f);
    live_agent_request(f->agent, LIVE_ROOTS, 1);
    live_agent_request(f->agent, LIVE_LEAF, 1);
    live_agent_behave(f->agent, LIVE_ROOTS, LIVE_HANG);
    note_timeout(f);
    live_agent_request(f->agent, LIVE_ROOTS, 2);
    assert_true(agent_hangs(f));
    began = consul_now_ms();
    consul_watch_close(f->watch);
    assert_true(consul_now_ms() - began < PROMPTLY);
    WAIT_UNTIL(deaf_threads() == 0);
    live_agent_behave(f->agent, LIVE_ROOTS, LIVE_ANSWER);
    live_agent_set_index(f->agent, LIVE_ROOTS, 90);
    live_agent_set_index(f->agent, LIVE_LEAF, 90);
    live_agent_wait_for_open(f->agent, 0);
    assert_false(is_vouched_for(f->roots) || is_vouched_for(f->leaf));
    /* It ends for good. */
    start_watching(f);
    note_timeout(f);
    assert_null(f->watch->thread);
    assert_false(agent_hangs(f));
}

/* The last slot, which only a process that watches holds. */
static void test_idle(void **state)
{
    fixture *f = *state;
    int slots[SLOTS_MAX], count = 0, last;

    f->watch->idle_after = 300;
    while (count < SLOTS_MAX && (slots[count] = consul_slot_take(f->client)) >= 0)
        count++;
    assert_between(count, 1, SLOTS_MAX - 1);
    close(slots[--count]);
    start_watching(f);
    live_agent_request(f->agent, LIVE_ROOTS, 1);
    live_agent_request(f->agent, LIVE_LEAF, 1);
    assert_int_equal(consul_slot_take(f->client), -1);
    WAIT_UNTIL((last = consul_slot_take(f->client)) >= 0);
    assert_false(is_vouched_for(f->roots) || is_vouched_for(f->leaf));
    close(last);
    f->watch->next_slot = 0; /* it has one a second */
    consul_watch_note_handshake(f->watch);
    live_agent_request(f->agent, LIVE_ROOTS, 3);
    WAIT_UNTIL(deaf_threads() == 0);
    while (count-- > 0)
        close(slots[count]);
}

/* ---- requests ---- */

static void test_indexes(void **state)
{
    fixture *f = *state;
    live_request request;

    start_watching(f);
    request = live_agent_request(f->agent, LIVE_ROOTS, 0);
    assert_int_equal(request.index, 0);
    assert_int_equal(request.wait, 0);
    request = live_agent_request(f->agent, LIVE_ROOTS, 1);
    assert_int_equal(request.index, 10);
    assert_int_equal(request.wait, LONG);
    live_agent_rotate(f->agent);
    assert_int_equal(live_agent_request(f->agent, LIVE_ROOTS, 2).index, 20);
    /* Backwards: from the beginning. */
    live_agent_set_index(f->agent, LIVE_ROOTS, 7);
    request = live_agent_request(f->agent, LIVE_ROOTS, 3);
    assert_int_equal(request.index, 0);
    assert_int_equal(request.wait, 0);
    assert_int_equal(live_agent_request(f->agent, LIVE_ROOTS, 4).index, 7);
    /* Never below 1. */
    live_agent_rotate(f->agent);
    assert_int_equal(live_agent_request(f->agent, LIVE_ROOTS, 5).index, 17);
    assert_true(is_vouched_for(f->roots));
    live_agent_set_index(f->agent, LIVE_ROOTS, 0);
    assert_int_equal(live_agent_request(f->agent, LIVE_ROOTS, 6).index, 0);
    assert_int_equal(live_agent_request(f->agent, LIVE_ROOTS, 7).index, 1);
}

/* Roots without an index are kept, and no watch vouches for them. The leaf is watched. */
static void test_no_index(void **state)
{
    fixture *f = *state;
    consul_roots *kept;
    uint64_t i;

    live_agent_set_index(f->agent, LIVE_ROOTS, LIVE_NO_INDEX);
    start_watching(f);
    WAIT_UNTIL((kept = consul_entry_roots(f->roots, CONSUL_EVER)) != NULL);
    consul_roots_unref(kept);
    assert_false(is_vouched_for(f->roots));
    for (i = 1; i < 3; i++) {
        live_agent_set_index(f->agent, LIVE_LEAF, 10 + i);
        live_agent_request(f->agent, LIVE_LEAF, (int)i);
    }
    assert_int_equal(live_agent_requests(f->agent, LIVE_ROOTS), 1);
    assert_false(is_vouched_for(f->roots));
}

/* The thread turns to the roots that are used most. No watch vouches for the ones that it leaves. */
static void test_an_entry_that_is_left(void **state)
{
    static const consul_scope far = {.dc = "dc2"};
    fixture *f = *state;
    consul_entry *other = NULL;
    int i;

    start_watching(f);
    live_agent_request(f->agent, LIVE_ROOTS, 1); /* it waits for a change */
    assert_true(is_vouched_for(f->roots));
    for (i = 0; i < 100; i++)
        other = consul_table_entry(f->live, CONSUL_KIND_ROOTS, "", &far, NULL);
    live_agent_set_index(f->agent, LIVE_ROOTS, 30);
    WAIT_UNTIL(is_vouched_for(other));
    assert_false(is_vouched_for(f->roots));
}

/* No watch vouches for roots if one of them is of no use: it may have been read without memory. */
static void test_a_root_of_no_use(void **state)
{
    fixture *f = *state;

    start_watching(f);
    WAIT_UNTIL(is_vouched_for(f->roots));
    live_agent_list_unusable(f->agent);
    live_agent_request(f->agent, LIVE_ROOTS, 3); /* again and again, after pauses */
    assert_false(is_vouched_for(f->roots));
}

/* Unchanged content is the same object, and changed content is another one. */
static void test_content(void **state)
{
    fixture *f = *state;
    consul_leaf *first, *second, *third;

    start_watching(f);
    live_agent_request(f->agent, LIVE_LEAF, 1);
    WAIT_UNTIL((first = consul_entry_leaf(f->leaf, INT64_MAX)) != NULL);
    live_agent_set_index(f->agent, LIVE_LEAF, 40);
    live_agent_request(f->agent, LIVE_LEAF, 2);
    second = consul_entry_leaf(f->leaf, INT64_MAX);
    assert_ptr_equal(first, second);
    live_agent_rotate(f->agent);
    WAIT_UNTIL((third = consul_entry_leaf(f->leaf, INT64_MAX)) != NULL
               && (third != first || (consul_leaf_unref(third), false)));
    assert_true(X509_cmp(consul_leaf_cert(third), consul_leaf_cert(first)) != 0);
    consul_leaf_unref(first);
    consul_leaf_unref(second);
    consul_leaf_unref(third);
}

static void test_connections_are_kept(void **state)
{
    fixture *f = *state;
    int i;

    start_watching(f);
    live_agent_request(f->agent, LIVE_ROOTS, 1);
    live_agent_request(f->agent, LIVE_LEAF, 1);
    for (i = 2; i < 20; i++) {
        live_agent_rotate(f->agent);
        live_agent_request(f->agent, LIVE_ROOTS, i);
        live_agent_request(f->agent, LIVE_LEAF, i);
    }
    assert_int_equal(live_agent_opened(f->agent), 2);
}

/* An answer as late as Consul's may be is in time. */
static void test_late_answers(void **state)
{
    fixture *f = *state;
    int i;

    f->settings.watch_wait = 480;
    f->settings.request_timeout = 300;
    live_agent_behave(f->agent, LIVE_ROOTS, LIVE_LATE);
    start_watching(f);
    for (i = 1; i < 4; i++) {
        live_request request = live_agent_request(f->agent, LIVE_ROOTS, i);

        assert_int_equal(request.index, 10);
        assert_int_equal(request.wait, 480);
        assert_true(is_vouched_for(f->roots));
    }
}

/* ---- faults ---- */

/* Return the milliseconds between two requests. */
static int64_t gap(fixture *f, int number)
{
    return live_agent_request(f->agent, LIVE_ROOTS, number + 1).at
           - live_agent_request(f->agent, LIVE_ROOTS, number).at;
}

/* Check that it asks a few times and then pauses, and vouches for nothing meanwhile. */
static void check_that_it_backs_off(fixture *f, enum live_manner manner)
{
    int quick = 0, number;

    live_agent_behave(f->agent, LIVE_ROOTS, manner);
    start_watching(f);
    WAIT_UNTIL(live_agent_requests(f->agent, LIVE_ROOTS) > QUICK_MAX && !is_vouched_for(f->roots));
    for (number = 0; number < 10; number++) {
        if (gap(f, number) >= SLOT_PAUSE_MS / 2)
            return;
        quick++;
    }
    fail_msg("%d requests without a pause", quick);
}

static void test_an_agent_that_does_not_block(void **state)
{
    check_that_it_backs_off(*state, LIVE_AT_ONCE);
}

static void test_an_index_that_wavers(void **state)
{
    check_that_it_backs_off(*state, LIVE_WAVER);
}

/* Waits that are short by configuration are no reason to. */
static void test_short_waits(void **state)
{
    fixture *f = *state;
    int i;

    f->settings.watch_wait = 20;
    start_watching(f);
    for (i = 1; i < 12; i++) {
        assert_int_equal(live_agent_request(f->agent, LIVE_ROOTS, i).index, 10);
        assert_true(is_vouched_for(f->roots));
    }
}

/* Each pause is longer than the one before, within its limits by chance. */
static void test_errors(void **state)
{
    fixture *f = *state;
    int64_t least = FIRST_BACKOFF_MS / 2;
    int number, i;

    start_watching(f);
    number = 1;
    live_agent_request(f->agent, LIVE_ROOTS, number);
    WAIT_UNTIL(is_vouched_for(f->roots));
    live_agent_behave(f->agent, LIVE_ROOTS, LIVE_FAIL);
    for (i = 0; i < 3; i++, number++, least *= 2) {
        assert_true(gap(f, number) >= least);
        assert_int_equal(live_agent_request(f->agent, LIVE_ROOTS, number + 1).index, 0);
        assert_false(is_vouched_for(f->roots));
    }
    live_agent_behave(f->agent, LIVE_ROOTS, LIVE_ANSWER);
    WAIT_UNTIL(is_vouched_for(f->roots));
}

static void test_jitter(void **state)
{
    int64_t least = INT64_MAX, most = 0, length;
    int i;

    for (i = 0; i < 10000; i++) {
        length = consul_jitter(1000);
        assert_between(length, 500, 1000);
        least = length < least ? length : least;
        most = length > most ? length : most;
    }
    assert_true(least < 600 && most > 900);
}

/* A connection that has gone silent vouches as long as an answer could still come, and no longer. */
static void test_silence(void **state)
{
    const int64_t most = 320 + 20 + 200;
    fixture *f = *state;
    live_request last;
    int64_t now;
    bool fresh;

    f->settings.watch_wait = 320;
    f->settings.request_timeout = 200;
    start_watching(f);
    live_agent_request(f->agent, LIVE_ROOTS, 1);
    live_agent_behave(f->agent, LIVE_ROOTS, LIVE_HANG);
    do {
        now = consul_now_ms();
        fresh = is_vouched_for(f->roots);
        last =
            live_agent_request(f->agent, LIVE_ROOTS, live_agent_requests(f->agent, LIVE_ROOTS) - 1);
        if (fresh && now > last.at + most)
            fail_msg("vouched for %lld ms after it has asked", (long long)(now - last.at));
    } while (fresh);
    live_agent_behave(f->agent, LIVE_ROOTS, LIVE_ANSWER);
    WAIT_UNTIL(is_vouched_for(f->roots));
}

/* A handshake that had no answer: the agent is tried until it has one. */
/* A request that got the rest of a handshake's time proves no hang. */
static void test_a_short_rest_of_time(void **state)
{
    fixture *f = *state;
    int64_t half = f->settings.authorize_timeout / 2;

    start_watching(f);
    live_agent_request(f->agent, LIVE_ROOTS, 1);
    live_agent_behave(f->agent, LIVE_ROOTS, LIVE_HANG); /* no probe ends a hang */
    note_timeout_within(f, half - 1);
    assert_false(agent_hangs(f));
    note_timeout_within(f, half);
    assert_true(agent_hangs(f));
}

static void test_probes(void **state)
{
    fixture *f = *state;

    live_agent_behave(f->agent, LIVE_ROOTS, LIVE_HANG);
    consul_watch_note_handshake(f->watch);
    note_timeout(f);
    assert_true(agent_hangs(f));
    live_agent_request(f->agent, LIVE_ROOTS, 2); /* the third: two had no answer */
    assert_true(agent_hangs(f));
    live_agent_behave(f->agent, LIVE_ROOTS, LIVE_ANSWER);
    WAIT_UNTIL(!agent_hangs(f));
    WAIT_UNTIL(deaf_threads() == 0); /* it has no slot, and nothing else to do */
    assert_int_equal(live_agent_requests(f->agent, LIVE_LEAF), 0);
}

#define TAKEN_MAX 64

/* Descriptors that the test has taken, so that no other thread opens one. */
typedef struct taken_descriptors {
    struct rlimit limit; /* the earlier one */
    int fds[TAKEN_MAX];
    size_t count;
} taken_descriptors;

/* Take each descriptor that is free below the limit, as of a probe that has ended. Return true. */
static bool take_free_descriptors(taken_descriptors *taken)
{
    int fd;

    while ((fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)) >= 0) {
        assert_true(taken->count < TAKEN_MAX);
        taken->fds[taken->count++] = fd;
    }
    return true;
}

/* Let no descriptor be opened from now on. */
static void leave_no_descriptor(taken_descriptors *taken)
{
    int first = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    struct rlimit none;

    assert_true(first >= 0);
    close(first);
    taken->count = 0;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &taken->limit), 0);
    none = taken->limit;
    none.rlim_cur = (rlim_t)first;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
}

static void give_descriptors_back(taken_descriptors *taken)
{
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &taken->limit), 0);
    while (taken->count > 0)
        close(taken->fds[--taken->count]);
}

/* The agent was not asked then: it is not back, and it is not known to be lost any more. */
static void test_probes_without_a_descriptor(void **state)
{
    fixture *f = *state;
    taken_descriptors taken;

    live_agent_behave(f->agent, LIVE_ROOTS, LIVE_HANG);
    consul_watch_note_handshake(f->watch);
    note_timeout(f);
    live_agent_request(f->agent, LIVE_ROOTS, 1); /* the thread then has all that it needs */
    assert_int_equal(why_agent_hangs(f), CONSUL_R_AGENT_TIMEOUT);
    leave_no_descriptor(&taken);
    WAIT_UNTIL(take_free_descriptors(&taken) && why_agent_hangs(f) == CONSUL_R_AGENT_UNREACHABLE);
    give_descriptors_back(&taken);
    WAIT_UNTIL(why_agent_hangs(f) == CONSUL_R_AGENT_TIMEOUT);
    live_agent_behave(f->agent, LIVE_ROOTS, LIVE_ANSWER);
    WAIT_UNTIL(!agent_hangs(f));
}

/* Likewise, where a request cannot be made at all. */
static void test_probes_without_a_token(void **state)
{
    fixture *f = *state;
    char path[] = "/tmp/test_watch.XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    f->settings.token_file = path;
    live_agent_behave(f->agent, LIVE_ROOTS, LIVE_HANG);
    consul_watch_note_handshake(f->watch);
    note_timeout(f);
    live_agent_request(f->agent, LIVE_ROOTS, 1);
    assert_int_equal(unlink(path), 0);
    WAIT_UNTIL(why_agent_hangs(f) == CONSUL_R_AGENT_UNREACHABLE);
    live_agent_behave(f->agent, LIVE_ROOTS, LIVE_ANSWER);
    close(fd);
    fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    WAIT_UNTIL(!agent_hangs(f));
    consul_watch_close(f->watch);
    unlink(path);
    close(fd);
}

/* Return when the last probe began. */
static int64_t last_probe(fixture *f)
{
    int64_t began = 0;

    pthread_mutex_lock(&consul_work_lock);
    if (f->watch->thread != NULL)
        began = f->watch->thread->queries[PROBE_ROOTS].began;
    pthread_mutex_unlock(&consul_work_lock);
    return began;
}

/* Connections that come to nothing, one after the other, are no reason to begin all over. */
static void test_connections_that_hang(void **state)
{
    fixture *f = *state;
    const consul_watch_thread *first;
    int64_t last;
    int i;

    f->settings.connect_timeout = 20;
    start_watching(f);
    first = f->watch->thread;
    for (i = 0; i < 10; i++) {
        note_timeout(f);
        last = last_probe(f);
        WAIT_UNTIL(last_probe(f) != last);
        assert_non_null(first);
        assert_ptr_equal(f->watch->thread, first);
    }
    note_timeout(f); /* it would be another's then, if the first one had ended */
    assert_ptr_equal(f->watch->thread, first);
    assert_int_equal(deaf_threads(), 1);
}

/* An agent that cannot answer a request with an index is asked plainly, and is not crowded. */
static void test_an_agent_that_panics(void **state)
{
    fixture *f = *state;
    int number, i;

    start_watching(f);
    WAIT_UNTIL(is_vouched_for(f->roots) && is_vouched_for(f->leaf));
    number = live_agent_requests(f->agent, LIVE_LEAF);
    live_agent_behave(f->agent, LIVE_LEAF, LIVE_PANIC);
    /* libcurl repeats a request on a connection that was used before. */
    for (i = 0; i < 3; i++) {
        while (live_agent_request(f->agent, LIVE_LEAF, number).index != 0)
            number++;
        number++;
    }
    assert_false(consul_slot_is_crowd());
    assert_true(is_vouched_for(f->roots));
    live_agent_behave(f->agent, LIVE_LEAF, LIVE_ANSWER);
    WAIT_UNTIL(is_vouched_for(f->leaf));
}

/* An agent without a free connection has answered nothing: neither a probe nor a watch. */
static void test_a_crowd(void **state)
{
    fixture *f = *state;

    live_agent_behave(f->agent, LIVE_ROOTS, LIVE_HANG);
    consul_watch_note_handshake(f->watch);
    note_timeout(f);
    live_agent_behave(f->agent, LIVE_ROOTS, LIVE_CROWDED);
    live_agent_request(f->agent, LIVE_ROOTS, 3); /* after a probe that was told */
    assert_true(agent_hangs(f));
    live_agent_behave(f->agent, LIVE_ROOTS, LIVE_ANSWER);
    WAIT_UNTIL(!agent_hangs(f));

    assert_false(consul_slot_is_crowd());
    /* Again and again: the thread that has probed may not have ended yet. */
    WAIT_UNTIL((consul_watch_note_handshake(f->watch), is_vouched_for(f->roots)));
    live_agent_behave(f->agent, LIVE_LEAF, LIVE_CROWDED);
    WAIT_UNTIL(consul_slot_is_crowd());
    WAIT_UNTIL(!is_vouched_for(f->roots)); /* it gives its connections up */
}

/* ---- its process ---- */

typedef struct holder {
    pthread_mutex_t *lock; /* NULL for that of live.c */
    sem_t holds, may_go;
} holder;

static void *hold(void *arg)
{
    holder *h = arg;
    struct timespec end;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 1;
    if (h->lock == NULL)
        consul_lock();
    else
        pthread_mutex_lock(h->lock);
    sem_post(&h->holds);
    sem_timedwait(&h->may_go, &end);
    if (h->lock == NULL)
        consul_unlock();
    else
        pthread_mutex_unlock(h->lock);
    return NULL;
}

/* Check that the child does not wait for a thread that it does not have. */
static void check_fork_while_held(fixture *f, pthread_mutex_t *lock)
{
    holder h = {.lock = lock};
    pthread_t thread;
    pid_t child;
    int status;

    sem_init(&h.holds, 0, 0);
    sem_init(&h.may_go, 0, 0);
    assert_int_equal(pthread_create(&thread, NULL, hold, &h), 0);
    sem_wait(&h.holds);
    child = fork();
    if (child == 0) {
        alarm(10);
        consul_watch_close(f->watch);
        _exit(pthread_mutex_trylock(&consul_work_lock));
    }
    sem_post(&h.may_go);
    pthread_join(thread, NULL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    sem_destroy(&h.holds);
    sem_destroy(&h.may_go);
}

/* The fork waits for the thread with the lock, even before any watch. */
static void test_fork_while_the_lock_is_held(void **state)
{
    check_fork_while_held(*state, NULL);
}

/* So the watch has no lock of libcrypto or libcurl then, and no thread is about to join it. */
static void test_fork_while_it_works(void **state)
{
    check_fork_while_held(*state, &consul_work_lock);
    check_fork_while_held(*state, &consul_stop_lock);
}

/* Count the sockets of this process, or only those for a program that it executes. */
static int sockets(bool inherited_only)
{
    struct stat about;
    int fd, count = 0;

    for (fd = 0; fd < 1024; fd++)
        count += fstat(fd, &about) == 0 && S_ISSOCK(about.st_mode)
                 && (!inherited_only || (fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0);
    return count;
}

/* The child has nothing of its parent's watch but the entries, and no watch vouches for them. */
static void test_fork_while_it_watches(void **state)
{
    fixture *f = *state;
    int before = sockets(false), status;
    pid_t child;

    start_watching(f);
    live_agent_request(f->agent, LIVE_ROOTS, 1);
    live_agent_request(f->agent, LIVE_LEAF, 1);
    WAIT_UNTIL(is_vouched_for(f->roots) && is_vouched_for(f->leaf));
    child = fork();
    if (child == 0) {
        consul_roots *roots = consul_entry_roots(f->roots, CONSUL_EVER);
        bool knows = roots != NULL && !is_vouched_for(f->roots) && !is_vouched_for(f->leaf);
        bool is_bare = f->watch->thread == NULL && sockets(false) == before + 2; /* the agent's */

        consul_watch_note_handshake(f->watch);
        _exit(f->watch->thread == NULL ? knows + 2 * is_bare : 4);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 3);
    assert_true(is_vouched_for(f->roots) && is_vouched_for(f->leaf));
}

/* A program that is executed has none of it. */
static void test_descriptors_end_with_exec(void **state)
{
    fixture *f = *state;
    int before = sockets(false), inherited = sockets(true);

    start_watching(f);
    live_agent_request(f->agent, LIVE_ROOTS, 1);
    live_agent_request(f->agent, LIVE_LEAF, 1);
    assert_true(sockets(false) > before + 2);
    assert_int_equal(sockets(true), inherited);
}

/* A daemon closes unknown descriptors, and opens its own. */
static void test_closed_descriptors(void **state)
{
    fixture *f = *state;
    int taken[2 + SOCKETS_MAX], count = 0, i;
    char kept[2];

    start_watching(f);
    live_agent_request(f->agent, LIVE_ROOTS, 1);
    live_agent_request(f->agent, LIVE_LEAF, 1);
    pthread_mutex_lock(&consul_work_lock);
    for (i = 0; i < 2; i++)
        taken[count++] = f->watch->thread->wake[i].fd;
    for (i = 0; i < SOCKETS_MAX; i++) {
        if (f->watch->thread->sockets[i].fd >= 0)
            taken[count++] = f->watch->thread->sockets[i].fd;
    }
    for (i = 0; i < count; i++) {
        int fd = memfd_create("of the host", MFD_CLOEXEC);

        assert_int_equal(write(fd, "ok", 2), 2);
        assert_int_equal(dup2(fd, taken[i]), taken[i]);
        close(fd);
    }
    pthread_mutex_unlock(&consul_work_lock);
    assert_int_equal(count, 4);
    WAIT_UNTIL(deaf_threads() == 0);
    WAIT_UNTIL((consul_watch_note_handshake(f->watch), is_vouched_for(f->roots)));
    for (i = 0; i < count; i++) {
        assert_int_equal(pread(taken[i], kept, 2, 0), 2);
        assert_memory_equal(kept, "ok", 2);
        close(taken[i]);
    }
}

/* A daemon closes its standard files, and goes on to write to their numbers. */
static void test_no_text_of_the_host_reaches_the_agent(void **state)
{
    struct curl_sockaddr address = {.family = AF_INET, .socktype = SOCK_STREAM};
    pid_t child = fork();
    int status;

    if (child == 0) {
        consul_watch_thread thread = {0};

        consul_descriptors_init(&thread);
        close_range(STDIN_FILENO, STDERR_FILENO, 0);
        _exit(consul_descriptors_open_socket(&thread, CURLSOCKTYPE_IPCXN, &address) > STDERR_FILENO
                  ? 0
                  : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static atomic_bool may_end;

static void *close_watch(void *arg)
{
    fixture *f = arg;

    consul_watch_close(f->watch);
    return atomic_load(&may_end) ? arg : NULL;
}

/* An exit and an unloaded provider wait until it has ended, also as the second to end it. */
static void test_two_that_end_it(void **state)
{
    const struct timespec moment = {.tv_nsec = 50000000};
    fixture *f = *state;
    pthread_t threads[2];
    void *result;
    int i;

    start_watching(f);
    live_agent_request(f->agent, LIVE_ROOTS, 1);
    live_agent_request(f->agent, LIVE_LEAF, 1);
    atomic_store(&may_end, false);
    pthread_mutex_lock(&consul_work_lock); /* it cannot end yet */
    for (i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, close_watch, f), 0);
        nanosleep(&moment, NULL); /* enough for one that does not wait to return too early */
    }
    atomic_store(&may_end, true);
    pthread_mutex_unlock(&consul_work_lock);
    for (i = 0; i < 2; i++) {
        pthread_join(threads[i], &result);
        assert_ptr_equal(result, f);
    }
}

/* Be cancelled by the host, but not in the middle of work that others wait for. */
static void *be_cancelled(void *arg)
{
    fixture *f = arg;

    pthread_cancel(pthread_self());
    note_timeout(f);
    consul_watch_note_handshake(f->watch);
    consul_watch_close(f->watch);
    pthread_testcancel();
    return arg;
}

static void test_cancelled_threads(void **state)
{
    fixture *f = *state;
    pthread_t thread;
    void *result;

    start_watching(f);
    live_agent_request(f->agent, LIVE_ROOTS, 1);
    live_agent_request(f->agent, LIVE_LEAF, 1);
    assert_int_equal(pthread_create(&thread, NULL, be_cancelled, f), 0);
    pthread_join(thread, &result);
    assert_ptr_equal(result, PTHREAD_CANCELED);
    alarm(20);
    consul_lock();
    consul_unlock();
    alarm(0);
    WAIT_UNTIL(deaf_threads() == 0);
    assert_true(f->watch->closed);
}

static void *return_at_once(void *arg)
{
    return arg;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_fork_while_the_lock_is_held), /* first: no watch has been started yet */
        TEST(test_from_the_second_handshake_on),
        TEST(test_a_leaf_just_after_the_thread),
        TEST(test_it_ends_promptly),
        TEST(test_idle),
        TEST(test_indexes),
        TEST(test_no_index),
        TEST(test_an_entry_that_is_left),
        TEST(test_a_root_of_no_use),
        TEST(test_content),
        TEST(test_connections_are_kept),
        TEST(test_late_answers),
        TEST(test_an_agent_that_does_not_block),
        TEST(test_an_index_that_wavers),
        TEST(test_short_waits),
        TEST(test_errors),
        cmocka_unit_test(test_jitter),
        TEST(test_silence),
        TEST(test_a_short_rest_of_time),
        TEST(test_probes),
        TEST(test_probes_without_a_descriptor),
        TEST(test_probes_without_a_token),
        cmocka_unit_test_setup_teardown(test_connections_that_hang, set_up_in_a_hole, tear_down),
        TEST(test_fork_while_it_watches),
        TEST(test_fork_while_it_works),
        TEST(test_descriptors_end_with_exec),
        TEST(test_closed_descriptors),
        cmocka_unit_test(test_no_text_of_the_host_reaches_the_agent),
        TEST(test_two_that_end_it),
        TEST(test_cancelled_threads),
        TEST(test_an_agent_that_panics),
        TEST(test_a_crowd), /* last: this process does not watch for a while afterwards */
    };
    pthread_t thread;

    /* A sanitizer starts its own thread with the first of ours. */
    pthread_create(&thread, NULL, return_at_once, NULL);
    pthread_join(thread, NULL);
    deaf_before = deaf_threads();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The knowledge that the processes of a family share, and a writer that is killed at any instruction. */
#include "unit.h"

#include "cache/family_verdicts.h"
#include "cache/vouching.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/evp.h>

#define WEB "web"
#define OLD "an answer of the agent that is not very long"
#define NEW "a later answer of the agent, of another length, all of which counts or no part of it"
#define MINUTE 60000 /* in milliseconds */
#define OTHER_USER 65534

/* A sanitizer adds so many instructions that the tests of each one take minutes. They run without. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

#define UNIT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static const consul_scope scope;
static consul_family *family;
static consul_family_place *place;

static int set_up(void **state)
{
    family = consul_family_new();
    consul_family_look(family);
    consul_family_note_fork();
    place = consul_family_find(family, 1, WEB, &scope);
    return family == NULL || place == NULL;
}

static int tear_down(void **state)
{
    consul_family_free(family);
    return 0;
}

static uint64_t digest_of(const char *body, unsigned char digest[CONSUL_DIGEST_LEN])
{
    assert_int_equal(EVP_Digest(body, strlen(body), digest, NULL, EVP_sha256(), NULL), 1);
    return consul_family_mark(digest);
}

static void tell(const char *body, int64_t asked)
{
    consul_answer answer = {.body = (char *)body, .len = strlen(body), .index = 7};
    unsigned char digest[CONSUL_DIGEST_LEN];

    digest_of(body, digest);
    consul_family_tell(family, place, &answer, digest, asked);
}

/* Return 1 for this body, -1 for another one, and 0 without an answer. */
static int hears(const char *body)
{
    consul_answer answer;
    int is_it;

    if (!consul_family_hear(family, place, &answer))
        return 0;
    is_it = answer.len == strlen(body) && memcmp(answer.body, body, answer.len) == 0
                    && answer.index == 7
                ? 1
                : -1;
    consul_answer_free(&answer);
    return is_it;
}

/* Run a function in a child, and wait for the child's end. */
static void in_child(void (*function)(void))
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        function();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- answers ---- */

static void tell_old(void)
{
    tell(OLD, 100);
}

static void tell_new(void)
{
    tell(NEW, 200);
}

/* It comes first: each other test is of a process that has forked. */
static void test_without_a_fork_no_answer_is_told(void **state)
{
    family = consul_family_new();
    consul_family_look(family);
    place = consul_family_find(family, 1, WEB, &scope);
    assert_non_null(place);
    tell(OLD, 100);
    assert_int_equal(hears(OLD), 0);
    consul_family_note_fork();
    tell(OLD, 100);
    assert_int_equal(hears(OLD), 1);
    consul_family_free(family);
}

static void test_a_sibling_hears(void **state)
{
    unsigned char digest[CONSUL_DIGEST_LEN];
    uint64_t mark;

    assert_int_equal(consul_family_asked(family, place, &mark), INT64_MIN);
    assert_int_equal(hears(OLD), 0);
    in_child(tell_old);
    assert_int_equal(consul_family_asked(family, place, &mark), 100);
    assert_true(mark == digest_of(OLD, digest));
    assert_int_equal(hears(OLD), 1);
    in_child(tell_new);
    assert_int_equal(hears(NEW), 1);
    in_child(tell_old); /* to an earlier request */
    assert_int_equal(hears(NEW), 1);
}

/* A private key may be in an earlier answer. */
static void test_no_rest_of_an_answer_is_left(void **state)
{
    static const char longer[] = "an answer with a private key at its very end: MIGHAgEAMBMG";
    const char *memory = (const char *)place;
    size_t i, rests = 0;

    tell(longer, 100);
    tell(OLD, 200);
    for (i = 0; i < 40000; i++)
        rests += memcmp(memory + i, "MIGHAgEAMBMG", 12) == 0;
    assert_int_equal(rests, 0);
    assert_int_equal(hears(OLD), 1);
}

static void test_a_large_answer_is_not_shared(void **state)
{
    char *large = test_malloc(100001);

    memset(large, 'x', 100000);
    large[100000] = '\0';
    tell(OLD, 100);
    tell(large, 200);
    assert_int_equal(hears(OLD), 1);
    test_free(large);
}

/* A moment to come is of another clock. */
static void test_a_moment_to_come(void **state)
{
    uint64_t mark;

    tell(OLD, consul_now_us() + 1000000000);
    assert_int_equal(consul_family_asked(family, place, &mark), INT64_MIN);
    assert_int_equal(hears(OLD), 0);
}

static void test_places_have_keys(void **state)
{
    consul_scope other = {.dc = "dc2"};
    char name[] = "service-0";
    int i;

    assert_ptr_equal(consul_family_find(family, 1, WEB, &scope), place);
    assert_ptr_not_equal(consul_family_find(family, 2, WEB, &scope), place);
    assert_ptr_not_equal(consul_family_find(family, 1, "web2", &scope), place);
    assert_ptr_not_equal(consul_family_find(family, 1, WEB, &other), place);
    for (i = 0; i < 9; i++, name[8]++)
        consul_family_find(family, 1, name, &scope);
    assert_null(consul_family_find(family, 1, "one too many", &scope));
    assert_ptr_equal(consul_family_find(family, 1, WEB, &scope), place);
}

/* Become another user, hear no answer and tell none. */
static void become_another(void)
{
    uint64_t mark;

    if (seteuid(OTHER_USER) != 0)
        _exit(2);
    consul_family_look(family);
    if (hears(OLD) != 0 || consul_family_asked(family, place, &mark) != INT64_MIN
        || consul_family_find(family, 1, WEB, &scope) != NULL || consul_family_is_watched(family)
        || consul_family_load(family) != NULL)
        _exit(3);
    tell(NEW, 200);
}

static void test_another_user(void **state)
{
    if (geteuid() != 0)
        skip();
    tell(OLD, 100);
    in_child(become_another);
    assert_int_equal(hears(OLD), 1);
}

/* ---- the watcher ---- */

static consul_watcher watcher;

static bool is_vouched_for(const char *body)
{
    unsigned char digest[CONSUL_DIGEST_LEN];
    consul_vouching vouching;

    return consul_family_vouches(family, place, digest_of(body, digest), &vouching);
}

static void vouch_for(const char *body)
{
    unsigned char digest[CONSUL_DIGEST_LEN];

    consul_family_vouch(family, place,
                        &(consul_vouching){.mark = digest_of(body, digest),
                                           .fresh_until = consul_deadline_after(MINUTE),
                                           .epoch = 5});
}

static void expect_vouching(void)
{
    consul_family_forget_claim(family);
    if (!is_vouched_for(OLD) || is_vouched_for(NEW) || consul_family_watch(family, &watcher))
        _exit(2);
    vouch_for(NEW); /* not by the watcher's process */
    if (!is_vouched_for(OLD))
        _exit(3);
}

static void test_a_watcher_vouches(void **state)
{
    tell(OLD, 100);
    vouch_for(OLD);
    assert_false(is_vouched_for(OLD));
    assert_true(consul_family_watch(family, &watcher));
    assert_false(is_vouched_for(OLD));
    vouch_for(OLD);
    in_child(expect_vouching);
    tell(NEW, 200); /* the watch has missed it */
    assert_false(is_vouched_for(OLD));
    tell(OLD, 300);
    assert_true(is_vouched_for(OLD));
    consul_family_leave(family, &watcher);
    assert_false(is_vouched_for(OLD));
    assert_false(consul_family_is_watched(family));
}

/* Start a child that watches and vouches, and return when it does. */
static pid_t start_watcher(void)
{
    int ready[2];
    pid_t child;
    char byte;

    assert_int_equal(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        if (!consul_family_watch(family, &watcher))
            _exit(2);
        vouch_for(OLD);
        (void)!write(ready[1], "", 1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return child;
}

static void test_a_watcher_is_killed(void **state)
{
    pid_t child;
    int status;

    tell(OLD, 100);
    child = start_watcher();
    assert_true(is_vouched_for(OLD));
    assert_false(consul_family_watch(family, &watcher));
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    assert_false(is_vouched_for(OLD));
    assert_false(consul_family_is_watched(family));
    assert_true(consul_family_watch(family, &watcher));
    assert_false(is_vouched_for(OLD));
    consul_family_leave(family, &watcher);
}

static void test_epochs_are_of_one_process(void **state)
{
    uint64_t first = consul_family_next_epoch(family), alone = consul_family_next_epoch(NULL);

    assert_true(consul_family_next_epoch(family) > first);
    assert_true(alone > first + 1000000);
    assert_true(consul_family_next_epoch(NULL) > alone);
}

static void test_short_lived_processes_watch_in_turn(void **state)
{
    int64_t now = 1000000;

    assert_int_equal(consul_family_note_peer(family, now), 1);
    assert_int_equal(consul_family_note_peer(family, now), 2);
    assert_true(consul_family_may_begin(family, now));
    assert_false(consul_family_may_begin(family, now + 1999));
    assert_true(consul_family_may_begin(family, now + 2000));
    assert_int_equal(consul_family_used(family), now);
    consul_family_note_peer(family, now + 1000);
    assert_int_equal(consul_family_used(family), now + 1000);
}

/* ---- verdicts ---- */

static const unsigned char key[CONSUL_DIGEST_LEN] = {1, 2, 3}, other_key[CONSUL_DIGEST_LEN] = {2};
static const consul_kept_verdict yes = {CONSUL_VERDICT_YES, 5, 100},
                                 no = {CONSUL_VERDICT_NO, 6, 200};

static void note_yes(void)
{
    consul_family_note_verdict(family, key, &yes);
}

static void note_no(void)
{
    consul_family_note_verdict(family, key, &no);
}

static bool finds(const consul_kept_verdict *verdict)
{
    consul_kept_verdict found = consul_family_find_verdict(family, key);

    return found.verdict == verdict->verdict && found.epoch == verdict->epoch
           && found.asked == verdict->asked;
}

static void test_verdicts_are_shared(void **state)
{
    assert_int_equal(consul_family_find_verdict(family, key).verdict, CONSUL_VERDICT_NONE);
    in_child(note_yes);
    assert_true(finds(&yes));
    assert_int_equal(consul_family_find_verdict(family, other_key).verdict, CONSUL_VERDICT_NONE);
    in_child(note_no);
    assert_true(finds(&no));
    in_child(note_yes); /* a late yes */
    assert_true(finds(&no));
}

/* A late yes stays away where a later no may have lost its place. */
static void test_a_no_that_went(void **state)
{
    unsigned char others[CONSUL_DIGEST_LEN];
    int i;

    consul_family_note_verdict(family, key, &no);
    memcpy(others, key, sizeof(others));
    for (i = 1; i <= 4; i++) {
        const consul_kept_verdict later = {CONSUL_VERDICT_YES, 7, 300 + i};

        others[CONSUL_DIGEST_LEN - 1] = (unsigned char)i; /* in the same set */
        consul_family_note_verdict(family, others, &later);
    }
    assert_int_equal(consul_family_find_verdict(family, key).verdict, CONSUL_VERDICT_NONE);
    note_yes();
    assert_int_equal(consul_family_find_verdict(family, key).verdict, CONSUL_VERDICT_NONE);
}

/* ---- at each instruction ---- */

/*
 * Let a child run a function step by step, and call `look` after each instruction. A kill would leave the same memory.
 * Return the number of steps.
 */
static int at_each_instruction(void (*function)(void), void (*look)(void))
{
    pid_t child = fork();
    int status, steps = 0;

    if (child == 0) {
        function(); /* once, so that libraries are ready */
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        function();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSTOPPED(status));
    while (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) == 0 && waitpid(child, &status, 0) == child
           && WIFSTOPPED(status)) {
        look();
        steps++;
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return steps;
}

static int64_t next_moment = 100;
static bool is_new; /* in the child */

static void tell_in_turn(void)
{
    tell(is_new ? NEW : OLD, next_moment += 100);
    is_new = true;
}

static int olds, news, nones;

/* Find the old answer, the new one, or no answer. Its moment is its own. */
static void look_at_answer(void)
{
    unsigned char digest[CONSUL_DIGEST_LEN];
    int is_old = hears(OLD), is_new_one = hears(NEW);
    uint64_t mark;
    int64_t asked = consul_family_asked(family, place, &mark);

    assert_false(is_old == -1 && is_new_one == -1);
    olds += is_old == 1;
    news += is_new_one == 1;
    nones += is_old == 0;
    if (asked != INT64_MIN) {
        assert_true(asked == 200 ? mark == digest_of(OLD, digest)
                                 : asked == 300 && mark == digest_of(NEW, digest));
    }
}

static void test_a_writer_of_an_answer_ends_anywhere(void **state)
{
    if (SANITIZED)
        skip();
    olds = news = nones = 0;
    assert_true(at_each_instruction(tell_in_turn, look_at_answer) > 100);
    assert_true(olds > 0 && news > 0 && nones > 0);
}

static void vouch_in_turn(void)
{
    if (!is_new && !consul_family_watch(family, &watcher))
        _exit(2);
    consul_family_vouch(family, place,
                        &(consul_vouching){.mark = 77,
                                           .fresh_until = consul_deadline_after(MINUTE),
                                           .epoch = is_new ? 6 : 5,
                                           .epoch_began = is_new ? 60 : 50});
    is_new = true;
}

/* Find the two halves of one word of the watcher. */
static void look_at_vouching(void)
{
    consul_vouching vouching;

    if (consul_family_vouches(family, place, 77, &vouching)) {
        assert_true(vouching.epoch == 5 ? vouching.epoch_began == 50
                                        : vouching.epoch == 6 && vouching.epoch_began == 60);
        olds += vouching.epoch == 5;
        news += vouching.epoch == 6;
    } else {
        nones++;
    }
}

static void test_a_watcher_ends_anywhere(void **state)
{
    consul_answer answer = {.body = (char *)OLD, .len = strlen(OLD)};
    unsigned char digest[CONSUL_DIGEST_LEN] = {77};

    if (SANITIZED)
        skip();
    if (consul_family_mark(digest) != 77) /* the other byte order */
        digest[0] = 0, digest[7] = 77;
    consul_family_tell(family, place, &answer, digest, 100);
    olds = news = nones = 0;
    assert_true(at_each_instruction(vouch_in_turn, look_at_vouching) > 10);
    assert_true(olds > 0 && news > 0 && nones > 0);
    look_at_vouching();
    assert_false(consul_family_is_watched(family)); /* it has ended without leaving */
}

static void note_in_turn(void)
{
    consul_family_note_verdict(family, key, is_new ? &no : &yes);
    is_new = true;
}

static void look_at_verdict(void)
{
    olds += finds(&yes);
    news += finds(&no);
    nones += consul_family_find_verdict(family, key).verdict == CONSUL_VERDICT_NONE;
    if (consul_family_find_verdict(family, key).verdict == CONSUL_VERDICT_YES)
        assert_true(finds(&yes));
}

static void test_a_writer_of_a_verdict_ends_anywhere(void **state)
{
    if (SANITIZED)
        skip();
    olds = news = nones = 0;
    assert_true(at_each_instruction(note_in_turn, look_at_verdict) > 10);
    assert_true(olds > 0 && news > 0 && nones > 0);
}

/* ---- a reader that is overtaken at each instruction ---- */

/*
 * Let a child read step by step. Let `write` write in this process after so many steps, and then let the child go on.
 * Return false where the child had read before. Check that it has read one thing or the other.
 */
static bool overtake(void (*read)(void), bool (*is_right)(void), void (*write)(void), int steps)
{
    volatile bool *has_read =
        mmap(NULL, sizeof(*has_read), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child = fork();
    int status;
    bool was_overtaken;

    if (child == 0) {
        read(); /* once, so that libraries are ready */
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        read();
        *has_read = true;
        _exit(is_right() ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    for (; steps > 0 && !*has_read; steps--) {
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSTOPPED(status));
    }
    was_overtaken = !*has_read;
    write();
    ptrace(PTRACE_DETACH, child, NULL, NULL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    munmap((void *)has_read, sizeof(*has_read));
    return was_overtaken;
}

static uint64_t read_mark, old_mark, new_mark;
static int64_t read_moment;

static void read_the_moment(void)
{
    read_moment = consul_family_asked(family, place, &read_mark);
}

/* Return true where the mark and the moment are those of one answer. They are two words. */
static bool is_of_one_answer(void)
{
    return read_moment == INT64_MIN ? read_mark == 0
                                    : read_mark == (read_moment == 100 ? old_mark : new_mark);
}

static void test_a_reader_is_overtaken_anywhere(void **state)
{
    unsigned char digest[CONSUL_DIGEST_LEN];
    int steps = 0;

    if (SANITIZED)
        skip();
    old_mark = digest_of(OLD, digest);
    new_mark = digest_of(NEW, digest);
    do {
        tear_down(state);
        set_up(state);
        tell_old();
    } while (overtake(read_the_moment, is_of_one_answer, tell_new, steps++));
    assert_true(steps > 30);
}

/* Let a child claim to watch, and kill it after so many steps. Return false where it ended before. */
static bool kill_while_it_claims(atomic_uint *word, int steps)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        consul_watcher_claim(&watcher, word);
        consul_watcher_leave(&watcher);
        _exit(0);
    }
    waitpid(child, &status, 0);
    for (; steps > 0 && WIFSTOPPED(status); steps--) {
        ptrace(PTRACE_SINGLESTEP, child, NULL, NULL);
        waitpid(child, &status, 0);
    }
    if (!WIFSTOPPED(status))
        return false;
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return true;
}

/* Find no claim after the end of its process. */
static void test_who_claims_ends_anywhere(void **state)
{
    atomic_uint *word =
        mmap(NULL, sizeof(*word), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    consul_watcher another;
    int steps = 0;

    if (SANITIZED)
        skip();
    assert_ptr_not_equal(word, MAP_FAILED);
    while (kill_while_it_claims(word, steps)) {
        assert_int_equal(consul_watcher_of(word), 0);
        assert_true(consul_watcher_claim(&watcher, word));
        assert_false(consul_watcher_claim(&another, word));
        consul_watcher_leave(&watcher);
        steps++;
    }
    assert_true(steps > 50);
    munmap(word, sizeof(*word));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_fork_no_answer_is_told),
        UNIT(test_a_sibling_hears),
        UNIT(test_a_large_answer_is_not_shared),
        UNIT(test_no_rest_of_an_answer_is_left),
        UNIT(test_a_moment_to_come),
        UNIT(test_places_have_keys),
        UNIT(test_another_user),
        UNIT(test_a_watcher_vouches),
        UNIT(test_a_watcher_is_killed),
        UNIT(test_epochs_are_of_one_process),
        UNIT(test_short_lived_processes_watch_in_turn),
        UNIT(test_verdicts_are_shared),
        UNIT(test_a_no_that_went),
        UNIT(test_a_writer_of_an_answer_ends_anywhere),
        UNIT(test_a_watcher_ends_anywhere),
        UNIT(test_a_writer_of_a_verdict_ends_anywhere),
        UNIT(test_a_reader_is_overtaken_anywhere),
        UNIT(test_who_claims_ends_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handshakes of applications that work against the provider, or just differ. See row.h for the space.
 *
 *     attack pairs [SEED]                  rows with each pair of values, in several surroundings
 *     attack rows SEED FROM COUNT          rows by chance
 *     attack minutes SEED MINUTES FILE     the same; FILE keeps the number of the next one
 *     attack hunt SEED COUNT "peer=none"   the same with these values, up to the first failure
 *     attack teeth                         see that each place, life and other certificate has its effect on ordinary applications
 *     attack row "peer=none mode=peer"     one row, with a listing of its calls
 *
 * A failure is a peer let in, an allowed peer refused, a crash or a hang. So is the handshake of another peer that ends well.
 * A failure is shrunk to the fewest values that are out of the ordinary, and printed once.
 */
#include "cell.h"
#include "excuses.h"
#include "once_open.h"
#include "oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sys/wait.h>

#define SHOWN_MAX 200 /* failures that differ */
#define ROWS_AT_ONCE 100
#define WHOLE 100000              /* rows, by which each exception is needed */
#define ROWS_OF_AN_EXCEPTION 2000 /* further rows of an exception that these did not need */
#define LOOKED_AT 20000000        /* rows to find these among */

enum verdict { PASSED, LET_IN, ENDED_WELL, REFUSED, CRASHED, HUNG, DIFFERS };

static const char *const verdict_texts[] = {
    "passed",  "let in", "a handshake ended well",     "an allowed peer was refused",
    "crashed", "hung",   "not as without the provider"};

static struct {
    enum verdict verdict;
    row r;
    long times;
} shown[SHOWN_MAX];
static size_t shown_count;
static bool sees_ends = true; /* of handshakes without data; a hunt for an old hole is about data */
static long passed, failed;

static enum verdict judge(const row *r, const cell_result *result, bool counts)
{
    bool any = result->outcome.app_got || result->outcome.peer_got;
    bool all = result->outcome.app_got && result->outcome.peer_got;
    const exception *why;
    enum expected expected =
        oracle_expects(r, result->outcome.renegotiated, result->outcome.shown, &why);

    if (WIFSIGNALED(result->status) && WTERMSIG(result->status) == SIGALRM)
        return HUNG;
    if (result->status != 0 || !result->ran)
        return CRASHED;
    if (counts && why != NULL)
        excuses_count(why, any, all);
    if (expected == EXPECT_SILENCE && any)
        return LET_IN;
    /* Keys are of use without data, too: for EAP-TLS, say. A second handshake may fail at its begin. */
    if (expected == EXPECT_SILENCE && sees_ends && result->outcome.app_done
        && !result->outcome.renegotiated && oracle_fails_at_once(r))
        return ENDED_WELL;
    return expected == EXPECT_DATA && !all ? REFUSED : PASSED;
}

/* Return true where the application fails in the same way by itself, without the provider. */
static bool fails_without(const row *r, enum verdict verdict)
{
    cell_result result = cell_run(r, true, false);

    if (verdict == DIFFERS)
        return false;
    if (verdict == REFUSED)
        return !result.ran || !result.outcome.app_got || !result.outcome.peer_got;
    return verdict != LET_IN && verdict != ENDED_WELL && !result.ran;
}

/*
 * Return true where an ordinary application has other data than without the provider. Some fail by themselves. On OpenSSL 3.5
 * SSL_dup does so after writes to numbers of ex_data, where nothing has asked for any.
 */
static bool differs(const row *r, const cell_result *result)
{
    cell_result plain;

    if (!oracle_is_ordinary(r) || oracle_is_touched(r))
        return false;
    plain = cell_run(r, true, false);
    return plain.ran
           && (plain.outcome.app_got != result->outcome.app_got
               || plain.outcome.peer_got != result->outcome.peer_got
               || plain.outcome.reused != result->outcome.reused);
}

/* Run a row, and set its result. Return the verdict. */
static enum verdict try(const row *r, bool counts, cell_result *result)
{
    enum verdict verdict;

    *result = cell_run(r, false, false);
    verdict = judge(r, result, counts);
    if (verdict == PASSED && differs(r, result))
        return DIFFERS;
    return verdict != PASSED && fails_without(r, verdict) ? PASSED : verdict;
}

/* Set each axis to its default while the row fails in the same way. */
static row shrink(row r, enum verdict verdict)
{
    bool shrunk = true;
    cell_result result;
    int i;

    while (shrunk) {
        shrunk = false;
        for (i = 0; i < AXES; i++) {
            row smaller = r;

            smaller.value[i] = 0;
            if (r.value[i] != 0 && try(&smaller, false, &result) == verdict) {
                r = smaller;
                shrunk = true;
            }
        }
    }
    return r;
}

static void show(const row *r, enum verdict verdict, const cell_result *result)
{
    const talk_outcome *o = &result->outcome;
    char text[ROW_TEXT_MAX];

    row_print(r, text);
    printf("%s: attack row \"%s\"%s%s\n  app: %d %s\n  peer: %d %s\n", verdict_texts[verdict], text,
           o->reused ? ", resumed" : "", o->renegotiated ? ", renegotiated" : "", o->app_got,
           o->app_errors, o->peer_got, o->peer_errors);
    if (verdict == CRASHED)
        printf("  status %#x\n", (unsigned int)result->status);
    if (verdict == DIFFERS) {
        cell_result plain = cell_run(r, true, false);

        printf("  without the provider: app: %d %s%s\n  peer: %d %s\n", plain.outcome.app_got,
               plain.outcome.app_errors, plain.outcome.reused ? ", resumed" : "",
               plain.outcome.peer_got, plain.outcome.peer_errors);
    }
    fflush(stdout);
}

/* Shrink a failure and show it. A failure that does not come again is shown as it was. */
static void note_failure(const row *r, enum verdict verdict, const cell_result *first)
{
    row small = shrink(*r, verdict);
    cell_result again;
    size_t i;

    for (i = 0; i < shown_count; i++) {
        if (memcmp(&shown[i].r, &small, sizeof(small)) == 0) {
            shown[i].times++;
            return;
        }
    }
    if (shown_count < SHOWN_MAX) {
        bool comes_again = try(&small, false, &again) == verdict;

        shown[shown_count].r = comes_again ? small : *r;
        shown[shown_count].verdict = verdict;
        shown[shown_count++].times = 1;
        if (!comes_again)
            printf("only once, ");
        show(comes_again ? &small : r, verdict, comes_again ? &again : first);
    }
}

static void run(const row *r)
{
    cell_result result;
    enum verdict verdict = try(r, true, &result);

    if (verdict == PASSED) {
        passed++;
        return;
    }
    failed++;
    note_failure(r, verdict, &result);
}

/* ---- the three ways to run ---- */

/* Run a row as it is, and a part of it, in which values that meet have few others around. */
static void run_in_surroundings(const row *r, uint64_t seed)
{
    row part = *r, mask = row_of(seed, 0);
    size_t j;

    run(r);
    for (j = 0; j < AXES; j++) {
        if (mask.value[j] == 0 && j != AXIS_ROLE && j != AXIS_PROTOCOL)
            part.value[j] = 0;
    }
    part.value[AXIS_PEER] = seed % 2 == 0 ? PEER_ALLOWED : PEER_NONE;
    run(&part);
}

static void run_once_open(void)
{
    size_t i;
    row r;

    for (i = 0; once_open[i] != NULL; i++) {
        if (!row_parse(&r, once_open[i]))
            abort();
        run(&r);
    }
}

static void run_pairs(uint64_t seed)
{
    row *rows;
    size_t i, count = row_pairs(seed, &rows);

    for (i = 0; i < count; i++)
        run_in_surroundings(&rows[i], seed + i);
    free(rows);
    run_once_open();
}

static void run_rows(uint64_t seed, uint64_t from, uint64_t count)
{
    uint64_t i;

    for (i = from; i < from + count; i++) {
        row r = row_of(seed, i);

        run(&r);
    }
}

/* ---- the teeth of the space ---- */

/* Return true where a row of an ordinary application shows that a value of this axis has its effect. */
static bool has_effect(const row *r, int which)
{
    cell_result result = cell_run(r, false, false);
    enum life life = r->value[AXIS_LIFE];

    if (!result.ran)
        return false;
    if (which == AXIS_PLACE)
        return result.outcome.calls > 0;
    if (life == LIFE_RENEGOTIATED || life == LIFE_RENEGOTIATING || life == LIFE_RENEGOTIATED_SITE)
        return result.outcome.renegotiated;
    if (life >= LIFE_RESUMED && life <= LIFE_TICKET_KEYS)
        return result.outcome.reused;
    return result.outcome.app_got && result.outcome.peer_got;
}

/* Look for such a row among ordinary ones. */
static bool find_effect(int which, int value)
{
    row r = {0};
    int i;

    for (i = 0; i < 2 * 3 * 15 * 3; i++) {
        r.value[AXIS_GOVERNED] = BY_NOTHING;
        r.value[AXIS_ROLE] = (unsigned char)(i % 2);
        r.value[AXIS_PROTOCOL] = (unsigned char)(i / 2 % 3);
        r.value[AXIS_LIFE] = (unsigned char)(i / 6 % axes[AXIS_LIFE].count);
        r.value[AXIS_PEER] = i / 90 == 1 ? PEER_KEY : PEER_ALLOWED;
        r.value[AXIS_CIPHER] = i / 90 == 1 ? CIPHERS_ALL : CIPHERS_USUAL;
        r.value[AXIS_DRIVE] = i / 90 == 2 ? DRIVE_EARLY : DRIVE_HANDSHAKE;
        r.value[AXIS_MODE] = MODE_ACCEPT;
        r.value[which] = (unsigned char)value;
        if (has_effect(&r, which))
            return true;
    }
    return false;
}

/* Return true where early data of an ordinary application or its peer is accepted, by a session or a key. */
static bool goes_early(enum role role, bool by_key)
{
    row r = {0};

    r.value[AXIS_ROLE] = (unsigned char)role;
    r.value[AXIS_GOVERNED] = BY_NOTHING;
    r.value[AXIS_PROTOCOL] = TLS_1_3;
    r.value[AXIS_DRIVE] = DRIVE_EARLY;
    r.value[AXIS_PLACE] = by_key ? AT_SSL : AT_EARLY;
    r.value[AXIS_TAKE] = by_key ? TAKE_KEY : TAKE_NOTHING;
    r.value[AXIS_PEER] = by_key ? PEER_KEY : PEER_ALLOWED;
    r.value[AXIS_LIFE] = by_key ? LIFE_FRESH : LIFE_TICKET_KEYS;
    return cell_run(&r, false, false).outcome.early;
}

/* Return true where the peer of an ordinary application is shown another certificate by a taking, and not without it. */
static bool changes_what_is_shown(int taking)
{
    row r = {0}, without;
    int i;

    /* An ordinary client has one certificate, and a server's choice is not the current one. */
    r.value[AXIS_GOVERNED] = taking == TAKE_CURRENT ? BY_LEAF : BY_NOTHING;
    r.value[AXIS_TAKE] = (unsigned char)taking;
    r.value[AXIS_PLACE] = AT_SSL;
    for (i = 0; i < 2 * 3 * 2 * 2; i++) {
        r.value[AXIS_ROLE] = (unsigned char)(i % 2);
        r.value[AXIS_PROTOCOL] = (unsigned char)(i / 2 % 3);
        r.value[AXIS_PREFERS] = (unsigned char)(i / 6 % 2);
        r.value[AXIS_GIVEN] = i / 12 == 0 ? GIVEN_ON_CTX : GIVEN_WITH_OTHER;
        without = r;
        without.value[AXIS_TAKE] = TAKE_NOTHING;
        if (cell_run(&r, false, false).outcome.shown == SHOWN_OTHER
            && cell_run(&without, false, false).outcome.shown != SHOWN_OTHER)
            return true;
    }
    return false;
}

static void count_tooth(int which, int value, bool ok)
{
    passed += ok;
    failed += !ok;
    if (!ok)
        printf("no effect: %s=%s\n", axes[which].name, axes[which].values[value]);
}

/* See that each place and life has its effect, and each other certificate. Without that, a row would attack nothing. */
static void run_teeth(void)
{
    static const int which[] = {AXIS_PLACE, AXIS_LIFE};
    size_t i;
    int value;

    for (i = 0; i < 2; i++) {
        for (value = 1; value < axes[which[i]].count; value++) {
            bool ok = (which[i] == AXIS_PLACE && value == AT_CTX) || find_effect(which[i], value);

            count_tooth(which[i], value, ok);
        }
    }
    for (value = TAKE_OTHER_LEAF; value <= TAKE_CURRENT; value++)
        count_tooth(AXIS_TAKE, value, changes_what_is_shown(value));
    for (value = 0; value < 4; value++)
        count_tooth(AXIS_DRIVE, DRIVE_EARLY, goes_early(value / 2, value % 2));
}

/* Run further rows of an exception until it is needed. */
static void look_for_need(const exception *what, uint64_t seed, uint64_t next)
{
    uint64_t end = next + LOOKED_AT;
    long more = ROWS_OF_AN_EXCEPTION;
    row r;

    for (; next < end && more > 0 && !excuses_was_needed(what); next++) {
        r = row_of(seed, next);
        if (!what->applies(&r))
            continue;
        run(&r);
        more--;
    }
}

/* Look for a need of each exception. It is wrong without one, and a rare one meets too few rows by chance. */
static void look_for_needs(uint64_t seed, uint64_t next)
{
    const exception *const lists[] = {oracle_ways_in, oracle_refusals}, *one;
    size_t i;

    for (i = 0; i < 2; i++) {
        for (one = lists[i]; one->name != NULL; one++)
            look_for_need(one, seed, next);
    }
}

/*
 * Run rows for some minutes, from the number in a file on, which then has that of the next. A whole run looks for a need of each
 * exception, too.
 */
static void run_minutes(uint64_t seed, long minutes, const char *path)
{
    time_t end = time(NULL) + minutes * 60;
    unsigned long long next = 0;
    FILE *file = fopen(path, "r");

    if (file != NULL) {
        if (fscanf(file, "%llu", &next) != 1)
            next = 0;
        fclose(file);
    }
    while (time(NULL) < end) {
        run_rows(seed, next, ROWS_AT_ONCE);
        next += ROWS_AT_ONCE;
        file = fopen(path, "w");
        if (file == NULL || fprintf(file, "%llu\n", next) < 0 || fclose(file) != 0)
            abort();
    }
    if (passed + failed >= WHOLE)
        look_for_needs(seed, next);
}

/* Run rows by chance that all have the values of `text`, up to the first failure. */
static int run_hunt(uint64_t seed, uint64_t count, const char *text)
{
    row fixed, r;
    uint64_t i;
    int j;

    if (!row_parse(&fixed, text)) {
        fprintf(stderr, "attack: no such row: %s\n", text);
        return 2;
    }
    sees_ends = false;
    for (i = 0; i < count && failed == 0; i++) {
        r = row_of(seed, i);
        for (j = 0; j < AXES; j++) {
            if (fixed.value[j] != 0)
                r.value[j] = fixed.value[j];
        }
        run(&r);
    }
    return 0;
}

static int run_one(const char *text)
{
    enum verdict verdict;
    cell_result result;
    row r;

    if (!row_parse(&r, text)) {
        fprintf(stderr, "attack: no such row: %s\n", text);
        return 2;
    }
    result = cell_run(&r, false, true);
    verdict = judge(&r, &result, false);
    if (verdict == PASSED && differs(&r, &result))
        verdict = DIFFERS;
    show(&r, verdict, &result);
    cell_stop();
    return verdict != PASSED;
}

static int tell(bool is_whole)
{
    size_t i;

    cell_stop();
    failed += excuses_tell(is_whole);
    for (i = 0; i < shown_count; i++) {
        char text[ROW_TEXT_MAX];

        row_print(&shown[i].r, text);
        printf("%ld times %s: %s\n", shown[i].times, verdict_texts[shown[i].verdict], text);
    }
    printf("%ld passed, %ld failed\n", passed, failed);
    return failed != 0;
}

int main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "pairs") == 0)
        run_pairs(argc > 2 ? strtoull(argv[2], NULL, 10) : 1);
    else if (argc >= 5 && strcmp(argv[1], "rows") == 0)
        run_rows(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10),
                 strtoull(argv[4], NULL, 10));
    else if (argc == 5 && strcmp(argv[1], "minutes") == 0)
        run_minutes(strtoull(argv[2], NULL, 10), strtol(argv[3], NULL, 10), argv[4]);
    else if (argc >= 2 && strcmp(argv[1], "teeth") == 0)
        run_teeth();
    else if (argc == 5 && strcmp(argv[1], "hunt") == 0) {
        if (run_hunt(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10), argv[4]) != 0)
            return 2;
    } else if (argc == 3 && strcmp(argv[1], "row") == 0)
        return run_one(argv[2]);
    else {
        fprintf(stderr,
                "usage: attack pairs [SEED] | rows SEED FROM COUNT | minutes SEED MINUTES FILE"
                " | hunt SEED COUNT \"AXIS=VALUE ...\" | teeth | row \"AXIS=VALUE ...\"\n");
        return 2;
    }
    return tell(strcmp(argv[1], "minutes") == 0 && passed + failed >= WHOLE);
}

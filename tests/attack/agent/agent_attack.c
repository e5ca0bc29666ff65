/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wrong answers of an agent, by the thousand. See space.h for the space.
 *
 *     agent-attack pairs [SEED [ENDPOINTS]]   each fault at three endpoints, the rest by chance
 *     agent-attack rows SEED FROM COUNT       rows by chance
 *     agent-attack minutes SEED MINUTES FILE  the same; FILE keeps the number of the next one
 *     agent-attack row "endpoint=roots pace=drip"
 *
 * A failure is an unauthorized peer that is served, or a handshake that takes too long. So is a process that grows too
 * much, and one that right answers do not mend. It is shrunk to the fewest values that are out of the ordinary.
 */
#include "trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SHOWN_MAX 100 /* failures that differ */
#define ROWS_AT_ONCE 100

static const char *const verdict_texts[] = {
    "passed", "let in", "slow", "grown", "not mended by right answers", "crashed", "did not start",
};

static long passed, failed, wrong_answers, longest, healed_in, grown;
static struct {
    row r;
    enum verdict verdict;
} failures[SHOWN_MAX];
static size_t failures_count;

static void most(long *all, long one)
{
    if (one > *all)
        *all = one;
}

static void note(const row *r, const trial *t)
{
    wrong_answers += t->wrong;
    most(&longest, t->longest);
    most(&healed_in, t->healed_in);
    most(&grown, t->grown);
    if (t->verdict == TRIAL_PASSED) {
        passed++;
        return;
    }
    failed++;
    if (failures_count < SHOWN_MAX) {
        failures[failures_count].r = *r;
        failures[failures_count++].verdict = t->verdict;
    }
}

/* Wait for one trial, and note it. Return false where none is under way. */
static bool take_one(void)
{
    size_t number;
    trial t;
    row r;

    if (!trial_end(&t, &r, &number))
        return false;
    note(&r, &t);
    return true;
}

static void run(const row *r)
{
    while (!trial_begin(r, 0))
        take_one();
}

static trial run_alone(const row *r)
{
    size_t number;
    trial t;
    row same;

    if (!trial_begin(r, 0) || !trial_end(&t, &same, &number))
        abort();
    return t;
}

/* ---- failures ---- */

static row shrink(row r, enum verdict verdict)
{
    bool shrunk = true;
    int i;

    while (shrunk) {
        shrunk = false;
        for (i = 0; i < AXES; i++) {
            row smaller = r;

            smaller.value[i] = 0;
            if (r.value[i] != 0 && run_alone(&smaller).verdict == verdict) {
                r = smaller;
                shrunk = true;
            }
        }
    }
    return r;
}

/* Show a row with its last trial. A verdict of a busy machine may not come again. */
static void show(const row *r, enum verdict before, const trial *t)
{
    char text[ROW_TEXT_MAX];

    row_print(r, text);
    printf(
        "%s (%s), and now %s: agent-attack row \"%s\"\n  %ld ms at most, healed in %ld ms, %ld kB more, %d "
        "wrong answers\n  %s\n",
        verdict_texts[before], t->peer, verdict_texts[t->verdict], text, t->longest, t->healed_in,
        t->grown, t->wrong, t->errors);
    fflush(stdout);
}

static void show_failures(void)
{
    size_t i, j;

    for (i = 0; i < failures_count; i++) {
        row small = shrink(failures[i].r, failures[i].verdict);
        trial t;

        for (j = 0; j < i && memcmp(&failures[j].r, &small, sizeof(small)) != 0; j++)
            ;
        failures[i].r = small;
        if (j < i)
            continue;
        t = run_alone(&small);
        show(&small, failures[i].verdict, &t);
    }
}

/* ---- the ways to run ---- */

/* The axes whose faults would hide each other. */
static const int loud[] = {AXIS_BODY, AXIS_FRAME, AXIS_HEAD, AXIS_STATUS, AXIS_PACE, AXIS_VALUE};
#define LOUD (sizeof(loud) / sizeof(loud[0]))

/* Leave one loud fault in a row, at most. */
static row with_one_fault(row r, uint64_t which)
{
    size_t i, kept = LOUD, offset;

    for (offset = 0; offset < LOUD && kept == LOUD; offset++) {
        if (r.value[loud[(which + offset) % LOUD]] != 0)
            kept = (which + offset) % LOUD;
    }
    for (i = 0; i < LOUD; i++) {
        if (i != kept)
            r.value[loud[i]] = 0;
    }
    return r;
}

/* Run each loud fault at three of the four endpoints, or at all of them. The rest of a row is by chance. */
static void run_pairs(uint64_t seed, int endpoints)
{
    uint64_t number = 0;
    size_t i;
    int value, j, k;

    for (i = 0; i < LOUD; i++) {
        for (value = 1; value < axes[loud[i]].count; value++) {
            for (j = 0; j < endpoints; j++) {
                row r = row_of(seed, number++);

                for (k = 0; k < (int)LOUD; k++)
                    r.value[loud[k]] = 0;
                r.value[loud[i]] = (unsigned char)value;
                r.value[AXIS_ENDPOINT] = (unsigned char)((value + j) % axes[AXIS_ENDPOINT].count);
                run(&r);
            }
        }
    }
    while (take_one())
        ;
}

static void run_rows(uint64_t seed, uint64_t from, uint64_t count)
{
    uint64_t i;

    for (i = from; i < from + count; i++) {
        row r = row_of(seed, i);

        if (i % 2 == 0)
            r = with_one_fault(r, i / 2);
        run(&r);
    }
    while (take_one())
        ;
}

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
}

static int run_one(const char *text)
{
    trial t;
    row r;

    if (!row_parse(&r, text)) {
        fprintf(stderr, "agent-attack: no such row: %s\n", text);
        return 2;
    }
    t = run_alone(&r);
    show(&r, t.verdict, &t);
    return t.verdict != TRIAL_PASSED;
}

static int tell(void)
{
    show_failures();
    printf("%ld wrong answers; a handshake took %ld ms at most, mending %ld ms, memory %ld kB\n",
           wrong_answers, longest, healed_in, grown);
    printf("%ld passed, %ld failed\n", passed, failed);
    return failed != 0;
}

int main(int argc, char **argv)
{
    int result = 2;

    trials_start();
    if (argc >= 2 && strcmp(argv[1], "pairs") == 0) {
        run_pairs(argc > 2 ? strtoull(argv[2], NULL, 10) : 1, argc > 3 ? atoi(argv[3]) : 3);
        result = tell();
    } else if (argc >= 5 && strcmp(argv[1], "rows") == 0) {
        run_rows(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10),
                 strtoull(argv[4], NULL, 10));
        result = tell();
    } else if (argc == 5 && strcmp(argv[1], "minutes") == 0) {
        run_minutes(strtoull(argv[2], NULL, 10), strtol(argv[3], NULL, 10), argv[4]);
        result = tell();
    } else if (argc == 3 && strcmp(argv[1], "row") == 0) {
        result = run_one(argv[2]);
    } else {
        fprintf(stderr, "usage: agent-attack pairs [SEED [ENDPOINTS]] | rows SEED FROM COUNT |"
                        " minutes SEED MINUTES FILE | row \"AXIS=VALUE ...\"\n");
    }
    trials_stop();
    return result;
}

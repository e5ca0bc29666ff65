/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wrong answers of an agent, by the thousand. See space.h for the space.
 *
 *     agent-attack pairs [SEED [ENDPOINTS]]   each fault at three endpoints, the rest by chance
 *     agent-attack rows SEED FROM COUNT       rows by chance
 *     agent-attack minutes SEED MINUTES FILE  the same; FILE keeps the number of the next one
 *     agent-attack scarce [EVERY]             each allocation fails, or one of so many; few descriptors; clocks step
 *     agent-attack row "endpoint=roots pace=drip" [FIRST LAST [exit]]
 *
 * A failure is an unauthorized peer that is served, or a handshake that takes too long. So is a process that grows too
 * much, and one that right answers do not mend. It is shrunk to the fewest values that are out of the ordinary.
 */
#include "memory.h"
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
    order what;
    enum verdict verdict;
} failures[SHOWN_MAX];
static size_t failures_count;

static void most(long *all, long one)
{
    if (one > *all)
        *all = one;
}

static void note(const order *what, const trial *t)
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
        failures[failures_count].what = *what;
        failures[failures_count++].verdict = t->verdict;
    }
}

/* Wait for one trial, and note it. Return false where none is under way. */
static bool take_one(void)
{
    order what;
    trial t;

    if (!trial_end(&t, &what))
        return false;
    note(&what, &t);
    return true;
}

static void run_order(const order *what)
{
    while (!trial_begin(what))
        take_one();
}

static void run(const row *r)
{
    run_order(&(order){.r = *r});
}

static trial run_alone(const order *what)
{
    order same;
    trial t;

    if (!trial_begin(what) || !trial_end(&t, &same))
        abort();
    return t;
}

/* ---- failures ---- */

static order shrink(order what, enum verdict verdict)
{
    bool shrunk = true;
    int i;

    while (shrunk) {
        shrunk = false;
        for (i = 0; i < AXES; i++) {
            order smaller = what;

            smaller.r.value[i] = 0;
            if (what.r.value[i] != 0 && run_alone(&smaller).verdict == verdict) {
                what = smaller;
                shrunk = true;
            }
        }
    }
    return what;
}

/* Show a row with its last trial. A verdict of a busy machine may not come again. */
static void show(const order *what, enum verdict before, const trial *t)
{
    char text[ROW_TEXT_MAX];

    row_print(&what->r, text);
    printf(
        "%s (%s), and now %s: agent-attack row \"%s\" %ld %ld%s\n  %ld ms at most, healed in %ld "
        "ms, %ld kB more, %d wrong answers, %ld allocations\n  %s\n",
        verdict_texts[before], t->peer, verdict_texts[t->verdict], text, what->first, what->last,
        what->at_exit ? " exit" : "", t->longest, t->healed_in, t->grown, t->wrong, t->allocations,
        t->errors);
    fflush(stdout);
}

static bool is_same(const order *a, const order *b)
{
    return memcmp(&a->r, &b->r, sizeof(a->r)) == 0 && a->first == b->first && a->last == b->last
           && a->at_exit == b->at_exit && a->descriptors == b->descriptors
           && a->clock_step == b->clock_step;
}

static void show_failures(void)
{
    size_t i, j;

    for (i = 0; i < failures_count; i++) {
        order small = shrink(failures[i].what, failures[i].verdict);
        trial t;

        for (j = 0; j < i && !is_same(&failures[j].what, &small); j++)
            ;
        failures[i].what = small;
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

/* ---- shortages ---- */

#define FOR_EVER 1000000000L

/* Let allocations of a row fail: each one of `every` alone, and all from it on. */
static void run_without_memory(const char *text, long every, bool at_exit)
{
    order what = {.first = FOR_EVER, .last = FOR_EVER, .at_exit = at_exit};
    long count, k;

    if (!row_parse(&what.r, text))
        abort();
    count = at_exit ? 20 : run_alone(&what).allocations;
    for (k = 1; k <= count; k += every) {
        what.first = what.last = k;
        run_order(&what);
        what.last = FOR_EVER;
        run_order(&what);
    }
    while (take_one())
        ;
    printf("%ld allocations of \"%s\"%s\n", count, text, at_exit ? ", at its exit" : "");
}

static const char *const scarce_rows[] = {
    "",
    "when=kept",
    "when=denied",
    "when=denied index=rising",
    "when=kept index=rising",
    "role=client",
    "role=client when=kept index=rising",
    "when=kept endpoint=authorize pace=reset loss=last-known",
    "when=kept endpoint=leaf value=bad-utf-8",
    "endpoint=roots frame=chunked-bytes",
};
#define SCARCE_ROWS (sizeof(scarce_rows) / sizeof(scarce_rows[0]))

/* Let the process run short of descriptors, and let its clock step. */
static void run_other_shortages(const char *text)
{
    static const long steps[] = {1, 60, 3600, 86400, 10 * 365 * 86400L};
    order what = {0};
    size_t i;

    if (!row_parse(&what.r, text))
        abort();
    for (what.descriptors = 1; what.descriptors <= 8; what.descriptors++)
        run_order(&what);
    what.descriptors = 0;
    for (i = 0; i < 2 * sizeof(steps) / sizeof(steps[0]); i++) {
        what.clock_step = i % 2 == 0 ? steps[i / 2] : -steps[i / 2];
        run_order(&what);
    }
    while (take_one())
        ;
}

static void run_scarce(long every)
{
    size_t i;

    for (i = 0; i < SCARCE_ROWS; i++) {
        run_without_memory(scarce_rows[i], every, false);
        if (every == 1 || i % 3 == 0)
            run_other_shortages(scarce_rows[i]);
    }
    run_without_memory("when=kept index=rising", 1, true);
}

static int run_one(const char *text, long first, long last, bool at_exit)
{
    order what = {.first = first, .last = last, .at_exit = at_exit};
    trial t;

    if (!row_parse(&what.r, text)) {
        fprintf(stderr, "agent-attack: no such row: %s\n", text);
        return 2;
    }
    t = run_alone(&what);
    show(&what, t.verdict, &t);
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

    memory_set_up();
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
    } else if (argc >= 2 && strcmp(argv[1], "scarce") == 0) {
        run_scarce(argc > 2 ? strtol(argv[2], NULL, 10) : 1);
        result = tell();
    } else if (argc >= 3 && strcmp(argv[1], "row") == 0) {
        result = run_one(argv[2], argc > 3 ? strtol(argv[3], NULL, 10) : 0,
                         argc > 4 ? strtol(argv[4], NULL, 10) : 0, argc > 5);
    } else {
        fprintf(
            stderr,
            "usage: agent-attack pairs [SEED [ENDPOINTS]] | rows SEED FROM COUNT |"
            " minutes SEED MINUTES FILE | scarce [EVERY] | row \"AXIS=VALUE ...\" [FIRST LAST [exit]]\n");
    }
    trials_stop();
    return result;
}

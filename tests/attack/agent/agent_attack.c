/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wrong answers of an agent, by the thousand. See space.h for the space.
 *
 *     agent-attack pairs [SEED [ENDPOINTS]]   each fault at three endpoints, the rest by chance
 *     agent-attack rows SEED FROM COUNT       rows by chance
 *     agent-attack minutes SEED MINUTES FILE  the same; FILE keeps the number of the next one
 *     agent-attack cuts [EVERY]               right answers that end after each byte, or one of so many
 *     agent-attack row "endpoint=roots pace=drip" [CUT [login]]
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
        "%s (%s), and now %s: agent-attack row \"%s\" %ld%s\n  %ld ms at most, healed in %ld ms, "
        "%ld kB more, %d wrong answers\n  %s\n",
        verdict_texts[before], t->peer, verdict_texts[t->verdict], text, what->cut,
        what->logs_in ? " login" : "", t->longest, t->healed_in, t->grown, t->wrong, t->errors);
    fflush(stdout);
}

static bool is_same(const order *a, const order *b)
{
    return memcmp(&a->r, &b->r, sizeof(a->r)) == 0 && a->cut == b->cut && a->logs_in == b->logs_in;
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

/* ---- answers that end early ---- */

/* The rows by which each question is asked. */
static const struct {
    const char *name, *row;
    bool logs_in;
} questions[] = {
    {"roots", "endpoint=roots", false},
    {"leaf", "endpoint=leaf", false},
    {"authorize", "endpoint=authorize when=kept", false},
    {"intentions", "endpoint=intentions when=busy index=rising", false},
    {"login", "", true},
};
#define QUESTIONS (sizeof(questions) / sizeof(questions[0]))

/* Cut right answers at each byte of the body, or at one of so many. A length in the head is right, or too long. */
static void run_cuts(long every)
{
    size_t i;
    long at, before = wrong_answers;
    int frame;

    for (i = 0; i < QUESTIONS; i++) {
        order what = {.cut = 1, .logs_in = questions[i].logs_in};
        long whole;

        if (!row_parse(&what.r, questions[i].row))
            abort();
        whole = run_alone(&what).whole;
        for (at = 0; at < whole; at += every) {
            for (frame = 0; frame < 2; frame++) {
                what.cut = at + 1;
                what.r.value[AXIS_FRAME] = (unsigned char)(frame == 0 ? FRAME_LENGTH : FRAME_LONG);
                run_order(&what);
            }
        }
        while (take_one())
            ;
        printf("%s: cut at each of %ld bytes, %ld wrong answers\n", questions[i].name, whole,
               wrong_answers - before);
        before = wrong_answers;
    }
}

static int run_one(const char *text, long cut, bool logs_in)
{
    order what = {.cut = cut, .logs_in = logs_in};
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
    } else if (argc >= 2 && strcmp(argv[1], "cuts") == 0) {
        run_cuts(argc > 2 ? strtol(argv[2], NULL, 10) : 1);
        result = tell();
    } else if (argc >= 3 && strcmp(argv[1], "row") == 0) {
        result = run_one(argv[2], argc > 3 ? strtol(argv[3], NULL, 10) : 0, argc > 4);
    } else {
        fprintf(
            stderr,
            "usage: agent-attack pairs [SEED [ENDPOINTS]] | rows SEED FROM COUNT |"
            " minutes SEED MINUTES FILE | cuts [EVERY] | row \"AXIS=VALUE ...\" [CUT [login]]\n");
    }
    trials_stop();
    return result;
}

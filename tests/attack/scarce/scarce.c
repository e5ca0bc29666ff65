/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shortages, one by one, in each phase of a process's life.
 *
 *     attack-scarce [EVERY [SCENE ...]]           all shortages, or one allocation of so many; of all phases, or of some
 *     attack-scarce case SCENE KIND FIRST LAST    one of them, with what the process and the leak checker say
 *
 * Each call that may fail does so alone, and together with all calls after it. The calls are counted before. OpenSSL
 * makes thousands of allocations on our behalf. They fail alone, and only the first of several with the same callers.
 * Memory that processes share lies in no file system, so a full /dev/shm has no case.
 */
#include "unit.h"

#include "clock.h"
#include "trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/wait.h>

#define AT_ONCE 4
#define SITES 65536
#define FOR_EVER 1000000000L
#define TURNS 4 /* of the governed side, in a handshake and for the data */
#define MORE 4  /* calls come only after another one has failed */
#define SHOWN_MAX 40

static const char *const kind_names[] = {
#define NAME(constant, text) text,
    KINDS(NAME)
#undef NAME
};
static const char *const origin_names[] = {
#define NAME(constant, text) text,
    ORIGINS(NAME)
#undef NAME
};
static const char *const verdict_names[VERDICTS] = {
    "passed", "closed", "exception", "crashed", "hung", "leaked", "open", "unrecovered",
};

/* The memory that the process of a phase shares with its children and its parent. */
static struct shared {
    notes notes[AT_ONCE];
    site sites[SITES];
    unsigned long seen[SITES]; /* the callers of OpenSSL's allocations in this phase */
    long seen_count;
    long of_verdict[VERDICTS];
    long shown;
} * all;

static struct {
    pid_t pid;
    shortage what;
} children[AT_ONCE];
static const scene *present;

/* Return what goes wrong besides the calls that fail. */
static const char *fault_name(const shortage *what)
{
    static char text[64];

    snprintf(text, sizeof(text), "clock %+ld s", what->clock.seconds);
    if (what->fork.turn > 0)
        snprintf(text, sizeof(text), "fork at turn %d, on in the %s", what->fork.turn,
                 what->fork.goes_on ? "child" : "parent");
    return what->clock.stops                                 ? "monotonic clock stands"
           : what->clock.stands                              ? "clock stands"
           : what->no_fork                                   ? "no fork"
           : what->fork.turn > 0 || what->clock.seconds != 0 ? text
                                                             : "";
}

static void show(const shortage *what, enum verdict verdict, int status)
{
    if (all->shown++ >= SHOWN_MAX)
        return;
    printf("  %s (status %#x): attack-scarce case %s %s %ld %ld %s\n", verdict_names[verdict],
           (unsigned int)status, present->name, kind_names[what->kind], what->first, what->last,
           fault_name(what));
    fflush(stdout);
}

/* Wait for one child. Return its place, or -1 where none runs. */
static int take_one(void)
{
    enum verdict verdict;
    int status, i;
    pid_t pid;

    for (i = 0; i < AT_ONCE && children[i].pid == 0; i++)
        ;
    if (i == AT_ONCE)
        return -1;
    pid = wait(&status); /* the agent does not end */
    for (i = 0; i < AT_ONCE && children[i].pid != pid; i++)
        ;
    assert_true(i < AT_ONCE);
    children[i].pid = 0;
    verdict = trial_verdict(&all->notes[i], status);
    all->of_verdict[verdict]++;
    if (verdict > VERDICT_EXCEPTION)
        show(&children[i].what, verdict, status);
    return i;
}

static void start(const shortage *what)
{
    int i;

    for (i = 0; i < AT_ONCE && children[i].pid != 0; i++)
        ;
    if (i == AT_ONCE)
        i = take_one();
    children[i].what = *what;
    children[i].pid = trial_start(present, what, &all->notes[i], NULL, 0);
}

static void start_both(enum kind kind, long number)
{
    shortage what = {.kind = kind, .first = number, .last = number};

    start(&what);
    what.last = FOR_EVER;
    start(&what);
}

/* Count the calls of a phase. */
static notes count_calls(void)
{
    const shortage nothing = {.kind = KIND_MEMORY};
    int status, pid = trial_start(present, &nothing, &all->notes[0], all->sites, SITES);

    assert_true(waitpid(pid, &status, 0) == pid);
    if (trial_verdict(&all->notes[0], status) != VERDICT_PASSED)
        fprintf(stderr, "%s: without a shortage: %s, status %#x\n", present->name,
                verdict_names[trial_verdict(&all->notes[0], status)], (unsigned int)status);
    assert_int_equal(trial_verdict(&all->notes[0], status), VERDICT_PASSED);
    return all->notes[0];
}

/* Return true where this phase has met these callers before. Note them. */
static bool is_seen(unsigned long stack)
{
    long i;

    for (i = 0; i < all->seen_count; i++) {
        if (all->seen[i] == stack)
            return true;
    }
    if (all->seen_count < SITES)
        all->seen[all->seen_count++] = stack;
    return false;
}

/* Return true for an allocation that is to fail. Leave out libssl's, and repeated ones of OpenSSL's. */
static bool is_chosen(const site *one)
{
    return one->origin == ORIGIN_FOR_US ? !is_seen(one->stack) : one->origin != ORIGIN_OTHER;
}

/* Let allocations fail. An allocation of OpenSSL's fails alone only. Return the number that were chosen. */
static long run_without_memory(long count, long every, long origins[ORIGINS_COUNT])
{
    long chosen = 0, number;

    for (number = 1; number <= count + MORE; number++) {
        site one = number > count || number >= SITES ? (site){0} : all->sites[number];

        if (number <= count)
            origins[one.origin]++;
        if (!is_chosen(&one) || chosen++ % every != 0)
            continue;
        if (one.origin == ORIGIN_FOR_US)
            start(&(shortage){.kind = KIND_MEMORY, .first = number, .last = number});
        else
            start_both(KIND_MEMORY, number);
    }
    return chosen;
}

/* Fork before each turn of a handshake. All calls of a kind fail from there on, or none. A part of it is before the second. */
static void start_forks(bool is_part)
{
    int turn, kind, on;

    for (turn = is_part ? 2 : 1; turn <= (is_part ? 2 : TURNS); turn++) {
        for (kind = KIND_MEMORY; kind <= KINDS_COUNT; kind += is_part ? KINDS_COUNT : 1) {
            fork_fault fork = {.turn = turn, .is_plentiful = kind == KINDS_COUNT};

            for (on = 0; on < 2; on++) {
                fork.goes_on = on == 1;
                start(&(shortage){.kind = fork.is_plentiful ? KIND_MEMORY : (enum kind)kind,
                                  .fork = fork});
            }
        }
    }
}

static void run_shortages(long every)
{
    static const long steps[] = {1, 86400, 10 * 365 * 86400L};
    notes counted = count_calls();
    long origins[ORIGINS_COUNT] = {0}, chosen, number, i;
    int kind;

    memset(all->of_verdict, 0, sizeof(all->of_verdict));
    chosen = run_without_memory(counted.counts[KIND_MEMORY], every, origins);
    for (kind = KIND_MEMORY + 1; kind < KINDS_COUNT; kind++) {
        for (number = 1; number <= counted.counts[kind] + 1; number++)
            start_both((enum kind)kind, number);
    }
    for (i = 0; i < 6; i++)
        start(&(shortage){.clock.seconds = i % 2 == 0 ? steps[i / 2] : -steps[i / 2]});
    start(&(shortage){.clock.stands = true});
    start(&(shortage){.clock.stops = true});
    start_forks(every > 1);
    start(&(shortage){.no_fork = true});
    while (take_one() >= 0)
        ;
    printf("%-14s %-14s", present->phase, present->name);
    for (i = 0; i < ORIGINS_COUNT; i++)
        printf(" %6ld", origins[i]);
    printf(" %6ld", chosen);
    for (kind = KIND_MEMORY + 1; kind < KINDS_COUNT; kind++)
        printf(" %3ld", counted.counts[kind]);
}

/* Run a phase in a process of its own, as each one needs another state. */
static void run_scene(const scene *s, long every)
{
    long cases = 0;
    int status, i;
    time_t began = time(NULL);
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        present = s;
        scene_set_up(s);
        clock_hold();
        run_shortages(every);
        fflush(stdout);
        scene_tear_down();
        _exit(0);
    }
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    if (status != 0) {
        printf("%s: its process ended with status %#x\n", s->name, (unsigned int)status);
        all->of_verdict[VERDICT_CRASHED]++;
    }
    for (i = 0; i < VERDICTS; i++)
        cases += all->of_verdict[i];
    printf(" %6ld", cases);
    for (i = VERDICT_CLOSED; i < VERDICTS; i++)
        printf(" %4ld", all->of_verdict[i]);
    printf("  %ld s\n", (long)(time(NULL) - began));
}

/* Return true for one of the names, or where there are no names. */
static bool is_wanted(const scene *s, char **names)
{
    bool wanted = *names == NULL;

    for (; *names != NULL; names++)
        wanted |= strcmp(s->name, *names) == 0;
    return wanted;
}

static int run_all(long every, char **names)
{
    long cases = 0, faults = 0;
    size_t i;
    int j;

    printf("allocations are %s, %s, %s, %s, %s\n", origin_names[0], origin_names[1],
           origin_names[2], origin_names[3], origin_names[4]);
    printf(
        "phase          scene              A      B      C      D      E chosen  fd thr map dsk  cases "
        "clsd excp crsh hung leak open sick\n");
    for (i = 0; i < scenes_count; i++) {
        if (!is_wanted(&scenes[i], names))
            continue;
        memset(all->of_verdict, 0, sizeof(all->of_verdict));
        all->shown = 0;
        if (i == 0 || strcmp(scenes[i].phase, scenes[i - 1].phase) != 0)
            all->seen_count = 0;
        run_scene(&scenes[i], every);
        for (j = 0; j < VERDICTS; j++) {
            cases += all->of_verdict[j];
            faults += j > VERDICT_EXCEPTION ? all->of_verdict[j] : 0;
        }
    }
    printf("%ld cases, %ld faults\n", cases, faults);
    return faults != 0;
}

static int run_one(char **argv)
{
    shortage what = {.first = atol(argv[4]), .last = atol(argv[5])};
    enum verdict verdict;
    int status, pid;
    size_t i;

    for (i = 0; i < scenes_count && strcmp(scenes[i].name, argv[2]) != 0; i++)
        ;
    while (what.kind < KINDS_COUNT && strcmp(kind_names[what.kind], argv[3]) != 0)
        what.kind++;
    if (i == scenes_count || what.kind == KINDS_COUNT)
        return 2;
    trial_speak();
    scene_set_up(&scenes[i]);
    clock_hold();
    pid = trial_start(&scenes[i], &what, &all->notes[0], NULL, 0);
    assert_true(waitpid(pid, &status, 0) == pid);
    verdict = trial_verdict(&all->notes[0], status);
    printf("%s, status %#x, %ld calls failed\n", verdict_names[verdict], (unsigned int)status,
           all->notes[0].failed);
    scene_tear_down();
    return verdict > VERDICT_EXCEPTION;
}

int main(int argc, char **argv)
{
    trial_init();
    shim_set_up();
    all = mmap(NULL, sizeof(*all), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(all, MAP_FAILED);
    if (argc == 6 && strcmp(argv[1], "case") == 0)
        return run_one(argv);
    return run_all(argc > 1 ? atol(argv[1]) : 1, argc > 2 ? argv + 2 : argv + argc);
}

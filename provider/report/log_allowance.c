/*
 * How many lines the log may take: a peer that is refused a thousand times a second must not fill the
 * disk. A process shares this with all that it forks, as a child for each connection would begin with
 * an allowance of its own. It may end at any moment, so nothing is locked: one number is all there is.
 */
#include "report/log_allowance.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>

#define LINE_MS (1000 / PROV_LOG_PER_SECOND)
#define SAVED_MS (PROV_LOG_BURST * LINE_MS)
#define AHEAD_MS 1000 /* of us, by another processor's clock: nothing like it */

typedef struct allowance {
    _Atomic int64_t spent_until; /* a moment: each line spends the next LINE_MS before now */
    atomic_ulong left_out;
} allowance;

static allowance own;
static allowance *shared = &own; /* set before there is a thread that logs */

void prov_log_allowance_share(void)
{
    void *page;

    if (shared != &own)
        return;
    page = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED)
        shared = page;
}

bool prov_log_allowance_take(unsigned long *left_out)
{
    int64_t spent = atomic_load(&shared->spent_until), now, from;
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    now = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
    do {
        /* What is far ahead was written by who has another clock, or wanted silence. */
        from = spent < now - SAVED_MS || spent > now + AHEAD_MS ? now - SAVED_MS : spent;
        if (from + LINE_MS > now) {
            atomic_fetch_add(&shared->left_out, 1);
            return false;
        }
    } while (!atomic_compare_exchange_weak(&shared->spent_until, &spent, from + LINE_MS));
    *left_out = atomic_exchange(&shared->left_out, 0);
    return true;
}

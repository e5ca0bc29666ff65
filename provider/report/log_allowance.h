/* How many lines a process writes, and all that it forks. Any thread. */
#ifndef PROV_REPORT_LOG_ALLOWANCE_H
#define PROV_REPORT_LOG_ALLOWANCE_H

#include <stdbool.h>

#define PROV_LOG_BURST 50      /* lines at once, */
#define PROV_LOG_PER_SECOND 10 /* and in the long run */

/* Who is forked from now on has the same allowance. Under a lock, before any line is written. */
void prov_log_allowance_share(void);

/* May one more line be written? Then `*left_out` is how many were not, since the last one that was. */
bool prov_log_allowance_take(unsigned long *left_out);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* How many lines a process writes, and all that it forks. Any thread. */
#ifndef PROV_REPORT_ALLOWANCE_H
#define PROV_REPORT_ALLOWANCE_H

#include <stdbool.h>

#define PROV_LOG_BURST 50      /* lines at once, */
#define PROV_LOG_PER_SECOND 10 /* and in the long run */

/* Return true if one more line may be written. A line that may not be written is counted. */
bool prov_log_allowance_take(void);

/* Count lines that could not be written. */
void prov_log_allowance_leave_out(unsigned long lines);

/* Return the number of lines that were left out since the last call. */
unsigned long prov_log_allowance_left_out(void);

#endif

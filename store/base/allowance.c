/* SPDX-License-Identifier: Apache-2.0 */
#include "base/allowance.h"

bool consul_allowance_take(int64_t *spent_until, int64_t now, int64_t interval, int at_once)
{
    int64_t saved_since = now - at_once * interval;
    int64_t spent = *spent_until < saved_since ? saved_since : *spent_until;

    if (spent + interval > now)
        return false;
    *spent_until = spent + interval;
    return true;
}

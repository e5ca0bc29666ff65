/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cancel.h"

#include <pthread.h>

int consul_forbid_cancel(void)
{
    int state;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    return state;
}

void consul_allow_cancel(int state)
{
    pthread_setcancelstate(state, NULL);
}

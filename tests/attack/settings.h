/* SPDX-License-Identifier: Apache-2.0 */
/* The settings that the process of a row has for its life, and its world: the agent and all parties. */
#ifndef ATTACK_SETTINGS_H
#define ATTACK_SETTINGS_H

#include "row.h"

enum settings {
    PLAIN,
    SERVICE_WEB,
    REQUIRE,
    EMPTY_SERVICE,
    DEMAND_ALONE,
    DEAD_UPSTREAM,
    TWO_SERVICES,
    UNLOADED,
    SETTINGS
};

enum settings settings_of(const row *r);

/* Make the world of this process, once, before its first use of libcrypto. */
void settings_set_up(enum settings settings);

#endif

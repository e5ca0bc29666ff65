/* SPDX-License-Identifier: Apache-2.0 */
/* The life of the application's SSL, up to the handshake in question and its data. */
#ifndef ATTACK_LIFE_H
#define ATTACK_LIFE_H

#include "talk.h"

/* Live the row's life, with the application made. Return the outcome of the last handshake. */
talk_outcome life_run(const row *r);

#endif

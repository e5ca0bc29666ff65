/* SPDX-License-Identifier: Apache-2.0 */
/* The right answers of an agent. Any thread. */
#ifndef ATTACK_AGENT_RIGHTS_H
#define ATTACK_AGENT_RIGHTS_H

#include "mint.h"

/* Return the JSON of one CA or one leaf; free with free. */
char *rights_of_roots(const minted *ca, const char *trust_domain);
char *rights_of_leaf(const minted *leaf, const char *id);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token of a login, in memory that a process shares with its children. So a child for each connection makes no
 * login of its own. The memory is on no disk, and not in a core dump.
 *
 * Each process may end at any moment. So there is no lock, and each member is atomic. Any thread. A child
 * inherits the memory.
 */
#ifndef CONSUL_AGENT_SHARED_TOKEN_H
#define CONSUL_AGENT_SHARED_TOKEN_H

#include "base/clock.h"

#define CONSUL_SHARED_TEXT_MAX 511 /* bytes of a token, or of a reason; Consul's tokens have 36 */

typedef struct consul_shared_token consul_shared_token;

/* Return the memory without a token, for consul_shared_token_free. Return NULL without memory. */
consul_shared_token *consul_shared_token_new(void);

/* Leave the memory to the processes that share it. The last one gives it back. NULL is allowed. */
void consul_shared_token_free(consul_shared_token *shared);

/* Copy the token, and return the number of its login. Return 0 and "" before the first login. */
unsigned consul_shared_token_get(consul_shared_token *shared,
                                 char token[CONSUL_SHARED_TEXT_MAX + 1]);

/* Return the number of the login whose token counts, or 0 before the first. */
unsigned consul_shared_token_number(consul_shared_token *shared);

/* Return true where the token will end before long, so that another login is due. */
bool consul_shared_token_is_due(consul_shared_token *shared);

/* The outcome of a claim to the next login. */
enum consul_claim {
    CONSUL_CLAIM_MINE,   /* the caller makes the login, and then says what came of it */
    CONSUL_CLAIM_OTHERS, /* another thread or process makes a login now */
    CONSUL_CLAIM_SPENT   /* there were too many logins: three at once, and one in ten seconds */
};

/*
 * Claim the next login until a deadline. Another thread may claim it after the deadline. `*claim` is the
 * number of a claim.
 */
enum consul_claim consul_shared_token_claim(consul_shared_token *shared, consul_deadline until,
                                            int64_t *claim);

/*
 * Keep the token of a login, and end the claim. `life` is the milliseconds until the token ends, or 0 for a token
 * without an end. Return false where the claim had ended before.
 */
bool consul_shared_token_keep(consul_shared_token *shared, int64_t claim, const char *token,
                              int64_t life);

/*
 * Return true where this process has made the login of the present token, and forget that. Its number stays.
 */
bool consul_shared_token_disclaim(consul_shared_token *shared);

/*
 * End the claim of a login that has failed. `why` is the reason for other processes. The login does not count where
 * `was_tried` is false.
 */
void consul_shared_token_fail(consul_shared_token *shared, int64_t claim, const char *why,
                              bool was_tried);

/* Copy the reason of the last login that failed, or "". */
void consul_shared_token_reason(consul_shared_token *shared, char why[CONSUL_SHARED_TEXT_MAX + 1]);

#endif

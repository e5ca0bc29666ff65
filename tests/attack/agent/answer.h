/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of one answer of the agent, right or as a row has it. No state; any thread. */
#ifndef ATTACK_AGENT_ANSWER_H
#define ATTACK_AGENT_ANSWER_H

#include "../row.h"

/* Bytes that grow. A zeroed one is empty; free `data` with free. */
typedef struct bytes {
    char *data;
    size_t len, size;
} bytes;

void bytes_add(bytes *b, const void *data, size_t len);
void bytes_add_text(bytes *b, const char *text);
void bytes_fill(bytes *b, char c, size_t count);

/*
 * Write head and body of the answer that `right` would be. `right` is the JSON of a right answer. `head_len` becomes
 * the length of the head. `location` is for redirects.
 */
void answer_write(const row *r, const char *right, const char *location, unsigned int number,
                  bytes *answer, size_t *head_len);

/* Write a right answer. */
void answer_write_right(const char *right, bytes *answer);

/* Write the body, and the same in its frame. Parts of answer_write. */
void answer_write_body(const row *r, const char *right, bytes *body);
void answer_frame(const row *r, const bytes *body, bytes *out);

/* Return the bytes with which an endless answer goes on, or NULL. */
const char *answer_rest(const row *r);

/* Return true for an answer that no client can take for a right one, whatever its JSON is. */
bool answer_must_fail(const row *r);

/* Return true for a row that says yes to any client, in the form of a right answer. */
bool answer_is_yes(const row *r);

#endif

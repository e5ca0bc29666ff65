/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names from outside: their length, their characters, their case. Pure functions, for any thread.
 * They own nothing. Host names follow RFC 1035 2.3, and Consul's names allow more characters.
 */
#ifndef CONSUL_BASE_NAME_H
#define CONSUL_BASE_NAME_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

#define CONSUL_HOST_MAX 253 /* bytes of a host name without its last dot, RFC 1035 2.3.4 */
#define CONSUL_NAME_MAX 255 /* bytes of a service, namespace, partition or datacenter name */

/* The place of a name in Consul. An empty field leaves the choice to the agent. */
typedef struct consul_scope {
    char ns[CONSUL_NAME_MAX + 1];
    char partition[CONSUL_NAME_MAX + 1];
    char dc[CONSUL_NAME_MAX + 1];
} consul_scope;

/*
 * Check that a Consul name has 1 to CONSUL_NAME_MAX bytes and no control character. An error has
 * the reason `reason` and calls the name `what`.
 */
int consul_name_check(const char *what, const char *name, int reason, consul_error *err);

/*
 * Return true for a host name: labels of a-z, 0-9, '-' and '_', in lower case. The last label is
 * not a number, so that no address passes.
 */
bool consul_host_is_valid(const char *host);

/*
 * Write bytes from outside for the inside of quotes, cut to the size. Quotes, brackets, backslashes and bytes
 * that are not printable ASCII become `?`. So no part of a line can be imitated. Return `shown`.
 */
const char *consul_name_show(const void *bytes, size_t len, char *shown, size_t size);

/* Return a character of A-Z in lower case, and any other unchanged, in every locale. */
char consul_lower(char c);

/* Write the letters A-Z of a text in lower case, in place. */
void consul_lower_case(char *text);

/*
 * Return the first place of `word` in `data`, or NULL. The case of A-Z does not count. `word` is in lower case, and `data` may
 * be binary.
 */
const unsigned char *consul_find_word(const unsigned char *data, size_t len, const char *word);

#endif

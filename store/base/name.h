/* Names from outside: their length, their characters, their case. Pure functions; any thread. */
#ifndef CONSUL_BASE_NAME_H
#define CONSUL_BASE_NAME_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

#define CONSUL_HOST_MAX 253 /* bytes of a host name without its last dot, RFC 1035 2.3.4 */
#define CONSUL_NAME_MAX 255 /* bytes of a service, namespace, partition or datacenter name */

/* Where a name lives; an empty field leaves the choice to the agent. */
typedef struct consul_scope {
    char ns[CONSUL_NAME_MAX + 1];
    char partition[CONSUL_NAME_MAX + 1];
    char dc[CONSUL_NAME_MAX + 1];
} consul_scope;

/* Check a Consul name from outside: 1 to CONSUL_NAME_MAX bytes, no control characters. */
int consul_name_check(const char *what, const char *name, int reason, consul_error *err);

/* Is this a host name: labels of a-z, 0-9, '-' and '_', in lower case, the last one no number? */
bool consul_host_is_valid(const char *host);

/* Return this character in lower case if it is one of A-Z, whatever the locale. */
char consul_lower(char c);

/* Make a text lower case, in place. */
void consul_lower_case(char *text);

/* The first place of `word`, in any case, in bytes that need not be text; NULL if there is none. */
const unsigned char *consul_find_word(const unsigned char *data, size_t len, const char *word);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words by which a server begins TLS on a connection that began without it: STARTTLS and its like. The
 * server may be anything: it has ten seconds and 4 kB for its part. One thread.
 */
#ifndef CLI_CHECK_STARTTLS_H
#define CLI_CHECK_STARTTLS_H

#include <stdbool.h>

#define CLI_STARTTLS_WHY 256

/* The protocols, with commas, for a text. */
extern const char cli_starttls_names[];

/* Return true for a known protocol, as in "postgres". */
bool cli_starttls_knows(const char *protocol);

/*
 * Have the server at the other end of a connected socket begin TLS. Return false with the reason where it does
 * not. The next byte is TLS then, and none of it was read.
 */
bool cli_starttls_begin(int fd, const char *protocol, char why[CLI_STARTTLS_WHY]);

#endif

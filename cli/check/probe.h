/* SPDX-License-Identifier: Apache-2.0 */
/* A server of TLS with the provider, in a process of its own, for one connection. */
#ifndef CLI_CHECK_PROBE_H
#define CLI_CHECK_PROBE_H

#define CLI_PROBE "--probe" /* the first argument of that process */

/*
 * Be that server: `fd` is the connection, and `uri` that of a stand-in. The program begins at the row
 * `application` of openssl.cnf. OPENSSL_CONF names the file. Returns the exit code, and prints
 * the reason of a failure on stderr.
 */
int cli_probe_serve(const char *fd, const char *uri, const char *application);

#endif

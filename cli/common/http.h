/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server of one page, for Prometheus: GET /metrics over plain HTTP. Each peer that can connect may read it.
 *
 * A peer may be hostile. A request has 2,048 bytes at most, and its connection lasts five seconds at most.
 * Sixteen connections are open at a time. One more takes the place of the oldest. The page is made once a
 * second at most. One thread, which waits for no peer.
 *
 * A library for HTTP would be larger than all of this. An activated socket of systemd would leave the same
 * bytes to read, and containers without a server.
 */
#ifndef CLI_COMMON_HTTP_H
#define CLI_COMMON_HTTP_H

#include "base/error.h"

#include <stdio.h>

/* Print the page, and return 1. Return 0 with an error otherwise. */
typedef int cli_page_fn(FILE *out, consul_error *err);

/*
 * Serve a page at ADDRESS:PORT, until a signal ends the program. The address is a number. A port alone is one
 * of 127.0.0.1. Return 0 with an error where it cannot listen.
 */
int cli_http_serve(const char *address, cli_page_fn *page, consul_error *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* How an endpoint is kept from reading and writing. In the thread that drives the SSL. */
#ifndef PROV_ENDPOINT_STOP_H
#define PROV_ENDPOINT_STOP_H

#include "endpoint/endpoint.h"

/* Note that it was stopped; return true if it was not before, in this handshake. */
bool endpoint_stop(endpoint *e);
bool endpoint_is_stopped(const endpoint *e);

/*
 * Return true if the peer was authorized in this handshake, or need not be. A client that goes by its
 * peer has not looked at it after a resumption. The same holds where the application verified it alone.
 */
bool endpoint_may_finish(const endpoint *e, const SSL *ssl);

/*
 * Let nothing more be written to the network by a connection that was stopped. The BIO that the
 * application has given to the SSL stays alive. `e` is NULL without memory.
 */
void endpoint_cut_off(endpoint *e, SSL *ssl);

/*
 * Let what is written from now on vanish. A BIO that refuses it would have libssl keep the record, and write it to the next
 * BIO.
 */
void endpoint_swallow(endpoint *e, SSL *ssl);

/*
 * Give the SSL its BIO back that was put away. It may write again, so that no earlier keys may be left. Where the application has
 * given it a BIO since, forget the other one.
 */
void endpoint_give_back(endpoint *e, SSL *ssl);

/* Keep it from writing until the peer is authorized; and let it write again, unless it was stopped. */
void endpoint_hold_back(endpoint *e, SSL *ssl);
void endpoint_release(endpoint *e, SSL *ssl);
bool endpoint_is_held_back(const endpoint *e);

/*
 * Hold back a server that has given its keys to the kernel all the same. An application may set the option right before libssl
 * looks at it. Its callback for the log of keys is such a moment. The server's Finished is written by then. The client's comes next.
 */
void endpoint_hold_back_keys(endpoint *e, SSL *ssl);

#endif

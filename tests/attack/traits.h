/* SPDX-License-Identifier: Apache-2.0 */
/* Traits of a row, by which the oracle and its exceptions tell rows apart. Plain data; any thread. */
#ifndef ATTACK_TRAITS_H
#define ATTACK_TRAITS_H

#include "row.h"

/* Return true for a server as the application under attack. */
bool row_is_server(const row *r);

/* Return true for a client that its server's certificate decides about, and not a name. */
bool row_goes_by_peer(const row *r);

/* Return true where one of our callbacks is displaced, by its axis. */
bool row_is_displaced(const row *r, int which);

/* Return true for a server that displaces all but the callback for the client hello. */
bool row_displaces_all_but_hello(const row *r);

/* Return true where the application takes its verify mode back. */
bool row_takes_mode(const row *r);

/* Return true for a server without a demand for a certificate, at the end. */
bool row_demands_nothing(const row *r);

/* Return true where SSL_write comes before the client's certificate, as with early data. */
bool row_writes_too_early(const row *r);

/* Return true for a server that displaces all callbacks, and needs no certificate of its client. */
bool row_displaces_all(const row *r);

/* Return true for a server that is given its leaf after the client hello. */
bool row_is_given_late(const row *r);

/* Return true for a client that is given its leaf when it is asked for it. */
bool row_is_given_late_to_client(const row *r);

/* Return true where the application itself puts another certificate in the place of its leaf. */
bool row_replaces_leaf(const row *r);

/* Return true where it takes a leaf of the other service, and where it may have one. */
bool row_takes_other(const row *r);
bool row_has_other(const row *r);

/* Return true where its SSL has a session from before. */
bool row_has_session(const row *r);

/* Return true where that session is of an ordinary server, which shares its tickets or its cache. */
bool row_has_session_of_others(const row *r);

bool row_is_second_handshake(const row *r);

/* Return true where another callback takes the place of the one that gives the leaf. */
bool row_is_never_given(const row *r);

/* Return true for a client on OpenSSL 4, which does not take our extension, without the security callback. */
bool row_is_without_extension(const row *r);

/* Return true where the application looks at the certificate of another peer. */
bool row_looks_at_another(const row *r);

/* Return true where the application makes its SSL resume the session of others, or a secret. */
bool row_resumes_by_itself(const row *r);

/* Return true where a session of another server may be looked up before a callback of ours comes. */
bool row_looks_up_before_us(const row *r);

/* Return true where only the session callback is left, and a session of another server is resumed. */
bool row_resumes_without(const row *r);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The tricks of the table in forgeries.c that no order of a certificate can tell. */
#ifndef CONSUL_TEST_FORGERY_TRICKS_H
#define CONSUL_TEST_FORGERY_TRICKS_H

#include "forgery.h"

/* Change a certificate before its signature. */
void trick_serial_zero(X509 *cert);
void trick_serial_negative(X509 *cert);
void trick_san_trailing(X509 *cert);    /* more bytes behind the names */
void trick_san_indefinite(X509 *cert);  /* BER: no length, and two zero bytes at the end */
void trick_san_long_length(X509 *cert); /* BER: a length in more bytes than it needs */
void trick_san_constructed(X509 *cert); /* BER: the URI in two pieces */
void trick_usage_trailing(X509 *cert);  /* more bytes behind the key usage */
void trick_many_extensions(X509 *cert); /* seventy that are unknown */
void trick_without_zone(X509 *cert);    /* a notAfter in local time */
void trick_with_zone(X509 *cert);       /* a notAfter in another time zone */
void trick_with_fraction(X509 *cert);   /* a notAfter with parts of seconds */
void trick_no_date(X509 *cert);         /* a notAfter in the month 13 */
void trick_without_end(X509 *cert);     /* 99991231235959Z */
void trick_generalized(X509 *cert);     /* a notBefore of today as GeneralizedTime */

/* Change a signed certificate. `key` is its issuer's. */
void trick_version_1(X509 *cert, EVP_PKEY *key);
void trick_version_2(X509 *cert, EVP_PKEY *key);
void trick_other_algorithm(X509 *cert, EVP_PKEY *key); /* outside of what was signed */
void trick_broken_signature(X509 *cert, EVP_PKEY *key);
void trick_signature_trailing(X509 *cert, EVP_PKEY *key);
void trick_pss_signature(X509 *cert, EVP_PKEY *key);

/* Make leaf and chain. */
void trick_signed_by_a_leaf(forger *f, forged *result);
void trick_proxy(forger *f, forged *result);
void trick_curveball(forger *f, forged *result); /* a root's public key with another generator */
void trick_self_signed(forger *f, forged *result);
void trick_root_itself(forger *f, forged *result);
void trick_long_chain(forger *f, forged *result);
void trick_longer_chain(forger *f, forged *result);
void trick_loop(forger *f, forged *result); /* of two CAs, none of which a root has signed */
void trick_loop_with_way(forger *f, forged *result); /* the root has signed the first one, too */

/* Change the chain that is sent. */
void trick_without_chain(forger *f, forged *result);
void trick_reversed(forger *f, forged *result);
void trick_with_root(forger *f, forged *result);
void trick_twice(forger *f, forged *result);
void trick_strangers_beside(forger *f, forged *result);
void trick_namesake_first(forger *f, forged *result); /* a foreign CA of the intermediate's name */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/leaf.h"

#include "base/clock.h"
#include "identity/cert.h"
#include "identity/cert_text.h"
#include "identity/snapshots.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/x509v3.h>

#define LAST_SECONDS 3600 /* of a leaf that its agent should have renewed */

consul_leaf *consul_leaf_new(consul_error *err)
{
    consul_leaf *leaf = OPENSSL_zalloc(sizeof(*leaf));

    if (leaf == NULL || (leaf->chain = sk_X509_new_null()) == NULL) {
        OPENSSL_free(leaf);
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "a leaf");
        return NULL;
    }
    atomic_init(&leaf->refs, 1);
    return leaf;
}

consul_leaf *consul_leaf_ref(consul_leaf *leaf)
{
    atomic_fetch_add_explicit(&leaf->refs, 1, memory_order_relaxed);
    return leaf;
}

void consul_leaf_unref(consul_leaf *leaf)
{
    if (leaf == NULL || atomic_fetch_sub_explicit(&leaf->refs, 1, memory_order_acq_rel) != 1)
        return;
    EVP_PKEY_free(leaf->key);
    X509_free(leaf->cert);
    sk_X509_pop_free(leaf->chain, X509_free);
    OPENSSL_free(leaf);
}

EVP_PKEY *consul_leaf_key(const consul_leaf *leaf)
{
    return leaf->key;
}

X509 *consul_leaf_cert(const consul_leaf *leaf)
{
    return leaf->cert;
}

const STACK_OF(X509) *consul_leaf_chain(const consul_leaf *leaf)
{
    return leaf->chain;
}

const consul_spiffe_id *consul_leaf_id(const consul_leaf *leaf)
{
    return &leaf->id;
}

/* Refuse a leaf by its dates. If the agent has just given it out, a clock is wrong: here, or at the CA. */
static int refuse_dates(const consul_leaf *leaf, const char *service, bool has_expired,
                        consul_error *err)
{
    char from[CONSUL_DATE_MAX], until[CONSUL_DATE_MAX], now[CONSUL_TIME_MAX];

    consul_cert_date(X509_get0_notBefore(leaf->cert), from);
    consul_cert_date(X509_get0_notAfter(leaf->cert), until);
    consul_time_text(time(NULL), now);
    return consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID,
                            "the leaf of \"%s\" %s: it is valid from %s until %s, and here it is "
                            "%s; check this host's clock",
                            service, has_expired ? "has expired" : "is not valid yet", from, until,
                            now);
}

/* Return 0 for a leaf that is valid now. Return X509_cmp_timeframe's word otherwise: above 0 for one that has expired. */
static int compare_dates(const consul_leaf *leaf)
{
    int64_t now = time(NULL);

    if (leaf->begins <= now && now < leaf->ends)
        return 0;
    return X509_cmp_timeframe(NULL, X509_get0_notBefore(leaf->cert),
                              X509_get0_notAfter(leaf->cert));
}

int consul_leaf_check(const consul_leaf *leaf, const consul_roots *roots, const char *service,
                      const consul_scope *scope, bool chains, bool *stale, consul_error *err)
{
    const consul_spiffe_id *id = &leaf->id;
    consul_error why = {0};
    int valid;

    *stale = false;
    if (strcmp(id->service, service) == 0 && *scope->dc != '\0'
        && strcmp(id->scope.dc, scope->dc) != 0)
        return consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID,
                                "the leaf is for \"%s\", and not for the datacenter \"%s\" of the "
                                "request; an agent since 1.16 keeps one for all datacenters; ask "
                                "each agent for one datacenter only",
                                id->uri, scope->dc);
    if (!consul_spiffe_id_is(id, service, scope))
        return consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID,
                                "the leaf is for \"%s\", and not for the service of the request",
                                id->uri);
    valid = compare_dates(leaf);
    *stale = valid > 0;
    if (valid != 0)
        return refuse_dates(leaf, service, valid > 0, err);
    if (roots == NULL)
        return 1;
    if (strcmp(id->trust_domain, roots->trust_domain) != 0) {
        *stale = true;
        return consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID,
                                "the leaf \"%s\" is not in the trust domain \"%s\"", id->uri,
                                roots->trust_domain);
    }
    if (!chains
        && !consul_roots_verify(roots, leaf->cert, leaf->chain, X509_PURPOSE_ANY, -1, NULL, NULL,
                                NULL, &why)) {
        *stale = true;
        return consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID,
                                "the leaf \"%s\" does not chain to the roots: %s", id->uri,
                                why.text);
    }
    return 1;
}

/* Return the seconds from now to a date, below 0 for one that is over; 0 for a date that is malformed. */
static int64_t seconds_to(const ASN1_TIME *date)
{
    int days = 0, seconds = 0;

    if (ASN1_TIME_diff(&days, &seconds, NULL, date) != 1)
        return 0;
    return (int64_t)days * 86400 + seconds;
}

static int64_t least_time_left(const STACK_OF(X509) *certs, int64_t least)
{
    int i;

    for (i = 0; i < sk_X509_num(certs); i++) {
        int64_t left = seconds_to(X509_get0_notAfter(sk_X509_value(certs, i)));

        if (left > 0 && left < least)
            least = left;
    }
    return least;
}

time_t consul_leaf_next_expiry(const consul_leaf *leaf, const consul_roots *roots)
{
    time_t now = time(NULL);
    int64_t left = least_time_left(roots->certs, least_time_left(leaf->chain, INT32_MAX));

    return now + (time_t)left;
}

void consul_leaf_note_validity(consul_leaf *leaf)
{
    consul_cert_validity(leaf->cert, &leaf->begins, &leaf->ends);
}

bool consul_leaf_is_ending(const consul_leaf *leaf, enum consul_event_kind *stage)
{
    int64_t left = leaf->ends - time(NULL), life = leaf->ends - leaf->begins;

    if (left >= life / 4)
        return false;
    if (left < 0)
        *stage = CONSUL_EVENT_LEAF_EXPIRED;
    else if (left < LAST_SECONDS && left < life / 10)
        *stage = CONSUL_EVENT_LEAF_LAST;
    else
        *stage = CONSUL_EVENT_LEAF_QUARTER;
    return true;
}

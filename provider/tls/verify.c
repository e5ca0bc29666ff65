/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verify hook, in place of libssl's verification of a peer on a governed connection.
 *
 * The application's own X509_STORE, verify parameters and verify callback admit no peer here: callbacks
 * that accept everything are common. A peer is verified in a context of ours, against the current roots
 * alone. The application's callback is told of the result: verify_callback.h. A name that the parameters ask for is
 * not found.
 */
#include "tls/verify.h"

#include "endpoint/asking.h"
#include "endpoint/certificates.h"
#include "endpoint/endpoint.h"
#include "endpoint/report.h"
#include "endpoint/rule.h"
#include "instance/instances.h"
#include "tls/govern.h"
#include "tls/peer_names.h"
#include "tls/verify_callback.h"

#include <stddef.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

static int get_roots(peer_check *check, consul_error *err)
{
    consul_asking asking;
    int ok;

    check->x509_error = X509_V_ERR_UNSPECIFIED; /* internal_error: it is not the peer's fault */
    if (endpoint_store(check->end) == NULL) {
        consul_store_unref(prov_active_store(err)); /* gives the reason */
        return consul_error_set(err, CONSUL_R_NOT_ACTIVE, "it was not when the handshake began");
    }
    asking = endpoint_begin_asking(check->end);
    asking.strict = SSL_is_server(check->ssl); /* the same agent judges its client */
    ok = consul_store_roots(endpoint_store(check->end), NULL, asking, &check->roots, err);
    endpoint_end_asking(check->end, &asking);
    return ok;
}

/*
 * Return true if a root may have issued it that this process does not know yet. A rotation may reach the
 * peer's agent first. No newer root would mend a certificate that is signed by itself, or has no identity
 * in our mesh. A peer that makes up the rest can have the agent asked, but not often:
 * consul_store_doubt_roots.
 */
static bool may_be_of_a_newer_root(peer_check *check, const X509 *cert)
{
    return check->x509_error != X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
           && X509_cmp_timeframe(NULL, X509_get0_notBefore(cert), X509_get0_notAfter(cert)) == 0
           && consul_spiffe_id_of_cert(cert, &check->id, NULL)
           && strcmp(check->id.trust_domain, consul_roots_trust_domain(check->roots)) == 0;
}

static bool get_newer_roots(peer_check *check)
{
    consul_asking asking = endpoint_begin_asking(check->end);
    bool are_others =
        consul_store_doubt_roots(endpoint_store(check->end), NULL, asking, &check->roots);

    endpoint_end_asking(check->end, &asking);
    return are_others;
}

/*
 * Make the session of this handshake unusable: a resumption would skip this verification. A server refuses
 * it at the look-up already, and its context becomes one that no look-up has. A client may not know in time that it
 * is governed. Its session gets a version that no ClientHello offers, and the next handshake is a full one.
 */
static int spoil_session(peer_check *check, consul_error *err)
{
    SSL_SESSION *session = SSL_get_session(check->ssl);
    unsigned char context[SSL_MAX_SID_CTX_LENGTH];
    int ok = 1;

    if (session != NULL && SSL_is_server(check->ssl))
        ok = RAND_bytes(context, sizeof(context)) == 1
             && SSL_SESSION_set1_id_context(session, context, sizeof(context)) == 1;
    else if (session != NULL)
        ok = SSL_SESSION_set_protocol_version(session, SSL3_VERSION) == 1;
    return ok
           || prov_peer_refuse(check, X509_V_ERR_UNSPECIFIED, err, CONSUL_R_INTERNAL,
                               "the session could not be made unusable for resumption");
}

/*
 * Judge a client's server by its certificate. A server that claims to be of our mesh is held to that. Any
 * other is left to the application.
 */
static int judge_by_peer(peer_check *check, consul_error *err)
{
    const X509 *cert = check->cert;

    check->by_peer = true;
    if (cert == NULL || !consul_cert_claims_trust_domain(cert, NULL))
        return 1;
    if (!get_roots(check, err)) { /* our trust domain is not known */
        endpoint_govern(check->end);
        return 0;
    }
    if (consul_cert_claims_trust_domain(cert, consul_roots_trust_domain(check->roots))) {
        endpoint_govern(check->end);
        return 1;
    }
    return spoil_session(check, err); /* resumed, it could not be told from one of ours */
}

/* Verify the peer's chain. Without success the reason is in `why` of the check. */
static int try_chain(peer_check *check)
{
    int purpose = SSL_is_server(check->ssl) ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER;

    check->why = (consul_error){0};
    return consul_roots_verify(check->roots, check->cert, check->untrusted, purpose,
                               SSL_get_security_level(check->ssl), &check->chain, check->digest,
                               &check->x509_error, &check->why);
}

static bool has_no_issuer(int x509_error)
{
    return x509_error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT
           || x509_error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
           || x509_error == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE
           || x509_error == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
           || x509_error == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN
           || x509_error == X509_V_ERR_CERT_SIGNATURE_FAILURE;
}

/* Return true where a root of the mesh has issued the peer's certificate. It may have other faults. */
static bool leads_to_our_roots(peer_check *check)
{
    int before = check->x509_error;
    bool leads = try_chain(check) || !has_no_issuer(check->x509_error);

    sk_X509_pop_free(check->chain, X509_free);
    check->chain = NULL;
    check->x509_error = before;
    return leads;
}

/*
 * Return true if the mesh has issued the certificate of a server that was left to the application. The
 * chain tells, after the application's CAs have verified it: Consul's roots may be among them. Consul signs
 * URIs in which the leaf alone does not show it: spiffe://x@..., or spiffe:/agent/... The application's verify callback may have
 * replaced the chain. So a leaf with such a URI is looked at by itself.
 */
static bool is_issued_by_the_mesh(peer_check *check, consul_error *err)
{
    const STACK_OF(X509) *chain = check->is_displaced ? SSL_get0_verified_chain(check->ssl)
                                                      : X509_STORE_CTX_get0_chain(check->ctx);
    bool by_a_mesh = check->roots != NULL; /* by the leaf's word: the roots were asked for */
    int i;

    if (!check->is_displaced && check->cert != NULL)
        by_a_mesh |= consul_cert_may_be_of_a_mesh(check->cert);
    for (i = 1; !by_a_mesh && i < sk_X509_num(chain); i++)
        by_a_mesh = consul_cert_claims_trust_domain(sk_X509_value(chain, i), NULL);
    if (!by_a_mesh)
        return false;
    if (check->roots == NULL && !get_roots(check, err))
        return true; /* not known, and so refused */
    for (i = 0; i < sk_X509_num(chain); i++) {
        const X509 *cert = sk_X509_value(chain, i);

        if (consul_roots_contain(check->roots, cert)
            || consul_cert_claims_trust_domain(cert, consul_roots_trust_domain(check->roots)))
            return true;
    }
    return check->cert != NULL && leads_to_our_roots(check);
}

static int verify_chain(peer_check *check, consul_error *err)
{
    /* A raw public key (RFC 7250) comes without a certificate. */
    if (check->cert == NULL)
        return prov_peer_refuse(check, X509_V_ERR_CERT_REJECTED, err,
                                CONSUL_R_PEER_CERTIFICATE_MISSING,
                                "a raw public key is no certificate");
    if (try_chain(check))
        return 1;
    if (may_be_of_a_newer_root(check, check->cert) && get_newer_roots(check) && try_chain(check))
        return 1;
    consul_error_copy(err, &check->why);
    return consul_spiffe_id_of_cert(check->cert, &check->id, NULL)
               ? consul_error_prefix(err, "a certificate of \"%s\": ", check->id.uri)
               : 0;
}

static int verify_identity(peer_check *check, consul_error *err)
{
    char text[2 * CONSUL_NAME_MAX + 64];

    check->x509_error = X509_V_ERR_CERT_REJECTED;
    if (!consul_spiffe_id_of_cert(check->cert, &check->id, err))
        return 0;
    if (strcmp(check->id.trust_domain, consul_roots_trust_domain(check->roots)) == 0) {
        consul_store_note_peer(endpoint_store(check->end));
        return 1;
    }
    snprintf(text, sizeof(text), "its trust domain \"%s\" is not \"%s\"", check->id.trust_domain,
             consul_roots_trust_domain(check->roots));
    return prov_peer_refuse(check, X509_V_ERR_CERT_REJECTED, err, CONSUL_R_PEER_NOT_A_SERVICE,
                            text);
}

/* Give our leaf to a server that is one of ours, and check that it is the wanted one. */
static int verify_server(peer_check *check, consul_error *err)
{
    check->x509_error = X509_V_ERR_UNSPECIFIED;
    if (!endpoint_present_leaf(check->end, check->ssl, err))
        return 0;
    check->x509_error = X509_V_ERR_CERT_REJECTED;
    return endpoint_wanted(check->end) == NULL || prov_peer_verify_service(check, err);
}

/* Ask whether this client may connect. Only a server asks: a client chooses its server itself. */
static int authorize(peer_check *check, consul_error *err)
{
    const consul_spiffe_id *own = endpoint_identity(check->end, check->ssl, &check->own, err);
    enum consul_basis basis;
    consul_asking asking;
    int ok;

    check->x509_error = X509_V_ERR_UNSPECIFIED;
    if (own == NULL) {
        err->reason = CONSUL_R_OWN_IDENTITY_INVALID;
        return 0;
    }
    if (strcmp(own->trust_domain, consul_roots_trust_domain(check->roots)) != 0)
        return consul_error_set(err, CONSUL_R_OWN_IDENTITY_INVALID,
                                "\"%s\" is not in the trust domain \"%s\"; load the leaf again",
                                own->uri, consul_roots_trust_domain(check->roots));
    asking = endpoint_begin_asking(check->end);
    asking.connection = SSL_get_rfd(check->ssl);
    ok = consul_store_authorize(endpoint_store(check->end), own, check->cert, check->digest,
                                &check->id, asking, &basis, err);
    endpoint_end_asking(check->end, &asking);
    endpoint_set_basis(check->end, basis);
    if (ok)
        return 1;
    if (err->reason == CONSUL_R_PEER_DENIED)
        check->x509_error = X509_V_ERR_CERT_REJECTED;
    return 0;
}

static int check_peer(peer_check *check, consul_error *err)
{
    return (check->roots != NULL || get_roots(check, err)) && verify_chain(check, err)
           && verify_identity(check, err) && prov_peer_verify_names(check, err)
           && (SSL_is_server(check->ssl) ? authorize(check, err) : verify_server(check, err))
           && spoil_session(check, err);
}

/* Leave the peer to the application. `e` is NULL for a verification of no connection. */
static int leave_alone(X509_STORE_CTX *ctx, endpoint *e)
{
    if (e != NULL)
        endpoint_set_peer(e, ENDPOINT_PEER_LEFT_ALONE);
    return X509_verify_cert(ctx) > 0; /* as libssl would */
}

/*
 * Verify one peer, and return 1 if it has passed. An application that verifies by itself may have verified another
 * certificate. So the end of the handshake looks at the peer's: see endpoint_may_finish.
 */
static int verify(peer_check *check, consul_error *err)
{
    X509_STORE_CTX *ctx = check->ctx;
    int ok = 1;

    if (check->ssl != NULL && check->end == NULL && !consul_store_in_request()) { /* and stopped */
        X509_STORE_CTX_set_error(ctx, X509_V_ERR_UNSPECIFIED);
        return 0;
    }
    /* The application may have set the name in the handshake. OpenSSL, too, looks at it now. */
    if (check->end != NULL && endpoint_rule(check->end) != ENDPOINT_LEFT_ALONE
        && !SSL_is_server(check->ssl) && endpoint_names_service(check->end, check->ssl))
        endpoint_govern(check->end);
    /* Errors of attempts on the way leave no traces. The errors raised below stay. */
    ERR_set_mark();
    if (check->end != NULL && endpoint_rule(check->end) == ENDPOINT_BY_PEER)
        ok = judge_by_peer(check, err);
    if (check->end == NULL || endpoint_rule(check->end) != ENDPOINT_GOVERNED) {
        ERR_pop_to_mark();
        if (!ok)
            X509_STORE_CTX_set_error(ctx, X509_V_ERR_OUT_OF_MEM);
        if (!ok || !(check->is_displaced || leave_alone(ctx, check->end)))
            return 0;
        ERR_set_mark();
        if (!check->by_peer || !is_issued_by_the_mesh(check, err)) {
            ERR_pop_to_mark();
            return 1;
        }
        endpoint_govern(check->end);
    }
    endpoint_set_peer(check->end, ENDPOINT_PEER_UNVERIFIED);
    endpoint_look_at_peer(check->end);
    ok = ok && check_peer(check, err);
    ERR_pop_to_mark();
    ok = ok && prov_callback_hear_success(check, err);
    if (ok) {
        endpoint_authorize(check->end, check->cert);
        endpoint_count_admitted(check->end, check->ssl);
        X509_STORE_CTX_set_error(ctx, check->application_error);
    } else {
        prov_callback_hear_refusal(check, err);
        endpoint_report_peer(check->end, check->ssl, err, check->cert);
    }
    /* A callback of the application's may have changed the mode by which libssl obeys us. */
    prov_tls_arm(check->ssl);
    return ok;
}

/* Verify the peer of an SSL; of its endpoint, as it was armed just now. Both are NULL for no connection. */
static int verify_in(X509_STORE_CTX *ctx, SSL *ssl, endpoint *e, bool is_displaced)
{
    peer_check *check = OPENSSL_malloc(sizeof(*check));
    int ok;

    if (check == NULL) { /* the peer is not authorized, and a governed connection is stopped */
        X509_STORE_CTX_set_error(ctx, X509_V_ERR_OUT_OF_MEM);
        return 0;
    }
    memset(check, 0, offsetof(peer_check, id));
    check->ctx = ctx;
    check->cert = X509_STORE_CTX_get0_cert(ctx);
    check->untrusted = X509_STORE_CTX_get0_untrusted(ctx);
    check->is_displaced = is_displaced;
    check->ssl = ssl;
    check->end = e;
    check->x509_error = X509_V_ERR_UNSPECIFIED;
    check->err = (consul_error){0};
    ok = verify(check, &check->err);
    sk_X509_pop_free(check->chain, X509_free);
    consul_roots_unref(check->roots);
    OPENSSL_free(check);
    return ok;
}

int prov_verify_peer(X509_STORE_CTX *ctx, void *arg)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    endpoint *e = ssl == NULL ? NULL : prov_tls_arm(ssl);

    return e != NULL && endpoint_rule(e) == ENDPOINT_LEFT_ALONE ? leave_alone(ctx, e)
                                                                : verify_in(ctx, ssl, e, false);
}

/* Verify the peer of a displaced verification in a context of ours. */
static void verify_anew(SSL *ssl, X509 *cert, X509_STORE_CTX *theirs)
{
    int index = SSL_get_ex_data_X509_STORE_CTX_idx();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();

    if (ctx == NULL)
        return;
    if (X509_STORE_CTX_init(ctx, SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl)), cert,
                            X509_STORE_CTX_get0_untrusted(theirs))
            == 1
        && X509_VERIFY_PARAM_set1(X509_STORE_CTX_get0_param(ctx), SSL_get0_param(ssl)) == 1
        && X509_STORE_CTX_set_ex_data(ctx, index, ssl) == 1)
        verify_in(ctx, ssl, prov_tls_arm(ssl), true);
    X509_STORE_CTX_set_ex_data(ctx, index, NULL); /* this one is no turn of the handshake */
    X509_STORE_CTX_free(ctx);
}

/*
 * Give a refused certificate another key, by which no peer signs. libssl then finds the signature of the handshake wrong,
 * whatever the application says of the certificate. Only the peer's own certificate is changed. libssl has just parsed it from
 * the handshake, and has it first in the chain.
 */
static void spoil_peer_key(X509 *cert, const STACK_OF(X509) *chain)
{
    EVP_PKEY *key = sk_X509_value(chain, 0) == cert ? EVP_EC_gen("P-256") : NULL;

    if (key != NULL)
        X509_set_pubkey(cert, key);
    EVP_PKEY_free(key);
}

void prov_verify_displaced(endpoint *e, SSL *ssl, X509_STORE_CTX *theirs)
{
    X509 *cert = X509_STORE_CTX_get0_cert(theirs);

    if (cert == NULL || (prov_tls_is_governed(e) && !endpoint_look_at_peer(e)))
        return;
    verify_anew(ssl, cert, theirs);
    if (prov_tls_is_governed(e) && endpoint_peer(e) != ENDPOINT_PEER_AUTHORIZED)
        spoil_peer_key(cert, X509_STORE_CTX_get0_untrusted(theirs));
    /* The refusal of an application that demands nothing has no effect. libssl looks at the mode right after this. */
    if (endpoint_peer(e) == ENDPOINT_PEER_AUTHORIZED && endpoint_is_lenient(e)
        && !SSL_is_server(ssl))
        SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/verify_callback.h"

#include "tls/peer_names.h"
#include "tls/stop.h"

#include <openssl/x509_vfy.h>

/* Hand over the chain to the application's callback: the verified chain, or the certificate alone. */
static int hand_over_chain(peer_check *check)
{
    if (check->chain == NULL && check->cert != NULL && (check->chain = sk_X509_new_null()) != NULL
        && X509_up_ref(check->cert) && !sk_X509_push(check->chain, check->cert))
        X509_free(check->cert);
    X509_STORE_CTX_set0_verified_chain(check->ctx, check->chain); /* the context's from here on */
    check->chain = NULL;
    return sk_X509_num(X509_STORE_CTX_get0_chain(check->ctx)) > 0;
}

static int tell(peer_check *check, int ok, int depth)
{
    X509_STORE_CTX *ctx = check->ctx;

    X509_STORE_CTX_set_error(ctx, ok ? X509_V_OK : check->x509_error);
    X509_STORE_CTX_set_error_depth(ctx, depth);
    X509_STORE_CTX_set_current_cert(ctx, sk_X509_value(X509_STORE_CTX_get0_chain(ctx), depth));
    return X509_STORE_CTX_get_verify_cb(ctx)(ok, ctx);
}

/*
 * Return true where libssl would not heed the application's callback: on a client that demands no verification. Ruby's
 * clients look for a host name there, and a leaf has none.
 */
static bool refuses_in_vain(const peer_check *check)
{
    int mode = SSL_get_verify_mode(check->ssl);

    return !SSL_is_server(check->ssl)
           && (mode == SSL_VERIFY_NONE
               || (mode == PROV_CLIENT_VERIFY_MODE && endpoint_is_lenient(check->end)));
}

/* Go from the root down, as OpenSSL does. */
int prov_callback_hear_success(peer_check *check, consul_error *err)
{
    int depth, error;

    if (!hand_over_chain(check))
        return prov_peer_refuse(check, X509_V_ERR_OUT_OF_MEM, err, CONSUL_R_OUT_OF_MEMORY,
                                "the chain");
    for (depth = sk_X509_num(X509_STORE_CTX_get0_chain(check->ctx)) - 1; depth >= 0; depth--) {
        if (tell(check, 1, depth))
            continue;
        error = X509_STORE_CTX_get_error(check->ctx);
        check->application_error = error == X509_V_OK ? X509_V_ERR_APPLICATION_VERIFICATION : error;
        return refuses_in_vain(check)
               || prov_peer_refuse(check, check->application_error, err,
                                   CONSUL_R_PEER_REFUSED_BY_APPLICATION,
                                   "its verify callback returned 0");
    }
    return 1;
}

void prov_callback_hear_refusal(peer_check *check, const consul_error *err)
{
    if (err->reason != CONSUL_R_PEER_REFUSED_BY_APPLICATION && hand_over_chain(check))
        tell(check, 0, 0);
    X509_STORE_CTX_set_error(check->ctx, check->x509_error);
}

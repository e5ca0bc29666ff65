/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/roots.h"

#include "identity/cert.h"
#include "identity/snapshots.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/x509v3.h>

consul_roots *consul_roots_new(OSSL_LIB_CTX *libctx, consul_error *err)
{
    consul_roots *roots = OPENSSL_zalloc(sizeof(*roots));

    if (roots != NULL) {
        atomic_init(&roots->refs, 1);
        roots->libctx = libctx;
        roots->certs = sk_X509_new_null();
        roots->verified = consul_signatures_new();
    }
    if (roots == NULL || roots->certs == NULL || roots->verified == NULL) {
        consul_roots_unref(roots);
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the roots");
        return NULL;
    }
    return roots;
}

consul_roots *consul_roots_ref(consul_roots *roots)
{
    atomic_fetch_add_explicit(&roots->refs, 1, memory_order_relaxed);
    return roots;
}

void consul_roots_unref(consul_roots *roots)
{
    if (roots == NULL || atomic_fetch_sub_explicit(&roots->refs, 1, memory_order_acq_rel) != 1)
        return;
    OPENSSL_free(roots->trust_domain);
    sk_X509_pop_free(roots->certs, X509_free);
    consul_signatures_free(roots->verified);
    OPENSSL_free(roots);
}

const char *consul_roots_trust_domain(const consul_roots *roots)
{
    return roots->trust_domain;
}

const STACK_OF(X509) *consul_roots_certs(const consul_roots *roots)
{
    return roots->certs;
}

bool consul_roots_contain(const consul_roots *roots, const X509 *cert)
{
    return consul_certs_contain(roots->certs, cert);
}

/* Return the X509_V_ERR_ code of a verification that has failed. X509_V_OK is never returned. */
static int verify_error(X509_STORE_CTX *ctx)
{
    int error = ctx == NULL ? X509_V_ERR_OUT_OF_MEM : X509_STORE_CTX_get_error(ctx);

    return error == X509_V_OK ? X509_V_ERR_UNSPECIFIED : error;
}

/*
 * Check each certificate of a chain but the root, in which Consul trusts as it is. OpenSSL looks at no policy unless it is
 * told to, and leaks memory then (3.0). So a CA that demands one is refused.
 */
static bool are_well_formed(X509_STORE_CTX *ctx)
{
    const STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
    int i;

    for (i = 0; i + 1 < sk_X509_num(chain); i++) {
        const X509 *cert = sk_X509_value(chain, i);

        if (!consul_cert_is_well_formed(cert)
            || X509_get_ext_by_NID(cert, NID_policy_constraints, -1) >= 0) {
            X509_STORE_CTX_set_error(ctx, X509_V_ERR_INVALID_EXTENSION);
            return false;
        }
    }
    return true;
}

static bool serves(X509_STORE_CTX *ctx, int purpose)
{
    if (consul_chain_serves(X509_STORE_CTX_get0_chain(ctx), purpose))
        return true;
    X509_STORE_CTX_set_error(ctx, X509_V_ERR_INVALID_PURPOSE);
    return false;
}

/*
 * Have these parameters count alone. A context has those of the process at first, and a program may replace them by lax ones
 * (X509_VERIFY_PARAM_add0_table). Return false without memory, and for a purpose that does not exist.
 */
static bool set_parameters(X509_STORE_CTX *ctx, int purpose, int level)
{
    X509_VERIFY_PARAM *param = X509_VERIFY_PARAM_new();

    if (param == NULL || !X509_VERIFY_PARAM_set_purpose(param, purpose)) {
        X509_VERIFY_PARAM_free(param);
        return false;
    }
    /* A root that Consul lists is an anchor, also where an outer CA has signed it. */
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
    X509_VERIFY_PARAM_set_depth(param, CONSUL_DEPTH_MAX);
    X509_VERIFY_PARAM_set_auth_level(param, level);
    X509_STORE_CTX_set0_param(ctx, param); /* the context's from here on */
    return true;
}

int consul_roots_verify(const consul_roots *roots, X509 *cert, STACK_OF(X509) *untrusted,
                        int purpose, int level, STACK_OF(X509) **chain,
                        unsigned char digest[CONSUL_DIGEST_LEN], int *x509_error, consul_error *err)
{
    unsigned char space[CONSUL_DIGEST_LEN];
    X509_STORE_CTX *ctx = X509_STORE_CTX_new_ex(roots->libctx, NULL);
    int ok = 0, error;

    if (ctx == NULL || !X509_STORE_CTX_init(ctx, NULL, cert, untrusted)
        || !set_parameters(ctx, purpose, level))
        goto done;
    X509_STORE_CTX_set0_trusted_stack(ctx, roots->certs); /* borrowed by the context */
    if (consul_verify_remembering(ctx, roots->verified, digest == NULL ? space : digest) != 1
        || !are_well_formed(ctx) || !serves(ctx, purpose))
        goto done;
    if (chain != NULL && (*chain = X509_STORE_CTX_get1_chain(ctx)) == NULL)
        goto done;
    ok = 1;

done:
    if (!ok) {
        error = verify_error(ctx);
        if (x509_error != NULL)
            *x509_error = error;
        consul_error_set(err, CONSUL_R_PEER_UNTRUSTED, "%s", X509_verify_cert_error_string(error));
    }
    X509_STORE_CTX_free(ctx);
    return ok;
}

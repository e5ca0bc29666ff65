/* SPDX-License-Identifier: Apache-2.0 */
/* The OSSL_STORE loader for consul: URIs, provider-storemgmt(7). */
#include "uri/loader.h"

#include "instance/instances.h"
#include "report/error_queue.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/store.h>
#include <openssl/x509.h>

/*
 * An open URI: the snapshot that it named when it was opened, and where reading stands. The
 * objects are numbered: of a leaf the key, the leaf, the intermediates; of roots each root.
 */
typedef struct loader_ctx {
    consul_roots *roots; /* NULL for a leaf, as `leaf` is for roots */
    consul_leaf *leaf;
    const consul_store *store; /* of the leaf; borrowed from the instance */
    consul_uri uri;
    int64_t opened;     /* when it was, by consul_now_ms */
    int expect;         /* OSSL_STORE_INFO_…, or 0 for anything */
    X509_NAME *subject; /* the subject to find, or NULL for any */
    int next;
} loader_ctx;

static OSSL_FUNC_store_open_fn loader_open;
static OSSL_FUNC_store_settable_ctx_params_fn loader_settable_ctx_params;
static OSSL_FUNC_store_set_ctx_params_fn loader_set_ctx_params;
static OSSL_FUNC_store_load_fn loader_load;
static OSSL_FUNC_store_eof_fn loader_eof;
static OSSL_FUNC_store_close_fn loader_close;

/* Note a leaf that a program has loaded. The program may keep it for ever; the TLS hook knows it again. */
static int load_leaf(loader_ctx *loader, consul_store *store, consul_error *err)
{
    const consul_uri *uri = &loader->uri;

    loader->store = store;
    loader->opened = consul_now_ms();
    if (!consul_store_leaf(store, uri->service, &uri->scope, consul_asking_now(), &loader->leaf,
                           err))
        return 0;
    consul_store_note_loaded(store, loader->leaf, uri);
    return 1;
}

static void *loader_open(void *provctx, const char *text)
{
    prov_instance *prov = provctx;
    loader_ctx *loader = OPENSSL_zalloc(sizeof(*loader));
    consul_error err = {0};
    int ok = 0;

    prov_instances_check();
    if (loader == NULL)
        consul_error_set(&err, CONSUL_R_OUT_OF_MEMORY, "opening it");
    else if (!prov_instance_is_usable(prov))
        err = prov->unusable;
    else if (!consul_uri_parse(text, &loader->uri, &err))
        text = NULL; /* the error names it */
    else if (loader->uri.kind == CONSUL_URI_ROOTS)
        ok = consul_store_roots(prov->store, &loader->uri.scope, consul_asking_now(),
                                &loader->roots, &err);
    else
        ok = load_leaf(loader, prov->store, &err);
    if (!ok) {
        prov_error_raise(CONSUL_LOG_WARNING, "uri_refused", &err, text);
        OPENSSL_free(loader);
        loader = NULL;
    }
    return loader;
}

static const OSSL_PARAM *loader_settable_ctx_params(void *provctx)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_DEFN(OSSL_STORE_PARAM_EXPECT, OSSL_PARAM_INTEGER, NULL, 0),
        OSSL_PARAM_DEFN(OSSL_STORE_PARAM_SUBJECT, OSSL_PARAM_OCTET_STRING, NULL, 0),
        OSSL_PARAM_END,
    };

    return params;
}

/* Take the leaf of the other half, where a half of a leaf is expected. */
static void complete_pair(loader_ctx *loader)
{
    bool is_key = loader->expect == OSSL_STORE_INFO_PKEY;

    if (loader->leaf != NULL && (is_key || loader->expect == OSSL_STORE_INFO_CERT))
        consul_store_complete_pair(loader->store, &loader->uri, is_key, loader->opened,
                                   &loader->leaf);
}

static int loader_set_ctx_params(void *ctx, const OSSL_PARAM params[])
{
    loader_ctx *loader = ctx;
    const OSSL_PARAM *param;

    param = OSSL_PARAM_locate_const(params, OSSL_STORE_PARAM_EXPECT);
    if (param != NULL && !OSSL_PARAM_get_int(param, &loader->expect))
        return 0;
    if (param != NULL)
        complete_pair(loader);
    param = OSSL_PARAM_locate_const(params, OSSL_STORE_PARAM_SUBJECT);
    if (param != NULL) {
        const unsigned char *der;
        size_t len;

        if (!OSSL_PARAM_get_octet_string_ptr(param, (const void **)&der, &len))
            return 0;
        X509_NAME_free(loader->subject);
        loader->subject = d2i_X509_NAME(NULL, &der, (long)len);
        if (loader->subject == NULL)
            return 0;
    }
    return 1;
}

static int count(const loader_ctx *loader)
{
    return loader->roots != NULL ? sk_X509_num(consul_roots_certs(loader->roots))
                                 : 2 + sk_X509_num(consul_leaf_chain(loader->leaf));
}

/* Return the certificate of this number, or NULL for the number of the private key. */
static const X509 *cert_at(const loader_ctx *loader, int number)
{
    if (loader->roots != NULL)
        return sk_X509_value(consul_roots_certs(loader->roots), number);
    if (number == 0)
        return NULL;
    if (number == 1)
        return consul_leaf_cert(loader->leaf);
    return sk_X509_value(consul_leaf_chain(loader->leaf), number - 2);
}

static bool is_wanted(const loader_ctx *loader, int number)
{
    const X509 *cert = cert_at(loader, number);
    int type = cert == NULL ? OSSL_STORE_INFO_PKEY : OSSL_STORE_INFO_CERT;

    if (loader->expect != 0 && loader->expect != type)
        return false;
    return loader->subject == NULL
           || (cert != NULL && X509_NAME_cmp(X509_get_subject_name(cert), loader->subject) == 0);
}

/* Move on to the next object that is wanted, so that eof can be told before it is met. */
static int skip_unwanted(loader_ctx *loader)
{
    while (loader->next < count(loader) && !is_wanted(loader, loader->next))
        loader->next++;
    return loader->next < count(loader);
}

static int loader_eof(void *ctx)
{
    return !skip_unwanted(ctx);
}

static int key_to_der(const EVP_PKEY *key, unsigned char **der)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
    int len = info == NULL ? -1 : i2d_PKCS8_PRIV_KEY_INFO(info, der);

    PKCS8_PRIV_KEY_INFO_free(info); /* cleanses */
    return len;
}

static int loader_load(void *ctx, OSSL_CALLBACK *object_cb, void *object_cbarg,
                       OSSL_PASSPHRASE_CALLBACK *pw_cb, void *pw_cbarg)
{
    loader_ctx *loader = ctx;
    consul_error err = {0};
    const X509 *cert;
    unsigned char *der = NULL;
    int type, len, ok = 0;
    OSSL_PARAM params[3];

    if (!skip_unwanted(loader))
        return 0;
    cert = cert_at(loader, loader->next++);
    type = cert == NULL ? OSSL_OBJECT_PKEY : OSSL_OBJECT_CERT;
    len = cert == NULL ? key_to_der(consul_leaf_key(loader->leaf), &der)
                       : i2d_X509((X509 *)cert, &der);
    if (len <= 0) {
        consul_error_set(&err, CONSUL_R_INTERNAL, "encoding a %s",
                         cert == NULL ? "private key" : "certificate");
        prov_error_raise(CONSUL_LOG_WARNING, "uri_refused", &err, NULL);
        return 0;
    }
    params[0] = OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type);
    params[1] = OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_DATA, der, (size_t)len);
    params[2] = OSSL_PARAM_construct_end();
    ok = object_cb(params, object_cbarg);
    OPENSSL_clear_free(der, (size_t)len);
    return ok;
}

static int loader_close(void *ctx)
{
    loader_ctx *loader = ctx;

    consul_roots_unref(loader->roots);
    consul_leaf_unref(loader->leaf);
    X509_NAME_free(loader->subject);
    OPENSSL_free(loader);
    return 1;
}

static const OSSL_DISPATCH loader_functions[] = {
    {OSSL_FUNC_STORE_OPEN, (void (*)(void))loader_open},
    {OSSL_FUNC_STORE_SETTABLE_CTX_PARAMS, (void (*)(void))loader_settable_ctx_params},
    {OSSL_FUNC_STORE_SET_CTX_PARAMS, (void (*)(void))loader_set_ctx_params},
    {OSSL_FUNC_STORE_LOAD, (void (*)(void))loader_load},
    {OSSL_FUNC_STORE_EOF, (void (*)(void))loader_eof},
    {OSSL_FUNC_STORE_CLOSE, (void (*)(void))loader_close},
    {0, NULL},
};

/* fips=yes, as OpenSSL says of its own loaders and decoders: they do no cryptography by themselves. */
const OSSL_ALGORITHM prov_loader_algorithms[] = {
    {"consul", "provider=consul,fips=yes", loader_functions, "Consul Connect leaves and roots"},
    {NULL, NULL, NULL, NULL},
};

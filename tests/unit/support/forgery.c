/* SPDX-License-Identifier: Apache-2.0 */
#include "forgery.h"

#include "forgery_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#define LONG 60000

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "forgery: %s\n", what);
    abort();
}

const forgery *forgery_at(size_t number)
{
    static const forgery *const parts[] = {forgeries_of_names, forgeries_of_uses,
                                           forgeries_of_chains};
    size_t part, i;

    for (part = 0; part < 3; part++) {
        for (i = 0; parts[part][i].name != NULL; i++) {
            if (number-- == 0)
                return &parts[part][i];
        }
    }
    return NULL;
}

/* ---- texts with tokens ---- */

static char long_name[LONG + 1];

static const char *value_of(const forger *f, const char *token, size_t *len)
{
    static char id[512];

    *len = 4;
    if (strncmp(token, "{td}", 4) == 0)
        return f->trust_domain;
    if (strncmp(token, "{id}", 4) == 0) {
        snprintf(id, sizeof(id), "spiffe://%s/ns/default/dc/dc1/svc/%s", f->trust_domain,
                 f->service);
        return id;
    }
    *len = 6;
    if (strncmp(token, "{long}", 6) != 0)
        return NULL;
    memset(long_name, 'a', LONG);
    return long_name;
}

/* Return a text with its tokens filled in, which may have NULs. The forger frees it. */
static const char *fill_in(forger *f, const char *text, size_t *len)
{
    size_t i = 0, out = 0, token_len, value_len;
    char *filled = malloc(*len + 8192 + (memmem(text, *len, "{long}", 6) != NULL ? LONG : 0));
    const char *value;

    must(filled != NULL && f->texts_count < 64, "texts");
    f->texts[f->texts_count++] = filled;
    while (i < *len) {
        value = text[i] == '{' ? value_of(f, text + i, &token_len) : NULL;
        if (value == NULL) {
            filled[out++] = text[i++];
            continue;
        }
        value_len = strlen(value);
        memcpy(filled + out, value, value_len);
        out += value_len;
        i += token_len;
    }
    filled[out] = '\0';
    *len = out;
    return filled;
}

static void fill_in_names(forger *f, mint_name names[MINT_NAMES_MAX])
{
    int i;

    for (i = 0; i < MINT_NAMES_MAX && names[i].text != NULL; i++) {
        size_t len = names[i].len != 0 ? names[i].len : strlen(names[i].text);

        names[i].text = fill_in(f, names[i].text, &len);
        names[i].len = len;
    }
}

/* ---- keys ---- */

#define KINDS_MAX 16

static EVP_PKEY *make_key(const char *kind)
{
    unsigned int bits = 0;
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx;

    if (strncmp(kind, "EC ", 3) == 0)
        key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", kind + 3);
    else if (strcmp(kind, "explicit") == 0 && (key = EVP_EC_gen("P-256")) != NULL)
        EVP_PKEY_set_utf8_string_param(key, "encoding", "explicit");
    else if (sscanf(kind, "RSA %u", &bits) == 1)
        key = EVP_RSA_gen(bits);
    else if (sscanf(kind, "RSA-PSS %u", &bits) == 1) {
        ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
        must(ctx != NULL && EVP_PKEY_keygen_init(ctx) == 1
                 && EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)bits) == 1
                 && EVP_PKEY_generate(ctx, &key) == 1,
             kind);
        EVP_PKEY_CTX_free(ctx);
    } else
        key = EVP_PKEY_Q_keygen(NULL, NULL, kind);
    must(key != NULL, kind);
    return key;
}

/* Return the key of a kind. Rows share it, as some kinds take long. It lives as long as the process. */
static EVP_PKEY *key_of(const char *kind)
{
    static struct {
        const char *kind;
        EVP_PKEY *key;
    } keys[KINDS_MAX];
    int i;

    if (kind == NULL)
        return NULL;
    for (i = 0; keys[i].kind != NULL && strcmp(keys[i].kind, kind) != 0; i++)
        must(i + 2 < KINDS_MAX, "kinds of keys");
    if (keys[i].kind == NULL) {
        keys[i].kind = kind;
        keys[i].key = make_key(kind);
    }
    return keys[i].key;
}

/* ---- certificates ---- */

minted forge_one(forger *f, const minted *issuer, mint_order order, const char *key)
{
    int i;

    fill_in_names(f, order.names);
    fill_in_names(f, order.more_names);
    for (i = 0; i < MINT_MORE && order.extensions[i] != NULL; i++) {
        size_t len = strlen(order.extensions[i]);

        order.extensions[i] = fill_in(f, order.extensions[i], &len);
    }
    order.key = key_of(key);
    return mint(issuer, order);
}

void forge_push(forged *result, X509 *cert)
{
    must(X509_up_ref(cert) && sk_X509_push(result->chain, cert) > 0, "a chain");
}

static void forge_usually(forger *f, forged *result)
{
    const minted *issuer = f->root;
    mint_order leaf = f->row->leaf;
    int i;

    for (i = 0; i < f->row->depth; i++) {
        static const char *const subjects[] = {"Intermediate 1", "Intermediate 2"};
        mint_order order = f->row->cas[i];

        if (order.subject == NULL)
            order.subject = subjects[i];
        order.ca = order.basic_constraints == NULL || order.key_usage == NULL;
        f->cas[i] = forge_one(f, issuer, order, f->row->ca_key);
        issuer = &f->cas[i];
    }
    if (leaf.names[0].text == NULL && !f->row->no_id)
        leaf.names[0] = (mint_name){GEN_URI, "{id}", 0};
    result->leaf = forge_one(f, issuer, leaf, f->row->key);
    for (i = f->row->depth; i-- > 0;)
        forge_push(result, f->cas[i].cert);
}

forged forge(const forgery *row, const minted *root, const char *trust_domain, const char *service)
{
    forger f = {.row = row, .root = root, .trust_domain = trust_domain, .service = service};
    forged result = {.chain = sk_X509_new_null()};
    int i;

    must(result.chain != NULL, "a chain");
    (row->build == NULL ? forge_usually : row->build)(&f, &result);
    if (row->arrange != NULL)
        row->arrange(&f, &result);
    for (i = 0; i < FORGERY_CAS_MAX; i++)
        minted_free(&f.cas[i]);
    while (f.texts_count > 0)
        free(f.texts[--f.texts_count]);
    return result;
}

void forged_free(forged *one)
{
    minted_free(&one->leaf);
    sk_X509_pop_free(one->chain, X509_free);
}

bool forgery_is_served(const forgery *row, enum forgery_role role)
{
    return row->refused_anyway == NULL && (row->served & role) != 0;
}

static void set_common_name_of(X509 *cert, const X509 *other)
{
    must(X509_set_subject_name(cert, X509_get_subject_name(other)) == 1
             && X509_set_issuer_name(cert, X509_get_subject_name(other)) == 1,
         "names");
}

minted forgery_foreign_root(const minted *root, const char *trust_domain)
{
    forger f = {.root = root, .trust_domain = trust_domain, .service = ""};
    minted foreign = forge_one(&f, NULL,
                               (mint_order){.subject = "CA",
                                            .ca = true,
                                            .key_ids = {NULL, ""},
                                            .names = {{GEN_URI, "spiffe://{td}", 0}}},
                               NULL);
    const ASN1_OCTET_STRING *id = X509_get0_subject_key_id(root->cert);
    int index = X509_get_ext_by_NID(foreign.cert, NID_subject_key_identifier, -1);

    X509_EXTENSION_free(X509_delete_ext(foreign.cert, index));
    must(X509_add1_ext_i2d(foreign.cert, NID_subject_key_identifier, (void *)(uintptr_t)id, 0, 0)
             == 1,
         "a key identifier");
    set_common_name_of(foreign.cert, root->cert);
    mint_sign(&foreign, foreign.key, NULL);
    while (f.texts_count > 0)
        free(f.texts[--f.texts_count]);
    return foreign;
}

void forgery_id(const forgery *row, const char *trust_domain, const char *service, char id[512])
{
    forger f = {.row = row, .trust_domain = trust_domain, .service = service};
    const char *text = row->id == NULL ? "{id}" : row->id;
    size_t len = strlen(text);

    snprintf(id, 512, "%s", fill_in(&f, text, &len));
    free(f.texts[0]);
}

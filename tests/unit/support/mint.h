/* SPDX-License-Identifier: Apache-2.0 */
/* Mints certificates and keys for tests, good ones and bad ones. Every failure fails the test. */
#ifndef CONSUL_TEST_MINT_H
#define CONSUL_TEST_MINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#define MINT_NAMES_MAX 4
#define MINT_MORE 3
#define MINT_DAY (24 * 60 * 60L)

/* A name for a subjectAltName. `len` 0 means up to the NUL. */
typedef struct mint_name {
    int type; /* GEN_URI, GEN_DNS, … */
    const char *text;
    size_t len;
} mint_name;

/* The order of a certificate. All zero is a leaf of today without any name. */
typedef struct mint_order {
    const char *subject; /* its common name; NULL for an empty subject */
    mint_name names[MINT_NAMES_MAX];
    mint_name more_names[MINT_NAMES_MAX]; /* in a second subjectAltName extension */
    const char *key_usage;         /* as in openssl.cnf; NULL for digitalSignature; "" for none */
    const char *ext_key_usage;     /* NULL for both TLS sides; "" for none */
    const char *basic_constraints; /* NULL for those of `ca`; "" for none */
    const char *key_ids[2];        /* subject's, authority's; NULL for the usual; "" for none */
    const char *extensions[MINT_MORE]; /* more of them, as in openssl.cnf: "name=value" */
    bool ca;
    bool rsa;
    const EVP_PKEY *key; /* its key; NULL for a new one by `rsa` */
    const char *digest;  /* the digest for its signature; NULL for SHA-256 */
    bool issuer_key_id;  /* its subjectKeyIdentifier is its issuer's, as old Consuls had it */
    long not_before, not_after;              /* seconds from now; both 0 for a day each way */
    uint64_t serial;                         /* 0 for one of its own */
    void (*change)(X509 *cert);              /* changes it before it is signed; may be NULL */
    void (*seal)(X509 *cert, EVP_PKEY *key); /* changes it after its issuer's signature; likewise */
} mint_order;

typedef struct minted {
    X509 *cert;
    EVP_PKEY *key;
} minted;

/* Mint a certificate signed by `issuer`, or by itself if NULL. Free with minted_free. */
minted mint(const minted *issuer, mint_order order);
void minted_free(minted *one);

/* Sign a certificate again, with this issuer's key. `digest` NULL means SHA-256. */
void mint_sign(const minted *one, EVP_PKEY *key, const char *digest);

/* Mint a CA with the trust domain as its only name, as Consul's. */
minted mint_ca(const char *trust_domain);

/* Mint a CA with a broken extension: OpenSSL reads the CA, and can do nothing with it. */
minted mint_unusable_ca(const char *trust_domain);

/* Mint a stand-in for the thing that this URI names, consul:leaf/web say. */
minted mint_stand_in(const char *uri);

/* Mint the leaf of a service in namespace "default" of datacenter "dc1". */
minted mint_leaf(const minted *ca, const char *trust_domain, const char *service);

/* Add a field to the subject of a certificate, of an encoding as for X509_NAME_add_entry_by_txt. */
void mint_add_to_subject(X509 *cert, const char *field, int type, const void *value, int len);

/* Return PEM texts; free with free. */
char *mint_cert_pem(const X509 *cert);
char *mint_key_pem(const EVP_PKEY *key);

#endif

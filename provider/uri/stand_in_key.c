/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A decoder for the private key of a stand-in, provider-decoder(7): a PEM block "CONSUL URI". Its content
 * is a URI of kind leaf, as text. Without the provider no decoder reads it. A program that was to present
 * the stand-in does not start then.
 *
 * A program wants the key to match the certificate. So all stand-ins have one key, which is no secret:
 * the live leaf takes its place before anything is signed.
 */
#include "uri/stand_in_key.h"

#include "instance/instance.h"
#include "report/error_queue.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#define LABEL "CONSUL URI"
#define BLOCK_MAX 8192 /* bytes of a PEM block of ours: a URI in base64, and the lines about it */

static OSSL_FUNC_decoder_newctx_fn decoder_newctx;
static OSSL_FUNC_decoder_freectx_fn decoder_freectx;
static OSSL_FUNC_decoder_does_selection_fn decoder_does_selection;
static OSSL_FUNC_decoder_decode_fn decoder_decode;
static OSSL_FUNC_decoder_export_object_fn decoder_export_object;

static void *decoder_newctx(void *provctx)
{
    return provctx; /* a decoder has no state of its own */
}

static void decoder_freectx(void *ctx)
{
}

static int decoder_does_selection(void *provctx, int selection)
{
    return selection == 0 || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0;
}

/*
 * Read one PEM block to its end, whatever its label, as OpenSSL's own decoder does. The next attempt
 * begins at the place where this one stops. `text` is set if the block is ours and fits.
 */
static bool read_block(const prov_instance *prov, OSSL_CORE_BIO *in, char text[BLOCK_MAX])
{
    static const char begin[] = "-----BEGIN ", ours[] = "-----BEGIN " LABEL "-----",
                      end[] = "-----END ";
    char line[256];
    size_t used = 0, len;
    bool inside = false, keep = false;

    while (prov->core.bio_gets(in, line, sizeof(line)) > 0) {
        len = strlen(line);
        if (!inside && strncmp(line, begin, sizeof(begin) - 1) == 0) {
            inside = true;
            keep = strncmp(line, ours, sizeof(ours) - 1) == 0;
        }
        if (keep && used + len < BLOCK_MAX) {
            memcpy(text + used, line, len + 1);
            used += len;
        }
        if (inside && strncmp(line, end, sizeof(end) - 1) == 0)
            return keep;
    }
    return false;
}

/* Parse the content of the block. */
static int read_uri(const char *text, consul_uri *uri, consul_error *err)
{
    BIO *bio = BIO_new_mem_buf(text, -1);
    char *name = NULL, *header = NULL, copy[CONSUL_URI_MAX + 1];
    unsigned char *data = NULL;
    long len;
    int ok = 0;

    if (bio == NULL || !PEM_read_bio(bio, &name, &header, &data, &len)) {
        consul_error_set(err, CONSUL_R_URI_INVALID, "the PEM block cannot be read");
    } else if (len > CONSUL_URI_MAX || memchr(data, '\0', (size_t)len) != NULL) {
        consul_error_set(err, CONSUL_R_URI_INVALID, "the PEM block has no text in it, or too much");
    } else {
        memcpy(copy, data, (size_t)len);
        copy[len] = '\0';
        copy[strcspn(copy, "\n")] = '\0'; /* of an echo(1) */
        ok = consul_uri_parse(copy, uri, err);
    }
    BIO_free(bio);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
    return ok;
}

/*
 * Hand over the key twice: as DER for OSSL_STORE, and as a reference for a decoder of keys. The
 * reference is empty, as all stand-ins have one key. OSSL_STORE would try to export a reference that is
 * said to be a key, and fail. So the type is left for it to find.
 */
static int hand_over_key(OSSL_CALLBACK *data_cb, void *data_cbarg)
{
    char reference = 0;
    OSSL_PARAM params[5];

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE, (char *)"EC", 0);
    params[1] = OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_STRUCTURE,
                                                 (char *)"PrivateKeyInfo", 0);
    params[2] = OSSL_PARAM_construct_octet_string(
        OSSL_OBJECT_PARAM_DATA, (void *)consul_stand_in_key, CONSUL_STAND_IN_KEY_LEN);
    params[3] = OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_REFERENCE, &reference,
                                                  sizeof(reference));
    params[4] = OSSL_PARAM_construct_end();
    return data_cb(params, data_cbarg);
}

/* Export the key to the provider that will work with it. */
static int decoder_export_object(void *ctx, const void *reference, size_t reference_size,
                                 OSSL_CALLBACK *export_cb, void *export_cbarg)
{
    const prov_instance *prov = ctx;
    const unsigned char *der = consul_stand_in_key;
    EVP_PKEY *key =
        d2i_AutoPrivateKey_ex(NULL, &der, CONSUL_STAND_IN_KEY_LEN, prov->core.libctx, NULL);
    int ok = key != NULL && EVP_PKEY_export(key, EVP_PKEY_KEYPAIR, export_cb, export_cbarg) == 1;

    EVP_PKEY_free(key);
    return ok;
}

static int decoder_decode(void *ctx, OSSL_CORE_BIO *in, int selection, OSSL_CALLBACK *data_cb,
                          void *data_cbarg, OSSL_PASSPHRASE_CALLBACK *pw_cb, void *pw_cbarg)
{
    char *text = OPENSSL_malloc(BLOCK_MAX);
    consul_error err = {0};
    consul_uri uri;
    int ok = 1; /* nothing for us is no error */

    if (text == NULL) {
        consul_error_set(&err, CONSUL_R_OUT_OF_MEMORY, "reading a PEM block");
    } else if (read_block(ctx, in, text)) {
        if (read_uri(text, &uri, &err) && uri.kind != CONSUL_URI_LEAF)
            consul_error_set(&err, CONSUL_R_URI_INVALID, "only a leaf has a key");
        if (err.reason == 0)
            ok = hand_over_key(data_cb, data_cbarg);
    }
    if (err.reason != 0) {
        prov_error_raise(CONSUL_LOG_WARNING, "uri_refused", &err, "PEM block " LABEL);
        ok = 0;
    }
    OPENSSL_free(text);
    return ok;
}

static const OSSL_DISPATCH decoder_functions[] = {
    {OSSL_FUNC_DECODER_NEWCTX, (void (*)(void))decoder_newctx},
    {OSSL_FUNC_DECODER_FREECTX, (void (*)(void))decoder_freectx},
    {OSSL_FUNC_DECODER_DOES_SELECTION, (void (*)(void))decoder_does_selection},
    {OSSL_FUNC_DECODER_DECODE, (void (*)(void))decoder_decode},
    {OSSL_FUNC_DECODER_EXPORT_OBJECT, (void (*)(void))decoder_export_object},
    {0, NULL},
};

/*
 * The names that these decoders go by. A decoder's name is the type that it makes. A decoder of keys asks
 * for decoders of that key type, and for decoders whose output it can read. OSSL_STORE asks for DER,
 * MSBLOB or PVK, whatever the key type. For a file that is said to be PEM (openssl pkey -inform PEM),
 * OpenSSL 3.5 asks for DER alone. By the name DER these decoders are also put before each decoder of the
 * public keys of certificates, in vain. The cost is 1 % of a handshake in OpenSSL 3.0, and nothing
 * measurable in 3.5. PVK is a format of private keys alone.
 */
static const OSSL_ALGORITHM algorithms[] = {
    {"DER", "provider=consul,fips=yes,input=pem", decoder_functions,
     "Keys of Consul Connect stand-ins"},
    {"EC", "provider=consul,fips=yes,input=pem", decoder_functions,
     "Keys of Consul Connect stand-ins"},
    {"PVK", "provider=consul,fips=yes,input=pem", decoder_functions,
     "Keys of Consul Connect stand-ins"},
    {NULL, NULL, NULL, NULL},
};

const OSSL_ALGORITHM *prov_decoder_algorithms(void)
{
    /* 3.0 finds it by PVK alone, and goes through all decoders again whenever it reads a certificate. */
    return OpenSSL_version_num() < 0x30100000L ? &algorithms[2] : algorithms;
}

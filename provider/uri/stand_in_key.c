/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A decoder for the private key of a stand-in, provider-decoder(7). To OpenSSL the key is one of an algorithm
 * that no other provider has. OpenSSL reads the file by itself, and asks this decoder for keys of that algorithm
 * alone. So the keys of others, and their BIOs, never pass here. Without the provider no program reads the key. A
 * program that was to present the stand-in does not start then.
 *
 * A program wants the key to match the certificate. So all stand-ins have one key on P-256, which is no secret.
 * The live leaf takes its place before anything is signed.
 */
#include "uri/stand_in_key.h"

#include "instance/instance.h"

#include <string.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#define NAMES "CONSUL:" CONSUL_STAND_IN_OID
#define DESCRIPTION "Keys of Consul Connect stand-ins"

static OSSL_FUNC_keymgmt_new_fn keymgmt_new;
static OSSL_FUNC_keymgmt_free_fn keymgmt_free;
static OSSL_FUNC_keymgmt_has_fn keymgmt_has;
static OSSL_FUNC_decoder_newctx_fn decoder_newctx;
static OSSL_FUNC_decoder_freectx_fn decoder_freectx;
static OSSL_FUNC_decoder_does_selection_fn decoder_does_selection;
static OSSL_FUNC_decoder_decode_fn decoder_decode;
static OSSL_FUNC_decoder_export_object_fn decoder_export_object;

/* ---- the algorithm, which has no keys: OpenSSL looks for decoders of known algorithms ---- */

static void *keymgmt_new(void *provctx)
{
    return NULL;
}

static void keymgmt_free(void *key)
{
}

static int keymgmt_has(const void *key, int selection)
{
    return 0;
}

static const OSSL_DISPATCH keymgmt_functions[] = {
    {OSSL_FUNC_KEYMGMT_NEW, (void (*)(void))keymgmt_new},
    {OSSL_FUNC_KEYMGMT_FREE, (void (*)(void))keymgmt_free},
    {OSSL_FUNC_KEYMGMT_HAS, (void (*)(void))keymgmt_has},
    {0, NULL},
};

const OSSL_ALGORITHM prov_keymgmt_algorithms[] = {
    {NAMES, "provider=consul,fips=yes", keymgmt_functions, DESCRIPTION},
    {NULL, NULL, NULL, NULL},
};

/* ---- the decoder ---- */

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
 * Return true where a BIO has the key of stand-ins, and nothing more. A key of another length is not read at all.
 * A program may have OpenSSL try each decoder on the program's own BIO.
 */
static bool read_key(const prov_core *core, OSSL_CORE_BIO *in)
{
    unsigned char der[CONSUL_STAND_IN_FILE_LEN];
    size_t len;
    bool ours;

    if (core->bio_ctrl(in, BIO_CTRL_PENDING, 0, NULL) != sizeof(der))
        return false;
    ours = core->bio_read_ex(in, der, sizeof(der), &len) && len == sizeof(der)
           && memcmp(der, consul_stand_in_file, sizeof(der)) == 0;
    OPENSSL_cleanse(der, sizeof(der));
    return ours;
}

/* Hand over an EC key by a reference, which is empty: all stand-ins have one key. */
static int decoder_decode(void *ctx, OSSL_CORE_BIO *in, int selection, OSSL_CALLBACK *data_cb,
                          void *data_cbarg, OSSL_PASSPHRASE_CALLBACK *pw_cb, void *pw_cbarg)
{
    const prov_instance *prov = ctx;
    char reference = 0;
    OSSL_PARAM params[3];

    if (!read_key(&prov->core, in))
        return 1; /* nothing for us is no error */
    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE, (char *)"EC", 0);
    params[1] = OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_REFERENCE, &reference,
                                                  sizeof(reference));
    params[2] = OSSL_PARAM_construct_end();
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

static const OSSL_DISPATCH decoder_functions[] = {
    {OSSL_FUNC_DECODER_NEWCTX, (void (*)(void))decoder_newctx},
    {OSSL_FUNC_DECODER_FREECTX, (void (*)(void))decoder_freectx},
    {OSSL_FUNC_DECODER_DOES_SELECTION, (void (*)(void))decoder_does_selection},
    {OSSL_FUNC_DECODER_DECODE, (void (*)(void))decoder_decode},
    {OSSL_FUNC_DECODER_EXPORT_OBJECT, (void (*)(void))decoder_export_object},
    {0, NULL},
};

const OSSL_ALGORITHM prov_decoder_algorithms[] = {
    {NAMES, "provider=consul,fips=yes,input=der,structure=PrivateKeyInfo", decoder_functions,
     DESCRIPTION},
    {NULL, NULL, NULL, NULL},
};

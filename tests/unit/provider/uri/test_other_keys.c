/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that are not a stand-in's are read as without the provider. The key is the same, and so are the errors.
 * The BIO is left at the same byte. Each read is made twice, with the module and without.
 */
#include "unit.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <openssl/ui.h>
#include <openssl/x509.h>
#if OPENSSL_VERSION_MAJOR >= 4
#include <openssl/ech.h>
#include <openssl/hpke.h>
#endif

#include "config_file.h"
#include "identity/stand_in.h"
#include "mint.h"

#define REPORT_SIZE 16384
#define READS 2 /* of one BIO, one after the other */

static OSSL_LIB_CTX *without, *with;
static char password[] = "password";

/* ---- what is read ---- */

typedef BIO *make_key_fn(EVP_PKEY *key);

static EVP_PKEY *generate(const char *type, const char *param, const char *value)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(without, type, NULL);
    EVP_PKEY *key = NULL;
    OSSL_PARAM params[] = {OSSL_PARAM_END, OSSL_PARAM_END};

    if (ctx == NULL) {
        ERR_clear_error();
        return NULL; /* a type of a newer OpenSSL */
    }
    if (param != NULL)
        params[0] = OSSL_PARAM_construct_utf8_string(param, (char *)value, 0);
    assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_params(ctx, params), 1);
    assert_int_equal(EVP_PKEY_generate(ctx, &key), 1);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static const struct {
    const char *type, *param, *value;
} types[] = {
    {"RSA", NULL, NULL},       {"EC", OSSL_PKEY_PARAM_GROUP_NAME, "P-256"},
    {"ED25519", NULL, NULL},   {"DH", OSSL_PKEY_PARAM_GROUP_NAME, "ffdhe2048"},
    {"ML-DSA-44", NULL, NULL},
};

/* Append a block of a PEM file. Where this type of key has no such form, append nothing. */
static void append(BIO *out, char block, EVP_PKEY *key)
{
    static minted site;

    if (site.cert == NULL)
        site = mint(NULL, (mint_order){.subject = "site"});
    switch (block) {
    case 'k':
        PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL);
        break;
    case 'e':
        PEM_write_bio_PKCS8PrivateKey(out, key, EVP_aes_128_cbc(), NULL, 0, NULL, password);
        break;
    case 't':
        PEM_write_bio_PrivateKey_traditional(out, key, NULL, NULL, 0, NULL, NULL);
        break;
    case 'f':
        PEM_write_bio_PrivateKey_traditional(out, key, EVP_aes_128_cbc(), NULL, 0, NULL, password);
        break;
    case 'u':
        PEM_write_bio_PUBKEY(out, key);
        break;
    case 'p':
        PEM_write_bio_Parameters(out, key);
        break;
    case 'c':
        PEM_write_bio_X509(out, site.cert);
        break;
    case 'x':
        PEM_write_bio(out, "ECHCONFIG", "", (const unsigned char *)"something", 9);
        break;
    case 's':
        BIO_puts(out, CONSUL_STAND_IN_BLOCK);
        break;
    case 'b':
        BIO_printf(out, "-----BEGIN PRIVATE KEY-----\nAAAA\n");
        break;
    case 'l':
        BIO_printf(out, "%0*d", 1000, 0);
        break;
    default:
        BIO_printf(out, "A comment\n");
    }
    ERR_clear_error();
}

/* Files, by their blocks. */
static const char *layouts[] = {
    "k",  "kc", "ck", "kx", "xk", "kk", "uk", "ku", "#k#", "lk", "bk", "t",
    "tc", "ct", "xt", "pt", "e",  "ce", "f",  "cf", "u",   "cu", "p",  "cccccccckx",
};

static BIO *write_layout(const char *layout, EVP_PKEY *key)
{
    BIO *text = BIO_new(BIO_s_mem());

    assert_non_null(text);
    for (; *layout != '\0'; layout++)
        append(text, *layout, key);
    return text;
}

/* ---- where it is read from ---- */

typedef enum source {
    MEMORY,
    FILE_,
    BUFFERED_FILE,
    BUFFERED_MEMORY,
    SOCKET,
    BUFFERED_SOCKET,
    SOURCES
} source;

static BIO *open_file(const void *data, size_t len)
{
    FILE *file = tmpfile();

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    rewind(file);
    return BIO_new_fp(file, BIO_CLOSE);
}

/* Open a BIO that cannot tell its place. The text fits into the socket's buffer. */
static BIO *open_socket(const void *data, size_t len)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(write(fds[1], data, len), (ssize_t)len);
    close(fds[1]);
    return BIO_new_socket(fds[0], BIO_CLOSE);
}

static BIO *open_source(source from, BIO *text)
{
    char *data;
    size_t len = (size_t)BIO_get_mem_data(text, &data);
    BIO *bio;

    if (from == MEMORY || from == BUFFERED_MEMORY)
        bio = BIO_new_mem_buf(data, (int)len);
    else if (from == FILE_ || from == BUFFERED_FILE)
        bio = open_file(data, len);
    else
        bio = open_socket(data, len);
    if (from == BUFFERED_FILE || from == BUFFERED_MEMORY || from == BUFFERED_SOCKET)
        bio = BIO_push(BIO_new(BIO_f_buffer()), bio);
    assert_non_null(bio);
    return bio;
}

/* ---- how it is read ---- */

typedef struct report {
    char text[REPORT_SIZE];
    size_t len;
} report;

static void __attribute__((format(printf, 2, 3))) say(report *to, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    to->len += (size_t)vsnprintf(to->text + to->len, REPORT_SIZE - to->len, format, args);
    va_end(args);
    assert_true(to->len < REPORT_SIZE);
}

static void say_key(report *to, EVP_PKEY *key)
{
    BIO *text = BIO_new(BIO_s_mem());
    char *data;
    long len;

    if (key == NULL) {
        say(to, "none");
    } else {
        const OSSL_PROVIDER *provider = EVP_PKEY_get0_provider(key);

        if (EVP_PKEY_print_private(text, key, 0, NULL) <= 0)
            EVP_PKEY_print_public(text, key, 0, NULL);
        len = BIO_get_mem_data(text, &data);
        say(to, "%s of %s, %ld bytes", EVP_PKEY_get0_type_name(key),
            provider == NULL ? "no provider" : OSSL_PROVIDER_get0_name(provider), len);
    }
    BIO_free(text);
    EVP_PKEY_free(key);
}

static void say_errors(report *to)
{
    unsigned long code;
    const char *data;
    int flags;

    while ((code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0)
        say(to, "; error %lx %s", code, (flags & ERR_TXT_STRING) != 0 ? data : "");
}

static int give_password(char *buf, int size, int rwflag, void *userdata)
{
    return snprintf(buf, (size_t)size, "%s", password);
}

typedef void read_fn(report *to, BIO *bio, OSSL_LIB_CTX *libctx);

static void read_private(report *to, BIO *bio, OSSL_LIB_CTX *libctx)
{
    say_key(to, PEM_read_bio_PrivateKey_ex(bio, NULL, give_password, NULL, libctx, NULL));
}

static void read_public(report *to, BIO *bio, OSSL_LIB_CTX *libctx)
{
    say_key(to, PEM_read_bio_PUBKEY_ex(bio, NULL, give_password, NULL, libctx, NULL));
}

static void read_params(report *to, BIO *bio, OSSL_LIB_CTX *libctx)
{
    say_key(to, PEM_read_bio_Parameters_ex(bio, NULL, libctx, NULL));
}

static void decode(report *to, BIO *bio, OSSL_LIB_CTX *libctx, const char *input, const char *type)
{
    EVP_PKEY *key = NULL;
    OSSL_DECODER_CTX *ctx = OSSL_DECODER_CTX_new_for_pkey(&key, input, NULL, type, 0, libctx, NULL);

    assert_non_null(ctx);
    OSSL_DECODER_CTX_set_pem_password_cb(ctx, give_password, NULL);
    say(to, "returns %d, ", OSSL_DECODER_from_bio(ctx, bio));
    say_key(to, key);
    OSSL_DECODER_CTX_free(ctx);
}

static void decode_anything(report *to, BIO *bio, OSSL_LIB_CTX *libctx)
{
    decode(to, bio, libctx, NULL, NULL);
}

static void decode_pem_ec(report *to, BIO *bio, OSSL_LIB_CTX *libctx)
{
    decode(to, bio, libctx, "PEM", "EC");
}

static void load_objects(report *to, BIO *bio, OSSL_LIB_CTX *libctx)
{
    UI_METHOD *ui = UI_UTIL_wrap_read_pem_callback(give_password, 0);
    OSSL_STORE_CTX *store =
        OSSL_STORE_attach(bio, "file", libctx, NULL, ui, NULL, NULL, NULL, NULL);
    OSSL_STORE_INFO *info;
    int tries = 0;

    while (store != NULL && !OSSL_STORE_eof(store) && tries++ < 10) {
        info = OSSL_STORE_load(store);
        say(to, "type %d ", info == NULL ? 0 : OSSL_STORE_INFO_get_type(info));
        if (info != NULL && OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY)
            say_key(to, OSSL_STORE_INFO_get1_PKEY(info));
        OSSL_STORE_INFO_free(info);
        say_errors(to);
    }
    OSSL_STORE_close(store);
    UI_destroy_method(ui);
}

static const struct {
    const char *name;
    read_fn *read;
} reads[] = {
    {"a private key", read_private},     {"a public key", read_public},
    {"parameters", read_params},         {"whatever can be decoded", decode_anything},
    {"PEM of an EC key", decode_pem_ec}, {"a store", load_objects},
};

/* Read from one BIO again and again. Say each key, the place of the BIO, and the rest of its length. */
static void read_in(report *to, OSSL_LIB_CTX *libctx, read_fn *read, source from, BIO *text)
{
    BIO *bio = open_source(from, text);
    char rest[256];
    int i, len, left = 0;

    to->len = 0;
    for (i = 0; i < READS; i++) {
        read(to, bio, libctx);
        say_errors(to);
        say(to, "; at %ld\n", (long)BIO_tell(bio));
    }
    while ((len = BIO_read(bio, rest, sizeof(rest))) > 0)
        left += len;
    say(to, "left %d\n", left);
    BIO_free_all(bio);
    ERR_clear_error();
}

/* ---- the tests ---- */

static int set_up(void **state)
{
    char *folder = strdup(module_path());
    OSSL_PROVIDER *consul;

    without = OSSL_LIB_CTX_new();
    with = OSSL_LIB_CTX_new();
    assert_true(without != NULL && with != NULL && folder != NULL);
    assert_non_null(OSSL_PROVIDER_load(without, "default"));
    OSSL_PROVIDER_set_default_search_path(with, dirname(folder));
    consul = OSSL_PROVIDER_load(with, "consul"); /* and it brings the default one */
    assert_non_null(consul);
    free(folder);
    return 0;
}

static int compare(const char *type, EVP_PKEY *key)
{
    static report plain, ours;
    size_t layout, how;
    int from, different = 0;

    for (layout = 0; layout < sizeof(layouts) / sizeof(layouts[0]); layout++) {
        BIO *text = write_layout(layouts[layout], key);

        for (how = 0; how < sizeof(reads) / sizeof(reads[0]) && BIO_pending(text) > 0; how++) {
            for (from = MEMORY; from < SOURCES; from++) {
                read_in(&plain, without, reads[how].read, (source)from, text);
                read_in(&ours, with, reads[how].read, (source)from, text);
                if (strcmp(plain.text, ours.text) != 0 && different++ < 5)
                    print_message("%s, file \"%s\", source %d, %s:\nwithout\n%s--- with\n%s\n",
                                  type, layouts[layout], from, reads[how].name, plain.text,
                                  ours.text);
            }
        }
        BIO_free(text);
    }
    return different;
}

static void test_they_are_read_as_without_the_provider(void **state)
{
    size_t i;
    int compared = 0, different = 0;

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        EVP_PKEY *key = generate(types[i].type, types[i].param, types[i].value);

        if (key == NULL)
            continue;
        different += compare(types[i].type, key);
        compared++;
        EVP_PKEY_free(key);
    }
    assert_true(compared >= 4);
    assert_int_equal(different, 0);
}

/* Return how often a report says that a key was read. */
static int count_keys(const report *in)
{
    static const char said[] = "EC of default, ";
    const char *found;
    int count = 0;

    for (found = in->text; (found = strstr(found, said)) != NULL; found += sizeof(said) - 1)
        count++;
    return count;
}

/* A stand-in's key is read wherever another is, and by the provider alone. */
static void test_a_stand_in_is_read_like_another(void **state)
{
    static const char *others[] = {"k", "kc", "ck", "kx", "#k#"},
                      *ours[] = {"s", "sc", "cs", "sx", "#s#"};
    static read_fn *const ways[] = {read_private, decode_anything, load_objects};
    static report other, own;
    EVP_PKEY *key = generate("EC", OSSL_PKEY_PARAM_GROUP_NAME, "P-256");
    size_t i, way;
    int from;

    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        BIO *text = write_layout(others[i], key), *stand_in = write_layout(ours[i], key);

        for (way = 0; way < sizeof(ways) / sizeof(ways[0]); way++) {
            for (from = MEMORY; from < SOURCES; from++) {
                read_in(&other, without, ways[way], (source)from, text);
                read_in(&own, with, ways[way], (source)from, stand_in);
                if (count_keys(&own) != count_keys(&other))
                    print_message("file \"%s\", source %d: %s", ours[i], from, own.text);
                assert_int_equal(count_keys(&own), count_keys(&other));
                read_in(&own, without, ways[way], (source)from, stand_in);
                assert_int_equal(count_keys(&own), 0);
            }
        }
        BIO_free(text);
        BIO_free(stand_in);
    }
    EVP_PKEY_free(key);
}

static EVP_PKEY *read_der(const unsigned char *der)
{
    return d2i_AutoPrivateKey_ex(NULL, &der, CONSUL_STAND_IN_FILE_LEN, with, NULL);
}

/* A key of the stand-ins' algorithm with another text is not their key. */
static void test_another_text_is_no_stand_in(void **state)
{
    unsigned char der[CONSUL_STAND_IN_FILE_LEN];
    EVP_PKEY *key = read_der(consul_stand_in_file);

    assert_non_null(key);
    EVP_PKEY_free(key);
    memcpy(der, consul_stand_in_file, sizeof(der));
    der[sizeof(der) - 1]++;
    assert_null(read_der(der));
    ERR_clear_error();
}

#ifdef OSSL_ECHSTORE_LAST /* since 4.0 */
/* A file for encrypted client hellos has a key, and a block of its own after it. OpenSSL reads it by a buffer. */
static void test_ech_files_are_read(void **state)
{
    OSSL_HPKE_SUITE suite = OSSL_HPKE_SUITE_DEFAULT;
    OSSL_ECHSTORE *made = OSSL_ECHSTORE_new(without, NULL), *read = OSSL_ECHSTORE_new(with, NULL);
    BIO *text = BIO_new(BIO_s_mem());
    int keys = 0;

    assert_int_equal(
        OSSL_ECHSTORE_new_config(made, OSSL_ECH_CURRENT_VERSION, 0, "site.example", suite), 1);
    assert_int_equal(OSSL_ECHSTORE_write_pem(made, OSSL_ECHSTORE_LAST, text), 1);
    assert_int_equal(OSSL_ECHSTORE_read_pem(read, text, OSSL_ECH_FOR_RETRY), 1);
    assert_int_equal(OSSL_ECHSTORE_num_keys(read, &keys), 1);
    assert_int_equal(keys, 1);
    OSSL_ECHSTORE_free(made);
    OSSL_ECHSTORE_free(read);
    BIO_free(text);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_they_are_read_as_without_the_provider),
        cmocka_unit_test(test_a_stand_in_is_read_like_another),
        cmocka_unit_test(test_another_text_is_no_stand_in),
#ifdef OSSL_ECHSTORE_LAST
        cmocka_unit_test(test_ech_files_are_read),
#endif
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}

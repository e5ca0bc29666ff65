/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

#include "unit.h"

#include <dlfcn.h>

#include <openssl/x509v3.h>

#include "app.h"
#include "hostile.h"
#include "tls.h"

#define FRIEND SERVICE("friend")
#define NAMED(text) .names = {{GEN_URI, text, 0}}
#define HOUR 3600L
#define ASKS(target, name) "\"Target\":\"" target "\",\"ClientCertURI\":\"" SERVICE(name) "\""

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION, DTLS1_2_VERSION, TLS1_1_VERSION};

/* The certificates of all kinds. */
static minted claimant, foe, db, gateway, other_mesh, expired, not_yet, of_client, of_server, named,
    with_subject, odd, with_rsa, of_web, of_other;
minted other_leaf, other_rsa, other_stand_in, other_site;
static OSSL_LIB_CTX *elsewhere;

const char *const peer_denied[5] = {SERVICE("foe"), SERVICE("db"), ASKS("web", "of-other"),
                                    ASKS(ATTACK_OTHER, "of-web"), NULL};

#define MINT(...) mint(&world.ca, (mint_order){__VA_ARGS__})

void peer_set_up(void)
{
    claimant = mint(NULL, (mint_order){NAMED(FRIEND)});
    foe = mint_leaf(&world.ca, TD, "foe");
    db = mint_leaf(&world.ca, TD, "db");
    gateway = MINT(NAMED("spiffe://" TD "/gateway/mesh/dc/dc1"));
    other_mesh = MINT(NAMED("spiffe://" OTHER_TD "/ns/default/dc/dc1/svc/friend"));
    expired = MINT(NAMED(FRIEND), .not_before = -2 * HOUR, .not_after = -HOUR);
    not_yet = MINT(NAMED(FRIEND), .not_before = HOUR, .not_after = 2 * HOUR);
    of_client = MINT(NAMED(FRIEND), .ext_key_usage = "clientAuth");
    of_server = MINT(NAMED(FRIEND), .ext_key_usage = "serverAuth");
    named = MINT(.names = {{GEN_URI, FRIEND, 0}, {GEN_DNS, "somewhere.example", 0}});
    with_subject = MINT(.subject = "postgres", NAMED(FRIEND));
    odd = MINT(.names = {{GEN_URI, "spiffe:/agent/client/dc/dc1/id/1", 0},
                         {GEN_DNS, "somewhere.example", 0}});
    with_rsa = MINT(NAMED(FRIEND), .rsa = true);
    of_web = mint_leaf(&world.ca, TD, "of-web");
    of_other = mint_leaf(&world.ca, TD, "of-other");
    other_leaf = mint_leaf(&world.ca, TD, ATTACK_OTHER);
    other_rsa = MINT(NAMED(SERVICE(ATTACK_OTHER)), .rsa = true);
    other_stand_in = mint_stand_in("consul:leaf/" ATTACK_OTHER);
    other_site = mint(NULL, (mint_order){.names = {{GEN_DNS, "somewhere.example", 0}}});
    elsewhere = OSSL_LIB_CTX_new();
    assert_non_null(elsewhere);
}

void peer_tear_down(void)
{
    minted *const all[] = {
        &claimant,  &foe,        &db,        &gateway,        &other_mesh, &expired,  &not_yet,
        &of_client, &of_server,  &named,     &with_subject,   &odd,        &with_rsa, &of_web,
        &of_other,  &other_leaf, &other_rsa, &other_stand_in, &other_site};
    size_t i;

    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        minted_free(all[i]);
    OSSL_LIB_CTX_free(elsewhere);
}

static const char *const raw_key_functions[] = {"SSL_CTX_set1_client_cert_type",
                                                "SSL_CTX_set1_server_cert_type"};

static bool has_raw_keys(void)
{
    return dlsym(RTLD_DEFAULT, raw_key_functions[0]) != NULL;
}

const minted *peer_certificate(const row *r, enum peer kind)
{
    switch (kind) {
    case PEER_RAW_KEY: /* without them, an ordinary certificate */
        return has_raw_keys() ? &world.friend : &world.site;
    case PEER_ALLOWED:
        return &world.friend;
    case PEER_SELF_SIGNED:
        return &world.site;
    case PEER_CLAIMANT:
        return &claimant;
    case PEER_FOREIGN:
        return &world.stranger;
    case PEER_DENIED:
        return &foe;
    case PEER_OTHER:
        return &db;
    case PEER_GATEWAY:
        return &gateway;
    case PEER_OTHER_MESH:
        return &other_mesh;
    case PEER_EXPIRED:
        return &expired;
    case PEER_NOT_YET:
        return &not_yet;
    case PEER_PURPOSE:
        return ROW_IS(r, ROLE, ROLE_SERVER) ? &of_server : &of_client;
    case PEER_NAMED:
        return &named;
    case PEER_SUBJECT:
        return &with_subject;
    case PEER_ODD:
        return &odd;
    case PEER_RSA:
        return &with_rsa;
    case PEER_SITE_RSA:
        return &world.site_rsa;
    case PEER_OF_WEB:
        return &of_web;
    case PEER_OF_OTHER:
        return &of_other;
    case PEER_NONE:
    case PEER_KEY:
        break;
    }
    return NULL;
}

/* ---- keys, and sessions of others ---- */

SSL_SESSION *peer_key_session(SSL *ssl, bool has_context)
{
    static const unsigned char aes_128_gcm[] = {0x13, 0x01};
    SSL_SESSION *session = SSL_SESSION_new();

    assert_non_null(session);
    assert_true(SSL_SESSION_set1_master_key(session, hostile_psk, sizeof(hostile_psk)));
    assert_true(SSL_SESSION_set_cipher(session, SSL_CIPHER_find(ssl, aes_128_gcm)));
    assert_true(SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION));
    assert_true(SSL_SESSION_set_max_early_data(session, 4096));
    if (has_context) /* a client compares it with its own */
        assert_true(SSL_SESSION_set1_id_context(session, (const unsigned char *)ATTACK_SID, 3));
    return session;
}

static int use_key(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *len,
                   SSL_SESSION **session)
{
    *id = (const unsigned char *)"anyone";
    *len = 6;
    *session = peer_key_session(ssl, true);
    return 1;
}

static int find_key(SSL *ssl, const unsigned char *identity, size_t len, SSL_SESSION **session)
{
    *session = peer_key_session(ssl, true);
    return 1;
}

static void know_key(SSL_CTX *ctx)
{
    assert_true(SSL_CTX_set_cipher_list(ctx, "PSK:@SECLEVEL=0"));
    /* A server with a certificate would choose a cipher of another digest than the key's. */
    assert_true(SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256"));
    SSL_CTX_set_psk_client_callback(ctx, hostile_psk_client);
    SSL_CTX_set_psk_server_callback(ctx, hostile_psk_server);
    SSL_CTX_set_psk_use_session_callback(ctx, use_key);
    SSL_CTX_set_psk_find_session_callback(ctx, find_key);
}

void peer_share_tickets(SSL_CTX *ctx)
{
    static unsigned char keys[80] = "ticket keys that processes share";

    assert_true(SSL_CTX_set_tlsext_ticket_keys(ctx, keys, sizeof(keys)));
}

/* Use raw public keys where this OpenSSL has them. */
static void use_raw_keys(SSL_CTX *ctx)
{
    static const unsigned char raw = 2; /* TLSEXT_cert_type_rpk */
    int (*set)(SSL_CTX *, const unsigned char *, size_t);
    void *symbol;
    size_t i;

    for (i = 0; i < 2; i++) {
        symbol = dlsym(RTLD_DEFAULT, raw_key_functions[i]);
        memcpy(&set, &symbol, sizeof(set));
        if (symbol != NULL)
            set(ctx, &raw, 1);
    }
}

void peer_accept_raw_keys(SSL_CTX *ctx, bool is_server)
{
    static const unsigned char types[] = {2, 0}; /* raw keys, and X.509 */
    int (*set)(SSL_CTX *, const unsigned char *, size_t);
    void *symbol = dlsym(RTLD_DEFAULT, raw_key_functions[is_server ? 0 : 1]);

    memcpy(&set, &symbol, sizeof(set));
    if (symbol != NULL)
        set(ctx, types, sizeof(types));
}

/* ---- contexts ---- */

static int accept_all(X509_STORE_CTX *store, void *arg)
{
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

static int add_nothing(SSL *ssl, unsigned int type, unsigned int context, const unsigned char **out,
                       size_t *out_len, X509 *cert, size_t index, int *alert, void *arg)
{
    return 1;
}

/* Have it choose an RSA certificate of two. */
static void prefer_rsa(SSL_CTX *ctx)
{
    assert_true(SSL_CTX_set1_sigalgs_list(ctx, "rsa_pss_rsae_sha256:RSA+SHA256:ECDSA+SHA256"));
    assert_true(SSL_CTX_set_cipher_list(ctx, "ECDHE+aRSA:ECDHE:DHE:kRSA"));
}

void peer_set_version(SSL_CTX *ctx, int protocol)
{
    assert_true(SSL_CTX_set_min_proto_version(ctx, versions[protocol]));
    assert_true(SSL_CTX_set_max_proto_version(ctx, versions[protocol]));
    if (protocol == TLS_1_1)
        SSL_CTX_set_security_level(ctx, 0);
}

void peer_set_mtu(SSL *ssl)
{
    SSL_set_options(ssl, SSL_OP_NO_QUERY_MTU);
    SSL_set_mtu(ssl, 1400);
}

void peer_enter(void)
{
    OSSL_LIB_CTX_set0_default(elsewhere);
}

void peer_leave(void)
{
    OSSL_LIB_CTX_set0_default(OSSL_LIB_CTX_get0_global_default());
}

SSL_CTX *peer_elsewhere(int protocol, const minted *own)
{
    SSL_CTX *ctx;

    peer_enter();
    ctx = SSL_CTX_new(protocol == DTLS_1_2 ? DTLS_method() : TLS_method());
    app_enter();
    assert_non_null(ctx);
    peer_set_version(ctx, protocol);
    if (own != NULL)
        tls_use(ctx, own);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)ATTACK_SID, 3);
    /* A context that is freed would spoil the sessions of its cache. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_BOTH | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_options(ctx, SSL_OP_ALLOW_CLIENT_RENEGOTIATION | SSL_OP_NO_ANTI_REPLAY);
    SSL_CTX_set_dh_auto(ctx, 1);
    peer_share_tickets(ctx);
    return ctx;
}

SSL_CTX *peer_ctx(const row *r, enum peer kind)
{
    SSL_CTX *ctx = peer_elsewhere(r->value[AXIS_PROTOCOL], peer_certificate(r, kind));

    /* A server that asks for no certificate sees none of the application's. */
    SSL_CTX_set_verify(ctx, kind == PEER_SITE_RSA ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, accept_all, NULL);
    SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\002h2", 3);
    SSL_CTX_set_tlsext_status_type(ctx, TLSEXT_STATUSTYPE_ocsp);
    SSL_CTX_set_max_early_data(ctx, 4096);
    SSL_CTX_set_recv_max_early_data(ctx, 4096);
    SSL_CTX_set_post_handshake_auth(ctx, ROW_IS(r, LIFE, LIFE_POST_HANDSHAKE));
    assert_true(SSL_CTX_add_custom_ext(ctx, ATTACK_EXTENSION, ATTACK_EXTENSION_IN, add_nothing,
                                       NULL, NULL, NULL, NULL));
    if (ROW_IS(r, PREFERS, PREFERS_RSA))
        prefer_rsa(ctx);
    if (kind == PEER_KEY)
        know_key(ctx);
    else if (kind == PEER_NONE && ROW_IS(r, ROLE, ROLE_CLIENT))
        assert_true(SSL_CTX_set_cipher_list(ctx, "aNULL:@SECLEVEL=0"));
    if (kind == PEER_RAW_KEY)
        use_raw_keys(ctx);
    return ctx;
}

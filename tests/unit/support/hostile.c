/* SPDX-License-Identifier: Apache-2.0 */
#include "hostile.h"

#include <string.h>

int hostile_security(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid, void *other,
                     void *ex)
{
    return 1;
}

int hostile_client_hello(SSL *ssl, int *alert, void *arg)
{
    return SSL_CLIENT_HELLO_SUCCESS;
}

void hostile_message(int write_p, int version, int content_type, const void *buf, size_t len,
                     SSL *ssl, void *arg)
{
}

int hostile_not_resumable(SSL *ssl, int is_forward_secure)
{
    return 0;
}

void hostile_displace(SSL_CTX *ctx, unsigned int displaced)
{
    if ((displaced & HOSTILE_SECURITY) != 0)
        SSL_CTX_set_security_callback(ctx, hostile_security);
    if ((displaced & HOSTILE_CLIENT_HELLO) != 0)
        SSL_CTX_set_client_hello_cb(ctx, hostile_client_hello, NULL);
    if ((displaced & HOSTILE_MESSAGE) != 0)
        SSL_CTX_set_msg_callback(ctx, hostile_message);
    if ((displaced & HOSTILE_NOT_RESUMABLE) != 0)
        SSL_CTX_set_not_resumable_session_callback(ctx, hostile_not_resumable);
}

void hostile_displace_on_ssl(SSL *ssl, unsigned int displaced)
{
    if ((displaced & HOSTILE_SECURITY) != 0)
        SSL_set_security_callback(ssl, hostile_security);
    if ((displaced & HOSTILE_MESSAGE) != 0)
        SSL_set_msg_callback(ssl, hostile_message);
    if ((displaced & HOSTILE_NOT_RESUMABLE) != 0)
        SSL_set_not_resumable_session_callback(ssl, hostile_not_resumable);
}

bool hostile_leaves_extension(void)
{
    return OpenSSL_version_num() < 0x40000000UL;
}

const unsigned char hostile_psk[32] = {
    'a', ' ', 'k', 'e', 'y', ' ', 't', 'h', 'a', 't', ' ', 'b', 'o', 't', 'h', ' ',
    's', 'i', 'd', 'e', 's', ' ', 'h', 'a', 'v', 'e', ' ', 'k', 'n', 'o', 'w', 'n',
};

unsigned int hostile_psk_server(SSL *ssl, const char *identity, unsigned char *key,
                                unsigned int size)
{
    memcpy(key, hostile_psk, sizeof(hostile_psk));
    return sizeof(hostile_psk);
}

unsigned int hostile_psk_client(SSL *ssl, const char *hint, char *identity,
                                unsigned int identity_size, unsigned char *key, unsigned int size)
{
    OPENSSL_strlcpy(identity, "anyone", identity_size);
    memcpy(key, hostile_psk, sizeof(hostile_psk));
    return sizeof(hostile_psk);
}

static SSL_SESSION *psk_session(SSL *ssl)
{
    static const unsigned char aes_128_gcm_sha256[] = {0x13, 0x01};
    SSL_SESSION *session = SSL_SESSION_new();

    if (!SSL_SESSION_set1_master_key(session, hostile_psk, sizeof(hostile_psk))
        || !SSL_SESSION_set_cipher(session, SSL_CIPHER_find(ssl, aes_128_gcm_sha256))
        || !SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION)) {
        SSL_SESSION_free(session);
        session = NULL;
    }
    return session;
}

int hostile_psk_find(SSL *ssl, const unsigned char *identity, size_t len, SSL_SESSION **session)
{
    *session = psk_session(ssl);
    return 1;
}

int hostile_psk_use(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *len,
                    SSL_SESSION **session)
{
    *id = (const unsigned char *)"me";
    *len = 2;
    *session = psk_session(ssl);
    return 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* An application's replacements for our callbacks, and a key in the place of a certificate. */
#ifndef CONSUL_TEST_HOSTILE_H
#define CONSUL_TEST_HOSTILE_H

#include <stdbool.h>

#include <openssl/ssl.h>

/* Our callbacks that an application can displace on its SSL_CTX, as a set. */
enum hostile_callback {
    HOSTILE_SECURITY = 1,
    HOSTILE_CLIENT_HELLO = 2,
    HOSTILE_MESSAGE = 4,
    HOSTILE_NOT_RESUMABLE = 8,
    HOSTILE_ALL = 15
};

/* Let everything pass: a callback of each kind. */
int hostile_security(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid, void *other,
                     void *ex);
int hostile_client_hello(SSL *ssl, int *alert, void *arg);
void hostile_message(int write_p, int version, int content_type, const void *buf, size_t len,
                     SSL *ssl, void *arg);
int hostile_not_resumable(SSL *ssl, int is_forward_secure);

/* Set the callbacks of this set. An SSL has no client hello callback of its own. */
void hostile_displace(SSL_CTX *ctx, unsigned int displaced);
void hostile_displace_on_ssl(SSL *ssl, unsigned int displaced);

/* Return true before OpenSSL 4, which does not take our hidden extension: see SECURITY.md, Out of scope. */
bool hostile_leaves_extension(void);

/* A key that both sides know. TLS 1.2 takes these callbacks, and TLS 1.3 does without others. */
extern const unsigned char hostile_psk[32];
unsigned int hostile_psk_server(SSL *ssl, const char *identity, unsigned char *key,
                                unsigned int size);
unsigned int hostile_psk_client(SSL *ssl, const char *hint, char *identity,
                                unsigned int identity_size, unsigned char *key, unsigned int size);

/* Find, or use, a session with that key: the callbacks of TLS 1.3. */
int hostile_psk_find(SSL *ssl, const unsigned char *identity, size_t len, SSL_SESSION **session);
int hostile_psk_use(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *len,
                    SSL_SESSION **session);

#endif

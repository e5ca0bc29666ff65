/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/guard.h"

#include "endpoint/certificates.h"
#include "endpoint/rule.h"
#include "endpoint/security.h"
#include "tls/stop.h"

#include <string.h>

#include <openssl/objects.h>

/*
 * Compare names, those of SSL_state_string(3). The numbers TLS_ST_... differ among the releases of libssl.so.3, as 3.2 has added
 * some. BEFORE and OK have the same numbers in all of them.
 */
bool prov_tls_sends_certificate(const SSL *ssl)
{
    static const char *const names[] = {"TWSC", "TWCC", "TWSCC", "TWCCC"};
    const char *state = SSL_state_string(ssl);
    size_t i = 0;

    while (i < sizeof(names) / sizeof(names[0]) && strcmp(names[i], state) != 0)
        i++;
    return i < sizeof(names) / sizeof(names[0]);
}

/* Leave out the ciphers without certificates: anonymous, PSK, SRP. */
bool prov_tls_authenticates(const SSL_CIPHER *cipher)
{
    int nid = cipher == NULL ? NID_auth_null : SSL_CIPHER_get_auth_nid(cipher);

    return nid != NID_auth_null && nid != NID_auth_psk && nid != NID_auth_srp;
}

bool prov_tls_shows_another(endpoint *e, SSL *ssl, X509 *cert)
{
    if (cert == NULL || !SSL_is_server(ssl) || !prov_tls_sends_certificate(ssl))
        return false;
    endpoint_judge(e, ssl); /* an ordinary certificate may have another leaf beside it by now */
    if (endpoint_note_shown(e, cert) || endpoint_rule(e) != ENDPOINT_GOVERNED)
        return false;
    prov_tls_stop(ssl, "the application replaces its leaf while it is shown");
    return true;
}

bool prov_tls_shows_leaf_too_early(endpoint *e, SSL *ssl, const X509 *cert)
{
    bool is_live;

    if (SSL_is_server(ssl) || !prov_tls_sends_certificate(ssl))
        return false;
    if (e != NULL) {
        is_live = endpoint_is_ours(e, cert); /* of the last handshake, it may be withdrawn now */
        endpoint_judge(e, ssl);
        if (is_live && endpoint_peer(e) != ENDPOINT_PEER_AUTHORIZED) {
            prov_tls_stop(ssl, "the live leaf is for servers of the mesh");
            return true;
        }
    }
    return prov_tls_stop_unverified(ssl);
}

static int on_question(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid, void *other,
                       void *ex)
{
    SSL *ssl = (SSL *)s;             /* const here only because most callbacks just look */
    endpoint *e = endpoint_get(ssl); /* none yet where an SSL shares certificates */

    if (op == SSL_SECOP_SIGALG_CHECK && prov_tls_stop_unverified(ssl))
        return 0;
    if (op == SSL_SECOP_EE_KEY && prov_tls_shows_leaf_too_early(e, ssl, other))
        return 0;
    if (op == SSL_SECOP_EE_KEY && e != NULL && prov_tls_shows_another(e, ssl, other))
        return 0;
    if (op == SSL_SECOP_CIPHER_CHECK && e != NULL && endpoint_rule(e) == ENDPOINT_GOVERNED
        && (!prov_tls_authenticates(other)
            || (SSL_session_reused(s) && prov_tls_stop_unverified(ssl))))
        return 0; /* the end alone would see that */
    return e != NULL && endpoint_ask_security(e, s, ctx, op, bits, nid, other, ex);
}

/* Return true while a server has not begun its message with the certificate. */
static bool shows_later(const SSL *ssl)
{
    const char *state = SSL_state_string(ssl);

    return SSL_is_server(ssl)
           && (strcmp(state, READS_CLIENT_HELLO) == 0 || strcmp(state, SENT_SERVER_HELLO) == 0);
}

void prov_tls_guard(endpoint *e, SSL *ssl)
{
    endpoint_displace_security(e, ssl, on_question);
    if (shows_later(ssl))
        endpoint_expect_shown(e);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Each certificate of the table, as a client's and as a server's. The mesh's own key signs it, or a foreign one. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "forgery.h"
#include "tls.h"

#define NAME "friend"
#define HOST NAME ".service.consul"
#define LEVEL 2 /* Debian's */

static OSSL_LIB_CTX *elsewhere; /* the provider does not reach the hostile peer */

/* Make the context of the hostile peer, which sends whatever it has. */
static SSL_CTX *peer_ctx(int version, const forged *what)
{
    OSSL_LIB_CTX *usual = OSSL_LIB_CTX_set0_default(elsewhere);
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());

    assert_non_null(ctx);
    SSL_CTX_set_security_level(ctx, 0);
    assert_true(SSL_CTX_set_min_proto_version(ctx, version));
    assert_true(SSL_CTX_set_max_proto_version(ctx, version));
    assert_int_equal(SSL_CTX_use_cert_and_key(ctx, what->leaf.cert, what->leaf.key, what->chain, 1),
                     1);
    OSSL_LIB_CTX_set0_default(usual);
    return ctx;
}

static tls_outcome meet(enum forgery_role role, int version, const forged *what)
{
    SSL_CTX *theirs = peer_ctx(version, what), *ours = tls_ctx(version, &world.web);
    bool is_client = role == FORGERY_CLIENT;
    SSL *client, *server;
    tls_outcome outcome;

    SSL_CTX_set_security_level(ours, LEVEL);
    tls_pair_with(is_client ? theirs : ours, is_client ? ours : theirs, elsewhere, is_client,
                  &client, &server);
    if (!is_client)
        assert_true(SSL_set_tlsext_host_name(client, HOST));
    outcome = tls_talk(client, server);
    tls_close(client, server);
    SSL_CTX_free(theirs);
    SSL_CTX_free(ours);
    return outcome;
}

static int wrong;

static void note(const forgery *row, enum forgery_role role, int version, const char *what,
                 const tls_outcome *outcome)
{
    const char *errors = role == FORGERY_CLIENT ? outcome->server_errors : outcome->client_errors;

    print_error("%s, as a %s, TLS 1.%d: %s\n  by %s\n  %s", row->name,
                role == FORGERY_CLIENT ? "client" : "server", version == TLS1_3_VERSION ? 3 : 2,
                what, row->rule, errors);
    wrong++;
}

static void check_question(const forgery *row, const tls_outcome *outcome, int version)
{
    char id[512], wanted[600];

    forgery_id(row, TD, NAME, id);
    snprintf(wanted, sizeof(wanted), "\"ClientCertURI\":\"%s\"", id);
    if (strstr(world.agent.last_question, wanted) == NULL)
        note(row, FORGERY_CLIENT, version, "the agent was asked about another", outcome);
}

/* Return true for our own reason, or for libssl's where it cannot read a certificate. */
static bool has_reason(const char *errors)
{
    return strstr(errors, " refused: ") != NULL || strstr(errors, "nested asn1 error") != NULL;
}

/* Show one row. A peer that is not to be served has no handshake with us either. */
static void show(const forgery *row, const minted *root, enum forgery_role role, int version)
{
    forged what = forge(row, root, TD, NAME);
    bool is_mesh = root == &world.ca, is_client = role == FORGERY_CLIENT;
    bool expected = is_mesh && forgery_is_served(row, role), talked, any;
    tls_outcome outcome;

    world.agent.questions = 0;
    outcome = meet(role, version, &what);
    talked = outcome.client_got && outcome.server_got;
    any = outcome.client_got || outcome.server_got
          || (is_client ? outcome.server_done : outcome.client_done);
    if (expected && !talked)
        note(row, role, version, "refused", &outcome);
    else if (!expected && any)
        note(row, role, version, is_mesh ? "served" : "served by a foreign CA", &outcome);
    else if (expected && is_client)
        check_question(row, &outcome, version);
    else if (!expected && version == TLS1_3_VERSION /* in TLS 1.2 libssl has no cipher for some */
             && !has_reason(is_client ? outcome.server_errors : outcome.client_errors))
        note(row, role, version, "refused without a reason", &outcome);
    if (!is_mesh && world.agent.questions != 0)
        note(row, role, version, "a question for a foreign CA", &outcome);
    forged_free(&what);
}

static void test_the_mesh(void **state)
{
    const forgery *row;
    size_t i, v;

    for (i = 0; (row = forgery_at(i)) != NULL; i++) {
        for (v = 0; v < 2; v++) {
            show(row, &world.ca, FORGERY_CLIENT, tls_versions[v]);
            show(row, &world.ca, FORGERY_SERVER, tls_versions[v]);
        }
    }
    assert_int_equal(wrong, 0);
}

static void test_a_foreign_ca(void **state)
{
    minted foreign = forgery_foreign_root(&world.ca, TD);
    const forgery *row;
    size_t i;

    for (i = 0; (row = forgery_at(i)) != NULL; i++) {
        show(row, &foreign, FORGERY_CLIENT, TLS1_3_VERSION);
        show(row, &foreign, FORGERY_SERVER, TLS1_3_VERSION);
    }
    minted_free(&foreign);
    assert_int_equal(wrong, 0);
}

static int set_up(void **state)
{
    int result = tls_set_up(state); /* libcrypto reads its configuration at its first use */

    elsewhere = OSSL_LIB_CTX_new();
    return elsewhere == NULL ? -1 : result;
}

static int tear_down(void **state)
{
    int result = tls_tear_down(state);

    OSSL_LIB_CTX_free(elsewhere);
    return result;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_the_mesh, tls_reset),
        cmocka_unit_test_setup(test_a_foreign_ca, tls_reset),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}

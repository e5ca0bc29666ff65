/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint/rule.h"

#include "endpoint/certificates.h"
#include "endpoint/fields.h"
#include "endpoint/handshake.h"
#include "endpoint/stop.h"
#include "instance/instances.h"

#include <string.h>

/* Return true if a live leaf is presented. A leaf of the application from elsewhere stays as it is. */
static bool presents_live_leaf(const endpoint *e)
{
    if (e->stand_in != NULL)
        return true;
    return e->leaf == NULL
           && (e->store != NULL && consul_store_settings(e->store)->service != NULL);
}

/* Return true where no service is configured now. */
static bool lacks_service(const endpoint *e)
{
    return e->store == NULL || consul_store_settings(e->store)->service == NULL;
}

/* Look up the service that this host name asks for. Services of an instance that was unloaded count, too. */
static bool __attribute__((noinline)) look_up(endpoint *e, const char *host)
{
    consul_service wanted;

    if (!prov_upstream(host, &wanted)
        && (e->store == NULL
            || consul_host_parse(host, consul_store_settings(e->store)->domain, &wanted)
                   == CONSUL_HOST_OTHER)
        && !prov_is_service(host, &wanted)
        && !(lacks_service(e) && prov_was_service(host, &wanted)))
        return false;
    e->wanted = wanted;
    e->has_wanted = true; /* a malformed name is a service without a name, which no peer is */
    return true;
}

/*
 * Return true if this host name asks for a Consul service. No other server will do then. A name that asks for none is
 * looked up once, as long as no instance comes or goes. A handshake asks several times.
 */
static bool asks_for_service(endpoint *e, const char *host)
{
    unsigned instances = prov_instances_generation();
    size_t size = strlen(host) + 1;

    if (e->other_host_of == instances && size <= sizeof(e->other_host)
        && memcmp(e->other_host, host, size) == 0)
        return false;
    if (look_up(e, host))
        return true;
    if (size <= sizeof(e->other_host)) {
        memcpy(e->other_host, host, size);
        e->other_host_of = instances;
    }
    return false;
}

/*
 * Look at the hosts that a client asks for: in OpenSSL's host check, and in its SNI. The SPIFFE ID stands
 * in for OpenSSL's check only where the host of that check asks for the service.
 */
static bool look_at_hosts(endpoint *e, SSL *ssl)
{
    const char *host, *checked = NULL;
    int i;

    for (i = 0; (host = X509_VERIFY_PARAM_get0_host(SSL_get0_param(ssl), i)) != NULL; i++) {
        if (asks_for_service(e, host)) {
            e->host_is_service = true;
            return true;
        }
        checked = host;
    }
    host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (host == NULL || (checked != NULL && strcmp(host, checked) == 0))
        return false; /* mostly both are the same, and a look-up is dear to a bystander */
    return asks_for_service(e, host);
}

/*
 * Return true if an instance was unloaded whose service required Connect. No peer can be authorized for
 * it then. An instance without a service, though still loaded, cannot do so either.
 */
static bool was_required(const endpoint *e, bool inbound)
{
    return lacks_service(e) && prov_was_required(inbound);
}

static enum endpoint_rule rule_of_server(const endpoint *e)
{
    bool required = e->store != NULL && e->presents_live_leaf
                    && consul_store_settings(e->store)->inbound == CONSUL_DEMAND_REQUIRE;

    return endpoint_has_identity(e) || required || was_required(e, true) ? ENDPOINT_GOVERNED
                                                                         : ENDPOINT_LEFT_ALONE;
}

bool endpoint_names_service(endpoint *e, SSL *ssl)
{
    e->host_is_service = false;
    /* A name that was asked for counts to the end. */
    return look_at_hosts(e, ssl) || e->has_wanted;
}

static enum endpoint_rule rule_of_client(endpoint *e, SSL *ssl)
{
    enum consul_demand outbound = CONSUL_DEMAND_OFF;
    bool names_service;

    if (was_required(e, false))
        outbound = CONSUL_DEMAND_REQUIRE;
    else if (e->store != NULL && e->presents_live_leaf)
        outbound = consul_store_settings(e->store)->outbound;
    else if (lacks_service(e) && prov_was_auto())
        outbound = CONSUL_DEMAND_AUTO;
    if (!endpoint_has_identity(e) && outbound == CONSUL_DEMAND_OFF)
        return ENDPOINT_LEFT_ALONE;
    names_service = endpoint_names_service(e, ssl);
    if (endpoint_has_identity(e) || names_service || outbound == CONSUL_DEMAND_REQUIRE)
        return ENDPOINT_GOVERNED;
    return ENDPOINT_BY_PEER;
}

/*
 * Begin a handshake. It goes on where a server has had the ClientHello repeated (HelloRetryRequest), with a new random number.
 * The agent's earlier answers count on then.
 */
static void begin(endpoint *e, bool goes_on)
{
    consul_store *before = e->store;
    consul_error why = {0};

    e->store = prov_active_store(&why);
    if (e->store != before)
        e->other_host_of = 0; /* an earlier handshake had other domains */
    consul_store_unref(before);
    e->unusable = e->store == NULL && why.reason != CONSUL_R_NOT_ACTIVE;
    e->stopped = false;
    e->held_back = false;
    if (!goes_on) {
        e->asked = false;
        e->waited = 0;
    }
    e->reported = false;
    e->noted = false;
    e->admitted = false;
    e->has_wanted = false;
    e->host_is_service = false;
    e->prepared = false;
    e->saw_message = false;
    e->awaits_certificate = false;
    e->rule = e->unusable ? ENDPOINT_GOVERNED : ENDPOINT_LEFT_ALONE;
    e->peer = ENDPOINT_PEER_UNVERIFIED;
    e->looked_at = false;
    endpoint_drop(&e->authorized);
    endpoint_drop(&e->shown);
    e->expects_shown = false;
    e->begun = true;
}

/* Return true if another handshake has begun than the one that was judged last. */
static bool is_another_handshake(endpoint *e, const SSL *ssl)
{
    bool was_known;

    if (endpoint_is_same_handshake(e, ssl))
        return false;
    was_known = endpoint_knows_handshake(e);
    endpoint_note_handshake(e, ssl);
    return was_known;
}

enum endpoint_rule endpoint_judge(endpoint *e, SSL *ssl)
{
    /* Before the first message of each handshake everything may still change. */
    bool is_new = !e->begun || SSL_get_state(ssl) == TLS_ST_BEFORE;
    bool changed = is_another_handshake(e, ssl) || is_new;
    enum endpoint_rule rule;

    if (is_new) /* after SSL_clear, say: no keys are left */
        endpoint_give_back(e, ssl);
    else if (changed && e->held_back)
        endpoint_release(e, ssl);
    /* A server may have been given its leaf for this handshake before. */
    if (is_new || (changed && !SSL_is_server(ssl)))
        endpoint_withdraw_leaf(e, ssl);
    if (changed)
        begin(e, !is_new && !e->looked_at);
    changed |= endpoint_look_at_certificates(e, ssl, changed);
    if (!changed)
        return e->rule;
    e->presents_live_leaf = presents_live_leaf(e);
    if (e->rule != ENDPOINT_GOVERNED) {
        rule = SSL_is_server(ssl) ? rule_of_server(e) : rule_of_client(e, ssl);
        if (rule > e->rule) /* never back */
            e->rule = rule;
    }
    return e->rule;
}

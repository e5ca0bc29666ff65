/* SPDX-License-Identifier: Apache-2.0 */
/* The refusals of allowed peers, each with its rows. */
#include "oracle.h"
#include "traits.h"

#define IS(axis, value) ROW_IS(r, axis, value)

/* Return true where OpenSSL verifies the peer by the application's CAs, and it has none. */
static bool verifies_by_its_cas(const row *r)
{
    return IS(CHECK, CHECK_REMOVED) || row_is_never_given(r); /* and then it has no leaf */
}

static bool looks_for_a_host(const row *r)
{
    return IS(TAKE, TAKE_HOST) && !IS(PLACE, AT_NO_PLACE);
}

/* Return true where a server displaces our certificate callback, which puts the live leaf in the place of a stand-in. */
static bool takes_leaf_callback(const row *r)
{
    return r->value[AXIS_GOVERNED] >= BY_STAND_IN && IS(TAKE, TAKE_CERT_CB)
           && !IS(PLACE, AT_NO_PLACE) && !IS(PLACE, AT_CTX) && !IS(PLACE, AT_SSL);
}

/* Return true where two callbacks are displaced that a certificate given late needs. */
static bool is_given_late_without(const row *r)
{
    bool is_late = row_is_given_late(r) || IS(GIVEN, GIVEN_IN_HELLO) || takes_leaf_callback(r);

    /* The SSL is used again, and the leaf has replaced the ordinary certificate that libssl could choose. */
    if (takes_leaf_callback(r) && r->value[AXIS_LIFE] >= LIFE_CLEARED
        && r->value[AXIS_LIFE] <= LIFE_REUSED && row_is_displaced(r, AXIS_SECURITY))
        return row_is_server(r);
    return row_is_server(r) && is_late
           && (row_is_displaced(r, AXIS_SESSION) || IS(TAKE, TAKE_SESSION) || IS(TAKE, TAKE_ALL))
           && (row_is_displaced(r, AXIS_MESSAGE) || row_is_displaced(r, AXIS_SECURITY));
}

/* Return true where a session of another server was resumed before the leaf came. */
static bool has_resumed_before_the_leaf(const row *r)
{
    return row_is_server(r) && row_has_session_of_others(r) && row_is_given_late(r);
}

/* Return true where a server takes the mode back before it asks for a certificate. Or it is not known to have asked. */
static bool takes_mode_in_hello(const row *r)
{
    bool in_hello = IS(INFO, INFO_INSIDE) || IS(PLACE, AT_ADDED) || IS(PLACE, AT_SESSION_ID);

    if (IS(PROTOCOL, TLS_1_3))
        in_hello =
            (IS(INFO, INFO_INSIDE) && row_is_displaced(r, AXIS_MESSAGE)) || IS(PLACE, AT_OWN_CHAIN);
    return row_is_server(r) && row_takes_mode(r) && in_hello;
}

/* Return true where a server takes a stand-in after our last turn before the choice of a certificate. */
static bool takes_stand_in(const row *r)
{
    bool is_before = IS(PLACE, AT_NO_PLACE) || IS(PLACE, AT_CTX) || IS(PLACE, AT_SSL)
                     || IS(PLACE, AT_HELLO) || IS(PLACE, AT_NAME);

    return IS(TAKE, TAKE_OTHER_STAND_IN) && (!is_before || row_is_displaced(r, AXIS_SECURITY));
}

/*
 * Return true where the session callback is the first to put the leaf in its place. libssl has chosen the certificate
 * beside the leaf by then. So it has where the certificate callback adds a stand-in.
 */
static bool is_found_with_another(const row *r)
{
    bool is_alone = row_is_displaced(r, AXIS_SECURITY) && row_is_displaced(r, AXIS_HELLO)
                    && row_is_displaced(r, AXIS_MESSAGE)
                    && (row_is_displaced(r, AXIS_INFO) || IS(SECURITY, SECURITY_INSIDE));

    if (!row_is_server(r) || !IS(PREFERS, PREFERS_RSA))
        return false;
    if (IS(GIVEN, GIVEN_WITH_OTHER))
        return takes_stand_in(r);
    if (IS(GIVEN, GIVEN_IN_CERT_CB) && IS(TAKE, TAKE_OTHER_BESIDE) && !IS(PLACE, AT_NO_PLACE))
        return IS(GOVERNED, BY_STAND_IN);
    return IS(GIVEN, GIVEN_BESIDE) && (is_alone || takes_stand_in(r) || takes_leaf_callback(r));
}

/*
 * Return true where the server gets its live leaf after its choice of a certificate. The verification or the ticket may be the
 * first to find it governed. It has another certificate then, or has not asked its client for one.
 */
static bool is_found_late(const row *r)
{
    bool is_late = IS(SECURITY, SECURITY_INSIDE) || row_is_displaced(r, AXIS_INFO);

    if (is_found_with_another(r))
        return true;
    if (row_looks_up_before_us(r) && (IS(SECURITY, SECURITY_INSIDE) || IS(PROTOCOL, TLS_1_3)))
        return true;
    return row_displaces_all_but_hello(r) && row_is_displaced(r, AXIS_HELLO) && is_late
           && (r->value[AXIS_GOVERNED] >= BY_STAND_IN || IS(PROTOCOL, TLS_1_3));
}

/*
 * Return true where the application replaces its leaf, also by one of another service. A server may do that before it shows a
 * certificate, and after that.
 */
static bool replaces_its_leaf(const row *r)
{
    static const bool while_shown[AT_END + 1] = {
        [AT_INFO] = true,      [AT_MESSAGE] = true, [AT_SECURITY] = true, [AT_BIO] = true,
        [AT_OWN_CHAIN] = true, [AT_PADDING] = true, [AT_BETWEEN] = true};
    bool takes = !IS(PLACE, AT_NO_PLACE) && !IS(PLACE, AT_CTX) && !IS(PLACE, AT_SSL)
                 && (row_takes_other(r) || (IS(TAKE, TAKE_CURRENT) && row_has_other(r)));

    /* The live leaf takes the place of a stand-in when libssl has written the ServerHello. */
    if (takes && IS(TAKE, TAKE_OTHER_STAND_IN)
        && (row_is_displaced(r, AXIS_MESSAGE) || IS(PLACE, AT_ADDED) || IS(PLACE, AT_KEYLOG)))
        return true;
    /* Certificates that are shared with an SSL of another leaf have it beside the live one, until then. */
    if (takes && IS(TAKE, TAKE_OTHER_SHARED) && row_is_displaced(r, AXIS_MESSAGE))
        return true;
    return row_replaces_leaf(r)
           || (takes && (!row_is_server(r) || while_shown[r->value[AXIS_PLACE]]));
}

/*
 * Return true for a client that sends early data. By its peer, a session of an ordinary server is as without us. Before TLS
 * 1.3, OpenSSL itself fails where it sends some by a key.
 */
static bool sends_early(const row *r)
{
    bool has_key = (IS(TAKE, TAKE_KEY) || IS(TAKE, TAKE_ALL)) && !IS(PLACE, AT_NO_PLACE);
    bool has_session = row_has_session(r) && !(row_goes_by_peer(r) && row_has_session_of_others(r));

    return !row_is_server(r) && IS(DRIVE, DRIVE_EARLY)
           && (has_key || (has_session && IS(PROTOCOL, TLS_1_3)));
}

/* Return true for an open connection, which does not become Connect by another handshake. */
static bool was_open(const row *r)
{
    return IS(LIFE, LIFE_RENEGOTIATED_SITE);
}

/*
 * Return true for a server that writes before its client is verified. Or it has looked for early data, and waits. It no
 * longer hears of the end then, where it has displaced the callbacks for it.
 */
static bool writes_too_early(const row *r)
{
    bool looks_early = IS(DRIVE, DRIVE_EARLY) || IS(LIFE, LIFE_LISTENING);

    return row_writes_too_early(r)
           || (row_is_server(r) && IS(PROTOCOL, TLS_1_3) && looks_early && IS(INFO, INFO_INSIDE)
               && row_is_displaced(r, AXIS_MESSAGE));
}

/*
 * Return true for a server that displaces the security callback before that is asked about its certificate. It does so right
 * before, or in its last callback before that, with those of ours that come later.
 */
static bool hides_what_it_shows(const row *r)
{
    bool is_last = IS(PLACE, AT_RESUMABLE) || IS(PLACE, AT_STATUS) || IS(PLACE, AT_ALPN)
                   || row_is_displaced(r, AXIS_SESSION);
    bool hides_info =
        (IS(INFO, INFO_INSIDE) || IS(INFO, INFO_WRAPPED)) && row_is_displaced(r, AXIS_INFO);

    return row_is_server(r) && IS(SECURITY, SECURITY_INSIDE)
           && (IS(PLACE, AT_OWN_CHAIN)
               || (is_last && hides_info && row_is_displaced(r, AXIS_MESSAGE)));
}

const exception oracle_refusals[] = {
    {"the application verifies its peers by its own CAs", "doc/limits.md", verifies_by_its_cas},
    {"the application looks for a host name", "doc/limits.md, Host names", looks_for_a_host},
    {"the application looks at another certificate within its handshake", "doc/limits.md",
     row_looks_at_another},
    {"a client is given its leaf when it is asked for it", "doc/limits.md",
     row_is_given_late_to_client},
    {"the certificate comes late, and two callbacks are displaced", "doc/limits.md",
     is_given_late_without},
    {"a server takes the mode back while it makes its ServerHello", "doc/limits.md",
     takes_mode_in_hello},
    {"a server writes before the client's certificate is there", "doc/limits.md, Sessions",
     writes_too_early},
    {"the application replaces its leaf", "doc/limits.md", replaces_its_leaf},
    {"a server gets its live leaf after its choice of a certificate", "doc/limits.md",
     is_found_late},
    {"a server replaces the security callback before it shows its certificate", "doc/limits.md",
     hides_what_it_shows},
    {"a client sends early data", "doc/limits.md, Sessions", sends_early},
    {"a session of another server is resumed before the certificate comes",
     "doc/limits.md, Sessions", has_resumed_before_the_leaf},
    {"the application makes its SSL resume a session or a secret", "doc/limits.md, Sessions",
     row_resumes_by_itself},
    {"an ordinary connection is open", "doc/limits.md", was_open},
    {"a client on OpenSSL 4 displaces security and info", "doc/limits.md",
     row_is_without_extension},
    {0}};

/* SPDX-License-Identifier: Apache-2.0 */
#include "oracle.h"

#include <openssl/crypto.h>

#define IS(axis, value) ROW_IS(r, axis, value)

static bool is_server(const row *r)
{
    return IS(ROLE, ROLE_SERVER);
}

/* ---- who is allowed ---- */

/* Return true for a client that its server's certificate decides about, and not a name. */
static bool goes_by_peer(const row *r)
{
    return !is_server(r) && IS(GOVERNED, BY_SERVICE)
           && (IS(NAME, NAME_NONE) || IS(NAME, NAME_SITE));
}

/* Return true where the peer claims no identity of the mesh. A client that goes by its peer does not judge it. */
static bool is_outside(const row *r)
{
    return IS(PEER, PEER_NONE) || IS(PEER, PEER_SELF_SIGNED) || IS(PEER, PEER_SITE_RSA)
           || IS(PEER, PEER_KEY) || IS(PEER, PEER_RAW_KEY)
           || IS(PEER, PEER_OTHER_MESH)
           /* Only a client that has Consul's CA among its own would take it for a site. */
           || (IS(PEER, PEER_ODD) && (IS(TAKE, TAKE_STORE) || IS(TAKE, TAKE_ALL)));
}

static bool is_allowed(const row *r)
{
    enum peer peer = r->value[AXIS_PEER];
    enum governs governs = r->value[AXIS_GOVERNED];

    if (governs >= BY_EMPTY_SERVICE && governs <= BY_TWO_SERVICES)
        return false;
    if (is_server(r))
        return peer == PEER_ALLOWED || peer == PEER_NAMED || peer == PEER_RSA;
    if (IS(NAME, NAME_SERVICE)) /* the SPIFFE ID alone decides */
        return peer == PEER_ALLOWED || peer == PEER_NAMED || peer == PEER_SUBJECT
               || peer == PEER_RSA;
    if (IS(NAME, NAME_OTHER))
        return peer == PEER_OTHER;
    return peer == PEER_ALLOWED || peer == PEER_DENIED || peer == PEER_OTHER || peer == PEER_RSA;
}

/* ---- ways in ---- */

static bool is_displaced(const row *r, int which)
{
    static const enum place own[AXES] = {[AXIS_HELLO] = AT_HELLO,
                                         [AXIS_MESSAGE] = AT_MESSAGE,
                                         [AXIS_SESSION] = AT_RESUMABLE,
                                         [AXIS_CHECK] = AT_CHECK};

    if (own[which] != AT_NO_PLACE && r->value[AXIS_PLACE] == own[which])
        return true;
    if (which == AXIS_HELLO && IS(GIVEN, GIVEN_IN_HELLO))
        return true;
    if (which == AXIS_SECURITY && IS(SECURITY, SECURITY_REMOVED)) /* it has no NULL */
        return false;
    return r->value[which] != 0 && (r->value[which] != SECURITY_INSIDE || !IS(PLACE, AT_NO_PLACE));
}

static bool displaces_all_but_hello(const row *r)
{
    return is_server(r) && is_displaced(r, AXIS_SECURITY) && is_displaced(r, AXIS_MESSAGE)
           && (is_displaced(r, AXIS_SESSION) || IS(TAKE, TAKE_SESSION) || IS(TAKE, TAKE_ALL));
}

static bool takes_mode(const row *r)
{
    return !IS(PLACE, AT_NO_PLACE)
           && (IS(TAKE, TAKE_MODE) || IS(TAKE, TAKE_MODE_LATER) || IS(TAKE, TAKE_MODE_ACCEPT)
               || IS(TAKE, TAKE_SITE) || IS(TAKE, TAKE_ALL));
}

/*
 * Return true where an SSL has asked for the one certificate that it asks for, as an ordinary server. libssl counts for as
 * long as the SSL lives, and SSL_clear leaves the count.
 */
static bool has_asked_before(const row *r)
{
    return IS(MODE, MODE_ONCE) && IS(LIFE, LIFE_CLEARED_SITE);
}

/* Return true for a server without a demand for a certificate, at the end. */
static bool demands_nothing(const row *r)
{
    return IS(MODE, MODE_NONE) || IS(MODE, MODE_LATER) || has_asked_before(r) || takes_mode(r);
}

/* Return true where SSL_write comes before the client's certificate, as with early data. */
static bool writes_too_early(const row *r)
{
    return is_server(r) && IS(PROTOCOL, TLS_1_3)
           && (IS(DRIVE, DRIVE_EARLY) || (IS(LIFE, LIFE_LISTENING) && IS(DRIVE, DRIVE_DATA)));
}

static bool displaces_all(const row *r)
{
    bool comes_without = IS(PEER, PEER_KEY) || (IS(PEER, PEER_NONE) && !IS(MODE, MODE_DEMAND));

    return displaces_all_but_hello(r) && is_displaced(r, AXIS_HELLO)
           && (demands_nothing(r) || comes_without || writes_too_early(r));
}

static bool is_given_late(const row *r)
{
    return IS(GIVEN, GIVEN_BY_NAME) || IS(GIVEN, GIVEN_BY_SWITCH) || IS(GIVEN, GIVEN_BY_LATE_SWITCH)
           || IS(GIVEN, GIVEN_IN_CERT_CB);
}

/* Return true where three callbacks are displaced inside of the handshake, before the leaf is given. */
static bool displaces_before_it_is_given(const row *r)
{
    return displaces_all_but_hello(r) && is_given_late(r)
           && (IS(SECURITY, SECURITY_INSIDE) || IS(MESSAGE, MESSAGE_INSIDE));
}

/* Return true where the SSL's info callback is displaced, and no other callback of ours comes any more. */
static bool displaces_info_at_the_end(const row *r)
{
    return (is_server(r) || is_displaced(r, AXIS_SECURITY)) && IS(INFO, INFO_INSIDE)
           && !IS(PLACE, AT_NO_PLACE) && is_displaced(r, AXIS_MESSAGE) && demands_nothing(r);
}

static bool is_given_late_to_client(const row *r)
{
    return !is_server(r) && (IS(GIVEN, GIVEN_IN_CERT_CB) || IS(GIVEN, GIVEN_ON_REQUEST));
}

/* Return true where a client displaces two callbacks when it gives its leaf, after the verification. */
static bool displaces_while_it_is_given(const row *r)
{
    return is_given_late_to_client(r) && IS(SECURITY, SECURITY_INSIDE)
           && is_displaced(r, AXIS_SECURITY) && is_displaced(r, AXIS_MESSAGE);
}

/* Return true where the application itself puts another certificate in the place of its leaf. */
static bool replaces_leaf(const row *r)
{
    return (IS(TAKE, TAKE_CTX) || IS(TAKE, TAKE_SITE) || IS(TAKE, TAKE_CERTIFICATE))
           && !IS(PLACE, AT_NO_PLACE);
}

/* Return true where no callback of ours comes before a server's choice. The message callback comes before the client hello one. */
static bool displaces_until_its_choice(const row *r)
{
    return is_server(r) && is_displaced(r, AXIS_SECURITY) && is_displaced(r, AXIS_HELLO)
           && (is_displaced(r, AXIS_MESSAGE) || IS(GIVEN, GIVEN_IN_HELLO));
}

/* Return true where it has an ordinary certificate before its handshake begins, or before a callback of ours comes. */
static bool is_ordinary_in_time(const row *r)
{
    static const bool before[AT_END + 1] = {
        [AT_SSL] = true, [AT_BETWEEN] = true, [AT_INFO] = true,    [AT_MESSAGE] = true,
        [AT_BIO] = true, [AT_HELLO] = true,   [AT_SECURITY] = true};
    /* A server may still be without a call of the session callback. */
    static const bool early[AT_END + 1] = {
        [AT_NAME] = true,       [AT_ALPN] = true,     [AT_PARSED] = true, [AT_CERT_CB] = true,
        [AT_TICKET_KEY] = true, [AT_TICKET] = true,   [AT_PSK] = true,    [AT_LOOK_UP] = true,
        [AT_SESSION_ID] = true, [AT_RESUMABLE] = true};
    /* A server without the session and message callbacks has not sent its certificate. */
    static const bool late[AT_END + 1] = {
        [AT_ADDED] = true, [AT_KEYLOG] = true, [AT_PADDING] = true};
    /* A client is not yet asked for its leaf. */
    static const bool unasked[AT_END + 1] = {
        [AT_NAME] = true,   [AT_CERT_CB] = true, [AT_ADDED] = true,
        [AT_PARSED] = true, [AT_STATUS] = true,  [AT_KEYLOG] = true,
        [AT_VERIFY] = true, [AT_CHECK] = true,   [AT_PSK] = true};
    enum place place = r->value[AXIS_PLACE];

    if (!replaces_leaf(r) || r->value[AXIS_GOVERNED] >= BY_SERVICE)
        return false;
    if (before[place] || (early[place] && displaces_until_its_choice(r))
        || (late[place] && displaces_until_its_choice(r) && is_displaced(r, AXIS_SESSION)
            && is_displaced(r, AXIS_MESSAGE)))
        return true;
    /* Our session callback would have come next. A switch brings the other context's security callback. */
    if ((place == AT_RESUMABLE || (place == AT_STATUS && is_displaced(r, AXIS_SESSION)))
        && is_server(r) && (is_given_late(r) || displaces_until_its_choice(r))
        && is_displaced(r, AXIS_SECURITY))
        return true;
    /* Between a switch and the certificate callback, libssl asks about signature algorithms alone. */
    if (place == AT_CERT_CB && IS(GIVEN, GIVEN_BY_SWITCH) && IS(TAKE, TAKE_CERTIFICATE)
        && (IS(SECURITY, SECURITY_ON_CTX) || IS(PROTOCOL, TLS_1_1)))
        return true;
    if (unasked[place] && IS(GIVEN, GIVEN_ON_REQUEST) && !is_server(r))
        return true;
    /* The callback that gives the leaf takes it back at once. */
    return IS(PLACE, AT_NAME) && (IS(GIVEN, GIVEN_BY_SWITCH) || IS(GIVEN, GIVEN_BY_NAME));
}

static bool puts_its_bio_back(const row *r)
{
    return IS(LOOK, LOOK_REVIVES)
           || ((IS(TAKE, TAKE_BIO) || IS(TAKE, TAKE_ALL)) && !IS(PLACE, AT_NO_PLACE));
}

/*
 * Return true where a connection of TLS 1.3 is revived after its end. Its security callback is displaced again after each of
 * our turns, and the peer's signature is not asked about.
 */
static bool revives_after_the_end(const row *r)
{
    return (puts_its_bio_back(r) || IS(TAKE, TAKE_SHUTDOWN)) && IS(PROTOCOL, TLS_1_3)
           && IS(SECURITY, SECURITY_INSIDE) && !IS(PLACE, AT_NO_PLACE) && demands_nothing(r);
}

/* Return true where an early write goes to a BIO that the application has put back. No message callback of ours sees it. */
static bool writes_early_to_its_bio(const row *r)
{
    return IS(PROTOCOL, TLS_1_3) && IS(DRIVE, DRIVE_EARLY) && is_displaced(r, AXIS_MESSAGE)
           && puts_its_bio_back(r);
}

/* Return true where its SSL has a session from before. */
static bool has_session(const row *r)
{
    enum life life = r->value[AXIS_LIFE];

    return (life >= LIFE_CLEARED && life <= LIFE_REUSED)
           || (life >= LIFE_RESUMED && life <= LIFE_TICKET_KEYS);
}

/* Return true where that session is of an ordinary server, which shares its tickets or its cache. */
static bool has_session_of_others(const row *r)
{
    return IS(LIFE, LIFE_RESUMED_SITE) || IS(LIFE, LIFE_CACHE) || IS(LIFE, LIFE_TICKET_KEYS)
           || IS(LIFE, LIFE_RENEGOTIATED_SITE);
}

static bool is_second_handshake(const row *r)
{
    return IS(LIFE, LIFE_RENEGOTIATED) || IS(LIFE, LIFE_RENEGOTIATING)
           || IS(LIFE, LIFE_RENEGOTIATED_SITE);
}

/* Return true for a client without an identity, as no server asks for its certificate. */
static bool is_not_asked(const row *r)
{
    return is_given_late_to_client(r) && r->value[AXIS_GOVERNED] < BY_SERVICE
           && (IS(PEER, PEER_NONE) || IS(PEER, PEER_KEY) || IS(PEER, PEER_SITE_RSA)
               || has_session(r)
               || (is_second_handshake(r) && replaces_leaf(r))); /* it resumes the first one */
}

/* Return true where only the session callback is left, and a session of another server is resumed. */
static bool resumes_without(const row *r)
{
    return is_server(r) && has_session_of_others(r) && is_displaced(r, AXIS_SECURITY)
           && is_displaced(r, AXIS_MESSAGE) && is_displaced(r, AXIS_HELLO);
}

/* Return true for a server with an ordinary certificate until after the look-up of a session of others. */
static bool resumes_before_the_switch(const row *r)
{
    return is_server(r) && has_session_of_others(r) && IS(GIVEN, GIVEN_BY_LATE_SWITCH);
}

/* Return true where another callback takes the place of the one that gives the leaf. */
static bool is_never_given(const row *r)
{
    if (IS(GIVEN, GIVEN_IN_HELLO) && IS(HELLO, HELLO_INSIDE) && !IS(PLACE, AT_NO_PLACE))
        return is_server(r);
    if (IS(GIVEN, GIVEN_IN_CERT_CB)
        && (IS(TAKE, TAKE_CTX) || IS(TAKE, TAKE_SITE))) /* it has none */
        return !IS(PLACE, AT_NO_PLACE);
    return (IS(GIVEN, GIVEN_IN_CERT_CB) || IS(GIVEN, GIVEN_BY_LATE_SWITCH))
           && (IS(TAKE, TAKE_CERT_CB) || IS(TAKE, TAKE_ALL)) && !IS(PLACE, AT_NO_PLACE);
}

/* Return true for a client that goes by its peer, and resumes a session with an ordinary server. */
static bool resumes_outside(const row *r)
{
    return goes_by_peer(r) && has_session(r) && !IS(LIFE, LIFE_RESUMED);
}

/* Return true for a client on OpenSSL 4, which does not take our extension, without the security callback. */
static bool is_without_extension(const row *r)
{
    return !is_server(r) && OpenSSL_version_num() >= 0x40000000UL && is_displaced(r, AXIS_SECURITY);
}

static bool is_without_extension_and_message(const row *r)
{
    return is_without_extension(r) && is_displaced(r, AXIS_MESSAGE);
}

const exception oracle_ways_in[] = {
    {"all of a server's callbacks are displaced", "SECURITY.md, Out of scope", displaces_all},
    {"the info callback of the SSL is displaced at the end", "SECURITY.md, Out of scope",
     displaces_info_at_the_end},
    {"early data is written to a BIO that the application has put back",
     "SECURITY.md, Out of scope", writes_early_to_its_bio},
    {"a connection of TLS 1.3 is revived after its end", "SECURITY.md, Out of scope",
     revives_after_the_end},
    {"a server displaces callbacks in its handshake before it is given its leaf",
     "SECURITY.md, Out of scope", displaces_before_it_is_given},
    {"a client displaces security and message when it is given its leaf",
     "SECURITY.md, Out of scope", displaces_while_it_is_given},
    {"another certificate takes the leaf's place before the handshake", "SECURITY.md, The promise",
     is_ordinary_in_time},
    {"the session callback alone is left, and a session of another server is resumed",
     "SECURITY.md, Out of scope", resumes_without},
    {"a session of another server is resumed before the certificate comes",
     "doc/limits.md, Sessions", resumes_before_the_switch},
    {"the callback that gives the leaf is displaced", "SECURITY.md, The promise", is_never_given},
    {"a client is never asked for its leaf", "doc/limits.md", is_not_asked},
    {"a client by peer resumes a session with an ordinary server", "doc/settings.md",
     resumes_outside},
    {"a client on OpenSSL 4 displaces security and message", "SECURITY.md, Out of scope",
     is_without_extension_and_message},
    {0}};

/* ---- refusals ---- */

/* Return true where OpenSSL verifies the peer by the application's CAs, and it has none. */
static bool verifies_by_its_cas(const row *r)
{
    return IS(CHECK, CHECK_REMOVED) || is_never_given(r); /* and then it has no leaf */
}

static bool looks_for_a_host(const row *r)
{
    return IS(TAKE, TAKE_HOST) && !IS(PLACE, AT_NO_PLACE);
}

static bool looks_at_another(const row *r)
{
    return IS(LOOK, LOOK_AT_FRIEND) && !IS(PLACE, AT_NO_PLACE);
}

/* Return true where two callbacks are displaced that a certificate given late needs. */
static bool is_given_late_without(const row *r)
{
    bool is_late = is_given_late(r) || IS(GIVEN, GIVEN_IN_HELLO);

    return is_server(r) && is_late
           && (is_displaced(r, AXIS_SESSION) || IS(TAKE, TAKE_SESSION) || IS(TAKE, TAKE_ALL))
           && (is_displaced(r, AXIS_MESSAGE) || is_displaced(r, AXIS_SECURITY));
}

/* Return true where a session of another server was resumed before the leaf came. */
static bool has_resumed_before_the_leaf(const row *r)
{
    return is_server(r) && has_session_of_others(r) && is_given_late(r);
}

/* Return true where a server takes the mode back before it asks for a certificate. */
static bool takes_mode_in_hello(const row *r)
{
    bool in_hello = IS(INFO, INFO_INSIDE) || IS(PLACE, AT_ADDED) || IS(PLACE, AT_SESSION_ID);

    if (IS(PROTOCOL, TLS_1_3))
        in_hello = IS(INFO, INFO_INSIDE) && is_displaced(r, AXIS_MESSAGE);
    return is_server(r) && takes_mode(r) && in_hello;
}

/* Return true where the verification is the first to find the server governed, with another certificate. */
static bool is_found_late(const row *r)
{
    return displaces_all_but_hello(r) && is_displaced(r, AXIS_HELLO)
           && (r->value[AXIS_GOVERNED] >= BY_STAND_IN);
}

/* Return true for a client that sends early data. */
static bool sends_early(const row *r)
{
    return !is_server(r) && IS(PROTOCOL, TLS_1_3) && IS(DRIVE, DRIVE_EARLY) && has_session(r);
}

/* Return true where the application makes its SSL resume the session of others, or a secret. */
static bool resumes_by_itself(const row *r)
{
    bool takes = (IS(TAKE, TAKE_SECRET) || IS(TAKE, TAKE_SESSION) || IS(TAKE, TAKE_ALL))
                 && !IS(PLACE, AT_NO_PLACE);

    return takes || (!is_server(r) && has_session(r) && is_displaced(r, AXIS_SECURITY))
           || (is_server(r) && has_session(r) && is_never_given(r)); /* it has nothing else */
}

/* Return true for an open connection, which does not become Connect by another handshake. */
static bool was_open(const row *r)
{
    return IS(LIFE, LIFE_RENEGOTIATED_SITE);
}

const exception oracle_refusals[] = {
    {"the application verifies its peers by its own CAs", "doc/limits.md", verifies_by_its_cas},
    {"the application looks for a host name", "doc/limits.md, Host names", looks_for_a_host},
    {"the application looks at another certificate within its handshake", "doc/limits.md",
     looks_at_another},
    {"a client is given its leaf when it is asked for it", "doc/limits.md",
     is_given_late_to_client},
    {"the certificate comes late, and two callbacks are displaced", "doc/limits.md",
     is_given_late_without},
    {"a server takes the mode back while it makes its ServerHello", "doc/limits.md",
     takes_mode_in_hello},
    {"a server writes before the client's certificate is there", "doc/limits.md, Sessions",
     writes_too_early},
    {"the application replaces its leaf", "doc/limits.md", replaces_leaf},
    {"a server of TLS is found to be governed by the verification alone", "doc/limits.md",
     is_found_late},
    {"a client sends early data", "doc/limits.md, Sessions", sends_early},
    {"a session of another server is resumed before the certificate comes",
     "doc/limits.md, Sessions", has_resumed_before_the_leaf},
    {"the application makes its SSL resume a session or a secret", "doc/limits.md, Sessions",
     resumes_by_itself},
    {"an ordinary connection is open", "doc/limits.md", was_open},
    {"a client on OpenSSL 4 displaces the security callback", "doc/limits.md",
     is_without_extension},
    {0}};

static const exception *find(const exception *list, const row *r)
{
    for (; list->name != NULL; list++) {
        if (list->applies(r))
            return list;
    }
    return NULL;
}

bool oracle_is_ordinary(const row *r)
{
    return IS(GOVERNED, BY_NOTHING)
           || (goes_by_peer(r) && (IS(PEER, PEER_SELF_SIGNED) || IS(PEER, PEER_SITE_RSA)));
}

bool oracle_is_touched(const row *r)
{
    bool has_none_at_first = !IS(GIVEN, GIVEN_ON_CTX) && !IS(GIVEN, GIVEN_BESIDE);

    return (is_server(r) && has_none_at_first
            && (has_session(r) || IS(PEER, PEER_KEY) || resumes_by_itself(r)))
           || (goes_by_peer(r) && (has_session(r) || is_second_handshake(r) || looks_at_another(r)))
           || IS(LIFE, LIFE_RENEGOTIATED_SITE);
}

bool oracle_fails_at_once(const row *r)
{
    return !resumes_by_itself(r) && !displaces_all(r);
}

enum expected oracle_expects(const row *r, bool renegotiated, const exception **why)
{
    *why = NULL;
    if (IS(GOVERNED, BY_NOTHING) || (goes_by_peer(r) && is_outside(r)))
        return EXPECT_EITHER;
    /* The connection is the first peer's as long as there was no second handshake. */
    if (is_second_handshake(r) && !renegotiated)
        return EXPECT_EITHER;
    if (IS(GOVERNED, BY_UNLOADED) && is_allowed(r)) /* another instance may verify it */
        return EXPECT_EITHER;
    if (is_allowed(r)) {
        *why = find(oracle_refusals, r);
        return *why == NULL ? EXPECT_DATA : EXPECT_EITHER;
    }
    *why = find(oracle_ways_in, r);
    return *why == NULL ? EXPECT_SILENCE : EXPECT_EITHER;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The ways in, each with its rows. No library can close them. */
#include "oracle.h"
#include "traits.h"

#define IS(axis, value) ROW_IS(r, axis, value)

/* Return true where the SSL's info callback is displaced, and no other callback of ours comes any more. */
static bool displaces_info_at_the_end(const row *r)
{
    return (row_is_server(r) || row_is_displaced(r, AXIS_SECURITY)) && IS(INFO, INFO_INSIDE)
           && !IS(PLACE, AT_NO_PLACE) && row_is_displaced(r, AXIS_MESSAGE)
           && (row_demands_nothing(r) || row_writes_too_early(r));
}

/* Return true where a client displaces two callbacks when it gives its leaf, after the verification. */
static bool displaces_while_it_is_given(const row *r)
{
    return row_is_given_late_to_client(r) && IS(SECURITY, SECURITY_INSIDE)
           && row_is_displaced(r, AXIS_SECURITY) && row_is_displaced(r, AXIS_MESSAGE)
           && row_is_displaced(r, AXIS_INFO);
}

/* Return true where no callback of ours comes before a server's choice. The message callback comes before the client hello one. */
static bool displaces_until_its_choice(const row *r)
{
    return row_is_server(r) && row_is_displaced(r, AXIS_SECURITY) && row_is_displaced(r, AXIS_HELLO)
           && row_is_displaced(r, AXIS_INFO)
           && (row_is_displaced(r, AXIS_MESSAGE) || IS(GIVEN, GIVEN_IN_HELLO));
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
    bool is_given = row_is_given_late(r) || IS(GIVEN, GIVEN_IN_HELLO);

    if (!row_replaces_leaf(r) || r->value[AXIS_GOVERNED] >= BY_SERVICE)
        return false;
    if (before[place] || (early[place] && displaces_until_its_choice(r))
        || (late[place] && displaces_until_its_choice(r) && row_is_displaced(r, AXIS_SESSION)
            && row_is_displaced(r, AXIS_MESSAGE)))
        return true;
    /* Our session callback would have come next. A switch brings the other context's security callback. */
    if ((place == AT_RESUMABLE || (place == AT_STATUS && row_is_displaced(r, AXIS_SESSION)))
        && row_is_server(r) && (is_given || displaces_until_its_choice(r))
        && (row_is_displaced(r, AXIS_SECURITY)
            || (IS(GIVEN, GIVEN_BY_LATE_SWITCH) && IS(PROTOCOL, TLS_1_3))))
        return true;
    if (early[place] && IS(GIVEN, GIVEN_IN_HELLO) && row_is_displaced(r, AXIS_SECURITY))
        return row_is_server(r);
    /* Between a switch and the certificate callback, libssl asks about signature algorithms alone. */
    if (place == AT_CERT_CB && IS(GIVEN, GIVEN_BY_SWITCH) && IS(TAKE, TAKE_CERTIFICATE)
        && (IS(SECURITY, SECURITY_ON_CTX) || IS(PROTOCOL, TLS_1_1)))
        return true;
    /* Neither does libssl ask our security callback there after the server name callback, where it is displaced. */
    if (place == AT_CERT_CB && IS(GIVEN, GIVEN_BY_NAME) && IS(TAKE, TAKE_CERTIFICATE)
        && (IS(SECURITY, SECURITY_ON_CTX) || IS(SECURITY, SECURITY_ON_SSL)))
        return true;
    if (unasked[place] && IS(GIVEN, GIVEN_ON_REQUEST) && !row_is_server(r))
        return true;
    /* The callback that gives the leaf takes it back at once. */
    return IS(PLACE, AT_NAME) && (IS(GIVEN, GIVEN_BY_SWITCH) || IS(GIVEN, GIVEN_BY_NAME));
}

static bool puts_its_bio_back(const row *r)
{
    return IS(LOOK, LOOK_REVIVES)
           || ((IS(TAKE, TAKE_BIO) || IS(TAKE, TAKE_ALL)) && !IS(PLACE, AT_NO_PLACE));
}

/* Return true where an early write goes to a BIO that the application has put back. No message callback of ours sees it. */
static bool writes_early_to_its_bio(const row *r)
{
    return IS(PROTOCOL, TLS_1_3) && IS(DRIVE, DRIVE_EARLY) && row_is_displaced(r, AXIS_MESSAGE)
           && puts_its_bio_back(r);
}

/* Return true for a client without an identity, as no server asks for its certificate. */
static bool is_not_asked(const row *r)
{
    return row_is_given_late_to_client(r) && r->value[AXIS_GOVERNED] < BY_SERVICE
           && (IS(PEER, PEER_NONE) || IS(PEER, PEER_KEY) || IS(PEER, PEER_SITE_RSA)
               || row_has_session(r)
               || (row_is_second_handshake(r)
                   && row_replaces_leaf(r))); /* it resumes the first one */
}

/*
 * Return true where a server displaces the SSL's info callback after its client hello callback. Up to TLS 1.2 OpenSSL asks
 * nothing else of a server that resumes.
 */
static bool displaces_info_until_it_resumes(const row *r)
{
    static const bool until[AT_END + 1] = {
        [AT_NAME] = true,   [AT_ALPN] = true,       [AT_PARSED] = true,
        [AT_TICKET] = true, [AT_TICKET_KEY] = true, [AT_LOOK_UP] = true};

    return !IS(PROTOCOL, TLS_1_3) && row_is_displaced(r, AXIS_MESSAGE) && IS(INFO, INFO_INSIDE)
           && until[r->value[AXIS_PLACE]];
}

/*
 * Return true for a server with an ordinary certificate until after the look-up of a session of others. Or it has none, or an
 * ordinary one, and takes a pre-shared key.
 */
static bool resumes_before_the_switch(const row *r)
{
    bool has_key =
        IS(PEER, PEER_KEY) && IS(PROTOCOL, TLS_1_3) && r->value[AXIS_GOVERNED] < BY_SERVICE;

    if (row_is_server(r) && has_key
        && (IS(GIVEN, GIVEN_IN_CERT_CB) || IS(GIVEN, GIVEN_BY_LATE_SWITCH)))
        return true;
    return row_is_server(r) && row_has_session_of_others(r)
           && (IS(GIVEN, GIVEN_BY_LATE_SWITCH)
               || (IS(GIVEN, GIVEN_BY_SWITCH) && displaces_info_until_it_resumes(r)));
}

/* Return true for a client that goes by its peer, and resumes a session with an ordinary server. */
static bool resumes_outside(const row *r)
{
    return row_goes_by_peer(r) && row_has_session(r) && !IS(LIFE, LIFE_RESUMED);
}

static bool is_without_extension_and_message(const row *r)
{
    return row_is_without_extension(r) && row_is_displaced(r, AXIS_MESSAGE);
}

const exception oracle_ways_in[] = {
    {"all of a server's callbacks are displaced", "SECURITY.md, Out of scope", row_displaces_all},
    {"the info callback of the SSL is displaced at the end", "SECURITY.md, Out of scope",
     displaces_info_at_the_end},
    {"early data is written to a BIO that the application has put back",
     "SECURITY.md, Out of scope", writes_early_to_its_bio},
    {"a client displaces security, message and info when it is given its leaf",
     "SECURITY.md, Out of scope", displaces_while_it_is_given},
    {"another certificate takes the leaf's place before the handshake", "SECURITY.md, The promise",
     is_ordinary_in_time},
    {"the session callback alone is left, and a session of another server is resumed",
     "SECURITY.md, Out of scope", row_resumes_without},
    {"a session of another server is resumed before the certificate comes",
     "doc/limits.md, Sessions", resumes_before_the_switch},
    {"the callback that gives the leaf is displaced", "SECURITY.md, The promise",
     row_is_never_given},
    {"a client is never asked for its leaf", "doc/limits.md", is_not_asked},
    {"a client by peer resumes a session with an ordinary server", "doc/settings.md",
     resumes_outside},
    {"a client on OpenSSL 4 displaces security, message and info", "SECURITY.md, Out of scope",
     is_without_extension_and_message},
    {0}};

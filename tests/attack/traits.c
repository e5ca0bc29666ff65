/* SPDX-License-Identifier: Apache-2.0 */
#include "traits.h"

#include <openssl/crypto.h>

#define IS(axis, value) ROW_IS(r, axis, value)

bool row_is_server(const row *r)
{
    return IS(ROLE, ROLE_SERVER);
}

bool row_goes_by_peer(const row *r)
{
    return !row_is_server(r) && IS(GOVERNED, BY_SERVICE) && !IS(GIVEN, GIVEN_WITH_OTHER)
           && (IS(NAME, NAME_NONE) || IS(NAME, NAME_SITE));
}

bool row_is_displaced(const row *r, int which)
{
    static const enum place own[AXES] = {[AXIS_HELLO] = AT_HELLO,
                                         [AXIS_MESSAGE] = AT_MESSAGE,
                                         [AXIS_SESSION] = AT_RESUMABLE,
                                         [AXIS_CHECK] = AT_CHECK,
                                         [AXIS_INFO] = AT_INFO};

    if (own[which] != AT_NO_PLACE && r->value[AXIS_PLACE] == own[which])
        return true;
    if (which == AXIS_HELLO && IS(GIVEN, GIVEN_IN_HELLO))
        return true;
    if (which == AXIS_SECURITY && IS(SECURITY, SECURITY_REMOVED)) /* it has no NULL */
        return false;
    /* The SSL has none by itself, and then its context's is called. A wrapper has to be there before. */
    if (which == AXIS_INFO && IS(INFO, INFO_REMOVED))
        return false;
    if (which == AXIS_INFO && IS(INFO, INFO_WRAPPED))
        return IS(PLACE, AT_SSL) || IS(PLACE, AT_BETWEEN) || IS(PLACE, AT_COOKIE)
               || IS(PLACE, AT_HELLO);
    return r->value[which] != 0 && (r->value[which] != SECURITY_INSIDE || !IS(PLACE, AT_NO_PLACE));
}

bool row_displaces_all_but_hello(const row *r)
{
    return row_is_server(r) && row_is_displaced(r, AXIS_SECURITY)
           && row_is_displaced(r, AXIS_MESSAGE)
           && (row_is_displaced(r, AXIS_SESSION) || IS(TAKE, TAKE_SESSION) || IS(TAKE, TAKE_ALL));
}

bool row_takes_mode(const row *r)
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

bool row_demands_nothing(const row *r)
{
    return IS(MODE, MODE_NONE) || IS(MODE, MODE_LATER) || has_asked_before(r) || row_takes_mode(r);
}

bool row_writes_too_early(const row *r)
{
    return row_is_server(r) && IS(PROTOCOL, TLS_1_3)
           && (IS(DRIVE, DRIVE_EARLY) || (IS(LIFE, LIFE_LISTENING) && IS(DRIVE, DRIVE_DATA)));
}

bool row_displaces_all(const row *r)
{
    bool comes_without = IS(PEER, PEER_KEY) || (IS(PEER, PEER_NONE) && !IS(MODE, MODE_DEMAND));

    return row_displaces_all_but_hello(r) && row_is_displaced(r, AXIS_HELLO)
           && row_is_displaced(r, AXIS_INFO)
           && (row_demands_nothing(r) || comes_without || row_writes_too_early(r));
}

bool row_is_given_late(const row *r)
{
    return IS(GIVEN, GIVEN_BY_NAME) || IS(GIVEN, GIVEN_BY_SWITCH) || IS(GIVEN, GIVEN_BY_LATE_SWITCH)
           || IS(GIVEN, GIVEN_IN_CERT_CB);
}

bool row_is_given_late_to_client(const row *r)
{
    return !row_is_server(r) && (IS(GIVEN, GIVEN_IN_CERT_CB) || IS(GIVEN, GIVEN_ON_REQUEST));
}

bool row_replaces_leaf(const row *r)
{
    return (IS(TAKE, TAKE_CTX) || IS(TAKE, TAKE_SITE) || IS(TAKE, TAKE_CERTIFICATE))
           && !IS(PLACE, AT_NO_PLACE);
}

bool row_takes_other(const row *r)
{
    enum taking taking = r->value[AXIS_TAKE];

    return taking >= TAKE_OTHER_LEAF && taking <= TAKE_OTHER_SHARED && !IS(PLACE, AT_NO_PLACE);
}

bool row_has_other(const row *r)
{
    return IS(GIVEN, GIVEN_WITH_OTHER) || row_takes_other(r);
}

bool row_has_session(const row *r)
{
    enum life life = r->value[AXIS_LIFE];

    return (life >= LIFE_CLEARED && life <= LIFE_REUSED)
           || (life >= LIFE_RESUMED && life <= LIFE_TICKET_KEYS);
}

bool row_has_session_of_others(const row *r)
{
    return IS(LIFE, LIFE_RESUMED_SITE) || IS(LIFE, LIFE_CACHE) || IS(LIFE, LIFE_TICKET_KEYS)
           || IS(LIFE, LIFE_RENEGOTIATED_SITE);
}

bool row_is_second_handshake(const row *r)
{
    return IS(LIFE, LIFE_RENEGOTIATED) || IS(LIFE, LIFE_RENEGOTIATING)
           || IS(LIFE, LIFE_RENEGOTIATED_SITE);
}

bool row_is_never_given(const row *r)
{
    if (IS(GIVEN, GIVEN_IN_HELLO) && IS(HELLO, HELLO_INSIDE) && !IS(PLACE, AT_NO_PLACE))
        return row_is_server(r);
    if (IS(GIVEN, GIVEN_IN_CERT_CB)
        && (IS(TAKE, TAKE_CTX) || IS(TAKE, TAKE_SITE))) /* it has none */
        return !IS(PLACE, AT_NO_PLACE);
    return (IS(GIVEN, GIVEN_IN_CERT_CB) || IS(GIVEN, GIVEN_BY_LATE_SWITCH))
           && (IS(TAKE, TAKE_CERT_CB) || IS(TAKE, TAKE_ALL)) && !IS(PLACE, AT_NO_PLACE);
}

bool row_is_without_extension(const row *r)
{
    return !row_is_server(r) && OpenSSL_version_num() >= 0x40000000UL
           && row_is_displaced(r, AXIS_SECURITY) && row_is_displaced(r, AXIS_INFO);
}

bool row_looks_at_another(const row *r)
{
    /* The SSL still has its last peer's certificate when its next handshake begins. */
    bool is_of_the_last =
        IS(LOOK, LOOK_INSIDE) && (IS(LIFE, LIFE_CLEARED) || IS(LIFE, LIFE_REUSED));

    /* It puts the certificate of another into a verification that is not ours. */
    bool is_its_own =
        IS(PLACE, AT_CHECK)
        || (IS(PLACE, AT_VERIFY) && (IS(CHECK, CHECK_BY_OPENSSL) || IS(CHECK, CHECK_REMOVED)));

    return ((IS(LOOK, LOOK_AT_FRIEND) || is_of_the_last) && !IS(PLACE, AT_NO_PLACE))
           || (IS(TAKE, TAKE_RESULT) && is_its_own);
}

bool row_resumes_by_itself(const row *r)
{
    bool takes = (IS(TAKE, TAKE_SECRET) || IS(TAKE, TAKE_SESSION) || IS(TAKE, TAKE_ALL))
                 && !IS(PLACE, AT_NO_PLACE);

    return takes || (!row_is_server(r) && row_has_session(r) && row_is_displaced(r, AXIS_SECURITY))
           || (row_is_server(r) && row_has_session(r)
               && row_is_never_given(r)); /* it has nothing else */
}

bool row_looks_up_before_us(const row *r)
{
    return row_is_server(r) && row_has_session_of_others(r) && row_is_displaced(r, AXIS_SECURITY)
           && row_is_displaced(r, AXIS_MESSAGE) && row_is_displaced(r, AXIS_HELLO);
}

/* Return true for a server that reads or writes early data by a pre-shared key. The key makes a session. */
static bool goes_early_by_key(const row *r)
{
    return row_writes_too_early(r) && IS(PEER, PEER_KEY);
}

bool row_resumes_without(const row *r)
{
    bool is_without_four = row_is_displaced(r, AXIS_SECURITY) && row_is_displaced(r, AXIS_MESSAGE)
                           && row_is_displaced(r, AXIS_HELLO) && row_is_displaced(r, AXIS_INFO);

    return is_without_four && (row_looks_up_before_us(r) || goes_early_by_key(r));
}

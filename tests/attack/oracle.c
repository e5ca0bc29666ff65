/* SPDX-License-Identifier: Apache-2.0 */
#include "oracle.h"

#include "traits.h"

#define IS(axis, value) ROW_IS(r, axis, value)

/* Return true where the peer claims no identity of the mesh. A client that goes by its peer does not judge it. */
static bool is_outside(const row *r)
{
    return IS(PEER, PEER_NONE) || IS(PEER, PEER_SELF_SIGNED) || IS(PEER, PEER_SITE_RSA)
           || IS(PEER, PEER_KEY) || IS(PEER, PEER_RAW_KEY)
           || IS(PEER, PEER_OTHER_MESH)
           /* Only a client that has Consul's CA among its own would take it for a site. */
           || (IS(PEER, PEER_ODD) && (IS(TAKE, TAKE_STORE) || IS(TAKE, TAKE_ALL)));
}

/* Return true for a client that each service allows. */
static bool is_allowed_by_all(enum peer peer)
{
    return peer == PEER_ALLOWED || peer == PEER_NAMED || peer == PEER_RSA;
}

/*
 * Return true for a client that is allowed by the service that it was shown. Without a leaf of the other service, that is the
 * row's own. An ordinary certificate has a leaf beside it. A client that saw none may not go by one service alone.
 */
static bool is_allowed_client(const row *r, enum shown shown)
{
    enum peer peer = r->value[AXIS_PEER];

    /* Without the instance of the service, the other leaf is the only one. */
    if (shown == SHOWN_OTHER || shown == SHOWN_BESIDE_OTHER
        || (IS(GOVERNED, BY_UNLOADED) && row_has_other(r)))
        return is_allowed_by_all(peer) || peer == PEER_OF_OTHER;
    if (shown == SHOWN_OWN || shown == SHOWN_ORDINARY || !row_has_other(r))
        return is_allowed_by_all(peer) || peer == PEER_OF_WEB;
    return is_allowed_by_all(peer);
}

static bool is_allowed(const row *r, enum shown shown)
{
    enum peer peer = r->value[AXIS_PEER];
    enum governs governs = r->value[AXIS_GOVERNED];

    if (governs >= BY_EMPTY_SERVICE && governs <= BY_TWO_SERVICES)
        return false;
    if (row_is_server(r))
        return is_allowed_client(r, shown);
    if (IS(NAME, NAME_SERVICE)) /* the SPIFFE ID alone decides */
        return peer == PEER_ALLOWED || peer == PEER_NAMED || peer == PEER_SUBJECT
               || peer == PEER_RSA;
    if (IS(NAME, NAME_OTHER))
        return peer == PEER_OTHER;
    return peer == PEER_ALLOWED || peer == PEER_DENIED || peer == PEER_OTHER || peer == PEER_RSA
           || peer == PEER_OF_WEB || peer == PEER_OF_OTHER;
}

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
           || (row_goes_by_peer(r) && !row_takes_other(r)
               && (IS(PEER, PEER_SELF_SIGNED) || IS(PEER, PEER_SITE_RSA)));
}

bool oracle_is_touched(const row *r)
{
    bool has_none_at_first =
        !IS(GIVEN, GIVEN_ON_CTX) && !IS(GIVEN, GIVEN_BESIDE) && !IS(GIVEN, GIVEN_WITH_OTHER);

    return (row_is_server(r) && has_none_at_first
            && (row_has_session(r) || IS(PEER, PEER_KEY) || row_resumes_by_itself(r)
                || IS(PLACE, AT_SESSION_ID) || IS(PLACE, AT_TICKET) || IS(PLACE, AT_TICKET_KEY)))
           || (row_goes_by_peer(r)
               && (row_has_session(r) || row_is_second_handshake(r) || row_looks_at_another(r)))
           || IS(LIFE, LIFE_RENEGOTIATED_SITE);
}

bool oracle_fails_at_once(const row *r)
{
    return !row_resumes_by_itself(r) && !row_displaces_all(r);
}

enum expected oracle_expects(const row *r, bool renegotiated, enum shown shown,
                             const exception **why)
{
    *why = NULL;
    if (IS(GOVERNED, BY_NOTHING) || (row_goes_by_peer(r) && is_outside(r) && shown != SHOWN_OTHER))
        return EXPECT_EITHER;
    /* The connection is the first peer's as long as there was no second handshake. */
    if (row_is_second_handshake(r) && !renegotiated)
        return EXPECT_EITHER;
    if (IS(GOVERNED, BY_UNLOADED) && is_allowed(r, shown)) /* another instance may verify it */
        return EXPECT_EITHER;
    if (is_allowed(r, shown)) {
        *why = find(oracle_refusals, r);
        return *why == NULL ? EXPECT_DATA : EXPECT_EITHER;
    }
    *why = find(oracle_ways_in, r);
    return *why == NULL ? EXPECT_SILENCE : EXPECT_EITHER;
}

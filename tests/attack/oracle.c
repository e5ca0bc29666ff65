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

static bool is_allowed(const row *r)
{
    enum peer peer = r->value[AXIS_PEER];
    enum governs governs = r->value[AXIS_GOVERNED];

    if (governs >= BY_EMPTY_SERVICE && governs <= BY_TWO_SERVICES)
        return false;
    if (row_is_server(r))
        return peer == PEER_ALLOWED || peer == PEER_NAMED || peer == PEER_RSA;
    if (IS(NAME, NAME_SERVICE)) /* the SPIFFE ID alone decides */
        return peer == PEER_ALLOWED || peer == PEER_NAMED || peer == PEER_SUBJECT
               || peer == PEER_RSA;
    if (IS(NAME, NAME_OTHER))
        return peer == PEER_OTHER;
    return peer == PEER_ALLOWED || peer == PEER_DENIED || peer == PEER_OTHER || peer == PEER_RSA;
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
           || (row_goes_by_peer(r) && (IS(PEER, PEER_SELF_SIGNED) || IS(PEER, PEER_SITE_RSA)));
}

bool oracle_is_touched(const row *r)
{
    bool has_none_at_first = !IS(GIVEN, GIVEN_ON_CTX) && !IS(GIVEN, GIVEN_BESIDE);

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

enum expected oracle_expects(const row *r, bool renegotiated, const exception **why)
{
    *why = NULL;
    if (IS(GOVERNED, BY_NOTHING) || (row_goes_by_peer(r) && is_outside(r)))
        return EXPECT_EITHER;
    /* The connection is the first peer's as long as there was no second handshake. */
    if (row_is_second_handshake(r) && !renegotiated)
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

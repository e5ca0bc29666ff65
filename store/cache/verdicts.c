/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/verdicts.h"

#include "base/event.h"
#include "base/lock.h"
#include "cache/family_verdicts.h"
#include "identity/snapshots.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

/* Verdicts of about 60 bytes, in sets. */
#define SET_SIZE 8
#define SETS (CONSUL_VERDICTS_KEPT / SET_SIZE)

typedef struct kept_place {
    unsigned char key[CONSUL_DIGEST_LEN]; /* SHA-256 of the target's SPIFFE ID and the peer's */
    consul_kept_verdict kept;
} kept_place;

/*
 * A pair has its place in one set. In a full set, the verdict that was asked for first gives its
 * place.
 */
typedef struct kept_set {
    kept_place places[SET_SIZE];
    int64_t forgotten; /* the latest moment of a request whose verdict lost its place */
} kept_set;

struct consul_verdicts {
    const consul_family *family; /* borrowed, or NULL */
    kept_set chains[SETS];       /* by target and the peer's certificates */
    kept_set identities[SETS];   /* by target and the peer's SPIFFE ID */
    int count;                   /* of identities with a verdict */
};

consul_verdicts *consul_verdicts_new(const consul_family *family, consul_error *err)
{
    consul_verdicts *verdicts = calloc(1, sizeof(*verdicts)); /* touches no page before its use */

    if (verdicts == NULL)
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the kept verdicts");
    else
        verdicts->family = family;
    return verdicts;
}

void consul_verdicts_free(consul_verdicts *verdicts)
{
    free(verdicts);
}

static bool make_key(const consul_spiffe_id *target, const void *peer, size_t len,
                     unsigned char key[CONSUL_DIGEST_LEN])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool made = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1
                && EVP_DigestUpdate(ctx, target->uri, strlen(target->uri) + 1) == 1
                && EVP_DigestUpdate(ctx, peer, len) == 1 && EVP_DigestFinal_ex(ctx, key, NULL) == 1;

    EVP_MD_CTX_free(ctx);
    return made;
}

static size_t set_of(const unsigned char key[CONSUL_DIGEST_LEN])
{
    return key[0] % SETS;
}

/* Return the place of a key in its set, or NULL. */
static const kept_place *place_in(const kept_set *set, const unsigned char key[CONSUL_DIGEST_LEN])
{
    size_t i;

    for (i = 0; i < SET_SIZE; i++) {
        if (memcmp(set->places[i].key, key, CONSUL_DIGEST_LEN) == 0)
            return &set->places[i];
    }
    return NULL;
}

static kept_place *oldest_place(kept_set *set)
{
    kept_place *oldest = &set->places[0];
    size_t i;

    for (i = 1; i < SET_SIZE; i++) {
        if (set->places[i].kept.asked < oldest->kept.asked)
            oldest = &set->places[i];
    }
    return oldest;
}

/* Keep a verdict, with the lock held. Return true where it takes a free place. */
static bool note(kept_set sets[SETS], const unsigned char key[CONSUL_DIGEST_LEN],
                 const consul_kept_verdict *verdict)
{
    kept_set *set = &sets[set_of(key)];
    kept_place *place = (kept_place *)place_in(set, key);
    int64_t known_of = place == NULL ? set->forgotten : place->kept.asked;
    bool was_free = false;

    /* A late yes yields to a newer verdict, and to a no that may have lost its place. */
    if (verdict->verdict == CONSUL_VERDICT_YES && known_of >= verdict->asked)
        return false;
    if (place == NULL) {
        place = oldest_place(set);
        was_free = place->kept.asked == 0;
        if (place->kept.asked > set->forgotten)
            set->forgotten = place->kept.asked;
    }
    memcpy(place->key, key, sizeof(place->key));
    place->kept = *verdict;
    return was_free;
}

/* Forget all verdicts, with the lock held. Without memory, an earlier yes cannot be found. */
static void forget_all(kept_set sets[SETS], int64_t asked)
{
    size_t i, j;

    for (i = 0; i < SETS; i++) {
        int64_t last = asked > sets[i].forgotten ? asked : sets[i].forgotten;

        for (j = 0; j < SET_SIZE; j++) {
            if (sets[i].places[j].kept.asked > last)
                last = sets[i].places[j].kept.asked;
        }
        sets[i] = (kept_set){.forgotten = last};
    }
}

/* Return the later verdict of this process's and the family's. A sibling's does not count where a later one lost its place. */
static consul_kept_verdict find_kept(const consul_verdicts *verdicts, const kept_set sets[SETS],
                                     const unsigned char key[CONSUL_DIGEST_LEN])
{
    consul_kept_verdict found = {.verdict = CONSUL_VERDICT_NONE};
    consul_kept_verdict shared = consul_family_find_verdict(verdicts->family, key);
    const kept_set *set = &sets[set_of(key)];
    const kept_place *place;
    int64_t known_of;

    consul_lock();
    place = place_in(set, key);
    if (place != NULL)
        found = place->kept;
    known_of = place == NULL ? set->forgotten : found.asked;
    consul_unlock();
    return shared.verdict != CONSUL_VERDICT_NONE && shared.asked > known_of ? shared : found;
}

/* Keep a verdict, and share it. The lock is held. Return true where it takes a free place. */
static bool note_and_share(const consul_verdicts *verdicts, kept_set sets[SETS],
                           const unsigned char key[CONSUL_DIGEST_LEN],
                           const consul_kept_verdict *verdict)
{
    consul_family_note_verdict(verdicts->family, key, verdict);
    return note(sets, key, verdict);
}

void consul_verdicts_note(consul_verdicts *verdicts, const consul_spiffe_id *target,
                          const consul_spiffe_id *peer_id,
                          const unsigned char chain[CONSUL_DIGEST_LEN],
                          const consul_kept_verdict *verdict)
{
    unsigned char of_chain[CONSUL_DIGEST_LEN], of_identity[CONSUL_DIGEST_LEN];
    bool made = make_key(target, chain, CONSUL_DIGEST_LEN, of_chain)
                && make_key(target, peer_id->uri, strlen(peer_id->uri), of_identity);
    int count;

    consul_lock();
    if (made) {
        if (consul_digest_is_set(chain))
            note_and_share(verdicts, verdicts->chains, of_chain, verdict);
        verdicts->count += note_and_share(verdicts, verdicts->identities, of_identity, verdict);
    } else {
        forget_all(verdicts->chains, verdict->asked);
        forget_all(verdicts->identities, verdict->asked);
        verdicts->count = 0;
    }
    count = verdicts->count;
    consul_unlock();
    consul_event_tell(&(consul_event){.kind = CONSUL_EVENT_VERDICTS, .count = count});
}

consul_kept_verdict consul_verdicts_last(const consul_verdicts *verdicts,
                                         const consul_spiffe_id *target,
                                         const consul_spiffe_id *peer_id)
{
    static const consul_kept_verdict none;
    unsigned char key[CONSUL_DIGEST_LEN];

    return make_key(target, peer_id->uri, strlen(peer_id->uri), key)
               ? find_kept(verdicts, verdicts->identities, key)
               : none;
}

consul_kept_verdict consul_verdicts_find(const consul_verdicts *verdicts,
                                         const consul_spiffe_id *target,
                                         const consul_spiffe_id *peer_id,
                                         const unsigned char chain[CONSUL_DIGEST_LEN])
{
    consul_kept_verdict found = {.verdict = CONSUL_VERDICT_NONE};
    unsigned char key[CONSUL_DIGEST_LEN];

    if (consul_digest_is_set(chain) && make_key(target, chain, CONSUL_DIGEST_LEN, key))
        found = find_kept(verdicts, verdicts->chains, key);
    if (found.verdict != consul_verdicts_last(verdicts, target, peer_id).verdict)
        found.verdict = CONSUL_VERDICT_NONE;
    return found;
}

#include "internal.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

/* Of each kind, 1024 verdicts of about 60 bytes. */
#define SETS 128
#define PLACES 8

typedef struct known_place {
    unsigned char key[CONSUL_DIGEST_LEN]; /* SHA-256 of the target's SPIFFE ID and the peer's */
    consul_known_verdict known;
} known_place;

/* Each pair is in one set, or not known: where others have all places, the longest unasked goes. */
typedef struct known_set {
    known_place places[PLACES];
    int64_t forgotten; /* when the last one that went was asked about */
} known_set;

struct consul_known {
    known_set chains[SETS];     /* target and the peer's certificates */
    known_set identities[SETS]; /* target and the peer's SPIFFE ID */
};

consul_known *consul_known_new(consul_error *err)
{
    consul_known *known = OPENSSL_zalloc(sizeof(*known));

    if (known == NULL)
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the verdicts of before");
    return known;
}

void consul_known_free(consul_known *known)
{
    OPENSSL_free(known);
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

/* Where it is in its set, or NULL. */
static const known_place *place_in(const known_set *set, const unsigned char key[CONSUL_DIGEST_LEN])
{
    size_t i;

    for (i = 0; i < PLACES; i++) {
        if (memcmp(set->places[i].key, key, CONSUL_DIGEST_LEN) == 0)
            return &set->places[i];
    }
    return NULL;
}

static known_place *oldest_place(known_set *set)
{
    known_place *oldest = &set->places[0];
    size_t i;

    for (i = 1; i < PLACES; i++) {
        if (set->places[i].known.asked < oldest->known.asked)
            oldest = &set->places[i];
    }
    return oldest;
}

/* With the lock held. */
static void note(known_set sets[SETS], const unsigned char key[CONSUL_DIGEST_LEN],
                 const consul_known_verdict *verdict)
{
    known_set *set = &sets[set_of(key)];
    known_place *place = (known_place *)place_in(set, key);
    int64_t known_of = place == NULL ? set->forgotten : place->known.asked;

    /* It took longer to come than what is there, or than a no that may have been. */
    if (verdict->verdict == CONSUL_VERDICT_YES && known_of >= verdict->asked)
        return;
    if (place == NULL) {
        place = oldest_place(set);
        if (place->known.asked > set->forgotten)
            set->forgotten = place->known.asked;
    }
    memcpy(place->key, key, sizeof(place->key));
    place->known = *verdict;
}

/* With the lock held. Without memory nobody knows where an earlier yes may be. */
static void forget_all(known_set sets[SETS], int64_t asked)
{
    size_t i, j;

    for (i = 0; i < SETS; i++) {
        int64_t last = asked > sets[i].forgotten ? asked : sets[i].forgotten;

        for (j = 0; j < PLACES; j++) {
            if (sets[i].places[j].known.asked > last)
                last = sets[i].places[j].known.asked;
        }
        sets[i] = (known_set){.forgotten = last};
    }
}

static consul_known_verdict find(const known_set sets[SETS],
                                 const unsigned char key[CONSUL_DIGEST_LEN])
{
    consul_known_verdict found = {.verdict = CONSUL_VERDICT_NONE};
    const known_place *place;

    consul_live_lock();
    place = place_in(&sets[set_of(key)], key);
    if (place != NULL)
        found = place->known;
    consul_live_unlock();
    return found;
}

void consul_known_note(consul_known *known, const consul_spiffe_id *target,
                       const consul_spiffe_id *peer_id,
                       const unsigned char chain[CONSUL_DIGEST_LEN],
                       const consul_known_verdict *verdict)
{
    unsigned char of_chain[CONSUL_DIGEST_LEN], of_identity[CONSUL_DIGEST_LEN];
    bool made = make_key(target, chain, CONSUL_DIGEST_LEN, of_chain)
                && make_key(target, peer_id->uri, strlen(peer_id->uri), of_identity);

    consul_live_lock();
    if (made) {
        note(known->chains, of_chain, verdict);
        note(known->identities, of_identity, verdict);
    } else {
        forget_all(known->chains, verdict->asked);
        forget_all(known->identities, verdict->asked);
    }
    consul_live_unlock();
}

consul_known_verdict consul_known_last(const consul_known *known, const consul_spiffe_id *target,
                                       const consul_spiffe_id *peer_id)
{
    static const consul_known_verdict none;
    unsigned char key[CONSUL_DIGEST_LEN];

    return make_key(target, peer_id->uri, strlen(peer_id->uri), key) ? find(known->identities, key)
                                                                     : none;
}

consul_known_verdict consul_known_find(const consul_known *known, const consul_spiffe_id *target,
                                       const consul_spiffe_id *peer_id,
                                       const unsigned char chain[CONSUL_DIGEST_LEN])
{
    consul_known_verdict found = {.verdict = CONSUL_VERDICT_NONE};
    unsigned char key[CONSUL_DIGEST_LEN];

    if (make_key(target, chain, CONSUL_DIGEST_LEN, key))
        found = find(known->chains, key);
    if (found.verdict != consul_known_last(known, target, peer_id).verdict)
        found.verdict = CONSUL_VERDICT_NONE;
    return found;
}

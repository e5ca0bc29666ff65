#include "internal.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#define KNOWN_MAX 1024 /* verdicts of each kind, of about 60 bytes each */

typedef struct known_place {
    unsigned char key[CONSUL_DIGEST_LEN]; /* SHA-256 of the target's SPIFFE ID and the peer */
    consul_known_verdict known;
} known_place;

/* Each pair has one place, which others may have too: the last one has it. */
struct consul_known {
    known_place certificates[KNOWN_MAX]; /* target and certificate */
    known_place identities[KNOWN_MAX];   /* target and SPIFFE ID */
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

static size_t place_of(const unsigned char key[CONSUL_DIGEST_LEN])
{
    return (size_t)(key[0] << 8 | key[1]) % KNOWN_MAX;
}

/* With the lock held. */
static void note(known_place places[KNOWN_MAX], const unsigned char key[CONSUL_DIGEST_LEN],
                 const consul_known_verdict *verdict)
{
    known_place *place = &places[place_of(key)];

    /* It took longer to come than what is there, or than what has taken the place of its no. */
    if (verdict->verdict == CONSUL_VERDICT_YES && place->known.asked >= verdict->asked)
        return;
    memcpy(place->key, key, sizeof(place->key));
    place->known = *verdict;
}

static consul_known_verdict find(const known_place places[KNOWN_MAX],
                                 const unsigned char key[CONSUL_DIGEST_LEN])
{
    const known_place *place = &places[place_of(key)];
    consul_known_verdict found = {.verdict = CONSUL_VERDICT_NONE};

    consul_live_lock();
    if (memcmp(place->key, key, sizeof(place->key)) == 0)
        found = place->known;
    consul_live_unlock();
    return found;
}

void consul_known_note(consul_known *known, const consul_spiffe_id *target,
                       const consul_spiffe_id *peer_id, const unsigned char peer[CONSUL_DIGEST_LEN],
                       const consul_known_verdict *verdict)
{
    unsigned char of_certificate[CONSUL_DIGEST_LEN], of_identity[CONSUL_DIGEST_LEN];
    bool made = make_key(target, peer, CONSUL_DIGEST_LEN, of_certificate)
                && make_key(target, peer_id->uri, strlen(peer_id->uri), of_identity);

    consul_live_lock();
    if (made) {
        note(known->certificates, of_certificate, verdict);
        note(known->identities, of_identity, verdict);
    } else { /* without memory nobody knows where an earlier yes may be */
        memset(known, 0, sizeof(*known));
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
                                       const unsigned char peer[CONSUL_DIGEST_LEN])
{
    consul_known_verdict found = {.verdict = CONSUL_VERDICT_NONE};
    unsigned char key[CONSUL_DIGEST_LEN];

    if (make_key(target, peer, CONSUL_DIGEST_LEN, key))
        found = find(known->certificates, key);
    if (found.verdict != consul_known_last(known, target, peer_id).verdict)
        found.verdict = CONSUL_VERDICT_NONE;
    return found;
}

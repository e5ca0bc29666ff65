#include "internal.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#define KNOWN_MAX 1024 /* verdicts, of about 90 bytes each */

typedef struct known_place {
    unsigned char key[CONSUL_DIGEST_LEN]; /* SHA-256 of both SPIFFE IDs */
    consul_known_verdict known;
} known_place;

/* Each pair has one place, which others may have too: the last one has it. */
struct consul_known {
    known_place places[KNOWN_MAX];
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

static int make_key(const consul_spiffe_id *target, const consul_spiffe_id *peer_id,
                    unsigned char key[CONSUL_DIGEST_LEN], size_t *place)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1
             && EVP_DigestUpdate(ctx, target->uri, strlen(target->uri) + 1) == 1
             && EVP_DigestUpdate(ctx, peer_id->uri, strlen(peer_id->uri)) == 1
             && EVP_DigestFinal_ex(ctx, key, NULL) == 1;

    EVP_MD_CTX_free(ctx);
    *place = ok ? (size_t)(key[0] << 8 | key[1]) % KNOWN_MAX : 0;
    return ok;
}

void consul_known_note(consul_known *known, const consul_spiffe_id *target,
                       const consul_spiffe_id *peer_id, const consul_known_verdict *verdict)
{
    unsigned char key[CONSUL_DIGEST_LEN];
    size_t place;
    bool made = make_key(target, peer_id, key, &place);

    consul_live_lock();
    if (!made) { /* without memory nobody knows where an earlier yes may be */
        memset(known, 0, sizeof(*known));
    } else if (memcmp(known->places[place].key, key, sizeof(key)) != 0
               || known->places[place].known.asked <= verdict->asked) {
        memcpy(known->places[place].key, key, sizeof(key)); /* else it took longer to come */
        known->places[place].known = *verdict;
    }
    consul_live_unlock();
}

consul_known_verdict consul_known_find(const consul_known *known, const consul_spiffe_id *target,
                                       const consul_spiffe_id *peer_id)
{
    consul_known_verdict found = {.verdict = CONSUL_VERDICT_NONE};
    unsigned char key[CONSUL_DIGEST_LEN];
    size_t place;

    if (!make_key(target, peer_id, key, &place))
        return found;
    consul_live_lock();
    if (memcmp(known->places[place].key, key, sizeof(key)) == 0)
        found = known->places[place].known;
    consul_live_unlock();
    return found;
}

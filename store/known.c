#include "internal.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#define KNOWN_MAX 4096 /* verdicts; 33 bytes each */
#define KEY_LEN 32

typedef struct known_verdict {
    unsigned char key[KEY_LEN]; /* SHA-256 of both SPIFFE IDs */
    unsigned char verdict;      /* NONE in an empty place */
} known_verdict;

/* Each pair has one place, which others may have too: the last one has it. */
struct consul_known {
    known_verdict places[KNOWN_MAX];
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
                    unsigned char key[KEY_LEN], size_t *place)
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
                       const consul_spiffe_id *peer_id, enum consul_verdict verdict)
{
    unsigned char key[KEY_LEN];
    size_t place;

    if (!make_key(target, peer_id, key, &place))
        return;
    consul_live_lock();
    memcpy(known->places[place].key, key, KEY_LEN);
    known->places[place].verdict = (unsigned char)verdict;
    consul_live_unlock();
}

enum consul_verdict consul_known_find(const consul_known *known, const consul_spiffe_id *target,
                                      const consul_spiffe_id *peer_id)
{
    enum consul_verdict verdict = CONSUL_VERDICT_NONE;
    unsigned char key[KEY_LEN];
    size_t place;

    if (!make_key(target, peer_id, key, &place))
        return CONSUL_VERDICT_NONE;
    consul_live_lock();
    if (memcmp(known->places[place].key, key, KEY_LEN) == 0)
        verdict = (enum consul_verdict)known->places[place].verdict;
    consul_live_unlock();
    return verdict;
}

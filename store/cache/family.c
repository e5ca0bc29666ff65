/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/family.h"

#include "base/allowance.h"
#include "cache/family_fields.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#define WATCH_INTERVAL_MS 2000 /* between two watches of short-lived processes */
enum taking { FREE, BEING_TAKEN, TAKEN };

#define NOBODY INT64_MIN /* the moment of a request that was never made */

/* The fields of an answer that its seal covers, beside its body. */
typedef struct answer_head {
    int64_t asked; /* in microseconds */
    uint64_t index, len;
} answer_head;

consul_family *consul_family_new(void)
{
    consul_family *family = OPENSSL_zalloc(sizeof(*family));
    void *memory;

    if (family == NULL)
        return NULL;
    memory = mmap(NULL, sizeof(consul_family_memory), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        OPENSSL_free(family);
        return NULL;
    }
    madvise(memory, sizeof(consul_family_memory), MADV_DONTDUMP);
    family->memory = memory;
    family->maker = geteuid();
    return family;
}

void consul_family_free(consul_family *family)
{
    if (family != NULL)
        munmap(family->memory, sizeof(consul_family_memory));
    OPENSSL_free(family);
}

void consul_family_look(consul_family *family)
{
    if (family != NULL)
        atomic_store_explicit(&family->is_ours, geteuid() == family->maker, memory_order_relaxed);
}

/* Return the first place with a key, or NULL. Two processes may have taken one each at the same time. */
static consul_family_place *find(consul_family_memory *memory, const place_key *key)
{
    size_t i;

    for (i = 0; i < CONSUL_FAMILY_PLACES; i++) {
        consul_family_place *place = &memory->places[i];

        if (atomic_load(&place->taken) == TAKEN && memcmp(&place->key, key, sizeof(*key)) == 0)
            return place;
    }
    return NULL;
}

consul_family_place *consul_family_find(consul_family *family, int kind, const char *service,
                                        const consul_scope *scope)
{
    consul_family_place *place;
    place_key key;
    size_t i;

    if (!consul_family_is_known(family))
        return NULL;
    memset(&key, 0, sizeof(key));
    key.kind = kind;
    OPENSSL_strlcpy(key.service, service, sizeof(key.service));
    OPENSSL_strlcpy(key.ns, scope->ns, sizeof(key.ns));
    OPENSSL_strlcpy(key.partition, scope->partition, sizeof(key.partition));
    OPENSSL_strlcpy(key.dc, scope->dc, sizeof(key.dc));
    place = find(family->memory, &key);
    for (i = 0; place == NULL && i < CONSUL_FAMILY_PLACES; i++) {
        consul_family_place *next = &family->memory->places[i];
        int expected = FREE;

        if (atomic_compare_exchange_strong(&next->taken, &expected, BEING_TAKEN)) {
            memcpy(&next->key, &key, sizeof(key));
            atomic_store(&next->asked, NOBODY);
            atomic_store(&next->taken, TAKEN);
            place = find(family->memory, &key);
        }
    }
    return place;
}

/* Return a word that belongs to this mark and this moment. The two are written one after the other. */
static uint64_t check_of(uint64_t mark, int64_t asked)
{
    return (mark ^ ((uint64_t)asked * 0x9e3779b97f4a7c15u)) * 0xff51afd7ed558ccdu;
}

uint64_t consul_family_mark(const unsigned char digest[CONSUL_DIGEST_LEN])
{
    uint64_t mark;

    memcpy(&mark, digest, sizeof(mark));
    return mark;
}

/* Compute the seal of an answer. Return false without memory. */
static bool make_seal(const answer_head *head, const char *body,
                      uint64_t seal[CONSUL_FAMILY_SEAL_WORDS])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool made = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1
                && EVP_DigestUpdate(ctx, head, sizeof(*head)) == 1
                && EVP_DigestUpdate(ctx, body, head->len) == 1
                && EVP_DigestFinal_ex(ctx, (unsigned char *)seal, NULL) == 1;

    EVP_MD_CTX_free(ctx);
    return made;
}

/* Write a body. It overwrites the one before to its end, which may have a private key. */
static void write_body(consul_family_place *place, const char *body, size_t len)
{
    uint64_t word, before = atomic_load(&place->len);
    size_t i, last = before > len && before <= CONSUL_FAMILY_BODY_MAX ? (size_t)before : len;

    for (i = 0; i * sizeof(word) < last; i++) {
        size_t left = len > i * sizeof(word) ? len - i * sizeof(word) : 0;

        word = 0;
        memcpy(&word, body + (left == 0 ? 0 : i * sizeof(word)),
               left < sizeof(word) ? left : sizeof(word));
        atomic_store_explicit(&place->body[i], word, memory_order_relaxed);
    }
    OPENSSL_cleanse(&word, sizeof(word));
}

/* Read a body. */
static void read_body(const consul_family_place *place, char *body, size_t len)
{
    uint64_t word = 0;
    size_t i;

    for (i = 0; i * sizeof(word) < len; i++) {
        size_t left = len - i * sizeof(word);

        word = atomic_load_explicit(&place->body[i], memory_order_relaxed);
        memcpy(body + i * sizeof(word), &word, left < sizeof(word) ? left : sizeof(word));
    }
    OPENSSL_cleanse(&word, sizeof(word));
}

static atomic_bool has_forked; /* in this process, or in one that it descends from by fork */

void consul_family_note_fork(void)
{
    atomic_store(&has_forked, true);
}

bool consul_family_has_forked(void)
{
    return atomic_load(&has_forked);
}

void consul_family_tell(const consul_family *family, consul_family_place *place,
                        const consul_answer *answer, const unsigned char digest[CONSUL_DIGEST_LEN],
                        int64_t asked)
{
    answer_head head = {asked, answer->index, answer->len};
    uint64_t seal[CONSUL_FAMILY_SEAL_WORDS];
    size_t i;

    if (!consul_family_has_forked() || !consul_family_shares(family, place) || answer->body == NULL
        || answer->len > CONSUL_FAMILY_BODY_MAX || !consul_digest_is_set(digest)
        || asked <= atomic_load(&place->asked) || !make_seal(&head, answer->body, seal))
        return;
    atomic_store(&place->mark, 0);
    write_body(place, answer->body, answer->len);
    atomic_store(&place->index, head.index);
    atomic_store(&place->len, head.len);
    for (i = 0; i < CONSUL_FAMILY_SEAL_WORDS; i++)
        atomic_store(&place->seal[i], seal[i]);
    atomic_store(&place->asked, head.asked);
    atomic_store(&place->check, check_of(consul_family_mark(digest), head.asked));
    atomic_store(&place->mark, consul_family_mark(digest));
}

/* Take no moment to come: it is of another clock, as in a time namespace. */
int64_t consul_family_asked(const consul_family *family, consul_family_place *place, uint64_t *mark)
{
    int64_t asked;

    *mark = 0;
    if (!consul_family_shares(family, place) || (*mark = atomic_load(&place->mark)) == 0)
        return NOBODY;
    asked = atomic_load(&place->asked);
    if (atomic_load(&place->check) != check_of(*mark, asked) || asked > consul_now_us()) {
        *mark = 0;
        return NOBODY;
    }
    return asked;
}

bool consul_family_hear(const consul_family *family, consul_family_place *place,
                        consul_answer *answer)
{
    uint64_t seal[CONSUL_FAMILY_SEAL_WORDS], told[CONSUL_FAMILY_SEAL_WORDS];
    answer_head head;
    size_t i;

    *answer = (consul_answer){.source = "the answer to another process of this program"};
    if (!consul_family_shares(family, place))
        return false;
    head = (answer_head){atomic_load(&place->asked), atomic_load(&place->index),
                         atomic_load(&place->len)};
    for (i = 0; i < CONSUL_FAMILY_SEAL_WORDS; i++)
        told[i] = atomic_load(&place->seal[i]);
    if (head.len == 0 || head.len > CONSUL_FAMILY_BODY_MAX || head.asked > consul_now_us()
        || (answer->body = OPENSSL_zalloc(head.len + 1)) == NULL)
        return false;
    answer->len = head.len;
    answer->index = head.index;
    read_body(place, answer->body, head.len);
    if (make_seal(&head, answer->body, seal) && memcmp(seal, told, sizeof(seal)) == 0)
        return true;
    consul_answer_free(answer);
    return false;
}

int64_t consul_family_claimed(const consul_family *family, const consul_family_place *place)
{
    return consul_family_shares(family, place) ? atomic_load(&place->claimed) : 0;
}

void consul_family_claim(const consul_family *family, consul_family_place *place, int64_t now)
{
    if (consul_family_shares(family, place))
        atomic_store(&place->claimed, now);
}

/* ---- the handshakes ---- */

unsigned consul_family_note_peer(const consul_family *family, int64_t now)
{
    int64_t age;

    if (!consul_family_is_known(family))
        return 0;
    age = now - atomic_load(&family->memory->used);
    if (age >= 1000 || age < 0)
        atomic_store(&family->memory->used, now);
    /* No more are counted, so that the processes do not write to one line of memory all the time. */
    if (atomic_load(&family->memory->peers) < 2)
        atomic_fetch_add(&family->memory->peers, 1);
    return atomic_load(&family->memory->peers);
}

int64_t consul_family_used(const consul_family *family)
{
    return consul_family_is_known(family) ? atomic_load(&family->memory->used) : 0;
}

bool consul_family_may_begin(const consul_family *family, int64_t now)
{
    int64_t spent, before;

    if (!consul_family_is_known(family))
        return false;
    spent = before = atomic_load(&family->memory->spent_until);
    return consul_allowance_take(&spent, now, WATCH_INTERVAL_MS, 1)
           && atomic_compare_exchange_strong(&family->memory->spent_until, &before, spent);
}

consul_load *consul_family_load(const consul_family *family)
{
    return consul_family_is_known(family) ? &family->memory->load : NULL;
}

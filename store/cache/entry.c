/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/entry.h"

#include "agent/decode.h"
#include "base/allowance.h"
#include "base/event.h"
#include "base/lock.h"
#include "identity/cert.h"

#include <string.h>

#include <openssl/evp.h>

/* The greatest ages of roots that a watch vouches for: without a request, and during a request. */
#define LOOK_AGE_US 2000000
#define LOOK_AGE_ASKED_US 3000000
#define LOOK_PAUSE_US 500000 /* between the requests of two handshakes */

uint64_t consul_entry_mark(const consul_entry *entry)
{
    if (entry->roots != NULL)
        return consul_family_mark(entry->roots->digest);
    return entry->leaf == NULL ? entry->mark : consul_family_mark(entry->leaf->digest);
}

bool consul_entry_is_watched(const consul_entry *entry)
{
    return entry->fresh_until != 0 && consul_now_ms() < entry->fresh_until;
}

bool consul_entry_is_fresh(const consul_entry *entry)
{
    consul_vouching vouching;

    return consul_entry_is_watched(entry)
           || consul_family_vouches(entry->family, entry->place, consul_entry_mark(entry),
                                    &vouching);
}

void consul_entry_vouch(const consul_entry *entry)
{
    consul_family_vouch(entry->family, entry->place,
                        &(consul_vouching){.mark = consul_entry_mark(entry),
                                           .fresh_until = entry->fresh_until,
                                           .epoch = entry->epoch,
                                           .epoch_began = entry->epoch_began});
}

/* Return the moment of the last request whose answer was the kept one: this process's, or a sibling's. */
static int64_t asked_of(const consul_entry *entry)
{
    uint64_t mark;
    int64_t asked = consul_family_asked(entry->family, entry->place, &mark);

    return mark != 0 && mark == consul_entry_mark(entry) && asked > entry->asked ? asked
                                                                                 : entry->asked;
}

static bool is_new_enough(const consul_entry *entry, int64_t since)
{
    return entry->asked >= since || consul_entry_is_fresh(entry) || asked_of(entry) >= since;
}

/* Return true where a process of the family has begun a request for a newer answer in the last moments. */
static bool is_being_asked(const consul_entry *entry, int64_t now, int64_t pause)
{
    int64_t claimed = consul_family_claimed(entry->family, entry->place);

    return now - entry->being_asked < pause
           || (claimed != 0 && claimed <= now && now - claimed < pause);
}

/* Note that the caller asks for a newer answer. */
static void begin_asking(consul_entry *entry, int64_t now)
{
    entry->being_asked = now;
    consul_family_claim(entry->family, entry->place, now);
}

/* Return the age that a busy process accepts. */
static int64_t crowd_age(const consul_entry *entry, int64_t now)
{
    return is_being_asked(entry, now, CONSUL_CROWD_AGE_US) ? CONSUL_CROWD_AGE_ASKED_US
                                                           : CONSUL_CROWD_AGE_US;
}

consul_roots *consul_entry_roots(consul_entry *entry, int64_t since)
{
    consul_roots *roots = NULL;

    consul_lock();
    if (entry->roots != NULL && is_new_enough(entry, since))
        roots = consul_roots_ref(entry->roots);
    consul_unlock();
    return roots;
}

consul_roots *consul_entry_roots_looked_at(consul_entry *entry, int64_t since, int64_t now,
                                           bool is_busy)
{
    consul_roots *roots = NULL;
    int64_t asked, age;

    consul_lock();
    asked = asked_of(entry);
    age = is_being_asked(entry, now, LOOK_PAUSE_US) ? LOOK_AGE_ASKED_US : LOOK_AGE_US;
    if (entry->roots != NULL
        && (asked >= since || (is_busy && asked >= since - crowd_age(entry, now))
            || (now - asked < age && consul_entry_is_fresh(entry))))
        roots = consul_roots_ref(entry->roots);
    else
        begin_asking(entry, now);
    consul_unlock();
    return roots;
}

consul_leaf *consul_entry_leaf(consul_entry *entry, int64_t since)
{
    consul_leaf *leaf = NULL;

    consul_lock();
    if (entry->leaf != NULL && is_new_enough(entry, since))
        leaf = consul_leaf_ref(entry->leaf);
    consul_unlock();
    return leaf;
}

consul_leaf *consul_entry_leaf_when_busy(consul_entry *entry, int64_t since, int64_t now)
{
    consul_leaf *leaf = NULL;

    consul_lock();
    if (entry->leaf != NULL && is_new_enough(entry, since - crowd_age(entry, now)))
        leaf = consul_leaf_ref(entry->leaf);
    else
        begin_asking(entry, now);
    consul_unlock();
    return leaf;
}

/*
 * Return true where the chain of this leaf to these roots was verified, and no certificate has
 * expired.
 */
static bool chain_was_verified(const consul_entry *entry, const consul_leaf *leaf,
                               const consul_roots *roots)
{
    bool chains;

    consul_lock();
    chains = entry->leaf == leaf && entry->checked == roots && time(NULL) < entry->checked_until;
    consul_unlock();
    return chains;
}

/*
 * Set the checked roots, with the lock held. Return the old ones, to be released without the lock.
 */
static consul_roots *set_checked(consul_entry *entry, consul_roots *roots, time_t until)
{
    consul_roots *old = entry->checked;

    entry->checked = roots == NULL ? NULL : consul_roots_ref(roots);
    entry->checked_until = until;
    return old;
}

int consul_entry_check_leaf(consul_entry *entry, const consul_leaf *leaf, consul_roots *roots,
                            bool *stale, consul_error *err)
{
    bool chains = roots == NULL || chain_was_verified(entry, leaf, roots);
    consul_roots *old = NULL;
    time_t until;

    if (!consul_leaf_check(leaf, roots, entry->service, &entry->scope, chains, stale, err))
        return 0;
    if (chains)
        return 1;
    until = consul_leaf_next_expiry(leaf, roots);
    consul_lock();
    if (entry->leaf == leaf)
        old = set_checked(entry, roots, until);
    consul_unlock();
    consul_roots_unref(old);
    return 1;
}

/* Compute the digest of an answer. It is zeros without memory. */
static void digest_answer(const consul_answer *answer, unsigned char digest[CONSUL_DIGEST_LEN])
{
    if (EVP_Digest(answer->body, answer->len, digest, NULL, EVP_sha256(), NULL) != 1)
        memset(digest, 0, CONSUL_DIGEST_LEN);
}

static bool is_digest(const unsigned char kept[CONSUL_DIGEST_LEN],
                      const unsigned char digest[CONSUL_DIGEST_LEN])
{
    return memcmp(kept, digest, CONSUL_DIGEST_LEN) == 0 && consul_digest_is_set(digest);
}

consul_roots *consul_entry_decode_roots(consul_entry *entry, const consul_answer *answer,
                                        OSSL_LIB_CTX *libctx, consul_error *err)
{
    consul_roots *roots = consul_entry_roots(entry, CONSUL_EVER);
    unsigned char digest[CONSUL_DIGEST_LEN];

    digest_answer(answer, digest);
    if (roots != NULL && is_digest(roots->digest, digest))
        return roots;
    consul_roots_unref(roots);
    roots = consul_roots_decode(answer->body, answer->len, libctx, err);
    /* A root may be unusable for lack of memory. Without a digest, the answer is decoded again. */
    if (roots != NULL && consul_certs_are_usable(roots->certs))
        memcpy(roots->digest, digest, sizeof(digest));
    else if (roots == NULL)
        consul_error_prefix(err, "%s: ", answer->source);
    return roots;
}

consul_leaf *consul_entry_decode_leaf(consul_entry *entry, const consul_answer *answer,
                                      OSSL_LIB_CTX *libctx, consul_error *err)
{
    consul_leaf *leaf = consul_entry_leaf(entry, CONSUL_EVER);
    unsigned char digest[CONSUL_DIGEST_LEN];

    digest_answer(answer, digest);
    if (leaf != NULL && is_digest(leaf->digest, digest))
        return leaf;
    consul_leaf_unref(leaf);
    leaf = consul_leaf_decode(answer->body, answer->len, libctx, err);
    if (leaf != NULL)
        memcpy(leaf->digest, digest, sizeof(digest));
    else
        consul_error_prefix(err, "%s: ", answer->source);
    return leaf;
}

/*
 * Return true where an answer takes the place of the kept one, and note its times. The answer to a
 * watch may be the older one, where it was on its way for longer.
 */
static bool takes_place(consul_entry *entry, bool is_other, enum consul_origin origin,
                        int64_t asked, consul_deadline fresh_until)
{
    if (origin == CONSUL_WATCHED) {
        bool may_be_older = is_other && asked < entry->asked;

        entry->fresh_until = may_be_older ? 0 : fresh_until;
        if (!may_be_older)
            entry->watched = consul_now_us();
        return !may_be_older;
    }
    if (asked < entry->asked || (origin == CONSUL_ASKED && consul_entry_is_fresh(entry)))
        return false;
    if (is_other)
        entry->fresh_until = 0; /* the watch has missed the change, and may be broken */
    entry->asked = asked;
    return true;
}

static void tell_roots(enum consul_event_kind kind, const consul_roots *roots)
{
    consul_event event = {.kind = kind, .count = sk_X509_num(roots->certs)};

    memcpy(&event.key, roots->digest, sizeof(event.key));
    consul_event_tell(&event);
}

bool consul_entry_keep_roots(consul_entry *entry, consul_roots *roots, enum consul_origin origin,
                             int64_t asked, consul_deadline fresh_until)
{
    consul_roots *old = NULL;
    bool kept;

    consul_lock();
    kept = takes_place(entry, entry->roots != roots, origin, asked, fresh_until);
    if (kept) {
        old = entry->roots;
        entry->roots = consul_roots_ref(roots);
    }
    consul_entry_vouch(entry);
    consul_unlock();
    if (kept && old != roots)
        tell_roots(old == NULL ? CONSUL_EVENT_ROOTS_FIRST : CONSUL_EVENT_ROOTS_CHANGED, roots);
    consul_roots_unref(old);
    return kept;
}

bool consul_entry_keep_leaf(consul_entry *entry, consul_leaf *leaf, consul_roots *checked,
                            enum consul_origin origin, int64_t asked, consul_deadline fresh_until)
{
    time_t until = checked == NULL ? 0 : consul_leaf_next_expiry(leaf, checked);
    consul_roots *old_checked = NULL;
    consul_leaf *old = NULL;
    bool is_other, kept;

    consul_lock();
    is_other = entry->leaf != leaf;
    kept = takes_place(entry, is_other, origin, asked, fresh_until);
    if (kept) {
        old = entry->leaf;
        entry->leaf = consul_leaf_ref(leaf);
    }
    if (entry->leaf == leaf && (is_other || checked != NULL))
        old_checked = set_checked(entry, checked, until);
    consul_entry_vouch(entry);
    consul_unlock();
    if (old != NULL && is_other)
        consul_event_tell(&(consul_event){.kind = CONSUL_EVENT_LEAF_RENEWED,
                                          .service = entry->service,
                                          .leaf = consul_leaf_cert(leaf)});
    consul_leaf_unref(old);
    consul_roots_unref(old_checked);
    return kept;
}

void consul_entry_stop_vouching(consul_entry *entry)
{
    consul_lock();
    entry->fresh_until = 0;
    consul_entry_vouch(entry);
    consul_unlock();
}

bool consul_entry_was_asked(consul_entry *entry, int64_t since)
{
    bool was_asked;

    consul_lock();
    was_asked = entry->asked >= since;
    consul_unlock();
    return was_asked;
}

bool consul_entry_begin_doubt(consul_entry *entry)
{
    int64_t now = consul_now_ms();
    bool may;

    consul_lock();
    may = consul_allowance_take(&entry->doubts_paid, now, CONSUL_DOUBT_MS, CONSUL_DOUBTS_AT_ONCE);
    consul_unlock();
    return may;
}

void consul_entry_end_doubt(consul_entry *entry, int64_t took)
{
    consul_lock();
    if (took * CONSUL_DOUBT_SHARE > CONSUL_DOUBT_MS)
        entry->doubts_paid += took * CONSUL_DOUBT_SHARE - CONSUL_DOUBT_MS;
    consul_unlock();
}

uint64_t consul_entry_index(consul_entry *entry)
{
    uint64_t index;

    consul_lock();
    index = entry->index;
    consul_unlock();
    return index;
}

void consul_entry_set_index(consul_entry *entry, uint64_t index)
{
    consul_lock();
    entry->index = index;
    consul_unlock();
}

consul_request consul_entry_request(const consul_entry *entry)
{
    consul_request request = {.path = "/v1/agent/connect/ca/roots",
                              .scope = &entry->scope,
                              .is_open = entry->kind == CONSUL_KIND_ROOTS,
                              .deadline = CONSUL_NO_DEADLINE};

    if (entry->kind == CONSUL_KIND_LEAF) {
        request.path = "/v1/agent/connect/ca/leaf/";
        request.last_segment = entry->service;
    } else if (entry->kind == CONSUL_KIND_INTENTIONS && *entry->service != '\0') {
        request.path = "/v1/connect/intentions/match";
        request.destination = entry->service;
    } else if (entry->kind == CONSUL_KIND_INTENTIONS) {
        request.path = "/v1/connect/intentions";
    }
    consul_lock();
    request.insists = entry->roots == NULL && entry->leaf == NULL;
    consul_unlock();
    return request;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/family_verdicts.h"

#include "base/clock.h"
#include "cache/family_fields.h"

#include <string.h>

/* Return a word that belongs to these fields. Two processes may write to one place at the same time. */
static uint64_t check_of(const uint64_t key[CONSUL_FAMILY_SEAL_WORDS],
                         const consul_kept_verdict *verdict)
{
    uint64_t fields[] = {(uint64_t)verdict->verdict, verdict->epoch, (uint64_t)verdict->asked};
    uint64_t check = 0x9e3779b97f4a7c15u;
    size_t i;

    for (i = 0; i < CONSUL_FAMILY_SEAL_WORDS; i++)
        check = (check ^ key[i]) * 0xff51afd7ed558ccdu + (check >> 29);
    for (i = 0; i < sizeof(fields) / sizeof(*fields); i++)
        check = (check ^ fields[i]) * 0xff51afd7ed558ccdu + (check >> 29);
    return check;
}

/* Read the verdict of a place. Return false where it is of another key, or not whole. */
static bool read_place(const consul_family_verdict *place,
                       const uint64_t key[CONSUL_FAMILY_SEAL_WORDS], consul_kept_verdict *verdict)
{
    uint64_t words = 0;
    size_t i;

    for (i = 0; i < CONSUL_FAMILY_SEAL_WORDS; i++)
        words |= atomic_load(&place->key[i]) ^ key[i];
    verdict->verdict = (enum consul_verdict)atomic_load(&place->verdict);
    verdict->epoch = atomic_load(&place->epoch);
    verdict->asked = atomic_load(&place->asked);
    return words == 0 && atomic_load(&place->check) == check_of(key, verdict);
}

/* Write a verdict. The check is wrong from the first store to the last one. */
static void write_place(consul_family_verdict *place, const uint64_t key[CONSUL_FAMILY_SEAL_WORDS],
                        const consul_kept_verdict *verdict)
{
    uint64_t check = check_of(key, verdict);
    size_t i;

    atomic_store(&place->check, ~check);
    for (i = 0; i < CONSUL_FAMILY_SEAL_WORDS; i++)
        atomic_store(&place->key[i], key[i]);
    atomic_store(&place->verdict, (unsigned)verdict->verdict);
    atomic_store(&place->epoch, verdict->epoch);
    atomic_store(&place->asked, verdict->asked);
    atomic_store(&place->check, check);
}

static consul_family_verdict_set *set_of(const consul_family *family, const uint64_t *key)
{
    return &family->memory->verdicts[*key % CONSUL_FAMILY_VERDICT_SETS];
}

/* Return the place with a verdict of this key, or NULL. `*known` is that verdict. */
static consul_family_verdict *find(consul_family_verdict_set *set,
                                   const uint64_t key[CONSUL_FAMILY_SEAL_WORDS],
                                   consul_kept_verdict *known)
{
    size_t i;

    for (i = 0; i < CONSUL_FAMILY_VERDICT_WAYS; i++) {
        if (read_place(&set->places[i], key, known))
            return &set->places[i];
    }
    return NULL;
}

/* Free the place of the verdict that was asked for first, and return it. */
static consul_family_verdict *free_oldest(consul_family_verdict_set *set)
{
    consul_family_verdict *oldest = &set->places[0];
    int64_t asked;
    size_t i;

    for (i = 1; i < CONSUL_FAMILY_VERDICT_WAYS; i++) {
        if (atomic_load(&set->places[i].asked) < atomic_load(&oldest->asked))
            oldest = &set->places[i];
    }
    asked = atomic_load(&oldest->asked);
    if (asked > atomic_load(&set->forgotten))
        atomic_store(&set->forgotten, asked);
    return oldest;
}

void consul_family_note_verdict(const consul_family *family,
                                const unsigned char key[CONSUL_DIGEST_LEN],
                                const consul_kept_verdict *verdict)
{
    uint64_t words[CONSUL_FAMILY_SEAL_WORDS];
    consul_family_verdict_set *set;
    consul_family_verdict *place;
    consul_kept_verdict known;
    int64_t known_of;

    if (!consul_family_is_known(family))
        return;
    memcpy(words, key, sizeof(words));
    set = set_of(family, words);
    place = find(set, words, &known);
    known_of = place == NULL ? atomic_load(&set->forgotten) : known.asked;
    if (verdict->verdict == CONSUL_VERDICT_YES && known_of >= verdict->asked)
        return;
    write_place(place == NULL ? free_oldest(set) : place, words, verdict);
}

consul_kept_verdict consul_family_find_verdict(const consul_family *family,
                                               const unsigned char key[CONSUL_DIGEST_LEN])
{
    static const consul_kept_verdict none = {.verdict = CONSUL_VERDICT_NONE};
    uint64_t words[CONSUL_FAMILY_SEAL_WORDS];
    consul_kept_verdict found;

    memcpy(words, key, sizeof(words));
    return consul_family_is_known(family) && find(set_of(family, words), words, &found) != NULL
                   && found.asked <= consul_now_ms()
               ? found
               : none;
}

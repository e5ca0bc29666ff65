/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/hear.h"

#include "base/lock.h"
#include "cache/epoch.h"

#include <string.h>

#include <openssl/evp.h>

/*
 * Return true where the family's answer with this mark, to a request of `*asked`, is newer than the kept one. The family's
 * watcher may vouch for an answer to an earlier request. `*asked` becomes the moment of the kept one then.
 */
static bool is_newer(const consul_entry *entry, uint64_t mark, int64_t *asked)
{
    consul_vouching vouching;
    int64_t known;
    bool is_newer = false;

    consul_lock();
    known = entry->asked > entry->watched ? entry->asked : entry->watched;
    if (mark != consul_entry_mark(entry) && !consul_entry_is_watched(entry)) {
        is_newer = *asked > known;
        if (!is_newer && consul_family_vouches(entry->family, entry->place, mark, &vouching)) {
            is_newer = true;
            *asked = known;
        }
    }
    consul_unlock();
    return is_newer;
}

/* Get the answer of the family, where it is newer than the kept one. */
static bool hear(const consul_entry *entry, consul_answer *answer, int64_t *asked)
{
    uint64_t mark;

    *asked = consul_family_asked(entry->family, entry->place, &mark);
    return mark != 0 && is_newer(entry, mark, asked)
           && consul_family_hear(entry->family, entry->place, answer);
}

void consul_hear_roots(consul_entry *entry, OSSL_LIB_CTX *libctx)
{
    consul_answer answer;
    consul_roots *roots;
    int64_t asked;

    if (!hear(entry, &answer, &asked))
        return;
    roots = consul_entry_decode_roots(entry, &answer, libctx, NULL);
    if (roots != NULL)
        consul_entry_keep_roots(entry, roots, CONSUL_ASKED_ANEW, asked, 0);
    consul_roots_unref(roots);
    consul_answer_free(&answer);
}

void consul_hear_leaf(consul_entry *entry, OSSL_LIB_CTX *libctx)
{
    consul_answer answer;
    consul_leaf *leaf;
    int64_t asked;

    if (!hear(entry, &answer, &asked))
        return;
    leaf = consul_entry_decode_leaf(entry, &answer, libctx, NULL);
    if (leaf != NULL && consul_entry_keep_leaf(entry, leaf, NULL, CONSUL_ASKED_ANEW, asked, 0))
        consul_entry_set_index(entry, answer.index);
    consul_leaf_unref(leaf);
    consul_answer_free(&answer);
}

void consul_hear_intentions(consul_entry *entry)
{
    consul_intentions *unheeded = NULL;
    consul_vouching vouching;
    consul_answer answer;
    uint64_t mark;
    bool is_news;

    if (*entry->service == '\0')
        return;
    consul_family_asked(entry->family, entry->place, &mark);
    consul_lock();
    is_news = mark != entry->mark && !consul_entry_is_watched(entry)
              && consul_family_vouches(entry->family, entry->place, mark, &vouching);
    consul_unlock();
    if (!is_news || !consul_family_hear(entry->family, entry->place, &answer))
        return;
    if (consul_intentions_decode(answer.body, answer.len, &unheeded, NULL)) {
        consul_entry_keep_unheeded(entry, unheeded);
        consul_entry_set_mark(entry, mark);
        consul_intentions_unref(unheeded);
    }
    consul_answer_free(&answer);
}

void consul_tell_intentions(consul_entry *entry, const consul_answer *answer)
{
    static char nothing[] = "[]";
    consul_answer told = *answer;
    unsigned char digest[CONSUL_DIGEST_LEN] = {0};
    uint64_t of_all = CONSUL_FAMILY_MARK_OF_ALL;

    if (*entry->service == '\0') {
        memcpy(digest, &of_all, sizeof(of_all));
        told.body = nothing;
        told.len = sizeof(nothing) - 1;
    } else if (EVP_Digest(answer->body, answer->len, digest, NULL, EVP_sha256(), NULL) != 1) {
        return;
    }
    consul_family_tell(entry->family, entry->place, &told, digest, consul_now_us());
    consul_entry_set_mark(entry, consul_family_mark(digest));
}

void consul_tell_roots(consul_entry *entry, const consul_roots *roots, const consul_answer *answer,
                       int64_t asked)
{
    consul_family_tell(entry->family, entry->place, answer, roots->digest, asked);
}

void consul_tell_leaf(consul_entry *entry, const consul_leaf *leaf, const consul_answer *answer,
                      int64_t asked)
{
    consul_family_tell(entry->family, entry->place, answer, leaf->digest, asked);
}

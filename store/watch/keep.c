/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/keep.h"

#include "cache/epoch.h"
#include "cache/hear.h"
#include "identity/cert.h"

static int keep_intentions(const consul_query *q, const consul_answer *answer,
                           consul_deadline until, bool *is_news)
{
    consul_intentions *unheeded = NULL;

    *is_news = answer->index != q->index; /* true also for intentions that an ACL hides */
    /* Only agents without unheeded intentions are asked for the list of all. */
    if (*is_news && *q->entry->service != '\0') {
        if (!consul_intentions_decode(answer->body, answer->len, &unheeded, NULL))
            return 0;
        consul_entry_keep_unheeded(q->entry, unheeded);
        consul_intentions_unref(unheeded);
    }
    /* No process of the family has an epoch from here until the new one. */
    if (*is_news) {
        consul_entry_stop_vouching(q->entry);
        consul_tell_intentions(q->entry, answer);
    }
    consul_entry_keep_epoch(q->entry, *is_news, answer->index, until);
    return 1;
}

static int keep_roots(const consul_watch *watch, const consul_query *q, const consul_answer *answer,
                      consul_deadline until, bool *is_news)
{
    consul_roots *roots, *old_roots;
    bool ok;

    consul_hear_roots(q->entry, watch->libctx);
    old_roots = consul_entry_roots(q->entry, CONSUL_EVER);
    roots = consul_entry_decode_roots(q->entry, answer, watch->libctx, NULL);
    *is_news = roots != old_roots;
    /* Roots that may be unusable for lack of memory are asked for again. */
    ok = roots != NULL && consul_certs_are_usable(roots->certs)
         && consul_entry_keep_roots(q->entry, roots, CONSUL_WATCHED, q->began * 1000, until);
    if (ok)
        consul_tell_roots(q->entry, roots, answer, q->began * 1000);
    consul_roots_unref(roots);
    consul_roots_unref(old_roots);
    return ok;
}

static int keep_leaf(const consul_watch *watch, const consul_query *q, const consul_answer *answer,
                     consul_deadline until, bool *is_news)
{
    consul_entry *of_roots =
        consul_table_entry(watch->table, CONSUL_KIND_ROOTS, "", &q->entry->scope, NULL);
    consul_roots *roots = of_roots == NULL ? NULL : consul_entry_roots(of_roots, CONSUL_EVER);
    consul_leaf *leaf, *old_leaf;
    bool stale, ok;

    consul_hear_leaf(q->entry, watch->libctx);
    old_leaf = consul_entry_leaf(q->entry, CONSUL_EVER);
    leaf = consul_entry_decode_leaf(q->entry, answer, watch->libctx, NULL);
    *is_news = leaf != old_leaf;
    ok = leaf != NULL && roots != NULL
         && consul_entry_check_leaf(q->entry, leaf, roots, &stale, NULL)
         && consul_entry_keep_leaf(q->entry, leaf, roots, CONSUL_WATCHED, q->began * 1000, until);
    if (ok)
        consul_tell_leaf(q->entry, leaf, answer, q->began * 1000);
    consul_leaf_unref(leaf);
    consul_leaf_unref(old_leaf);
    consul_roots_unref(roots);
    return ok;
}

int consul_query_keep(const consul_watch *watch, const consul_query *q, const consul_answer *answer,
                      bool *is_news)
{
    const consul_settings *settings = watch->agent->settings;
    consul_deadline until =
        answer->index == 0 ? 0
                           : consul_deadline_after(settings->watch_wait + settings->watch_wait / 16
                                                   + settings->request_timeout);

    if (q->entry->kind == CONSUL_KIND_INTENTIONS)
        return keep_intentions(q, answer, until, is_news);
    if (q->entry->kind == CONSUL_KIND_ROOTS)
        return keep_roots(watch, q, answer, until, is_news);
    return keep_leaf(watch, q, answer, until, is_news);
}

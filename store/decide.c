/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include "agent/authorize.h"
#include "agent/intentions.h"
#include "cache/epoch.h"
#include "cache/hear.h"
#include "cache/single_flight.h"
#include "store_fields.h"
#include "watch/ask_ahead.h"
#include "watch/load.h"
#include "watch/process.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#define VERDICT_AGE_MS 2000       /* the greatest age of a kept yes that a watch vouches for */
#define MEANWHILE_AGE_MS 50       /* the greatest age of a yes of another handshake */
#define LAST_KNOWN_MAX_MS 3600000 /* the greatest age of a kept yes while the agent is lost */

static const consul_request authorize_request = {.path = CONSUL_AUTHORIZE_PATH};

/*
 * The entries for the target's intentions and for those of all services. Some agents let a query
 * wait for the latter only. Either may be NULL.
 */
typedef struct target_intentions {
    consul_entry *own, *all;
} target_intentions;

static target_intentions intentions_of(consul_store *store, const consul_spiffe_id *target)
{
    consul_scope scope = consul_store_scope(store, NULL);
    target_intentions entries;

    if (*scope.ns != '\0' || strcmp(target->scope.ns, "default") != 0)
        OPENSSL_strlcpy(scope.ns, target->scope.ns, sizeof(scope.ns));
    if (*scope.partition != '\0' || strcmp(target->scope.partition, "default") != 0)
        OPENSSL_strlcpy(scope.partition, target->scope.partition, sizeof(scope.partition));
    *scope.dc = '\0'; /* the agent decides by the intentions of its own datacenter */
    entries.own =
        consul_table_entry(store->table, CONSUL_KIND_INTENTIONS, target->service, &scope, NULL);
    entries.all = consul_table_all_intentions(store->table, &scope);
    if (entries.own != NULL)
        consul_hear_intentions(entries.own);
    return entries;
}

/* Return the epoch of the target's intentions, or 0 where no watch vouches for it. */
static uint64_t epoch_of(const target_intentions *entries)
{
    uint64_t epoch = entries->own == NULL ? 0 : consul_entry_epoch(entries->own);

    return epoch != 0 || entries->all == NULL ? epoch : consul_entry_epoch(entries->all);
}

/* Return true where a watch has seen a change after `since`, or too shortly before it. */
static bool have_changed(const target_intentions *entries, int64_t since)
{
    return (entries->own != NULL && consul_entry_has_changed(entries->own, since))
           || (entries->all != NULL && consul_entry_has_changed(entries->all, since));
}

/* Return true for an earlier yes to the same question that is young, and of the present epoch. */
static bool still_holds(const consul_kept_verdict *earlier, const consul_kept_verdict *now)
{
    return earlier->verdict == CONSUL_VERDICT_YES && now->epoch != 0 && earlier->epoch == now->epoch
           && now->asked - earlier->asked < VERDICT_AGE_MS;
}

/*
 * Return true for a yes to the same question of another handshake. It was asked for after this one had begun at `since`, and no
 * change of intentions has followed. So the handshakes of a crowd share an answer, and the processes of a family do.
 */
static bool was_asked_meanwhile(const consul_kept_verdict *earlier, const consul_kept_verdict *now,
                                int64_t since, const target_intentions *entries)
{
    return earlier->verdict == CONSUL_VERDICT_YES && earlier->asked * 1000 > since
           && now->asked - earlier->asked < MEANWHILE_AGE_MS
           && !have_changed(entries, earlier->asked);
}

typedef struct authorize_call {
    consul_store *store;
    const consul_spiffe_id *target, *peer_id;
    const char *body; /* of the request */
    consul_deadline deadline;
} authorize_call;

/* Ask the agent, and return its verdict. For all but a yes, `err` has the reason. */
static enum consul_verdict ask_about(void *arg, consul_error *err)
{
    const authorize_call *call = arg;
    consul_store *store = call->store;
    consul_request request = {
        .path = CONSUL_AUTHORIZE_PATH, .body = call->body, .deadline = call->deadline};
    enum consul_verdict verdict;
    consul_answer answer = {0};
    consul_error why = {0};

    if (!consul_store_check_agent(store, &authorize_request, err))
        return CONSUL_VERDICT_UNASKED;
    verdict =
        consul_authorize_ask(store->agent, &request, call->target, call->peer_id, &answer, &why);
    consul_watch_note_failure(store->watch, &request, &answer, &why);
    if (verdict != CONSUL_VERDICT_YES)
        consul_error_copy(err, &why);
    consul_answer_free(&answer);
    return verdict;
}

/*
 * Return the last verdict on a peer, as the agent is lost. A yes must be young enough, and older
 * than no change of intentions.
 */
static enum consul_verdict last_verdict(const authorize_call *call,
                                        const target_intentions *entries, consul_error *why)
{
    consul_kept_verdict last =
        consul_verdicts_last(call->store->verdicts, call->target, call->peer_id);
    const char *but = NULL;

    if (last.verdict == CONSUL_VERDICT_NO)
        but = "it was denied before the agent was lost";
    else if (last.verdict == CONSUL_VERDICT_YES
             && consul_now_ms() - last.asked >= LAST_KNOWN_MAX_MS)
        but = "it was admitted too long before the agent was lost";
    else if (last.verdict == CONSUL_VERDICT_YES && have_changed(entries, last.asked))
        but = "intentions have changed since it was admitted, before the agent was lost";
    if (but != NULL)
        consul_error_prefix(why, "%s: ", but);
    return but == NULL ? last.verdict : CONSUL_VERDICT_NO;
}

/* Return true where the agent has left a question of any handshake without an answer. */
static bool agent_hangs(consul_store *store)
{
    return consul_watch_agent_hangs(store->watch, &authorize_request) == CONSUL_R_AGENT_TIMEOUT;
}

/*
 * Return true for a yes that was asked for ahead, after this handshake had begun. No later no and no change of intentions may
 * speak against it. `*asked` is the moment of the question.
 */
static bool is_admitted_ahead(const authorize_call *call, int64_t since,
                              const target_intentions *entries, int64_t *asked)
{
    consul_store *store = call->store;
    consul_kept_verdict last;

    if (!consul_watch_knows_ahead(store->watch, call->body, since, call->deadline, asked))
        return false;
    last = consul_verdicts_last(store->verdicts, call->target, call->peer_id);
    return (last.verdict == CONSUL_VERDICT_YES || last.asked < *asked)
           && !have_changed(entries, *asked);
}

/*
 * Set the agent's verdict and the moment of its question in `now`. An answer ahead is of no epoch, because it was asked for
 * before the epoch was looked up. The reason for another verdict than a yes is in `why`.
 */
static void ask(const authorize_call *call, const unsigned char chain[CONSUL_DIGEST_LEN],
                int64_t since, const target_intentions *entries, consul_kept_verdict *now,
                consul_error *why)
{
    consul_store *store = call->store;
    int64_t asked;

    if (is_admitted_ahead(call, since, entries, &asked)) {
        *now = (consul_kept_verdict){.verdict = CONSUL_VERDICT_YES, .asked = asked};
        return;
    }
    now->verdict = consul_single_flight(store, call->target, chain, call->deadline, ask_about,
                                        (void *)call, why);
    if (now->verdict == CONSUL_VERDICT_UNASKED && agent_hangs(store))
        now->verdict = CONSUL_VERDICT_LOST;
    /* A verdict other than yes may be as new as this moment. Only a later request overrules it. */
    if (now->verdict != CONSUL_VERDICT_YES)
        now->asked = consul_now_ms();
}

/* Note a verdict, and the visitor who may come with the same question again. */
static void note(const authorize_call *call, const unsigned char chain[CONSUL_DIGEST_LEN],
                 int connection, const consul_kept_verdict *now)
{
    consul_store *store = call->store;

    consul_verdicts_note(store->verdicts, call->target, call->peer_id, chain, now);
    if (now->verdict == CONSUL_VERDICT_YES && !consul_watch_is_busy(store->watch))
        consul_visitors_note(store->visitors, connection, call->body);
}

/*
 * Return the unheeded intentions anew, in the place of kept ones that no watch vouches for.
 * Requests for them are limited like doubts.
 */
static consul_intentions *unheeded_anew(consul_store *store, consul_entry *entry,
                                        consul_intentions *kept, consul_deadline deadline)
{
    int64_t began = consul_now_ms();
    consul_intentions *unheeded;
    consul_answer answer;

    if (!consul_entry_begin_doubt(entry))
        return kept;
    if (consul_store_ask(store, entry, 0, 0, deadline, &answer, NULL)
        && consul_intentions_decode(answer.body, answer.len, &unheeded, NULL)) {
        consul_entry_keep_unheeded(entry, unheeded);
        consul_intentions_unref(kept);
        kept = unheeded;
    }
    consul_entry_end_doubt(entry, consul_now_ms() - began);
    consul_answer_free(&answer);
    return kept;
}

/*
 * Return 1 where no unheeded intention contradicts the agent's yes. Return 0 with an error
 * otherwise.
 */
static int yes_stands(const authorize_call *call, const target_intentions *entries,
                      consul_error *err)
{
    consul_intentions *unheeded = NULL;
    bool fresh = true;
    int ok;

    if (entries->own != NULL)
        unheeded = consul_entry_unheeded(entries->own, &fresh);
    if (unheeded == NULL)
        return 1;
    ok = consul_intentions_stand_for(unheeded, call->target, call->peer_id, NULL);
    if (!ok && !fresh)
        unheeded = unheeded_anew(call->store, entries->own, unheeded, call->deadline);
    ok = ok || consul_intentions_stand_for(unheeded, call->target, call->peer_id, err);
    consul_intentions_unref(unheeded);
    return ok;
}

int consul_store_authorize(consul_store *store, const consul_spiffe_id *target, const X509 *peer,
                           const unsigned char chain[CONSUL_DIGEST_LEN],
                           const consul_spiffe_id *peer_id, consul_asking asking,
                           enum consul_basis *basis, consul_error *err)
{
    authorize_call call = {store, target, peer_id, NULL, asking.deadline};
    consul_kept_verdict earlier, now = {.asked = consul_now_ms()};
    target_intentions entries;
    consul_error why = {0};
    bool is_answering;
    char *body;

    consul_process_look();
    entries = intentions_of(store, target);
    *basis = CONSUL_BASIS_KEPT;
    earlier = consul_verdicts_find(store->verdicts, target, peer_id, chain);
    is_answering = consul_watch_agent_hangs(store->watch, &authorize_request) == 0;
    if (is_answering)
        now.epoch = epoch_of(&entries);
    if (still_holds(&earlier, &now))
        return yes_stands(&call, &entries, err);
    *basis = CONSUL_BASIS_QUESTION;
    if (is_answering && was_asked_meanwhile(&earlier, &now, asking.since, &entries))
        return yes_stands(&call, &entries, err);
    if (!consul_agent_load(store->agent, err) /* the libraries, by which it is encoded */
        || (body = consul_authorize_encode(store->settings, target, peer, peer_id, err)) == NULL)
        return 0;
    call.body = body;
    ask(&call, chain, asking.since, &entries, &now, &why);
    /* An answer that is neither yes nor no, as to a revoked token, ends an earlier yes, too. */
    if (now.verdict != CONSUL_VERDICT_LOST && now.verdict != CONSUL_VERDICT_UNASKED)
        note(&call, chain, asking.connection, &now);
    else if (now.verdict == CONSUL_VERDICT_LOST
             && store->settings->on_agent_loss == CONSUL_LOSS_LAST_KNOWN) {
        *basis = CONSUL_BASIS_LAST_KNOWN;
        now.verdict = last_verdict(&call, &entries, &why);
    }
    free(body);
    if (now.verdict != CONSUL_VERDICT_YES)
        return consul_error_copy(err, &why);
    if (*basis == CONSUL_BASIS_LAST_KNOWN)
        consul_event_tell(
            &(consul_event){.kind = CONSUL_EVENT_LAST_KNOWN, .service = target->service});
    return yes_stands(&call, &entries, err);
}

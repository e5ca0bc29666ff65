/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/queries.h"

#include "agent/outcome.h"
#include "agent/slot.h"
#include "base/event.h"
#include "base/lock.h"
#include "watch/ahead_queries.h"
#include "watch/descriptors.h"
#include "watch/keep.h"
#include "watch/load.h"

#include <openssl/crypto.h>

#define LONGEST_BACKOFF_MS 10000
#define PROBE_PAUSE_MS 100
#define CROWDED_PROBE_PAUSE_MS 500 /* after a probe that was one of too many requests */
#define QUICK_MS 100               /* an answer before this, and before half of `wait`, is quick */
#define NO_INDEX_PAUSE_MS 60000    /* after an answer that no query can wait for */
#define NOTHING_PAUSE_MS 10 /* of a lane without an entry; each further one is twice as long */

void consul_query_end(consul_watch_thread *r, consul_query *q)
{
    if (q->active)
        curl_multi_remove_handle(r->multi, q->exchange.curl);
    consul_exchange_clear(&q->exchange);
    q->active = false;
    consul_ahead_end(q);
}

static void fail(consul_query *q, int64_t least)
{
    int64_t pause = FIRST_BACKOFF_MS;
    int i;

    for (i = 0; i < q->failures && pause < LONGEST_BACKOFF_MS; i++)
        pause *= 2;
    q->failures++;
    q->index = 0;
    q->quick = 0;
    if (q->entry != NULL)
        consul_entry_stop_vouching(q->entry);
    q->next = consul_deadline_after(consul_jitter(pause > least ? pause : least));
}

static bool is_probe_of(const consul_watch_thread *r, const consul_query *q)
{
    return q == &r->queries[PROBE_ROOTS] || q == &r->queries[PROBE_REQUEST];
}

static consul_request request_of(const consul_watch_thread *r, const consul_query *q)
{
    static const consul_entry roots = {.kind = CONSUL_KIND_ROOTS};

    if (q == &r->queries[PROBE_REQUEST])
        return consul_pending_request_of(&r->probe);
    if (q == &r->queries[AHEAD_VERDICT])
        return (consul_request){.path = CONSUL_AUTHORIZE_PATH, .body = q->ahead->body};
    return consul_entry_request(q == &r->queries[PROBE_ROOTS] ? &roots : q->entry);
}

/*
 * Open a socket of the thread's own, and note it in the exchange, which checks the agent's user by
 * it.
 */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    consul_query *q = arg;

    if (consul_exchange_passes_over(&q->exchange, address))
        return CURL_SOCKET_BAD;
    return consul_exchange_note_socket(&q->exchange, address,
                                       consul_descriptors_open_socket(q->thread, purpose, address));
}

/*
 * Note a probe without an answer. `is_loss` is false where the agent may be there. A local user may
 * have kept the probe from it.
 */
static void note_no_answer(consul_watch_thread *r, const consul_query *q, bool is_loss)
{
    consul_request request = consul_pending_request_of(&r->probe);
    consul_watch *watch = r->watch;

    consul_lock();
    if (!is_loss)
        consul_pending_excuse(watch->pending);
    else if (q == &r->queries[PROBE_REQUEST])
        consul_pending_add(watch->pending, &request, CONSUL_R_AGENT_TIMEOUT);
    if (watch->hangs != 0)
        watch->hangs = is_loss ? CONSUL_R_AGENT_TIMEOUT : CONSUL_R_AGENT_UNREACHABLE;
    consul_unlock();
}

static void did_not_begin(consul_watch_thread *r, consul_query *q)
{
    if (is_probe_of(r, q))
        note_no_answer(r, q, false);
    if (q->ahead == NULL)
        fail(q, 0);
    consul_query_end(r, q);
}

static int close_socket(void *arg, curl_socket_t fd)
{
    consul_watch_thread *r = arg;
    int i;

    for (i = 0; i < QUERIES; i++) {
        if (r->queries[i].active)
            consul_exchange_note_close(&r->queries[i].exchange, fd);
    }
    return consul_descriptors_close_socket(r, fd);
}

/*
 * Return true for a query that begins on a connection of its own, and ends it. A check of the agent's user needs its
 * descriptor. Roots ahead have a kept one, where the thread has a slot, and where its port tells it from others.
 */
static bool is_alone(const consul_agent *agent, const consul_watch_thread *r, const consul_query *q)
{
    return agent->settings->agent_user != NULL || is_probe_of(r, q)
           || q == &r->queries[AHEAD_VERDICT]
           || (q->ahead != NULL && (r->slot.fd < 0 || agent->address.socket_path != NULL));
}

static void begin_query(const consul_watch *watch, consul_watch_thread *r, consul_query *q)
{
    bool is_probe = is_probe_of(r, q);
    long alone = is_alone(watch->agent, r, q) ? 1L : 0L;
    consul_request request = request_of(r, q);
    CURL *curl;

    if (q->ahead != NULL)
        request.deadline = q->ahead->deadline;
    else if (is_probe) /* a short deadline, as a probe may get lost */
        request.deadline = consul_deadline_after(watch->agent->settings->authorize_timeout);
    request.index = q->index;
    request.wait = q->index == 0 ? 0 : watch->agent->settings->watch_wait;
    q->began = consul_now_ms();
    if (!consul_exchange_prepare(&q->exchange, watch->agent, &request, NULL)) {
        did_not_begin(r, q);
        return;
    }
    curl = q->exchange.curl;
    q->thread = r;
    q->active = curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK
                && curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, q) == CURLE_OK
                && curl_easy_setopt(curl, CURLOPT_CLOSESOCKETFUNCTION, close_socket) == CURLE_OK
                && curl_easy_setopt(curl, CURLOPT_CLOSESOCKETDATA, r) == CURLE_OK
                && curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, alone) == CURLE_OK
                && curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, alone) == CURLE_OK
                /* A probe looks the name up, like the handshakes that it is for. */
                && (!is_probe || curl_easy_setopt(curl, CURLOPT_DNS_CACHE_TIMEOUT, 0L) == CURLE_OK)
                && curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK
                && curl_easy_setopt(curl, CURLOPT_PRIVATE, (char *)q) == CURLE_OK
                && curl_multi_add_handle(r->multi, curl) == CURLM_OK;
    if (!q->active)
        did_not_begin(r, q);
}

/* Leave an entry that no query can wait for, and take another one. */
static void give_up(consul_watch_thread *r, consul_query *q)
{
    bool is_of_one = q->entry->kind == CONSUL_KIND_INTENTIONS && *q->entry->service != '\0';

    if (is_of_one && !r->lists) {
        r->lists = true;
        q->next = 0;
        return;
    }
    if (q->entry->kind == CONSUL_KIND_INTENTIONS) {
        consul_entry_stop_vouching(q->entry);
        r->intentions_at = consul_deadline_after(NO_INDEX_PAUSE_MS);
        q->next = 0;
        return;
    }
    fail(q, NO_INDEX_PAUSE_MS);
}

/* Tell the state of a lane after an answer, or after a failure. */
static void tell_lane(const consul_watch_thread *r, int lane)
{
    static const char *const kinds[] = {
        [CONSUL_KIND_ROOTS] = "roots",
        [CONSUL_KIND_LEAF] = "leaf",
        [CONSUL_KIND_INTENTIONS] = "intentions",
    };
    const consul_query *q = &r->queries[lane];

    consul_event_tell(&(consul_event){.kind = CONSUL_EVENT_LANE,
                                      .count = lane,
                                      .text = kinds[q->entry->kind],
                                      .service = q->entry->service,
                                      .index = q->index});
}

static void finish_lane(const consul_watch *watch, consul_watch_thread *r, consul_query *q,
                        CURLcode code)
{
    int64_t wait = watch->agent->settings->watch_wait,
            quick = wait / 2 < QUICK_MS ? wait / 2 : QUICK_MS;
    consul_answer answer;
    bool is_news = false;
    int ok = consul_exchange_finish(&q->exchange, code, &answer, NULL)
             && consul_query_keep(watch, q, &answer, &is_news);

    /* A query without an index is quick, too, as the index may go backwards for ever. */
    bool is_quick = consul_now_ms() - q->began < quick;
    /* A restarted agent without a leaf sends not a byte (1.16). The next query has no index. */
    bool is_for_index = q->index != 0 && code == CURLE_GOT_NOTHING;

    if (is_quick && !is_for_index && consul_exchange_was_crowded_out(&q->exchange, code))
        consul_slot_note_crowd(); /* the thread yields at its next round */
    is_quick = is_quick && ok && (!is_news || q->entry->kind == CONSUL_KIND_INTENTIONS);
    q->quick = is_quick ? q->quick + 1 : 0;
    if (ok ? answer.index == 0
           : q->entry->kind == CONSUL_KIND_INTENTIONS && !answer.disowned
                 && (answer.status == 403 || answer.status == 404)) {
        give_up(r, q);
    } else if (!ok) {
        fail(q, 0);
    } else if (q->quick > QUICK_MAX) {
        fail(q, SLOT_PAUSE_MS);
    } else {
        q->failures = 0;
        q->index = answer.index < q->index ? 0 : answer.index;
        q->next = 0;
    }
    tell_lane(r, (int)(q - r->queries));
    consul_answer_free(&answer);
}

/*
 * Take the result of a probe. Any answer ends the hang, and so does a refused connection, as both
 * come at once. A request that was one of too many stays pending, unless it is a question.
 * Handshakes would insist on it. A question speaks for all others. A crowded agent does not hang.
 */
static void finish_probe(consul_watch *watch, consul_watch_thread *r, consul_query *q,
                         CURLcode code)
{
    bool is_of_request = q == &r->queries[PROBE_REQUEST];
    bool is_crowd = consul_exchange_was_crowded_out(&q->exchange, code);
    bool is_limited =
        is_of_request && r->probe.body == NULL && consul_exchange_was_limited(&q->exchange, code);
    bool was_asked = !is_crowd && (code == CURLE_OK || q->exchange.want == 0);

    if (!was_asked || code == CURLE_OPERATION_TIMEDOUT) {
        note_no_answer(r, q, consul_exchange_found_loss(&q->exchange, code));
    } else if (!is_limited) {
        consul_lock();
        if (is_of_request)
            consul_pending_remove(watch->pending, &r->probe);
        else
            watch->hangs = 0;
        consul_unlock();
    }
    q->failures = 0;
    q->next = consul_deadline_after(
        consul_jitter(is_crowd || is_limited ? CROWDED_PROBE_PAUSE_MS : PROBE_PAUSE_MS));
}

void consul_queries_finish(consul_watch *watch, consul_watch_thread *r, CURL *curl, CURLcode code)
{
    consul_query *q = NULL;

    curl_easy_getinfo(curl, CURLINFO_PRIVATE, (char **)&q);
    consul_exchange_learn(&q->exchange, code);
    if (q->ahead != NULL)
        consul_ahead_finish(watch, q, code);
    else if (is_probe_of(r, q))
        finish_probe(watch, r, q, code);
    else
        finish_lane(watch, r, q, code);
    consul_query_end(r, q);
}

static bool wants_intentions(consul_watch *watch, const consul_watch_thread *r)
{
    return consul_watch_is_busy(watch) && consul_now_ms() >= r->intentions_at;
}

static consul_entry *intentions_to_watch(consul_watch *watch, const consul_watch_thread *r)
{
    consul_entry *entry = NULL;

    if (wants_intentions(watch, r))
        entry = consul_table_most_used(watch->table, CONSUL_KIND_INTENTIONS);
    if (entry == NULL || !r->lists)
        return entry;
    return consul_table_all_intentions(watch->table, &entry->scope);
}

/* Choose the entry of a lane for its next query. Return false without one. */
static bool choose(consul_watch *watch, const consul_watch_thread *r, consul_query *q, int lane)
{
    consul_entry *entry;

    if (lane == LANE_INTENTIONS)
        entry = intentions_to_watch(watch, r);
    else
        entry = consul_table_most_used(watch->table,
                                       lane == LANE_ROOTS ? CONSUL_KIND_ROOTS : CONSUL_KIND_LEAF);
    if (entry != q->entry) {
        if (q->entry != NULL)
            consul_entry_stop_vouching(q->entry);
        q->entry = entry;
        q->index = 0;
        q->failures = 0;
        if (entry == NULL)
            consul_event_tell(&(consul_event){.kind = CONSUL_EVENT_LANE, .count = lane});
    }
    return entry != NULL;
}

static bool choose_probe(const consul_watch *watch, consul_watch_thread *r)
{
    bool any;

    consul_lock();
    any = consul_pending_next(watch->pending, &r->probe);
    consul_unlock();
    return any;
}

static bool is_ahead(int i)
{
    return i == AHEAD_ROOTS || i == AHEAD_VERDICT;
}

static enum consul_ahead_kind kind_of(int i)
{
    return i == AHEAD_ROOTS ? CONSUL_AHEAD_ROOTS : CONSUL_AHEAD_VERDICT;
}

/* Choose what query number `i` asks for. Return false where there is nothing. */
static bool has_request(consul_watch *watch, consul_watch_thread *r, consul_query *q, int i)
{
    if (is_ahead(i))
        return consul_ahead_begin(watch, q, kind_of(i));
    if (i == PROBE_ROOTS)
        return true;
    return i == PROBE_REQUEST ? choose_probe(watch, r) : choose(watch, r, q, i);
}

bool consul_query_is_wanted(const consul_watch *watch, const consul_watch_thread *r, int i)
{
    if (i == PROBE_ROOTS)
        return watch->hangs != 0;
    if (is_ahead(i))
        return consul_ahead_is_wanted(watch, kind_of(i));
    return i == PROBE_REQUEST ? consul_pending_any(watch->pending) : r->slot.fd >= 0;
}

/*
 * Let a lane wait for an entry. The first handshakes of the thread may not have used their leaf
 * yet.
 */
static void look_again(consul_query *q, int64_t now)
{
    int64_t pause = NOTHING_PAUSE_MS;
    int i;

    for (i = 0; i < q->failures && pause < SLOT_PAUSE_MS; i++)
        pause *= 2;
    q->failures++;
    q->next = now + (pause < SLOT_PAUSE_MS ? pause : SLOT_PAUSE_MS);
}

void consul_queries_ask_anew(consul_watch_thread *r)
{
    int i;

    for (i = LANE_ROOTS; i <= LANE_INTENTIONS; i++) {
        consul_query_end(r, &r->queries[i]);
        r->queries[i].index = 0;
        r->queries[i].next = 0;
    }
}

void consul_queries_begin(consul_watch *watch, consul_watch_thread *r)
{
    int64_t now = consul_now_ms();
    bool wanted;
    int i;

    for (i = 0; i < QUERIES; i++) {
        consul_query *q = &r->queries[i];

        consul_lock();
        wanted = consul_query_is_wanted(watch, r, i);
        consul_unlock();
        if (q->active || now < q->next || !wanted)
            continue;
        if (has_request(watch, r, q, i))
            begin_query(watch, r, q);
        else if (!is_ahead(i))
            look_again(q, now);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include "store_fields.h"

#include "agent/login.h"
#include "watch/load.h"
#include "watch/process.h"

#include <string.h>

#include <openssl/crypto.h>

/*
 * Return true where the agent is loaded with its store: for a service, and for settings that may be wrong. Others
 * do not pay for it before they make an SSL_CTX, or a request.
 */
static bool is_needed_now(const consul_settings *settings)
{
    return settings->service != NULL || !consul_agent_loads_surely(settings);
}

consul_store *consul_store_new(consul_settings *settings, OSSL_LIB_CTX *libctx, consul_error *err)
{
    consul_store *store = OPENSSL_zalloc(sizeof(*store));

    if (store == NULL) {
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the store");
        consul_settings_free(settings);
        return NULL;
    }
    atomic_init(&store->refs, 1);
    store->libctx = libctx;
    store->settings = settings;
    store->family = consul_family_new();
    consul_family_look(store->family);
    store->visitors = consul_visitors_new();
    store->pairs = consul_pairs_new();
    if ((store->agent = consul_agent_new_unloaded(settings, err)) == NULL
        || (is_needed_now(settings) && !consul_agent_load(store->agent, err))
        || (store->table = consul_table_new(store->family, err)) == NULL
        || (store->watch = consul_watch_new(store->agent, store->family, store->table, libctx, err))
               == NULL
        || (store->verdicts = consul_verdicts_new(store->family, err)) == NULL) {
        consul_store_unref(store);
        return NULL;
    }
    return store;
}

consul_store *consul_store_ref(consul_store *store)
{
    atomic_fetch_add_explicit(&store->refs, 1, memory_order_relaxed);
    return store;
}

void consul_store_unref(consul_store *store)
{
    if (store == NULL || atomic_fetch_sub_explicit(&store->refs, 1, memory_order_acq_rel) != 1)
        return;
    consul_watch_free(store->watch);
    consul_table_free(store->table);
    consul_family_free(store->family);
    consul_verdicts_free(store->verdicts);
    consul_visitors_free(store->visitors);
    consul_pairs_free(store->pairs);
    consul_agent_free(store->agent);
    consul_settings_free(store->settings);
    OPENSSL_free(store);
}

void consul_store_close(consul_store *store)
{
    consul_watch_close(store->watch);
}

int consul_store_load(consul_store *store, consul_error *err)
{
    return consul_agent_load(store->agent, err);
}

void consul_store_note_handshake(consul_store *store)
{
    consul_process_look();
    consul_family_look(store->family);
    if (consul_agent_load(store->agent, NULL))
        consul_watch_note_handshake(store->watch);
}

void consul_store_note_peer(consul_store *store)
{
    if (!consul_agent_load(store->agent, NULL))
        return;
    consul_watch_note_peer(store->watch);
    consul_watch_begin_early(store->watch);
}

bool consul_store_in_request(void)
{
    return consul_in_request();
}

const consul_settings *consul_store_settings(const consul_store *store)
{
    return store->settings;
}

static void fill_in(char field[CONSUL_NAME_MAX + 1], const char *asked, const char *configured)
{
    const char *value = *asked != '\0' ? asked : configured;

    OPENSSL_strlcpy(field, value == NULL ? "" : value, CONSUL_NAME_MAX + 1);
}

consul_scope consul_store_scope(const consul_store *store, const consul_scope *asked)
{
    static const consul_scope nothing;
    consul_scope scope;

    if (asked == NULL)
        asked = &nothing;
    fill_in(scope.ns, asked->ns, store->settings->ns);
    fill_in(scope.partition, asked->partition, store->settings->partition);
    fill_in(scope.dc, asked->dc, store->settings->datacenter);
    return scope;
}

/* ---- from the agent ---- */

/* Return the words for an agent that handshakes do not wait for. */
static const char *trouble_of(int reason)
{
    if (reason == CONSUL_R_AGENT_TIMEOUT)
        return "has left requests without an answer";
    if (reason == CONSUL_R_AGENT_REFUSED)
        return "has answered HTTP status 429 for some time";
    return "could not be asked: its name took too long to look up, or a connection or a "
           "descriptor was missing";
}

int consul_store_check_agent(consul_store *store, const consul_request *request, consul_error *err)
{
    int reason;

    if (!consul_agent_load(store->agent, err))
        return 0;
    reason = consul_watch_agent_hangs(store->watch, request);
    return reason == 0
           || consul_error_set(
               err, reason,
               "the agent at %s %s; the watch probes it, and handshakes do not wait meanwhile",
               store->settings->address, trouble_of(reason));
}

int consul_store_ask(consul_store *store, const consul_entry *entry, uint64_t index, int64_t wait,
                     consul_deadline deadline, consul_answer *answer, consul_error *err)
{
    consul_request request = consul_entry_request(entry);
    consul_error why = {0};

    memset(answer, 0, sizeof(*answer));
    request.index = index;
    request.wait = wait;
    request.deadline = deadline;
    if (!consul_store_check_agent(store, &request, err))
        return 0;
    if (consul_agent_ask(store->agent, &request, answer, &why))
        return 1;
    consul_watch_note_failure(store->watch, &request, answer, &why);
    return consul_error_copy(err, &why);
}

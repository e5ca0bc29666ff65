/* SPDX-License-Identifier: Apache-2.0 */
#include "report/events.h"

#include "report/board.h"
#include "report/family.h"
#include "report/log.h"

#include <stdio.h>
#include <string.h>

#define SLOT_PAUSE_MS 60000 /* between two lines about the slot */
#define START_WEIGHT 2      /* of handshakes, before the line of the start */

static atomic_bool governs; /* this process, or its parent */
static atomic_bool started; /* the line of the start is written */

bool prov_events_note_handshake(bool is_server)
{
    unsigned weight = is_server ? START_WEIGHT : 1, before;

    if (atomic_load_explicit(&started, memory_order_relaxed))
        return false;
    atomic_store(&governs, true);
    before = atomic_fetch_add(&prov_family_memory()->governed, weight);
    if (before + weight >= START_WEIGHT)
        atomic_store(&started, true);
    return before < START_WEIGHT && before + weight >= START_WEIGHT;
}

/* Add to the key of a statement, by FNV-1a. */
static uint64_t mix(uint64_t key, const void *data, size_t len)
{
    const unsigned char *bytes = data;
    size_t i;

    for (i = 0; i < len; i++)
        key = (key ^ bytes[i]) * 0x100000001b3u;
    return key;
}

/* Return true for the first process of the family that makes this statement. */
static bool is_news(const consul_event *event, const char *detail, int64_t moment)
{
    uint64_t key = mix(0xcbf29ce484222325u, &event->kind, sizeof(event->kind));

    if (event->service != NULL)
        key = mix(key, event->service, strlen(event->service));
    key = mix(key, &event->key, sizeof(event->key));
    key = mix(key, detail, strlen(detail));
    key = mix(key, &moment, sizeof(moment));
    return prov_family_is_news(key);
}

static void tell_leaf(const consul_event *event)
{
    static const struct {
        enum consul_log_level level;
        const char *event, *text;
    } kinds[] = {
        [CONSUL_EVENT_LEAF_RENEWED] = {CONSUL_LOG_INFO, "leaf_renewed", "leaf renewed"},
        [CONSUL_EVENT_LEAF_QUARTER] = {CONSUL_LOG_INFO, "leaf_last_quarter",
                                       "the leaf is in the last quarter of its life"},
        [CONSUL_EVENT_LEAF_LAST] = {CONSUL_LOG_WARNING, "leaf_last_hour",
                                    "the leaf ends within the hour, and its agent has not renewed "
                                    "it; look at the agent and its CA"},
        [CONSUL_EVENT_LEAF_EXPIRED] = {CONSUL_LOG_ERROR, "leaf_expired",
                                       "the leaf has expired, and each handshake is refused; look "
                                       "at the agent and its CA"},
    };
    char serial[CONSUL_SERIAL_MAX], until[CONSUL_DATE_MAX], message[256];

    consul_cert_serial_text(event->leaf, serial);
    if (!is_news(event, serial, 0))
        return;
    consul_cert_date(X509_get0_notAfter(event->leaf), until);
    snprintf(message, sizeof(message), "%s: serial %s, valid until %s", kinds[event->kind].text,
             serial, until);
    prov_log(&(prov_record){.level = kinds[event->kind].level,
                            .event = kinds[event->kind].event,
                            .message = message,
                            .service = event->service,
                            .serial = serial,
                            .valid_until = until});
}

static void tell_roots(const consul_event *event)
{
    char message[64];

    if (!is_news(event, "", 0))
        return;
    snprintf(message, sizeof(message), "roots changed: Consul lists %d now", event->count);
    prov_log(
        &(prov_record){.level = CONSUL_LOG_INFO, .event = "roots_changed", .message = message});
}

/* Tell that the agent is lost, unless the request began before the agent was back. */
static void tell_lost(const consul_event *event)
{
    prov_family *family = prov_family_memory();
    char message[CONSUL_ERROR_TEXT_MAX + 64];
    int64_t lost = 0;

    if (event->began < atomic_load(&family->back)
        || !atomic_compare_exchange_strong(&family->lost, &lost, event->began))
        return;
    snprintf(message, sizeof(message), "the agent is lost: %s", event->text);
    prov_log(
        &(prov_record){.level = CONSUL_LOG_WARNING, .event = "agent_lost", .message = message});
}

/* Tell that the agent answers again. A request from before the loss does not count. */
static void tell_back(const consul_event *event)
{
    prov_family *family = prov_family_memory();
    int64_t lost = atomic_load_explicit(&family->lost, memory_order_relaxed);

    if (lost == 0 || event->began < lost
        || !atomic_compare_exchange_strong(&family->lost, &lost, 0))
        return;
    atomic_store(&family->back, consul_now_ms());
    prov_log(&(prov_record){
        .level = CONSUL_LOG_INFO, .event = "agent_back", .message = "the agent answers again"});
}

static void tell_last_known(const consul_event *event)
{
    if (is_news(event, "", atomic_load(&prov_family_memory()->back)))
        prov_log(&(prov_record){
            .level = CONSUL_LOG_WARNING,
            .event = "last_known",
            .message = "clients are admitted by their last verdicts while the agent is lost",
            .service = event->service});
}

static void tell_slot(const consul_event *event)
{
    if (is_news(event, "", consul_now_ms() / SLOT_PAUSE_MS))
        prov_log(&(prov_record){.level = CONSUL_LOG_INFO,
                                .event = "slot_given_up",
                                .message = "the agent has too few connections for this host: this "
                                           "process asks at each handshake, and watches nothing"});
}

static void on_event(const consul_event *event)
{
    prov_board_note_event(event);
    if (!atomic_load_explicit(&governs, memory_order_relaxed))
        return;
    switch (event->kind) {
    case CONSUL_EVENT_LEAF_RENEWED:
    case CONSUL_EVENT_LEAF_QUARTER:
    case CONSUL_EVENT_LEAF_LAST:
    case CONSUL_EVENT_LEAF_EXPIRED:
        tell_leaf(event);
        break;
    case CONSUL_EVENT_ROOTS_CHANGED:
        tell_roots(event);
        break;
    case CONSUL_EVENT_AGENT_LOST:
        tell_lost(event);
        break;
    case CONSUL_EVENT_AGENT_BACK:
        tell_back(event);
        break;
    case CONSUL_EVENT_LAST_KNOWN:
        tell_last_known(event);
        break;
    case CONSUL_EVENT_SLOT_GIVEN_UP:
        tell_slot(event);
        break;
    case CONSUL_EVENT_ROOTS_FIRST: /* for the board alone, like those below */
    case CONSUL_EVENT_SERVES:
    case CONSUL_EVENT_LOAD:
    case CONSUL_EVENT_VERDICTS:
    case CONSUL_EVENT_LANE:
        break;
    }
}

void prov_events_listen(void)
{
    consul_event_listen(on_event);
}

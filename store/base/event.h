/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events: what happens to the certificates and to the agent of a store, told to one listener. The store knows
 * nothing of logs. Any thread; no lock of base/lock.h is held, and nothing is allocated.
 */
#ifndef CONSUL_BASE_EVENT_H
#define CONSUL_BASE_EVENT_H

#include <stdint.h>

#include <openssl/types.h>

enum consul_event_kind {
    CONSUL_EVENT_LEAF_RENEWED,  /* another leaf of a service takes the place of a kept one */
    CONSUL_EVENT_LEAF_QUARTER,  /* less than a quarter of its life is left */
    CONSUL_EVENT_LEAF_LAST,     /* less than an hour is left, and a tenth of its life */
    CONSUL_EVENT_LEAF_EXPIRED,  /* nothing is left */
    CONSUL_EVENT_ROOTS_CHANGED, /* other roots take the place of the kept ones */
    CONSUL_EVENT_AGENT_LOST,    /* a request has found the agent lost */
    CONSUL_EVENT_AGENT_BACK,    /* a request was answered */
    CONSUL_EVENT_LAST_KNOWN,    /* a peer was admitted by its last verdict */
    CONSUL_EVENT_SLOT_GIVEN_UP  /* other processes need the connections of a watch */
};

/* The fields that an event does not have are NULL or 0. Borrowed for the call. */
typedef struct consul_event {
    enum consul_event_kind kind;
    const char *service; /* of the leaf, or the target of the peer */
    const char *text;    /* the cause, in words */
    const X509 *leaf;
    int64_t began; /* of the request, in milliseconds of base/clock.h */
    uint64_t key;  /* the same for the same roots */
    int count;     /* of roots */
} consul_event;

typedef void consul_event_fn(const consul_event *event);

/* Have a listener called for each event from now on. Once, before a store makes a request. */
void consul_event_listen(consul_event_fn *listener);

/* Tell the listener, if there is one. */
void consul_event_tell(const consul_event *event);

#endif

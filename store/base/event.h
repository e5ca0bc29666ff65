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
    CONSUL_EVENT_ROOTS_FIRST,   /* roots are kept for the first time */
    CONSUL_EVENT_ROOTS_CHANGED, /* other roots take the place of the kept ones */
    CONSUL_EVENT_AGENT_LOST,    /* a request has found the agent lost */
    CONSUL_EVENT_AGENT_BACK,    /* a request was answered */
    CONSUL_EVENT_LAST_KNOWN,    /* a peer was admitted by its last verdict */
    CONSUL_EVENT_SLOT_GIVEN_UP, /* other processes need the connections of a watch */
    CONSUL_EVENT_SERVES,        /* this process has begun its second handshake */
    CONSUL_EVENT_LOAD,          /* this process is busy until a moment, or not */
    CONSUL_EVENT_VERDICTS, /* the number of identities with a kept verdict may be another one */
    CONSUL_EVENT_LANE      /* a lane of the watch has an answer, or none any more */
};

/* The fields that an event does not have are NULL or 0. Borrowed for the call. */
typedef struct consul_event {
    enum consul_event_kind kind;
    const char *service; /* of the leaf or the lane, or the target of the peer */
    const char *text;    /* the cause, in words; or the kind of the entry of a lane */
    const X509 *leaf;
    int64_t began;  /* of the request, in milliseconds of base/clock.h */
    int64_t until;  /* the end of the load, in milliseconds of base/clock.h; or 0 */
    uint64_t key;   /* the same for the same roots */
    uint64_t index; /* of the last answer to a lane that is healthy; or 0 */
    int count;      /* of roots or verdicts, or the number of the lane from 0 on */
} consul_event;

typedef void consul_event_fn(const consul_event *event);

/* Have a listener called for each event from now on. Once, before a store makes a request. */
void consul_event_listen(consul_event_fn *listener);

/* Tell the listener, if there is one. */
void consul_event_tell(const consul_event *event);

#endif

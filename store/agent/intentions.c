/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/intentions.h"

#include "agent/decode.h"

#include <stdatomic.h>
#include <string.h>

#include <jansson.h>
#include <openssl/crypto.h>

struct consul_intentions {
    atomic_int refs;
    json_t *rows; /* an array of objects, in the order of evaluation */
};

static const char *text_of(const json_t *row, const char *name)
{
    const char *text = json_string_value(json_object_get(row, name));

    return text == NULL ? "" : text;
}

static bool is_of_peer(const json_t *row)
{
    return *text_of(row, "SourcePeer") != '\0';
}

static bool demands_jwt(const json_t *row)
{
    const json_t *jwt = json_object_get(row, "JWT");

    return jwt != NULL && !json_is_null(jwt);
}

/* Return all rows of an answer, whatever their list is called. Return NULL without memory. */
static json_t *rows_of(const json_t *answer, bool *unheeded)
{
    json_t *rows = json_array(), *list, *row;
    const char *name;
    size_t i;

    *unheeded = false;
    json_object_foreach((json_t *)(uintptr_t)answer, name, list) {
        json_array_foreach(list, i, row) {
            *unheeded |= is_of_peer(row) || demands_jwt(row);
            if (json_array_append(rows, row) != 0)
                goto err;
        }
    }
    return rows;

err:
    json_decref(rows);
    return NULL;
}

int consul_intentions_decode(const char *body, size_t len, consul_intentions **intentions,
                             consul_error *err)
{
    json_t *answer = consul_json_load_object(body, len, err), *rows = NULL;
    bool unheeded = false;

    *intentions = NULL;
    if (answer == NULL)
        return 0;
    rows = rows_of(answer, &unheeded);
    json_decref(answer);
    if (rows != NULL && unheeded && (*intentions = OPENSSL_zalloc(sizeof(**intentions))) != NULL) {
        atomic_init(&(*intentions)->refs, 1);
        (*intentions)->rows = json_incref(rows);
    }
    json_decref(rows);
    if (rows == NULL || (unheeded && *intentions == NULL))
        return consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the intentions");
    return 1;
}

consul_intentions *consul_intentions_ref(consul_intentions *intentions)
{
    if (intentions != NULL)
        atomic_fetch_add_explicit(&intentions->refs, 1, memory_order_relaxed);
    return intentions;
}

void consul_intentions_unref(consul_intentions *intentions)
{
    if (intentions == NULL
        || atomic_fetch_sub_explicit(&intentions->refs, 1, memory_order_acq_rel) != 1)
        return;
    json_decref(intentions->rows);
    OPENSSL_free(intentions);
}

/* Return true where a field covers `value`. Consul leaves a field out where it is "default". */
static bool covers(const json_t *row, const char *name, const char *value)
{
    const char *text = text_of(row, name);

    return strcmp(text, "*") == 0 || strcmp(*text == '\0' ? "default" : text, value) == 0;
}

static bool covers_peer(const json_t *row, const consul_spiffe_id *id)
{
    return covers(row, "SourcePartition", id->scope.partition)
           && covers(row, "SourceNS", id->scope.ns) && covers(row, "SourceName", id->service);
}

/*
 * Return the unheeded intention that makes a yes wrong, or NULL. In the mesh, the first intention
 * that covers the client decides, if its source is a local service. The agent also evaluates
 * intentions about cluster peers like that. So such an intention counts only where it allows, and
 * comes before the deciding one.
 */
static const json_t *find_unheeded(const json_t *rows, const consul_spiffe_id *id)
{
    const json_t *row, *of_peer = NULL;
    size_t i;

    for (i = 0; i < json_array_size(rows); i++) {
        bool allows;

        row = json_array_get(rows, i);
        allows = strcmp(text_of(row, "Action"), "allow") == 0;
        if (!covers_peer(row, id))
            continue;
        if (!is_of_peer(row))
            return demands_jwt(row) ? row : allows ? NULL : of_peer;
        if (of_peer == NULL && allows)
            of_peer = row;
    }
    return of_peer;
}

int consul_intentions_stand_for(const consul_intentions *intentions, const consul_spiffe_id *target,
                                const consul_spiffe_id *id, consul_error *err)
{
    const json_t *row = intentions == NULL ? NULL : find_unheeded(intentions->rows, id);

    if (row == NULL)
        return 1;
    return consul_error_set(
        err, CONSUL_R_PEER_DENIED,
        "\"%s\" may not connect to \"%s\": the agent says yes, but the intention %s %s => %s %s%s%s",
        id->uri, target->service, text_of(row, "Action"), text_of(row, "SourceName"),
        text_of(row, "DestinationName"),
        is_of_peer(row) ? "is about services of the peer \""
                        : "demands a JWT, which is not seen here",
        text_of(row, "SourcePeer"),
        is_of_peer(row) ? "\", and no other one lets this client in" : "");
}

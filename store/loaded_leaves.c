/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leaves that programs have loaded by URI. A program keeps a loaded leaf, perhaps for ever.
 * Each handshake recognises it here, and puts the live leaf in its place.
 */
#include "store.h"

#include "base/lock.h"
#include "store_fields.h"

#include <string.h>

#include <openssl/crypto.h>

#define LOADED_MAX 4096 /* services; leaves beyond are not recognised */

typedef struct loaded_leaf {
    struct loaded_leaf *next;
    consul_uri uri;
    const char *address; /* the address of its agent, as two agents may serve one mesh */
    char id[];           /* the SPIFFE ID of the leaf, and then the address */
} loaded_leaf;

/* All loaded leaves, under the lock. None is ever removed, as contexts outlive their stores. */
static loaded_leaf *loaded;
static size_t loaded_count;

static const loaded_leaf *find_loaded(const char *id, const char *address)
{
    const loaded_leaf *leaf = loaded;

    while (leaf != NULL && (strcmp(leaf->id, id) != 0 || strcmp(leaf->address, address) != 0))
        leaf = leaf->next;
    return leaf;
}

/* Return the URI with all names, as a later store may have other settings. */
static consul_uri with_all_names(const consul_store *store, const consul_spiffe_id *id,
                                 const consul_uri *uri)
{
    consul_uri whole = {.kind = CONSUL_URI_LEAF, .scope = consul_store_scope(store, &uri->scope)};

    OPENSSL_strlcpy(whole.service, id->service, sizeof(whole.service));
    return whole;
}

static loaded_leaf *make_note(const consul_store *store, const consul_spiffe_id *id,
                              const consul_uri *uri)
{
    const char *address = consul_store_settings(store)->address;
    size_t id_size = strlen(id->uri) + 1, address_size = strlen(address) + 1;
    loaded_leaf *note = OPENSSL_zalloc(sizeof(*note) + id_size + address_size);

    if (note == NULL)
        return NULL;
    note->uri = with_all_names(store, id, uri);
    memcpy(note->id, id->uri, id_size);
    memcpy(note->id + id_size, address, address_size);
    note->address = note->id + id_size;
    return note;
}

void consul_store_note_loaded(const consul_store *store, const consul_leaf *leaf,
                              const consul_uri *uri)
{
    loaded_leaf *note = make_note(store, consul_leaf_id(leaf), uri);

    if (note == NULL)
        return;
    consul_lock();
    if (loaded_count < LOADED_MAX && find_loaded(note->id, note->address) == NULL) {
        note->next = loaded;
        loaded = note;
        loaded_count++;
        note = NULL;
    }
    consul_unlock();
    OPENSSL_free(note);
}

void consul_store_complete_pair(const consul_store *store, const consul_uri *uri, bool is_key,
                                int64_t opened, consul_leaf **leaf)
{
    consul_uri whole = with_all_names(store, consul_leaf_id(*leaf), uri);

    consul_pairs_complete(store->pairs, &whole, is_key, opened, leaf);
}

bool consul_store_has_loaded(const consul_store *store, const X509 *cert, consul_uri *uri)
{
    const loaded_leaf *leaf;
    consul_spiffe_id *id = OPENSSL_malloc(sizeof(*id));
    bool was_loaded = false;

    if (id != NULL && consul_spiffe_id_of_cert(cert, id, NULL)) {
        consul_lock();
        leaf = find_loaded(id->uri, consul_store_settings(store)->address);
        was_loaded = leaf != NULL;
        if (was_loaded)
            *uri = leaf->uri;
        consul_unlock();
    }
    OPENSSL_free(id);
    return was_loaded;
}

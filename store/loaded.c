/*
 * Which leaves programs have loaded by URI. They keep what they have loaded, perhaps for ever; by
 * this it is recognized, and the live leaf put in its place at each handshake.
 */
#include "internal.h"

#include <string.h>

#include <openssl/crypto.h>

#define LOADED_MAX 4096 /* services; what is loaded beyond stays as it is */

typedef struct loaded_leaf {
    struct loaded_leaf *next;
    consul_uri uri;
    char id[]; /* the leaf's SPIFFE ID */
} loaded_leaf;

/* Under the lock. Nothing is ever taken away: contexts outlive the stores they were loaded from. */
static loaded_leaf *loaded;
static size_t loaded_count;

static const loaded_leaf *find(const char *id)
{
    const loaded_leaf *leaf = loaded;

    while (leaf != NULL && strcmp(leaf->id, id) != 0)
        leaf = leaf->next;
    return leaf;
}

void consul_leaf_note_loaded(const consul_leaf *leaf, const consul_uri *uri)
{
    const consul_spiffe_id *id = consul_leaf_id(leaf);
    size_t len = strlen(id->uri);
    loaded_leaf *note = OPENSSL_zalloc(sizeof(*note) + len + 1);

    if (note == NULL)
        return;
    note->uri = *uri;
    memcpy(note->id, id->uri, len);
    consul_live_lock();
    if (loaded_count < LOADED_MAX && find(id->uri) == NULL) {
        note->next = loaded;
        loaded = note;
        loaded_count++;
        note = NULL;
    }
    consul_live_unlock();
    OPENSSL_free(note);
}

bool consul_cert_was_loaded(const X509 *cert, consul_uri *uri)
{
    const loaded_leaf *leaf;
    consul_spiffe_id *id = OPENSSL_malloc(sizeof(*id));
    bool was_loaded = false;

    if (id != NULL && consul_spiffe_id_of_cert(cert, id, NULL)) {
        consul_live_lock();
        leaf = find(id->uri);
        was_loaded = leaf != NULL;
        if (was_loaded)
            *uri = leaf->uri;
        consul_live_unlock();
    }
    OPENSSL_free(id);
    return was_loaded;
}

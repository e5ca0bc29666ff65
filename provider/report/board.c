/* SPDX-License-Identifier: Apache-2.0 */
#include "report/board.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <openssl/asn1.h>
#include <openssl/crypto.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

static prov_board hidden; /* counted in, and not shown */
static _Atomic(prov_board *) board = &hidden;

/* Map new memory. Its size is sealed: another process of this user could shorten it under our feet. */
static prov_board *map_board(void)
{
    int fd = memfd_create(PROV_BOARD_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    void *memory = MAP_FAILED;

    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(PROV_BOARD_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return NULL;
    if (ftruncate(fd, sizeof(prov_board)) == 0
        && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        memory = mmap(NULL, sizeof(prov_board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return memory == MAP_FAILED ? NULL : memory;
}

void prov_board_open(const consul_settings *settings, const consul_error *refusal)
{
    prov_board *expected = &hidden, *b;
    int saved = errno;

    if (atomic_load_explicit(&board, memory_order_acquire) != &hidden
        || (b = map_board()) == NULL) {
        errno = saved;
        return;
    }
    b->started = (int64_t)time(NULL);
    OPENSSL_strlcpy(b->provider, CONSUL_PROVIDER_VERSION, PROV_BOARD_TEXT);
    OPENSSL_strlcpy(b->openssl, OpenSSL_version(OPENSSL_VERSION), PROV_BOARD_TEXT);
    if (settings == NULL)
        OPENSSL_strlcpy(b->refusal, refusal->text, PROV_BOARD_TEXT);
    else if (settings->service != NULL)
        OPENSSL_strlcpy(b->service, settings->service, PROV_BOARD_TEXT);
    if (settings != NULL)
        OPENSSL_strlcpy(b->agent,
                        strchr(settings->address, '@') == NULL ? settings->address : "(not shown)",
                        PROV_BOARD_TEXT);
    b->magic = PROV_BOARD_MAGIC;
    if (!atomic_compare_exchange_strong(&board, &expected, b))
        munmap(b, sizeof(*b));
    errno = saved;
}

void prov_board_count_admitted(bool as_server)
{
    prov_board *b = atomic_load_explicit(&board, memory_order_acquire);

    atomic_fetch_add_explicit(as_server ? &b->admitted_clients : &b->admitted_servers, 1,
                              memory_order_relaxed);
}

void prov_board_count_refused(int reason)
{
    prov_board *b = atomic_load_explicit(&board, memory_order_acquire);
    int place = reason - CONSUL_R_OUT_OF_MEMORY;

    if (place >= 0 && place < PROV_BOARD_REASONS)
        atomic_fetch_add_explicit(&b->refused[place], 1, memory_order_relaxed);
}

static void add_one(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

void prov_board_note_event(const consul_event *event)
{
    prov_board *b = atomic_load_explicit(&board, memory_order_acquire);

    if (event->kind == CONSUL_EVENT_AGENT_BACK)
        atomic_store_explicit(&b->agent_answered, (int64_t)time(NULL), memory_order_relaxed);
    else if (event->kind == CONSUL_EVENT_AGENT_LOST)
        atomic_store_explicit(&b->agent_lost, (int64_t)time(NULL), memory_order_relaxed);
    else if (event->kind == CONSUL_EVENT_LAST_KNOWN)
        add_one(&b->last_known);
    else if (event->kind == CONSUL_EVENT_ROOTS_CHANGED)
        add_one(&b->roots_changed);
    else if (event->kind == CONSUL_EVENT_SLOT_GIVEN_UP)
        add_one(&b->slots_given_up);
}

/* Add bytes to a hash: FNV-1a. */
static uint64_t add_bytes(uint64_t hash, const void *bytes, size_t len)
{
    const unsigned char *data = bytes;
    size_t i;

    for (i = 0; i < len; i++)
        hash = (hash ^ data[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static uint64_t add_string(uint64_t hash, const ASN1_STRING *text)
{
    return add_bytes(hash, ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
}

/* Write the serial as Consul does, as far as it fits. */
static void write_serial(const X509 *cert, char *text, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    const unsigned char *data = ASN1_STRING_get0_data(serial);
    size_t i, len = (size_t)ASN1_STRING_length(serial), at = 0;

    for (i = 0; i < len && at + 3 < size; i++) {
        if (i > 0)
            text[at++] = ':';
        text[at++] = digits[data[i] >> 4];
        text[at++] = digits[data[i] & 15];
    }
    text[at] = '\0';
}

static int64_t seconds_of(const ASN1_TIME *time)
{
    struct tm when;

    return ASN1_TIME_to_tm(time, &when) ? (int64_t)timegm(&when) : 0;
}

/* Write a leaf to its place. Another writer has the place until its sequence is even. */
static bool write_leaf(prov_board_leaf *place, const consul_leaf *leaf, uint64_t content)
{
    const X509 *cert = consul_leaf_cert(leaf);
    unsigned sequence = atomic_load_explicit(&place->sequence, memory_order_relaxed);

    if (sequence % 2 == 1
        || !atomic_compare_exchange_strong(&place->sequence, &sequence, sequence + 1))
        return false;
    atomic_thread_fence(memory_order_release);
    OPENSSL_strlcpy(place->id, consul_leaf_id(leaf)->uri, sizeof(place->id));
    write_serial(cert, place->serial, sizeof(place->serial));
    place->valid_until = seconds_of(X509_get0_notAfter(cert));
    atomic_store_explicit(&place->content, content, memory_order_relaxed);
    atomic_store_explicit(&place->sequence, sequence + 2, memory_order_release);
    return true;
}

/* Return true where this place is the service's, which it takes if it is free. */
static bool is_place_of(prov_board_leaf *place, uint64_t service)
{
    uint64_t owner = atomic_load_explicit(&place->service, memory_order_relaxed);

    return owner == service
           || (owner == 0
               && (atomic_compare_exchange_strong(&place->service, &owner, service)
                   || owner == service));
}

void prov_board_show_leaf(const consul_leaf *leaf)
{
    prov_board *b = atomic_load_explicit(&board, memory_order_acquire);
    const X509 *cert = consul_leaf_cert(leaf);
    const char *id = consul_leaf_id(leaf)->uri;
    uint64_t service = add_bytes(UINT64_C(0xcbf29ce484222325), id, strlen(id)) | 1;
    uint64_t content =
        add_string(add_string(service, X509_get0_serialNumber(cert)), X509_get0_notAfter(cert));
    size_t i;

    for (i = 0; i < PROV_BOARD_LEAVES; i++) {
        prov_board_leaf *place = &b->leaves[i];

        if (!is_place_of(place, service))
            continue;
        if (atomic_load_explicit(&place->content, memory_order_relaxed) != content)
            write_leaf(place, leaf, content);
        return;
    }
}

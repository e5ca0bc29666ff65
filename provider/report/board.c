/* SPDX-License-Identifier: Apache-2.0 */
#include "report/board.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <openssl/asn1.h>
#include <openssl/crypto.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

static prov_board_head head;
static _Atomic(prov_board *) board; /* NULL while nothing is shown */
static _Atomic int32_t opener;      /* the process that has made it */
static atomic_flag is_described = ATOMIC_FLAG_INIT, is_tried = ATOMIC_FLAG_INIT;

static _Atomic(prov_board_process *) own; /* the place of this process, or NULL; it may be lost */
static _Atomic int32_t own_pid;
static atomic_flag takes = ATOMIC_FLAG_INIT;

/* Give the child of a fork no place. */
static void forget_own(void)
{
    atomic_store(&own, NULL);
    atomic_flag_clear(&takes);
}

/* Return true where the kernel lets a file be as large. It ends a process by SIGXFSZ that asks for more (LimitFSIZE). */
static bool is_allowed(void)
{
    struct rlimit most;

    return getrlimit(RLIMIT_FSIZE, &most) == 0 && most.rlim_cur >= sizeof(prov_board);
}

/* Map new memory. Its size is sealed: another process of this user could shorten it under our feet. */
static prov_board *map_board(void)
{
    void *memory = MAP_FAILED;
    int fd;

    if (!is_allowed())
        return NULL;
    fd = memfd_create(PROV_BOARD_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
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

void prov_board_describe(const consul_settings *settings, const consul_error *refusal)
{
    if (atomic_flag_test_and_set(&is_described))
        return;
    head.started = (int64_t)time(NULL);
    OPENSSL_strlcpy(head.provider, CONSUL_PROVIDER_VERSION, PROV_BOARD_TEXT);
    OPENSSL_strlcpy(head.openssl, OpenSSL_version(OPENSSL_VERSION), PROV_BOARD_TEXT);
    if (settings == NULL)
        OPENSSL_strlcpy(head.refusal, refusal->text, PROV_BOARD_TEXT);
    else if (settings->service != NULL)
        OPENSSL_strlcpy(head.service, settings->service, PROV_BOARD_TEXT);
    if (settings != NULL)
        OPENSSL_strlcpy(head.agent,
                        strchr(settings->address, '@') == NULL ? settings->address : "(not shown)",
                        PROV_BOARD_TEXT);
    pthread_atfork(prov_board_open, NULL, forget_own);
}

void prov_board_refuse(const consul_error *refusal)
{
    prov_board *b = atomic_load_explicit(&board, memory_order_acquire);

    OPENSSL_strlcpy(head.refusal, refusal->text, PROV_BOARD_TEXT);
    if (b != NULL && atomic_load(&opener) == (int32_t)getpid())
        OPENSSL_strlcpy(b->head.refusal, refusal->text, PROV_BOARD_TEXT);
}

void prov_board_open(void)
{
    int saved = errno;
    prov_board *b;

    if (atomic_flag_test_and_set(&is_tried))
        return;
    if ((b = map_board()) != NULL) {
        b->head = head;
        atomic_store(&opener, (int32_t)getpid());
        b->magic = PROV_BOARD_MAGIC;
        atomic_store_explicit(&board, b, memory_order_release);
    }
    errno = saved;
}

static void add_one(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

void prov_board_count_client(enum consul_basis basis)
{
    prov_board *b = atomic_load_explicit(&board, memory_order_acquire);

    if (b != NULL)
        add_one(&b->admitted_clients[basis]);
}

void prov_board_count_server(void)
{
    prov_board *b = atomic_load_explicit(&board, memory_order_acquire);

    if (b != NULL)
        add_one(&b->admitted_servers);
}

void prov_board_count_refused(int reason)
{
    prov_board *b = atomic_load_explicit(&board, memory_order_acquire);
    int place = reason - CONSUL_R_OUT_OF_MEMORY;

    if (b != NULL && place >= 0 && place < PROV_BOARD_REASONS)
        add_one(&b->refused[place]);
}

/* Begin to write a place, and return true. Another writer has it until its sequence is even. */
static bool begin_write(atomic_uint *sequence)
{
    unsigned before = atomic_load_explicit(sequence, memory_order_relaxed);

    if (before % 2 == 1 || !atomic_compare_exchange_strong(sequence, &before, before + 1))
        return false;
    atomic_thread_fence(memory_order_release);
    return true;
}

static void end_write(atomic_uint *sequence)
{
    atomic_fetch_add_explicit(sequence, 1, memory_order_release);
}

/* ---- the processes of the family ---- */

static prov_board_process *find_own(void)
{
    prov_board_process *place = atomic_load_explicit(&own, memory_order_acquire);

    return place != NULL
                   && atomic_load_explicit(&place->pid, memory_order_relaxed)
                          == atomic_load_explicit(&own_pid, memory_order_relaxed)
               ? place
               : NULL;
}

/* Return a free place, or the one that was taken first: its process may have ended. */
static prov_board_process *choose_place(prov_board *b, int32_t pid)
{
    prov_board_process *chosen = &b->processes[0];
    size_t i;

    for (i = 0; i < PROV_BOARD_PROCESSES; i++) {
        prov_board_process *one = &b->processes[i];
        int32_t owner = atomic_load(&one->pid);

        if (owner == 0 || owner == pid)
            return one;
        if ((int32_t)(atomic_load(&one->taken) - atomic_load(&chosen->taken)) < 0)
            chosen = one;
    }
    return chosen;
}

/* Take a place for this process, unless another thread does. */
static void take_place(prov_board *b)
{
    prov_board_process *place;
    int32_t pid, owner;

    if (atomic_flag_test_and_set(&takes))
        return;
    pid = (int32_t)getpid();
    place = choose_place(b, pid);
    owner = atomic_load(&place->pid);
    if (find_own() == NULL && atomic_compare_exchange_strong(&place->pid, &owner, -1)) {
        atomic_store(&place->taken, atomic_fetch_add(&b->taken, 1));
        atomic_store(&place->busy_until, 0);
        atomic_store(&place->verdicts, 0);
        memset(place->lanes, 0, sizeof(place->lanes));
        atomic_store(&place->pid, pid);
        atomic_store(&own_pid, pid);
        atomic_store_explicit(&own, place, memory_order_release);
    }
    atomic_flag_clear(&takes);
}

static void write_lane(prov_board_lane *lane, const consul_event *event)
{
    if (!begin_write(&lane->sequence))
        return;
    OPENSSL_strlcpy(lane->of, event->text == NULL ? "" : event->text, sizeof(lane->of));
    OPENSSL_strlcpy(lane->service, event->service == NULL ? "" : event->service,
                    sizeof(lane->service));
    lane->index = event->index;
    if (event->index != 0 || event->text == NULL)
        lane->answered = event->index == 0 ? 0 : (int64_t)time(NULL);
    end_write(&lane->sequence);
}

/* Show an event of this process alone. It takes a place with its second handshake, or with a lane. */
static void note_of_process(prov_board *b, const consul_event *event)
{
    prov_board_process *place = find_own();

    if (place == NULL
        && (event->kind == CONSUL_EVENT_SERVES
            || (event->kind == CONSUL_EVENT_LANE && event->text != NULL))) {
        take_place(b);
        place = find_own();
    }
    if (place == NULL)
        return;
    if (event->kind == CONSUL_EVENT_LOAD)
        atomic_store_explicit(&place->busy_until, event->until, memory_order_relaxed);
    else if (event->kind == CONSUL_EVENT_VERDICTS)
        atomic_store_explicit(&place->verdicts, (uint32_t)event->count, memory_order_relaxed);
    else if (event->kind == CONSUL_EVENT_LANE)
        write_lane(&place->lanes[event->count], event);
}

void prov_board_note_event(const consul_event *event)
{
    prov_board *b;

    prov_board_open();
    if ((b = atomic_load_explicit(&board, memory_order_acquire)) == NULL)
        return;
    if (event->kind == CONSUL_EVENT_AGENT_BACK)
        atomic_store_explicit(&b->agent_answered, (int64_t)time(NULL), memory_order_relaxed);
    else if (event->kind == CONSUL_EVENT_AGENT_LOST)
        atomic_store_explicit(&b->agent_lost, (int64_t)time(NULL), memory_order_relaxed);
    else if (event->kind == CONSUL_EVENT_ROOTS_CHANGED)
        add_one(&b->roots_changed);
    else if (event->kind == CONSUL_EVENT_SLOT_GIVEN_UP)
        add_one(&b->slots_given_up);
    else
        note_of_process(b, event);
    if (event->kind == CONSUL_EVENT_ROOTS_FIRST || event->kind == CONSUL_EVENT_ROOTS_CHANGED)
        atomic_store_explicit(&b->roots, (uint32_t)event->count, memory_order_relaxed);
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

    if (!begin_write(&place->sequence))
        return false;
    OPENSSL_strlcpy(place->id, consul_leaf_id(leaf)->uri, sizeof(place->id));
    write_serial(cert, place->serial, sizeof(place->serial));
    place->valid_until = seconds_of(X509_get0_notAfter(cert));
    atomic_store_explicit(&place->content, content, memory_order_relaxed);
    end_write(&place->sequence);
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

    for (i = 0; b != NULL && i < PROV_BOARD_LEAVES; i++) {
        prov_board_leaf *place = &b->leaves[i];

        if (!is_place_of(place, service))
            continue;
        if (atomic_load_explicit(&place->content, memory_order_relaxed) != content)
            write_leaf(place, leaf, content);
        return;
    }
}

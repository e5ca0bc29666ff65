/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/shared_token.h"

#include "base/allowance.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/crypto.h>

#define LOGINS_AT_ONCE 3
#define LOGIN_INTERVAL_MS 10000
#define NEVER (INT64_MAX / 2)
#define READS_MAX 1000 /* tries to read a text while another process writes it */
#define WORDS ((CONSUL_SHARED_TEXT_MAX + 1) / sizeof(uint64_t))

/* A text that one process writes at a time. Others read it meanwhile, and find out. */
typedef struct shared_text {
    atomic_uint turn; /* twice the number of the text, and one more while it is written */
    _Atomic uint64_t words[WORDS];
} shared_text;

struct consul_shared_token {
    shared_text token, reason;
    atomic_int maker;            /* the process that has made the login of the token, or 0 */
    _Atomic int64_t due;         /* the moment for another login, in milliseconds */
    _Atomic int64_t claim;       /* the end of the present claim, in milliseconds; or 0 */
    _Atomic int64_t spent_until; /* of the allowance for logins, in milliseconds */
};

consul_shared_token *consul_shared_token_new(void)
{
    consul_shared_token *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (shared == MAP_FAILED)
        return NULL;
    madvise(shared, sizeof(*shared), MADV_DONTDUMP);
    return shared;
}

void consul_shared_token_free(consul_shared_token *shared)
{
    if (shared != NULL)
        munmap(shared, sizeof(*shared));
}

/* Write a text. A process that ends amid this leaves an odd turn, and the next text makes it even. */
static void write_text(shared_text *to, const char *text)
{
    char padded[CONSUL_SHARED_TEXT_MAX + 1] = "";
    unsigned turn = atomic_load(&to->turn) | 1;
    uint64_t word;
    size_t i;

    OPENSSL_strlcpy(padded, text, sizeof(padded));
    atomic_store(&to->turn, turn);
    for (i = 0; i < WORDS; i++) {
        memcpy(&word, padded + i * sizeof(word), sizeof(word));
        atomic_store(&to->words[i], word);
    }
    atomic_store(&to->turn, turn + 1);
    OPENSSL_cleanse(padded, sizeof(padded));
    OPENSSL_cleanse(&word, sizeof(word));
}

/* Read a text, and return its number. Return 0 and "" without a whole one. */
static unsigned read_text(shared_text *from, char text[CONSUL_SHARED_TEXT_MAX + 1])
{
    uint64_t word = 0;
    unsigned turn;
    size_t i;
    int tries;

    for (tries = 0; tries < READS_MAX; tries++) {
        turn = atomic_load(&from->turn);
        for (i = 0; i < WORDS; i++) {
            word = atomic_load(&from->words[i]);
            memcpy(text + i * sizeof(word), &word, sizeof(word));
        }
        OPENSSL_cleanse(&word, sizeof(word));
        text[CONSUL_SHARED_TEXT_MAX] = '\0';
        if (turn % 2 == 0 && atomic_load(&from->turn) == turn)
            return turn / 2;
        sched_yield();
    }
    OPENSSL_cleanse(text, CONSUL_SHARED_TEXT_MAX + 1);
    return 0;
}

/* Copy the token, if it is one word. Another process of the family may have been taken over. */
unsigned consul_shared_token_get(consul_shared_token *shared,
                                 char token[CONSUL_SHARED_TEXT_MAX + 1])
{
    unsigned number = read_text(&shared->token, token);
    const char *p = token;

    while (*p > 0x20 && *p < 0x7f)
        p++;
    if (number != 0 && p > token && *p == '\0')
        return number;
    OPENSSL_cleanse(token, CONSUL_SHARED_TEXT_MAX + 1);
    return 0;
}

unsigned consul_shared_token_number(consul_shared_token *shared)
{
    char token[CONSUL_SHARED_TEXT_MAX + 1];
    unsigned number = consul_shared_token_get(shared, token);

    OPENSSL_cleanse(token, sizeof(token));
    return number;
}

bool consul_shared_token_is_due(consul_shared_token *shared)
{
    return consul_now_ms() >= atomic_load(&shared->due);
}

enum consul_claim consul_shared_token_claim(consul_shared_token *shared, consul_deadline until,
                                            int64_t *claim)
{
    int64_t now = consul_now_ms(), held = atomic_load(&shared->claim);
    int64_t spent = atomic_load(&shared->spent_until);

    if (now < held)
        return CONSUL_CLAIM_OTHERS;
    if (!consul_allowance_take(&spent, now, LOGIN_INTERVAL_MS, LOGINS_AT_ONCE))
        return CONSUL_CLAIM_SPENT;
    *claim = until > now ? until : now + 1;
    return atomic_compare_exchange_strong(&shared->claim, &held, *claim) ? CONSUL_CLAIM_MINE
                                                                         : CONSUL_CLAIM_OTHERS;
}

/* Count a login. The caller has the claim. */
static void count(consul_shared_token *shared)
{
    int64_t spent = atomic_load(&shared->spent_until);

    consul_allowance_take(&spent, consul_now_ms(), LOGIN_INTERVAL_MS, LOGINS_AT_ONCE);
    atomic_store(&shared->spent_until, spent);
}

bool consul_shared_token_keep(consul_shared_token *shared, int64_t claim, const char *token,
                              int64_t life)
{
    if (atomic_load(&shared->claim) != claim)
        return false;
    count(shared);
    write_text(&shared->token, token);
    atomic_store(&shared->maker, (int)getpid());
    /* Processes renew theirs out of step, after five eighths to three quarters of the life. */
    atomic_store(&shared->due,
                 life == 0 ? NEVER : consul_deadline_after(life / 2 + consul_jitter(life / 4)));
    atomic_compare_exchange_strong(&shared->claim, &claim, 0);
    return true;
}

bool consul_shared_token_disclaim(consul_shared_token *shared)
{
    int own = (int)getpid();

    return atomic_compare_exchange_strong(&shared->maker, &own, 0);
}

void consul_shared_token_fail(consul_shared_token *shared, int64_t claim, const char *why,
                              bool was_tried)
{
    if (atomic_load(&shared->claim) != claim)
        return;
    if (was_tried)
        count(shared);
    write_text(&shared->reason, why);
    atomic_compare_exchange_strong(&shared->claim, &claim, 0);
}

void consul_shared_token_reason(consul_shared_token *shared, char why[CONSUL_SHARED_TEXT_MAX + 1])
{
    read_text(&shared->reason, why);
}

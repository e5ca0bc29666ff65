/*
 * What the agent can be asked for, what it has said last, and for how long that counts. Any thread;
 * functions take the lock unless they say that it is held.
 */
#ifndef CONSUL_CACHE_ENTRY_H
#define CONSUL_CACHE_ENTRY_H

#include "agent/intentions.h"
#include "agent/request.h"
#include "identity/snapshots.h"

/* A leaf is used in a crowd until it is so old, and then while a handshake asks for the next one. */
#define CONSUL_CROWD_AGE_US 20000
#define CONSUL_CROWD_AGE_ASKED_US 60000

/* Doubts: so many at once, one in so long a time in the long run, and such a part of that at most. */
#define CONSUL_DOUBTS_AT_ONCE 3
#define CONSUL_DOUBT_MS 1000
#define CONSUL_DOUBT_SHARE 10

enum consul_kind {
    CONSUL_KIND_ROOTS,
    CONSUL_KIND_LEAF,
    CONSUL_KIND_INTENTIONS /* of them, only whether they have changed is of interest */
};

/* What the agent can be asked for, and what it has said last. The key never changes. */
typedef struct consul_entry consul_entry;
struct consul_entry {
    consul_entry *next;
    enum consul_kind kind;
    char service[CONSUL_NAME_MAX + 1]; /* of a leaf, or whose intentions; "" for everybody's */
    consul_scope scope;
    /* Under the lock: */
    consul_roots *roots; /* one of these, NULL before the first answer */
    consul_leaf *leaf;
    consul_roots *checked;       /* where the leaf's chain was found to lead, */
    time_t checked_until;        /* which may change then: a certificate expires */
    int64_t asked;               /* by a handshake for this answer, in microseconds; 0 if by none */
    int64_t being_asked;         /* since then, by one of a crowd; likewise */
    consul_deadline fresh_until; /* while a watch vouches for it; 0 where none does */
    uint64_t epoch; /* another one after a change, or where a watch may have missed one */
    int64_t epoch_began;
    uint64_t uses;       /* since a watch has looked */
    int64_t doubts_paid; /* the moment up to which doubts have used their share */
    uint64_t index;      /* of the last answer to a question, or of a watch of intentions; or 0 */
    consul_intentions *unheeded; /* as a watch has shown them last; NULL for none */
    int64_t changed; /* when a watch of intentions was told of a change, in milliseconds; or 0 */
};

/* How an answer has come to be. */
enum consul_origin {
    CONSUL_ASKED,      /* by a handshake: yields to what a watch has said */
    CONSUL_ASKED_ANEW, /* by one that doubts what is kept */
    CONSUL_WATCHED     /* by a blocking query that goes on */
};

#define CONSUL_EVER INT64_MIN

/* What is kept, with a reference, or NULL: what a watch vouches for, or was asked for since then. */
consul_roots *consul_entry_roots(consul_entry *entry, int64_t since);
consul_leaf *consul_entry_leaf(consul_entry *entry, int64_t since);

/*
 * As consul_entry_roots, for a handshake that began `since`, on the same clock as `now`. What a watch
 * vouches for is two seconds old at most, as it may be broken, and not know: one handshake is to ask
 * then, and is given NULL. The others go on for one second more.
 */
consul_roots *consul_entry_roots_looked_at(consul_entry *entry, int64_t since, int64_t now);

/*
 * As consul_entry_leaf, for a process with many handshakes at a time, which began `since`, on the same
 * clock as `now`: of those that find the leaf CONSUL_CROWD_AGE_US old, one is to ask, and is given NULL. The others
 * go on with it for some time more.
 */
consul_leaf *consul_entry_leaf_when_busy(consul_entry *entry, int64_t since, int64_t now);

/*
 * Return 1 if the leaf stands, here and now, with these roots, or by itself for NULL: consul_leaf_check.
 * Verifying its chain costs a tenth of a handshake and is done once for each pair.
 */
int consul_entry_check_leaf(consul_entry *entry, const consul_leaf *leaf, consul_roots *roots,
                            bool *stale, consul_error *err);

/* Decode an answer; what the same answer was decoded to before, if that is still kept. */
consul_roots *consul_entry_decode_roots(consul_entry *entry, const consul_answer *answer,
                                        OSSL_LIB_CTX *libctx, consul_error *err);
consul_leaf *consul_entry_decode_leaf(consul_entry *entry, const consul_answer *answer,
                                      OSSL_LIB_CTX *libctx, consul_error *err);

/*
 * Keep a snapshot that has been checked, with a reference of its own, unless what is kept is newer, or may
 * be. `asked` is the moment of the question, in microseconds. A watch vouches for its answer until
 * `fresh_until`; others give 0. `checked` are the roots that a leaf leads to, NULL where that is not known.
 * Returns false for an answer that has not been kept.
 */
bool consul_entry_keep_roots(consul_entry *entry, consul_roots *roots, enum consul_origin origin,
                             int64_t asked, consul_deadline fresh_until);
bool consul_entry_keep_leaf(consul_entry *entry, consul_leaf *leaf, consul_roots *checked,
                            enum consul_origin origin, int64_t asked, consul_deadline fresh_until);

/*
 * A watch of intentions has had an answer, which says that nothing has changed, or not: `is_news` where
 * it has not waited for that, too. Another index than the last one is a change, whenever that was.
 */
void consul_entry_keep_epoch(consul_entry *entry, bool is_news, uint64_t index,
                             consul_deadline fresh_until);

/* The intentions that are not heeded, with a reference, or NULL; `*fresh` where a watch vouches for it. */
consul_intentions *consul_entry_unheeded(const consul_entry *entry, bool *fresh);
void consul_entry_keep_unheeded(consul_entry *entry, consul_intentions *unheeded);

/*
 * Has a watch been told that intentions have changed, after the agent was asked at that moment, or so
 * shortly before that its decision may have lagged behind? In milliseconds.
 */
bool consul_entry_has_changed(const consul_entry *entry, int64_t asked);

/*
 * The epoch that intentions are in, while a watch vouches for it, or 0. Its first seconds are none:
 * an agent's decisions may lag behind its own watches.
 */
uint64_t consul_entry_epoch(const consul_entry *entry);

/* No watch vouches for it any more. */
void consul_entry_stop_vouching(consul_entry *entry);

/* Was a handshake's question, since then, answered with what is kept? */
bool consul_entry_was_asked(consul_entry *entry, int64_t since);

/*
 * May the agent be asked whether what is kept is out of date? Whoever comes with a certificate of
 * his own making can cause that, so it has a share of the time and no more: some at once, then one a
 * second, and fewer where the agent is slow. Each that has begun ends, having taken so many ms.
 */
bool consul_entry_begin_doubt(consul_entry *entry);
void consul_entry_end_doubt(consul_entry *entry, int64_t took);

uint64_t consul_entry_index(consul_entry *entry);
void consul_entry_set_index(consul_entry *entry, uint64_t index);

/* The request whose answer this is; it insists where nothing is kept that could serve instead. */
consul_request consul_entry_request(const consul_entry *entry);

#endif

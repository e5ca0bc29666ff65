/* What the files of store/ share among themselves; not for the provider. */
#ifndef CONSUL_STORE_INTERNAL_H
#define CONSUL_STORE_INTERNAL_H

#include "store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

/* ---- uri.c ---- */

/* Check a Consul name from outside: 1 to CONSUL_NAME_MAX bytes, no control characters. */
int consul_name_check(const char *what, const char *name, int reason, consul_error *err);

/* ---- spiffe.c ---- */

/* The first place of `word`, in any case, in bytes that need not be text; NULL if there is none. */
const unsigned char *consul_find_word(const unsigned char *data, size_t len, const char *word);

/* ---- address.c ---- */

typedef struct consul_address {
    bool https;
    char *base;        /* scheme://host:port/prefix, no slash at the end */
    char *socket_path; /* of a unix:// address, else NULL */
    char *connect_to;  /* where tls_server_name stands in the URL instead, else NULL */
} consul_address;

/* Parse the settings' address, with its tls and tls_server_name. Clear it also after an error. */
int consul_address_parse(const consul_settings *settings, consul_address *address,
                         consul_error *err);
void consul_address_clear(consul_address *address);

/* ---- agent.c: HTTP with the local agent (libcurl) ---- */

#define CONSUL_ANSWER_MAX ((size_t)4 << 20) /* bytes of one answer; a large CA bundle is 50 kB */

typedef struct consul_agent consul_agent;

/* Borrows the settings, which must outlive the agent. Checks the address; makes no request. */
consul_agent *consul_agent_new(const consul_settings *settings, consul_error *err);
void consul_agent_free(consul_agent *agent);

typedef struct consul_request {
    const char *path;          /* literal, beginning with /v1/ */
    const char *last_segment;  /* one more path segment, percent-encoded here; or NULL */
    const consul_scope *scope; /* sent as ?dc=&ns=&partition=; or NULL */
    const char *destination;   /* sent as ?by=destination&name=; or NULL */
    const char *body;          /* JSON to POST; or NULL for a GET */
    int64_t wait;              /* milliseconds of a blocking query; 0 to be answered at once */
    uint64_t index;            /* what it waits to be exceeded, or just makes the agent look for */
    bool insists;              /* it is made again where there are too many of its kind */
    consul_deadline deadline;
} consul_request;

/* An answer. Its body is there with status 200 only, NUL-terminated; it may hold a private key. */
typedef struct consul_answer {
    long status;      /* of HTTP; 0 where none came */
    bool crowded_out; /* the agent had no connection for us, until no time or try was left */
    bool limited;     /* likewise, it was too much what we insisted on */
    bool cut_off;     /* without a byte, perhaps because of the index that was asked for */
    bool lost;        /* the agent is: consul_exchange_found_loss */
    int64_t began;    /* when it was first asked for */
    char *body;
    size_t len;
    uint64_t index;              /* X-Consul-Index, at least 1; 0 where there was none */
    char source[CONSUL_URI_MAX]; /* "GET http://…", for messages about the content */
} consul_answer;

/*
 * Make one request on a connection of its own; again where the agent had too many connections and
 * refused it, in time for the deadline. Free the answer with consul_answer_free, also after an error.
 */
int consul_agent_request(const consul_agent *agent, const consul_request *request,
                         consul_answer *answer, consul_error *err);
void consul_answer_free(consul_answer *answer); /* cleanses */

/* This thread's TLS is libcurl's own from here on, or no longer: consul_store_in_request. */
void consul_enter_request(bool inside);

/* About half of `most` to `most`, at random: so that processes do not act in step. */
int64_t consul_jitter(int64_t most);

/* ---- cert.c: PEM to X509 and EVP_PKEY ---- */

#define CONSUL_CERTS_MAX 64 /* certificates in one answer */

bool consul_certs_contain(const STACK_OF(X509) *certs, const X509 *cert);

/* Append every certificate of a PEM text to `certs`, leaving out exact duplicates. */
int consul_certs_parse(const char *pem, OSSL_LIB_CTX *libctx, STACK_OF(X509) *certs,
                       consul_error *err);

/*
 * OpenSSL reads a certificate also where it has no memory left for its key or its extensions, and does
 * not try again: it is of no use then, for as long as it is kept. So is one whose key or extensions
 * OpenSSL does not know at all.
 */
bool consul_certs_are_usable(const STACK_OF(X509) *certs);

/* The private key of an unencrypted PEM text (SEC1, PKCS#1 or PKCS#8); NULL on error. */
EVP_PKEY *consul_key_parse(const char *pem, OSSL_LIB_CTX *libctx, consul_error *err);

/* The serial number as Consul writes it: lower-case hexadecimal bytes joined by colons. */
char *consul_cert_serial(const X509 *cert, consul_error *err); /* free with OPENSSL_free */

/* ---- decode.c: JSON answers to snapshots ---- */

/* Each takes an untrusted body and returns a checked snapshot with one reference, or NULL. */
consul_roots *consul_roots_decode(const char *body, size_t len, OSSL_LIB_CTX *libctx,
                                  consul_error *err);
consul_leaf *consul_leaf_decode(const char *body, size_t len, OSSL_LIB_CTX *libctx,
                                consul_error *err);

/* Only a JSON `true` is a yes. `reason` is the agent's own text, for people. */
int consul_decision_decode(const char *body, size_t len, bool *authorized, char *reason,
                           size_t reason_size, consul_error *err);

/* The object that a body is, to be decref'ed; NULL for anything else. For what is decoded elsewhere. */
struct json_t *consul_json_load_object(const char *body, size_t len, consul_error *err);

/* ---- intentions.c: those by which the agent says yes and the mesh does not ---- */

typedef struct consul_intentions consul_intentions; /* shared, immutable, reference-counted */

/* Those of a service, from an untrusted body; NULL where the agent heeds whatever is said in them. */
int consul_intentions_decode(const char *body, size_t len, consul_intentions **intentions,
                             consul_error *err);
consul_intentions *consul_intentions_ref(consul_intentions *intentions); /* NULL stays NULL */
void consul_intentions_unref(consul_intentions *intentions);

/* Does the agent's yes to this peer stand, by these (NULL for none)? Else `err` says why not. */
int consul_intentions_stand_for(const consul_intentions *intentions, const consul_spiffe_id *target,
                                const consul_spiffe_id *peer_id, consul_error *err);

/* ---- snapshot.c ---- */

/* There is none where all are zeros. */
bool consul_digest_is_set(const unsigned char digest[CONSUL_DIGEST_LEN]);

/* Chains of certificates whose signatures were verified (signatures.c). */
typedef struct consul_signatures consul_signatures;

struct consul_roots {
    atomic_int refs;
    unsigned char digest[CONSUL_DIGEST_LEN]; /* of the answer that they were, or zeros */
    OSSL_LIB_CTX *libctx;                    /* borrowed */
    char *trust_domain;
    STACK_OF(X509) *certs;
    consul_signatures *verified; /* of chains to these */
};

struct consul_leaf {
    atomic_int refs;
    unsigned char digest[CONSUL_DIGEST_LEN]; /* of the answer that it was, or zeros */
    EVP_PKEY *key;
    X509 *cert;
    STACK_OF(X509) *chain;
    consul_spiffe_id id;
};

consul_roots *consul_roots_new(OSSL_LIB_CTX *libctx, consul_error *err); /* empty */
consul_leaf *consul_leaf_new(consul_error *err);                         /* empty */

/*
 * Check a decoded leaf for the service asked for: identity, validity, and, unless `roots` is NULL,
 * trust domain and chain. `chains` says that its chain to these roots was verified before. `*stale`
 * tells whether a newer leaf or newer roots could mend it.
 */
int consul_leaf_check(const consul_leaf *leaf, const consul_roots *roots, const char *service,
                      const consul_scope *scope, bool chains, bool *stale, consul_error *err);

/* When the next of all certificates expires that the leaf's chain may lead over; its own apart. */
time_t consul_leaf_next_expiry(const consul_leaf *leaf, const consul_roots *roots);

/* ---- signatures.c ---- */

consul_signatures *consul_signatures_new(void); /* of none yet; NULL without memory */
void consul_signatures_free(consul_signatures *verified);

/*
 * X509_verify_cert, but that those of its signatures which were verified before are not verified again.
 * `digest` becomes that of the whole chain; zeros without memory or where there is no chain.
 */
int consul_verify_remembering(X509_STORE_CTX *ctx, consul_signatures *verified,
                              unsigned char digest[CONSUL_DIGEST_LEN]);

/* ---- unanswered.c: requests that the agent has left without an answer ---- */

/* A request that is kept. `path` is literal; no path stands for no question. */
typedef struct consul_question {
    const char *path;
    char last_segment[CONSUL_NAME_MAX + 1];
    consul_scope scope;
    char *body;
    int reason; /* why there is no answer, enum consul_reason */
} consul_question;

consul_request consul_question_request(const consul_question *question); /* borrows from it */
void consul_question_clear(consul_question *question);

/* Some of them, under the lock of live.c. */
typedef struct consul_unanswered consul_unanswered;

consul_unanswered *consul_unanswered_new(consul_error *err);
void consul_unanswered_free(consul_unanswered *all);
void consul_unanswered_add(consul_unanswered *all, const consul_request *request, int reason);
void consul_unanswered_remove(consul_unanswered *all, const consul_question *question);
void consul_unanswered_forget(consul_unanswered *all);

/* The agent is there, and has no connection to spare: from now on that is why. */
void consul_unanswered_note_crowd(consul_unanswered *all);

/* Is this one of them? Then its reason, else 0. Decisions are alike. */
int consul_unanswered_find(consul_unanswered *all, const consul_request *request);
bool consul_unanswered_any(const consul_unanswered *all);

/* A copy of each in turn; false if there is none. Clear it in the end. */
bool consul_unanswered_next(consul_unanswered *all, consul_question *question);

/* ---- decision.c ---- */

typedef struct consul_watch consul_watch;

#define CONSUL_AUTHORIZE_PATH "/v1/agent/connect/authorize"

enum consul_verdict {
    CONSUL_VERDICT_NONE,    /* the agent has answered, and neither yes nor no */
    CONSUL_VERDICT_UNASKED, /* it was not asked, for want of something, or there are too many */
    CONSUL_VERDICT_LOST, /* it can not be asked by anybody just now: consul_exchange_found_loss */
    CONSUL_VERDICT_NO,
    CONSUL_VERDICT_YES
};

/*
 * Ask the agent. For anything but a yes, `err` says why. `watch`, unless NULL, is told of a failure.
 */
enum consul_verdict consul_agent_authorize(const consul_agent *agent,
                                           const consul_settings *settings, consul_watch *watch,
                                           const consul_spiffe_id *target, const X509 *peer,
                                           const consul_spiffe_id *peer_id,
                                           consul_deadline deadline, consul_error *err);

/* ---- known.c: verdicts of before ---- */

/* A bounded number of them. Of eight pairs none is forgotten for another; of many some are. */
typedef struct consul_known consul_known;

typedef struct consul_known_verdict {
    enum consul_verdict verdict; /* NONE if there is none */
    uint64_t epoch;              /* in which it was asked for: consul_entry_epoch */
    int64_t asked;               /* and when */
} consul_known_verdict;

consul_known *consul_known_new(consul_error *err);
void consul_known_free(consul_known *known);

/* Whether this peer may connect to the target; `chain` is the digest of its certificates. */
void consul_known_note(consul_known *known, const consul_spiffe_id *target,
                       const consul_spiffe_id *peer_id,
                       const unsigned char chain[CONSUL_DIGEST_LEN],
                       const consul_known_verdict *verdict);

/*
 * What was said about this very chain; NONE where the last verdict about its identity is another, as
 * after a no to one of the same service that has another certificate.
 */
consul_known_verdict consul_known_find(const consul_known *known, const consul_spiffe_id *target,
                                       const consul_spiffe_id *peer_id,
                                       const unsigned char chain[CONSUL_DIGEST_LEN]);

/* What was said last about this identity, whatever its certificate was. */
consul_known_verdict consul_known_last(const consul_known *known, const consul_spiffe_id *target,
                                       const consul_spiffe_id *peer_id);

/* ---- coalesce.c: one question for all who ask the same at a time ---- */

typedef enum consul_verdict (*consul_ask)(void *arg, consul_error *err);

/*
 * `ask`, or what another thread's `ask` has returned that was called later than this. The same is
 * asked by who has the same store, target and chain of certificates, of which this is the digest. A
 * question that is not about a peer has no target and no chain, and is one `of` anything else.
 */
enum consul_verdict consul_coalesce(const void *of, const consul_spiffe_id *target,
                                    const unsigned char chain[CONSUL_DIGEST_LEN],
                                    consul_deadline deadline, consul_ask ask, void *arg,
                                    consul_error *err);

/* In the child of a fork, with the lock held: those who asked are not there. */
void consul_coalesce_forget(void);

/* ---- live.c: what the agent was asked for ---- */

/*
 * The one lock of this process's stores, held for a few instructions and never across I/O. A fork
 * waits for it.
 */
void consul_live_lock(void);
void consul_live_unlock(void);

/* A condition to wait for with the lock held, which is let go meanwhile; false is no longer. */
bool consul_live_make_condition(pthread_cond_t *condition);
bool consul_live_wait(pthread_cond_t *condition, consul_deadline deadline);

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

/* The entries of one store. They live as long as it does. */
typedef struct consul_live consul_live;

consul_live *consul_live_new(consul_error *err);
void consul_live_free(consul_live *live);

/* The entry of this kind, made if there is none. `service` is "" for roots. */
consul_entry *consul_live_entry(consul_live *live, enum consul_kind kind, const char *service,
                                const consul_scope *scope, consul_error *err);

/*
 * Everybody's intentions. NULL in a namespace or a partition, whose list need not show all that
 * count there: there are some for any namespace, and some that another one owns.
 */
consul_entry *consul_live_all_intentions(consul_live *live, const consul_scope *scope);

/*
 * The one of this kind that was used most since the last call, of intentions of one service; NULL if
 * none was ever.
 */
consul_entry *consul_live_most_used(consul_live *live, enum consul_kind kind);

/* No watch vouches for anything any more. With the lock held. */
void consul_live_doubt_all(consul_live *live);

/* ---- entry.c: what it has said last ---- */

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
 * clock as `now`: of those that find the leaf 20 ms old, one is to ask, and is given NULL. The others
 * go on with it for some time more.
 */
consul_leaf *consul_entry_leaf_in_crowd(consul_entry *entry, int64_t since, int64_t now);

/* Was the chain of this leaf to these roots verified, and would be now? */
bool consul_entry_chains(const consul_entry *entry, const consul_leaf *leaf,
                         const consul_roots *roots);
void consul_entry_set_chains(consul_entry *entry, const consul_leaf *leaf, consul_roots *roots);

/* Decode an answer; what the same answer was decoded to before, if that is still kept. */
consul_roots *consul_entry_decode_roots(consul_entry *entry, const consul_answer *answer,
                                        OSSL_LIB_CTX *libctx, consul_error *err);
consul_leaf *consul_entry_decode_leaf(consul_entry *entry, const consul_answer *answer,
                                      OSSL_LIB_CTX *libctx, consul_error *err);

/*
 * Keep a snapshot that has been checked, with a reference of its own; `checked` are the roots that a
 * leaf leads to, NULL where that is not known. `moment` is when it was asked
 * for, in microseconds, or, of a watch, until when that vouches for it, a deadline.
 */
void consul_entry_keep_roots(consul_entry *entry, consul_roots *roots, enum consul_origin origin,
                             int64_t moment);
void consul_entry_keep_leaf(consul_entry *entry, consul_leaf *leaf, consul_roots *checked,
                            enum consul_origin origin, int64_t moment);

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
void consul_entry_doubt(consul_entry *entry);

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

/* ---- store.c ---- */

/* What was asked for (NULL for nothing), and the configuration where nothing was. */
consul_scope consul_store_scope(const consul_store *store, const consul_scope *asked);

/* ---- watch.c: the thread that keeps entries fresh ---- */

/* Borrows all three, which must outlive it. Starts nothing. */
consul_watch *consul_watch_new(const consul_agent *agent, consul_live *live, OSSL_LIB_CTX *libctx,
                               consul_error *err);

/* End its thread for good. */
void consul_watch_close(consul_watch *watch);
void consul_watch_free(consul_watch *watch);

/* A handshake begins that will ask. A process that has had one before watches from now on. */
void consul_watch_expect(consul_watch *watch);

/* A handshake has met a peer of the mesh: by these, and not by strangers, a process becomes busy. */
void consul_watch_note_peer(consul_watch *watch);

/*
 * Does this process make many handshakes? Then its leaf may be some milliseconds old, so that it can
 * know decisions before they are needed.
 */
bool consul_watch_is_busy(consul_watch *watch);

/*
 * Has the agent left this request without an answer, and not answered it since? Or any, and answered
 * nothing since? Then the reason of that, else 0.
 */
int consul_watch_agent_hangs(consul_watch *watch, const consul_request *request);

/* A request has failed, perhaps because it was left without an answer. */
void consul_watch_note_failure(consul_watch *watch, const consul_request *request,
                               const consul_answer *answer, const consul_error *err);

#endif

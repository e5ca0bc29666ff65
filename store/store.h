/*
 * The agent certificate store: what this host's Consul agent says about Connect, as snapshots of
 * roots and leaves and as decisions. This header is the only door to it; nothing here knows of
 * OpenSSL providers, and nothing beyond it knows of HTTP or JSON.
 *
 * Threads: every function may be called from any thread. Snapshots are immutable. A store that
 * handshakes use has one thread of its own, all signals blocked, which ends with the process.
 * Fork: a child has the snapshots and no thread; it closes the descriptors that it inherited, and
 * asks the agent itself.
 * Errors: functions that take a consul_error return 1 on success; on failure they return 0 and
 * describe the first thing that went wrong in it. A NULL consul_error is allowed everywhere.
 */
#ifndef CONSUL_STORE_H
#define CONSUL_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

/* ---- errors (error.c) ------------------------------------------------------------------- */

enum consul_reason {
    CONSUL_R_OUT_OF_MEMORY = 100,
    CONSUL_R_INTERNAL,
    CONSUL_R_SETTING_INVALID,
    CONSUL_R_URI_INVALID,
    CONSUL_R_AGENT_UNREACHABLE,
    CONSUL_R_AGENT_TIMEOUT,
    CONSUL_R_AGENT_REFUSED,
    CONSUL_R_AGENT_ANSWER_INVALID,
    CONSUL_R_OWN_IDENTITY_INVALID,
    CONSUL_R_PEER_CERTIFICATE_MISSING,
    CONSUL_R_PEER_UNTRUSTED,
    CONSUL_R_PEER_NOT_A_SERVICE,
    CONSUL_R_PEER_NAME_MISMATCH,
    CONSUL_R_PEER_DENIED,
    CONSUL_R_PEER_REFUSED_BY_APPLICATION,
    CONSUL_R_NOT_AUTHORIZED,
    CONSUL_R_NOT_ACTIVE,
    CONSUL_R_HANDSHAKE_FAILED,
    CONSUL_R_END /* one past the last */
};

#define CONSUL_ERROR_TEXT_MAX 1024

/* Caller-owned; zero-initialise. `text` is one printable ASCII line, whatever was put into it. */
typedef struct consul_error {
    int reason; /* 0 = no error, else enum consul_reason */
    char text[CONSUL_ERROR_TEXT_MAX];
} consul_error;

/* Record an error. The first one wins; returns 0, so that `return consul_error_set(...)` fails. */
int consul_error_set(consul_error *err, int reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Put `format` before the text of an error that is already set. Returns 0. */
int consul_error_prefix(consul_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The short name of a reason, as it stands on OpenSSL's error queue; never NULL. */
const char *consul_reason_text(int reason);

/* ---- settings (settings.c) -------------------------------------------------------------- */

enum consul_option_type {
    CONSUL_OPTION_TEXT,     /* any printable text */
    CONSUL_OPTION_SECRET,   /* the same, but its value is never shown */
    CONSUL_OPTION_NAME,     /* a Consul name: service, namespace, partition, datacenter */
    CONSUL_OPTION_HOST,     /* a host name */
    CONSUL_OPTION_INBOUND,  /* require or off */
    CONSUL_OPTION_OUTBOUND, /* auto, require or off */
    CONSUL_OPTION_TABLE,    /* the name of a section; its rows are looked up one by one */
    CONSUL_OPTION_LOG,      /* off, stderr, syslog or a path */
    CONSUL_OPTION_CRYPTO,   /* auto, fips or off; the provider reads it */
    CONSUL_OPTION_LOSS,     /* refuse or last-known */
    CONSUL_OPTION_BOOL,     /* yes/no, true/false, on/off, 1/0 */
    CONSUL_OPTION_DURATION  /* a number with ms, s or m; kept in milliseconds */
};

/* One row of the option table, from which everything else about settings is derived. */
typedef struct consul_option {
    const char *name;          /* in the provider's section of openssl.cnf */
    const char *env;           /* the environment variable that stands in for it, or NULL */
    const char *default_value; /* as it would be written, or NULL for none */
    enum consul_option_type type;
    size_t offset;     /* of its value in consul_settings */
    bool may_be_empty; /* in openssl.cnf: there is none, whatever the environment says */
    const char *description;
} consul_option;

/* The rows of the option table; a row with a NULL name ends it. */
extern const consul_option consul_options[];

/* Which connections of the configured service have to be Connect. */
enum consul_demand { CONSUL_DEMAND_OFF, CONSUL_DEMAND_AUTO, CONSUL_DEMAND_REQUIRE };

/* What becomes of decisions while the agent can not be asked. */
enum consul_loss { CONSUL_LOSS_REFUSE, CONSUL_LOSS_LAST_KNOWN };

typedef struct consul_settings {
    char *address;
    bool tls;
    bool tls_verify;
    char *agent_user;
    char *token;
    char *token_file;
    char *http_auth;
    char *ca_file;
    char *ca_path;
    char *client_cert;
    char *client_key;
    char *tls_server_name;
    char *service;
    enum consul_demand inbound;
    enum consul_demand outbound;
    char *domain;
    char *ns; /* "namespace" */
    char *partition;
    char *datacenter;
    int64_t connect_timeout; /* milliseconds, as all durations */
    int64_t request_timeout;
    int64_t authorize_timeout;
    int64_t watch_wait;
    enum consul_loss on_agent_loss;
    char *log;
    char *crypto;
} consul_settings;

/* The configured value of an option, borrowed until settings_new returns; NULL if there is none. */
typedef const char *consul_settings_lookup_fn(const char *name, void *arg);

/*
 * Read the settings: what `lookup` finds, else the environment (ignored in set-user-ID programs),
 * else the default. The environment is read here and never again: nginx workers wipe it.
 * NULL on the first value that does not parse. Free with consul_settings_free.
 */
consul_settings *consul_settings_new(consul_settings_lookup_fn *lookup, void *arg,
                                     consul_error *err);
void consul_settings_free(consul_settings *settings);

/* ---- names and consul: URIs (uri.c) ----------------------------------------------------- */

#define CONSUL_NAME_MAX 255 /* bytes of a service, namespace, partition or datacenter name */
#define CONSUL_URI_MAX 2048 /* bytes of a consul: URI, and of a SPIFFE ID (SPIFFE-ID 2.3) */

/* Where a name lives; an empty field leaves the choice to the agent. */
typedef struct consul_scope {
    char ns[CONSUL_NAME_MAX + 1];
    char partition[CONSUL_NAME_MAX + 1];
    char dc[CONSUL_NAME_MAX + 1];
} consul_scope;

enum consul_uri_kind { CONSUL_URI_LEAF, CONSUL_URI_ROOTS };

typedef struct consul_uri {
    enum consul_uri_kind kind;
    char service[CONSUL_NAME_MAX + 1]; /* LEAF only; empty for the configured service */
    consul_scope scope;
} consul_uri;

/* Parse consul:leaf/<service>, consul:leaf and consul:roots, also with consul:// (RFC 3986). */
int consul_uri_parse(const char *text, consul_uri *uri, consul_error *err);

/* ---- services by host name (dns_name.c) --- */

/* A service that a peer has to be; empty fields of the scope are not compared. */
typedef struct consul_service {
    char name[CONSUL_NAME_MAX + 1];
    consul_scope scope;
} consul_service;

enum consul_host_kind {
    CONSUL_HOST_OTHER,     /* not the name of a service in Consul's domain */
    CONSUL_HOST_MALFORMED, /* such a name, but of which service is not to be told */
    CONSUL_HOST_SERVICE
};

/*
 * Which service does a host name of Consul's DNS mean? <service>.service, .connect or .virtual,
 * with tags before and a datacenter or ns, ap and dc after, in `domain` ("consul").
 */
enum consul_host_kind consul_host_parse(const char *host, const char *domain,
                                        consul_service *service);

/* Is this a host name: labels of a-z, 0-9, '-' and '_', in lower case, the last one no number? */
bool consul_host_is_valid(const char *host);

/* Parse "<service>[?ns=&partition=&dc=]". */
int consul_service_parse(const char *text, consul_service *service, consul_error *err);

/* ---- SPIFFE IDs (spiffe.c) -------------------------------------------------------------- */

/* The SPIFFE ID of a Connect service: spiffe://<trust domain>[/ap/P]/ns/N/dc/D/svc/S */
typedef struct consul_spiffe_id {
    char uri[CONSUL_URI_MAX + 1]; /* as it stood in the certificate */
    char trust_domain[CONSUL_NAME_MAX + 1];
    char service[CONSUL_NAME_MAX + 1];
    consul_scope scope; /* a missing /ap/ is "default" */
} consul_spiffe_id;

/* Parse the SPIFFE ID of a service; anything else, a gateway or an agent too, is an error. */
int consul_spiffe_id_parse(const char *text, size_t len, consul_spiffe_id *id, consul_error *err);

/* The service SPIFFE ID of a certificate, held to the X509-SVID rules for leaves. */
int consul_spiffe_id_of_cert(const X509 *cert, consul_spiffe_id *id, consul_error *err);

/* Is this the ID of that service? Empty fields of the scope are not compared. */
bool consul_spiffe_id_is(const consul_spiffe_id *id, const char *service,
                         const consul_scope *scope);

/*
 * Does this certificate claim to be a Connect leaf? Broader than consul_spiffe_id_of_cert: a
 * malformed claim is a claim, so that it is refused and not taken for ordinary TLS.
 */
bool consul_cert_claims_connect(const X509 *cert);

/* Does it claim any SPIFFE ID in this trust domain, or in any for NULL? As broad. */
bool consul_cert_claims_trust_domain(const X509 *cert, const char *trust_domain);

/* ---- other names of a leaf (names.c) ---------------------------------------------------- */

enum consul_names {
    CONSUL_NAMES_NONE,   /* its SPIFFE ID, and perhaps the name by which Consul 1.8 repeats it */
    CONSUL_NAMES_HOSTS,  /* DNS names or addresses too, as ingress gateways have */
    CONSUL_NAMES_FOREIGN /* any other subject or name, which Consul by itself gives to nobody */
};

/*
 * What is a certificate of that identity called besides? None of it proves anything: a service has
 * whatever names it asks for. FOREIGN also for want of memory.
 */
enum consul_names consul_cert_names(const X509 *cert, const consul_spiffe_id *id);

/* ---- stand-ins (stand_in.c) --------------------------------------------------------------- */

/*
 * Is this certificate a stand-in, which a program that takes only files loads in the place of a
 * leaf? It has a subjectAltName URI:consul:leaf/<service>; then `uri` is what that says. Any other
 * consul: URI is a claim too, and so is the key of stand-ins: their kind is not CONSUL_URI_LEAF.
 */
bool consul_cert_stands_in(const X509 *cert, consul_uri *uri);

/*
 * The key of all stand-ins whose key file only we can read: on P-256 the one whose private half is
 * the number 1, as PKCS#8 (RFC 5208).
 */
#define CONSUL_STAND_IN_KEY_LEN 138
extern const unsigned char consul_stand_in_key[CONSUL_STAND_IN_KEY_LEN];

/* ---- snapshots (snapshot.c) ------------------------------------------------------------- */

/* The roots of the mesh at one moment; shared, immutable, reference-counted. */
typedef struct consul_roots consul_roots;

consul_roots *consul_roots_ref(consul_roots *roots);
void consul_roots_unref(consul_roots *roots);
const char *consul_roots_trust_domain(const consul_roots *roots);    /* borrowed */
const STACK_OF(X509) *consul_roots_certs(const consul_roots *roots); /* borrowed, never empty */
bool consul_roots_contain(const consul_roots *roots, const X509 *cert);

/* One service's leaf at one moment: private key, certificate and intermediates. */
typedef struct consul_leaf consul_leaf;

consul_leaf *consul_leaf_ref(consul_leaf *leaf);
void consul_leaf_unref(consul_leaf *leaf);
EVP_PKEY *consul_leaf_key(const consul_leaf *leaf);               /* borrowed */
X509 *consul_leaf_cert(const consul_leaf *leaf);                  /* borrowed */
const STACK_OF(X509) *consul_leaf_chain(const consul_leaf *leaf); /* borrowed; intermediates */
const consul_spiffe_id *consul_leaf_id(const consul_leaf *leaf);  /* borrowed */

#define CONSUL_DIGEST_LEN 32 /* SHA-256 */

/*
 * Verify that `cert` chains to these roots and to nothing else, now, for `purpose`
 * (X509_PURPOSE_…), at OpenSSL security level `level`. `untrusted` (may be NULL) helps to build
 * the chain. On success `*chain` (if not NULL) is the verified chain, to be freed by the caller, and
 * `digest` (if not NULL) that of all its certificates, or zeros for want of memory.
 * On failure `*x509_error` (if not NULL) is an X509_V_ERR_ code.
 */
int consul_roots_verify(const consul_roots *roots, X509 *cert, STACK_OF(X509) *untrusted,
                        int purpose, int level, STACK_OF(X509) **chain,
                        unsigned char digest[CONSUL_DIGEST_LEN], int *x509_error,
                        consul_error *err);

/* ---- the store (store.c) ---------------------------------------------------------------- */

typedef struct consul_store consul_store;

/*
 * A store on the agent that `settings` name; takes the settings, also when it fails. No request
 * is made. Certificates and keys are made in `libctx` (borrowed; NULL for the default one).
 */
consul_store *consul_store_new(consul_settings *settings, OSSL_LIB_CTX *libctx, consul_error *err);
consul_store *consul_store_ref(consul_store *store);
void consul_store_unref(consul_store *store);

/* End what the store does by itself, for good. Its references stay usable. */
void consul_store_close(consul_store *store);
const consul_settings *consul_store_settings(const consul_store *store); /* borrowed */

/*
 * A moment in milliseconds, by which a call must have returned: on a monotonic clock that goes on
 * while the machine sleeps, where there is one. Each request is also bounded by request_timeout.
 */
typedef int64_t consul_deadline;
#define CONSUL_NO_DEADLINE INT64_MAX
consul_deadline consul_deadline_after(int64_t milliseconds);

/* What a handshake, or whoever else asks, puts up with. */
typedef struct consul_asking {
    int64_t since; /* what was asked from here on is new enough; the same clock, in microseconds */
    consul_deadline deadline;
    bool hurries; /* a leaf is not held against roots that would have to be asked for */
} consul_asking;

/* Nothing from before now, and no deadline. */
consul_asking consul_asking_now(void);

/*
 * A handshake begins that will ask for what follows. From a process's second one on, what they ask
 * for is watched, and need not be asked for.
 */
void consul_store_expect(consul_store *store);

/* It has met a peer of the mesh. From many of them in a second on, decisions are made ready. */
void consul_store_note_peer(consul_store *store);

/*
 * The current roots; the caller gets a reference. Scope NULL means the configured one. They are
 * those of a watch, or of an answer that is new enough, or else the agent is asked, or, where it
 * does not answer, those of before.
 */
int consul_store_roots(consul_store *store, const consul_scope *scope, consul_asking asking,
                       consul_roots **roots, consul_error *err);

/*
 * For who has found something that these roots do not explain: take other ones in their place, those
 * that are kept by now or the agent's. It is asked for them once a second, in the long run, and for at
 * most a tenth of the time, by one thread for all who wait, and not where it was asked since then.
 * False is that there are no others.
 */
bool consul_store_doubt_roots(consul_store *store, const consul_scope *scope, consul_asking asking,
                              consul_roots **roots);

/*
 * The current leaf of a service (NULL or "" for the configured one), checked against the current
 * roots, or, for who hurries, those that are kept; the caller gets a reference. In a process that makes
 * many handshakes it may be some milliseconds old; where the agent does not answer, it is that of before
 * while it is valid.
 */
int consul_store_leaf(consul_store *store, const char *service, const consul_scope *scope,
                      consul_asking asking, consul_leaf **leaf, consul_error *err);

/* Remember that a program has loaded this leaf from this store, which it was given for that URI. */
void consul_store_note_loaded(const consul_store *store, const consul_leaf *leaf,
                              const consul_uri *uri);

/*
 * Is this a leaf of a service that has been loaded by URI in this process, from a store on the same
 * agent as this one? Then `uri` says of which, and leaves nothing to anybody's settings.
 */
bool consul_store_has_loaded(const consul_store *store, const X509 *cert, consul_uri *uri);

/*
 * Ask the agent whether the peer may connect to `target`, this endpoint's own identity. Only a
 * plain yes returns 1. An earlier one does for the very same question while a watch vouches that
 * intentions have not changed since; and, if on_agent_loss says so, while the agent can not be asked.
 * `peer` must be a certificate that was verified against the current roots, `chain` the digest of
 * what it was verified with, and `peer_id` its identity in the current trust domain: the agent checks
 * none of them.
 */
int consul_store_authorize(consul_store *store, const consul_spiffe_id *target, const X509 *peer,
                           const unsigned char chain[CONSUL_DIGEST_LEN],
                           const consul_spiffe_id *peer_id, consul_asking asking,
                           consul_error *err);

/*
 * Is this thread inside a request to the agent? libcurl's own TLS to the agent is made then; it
 * must not be governed, or every question would ask another one.
 */
bool consul_store_in_request(void);

#endif

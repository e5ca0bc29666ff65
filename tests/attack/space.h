/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of all axes, with their names. The first of an axis is its default, which does nothing out of the
 * ordinary.
 */
#ifndef ATTACK_SPACE_H
#define ATTACK_SPACE_H

/* The application under attack. */
#define ROLES(X) X(ROLE_SERVER, "server") X(ROLE_CLIENT, "client")

/* The thing that makes it governed. The settings of the process follow from it. */
#define GOVERNS(X)                                                                                \
    X(BY_LEAF, "leaf")                   /* a leaf that the application was given as a file */    \
    X(BY_STAND_IN, "stand-in")           /* a stand-in in its place */                            \
    X(BY_URI, "uri")                     /* a leaf from consul:leaf/web */                        \
    X(BY_SERVICE, "service")             /* `service`; a client goes by its peer, or by a name */ \
    X(BY_REQUIREMENT, "required")        /* `service` and `outbound = require` */                 \
    X(BY_EMPTY_SERVICE, "empty-service") /* wrong settings, which refuse all TLS */               \
    X(BY_DEMAND_ALONE, "demand-alone")   /* `inbound = require` without a service */              \
    X(BY_DEAD_UPSTREAM, "dead-upstream") /* a row of `upstreams` that no host meets */            \
    X(BY_TWO_SERVICES, "two-services")   /* two sections that differ */                           \
    X(BY_UNLOADED, "unloaded")           /* the instance with the service is gone */              \
    X(BY_NOTHING, "nothing")             /* an ordinary endpoint in a process with the provider */

/*
 * QUIC has no value here. Its data lies on streams, and its time is that of sockets. A server's SSL comes from a listener, amid
 * its handshake. An application does nothing to it before. No SSL is cleared, copied or renegotiated, and no handshake is driven
 * by writes alone. Some values could meet QUIC: callbacks, modes, takings and places of a context, and of a client's SSL.
 * test_tls_quic has each callback of a context alone, and sessions. It takes the mode in the info callback, and overwrites
 * ex_data at each third step. Other takings and places, and callbacks displaced on a client's SSL, are not tried.
 */
#define PROTOCOLS(X)      \
    X(TLS_1_2, "TLSv1.2") \
    X(TLS_1_3, "TLSv1.3") X(DTLS_1_2, "DTLSv1.2") X(TLS_1_1, "TLSv1.1") /* at security level 0 */

/* The place in which it gets its own certificate. */
#define GIVENS(X)                                                                     \
    X(GIVEN_ON_CTX, "context")                                                        \
    X(GIVEN_ON_SSL, "ssl")                                                            \
    X(GIVEN_BESIDE, "beside")         /* an RSA certificate, on the context */        \
    X(GIVEN_WITH_OTHER, "with-other") /* the other service's leaf, likewise */        \
    X(GIVEN_IN_HELLO, "client-hello") /* of a server, as the next ones */             \
    X(GIVEN_BY_NAME, "servername")                                                    \
    X(GIVEN_BY_SWITCH, "switch")           /* SSL_set_SSL_CTX in that callback */     \
    X(GIVEN_BY_LATE_SWITCH, "late-switch") /* the same in the certificate callback */ \
    X(GIVEN_IN_CERT_CB, "cert-cb")                                                    \
    X(GIVEN_ON_REQUEST, "client-cert-cb") /* of a client */

/* The thing that it does between the certificate and its key, when its SSL gets them. Both ask the security callback. */
#define BETWEENS(X)                                                 \
    X(BETWEEN_NOTHING, "nothing")                                   \
    X(BETWEEN_CHAIN, "chain") /* as with a file of a whole chain */ \
    X(BETWEEN_LIST, "ciphers")

/* Whether and where it displaces one of our callbacks. "Inside" is the place of the axis `place`. */
#define DISPLACED(P, X)      \
    X(P##_LEFT, "left")      \
    X(P##_ON_CTX, "context") \
    X(P##_ON_SSL, "ssl")     \
    X(P##_INSIDE, "inside")  \
    X(P##_REMOVED, "removed") /* by NULL, on the context */
#define SECURITIES(X) DISPLACED(SECURITY, X)
#define HELLOS(X) DISPLACED(HELLO, X)
#define MESSAGES(X) DISPLACED(MESSAGE, X)
#define SESSIONS(X) DISPLACED(SESSION, X)
#define INFOS(X)       \
    DISPLACED(INFO, X) \
    X(INFO_WRAPPED, "wrapped") /* in the place, by a callback that calls ours */
#define CHECKS(X)                                                          \
    DISPLACED(CHECK, X)                                                    \
    X(CHECK_BY_OPENSSL, "openssl") /* by a callback that asks libcrypto */ \
    X(CHECK_BY_ROOTS, "roots")     /* in a context of its own, by Consul's roots */

/* The thing that it takes back in its `place`. */
#define TAKINGS(X)                                                                       \
    X(TAKE_NOTHING, "nothing")                                                           \
    X(TAKE_MODE, "mode")               /* it verifies nothing */                         \
    X(TAKE_MODE_LATER, "mode-later")   /* post-handshake authentication */               \
    X(TAKE_MODE_ACCEPT, "mode-accept") /* it verifies with a callback that accepts */    \
    X(TAKE_OPTIONS, "options")         /* tickets, renegotiation */                      \
    X(TAKE_SESSION, "session")         /* the session's context, and its use */          \
    X(TAKE_KEY, "key")                 /* pre-shared keys */                             \
    X(TAKE_SECRET, "secret")           /* SSL_set_session_secret_cb */                   \
    X(TAKE_CERTIFICATE, "certificate") /* an ordinary one in its place */                \
    X(TAKE_CERT_CB, "cert-cb")                                                           \
    X(TAKE_STORE, "store")     /* the foreign CA */                                      \
    X(TAKE_PARAM, "param")     /* partial chains, any time, any purpose */               \
    X(TAKE_HOST, "host")       /* SSL_set1_host */                                       \
    X(TAKE_EX_DATA, "ex-data") /* garbage under all numbers */                           \
    X(TAKE_EX_DATA_AWAY, "ex-data-null")                                                 \
    X(TAKE_SHUTDOWN, "shutdown") /* none */                                              \
    X(TAKE_BIO, "bio")           /* the BIOs of the beginning */                         \
    X(TAKE_CTX, "ctx")           /* SSL_set_SSL_CTX to an ordinary one */                \
    X(TAKE_SITE, "site")         /* the same, with its mode and new parameters */        \
    X(TAKE_LEVEL, "level")       /* security level 0 */                                  \
    X(TAKE_EARLY, "early")       /* early data is accepted */                            \
    X(TAKE_RETRY, "retry")       /* SSL_set_retry_verify */                              \
    X(TAKE_RESULT, "result")     /* of its verification, and the certificate */          \
    X(TAKE_CHAIN, "chain")       /* of that */                                           \
    X(TAKE_ALL, "all")                                                                   \
    X(TAKE_OTHER_LEAF, "other-leaf")         /* of another service of the mesh */        \
    X(TAKE_OTHER_BESIDE, "other-beside")     /* the same with an RSA key, in addition */ \
    X(TAKE_OTHER_STAND_IN, "other-stand-in") /* of that service */                       \
    X(TAKE_OTHER_CTX, "other-ctx")           /* SSL_set_SSL_CTX to one with that leaf */ \
    X(TAKE_OTHER_SHARED, "other-shared")     /* by another SSL: SSL_copy_session_id */   \
    X(TAKE_CURRENT, "current")               /* SSL_set_current_cert */

/* The place in which it does so. */
#define PLACES(X)                                                         \
    X(AT_NO_PLACE, "nowhere")                                             \
    X(AT_CTX, "context")                                                  \
    X(AT_SSL, "ssl")                                                      \
    X(AT_HELLO, "client-hello")                                           \
    X(AT_NAME, "servername")                                              \
    X(AT_ALPN, "alpn")                                                    \
    X(AT_STATUS, "status")                                                \
    X(AT_ADDED, "extension-added")                                        \
    X(AT_PARSED, "extension-parsed")                                      \
    X(AT_KEYLOG, "keylog")                                                \
    X(AT_CERT_CB, "cert-cb")                                              \
    X(AT_CLIENT_CERT, "client-cert-cb")                                   \
    X(AT_MESSAGE, "message")                                              \
    X(AT_INFO, "info")                                                    \
    X(AT_VERIFY, "verify") /* of each certificate */                      \
    X(AT_CHECK, "cert-verify")                                            \
    X(AT_SECURITY, "security") /* and asks ours */                        \
    X(AT_RESUMABLE, "not-resumable")                                      \
    X(AT_TICKET_KEY, "ticket-key")                                        \
    X(AT_TICKET, "ticket") /* SSL_CTX_set_session_ticket_cb */            \
    X(AT_PSK, "psk")                                                      \
    X(AT_SESSION_ID, "session-id") /* SSL_CTX_set_generate_session_id */  \
    X(AT_LOOK_UP, "session-look-up")                                      \
    X(AT_NEW_SESSION, "new-session")                                      \
    X(AT_PADDING, "padding") /* of records */                             \
    X(AT_EARLY, "allow-early-data")                                       \
    X(AT_COOKIE, "cookie")                                                \
    X(AT_OWN_CHAIN, "own-chain") /* X509_STORE_set_verify_cb */           \
    X(AT_BIO, "bio")             /* each read and write of the network */ \
    X(AT_BETWEEN, "between")     /* two calls of libssl */                \
    X(AT_END, "end")             /* of the handshake, before the data */

/* The calls of that place in which it does so. */
#define CALLS(X)                \
    X(CALL_EACH, "each")        \
    X(CALL_1, "first")          \
    X(CALL_2, "second")         \
    X(CALL_3, "third")          \
    X(CALL_FROM_4, "fourth-on") \
    X(CALL_FROM_8, "eighth-on")

/* Its own verify mode. */
#define MODES(X)                                     \
    X(MODE_NONE, "none")                             \
    X(MODE_PEER, "peer")                             \
    X(MODE_DEMAND, "demand")                         \
    X(MODE_LATER, "post-handshake")                  \
    X(MODE_ACCEPT, "accept") /* callback says yes */ \
    X(MODE_ONCE, "once")

#define CIPHERS(X)                                                       \
    X(CIPHERS_USUAL, "usual")                                            \
    X(CIPHERS_ALL, "all")       /* also anonymous and pre-shared ones */ \
    X(CIPHERS_DHE, "dhe-first") /* DHE before ECDHE */                   \
    X(CIPHERS_RSA, "rsa-first") /* an RSA key exchange before others */

/* The life of its SSL before the handshake in question. */
#define LIVES(X)                                                                                   \
    X(LIFE_FRESH, "fresh")                                                                         \
    X(LIFE_CLEARED, "cleared")                     /* after an allowed peer */                     \
    X(LIFE_CLEARED_SITE, "cleared-site")           /* it was ordinary */                           \
    X(LIFE_REUSED, "reused")                       /* as cleared, by SSL_set_accept_state alone */ \
    X(LIFE_COPIED, "copied")                       /* SSL_dup */                                   \
    X(LIFE_RENEGOTIATED, "renegotiated")           /* by the peer, allowed at first */             \
    X(LIFE_RENEGOTIATING, "renegotiating")         /* by the application */                        \
    X(LIFE_RENEGOTIATED_SITE, "renegotiated-site") /* it was ordinary */                           \
    X(LIFE_POST_HANDSHAKE, "post-handshake")                                                       \
    X(LIFE_RESUMED, "resumed")           /* the session of an allowed peer */                      \
    X(LIFE_RESUMED_SITE, "resumed-site") /* from before it was governed */                         \
    X(LIFE_CACHE, "cache")               /* an external cache, shared with another process */      \
    X(LIFE_TICKET_KEYS, "ticket-keys")   /* of another process */                                  \
    X(LIFE_LISTENING, "listening")       /* DTLSv1_listen, SSL_stateless */                        \
    X(LIFE_ASYNC, "async")

/* How the application looks at its SSL or its peer beside the handshake. */
#define LOOKS(X)                                                                    \
    X(LOOK_NOWHERE, "nowhere")                                                      \
    X(LOOK_AT_CIPHERS, "ciphers") /* SSL_get1_supported_ciphers before it begins */ \
    X(LOOK_INSIDE, "inside")      /* at its peer, in its `place` */                 \
    X(LOOK_AT_FRIEND, "friend")   /* there, at the certificate of the allowed */    \
    X(LOOK_AFTER, "after")        /* at both kinds, afterwards */                   \
    X(LOOK_OUTLIVES, "outlives")  /* by a context that is freed after its SSL */    \
    X(LOOK_REVIVES, "revives")    /* it sees a failure, and goes on all the same */

/* How the application drives its SSL. */
#define DRIVES(X)                                                             \
    X(DRIVE_HANDSHAKE, "handshake")                                           \
    X(DRIVE_DATA, "data")     /* SSL_write and SSL_read alone */              \
    X(DRIVE_EARLY, "early")   /* SSL_read_early_data, SSL_write_early_data */ \
    X(DRIVE_NARROW, "narrow") /* by a pipe of a few bytes */                  \
    X(DRIVE_WAIT, "wait")     /* its callbacks for certificates and hellos wait at first */

/* The host name that the client asks for. */
#define NAMES(X)                                        \
    X(NAME_NONE, "none")                                \
    X(NAME_SERVICE, "service") /* the allowed peer's */ \
    X(NAME_OTHER, "other-service")                      \
    X(NAME_SITE, "site")

#define PEERS(X)                                                                         \
    X(PEER_ALLOWED, "allowed")                                                           \
    X(PEER_NONE, "none") /* without a certificate */                                     \
    X(PEER_SELF_SIGNED, "self-signed")                                                   \
    X(PEER_CLAIMANT, "claimant")   /* self-signed, with the SPIFFE ID of the allowed */  \
    X(PEER_FOREIGN, "foreign")     /* the same of another CA */                          \
    X(PEER_DENIED, "denied")       /* by an intention, which counts for clients */       \
    X(PEER_OTHER, "other-service") /* likewise denied as a client */                     \
    X(PEER_GATEWAY, "gateway")     /* of the mesh, and no service */                     \
    X(PEER_OTHER_MESH, "other-mesh")                                                     \
    X(PEER_EXPIRED, "expired")                                                           \
    X(PEER_NOT_YET, "not-yet")                                                           \
    X(PEER_PURPOSE, "purpose")     /* a leaf for the other end */                        \
    X(PEER_NAMED, "named")         /* the allowed, with the DNS name of a site */        \
    X(PEER_SUBJECT, "subject")     /* the allowed, with the subject of a user */         \
    X(PEER_ODD, "odd-id")          /* of Consul's CA, with a URI that is no SPIFFE ID */ \
    X(PEER_KEY, "key")             /* a pre-shared one */                                \
    X(PEER_RAW_KEY, "raw-key")     /* RFC 7250, from OpenSSL 3.2 on */                   \
    X(PEER_RSA, "rsa")             /* the allowed, with an RSA key */                    \
    X(PEER_SITE_RSA, "site-rsa")   /* self-signed, likewise */                           \
    X(PEER_OF_WEB, "web-only")     /* denied by the other service */                     \
    X(PEER_OF_OTHER, "other-only") /* allowed by that alone */

/* The kind of certificate that the peer would rather see, of two. */
#define PREFERRED(X) X(PREFERS_EC, "ec") X(PREFERS_RSA, "rsa")

#define AXES_OF(X)                      \
    X(ROLE, "role", ROLES)              \
    X(GOVERNED, "governed", GOVERNS)    \
    X(PROTOCOL, "protocol", PROTOCOLS)  \
    X(GIVEN, "given", GIVENS)           \
    X(BETWEEN, "between", BETWEENS)     \
    X(SECURITY, "security", SECURITIES) \
    X(HELLO, "hello", HELLOS)           \
    X(MESSAGE, "message", MESSAGES)     \
    X(SESSION, "session", SESSIONS)     \
    X(CHECK, "check", CHECKS)           \
    X(INFO, "info", INFOS)              \
    X(TAKE, "take", TAKINGS)            \
    X(PLACE, "place", PLACES)           \
    X(CALL, "call", CALLS)              \
    X(MODE, "mode", MODES)              \
    X(CIPHER, "ciphers", CIPHERS)       \
    X(LIFE, "life", LIVES)              \
    X(LOOK, "look", LOOKS)              \
    X(DRIVE, "drive", DRIVES)           \
    X(NAME, "name", NAMES)              \
    X(PEER, "peer", PEERS)              \
    X(PREFERS, "prefers", PREFERRED)

#define CONSTANT(name, text) name,
enum role { ROLES(CONSTANT) };
enum governs { GOVERNS(CONSTANT) };
enum protocol { PROTOCOLS(CONSTANT) };
enum given { GIVENS(CONSTANT) };
enum between { BETWEENS(CONSTANT) };
enum security { SECURITIES(CONSTANT) };
enum hello { HELLOS(CONSTANT) };
enum message { MESSAGES(CONSTANT) };
enum session { SESSIONS(CONSTANT) };
enum check { CHECKS(CONSTANT) };
enum info { INFOS(CONSTANT) };
enum taking { TAKINGS(CONSTANT) };
enum place { PLACES(CONSTANT) };
enum call { CALLS(CONSTANT) };
enum mode { MODES(CONSTANT) };
enum ciphers { CIPHERS(CONSTANT) };
enum life { LIVES(CONSTANT) };
enum look { LOOKS(CONSTANT) };
enum drive { DRIVES(CONSTANT) };
enum name { NAMES(CONSTANT) };
enum peer { PEERS(CONSTANT) };
enum preferred { PREFERRED(CONSTANT) };
#undef CONSTANT

/* The certificate of the application that its peer has seen in the end. An ordinary one may have the other leaf beside it. */
enum shown { SHOWN_NONE, SHOWN_ORDINARY, SHOWN_BESIDE_OTHER, SHOWN_OWN, SHOWN_OTHER };

#endif

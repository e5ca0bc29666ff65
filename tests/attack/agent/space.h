/* SPDX-License-Identifier: Apache-2.0 */
/* The values of all axes of an agent that gives a wrong answer. The first of an axis is as Consul does. */
#ifndef ATTACK_AGENT_SPACE_H
#define ATTACK_AGENT_SPACE_H

/* The question with the wrong answer. */
#define ENDPOINTS(X)             \
    X(OF_ROOTS, "roots")         \
    X(OF_LEAF, "leaf")           \
    X(OF_AUTHORIZE, "authorize") \
    X(OF_INTENTIONS, "intentions")

/* The program that asks it. */
#define ROLES(X) X(ROLE_SERVER, "server") X(ROLE_CLIENT, "client")

/* The answers before. */
#define WHENS(X)                                                                         \
    X(WHEN_FRESH, "fresh")   /* nothing */                                               \
    X(WHEN_KEPT, "kept")     /* right answers */                                         \
    X(WHEN_DENIED, "denied") /* right answers, and then a no to a friend */              \
    X(WHEN_ONCE, "once")     /* right answers; one wrong answer, and right ones again */ \
    X(WHEN_BUSY,                                                                         \
      "busy") /* right answers to so many handshakes that the process watches the intentions */

/* The setting on_agent_loss. */
#define LOSSES(X) X(LOSS_REFUSE, "refuse") X(LOSS_LAST_KNOWN, "last-known")

/* The place of a wrong value. The fields of an answer have numbers: answer.c has their names. */
#define FIELDS(X)                               \
    X(FIELD_0, "0")                             \
    X(FIELD_1, "1")                             \
    X(FIELD_2, "2")                             \
    X(FIELD_3, "3")                             \
    X(FIELD_UNKNOWN, "unknown") /* a new one */ \
    X(FIELD_ALL, "all")         /* the whole answer */

#define VALUES_OF_FIELDS(X)                                      \
    X(VALUE_RIGHT, "right")                                      \
    X(VALUE_MISSING, "missing")                                  \
    X(VALUE_NULL, "null")                                        \
    X(VALUE_TRUE, "true")                                        \
    X(VALUE_FALSE, "false")                                      \
    X(VALUE_ZERO, "zero")                                        \
    X(VALUE_ONE, "one")                                          \
    X(VALUE_HUGE_NUMBER, "huge-number")                          \
    X(VALUE_BAD_NUMBER, "bad-number")                            \
    X(VALUE_REAL, "real")                                        \
    X(VALUE_EMPTY_TEXT, "empty-text")                            \
    X(VALUE_TEXT, "text")                                        \
    X(VALUE_TRUE_TEXT, "true-text")                              \
    X(VALUE_LONG_TEXT, "long-text")                              \
    X(VALUE_NUL_ESCAPE, "nul-escape")                            \
    X(VALUE_SURROGATE, "surrogate")                              \
    X(VALUE_BAD_UTF_8, "bad-utf-8")                              \
    X(VALUE_NUL_BYTE, "nul-byte")                                \
    X(VALUE_FORMAT, "format")                                    \
    X(VALUE_ARRAY, "array")                                      \
    X(VALUE_OBJECT, "object")                                    \
    X(VALUE_NESTED, "nested")                                    \
    X(VALUE_RIGHT_WRONG, "right-then-wrong") /* the key twice */ \
    X(VALUE_WRONG_RIGHT, "wrong-then-right")                     \
    X(VALUE_OTHER_CASE, "other-case")                            \
    X(VALUE_IN_ARRAY, "in-array")                                \
    X(VALUE_IN_OBJECT, "in-object")                              \
    X(VALUE_CUT, "cut") /* a text at its middle */

#define BODIES(X)                                                      \
    X(BODY_WHOLE, "whole")                                             \
    X(BODY_EMPTY, "empty")                                             \
    X(BODY_BLANK, "blank")                                             \
    X(BODY_MARK, "byte-order-mark")                                    \
    X(BODY_TRAILING, "trailing-text")                                  \
    X(BODY_TWICE, "twice")                                             \
    X(BODY_TRUNCATED, "truncated") /* at the place of the axis `at` */ \
    X(BODY_FLIPPED, "flipped")     /* a bit there */                   \
    X(BODY_ZEROED, "zeroed")       /* a byte there */                  \
    X(BODY_COMMENT, "comment")                                         \
    X(BODY_SPACES, "spaces") /* 3 MB of them before it */              \
    X(BODY_TOO_LARGE, "too-large")                                     \
    X(BODY_ENDLESS, "endless")                                         \
    X(BODY_HTML, "html")                                               \
    X(BODY_BINARY, "binary")

#define FRAMES(X)                                                      \
    X(FRAME_LENGTH, "length")                                          \
    X(FRAME_NONE, "none") /* until the end of the connection */        \
    X(FRAME_LONG, "length-long")                                       \
    X(FRAME_SHORT, "length-short")                                     \
    X(FRAME_TWICE, "length-twice")                                     \
    X(FRAME_NEGATIVE, "length-negative")                               \
    X(FRAME_HUGE, "length-huge")                                       \
    X(FRAME_TEXT, "length-text")                                       \
    X(FRAME_CHUNKED, "chunked")                                        \
    X(FRAME_CHUNKED_BYTES, "chunked-bytes") /* a chunk a byte */       \
    X(FRAME_CHUNKED_BAD, "chunked-bad")                                \
    X(FRAME_CHUNKED_HUGE, "chunked-huge")                              \
    X(FRAME_CHUNKED_OPEN, "chunked-open") /* without the last chunk */ \
    X(FRAME_CHUNKED_LONG, "chunked-long-extension")                    \
    X(FRAME_CHUNKED_LENGTH, "chunked-and-length")                      \
    X(FRAME_GZIP, "gzip") /* it says */                                \
    X(FRAME_UNKNOWN, "unknown-encoding")

#define HEADS(X)                        \
    X(HEAD_USUAL, "usual")              \
    X(HEAD_NONE, "none") /* HTTP/0.9 */ \
    X(HEAD_VERSION_0, "http-1.0")       \
    X(HEAD_VERSION_2, "http-2")         \
    X(HEAD_VERSION_9, "http-9.9")       \
    X(HEAD_OTHER, "ssh")                \
    X(HEAD_GARBAGE, "garbage-before")   \
    X(HEAD_NO_REASON, "no-reason")      \
    X(HEAD_NO_COLON, "no-colon")        \
    X(HEAD_NUL, "nul")                  \
    X(HEAD_BARE_LF, "bare-lf")          \
    X(HEAD_FOLDED, "folded")            \
    X(HEAD_LONG_LINE, "long-line")      \
    X(HEAD_MANY, "many-lines")          \
    X(HEAD_ENDLESS, "endless")          \
    X(HEAD_CONTINUE, "100-continue")    \
    X(HEAD_UPGRADE, "101-upgrade")      \
    X(HEAD_DATE, "bad-date")

#define STATUSES(X)        \
    X(STATUS_200, "200")   \
    X(STATUS_201, "201")   \
    X(STATUS_203, "203")   \
    X(STATUS_204, "204")   \
    X(STATUS_206, "206")   \
    X(STATUS_301, "301")   \
    X(STATUS_302, "302")   \
    X(STATUS_304, "304")   \
    X(STATUS_307, "307")   \
    X(STATUS_400, "400")   \
    X(STATUS_401, "401")   \
    X(STATUS_403, "403")   \
    X(STATUS_404, "404")   \
    X(STATUS_429, "429")   \
    X(STATUS_500, "500")   \
    X(STATUS_503, "503")   \
    X(STATUS_599, "599")   \
    X(STATUS_999, "999")   \
    X(STATUS_0, "000")     \
    X(STATUS_LONG, "2000") \
    X(STATUS_TEXT, "OK")

/* The header X-Consul-Index. A process that gets one watches. */
#define INDEXES(X)                \
    X(INDEX_NONE, "none")         \
    X(INDEX_ONE, "one")           \
    X(INDEX_ZERO, "zero")         \
    X(INDEX_HUGE, "huge")         \
    X(INDEX_NEGATIVE, "negative") \
    X(INDEX_TEXT, "text")         \
    X(INDEX_TWICE, "twice")       \
    X(INDEX_RISING, "rising")

#define PACES(X)                                                       \
    X(PACE_AT_ONCE, "at-once")                                         \
    X(PACE_DRIP, "drip")                                               \
    X(PACE_HANG, "hang")                                               \
    X(PACE_HANG_IN_HEAD, "hang-in-head")                               \
    X(PACE_HANG_IN_BODY, "hang-in-body")                               \
    X(PACE_HANG_AT_END, "hang-at-end") /* the connection stays open */ \
    X(PACE_CLOSE, "close")                                             \
    X(PACE_CLOSE_IN_HEAD, "close-in-head")                             \
    X(PACE_CLOSE_IN_BODY, "close-in-body")                             \
    X(PACE_RESET, "reset")                                             \
    X(PACE_RESET_IN_HEAD, "reset-in-head")                             \
    X(PACE_RESET_IN_BODY, "reset-in-body")                             \
    X(PACE_UNREAD, "unread") /* closes before it has read the request */

/* A place in a text, in ninths of its length. */
#define PLACES_IN(X) \
    X(AT_0, "0")     \
    X(AT_1, "1")     \
    X(AT_2, "2")     \
    X(AT_3, "3")     \
    X(AT_4, "4")     \
    X(AT_5, "5")     \
    X(AT_6, "6")     \
    X(AT_7, "7")     \
    X(AT_8, "8")     \
    X(AT_9, "9")

#define AXES_OF(X)                      \
    X(ENDPOINT, "endpoint", ENDPOINTS)  \
    X(ROLE, "role", ROLES)              \
    X(WHEN, "when", WHENS)              \
    X(LOSS, "loss", LOSSES)             \
    X(FIELD, "field", FIELDS)           \
    X(VALUE, "value", VALUES_OF_FIELDS) \
    X(BODY, "body", BODIES)             \
    X(FRAME, "frame", FRAMES)           \
    X(HEAD, "head", HEADS)              \
    X(STATUS, "status", STATUSES)       \
    X(INDEX, "index", INDEXES)          \
    X(PACE, "pace", PACES)              \
    X(AT, "at", PLACES_IN)

#define CONSTANT(name, text) name,
enum endpoint { ENDPOINTS(CONSTANT) };
enum role { ROLES(CONSTANT) };
enum when { WHENS(CONSTANT) };
enum loss { LOSSES(CONSTANT) };
enum field { FIELDS(CONSTANT) };
enum value { VALUES_OF_FIELDS(CONSTANT) };
enum body { BODIES(CONSTANT) };
enum frame { FRAMES(CONSTANT) };
enum head { HEADS(CONSTANT) };
enum status { STATUSES(CONSTANT) };
enum index { INDEXES(CONSTANT) };
enum pace { PACES(CONSTANT) };
enum at { PLACES_IN(CONSTANT) };
#undef CONSTANT

#endif

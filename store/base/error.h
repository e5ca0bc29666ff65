/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors. A text says what happened, to which object, and how to mend it.
 *
 * Functions that take a consul_error return 1 on success. On failure they return 0 and record the
 * first error. NULL in the place of a consul_error is allowed everywhere. Any thread; an error
 * belongs to its caller.
 */
#ifndef CONSUL_BASE_ERROR_H
#define CONSUL_BASE_ERROR_H

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
    CONSUL_R_END /* the number after the last reason */
};

#define CONSUL_ERROR_TEXT_MAX 1024

/* An error of its caller's, all zeros at first. */
typedef struct consul_error {
    int reason;                       /* 0 without an error, else enum consul_reason */
    char text[CONSUL_ERROR_TEXT_MAX]; /* one line of printable ASCII, whatever its arguments were */
} consul_error;

/*
 * Record an error, unless an earlier one stands there. Return 0, for `return
 * consul_error_set(...)`.
 */
int consul_error_set(consul_error *err, int reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Put `format` before the text of an error that is already recorded. Return 0. */
int consul_error_prefix(consul_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Record a copy of `other`, unless an earlier error stands there. Return 0. */
int consul_error_copy(consul_error *err, const consul_error *other);

/*
 * Return the short name of a reason, as it stands on OpenSSL's error queue. The name is never NULL.
 */
const char *consul_reason_text(int reason);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame of a fuzz target. A target has one function, which takes an input and aborts where an invariant is
 * broken. libFuzzer calls it with inputs of its own making (tools/fuzz). replay.c calls it with the kept ones, in
 * the unit suite. One thread.
 */
#ifndef CONSUL_FUZZ_H
#define CONSUL_FUZZ_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

/* Abort unless the invariant holds. A sanitizer then shows the place. */
#define REQUIRE(invariant)                                                                    \
    do {                                                                                      \
        if (!(invariant)) {                                                                   \
            fprintf(stderr, "%s:%d: broken invariant: %s\n", __FILE__, __LINE__, #invariant); \
            abort();                                                                          \
        }                                                                                     \
    } while (0)

/* The one function of a target. Return 0. */
__attribute__((visibility("default"))) int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The part of an input that is still to be used. */
typedef struct fuzz_input {
    const uint8_t *data;
    size_t len; /* in bytes */
} fuzz_input;

/* Take one byte off the front, or 0 at the end. */
static inline unsigned fuzz_byte(fuzz_input *input)
{
    if (input->len == 0)
        return 0;
    input->len--;
    return *input->data++;
}

/* Take a text up to a stop byte or to the end, and return it for free(). A NUL in the text ends it, too. */
static inline char *fuzz_text(fuzz_input *input, char stop)
{
    const uint8_t *end = memchr(input->data, stop, input->len);
    size_t len = end == NULL ? input->len : (size_t)(end - input->data);
    char *text = malloc(len + 1);

    REQUIRE(text != NULL);
    memcpy(text, input->data, len);
    text[len] = '\0';
    input->data += len + (end != NULL);
    input->len -= len + (end != NULL);
    return text;
}

/* Require a text of printable ASCII. */
static inline void fuzz_require_printable(const char *text)
{
    for (; *text != '\0'; text++)
        REQUIRE((unsigned char)*text >= 0x20 && (unsigned char)*text < 0x7f);
}

/* Require what base/error.h promises of a call that has returned `ok`, and that OpenSSL's queue is as before. */
static inline void fuzz_require_result(int ok, const consul_error *err)
{
    REQUIRE(ok == 0 || ok == 1);
    REQUIRE(ok == (err->reason == 0));
    REQUIRE(ok || (err->reason >= CONSUL_R_OUT_OF_MEMORY && err->reason < CONSUL_R_END));
    REQUIRE(ok == (*err->text == '\0'));
    REQUIRE(strnlen(err->text, sizeof(err->text)) < sizeof(err->text));
    fuzz_require_printable(err->text);
    REQUIRE(ERR_peek_error() == 0);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/decode.h"

#include "agent/libraries.h"
#include "base/clock.h"
#include "base/name.h"
#include "identity/cert.h"
#include "identity/snapshots.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#define LIFE_MAX_S (366 * 24 * 3600) /* seconds of a token's life; longer lives are cut to that */
#define DEPTH_MAX 16                 /* nested arrays and objects; the deepest answer has 4 */

/*
 * Return true for a body that is not nested too deeply. jansson recurses up to 2048 times, and some
 * callers have little stack.
 */
static bool is_shallow(const char *body, size_t len)
{
    bool in_string = false;
    int depth = 0;
    size_t i;

    for (i = 0; i < len && depth <= DEPTH_MAX; i++) {
        if (in_string && body[i] == '\\')
            i++; /* over the escaped byte */
        else if (body[i] == '"')
            in_string = !in_string;
        else if (!in_string)
            depth += (body[i] == '[' || body[i] == '{') - (body[i] == ']' || body[i] == '}');
    }
    return depth <= DEPTH_MAX;
}

/* Return the bytes that an escape in a string stands for. The second half of a surrogate pair adds nothing. */
static size_t escaped_len(const char *escape)
{
    char digits[5] = "";
    unsigned long code;

    if (escape[1] != 'u')
        return 1;
    memcpy(digits, escape + 2, 4);
    code = strtoul(digits, NULL, 16);
    if (code >= 0xd800 && code < 0xe000)
        return code < 0xdc00 ? 4 : 0;
    return code < 0x80 ? 1 : code < 0x800 ? 2 : 3;
}

/* Return the length of all strings in a body, without escapes. The body is JSON. */
static size_t length_in_body(const char *body, size_t len)
{
    bool in_string = false;
    size_t total = 0, i;

    for (i = 0; i < len; i++) {
        if (body[i] == '"') {
            in_string = !in_string;
        } else if (in_string && body[i] == '\\') {
            total += escaped_len(body + i);
            i += body[i + 1] == 'u' ? 5 : 1;
        } else if (in_string) {
            total++;
        }
    }
    return total;
}

/* Return the length of all strings and names in a value. A loaded value is no deeper than DEPTH_MAX. */
static size_t length_in_json(json_t *json) /* NOLINT(misc-no-recursion): its depth is bounded */
{
    const char *name;
    json_t *value;
    size_t total = 0, i;

    json_object_foreach(json, name, value) {
        total += strlen(name) + length_in_json(value);
    }
    json_array_foreach(json, i, value) {
        total += length_in_json(value);
    }
    return json_is_string(json) ? json_string_length(json) : total;
}

/*
 * Load an answer. Without memory, jansson leaves single bytes out of a string, and goes on. So the lengths are
 * compared.
 */
json_t *consul_json_load_object(const char *body, size_t len, consul_error *err)
{
    json_error_t where;
    json_t *json;

    if (!consul_libraries_load(err)) /* the answer may be a sibling's */
        return NULL;
    if (!is_shallow(body, len)) {
        consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID, "nested deeper than %d", DEPTH_MAX);
        return NULL;
    }
    /* The SerialNumber of a root has 64 bits and no sign. It does not fit into jansson's integers. */
    json = json_loadb(body, len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &where);
    if (json == NULL)
        consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID, "not JSON: %s", where.text);
    else if (!json_is_object(json))
        consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID, "not a JSON object");
    else if (length_in_json(json) != length_in_body(body, len))
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "an answer");
    else
        return json;
    json_decref(json);
    return NULL;
}

static const char *get_text(const json_t *object, const char *name, consul_error *err)
{
    const char *text = json_string_value(json_object_get(object, name));

    if (text == NULL || *text == '\0') {
        consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID, "%s is missing, empty or not a string",
                         name);
        return NULL;
    }
    return text;
}

static bool trust_domain_is_valid(const char *text)
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");

    return len > 0 && len <= CONSUL_NAME_MAX && text[len] == '\0';
}

/*
 * Copy a trust domain in lower case, for OPENSSL_free. SPIFFE IDs have theirs in lower case, too.
 */
static char *lower_case(const char *text)
{
    char *copy = OPENSSL_strdup(text);

    if (copy != NULL)
        consul_lower_case(copy);
    return copy;
}

consul_roots *consul_roots_decode(const char *body, size_t len, OSSL_LIB_CTX *libctx,
                                  consul_error *err)
{
    json_t *json = consul_json_load_object(body, len, err), *list, *root;
    consul_roots *roots = NULL;
    const char *text;
    size_t i;

    if (json == NULL || (roots = consul_roots_new(libctx, err)) == NULL
        || (text = get_text(json, "TrustDomain", err)) == NULL)
        goto err;
    if (!trust_domain_is_valid(text)) {
        consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID,
                         "TrustDomain \"%.300s\" is not a trust domain", text);
        goto err;
    }
    if ((roots->trust_domain = lower_case(text)) == NULL) {
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the roots");
        goto err;
    }
    list = json_object_get(json, "Roots");
    if (json_array_size(list) == 0) {
        consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID,
                         "Roots is missing, empty or not an array");
        goto err;
    }
    json_array_foreach(list, i, root) {
        if ((text = get_text(root, "RootCert", err)) == NULL
            || !consul_certs_parse(text, libctx, roots->certs, err)) {
            consul_error_prefix(err, "root %zu: ", i);
            goto err;
        }
    }
    json_decref(json);
    return roots;

err:
    consul_roots_unref(roots);
    json_decref(json);
    return NULL;
}

/* Overwrite a text in its place, as jansson does not cleanse. */
static void cleanse_text(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    if (json_is_string(value))
        OPENSSL_cleanse((char *)(uintptr_t)json_string_value(value), json_string_length(value));
}

/* Decode the leaf's parts. The leaf comes first in CertPEM, and its intermediates follow. */
static int fill_leaf(consul_leaf *leaf, const json_t *json, OSSL_LIB_CTX *libctx, consul_error *err)
{
    const char *certs = get_text(json, "CertPEM", err);
    const char *key = certs == NULL ? NULL : get_text(json, "PrivateKeyPEM", err);
    int matches;

    if (key == NULL || !consul_certs_parse(certs, libctx, leaf->chain, err)
        || (leaf->key = consul_key_parse(key, libctx, err)) == NULL)
        return 0;
    if (!consul_certs_are_usable(leaf->chain))
        return consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID,
                                "OpenSSL cannot use the leaf or an intermediate of it");
    leaf->cert = sk_X509_shift(leaf->chain);
    ERR_set_mark();
    matches = X509_check_private_key(leaf->cert, leaf->key);
    ERR_pop_to_mark();
    if (matches != 1)
        return consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID,
                                "the private key does not belong to the leaf");
    consul_leaf_note_validity(leaf);
    if (!consul_spiffe_id_of_cert(leaf->cert, &leaf->id, err)) {
        if (err != NULL)
            err->reason = CONSUL_R_AGENT_ANSWER_INVALID;
        return consul_error_prefix(err, "the leaf: ");
    }
    return 1;
}

consul_leaf *consul_leaf_decode(const char *body, size_t len, OSSL_LIB_CTX *libctx,
                                consul_error *err)
{
    json_t *json = consul_json_load_object(body, len, err);
    consul_leaf *leaf = json == NULL ? NULL : consul_leaf_new(err);

    if (leaf != NULL && !fill_leaf(leaf, json, libctx, err)) {
        consul_leaf_unref(leaf);
        leaf = NULL;
    }
    cleanse_text(json, "PrivateKeyPEM");
    json_decref(json);
    return leaf;
}

int consul_verdict_decode(const char *body, size_t len, bool *authorized, char *reason,
                          size_t reason_size, consul_error *err)
{
    json_t *json = consul_json_load_object(body, len, err);
    const json_t *yes;
    const char *text;
    int ok = 0;

    *authorized = false;
    if (json == NULL)
        return 0;
    yes = json_object_get(json, "Authorized");
    if (!json_is_boolean(yes)) {
        consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID,
                         "Authorized is missing or not a boolean");
    } else {
        *authorized = json_is_true(yes);
        text = json_string_value(json_object_get(json, "Reason"));
        OPENSSL_strlcpy(reason, text == NULL ? "no reason given" : text, reason_size);
        ok = 1;
    }
    json_decref(json);
    return ok;
}

/* Copy the token. Only printable characters may stand in a header line. */
static int copy_token(const json_t *json, char *token, size_t size, consul_error *err)
{
    const char *text = get_text(json, "SecretID", err);
    size_t i;

    if (text == NULL)
        return 0;
    for (i = 0; text[i] > 0x20 && text[i] < 0x7f && i + 1 < size; i++)
        token[i] = text[i];
    token[i] = '\0';
    return text[i] == '\0'
           || consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID, "SecretID is no token");
}

/* Compute the life of a token. Both moments are by the clock of Consul, so that no other clock counts. */
static int decode_life(const json_t *json, int64_t *life, consul_error *err)
{
    const char *end = json_string_value(json_object_get(json, "ExpirationTime"));
    const char *begin = json_string_value(json_object_get(json, "CreateTime"));
    int64_t ends, began;

    *life = 0;
    if (json_object_get(json, "ExpirationTime") == NULL)
        return 1;
    if (end == NULL || begin == NULL || !consul_time_parse(end, &ends)
        || !consul_time_parse(begin, &began) || ends <= began)
        return consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID,
                                "CreateTime and ExpirationTime tell no life of the token");
    *life = (ends - began < LIFE_MAX_S ? ends - began : LIFE_MAX_S) * 1000;
    return 1;
}

int consul_login_decode(const char *body, size_t len, char *token, size_t size, int64_t *life,
                        consul_error *err)
{
    json_t *json = consul_json_load_object(body, len, err);
    int ok = json != NULL && copy_token(json, token, size, err) && decode_life(json, life, err);

    if (!ok)
        OPENSSL_cleanse(token, size);
    cleanse_text(json, "SecretID");
    json_decref(json);
    return ok;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/curl_tls.h"

#include "agent/libraries.h"
#include "agent/symbols.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/ssl.h>

bool consul_curl_tls_is_ours(void)
{
    void (*ours)(SSL_CTX *, SSL_CTX_keylog_cb_func) = SSL_CTX_set_keylog_callback;
    const void *theirs = consul_libraries_curl_symbol("SSL_CTX_set_keylog_callback");
    const char *file;
    void *address;

    memcpy(&address, &ours, sizeof(address));
    return theirs != NULL
           && consul_address_object(theirs, &file) == consul_address_object(address, &file);
}

/* Fill in a pointer to a function of the libcrypto of libcurl. */
static bool find(void *function, const char *name)
{
    void *found = consul_libraries_curl_symbol(name);

    memcpy(function, &found, sizeof(found));
    return found != NULL;
}

void *consul_curl_tls_begin(void)
{
    static OSSL_LIB_CTX *kept; /* libcurl keeps algorithms of it */
    int (*init)(uint64_t options, const void *settings);
    OSSL_LIB_CTX *(*new_context)(void), *(*set_default)(OSSL_LIB_CTX *);

    if (consul_curl_tls_is_ours() || !find(&init, "OPENSSL_init_crypto")
        || !find(&new_context, "OSSL_LIB_CTX_new")
        || !find(&set_default, "OSSL_LIB_CTX_set0_default"))
        return NULL;
    init(OPENSSL_INIT_LOAD_CONFIG, NULL);
    kept = new_context();
    return set_default(kept);
}

void consul_curl_tls_end(void *before)
{
    OSSL_LIB_CTX *(*set_default)(OSSL_LIB_CTX *);

    if (before != NULL && find(&set_default, "OSSL_LIB_CTX_set0_default"))
        set_default(before);
}

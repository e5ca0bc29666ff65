/* SPDX-License-Identifier: Apache-2.0 */
#include "check/probe.h"

#include "common/arguments.h"
#include "common/conf.h"
#include "common/pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>

/* Print the oldest errors of the queue, one a line: OpenSSL adds its own to the provider's. */
static int print_errors(const char *what)
{
    const char *data;
    unsigned long code;
    int flags;

    fprintf(stderr, "%s\n", what);
    while ((code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
        const char *reason = ERR_reason_error_string(code);

        fprintf(stderr, "%s%s%s\n", reason == NULL ? "an error" : reason,
                (flags & ERR_TXT_STRING) != 0 && *data != '\0' ? ": " : "",
                (flags & ERR_TXT_STRING) != 0 ? data : "");
    }
    return EXIT_FAILURE;
}

static int load_config(const char *application)
{
    OPENSSL_INIT_SETTINGS *settings = OPENSSL_INIT_new();
    int ok = settings != NULL && OPENSSL_INIT_set_config_appname(settings, application)
             && OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, settings);

    OPENSSL_INIT_free(settings);
    return ok;
}

static int serve(SSL *ssl)
{
    int ok = SSL_accept(ssl) == 1 && SSL_write(ssl, "1", 1) == 1;

    if (!ok)
        return print_errors("the server has refused the client");
    SSL_shutdown(ssl);
    return EXIT_SUCCESS;
}

int cli_probe_serve(const char *fd, const char *uri, const char *application)
{
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;
    SSL_CTX *ctx = NULL;
    SSL *ssl = NULL;
    int code;

    if (!load_config(application))
        return print_errors("OpenSSL does not take the file");
    if (!OSSL_PROVIDER_available(NULL, CLI_PROVIDER))
        return print_errors("the provider is not active in a program with this file");
    if ((ctx = SSL_CTX_new(TLS_server_method())) == NULL || (key = cli_pair_key()) == NULL
        || (cert = cli_pair_cert("stand-in", uri, key)) == NULL
        || !SSL_CTX_use_certificate(ctx, cert) || !SSL_CTX_use_PrivateKey(ctx, key)
        || (ssl = SSL_new(ctx)) == NULL || !SSL_set_fd(ssl, (int)cli_number(fd, INT32_MAX)))
        code = print_errors("OpenSSL makes no server of TLS");
    else
        code = serve(ssl);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    X509_free(cert);
    EVP_PKEY_free(key);
    return code;
}

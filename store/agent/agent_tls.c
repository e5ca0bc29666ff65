/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent_tls.h"

#include "base/file.h"
#include "base/name.h"
#include "identity/cert.h"
#include "identity/cert_text.h"
#include "identity/spiffe.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define SET(option, value) (curl_easy_setopt(curl, (option), (value)) == CURLE_OK)
#define SET_TEXT(option, value) ((value) == NULL || SET(option, value))

/*
 * Have these parameters count alone, as for peers (identity/roots.c). libssl goes on to use the object that it has made, so
 * no other takes its place. Return false where a part fails.
 */
static bool set_parameters(X509_STORE_CTX *ctx)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    const SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());

    X509_VERIFY_PARAM_clear_flags(param, ~0UL);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
    X509_VERIFY_PARAM_set_depth(param, CONSUL_DEPTH_MAX);
    X509_VERIFY_PARAM_set_auth_level(param, SSL_get_security_level(ssl));
    return X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER) == 1
           && X509_VERIFY_PARAM_set_trust(param, X509_TRUST_SSL_SERVER) == 1;
}

/* Verify the chain of an agent. Set the error of the context otherwise. */
static int verify_chain(X509_STORE_CTX *ctx)
{
    int ok;

    if (!set_parameters(ctx)) {
        X509_STORE_CTX_set_error(ctx, X509_V_ERR_UNSPECIFIED);
        return 0;
    }
    ok = X509_verify_cert(ctx);
    /* The CA of agents may be Connect's, and each service has a leaf of that. */
    if (ok > 0 && !consul_cert_may_be_of_an_agent(X509_STORE_CTX_get0_cert(ctx))) {
        X509_STORE_CTX_set_error(ctx, X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }
    if (ok <= 0 || consul_chain_serves(X509_STORE_CTX_get0_chain(ctx), X509_PURPOSE_SSL_SERVER))
        return ok;
    X509_STORE_CTX_set_error(ctx, X509_V_ERR_INVALID_PURPOSE);
    return 0;
}

/* Verify the agent's certificate, and note what is wrong with it. */
static int verify_agent(X509_STORE_CTX *ctx, void *exchange)
{
    consul_exchange *x = exchange;
    char issuer[200], shown[200], from[CONSUL_DATE_MAX], until[CONSUL_DATE_MAX],
        now[CONSUL_TIME_MAX];
    int ok = verify_chain(ctx), error = X509_STORE_CTX_get_error(ctx);
    const X509 *cert = X509_STORE_CTX_get_current_cert(ctx);

    if (ok > 0 || cert == NULL)
        return ok;
    if (error == X509_V_ERR_APPLICATION_VERIFICATION) {
        snprintf(x->untrusted, sizeof(x->untrusted),
                 "it is a leaf of the mesh, and not an agent's");
    } else if (error == X509_V_ERR_CERT_HAS_EXPIRED || error == X509_V_ERR_CERT_NOT_YET_VALID) {
        consul_cert_date(X509_get0_notBefore(cert), from);
        consul_cert_date(X509_get0_notAfter(cert), until);
        consul_time_text(time(NULL), now);
        snprintf(x->untrusted, sizeof(x->untrusted),
                 "it is valid from %s until %s, and here it is %s; check this host's clock", from,
                 until, now);
    } else {
        X509_NAME_oneline(X509_get_issuer_name(cert), issuer, sizeof(issuer));
        snprintf(x->untrusted, sizeof(x->untrusted), "its issuer is \"%s\"",
                 consul_name_show(issuer, strlen(issuer), shown, sizeof(shown)));
    }
    return ok;
}

/*
 * Keep libcurl from writing the keys of this connection to SSLKEYLOGFILE. They would show the
 * token. Have libssl overwrite a record once it is read.
 */
static CURLcode prepare_tls(CURL *curl, void *ssl_ctx, void *exchange)
{
    SSL_CTX_set_keylog_callback(ssl_ctx, NULL);
    SSL_CTX_set_options(ssl_ctx, SSL_OP_CLEANSE_PLAINTEXT);
    SSL_CTX_set_cert_verify_callback(ssl_ctx, verify_agent, exchange);
    return CURLE_OK;
}

int consul_agent_tls_check(const consul_exchange *x, consul_error *err)
{
    const consul_settings *settings = x->agent->settings;
    const char *const files[][2] = {{"ca_file", settings->ca_file},
                                    {"client_cert", settings->client_cert},
                                    {"client_key", settings->client_key}};
    size_t i;

    for (i = 0; x->agent->address.https && i < sizeof(files) / sizeof(files[0]); i++) {
        if (files[i][1] != NULL && !consul_file_is_regular(files[i][1]))
            return consul_error_set(err, CONSUL_R_SETTING_INVALID, "%s: %s \"%s\": %s", x->source,
                                    files[i][0], files[i][1], consul_file_is_irregular);
    }
    return 1;
}

int consul_agent_tls_set(consul_exchange *x)
{
    const consul_settings *settings = x->agent->settings;
    CURL *curl = x->curl;
    /* Set both where either is configured. The other would have the system's CAs by default. */
    bool own_cas = settings->ca_file != NULL || settings->ca_path != NULL;

    /* Read the file anew for each connection. The multi handle of a watch keeps it for a day, since libcurl 7.87. */
    if (own_cas)
        curl_easy_setopt(curl, CURLOPT_CA_CACHE_TIMEOUT, 0L);
    /*
     * Resume no session, as no certificate is verified then. The multi handle of a watch keeps sessions, since libcurl 8.12.
     * A libcurl without OpenSSL fails here. It could not verify an agent by these rules, and asks by HTTP alone.
     */
    return ((SET(CURLOPT_SSL_CTX_FUNCTION, prepare_tls) && SET(CURLOPT_SSL_CTX_DATA, x))
            || !x->agent->address.https)
           && SET(CURLOPT_SSL_SESSIONID_CACHE, 0L)
           && SET(CURLOPT_SSL_VERIFYPEER, settings->tls_verify ? 1L : 0L)
           && SET(CURLOPT_SSL_VERIFYHOST, settings->tls_verify ? 2L : 0L)
           && SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2)
           && (!own_cas
               || (SET(CURLOPT_CAINFO, settings->ca_file)
                   && SET(CURLOPT_CAPATH, settings->ca_path)))
           && SET_TEXT(CURLOPT_SSLCERT, settings->client_cert)
           && SET_TEXT(CURLOPT_SSLKEY, settings->client_key);
}

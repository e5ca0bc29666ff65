/* SPDX-License-Identifier: Apache-2.0 */
#include "base/contradiction.h"

#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#define METHOD_MAX 128 /* bytes of the name of an auth method in Consul */

#define AT(member) offsetof(consul_settings, member)

void consul_note_configured(consul_configured *said, const consul_settings *settings,
                            const consul_option *option)
{
    said->token |= option->offset == AT(token);
    said->token_file |= option->offset == AT(token_file);
    said->ca_file |= option->offset == AT(ca_file);
    said->ca_path |= option->offset == AT(ca_path);
    said->tls_verify |= option->offset == AT(tls_verify);
    if ((option->type == CONSUL_OPTION_INBOUND && settings->inbound != CONSUL_DEMAND_OFF)
        || (option->type == CONSUL_OPTION_OUTBOUND && settings->outbound != CONSUL_DEMAND_OFF))
        said->demand = option;
    if ((option->offset == AT(ca_file) && settings->ca_file != NULL)
        || (option->offset == AT(ca_path) && settings->ca_path != NULL)
        || (option->offset == AT(client_cert) && settings->client_cert != NULL)
        || (option->offset == AT(tls_server_name) && settings->tls_server_name != NULL))
        said->https = option;
}

/* Drop a text of the environment, which may be a token. */
static void drop(char **text)
{
    OPENSSL_clear_free(*text, *text == NULL ? 0 : strlen(*text));
    *text = NULL;
}

/* Have configured CAs overrule the environment: its CAs, and its word that there is no need of them. */
static void overrule_cas(consul_settings *settings, const consul_configured *said)
{
    if (!said->ca_file && !said->ca_path)
        return;
    if (!said->ca_file)
        drop(&settings->ca_file);
    if (!said->ca_path)
        drop(&settings->ca_path);
    if (!said->tls_verify)
        settings->tls_verify = true;
}

/* Check the settings of a login. A configured login overrules the tokens of the environment. */
static int check_login(consul_settings *settings, const consul_configured *said, consul_error *err)
{
    const char *method = settings->login_method;

    if ((method == NULL) != (settings->login_bearer_file == NULL))
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "login_method and login_bearer_file: one is set without the other; "
                                "set both or neither");
    if (method == NULL)
        return 1;
    if (strlen(method) > METHOD_MAX
        || method[strspn(method,
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")]
               != '\0')
        return consul_error_set(
            err, CONSUL_R_SETTING_INVALID,
            "login_method = \"%.200s\": allowed are letters, digits, - and _, %d "
            "at most",
            method, METHOD_MAX);
    if ((said->token && settings->token != NULL)
        || (said->token_file && settings->token_file != NULL))
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "login_method gives a token, and so does %s: take one of them out",
                                said->token_file && settings->token_file != NULL ? "token_file"
                                                                                 : "token");
    drop(&settings->token);
    drop(&settings->token_file);
    return 1;
}

int consul_find_contradiction(consul_settings *settings, const consul_configured *said,
                              consul_error *err)
{
    if ((settings->client_cert == NULL) != (settings->client_key == NULL))
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "client_cert and client_key: one is set without the other; set "
                                "both or neither");
    if (said->demand != NULL && settings->service == NULL)
        return consul_error_set(
            err, CONSUL_R_SETTING_INVALID,
            "%s is for the connections of a service, and service is not set: set service too, or "
            "take %s out. A stand-in needs neither",
            said->demand->name, said->demand->name);
    if (said->https != NULL && !settings->tls && strncasecmp(settings->address, "https://", 8) != 0)
        return consul_error_set(
            err, CONSUL_R_SETTING_INVALID,
            "%s is for an agent that speaks HTTPS; address = \"%s\" does not say so: write "
            "https:// there, or set tls = yes",
            said->https->name,
            strchr(settings->address, '@') == NULL ? settings->address
                                                   : "(not shown: it may hold a password)");
    /* A configured token overrules a token file of the environment. */
    if (said->token && !said->token_file)
        drop(&settings->token_file);
    overrule_cas(settings, said);
    return check_login(settings, said, err);
}

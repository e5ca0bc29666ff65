/* SPDX-License-Identifier: Apache-2.0 */
#include "check/pair.h"

#include "base/file.h"
#include "check/as_user.h"
#include "identity/stand_in.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>

static const char make_pair[] = "make both files again: consul-tls stand-in SERVICE FOLDER";

static void read_one(const char *path, char *text, size_t size)
{
    const char *why;
    FILE *file = consul_file_open(path, &why);

    if (file == NULL)
        snprintf(text, size, "%s", why);
    else
        fclose(file);
}

/* Return a file's certificate; NULL without one. */
static X509 *read_cert(const char *path)
{
    const char *why;
    FILE *file = consul_file_open(path, &why);
    X509 *cert;

    ERR_set_mark();
    cert = file == NULL ? NULL : PEM_read_X509(file, NULL, NULL, NULL);
    ERR_pop_to_mark();
    if (file != NULL)
        fclose(file);
    return cert;
}

/* Return true for the key of a stand-in. No other key is decoded. */
static bool is_key(const char *path)
{
    const char *why;
    FILE *file = consul_file_open(path, &why);
    char line[256];
    bool found = false;

    while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL)
        found = strncmp(line, CONSUL_STAND_IN_LINE, strlen(CONSUL_STAND_IN_LINE)) == 0;
    OPENSSL_cleanse(line, sizeof(line));
    if (file != NULL)
        fclose(file);
    return found;
}

static bool check_readable(cli_chain *chain, const char *path)
{
    const char *user = cli_chain_option(chain, "user");
    char why[256];

    cli_as_user(user, read_one, path, why, sizeof(why));
    return *why == '\0'
           || cli_broken(chain, CLI_LINK_PAIR, "let the user of the program read the file",
                         "%s cannot be read by %s: %s", path, user == NULL ? "this user" : user,
                         why);
}

/* Judge the halves; `uri` is what the certificate says. */
static bool judge(cli_chain *chain, bool cert, bool key, const consul_uri *uri)
{
    const char *named = cli_chain_option(chain, "service");

    if (!cert && !key)
        return cli_broken(chain, CLI_LINK_PAIR, make_pair,
                          "neither the certificate nor the key is a stand-in's");
    if (!cert)
        return cli_broken(chain, CLI_LINK_PAIR, make_pair,
                          "the key is a stand-in's, and the certificate is an ordinary one: each "
                          "handshake fails");
    if (!key)
        return cli_broken(chain, CLI_LINK_PAIR, make_pair,
                          "the certificate is a stand-in's, and the key is an ordinary one: each "
                          "handshake fails");
    if (uri->kind != CONSUL_URI_LEAF)
        return cli_broken(chain, CLI_LINK_PAIR, make_pair,
                          "the certificate names no service, but another consul: URI");
    if (named != NULL && *uri->service != '\0' && strcmp(named, uri->service) != 0)
        return cli_broken(chain, CLI_LINK_PAIR, make_pair,
                          "the stand-in is for the service \"%s\", and not for \"%s\"",
                          uri->service, named);
    if (named == NULL) {
        OPENSSL_strlcpy(chain->service.name, uri->service, sizeof(chain->service.name));
        chain->service.scope = uri->scope;
    }
    return cli_ok(chain, CLI_LINK_PAIR, "a stand-in for \"%s\"", uri->service);
}

bool cli_check_pair(cli_chain *chain)
{
    const char *cert_path = cli_chain_option(chain, "cert");
    const char *key_path = cli_chain_option(chain, "key");
    consul_uri uri = {0};
    X509 *cert;
    bool ok;

    if (key_path == NULL)
        return cli_broken(chain, CLI_LINK_PAIR, "add --key FILE", "--cert has no --key beside it");
    if (!check_readable(chain, cert_path) || !check_readable(chain, key_path))
        return false;
    if ((cert = read_cert(cert_path)) == NULL)
        return cli_broken(chain, CLI_LINK_PAIR, make_pair, "%s has no certificate in PEM form",
                          cert_path);
    ok = judge(chain, consul_cert_stands_in(cert, &uri), is_key(key_path), &uri);
    X509_free(cert);
    return ok;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "check/file.h"

#include "base/file.h"
#include "check/as_user.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>

static void read_one(const char *path, char *text, size_t size)
{
    const char *why;
    FILE *file = consul_file_open(path, &why);

    if (file == NULL)
        snprintf(text, size, "%s", why);
    else if (fgetc(file) == EOF && ferror(file))
        snprintf(text, size, "%s", strerror(errno));
    if (file != NULL)
        fclose(file);
}

/* Name the line that OpenSSL does not read. */
static bool report_line(cli_chain *chain, const char *path)
{
    CONF *conf = NCONF_new(NULL);
    const char *reason;
    long line = -1;

    ERR_set_mark();
    NCONF_load(conf, path, &line);
    reason = ERR_reason_error_string(ERR_peek_last_error());
    cli_broken(chain, CLI_LINK_FILE,
               "mend that line, or write a new file: consul-tls config SERVICE",
               "OpenSSL cannot read line %ld of %s: %s", line, path,
               reason == NULL ? "no reason given" : reason);
    ERR_pop_to_mark();
    NCONF_free(conf);
    return false;
}

bool cli_check_file(cli_chain *chain)
{
    const char *path = chain->agent.conf.path, *user = cli_chain_option(chain, "user");
    char why[256];
    struct stat st;

    if (stat(path, &st) != 0 && (errno == ENOENT || errno == ENOTDIR))
        return cli_broken(
            chain, CLI_LINK_FILE,
            "write it: consul-tls config SERVICE >FILE; and set OPENSSL_CONF=FILE in the "
            "environment of the program",
            "there is no file %s", path);
    cli_as_user(user, read_one, path, why, sizeof(why));
    if (*why != '\0')
        return cli_broken(
            chain, CLI_LINK_FILE,
            "let the user of the program read the file and pass its folders: chmod, chown",
            "%s cannot be read by %s: %s", path, user == NULL ? "this user" : user, why);
    if (geteuid() == 0 && st.st_uid != 0)
        return cli_broken(chain, CLI_LINK_FILE,
                          "run this check as that user, or have root own the file: chown root",
                          "%s belongs to the user %u, who could have root load any module", path,
                          (unsigned)st.st_uid);
    if ((st.st_mode & S_IWOTH) != 0)
        return cli_broken(chain, CLI_LINK_FILE, "chmod o-w",
                          "every user of this host may change %s", path);
    if (geteuid() == 0 && (st.st_mode & S_IWGRP) != 0) /* an ACL shows in this bit, too */
        return cli_broken(
            chain, CLI_LINK_FILE, "chmod g-w",
            "the group %u, or a user of an ACL, may change %s, and could have root load any "
            "module",
            (unsigned)st.st_gid, path);
    if (!chain->agent.conf.is_read)
        return report_line(chain, path);
    if (*chain->agent.conf.file.passed_over != '\0')
        return cli_broken(chain, CLI_LINK_FILE,
                          "let the user of the program read that file, or take the .include out",
                          "OpenSSL passes over a file that %s includes: %s", path,
                          chain->agent.conf.file.passed_over);
    return cli_ok(chain, CLI_LINK_FILE, "%s is read by %s", path,
                  user == NULL ? "this user" : user);
}

static bool is_off(const char *value)
{
    return strcmp(value, "0") == 0 || strcasecmp(value, "no") == 0 || strcasecmp(value, "off") == 0
           || strcasecmp(value, "false") == 0;
}

/* Return the first row of the section with a second copy of the module, or NULL. */
static const char *find_second(const cli_conf *conf)
{
    STACK_OF(CONF_VALUE) *rows = NCONF_get_section(conf->file.conf, conf->providers);
    const char *module = cli_conf_value(conf, conf->section, "module"), *own;
    int i;

    own = module == NULL ? CLI_PROVIDER ".so" : module;
    own = strrchr(own, '/') == NULL ? own : strrchr(own, '/') + 1;
    for (i = 0; i < sk_CONF_VALUE_num(rows); i++) {
        const CONF_VALUE *row = sk_CONF_VALUE_value(rows, i);
        const char *other = cli_conf_value(conf, row->value, "module"), *name;

        if (other == NULL || strcmp(row->value, conf->section) == 0)
            continue;
        name = strrchr(other, '/') == NULL ? other : strrchr(other, '/') + 1;
        if (strcmp(name, own) == 0)
            return row->name;
    }
    return NULL;
}

/* Return true where the file activates a provider with cryptography of its own. */
static bool is_open(const cli_conf *conf)
{
    static const char *const with_crypto[] = {"default", "fips"};
    size_t i;

    for (i = 0; i < sizeof(with_crypto) / sizeof(with_crypto[0]); i++) {
        const char *section = cli_conf_value(conf, conf->providers, with_crypto[i]);

        if (section != NULL && cli_conf_value(conf, section, "activate") != NULL)
            return true;
    }
    return false;
}

bool cli_check_section(cli_chain *chain)
{
    static const char rewrite[] =
        "compare the file with a right one: consul-tls config SERVICE prints it";
    const cli_conf *conf = &chain->agent.conf;
    const char *activate, *second;

    if (conf->init == NULL)
        return cli_broken(chain, CLI_LINK_SECTION, rewrite,
                          "the file has no row %s above all sections that names a section of it",
                          conf->application);
    if (conf->providers == NULL)
        return cli_broken(chain, CLI_LINK_SECTION, rewrite,
                          "[%s] has no row providers that names a section of the file", conf->init);
    if (conf->section == NULL)
        return cli_broken(chain, CLI_LINK_SECTION, rewrite,
                          "[%s] has no row %s that names a section of the file", conf->providers,
                          CLI_PROVIDER);
    activate = cli_conf_value(conf, conf->section, "activate");
    if (activate == NULL || is_off(activate))
        return cli_broken(chain, CLI_LINK_SECTION, "write activate = 1 into that section",
                          "the section [%s] is not active", conf->section);
    if ((second = find_second(conf)) != NULL)
        return cli_broken(chain, CLI_LINK_SECTION, "leave one of the two rows",
                          "[%s] %s loads a second copy of the module", conf->providers, second);
    return cli_ok(
        chain, CLI_LINK_SECTION, "[%s] is active%s", conf->section,
        is_open(conf) ? "; the file is not closed, as it activates cryptography of its own" : "");
}

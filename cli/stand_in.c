/* SPDX-License-Identifier: Apache-2.0 */
/* The command stand-in: a certificate and a key that name a service, without a secret. */
#include "commands.h"

#include "base/file.h"
#include "common/pair.h"
#include "identity/stand_in.h"
#include "identity/uri.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#define KEY_MARK "Only the OpenSSL provider \"consul\" reads this key" /* it may be replaced */
#define PATH_SIZE 4096

typedef struct owner {
    uid_t uid;
    gid_t gid;
    bool is_set;
} owner;

static int find_owner(const char *name, owner *o, consul_error *err)
{
    const struct passwd *user = name == NULL ? NULL : getpwnam(name);

    if (name == NULL)
        return 1;
    if (user == NULL)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID, "no user has the name \"%s\"", name);
    o->uid = user->pw_uid;
    o->gid = user->pw_gid;
    o->is_set = true;
    return 1;
}

/* Write the URI of the leaf. An operand is escaped as a URI is. */
static int write_uri(const char *operand, char uri[CONSUL_URI_MAX], consul_error *err)
{
    consul_uri parsed;

    if (snprintf(uri, CONSUL_URI_MAX, "consul:leaf/%s", operand) >= CONSUL_URI_MAX)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "the name of the service is too long");
    return consul_uri_parse(uri, &parsed, err);
}

static bool write_cert(BIO *out, const char *service, const char *uri)
{
    EVP_PKEY *key = cli_pair_key();
    X509 *cert = key == NULL ? NULL : cli_pair_cert(service, uri, key);
    bool ok = cert != NULL
              && BIO_printf(out,
                            "A stand-in for the service \"%s\". It holds no secret. Each handshake "
                            "presents the live leaf of the service in its place.\n",
                            service)
                     > 0
              && PEM_write_bio_X509(out, cert);

    X509_free(cert);
    EVP_PKEY_free(key);
    return ok;
}

static bool write_key(BIO *out)
{
    return BIO_puts(out, KEY_MARK ". The key is no secret. \"unsupported\"? OPENSSL_CONF does not "
                                  "load it.\n" CONSUL_STAND_IN_BLOCK)
           > 0;
}

/* Refuse to replace a file, but for a stand-in's with --force. A key may be the only one of its kind. */
static int make_room(const char *path, bool force, consul_error *err)
{
    char text[1024] = "";
    const char *why;
    FILE *file;

    if (access(path, F_OK) != 0)
        return 1;
    if (!force)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "the file %s is there: name another folder, or add --force", path);
    if ((file = consul_file_open(path, &why)) != NULL) {
        text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
        fclose(file);
    }
    return strstr(text, KEY_MARK) != NULL || strstr(text, "A stand-in for the service") != NULL
           || consul_error_set(err, CONSUL_R_SETTING_INVALID,
                               "the file %s is no stand-in, and is not replaced: move it away",
                               path);
}

/* Write a file whole, or not at all. */
static int write_file(const char *path, BIO *text, mode_t mode, const owner *o, consul_error *err)
{
    char other[PATH_SIZE], *data;
    long len = BIO_get_mem_data(text, &data);
    int fd;

    if (snprintf(other, sizeof(other), "%s.new", path) >= (int)sizeof(other))
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "the name of the folder is too long");
    fd = open(other, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID, "%s cannot be written: %s", other,
                                strerror(errno));
    if (fchmod(fd, mode) != 0 || (o->is_set && fchown(fd, o->uid, o->gid) != 0)
        || write(fd, data, (size_t)len) != len || fsync(fd) != 0 || rename(other, path) != 0) {
        consul_error_set(err, CONSUL_R_SETTING_INVALID, "%s cannot be written: %s", path,
                         strerror(errno));
        close(fd);
        unlink(other);
        return 0;
    }
    close(fd);
    return 1;
}

/* The two files of a pair. */
typedef struct pair {
    char cert[PATH_SIZE - 8], key[PATH_SIZE - 8];
} pair;

static int name_files(const cli_arguments *arguments, const consul_service *service, pair *files,
                      consul_error *err)
{
    const char *folder = arguments->count == 2 ? arguments->operands[1] : ".";

    if (strchr(service->name, '/') != NULL || *service->name == '.')
        return consul_error_set(
            err, CONSUL_R_SETTING_INVALID,
            "\"%s\" is no name of a file: examples/stand-in shows how to make one by hand",
            service->name);
    if (snprintf(files->cert, sizeof(files->cert), "%s/%s.pem", folder, service->name)
            >= (int)sizeof(files->cert)
        || snprintf(files->key, sizeof(files->key), "%s/%s.key", folder, service->name)
               >= (int)sizeof(files->key))
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "the name of the folder is too long");
    return 1;
}

int cli_stand_in(const cli_arguments *arguments, consul_error *err)
{
    bool force = cli_option(arguments, "force") != NULL;
    BIO *cert = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_mem());
    char uri[CONSUL_URI_MAX];
    consul_service service;
    owner o = {0};
    pair files;
    int ok = 0;

    if (arguments->count < 1 || arguments->count > 2) {
        consul_error_set(err, CONSUL_R_SETTING_INVALID,
                         "the command takes a service and a folder: see consul-tls(1)");
        goto done;
    }
    if (!consul_service_parse(arguments->operands[0], &service, err)
        || !name_files(arguments, &service, &files, err)
        || !find_owner(cli_option(arguments, "owner"), &o, err)
        || !make_room(files.cert, force, err) || !make_room(files.key, force, err)
        || !write_uri(arguments->operands[0], uri, err))
        goto done;
    if (cert == NULL || key == NULL || !write_cert(cert, service.name, uri) || !write_key(key)) {
        consul_error_set(err, CONSUL_R_INTERNAL, "OpenSSL cannot make the certificate: %s",
                         ERR_reason_error_string(ERR_peek_last_error()));
        goto done;
    }
    if (!write_file(files.key, key, 0600, &o, err) || !write_file(files.cert, cert, 0644, &o, err))
        goto done;
    printf("%s\n%s\n", files.cert, files.key);
    ok = 1;

done:
    BIO_free(cert);
    BIO_free(key);
    return ok;
}

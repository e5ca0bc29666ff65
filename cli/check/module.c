/* SPDX-License-Identifier: Apache-2.0 */
#include "check/module.h"

#include "base/file.h"
#include "check/as_user.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <openssl/crypto.h>

/* Write the path at which OpenSSL looks for the module. */
static void find_path(const cli_conf *conf, char path[4096])
{
    const char *module = cli_conf_value(conf, conf->section, "module");
    const char *folder = secure_getenv("OPENSSL_MODULES");

    if (module == NULL)
        module = CLI_PROVIDER ".so";
    if (folder == NULL)
        folder = OPENSSL_info(OPENSSL_INFO_MODULES_DIR);
    if (*module == '/')
        snprintf(path, 4096, "%s", module);
    else
        snprintf(path, 4096, "%s/%s", folder == NULL ? "." : folder, module);
}

/* Read the ELF header; false for another kind of file. */
static bool read_header(const char *path, Elf64_Ehdr *header)
{
    const char *why;
    FILE *file = consul_file_open(path, &why);
    bool ok = file != NULL && fread(header, sizeof(*header), 1, file) == 1
              && memcmp(header->e_ident, ELFMAG, SELFMAG) == 0;

    if (file != NULL)
        fclose(file);
    return ok;
}

static void load(const char *path, char *text, size_t size)
{
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (module == NULL)
        snprintf(text, size, "%s", dlerror());
    else if (dlsym(module, "OSSL_provider_init") == NULL)
        snprintf(text, size, "it is no provider of OpenSSL");
}

static bool is_about_openssl(const char *why)
{
    return strncmp(why, "libssl.so", 9) == 0 || strncmp(why, "libcrypto.so", 12) == 0
           || strstr(why, "OPENSSL_") != NULL;
}

/* Name the reason of the loader's own words, and its cure. */
static bool report_load(cli_chain *chain, const char *why)
{
    const char *path = chain->module;
    struct statvfs fs;

    if (statvfs(path, &fs) == 0 && (fs.f_flag & ST_NOEXEC) != 0)
        return cli_broken(chain, CLI_LINK_MODULE,
                          "mount that file system without noexec, or put the module elsewhere",
                          "%s lies on a file system that is mounted noexec: %s", path, why);
    if (is_about_openssl(why))
        return cli_broken(chain, CLI_LINK_MODULE,
                          "install the package for this OpenSSL, or build the module with it",
                          "%s is built for another OpenSSL than %s: %s", path,
                          OpenSSL_version(OPENSSL_VERSION), why);
    if (strstr(why, "cannot open shared object file: No such file") != NULL)
        return cli_broken(chain, CLI_LINK_MODULE, "install the library that is missing",
                          "%s needs a library that is missing: %s", path, why);
    return cli_broken(chain, CLI_LINK_MODULE, "install the package again", "%s does not load: %s",
                      path, why);
}

bool cli_check_module(cli_chain *chain)
{
    const char *user = cli_chain_option(chain, "user"), *path = chain->module;
    Elf64_Ehdr own = {0}, header = {0};
    char why[1024];

    find_path(&chain->agent.conf, chain->module);
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return cli_broken(
            chain, CLI_LINK_MODULE,
            "install the package, or write an absolute path: module = /path/consul.so",
            "there is no module %s", path);
    cli_as_user(user, load, path, why, sizeof(why));
    if (strstr(why, "Permission denied") != NULL)
        return cli_broken(chain, CLI_LINK_MODULE, "chmod 644, and let the user pass its folders",
                          "%s cannot be read by %s", path, user == NULL ? "this user" : user);
    if (*why != '\0' && !read_header(path, &header))
        return cli_broken(chain, CLI_LINK_MODULE, "install the package again",
                          "%s is no shared library", path);
    if (*why != '\0' && read_header("/proc/self/exe", &own)
        && (own.e_machine != header.e_machine || own.e_ident[EI_CLASS] != header.e_ident[EI_CLASS]))
        return cli_broken(chain, CLI_LINK_MODULE,
                          "install the package for the architecture of this host",
                          "%s is built for another architecture (ELF machine %d, and not %d)", path,
                          header.e_machine, own.e_machine);
    if (*why != '\0')
        return report_load(chain, why);
    return cli_ok(chain, CLI_LINK_MODULE, "%s loads into %s", path,
                  OpenSSL_version(OPENSSL_VERSION));
}

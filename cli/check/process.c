/* SPDX-License-Identifier: Apache-2.0 */
#include "check/process.h"

#include "common/board.h"
#include "common/process.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#define MODULE_MARK "Consul Connect provider" /* the name that the module gives itself */

/* Findings in the maps of a process; NULL for no such file. */
typedef struct findings {
    const char *module, *second_module;
    const char *libcrypto, *other_libcrypto; /* the second one with another name */
    const char *library;                     /* of TLS, and not OpenSSL's */
} findings;

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

/* Return true for libcrypto.so.3, and for the names that bundles give it. */
static bool is_libcrypto(const char *path)
{
    return strncmp(base_of(path), "libcrypto", 9) == 0 && strstr(path, ".so") != NULL;
}

static bool is_other_library(const char *path)
{
    static const char *const names[] = {"libgnutls", "libnss3", "libmbedtls", "libwolfssl"};
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strncmp(base_of(path), names[i], strlen(names[i])) == 0)
            return true;
    }
    return false;
}

static void find_all(const cli_process *process, findings *f)
{
    size_t i;

    memset(f, 0, sizeof(*f));
    for (i = 0; i < process->count; i++) {
        const char *path = process->paths[i];

        if (is_libcrypto(path) && f->libcrypto == NULL)
            f->libcrypto = path;
        else if (is_libcrypto(path))
            f->other_libcrypto = path;
        else if (is_other_library(path))
            f->library = path;
        else if (!cli_process_file_has(process, path, MODULE_MARK)
                 && strcmp(base_of(path), CLI_PROVIDER ".so (deleted)") != 0)
            continue;
        else if (f->module == NULL)
            f->module = path;
        else
            f->second_module = path;
    }
}

/* Return the folder's length of this program's own libcrypto, and its path. */
static size_t own_folder(const char **path)
{
    void (*function)(void) = (void (*)(void))OPENSSL_init_crypto;
    static char whole[4096];
    void *address;
    Dl_info info;

    memcpy(&address, &function, sizeof(address));
    *path = "";
    if (dladdr(address, &info) != 0 && realpath(info.dli_fname, whole) != NULL)
        *path = whole;
    return (size_t)(base_of(*path) - *path);
}

static bool is_bundled(const char *libcrypto)
{
    const char *own;
    size_t len = own_folder(&own);

    return len == 0 || strncmp(libcrypto, own, len) != 0 || strchr(libcrypto + len, '/') != NULL;
}

static bool is_worker(const cli_process *process)
{
    return process->environment != NULL && process->environment_len == 0;
}

static bool report_static(cli_chain *chain, const cli_process *process, const findings *f)
{
    static const char cure[] =
        "install the program from the distribution, or built with the shared "
        "OpenSSL; doc/limits.md has more";
    const char *exe = process->paths[0];

    if (cli_process_file_has(process, exe, "OpenSSL 3.")
        || cli_process_file_has(process, exe, "OpenSSL 1."))
        return cli_broken(chain, CLI_LINK_PROCESS, cure,
                          "process %ld has an OpenSSL of its own inside %s, and not the shared one",
                          process->pid, exe);
    if (f->library != NULL)
        return cli_broken(chain, CLI_LINK_PROCESS, cure,
                          "process %ld has another library of TLS: %s", process->pid, f->library);
    return cli_broken(chain, CLI_LINK_PROCESS, cure,
                      "process %ld maps no OpenSSL: %s has no TLS, or TLS of its own", process->pid,
                      exe);
}

/* Report a program with the shared OpenSSL and without the module. */
static bool report_environment(cli_chain *chain, const cli_process *process)
{
    const char *conf = cli_process_variable(process, "OPENSSL_CONF");
    const char *path = chain->agent.conf.path;
    char cure[1024];

    snprintf(cure, sizeof(cure), "put OPENSSL_CONF=%.400s into its environment, and start it again",
             path);
    if (process->environment == NULL)
        return cli_broken(chain, CLI_LINK_PROCESS, "ask again as root",
                          "process %ld does not map the module, and its environment cannot be read",
                          process->pid);
    if (is_worker(process))
        return cli_broken(chain, CLI_LINK_PROCESS, cure,
                          "process %ld does not map the module, and its environment was cleared",
                          process->pid);
    if (conf == NULL)
        return cli_broken(
            chain, CLI_LINK_PROCESS, cure,
            "process %ld does not map the module: its environment has no OPENSSL_CONF",
            process->pid);
    if (strcmp(conf, path) != 0)
        return cli_broken(chain, CLI_LINK_PROCESS, cure,
                          "process %ld does not map the module: its OPENSSL_CONF is %s",
                          process->pid, conf);
    return cli_broken(chain, CLI_LINK_PROCESS,
                      "start the program again; a set-user-ID program reads no such variable",
                      "process %ld does not map the module, though its OPENSSL_CONF is %s",
                      process->pid, conf);
}

/* Return true where the process shows itself, and the reason why it refuses all TLS, or no text. */
static bool shows_itself(long pid, char refusal[PROV_BOARD_TEXT])
{
    bool found;
    cli_boards boards;

    *refusal = '\0';
    found = cli_boards_find(&boards, pid, NULL) && boards.count > 0;
    if (found)
        OPENSSL_strlcpy(refusal, boards.list[0].board.head.refusal, PROV_BOARD_TEXT);
    cli_boards_free(&boards);
    return found;
}

/*
 * Return true where a second OpenSSL of the system came with libcurl, and the module works with the program's. In a program
 * that the module is not for both are there, too. Such a process does not show itself.
 */
static bool has_two_of_the_system(long pid, const findings *f)
{
    char refusal[PROV_BOARD_TEXT];

    return f->module != NULL && !is_bundled(f->libcrypto) && !is_bundled(f->other_libcrypto)
           && shows_itself(pid, refusal);
}

static bool judge(cli_chain *chain, const cli_process *process)
{
    const char *conf = cli_process_variable(process, "OPENSSL_CONF");
    char cure[512], refusal[PROV_BOARD_TEXT];
    findings f;

    find_all(process, &f);
    if (f.libcrypto == NULL)
        return report_static(chain, process, &f);
    if (f.second_module != NULL)
        return cli_broken(chain, CLI_LINK_PROCESS, "have one file and one path load the module",
                          "process %ld maps a second copy of the module: %s and %s", process->pid,
                          f.module, f.second_module);
    if (f.other_libcrypto != NULL ? !has_two_of_the_system(process->pid, &f)
                                  : f.module == NULL && is_bundled(f.libcrypto))
        return cli_broken(chain, CLI_LINK_PROCESS,
                          "have the program take the system's libssl and libcrypto",
                          "process %ld has a bundled OpenSSL: %s%s%s", process->pid, f.libcrypto,
                          f.other_libcrypto == NULL ? "" : " and ",
                          f.other_libcrypto == NULL ? "" : f.other_libcrypto);
    if (f.module == NULL)
        return report_environment(chain, process);
    if (strstr(f.module, " (deleted)") != NULL)
        return cli_broken(chain, CLI_LINK_PROCESS, "start the program again",
                          "process %ld maps a module that was replaced: %s", process->pid,
                          f.module);
    if (conf != NULL && strcmp(conf, chain->agent.conf.path) != 0) {
        snprintf(cure, sizeof(cure), "check that file: --config %.400s", conf);
        return cli_broken(chain, CLI_LINK_PROCESS, cure,
                          "process %ld is governed by another file: OPENSSL_CONF is %s",
                          process->pid, conf);
    }
    if (shows_itself(process->pid, refusal) && *refusal != '\0')
        return cli_broken(chain, CLI_LINK_PROCESS, "mend the file, and start the program again",
                          "process %ld refuses all TLS: %s", process->pid, refusal);
    return cli_ok(chain, CLI_LINK_PROCESS, "%ld (%s) maps %s, with %s%s%s", process->pid,
                  process->paths[0], f.module, f.libcrypto,
                  f.other_libcrypto == NULL ? "" : " and ",
                  f.other_libcrypto == NULL ? "" : f.other_libcrypto);
}

bool cli_check_process(cli_chain *chain)
{
    const char *text = cli_chain_option(chain, "pid");
    cli_process process = {0};
    bool ok;

    if (cli_process_open(&process, cli_number(text, INT32_MAX)))
        ok = judge(chain, &process);
    else
        ok = cli_broken(chain, CLI_LINK_PROCESS, "give the number of a process, and ask as root",
                        "process %s cannot be read: %s", text, process.why);
    cli_process_close(&process);
    return ok;
}

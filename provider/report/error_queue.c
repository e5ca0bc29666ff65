/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors go to libcrypto directly and not through the core's upcalls. A handshake has no core handle at hand,
 * and its provider may have been unloaded.
 */
#include "report/error_queue.h"

#include "report/log.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include <openssl/err.h>

static const char NAME[] = "consul provider";

static int library;            /* our number; written once */
static const char *other_copy; /* the path of a module with our name; written once, too */

/* Find a library of our name among those that the process has registered before ours. */
static void find_other_copy(void)
{
    const char *name;
    Dl_info place;
    int other;

    for (other = ERR_LIB_USER; other < library; other++) {
        name = ERR_lib_error_string(ERR_PACK(other, 0, 0));
        if (name != NULL && strcmp(name, NAME) == 0)
            other_copy = dladdr(name, &place) != 0 ? place.dli_fname : "an unknown place";
    }
}

static void register_strings(void)
{
    static ERR_STRING_DATA strings[CONSUL_R_END - CONSUL_R_OUT_OF_MEMORY + 2];
    ERR_STRING_DATA *row = strings;
    int reason;

    library = ERR_get_next_error_library();
    find_other_copy();
    *row++ = (ERR_STRING_DATA){ERR_PACK(library, 0, 0), NAME};
    for (reason = CONSUL_R_OUT_OF_MEMORY; reason < CONSUL_R_END; reason++)
        *row++ = (ERR_STRING_DATA){ERR_PACK(library, 0, reason), consul_reason_text(reason)};
    if (!ERR_load_strings_const(strings))
        library = 0;
}

int prov_error_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, register_strings);
    return library != 0;
}

const char *prov_error_other_copy(void)
{
    return other_copy;
}

void prov_error_queue(const consul_error *err, const char *context)
{
    if (err->reason == 0)
        return;
    ERR_new();
    ERR_set_error(library, err->reason, "%s%s%s", context == NULL ? "" : context,
                  context == NULL ? "" : ": ", err->text);
}

void prov_error_raise(enum consul_log_level level, const char *event, const consul_error *err,
                      const char *context)
{
    if (err->reason == 0)
        return;
    prov_log_error(level, event, err, context);
    prov_error_queue(err, context);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl and jansson, loaded by their file names. The dynamic linker prefers a function of the host
 * to a library's function of the same name. ProFTPD has a json_delete of its own. So the module
 * has no reference to these libraries. It defines each function of the lists, for itself alone. The
 * definition calls the function of the very library. Any thread. A library is never unloaded.
 */
#ifndef CONSUL_AGENT_LIBRARIES_H
#define CONSUL_AGENT_LIBRARIES_H

#include "base/error.h"

#define CONSUL_CURL_FUNCTIONS(X) \
    X(curl_easy_cleanup)         \
    X(curl_easy_escape)          \
    X(curl_easy_getinfo)         \
    X(curl_easy_header)          \
    X(curl_easy_init)            \
    X(curl_easy_setopt)          \
    X(curl_easy_strerror)        \
    X(curl_free)                 \
    X(curl_getdate)              \
    X(curl_global_init)          \
    X(curl_global_init_mem)      \
    X(curl_multi_add_handle)     \
    X(curl_multi_cleanup)        \
    X(curl_multi_info_read)      \
    X(curl_multi_init)           \
    X(curl_multi_perform)        \
    X(curl_multi_poll)           \
    X(curl_multi_remove_handle)  \
    X(curl_multi_wait)           \
    X(curl_multi_wakeup)         \
    X(curl_slist_append)         \
    X(curl_slist_free_all)       \
    X(curl_url)                  \
    X(curl_url_cleanup)          \
    X(curl_url_get)              \
    X(curl_url_set)              \
    X(curl_url_strerror)

/* json_pack calls json_vpack_ex. */
#define CONSUL_JANSSON_FUNCTIONS(X) \
    X(json_array)                   \
    X(json_array_append_new)        \
    X(json_array_get)               \
    X(json_array_size)              \
    X(json_delete)                  \
    X(json_dumps)                   \
    X(json_get_alloc_funcs)         \
    X(json_loadb)                   \
    X(json_object_get)              \
    X(json_object_iter)             \
    X(json_object_iter_key)         \
    X(json_object_iter_next)        \
    X(json_object_iter_value)       \
    X(json_object_key_to_iter)      \
    X(json_object_set_new)          \
    X(json_set_alloc_funcs)         \
    X(json_string)                  \
    X(json_string_length)           \
    X(json_string_value)            \
    X(json_vpack_ex)

/* Note the root directory, so that a library that is missing in a later one has this reason. */
void consul_libraries_note_root(void);

/*
 * Load both libraries, once. Return 0 with an error where a library or a function is missing. No
 * function of the lists may be called then.
 */
int consul_libraries_load(consul_error *err);

/* Return a symbol of libcurl, or of a library that libcurl needs. Return NULL without such a symbol. */
void *consul_libraries_curl_symbol(const char *name);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#define CURL_DISABLE_TYPECHECK /* its macros would take the place of the definitions */

#include "agent/libraries.h"

#include "agent/cleansing.h"
#include "agent/symbols.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <curl/curl.h>
#include <jansson.h>
#include <openssl/crypto.h>

#undef curl_easy_getinfo
#undef curl_easy_setopt

#define LIBCURL "libcurl.so.4"
#define LIBJANSSON "libjansson.so.4"

#define POINTER(name) __typeof__(name) *name;
#define TEXT(name) #name,

static struct {
    CONSUL_CURL_FUNCTIONS(POINTER)
} curl;

static struct {
    CONSUL_JANSSON_FUNCTIONS(POINTER)
} jansson;

static const char *const curl_names[] = {CONSUL_CURL_FUNCTIONS(TEXT)};
static const char *const jansson_names[] = {CONSUL_JANSSON_FUNCTIONS(TEXT)};

/* More functions that libcurl calls by way of the dynamic linker. */
static const char *const curl_inner_names[] = {
    "curl_easy_recv",      "curl_ws_send",
    "curl_easy_duphandle", "curl_easy_unescape",
    "curl_escape",         "curl_getenv",
    "curl_maprintf",       "curl_mfprintf",
    "curl_mime_addpart",   "curl_mime_data",
    "curl_mime_data_cb",   "curl_mime_filedata",
    "curl_mime_filename",  "curl_mime_free",
    "curl_mime_headers",   "curl_mime_init",
    "curl_mime_name",      "curl_mime_subparts",
    "curl_mime_type",      "curl_msnprintf",
    "curl_multi_setopt",   "curl_multi_timeout",
    "curl_mvaprintf",      "curl_mvfprintf",
    "curl_mvsnprintf",     "curl_pushheader_byname",
    "curl_strequal",       "curl_strnequal",
    "curl_url_dup",
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static consul_error trouble; /* the reason not to use the libraries, written once */
static void *curl_library;   /* written once */
static struct stat old_root; /* of the first agent; zeros without one */

/*
 * Return true where a function of that name in this process is neither a libcurl's nor of this
 * object. The flavours of libcurl have versions, which keep them apart.
 */
static bool is_of_host(const char *name)
{
    static const char here;
    const char *file = NULL, *base;
    const void *object = consul_symbol_object(name, &file);

    if (object == NULL || object == consul_address_object(&here, &base))
        return false;
    base = strrchr(file, '/');
    return strncmp(base == NULL ? file : base + 1, "libcurl", strlen("libcurl")) != 0;
}

static bool host_has_one_of(const char *const *names, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (is_of_host(names[i]))
            return true;
    }
    return false;
}

/* Return true where malloc is not the C library's. */
static bool host_has_allocator(void)
{
    const char *file;

    return consul_symbol_object("malloc", &file)
           != consul_symbol_object("gnu_get_libc_version", &file);
}

/*
 * Return the flags to load libcurl with, or -1 with an error. libcurl calls functions of its own
 * by way of the dynamic linker, and so the host's. RTLD_DEEPBIND prevents this. It binds libcurl to
 * the C library's allocator, too. Memory would then be freed by another allocator than its own.
 */
static int curl_flags(void)
{
    int flags = RTLD_NOW | RTLD_LOCAL;

    if (!host_has_one_of(curl_names, COUNT(curl_names))
        && !host_has_one_of(curl_inner_names, COUNT(curl_inner_names)))
        return flags;
    if (!host_has_allocator())
        return flags | RTLD_DEEPBIND;
    consul_error_set(
        &trouble, CONSUL_R_INTERNAL,
        "this program has functions of libcurl and an allocator of its own, so that " LIBCURL
        " cannot be loaded beside them");
    return -1;
}

static void note_root(void)
{
    if (stat("/", &old_root) != 0)
        memset(&old_root, 0, sizeof(old_root));
}

void consul_libraries_note_root(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, note_root);
}

/* Return true where the program has another root directory than at its start. */
static bool has_other_root(void)
{
    struct stat now;

    return old_root.st_ino != 0
           && (stat("/", &now) != 0 || now.st_dev != old_root.st_dev
               || now.st_ino != old_root.st_ino);
}

/* Note why a library cannot be loaded. NULL is no reason. */
static void note_trouble(const char *file, const char *reason)
{
    if (reason == NULL)
        reason = "no reason was given";
    if (has_other_root())
        consul_error_set(&trouble, CONSUL_R_SETTING_INVALID,
                         "%s cannot be loaded: %s; this program has changed its root directory "
                         "(chroot): set service, and the library is loaded before that",
                         file, reason);
    else
        consul_error_set(&trouble, CONSUL_R_INTERNAL, "%s cannot be loaded: %s", file, reason);
}

/* Fill a table of function pointers from a library. Return the library. */
static void *fill(void *table, const char *const *names, size_t count, const char *file, int flags)
{
    void *library = flags == -1 ? NULL : dlopen(file, flags), *found;
    size_t i;

    if (library == NULL) {
        note_trouble(file, flags == -1 ? NULL : dlerror());
        return NULL;
    }
    for (i = 0; i < count; i++) {
        if ((found = dlsym(library, names[i])) == NULL)
            consul_error_set(&trouble, CONSUL_R_INTERNAL, "%s has no %s: install a newer one", file,
                             names[i]);
        memcpy((char *)table + i * sizeof(found), &found, sizeof(found));
    }
    return library;
}

/* Have jansson overwrite what it frees, unless the host has chosen functions for its memory. */
static void have_jansson_cleanse(void)
{
    json_malloc_t allocate;
    json_free_t release;

    jansson.json_get_alloc_funcs(&allocate, &release);
    if (allocate == malloc && release == free && consul_cleansing_is_possible())
        jansson.json_set_alloc_funcs(malloc, consul_cleansing_free);
}

/*
 * Have libcurl's OpenSSL begin now, if libcurl brings another one along. OpenSSL 3 takes itself down in a handler of exit.
 * The handler that ends our threads is installed later, and so comes first. Does what libcurl would do later.
 */
static void begin_other_openssl(void)
{
    void *found = dlsym(curl_library, "OPENSSL_init_crypto");
    __typeof__(OPENSSL_init_crypto) *ours = OPENSSL_init_crypto, *theirs;

    memcpy(&theirs, &found, sizeof(theirs));
    if (theirs != NULL && theirs != ours)
        theirs(OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL); /* without an option it does nothing */
}

static void load(void)
{
    _Static_assert(sizeof(curl) == COUNT(curl_names) * sizeof(void *), "a pointer for each name");
    curl_library = fill(&curl, curl_names, COUNT(curl_names), LIBCURL, curl_flags());
    fill(&jansson, jansson_names, COUNT(jansson_names), LIBJANSSON, RTLD_NOW | RTLD_LOCAL);
    if (trouble.reason == 0) {
        have_jansson_cleanse();
        begin_other_openssl();
    }
    dlerror(); /* the host finds no error of ours */
}

static void load_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, load);
}

int consul_libraries_load(consul_error *err)
{
    load_once();
    return trouble.reason == 0 || consul_error_copy(err, &trouble);
}

void *consul_libraries_curl_symbol(const char *name)
{
    void *found;

    load_once();
    found = curl_library == NULL ? NULL : dlsym(curl_library, name);
    dlerror();
    return found;
}

/* ---- the functions, each with the signature of its library ---- */

#define CALL(table, type, name, params, args) \
    type name params                          \
    {                                         \
        load_once();                          \
        return table.name args;               \
    }
#define RUN(table, name, params, args) \
    void name params                   \
    {                                  \
        load_once();                   \
        table.name args;               \
    }

/* The type of a URL to read, which is const in newer headers. */
typedef __typeof__(_Generic(curl_url_get, CURLUcode (*)(CURLU *, CURLUPart, char **, unsigned int)
                            : (CURLU *)NULL, default
                            : (const CURLU *)NULL)) got_url;

/* clang-format off */
RUN(curl, curl_easy_cleanup, (CURL *easy), (easy))
CALL(curl, char *, curl_easy_escape, (CURL *easy, const char *text, int len), (easy, text, len))
CALL(curl, CURLHcode, curl_easy_header,
     (CURL *easy, const char *name, size_t index, unsigned int origin, int request,
      struct curl_header **header),
     (easy, name, index, origin, request, header))
CALL(curl, CURL *, curl_easy_init, (void), ())
CALL(curl, const char *, curl_easy_strerror, (CURLcode code), (code))
RUN(curl, curl_free, (void *text), (text))
CALL(curl, time_t, curl_getdate, (const char *text, const time_t *unused), (text, unused))
CALL(curl, CURLcode, curl_global_init, (long flags), (flags))
CALL(curl, CURLcode, curl_global_init_mem,
     (long flags, curl_malloc_callback allocate, curl_free_callback release,
      curl_realloc_callback again, curl_strdup_callback copy, curl_calloc_callback zeroed),
     (flags, allocate, release, again, copy, zeroed))
CALL(curl, CURLMcode, curl_multi_add_handle, (CURLM *multi, CURL *easy), (multi, easy))
CALL(curl, CURLMcode, curl_multi_cleanup, (CURLM *multi), (multi))
CALL(curl, CURLMsg *, curl_multi_info_read, (CURLM *multi, int *left), (multi, left))
CALL(curl, CURLM *, curl_multi_init, (void), ())
CALL(curl, CURLMcode, curl_multi_perform, (CURLM *multi, int *running), (multi, running))
CALL(curl, CURLMcode, curl_multi_poll,
     (CURLM *multi, struct curl_waitfd fds[], unsigned int count, int timeout, int *ready),
     (multi, fds, count, timeout, ready))
CALL(curl, CURLMcode, curl_multi_remove_handle, (CURLM *multi, CURL *easy), (multi, easy))
CALL(curl, CURLMcode, curl_multi_wait,
     (CURLM *multi, struct curl_waitfd fds[], unsigned int count, int timeout, int *ready),
     (multi, fds, count, timeout, ready))
CALL(curl, CURLMcode, curl_multi_wakeup, (CURLM *multi), (multi))
CALL(curl, struct curl_slist *, curl_slist_append, (struct curl_slist *list, const char *line), (list, line))
RUN(curl, curl_slist_free_all, (struct curl_slist *list), (list))
CALL(curl, CURLU *, curl_url, (void), ())
RUN(curl, curl_url_cleanup, (CURLU *url), (url))
CALL(curl, CURLUcode, curl_url_get, (got_url handle, CURLUPart what, char **part, unsigned int flags),
     (handle, what, part, flags))
CALL(curl, CURLUcode, curl_url_set, (CURLU *handle, CURLUPart what, const char *part, unsigned int flags),
     (handle, what, part, flags))
CALL(curl, const char *, curl_url_strerror, (CURLUcode code), (code))

CALL(jansson, json_t *, json_array, (void), ())
CALL(jansson, int, json_array_append_new, (json_t *array, json_t *value), (array, value))
CALL(jansson, json_t *, json_array_get, (const json_t *array, size_t index), (array, index))
CALL(jansson, size_t, json_array_size, (const json_t *array), (array))
RUN(jansson, json_delete, (json_t *json), (json))
CALL(jansson, char *, json_dumps, (const json_t *json, size_t flags), (json, flags))
RUN(jansson, json_get_alloc_funcs, (json_malloc_t * allocate, json_free_t *release),
    (allocate, release))
RUN(jansson, json_set_alloc_funcs, (json_malloc_t allocate, json_free_t release),
    (allocate, release))
CALL(jansson, json_t *, json_loadb, (const char *text, size_t len, size_t flags, json_error_t *error),
     (text, len, flags, error))
CALL(jansson, json_t *, json_object_get, (const json_t *object, const char *key), (object, key))
CALL(jansson, void *, json_object_iter, (json_t *object), (object))
CALL(jansson, const char *, json_object_iter_key, (void *iter), (iter))
CALL(jansson, void *, json_object_iter_next, (json_t *object, void *iter), (object, iter))
CALL(jansson, json_t *, json_object_iter_value, (void *iter), (iter))
CALL(jansson, void *, json_object_key_to_iter, (const char *key), (key))
CALL(jansson, int, json_object_set_new, (json_t *object, const char *key, json_t *value), (object, key, value))
CALL(jansson, json_t *, json_string, (const char *text), (text))
CALL(jansson, size_t, json_string_length, (const json_t *string), (string))
CALL(jansson, const char *, json_string_value, (const json_t *string), (string))
CALL(jansson, json_t *, json_vpack_ex, (json_error_t *error, size_t flags, const char *format, va_list list),
     (error, flags, format, list))
/* clang-format on */

json_t *json_pack(const char *format, ...)
{
    va_list list;
    json_t *json;

    va_start(list, format);
    json = json_vpack_ex(NULL, 0, format, list);
    va_end(list);
    return json;
}

/* Set an option. The range of its number tells the type of the value. */
CURLcode curl_easy_setopt(CURL *easy, CURLoption option, ...)
{
    CURLcode code;
    va_list list;

    load_once();
    va_start(list, option);
    if (option < CURLOPTTYPE_OBJECTPOINT)
        code = curl.curl_easy_setopt(easy, option, va_arg(list, long));
    else if (option >= CURLOPTTYPE_OFF_T && option < CURLOPTTYPE_BLOB)
        code = curl.curl_easy_setopt(easy, option, va_arg(list, curl_off_t));
    else
        code = curl.curl_easy_setopt(easy, option, va_arg(list, void *));
    va_end(list);
    return code;
}

CURLcode curl_easy_getinfo(CURL *easy, CURLINFO info, ...)
{
    CURLcode code;
    va_list list;

    load_once();
    va_start(list, info);
    code = curl.curl_easy_getinfo(easy, info, va_arg(list, void *));
    va_end(list);
    return code;
}

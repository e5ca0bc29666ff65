/* SPDX-License-Identifier: Apache-2.0 */
/*
 * openssl.cnf, as the provider checks it. Its own table of rows holds what OpenSSL's table holds. No input leads to
 * another file. An .include with a path is left out, and the working directory is a removed one.
 */
#include "fuzz.h"

#include "config/check.h"
#include "config/file.h"

#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#define SECRET "hunter2-" /* the beginning of a value that stands in no error by chance */

static char path[32]; /* of a file without a name in any folder; "" at first */
static int file;

static void set_up(void)
{
    char folder[] = "/tmp/consul-fuzz-XXXXXX";

    REQUIRE(OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL));
    REQUIRE(mkdtemp(folder) != NULL && chdir(folder) == 0 && rmdir(folder) == 0);
    file = memfd_create("openssl.cnf", MFD_CLOEXEC);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    REQUIRE(file >= 0 && clearenv() == 0 && setenv("OPENSSL_CONF", path, 1) == 0);
}

static bool has_word(const uint8_t *data, size_t size, const char *word)
{
    return memmem(data, size, word, strlen(word)) != NULL;
}

/*
 * Return true where the word of a token stands in its row alone. Other rows are shown. OpenSSL joins a line to the one before, after
 * a backslash or a NUL byte.
 */
static bool is_secret(const uint8_t *data, size_t size)
{
    const uint8_t *row = memmem(data, size, "\ntoken = " SECRET, strlen("\ntoken = " SECRET));
    const uint8_t *word = memmem(data, size, SECRET, strlen(SECRET));

    return row != NULL && (row == data || row[-1] != '\\') && memchr(data, 0, size) == NULL
           && word == row + strlen("\ntoken = ")
           && !has_word(word + 1, size - (size_t)(word + 1 - data), SECRET);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Return the rows of a table as sorted lines, for free. */
static char *dump(const CONF *conf)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data, *text, *sorted, *line, **lines;
    size_t count = 0, i;
    long len;

    REQUIRE(bio != NULL && NCONF_dump_bio(conf, bio));
    len = BIO_get_mem_data(bio, &data);
    text = strndup(data, (size_t)len);
    sorted = calloc(1, (size_t)len + 2);
    lines = calloc((size_t)len + 1, sizeof(*lines));
    REQUIRE(text != NULL && sorted != NULL && lines != NULL);
    for (line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        lines[count++] = line;
    qsort(lines, count, sizeof(*lines), compare);
    for (i = 0, line = sorted; i < count; i++)
        line += sprintf(line, "%s\n", lines[i]);
    free(lines);
    free(text);
    BIO_free(bio);
    return sorted;
}

/* Require the table with repeated rows to hold the rows of OpenSSL's own. */
static void require_same_rows(void)
{
    CONF *plain = NCONF_new(NULL);
    config_file ours;
    int ok = config_file_read(&ours, path), plain_ok = NCONF_load(plain, path, NULL) > 0;

    REQUIRE(ok == plain_ok);
    if (ok) {
        char *one = dump(ours.conf), *other = dump(plain);

        REQUIRE(strcmp(one, other) == 0);
        free(one);
        free(other);
    }
    config_file_close(&ours);
    NCONF_free(plain);
    ERR_clear_error(); /* OpenSSL's, of the plain table */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char place[PROV_PLACE_MAX];
    consul_error err = {0}, again = {0};
    int ok;

    if (*path == '\0')
        set_up();
    if (has_word(data, size, "/")
        && (has_word(data, size, ".include") || has_word(data, size, ".pragma")))
        return 0;
    REQUIRE(ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == (ssize_t)size);
    ok = prov_config_check("consul", NULL, place, &err);
    ERR_clear_error(); /* OpenSSL's core has a mark around the start of a provider */
    fuzz_require_result(ok, &err);
    REQUIRE(ok == prov_config_check("consul", NULL, place, &again));
    REQUIRE(strcmp(err.text, again.text) == 0);
    if (size > 0 && is_secret(data, size))
        REQUIRE(strstr(err.text, SECRET) == NULL);
    require_same_rows();
    return 0;
}

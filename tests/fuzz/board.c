/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The board of another process, for consul-tls status and metrics. An input is a list of changes to a board. Each has an
 * offset of two bytes, a length of one, and the bytes. ld(1), --wrap, has /proc list this process alone.
 */
#include "fuzz.h"

#include "commands.h"
#include "common/board.h"

#include <dirent.h>
#include <sys/mman.h>
#include <unistd.h>

#include <jansson.h>

static prov_board *board; /* of this process, as the provider has it */
static int entries;       /* of /proc that were read */

/* Return the next entry of /proc. The build has the function for large files, on each machine. */
const struct dirent *__wrap_readdir64(DIR *folder);

const struct dirent *__wrap_readdir64(DIR *folder)
{
    static struct dirent own;

    snprintf(own.d_name, sizeof(own.d_name), "%d", (int)getpid());
    return entries++ == 0 ? &own : NULL;
}

static void make_board(fuzz_input *changes)
{
    if (board == NULL) {
        int fd = memfd_create(PROV_BOARD_NAME, MFD_CLOEXEC);

        REQUIRE(fd >= 0 && ftruncate(fd, sizeof(*board)) == 0);
        board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        REQUIRE(board != MAP_FAILED && close(fd) == 0);
    }
    memset(board, 0, sizeof(*board));
    board->magic = PROV_BOARD_MAGIC;
    board->processes[0].pid = (int32_t)getpid();
    while (changes->len > 3) {
        size_t offset = fuzz_byte(changes) | (size_t)fuzz_byte(changes) << 8,
               len = fuzz_byte(changes);

        for (; len > 0 && changes->len > 0 && offset < sizeof(*board); offset++, len--)
            ((unsigned char *)board)[offset] = (unsigned char)fuzz_byte(changes);
    }
}

/* Run a command, and return its output for free(). */
static char *run(int (*command)(const cli_arguments *arguments, consul_error *err),
                 const char *option)
{
    cli_arguments arguments = {.options = option != NULL, .names = {option}, .values = {""}};
    FILE *own = stdout;
    char *text = NULL;
    size_t len = 0;
    consul_error err = {0};

    entries = 0;
    stdout = open_memstream(&text, &len);
    REQUIRE(stdout != NULL);
    REQUIRE(command(&arguments, &err) == 1);
    fclose(stdout);
    stdout = own;
    REQUIRE(text != NULL && strlen(text) == len);
    return text;
}

static void require_lines(const char *text)
{
    for (; *text != '\0'; text++)
        REQUIRE(*text == '\n' || ((unsigned char)*text >= 0x20 && (unsigned char)*text < 0x7f));
}

/* Require name{label="value",...} number, with the quotes of a value escaped, or the name and the number alone. */
static void require_metric(const char *line, size_t len)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz_";
    const char *end = line + len, *p = line + strspn(line, letters);

    REQUIRE(p > line && (*p == '{' || *p == ' '));
    if (*p == ' ')
        return;
    do {
        p++;
        p += strspn(p, letters);
        REQUIRE(p[0] == '=' && p[1] == '"');
        for (p += 2; p < end && *p != '"'; p++) {
            if (*p == '\\')
                p++;
        }
        REQUIRE(p < end);
    } while (*++p == ',');
    REQUIRE(p[0] == '}' && p[1] == ' ');
    p += 2 + (p[2] == '-');
    REQUIRE(p + strspn(p, "0123456789") == end);
}

static void require_metrics(const char *text)
{
    size_t len;

    for (; *text != '\0'; text += len + 1) {
        len = strcspn(text, "\n");
        if (*text != '#')
            require_metric(text, len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input changes = {data, size};
    char *text;
    json_t *json;

    make_board(&changes);
    text = run(cli_status, NULL);
    require_lines(text);
    free(text);
    text = run(cli_status, "json");
    json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    REQUIRE(json_is_array(json));
    json_decref(json);
    free(text);
    text = run(cli_metrics, NULL);
    require_lines(text);
    require_metrics(text);
    free(text);
    return 0;
}

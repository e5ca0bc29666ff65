/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run a fuzz target over kept inputs: replay FILE|FOLDER... The unit suite does so with each compiler and each
 * sanitizer. An input that breaks an invariant aborts the program, after its path has been printed.
 */
#include "fuzz.h"

#include <ftw.h>
#include <sys/stat.h>

#define OPEN_FOLDERS 16

static unsigned long count; /* of inputs so far */

/* Run the target over one file. Return 0, or -1 for a file that cannot be read. */
static int run(const char *path, size_t size)
{
    FILE *file = fopen(path, "re");
    uint8_t *data = malloc(size + 1);
    int ok = file != NULL && data != NULL && fread(data, 1, size, file) == size;

    if (ok) {
        uint8_t *exact = malloc(size); /* a sanitizer sees a read of the byte after it */

        printf("%s\n", path);
        fflush(stdout);
        REQUIRE(exact != NULL || size == 0);
        if (size > 0)
            memcpy(exact, data, size);
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
        count++;
    }
    free(data);
    if (file != NULL)
        fclose(file);
    return ok ? 0 : -1;
}

static int visit(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    return kind == FTW_F ? run(path, (size_t)status->st_size) : 0;
}

int main(int argc, char **argv)
{
    int i;

    for (i = 1; i < argc; i++) {
        if (nftw(argv[i], visit, OPEN_FOLDERS, FTW_PHYS) != 0) {
            perror(argv[i]);
            return 1;
        }
    }
    printf("%lu inputs\n", count);
    return count == 0;
}

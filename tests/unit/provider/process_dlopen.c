/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program without TLS: a library brings TLS, does its work, and goes; and does so again.
 * Arguments: the library, and its task of each time.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

typedef int run_fn(int argc, char **argv);

int main(int argc, char **argv)
{
    int i, status = 0;

    for (i = 2; i < argc && status == 0; i++) {
        void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL), *symbol = NULL;
        char *arguments[] = {argv[0], argv[i], NULL};
        run_fn *run;

        if (library == NULL || (symbol = dlsym(library, "process_host_main")) == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
        memcpy(&run, &symbol, sizeof(run));
        status = run(2, arguments);
        dlclose(library);
    }
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into a program, which then says on stderr for which providers it is looked. Each look takes OpenSSL's locks. */
#include <dlfcn.h>
#include <stdio.h>

#include <openssl/provider.h>

__attribute__((visibility("default"))) int OSSL_PROVIDER_available(OSSL_LIB_CTX *libctx,
                                                                   const char *name)
{
    static int (*libcryptos)(OSSL_LIB_CTX *, const char *);

    if (libcryptos == NULL)
        *(void **)&libcryptos = dlsym(RTLD_NEXT, "OSSL_PROVIDER_available");
    fprintf(stderr, "looked for %s\n", name);
    return libcryptos(libctx, name);
}

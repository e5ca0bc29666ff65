/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_reader CONFIG URI: reads an openssl.cnf by its path and counts the objects at the URI. A
 * set-user-ID program takes no OPENSSL_CONF. Errors go to the standard output.
 */
#include <stdio.h>
#include <stdlib.h>

#include <openssl/conf.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/store.h>

int main(int argc, char **argv)
{
    OSSL_STORE_CTX *store = NULL;
    OSSL_STORE_INFO *object;
    int count = 0;

    if (argc == 3 && OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1
        && CONF_modules_load_file(argv[1], NULL, 0) == 1)
        store = OSSL_STORE_open(argv[2], NULL, NULL, NULL, NULL);
    while (store != NULL && (object = OSSL_STORE_load(store)) != NULL) {
        OSSL_STORE_INFO_free(object);
        count++;
    }
    OSSL_STORE_close(store);
    printf("objects: %d\n", count);
    ERR_print_errors_fp(stdout);
    return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's answer with the roots. Accepted roots have a trust domain and certificates. */
#include "fuzz.h"

#include "agent/decode.h"
#include "base/name.h"
#include "identity/cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    consul_error err = {0};
    consul_roots *roots = consul_roots_decode((const char *)data, size, NULL, &err);
    const STACK_OF(X509) *certs;
    const char *domain;
    int i;

    fuzz_require_result(roots != NULL, &err);
    if (roots == NULL)
        return 0;
    certs = consul_roots_certs(roots);
    REQUIRE(sk_X509_num(certs) >= 1 && sk_X509_num(certs) <= CONSUL_CERTS_MAX);
    for (i = 0; i < sk_X509_num(certs); i++)
        REQUIRE(consul_roots_contain(roots, sk_X509_value(certs, i)));
    domain = consul_roots_trust_domain(roots);
    REQUIRE(*domain != '\0' && strlen(domain) <= CONSUL_NAME_MAX);
    for (; *domain != '\0'; domain++)
        REQUIRE(*domain == consul_lower(*domain) && strchr("/ \"\\%", *domain) == NULL);
    consul_roots_unref(roots);
    return 0;
}

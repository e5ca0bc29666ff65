/* SPDX-License-Identifier: Apache-2.0 */
/* Stand-ins. A consul: URI that OpenSSL reads makes a stand-in, and a service is a valid name. */
#include "cert.h"

#include "identity/spiffe.h"
#include "identity/stand_in.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    X509 *cert = fuzz_cert(data, size);
    consul_uri uri = {0};
    bool stands_in;

    if (cert == NULL)
        return 0;
    stands_in = consul_cert_stands_in(cert, &uri);
    REQUIRE(ERR_peek_error() == 0);
    REQUIRE(stands_in || !fuzz_cert_has_uri(cert, "consul:"));
    REQUIRE(!consul_cert_is_plain(cert)
            || !(stands_in || consul_cert_claims_trust_domain(cert, NULL)));
    if (stands_in) {
        REQUIRE(uri.kind == CONSUL_URI_LEAF || uri.kind == CONSUL_URI_ROOTS);
        REQUIRE(*uri.service == '\0'
                || consul_name_check("", uri.service, CONSUL_R_INTERNAL, NULL));
        REQUIRE(*uri.scope.dc == '\0'
                || consul_name_check("", uri.scope.dc, CONSUL_R_INTERNAL, NULL));
    }
    if (X509_get0_pubkey(cert) != NULL)
        REQUIRE(!consul_key_stands_in(X509_get0_pubkey(cert)) || stands_in);
    X509_free(cert);
    ERR_clear_error();
    return 0;
}

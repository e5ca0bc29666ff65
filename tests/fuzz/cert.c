/* SPDX-License-Identifier: Apache-2.0 */
/* The SPIFFE ID and the other names of a certificate. An accepted leaf also claims to be one. */
#include "cert.h"

#include "identity/cert.h"
#include "identity/cert_text.h"
#include "identity/other_names.h"

/* Require what the log and the questions show of any certificate. */
static void try_texts(const X509 *cert)
{
    char serial[CONSUL_SERIAL_MAX], fingerprint[CONSUL_FINGERPRINT_MAX], date[CONSUL_DATE_MAX];
    char *whole = consul_cert_serial(cert, NULL);

    consul_cert_serial_text(cert, serial);
    REQUIRE(strspn(serial, "0123456789abcdef:") == strlen(serial));
    REQUIRE(whole != NULL && strncmp(whole, serial, strlen(serial)) == 0);
    REQUIRE(strlen(whole) == strlen(serial) || strlen(serial) + 4 > CONSUL_SERIAL_MAX);
    OPENSSL_free(whole);
    consul_cert_fingerprint(cert, fingerprint);
    REQUIRE(strspn(fingerprint, "0123456789abcdef") == strlen(fingerprint));
    consul_cert_date(X509_get0_notAfter(cert), date);
    fuzz_require_printable(date);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    X509 *cert = fuzz_cert(data, size);
    consul_error err = {0};
    consul_spiffe_id id;
    int ok;

    if (cert == NULL)
        return 0;
    try_texts(cert);
    ok = consul_spiffe_id_of_cert(cert, &id, &err);
    fuzz_require_result(ok, &err);
    if (ok) {
        REQUIRE(fuzz_cert_has_uri(cert, id.uri));
        REQUIRE(consul_cert_claims_connect(cert));
        REQUIRE(consul_cert_claims_trust_domain(cert, id.trust_domain));
        REQUIRE(X509_check_ca(cert) == 0);
        consul_cert_names(cert, &id);
    }
    REQUIRE(!fuzz_cert_has_uri(cert, "spiffe://") || consul_cert_claims_trust_domain(cert, NULL));
    REQUIRE(!consul_cert_claims_connect(cert) || consul_cert_claims_trust_domain(cert, NULL));
    X509_free(cert);
    ERR_clear_error();
    return 0;
}

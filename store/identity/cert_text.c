/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/cert_text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/evp.h>

void consul_cert_serial_text(const X509 *cert, char text[CONSUL_SERIAL_MAX])
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    const unsigned char *bytes = ASN1_STRING_get0_data(serial);
    int len = ASN1_STRING_length(serial), i;

    *text = '\0';
    for (i = 0; i < len && 3 * i + 3 < CONSUL_SERIAL_MAX; i++)
        snprintf(text + (i == 0 ? 0 : 3 * i - 1), 4, "%s%02x", i == 0 ? "" : ":", bytes[i]);
}

void consul_cert_fingerprint(const X509 *cert, char text[CONSUL_FINGERPRINT_MAX])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0, i;

    *text = '\0';
    ERR_set_mark();
    if (X509_digest(cert, EVP_sha1(), digest, &len) == 1 && 2 * len < CONSUL_FINGERPRINT_MAX) {
        for (i = 0; i < len; i++)
            snprintf(text + 2 * (size_t)i, 3, "%02x", digest[i]);
    }
    ERR_pop_to_mark();
}

void consul_cert_date(const ASN1_TIME *date, char text[CONSUL_DATE_MAX])
{
    struct tm tm;

    if (ASN1_TIME_to_tm(date, &tm) == 1)
        snprintf(text, CONSUL_DATE_MAX, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    else
        strcpy(text, "an unknown date");
}

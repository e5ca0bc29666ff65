#include "internal.h"

#include <string.h>

#include <openssl/x509v3.h>

#define URI_TAG (0x80 | GEN_URI) /* RFC 5280, GeneralName: [6] IMPLICIT IA5String */

/* The length of the URI whose text begins at `text`, by the DER before it; 0 if it is none. */
static size_t length_of_uri(const unsigned char *begin, const unsigned char *text)
{
    size_t before = (size_t)(text - begin);

    if (before >= 2 && text[-2] == URI_TAG && text[-1] < 0x80)
        return text[-1];
    if (before >= 3 && text[-3] == URI_TAG && text[-2] == 0x81)
        return text[-1];
    if (before >= 4 && text[-4] == URI_TAG && text[-3] == 0x82)
        return (size_t)text[-2] << 8 | text[-1];
    return 0;
}

/* What a consul: URI in a certificate says; one that says nothing is not of kind LEAF. */
static void parse(const unsigned char *text, size_t len, consul_uri *uri)
{
    char copy[CONSUL_URI_MAX + 1];

    memset(uri, 0, sizeof(*uri));
    uri->kind = CONSUL_URI_ROOTS;
    if (len > CONSUL_URI_MAX || memchr(text, '\0', len) != NULL)
        return;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (!consul_uri_parse(copy, uri, NULL))
        uri->kind = CONSUL_URI_ROOTS;
}

/*
 * The bytes are searched as they are and not decoded: that would need memory, and without memory
 * a stand-in must not look like an ordinary certificate.
 */
bool consul_cert_stands_in(const X509 *cert, consul_uri *uri)
{
    int index = -1, count = 0;

    while ((index = X509_get_ext_by_NID(cert, NID_subject_alt_name, index)) >= 0) {
        const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(X509_get_ext(cert, index));
        const unsigned char *begin = ASN1_STRING_get0_data(value), *found = begin;
        const unsigned char *end = begin + ASN1_STRING_length(value);

        while ((found = consul_find_word(found, (size_t)(end - found), "consul:")) != NULL) {
            size_t len = length_of_uri(begin, found);

            if (len > 0 && len <= (size_t)(end - found)) {
                parse(found, len, uri);
                count++;
            }
            found++;
        }
    }
    if (count > 1) /* of which service is not to be told */
        uri->kind = CONSUL_URI_ROOTS;
    return count > 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The serial number, the fingerprint and the dates of a certificate as text. Allocates nothing; any thread. */
#ifndef CONSUL_IDENTITY_CERT_TEXT_H
#define CONSUL_IDENTITY_CERT_TEXT_H

#include <openssl/x509.h>

#define CONSUL_SERIAL_MAX 64      /* bytes of the text of 20 bytes, RFC 5280 4.1.2.2 */
#define CONSUL_FINGERPRINT_MAX 41 /* bytes of the text of a SHA-1 */
#define CONSUL_DATE_MAX 80

/* Write the serial number as Consul does: lower-case hexadecimal bytes joined by colons. */
void consul_cert_serial_text(const X509 *cert, char text[CONSUL_SERIAL_MAX]);

/*
 * Write the SHA-1 of a certificate as nginx and HAProxy do, in lower-case hexadecimal. It is a name for one of
 * our verified certificates, and no proof. Write "" without SHA-1.
 */
void consul_cert_fingerprint(const X509 *cert, char text[CONSUL_FINGERPRINT_MAX]);

/* Write a date in UTC, as in 2026-11-22T23:51:37Z. */
void consul_cert_date(const ASN1_TIME *date, char text[CONSUL_DATE_MAX]);

#endif

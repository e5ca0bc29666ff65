/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and their times, as a person reads them. Any thread. */
#ifndef CLI_COMMON_CERTIFICATE_H
#define CLI_COMMON_CERTIFICATE_H

#include <stdint.h>

#include <openssl/x509.h>

#define CLI_TIME_SIZE 64

/* Write "2026-11-28T12:00:00Z". */
const char *cli_time(const ASN1_TIME *time, char text[CLI_TIME_SIZE]);
const char *cli_seconds(int64_t seconds, char text[CLI_TIME_SIZE]); /* since 1970 */

/* Return the seconds from one moment until another. They may be from a hostile process, and far apart. */
int64_t cli_between(int64_t from, int64_t until);

/* Write "3 days", "5 hours", "12 minutes" or "7 seconds" of a length in seconds. */
const char *cli_length(int64_t seconds, char text[CLI_TIME_SIZE]);

/* Return the seconds from now until a time; negative for the past. */
int64_t cli_time_left(const ASN1_TIME *time);

/* Print a certificate: names, serial, and times; as PEM too, if so. Never a key. */
void cli_print_certificate(const X509 *cert, const char *indent);

#endif

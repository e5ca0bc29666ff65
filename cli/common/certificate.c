/* SPDX-License-Identifier: Apache-2.0 */
#include "common/certificate.h"

#include "identity/cert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/asn1.h>
#include <openssl/crypto.h>

static const char *write_time(const struct tm *when, char text[CLI_TIME_SIZE])
{
    if (strftime(text, CLI_TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", when) == 0)
        *text = '\0';
    return text;
}

const char *cli_time(const ASN1_TIME *time, char text[CLI_TIME_SIZE])
{
    struct tm when = {0};

    return ASN1_TIME_to_tm(time, &when) ? write_time(&when, text) : "an unreadable time";
}

const char *cli_seconds(int64_t seconds, char text[CLI_TIME_SIZE])
{
    time_t moment = (time_t)seconds;
    struct tm when = {0};

    return gmtime_r(&moment, &when) != NULL ? write_time(&when, text) : "an unreadable time";
}

const char *cli_length(int64_t seconds, char text[CLI_TIME_SIZE])
{
    static const struct {
        uint64_t seconds;
        const char *name;
    } units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
    uint64_t length = seconds < 0 ? -(uint64_t)seconds : (uint64_t)seconds;
    size_t i = 0;

    while (i < 3 && length < 2 * units[i].seconds)
        i++;
    length /= units[i].seconds;
    snprintf(text, CLI_TIME_SIZE, "%llu %s%s", (unsigned long long)length, units[i].name,
             length == 1 ? "" : "s");
    return text;
}

int64_t cli_between(int64_t from, int64_t until)
{
    int64_t length;

    return !__builtin_sub_overflow(until, from, &length) ? length
           : until < from                                ? -INT64_MAX
                                                         : INT64_MAX;
}

int64_t cli_time_left(const ASN1_TIME *time)
{
    int days = 0, seconds = 0;

    ASN1_TIME_diff(&days, &seconds, NULL, time);
    return (int64_t)days * 86400 + seconds;
}

static void print_name(const char *indent, const char *what, const X509_NAME *name)
{
    BIO *out = BIO_new(BIO_s_mem());
    char *text;
    long len;

    if (out != NULL
        && X509_NAME_print_ex(out, name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) >= 0
        && (len = BIO_get_mem_data(out, &text)) > 0)
        printf("%s%s%.*s\n", indent, what, (int)len, text);
    BIO_free(out);
}

void cli_print_certificate(const X509 *cert, const char *indent)
{
    int64_t left = cli_time_left(X509_get0_notAfter(cert));
    char *serial = consul_cert_serial(cert, NULL);
    char time[CLI_TIME_SIZE], length[CLI_TIME_SIZE];

    print_name(indent, "subject      ", X509_get_subject_name(cert));
    print_name(indent, "issuer       ", X509_get_issuer_name(cert));
    printf("%sserial       %s\n", indent, serial == NULL ? "unreadable" : serial);
    printf("%svalid from   %s\n", indent, cli_time(X509_get0_notBefore(cert), time));
    printf("%svalid until  %s (%s %s)\n", indent, cli_time(X509_get0_notAfter(cert), time),
           cli_length(left, length), left < 0 ? "ago" : "left");
    OPENSSL_free(serial);
}

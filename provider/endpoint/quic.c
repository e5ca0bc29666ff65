/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint/quic.h"

#define VERSION 1 /* OSSL_QUIC1_VERSION of OpenSSL 3.2 */

bool endpoint_is_quic(const SSL *ssl)
{
    return SSL_version(ssl) == VERSION;
}

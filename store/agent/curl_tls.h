/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TLS library of libcurl, which may be another one than the program's. Debian may have libcurl on OpenSSL 3 in a
 * program of OpenSSL 4. Any thread.
 */
#ifndef CONSUL_AGENT_CURL_TLS_H
#define CONSUL_AGENT_CURL_TLS_H

#include <stdbool.h>

/* Return true where libcurl has the libssl that this module is linked to. Its SSL_CTX is foreign otherwise. */
bool consul_curl_tls_is_ours(void);

/*
 * Give this thread a library context of its own, in a libcrypto of libcurl's that is not ours. It reads the program's
 * openssl.cnf, and finds neither a module that fits nor cryptography. libcurl wants some for its start, for HTTP/3. The
 * default context stays closed. Return the former context, for the end.
 */
void *consul_curl_tls_begin(void);
void consul_curl_tls_end(void *before);

#endif

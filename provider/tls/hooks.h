/* SPDX-License-Identifier: Apache-2.0 */
/* Where governing begins: every SSL_CTX made from the installation on. */
#ifndef PROV_TLS_HOOKS_H
#define PROV_TLS_HOOKS_H

/* Have every SSL_CTX made from now on come to us. 0 on failure. */
int prov_tls_hook_install(void);

#endif

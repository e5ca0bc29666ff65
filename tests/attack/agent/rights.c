/* SPDX-License-Identifier: Apache-2.0 */
#include "rights.h"

#include <stdlib.h>

#include <jansson.h>

char *rights_of_roots(const minted *ca, const char *trust_domain)
{
    char *pem = mint_cert_pem(ca->cert), *text;
    json_t *json = json_pack("{s:s, s:s, s:[{s:s, s:b}]}", "ActiveRootID", "00:11", "TrustDomain",
                             trust_domain, "Roots", "RootCert", pem, "Active", 1);

    text = json_dumps(json, 0);
    json_decref(json);
    free(pem);
    return text;
}

char *rights_of_leaf(const minted *leaf, const char *id)
{
    char *cert = mint_cert_pem(leaf->cert), *key = mint_key_pem(leaf->key), *text;
    json_t *json = json_pack("{s:s, s:s, s:s, s:s}", "CertPEM", cert, "PrivateKeyPEM", key,
                             "ServiceURI", id, "ValidBefore", "2040-01-01T00:00:00Z");

    text = json_dumps(json, 0);
    json_decref(json);
    free(cert);
    free(key);
    return text;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/spiffe.h"

#include <string.h>
#include <strings.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

static bool is_path_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.'
           || c == '-' || c == '_';
}

/* Copy the trust domain in lower case, as it is a host name. Other names keep their case. */
static int parse_trust_domain(const char *text, size_t len, consul_spiffe_id *id, consul_error *err)
{
    size_t i;

    if (len == 0 || len > CONSUL_NAME_MAX)
        return consul_error_set(err, CONSUL_R_PEER_NOT_A_SERVICE,
                                "its trust domain is empty or too long");
    for (i = 0; i < len; i++) {
        if (!is_path_char(text[i]))
            return consul_error_set(err, CONSUL_R_PEER_NOT_A_SERVICE,
                                    "its trust domain has a character that is not allowed");
        id->trust_domain[i] = consul_lower(text[i]);
    }
    id->trust_domain[len] = '\0';
    return 1;
}

/* Take "/<label>/<value>" off the front of *text. Return 0 where *text begins otherwise. */
static int take_pair(const char **text, const char *end, const char *label,
                     char value[CONSUL_NAME_MAX + 1])
{
    size_t label_len = strlen(label), len = 0;
    const char *p = *text;

    if ((size_t)(end - p) < label_len + 2 || p[0] != '/' || memcmp(p + 1, label, label_len) != 0
        || p[1 + label_len] != '/')
        return 0;
    p += label_len + 2;
    while (p + len < end && is_path_char(p[len]))
        len++;
    if (len == 0 || len > CONSUL_NAME_MAX)
        return 0;
    memcpy(value, p, len);
    value[len] = '\0';
    if (strcmp(value, ".") == 0 || strcmp(value, "..") == 0)
        return 0;
    *text = p + len;
    return 1;
}

int consul_spiffe_id_parse(const char *text, size_t len, consul_spiffe_id *id, consul_error *err)
{
    static const char scheme[] = "spiffe://";
    const char *end = text + len, *path;
    char shown[CONSUL_URI_MAX];

    memset(id, 0, sizeof(*id));
    if (len > CONSUL_URI_MAX || memchr(text, '\0', len) != NULL || len < sizeof(scheme) - 1
        || strncasecmp(text, scheme, sizeof(scheme) - 1) != 0)
        return consul_error_set(err, CONSUL_R_PEER_NOT_A_SERVICE, "\"%s\" is not a SPIFFE ID",
                                consul_name_show(text, len, shown, CONSUL_NAME_MAX + 1));
    memcpy(id->uri, text, len);
    id->uri[len] = '\0';
    text += sizeof(scheme) - 1;
    path = memchr(text, '/', (size_t)(end - text));
    if (path == NULL)
        path = end;
    if (!parse_trust_domain(text, (size_t)(path - text), id, err))
        return consul_error_prefix(
            err, "\"%s\": ", consul_name_show(id->uri, len, shown, sizeof(shown)));
    if (!take_pair(&path, end, "ap", id->scope.partition))
        strcpy(id->scope.partition, "default");
    if (!take_pair(&path, end, "ns", id->scope.ns) || !take_pair(&path, end, "dc", id->scope.dc)
        || !take_pair(&path, end, "svc", id->service) || path != end)
        return consul_error_set(err, CONSUL_R_PEER_NOT_A_SERVICE,
                                "\"%s\" is not the SPIFFE ID of a service",
                                consul_name_show(id->uri, len, shown, sizeof(shown)));
    return 1;
}

/* Return true where a wanted name is not empty and is not the actual one. */
static bool differs(const char *asked, const char *is)
{
    return *asked != '\0' && strcmp(asked, is) != 0;
}

bool consul_spiffe_id_is(const consul_spiffe_id *id, const char *service, const consul_scope *scope)
{
    return strcmp(id->service, service) == 0 && !differs(scope->ns, id->scope.ns)
           && !differs(scope->partition, id->scope.partition) && !differs(scope->dc, id->scope.dc);
}

static const ASN1_IA5STRING *uri_of(const GENERAL_NAME *name)
{
    int type;
    const ASN1_IA5STRING *value = GENERAL_NAME_get0_value(name, &type);

    return type == GEN_URI ? value : NULL;
}

/*
 * Check that a leaf is no CA and may not sign certificates or revocation lists (X509-SVID 4.3 and
 * 5.2).
 */
static int check_leaf_profile(const X509 *cert, consul_error *err)
{
    /* The functions that read extensions cache them in the certificate, hence no const. */
    X509 *x = (X509 *)cert;
    uint32_t usage;

    if ((X509_get_extension_flags(x) & (EXFLAG_CA | EXFLAG_INVALID)) != 0)
        return consul_error_set(err, CONSUL_R_PEER_NOT_A_SERVICE,
                                "it is a CA certificate or has invalid extensions");
    usage = X509_get_key_usage(x); /* all bits where the extension is missing */
    if ((usage & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)) != 0 || (usage & KU_DIGITAL_SIGNATURE) == 0)
        return consul_error_set(err, CONSUL_R_PEER_NOT_A_SERVICE,
                                "its key usage is not that of a leaf");
    return 1;
}

/*
 * Return true where the names are DER, and so read in one way alone. OpenSSL also reads other forms, a text in
 * pieces for example.
 */
static bool are_der(const X509 *cert, const GENERAL_NAMES *names)
{
    int index = X509_get_ext_by_NID(cert, NID_subject_alt_name, -1);
    const ASN1_OCTET_STRING *data = X509_EXTENSION_get_data(X509_get_ext(cert, index));
    unsigned char *der = NULL;
    int len = i2d_GENERAL_NAMES(names, &der);
    bool are = len > 0 && len == ASN1_STRING_length(data)
               && memcmp(der, ASN1_STRING_get0_data(data), (size_t)len) == 0;

    OPENSSL_free(der);
    return are;
}

static int id_of_cert(const X509 *cert, consul_spiffe_id *id, consul_error *err)
{
    GENERAL_NAMES *names;
    const ASN1_IA5STRING *found = NULL;
    int i, critical, uris = 0, ok = 0;

    memset(id, 0, sizeof(*id));
    if (!check_leaf_profile(cert, err))
        return 0;
    /* NULL too for an extension that occurs twice. */
    names = X509_get_ext_d2i(cert, NID_subject_alt_name, &critical, NULL);
    for (i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const ASN1_IA5STRING *uri = uri_of(sk_GENERAL_NAME_value(names, i));

        if (uri != NULL && ++uris == 1)
            found = uri;
    }
    if (uris != 1)
        consul_error_set(err, CONSUL_R_PEER_NOT_A_SERVICE,
                         "it has %d URIs in its subjectAltName instead of one", uris);
    else if (!are_der(cert, names))
        consul_error_set(err, CONSUL_R_PEER_NOT_A_SERVICE, "its subjectAltName is not DER");
    else
        ok = consul_spiffe_id_parse((const char *)ASN1_STRING_get0_data(found),
                                    (size_t)ASN1_STRING_length(found), id, err);
    GENERAL_NAMES_free(names);
    return ok;
}

int consul_spiffe_id_of_cert(const X509 *cert, consul_spiffe_id *id, consul_error *err)
{
    int ok;

    ERR_set_mark();
    ok = id_of_cert(cert, id, err);
    ERR_pop_to_mark();
    return ok;
}

static bool claims_service(const unsigned char *id, size_t len, const char *trust_domain)
{
    return consul_find_word(id, len, "/svc/") != NULL;
}

static bool claims_trust_domain(const unsigned char *id, size_t len, const char *trust_domain)
{
    size_t domain_len;

    if (trust_domain == NULL)
        return true;
    domain_len = strlen(trust_domain);
    return len >= domain_len && strncasecmp((const char *)id, trust_domain, domain_len) == 0
           && (len == domain_len || !is_path_char((char)id[domain_len]));
}

typedef bool claim_fn(const unsigned char *id, size_t len, const char *trust_domain);

#define ID "spiffe://"

/*
 * Return true where a subjectAltName has a URI of this scheme for which `claims` returns true. `claims` gets
 * the bytes after the scheme. The bytes are searched and not decoded, which would take memory.
 * Without memory, a Connect leaf must not look like an ordinary certificate.
 */
static bool any_uri_claims(const X509 *cert, const char *scheme, claim_fn *claims,
                           const char *trust_domain)
{
    int index = -1;

    /* A certificate may, wrongly, carry several of these extensions. */
    while ((index = X509_get_ext_by_NID(cert, NID_subject_alt_name, index)) >= 0) {
        const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(X509_get_ext(cert, index));
        const unsigned char *data = ASN1_STRING_get0_data(value);
        const unsigned char *end = data + ASN1_STRING_length(value);

        if (data == end || memchr(data, ':', (size_t)(end - data)) == NULL)
            continue; /* each scheme has a colon; most names have none */
        while ((data = consul_find_word(data, (size_t)(end - data), scheme)) != NULL) {
            data += strlen(scheme);
            if (claims(data, (size_t)(end - data), trust_domain))
                return true;
        }
    }
    return false;
}

bool consul_cert_claims_connect(const X509 *cert)
{
    return any_uri_claims(cert, ID, claims_service, NULL);
}

bool consul_cert_claims_trust_domain(const X509 *cert, const char *trust_domain)
{
    return any_uri_claims(cert, ID, claims_trust_domain, trust_domain);
}

static bool claims_anything(const unsigned char *id, size_t len, const char *trust_domain)
{
    return true;
}

bool consul_cert_may_be_of_a_mesh(const X509 *cert)
{
    return any_uri_claims(cert, "spiffe:", claims_anything, NULL);
}

static bool starts_with(const unsigned char *text, size_t len, const char *start)
{
    return len >= strlen(start) && memcmp(text, start, strlen(start)) == 0;
}

/* Return true where Consul issues no such URI to an agent. An agent's path is [/ap/P]/agent/..., and no service's begins so. */
static bool is_not_an_agent(const unsigned char *id, size_t len, const char *trust_domain)
{
    const unsigned char *end = id + len, *path;

    if (!starts_with(id, len, "//"))
        return true;
    path = memchr(id + 2, '/', len - 2);
    if (path != NULL && starts_with(path, (size_t)(end - path), "/ap/"))
        path = memchr(path + 4, '/', (size_t)(end - path) - 4);
    return path == NULL || !starts_with(path, (size_t)(end - path), "/agent/");
}

bool consul_cert_may_be_of_an_agent(const X509 *cert)
{
    return !any_uri_claims(cert, "spiffe:", is_not_an_agent, NULL);
}

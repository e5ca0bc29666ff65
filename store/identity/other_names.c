/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/other_names.h"

#include <string.h>

#include <openssl/x509v3.h>

/* The common names of Consul 1.8 are "<service>.svc.<namespace>.<trust domain>.consul". */
#define COMMON_NAME_LEN 64   /* bytes, to which Consul cuts the service or its namespace */
#define TRUST_DOMAIN_SHOWN 8 /* first bytes of the trust domain */

static bool in_common_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Copy the characters of a service's name that its common name has. */
static void sanitize(const char *service, char *copy)
{
    for (; *service != '\0'; service++) {
        char c = consul_lower(*service);

        if (in_common_name(c))
            *copy++ = c;
    }
    *copy = '\0';
}

/*
 * Take the next label off the front of *text. Return false unless `whole` begins with that label.
 * Set *cut where `whole` is longer.
 */
static bool take_label(const char **text, const char *whole, bool *cut)
{
    size_t len = strcspn(*text, ".");

    if (strncmp(*text, whole, len) != 0)
        return false;
    if (whole[len] != '\0')
        *cut = true;
    *text += len;
    return true;
}

/* Return true for the common name that Consul 1.8 gives to the service of this ID. */
static bool is_common_name(const char *name, const consul_spiffe_id *id)
{
    char service[CONSUL_NAME_MAX + 1], rest[TRUST_DOMAIN_SHOWN + sizeof("..consul")];
    const char *p = name;
    bool cut = false;

    sanitize(id->service, service);
    snprintf(rest, sizeof(rest), ".%.*s.consul", TRUST_DOMAIN_SHOWN, id->trust_domain);
    if (!take_label(&p, service, &cut) || strncmp(p, ".svc.", 5) != 0)
        return false;
    p += 5;
    return take_label(&p, id->scope.ns, &cut) && strcmp(p, rest) == 0
           && (!cut || strlen(name) == COMMON_NAME_LEN);
}

static bool is_consuls(const ASN1_STRING *value, const consul_spiffe_id *id)
{
    char name[COMMON_NAME_LEN + 1];
    size_t len = (size_t)ASN1_STRING_length(value);

    if (len > COMMON_NAME_LEN)
        return false;
    memcpy(name, ASN1_STRING_get0_data(value), len);
    name[len] = '\0';
    return strlen(name) == len && is_common_name(name, id);
}

/* Return true for an empty subject, or the subject that Consul 1.8 gives. */
static bool has_consuls_subject(const X509 *cert, const consul_spiffe_id *id)
{
    const X509_NAME *subject = X509_get_subject_name(cert);
    const X509_NAME_ENTRY *entry = X509_NAME_get_entry(subject, 0);

    return entry == NULL
           || (X509_NAME_entry_count(subject) == 1
               && OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) == NID_commonName
               && is_consuls(X509_NAME_ENTRY_get_data(entry), id));
}

/*
 * Return the kind of one name. Vault repeats the common name as a DNS name, which does not count.
 */
static enum consul_names kind_of(const GENERAL_NAME *name, const consul_spiffe_id *id)
{
    int type;
    const void *value = GENERAL_NAME_get0_value(name, &type);

    if (type == GEN_URI || (type == GEN_DNS && is_consuls(value, id)))
        return CONSUL_NAMES_NONE;
    return type == GEN_DNS || type == GEN_IPADD ? CONSUL_NAMES_HOSTS : CONSUL_NAMES_FOREIGN;
}

enum consul_names consul_cert_names(const X509 *cert, const consul_spiffe_id *id)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    enum consul_names found = CONSUL_NAMES_NONE;
    int i;

    /* A leaf has at least a URI. So NULL is a lack of memory, and the names are unknown. */
    if (names == NULL || !has_consuls_subject(cert, id))
        found = CONSUL_NAMES_FOREIGN;
    for (i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        enum consul_names kind = kind_of(sk_GENERAL_NAME_value(names, i), id);

        if (kind > found)
            found = kind;
    }
    GENERAL_NAMES_free(names);
    return found;
}

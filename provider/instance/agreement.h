/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of two instances agree, and so do those of one instance at two times. Any thread. */
#ifndef PROV_INSTANCE_AGREEMENT_H
#define PROV_INSTANCE_AGREEMENT_H

#include "instance/instance.h"

/* Check that the files of two instances say the same. The environment does not count: it may change. */
int prov_agreement_check(const prov_instance *prov, const prov_instance *other, consul_error *err);

/* Note the values of the settings that decide what is governed, when the instance is added. */
void prov_agreement_note_deciding(prov_instance *prov);

/*
 * Check that no program has set one of these since. It may load a file with a section of a provider that it has loaded by itself. From
 * OpenSSL 3.5 on there is OSSL_PROVIDER_add_conf_parameter, as of `openssl -provparam`. The setting would be without effect.
 */
int prov_agreement_check_deciding(const prov_instance *prov, consul_error *err);

#endif

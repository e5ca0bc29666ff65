/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contradictions between settings, each of which is right by itself. The settings belong to the caller. Pure functions,
 * for any thread.
 */
#ifndef CONSUL_BASE_CONTRADICTION_H
#define CONSUL_BASE_CONTRADICTION_H

#include "base/settings.h"

/* The configured settings that other settings depend on. All zeros at first. */
typedef struct consul_configured {
    bool token, token_file, ca_file, ca_path, tls_verify;
    const consul_option *demand; /* inbound or outbound, unless it is off; or NULL */
    const consul_option *https;  /* a setting for HTTPS alone, or NULL */
} consul_configured;

/* Note that the value of an option was configured. The environment and the defaults do not count. */
void consul_note_configured(consul_configured *said, const consul_settings *settings,
                            const consul_option *option);

/*
 * Check the settings that depend on each other. Return 0 with an error where they contradict. Drop values of
 * the environment where the configured settings overrule them.
 */
int consul_find_contradiction(consul_settings *settings, const consul_configured *said,
                              consul_error *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of one provider instance, and the option table that they are made from. The settings
 * own their texts and never change, so that any thread may read them. They stay valid in a forked
 * child.
 */
#ifndef CONSUL_BASE_SETTINGS_H
#define CONSUL_BASE_SETTINGS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum consul_option_type {
    CONSUL_OPTION_TEXT,     /* any printable text */
    CONSUL_OPTION_SECRET,   /* any printable text that is never shown */
    CONSUL_OPTION_NAME,     /* a Consul name: service, namespace, partition, datacenter */
    CONSUL_OPTION_HOSTS,    /* host names, kept with commas and no spaces between them */
    CONSUL_OPTION_INBOUND,  /* require or off */
    CONSUL_OPTION_OUTBOUND, /* auto, require or off */
    CONSUL_OPTION_TABLE,    /* the name of a section, whose rows the provider looks up one by one */
    CONSUL_OPTION_LOG,      /* off, stderr, syslog or a path */
    CONSUL_OPTION_LEVEL,    /* error, warning, info or debug */
    CONSUL_OPTION_FORMAT,   /* text or json */
    CONSUL_OPTION_CRYPTO,   /* auto, fips or off, for the provider */
    CONSUL_OPTION_LOSS,     /* refuse or last-known */
    CONSUL_OPTION_BOOL,     /* yes/no, true/false, on/off, 1/0 */
    CONSUL_OPTION_DURATION  /* a number with ms, s or m, kept in milliseconds */
};

/* One row of the option table. The pages, the man page and the example are tested against it. */
typedef struct consul_option {
    const char *name;          /* the name in the provider's section of openssl.cnf */
    const char *env;           /* the environment variable in its place, or NULL */
    const char *default_value; /* the text of the default value, or NULL without a default */
    enum consul_option_type type;
    size_t offset;     /* the place of the value in consul_settings, in bytes */
    bool may_be_empty; /* true where an empty value in openssl.cnf overrules the environment */
    const char *description;
} consul_option;

/* The rows of the option table. A row with a NULL name ends it. */
extern const consul_option consul_options[];

/* The connections of the configured service that have to be Connect. */
enum consul_demand { CONSUL_DEMAND_OFF, CONSUL_DEMAND_AUTO, CONSUL_DEMAND_REQUIRE };

/* The decision on peers while the agent is lost. */
enum consul_loss { CONSUL_LOSS_REFUSE, CONSUL_LOSS_LAST_KNOWN };

/* The weight of a line of the log, the gravest first. */
enum consul_log_level { CONSUL_LOG_ERROR, CONSUL_LOG_WARNING, CONSUL_LOG_INFO, CONSUL_LOG_DEBUG };

enum consul_log_format { CONSUL_LOG_TEXT, CONSUL_LOG_JSON };

/* A value for each row of the table, under its name. A text is NULL without a value. */
typedef struct consul_settings {
    char *address;
    bool tls;
    bool tls_verify;
    char *agent_user;
    char *token;
    char *token_file;
    char *login_method;
    char *login_bearer_file;
    char *http_auth;
    char *ca_file;
    char *ca_path;
    char *client_cert;
    char *client_key;
    char *tls_server_name;
    char *service;
    enum consul_demand inbound;
    enum consul_demand outbound;
    char *domain;
    char *ns; /* of the row "namespace" */
    char *partition;
    char *datacenter;
    int64_t connect_timeout; /* in milliseconds, like every duration */
    int64_t request_timeout;
    int64_t authorize_timeout;
    int64_t watch_wait;
    enum consul_loss on_agent_loss;
    char *log;
    enum consul_log_level log_level; /* of the least grave lines that are written */
    enum consul_log_format log_format;
    bool audit;
    char *crypto;
} consul_settings;

/*
 * A function that returns the configured value of an option, or NULL. consul_settings_new borrows
 * it.
 */
typedef const char *consul_settings_lookup_fn(const char *name, void *arg);

/*
 * Return the settings, for consul_settings_free. Each value is the configured one, else that of the
 * environment, else the default. A set-user-ID program gets no values from its environment. The
 * environment is read here and never again, because nginx workers wipe it. Return NULL after a
 * value that does not parse.
 */
consul_settings *consul_settings_new(consul_settings_lookup_fn *lookup, void *arg,
                                     consul_error *err);

/* Cleanse the texts of the settings and free them. NULL is allowed. */
void consul_settings_free(consul_settings *settings);

#endif

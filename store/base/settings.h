/*
 * The settings of one provider instance, and the option table that they are made from. Immutable once
 * made; any thread.
 */
#ifndef CONSUL_BASE_SETTINGS_H
#define CONSUL_BASE_SETTINGS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum consul_option_type {
    CONSUL_OPTION_TEXT,     /* any printable text */
    CONSUL_OPTION_SECRET,   /* the same, but its value is never shown */
    CONSUL_OPTION_NAME,     /* a Consul name: service, namespace, partition, datacenter */
    CONSUL_OPTION_HOST,     /* a host name */
    CONSUL_OPTION_INBOUND,  /* require or off */
    CONSUL_OPTION_OUTBOUND, /* auto, require or off */
    CONSUL_OPTION_TABLE,    /* the name of a section; its rows are looked up one by one */
    CONSUL_OPTION_LOG,      /* off, stderr, syslog or a path */
    CONSUL_OPTION_CRYPTO,   /* auto, fips or off; the provider reads it */
    CONSUL_OPTION_LOSS,     /* refuse or last-known */
    CONSUL_OPTION_BOOL,     /* yes/no, true/false, on/off, 1/0 */
    CONSUL_OPTION_DURATION  /* a number with ms, s or m; kept in milliseconds */
};

/* One row of the option table, from which everything else about settings is derived. */
typedef struct consul_option {
    const char *name;          /* in the provider's section of openssl.cnf */
    const char *env;           /* the environment variable that stands in for it, or NULL */
    const char *default_value; /* as it would be written, or NULL for none */
    enum consul_option_type type;
    size_t offset;     /* of its value in consul_settings */
    bool may_be_empty; /* in openssl.cnf: there is none, whatever the environment says */
    const char *description;
} consul_option;

/* The rows of the option table; a row with a NULL name ends it. */
extern const consul_option consul_options[];

/* Which connections of the configured service have to be Connect. */
enum consul_demand { CONSUL_DEMAND_OFF, CONSUL_DEMAND_AUTO, CONSUL_DEMAND_REQUIRE };

/* What becomes of decisions while the agent can not be asked. */
enum consul_loss { CONSUL_LOSS_REFUSE, CONSUL_LOSS_LAST_KNOWN };

typedef struct consul_settings {
    char *address;
    bool tls;
    bool tls_verify;
    char *agent_user;
    char *token;
    char *token_file;
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
    char *ns; /* "namespace" */
    char *partition;
    char *datacenter;
    int64_t connect_timeout; /* milliseconds, as all durations */
    int64_t request_timeout;
    int64_t authorize_timeout;
    int64_t watch_wait;
    enum consul_loss on_agent_loss;
    char *log;
    char *crypto;
} consul_settings;

/* The configured value of an option, borrowed until settings_new returns; NULL if there is none. */
typedef const char *consul_settings_lookup_fn(const char *name, void *arg);

/*
 * Read the settings: what `lookup` finds, else the environment (ignored in set-user-ID programs),
 * else the default. The environment is read here and never again: nginx workers wipe it.
 * NULL on the first value that does not parse. Free with consul_settings_free.
 */
consul_settings *consul_settings_new(consul_settings_lookup_fn *lookup, void *arg,
                                     consul_error *err);
void consul_settings_free(consul_settings *settings);

#endif

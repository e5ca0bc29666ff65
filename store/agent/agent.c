/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

#include "agent/agent_user.h"
#include "agent/curl_tls.h"
#include "agent/libraries.h"
#include "base/host_memory.h"
#include "base/lock.h"

#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

consul_agent *consul_agent_new_unloaded(const consul_settings *settings, consul_error *err)
{
    consul_agent *agent = OPENSSL_zalloc(sizeof(*agent));

    if (agent == NULL
        || (settings->login_method != NULL && (agent->login = consul_shared_token_new()) == NULL)) {
        OPENSSL_free(agent);
        consul_error_set(err, CONSUL_R_OUT_OF_MEMORY, "the agent");
        return NULL;
    }
    agent->settings = settings;
    consul_libraries_note_root();
    return agent;
}

/* Fill in the agent, unless another thread has done so. The address becomes the agent's, or is freed. */
static void fill_in(consul_agent *agent, consul_address *address, uid_t user)
{
    consul_lock();
    if (!atomic_load_explicit(&agent->is_loaded, memory_order_relaxed)) {
        agent->address = *address;
        agent->user = user;
        memset(address, 0, sizeof(*address));
        atomic_store_explicit(&agent->is_loaded, true, memory_order_release);
    }
    consul_unlock();
    consul_address_clear(address);
}

/* Check that libcurl's TLS is OpenSSL's, and of this process: settings of ours go into its SSL_CTX. */
static int check_tls(consul_error *err)
{
    return consul_curl_tls_is_ours()
           || consul_error_set(
               err, CONSUL_R_SETTING_INVALID,
               "HTTPS to the agent needs libcurl on the OpenSSL of this program; this libcurl has another one, "
               "so set address to http:// or unix://");
}

/* Check that the agent is in memory of this process alone. Watches, answers and decisions are, too. */
static int check_memory(const consul_agent *agent, consul_error *err)
{
    return !consul_memory_is_shared(agent)
           || consul_error_set(
               err, CONSUL_R_INTERNAL,
               "this program keeps OpenSSL's memory where all its processes write to it, and so it "
               "can be no service");
}

int consul_agent_load(consul_agent *agent, consul_error *err)
{
    const consul_settings *settings = agent->settings;
    consul_address address = {0};
    uid_t user = 0;

    if (atomic_load_explicit(&agent->is_loaded, memory_order_acquire))
        return 1;
    if (!check_memory(agent, err) || !consul_libraries_load(err)
        || !consul_address_parse(settings, &address, err) || (address.https && !check_tls(err))
        || (settings->agent_user != NULL
            && !consul_agent_user_parse(settings->agent_user, &user, err))) {
        consul_address_clear(&address);
        return 0;
    }
    fill_in(agent, &address, user);
    return 1;
}

bool consul_agent_loads_surely(const consul_settings *settings)
{
    return settings->agent_user == NULL && settings->tls_server_name == NULL && !settings->tls
           && strncasecmp(settings->address, "https:", strlen("https:")) != 0
           && consul_address_is_plain(settings->address);
}

consul_agent *consul_agent_new(const consul_settings *settings, consul_error *err)
{
    consul_agent *agent = consul_agent_new_unloaded(settings, err);

    if (agent != NULL && !consul_agent_load(agent, err)) {
        consul_agent_free(agent);
        agent = NULL;
    }
    return agent;
}

void consul_agent_free(consul_agent *agent)
{
    if (agent == NULL)
        return;
    consul_address_clear(&agent->address);
    consul_shared_token_free(agent->login);
    OPENSSL_free(agent);
}

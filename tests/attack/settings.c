/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include "unit.h"

#include <stdio.h>

#include "peer.h"
#include "tls.h"

#define FULL_DEMAND "service = web\noutbound = require\n"

static const char *const settings_texts[SETTINGS] = {
    [PLAIN] = "",
    [SERVICE_WEB] = "service = web\n",
    [REQUIRE] = FULL_DEMAND,
    [EMPTY_SERVICE] = "service =\n",
    [DEMAND_ALONE] = "inbound = require\n",
    [DEAD_UPSTREAM] = FULL_DEMAND "upstreams = others\n[others]\n127.0.0.1 = db\n",
    [TWO_SERVICES] = "service = web\ninbound = off\noutbound = off\n",
    [UNLOADED] = ""};

enum settings settings_of(const row *r)
{
    switch ((enum governs)r->value[AXIS_GOVERNED]) {
    case BY_SERVICE:
        return SERVICE_WEB;
    case BY_REQUIREMENT:
        return REQUIRE;
    case BY_EMPTY_SERVICE:
        return EMPTY_SERVICE;
    case BY_DEMAND_ALONE:
        return DEMAND_ALONE;
    case BY_DEAD_UPSTREAM:
        return DEAD_UPSTREAM;
    case BY_TWO_SERVICES:
        return TWO_SERVICES;
    case BY_UNLOADED:
        return UNLOADED;
    case BY_LEAF:
    case BY_STAND_IN:
    case BY_URI:
    case BY_NOTHING:
        break;
    }
    return PLAIN;
}

/* Load an instance with a service into another library context, and unload it where asked. */
static void load_another(bool unload)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
    char text[256];
    config_file file;

    snprintf(text, sizeof(text), "address = %s\n" FULL_DEMAND, world.agent.address);
    file = config_file_write(text, NULL);
    assert_non_null(libctx);
    assert_int_equal(OSSL_LIB_CTX_load_config(libctx, file.path), 1);
    config_file_remove(&file);
    if (unload)
        OSSL_LIB_CTX_free(libctx);
}

void settings_set_up(enum settings settings)
{
    tls_set_up_as(settings_texts[settings]);
    if (settings == UNLOADED || settings == TWO_SERVICES)
        load_another(settings == UNLOADED);
    peer_set_up();
    fake_agent_set_leaf(&world.agent, &world.web);
    fake_agent_set_leaf_of(&world.agent, ATTACK_OTHER, &other_leaf);
    world.agent.denied = peer_denied;
}

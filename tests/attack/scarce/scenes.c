/* SPDX-License-Identifier: Apache-2.0 */
#include "scenes.h"

#include "unit.h"

#include "parties.h"
#include "shim.h"

#include <time.h>

#include <openssl/err.h>
#include <openssl/store.h>

#define PATIENCE_S 30
#define LOAD_TRIES 5

static bool is_served_by(enum party peer, bool is_client)
{
    return parties_talk(is_client, peer);
}

/* ---- states before a phase ---- */

/* Keep roots, leaf and a verdict. A second handshake would start the watch, whose thread no child has. */
static void keep(void)
{
    assert_true(parties_talk(false, FRIEND));
    assert_int_equal(parties_threads(), 1);
}

static void keep_as_client(void)
{
    assert_true(parties_talk(true, FRIEND));
}

/* Make handshakes until the process watches. */
static void watch(void)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    int i;

    for (i = 0; parties_threads() < 2; i++) {
        assert_true(i < 1000);
        parties_talk(false, FRIEND);
        nanosleep(&pause, NULL);
    }
}

/* ---- phases ---- */

static bool meet_foe(void)
{
    return parties_talk(false, FOE);
}

static bool meet_stranger(void)
{
    return parties_talk(false, STRANGER);
}

static bool meet_friend(void)
{
    parties_talk(false, FRIEND);
    return false;
}

static bool call_impostor(void)
{
    return parties_talk(true, STRANGER);
}

static bool call_friend(void)
{
    parties_talk(true, FRIEND);
    return false;
}

static bool load_and_meet_foe(void)
{
    parties_load();
    return parties_talk(false, FOE);
}

/* Meet a foe while the watch gets its next answers. */
static bool meet_foe_and_wait(void)
{
    const struct timespec pause = {.tv_nsec = 300000000};
    bool served = parties_talk(false, FOE);

    nanosleep(&pause, NULL);
    return served;
}

/* Load the leaf by its URI. Return true where a key comes with a certificate of another one. */
static bool load_uri(void)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open("consul://leaf/web", NULL, NULL, NULL, NULL);
    OSSL_STORE_INFO *info;
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;
    bool differs;
    int i;

    for (i = 0; store != NULL && i < 8 && !OSSL_STORE_eof(store) && !OSSL_STORE_error(store); i++) {
        if ((info = OSSL_STORE_load(store)) == NULL)
            continue;
        if (OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY && key == NULL)
            key = OSSL_STORE_INFO_get1_PKEY(info);
        if (OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_CERT && cert == NULL)
            cert = OSSL_STORE_INFO_get1_CERT(info);
        OSSL_STORE_INFO_free(info);
    }
    OSSL_STORE_close(store);
    shim_pause();
    /* A certificate may have come without its key, which OpenSSL had no memory for. */
    differs = key != NULL && cert != NULL && X509_get0_pubkey(cert) != NULL
              && X509_check_private_key(cert, key) != 1;
    EVP_PKEY_free(key);
    X509_free(cert);
    ERR_clear_error();
    shim_go_on();
    return differs;
}

/* Log in, so that the process logs out at its exit. */
static void load_and_log_in(void)
{
    parties_load();
    assert_true(parties_talk(false, FRIEND));
}

static bool do_nothing(void)
{
    return false;
}

const scene scenes[] = {
    {.phase = "load", .name = "load", .loads = true, .act = load_and_meet_foe},
    {.phase = "load", .name = "login", .logs_in = true, .loads = true, .act = load_and_meet_foe},
    {.phase = "first", .name = "first", .act = meet_foe},
    {.phase = "first", .name = "first-friend", .act = meet_friend},
    {.phase = "first", .name = "first-client", .is_client = true, .act = call_impostor},
    {.phase = "first", .name = "uri", .decodes = true, .act = load_uri},
    {.phase = "https", .name = "https", .secure = true, .act = meet_foe},
    {.phase = "https", .name = "https-kept", .secure = true, .prepare = keep, .act = meet_foe},
    {.phase = "authorization", .name = "kept", .prepare = keep, .act = meet_foe},
    {.phase = "authorization", .name = "kept-friend", .prepare = keep, .act = meet_friend},
    {.phase = "authorization", .name = "kept-stranger", .prepare = keep, .act = meet_stranger},
    {.phase = "authorization",
     .name = "kept-client",
     .is_client = true,
     .prepare = keep_as_client,
     .act = call_friend},
    {.phase = "rotation", .name = "rotation", .rotates = true, .prepare = keep, .act = meet_foe},
    {.phase = "rotation",
     .name = "watch",
     .watches = true,
     .begin = watch,
     .act = meet_foe_and_wait},
    {.phase = "outage", .name = "outage", .is_lost = true, .prepare = keep, .act = meet_foe},
    {.phase = "outage",
     .name = "last-known",
     .settings = "on_agent_loss = last-known\n",
     .is_lost = true,
     .prepare = keep,
     .act = meet_foe},
    {.phase = "exit", .name = "exit", .at_exit = true, .prepare = keep, .act = do_nothing},
    {.phase = "exit",
     .name = "exit-watch",
     .watches = true,
     .at_exit = true,
     .begin = watch,
     .act = do_nothing},
    {.phase = "exit",
     .name = "exit-login",
     .logs_in = true,
     .loads = true,
     .at_exit = true,
     .begin = load_and_log_in,
     .act = do_nothing},
};
const size_t scenes_count = sizeof(scenes) / sizeof(scenes[0]);

void scene_set_up(const scene *s)
{
    parties_set_up(s->settings == NULL ? "" : s->settings, s->logs_in, s->loads, s->watches,
                   s->secure);
    if (s->prepare != NULL)
        s->prepare();
    if (s->rotates)
        parties_rotate();
}

void scene_tear_down(void)
{
    parties_tear_down();
}

bool scene_recovers(const scene *s)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    time_t began = parties_seconds();
    int tries;

    /* A module that was refused at its load refuses all TLS. */
    for (tries = 0; !is_served_by(FRIEND, s->is_client); tries++) {
        if (parties_seconds() - began > PATIENCE_S || (s->loads && tries == LOAD_TRIES))
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}

bool scene_is_open(const scene *s)
{
    return is_served_by(STRANGER, s->is_client)
           || (!s->is_client && is_served_by(FOE, s->is_client));
}

bool scene_is_loaded(void)
{
    return parties_are_governed();
}

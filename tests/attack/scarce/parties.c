/* SPDX-License-Identifier: Apache-2.0 */
#include "parties.h"

#include "unit.h"

#include "agent/rights.h"
#include "agent/server.h"
#include "shim.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/x509v3.h>

#include "identity/stand_in.h"
#include "tls.h"

#define ROUNDS 8 /* turns of each side */

static OSSL_LIB_CTX *elsewhere; /* of the peers, which the module does not reach */
static SSL_CTX *peers[PARTIES], *governed;
static char folder[] = "/tmp/consul-scarce-XXXXXX", conf[64], jwt[64], stand_in[64], log_file[64],
            agent_cert[64];
static SSL_CTX *agent_ctx; /* where the agent speaks HTTPS, or NULL */
static control *agent;
static pid_t agent_pid;
static right_answers rights;

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
}

/* Write the settings like openssl.cnf.example: without the module there is no cryptography. */
static void write_conf(int port, bool logs_in, const char *more)
{
    char text[2048], login[256] = "", secure[128] = "";

    if (logs_in)
        snprintf(login, sizeof(login), "login_method = any\nlogin_bearer_file = %s\n", jwt);
    if (agent_ctx != NULL)
        snprintf(secure, sizeof(secure), "ca_file = %s\n", agent_cert);
    snprintf(text, sizeof(text),
             "config_diagnostics = 1\nopenssl_conf = init\n[init]\nproviders = providers\n"
             "[providers]\nnull = null_section\nconsul = consul_section\n"
             "[null_section]\nactivate = 1\n[consul_section]\nmodule = %s\nactivate = 1\n"
             "log = %s\naddress = %s127.0.0.1:%d\nconnect_timeout = 10s\nrequest_timeout = 10s\n"
             "authorize_timeout = 10s\nwatch_wait = 2s\n%s%s%s",
             module_path(), log_file, agent_ctx == NULL ? "" : "https://", port, login, secure,
             more);
    write_file(conf, text);
}

static void name_files(void)
{
    assert_non_null(mkdtemp(folder));
    snprintf(conf, sizeof(conf), "%s/openssl.cnf", folder);
    snprintf(jwt, sizeof(jwt), "%s/jwt", folder);
    snprintf(stand_in, sizeof(stand_in), "%s/web.pem", folder);
    snprintf(log_file, sizeof(log_file), "%s/log", folder);
    snprintf(agent_cert, sizeof(agent_cert), "%s/agent.pem", folder);
    write_file(jwt, "a.b.c");
}

/* Write the certificate and the key of a stand-in to one file, which only the module can read. */
static void write_stand_in(void)
{
    const unsigned char *der = consul_stand_in_key;
    EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &der, CONSUL_STAND_IN_KEY_LEN);
    minted one = mint(NULL, (mint_order){.names = {{GEN_URI, "consul:leaf/web", 0}}, .key = key});
    char *cert = mint_cert_pem(one.cert), text[4096];

    snprintf(text, sizeof(text), "%s%s", cert, CONSUL_STAND_IN_BLOCK);
    write_file(stand_in, text);
    free(cert);
    minted_free(&one);
    EVP_PKEY_free(key);
}

/* Give the agent a certificate for its address, which the module is to trust. */
static void make_agent_ctx(void)
{
    minted own =
        mint(NULL, (mint_order){.subject = "agent", .extensions = {"subjectAltName=IP:127.0.0.1"}});
    char *cert = mint_cert_pem(own.cert);

    write_file(agent_cert, cert);
    agent_ctx = tls_ctx_in(elsewhere, TLS1_3_VERSION, &own);
    free(cert);
    minted_free(&own);
}

/* Make a mesh with its own CA: its answers, and the contexts of the peers. */
static void make_mesh(void)
{
    OSSL_LIB_CTX *usual = OSSL_LIB_CTX_set0_default(elsewhere);
    minted ca = mint_ca(TD), foreign = mint_ca(TD), web = mint_leaf(&ca, TD, "web");
    minted leaves[PARTIES] = {mint_leaf(&ca, TD, "friend"), mint_leaf(&ca, TD, "foe"),
                              mint_leaf(&foreign, TD, "friend")};
    int i;

    rights = (right_answers){.roots = rights_of_roots(&ca, TD),
                             .leaf = rights_of_leaf(&web, SERVICE("web")),
                             .login = "{\"SecretID\": \"11111111-2222-3333-4444-555555555555\"}"};
    for (i = 0; i < PARTIES; i++) {
        SSL_CTX_free(peers[i]);
        peers[i] = tls_ctx_in(elsewhere, TLS1_3_VERSION, &leaves[i]);
        minted_free(&leaves[i]);
    }
    minted_free(&ca);
    minted_free(&foreign);
    minted_free(&web);
    OSSL_LIB_CTX_set0_default(usual);
}

/* Make the context of the governed side as a program does; or none, where it cannot read the stand-in. */
static void make_governed(void)
{
    governed = SSL_CTX_new(TLS_method());
    if (governed != NULL
        && (SSL_CTX_use_certificate_file(governed, stand_in, SSL_FILETYPE_PEM) != 1
            || SSL_CTX_use_PrivateKey_file(governed, stand_in, SSL_FILETYPE_PEM) != 1)) {
        SSL_CTX_free(governed);
        governed = NULL;
    }
    ERR_clear_error();
}

void parties_load(void)
{
    CONF_modules_load_file_ex(NULL, conf, NULL, 0);
    make_governed();
}

/* Start the agent in a process of its own. The leak checker trips over threads that a fork has left behind. */
static void start_agent(void)
{
    agent_pid = fork();
    assert_true(agent_pid >= 0);
    if (agent_pid > 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (agent_ctx != NULL)
        server_speak_tls(agent_ctx);
    server_start(agent, &rights);
    for (;;)
        pause();
}

static void end_agent(void)
{
    kill(agent_pid, SIGKILL);
    waitpid(agent_pid, NULL, 0);
}

void parties_set_up(const char *more, bool logs_in, bool later, bool watchable, bool secure)
{
    OSSL_LIB_CTX *usual;

    name_files();
    elsewhere = OSSL_LIB_CTX_new();
    assert_non_null(elsewhere);
    usual = OSSL_LIB_CTX_set0_default(elsewhere);
    write_stand_in();
    if (secure)
        make_agent_ctx();
    OSSL_LIB_CTX_set0_default(usual);
    make_mesh();
    agent = mmap(NULL, sizeof(*agent), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(agent, MAP_FAILED);
    agent->r.value[AXIS_INDEX] = watchable ? INDEX_RISING : INDEX_NONE;
    write_conf(server_listen(), logs_in, more);
    start_agent();
    if (!later) {
        parties_load();
        assert_true(parties_are_governed());
    }
}

void parties_tear_down(void)
{
    end_agent();
    unlink(conf);
    unlink(jwt);
    unlink(stand_in);
    unlink(log_file);
    unlink(agent_cert);
    rmdir(folder);
}

bool parties_are_governed(void)
{
    return governed != NULL;
}

void parties_rotate(void)
{
    free((char *)(uintptr_t)rights.roots);
    free((char *)(uintptr_t)rights.leaf);
    make_mesh();
    end_agent();
    start_agent();
}

static int turns_left; /* before the interruption */
static void (*interruption)(void);

void parties_interrupt(int turn, void (*by)(void))
{
    turns_left = turn;
    interruption = by;
}

/* Let a side go on as long as it can. Return true once it has got data. */
static bool take_turn(SSL *ssl, bool is_ours)
{
    char line[64];
    bool got = false;

    if (is_ours && turns_left > 0 && --turns_left == 0)
        interruption();
    if (is_ours)
        shim_go_on();
    if (SSL_do_handshake(ssl) == 1) {
        SSL_write(ssl, "line", 4);
        got = SSL_read(ssl, line, sizeof(line)) > 0;
    }
    shim_pause();
    ERR_clear_error();
    return got;
}

/* Connect both sides. Return false where the governed side has no memory for that. */
static bool connect_sides(bool is_client, enum party peer, SSL *sides[2])
{
    BIO *ours, *theirs;
    OSSL_LIB_CTX *usual;

    shim_go_on();
    sides[0] = governed == NULL ? NULL : SSL_new(governed);
    shim_pause();
    if (sides[0] == NULL)
        return false;
    usual = OSSL_LIB_CTX_set0_default(elsewhere);
    sides[1] = SSL_new(peers[peer]);
    OSSL_LIB_CTX_set0_default(usual);
    assert_true(sides[1] != NULL && BIO_new_bio_pair(&ours, 1 << 17, &theirs, 1 << 17));
    SSL_set_bio(sides[0], ours, ours);
    SSL_set_bio(sides[1], theirs, theirs);
    if (is_client && !SSL_set_tlsext_host_name(sides[0], "friend.service.consul"))
        return false;
    (is_client ? SSL_set_connect_state : SSL_set_accept_state)(sides[0]);
    (is_client ? SSL_set_accept_state : SSL_set_connect_state)(sides[1]);
    return true;
}

bool parties_talk(bool is_client, enum party peer)
{
    SSL *sides[2] = {NULL, NULL};
    bool got = false;
    int i;

    shim_pause();
    if (connect_sides(is_client, peer, sides)) {
        for (i = 0; i < ROUNDS; i++) {
            got |= take_turn(sides[1], false);
            got |= take_turn(sides[0], true);
        }
    }
    SSL_free(sides[0]); /* without memory, OpenSSL calls no function that frees its ex_data */
    SSL_free(sides[1]);
    ERR_clear_error();
    shim_go_on();
    return got;
}

int parties_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *entry;
    int count = 0;

    assert_non_null(tasks);
    while ((entry = readdir(tasks)) != NULL)
        count += *entry->d_name != '.';
    closedir(tasks);
    return count;
}

time_t parties_seconds(void)
{
    struct timespec now;

    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

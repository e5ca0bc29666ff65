/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Show the places that the rules of rules.yaml find, and some that they leave alone. A comment names the rule that finds
 * its line. This file is for semgrep alone: no compiler reads it.
 */
static int locks(int a)
{
    consul_lock(); /* lock-kept */
    if (a)
        return 1;
    consul_unlock();
    consul_lock();
    a = 2;
    consul_unlock();
    return a;
}

static int cancels(int a)
{
    int state = consul_forbid_cancel(); /* cancel-kept */

    if (a)
        return 1;
    consul_allow_cancel(state);
    return 0;
}

static int allows(void)
{
    int state = consul_forbid_cancel();

    consul_allow_cancel(state);
    return 0;
}

static void waits(int fd)
{
    consul_lock(); /* waits-with-the-lock */
    if (fd > 0)
        recv(fd, 0, 0, 0);
    consul_unlock();
}

static void waits_without(int fd)
{
    consul_lock();
    fd++;
    consul_unlock();
    recv(fd, 0, 0, 0);
}

static void opens(const char *path)
{
    open(path, O_RDONLY); /* inherited-descriptor */
    open(path, O_RDONLY | O_CLOEXEC);
    fopen(path, "r"); /* inherited-descriptor */
    fopen(path, "re");
    socket(AF_INET, SOCK_STREAM, 0); /* inherited-descriptor */
    socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    accept(0, 0, 0); /* inherited-descriptor */
    dup(0); /* inherited-descriptor */
    pipe(0); /* inherited-descriptor */
}

static void reads(void)
{
    getenv("CONSUL_HTTP_TOKEN"); /* environment */
    secure_getenv("CONSUL_HTTP_TOKEN");
    if (getauxval(AT_SECURE) != 0 && getenv("SSLKEYLOGFILE") != NULL)
        return;
}

static void speaks(void)
{
    printf("hello"); /* host-streams */
    fprintf(stderr, "hello"); /* host-streams */
    perror("hello"); /* host-streams */
}

static void ends(void)
{
    assert(0); /* host-ends */
    abort(); /* host-ends */
    exit(1); /* host-ends */
}

static void sets(void)
{
    setenv("A", "b", 1); /* host-settings */
    signal(SIGPIPE, SIG_IGN); /* host-settings */
    umask(0); /* host-settings */
    curl_global_init(0); /* host-settings */
}

static void clears(void)
{
    ERR_clear_error(); /* host-errors */
}

static void trusts(SSL *ssl)
{
    SSL_get_ex_data(ssl, 0); /* ssl-data */
    SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL); /* lax */
    SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
    if (!SSL_is_server(ssl) && endpoint_peer(e) == ENDPOINT_PEER_AUTHORIZED)
        SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    SET(CURLOPT_SSL_VERIFYPEER, 0L); /* lax */
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_FOLLOWLOCATION, 1L); /* lax */
}

static void writes(char *to, const char *name)
{
    snprintf(to, 10, "{\"Target\": \"%s\"}", name); /* text-by-hand */
    snprintf(to, 10, "/v1/agent/connect/ca/leaf/%s", name); /* text-by-hand */
    snprintf(to, 10, "https://%s", name); /* text-by-hand */
    snprintf(to, 10, "%s%s", name, name);
    snprintf(to, 10, "\"pid\":%d}", 1);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP with the agent: its address, the requests, and their way. */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/stat.h>
#include <sys/wait.h>

#include <openssl/crypto.h>

#include "agent_fixture.h"

#define SECRET "b6e8-secret-token"

/* ---- addresses ---- */

static const struct {
    const char *address;
    bool tls;
    const char *server_name;
    const char *source; /* the request's name in a message */
} good_addresses[] = {
    {"127.0.0.1:8500", false, NULL, "GET http://127.0.0.1:8500" PATH ":"},
    {"agent", false, NULL, "GET http://agent" PATH ":"},
    {"agent:1", true, NULL, "GET https://agent:1" PATH ":"},
    {"[::1]:8500", false, NULL, "GET http://[::1]:8500" PATH ":"},
    {"http://agent:1", false, NULL, "GET http://agent:1" PATH ":"},
    {":8500", false, NULL, "GET http://127.0.0.1:8500" PATH ":"},
    {"http://:8500", false, NULL, "GET http://127.0.0.1:8500" PATH ":"},
    {"https://:8501/p", false, NULL, "GET https://127.0.0.1:8501/p" PATH ":"},
    {"::1:8500", false, NULL, "GET http://[::1]:8500" PATH ":"},
    {"http://::1:8500/p", false, NULL, "GET http://[::1]:8500/p" PATH ":"},
    {":::8500", false, NULL, "GET http://[::]:8500" PATH ":"},
    {"fe80::abcd", false, NULL, "GET http://[fe80::abcd]" PATH ":"},
    {"https://fe80::1:8501", false, "server.dc1",
     "https://server.dc1:8501" PATH " at [fe80::1]:8501:"},
    {"http://agent:1/", false, NULL, "GET http://agent:1" PATH ":"},
    {"HTTP://agent:1", false, NULL, "GET http://agent:1" PATH ":"},
    {"http://agent:1/prefix", false, NULL, "GET http://agent:1/prefix" PATH ":"},
    {"http://agent:1/a/b//", false, NULL, "GET http://agent:1/a/b" PATH ":"},
    {"agent:1/prefix", false, NULL, "GET http://agent:1/prefix" PATH ":"},
    {"https://agent:1", false, NULL, "GET https://agent:1" PATH ":"},
    {"HTTPS://agent", false, NULL, "GET https://agent" PATH ":"},
    {"https://agent:1/p", false, "server.dc1", "GET https://server.dc1:1/p" PATH " at agent:1:"},
    {"https://agent", false, "server.dc1", "https://server.dc1" PATH " at agent:443:"},
    {"https://[::1]:1", false, "server.dc1", "https://server.dc1:1" PATH " at [::1]:1:"},
    {"http://agent:1", false, "server.dc1", "GET http://agent:1" PATH ":"},
    {"unix:///run/c.sock", false, NULL, "GET http://localhost" PATH " at unix:///run/c.sock:"},
    {"UNIX:///run/c.sock", false, NULL, "GET http://localhost" PATH " at unix:///run/c.sock:"},
    {"unix:///run/c.sock", true, NULL, "GET https://localhost" PATH " at unix:///run/c.sock:"},
    {"unix://relative", false, NULL, "GET http://localhost" PATH " at unix://relative:"},
};

/* After its deadline a request makes no connection, and the message names the address. */
static void test_good_addresses(void **state)
{
    size_t i;

    for (i = 0; i < sizeof(good_addresses) / sizeof(good_addresses[0]); i++) {
        consul_settings settings = {.address = (char *)(uintptr_t)good_addresses[i].address,
                                    .tls = good_addresses[i].tls,
                                    .tls_server_name =
                                        (char *)(uintptr_t)good_addresses[i].server_name,
                                    .request_timeout = 1000};
        const consul_request request = {.path = PATH, .deadline = 0};
        consul_agent *agent = agent_make(&settings);
        consul_answer answer;
        consul_error err = {0};

        assert_int_equal(consul_agent_request(agent, &request, &answer, &err), 0);
        assert_error(&err, CONSUL_R_AGENT_TIMEOUT, good_addresses[i].source);
        consul_agent_free(agent);
    }
}

static const char *const bad_addresses[] = {
    "ftp://agent:1",
    "file:///etc/passwd",
    "://agent",
    "tcp://agent:1",
    "http://",
    "https://",
    "unix://",
    "http://agent:99999",
    "agent:port",
    "http://agent:-1",
    "http://u:p@host:1",
    "user@host:1",
    "http://host:1/?a=b",
    "http://host:1/#f",
    "host:1?a",
    "http://a b:1",
    "https://host:1/p?dc",
    "http:// host:1",
    "::1",
    ":",
    "a:b:8500",
    ":port",
    "1:2:3",
};

static void test_bad_addresses(void **state)
{
    size_t i;

    for (i = 0; i < sizeof(bad_addresses) / sizeof(bad_addresses[0]); i++) {
        consul_settings settings = {.address = (char *)(uintptr_t)bad_addresses[i]};
        consul_error err = {0};
        char shown[128];
        consul_agent *agent = consul_agent_new(&settings, &err);

        if (agent != NULL)
            fail_msg("%s was accepted", bad_addresses[i]);
        /* An address that may hold a password is not shown. */
        snprintf(shown, sizeof(shown), "address = \"%s\": ",
                 strchr(bad_addresses[i], '@') == NULL ? bad_addresses[i] : "(not shown");
        if (strchr(bad_addresses[i], '@') != NULL)
            shown[strlen(shown) - 3] = '\0';
        assert_error(&err, CONSUL_R_SETTING_INVALID, shown);
        assert_contains(err.text, "allowed are host:port");
    }
}

/* Append a piece of the address, one of many that are right in some places and wrong in others. */
static void append_piece(char *address, size_t size, unsigned *seed)
{
    static const char *const pieces[] = {
        "a",   "Z", "0", "9", "8500", "65535", "65536", "host",  "127.0.0.1",
        ".",   "-", ":", "/", "//",   "[",     "]",     "@",     "%",
        "%00", "?", "#", " ", "_",    "\t",    "é",     "https", "x",
    };

    *seed = *seed * 1103515245 + 12345;
    OPENSSL_strlcat(address, pieces[(*seed >> 16) % (sizeof(pieces) / sizeof(*pieces))], size);
}

/* A plain address is right. An agent with it is loaded late, and can fail at no setting then. */
static void test_plain_addresses(void **state)
{
    static const char *const plain[] = {
        "127.0.0.1:8500",  "agent.example:1",    "x:65535",
        "http://a-b:8500", "https://Agent:8501", "unix:///run/consul/http.sock"};
    static const char *const begins[] = {"", "", "http://", "https://", "unix:///", "unix://"};
    char address[256];
    unsigned seed = 1;
    int i, k, found = 0;

    for (i = 0; i < (int)(sizeof(plain) / sizeof(plain[0])); i++)
        assert_true(consul_address_is_plain(plain[i]));
    assert_false(consul_address_is_plain("a:65536"));
    assert_false(consul_address_is_plain("a:123456"));
    for (i = 0; i < 50000; i++) {
        consul_settings settings = {.address = address};
        consul_address parsed = {0};
        consul_error err = {0};

        OPENSSL_strlcpy(address, begins[i % (int)(sizeof(begins) / sizeof(begins[0]))],
                        sizeof(address));
        for (k = 0; k < 2 + i % 5; k++)
            append_piece(address, sizeof(address), &seed);
        if (!consul_address_is_plain(address))
            continue;
        found++;
        if (!consul_address_parse(&settings, &parsed, &err))
            fail_msg("%s is plain, and: %s", address, err.text);
        consul_address_clear(&parsed);
    }
    assert_true(found > 1000);
}

static void test_bad_server_name(void **state)
{
    consul_settings settings = {.address = (char[]){"https://agent:1"},
                                .tls_server_name = (char[]){"not a name"}};
    consul_error err = {0};

    assert_null(consul_agent_new(&settings, &err));
    assert_error(&err, CONSUL_R_SETTING_INVALID, "tls_server_name = \"not a name\"");
}

/* ---- requests ---- */

static const struct {
    const char *prefix, *segment;
    consul_scope scope;
    const char *target;
} targets[] = {
    {"", NULL, {"", "", ""}, PATH},
    {"", "web", {"", "", ""}, PATH "/web"},
    {"/prefix", "web", {"", "", ""}, "/prefix" PATH "/web"},
    {"/a%20b/", "web", {"", "", ""}, "/a%20b" PATH "/web"},
    {"", "a/b", {"", "", ""}, PATH "/a%2Fb"},
    {"", "../../kv", {"", "", ""}, PATH "/..%2F..%2Fkv"},
    {"", "a b", {"", "", ""}, PATH "/a%20b"},
    {"", "a?b=c&d#e", {"", "", ""}, PATH "/a%3Fb%3Dc%26d%23e"},
    {"", "%2e%2E", {"", "", ""}, PATH "/%252e%252E"},
    {"", "caf\xc3\xa9;\\\"'<>", {"", "", ""}, PATH "/caf%C3%A9%3B%5C%22%27%3C%3E"},
    {"", NULL, {"team", "", ""}, PATH "?ns=team"},
    {"", "web", {"n", "p", "d"}, PATH "/web?dc=d&ns=n&partition=p"},
    {"/x", "web", {"", "p", ""}, "/x" PATH "/web?partition=p"},
    {"", NULL, {"a&dc=b", "", ""}, PATH "?ns=a%26dc%3Db"},
    {"", NULL, {"a=b#c", "", "x+y%"}, PATH "?dc=x%2By%25&ns=a%3Db%23c"},
    {"", NULL, {"a b", "", ""}, PATH "?ns=a+b"},
};

static void test_targets(void **state)
{
    agent_fixture *f = *state;
    size_t i;

    for (i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        const consul_request request = {
            .path = targets[i].segment == NULL ? PATH : PATH "/",
            .last_segment = targets[i].segment,
            .scope = &targets[i].scope,
            .deadline = CONSUL_NO_DEADLINE,
        };
        consul_answer answer;
        consul_error err = {0};

        snprintf(f->address, sizeof(f->address), "127.0.0.1:%d%s", http_server_port(f->server),
                 targets[i].prefix);
        if (!agent_ask(f, &request, &answer, &err))
            fail_msg("%s: %s", targets[i].target, err.text);
        /* the digits of an escape have no case, and libcurl's has changed */
        if (strcasecmp(f->seen.target, targets[i].target) != 0)
            fail_msg("%s instead of %s", f->seen.target, targets[i].target);
        assert_string_equal(f->seen.method, "GET");
        assert_string_equal(f->seen.body, "");
        assert_contains(answer.source, f->seen.target);
        consul_answer_free(&answer);
    }
}

static void test_post(void **state)
{
    agent_fixture *f = *state;
    const consul_request request = {
        .path = PATH, .body = "{\"a\": \"b%&\"}", .deadline = CONSUL_NO_DEADLINE};
    consul_answer answer;

    f->reply.body = "{\"yes\": 1}";
    assert_int_equal(agent_ask(f, &request, &answer, NULL), 1);
    assert_string_equal(f->seen.method, "POST");
    assert_string_equal(f->seen.body, request.body);
    assert_contains(f->seen.head, "\r\nContent-Type: application/json\r\n");
    assert_lacks(f->seen.head, "Expect:");
    assert_string_equal(answer.body, "{\"yes\": 1}");
    assert_int_equal(answer.len, strlen(answer.body));
    assert_memory_equal(answer.source, "POST http://", 12);
    consul_answer_free(&answer);
    assert_null(answer.body);
    assert_int_equal(answer.len, 0);
}

/* ---- credentials ---- */

static void write_file(const agent_fixture *f, char path[128], const char *text)
{
    FILE *file;

    snprintf(path, 128, "%s/token", f->folder);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_no_credentials(void **state)
{
    agent_fixture *f = *state;

    assert_int_equal(agent_ask_plainly(f, NULL), 1);
    assert_lacks(f->seen.head, "X-Consul-Token");
    assert_lacks(f->seen.head, "Authorization");
    assert_lacks(f->seen.head, "Accept-Encoding");
}

static void test_token(void **state)
{
    agent_fixture *f = *state;
    const consul_request request = {.path = PATH, .deadline = CONSUL_NO_DEADLINE};
    consul_answer answer;
    const char *first;

    f->settings.token = (char[]){SECRET};
    assert_int_equal(agent_ask(f, &request, &answer, NULL), 1);
    first = strstr(f->seen.head, "\r\nX-Consul-Token: " SECRET "\r\n");
    assert_non_null(first);
    assert_null(strstr(first + 4, "X-Consul-Token")); /* once */
    assert_lacks(answer.source, SECRET);
    consul_answer_free(&answer);
}

static void test_basic_auth(void **state)
{
    agent_fixture *f = *state;

    f->settings.http_auth = (char[]){"u:p"};
    assert_int_equal(agent_ask_plainly(f, NULL), 1);
    assert_contains(f->seen.head, "\r\nAuthorization: Basic dTpw\r\n");
}

/* The file is read at each request, trimmed, and beats the token where it says anything. */
static void test_token_file(void **state)
{
    agent_fixture *f = *state;
    static const struct {
        const char *content, *sent;
    } rows[] = {
        {"first", "first"}, {"second\n", "second"}, {" \t\r\nthird \r\n\n", "third"},
        {"", SECRET},       {" \n", SECRET},
    };
    char path[128];
    size_t i;

    f->settings.token = (char[]){SECRET};
    f->settings.token_file = path;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char header[64];

        write_file(f, path, rows[i].content);
        assert_int_equal(agent_ask_plainly(f, NULL), 1);
        snprintf(header, sizeof(header), "\r\nX-Consul-Token: %s\r\n", rows[i].sent);
        assert_contains(f->seen.head, header);
    }
    unlink(path);
}

static void test_bad_token_files(void **state)
{
    agent_fixture *f = *state;
    char path[128], *too_long = malloc(4098);
    const char *const rows[][2] = {
        {SECRET " more", "holds more than one word"},
        {SECRET "\nX-Other: 1", "holds more than one word"},
        {SECRET "\r\nX-Other:1", "holds more than one word"},
        {SECRET "\001", "holds more than one word"},
        {too_long, "longer than 4096 bytes"},
    };
    consul_error err = {0};
    size_t i;

    assert_non_null(too_long);
    memset(too_long, 'x', 4097);
    too_long[4097] = '\0';
    f->settings.token = (char[]){"other"};
    f->settings.token_file = path;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        err = (consul_error){0};
        write_file(f, path, rows[i][0]);
        assert_int_equal(agent_ask_plainly(f, &err), 0);
        assert_error(&err, CONSUL_R_SETTING_INVALID, rows[i][1]);
        assert_contains(err.text, path);
        assert_lacks(err.text, SECRET);
    }
    unlink(path);
    err = (consul_error){0};
    assert_int_equal(agent_ask_plainly(f, &err), 0);
    assert_error(&err, CONSUL_R_SETTING_INVALID, "No such file or directory");
    f->settings.token_file = f->folder; /* a folder opens, and does not read */
    err = (consul_error){0};
    assert_int_equal(agent_ask_plainly(f, &err), 0);
    assert_error(&err, CONSUL_R_SETTING_INVALID, "it is no regular file");
    assert_int_equal(http_server_requests(f->server), 0); /* nothing was asked with another token */
    free(too_long);
}

/* Ask with a token file of another kind. The request is refused, and does not wait. */
static void refuse_irregular(agent_fixture *f, const char *path)
{
    consul_error err = {0};

    f->settings.token_file = (char *)(uintptr_t)path;
    alarm(10); /* the open of a FIFO, or its read, would wait without end */
    assert_int_equal(agent_ask_plainly(f, &err), 0);
    alarm(0);
    assert_error(&err, CONSUL_R_SETTING_INVALID, "cannot be opened: it is no regular file");
    assert_contains(err.text, path);
}

/* No other process can hold a request up by the kind of a file. */
static void test_irregular_token_files(void **state)
{
    agent_fixture *f = *state;
    char path[128];
    int writer;

    f->settings.token = (char[]){"other"};
    snprintf(path, sizeof(path), "%s/fifo", f->folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    refuse_irregular(f, path);
    writer = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    assert_true(writer >= 0);
    refuse_irregular(f, path);
    close(writer);
    unlink(path);
    refuse_irregular(f, "/dev/zero");
    assert_int_equal(http_server_requests(f->server), 0);
}

/* Kubernetes has a secret as a link to a file. */
static void test_a_token_file_by_a_link(void **state)
{
    agent_fixture *f = *state;
    char path[128], by_link[128];

    write_file(f, path, SECRET);
    snprintf(by_link, sizeof(by_link), "%s/link", f->folder);
    assert_int_equal(symlink("token", by_link), 0);
    f->settings.token_file = by_link;
    assert_int_equal(agent_ask_plainly(f, NULL), 1);
    assert_contains(f->seen.head, "\r\nX-Consul-Token: " SECRET "\r\n");
    unlink(by_link);
    unlink(path);
}

/* ---- ways ---- */

static void test_nobody_listens(void **state)
{
    agent_fixture *f = *state;
    consul_error err = {0};

    strcpy(f->address, "127.0.0.1:1");
    assert_int_equal(agent_ask_plainly(f, &err), 0);
    assert_error(&err, CONSUL_R_AGENT_UNREACHABLE, "GET http://127.0.0.1:1" PATH ": ");
    snprintf(f->address, sizeof(f->address), "unix://%s/none", f->folder);
    err = (consul_error){0};
    assert_int_equal(agent_ask_plainly(f, &err), 0);
    assert_error(&err, CONSUL_R_AGENT_UNREACHABLE, f->address);
}

static void test_unix_socket(void **state)
{
    agent_fixture *f = *state;
    char path[128];
    http_server *server;

    snprintf(path, sizeof(path), "%s/agent", f->folder);
    server = http_server_start(path, agent_handle, f);
    snprintf(f->address, sizeof(f->address), "unix://%s", path);
    assert_int_equal(agent_ask_plainly(f, NULL), 1);
    assert_string_equal(f->seen.target, PATH);
    http_server_stop(server);
    unlink(path);
}

/* The proxy settings of the application's environment do not count for the agent. */
static void test_no_proxy(void **state)
{
    agent_fixture *f = *state;

    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    assert_int_equal(agent_ask_plainly(f, NULL), 1);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
}

/* The application's handling of signals is as it was. */
static void test_signals_are_left_alone(void **state)
{
    agent_fixture *f = *state;
    struct sigaction before, after;
    sigset_t mask_before, mask_after;
    int i;

    sigaction(SIGPIPE, NULL, &before);
    pthread_sigmask(SIG_SETMASK, NULL, &mask_before);
    assert_int_equal(agent_ask_plainly(f, NULL), 1);
    f->reply.manner = HTTP_CLOSE;
    assert_int_equal(agent_ask_plainly(f, NULL), 0);
    sigaction(SIGPIPE, NULL, &after);
    pthread_sigmask(SIG_SETMASK, NULL, &mask_after);
    assert_ptr_equal(before.sa_handler, after.sa_handler);
    for (i = 1; i < 32; i++)
        assert_int_equal(sigismember(&mask_before, i), sigismember(&mask_after, i));
}

static void *ask_often(void *arg)
{
    const consul_request request = {.path = PATH, .deadline = CONSUL_NO_DEADLINE};
    int i;

    for (i = 0; i < 20; i++) {
        consul_answer answer;
        int ok = consul_agent_request(arg, &request, &answer, NULL);

        consul_answer_free(&answer);
        if (!ok)
            return arg;
    }
    return NULL;
}

static void test_threads(void **state)
{
    agent_fixture *f = *state;
    consul_agent *agent = agent_make(&f->settings);
    pthread_t threads[8];
    size_t i;

    for (i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, agent), 0);
    for (i = 0; i < 8; i++) {
        void *bad;

        pthread_join(threads[i], &bad);
        assert_null(bad);
    }
    assert_int_equal(http_server_requests(f->server), 160);
    consul_agent_free(agent);
}

/* ---- a thread that leaves its HTTPS request for good, by siglongjmp in a handler say ---- */

static sigjmp_buf before;
static bool leaves;
static pthread_t left; /* the thread of the request */

int __real_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_join(pthread_t thread, void **result);

int __wrap_pthread_join(pthread_t thread, void **result)
{
    if (!leaves)
        return __real_pthread_join(thread, result);
    leaves = false;
    left = thread;
    siglongjmp(before, 1);
}

/* Wait for the thread of the request. Return the number of bytes that have changed meanwhile, where the stack was. */
static int __attribute__((noinline)) count_changes(void)
{
    volatile unsigned char stack[64 * 1024];
    int changes = 0;
    size_t i;

    for (i = 0; i < sizeof(stack); i++)
        stack[i] = 0xa5;
    __real_pthread_join(left, NULL);
    for (i = 0; i < sizeof(stack); i++)
        changes += stack[i] != 0xa5;
    return changes;
}

static int leave_a_request(consul_agent *agent)
{
    const consul_request request = {.path = PATH, .deadline = CONSUL_NO_DEADLINE};
    consul_answer answer;

    if (sigsetjmp(before, 1) == 0) {
        leaves = true;
        consul_agent_request(agent, &request, &answer, NULL);
        return -1;
    }
    return count_changes();
}

/* The request keeps its memory, too. So it is in a process of its own, which looks for no leaks. The agent hangs. */
static void test_an_https_request_that_is_left(void **state)
{
    agent_fixture *f = *state;
    consul_agent *agent;
    int status = -1;
    pid_t child;

    f->settings.tls = true;
    f->settings.request_timeout = 300;
    agent = agent_make(&f->settings);
    child = fork();
    if (child == 0)
        _exit(leave_a_request(agent) != 0);
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    consul_agent_free(agent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_addresses),
        cmocka_unit_test(test_bad_addresses),
        cmocka_unit_test(test_plain_addresses),
        cmocka_unit_test(test_bad_server_name),
        cmocka_unit_test_setup_teardown(test_targets, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_post, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_no_credentials, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_token, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_basic_auth, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_token_file, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_bad_token_files, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_irregular_token_files, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_a_token_file_by_a_link, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_nobody_listens, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_unix_socket, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_no_proxy, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_signals_are_left_alone, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_threads, agent_set_up, agent_tear_down),
        cmocka_unit_test_setup_teardown(test_an_https_request_that_is_left, agent_set_up,
                                        agent_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

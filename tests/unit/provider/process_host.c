/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host process of the provider, for test_processes. It serves, and then ends, forks or executes in
 * the way that its argument names. It does not know the provider: openssl.cnf does, or the
 * environment for a load by hand.
 *
 * It prints ENDING just before the end, which must be prompt from there. It prints WRONG for a failed
 * check. HANG and a number asks for an agent that leaves authorize requests without an answer. Then a
 * byte on standard input says that it does, and another byte that so many requests are waiting.
 * ANSWER ends that.
 */
#include "unit.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/provider.h>

#include "tls.h"

#define THREADS 16
#define FORKS 16
#define GENERATIONS 4

/* The entry for a process that dlopens it. */
__attribute__((visibility("default"))) int process_host_main(int argc, char **argv);

static char **arguments;
static int threads_before;
static SSL_CTX *server, *friend, *foe;

static void say(const char *word)
{
    if (write(STDOUT_FILENO, word, strlen(word)) < 0)
        _exit(1);
}

/* At the place where it shows, so that no report of a sanitizer is waited for. */
#define CHECK(condition)                    \
    do {                                    \
        if (!(condition)) {                 \
            say("WRONG: " #condition "\n"); \
            ERR_print_errors_fp(stdout);    \
            fflush(stdout);                 \
            _exit(1);                       \
        }                                   \
    } while (0)

static void pause_a_little(void)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    nanosleep(&pause, NULL);
}

/* Until the driver loses patience. */
#define WAIT_UNTIL(condition) \
    while (!(condition))      \
    pause_a_little()

/* ---- threads, sockets and connections ---- */

static int entries(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    int count = 0;

    CHECK(folder != NULL);
    while ((entry = readdir(folder)) != NULL)
        count += *entry->d_name != '.';
    closedir(folder);
    return count;
}

/* Return the number of the watch's threads: the others were there at first. */
static int threads(void)
{
    return entries("/proc/self/task") - threads_before;
}

/* Return how often other threads got the processor, or -1 while any has it or wants it. */
static long long turns_of_others(void)
{
    DIR *folder = opendir("/proc/self/task");
    const struct dirent *entry;
    long long turns = 0, of_one;

    CHECK(folder != NULL);
    while ((entry = readdir(folder)) != NULL) {
        char path[300], state = 'R';
        FILE *file;

        if (*entry->d_name == '.' || atoi(entry->d_name) == gettid())
            continue;
        snprintf(path, sizeof(path), "/proc/self/task/%s/schedstat", entry->d_name);
        if ((file = fopen(path, "r")) != NULL) {
            CHECK(fscanf(file, "%*d %*d %lld", &of_one) == 1);
            fclose(file);
            turns += of_one;
        }
        snprintf(path, sizeof(path), "/proc/self/task/%s/stat", entry->d_name);
        if ((file = fopen(path, "r")) != NULL) {
            CHECK(fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
            fclose(file);
        }
        if (state != 'S')
            turns = LLONG_MIN;
    }
    closedir(folder);
    return turns < 0 ? -1 : turns;
}

/* Return true where the other threads sleep for longer than any pause of theirs. */
static bool all_others_sleep(void)
{
    const struct timespec pause = {.tv_nsec = 50000000};
    long long before = turns_of_others();

    nanosleep(&pause, NULL);
    return before >= 0 && turns_of_others() == before;
}

static int sockets(void)
{
    struct stat about;
    int fd, count = 0;

    for (fd = 0; fd < 1024; fd++)
        count += fstat(fd, &about) == 0 && S_ISSOCK(about.st_mode);
    return count;
}

/* Return the number of connections to the agent. */
static int connections(void)
{
    struct sockaddr_storage peer;
    int fd, count = 0;

    for (fd = 0; fd < 1024; fd++) {
        socklen_t len = sizeof(peer);

        count += getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && peer.ss_family == AF_INET;
    }
    return count;
}

/* ---- TLS ---- */

static void open_contexts(OSSL_LIB_CTX *libctx)
{
    server = tls_ctx_by_uri("consul://leaf/web", libctx);
    friend = tls_ctx_by_uri("consul://leaf/friend", libctx);
    foe = tls_ctx_by_uri("consul://leaf/foe", libctx);
}

static void close_contexts(void)
{
    SSL_CTX_free(server);
    SSL_CTX_free(friend);
    SSL_CTX_free(foe);
}

static bool is_served(SSL_CTX *client)
{
    tls_outcome outcome = tls_connect(client, server);

    return outcome.server_done && outcome.server_got && outcome.client_got;
}

static bool is_denied(SSL_CTX *client)
{
    tls_outcome outcome = tls_connect(client, server);

    return !outcome.server_got && !outcome.client_got
           && strstr(outcome.server_errors, "peer denied by Consul") != NULL;
}

static void serve(void)
{
    CHECK(is_served(friend));
    CHECK(is_denied(foe));
}

/* Return true for a watch with its blocking queries. It may have kept a connection for roots that are asked for ahead. */
static bool is_watching(void)
{
    int count = connections();

    return threads() == 1 && (count == 2 || count == 3);
}

/* Serve until both blocking queries wait. */
static void watch(void)
{
    int i;

    for (i = 0; i < 2; i++)
        serve();
    WAIT_UNTIL(is_watching());
}

static atomic_bool enough;

static void *serve_for_ever(void *arg)
{
    while (!atomic_load(&enough))
        serve();
    return arg;
}

static pthread_t busy[THREADS];

static void begin_to_be_busy(void)
{
    int i;

    for (i = 0; i < THREADS; i++)
        CHECK(pthread_create(&busy[i], NULL, serve_for_ever, NULL) == 0);
}

static void end_to_be_busy(void)
{
    int i;

    atomic_store(&enough, true);
    for (i = 0; i < THREADS; i++)
        pthread_join(busy[i], NULL);
}

/* ---- ends ---- */

static int go_on(void)
{
    watch();
    close_contexts();
    return 0;
}

static int serve_and_return(void)
{
    serve();
    close_contexts();
    say("ENDING\n");
    return 0;
}

/* Return from main. The contexts are freed, as a sanitizer looks at the memory. */
static int end_by_return(void)
{
    watch();
    close_contexts();
    say("ENDING\n");
    return 0;
}

static int end_by_exit(void)
{
    watch();
    say("ENDING\n");
    exit(0);
}

static int end_at_once(void)
{
    watch();
    say("ENDING\n");
    _exit(0);
}

static void *exit_here(void *arg)
{
    say("ENDING\n");
    exit(0);
}

static int end_in_thread(void)
{
    pthread_t thread;

    watch();
    CHECK(pthread_create(&thread, NULL, exit_here, NULL) == 0);
    pthread_join(thread, NULL);
    return 1;
}

#if OPENSSL_VERSION_MAJOR >= 4
/* Go on after the cleanup: this OpenSSL cleans up after the exit of the process, and no earlier. */
static int end_by_cleanup(void)
{
    watch();
    OPENSSL_cleanup();
    CHECK(threads() == 1);
    serve();
    close_contexts();
    say("ENDING\n");
    return 0;
}
#else
static int end_by_cleanup(void)
{
    watch();
    close_contexts();
    say("ENDING\n");
    OPENSSL_cleanup();
    CHECK(threads() == 0);
    return 0;
}
#endif

#if OPENSSL_VERSION_MAJOR >= 4
static bool is_ending;

static void begin_to_end(void)
{
    is_ending = true;
}

static void end_other_openssl(void)
{
    CHECK(is_ending);
}

/* See an OpenSSL 3 of libcurl's take itself down after handlers of exit that are installed from now on. */
static void look_at_other_openssl(void)
{
    void *other = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_NOLOAD);
    void *found[] = {other == NULL ? NULL : dlsym(other, "OPENSSL_init_crypto"),
                     other == NULL ? NULL : dlsym(other, "OPENSSL_atexit")};
    int (*begin)(uint64_t options, const void *settings), (*at_exit)(void (*handler)(void));

    memcpy(&begin, &found[0], sizeof(begin));
    memcpy(&at_exit, &found[1], sizeof(at_exit));
    if (begin == NULL || at_exit == NULL)
        return;
    atexit(begin_to_end);
    CHECK(begin(OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL) == 1); /* as libcurl does */
    CHECK(at_exit(end_other_openssl) == 1);
}
#else
static void look_at_other_openssl(void)
{
}
#endif

/* End without ever a request. */
static int end_without_request(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());

    CHECK(ctx != NULL);
    SSL_CTX_free(ctx);
    look_at_other_openssl();
    say("ENDING\n");
    return 0;
}

/* End without ever a watch: everything was loaded by URI. */
static int end_without_watch(void)
{
    close_contexts();
    CHECK(threads() == 0 && sockets() == 0);
    say("ENDING\n");
    return 0;
}

/* Exit while busy. Such a host keeps libcrypto to the end, for its threads. */
static int end_while_busy(void)
{
    begin_to_be_busy();
    WAIT_UNTIL(connections() > 2);
    say("ENDING\n");
    exit(0);
}

static int end_at_once_while_busy(void)
{
    begin_to_be_busy();
    WAIT_UNTIL(connections() > 2);
    say("ENDING\n");
    _exit(0);
}

static void *ask_in_vain(void *arg)
{
    is_served(friend);
    return NULL;
}

static void wait_for_driver(void)
{
    char byte;

    CHECK(read(STDIN_FILENO, &byte, 1) == 1);
}

static int end_while_waiting(void)
{
    pthread_t thread;

    watch();
    say("HANG 1\n");
    wait_for_driver();
    CHECK(pthread_create(&thread, NULL, ask_in_vain, NULL) == 0);
    wait_for_driver();
    WAIT_UNTIL(all_others_sleep()); /* the driver may have seen an earlier question ahead */
    say("ENDING\n");
    exit(0);
}

static void end_in_handler(int number)
{
    say("ENDING\n");
    exit(0);
}

static pthread_t main_thread;

static void *interrupt(void *arg)
{
    wait_for_driver();
    /* It has sent its question: until it waits for the answer, too. */
    WAIT_UNTIL(all_others_sleep());
    pthread_kill(main_thread, SIGUSR1);
    return NULL;
}

static int end_by_signal(void)
{
    pthread_t thread;

    watch();
    signal(SIGUSR1, end_in_handler);
    main_thread = pthread_self();
    say("HANG 1\n");
    wait_for_driver();
    CHECK(pthread_create(&thread, NULL, interrupt, NULL) == 0);
    is_served(friend);
    return 1;
}

/* ---- forks and exec ---- */

static pid_t fork_or_fail(void)
{
    pid_t child = fork();

    CHECK(child >= 0);
    return child;
}

static void wait_for(pid_t child)
{
    int status;

    CHECK(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

/* Wait for a byte of the other process, or send one. */
static void receive(const int ends[2])
{
    char byte;

    CHECK(read(ends[0], &byte, 1) == 1);
}

static void send_to(const int ends[2])
{
    CHECK(write(ends[1], "", 1) == 1);
}

/* Serve with no watch of this process's own. Its thread may ask ahead. */
static void serve_without_watch(void)
{
    serve();
    serve();
    CHECK(threads() <= 1);
    WAIT_UNTIL(connections() == 0);
}

/* Fork, and watch in the child. Its parent relies on that watch, and has its own after the child's end. */
static int fork_first(void)
{
    int to_parent[2], to_child[2];
    pid_t child;

    CHECK(pipe(to_parent) == 0 && pipe(to_child) == 0);
    child = fork_or_fail();
    if (child == 0) {
        watch();
        send_to(to_parent);
        receive(to_child);
        close_contexts();
        return 0;
    }
    receive(to_parent);
    serve_without_watch();
    send_to(to_child);
    wait_for(child);
    watch();
    close_contexts();
    say("ENDING\n");
    return 0;
}

/* Watch, fork, and end. The child has nothing of this watch, and has its own one then. */
static int watch_by_generations(int generation, int most)
{
    pid_t parent = getpid();

    CHECK(threads() == 0 && sockets() == 0);
    watch();
    if (most == 0)
        most = sockets() + 1; /* as is_watching() has it */
    CHECK(sockets() <= most);
    if (generation == 0) {
        close_contexts();
        return 0;
    }
    if (fork_or_fail() > 0)
        _exit(0);
    WAIT_UNTIL(getppid() != parent);
    return watch_by_generations(generation - 1, most);
}

/*
 * Fork without a call of any handler (pthread_atfork), as by the system call. The child has no thread, believes this watch
 * as long as that lives, and has its own one afterwards. Each process ends promptly.
 */
static int fork_bare(void)
{
    int to_child[2];
    pid_t child, grandchild, parent = getpid();

    CHECK(pipe(to_child) == 0);
    watch();
    /* The child would have a lock, of the allocator say, from a thread at work. */
    WAIT_UNTIL(all_others_sleep());
    child = _Fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(threads() == 0);
        serve_without_watch();
        if ((grandchild = _Fork()) == 0)
            exit(0);
        wait_for(grandchild);
        send_to(to_child);
        WAIT_UNTIL(getppid() != parent);
        while (!is_watching())
            serve();
        close_contexts();
        return 0;
    }
    receive(to_child);
    serve();
    CHECK(is_watching());
    close_contexts();
    say("ENDING\n");
    return 0;
}

/* Fork while watching. The children rely on this watch. Once it is gone, one of them has its own. */
static int fork_watching(void)
{
    int to_parent[2], to_child[2];
    pid_t child;
    char byte;

    CHECK(pipe(to_parent) == 0 && pipe(to_child) == 0);
    if (fork_or_fail() == 0) {
        close(to_parent[0]);
        watch();
        child = fork_or_fail();
        if (child == 0) {
            child = getppid();
            serve_without_watch();
            send_to(to_child);
            WAIT_UNTIL(getppid() != child);
            return watch_by_generations(GENERATIONS, 0);
        }
        receive(to_child);
        _exit(0);
    }
    close(to_parent[1]);
    CHECK(read(to_parent[0], &byte, 1) == 0); /* the end of all the others */
    serve();
    close_contexts();
    say("ENDING\n");
    return 0;
}

/*
 * Fork while other threads are in the middle of handshakes, and all wait for the agent. Elsewhere a
 * thread may hold a lock of libcrypto's own. The child of such a fork would wait for it for ever,
 * with us or not.
 */
static int fork_in_handshakes(void)
{
    pid_t children[FORKS];
    int i;

    watch();
    say("HANG 2\n");
    wait_for_driver();
    begin_to_be_busy();
    wait_for_driver(); /* for two questions, of which the others await the answer */
    WAIT_UNTIL(all_others_sleep());
    for (i = 0; i < FORKS; i++) {
        if ((children[i] = fork_or_fail()) == 0) {
            serve();
            serve();
            _exit(0);
        }
    }
    say("ANSWER\n");
    for (i = 0; i < FORKS; i++)
        wait_for(children[i]);
    end_to_be_busy();
    CHECK(is_watching());
    close_contexts();
    say("ENDING\n");
    return 0;
}

/* Execute the program anew, in its own place. The new one has nothing of the watch. */
static int execute(void)
{
    char again_as[] = "executed", *again[] = {arguments[0], again_as, NULL};

    watch();
    execv("/proc/self/exe", again);
    return 1;
}

static int executed(void)
{
    CHECK(sockets() == 0);
    watch();
    close_contexts();
    say("ENDING\n");
    return 0;
}

/* ---- the provider loaded by hand, with the default provider that it displaces ---- */

typedef struct loaded {
    OSSL_LIB_CTX *libctx;
    OSSL_PROVIDER *builtin, *provider;
} loaded;

static loaded load(OSSL_LIB_CTX *libctx)
{
    char *folder = strdup(module_path());
    loaded one = {.libctx = libctx, .builtin = OSSL_PROVIDER_load(libctx, "default")};

    CHECK(one.builtin != NULL && OSSL_PROVIDER_set_default_search_path(libctx, dirname(folder)));
    one.provider = OSSL_PROVIDER_load(libctx, "consul");
    CHECK(one.provider != NULL);
    free(folder);
    return one;
}

static void unload(loaded one)
{
    CHECK(OSSL_PROVIDER_unload(one.provider) && OSSL_PROVIDER_unload(one.builtin));
    OSSL_LIB_CTX_free(one.libctx);
}

/* Unload by hand. OpenSSL keeps an instance in the default context to the end, so we govern. */
static int unload_by_hand(void)
{
    loaded one = load(NULL);

    open_contexts(NULL);
    watch();
    CHECK(OSSL_PROVIDER_unload(one.provider));
    serve();
    close_contexts();
    CHECK(OSSL_PROVIDER_unload(one.builtin));
    say("ENDING\n");
    return 0;
}

/* Free contexts. The default context goes by the instance that is left, and at last without one. */
static int free_contexts(void)
{
    loaded one = load(OSSL_LIB_CTX_new()), two;

    open_contexts(one.libctx);
    watch();
    two = load(OSSL_LIB_CTX_new());
    close_contexts();
    unload(one);
    CHECK(threads() == 0 && sockets() == 0);
    open_contexts(two.libctx);
    watch();
    close_contexts();
    unload(two);
    CHECK(threads() == 0 && sockets() == 0);
    say("ENDING\n");
    return 0;
}

static int load_twice(void)
{
    loaded one, two, three;

    watch(); /* by the one that openssl.cnf has loaded */
    one = load(NULL);
    two = load(OSSL_LIB_CTX_new());
    three = load(OSSL_LIB_CTX_new());
    serve();
    unload(two);
    serve();
    unload(one);
    serve();
    CHECK(is_watching());
    unload(three);
    serve();
    close_contexts();
    say("ENDING\n");
    return 0;
}

/* ---- */

static const struct {
    const char *name;
    int (*run)(void);
    bool by_hand, keeps_libcrypto;
} models[] = {
    {"go on", go_on, .by_hand = false},
    {"serve", serve_and_return, .by_hand = false},
    {"return", end_by_return, .by_hand = false},
    {"exit", end_by_exit, .by_hand = false},
    {"_exit", end_at_once, .by_hand = false},
    {"exit in a thread", end_in_thread, .by_hand = false},
    {"cleanup", end_by_cleanup, .by_hand = false},
    {"no handshake", end_without_watch, .by_hand = false},
    {"no request", end_without_request, .by_hand = true},
    {"exit while busy", end_while_busy, .keeps_libcrypto = true},
    {"_exit while busy", end_at_once_while_busy, .by_hand = false},
    {"exit while waiting", end_while_waiting, .by_hand = false},
    {"exit in a handler", end_by_signal, .by_hand = false},
    {"fork first", fork_first, .by_hand = false},
    {"fork watching", fork_watching, .by_hand = false},
    {"bare fork", fork_bare, .by_hand = false},
    {"fork in handshakes", fork_in_handshakes, .by_hand = false},
    {"exec", execute, .by_hand = false},
    {"executed", executed, .by_hand = false},
    {"unload", unload_by_hand, .by_hand = true},
    {"free contexts", free_contexts, .by_hand = true},
    {"load twice", load_twice, .by_hand = false},
};

static void *return_at_once(void *arg)
{
    return arg;
}

int process_host_main(int argc, char **argv)
{
    pthread_t thread;
    size_t i;

    arguments = argv;
    /* A sanitizer starts its own thread with the first of ours. */
    CHECK(pthread_create(&thread, NULL, return_at_once, NULL) == 0);
    pthread_join(thread, NULL);
    threads_before = entries("/proc/self/task");
    signal(SIGPIPE, SIG_DFL);
    for (i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        if (argc < 2 || strcmp(argv[1], models[i].name) != 0)
            continue;
        if (models[i].keeps_libcrypto)
            OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
        if (!models[i].by_hand)
            open_contexts(NULL);
        return models[i].run();
    }
    return 2;
}

#ifndef PROCESS_HOST_LIBRARY
int main(int argc, char **argv)
{
    return process_host_main(argc, argv);
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients in threads, on one SSL_CTX: as fast as they can, or at a fixed rate. At a rate, the time of
 * each begins when it was due, even if the one before delayed it.
 */
#include "end.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <sys/prctl.h>
#include <unistd.h>

#define THREADS_MAX 256
#define WARM 0.2 /* of the time: done before it begins, and not counted */

typedef struct load load;

typedef struct client {
    const load *load;
    int number;
    end kept;
    bool is_open;
    double *took; /* seconds, of each that went well */
    size_t count, room;
    long failed;
} client;

struct load {
    SSL_CTX *ctx;
    int port, threads;
    bool keeps; /* its connections */
    double rate, began, until;
};

static bool do_one(client *c)
{
    end e;
    bool ok;

    if (!c->load->keeps) {
        if (!end_connect(&e, c->load->ctx, c->load->port))
            return false;
        ok = end_ask(&e);
        end_close(&e);
        return ok;
    }
    if (!c->is_open)
        c->is_open = end_connect(&c->kept, c->load->ctx, c->load->port);
    return c->is_open && end_ask(&c->kept);
}

static void note(client *c, double took)
{
    if (c->count == c->room) {
        c->room = c->room == 0 ? 1024 : 2 * c->room;
        if ((c->took = realloc(c->took, c->room * sizeof(*c->took))) == NULL)
            die("no memory");
    }
    c->took[c->count++] = took;
}

/* Wait until it is due; gives the moment from which it counts. */
static double wait_for_turn(const client *c, long turn)
{
    const load *l = c->load;
    double due;
    struct timespec t;

    if (l->rate <= 0)
        return now();
    due = l->began + ((double)turn * l->threads + c->number) / l->rate;
    t.tv_sec = (time_t)due;
    t.tv_nsec = (long)((due - (double)t.tv_sec) * 1e9);
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
    return due;
}

static void *run_client(void *arg)
{
    client *c = arg;
    long turn;

    prctl(PR_SET_TIMERSLACK, 1);
    for (turn = 0;; turn++) {
        double due = wait_for_turn(c, turn);

        if (due >= c->load->until)
            return NULL;
        if (do_one(c))
            note(c, now() - due);
        else
            c->failed++;
    }
}

static void run_for(const load *l, client *clients)
{
    pthread_t thread[THREADS_MAX];
    int i;

    for (i = 0; i < l->threads; i++) {
        clients[i].count = 0;
        if (pthread_create(&thread[i], NULL, run_client, &clients[i]) != 0)
            die("a thread");
    }
    for (i = 0; i < l->threads; i++)
        pthread_join(thread[i], NULL);
}

static int compare(const void *a, const void *b)
{
    double difference = *(const double *)a - *(const double *)b;

    return (difference > 0) - (difference < 0);
}

static size_t count_all(const client *clients, int threads)
{
    size_t count = 0;
    int t;

    for (t = 0; t < threads; t++)
        count += clients[t].count;
    return count;
}

/* Print the results of all clients together, as in the head of peer.c. */
static void report(const client *clients, int threads, size_t before, double seconds, double cpu)
{
    double *all;
    size_t count = count_all(clients, threads), at = 0, i;
    long failed = 0;
    int t;

    for (t = 0; t < threads; t++)
        failed += clients[t].failed;
    if ((all = malloc((count + 1) * sizeof(*all))) == NULL)
        die("no memory");
    for (t = 0; t < threads; t++) {
        for (i = 0; i < clients[t].count; i++)
            all[at++] = clients[t].took[i];
    }
    qsort(all, count, sizeof(*all), compare);
    all[count] = 0;
    printf("%zu %zu %ld %.6f %.6f %.9f %.9f %.9f\n", count, before, failed, seconds, cpu,
           all[count / 2], all[count * 9 / 10], all[count * 99 / 100]);
    free(all);
}

static int run(load *l, double seconds)
{
    static client clients[THREADS_MAX];
    size_t before;
    double cpu;
    int i;

    if (l->threads < 1 || l->threads > THREADS_MAX)
        die("how many threads?");
    for (i = 0; i < l->threads; i++)
        clients[i] = (client){.load = l, .number = i};
    l->began = now();
    l->until = l->began + seconds * WARM;
    run_for(l, clients);
    before = count_all(clients, l->threads);
    cpu = cpu_used();
    l->began = now();
    l->until = l->began + seconds;
    run_for(l, clients);
    report(clients, l->threads, before, now() - l->began, cpu_used() - cpu);
    return 0;
}

int run_connections(const way *w, int port, int threads, double seconds, double rate)
{
    load l = {.ctx = make_ctx(w, false), .port = port, .threads = threads, .rate = rate};

    return run(&l, seconds);
}

int run_requests(const way *w, int port, int threads, double seconds, double rate)
{
    load l = {.ctx = make_ctx(w, false), .port = port, .threads = threads, .rate = rate};

    l.keeps = true;
    return run(&l, seconds);
}

/* Open connections one after the other, print when each of some was there, and keep them. */
int run_holder(const way *w, int port, int count)
{
    SSL_CTX *ctx = make_ctx(w, false);
    char byte;
    end e;
    int i;

    for (i = 1; i <= count; i++) {
        if (!end_connect(&e, ctx, port) || !end_ask(&e))
            die("no connection");
        if (i == 1 || i == 10 || i == 100 || i == count)
            printf("%d %.6f\n", i, now());
    }
    printf("all\n");
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        ;
    return 0;
}

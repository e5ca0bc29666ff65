/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of any application: mutual TLS or plain TCP. The program knows nothing of the provider.
 * tests/bench/bench.py measures their cost with and without it.
 *
 *     peer serve   WAY THREADS                   prints its port, and serves until EOF
 *     peer connect WAY PORT THREADS SECONDS RATE a request on a new connection each time
 *     peer request WAY PORT THREADS SECONDS RATE requests on a kept connection of each thread
 *     peer hold    WAY PORT COUNT                prints when it had some, then "all"; until EOF
 *     peer pair    WAY COUNT                     both ends in memory
 *     peer public  WAY COUNT                     the same, but the client has no certificate
 *
 * WAY is CERT KEY CA VERSION CHAIN. A file "-" is missing, and without any file it is plain TCP. VERSION
 * is 1.2, 1.3 or any. CHAIN is auto or none (SSL_MODE_NO_AUTO_CHAIN). RATE is of all threads a second,
 * or 0 for as fast as they can. connect and request print five numbers: good ones, good ones before
 * that to become warm, failures, seconds, CPU seconds. The seconds of one follow: median, 90th and
 * 99th percentile.
 */
#include "end.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define WAY_AT 2
#define MORE_AT 7

int main(int argc, char **argv)
{
    char **of = argv + WAY_AT, **more = argv + MORE_AT;
    const char *verb = argc > 1 ? argv[1] : "";
    int count = argc - MORE_AT;
    way w;

    signal(SIGPIPE, SIG_IGN);
    if (count < 1)
        die("usage: see the head of peer.c");
    w = (way){of[0], of[1], of[2], of[3], of[4]};
    if (strcmp(verb, "serve") == 0 && count == 1)
        run_server(&w, atoi(more[0]));
    if (strcmp(verb, "connect") == 0 && count == 4)
        return run_connections(&w, atoi(more[0]), atoi(more[1]), atof(more[2]), atof(more[3]));
    if (strcmp(verb, "request") == 0 && count == 4)
        return run_requests(&w, atoi(more[0]), atoi(more[1]), atof(more[2]), atof(more[3]));
    if (strcmp(verb, "hold") == 0 && count == 2)
        return run_holder(&w, atoi(more[0]), atoi(more[1]));
    if ((strcmp(verb, "pair") == 0 || strcmp(verb, "public") == 0) && count == 1)
        return run_pairs(&w, atol(more[0]), strcmp(verb, "public") == 0);
    die("usage: see the head of peer.c");
}

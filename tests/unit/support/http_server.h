/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tiny HTTP server for tests: one thread, and one request a connection. A handler decides on the
 * answer or the fault. It listens on a free port of 127.0.0.1, or on a unix socket.
 */
#ifndef CONSUL_TEST_HTTP_SERVER_H
#define CONSUL_TEST_HTTP_SERVER_H

#include <stddef.h>

#define HTTP_HEAD_MAX 16384
#define HTTP_BODY_MAX 65536

typedef struct http_request {
    char head[HTTP_HEAD_MAX]; /* request line and headers, as they came */
    char method[16];
    char target[8192];
    char body[HTTP_BODY_MAX];
} http_request;

enum http_manner {
    HTTP_ANSWER,   /* as it should be */
    HTTP_HANG,     /* say nothing until the client gives up */
    HTTP_STALL,    /* say the headers and half of the body, and then nothing */
    HTTP_CLOSE,    /* close without an answer */
    HTTP_CUT,      /* close after half of the body */
    HTTP_RAW,      /* send the body alone, without status or headers */
    HTTP_RAW_RESET /* the same, and then reset the connection */
};

typedef struct http_reply {
    enum http_manner manner;
    int status;          /* 200 unless the handler changes it */
    const char *headers; /* more of them, each with its CRLF; borrowed */
    const char *body;    /* borrowed until the next request */
    size_t len;          /* of the body; 0 means up to its NUL */
} http_reply;

/* Runs in the server's thread; the client has its answer only after it has returned. */
typedef void http_handler_fn(const http_request *request, http_reply *reply, void *arg);

typedef struct http_server http_server;

http_server *http_server_start(const char *socket_path, http_handler_fn *handler, void *arg);
void http_server_stop(http_server *server);
int http_server_port(const http_server *server);
int http_server_requests(const http_server *server); /* how many have come so far */

#endif

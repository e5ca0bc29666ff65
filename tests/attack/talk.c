/* SPDX-License-Identifier: Apache-2.0 */
#include "talk.h"

#include "unit.h"

#include <stdio.h>

#include <openssl/err.h>

#define ROUNDS 24 /* turns of each end at most; a handshake takes some six */
#define QUIET 3   /* rounds without progress that end a talk */
#define NARROW_ROUNDS 400
#define WIDE (1 << 16)
#define NARROW 97 /* bytes in a pipe */
#define REVIVALS 3

/* One end of a talk. */
typedef struct end {
    SSL *ssl;
    bool is_app;
    enum drive drive;
    const char *line; /* its line of data */
    bool done, failed, written, got;
    bool early_over;
    int revivals;
    char *errors;
} end;

static int moves; /* bytes and states that have moved so far */

void talk_clear(void)
{
    ERR_clear_error();
}

/* Take an end's errors at once, as both share this thread's queue. */
static void take_errors(end *one)
{
    unsigned long code;
    const char *data;
    int flags;

    while ((code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
        const char *reason = ERR_reason_error_string(code);
        size_t len = strlen(one->errors);

        snprintf(one->errors + len, TALK_ERRORS_MAX - len, "%s: %s\n", reason == NULL ? "" : reason,
                 (flags & ERR_TXT_STRING) != 0 ? data : "");
    }
}

static bool is_failure(const end *one, int result)
{
    int error = SSL_get_error(one->ssl, result);

    return error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL || error == SSL_ERROR_ZERO_RETURN;
}

static void shake_hands(end *one)
{
    int result;

    if (one->is_app)
        app_list("SSL_do_handshake(ssl)");
    result = SSL_do_handshake(one->ssl);
    one->done = result == 1;
    one->failed = result != 1 && is_failure(one, result);
}

/* Return true where an end may have a pre-shared key, which libssl asks for within its ClientHello. */
static bool comes_with_a_key(void)
{
    return ROW_IS(&app.r, PEER, PEER_KEY) || ROW_IS(&app.r, TAKE, TAKE_KEY)
           || ROW_IS(&app.r, TAKE, TAKE_ALL);
}

/* Read and write early, as far as there is something. */
static void go_early(end *one)
{
    char buffer[64];
    size_t len = 0;
    int result;

    app_list("SSL_read_early_data(ssl, ...); SSL_write_early_data(ssl, ...)");
    if (SSL_is_server(one->ssl)) {
        result = SSL_read_early_data(one->ssl, buffer, sizeof(buffer), &len);
        one->got |= result == SSL_READ_EARLY_DATA_SUCCESS && len > 0;
        one->early_over = result == SSL_READ_EARLY_DATA_FINISH;
        one->failed |= result == SSL_READ_EARLY_DATA_ERROR && is_failure(one, 0);
        if (!one->early_over && !one->failed)
            SSL_write_early_data(one->ssl, one->line, strlen(one->line), &len);
    } else {
        one->early_over = true;
        if (comes_with_a_key()
            || (SSL_get_session(one->ssl) != NULL
                && SSL_SESSION_get_max_early_data(SSL_get_session(one->ssl)) > 0))
            SSL_write_early_data(one->ssl, one->line, strlen(one->line), &len);
    }
}

/* Say the line as a server that has looked for early data, and does not wait for the client's certificate. */
static void write_early(end *one)
{
    size_t len = 0;

    if (one->is_app)
        app_list("SSL_write_early_data(ssl, ...)");
    SSL_write_early_data(one->ssl, one->line, strlen(one->line), &len);
    ERR_clear_error(); /* as in most states */
}

static void exchange_lines(end *one)
{
    char buffer[64];
    int result;

    if (!one->written) {
        result = SSL_write(one->ssl, one->line, (int)strlen(one->line));
        one->written = result > 0;
        one->failed |= result <= 0 && is_failure(one, result);
    }
    result = SSL_read(one->ssl, buffer, sizeof(buffer));
    one->got |= result > 0;
    one->failed |= result <= 0 && is_failure(one, result);
}

static long written_by(const end *one)
{
    return SSL_get_wbio(one->ssl) == NULL ? 0 : (long)BIO_number_written(SSL_get_wbio(one->ssl));
}

/* Go on after a failure, and say the line again. Return false where the end of it is reached. */
static bool revive(end *one)
{
    if (!one->is_app || !ROW_IS(&app.r, LOOK, LOOK_REVIVES) || one->revivals == REVIVALS)
        return false;
    one->revivals++;
    app_revive(one->ssl);
    one->failed = one->written = false;
    return true;
}

static void take_turn(end *one)
{
    bool was_done = one->done, had = one->got, was_failed = one->failed;
    long before = written_by(one);

    if (one->failed && !revive(one))
        return;
    ERR_clear_error();
    if (one->is_app)
        app_at(AT_BETWEEN, one->ssl);
    else
        peer_enter();
    if (one->drive == DRIVE_EARLY && !one->early_over)
        go_early(one);
    else if (!one->done && one->drive != DRIVE_DATA) {
        if (one->drive == DRIVE_EARLY && SSL_is_server(one->ssl))
            write_early(one);
        shake_hands(one);
    }
    if (one->is_app && one->done && !was_done)
        app_at(AT_END, one->ssl);
    if (one->is_app && one->done && !was_done)
        app_look_after(one->ssl);
    if (!one->failed && (one->done || one->drive == DRIVE_DATA))
        exchange_lines(one);
    one->done |= SSL_is_init_finished(one->ssl) == 1;
    moves += one->done != was_done || one->got != had || one->failed != was_failed
             || written_by(one) != before;
    take_errors(one);
    app_enter();
}

static void take_turns(end *app_end, end *peer_end)
{
    int round, quiet = 0, before;
    int rounds = app_end->drive == DRIVE_NARROW ? NARROW_ROUNDS : ROUNDS;

    for (round = 0; round < rounds && quiet < QUIET; round++) {
        before = moves;
        take_turn(peer_end);
        take_turn(app_end);
        quiet = moves == before ? quiet + 1 : 0;
    }
}

static enum shown shown_to(const SSL *peer)
{
    enum shown shown;
    X509 *cert;

    peer_enter();
    cert = SSL_get1_peer_certificate(peer);
    shown = app_shown(cert);
    X509_free(cert);
    app_enter();
    return shown;
}

/* Return the drive of this handshake. An SSL that has looked for early data is of no use again in OpenSSL. */
static enum drive drive_now(void)
{
    enum life life = app.r.value[AXIS_LIFE];
    bool comes_again = life >= LIFE_CLEARED && life <= LIFE_REUSED && !app.is_used_again;

    return comes_again && ROW_IS(&app.r, DRIVE, DRIVE_EARLY) ? DRIVE_HANDSHAKE
                                                             : app.r.value[AXIS_DRIVE];
}

static talk_outcome run(SSL *peer, bool is_done, enum drive peer_drive)
{
    talk_outcome outcome = {0};
    end a = {.ssl = app.ssl, .is_app = true, .drive = drive_now(), .line = "app's"};
    end p = {.ssl = peer, .drive = peer_drive, .line = "peer's"};

    a.errors = outcome.app_errors;
    p.errors = outcome.peer_errors;
    a.done = p.done = is_done;
    a.early_over = is_done || ROW_IS(&app.r, PROTOCOL, DTLS_1_2);
    take_turns(&a, &p);
    outcome.app_done = SSL_is_init_finished(app.ssl) == 1;
    outcome.reused = SSL_session_reused(app.ssl);
    outcome.early = SSL_get_early_data_status(app.ssl) == SSL_EARLY_DATA_ACCEPTED;
    outcome.app_got = a.got;
    outcome.peer_got = p.got;
    outcome.shown = shown_to(peer);
    return outcome;
}

static long at_bio(BIO *bio, int oper, const char *data, size_t len, int i, long l, int result,
                   size_t *processed)
{
    if ((oper & BIO_CB_RETURN) == 0 && (oper == BIO_CB_READ || oper == BIO_CB_WRITE))
        app_at(AT_BIO, app.ssl);
    return result;
}

void talk_join(SSL *peer)
{
    bool narrow = ROW_IS(&app.r, DRIVE, DRIVE_NARROW) && !ROW_IS(&app.r, PROTOCOL, DTLS_1_2);
    size_t size = narrow ? NARROW : WIDE;
    BIO *of_app, *of_peer;

    assert_true(BIO_new_bio_pair(&of_app, size, &of_peer, size));
    app_list("SSL_set_bio(ssl, bio, bio)");
    SSL_set_bio(app.ssl, of_app, of_app);
    SSL_set_bio(peer, of_peer, of_peer);
    app.rbio = app.wbio = of_app;
    if (ROW_IS(&app.r, PLACE, AT_BIO))
        BIO_set_callback_ex(of_app, at_bio);
}

talk_outcome talk(SSL *peer)
{
    bool resumes =
        app.r.value[AXIS_LIFE] >= LIFE_RESUMED && app.r.value[AXIS_LIFE] <= LIFE_TICKET_KEYS;

    return run(peer, false,
               (resumes || comes_with_a_key()) && ROW_IS(&app.r, DRIVE, DRIVE_EARLY)
                   ? DRIVE_EARLY
                   : DRIVE_HANDSHAKE);
}

talk_outcome talk_again(SSL *peer, int (*app_again)(SSL *), int (*peer_again)(SSL *))
{
    long before = SSL_total_renegotiations(app.ssl);
    talk_outcome outcome;

    if (app_again != NULL)
        app_again(app.ssl);
    SSL_do_handshake(app.ssl);
    peer_enter();
    if (peer_again != NULL)
        peer_again(peer);
    SSL_do_handshake(peer);
    app_enter();
    ERR_clear_error();
    outcome = run(peer, true, DRIVE_HANDSHAKE);
    if (SSL_total_renegotiations(app.ssl) == before || !SSL_is_init_finished(app.ssl))
        return outcome;
    /* Data from now on is of the second handshake's peer. */
    outcome = run(peer, true, DRIVE_HANDSHAKE);
    outcome.renegotiated = true;
    return outcome;
}

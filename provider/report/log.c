/* SPDX-License-Identifier: Apache-2.0 */
#include "report/log.h"

#include "report/allowance.h"
#include "report/family.h"
#include "report/sink.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#define NOTHING (-1) /* below every level */

/* The choice of lines, for callers that hold no lock. */
static atomic_int most = NOTHING; /* enum consul_log_level */
static atomic_bool audits;

/* Guards what follows; held over the few system calls of one line, of which none waits. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum consul_log_format format;
static bool is_chosen;   /* the sink is no default */
static char program[64]; /* as it was called: nginx and others overwrite their own name later */
static char line[PROV_LINE_MAX];

static void lock_log(void)
{
    pthread_mutex_lock(&lock);
}

static void unlock_log(void)
{
    pthread_mutex_unlock(&lock);
}

static void keep_lock_sane_over_fork(void)
{
    pthread_atfork(lock_log, unlock_log, unlock_log);
}

/* Tell whether the sink of these settings goes before the one that there is. With the lock held. */
static bool is_better(const prov_log_settings *settings)
{
    if (settings->sink == NULL || strcmp(settings->sink, "off") == 0)
        return !is_chosen;
    return true;
}

int prov_log_open(const prov_log_settings *settings, consul_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const char *sink = settings->sink == NULL ? "syslog" : settings->sink;
    int cancel_state = consul_forbid_cancel(), ok = 1;

    pthread_once(&once, keep_lock_sane_over_fork);
    lock_log();
    prov_family_share();
    if (is_better(settings)) {
        OPENSSL_strlcpy(program, program_invocation_short_name, sizeof(program));
        is_chosen = settings->sink != NULL;
        format = settings->format;
        ok = prov_sink_open(sink, is_chosen || settings->is_held, err);
        if (!ok) { /* the syslog hears of it */
            is_chosen = false;
            prov_sink_open("syslog", false, NULL);
        }
        atomic_store(&most, prov_sink_is_open() ? (int)settings->level : NOTHING);
        atomic_store(&audits, prov_sink_is_open() && settings->audit);
    }
    unlock_log();
    consul_allow_cancel(cancel_state);
    return ok;
}

bool prov_log_wants(enum consul_log_level level)
{
    return (int)level <= atomic_load_explicit(&most, memory_order_relaxed);
}

bool prov_log_audits(void)
{
    return atomic_load_explicit(&audits, memory_order_relaxed);
}

/* Write one line, and return true if it was written. With the lock held. */
static bool write_record(const prov_record *record)
{
    prov_line_form form = {
        .format = format,
        .is_for_syslog = prov_sink_is_syslog(),
        .program = program,
        .pid = (int)getpid(),
    };
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    form.now = now.tv_sec;
    return prov_sink_write(line, prov_line_write(line, record, &form));
}

/* Write how many lines were left out, if any. With the lock held. */
static void tell_left_out(void)
{
    unsigned long left_out = prov_log_allowance_left_out();
    char text[128];

    if (left_out == 0)
        return;
    snprintf(text, sizeof(text),
             "%lu more were not written here: more than %d a second, or no room for them", left_out,
             PROV_LOG_PER_SECOND);
    if (!write_record(&(prov_record){
            .level = CONSUL_LOG_WARNING, .event = "lines_left_out", .message = text}))
        prov_log_allowance_leave_out(left_out);
}

void prov_log(const prov_record *record)
{
    int cancel_state;

    if (!(record->is_audit ? prov_log_audits() : prov_log_wants(record->level)))
        return;
    cancel_state = consul_forbid_cancel();
    lock_log();
    if (record->is_audit || prov_log_allowance_take()) {
        tell_left_out();
        if (!write_record(record))
            prov_log_allowance_leave_out(1);
    }
    unlock_log();
    consul_allow_cancel(cancel_state);
}

void prov_log_error(enum consul_log_level level, const char *event, const consul_error *err,
                    const char *context)
{
    char message[CONSUL_ERROR_TEXT_MAX + 128];

    snprintf(message, sizeof(message), "%s%s%s", context == NULL ? "" : context,
             context == NULL ? "" : ": ", err->text);
    prov_log(&(prov_record){.level = level,
                            .event = event,
                            .message = message,
                            .reason = consul_reason_text(err->reason)});
}

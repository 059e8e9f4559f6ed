/* Log object: formats a line, keeps the last error, hands it on. Does not print and does not buffer. */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define LINE_BYTES 1024

struct pz_log {
    pz_log_fn fn;
    void *user;
    enum pz_log_level max_level;
    pthread_mutex_t lock;
    char last_error[LINE_BYTES];
};

struct pz_log *pz_log_create(pz_log_fn fn, void *user, enum pz_log_level max_level)
{
    struct pz_log *log = pz_calloc(1, sizeof *log);
    if (!log)
        return NULL;
    log->fn = fn;
    log->user = user;
    log->max_level = max_level;
    if (pthread_mutex_init(&log->lock, NULL) != 0) {
        pz_free(log);
        return NULL;
    }
    return log;
}

void pz_log_destroy(struct pz_log **log)
{
    if (!log || !*log)
        return;
    pthread_mutex_destroy(&(*log)->lock);
    pz_free(*log);
    *log = NULL;
}

void pz_log_last_error(struct pz_log *log, char *out, unsigned long out_bytes)
{
    if (out_bytes == 0)
        return;
    out[0] = '\0';
    if (!log)
        return;
    pthread_mutex_lock(&log->lock);
    snprintf(out, out_bytes, "%s", log->last_error);
    pthread_mutex_unlock(&log->lock);
}

static void write_line(struct pz_log *log, enum pz_log_level level, const char *fmt, va_list ap)
{
    char line[LINE_BYTES];
    vsnprintf(line, sizeof line, fmt, ap);
    for (char *p = line; *p; p++)
        if (*p == '\n' || *p == '\r')
            *p = ' ';
    pthread_mutex_lock(&log->lock);
    if (level == PZ_LOG_ERROR)
        memcpy(log->last_error, line, sizeof line);
    if (log->fn && level <= log->max_level)
        log->fn(log->user, level, line);
    pthread_mutex_unlock(&log->lock);
}

void pz_log_write(struct pz_log *log, enum pz_log_level level, const char *fmt, ...)
{
    if (!log)
        return;
    va_list ap;
    va_start(ap, fmt);
    write_line(log, level, fmt, ap);
    va_end(ap);
}

enum pz_status pz_fail(struct pz_log *log, enum pz_status st, const char *fmt, ...)
{
    if (!log)
        return st;
    va_list ap;
    va_start(ap, fmt);
    write_line(log, PZ_LOG_ERROR, fmt, ap);
    va_end(ap);
    return st;
}

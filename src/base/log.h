/**
 * Log: where messages of the library go.
 *
 * A log is a small object the caller owns; there is no global one. The library never prints: without a
 * callback messages are dropped, but the last error line is still kept and can be read with
 * pz_log_last_error(). Threads: every function may be called from any thread; the callback runs on the
 * calling thread, one at a time.
 */
#ifndef PZ_BASE_LOG_H
#define PZ_BASE_LOG_H

#include "base/status.h"

enum pz_log_level { PZ_LOG_ERROR = 0, PZ_LOG_WARNING = 1, PZ_LOG_INFO = 2, PZ_LOG_DEBUG = 3 };

struct pz_log;

/** Receives one message, without a newline. `text` lives until the callback returns. */
typedef void (*pz_log_fn)(void *user, enum pz_log_level level, const char *text);

/** Create a log that hands messages up to `max_level` to `fn` (NULL: keep the last error only). NULL on no
 * memory. */
struct pz_log *pz_log_create(pz_log_fn fn, void *user, enum pz_log_level max_level);

/** Free a log. NULL is allowed; `*log` becomes NULL. */
void pz_log_destroy(struct pz_log **log);

/** Copy the last error line (or "") into `out`, always terminated. */
void pz_log_last_error(struct pz_log *log, char *out, unsigned long out_bytes);

/** Log one formatted line (at most 1023 bytes). A NULL log drops it. */
void pz_log_write(struct pz_log *log, enum pz_log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/** Log an error line and return `st`, so that a failure is `return pz_fail(log, PZ_ERR_INPUT, "…")`. */
enum pz_status pz_fail(struct pz_log *log, enum pz_status st, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define pz_warn(log, ...) pz_log_write((log), PZ_LOG_WARNING, __VA_ARGS__)
#define pz_info(log, ...) pz_log_write((log), PZ_LOG_INFO, __VA_ARGS__)
#define pz_debug(log, ...) pz_log_write((log), PZ_LOG_DEBUG, __VA_ARGS__)

#endif

/** Run a program without a shell: text in, bytes out, limits kept. Private to src/speech. */
#ifndef PZ_SPEECH_PROCESS_H
#define PZ_SPEECH_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/job.h"

/** Run argv[0] (searched on PATH), write `in` to its stdin, collect at most `max_out` bytes of its stdout.
 * `label` is for messages. Killed after `limit_s` seconds or when the job is cancelled. `*out` is freed with
 * pz_free() (zero-terminated behind *n). Threads: safe. Errors: UNSUPPORTED (not installed), INTERNAL (exit
 * code, signal, time, size; with the last line of its stderr), CANCELLED, NOMEM; all logged. */
PZ_NODISCARD enum pz_status pz_process_run(const char *const *argv, const char *label, const char *in,
                                           size_t in_n, size_t max_out, double limit_s,
                                           const struct pz_job *job, uint8_t **out, size_t *n);

/** Split a command line at white space; '…' and "…" hold words together; nothing is expanded. `store` keeps
 * the words, argv ends with NULL. False when there are none or too many. */
bool pz_process_split(const char *line, char *store, size_t store_n, const char **argv, int max);

#endif

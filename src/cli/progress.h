/**
 * Progress and messages on standard error.
 *
 * On a terminal one line is drawn again and again; elsewhere a plain line is written now and then. Messages
 * clear the line first. Threads: pz_cli_progress_step() from the thread that runs the job,
 * pz_cli_progress_message() from any.
 */
#ifndef PZ_CLI_PROGRESS_H
#define PZ_CLI_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct pz_cli_progress {
    FILE *out;
    bool terminal, quiet;
    double film_fps; /**< frames per second of the film for "× real time"; 0 = unknown */
    pthread_mutex_t lock;
    char stage[32];
    double stage_start, last_draw; /**< seconds */
    bool drawn;                    /**< a bar stands on the current line */
};

/** `terminal` decides the form; the caller asks isatty(). */
void pz_cli_progress_init(struct pz_cli_progress *p, FILE *out, bool terminal, bool quiet);
void pz_cli_progress_step(struct pz_cli_progress *p, const char *stage, int64_t done, int64_t total);
/** Write one line: "personalize: " + level word + text. */
void pz_cli_progress_message(struct pz_cli_progress *p, const char *level, const char *text);
/** Take the bar away. */
void pz_cli_progress_end(struct pz_cli_progress *p);

/** The text of the bar (no control characters): "faces 120/300 40% 55.1 fps 2.2x ETA 0:03" in at most
 * `columns`. */
void pz_cli_progress_text(char *text, size_t n_bytes, const char *stage, int64_t done, int64_t total,
                          double elapsed_s, double film_fps, int columns);

#endif

/**
 * A painted film for the tests of engines that work on pictures: a pattern that moves, the puppet's face, a
 * sound that glides; and a log that keeps its last error. A film's faces are the test's own to set.
 */
#ifndef PZ_TEST_PAINTED_H
#define PZ_TEST_PAINTED_H

#include "lipsync/engine.h"
#include "puppet.h"

#define PAINTED_FRAMES 40 /**< of the tests' films */

struct painted {
    int n;
    struct pz_face *face; /**< [n] */
    int64_t *frames;      /**< [n] 0, 1, … */
    struct pz_picture pic;
    double fps;
    float *speech; /**< 0.9 s longer than the film */
    int n_speech;
    int splash; /**< rows of the picture from here on are painted over: another mouth */
};

/** A film of `n` square pictures; its lists of frames name all of them. False without memory. Free with
 * painted_close() in any case. */
bool painted_open(struct painted *s, int n, int side, double fps, struct pz_film *film);
void painted_close(struct painted *s);

/** Paint frame i into `s->pic`. */
void painted_frame(struct painted *s, int64_t i);

/** The span of `n` frames from `first` on, shown from `at` seconds of the sound on. `faces` and `times` are
 * of n. */
struct pz_speech_span painted_span(const struct painted *s, int first, int n, double at,
                                   const struct pz_face **faces, double *times);

/** A log whose last error is kept in `said`, of 1024 bytes. */
struct pz_log *painted_log(char *said);

#endif

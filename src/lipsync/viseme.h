/**
 * Visemes: which mouth shape a phone asks for, and how strongly each moment of a phone line belongs to each
 * shape.
 *
 * 21 classes (spec/synth.md §7.1). Diphthongs become two. Dominance blending after Cohen & Massaro (1993)
 * with a hold interval: every phone has a plateau and decays before and after it; labial closures dominate
 * all, tongue consonants hardly anything. Times here are seconds from the start of the sound.
 */
#ifndef PZ_LIPSYNC_VISEME_H
#define PZ_LIPSYNC_VISEME_H

#include <stdbool.h>

#include "base/status.h"
#include "speech/phones.h"

enum pz_viseme {
    PZ_VIS_SIL,
    PZ_VIS_PP,
    PZ_VIS_FF,
    PZ_VIS_TH,
    PZ_VIS_DD,
    PZ_VIS_L,
    PZ_VIS_KK,
    PZ_VIS_CH,
    PZ_VIS_SS,
    PZ_VIS_RR,
    PZ_VIS_AA,
    PZ_VIS_AE,
    PZ_VIS_AH,
    PZ_VIS_AO,
    PZ_VIS_EH,
    PZ_VIS_IH,
    PZ_VIS_IY,
    PZ_VIS_OW,
    PZ_VIS_UW,
    PZ_VIS_UH,
    PZ_VIS_W,
    PZ_VIS_COUNT
};

/** Typical shape of a viseme on a generic head (spec/synth.md §7.1, measured on the ICT model's rig). */
struct pz_viseme_shape {
    float gap_cm; /**< inner-lip gap; a wide AA is 1.28 */
    float width;  /**< relative change of the mouth's width */
};
const struct pz_viseme_shape *pz_viseme_shape(int viseme);

/** One stretch of one viseme. */
struct pz_viseme_event {
    int viseme;
    double start, end; /**< seconds */
    float score;       /**< of the phone it came from */
    bool exact;        /**< from a synthesiser: this phone and a spoken neighbour have score 1 */
};

struct pz_viseme_line {
    struct pz_viseme_event *events; /**< ascending; neighbouring silences are one */
    int n;
    double longest; /**< seconds, longest event: bounds the search for events near a time */
};

/** Visemes of a phone line; unknown ids count as silence, empty phones are skipped. `phones` may be NULL when
 * n is 0. Errors: NOMEM; FORMAT (times that run backwards or are negative). Free with pz_viseme_line_free().
 */
PZ_NODISCARD enum pz_status pz_viseme_line_make(const struct pz_phone *phones, int n,
                                                struct pz_viseme_line *out);
void pz_viseme_line_free(struct pz_viseme_line *line);

/** Share of every viseme at time `t`: non-negative, sums to 1 (all zero when the line is empty or far away).
 */
void pz_viseme_weights(const struct pz_viseme_line *line, double t, float out[PZ_VIS_COUNT]);

/** The plateau [`start`, `end`] of an event during which its shape should be reached, at least `min_s` long.
 */
void pz_viseme_hold(const struct pz_viseme_event *e, double min_s, double *start, double *end);

#endif

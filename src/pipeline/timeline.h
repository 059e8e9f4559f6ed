/**
 * Timeline: the piecewise map between a customer's film (output) and the template (input).
 *
 * Positions are sound samples at the film's own sound rate, integers. An edit replaces the input span
 * [in_start, in_end) by `out_len` samples; where `out_len` equals the input's length, time runs on unchanged;
 * where it differs, the picture is slowed or quickened inside the span and everything behind it shifts.
 * Outside edits the map is a plain shift.
 */
#ifndef PZ_PIPELINE_TIMELINE_H
#define PZ_PIPELINE_TIMELINE_H

#include <stdint.h>

#include "base/log.h"
#include "media/media.h"

struct pz_edit {
    int64_t in_start, in_end; /**< template samples, half-open, in_end ≥ in_start */
    int64_t out_len;          /**< > 0 when in_end > in_start */
};

/** Plain owned; pz_timeline_free(). */
struct pz_timeline {
    int rate;        /**< samples per second */
    int64_t in_len;  /**< template's sound length */
    int64_t out_len; /**< output's sound length */
    int n_edits;
    struct pz_edit *edits; /**< ascending, not overlapping */
    int64_t *out_start;    /**< [n_edits] output position of each edit */
};

/** Build from `n` edits (copied). Errors: USAGE (unsorted, overlapping or outside [0, in_len]; logged),
 * NOMEM. */
PZ_NODISCARD enum pz_status pz_timeline_init(struct pz_timeline *t, int rate, int64_t in_len,
                                             const struct pz_edit *edits, int n, struct pz_log *log);
void pz_timeline_free(struct pz_timeline *t);

/** Template position of an output position (linear inside an edit). Monotonic. Any integer is allowed. */
int64_t pz_timeline_to_input(const struct pz_timeline *t, int64_t out);
/** Output position of a template position. Monotonic. */
int64_t pz_timeline_to_output(const struct pz_timeline *t, int64_t in);

/** Which edit contains output position `out`: index, or −1. */
int pz_timeline_edit_at(const struct pz_timeline *t, int64_t out);

/** A stretch of the output whose pictures are made anew. */
struct pz_touch {
    int64_t out_start, out_end; /**< output samples, half-open */
};

/** Output frames for a film: the template's frames with shifted times; inside edits of changed length, frames
 * at the source's cadence showing the nearest template frame. Frames whose time lies in one of the `touches`
 * are marked.
 *  `*frames` is freed with pz_free(). Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_timeline_frames(const struct pz_timeline *t, const struct pz_film_info *info,
                                               const struct pz_touch *touches, int n_touches,
                                               struct pz_out_frame **frames, int64_t *n_frames);

/** Grid of a film's timestamps: the greatest common divisor of all frame distances, in ticks of the video
 * time base, when that is at least 1/250 s (a camera's clock that skips frames, or a constant rate); 0 when
 * times are irregular. */
int64_t pz_timeline_grid(const struct pz_film_info *info);

#endif

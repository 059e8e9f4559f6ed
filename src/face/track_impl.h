/** Inside of the tracker; for tracker.c, solve.c and track.c only. */
#ifndef PZ_FACE_TRACK_IMPL_H
#define PZ_FACE_TRACK_IMPL_H

#include <stdio.h>

#include "face/landmarker.h"
#include "face/occlusion.h"
#include "face/track.h"

#define PZ_TRACK_MAGIC "PZFACE02"
#define PZ_TRACK_BRIDGE 5 /**< longest gap, in frames, that is filled */
#define PZ_TRACK_ASK 5    /**< frames from one question about what covers the mouth to the next */

/** Start of a track file; records follow at once, ascending by frame. */
struct pz_track_header {
    char magic[8];
    uint32_t record_bytes, n_points;
    int64_t n_records;
    char topology[40]; /**< zero-terminated */
};

/** What is kept of one face in one frame while pushing. */
struct pz_raw_face {
    int64_t frame;
    int32_t run;   /**< counts the jumps before this frame: gaps are bridged within one run only */
    bool measures; /**< points.sigma is the network's own word */
    float sharpness;
    float covered; /**< pz_face_occluder_share() of this frame or of the last one that was asked about */
    struct pz_face_look look;
    struct pz_face_points points;
};

/** Solve one person's raw records (a file of `n` struct pz_raw_face) and stream struct pz_face records to
 * `out`.
 *  `*written` counts them. Errors: NOMEM, WRITE, CANCELLED. */
PZ_NODISCARD enum pz_status pz_face_solve(FILE *raw, int64_t n, const struct pz_job *job, FILE *out,
                                          int64_t *written);

#endif

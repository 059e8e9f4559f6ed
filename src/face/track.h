/**
 * Tracks: every person of a film, frame by frame, and the one that was chosen, as a file.
 *
 * Use: create, push the frames that matter in ascending order (jumps are fine: the face is looked for again),
 * finish, choose, write; later pz_face_track_open() maps what was written. Memory does not grow with the film
 * but for a small summary; records go to a temporary file while frames are pushed. Threads: a tracker belongs
 * to one thread (it uses the job's pool); an open track is immutable and may be shared.
 */
#ifndef PZ_FACE_TRACK_H
#define PZ_FACE_TRACK_H

#include "face/face.h"
#include "face/models.h"

/* ---- making
 * ------------------------------------------------------------------------------------------------ */

struct pz_face_tracker;

struct pz_face_tracker_params {
    enum pz_face_kind kind; /**< whose networks */
    const char *models_dir; /**< NULL = $PERSONALIZE_MODELS, else the user's cache */
};

/** Load detector and landmarker; `p` NULL = all usual. Errors: WEIGHTS (missing; the line says which command
 * fetches them), NOMEM. */
PZ_NODISCARD enum pz_status pz_face_tracker_create(const struct pz_face_tracker_params *p,
                                                   const struct pz_job *job, struct pz_face_tracker **t);
void pz_face_tracker_destroy(struct pz_face_tracker **t);

/** Look at frame `frame` (greater than the last one pushed). The picture is not kept. Errors: NOMEM, WRITE
 * (temporary file). */
PZ_NODISCARD enum pz_status pz_face_tracker_push(struct pz_face_tracker *t, int64_t frame,
                                                 const struct pz_picture *pic);

/** All frames are in: bridge short gaps, filter without lag, solve poses against each person's own mean
 * shape. Errors: NOMEM, WRITE. */
PZ_NODISCARD enum pz_status pz_face_tracker_finish(struct pz_face_tracker *t);

/** One person. */
struct pz_face_summary {
    int64_t first, last; /**< frames, inclusive */
    int64_t n_present;
    float presence;     /**< n_present / frames pushed */
    float interocular;  /**< px, median */
    float lip_activity; /**< standard deviation of lip_gap */
    float box[4];       /**< x0, y0, x1, y1 px in the middle one of its frames */
};

/** Shot cuts seen so far. */
int64_t pz_face_tracker_cuts(const struct pz_face_tracker *t);

/** Persons found, largest × most present first. After finish. */
int pz_face_tracker_count(const struct pz_face_tracker *t);
PZ_NODISCARD enum pz_status pz_face_tracker_summary(const struct pz_face_tracker *t, int person,
                                                    struct pz_face_summary *out);

/** Which person is meant. */
struct pz_face_choice {
    /** NULL = the only one without a rival (a rival is at least half as large, and present in at least 20 %
     * of the frames); "largest"; an index in decimal; a box "x,y,w,h" in px; "speaker" = whose lips move with
     * `loudness`; with `portrait` its name in messages */
    const char *which;
    const struct pz_picture *portrait; /**< the person's face in another picture, or NULL */
    /** How loud the film is at a frame, any monotonous measure. NULL: there is no sound. */
    float (*loudness)(void *user, int64_t frame);
    void *user;
};

/** Apply a choice; `c` NULL = all NULL. Errors: UNUSABLE (no face at all; rivals and no choice — the line
 * lists them; none in the box; nobody like the portrait; nobody who clearly speaks), USAGE (no such index),
 * NOMEM. */
PZ_NODISCARD enum pz_status pz_face_tracker_choose(struct pz_face_tracker *t, const struct pz_face_choice *c,
                                                   int *person);

/** Write one person's records to `path` (atomically). Errors: WRITE. */
PZ_NODISCARD enum pz_status pz_face_tracker_write(struct pz_face_tracker *t, int person, const char *path);

/* ---- reading
 * ----------------------------------------------------------------------------------------------- */

struct pz_face_track;

/** Map a track file; every byte is hostile. Errors: INPUT (missing), FORMAT, NOMEM. */
PZ_NODISCARD enum pz_status pz_face_track_open(const char *path, struct pz_log *log,
                                               struct pz_face_track **t);
void pz_face_track_close(struct pz_face_track **t);

/** Landmark set of the records. Static. */
const struct pz_face_topology *pz_face_track_topology(const struct pz_face_track *t);

/** Record of a film frame, NULL when that frame was not looked at or has no face. Lives as long as the track.
 */
const struct pz_face *pz_face_track_at(const struct pz_face_track *t, int64_t frame);

/* ---- judging
 * ----------------------------------------------------------------------------------------------- */

enum pz_face_grade { PZ_FACE_OK, PZ_FACE_RISKY, PZ_FACE_UNUSABLE };

struct pz_face_verdict {
    enum pz_face_grade grade;
    char reason[96];        /**< "" when ok, else e.g. "turned away by 41 degrees" */
    float yaw, pitch, roll; /**< mean, degrees */
    float interocular;      /**< px, median */
    bool occluded;          /**< something is before the mouth in more than 5 % of the frames */
};

/** Are frames [first, last) fit for lip-sync: frontal, large, sharp, mouth visible? */
struct pz_face_verdict pz_face_track_verdict(const struct pz_face_track *t, int64_t first, int64_t last);

/** "ok", "risky", "unusable". */
const char *pz_face_verdict_name(enum pz_face_grade grade);

#endif

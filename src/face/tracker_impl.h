/** Inside of the tracker; for tracker.c, follow.c and people.c only. */
#ifndef PZ_FACE_TRACKER_IMPL_H
#define PZ_FACE_TRACKER_IMPL_H

#include "face/cut.h"
#include "face/detector.h"
#include "face/landmarker.h"
#include "face/likeness.h"
#include "face/occluder.h"
#include "face/steady.h"
#include "face/track.h"
#include "face/track_impl.h"

#define PZ_TRACK_PERSONS 16 /* in a film */
#define PZ_TRACK_LIVE 6     /* at once */

struct pz_tick {
    int64_t frame;
    float interocular, gap; /* raw, for summaries */
    float box[4];
};

struct pz_person {
    FILE *file;
    struct pz_tick *ticks;
    int64_t n, cap, last; /* last: frame last seen */
    bool live;
    int32_t run; /* of the last record */
    float box[4];
    struct pz_face_rect roi;
    struct pz_steady steady;
    struct pz_album album;
    struct pz_likeness look; /* of the last record */
    bool has_look;
    float covered; /* when last asked, in asked_run */
    int32_t asked_run;
    /* of the frame at hand */
    struct pz_raw_face rec;
    enum pz_status st;
};

struct pz_face_tracker {
    struct pz_job job;
    struct pz_face_detector *detector;
    struct pz_landmarker *landmarker;
    struct pz_face_occluder *occluder; /* NULL where the networks are not our own */
    struct pz_person persons[PZ_TRACK_PERSONS];
    struct pz_raw_face guest; /* a face nobody knows yet */
    int n_persons;
    int order[PZ_TRACK_PERSONS], n_order; /* after finish */
    int64_t n_pushed, last_frame, n_cuts;
    int32_t run;
    int searches, since_search;
    struct pz_cut cut;
    struct pz_crop_scratch scratch;
};

/** Follow everybody from the frame before; `*lost` is set when somebody went missing. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_tracker_follow(struct pz_face_tracker *t, int64_t frame,
                                              const struct pz_picture *pic, bool *lost);

/** Look for faces nobody follows. Errors: NOMEM, WRITE. */
PZ_NODISCARD enum pz_status pz_tracker_search(struct pz_face_tracker *t, int64_t frame,
                                              const struct pz_picture *pic);

/** Look at a picture's best face: its points into `rec`, its looks into `look`. PZ_END when there is none.
 * Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_tracker_portrait(struct pz_face_tracker *t, const struct pz_picture *pic,
                                                struct pz_raw_face *rec, struct pz_likeness *look);

float pz_tracker_distance(const float *a, const float *b);

#endif

/** Inside media only: which packets of a film can be copied into a new one, and where encoding must begin. */
#ifndef PZ_MEDIA_PLAN_H
#define PZ_MEDIA_PLAN_H

#include "media/media.h"

/** A run of output frames treated alike. */
struct pz_stretch {
    int64_t first, n;
    bool copy; /**< packets of source frames frames[first].src … +n are taken as they are */
};

/** What follows output frame `at`. With `may_copy` false everything is one stretch. */
struct pz_stretch pz_plan_next(const struct pz_film_info *info, const struct pz_out_frame *frames,
                               int64_t n_frames, int64_t at, bool may_copy);

/** Most frames a packet's decode position is ahead of its place in presentation, over the copied stretches:
 * how many frames a player must hold back. */
int64_t pz_plan_reorder(const struct pz_film_info *info, const struct pz_out_frame *frames,
                        const struct pz_stretch *s);

#endif

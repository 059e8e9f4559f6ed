/** Inside media only: the one engine behind pz_splice_run() and pz_transcode(). */
#ifndef PZ_MEDIA_SPLICE_H
#define PZ_MEDIA_SPLICE_H

#include "media/media.h"

struct pz_splice_extra {
    bool in_band;    /**< repeat parameter sets before every IDR instead of giving ours an id of their own */
    bool copy_sound; /**< take the source's sound packets */
    const int64_t *key_frames; /**< output frames that must be IDRs of encoded stretches, ascending */
    int n_key_frames;
    const char *stage; /**< name for progress; NULL: "encode" */
};

/** pz_splice_run() with more to choose. */
PZ_NODISCARD enum pz_status pz_splice_run_extra(const struct pz_splice *s,
                                                const struct pz_splice_extra *extra, const struct pz_job *job,
                                                struct pz_splice_report *report);

#endif

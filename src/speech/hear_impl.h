/** Inside of hear.c and candidates.c: words on their way from recognition to alignment. */
#ifndef PZ_SPEECH_HEAR_IMPL_H
#define PZ_SPEECH_HEAR_IMPL_H

#include "speech/hear.h"
#include "speech/places.h"

#define QUIET_DB 22.0    /* speech over noise: a quiet room */
#define PZ_HEAR_SPLIT 24 /* words that one wanted thing may be heard as */

/** A word on its way to the aligner. */
struct draft {
    char text[64];
    struct pz_pron pron;
    int64_t start, end;
    int wanted, occurrence; /* −1 = plain */
    int expected;           /* wanted thing that the recogniser, told of it, wrote; −1: another word */
    bool spotted;           /* found by sound: its edges were found between free phones */
    float confidence;
};

struct drafts {
    struct draft *items;
    int n, occurrences;
};

/** A place that may be the wanted thing. */
struct candidate {
    struct pz_place place;
    float odds;  /* that it is, natural logarithm */
    float *look; /* [look_frames][PZ_LOOK] of the sound there; NULL where the odds are poor */
    int look_frames;
};

struct pz_chunk {
    int64_t at, n;
    double snr_db;
    int warp; /* of acoustic.h, that the wanted things fit best with */
    struct drafts d;
    struct candidate *candidates;
    int n_candidates, cap;
};

/** Mark every place where the recogniser itself heard the wanted words. */
void pz_hear_mark(struct drafts *d, const struct pz_wanted *w, int index);

/** Drafts, as plain words, of a wanted thing that the recogniser wrote as `heard`. */
void pz_hear_expected(const struct pz_wanted *w, int index, const struct pz_word *heard, struct drafts *d);

/** How sure places are, against what the recogniser wrote too: the chunk's candidates. `samples` are the
 * chunk's. Errors: NOMEM, INTERNAL. */
PZ_NODISCARD enum pz_status pz_hear_weigh(struct pz_ears *ears, const float *samples, struct pz_chunk *c,
                                          const struct pz_wanted *wanted, struct pz_place *places,
                                          int n_places);

/** Drafts as the aligner wants them: `out` [n]. */
void pz_hear_to_align(const struct draft *d, int n, struct pz_align_word *out);

#endif

/** Inside of hear.c and candidates.c: words on their way from recognition to alignment. */
#ifndef PZ_SPEECH_HEAR_IMPL_H
#define PZ_SPEECH_HEAR_IMPL_H

#include "speech/hear.h"

#define PZ_HEAR_SPLIT 24 /* words that one wanted thing may be heard as */

/** A word on its way to the aligner. */
struct draft {
    char text[64];
    struct pz_pron pron;
    int64_t start, end;
    int wanted, occurrence; /* −1 = plain */
    bool spotted;           /* found by sound: its edges were found between free phones */
    float confidence;
};

struct drafts {
    struct draft *items;
    int n, occurrences;
};

/** A spot that may be the wanted thing. */
struct candidate {
    struct pz_spot spot;
    int wanted;
    float like, cost; /* lower is surer */
    bool taken;
};

struct pz_chunk {
    int64_t at, n;
    double snr_db;
    struct drafts d;
    struct candidate *candidates;
    int n_candidates, cap;
};

/** Spots of all wanted things in a chunk. */
struct spots {
    struct pz_spot *items;
    int n;
};

/** Mark every place where the recogniser itself heard the wanted words. */
void pz_hear_mark(struct drafts *d, const struct pz_wanted *w, int index);

/** Weigh spots against what was recognised there: the chunk's candidates. Errors: NOMEM, INTERNAL. */
PZ_NODISCARD enum pz_status pz_hear_weigh(struct pz_ears *ears, const float *samples,
                                          const struct pz_sounds *sounds, struct pz_chunk *c,
                                          const struct pz_wanted *wanted, int n_wanted,
                                          const struct spots *all);

/** Drafts as the aligner wants them: `out` [n]. */
void pz_hear_to_align(const struct draft *d, int n, struct pz_align_word *out);

#endif

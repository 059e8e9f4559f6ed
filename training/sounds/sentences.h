/** Sentences of words drawn from a list, in the proportions of speech: little words are frequent. */
#ifndef PZ_TRAINING_SENTENCES_H
#define PZ_TRAINING_SENTENCES_H

#include <stdbool.h>

#include "base/rng.h"

struct sentences {
    char (*words)[16];
    int n;
};

/** Words of 3 to 12 plain letters at the beginning of the lines of a file (a dictionary will do). False: no
 * file, no such words, no memory. */
bool sentences_open(struct sentences *s, const char *path);
void sentences_close(struct sentences *s);

/** The next sentence. */
void sentence_make(const struct sentences *s, struct pz_rng *rng, char out[256]);

#endif

/** Sentences to be spoken: a small grammar of personal messages, and phone-balanced word salad. */
#ifndef PZ_SYN_PHRASES_H
#define PZ_SYN_PHRASES_H

#include <stddef.h>

#include "base/rng.h"

/** A sentence into out [cap], terminated; about a third is word salad rich in closures and rounding. */
void pz_syn_phrase(struct pz_rng *r, char *out, size_t cap);

#endif

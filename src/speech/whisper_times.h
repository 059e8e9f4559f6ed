/**
 * When Whisper's words were said: dynamic time warping on the decoder's cross attention, and the clean-up of
 * words that it makes too long.
 *
 * Times are seconds from the window's begin until pz_whisper_words_settle() adds the window's own. Source
 * spec/whisper.md §9.
 */
#ifndef PZ_SPEECH_WHISPER_TIMES_H
#define PZ_SPEECH_WHISPER_TIMES_H

#include "nn/whisper_run.h"
#include "speech/whisper_vocab.h"

/* ---- arithmetic ---- */

/** Scores of one head [tokens][frames] → what is warped: softmax over frames, then each frame's column less
 * its mean over tokens, over its standard deviation. In place. */
void pz_whisper_normalise(float *scores, int tokens, int frames);

/** Median of 7 along each row, mirrored at the ends; rows of 3 and less stay. In place; `room` [n + 6]. */
void pz_whisper_median(float *x, int rows, int n, float *room);

/** Cheapest monotonous path through cost x [n][m]: row and column of each step, from (0, 0) on; `rows`,
 * `cols` have room for n + m. Returns the number of steps, −1 on no memory. */
int pz_whisper_dtw(const float *x, int n, int m, int *rows, int *cols);

/* ---- words ---- */

struct pz_whisper_head {
    short layer, head;
};

/** Heads whose attention follows the sound. `name` is the published model's ("tiny.en", "large-v3-turbo", …),
 * NULL or another: all heads of the decoder's second half. Returns how many (≤ max). */
int pz_whisper_heads(const char *name, const struct pz_whisper_dims *d, struct pz_whisper_head *out, int max);

struct pz_whisper_word {
    char text[96]; /**< as decoded: with its leading space and its punctuation */
    int n_tokens;
    double start, end; /**< seconds */
    float probability; /**< mean over its tokens */
};

struct pz_whisper_words {
    struct pz_whisper_word *items;
    int n, cap;
};

/** Append a word. Errors: NOMEM (nothing is logged). */
PZ_NODISCARD enum pz_status pz_whisper_words_add(struct pz_whisper_words *w,
                                                 const struct pz_whisper_word *word);
void pz_whisper_words_free(struct pz_whisper_words *w);

struct pz_whisper_align_params {
    const struct pz_whisper_vocab *vocab;
    int language;
    const struct pz_whisper_head *heads;
    int n_heads;
    const int *tokens; /**< text tokens only */
    int n;
    int frames; /**< mel frames of the window that are sound */
};

/** Words of the window the model has encoded, with times in it, appended. Rows of earlier steps are lost.
 * Errors: NOMEM, DEVICE, INTERNAL (more tokens than the model takes). */
PZ_NODISCARD enum pz_status pz_whisper_align(struct pz_whisper *w, const struct pz_whisper_align_params *p,
                                             const struct pz_job *job, struct pz_whisper_words *out);

/** One stretch of a window between two timestamps; changed by pz_whisper_words_settle(). */
struct pz_whisper_segment {
    double start, end;       /**< film seconds */
    int n_tokens;            /**< text tokens */
    int first_word, n_words; /**< set by it */
};

/** Shorten what is too long, join punctuation to words, put words [first, w->n) into the window's segments
 * and in film time. `last_speech`: end of what was said before. */
void pz_whisper_words_settle(struct pz_whisper_words *w, int first, double window_start,
                             struct pz_whisper_segment *segments, int n_segments, double last_speech);

#endif

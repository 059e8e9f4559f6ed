/**
 * SyncNet of the published lip-sync scores (LSE-D, LSE-C, offset): how far a sound is from a mouth.
 *
 * Parameter names are those of `syncnet_v2.model`. Source: Chung & Zisserman 2016, "Out of time";
 * spec/wav2lip.md §9.
 */
#ifndef PZ_NN_SYNCNET_H
#define PZ_NN_SYNCNET_H

#include "nn/param.h"

/** Length of the embeddings at full width. */
#define PZ_SYNCNET_WIDTH 1024
/** Frames of a window, at 25 a second, and side of its pictures. */
#define PZ_SYNCNET_FRAMES 5
#define PZ_SYNCNET_SIDE 224
/** MFCC columns of a window, at 100 a second. */
#define PZ_SYNCNET_COLUMNS 20

/** Channels of both branches. */
struct pz_syncnet_config {
    int audio[6], lip[6], hidden, out;
};

extern const struct pz_syncnet_config pz_syncnet_published;

/** Sound branch: MFCC windows [B,13,20,1] → [B,out]. */
int pz_syncnet_audio(struct pz_params *p, const struct pz_syncnet_config *c, int mfcc);

/** Lip branch: five frames on the channels, frame by frame blue, green, red in 0…255: [B,224,224,15] →
 * [B,out]. */
int pz_syncnet_lip(struct pz_params *p, const struct pz_syncnet_config *c, int frames);

/** Names to ignore when only one branch is built. */
extern const char *const pz_syncnet_audio_names[], *const pz_syncnet_lip_names[];

/** What the embeddings of a film say. */
struct pz_syncnet_score {
    double distance;   /**< LSE-D: smaller is better */
    double confidence; /**< LSE-C: larger is better */
    int offset;        /**< frames of 1/25 s by which the sound is ahead (published sign) */
};

/**
 * Scores from the embeddings of `n` windows, lip and audio [n][width]: distance of every window to the sounds
 * up to 15 windows before and behind (zeros beyond the ends, as published), mean over windows; smallest mean,
 * median less smallest, and where it lies. n ≥ 1.
 */
void pz_syncnet_score(const float *lip, const float *audio, int n, int width, struct pz_syncnet_score *score);

#endif

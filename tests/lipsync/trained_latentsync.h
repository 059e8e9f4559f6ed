/**
 * A small LatentSync that is a real denoiser: trained on films of people who do not exist
 * (training/latentsync), with windows of people it never saw. Latents are 16×16×4, pictures 64×64.
 */
#ifndef PZ_TEST_TRAINED_LATENTSYNC_H
#define PZ_TEST_TRAINED_LATENTSYNC_H

#include <stdbool.h>

#include "lipsync/latentsync_sample.h"

enum {
    TRAINED_WINDOWS = 4,
    TRAINED_PLACES = 256,
    TRAINED_FLOATS = PZ_LATENTSYNC_WINDOW * TRAINED_PLACES * 4,
    TRAINED_PIXELS = 64 * 64
};

struct trained;

/** NULL when the file cannot be read or is not what the network wants. */
struct trained *trained_open(const char *path);
void trained_close(struct trained **t);

/** Show the network window `k`. */
void trained_window(struct trained *t, int k);
/** The network for pz_latentsync_sample(), n = TRAINED_FLOATS. */
struct pz_latentsync_net trained_net(struct trained *t);

/** What window `k` was: latents [16][256][4]. */
const float *trained_truth(const struct trained *t, int k);

/** Latents as pictures, [16][3][64][64] in [0, 255], not clipped. */
void trained_pictures(const struct trained *t, const float *latents, float *out);

/** Likeness of two films of 16 pictures in the box that is repainted: PSNR in dB and mean SSIM of their luma.
 */
void trained_compare(const float *a, const float *b, double *psnr, double *ssim);

#endif

// Speech enhancement by a mask that a network estimates. quiet.c takes out steady noise alone, by statistics;
// this one knows what speech looks like. Phase and echoes stay as they are.
#include "speech/denoise.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "speech/band_net.h"
#include "speech/phones.h"
#include "speech/sounds.h"
#include "speech/stft.h"

#define BINS PZ_BAND_BINS
#define GAIN_LEAST 0.02f

/** Gains of the bins between two frames of the network. */
static void gains_at(const struct pz_band_net *net, const struct pz_band_room *r, const float (*share)[BINS],
                     double at, float gain[BINS])
{
    const int64_t last = r->frames - 1, t = at < 0.0 ? 0 : (int64_t)at < last ? (int64_t)at : last;
    const int64_t u = t < last ? t + 1 : last;
    const float part = (float)(at - (double)t < 0.0 ? 0.0 : at - (double)t > 1.0 ? 1.0 : at - (double)t);

    for (int k = 0; k < BINS; k++)
        gain[k] = 0.0f;
    for (int b = 0; b < PZ_BANDS; b++) {
        const float said = (1.0f - part) * r->out[t * net->heads + b] + part * r->out[u * net->heads + b];
        const float g = GAIN_LEAST + (1.0f - GAIN_LEAST) / (1.0f + expf(-said));

        for (int k = 0; k < BINS; k++)
            gain[k] += g * share[b][k];
    }
}

/** How a bin's gain is made of the bands': shares that add up to one, beyond the bands the nearest one's. */
static void shares(float (*share)[BINS])
{
    for (int k = 0; k < BINS; k++) {
        float sum = 0.0f;

        for (int b = 0; b < PZ_BANDS; b++)
            sum += share[b][k] = pz_band_share(1.0, b, k);
        for (int b = 0; b < PZ_BANDS && sum > 0.0f; b++)
            share[b][k] /= sum;
        if (sum == 0.0f)
            share[k < BINS / 2 ? 0 : PZ_BANDS - 1][k] = 1.0f;
    }
}

enum pz_status pz_denoise(float *x, int64_t n, struct pz_pool *pool)
{
    enum pz_status st;
    struct pz_band_net net = {0};
    struct pz_band_room room = {0};
    struct pz_stft stft;
    const bool ready = pz_stft_make(&stft);
    float(*share)[BINS] = pz_calloc(PZ_BANDS, sizeof *share), *out = pz_calloc((size_t)n + 1, sizeof *out);
    float spec[2 * BINS], gain[BINS];
    int i = 0;

    st = ready && share && out ? PZ_OK : PZ_ERR_NOMEM;
    if (st < PZ_OK || n < PZ_SOUNDS_HOP)
        goto fail;
    PZ_TRY(pz_band_net_next(PZ_BAND_NET_NOISE, &i, &net));
    PZ_TRY(pz_band_room_make(x, n, &net, pool, &room));
    PZ_TRY(pz_band_net_run(&net, 1.0, &room));
    shares(share);
    for (int64_t t = -1; t * PZ_STFT_HOP < n + PZ_STFT_N / 2; t++) {
        gains_at(&net, &room, (const float(*)[BINS])share, (double)(t * PZ_STFT_HOP) / PZ_SOUNDS_HOP, gain);
        pz_stft_read(&stft, x, n, t, spec);
        pz_stft_add(&stft, spec, gain, t, out, n);
    }
    memcpy(x, out, (size_t)n * sizeof *x);
fail:
    pz_free(out);
    pz_free(share);
    pz_stft_free(&stft);
    pz_band_room_free(&room);
    pz_band_net_free(&net);
    return st;
}

// Log-mel scales of Wav2Lip and Whisper over mel.c. No resampling: callers bring 16 kHz. MFCC is in mfcc.c.
#include "audio/features.h"

#include <math.h>

#include "base/mem.h"

#define RATE 16000

struct pz_wav2lip_mel {
    struct pz_mel *mel;
};

struct pz_whisper_mel {
    struct pz_mel *mel;
    int bands;
};

enum pz_status pz_wav2lip_mel_create(struct pz_log *log, enum pz_mel_pad pad, struct pz_wav2lip_mel **out)
{
    const struct pz_mel_params p = {.rate = RATE,
                                    .n_fft = 800,
                                    .win = 800,
                                    .hop = RATE / PZ_WAV2LIP_RATE,
                                    .n_mels = PZ_WAV2LIP_BANDS,
                                    .fmin = 55,
                                    .fmax = 7600,
                                    .scale = PZ_MEL_SLANEY,
                                    .slaney_norm = true,
                                    .center = true,
                                    .power = 1.0f,
                                    .pad = pad,
                                    .preemphasis = 0.97};
    enum pz_status st = PZ_OK;
    struct pz_wav2lip_mel *m = pz_calloc(1, sizeof *m);

    *out = NULL;
    if (!m)
        return PZ_ERR_NOMEM;
    PZ_TRY(pz_mel_create(log, &p, &m->mel));
    *out = m;
    return PZ_OK;
fail:
    pz_free(m);
    return st;
}

void pz_wav2lip_mel_destroy(struct pz_wav2lip_mel **m)
{
    if (!*m)
        return;
    pz_mel_destroy(&(*m)->mel);
    pz_free(*m);
    *m = NULL;
}

int64_t pz_wav2lip_mel_frames(int64_t n)
{
    return 1 + n / (RATE / PZ_WAV2LIP_RATE);
}

void pz_wav2lip_mel_run(struct pz_wav2lip_mel *m, const float *samples, int64_t n, int64_t t0, int64_t n_t,
                        float *out)
{
    pz_mel_run(m->mel, samples, n, 0, t0, n_t, out);
    for (int64_t i = 0; i < n_t * PZ_WAV2LIP_BANDS; i++) {
        float db = 20.0f * log10f(fmaxf(1e-5f, out[i])) - 20.0f;
        float v = 8.0f * ((db + 100.0f) / 100.0f) - 4.0f;

        out[i] = fminf(fmaxf(v, -4.0f), 4.0f);
    }
}

int64_t pz_wav2lip_window(double seconds, int columns, int before, int64_t n_frames)
{
    // A presentation time is a rounded i/fps: a hair is added, so that rounding cannot move a whole frame.
    double at = floor(seconds * PZ_WAV2LIP_RATE + 1e-6) - before;
    int64_t last = n_frames > columns ? n_frames - columns : 0;

    if (!(at > 0.0))
        return 0;
    return at >= (double)last ? last : (int64_t)at;
}

enum pz_status pz_whisper_mel_create(struct pz_log *log, int bands, struct pz_whisper_mel **out)
{
    const struct pz_mel_params p = {.rate = RATE,
                                    .n_fft = 400,
                                    .win = 400,
                                    .hop = 160,
                                    .n_mels = bands,
                                    .scale = PZ_MEL_SLANEY,
                                    .slaney_norm = true,
                                    .center = true,
                                    .power = 2.0f,
                                    .pad = PZ_MEL_PAD_REFLECT};
    enum pz_status st = PZ_OK;
    struct pz_whisper_mel *m;

    *out = NULL;
    if (bands != 80 && bands != 128)
        return pz_fail(log, PZ_ERR_USAGE, "Whisper hears 80 or 128 bands, not %d", bands);
    m = pz_calloc(1, sizeof *m);
    if (!m)
        return PZ_ERR_NOMEM;
    m->bands = bands;
    PZ_TRY(pz_mel_create(log, &p, &m->mel));
    *out = m;
    return PZ_OK;
fail:
    pz_free(m);
    return st;
}

void pz_whisper_mel_destroy(struct pz_whisper_mel **m)
{
    if (!*m)
        return;
    pz_mel_destroy(&(*m)->mel);
    pz_free(*m);
    *m = NULL;
}

int64_t pz_whisper_mel_frames(int64_t n, int64_t n_zero)
{
    return (n + n_zero) / 160;
}

float pz_whisper_mel_part(struct pz_whisper_mel *m, const float *samples, int64_t n, int64_t n_zero,
                          int64_t t0, int64_t n_t, float *out)
{
    int64_t count = n_t * m->bands;
    float top = -INFINITY;

    pz_mel_run(m->mel, samples, n, n_zero, t0, n_t, out);
    for (int64_t i = 0; i < count; i++) {
        out[i] = out[i] > 1e-10f ? log10f(out[i]) : -10.0f;
        top = fmaxf(top, out[i]);
    }
    return top;
}

void pz_whisper_mel_squeeze(float *x, int64_t count, float top)
{
    for (int64_t i = 0; i < count; i++)
        x[i] = (fmaxf(x[i], top - 8.0f) + 4.0f) / 4.0f;
}

void pz_whisper_mel_run(struct pz_whisper_mel *m, const float *samples, int64_t n, int64_t n_zero, float *out)
{
    int64_t n_t = pz_whisper_mel_frames(n, n_zero);

    pz_whisper_mel_squeeze(out, n_t * m->bands, pz_whisper_mel_part(m, samples, n, n_zero, 0, n_t, out));
}

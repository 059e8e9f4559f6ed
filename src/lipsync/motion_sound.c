/*
 * Mel cepstra for the motion model: pre-emphasis, 25 ms Hann windows, 26 mel bands of 60–7600 Hz, log, DCT.
 * Few coefficients and short context on purpose: ten seconds of one speaker must be enough to learn from.
 */
#include "lipsync/motion_sound.h"

#include <math.h>
#include <string.h>

#include "audio/mel.h"
#include "base/mem.h"

#define BANDS 26
#define FFT 512
#define WIN 400
#define FLOOR 1e-7
#define TAPER_LAST 0.3f

struct plan {
    struct pz_fft *fft;
    float window[WIN];
    float band[BANDS][FFT / 2 + 1];
    float dct[PZ_SOUND_CEPSTRA][BANDS];
};

static double mel_of(double hz)
{
    return 2595.0 * log10(1.0 + hz / 700.0);
}

static void make_plan(struct plan *p)
{
    for (int i = 0; i < WIN; i++)
        p->window[i] = (float)(0.5 - 0.5 * cos(2.0 * M_PI * i / (WIN - 1)));
    double edge[BANDS + 2];
    for (int b = 0; b < BANDS + 2; b++) {
        double m = mel_of(60.0) + (mel_of(7600.0) - mel_of(60.0)) * b / (BANDS + 1);
        edge[b] = 700.0 * (pow(10.0, m / 2595.0) - 1.0);
    }
    for (int b = 0; b < BANDS; b++)
        for (int i = 0; i <= FFT / 2; i++) {
            double f = 16000.0 * i / FFT;
            double up = (f - edge[b]) / (edge[b + 1] - edge[b]);
            double down = (edge[b + 2] - f) / (edge[b + 2] - edge[b + 1]);
            double w = up < down ? up : down;
            p->band[b][i] = w > 0 ? (float)w : 0.0f;
        }
    for (int c = 0; c < PZ_SOUND_CEPSTRA; c++)
        for (int b = 0; b < BANDS; b++)
            p->dct[c][b] =
                (float)(sqrt((c == 0 ? 1.0 : 2.0) / BANDS) * cos(M_PI * c * (2 * b + 1) / (2.0 * BANDS)));
}

static void one_frame(const struct plan *p, const float *x, int64_t n, int64_t centre, float *cepstra,
                      float *energy)
{
    float in[FFT] = {0}, out[(FFT / 2 + 1) * 2], power[FFT / 2 + 1];
    for (int i = 0; i < WIN; i++) {
        int64_t at = centre - WIN / 2 + i;
        if (at < 0 || at >= n)
            continue;
        float v = x[at] - (at > 0 ? 0.97f * x[at - 1] : 0.0f);
        in[i] = isfinite(v) ? p->window[i] * v : 0.0f;
    }
    pz_fft_real(p->fft, in, out);
    for (int i = 0; i <= FFT / 2; i++)
        power[i] = out[2 * i] * out[2 * i] + out[2 * i + 1] * out[2 * i + 1];
    float logs[BANDS];
    double sum = 0;
    for (int b = 0; b < BANDS; b++) {
        double e = 0;
        for (int i = 0; i <= FFT / 2; i++)
            e += p->band[b][i] * power[i];
        logs[b] = (float)log(e + FLOOR);
        sum += logs[b];
    }
    *energy = (float)(sum / BANDS);
    for (int c = 0; c < PZ_SOUND_CEPSTRA; c++) {
        double v = 0;
        for (int b = 0; b < BANDS; b++)
            v += p->dct[c][b] * logs[b];
        cepstra[c] = (float)v;
    }
}

/* Moving average over `width` frames, odd, of `dim` interleaved values; `tmp` holds n·dim. */
static void smooth(float *x, float *tmp, int64_t n, int dim, int width)
{
    memcpy(tmp, x, (size_t)n * dim * sizeof *x);
    for (int64_t i = 0; i < n; i++)
        for (int d = 0; d < dim; d++) {
            float s = 0;
            for (int k = -width / 2; k <= width / 2; k++) {
                int64_t j = i + k < 0 ? 0 : i + k >= n ? n - 1 : i + k;
                s += tmp[j * dim + d];
            }
            x[i * dim + d] = s / (float)width;
        }
}

enum pz_status pz_sound_track_make(struct pz_log *log, const float *samples, int64_t n,
                                   struct pz_sound_track *out)
{
    enum pz_status st = PZ_ERR_NOMEM;
    memset(out, 0, sizeof *out);
    if (n < 1)
        return pz_fail(log, PZ_ERR_UNUSABLE, "motion: no sound to make a mouth from");
    struct plan *p = pz_calloc(1, sizeof *p);
    float *tmp = NULL;
    if (!p || !(p->fft = pz_fft_create(FFT)))
        goto fail;
    make_plan(p);
    out->n = 1 + n / PZ_SOUND_HOP;
    out->cepstra = pz_calloc((size_t)out->n * PZ_SOUND_CEPSTRA, sizeof *out->cepstra);
    out->energy = pz_calloc((size_t)out->n, sizeof *out->energy);
    tmp = pz_calloc((size_t)out->n * PZ_SOUND_CEPSTRA, sizeof *tmp);
    if (!out->cepstra || !out->energy || !tmp)
        goto fail;
    for (int64_t i = 0; i < out->n; i++)
        one_frame(p, samples, n, i * PZ_SOUND_HOP, out->cepstra + i * PZ_SOUND_CEPSTRA, out->energy + i);
    smooth(out->cepstra, tmp, out->n, PZ_SOUND_CEPSTRA, 5);
    smooth(out->energy, tmp, out->n, 1, 5);
    st = PZ_OK;
fail:
    if (p)
        pz_fft_destroy(&p->fft);
    pz_free(p);
    pz_free(tmp);
    if (st != PZ_OK)
        pz_sound_track_free(out);
    return st;
}

void pz_sound_track_free(struct pz_sound_track *t)
{
    pz_free(t->cepstra);
    pz_free(t->energy);
    memset(t, 0, sizeof *t);
}

/* Frames around a time and how far between them it lies. */
static int64_t locate(const struct pz_sound_track *s, double t, float *between)
{
    double at = t * (16000.0 / PZ_SOUND_HOP);
    if (!(at > 0))
        at = 0;
    if (at > (double)(s->n - 1))
        at = (double)(s->n - 1);
    int64_t i = (int64_t)at;
    if (i > s->n - 2)
        i = s->n > 1 ? s->n - 2 : 0;
    *between = s->n > 1 ? (float)(at - (double)i) : 0.0f;
    return i;
}

void pz_sound_features(const struct pz_sound_track *s, double t, const float mean[PZ_SOUND_CEPSTRA],
                       const float std[PZ_SOUND_CEPSTRA], float *out)
{
    for (int tap = 0; tap < PZ_SOUND_TAPS; tap++) {
        float f;
        int64_t i = locate(s, t + 0.04 * (tap - PZ_SOUND_TAPS / 2), &f);
        int64_t j = i + 1 < s->n ? i + 1 : i;
        for (int c = 0; c < PZ_SOUND_CEPSTRA; c++) {
            float v =
                (1 - f) * s->cepstra[i * PZ_SOUND_CEPSTRA + c] + f * s->cepstra[j * PZ_SOUND_CEPSTRA + c];
            float weight = 1.0f + (TAPER_LAST - 1.0f) * (float)c / (PZ_SOUND_CEPSTRA - 1);
            out[tap * PZ_SOUND_CEPSTRA + c] = weight * (v - mean[c]) / std[c];
        }
    }
}

void pz_sound_stats(const struct pz_sound_track *s, double from, double to, float mean[PZ_SOUND_CEPSTRA],
                    float std[PZ_SOUND_CEPSTRA])
{
    int64_t a = from > 0 ? (int64_t)(from * 100.0) : 0, b = (int64_t)(to * 100.0);
    b = b < s->n ? b : s->n;
    if (b - a < 20) {
        a = 0;
        b = s->n;
    }
    for (int c = 0; c < PZ_SOUND_CEPSTRA; c++) {
        double m = 0, v = 0;
        for (int64_t i = a; i < b; i++)
            m += s->cepstra[i * PZ_SOUND_CEPSTRA + c];
        m /= (double)(b - a);
        for (int64_t i = a; i < b; i++)
            v += pow(s->cepstra[i * PZ_SOUND_CEPSTRA + c] - m, 2);
        mean[c] = (float)m;
        std[c] = (float)sqrt(v / (double)(b - a) + 1e-6);
    }
}

float pz_sound_energy(const struct pz_sound_track *s, double t)
{
    float f;
    int64_t i = locate(s, t, &f);
    int64_t j = i + 1 < s->n ? i + 1 : i;
    return (1 - f) * s->energy[i] + f * s->energy[j];
}

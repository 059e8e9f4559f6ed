// Mel-frequency cepstral coefficients with the defaults of python_speech_features, in double precision on
// 16-bit values. Nothing is configurable: one network was trained on exactly these. Source: spec/wav2lip.md
// §9.
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "audio/dft.h"
#include "audio/features.h"
#include "base/mem.h"

#define FRAME 400
#define STEP 160
#define POINTS 512
#define BINS (POINTS / 2 + 1)
#define FILTERS 26
#define LIFTER 22

struct pz_mfcc {
    struct pz_dft *dft;
    double *work[2], *re, *im;
    double bank[FILTERS][BINS];
    int first[FILTERS], end[FILTERS];
    double dct[PZ_MFCC_COEFFS][FILTERS]; /* orthonormal DCT-II with the lifter in it */
};

/* Triangles between integer bins, height 1. */
static void fill_bank(struct pz_mfcc *m)
{
    double top = 2595.0 * log10(1.0 + 8000.0 / 700.0);
    int edge[FILTERS + 2];

    for (int i = 0; i < FILTERS + 2; i++) {
        double hz = 700.0 * (pow(10.0, top * i / (FILTERS + 1) / 2595.0) - 1.0);
        edge[i] = (int)floor((POINTS + 1) * hz / 16000.0);
    }
    edge[FILTERS + 1] = (POINTS + 1) / 2; // 8000 Hz exactly, whatever pow() rounds to
    for (int j = 0; j < FILTERS; j++) {
        m->first[j] = edge[j];
        m->end[j] = edge[j + 2];
        for (int i = edge[j]; i < edge[j + 1]; i++)
            m->bank[j][i] = (double)(i - edge[j]) / (edge[j + 1] - edge[j]);
        for (int i = edge[j + 1]; i < edge[j + 2]; i++)
            m->bank[j][i] = (double)(edge[j + 2] - i) / (edge[j + 2] - edge[j + 1]);
    }
}

static void fill_dct(struct pz_mfcc *m)
{
    for (int k = 0; k < PZ_MFCC_COEFFS; k++) {
        double lift = 1.0 + LIFTER / 2.0 * sin(M_PI * k / LIFTER);
        double norm = sqrt((k ? 2.0 : 1.0) / FILTERS);
        for (int j = 0; j < FILTERS; j++)
            m->dct[k][j] = lift * norm * cos(M_PI * k * (2 * j + 1) / (2.0 * FILTERS));
    }
}

enum pz_status pz_mfcc_create(struct pz_log *log, struct pz_mfcc **out)
{
    struct pz_mfcc *m = pz_calloc(1, sizeof *m);

    *out = NULL;
    if (!m)
        return PZ_ERR_NOMEM;
    m->dft = pz_dft_create(POINTS);
    for (int i = 0; i < 2 && m->dft; i++)
        m->work[i] = pz_calloc(pz_dft_work(m->dft), sizeof *m->work[i]);
    m->re = pz_calloc(BINS, PZ_DFT_FRAMES * sizeof *m->re);
    m->im = pz_calloc(BINS, PZ_DFT_FRAMES * sizeof *m->im);
    if (!m->dft || !m->work[0] || !m->work[1] || !m->re || !m->im) {
        pz_mfcc_destroy(&m);
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for the coefficients of the sound");
    }
    fill_bank(m);
    fill_dct(m);
    *out = m;
    return PZ_OK;
}

void pz_mfcc_destroy(struct pz_mfcc **mfcc)
{
    struct pz_mfcc *m = *mfcc;

    if (!m)
        return;
    pz_dft_destroy(&m->dft);
    pz_free(m->work[0]);
    pz_free(m->work[1]);
    pz_free(m->re);
    pz_free(m->im);
    pz_free(m);
    *mfcc = NULL;
}

int64_t pz_mfcc_frames(int64_t n)
{
    return n <= FRAME ? 1 : 1 + (n - FRAME + STEP - 1) / STEP;
}

static double sample16(const float *x, int64_t n, int64_t i)
{
    double v = i >= 0 && i < n ? rint(x[i] * 32768.0) : 0.0;
    return v > 32767.0 ? 32767.0 : v < -32768.0 ? -32768.0 : v;
}

/* ln that takes zero for the smallest step of a double, as the reference does. */
static double safe_log(double v)
{
    return log(v == 0.0 ? 2.220446049250313e-16 : v);
}

static void coefficients(const struct pz_mfcc *m, int f, float *out)
{
    double energy = 0.0, power[BINS], band[FILTERS];

    for (int k = 0; k < BINS; k++) {
        double re = m->re[k * PZ_DFT_FRAMES + f], im = m->im[k * PZ_DFT_FRAMES + f];
        power[k] = (re * re + im * im) / POINTS;
        energy += power[k];
    }
    for (int j = 0; j < FILTERS; j++) {
        double sum = 0.0;
        for (int k = m->first[j]; k < m->end[j]; k++)
            sum += m->bank[j][k] * power[k];
        band[j] = safe_log(sum);
    }
    out[0] = (float)safe_log(energy);
    for (int k = 1; k < PZ_MFCC_COEFFS; k++) {
        double sum = 0.0;
        for (int j = 0; j < FILTERS; j++)
            sum += m->dct[k][j] * band[j];
        out[k] = (float)sum;
    }
}

void pz_mfcc_run(struct pz_mfcc *m, const float *samples, int64_t n, int64_t t0, int64_t n_t, float *out)
{
    for (int64_t t = 0; t < n_t; t += PZ_DFT_FRAMES) {
        int n_f = n_t - t < PZ_DFT_FRAMES ? (int)(n_t - t) : PZ_DFT_FRAMES;

        memset(m->work[0], 0, pz_dft_work(m->dft) * sizeof *m->work[0]);
        for (int f = 0; f < n_f; f++) {
            int64_t at = (t0 + t + f) * STEP;
            for (int i = 0; i < FRAME; i++) {
                double v = sample16(samples, n, at + i);
                if (at + i > 0 && at + i < n)
                    v -= 0.97 * sample16(samples, n, at + i - 1);
                m->work[0][i * 2 * PZ_DFT_LANES + f] = v;
            }
        }
        pz_dft_real(m->dft, m->work[0], m->work[1], m->re, m->im);
        for (int f = 0; f < n_f; f++)
            coefficients(m, f, out + (t + f) * PZ_MFCC_COEFFS);
    }
}

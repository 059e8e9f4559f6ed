// Mel spectrograms as librosa and torchaudio define them, eight frames at a time. No logarithm scale of a
// model's own: features.c. Source: Slaney, Auditory Toolbox (1998) for the scale; HTK book (2006) §5.4 for
// the other.
#include <math.h>
#include <string.h>

#include "audio/dft.h"
#include "audio/mel.h"
#include "base/mem.h"

struct pz_mel {
    struct pz_mel_params p;
    int bins;
    struct pz_dft *dft;
    double *window;   /* [n_fft], centred */
    float *bank;      /* [n_mels][bins] */
    int *first, *end; /* [n_mels] bins with weight */
    double *work[2];  /* [n_fft][2][LANES] */
    double *re, *im;  /* [bins][FRAMES] */
    float *power;     /* [bins][FRAMES] */
};

static double hz_to_mel(double hz, enum pz_mel_scale s)
{
    if (s == PZ_MEL_HTK)
        return 2595.0 * log10(1.0 + hz / 700.0);
    return hz < 1000.0 ? hz * 3.0 / 200.0 : 15.0 + log(hz / 1000.0) * 27.0 / log(6.4);
}

static double mel_to_hz(double mel, enum pz_mel_scale s)
{
    if (s == PZ_MEL_HTK)
        return 700.0 * (pow(10.0, mel / 2595.0) - 1.0);
    return mel < 15.0 ? mel * 200.0 / 3.0 : 1000.0 * exp((mel - 15.0) * log(6.4) / 27.0);
}

static void fill_bank(struct pz_mel *m, double fmax)
{
    const struct pz_mel_params *p = &m->p;
    double lo = hz_to_mel(p->fmin, p->scale), hi = hz_to_mel(fmax, p->scale);

    for (int i = 0; i < p->n_mels; i++) {
        double a = mel_to_hz(lo + (hi - lo) * i / (p->n_mels + 1), p->scale);
        double b = mel_to_hz(lo + (hi - lo) * (i + 1) / (p->n_mels + 1), p->scale);
        double c = mel_to_hz(lo + (hi - lo) * (i + 2) / (p->n_mels + 1), p->scale);

        m->first[i] = m->bins;
        for (int k = 0; k < m->bins; k++) {
            double f = (double)k * p->rate / p->n_fft;
            double v = fmin((f - a) / (b - a), (c - f) / (c - b));

            if (v <= 0.0)
                continue;
            if (p->slaney_norm)
                v *= 2.0 / (c - a);
            m->bank[(size_t)i * (size_t)m->bins + (size_t)k] = (float)v;
            if (m->first[i] == m->bins)
                m->first[i] = k;
            m->end[i] = k + 1;
        }
    }
}

static enum pz_status check_params(struct pz_log *log, const struct pz_mel_params *p, double fmax)
{
    if (p->rate < 1000 || p->n_fft < 4 || p->n_fft > 8192 || p->win < 2 || p->win > p->n_fft || p->hop < 1 ||
        p->n_mels < 1 || p->n_mels > 1024 || p->fmin < 0.0f || fmax <= p->fmin ||
        fmax > p->rate / 2.0 + 1e-3 || (p->power != 1.0f && p->power != 2.0f))
        return pz_fail(log, PZ_ERR_USAGE,
                       "mel: %d Hz, n_fft %d, win %d, hop %d, %d mels of %g-%g Hz is no transform", p->rate,
                       p->n_fft, p->win, p->hop, p->n_mels, (double)p->fmin, fmax);
    return PZ_OK;
}

enum pz_status pz_mel_create(struct pz_log *log, const struct pz_mel_params *p, struct pz_mel **out)
{
    enum pz_status st = PZ_OK;
    struct pz_mel *m = NULL;
    double fmax = p->fmax > 0.0f ? p->fmax : p->rate / 2.0;
    size_t n = (size_t)p->n_fft, bins = n / 2 + 1;

    *out = NULL;
    PZ_TRY(check_params(log, p, fmax));
    m = pz_calloc(1, sizeof *m);
    if (!m)
        return PZ_ERR_NOMEM;
    m->p = *p;
    m->bins = (int)bins;
    m->dft = pz_dft_create(p->n_fft);
    if (!m->dft) {
        st = pz_fail(log, PZ_ERR_USAGE, "mel: no transform of %d points", p->n_fft);
        goto fail;
    }
    m->window = pz_calloc(n, sizeof *m->window);
    m->bank = pz_calloc((size_t)p->n_mels, bins * sizeof *m->bank);
    m->first = pz_calloc((size_t)p->n_mels, sizeof *m->first);
    m->end = pz_calloc((size_t)p->n_mels, sizeof *m->end);
    for (int i = 0; i < 2; i++)
        m->work[i] = pz_calloc(pz_dft_work(m->dft), sizeof *m->work[i]);
    m->re = pz_calloc(bins, PZ_DFT_FRAMES * sizeof *m->re);
    m->im = pz_calloc(bins, PZ_DFT_FRAMES * sizeof *m->im);
    m->power = pz_calloc(bins, PZ_DFT_FRAMES * sizeof *m->power);
    if (!m->window || !m->bank || !m->first || !m->end || !m->work[0] || !m->work[1] || !m->re || !m->im ||
        !m->power) {
        st = PZ_ERR_NOMEM;
        goto fail;
    }
    for (int i = 0; i < p->win; i++)
        m->window[(p->n_fft - p->win) / 2 + i] = 0.5 - 0.5 * cos(2.0 * M_PI * i / p->win);
    fill_bank(m, fmax);
    *out = m;
    return PZ_OK;
fail:
    pz_mel_destroy(&m);
    return st;
}

void pz_mel_destroy(struct pz_mel **mel)
{
    struct pz_mel *m = *mel;

    if (!m)
        return;
    pz_dft_destroy(&m->dft);
    pz_free(m->window);
    pz_free(m->bank);
    pz_free(m->first);
    pz_free(m->end);
    pz_free(m->work[0]);
    pz_free(m->work[1]);
    pz_free(m->re);
    pz_free(m->im);
    pz_free(m->power);
    pz_free(m);
    *mel = NULL;
}

int64_t pz_mel_frames(const struct pz_mel *m, int64_t n)
{
    if (m->p.center)
        return 1 + n / m->p.hop;
    return n < m->p.n_fft ? 0 : 1 + (n - m->p.n_fft) / m->p.hop;
}

/** Sample index with reflection at both ends (librosa pad_mode="reflect"). */
static int64_t reflect(int64_t i, int64_t n)
{
    if (n == 1)
        return 0;
    for (;;) {
        if (i < 0)
            i = -i;
        else if (i >= n)
            i = 2 * (n - 1) - i;
        else
            return i;
    }
}

/* What a frame is made of: samples, then zeros, then what the padding says. */
struct sound {
    const float *x;
    int64_t n, total; /* of samples; with the zeros */
};

/* Sample i in [0, total) after pre-emphasis. */
static double emphasised(const struct pz_mel *m, const struct sound *s, int64_t i)
{
    double now = i < s->n ? s->x[i] : 0.0, before = i > 0 && i <= s->n ? s->x[i - 1] : 0.0;
    return now - m->p.preemphasis * before;
}

/* Window frame `f` of a batch, the one at sample `at`; false when it holds zeros only. */
static bool load(struct pz_mel *m, const struct sound *s, int64_t at, int f)
{
    double *to = m->work[0] + f; // [i][f / LANES][f % LANES]
    bool mirror = m->p.center && m->p.pad == PZ_MEL_PAD_REFLECT, any = false;
    int n_fft = m->p.n_fft;

    if (at > 0 && at + n_fft <= s->n) {
        const float *x = s->x + at;
        for (int i = 0; i < n_fft; i++)
            to[(size_t)i * 2 * PZ_DFT_LANES] = m->window[i] * (x[i] - m->p.preemphasis * (double)x[i - 1]);
        return true;
    }
    for (int i = 0; i < n_fft; i++) {
        int64_t k = at + i;
        double v = 0.0;

        if (s->total > 0 && (mirror || (k >= 0 && k < s->total))) {
            k = mirror ? reflect(k, s->total) : k;
            any = any || k <= s->n;
            v = emphasised(m, s, k);
        }
        to[(size_t)i * 2 * PZ_DFT_LANES] = m->window[i] * v;
    }
    return any;
}

/* Spectra of the loaded frames, rounded to float before the magnitude is taken, as complex64 is. */
static void spectra(struct pz_mel *m)
{
    pz_dft_real(m->dft, m->work[0], m->work[1], m->re, m->im);
    for (size_t i = 0; i < (size_t)m->bins * PZ_DFT_FRAMES; i++) {
        float re = (float)m->re[i], im = (float)m->im[i];
        m->power[i] = re * re + im * im;
    }
    for (size_t i = 0; i < (size_t)m->bins * PZ_DFT_FRAMES && m->p.power == 1.0f; i++)
        m->power[i] = sqrtf(m->power[i]);
}

/* Bands of the first `n_f` frames of a batch: out [n_f][n_mels]. */
static void bands(const struct pz_mel *m, int n_f, float *out)
{
    for (int k = 0; k < m->p.n_mels; k++) {
        const float *w = m->bank + (size_t)k * (size_t)m->bins;
        float sum[PZ_DFT_FRAMES] = {0};

        for (int b = m->first[k]; b < m->end[k]; b++)
            for (int f = 0; f < PZ_DFT_FRAMES; f++)
                sum[f] += w[b] * m->power[(size_t)b * PZ_DFT_FRAMES + (size_t)f];
        for (int f = 0; f < n_f; f++)
            out[(size_t)f * (size_t)m->p.n_mels + (size_t)k] = sum[f];
    }
}

void pz_mel_run(struct pz_mel *m, const float *samples, int64_t n, int64_t n_zero, int64_t t0, int64_t n_t,
                float *out)
{
    struct sound s = {.x = samples, .n = n, .total = n + n_zero};

    for (int64_t t = 0; t < n_t; t += PZ_DFT_FRAMES) {
        int n_f = n_t - t < PZ_DFT_FRAMES ? (int)(n_t - t) : PZ_DFT_FRAMES;
        float *to = out + t * m->p.n_mels;
        bool any = false;

        for (int f = 0; f < PZ_DFT_FRAMES; f++) {
            int64_t at = (t0 + t + (f < n_f ? f : 0)) * m->p.hop - (m->p.center ? m->p.n_fft / 2 : 0);
            any = load(m, &s, at, f) || any;
        }
        if (!any) {
            memset(to, 0, (size_t)n_f * (size_t)m->p.n_mels * sizeof *to);
            continue;
        }
        spectra(m);
        bands(m, n_f, to);
    }
}

void pz_log10_scale(float *x, int64_t n, float floor_value, float scale)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = scale * log10f(x[i] > floor_value ? x[i] : floor_value);
}

// Mel spectrograms as librosa and torchaudio define them. Powers of two go through fft.c; other lengths (400,
// 800) through a table of cosines, which for speech front ends is fast enough and exact. Source: Slaney,
// Auditory Toolbox (1998) for the scale; HTK book (2006) §5.4 for the other.
#include <math.h>
#include <string.h>

#include "audio/mel.h"
#include "base/mem.h"

struct pz_mel {
    struct pz_mel_params p;
    int bins;
    struct pz_fft *fft; /* powers of two */
    float *table;       /* [bins][n_fft][2] else */
    float *window;      /* [n_fft], centred */
    float *bank;        /* [n_mels][bins] */
    int *first, *end;   /* [n_mels] bins with weight */
    float *frame, *spec, *power;
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

enum pz_status pz_mel_create(struct pz_log *log, const struct pz_mel_params *p, struct pz_mel **out)
{
    struct pz_mel *m;
    double fmax = p->fmax > 0.0f ? p->fmax : p->rate / 2.0;
    bool pow2 = p->n_fft > 0 && (p->n_fft & (p->n_fft - 1)) == 0;
    size_t n = (size_t)p->n_fft;

    *out = NULL;
    if (p->rate < 1000 || p->n_fft < 4 || p->n_fft > 8192 || p->win < 2 || p->win > p->n_fft || p->hop < 1 ||
        p->n_mels < 1 || p->n_mels > 1024 || p->fmin < 0.0f || fmax <= p->fmin ||
        fmax > p->rate / 2.0 + 1e-3 || (!pow2 && p->n_fft > 2048) || (p->power != 1.0f && p->power != 2.0f))
        return pz_fail(log, PZ_ERR_USAGE,
                       "mel: %d Hz, n_fft %d, win %d, hop %d, %d mels of %g-%g Hz is no transform", p->rate,
                       p->n_fft, p->win, p->hop, p->n_mels, (double)p->fmin, fmax);
    m = pz_calloc(1, sizeof *m);
    if (!m)
        return PZ_ERR_NOMEM;
    m->p = *p;
    m->bins = p->n_fft / 2 + 1;
    m->window = pz_calloc(n, sizeof *m->window);
    m->frame = pz_calloc(n, sizeof *m->frame);
    m->spec = pz_calloc(n + 2, sizeof *m->spec);
    m->power = pz_calloc((size_t)m->bins, sizeof *m->power);
    m->bank = pz_calloc((size_t)p->n_mels, (size_t)m->bins * sizeof *m->bank);
    m->first = pz_calloc((size_t)p->n_mels, sizeof *m->first);
    m->end = pz_calloc((size_t)p->n_mels, sizeof *m->end);
    if (pow2)
        m->fft = pz_fft_create(p->n_fft);
    else
        m->table = pz_calloc((size_t)m->bins * n, 2 * sizeof *m->table);
    if (!m->window || !m->frame || !m->spec || !m->power || !m->bank || !m->first || !m->end ||
        !(m->fft || m->table)) {
        pz_mel_destroy(&m);
        return PZ_ERR_NOMEM;
    }
    for (int i = 0; i < p->win; i++)
        m->window[(p->n_fft - p->win) / 2 + i] = (float)(0.5 - 0.5 * cos(2.0 * M_PI * i / p->win));
    for (int k = 0; k < m->bins && m->table; k++)
        for (size_t i = 0; i < n; i++) {
            double a = 2.0 * M_PI * (double)((size_t)k * i % n) / (double)n;

            m->table[2 * ((size_t)k * n + i)] = (float)cos(a);
            m->table[2 * ((size_t)k * n + i) + 1] = (float)-sin(a);
        }
    fill_bank(m, fmax);
    *out = m;
    return PZ_OK;
}

void pz_mel_destroy(struct pz_mel **mel)
{
    struct pz_mel *m = *mel;

    if (!m)
        return;
    pz_fft_destroy(&m->fft);
    pz_free(m->table);
    pz_free(m->window);
    pz_free(m->bank);
    pz_free(m->first);
    pz_free(m->end);
    pz_free(m->frame);
    pz_free(m->spec);
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

static void spectrum(struct pz_mel *m)
{
    size_t n = (size_t)m->p.n_fft;

    if (m->fft) {
        pz_fft_real(m->fft, m->frame, m->spec);
    } else {
        for (int k = 0; k < m->bins; k++) {
            const float *t = m->table + 2 * (size_t)k * n;
            double re = 0.0, im = 0.0;

            for (size_t i = 0; i < n; i++) {
                re += (double)m->frame[i] * t[2 * i];
                im += (double)m->frame[i] * t[2 * i + 1];
            }
            m->spec[2 * k] = (float)re;
            m->spec[2 * k + 1] = (float)im;
        }
    }
    for (int k = 0; k < m->bins; k++) {
        float e = m->spec[2 * k] * m->spec[2 * k] + m->spec[2 * k + 1] * m->spec[2 * k + 1];

        m->power[k] = m->p.power == 1.0f ? sqrtf(e) : e;
    }
}

void pz_mel_run(struct pz_mel *m, const float *samples, int64_t n, int64_t t0, int64_t n_t, float *out)
{
    for (int64_t t = 0; t < n_t; t++) {
        int64_t at = (t0 + t) * m->p.hop - (m->p.center ? m->p.n_fft / 2 : 0);

        for (int i = 0; i < m->p.n_fft; i++) {
            int64_t s = at + i;

            if (n <= 0 || (!m->p.center && s >= n))
                m->frame[i] = 0.0f;
            else
                m->frame[i] = m->window[i] * samples[reflect(s, n)];
        }
        spectrum(m);
        for (int k = 0; k < m->p.n_mels; k++) {
            const float *w = m->bank + (size_t)k * (size_t)m->bins;
            double sum = 0.0;

            for (int b = m->first[k]; b < m->end[k]; b++)
                sum += (double)w[b] * m->power[b];
            out[t * m->p.n_mels + k] = (float)sum;
        }
    }
}

void pz_log10_scale(float *x, int64_t n, float floor_value, float scale)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = scale * log10f(x[i] > floor_value ? x[i] : floor_value);
}

// Windowed spectra and overlap-add. Which gains is the caller's business.
#include "speech/stft.h"

#include <math.h>
#include <stddef.h>

#include "audio/mel.h"

#define N PZ_STFT_N
#define HOP PZ_STFT_HOP

bool pz_stft_make(struct pz_stft *s)
{
    s->fft = pz_fft_create(N);
    for (int i = 0; i < N; i++) // sine window twice, its squares add up to N / HOP / 2
        s->window[i] = sinf((float)M_PI * ((float)i + 0.5f) / N);
    return s->fft != NULL;
}

void pz_stft_free(struct pz_stft *s)
{
    pz_fft_destroy(&s->fft);
}

void pz_stft_read(const struct pz_stft *s, const float *x, int64_t n, int64_t t, float spec[2 * PZ_STFT_BINS])
{
    float buf[N];

    for (int i = 0; i < N; i++) {
        const int64_t at = t * HOP - N / 2 + i;

        buf[i] = at >= 0 && at < n ? x[at] * s->window[i] : 0.0f;
    }
    pz_fft_real(s->fft, buf, spec);
}

void pz_stft_add(const struct pz_stft *s, const float spec[2 * PZ_STFT_BINS], const float gain[PZ_STFT_BINS],
                 int64_t t, float *out, int64_t n)
{
    float buf[N], changed[2 * PZ_STFT_BINS];

    for (int k = 0; k < PZ_STFT_BINS; k++) {
        changed[2 * k] = spec[2 * k] * gain[k];
        changed[2 * k + 1] = spec[2 * k + 1] * gain[k];
    }
    pz_fft_real_inverse(s->fft, changed, buf);
    for (int i = 0; i < N; i++) {
        const int64_t at = t * HOP - N / 2 + i;

        if (at >= 0 && at < n)
            out[at] += buf[i] * s->window[i] * (2.0f * HOP / N);
    }
}

/* Smoothing, rest and closures of a motion over time. What to aim at comes from motion_predict.c. */
#include "lipsync/motion_path.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "lipsync/linalg.h"

#define UNIT_S 0.04 /* λ are stated for 25 frames a second */
#define REST_MIN_S 0.18
#define REST_RAMP_S 0.12
#define REST_LEAD_S 0.08 /* lips part before the sound starts */
#define SPREAD_S 0.06

enum pz_status pz_motion_smooth(const double *times, int n, int k, double lambda1, double lambda2, float *m)
{
    if (n < 3)
        return PZ_OK;
    enum pz_status st = PZ_ERR_NOMEM;
    double *band = pz_calloc((size_t)n * 3, sizeof *band), *x = pz_calloc((size_t)n, sizeof *x);
    double *h = pz_calloc((size_t)n, sizeof *h);
    if (!band || !x || !h)
        goto fail;
    for (int i = 0; i + 1 < n; i++) {
        double d = (times[i + 1] - times[i]) / UNIT_S;
        h[i] = d > 0.1 ? (d < 10 ? d : 10) : 0.1; /* repeated or very distant frames */
    }
    for (int i = 0; i < n; i++)
        band[3 * i] = i == 0 ? h[0] : i == n - 1 ? h[n - 2] : 0.5 * (h[i - 1] + h[i]);
    h[n - 1] = h[n - 2];
    for (int i = 0; i + 1 < n; i++) {
        double w = lambda1 / h[i];
        band[3 * i] += w;
        band[3 * (i + 1)] += w;
        band[3 * (i + 1) + 1] -= w;
    }
    for (int i = 1; i + 1 < n; i++) {
        double mid = 0.5 * (h[i - 1] + h[i]), w = lambda2 * mid;
        double a = 1 / (h[i - 1] * mid), c = 1 / (h[i] * mid), b = -a - c; /* second difference */
        band[3 * (i - 1)] += w * a * a;
        band[3 * i] += w * b * b;
        band[3 * (i + 1)] += w * c * c;
        band[3 * i + 1] += w * a * b;
        band[3 * (i + 1) + 1] += w * b * c;
        band[3 * (i + 1) + 2] += w * a * c;
    }
    st = PZ_ERR_INTERNAL;
    if (!pz_linalg_band_cholesky(band, n, 2))
        goto fail;
    for (int c = 0; c < k; c++) {
        for (int i = 0; i < n; i++) {
            double own = i == 0 ? h[0] : i == n - 1 ? h[n - 2] : 0.5 * (h[i - 1] + h[i]);
            x[i] = own * m[(size_t)i * k + c];
        }
        pz_linalg_band_solve(band, n, 2, x);
        for (int i = 0; i < n; i++)
            m[(size_t)i * k + c] = (float)x[i];
    }
    st = PZ_OK;
fail:
    pz_free(band);
    pz_free(x);
    pz_free(h);
    return st;
}

static double smoothstep(double x)
{
    x = x < 0 ? 0 : x > 1 ? 1 : x;
    return x * x * (3 - 2 * x);
}

/* Rest for a silence [a, b): in over 120 ms, out so that the lips part 80 ms before its end. */
static void add_rest(double a, double b, double limit, const double *times, int n, float *weight)
{
    bool cut = a <= 0 || b >= limit; /* goes on outside the sound at hand: its length is not known */
    if (b - a < REST_MIN_S && !cut)
        return;
    for (int i = 0; i < n; i++) {
        double in =
            a <= 0 ? 1 : (times[i] - a) / REST_RAMP_S; /* a silence that opens the sound began before it */
        double out = b >= limit ? 1 : (b - REST_LEAD_S - times[i]) / REST_RAMP_S + 0.5;
        float w = (float)(times[i] >= a - 1e-9 && times[i] < b ? smoothstep(in < out ? in : out) : 0);
        weight[i] = w > weight[i] ? w : weight[i];
    }
}

void pz_motion_rest_weights(const struct pz_viseme_line *line, const struct pz_sound_track *sound,
                            float quiet, const double *times, int n, float *weight)
{
    memset(weight, 0, (size_t)n * sizeof *weight);
    double limit = (double)(sound->n - 1) / 100.0;
    int e = 0;
    double start = -1;
    for (int64_t f = 0; f <= sound->n; f++) {
        double t = (double)f / 100.0;
        bool silent = f < sound->n && sound->energy[f] < quiet;
        if (line->n > 0) {
            while (e < line->n && line->events[e].end <= t)
                e++;
            bool sil = e < line->n && line->events[e].start <= t && line->events[e].viseme == PZ_VIS_SIL;
            bool sure = sil && line->events[e].exact;
            silent = f < sound->n && ((silent && sil) || sure || (silent && e >= line->n));
        }
        if (silent && start < 0)
            start = t;
        if (!silent && start >= 0) {
            add_rest(start, f >= sound->n ? limit : t, limit, times, n, weight);
            start = -1;
        }
    }
}

/* Components at their bound drop out and the rest share what is left. */
void pz_motion_lower_gap(const struct pz_motion_space *s, double target, float *m)
{
    bool fixed[PZ_MOTION_MAX] = {false};
    for (int round = 0; round < s->n_components; round++) {
        double gap = s->gap_0, norm = 0;
        for (int k = 0; k < s->n_components; k++) {
            gap += (double)s->gap_g[k] * m[k];
            norm += fixed[k] ? 0 : (double)s->gap_g[k] * s->gap_g[k];
        }
        if (gap <= target || norm < 1e-12)
            return;
        double step = (gap - target) * (1 + 1e-6) / norm;
        bool clipped = false;
        for (int k = 0; k < s->n_components; k++) {
            if (fixed[k])
                continue;
            float v = (float)(m[k] - step * s->gap_g[k]);
            if (v < s->lo[k] || v > s->hi[k]) {
                v = v < s->lo[k] ? s->lo[k] : s->hi[k];
                fixed[k] = clipped = true;
            }
            m[k] = v;
        }
        if (!clipped)
            return;
    }
}

void pz_motion_close(const struct pz_motion_space *s, const struct pz_viseme_line *line, const double *times,
                     int n, const float *strength, float *m)
{
    int k = s->n_components, first = 0;
    for (int e = 0; e < line->n && n > 0; e++) {
        const struct pz_viseme_event *ev = &line->events[e];
        if (ev->viseme != PZ_VIS_PP && ev->viseme != PZ_VIS_FF)
            continue;
        double certain = (ev->score - 0.2) / 0.2; /* a doubtful phone closes the lips in part or not at all */
        certain = certain < 0 ? 0 : certain > 1 ? 1 : certain;
        double target = s->gap_closed + (ev->viseme == PZ_VIS_FF ? 0.2 * (s->gap_open - s->gap_closed) : 0);
        double hs, he, mid;
        pz_viseme_hold(ev, 0.0, &hs, &he);
        mid = 0.5 * (hs + he);
        while (first < n && times[first] < ev->start - 0.5)
            first++;
        int nearest = first < n ? first : n - 1;
        for (int i = first; i < n && times[i] < ev->end + 0.5; i++)
            if (fabs(times[i] - mid) < fabs(times[nearest] - mid))
                nearest = i;
        double period = n > 1 ? fabs(nearest + 1 < n ? times[nearest + 1] - times[nearest]
                                                     : times[nearest] - times[nearest - 1])
                              : 0.04;
        if (fabs(times[nearest] - mid) > period)
            continue; /* the phone lies outside the span */
        hs = hs < times[nearest] ? hs : times[nearest];
        he = he > times[nearest] ? he : times[nearest];
        for (int i = first; i < n && times[i] <= he + SPREAD_S; i++) {
            double far = times[i] < hs ? hs - times[i] : times[i] > he ? times[i] - he : 0;
            if (far >= SPREAD_S)
                continue;
            double w = certain * (0.5 + 0.5 * cos(M_PI * far / SPREAD_S)) * (strength ? strength[i] : 1);
            double gap = pz_motion_space_gap_linear(s, m + (size_t)i * k);
            if (w > 0 && gap > target)
                pz_motion_lower_gap(s, gap + w * (target - gap), m + (size_t)i * k);
        }
    }
}

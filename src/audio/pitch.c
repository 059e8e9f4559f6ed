// Pitch by YIN with a Viterbi smoother over a few candidates a frame, which repairs octave slips.
// Source: de Cheveigné & Kawahara, "YIN, a fundamental frequency estimator for speech and music", JASA 111
// (2002), steps 1–5; the smoother is the usual dynamic program over log2 jumps.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "audio/track.h"
#include "base/mem.h"
#include "base/order.h"

#define CANDIDATES 4
#define UNVOICED CANDIDATES /* state index */
#define THRESHOLD 0.35f     /* a dip deeper than this is a candidate at all */
#define JUMP_COST 2.5f      /* per octave */
#define SWITCH_COST 0.25f   /* voiced ↔ unvoiced */
#define UNVOICED_COST 0.42f

#define LANES 16 /* periods tried side by side, so that the compiler makes vectors of them */

struct yin {
    int tau_min, tau_max, win;
    double *diff; /* [tau_max + 2] */
    double *near; /* [win + tau_max + 2 + LANES] the sound around the frame */
};

struct candidate {
    float hz, dip;
};

/** Steps 1–3: cumulative-mean-normalised difference around sample `c`; false when the frame is silent. */
static bool difference(struct yin *y, const float *x, int64_t n, int64_t c)
{
    int64_t a = c - (y->win + y->tau_max) / 2;
    double energy = 0.0, sum = 0.0;

    for (int i = 0; i < y->win; i++) {
        int64_t s = a + i;

        if (s >= 0 && s < n)
            energy += (double)x[s] * x[s];
    }
    if (energy / y->win < 1e-8) // −80 dB
        return false;
    y->diff[0] = 1.0;
    for (int i = 0; i < y->win + y->tau_max + 2 + LANES; i++)
        y->near[i] = a + i >= 0 && a + i < n ? x[a + i] : 0.0;
    for (int tau = 1; tau <= y->tau_max + 1; tau += LANES) {
        double d[LANES] = {0};

        for (int i = 0; i < y->win; i++)
            for (int l = 0; l < LANES; l++) {
                double u = y->near[i] - y->near[i + tau + l];

                d[l] += u * u;
            }
        for (int l = 0; l < LANES && tau + l <= y->tau_max + 1; l++) {
            sum += d[l];
            y->diff[tau + l] = sum > 0.0 ? d[l] * (tau + l) / sum : 1.0;
        }
    }
    return true;
}

/** Steps 4–5: the deepest local minima, parabola-refined, deepest first. */
static void pick(const struct yin *y, int rate, struct candidate out[CANDIDATES])
{
    int n = 0;

    for (int tau = y->tau_min; tau <= y->tau_max; tau++) {
        double a = y->diff[tau - 1], b = y->diff[tau], c = y->diff[tau + 1], den = a - 2 * b + c, off = 0.0;
        struct candidate cand;
        int at;

        if (b > THRESHOLD || b > a || b >= c)
            continue;
        if (den > 1e-12)
            off = 0.5 * (a - c) / den;
        // Longer periods are multiples of the true one: a small price keeps the shortest good one.
        cand = (struct candidate){.hz = (float)(rate / (tau + off)),
                                  .dip = (float)(b + 0.06 * tau / y->tau_max)};
        for (at = n < CANDIDATES ? n : CANDIDATES; at > 0 && out[at - 1].dip > cand.dip; at--)
            if (at < CANDIDATES)
                out[at] = out[at - 1];
        if (at < CANDIDATES)
            out[at] = cand;
        if (n < CANDIDATES)
            n++;
    }
    for (; n < CANDIDATES; n++)
        out[n] = (struct candidate){.hz = 0.0f, .dip = 1e9f};
}

static float step_cost(const struct candidate *prev, int a, const struct candidate *cur, int b)
{
    if (a == UNVOICED && b == UNVOICED)
        return 0.0f;
    if (a == UNVOICED || b == UNVOICED)
        return SWITCH_COST;
    if (prev[a].hz <= 0.0f || cur[b].hz <= 0.0f)
        return 1e9f;
    return JUMP_COST * fabsf(log2f(cur[b].hz / prev[a].hz));
}

/** Dynamic program over [n_t][CANDIDATES] to the smoothest cheap track. */
static enum pz_status smooth(const struct candidate *c, struct pz_pitch *out, int64_t n_t)
{
    float cost[CANDIDATES + 1] = {0}, next[CANDIDATES + 1];
    uint8_t *back = pz_calloc((size_t)n_t * (CANDIDATES + 1), 1);
    int best = UNVOICED;

    if (!back)
        return PZ_ERR_NOMEM;
    for (int64_t t = 0; t < n_t; t++) {
        const struct candidate *cur = c + t * CANDIDATES, *prev = t ? cur - CANDIDATES : cur;

        for (int b = 0; b <= CANDIDATES; b++) {
            float own = b == UNVOICED ? UNVOICED_COST : cur[b].dip;
            int from = 0;

            next[b] = 1e30f;
            for (int a = 0; a <= CANDIDATES; a++) {
                float v = cost[a] + (t ? step_cost(prev, a, cur, b) : 0.0f);

                if (v < next[b]) {
                    next[b] = v;
                    from = a;
                }
            }
            next[b] += own;
            back[t * (CANDIDATES + 1) + b] = (uint8_t)from;
        }
        memcpy(cost, next, sizeof cost);
    }
    for (int s = 0; s <= CANDIDATES; s++)
        if (cost[s] < cost[best])
            best = s;
    for (int64_t t = n_t - 1; t >= 0; t--) {
        const struct candidate *cur = c + t * CANDIDATES;

        out[t].hz = best == UNVOICED ? 0.0f : cur[best].hz;
        out[t].voicing = best == UNVOICED ? 0.0f : fmaxf(0.0f, 1.0f - cur[best].dip);
        best = back[t * (CANDIDATES + 1) + best];
    }
    pz_free(back);
    return PZ_OK;
}

enum pz_status pz_pitch_track(const float *x, int64_t n, int rate, int hop, float fmin, float fmax,
                              struct pz_pitch *out, int64_t n_t)
{
    enum pz_status st = PZ_ERR_NOMEM;
    struct yin y = {0};
    struct candidate *c = NULL;
    float *low = NULL;
    int step = rate / 8000 > 1 ? rate / 8000 : 1; // 8 kHz is plenty for a period and four times cheaper
    int r = rate / step;

    if (fmin < 40.0f || fmax <= fmin || fmax > (float)rate / 4.0f || hop < 1 || n_t < 0)
        return PZ_ERR_USAGE;
    if (n_t == 0)
        return PZ_OK;
    y.tau_min = (int)floorf((float)r / fmax);
    y.tau_max = (int)ceilf((float)r / fmin);
    if (y.tau_min < 2)
        y.tau_min = 2;
    y.win = y.tau_max > r / 40 ? y.tau_max : r / 40;
    y.diff = pz_calloc((size_t)y.tau_max + 2, sizeof *y.diff);
    y.near = pz_calloc((size_t)(y.win + y.tau_max + 2 + LANES), sizeof *y.near);
    c = pz_calloc((size_t)n_t, CANDIDATES * sizeof *c);
    low = pz_calloc((size_t)(n / step) + 1, sizeof *low);
    if (!y.diff || !y.near || !c || !low)
        goto fail;
    for (int64_t i = 0; i < n / step;
         i++) { // box average: enough of an anti-alias filter for periods below 500 Hz
        float sum = 0.0f;

        for (int k = 0; k < step; k++)
            sum += x[i * step + k];
        low[i] = sum / (float)step;
    }
    for (int64_t t = 0; t < n_t; t++) {
        if (difference(&y, low, n / step, t * hop / step))
            pick(&y, r, c + t * CANDIDATES);
        else
            for (int k = 0; k < CANDIDATES; k++)
                c[t * CANDIDATES + k] = (struct candidate){.hz = 0.0f, .dip = 1e9f};
    }
    st = smooth(c, out, n_t);
fail:
    pz_free(y.diff);
    pz_free(y.near);
    pz_free(c);
    pz_free(low);
    return st;
}

struct pz_pitch_stats pz_pitch_stats(const struct pz_pitch *p, int64_t n)
{
    struct pz_pitch_stats s = {0};
    float *v = n > 0 ? pz_calloc((size_t)n, sizeof *v) : NULL;
    int64_t k = 0;

    if (!v)
        return s;
    for (int64_t t = 0; t < n; t++)
        if (p[t].hz > 0.0f && p[t].voicing >= 0.5f)
            v[k++] = p[t].hz;
    if (k) {
        qsort(v, (size_t)k, sizeof *v, pz_by_float);
        s.median_hz = v[k / 2];
        s.p10_hz = v[k / 10];
        s.p90_hz = v[k - 1 - k / 10];
        s.range_st = 12.0 * log2(s.p90_hz / s.p10_hz);
        s.voiced = (double)k / (double)n;
    }
    pz_free(v);
    return s;
}

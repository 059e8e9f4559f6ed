/* Quality figures except the seam (seam.c). Sums run in double. Nothing here decides what is good enough. */
#include "image/metrics.h"

#include <math.h>

#include "base/mem.h"
#include "image/affine.h"

#define SSIM_TAPS 11
#define SSIM_SIGMA 1.5
#define PI 3.14159265358979323846

double pz_metric_psnr(const float *a, const float *b, size_t n, double peak)
{
    double s = 0;
    if (n == 0)
        return NAN;
    for (size_t i = 0; i < n; i++) {
        double d = (double)a[i] - b[i];
        s += d * d;
    }
    return s > 0 ? 10 * log10(peak * peak * (double)n / s) : INFINITY;
}

double pz_metric_luma_sse(const struct pz_picture *a, const struct pz_picture *b, int x0, int y0, int x1,
                          int y1)
{
    double sse = 0;
    for (int y = y0; y < y1; y++) {
        const uint8_t *p = a->plane[0] + (size_t)y * a->stride[0],
                      *q = b->plane[0] + (size_t)y * b->stride[0];
        uint32_t row = 0;
        for (int x = x0; x < x1; x++) {
            int d = p[x] - q[x];
            row += (uint32_t)(d * d);
        }
        sse += row;
    }
    return sse;
}

/** Valid 11-tap filtering of a [h][w] plane made by `pick` from two planes: 0 a, 1 b, 2 a², 3 b², 4 ab. */
static void ssim_moment(const float *a, const float *b, int pick, int w, int h, const double *tap, float *mid,
                        float *out)
{
    int ow = w - SSIM_TAPS + 1, oh = h - SSIM_TAPS + 1;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < ow; x++) {
            double s = 0;
            for (int k = 0; k < SSIM_TAPS; k++) {
                double u = a[(size_t)y * w + x + k], v = b[(size_t)y * w + x + k];
                s += tap[k] * (pick == 0 ? u : pick == 1 ? v : pick == 2 ? u * u : pick == 3 ? v * v : u * v);
            }
            mid[(size_t)y * ow + x] = (float)s;
        }
    for (int y = 0; y < oh; y++)
        for (int x = 0; x < ow; x++) {
            double s = 0;
            for (int k = 0; k < SSIM_TAPS; k++)
                s += tap[k] * mid[(size_t)(y + k) * ow + x];
            out[(size_t)y * ow + x] = (float)s;
        }
}

enum pz_status pz_metric_ssim(const float *a, const float *b, int w, int h, double peak, double *out)
{
    *out = NAN;
    if (w < SSIM_TAPS || h < SSIM_TAPS || !(peak > 0))
        return PZ_ERR_USAGE;
    double tap[SSIM_TAPS], sum = 0;
    for (int i = 0; i < SSIM_TAPS; i++)
        sum += tap[i] = exp(-0.5 * (i - SSIM_TAPS / 2) * (i - SSIM_TAPS / 2) / (SSIM_SIGMA * SSIM_SIGMA));
    for (int i = 0; i < SSIM_TAPS; i++)
        tap[i] /= sum;
    size_t n = (size_t)(w - SSIM_TAPS + 1) * (h - SSIM_TAPS + 1);
    float *mid = pz_calloc((size_t)w * h, sizeof *mid), *m = pz_calloc(n, 5 * sizeof *m);
    if (!mid || !m) {
        pz_free(mid);
        pz_free(m);
        return PZ_ERR_NOMEM;
    }
    for (int k = 0; k < 5; k++)
        ssim_moment(a, b, k, w, h, tap, mid, m + (size_t)k * n);
    double c1 = 0.01 * peak * 0.01 * peak, c2 = 0.03 * peak * 0.03 * peak, total = 0;
    for (size_t i = 0; i < n; i++) {
        double ma = m[i], mb = m[n + i];
        double va = m[2 * n + i] - ma * ma, vb = m[3 * n + i] - mb * mb, cov = m[4 * n + i] - ma * mb;
        total += (2 * ma * mb + c1) * (2 * cov + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2));
    }
    *out = total / (double)n;
    pz_free(mid);
    pz_free(m);
    return PZ_OK;
}

static double hue(double a, double b)
{
    if (a == 0 && b == 0)
        return 0;
    double h = atan2(b, a) * 180 / PI;
    return h < 0 ? h + 360 : h;
}

static double cosd(double deg)
{
    return cos(deg * PI / 180);
}

static double chroma_weight(double c)
{
    double c7 = pow(c, 7);
    return sqrt(c7 / (c7 + 6103515625.0)); /* 25^7 */
}

double pz_metric_ciede2000(const float p[3], const float q[3])
{
    double cm = 0.5 * (hypot(p[1], p[2]) + hypot(q[1], q[2])), g = 0.5 * (1 - chroma_weight(cm));
    double a1 = (1 + g) * p[1], a2 = (1 + g) * q[1], c1 = hypot(a1, p[2]), c2 = hypot(a2, q[2]);
    double h1 = hue(a1, p[2]), h2 = hue(a2, q[2]), dh = h2 - h1, hm = h1 + h2;
    if (c1 * c2 == 0) {
        dh = 0;
    } else {
        if (fabs(h2 - h1) > 180 + 1e-9) { /* exactly opposite hues: rounding must not choose the side */
            dh += dh > 0 ? -360 : 360;
            hm += hm < 360 ? 360 : -360;
        }
        hm *= 0.5;
    }
    double dl = (double)q[0] - p[0], dc = c2 - c1, dhh = 2 * sqrt(c1 * c2) * sin(dh * PI / 360);
    double lm = 0.5 * ((double)p[0] + q[0]), cpm = 0.5 * (c1 + c2);
    double t =
        1 - 0.17 * cosd(hm - 30) + 0.24 * cosd(2 * hm) + 0.32 * cosd(3 * hm + 6) - 0.20 * cosd(4 * hm - 63);
    double u = (hm - 275) / 25, rot = 30 * exp(-u * u), l50 = (lm - 50) * (lm - 50);
    double sl = 1 + 0.015 * l50 / sqrt(20 + l50), sc = 1 + 0.045 * cpm, sh = 1 + 0.015 * cpm * t;
    double rt = -2 * chroma_weight(cpm) * sin(2 * rot * PI / 180);
    double x = dl / sl, y = dc / sc, z = dhh / sh;
    return sqrt(fmax(0, x * x + y * y + z * z + rt * y * z));
}

double pz_metric_jitter(const float *track, int n_frames, int n_points)
{
    double s = 0;
    int64_t n = 0;
    size_t row = (size_t)n_points * 2;
    for (int t = 1; t + 1 < n_frames; t++) {
        const float *p = track + (size_t)t * row;
        if (isnan(p[0]) || isnan(p[-(ptrdiff_t)row]) || isnan(p[row]))
            continue;
        for (size_t i = 0; i < row; i++)
            s += fabs((double)p[row + i] - 2.0 * p[i] + p[(ptrdiff_t)i - (ptrdiff_t)row]);
        n += (int64_t)row;
    }
    return n ? s / (double)n : NAN;
}

double pz_metric_pearson(const float *a, const float *b, int n)
{
    double sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0;
    int m = 0;
    for (int i = 0; i < n; i++) {
        if (isnan(a[i]) || isnan(b[i]))
            continue;
        m++;
        sa += a[i];
        sb += b[i];
    }
    if (m < 3)
        return NAN;
    for (int i = 0; i < n; i++) {
        if (isnan(a[i]) || isnan(b[i]))
            continue;
        double x = a[i] - sa / m, y = b[i] - sb / m;
        saa += x * x;
        sbb += y * y;
        sab += x * y;
    }
    return saa > 1e-18 && sbb > 1e-18 ? sab / sqrt(saa * sbb) : NAN;
}

double pz_metric_landmarks(const float (*truth)[2], const float (*made)[2], const int *anchors, int n_anchors,
                           const int *points, int n_points)
{
    enum { MAX = 64 };
    float from[MAX][2], to[MAX][2], x, y;
    struct pz_affine m;
    int n = n_anchors < MAX ? n_anchors : MAX;
    double s = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < 2; k++) {
            from[i][k] = made[anchors[i]][k];
            to[i][k] = truth[anchors[i]][k];
        }
    if (n_points < 1 ||
        pz_affine_fit_similarity((const float(*)[2])from, (const float(*)[2])to, NULL, n, &m) < PZ_OK)
        return NAN;
    for (int i = 0; i < n_points; i++) {
        pz_affine_apply(&m, made[points[i]][0], made[points[i]][1], &x, &y);
        s += hypot((double)x - truth[points[i]][0], (double)y - truth[points[i]][1]);
    }
    return s / n_points;
}

static double correlation_at(const float *a, const float *b, int64_t n, int max_lag, int lag)
{
    double ab = 0, aa = 0, bb = 0;
    for (int64_t i = max_lag; i < n - max_lag; i++) {
        double x = a[i], y = b[i + lag];
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    return aa > 1e-12 && bb > 1e-12 ? ab / sqrt(aa * bb) : NAN;
}

double pz_metric_lag(const float *a, const float *b, int64_t n, int max_lag, double *peak)
{
    double best = -2, before = NAN, after = NAN, last = NAN;
    int at = 0;
    if (peak)
        *peak = NAN;
    if (max_lag < 1 || n < 4 * (int64_t)max_lag)
        return NAN;
    for (int lag = -max_lag; lag <= max_lag; lag++) {
        double r = correlation_at(a, b, n, max_lag, lag);
        if (isnan(r))
            return NAN;
        if (r > best) {
            best = r;
            at = lag;
            before = last;
            after = NAN;
        } else if (lag == at + 1) {
            after = r;
        }
        last = r;
    }
    if (peak)
        *peak = best;
    double curve = before - 2 * best + after;
    return isnan(curve) || curve >= 0 ? at : at + 0.5 * (before - after) / curve;
}

/* Compositor, measuring half: what the film looks like under and around the patch. Works on a grid of 64
 * cells a side, so its cost does not depend on the frame. Does not draw. */
#include <math.h>
#include <string.h>

#include "image/filter.h"
#include "image/paste_work.h"

#define GAIN_MIN 0.85f
#define GAIN_MAX 1.18f
#define RING_FROM 4.0f
#define RING_TO 14.0f
#define MIN_RING 12
#define DETAIL_LESS (-0.3)
#define DETAIL_MORE 1.0

static void clean_alpha(struct pz_paste *p, const struct pz_paste_patch *patch)
{
    int x0 = p->w, y0 = p->h, x1 = 0, y1 = 0;
    for (int y = 0; y < p->h; y++) {
        const float *s = patch->alpha + (size_t)y * p->w;
        float *d = p->alpha + (size_t)y * p->w;
        for (int x = 0; x < p->w; x++)
            d[x] = s[x] > 0 ? (s[x] < 1 ? s[x] : 1) : 0;
        if (patch->occluder) {
            const float *o = patch->occluder + (size_t)y * p->w;
            for (int x = 0; x < p->w; x++)
                d[x] *= 1 - (o[x] > 0 ? (o[x] < 1 ? o[x] : 1) : 0);
        }
        int a = 0, b = p->w;
        while (a < b && d[a] <= 0)
            a++;
        while (b > a && d[b - 1] <= 0)
            b--;
        if (a < b) {
            x0 = a < x0 ? a : x0;
            x1 = b > x1 ? b : x1;
            y0 = y < y0 ? y : y0;
            y1 = y + 1;
        }
    }
    p->box[0] = x0;
    p->box[1] = y0;
    p->box[2] = x1;
    p->box[3] = y1;
}

/** Mean of the film over one cell by point samples; false when the cell leaves the frame. */
static bool film_cell(const struct pz_paste *p, const struct pz_picture *f, const struct pz_affine *m, int x0,
                      int y0, float rgb[3])
{
    int sum = 0, n = 0;
    for (int i = 0; i < 4; i++) { /* all of the cell is in the frame when its corners are */
        float u, v;
        pz_affine_apply(m, (float)(x0 + (i & 1) * p->cell), (float)(y0 + (i >> 1) * p->cell), &u, &v);
        if (!(u >= 0 && v >= 0 && u < (float)f->width && v < (float)f->height))
            return false;
    }
    for (int j = 0; j < p->cell; j++)
        for (int i = 0; i < p->cell; i++) {
            float x = (float)(x0 + i) + 0.5f, y = (float)(y0 + j) + 0.5f;
            float u = m->a * x + m->b * y + m->c, v = m->d * x + m->e * y + m->f;
            sum += f->plane[0][(size_t)(int)v * f->stride[0] + (int)u];
            n++;
        }
    int cb = 0, cr = 0;
    for (int j = 0; j < 2; j++)
        for (int i = 0; i < 2; i++) {
            float u, v, q = 0.25f * (float)p->cell;
            pz_affine_apply(m, (float)x0 + q * (float)(1 + 2 * i), (float)y0 + q * (float)(1 + 2 * j), &u,
                            &v);
            int cx = (int)(u * 0.5f), cy = (int)(v * 0.5f);
            cb += f->plane[1][(size_t)cy * f->stride[1] + cx];
            cr += f->plane[2][(size_t)cy * f->stride[2] + cx];
        }
    float l = (float)sum / (float)n - p->color.zero[0];
    float b = (float)cb / 4 - p->color.zero[1], r = (float)cr / 4 - p->color.zero[2];
    for (int k = 0; k < 3; k++)
        rgb[k] = p->color.to_rgb[k][0] * l + p->color.to_rgb[k][1] * b + p->color.to_rgb[k][2] * r;
    return true;
}

/** Mean of the patch where it is opaque at all; returns the mean alpha of the cell. */
static float patch_cell(const struct pz_paste *p, const struct pz_rgb *rgb, int x0, int y0, float out[3])
{
    size_t n = (size_t)p->w * p->h;
    float total = 0, sum[3] = {0};
    int used = 0, all = 0;
    for (int y = y0; y < y0 + p->cell && y < p->h; y++)
        for (int x = x0; x < x0 + p->cell && x < p->w; x++) {
            size_t i = (size_t)y * p->w + x;
            all++;
            total += p->alpha[i];
            if (p->alpha[i] <= PZ_PASTE_SUPPORT)
                continue;
            used++;
            for (int k = 0; k < 3; k++) {
                float v = rgb->data[k * n + i];
                sum[k] += v >= 0 ? (v < 1 ? v : 1) : 0;
            }
        }
    for (int k = 0; k < 3; k++)
        out[k] = used ? sum[k] / (float)used : 0;
    return all ? total / (float)all : 0;
}

/** Chamfer distance in patch px to the nearest cell outside the support; the surroundings of the patch are
 * outside. */
static void low_distance(struct pz_paste *p)
{
    const float far_away = 1e6f, diag = 1.41421356f;
    int w = p->lw, h = p->lh;
    float *d = p->low_dist;
    for (int i = 0; i < w * h; i++)
        d[i] = p->low_alpha[i] > PZ_PASTE_SUPPORT ? far_away : 0;
    for (int pass = 0; pass < 2; pass++)
        for (int j = 0; j < h; j++)
            for (int i = 0; i < w; i++) {
                int x = pass ? w - 1 - i : i, y = pass ? h - 1 - j : j, s = pass ? 1 : -1;
                bool row = y + s >= 0 && y + s < h;
                float *c = d + (size_t)y * w + x, *o = c + s * w, v = *c;
                float side = x + s >= 0 && x + s < w ? c[s] : 0, over = row ? o[0] : 0;
                float near = row && x + s >= 0 && x + s < w ? o[s] : 0;
                float far = row && x - s >= 0 && x - s < w ? o[-s] : 0;
                v = fminf(v, fminf(side, over) + 1);
                *c = fminf(v, fminf(near, far) + diag);
            }
    for (int i = 0; i < w * h; i++)
        d[i] = fmaxf(0, d[i] - 0.5f) * (float)p->cell;
}

bool pz_paste_look(struct pz_paste *p, const struct pz_picture *frame, const struct pz_paste_patch *patch)
{
    clean_alpha(p, patch);
    if (p->box[2] <= p->box[0])
        return false;
    p->color = pz_color_of(frame->matrix, frame->full_range);
    for (int y = 0; y < p->lh; y++)
        for (int x = 0; x < p->lw; x++) {
            float a[3], b[3];
            size_t i = (size_t)y * p->lw + x;
            p->low_alpha[i] = patch_cell(p, patch->rgb, x * p->cell, y * p->cell, a);
            bool seen = p->low_alpha[i] > PZ_PASTE_SUPPORT &&
                        film_cell(p, frame, &patch->to_frame, x * p->cell, y * p->cell, b);
            p->low_weight[i] = seen ? p->low_alpha[i] : 0;
            for (int k = 0; k < 3; k++) {
                p->low_p[k][i] = a[k];
                p->low_f[k][i] = seen ? b[k] : 0;
            }
        }
    low_distance(p);
    return true;
}

static bool in_ring(const struct pz_paste *p, int i)
{
    return p->low_dist[i] >= RING_FROM * p->unit && p->low_dist[i] <= RING_TO * p->unit &&
           p->low_weight[i] > 0;
}

/** Median of film − gain·patch − offset (`centre` 0) or of its distance from that median, over the ring. */
static float ring_median(const struct pz_paste *p, int k, float gain, float offset, bool spread)
{
    enum { BINS = 1024 };
    uint16_t bin[BINS] = {0};
    int n = 0, half = 0, i = 0;
    for (int c = 0; c < p->lw * p->lh; c++) {
        if (!in_ring(p, c))
            continue;
        float r = p->low_f[k][c] - gain * p->low_p[k][c] - offset;
        float v = ((spread ? fabsf(r) : r) + 1) * (BINS / 2);
        bin[v > 0 ? (v < BINS - 1 ? (int)v : BINS - 1) : 0]++;
        n++;
    }
    for (; i < BINS - 1 && 2 * (half + bin[i]) < n; i++)
        half += bin[i];
    return ((float)i + 0.5f) / (BINS / 2) - 1;
}

/** Regression film ≈ gain·patch + offset over ring cells whose residual under the given fit is below `limit`.
 */
static int fit_channel(const struct pz_paste *p, int k, float limit, float *gain, float *offset)
{
    double n = 0, mx = 0, my = 0, sxx = 0, sxy = 0;
    int cells = p->lw * p->lh;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < cells; i++) {
            if (!in_ring(p, i))
                continue;
            double x = p->low_p[k][i], y = p->low_f[k][i];
            if (fabs(*gain * x + *offset - y) > limit)
                continue;
            if (pass) {
                sxx += (x - mx) * (x - mx);
                sxy += (x - mx) * (y - my);
            } else {
                n++;
                mx += x;
                my += y;
            }
        }
        if (n < MIN_RING)
            return 0;
        if (!pass) {
            mx /= n;
            my /= n;
        }
    }
    /* A flat ring says nothing about the gain: pull it to 1 with the weight of 3 code values of variance. */
    const double prior = 3.0 / 255 * 3.0 / 255;
    double g = (sxy / n + prior) / (sxx / n + prior);
    g = g < GAIN_MIN ? GAIN_MIN : g > GAIN_MAX ? GAIN_MAX : g;
    *gain = (float)g;
    *offset = (float)(my - g * mx);
    return (int)n;
}

void pz_paste_fit_color(const struct pz_paste *p, struct pz_paste_match *m)
{
    m->n_ring = 0;
    for (int k = 0; k < 3; k++) {
        /* Start at the median shift, then regress three times without the cells that do not follow (hair,
         * background, a hand): those beyond 2.5 robust deviations. */
        float g = 1, o = ring_median(p, k, 1, 0, false);
        int n = 0;
        for (int round = 0; round < 3; round++) {
            float limit = 2.5f * 1.4826f * ring_median(p, k, g, o, true);
            n = fit_channel(p, k, fmaxf(limit, 2.0f / 255), &g, &o);
            if (n == 0)
                break;
        }
        m->gain[k] = n && p->params.color ? g : 1;
        m->offset[k] = n && p->params.color ? o : 0;
        m->n_ring = n;
    }
}

void pz_paste_to_ycc(struct pz_paste *p, const struct pz_rgb *rgb, const struct pz_paste_match *m)
{
    size_t n = (size_t)p->w * p->h;
    float c[3][3], z[3];
    for (int i = 0; i < 3; i++) { /* colour match folded into the matrix */
        z[i] = p->color.zero[i];
        for (int k = 0; k < 3; k++) {
            c[i][k] = p->color.to_ycc[i][k] * m->gain[k];
            z[i] += p->color.to_ycc[i][k] * m->offset[k];
        }
    }
    const float *r = rgb->data, *g = r + n, *b = g + n;
    float *yy = p->ycc[0], *cb = p->ycc[1], *cr = p->ycc[2];
    for (size_t i = 0; i < n; i++) {
        float u = r[i] > 0 ? r[i] : 0, v = g[i] > 0 ? g[i] : 0, w = b[i] > 0 ? b[i] : 0; /* NaN becomes 0 */
        u = u < 1 ? u : 1;
        v = v < 1 ? v : 1;
        w = w < 1 ? w : 1;
        yy[i] = c[0][0] * u + c[0][1] * v + c[0][2] * w + z[0];
        cb[i] = c[1][0] * u + c[1][1] * v + c[1][2] * w + z[1];
        cr[i] = c[2][0] * u + c[2][1] * v + c[2][2] * w + z[2];
    }
    memset(p->high, 0, n * sizeof *p->high);
    for (int y = 1; y < p->h - 1; y++) {
        const float *o = yy + (size_t)y * p->w, *a = o - p->w, *d = o + p->w;
        float *hi = p->high + (size_t)y * p->w;
        for (int x = 1; x < p->w - 1; x++)
            hi[x] = o[x] - (a[x - 1] + a[x + 1] + d[x - 1] + d[x + 1] +
                            2 * (a[x] + d[x] + o[x - 1] + o[x + 1]) + 4 * o[x]) *
                               (1.0f / 16);
    }
}

typedef float v4 __attribute__((vector_size(16)));

/** Catmull-Rom samples of luma and high band at one point at least 2 px inside. */
static void sample_two(const struct pz_paste *p, float u, float v, float out[2])
{
    const v4 c0 = {0, 1, 0, 0}, c1 = {-0.5f, 0, 0.5f, 0}, c2 = {1, -2.5f, 2, -0.5f},
             c3 = {-0.5f, 1.5f, -1.5f, 0.5f};
    int ix = (int)(u - 0.5f), iy = (int)(v - 0.5f);
    float tx = u - 0.5f - (float)ix, ty = v - 0.5f - (float)iy;
    v4 wx = c0 + tx * (c1 + tx * (c2 + tx * c3)), wy = c0 + ty * (c1 + ty * (c2 + ty * c3));
    v4 s = {0, 0, 0, 0}, t = s;
    for (int j = 0; j < 4; j++) {
        v4 a, b;
        size_t i = (size_t)(iy - 1 + j) * p->w + (ix - 1);
        memcpy(&a, p->ycc[0] + i, sizeof a);
        memcpy(&b, p->high + i, sizeof b);
        s += wy[j] * a;
        t += wy[j] * b;
    }
    s *= wx;
    t *= wx;
    out[0] = s[0] + s[1] + s[2] + s[3];
    out[1] = t[0] + t[1] + t[2] + t[3];
}

static void responses(float g[3][3], float *lap, float *imm)
{
    float cross = g[0][1] + g[1][0] + g[1][2] + g[2][1], corner = g[0][0] + g[0][2] + g[2][0] + g[2][2];
    *lap = cross - 4 * g[1][1];
    *imm = corner - 2 * cross + 4 * g[1][1];
}

static void take_sample(const struct pz_paste *p, const struct pz_picture *f, int x, int y,
                        struct pz_paste_sample *s)
{
    float g[3][3][3];
    for (int j = 0; j < 3; j++)
        for (int i = 0; i < 3; i++) {
            float u, v, both[2];
            pz_affine_apply(&p->to_patch, (float)(x + i) - 0.5f, (float)(y + j) - 0.5f, &u, &v);
            sample_two(p, u, v, both);
            g[0][j][i] = f->plane[0][(size_t)(y + j - 1) * f->stride[0] + (x + i - 1)];
            g[1][j][i] = both[0];
            g[2][j][i] = both[1];
        }
    for (int k = 0; k < 3; k++)
        responses(g[k], &s->lap[k], &s->imm[k]);
}

/** Frame box of the patch's opaque part, clipped to pixels whose neighbours exist. */
static void frame_box(const struct pz_paste *p, const struct pz_picture *f, const struct pz_affine *m,
                      int box[4])
{
    float lo[2] = {1e9f, 1e9f}, hi[2] = {-1e9f, -1e9f};
    for (int i = 0; i < 4; i++) {
        float q[2];
        pz_affine_apply(m, (float)p->box[i & 1 ? 2 : 0], (float)p->box[i & 2 ? 3 : 1], &q[0], &q[1]);
        for (int k = 0; k < 2; k++) {
            lo[k] = fminf(lo[k], q[k]);
            hi[k] = fmaxf(hi[k], q[k]);
        }
    }
    box[0] = (int)fminf(fmaxf(lo[0], 1), (float)f->width);
    box[1] = (int)fminf(fmaxf(lo[1], 1), (float)f->height);
    box[2] = (int)fmaxf(fminf(hi[0], (float)(f->width - 1)), 0);
    box[3] = (int)fmaxf(fminf(hi[1], (float)(f->height - 1)), 0);
}

static int gather(struct pz_paste *p, const struct pz_picture *f, const struct pz_affine *m)
{
    int box[4], n = 0;
    frame_box(p, f, m, box);
    double area = (double)(box[2] - box[0]) * (box[3] - box[1]);
    if (box[2] <= box[0] || box[3] <= box[1])
        return 0;
    int step = (int)fmax(1, ceil(sqrt(area / PZ_PASTE_SAMPLES)));
    float ring = RING_TO * 2 * p->unit, least = 8 * p->unit, edge = 3 + 2 / pz_affine_scale(m);
    for (int y = box[1]; y < box[3]; y += step)
        for (int x = box[0] + (y / step & 1) * (step / 2); x < box[2] && n < PZ_PASTE_SAMPLES; x += step) {
            float u, v;
            pz_affine_apply(&p->to_patch, (float)x + 0.5f, (float)y + 0.5f, &u, &v);
            if (!(u > edge && v > edge && u < (float)p->w - edge && v < (float)p->h - edge))
                continue;
            size_t i = (size_t)((int)v / p->cell) * p->lw + (int)u / p->cell;
            if (p->low_dist[i] < least || p->low_weight[i] < 0.9f)
                continue;
            take_sample(p, f, x, y, &p->sample[n]);
            p->sample[n++].ring = p->low_dist[i] < ring;
        }
    return n;
}

/** Trimmed noise estimate of responses a + k·b over ring points (all points when the ring has few). */
static float noise_of(const struct pz_paste_sample *s, int n, int a, float k, bool ring_only)
{
    enum { BINS = 1024 };
    uint16_t bin[BINS] = {0};
    int count = 0, seen = 0;
    double sum = 0;
    for (int i = 0; i < n; i++) {
        if (ring_only && !s[i].ring)
            continue;
        float v = fabsf(s[i].imm[a] + k * s[i].imm[2]) * 8;
        bin[v < BINS - 1 ? (int)v : BINS - 1]++;
        count++;
    }
    int keep = count - count / 5;
    for (int i = 0; i < BINS && seen < keep; i++) {
        int c = bin[i] < keep - seen ? bin[i] : keep - seen;
        sum += c * (i + 0.5) / 8;
        seen += c;
    }
    return keep ? (float)(sum / keep / 0.5586 / 6) : 0; /* see pz_noise_sigma() */
}

void pz_paste_fit_texture(struct pz_paste *p, const struct pz_picture *frame,
                          const struct pz_paste_patch *patch, struct pz_paste_match *m)
{
    m->detail = 1;
    m->grain = 0;
    int n = gather(p, frame, &patch->to_frame), ring = 0;
    if (n < 64)
        return;
    double ff = 0, pp = 0, ph = 0, hh = 0;
    for (int i = 0; i < n; i++) {
        const float *l = p->sample[i].lap;
        ring += p->sample[i].ring;
        ff += (double)l[0] * l[0];
        pp += (double)l[1] * l[1];
        ph += (double)l[1] * l[2];
        hh += (double)l[2] * l[2];
    }
    bool ring_only = ring >= 64;
    float film = noise_of(p->sample, n, 0, 0, ring_only), own = noise_of(p->sample, n, 1, 0, ring_only);
    if (p->params.detail && hh > 1e-9) {
        /* Laplacian energy of patch + k·high band shall equal the film's, each without its noise (20σ² a
         * sample). */
        double fe = ff / n - 20.0 * film * film, pe = pp / n - 20.0 * own * own;
        double b = ph / n, a = hh / n, disc = b * b - a * (pe - fe);
        double k = fe > 0 && pe > 0 ? (disc > 0 ? (-b + sqrt(disc)) / a : -b / a) : 0;
        m->detail = (float)(1 + (k < DETAIL_LESS ? DETAIL_LESS : k > DETAIL_MORE ? DETAIL_MORE : k));
    }
    if (p->params.grain) {
        own = noise_of(p->sample, n, 1, m->detail - 1, ring_only);
        float lack =
            film * film - own * own - 1.0f / 12; /* rounding to bytes brings the last part by itself */
        m->grain = lack > 0 ? fminf(sqrtf(lack), 4) : 0;
    }
}

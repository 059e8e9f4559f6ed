/* Compositor, drawing half: state, two-band blend at patch resolution, one Catmull-Rom warp into the frame's
 * planes.
 *
 * With a_h the high band's opacity and a_l ≤ a_h the low band's, the result is
 *   F + a_l (L_p − L_f) + a_h (H_p − H_f)  =  (1 − a_h) F + [ a_h P + (a_l − a_h)(L_p − L_f) ],
 * so one premultiplied image (the bracket) and one opacity are warped, and the frame is read and written
 * once. Does not find occluders and does not decide where a mask lies. */
#include "image/paste.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "image/filter.h"
#include "image/paste_work.h"

#define LOW_SIGMA 6.0f      /* px at 256: what counts as the low band */
#define FINEST (1.0f / 512) /* opacity below which a pixel is left alone: it could not change a byte */
#define JUMP 0.03f          /* change of mid grey that is followed at once (a cut, a flash) */
#define MIN_SIDE 16
#define MAX_SIDE 1024

typedef float v4 __attribute__((vector_size(16)));

enum pz_status pz_paste_create(const struct pz_paste_params *params, struct pz_paste **paste)
{
    *paste = NULL;
    if (!(params->smoothing >= 0 && params->smoothing < 1) || !(params->low_feather >= 1) ||
        !(params->high_feather >= 1) || params->low_feather > 128 || params->high_feather > 128)
        return PZ_ERR_USAGE;
    struct pz_paste *p = pz_calloc(1, sizeof *p);
    if (!p)
        return PZ_ERR_NOMEM;
    p->params = *params;
    p->noise = pz_calloc((size_t)PZ_PASTE_NOISE * PZ_PASTE_NOISE, sizeof *p->noise);
    p->sample = pz_calloc(PZ_PASTE_SAMPLES, sizeof *p->sample);
    if (!p->noise || !p->sample) {
        pz_paste_destroy(&p);
        return PZ_ERR_NOMEM;
    }
    const int n = PZ_PASTE_NOISE;
    struct pz_rng rng;
    pz_rng_init(&rng, params->seed, 0x67726169); /* stream "grai" */
    for (int i = 0; i < n * n; i++)
        p->noise[i] = pz_rng_normal(&rng);
    double s = pz_noise_sigma(p->noise, n, n, n);
    for (int i = 0; i < n * n; i++)
        p->noise[i] = (float)(p->noise[i] / s);
    *paste = p;
    return PZ_OK;
}

void pz_paste_destroy(struct pz_paste **paste)
{
    if (!paste || !*paste)
        return;
    pz_free((*paste)->block);
    pz_free((*paste)->noise);
    pz_free((*paste)->sample);
    pz_free(*paste);
    *paste = NULL;
}

void pz_paste_reset(struct pz_paste *paste)
{
    paste->primed = false;
}

/** Lay out the buffers for a patch size; nothing happens when it is the planned one. */
static enum pz_status plan(struct pz_paste *p, int w, int h)
{
    if (p->block && p->w == w && p->h == h)
        return PZ_OK;
    int longest = w > h ? w : h, cell = longest / 64 > 1 ? longest / 64 : 1;
    int lw = (w + cell - 1) / cell, lh = (h + cell - 1) / cell, pw = w + 2 * PZ_PASTE_PAD,
        ph = h + 2 * PZ_PASTE_PAD;
    size_t n = (size_t)w * h, low = (size_t)lw * lh, padded = (size_t)pw * ph;
    n = (n + 15) & ~(size_t)15;
    low = (low + 15) & ~(size_t)15;
    padded = (padded + 15) & ~(size_t)15;
    size_t total = 5 * n + 13 * low + 6 * padded + (size_t)4 * (lw + 16) + (size_t)8 * pw;
    float *b = pz_calloc(total, sizeof *b);
    if (!b)
        return PZ_ERR_NOMEM;
    pz_free(p->block);
    p->block = b;
    p->w = w;
    p->h = h;
    p->cell = cell;
    p->lw = lw;
    p->lh = lh;
    p->unit = (float)longest / 256;
    p->luma = b; /* first, so that they stay aligned to 64 bytes */
    p->chroma = (b += 2 * padded);
    p->line = (b += 4 * padded);
    p->alpha = (b += (size_t)8 * pw);
    for (int k = 0; k < 3; k++)
        p->ycc[k] = (b += n);
    p->high = (b += n);
    p->low_alpha = (b += n);
    p->low_weight = (b += low);
    p->low_dist = (b += low);
    p->low_scratch = (b += low);
    for (int k = 0; k < 3; k++) {
        p->low_p[k] = (b += low);
        p->low_f[k] = (b += low);
        p->low_d[k] = (b += low);
    }
    p->row = b + low;
    return PZ_OK;
}

static enum pz_status begin(struct pz_paste *p, const struct pz_picture *frame,
                            const struct pz_paste_patch *patch, bool *any)
{
    int w = patch->rgb->width, h = patch->rgb->height;
    float s = pz_affine_scale(&patch->to_frame);
    *any = false;
    if (w < MIN_SIDE || h < MIN_SIDE || w > MAX_SIDE || h > MAX_SIDE || !patch->alpha || frame->width < 4 ||
        frame->height < 4 || !(s > 1e-3f && s < 1e3f))
        return PZ_ERR_USAGE;
    enum pz_status st = pz_affine_invert(&patch->to_frame, &p->to_patch);
    if (st < PZ_OK)
        return st;
    st = plan(p, w, h);
    if (st < PZ_OK)
        return st;
    *any = pz_paste_look(p, frame, patch);
    return PZ_OK;
}

static struct pz_paste_match identity_match(void)
{
    return (struct pz_paste_match){.gain = {1, 1, 1}, .detail = 1};
}

/** Texture under a given colour match; fills ycc for it. */
static void measure_texture(struct pz_paste *p, const struct pz_picture *frame,
                            const struct pz_paste_patch *patch, struct pz_paste_match *m)
{
    m->detail = 1;
    m->grain = 0;
    pz_paste_to_ycc(p, patch->rgb, m);
    if (p->params.detail || p->params.grain)
        pz_paste_fit_texture(p, frame, patch, m);
}

enum pz_status pz_paste_measure(struct pz_paste *p, const struct pz_picture *frame,
                                const struct pz_paste_patch *patch, struct pz_paste_match *match)
{
    bool any;
    *match = identity_match();
    enum pz_status st = begin(p, frame, patch, &any);
    if (st == PZ_OK && any) {
        pz_paste_fit_color(p, match);
        measure_texture(p, frame, patch, match);
    }
    return st;
}

void pz_paste_match_smooth(struct pz_paste_match *match, int n, float sigma)
{
    enum { REACH = 24 };
    struct pz_paste_match past[REACH]; /* originals of matches already overwritten */
    int reach = (int)fminf(ceilf(3 * sigma), REACH);
    if (!(sigma > 0))
        return;
    for (int t = 0; t < n; t++) {
        double sum[8] = {0}, weight = 0;
        struct pz_paste_match own = match[t];
        for (int d = -reach; d <= reach; d++) {
            if (t + d < 0 || t + d >= n)
                continue;
            const struct pz_paste_match *o = d < 0 ? &past[(t + d) % REACH] : &match[t + d];
            double w = exp(-0.5 * d * d / (sigma * sigma)) * o->n_ring;
            weight += w;
            for (int k = 0; k < 3; k++) {
                sum[k] += w * o->gain[k];
                sum[3 + k] += w * o->offset[k];
            }
            sum[6] += w * o->detail;
            sum[7] += w * o->grain;
        }
        past[t % REACH] = own;
        if (!(weight > 0))
            continue;
        for (int k = 0; k < 3; k++) {
            match[t].gain[k] = (float)(sum[k] / weight);
            match[t].offset[k] = (float)(sum[3 + k] / weight);
        }
        match[t].detail = (float)(sum[6] / weight);
        match[t].grain = (float)(sum[7] / weight);
    }
}

/** Move the running match towards a new measurement; large steps of light are taken whole. */
static void follow_color(struct pz_paste *p, const struct pz_paste_match *m)
{
    struct pz_paste_match *r = &p->running;
    float jump = 0;
    if (!p->primed) {
        *r = *m;
        return;
    }
    if (m->n_ring == 0)
        return;
    for (int k = 0; k < 3; k++)
        jump = fmaxf(jump, fabsf(0.5f * (m->gain[k] - r->gain[k]) + m->offset[k] - r->offset[k]));
    float c = jump > JUMP ? 0 : p->params.smoothing;
    for (int k = 0; k < 3; k++) {
        r->gain[k] = c * r->gain[k] + (1 - c) * m->gain[k];
        r->offset[k] = c * r->offset[k] + (1 - c) * m->offset[k];
    }
    r->n_ring = m->n_ring;
}

/** The same for texture, which changes with the mouth: twice as slow. */
static void follow_texture(struct pz_paste *p, const struct pz_paste_match *m)
{
    struct pz_paste_match *r = &p->running;
    float c = p->primed ? 1 - 0.5f * (1 - p->params.smoothing) : 0;
    r->detail = c * r->detail + (1 - c) * m->detail;
    r->grain = c * r->grain + (1 - c) * m->grain;
    p->primed = p->primed || r->n_ring > 0;
}

/** L_p − L_f in code values: difference of the cells, blurred with their weights, filled in where there is
 * none. */
static void low_difference(struct pz_paste *p, const struct pz_paste_match *m)
{
    int n = p->lw * p->lh;
    for (int i = 0; i < n; i++) {
        float d[3], w = p->low_weight[i];
        for (int k = 0; k < 3; k++)
            d[k] = m->gain[k] * p->low_p[k][i] + m->offset[k] - p->low_f[k][i];
        for (int k = 0; k < 3; k++)
            p->low_d[k][i] = w * (p->color.to_ycc[k][0] * d[0] + p->color.to_ycc[k][1] * d[1] +
                                  p->color.to_ycc[k][2] * d[2]);
    }
    float sigma = LOW_SIGMA * p->unit / (float)p->cell;
    for (int k = 0; k < 3; k++)
        pz_blur_gaussian(p->low_d[k], p->low_scratch, p->lw, p->lh, sigma);
    memcpy(p->low_f[0], p->low_weight,
           (size_t)n * sizeof(float)); /* the film means are not needed any more */
    pz_blur_gaussian(p->low_f[0], p->low_scratch, p->lw, p->lh, sigma);
    for (int i = 0; i < n; i++) {
        float w = p->low_f[0][i] > 1e-4f ? 1 / p->low_f[0][i] : 0;
        for (int k = 0; k < 3; k++)
            p->low_d[k][i] *= w;
    }
}

/** The four low planes (distance, three differences) on one patch row, still at cell spacing. */
static void low_row(struct pz_paste *p, int y)
{
    float v = ((float)y + 0.5f) / (float)p->cell - 0.5f;
    int j = (int)floorf(v), j0 = j < 0 ? 0 : j, j1 = j + 1 >= p->lh ? p->lh - 1 : j + 1;
    float t = v - (float)j;
    const float *src[4] = {p->low_dist, p->low_d[0], p->low_d[1], p->low_d[2]};
    for (int k = 0; k < 4; k++) {
        const float *a = src[k] + (size_t)j0 * p->lw, *b = src[k] + (size_t)j1 * p->lw;
        for (int x = 0; x < p->lw; x++)
            p->row[4 * x + k] = a[x] + t * (b[x] - a[x]);
    }
}

/** pz_smoothstep() where the compiler can see it. */
static inline float fade(float t)
{
    t = t > 0 ? t : 0;
    t = t < 1 ? t : 1;
    return t * t * (3 - 2 * t);
}

/** Build the premultiplied images of one row. */
static void premultiply_row(struct pz_paste *p, int y, float boost, float mix)
{
    int pw = p->w + 2 * PZ_PASTE_PAD;
    size_t out = (size_t)(y + PZ_PASTE_PAD) * pw + PZ_PASTE_PAD, in = (size_t)y * p->w;
    float inv_cell = 1 / (float)p->cell, inv_lo = 1 / (p->params.low_feather * p->unit),
          inv_hi = 1 / (p->params.high_feather * p->unit);
    low_row(p, y);
    for (int x = 0; x < p->w; x++) {
        float al = p->alpha[in + x], u = ((float)x + 0.5f) * inv_cell - 0.5f;
        float *l = p->luma + 2 * (out + x), *c = p->chroma + 4 * (out + x);
        if (al <= 0) {
            l[0] = l[1] = c[0] = c[1] = c[2] = c[3] = 0;
            continue;
        }
        int i = (int)(u + 1) - 1, i0 = i < 0 ? 0 : i, i1 = i + 1 >= p->lw ? p->lw - 1 : i + 1;
        v4 a, b;
        memcpy(&a, p->row + 4 * i0, sizeof a);
        memcpy(&b, p->row + 4 * i1, sizeof b);
        a += (u - (float)i) * (b - a);
        float ramp = fade(a[0] * inv_hi), hi = al < ramp ? al : ramp, keep = hi * (fade(a[0] * inv_lo) - 1);
        float luma = p->ycc[0][in + x] + boost * hi * p->high[in + x];
        hi *= mix;
        keep *= mix;
        l[0] = hi * luma + keep * a[1];
        l[1] = c[2] = hi;
        c[0] = hi * p->ycc[1][in + x] + keep * a[2];
        c[1] = hi * p->ycc[2][in + x] + keep * a[3];
        c[3] = 0;
    }
}

/** One [1 2 1]² pass over `n` floats a pixel of a padded image, in place, over the support plus a pixel. */
static void binomial(struct pz_paste *p, float *image, int n)
{
    int pw = p->w + 2 * PZ_PASTE_PAD, row = pw * n, y0 = p->box[1] + PZ_PASTE_PAD - 2,
        y1 = p->box[3] + PZ_PASTE_PAD + 2;
    float *above = p->line, *cur = p->line + (size_t)4 * pw;
    memcpy(above, image + (size_t)(y0 - 1) * row, (size_t)row * sizeof(float));
    for (int y = y0; y < y1; y++) {
        float *d = image + (size_t)y * row;
        const float *below = d + row;
        memcpy(cur, d, (size_t)row * sizeof(float));
        for (int i = 0; i < row; i++)
            d[i] = 0.25f * (above[i] + 2 * cur[i] + below[i]);
        memcpy(above, d, (size_t)row * sizeof(float)); /* horizontal pass from a copy of the vertical one */
        for (int i = n; i < row - n; i++)
            d[i] = 0.25f * (above[i - n] + 2 * above[i] + above[i + n]);
        float *swap = above;
        above = cur;
        cur = swap;
    }
}

/** Columns [x0, x1) of one output row that may see the support. u = a·x + c, v = d·x + f along the row. */
static void columns(const struct pz_paste *p, float a, float c, float d, float f, int width, int *x0, int *x1)
{
    float lo = 0, hi = (float)width;
    const float k[2] = {a, d}, o[2] = {c, f};
    for (int i = 0; i < 2; i++) {
        float from = (float)p->box[i] - 1.5f, to = (float)p->box[i + 2] + 1.5f;
        if (fabsf(k[i]) < 1e-9f) {
            if (o[i] < from || o[i] > to)
                hi = lo;
            continue;
        }
        float s = (from - o[i]) / k[i], t = (to - o[i]) / k[i];
        lo = fmaxf(lo, fminf(s, t));
        hi = fminf(hi, fmaxf(s, t));
    }
    *x0 = lo < hi ? (int)ceilf(lo) : 0;
    *x1 = lo < hi ? (int)floorf(hi) + 1 : 0;
    if (*x1 > width)
        *x1 = width;
}

static inline uint8_t to_byte(float v)
{
    return v > 0 ? (uint8_t)(v < 255 ? v + 0.5f : 255) : 0;
}

static void weights(float t, v4 *w)
{
    const v4 c0 = {0, 1, 0, 0}, c1 = {-0.5f, 0, 0.5f, 0}, c2 = {1, -2.5f, 2, -0.5f},
             c3 = {-0.5f, 1.5f, -1.5f, 0.5f};
    *w = c0 + t * (c1 + t * (c2 + t * c3));
}

/** Position of a sample in a padded image: u, v patch px. */
static inline size_t locate(const struct pz_paste *p, float u, float v, float *tx, float *ty)
{
    float x = u + (PZ_PASTE_PAD - 0.5f), y = v + (PZ_PASTE_PAD - 0.5f);
    int ix = (int)x, iy = (int)y; /* both > 0 within columns() */
    *tx = x - (float)ix;
    *ty = y - (float)iy;
    return (size_t)(iy - 1) * (size_t)(p->w + 2 * PZ_PASTE_PAD) + (size_t)(ix - 1);
}

static void luma_row(const struct pz_paste *p, uint8_t *dst, int width, int y, float grain, int64_t shift)
{
    const struct pz_affine *m = &p->to_patch;
    float c = m->b * ((float)y + 0.5f) + m->c + 0.5f * m->a,
          f = m->e * ((float)y + 0.5f) + m->f + 0.5f * m->d;
    int x0, x1, pw = p->w + 2 * PZ_PASTE_PAD, side = PZ_PASTE_NOISE - 1;
    columns(p, m->a, c, m->d, f, width, &x0, &x1);
    const float *noise = p->noise + (size_t)((y + (shift >> 8)) & side) * PZ_PASTE_NOISE;
    for (int x = x0; x < x1; x++) {
        float tx, ty;
        const float *s = p->luma + 2 * locate(p, m->a * (float)x + c, m->d * (float)x + f, &tx, &ty);
        v4 wx, wy, lo = {0, 0, 0, 0}, hi = lo, a, b;
        weights(ty, &wy);
        for (int j = 0; j < 4; j++, s += 2 * pw) {
            memcpy(&a, s, sizeof a);
            memcpy(&b, s + 4, sizeof b);
            lo += wy[j] * a;
            hi += wy[j] * b;
        }
        weights(tx, &wx);
        /* Pairs (value, alpha) of the four columns: weight them, then add the halves. */
        lo = lo * __builtin_shufflevector(wx, wx, 0, 0, 1, 1) +
             hi * __builtin_shufflevector(wx, wx, 2, 2, 3, 3);
        lo += __builtin_shufflevector(lo, lo, 2, 3, 0, 1);
        float q = lo[0], alpha = lo[1];
        if (alpha <= FINEST)
            continue;
        if (alpha > 1) { /* overshoot of the kernel at a hard edge */
            q /= alpha;
            alpha = 1;
        }
        dst[x] = to_byte((1 - alpha) * dst[x] + q + alpha * grain * noise[(x + shift) & side]);
    }
}

static void chroma_row(const struct pz_paste *p, uint8_t *cb, uint8_t *cr, int width, int y)
{
    const struct pz_affine *m = &p->to_patch;
    /* Chroma sample (i, j) lies at luma px (2i + ½, 2j + 1). */
    float ly = 2 * (float)y + 1, a = 2 * m->a, d = 2 * m->d;
    float c = m->b * ly + m->c + 0.5f * m->a, f = m->e * ly + m->f + 0.5f * m->d;
    int x0, x1, pw = p->w + 2 * PZ_PASTE_PAD;
    columns(p, a, c, d, f, width, &x0, &x1);
    for (int x = x0; x < x1; x++) {
        float tx, ty;
        const float *s = p->chroma + 4 * locate(p, a * (float)x + c, d * (float)x + f, &tx, &ty);
        v4 wx, wy, sum = {0, 0, 0, 0};
        weights(tx, &wx);
        weights(ty, &wy);
        for (int j = 0; j < 4; j++, s += 4 * pw) {
            v4 t[4];
            memcpy(t, s, sizeof t);
            sum += wy[j] * (wx[0] * t[0] + wx[1] * t[1] + wx[2] * t[2] + wx[3] * t[3]);
        }
        if (sum[2] <= FINEST)
            continue;
        if (sum[2] > 1)
            sum /= sum[2];
        cb[x] = to_byte((1 - sum[2]) * cb[x] + sum[0]);
        cr[x] = to_byte((1 - sum[2]) * cr[x] + sum[1]);
    }
}

/** Rows of the frame that the support can reach. */
static void rows(const struct pz_paste *p, const struct pz_affine *m, int height, int *y0, int *y1)
{
    float lo = 1e9f, hi = -1e9f;
    for (int i = 0; i < 4; i++) {
        float x, y;
        pz_affine_apply(m, (float)p->box[i & 1 ? 2 : 0] + (i & 1 ? 2.0f : -2.0f),
                        (float)p->box[i & 2 ? 3 : 1] + (i & 2 ? 2.0f : -2.0f), &x, &y);
        lo = fminf(lo, y);
        hi = fmaxf(hi, y);
    }
    *y0 = (int)fminf(fmaxf(lo - 1, 0), (float)height);
    *y1 = (int)fmaxf(fminf(hi + 2, (float)height), 0);
}

static int prefilter_passes(float step)
{
    long n = lroundf(0.5f * (step * step - 1)); /* each pass adds ½ px² of variance; wanted ¼ (step² − 1) */
    return n < 0 ? 0 : n > 12 ? 12 : (int)n;
}

static void compose(struct pz_paste *p, struct pz_picture *frame, const struct pz_paste_patch *patch,
                    const struct pz_paste_match *m, float mix, int64_t index)
{
    float scale = pz_affine_scale(&patch->to_frame);
    int y0, y1, cw = (frame->width + 1) / 2;
    low_difference(p, m);
    size_t padded = (size_t)(p->w + 2 * PZ_PASTE_PAD) * (p->h + 2 * PZ_PASTE_PAD);
    memset(p->luma, 0, 2 * padded * sizeof(float));
    memset(p->chroma, 0, 4 * padded * sizeof(float));
    for (int y = p->box[1]; y < p->box[3]; y++)
        premultiply_row(p, y, m->detail - 1, mix);
    for (int i = prefilter_passes(1 / scale); i > 0; i--)
        binomial(p, p->luma, 2);
    for (int i = prefilter_passes(2 / scale); i > 0; i--)
        binomial(p, p->chroma, 4);
    struct pz_rng rng;
    pz_rng_init(&rng, p->params.seed, (uint64_t)index);
    int64_t shift = pz_rng_u32(&rng) & 0xffff;
    rows(p, &patch->to_frame, frame->height, &y0, &y1);
    for (int y = y0; y < y1; y++)
        luma_row(p, frame->plane[0] + (size_t)y * frame->stride[0], frame->width, y, m->grain, shift);
    for (int y = y0 / 2; y < (y1 + 1) / 2; y++)
        chroma_row(p, frame->plane[1] + (size_t)y * frame->stride[1],
                   frame->plane[2] + (size_t)y * frame->stride[2], cw, y);
}

enum pz_status pz_paste_draw(struct pz_paste *p, struct pz_picture *frame, const struct pz_paste_patch *patch,
                             const struct pz_paste_match *match, float mix, int64_t index,
                             struct pz_paste_match *used)
{
    bool any;
    struct pz_paste_match m = identity_match();
    if (used)
        *used = m;
    enum pz_status st = begin(p, frame, patch, &any);
    if (st < PZ_OK || !any)
        return st;
    if (match) {
        m = *match;
        pz_paste_to_ycc(p, patch->rgb, &m);
    } else {
        pz_paste_fit_color(p, &m);
        follow_color(p, &m);
        m = p->running;
        measure_texture(p, frame, patch, &m);
        follow_texture(p, &m);
        m = p->running;
    }
    if (used)
        *used = m;
    if (!(mix > 0))
        return PZ_OK;
    compose(p, frame, patch, &m, mix < 1 ? mix : 1, index);
    return PZ_OK;
}

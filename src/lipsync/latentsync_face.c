/* LatentSync's geometry: three points, similarity, crop, mask, patch. Knows no network and no film. */
#include "lipsync/latentsync_face.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "image/resample.h"
#include "image/warp.h"

#define BAND 35 /* rows of the crop that a task warps */
#define MAX_BANDS 40

struct pz_latentsync_cutter {
    int size, w, h;
    struct pz_resample *squash, *unsquash;
    struct pz_rgb crop; /* [3][h][w] */
    struct pz_rgb band[MAX_BANDS];
    int n_bands;
    size_t room;                           /* floats of the larger of both pictures */
    float *plane, *scratch, *keep, *alpha; /* [3][room], [3][2·room] */
};

/* Places on the mean face (head space): brows as 68-point sets mark them, ridge and base of the nose. */
static const float places[PZ_LATENTSYNC_POINTS][2] = {
    {-.643f, .173f},  {-.578f, .250f}, {-.472f, .297f}, {-.332f, .302f}, {-.169f, .288f},
    {.169f, .288f},   {.332f, .302f},  {.472f, .297f},  {.578f, .250f},  {.643f, .173f},
    {0, .076f},       {0, -.081f},     {0, -.225f},     {0, -.319f},     {-.147f, -.447f},
    {-.087f, -.485f}, {0, -.486f},     {.087f, -.485f}, {.147f, -.447f}};

void pz_latentsync_points_init(struct pz_latentsync_points *p, const struct pz_face_topology *t)
{
    for (int k = 0; k < PZ_LATENTSYNC_POINTS; k++) {
        float nearest = INFINITY;
        p->index[k] = k < 10 ? t->eye_outer[k >= 5] : t->nose_tip;
        if (!t->mean)
            continue;
        for (int i = 0; i < t->n_points; i++) {
            float d = hypotf(t->mean[i][0] - places[k][0], t->mean[i][1] - places[k][1]);
            if (d < nearest) {
                nearest = d;
                p->index[k] = i;
            }
        }
    }
}

void pz_latentsync_points_of(const struct pz_latentsync_points *p, const struct pz_face *f, float point[3][2])
{
    static const int from[4] = {0, 5, 10, PZ_LATENTSYNC_POINTS};
    for (int i = 0; i < 3; i++) {
        float x = 0, y = 0, n = (float)(from[i + 1] - from[i]);
        for (int k = from[i]; k < from[i + 1]; k++) {
            x += f->xyz[p->index[k]][0];
            y += f->xyz[p->index[k]][1];
        }
        point[i][0] = x / n - 0.5f;
        point[i][1] = y / n - 0.5f;
    }
}

void pz_latentsync_crop_size(int size, int *w, int *h)
{
    *w = size * 2100 / 2560;
    *h = size * 2800 / 2560;
}

/* Centre, and deviation of the six coordinates around it as the published code counts it. */
static double centre(const double p[3][2], double c[2])
{
    double sum = 0;
    for (int k = 0; k < 2; k++)
        c[k] = (p[0][k] + p[1][k] + p[2][k]) / 3;
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 2; k++)
            sum += (p[i][k] - c[k]) * (p[i][k] - c[k]);
    return sqrt(sum / 5);
}

struct pz_affine pz_latentsync_similarity(const float point[3][2], int size, double old,
                                          struct pz_latentsync_bias *bias)
{
    double rho = 2.8 * size / 256, p[3][2], q[3][2] = {{17, 20}, {58, 20}, {37.5, 40}}, cp[2], cq[2];
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 2; k++) {
            p[i][k] = point[i][k];
            q[i][k] *= rho;
        }
    double sp = centre(p, cp), sq = centre(q, cq), along = 0, across = 0;
    if (!(sp > 1e-6))
        return (struct pz_affine){1, 0, 0, 0, 1, 0};
    for (int i = 0; i < 3; i++) {
        double px = p[i][0] - cp[0], py = p[i][1] - cp[1], qx = q[i][0] - cq[0], qy = q[i][1] - cq[1];
        along += px * qx + py * qy;
        across += px * qy - py * qx;
    }
    // The rotation an SVD would give: in the plane it is the angle of the cross-covariance.
    double turn = atan2(across, along), c = cos(turn) * sq / sp, s = sin(turn) * sq / sp;
    double bx = (q[2][0] - cq[0]) / sq - (p[2][0] - cp[0]) / sp;
    double by = (q[2][1] - cq[1]) / sq - (p[2][1] - cp[1]) / sp;
    if (bias->any) {
        bx = old * bias->x + (1 - old) * bx;
        by = old * bias->y + (1 - old) * by;
    }
    *bias = (struct pz_latentsync_bias){bx, by, true};
    return (struct pz_affine){(float)c, (float)-s, (float)(cq[0] - c * cp[0] + s * cp[1] + bx),
                              (float)s, (float)c,  (float)(cq[1] - s * cp[0] - c * cp[1] + by)};
}

#define CALM_GAP_S 0.5
#define CALM_OLD 0.2 /* weight of the frame before, at 25 a second */
#define PUBLISHED_FPS 25

void pz_latentsync_calm_init(struct pz_latentsync_calm *c, const struct pz_face_topology *t)
{
    *c = (struct pz_latentsync_calm){.last = -1e9};
    if (t)
        pz_latentsync_points_init(&c->points, t);
}

struct pz_affine pz_latentsync_crop(struct pz_latentsync_calm *c, const struct pz_face *f, double time,
                                    int size)
{
    float point[3][2];
    double gap = time - c->last;
    pz_latentsync_points_of(&c->points, f, point);
    if (!(gap > 0 && gap < CALM_GAP_S))
        c->bias.any = false;
    c->last = time;
    return pz_latentsync_similarity(point, size, pow(CALM_OLD, gap * PUBLISHED_FPS), &c->bias);
}

enum pz_status pz_latentsync_to_frame(const struct pz_affine *to_crop, struct pz_affine *out)
{
    enum pz_status st = pz_affine_invert(to_crop, out);
    // Both sides have their centres at +½.
    out->c += 0.5f - 0.5f * (out->a + out->b);
    out->f += 0.5f - 0.5f * (out->d + out->e);
    return st;
}

/* ---- mask ---- */

/* Half open columns [x0, x1) that are repainted in row `y` of the 256 px mask, below the nose: a smooth curve
 * through the known rows. */
static bool painted_row(int y, float *x0, float *x1)
{
    static const float known[][3] = {{128, 9, 248},  {140, 10, 247}, {160, 11, 246},  {180, 18, 239},
                                     {200, 33, 224}, {220, 57, 203}, {240, 104, 161}, {243, 116, 149}};
    int n = (int)(sizeof known / sizeof *known);
    for (int i = 0; i + 1 < n; i++) {
        const float *a = known[i], *b = known[i + 1], *before = known[i ? i - 1 : 0],
                    *after = known[i + 2 < n ? i + 2 : n - 1];
        if ((float)y < a[0] || (float)y >= b[0])
            continue;
        float step = b[0] - a[0], u = ((float)y - a[0]) / step, edge[2];
        for (int k = 0; k < 2; k++) {
            float p = a[k + 1], q = b[k + 1], sp = (q - before[k + 1]) / (b[0] - before[0]) * step,
                  sq = (after[k + 1] - p) / (after[0] - a[0]) * step;
            edge[k] = p + u * (sp + u * (3 * (q - p) - 2 * sp - sq + u * (sp + sq - 2 * (q - p))));
        }
        *x0 = edge[0];
        *x1 = edge[1];
        return true;
    }
    return false;
}

static bool painted(int x, int y)
{
    float x0, x1;
    if (y >= 95 && y < 128)
        return (x >= 9 && x <= 77) || (x >= 178 && x <= 246);
    return painted_row(y, &x0, &x1) && (float)x >= rintf(x0) && (float)x < rintf(x1);
}

static bool make_mask(struct pz_latentsync_cutter *c, const struct pz_rgb *given)
{
    int w = given ? given->width : 256, h = given ? given->height : 256;
    float *drawn = pz_calloc((size_t)w * (size_t)h, sizeof *drawn);
    struct pz_resample *r = pz_resample_create(PZ_RESAMPLE_LANCZOS4, w, h, c->size, c->size);
    float *scratch = r ? pz_calloc(pz_resample_scratch(r), sizeof *scratch) : NULL;
    bool ok = drawn && scratch;
    for (int i = 0; ok && i < w * h; i++)
        drawn[i] = given ? 255 * given->data[i] : painted(i % 256, i / 256) ? 0 : 255;
    if (ok)
        pz_resample_run(r, drawn, scratch, c->keep);
    for (int i = 0; ok && i < c->size * c->size; i++)
        c->keep[i] = fminf(fmaxf(rintf(c->keep[i]), 0), 255) / 255;
    pz_resample_destroy(&r);
    pz_free(scratch);
    pz_free(drawn);
    return ok;
}

void pz_latentsync_mask(struct pz_latentsync_cutter *c, float *keep, float *small)
{
    size_t n = (size_t)c->size;
    if (keep)
        memcpy(keep, c->keep, n * n * sizeof *keep);
    for (size_t i = 0; i < n / 8 * (n / 8); i++)
        small[i] = c->keep[i / (n / 8) * 8 * n + i % (n / 8) * 8];
}

/* The published paste: ones, eroded by a box of 2e and blurred by 2e + 1 taps, e a twentieth of the face; on
 * the crop instead of the frame, which is the same but for resampling. */
static void soften(float *plane, float *scratch, int w, int h, int e)
{
    int k = 2 * e + 1;
    pz_erode_box(plane, scratch, w, h, 2 * e);
    pz_gauss_taps(plane, scratch, w, h, k, 0.3f * ((float)(k - 1) / 2 - 1) + 0.8f);
}

static void make_alpha(struct pz_latentsync_cutter *c)
{
    int n = c->w * c->h, e = (int)sqrt((double)n) / 20;
    for (int i = 0; i < c->size * c->size; i++)
        c->plane[i] = 1 - c->keep[i];
    pz_resample_run(c->unsquash, c->plane, c->scratch, c->alpha);
    for (int i = 0; i < n; i++) {
        c->alpha[i] = c->alpha[i] > 0.98f;
        c->plane[i] = 1;
    }
    // Erosion by 2r + 2 and a blur of r taps either side: nothing of the kept part shows through.
    int r = e / 4 > 1 ? e / 4 : 1;
    pz_erode_box(c->alpha, c->scratch, c->w, c->h, 2 * r + 1);
    pz_gauss_taps(c->alpha, c->scratch, c->w, c->h, 2 * r + 1, 0.3f * ((float)r - 1) + 0.8f);
    // The crop's own border: what lies outside counts as nothing here.
    for (int y = 0; y < c->h; y++)
        for (int x = 0; x < c->w; x++)
            if (!x || !y || x == c->w - 1 || y == c->h - 1)
                c->plane[y * c->w + x] = 0;
    if (e > 0)
        soften(c->plane, c->scratch, c->w, c->h, e);
    for (int i = 0; i < n; i++)
        c->alpha[i] *= c->plane[i];
}

const float *pz_latentsync_alpha(const struct pz_latentsync_cutter *c)
{
    return c->alpha;
}

/* ---- cutting and pasting ---- */

struct pz_latentsync_cutter *pz_latentsync_cutter_create(int size, const struct pz_rgb *mask)
{
    if (size < 32 || size > 1024 || size % 8)
        return NULL;
    struct pz_latentsync_cutter *c = pz_calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->size = size;
    pz_latentsync_crop_size(size, &c->w, &c->h);
    size_t n = (size_t)size * (size_t)size, room = (size_t)c->w * (size_t)c->h;
    bool ok = true;
    c->room = n > room ? n : room;
    c->squash = pz_resample_create(PZ_RESAMPLE_LANCZOS4, c->w, c->h, size, size);
    c->unsquash = pz_resample_create(PZ_RESAMPLE_BICUBIC, size, size, c->w, c->h);
    for (int y = 0; y < c->h && ok; y += BAND)
        ok = pz_rgb_alloc(&c->band[c->n_bands++], c->w, c->h - y < BAND ? c->h - y : BAND) >= PZ_OK;
    c->plane = pz_calloc(c->room, 3 * sizeof *c->plane);
    c->scratch = pz_calloc(c->room, 6 * sizeof *c->scratch);
    c->keep = pz_calloc(n, sizeof *c->keep);
    c->alpha = pz_calloc(room, sizeof *c->alpha);
    if (!ok || !c->squash || !c->unsquash || !c->plane || !c->scratch || !c->keep || !c->alpha ||
        pz_rgb_alloc(&c->crop, c->w, c->h) < PZ_OK || !make_mask(c, mask)) {
        pz_latentsync_cutter_destroy(&c);
        return NULL;
    }
    make_alpha(c);
    return c;
}

void pz_latentsync_cutter_destroy(struct pz_latentsync_cutter **c)
{
    if (!*c)
        return;
    pz_resample_destroy(&(*c)->squash);
    pz_resample_destroy(&(*c)->unsquash);
    pz_rgb_free(&(*c)->crop);
    for (int i = 0; i < (*c)->n_bands; i++)
        pz_rgb_free(&(*c)->band[i]);
    pz_free((*c)->plane);
    pz_free((*c)->scratch);
    pz_free((*c)->keep);
    pz_free((*c)->alpha);
    pz_free(*c);
    *c = NULL;
}

/* Share of a bilinear sample at `x` (published px) that lies inside [0, n). */
static float inside(float x, int n)
{
    float share = x + 1 < (float)n - x ? x + 1 : (float)n - x;
    return share < 0 ? 0 : share > 1 ? 1 : share;
}

/* v to a whole number in [0, 255]. */
static float to_byte(float v)
{
    float r = (float)lrintf(v);
    return r < 0 ? 0 : r > 255 ? 255 : r;
}

struct cutting {
    struct pz_latentsync_cutter *c;
    const struct pz_picture *src;
    struct pz_affine back; /* crop px → frame px */
    const float *made, *seen;
    float *out;
};

/* A band of the crop's rows: warped, 127 where the picture ends, cut off to 8 bits. */
static void cut_band(void *user, int index, int worker)
{
    const struct cutting *t = user;
    struct pz_latentsync_cutter *c = t->c;
    struct pz_rgb *band = &c->band[index];
    size_t plane = (size_t)c->w * (size_t)c->h, n = (size_t)band->width * (size_t)band->height;
    size_t at = (size_t)index * BAND * (size_t)c->w;
    struct pz_affine back = t->back;
    (void)worker;
    back.c += back.b * (float)(index * BAND);
    back.f += back.e * (float)(index * BAND);
    pz_warp_picture_to_rgb(t->src, &back, PZ_FILTER_BILINEAR, PZ_BORDER_ZERO, band);
    for (size_t i = 0; i < n; i++) {
        float x, y;
        pz_affine_apply(&back, (float)(i % (size_t)c->w) + 0.5f, (float)(i / (size_t)c->w) + 0.5f, &x, &y);
        float dark = 127 * (1 - inside(x - 0.5f, t->src->width) * inside(y - 0.5f, t->src->height));
        for (size_t k = 0; k < 3; k++) {
            // A hair above whole numbers, so that a flat picture does not fall to the value below.
            float v = band->data[k * n + i] * 255 + dark;
            c->crop.data[k * plane + at + i] = (float)(int)((v < 0 ? 0 : v > 255 ? 255 : v) + 1e-3f);
        }
    }
}

/* One colour of the crop to the network's square. */
static void squash_plane(void *user, int k, int worker)
{
    const struct cutting *t = user;
    struct pz_latentsync_cutter *c = t->c;
    size_t n = (size_t)c->size * (size_t)c->size, plane = (size_t)c->w * (size_t)c->h;
    float *to = c->plane + (size_t)k * c->room;
    (void)worker;
    pz_resample_run(c->squash, c->crop.data + (size_t)k * plane, c->scratch + 2 * (size_t)k * c->room, to);
    for (size_t i = 0; i < n; i++)
        t->out[i * 3 + (size_t)k] = to_byte(to[i]) / 127.5f - 1;
}

void pz_latentsync_cut(struct pz_latentsync_cutter *c, const struct pz_picture *src,
                       const struct pz_affine *to_crop, struct pz_pool *pool, float *out)
{
    struct cutting t = {.c = c, .src = src, .out = out};
    size_t n = (size_t)c->size * (size_t)c->size;
    if (pz_latentsync_to_frame(to_crop, &t.back) < PZ_OK) {
        memset(out, 0, 3 * n * sizeof *out);
        return;
    }
    pz_pool_run(pool, cut_band, &t, c->n_bands);
    pz_pool_run(pool, squash_plane, &t, 3);
}

/* One colour of the square back to the crop. */
static void unsquash_plane(void *user, int k, int worker)
{
    const struct cutting *t = user;
    struct pz_latentsync_cutter *c = t->c;
    size_t n = (size_t)c->size * (size_t)c->size, plane = (size_t)c->w * (size_t)c->h;
    float *from = c->plane + (size_t)k * c->room, *to = t->out + (size_t)k * plane;
    (void)worker;
    for (size_t i = 0; i < n; i++) {
        size_t at = i * 3 + (size_t)k;
        from[i] = t->seen[at] * c->keep[i] + t->made[at] * (1 - c->keep[i]);
    }
    pz_resample_run(c->unsquash, from, c->scratch + 2 * (size_t)k * c->room, to);
    for (size_t i = 0; i < plane; i++) {
        float v = to[i] * 0.5f + 0.5f;
        to[i] = v < 0 ? 0 : v > 1 ? 1 : v;
    }
}

void pz_latentsync_unsquash(struct pz_latentsync_cutter *c, const float *made, const float *seen,
                            struct pz_pool *pool, struct pz_rgb *rgb)
{
    struct cutting t = {.c = c, .made = made, .seen = seen, .out = rgb->data};
    pz_pool_run(pool, unsquash_plane, &t, 3);
}

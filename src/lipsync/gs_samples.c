/**
 * The training pictures of a Gaussian head: chosen, cropped once, kept as bytes. Not here: anything that
 * learns.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "image/mask.h"
#include "image/warp.h"
#include "lipsync/gs_train.h"

#define MIN_SAMPLES 25
#define WEIGHT_ONE 32.0f
#define MOUTH_WEIGHT 3.0f
#define HELD_EVERY 10
#define GAP_BINS 8

void pz_gs_samples_free(struct pz_gs_samples *s)
{
    pz_free(s->s);
    pz_free(s->block);
    memset(s, 0, sizeof(*s));
}

/** What lies in [lo, hi] of both sides, clamped. */
static void box_of_lips(const struct pz_film *film, const struct pz_face *f, const struct pz_gs_model *m,
                        const struct pz_gs_view *v, int box[4])
{
    float lo[2] = {1e9f, 1e9f}, hi[2] = {-1e9f, -1e9f};
    const float off[2] = {v->to_frame.c, v->to_frame.f};
    for (int i = 0; i < film->topology->n_outer_lip; i++)
        for (int a = 0; a < 2; a++) {
            const float p = (f->xyz[film->topology->outer_lip[i]][a] - off[a]) * m->zoom;
            lo[a] = p < lo[a] ? p : lo[a];
            hi[a] = p > hi[a] ? p : hi[a];
        }
    const int size[2] = {m->width, m->height};
    for (int a = 0; a < 2; a++) {
        const float mid = 0.5f * (lo[a] + hi[a]), half = 0.75f * (hi[a] - lo[a]);
        const float from = fmaxf(mid - half, 0.0f), to = fminf(mid + half, (float)size[a]);
        box[a] = (int)fminf(from, (float)size[a]);
        box[2 + a] = (int)fmaxf(to, 0.0f);
    }
}

struct crop_scratch {
    struct pz_rgb rgb;
    float *plane;
};

static enum pz_status crop_masks(const struct pz_gs_model *m, const struct pz_picture *pic,
                                 struct pz_gs_sample *s, const struct pz_gs_view *v, struct crop_scratch *c)
{
    const int w = m->width, h = m->height;
    float ring[PZ_GS_MAX_CURVE][2];
    pz_gs_curve_px(&m->outline, m->k, s->tracked_m, &v->cam, 1.0f, 7.0f, ring);
    enum pz_status st = pz_mask_polygon((const float(*)[2])ring, m->outline.n, c->plane, w, h, false);
    if (st < PZ_OK)
        return st;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            const bool mouth = x >= s->box[0] && x < s->box[2] && y >= s->box[1] && y < s->box[3];
            const float fx = v->to_frame.a * ((float)x + 0.5f) + v->to_frame.c;
            const float fy = v->to_frame.e * ((float)y + 0.5f) + v->to_frame.f;
            const bool in = fx > 0.0f && fy > 0.0f && fx < (float)pic->width && fy < (float)pic->height;
            const float weight = in ? c->plane[y * w + x] * (mouth ? MOUTH_WEIGHT : 1.0f) : 0.0f;
            s->weight[y * w + x] = (uint8_t)(WEIGHT_ONE * weight + 0.5f);
        }
    pz_gs_curve_px(&m->lips, m->k, s->tracked_m, &v->cam, 1.0f, 2.0f, ring);
    st = pz_mask_polygon((const float(*)[2])ring, m->lips.n, c->plane, w, h, false);
    if (st < PZ_OK)
        return st;
    for (int i = 0; i < w * h; i++)
        s->hole[i] = (uint8_t)(255.0f * c->plane[i] + 0.5f);
    return PZ_OK;
}

static enum pz_status crop_sample(const struct pz_gs_model *m, const struct pz_film *film,
                                  struct pz_gs_sample *s, struct crop_scratch *c)
{
    const struct pz_picture *pic = NULL;
    enum pz_status st = film->picture(film->user, s->frame, &pic);
    if (st < PZ_OK)
        return st;
    const struct pz_face *face = film->face(film->user, s->frame);
    struct pz_gs_view v;
    if (!pz_gs_view_of(m, face, &v))
        return PZ_ERR_INTERNAL; /* the choice of frames has tried it before */
    s->tracked = v.cam;
    s->gap = face->lip_gap;
    pz_warp_picture_to_rgb(pic, &v.to_frame, PZ_FILTER_CUBIC, PZ_BORDER_REPLICATE, &c->rgb);
    for (int64_t i = 0; i < (int64_t)3 * m->width * m->height; i++) {
        const float x = c->rgb.data[i] * 255.0f + 0.5f;
        s->rgb[i] = (uint8_t)(x < 0.0f ? 0.0f : x > 255.0f ? 255.0f : x);
    }
    box_of_lips(film, face, m, &v, s->box);
    return crop_masks(m, pic, s, &v, c);
}

/** Open mouths are rare in film: chance ∝ 1/(how common this opening is), bounded. */
static void set_chances(struct pz_gs_samples *all)
{
    float lo = 1e9f, hi = -1e9f, count[GAP_BINS] = {0};
    for (int i = 0; i < all->n; i++) {
        lo = fminf(lo, all->s[i].gap);
        hi = fmaxf(hi, all->s[i].gap);
    }
    const float span = fmaxf(hi - lo, 1e-6f);
    for (int i = 0; i < all->n; i++)
        count[(int)fminf(GAP_BINS * (all->s[i].gap - lo) / span, GAP_BINS - 1)] += 1.0f;
    double sum = 0;
    for (int i = 0; i < all->n; i++) {
        struct pz_gs_sample *s = &all->s[i];
        const float c = count[(int)fminf(GAP_BINS * (s->gap - lo) / span, GAP_BINS - 1)];
        s->chance = s->held ? 0.0f : 1.0f / sqrtf(c + 0.03f * (float)all->n);
        sum += (double)s->chance;
    }
    for (int i = 0; i < all->n; i++)
        all->s[i].chance = (float)((double)all->s[i].chance / sum);
}

/** Frames that can be learned from, evenly thinned to `max_frames`; the motion of each is filled in. */
static enum pz_status choose_frames(struct pz_gs_model *m, const struct pz_film *film,
                                    const struct pz_motion_space *space, int max_frames,
                                    struct pz_gs_samples *out)
{
    int64_t *good = pz_calloc((size_t)film->n_fit_frames + 1, sizeof(int64_t));
    if (!good)
        return PZ_ERR_NOMEM;
    int64_t n_good = 0;
    struct pz_gs_view v;
    for (int64_t i = 0; i < film->n_fit_frames; i++) {
        const struct pz_face *f = film->face(film->user, film->fit_frames[i]);
        if (f && f->present == 1 && pz_gs_view_of(m, f, &v))
            good[n_good++] = film->fit_frames[i];
    }
    out->n = n_good < max_frames ? (int)n_good : max_frames;
    out->s = pz_calloc((size_t)out->n + 1, sizeof(*out->s));
    int kept = 0;
    for (int i = 0; out->s && i < out->n; i++) {
        struct pz_gs_sample *s = &out->s[kept];
        s->frame = good[(int64_t)i * n_good / out->n];
        if (!pz_motion_space_project(space, film->face(film->user, s->frame), s->tracked_m))
            continue;
        float norm = 0.0f;
        for (int k = 0; k < m->k; k++) {
            const float x = s->tracked_m[k];
            norm += x * x;
            m->lo[k] = kept && m->lo[k] < x ? m->lo[k] : x;
            m->hi[k] = kept && m->hi[k] > x ? m->hi[k] : x;
            s->m[k] = s->tracked_m[k] = x * m->unit[k];
        }
        m->reach = fmaxf(m->reach, sqrtf(norm));
        s->held = i % HELD_EVERY == HELD_EVERY / 2;
        kept++;
    }
    out->n = kept;
    pz_free(good);
    return out->s ? PZ_OK : PZ_ERR_NOMEM;
}

enum pz_status pz_gs_samples_load(struct pz_gs_model *m, const struct pz_film *film,
                                  const struct pz_motion_space *space, int max_frames,
                                  const struct pz_job *job, struct pz_gs_samples *out)
{
    enum pz_status st;
    struct crop_scratch c = {{0}, NULL};
    memset(out, 0, sizeof(*out));
    PZ_TRY(choose_frames(m, film, space, max_frames, out));
    if (out->n < MIN_SAMPLES) {
        st = pz_fail(job ? job->log : NULL, PZ_ERR_UNUSABLE,
                     "gaussian_splatting needs at least %d frames with a face to learn from, the film has %d",
                     MIN_SAMPLES, out->n);
        goto fail;
    }
    const size_t area = (size_t)m->width * (size_t)m->height;
    out->block = pz_calloc((size_t)out->n, area * 5);
    c.plane = pz_calloc(area, sizeof(float));
    st = out->block && c.plane ? PZ_OK : PZ_ERR_NOMEM;
    PZ_TRY(st);
    PZ_TRY(pz_rgb_alloc(&c.rgb, m->width, m->height));
    for (int i = 0; i < out->n; i++) {
        struct pz_gs_sample *s = &out->s[i];
        s->rgb = out->block + (size_t)i * area * 5;
        s->weight = s->rgb + 3 * area;
        s->hole = s->rgb + 4 * area;
        if (pz_job_cancelled(job)) {
            st = PZ_ERR_CANCELLED;
            goto fail;
        }
        PZ_TRY(crop_sample(m, film, s, &c));
        pz_job_progress(job, "crops", i + 1, out->n);
    }
    set_chances(out);
    st = PZ_OK;
fail:
    pz_rgb_free(&c.rgb);
    pz_free(c.plane);
    if (st < PZ_OK)
        pz_gs_samples_free(out);
    return st;
}

static int compare_bytes(const void *a, const void *b)
{
    return (int)*(const uint8_t *)a - (int)*(const uint8_t *)b;
}

/** Median colour under a Gaussian over up to 40 samples; false when it is never seen. */
static bool median_color(const struct pz_gs_model *m, const struct pz_gs_samples *all,
                         const struct pz_splat_set *set, int i, bool in_hole, float rgb[3])
{
    enum { LOOKS = 40 };
    uint8_t v[3][LOOKS];
    int n = 0;
    const int step = in_hole ? 1 : (all->n + LOOKS - 1) / LOOKS;
    const int area = m->width * m->height;
    for (int q = 0; q < all->n && n < LOOKS; q += step) {
        const struct pz_gs_sample *s = &all->s[q];
        if (s->held)
            continue;
        float p[3], at[2];
        for (int a = 0; a < 3; a++) {
            p[a] = pz_splat_plane(set, PZ_SPLAT_POS + a)[i];
            for (int k = 0; k < m->k; k++)
                p[a] += s->m[k] * pz_splat_plane(set, PZ_SPLAT_BASE + PZ_SPLAT_MOVING * k + a)[i];
        }
        pz_gs_project(&s->tracked, p, at);
        if (!(at[0] >= 0.0f && at[1] >= 0.0f && at[0] < (float)m->width && at[1] < (float)m->height))
            continue;
        const int px = (int)at[1] * m->width + (int)at[0];
        if (s->weight[px] == 0 || (in_hole && s->hole[px] < 250))
            continue;
        for (int c = 0; c < 3; c++)
            v[c][n] = s->rgb[c * area + px];
        n++;
    }
    for (int c = 0; c < 3 && n; c++) {
        qsort(v[c], (size_t)n, 1, compare_bytes);
        rgb[c] = (float)v[c][n / 2] / 255.0f;
    }
    return n > 0;
}

/** Mean of the darkest tenth of what was seen inside open lips; a dark red when no mouth opened. */
static void cavity_color(struct pz_gs_model *m, const struct pz_gs_samples *all)
{
    const int area = m->width * m->height;
    int64_t histogram[256] = {0}, total = 0;
    for (int q = 0; q < all->n; q++)
        for (int i = 0; i < area; i++)
            if (!all->s[q].held && all->s[q].hole[i] == 255) {
                histogram[all->s[q].rgb[area + i]]++;
                total++;
            }
    int level = 0;
    for (int64_t sum = histogram[0]; level < 255 && sum < total / 10; sum += histogram[++level])
        ;
    double sum[3] = {0};
    int64_t n = 0;
    for (int q = 0; q < all->n; q++)
        for (int i = 0; i < area; i++)
            if (!all->s[q].held && all->s[q].hole[i] == 255 && all->s[q].rgb[area + i] <= level) {
                for (int c = 0; c < 3; c++)
                    sum[c] += all->s[q].rgb[c * area + i];
                n++;
            }
    static const float fallback[3] = {0.16f, 0.07f, 0.06f};
    for (int c = 0; c < 3; c++)
        m->cavity[c] = n > 50 ? (float)(sum[c] / (double)n / 255.0) : fallback[c];
}

enum pz_status pz_gs_first_colors(struct pz_gs_model *m, const struct pz_gs_samples *all)
{
    cavity_color(m, all);
    for (int layer = 0; layer < 2; layer++) {
        struct pz_splat_set *set = layer ? &m->mouth : &m->face;
        for (int i = 0; i < set->n; i++) {
            float rgb[3];
            if (!median_color(m, all, set, i, layer == 1, rgb)) {
                if (layer == 0)
                    continue;
                memcpy(rgb, m->cavity, sizeof(rgb));
            }
            for (int c = 0; c < 3; c++)
                pz_splat_plane(set, PZ_SPLAT_COLOR + c)[i] = rgb[c];
        }
    }
    return PZ_OK;
}

void pz_gs_sample_camera(const struct pz_gs_sample *s, struct pz_splat_camera *cam)
{
    *cam = s->tracked;
    const float *d = s->pose, *r = s->tracked.r;
    const float th = sqrtf(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
    if (th > 1e-9f) {
        const float x = d[0] / th, y = d[1] / th, z = d[2] / th, sn = sinf(th), cs = 1.0f - cosf(th);
        const float e[9] = {1 - cs * (y * y + z * z), cs * x * y - sn * z,      cs * x * z + sn * y,
                            cs * x * y + sn * z,      1 - cs * (x * x + z * z), cs * y * z - sn * x,
                            cs * x * z - sn * y,      cs * y * z + sn * x,      1 - cs * (x * x + y * y)};
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++)
                cam->r[3 * i + j] = e[3 * i] * r[j] + e[3 * i + 1] * r[3 + j] + e[3 * i + 2] * r[6 + j];
    }
    cam->scale *= expf(d[3]);
    cam->tx += d[4];
    cam->ty += d[5];
}

/* The parser's occluder before the mouth, in the patch's pixels. Does not decide where the mouth is covered:
 * the tracker's look at the skin does (occlusion.h), and the parser alone would now and then take a beard for
 * a cover. */
#include "face/occluder.h"

#include <math.h>

#include "base/mem.h"
#include "face/embedded.h"
#include "face/topology.h"
#include "image/affine.h"

#define SIDE 96
#define LEAST 0.35f /* probability from which on the film begins to show */
#define MOST 0.65f
#define ROUND_MOUTH 1.5f
#define RING 20

struct pz_face_occluder {
    struct pz_log *log;
    struct pz_face_parts *parts;
    float *plane;
    size_t room;
    float share[SIDE][SIDE];
};

bool pz_face_occluder_wanted(const struct pz_face_track *t, int64_t frame)
{
    for (int64_t i = frame - PZ_FACE_OCCLUDER_NEAR; i <= frame + PZ_FACE_OCCLUDER_NEAR; i++) {
        const struct pz_face *f = pz_face_track_at(t, i);
        if (f && f->covered >= PZ_FACE_OCCLUDER_FROM)
            return true;
    }
    return false;
}

enum pz_status pz_face_occluder_create(const char *models_dir, struct pz_log *log,
                                       struct pz_face_occluder **out)
{
    struct pz_face_occluder *o = pz_calloc(1, sizeof *o);
    *out = o;
    if (!o)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory to look for what covers a mouth");
    o->log = log;
    enum pz_status st = pz_face_parts_create(models_dir, log, &o->parts);
    if (st < PZ_OK)
        pz_face_occluder_destroy(out);
    return st;
}

void pz_face_occluder_destroy(struct pz_face_occluder **o)
{
    if (!o || !*o)
        return;
    pz_face_parts_destroy(&(*o)->parts);
    pz_free((*o)->plane);
    pz_free(*o);
    *o = NULL;
}

/* The map between its cells' centres; beyond its edge nothing covers. */
static float at(const struct pz_face_occluder *o, float u, float v)
{
    float x = u - 0.5f, y = v - 0.5f;
    if (!(x >= 0 && y >= 0 && x < SIDE - 1 && y < SIDE - 1))
        return 0;
    int i = (int)x, j = (int)y;
    float s = x - (float)i, t = y - (float)j;
    const float *a = &o->share[j][i], *b = &o->share[j + 1][i];
    float p = (a[0] + (a[1] - a[0]) * s) * (1 - t) + (b[0] + (b[1] - b[0]) * s) * t;
    p = fminf(fmaxf((p - LEAST) / (MOST - LEAST), 0), 1);
    return p * p * (3 - 2 * p);
}

/* From a point of the picture to the map's cells. */
static void to_map(const struct pz_face_rect *roi, float x, float y, float *u, float *v)
{
    float c = cosf(roi->angle), s = sinf(roi->angle), k = SIDE / roi->w;
    x -= roi->cx;
    y -= roi->cy;
    *u = SIDE / 2 + k * (c * x + s * y);
    *v = SIDE / 2 + k * (c * y - s * x);
}

static bool inside(const float (*ring)[2], float x, float y)
{
    bool in = false;
    for (int i = 0, j = RING - 1; i < RING; j = i++)
        if ((ring[i][1] > y) != (ring[j][1] > y) &&
            x < (ring[j][0] - ring[i][0]) * (y - ring[i][1]) / (ring[j][1] - ring[i][1]) + ring[i][0])
            in = !in;
    return in;
}

enum pz_status pz_face_occluder_share(struct pz_face_occluder *o, const struct pz_picture *pic,
                                      const float (*xyz)[3], struct pz_pool *pool, float *share)
{
    const struct pz_face_topology *t = pz_face_topology_mesh();
    struct pz_face_rect roi;
    float ring[RING][2], mid[2] = {0};
    int all = 0, hit = 0;
    *share = 0;
    enum pz_status st = pz_face_parts_share(o->parts, pic, xyz, PZ_PART_OCCLUDER, pool, o->share, &roi);
    if (st < PZ_OK)
        return st;
    for (int i = 0; i < RING; i++) {
        const float *p = xyz[t->outer_lip[i]];
        to_map(&roi, p[0], p[1], &ring[i][0], &ring[i][1]);
        mid[0] += ring[i][0] / RING;
        mid[1] += ring[i][1] / RING;
    }
    for (int i = 0; i < RING; i++)
        for (int k = 0; k < 2; k++)
            ring[i][k] = mid[k] + ROUND_MOUTH * (ring[i][k] - mid[k]);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            if (inside((const float(*)[2])ring, (float)x + 0.5f, (float)y + 0.5f)) {
                all++;
                hit += o->share[y][x] > 0.5f;
            }
    *share = all ? (float)hit / (float)all : 0;
    return PZ_OK;
}

enum pz_status pz_face_occluder_look(struct pz_face_occluder *o, const struct pz_picture *pic,
                                     const float (*xyz)[3], const struct pz_affine *to_frame, int w, int h,
                                     struct pz_pool *pool, const float **plane)
{
    struct pz_face_rect roi;
    *plane = NULL;
    if (w < 1 || h < 1 || w > PZ_PICTURE_MAX_SIDE || h > PZ_PICTURE_MAX_SIDE)
        return pz_fail(o->log, PZ_ERR_USAGE, "a patch of %d × %d cannot be looked at", w, h);
    size_t n = (size_t)w * (size_t)h;
    if (n > o->room) {
        pz_free(o->plane);
        o->plane = pz_calloc(n, sizeof *o->plane);
        o->room = o->plane ? n : 0;
        if (!o->plane)
            return pz_fail(o->log, PZ_ERR_NOMEM, "no memory for what covers a mouth");
    }
    enum pz_status st = pz_face_parts_share(o->parts, pic, xyz, PZ_PART_OCCLUDER, pool, o->share, &roi);
    if (st < PZ_OK)
        return st;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            float fx, fy, u, v;
            pz_affine_apply(to_frame, (float)x + 0.5f, (float)y + 0.5f, &fx, &fy);
            to_map(&roi, fx, fy, &u, &v);
            o->plane[(size_t)y * (size_t)w + (size_t)x] = at(o, u, v);
        }
    *plane = o->plane;
    return PZ_OK;
}

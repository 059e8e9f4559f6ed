// Crops of the embedded network: alignment, lip marks, opacity. Neither finds faces nor keeps state.
#include "lipsync/wav2lip_crop.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "image/affine.h"
#include "image/mask.h"
#include "image/warp.h"
#include "nn/wav2lip_bend.h"

#define SIZE PZ_W2L_BEND_SIZE
#define N_RIGID 14
#define FEATHER 7.0f     /* crop px */
#define INSET 0.06f      /* interocular distances, see image/mask.h */
#define CHIN_MARGIN 0.1f /* as above */

/* Points that speech does not move, and the pattern they are laid on (x to the subject's left, y up). */
static const int rigid[N_RIGID] = {33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 122, 351, 129, 358};
static const float pattern[N_RIGID][2] = {
    {-0.5f, 0},          {-0.1925f, -0.008f}, {0.1925f, -0.008f},   {0.5f, 0},          {0, 0.0762f},
    {0, -0.0066f},       {0, -0.0811f},       {0, -0.1501f},        {0, -0.2245f},      {0, -0.3193f},
    {-0.064f, -0.0273f}, {0.064f, -0.0273f},  {-0.2358f, -0.3984f}, {0.2358f, -0.3984f}};

static void add(struct pz_affine *sum, const struct pz_affine *m, float w)
{
    sum->a += w * m->a;
    sum->b += w * m->b;
    sum->c += w * m->c;
    sum->d += w * m->d;
    sum->e += w * m->e;
    sum->f += w * m->f;
}

bool pz_wav2lip_crop_map(const struct pz_face *face, struct pz_affine *m)
{
    float from[N_RIGID][2], to[N_RIGID][2];
    for (int i = 0; i < N_RIGID; i++) {
        from[i][0] = face->xyz[rigid[i]][0];
        from[i][1] = face->xyz[rigid[i]][1];
        to[i][0] = (float)SIZE / 2 + PZ_W2L_BEND_SCALE * pattern[i][0];
        to[i][1] = PZ_W2L_BEND_EYES - PZ_W2L_BEND_SCALE * pattern[i][1];
    }
    return pz_affine_fit_similarity((const float(*)[2])from, (const float(*)[2])to, NULL, N_RIGID, m) >=
           PZ_OK;
}

float pz_wav2lip_crop_weight(const struct pz_face *face, double apart_s)
{
    return (float)(1 - fabs(apart_s) / PZ_WAV2LIP_REACH_S) * (face->present == 1 ? 1 : 0.01f);
}

enum pz_status pz_wav2lip_crop_maps(const struct pz_face_topology *topo, const struct pz_face *const *faces,
                                    const double *times, int n, struct pz_affine *to_crop)
{
    if (strcmp(topo->name, "mediapipe-478"))
        return PZ_ERR_UNSUPPORTED;
    for (int i = 0; i < n; i++) {
        // The mean is taken of the way back, crop → frame: it is linear in the points.
        struct pz_affine sum = {0}, m, back;
        float all = 0;
        for (int step = -1; step <= 1; step += 2)
            for (int k = step < 0 ? i : i + 1;
                 k >= 0 && k < n && fabs(times[k] - times[i]) < PZ_WAV2LIP_REACH_S; k += step) {
                if (!faces[k] || !faces[k]->present || !pz_wav2lip_crop_map(faces[k], &m) ||
                    pz_affine_invert(&m, &back) < PZ_OK)
                    continue;
                float w = pz_wav2lip_crop_weight(faces[k], times[k] - times[i]);
                add(&sum, &back, w);
                all += w;
            }
        back = (struct pz_affine){0};
        if (all > 0)
            add(&back, &sum, 1 / all);
        if (!(all > 0) || pz_affine_invert(&back, &to_crop[i]) < PZ_OK)
            to_crop[i] = pz_affine_identity();
    }
    return PZ_OK;
}

/* Skin around the mouth: outer lips, below the nose, beside the mouth, chin. */
static const int anchors[PZ_WAV2LIP_ANCHORS] = {61,  185, 40,  39,  37,  0,   267, 269, 270, 409,
                                                291, 375, 321, 405, 314, 17,  84,  181, 91,  146,
                                                2,   164, 200, 199, 152, 186, 410, 175};

static bool anchors_of(const struct pz_face_topology *topo, const struct pz_face *f, float (*out)[2])
{
    const struct pz_face_pose *p = &f->pose;
    struct pz_affine m;
    if (!pz_wav2lip_crop_map(f, &m))
        return false;
    for (int i = 0; i < PZ_WAV2LIP_ANCHORS; i++) {
        const float *x = topo->mean[anchors[i]];
        float u = p->r[0] * x[0] + p->r[1] * x[1] + p->r[2] * x[2],
              v = p->r[3] * x[0] + p->r[4] * x[1] + p->r[5] * x[2];
        pz_affine_apply(&m, p->scale * u + p->tx, -p->scale * v + p->ty, &out[i][0], &out[i][1]);
        if (!isfinite(out[i][0]) || !isfinite(out[i][1]))
            return false;
    }
    return true;
}

enum pz_status pz_wav2lip_crop_anchors(const struct pz_face_topology *topo,
                                       const struct pz_face *const *faces, const double *times, int n,
                                       float (*anchor)[PZ_WAV2LIP_ANCHORS][2])
{
    if (strcmp(topo->name, "mediapipe-478") || !topo->mean)
        return PZ_ERR_UNSUPPORTED;
    for (int i = 0; i < n; i++) {
        float sum[PZ_WAV2LIP_ANCHORS][2] = {0}, now[PZ_WAV2LIP_ANCHORS][2], all = 0;
        for (int step = -1; step <= 1; step += 2)
            for (int k = step < 0 ? i : i + 1;
                 k >= 0 && k < n && fabs(times[k] - times[i]) < PZ_WAV2LIP_REACH_S; k += step) {
                if (!faces[k] || !faces[k]->present || !anchors_of(topo, faces[k], now))
                    continue;
                float w = pz_wav2lip_crop_weight(faces[k], times[k] - times[i]);
                all += w;
                for (int a = 0; a < PZ_WAV2LIP_ANCHORS; a++) {
                    sum[a][0] += w * now[a][0];
                    sum[a][1] += w * now[a][1];
                }
            }
        for (int a = 0; a < PZ_WAV2LIP_ANCHORS; a++) {
            anchor[i][a][0] = all > 0 ? sum[a][0] / all : NAN;
            anchor[i][a][1] = all > 0 ? sum[a][1] / all : NAN;
        }
    }
    return PZ_OK;
}

struct pz_affine pz_wav2lip_crop_turn(const float (*from)[2], const float (*to)[2])
{
    struct pz_affine m;
    if (pz_affine_fit(from, to, NULL, PZ_WAV2LIP_ANCHORS, &m) < PZ_OK)
        return pz_affine_identity();
    float area = m.a * m.e - m.b * m.d;
    bool sane =
        area > 0.4f && area < 2.5f && fabsf(m.b) < 0.6f && fabsf(m.d) < 0.6f && m.a > 0.5f && m.e > 0.5f;
    return sane ? m : pz_affine_identity();
}

enum pz_status pz_wav2lip_crop_cut(const struct pz_picture *pic, const struct pz_affine *to_crop, int side,
                                   int rows, bool cubic, float *out)
{
    float k = (float)SIZE / (float)side;
    struct pz_affine back, small = {k, 0, 0, 0, k, 0}, map;
    enum pz_status st = pz_affine_invert(to_crop, &back);
    if (st < PZ_OK)
        return st;
    map = pz_affine_chain(&small, &back);
    struct pz_rgb dst = {.width = side, .height = rows, .data = out};
    pz_warp_picture_to_rgb(pic, &map, cubic ? PZ_FILTER_CUBIC : PZ_FILTER_BILINEAR, PZ_BORDER_REPLICATE,
                           &dst);
    return PZ_OK;
}

void pz_wav2lip_crop_lips(const struct pz_face_topology *topo, const struct pz_face *face,
                          const struct pz_affine *to_crop, float (*out)[2])
{
    for (int i = 0; i < PZ_WAV2LIP_LIPS; i++) {
        int half = PZ_WAV2LIP_LIPS / 2, id = i < half ? topo->outer_lip[i] : topo->inner_lip[i - half];
        pz_affine_apply(to_crop, face->xyz[id][0], face->xyz[id][1], &out[i][0], &out[i][1]);
    }
}

enum pz_status pz_wav2lip_crop_mark(const float (*lips)[2], float *plane)
{
    const int half = PZ_WAV2LIP_LIPS / 2;
    float *inner = pz_calloc((size_t)SIZE * SIZE, sizeof *inner);
    enum pz_status st = inner ? pz_mask_polygon(lips, half, plane, SIZE, SIZE, false) : PZ_ERR_NOMEM;
    if (st >= PZ_OK)
        st = pz_mask_polygon(lips + half, half, inner, SIZE, SIZE, false);
    if (st >= PZ_OK)
        for (int i = 0; i < SIZE * SIZE; i++)
            plane[i] = 0.5f * (plane[i] + inner[i]);
    pz_free(inner);
    return st;
}

enum pz_status pz_wav2lip_crop_alpha(const struct pz_face_topology *topo, const struct pz_face *face,
                                     const struct pz_affine *to_crop, float *alpha)
{
    float oval[PZ_MASK_LOWER_FACE_MAX][2], outline[PZ_MASK_LOWER_FACE_MAX][2], p[5][2];
    const int ids[5] = {topo->eye_outer[0], topo->eye_outer[1], topo->nose_tip, topo->chin, -1};
    struct pz_mask_face f = {.oval = (const float(*)[2])oval, .n_oval = topo->n_oval};
    memset(alpha, 0, (size_t)SIZE * SIZE * sizeof *alpha);
    if (topo->n_oval < 8 || topo->n_oval > PZ_MASK_LOWER_FACE_MAX)
        return PZ_OK;
    for (int i = 0; i < topo->n_oval; i++)
        pz_affine_apply(to_crop, face->xyz[topo->oval[i]][0], face->xyz[topo->oval[i]][1], &oval[i][0],
                        &oval[i][1]);
    for (int i = 0; i < 5; i++) {
        const float *a = face->xyz[i < 4 ? ids[i] : topo->mouth_corner[0]],
                    *b = face->xyz[i < 4 ? ids[i] : topo->mouth_corner[1]];
        pz_affine_apply(to_crop, 0.5f * (a[0] + b[0]), 0.5f * (a[1] + b[1]), &p[i][0], &p[i][1]);
    }
    for (int k = 0; k < 2; k++) {
        f.eye_outer[0][k] = p[0][k];
        f.eye_outer[1][k] = p[1][k];
        f.nose_tip[k] = p[2][k];
        f.chin[k] = p[3][k];
        f.mouth[k] = p[4][k];
    }
    int n = pz_mask_lower_face(&f, INSET, CHIN_MARGIN, outline);
    if (n < 3)
        return PZ_OK;
    enum pz_status st = pz_mask_polygon((const float(*)[2])outline, n, alpha, SIZE, SIZE, false);
    return st < PZ_OK ? st : pz_mask_feather(alpha, SIZE, SIZE, FEATHER);
}

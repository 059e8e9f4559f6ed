/* Signatures of looks: a crop around the head, blurred to a centimetre, read at places of the posed mean
 * face. Places and weights were chosen on the real clips (docs/notes/face.md). */
#include "face/likeness.h"

#include <math.h>

#include "face/embedded.h"
#include "face/pose.h"
#include "face/topology.h"

#define SIDE 64
#define AROUND 10
#define TINT_WEIGHT 5
#define NOVEL 0.12f

/* Points of the mesh above the mouth, spread evenly. */
static const uint16_t places[PZ_LIKENESS_PLACES - AROUND] = {
    0,   103, 251, 132, 435, 285, 118, 162, 346, 454, 192, 297, 236, 436, 65,  283, 10,  206, 371, 156,
    234, 264, 112, 457, 123, 380, 366, 361, 383, 376, 63,  337, 227, 75,  108, 160, 412, 184, 215, 416,
    304, 100, 67,  332, 296, 187, 54,  263, 389, 21,  284, 280, 460, 111, 237, 151, 193, 348, 345, 109,
    338, 456, 5,   127, 356, 139, 413, 93,  323, 368, 411, 257, 9,   298, 50,  69,  107, 299, 197, 177,
    401, 137, 114, 34,  447, 2,   165, 36,  147, 352, 71,  301, 423, 104, 333, 230};

/* Hair, ears, neck: places of head space. */
static const float around[AROUND][3] = {{0, 1.15f, -0.2f},    {-0.35f, 1.1f, -0.3f}, {0.35f, 1.1f, -0.3f},
                                        {-0.7f, 0.9f, -0.5f}, {0.7f, 0.9f, -0.5f},   {0, 0.95f, -0.1f},
                                        {-1, 0.4f, -0.7f},    {1, 0.4f, -0.7f},      {-0.95f, -0.3f, -0.8f},
                                        {0.95f, -0.3f, -0.8f}};

/* Mean of 3×3. */
static void blur(const float (*in)[3], float (*out)[3])
{
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            for (int c = 0; c < 3; c++) {
                float sum = 0;
                for (int dy = -1; dy <= 1; dy++)
                    for (int dx = -1; dx <= 1; dx++) {
                        int yy = y + dy < 0 ? 0 : y + dy >= SIDE ? SIDE - 1 : y + dy;
                        int xx = x + dx < 0 ? 0 : x + dx >= SIDE ? SIDE - 1 : x + dx;
                        sum += in[yy * SIDE + xx][c];
                    }
                out[y * SIDE + x][c] = sum / 9;
            }
}

/* Bilinear, at picture point (x, y) of the region the crop was taken from. */
static void read_at(const float (*in)[3], const struct pz_face_rect *r, float x, float y, float out[3])
{
    float c = cosf(r->angle), s = sinf(r->angle), dx = x - r->cx, dy = y - r->cy;
    float u = (c * dx + s * dy) / r->w * SIDE + SIDE / 2 - 0.5f,
          v = (c * dy - s * dx) / r->h * SIDE + SIDE / 2 - 0.5f;
    u = fminf(fmaxf(u, 0), SIDE - 1.001f);
    v = fminf(fmaxf(v, 0), SIDE - 1.001f);
    int iu = (int)u, iv = (int)v;
    float fu = u - (float)iu, fv = v - (float)iv;
    const float(*p)[3] = in + iv * SIDE + iu;
    for (int k = 0; k < 3; k++)
        out[k] = (1 - fv) * ((1 - fu) * p[0][k] + fu * p[1][k]) +
                 fv * ((1 - fu) * p[SIDE][k] + fu * p[SIDE + 1][k]);
}

/* How much a place of the mean face looks at the camera: its direction from the axis of the head, turned. */
static float facing(const struct pz_face_pose *pose, const float *m)
{
    float n[3] = {m[0], 0.5f * m[1], m[2] + 0.7f};
    float turned = pose->r[6] * n[0] + pose->r[7] * n[1] + pose->r[8] * n[2];
    return fmaxf(turned / fmaxf(sqrtf(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]), 1e-6f), 0);
}

enum pz_status pz_likeness_take(const struct pz_picture *pic, const float (*xyz)[3],
                                struct pz_crop_scratch *scratch, struct pz_likeness *out)
{
    float raw[SIDE * SIDE][3], smooth[SIDE * SIDE][3];
    const struct pz_face_topology *topo = pz_face_topology_mesh();
    struct pz_face_rect r = pz_embedded_roi_from_points(xyz);
    struct pz_head_fit fit;
    struct pz_face_pose pose;
    r.w *= 1.2f;
    r.h *= 1.2f;
    enum pz_status st = pz_face_crop(pic, &r, 0, 1, PZ_CROP_FINE, scratch, raw[0], SIDE, SIDE);
    if (st < PZ_OK)
        return st;
    blur((const float(*)[3])raw, smooth);
    pz_head_fit_points(topo->mean, xyz, topo->rigid, NULL, topo->n_rigid, &fit);
    pz_head_pose(&fit, &pose);
    for (int i = 0; i < PZ_LIKENESS_PLACES; i++) {
        int k = i - (PZ_LIKENESS_PLACES - AROUND);
        float p[3], rgb[3];
        if (k < 0)
            for (int c = 0; c < 3; c++)
                p[c] = xyz[places[i]][c];
        else
            pz_head_to_px(&fit, around[k], p);
        read_at((const float(*)[3])smooth, &r, p[0], p[1], rgb);
        float all = rgb[0] + rgb[1] + rgb[2] + 0.15f;
        out->light[i] = logf(0.299f * rgb[0] + 0.587f * rgb[1] + 0.114f * rgb[2] + 0.05f);
        out->tint[i][0] = rgb[0] / all;
        out->tint[i][1] = rgb[2] / all;
        out->weight[i] = k < 0 ? facing(&pose, topo->mean[places[i]]) : 0.6f;
    }
    return PZ_OK;
}

float pz_likeness_distance(const struct pz_likeness *a, const struct pz_likeness *b)
{
    float w[PZ_LIKENESS_PLACES], sum = 1e-6f, mean[2] = {0}, tint = 0, both = 0, square[2] = {1e-6f, 1e-6f};
    for (int i = 0; i < PZ_LIKENESS_PLACES; i++) {
        w[i] = a->weight[i] * b->weight[i];
        sum += w[i];
        mean[0] += w[i] * a->light[i];
        mean[1] += w[i] * b->light[i];
        tint += w[i] * (fabsf(a->tint[i][0] - b->tint[i][0]) + fabsf(a->tint[i][1] - b->tint[i][1]));
    }
    for (int i = 0; i < PZ_LIKENESS_PLACES; i++) {
        float x = a->light[i] - mean[0] / sum, y = b->light[i] - mean[1] / sum;
        both += w[i] * x * y;
        square[0] += w[i] * x * x;
        square[1] += w[i] * y * y;
    }
    return fminf(1 - both / sqrtf(square[0] * square[1]) + TINT_WEIGHT * tint / sum, 2);
}

float pz_album_distance(const struct pz_album *a, const struct pz_likeness *l)
{
    float best = 2;
    for (int i = 0; i < a->n; i++)
        best = fminf(best, pz_likeness_distance(&a->look[i], l));
    return best;
}

void pz_album_add(struct pz_album *a, const struct pz_likeness *l)
{
    if (a->n && pz_album_distance(a, l) < NOVEL)
        return;
    if (a->n < PZ_ALBUM) {
        a->look[a->n++] = *l;
    } else {
        a->look[1 + a->next] = *l;
        a->next = (a->next + 1) % (PZ_ALBUM - 1);
    }
}

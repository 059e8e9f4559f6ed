/* Mouth geometry on tracked points. Knows no engine and draws nothing. */
#include "pipeline/qc_mouth.h"

#include <math.h>

#include "base/mem.h"
#include "image/mask.h"

bool pz_mouth_box(const struct pz_face *face, const struct pz_face_topology *topo, float factor, int w, int h,
                  struct pz_box *box)
{
    float x0 = INFINITY, y0 = INFINITY, x1 = -INFINITY, y1 = -INFINITY;
    for (int i = 0; i < topo->n_outer_lip; i++) {
        int k = topo->outer_lip[i];
        if (k < 0 || k >= face->n_points)
            return false;
        x0 = fminf(x0, face->xyz[k][0]);
        x1 = fmaxf(x1, face->xyz[k][0]);
        y0 = fminf(y0, face->xyz[k][1]);
        y1 = fmaxf(y1, face->xyz[k][1]);
    }
    float cx = 0.5f * (x0 + x1), cy = 0.5f * (y0 + y1), rx = 0.5f * factor * (x1 - x0),
          ry = 0.5f * factor * (y1 - y0);
    if (!(rx > 0 && ry > 0 && rx < 1e5f && ry < 1e5f && fabsf(cx) < 1e5f && fabsf(cy) < 1e5f))
        return false;
    box->x0 = (int)fmaxf(floorf(cx - rx), 0);
    box->y0 = (int)fmaxf(floorf(cy - ry), 0);
    box->x1 = (int)fminf(ceilf(cx + rx), (float)w);
    box->y1 = (int)fminf(ceilf(cy + ry), (float)h);
    return box->x1 - box->x0 >= 12 && box->y1 - box->y0 >= 12;
}

enum pz_status pz_plane_reserve(struct pz_plane *p, size_t n)
{
    if (n <= p->cap)
        return PZ_OK;
    float *d = pz_calloc(n + n / 2, sizeof *d);
    if (!d)
        return PZ_ERR_NOMEM;
    pz_free(p->data);
    p->data = d;
    p->cap = n + n / 2;
    return PZ_OK;
}

void pz_box_luma(const struct pz_picture *p, const struct pz_box *box, float *out)
{
    for (int y = box->y0; y < box->y1; y++) {
        const uint8_t *s = p->plane[0] + (size_t)y * p->stride[0];
        for (int x = box->x0; x < box->x1; x++)
            *out++ = s[x];
    }
}

int pz_mouth_outline(const struct pz_face *face, const struct pz_face_topology *topo, float (*out)[2])
{
    float oval[PZ_MASK_LOWER_FACE_MAX][2];
    struct pz_mask_face f = {.oval = (const float(*)[2])oval, .n_oval = topo->n_oval};
    if (topo->n_oval < 8 || topo->n_oval > PZ_MASK_LOWER_FACE_MAX)
        return 0;
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < topo->n_oval; i++)
            oval[i][k] = face->xyz[topo->oval[i]][k];
        for (int e = 0; e < 2; e++)
            f.eye_outer[e][k] = face->xyz[topo->eye_outer[e]][k];
        f.nose_tip[k] = face->xyz[topo->nose_tip][k];
        f.chin[k] = face->xyz[topo->chin][k];
        f.mouth[k] = 0.5f * (face->xyz[topo->mouth_corner[0]][k] + face->xyz[topo->mouth_corner[1]][k]);
    }
    return pz_mask_lower_face(&f, 0.06f, 0.12f, out);
}

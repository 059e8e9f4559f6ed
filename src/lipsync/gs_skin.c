/* The net and its picture. Which frame the picture comes from is chosen by the fit. */
#include "lipsync/gs_skin.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

#define OUTSIDE (-1e6f)

enum pz_status pz_gs_skin_take(struct pz_gs_model *g, const float *luma, const float *mask,
                               const struct pz_splat_camera *cam, const float *m)
{
    struct pz_gs_skin *s = &g->skin;
    const int w = g->width, h = g->height;
    const size_t area = (size_t)w * (size_t)h;
    float *tmp = pz_calloc(area, sizeof *tmp);
    s->detail = pz_calloc(area, sizeof *s->detail);
    s->at = pz_calloc((size_t)s->net.n * 2, sizeof(float));
    if (!tmp || !s->detail || !s->at) {
        pz_free(tmp);
        return PZ_ERR_NOMEM;
    }
    pz_gs_detail(luma, tmp, s->detail, w, h);
    for (size_t i = 0; i < area; i++)
        s->detail[i] *= mask[i];
    pz_gs_curve_project(&s->net, g->k, m, cam, s->at);
    for (int i = 0; i < s->net.n; i++) {
        const float x = s->at[i][0], y = s->at[i][1];
        const bool in = s->on[i] && x >= 2.0f && y >= 2.0f && x <= (float)w - 2.0f && y <= (float)h - 2.0f;
        const bool skin = in && mask[(size_t)y * (size_t)w + (size_t)x] > 0.5f;
        if (!skin)
            s->at[i][0] = s->at[i][1] = OUTSIDE;
    }
    pz_free(tmp);
    return PZ_OK;
}

/** Catmull–Rom; (x, y) at least 2 px from the border. */
static float sample(const float *p, int w, float x, float y)
{
    const float u = x - 0.5f, v = y - 0.5f;
    const int ix = (int)u, iy = (int)v;
    const float tx = u - (float)ix, ty = v - (float)iy;
    const float wx[4] = {tx * (-0.5f + tx * (1.0f - 0.5f * tx)), 1.0f + tx * tx * (-2.5f + 1.5f * tx),
                         tx * (0.5f + tx * (2.0f - 1.5f * tx)), tx * tx * (-0.5f + 0.5f * tx)};
    const float wy[4] = {ty * (-0.5f + ty * (1.0f - 0.5f * ty)), 1.0f + ty * ty * (-2.5f + 1.5f * ty),
                         ty * (0.5f + ty * (2.0f - 1.5f * ty)), ty * ty * (-0.5f + 0.5f * ty)};
    float sum = 0.0f;
    const float *r = p + (ptrdiff_t)(iy - 1) * w + ix - 1;
    for (int j = 0; j < 4; j++, r += w)
        sum += wy[j] * (wx[0] * r[0] + wx[1] * r[1] + wx[2] * r[2] + wx[3] * r[3]);
    return sum;
}

/** One triangle: corners on the new picture and in the skin's. */
static void lay_triangle(const struct pz_gs_model *g, const float *const p[3], const float *const q[3],
                         const struct pz_gs_skin_map *map)
{
    const int w = g->width, h = g->height;
    float lo[2], hi[2];
    for (int a = 0; a < 2; a++) {
        lo[a] = fminf(p[0][a], fminf(p[1][a], p[2][a]));
        hi[a] = fmaxf(p[0][a], fmaxf(p[1][a], p[2][a]));
    }
    const float ex = p[1][0] - p[0][0], ey = p[1][1] - p[0][1], fx = p[2][0] - p[0][0],
                fy = p[2][1] - p[0][1];
    const float det = ex * fy - fx * ey;
    if (!(fabsf(det) > 0.05f) || !(hi[0] - lo[0] < 100.0f) || !(hi[1] - lo[1] < 100.0f) || !(hi[0] > 0.0f) ||
        !(hi[1] > 0.0f) || !(lo[0] < (float)w) || !(lo[1] < (float)h))
        return;
    const int x0 = (int)fmaxf(ceilf(lo[0] - 0.5f), 0.0f),
              x1 = (int)fminf(floorf(hi[0] - 0.5f), (float)(w - 1));
    const int y0 = (int)fmaxf(ceilf(lo[1] - 0.5f), 0.0f),
              y1 = (int)fminf(floorf(hi[1] - 0.5f), (float)(h - 1));
    for (int y = y0; y <= y1; y++)
        for (int x = x0; x <= x1; x++) {
            const float dx = (float)x + 0.5f - p[0][0], dy = (float)y + 0.5f - p[0][1];
            const float u = (dx * fy - fx * dy) / det, v = (ex * dy - dx * ey) / det;
            if (u < -1e-4f || v < -1e-4f || u + v > 1.0001f)
                continue;
            const float sx = q[0][0] + u * (q[1][0] - q[0][0]) + v * (q[2][0] - q[0][0]);
            const float sy = q[0][1] + u * (q[1][1] - q[0][1]) + v * (q[2][1] - q[0][1]);
            if (!(sx >= 2.0f && sy >= 2.0f && sx <= (float)w - 2.5f && sy <= (float)h - 2.5f))
                continue;
            const ptrdiff_t i = (ptrdiff_t)y * w + x;
            map->detail[i] = sample(g->skin.detail, w, sx, sy);
            map->cover[i] = 1.0f;
        }
}

void pz_gs_skin_lay(const struct pz_gs_model *g, const struct pz_splat_camera *cam, const float *m,
                    float (*nodes)[2], const struct pz_gs_skin_map *map)
{
    const struct pz_gs_skin *s = &g->skin;
    const size_t area = (size_t)g->width * (size_t)g->height;
    memset(map->detail, 0, area * sizeof(float));
    memset(map->cover, 0, area * sizeof(float));
    if (!s->detail)
        return;
    pz_gs_curve_project(&s->net, g->k, m, cam, nodes);
    const int rows = s->net.n / s->columns;
    for (int y = 0; y + 1 < rows; y++)
        for (int x = 0; x + 1 < s->columns; x++) {
            const int a = y * s->columns + x, id[4] = {a, a + 1, a + s->columns, a + s->columns + 1};
            for (int t = 0; t < 2; t++) {
                const float *p[3], *q[3];
                bool whole = true;
                for (int c = 0; c < 3; c++) {
                    p[c] = nodes[id[c + t]];
                    q[c] = s->at[id[c + t]];
                    whole = whole && q[c][0] > 0.0f;
                }
                if (whole)
                    lay_triangle(g, p, q, map);
            }
        }
}

void pz_gs_skin_apply(const struct pz_gs_model *g, const struct pz_gs_skin_map *map, const float *hole,
                      float share, float *rgb, float *luma, float *own, float *tmp)
{
    const int w = g->width, h = g->height;
    const int64_t area = (int64_t)w * h;
    for (int64_t i = 0; i < area; i++)
        luma[i] = 0.299f * rgb[i] + 0.587f * rgb[area + i] + 0.114f * rgb[2 * area + i];
    pz_gs_detail(luma, tmp, own, w, h);
    for (int64_t i = 0; i < area; i++) {
        const float cover = map->cover[i] * (1.0f - hole[i]);
        own[i] = cover * (share * map->detail[i] - own[i]) + (1.0f - cover) * 0.5f * share * own[i];
    }
    for (int c = 0; c < 3; c++)
        for (int64_t i = 0; i < area; i++)
            rgb[c * area + i] = fminf(fmaxf(rgb[c * area + i] + own[i], 0.0f), 1.0f);
}

/* Affine maps of the plane. Sums run in double; nothing is allocated. No projective maps, no robust fits. */
#include "image/affine.h"

#include <math.h>

struct pz_affine pz_affine_identity(void)
{
    return (struct pz_affine){1, 0, 0, 0, 1, 0};
}

void pz_affine_apply(const struct pz_affine *m, float x, float y, float *ox, float *oy)
{
    *ox = m->a * x + m->b * y + m->c;
    *oy = m->d * x + m->e * y + m->f;
}

static bool finite_map(const struct pz_affine *m)
{
    return isfinite(m->a) && isfinite(m->b) && isfinite(m->c) && isfinite(m->d) && isfinite(m->e) &&
           isfinite(m->f);
}

enum pz_status pz_affine_invert(const struct pz_affine *m, struct pz_affine *out)
{
    struct pz_affine s = *m;
    *out = pz_affine_identity();
    double det = (double)s.a * s.e - (double)s.b * s.d;
    if (!finite_map(&s) || fabs(det) < 1e-12)
        return PZ_ERR_USAGE;
    double a = s.e / det, b = -s.b / det, d = -s.d / det, e = s.a / det;
    *out = (struct pz_affine){(float)a, (float)b, (float)(-(a * s.c + b * s.f)),
                              (float)d, (float)e, (float)(-(d * s.c + e * s.f))};
    return PZ_OK;
}

struct pz_affine pz_affine_chain(const struct pz_affine *p, const struct pz_affine *q)
{
    return (struct pz_affine){q->a * p->a + q->b * p->d,        q->a * p->b + q->b * p->e,
                              q->a * p->c + q->b * p->f + q->c, q->d * p->a + q->e * p->d,
                              q->d * p->b + q->e * p->e,        q->d * p->c + q->e * p->f + q->f};
}

float pz_affine_scale(const struct pz_affine *m)
{
    return sqrtf(fabsf(m->a * m->e - m->b * m->d));
}

struct pz_affine pz_affine_from_box(float x0, float y0, float x1, float y1, int w, int h)
{
    float sx = (float)w / (x1 - x0), sy = (float)h / (y1 - y0);
    return (struct pz_affine){sx, 0, -x0 * sx, 0, sy, -y0 * sy};
}

/** Weighted means of both sets; false when there is no weight at all. */
static bool centroids(const float (*from)[2], const float (*to)[2], const float *weight, int n, double c[4])
{
    double sw = 0, s[4] = {0};
    for (int i = 0; i < n; i++) {
        double w = weight ? weight[i] : 1;
        sw += w;
        s[0] += w * from[i][0];
        s[1] += w * from[i][1];
        s[2] += w * to[i][0];
        s[3] += w * to[i][1];
    }
    if (!(sw > 0))
        return false;
    for (int k = 0; k < 4; k++)
        c[k] = s[k] / sw;
    return isfinite(c[0]) && isfinite(c[1]) && isfinite(c[2]) && isfinite(c[3]);
}

enum pz_status pz_affine_fit_similarity(const float (*from)[2], const float (*to)[2], const float *weight,
                                        int n, struct pz_affine *out)
{
    double c[4], xx = 0, dot = 0, cross = 0;
    *out = pz_affine_identity();
    if (n < 2 || !centroids(from, to, weight, n, c))
        return PZ_ERR_USAGE;
    for (int i = 0; i < n; i++) {
        double w = weight ? weight[i] : 1;
        double x = from[i][0] - c[0], y = from[i][1] - c[1], u = to[i][0] - c[2], v = to[i][1] - c[3];
        xx += w * (x * x + y * y);
        dot += w * (x * u + y * v);
        cross += w * (x * v - y * u);
    }
    if (!(xx > 1e-12) || !(dot * dot + cross * cross > 0))
        return PZ_ERR_USAGE;
    double a = dot / xx, b = cross / xx;
    *out = (struct pz_affine){(float)a, (float)-b, (float)(c[2] - a * c[0] + b * c[1]),
                              (float)b, (float)a,  (float)(c[3] - b * c[0] - a * c[1])};
    return PZ_OK;
}

enum pz_status pz_affine_fit(const float (*from)[2], const float (*to)[2], const float *weight, int n,
                             struct pz_affine *out)
{
    double c[4], xx = 0, xy = 0, yy = 0, xu = 0, yu = 0, xv = 0, yv = 0;
    *out = pz_affine_identity();
    if (n < 3 || !centroids(from, to, weight, n, c))
        return PZ_ERR_USAGE;
    for (int i = 0; i < n; i++) {
        double w = weight ? weight[i] : 1;
        double x = from[i][0] - c[0], y = from[i][1] - c[1], u = to[i][0] - c[2], v = to[i][1] - c[3];
        xx += w * x * x;
        xy += w * x * y;
        yy += w * y * y;
        xu += w * x * u;
        yu += w * y * u;
        xv += w * x * v;
        yv += w * y * v;
    }
    double det = xx * yy - xy * xy;
    if (!(det > 1e-9 * (xx + yy) * (xx + yy)))
        return PZ_ERR_USAGE;
    double a = (xu * yy - yu * xy) / det, b = (yu * xx - xu * xy) / det;
    double d = (xv * yy - yv * xy) / det, e = (yv * xx - xv * xy) / det;
    *out = (struct pz_affine){(float)a, (float)b, (float)(c[2] - a * c[0] - b * c[1]),
                              (float)d, (float)e, (float)(c[3] - d * c[0] - e * c[1])};
    return PZ_OK;
}

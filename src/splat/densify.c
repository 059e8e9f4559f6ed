/**
 * More Gaussians where the image pulls hardest, fewer where nothing is seen. Budgeted: no threshold depends
 * on the scale of the loss.
 */
#include "splat/fit.h"

#include <math.h>
#include <string.h>

static void copy_row(struct pz_splat_set *s, int to, int from)
{
    for (int j = 0; j < pz_splat_planes(s); j++) {
        float *p = pz_splat_plane(s, j);
        p[to] = p[from];
    }
}

static void clear_row(struct pz_splat_set *s, int row)
{
    for (int j = 0; j < pz_splat_planes(s); j++)
        pz_splat_plane(s, j)[row] = 0.0f;
}

/** Direction of local axis `a` of Gaussian i in head space. */
static void axis_of(const struct pz_splat_set *s, int i, int a, float v[3])
{
    float q[4], n = 0.0f;
    for (int j = 0; j < 4; j++) {
        q[j] = pz_splat_plane(s, PZ_SPLAT_ROT + j)[i];
        n += q[j] * q[j];
    }
    const float h = 2.0f / (n + 1e-20f), w = q[0], x = q[1], y = q[2], z = q[3];
    const float r[9] = {1 - h * (y * y + z * z), h * (x * y - w * z),     h * (x * z + w * y),
                        h * (x * y + w * z),     1 - h * (x * x + z * z), h * (y * z - w * x),
                        h * (x * z - w * y),     h * (y * z + w * x),     1 - h * (x * x + y * y)};
    for (int j = 0; j < 3; j++)
        v[j] = r[3 * j + a];
}

static void divide(struct pz_splat_set *s, int i, int to, float split_above, struct pz_rng *rng)
{
    copy_row(s, to, i);
    float *lo = pz_splat_plane(s, PZ_SPLAT_OPACITY);
    const float alpha = 1.0f / (1.0f + expf(-lo[i]));
    float half = 1.0f - sqrtf(1.0f - fminf(alpha, 0.999f));
    half = fmaxf(half, 1e-4f);
    lo[i] = lo[to] = logf(half / (1.0f - half));
    int axis = 0;
    for (int a = 1; a < 3; a++)
        if (pz_splat_plane(s, PZ_SPLAT_SCALE + a)[i] > pz_splat_plane(s, PZ_SPLAT_SCALE + axis)[i])
            axis = a;
    const float sigma = expf(pz_splat_plane(s, PZ_SPLAT_SCALE + axis)[i]);
    float v[3];
    axis_of(s, i, axis, v);
    const bool split = sigma > split_above;
    const float step = split ? 0.7f * sigma : 0.2f * sigma * (2.0f * pz_rng_uniform(rng) - 1.0f);
    for (int j = 0; j < 3; j++) {
        float *p = pz_splat_plane(s, PZ_SPLAT_POS + j);
        p[i] += step * v[j];
        p[to] -= step * v[j];
        if (split) {
            float *l = pz_splat_plane(s, PZ_SPLAT_SCALE + j);
            l[i] -= 0.47f; /* ln 1.6 */
            l[to] = l[i];
        }
    }
}

int pz_splat_densify(struct pz_splat_set *s, struct pz_splat_optimiser *o, float *score, int budget,
                     float split_above, struct pz_rng *rng)
{
    const int old = s->n;
    int added = 0;
    while (added < budget && s->n < s->cap) {
        int best = -1;
        for (int i = 0; i < old; i++)
            if (score[i] > 0.0f && (best < 0 || score[i] > score[best]))
                best = i;
        if (best < 0)
            break;
        divide(s, best, s->n, split_above, rng);
        clear_row(&o->first, best);
        clear_row(&o->second, best);
        clear_row(&o->first, s->n);
        clear_row(&o->second, s->n);
        score[best] = 0.0f;
        score[s->n++] = 0.0f;
        added++;
    }
    return added;
}

int pz_splat_prune(struct pz_splat_set *s, struct pz_splat_optimiser *o, const uint8_t *drop)
{
    int to = 0;
    for (int i = 0; i < s->n; i++) {
        if (drop[i])
            continue;
        if (to != i) {
            copy_row(s, to, i);
            copy_row(&o->first, to, i);
            copy_row(&o->second, to, i);
        }
        to++;
    }
    const int gone = s->n - to;
    s->n = to;
    return gone;
}

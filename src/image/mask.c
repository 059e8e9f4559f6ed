/* Masks. Polygons are filled by scan lines with exact horizontal coverage; distances are exact. No morphology
 * beyond thresholds on distance, no splines. */
#include "image/mask.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

#define SCANS 4
#define FAR 1e12f

float pz_smoothstep(float t)
{
    if (!(t > 0))
        return 0;
    return t < 1 ? t * t * (3 - 2 * t) : 1;
}

struct crossing {
    float x;
    int winding;
};

/** Crossings of one scan line, sorted by x. */
static int collect(const float (*p)[2], int n, float y, struct crossing *c)
{
    int m = 0;
    for (int i = 0; i < n; i++) {
        const float *a = p[i], *b = p[(i + 1) % n];
        if ((a[1] <= y) == (b[1] <= y))
            continue;
        struct crossing k = {a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0]), b[1] > a[1] ? 1 : -1};
        int j = m++;
        for (; j > 0 && c[j - 1].x > k.x; j--)
            c[j] = c[j - 1];
        c[j] = k;
    }
    return m;
}

/** Add the part of [x0,x1) that falls into each pixel of a row. */
static void add_span(float *row, int w, float x0, float x1)
{
    x0 = x0 > 0 ? x0 : 0;
    x1 = x1 < (float)w ? x1 : (float)w;
    if (!(x1 > x0))
        return;
    int i0 = (int)x0, i1 = (int)x1;
    if (i0 == i1) {
        row[i0] += (x1 - x0) / SCANS;
        return;
    }
    row[i0] += ((float)(i0 + 1) - x0) / SCANS;
    for (int i = i0 + 1; i < i1; i++)
        row[i] += 1.0f / SCANS;
    if (i1 < w)
        row[i1] += (x1 - (float)i1) / SCANS;
}

static void fill_row(const float (*p)[2], int n, int y, struct crossing *c, float *row, int w)
{
    for (int s = 0; s < SCANS; s++) {
        int m = collect(p, n, (float)y + (s + 0.5f) / SCANS, c), winding = 0;
        for (int i = 0; i + 1 < m; i++) {
            winding += c[i].winding;
            if (winding)
                add_span(row, w, c[i].x, c[i + 1].x);
        }
    }
}

enum pz_status pz_mask_polygon(const float (*point)[2], int n, float *coverage, int w, int h, bool unite)
{
    if (n < 3 || n > PZ_POLYGON_MAX_POINTS || w < 1 || h < 1)
        return PZ_ERR_USAGE;
    float top = FAR, bottom = -FAR;
    for (int i = 0; i < n; i++) {
        if (!isfinite(point[i][0]) || !isfinite(point[i][1]))
            return PZ_ERR_USAGE;
        top = fminf(top, point[i][1]);
        bottom = fmaxf(bottom, point[i][1]);
    }
    struct crossing *c = pz_calloc((size_t)n, sizeof *c);
    float *row = pz_calloc((size_t)w, sizeof *row);
    if (!c || !row) {
        pz_free(c);
        pz_free(row);
        return PZ_ERR_NOMEM;
    }
    if (!unite)
        memset(coverage, 0, (size_t)w * h * sizeof *coverage);
    int y0 = top > 0 ? (int)fminf(top, (float)h) : 0, y1 = bottom < (float)h ? (int)fmaxf(bottom + 1, 0) : h;
    for (int y = y0; y < y1 && y < h; y++) {
        memset(row, 0, (size_t)w * sizeof *row);
        fill_row(point, n, y, c, row, w);
        float *d = coverage + (size_t)y * w;
        for (int x = 0; x < w; x++) {
            float v = row[x] < 1 ? row[x] : 1;
            d[x] = d[x] > v ? d[x] : v;
        }
    }
    pz_free(c);
    pz_free(row);
    return PZ_OK;
}

/** Lower envelope of parabolas: out[q] = min over p of (q-p)² + f[p]. v [n], z [n+1] are scratch. */
static void distance_1d(const double *f, double *out, int n, int *v, double *z)
{
    int k = 0;
    v[0] = 0;
    z[0] = -HUGE_VAL;
    z[1] = HUGE_VAL;
    for (int q = 1; q < n; q++) {
        double s;
        for (;; k--) { /* ends at k = 0 at the latest: z[0] is minus infinity and s is finite */
            int p = v[k];
            s = ((f[q] + (double)q * q) - (f[p] + (double)p * p)) / (2.0 * (q - p));
            if (s > z[k])
                break;
        }
        k++;
        v[k] = q;
        z[k] = s;
        z[k + 1] = HUGE_VAL;
    }
    for (int q = 0, j = 0; q < n; q++) {
        while (z[j + 1] < q)
            j++;
        double d = q - v[j];
        out[q] = d * d + f[v[j]];
    }
}

enum pz_status pz_mask_distance(const float *mask, float level, float *out, int w, int h,
                                bool outside_is_zero)
{
    if (w < 1 || h < 1)
        return PZ_ERR_USAGE;
    int n = (w > h ? w : h) + 2;
    double *f = pz_calloc((size_t)n, sizeof *f), *g = pz_calloc((size_t)n, sizeof *g);
    double *z = pz_calloc((size_t)n + 1, sizeof *z);
    int *v = pz_calloc((size_t)n, sizeof *v);
    enum pz_status st = f && g && z && v ? PZ_OK : PZ_ERR_NOMEM;
    PZ_TRY(st);
    double rim = outside_is_zero ? 0 : FAR; /* finite, so that intersections stay finite */
    for (size_t i = 0; i < (size_t)w * h; i++)
        out[i] = mask[i] < level ? 0 : FAR;
    for (int x = 0; x < w; x++) {
        f[0] = f[h + 1] = rim;
        for (int y = 0; y < h; y++)
            f[y + 1] = out[(size_t)y * w + x];
        distance_1d(f, g, h + 2, v, z);
        for (int y = 0; y < h; y++)
            out[(size_t)y * w + x] = (float)g[y + 1];
    }
    for (int y = 0; y < h; y++) {
        f[0] = f[w + 1] = rim;
        for (int x = 0; x < w; x++)
            f[x + 1] = out[(size_t)y * w + x];
        distance_1d(f, g, w + 2, v, z);
        for (int x = 0; x < w; x++)
            out[(size_t)y * w + x] = (float)sqrt(g[x + 1]);
    }
fail:
    pz_free(f);
    pz_free(g);
    pz_free(z);
    pz_free(v);
    return st;
}

enum pz_status pz_mask_feather(float *mask, int w, int h, float width)
{
    enum pz_status st = pz_mask_distance(mask, 0.5f, mask, w, h, false);
    if (st < PZ_OK)
        return st;
    for (size_t i = 0; i < (size_t)w * h; i++)
        mask[i] = pz_smoothstep(width > 0 ? mask[i] / (width + 1) : mask[i]);
    return PZ_OK;
}

/** Face axes: x from the subject's right eye to the left one, y down the face; unit = distance of the outer
 * corners. */
struct axes {
    float ox, oy, xx, xy, yx, yy, unit;
};

static bool face_axes(const struct pz_mask_face *f, struct axes *a)
{
    float dx = f->eye_outer[1][0] - f->eye_outer[0][0], dy = f->eye_outer[1][1] - f->eye_outer[0][1];
    a->ox = 0.5f * (f->eye_outer[0][0] + f->eye_outer[1][0]);
    a->oy = 0.5f * (f->eye_outer[0][1] + f->eye_outer[1][1]);
    /* The long axis eyes → chin survives yaw better than the eye line does. */
    float cx = f->chin[0] - a->ox, cy = f->chin[1] - a->oy, len = hypotf(cx, cy);
    a->unit = fmaxf(hypotf(dx, dy), 0.6f * len);
    if (!(len > 1) || !(a->unit > 1) || !isfinite(len) || !isfinite(a->unit))
        return false;
    a->yx = cx / len;
    a->yy = cy / len;
    a->xx = a->yy;
    a->xy = -a->yx;
    if (a->xx * dx + a->xy * dy < 0) {
        a->xx = -a->xx;
        a->xy = -a->xy;
    }
    return true;
}

static void to_face(const struct axes *a, const float p[2], float *u, float *v)
{
    float x = p[0] - a->ox, y = p[1] - a->oy;
    *u = (x * a->xx + y * a->xy) / a->unit;
    *v = (x * a->yx + y * a->yy) / a->unit;
}

int pz_mask_lower_face(const struct pz_mask_face *face, float inset, float chin_margin, float (*out)[2])
{
    struct axes a;
    if (face->n_oval < 8 || face->n_oval > PZ_MASK_LOWER_FACE_MAX - 8 || !face_axes(face, &a))
        return 0;
    float nu, nv, mu, mv, cu, cv;
    to_face(&a, face->nose_tip, &nu, &nv);
    to_face(&a, face->mouth, &mu, &mv);
    to_face(&a, face->chin, &cu, &cv);
    if (!(mv > nv) || !(cv > mv))
        return 0;
    /* The nose base lies about a third of the way from the tip to the lips; cheeks start at the tip's level.
     */
    float base = nv + 0.30f * (mv - nv), cheek = nv + 0.02f, span = cv - cheek;
    int first = -1, n = 0;
    for (int i = 0; i < face->n_oval; i++) { /* first jaw point after the forehead stretch of the ring */
        float u, v, pu, pv;
        to_face(&a, face->oval[i], &u, &v);
        to_face(&a, face->oval[(i + face->n_oval - 1) % face->n_oval], &pu, &pv);
        if (v >= cheek && pv < cheek) {
            first = i;
            break;
        }
    }
    if (first < 0)
        return 0;
    for (int i = 0; i < face->n_oval; i++) {
        float u, v;
        to_face(&a, face->oval[(first + i) % face->n_oval], &u, &v);
        if (v < cheek)
            break;
        /* 0 at the cheek, 1 at the chin: from pulled in sideways to pushed out downwards. */
        float t = pz_smoothstep((v - cheek) / span), side = u > mu ? -1.0f : 1.0f;
        float uu = u + side * inset * (1 - t) * 1.6f, vv = v + chin_margin * t * t;
        out[n][0] = uu;
        out[n++][1] = vv;
    }
    if (n < 5)
        return 0;
    /* Close over the top: from the last jaw point across the nose base back to the first. */
    float lu = out[n - 1][0], fu = out[0][0];
    const float over[3][2] = {{0.55f * lu + 0.45f * nu, nv + 0.10f * (mv - nv)},
                              {nu, base},
                              {0.55f * fu + 0.45f * nu, nv + 0.10f * (mv - nv)}};
    for (int i = 0; i < 3; i++) {
        out[n][0] = over[i][0];
        out[n++][1] = over[i][1];
    }
    for (int i = 0; i < n; i++) {
        float u = out[i][0] * a.unit, v = out[i][1] * a.unit;
        out[i][0] = a.ox + u * a.xx + v * a.yx;
        out[i][1] = a.oy + u * a.xy + v * a.yy;
    }
    return n;
}

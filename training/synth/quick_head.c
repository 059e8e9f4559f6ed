/* Reads the packed head. Does: check and copy, blend a person, make the noise tile and the face mask (lip
 * border, brows, wrinkles) in UV. Does not: draw. Source: fact sheet synth.md §3, §4, §5. */
#include "quick_head.h"

#include <string.h>

#include "base/mem.h"
#include "skin.h"
#include "weights/safetensors.h"

/** Order of the fact sheet §2. */
static const char *const kWeight[PZ_Q_N_WEIGHT] = {
    "browDown_L",       "browDown_R",       "browInnerUp_L",  "browInnerUp_R",   "browOuterUp_L",
    "browOuterUp_R",    "cheekPuff_L",      "cheekPuff_R",    "cheekSquint_L",   "cheekSquint_R",
    "eyeBlink_L",       "eyeBlink_R",       "eyeLookDown_L",  "eyeLookDown_R",   "eyeLookIn_L",
    "eyeLookIn_R",      "eyeLookOut_L",     "eyeLookOut_R",   "eyeLookUp_L",     "eyeLookUp_R",
    "eyeSquint_L",      "eyeSquint_R",      "eyeWide_L",      "eyeWide_R",       "jawForward",
    "jawLeft",          "jawOpen",          "jawRight",       "mouthClose",      "mouthDimple_L",
    "mouthDimple_R",    "mouthFrown_L",     "mouthFrown_R",   "mouthFunnel",     "mouthLeft",
    "mouthLowerDown_L", "mouthLowerDown_R", "mouthPress_L",   "mouthPress_R",    "mouthPucker",
    "mouthRight",       "mouthRollLower",   "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "mouthSmile_L",     "mouthSmile_R",     "mouthStretch_L", "mouthStretch_R",  "mouthUpperUp_L",
    "mouthUpperUp_R",   "noseSneer_L",      "noseSneer_R"};

const char *pz_q_weight_name(int i)
{
    return kWeight[i];
}

/** Copy a tensor that must have this type and shape into new memory. */
static enum pz_status take(struct pz_log *log, const struct pz_safetensors *f, const char *name,
                           enum pz_dtype type, int rank, const int64_t *shape, void *out, int64_t *n0)
{
    const struct pz_stored_tensor *t;
    enum pz_status st = pz_safetensors_expect(log, f, name, type, rank, shape, &t);
    if (st < PZ_OK)
        return st;
    void *p = pz_calloc(t->n_bytes + 1, 1);
    if (!p)
        return pz_fail(log, PZ_ERR_NOMEM, "head: out of memory");
    memcpy(p, t->data, t->n_bytes);
    memcpy(out, &p, sizeof p);
    if (n0)
        *n0 = t->shape[0];
    return PZ_OK;
}

static enum pz_status read_shapes(struct pz_log *log, const struct pz_safetensors *f, struct pz_syn_asset *a)
{
    enum pz_status st = PZ_OK;
    char *names = NULL;
    int32_t *count = NULL, *vertex = NULL;
    float *scale = NULL;
    int16_t *delta = NULL;
    int64_t n = 0, m = 0;
    const int64_t E = PZ_SYN_N_EXPR;
    PZ_TRY(take(log, f, "expression_name", PZ_DTYPE_U8, 2, (int64_t[]){E, 24}, &names, NULL));
    PZ_TRY(take(log, f, "expression_count", PZ_DTYPE_I32, 1, (int64_t[]){E}, &count, NULL));
    PZ_TRY(take(log, f, "expression_scale", PZ_DTYPE_F32, 1, (int64_t[]){E}, &scale, NULL));
    PZ_TRY(take(log, f, "expression_vertex", PZ_DTYPE_I32, 1, (int64_t[]){-1}, &vertex, &n));
    PZ_TRY(take(log, f, "expression_delta", PZ_DTYPE_I16, 2, (int64_t[]){-1, 3}, &delta, &m));
    int64_t o = 0;
    for (int k = 0; k < PZ_SYN_N_EXPR; k++) {
        struct pz_syn_sparse *e = &a->expr[k];
        if (count[k] < 0 || count[k] > n - o || n != m || names[24 * k + 23])
            PZ_TRY(pz_fail(log, PZ_ERR_FORMAT, "head: expression %d does not fit", k));
        memcpy(a->expr_name[k], names + 24 * k, 24);
        e->vertex = pz_calloc((size_t)count[k] + 1, sizeof *e->vertex);
        e->delta = pz_calloc((size_t)count[k] + 1, sizeof *e->delta);
        if (!e->vertex || !e->delta)
            PZ_TRY(pz_fail(log, PZ_ERR_NOMEM, "head: out of memory"));
        e->n = count[k];
        for (int i = 0; i < e->n; i++, o++) {
            if (vertex[o] < 0 || vertex[o] >= PZ_SYN_N_VERTS)
                PZ_TRY(pz_fail(log, PZ_ERR_FORMAT, "head: expression %d points outside", k));
            e->vertex[i] = vertex[o];
            e->delta[i] = v3_scale(v3(delta[3 * o], delta[3 * o + 1], delta[3 * o + 2]), scale[k]);
        }
    }
fail:
    pz_free(names);
    pz_free(count);
    pz_free(vertex);
    pz_free(scale);
    pz_free(delta);
    return st;
}

static enum pz_status read_mesh(struct pz_log *log, const struct pz_safetensors *f, struct pz_q_head *h)
{
    enum pz_status st = PZ_OK;
    struct pz_syn_asset *a = &h->asset;
    const int64_t V = PZ_SYN_N_VERTS;
    int64_t nt = 0, nm = 0, nu = 0;
    uint8_t *open8 = NULL;
    PZ_TRY(take(log, f, "neutral", PZ_DTYPE_F32, 2, (int64_t[]){V, 3}, &a->neutral, NULL));
    PZ_TRY(take(log, f, "triangle", PZ_DTYPE_I32, 2, (int64_t[]){-1, 3}, &a->tri, &nt));
    PZ_TRY(take(log, f, "triangle_uv", PZ_DTYPE_F32, 3, (int64_t[]){-1, 3, 2}, &a->tri_uv, &nu));
    PZ_TRY(take(log, f, "material", PZ_DTYPE_U8, 1, (int64_t[]){-1}, &a->mat, &nm));
    PZ_TRY(take(log, f, "part", PZ_DTYPE_U8, 1, (int64_t[]){V}, &a->part, NULL));
    PZ_TRY(take(log, f, "lower", PZ_DTYPE_U8, 1, (int64_t[]){V}, &a->lower, NULL));
    PZ_TRY(take(log, f, "open", PZ_DTYPE_U8, 1, (int64_t[]){V}, &open8, NULL));
    if (nt != nm || nt != nu || nt < 1 || nt > 60000)
        PZ_TRY(pz_fail(log, PZ_ERR_FORMAT, "head: lists of triangles differ in length"));
    a->n_tri = (int)nt;
    h->open = pz_calloc((size_t)V, sizeof *h->open);
    h->uv = pz_calloc((size_t)V, sizeof *h->uv);
    if (!h->open || !h->uv)
        PZ_TRY(pz_fail(log, PZ_ERR_NOMEM, "head: out of memory"));
    for (int t = 0; t < a->n_tri; t++)
        for (int k = 0; k < 3; k++) {
            uint32_t v = a->tri[3 * t + k];
            const float *q = a->tri_uv + 6 * (size_t)t + 2 * k;
            if (v >= PZ_SYN_N_VERTS || a->mat[t] >= PZ_SYN_N_MAT || !(fabsf(q[0]) < 16.f) ||
                !(fabsf(q[1]) < 16.f))
                PZ_TRY(pz_fail(log, PZ_ERR_FORMAT, "head: triangle %d points outside", t));
            memcpy(h->uv[v], q, sizeof h->uv[v]);
        }
    /* Quads at the rims of the sockets belong to them: skin has its colours on its own vertices only. */
    for (int t = 0; t < a->n_tri; t++) {
        uint32_t top = 0;
        for (int k = 0; k < 3; k++)
            top = a->tri[3 * t + k] > top ? a->tri[3 * t + k] : top;
        if (a->mat[t] <= PZ_SYN_SCALP && top >= PZ_Q_N_SKIN)
            a->mat[t] = top < 13294 ? PZ_SYN_SOCKET : PZ_SYN_EYEPIT;
    }
    for (int v = 0; v < PZ_SYN_N_VERTS; v++) {
        h->open[v] = (float)open8[v] / 255.f;
        if (!(v3_dot(a->neutral[v], a->neutral[v]) < 1e4f))
            PZ_TRY(pz_fail(log, PZ_ERR_FORMAT, "head: vertex %d is not on a head", v));
    }
fail:
    pz_free(open8);
    return st;
}

/** Value noise on a lattice of n cells that repeats; x, y in cells. */
static float periodic(float x, float y, int n, uint32_t seed)
{
    int ix = (int)floorf(x), iy = (int)floorf(y);
    float u = x - (float)ix, v = y - (float)iy;
    u = u * u * (3.f - 2.f * u);
    v = v * v * (3.f - 2.f * v);
    int x0 = ((ix % n) + n) % n, x1 = (x0 + 1) % n, y0 = ((iy % n) + n) % n, y1 = (y0 + 1) % n;
    float a = pz_mixf(pz_hashf(x0, y0, 0, seed), pz_hashf(x1, y0, 0, seed), u);
    float b = pz_mixf(pz_hashf(x0, y1, 0, seed), pz_hashf(x1, y1, 0, seed), u);
    return 2.f * pz_mixf(a, b, v) - 1.f;
}

static float dots(float x, float y, int n, uint32_t seed)
{
    float best = 9.f;
    int ix = (int)floorf(x), iy = (int)floorf(y);
    for (int j = -1; j < 2; j++)
        for (int i = -1; i < 2; i++) {
            int cx = ((ix + i) % n + n) % n, cy = ((iy + j) % n + n) % n;
            float dx = (float)(ix + i) + pz_hashf(cx, cy, 1, seed) - x,
                  dy = (float)(iy + j) + pz_hashf(cx, cy, 2, seed) - y;
            best = fminf(best, dx * dx + dy * dy);
        }
    return sqrtf(best);
}

static void make_noise(struct pz_q_head *h)
{
    for (int y = 0; y < PZ_Q_NOISE; y++)
        for (int x = 0; x < PZ_Q_NOISE; x++) {
            float u = (float)x / PZ_Q_NOISE, v = (float)y / PZ_Q_NOISE, s = 0, f = 0, a = .6f;
            for (int o = 0; o < 4; o++, a *= .55f) {
                int n = 8 << o, m = 40 << (o < 2 ? o : 2);
                s += a * periodic(u * (float)n, v * (float)n, n, 11u + (uint32_t)o);
                f += a * periodic(u * (float)m, v * (float)m, m, 31u + (uint32_t)o);
            }
            float d = dots(u * 48.f, v * 48.f, 48, 51u);
            int8_t *t = h->noise[y * PZ_Q_NOISE + x];
            t[PZ_Q_N_SOFT] = (int8_t)(127.f * pz_clampf(1.3f * s, -1.f, 1.f));
            t[PZ_Q_N_FINE] = (int8_t)(127.f * pz_clampf(1.3f * f, -1.f, 1.f));
            t[PZ_Q_N_DOTS] = (int8_t)(127.f * (2.f * pz_smooth(.55f, .15f, d) - 1.f));
        }
    /* Slope of the fine octave along v, one texel apart. */
    for (int y = 0; y < PZ_Q_NOISE; y++)
        for (int x = 0; x < PZ_Q_NOISE; x++) {
            int d = h->noise[(y + 1) % PZ_Q_NOISE * PZ_Q_NOISE + x][PZ_Q_N_FINE] -
                    h->noise[y * PZ_Q_NOISE + x][PZ_Q_N_FINE];
            h->noise[y * PZ_Q_NOISE + x][PZ_Q_N_SLOPE] = (int8_t)(d < -127 ? -127 : d > 127 ? 127 : d);
        }
}

static const float kLip[12][2] = {{.388f, .442f}, {.424f, .493f}, {.469f, .510f}, {.5f, .507f},
                                  {.531f, .510f}, {.576f, .493f}, {.612f, .442f}, {.594f, .385f},
                                  {.556f, .363f}, {.5f, .359f},   {.444f, .363f}, {.406f, .385f}};

/** Signed distance to the closed Catmull-Rom curve through the 12 lip points, positive inside. */
static float lip_distance(float u, float v)
{
    enum { N = 96 };
    float best = 1e9f, px = 0, py = 0, fx = 0, fy = 0;
    int in = 0;
    for (int i = 0; i <= N; i++) {
        float s = (float)(i % N) * 12.f / N;
        int k = (int)s;
        float t = s - (float)k, q[2];
        for (int c = 0; c < 2; c++) {
            float a = kLip[(k + 11) % 12][c], b = kLip[k % 12][c], d = kLip[(k + 1) % 12][c],
                  e = kLip[(k + 2) % 12][c], m1 = .5f * (d - a), m2 = .5f * (e - b), t2 = t * t, t3 = t2 * t;
            q[c] =
                (2 * t3 - 3 * t2 + 1) * b + (t3 - 2 * t2 + t) * m1 + (-2 * t3 + 3 * t2) * d + (t3 - t2) * m2;
        }
        if (i > 0) {
            float bx = q[0] - px, by = q[1] - py;
            float k2 = pz_clampf(((u - px) * bx + (v - py) * by) / (bx * bx + by * by + 1e-12f), 0.f, 1.f);
            float dx = u - px - k2 * bx, dy = v - py - k2 * by;
            best = fminf(best, dx * dx + dy * dy);
            if ((q[1] > v) != (py > v) && u < (px - q[0]) * (v - q[1]) / (py - q[1]) + q[0])
                in = !in;
        } else {
            fx = q[0];
            fy = q[1];
        }
        px = q[0];
        py = q[1];
    }
    (void)fx;
    (void)fy;
    return in ? sqrtf(best) : -sqrtf(best);
}

/** Distance (cm) to the brow's line, and the place along it 0 inner … 1 outer. */
static float brow_distance(const struct v3 *lm, int side, struct v3 p, float *along)
{
    float best = 1e9f, len[5] = {0}, total = 0;
    struct v3 q[5];
    for (int i = 0; i < 5; i++) /* 17…21 run outer to inner on the right, 22…26 inner to outer */
        q[i] = v3_add(side ? lm[22 + i] : lm[21 - i], v3(0, i ? -.2f : -.05f, 0));
    for (int i = 1; i < 5; i++)
        len[i] = len[i - 1] + v3_len(v3_sub(q[i], q[i - 1]));
    total = len[4];
    *along = 0;
    for (int i = 1; i < 5; i++) {
        struct v3 b = v3_sub(q[i], q[i - 1]);
        float t = v3_dot(v3_sub(p, q[i - 1]), b) / v3_dot(b, b);
        t = pz_clampf(t, i == 1 ? -.3f : 0.f, i == 4 ? 1.35f : 1.f);
        struct v3 d = v3_sub(p, v3_madd(q[i - 1], b, t));
        float l = v3_len(d);
        if (l < best) {
            best = l;
            *along = (len[i - 1] + t * (len[i] - len[i - 1])) / total;
        }
    }
    return best;
}

static float fold(const struct v3 *lm, struct v3 p)
{
    float h = 0, ax = fabsf(p.x);
    for (int i = 0; i < 3; i++) {
        float y = 7.4f + 1.1f * (float)i + .18f * sinf(p.x * (.9f + .2f * (float)i) + (float)i);
        h += pz_bell(p.y - y, .11f) * pz_smooth(4.8f, 2.4f, ax);
    }
    for (int s = 0; s < 2; s++) {
        struct v3 c = lm[s ? 45 : 36];
        float dx = (s ? 1.f : -1.f) * (p.x - c.x) - .3f, dy = p.y - c.y;
        if (dx > 0 && dx < 1.8f) {
            float ang = atan2f(dy, dx + .4f) * 4.5f;
            h += .8f * pz_smooth(1.8f, .6f, dx) * pz_smooth(0, .3f, dx) *
                 pz_bell(ang - floorf(ang + .5f), .17f) * (fabsf(ang) < 3.f);
        }
        struct v3 lo = v3_scale(v3_add(lm[s ? 46 : 41], lm[s ? 47 : 40]), .5f);
        float ex = p.x - lo.x, ey = p.y - lo.y + .05f * ex * ex;
        h += .7f * pz_bell(ey + .5f, .09f) * pz_smooth(1.4f, .5f, fabsf(ex));
    }
    /* Nose to mouth corner and below. */
    struct v3 a = v3_add(lm[35], v3(.55f, .5f, 0)), b = v3_add(lm[54], v3(.75f, .2f, 0));
    float t = pz_clampf((p.y - a.y) / (b.y - a.y), 0.f, 1.35f),
          x = pz_mixf(a.x, b.x, t) + .25f * t * (1.f - t);
    h +=
        1.1f * pz_bell(ax - x, .14f) * pz_smooth(a.y + .4f, a.y - .5f, p.y) * pz_smooth(b.y - 1.6f, b.y, p.y);
    h += .8f * pz_bell(p.x - .45f * (p.x > 0 ? 1.f : -1.f), .09f) * pz_bell(p.y - lm[27].y - 1.1f, .5f);
    return fminf(h, 1.f);
}

static void mask_texel(struct pz_q_head *h, const struct v3 *lm, int x, int y, struct v3 p)
{
    uint8_t *m = h->mask[y * PZ_Q_MASK + x];
    float u = ((float)x + .5f) / PZ_Q_MASK, v = ((float)y + .5f) / PZ_Q_MASK;
    float d = fabsf(u - .5f) < .2f && fabsf(v - .43f) < .15f ? lip_distance(u, v) : -1.f;
    m[PZ_Q_M_LIP] = (uint8_t)pz_clampf(128.f + 2000.f * d, 0.f, 255.f);
    float along = 0, b = 9.f;
    if (fabsf(p.y - lm[19].y) < 3.f)
        b = brow_distance(lm, p.x > 0, p, &along);
    m[PZ_Q_M_BROW] = (uint8_t)pz_clampf(255.f - 200.f * b, 0.f, 255.f);
    m[PZ_Q_M_BROWT] = (uint8_t)pz_clampf(60.f + 130.f * along, 0.f, 255.f);
    m[PZ_Q_M_LINES] = (uint8_t)pz_clampf(128.f - 120.f * fold(lm, p), 0.f, 255.f);
}

/** The mask is drawn over the face's triangles in UV, twice: the first pass grows over seams. */
static void make_mask(struct pz_q_head *h)
{
    const struct pz_syn_asset *a = &h->asset;
    struct v3 lm[68];
    for (int i = 0; i < 68; i++)
        lm[i] = a->neutral[pz_syn_landmark(i)];
    for (int i = 0; i < PZ_Q_MASK * PZ_Q_MASK; i++) {
        memset(h->mask[i], 0, 4);
        h->mask[i][PZ_Q_M_LINES] = 128;
    }
    for (int t = 0; t < a->n_tri; t++) {
        if (a->mat[t] != PZ_SYN_SKIN)
            continue;
        const float *q = a->tri_uv + 6 * (size_t)t, R = PZ_Q_MASK;
        float ax = q[0] * R, ay = q[1] * R, bx = q[2] * R, by = q[3] * R, cx = q[4] * R, cy = q[5] * R;
        float area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax);
        if (fabsf(area) < 1e-9f)
            continue;
        int x0 = (int)fmaxf(0.f, fminf(ax, fminf(bx, cx)) - 1.f),
            x1 = (int)fminf(R - 1.f, fmaxf(ax, fmaxf(bx, cx)) + 1.f);
        int y0 = (int)fmaxf(0.f, fminf(ay, fminf(by, cy)) - 1.f),
            y1 = (int)fminf(R - 1.f, fmaxf(ay, fmaxf(by, cy)) + 1.f);
        const uint32_t *v = a->tri + 3 * (size_t)t;
        for (int y = y0; y <= y1; y++)
            for (int x = x0; x <= x1; x++) {
                float px = (float)x + .5f - ax, py = (float)y + .5f - ay;
                float wb = (px * (cy - ay) - py * (cx - ax)) / area,
                      wc = (py * (bx - ax) - px * (by - ay)) / area;
                const float e = -.35f;
                if (wb < e || wc < e || 1.f - wb - wc < e)
                    continue;
                struct v3 p = v3_scale(a->neutral[v[0]], 1.f - wb - wc);
                p = v3_madd(v3_madd(p, a->neutral[v[1]], wb), a->neutral[v[2]], wc);
                mask_texel(h, lm, x, y, p);
            }
    }
}

static void make_zones(struct pz_q_head *h)
{
    struct v3 lm[68];
    for (int i = 0; i < 68; i++)
        lm[i] = h->asset.neutral[pz_syn_landmark(i)];
    for (int v = 0; v < PZ_Q_N_SKIN; v++) {
        struct v3 p = h->asset.neutral[v], m = v3(fabsf(p.x), p.y, p.z);
        float *z = h->zone[v], red = 0, dark = 0, lid = 0, liner = 0;
        red += .9f * pz_bell(v3_len(v3_sub(m, v3(4.2f, .2f, 9.2f))), 1.8f);
        red += pz_bell(v3_len(v3_sub(p, lm[30])), 1.2f) + .8f * pz_bell(v3_len(v3_sub(m, lm[35])), .6f);
        red += .5f * pz_bell(v3_len(v3_sub(p, lm[8])), 1.4f);
        if (m.x > 7.2f && p.y < 4.6f && p.y > -4.f && p.z < 2.5f)
            red += 1.1f * pz_smooth(7.2f, 8.3f, m.x);
        struct v3 lo = v3_scale(v3_add(lm[46], lm[47]), .5f), up = v3_scale(v3_add(lm[43], lm[44]), .5f);
        dark += .7f * pz_bell(v3_len(v3_sub(m, v3_add(v3_lerp(lo, lm[42], .25f), v3(0, -.62f, 0)))), .85f);
        dark += .5f * pz_bell(v3_len(v3_sub(m, lm[42])), .7f) +
                .4f * pz_bell(v3_len(v3_sub(m, v3_add(up, v3(0, .5f, 0)))), .7f);
        lid = pz_bell(v3_len(v3_mul(v3_sub(m, v3_add(up, v3(.15f, .35f, 0))), v3(.62f, 1.f, .4f))), .55f);
        for (int i = 42; i < 48; i++) {
            float d = v3_len(v3_sub(m, lm[i])),
                  e = v3_len(v3_sub(m, v3_lerp(lm[i], lm[i < 47 ? i + 1 : 42], .5f)));
            liner = fmaxf(liner, pz_bell(fminf(d, e), .2f) * (i >= 46 ? .45f : 1.f));
        }
        z[PZ_Q_Z_RED] = fminf(red, 1.5f);
        z[PZ_Q_Z_DARK] = fminf(dark, 1.f);
        z[PZ_Q_Z_LID] = lid;
        z[PZ_Q_Z_LINER] = liner;
        z[PZ_Q_Z_BLUSH] = pz_bell(v3_len(v3_mul(v3_sub(m, v3(5.3f, .6f, 8.6f)), v3(.7f, 1.f, .6f))), 1.4f);
        z[PZ_Q_Z_GLOSS] =
            fminf(1.f, pz_bell(v3_len(v3_mul(v3_sub(p, v3(0, 8.2f, 10.5f)), v3(.5f, 1, .4f))), 1.8f) +
                           pz_bell(v3_len(v3_sub(p, lm[29])), 1.3f) +
                           .5f * pz_bell(v3_len(v3_sub(m, v3(4.6f, 1.2f, 9.3f))), 1.2f));
        float lipy = .5f * (lm[48].y + lm[54].y), half = .5f * (lm[54].x - lm[48].x);
        float lip = h->uv[v][0] < 1.f ? lip_distance(h->uv[v][0], h->uv[v][1]) : -1.f;
        h->lip[v] = lip > 0.f;
        z[PZ_Q_Z_BEARD] = pz_syn_beard_mask(lm, p) * pz_smooth(.004f, -.012f, lip);
        z[PZ_Q_Z_STACHE] =
            z[PZ_Q_Z_BEARD] * pz_smooth(lipy - .4f, lipy + .1f, p.y) * pz_smooth(half + 1.2f, half, m.x);
        z[PZ_Q_Z_CHIN] =
            z[PZ_Q_Z_BEARD] * pz_smooth(half + .9f, half - 1.f, m.x) * pz_smooth(lipy + .2f, lipy - .5f, p.y);
        z[PZ_Q_Z_SCALP] = pz_syn_hairline_height(p);
    }
}

/** Anything in the mask within a few texels of a triangle's corners or its middle? */
static int mask_near(const struct pz_q_head *h, float u, float v)
{
    int x0 = (int)(u * PZ_Q_MASK) - 3, y0 = (int)(v * PZ_Q_MASK) - 3;
    for (int y = y0; y < y0 + 7; y++)
        for (int x = x0; x < x0 + 7; x++) {
            if (x < 0 || y < 0 || x >= PZ_Q_MASK || y >= PZ_Q_MASK)
                continue;
            const uint8_t *m = h->mask[y * PZ_Q_MASK + x];
            if (m[PZ_Q_M_LIP] > 60 || m[PZ_Q_M_BROW] > 25 || m[PZ_Q_M_LINES] < 126)
                return 1;
        }
    return 0;
}

static void make_triangles(struct pz_q_head *h)
{
    const struct pz_syn_asset *a = &h->asset;
    for (int t = 0; t < a->n_tri; t++) {
        const float *q = a->tri_uv + 6 * (size_t)t;
        int busy = 0;
        for (int k = 0; k < 3; k++) {
            h->tri[t].v[k] = (uint16_t)a->tri[3 * t + k];
            for (int c = 0; c < 2; c++)
                h->tri[t].uv[k][c] = (uint16_t)pz_clampf(q[2 * k + c] * 32768.f, 0.f, 65535.f);
            if (a->mat[t] == PZ_SYN_SKIN)
                busy |= mask_near(h, q[2 * k], q[2 * k + 1]) ||
                        mask_near(h, .5f * (q[2 * k] + q[(2 * k + 2) % 6]),
                                  .5f * (q[2 * k + 1] + q[(2 * k + 3) % 6]));
        }
        h->tri[t].mat = a->mat[t] == PZ_SYN_SCALP ? PZ_SYN_SKIN : a->mat[t];
        h->tri[t].busy = (uint8_t)busy;
        h->key[t] = h->tri[t].mat;
    }
}

enum pz_status pz_q_head_open(struct pz_log *log, const char *path, struct pz_q_head *h)
{
    enum pz_status st = PZ_OK;
    struct pz_safetensors *f = NULL;
    float *scale = NULL;
    memset(h, 0, sizeof *h);
    PZ_TRY(pz_safetensors_open(log, path, &f));
    PZ_TRY(read_mesh(log, f, h));
    PZ_TRY(read_shapes(log, f, &h->asset));
    PZ_TRY(take(log, f, "mode", PZ_DTYPE_I8, 3, (int64_t[]){PZ_SYN_N_ID, PZ_SYN_N_VERTS, 3}, &h->mode, NULL));
    PZ_TRY(take(log, f, "mode_scale", PZ_DTYPE_F32, 1, (int64_t[]){PZ_SYN_N_ID}, &scale, NULL));
    memcpy(h->mode_scale, scale, sizeof h->mode_scale);
    for (int k = 0; k < PZ_Q_N_WEIGHT; k++) {
        h->weight_of[k] = pz_syn_expr_find(&h->asset, kWeight[k]);
        if (h->weight_of[k] < 0)
            PZ_TRY(pz_fail(log, PZ_ERR_FORMAT, "head: the shape %s is missing", kWeight[k]));
    }
    h->noise = pz_calloc(PZ_Q_NOISE * PZ_Q_NOISE, sizeof *h->noise);
    h->mask = pz_calloc(PZ_Q_MASK * PZ_Q_MASK, sizeof *h->mask);
    h->key = pz_calloc((size_t)h->asset.n_tri, 1);
    h->lip = pz_calloc(PZ_Q_N_SKIN, 1);
    h->tri = pz_calloc((size_t)h->asset.n_tri, sizeof *h->tri);
    h->zone = pz_calloc(PZ_Q_N_SKIN, sizeof *h->zone);
    if (!h->noise || !h->mask || !h->zone || !h->tri || !h->key || !h->lip)
        PZ_TRY(pz_fail(log, PZ_ERR_NOMEM, "head: out of memory"));
    make_noise(h);
    for (int i = 0; i < PZ_Q_SRGB; i++) {
        float r = (float)i / (PZ_Q_SRGB - 1), v = r * r;
        v = v <= .0031308f ? 12.92f * v : 1.055f * powf(v, 1.f / 2.4f) - .055f;
        h->srgb[i] = (uint8_t)(255.f * v + .5f);
    }
    make_mask(h);
    make_zones(h);
    make_triangles(h);
fail:
    pz_free(scale);
    pz_safetensors_close(&f);
    if (st < PZ_OK)
        pz_q_head_close(h);
    return st;
}

void pz_q_head_close(struct pz_q_head *h)
{
    pz_syn_asset_close(&h->asset);
    pz_free(h->mode);
    pz_free(h->open);
    pz_free(h->uv);
    pz_free(h->noise);
    pz_free(h->mask);
    pz_free(h->zone);
    pz_free(h->tri);
    pz_free(h->key);
    pz_free(h->lip);
    memset(h, 0, sizeof *h);
}

void pz_q_head_blend(const struct pz_q_head *h, const float *coef, float asym, uint32_t seed, struct v3 *base,
                     struct pz_syn_rig *r)
{
    const struct pz_syn_asset *a = &h->asset;
    float *d = (void *)base;
    memset(base, 0, PZ_SYN_N_VERTS * sizeof *base);
    for (int k = 0; k < PZ_SYN_N_ID; k++) {
        const int8_t *m = h->mode + (size_t)k * 3 * PZ_SYN_N_VERTS;
        float c = coef[k] * h->mode_scale[k];
        if (c == 0.f)
            continue;
        for (int i = 0; i < 3 * PZ_SYN_N_VERTS; i++)
            d[i] += c * (float)m[i];
    }
    /* Three waves along y and z, odd in x: a crooked nose or jaw. */
    float ph[6];
    for (int i = 0; i < 6; i++)
        ph[i] = 6.2831853f * pz_hashf(i, 5, 0, seed);
    for (int v = 0; v < PZ_SYN_N_VERTS; v++) {
        struct v3 p = a->neutral[v];
        float keep = pz_smooth(-14.5f, -9.f, p.y);
        struct v3 q = v3_madd(p, base[v], keep);
        float k = asym * keep, sy = sinf(p.y * .32f + ph[0]), sz = sinf(p.z * .27f + ph[1]),
              sx = sinf(p.x * .25f + ph[2]);
        q.x += k * (sy + .5f * sz);
        q.y += k * sx * .8f + k * .5f * sinf(p.x * .41f + ph[3]);
        q.z += k * .7f * sinf(p.x * .33f + p.y * .2f + ph[4]);
        base[v] = q;
    }
    pz_syn_rig_fit(a, base, r);
}

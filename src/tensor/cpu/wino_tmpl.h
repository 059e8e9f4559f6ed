/*
 * Winograd F(4×4, 3×3) of the vector kernels; part of kernels_tmpl.h. Interpolation points 0, ±PZ_WINO_A,
 * ±PZ_WINO_B, ∞. Source: Lavin and Gray, arXiv:1509.09308; points other than 0, ±1, ±2 for a smaller error.
 */
#define WA PZ_WINO_A
#define WB PZ_WINO_B
#define WA2 (WA * WA)
#define WB2 (WB * WB)

/* Bᵀ d, six values to six */
INLINE void wino_in1(const vec d[6], vec t[6])
{
    vec ea = d[4] - splat(WB2) * d[2], oa = splat(WA) * (d[3] - splat(WB2) * d[1]);
    vec eb = d[4] - splat(WA2) * d[2], ob = splat(WB) * (d[3] - splat(WA2) * d[1]);
    t[0] = splat(WA2 * WB2) * d[0] - splat(WA2 + WB2) * d[2] + d[4];
    t[1] = ea + oa;
    t[2] = ea - oa;
    t[3] = eb + ob;
    t[4] = eb - ob;
    t[5] = splat(WA2 * WB2) * d[1] - splat(WA2 + WB2) * d[3] + d[5];
}

/* Aᵀ m, six values to four */
INLINE void wino_out1(const vec m[6], vec y[4])
{
    vec sa = m[1] + m[2], da = m[1] - m[2], sb = m[3] + m[4], db = m[3] - m[4];
    y[0] = m[0] + sa + sb;
    y[1] = splat(WA) * da + splat(WB) * db;
    y[2] = splat(WA2) * sa + splat(WB2) * sb;
    y[3] = splat(WA2 * WA) * da + splat(WB2 * WB) * db + m[5];
}

/* One 6×6 patch, all channels: patch[i] its pixels, out[i * plane] the 36 results. */
INLINE void wino_in_as(const void *const patch[36], const bool half, size_t c, float *out, size_t plane)
{
    for (size_t i = 0; i < c; i += LANES) {
        vec t[6][6];
#pragma GCC unroll 6
        for (int x = 0; x < 6; x++) {
            vec d[6], r[6];
#pragma GCC unroll 6
            for (int y = 0; y < 6; y++)
                d[y] = load_as(patch[y * 6 + x], i, half);
            wino_in1(d, r);
#pragma GCC unroll 6
            for (int y = 0; y < 6; y++)
                t[y][x] = r[y];
        }
#pragma GCC unroll 6
        for (int y = 0; y < 6; y++) {
            vec r[6];
            wino_in1(t[y], r);
#pragma GCC unroll 6
            for (int x = 0; x < 6; x++)
                store(out + (size_t)(y * 6 + x) * plane + i, r[x]);
        }
    }
}

static void wino_in(const void *const patch[36], bool half, size_t c, float *out, size_t plane)
{
    if (half)
        wino_in_as(patch, true, c, out, plane);
    else
        wino_in_as(patch, false, c, out, plane);
}

/* The way back: up to h × w pixels of a 4×4 patch. */
static void wino_out(const struct pz_wino_out *o)
{
    for (size_t i = 0; i < o->c; i += LANES) {
        vec t[4][6], bias = load(o->bias + i);
#pragma GCC unroll 6
        for (int x = 0; x < 6; x++) {
            vec m[6], r[4];
#pragma GCC unroll 6
            for (int y = 0; y < 6; y++)
                m[y] = load(o->sums + (size_t)(y * 6 + x) * o->plane + i);
            wino_out1(m, r);
#pragma GCC unroll 4
            for (int y = 0; y < 4; y++)
                t[y][x] = r[y];
        }
#pragma GCC unroll 4
        for (int y = 0; y < 4; y++) {
            vec r[4];
            wino_out1(t[y], r);
            for (int x = 0; y < o->h && x < o->w; x++) {
                size_t at = (size_t)y * o->row + (size_t)x * o->c + i;
                vec v = r[x] + bias;
                if (o->residual)
                    v += load_as(o->residual, at, o->half);
                store_as(o->out, at, o->half, act_vec(o->act, v, o->slope ? load(o->slope + i) : (vec){0}));
            }
        }
    }
}

#define WINO_STEP 16 /* channels turned at a time */

/* Two numbers of G by which a point's row is divided: B of the points that follow from it. */
#define WINO_BY(at2, other2) (2 * (double)(at2) * ((double)(at2) - (double)(other2)))

/* G g Gᵀ in double, for all filters of a panel side by side. */
static void wino_filters(const float *w, size_t n, size_t ci, float *out, size_t plane)
{
    static const double g[6][3] = {
        {1 / ((double)WA2 * (double)WB2), 0, 0},
        {1 / WINO_BY(WA2, WB2), (double)WA / WINO_BY(WA2, WB2), (double)WA2 / WINO_BY(WA2, WB2)},
        {1 / WINO_BY(WA2, WB2), -(double)WA / WINO_BY(WA2, WB2), (double)WA2 / WINO_BY(WA2, WB2)},
        {1 / WINO_BY(WB2, WA2), (double)WB / WINO_BY(WB2, WA2), (double)WB2 / WINO_BY(WB2, WA2)},
        {1 / WINO_BY(WB2, WA2), -(double)WB / WINO_BY(WB2, WA2), (double)WB2 / WINO_BY(WB2, WA2)},
        {0, 0, 1}};
    float turned[9][WINO_STEP][2 * LANES];
    double half[6][3][2 * LANES];
    memset(turned, 0, sizeof turned);
    for (size_t c0 = 0; c0 < ci; c0 += WINO_STEP) {
        size_t many = ci - c0 < WINO_STEP ? ci - c0 : WINO_STEP;
        for (size_t o = 0; o < n; o++)
            for (size_t t = 0; t < 9; t++)
                for (size_t c = 0; c < many; c++)
                    turned[t][c][o] = w[(o * 9 + t) * ci + c0 + c];
        for (size_t c = 0; c < many; c++) {
            for (int i = 0; i < 6; i++)
                for (int x = 0; x < 3; x++)
                    for (int o = 0; o < 2 * LANES; o++)
                        half[i][x][o] = g[i][0] * (double)turned[x][c][o] +
                                        g[i][1] * (double)turned[3 + x][c][o] +
                                        g[i][2] * (double)turned[6 + x][c][o];
            for (int i = 0; i < 6; i++)
                for (int k = 0; k < 6; k++) {
                    float *to = out + (size_t)(i * 6 + k) * plane + (c0 + c) * 2 * LANES;
                    for (int o = 0; o < 2 * LANES; o++)
                        to[o] = (float)(half[i][0][o] * g[k][0] + half[i][1][o] * g[k][1] +
                                        half[i][2][o] * g[k][2]);
                }
        }
    }
}

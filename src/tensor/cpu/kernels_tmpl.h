/*
 * Body of the vector kernels, included by kernels_{c,avx2,avx512}.c with LANES (floats per vector), TILE
 * (output pixels kept in registers) and FNS (the table's name). Vectors are GCC's own, so there is one text
 * for every instruction set.
 */
#include <math.h>
#include <string.h>

#include "tensor/cpu/cpu.h"

#ifndef HAVE_BF16
#define HAVE_BF16 0
#endif
#if HAVE_BF16
#include <immintrin.h>
#endif

#include "tensor/cpu/vec_tmpl.h"

/* Store one vector of sums at output channel c of pixel `at`; the last block may be partial. */
INLINE void finish(const struct pz_conv_job *j, size_t at, int c, vec v, enum pz_act act)
{
    size_t o = at * (size_t)j->co + (size_t)c;
    int left = j->co - c;
    if (left >= LANES) {
        if (j->residual)
            v += load(j->residual + o);
        *(vec *)(j->out + o) = act_vec(act, v, load(j->slope + c));
        return;
    }
    float t[LANES];
    memcpy(t, &v, sizeof t);
    for (int i = 0; i < left; i++) {
        float s = t[i] + (j->residual ? j->residual[o + (size_t)i] : 0);
        j->out[o + (size_t)i] = act_one(act, s, j->slope[c + i]);
    }
}

/* P pixels × NV vectors of channels: every weight vector is loaded once and used P times. */
INLINE void conv_tile(const struct pz_conv_job *j, int y, int x, int c, const int P, const int NV)
{
    vec acc[TILE][2];
    size_t taps = (size_t)j->kh * (size_t)j->kw * (size_t)j->ci * LANES;
    const float *w0 = j->w + (size_t)(c / LANES) * taps, *w1 = w0 + taps;
    const float *xp = j->x + (size_t)(y * j->sy) * j->row + (size_t)(x * j->sx) * (size_t)j->ci;
    size_t px = (size_t)j->sx * (size_t)j->ci;
#pragma GCC unroll 16
    for (int p = 0; p < P; p++) {
        acc[p][0] = load(j->bias + c);
        if (NV > 1)
            acc[p][1] = load(j->bias + c + LANES);
    }
    for (int ky = 0; ky < j->kh; ky++)
        for (int kx = 0; kx < j->kw; kx++) {
            const float *q = xp + (size_t)(ky * j->dy) * j->row + (size_t)(kx * j->dx) * (size_t)j->ci;
            for (int k = 0; k < j->ci; k++, w0 += LANES, w1 += LANES) {
                vec a = load(w0), b = NV > 1 ? load(w1) : a;
#pragma GCC unroll 16
                for (int p = 0; p < P; p++) {
                    vec v = splat(q[(size_t)p * px + (size_t)k]);
                    acc[p][0] += v * a;
                    if (NV > 1)
                        acc[p][1] += v * b;
                }
            }
        }
    size_t at = (size_t)y * (size_t)j->ow + (size_t)x;
#pragma GCC unroll 16
    for (int p = 0; p < P; p++) {
        finish(j, at + (size_t)p, c, acc[p][0], j->act);
        if (NV > 1)
            finish(j, at + (size_t)p, c + LANES, acc[p][1], j->act);
    }
}

static void conv_span(const struct pz_conv_job *j, int y, int x0, int x1)
{
    for (int c = 0; c < j->co;) {
        bool two = j->co - c > LANES;
        int x = x0;
        for (; x + TILE <= x1; x += TILE) {
            if (two)
                conv_tile(j, y, x, c, TILE, 2);
            else
                conv_tile(j, y, x, c, TILE, 1);
        }
        for (; x + 3 <= x1; x += 3) {
            if (two)
                conv_tile(j, y, x, c, 3, 2);
            else
                conv_tile(j, y, x, c, 3, 1);
        }
        for (; x < x1; x++) {
            if (two)
                conv_tile(j, y, x, c, 1, 2);
            else
                conv_tile(j, y, x, c, 1, 1);
        }
        c += two ? 2 * LANES : LANES;
    }
}

INLINE void dw_tile(const struct pz_conv_job *j, int y, int x, int c, const int P)
{
    vec acc[4];
    const float *w = j->w + c;
    const float *xp = j->x + (size_t)(y * j->sy) * j->row + (size_t)(x * j->sx) * (size_t)j->co + (size_t)c;
    size_t px = (size_t)j->sx * (size_t)j->co;
#pragma GCC unroll 4
    for (int p = 0; p < P; p++)
        acc[p] = load(j->bias + c);
    for (int ky = 0; ky < j->kh; ky++)
        for (int kx = 0; kx < j->kw; kx++, w += j->co) {
            const float *q = xp + (size_t)(ky * j->dy) * j->row + (size_t)(kx * j->dx) * (size_t)j->co;
            vec a = load(w);
#pragma GCC unroll 4
            for (int p = 0; p < P; p++)
                acc[p] += a * load(q + (size_t)p * px);
        }
    size_t at = (size_t)y * (size_t)j->ow + (size_t)x;
#pragma GCC unroll 4
    for (int p = 0; p < P; p++)
        finish(j, at + (size_t)p, c, acc[p], j->act);
}

static void dw_span(const struct pz_conv_job *j, int y, int x0, int x1)
{
    int c = 0;
    for (; c + LANES <= j->co; c += LANES) {
        int x = x0;
        for (; x + 4 <= x1; x += 4)
            dw_tile(j, y, x, c, 4);
        for (; x < x1; x++)
            dw_tile(j, y, x, c, 1);
    }
    for (; c < j->co; c++) /* the last few channels, one by one: vectors would read behind the picture */
        for (int x = x0; x < x1; x++) {
            const float *q =
                j->x + (size_t)(y * j->sy) * j->row + (size_t)(x * j->sx) * (size_t)j->co + (size_t)c;
            const float *w = j->w + c;
            float s = j->bias[c];
            for (int ky = 0; ky < j->kh; ky++)
                for (int kx = 0; kx < j->kw; kx++, w += j->co)
                    s += *w * q[(size_t)(ky * j->dy) * j->row + (size_t)(kx * j->dx) * (size_t)j->co];
            size_t o = ((size_t)y * (size_t)j->ow + (size_t)x) * (size_t)j->co + (size_t)c;
            j->out[o] = act_one(j->act, s + (j->residual ? j->residual[o] : 0), j->slope[c]);
        }
}

static void pool_row(const struct pz_pool_job *j, int y)
{
    size_t c = (size_t)j->c;
    for (int x = 0; x < j->ow; x++) {
        float *o = j->out + ((size_t)y * (size_t)j->ow + (size_t)x) * c;
        int n = 0;
        for (int ky = 0; ky < j->kh; ky++)
            for (int kx = 0; kx < j->kw; kx++) {
                int iy = y * j->sy + ky - j->top, ix = x * j->sx + kx - j->left;
                if (iy < 0 || iy >= j->h || ix < 0 || ix >= j->w)
                    continue;
                const float *q = j->x + (size_t)iy * j->row + (size_t)ix * c;
                if (n++ == 0)
                    memcpy(o, q, c * sizeof *o);
                else if (j->mean)
                    for (size_t i = 0; i < c; i++)
                        o[i] += q[i];
                else
                    for (size_t i = 0; i < c; i++)
                        o[i] = q[i] > o[i] ? q[i] : o[i];
            }
        for (size_t i = 0; (j->mean || j->act) && i < c; i++)
            o[i] = act_one(j->act, j->mean ? o[i] / (float)n : o[i], 0);
    }
}

static void add_act(const float *x, const float *y, const float *slope, size_t c, enum pz_act act, float *out,
                    size_t n)
{
    for (size_t r = 0; r < n; r += c) {
        size_t i = 0;
        for (; i + LANES <= c; i += LANES) {
            vec v = load(x + r + i);
            if (y)
                v += load(y + r + i);
            *(vec *)(out + r + i) = act_vec(act, v, slope ? load(slope + i) : (vec){0});
        }
        for (; i < c; i++)
            out[r + i] = act_one(act, x[r + i] + (y ? y[r + i] : 0), slope ? slope[i] : 0);
    }
}

static void mul(const float *x, const float *y, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] * y[i];
}

#include "tensor/cpu/gemm_tmpl.h"
#include "tensor/cpu/rows_tmpl.h"
#include "tensor/cpu/wino_tmpl.h"

const struct pz_cpu_fns FNS = {.name = NAME,
                               .lanes = LANES,
                               .tile = TILE,
                               .conv_span = conv_span,
                               .dw_span = dw_span,
                               .pool_row = pool_row,
                               .add_act = add_act,
                               .mul = mul,
                               .gemm = gemm,
#if HAVE_BF16
                               .gemm_bf16 = gemm_bf16,
                               .spin_bf16 = spin_bf16,
#endif
                               .widen = widen,
                               .narrow = narrow,
                               .map = map_row,
                               .binary = binary_row,
                               .geglu = geglu_row,
                               .softmax = softmax_row,
                               .log_softmax = log_softmax_row,
                               .sum = sum_row,
                               .top = top_row,
                               .blend = blend_row,
                               .dots = dots_row,
                               .attend = attend_row,
                               .scale_shift = scale_shift,
                               .layer_norm = layer_norm_row,
                               .group_moments = group_moments,
                               .wino_in = wino_in,
                               .wino_out = wino_out,
                               .wino_filters = wino_filters,
                               .spin = spin};

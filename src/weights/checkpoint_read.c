/*
 * Values of a checkpoint's tensors, copied in row-major order: strides are walked, bytes swapped and types
 * converted in small pieces, so that no second copy of a tensor is made.
 */
#include <string.h>

#include "tensor/half.h"
#include "weights/checkpoint.h"

#define PIECE 512 /* elements converted at once */

size_t pz_checkpoint_elements(const struct pz_checkpoint_tensor *t)
{
    size_t n = 1;
    for (int i = 0; i < t->rank; i++)
        n *= (size_t)t->shape[i];
    return n;
}

static void swap_bytes(uint8_t *p, size_t n, size_t size)
{
    for (size_t i = 0; i < n; i++, p += size)
        for (size_t a = 0, b = size - 1; a < b; a++, b--) {
            uint8_t x = p[a];
            p[a] = p[b];
            p[b] = x;
        }
}

/* Walks a tensor in row-major order. */
struct walk {
    const struct pz_checkpoint_tensor *t;
    size_t size;
    int64_t at[PZ_CHECKPOINT_MAX_RANK];
    const uint8_t *row; /* first element of the row in work */
};

static void next_row(struct walk *w)
{
    const struct pz_checkpoint_tensor *t = w->t;
    for (int k = t->rank - 2; k >= 0; k--) {
        ptrdiff_t step = (ptrdiff_t)t->strides[k] * (ptrdiff_t)w->size;
        if (++w->at[k] < t->shape[k]) {
            w->row += step;
            return;
        }
        w->row -= step * (ptrdiff_t)(t->shape[k] - 1);
        w->at[k] = 0;
    }
}

/* The next `n` elements (at most what is left), packed, in native byte order. */
static void gather(struct walk *w, uint8_t *to, size_t n)
{
    const struct pz_checkpoint_tensor *t = w->t;
    size_t size = w->size;
    int last = t->rank - 1;
    uint8_t *start = to;
    for (size_t left = n; left;) {
        int64_t width = t->rank ? t->shape[last] : 1, from = t->rank ? w->at[last] : 0;
        int64_t stride = t->rank ? t->strides[last] : 1;
        size_t m = (size_t)(width - from);
        if (m > left)
            m = left;
        const uint8_t *src = w->row + (ptrdiff_t)from * (ptrdiff_t)stride * (ptrdiff_t)size;
        if (stride == 1) {
            memcpy(to, src, m * size);
        } else {
            for (size_t i = 0; i < m; i++, src += stride * (int64_t)size)
                memcpy(to + i * size, src, size);
        }
        to += m * size;
        left -= m;
        if (t->rank && (w->at[last] += (int64_t)m) == width) {
            w->at[last] = 0;
            next_row(w);
        }
    }
    if (t->swapped && size > 1)
        swap_bytes(start, n, size);
}

/* Packed elements to float. */
static void widen(enum pz_dtype dtype, const uint8_t *s, float *out, size_t n)
{
    union {
        uint16_t u16;
        int16_t i16;
        int32_t i32;
        int64_t i64;
        double f64;
    } v;
    size_t size = pz_dtype_size(dtype);
    if (dtype == PZ_DTYPE_F32) {
        memcpy(out, s, n * 4);
        return;
    }
    if (dtype == PZ_DTYPE_F16) {
        pz_f16_to_f32_array(s, out, n);
        return;
    }
    for (size_t i = 0; i < n; i++, s += size) {
        memcpy(&v, s, size);
        switch ((int)dtype) {
        case PZ_DTYPE_BF16:
            out[i] = pz_bf16_to_f32(v.u16);
            break;
        case PZ_DTYPE_F64:
            out[i] = (float)v.f64;
            break;
        case PZ_DTYPE_I8:
            out[i] = (float)(int8_t)*s;
            break;
        case PZ_DTYPE_I16:
            out[i] = (float)v.i16;
            break;
        case PZ_DTYPE_I32:
            out[i] = (float)v.i32;
            break;
        case PZ_DTYPE_I64:
            out[i] = (float)v.i64;
            break;
        default:
            out[i] = (float)*s;
            break;
        }
    }
}

static enum pz_status check_count(struct pz_log *log, const struct pz_checkpoint_tensor *t, size_t n)
{
    size_t have = pz_checkpoint_elements(t);
    if (have != n)
        return pz_fail(log, PZ_ERR_FORMAT, "tensor '%s' has %zu elements, %zu were expected", t->name, have,
                       n);
    return PZ_OK;
}

enum pz_status pz_checkpoint_read_f32(struct pz_log *log, const struct pz_checkpoint_tensor *t, float *out,
                                      size_t n)
{
    uint8_t piece[PIECE * 8];
    enum pz_status st = check_count(log, t, n);
    if (st < PZ_OK || n == 0)
        return st;
    if (t->contiguous && !t->swapped) {
        widen(t->dtype, t->data, out, n);
        return PZ_OK;
    }
    struct walk w = {.t = t, .size = pz_dtype_size(t->dtype), .row = t->data};
    for (size_t at = 0, m; at < n; at += m) {
        m = n - at < PIECE ? n - at : PIECE;
        gather(&w, piece, m);
        widen(t->dtype, piece, out + at, m);
    }
    return PZ_OK;
}

enum pz_status pz_checkpoint_read_f16(struct pz_log *log, const struct pz_checkpoint_tensor *t, uint16_t *out,
                                      size_t n)
{
    uint8_t piece[PIECE * 8];
    float wide[PIECE];
    enum pz_status st = check_count(log, t, n);
    if (st < PZ_OK || n == 0)
        return st;
    if (t->dtype == PZ_DTYPE_F16)
        return pz_checkpoint_read(log, t, out, n * 2);
    struct walk w = {.t = t, .size = pz_dtype_size(t->dtype), .row = t->data};
    for (size_t at = 0, m; at < n; at += m) {
        m = n - at < PIECE ? n - at : PIECE;
        gather(&w, piece, m);
        widen(t->dtype, piece, wide, m);
        pz_f32_to_f16_array(wide, out + at, m);
    }
    return PZ_OK;
}

enum pz_status pz_checkpoint_read(struct pz_log *log, const struct pz_checkpoint_tensor *t, void *out,
                                  size_t n_bytes)
{
    size_t n = pz_checkpoint_elements(t), size = pz_dtype_size(t->dtype);
    if (n_bytes != n * size)
        return pz_fail(log, PZ_ERR_FORMAT, "tensor '%s' has %zu bytes, %zu were expected", t->name, n * size,
                       n_bytes);
    if (n == 0)
        return PZ_OK;
    if (t->contiguous && !t->swapped) {
        memcpy(out, t->data, n_bytes);
        return PZ_OK;
    }
    struct walk w = {.t = t, .size = size, .row = t->data};
    gather(&w, out, n);
    return PZ_OK;
}

/*
 * Where a network's constants come from: rows of a mapped checkpoint or of the hash rule, with the axes put
 * in the graph's order and batch norms folded in. Runs on the plan's loading threads.
 *
 * Source  spec/wav2lip.md §11.1 (rule).
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "nn/param_impl.h"

size_t pz_param_elements(const struct pz_param_entry *e)
{
    size_t n = 1;
    for (int i = 0; i < e->rank; i++)
        n *= (size_t)e->shape[i];
    return n;
}

static double uniform(uint32_t i, uint32_t seed)
{
    uint32_t h = i * 2654435761u + seed;
    h ^= h >> 16;
    h *= 0x85ebca6bu;
    h ^= h >> 13;
    h *= 0xc2b2ae35u;
    h ^= h >> 16;
    return h / 4294967296.0;
}

static uint32_t seed_of(uint32_t t)
{
    return t * 2246822519u + 374761393u;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

void pz_param_rule(const struct pz_param_entry *e, size_t first, size_t n, float *out)
{
    if (e->table) {
        memcpy(out, e->table + first, n * sizeof *out);
        return;
    }
    double at = 0, step; /* value = at + step · v, v in [-1, 1) */
    size_t row = e->rank ? pz_param_elements(e) / (size_t)e->shape[0] : 1;
    uint32_t seed = seed_of(e->t);
    if (ends_with(e->name, "running_var")) {
        at = 1.25; /* 1 + u/2 */
        step = 0.25;
    } else if (ends_with(e->name, "running_mean")) {
        step = 0.1;
    } else if (e->rank >= 2) {
        step = sqrt(3.0 / (double)row);
    } else {
        step = 0.1;
        at = ends_with(e->name, "bias") || ends_with(e->name, "beta") ? 0 : 1;
    }
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(at + step * (2.0 * uniform((uint32_t)(first + i), seed) - 1.0));
}

void pz_rule_input(uint32_t t, float lo, float hi, size_t n, float *out)
{
    uint32_t seed = seed_of(t);
    for (size_t i = 0; i < n; i++)
        out[i] = (float)((double)lo + ((double)hi - (double)lo) * uniform((uint32_t)i, seed));
}

/* Rows [first, first + n) along the stored tensor's first axis. Points into the map when nothing is to be
 * converted, else into `room`. */
static enum pz_status stored_rows(const struct pz_param_entry *e, struct pz_log *log, int first, int n,
                                  float *room, const float **rows)
{
    size_t row = e->rank ? pz_param_elements(e) / (size_t)e->shape[0] : 1, all = (size_t)n * row;
    *rows = room;
    if (!e->tensor) {
        pz_param_rule(e, (size_t)first * row, all, room);
        return PZ_OK;
    }
    struct pz_checkpoint_tensor t = *e->tensor;
    if (t.rank) {
        t.data = (const char *)t.data + (size_t)first * (size_t)t.strides[0] * pz_dtype_size(t.dtype);
        t.shape[0] = n;
    }
    if (t.contiguous && !t.swapped && t.dtype == PZ_DTYPE_F32 && (uintptr_t)t.data % sizeof(float) == 0) {
        *rows = t.data;
        return PZ_OK;
    }
    return pz_checkpoint_read_f32(log, &t, room, all);
}

/* All elements of a small entry on the heap. */
static float *vector(const struct pz_param_entry *e, struct pz_log *log, enum pz_status *st)
{
    size_t n = pz_param_elements(e);
    float *v = pz_calloc(n, sizeof *v);
    const float *at = v;
    if (*st >= PZ_OK)
        *st = v ? stored_rows(e, log, 0, e->rank ? e->shape[0] : 1, v, &at)
                : pz_fail(log, PZ_ERR_NOMEM, "no memory for weights");
    if (v && *st >= PZ_OK && at != v)
        memcpy(v, at, n * sizeof *v);
    return v;
}

/* γ/√(var+ε) of each channel. */
static float *scales(const struct pz_param_source *s, struct pz_log *log, enum pz_status *st)
{
    float *gamma = vector(s->gamma, log, st), *var = vector(s->var, log, st);
    for (int i = 0; i < s->gamma->shape[0] && *st >= PZ_OK; i++)
        gamma[i] = (float)(gamma[i] / sqrt(fmax((double)var[i], 0) + (double)s->eps));
    pz_free(var);
    return gamma;
}

static enum pz_status folded_bias(const struct pz_param_source *s, struct pz_log *log, int first, int n,
                                  float *out)
{
    enum pz_status st = PZ_OK;
    float *scale = scales(s, log, &st), *beta = vector(s->beta, log, &st), *mean = vector(s->mean, log, &st);
    float *bias = s->main ? vector(s->main, log, &st) : NULL;
    for (int i = first; i < first + n && st >= PZ_OK; i++)
        out[i - first] = (float)(((bias ? (double)bias[i] : 0) - mean[i]) * scale[i] + beta[i]);
    pz_free(scale);
    pz_free(beta);
    pz_free(mean);
    pz_free(bias);
    return st;
}

/* [a, k] → [k, a] */
static void turn(const float *in, float *out, size_t a, size_t k)
{
    for (size_t i = 0; i < a; i++)
        for (size_t j = 0; j < k; j++)
            out[j * a + i] = in[i * k + j];
}

/* A whole depthwise tensor: [C, 1, K] → [K, C]. */
static enum pz_status depthwise(const struct pz_param_source *s, struct pz_log *log, float *out)
{
    enum pz_status st = PZ_OK;
    size_t c = (size_t)s->main->shape[0], k = pz_param_elements(s->main) / c;
    float *v = vector(s->main, log, &st), *scale = s->gamma ? scales(s, log, &st) : NULL;
    for (size_t i = 0; i < c * k && scale && st >= PZ_OK; i++)
        v[i] *= scale[i / k];
    if (st >= PZ_OK)
        turn(v, out, c, k);
    pz_free(scale);
    pz_free(v);
    return st;
}

enum pz_status pz_param_fill(const void *ctx, struct pz_log *log, int first, int n, float *out)
{
    const struct pz_param_source *s = ctx;
    const struct pz_param_entry *e = s->main;
    if (s->bias)
        return folded_bias(s, log, first, n, out);
    if (e->layout == PZ_PARAM_DEPTHWISE)
        return depthwise(s, log, out); /* one row in the graph's layout */
    size_t row = e->rank ? pz_param_elements(e) / (size_t)e->shape[0] : 1;
    if ((e->layout == PZ_PARAM_PLAIN || e->layout == PZ_PARAM_DENSE) && !s->gamma) {
        const float *rows;
        enum pz_status st = stored_rows(e, log, first, n, out, &rows);
        if (st >= PZ_OK && rows != out)
            memcpy(out, rows, (size_t)n * row * sizeof *out);
        return st;
    }
    enum pz_status st = PZ_OK;
    size_t second = (size_t)e->shape[1];
    float *scale = s->gamma ? scales(s, log, &st) : NULL, *room = pz_calloc(row, sizeof *room);
    if (!room)
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for weights");
    for (int r = 0; r < n && st >= PZ_OK; r++, out += row) {
        const float *in;
        st = stored_rows(e, log, first + r, 1, room, &in);
        if (st < PZ_OK)
            break;
        turn(in, out, second, row / second);
        for (size_t i = 0; i < row && scale; i++)
            out[i] *= scale[e->layout == PZ_PARAM_CONV_TRANSPOSE ? i % second : (size_t)(first + r)];
    }
    pz_free(room);
    pz_free(scale);
    return st;
}

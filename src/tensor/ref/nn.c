/* Matrix products, attention, transposed convolution, norms, activations and embeddings; sums are double. */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "tensor/ref/ref.h"

static const float *floats(const struct pz_op_args *a, int i)
{
    return i < a->n_in ? a->in[i].data : NULL;
}

static size_t last(const struct pz_shape *s)
{
    return s->rank ? (size_t)s->dim[s->rank - 1] : 1;
}

void pz_ref_matmul(const struct pz_op_args *a)
{
    const struct pz_shape *p = &a->in[0].shape, *q = &a->in[1].shape;
    bool tr = a->attrs->transpose_b;
    size_t m = (size_t)p->dim[p->rank - 2], k = last(p), n = last(&a->out.shape);
    size_t batch = pz_shape_count(p) / (m * k), b_step = pz_shape_count(q) == k * n ? 0 : k * n;
    const float *x = a->in[0].data, *y = a->in[1].data;
    float *out = a->out.data;
    for (size_t b = 0; b < batch; b++, x += m * k, y += b_step)
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < n; j++) {
                double sum = 0;
                for (size_t t = 0; t < k; t++)
                    sum += (double)x[i * k + t] * y[tr ? j * k + t : t * n + j];
                *out++ = (float)sum;
            }
}

/* One query against all keys; no room for the scores is needed: they are made twice, the largest first. */
static void attend(const float *q, const float *k, const float *v, size_t row, size_t tk, size_t d,
                   float scale, const float *mask, float *out)
{
    double top = -INFINITY, sum = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; pass && i < d; i++)
            out[i] = 0;
        for (size_t t = 0; t < tk; t++) {
            double s = 0;
            for (size_t i = 0; i < d; i++)
                s += (double)q[i] * k[t * row + i];
            s = s * scale + (mask ? mask[t] : 0);
            if (!pass) {
                top = s > top ? s : top;
                continue;
            }
            double e = exp(s - top);
            sum += e;
            for (size_t i = 0; i < d; i++)
                out[i] += (float)(e * v[t * row + i]);
        }
    }
    for (size_t i = 0; i < d; i++)
        out[i] = (float)(out[i] / sum);
}

void pz_ref_attention(const struct pz_op_args *a)
{
    const int *qd = a->in[0].shape.dim, *md = a->in[3].shape.dim;
    size_t tq = (size_t)qd[1], heads = (size_t)qd[2], d = (size_t)qd[3], tk = (size_t)a->in[1].shape.dim[1];
    float scale = a->attrs->value != 0 ? a->attrs->value : 1.0f / sqrtf((float)d);
    const float *q = a->in[0].data, *k = a->in[1].data, *v = a->in[2].data, *mask = floats(a, 3);
    size_t row = heads * d;
    for (size_t b = 0; b < (size_t)qd[0]; b++)
        for (size_t t = 0; t < tq; t++)
            for (size_t h = 0; h < heads; h++) {
                const float *m = NULL;
                if (mask)
                    m = mask + (((md[0] == 1 ? 0 : b) * (size_t)md[1] + (md[1] == 1 ? 0 : h)) * tq + t) * tk;
                size_t at = (b * tq + t) * row + h * d;
                attend(q + at, k + b * tk * row + h * d, v + b * tk * row + h * d, row, tk, d, scale, m,
                       (float *)a->out.data + at);
            }
}

void pz_ref_conv_transpose2d(const struct pz_op_args *a)
{
    const struct pz_attrs *t = a->attrs;
    const int *xd = a->in[0].shape.dim, *wd = a->in[1].shape.dim, *o = a->out.shape.dim;
    const float *x = a->in[0].data, *w = a->in[1].data, *bias = floats(a, 2);
    float *out = a->out.data;
    for (int b = 0; b < o[0]; b++)
        for (int y = 0; y < o[1]; y++)
            for (int z = 0; z < o[2]; z++)
                for (int c = 0; c < o[3]; c++) {
                    double sum = bias ? bias[c] : 0;
                    for (int ky = 0; ky < wd[1]; ky++)
                        for (int kx = 0; kx < wd[2]; kx++) {
                            int fy = y + t->pad[0] - ky * t->dilation[0];
                            int fx = z + t->pad[2] - kx * t->dilation[1];
                            int iy = fy / t->stride[0], ix = fx / t->stride[1];
                            if (fy < 0 || fx < 0 || fy % t->stride[0] || fx % t->stride[1] || iy >= xd[1] ||
                                ix >= xd[2])
                                continue;
                            size_t from =
                                (((size_t)b * (size_t)xd[1] + (size_t)iy) * (size_t)xd[2] + (size_t)ix) *
                                (size_t)xd[3];
                            for (int i = 0; i < xd[3]; i++)
                                sum += (double)x[from + (size_t)i] *
                                       w[(((size_t)i * (size_t)wd[1] + (size_t)ky) * (size_t)wd[2] +
                                          (size_t)kx) *
                                             (size_t)wd[3] +
                                         (size_t)c];
                        }
                    *out++ = pz_ref_act(t->act, (float)sum, 0);
                }
}

/* Normalise `n` rows of `c` values lying `row` apart, the channels from `c0` on. */
static void normalise(const struct pz_op_args *a, const float *x, float *out, size_t n, size_t row, size_t c,
                      size_t c0)
{
    const float *gamma = floats(a, 1), *beta = floats(a, 2);
    double mean = 0, var = 0, all = (double)(n * c);
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < c; i++)
            mean += x[r * row + i];
    mean /= all;
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < c; i++)
            var += (x[r * row + i] - mean) * (x[r * row + i] - mean);
    double inv = 1 / sqrt(var / all + a->attrs->eps);
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < c; i++) {
            double v = (x[r * row + i] - mean) * inv;
            v = v * (gamma ? gamma[c0 + i] : 1) + (beta ? beta[c0 + i] : 0);
            out[r * row + i] = pz_ref_act(a->attrs->act, (float)v, 0);
        }
}

void pz_ref_group_norm(const struct pz_op_args *a)
{
    const struct pz_shape *s = &a->in[0].shape;
    size_t c = last(s), groups = (size_t)a->attrs->groups, batch = (size_t)s->dim[0];
    size_t rows = pz_shape_count(s) / (batch * c), part = c / groups;
    for (size_t b = 0; b < batch; b++)
        for (size_t g = 0; g < groups; g++) {
            size_t at = b * rows * c + g * part;
            normalise(a, (const float *)a->in[0].data + at, (float *)a->out.data + at, rows, c, part,
                      g * part);
        }
}

void pz_ref_layer_norm(const struct pz_op_args *a)
{
    size_t c = last(&a->in[0].shape), rows = pz_shape_count(&a->in[0].shape) / c;
    for (size_t r = 0; r < rows; r++)
        normalise(a, (const float *)a->in[0].data + r * c, (float *)a->out.data + r * c, 1, c, c, 0);
}

void pz_ref_batch_norm(const struct pz_op_args *a)
{
    const float *x = a->in[0].data, *mean = a->in[1].data, *var = a->in[2].data, *gamma = floats(a, 3),
                *beta = floats(a, 4);
    float *out = a->out.data;
    size_t c = last(&a->in[0].shape), n = pz_shape_count(&a->in[0].shape);
    for (size_t i = 0; i < n; i++) {
        size_t k = i % c;
        double v = ((double)x[i] - mean[k]) / sqrt(fmax((double)var[k], 0) + a->attrs->eps);
        out[i] = pz_ref_act(a->attrs->act, (float)(v * (gamma ? gamma[k] : 1) + (beta ? beta[k] : 0)), 0);
    }
}

static double gelu(double v)
{
    return 0.5 * v * (1.0 + erf(v * 0.70710678118654752));
}

static void map(const struct pz_op_args *a, double (*fn)(double))
{
    const float *x = a->in[0].data;
    float *out = a->out.data;
    size_t n = pz_shape_count(&a->out.shape);
    for (size_t i = 0; i < n; i++)
        out[i] = (float)fn(x[i]);
}

static double gelu_tanh(double v)
{
    return 0.5 * v * (1.0 + tanh(0.79788456080286536 * (v + 0.044715 * v * v * v)));
}

static double silu(double v)
{
    return v / (1.0 + exp(-v));
}

void pz_ref_gelu(const struct pz_op_args *a)
{
    map(a, gelu);
}

void pz_ref_gelu_tanh(const struct pz_op_args *a)
{
    map(a, gelu_tanh);
}

void pz_ref_silu(const struct pz_op_args *a)
{
    map(a, silu);
}

void pz_ref_tanh(const struct pz_op_args *a)
{
    map(a, tanh);
}

void pz_ref_exp(const struct pz_op_args *a)
{
    map(a, exp);
}

static double hard_sigmoid(double v)
{
    return fmin(fmax(v + 3, 0), 6) / 6;
}

static double hard_swish(double v)
{
    return v * hard_sigmoid(v);
}

static double root(double v)
{
    return sqrt(fmax(v, 0));
}

static double safe_log(double v)
{
    return log(fmax(v, FLT_MIN));
}

static double softplus(double v)
{
    return fmax(v, 0) + log1p(exp(-fabs(v)));
}

void pz_ref_hard_sigmoid(const struct pz_op_args *a)
{
    map(a, hard_sigmoid);
}

void pz_ref_hard_swish(const struct pz_op_args *a)
{
    map(a, hard_swish);
}

void pz_ref_sqrt(const struct pz_op_args *a)
{
    map(a, root);
}

void pz_ref_log(const struct pz_op_args *a)
{
    map(a, safe_log);
}

void pz_ref_softplus(const struct pz_op_args *a)
{
    map(a, softplus);
}

/* Those with a parameter. */
static void map_with(const struct pz_op_args *a, double (*fn)(double, const struct pz_attrs *))
{
    const float *x = a->in[0].data;
    float *out = a->out.data;
    size_t n = pz_shape_count(&a->out.shape);
    for (size_t i = 0; i < n; i++)
        out[i] = (float)fn(x[i], a->attrs);
}

static double clamp(double v, const struct pz_attrs *t)
{
    return fmin(fmax(v, t->range[0]), t->range[1]);
}

static double rsqrt(double v, const struct pz_attrs *t)
{
    return 1 / sqrt(v + t->eps);
}

static double power(double v, const struct pz_attrs *t)
{
    return pow(v, t->value);
}

void pz_ref_clamp(const struct pz_op_args *a)
{
    map_with(a, clamp);
}

void pz_ref_rsqrt(const struct pz_op_args *a)
{
    map_with(a, rsqrt);
}

void pz_ref_pow(const struct pz_op_args *a)
{
    map_with(a, power);
}

void pz_ref_l2_normalise(const struct pz_op_args *a)
{
    const float *x = a->in[0].data, *gamma = floats(a, 1);
    float *out = a->out.data;
    size_t c = last(&a->in[0].shape), rows = pz_shape_count(&a->in[0].shape) / c;
    double eps = a->attrs->eps;
    for (size_t r = 0; r < rows; r++, x += c, out += c) {
        double sum = 0;
        for (size_t i = 0; i < c; i++)
            sum += (double)x[i] * x[i];
        double norm = a->attrs->eps_added ? sqrt(sum) + eps : fmax(sqrt(sum), eps);
        for (size_t i = 0; i < c; i++)
            out[i] = (float)(x[i] / norm * (gamma ? gamma[i] : 1));
    }
}

void pz_ref_leaky_relu(const struct pz_op_args *a)
{
    const float *x = a->in[0].data;
    float *out = a->out.data;
    size_t n = pz_shape_count(&a->out.shape);
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] > 0 ? x[i] : a->attrs->value * x[i];
}

void pz_ref_geglu(const struct pz_op_args *a)
{
    const float *x = a->in[0].data;
    float *out = a->out.data;
    size_t c = last(&a->out.shape), rows = pz_shape_count(&a->out.shape) / c;
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < c; i++)
            out[r * c + i] = (float)(x[r * 2 * c + i] * gelu(x[r * 2 * c + c + i]));
}

void pz_ref_embedding(const struct pz_op_args *a)
{
    const int32_t *ids = a->in[0].data;
    const float *table = a->in[1].data;
    size_t n = pz_shape_count(&a->in[0].shape), d = (size_t)a->in[1].shape.dim[1];
    int32_t top = a->in[1].shape.dim[0] - 1;
    for (size_t i = 0; i < n; i++) {
        int32_t id = ids[i] < 0 ? 0 : ids[i] > top ? top : ids[i];
        memcpy((float *)a->out.data + i * d, table + (size_t)id * d, d * sizeof *table);
    }
}

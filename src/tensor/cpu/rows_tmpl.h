/*
 * Rows of numbers for the vector kernels: elementwise functions, norms, softmax; part of kernels_tmpl.h. The
 * last, partial vector goes through a buffer of zeros; nothing is read or written outside.
 */

#define EACH(n, body)                                                                                        \
    for (size_t i = 0; i < (n); i += LANES) {                                                                \
        size_t left = (n)-i;                                                                                 \
        body;                                                                                                \
    }
#define MAP(expr)                                                                                            \
    EACH(n, vec v = load_upto(x + i, left); store_upto(out + i, expr, left))                                 \
    break

static void map_row(enum pz_cpu_map fn, const float *x, float *out, size_t n, float value)
{
    switch (fn) {
    case PZ_MAP_SIGMOID:
        MAP(sigmoid_vec(v));
    case PZ_MAP_GELU:
        MAP(gelu_vec(v));
    case PZ_MAP_GELU_TANH:
        MAP(gelu_tanh_vec(v));
    case PZ_MAP_SILU:
        MAP(silu_vec(v));
    case PZ_MAP_TANH:
        MAP(tanh_vec(v));
    case PZ_MAP_EXP:
        MAP(exp_vec(v));
    case PZ_MAP_LEAKY_RELU:
        MAP(select_positive(v, v * splat(value)));
    case PZ_MAP_RELU6:
        MAP(act_vec(PZ_ACT_RELU6, v, (vec){0}));
    case PZ_MAP_SCALE:
        MAP(v * splat(value));
    case PZ_MAP_SHIFT:
        MAP(v + splat(value));
    case PZ_MAP_MAX:
        MAP(choose(v > splat(value), v, splat(value)));
    case PZ_MAP_MIN:
        MAP(choose(v < splat(value), v, splat(value)));
    case PZ_MAP_HARD_SIGMOID:
        MAP(hard_sigmoid_vec(v));
    case PZ_MAP_HARD_SWISH:
        MAP(v * hard_sigmoid_vec(v));
    case PZ_MAP_SQRT:
        MAP(sqrt_vec(select_positive(v, (vec){0})));
    case PZ_MAP_RSQRT:
        MAP(1.0f / sqrt_vec(v + splat(value)));
    case PZ_MAP_LOG:
        MAP(log_vec(v));
    case PZ_MAP_SOFTPLUS:
        MAP(softplus_vec(v));
    }
}

INLINE vec binary_vec(enum pz_cpu_binary fn, vec a, vec b)
{
    switch (fn) {
    case PZ_BINARY_ADD:
        return a + b;
    case PZ_BINARY_SUB:
        return a - b;
    case PZ_BINARY_MUL:
        return a * b;
    case PZ_BINARY_DIV:
        return a / b;
    case PZ_BINARY_MAX:
        break;
    }
    return choose(a > b, a, b);
}

INLINE void binary_as(enum pz_cpu_binary fn, const float *x, bool xs, const float *y, bool ys,
                      enum pz_act act, float *out, size_t n)
{
    vec x0 = splat(x[0]), y0 = splat(y[0]);
    EACH(n, vec a = xs ? x0 : load_upto(x + i, left); vec b = ys ? y0 : load_upto(y + i, left);
         vec v = binary_vec(fn, a, b);
         store_upto(out + i, act == PZ_ACT_NONE ? v : act_vec(act, v, (vec){0}), left))
}

static void binary_row(enum pz_cpu_binary fn, const float *x, bool xs, const float *y, bool ys,
                       enum pz_act act, float *out, size_t n)
{
    if (fn == PZ_BINARY_ADD && !xs && !ys && !act)
        binary_as(PZ_BINARY_ADD, x, false, y, false, PZ_ACT_NONE, out, n);
    else
        binary_as(fn, x, xs, y, ys, act, out, n);
}

static void geglu_row(const float *x, float *out, size_t c)
{
    EACH(c, vec g = load_upto(x + c + i, left);
         store_upto(out + i, load_upto(x + i, left) * gelu_vec(g), left))
}

static float top_row(const float *x, size_t n)
{
    vec top = splat(x[0]);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vec v = load(x + i);
        top = choose(v > top, v, top);
    }
    float t = top_of(top);
    for (; i < n; i++)
        t = x[i] > t ? x[i] : t;
    return t;
}

static float exp_row(const float *x, float top, float *out, size_t n)
{
    vec sum = {0}, t = splat(top);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vec v = exp_vec(load(x + i) - t);
        sum += v;
        store(out + i, v);
    }
    float s = sum_of(sum);
    if (i < n) {
        vec v = exp_vec(load_some(x + i, n - i) - t);
        for (size_t k = 0; k < n - i; k++)
            s += v[k];
        store_some(out + i, v, n - i);
    }
    return s;
}

static void softmax_row(const float *x, float *out, size_t n)
{
    float s = exp_row(x, top_row(x, n), out, n);
    map_row(PZ_MAP_SCALE, out, out, n, 1 / s);
}

static void log_softmax_row(const float *x, float *out, size_t n)
{
    float top = top_row(x, n), s = exp_row(x, top, out, n);
    map_row(PZ_MAP_SHIFT, x, out, n, -(top + logf(s)));
}

static float sum_row(const float *x, size_t n, bool squares)
{
    vec sum = {0};
    EACH(n, vec v = load_upto(x + i, left); if (squares) v *= v; sum += v)
    return sum_of(sum);
}

static void blend_row(const float *const *p, const float *w, int many, float *out, size_t n)
{
    EACH(n, vec v = load_upto(p[0] + i, left) * splat(w[0]);
         for (int k = 1; k < many; k++) v += load_upto(p[k] + i, left) * splat(w[k]);
         store_upto(out + i, v, left))
}

/* Four rows at a time, so that sums do not wait for each other. */
static void dots_row(const float *x, const float *y, size_t row, size_t n, size_t d, float *out)
{
    size_t whole = d / LANES * LANES;
    for (size_t j = 0; j < n; j += 4) {
        size_t many = n - j < 4 ? n - j : 4;
        const float *p[4];
        vec sum[4] = {{0}};
        for (size_t k = 0; k < 4; k++)
            p[k] = y + (j + (k < many ? k : 0)) * row;
        for (size_t i = 0; i < whole; i += LANES) {
            vec v = load(x + i);
            for (size_t k = 0; k < 4; k++)
                sum[k] += v * load(p[k] + i);
        }
        for (size_t k = 0; k < many; k++) {
            float tail = 0;
            for (size_t i = whole; i < d; i++)
                tail += x[i] * p[k][i];
            out[j + k] = sum_of(sum[k]) + tail;
        }
    }
}

/* scores: what the last block of keys gave; afterwards their weights. Returns what earlier sums shrink by. */
static float attend_row(float *scores, size_t n, float scale, const float *mask, float *top, float *sum)
{
    vec best = splat(-INFINITY), k = splat(scale);
    float now = -INFINITY, shrink;
    size_t q = 0;
    for (; q + LANES <= n; q += LANES) {
        vec v = load(scores + q) * k;
        if (mask)
            v += load(mask + q);
        store(scores + q, v);
        best = choose(v > best, v, best);
    }
    now = top_of(best);
    for (; q < n; q++) {
        scores[q] = scores[q] * scale + (mask ? mask[q] : 0);
        now = scores[q] > now ? scores[q] : now;
    }
    now = now > *top ? now : *top;
    if (now == -INFINITY) { /* every key so far is masked: nothing to add */
        memset(scores, 0, n * sizeof *scores);
        return 1;
    }
    shrink = *top == -INFINITY ? 0 : expf(*top - now);
    *top = now;
    *sum = *sum * shrink + exp_row(scores, now, scores, n);
    return shrink;
}

static void scale_shift(const float *x, const float *scale, const float *shift, size_t c, enum pz_act act,
                        float *out, size_t rows)
{
    for (size_t r = 0; r < rows; r++, x += c, out += c) {
        if (act == PZ_ACT_SILU) {
            EACH(c, store_upto(out + i,
                               silu_vec(load_upto(x + i, left) * load_upto(scale + i, left) +
                                        load_upto(shift + i, left)),
                               left))
        } else {
            EACH(c, store_upto(out + i,
                               act_vec(act,
                                       load_upto(x + i, left) * load_upto(scale + i, left) +
                                           load_upto(shift + i, left),
                                       (vec){0}),
                               left))
        }
    }
}

static void layer_norm_row(const float *x, const float *gamma, const float *beta, float eps, enum pz_act act,
                           float *out, size_t c)
{
    vec sum = {0}, square = {0};
    size_t q = 0;
    float tail = 0;
    for (; q + LANES <= c; q += LANES)
        sum += load(x + q);
    for (size_t k = q; k < c; k++)
        tail += x[k];
    float mean = (sum_of(sum) + tail) / (float)c;
    tail = 0;
    for (q = 0; q + LANES <= c; q += LANES) {
        vec d = load(x + q) - splat(mean);
        square += d * d;
    }
    for (size_t k = q; k < c; k++)
        tail += (x[k] - mean) * (x[k] - mean);
    float inv = 1 / sqrtf((sum_of(square) + tail) / (float)c + eps);
    EACH(c, vec v = (load_upto(x + i, left) - splat(mean)) * splat(inv);
         if (gamma) v *= load_upto(gamma + i, left); if (beta) v += load_upto(beta + i, left);
         store_upto(out + i, act_vec(act, v, (vec){0}), left))
}

/* Sum over `rows` rows of x - about (about may be NULL), or of its squares, for every channel. */
INLINE void column_sums(const float *x, size_t rows, size_t c, const float *about, float *out, bool squares)
{
    size_t i = 0;
    for (; i + 4 * LANES <= c; i += 4 * LANES) {
        vec s[4] = {{0}, {0}, {0}, {0}};
        for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 4
            for (size_t k = 0; k < 4; k++) {
                vec v = load(x + r * c + i + k * LANES);
                if (squares) {
                    v -= load(about + i + k * LANES);
                    v *= v;
                }
                s[k] += v;
            }
        for (size_t k = 0; k < 4; k++)
            store(out + i + k * LANES, s[k]);
    }
    for (; i < c; i += LANES) {
        size_t left = c - i;
        vec s = {0}, m = squares ? load_upto(about + i, left) : (vec){0};
        for (size_t r = 0; r < rows; r++) {
            vec v = load_upto(x + r * c + i, left);
            if (squares)
                v = (v - m) * (v - m);
            s += v;
        }
        store_upto(out + i, s, left);
    }
}

static void group_moments(const float *x, size_t rows, size_t c, size_t groups, double *mean, double *square,
                          float *room)
{
    size_t part = c / groups;
    float *sum = room, *about = room + c;
    column_sums(x, rows, c, NULL, sum, false);
    for (size_t g = 0; g < groups; g++) {
        double s = 0;
        for (size_t i = 0; i < part; i++)
            s += sum[g * part + i];
        mean[g] = s / (double)(part * rows);
        for (size_t i = 0; i < part; i++)
            about[g * part + i] = (float)mean[g];
        mean[g] = (float)mean[g];
    }
    column_sums(x, rows, c, about, sum, true);
    for (size_t g = 0; g < groups; g++) {
        square[g] = 0;
        for (size_t i = 0; i < part; i++)
            square[g] += sum[g * part + i];
    }
}

static void widen(const uint16_t *x, float *out, size_t n)
{
    EACH(n, store_upto(out + i, load_as_upto(x, i, true, left), left))
}

static void narrow(const float *x, uint16_t *out, size_t n)
{
    EACH(n, store_as_upto(out, i, true, load_upto(x + i, left), left))
}

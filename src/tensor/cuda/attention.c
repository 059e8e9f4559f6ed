/*
 * Attention: our flash kernel or cuDNN's, whichever is the quicker for the sizes at hand (16-bit types, no
 * mask), else two matrix products around a softmax (F32, masks, heads wider than both know).
 */
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "tensor/cuda/cuda.h"
#include "tensor/cuda/dnn.h"
#include "tensor/cuda/kernels.h"
#include "tensor/cuda/tune.h"

static float scale_of(const struct pz_op_args *a)
{
    return a->attrs->value != 0 ? a->attrs->value : 1.0f / sqrtf((float)a->in[0].shape.dim[3]);
}

static bool flash_fits(const struct pz_op_args *a)
{
    const int *q = a->in[0].shape.dim;
    return a->out.dtype != PZ_DTYPE_F32 && !pz_cuda_given(a, 3) &&
           pz_ck_flash_fits(q[0], q[1], a->in[1].shape.dim[1], q[2], q[3]);
}

static enum pz_status flash_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                    size_t *scratch)
{
    return flash_fits(a) ? PZ_OK : PZ_ERR_UNSUPPORTED;
}

static int flash_at(const struct pz_op_args *a, void *const *at)
{
    struct pz_cuda *d = a->device;
    const int *q = a->in[0].shape.dim;
    return pz_ck_flash(pz_cuda_type(&a->out), at[0], at[1], at[2], at[3], q[0], q[1], a->in[1].shape.dim[1],
                       q[2], q[3], scale_of(a), d->stream);
}

static void flash_run(const struct pz_op_args *a)
{
    void *at[4] = {a->in[0].data, a->in[1].data, a->in[2].data, a->out.data};
    pz_cuda_check(a->device, flash_at(a, at), "flash attention");
}

/* --- cuDNN's --- */

enum { UID_Q = 1, UID_K, UID_V, UID_O, UID_SCALE };

struct sdpa {
    struct pz_dnn_plan engine;
    float scale;
};

static size_t bytes_of(const struct pz_view *v)
{
    return pz_shape_count(&v->shape) * pz_dtype_size(v->dtype);
}

static struct pz_dnn_data data_of(const struct pz_op_args *a, const float *scale)
{
    struct pz_dnn_data t = {0};
    for (int i = 0; i < 3; i++)
        pz_dnn_add(&t, UID_Q + i, a->in[i].data, bytes_of(&a->in[i]));
    pz_dnn_add(&t, UID_O, a->out.data, bytes_of(&a->out));
    pz_dnn_add(&t, UID_SCALE, scale, 0);
    return t;
}

/* [B,T,H,D] as cuDNN's B, H, T, D. */
static cudnnBackendDescriptor_t tensor(struct pz_dnn *m, int64_t uid, const struct pz_view *v)
{
    const int *s = v->shape.dim;
    int64_t dim[4] = {s[0], s[2], s[1], s[3]};
    int64_t step[4] = {(int64_t)s[1] * s[2] * s[3], s[3], (int64_t)s[2] * s[3], 1};
    return pz_dnn_tensor(m, uid, 4, dim, step, v->dtype, false);
}

static cudnnBackendDescriptor_t describe(struct pz_dnn *m, const struct pz_op_args *a)
{
    cudnnBackendDescriptor_t scale = pz_dnn_make(m, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    int64_t one[4] = {1, 1, 1, 1}, uid = UID_SCALE, align = 4;
    bool yes = true;
    pz_dnn_set(m, scale, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    pz_dnn_set(m, scale, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, one);
    pz_dnn_set(m, scale, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, one);
    pz_dnn_set(m, scale, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid);
    pz_dnn_set(m, scale, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align);
    pz_dnn_set(m, scale, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &yes);
    pz_dnn_finish(m, scale);
    cudnnBackendDescriptor_t op = pz_dnn_make(m, CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR);
    pz_dnn_link(m, op, CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC, tensor(m, UID_Q, &a->in[0]));
    pz_dnn_link(m, op, CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC, tensor(m, UID_K, &a->in[1]));
    pz_dnn_link(m, op, CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC, tensor(m, UID_V, &a->in[2]));
    pz_dnn_link(m, op, CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC, tensor(m, UID_O, &a->out));
    pz_dnn_link(m, op, CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC, scale);
    pz_dnn_finish(m, op);
    return pz_dnn_graph(m, a->device, 1, &op);
}

struct trial {
    const struct pz_op_args *a;
    void *at[4];
};

static bool run_flash(void *user)
{
    struct trial *t = user;
    return !flash_at(t->a, t->at);
}

/* Milliseconds of our own kernel. */
static float time_flash(const struct pz_op_args *a)
{
    struct trial t = {.a = a};
    size_t part[4], all = 0;
    for (int i = 0; i < 4; i++) {
        part[i] = (bytes_of(i < 3 ? &a->in[i] : &a->out) + 255) & ~(size_t)255;
        all += part[i];
    }
    char *room = pz_cuda_ground(a->device, all);
    for (int i = 0; i < 4; i++) {
        t.at[i] = room;
        room = room ? room + part[i] : NULL;
    }
    return t.at[0] ? pz_cuda_time(a->device, run_flash, &t) : -1;
}

/* Milliseconds of the two products. */
static float time_products(const struct pz_op_args *a);

/* Whether cuDNN's is likely the quicker: many queries and keys (measured on an H100). */
static bool large(const struct pz_op_args *a)
{
    const int *q = a->in[0].shape.dim;
    long long blocks = (long long)q[0] * q[2] * ((q[1] + 63) / 64);
    return blocks >= 1024 && a->in[1].shape.dim[1] >= 256 && q[3] <= 160;
}

/* Which of the two serves these sizes: 0 ours (flash, or else the products), 1 cuDNN's. */
static int contest(const struct pz_op_args *a, const char *key, const struct pz_dnn_plan *engine)
{
    struct pz_cuda *d = a->device;
    int known = pz_tune_get(d->tune, key);
    if (!engine->plan)
        return 0;
    if (known == 0 || known == 1)
        return known;
    if (!d->tunes)
        return 1;
    float own = flash_fits(a) ? time_flash(a) : time_products(a);
    known = own < 0 || engine->ms < own; /* the engine was timed just now: neither was known */
    pz_debug(d->log, "%s: ours %.4f ms, cuDNN's %.4f ms", key, (double)own, (double)engine->ms);
    pz_tune_put(d->tune, key, known);
    return known;
}

static enum pz_status sdpa_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                   size_t *scratch)
{
    struct pz_cuda *d = a->device;
    const int *q = a->in[0].shape.dim;
    int tk = a->in[1].shape.dim[1];
    char key[96], who[104];
    struct pz_dnn m = {0};
    struct sdpa t = {.scale = scale_of(a)}, *s = NULL;
    if (a->out.dtype == PZ_DTYPE_F32 || pz_cuda_given(a, 3) || q[3] % 8 || cudnnGetVersion() < 91301)
        return PZ_ERR_UNSUPPORTED;
    snprintf(key, sizeof key, "attention:%dx%dx%dx%dx%d:%s", q[0], q[1], tk, q[2], q[3],
             pz_dtype_name(a->out.dtype));
    snprintf(who, sizeof who, "%s:who", key);
    int known = pz_tune_get(d->tune, who);
    if (known == 0 || (known < 0 && !d->tunes && !large(a)))
        return PZ_ERR_UNSUPPORTED;
    struct pz_dnn_data data = data_of(a, &t.scale);
    cudnnBackendDescriptor_t graph = describe(&m, a);
    if (!m.e)
        pz_dnn_pick(d, graph, key, a->out.dtype, 4, &data, &t.engine);
    pz_dnn_drop(&m);
    if (!contest(a, who, &t.engine)) {
        pz_dnn_free(&t.engine);
        return PZ_ERR_UNSUPPORTED;
    }
    s = pz_calloc(1, sizeof *s);
    if (!s) {
        pz_dnn_free(&t.engine);
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for an attention");
    }
    *s = t;
    *scratch = (size_t)s->engine.workspace;
    *state = s;
    return PZ_OK;
}

static void sdpa_run(const struct pz_op_args *a)
{
    const struct sdpa *s = a->state;
    struct pz_dnn_data data = data_of(a, &s->scale);
    pz_cuda_check_cudnn(a->device, pz_dnn_execute(a->device, &s->engine, &data, a->scratch), "an attention");
}

static void sdpa_release(void *state)
{
    struct sdpa *s = state;
    if (s)
        pz_dnn_free(&s->engine);
    pz_free(s);
}

/* --- two products --- */

#define SCORES_MAX ((size_t)256 << 20) /* bytes of F32 scores held at once, where there is a choice */

/* Scores of some batch elements F32, then their weights in the plan's type, then cuBLASLt's room. With one
 * head several elements go at once, with several heads the heads of one element do. */
struct products {
    struct pz_lt scores, values;
    int at_once;
    size_t at_weights, at_room;
};

static enum pz_status products_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                       size_t *scratch)
{
    const int *q = a->in[0].shape.dim;
    int tk = a->in[1].shape.dim[1], h = q[2], d = q[3], some = 1;
    long long row = (long long)h * d, cells = (long long)q[1] * tk;
    while (h == 1 && (some + 1) * (size_t)cells * 4 <= SCORES_MAX && some < q[0])
        some++;
    while (q[0] % some) /* all rounds alike */
        some--;
    int batch = h == 1 ? some : h;
    struct pz_lt_shape s = {.m = q[1],
                            .n = tk,
                            .k = d,
                            .batch = batch,
                            .lda = row,
                            .ldb = row,
                            .ldo = tk,
                            .step_a = h == 1 ? q[1] * row : d,
                            .step_b = h == 1 ? tk * row : d,
                            .step_o = cells,
                            .type = a->out.dtype,
                            .type_out = PZ_DTYPE_F32,
                            .transpose_b = true};
    struct pz_lt_shape v = {.m = q[1],
                            .n = d,
                            .k = tk,
                            .batch = batch,
                            .lda = tk,
                            .ldb = row,
                            .ldo = row,
                            .step_a = cells,
                            .step_b = h == 1 ? tk * row : d,
                            .step_o = h == 1 ? q[1] * row : d,
                            .type = a->out.dtype,
                            .type_out = a->out.dtype};
    struct products *t = pz_calloc(1, sizeof *t);
    if (!t)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for an attention");
    enum pz_status st = pz_lt_make(a->device, &s, &t->scores);
    if (st >= PZ_OK)
        st = pz_lt_make(a->device, &v, &t->values);
    if (st < PZ_OK) {
        pz_lt_free(&t->scores);
        pz_free(t);
        return pz_fail(log, PZ_ERR_DEVICE, "cuBLASLt could not prepare the products of an attention");
    }
    size_t n = (size_t)cells * (size_t)batch;
    t->at_once = some;
    t->at_weights = (n * 4 + 255) & ~(size_t)255;
    t->at_room = (t->at_weights + n * pz_dtype_size(a->out.dtype) + 255) & ~(size_t)255;
    *scratch =
        t->at_room + (t->scores.workspace > t->values.workspace ? t->scores.workspace : t->values.workspace);
    *state = t;
    return PZ_OK;
}

static void products_run(const struct pz_op_args *a)
{
    struct pz_cuda *dev = a->device;
    const struct products *t = a->state;
    const int *q = a->in[0].shape.dim, *m = a->in[3].shape.dim;
    int tk = a->in[1].shape.dim[1], size = (int)pz_dtype_size(a->out.dtype);
    size_t row = (size_t)q[2] * (size_t)q[3] * (size_t)size, cells = (size_t)q[1] * (size_t)tk;
    char *room = a->scratch, *mask = (char *)(uintptr_t)pz_cuda_data(a, 3);
    bool mask_batch = mask && m[0] > 1, mask_heads = mask && m[1] > 1;
    /* with one head the masks of the elements lie as those of heads do elsewhere */
    long long step = (q[2] == 1 ? mask_batch : mask_heads) ? (long long)cells : 0;
    for (int b = 0; b < q[0]; b += t->at_once) {
        size_t from = (size_t)b * (size_t)q[1] * row, key = (size_t)b * (size_t)tk * row;
        char *mb = mask_batch ? mask + (size_t)b * (size_t)m[1] * cells * (size_t)size : mask;
        pz_lt_run(dev, &t->scores, (char *)a->in[0].data + from, (char *)a->in[1].data + key, NULL, NULL,
                  room, room + t->at_room);
        pz_cuda_check(dev,
                      pz_ck_scores(pz_cuda_type(&a->out), (float *)room, scale_of(a), mb, step,
                                   room + t->at_weights, q[2] == 1 ? t->at_once : q[2], q[1], tk,
                                   dev->stream),
                      "an attention's softmax");
        pz_lt_run(dev, &t->values, room + t->at_weights, (char *)a->in[2].data + key, NULL, NULL,
                  (char *)a->out.data + from, room + t->at_room);
    }
}

static void products_release(void *state)
{
    struct products *t = state;
    if (!t)
        return;
    pz_lt_free(&t->scores);
    pz_lt_free(&t->values);
    pz_free(t);
}

static bool run_products(void *user)
{
    const struct pz_op_args *a = user;
    products_run(a);
    return ((const struct pz_cuda *)a->device)->st >= PZ_OK;
}

static float time_products(const struct pz_op_args *a)
{
    struct pz_op_args b = *a;
    size_t scratch = 0, part[4], all = 0;
    float ms = -1;
    if (products_prepare(NULL, a, &b.state, &scratch) < PZ_OK)
        return -1;
    for (int i = 0; i < 4; i++) {
        part[i] = (bytes_of(i < 3 ? &a->in[i] : &a->out) + 255) & ~(size_t)255;
        all += part[i];
    }
    char *room = pz_cuda_ground(a->device, all + scratch);
    if (room) {
        for (int i = 0; i < 3; i++) {
            b.in[i].data = room;
            room += part[i];
        }
        b.out.data = room;
        b.scratch = room + part[3];
        ms = pz_cuda_time(a->device, run_products, &b);
    }
    products_release(b.state);
    return ms;
}

static const struct pz_kernel sdpa = {"cudnn", sdpa_prepare, NULL, sdpa_run, NULL, sdpa_release};
static const struct pz_kernel flash = {"flash", flash_prepare, NULL, flash_run, NULL, NULL};
static const struct pz_kernel products = {"cublaslt", products_prepare, NULL, products_run,
                                          NULL,       products_release};

const struct pz_kernel *const pz_cuda_attention[] = {&sdpa, &flash, &products, NULL};

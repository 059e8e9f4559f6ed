/*
 * Matrix products through cuBLASLt: MATMUL, FULLY_CONNECTED and the products of ATTENTION where the flash
 * kernel has no form (F32, masks, wide heads). Descriptions and the heuristic's first choice are made once
 * when the plan is made. cuBLASLt thinks in columns: our row-major out = a·b is its outᵀ = bᵀ·aᵀ.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/cuda/cuda.h"
#include "tensor/cuda/device.h"
#include "tensor/cuda/kernels.h"

void pz_lt_free(struct pz_lt *lt)
{
    if (lt->a)
        cublasLtMatrixLayoutDestroy(lt->a);
    if (lt->b)
        cublasLtMatrixLayoutDestroy(lt->b);
    if (lt->out)
        cublasLtMatrixLayoutDestroy(lt->out);
    if (lt->op)
        cublasLtMatmulDescDestroy(lt->op);
    *lt = (struct pz_lt){0};
}

static cublasStatus_t layout(cublasLtMatrixLayout_t *l, cudaDataType_t type, long long rows, long long cols,
                             long long ld, int batch, long long step)
{
    cublasStatus_t e = cublasLtMatrixLayoutCreate(l, type, (uint64_t)rows, (uint64_t)cols, ld);
    if (e == CUBLAS_STATUS_SUCCESS && batch > 1) {
        e = cublasLtMatrixLayoutSetAttribute(*l, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch, sizeof batch);
        if (e == CUBLAS_STATUS_SUCCESS)
            e = cublasLtMatrixLayoutSetAttribute(*l, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &step,
                                                 sizeof step);
    }
    return e;
}

/* Bytes every row and matrix start is a multiple of, at most 16. */
static uint32_t alignment(long long ld, long long step, size_t size)
{
    uint32_t bits = (uint32_t)(ld * (long long)size) | (uint32_t)(step * (long long)size) | 16u;
    return bits & (~bits + 1);
}

static cublasStatus_t choose(struct pz_cuda *d, const struct pz_lt_shape *s, struct pz_lt *lt)
{
    size_t in = s->half ? 2 : 4, size = PZ_LT_WORKSPACE;
    uint32_t b = alignment(s->lda, s->step_a, in), a = alignment(s->ldb, s->step_b, in);
    uint32_t o = alignment(s->ldo, s->step_o, s->half_out ? 2 : 4);
    cublasLtMatmulPreference_t p = NULL;
    cublasLtMatmulHeuristicResult_t r;
    int found = 0;
    cublasStatus_t e = cublasLtMatmulPreferenceCreate(&p);
    if (!e)
        e = cublasLtMatmulPreferenceSetAttribute(p, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &size,
                                                 sizeof size);
    if (!e)
        e = cublasLtMatmulPreferenceSetAttribute(p, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &a, sizeof a);
    if (!e)
        e = cublasLtMatmulPreferenceSetAttribute(p, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &b, sizeof b);
    if (!e)
        e = cublasLtMatmulPreferenceSetAttribute(p, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &o, sizeof o);
    if (!e)
        e = cublasLtMatmulPreferenceSetAttribute(p, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &o, sizeof o);
    if (!e)
        e = cublasLtMatmulAlgoGetHeuristic(d->lt, lt->op, lt->b, lt->a, lt->out, lt->out, p, 1, &r, &found);
    if (!e && found < 1)
        e = CUBLAS_STATUS_NOT_SUPPORTED;
    if (!e) {
        lt->algo = r.algo;
        lt->workspace = r.workspaceSize;
    }
    if (p)
        cublasLtMatmulPreferenceDestroy(p);
    return e;
}

enum pz_status pz_lt_make(struct pz_cuda *d, const struct pz_lt_shape *s, struct pz_lt *lt)
{
    cudaDataType_t in = s->half ? CUDA_R_16F : CUDA_R_32F, res = s->half_out ? CUDA_R_16F : CUDA_R_32F;
    cublasOperation_t t = CUBLAS_OP_T;
    cublasLtEpilogue_t ep = CUBLASLT_EPILOGUE_BIAS;
    *lt = (struct pz_lt){.has_bias = s->bias};
    cublasStatus_t e = cublasLtMatmulDescCreate(&lt->op, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    if (!e && s->transpose_b)
        e = cublasLtMatmulDescSetAttribute(lt->op, CUBLASLT_MATMUL_DESC_TRANSA, &t, sizeof t);
    if (!e && s->bias)
        e = cublasLtMatmulDescSetAttribute(lt->op, CUBLASLT_MATMUL_DESC_EPILOGUE, &ep, sizeof ep);
    if (!e && s->bias)
        e = cublasLtMatmulDescSetAttribute(lt->op, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &res, sizeof res);
    if (!e)
        e = s->transpose_b ? layout(&lt->b, in, s->k, s->n, s->ldb, s->batch, s->step_b)
                           : layout(&lt->b, in, s->n, s->k, s->ldb, s->batch, s->step_b);
    if (!e)
        e = layout(&lt->a, in, s->k, s->m, s->lda, s->batch, s->step_a);
    if (!e)
        e = layout(&lt->out, res, s->n, s->m, s->ldo, s->batch, s->step_o);
    if (!e)
        e = choose(d, s, lt);
    if (e == CUBLAS_STATUS_SUCCESS)
        return PZ_OK;
    pz_lt_free(lt);
    return e == CUBLAS_STATUS_NOT_SUPPORTED || e == CUBLAS_STATUS_INVALID_VALUE ? PZ_ERR_UNSUPPORTED
                                                                                : PZ_ERR_DEVICE;
}

void pz_lt_run(struct pz_cuda *d, const struct pz_lt *lt, const void *a, const void *b, const void *bias,
               void *out, void *workspace)
{
    float one = 1, zero = 0;
    if (lt->has_bias &&
        !pz_cuda_check_lt(d,
                          cublasLtMatmulDescSetAttribute(lt->op, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias,
                                                         sizeof(const void *)),
                          "a dense layer's bias"))
        return;
    pz_cuda_check_lt(d,
                     cublasLtMatmul(d->lt, lt->op, &one, b, lt->b, a, lt->a, &zero, out, lt->out, out,
                                    lt->out, &lt->algo, workspace, lt->workspace, d->stream),
                     "a matrix product");
}

static enum pz_status keep(struct pz_log *log, const struct pz_lt_shape *s, const struct pz_op_args *a,
                           void **state, size_t *scratch)
{
    struct pz_lt *lt = pz_calloc(1, sizeof *lt);
    if (!lt)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for a matrix product");
    enum pz_status st = pz_lt_make(a->device, s, lt);
    if (st < PZ_OK) {
        pz_free(lt);
        return st == PZ_ERR_UNSUPPORTED ? st
                                        : pz_fail(log, st, "cuBLASLt could not prepare a matrix product");
    }
    *scratch = lt->workspace;
    *state = lt;
    return PZ_OK;
}

static void release(void *state)
{
    if (state)
        pz_lt_free(state);
    pz_free(state);
}

static enum pz_status matmul_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                     size_t *scratch)
{
    const struct pz_shape *p = &a->in[0].shape, *q = &a->in[1].shape, *o = &a->out.shape;
    int r = p->rank, m = p->dim[r - 2], k = p->dim[r - 1], n = o->dim[r - 1], half = pz_cuda_half(&a->out);
    size_t batch = pz_shape_count(p) / ((size_t)m * (size_t)k);
    bool shared = pz_shape_count(q) == (size_t)k * (size_t)n;
    struct pz_lt_shape s = {.m = m,
                            .n = n,
                            .k = k,
                            .batch = (int)batch,
                            .lda = k,
                            .ldo = n,
                            .ldb = a->attrs->transpose_b ? k : n,
                            .step_a = (long long)m * k,
                            .step_b = (long long)k * n,
                            .step_o = (long long)m * n,
                            .half = half,
                            .half_out = half,
                            .transpose_b = a->attrs->transpose_b};
    if (shared && batch > 1) { /* one weight for all: a single tall product */
        s.m = (int)((size_t)m * batch);
        s.batch = 1;
    }
    return keep(log, &s, a, state, scratch);
}

static void matmul_run(const struct pz_op_args *a)
{
    pz_lt_run(a->device, a->state, a->in[0].data, a->in[1].data, NULL, a->out.data, a->scratch);
}

static enum pz_status dense_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                    size_t *scratch)
{
    int k = a->in[1].shape.dim[1], n = a->in[1].shape.dim[0], half = pz_cuda_half(&a->out);
    struct pz_lt_shape s = {.m = (int)(pz_shape_count(&a->in[0].shape) / (size_t)k),
                            .n = n,
                            .k = k,
                            .batch = 1,
                            .lda = k,
                            .ldb = k,
                            .ldo = n,
                            .half = half,
                            .half_out = half,
                            .transpose_b = true,
                            .bias = pz_cuda_given(a, 2)};
    return keep(log, &s, a, state, scratch);
}

static void dense_run(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    pz_lt_run(d, a->state, a->in[0].data, a->in[1].data, pz_cuda_data(a, 2), a->out.data, a->scratch);
    if (a->attrs->act)
        pz_cuda_check(d,
                      pz_ck_unary(pz_cuda_half(&a->out), (int)a->attrs->act, 0, a->out.data, a->out.data,
                                  (long long)pz_shape_count(&a->out.shape), d->stream),
                      "a dense layer's activation");
}

/* --- attention --- */

static float scale_of(const struct pz_op_args *a)
{
    return a->attrs->value != 0 ? a->attrs->value : 1.0f / sqrtf((float)a->in[0].shape.dim[3]);
}

static enum pz_status flash_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                    size_t *scratch)
{
    return pz_cuda_half(&a->out) && !pz_cuda_given(a, 3) && pz_ck_flash_fits(a->in[0].shape.dim[3]) &&
                   a->in[0].shape.dim[0] < 65536 && a->in[0].shape.dim[2] < 65536
               ? PZ_OK
               : PZ_ERR_UNSUPPORTED;
}

static void flash_run(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    const int *q = a->in[0].shape.dim;
    pz_cuda_check(d,
                  pz_ck_flash(a->in[0].data, a->in[1].data, a->in[2].data, a->out.data, q[0], q[1],
                              a->in[1].shape.dim[1], q[2], q[3], scale_of(a), d->stream),
                  "flash attention");
}

/* Scores of one batch element F32, then its weights in the plan's type, then cuBLASLt's room. */
struct attention {
    struct pz_lt scores, values;
    size_t at_weights, at_room;
};

static enum pz_status attention_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                        size_t *scratch)
{
    const int *q = a->in[0].shape.dim;
    int tk = a->in[1].shape.dim[1], half = pz_cuda_half(&a->out), h = q[2], d = q[3];
    long long row = (long long)h * d, cells = (long long)q[1] * tk;
    struct pz_lt_shape s = {.m = q[1],
                            .n = tk,
                            .k = d,
                            .batch = h,
                            .lda = row,
                            .ldb = row,
                            .ldo = tk,
                            .step_a = d,
                            .step_b = d,
                            .step_o = cells,
                            .half = half,
                            .transpose_b = true};
    struct pz_lt_shape v = {.m = q[1],
                            .n = d,
                            .k = tk,
                            .batch = h,
                            .lda = tk,
                            .ldb = row,
                            .ldo = row,
                            .step_a = cells,
                            .step_b = d,
                            .step_o = d,
                            .half = half,
                            .half_out = half};
    struct attention *t = pz_calloc(1, sizeof *t);
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
    size_t n = (size_t)cells * (size_t)h;
    t->at_weights = (n * 4 + 255) & ~(size_t)255;
    t->at_room = (t->at_weights + n * (half ? 2 : 4) + 255) & ~(size_t)255;
    *scratch =
        t->at_room + (t->scores.workspace > t->values.workspace ? t->scores.workspace : t->values.workspace);
    *state = t;
    return PZ_OK;
}

static void attention_run(const struct pz_op_args *a)
{
    struct pz_cuda *dev = a->device;
    const struct attention *t = a->state;
    const int *q = a->in[0].shape.dim, *m = a->in[3].shape.dim;
    int tk = a->in[1].shape.dim[1], half = pz_cuda_half(&a->out), size = half ? 2 : 4;
    size_t row = (size_t)q[2] * (size_t)q[3] * (size_t)size, cells = (size_t)q[1] * (size_t)tk;
    char *room = a->scratch, *mask = (char *)(uintptr_t)pz_cuda_data(a, 3);
    for (int b = 0; b < q[0]; b++) {
        size_t from = (size_t)b * (size_t)q[1] * row, key = (size_t)b * (size_t)tk * row;
        bool mask_batch = mask && m[0] > 1, mask_heads = mask && m[1] > 1;
        char *mb = mask_batch ? mask + (size_t)b * (size_t)m[1] * cells * (size_t)size : mask;
        pz_lt_run(dev, &t->scores, (char *)a->in[0].data + from, (char *)a->in[1].data + key, NULL, room,
                  room + t->at_room);
        pz_cuda_check(dev,
                      pz_ck_scores(half, (float *)room, scale_of(a), mb, mask_heads ? (long long)cells : 0,
                                   room + t->at_weights, q[2], q[1], tk, dev->stream),
                      "an attention's softmax");
        pz_lt_run(dev, &t->values, room + t->at_weights, (char *)a->in[2].data + key, NULL,
                  (char *)a->out.data + from, room + t->at_room);
    }
}

static void attention_release(void *state)
{
    struct attention *t = state;
    if (!t)
        return;
    pz_lt_free(&t->scores);
    pz_lt_free(&t->values);
    pz_free(t);
}

static const struct pz_kernel matmul = {"cublaslt", matmul_prepare, NULL, matmul_run, NULL, release};
static const struct pz_kernel dense = {"cublaslt", dense_prepare, NULL, dense_run, NULL, release};
static const struct pz_kernel flash = {"flash", flash_prepare, NULL, flash_run, NULL, NULL};
static const struct pz_kernel products = {"cublaslt", attention_prepare, NULL, attention_run,
                                          NULL,       attention_release};

const struct pz_kernel *const pz_cuda_matmul[] = {&matmul, NULL};
const struct pz_kernel *const pz_cuda_dense[] = {&dense, NULL};
const struct pz_kernel *const pz_cuda_attention[] = {&flash, &products, NULL};

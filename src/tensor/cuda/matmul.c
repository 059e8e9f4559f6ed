/*
 * Matrix products through cuBLASLt: MATMUL, FULLY_CONNECTED (with the residual and the sisters that merge.c
 * joins to it) and what attention.c asks for. Descriptions are made once when the plan is made, and of the
 * algorithms that the heuristics offer the quickest is taken. cuBLASLt thinks in columns: our row-major
 * out = a·b is its outᵀ = bᵀ·aᵀ.
 */
#include <stdio.h>

#include "base/mem.h"
#include "tensor/cuda/cuda.h"
#include "tensor/cuda/device.h"
#include "tensor/cuda/kernels.h"
#include "tensor/cuda/tune.h"

#define OFFERED 8 /* algorithms timed */

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

static cudaDataType_t type_of(enum pz_dtype t)
{
    return t == PZ_DTYPE_F16 ? CUDA_R_16F : t == PZ_DTYPE_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static cublasStatus_t prefer(cublasLtMatmulPreference_t p, const struct pz_lt_shape *s)
{
    static const cublasLtMatmulPreferenceAttributes_t names[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    size_t in = pz_dtype_size(s->type), room = PZ_LT_WORKSPACE;
    uint32_t o = alignment(s->ldo, s->step_o, pz_dtype_size(s->type_out));
    uint32_t at[] = {alignment(s->ldb, s->step_b, in), alignment(s->lda, s->step_a, in), o, o};
    cublasStatus_t e =
        cublasLtMatmulPreferenceSetAttribute(p, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &room, sizeof room);
    for (int i = 0; i < 4 && !e; i++)
        e = cublasLtMatmulPreferenceSetAttribute(p, names[i], &at[i], sizeof at[i]);
    return e;
}

struct trial {
    struct pz_cuda *d;
    const struct pz_lt *lt;
    char *a, *b, *bias, *residual, *out, *workspace;
};

static bool run_trial(void *user)
{
    struct trial *t = user;
    float one = 1, beta = t->lt->adds ? 1.0f : 0.0f;
    return (!t->lt->has_bias || !cublasLtMatmulDescSetAttribute(t->lt->op, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                                                &t->bias, sizeof t->bias)) &&
           !cublasLtMatmul(t->d->lt, t->lt->op, &one, t->b, t->lt->b, t->a, t->lt->a, &beta, t->residual,
                           t->lt->out, t->out, t->lt->out, &t->lt->algo, t->workspace, t->lt->workspace,
                           t->d->stream);
}

/* Index of the quickest of n algorithms. */
static int quickest(struct pz_cuda *d, const struct pz_lt_shape *s, struct pz_lt *lt,
                    const cublasLtMatmulHeuristicResult_t *r, int n)
{
    size_t in = pz_dtype_size(s->type), last = (size_t)(s->batch - 1), part[4], all = 0;
    part[0] = ((size_t)(s->m - 1) * (size_t)s->lda + (size_t)s->k + last * (size_t)s->step_a) * in;
    part[2] = ((size_t)(s->m - 1) * (size_t)s->ldo + (size_t)s->n + last * (size_t)s->step_o) *
              pz_dtype_size(s->type_out);
    part[3] = ((size_t)s->n + last * (size_t)s->step_bias) * pz_dtype_size(s->type_out);
    part[1] = ((size_t)((s->transpose_b ? s->n : s->k) - 1) * (size_t)s->ldb +
               (size_t)(s->transpose_b ? s->k : s->n) + last * (size_t)s->step_b) *
              in;
    for (int i = 0; i < 4; i++)
        all += part[i] = (part[i] + 255) & ~(size_t)255;
    char *room = pz_cuda_ground(d, all + part[2] + PZ_LT_WORKSPACE);
    int best = 0;
    float least = -1;
    if (!room)
        return 0;
    struct trial t = {.d = d, .lt = lt, .a = room, .b = room + part[0], .out = room + part[0] + part[1]};
    t.bias = t.out + part[2];
    t.residual = s->residual ? t.bias + part[3] : t.out;
    t.workspace = room + all + part[2];
    for (int i = 0; i < n; i++) {
        lt->algo = r[i].algo;
        lt->workspace = r[i].workspaceSize;
        float ms = pz_cuda_time(d, run_trial, &t);
        if (ms >= 0 && (least < 0 || ms < least)) {
            least = ms;
            best = i;
        }
    }
    return best;
}

static cublasStatus_t choose(struct pz_cuda *d, const struct pz_lt_shape *s, struct pz_lt *lt)
{
    char key[192];
    cublasLtMatmulPreference_t p = NULL;
    cublasLtMatmulHeuristicResult_t r[OFFERED];
    int found = 0;
    snprintf(key, sizeof key, "product:%dx%dx%dx%d:%lld,%lld,%lld:%lld,%lld,%lld,%lld:%s-%s:t%db%da%dr%d",
             s->m, s->n, s->k, s->batch, s->lda, s->ldb, s->ldo, s->step_a, s->step_b, s->step_o,
             s->step_bias, pz_dtype_name(s->type), pz_dtype_name(s->type_out), s->transpose_b, s->bias,
             s->relu, s->residual);
    int known = pz_tune_get(d->tune, key), asked = known < 0 && !d->tunes ? 1 : OFFERED;
    cublasStatus_t e = cublasLtMatmulPreferenceCreate(&p);
    if (!e)
        e = prefer(p, s);
    if (!e)
        e = cublasLtMatmulAlgoGetHeuristic(d->lt, lt->op, lt->b, lt->a, lt->out, lt->out, p, asked, r,
                                           &found);
    if (!e && found < 1)
        e = CUBLAS_STATUS_NOT_SUPPORTED;
    if (!e) {
        int i = known >= 0 && known < found ? known : 0;
        if (i != known && d->tunes) {
            i = found > 1 ? quickest(d, s, lt, r, found) : 0;
            pz_tune_put(d->tune, key, i);
        }
        lt->algo = r[i].algo;
        lt->workspace = r[i].workspaceSize;
    }
    if (p)
        cublasLtMatmulPreferenceDestroy(p);
    return e;
}

/* What is done to the sums on their way out. */
static cublasStatus_t describe(cublasLtMatmulDesc_t op, const struct pz_lt_shape *s)
{
    cublasOperation_t t = CUBLAS_OP_T;
    cudaDataType_t res = type_of(s->type_out);
    int64_t step = s->step_bias;
    cublasLtEpilogue_t ep = s->bias && s->relu ? CUBLASLT_EPILOGUE_RELU_BIAS
                            : s->bias          ? CUBLASLT_EPILOGUE_BIAS
                            : s->relu          ? CUBLASLT_EPILOGUE_RELU
                                               : CUBLASLT_EPILOGUE_DEFAULT;
    cublasStatus_t e = cublasLtMatmulDescSetAttribute(op, CUBLASLT_MATMUL_DESC_EPILOGUE, &ep, sizeof ep);
    if (!e && s->transpose_b)
        e = cublasLtMatmulDescSetAttribute(op, CUBLASLT_MATMUL_DESC_TRANSA, &t, sizeof t);
    if (!e && s->bias)
        e = cublasLtMatmulDescSetAttribute(op, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &res, sizeof res);
    if (!e && s->bias && s->batch > 1)
        e = cublasLtMatmulDescSetAttribute(op, CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, &step, sizeof step);
    return e;
}

enum pz_status pz_lt_make(struct pz_cuda *d, const struct pz_lt_shape *s, struct pz_lt *lt)
{
    cudaDataType_t in = type_of(s->type), res = type_of(s->type_out);
    *lt = (struct pz_lt){.has_bias = s->bias, .adds = s->residual};
    cublasStatus_t e = cublasLtMatmulDescCreate(&lt->op, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    if (!e)
        e = describe(lt->op, s);
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
               const void *residual, void *out, void *workspace)
{
    float one = 1, beta = residual ? 1.0f : 0.0f;
    if (lt->has_bias &&
        !pz_cuda_check_lt(d,
                          cublasLtMatmulDescSetAttribute(lt->op, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias,
                                                         sizeof(const void *)),
                          "a dense layer's bias"))
        return;
    pz_cuda_check_lt(d,
                     cublasLtMatmul(d->lt, lt->op, &one, b, lt->b, a, lt->a, &beta, residual ? residual : out,
                                    lt->out, out, lt->out, &lt->algo, workspace, lt->workspace, d->stream),
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
    int r = p->rank, m = p->dim[r - 2], k = p->dim[r - 1], n = o->dim[r - 1];
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
                            .type = a->out.dtype,
                            .type_out = a->out.dtype,
                            .transpose_b = a->attrs->transpose_b};
    if (shared && batch > 1) { /* one weight for all: a single tall product */
        s.m = (int)((size_t)m * batch);
        s.batch = 1;
    }
    return keep(log, &s, a, state, scratch);
}

static void matmul_run(const struct pz_op_args *a)
{
    pz_lt_run(a->device, a->state, a->in[0].data, a->in[1].data, NULL, NULL, a->out.data, a->scratch);
}

/* FULLY_CONNECTED as merge.c may have left it, attrs.groups sisters of one x: in = x, their weights (which
 * lie one after another, as do their outputs), their biases or nothing; a single one may have a residual. */
static int sisters(const struct pz_op_args *a)
{
    return a->attrs->groups > 1 ? a->attrs->groups : 1;
}

static size_t apart(const struct pz_op_args *a, int i)
{
    return (pz_shape_count(&a->in[i].shape) * pz_dtype_size(a->in[i].dtype) + 255) / 256 * 256 /
           pz_dtype_size(a->in[i].dtype);
}

static enum pz_status dense_prepare(struct pz_log *log, const struct pz_op_args *a, void **state,
                                    size_t *scratch)
{
    int k = a->in[1].shape.dim[1], n = a->in[1].shape.dim[0], many = sisters(a);
    bool bias = many > 1 ? a->n_in > 1 + many : pz_cuda_given(a, 2);
    struct pz_lt_shape s = {.m = (int)(pz_shape_count(&a->in[0].shape) / (size_t)k),
                            .n = n,
                            .k = k,
                            .batch = many,
                            .lda = k,
                            .ldb = k,
                            .ldo = n,
                            .type = a->out.dtype,
                            .type_out = a->out.dtype,
                            .transpose_b = true,
                            .bias = bias,
                            .relu = a->attrs->act == PZ_ACT_RELU,
                            .residual = many == 1 && pz_cuda_given(a, 3)};
    if (many > 1) {
        s.step_b = (long long)apart(a, 1);
        s.step_o = (long long)s.m * n;
        s.step_bias = bias ? (long long)apart(a, 1 + many) : 0;
    }
    return keep(log, &s, a, state, scratch);
}

static void dense_run(const struct pz_op_args *a)
{
    struct pz_cuda *d = a->device;
    int many = sisters(a);
    const void *bias = many > 1 ? pz_cuda_data(a, 1 + many) : pz_cuda_data(a, 2);
    for (int i = 1; i < many; i++) /* the layout of the weights is weights.c's: never multiply by chance */
        if ((const char *)a->in[1 + i].data - (const char *)a->in[i].data !=
            (ptrdiff_t)(apart(a, 1) * pz_dtype_size(a->in[1].dtype))) {
            d->st = pz_fail(d->log, PZ_ERR_INTERNAL, "weights of merged layers lie apart");
            return;
        }
    pz_lt_run(d, a->state, a->in[0].data, a->in[1].data, bias, many > 1 ? NULL : pz_cuda_data(a, 3),
              a->out.data, a->scratch);
    if (a->attrs->act && a->attrs->act != PZ_ACT_RELU)
        pz_cuda_check(d,
                      pz_ck_unary(pz_cuda_type(&a->out), (int)a->attrs->act, 0, 0, a->out.data, a->out.data,
                                  (long long)pz_shape_count(&a->out.shape), d->stream),
                      "a dense layer's activation");
}

static const struct pz_kernel matmul = {"cublaslt", matmul_prepare, NULL, matmul_run, NULL, release};
static const struct pz_kernel dense = {"cublaslt", dense_prepare, NULL, dense_run, NULL, release};

const struct pz_kernel *const pz_cuda_matmul[] = {&matmul, NULL};
const struct pz_kernel *const pz_cuda_dense[] = {&dense, NULL};

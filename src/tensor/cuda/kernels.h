/**
 * Launchers of our own CUDA kernels; for tensor/cuda only. All enqueue on `stream` and return a cudaError_t
 * as int (0 = fine). `half`: element type F16, else F32; arithmetic is F32 in both. Pointers are the
 * device's, aligned to 16 bytes unless said otherwise; vectors that may be absent are NULL.
 */
#ifndef PZ_TENSOR_CUDA_KERNELS_H
#define PZ_TENSOR_CUDA_KERNELS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CUstream_st *pz_stream;

/** Functions of one value; the first six are enum pz_act. */
enum {
    PZ_CK_NONE,
    PZ_CK_RELU,
    PZ_CK_RELU6,
    PZ_CK_PRELU,
    PZ_CK_SILU,
    PZ_CK_GELU,
    PZ_CK_GELU_TANH,
    PZ_CK_TANH,
    PZ_CK_EXP,
    PZ_CK_SIGMOID,
    PZ_CK_LEAKY
};

/** Up to six axes of an output and, for each, the step in up to two sources. */
struct pz_ck_axes {
    int rank, dim[6], size[6],
        begin[6]; /**< gather: the source coordinate is out − begin, inside [0, size) */
    long long step[2][6];
};

/** A window sliding over NHWC pictures. */
struct pz_ck_window {
    int b, h, w, c, oh, ow, oc, kh, kw, sy, sx, dy, dx, top, left;
};

int pz_ck_convert(const void *src, int src_half, void *dst, int dst_half, long long n, pz_stream stream);
int pz_ck_unary(int half, int fn, float param, const void *x, void *out, long long n, pz_stream stream);
/** op 0 add, 1 sub, 2 mul; `axes` NULL: both of the output's shape. */
int pz_ck_binary(int half, int op, int act, const struct pz_ck_axes *axes, const void *a, const void *b,
                 void *out, long long n, pz_stream stream);
/** out = act(x + bias + residual); slope [c] for PReLU; x may be out. n a multiple of c. */
int pz_ck_epilogue(int half, int act, const void *x, const void *bias, const void *residual,
                   const void *slope, void *out, int c, long long n, pz_stream stream);
int pz_ck_geglu(int half, const void *x, void *out, int c, long long rows, pz_stream stream);
/** Copy by coordinates; those outside give `fill`. Covers transpose, slice, pad. */
int pz_ck_gather(int half, const struct pz_ck_axes *axes, float fill, const void *x, void *out, long long n,
                 pz_stream stream);
/** Rows of `part` bytes, one after another, to rows `pitch` bytes apart; all multiples of 16. */
int pz_ck_copy_rows(const void *x, void *out, long long rows, long long part, long long pitch,
                    pz_stream stream);
int pz_ck_embedding(int half, const int *ids, const void *table, void *out, long long n, int d, int rows,
                    pz_stream stream);
int pz_ck_pool(int half, int mean, int act, const struct pz_ck_window *g, const void *x, void *out,
               pz_stream stream);
int pz_ck_resize(int half, int bilinear, int align_corners, int half_pixel, const struct pz_ck_window *g,
                 const void *x, void *out, pz_stream stream);
/** One thread an output: right for every shape, quick for none but depthwise ones. kind 0 conv2d, 1
 * depthwise, 2 transposed. No epilogue. */
int pz_ck_conv(int half, int kind, const struct pz_ck_window *g, const void *x, const void *w, void *out,
               pz_stream stream);
/** Softmax of `n` values `inner` apart. */
int pz_ck_softmax(int half, const void *x, void *out, long long outer, int n, long long inner,
                  pz_stream stream);
/** Scores F32 [heads, tq, tk] → weights [heads, tq, tk]; mask (tk per query; head_step 0 or tq·tk) or NULL.
 */
int pz_ck_scores(int half, const float *s, float scale, const void *mask, long long head_step, void *out,
                 int heads, int tq, int tk, pz_stream stream);
/** Flash attention, F16, d a multiple of 8 up to 160. */
int pz_ck_flash(const void *q, const void *k, const void *v, void *out, int b, int tq, int tk, int heads,
                int d, float scale, pz_stream stream);
/** Whether pz_ck_flash() has a kernel for heads of width d. */
int pz_ck_flash_fits(int d);
/** Bytes of scratch group_norm needs. */
long long pz_ck_group_norm_scratch(int b, long long rows, int groups);
int pz_ck_group_norm(int half, const void *x, const void *gamma, const void *beta, float eps, int act,
                     void *out, int b, long long rows, int c, int groups, void *scratch, pz_stream stream);
int pz_ck_layer_norm(int half, const void *x, const void *gamma, const void *beta, float eps, int act,
                     void *out, long long rows, int c, pz_stream stream);
int pz_ck_batch_norm(int half, const void *x, const void *mean, const void *var, const void *gamma,
                     const void *beta, float eps, int act, void *out, long long n, int c, pz_stream stream);

#ifdef __cplusplus
}
#endif

#endif

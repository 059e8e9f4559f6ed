/**
 * Launchers of our own CUDA kernels; for tensor/cuda only. All enqueue on `stream` and return a cudaError_t
 * as int (0 = fine). `type`: what elements are; arithmetic is F32 in all. Pointers are the
 * device's, aligned to 16 bytes unless said otherwise; vectors that may be absent are NULL.
 */
#ifndef PZ_TENSOR_CUDA_KERNELS_H
#define PZ_TENSOR_CUDA_KERNELS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CUstream_st *pz_stream;

/** Element types; the two of 16 bits are the true ones. */
enum { PZ_CK_F32, PZ_CK_F16, PZ_CK_BF16 };

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
    PZ_CK_LEAKY,
    PZ_CK_HARD_SIGMOID, /* from here on pz_ck_unary() only */
    PZ_CK_HARD_SWISH,
    PZ_CK_CLAMP, /* to p … q */
    PZ_CK_SQRT,
    PZ_CK_RSQRT, /* of x + p */
    PZ_CK_LOG,
    PZ_CK_POW,
    PZ_CK_SOFTPLUS
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

/** A convolution of volumes [B,D,H,W,C] by filters [Co,KD,KH,KW,C/groups]. */
struct pz_ck_volume {
    int x[5], w[5], o[5], stride[3], dilation[3], pad[3];
};

struct pz_ck_sample {
    int b, d, h, w, c, axes, align, border;
    long long points;
};

int pz_ck_convert(const void *src, int src_type, void *dst, int dst_type, long long n, pz_stream stream);
/** p, q: what the function asks for. */
int pz_ck_unary(int type, int fn, float p, float q, const void *x, void *out, long long n, pz_stream stream);
/** op 0 add, 1 sub, 2 mul, 3 div; `axes` NULL: both of the output's shape. */
int pz_ck_binary(int type, int op, int act, const struct pz_ck_axes *axes, const void *a, const void *b,
                 void *out, long long n, pz_stream stream);
/** out = act(x + bias + residual); slope [c] for PReLU; x may be out. n a multiple of c. */
int pz_ck_epilogue(int type, int act, const void *x, const void *bias, const void *residual,
                   const void *slope, void *out, int c, long long n, pz_stream stream);
int pz_ck_geglu(int type, const void *x, void *out, int c, long long rows, pz_stream stream);
/** Copy by coordinates; those outside give `fill`. Covers transpose, slice, pad. */
int pz_ck_gather(int type, const struct pz_ck_axes *axes, float fill, const void *x, void *out, long long n,
                 pz_stream stream);
/** Rows of `part` bytes, one after another, to rows `pitch` bytes apart; all multiples of 16. */
int pz_ck_copy_rows(const void *x, void *out, long long rows, long long part, long long pitch,
                    pz_stream stream);
/** Rows of c channels to rows of `to`: cut off, or filled up with zeros. */
int pz_ck_channels(int type, const void *x, int c, void *out, int to, long long rows, pz_stream stream);
/** x [b,h+1,w+1,4·c], phase after phase → out [b,2h,2w,c]: row 2i+p, column 2j+q is phase 2p+q at (i+p, j+q).
 * c a multiple of 8. */
int pz_ck_phases(int type, const void *x, void *out, int b, int h, int w, int c, pz_stream stream);
int pz_ck_embedding(int type, const int *ids, const void *table, void *out, long long n, int d, int rows,
                    pz_stream stream);
int pz_ck_pool(int type, int mean, int act, const struct pz_ck_window *g, const void *x, void *out,
               pz_stream stream);
int pz_ck_resize(int type, int bilinear, int align_corners, int type_pixel, const struct pz_ck_window *g,
                 const void *x, void *out, pz_stream stream);
/** One thread an output: right for every shape, quick for none. No epilogue. */
int pz_ck_conv(int type, const struct pz_ck_volume *g, const void *x, const void *w, void *out,
               pz_stream stream);
/** The same, with bias (may be NULL) and activation, rounded once. */
int pz_ck_conv_transposed(int type, int act, const struct pz_ck_window *g, const void *x, const void *w,
                          const void *bias, void *out, pz_stream stream);
/** x [b,d,h,w,c], grid [b,points,axes] of −1 … 1 → [b,points,c]. */
int pz_ck_grid_sample(int type, const struct pz_ck_sample *g, const void *x, const void *grid, void *out,
                      pz_stream stream);
/** Copy by coordinates; those outside give the edge, or what lies mirrored at its centre. */
int pz_ck_pad_edge(int type, int reflect, const struct pz_ck_axes *axes, const void *x, void *out,
                   long long n, pz_stream stream);
/** op 0 mean, 1 sum, 2 maximum of `terms` values each; dim and step[0] of the output's axes, size and step[1]
 * of those that go. `wide`: a warp an output, else a thread. */
int pz_ck_reduce(int type, int op, int wide, const struct pz_ck_axes *axes, const void *x, void *out,
                 long long n, long long terms, pz_stream stream);
/** The same where the axes that go are neighbours and the innermost stays: x [outer,terms,inner] →
 * [outer,inner], outer ≤ 65535. */
int pz_ck_reduce_columns(int type, int op, const void *x, void *out, long long outer, long long terms,
                         long long inner, pz_stream stream);
int pz_ck_argmax(int type, const void *x, int *out, long long rows, int c, pz_stream stream);
int pz_ck_l2_normalise(int type, const void *x, const void *gamma, float eps, int added, void *out,
                       long long rows, int c, pz_stream stream);
int pz_ck_log_softmax(int type, const void *x, void *out, long long outer, int n, long long inner,
                      pz_stream stream);
/** Depthwise: out = act(conv + bias + residual). */
int pz_ck_depthwise(int type, int act, const struct pz_ck_window *g, const void *x, const void *w,
                    const void *bias, const void *residual, const void *slope, void *out, pz_stream stream);
/** Softmax of `n` values `inner` apart. */
int pz_ck_softmax(int type, const void *x, void *out, long long outer, int n, long long inner,
                  pz_stream stream);
/** Scores F32 [heads, tq, tk] → weights [heads, tq, tk]; mask (tk per query; head_step 0 or tq·tk) or NULL.
 */
int pz_ck_scores(int type, const float *s, float scale, const void *mask, long long head_step, void *out,
                 int heads, int tq, int tk, pz_stream stream);
/** Flash attention, F16 or BF16, d a multiple of 8 up to 160. */
int pz_ck_flash(int type, const void *q, const void *k, const void *v, void *out, int b, int tq, int tk,
                int heads, int d, float scale, pz_stream stream);
/** Whether pz_ck_flash() has a kernel for these sizes. */
int pz_ck_flash_fits(int b, int tq, int tk, int heads, int d);
/** Bytes of scratch group_norm needs. */
long long pz_ck_group_norm_scratch(int b, int groups);
int pz_ck_group_norm(int type, const void *x, const void *gamma, const void *beta, float eps, int act,
                     void *out, int b, long long rows, int c, int groups, void *scratch, pz_stream stream);
int pz_ck_layer_norm(int type, const void *x, const void *gamma, const void *beta, float eps, int act,
                     void *out, long long rows, int c, pz_stream stream);
int pz_ck_batch_norm(int type, const void *x, const void *mean, const void *var, const void *gamma,
                     const void *beta, float eps, int act, void *out, long long n, int c, pz_stream stream);

#ifdef __cplusplus
}
#endif

#endif

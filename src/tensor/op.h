/**
 * Operations: one table, one row an operation.
 *
 * A row says everything there is to know of an operation: its name, how many inputs it takes, the rule that
 * gives the output's shape, the plain C truth (`ref`), the fast form for this processor (`cpu`, or NULL: ref
 * serves) and for a device, how far these may stray and what it costs. Builder, planner and parity test read
 * this table; there is no second list to agree with. docs/notes/tensor.md says which row, or which rows
 * together, serve each operation of the published networks.
 *
 * Layout   images are NHWC [B,H,W,C], volumes [B,D,H,W,C], sound and feature lines [B,1,T,C]; convolution
 * weights [Co,KH,KW,Ci]; depthwise weights [1,KH,KW,C].
 * Types    graphs speak F32 (ids I32). Weights may be stored as F16 or BF16: DEQUANTIZE widens them, and is
 * folded when the plan is made. A plan may hold every F32 value as F16 or BF16 (pz_plan_params.dtype): each
 * stored value is then rounded once, sums stay F32.
 * Threads  rows are constant data; `ref` and `run` are pure functions of their arguments.
 */
#ifndef PZ_TENSOR_OP_H
#define PZ_TENSOR_OP_H

#include <stdbool.h>

#include "base/log.h"
#include "base/pool.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define PZ_OP_MAX_IN 8

enum pz_op {
    PZ_OP_CONV2D,   /**< x, w, bias|none, residual|none, slope|none: act(conv(x,w) + bias + residual) */
    PZ_OP_DWCONV2D, /**< the same, one filter a channel */
    PZ_OP_FULLY_CONNECTED, /**< x [..,K], w [N,K], bias [N]|none, residual [..,N]|none: act(x wᵀ + bias) +
                              residual; one of act and residual */
    PZ_OP_ADD,             /**< a, b with broadcasting, then act */
    PZ_OP_SUB,
    PZ_OP_MUL,
    PZ_OP_RELU,
    PZ_OP_RELU6,
    PZ_OP_PRELU, /**< x, slope [.., C] with leading ones: x > 0 ? x : slope x */
    PZ_OP_SIGMOID,
    PZ_OP_MAXPOOL,         /**< padding never wins; attrs.ceil: a last window may hang over the edge */
    PZ_OP_AVGPOOL,         /**< mean over the taps inside the picture, as TFLite; attrs.ceil the same */
    PZ_OP_PAD,             /**< attrs.before/after per axis, constant attrs.value */
    PZ_OP_RESHAPE,         /**< attrs.shape; costs nothing, the planner aliases */
    PZ_OP_CONCAT,          /**< attrs.axis; 2 … PZ_OP_MAX_IN inputs */
    PZ_OP_SLICE,           /**< attrs.begin, attrs.size per axis */
    PZ_OP_TRANSPOSE,       /**< attrs.perm: output axis i is input axis perm[i] */
    PZ_OP_SOFTMAX,         /**< over one axis: attrs.axis counts from the innermost, 0 = last */
    PZ_OP_RESIZE_NEAREST,  /**< to attrs.shape.dim[0] × dim[1] */
    PZ_OP_RESIZE_BILINEAR, /**< the same; align_corners, half_pixel as in TFLite */
    PZ_OP_DEQUANTIZE,      /**< F16 | BF16 → F32 */
    PZ_OP_POINTS_MATRIX, /**< points [1,N,3] → [1,4,4]: from a size[0]×size[1] (h,w) crop to the plane of the
                            points, around the points attrs.index, turned so that left → right lies along x, ×
                            scale */
    PZ_OP_CROP_AFFINE, /**< x [1,H,W,C], m [1,4,4] → [1,h,w,C]: bilinear, pixel centres at ½, zero outside */
    PZ_OP_TRANSFORM_POINTS, /**< points [1,N,2|3], m [1,4,4]: x, y by the first two rows, z kept */
    PZ_OP_MATMUL, /**< a [..,M,K], b [..,K,N] ([..,N,K] with attrs.transpose_b); b's leading extents are a's
                     or all 1 */
    PZ_OP_ATTENTION, /**< q [B,Tq,H,D], k, v [B,Tk,H,D], mask [1|B,1|H,Tq,Tk]|none, added to the scores:
                        softmax(scale q kᵀ + mask) v; scale = attrs.value, 0 = 1/√D */
    PZ_OP_CONV_TRANSPOSE2D, /**< x, w [Ci,KH,KW,Co], bias|none, then act; attrs.pad is cut off,
                               attrs.size[0..1] rows, columns are added below and at the right (PyTorch's
                               output_padding) */
    PZ_OP_GROUP_NORM, /**< x [B,..,C], gamma [C]|none, beta [C]|none, then act; attrs.groups, attrs.eps */
    PZ_OP_LAYER_NORM, /**< the same over the last axis of each row */
    PZ_OP_BATCH_NORM, /**< x [..,C], mean, variance, gamma|none, beta|none [C], then act; attrs.eps */
    PZ_OP_GELU,       /**< with erf */
    PZ_OP_GELU_TANH,  /**< the tanh approximation */
    PZ_OP_SILU,
    PZ_OP_TANH,
    PZ_OP_EXP,
    PZ_OP_LEAKY_RELU, /**< slope attrs.value */
    PZ_OP_GEGLU,      /**< x [..,2C] → [..,C]: first half × gelu(second half) */
    PZ_OP_EMBEDDING,  /**< ids I32 [..], table [V,D] → [..,D]; ids outside are clamped */
    PZ_OP_CONV3D, /**< x [B,D,H,W,Ci], w [Co,KD,KH,KW,Ci], bias|none, then act; depth: attrs.stride_d … pad_d
                   */
    PZ_OP_GROUPED_CONV2D, /**< x, w [Co,KH,KW,Ci/groups], bias|none, then act; attrs.groups */
    PZ_OP_GRID_SAMPLE2D, /**< x [B,H,W,C], grid [B,h,w,2] of (x, y) in −1 … 1 → [B,h,w,C], bilinear; outside
                            zeros, or the edge with attrs.border; attrs.align_corners */
    PZ_OP_GRID_SAMPLE3D, /**< x [B,D,H,W,C], grid [B,d,h,w,3] of (x, y, z) → [B,d,h,w,C], trilinear */
    PZ_OP_DIV,
    PZ_OP_HARD_SIGMOID, /**< min(max(x + 3, 0), 6) / 6 */
    PZ_OP_HARD_SWISH,   /**< x times that */
    PZ_OP_CLAMP,        /**< to attrs.range[0] … range[1] */
    PZ_OP_SQRT,         /**< of max(x, 0) */
    PZ_OP_RSQRT,        /**< 1 / √(x + attrs.eps), x + eps > 0 */
    PZ_OP_LOG,          /**< of max(x, smallest normal number) */
    PZ_OP_POW,          /**< x to the attrs.value as C's pow: NaN for x < 0 unless it is a whole number */
    PZ_OP_SOFTPLUS,     /**< log(1 + eˣ) */
    PZ_OP_LOG_SOFTMAX,  /**< attrs.axis as softmax */
    PZ_OP_L2_NORMALISE, /**< x [..,C], gamma [C]|none: γ x / max(‖x‖, eps), or with attrs.eps_added γ x / (‖x‖
                           + eps) */
    PZ_OP_REDUCE_MEAN, /**< over the axes of the bits attrs.axes; they stay as 1 */
    PZ_OP_REDUCE_SUM,
    PZ_OP_REDUCE_MAX,
    PZ_OP_ARGMAX,   /**< over the last axis, which goes → I32; the first of equals */
    PZ_OP_PAD_EDGE, /**< pads with the edge's own value, or with attrs.reflect mirrored at the edge's centre
                     */
    PZ_OP_COUNT
};

enum pz_act {
    PZ_ACT_NONE,
    PZ_ACT_RELU,
    PZ_ACT_RELU6,
    PZ_ACT_PRELU,
    PZ_ACT_SILU, /**< norms and dense layers only, as is GELU (erf) */
    PZ_ACT_GELU
};

/** Attributes of all operations; each reads only its own. Axes count from the outermost. */
struct pz_attrs {
    int stride[2], dilation[2], kernel[2]; /**< y, x */
    int pad[4];                            /**< top, bottom, left, right */
    enum pz_act act;
    int axis;
    int perm[PZ_MAX_RANK];
    int before[PZ_MAX_RANK], after[PZ_MAX_RANK];
    int begin[PZ_MAX_RANK], size[PZ_MAX_RANK];
    struct pz_shape shape;
    bool align_corners, half_pixel;
    float value;
    const int *index; /**< copied by the builder */
    int n_index, left, right;
    float scale[2], angle;
    int groups;
    float eps;
    bool transpose_b;
    int stride_d, dilation_d, pad_d[2]; /**< the third axis of volumes */
    float range[2];
    unsigned axes;
    bool ceil, border, eps_added, reflect;
};

struct pz_view {
    enum pz_dtype dtype;
    struct pz_shape shape;
    void *data; /**< NULL: this optional input is absent, or (while preparing) not yet known */
};

struct pz_op_args {
    const struct pz_attrs *attrs;
    int n_in;
    struct pz_view in[PZ_OP_MAX_IN];
    struct pz_view out;
    void *state;          /**< what prepare made: immutable, shared by all sessions of a plan */
    void *local;          /**< what attach made: belongs to one session */
    void *scratch;        /**< as many bytes as prepare asked for, 64-byte aligned */
    struct pz_pool *pool; /**< may be NULL; while preparing: threads that may help to pack */
    int rung;             /**< best instruction set to use, see tensor/cpu/cpu.h */
    int threads;  /**< threads a foreign library may use, fixed when the plan is made; 0 counts as 1 */
    void *device; /**< CUDA forms only: the plan's struct pz_cuda; all data pointers are then the device's */
    unsigned *packed;   /**< while preparing, may be NULL: see pz_op_packed() */
    enum pz_dtype held; /**< CPU forms: what the plan holds F32 values in */
    bool *takes_held;   /**< while preparing, may be NULL: see pz_op_takes_held() */
};

/** To be called by `prepare` when its state holds all it will ever need of constant input `i`: the plan then
 * forgets the constant, and in[i].data is NULL from there on. */
static inline void pz_op_packed(const struct pz_op_args *a, int i)
{
    if (a->packed)
        *a->packed |= 1u << i;
}

/** A fast form. `prepare` sees constant inputs only (others have data NULL); PZ_ERR_UNSUPPORTED (not logged)
 * makes the plan fall back to ref for this node. */
struct pz_kernel {
    const char *name;
    enum pz_status (*prepare)(struct pz_log *log, const struct pz_op_args *a, void **state,
                              size_t *scratch_bytes);
    /** Optional: what a session needs of its own, e.g. foreign memory handles. */
    enum pz_status (*attach)(struct pz_log *log, const struct pz_op_args *a, void **local);
    void (*run)(const struct pz_op_args *a); /**< allocates nothing */
    void (*detach)(void *local);
    void (*release)(void *state);
};

/** To be called by `prepare` of a CPU form when `run` wants inputs and output as the plan holds them
 * (a->held, BF16 or F16): views then have that type, while constants stay F32, rounded to it. Without the
 * call, and always in `prepare`, all views are F32; the plan then widens and narrows around `run`. */
static inline void pz_op_takes_held(const struct pz_op_args *a)
{
    if (a->takes_held)
        *a->takes_held = true;
}

/** Largest |fast form − ref| allowed, relative to max(1, largest |ref|). Plans in F16 and BF16 read inputs
 * that these types hold exactly, so the bounds speak of their arithmetic and of the rounded output alone; F16
 * and BF16 bounds hold on every backend. */
struct pz_tolerance {
    float cpu, cuda_f32, f16, bf16;
};

struct pz_op_row {
    const char *name;
    int min_in, max_in;
    /** Check inputs and attributes and give the output's type and shape; logs what is wrong. */
    enum pz_status (*shape)(struct pz_log *log, const struct pz_op_args *a, struct pz_view *out);
    void (*ref)(const struct pz_op_args *a);
    /** Candidates in order of preference, NULL-terminated; NULL = ref serves. */
    const struct pz_kernel *const *cpu;
    /** The same for the device (tensor/cuda); NULL in a build without CUDA and for the few that only the face
     * tracker needs. `prepare` sees no data; `run` enqueues on the device's stream. */
    const struct pz_kernel *const *cuda;
    struct pz_tolerance tolerance;
    double (*cost)(const struct pz_op_args *a); /**< multiply-adds; NULL = one per output element */
};

/** Row of an operation, NULL outside the enum. */
const struct pz_op_row *pz_op_row(enum pz_op op);

/** Operation by name, PZ_OP_COUNT when unknown. */
enum pz_op pz_op_find(const char *name);

/** Multiply-adds of one run; twice as many floating-point operations. */
double pz_op_cost(enum pz_op op, const struct pz_op_args *a);

/** Fewest bytes a run moves: each input read once, the output written once, in the views' types. */
double pz_op_bytes(const struct pz_op_args *a);

#endif

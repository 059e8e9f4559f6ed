/** Inside of plans and sessions; for plan.c and tensor/cuda only. */
#ifndef PZ_TENSOR_PLAN_IMPL_H
#define PZ_TENSOR_PLAN_IMPL_H

#include "tensor/graph_impl.h"
#include "tensor/plan.h"

struct pz_cuda;
struct pz_cuda_session;
struct pz_profile_record;

struct pz_place {
    int root;        /**< the value whose memory this one uses (itself, or a reshape's source) */
    int first, last; /**< nodes between which the memory is in use */
    size_t offset, bytes;
    size_t within; /**< offset inside the root's memory */
};

struct pz_step {
    int node;
    const struct pz_kernel *kernel; /**< NULL: ref */
    void *state;
    size_t scratch_bytes;
    size_t scratch_offset;
    bool wide; /**< CPU plans in BF16 or F16: inputs are widened to these offsets of the scratch memory */
    size_t wide_at[PZ_OP_MAX_IN], wide_out;
};

/** What travels to the device for a step: a stretch of `away`, to one of two places by turns. */
struct pz_haul {
    size_t from, bytes; /**< bytes 0: nothing */
    int place;
};

struct pz_plan {
    struct pz_graph *g;
    struct pz_graph_node *nodes; /**< after fusion; shares the index lists of the graph's */
    struct pz_plan_params params;
    struct pz_place *places; /**< one a value */
    struct pz_step *steps;
    int n_steps;
    size_t arena_bytes;
    double cost;
    struct pz_cuda *device;       /**< CUDA plans only, as the next two */
    void *weights;                /**< constants on the device */
    size_t *weight_at;            /**< offset of a value in `weights`, or in `away`; SIZE_MAX: in none */
    void *away;                   /**< page-locked: constants that travel with each run; NULL: none do */
    struct pz_haul *hauls;        /**< one a step; NULL without `away` */
    int *hauled;                  /**< the step a value travels for, −1: it stays; NULL without `away` */
    size_t haul_bytes;            /**< of each of the two places */
    struct pz_pool *loaders;      /**< while the plan is made: threads that bring constants; may be NULL */
    struct pz_constant_room room; /**< while the plan is made: where a large constant waits to be packed */
    int *readers;                 /**< steps and outputs that need a value beyond what kernels have packed */
};

/** An input that another session's output is handed to. */
struct pz_joint {
    int input, output; /**< numbers, of this session and of `from` */
    const struct pz_session *from;
};

enum { PZ_MAX_JOINTS = 4 };

/** An input that stays where the session computes; elements [from, to) are not there yet. */
struct pz_held {
    bool held;
    size_t from, to;
};

struct pz_session {
    const struct pz_plan *plan;
    struct pz_log *log;
    uint8_t *arena;          /**< on the device for CUDA plans */
    uint8_t *belt;           /**< there as well: the two places hauls travel to; NULL: none travel */
    struct pz_op_args *args; /**< one a step */
    struct pz_cuda_session *cuda;
    struct pz_profile_record *profile; /**< times runs; NULL: nobody watches */
    struct pz_held *held;              /**< one an input; NULL: none is held */
    uint8_t *host; /**< inputs and outputs as the graph has them; CPU plans in BF16 or F16 only */
    struct pz_joint joints[PZ_MAX_JOINTS];
    int n_joints;
    int stays[PZ_MAX_JOINTS]; /**< outputs that are handed on, not brought to the host */
    int n_stays;
};

/** Which elements of an input must be brought before a run, all of them unless it is held; false when none.
 * They count as brought from here on. */
bool pz_session_changed(struct pz_session *s, int input, size_t *first, size_t *n);

/** Type a plan keeps values of type `t` in. */
enum pz_dtype pz_plan_dtype(const struct pz_plan *p, enum pz_dtype t);

/** Point the steps' arguments at the arena. */
void pz_session_bind(struct pz_session *s);

/** Where a value lies while the steps run. */
void *pz_session_place(const struct pz_session *s, int value);

/** The joint of input number `input`, NULL when the session's user fills it. */
const struct pz_joint *pz_session_joint(const struct pz_session *s, int input);
/** True for an output that is handed on. */
bool pz_session_stays(const struct pz_session *s, int output);
/** CPU: fill the inputs that are handed on, as the user would. */
void pz_session_bring_joints(struct pz_session *s);

/** One call of a line of a profile, a step. Seconds of pz_now(). */
void pz_profile_add(struct pz_profile_record *r, int line, double start, double end);

/** CPU plans that hold values as BF16 or F16 (plan_half.c). True for such a plan. */
bool pz_plan_is_half(const struct pz_plan *p);
/** Round a node's constants to the plan's type. */
void pz_half_round(const struct pz_plan *p, const struct pz_graph_node *n);
/** Make room for the wide copies of a step whose form knows F32 alone. */
void pz_half_layout(const struct pz_plan *p, struct pz_step *s);
/** Point such a step's arguments at them; fill them before it runs; store its output. */
void pz_half_bind(const struct pz_session *s, int t);
void pz_half_before(const struct pz_session *s, int t);
void pz_half_after(const struct pz_session *s, int t);
/** Inputs and outputs as the session's user sees them, and their way to and from the arena. */
PZ_NODISCARD enum pz_status pz_half_open(struct pz_session *s, struct pz_log *log);
void *pz_half_host(const struct pz_session *s, int value);
void pz_half_bring(struct pz_session *s, bool in);

#endif

/** What the parity test shares: one random case of one operation. */
#ifndef PZ_TESTS_PARITY_H
#define PZ_TESTS_PARITY_H

#include "base/rng.h"
#include "tensor/op.h"

struct trial {
    struct pz_rng rng;
    struct pz_attrs attrs;
    struct pz_op_args a;
    int index[16];
    bool sums;          /**< no huge terms: cancellation would measure F32, not the kernel */
    enum pz_dtype grid; /**< F16, BF16: every value is one this type holds exactly */
    void *owned[PZ_OP_MAX_IN + 1];
};

/** Fill a trial whose rng is started; false: nobody wrote a generator for this operation. */
bool pz_parity_generate(struct trial *t, enum pz_op op);

#endif

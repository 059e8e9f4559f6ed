/**
 * Status codes: the one way an error travels up.
 *
 * Every function that can fail returns an `enum pz_status` (0 is success). The cause is logged once, where it
 * is known, through the `struct pz_log` at hand; floors above only pass the status on. Negative codes are
 * errors, positive ones are ordinary flow (`PZ_END`). The groups match the exit codes of the command line
 * (docs: DESIGN §4).
 */
#ifndef PZ_BASE_STATUS_H
#define PZ_BASE_STATUS_H

enum pz_status {
    PZ_OK = 0,
    PZ_END = 1,              /**< no more frames, packets, samples: not an error */
    PZ_ERR_USAGE = -1,       /**< wrong arguments of the caller or the command line (exit 1) */
    PZ_ERR_INPUT = -2,       /**< a file, transcript or value that cannot be used (exit 2) */
    PZ_ERR_FORMAT = -3,      /**< a file that breaks its own format (exit 2) */
    PZ_ERR_UNSUPPORTED = -4, /**< a valid input this program does not handle, e.g. HDR (exit 2) */
    PZ_ERR_UNUSABLE = -5,    /**< the footage lacks what is needed: no face, no such word (exit 3) */
    PZ_ERR_WEIGHTS = -6,     /**< a model's weights are missing or wrong (exit 4) */
    PZ_ERR_NOMEM = -7,       /**< out of memory (exit 5) */
    PZ_ERR_DEVICE = -8,      /**< a compute device failed or is missing (exit 5) */
    PZ_ERR_INTERNAL = -9,    /**< a library refused something that should have worked (exit 5) */
    PZ_ERR_WRITE = -10,      /**< an output could not be written (exit 6) */
    PZ_ERR_CANCELLED = -11,  /**< the caller asked to stop (exit 130) */
};

#define PZ_NODISCARD __attribute__((warn_unused_result))

/** Name of a status in plain words, for messages. Never NULL. */
const char *pz_status_text(enum pz_status st);

/** Exit code of the command line for a status: 0, 1, 2, 3, 4, 5, 6 or 130. */
int pz_status_exit_code(enum pz_status st);

/** Run `call`, keep its status in the local `st` and jump to `fail:` when it is an error. */
#define PZ_TRY(call)                                                                                         \
    do {                                                                                                     \
        st = (call);                                                                                         \
        if (st < PZ_OK)                                                                                      \
            goto fail;                                                                                       \
    } while (0)

#endif

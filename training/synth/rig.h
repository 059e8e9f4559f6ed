/** Rig: identity, expressions, true jaw rotation, tongue and gaze on the head of asset.h. Head space, cm. */
#ifndef PZ_SYN_RIG_H
#define PZ_SYN_RIG_H

#include "asset.h"

enum { PZ_SYN_LIP_UPPER = 5533, PZ_SYN_LIP_LOWER = 5517 };
#define PZ_SYN_JAW_DEG 25.33f /**< rotation of the lower teeth at jawOpen 1, fact sheet §2 */

struct pz_syn_face_pose {
    float w[PZ_SYN_N_EXPR];                     /**< expression weights, order of the asset */
    float gaze_yaw, gaze_pitch;                 /**< radians, + = subject's left, + = down */
    float tongue_lift, tongue_out, tongue_back; /**< 0…1 */
};

struct pz_syn_rig {
    const struct pz_syn_asset *asset;
    struct v3 *base;  /**< [26719] neutral + identity + asymmetry */
    struct v3 eye[2]; /**< rotation centres: subject's left, right */
    float eye_radius[2];
    float gap0;                 /**< inner-lip gap of the neutral, cm (upper y − lower y) */
    float gap_w[PZ_SYN_N_EXPR]; /**< d gap / d weight */
    int jaw_open, mouth_close;
};

/** Build a person: `coef` [100] identity weights, `asym` amplitude in cm of a smooth left/right warp, from
 * `seed`. Owner: free with pz_syn_rig_close(). Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_syn_rig_open(struct pz_log *log, const struct pz_syn_asset *a,
                                            const float *coef, float asym, uint32_t seed,
                                            struct pz_syn_rig *r);
/** The same around a blended face `base` [26719] that the caller owns; such a rig must not be closed. */
void pz_syn_rig_fit(const struct pz_syn_asset *a, struct v3 *base, struct pz_syn_rig *r);
void pz_syn_rig_close(struct pz_syn_rig *r);

/** Vertex positions of a pose, before head rotation. out [26719]. Thread safe. */
void pz_syn_rig_pose(const struct pz_syn_rig *r, const struct pz_syn_face_pose *p, struct v3 *out);

/** Inner-lip gap (cm) that weights give; exact, because lips blend linearly. */
float pz_syn_rig_gap(const struct pz_syn_rig *r, const float *w);

#endif

/** Hair as fibres: head hair, brows, lashes and stubble, each a short chain of points rooted on the skin. */
#ifndef PZ_SYN_HAIR_H
#define PZ_SYN_HAIR_H

#include "person.h"
#include "rig.h"

enum pz_syn_fibre { PZ_SYN_HEAD_HAIR, PZ_SYN_BROW, PZ_SYN_LASH, PZ_SYN_STUBBLE };

struct pz_syn_hair {
    int n_fibre, n_pt, n_seg;
    int cap_fibre, cap_pt;
    int *first;    /**< [n_fibre] first point */
    int *count;    /**< [n_fibre] points */
    uint8_t *kind; /**< [n_fibre] enum pz_syn_fibre */
    int *root;     /**< [n_fibre] triangle it grows on, −1 for head hair (which is stored in head space) */
    struct v3 *bary;  /**< [n_fibre] */
    struct v3 *rest;  /**< [n_pt] head space, or in the frame of the root triangle */
    float *tone;      /**< [n_pt] occlusion by neighbouring hair, 0…1 */
    uint8_t *pt_kind; /**< [n_pt] */
    float *vary;      /**< [n_pt] colour variation of the fibre, about 1 */
    int *seg;         /**< [n_seg] first point of each segment */
    float *seg_width; /**< [n_seg] cm */
};

/** Grow all hair of a person. Owner: free with pz_syn_hair_close(). Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_syn_hair_grow(struct pz_log *log, const struct pz_syn_person *p,
                                             const struct pz_syn_rig *rig, struct pz_syn_hair *h);
void pz_syn_hair_close(struct pz_syn_hair *h);
/** Points for posed vertices (before the head turns). out [n_pt]. */
void pz_syn_hair_pose(const struct pz_syn_hair *h, const struct pz_syn_asset *a, const struct v3 *posed,
                      struct v3 *out);

#endif

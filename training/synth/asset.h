/**
 * The morphable head: ICT-FaceKit (MIT, © 2020 USC Institute for Creative Technologies) read from a
 * safetensors file.
 *
 * Units centimetres, x to the subject's left, y up, z forward. The mesh itself never travels with this
 * project.
 */
#ifndef PZ_SYN_ASSET_H
#define PZ_SYN_ASSET_H

#include <stdint.h>

#include "base/log.h"
#include "base/status.h"
#include "vec.h"

enum { PZ_SYN_N_VERTS = 26719, PZ_SYN_N_ID = 100, PZ_SYN_N_EXPR = 57 };

/** Materials of triangles; the head's part follows from its vertex numbers (fact sheet synth.md §1). */
enum pz_syn_mat {
    PZ_SYN_SKIN,   /**< face and neck front, UV tile 0 */
    PZ_SYN_SCALP,  /**< head and neck back, UV tile 1 */
    PZ_SYN_SOCKET, /**< inside of the mouth */
    PZ_SYN_EYEPIT, /**< inside of the eye sockets */
    PZ_SYN_GUM,
    PZ_SYN_TONGUE,
    PZ_SYN_TEETH,
    PZ_SYN_EYE_L,
    PZ_SYN_EYE_R,
    PZ_SYN_CLOTH,
    PZ_SYN_COLLAR,
    PZ_SYN_N_MAT
};

/** ARKit-like expression shapes by the fact sheet's names; _L/_R pairs are adjacent. */
struct pz_syn_sparse {
    int n;
    int *vertex;
    struct v3 *delta; /**< cm at weight 1 */
};

struct pz_syn_asset {
    struct v3 *neutral;                       /**< [26719] */
    struct v3 *identity;                      /**< [100][26719], deltas at weight 1 */
    struct pz_syn_sparse expr[PZ_SYN_N_EXPR]; /**< only on the parts a shape may move */
    char expr_name[PZ_SYN_N_EXPR][24];
    int n_tri;
    uint32_t *tri;  /**< [n_tri][3] vertex numbers, parts that are drawn only */
    float *tri_uv;  /**< [n_tri][3][2] */
    uint8_t *mat;   /**< [n_tri] enum pz_syn_mat */
    uint8_t *part;  /**< [26719] enum pz_syn_mat of the vertex */
    uint8_t *lower; /**< [26719] 1 on lower teeth and lower gum, 2 on tongue islands: they follow the jaw
                       rigidly */
};

/** Read `path`. Owner: caller, freed with pz_syn_asset_close(). Errors: INPUT (missing), FORMAT (breaks the
 * format or is not this head), NOMEM. The file is hostile: every offset is checked. */
PZ_NODISCARD enum pz_status pz_syn_asset_open(struct pz_log *log, const char *path, struct pz_syn_asset *a);
void pz_syn_asset_close(struct pz_syn_asset *a);
/** Index of an expression by name, −1 when unknown. */
int pz_syn_expr_find(const struct pz_syn_asset *a, const char *name);

#endif

/**
 * The quick generator's head: what synth_pack made of the ICT head, read without any foreign library, with
 * the textures that all people share.
 *
 * A packed head is a safetensors file of about 13 MB: neutral, identity modes as bytes with a scale each,
 * sparse expressions, drawn triangles, ambient openness per vertex. It is never committed.
 */
#ifndef PZ_SYN_QUICK_HEAD_H
#define PZ_SYN_QUICK_HEAD_H

#include "asset.h"
#include "rig.h"

enum {
    PZ_Q_N_WEIGHT = 53, /**< ICT expressions, order of the fact sheet §2 */
    PZ_Q_NOISE = 128,   /**< texels of the noise tile's side */
    PZ_Q_SRGB = 2048,
    PZ_Q_MASK = 512 /**< texels of the mask's side */
};

/** Channels of the noise tile, −127…127, periodic in both directions. */
enum {
    PZ_Q_N_SOFT, /**< few octaves from 1/8 of the tile */
    PZ_Q_N_FINE, /**< from 1/40 of the tile */
    PZ_Q_N_DOTS, /**< sparse dark dots: stubble, freckles, pores */
    PZ_Q_N_SLOPE /**< of PZ_Q_N_FINE along v */
};

/** Channels of the mask over the face's UV tile, 0…255. */
enum {
    PZ_Q_M_LIP,   /**< 128 + 2000 · signed distance to the lip border in UV, inside > 128 */
    PZ_Q_M_BROW,  /**< 128 + 1500 · distance inside the brow's thinnest outline */
    PZ_Q_M_BROWT, /**< along the brow: 1 inner end … 255 outer end */
    PZ_Q_M_LINES  /**< wrinkles: 128 flat, less is a fold */
};

/** Zones of the skin per vertex, 0…1 on the neutral head; they follow the mesh to every person. */
enum {
    PZ_Q_Z_RED,   /**< blood near the surface */
    PZ_Q_Z_DARK,  /**< shadows round the eyes */
    PZ_Q_Z_LID,   /**< eye shadow */
    PZ_Q_Z_LINER, /**< edge of the lids */
    PZ_Q_Z_BLUSH,
    PZ_Q_Z_GLOSS, /**< oily zone */
    PZ_Q_Z_BEARD,
    PZ_Q_Z_STACHE, /**< above the lip */
    PZ_Q_Z_CHIN,   /**< chin and below the lip */
    PZ_Q_Z_SCALP,  /**< cm above the hairline, any sign */
    PZ_Q_Z_N
};

enum { PZ_Q_N_SKIN = 11248 /**< vertices of face, head and neck come first */ };

/** A drawn triangle in one third of a cache line. UV are in 1/32768 of a tile. */
struct pz_q_tri {
    uint16_t v[3], uv[3][2];
    uint8_t mat;  /**< the scalp is skin here */
    uint8_t busy; /**< lips, brows or wrinkles are near: the mask must be asked */
};

struct pz_q_head {
    struct pz_syn_asset asset; /**< identity is NULL: see mode */
    int8_t *mode;              /**< [100][26719][3] */
    float mode_scale[PZ_SYN_N_ID];
    float *open;                  /**< [26719] ambient openness of the neutral head, 0…1 */
    float (*zone)[PZ_Q_Z_N];      /**< [11248] */
    float (*uv)[2];               /**< [26719] of one of the triangles that use the vertex */
    uint8_t *key;                 /**< [n_tri] material, the scalp is skin */
    uint8_t *lip;                 /**< [11248] 1 on lips */
    struct pz_q_tri *tri;         /**< [n_tri] */
    int weight_of[PZ_Q_N_WEIGHT]; /**< output weight → shape of the asset */
    int8_t (*noise)[4];           /**< [128][128] */
    uint8_t srgb[PZ_Q_SRGB];      /**< sRGB over the root of light, 0…1 */
    uint8_t (*mask)[4];           /**< [512][512] */
};

/** Read a packed head and make the shared textures. Owner: caller; immutable afterwards, shared by threads.
 * Errors: INPUT, FORMAT, NOMEM; the file is hostile. */
PZ_NODISCARD enum pz_status pz_q_head_open(struct pz_log *log, const char *path, struct pz_q_head *h);
void pz_q_head_close(struct pz_q_head *h);
/** Name of output weight i in [0, 53). */
const char *pz_q_weight_name(int i);

/** Blend a person's face: `base` [26719] = neutral + modes, faded out below the neck, with a smooth
 * asymmetric warp of `asym` cm. Fills `r` around `base`, which the caller owns: never pass it to
 * pz_syn_rig_close(). */
void pz_q_head_blend(const struct pz_q_head *h, const float *coef, float asym, uint32_t seed, struct v3 *base,
                     struct pz_syn_rig *r);

/** Nearest texel of the noise tile; u, v in tiles, any value. */
static inline const int8_t *pz_q_noise_at(const struct pz_q_head *h, float u, float v)
{
    int x = (int)(u * PZ_Q_NOISE + 65536.f) & (PZ_Q_NOISE - 1),
        y = (int)(v * PZ_Q_NOISE + 65536.f) & (PZ_Q_NOISE - 1);
    return h->noise[y * PZ_Q_NOISE + x];
}

/** Channel c, bilinear, −1…1. */
static inline float pz_q_noise_smooth(const struct pz_q_head *h, int c, float u, float v)
{
    float fx = u * PZ_Q_NOISE + 65536.f, fy = v * PZ_Q_NOISE + 65536.f;
    int x = (int)fx, y = (int)fy;
    float s = fx - (float)x, t = fy - (float)y;
    const int m = PZ_Q_NOISE - 1;
    float a = h->noise[(y & m) * PZ_Q_NOISE + (x & m)][c],
          b = h->noise[(y & m) * PZ_Q_NOISE + ((x + 1) & m)][c];
    float d = h->noise[((y + 1) & m) * PZ_Q_NOISE + (x & m)][c],
          e = h->noise[((y + 1) & m) * PZ_Q_NOISE + ((x + 1) & m)][c];
    a += (b - a) * s;
    d += (e - d) * s;
    return (a + (d - a) * t) * (1.f / 127.f);
}

#endif

/**
 * A scene: one person in clothes before a background, and the work space of a frame.
 *
 * Lifetime  pz_syn_scene_open() → any number of pz_syn_scene_render() → pz_syn_scene_close(). One scene
 * renders one frame at a time, on all threads of its pool; what it renders depends on the state only, not on
 * frames before or threads.
 */
#ifndef PZ_SYN_SCENE_H
#define PZ_SYN_SCENE_H

#include "backdrop.h"
#include "cloth.h"
#include "hair.h"
#include "person.h"
#include "raster.h"
#include "rig.h"
#include "skin.h"

enum { PZ_SYN_N_KEY = 8, PZ_SYN_N_RIM = 2, PZ_SYN_SH = 9 };

/** Everything that changes from frame to frame. */
struct pz_syn_state {
    struct pz_syn_face_pose face;
    float yaw, pitch, roll; /**< head, radians; + = subject's left, down, tilt */
    struct v3 shift;        /**< head translation, cm */
    float breath;           /**< −1…1 */
    uint32_t frame;         /**< number, seeds the grain */
};

/** Where points of interest fell, for labels. */
struct pz_syn_label {
    float gap_cm, gap_px;                        /**< inner lips */
    float upper[2], lower[2], left[2], right[2]; /**< inner lip middle and mouth corners, px */
    float eye_dist_px;
};

struct pz_syn_scene {
    struct pz_pool *pool;
    struct pz_syn_asset asset;
    struct pz_syn_person person;
    struct pz_syn_rig rig;
    struct pz_syn_skin skin;
    struct pz_syn_hair hair;
    struct pz_syn_cloth cloth;
    struct pz_syn_backdrop back;
    int w, h, ss; /**< pixels, samples per pixel side */
    struct pz_syn_camera cam;
    struct pz_syn_shadow shadow; /**< key maps, then rim maps */
    struct pz_syn_vis vis;
    float grain;
    /* mesh of everything */
    int n_vert, n_head, n_tri;
    uint32_t *tri;
    float *uv;
    uint8_t *mat;
    struct v3 *pos, *nrm, *rest, *posed;
    float (*transfer)[PZ_SYN_SH]; /**< visibility times cosine, per vertex */
    float *open;                  /**< ambient openness 0…1 per vertex */
    struct v3 *amb;               /**< ambient irradiance of the frame per vertex */
    struct pz_syn_point *pt;
    /* fibres */
    struct v3 *hair_pos;
    struct pz_syn_point *hair_pt;
    float *seg_width;
    struct v3 *seg_col;
    /* picture */
    struct v3 *rest_col, *irr, *irr2, *albedo; /**< [h][w] */
    float *skin_w, *skin_z;
    float sh[3][PZ_SYN_SH];
    struct m3 head; /**< rotation of the frame */
    struct pz_syn_face_pose face;
    float gap;
    uint32_t frame;
    struct v3 shift;
};

/** Load, grow, bake. `pool` may be NULL; ss 1…4. Errors: of the asset, NOMEM. */
PZ_NODISCARD enum pz_status pz_syn_scene_open(struct pz_log *log, struct pz_pool *pool, const char *head_path,
                                              uint64_t seed, uint64_t person, int w, int h, int ss,
                                              struct pz_syn_scene *s);
void pz_syn_scene_close(struct pz_syn_scene *s);
/** Render into rgb [h][w][3] (sRGB bytes). `label` may be NULL. */
void pz_syn_scene_render(struct pz_syn_scene *s, const struct pz_syn_state *st, uint8_t *rgb,
                         struct pz_syn_label *label);

/** Pose only and tell where the lips fall; cheap. */
void pz_syn_scene_label(struct pz_syn_scene *s, const struct pz_syn_state *st, struct pz_syn_label *label);

/* shade.c */
/** Ambient radiance from a direction (world, towards the surroundings). */
struct v3 pz_syn_env(const struct pz_syn_scene *s, struct v3 d);
/** Real spherical harmonics of order 2, [9]. */
void pz_syn_sh_basis(struct v3 d, float *y);
/** Colour of every fibre segment of the frame. */
void pz_syn_shade_hair(struct pz_syn_scene *s);
/** Turn the visibility buffer into rest_col, irr, albedo, skin_w, skin_z. */
void pz_syn_shade_pixels(struct pz_syn_scene *s);
/** Scatter light under the skin, grade, add grain and write bytes. */
void pz_syn_finish(struct pz_syn_scene *s, uint8_t *rgb);

#endif

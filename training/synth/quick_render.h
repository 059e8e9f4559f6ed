/**
 * The quick renderer: one picture on one thread in some milliseconds, with every label.
 *
 * Lifetime  pz_q_work_open() → [pz_q_work_person() → [pz_q_work_look() → pz_q_work_render() …]…] → close.
 * What a call draws depends on its arguments only, never on what was drawn before.
 */
#ifndef PZ_SYN_QUICK_RENDER_H
#define PZ_SYN_QUICK_RENDER_H

#include "quick_arena.h"
#include "quick_head.h"
#include "quick_look.h"
#include "quick_mesh.h"
#include "quick_raster.h"

enum { PZ_Q_N_ATTRIBUTE = 16, PZ_Q_SHADOW = 128, PZ_Q_SKULL_AZ = 48, PZ_Q_SKULL_EL = 25 };

/** Where labels of a picture go; any pointer may be NULL. See shard.h for their meaning. */
struct pz_q_label {
    float (*landmark)[3];
    uint8_t *visible;
    float *pose, *weights, *gap, *gaze, *focal, *centre, *box;
    uint8_t *parts;  /**< [size/2][size/2] */
    uint16_t *depth; /**< [size/4][size/4] binary16 */
    uint8_t *attribute;
};

/** All that a pixel of skin needs of a vertex: one cache line. */
struct pz_q_fat {
    struct v3 tint, light, shine; /**< albedo; diffuse light; highlights of a gloss of 1 */
    float lit, beard, gloss;      /**< share of the first lamp; zones */
    float px, py, pq;             /**< projected: struct pz_q_pt */
    float spare;
};

struct pz_q_work {
    const struct pz_q_head *head;
    int size;
    struct pz_q_arena arena; /**< all arrays below */
    double spent[10],
        lap; /**< seconds: pose, place, things, shadow, head, strands, shade, background, finish, labels */
    struct pz_q_person person;
    struct pz_q_look look;
    struct pz_syn_rig rig;
    struct v3 *base, *posed, *pos, *nrm; /**< [26719] */
    float *neck;                         /**< [26719] how much a vertex follows the head */
    struct v3 *tint;                     /**< [11248] albedo of the skin */
    struct pz_q_fat *fat;                /**< [11248] set while shading */
    int n_skin_tri;                      /**< skin triangles, first in the list */
    float *beard;                        /**< [11248] density of the beard's shadow */
    uint32_t *beard_vertex;              /**< [11248] vertex of a beard's shell + 1 */
    float (*skull)[PZ_Q_SKULL_AZ];       /**< [25] distance of the skin from the head's middle */
    struct pz_q_pt *pt;
    struct pz_q_vis vis;
    struct pz_q_mesh mesh;
    float *shadow; /**< [PZ_Q_SHADOW²] */
    struct v3 *shadow_pt;
    struct v3 shadow_u, shadow_v, shadow_d, shadow_o;
    float shadow_k;
    float *rgb;             /**< [size][size][3] linear */
    float *blur;            /**< the same, for the lens */
    float *lens;            /**< [size][size] 1/depth of glass */
    float *lens_u;          /**< [size][size][2] place on the lens */
    float *deep;            /**< [size/4][size/4] 1/depth for the label, 0 nothing */
    uint8_t *owner;         /**< [size][size] head of a scene + 1 */
    uint8_t *part;          /**< [size][size] enum pz_q_part, set while shading */
    uint32_t spot_cell[32]; /**< bit x of row y: moles lie in this 32nd of the UV tile */
    float turn_cos, turn_sin;
    struct v3 across, upward;           /**< the head's x and y in camera space */
    struct v3 relief_u[2], relief_v[2]; /**< light that a slope along them gains: of lamp 0, of the others */
    uint8_t *curve;                     /**< tone curve */
    /* of the picture being drawn */
    const struct pz_q_state *state;
    struct m3 rot_head, rot_mid, rot_body;
    float focal, cx, cy, dist; /**< pixels; principal point; cm */
    struct v3 at;              /**< where the head's origin stands, camera space */
    float gap, gain;
    int skin_pixels;
    double skin_light;
};

PZ_NODISCARD enum pz_status pz_q_work_open(struct pz_log *log, const struct pz_q_head *h, int size,
                                           struct pz_q_work *w);
void pz_q_work_close(struct pz_q_work *w);
void pz_q_work_person(struct pz_q_work *w, uint64_t seed, uint64_t id);
/** Look `n`; `margin`: see pz_q_look_draw(). */
void pz_q_work_look(struct pz_q_work *w, uint64_t n, float margin);
/** After w->look was changed by hand: colours of the skin. */
void pz_q_work_paint(struct pz_q_work *w);
/** The parts of pz_q_work_render(), for several heads in a picture: background of w->look, then heads from
 * far to near, then pz_q_finish(). */
void pz_q_work_begin(struct pz_q_work *w);
void pz_q_work_head(struct pz_q_work *w, const struct pz_q_state *s);
/** Draw into rgb [size][size][3] and fill labels. */
void pz_q_work_render(struct pz_q_work *w, const struct pz_q_state *s, uint64_t n, uint8_t *rgb,
                      const struct pz_q_label *label);

/** quick_scene.c: picture `id` of `seed` with 0…4 heads of any size. `label` [4], nearest first; returns how
 * many are filled. Labels of the whole picture (parts, depth) go to label[0]. */
enum { PZ_Q_HEADS = 4 };
int pz_q_work_scene(struct pz_q_work *w, uint64_t seed, uint64_t id, uint8_t *rgb,
                    const struct pz_q_label *label);

/* Steps, each in a file of its own. */
/** quick_place.c: from the head's own frame to camera space. */
struct v3 pz_q_place(const struct pz_q_work *w, struct v3 p, float follow);
float pz_q_follow(struct v3 p);
struct pz_q_pt pz_q_project(const struct pz_q_work *w, struct v3 p);
/** quick_hair.c, quick_wear.c: fill w->mesh for the look and the posed face. */
void pz_q_grow_hair(struct pz_q_work *w);
void pz_q_dress(struct pz_q_work *w);
void pz_q_put_on_hat(struct pz_q_work *w);
/** Distance of the skin from (0, 3.5, −0.5) over azimuth (0 = front, + = subject's left) and elevation. */
void pz_q_skull_make(struct pz_q_work *w);
float pz_q_skull_at(const struct pz_q_work *w, float az, float el);
void pz_q_hold_up(struct pz_q_work *w);
/** quick_shade.c: the visibility buffer to linear colour over what is in w->rgb. */
void pz_q_shade(struct pz_q_work *w);
/** quick_light.c: share of the first lamp's light that reaches a point of camera space. */
float pz_q_lit(const struct pz_q_work *w, struct v3 p, struct v3 n);
/** quick_back.c: background into w->rgb. */
void pz_q_background(struct pz_q_work *w);
/** quick_finish.c: lens, exposure, tone curve, noise, bytes. */
void pz_q_finish(struct pz_q_work *w, uint64_t n, uint8_t *rgb);
/** quick_label.c: of the head drawn last, but parts and depth; then those of the picture. */
void pz_q_labels(struct pz_q_work *w, const struct pz_q_label *l);
void pz_q_label_picture(const struct pz_q_work *w, const struct pz_q_label *l);

/** Irradiance / π of the surroundings on a normal. */
static inline struct v3 pz_q_ambient(const struct pz_q_look *l, struct v3 n)
{
    const float y[9] = {
        1.f, n.y, n.z, n.x, n.x * n.y, n.y * n.z, n.z * n.z - .3333333f, n.x * n.z, n.x * n.x - n.y * n.y};
    struct v3 o = v3(0, 0, 0);
    for (int q = 0; q < 9; q++) {
        o.x += l->sh[0][q] * y[q];
        o.y += l->sh[1][q] * y[q];
        o.z += l->sh[2][q] * y[q];
    }
    return v3(fmaxf(o.x, .01f), fmaxf(o.y, .01f), fmaxf(o.z, .01f));
}

#endif

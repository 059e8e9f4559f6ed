/**
 * Every choice of the quick generator: a person (kept over several pictures), a look (hair, clothes, light,
 * camera: one picture or one clip) and a state (pose and expression: one frame).
 *
 * All drawn from Philox, streams of their own, so any picture can be made alone. Colours are linear light,
 * lengths cm, angles radians unless said.
 */
#ifndef PZ_SYN_QUICK_LOOK_H
#define PZ_SYN_QUICK_LOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"
#include "rig.h"

enum { PZ_Q_MAX_LAMP = 3, PZ_Q_MAX_SPOT = 24 };

struct pz_q_person {
    uint64_t seed, id;
    uint32_t noise;
    float coef[PZ_SYN_N_ID];
    float asym;                                        /**< cm */
    float female;                                      /**< 0…1, biases hair, beard and make-up */
    float age;                                         /**< 0…1 */
    float tone;                                        /**< 0 lightest … 5 darkest anchor */
    struct v3 skin;                                    /**< base albedo */
    float red, freckle, mottle, pore, oil, line, bags; /**< gains of skin features */
    float uv_turn[4]; /**< where and at what scale the noise tile lies on the skin */
    struct v3 lip;    /**< multiplies skin */
    float lip_soft, lip_shift, lip_light;
    struct v3 hair; /**< colour of a strand */
    float grey;
    struct v3 brow;
    float brow_density, brow_width, brow_arch, brow_end;
    struct v3 iris, iris_ring, sclera;
    float pupil, iris_r, vein;
    struct v3 teeth, gum, tongue;
    int n_spot;
    float spot[PZ_Q_MAX_SPOT][4]; /**< u, v, radius in UV, darkness */
    float beard_grow;             /**< how densely a beard could grow, 0…1 */
    float bald;                   /**< 0 full hair … 1 none on top */
    float style[PZ_SYN_N_EXPR];   /**< how far each shape goes in this face */
};

enum pz_q_hat { PZ_Q_NO_HAT, PZ_Q_BEANIE, PZ_Q_CAP, PZ_Q_BRIM, PZ_Q_VEIL, PZ_Q_BAND, PZ_Q_HOOD, PZ_Q_PHONES };
enum pz_q_beard { PZ_Q_SHAVEN, PZ_Q_STUBBLE, PZ_Q_MOUSTACHE, PZ_Q_GOATEE, PZ_Q_FULL, PZ_Q_CHIN, PZ_Q_SIDES };
enum pz_q_block {
    PZ_Q_NOTHING,
    PZ_Q_HAND,
    PZ_Q_FINGERS,
    PZ_Q_MIC,
    PZ_Q_MIC_BOOM,
    PZ_Q_PHONE,
    PZ_Q_CUP,
    PZ_Q_MASK_CLOTH,
    PZ_Q_SCARF,
    PZ_Q_BLOB
};

/** Length of hair over azimuth is made of these (fact sheet §5.5). */
struct pz_q_hair_look {
    int on;
    float top, side, back, fringe; /**< strand lengths beyond the hairline, cm */
    float line;                    /**< the hairline's height against the mean, cm */
    float thick, curl, wave, ragged, part, gloss, lift, recede;
    float grain; /**< streaks */
    int bun;
};

struct pz_q_look {
    uint32_t noise;
    struct pz_q_hair_look hair;
    struct v3 hair_colour, hair_tip;
    enum pz_q_beard beard;
    float beard_length, beard_density;
    struct v3 beard_colour;
    int glasses; /**< 0 none, 1 clear, 2 tinted, 3 sun */
    float rim, lens_w, lens_h, lens_round, lens_alpha, lens_low;
    struct v3 rim_colour, lens_colour;
    enum pz_q_hat hat;
    struct v3 hat_colour, hat_colour2;
    float hat_size;
    int cloth; /**< collar: 0 round, 1 V, 2 shirt, 3 high, 4 bare */
    struct v3 cloth_colour, cloth_colour2;
    int cloth_pattern;
    float shoulder;
    float lipstick, shadow, liner, blush, foundation; /**< make-up, 0 none */
    struct v3 lipstick_colour, shadow_colour;
    enum pz_q_block block;
    float block_at[6];
    struct v3 block_colour, block_colour2;
    int earring;
    /* light */
    int n_lamp;
    struct v3 lamp_dir[PZ_Q_MAX_LAMP],
        lamp[PZ_Q_MAX_LAMP]; /**< towards the lamp (camera space), irradiance */
    float lamp_soft;         /**< radius of the first lamp's shadow edge, cm */
    float sh[3][9];          /**< surroundings: irradiance / π of a normal */
    float exposure;          /**< wanted mean luminance of the face, display */
    float contrast;          /**< tone curve: 0 linear with clipping … 1 filmic */
    struct v3 white;         /**< white balance of the camera */
    float saturation, flare;
    /* camera */
    float dist;   /**< cm */
    float side;   /**< cm the picture covers at the head */
    float cx, cy; /**< where the head's middle falls, share of the picture */
    float px, py; /**< principal point, share of the picture */
    /* background and defects */
    int back;
    uint32_t back_seed;
    float back_blur, back_light;
    float blur, noise_amp;
};

/** Pose and expression of one frame. The head's angles are relative to the camera. */
struct pz_q_state {
    struct pz_syn_face_pose face;
    float yaw, pitch, roll, body_yaw, body_pitch, body_roll;
    struct v3 shift; /**< head translation against the body, cm */
    float breath;
    int steady; /**< the camera stands still: it is aimed for these angles instead */
    float aim_yaw, aim_pitch, aim_roll;
};

/** Person `id` of `seed`. */
void pz_q_person_draw(struct pz_q_person *p, uint64_t seed, uint64_t id);
/** Look number `n` of a person; `margin` scales the side of the picture (1: 24–30 cm at the face, a quarter
 * 30–90). */
void pz_q_look_draw(struct pz_q_look *l, const struct pz_q_person *p, uint64_t n, float margin);
/** Pose and expression of still `n`: 40 % speech-like, 30 % random shapes, 20 % emotions, 10 % neutral.
 * `kind` receives 0…3. */
void pz_q_state_draw(struct pz_q_state *s, const struct pz_q_person *p, const struct pz_syn_rig *rig,
                     uint64_t n, int *kind);

/** Helpers of the drawing code. */
static inline float pz_q_uni(struct pz_rng *r, float lo, float hi)
{
    return lo + (hi - lo) * pz_rng_uniform(r);
}
static inline bool pz_q_chance(struct pz_rng *r, float p)
{
    return pz_rng_uniform(r) < p;
}
static inline struct v3 pz_q_colour(struct pz_rng *r, float lo, float hi)
{
    float a = pz_q_uni(r, lo, hi), b = pz_q_uni(r, lo, hi), c = pz_q_uni(r, lo, hi), m = (a + b + c) / 3.f,
          s = pz_rng_uniform(r);
    s *= s;
    return v3(pz_mixf(m, a, s), pz_mixf(m, b, s), pz_mixf(m, c, s));
}

#endif

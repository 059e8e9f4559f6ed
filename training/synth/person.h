/**
 * One person and how they are filmed: every choice the generator makes lives in this struct, filled from a
 * seed.
 *
 * Colours are linear light; lengths cm; angles radians.
 */
#ifndef PZ_SYN_PERSON_H
#define PZ_SYN_PERSON_H

#include <stdint.h>

#include "asset.h"

struct pz_syn_person {
    uint64_t seed;
    uint32_t noise; /**< seed of this person's procedural textures */
    float identity[PZ_SYN_N_ID];
    float asymmetry;           /**< cm */
    float melanin;             /**< 0 (lightest anchor) … 5 (darkest), fact sheet §5.1 */
    float redness;             /**< gain of the blood map */
    float freckles;            /**< 0…1 */
    float age;                 /**< 0…1, strength of lines */
    float stubble;             /**< 0…1, density of the beard shadow */
    float oil;                 /**< gloss of forehead and nose */
    struct v3 lip_tint;        /**< multiplies skin */
    struct v3 hair;            /**< fibre base colour */
    float hair_top, hair_side; /**< strand lengths, cm */
    float hair_part;           /**< x of the parting, cm */
    float hair_wave;           /**< 0 straight … 1 wavy */
    float brow_density;        /**< 0.3…1 */
    struct v3 iris, iris_ring;
    float pupil; /**< radius, cm */
    struct v3 blazer, shirt, lining;
    struct v3 key, fill, rim; /**< radiance colours of the lights */
    float key_yaw, key_pitch, rim_yaw;
    float camera_dist; /**< cm */
    float px_per_cm;   /**< at the face, for a 1080-pixel-wide frame */
    float look_y;      /**< world y at the frame's centre */
    float rate;        /**< speech duration stretch */
};

/** Fill every field from (seed, person). The same pair gives the same person on every machine. */
void pz_syn_person_draw(struct pz_syn_person *p, uint64_t seed, uint64_t person);

#endif

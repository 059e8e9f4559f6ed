/** Phones to mouth shapes: the viseme table and dominance blending of fact sheet synth.md §7. */
#ifndef PZ_SYN_VISEME_H
#define PZ_SYN_VISEME_H

#include "rig.h"
#include "speech.h"

enum { PZ_SYN_N_VISEME = 21 };

/** Name of viseme i ("sil", "PP", …) and its inner-lip gap and by fact sheet (cm). */
const char *pz_syn_viseme_name(int i);
float pz_syn_viseme_gap(int i);
/** Target weights of viseme i on the asset's shapes, added to a zeroed pose. */
void pz_syn_viseme_target(const struct pz_syn_asset *a, int i, struct pz_syn_face_pose *out);
/** Viseme of a phone; diphthongs give the first half, *second the other (else −1). */
int pz_syn_viseme_of(const char *phone, int *second);

/** How firmly lips are shut (pauses, p b m) and how firmly the lower lip meets the teeth (f v) now, 0…1. */
struct pz_syn_seal {
    float shut, bite;
};

/** Mouth of time t (s): dominance blending of all phones, energy emphasis, closure compensation. `out` is
 * overwritten. `style` ≥ 0 scales vowels (1 neutral). Pauses close the mouth: their dominance is raised above
 * the fact sheet's.
 *  `*seal` (may be NULL) is for pz_syn_mouth_seal() last. */
void pz_syn_mouth_at(const struct pz_syn_rig *rig, const struct pz_syn_speech *s, float t, float style,
                     struct pz_syn_face_pose *out, struct pz_syn_seal *seal);

/** Adjust mouthClose so that lips meet, or come to 0.2 cm for f and v, where `seal` says so, whatever other
 * shapes (smile, this person's own resting gap) do, and overlap by at most 0.06 cm anywhere. */
void pz_syn_mouth_seal(const struct pz_syn_rig *rig, struct pz_syn_seal seal, struct pz_syn_face_pose *pose);

#endif

/** The mouth in a picture: where it is, how sharp it is. Shared by qc and evaluate; internal to the pipeline.
 */
#ifndef PZ_PIPELINE_QC_MOUTH_H
#define PZ_PIPELINE_QC_MOUTH_H

#include "face/face.h"
#include "image/picture.h"

/** Integer box [x0,x1)×[y0,y1) in px, inside the picture. */
struct pz_box {
    int x0, y0, x1, y1;
};

/** Outer-lip box of a face, grown by `factor` about its centre and clipped to w×h. False when less than 12 px
 * remain on a side or the face has no such points. */
bool pz_mouth_box(const struct pz_face *face, const struct pz_face_topology *topo, float factor, int w, int h,
                  struct pz_box *box);

/** A reusable float plane that only grows. Zero-initialise; free data with pz_free(). */
struct pz_plane {
    float *data;
    size_t cap;
};

/** Make room for `n` floats. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_plane_reserve(struct pz_plane *p, size_t n);

/** Luma of a box as floats, code values: out [(y1−y0)][(x1−x0)]. */
void pz_box_luma(const struct pz_picture *p, const struct pz_box *box, float *out);

/** The lower-face outline of a face as a closed polygon in frame px; see pz_mask_lower_face(). Returns the
 * number of points, 0 when degenerate. out [PZ_MASK_LOWER_FACE_MAX][2]. */
int pz_mouth_outline(const struct pz_face *face, const struct pz_face_topology *topo, float (*out)[2]);

#endif

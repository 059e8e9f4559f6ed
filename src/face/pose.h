/**
 * Pose: where a head is, from its points and the person's own shape. Conventions of face/face.h.
 */
#ifndef PZ_FACE_POSE_H
#define PZ_FACE_POSE_H

#include "face/face.h"

/** Similarity between head space and the camera's axes (x right, y up, z to the camera; px). */
struct pz_head_fit {
    float q[4]; /**< unit quaternion w, x, y, z: head → camera */
    float scale;
    float t[3];     /**< camera position of the head origin: tx, −ty, depth */
    float residual; /**< rms distance of the points used, head units */
};

/**
 * Least-squares similarity of `n` chosen points (`index`, weights `w` or NULL) of `head` (head space) to `px`
 * (px as in face.h). Horn 1987, closed form with unit quaternions. Degenerate input (all points equal, not
 * finite) gives scale 0.
 */
void pz_head_fit_points(const float (*head)[3], const float (*px)[3], const int *index, const float *w, int n,
                        struct pz_head_fit *out);

/** First guess without a shape: axes from outer eye corners and chin → forehead (points 33, 263, 152, 10 of
 * the mesh). */
void pz_head_fit_axes(const float (*px)[3], struct pz_head_fit *out);

/** px → head space and back. */
void pz_head_from_px(const struct pz_head_fit *f, const float px[3], float head[3]);
void pz_head_to_px(const struct pz_head_fit *f, const float head[3], float px[3]);

/** Rotation matrix and angles for reports: yaw > 0 turned to the subject's left, pitch > 0 looking up, roll >
 * 0 tilted clockwise in the picture; degrees. */
void pz_head_pose(const struct pz_head_fit *f, struct pz_face_pose *out);

#endif

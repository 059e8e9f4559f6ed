/**
 * MTCNN: three small networks, each judging what the one before let through (Zhang 2016, arXiv:1604.02878),
 * in the form and with the weights of facenet-pytorch. Facts: spec/faces.md §2. Boxes and points are the
 * original's to within rounding (tests/face/test_mtcnn.c), except that candidates without a pixel inside the
 * picture are dropped.
 *
 * Threads  one thread at a time.
 */
#ifndef PZ_FACE_MTCNN_H
#define PZ_FACE_MTCNN_H

#include "base/job.h"

struct pz_mtcnn_face {
    float box[4]; /**< x0, y0, x1, y1 px as the original says them (pixel centres on whole numbers) */
    float score;  /**< the last network's, (0.7, 1] */
    float point[5]
               [2]; /**< subject's right and left eye, nose, right and left corner of the mouth; likewise */
};

struct pz_mtcnn;

/** Load pnet.pt, rnet.pt, onet.pt (paths). Errors: WEIGHTS (the first wrong tensor is named), INPUT, FORMAT,
 * NOMEM. */
PZ_NODISCARD enum pz_status pz_mtcnn_create(const char *pnet, const char *rnet, const char *onet,
                                            const struct pz_job *job, struct pz_mtcnn **m);
void pz_mtcnn_destroy(struct pz_mtcnn **m);
PZ_NODISCARD enum pz_status pz_mtcnn_profile(struct pz_mtcnn *m, struct pz_profile *p);

/** Check a file's tensors; `which` 0 pnet, 1 rnet, 2 onet. Errors: as create. */
PZ_NODISCARD enum pz_status pz_mtcnn_verify(const char *path, int which, const struct pz_job *job);

/**
 * Faces of an RGB picture [h][w][3] with values 0 … 255, best first, at most `cap`. `min_face` ≥ 12 px: the
 * pyramid begins at 12/min_face; `skip` leaves out that many of its finest levels (each ×0.709). Plans of a
 * picture size are made at its first use and kept until another comes. Errors: NOMEM.
 */
PZ_NODISCARD enum pz_status pz_mtcnn_run(struct pz_mtcnn *m, const float *rgb, int w, int h, float min_face,
                                         int skip, struct pz_pool *pool, struct pz_mtcnn_face *out, int cap,
                                         int *n);

#endif

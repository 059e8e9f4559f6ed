/**
 * Gaussian head: the picture half of the `gaussian_splatting` engine. One speaker's lower face as two sets of
 * Gaussians (skin and lips; teeth, tongue and cavity) that follow the motion space of motion_space.h.
 *
 * Chapters
 *   model    fitted once per film, immutable afterwards, may be shared by threads; saved to and loaded from a
 * folder canvas   drawing memory, one per thread
 *
 * Geometry: a patch is an upright rectangle of the frame around the mouth, `zoom` patch px per frame px.
 * Where the face is small enough zoom is 1 and patches sit on whole pixels, so nothing is resampled between
 * film, fit and paste. Layers: the mouth set is drawn first and only shows inside the inner-lip outline (2 px
 * wider); the face set is drawn over it. Units, axes: head space of face/face.h.
 */
#ifndef PZ_LIPSYNC_GS_MODEL_H
#define PZ_LIPSYNC_GS_MODEL_H

#include "base/job.h"
#include "face/face.h"
#include "lipsync/engine.h"
#include "lipsync/motion_space.h"
#include "splat/splat.h"

/** Points that move with m: p = mean + Σ m_k basis_k, head space. */
struct pz_gs_curve {
    int n;
    float *mean;  /**< [n][3] */
    float *basis; /**< [k][n][3] */
};

/** Finest detail of one frame on a net of nodes: gs_skin.h. */
struct pz_gs_skin {
    struct pz_gs_curve net; /**< nodes, row by row; n = 0: no skin */
    int columns;
    uint8_t *on;    /**< [n]: the node lies on the mesh */
    float (*at)[2]; /**< [n]: px in `detail`; negative = not seen there */
    float *detail;  /**< [height][width] of luma; NULL = none taken */
};

struct pz_gs_model {
    char topology[32];
    int k; /**< motion components */
    /** Inside the model a motion is m_k · unit_k, unit_k being how far component k moves the face compared
     * with the first: components near the tracker's noise then cannot carry colour. */
    float unit[PZ_MOTION_MAX];
    float lo[PZ_MOTION_MAX], hi[PZ_MOTION_MAX]; /**< range of m in the fit frames */
    float reach;                                /**< largest |m| of the fit frames */
    int n_points;
    int n_rigid;
    int32_t rigid[PZ_MOTION_MAX_RIGID];
    float rigid_center[3];
    int width, height; /**< patch px, multiples of 16 */
    float zoom;        /**< patch px per frame px, (0, 1] */
    float focus[3];    /**< head-space point in the middle of the patch */
    float cavity[3];   /**< colour behind the teeth */
    struct pz_splat_set face, mouth;
    struct pz_gs_curve outline; /**< closed: what is pasted */
    struct pz_gs_curve lips;    /**< closed: inner lip line */
    struct pz_gs_skin skin;
    float crisp; /**< share of the skin's detail in a drawing, so that it is as sharp as the film */
    float
        heldout_psnr; /**< dB in the mouth box on frames kept out of the fit, tracked motion; 0 = none kept */
};

#define PZ_GS_CRISP_MAX 1.2f

struct pz_gs_fit_params {
    int images;        /**< pictures looked at in training; 0 = chosen from the film's length */
    int max_frames;    /**< crops kept in memory; 0 = 750 */
    int max_gaussians; /**< of the face set; 0 = 9000 */
    enum pz_splat_rung rung;
};

#define PZ_GS_FIT_DEFAULT ((struct pz_gs_fit_params){.rung = PZ_SPLAT_AVX512})

/**
 * Learn the speaker from the fit frames of a film.
 *
 * Owner    `*out` by the caller; free with pz_gs_model_free(). `film` and `space` are only borrowed.
 * Threads  uses job->pool, one training picture per thread; same seed, same result, whatever the number of
 * threads Errors   UNUSABLE (fewer than 25 frames with a face), NOMEM, CANCELLED, or what film->picture
 * returned
 */
PZ_NODISCARD enum pz_status pz_gs_model_fit(const struct pz_film *film, const struct pz_motion_space *space,
                                            const struct pz_gs_fit_params *p, const struct pz_job *job,
                                            struct pz_gs_model **out);
void pz_gs_model_free(struct pz_gs_model **m);

/** Write `gaussians.safetensors` into a folder. Errors: WRITE, NOMEM (logged). */
PZ_NODISCARD enum pz_status pz_gs_model_save(const struct pz_gs_model *m, const char *dir,
                                             struct pz_log *log);

/** Load it. Every value is checked; Gaussians that are not finite are refused. Errors: INPUT, FORMAT
 * (logged), NOMEM. */
PZ_NODISCARD enum pz_status pz_gs_model_load(const char *dir, struct pz_log *log, struct pz_gs_model **out);

struct pz_gs_canvas;

/** Drawing memory for one thread. The model must outlive it. Errors: NOMEM. */
PZ_NODISCARD enum pz_status pz_gs_canvas_create(const struct pz_gs_model *m, enum pz_splat_rung rung,
                                                struct pz_gs_canvas **out);
void pz_gs_canvas_destroy(struct pz_gs_canvas **c);

/**
 * Draw the mouth of motion `m` on the head of `face`.
 *
 * Shapes   m [k]; film_m [k]: the motion the film itself has on this frame, so that the patch also covers
 * where its jaw is (NULL: not considered) Owner    the patch's buffers belong to the canvas until its next
 * draw; patch->lip_gap is left for the caller Threads  tiles are shared out over `pool` (may be NULL) Errors
 * USAGE (face of another landmark set, degenerate pose), NOMEM
 */
PZ_NODISCARD enum pz_status pz_gs_draw(struct pz_gs_canvas *c, const struct pz_face *face, const float *m,
                                       const float *film_m, struct pz_pool *pool, struct pz_patch *patch);

#endif

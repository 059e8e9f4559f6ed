/**
 * Lip-sync engines: one interface for wav2lip, musetalk, latentsync, vasa1, emo and gaussian_splatting.
 *
 * Life of an engine object
 *   1. `prepare` (once per film): learns or caches what depends on the film alone and writes it into a folder
 * of the prepared template. Slow; reports progress; deterministic for a seed.
 *   2. `open` (per process): loads that folder and the weights; immutable afterwards, may be shared by
 * threads.
 *   3. `begin` (per slot and customer): takes the new sound (and its phones, when known) and the list of
 * frames to be made; works out everything that depends on sound only. Returns a session, used by one thread.
 *   4. `draw` (per frame, in any order within the session): makes the new mouth for one frame as a patch.
 *   5. the compositor (image/paste.h) pastes patches; engines never touch the frame themselves.
 *
 * An engine that makes several mouths at once says how many (`ahead`) and is then shown that many pictures
 * (`feed`) before the first of them is drawn. Nobody has to: `draw` without `feed` always works.
 */
#ifndef PZ_LIPSYNC_ENGINE_H
#define PZ_LIPSYNC_ENGINE_H

#include "base/job.h"
#include "base/rational.h"
#include "face/face.h"
#include "image/picture.h"
#include "speech/phones.h"

/** Random access to the film during `prepare`. Implemented by the pipeline. */
struct pz_film {
    void *user;
    int64_t n_frames;
    /** Presentation time of frame i in seconds relative to speech[0]; may be negative or beyond it. */
    double (*frame_time)(void *user, int64_t i);
    /** Decode frame i (any order; ascending is fast). `out` is borrowed until the next call. */
    enum pz_status (*picture)(void *user, int64_t i, const struct pz_picture **out);
    /** Face record of frame i, NULL where there is none. Borrowed for the film's life. */
    const struct pz_face *(*face)(void *user, int64_t i);
    const struct pz_face_topology *topology;
    const float *speech; /**< mono 16 kHz sound of the film window [0, n_speech), [-1,1] */
    int64_t n_speech;
    const struct pz_phone *phones; /**< of that sound; covers it completely */
    int n_phones;
    /** Frames that may be learned from, ascending (the fit window); others are held out and must not be
     * looked at. */
    const int64_t *fit_frames;
    int64_t n_fit_frames;
    /** Frames a render is expected to draw (slots and their margins) that have a face, ascending; n 0 = not
     * known (self-reenactment: they are held out). Others may still be asked for. */
    const int64_t *asked_frames;
    int64_t n_asked_frames;
};

/** The sound of one slot with its surroundings, on the output's time line. */
struct pz_speech_span {
    const float
        *speech; /**< mono 16 kHz, [-1,1]: new words with ≥ 0.5 s of context on both sides where it exists */
    int64_t n_speech;
    const struct pz_phone *phones; /**< of that sound, times relative to speech[0]; NULL when unknown */
    int n_phones;
    int n_frames;              /**< frames to be made */
    const double *frame_times; /**< [n_frames] presentation times in seconds relative to speech[0] */
    const struct pz_face *const
        *faces; /**< [n_frames] the template's face on each frame (pose, points), never NULL */
    const struct pz_face_topology *topology; /**< of these faces */
    /** Seconds at each end over which the mouth goes over from and to the template's own (read from `faces`),
     * and leave to take the subject's slow posture (a smile, say) from the template's mouth in between. 0:
     * the mouth is made from sound and head pose alone, nothing of the template's mouth is looked at
     * (self-reenactment). */
    double blend_s;
    /** [n_frames] faces whose mouth shall be shown on each frame instead of one made from sound, or NULL. For
     * the controls of self-reenactment; an engine that cannot returns UNSUPPORTED (not logged). */
    const struct pz_face *const *held;
};

/** A new mouth: picture, opacity and where it goes. The buffers belong to the session until its next draw. */
struct pz_patch {
    struct pz_rgb rgb;         /**< colour, e.g. 256×256 */
    const float *alpha;        /**< [height][width] in [0,1]: 1 = made, 0 = film; already feathered */
    struct pz_affine to_frame; /**< patch px → frame px */
    float lip_gap;             /**< opening that was aimed at, over interocular distance */
};

struct pz_engine_open_params {
    const char *artifact_dir;  /**< folder `prepare` wrote */
    const char *models_dir;    /**< official weights, may be NULL */
    const char *device;        /**< "cpu", "cuda:0" */
    const char *precision;     /**< "f32", "f16", "bf16" or NULL = the engine's default */
    const char *cache_dir;     /**< the user's cache, for choices worth keeping; NULL = the usual one */
    bool no_smooth;            /**< each frame on its own: no filter over time against a shaking mouth */
    const char *quality;       /**< diffusion: "exact", "fast" or NULL = exact */
    int steps;                 /**< diffusion: steps, 0 = what `quality` says */
    float guidance;            /**< diffusion: how strongly the sound leads, 1 = plain; 0 = the usual */
    const char *face_detector; /**< wav2lip: "s3fd" takes its boxes from S3FD; any other: ours */
    int size;      /**< side of the network's pictures where there is a choice, px; 0 = what is there */
    double memory; /**< diffusion: bytes of the device's or main memory that may be taken; 0 = what is free */
};

struct pz_engine_vtable {
    const char *name; /**< as on the command line */
    enum pz_status (*prepare)(const struct pz_film *film, const struct pz_engine_open_params *p,
                              const struct pz_job *job);
    enum pz_status (*open)(const struct pz_engine_open_params *p, const struct pz_job *job, void **engine);
    void (*close)(void **engine);
    enum pz_status (*begin)(void *engine, const struct pz_speech_span *span, const struct pz_job *job,
                            void **session);
    /** `src` is the template's frame i (upright); it is read for colour matching, never written. */
    enum pz_status (*draw)(void *session, int i, const struct pz_picture *src, struct pz_patch *out);
    void (*end)(void **session);
    /** Optional, quick: can it run at all, i.e. are its weights there and whole? Asked before a film is
     * looked at; `artifact_dir` is NULL. Errors: WEIGHTS, DEVICE. */
    enum pz_status (*check)(const struct pz_engine_open_params *p, const struct pz_job *job);
    /** Optional: where an open engine computes ("cpu", "cuda") and in what numbers. NULL: "cpu", "f32". */
    void (*runs_on)(const void *engine, const char **device, const char **precision);
    bool takes_s3fd; /**< knows what to do with `face_detector` "s3fd" */
    /** Optional: a line that changes when `prepare` would leave something else behind for the same film,
     * because its weights are others. Part of the key of cached templates. On the heap (pz_free). Errors:
     * WEIGHTS, NOMEM, those of the weights' file. */
    enum pz_status (*stamp)(const struct pz_engine_open_params *p, const struct pz_job *job, char **text);
    /** Optional, with `feed`: how many frames an open engine likes to see before it draws the first, ≥ 1. */
    int (*ahead)(const void *engine);
    /** The picture of a frame that will be drawn: what is needed of it is taken, the picture is not kept. In
     * the order of drawing, at most `ahead` frames that are not drawn yet; a frame may still be drawn without
     * it, and fed ones need not be drawn at all. */
    enum pz_status (*feed)(void *session, int i, const struct pz_picture *src);
};

/** A stamp of files for engines whose `prepare` depends on the values in them: names, sizes, times of last
 * change; NULL and missing ones are told apart. On the heap (pz_free), NULL on no memory. */
char *pz_engine_stamp_files(const char *const *paths, int n);

/** Frames to be fed to an open engine before they are drawn: what it likes, as far as `width` × `height` px
 * pictures of them fit into 256 MiB. 1: nothing is to be fed. */
int pz_engine_ahead(const struct pz_engine_vtable *v, const void *engine, int width, int height);

/** Engine by command-line name; NULL when this build has none of that name. */
const struct pz_engine_vtable *pz_engine_find(const char *name);

/** Names of all engines of this build, NULL-terminated. */
const char *const *pz_engine_names(void);

#endif

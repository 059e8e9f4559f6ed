/**
 * Film: the pieces of a film as other floors want them — sound as a tap, faces as a track, and all together
 * as the `pz_film` that lip-sync engines learn from.
 */
#ifndef PZ_PIPELINE_FILM_H
#define PZ_PIPELINE_FILM_H

#include "face/track.h"
#include "lipsync/engine.h"
#include "media/media.h"
#include "speech/line.h"

/* ---- sound ------------------------------------------------------------------------------------------------
 */

/** A sound track behind a tap. Plain owned; the tap points into it, so it must not move. */
struct pz_film_sound {
    struct pz_sound *sound;
    struct pz_tap tap;
};

/** Open `path`'s sound at `rate` and `channels` (0 = its own). `n` = length in samples at that rate (what
 * lies beyond the track reads as silence). Errors: those of pz_sound_open(). */
PZ_NODISCARD enum pz_status pz_film_sound_open(const char *path, int rate, int channels, int64_t n,
                                               const struct pz_job *job, struct pz_film_sound *s);
void pz_film_sound_close(struct pz_film_sound *s);

/** Read a whole sound file (at most `max_seconds`) as mono at its own rate; `*samples` freed with pz_free().
 *  Errors: INPUT (missing, too long, empty), those of pz_sound_open(). */
PZ_NODISCARD enum pz_status pz_film_sound_whole(const char *path, double max_seconds,
                                                const struct pz_job *job, float **samples, int64_t *n,
                                                int *rate);

/* ---- windows ----------------------------------------------------------------------------------------------
 */

/** Frame indices [first, last). */
struct pz_frame_span {
    int64_t first, last;
};

/** First frame whose time is ≥ `seconds`; n_frames when there is none. */
int64_t pz_film_frame_at(const struct pz_film_info *info, double seconds);
/** Presentation time of a frame in seconds from film zero. */
double pz_film_frame_time(const struct pz_film_info *info, int64_t i);

/* ---- faces ------------------------------------------------------------------------------------------------
 */

#define PZ_FILM_PERSONS 16

struct pz_film_faces {
    int track;      /**< chosen person */
    float share;    /**< share of looked-at frames with that face, [0,1] */
    int64_t looked; /**< frames looked at */
    int n;          /**< persons found, at most PZ_FILM_PERSONS told; known also when none could be chosen */
    struct pz_face_summary who[PZ_FILM_PERSONS];
};

/** Track faces over `spans` (ascending, not overlapping) of a film, choose one person and write its records
 * to `track_path`. `choice` as in struct pz_face_choice; what ends in .png, .jpg or .jpeg is the file of a
 * portrait. Progress stage "faces". Errors: UNUSABLE (no face; several and no choice; nobody fits the
 * choice), USAGE (no such index), INPUT (portrait), WEIGHTS, those of the reader, WRITE. */
PZ_NODISCARD enum pz_status pz_film_find_faces(const char *path, const struct pz_film_info *info,
                                               const struct pz_frame_span *spans, int n_spans,
                                               const char *choice, const struct pz_face_tracker_params *faces,
                                               const struct pz_job *job, const char *track_path,
                                               struct pz_film_faces *out);

/* ---- all together -----------------------------------------------------------------------------------------
 */

/** The film of a window as engines see it. Plain owned; must not move while open. */
struct pz_film_view {
    struct pz_film
        film; /**< frame indices are the film's own; times and sound are relative to `window_start` */
    const struct pz_film_info *info;
    const struct pz_face_track *track;
    struct pz_reader *reader;
    int64_t window_start; /**< samples at PZ_SPEECH_RATE */
    float *speech;
    struct pz_phone *phones;
    int64_t *fit_frames, *asked_frames;
};

/** Open the window [start, end) (PZ_SPEECH_RATE samples) of a film. `phones` is the whole film's line. Frames
 * to learn from: those of the window with a face, before `fit_end` (PZ_SPEECH_RATE samples from film zero).
 * `info` and `track` must outlive the view. Errors: NOMEM, those of reader and sound. */
PZ_NODISCARD enum pz_status pz_film_view_open(struct pz_film_view *v, const char *path,
                                              const struct pz_film_info *info,
                                              const struct pz_face_track *track,
                                              const struct pz_phone *phones, int n_phones, int64_t start,
                                              int64_t end, int64_t fit_end, const struct pz_job *job);
/** Name the frames a render is expected to draw: those of `spans` (ascending, not overlapping) with a face.
 * Errors: NOMEM (not logged). */
PZ_NODISCARD enum pz_status pz_film_view_ask(struct pz_film_view *v, const struct pz_frame_span *spans,
                                             int n);
void pz_film_view_close(struct pz_film_view *v);

#endif

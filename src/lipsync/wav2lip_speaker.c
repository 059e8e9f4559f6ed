// The ear adapted to the film's speaker: fitting, keeping, asking. The fit itself is motion_space.c's and
// motion_fit.c's; what the answer is used for is the engine's affair.
#include "lipsync/wav2lip_speaker.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "image/affine.h"
#include "lipsync/gs_view.h"
#include "lipsync/wav2lip_crop.h"
#include "weights/safetensors.h"

#define POINTS PZ_W2L_BEND_POINTS
#define LANDMARKS "mediapipe-478"
#define N_LANDMARKS 478
#define FORM "pz-wav2lip-speaker-1"
#define SPEAKER_FILE "speaker.safetensors"
#define MOTION_FILE "motion.safetensors"
#define SHARE 5     /* a fifth of the frames is at rest, as in training */
#define HEARD 16.0f /* parts of an interocular distance the shipped ear counts in */
#define FAR 10.0f   /* no point of a head is so many interocular distances away */

/* Landmarks of a mouth: outer lips, inner lips, chin. */
static void mouth_ids(const struct pz_face_topology *t, int *id)
{
    memcpy(id, t->outer_lip, 20 * sizeof *id);
    memcpy(id + 20, t->inner_lip, 20 * sizeof *id);
    id[40] = t->chin;
}

static bool known(const struct pz_face_topology *t)
{
    return !strcmp(t->name, LANDMARKS) && t->n_points == N_LANDMARKS && t->n_outer_lip == 20 &&
           t->n_inner_lip == 20 && t->mean && t->n_rigid > 0 && t->n_rigid <= PZ_MOTION_MAX_RIGID;
}

void pz_wav2lip_speaker_free(struct pz_wav2lip_speaker **s)
{
    if (!*s)
        return;
    pz_motion_model_free(&(*s)->motion);
    pz_motion_space_free(&(*s)->space);
    pz_free(*s);
    *s = NULL;
}

/* ---- learning ---- */

static const struct pz_face *film_face(const void *user, int64_t frame)
{
    const struct pz_film *film = user;
    return film->face(film->user, frame);
}

static int by_gap(const void *a, const void *b)
{
    const struct pz_face *x = *(const struct pz_face *const *)a, *y = *(const struct pz_face *const *)b;
    return (x->lip_gap > y->lip_gap) - (x->lip_gap < y->lip_gap);
}

/* What the shipped ear needs to know: the mean mouth of the fifth of the frames with the smallest gap. */
static enum pz_status learn_rest(const struct pz_film *film, struct pz_wav2lip_speaker *s, struct pz_log *log)
{
    const struct pz_face_topology *t = film->topology;
    const struct pz_face **faces = pz_calloc((size_t)film->n_fit_frames + 1, sizeof *faces);
    float *head = pz_calloc(PZ_FACE_MAX_POINTS, 3 * sizeof *head);
    enum pz_status st = faces && head ? PZ_OK : PZ_ERR_NOMEM;
    int n = 0, used = 0, id[POINTS];
    mouth_ids(t, id);
    s->n_rigid = t->n_rigid;
    for (int i = 0; i < t->n_rigid; i++) {
        s->rigid[i] = t->rigid[i];
        for (int a = 0; a < 3; a++)
            s->center[a] += t->mean[t->rigid[i]][a] / (float)t->n_rigid;
    }
    for (int64_t i = 0; st >= PZ_OK && i < film->n_fit_frames; i++) {
        const struct pz_face *f = film->face(film->user, film->fit_frames[i]);
        if (f && f->present == 1 && f->n_points == t->n_points && isfinite(f->lip_gap))
            faces[n++] = f;
    }
    if (n)
        qsort(faces, (size_t)n, sizeof *faces, by_gap);
    double sum[POINTS][3] = {{0}};
    for (int i = 0; i < n && (i < n / SHARE || !used); i++) {
        if (!pz_motion_head_points(faces[i], s->rigid, s->n_rigid, s->center, head))
            continue;
        used++;
        for (int k = 0; k < POINTS; k++)
            for (int a = 0; a < 3; a++)
                sum[k][a] += head[3 * id[k] + a];
    }
    for (int k = 0; used && k < POINTS; k++)
        for (int a = 0; a < 3; a++)
            s->rest[k][a] = (float)(sum[k][a] / used);
    pz_free(faces);
    pz_free(head);
    if (st >= PZ_OK && !used)
        return pz_fail(log, PZ_ERR_UNUSABLE, "wav2lip:embedded: no face to learn from");
    return st < PZ_OK ? pz_fail(log, st, "no memory for the film's faces") : st;
}

/* The space's own points tie it to faces. */
static void take_rigid(struct pz_wav2lip_speaker *s)
{
    s->n_rigid = s->space->n_rigid;
    memcpy(s->rigid, s->space->rigid, (size_t)s->n_rigid * sizeof *s->rigid);
    memcpy(s->center, s->space->rigid_center, sizeof s->center);
}

/* The speaker's own ear, where it is better than none. */
static enum pz_status learn_motion(const struct pz_film *film, const struct pz_job *job,
                                   struct pz_wav2lip_speaker *s)
{
    struct pz_job quiet = *job; // that it cannot be had is not the user's error
    quiet.log = NULL;
    struct pz_motion_faces faces = {
        .user = film, .face = film_face, .frames = film->fit_frames, .n_frames = film->n_fit_frames};
    struct pz_motion_space *space = NULL;
    struct pz_motion_model *motion = NULL;
    enum pz_status st = pz_motion_space_fit(&faces, film->topology, PZ_MOTION_MAX, &quiet, &space);
    if (st >= PZ_OK)
        st = pz_motion_model_fit(film, space, &quiet, &motion);
    bool kept = st >= PZ_OK && motion->cv_r >= PZ_WAV2LIP_SPEAKER_R;
    if (st >= PZ_OK)
        pz_info(job->log, "wav2lip:embedded: the speaker's own ear, cross-validated r %.2f: %s",
                (double)motion->cv_r, kept ? "taken" : "the shipped one is taken instead");
    else if (st == PZ_ERR_UNUSABLE)
        pz_info(job->log,
                "wav2lip:embedded: too little to fit an ear to the speaker, the shipped one is taken");
    if (kept) {
        s->space = space;
        s->motion = motion;
        take_rigid(s);
        return PZ_OK;
    }
    pz_motion_model_free(&motion);
    pz_motion_space_free(&space);
    if (st >= PZ_OK || st == PZ_ERR_UNUSABLE)
        return PZ_OK;
    return st == PZ_ERR_CANCELLED
               ? st
               : pz_fail(job->log, st, "wav2lip:embedded cannot learn how the speaker speaks");
}

enum pz_status pz_wav2lip_speaker_fit(const struct pz_film *film, const struct pz_job *job,
                                      struct pz_wav2lip_speaker **out)
{
    enum pz_status st = PZ_OK;
    struct pz_wav2lip_speaker *s = NULL;
    *out = NULL;
    if (!known(film->topology))
        return pz_fail(job->log, PZ_ERR_UNSUPPORTED, "wav2lip:embedded does not know the landmarks '%s'",
                       film->topology->name);
    s = pz_calloc(1, sizeof *s);
    if (!s)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory for a speaker");
    PZ_TRY(learn_rest(film, s, job->log));
    PZ_TRY(learn_motion(film, job, s));
    *out = s;
    s = NULL;
fail:
    pz_wav2lip_speaker_free(&s);
    return st;
}

/* ---- files ---- */

enum pz_status pz_wav2lip_speaker_save(const struct pz_wav2lip_speaker *s, const char *folder,
                                       struct pz_log *log)
{
    enum pz_status st = PZ_OK;
    char *path = pz_path_join(folder, SPEAKER_FILE), *motion = pz_path_join(folder, MOTION_FILE);
    const struct pz_stored_tensor t[] = {
        {"rest", PZ_DTYPE_F32, 2, {POINTS, 3}, s->rest, 0},
        {"center", PZ_DTYPE_F32, 1, {3}, s->center, 0},
        {"rigid", PZ_DTYPE_I32, 1, {s->n_rigid}, s->rigid, 0},
    };
    const struct pz_stored_text text[] = {{"format", FORM}, {"ear", s->space ? "speaker" : "shipped"}};
    if (!path || !motion) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for a path");
        goto fail;
    }
    if (s->space)
        PZ_TRY(pz_motion_save(motion, s->space, s->motion, log));
    PZ_TRY(pz_safetensors_write(log, path, t, 3, text, 2));
fail:
    pz_free(motion);
    pz_free(path);
    return st;
}

static bool near_head(const float *x, int n)
{
    for (int i = 0; i < n; i++)
        if (!(fabsf(x[i]) < FAR))
            return false;
    return true;
}

/* The small file: numbers of the head. */
static enum pz_status read_head(const char *path, struct pz_wav2lip_speaker *s, bool *own, struct pz_log *log)
{
    enum pz_status st = PZ_OK;
    struct pz_safetensors *f = NULL;
    const struct pz_stored_tensor *t;
    PZ_TRY(pz_safetensors_open(log, path, &f));
    const char *form = pz_safetensors_text(f, "format"), *ear = pz_safetensors_text(f, "ear");
    if (!form || strcmp(form, FORM) || !ear) {
        st = pz_fail(log, PZ_ERR_FORMAT, "'%s' is of another version; prepare the film again", path);
        goto fail;
    }
    *own = !strcmp(ear, "speaker");
    PZ_TRY(pz_safetensors_expect(log, f, "rest", PZ_DTYPE_F32, 2, (const int64_t[]){POINTS, 3}, &t));
    PZ_TRY(pz_safetensors_read_f32(log, t, s->rest[0], 3 * POINTS));
    PZ_TRY(pz_safetensors_expect(log, f, "center", PZ_DTYPE_F32, 1, (const int64_t[]){3}, &t));
    PZ_TRY(pz_safetensors_read_f32(log, t, s->center, 3));
    PZ_TRY(pz_safetensors_expect(log, f, "rigid", PZ_DTYPE_I32, 1, (const int64_t[]){-1}, &t));
    bool sane = t->shape[0] >= 1 && t->shape[0] <= PZ_MOTION_MAX_RIGID && near_head(s->rest[0], 3 * POINTS) &&
                near_head(s->center, 3);
    if (sane) {
        s->n_rigid = (int)t->shape[0];
        memcpy(s->rigid, t->data, (size_t)s->n_rigid * sizeof *s->rigid);
        for (int i = 0; i < s->n_rigid; i++)
            sane = sane && s->rigid[i] >= 0 && s->rigid[i] < N_LANDMARKS;
    }
    if (!sane)
        st = pz_fail(log, PZ_ERR_FORMAT, "'%s' describes no head", path);
fail:
    pz_safetensors_close(&f);
    return st;
}

enum pz_status pz_wav2lip_speaker_load(const char *folder, struct pz_log *log,
                                       struct pz_wav2lip_speaker **out)
{
    enum pz_status st = PZ_OK;
    char *path = pz_path_join(folder, SPEAKER_FILE), *motion = pz_path_join(folder, MOTION_FILE);
    struct pz_wav2lip_speaker *s = pz_calloc(1, sizeof *s);
    bool own = false;
    *out = NULL;
    if (!path || !motion || !s) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for a speaker");
        goto fail;
    }
    PZ_TRY(read_head(path, s, &own, log));
    if (own) {
        PZ_TRY(pz_motion_load(motion, log, &s->space, &s->motion));
        if (strcmp(s->space->topology, LANDMARKS) || s->space->n_points != N_LANDMARKS) {
            st = pz_fail(log, PZ_ERR_FORMAT, "'%s' is of another set of landmarks; prepare the film again",
                         motion);
            goto fail;
        }
        take_rigid(s);
    }
    *out = s;
    s = NULL;
fail:
    pz_wav2lip_speaker_free(&s);
    pz_free(motion);
    pz_free(path);
    return st;
}

/* ---- asking ---- */

static void pick(const struct pz_motion_space *space, const int *id, const float *m, float *all,
                 float (*head)[3])
{
    pz_motion_space_points(space, m, all);
    for (int k = 0; k < POINTS; k++)
        memcpy(head[k], all + 3 * id[k], sizeof head[k]);
}

enum pz_status pz_wav2lip_speaker_mouths(const struct pz_wav2lip_speaker *s,
                                         const struct pz_speech_span *span, const float *heard,
                                         const struct pz_job *job, float (*head)[PZ_W2L_BEND_POINTS][3])
{
    enum pz_status st = PZ_OK;
    float *m = NULL, *all = NULL;
    int n = span->n_frames, id[POINTS];
    if (!known(span->topology))
        return pz_fail(job->log, PZ_ERR_UNSUPPORTED, "wav2lip:embedded does not know the landmarks '%s'",
                       span->topology->name);
    if (!s->space) {
        for (int i = 0; i < n; i++)
            for (int k = 0; k < POINTS; k++)
                for (int a = 0; a < 3; a++)
                    head[i][k][a] = s->rest[k][a] +
                                    (a < 2 ? heard[(size_t)i * PZ_W2L_BEND_MOUTH + 2 * k + a] / HEARD : 0);
        return PZ_OK;
    }
    mouth_ids(span->topology, id);
    m = pz_calloc((size_t)n + 1, (size_t)s->space->n_components * sizeof *m);
    all = pz_calloc((size_t)s->space->n_points, 3 * sizeof *all);
    if (!m || !all) {
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory for %d mouths", n);
        goto fail;
    }
    PZ_TRY(pz_motion_predict(s->motion, s->space, span, job, m));
    for (int i = 0; i < n; i++)
        pick(s->space, id, m + (size_t)i * s->space->n_components, all, head[i]);
fail:
    pz_free(m);
    pz_free(all);
    return st;
}

/* Head-space points under a face's pose, px of its frame; false for a degenerate pose. */
static bool pose(const struct pz_wav2lip_speaker *s, const struct pz_face *face, const float (*head)[3],
                 float (*px)[2])
{
    struct pz_splat_camera cam;
    if (!pz_gs_camera(face, s->rigid, s->n_rigid, s->center, &cam))
        return false;
    for (int k = 0; k < POINTS; k++)
        pz_gs_project(&cam, head[k], px[k]);
    return true;
}

enum pz_status pz_wav2lip_speaker_seen(const struct pz_wav2lip_speaker *s,
                                       const struct pz_face_topology *topo, const struct pz_face *face,
                                       float (*px)[2])
{
    int id[POINTS];
    float m[PZ_MOTION_MAX], head[POINTS][3];
    bool known_so = s->space && pz_motion_space_project(s->space, face, m);
    mouth_ids(topo, id);
    if (known_so) {
        float *all = pz_calloc((size_t)s->space->n_points, 3 * sizeof *all);
        if (!all)
            return PZ_ERR_NOMEM;
        pick(s->space, id, m, all, head);
        pz_free(all);
        known_so = pose(s, face, (const float(*)[3])head, px);
    }
    for (int k = 0; !known_so && k < POINTS; k++)
        memcpy(px[k], face->xyz[id[k]], sizeof px[k]);
    return PZ_OK;
}

void pz_wav2lip_speaker_place(const struct pz_wav2lip_speaker *s, const struct pz_face *const *faces,
                              const double *times, int n, const float (*head)[PZ_W2L_BEND_POINTS][3],
                              float (*px)[PZ_W2L_BEND_POINTS][2])
{
    for (int i = 0; i < n; i++) {
        float at[POINTS][2], all = 0, x, y;
        struct pz_affine map;
        memset(px[i], 0, sizeof px[i]);
        for (int step = -1; step <= 1; step += 2)
            for (int k = step < 0 ? i : i + 1;
                 k >= 0 && k < n && fabs(times[k] - times[i]) < PZ_WAV2LIP_REACH_S; k += step) {
                if (!faces[k] || !faces[k]->present || !pz_wav2lip_crop_map(faces[k], &map))
                    continue;
                float w = pz_wav2lip_crop_weight(faces[k], times[k] - times[i]);
                if (!pose(s, faces[k], head[i], at))
                    continue;
                all += w;
                for (int p = 0; p < POINTS; p++) {
                    pz_affine_apply(&map, at[p][0], at[p][1], &x, &y);
                    px[i][p][0] += w * x;
                    px[i][p][1] += w * y;
                }
            }
        for (int p = 0; p < POINTS; p++)
            for (int a = 0; a < 2; a++)
                px[i][p][a] = all > 0 ? px[i][p][a] / all : NAN;
    }
}

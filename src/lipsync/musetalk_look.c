// MuseTalk's view of a film: crops, latents and masks, one frame at a time.
#include "lipsync/musetalk_look.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lipsync/face_parser.h"
#include "lipsync/pixels.h"

#define SIDE PZ_MUSETALK_SIDE
#define PARSED PZ_MUSETALK_PARSED
#define MOMENTS 8
#define MARGIN_15 10 /* px below the chin, of 1.5 */
#define CHEEK_15 90  /* px of the parsed square; only 1.5 uses the mode that needs it */

const struct pz_latent_layout pz_musetalk_frames = {
    .kinds = 2, .floats = PZ_MUSETALK_FLOATS, .mask_bytes = PZ_MUSETALK_MASK_BYTES};
const struct pz_latent_layout pz_musetalk_moments = {.kinds = 1, .floats = PZ_MUSETALK_FLOATS};

struct pz_musetalk_eye {
    bool v15;
    const struct pz_job *job;
    struct pz_latent_coder *encoder;
    struct pz_face_parser *parser;
    uint8_t *crop;    /* [256][256][3] */
    uint8_t *parsed;  /* [512][512][3] */
    uint8_t *classes; /* [512][512] */
    uint8_t *mask;    /* [512][512] */
};

enum pz_status pz_musetalk_eye_open(const struct pz_musetalk_files *f, const struct pz_plan_params *pp,
                                    const struct pz_job *job, struct pz_musetalk_eye **out)
{
    enum pz_status st = PZ_OK;
    const struct pz_plan_params around = pz_musetalk_around(pp);
    struct pz_musetalk_eye *e = pz_calloc(1, sizeof *e);
    *out = NULL;
    if (!e)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory to look at frames");
    e->v15 = f->v15;
    e->job = job;
    e->crop = pz_calloc((size_t)SIDE * SIDE, 3);
    e->parsed = pz_calloc((size_t)PARSED * PARSED, 3);
    e->classes = pz_calloc(PARSED, PARSED);
    e->mask = pz_calloc(PARSED, PARSED);
    if (!e->crop || !e->parsed || !e->classes || !e->mask) {
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory to look at frames");
        goto fail;
    }
    PZ_TRY(pz_latent_coder_open(f->vae, f->vae_config, false, SIDE, 1, &around, job, &e->encoder));
    PZ_TRY(pz_face_parser_open(f->parser, pp, job, &e->parser));
    if (pz_latent_coder_floats(e->encoder) != PZ_MUSETALK_FLOATS) {
        st = pz_fail(job->log, PZ_ERR_WEIGHTS, "'%s': MuseTalk wants latents of 4 channels", f->vae);
        goto fail;
    }
    *out = e;
    return PZ_OK;
fail:
    pz_musetalk_eye_close(&e);
    return st;
}

void pz_musetalk_eye_close(struct pz_musetalk_eye **e)
{
    if (!*e)
        return;
    pz_latent_coder_close(&(*e)->encoder);
    pz_face_parser_close(&(*e)->parser);
    pz_free((*e)->crop);
    pz_free((*e)->parsed);
    pz_free((*e)->classes);
    pz_free((*e)->mask);
    pz_free(*e);
    *e = NULL;
}

enum pz_status pz_musetalk_crop(const struct pz_picture *frame, const float box[4], uint8_t *out)
{
    int x0 = (int)floorf(box[0]), y0 = (int)floorf(box[1]), w = (int)ceilf(box[2]) - x0,
        h = (int)ceilf(box[3]) - y0;
    const float inside[4] = {box[0] - (float)x0, box[1] - (float)y0, box[2] - (float)x0, box[3] - (float)y0};
    if (w < 8 || h < 8 || w > PZ_PICTURE_MAX_SIDE || h > PZ_PICTURE_MAX_SIDE)
        return PZ_ERR_USAGE;
    uint8_t *region = pz_calloc((size_t)w * (size_t)h, 3);
    enum pz_status st = region ? pz_pixels_region(frame, x0, y0, w, h, true, region) : PZ_ERR_NOMEM;
    if (st >= PZ_OK)
        st = pz_pixels_lanczos4(region, w, h, inside, SIDE, out);
    pz_free(region);
    return st;
}

/* The parsed square around the box, as bits of the version's mask. */
static enum pz_status parse(struct pz_musetalk_eye *e, const struct pz_picture *frame, const float box[4],
                            uint8_t *bits)
{
    enum pz_status st = PZ_OK;
    struct pz_musetalk_square q = pz_musetalk_square(box);
    if (q.side < 8 || q.side > PZ_PICTURE_MAX_SIDE)
        return PZ_ERR_USAGE;
    uint8_t *region = pz_calloc((size_t)q.side * (size_t)q.side, 3);
    if (!region)
        return PZ_ERR_NOMEM;
    PZ_TRY(pz_pixels_region(frame, q.x, q.y, q.side, q.side, false, region));
    PZ_TRY(pz_pixels_resize(region, q.side, q.side, 3, PZ_PIXELS_TRIANGLE, e->parsed, PARSED, PARSED));
    PZ_TRY(pz_face_parser_run(e->parser, e->parsed, e->job->pool, e->classes));
    PZ_TRY(pz_musetalk_mask(e->classes, e->v15 ? PZ_MUSETALK_JAW : PZ_MUSETALK_RAW, CHEEK_15, e->mask));
    pz_musetalk_pack(e->mask, bits);
fail:
    pz_free(region);
    return st;
}

enum pz_status pz_musetalk_eye_look(struct pz_musetalk_eye *e, const struct pz_picture *frame,
                                    const float box[4], float *masked, float *reference, uint8_t *mask)
{
    enum pz_status st = PZ_OK;
    PZ_TRY(pz_musetalk_crop(frame, box, e->crop));
    if (reference)
        PZ_TRY(pz_latent_encode(e->encoder, e->crop, 1, e->job->pool, reference));
    if (masked) {
        memset(e->crop + (size_t)SIDE * SIDE * 3 / 2, 0, (size_t)SIDE * SIDE * 3 / 2);
        PZ_TRY(pz_latent_encode(e->encoder, e->crop, 1, e->job->pool, masked));
    }
    if (mask)
        PZ_TRY(parse(e, frame, box, mask));
    return PZ_OK;
fail:
    return pz_fail(e->job->log, st, "musetalk cannot look at a frame through the box %.0f,%.0f %.0f,%.0f",
                   (double)box[0], (double)box[1], (double)box[2], (double)box[3]);
}

/* ---- a film ---- */

struct sight {
    const struct pz_film *film;
    const struct pz_job *job;
    struct pz_musetalk_eye *eye;
    struct pz_musetalk_frame size;
    const struct pz_face **faces;
    double *times;
    float (*box)[4];
    float *latent; /* [2][floats] */
    uint8_t *mask;
};

static void forget(struct sight *s)
{
    pz_musetalk_eye_close(&s->eye);
    pz_free(s->faces);
    pz_free(s->times);
    pz_free(s->box);
    pz_free(s->latent);
    pz_free(s->mask);
}

/* Faces, times and boxes of some frames. */
static enum pz_status gather(struct sight *s, const int64_t *frames, int64_t n, bool calm)
{
    const struct pz_film *film = s->film;
    const struct pz_picture *first;
    enum pz_status st = PZ_OK;
    if (n < 1 || n > INT32_MAX / 64)
        return pz_fail(s->job->log, PZ_ERR_UNUSABLE, "musetalk: no face to look at");
    s->faces = pz_calloc((size_t)n, sizeof *s->faces);
    s->times = pz_calloc((size_t)n, sizeof *s->times);
    s->box = pz_calloc((size_t)n, sizeof *s->box);
    s->latent = pz_calloc(2 * PZ_MUSETALK_FLOATS, sizeof *s->latent);
    s->mask = pz_calloc(1, PZ_MUSETALK_MASK_BYTES);
    if (!s->faces || !s->times || !s->box || !s->latent || !s->mask)
        return pz_fail(s->job->log, PZ_ERR_NOMEM, "no memory for the film's faces");
    st = film->picture(film->user, frames[0], &first);
    if (st < PZ_OK)
        return st;
    s->size.width = first->width;
    s->size.height = first->height;
    for (int64_t i = 0; i < n; i++) {
        s->faces[i] = film->face(film->user, frames[i]);
        s->times[i] = film->frame_time(film->user, frames[i]);
    }
    pz_musetalk_boxes(s->faces, s->times, (int)n, film->topology, &s->size, calm, s->box);
    return PZ_OK;
}

static enum pz_status look_at_one(struct sight *s, const int64_t *frames, int64_t i, bool whole,
                                  struct pz_latent_store *store)
{
    const struct pz_picture *pic;
    const struct pz_face *f = s->faces[i];
    float *reference = whole ? s->latent + PZ_MUSETALK_FLOATS : s->latent;
    if (pz_job_cancelled(s->job))
        return PZ_ERR_CANCELLED;
    enum pz_status st = s->film->picture(s->film->user, frames[i], &pic);
    if (st >= PZ_OK)
        st = pz_musetalk_eye_look(s->eye, pic, s->box[i], whole ? s->latent : NULL, reference,
                                  whole ? s->mask : NULL);
    if (st < PZ_OK)
        return st;
    struct pz_latent_item item = {
        .frame = frames[i], .pose = {f->pose.yaw, f->pose.pitch}, .latent = s->latent, .mask = s->mask};
    memcpy(item.box, s->box[i], sizeof item.box);
    return pz_latent_store_add(store, &item);
}

static bool usable(const struct sight *s, int64_t i)
{
    return s->faces[i] && s->faces[i]->present && s->box[i][2] - s->box[i][0] >= 16 &&
           s->box[i][3] - s->box[i][1] >= 16;
}

/* Frames that differ most in head pose, each marked in `pick`; returns how many. */
static int choose(const struct sight *s, int64_t n, bool *pick)
{
    int64_t next = -1;
    int count = 0;
    float *nearest = pz_calloc((size_t)n, sizeof *nearest);
    for (int64_t i = 0; i < n && nearest; i++) {
        nearest[i] = INFINITY;
        if (next < 0 && usable(s, i) && s->faces[i]->present == 1)
            next = i;
    }
    while (next >= 0 && count < MOMENTS) {
        const struct pz_face_pose *p = &s->faces[next]->pose;
        float most = 1; // closer than a degree is the same pose
        pick[next] = true;
        count++;
        next = -1;
        for (int64_t i = 0; i < n; i++) {
            if (!usable(s, i) || s->faces[i]->present != 1)
                continue;
            nearest[i] =
                fminf(nearest[i], hypotf(s->faces[i]->pose.yaw - p->yaw, s->faces[i]->pose.pitch - p->pitch));
            if (nearest[i] > most) {
                most = nearest[i];
                next = i;
            }
        }
    }
    pz_free(nearest);
    return count;
}

static enum pz_status fill(struct sight *s, bool whole, bool calm, struct pz_latent_store **store)
{
    const struct pz_film *film = s->film;
    const int64_t *frames = whole ? film->asked_frames : film->fit_frames;
    int64_t n = whole ? film->n_asked_frames : film->n_fit_frames, done = 0;
    enum pz_status st = gather(s, frames, n, calm);
    bool *pick = pz_calloc((size_t)n + 1, sizeof *pick);
    PZ_TRY(st);
    if (!pick) {
        st = pz_fail(s->job->log, PZ_ERR_NOMEM, "no memory for the film's faces");
        goto fail;
    }
    int64_t total = whole ? n : choose(s, n, pick);
    PZ_TRY(pz_latent_store_create(whole ? &pz_musetalk_frames : &pz_musetalk_moments, (int)total, s->job->log,
                                  store));
    for (int64_t i = 0; i < n; i++) {
        if (!(whole ? usable(s, i) : pick[i]))
            continue;
        PZ_TRY(look_at_one(s, frames, i, whole, *store));
        pz_job_progress(s->job, "fit", ++done, total);
    }
    if (!done)
        st = pz_fail(s->job->log, PZ_ERR_UNUSABLE, "musetalk: no face of 16 px or more to look at");
fail:
    pz_free(pick);
    return st;
}

enum pz_status pz_musetalk_look_at(const struct pz_film *film, const struct pz_musetalk_files *f,
                                   const struct pz_plan_params *pp, bool calm, const char *frames_path,
                                   const char *moments_path, const struct pz_job *job)
{
    enum pz_status st = PZ_OK;
    struct sight s = {.film = film, .job = job, .size = {.margin = f->v15 ? MARGIN_15 : 0}};
    struct pz_latent_store *store[2] = {NULL, NULL};
    bool whole = film->n_asked_frames > 0;
    char width[16], height[16];
    PZ_TRY(pz_musetalk_eye_open(f, pp, job, &s.eye));
    PZ_TRY(fill(&s, whole, calm, &store[!whole]));
    PZ_TRY(pz_latent_store_create(whole ? &pz_musetalk_moments : &pz_musetalk_frames, 0, job->log,
                                  &store[whole]));
    snprintf(width, sizeof width, "%d", s.size.width);
    snprintf(height, sizeof height, "%d", s.size.height);
    const char *const meta[][2] = {{"version", f->v15 ? "1.5" : "1.0"},
                                   {"width", width},
                                   {"height", height},
                                   {"smooth", calm ? "yes" : "no"}};
    PZ_TRY(pz_latent_store_save(store[0], frames_path, meta, 4, job->log));
    PZ_TRY(pz_latent_store_save(store[1], moments_path, meta, 4, job->log));
fail:
    pz_latent_store_free(&store[0]);
    pz_latent_store_free(&store[1]);
    forget(&s);
    return st;
}

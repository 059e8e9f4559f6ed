/*
 * Evaluate, the `closed` controls: the mouth of the nearest silent frame, held. Finds that frame; and for
 * engines that cannot be told to show a given mouth, is an engine itself that makes nothing: it cuts the
 * lower face out of the silent frame and lays it on the head by eyes and nose (which a turned head punishes,
 * so engines should hold it themselves).
 */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/order.h"
#include "image/affine.h"
#include "image/mask.h"
#include "image/warp.h"
#include "pipeline/evaluate_state.h"

#define SHORTEST_PAUSE (PZ_SPEECH_RATE * 12 / 100) /* silences below are closures of stops */
#define PAUSE_EDGE (PZ_SPEECH_RATE * 4 / 100)      /* the mouth still closes, or opens already */
#define FEATHER 10.0f
#define LARGEST_SIDE 1024

struct hold {
    struct pz_evaluate *e;
    struct pz_reader *reader;
    const struct pz_face *const *held; /* [n_held] borrowed from the span */
    struct pz_rgb rgb;
    float *alpha;
    size_t cap;
};

/* Is sample `t` (film) well inside a pause of this line, whose zero is `from`? */
static bool in_pause(const struct pz_phone_line *l, int64_t from, int64_t t)
{
    for (int i = 0; i < l->n; i++) {
        const struct pz_phone *p = &l->items[i];
        if (p->id == PZ_PH_SIL && p->end - p->start >= SHORTEST_PAUSE && t - from >= p->start + PAUSE_EDGE &&
            t - from < p->end - PAUSE_EDGE)
            return true;
    }
    return false;
}

static bool is_silent(const struct pz_evaluate *e, int64_t frame)
{
    int64_t t = (int64_t)(pz_film_frame_time(e->info, frame) * PZ_SPEECH_RATE);
    return t < e->fit_end ? in_pause(&e->fit_phones, 0, t) : in_pause(&e->held_phones, e->heard_from, t);
}

/* Median opening of the frames before the held-out part: recognised silence alone is no closed mouth (a
 * breath, a word the recogniser missed), so silent frames must also be closed by half. */
static enum pz_status closed_gap(const struct pz_evaluate *e, float *gap)
{
    int64_t n = 0;
    float *all = pz_calloc((size_t)e->frames[0] + 1, sizeof *all);
    if (!all)
        return PZ_ERR_NOMEM;
    for (int64_t i = 0; i < e->frames[0]; i++) {
        const struct pz_face *f = pz_face_track_at(e->track, i);
        if (f && f->present == 1)
            all[n++] = f->lip_gap;
    }
    qsort(all, (size_t)n, sizeof *all, pz_by_float);
    *gap = n ? all[n / 2] : 0;
    pz_free(all);
    return PZ_OK;
}

/* Nearest frame of [0, stop) to `frame` that is silent with lips no further apart than `gap`; with no such
 * frame in the film, the most closed one. −1 when there is no face at all. */
static int64_t nearest(const struct pz_evaluate *e, int64_t frame, int64_t stop, float gap)
{
    int64_t best = -1, most_closed = -1;
    float least = INFINITY;
    for (int64_t i = 0; i < stop; i++) {
        const struct pz_face *f = pz_face_track_at(e->track, i);
        if (!f || f->present != 1)
            continue;
        if (f->lip_gap < least) {
            least = f->lip_gap;
            most_closed = i;
        }
        if (f->lip_gap <= gap && (best < 0 || llabs(i - frame) < llabs(best - frame)) && is_silent(e, i))
            best = i;
    }
    return best >= 0 ? best : most_closed;
}

enum pz_status pz_evaluate_held(const struct pz_evaluate *e, bool any, const struct pz_face **held,
                                int64_t *source)
{
    int64_t stop = any ? pz_film_frame_at(e->info, (double)e->n_speech / PZ_SPEECH_RATE) : e->frames[0];
    float gap;
    enum pz_status st = closed_gap(e, &gap);
    if (st < PZ_OK)
        return st;
    for (int i = 0; i < e->n_held; i++) {
        source[i] = i > 0 && !any ? source[0] : nearest(e, e->frames[i], stop, gap);
        if (source[i] < 0)
            return pz_fail(e->p->job.log, PZ_ERR_UNUSABLE, "no frame with a face to hold the mouth of");
        held[i] = pz_face_track_at(e->track, source[i]);
    }
    return PZ_OK;
}

static void end(void **session)
{
    struct hold *h = *session;
    if (!h)
        return;
    pz_reader_close(&h->reader);
    pz_rgb_free(&h->rgb);
    pz_free(h->alpha);
    pz_free(h);
    *session = NULL;
}

static enum pz_status begin(void *engine, const struct pz_speech_span *span, const struct pz_job *job,
                            void **session)
{
    enum pz_status st = PZ_OK;
    struct pz_evaluate *e = engine;
    struct hold *h = pz_calloc(1, sizeof *h);
    void *v = h;
    *session = NULL;
    if (!h)
        return PZ_ERR_NOMEM;
    h->e = e;
    h->held = span->held;
    PZ_TRY(pz_reader_open(e->r->video, e->info, job, &h->reader));
    *session = h;
    return PZ_OK;
fail:
    end(&v);
    return st;
}

/* Map that lays the head of `from` on the head of `to`. */
static enum pz_status lay_on(const struct pz_face_topology *t, const struct pz_face *from,
                             const struct pz_face *to, struct pz_affine *map)
{
    const int ids[5] = {t->eye_outer[0], t->eye_outer[1], t->eye_inner[0], t->eye_inner[1], t->nose_tip};
    float a[5][2], b[5][2];
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < 2; k++) {
            a[i][k] = from->xyz[ids[i]][k];
            b[i][k] = to->xyz[ids[i]][k];
        }
    return pz_affine_fit_similarity((const float(*)[2])a, (const float(*)[2])b, NULL, 5, map);
}

/* Outline of the target's lower face, its box, and room for the patch. */
static enum pz_status frame_patch(struct hold *h, const struct pz_face *face, float (*outline)[2], int *n,
                                  int box[4])
{
    float lo[2] = {INFINITY, INFINITY}, hi[2] = {-INFINITY, -INFINITY};
    *n = pz_mouth_outline(face, pz_face_track_topology(h->e->track), outline);
    for (int i = 0; i < *n; i++)
        for (int k = 0; k < 2; k++) {
            lo[k] = fminf(lo[k], outline[i][k]);
            hi[k] = fmaxf(hi[k], outline[i][k]);
        }
    if (*n < 3 || !(hi[0] - lo[0] > 16 && hi[0] - lo[0] < LARGEST_SIDE && hi[1] - lo[1] > 16 &&
                    hi[1] - lo[1] < LARGEST_SIDE))
        return PZ_ERR_UNUSABLE;
    box[0] = (int)floorf(lo[0]);
    box[1] = (int)floorf(lo[1]);
    box[2] = (int)ceilf(hi[0]) - box[0];
    box[3] = (int)ceilf(hi[1]) - box[1];
    if (h->rgb.width != box[2] || h->rgb.height != box[3]) {
        pz_rgb_free(&h->rgb);
        enum pz_status st = pz_rgb_alloc(&h->rgb, box[2], box[3]);
        if (st < PZ_OK)
            return st;
    }
    size_t need = (size_t)box[2] * (size_t)box[3];
    if (need > h->cap) {
        pz_free(h->alpha);
        h->alpha = pz_calloc(need, sizeof *h->alpha);
        h->cap = h->alpha ? need : 0;
    }
    return h->alpha ? PZ_OK : PZ_ERR_NOMEM;
}

static enum pz_status draw(void *session, int i, const struct pz_picture *src, struct pz_patch *out)
{
    struct hold *h = session;
    const struct pz_face *face = h->e->faces[i], *held = h->held[i];
    enum pz_status st = PZ_OK;
    float outline[PZ_MASK_LOWER_FACE_MAX][2];
    int n, box[4];
    struct pz_affine lay, back, map;
    const struct pz_picture *pic;
    bool damaged;
    *out = (struct pz_patch){0};
    PZ_TRY(frame_patch(h, face, outline, &n, box));
    PZ_TRY(lay_on(pz_face_track_topology(h->e->track), held, face, &lay));
    PZ_TRY(pz_affine_invert(&lay, &back));
    struct pz_affine to_frame = {.a = 1, .c = (float)box[0], .e = 1, .f = (float)box[1]};
    map = pz_affine_chain(&to_frame, &back);
    PZ_TRY(pz_reader_frame(h->reader, held->frame, &pic, &damaged));
    pz_warp_picture_to_rgb(pic, &map, PZ_FILTER_CUBIC, PZ_BORDER_REPLICATE, &h->rgb);
    for (int k = 0; k < n; k++) {
        outline[k][0] -= (float)box[0];
        outline[k][1] -= (float)box[1];
    }
    PZ_TRY(pz_mask_polygon((const float(*)[2])outline, n, h->alpha, box[2], box[3], false));
    PZ_TRY(pz_mask_feather(h->alpha, box[2], box[3], FEATHER));
    *out =
        (struct pz_patch){.rgb = h->rgb, .alpha = h->alpha, .to_frame = to_frame, .lip_gap = held->lip_gap};
fail:
    return st;
}

const struct pz_engine_vtable pz_evaluate_hold = {.name = "closed", .begin = begin, .draw = draw, .end = end};

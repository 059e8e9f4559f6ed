/* Evaluate, one variant: sound in, made frames out, measured on the way. Knows engines by their vtable only.
 */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "image/color.h"
#include "image/filter.h"
#include "image/metrics.h"
#include "pipeline/evaluate_state.h"

#define CONTEXT (PZ_SPEECH_RATE / 2)    /* sound before the first held-out frame */
#define SHIFT (PZ_SPEECH_RATE * 8 / 10) /* displacement of the control */
#define SEAM_EVERY 3
#define BOX_FACTOR 1.5f

/** Work memory and sums of one variant. */
struct run {
    struct pz_evaluate *e;
    enum pz_evaluate_variant v;
    const struct pz_engine_vtable *engine;
    void *state;
    struct pz_reader *reader;
    bool hides; /* tracks for the engine, not for measuring */
    struct pz_face_tracker *tracker;
    struct pz_paste *paste;
    struct pz_lse *sync_made, *sync_true; /* NULL where not asked for */
    struct pz_picture made;
    struct pz_picture *ring; /* [ahead] copies of the frames fed, where the engine looks ahead */
    int ahead, ring_first, ring_n;
    double *times; /**< relative to the span's sound */
    struct pz_phone_line phones;
    const struct pz_face **held; /* controls that hold a mouth */
    int64_t *source;
    struct pz_plane truth_box, made_box;
    double psnr, ssim, sharp[2], seam, seconds;
    int64_t n_box, n_ssim, n_seam;
};

/* ---- what the engine hears ---- */

/** Phones of [from, from + n) of the held-out line, relative to from. */
static enum pz_status cut_phones(struct run *x, int64_t from, int64_t n)
{
    const struct pz_phone_line *l = &x->e->held_phones;
    for (int i = 0; i < l->n; i++) {
        struct pz_phone p = l->items[i];
        p.start += x->e->heard_from - from;
        p.end += x->e->heard_from - from;
        if (p.end <= 0 || p.start >= n)
            continue;
        p.start = p.start > 0 ? p.start : 0;
        p.end = p.end < n ? p.end : n;
        enum pz_status st = pz_phone_line_add(&x->phones, p);
        if (st < PZ_OK)
            return st;
    }
    return pz_phone_line_cover(&x->phones, 0, n);
}

static enum pz_status make_span(struct run *x, struct pz_speech_span *span)
{
    struct pz_evaluate *e = x->e;
    int64_t from = e->fit_end - CONTEXT, n = e->n_speech - from;
    enum pz_status st;
    x->times = pz_calloc((size_t)e->n_held, sizeof *x->times);
    if (!x->times)
        return PZ_ERR_NOMEM;
    for (int i = 0; i < e->n_held; i++)
        x->times[i] = e->times[i] - (double)from / PZ_SPEECH_RATE;
    *span = (struct pz_speech_span){.n_speech = n,
                                    .n_frames = e->n_held,
                                    .frame_times = x->times,
                                    .faces = e->seen,
                                    .topology = pz_face_track_topology(e->track),
                                    .blend_s = 0};
    int64_t at = x->v == PZ_EVALUATE_SHIFTED ? from - SHIFT : from;
    span->speech = e->speech + at;
    st = cut_phones(x, at, n);
    if (x->v == PZ_EVALUATE_CLOSED || x->v == PZ_EVALUATE_CLOSED_ANY) {
        x->held = pz_calloc((size_t)e->n_held, sizeof *x->held);
        x->source = pz_calloc((size_t)e->n_held, sizeof *x->source);
        if (st >= PZ_OK && (!x->held || !x->source))
            st = PZ_ERR_NOMEM;
        if (st >= PZ_OK)
            st = pz_evaluate_held(e, x->v == PZ_EVALUATE_CLOSED_ANY, x->held, x->source);
        span->held = x->held;
    }
    span->phones = x->phones.items;
    span->n_phones = x->phones.n;
    return st;
}

/* ---- pictures ---- */

static void box_rgb(const struct pz_picture *p, const struct pz_box *b, float *out)
{
    struct pz_color c = pz_color_of(p->matrix, p->full_range);
    size_t n = (size_t)(b->x1 - b->x0) * (b->y1 - b->y0);
    for (int y = b->y0; y < b->y1; y++) {
        const uint8_t *l = p->plane[0] + (size_t)y * p->stride[0];
        const uint8_t *u = p->plane[1] + (size_t)(y / 2) * p->stride[1],
                      *v = p->plane[2] + (size_t)(y / 2) * p->stride[2];
        for (int x = b->x0; x < b->x1; x++, out++) {
            float yy = l[x] - c.zero[0], cb = u[x / 2] - c.zero[1], cr = v[x / 2] - c.zero[2];
            for (int k = 0; k < 3; k++)
                out[k * n] =
                    fminf(fmaxf(c.to_rgb[k][0] * yy + c.to_rgb[k][1] * cb + c.to_rgb[k][2] * cr, 0), 1);
        }
    }
}

static enum pz_status measure_box(struct run *x, const struct pz_picture *truth, const struct pz_box *b)
{
    int w = b->x1 - b->x0, h = b->y1 - b->y0;
    size_t n = (size_t)w * h;
    enum pz_status st;
    double v;
    PZ_TRY(pz_plane_reserve(&x->truth_box, 3 * n));
    PZ_TRY(pz_plane_reserve(&x->made_box, 3 * n));
    box_rgb(truth, b, x->truth_box.data);
    box_rgb(&x->made, b, x->made_box.data);
    v = pz_metric_psnr(x->truth_box.data, x->made_box.data, 3 * n, 1);
    x->psnr += fmin(v, 100);
    x->n_box++;
    pz_box_luma(truth, b, x->truth_box.data);
    pz_box_luma(&x->made, b, x->made_box.data);
    x->sharp[0] += pz_laplacian_variance(x->truth_box.data, w, w, h);
    x->sharp[1] += pz_laplacian_variance(x->made_box.data, w, w, h);
    PZ_TRY(pz_metric_ssim(x->truth_box.data, x->made_box.data, w, h, 255, &v));
    x->ssim += v;
    x->n_ssim++;
fail:
    return st;
}

/** The true picture of held-out frame i; an engine that looks ahead is fed the next ones first. */
static enum pz_status true_frame(struct run *x, void *session, int i, const struct pz_picture **truth)
{
    struct pz_evaluate *e = x->e;
    enum pz_status st = PZ_OK;
    bool damaged;
    if (x->ahead <= 1)
        return pz_reader_frame(x->reader, e->frames[i], truth, &damaged);
    if (i >= x->ring_first + x->ring_n) {
        x->ring_first = i;
        for (x->ring_n = 0; x->ring_n < x->ahead && i + x->ring_n < e->n_held; x->ring_n++) {
            struct pz_picture *copy = &x->ring[x->ring_n];
            const struct pz_picture *p;
            PZ_TRY(pz_reader_frame(x->reader, e->frames[i + x->ring_n], &p, &damaged));
            if (!copy->block)
                PZ_TRY(pz_picture_alloc(copy, p->width, p->height));
            pz_picture_copy(copy, p);
            double t0 = pz_now();
            PZ_TRY(x->engine->feed(session, i + x->ring_n, copy));
            x->seconds += pz_now() - t0;
        }
    }
    *truth = &x->ring[i - x->ring_first];
fail:
    return st;
}

/** Held-out frame i with its new mouth into x->made, and to the tracker. */
static enum pz_status make_frame(struct run *x, void *session, int i, const struct pz_picture **truth,
                                 struct pz_patch *patch)
{
    struct pz_evaluate *e = x->e;
    enum pz_status st;
    PZ_TRY(true_frame(x, session, i, truth));
    if (!x->made.block)
        PZ_TRY(pz_picture_alloc(&x->made, (*truth)->width, (*truth)->height));
    pz_picture_copy(&x->made, *truth);
    double t0 = pz_now();
    PZ_TRY(x->engine->draw(session, i, *truth, patch));
    struct pz_paste_patch pp = {.rgb = &patch->rgb, .alpha = patch->alpha, .to_frame = patch->to_frame};
    PZ_TRY(pz_paste_draw(x->paste, &x->made, &pp, NULL, 1, e->frames[i], NULL));
    x->seconds += pz_now() - t0;
    PZ_TRY(pz_face_tracker_push(x->tracker, e->frames[i], &x->made));
fail:
    return st;
}

static enum pz_status one_frame(struct run *x, void *session, int i)
{
    struct pz_evaluate *e = x->e;
    enum pz_status st;
    const struct pz_picture *truth;
    struct pz_patch patch;
    struct pz_box box;
    PZ_TRY(make_frame(x, session, i, &truth, &patch));
    if (x->sync_made)
        PZ_TRY(pz_lse_push(x->sync_made, x->times[i], &x->made, e->faces[i]));
    if (x->sync_true)
        PZ_TRY(pz_lse_push(x->sync_true, x->times[i], truth, e->faces[i]));
    if (pz_mouth_box(e->judged[i], pz_face_track_topology(e->track), BOX_FACTOR, truth->width, truth->height,
                     &box))
        PZ_TRY(measure_box(x, truth, &box));
    if (i % SEAM_EVERY == 0) {
        double d;
        PZ_TRY(pz_metric_seam(&x->made, truth, patch.alpha, patch.rgb.width, patch.rgb.height,
                              &patch.to_frame, &d));
        if (!isnan(d)) {
            x->seam += d;
            x->n_seam++;
        }
    }
    if (x->v == PZ_EVALUATE_MODEL && e->strip)
        pz_strip_add(e->strip, i, truth, &x->made, e->faces[i], pz_face_track_topology(e->track));
fail:
    return st;
}

/* ---- tracks ---- */

/** Mouth points of a record, NaN when there is none. Returns how many. */
static int mouth_points(const struct pz_face_topology *t, const struct pz_face *f, float *out)
{
    int n = 0;
    for (int ring = 0; ring < 2; ring++) {
        const int *ids = ring ? t->inner_lip : t->outer_lip;
        for (int i = 0; i < (ring ? t->n_inner_lip : t->n_outer_lip); i++, n++)
            for (int k = 0; k < 2; k++)
                if (out)
                    out[2 * n + k] = f ? f->xyz[ids[i]][k] : NAN;
    }
    return n;
}

static double landmark_distance(const struct pz_face_topology *t, const struct pz_face *a,
                                const struct pz_face *b)
{
    float p[PZ_FACE_MAX_POINTS][2], q[PZ_FACE_MAX_POINTS][2];
    int mouth[PZ_FACE_MAX_POINTS], n = 0;
    const int anchors[5] = {t->eye_outer[0], t->eye_outer[1], t->eye_inner[0], t->eye_inner[1], t->nose_tip};
    for (int i = 0; i < t->n_points && i < PZ_FACE_MAX_POINTS; i++)
        for (int k = 0; k < 2; k++) {
            p[i][k] = a->xyz[i][k];
            q[i][k] = b->xyz[i][k];
        }
    for (int ring = 0; ring < 2; ring++)
        for (int i = 0; i < (ring ? t->n_inner_lip : t->n_outer_lip) && n < PZ_FACE_MAX_POINTS; i++)
            mouth[n++] = ring ? t->inner_lip[i] : t->outer_lip[i];
    return pz_metric_landmarks((const float(*)[2])p, (const float(*)[2])q, anchors, 5, mouth, n);
}

enum pz_status pz_evaluate_tracks(const struct pz_face_topology *topo, const int64_t *frames,
                                  const struct pz_face *const *truth, const struct pz_face *const *made,
                                  int n, struct pz_figures *f)
{
    enum pz_status st = PZ_OK;
    int m = mouth_points(topo, NULL, NULL);
    int64_t span = n > 0 ? frames[n - 1] - frames[0] + 1 : 0, matched = 0;
    float *gap = pz_calloc((size_t)n + 1, 2 * sizeof *gap);
    float *tracks = pz_calloc((size_t)(span + 1) * (size_t)m, 4 * sizeof *tracks);
    size_t half = (size_t)(span + 1) * (size_t)m * 2;
    double lmd = 0;
    if (!gap || !tracks) {
        st = PZ_ERR_NOMEM;
        goto fail;
    }
    for (size_t i = 0; i < 2 * half; i++)
        tracks[i] = NAN;
    f->n_lost = 0;
    for (int i = 0; i < n; i++) {
        bool both = truth[i] && made[i] && truth[i]->present && made[i]->present;
        gap[i] = both ? truth[i]->lip_gap : NAN;
        gap[n + i] = both ? made[i]->lip_gap : NAN;
        f->n_lost += !both;
        if (!both)
            continue;
        size_t row = (size_t)(frames[i] - frames[0]) * (size_t)m * 2;
        mouth_points(topo, truth[i], tracks + row);
        mouth_points(topo, made[i], tracks + half + row);
        double d = landmark_distance(topo, truth[i], made[i]);
        if (!isnan(d) && truth[i]->interocular > 1) {
            lmd += 100 * d / truth[i]->interocular;
            matched++;
        }
    }
    f->r_aperture = pz_metric_pearson(gap, gap + n, n);
    f->lmd = matched ? lmd / (double)matched : NAN;
    f->jitter = pz_metric_jitter(tracks + half, (int)span, m) / pz_metric_jitter(tracks, (int)span, m);
fail:
    pz_free(gap);
    pz_free(tracks);
    return st;
}

/* ---- SyncNet, when its weights are there: the model, the displaced control, and (once) the film itself ----
 */

static enum pz_status open_sync(struct run *x)
{
    struct pz_evaluate *e = x->e;
    int64_t from = e->fit_end - CONTEXT;
    enum pz_status st = PZ_OK;
    if (!e->lse || (x->v != PZ_EVALUATE_MODEL && x->v != PZ_EVALUATE_SHIFTED))
        return PZ_OK;
    // Both are held against the sound they shall be shown with, never against the one that drove them.
    st = pz_lse_create(e->lse, e->speech + from, e->n_speech - from, &e->p->job, &x->sync_made);
    if (st >= PZ_OK && x->v == PZ_EVALUATE_MODEL)
        st = pz_lse_create(e->lse, e->speech + from, e->n_speech - from, &e->p->job, &x->sync_true);
    return st;
}

static void read_sync(struct run *x, struct pz_figures *f)
{
    if (x->sync_made)
        f->has_sync = pz_lse_score(x->sync_made, &f->sync);
    if (x->sync_true)
        x->e->truth.has_sync = pz_lse_score(x->sync_true, &x->e->truth.sync);
}

/** End the tracking of x and open the chosen person's track as e->dir/`name`. */
static enum pz_status finish_track(struct run *x, const char *name, struct pz_face_track **track)
{
    struct pz_evaluate *e = x->e;
    enum pz_status st;
    int person;
    char *path = pz_path_join(e->dir, name), where[96];
    const float *box = e->faces[e->n_held / 2]->box; /* who was measured in the true film */
    snprintf(where, sizeof where, "%.1f,%.1f,%.1f,%.1f", (double)box[0], (double)box[1],
             (double)(box[2] - box[0]), (double)(box[3] - box[1]));
    st = path ? PZ_OK : PZ_ERR_NOMEM;
    PZ_TRY(st);
    PZ_TRY(pz_face_tracker_finish(x->tracker));
    PZ_TRY(pz_face_tracker_choose(x->tracker, &(struct pz_face_choice){.which = where}, &person));
    PZ_TRY(pz_face_tracker_write(x->tracker, person, path));
    PZ_TRY(pz_face_track_open(path, e->p->job.log, track));
fail:
    pz_free(path);
    return st;
}

static enum pz_status measure_tracks(struct run *x, struct pz_figures *f)
{
    struct pz_evaluate *e = x->e;
    enum pz_status st;
    struct pz_face_track *track = NULL;
    const struct pz_face **made = pz_calloc((size_t)e->n_held, sizeof *made);
    st = made ? PZ_OK : PZ_ERR_NOMEM;
    PZ_TRY(st);
    PZ_TRY(finish_track(x, "made.bin", &track));
    for (int i = 0; i < e->n_held; i++)
        made[i] = pz_face_track_at(track, e->frames[i]);
    PZ_TRY(pz_evaluate_tracks(pz_face_track_topology(e->track), e->frames, e->judged, made, e->n_held, f));
fail:
    pz_face_track_close(&track);
    pz_free(made);
    return st;
}

static double mean(double sum, int64_t n)
{
    return n ? sum / (double)n : NAN;
}

/** What a run needs before its first frame. */
static enum pz_status open_run(struct run *x, struct pz_speech_span *span, void **session)
{
    struct pz_evaluate *e = x->e;
    struct pz_paste_params params = PZ_PASTE_PARAMS_DEFAULT;
    const struct pz_job *job = &e->p->job;
    enum pz_status st;
    params.seed = job->seed;
    PZ_TRY(pz_paste_create(&params, &x->paste));
    const struct pz_face_tracker_params faces = x->hides ? pz_pipeline_faces(e->p) : pz_evaluate_judge(e);
    PZ_TRY(pz_face_tracker_create(&faces, job, &x->tracker));
    PZ_TRY(pz_reader_open(e->r->video, e->info, job, &x->reader));
    PZ_TRY(make_span(x, span));
    double t0 = pz_now();
    st = x->engine->begin(x->state, span, job, session);
    if (st == PZ_ERR_UNSUPPORTED && span->held) {
        x->engine = &pz_evaluate_hold;
        x->state = e;
        st = x->engine->begin(x->state, span, job, session);
    }
    x->seconds += pz_now() - t0;
    PZ_TRY(st);
    x->ahead = pz_engine_ahead(x->engine, x->state, e->info->width, e->info->height);
    x->ring = pz_calloc((size_t)x->ahead, sizeof *x->ring);
    st = x->ring ? PZ_OK : PZ_ERR_NOMEM;
fail:
    return st;
}

static void close_run(struct run *x, void **session, enum pz_status st)
{
    if (st == PZ_ERR_NOMEM)
        pz_fail(x->e->p->job.log, st, "no memory to evaluate");
    if (*session)
        x->engine->end(session);
    pz_lse_destroy(&x->sync_made);
    pz_lse_destroy(&x->sync_true);
    pz_reader_close(&x->reader);
    pz_face_tracker_destroy(&x->tracker);
    pz_paste_destroy(&x->paste);
    pz_picture_free(&x->made);
    for (int i = 0; x->ring && i < x->ahead; i++)
        pz_picture_free(&x->ring[i]);
    pz_free(x->ring);
    pz_phone_line_free(&x->phones);
    pz_free(x->times);
    pz_free(x->held);
    pz_free(x->source);
    pz_free(x->truth_box.data);
    pz_free(x->made_box.data);
}

enum pz_status pz_evaluate_hide(struct pz_evaluate *e)
{
    struct run x = {.e = e, .v = PZ_EVALUATE_CLOSED, .engine = e->engine, .state = e->state, .hides = true};
    const struct pz_job *job = &e->p->job;
    struct pz_speech_span span;
    void *session = NULL;
    const struct pz_picture *picture;
    struct pz_patch patch;
    enum pz_status st;
    bool damaged;
    const int64_t first = pz_film_frame_at(e->info, (double)e->fit_end / PZ_SPEECH_RATE);
    memcpy(e->seen, e->faces, (size_t)e->n_held * sizeof(const struct pz_face *));
    PZ_TRY(open_run(&x, &span, &session));
    for (int64_t i = 0; i < first; i++) {
        if (pz_job_cancelled(job)) {
            st = PZ_ERR_CANCELLED;
            goto fail;
        }
        PZ_TRY(pz_reader_frame(x.reader, i, &picture, &damaged));
        PZ_TRY(pz_face_tracker_push(x.tracker, i, picture));
        pz_job_progress(job, "hide", i + 1, first + e->n_held);
    }
    for (int i = 0; i < e->n_held; i++) {
        if (pz_job_cancelled(job)) {
            st = PZ_ERR_CANCELLED;
            goto fail;
        }
        PZ_TRY(make_frame(&x, session, i, &picture, &patch));
        pz_job_progress(job, "hide", first + i + 1, first + e->n_held);
    }
    PZ_TRY(finish_track(&x, "hidden.bin", &e->hidden));
    for (int i = 0; i < e->n_held; i++) {
        const struct pz_face *f = pz_face_track_at(e->hidden, e->frames[i]);
        if (f && f->present)
            e->seen[i] = f;
    }
fail:
    close_run(&x, &session, st);
    return st;
}

enum pz_status pz_evaluate_run(struct pz_evaluate *e, enum pz_evaluate_variant v, struct pz_figures *f)
{
    struct run x = {.e = e, .v = v, .engine = e->engine, .state = e->state};
    const struct pz_job *job = &e->p->job;
    struct pz_speech_span span;
    void *session = NULL;
    enum pz_status st;
    *f = (struct pz_figures){.n_frames = e->n_held};
    PZ_TRY(open_run(&x, &span, &session));
    PZ_TRY(open_sync(&x));
    for (int i = 0; i < e->n_held; i++) {
        if (pz_job_cancelled(job)) {
            st = PZ_ERR_CANCELLED;
            goto fail;
        }
        PZ_TRY(one_frame(&x, session, i));
        pz_job_progress(job, "evaluate", (int64_t)v * e->n_held + i + 1,
                        (int64_t)PZ_EVALUATE_VARIANTS * e->n_held);
    }
    PZ_TRY(measure_tracks(&x, f));
    read_sync(&x, f);
    f->psnr = mean(x.psnr, x.n_box);
    f->ssim = mean(x.ssim, x.n_ssim);
    f->sharpness = x.sharp[0] > 0 ? x.sharp[1] / x.sharp[0] : NAN;
    f->seam = mean(x.seam, x.n_seam);
    f->fps = x.seconds > 0 ? e->n_held / x.seconds : NAN;
fail:
    close_run(&x, &session, st);
    return st;
}

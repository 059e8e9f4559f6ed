/* Evaluate, two films: a render against its template. Which frames were touched, and how time runs, comes
 * from the report beside the render (OUT.json); without one the films must have the same number of frames,
 * and a frame counts as touched where its mouth differs much more than the rest of the picture does. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "image/affine.h"
#include "image/mask.h"
#include "image/metrics.h"
#include "pipeline/evaluate_state.h"
#include "pipeline/qc.h"
#include "pipeline/qc_state.h"

#define PATCH 256
#define FEATHER 10.0f
#define MAX_REPORT ((size_t)64 << 20)
#define MOUTH_CHANGED                                                                                        \
    36.0 /* mean squared difference of luma in the mouth box above which it is another mouth */
#define MOUTH_OVER_REST 4 /* and so many times that of the rest */

/** A stretch in which output and template time run differently. */
struct bend {
    double in0, in1, out0, out1;
};

struct pair {
    struct pz_pipeline *p;
    const struct pz_evaluate_request *r;
    struct pz_film_info *a, *b; /**< template, render */
    json_t *report;             /**< NULL when there is none */
    struct bend *bend;
    size_t n_bends;
    struct pz_out_frame *frames; /**< [b->n_frames] */
    struct pz_face_track *track, *made_track;
    struct pz_rgb patch; /**< only its size is used: the figures need a geometry, not a colour */
    float *alpha;
    struct pz_qc *qc;
};

static void close_pair(struct pair *x)
{
    pz_qc_destroy(&x->qc);
    pz_face_track_close(&x->track);
    pz_face_track_close(&x->made_track);
    pz_film_info_free(&x->a);
    pz_film_info_free(&x->b);
    pz_rgb_free(&x->patch);
    pz_free(x->alpha);
    pz_free(x->frames);
    pz_free(x->bend);
    json_decref(x->report);
}

/* ---- which frame is which ---- */

static enum pz_status read_report(struct pair *x)
{
    const char *dot = strrchr(x->r->made, '.'), *slash = strrchr(x->r->made, '/');
    int stem = dot && (!slash || dot > slash + 1) ? (int)(dot - x->r->made) : (int)strlen(x->r->made);
    char *path = pz_asprintf("%.*s.json", stem, x->r->made), *text = NULL;
    size_t n = 0, i = 0;
    json_t *slot = NULL;
    enum pz_status st = path ? PZ_OK : PZ_ERR_NOMEM;
    if (st == PZ_OK && pz_file_exists(path)) {
        st = pz_file_read(x->p->job.log, path, MAX_REPORT, &text, &n);
        if (st == PZ_OK) {
            json_error_t why;
            x->report = json_loadb(text, n, 0, &why);
            if (!json_is_object(x->report))
                st = pz_fail(x->p->job.log, PZ_ERR_FORMAT, "%s: not a report: %s", path, why.text);
        }
    }
    json_t *slots = json_object_get(x->report, "slots");
    if (st == PZ_OK && json_is_array(slots)) {
        x->bend = pz_calloc(json_array_size(slots) + 1, sizeof *x->bend);
        if (!x->bend)
            st = PZ_ERR_NOMEM;
        else
            json_array_foreach(slots, i, slot)
            {
                struct bend b = {json_number_value(json_object_get(slot, "start_s")),
                                 json_number_value(json_object_get(slot, "end_s")),
                                 json_number_value(json_object_get(slot, "out_start_s")),
                                 json_number_value(json_object_get(slot, "out_end_s"))};
                if (b.in1 > b.in0 && b.out1 > b.out0)
                    x->bend[x->n_bends++] = b;
            }
    }
    pz_free(text);
    pz_free(path);
    return st;
}

/** Template time of an output time. */
static double to_template(const struct pair *x, double t)
{
    double shift = 0;
    for (size_t i = 0; i < x->n_bends; i++) {
        const struct bend *b = &x->bend[i];
        if (t < b->out0)
            break;
        if (t < b->out1)
            return b->in0 + (t - b->out0) * (b->in1 - b->in0) / (b->out1 - b->out0);
        shift = b->in1 - b->out1;
    }
    return t + shift;
}

static enum pz_status map_frames(struct pair *x)
{
    int64_t n = x->b->n_frames;
    struct pz_log *log = x->p->job.log;
    if (x->a->width != x->b->width || x->a->height != x->b->height)
        return pz_fail(log, PZ_ERR_INPUT, "%s is %d x %d, %s is %d x %d: not the same film", x->r->video,
                       x->a->width, x->a->height, x->r->made, x->b->width, x->b->height);
    if (x->a->n_frames != n && !x->report)
        return pz_fail(log, PZ_ERR_INPUT, "%s has %lld frames, %s has %lld, and no report says how time runs",
                       x->r->video, (long long)x->a->n_frames, x->r->made, (long long)n);
    x->frames = pz_calloc((size_t)n + 1, sizeof *x->frames);
    if (!x->frames)
        return PZ_ERR_NOMEM;
    for (int64_t j = 0; j < n; j++) {
        int64_t src = j;
        if (x->a->n_frames != n) {
            double t = to_template(x, pz_film_frame_time(x->b, j));
            src = pz_film_frame_at(x->a, t);
            src = src >= x->a->n_frames ? x->a->n_frames - 1 : src;
            if (src > 0 && t - pz_film_frame_time(x->a, src - 1) < pz_film_frame_time(x->a, src) - t)
                src--;
        }
        x->frames[j] = (struct pz_out_frame){
            .src = src,
            .pts = pz_rescale(x->b->frames[j].pts, x->b->time_base, x->a->time_base),
            .duration = pz_rescale(x->b->frames[j].duration, x->b->time_base, x->a->time_base)};
    }
    return PZ_OK;
}

static bool touched_by_report(struct pair *x)
{
    size_t i = 0;
    json_t *slot = NULL, *slots = json_object_get(x->report, "slots");
    if (!json_is_array(slots))
        return false;
    json_array_foreach(slots, i, slot)
    {
        json_t *f = json_object_get(slot, "frames");
        int64_t first = json_integer_value(json_array_get(f, 0)),
                last = json_integer_value(json_array_get(f, 1));
        if (json_array_size(f) != 2)
            continue;
        for (int64_t j = first < 0 ? 0 : first; j <= last && j < x->b->n_frames; j++)
            x->frames[j].touched = 1;
    }
    return true;
}

/* ---- faces ---- */

static enum pz_status track_film(struct pair *x, const char *path, const struct pz_film_info *info,
                                 struct pz_face_track **track)
{
    struct pz_film_faces found;
    struct pz_frame_span all = {0, info->n_frames};
    char name[] = "/tmp/personalize-faces-XXXXXX";
    int fd = mkstemp(name);
    if (fd < 0)
        return pz_fail(x->p->job.log, PZ_ERR_WRITE, "cannot make a temporary file");
    close(fd);
    const struct pz_face_tracker_params faces = pz_pipeline_faces(x->p);
    enum pz_status st = pz_film_find_faces(path, info, &all, 1, x->r->face, &faces, &x->p->job, name, &found);
    if (st == PZ_OK)
        st = pz_face_track_open(name, x->p->job.log, track);
    unlink(name); /* an open track keeps its mapping */
    return st;
}

/** Lay a 256-px patch over the lower face and draw its mask. False when the face is degenerate. */
static enum pz_status lay_patch(struct pair *x, const struct pz_face *face, struct pz_paste_patch *patch,
                                bool *ok)
{
    float outline[PZ_MASK_LOWER_FACE_MAX][2], x0 = INFINITY, y0 = INFINITY, x1 = -INFINITY, y1 = -INFINITY;
    int n = pz_mouth_outline(face, pz_face_track_topology(x->track), outline);
    *ok = false;
    if (n < 3)
        return PZ_OK;
    for (int i = 0; i < n; i++) {
        x0 = fminf(x0, outline[i][0]);
        x1 = fmaxf(x1, outline[i][0]);
        y0 = fminf(y0, outline[i][1]);
        y1 = fmaxf(y1, outline[i][1]);
    }
    float side = 1.15f * fmaxf(x1 - x0, y1 - y0), cx = 0.5f * (x0 + x1), cy = 0.5f * (y0 + y1),
          s = side / PATCH;
    patch->rgb = &x->patch;
    patch->alpha = x->alpha;
    patch->occluder = NULL;
    patch->to_frame = (struct pz_affine){s, 0, cx - side / 2, 0, s, cy - side / 2};
    for (int i = 0; i < n; i++) {
        outline[i][0] = (outline[i][0] - patch->to_frame.c) / s;
        outline[i][1] = (outline[i][1] - patch->to_frame.f) / s;
    }
    enum pz_status st;
    PZ_TRY(pz_mask_polygon((const float(*)[2])outline, n, x->alpha, PATCH, PATCH, false));
    PZ_TRY(pz_mask_feather(x->alpha, PATCH, PATCH, FEATHER));
    *ok = true;
fail:
    return st;
}

/** Is this another mouth, judged by the pictures alone? */
static bool mouth_differs(struct pair *x, const struct pz_picture *p, const struct pz_picture *q,
                          const struct pz_face *face)
{
    struct pz_box b;
    if (!pz_mouth_box(face, pz_face_track_topology(x->track), 1.2f, p->width, p->height, &b))
        return false;
    double area = (double)(b.x1 - b.x0) * (b.y1 - b.y0), whole = (double)p->width * p->height;
    double mouth = pz_metric_luma_sse(p, q, b.x0, b.y0, b.x1, b.y1),
           all = pz_metric_luma_sse(p, q, 0, 0, p->width, p->height);
    double rest = (all - mouth) / (whole - area);
    return mouth / area > MOUTH_CHANGED && mouth / area > MOUTH_OVER_REST * rest;
}

/* ---- walk ---- */

static enum pz_status walk(struct pair *x, bool by_report)
{
    enum pz_status st;
    struct pz_reader *ra = NULL, *rb = NULL;
    PZ_TRY(pz_reader_open(x->r->video, x->a, &x->p->job, &ra));
    PZ_TRY(pz_reader_open(x->r->made, x->b, &x->p->job, &rb));
    for (int64_t j = 0; j < x->b->n_frames; j++) {
        const struct pz_picture *p, *q;
        const struct pz_face *face = pz_face_track_at(x->track, x->frames[j].src);
        struct pz_paste_patch patch;
        bool bad, ok;
        if (pz_job_cancelled(&x->p->job)) {
            st = PZ_ERR_CANCELLED;
            goto fail;
        }
        pz_job_progress(&x->p->job, "evaluate", j + 1, x->b->n_frames);
        if (!face || !face->present || (by_report && !x->frames[j].touched))
            continue;
        PZ_TRY(pz_reader_frame(ra, x->frames[j].src, &p, &bad));
        PZ_TRY(pz_reader_frame(rb, j, &q, &bad));
        if (!by_report)
            x->frames[j].touched = mouth_differs(x, p, q, face);
        if (!x->frames[j].touched)
            continue;
        PZ_TRY(lay_patch(x, face, &patch, &ok));
        if (!ok)
            continue;
        PZ_TRY(pz_qc_before(x->qc, j, p, face, &patch));
        PZ_TRY(pz_qc_after(x->qc, j, q, face, &patch));
    }
fail:
    pz_reader_close(&ra);
    pz_reader_close(&rb);
    return st;
}

static enum pz_status track_figures(struct pair *x, struct pz_figures *f)
{
    int64_t n = x->b->n_frames;
    int k = 0;
    int64_t *frames = pz_calloc((size_t)n + 1, sizeof *frames);
    const struct pz_face **both = pz_calloc((size_t)n + 1, 2 * sizeof *both);
    enum pz_status st = PZ_ERR_NOMEM;
    if (frames && both) {
        for (int64_t j = 0; j < n; j++) {
            if (!x->frames[j].touched)
                continue;
            frames[k] = j;
            both[k] = pz_face_track_at(x->track, x->frames[j].src);
            both[n + k++] = pz_face_track_at(x->made_track, j);
        }
        st = pz_evaluate_tracks(pz_face_track_topology(x->track), frames, both, both + n, k, f);
        f->n_frames = k;
    }
    pz_free(frames);
    pz_free(both);
    return st;
}

static enum pz_status answer(struct pair *x, const struct pz_figures *f, bool by_report, char **json)
{
    json_t *figures = pz_qc_json(x->qc);
    if (!figures)
        return PZ_ERR_NOMEM;
    json_object_del(figures, "readback"); /* belongs to the render, which knows the word */
    json_object_del(figures, "silence_opening");
    json_object_set_new(figures, "jitter_ratio", pz_qc_number(f->jitter, 1e3));
    json_object_set_new(figures, "frames_touched", json_integer(f->n_frames));
    json_object_set_new(figures, "frames_lost", json_integer(f->n_lost));
    *json = pz_evaluate_text(json_pack("{s:s, s:s, s:s, s:o}", "clip", pz_evaluate_base(x->r->video), "made",
                                       pz_evaluate_base(x->r->made), "touched_known_from",
                                       by_report ? "report" : "pictures", "figures", figures));
    return *json ? PZ_OK : PZ_ERR_NOMEM;
}

enum pz_status pz_evaluate_pair(struct pz_pipeline *p, const struct pz_evaluate_request *r, char **json)
{
    enum pz_status st;
    struct pair x = {.p = p, .r = r};
    struct pz_figures f = {0};
    PZ_TRY(pz_film_info_read(r->video, &p->job, &x.a));
    PZ_TRY(pz_film_info_read(r->made, &p->job, &x.b));
    PZ_TRY(read_report(&x));
    PZ_TRY(map_frames(&x));
    bool by_report = touched_by_report(&x);
    PZ_TRY(pz_rgb_alloc(&x.patch, PATCH, PATCH));
    x.alpha = pz_calloc((size_t)PATCH * PATCH, sizeof *x.alpha);
    st = x.alpha ? PZ_OK : PZ_ERR_NOMEM;
    PZ_TRY(st);
    PZ_TRY(track_film(&x, r->video, x.a, &x.track));
    PZ_TRY(track_film(&x, r->made, x.b, &x.made_track));
    PZ_TRY(pz_qc_create(x.a, pz_face_track_topology(x.track), &x.qc));
    PZ_TRY(walk(&x, by_report));
    PZ_TRY(track_figures(&x, &f));
    PZ_TRY(pz_qc_finish(x.qc, r->video, r->made, x.frames, x.b->n_frames, &p->job));
    PZ_TRY(answer(&x, &f, by_report, json));
fail:
    if (st == PZ_ERR_NOMEM)
        pz_fail(p->job.log, st, "no memory to compare '%s' with '%s'", r->video, r->made);
    close_pair(&x);
    return st;
}

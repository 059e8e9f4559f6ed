/*
 * Render: one customer's film. Says the new words, lays out the output's time, lets the engine make the
 * mouths of the touched frames, pastes them, and has media splice the result. Streams: one frame and one slot
 * at a time. Does not analyse the film (prepare did) and does not judge the result (qc does).
 */
#include "pipeline/render.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "pipeline/provenance.h"

#define MARGIN_S 0.12    /* cross-dissolve on both sides of a slot */
#define MATCH_SIGMA 2.0f /* frames, smoothing of the colour match */

void pz_render_warn(struct pz_render *x, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    pz_warn(x->p->job.log, "%s", text);
    if (json_array_size(x->warnings) < PZ_RENDER_MAX_WARNINGS)
        json_array_append_new(x->warnings, json_string(text));
}

double pz_render_seconds(const struct pz_render *x, int64_t sample)
{
    return (double)sample / x->timeline.rate;
}

/* ---- sound ---- */

/* Output sound: new words from their buffers, everything else sample for sample from the film. */
enum pz_status pz_render_sound(const struct pz_render *x, const struct pz_tap *film, int64_t at, float *out,
                               int64_t n)
{
    const struct pz_timeline *tl = &x->timeline;
    int ch = film->channels;
    while (n > 0) {
        int e = pz_timeline_edit_at(tl, at);
        int64_t run = n;
        if (e >= 0) {
            const struct pz_dub *d = &x->works[x->edit_work[e]].dub;
            int64_t off = at - tl->out_start[e];
            if (run > tl->edits[e].out_len - off)
                run = tl->edits[e].out_len - off;
            memcpy(out, d->sound + off * ch, (size_t)(run * ch) * sizeof *out);
        } else {
            for (int k = 0; k < tl->n_edits; k++)
                if (tl->out_start[k] > at && run > tl->out_start[k] - at)
                    run = tl->out_start[k] - at;
            enum pz_status st = film->read(film->user, pz_timeline_to_input(tl, at), out, run);
            if (st < PZ_OK)
                return st;
        }
        at += run;
        out += run * ch;
        n -= run;
    }
    return PZ_OK;
}

static enum pz_status fill_sound(void *user, int64_t at, float *out, int64_t n)
{
    struct pz_render *x = user;
    return pz_render_sound(x, &x->sound.tap, at, out, n);
}

/* ---- layout ---- */

static enum pz_status lay_out(struct pz_render *x)
{
    enum pz_status st = PZ_OK;
    struct pz_log *log = x->p->job.log;
    int rate = x->sound.tap.rate, n = 0;
    struct pz_edit *edits = pz_calloc((size_t)x->n_works + 1, sizeof *edits);
    struct pz_touch *touches = pz_calloc((size_t)x->n_works + 1, sizeof *touches);
    x->edit_work = pz_calloc((size_t)x->n_works + 1, sizeof *x->edit_work);
    if (!edits || !touches || !x->edit_work) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for the timeline");
        goto fail;
    }
    for (int i = 0; i < x->n_works; i++) {
        const struct pz_fit_plan *f = &x->works[i].dub.plan;
        if (x->works[i].kept)
            continue;
        x->edit_work[n] = i;
        edits[n++] = (struct pz_edit){f->a, f->b, f->n};
    }
    PZ_TRY(pz_timeline_init(&x->timeline, rate, x->sound.tap.n, edits, n, log));
    int64_t margin = (int64_t)(MARGIN_S * rate);
    int n_touch = 0;
    for (int e = 0; e < n; e++) {
        struct pz_slot_work *w = &x->works[x->edit_work[e]];
        w->out_a = x->timeline.out_start[e];
        if (x->engine && !w->skipped)
            touches[n_touch++] = (struct pz_touch){w->out_a - margin, w->out_a + w->dub.plan.n + margin};
    }
    st = pz_timeline_frames(&x->timeline, x->t->info, touches, n_touch, &x->frames, &x->n_frames);
    if (st < PZ_OK)
        pz_fail(log, st, "no memory for the output's frames");
fail:
    pz_free(edits);
    pz_free(touches);
    return st;
}

/* How much of the new picture shows at output time `t` (samples): 1 inside the slot, ramps over the margins.
 */
static float mix_at(const struct pz_slot_work *w, int64_t t, int rate)
{
    double margin = MARGIN_S * rate, a = (double)(t - w->out_a) / margin + 1,
           b = ((double)(w->out_a + w->dub.plan.n) - (double)t) / margin + 1;
    double u = fmin(fmin(a, b), 1);
    u = u < 0 ? 0 : u;
    return (float)(u * u * (3 - 2 * u));
}

static int64_t frame_sample(const struct pz_render *x, int64_t i)
{
    return pz_rescale(x->frames[i].pts, x->t->info->time_base, (struct pz_rational){1, x->timeline.rate});
}

/* The work a touched frame belongs to: the one that shows most of its picture. −1 = none. */
static int work_of_frame(const struct pz_render *x, int64_t i)
{
    int64_t t = frame_sample(x, i);
    int best = -1;
    float most = 0;
    for (int k = 0; k < x->n_works; k++) {
        const struct pz_slot_work *w = &x->works[k];
        if (w->kept || w->skipped)
            continue;
        float m = mix_at(w, t, x->timeline.rate);
        if (m > most) {
            most = m;
            best = k;
        }
    }
    return best;
}

/* Rows of the engine's span: the touched frames that have a face. */
static enum pz_status gather_rows(struct pz_render *x)
{
    for (int k = 0; k < x->n_works; k++)
        x->works[k].first = x->works[k].last = -1;
    for (int64_t i = 0; i < x->n_frames; i++) {
        int k = x->frames[i].touched ? work_of_frame(x, i) : -1;
        if (k < 0) {
            x->frames[i].touched = 0;
            continue;
        }
        if (x->works[k].first < 0)
            x->works[k].first = i;
        x->works[k].last = i + 1;
    }
    for (int k = 0; k < x->n_works; k++) {
        struct pz_slot_work *w = &x->works[k];
        size_t n = (size_t)(w->last - w->first);
        if (w->first < 0)
            continue;
        w->times = pz_calloc(n, sizeof *w->times);
        w->faces = pz_calloc(n, sizeof *w->faces);
        w->row = pz_calloc(n, sizeof *w->row);
        if (!w->times || !w->faces || !w->row)
            return pz_fail(x->p->job.log, PZ_ERR_NOMEM, "no memory for a slot's frames");
        for (int64_t i = w->first; i < w->last; i++) {
            const struct pz_face *f = pz_face_track_at(x->t->track, x->frames[i].src);
            w->row[i - w->first] = -1;
            if (!f || !f->present) {
                x->frames[i].touched = 0;
                continue;
            }
            w->faces[w->n_rows] = f;
            w->times[w->n_rows] = pz_seconds(x->frames[i].pts, x->t->info->time_base) -
                                  (double)w->out_a / x->timeline.rate +
                                  (double)w->dub.context_before / PZ_SPEECH_RATE;
            w->row[i - w->first] = w->n_rows++;
        }
        if (w->n_rows < (int)n)
            pz_render_warn(x, "slot '%s': %d of %d frames have no face and stay as they are", w->name,
                           (int)n - w->n_rows, (int)n);
    }
    return PZ_OK;
}

/* Slots whose picture cannot be made keep it; the sound is replaced all the same. */
static void skip_unusable(struct pz_render *x)
{
    for (int k = 0; k < x->n_works; k++) {
        struct pz_slot_work *w = &x->works[k];
        const struct pz_fit_plan *f = &w->dub.plan;
        if (w->kept || !x->engine)
            continue;
        double a = (double)f->a / x->sound.tap.rate, b = (double)f->b / x->sound.tap.rate;
        struct pz_face_verdict v = pz_face_track_verdict(x->t->track, pz_film_frame_at(x->t->info, a),
                                                         pz_film_frame_at(x->t->info, b) + 1);
        if (v.grade == PZ_FACE_UNUSABLE) {
            w->skipped = "face not usable";
            pz_render_warn(x, "slot '%s' at %.2f s: only the sound is replaced, the face is not usable (%s)",
                           w->name, a, v.reason);
        }
    }
}

/* ---- pictures ---- */

static void close_session(struct pz_render *x)
{
    if (x->current >= 0 && x->works[x->current].session)
        x->engine->end(&x->works[x->current].session);
    x->current = -1;
}

static enum pz_status open_session(struct pz_render *x, int k)
{
    struct pz_slot_work *w = &x->works[k];
    struct pz_speech_span span = {.speech = w->dub.speech,
                                  .n_speech = w->dub.n_speech,
                                  .phones = w->dub.phones.items,
                                  .n_phones = w->dub.phones.n,
                                  .n_frames = w->n_rows,
                                  .frame_times = w->times,
                                  .faces = w->faces,
                                  .topology = pz_face_track_topology(x->t->track),
                                  .blend_s = MARGIN_S};
    close_session(x);
    pz_paste_reset(x->paste);
    enum pz_status st = x->engine->begin(x->t->engine_state, &span, &x->p->job, &w->session);
    if (st >= PZ_OK)
        x->current = k;
    return st;
}

/* Is there silence in the new sound at this time (seconds from speech[0])? */
static bool silent_at(const struct pz_dub *d, double seconds)
{
    int64_t t = (int64_t)(seconds * PZ_SPEECH_RATE);
    for (int i = 0; i < d->phones.n; i++)
        if (t >= d->phones.items[i].start && t < d->phones.items[i].end)
            return d->phones.items[i].id == PZ_PH_SIL;
    return false;
}

/* Shown by splice before it is made. Frames of another slot wait until this one's are drawn. */
static enum pz_status coming(void *user, int64_t i, const struct pz_picture *pic)
{
    struct pz_render *x = user;
    enum pz_status st = PZ_OK;
    int k = work_of_frame(x, i);
    struct pz_slot_work *w = &x->works[k];
    int row = w->row[i - w->first];
    double t0 = pz_now();
    if (row < 0)
        return PZ_OK;
    if (x->current != k && x->current >= 0 && x->n_shown > 0)
        return PZ_END;
    if (x->current != k)
        PZ_TRY(open_session(x, k));
    PZ_TRY(x->engine->feed(w->session, row, pic));
    x->n_shown++;
    x->seconds.lipsync += pz_now() - t0;
fail:
    return st;
}

/* Where the film stays on top of the patch: on frames whose mouth is covered. */
static enum pz_status keep_cover(struct pz_render *x, int64_t frame, const struct pz_picture *pic,
                                 const struct pz_face *face, struct pz_paste_patch *pp)
{
    enum pz_status st = PZ_OK;
    if (!pz_face_occluder_wanted(x->t->track, frame))
        return PZ_OK;
    if (!x->occluder)
        PZ_TRY(pz_face_occluder_create(x->p->models_dir, x->p->job.log, &x->occluder));
    PZ_TRY(pz_face_occluder_look(x->occluder, pic, (const float(*)[3])face->xyz, &pp->to_frame,
                                 pp->rgb->width, pp->rgb->height, x->p->job.pool, &pp->occluder));
fail:
    return st;
}

static enum pz_status make_picture(void *user, int64_t i, struct pz_picture *pic)
{
    struct pz_render *x = user;
    enum pz_status st = PZ_OK;
    int k = work_of_frame(x, i);
    struct pz_slot_work *w = &x->works[k];
    int row = w->row[i - w->first];
    double t0 = pz_now();
    if (row < 0)
        return PZ_OK;
    if (x->current != k)
        PZ_TRY(open_session(x, k));
    x->n_shown = x->n_shown > 0 ? x->n_shown - 1 : 0;
    struct pz_patch patch;
    PZ_TRY(x->engine->draw(w->session, row, pic, &patch));
    double t1 = pz_now();
    struct pz_paste_patch pp = {.rgb = &patch.rgb, .alpha = patch.alpha, .to_frame = patch.to_frame};
    PZ_TRY(keep_cover(x, x->frames[i].src, pic, w->faces[row], &pp));
    PZ_TRY(pz_qc_before(x->qc, i, pic, w->faces[row], &pp));
    PZ_TRY(pz_paste_draw(x->paste, pic, &pp, NULL, mix_at(w, frame_sample(x, i), x->timeline.rate), i, NULL));
    PZ_TRY(pz_qc_after(x->qc, i, pic, w->faces[row], &pp));
    pz_qc_opening(x->qc, patch.lip_gap, silent_at(&w->dub, w->times[row]));
    x->seconds.lipsync += t1 - t0;
    x->seconds.composite += pz_now() - t1;
fail:
    return st;
}

/* ---- run ---- */

static enum pz_status open_engine(struct pz_render *x)
{
    enum pz_status st = PZ_OK;
    const char *name = x->r->engine ? x->r->engine : x->t->data.engine;
    if (strcmp(name, "auto") == 0)
        name = x->t->data.engine;
    PZ_TRY(pz_pipeline_engine(x->p, name, &x->engine));
    if (!x->engine)
        return PZ_OK;
    if (!x->t->engine || strcmp(x->engine->name, x->t->engine->name) != 0)
        return pz_fail(x->p->job.log, PZ_ERR_USAGE,
                       "the template was prepared for '%s', not for '%s'; prepare it again",
                       x->t->data.engine, x->engine->name);
    if (!x->t->engine_state) {
        char *folder = pz_path_join(x->t->dir, x->engine->name);
        struct pz_engine_open_params ep = pz_pipeline_open_params(x->p, folder);
        st = folder ? x->engine->open(&ep, &x->p->job, &x->t->engine_state)
                    : pz_fail(x->p->job.log, PZ_ERR_NOMEM, "no memory to open the engine");
        pz_free(folder);
    }
    struct pz_paste_params pp = PZ_PASTE_PARAMS_DEFAULT;
    pp.seed = x->p->job.seed;
    if (st >= PZ_OK)
        st = pz_paste_create(&pp, &x->paste);
fail:
    return st;
}

static char *make_xmp(struct pz_render *x)
{
    struct pz_edited_range *ranges = pz_calloc((size_t)x->n_works + 1, sizeof *ranges);
    int n = 0;
    if (!ranges)
        return NULL;
    for (int k = 0; k < x->n_works; k++) {
        const struct pz_slot_work *w = &x->works[k];
        if (!w->kept)
            ranges[n++] =
                (struct pz_edited_range){pz_render_seconds(x, w->out_a),
                                         pz_render_seconds(x, w->out_a + w->dub.plan.n), true, w->n_rows > 0};
    }
    char *xmp = pz_provenance_xmp(ranges, n, x->engine ? x->engine->name : "none", x->t->data.source_sha256,
                                  x->t->data.consent_json != NULL);
    pz_free(ranges);
    return xmp;
}

static enum pz_status splice(struct pz_render *x)
{
    char *xmp = make_xmp(x);
    if (!xmp)
        return pz_fail(x->p->job.log, PZ_ERR_NOMEM, "no memory for the provenance record");
    struct pz_splice s = {.source = x->t->film_path,
                          .info = x->t->info,
                          .output = x->r->output,
                          .frames = x->frames,
                          .n_frames = x->n_frames,
                          .picture = make_picture,
                          .sound = fill_sound,
                          .n_samples = x->timeline.out_len,
                          .user = x,
                          .xmp = xmp,
                          .comment = "Parts of sound and picture were made by personalize (synthetic media).",
                          .crf = x->r->crf,
                          .preset = x->r->preset};
    if (x->engine)
        s.ahead = pz_engine_ahead(x->engine, x->t->engine_state, x->t->info->width, x->t->info->height);
    if (s.ahead > 1)
        s.coming = coming;
    enum pz_status st = pz_splice_run(&s, &x->p->job, &x->splice);
    pz_free(xmp);
    return st;
}

static char *report_path(const char *output)
{
    const char *dot = strrchr(output, '.'), *slash = strrchr(output, '/');
    bool has = dot && (!slash || dot > slash + 1) && dot != output;
    return pz_asprintf("%.*s.json", has ? (int)(dot - output) : (int)strlen(output), output);
}

static enum pz_status say_all(struct pz_render *x)
{
    const struct pz_template_data *d = &x->t->data;
    double t0 = pz_now();
    enum pz_status st = x->r->n_given > 0
                            ? pz_slot_works_given(x->p, x->t, x->r, &x->sound.tap, &x->works, &x->n_works)
                            : pz_slot_works_say(x->p, x->t, x->r, &x->sound.tap, &x->works, &x->n_works);
    x->seconds.speech = pz_now() - t0;
    for (int k = 0; st >= PZ_OK && k < x->n_works; k++)
        if (x->works[k].dub.warning[0])
            pz_render_warn(x, "slot '%s': %s", x->works[k].name, x->works[k].dub.warning);
    if (st >= PZ_OK && !d->consent_json)
        pz_render_warn(
            x, "no consent record in the template: make sure the speaker agreed (prepare --consent FILE)");
    return st;
}

static enum pz_status check_request(struct pz_render *x)
{
    struct pz_log *log = x->p->job.log;
    const char *out = x->r->output;
    if (!out || !*out)
        return pz_fail(log, PZ_ERR_USAGE, "no output was named (-o OUT.mp4)");
    const char *dot = strrchr(out, '.');
    if (!dot || strcasecmp(dot, ".mp4") != 0)
        return pz_fail(log, PZ_ERR_USAGE, "output '%s' must end in .mp4", out);
    if (!x->t->info->has_sound)
        return pz_fail(log, PZ_ERR_INPUT, "the film has no sound track");
    if (x->r->crf < 0 || x->r->crf > 40)
        return pz_fail(log, PZ_ERR_USAGE, "crf %d is outside [1, 40]", x->r->crf);
    return PZ_OK;
}

enum pz_status pz_pipeline_render(struct pz_pipeline *p, struct pz_prepared *t,
                                  const struct pz_render_request *r, char **report)
{
    enum pz_status st = PZ_OK;
    double t0 = pz_now();
    char *text = NULL, *path = NULL;
    struct pz_render_readback *readback = NULL;
    struct pz_render x = {.p = p, .t = t, .r = r, .current = -1, .warnings = json_array()};
    if (report)
        *report = NULL;
    PZ_TRY(check_request(&x));
    PZ_TRY(pz_render_readback_open(&x, &readback));
    PZ_TRY(open_engine(&x));
    PZ_TRY(pz_film_sound_open(t->film_path, 0, 0, t->info->n_samples, &p->job, &x.sound));
    PZ_TRY(say_all(&x));
    skip_unusable(&x);
    PZ_TRY(lay_out(&x));
    if (x.engine)
        PZ_TRY(gather_rows(&x));
    PZ_TRY(pz_qc_create(t->info, t->track ? pz_face_track_topology(t->track) : NULL, &x.qc));
    if (pz_render_readback_early(&x))
        PZ_TRY(pz_render_readback_start(readback));
    double t1 = pz_now();
    PZ_TRY(splice(&x));
    close_session(&x);
    double t2 = pz_now();
    if (!pz_render_readback_early(&x))
        PZ_TRY(pz_render_readback_start(readback));
    PZ_TRY(pz_qc_finish(x.qc, t->film_path, r->output, x.frames, x.n_frames, &p->job));
    PZ_TRY(pz_render_readback_join(&readback));
    x.seconds.total = pz_now() - t0;
    pz_info(p->job.log, "render: words %.2f s, film %.2f s, checks %.2f s", t1 - t0, t2 - t1,
            x.seconds.total - (t2 - t0));
    text = pz_render_report(&x);
    path = report_path(r->output);
    if (!text || !path) {
        st = pz_fail(p->job.log, PZ_ERR_NOMEM, "no memory for the report");
        goto fail;
    }
    PZ_TRY(pz_file_write(p->job.log, path, text, strlen(text)));
    if (report) {
        *report = text;
        text = NULL;
    }
fail:
    if (readback && pz_render_readback_join(&readback) < PZ_OK && st >= PZ_OK)
        st = PZ_ERR_INTERNAL;
    close_session(&x);
    pz_qc_destroy(&x.qc);
    pz_paste_destroy(&x.paste);
    pz_face_occluder_destroy(&x.occluder);
    pz_timeline_free(&x.timeline);
    pz_free(x.edit_work);
    pz_free(x.frames);
    pz_slot_works_free(&x.works, x.n_works);
    pz_film_sound_close(&x.sound);
    json_decref(x.warnings);
    pz_free(text);
    pz_free(path);
    return st;
}

/* The report of a render: fields as DESIGN §4 and docs/report.md list them. Text only. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pipeline/render.h"
#include "tensor/cuda/cuda.h"

static json_t *num(double v, double digits)
{
    return isfinite(v) ? json_real(round(v * digits) / digits) : json_null();
}

static json_t *face_json(const struct pz_render *x, const struct pz_slot_work *w)
{
    const struct pz_template_slot *s = w->slot;
    const char *verdict = !x->engine ? "sound only" : w->skipped ? w->skipped : s ? s->verdict : "ok";
    return json_pack("{s:i, s:[o,o,o], s:b, s:s}", "track", x->t->data.face_track, "pose_deg",
                     num(s ? s->yaw : 0, 10), num(s ? s->pitch : 0, 10), num(s ? s->roll : 0, 10), "occluded",
                     s && s->occluded, "verdict", verdict);
}

static json_t *slot_json(const struct pz_render *x, const struct pz_slot_work *w)
{
    const struct pz_fit_plan *f = &w->dub.plan;
    double rate = x->timeline.rate;
    double start = w->slot ? (double)w->slot->start / PZ_SPEECH_RATE : (double)f->a / rate;
    double end = w->slot ? (double)w->slot->end / PZ_SPEECH_RATE : (double)f->b / rate;
    double out_a = w->kept ? (double)pz_timeline_to_output(&x->timeline, (int64_t)(start * rate)) / rate
                           : (double)(w->out_a + f->word_at) / rate;
    double out_b = w->kept ? out_a + end - start : (double)(w->out_a + f->word_at + f->word_n) / rate;
    json_t *o = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o}", "name", w->name,
                          "spoken", w->slot && w->slot->spoken ? w->slot->spoken : "", "value",
                          x->r->keep_names_out ? json_null() : json_string(w->value), "start_s",
                          num(start, 1e6), "end_s", num(end, 1e6), "out_start_s", num(out_a, 1e6),
                          "out_end_s", num(out_b, 1e6), "fit", w->kept ? "kept" : pz_fit_name(f->fit),
                          "stretch", num(w->kept ? 1 : f->stretch, 1e4), "loudness_delta_lu",
                          w->kept ? num(0, 1) : num(w->dub.loudness_delta_lu, 1e2), "face", face_json(x, w));
    if (!o)
        return NULL;
    if (w->n_rows > 0)
        json_object_set_new(o, "frames", json_pack("[I,I]", (json_int_t)w->first, (json_int_t)(w->last - 1)));
    else
        json_object_set_new(o, "frames", json_array());
    if (!w->kept) {
        json_object_set_new(o, "voice", json_string(w->dub.voice));
        json_object_set_new(o, "delta_s", num((double)f->delta / rate, 1e6));
        json_object_set_new(o, "pitch_hz",
                            json_pack("{s:o, s:o, s:o}", "speaker", num(w->dub.f0_template_hz, 10), "voice",
                                      num(w->dub.f0_voice_hz, 10), "result", num(w->dub.f0_result_hz, 10)));
    }
    return o;
}

static json_t *timings_json(const struct pz_render *x)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "prepare", num(x->t->prepare_s, 1e3), "speech",
                     num(x->seconds.speech, 1e3), "lipsync", num(x->seconds.lipsync, 1e3), "composite",
                     num(x->seconds.composite, 1e3), "encode", num(x->splice.encode_s, 1e3), "total",
                     num(x->seconds.total + x->t->prepare_s, 1e3));
}

/* Device memory in use now, while the engine is still open: networks take all of theirs when they are opened.
 * It is the whole device's, other programs' included. */
static json_int_t device_memory(const char *device)
{
    size_t left = 0, all = 0;
    return strncmp(device, "cuda", 4) == 0 && pz_cuda_memory(&left, &all) ? (json_int_t)(all - left) : 0;
}

char *pz_render_report(struct pz_render *x)
{
    const struct pz_film_info *info = x->t->info;
    double duration = pz_render_seconds(x, x->timeline.out_len), total = x->seconds.total + x->t->prepare_s;
    double fps = info->average_rate.den ? (double)info->average_rate.num / (double)info->average_rate.den : 0;
    const char *device = pz_pipeline_device(x->p), *precision = x->p->precision ? x->p->precision : "f32";
    if (x->engine && x->engine->runs_on && x->t->engine_state)
        x->engine->runs_on(x->t->engine_state, &device, &precision);
    json_t *slots = json_array();
    for (int k = 0; k < x->n_works; k++)
        json_array_append_new(slots, slot_json(x, &x->works[k]));
    json_t *o = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:i, s:i, s:I, s:I, s:I, s:I}", "version",
        PZ_VERSION, "command", x->r->command ? x->r->command : "render", "input", x->t->data.source_name,
        "output", x->r->output, "model", x->engine ? x->engine->name : "none", "device", device, "precision",
        precision, "seed", (json_int_t)(x->p->job.seed & INT64_MAX), "duration_s", num(duration, 1e6), "fps",
        num(fps, 1e3), "width", info->width, "height", info->height, "frames_total",
        (json_int_t)x->splice.frames_total, "frames_touched", (json_int_t)x->splice.frames_touched,
        "frames_encoded", (json_int_t)x->splice.frames_encoded, "frames_copied",
        (json_int_t)x->splice.frames_copied);
    if (!o || !slots) {
        json_decref(o);
        json_decref(slots);
        return NULL;
    }
    json_object_set_new(o, "slots", slots);
    json_object_set_new(o, "timings_s", timings_json(x));
    json_object_set_new(o, "realtime_factor", num(total > 0 ? duration / total : 0, 1e3));
    json_object_set_new(o, "peak_rss_bytes", json_integer(pz_peak_rss()));
    json_object_set_new(o, "peak_vram_bytes", json_integer(device_memory(device)));
    json_object_set(o, "warnings", x->warnings);
    json_object_set_new(o, "qc", pz_qc_json(x->qc));
    char *text = json_dumps(o, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
    json_decref(o);
    char *out = pz_strdup(text);
    free(text);
    return out;
}

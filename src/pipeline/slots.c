/* Slot work: which value goes where, and its sound. Sees no pictures. */
#include "pipeline/slots.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "audio/shape.h"
#include "base/mem.h"

#define RECORDING_MAX_S 30.0
#define CONTEXT (PZ_SPEECH_RATE / 2) /* speech around given sound that the engine hears, samples */

void pz_slot_works_free(struct pz_slot_work **works, int n)
{
    if (!works || !*works)
        return;
    for (int i = 0; i < n; i++) {
        pz_dub_free(&(*works)[i].dub);
        pz_free((*works)[i].times);
        pz_free((*works)[i].faces);
        pz_free((*works)[i].row);
    }
    pz_free(*works);
    *works = NULL;
}

/* ---- values ---- */

static const char *find_pair(const struct pz_name_value *pairs, int n, const char *name)
{
    char canon[65];
    for (int i = n - 1; i >= 0; i--) /* the last one given wins */
        if (pairs[i].name && pz_variable_name(NULL, pairs[i].name, canon) == PZ_OK &&
            strcmp(canon, name) == 0)
            return pairs[i].value;
    return NULL;
}

static bool is_variable(const struct pz_template_data *d, const char *name)
{
    for (int i = 0; i < d->n_slots; i++)
        if (strcmp(d->slots[i].name, name) == 0)
            return true;
    return false;
}

static void list_variables(const struct pz_template_data *d, char *out, size_t n)
{
    out[0] = '\0';
    for (int i = 0; i < d->n_slots; i++) {
        bool seen = false;
        for (int k = 0; k < i; k++)
            seen = seen || strcmp(d->slots[k].name, d->slots[i].name) == 0;
        size_t at = strlen(out);
        if (!seen && at + 2 < n)
            snprintf(out + at, n - at, "%s%s", at ? ", " : "", d->slots[i].name);
    }
}

/* Every name given must be a variable of the template, and every value sayable. */
static enum pz_status check_pairs(struct pz_log *log, const struct pz_template_data *d,
                                  const struct pz_name_value *pairs, int n, bool values)
{
    for (int i = 0; i < n; i++) {
        char canon[65], known[256];
        enum pz_status st = pz_variable_name(log, pairs[i].name, canon);
        if (st != PZ_OK)
            return st;
        if (!is_variable(d, canon)) {
            list_variables(d, known, sizeof known);
            return pz_fail(log, PZ_ERR_USAGE, "the template has no variable '%s'; it has: %s", canon,
                           *known ? known : "none");
        }
        if (values && (st = pz_value_check(log, canon, pairs[i].value ? pairs[i].value : "")) != PZ_OK)
            return st;
    }
    return PZ_OK;
}

static enum pz_status resolve(struct pz_pipeline *p, const struct pz_template_data *d,
                              const struct pz_render_request *r, struct pz_slot_work *w,
                              const struct pz_template_slot *s)
{
    struct pz_log *log = p->job.log;
    w->slot = s;
    w->name = s->name;
    w->value = find_pair(r->values, r->n_values, s->name);
    bool recorded = find_pair(r->audio, r->n_audio, s->name) != NULL;
    if (!w->value)
        w->value = s->fallback;
    if (!w->value && recorded)
        w->value = s->spoken ? s->spoken : "";
    if (!w->value)
        return pz_fail(log, PZ_ERR_USAGE, "no value for '%s' (spoken '%s' at %.2f s): give --var %s=VALUE",
                       s->name, s->spoken ? s->spoken : "", (double)s->start / PZ_SPEECH_RATE, s->name);
    w->kept =
        !recorded && s->spoken && strcmp(w->value, s->spoken) == 0 && !find_pair(r->say, r->n_say, s->name);
    return PZ_OK;
}

/* ---- saying ---- */

static struct pz_slot slot_for_dub(const struct pz_template_slot *s)
{
    struct pz_slot o = {.start = s->start, .end = s->end, .confidence = s->confidence};
    snprintf(o.name, sizeof o.name, "%s", s->name);
    snprintf(o.spoken, sizeof o.spoken, "%s", s->spoken ? s->spoken : "");
    return o;
}

/* The step in which the film may become longer or shorter: its clock (one frame, for a constant rate); {0,1}
 * = any. */
static struct pz_rational frame_seconds(const struct pz_film_info *info)
{
    int64_t grid = pz_timeline_grid(info);
    return grid > 0 ? (struct pz_rational){grid * info->time_base.num, info->time_base.den}
                    : (struct pz_rational){0, 1};
}

static enum pz_status say_slot(struct pz_pipeline *p, struct pz_prepared *t,
                               const struct pz_render_request *r, const struct pz_tap *sound, int64_t limit_a,
                               int64_t limit_b, struct pz_slot_work *w)
{
    enum pz_status st = PZ_OK;
    struct pz_ears *ears = NULL;
    float *recording = NULL;
    int64_t n_rec = 0;
    int rec_rate = 0;
    struct pz_slot slot = slot_for_dub(w->slot);
    const char *say = find_pair(r->say, r->n_say, w->name), *file = find_pair(r->audio, r->n_audio, w->name);
    int fit = pz_fit_from_name(r->fit ? r->fit : "auto");
    if (fit < 0)
        return pz_fail(p->job.log, PZ_ERR_USAGE, "unknown fit '%s'; there are: auto, borrow, stretch, retime",
                       r->fit);
    PZ_TRY(pz_pipeline_ears(p, &ears));
    if (say)
        PZ_TRY(pz_say_parse(pz_ears_lexicon(ears), p->job.log, say, &w->pron));
    if (file)
        PZ_TRY(pz_film_sound_whole(file, RECORDING_MAX_S, &p->job, &recording, &n_rec, &rec_rate));
    struct pz_dub_params dp = {
        .sound = sound,
        .phones = t->data.phones,
        .n_phones = t->data.n_phones,
        .slot = &slot,
        .say = {.voice = r->voice,
                .text = w->value,
                .pron = w->pron.n ? &w->pron : NULL,
                .before = w->slot->before,
                .after = w->slot->after,
                .recording = recording,
                .recording_n = n_rec,
                .recording_rate = rec_rate},
        .fit = (enum pz_fit)fit,
        .limit_start = limit_a,
        .limit_end = limit_b,
        .frame = frame_seconds(t->info),
        .seed = p->job.seed,
    };
    if (r->voice && strcmp(r->voice, "auto") == 0)
        dp.say.voice = NULL;
    PZ_TRY(pz_dub_make(&dp, ears, &p->job, &w->dub));
fail:
    pz_free(recording);
    return st;
}

enum pz_status pz_slot_works_say(struct pz_pipeline *p, struct pz_prepared *t,
                                 const struct pz_render_request *r, const struct pz_tap *sound,
                                 struct pz_slot_work **works, int *n)
{
    enum pz_status st = PZ_OK;
    const struct pz_template_data *d = &t->data;
    struct pz_log *log = p->job.log;
    struct pz_slot_work *w = pz_calloc((size_t)d->n_slots + 1, sizeof *w);
    *works = NULL;
    *n = 0;
    if (!w)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for the slots");
    if (d->n_slots == 0) {
        st = pz_fail(log, PZ_ERR_UNUSABLE, "the template has no slot: nothing to replace");
        goto fail;
    }
    PZ_TRY(check_pairs(log, d, r->values, r->n_values, true));
    PZ_TRY(check_pairs(log, d, r->say, r->n_say, false));
    PZ_TRY(check_pairs(log, d, r->audio, r->n_audio, false));
    for (int i = 0; i < d->n_slots; i++)
        PZ_TRY(resolve(p, d, r, &w[i], &d->slots[i]));
    for (int i = 0; i < d->n_slots; i++) {
        struct pz_rational from = {1, PZ_SPEECH_RATE}, to = {1, sound->rate};
        int64_t a = i > 0 ? pz_rescale(d->slots[i - 1].end, from, to) : 0;
        int64_t b = i + 1 < d->n_slots ? pz_rescale(d->slots[i + 1].start, from, to) : sound->n;
        if (i > 0 && w[i - 1].dub.plan.b > a)
            a = w[i - 1].dub.plan.b;
        if (pz_rescale(d->slots[i].end, from, to) > sound->n) {
            st = pz_fail(log, PZ_ERR_INPUT, "slot '%s' lies behind the end of the film", d->slots[i].name);
            goto fail;
        }
        if (!w[i].kept)
            PZ_TRY(say_slot(p, t, r, sound, a, b, &w[i]));
        pz_job_progress(&p->job, "speech", i + 1, d->n_slots);
    }
    *works = w;
    *n = d->n_slots;
    return PZ_OK;
fail:
    pz_slot_works_free(&w, d->n_slots);
    return st;
}

/* ---- given sound ---- */

/* Speech around [a, b) for the engine: film before and behind, the new sound inside. */
static enum pz_status given_speech(const struct pz_tap *sound, struct pz_dub *d, const float *mono,
                                   int64_t n_mono)
{
    struct pz_rational film = {1, sound->rate}, ear = {1, PZ_SPEECH_RATE};
    int64_t pad = pz_rescale(CONTEXT, ear, film), a = d->plan.a - pad, n = d->plan.n + 2 * pad;
    float *wide = pz_calloc((size_t)n, sizeof *wide);
    if (!wide)
        return PZ_ERR_NOMEM;
    enum pz_status st = pz_tap_read_mono(sound, a, wide, n);
    if (st == PZ_OK && mono)
        memcpy(wide + pad, mono, (size_t)(n_mono < d->plan.n ? n_mono : d->plan.n) * sizeof *wide);
    if (st == PZ_OK)
        st = pz_resample(wide, n, sound->rate, PZ_SPEECH_RATE, &d->speech, &d->n_speech);
    pz_free(wide);
    d->context_before = CONTEXT;
    d->word_start = CONTEXT;
    d->word_end = CONTEXT + pz_rescale(d->plan.n, film, ear);
    return st;
}

static enum pz_status given_one(const struct pz_tap *sound, const struct pz_given_sound *g, struct pz_dub *d)
{
    enum pz_status st = PZ_OK;
    float *mono = NULL;
    int64_t n_mono = 0, n = g->end - g->start;
    d->plan = (struct pz_fit_plan){
        .fit = PZ_FIT_BORROW, .stretch = 1, .a = g->start, .b = g->end, .n = n, .word_n = n};
    d->channels = sound->channels;
    d->rate = sound->rate;
    d->sound = pz_calloc((size_t)n * (size_t)sound->channels, sizeof *d->sound);
    if (!d->sound)
        return PZ_ERR_NOMEM;
    if (g->samples) {
        PZ_TRY(pz_resample(g->samples, g->n, g->rate, sound->rate, &mono, &n_mono));
        for (int64_t i = 0; i < n; i++)
            for (int c = 0; c < sound->channels; c++)
                d->sound[i * sound->channels + c] = i < n_mono ? mono[i] : 0;
    } else {
        PZ_TRY(sound->read(sound->user, g->start, d->sound, n));
    }
    PZ_TRY(given_speech(sound, d, mono, n_mono));
fail:
    pz_free(mono);
    return st;
}

enum pz_status pz_slot_works_given(struct pz_pipeline *p, struct pz_prepared *t,
                                   const struct pz_render_request *r, const struct pz_tap *sound,
                                   struct pz_slot_work **works, int *n)
{
    struct pz_log *log = p->job.log;
    enum pz_status st = PZ_OK;
    struct pz_ears *ears;
    struct pz_slot_work *w = pz_calloc((size_t)r->n_given + 1, sizeof *w);
    *works = NULL;
    *n = 0;
    if (!w)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for the segments");
    PZ_TRY(pz_pipeline_ears(p, &ears));
    for (int i = 0; i < r->n_given; i++) {
        const struct pz_given_sound *g = &r->given[i];
        double want = (double)(g->end - g->start) * g->rate / sound->rate;
        if (g->end <= g->start || g->start < 0 || g->end > sound->n ||
            (i > 0 && g->start < r->given[i - 1].end)) {
            st = pz_fail(log, PZ_ERR_USAGE, "segment %d is empty, out of order or outside the film", i);
            goto fail;
        }
        if (g->samples && (g->rate < 8000 || g->rate > 192000 || fabs((double)g->n - want) > 2)) {
            st = pz_fail(log, PZ_ERR_USAGE, "segment %d has %lld samples, its length asks for %.0f", i,
                         (long long)g->n, want);
            goto fail;
        }
        w[i].name = w[i].value = "";
        st = given_one(sound, g, &w[i].dub);
        if (st < PZ_OK) {
            pz_fail(log, st, "segment %d: its sound could not be taken over", i);
            goto fail;
        }
        struct pz_tap_memory mem;
        struct pz_tap ear = pz_tap_from_memory(&mem, w[i].dub.speech, w[i].dub.n_speech, PZ_SPEECH_RATE, 1);
        PZ_TRY(pz_speech_phones(ears, &ear, &p->job, &w[i].dub.phones));
    }
    *works = w;
    *n = r->n_given;
    return PZ_OK;
fail:
    pz_slot_works_free(&w, r->n_given);
    return st;
}

/* An open template: its data, film index, face track; and the verdict on each slot's faces. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "pipeline/film.h"
#include "pipeline/pipeline.h"
#include "pipeline/prepare.h"

bool pz_json_is_object(const char *text, size_t n)
{
    json_t *o = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    bool yes = json_is_object(o);
    json_decref(o);
    return yes;
}

enum pz_status pz_prepared_open(struct pz_pipeline *p, const char *dir, struct pz_prepared **out)
{
    enum pz_status st = PZ_OK;
    char *track_path = NULL;
    *out = NULL;
    struct pz_prepared *t = pz_calloc(1, sizeof *t);
    if (!t)
        return pz_fail(p->job.log, PZ_ERR_NOMEM, "no memory to open '%s'", dir);
    PZ_TRY(pz_template_load(&t->data, dir, p->job.log));
    t->dir = pz_strdup(dir);
    t->film_path = pz_path_join(dir, t->data.film);
    track_path = pz_path_join(dir, "face.bin");
    if (!t->dir || !t->film_path || !track_path) {
        st = pz_fail(p->job.log, PZ_ERR_NOMEM, "no memory to open '%s'", dir);
        goto fail;
    }
    PZ_TRY(pz_film_info_read(t->film_path, &p->job, &t->info));
    if (strcmp(t->data.engine, "none") != 0) {
        PZ_TRY(pz_pipeline_engine(p, t->data.engine, &t->engine));
        PZ_TRY(pz_face_track_open(track_path, p->job.log, &t->track));
    }
    *out = t;
    t = NULL;
fail:
    pz_free(track_path);
    pz_prepared_close(&t);
    return st;
}

void pz_prepared_close(struct pz_prepared **t)
{
    if (!t || !*t)
        return;
    if ((*t)->engine && (*t)->engine_state)
        (*t)->engine->close(&(*t)->engine_state);
    pz_face_track_close(&(*t)->track);
    pz_film_info_free(&(*t)->info);
    pz_template_data_free(&(*t)->data);
    pz_free((*t)->dir);
    pz_free((*t)->film_path);
    pz_free(*t);
    *t = NULL;
}

void pz_prepare_verdicts(const struct pz_film_info *info, const struct pz_face_track *track,
                         struct pz_template_data *d, struct pz_log *log)
{
    for (int i = 0; i < d->n_slots; i++) {
        struct pz_template_slot *s = &d->slots[i];
        double a = (double)s->start / PZ_SPEECH_RATE, b = (double)s->end / PZ_SPEECH_RATE;
        struct pz_face_verdict v =
            pz_face_track_verdict(track, pz_film_frame_at(info, a), pz_film_frame_at(info, b) + 1);
        snprintf(s->verdict, sizeof s->verdict, "%s", pz_face_verdict_name(v.grade));
        snprintf(s->verdict_reason, sizeof s->verdict_reason, "%s", v.reason);
        s->yaw = v.yaw;
        s->pitch = v.pitch;
        s->roll = v.roll;
        s->occluded = v.occluded;
        if (v.grade != PZ_FACE_OK)
            pz_warn(log, "slot '%s' at %.2f s: face %s (%s)", s->name, a, s->verdict, s->verdict_reason);
    }
}

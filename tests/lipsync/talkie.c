/* The talking puppet of talkie.h. */
#include "talkie.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "lipsync/viseme.h"

struct puppet_mouth talkie_shape(int v)
{
    const struct pz_viseme_shape *s = pz_viseme_shape(v);
    float gap =
        v == PZ_VIS_SIL || v == PZ_VIS_PP ? 0.0f : 0.03f + 0.15f * s->gap_cm + 0.005f * (float)(v % 3);
    return (struct puppet_mouth){gap, 0.3f * s->width, s->width < -0.05f ? 0.03f : 0.0f};
}

static void make_phones(struct talkie *t, double seconds, int tail, struct pz_rng *r)
{
    int64_t at = 0, end = (int64_t)((seconds - (tail ? 2.5 : 0)) * PZ_SPEECH_RATE);
    int run = 0;
    t->phones = pz_calloc((size_t)(seconds * 40) + 8, sizeof *t->phones);
    while (at < end) {
        int id = 1 + (int)pz_rng_below(r, PZ_PH_COUNT - 1);
        double d = 0.06 + 0.09 * pz_rng_uniform(r);
        if (++run % 14 == 0) {
            id = PZ_PH_SIL;
            d = 0.35;
        }
        int64_t stop = at + (int64_t)(d * PZ_SPEECH_RATE);
        stop = stop < end ? stop : end;
        t->phones[t->n_phones++] = (struct pz_phone){id, 0.9f, at, stop};
        at = stop;
    }
    if (tail)
        t->phones[t->n_phones++] =
            (struct pz_phone){PZ_PH_SIL, 0.9f, end, (int64_t)(seconds * PZ_SPEECH_RATE)};
}

/* Every viseme sounds as three partials of its own; shares fade between them as the shapes do. */
static void make_sound(struct talkie *t, const struct pz_viseme_line *line, struct pz_rng *r)
{
    float w[PZ_VIS_COUNT] = {0};
    for (int64_t i = 0; i < t->n_speech; i++) {
        double time = (double)i / PZ_SPEECH_RATE;
        if (i % 80 == 0)
            pz_viseme_weights(line, time - t->sound_late, w);
        double x = 0;
        for (int v = 0; v < PZ_VIS_COUNT; v++) {
            if (v == PZ_VIS_SIL || w[v] < 0.01f)
                continue;
            for (int h = 0; h < 3; h++)
                x += w[v] * sin(2 * M_PI * (180 + 97 * ((v * 7 + h * 13) % 37)) * time + v);
        }
        t->speech[i] = (float)(0.08 * x) + 0.0005f * pz_rng_normal(r);
    }
}

struct talkie *talkie_make(double seconds, double fps, double sound_late, float noise_px, int tail,
                           uint64_t seed)
{
    struct talkie *t = pz_calloc(1, sizeof *t);
    struct pz_rng r;
    struct pz_viseme_line line;
    pz_rng_init(&r, seed, 3);
    t->fps = fps;
    t->sound_late = sound_late;
    t->n_frames = (int)(seconds * fps);
    t->faces = pz_calloc((size_t)t->n_frames, sizeof *t->faces);
    t->mouth = pz_calloc((size_t)t->n_frames, sizeof *t->mouth);
    t->frames = pz_calloc((size_t)t->n_frames, sizeof *t->frames);
    t->n_speech = (int64_t)(seconds * PZ_SPEECH_RATE);
    t->speech = pz_calloc((size_t)t->n_speech, sizeof *t->speech);
    make_phones(t, seconds, tail, &r);
    if (pz_viseme_line_make(t->phones, t->n_phones, &line) != PZ_OK)
        return NULL;
    make_sound(t, &line, &r);
    for (int i = 0; i < t->n_frames; i++) {
        float w[PZ_VIS_COUNT];
        double time = i / fps;
        pz_viseme_weights(&line, time, w);
        for (int v = 0; v < PZ_VIS_COUNT; v++) {
            struct puppet_mouth s = talkie_shape(v);
            t->mouth[i].gap += w[v] * s.gap;
            t->mouth[i].width += w[v] * s.width;
            t->mouth[i].protrusion += w[v] * s.protrusion;
        }
        float a = (float)time;
        puppet_face(&t->mouth[i], i, 6 * sinf(0.8f * a), 4 * sinf(1.1f * a), 2 * sinf(0.6f * a), 100, 250,
                    200, noise_px, &t->faces[i]);
        t->frames[i] = i;
    }
    /* the line that is handed out is that of the sound, as a recogniser would give it */
    int64_t shift = (int64_t)(sound_late * PZ_SPEECH_RATE);
    for (int i = 0; i < t->n_phones; i++) {
        t->phones[i].start += shift;
        t->phones[i].end += shift;
    }
    pz_viseme_line_free(&line);
    return t;
}

void talkie_free(struct talkie **t)
{
    pz_free((*t)->faces);
    pz_free((*t)->mouth);
    pz_free((*t)->frames);
    pz_free((*t)->speech);
    pz_free((*t)->phones);
    pz_free(*t);
    *t = NULL;
}

static double frame_time(void *user, int64_t i)
{
    return (double)i / ((struct talkie *)user)->fps;
}

static const struct pz_face *film_face(void *user, int64_t i)
{
    return &((struct talkie *)user)->faces[i];
}

struct pz_film talkie_film(const struct talkie *t, int64_t n_fit, int with_phones)
{
    return (struct pz_film){.user = (void *)t,
                            .n_frames = t->n_frames,
                            .frame_time = frame_time,
                            .face = film_face,
                            .topology = &puppet_topology,
                            .speech = t->speech,
                            .n_speech = t->n_speech,
                            .phones = with_phones ? t->phones : NULL,
                            .n_phones = with_phones ? t->n_phones : 0,
                            .fit_frames = t->frames,
                            .n_fit_frames = n_fit};
}

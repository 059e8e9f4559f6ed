#include "engine_try.h"

#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "painted.h"
#include "tensor/cuda/cuda.h"

struct act {
    const struct engine_try *t;
    const struct pz_engine_vtable *v;
    const struct pz_job *job;
    struct painted film;
    const struct pz_face *faces[ENGINE_TRY_MOST];
    double times[ENGINE_TRY_MOST];
    void *engine;
};

void engine_try_say(void *user, enum pz_log_level level, const char *text)
{
    fprintf(stderr, "  %s\n", text);
}

void engine_try_memory(const char *when)
{
    size_t left, all;
    if (pz_cuda_memory(&left, &all))
        printf("  device memory in use %s: %.2f GB\n", when, (double)(all - left) / 1e9);
}

static void work_until(double then)
{
    while (pz_now() < then)
        ;
}

/* The slot once; patches to `f` unless it is NULL. */
static enum pz_status draw(struct act *a, double busy, FILE *f)
{
    enum pz_status st = PZ_OK;
    int n = a->t->drawn;
    void *session = NULL;
    double from = pz_now(), first = 0, began;
    struct pz_speech_span span = painted_span(&a->film, 0, a->film.n, 0.2, a->faces, a->times);
    PZ_TRY(a->v->begin(a->engine, &span, a->job, &session));
    began = pz_now() - from;
    from = pz_now();
    for (int i = 0; i < n; i++) {
        struct pz_patch p;
        PZ_TRY(a->v->draw(session, i, &a->film.pic, &p));
        first = i ? first : pz_now() - from;
        size_t values = 3 * (size_t)p.rgb.width * (size_t)p.rgb.height;
        if (f && fwrite(p.rgb.data, sizeof(float), values, f) != values)
            st = PZ_ERR_WRITE;
        work_until(pz_now() + busy);
    }
    double t = pz_now() - from;
    printf("  begin %.3f s, first draw %.3f s, %d frames %.3f s: %.2f ms a frame, %.2f frames/s\n", began,
           first, n, t, 1e3 * t / n, n / t);
fail:
    if (session)
        a->v->end(&session);
    return st;
}

static bool set_stage(struct act *a, struct pz_film *film)
{
    int near = a->t->drawn + 4; // what is prepared of a frame may ask its neighbours
    if (!painted_open(&a->film, a->t->frames, 1080, 25, film))
        return false;
    for (int i = 0; i < a->film.n; i++) {
        struct puppet_mouth m = {0.1f, 0, 0};
        puppet_face(&m, i, 0, 0, 0, 260, 540 + 10 * sinf(0.2f * (float)i), 420, 0.4f, &a->film.face[i]);
        a->film.face[i].frame = i;
    }
    film->n_asked_frames = near < a->film.n ? near : a->film.n;
    return true;
}

static enum pz_status perform(struct act *a, const struct pz_engine_open_params *p, FILE *f)
{
    enum pz_status st = PZ_OK;
    struct pz_film film;
    double from;
    if (!set_stage(a, &film)) {
        st = PZ_ERR_NOMEM;
        goto fail;
    }
    from = pz_now();
    PZ_TRY(pz_make_dirs(a->job->log, p->artifact_dir));
    PZ_TRY(a->v->prepare(&film, p, a->job));
    from = pz_now() - from;
    printf("  prepare %.2f s: %.1f ms a frame with loading\n", from,
           1e3 * from / (double)film.n_asked_frames);
    from = pz_now();
    PZ_TRY(a->v->open(p, a->job, &a->engine));
    printf("  open %.2f s\n", pz_now() - from);
    engine_try_memory("when open");
    PZ_TRY(draw(a, 0, f));
    PZ_TRY(draw(a, 0, NULL)); // once more, warm
    if (a->t->busy > 0) {
        printf("  busy for %.2f ms after each:\n", 1e3 * a->t->busy);
        PZ_TRY(draw(a, a->t->busy, NULL));
    }
    engine_try_memory("at the end");
    printf("  peak resident %.2f GB\n", (double)pz_peak_rss() / 1e9);
fail:
    a->v->close(&a->engine);
    painted_close(&a->film);
    return st;
}

enum pz_status engine_try_film(const struct engine_try *t, const struct pz_job *job)
{
    struct pz_engine_open_params p = t->params;
    char *art = pz_asprintf("%s/art-%s", t->dir, t->name), *out = pz_asprintf("%s/%s.f32", t->dir, t->name);
    struct act *a = pz_calloc(1, sizeof *a);
    FILE *f = out && pz_make_dirs(job->log, t->dir) >= PZ_OK ? fopen(out, "wb") : NULL;
    enum pz_status st = PZ_ERR_WRITE;
    if (a && art && f) {
        p.artifact_dir = art;
        *a = (struct act){.t = t, .v = pz_engine_find(t->engine), .job = job};
        st = perform(a, &p, f);
    }
    if (f && fclose(f) != 0)
        st = PZ_ERR_WRITE;
    pz_free(a);
    pz_free(art);
    pz_free(out);
    return st;
}

int engine_try_compare(const char *a, const char *b)
{
    FILE *f = fopen(a, "rb"), *g = fopen(b, "rb");
    double sum = 0, most = 0, n = 0;
    float x, y;
    while (f && g && fread(&x, sizeof x, 1, f) == 1 && fread(&y, sizeof y, 1, g) == 1) {
        double d = (double)x - (double)y;
        sum += d * d;
        most = fmax(most, fabs(d));
        n++;
    }
    if (f)
        fclose(f);
    if (g)
        fclose(g);
    printf("%s against %s: %.0f values, PSNR %.2f dB, greatest difference %.4f\n", a, b, n,
           n > 0 && sum > 0 ? 10 * log10(n / sum) : INFINITY, most);
    return n > 0 ? 0 : 1;
}

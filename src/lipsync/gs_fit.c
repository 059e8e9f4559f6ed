/**
 * Learning a Gaussian head: the schedule. A step draws a few crops, one per thread, adds their gradients in a
 * fixed order and moves all parameters (Adam). Three stages: shape and colour; more Gaussians where they are
 * missed; refinement of each frame's pose and motion, without which tracker noise ends as blur.
 */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "lipsync/gs_mesh.h"
#include "lipsync/gs_train.h"

#define BATCH 4
#define SSIM_SHARE 0.2f
#define REFINE_FROM 0.25 /* share of the schedule */
#define DENSIFY_FROM 0.10
#define DENSIFY_TO 0.60
#define DENSIFY_EVERY 60
#define MAX_SIDE 320
#define MOTION_NOISE 0.2f /* of a deviation: motion from sound is not exact, and the head must bear that */

struct fit {
    struct pz_gs_model *m;
    struct pz_gs_samples samples;
    const struct pz_job *job;
    const struct pz_gs_fit_params *p;
    int n_bench;
    struct pz_gs_bench *bench; /* [threads] */
    struct pz_splat_optimiser face_opt, mouth_opt;
    float *blended[BATCH][2]; /* gradients, face and mouth */
    float *screen[BATCH][2];
    float g_m[BATCH][PZ_MOTION_MAX], g_pose[BATCH][PZ_GS_POSE];
    float drawn[BATCH][PZ_MOTION_MAX]; /* the motion each picture is drawn with */
    double loss[BATCH];
    enum pz_status status[BATCH];
    struct pz_gs_sample *pick[BATCH];
    float *score[2], *seen[2]; /* [cap]: pull on the screen, how often seen */
    uint8_t *drop;
    float px_per_unit;
    int64_t step, n_steps;
    double running;
};

/* ---- one thread's tools
 * -------------------------------------------------------------------------------------- */

void pz_gs_bench_free(struct pz_gs_bench *b)
{
    pz_splat_work_destroy(&b->face);
    pz_splat_work_destroy(&b->mouth);
    pz_splat_loss_destroy(&b->loss);
    pz_free(b->block);
    memset(b, 0, sizeof(*b));
}

enum pz_status pz_gs_bench_create(const struct pz_gs_model *m, enum pz_splat_rung rung, struct pz_gs_bench *b)
{
    enum pz_status st;
    memset(b, 0, sizeof(*b));
    const size_t area = (size_t)m->width * (size_t)m->height;
    PZ_TRY(pz_splat_work_create(m->face.cap, m->width, m->height, rung, &b->face));
    PZ_TRY(pz_splat_work_create(m->mouth.cap, m->width, m->height, rung, &b->mouth));
    PZ_TRY(pz_splat_loss_create(m->width, m->height, rung, &b->loss));
    b->block = pz_calloc(area * 20, sizeof(float));
    if (!b->block) {
        st = PZ_ERR_NOMEM;
        goto fail;
    }
    float **planes[6] = {&b->inner, &b->back, &b->rgb, &b->g_rgb, &b->g_back, &b->truth};
    for (int j = 0; j < 6; j++)
        *planes[j] = b->block + (size_t)j * 3 * area;
    b->weight = b->block + 18 * area;
    b->hole = b->block + 19 * area;
    return PZ_OK;
fail:
    pz_gs_bench_free(b);
    return st;
}

enum pz_status pz_gs_bench_draw(struct pz_gs_bench *b, const struct pz_gs_model *m,
                                const struct pz_gs_sample *s, const struct pz_splat_camera *cam,
                                const float *motion, const float behind[3])
{
    const int64_t area = (int64_t)m->width * m->height;
    for (int64_t i = 0; i < area; i++)
        b->hole[i] = (float)s->hole[i] * (1.0f / 255.0f);
    for (int c = 0; c < 3; c++)
        for (int64_t i = 0; i < area; i++)
            b->back[c * area + i] = m->cavity[c];
    enum pz_status st = pz_splat_draw(b->mouth, &m->mouth, cam, motion, b->back, b->inner, NULL, NULL);
    if (st < PZ_OK)
        return st;
    for (int c = 0; c < 3; c++)
        for (int64_t i = 0; i < area; i++)
            b->back[c * area + i] = behind[c] + b->hole[i] * (b->inner[c * area + i] - behind[c]);
    return pz_splat_draw(b->face, &m->face, cam, motion, b->back, b->rgb, NULL, NULL);
}

void pz_gs_bench_error(const struct pz_gs_bench *b, const struct pz_gs_model *m, const struct pz_gs_sample *s,
                       double *sse, double *count)
{
    const int64_t area = (int64_t)m->width * m->height;
    for (int c = 0; c < 3; c++)
        for (int y = s->box[1]; y < s->box[3]; y++)
            for (int x = s->box[0]; x < s->box[2]; x++) {
                const int64_t i = c * area + (int64_t)y * m->width + x;
                const float d = fminf(fmaxf(b->rgb[i], 0.0f), 1.0f) - (float)s->rgb[i] / 255.0f;
                *sse += (double)(d * d);
                *count += 1.0;
            }
}

/* ---- one picture
 * --------------------------------------------------------------------------------------------- */

static void picture_task(void *user, int index, int worker)
{
    struct fit *f = user;
    struct pz_gs_bench *b = &f->bench[worker];
    struct pz_gs_model *m = f->m;
    const struct pz_gs_sample *s = f->pick[index];
    const int64_t area = (int64_t)m->width * m->height;
    struct pz_rng rng;
    pz_rng_init(&rng, f->job ? f->job->seed : 0, (uint64_t)(f->step * BATCH + index) + (1ull << 32));
    const float behind[3] = {pz_rng_uniform(&rng), pz_rng_uniform(&rng), pz_rng_uniform(&rng)};
    struct pz_splat_camera cam;
    pz_gs_sample_camera(s, &cam);
    float *motion = f->drawn[index];
    for (int k = 0; k < m->k; k++)
        motion[k] = s->m[k] + MOTION_NOISE * m->unit[k] * pz_rng_normal(&rng);
    f->status[index] = pz_gs_bench_draw(b, m, s, &cam, motion, behind);
    if (f->status[index] < PZ_OK)
        return;
    for (int64_t i = 0; i < 3 * area; i++)
        b->truth[i] = (float)s->rgb[i] * (1.0f / 255.0f);
    for (int64_t i = 0; i < area; i++)
        b->weight[i] = (float)s->weight[i] * (1.0f / 32.0f);
    f->loss[index] = pz_splat_loss_value(b->loss, b->rgb, b->truth, b->weight, SSIM_SHARE, b->g_rgb);
    float gm[PZ_MOTION_MAX];
    struct pz_splat_gradient face = {
        .blended = f->blended[index][0], .m = gm, .bg = b->g_back, .screen = f->screen[index][0]};
    pz_splat_gradient(b->face, &m->face, &cam, motion, b->back, b->g_rgb, NULL, &face);
    for (int c = 0; c < 3; c++)
        for (int64_t i = 0; i < area; i++)
            b->g_back[c * area + i] *= b->hole[i];
    for (int c = 0; c < 3; c++)
        for (int64_t i = 0; i < area; i++)
            b->back[c * area + i] = m->cavity[c];
    struct pz_splat_gradient mouth = {
        .blended = f->blended[index][1], .m = f->g_m[index], .screen = f->screen[index][1]};
    pz_splat_gradient(b->mouth, &m->mouth, &cam, motion, b->back, b->g_back, NULL, &mouth);
    for (int k = 0; k < m->k; k++)
        f->g_m[index][k] += gm[k];
    for (int j = 0; j < PZ_GS_POSE; j++)
        f->g_pose[index][j] = face.pose[j] + mouth.pose[j];
}

/* ---- one step
 * ------------------------------------------------------------------------------------------------ */

static void pick_samples(struct fit *f)
{
    struct pz_rng rng;
    pz_rng_init(&rng, f->job ? f->job->seed : 0, (uint64_t)f->step);
    for (int b = 0; b < BATCH; b++) {
        float left = pz_rng_uniform(&rng);
        int i = 0, last = 0;
        for (; i < f->samples.n; i++) {
            if (f->samples.s[i].held)
                continue;
            last = i;
            left -= f->samples.s[i].chance;
            if (left < 0.0f)
                break;
        }
        f->pick[b] = &f->samples.s[last];
        for (int a = 0; a < b; a++)
            if (f->pick[a] == f->pick[b]) { /* a sample is refined once a step: take the next one */
                do
                    last = (last + 1) % f->samples.n;
                while (f->samples.s[last].held);
                f->pick[b] = &f->samples.s[last];
                a = -1;
            }
    }
}

/** Adam on one sample's pose and motion, with a pull to what was tracked. */
static void refine_sample(struct pz_gs_sample *s, const float *g_pose, const float *g_m, const float *m_unit,
                          int k, float rate)
{
    static const float unit[PZ_GS_POSE] = {1.0e-3f, 1.0e-3f, 1.0e-3f, 3e-4f, 0.05f, 0.05f};
    s->steps++;
    const float c1 = 1.0f - powf(0.9f, (float)s->steps), c2 = 1.0f - powf(0.97f, (float)s->steps);
    for (int j = 0; j < PZ_GS_POSE + k; j++) {
        const bool pose = j < PZ_GS_POSE;
        float *p = pose ? &s->pose[j] : &s->m[j - PZ_GS_POSE];
        const float rest = pose ? 0.0f : s->tracked_m[j - PZ_GS_POSE];
        const float scale = pose ? unit[j] : 0.02f * m_unit[j - PZ_GS_POSE];
        const float g = (pose ? g_pose[j] : g_m[j - PZ_GS_POSE]);
        s->mo[j] = 0.9f * s->mo[j] + 0.1f * g;
        s->ve[j] = 0.97f * s->ve[j] + 0.03f * g * g;
        *p -= rate * scale * (s->mo[j] / c1) / (sqrtf(s->ve[j] / c2) + 1e-12f);
        *p -= 0.02f * rate * (*p - rest);
    }
}

static struct pz_splat_rates rates_at(const struct fit *f, double at, bool mouth)
{
    const float fade = (float)pow(0.06, at), px = 1.0f / f->px_per_unit;
    struct pz_splat_rates r = {
        .pos = 0.25f * px * fade,
        .opacity = 0.05f * fade,
        .color = 0.012f * fade,
        .rot = 0.004f * fade,
        .scale = 0.012f * fade,
        .move_pos = 0.05f * px * fade,
        .move_opacity = 0.010f * fade,
        .move_color = 0.003f * fade,
        .move_pos_k = f->m->k,
        .move_color_k = 6,
        .move_decay = 1e-3f * fade,
    };
    if (mouth) {
        r.pos *= 0.5f;
        r.move_color *= 1.5f;
        r.move_color_k = 3; /* teeth know open, wide and round; more is noise that flickers */
        r.move_pos = 0.0f;  /* and they are rigid: what was sown, head or jaw, moves them */
    }
    return r;
}

static void note_scores(struct fit *f)
{
    for (int layer = 0; layer < 2; layer++) {
        const struct pz_splat_set *s = layer ? &f->m->mouth : &f->m->face;
        for (int b = 0; b < BATCH; b++)
            for (int i = 0; i < s->n; i++) {
                f->score[layer][i] += f->screen[b][layer][i];
                f->seen[layer][i] += f->screen[b][layer][i] > 0.0f;
            }
    }
}

/** Drop what is never seen, transparent or huge; split what is pulled most. */
static void change_number(struct fit *f)
{
    struct pz_rng rng;
    pz_rng_init(&rng, f->job ? f->job->seed : 0, (uint64_t)f->step + (1ull << 48));
    for (int layer = 0; layer < 2; layer++) {
        struct pz_splat_set *s = layer ? &f->m->mouth : &f->m->face;
        struct pz_splat_optimiser *o = layer ? &f->mouth_opt : &f->face_opt;
        const float *logit = pz_splat_plane(s, PZ_SPLAT_OPACITY);
        int kept = 0;
        for (int i = 0; i < s->n; i++) {
            float big = -1e9f;
            for (int a = 0; a < 3; a++)
                big = fmaxf(big, pz_splat_plane(s, PZ_SPLAT_SCALE + a)[i]);
            f->drop[i] = logit[i] < -3.9f || expf(big) * f->px_per_unit > 12.0f || f->seen[layer][i] == 0.0f;
            if (!f->drop[i])
                f->score[layer][kept++] = f->score[layer][i];
        }
        const int gone = pz_splat_prune(s, o, f->drop);
        const int added =
            pz_splat_densify(s, o, f->score[layer], s->n * 3 / 100, 1.2f / f->px_per_unit, &rng);
        pz_debug(f->job ? f->job->log : NULL, "gaussians: layer %d, %d dropped, %d added, %d now", layer,
                 gone, added, s->n);
        memset(f->score[layer], 0, sizeof(float) * (size_t)s->cap);
        memset(f->seen[layer], 0, sizeof(float) * (size_t)s->cap);
    }
}

static enum pz_status one_step(struct fit *f)
{
    const double at = (double)f->step / (double)f->n_steps;
    pick_samples(f);
    pz_pool_run(f->job ? f->job->pool : NULL, picture_task, f, BATCH);
    double sum = 0;
    for (int b = 0; b < BATCH; b++) {
        if (f->status[b] < PZ_OK)
            return f->status[b];
        sum += f->loss[b] / BATCH;
    }
    f->running = f->step ? 0.98 * f->running + 0.02 * sum : sum;
    const float *motion[BATCH], *grad[2][BATCH];
    for (int b = 0; b < BATCH; b++) {
        motion[b] = f->drawn[b];
        grad[0][b] = f->blended[b][0];
        grad[1][b] = f->blended[b][1];
    }
    const struct pz_splat_rates rf = rates_at(f, at, false), rm = rates_at(f, at, true);
    struct pz_pool *pool = f->job ? f->job->pool : NULL;
    pz_splat_step(&f->face_opt, &f->m->face, &rf, BATCH, grad[0], motion, f->p->rung, pool);
    pz_splat_step(&f->mouth_opt, &f->m->mouth, &rm, BATCH, grad[1], motion, f->p->rung, pool);
    if (at >= REFINE_FROM) {
        const float rate = at < 0.8 ? 1.0f : (float)(5.0 * (1.0 - at)) + 0.05f;
        for (int b = 0; b < BATCH; b++)
            refine_sample(f->pick[b], f->g_pose[b], f->g_m[b], f->m->unit, f->m->k, rate);
    }
    if (at > DENSIFY_FROM && at < DENSIFY_TO) {
        note_scores(f);
        if (f->step % DENSIFY_EVERY == DENSIFY_EVERY - 1)
            change_number(f);
    }
    return PZ_OK;
}

/** PSNR in the mouth box over the held-out samples, with the tracked pose and motion. 0 when there are none.
 */
static double heldout_psnr(struct fit *f)
{
    double sse = 0, count = 0;
    static const float grey[3] = {0.5f, 0.5f, 0.5f};
    for (int i = 0; i < f->samples.n; i++) {
        const struct pz_gs_sample *s = &f->samples.s[i];
        if (!s->held || pz_gs_bench_draw(&f->bench[0], f->m, s, &s->tracked, s->tracked_m, grey) < PZ_OK)
            continue;
        pz_gs_bench_error(&f->bench[0], f->m, s, &sse, &count);
    }
    return count > 0 ? -10.0 * log10(sse / count + 1e-12) : 0.0;
}

/* ---- the whole
 * ----------------------------------------------------------------------------------------------- */

static enum pz_status allocate(struct fit *f)
{
    enum pz_status st;
    f->n_bench = pz_pool_threads(f->job ? f->job->pool : NULL);
    f->bench = pz_calloc((size_t)f->n_bench, sizeof(*f->bench));
    if (!f->bench)
        return PZ_ERR_NOMEM;
    for (int i = 0; i < f->n_bench; i++)
        PZ_TRY(pz_gs_bench_create(f->m, f->p->rung, &f->bench[i]));
    PZ_TRY(pz_splat_optimiser_create(&f->face_opt, &f->m->face));
    PZ_TRY(pz_splat_optimiser_create(&f->mouth_opt, &f->m->mouth));
    for (int layer = 0; layer < 2; layer++) {
        const size_t cap = (size_t)(layer ? f->m->mouth.cap : f->m->face.cap);
        f->score[layer] = pz_calloc(cap, sizeof(float));
        f->seen[layer] = pz_calloc(cap, sizeof(float));
        st = f->score[layer] && f->seen[layer] ? PZ_OK : PZ_ERR_NOMEM;
        PZ_TRY(st);
        for (int b = 0; b < BATCH; b++) {
            f->blended[b][layer] = pz_calloc(cap * PZ_SPLAT_BASE, sizeof(float));
            f->screen[b][layer] = pz_calloc(cap, sizeof(float));
            st = f->blended[b][layer] && f->screen[b][layer] ? PZ_OK : PZ_ERR_NOMEM;
            PZ_TRY(st);
        }
    }
    f->drop = pz_calloc((size_t)f->m->face.cap + (size_t)f->m->mouth.cap, 1);
    st = f->drop ? PZ_OK : PZ_ERR_NOMEM;
fail:
    return st;
}

static void release(struct fit *f)
{
    for (int i = 0; f->bench && i < f->n_bench; i++)
        pz_gs_bench_free(&f->bench[i]);
    pz_free(f->bench);
    pz_splat_optimiser_free(&f->face_opt);
    pz_splat_optimiser_free(&f->mouth_opt);
    for (int layer = 0; layer < 2; layer++) {
        pz_free(f->score[layer]);
        pz_free(f->seen[layer]);
        for (int b = 0; b < BATCH; b++) {
            pz_free(f->blended[b][layer]);
            pz_free(f->screen[b][layer]);
        }
    }
    pz_free(f->drop);
    pz_gs_samples_free(&f->samples);
}

/** Patch size and zoom from the largest face of the fit frames. */
static enum pz_status choose_patch(struct fit *f, const struct pz_film *film,
                                   const struct pz_motion_space *space)
{
    float half[2], largest = 0.0f;
    double sum = 0;
    int64_t n = 0;
    pz_gs_mesh_extent(space, film->topology, half, f->m->focus);
    for (int64_t i = 0; i < film->n_fit_frames; i++) {
        const struct pz_face *face = film->face(film->user, film->fit_frames[i]);
        if (!face || face->present != 1)
            continue;
        largest = fmaxf(largest, face->pose.scale);
        sum += (double)face->pose.scale;
        n++;
    }
    if (!n || !(largest > 0.0f))
        return pz_fail(f->job ? f->job->log : NULL, PZ_ERR_UNUSABLE, "no face in the frames to learn from");
    const float side = 2.0f * largest * fmaxf(half[0], half[1]);
    f->m->zoom = side <= MAX_SIDE ? 1.0f : MAX_SIDE / side;
    f->px_per_unit = (float)(sum / (double)n) * f->m->zoom;
    int size[2];
    for (int a = 0; a < 2; a++) {
        const float want = 2.0f * half[a] * largest * f->m->zoom;
        size[a] = ((int)ceilf(want) + PZ_SPLAT_TILE - 1) / PZ_SPLAT_TILE * PZ_SPLAT_TILE;
        size[a] = size[a] < 64 ? 64 : size[a] > MAX_SIDE ? MAX_SIDE : size[a];
    }
    f->m->width = size[0];
    f->m->height = size[1];
    return PZ_OK;
}

static enum pz_status train(struct fit *f)
{
    struct pz_log *log = f->job ? f->job->log : NULL;
    enum pz_status st = PZ_OK;
    const double start = pz_now();
    const int wish = f->p->images ? f->p->images : 26 * f->samples.n;
    const int images = f->p->images ? wish : wish < 4000 ? 4000 : wish > 12000 ? 12000 : wish;
    f->n_steps = images / BATCH;
    for (f->step = 0; f->step < f->n_steps; f->step++) {
        if (pz_job_cancelled(f->job))
            return PZ_ERR_CANCELLED;
        st = one_step(f);
        if (st < PZ_OK)
            return st;
        pz_job_progress(f->job, "fit", f->step + 1, f->n_steps);
        if (f->step % (f->n_steps / 5 + 1) == 0)
            pz_info(log,
                    "gaussian head: step %lld of %lld, loss %.4f, held-out mouth %.2f dB, %d + %d gaussians, "
                    "%.0f s",
                    (long long)f->step, (long long)f->n_steps, f->running, heldout_psnr(f), f->m->face.n,
                    f->m->mouth.n, pz_now() - start);
    }
    f->m->heldout_psnr = (float)heldout_psnr(f);
    st = pz_gs_choose_skin(f->m, &f->samples, &f->bench[0], log);
    pz_info(log, "gaussian head: %d pictures in %.1f s, loss %.4f, held-out mouth %.2f dB, %d + %d gaussians",
            images, pz_now() - start, f->running, (double)f->m->heldout_psnr, f->m->face.n, f->m->mouth.n);
    return st;
}

enum pz_status pz_gs_model_fit(const struct pz_film *film, const struct pz_motion_space *space,
                               const struct pz_gs_fit_params *p, const struct pz_job *job,
                               struct pz_gs_model **out)
{
    enum pz_status st;
    *out = NULL;
    struct fit f = {.job = job, .p = p};
    f.m = pz_calloc(1, sizeof(*f.m));
    if (!f.m)
        return PZ_ERR_NOMEM;
    PZ_TRY(choose_patch(&f, film, space));
    PZ_TRY(pz_gs_mesh_sow(f.m, space, film->topology, f.px_per_unit,
                          p->max_gaussians ? p->max_gaussians : 9000, job ? job->log : NULL));
    PZ_TRY(pz_gs_samples_load(f.m, film, space, p->max_frames ? p->max_frames : 750, job, &f.samples));
    PZ_TRY(pz_gs_first_colors(f.m, &f.samples));
    PZ_TRY(allocate(&f));
    PZ_TRY(train(&f));
    *out = f.m;
    f.m = NULL;
fail:
    release(&f);
    pz_gs_model_free(&f.m);
    return st;
}

// S3FD for wav2lip: weights, a plan for one size of picture, and the boxes that prepare keeps.
#include "lipsync/wav2lip_s3fd.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "image/area.h"
#include "lipsync/engine_plan.h"
#include "nn/s3fd.h"
#include "weights/safetensors.h"

#define FILE_NAME "s3fd-619a316812.pth"
#define LONG_SIDE 640
#define SHORT_SIDE 64 /* below it the last level has no cell */
#define MOST_FACES 64
#define ROW 5                /* frame, box */
#define LAST_FRAME (1 << 24) /* frames are kept as F32 */

struct pz_wav2lip_s3fd {
    struct pz_plan *plan;
    struct pz_session *session;
    struct pz_pool *pool;
    struct pz_rgb small;
    int width, height, factor;
};

struct pz_wav2lip_places {
    int n;
    float (*row)[ROW];
};

enum pz_status pz_wav2lip_s3fd_find(const char *models_dir, struct pz_log *log, char **path)
{
    static const char *const names[] = {"s3fd/" FILE_NAME, FILE_NAME};
    *path = NULL;
    for (size_t i = 0; models_dir && i < sizeof names / sizeof names[0]; i++) {
        char *p = pz_path_join(models_dir, names[i]);
        if (!p)
            return pz_fail(log, PZ_ERR_NOMEM, "no memory for a path");
        if (pz_file_exists(p)) {
            *path = p;
            return PZ_OK;
        }
        pz_free(p);
    }
    return pz_fail(
        log, PZ_ERR_WEIGHTS,
        "the face detector s3fd has no weights in '%s'; get them with `personalize models download "
        "s3fd`, or `personalize models add s3fd FILE`",
        models_dir ? models_dir : "");
}

/* The network for pictures of w × h px; widths by what the file has (published: 64 channels first). */
static enum pz_status build(const char *path, int w, int h, const struct pz_job *job,
                            struct pz_checkpoint **c, struct pz_graph **g)
{
    enum pz_status st = PZ_OK;
    struct pz_log *log = job ? job->log : NULL;
    struct pz_params *p = NULL;
    struct pz_s3fd_outputs out;
    PZ_TRY(pz_checkpoint_open(path, job, c));
    const struct pz_checkpoint_tensor *t = pz_checkpoint_find(*c, "conv1_1.weight");
    int64_t first = t && t->rank == 4 ? t->shape[0] : 64;
    int divisor = first == 4 || first == 8 || first == 16 || first == 32 ? (int)(64 / first) : 1;
    *g = pz_graph_create(log);
    p = *g ? pz_params_create(*g, &(struct pz_params_options){.checkpoint = *c, .file = path}, log) : NULL;
    if (!p) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for a network");
        goto fail;
    }
    pz_s3fd_build(p, divisor, pz_graph_input(*g, "x", (struct pz_shape){.rank = 4, .dim = {1, h, w, 3}}),
                  &out);
    for (int i = 0; i < PZ_S3FD_LEVELS; i++) {
        char name[16];
        snprintf(name, sizeof name, "cls%d", i);
        pz_graph_output(*g, name, out.cls[i]);
        snprintf(name, sizeof name, "box%d", i);
        pz_graph_output(*g, name, out.box[i]);
    }
    st = pz_params_finish(p);
fail:
    pz_params_destroy(&p);
    return st;
}

enum pz_status pz_wav2lip_s3fd_verify(const char *path, const struct pz_job *job)
{
    struct pz_checkpoint *c = NULL;
    struct pz_graph *g = NULL;
    enum pz_status st = build(path, SHORT_SIDE, SHORT_SIDE, job, &c, &g);
    pz_graph_destroy(&g);
    pz_checkpoint_close(&c);
    return st;
}

enum pz_status pz_wav2lip_s3fd_open(const char *path, const struct pz_engine_open_params *p, int width,
                                    int height, const struct pz_job *job, struct pz_wav2lip_s3fd **out)
{
    enum pz_status st = PZ_OK;
    struct pz_engine_plan where = {0};
    struct pz_checkpoint *c = NULL;
    struct pz_graph *g = NULL;
    struct pz_wav2lip_s3fd *d = pz_calloc(1, sizeof *d);
    *out = NULL;
    if (!d)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory for a network");
    int most = width > height ? width : height;
    d->factor = (most + LONG_SIDE - 1) / LONG_SIDE;
    d->factor = d->factor < 1 ? 1 : d->factor;
    d->width = width;
    d->height = height;
    d->pool = job->pool;
    int w = width / d->factor, h = height / d->factor;
    if (w < SHORT_SIDE || h < SHORT_SIDE) {
        st = pz_fail(job->log, PZ_ERR_UNSUPPORTED, "s3fd: pictures of %d x %d px are too small or too narrow",
                     width, height);
        goto fail;
    }
    PZ_TRY(pz_engine_plan(p, "s3fd", job, &where));
    where.params.dtype = PZ_DTYPE_F32; // colours up to 151 and sums over 4,608 of them
    PZ_TRY(build(path, w, h, job, &c, &g));
    PZ_TRY(pz_plan_create(&g, &where.params, job->log, &d->plan));
    PZ_TRY(pz_session_create(d->plan, job->log, &d->session));
    if ((st = pz_rgb_alloc(&d->small, w, h)) < PZ_OK) {
        pz_fail(job->log, st, "no memory for a picture");
        goto fail;
    }
    *out = d;
    d = NULL;
fail:
    pz_engine_plan_free(&where);
    pz_graph_destroy(&g);
    pz_checkpoint_close(&c);
    pz_wav2lip_s3fd_close(&d);
    return st;
}

void pz_wav2lip_s3fd_close(struct pz_wav2lip_s3fd **d)
{
    if (!*d)
        return;
    pz_session_destroy(&(*d)->session);
    pz_plan_destroy(&(*d)->plan);
    pz_rgb_free(&(*d)->small);
    pz_free(*d);
    *d = NULL;
}

/* Faces of a picture in px of the shrunk one; how many, or −1 on no memory. */
static enum pz_status look(struct pz_wav2lip_s3fd *d, const struct pz_picture *pic, struct pz_s3fd_box *found,
                           int *n)
{
    static const float mean[3] = {104, 117, 123};
    enum pz_status st;
    struct pz_s3fd_map map[PZ_S3FD_LEVELS];
    float whole = (float)d->factor;
    size_t area = (size_t)d->small.width * (size_t)d->small.height;
    float *x = pz_session_input(d->session, "x", 0).data;
    // What the division leaves over at the right and below is not looked at, as with the published option.
    PZ_TRY(pz_area_picture_to_rgb(pic, 0, 0, whole * (float)d->small.width, whole * (float)d->small.height,
                                  &d->small));
    for (size_t i = 0; i < area; i++)
        for (size_t k = 0; k < 3; k++)
            x[i * 3 + k] = 255 * fminf(fmaxf(d->small.data[k * area + i], 0), 1) - mean[k];
    PZ_TRY(pz_session_run(d->session, d->pool));
    for (int i = 0; i < PZ_S3FD_LEVELS; i++) {
        struct pz_view c = pz_session_output(d->session, NULL, 2 * i),
                       b = pz_session_output(d->session, NULL, 2 * i + 1);
        map[i] = (struct pz_s3fd_map){c.data, b.data, c.shape.dim[1], c.shape.dim[2], c.shape.dim[3]};
    }
    *n = pz_s3fd_decode(map, found, MOST_FACES);
    st = *n < 0 ? PZ_ERR_NOMEM : PZ_OK;
fail:
    return st;
}

static float overlap(const float a[4], const float b[4])
{
    float w = fminf(a[2], b[2]) - fmaxf(a[0], b[0]), h = fminf(a[3], b[3]) - fmaxf(a[1], b[1]);
    float both = w > 0 && h > 0 ? w * h : 0;
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both + 1e-6f);
}

static int within(float v, int most)
{
    return !(v > 0) ? 0 : v > (float)most ? most : (int)v;
}

enum pz_status pz_wav2lip_s3fd_box(struct pz_wav2lip_s3fd *d, const struct pz_picture *pic,
                                   const struct pz_face *face, int box[4], bool *found)
{
    struct pz_s3fd_box list[MOST_FACES];
    int n = 0;
    float best[4] = {face->box[0], face->box[1], face->box[2], face->box[3]}, most = 0.2f;
    *found = false;
    if (pic->width != d->width || pic->height != d->height)
        return PZ_ERR_USAGE;
    enum pz_status st = look(d, pic, list, &n);
    for (int i = 0; i < n; i++) {
        float f = (float)d->factor, b[4] = {list[i].x0 * f, list[i].y0 * f, list[i].x1 * f, list[i].y1 * f};
        float shared = overlap(b, face->box);
        if (!(shared > most))
            continue;
        most = shared;
        *found = true;
        for (int k = 0; k < 4; k++)
            best[k] = b[k];
    }
    for (int k = 0; k < 4; k++)
        box[k] = within(best[k] + (k == 3 ? PZ_WAV2LIP_PAD_BOTTOM : 0), k % 2 ? d->height : d->width);
    return st;
}

/* ---- kept boxes ---- */

enum pz_status pz_wav2lip_places_fit(const struct pz_film *film, struct pz_wav2lip_s3fd *d,
                                     const struct pz_job *job, struct pz_wav2lip_places **out)
{
    enum pz_status st = PZ_OK;
    size_t n = (size_t)film->n_asked_frames;
    int missed = 0, first = 0;
    struct pz_wav2lip_places *p = pz_calloc(1, sizeof *p);
    int(*box)[4] = pz_calloc(n + 1, sizeof *box);
    *out = NULL;
    if (!p || !box || !(p->row = pz_calloc(n + 1, sizeof *p->row))) {
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory for the film's faces");
        goto fail;
    }
    for (size_t i = 0; i < n; i++) {
        const struct pz_picture *pic;
        const struct pz_face *face = film->face(film->user, film->asked_frames[i]);
        bool found;
        if (pz_job_cancelled(job)) {
            st = PZ_ERR_CANCELLED;
            goto fail;
        }
        if (!face || !face->present || film->asked_frames[i] >= LAST_FRAME)
            continue;
        PZ_TRY(film->picture(film->user, film->asked_frames[i], &pic));
        if (p->n > 0 && p->row[p->n - 1][0] != (float)(film->asked_frames[i] - 1)) { // a gap
            pz_wav2lip_smooth_published(box + first, p->n - first);
            first = p->n;
        }
        PZ_TRY(pz_wav2lip_s3fd_box(d, pic, face, box[p->n], &found));
        missed += !found;
        p->row[p->n++][0] = (float)film->asked_frames[i];
        pz_job_progress(job, "faces", (int64_t)i + 1, (int64_t)n);
    }
    pz_wav2lip_smooth_published(box + first, p->n - first);
    for (int i = 0; i < p->n; i++)
        for (int k = 0; k < 4; k++)
            p->row[i][1 + k] = (float)box[i][k];
    if (missed)
        pz_warn(job->log, "s3fd did not see the face on %d of %d frames; the tracker's boxes are taken there",
                missed, p->n);
    *out = p;
    p = NULL;
fail:
    pz_wav2lip_places_free(&p);
    pz_free(box);
    return st;
}

enum pz_status pz_wav2lip_places_save(const struct pz_wav2lip_places *p, const char *path, struct pz_log *log)
{
    const struct pz_stored_tensor t = {
        .name = "boxes", .dtype = PZ_DTYPE_F32, .rank = 2, .shape = {p->n, ROW}, .data = p->row};
    return pz_safetensors_write(log, path, &t, 1, NULL, 0);
}

enum pz_status pz_wav2lip_places_load(const char *path, struct pz_log *log, struct pz_wav2lip_places **out)
{
    enum pz_status st = PZ_OK;
    struct pz_safetensors *f = NULL;
    const struct pz_stored_tensor *t;
    struct pz_wav2lip_places *p = pz_calloc(1, sizeof *p);
    *out = NULL;
    PZ_TRY(pz_safetensors_open(log, path, &f));
    PZ_TRY(pz_safetensors_expect(log, f, "boxes", PZ_DTYPE_F32, 2, (const int64_t[]){-1, ROW}, &t));
    if (t->shape[0] > LAST_FRAME || !p || !(p->row = pz_calloc((size_t)t->shape[0] + 1, sizeof *p->row))) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for the boxes of '%s'", path);
        goto fail;
    }
    p->n = (int)t->shape[0];
    PZ_TRY(pz_safetensors_read_f32(log, t, p->row[0], pz_stored_count(t)));
    for (int i = 0; i < p->n; i++) {
        const float *r = p->row[i];
        bool good = r[0] >= 0 && r[0] < LAST_FRAME && (!i || r[0] > r[-ROW]);
        for (int k = 1; k < ROW; k++)
            good = good && r[k] >= 0 && r[k] <= PZ_PICTURE_MAX_SIDE;
        if (!good) {
            st = pz_fail(log, PZ_ERR_FORMAT, "'%s': row %d is not a box", path, i);
            goto fail;
        }
    }
    *out = p;
    p = NULL;
fail:
    pz_wav2lip_places_free(&p);
    pz_safetensors_close(&f);
    return st;
}

void pz_wav2lip_places_free(struct pz_wav2lip_places **p)
{
    if (!*p)
        return;
    pz_free((*p)->row);
    pz_free(*p);
    *p = NULL;
}

bool pz_wav2lip_places_at(const struct pz_wav2lip_places *p, int64_t frame, struct pz_wav2lip_box *box)
{
    int lo = 0, hi = p ? p->n : 0;
    while (lo < hi) {
        int mid = lo + (hi - lo) / 2;
        if (p->row[mid][0] < (float)frame)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (!p || lo >= p->n || p->row[lo][0] != (float)frame)
        return false;
    const float *r = p->row[lo];
    if (!(r[3] - r[1] >= 16) || !(r[4] - r[2] >= 16))
        return false;
    *box = (struct pz_wav2lip_box){r[1], r[2], r[3], r[4]};
    return true;
}

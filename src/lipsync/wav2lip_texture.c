// What `prepare` keeps of a film for wav2lip: choosing moments, cutting them out, file. Applying them is
// wav2lip_detail.c.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/order.h"
#include "image/color.h"
#include "image/warp.h"
#include "lipsync/wav2lip_s3fd.h"
#include "lipsync/wav2lip_texture_impl.h"
#include "tensor/half.h"
#include "weights/safetensors.h"

#define MOMENTS 24
#define MOMENTS_LARGE 12 /* of networks above 96 px */

struct candidate {
    int64_t frame;
    struct pz_wav2lip_box box;
    float feature[3]; /* lip gap, yaw, pitch, in comparable units */
    float nearest;    /* squared distance to the chosen ones */
};

struct candidates {
    struct candidate *list;
    int n;
    float median_height;
};

static int ascending(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    return (x->frame > y->frame) - (x->frame < y->frame);
}

/* The fit frames with a measured face and their smoothed boxes. */
static enum pz_status gather(const struct pz_film *film, struct pz_log *log, struct candidates *c)
{
    size_t n = (size_t)film->n_fit_frames;
    enum pz_status st = PZ_OK;
    const struct pz_face **faces = pz_calloc(n + 1, sizeof *faces);
    double *times = pz_calloc(n + 1, sizeof *times);
    struct pz_wav2lip_box *boxes = pz_calloc(n + 1, sizeof *boxes);
    float *heights = pz_calloc(n + 1, sizeof *heights);
    c->list = pz_calloc(n + 1, sizeof *c->list);
    if (!faces || !times || !boxes || !heights || !c->list) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for the film's faces");
        goto fail;
    }
    for (size_t i = 0; i < n; i++) {
        faces[i] = film->face(film->user, film->fit_frames[i]);
        times[i] = film->frame_time(film->user, film->fit_frames[i]);
    }
    pz_wav2lip_boxes(faces, times, (int)n, boxes);
    for (size_t i = 0; i < n; i++) {
        const struct pz_face *f = faces[i];
        if (!f || f->present != 1 || !(boxes[i].x1 - boxes[i].x0 >= 16) || !(boxes[i].y1 - boxes[i].y0 >= 16))
            continue;
        heights[c->n] = boxes[i].y1 - boxes[i].y0;
        // One step: a lip gap of 5 % of the eyes' distance, or ten degrees.
        c->list[c->n++] =
            (struct candidate){.frame = film->fit_frames[i],
                               .box = boxes[i],
                               .feature = {f->lip_gap / 0.05f, f->pose.yaw / 10, f->pose.pitch / 10},
                               .nearest = INFINITY};
    }
    if (!c->n) {
        st = pz_fail(log, PZ_ERR_UNUSABLE, "wav2lip: no face of 16 px or more to learn from");
        goto fail;
    }
    qsort(heights, (size_t)c->n, sizeof *heights, pz_by_float);
    c->median_height = heights[c->n / 2];
fail:
    pz_free(faces);
    pz_free(times);
    pz_free(boxes);
    pz_free(heights);
    return st;
}

/* Farthest-point choice, from the first candidate on; the chosen come first, then sorted by frame. */
static int choose(struct candidates *c, int most)
{
    int n = 0, next = 0;
    while (n < most && n < c->n) {
        struct candidate pick = c->list[next];
        c->list[next] = c->list[n];
        c->list[n++] = pick;
        next = n;
        for (int i = n; i < c->n; i++) {
            float d = 0;
            for (int k = 0; k < 3; k++)
                d += (c->list[i].feature[k] - pick.feature[k]) * (c->list[i].feature[k] - pick.feature[k]);
            c->list[i].nearest = fminf(c->list[i].nearest, d);
            if (c->list[i].nearest > c->list[next].nearest)
                next = i;
        }
    }
    qsort(c->list, (size_t)n, sizeof *c->list, ascending);
    return n;
}

static struct pz_wav2lip_texture *create(int size, int side, int n)
{
    struct pz_wav2lip_texture *t = pz_calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->size = size;
    t->side = side;
    t->n = n;
    t->row = pz_wav2lip_first_row(side);
    t->crop = pz_calloc((size_t)n, pz_wav2lip_crop_floats(t) * sizeof *t->crop);
    t->high = pz_calloc((size_t)n, pz_wav2lip_high_floats(t) * sizeof *t->high);
    t->pose = pz_calloc((size_t)n, 2 * sizeof *t->pose);
    if (!t->crop || !t->high || !t->pose)
        pz_wav2lip_texture_free(&t);
    return t;
}

void pz_wav2lip_texture_free(struct pz_wav2lip_texture **t)
{
    if (!*t)
        return;
    pz_free((*t)->crop);
    pz_free((*t)->high);
    pz_free((*t)->pose);
    pz_free(*t);
    *t = NULL;
}

enum pz_status pz_wav2lip_high_open(struct pz_wav2lip_high_work *w, int size, int side, int row)
{
    *w = (struct pz_wav2lip_high_work){.cubic = pz_enlarge_create(size, side, row, true),
                                       .luma = pz_calloc((size_t)size * (size_t)size, sizeof *w->luma),
                                       .room =
                                           pz_calloc((size_t)(side - row), (size_t)side * sizeof *w->room)};
    return w->cubic && w->luma && w->room ? PZ_OK : PZ_ERR_NOMEM;
}

void pz_wav2lip_high_close(struct pz_wav2lip_high_work *w)
{
    pz_enlarge_destroy(&w->cubic);
    pz_free(w->luma);
    pz_free(w->room);
    *w = (struct pz_wav2lip_high_work){0};
}

void pz_wav2lip_high(struct pz_wav2lip_high_work *w, const float *seen, int size,
                     const struct pz_picture *frame, const struct pz_affine *to_frame, int side, int row,
                     float *out)
{
    struct pz_color c = pz_color_of(frame->matrix, frame->full_range);
    const float *k = c.to_ycc[0]; // luma of R'G'B' in code values, as the frame has it
    size_t n = (size_t)size * (size_t)size, high = (size_t)(side - row) * (size_t)side;
    struct pz_affine m = *to_frame;
    m.c += m.b * (float)row;
    m.f += m.e * (float)row;
    pz_warp_luma(frame, &m, PZ_FILTER_CUBIC, PZ_BORDER_REPLICATE, out, side, side - row);
    for (size_t i = 0; i < n; i++)
        w->luma[i] = k[0] * seen[i] + k[1] * seen[n + i] + k[2] * seen[2 * n + i] + c.zero[0];
    pz_enlarge_run(w->cubic, w->luma, w->room);
    for (size_t i = 0; i < high; i++)
        out[i] = (out[i] - w->room[i]) * c.to_rgb[0][0];
}

/* Cut one moment out of its frame. */
static enum pz_status cut(const struct pz_film *film, const struct candidate *c,
                          struct pz_wav2lip_s3fd *finder, struct pz_wav2lip_texture *t, int i,
                          struct pz_wav2lip_high_work *work)
{
    struct pz_wav2lip_box box = c->box;
    int found[4];
    bool seen = false;
    const struct pz_picture *pic;
    struct pz_rgb crop = {t->size, t->size, t->crop + (size_t)i * pz_wav2lip_crop_floats(t)};
    enum pz_status st = film->picture(film->user, c->frame, &pic);
    if (st >= PZ_OK && finder)
        st = pz_wav2lip_s3fd_box(finder, pic, film->face(film->user, c->frame), found, &seen);
    if (seen && found[2] - found[0] >= 16 && found[3] - found[1] >= 16)
        box = (struct pz_wav2lip_box){(float)found[0], (float)found[1], (float)found[2], (float)found[3]};
    if (st >= PZ_OK)
        st = pz_area_picture_to_rgb(pic, box.x0, box.y0, box.x1, box.y1, &crop);
    if (st < PZ_OK)
        return st;
    struct pz_affine to_frame = pz_wav2lip_to_frame(&box, t->side);
    pz_wav2lip_high(work, crop.data, t->size, pic, &to_frame, t->side, t->row,
                    t->high + (size_t)i * pz_wav2lip_high_floats(t));
    t->pose[2 * i] = c->feature[1] * 10;
    t->pose[2 * i + 1] = c->feature[2] * 10;
    return PZ_OK;
}

enum pz_status pz_wav2lip_texture_fit(const struct pz_film *film, int size, struct pz_wav2lip_s3fd *finder,
                                      const struct pz_job *job, struct pz_wav2lip_texture **out)
{
    enum pz_status st = PZ_OK;
    struct candidates c = {0};
    struct pz_wav2lip_high_work work = {0};
    struct pz_wav2lip_texture *t = NULL;
    *out = NULL;
    PZ_TRY(gather(film, job->log, &c));
    int side = (int)(c.median_height / 32 + 0.5f) * 32, n = choose(&c, size > 96 ? MOMENTS_LARGE : MOMENTS);
    side = side < 96 ? 96 : side > 768 ? 768 : side;
    t = create(size, side, n);
    if (!t || pz_wav2lip_high_open(&work, size, side, t->row) < PZ_OK) {
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory for the speaker's texture");
        goto fail;
    }
    for (int i = 0; i < n; i++) {
        if (pz_job_cancelled(job)) {
            st = PZ_ERR_CANCELLED;
            goto fail;
        }
        PZ_TRY(cut(film, &c.list[i], finder, t, i, &work));
        pz_job_progress(job, "fit", i + 1, n);
    }
    *out = t;
    t = NULL;
fail:
    pz_wav2lip_texture_free(&t);
    pz_wav2lip_high_close(&work);
    pz_free(c.list);
    return st;
}

enum pz_status pz_wav2lip_texture_save(const struct pz_wav2lip_texture *t, const char *path,
                                       struct pz_log *log)
{
    size_t n_crop = (size_t)t->n * pz_wav2lip_crop_floats(t),
           n_high = (size_t)t->n * pz_wav2lip_high_floats(t);
    uint16_t *half = pz_calloc(n_crop + n_high, sizeof *half);
    if (!half)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for the speaker's texture");
    pz_f32_to_f16_array(t->crop, half, n_crop);
    pz_f32_to_f16_array(t->high, half + n_crop, n_high);
    const struct pz_stored_tensor tensors[] = {
        {.name = "crop",
         .dtype = PZ_DTYPE_F16,
         .rank = 4,
         .shape = {t->n, 3, t->size, t->size},
         .data = half},
        {.name = "high",
         .dtype = PZ_DTYPE_F16,
         .rank = 3,
         .shape = {t->n, t->side - t->row, t->side},
         .data = half + n_crop},
        {.name = "pose", .dtype = PZ_DTYPE_F32, .rank = 2, .shape = {t->n, 2}, .data = t->pose},
    };
    enum pz_status st = pz_safetensors_write(log, path, tensors, 3, NULL, 0);
    pz_free(half);
    return st;
}

enum pz_status pz_wav2lip_texture_load(const char *path, int size, struct pz_log *log,
                                       struct pz_wav2lip_texture **out)
{
    enum pz_status st = PZ_OK;
    struct pz_safetensors *f = NULL;
    struct pz_wav2lip_texture *t = NULL;
    const struct pz_stored_tensor *crop, *high, *pose;
    *out = NULL;
    PZ_TRY(pz_safetensors_open(log, path, &f));
    PZ_TRY(pz_safetensors_expect(log, f, "crop", PZ_DTYPE_F16, 4, (const int64_t[]){-1, 3, -1, -1}, &crop));
    int64_t n = crop->shape[0], made_for = crop->shape[2];
    PZ_TRY(pz_safetensors_expect(log, f, "high", PZ_DTYPE_F16, 3, (const int64_t[]){n, -1, -1}, &high));
    PZ_TRY(pz_safetensors_expect(log, f, "pose", PZ_DTYPE_F32, 2, (const int64_t[]){n, 2}, &pose));
    int64_t side = high->shape[2];
    if (made_for != size || crop->shape[3] != size) {
        st = pz_fail(log, PZ_ERR_FORMAT,
                     "'%s' was prepared for wav2lip weights of another size (%lld px, not %d); "
                     "prepare the film again",
                     path, (long long)made_for, size);
        goto fail;
    }
    if (n < 1 || n > 256 || side < 96 || side > 768 ||
        high->shape[1] != side - pz_wav2lip_first_row((int)side)) {
        st = pz_fail(log, PZ_ERR_FORMAT, "'%s' is not a texture: impossible sizes", path);
        goto fail;
    }
    t = create(size, (int)side, (int)n);
    if (!t) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for the speaker's texture");
        goto fail;
    }
    PZ_TRY(pz_safetensors_read_f32(log, crop, t->crop, pz_stored_count(crop)));
    PZ_TRY(pz_safetensors_read_f32(log, high, t->high, pz_stored_count(high)));
    PZ_TRY(pz_safetensors_read_f32(log, pose, t->pose, pz_stored_count(pose)));
    *out = t;
    t = NULL;
fail:
    pz_wav2lip_texture_free(&t);
    pz_safetensors_close(&f);
    return st;
}

int pz_wav2lip_texture_side(const struct pz_wav2lip_texture *t)
{
    return t->side;
}

const float *pz_wav2lip_texture_reference(const struct pz_wav2lip_texture *t, const struct pz_face *face)
{
    int best = 0;
    float least = INFINITY;
    for (int i = 0; i < t->n; i++) {
        float d = hypotf(t->pose[2 * i] - face->pose.yaw, t->pose[2 * i + 1] - face->pose.pitch);
        if (d < least) {
            least = d;
            best = i;
        }
    }
    return t->crop + (size_t)best * pz_wav2lip_crop_floats(t);
}

// Choosing, cutting, keeping and picking the moments of wav2lip:embedded. Does not bend them
// (wav2lip_compose.c).
#include "lipsync/wav2lip_moments.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/order.h"
#include "image/affine.h"
#include "nn/wav2lip_bend.h"
#include "weights/safetensors.h"

#define SIZE PZ_W2L_BEND_SIZE
#define VIEW ((size_t)4 * SIZE * SIZE)
#define SIDE_LEAST 128
#define SIDE_MOST 768
#define SHARE 5     /* a fifth of the frames is "at rest", a fifth "open": as in training */
#define CHANGE 4.0f /* price of another moment, in (10 degrees)² */
/* Px of the crop as bad as 10 degrees: that lips are wider or narrower; that an open moment is less open, so
 * that its teeth would be drawn out. */
#define WIDTH 4.0f
#define OPENING 2.0f

static const char *const kinds[2] = {"rest", "open"};

struct candidate {
    int64_t frame;
    const struct pz_face *face;
    struct pz_affine to_crop;
    float anchor[PZ_WAV2LIP_ANCHORS][2];
    float nearest; /* squared distance in pose to the chosen ones */
};

static int by_gap(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    return (x->face->lip_gap > y->face->lip_gap) - (x->face->lip_gap < y->face->lip_gap);
}

static float apart(const float a[2], float yaw, float pitch)
{
    float dy = (a[0] - yaw) / 10, dp = (a[1] - pitch) / 10;
    return dy * dy + dp * dp;
}

/* Measured faces of the fit frames with their maps; *median: px an interocular distance. */
static enum pz_status gather(const struct pz_film *film, struct pz_log *log, struct candidate **list, int *n,
                             float *median)
{
    enum pz_status st = PZ_OK;
    size_t all = (size_t)film->n_fit_frames;
    const struct pz_face **faces = pz_calloc(all + 1, sizeof *faces);
    double *times = pz_calloc(all + 1, sizeof *times);
    float *scale = pz_calloc(all + 1, sizeof *scale);
    struct pz_affine *maps = pz_calloc(all + 1, sizeof *maps);
    float(*anchor)[PZ_WAV2LIP_ANCHORS][2] = pz_calloc(all + 1, sizeof *anchor);
    *list = pz_calloc(all + 1, sizeof **list);
    *n = 0;
    if (!faces || !times || !scale || !maps || !anchor || !*list) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for the film's faces");
        goto fail;
    }
    for (size_t i = 0; i < all; i++) {
        faces[i] = film->face(film->user, film->fit_frames[i]);
        times[i] = film->frame_time(film->user, film->fit_frames[i]);
    }
    st = pz_wav2lip_crop_maps(film->topology, faces, times, (int)all, maps);
    if (st >= PZ_OK)
        st = pz_wav2lip_crop_anchors(film->topology, faces, times, (int)all, anchor);
    if (st < PZ_OK) {
        pz_fail(log, st, "wav2lip:embedded does not know the landmarks '%s'", film->topology->name);
        goto fail;
    }
    for (size_t i = 0; i < all; i++) {
        float px = PZ_W2L_BEND_SCALE / pz_affine_scale(&maps[i]);
        if (!faces[i] || faces[i]->present != 1 || !(px >= 8) || !isfinite(faces[i]->lip_gap))
            continue;
        scale[*n] = px;
        struct candidate *c = &(*list)[(*n)++];
        *c = (struct candidate){
            .frame = film->fit_frames[i], .face = faces[i], .to_crop = maps[i], .nearest = INFINITY};
        memcpy(c->anchor, anchor[i], sizeof c->anchor);
    }
    if (*n < 2) {
        st = pz_fail(log, PZ_ERR_UNUSABLE, "wav2lip:embedded: no face of enough size to learn from");
        goto fail;
    }
    qsort(scale, (size_t)*n, sizeof *scale, pz_by_float);
    *median = scale[*n / 2];
fail:
    pz_free(faces);
    pz_free(times);
    pz_free(scale);
    pz_free(maps);
    pz_free(anchor);
    return st;
}

/* The `most` candidates of list [n] that differ most in head pose, moved to its front; begins with the one
 * nearest to the mean pose. */
static int spread(struct candidate *list, int n, int most)
{
    float yaw = 0, pitch = 0, least = INFINITY;
    int chosen = 0, next = 0;
    for (int i = 0; i < n; i++) {
        yaw += list[i].face->pose.yaw / (float)n;
        pitch += list[i].face->pose.pitch / (float)n;
    }
    for (int i = 0; i < n; i++) {
        float p[2] = {list[i].face->pose.yaw, list[i].face->pose.pitch}, d = apart(p, yaw, pitch);
        if (d < least) {
            least = d;
            next = i;
        }
    }
    while (chosen < most && chosen < n) {
        struct candidate pick = list[next];
        list[next] = list[chosen];
        list[chosen++] = pick;
        next = chosen;
        for (int i = chosen; i < n; i++) {
            float p[2] = {list[i].face->pose.yaw, list[i].face->pose.pitch};
            list[i].nearest = fminf(list[i].nearest, apart(p, pick.face->pose.yaw, pick.face->pose.pitch));
            if (list[i].nearest > list[next].nearest)
                next = i;
        }
    }
    return chosen;
}

static struct pz_wav2lip_moments *create(int side, int rest, int open)
{
    struct pz_wav2lip_moments *m = pz_calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->side = side;
    for (int k = 0; k < 2; k++) {
        size_t n = (size_t)(k ? open : rest);
        m->n[k] = (int)n;
        m->fine[k] = pz_calloc(n, (size_t)side * (size_t)side * 4);
        m->view[k] = pz_calloc(n, VIEW * sizeof *m->view[k]);
        m->pose[k] = pz_calloc(n, sizeof *m->pose[k]);
        m->gap[k] = pz_calloc(n, sizeof *m->gap[k]);
        m->anchor[k] = pz_calloc(n, sizeof *m->anchor[k]);
        m->mouth[k] = pz_calloc(n, sizeof *m->mouth[k]);
        if (!m->fine[k] || !m->view[k] || !m->pose[k] || !m->gap[k] || !m->anchor[k] || !m->mouth[k])
            pz_wav2lip_moments_free(&m);
        if (!m)
            return NULL;
    }
    return m;
}

void pz_wav2lip_moments_free(struct pz_wav2lip_moments **mp)
{
    struct pz_wav2lip_moments *m = *mp;
    if (!m)
        return;
    for (int k = 0; k < 2; k++) {
        pz_free(m->fine[k]);
        pz_free(m->view[k]);
        pz_free(m->pose[k]);
        pz_free(m->gap[k]);
        pz_free(m->anchor[k]);
        pz_free(m->mouth[k]);
    }
    pz_free(m);
    *mp = NULL;
}

static enum pz_status cut(const struct pz_film *film, const struct pz_wav2lip_speaker *speaker,
                          const struct candidate *c, struct pz_wav2lip_moments *m, int kind, int i,
                          float *room)
{
    const struct pz_picture *pic;
    size_t n = (size_t)m->side * (size_t)m->side;
    float(*mouth)[2] = m->mouth[kind][i], lips[PZ_WAV2LIP_LIPS][2], *view = m->view[kind] + (size_t)i * VIEW;
    uint8_t *fine = m->fine[kind] + (size_t)i * n * 4;
    enum pz_status st = film->picture(film->user, c->frame, &pic);
    if (st >= PZ_OK)
        st = pz_wav2lip_crop_cut(pic, &c->to_crop, m->side, m->side, true, room);
    if (st >= PZ_OK)
        st = pz_wav2lip_crop_cut(pic, &c->to_crop, SIZE, SIZE, false, view);
    if (st >= PZ_OK)
        st = pz_wav2lip_speaker_seen(speaker, film->topology, c->face, mouth);
    if (st < PZ_OK)
        return st;
    for (int k = 0; k < PZ_W2L_BEND_POINTS; k++)
        pz_affine_apply(&c->to_crop, mouth[k][0], mouth[k][1], &mouth[k][0], &mouth[k][1]);
    for (size_t k = 0; k < n; k++)
        for (size_t ch = 0; ch < 3; ch++)
            fine[k * 4 + ch] = (uint8_t)(fminf(fmaxf(room[ch * n + k], 0), 1) * 255 + 0.5f);
    pz_wav2lip_crop_lips(film->topology, c->face, &c->to_crop, lips);
    m->pose[kind][i][0] = c->face->pose.yaw;
    m->pose[kind][i][1] = c->face->pose.pitch;
    m->gap[kind][i] = c->face->lip_gap;
    memcpy(m->anchor[kind][i], c->anchor, sizeof c->anchor);
    return pz_wav2lip_crop_mark((const float(*)[2])lips, view + (size_t)3 * SIZE * SIZE);
}

enum pz_status pz_wav2lip_moments_fit(const struct pz_film *film, const struct pz_wav2lip_speaker *speaker,
                                      const struct pz_job *job, struct pz_wav2lip_moments **out)
{
    enum pz_status st = PZ_OK;
    struct candidate *list = NULL;
    struct pz_wav2lip_moments *m = NULL;
    float *room = NULL, median = 0;
    int n = 0;
    *out = NULL;
    PZ_TRY(gather(film, job->log, &list, &n, &median));
    qsort(list, (size_t)n, sizeof *list, by_gap);
    int share = n / SHARE > 1 ? n / SHARE : 1;
    struct candidate *from[2] = {list, list + n - share};
    int kept[2] = {spread(from[0], share, PZ_WAV2LIP_MOMENTS), spread(from[1], share, PZ_WAV2LIP_MOMENTS)};
    int side = (int)(median * SIZE / PZ_W2L_BEND_SCALE / 32 + 0.5f) * 32;
    side = side < SIDE_LEAST ? SIDE_LEAST : side > SIDE_MOST ? SIDE_MOST : side;
    m = create(side, kept[0], kept[1]);
    room = pz_calloc((size_t)side * (size_t)side, 3 * sizeof *room);
    if (!m || !room) {
        st = pz_fail(job->log, PZ_ERR_NOMEM, "no memory for the speaker's moments");
        goto fail;
    }
    for (int k = 0, done = 0; k < 2; k++)
        for (int i = 0; i < kept[k]; i++) {
            if (pz_job_cancelled(job)) {
                st = PZ_ERR_CANCELLED;
                goto fail;
            }
            PZ_TRY(cut(film, speaker, &from[k][i], m, k, i, room));
            pz_job_progress(job, "fit", ++done, kept[0] + kept[1]);
        }
    *out = m;
    m = NULL;
fail:
    pz_wav2lip_moments_free(&m);
    pz_free(room);
    pz_free(list);
    return st;
}

/* ---- file ---- */

enum pz_status pz_wav2lip_moments_save(const struct pz_wav2lip_moments *m, const char *path,
                                       struct pz_log *log)
{
    enum { EACH = 6 };
    struct pz_stored_tensor t[2 * EACH];
    static const char *const names[2][EACH] = {
        {"rest.fine", "rest.view", "rest.pose", "rest.gap", "rest.anchor", "rest.mouth"},
        {"open.fine", "open.view", "open.pose", "open.gap", "open.anchor", "open.mouth"}};
    for (int k = 0; k < 2; k++) {
        int64_t n = m->n[k];
        t[EACH * k] =
            (struct pz_stored_tensor){names[k][0], PZ_DTYPE_U8, 4, {n, m->side, m->side, 4}, m->fine[k], 0};
        t[EACH * k + 1] =
            (struct pz_stored_tensor){names[k][1], PZ_DTYPE_F32, 4, {n, 4, SIZE, SIZE}, m->view[k], 0};
        t[EACH * k + 2] = (struct pz_stored_tensor){names[k][2], PZ_DTYPE_F32, 2, {n, 2}, m->pose[k], 0};
        t[EACH * k + 3] = (struct pz_stored_tensor){names[k][3], PZ_DTYPE_F32, 1, {n}, m->gap[k], 0};
        t[EACH * k + 4] = (struct pz_stored_tensor){
            names[k][4], PZ_DTYPE_F32, 3, {n, PZ_WAV2LIP_ANCHORS, 2}, m->anchor[k], 0};
        t[EACH * k + 5] = (struct pz_stored_tensor){
            names[k][5], PZ_DTYPE_F32, 3, {n, PZ_W2L_BEND_POINTS, 2}, m->mouth[k], 0};
    }
    return pz_safetensors_write(log, path, t, 2 * EACH, NULL, 0);
}

static enum pz_status expect(struct pz_log *log, const struct pz_safetensors *f, int kind, const char *leaf,
                             enum pz_dtype dtype, int rank, const int64_t *shape,
                             const struct pz_stored_tensor **t)
{
    char name[32];
    size_t k = strlen(kinds[kind]);
    memcpy(name, kinds[kind], k);
    name[k] = '.';
    memcpy(name + k + 1, leaf, strlen(leaf) + 1);
    return pz_safetensors_expect(log, f, name, dtype, rank, shape, t);
}

enum pz_status pz_wav2lip_moments_load(const char *path, struct pz_log *log, struct pz_wav2lip_moments **out)
{
    enum pz_status st = PZ_OK;
    struct pz_safetensors *f = NULL;
    struct pz_wav2lip_moments *m = NULL;
    const struct pz_stored_tensor *fine[2], *t;
    *out = NULL;
    PZ_TRY(pz_safetensors_open(log, path, &f));
    for (int k = 0; k < 2; k++)
        PZ_TRY(expect(log, f, k, "fine", PZ_DTYPE_U8, 4, (const int64_t[]){-1, -1, -1, 4}, &fine[k]));
    int64_t side = fine[0]->shape[1], n[2] = {fine[0]->shape[0], fine[1]->shape[0]};
    for (int k = 0; k < 2; k++)
        if (n[k] < 1 || n[k] > PZ_WAV2LIP_MOMENTS || side < SIDE_LEAST || side > SIDE_MOST ||
            fine[k]->shape[1] != side || fine[k]->shape[2] != side) {
            st = pz_fail(log, PZ_ERR_FORMAT, "'%s' holds no moments: impossible sizes", path);
            goto fail;
        }
    m = create((int)side, (int)n[0], (int)n[1]);
    if (!m) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for the speaker's moments");
        goto fail;
    }
    for (int k = 0; k < 2; k++) {
        memcpy(m->fine[k], fine[k]->data, pz_stored_count(fine[k]));
        PZ_TRY(expect(log, f, k, "view", PZ_DTYPE_F32, 4, (const int64_t[]){n[k], 4, SIZE, SIZE}, &t));
        PZ_TRY(pz_safetensors_read_f32(log, t, m->view[k], pz_stored_count(t)));
        PZ_TRY(expect(log, f, k, "pose", PZ_DTYPE_F32, 2, (const int64_t[]){n[k], 2}, &t));
        PZ_TRY(pz_safetensors_read_f32(log, t, m->pose[k][0], pz_stored_count(t)));
        PZ_TRY(expect(log, f, k, "gap", PZ_DTYPE_F32, 1, (const int64_t[]){n[k]}, &t));
        PZ_TRY(pz_safetensors_read_f32(log, t, m->gap[k], pz_stored_count(t)));
        PZ_TRY(
            expect(log, f, k, "anchor", PZ_DTYPE_F32, 3, (const int64_t[]){n[k], PZ_WAV2LIP_ANCHORS, 2}, &t));
        PZ_TRY(pz_safetensors_read_f32(log, t, m->anchor[k][0][0], pz_stored_count(t)));
        PZ_TRY(
            expect(log, f, k, "mouth", PZ_DTYPE_F32, 3, (const int64_t[]){n[k], PZ_W2L_BEND_POINTS, 2}, &t));
        PZ_TRY(pz_safetensors_read_f32(log, t, m->mouth[k][0][0], pz_stored_count(t)));
    }
    *out = m;
    m = NULL;
fail:
    pz_wav2lip_moments_free(&m);
    pz_safetensors_close(&f);
    return st;
}

/* ---- choosing ---- */

/* Between the corners, crop px. */
static float width_of(const float (*mouth)[2])
{
    return hypotf(mouth[10][0] - mouth[0][0], mouth[10][1] - mouth[0][1]);
}

/* Between the middles of the inner lips, crop px. */
static float opening_of(const float (*mouth)[2])
{
    return hypotf(mouth[35][0] - mouth[25][0], mouth[35][1] - mouth[25][1]);
}

static float unlike(const struct pz_wav2lip_moments *m, int kind, int j, const struct pz_face *face,
                    const float (*mouth)[2])
{
    const float(*own)[2] = (const float(*)[2])m->mouth[kind][j];
    float d = (width_of(own) - width_of(mouth)) / WIDTH,
          less = kind == 1 ? fmaxf(opening_of(mouth) - opening_of(own), 0) / OPENING : 0,
          cost = d * d + less * less;
    return apart(m->pose[kind][j], face->pose.yaw, face->pose.pitch) + (isfinite(cost) ? cost : 0);
}

enum pz_status pz_wav2lip_moments_choose(const struct pz_wav2lip_moments *m,
                                         const struct pz_face *const *faces,
                                         const float (*mouth)[PZ_W2L_BEND_POINTS][2], int n, int (*chosen)[2])
{
    enum { MOST = PZ_WAV2LIP_MOMENTS };
    uint8_t(*from)[MOST] = pz_calloc((size_t)n + 1, sizeof *from);
    if (!from)
        return PZ_ERR_NOMEM;
    for (int k = 0; k < 2; k++) {
        float cost[MOST] = {0}, next[MOST];
        for (int i = 0; i < n; i++) {
            int best = 0;
            for (int j = 1; j < m->n[k]; j++)
                best = cost[j] < cost[best] ? j : best;
            for (int j = 0; j < m->n[k]; j++) {
                bool change = cost[best] + CHANGE < cost[j];
                from[i][j] = (uint8_t)(change ? best : j);
                next[j] = (change ? cost[best] + CHANGE : cost[j]) + unlike(m, k, j, faces[i], mouth[i]);
            }
            memcpy(cost, next, sizeof cost);
        }
        int at = 0;
        for (int j = 1; j < m->n[k]; j++)
            at = cost[j] < cost[at] ? j : at;
        for (int i = n - 1; i >= 0; i--) {
            chosen[i][k] = at;
            at = from[i][at];
        }
    }
    pz_free(from);
    return PZ_OK;
}

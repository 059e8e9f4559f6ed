/*
 * Motion space and model in one safetensors file. Loading trusts nothing: shapes, indices, and that every
 * number is finite are checked before anything is used.
 */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "lipsync/motion_model.h"
#include "weights/safetensors.h"

#define VERSION "pz-motion-2"
#define MAX_TENSORS 32
#define LIMIT 1e6f /* no honest number in the file is larger */

/* One list serves writing and reading, so that the two cannot disagree. */
struct entry {
    const char *name;
    void *data;
    int64_t shape[3];
    int rank;
    bool integer;
};

static int list(struct pz_motion_space *s, struct pz_motion_model *m, struct entry *e)
{
    int64_t k = s->n_components, p = s->n_points, n = m->n;
    const struct entry all[] = {
        {"space.mean", s->mean, {p, 3}, 2, false},
        {"space.basis", s->basis, {k, p, 3}, 3, false},
        {"space.weight", s->weight, {p}, 1, false},
        {"space.pairs", s->pairs, {s->n_pairs, 2}, 2, true},
        {"space.rigid", s->rigid, {s->n_rigid}, 1, true},
        {"space.corner", s->corner, {2}, 1, true},
        {"space.rigid_center", s->rigid_center, {3}, 1, false},
        {"space.lo", s->lo, {k}, 1, false},
        {"space.hi", s->hi, {k}, 1, false},
        {"space.deviation", s->deviation, {k}, 1, false},
        {"space.gap_g", s->gap_g, {k}, 1, false},
        {"space.gap_0", &s->gap_0, {1}, 1, false},
        {"space.gap_closed", &s->gap_closed, {1}, 1, false},
        {"space.gap_open", &s->gap_open, {1}, 1, false},
        {"space.rms_left", &s->rms_left, {1}, 1, false},
        {"model.sound", m->sound, {n, PZ_SOUND_DIM}, 2, false},
        {"model.phones", m->phones, {n, PZ_VIS_COUNT}, 2, false},
        {"model.alpha", m->alpha, {n, k}, 2, false},
        {"model.beta", m->beta, {n, k}, 2, false},
        {"model.kernel", &m->sound_gain, {3}, 1, false}, /* sound_gain, phone_gain, phone_gain_2 */
        {"model.targets", m->targets, {PZ_VIS_COUNT, PZ_MOTION_MAX}, 2, false},
        {"model.mean", m->mean, {PZ_MOTION_MAX}, 1, false},
        {"model.center", m->center, {PZ_MOTION_MAX}, 1, false},
        {"model.gain", m->gain, {PZ_MOTION_MAX}, 1, false},
        {"model.mix", &m->phone_share, {2}, 1, false}, /* phone_share, lag_s */
        {"model.cep_mean", m->cep_mean, {PZ_SOUND_CEPSTRA}, 1, false},
        {"model.cep_std", m->cep_std, {PZ_SOUND_CEPSTRA}, 1, false},
        {"model.pose_mean", m->pose_mean, {3}, 1, false},
        {"model.pose_gain", m->pose_gain, {3, PZ_MOTION_MAX}, 2, false},
        {"model.anchored", &m->anchored, {1}, 1, false},
        {"model.rest", m->rest, {PZ_MOTION_MAX}, 1, false},
        {"model.quiet", &m->quiet, {3}, 1, false}, /* quiet, cv_r, cv_error */
    };
    _Static_assert(sizeof all / sizeof all[0] <= MAX_TENSORS, "list is longer than its buffers");
    memcpy(e, all, sizeof all);
    return (int)(sizeof all / sizeof all[0]);
}

/* Neighbouring members of a struct are stored as one tensor: they must lie without holes. */
_Static_assert(offsetof(struct pz_motion_model, phone_gain_2) ==
                   offsetof(struct pz_motion_model, sound_gain) + 2 * sizeof(float),
               "kernel numbers are contiguous");
_Static_assert(offsetof(struct pz_motion_model, lag_s) ==
                   offsetof(struct pz_motion_model, phone_share) + sizeof(float),
               "mix numbers are contiguous");
_Static_assert(offsetof(struct pz_motion_model, cv_error) ==
                   offsetof(struct pz_motion_model, quiet) + 2 * sizeof(float),
               "figures are contiguous");

enum pz_status pz_motion_save(const char *path, const struct pz_motion_space *space,
                              const struct pz_motion_model *model, struct pz_log *log)
{
    struct entry e[MAX_TENSORS];
    struct pz_stored_tensor t[MAX_TENSORS] = {0};
    /* the list hands out writable pointers for the reader; writing only reads through them */
    int n = list((struct pz_motion_space *)space, (struct pz_motion_model *)model, e);
    for (int i = 0; i < n; i++) {
        t[i].name = e[i].name;
        t[i].dtype = e[i].integer ? PZ_DTYPE_I32 : PZ_DTYPE_F32;
        t[i].rank = e[i].rank;
        memcpy(t[i].shape, e[i].shape, sizeof e[i].shape);
        t[i].data = e[i].data;
    }
    struct pz_stored_text meta[] = {{"format", VERSION}, {"topology", space->topology}};
    return pz_safetensors_write(log, path, t, n, meta, 2);
}

/* Extent `axis` of a tensor, within [1, max]; 0 when absent or out of range. */
static int extent(const struct pz_safetensors *st, const char *name, int axis, int max)
{
    const struct pz_stored_tensor *t = pz_safetensors_find(st, name);
    if (!t || t->rank <= axis || t->shape[axis] < 1 || t->shape[axis] > max)
        return 0;
    return (int)t->shape[axis];
}

static enum pz_status read_all(const struct pz_safetensors *file, const struct entry *e, int n,
                               struct pz_log *log)
{
    enum pz_status st = PZ_OK;
    for (int i = 0; i < n; i++) {
        const struct pz_stored_tensor *t;
        PZ_TRY(pz_safetensors_expect(log, file, e[i].name, e[i].integer ? PZ_DTYPE_I32 : PZ_DTYPE_F32,
                                     e[i].rank, e[i].shape, &t));
        size_t count = pz_stored_count(t);
        memcpy(e[i].data, t->data, count * 4);
        if (e[i].integer)
            continue;
        const float *x = e[i].data;
        for (size_t j = 0; j < count; j++)
            if (!(fabsf(x[j]) <= LIMIT))
                return pz_fail(log, PZ_ERR_FORMAT, "motion: %s holds a number that cannot be", e[i].name);
    }
fail:
    return st;
}

static bool sane(const struct pz_motion_space *s, const struct pz_motion_model *m)
{
    bool ok = true;
    for (int i = 0; i < s->n_pairs; i++)
        for (int j = 0; j < 2; j++)
            ok = ok && s->pairs[i][j] >= 0 && s->pairs[i][j] < s->n_points;
    for (int i = 0; i < s->n_rigid; i++)
        ok = ok && s->rigid[i] >= 0 && s->rigid[i] < s->n_points;
    for (int i = 0; i < 2; i++)
        ok = ok && s->corner[i] >= 0 && s->corner[i] < s->n_points;
    for (int k = 0; k < s->n_components; k++)
        ok = ok && s->lo[k] <= s->hi[k];
    for (int c = 0; c < PZ_SOUND_CEPSTRA; c++)
        ok = ok && m->cep_std[c] > 0;
    ok = ok && m->sound_gain >= 0 && m->phone_gain >= 0 && m->phone_gain_2 >= 0 && m->phone_share >= 0 &&
         m->phone_share <= 1 && fabsf(m->lag_s) <= 1;
    return ok;
}

enum pz_status pz_motion_load(const char *path, struct pz_log *log, struct pz_motion_space **space,
                              struct pz_motion_model **model)
{
    struct pz_safetensors *file = NULL;
    struct pz_motion_space *s = NULL;
    struct pz_motion_model *m = NULL;
    struct entry e[MAX_TENSORS];
    enum pz_status st = PZ_OK;
    *space = NULL;
    *model = NULL;
    PZ_TRY(pz_safetensors_open(log, path, &file));
    const char *format = pz_safetensors_text(file, "format"),
               *topology = pz_safetensors_text(file, "topology");
    int points = extent(file, "space.mean", 0, PZ_FACE_MAX_POINTS),
        k = extent(file, "space.basis", 0, PZ_MOTION_MAX);
    int samples = extent(file, "model.sound", 0, PZ_MOTION_MAX_SAMPLES);
    int pairs = extent(file, "space.pairs", 0, PZ_MOTION_MAX_PAIRS);
    int rigid = extent(file, "space.rigid", 0, PZ_MOTION_MAX_RIGID);
    if (!format || strcmp(format, VERSION) != 0 || !topology || strlen(topology) >= sizeof s->topology ||
        !points || !k || !samples || !pairs || !rigid) {
        st = pz_fail(log, PZ_ERR_FORMAT, "%s: not a motion file of this version", path);
        goto fail;
    }
    s = pz_motion_space_create(points, k);
    m = pz_motion_model_create(samples, k);
    st = PZ_ERR_NOMEM;
    if (!s || !m)
        goto fail;
    memcpy(s->topology, topology, strlen(topology) + 1);
    s->n_pairs = pairs;
    s->n_rigid = rigid;
    PZ_TRY(read_all(file, e, list(s, m, e), log));
    if (!sane(s, m)) {
        st = pz_fail(log, PZ_ERR_FORMAT, "%s: motion file with impossible contents", path);
        goto fail;
    }
    *space = s;
    *model = m;
    s = NULL;
    m = NULL;
fail:
    pz_motion_space_free(&s);
    pz_motion_model_free(&m);
    pz_safetensors_close(&file);
    return st;
}

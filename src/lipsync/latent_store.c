// Store of latents, boxes and masks by film frame: one safetensors file.
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "lipsync/latents.h"
#include "weights/safetensors.h"

#define MAX_ITEMS 100000
#define MAX_META 16

struct pz_latent_store {
    struct pz_latent_layout layout;
    int n, room;
    int64_t *frame;
    float *box, *pose, *latent;
    uint8_t *mask;
    struct pz_safetensors *file; /* for its texts */
};

static size_t item_floats(const struct pz_latent_layout *l)
{
    return (size_t)l->kinds * (size_t)l->floats;
}

enum pz_status pz_latent_store_create(const struct pz_latent_layout *l, int n, struct pz_log *log,
                                      struct pz_latent_store **out)
{
    struct pz_latent_store *s = pz_calloc(1, sizeof *s);
    size_t room = (size_t)n + 1;
    *out = NULL;
    if (s) {
        s->layout = *l;
        s->room = n;
        s->frame = pz_calloc(room, sizeof *s->frame);
        s->box = pz_calloc(room, 4 * sizeof *s->box);
        s->pose = pz_calloc(room, 2 * sizeof *s->pose);
        s->latent = pz_calloc(room, (item_floats(l) + 1) * sizeof *s->latent);
        s->mask = pz_calloc(room, (size_t)l->mask_bytes + 1);
    }
    if (!s || !s->frame || !s->box || !s->pose || !s->latent || !s->mask) {
        pz_latent_store_free(&s);
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for the latents of %d frames", n);
    }
    *out = s;
    return PZ_OK;
}

void pz_latent_store_free(struct pz_latent_store **s)
{
    if (!*s)
        return;
    pz_free((*s)->frame);
    pz_free((*s)->box);
    pz_free((*s)->pose);
    pz_free((*s)->latent);
    pz_free((*s)->mask);
    pz_safetensors_close(&(*s)->file);
    pz_free(*s);
    *s = NULL;
}

enum pz_status pz_latent_store_add(struct pz_latent_store *s, const struct pz_latent_item *item)
{
    size_t i = (size_t)s->n, bytes = (size_t)s->layout.mask_bytes;
    if (s->n >= s->room || (s->n && item->frame <= s->frame[s->n - 1]))
        return PZ_ERR_USAGE;
    s->frame[i] = item->frame;
    memcpy(s->box + 4 * i, item->box, sizeof item->box);
    memcpy(s->pose + 2 * i, item->pose, sizeof item->pose);
    memcpy(s->latent + i * item_floats(&s->layout), item->latent, item_floats(&s->layout) * sizeof(float));
    if (bytes)
        memcpy(s->mask + i * bytes, item->mask, bytes);
    s->n++;
    return PZ_OK;
}

enum pz_status pz_latent_store_save(const struct pz_latent_store *s, const char *path,
                                    const char *const (*meta)[2], int n_meta, struct pz_log *log)
{
    const struct pz_latent_layout *l = &s->layout;
    struct pz_stored_text text[MAX_META];
    const struct pz_stored_tensor tensors[] = {
        {.name = "box", .dtype = PZ_DTYPE_F32, .rank = 2, .shape = {s->n, 4}, .data = s->box},
        {.name = "frame", .dtype = PZ_DTYPE_I64, .rank = 1, .shape = {s->n}, .data = s->frame},
        {.name = "latent",
         .dtype = PZ_DTYPE_F32,
         .rank = 3,
         .shape = {s->n, l->kinds, l->floats},
         .data = s->latent},
        {.name = "mask", .dtype = PZ_DTYPE_U8, .rank = 2, .shape = {s->n, l->mask_bytes}, .data = s->mask},
        {.name = "pose", .dtype = PZ_DTYPE_F32, .rank = 2, .shape = {s->n, 2}, .data = s->pose},
    };
    if (n_meta > MAX_META)
        return pz_fail(log, PZ_ERR_USAGE, "too many texts for '%s'", path);
    for (int i = 0; i < n_meta; i++)
        text[i] = (struct pz_stored_text){meta[i][0], meta[i][1]};
    return pz_safetensors_write(log, path, tensors, 5, text, n_meta);
}

static bool ascends(const struct pz_latent_store *s, bool place)
{
    for (int i = 0; i < s->n; i++) {
        const float *b = s->box + 4 * i;
        if (i && s->frame[i] <= s->frame[i - 1])
            return false;
        for (int k = 0; k < 4; k++)
            if (!(fabsf(b[k]) < 1e5f))
                return false;
        if (!place && (!(b[2] - b[0] >= 1) || !(b[3] - b[1] >= 1)))
            return false;
    }
    return true;
}

enum pz_status pz_latent_store_load(const char *path, const struct pz_latent_layout *l, struct pz_log *log,
                                    struct pz_latent_store **out)
{
    enum pz_status st = PZ_OK;
    struct pz_safetensors *f = NULL;
    struct pz_latent_store *s = NULL;
    const struct pz_stored_tensor *t[5];
    *out = NULL;
    PZ_TRY(pz_safetensors_open(log, path, &f));
    PZ_TRY(pz_safetensors_expect(log, f, "frame", PZ_DTYPE_I64, 1, (const int64_t[]){-1}, &t[0]));
    int64_t n = t[0]->shape[0];
    PZ_TRY(pz_safetensors_expect(log, f, "box", PZ_DTYPE_F32, 2, (const int64_t[]){n, 4}, &t[1]));
    PZ_TRY(pz_safetensors_expect(log, f, "pose", PZ_DTYPE_F32, 2, (const int64_t[]){n, 2}, &t[2]));
    PZ_TRY(pz_safetensors_expect(log, f, "latent", PZ_DTYPE_F32, 3, (const int64_t[]){n, l->kinds, l->floats},
                                 &t[3]));
    PZ_TRY(pz_safetensors_expect(log, f, "mask", PZ_DTYPE_U8, 2, (const int64_t[]){n, l->mask_bytes}, &t[4]));
    if (n > MAX_ITEMS) {
        st = pz_fail(log, PZ_ERR_FORMAT, "'%s' holds too many frames", path);
        goto fail;
    }
    PZ_TRY(pz_latent_store_create(l, (int)n, log, &s));
    s->n = (int)n;
    void *const to[5] = {s->frame, s->box, s->pose, s->latent, s->mask};
    for (int i = 0; i < 5; i++)
        if (t[i]->n_bytes)
            memcpy(to[i], t[i]->data, t[i]->n_bytes);
    if (!ascends(s, l->place)) {
        st = pz_fail(log, PZ_ERR_FORMAT, "'%s': frames or boxes that cannot be", path);
        goto fail;
    }
    s->file = f;
    f = NULL;
    *out = s;
    s = NULL;
fail:
    pz_latent_store_free(&s);
    pz_safetensors_close(&f);
    return st;
}

int pz_latent_store_count(const struct pz_latent_store *s)
{
    return s->n;
}

struct pz_latent_item pz_latent_store_at(const struct pz_latent_store *s, int i)
{
    size_t k = (size_t)i;
    struct pz_latent_item out = {.frame = s->frame[k],
                                 .latent = s->latent + k * item_floats(&s->layout),
                                 .mask = s->mask + k * (size_t)s->layout.mask_bytes};
    memcpy(out.box, s->box + 4 * k, sizeof out.box);
    memcpy(out.pose, s->pose + 2 * k, sizeof out.pose);
    return out;
}

int pz_latent_store_find(const struct pz_latent_store *s, int64_t frame)
{
    int lo = 0, hi = s->n;
    while (lo < hi) {
        int mid = lo + (hi - lo) / 2;
        if (s->frame[mid] < frame)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < s->n && s->frame[lo] == frame ? lo : -1;
}

int pz_latent_store_nearest(const struct pz_latent_store *s, float yaw, float pitch)
{
    int best = s->n ? 0 : -1;
    float least = INFINITY;
    for (int i = 0; i < s->n; i++) {
        float d = hypotf(s->pose[2 * i] - yaw, s->pose[2 * i + 1] - pitch);
        if (d < least) {
            least = d;
            best = i;
        }
    }
    return best;
}

const char *pz_latent_store_text(const struct pz_latent_store *s, const char *key)
{
    return s->file ? pz_safetensors_text(s->file, key) : NULL;
}

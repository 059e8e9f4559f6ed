#include "trained_latentsync.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "image/metrics.h"
#include "nn/sd_block.h"
#include "nn/sd_unet.h"
#include "tensor/plan.h"
#include "weights/checkpoint.h"
#include "weights/safetensors.h"

enum { F = PZ_LATENTSYNC_WINDOW, P = TRAINED_PLACES, TOKENS = 10, CROSS = 24, MOST = 1024, C0 = 32 };

struct trained {
    struct pz_stored_tensor tensor[MOST];
    char names[MOST][160];
    float *values[MOST];
    int n, at;
    struct pz_plan *plan[2]; /* last layer only, whole with both branches */
    struct pz_session *session[2];
};

/* ---- the file ---- */

struct reading {
    const uint8_t *p;
    size_t left;
};

static bool take(struct reading *r, void *to, size_t n)
{
    if (r->left < n)
        return false;
    memcpy(to, r->p, n);
    r->p += n;
    r->left -= n;
    return true;
}

static bool read_tensor(struct trained *t, struct reading *r)
{
    struct pz_stored_tensor *x = &t->tensor[t->n];
    uint8_t length, rank, rows;
    uint32_t dim;
    size_t count = 1;
    if (!take(r, &length, 1) || length > 159 || !take(r, t->names[t->n], length) || !take(r, &rank, 1) ||
        rank < 1 || rank > 4)
        return false;
    *x = (struct pz_stored_tensor){.name = t->names[t->n], .dtype = PZ_DTYPE_F32, .rank = rank};
    for (int i = 0; i < rank; i++) {
        if (!take(r, &dim, 4) || dim < 1 || dim > 1 << 20 || count > (1u << 24) / dim)
            return false;
        x->shape[i] = (int)dim;
        count *= dim;
    }
    float *v = t->values[t->n] = pz_calloc(count, sizeof *v);
    x->data = v;
    t->n++;
    if (!v || !take(r, &rows, 1))
        return false;
    if (!rows)
        return take(r, v, count * sizeof *v);
    size_t n = (size_t)x->shape[0], row = count / n;
    float *scale = pz_calloc(n, sizeof *scale);
    bool ok = scale && take(r, scale, n * sizeof *scale) && r->left >= count;
    for (size_t i = 0; i < count && ok; i++)
        v[i] = scale[i / row] * (float)(int8_t)r->p[i];
    if (ok) {
        r->p += count;
        r->left -= count;
    }
    pz_free(scale);
    return ok;
}

static bool read_all(struct trained *t, const char *path)
{
    char *data = NULL, magic[8];
    struct reading r = {0};
    uint32_t n = 0;
    bool ok = pz_file_read(NULL, path, (size_t)8 << 20, &data, &r.left) >= PZ_OK;
    r.p = (const uint8_t *)data;
    ok = ok && take(&r, magic, 8) && !memcmp(magic, "PZTENSOR", 8) && take(&r, &n, 4) && n <= MOST;
    for (uint32_t i = 0; i < n && ok; i++)
        ok = read_tensor(t, &r);
    pz_free(data);
    return ok;
}

static const float *find(const struct trained *t, const char *name)
{
    for (int i = 0; i < t->n; i++)
        if (!strcmp(t->names[i], name))
            return t->values[i];
    return NULL;
}

static const float *numbered(const struct trained *t, const char *what, int k)
{
    char name[64];
    snprintf(name, sizeof name, "test.%s.%d", what, k);
    return find(t, name);
}

/* ---- the network ---- */

static bool build(struct trained *t, const struct pz_checkpoint *c, bool whole)
{
    static const char *const rest[] = {"down_blocks.*",
                                       "mid_block.*",
                                       "up_blocks.[012].*",
                                       "up_blocks.3.resnets.0*",
                                       "up_blocks.3.attentions.0*",
                                       "up_blocks.3.motion_modules.0*",
                                       "test.*",
                                       NULL};
    struct pz_sd_unet_config k = {.in = 13,
                                  .out = 4,
                                  .channels = {C0, 32, 32, 32},
                                  .layers = 1,
                                  .heads = 2,
                                  .cross = CROSS,
                                  .groups = 8,
                                  .attention = {true, true, false, false},
                                  .motion = true,
                                  .motion_heads = 2};
    int n = whole ? 2 * F : F, deep;
    struct pz_graph *g = pz_graph_create(NULL);
    struct pz_params *p = pz_params_create(
        g, &(struct pz_params_options){.checkpoint = c, .ignore = whole ? rest + 6 : rest}, NULL);
    int x = pz_graph_input(g, "x", (struct pz_shape){4, {F, 16, 16, 13}});
    int audio = pz_graph_input(g, "audio", (struct pz_shape){3, {n, TOKENS, CROSS}});
    int time = pz_graph_input(g, "time", (struct pz_shape){2, {1, C0}});
    if (whole) {
        pz_graph_output(g, "out", pz_sd_unet_whole(p, &k, x, time, audio, F, &deep));
        pz_graph_output(g, "deep", pz_nn_slice(p, deep, (int[]){F, 0, 0, 0}, (int[]){F, 16, 16, C0}));
    } else {
        deep = pz_graph_input(g, "deep", (struct pz_shape){4, {n, 16, 16, C0}});
        pz_graph_output(g, "out", pz_sd_unet_shallow(p, &k, x, deep, time, audio, F));
    }
    bool ok = pz_params_finish(p) == PZ_OK;
    pz_params_destroy(&p);
    ok = ok && pz_plan_create(&g, &pz_plan_default, NULL, &t->plan[whole]) == PZ_OK &&
         pz_session_create(t->plan[whole], NULL, &t->session[whole]) == PZ_OK;
    pz_graph_destroy(&g);
    return ok;
}

struct trained *trained_open(const char *path)
{
    struct trained *t = pz_calloc(1, sizeof *t);
    struct pz_checkpoint *c = NULL;
    char copy[64];
    if (!t)
        return NULL;
    snprintf(copy, sizeof copy, "/tmp/pz-trained-%d.safetensors", (int)getpid());
    bool ok = read_all(t, path) && pz_safetensors_write(NULL, copy, t->tensor, t->n, NULL, 0) >= PZ_OK &&
              pz_checkpoint_open(copy, NULL, &c) >= PZ_OK && build(t, c, true) && build(t, c, false) &&
              pz_session_join(t->session[0], "deep", t->session[1], "deep") >= PZ_OK &&
              find(t, "test.mask") && find(t, "test.mean") && find(t, "test.basis");
    for (int k = 0; k < TRAINED_WINDOWS; k++)
        ok = ok && numbered(t, "truth", k) && numbered(t, "reference", k) && numbered(t, "sound", k);
    pz_checkpoint_close(&c);
    unlink(copy);
    if (!ok)
        trained_close(&t);
    return t;
}

void trained_close(struct trained **tp)
{
    struct trained *t = *tp;
    if (!t)
        return;
    for (int i = 0; i < 2; i++) {
        pz_session_destroy(&t->session[i]);
        pz_plan_destroy(&t->plan[i]);
    }
    for (int i = 0; i < t->n; i++)
        pz_free(t->values[i]);
    pz_free(t);
    *tp = NULL;
}

/* Rows of the file are channels: value `i` of `n`, channel `c`. */
static float channel(const float *rows, size_t n, size_t i, size_t c)
{
    return rows[c * n + i];
}

void trained_window(struct trained *t, int k)
{
    const float *truth = numbered(t, "truth", k), *reference = numbered(t, "reference", k),
                *mask = find(t, "test.mask");
    t->at = k;
    for (int s = 0; s < 2; s++) {
        float *x = pz_session_input(t->session[s], "x", 0).data;
        for (size_t i = 0; i < (size_t)F * P; i++) {
            x[i * 13 + 4] = mask[i % P];
            for (size_t c = 0; c < 4; c++) {
                x[i * 13 + 5 + c] = mask[i % P] * channel(truth, (size_t)F * P, i, c);
                x[i * 13 + 9 + c] = channel(reference, (size_t)F * P, i, c);
            }
        }
    }
}

static enum pz_status predict(void *user, double time, bool whole, const float *z, float *quiet, float *heard)
{
    struct trained *t = user;
    struct pz_session *s = t->session[whole];
    const float *sound = numbered(t, "sound", t->at);
    float *x = pz_session_input(s, "x", 0).data, *audio = pz_session_input(s, "audio", 0).data;
    size_t branch = (size_t)F * TOKENS * CROSS, rows = (size_t)F * TOKENS;
    for (size_t i = 0; i < (size_t)F * P; i++)
        memcpy(x + i * 13, z + i * 4, 4 * sizeof *x);
    if (whole)
        memset(audio, 0, branch * sizeof *audio);
    for (size_t i = 0; i < branch; i++)
        audio[(whole ? branch : 0) + i] = channel(sound, rows, i / CROSS, i % CROSS);
    pz_sd_time_embedding(time, C0, pz_session_input(s, "time", 0).data);
    enum pz_status st = pz_session_run(s, NULL);
    const float *out = pz_session_output(s, "out", 0).data;
    if (quiet)
        memcpy(quiet, out, TRAINED_FLOATS * sizeof *quiet);
    memcpy(heard, out + (whole ? TRAINED_FLOATS : 0), TRAINED_FLOATS * sizeof *heard);
    return st;
}

struct pz_latentsync_net trained_net(struct trained *t)
{
    return (struct pz_latentsync_net){t, predict};
}

/* ---- pictures ---- */

const float *trained_truth(const struct trained *t, int k)
{
    static float z[TRAINED_FLOATS];
    const float *rows = numbered(t, "truth", k);
    for (size_t i = 0; i < TRAINED_FLOATS; i++)
        z[i] = channel(rows, (size_t)F * P, i / 4, i % 4);
    return z;
}

void trained_pictures(const struct trained *t, const float *latents, float *out)
{
    const float *mean = find(t, "test.mean"), *basis = find(t, "test.basis");
    for (int f = 0; f < F; f++)
        for (int y = 0; y < 64; y++)
            for (int x = 0; x < 64; x++)
                for (int k = 0; k < 3; k++) {
                    const float *z = latents + ((size_t)f * P + (size_t)(y / 4 * 16 + x / 4)) * 4;
                    int at = (y % 4 * 4 + x % 4) * 3 + k;
                    float v = mean[at];
                    for (int c = 0; c < 4; c++)
                        v += z[c] * basis[c * 48 + at];
                    out[((f * 3 + k) * 64 + y) * 64 + x] = (v + 1) * 127.5f;
                }
}

void trained_compare(const float *a, const float *b, double *psnr, double *ssim)
{
    enum { X = 4, Y = 24, W = 56, H = 36 };
    static float p[W * H], q[W * H];
    double sum = 0, like = 0;
    for (int f = 0; f < F; f++) {
        for (int i = 0; i < W * H; i++) {
            const float share[3] = {0.299f, 0.587f, 0.114f};
            p[i] = q[i] = 0;
            for (int k = 0; k < 3; k++) {
                int at = ((f * 3 + k) * 64 + Y + i / W) * 64 + X + i % W;
                float u = fminf(fmaxf(a[at], 0), 255), v = fminf(fmaxf(b[at], 0), 255);
                sum += (double)(u - v) * (u - v);
                p[i] += share[k] * u;
                q[i] += share[k] * v;
            }
        }
        double one = 0;
        if (pz_metric_ssim(p, q, W, H, 255, &one) >= PZ_OK)
            like += one / F;
    }
    *ssim = like;
    *psnr = 10 * log10(255.0 * 255 / (sum / (3.0 * F * W * H)));
}

// Configurations of official diffusion networks.
#include "lipsync/diffusers_config.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

#define MAX_BYTES ((size_t)1 << 20)

struct reader {
    json_t *root;
    const char *path;
    struct pz_log *log;
    enum pz_status st;
};

static enum pz_status open_file(struct reader *r, const char *path, struct pz_log *log)
{
    char *text = NULL;
    size_t n = 0;
    json_error_t e;
    *r = (struct reader){.path = path, .log = log};
    enum pz_status st = pz_file_read(log, path, MAX_BYTES, &text, &n);
    if (st < PZ_OK)
        return st;
    r->root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
    pz_free(text);
    if (!json_is_object(r->root)) {
        json_decref(r->root);
        return pz_fail(log, PZ_ERR_FORMAT, "'%s' is not a configuration: line %d: %s", path, e.line,
                       r->root ? "no object" : e.text);
    }
    return PZ_OK;
}

static void whole(struct reader *r, const json_t *v, const char *key, int lo, int hi, int *out)
{
    if (!v || r->st < PZ_OK)
        return;
    if (!json_is_integer(v) || json_integer_value(v) < lo || json_integer_value(v) > hi)
        r->st = pz_fail(r->log, PZ_ERR_FORMAT, "'%s': \"%s\" must be a whole number from %d to %d", r->path,
                        key, lo, hi);
    else
        *out = (int)json_integer_value(v);
}

static void number(struct reader *r, const char *key, int lo, int hi, int *out)
{
    whole(r, json_object_get(r->root, key), key, lo, hi, out);
}

static void widths(struct reader *r, int out[4])
{
    const json_t *a = json_object_get(r->root, "block_out_channels");
    if (!a || r->st < PZ_OK)
        return;
    if (json_array_size(a) != 4)
        r->st = pz_fail(r->log, PZ_ERR_UNSUPPORTED, "'%s': \"block_out_channels\" must hold four numbers",
                        r->path);
    for (size_t i = 0; i < 4; i++)
        whole(r, json_array_get(a, i), "block_out_channels", 8, 8192, &out[i]);
}

/* Group norms must divide every width, heads every attention's. */
static void divides(struct reader *r, const int channels[4], int by, const char *what)
{
    for (int i = 0; i < 4 && r->st >= PZ_OK; i++)
        if (channels[i] % by)
            r->st = pz_fail(r->log, PZ_ERR_FORMAT, "'%s': %d channels cannot be shared out among %d %s",
                            r->path, channels[i], by, what);
}

enum pz_status pz_diffusers_unet(const char *path, const struct pz_sd_unet_config *usual, struct pz_log *log,
                                 struct pz_sd_unet_config *c)
{
    struct reader r;
    *c = *usual;
    if (!path || !pz_file_exists(path))
        return PZ_OK;
    enum pz_status st = open_file(&r, path, log);
    if (st < PZ_OK)
        return st;
    number(&r, "in_channels", 1, 64, &c->in);
    number(&r, "out_channels", 1, 64, &c->out);
    number(&r, "layers_per_block", 1, 8, &c->layers);
    number(&r, "attention_head_dim", 1, 64, &c->heads);
    number(&r, "cross_attention_dim", 1, 8192, &c->cross);
    number(&r, "norm_num_groups", 1, 256, &c->groups);
    widths(&r, c->channels);
    const json_t *blocks = json_object_get(r.root, "down_block_types");
    for (size_t i = 0; blocks && i < 4 && r.st >= PZ_OK; i++) {
        const char *name = json_string_value(json_array_get(blocks, i));
        c->attention[i] = name && strcmp(name, "CrossAttnDownBlock2D") == 0;
        if (!name || (!c->attention[i] && strcmp(name, "DownBlock2D") != 0))
            r.st =
                pz_fail(log, PZ_ERR_UNSUPPORTED, "'%s': no block of kind '%s' here", path, name ? name : "");
    }
    divides(&r, c->channels, c->groups, "groups");
    divides(&r, c->channels, c->heads, "heads");
    json_decref(r.root);
    return r.st;
}

enum pz_status pz_diffusers_vae(const char *path, const struct pz_sd_vae_config *usual, struct pz_log *log,
                                struct pz_sd_vae_config *c)
{
    struct reader r;
    *c = *usual;
    if (!path || !pz_file_exists(path))
        return PZ_OK;
    enum pz_status st = open_file(&r, path, log);
    if (st < PZ_OK)
        return st;
    number(&r, "layers_per_block", 1, 8, &c->layers);
    number(&r, "latent_channels", 1, 64, &c->latent);
    number(&r, "norm_num_groups", 1, 256, &c->groups);
    widths(&r, c->channels);
    const json_t *scale = json_object_get(r.root, "scaling_factor");
    if (scale && r.st >= PZ_OK && !(fabs(json_number_value(scale) - (double)PZ_SD_VAE_SCALE) < 1e-4))
        r.st = pz_fail(log, PZ_ERR_UNSUPPORTED, "'%s': \"scaling_factor\" must be %g", path,
                       (double)PZ_SD_VAE_SCALE);
    divides(&r, c->channels, c->groups, "groups");
    json_decref(r.root);
    return r.st;
}

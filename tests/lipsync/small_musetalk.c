#include "small_musetalk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "nn/bisenet.h"
#include "nn/sd_block.h"
#include "nn/sd_unet.h"
#include "nn/sd_vae.h"
#include "nn/whisper.h"
#include "weights/safetensors.h"

struct small {
    struct pz_sd_unet_config unet;
    struct pz_sd_vae_config vae;
    struct pz_whisper_dims whisper;
};

static struct small sizes(bool full)
{
    struct small s = {.unet = pz_musetalk_unet,
                      .vae = pz_sd_vae_default,
                      .whisper = {80, 51865, 1500, 384, 6, 4, 448, 384, 6, 4, true}};
    static const int narrow[4] = {16, 32, 64, 64};
    if (full)
        return s;
    memcpy(s.unet.channels, narrow, sizeof narrow);
    memcpy(s.vae.channels, narrow, sizeof narrow);
    s.unet.groups = s.vae.groups = 8;
    s.unet.heads = 2;
    s.unet.cross = 64;
    s.whisper = (struct pz_whisper_dims){80, 50, 1500, 64, 1, 2, 16, 64, 1, 1, true};
    return s;
}

enum net { UNET, VAE, WHISPER, PARSER };

static int input(struct pz_graph *g, const char *name, int rank, int a, int b, int c, int d)
{
    return pz_graph_input(g, name, (struct pz_shape){rank, {a, b, c, d}});
}

static void build(enum net net, const struct small *s, struct pz_graph *g, struct pz_params *p)
{
    struct pz_bisenet_outputs classes;
    struct pz_whisper_layer decoder[8];
    float time[2048];
    int mean, logvar;
    if (net == UNET) {
        pz_sd_time_embedding(0, s->unet.channels[0], time);
        int t = pz_nn_const(p, (struct pz_shape){2, {1, s->unet.channels[0]}}, time);
        pz_graph_output(g, "out",
                        pz_sd_unet(p, &s->unet, input(g, "x", 4, 1, 32, 32, 8), t,
                                   input(g, "a", 3, 1, 10, s->unet.cross, 0), 1));
    } else if (net == VAE) {
        pz_sd_vae_encode(p, &s->vae, input(g, "x", 4, 1, 64, 64, 3), &mean, &logvar);
        pz_graph_output(g, "mean", mean);
        pz_graph_output(g, "out", pz_sd_vae_decode(p, &s->vae, input(g, "z", 4, 1, 8, 8, 4)));
    } else if (net == WHISPER) {
        for (int i = 0; i < 8; i++)
            decoder[i] =
                (struct pz_whisper_layer){PZ_NONE, PZ_NONE, PZ_NONE, PZ_NONE, PZ_NONE, PZ_NONE, PZ_NONE};
        pz_graph_output(g, "out",
                        pz_nn_whisper_encoder(p, &s->whisper, input(g, "x", 4, 1, 1, 3000, 80), NULL));
        pz_nn_whisper_decoder(p, &s->whisper, PZ_NONE, PZ_NONE, PZ_NONE, PZ_NONE, decoder);
    } else {
        pz_bisenet_build(p, true, input(g, "x", 4, 1, 64, 64, 3), &classes);
        pz_graph_output(g, "out", classes.main);
    }
}

/* Values of a tensor; the parser's last layer is made to prefer skin everywhere. */
static float *values(const struct pz_params *p, int i, const struct pz_param_info *q, size_t n)
{
    float *x = pz_calloc(n, sizeof *x);
    if (!x)
        return NULL;
    pz_params_rule(p, i, 0, n, x);
    if (strcmp(q->name, "conv_out.conv_out.weight") == 0)
        for (size_t k = 0; k < n; k++)
            x[k] = k / (n / 19) == 1 ? 1.0f : -1.0f;
    return x;
}

static bool write_net(enum net net, const struct small *s, const char *path, enum small_damage damage)
{
    struct pz_graph *g = pz_graph_create(NULL);
    struct pz_params *p = g ? pz_params_create(g, &(struct pz_params_options){0}, NULL) : NULL;
    bool done = p != NULL;
    if (done) {
        build(net, s, g, p);
        done = pz_params_finish(p) == PZ_OK;
    }
    int n = done ? pz_params_count(p) : 0, m = 0;
    struct pz_stored_tensor *t = pz_calloc((size_t)n + 1, sizeof *t);
    for (int i = 0; i < n && t && done; i++) {
        struct pz_param_info q = pz_params_at(p, i);
        size_t count = 1;
        if (net == VAE && damage == SMALL_VAE_LACKS && strcmp(q.name, "decoder.conv_in.bias") == 0)
            continue;
        t[m].name = pz_asprintf("%s%s", net == WHISPER ? "model." : "", q.name);
        t[m].rank = q.rank;
        for (int k = 0; k < q.rank; k++)
            count *= (size_t)(t[m].shape[k] = q.shape[k]);
        t[m].data = values(p, i, &q, count);
        if (net == UNET && damage == SMALL_UNET_SHAPE &&
            strcmp(q.name, "mid_block.resnets.1.norm2.bias") == 0)
            t[m].shape[0]--; // one value too few
        done = t[m].name && t[m].data;
        m++;
    }
    done = done && t && pz_safetensors_write(NULL, path, t, m, NULL, 0) == PZ_OK;
    for (int i = 0; i < m; i++) {
        pz_free((void *)(uintptr_t)t[i].name);
        pz_free((void *)(uintptr_t)t[i].data);
    }
    pz_free(t);
    pz_params_destroy(&p);
    pz_graph_destroy(&g);
    return done;
}

static bool write_text(const char *folder, const char *name, const char *text)
{
    char *path = pz_path_join(folder, name);
    bool done = path && pz_file_write(NULL, path, text, strlen(text)) == PZ_OK;
    pz_free(path);
    return done;
}

static bool make_folder(const char *folder, const char *name)
{
    char *path = pz_path_join(folder, name);
    bool done = path && pz_make_dirs(NULL, path) == PZ_OK;
    pz_free(path);
    return done;
}

bool small_musetalk_write(const char *folder, bool v15, bool full, enum small_damage damage)
{
    const struct small s = sizes(full);
    const char *own = v15 ? "musetalkV15" : "musetalk";
    char text[1024], *unet = pz_asprintf("%s/%s/%s", folder, own, v15 ? "unet.pth" : "pytorch_model.bin");
    char *vae = pz_asprintf("%s/sd-vae/diffusion_pytorch_model.bin", folder);
    char *whisper = pz_asprintf("%s/whisper/pytorch_model.bin", folder);
    char *parser = pz_asprintf("%s/face-parse-bisent/79999_iter.pth", folder);
    snprintf(text, sizeof text,
             "{\"in_channels\": 8, \"out_channels\": 4, \"block_out_channels\": [%d, %d, %d, %d],\n"
             " \"norm_num_groups\": %d, \"attention_head_dim\": %d, \"cross_attention_dim\": %d,\n"
             " \"down_block_types\": [\"CrossAttnDownBlock2D\", \"CrossAttnDownBlock2D\",\n"
             "  \"CrossAttnDownBlock2D\", \"DownBlock2D\"], \"layers_per_block\": 2}\n",
             s.unet.channels[0], s.unet.channels[1], s.unet.channels[2], s.unet.channels[3], s.unet.groups,
             s.unet.heads, s.unet.cross);
    bool done = make_folder(folder, own) && make_folder(folder, "sd-vae") && make_folder(folder, "whisper") &&
                make_folder(folder, "face-parse-bisent") &&
                write_text(folder, v15 ? "musetalkV15/musetalk.json" : "musetalk/musetalk.json", text);
    snprintf(text, sizeof text,
             "{\"block_out_channels\": [%d, %d, %d, %d], \"norm_num_groups\": %d, \"latent_channels\": 4,\n"
             " \"layers_per_block\": 2, \"scaling_factor\": 0.18215}\n",
             s.vae.channels[0], s.vae.channels[1], s.vae.channels[2], s.vae.channels[3], s.vae.groups);
    done = done && unet && vae && whisper && parser && write_text(folder, "sd-vae/config.json", text) &&
           write_net(UNET, &s, unet, damage) && write_net(VAE, &s, vae, damage) &&
           write_net(WHISPER, &s, whisper, damage) && write_net(PARSER, &s, parser, damage);
    pz_free(unet);
    pz_free(vae);
    pz_free(whisper);
    pz_free(parser);
    return done;
}

#include "small_latentsync.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "lipsync/latentsync_sample.h"
#include "nn/sd_unet.h"
#include "nn/sd_vae.h"
#include "nn/whisper.h"
#include "rule_file.h"

enum net { UNET, VAE, WHISPER };

static void build(enum net net, bool full, struct pz_graph *g, struct pz_params *p)
{
    static const int narrow[4] = {32, 64, 64, 64};
    if (net == UNET) {
        struct pz_sd_unet_config c = pz_latentsync_unet;
        if (!full) {
            memcpy(c.channels, narrow, sizeof narrow);
            c.cross = 64;
        }
        int x = pz_graph_input(g, "x", (struct pz_shape){4, {PZ_LATENTSYNC_WINDOW, 8, 8, 13}});
        int a = pz_graph_input(g, "a", (struct pz_shape){3, {PZ_LATENTSYNC_WINDOW, 10, c.cross}});
        int t = pz_graph_input(g, "t", (struct pz_shape){2, {1, c.channels[0]}});
        pz_graph_output(g, "out", pz_sd_unet(p, &c, x, t, a, PZ_LATENTSYNC_WINDOW));
    } else if (net == VAE) {
        struct pz_sd_vae_config c = pz_sd_vae_default;
        int mean, logvar;
        if (!full)
            memcpy(c.channels, narrow, sizeof narrow);
        pz_sd_vae_encode(p, &c, pz_graph_input(g, "x", (struct pz_shape){4, {1, 64, 64, 3}}), &mean, &logvar);
        pz_graph_output(g, "mean", mean);
        pz_graph_output(g, "out",
                        pz_sd_vae_decode(p, &c, pz_graph_input(g, "z", (struct pz_shape){4, {1, 8, 8, 4}})));
    } else {
        struct pz_whisper_dims d = {80, 51865, 1500, 384, 6, 4, 448, 384, 6, 4, false};
        struct pz_whisper_layer decoder[8];
        if (!full)
            d = (struct pz_whisper_dims){80, 50, 1500, 64, 1, 2, 16, 64, 1, 1, false};
        for (int i = 0; i < 8; i++)
            decoder[i] =
                (struct pz_whisper_layer){PZ_NONE, PZ_NONE, PZ_NONE, PZ_NONE, PZ_NONE, PZ_NONE, PZ_NONE};
        pz_graph_output(g, "out",
                        pz_nn_whisper_encoder(
                            p, &d, pz_graph_input(g, "x", (struct pz_shape){4, {1, 1, 3000, 80}}), NULL));
        pz_nn_whisper_decoder(p, &d, PZ_NONE, PZ_NONE, PZ_NONE, PZ_NONE, decoder);
    }
}

static bool write_net(enum net net, bool full, const char *folder, const char *name, const char *without,
                      const char *longer)
{
    char path[512];
    struct pz_graph *g = pz_graph_create(NULL);
    struct pz_params *p = pz_params_create(g, &(struct pz_params_options){0}, NULL);
    bool done = p != NULL;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (done) {
        build(net, full, g, p);
        done = pz_params_finish(p) == PZ_OK && rule_file_write(path, p, without, longer) == 0;
    }
    pz_params_destroy(&p);
    pz_graph_destroy(&g);
    return done;
}

static bool write_text(const char *folder, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return pz_file_write(NULL, path, text, strlen(text)) == PZ_OK;
}

bool small_latentsync_write(const char *folder, bool full, const char *without, const char *longer)
{
    static const char *const folders[] = {"latentsync", "sd-vae", "whisper"};
    char path[512];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, folders[i]);
        if (pz_make_dirs(NULL, path) < PZ_OK)
            return false;
    }
    if (!full &&
        (!write_text(folder, "latentsync/config.yaml", "data:\n  num_frames: 16\n  resolution: 64\n") ||
         !write_text(folder, "sd-vae/config.json",
                     "{\"block_out_channels\": [32, 64, 64, 64], \"norm_num_groups\": 32,\n"
                     " \"latent_channels\": 4, \"layers_per_block\": 2}\n")))
        return false;
    return write_net(UNET, full, folder, "latentsync/latentsync_unet.pt", without, longer) &&
           write_net(VAE, full, folder, "sd-vae/diffusion_pytorch_model.safetensors", NULL, NULL) &&
           write_net(WHISPER, full, folder, "whisper/tiny.pt", NULL, NULL);
}

bool small_latentsync_whisper(const char *folder)
{
    char path[512];
    snprintf(path, sizeof path, "%s/whisper", folder);
    return pz_make_dirs(NULL, path) >= PZ_OK &&
           write_net(WHISPER, true, folder, "whisper/tiny.pt", NULL, NULL);
}

/* The networks nn_bench knows, at their published sizes, and their parameters by rule as a file. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "nn/bisenet.h"
#include "nn/layer.h"
#include "nn/sd_block.h"
#include "nn/sd_unet.h"
#include "nn/sd_vae.h"
#include "nn/wav2lip.h"
#include "nn/wav2lip_bend.h"
#include "nn/whisper.h"
#include "nn_bench.h"
#include "tensor/half.h"

static int input(struct pz_params *p, const char *name, int rank, int a, int b, int c, int d)
{
    return pz_graph_input(pz_params_graph(p), name, (struct pz_shape){rank, {a, b, c, d}});
}

static void output(struct pz_params *p, const char *name, int v)
{
    pz_graph_output(pz_params_graph(p), name, v);
}

static void musetalk_unet(struct pz_params *p, int batch, int size)
{
    float e[320];
    int x = input(p, "latent", 4, batch, size, size, 8), a = input(p, "audio", 3, batch, 50, 384, 0);
    pz_sd_time_embedding(0, 320, e);
    int t = pz_nn_const(p, (struct pz_shape){2, {1, 320}}, e);
    output(p, "out", pz_sd_unet(p, &pz_musetalk_unet, x, t, a, 1));
}

/* Both branches of the guidance, 16 frames each; `batch` counts pairs. */
static void latentsync_unet(struct pz_params *p, int batch, int size)
{
    int n = 2 * 16 * batch;
    int x = input(p, "latent", 4, n, size, size, 13), a = input(p, "audio", 3, n, 50, 384, 0);
    int t = input(p, "time", 2, 1, 320, 0, 0);
    output(p, "out", pz_sd_unet(p, &pz_latentsync_unet, x, t, a, 16));
}

static void vae_decoder(struct pz_params *p, int batch, int size)
{
    output(p, "picture",
           pz_sd_vae_decode(p, &pz_sd_vae_default, input(p, "latent", 4, batch, size, size, 4)));
}

static void vae_encoder(struct pz_params *p, int batch, int size)
{
    int mean, logvar;
    pz_sd_vae_encode(p, &pz_sd_vae_default, input(p, "picture", 4, batch, size, size, 3), &mean, &logvar);
    output(p, "mean", mean);
    output(p, "logvar", logvar);
}

static void wav2lip(struct pz_params *p, int batch, int size)
{
    struct pz_wav2lip_config c = pz_wav2lip_published(1);
    int mel = input(p, "mel", 4, batch, 80, 16, 1), face = input(p, "face", 4, batch, size, size, 6);
    output(p, "picture", pz_wav2lip_face(p, &c, pz_wav2lip_audio(p, &c, mel), face, NULL));
}

static void bisenet(struct pz_params *p, int batch, int size)
{
    struct pz_bisenet_outputs o;
    pz_bisenet_build(p, false, input(p, "picture", 4, batch, size, size, 3), &o);
    output(p, "classes", o.main);
}

static void wav2lip_bend(struct pz_params *p, int batch, int size)
{
    int flow, look, mel = input(p, "mel", 4, batch, 80, PZ_W2L_BEND_COLUMNS, 1);
    int face = input(p, "face", 4, batch, size, size, PZ_W2L_BEND_INPUTS);
    int wish = input(p, "wish", 4, batch, 1, 1, PZ_W2L_BEND_WISH);
    output(p, "mouth", pz_wav2lip_bend_audio(p, mel));
    pz_wav2lip_bend_face(p, wish, face, &flow, &look);
    output(p, "flow", flow);
    output(p, "look", look);
}

/* `size`: rows of the encoder's result, 1500 for 30 s of sound. */
static void whisper_tiny(struct pz_params *p, int batch, int size)
{
    struct pz_whisper_dims d = {.bands = 80,
                                .vocab = 51865,
                                .audio_ctx = size,
                                .audio_state = 384,
                                .audio_heads = 6,
                                .audio_layers = 4};
    output(p, "audio", pz_nn_whisper_encoder(p, &d, input(p, "mel", 4, batch, 1, 2 * size, 80), NULL));
}

static const char *const decoder_names[] = {"decoder.*", NULL};

const struct net nets[] = {
    {"musetalk_unet", "MuseTalk's UNet, latent 32, audio 50x384, t = 0", 32, musetalk_unet, NULL},
    {"vae_decoder", "sd-vae-ft-mse, latent 32 to 256x256", 32, vae_decoder, pz_sd_vae_decoder_only},
    {"vae_encoder", "sd-vae-ft-mse, 256x256 to latent", 256, vae_encoder, pz_sd_vae_encoder_only},
    {"wav2lip", "Wav2Lip, 96x96", 96, wav2lip, NULL},
    {"bisenet", "MuseTalk's face parser, 512x512", PZ_BISENET_SIDE, bisenet, pz_bisenet_aux_names},
    {"wav2lip_bend", "wav2lip:embedded, 128x128", PZ_W2L_BEND_SIZE, wav2lip_bend, NULL},
    {"whisper_tiny_encoder", "Whisper tiny's encoder, 30 s", 1500, whisper_tiny, decoder_names},
    {"latentsync_unet", "LatentSync's UNet, 2 x 16 frames, latent 64", 64, latentsync_unet, NULL},
};
const int n_nets = (int)(sizeof nets / sizeof *nets);

#define BLOCK 65536

static bool put_values(FILE *f, const struct pz_params *p, int i, enum pz_dtype type)
{
    static float wide[BLOCK];
    static uint16_t half[BLOCK];
    struct pz_param_info e = pz_params_at(p, i);
    size_t n = 1, m;
    for (int k = 0; k < e.rank; k++)
        n *= (size_t)e.shape[k];
    for (size_t at = 0; at < n; at += m) {
        m = n - at < BLOCK ? n - at : BLOCK;
        pz_params_rule(p, i, at, m, wide);
        if (type == PZ_DTYPE_F16)
            pz_f32_to_f16_array(wide, half, m);
        if (fwrite(type == PZ_DTYPE_F16 ? (void *)half : (void *)wide, pz_dtype_size(type), m, f) != m)
            return false;
    }
    return true;
}

/* The JSON header, padded so that the data start on a multiple of 64; freed by the caller. */
static char *header(const struct pz_params *p, enum pz_dtype type, size_t *length)
{
    size_t room = 4096 + (size_t)pz_params_count(p) * 700, at = 0, from = 0;
    char *h = pz_calloc(room, 1);
    for (int i = 0; h && i < pz_params_count(p); i++) {
        struct pz_param_info e = pz_params_at(p, i);
        size_t n = pz_dtype_size(type);
        at += (size_t)snprintf(h + at, room - at, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", i ? "," : "{",
                               e.name, pz_dtype_name(type));
        for (int k = 0; k < e.rank; k++) {
            n *= (size_t)e.shape[k];
            at += (size_t)snprintf(h + at, room - at, "%s%d", k ? "," : "", e.shape[k]);
        }
        at += (size_t)snprintf(h + at, room - at, "],\"data_offsets\":[%zu,%zu]}", from, from + n);
        from += n;
    }
    if (!h)
        return NULL;
    h[at++] = '}';
    while ((at + 8) % 64)
        h[at++] = ' ';
    *length = at;
    return h;
}

enum pz_status save_by_rule(const struct net *net, const char *path, enum pz_dtype type, struct pz_log *log)
{
    struct pz_graph *g = pz_graph_create(log);
    struct pz_params *p = pz_params_create(g, NULL, log);
    FILE *f = fopen(path, "wb");
    size_t n = 0;
    char *h = NULL;
    net->build(p, 1, net->size);
    enum pz_status st = pz_params_finish(p);
    if (st >= PZ_OK)
        h = header(p, type, &n);
    uint64_t length = n;
    bool ok = f && h && fwrite(&length, 8, 1, f) == 1 && fwrite(h, 1, n, f) == n;
    for (int i = 0; ok && i < pz_params_count(p); i++)
        ok = put_values(f, p, i, type);
    if (f && fclose(f) != 0)
        ok = false;
    pz_free(h);
    pz_params_destroy(&p);
    pz_graph_destroy(&g);
    return st < PZ_OK ? st : ok ? PZ_OK : pz_fail(log, PZ_ERR_WRITE, "'%s' could not be written", path);
}

/**
 * Blocks of Stable Diffusion 1's UNet and VAE, as diffusers names them. All take the parameter tree at the
 * scope of the module itself. Pictures are [N,H,W,C]; N = batch, or batch · frames for LatentSync.
 *
 * Source  spec/musetalk.md §3.2, §4; spec/latentsync.md §3.
 */
#ifndef PZ_NN_SD_BLOCK_H
#define PZ_NN_SD_BLOCK_H

#include "nn/layer.h"

struct pz_sd_resnet {
    int out;    /**< channels out; another number than in brings conv_shortcut */
    int groups; /**< of both norms */
    float eps;
    int time; /**< value [1,T]: the time embedding behind its SiLU; PZ_NONE: the block has no time_emb_proj */
    bool time_fixed; /**< `time` follows from constants: its projection becomes part of conv1's bias */
    int frames; /**< > 1: the norms' statistics run over so many successive pictures (LatentSync); else 0 */
};

/** norm1, SiLU, conv1 (+ time_emb_proj), norm2, SiLU, conv2, + shortcut. The time projection is added
 * behind conv1, or folded into its bias. */
int pz_sd_resnet(struct pz_params *p, int x, const struct pz_sd_resnet *r);

/** Group norm whose statistics run over `frames` successive pictures, 0 or 1: each picture on its own. */
int pz_sd_group_norm(struct pz_params *p, const char *name, int x, int groups, float eps, enum pz_act act,
                     int frames);

/** One multi-head attention module: to_q, to_k, to_v without bias, to_out.0 with. x [N,T,C] asks, `context`
 * [N,S,K] answers. */
int pz_sd_attention(struct pz_params *p, int x, int context, int heads);

/** ff: to 8C, GEGLU, back to C; parameters net.0.proj, net.2. x [..,C]. */
int pz_sd_feed_forward(struct pz_params *p, int x);

/** x [N,…] again and again until there are `n` of it, a multiple of N: [n,…]. */
int pz_sd_tile(struct pz_params *p, int x, int n);

/** Transformer2DModel with one block: norm (eps 1e-6), proj_in, self attention, cross attention to `context`
 * [M,S,K], feed-forward, proj_out, + x. x [N,…], M a multiple of N: the same pictures with other contexts
 * are computed once as far as the context is not asked, and the result is [M,…]. */
int pz_sd_transformer(struct pz_params *p, int x, int context, int heads, int groups);

/** Motion module of AnimateDiff as LatentSync has it, scope `temporal_transformer`: per-frame norm (32
 * groups), then two attentions over the frames of each pixel and a feed-forward. x [B·frames,H,W,C]; at most
 * 24 frames. */
int pz_sd_motion(struct pz_params *p, int x, int frames, int heads);

/** Attention of the VAE: one head over all pixels, old names (query, key, value, proj_attn) accepted. */
int pz_sd_vae_attention(struct pz_params *p, int x, int groups);

/** Nearest ×2, then the 3×3 convolution `name`. */
int pz_sd_upsample(struct pz_params *p, const char *name, int x);

/** Sinusoidal embedding of timestep `t`, cosines first, `n` values (even). */
void pz_sd_time_embedding(double t, int n, float *out);

/** Interleaved sinusoids of transformers: out[row][2k] = sin(row·w_k), [2k+1] = cos(row·w_k), w_k =
 * 10000^(−2k/c); rows × c values. */
void pz_sd_positions(int rows, int c, float *out);

#endif

/**
 * Stable Diffusion 1's UNet as MuseTalk and LatentSync use it: UNet2DConditionModel, and the same network
 * with motion modules between its blocks (LatentSync's UNet3DConditionModel).
 *
 * Source  spec/musetalk.md §3, spec/latentsync.md §3.
 */
#ifndef PZ_NN_SD_UNET_H
#define PZ_NN_SD_UNET_H

#include "nn/layer.h"

struct pz_sd_unet_config {
    int in, out;       /**< channels */
    int channels[4];   /**< block_out_channels */
    int layers;        /**< layers_per_block */
    int heads;         /**< "attention_head_dim" of the published configurations is the number of heads */
    int cross;         /**< cross_attention_dim */
    int groups;        /**< of all norms but the motion modules' (always 32) */
    bool attention[4]; /**< transformers in down block i, and in up block 3 − i; the mid block has one */
    bool motion;       /**< motion modules behind every layer of every down and up block */
    int motion_heads;
};

/** MuseTalk 1.0 and 1.5 (musetalk.json), and LatentSync 1.5 and 1.6. */
extern const struct pz_sd_unet_config pz_musetalk_unet, pz_latentsync_unet;

/**
 * x [B·frames,h,w,in] (h, w multiples of 8) → [B·frames,h,w,out].
 *
 * time     value [1, channels[0]]: pz_sd_time_embedding() as a constant (everything that follows from it is
 *          folded when the plan is made) or as an input
 * context  audio of each picture [B·frames,S,cross]; a multiple of x's pictures: the same ones heard with
 *          other sounds (guidance), computed once as far as no sound is heard, and as many results
 * frames   1 for pictures on their own; with `motion` the frames of one window, at most 24: resnet norms and
 *          the output norm then take their statistics over all of them, as published
 */
int pz_sd_unet(struct pz_params *p, const struct pz_sd_unet_config *c, int x, int time, int context,
               int frames);

/**
 * The same in two parts, for samplers that reuse what changes little from step to step (DeepCache, branch 0;
 * spec/latentsync.md §9). The whole network also gives `*deep` [B·frames,h,w,channels[0]], what goes into its
 * last layer beside the first convolution's result; the shallow one takes it and computes only that
 * convolution, the last layer and the output. Handed its own `deep` it gives the same as the whole one.
 */
int pz_sd_unet_whole(struct pz_params *p, const struct pz_sd_unet_config *c, int x, int time, int context,
                     int frames, int *deep);
int pz_sd_unet_shallow(struct pz_params *p, const struct pz_sd_unet_config *c, int x, int deep, int time,
                       int context, int frames);

/** Names of a file that the shallow part leaves over (layers = 2). */
extern const char *const pz_sd_unet_deep_only[];

#endif

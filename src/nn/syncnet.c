// The two branches of SyncNet and the score over a film. Cutting films into windows is the caller's work.
#include "nn/syncnet.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/order.h"
#include "nn/layer.h"

#define SHIFT 15 /* windows before and behind */

const struct pz_syncnet_config pz_syncnet_published = {.audio = {64, 192, 384, 256, 256, 512},
                                                       .lip = {96, 256, 256, 256, 256, 512},
                                                       .hidden = 512,
                                                       .out = PZ_SYNCNET_WIDTH};
const char *const pz_syncnet_audio_names[] = {"netcnnaud.*", "netfcaud.*", NULL};
const char *const pz_syncnet_lip_names[] = {"netcnnlip.*", "netfclip.*", NULL};

/* Where the convolutions stand in the published Sequential; the norm is the next entry. */
static const int place[6] = {0, 4, 8, 11, 14, 18};

static int maxpool(struct pz_params *p, int x, int stride_y, int stride_x, int pad)
{
    struct pz_attrs a = {
        .kernel = {3, 3}, .stride = {stride_y, stride_x}, .dilation = {1, 1}, .pad = {pad, pad, pad, pad}};
    return pz_graph_op(pz_params_graph(p), PZ_OP_MAXPOOL, &a, &x, 1);
}

/* Linear, norm, ReLU, Linear: the head of both branches. */
static int head(struct pz_params *p, const char *name, const struct pz_syncnet_config *c, int x)
{
    int w, b, k = pz_nn_dim(p, x, 1) * pz_nn_dim(p, x, 2) * pz_nn_dim(p, x, 3);
    x = pz_nn_reshape(p, x, (struct pz_shape){.rank = 2, .dim = {pz_nn_dim(p, x, 0), k}});
    pz_params_push(p, "%s", name);
    pz_params_get_folded(
        p,
        &(struct pz_param){.name = "0.weight", .layout = PZ_PARAM_DENSE, .rank = 2, .shape = {c->hidden, k}},
        "0.bias", "1", 1e-5f, &w, &b);
    x = pz_graph_op(pz_params_graph(p), PZ_OP_FULLY_CONNECTED, &(struct pz_attrs){.act = PZ_ACT_RELU},
                    (const int[]){x, w, b}, 3);
    x = pz_nn_dense(p, "3", x, c->out, true);
    pz_params_pop(p);
    return x;
}

int pz_syncnet_audio(struct pz_params *p, const struct pz_syncnet_config *c, int mfcc)
{
    int x = mfcc;
    pz_params_push(p, "netcnnaud");
    for (int i = 0; i < 6; i++) {
        char conv[16], norm[16];
        bool last = i == 5;
        snprintf(conv, sizeof conv, "%d", place[i]);
        snprintf(norm, sizeof norm, "%d", place[i] + 1);
        x = pz_nn_conv2d(p, conv, x,
                         &(struct pz_nn_conv){.out = c->audio[i],
                                              .kernel = {last ? 5 : 3, last ? 4 : 3},
                                              .pad = {!last, !last, !last, !last},
                                              .norm = norm,
                                              .act = PZ_ACT_RELU});
        if (i == 1)
            x = maxpool(p, x, 1, 2, 0);
        if (i == 4)
            x = maxpool(p, x, 2, 2, 0);
    }
    pz_params_pop(p);
    return head(p, "netfcaud", c, x);
}

/* A layer of the lip branch: a 3-D convolution that sees all the frames there are, five at first, then one.
 * Done as one over pictures; the weights are turned when the plan is made. */
static int lip_layer(struct pz_params *p, int i, int out, int frames, int k, int stride, int pad, int x)
{
    struct pz_graph *g = pz_params_graph(p);
    int w, b, in = pz_nn_dim(p, x, -1) / frames;
    char weight[24], bias[24], norm[16];
    snprintf(weight, sizeof weight, "%d.weight", place[i]);
    snprintf(bias, sizeof bias, "%d.bias", place[i]);
    snprintf(norm, sizeof norm, "%d", place[i] + 1);
    pz_params_get_folded(
        p,
        &(struct pz_param){
            .name = weight, .layout = PZ_PARAM_CONV, .rank = 5, .shape = {out, in, frames, k, k}},
        bias, norm, 1e-5f, &w, &b);
    w = pz_nn_transpose(p, w, (const int[]){0, 2, 3, 1, 4}); // [Co,D,KH,KW,Ci] → [Co,KH,KW,D,Ci]
    w = pz_nn_reshape(p, w, (struct pz_shape){.rank = 4, .dim = {out, k, k, frames * in}});
    struct pz_attrs a = {
        .stride = {stride, stride}, .dilation = {1, 1}, .pad = {pad, pad, pad, pad}, .act = PZ_ACT_RELU};
    return pz_graph_op(g, PZ_OP_CONV2D, &a, (const int[]){x, w, b}, 3);
}

int pz_syncnet_lip(struct pz_params *p, const struct pz_syncnet_config *c, int frames)
{
    int x = frames;
    pz_params_push(p, "netcnnlip");
    x = lip_layer(p, 0, c->lip[0], PZ_SYNCNET_FRAMES, 7, 2, 0, x);
    x = maxpool(p, x, 2, 2, 0);
    x = lip_layer(p, 1, c->lip[1], 1, 5, 2, 1, x);
    x = maxpool(p, x, 2, 2, 1);
    for (int i = 2; i < 5; i++)
        x = lip_layer(p, i, c->lip[i], 1, 3, 1, 1, x);
    x = maxpool(p, x, 2, 2, 0);
    x = lip_layer(p, 5, c->lip[5], 1, 6, 1, 0, x);
    pz_params_pop(p);
    return head(p, "netfclip", c, x);
}

static double distance(const float *a, const float *b, int width)
{
    double sum = 0.0;
    for (int k = 0; k < width; k++) {
        double d =
            (double)a[k] - (b ? (double)b[k] : 0.0) + 1e-6; // the published code adds this to the difference
        sum += d * d;
    }
    return sqrt(sum);
}

void pz_syncnet_score(const float *lip, const float *audio, int n, int width, struct pz_syncnet_score *score)
{
    double mean[2 * SHIFT + 1], sorted[2 * SHIFT + 1];
    int best = 0;
    for (int k = 0; k <= 2 * SHIFT; k++) {
        double sum = 0.0;
        for (int i = 0; i < n; i++) {
            int j = i + k - SHIFT;
            sum += distance(lip + (size_t)i * (size_t)width,
                            j >= 0 && j < n ? audio + (size_t)j * (size_t)width : NULL, width);
        }
        sorted[k] = mean[k] = sum / n;
        best = mean[k] < mean[best] ? k : best;
    }
    qsort(sorted, 2 * SHIFT + 1, sizeof *sorted, pz_by_double);
    *score = (struct pz_syncnet_score){
        .distance = mean[best], .confidence = sorted[SHIFT] - mean[best], .offset = SHIFT - best};
}

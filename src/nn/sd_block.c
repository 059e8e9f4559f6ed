/* Blocks of Stable Diffusion 1's UNet and VAE, and the motion module. Spatial and temporal attention work on
 * reshapes of the same memory; only the motion module moves data (frames inside pixels and back). */
#include "nn/sd_block.h"

#include <math.h>

#include "base/mem.h"

#define MOTION_ROWS 24 /* rows of the stored position table */

int pz_sd_group_norm(struct pz_params *p, const char *name, int x, int groups, float eps, enum pz_act act,
                     int frames)
{
    if (frames <= 1)
        return pz_nn_group_norm(p, name, x, groups, eps, act);
    struct pz_shape s = pz_graph_view(pz_params_graph(p), x).shape;
    struct pz_shape film = {5, {s.dim[0] / frames, frames, s.dim[1], s.dim[2], s.dim[3]}};
    return pz_nn_reshape(p, pz_nn_group_norm(p, name, pz_nn_reshape(p, x, film), groups, eps, act), s);
}

int pz_sd_resnet(struct pz_params *p, int x, const struct pz_sd_resnet *r)
{
    struct pz_nn_conv conv = {.out = r->out, .kernel = {3, 3}, .pad = {1, 1, 1, 1}};
    int h = pz_sd_group_norm(p, "norm1", x, r->groups, r->eps, PZ_ACT_SILU, r->frames);
    if (r->time != PZ_NONE) {
        int shift = pz_nn_dense(p, "time_emb_proj", r->time, r->out, true);
        conv.has_shift = r->time_fixed;
        conv.shift = pz_nn_reshape(p, shift, (struct pz_shape){1, {r->out}});
    }
    h = pz_nn_conv2d(p, "conv1", h, &conv);
    if (r->time != PZ_NONE && !r->time_fixed)
        h = pz_nn_add(p, h, conv.shift);
    h = pz_sd_group_norm(p, "norm2", h, r->groups, r->eps, PZ_ACT_SILU, r->frames);
    conv.has_shift = false;
    conv.has_residual = true;
    conv.residual = x;
    if (pz_nn_dim(p, x, 3) != r->out)
        conv.residual = pz_nn_conv2d(p, "conv_shortcut", x, &(struct pz_nn_conv){.out = r->out});
    return pz_nn_conv2d(p, "conv2", h, &conv);
}

int pz_sd_attention(struct pz_params *p, int x, int context, int heads)
{
    int c = pz_nn_dim(p, x, -1);
    int q = pz_nn_dense(p, "to_q", x, c, false);
    int k = pz_nn_dense(p, "to_k", context, c, false);
    int v = pz_nn_dense(p, "to_v", context, c, false);
    return pz_nn_dense(p, "to_out.0", pz_nn_attention(p, q, k, v, heads, PZ_NONE), c, true);
}

int pz_sd_feed_forward(struct pz_params *p, int x)
{
    int c = pz_nn_dim(p, x, -1);
    int y = pz_nn_dense(p, "net.0.proj", x, 8 * c, true);
    return pz_nn_dense(p, "net.2", pz_nn_unary(p, PZ_OP_GEGLU, y), c, true);
}

int pz_sd_tile(struct pz_params *p, int x, int n)
{
    int dim = pz_nn_dim(p, x, 0), y = x;
    for (int have = dim; have < n && dim > 0; have += dim)
        y = pz_nn_concat(p, 0, y, x);
    return y;
}

int pz_sd_transformer(struct pz_params *p, int x, int context, int heads, int groups)
{
    struct pz_shape s = pz_graph_view(pz_params_graph(p), x).shape;
    int n_all = pz_nn_dim(p, context, 0);
    int c = s.dim[3];
    int y = pz_nn_dense_1x1(p, "proj_in", pz_nn_group_norm(p, "norm", x, groups, 1e-6f, PZ_ACT_NONE), c);
    y = pz_nn_reshape(p, y, (struct pz_shape){3, {s.dim[0], s.dim[1] * s.dim[2], c}});
    pz_params_push(p, "transformer_blocks.0");
    int n = pz_nn_layer_norm(p, "norm1", y);
    pz_params_push(p, "attn1");
    y = pz_nn_add(p, pz_sd_attention(p, n, n, heads), y);
    pz_params_pop(p);
    // Pictures that differ in their context alone are one picture up to here.
    y = pz_sd_tile(p, y, n_all);
    x = pz_sd_tile(p, x, n_all);
    s = pz_graph_view(pz_params_graph(p), x).shape;
    n = pz_nn_layer_norm(p, "norm2", y);
    pz_params_push(p, "attn2");
    y = pz_nn_add(p, pz_sd_attention(p, n, context, heads), y);
    pz_params_pop(p);
    n = pz_nn_layer_norm(p, "norm3", y);
    pz_params_push(p, "ff");
    y = pz_nn_add(p, pz_sd_feed_forward(p, n), y);
    pz_params_pop(p);
    pz_params_pop(p);
    y = pz_nn_dense_1x1(p, "proj_out", pz_nn_reshape(p, y, s), c);
    return pz_nn_add(p, y, x);
}

/* The stored table's first rows as [1,frames,c]. */
static int positions(struct pz_params *p, int frames, int c)
{
    float *v = pz_calloc((size_t)MOTION_ROWS * (size_t)c, sizeof *v);
    if (!v)
        return PZ_NONE;
    pz_sd_positions(MOTION_ROWS, c, v);
    int t = pz_params_table(p, "pos_encoder.pe", 3, (int[]){1, MOTION_ROWS, c}, v);
    pz_free(v);
    return pz_nn_slice(p, t, (int[]){0, 0, 0}, (int[]){1, frames, c});
}

int pz_sd_motion(struct pz_params *p, int x, int frames, int heads)
{
    struct pz_shape s = pz_graph_view(pz_params_graph(p), x).shape;
    int c = s.dim[3], b = s.dim[0] / frames, pixels = s.dim[1] * s.dim[2];
    int y = pz_nn_group_norm(p, "norm", x, 32, 1e-6f, PZ_ACT_NONE);
    y = pz_nn_reshape(p, y, (struct pz_shape){4, {b, frames, pixels, c}});
    y = pz_nn_transpose(p, y, (int[]){0, 2, 1, 3});
    y = pz_nn_reshape(p, y, (struct pz_shape){3, {b * pixels, frames, c}});
    y = pz_nn_dense(p, "proj_in", y, c, true);
    pz_params_push(p, "transformer_blocks.0");
    for (int i = 0; i < 2; i++) {
        char norm[16] = "norms.0";
        norm[6] = (char)('0' + i);
        int n = pz_nn_layer_norm(p, norm, y);
        pz_params_push(p, "attention_blocks.%d", i);
        n = pz_nn_add(p, n, positions(p, frames, c));
        y = pz_nn_add(p, pz_sd_attention(p, n, n, heads), y);
        pz_params_pop(p);
    }
    int n = pz_nn_layer_norm(p, "ff_norm", y);
    pz_params_push(p, "ff");
    y = pz_nn_add(p, pz_sd_feed_forward(p, n), y);
    pz_params_pop(p);
    pz_params_pop(p);
    y = pz_nn_dense(p, "proj_out", y, c, true);
    y = pz_nn_reshape(p, y, (struct pz_shape){4, {b, pixels, frames, c}});
    y = pz_nn_reshape(p, pz_nn_transpose(p, y, (int[]){0, 2, 1, 3}), s);
    return pz_nn_add(p, y, x);
}

int pz_sd_vae_attention(struct pz_params *p, int x, int groups)
{
    struct pz_shape s = pz_graph_view(pz_params_graph(p), x).shape;
    int c = s.dim[3];
    int y = pz_nn_group_norm(p, "group_norm", x, groups, 1e-6f, PZ_ACT_NONE);
    y = pz_nn_reshape(p, y, (struct pz_shape){3, {s.dim[0], s.dim[1] * s.dim[2], c}});
    int q = pz_nn_dense_also(p, "to_q", "query", y, c, true);
    int k = pz_nn_dense_also(p, "to_k", "key", y, c, true);
    int v = pz_nn_dense_also(p, "to_v", "value", y, c, true);
    y = pz_nn_dense_also(p, "to_out.0", "proj_attn", pz_nn_attention(p, q, k, v, 1, PZ_NONE), c, true);
    return pz_nn_add(p, pz_nn_reshape(p, y, s), x);
}

int pz_sd_upsample(struct pz_params *p, const char *name, int x)
{
    x = pz_nn_resize_nearest(p, x, 2 * pz_nn_dim(p, x, 1), 2 * pz_nn_dim(p, x, 2));
    return pz_nn_conv_same(p, name, x, pz_nn_dim(p, x, 3), 3, 1);
}

void pz_sd_time_embedding(double t, int n, float *out)
{
    int half = n / 2;
    for (int j = 0; j < half; j++) {
        float f = (float)(t * (double)expf((float)(-log(10000.0) * j / half)));
        out[j] = cosf(f);
        out[half + j] = sinf(f);
    }
}

void pz_sd_positions(int rows, int c, float *out)
{
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < c; k += 2) {
            float a = (float)r * expf((float)k * (float)(-log(10000.0) / c));
            out[r * c + k] = sinf(a);
            if (k + 1 < c)
                out[r * c + k + 1] = cosf(a);
        }
}

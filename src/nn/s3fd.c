// S3FD's graph (VGG-16 with six levels of boxes) and the reading of its maps. Pictures and scaling are the
// caller's.
#include "nn/s3fd.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "nn/layer.h"

static int conv(struct pz_params *p, const char *name, int x, int out, int k, int stride, int pad)
{
    return pz_nn_conv2d(p, name, x,
                        &(struct pz_nn_conv){.out = out,
                                             .kernel = {k, k},
                                             .stride = {stride, stride},
                                             .pad = {pad, pad, pad, pad},
                                             .act = PZ_ACT_RELU});
}

static int halve(struct pz_params *p, int x)
{
    struct pz_attrs a = {.kernel = {2, 2}, .stride = {2, 2}, .dilation = {1, 1}};
    return pz_graph_op(pz_params_graph(p), PZ_OP_MAXPOOL, &a, &x, 1);
}

/* Unit length per pixel times the stored weight; the published code adds its epsilon behind the root. */
static int normalise(struct pz_params *p, const char *name, int x)
{
    pz_params_push(p, "%s", name);
    int w = pz_params_get(p, &(struct pz_param){.name = "weight", .rank = 1, .shape = {pz_nn_dim(p, x, -1)}});
    pz_params_pop(p);
    return pz_graph_op(pz_params_graph(p), PZ_OP_L2_NORMALISE,
                       &(struct pz_attrs){.eps = 1e-10f, .eps_added = true}, (const int[]){x, w}, 2);
}

void pz_s3fd_build(struct pz_params *p, int divisor, int x, struct pz_s3fd_outputs *out)
{
    static const char *const layer[13] = {"conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1",
                                          "conv3_2", "conv3_3", "conv4_1", "conv4_2", "conv4_3",
                                          "conv5_1", "conv5_2", "conv5_3"};
    static const int width[13] = {64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512};
    static const char *const level[PZ_S3FD_LEVELS] = {"conv3_3_norm", "conv4_3_norm", "conv5_3_norm",
                                                      "fc7",          "conv6_2",      "conv7_2"};
    int f[PZ_S3FD_LEVELS];
    for (int i = 0; i < 13; i++) {
        x = conv(p, layer[i], x, width[i] / divisor, 3, 1, 1);
        bool ends = i == 1 || i == 3 || i == 6 || i == 9 || i == 12;
        if (i >= 6 && ends)
            f[(i - 6) / 3] = x;
        x = ends ? halve(p, x) : x;
    }
    // Padding by the kernel's whole width, two of three in front of the convolution: it takes less than its
    // width.
    x = pz_graph_op(pz_params_graph(p), PZ_OP_PAD,
                    &(struct pz_attrs){.before = {0, 2, 2}, .after = {0, 2, 2}}, &x, 1);
    x = conv(p, "fc6", x, 1024 / divisor, 3, 1, 1);
    f[3] = x = conv(p, "fc7", x, 1024 / divisor, 1, 1, 0);
    x = conv(p, "conv6_1", x, 256 / divisor, 1, 1, 0);
    f[4] = x = conv(p, "conv6_2", x, 512 / divisor, 3, 2, 1);
    x = conv(p, "conv7_1", x, 128 / divisor, 1, 1, 0);
    f[5] = conv(p, "conv7_2", x, 256 / divisor, 3, 2, 1);
    for (int i = 0; i < PZ_S3FD_LEVELS; i++) {
        char name[64];
        struct pz_nn_conv head = {.kernel = {3, 3}, .pad = {1, 1, 1, 1}};
        int y = i < 3 ? normalise(p, level[i], f[i]) : f[i];
        head.out = i ? 2 : 4;
        snprintf(name, sizeof name, "%s_mbox_conf", level[i]);
        out->cls[i] = pz_nn_conv2d(p, name, y, &head);
        head.out = 4;
        snprintf(name, sizeof name, "%s_mbox_loc", level[i]);
        out->box[i] = pz_nn_conv2d(p, name, y, &head);
    }
}

float pz_s3fd_background(const float *cls, int n_cls)
{
    float most = cls[0];
    for (int i = 1; i < n_cls - 1; i++)
        most = fmaxf(most, cls[i]);
    return most;
}

/* A cell's box: offsets from a prior of side 4·stride around the cell's middle. */
static struct pz_s3fd_box box_of(const float *l, int row, int col, float stride, float score)
{
    float side = 4 * stride;
    float w = side * expf(0.2f * l[2]), h = side * expf(0.2f * l[3]);
    float x0 = ((float)col + 0.5f) * stride + 0.1f * l[0] * side - w / 2;
    float y0 = ((float)row + 0.5f) * stride + 0.1f * l[1] * side - h / 2;
    return (struct pz_s3fd_box){x0, y0, x0 + w, y0 + h, score};
}

static int better(const void *a, const void *b)
{
    const struct pz_s3fd_box *x = a, *y = b;
    return (x->score < y->score) - (x->score > y->score);
}

static float overlap(const struct pz_s3fd_box *a, const struct pz_s3fd_box *b)
{
    float w = fmaxf(0, fminf(a->x1, b->x1) - fmaxf(a->x0, b->x0) + 1);
    float h = fmaxf(0, fminf(a->y1, b->y1) - fmaxf(a->y0, b->y0) + 1);
    float both = w * h;
    return both /
           ((a->x1 - a->x0 + 1) * (a->y1 - a->y0 + 1) + (b->x1 - b->x0 + 1) * (b->y1 - b->y0 + 1) - both);
}

/* Cells of all levels that may hold a face; `to` NULL: count only. */
static int candidates(const struct pz_s3fd_map *maps, struct pz_s3fd_box *to)
{
    int n = 0;
    for (int i = 0; i < PZ_S3FD_LEVELS; i++) {
        const struct pz_s3fd_map *m = &maps[i];
        for (int c = 0; c < m->h * m->w; c++) {
            const float *cls = m->cls + (size_t)c * (size_t)m->n_cls;
            float score = 1 / (1 + expf(pz_s3fd_background(cls, m->n_cls) - cls[m->n_cls - 1]));
            if (!(score > 0.05f))
                continue;
            if (to)
                to[n] = box_of(m->box + (size_t)c * 4, c / m->w, c % m->w, (float)(4 << i), score);
            n++;
        }
    }
    return n;
}

int pz_s3fd_decode(const struct pz_s3fd_map maps[PZ_S3FD_LEVELS], struct pz_s3fd_box *boxes, int cap)
{
    int all = candidates(maps, NULL), n = 0;
    struct pz_s3fd_box *list = pz_calloc((size_t)all + 1, sizeof *list);
    if (!list)
        return -1;
    candidates(maps, list);
    qsort(list, (size_t)all, sizeof *list, better);
    for (int i = 0; i < all && n < cap && list[i].score > 0.5f; i++) {
        bool free_of = true;
        for (int k = 0; k < n && free_of; k++)
            free_of = overlap(&list[i], &boxes[k]) <= 0.3f;
        if (free_of)
            boxes[n++] = list[i];
    }
    pz_free(list);
    return n;
}

/* MTCNN's three graphs under facenet-pytorch's names. Logits stay logits: the caller wants one probability.
 */
#include "face/mtcnn_net.h"

#include <stdio.h>

#include "nn/layer.h"

static int prelu(struct pz_params *p, const char *name, int x)
{
    pz_params_push(p, "%s", name);
    int slope =
        pz_params_get(p, &(struct pz_param){.name = "weight", .rank = 1, .shape = {pz_nn_dim(p, x, -1)}});
    pz_params_pop(p);
    return pz_graph_op(pz_params_graph(p), PZ_OP_PRELU, NULL, (const int[]){x, slope}, 2);
}

static int conv(struct pz_params *p, int i, int x, int out, int k)
{
    char name[2][16];
    snprintf(name[0], sizeof name[0], "conv%d", i);
    snprintf(name[1], sizeof name[1], "prelu%d", i);
    return prelu(p, name[1], pz_nn_conv2d(p, name[0], x, &(struct pz_nn_conv){.out = out, .kernel = {k, k}}));
}

/* The last window may hang over the edge. */
static int pool(struct pz_params *p, int x, int k)
{
    struct pz_attrs a = {.kernel = {k, k}, .stride = {2, 2}, .dilation = {1, 1}, .ceil = true};
    return pz_graph_op(pz_params_graph(p), PZ_OP_MAXPOOL, &a, &x, 1);
}

/* Columns before rows, as the dense layers were trained. */
static int flat(struct pz_params *p, int x, int batch)
{
    int n = pz_nn_dim(p, x, 1) * pz_nn_dim(p, x, 2) * pz_nn_dim(p, x, 3);
    x = pz_nn_transpose(p, x, (const int[]){0, 2, 1, 3});
    return pz_nn_reshape(p, x, (struct pz_shape){.rank = 2, .dim = {batch, n}});
}

static void build_p(struct pz_params *p, int x, int out[3])
{
    x = pool(p, conv(p, 1, x, 10, 3), 2);
    x = conv(p, 3, conv(p, 2, x, 16, 3), 32, 3);
    out[0] = pz_nn_conv2d(p, "conv4_1", x, &(struct pz_nn_conv){.out = 2});
    out[1] = pz_nn_conv2d(p, "conv4_2", x, &(struct pz_nn_conv){.out = 4});
}

static void build_r(struct pz_params *p, int x, int batch, int out[3])
{
    x = pool(p, conv(p, 1, x, 28, 3), 3);
    x = pool(p, conv(p, 2, x, 48, 3), 3);
    x = flat(p, conv(p, 3, x, 64, 2), batch);
    x = prelu(p, "prelu4", pz_nn_dense(p, "dense4", x, 128, true));
    out[0] = pz_nn_dense(p, "dense5_1", x, 2, true);
    out[1] = pz_nn_dense(p, "dense5_2", x, 4, true);
}

static void build_o(struct pz_params *p, int x, int batch, int out[3])
{
    x = pool(p, conv(p, 1, x, 32, 3), 3);
    x = pool(p, conv(p, 2, x, 64, 3), 3);
    x = pool(p, conv(p, 3, x, 64, 3), 2);
    x = flat(p, conv(p, 4, x, 128, 2), batch);
    x = prelu(p, "prelu5", pz_nn_dense(p, "dense5", x, 256, true));
    out[0] = pz_nn_dense(p, "dense6_1", x, 2, true);
    out[1] = pz_nn_dense(p, "dense6_2", x, 4, true);
    out[2] = pz_nn_dense(p, "dense6_3", x, 10, true);
}

enum pz_status pz_mtcnn_net_open(int which, const struct pz_checkpoint *c, const char *file, int batch, int h,
                                 int w, struct pz_log *log, struct pz_mtcnn_net *net)
{
    static const char *const names[3] = {"face", "box", "points"};
    enum pz_status st = PZ_OK;
    int out[3] = {PZ_NONE, PZ_NONE, PZ_NONE};
    *net = (struct pz_mtcnn_net){.batch = batch, .h = h, .w = w};
    struct pz_graph *g = pz_graph_create(log);
    struct pz_params *p =
        g ? pz_params_create(g, &(struct pz_params_options){.checkpoint = c, .file = file}, log) : NULL;
    if (!p) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for the face detector mtcnn");
        goto fail;
    }
    int x = pz_graph_input(g, "x", (struct pz_shape){.rank = 4, .dim = {batch, h, w, 3}});
    if (which == PZ_MTCNN_P)
        build_p(p, x, out);
    else if (which == PZ_MTCNN_R)
        build_r(p, x, batch, out);
    else
        build_o(p, x, batch, out);
    for (int i = 0; i < (which == PZ_MTCNN_O ? 3 : 2); i++)
        pz_graph_output(g, names[i], out[i]);
    PZ_TRY(pz_params_finish(p));
    PZ_TRY(pz_plan_create(&g, &pz_plan_default, log, &net->plan));
    PZ_TRY(pz_session_create(net->plan, log, &net->session));
fail:
    pz_params_destroy(&p);
    pz_graph_destroy(&g);
    if (st < PZ_OK)
        pz_mtcnn_net_close(net);
    return st;
}

void pz_mtcnn_net_close(struct pz_mtcnn_net *net)
{
    pz_session_destroy(&net->session);
    pz_plan_destroy(&net->plan);
}

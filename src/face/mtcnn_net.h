/** MTCNN's networks as plans: for mtcnn.c and mtcnn_net.c only. */
#ifndef PZ_FACE_MTCNN_NET_H
#define PZ_FACE_MTCNN_NET_H

#include "tensor/plan.h"
#include "weights/checkpoint.h"

enum { PZ_MTCNN_P, PZ_MTCNN_R, PZ_MTCNN_O };

/** A network for inputs [batch, h, w, 3] and its session. Outputs: "face" two logits, "box" four offsets,
 * "points" five x then five y (O only). */
struct pz_mtcnn_net {
    struct pz_plan *plan;
    struct pz_session *session;
    int batch, h, w;
};

/** Build from an open checkpoint, which need not live on. Errors: WEIGHTS, NOMEM. */
PZ_NODISCARD enum pz_status pz_mtcnn_net_open(int which, const struct pz_checkpoint *c, const char *file,
                                              int batch, int h, int w, struct pz_log *log,
                                              struct pz_mtcnn_net *net);
void pz_mtcnn_net_close(struct pz_mtcnn_net *net);

#endif

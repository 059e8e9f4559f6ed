/*
 * MTCNN's cascade: a pyramid for the first network, cut-outs for the other two, boxes turned into squares
 * between them. Arithmetic of boxes follows facenet-pytorch's detect_face: 1-based inclusive pixel boxes,
 * whole numbers where it rounds.
 */
#include "face/mtcnn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "face/mtcnn_net.h"
#include "tensor/profile.h"

#define FACTOR 0.709
#define MAX_LEVELS 16
#define MAX_BOXES 1024
#define BATCH 16
#define KEEP_P 0.6f
#define KEEP_R 0.7f
#define KEEP_O 0.7f

struct box {
    float b[4], score, reg[4], point[5][2];
    bool gone;
};

struct pz_mtcnn {
    struct pz_log *log;
    struct pz_profile *profile;
    struct pz_checkpoint *files[3];
    struct pz_mtcnn_net level[MAX_LEVELS], r, o;
    double scale[MAX_LEVELS];
    int n_levels, w, h;
    float min_face;
    struct box box[MAX_BOXES], spare[MAX_BOXES];
    int n;
};

enum pz_status pz_mtcnn_create(const char *pnet, const char *rnet, const char *onet, const struct pz_job *job,
                               struct pz_mtcnn **out)
{
    const char *const path[3] = {pnet, rnet, onet};
    enum pz_status st = PZ_OK;
    struct pz_log *log = job ? job->log : NULL;
    struct pz_mtcnn_net first = {0};
    *out = NULL;
    struct pz_mtcnn *m = pz_calloc(1, sizeof *m);
    if (!m)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for the face detector mtcnn");
    m->log = log;
    for (int i = 0; i < 3; i++)
        PZ_TRY(pz_checkpoint_open(path[i], job, &m->files[i]));
    PZ_TRY(pz_mtcnn_net_open(PZ_MTCNN_P, m->files[0], pnet, 1, 12, 12, log,
                             &first)); /* are its tensors right? */
    PZ_TRY(pz_mtcnn_net_open(PZ_MTCNN_R, m->files[1], rnet, BATCH, 24, 24, log, &m->r));
    PZ_TRY(pz_mtcnn_net_open(PZ_MTCNN_O, m->files[2], onet, BATCH, 48, 48, log, &m->o));
    *out = m;
    m = NULL;
fail:
    pz_mtcnn_net_close(&first);
    pz_mtcnn_destroy(&m);
    return st == PZ_ERR_INPUT ? PZ_ERR_WEIGHTS : st;
}

static void close_levels(struct pz_mtcnn *m)
{
    for (int i = 0; i < m->n_levels; i++)
        pz_mtcnn_net_close(&m->level[i]);
    m->n_levels = 0;
}

void pz_mtcnn_destroy(struct pz_mtcnn **mp)
{
    if (!mp || !*mp)
        return;
    close_levels(*mp);
    pz_mtcnn_net_close(&(*mp)->r);
    pz_mtcnn_net_close(&(*mp)->o);
    for (int i = 0; i < 3; i++)
        pz_checkpoint_close(&(*mp)->files[i]);
    pz_free(*mp);
    *mp = NULL;
}

enum pz_status pz_mtcnn_verify(const char *path, int which, const struct pz_job *job)
{
    static const int side[3] = {12, 24, 48};
    struct pz_checkpoint *c = NULL;
    struct pz_mtcnn_net net = {0};
    enum pz_status st = pz_checkpoint_open(path, job, &c);
    if (st >= PZ_OK)
        st = pz_mtcnn_net_open(which, c, path, 1, side[which], side[which], job ? job->log : NULL, &net);
    pz_mtcnn_net_close(&net);
    pz_checkpoint_close(&c);
    return st;
}

enum pz_status pz_mtcnn_profile(struct pz_mtcnn *m, struct pz_profile *p)
{
    enum pz_status st = pz_session_profile(m->r.session, p, "mtcnn refine");
    m->profile = p;
    if (st >= PZ_OK)
        st = pz_session_profile(m->o.session, p, "mtcnn output");
    for (int i = 0; i < m->n_levels && st >= PZ_OK; i++)
        st = pz_session_profile(m->level[i].session, p, "mtcnn propose");
    return st;
}

/* Plans of the pyramid for this size of picture. */
static enum pz_status open_levels(struct pz_mtcnn *m, int w, int h, float min_face)
{
    enum pz_status st = PZ_OK;
    double scale = 12.0 / (double)min_face, least = (w < h ? w : h) * scale;
    if (m->w == w && m->h == h && m->min_face == min_face)
        return PZ_OK;
    close_levels(m);
    m->w = m->h = 0;
    for (; least >= 12 && m->n_levels < MAX_LEVELS; scale *= FACTOR, least *= FACTOR) {
        m->scale[m->n_levels] = scale;
        PZ_TRY(pz_mtcnn_net_open(PZ_MTCNN_P, m->files[0], "pnet.pt", 1, (int)(h * scale + 1),
                                 (int)(w * scale + 1), m->log, &m->level[m->n_levels]));
        m->n_levels++;
        if (m->profile)
            PZ_TRY(pz_session_profile(m->level[m->n_levels - 1].session, m->profile, "mtcnn propose"));
    }
    m->w = w;
    m->h = h;
    m->min_face = min_face;
fail:
    return st;
}

/* The part [x0,x1) × [y0,y1) of a picture as a network's input: each value the mean of the pixels its cell
 * touches, as PyTorch's "area". */
static void shrink(const float *rgb, int stride_w, int x0, int y0, int x1, int y1, int w, int h, float *out)
{
    int in_w = x1 - x0, in_h = y1 - y0;
    for (int i = 0; i < h; i++) {
        int ya = y0 + (int)((int64_t)i * in_h / h), yb = y0 + (int)(((int64_t)(i + 1) * in_h + h - 1) / h);
        for (int j = 0; j < w; j++, out += 3) {
            int xa = x0 + (int)((int64_t)j * in_w / w),
                xb = x0 + (int)(((int64_t)(j + 1) * in_w + w - 1) / w);
            float sum[3] = {0};
            for (int y = ya; y < yb; y++) {
                const float *p = rgb + 3 * ((size_t)y * (size_t)stride_w + (size_t)xa);
                for (int x = xa; x < xb; x++, p += 3)
                    for (int c = 0; c < 3; c++)
                        sum[c] += p[c];
            }
            float n = (float)((yb - ya) * (xb - xa));
            for (int c = 0; c < 3; c++)
                out[c] = (sum[c] / n - 127.5f) * 0.0078125f;
        }
    }
}

static int by_score(const void *a, const void *b)
{
    const struct box *x = a, *y = b;
    return (x->score < y->score) - (x->score > y->score);
}

/* Non-maximum suppression of boxes [from, n), which come out sorted. `pixels`: extents count their last
 * pixel. `least`: overlap is measured against the smaller box. */
static void suppress(struct pz_mtcnn *m, int from, float limit, bool pixels, bool least)
{
    float one = pixels ? 1 : 0;
    int kept = from;
    qsort(m->box + from, (size_t)(m->n - from), sizeof *m->box, by_score);
    for (int i = from; i < m->n; i++)
        m->box[i].gone = false;
    for (int i = from; i < m->n; i++) {
        const struct box *a = &m->box[i];
        if (a->gone)
            continue;
        float area = (a->b[2] - a->b[0] + one) * (a->b[3] - a->b[1] + one);
        for (int k = i + 1; k < m->n; k++) {
            struct box *b = &m->box[k];
            float w = fmaxf(0, fminf(a->b[2], b->b[2]) - fmaxf(a->b[0], b->b[0]) + one);
            float h = fmaxf(0, fminf(a->b[3], b->b[3]) - fmaxf(a->b[1], b->b[1]) + one);
            float other = (b->b[2] - b->b[0] + one) * (b->b[3] - b->b[1] + one), both = w * h;
            b->gone = b->gone || both / (least ? fminf(area, other) : area + other - both) > limit;
        }
        if (kept != i)
            m->box[kept] = *a;
        kept++;
    }
    m->n = kept;
}

/* Offsets in units of the box; `one` as above. */
static void regress(struct box *b, float one)
{
    float w = b->b[2] - b->b[0] + one, h = b->b[3] - b->b[1] + one;
    for (int k = 0; k < 4; k++)
        b->b[k] += b->reg[k] * (k & 1 ? h : w);
}

static void make_square(struct box *b)
{
    float w = b->b[2] - b->b[0], h = b->b[3] - b->b[1], l = fmaxf(w, h);
    b->b[0] += w * 0.5f - l * 0.5f;
    b->b[1] += h * 0.5f - l * 0.5f;
    b->b[2] = b->b[0] + l;
    b->b[3] = b->b[1] + l;
}

static float probability(const float logit[2])
{
    return 1 / (1 + expf(logit[0] - logit[1]));
}

static void propose(struct pz_mtcnn *m, int i, const float *rgb, struct pz_pool *pool)
{
    struct pz_mtcnn_net *net = &m->level[i];
    int from = m->n;
    float scale = (float)m->scale[i];
    shrink(rgb, m->w, 0, 0, m->w, m->h, net->w, net->h, pz_session_input(net->session, NULL, 0).data);
    pz_session_run(net->session, pool);
    struct pz_view face = pz_session_output(net->session, "face", 0);
    const float *f = face.data, *box = pz_session_output(net->session, "box", 0).data;
    for (int y = 0; y < face.shape.dim[1]; y++)
        for (int x = 0; x < face.shape.dim[2]; x++, f += 2, box += 4) {
            float p = probability(f);
            if (!(p >= KEEP_P) || m->n == MAX_BOXES)
                continue;
            struct box *b = &m->box[m->n++];
            *b =
                (struct box){.score = p,
                             .b = {floorf((float)(2 * x + 1) / scale), floorf((float)(2 * y + 1) / scale),
                                   floorf((float)(2 * x + 12) / scale), floorf((float)(2 * y + 12) / scale)}};
            memcpy(b->reg, box, sizeof b->reg);
        }
    suppress(m, from, 0.5f, false, false);
}

/* Let a network look at all boxes and keep those it is sure of; box, offsets, points are filled in. */
static void judge(struct pz_mtcnn *m, struct pz_mtcnn_net *net, const float *rgb, float keep, bool points,
                  struct pz_pool *pool)
{
    int kept = 0, all = m->n;
    memcpy(m->spare, m->box, (size_t)all * sizeof *m->box);
    for (int at = 0; at < all;) {
        const struct box *who[BATCH];
        float *in = pz_session_input(net->session, NULL, 0).data;
        int n = 0;
        for (; at < all && n < BATCH; at++) {
            const struct box *b = &m->spare[at];
            int x = (int)fmaxf(b->b[0], 1), y = (int)fmaxf(b->b[1], 1);
            int ex = (int)fminf(b->b[2], (float)m->w), ey = (int)fminf(b->b[3], (float)m->h);
            if (!isfinite(b->b[0] + b->b[1] + b->b[2] + b->b[3]) || ex <= x - 1 || ey <= y - 1)
                continue;
            shrink(rgb, m->w, x - 1, y - 1, ex, ey, net->w, net->h, in + (size_t)(n * net->w * net->h * 3));
            who[n++] = b;
        }
        pz_session_run(net->session, pool);
        const float *face = pz_session_output(net->session, "face", 0).data,
                    *box = pz_session_output(net->session, "box", 0).data,
                    *p = points ? pz_session_output(net->session, "points", 0).data : NULL;
        for (int i = 0; i < n; i++) {
            struct box b = *who[i];
            b.score = probability(face + 2 * i);
            if (!(b.score > keep))
                continue;
            memcpy(b.reg, box + 4 * i, sizeof b.reg);
            float w = b.b[2] - b.b[0] + 1, h = b.b[3] - b.b[1] + 1;
            for (int k = 0; p && k < 5; k++) {
                b.point[k][0] = w * p[10 * i + k] + b.b[0] - 1;
                b.point[k][1] = h * p[10 * i + 5 + k] + b.b[1] - 1;
            }
            m->box[kept++] = b;
        }
    }
    m->n = kept;
}

enum pz_status pz_mtcnn_run(struct pz_mtcnn *m, const float *rgb, int w, int h, float min_face, int skip,
                            struct pz_pool *pool, struct pz_mtcnn_face *out, int cap, int *n)
{
    *n = 0;
    enum pz_status st = open_levels(m, w, h, min_face);
    if (st < PZ_OK)
        return st;
    m->n = 0;
    for (int i = skip; i < m->n_levels; i++)
        propose(m, i, rgb, pool);
    suppress(m, 0, 0.7f, false, false);
    for (int i = 0; i < m->n; i++) {
        regress(&m->box[i], 0);
        make_square(&m->box[i]);
    }
    judge(m, &m->r, rgb, KEEP_R, false, pool);
    suppress(m, 0, 0.7f, false, false);
    for (int i = 0; i < m->n; i++) {
        regress(&m->box[i], 1);
        make_square(&m->box[i]);
    }
    judge(m, &m->o, rgb, KEEP_O, true, pool);
    for (int i = 0; i < m->n; i++)
        regress(&m->box[i], 1);
    suppress(m, 0, 0.7f, true, true);
    for (int i = 0; i < m->n && i < cap; i++, ++*n) {
        const struct box *b = &m->box[i];
        out[i] = (struct pz_mtcnn_face){.score = b->score};
        memcpy(out[i].box, b->b, sizeof b->b);
        memcpy(out[i].point, b->point, sizeof b->point);
    }
    return PZ_OK;
}

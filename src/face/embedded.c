/* Weights and plans of our own networks, their region of interest, and the parser of parts. */
#include "face/embedded.h"

#include <math.h>

#include "base/file.h"
#include "base/mem.h"
#include "face/embedded_net.h"

static const char *const names[3] = {"face_detector.safetensors", "face_landmarks.safetensors",
                                     "face_parts.safetensors"};

const char *pz_embedded_name(enum pz_embedded_file which)
{
    return names[which];
}

enum pz_status pz_embedded_open(enum pz_embedded_file which, const char *models_dir, struct pz_log *log,
                                struct pz_checkpoint **c)
{
    struct pz_job job = {.log = log};
    size_t n;
    *c = NULL;
    char *dir = pz_weights_dir(models_dir),
         *path = dir ? pz_asprintf("%s/embedded/%s", dir, names[which]) : NULL;
    enum pz_status st;
    if (!path) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for a path");
    } else if (pz_file_exists(path)) {
        st = pz_checkpoint_open(path, &job, c);
    } else {
        const void *data = pz_embedded_data(which, &n);
        st = data ? pz_checkpoint_parse(data, n, names[which], NULL, &job, c)
                  : pz_fail(log, PZ_ERR_WEIGHTS, "this build carries no face networks of its own ('%s')",
                            names[which]);
    }
    pz_free(path);
    pz_free(dir);
    return st;
}

/* Parameters of one file for a graph. */
static enum pz_status bind(struct pz_graph *g, enum pz_embedded_file which, const char *dir,
                           struct pz_log *log, struct pz_checkpoint **c, struct pz_params **p)
{
    enum pz_status st = g ? pz_embedded_open(which, dir, log, c) : PZ_ERR_NOMEM;
    if (st >= PZ_OK)
        *p = pz_params_create(g, &(struct pz_params_options){.checkpoint = *c, .file = names[which]}, log);
    return st >= PZ_OK && !*p ? PZ_ERR_NOMEM : st;
}

enum pz_status pz_embedded_plan_landmarks(const char *dir, int batch, bool parts, struct pz_log *log,
                                          struct pz_plan **plan)
{
    enum pz_status st = PZ_OK;
    struct pz_graph *g = pz_graph_create(log);
    struct pz_checkpoint *c[2] = {NULL};
    struct pz_params *p[2] = {NULL};
    struct pz_embedded_features f;
    *plan = NULL;
    PZ_TRY(bind(g, PZ_EMBEDDED_LANDMARKS, dir, log, &c[0], &p[0]));
    int x = pz_graph_input(
        g, "x", (struct pz_shape){.rank = 4, .dim = {batch, PZ_EMBEDDED_CROP, PZ_EMBEDDED_CROP, 3}});
    pz_graph_output(g, "landmarks", pz_embedded_landmarks(p[0], x, &f));
    PZ_TRY(pz_params_finish(p[0]));
    if (parts) {
        PZ_TRY(bind(g, PZ_EMBEDDED_PARTS, dir, log, &c[1], &p[1]));
        pz_graph_output(g, "parts", pz_embedded_parts(p[1], &f));
        PZ_TRY(pz_params_finish(p[1]));
    }
    PZ_TRY(pz_plan_create(&g, &pz_plan_default, log, plan));
fail:
    for (int i = 0; i < 2; i++) {
        pz_params_destroy(&p[i]);
        pz_checkpoint_close(&c[i]);
    }
    pz_graph_destroy(&g);
    return st;
}

enum pz_status pz_embedded_plan_detector(const char *dir, struct pz_log *log, struct pz_plan **plan)
{
    enum pz_status st = PZ_OK;
    struct pz_graph *g = pz_graph_create(log);
    struct pz_checkpoint *c = NULL;
    struct pz_params *p = NULL;
    int map[2];
    *plan = NULL;
    PZ_TRY(bind(g, PZ_EMBEDDED_DETECTOR, dir, log, &c, &p));
    pz_embedded_detector(
        p,
        pz_graph_input(
            g, "x",
            (struct pz_shape){.rank = 4, .dim = {1, PZ_EMBEDDED_LETTERBOX, PZ_EMBEDDED_LETTERBOX, 3}}),
        map);
    pz_graph_output(g, "h20", map[0]);
    pz_graph_output(g, "h10", map[1]);
    PZ_TRY(pz_params_finish(p));
    PZ_TRY(pz_plan_create(&g, &pz_plan_default, log, plan));
fail:
    pz_params_destroy(&p);
    pz_checkpoint_close(&c);
    pz_graph_destroy(&g);
    return st;
}

struct pz_face_rect pz_embedded_roi(const float eye[2][2], const float mouth[2])
{
    float mid[2] = {(eye[0][0] + eye[1][0]) / 2, (eye[0][1] + eye[1][1]) / 2};
    float e[2] = {eye[1][0] - eye[0][0], eye[1][1] - eye[0][1]},
          m[2] = {mouth[0] - mid[0], mouth[1] - mid[1]};
    /* px per cm; the larger of the two is the less foreshortened */
    float ppc = fmaxf(hypotf(m[0], m[1]) / 6.94f, hypotf(e[0], e[1]) / 6.24f), side = fmaxf(20 * ppc, 8);
    return (struct pz_face_rect){(mid[0] + mouth[0]) / 2, (mid[1] + mouth[1]) / 2, side, side,
                                 atan2f(e[1] - m[0], e[0] + m[1])};
}

struct pz_face_rect pz_embedded_roi_from_points(const float (*xyz)[3])
{
    float eye[2][2], mouth[2];
    for (int k = 0; k < 2; k++) {
        eye[0][k] = (xyz[33][k] + xyz[133][k]) / 2;
        eye[1][k] = (xyz[263][k] + xyz[362][k]) / 2;
        mouth[k] = (xyz[61][k] + xyz[291][k]) / 2;
    }
    return pz_embedded_roi((const float(*)[2])eye, mouth);
}

/* ---- parts ---- */

struct pz_face_parts {
    struct pz_log *log;
    struct pz_plan *plan;
    struct pz_session *session;
    struct pz_crop_scratch scratch;
};

enum pz_status pz_face_parts_create(const char *models_dir, struct pz_log *log, struct pz_face_parts **out)
{
    enum pz_status st = PZ_OK;
    *out = NULL;
    struct pz_face_parts *p = pz_calloc(1, sizeof *p);
    if (!p)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for the face parser");
    p->log = log;
    PZ_TRY(pz_embedded_plan_landmarks(models_dir, 1, true, log, &p->plan));
    PZ_TRY(pz_session_create(p->plan, log, &p->session));
    *out = p;
    return PZ_OK;
fail:
    pz_face_parts_destroy(&p);
    return st;
}

void pz_face_parts_destroy(struct pz_face_parts **p)
{
    if (!p || !*p)
        return;
    pz_session_destroy(&(*p)->session);
    pz_plan_destroy(&(*p)->plan);
    pz_crop_scratch_free(&(*p)->scratch);
    pz_free(*p);
    *p = NULL;
}

/* Logits [96·96][PZ_EMBEDDED_CLASSES] of the face with these points. */
static enum pz_status parse(struct pz_face_parts *p, const struct pz_picture *pic, const float (*xyz)[3],
                            struct pz_pool *pool, struct pz_face_rect *roi, const float **logits)
{
    *roi = pz_embedded_roi_from_points(xyz);
    enum pz_status st =
        pz_face_crop(pic, roi, -1, 1, PZ_CROP_BLACK | PZ_CROP_FINE, &p->scratch,
                     pz_session_input(p->session, NULL, 0).data, PZ_EMBEDDED_CROP, PZ_EMBEDDED_CROP);
    if (st < PZ_OK)
        return pz_fail(p->log, st, "no memory to crop a face");
    pz_session_run(p->session, pool);
    *logits = pz_session_output(p->session, "parts", 0).data;
    return PZ_OK;
}

enum pz_status pz_face_parts_run(struct pz_face_parts *p, const struct pz_picture *pic, const float (*xyz)[3],
                                 struct pz_pool *pool, uint8_t map[96][96], struct pz_face_rect *roi)
{
    const float *v;
    enum pz_status st = parse(p, pic, xyz, pool, roi, &v);
    for (int i = 0; st == PZ_OK && i < 96 * 96; i++, v += PZ_EMBEDDED_CLASSES) {
        int best = 0;
        for (int c = 1; c < PZ_EMBEDDED_CLASSES; c++)
            best = v[c] > v[best] ? c : best;
        map[i / 96][i % 96] = (uint8_t)best;
    }
    return st;
}

enum pz_status pz_face_parts_share(struct pz_face_parts *p, const struct pz_picture *pic,
                                   const float (*xyz)[3], enum pz_face_part part, struct pz_pool *pool,
                                   float share[96][96], struct pz_face_rect *roi)
{
    const float *v;
    enum pz_status st = parse(p, pic, xyz, pool, roi, &v);
    for (int i = 0; st == PZ_OK && i < 96 * 96; i++, v += PZ_EMBEDDED_CLASSES) {
        float sum = 0;
        for (int c = 0; c < PZ_EMBEDDED_CLASSES; c++)
            sum += expf(fminf(v[c] - v[part], 60));
        share[i / 96][i % 96] = 1 / sum;
    }
    return st;
}

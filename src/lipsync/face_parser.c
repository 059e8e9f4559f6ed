// BiSeNet behind a picture and its classes.
#include "lipsync/face_parser.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "tensor/profile.h"

#define SIDE PZ_BISENET_SIDE

struct pz_face_parser {
    struct pz_plan *plan;
    struct pz_session *session;
};

enum pz_status pz_face_parser_find(const char *models_dir, struct pz_log *log, char **path)
{
    char *p = models_dir ? pz_path_join(models_dir, "face-parse-bisent/79999_iter.pth") : NULL;
    *path = NULL;
    if (models_dir && !p)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for a path");
    if (p && pz_file_exists(p))
        *path = p;
    else
        pz_free(p);
    return PZ_OK;
}

static enum pz_status build(const struct pz_checkpoint *c, const char *path, struct pz_log *log,
                            struct pz_graph **graph)
{
    enum pz_status st = PZ_OK;
    struct pz_bisenet_outputs out;
    struct pz_graph *g = *graph = pz_graph_create(log);
    struct pz_params *p =
        g ? pz_params_create(
                g, &(struct pz_params_options){.checkpoint = c, .file = path, .ignore = pz_bisenet_aux_names},
                log)
          : NULL;
    if (!p) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for a face parser");
        goto fail;
    }
    int x = pz_graph_input(g, "picture", (struct pz_shape){4, {1, SIDE, SIDE, 3}});
    pz_bisenet_build(p, false, x, &out);
    pz_graph_output(g, "classes", out.main);
    st = pz_params_finish(p);
fail:
    pz_params_destroy(&p);
    if (st < PZ_OK)
        pz_graph_destroy(graph);
    return st;
}

enum pz_status pz_face_parser_verify(const char *path, const struct pz_job *job)
{
    struct pz_checkpoint *c = NULL;
    struct pz_graph *g = NULL;
    enum pz_status st = pz_checkpoint_open(path, job, &c);
    if (st >= PZ_OK)
        st = build(c, path, job ? job->log : NULL, &g);
    pz_graph_destroy(&g);
    pz_checkpoint_close(&c);
    return st;
}

enum pz_status pz_face_parser_open(const char *path, const struct pz_plan_params *pp,
                                   const struct pz_job *job, struct pz_face_parser **out)
{
    enum pz_status st = PZ_OK;
    struct pz_checkpoint *c = NULL;
    struct pz_graph *g = NULL;
    struct pz_face_parser *p = pz_calloc(1, sizeof *p);
    *out = NULL;
    if (!p)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory for a face parser");
    PZ_TRY(pz_checkpoint_open(path, job, &c));
    PZ_TRY(build(c, path, job->log, &g));
    PZ_TRY(pz_plan_create(&g, pp, job->log, &p->plan));
    PZ_TRY(pz_session_create(p->plan, job->log, &p->session));
    PZ_TRY(pz_session_profile(p->session, job->profile, "face parser"));
    pz_checkpoint_close(&c);
    *out = p;
    return PZ_OK;
fail:
    pz_graph_destroy(&g);
    pz_checkpoint_close(&c);
    pz_face_parser_close(&p);
    return st;
}

void pz_face_parser_close(struct pz_face_parser **p)
{
    if (!*p)
        return;
    pz_session_destroy(&(*p)->session);
    pz_plan_destroy(&(*p)->plan);
    pz_free(*p);
    *p = NULL;
}

struct choice {
    const float *y;
    uint8_t *classes;
};

/* The likeliest class of each place of a row. */
static void choose(void *user, int row, int worker)
{
    const struct choice *c = user;
    (void)worker;
    for (size_t i = (size_t)row * SIDE; i < ((size_t)row + 1) * SIDE; i++) {
        const float *y = c->y + i * PZ_BISENET_CLASSES;
        int best = 0;
        for (int k = 1; k < PZ_BISENET_CLASSES; k++)
            if (y[k] > y[best])
                best = k;
        c->classes[i] = (uint8_t)best;
    }
}

enum pz_status pz_face_parser_run(struct pz_face_parser *p, const uint8_t *picture, struct pz_pool *pool,
                                  uint8_t *classes)
{
    static const float mean[3] = {0.485f, 0.456f, 0.406f}, deviation[3] = {0.229f, 0.224f, 0.225f};
    float *x = pz_session_input(p->session, "picture", 0).data;
    for (size_t i = 0; i < (size_t)SIDE * SIDE * 3; i++)
        x[i] = ((float)picture[i] / 255.0f - mean[i % 3]) / deviation[i % 3];
    enum pz_status st = pz_session_run(p->session, pool);
    struct choice c = {pz_session_output(p->session, "classes", 0).data, classes};
    if (st >= PZ_OK)
        pz_pool_run(pool, choose, &c, SIDE);
    return st;
}

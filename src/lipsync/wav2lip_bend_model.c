// Weights and plans of wav2lip:embedded. The weights lie in the program's read-only data, put there by the
// assembler; nothing is unpacked.
#include "lipsync/wav2lip_bend_model.h"

#include <math.h>
#include <string.h>

#include "audio/features.h"
#include "base/mem.h"
#include "lipsync/engine_plan.h"
#include "lipsync/wav2lip_ear.h"
#include "tensor/plan.h"
#include "tensor/profile.h"
#include "weights/safetensors.h"

#define SIZE PZ_W2L_BEND_SIZE

extern const unsigned char pz_wav2lip_embedded_begin[], pz_wav2lip_embedded_end[];

__asm__(".section .rodata\n"
        ".balign 64\n"
        ".globl pz_wav2lip_embedded_begin\n"
        ".hidden pz_wav2lip_embedded_begin\n"
        "pz_wav2lip_embedded_begin:\n"
        ".incbin \"" PZ_WAV2LIP_EMBEDDED "\"\n"
        ".globl pz_wav2lip_embedded_end\n"
        ".hidden pz_wav2lip_embedded_end\n"
        "pz_wav2lip_embedded_end:\n"
        ".byte 0\n"
        ".text\n");

struct pz_wav2lip_bend {
    struct pz_plan *hear, *draw;
    int batch;
    bool cuda;
    enum pz_dtype dtype;
    char *story;
};

struct pz_wav2lip_bend_run {
    const struct pz_wav2lip_bend *m;
    struct pz_pool *pool;
    struct pz_session *session;
};

static enum pz_status open_weights(const char *path, const struct pz_job *job, struct pz_checkpoint **c)
{
    size_t n = (size_t)(pz_wav2lip_embedded_end - pz_wav2lip_embedded_begin);
    return path ? pz_checkpoint_open(path, job, c)
                : pz_checkpoint_parse(pz_wav2lip_embedded_begin, n, "wav2lip:embedded", NULL, job, c);
}

/* What the file tells of itself; none is no error. */
static char *read_story(const char *path)
{
    struct pz_safetensors *f = NULL;
    size_t n = (size_t)(pz_wav2lip_embedded_end - pz_wav2lip_embedded_begin);
    enum pz_status st =
        path ? pz_safetensors_open(NULL, path, &f)
             : pz_safetensors_parse(NULL, pz_wav2lip_embedded_begin, n, "wav2lip:embedded", &f);
    char *text = st >= PZ_OK ? pz_strdup(pz_safetensors_text(f, "trained_on")) : NULL;
    pz_safetensors_close(&f);
    return text;
}

static struct pz_shape shape4(int b, int h, int w, int c)
{
    return (struct pz_shape){.rank = 4, .dim = {b, h, w, c}};
}

/* One half of the network as a plan. */
static enum pz_status make_plan(const struct pz_wav2lip_bend *m, const struct pz_checkpoint *c,
                                const char *name, bool hear, const struct pz_plan_params *pp,
                                struct pz_log *log, struct pz_plan **plan)
{
    enum pz_status st = PZ_OK;
    struct pz_params_options o = {.checkpoint = c,
                                  .file = name,
                                  .ignore = hear ? pz_wav2lip_bend_face_names : pz_wav2lip_bend_audio_names};
    struct pz_graph *g = pz_graph_create(log);
    struct pz_params *p = g ? pz_params_create(g, &o, log) : NULL;
    if (!p) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for a network");
        goto fail;
    }
    if (hear) {
        int mel =
            pz_graph_input(g, "mel", shape4(PZ_WAV2LIP_EAR_BATCH, PZ_WAV2LIP_BANDS, PZ_W2L_BEND_COLUMNS, 1));
        pz_graph_output(g, "embedding", pz_wav2lip_bend_audio(p, mel));
    } else {
        int wish = pz_graph_input(g, "wish", shape4(m->batch, 1, 1, PZ_W2L_BEND_WISH)), flow, look;
        int face = pz_graph_input(g, "face", shape4(m->batch, SIZE, SIZE, PZ_W2L_BEND_INPUTS));
        pz_wav2lip_bend_face(p, wish, face, &flow, &look);
        pz_graph_output(g, "flow", flow);
        pz_graph_output(g, "look", look);
    }
    PZ_TRY(pz_params_finish(p));
    PZ_TRY(pz_plan_create(&g, pp, log, plan));
fail:
    pz_params_destroy(&p);
    pz_graph_destroy(&g);
    return st;
}

enum pz_status pz_wav2lip_bend_open(const char *path, const struct pz_engine_open_params *p,
                                    const struct pz_job *job, struct pz_wav2lip_bend **out)
{
    enum pz_status st = PZ_OK;
    const char *name = path ? path : "wav2lip:embedded";
    struct pz_engine_plan where = {0};
    struct pz_checkpoint *c = NULL;
    struct pz_wav2lip_bend *m = pz_calloc(1, sizeof *m);
    *out = NULL;
    if (!m)
        return pz_fail(job->log, PZ_ERR_NOMEM, "no memory for a network");
    PZ_TRY(pz_engine_plan(p, "wav2lip:embedded", job, &where));
    if (!where.cuda && !p->precision)
        where.params.dtype = PZ_DTYPE_F32;
    m->cuda = where.cuda;
    m->dtype = where.params.dtype;
    m->batch = m->cuda ? 64 : 4;
    m->story = read_story(path);
    PZ_TRY(open_weights(path, job, &c));
    PZ_TRY(make_plan(m, c, name, true, &where.params, job->log, &m->hear));
    PZ_TRY(make_plan(m, c, name, false, &where.params, job->log, &m->draw));
    *out = m;
    m = NULL;
fail:
    pz_engine_plan_free(&where);
    pz_checkpoint_close(&c);
    pz_wav2lip_bend_close(&m);
    return st;
}

void pz_wav2lip_bend_close(struct pz_wav2lip_bend **m)
{
    if (!*m)
        return;
    pz_plan_destroy(&(*m)->hear);
    pz_plan_destroy(&(*m)->draw);
    pz_free((*m)->story);
    pz_free(*m);
    *m = NULL;
}

void pz_wav2lip_bend_runs_on(const struct pz_wav2lip_bend *m, const char **device, const char **precision)
{
    pz_engine_runs_on(m->cuda, m->dtype, device, precision);
}

int pz_wav2lip_bend_batch(const struct pz_wav2lip_bend *m)
{
    return m->batch;
}

const char *pz_wav2lip_bend_story(const struct pz_wav2lip_bend *m)
{
    return m->story;
}

enum pz_status pz_wav2lip_bend_hear(const struct pz_wav2lip_bend *m, const float *speech, int64_t n_speech,
                                    const double *times, int n, const struct pz_job *job, float *out)
{
    const struct pz_wav2lip_ear ear = {m->hear, "wav2lip:embedded hear", PZ_W2L_BEND_COLUMNS,
                                       PZ_W2L_BEND_COLUMNS / 2, PZ_W2L_BEND_MOUTH};
    return pz_wav2lip_ear_hear(&ear, speech, n_speech, times, n, job, out);
}

enum pz_status pz_wav2lip_bend_run_create(const struct pz_wav2lip_bend *m, const struct pz_job *job,
                                          struct pz_wav2lip_bend_run **out)
{
    struct pz_wav2lip_bend_run *r = pz_calloc(1, sizeof *r);
    enum pz_status st = r ? pz_session_create(m->draw, job->log, &r->session) : PZ_ERR_NOMEM;
    *out = NULL;
    if (st >= PZ_OK)
        st = pz_session_profile(r->session, job->profile, "wav2lip:embedded draw");
    if (st < PZ_OK) {
        pz_wav2lip_bend_run_destroy(&r);
        return pz_fail(job->log, st, "no memory to run wav2lip:embedded");
    }
    r->m = m;
    r->pool = job->pool;
    *out = r;
    return PZ_OK;
}

void pz_wav2lip_bend_run_destroy(struct pz_wav2lip_bend_run **r)
{
    if (!*r)
        return;
    pz_session_destroy(&(*r)->session);
    pz_free(*r);
    *r = NULL;
}

void pz_wav2lip_bend_put(struct pz_wav2lip_bend_run *r, int place, const float *wish, const float *pose,
                         const float *rest, const float *open, const float *lips)
{
    const size_t n = (size_t)SIZE * SIZE, seen = (size_t)PZ_W2L_BEND_HIDDEN * SIZE, width = PZ_W2L_BEND_WISH,
                 all = PZ_W2L_BEND_INPUTS;
    float *x = (float *)pz_session_input(r->session, "face", 0).data + (size_t)place * n * all,
          *w = (float *)pz_session_input(r->session, "wish", 0).data + (size_t)place * width;
    memcpy(w, wish, width * sizeof *w);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < 3; k++)
            x[i * all + k] = i < seen ? pose[k * seen + i] : 0;
        for (size_t k = 0; k < 4; k++) {
            x[i * all + 3 + k] = rest[k * n + i];
            x[i * all + 7 + k] = open[k * n + i];
        }
        x[i * all + 11] = lips[i];
    }
}

enum pz_status pz_wav2lip_bend_make(struct pz_wav2lip_bend_run *r)
{
    return pz_session_run(r->session, r->pool);
}

void pz_wav2lip_bend_take(const struct pz_wav2lip_bend_run *r, int place, const float **flow,
                          const float **look)
{
    size_t n = (size_t)SIZE * SIZE, b = (size_t)place;
    *flow = (const float *)pz_session_output(r->session, "flow", 0).data + b * n * 4;
    *look = (const float *)pz_session_output(r->session, "look", 0).data + b * n * 5; // [64][64][20]
}

// Lips and sound compared by SyncNet with the hash rule's weights: windows do not depend on the film's rate,
// gaps begin anew, too little gives no score, a wrong file is named.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "lipsync/lse.h"
#include "weights/safetensors.h"

enum { SIDE = 96, N_SPEECH = 32000 };

static char folder[128], path[200];
static struct pz_lse_model *model;
static float *speech;
static char said[1024];

static void listen(void *user, enum pz_log_level level, const char *text)
{
    (void)user;
    (void)level;
    snprintf(said, sizeof said, "%s", text);
}

static void write_weights(const char *to, bool whole)
{
    struct pz_graph *g = pz_graph_create(NULL);
    struct pz_params *p = pz_params_create(g, &(struct pz_params_options){0}, NULL);
    int a = pz_graph_input(g, "a", (struct pz_shape){.rank = 4, .dim = {1, 13, 20, 1}});
    int l = pz_graph_input(g, "l", (struct pz_shape){.rank = 4, .dim = {1, 224, 224, 15}});
    pz_graph_output(g, "ya", pz_syncnet_audio(p, &pz_syncnet_published, a));
    pz_graph_output(g, "yl", pz_syncnet_lip(p, &pz_syncnet_published, l));
    assert_int_equal(pz_params_finish(p), PZ_OK);
    int n = pz_params_count(p), m = 0;
    struct pz_stored_tensor *t = pz_calloc((size_t)n, sizeof *t);
    assert_non_null(t);
    for (int i = 0; i < n; i++) {
        struct pz_param_info q = pz_params_at(p, i);
        size_t count = 1;
        if (!whole && !strcmp(q.name, "netfclip.3.bias"))
            continue;
        t[m] = (struct pz_stored_tensor){.name = q.name, .dtype = PZ_DTYPE_F32, .rank = q.rank};
        for (int k = 0; k < q.rank; k++)
            count *= (size_t)(t[m].shape[k] = q.shape[k]);
        float *x = pz_calloc(count, sizeof *x);
        assert_non_null(x);
        pz_params_rule(p, i, 0, count, x);
        t[m++].data = x;
    }
    assert_int_equal(pz_safetensors_write(NULL, to, t, m, NULL, 0), PZ_OK);
    for (int i = 0; i < m; i++)
        pz_free((void *)(uintptr_t)t[i].data);
    pz_free(t);
    pz_params_destroy(&p);
    pz_graph_destroy(&g);
}

static int set_up(void **state)
{
    struct pz_job job = {0};
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/pz-lse-%d", (int)getpid());
    snprintf(path, sizeof path, "%s/syncnet_v2.model", folder);
    speech = pz_calloc(N_SPEECH, sizeof *speech);
    if (!speech || pz_make_dirs(NULL, folder) < PZ_OK)
        return -1;
    for (int i = 0; i < N_SPEECH; i++)
        speech[i] = 0.3f * sinf((float)i * (0.05f + 1e-6f * (float)i));
    write_weights(path, true);
    return pz_lse_open(path, &job, &model) < PZ_OK ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    pz_lse_close(&model);
    pz_free(speech);
    pz_remove_tree(folder);
    return 0;
}

/* Push pictures that change every 1/25 s, `per` of them each, from `from` on. */
static void push(struct pz_lse *l, int from, int n, int per)
{
    struct pz_picture p;
    struct pz_face f = {.present = 1, .box = {20, 10, 70, 80}};
    assert_int_equal(pz_picture_alloc(&p, SIDE, SIDE), PZ_OK);
    memset(p.plane[1], 120, (size_t)p.stride[1] * SIDE / 2);
    memset(p.plane[2], 135, (size_t)p.stride[2] * SIDE / 2);
    for (int i = from; i < from + n; i++)
        for (int k = 0; k < per; k++) {
            for (int y = 0; y < SIDE; y++)
                for (int x = 0; x < SIDE; x++)
                    p.plane[0][y * p.stride[0] + x] =
                        (uint8_t)(120 + 60 * sin(0.2 * x + 0.9 * i) * cos(0.15 * y));
            assert_int_equal(pz_lse_push(l, (i + (double)k / per) / 25, &p, &f), PZ_OK);
        }
    pz_picture_free(&p);
}

static bool score_of(int from, int n, int per, int again_from, struct pz_syncnet_score *s)
{
    struct pz_job job = {0};
    struct pz_lse *l;
    assert_int_equal(pz_lse_create(model, speech, N_SPEECH, &job, &l), PZ_OK);
    push(l, from, n, per);
    if (again_from)
        push(l, again_from, n, per);
    bool any = pz_lse_score(l, s);
    pz_lse_destroy(&l);
    return any;
}

static void rate_does_not_matter(void **state)
{
    struct pz_syncnet_score a, b;
    (void)state;
    // The last twenty-fifth shows only when the next picture says how long it stood.
    assert_true(score_of(4, 12, 1, 0, &a));
    assert_true(a.distance > 0 && isfinite(a.confidence) && a.offset >= -15 && a.offset <= 15);
    assert_true(score_of(4, 12, 2, 0, &b));
    assert_true(fabs(a.distance - b.distance) <
                0.02 * a.distance); // 50 fps: the calmed crops differ a little
    assert_false(score_of(4, 5, 1, 0, &a));
    assert_true(a.distance == 0);
    assert_true(score_of(4, 6, 1, 0, &a));  // one window
    assert_true(score_of(4, 6, 1, 30, &b)); // and another after a gap, not those between
    assert_true(a.distance != b.distance);
    assert_false(score_of(48, 6, 1, 0, &a)); // the sound has ended
}

static void a_wrong_file_is_named(void **state)
{
    struct pz_log *log = pz_log_create(listen, NULL, PZ_LOG_ERROR);
    struct pz_job job = {.log = log};
    char bad[200], *found;
    (void)state;
    assert_int_equal(pz_lse_verify(path, &job), PZ_OK);
    snprintf(bad, sizeof bad, "%s/bad.model", folder);
    write_weights(bad, false);
    assert_int_equal(pz_lse_verify(bad, &job), PZ_ERR_WEIGHTS);
    assert_non_null(strstr(said, "netfclip.3.bias"));
    found = pz_lse_find(folder);
    assert_string_equal(found, path);
    pz_free(found);
    assert_null(pz_lse_find("/nowhere"));
    assert_null(pz_lse_find(NULL));
    pz_log_destroy(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rate_does_not_matter),
                                       cmocka_unit_test(a_wrong_file_is_named)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

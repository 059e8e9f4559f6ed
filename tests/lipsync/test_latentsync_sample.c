/** LatentSync's sampler with networks of a known answer, and with the fact sheet's small network: solvers
 * meet, the guided loop is the sheet's, `fast` ends near `exact`, windows add up.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "image/metrics.h"
#include "lipsync/latentsync_sample.h"
#include "nn/ddim.h"
#include "nn/dpm.h"
#include "nn/sd_block.h"
#include "nn/sd_unet.h"
#include "rule_file.h"
#include "tensor/plan.h"

static struct pz_job job;

/* ---- a network that knows the answer: data with a normal distribution of mean m and deviation s ---- */

struct knowing {
    struct pz_ddim table;
    double mean, deviation;
    int whole, shallow, pairs;
};

static enum pz_status know(void *user, double time, bool whole, const float *z, float *quiet, float *heard)
{
    struct knowing *k = user;
    double a = k->table.alpha[(int)time], v = a * k->deviation * k->deviation + 1 - a;
    whole ? k->whole++ : k->shallow++;
    k->pairs += quiet != NULL;
    for (int i = 0; i < 8; i++) {
        heard[i] = (float)(sqrt(1 - a) * (z[i] - sqrt(a) * k->mean) / v);
        if (quiet)
            quiet[i] = heard[i];
    }
    return PZ_OK;
}

static double solve(struct pz_latentsync_way way, struct knowing *k)
{
    float z[8], work[8 * PZ_LATENTSYNC_WORK];
    struct pz_latentsync_net net = {k, know};
    double worst = 0, a0 = k->table.alpha[0];
    k->whole = k->shallow = k->pairs = 0;
    for (int i = 0; i < 8; i++)
        z[i] = (float)(i - 3.5) / 2;
    assert_int_equal(pz_latentsync_sample(&way, &net, 8, &job, work, z), PZ_OK);
    // The equation's exact solution moves each value along its own quantile, from what it was at the start.
    for (int i = 0; i < 8; i++) {
        double a = k->table.alpha[951], s2 = k->deviation * k->deviation, x = (float)(i - 3.5) / 2;
        double q = (x - sqrt(a) * k->mean) / sqrt(a * s2 + 1 - a);
        worst = fmax(worst, fabs(z[i] - (sqrt(a0) * k->mean + q * sqrt(a0 * s2 + 1 - a0))));
    }
    return worst;
}

static void solvers_find_the_solution(void **state)
{
    struct knowing k = {.mean = 0.7, .deviation = 0.5};
    (void)state;
    assert_int_equal(pz_ddim_init(&k.table, NULL, 20), PZ_OK);
    struct pz_latentsync_way fast = {.fast = true, .steps = 10, .guidance = 1, .every = 1};
    double exact20 = solve(pz_latentsync_exact, &k), fast10 = solve(fast, &k);
    assert_int_equal(k.whole, 10);
    assert_int_equal(k.pairs, 0);
    fast.steps = 40;
    double fast40 = solve(fast, &k);
    fast.corrects = true;
    double better40 = solve(fast, &k);
    fast.steps = 10;
    double better10 = solve(fast, &k);
    assert_int_equal(k.whole, 10); // a correction asks for nothing
    print_message("error: DDIM 20 %.5f, DPM 10 %.5f, DPM 40 %.5f, corrected 10 %.5f, 40 %.5f\n", exact20,
                  fast10, fast40, better10, better40);
    assert_true(exact20 < 0.15 && fast10 < 0.15 && fast40 < fast10 / 2);
    assert_true(better10 < fast10 && better40 < fast40 && better40 < better10 / 2);
    int whole, shallow;
    struct pz_latentsync_way way = pz_latentsync_fast;
    solve(way, &k);
    pz_latentsync_way_count(&way, &whole, &shallow);
    assert_int_equal(k.whole + k.pairs, whole);
    assert_int_equal(k.shallow, shallow);
    pz_latentsync_way_count(&pz_latentsync_exact, &whole, &shallow);
    assert_true(whole == 40 && shallow == 0);
}

/* Clean data that changes linearly with log-SNR, whatever the latent: from the second step on the corrected
 * latents then differ by the integral itself. */
static void corrections_are_of_second_order(void **state)
{
    struct pz_dpm d;
    float x = 0.3f, past[PZ_DPM_PAST] = {0};
    double before = 0;
    const double a = 0.4, b = -0.25;
    (void)state;
    assert_int_equal(pz_dpm_init(&d, NULL, 12, 951), PZ_OK);
    d.corrects = true;
    for (int k = 0; k < 12; k++) {
        double l = d.lambda[k];
        float e = (float)((x - d.signal[k] * (a + b * l)) / d.noise[k]);
        pz_dpm_step(&d, k, &e, 1, past, &x);
        double now = past[2] / d.noise[k]; // the corrected latent of this step
        if (k > 1) {
            double from = d.lambda[k - 1],
                   sure = exp(l) * (a + b * (l - 1)) - exp(from) * (a + b * (from - 1));
            assert_true(fabs(now - before - sure) < 2e-5 * fmax(1, fabs(now)));
        }
        before = now;
    }
}

static void options(void **state)
{
    struct pz_latentsync_way w;
    (void)state;
    assert_int_equal(pz_latentsync_way_of(NULL, 0, NAN, NULL, &w), PZ_OK);
    assert_true(!w.fast && w.steps == 20 && w.guidance == 1.5f);
    assert_int_equal(pz_latentsync_way_of("fast", 7, 2, NULL, &w), PZ_OK);
    assert_true(w.fast && w.steps == 7 && w.guidance == 2);
    int whole, shallow;
    pz_latentsync_way_count(&w, &whole, &shallow);
    assert_true(whole == 8 && shallow == 0);
    assert_int_equal(pz_latentsync_way_of("fast", 0, 3, NULL, &w), PZ_OK); // stronger: asked for more often
    pz_latentsync_way_count(&w, &whole, &shallow);
    assert_int_equal(whole, 9);
    for (int steps = 1; steps < 4; steps++) { // however few: asked for once
        assert_int_equal(pz_latentsync_way_of("fast", steps, 0, NULL, &w), PZ_OK);
        pz_latentsync_way_count(&w, &whole, &shallow);
        assert_int_equal(whole, steps + 1);
    }
    assert_int_equal(pz_latentsync_way_of("best", 0, 0, NULL, &w), PZ_ERR_USAGE);
    assert_int_equal(pz_latentsync_way_of("exact", 101, 0, NULL, &w), PZ_ERR_USAGE);
    assert_int_equal(pz_latentsync_way_of("exact", 0, 0.5f, NULL, &w), PZ_ERR_USAGE);
    struct pz_dpm d;
    assert_int_equal(pz_dpm_init(&d, NULL, 0, 951), PZ_ERR_USAGE);
    assert_int_equal(pz_dpm_init(&d, NULL, 12, 1000), PZ_ERR_USAGE);
}

static void windows(void **state)
{
    (void)state;
    for (int n = 1; n < 120; n++) {
        int count = pz_latentsync_windows(n);
        for (int f = 0; f < n; f++) {
            float sum = 0;
            for (int k = 0; k < count; k++)
                sum += pz_latentsync_window_weight(n, k, f);
            assert_true(fabsf(sum - 1) < 1e-5f);
        }
        for (int k = 0; k < count; k++)
            for (int i = 0; i < PZ_LATENTSYNC_WINDOW; i++) {
                int f = pz_latentsync_window_frame(n, k, i);
                assert_true(f >= 0 && f < n);
                if (n >= PZ_LATENTSYNC_WINDOW)
                    assert_int_equal(f, pz_latentsync_window_first(n, k) + i);
            }
        for (int k = 1; k < count; k++) {
            int step = pz_latentsync_window_first(n, k) - pz_latentsync_window_first(n, k - 1);
            assert_true(step > 0 && step <= PZ_LATENTSYNC_WINDOW - PZ_LATENTSYNC_OVERLAP);
        }
        if (count > 1)
            assert_int_equal(pz_latentsync_window_first(n, count - 1) + PZ_LATENTSYNC_WINDOW, n);
    }
    assert_int_equal(pz_latentsync_windows(16), 1);
    assert_int_equal(pz_latentsync_windows(17), 2);
    assert_int_equal(pz_latentsync_windows(28), 2);
    assert_int_equal(pz_latentsync_windows(29), 3);
}

static void noise(void **state)
{
    enum { N = 20000 };
    float *a = malloc(N * sizeof *a), *b = malloc(N * sizeof *b);
    double mean = 0, var = 0;
    (void)state;
    pz_latentsync_noise(7, N, a);
    pz_latentsync_noise(7, N, b);
    assert_memory_equal(a, b, N * sizeof *a);
    pz_latentsync_noise(8, N, b);
    assert_true(a[0] != b[0]);
    for (int i = 0; i < N; i++) {
        mean += a[i] / (double)N;
        var += (double)a[i] * a[i] / N;
    }
    assert_true(fabs(mean) < 0.03 && fabs(var - 1) < 0.05);
    free(a);
    free(b);
}

/* ---- the fact sheet's small network ---- */

enum { F = 4, HW = 256, N = F * HW * 4 };

struct small {
    struct pz_plan *plan[2]; /* last layer only, whole with both branches */
    struct pz_session *s[2];
    float fixed[F * HW * 9]; /* mask, masked, reference */
    float sound[F * 240];
};

static void build(struct pz_params *p, int branches)
{
    struct pz_graph *g = pz_params_graph(p);
    struct pz_sd_unet_config c = pz_latentsync_unet;
    const int channels[4] = {32, 64, 64, 64};
    memcpy(c.channels, channels, sizeof channels);
    c.groups = 8;
    c.heads = c.motion_heads = 2;
    c.cross = 24;
    int n = (branches ? branches : 1) * F, deep;
    int x = pz_graph_input(g, "x", (struct pz_shape){4, {F, 16, 16, 13}}); // both branches see the same
    int audio = pz_graph_input(g, "audio", (struct pz_shape){3, {n, 10, 24}});
    int time = pz_graph_input(g, "time", (struct pz_shape){2, {1, 32}});
    if (branches) {
        pz_graph_output(g, "out", pz_sd_unet_whole(p, &c, x, time, audio, F, &deep));
        pz_graph_output(g, "deep", deep);
    } else {
        deep = pz_graph_input(g, "deep", (struct pz_shape){4, {n, 16, 16, 32}});
        pz_graph_output(g, "out", pz_sd_unet_shallow(p, &c, x, deep, time, audio, F));
    }
    assert_int_equal(pz_params_finish(p), PZ_OK);
}

/* The fact sheet's weights as a file, and both networks read from it. */
static void open_small(struct small *m, const char *path)
{
    struct pz_graph *g = pz_graph_create(NULL);
    struct pz_params *p = pz_params_create(g, &(struct pz_params_options){0}, NULL);
    struct pz_checkpoint *c;
    build(p, 2);
    assert_int_equal(rule_file_write(path, p, NULL, NULL), 0);
    pz_params_destroy(&p);
    pz_graph_destroy(&g);
    assert_int_equal(pz_checkpoint_open(path, NULL, &c), PZ_OK);
    for (int whole = 0; whole < 2; whole++) {
        g = pz_graph_create(NULL);
        p = pz_params_create(
            g, &(struct pz_params_options){.checkpoint = c, .ignore = whole ? NULL : pz_sd_unet_deep_only},
            NULL);
        build(p, whole ? 2 : 0);
        pz_params_destroy(&p);
        assert_int_equal(pz_plan_create(&g, &pz_plan_default, NULL, &m->plan[whole]), PZ_OK);
        assert_int_equal(pz_session_create(m->plan[whole], NULL, &m->s[whole]), PZ_OK);
    }
    pz_checkpoint_close(&c);
}

static void close_small(struct small *m)
{
    for (int i = 0; i < 2; i++) {
        pz_session_destroy(&m->s[i]);
        pz_plan_destroy(&m->plan[i]);
    }
}

/* mask, masked latent, reference latent and sound number `at` and on, in the sheet's order. */
static void fill(struct small *m, uint32_t at)
{
    float mask[F * HW], latent[2][4 * F * HW];
    pz_rule_input(at, -1, 1, F * HW, mask);
    pz_rule_input(at + 1, -1, 1, 4 * F * HW, latent[0]);
    pz_rule_input(at + 2, -1, 1, 4 * F * HW, latent[1]);
    pz_rule_input(at + 3, -1, 1, F * 240, m->sound);
    for (int f = 0; f < F; f++)
        for (int i = 0; i < HW; i++) {
            float *to = m->fixed + (f * HW + i) * 9;
            to[0] = mask[f * HW + i] > 0;
            for (int c = 0; c < 8; c++)
                to[1 + c] = latent[c / 4][(c % 4 * F + f) * HW + i];
        }
}

static enum pz_status predict(void *user, double time, bool whole, const float *z, float *quiet, float *heard)
{
    struct small *m = user;
    struct pz_session *s = m->s[whole];
    float *x = pz_session_input(s, "x", 0).data, *audio = pz_session_input(s, "audio", 0).data;
    assert_true(whole || quiet == NULL);
    for (int i = 0; i < F * HW; i++) {
        memcpy(x + i * 13, z + i * 4, 4 * sizeof *x);
        memcpy(x + i * 13 + 4, m->fixed + i * 9, 9 * sizeof *x);
    }
    if (whole)
        memset(audio, 0, sizeof m->sound);
    memcpy(audio + (whole ? F * 240 : 0), m->sound, sizeof m->sound);
    pz_sd_time_embedding(time, 32, pz_session_input(s, "time", 0).data);
    assert_int_equal(pz_session_run(s, NULL), PZ_OK);
    const float *out = pz_session_output(s, "out", 0).data;
    if (whole) {
        const float *deep = pz_session_output(s, "deep", 0).data;
        if (quiet)
            memcpy(quiet, out, N * sizeof *out);
        memcpy(pz_session_input(m->s[0], "deep", 0).data, deep + F * HW * 32, F * HW * 32 * sizeof *deep);
    }
    memcpy(heard, out + (whole ? N : 0), N * sizeof *out);
    return PZ_OK;
}

/* The last layer alone, handed what the whole network left at the same step, must say the same. */
static void last_layer_alone(struct small *m)
{
    static float z[N], quiet[N], heard[N], again[N];
    double worst = 0;
    pz_latentsync_noise(3, N, z);
    predict(m, 501, true, z, quiet, heard);
    predict(m, 501, false, z, NULL, again);
    for (int i = 0; i < N; i++)
        worst = fmax(worst, fabs(heard[i] - again[i]));
    print_message("last layer alone: differs by %.2g at most\n", worst);
    assert_true(worst < 2e-5);
}

/* spec/latentsync.md §12: the guided loop, here through the sampler, whose third step is where the sheet's
 * values end: the schedule of 20 is walked by a network that stops it after three. */
struct stopping {
    struct small *m;
    int steps;
    float seen[N]; /* latent at the fourth step */
};

static enum pz_status stop_after_three(void *user, double time, bool whole, const float *z, float *quiet,
                                       float *heard)
{
    struct stopping *s = user;
    if (s->steps++ < 3)
        return predict(s->m, time, whole, z, quiet, heard);
    memcpy(s->seen, z, sizeof s->seen);
    return PZ_ERR_CANCELLED;
}

static void guided_loop(struct small *m)
{
    static float z[N], work[PZ_LATENTSYNC_WORK * N], latent[4 * HW];
    static struct stopping s;
    struct pz_latentsync_net net = {&s, stop_after_three};
    double mean = 0, var = 0;
    s.m = m;
    fill(m, 4005);
    pz_rule_input(4004, -1, 1, 4 * HW, latent);
    for (int i = 0; i < N; i++)
        z[i] = latent[i % 4 * HW + i / 4 % HW];
    assert_int_equal(pz_latentsync_sample(&pz_latentsync_exact, &net, N, &job, work, z), PZ_ERR_CANCELLED);
    for (int i = 0; i < N; i++)
        mean += s.seen[i] / (double)N;
    for (int i = 0; i < N; i++)
        var += pow(s.seen[i] - mean, 2) / N;
    assert_true(fabs(mean - .08996860) < 3e-4 && fabs(sqrt(var) - 1.321113) < 3e-4);
    assert_true(fabs(s.seen[0] - .8947308) < 5e-4 && fabs(s.seen[N - 1] + 1.806437) < 5e-4);
}

/* Latents as pictures of the range they have: what they differ by, in dB, and how alike they look. */
static double psnr(const float *a, const float *b, double *likeness)
{
    static float p[HW], q[HW];
    double sum = 0, lo = INFINITY, hi = -INFINITY, like = 0;
    for (int i = 0; i < N; i++) {
        sum += pow(a[i] - b[i], 2) / N;
        lo = fmin(lo, a[i]);
        hi = fmax(hi, a[i]);
    }
    for (int k = 0; k < 4 * F; k++) {
        for (int i = 0; i < HW; i++) {
            p[i] = (float)((a[(k / 4 * HW + i) * 4 + k % 4] - lo) / (hi - lo) * 255);
            q[i] = (float)((b[(k / 4 * HW + i) * 4 + k % 4] - lo) / (hi - lo) * 255);
        }
        double one;
        assert_int_equal(pz_metric_ssim(p, q, 16, 16, 255, &one), PZ_OK);
        like += one / (4 * F);
    }
    *likeness = like;
    return 10 * log10((hi - lo) * (hi - lo) / sum);
}

/* What a trained network answers is the score of its data, and the rest of it what the sound and the picture
 * change: here data around the reference latent, and the random network's answer as the change. A random
 * network alone is no denoiser: its latents grow, and nothing that makes solvers converge on real ones holds.
 */
#define SPREAD 0.5
#define CHANGE 0.25f

static enum pz_status predict_trained(void *user, double time, bool whole, const float *z, float *quiet,
                                      float *heard)
{
    struct small *m = user;
    struct pz_ddim d;
    enum pz_status st = predict(user, time, whole, z, quiet, heard);
    assert_int_equal(pz_ddim_init(&d, NULL, 20), PZ_OK);
    double a = d.alpha[(int)time], v = a * SPREAD * SPREAD + 1 - a;
    for (int i = 0; i < N; i++) {
        float score = (float)(sqrt(1 - a) * (z[i] - sqrt(a) * m->fixed[i / 4 * 9 + 5 + i % 4]) / v);
        heard[i] = score + CHANGE * heard[i];
        if (quiet)
            quiet[i] = score + CHANGE * quiet[i];
    }
    return st;
}

/* On networks that are no denoisers only this is asked: that another way to the same end ends nearby.
 * test_latentsync_trained.c asks how good it is. */
static void fast_ends_near_exact(struct small *m)
{
    static float start[N], exact[N], fast[N], work[PZ_LATENTSYNC_WORK * N];
    struct pz_latentsync_way cached = pz_latentsync_fast;
    const char *seeds = getenv("PZ_SEEDS");
    cached.steps = 12;
    cached.every = 2;
    for (unsigned seed = 1; seed <= (seeds ? (unsigned)atoi(seeds) : 1); seed++)
        for (int trained = 0; trained < 2; trained++) {
            struct pz_latentsync_net net = {m, trained ? predict_trained : predict};
            double p[2], l[2];
            fill(m, 5000 + 10 * seed);
            pz_latentsync_noise(seed, HW * 4, start);
            for (int f = 1; f < F; f++)
                memcpy(start + f * HW * 4, start, HW * 4 * sizeof *start);
            memcpy(exact, start, sizeof exact);
            assert_int_equal(pz_latentsync_sample(&pz_latentsync_exact, &net, N, &job, work, exact), PZ_OK);
            for (int i = 0; i < 2; i++) {
                memcpy(fast, start, sizeof fast);
                assert_int_equal(
                    pz_latentsync_sample(i ? &cached : &pz_latentsync_fast, &net, N, &job, work, fast),
                    PZ_OK);
                p[i] = psnr(exact, fast, &l[i]);
            }
            print_message("seed %u, %s: to exact, fast %.2f dB %.4f, every second step cached %.2f dB %.4f\n",
                          seed, trained ? "score and change" : "random alone", p[0], l[0], p[1], l[1]);
            assert_true(p[0] > 35 && l[0] > 0.99 && p[1] > 30 && l[1] > 0.98);
        }
}

static void the_small_network(void **state)
{
    static struct small m;
    char path[64];
    (void)state;
    snprintf(path, sizeof path, "/tmp/pz-latentsync-%d.safetensors", (int)getpid());
    open_small(&m, path);
    unlink(path);
    guided_loop(&m);
    last_layer_alone(&m);
    fast_ends_near_exact(&m);
    close_small(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(solvers_find_the_solution),
        cmocka_unit_test(corrections_are_of_second_order),
        cmocka_unit_test(options),
        cmocka_unit_test(windows),
        cmocka_unit_test(noise),
        cmocka_unit_test(the_small_network),
    };
    job.log = NULL;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

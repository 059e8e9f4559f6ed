/**
 * `fast` against `exact` where it counts: on a network that is a real denoiser, on people and sounds it never
 * saw. Both are compared with what was filmed, and with the equation's own solution.
 *
 * PZ_WAYS=1.5 prints other ways as well, all windows, with that guidance.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "trained_latentsync.h"

static struct pz_job job;

struct likeness {
    double psnr, ssim;
};

struct trial {
    struct likeness truth, solution, exact;
    double motion; /* mean change from frame to frame over that of the film */
};

static float pictures[4][PZ_LATENTSYNC_WINDOW * 3 * TRAINED_PIXELS];
enum { TRUTH, SOLUTION, EXACT, MADE };

static void solve(struct trained *t, const struct pz_latentsync_way *way, uint64_t seed, float *out)
{
    static float z[TRAINED_FLOATS], work[PZ_LATENTSYNC_WORK * TRAINED_FLOATS];
    struct pz_latentsync_net net = trained_net(t);
    pz_latentsync_noise(seed, 4 * TRAINED_PLACES, z);
    for (int f = 1; f < PZ_LATENTSYNC_WINDOW; f++)
        memcpy(z + (size_t)f * 4 * TRAINED_PLACES, z, 4 * TRAINED_PLACES * sizeof *z);
    assert_int_equal(pz_latentsync_sample(way, &net, TRAINED_FLOATS, &job, work, z), PZ_OK);
    trained_pictures(t, z, out);
}

static double motion(const float *p)
{
    double sum = 0;
    for (int f = 1; f < PZ_LATENTSYNC_WINDOW; f++)
        for (int y = 24; y < 60; y++)
            for (int x = 4; x < 60; x++)
                sum += fabs(p[(f * 3 + 1) * TRAINED_PIXELS + y * 64 + x] -
                            p[(f * 3 - 2) * TRAINED_PIXELS + y * 64 + x]);
    return sum;
}

static struct trial judge(struct trained *t, const struct pz_latentsync_way *way, uint64_t seed, int slot)
{
    struct trial r;
    solve(t, way, seed, pictures[slot]);
    trained_compare(pictures[TRUTH], pictures[slot], &r.truth.psnr, &r.truth.ssim);
    trained_compare(pictures[SOLUTION], pictures[slot], &r.solution.psnr, &r.solution.ssim);
    trained_compare(pictures[EXACT], pictures[slot], &r.exact.psnr, &r.exact.ssim);
    r.motion = motion(pictures[slot]) / motion(pictures[TRUTH]);
    return r;
}

static void say(const char *name, const struct trial *r)
{
    print_message("%-36s film %.2f dB %.4f, solution %.2f dB %.4f, exact %.2f dB %.4f, motion %.2f\n", name,
                  r->truth.psnr, r->truth.ssim, r->solution.psnr, r->solution.ssim, r->exact.psnr,
                  r->exact.ssim, r->motion);
}

static void begin(struct trained *t, int k, float guidance)
{
    const struct pz_latentsync_way fine = {.fast = true, .steps = 40, .guidance = guidance, .every = 1};
    trained_window(t, k);
    trained_pictures(t, trained_truth(t, k), pictures[TRUTH]);
    solve(t, &fine, 1247 + (uint64_t)k, pictures[SOLUTION]);
}

static void fast_is_within_the_bar_of_exact(void **state)
{
    struct trained *t = *state;
    begin(t, 0, 1.5f);
    struct trial exact = judge(t, &pz_latentsync_exact, 1247, EXACT),
                 fast = judge(t, &pz_latentsync_fast, 1247, MADE);
    say("exact", &exact);
    say("fast", &fast);
    assert_true(exact.truth.psnr > 20); // it does draw a mouth
    assert_true(fast.truth.psnr > exact.truth.psnr - 1 && fast.truth.ssim > exact.truth.ssim - 0.01);
    assert_true(fast.solution.psnr > exact.solution.psnr - 1 &&
                fast.solution.ssim > exact.solution.ssim - 0.01);
}

static void table(struct trained *t, float guidance)
{
    static const struct pz_latentsync_way ways[] = {
        {.steps = 20},
        {.steps = 10},
        {.fast = true, .steps = 20},
        {.fast = true, .steps = 10},
        {.fast = true, .steps = 8, .ask = 4},
        {.fast = true, .steps = 7, .ask = 4},
        {.fast = true, .steps = 6, .ask = 4},
        {.fast = true, .corrects = true, .steps = 10},
        {.fast = true, .corrects = true, .steps = 8, .ask = 4},
        {.fast = true, .corrects = true, .steps = 7},
        {.fast = true, .corrects = true, .steps = 7, .from = 2, .ask = 3},
        {.fast = true, .corrects = true, .steps = 7, .from = 2, .ask = 8},
        {.fast = true, .corrects = true, .steps = 7, .ask = 8},
        {.fast = true, .corrects = true, .steps = 6, .from = 1, .ask = 3},
        {.fast = true, .corrects = true, .steps = 6, .from = 1, .ask = 8},
        {.fast = true, .corrects = true, .steps = 5, .from = 1, .ask = 3},
        {.fast = true, .steps = 14, .every = 2},
    };
    enum { N = sizeof ways / sizeof *ways };
    struct trial sum[N];
    memset(sum, 0, sizeof sum);
    for (int k = 0; k < TRAINED_WINDOWS; k++) {
        begin(t, k, guidance);
        for (int i = 0; i < N; i++) {
            struct pz_latentsync_way way = ways[i];
            way.guidance = guidance;
            struct trial r = judge(t, &way, 1247 + (uint64_t)k, i ? MADE : EXACT);
            double *to = (double *)&sum[i], *from = (double *)&r;
            for (size_t j = 0; j < sizeof r / sizeof *to; j++)
                to[j] += from[j] / TRAINED_WINDOWS;
        }
    }
    for (int i = 0; i < N; i++) {
        char name[64];
        const struct pz_latentsync_way *w = &ways[i];
        snprintf(name, sizeof name, "%s %d every %d from %d ask %d g %.1f",
                 w->corrects ? "corrected"
                 : w->fast   ? "dpm"
                             : "ddim",
                 w->steps, w->every, w->from, w->ask, (double)guidance);
        say(name, &sum[i]);
    }
}

static int set_up(void **state)
{
    const char *path = getenv("PZ_TRAINED");
    *state = trained_open(path ? path : PZ_SOURCE_DIR "/tests/lipsync/data/trained-latentsync.bin");
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    struct trained *t = *state;
    if (getenv("PZ_WAYS"))
        table(t, strtof(getenv("PZ_WAYS"), NULL));
    trained_close(&t);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fast_is_within_the_bar_of_exact)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* LatentSync's steps and windows. Knows no network, no picture and no file. */
#include "lipsync/latentsync_sample.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "nn/ddim.h"
#include "nn/dpm.h"

#define NOISE_STREAM 0x4c5359u
#define FIRST_TIME 951 /* of the published 20 steps */
#define STRONG 2.0f    /* more guidance than this moves the mouth far: fast asks for it more than once */
#define OFTEN 3

const struct pz_latentsync_way pz_latentsync_exact = {.steps = 20, .guidance = 1.5f, .every = 1},
                               pz_latentsync_fast = {.fast = true,
                                                     .corrects = true,
                                                     .steps = 7,
                                                     .guidance = 1.5f,
                                                     .every = 1,
                                                     .from = 2,
                                                     .ask = 8};

enum pz_status pz_latentsync_way_of(const char *name, int steps, float guidance, struct pz_log *log,
                                    struct pz_latentsync_way *way)
{
    if (name && strcmp(name, "exact") != 0 && strcmp(name, "fast") != 0)
        return pz_fail(log, PZ_ERR_USAGE, "unknown quality '%s'; there are: exact, fast", name);
    *way = name && !strcmp(name, "fast") ? pz_latentsync_fast : pz_latentsync_exact;
    if (steps < 0 || steps > PZ_LATENTSYNC_MAX_STEPS)
        return pz_fail(log, PZ_ERR_USAGE, "%d steps: latentsync takes 1 to %d", steps,
                       PZ_LATENTSYNC_MAX_STEPS);
    if (!isnan(guidance) && guidance != 0 && !(guidance >= 1 && guidance <= 10))
        return pz_fail(log, PZ_ERR_USAGE, "guidance %g: latentsync takes 1 (none) to 10", (double)guidance);
    way->steps = steps ? steps : way->steps;
    way->guidance = guidance > 0 ? guidance : way->guidance;
    if (way->fast && way->guidance > STRONG)
        way->ask = OFTEN;
    return PZ_OK;
}

static bool is_whole(const struct pz_latentsync_way *way, int k)
{
    return !way->fast || way->every <= 1 || k % way->every == 0;
}

/* Are both branches asked in step `k`? */
static bool is_guided(const struct pz_latentsync_way *way, int k)
{
    int every = way->fast && way->every > 1 ? way->every : 1, last = (way->steps - 1) / every,
        from = way->from < last ? way->from : last, i = k / every;
    if (way->guidance <= 1 || !is_whole(way, k))
        return false;
    return !way->fast || (i >= from && (way->ask < 2 || (i - from) % way->ask == 0));
}

void pz_latentsync_way_count(const struct pz_latentsync_way *way, int *whole, int *shallow)
{
    *whole = *shallow = 0;
    for (int k = 0; k < way->steps; k++)
        if (is_whole(way, k))
            *whole += is_guided(way, k) ? 2 : 1;
        else
            ++*shallow;
}

/* Predicted noise of step `k` into `e`; `lead` [n] keeps what guidance added last. */
static enum pz_status ask(const struct pz_latentsync_way *way, const struct pz_latentsync_net *net, int k,
                          int time, size_t n, const float *z, float *e, float *quiet, float *lead)
{
    bool whole = is_whole(way, k), asked = is_guided(way, k);
    enum pz_status st = net->predict(net->user, time, whole, z, asked ? quiet : NULL, e);
    if (st < PZ_OK || way->guidance <= 1)
        return st;
    if (asked) { // ε_u + g (ε_a − ε_u)
        for (size_t i = 0; i < n; i++)
            lead[i] = (way->guidance - 1) * (e[i] - quiet[i]);
    }
    for (size_t i = 0; i < n; i++)
        e[i] += lead[i];
    return st;
}

enum pz_status pz_latentsync_sample(const struct pz_latentsync_way *way, const struct pz_latentsync_net *net,
                                    size_t n, const struct pz_job *job, float *work, float *z)
{
    struct pz_ddim ddim;
    struct pz_dpm dpm;
    float *e = work, *quiet = work + n, *lead = work + 2 * n, *past = work + 3 * n;
    enum pz_status st = way->fast ? pz_dpm_init(&dpm, job->log, way->steps, FIRST_TIME)
                                  : pz_ddim_init(&ddim, job->log, way->steps);
    if (st >= PZ_OK && way->fast)
        dpm.corrects = way->corrects;
    memset(lead, 0, n * sizeof *lead);
    for (int k = 0; k < way->steps && st >= PZ_OK; k++) {
        if (pz_job_cancelled(job))
            return PZ_ERR_CANCELLED;
        st = ask(way, net, k, way->fast ? dpm.time[k] : pz_ddim_time(&ddim, k), n, z, e, quiet, lead);
        if (st < PZ_OK)
            break;
        if (way->fast)
            pz_dpm_step(&dpm, k, e, n, past, z);
        else
            pz_ddim_step(&ddim, k, z, e, n, z);
    }
    return st;
}

void pz_latentsync_noise(uint64_t seed, size_t n, float *z)
{
    struct pz_rng r;
    pz_rng_init(&r, seed, NOISE_STREAM);
    for (size_t i = 0; i < n; i++)
        z[i] = pz_rng_normal(&r);
}

/* ---- windows ---- */

int pz_latentsync_windows(int n)
{
    const int step = PZ_LATENTSYNC_WINDOW - PZ_LATENTSYNC_OVERLAP;
    return n <= PZ_LATENTSYNC_WINDOW ? 1 : (n - PZ_LATENTSYNC_OVERLAP + step - 1) / step;
}

int pz_latentsync_window_first(int n, int k)
{
    int count = pz_latentsync_windows(n);
    return count < 2 ? 0 : (int)((int64_t)k * (n - PZ_LATENTSYNC_WINDOW) / (count - 1));
}

int pz_latentsync_window_frame(int n, int k, int i)
{
    int f = pz_latentsync_window_first(n, k) + i;
    if (f < n)
        return f;
    int turn = n > 1 ? f % (2 * (n - 1)) : 0;
    return turn < n ? turn : 2 * (n - 1) - turn;
}

/* Height of window `k` over frame `f`: rises over the overlap from both ends, 0 outside. */
static float height(int n, int k, int f)
{
    int from_start = f - pz_latentsync_window_first(n, k) + 1, to_end = PZ_LATENTSYNC_WINDOW + 1 - from_start,
        top = PZ_LATENTSYNC_OVERLAP + 1;
    int least = from_start < to_end ? from_start : to_end;
    return (float)(least < 0 ? 0 : least > top ? top : least);
}

float pz_latentsync_window_weight(int n, int k, int f)
{
    int count = pz_latentsync_windows(n);
    float sum = 0;
    if (f < 0 || f >= n)
        return 0;
    for (int i = 0; i < count; i++)
        sum += height(n, i, f);
    return height(n, k, f) / sum;
}

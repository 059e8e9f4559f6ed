/**
 * From noise to latents: the steps of LatentSync over one window of frames, and the windows over a slot.
 *
 * The network is a callback, so that what is decided here — which step asks what, how steps are solved, how
 * windows are laid and blended — is tested without one. Latents are [frames][h·w][4]. Source
 * spec/latentsync.md §4, §9.
 */
#ifndef PZ_LIPSYNC_LATENTSYNC_SAMPLE_H
#define PZ_LIPSYNC_LATENTSYNC_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/job.h"

#define PZ_LATENTSYNC_WINDOW 16
#define PZ_LATENTSYNC_OVERLAP 4
#define PZ_LATENTSYNC_MAX_STEPS 100
#define PZ_LATENTSYNC_WORK 7 /* floats a value that sampling works in */

/** How latents are made. Plain. */
struct pz_latentsync_way {
    bool fast; /**< false: DDIM, every step whole, as published. true: DPM-Solver++(2M), see every, ask */
    int steps;
    float guidance; /**< ≤ 1: the sound alone, no second branch */
    bool corrects;  /**< fast: each step is corrected by the answer that follows it */
    int every; /**< fast: each so-manyth step computes the whole network, the others only its last layer */
    int from; /**< fast: the first whole step that asks without the sound too; guidance adds nothing before */
    int ask;  /**< fast: and each so-manyth from there on; what guidance adds is carried over to those
                 between. 0 = 1 */
};

/** exact: 20 steps, guidance 1.5. fast: 7 corrected steps, the same guidance, asked for in the third alone.
 */
extern const struct pz_latentsync_way pz_latentsync_exact, pz_latentsync_fast;

/** The way of that name ("exact", "fast", NULL = exact) with these steps and guidance where they are not 0
 * and not NAN; fast asks for a guidance above 2 in each third step. Errors: USAGE (logged: an unknown name,
 * steps outside [1, 100], guidance outside [1, 10]). */
PZ_NODISCARD enum pz_status pz_latentsync_way_of(const char *name, int steps, float guidance,
                                                 struct pz_log *log, struct pz_latentsync_way *way);

/** Whole and last-layer-only evaluations of one branch that a window takes: what a way costs. */
void pz_latentsync_way_count(const struct pz_latentsync_way *way, int *whole, int *shallow);

/** The network as the sampler sees it. */
struct pz_latentsync_net {
    void *user;
    /** Noise that it sees in `z` [n] at timestep `time`: `heard` [n] with the sound and, unless NULL, `quiet`
     * [n] without. `whole` false: reuse what the last whole evaluation left (only asked with quiet NULL). */
    enum pz_status (*predict)(void *user, double time, bool whole, const float *z, float *quiet,
                              float *heard);
};

/** One window: `z` [n] noise in, latent out; `work` PZ_LATENTSYNC_WORK·n floats. Errors: the network's,
 * CANCELLED. */
PZ_NODISCARD enum pz_status pz_latentsync_sample(const struct pz_latentsync_way *way,
                                                 const struct pz_latentsync_net *net, size_t n,
                                                 const struct pz_job *job, float *work, float *z);

/** Noise of one frame, the same for all frames of a film: by seed, on any machine and device. */
void pz_latentsync_noise(uint64_t seed, size_t n, float *z);

/** Windows over `n` ≥ 1 frames: at least PZ_LATENTSYNC_OVERLAP in common with the next, evenly laid, the last
 * ends with the last frame. A slot shorter than a window has one. */
int pz_latentsync_windows(int n);
/** First frame of window `k`. */
int pz_latentsync_window_first(int n, int k);
/** Frame shown at place `i` of window `k`: beyond a short slot's end it goes back and forth. */
int pz_latentsync_window_frame(int n, int k, int i);
/** Weight of frame `f` in window `k`; over all windows they add up to 1. */
float pz_latentsync_window_weight(int n, int k, int f);

#endif

// Fit: borrow from pauses, stretch, retime. Integers only; no sound is touched here.
//
// The replaced span [a, b) always has a cross-fade's length on both sides of where the word goes, in which
// template and new sound overlap, so a plan never moves a neighbouring word. Pauses keep at least KEEP_MS on
// the side that gives.
#include "speech/fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_MS 60
#define FADE_MS 10
#define STRETCH_MOST 1.15
#define STRETCH_LEAST 0.85
#define GAP_MS 120      /* a hole in running speech up to this is left as a short pause */
#define GAP_MOST_MS 350 /* auto: a longer one makes the film shorter */

static const char *const names[PZ_FIT_COUNT] = {"auto", "stretch", "borrow", "retime"};

int pz_fit_from_name(const char *name)
{
    for (int i = 0; i < PZ_FIT_COUNT; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

const char *pz_fit_name(int fit)
{
    return fit >= 0 && fit < PZ_FIT_COUNT ? names[fit] : "auto";
}

int64_t pz_fit_fade(int rate)
{
    return (int64_t)rate * FADE_MS / 1000;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/** Lay a word of `word_n` samples into room [from, to) of template time plus `delta` more. */
static void lay(const struct pz_fit_input *in, int64_t from, int64_t to, int64_t word_n, int64_t delta,
                struct pz_fit_plan *p)
{
    int64_t fade = pz_fit_fade(in->rate), spare = (to - from) + delta - word_n, lead;

    p->a = most(from - fade / 2, in->limit_start);
    p->b = least(to + fade / 2, in->limit_end);
    p->n = p->b - p->a + delta;
    p->delta = delta;
    p->word_n = word_n;
    // What is left over: in front when only there a pause was, else behind; beside two pauses in proportion.
    if (in->pause_before + in->pause_after > 0)
        lead = (int64_t)llrint((double)spare * (double)in->pause_before /
                               (double)(in->pause_before + in->pause_after));
    else
        lead = spare / 3;
    p->word_at = from - p->a + most(lead, 0);
}

/** Samples a retime adds: at least `want` (may be negative), in whole frames when they are known. */
static int64_t whole_frames(const struct pz_fit_input *in, int64_t want, int64_t *frames)
{
    double per = in->frame.num > 0 ? (double)in->frame.num * in->rate / (double)in->frame.den : 0.0;

    *frames = 0;
    if (per <= 0.0)
        return want;
    *frames = (int64_t)ceil((double)want / per - 1e-9);
    return llrint((double)*frames * per);
}

enum pz_status pz_fit_decide(const struct pz_fit_input *in, struct pz_log *log, struct pz_fit_plan *p)
{
    int64_t len = in->end - in->start, keep = (int64_t)in->rate * KEEP_MS / 1000;
    int64_t give_before = most(least(in->pause_before - keep, in->start - in->limit_start), 0);
    int64_t give_after = most(least(in->pause_after - keep, in->limit_end - in->end), 0), missing, take_after,
            take_before;
    int64_t d = in->word, frames = 0, room = len + give_before + give_after, d2;
    bool pauses = in->fit == PZ_FIT_AUTO || in->fit == PZ_FIT_BORROW;
    double f;

    *p = (struct pz_fit_plan){.stretch = 1.0, .fit = PZ_FIT_BORROW};
    if (d < 1 || len < 1)
        return pz_fail(log, PZ_ERR_INPUT, "fit: empty word or slot");
    if (in->fit == PZ_FIT_RETIME || (in->fit == PZ_FIT_AUTO && (double)room < STRETCH_LEAST * (double)d))
        goto retime;
    if (!pauses)
        room = len;
    if (d <= room) {
        // It fits. Shorter than a slot without pauses beside it: slow it a little rather than leave a hole.
        missing = most(d - len, 0);
        take_after = least(missing, give_after); // the pause behind first: words start where they started
        take_before = missing - take_after;
        if (d < len && in->pause_before + in->pause_after < (int64_t)in->rate * KEEP_MS / 1000) {
            f = fmin(STRETCH_MOST, (double)len / (double)d);
            d2 = llrint((double)d * f);
            if (in->fit == PZ_FIT_AUTO && len - d2 > (int64_t)in->rate * GAP_MOST_MS / 1000)
                goto retime;
            if (in->fit != PZ_FIT_BORROW) {
                p->fit = PZ_FIT_STRETCH;
                p->stretch = f;
                d = d2;
            }
        } else if (in->fit == PZ_FIT_STRETCH) {
            p->fit = PZ_FIT_STRETCH;
            p->stretch = fmin(STRETCH_MOST, (double)len / (double)d);
            d = llrint((double)d * p->stretch);
        }
        lay(in, in->start - take_before, in->end + take_after, d, 0, p);
        return PZ_OK;
    }
    f = (double)room / (double)d;
    if (in->fit != PZ_FIT_BORROW && f >= STRETCH_LEAST) {
        p->fit = PZ_FIT_STRETCH;
        p->stretch = f;
        lay(in, in->start - (pauses ? give_before : 0), in->end + (pauses ? give_after : 0),
            llrint((double)d * f), 0, p);
        return PZ_OK;
    }
    return pz_fail(log, PZ_ERR_UNUSABLE,
                   "the new words need %.2f s but there is room for %.2f s with --fit %s; use --fit auto or "
                   "--fit retime",
                   (double)in->word / in->rate,
                   (double)room / (in->rate * (in->fit == PZ_FIT_BORROW ? 1.0 : STRETCH_LEAST)),
                   pz_fit_name(in->fit));
retime:
    p->fit = PZ_FIT_RETIME;
    missing = d - len;
    if (in->fit == PZ_FIT_AUTO && missing > 0) { // pauses give what they can first
        take_after = least(missing, give_after);
        take_before = least(missing - take_after, give_before);
    } else {
        take_after = take_before = 0;
    }
    missing -= take_after + take_before;
    p->delta = whole_frames(in, missing, &frames);
    p->delta_frames = frames;
    lay(in, in->start - take_before, in->end + take_after, d, p->delta, p);
    return PZ_OK;
}

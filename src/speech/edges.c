// Edges: the aligner is good to some 10 ms; a joint wants the quietest zero crossing there. Phones and words
// that meet at a moved edge move with it. Nothing is recognised here.
#include "speech/edges.h"

#include <math.h>
#include <stdlib.h>

#include "audio/track.h"
#include "base/mem.h"

#define REACH 480 /* 30 ms: how far an edge may move at most */
#define FINE 48   /* 3 ms: zero crossing search */

/** Phone whose edge lies at `t` (starting there for side 1, ending for side 0), −1 when there is none. */
static int phone_at(const struct pz_phone_line *l, int64_t t, int side)
{
    int lo = 0, hi = l->n - 1;

    while (lo <= hi) {
        int mid = (lo + hi) / 2;
        int64_t v = side ? l->items[mid].start : l->items[mid].end;

        if (v == t)
            return mid;
        if (v < t)
            lo = mid + 1;
        else
            hi = mid - 1;
    }
    return -1;
}

/** Samples an edge may move towards one side: 40 % of the phone there (silence: freely), at most REACH. */
static int64_t room(const struct pz_phone_line *l, int phone)
{
    int64_t len;

    if (phone < 0)
        return 0;
    len = l->items[phone].end - l->items[phone].start;
    if (l->items[phone].id != PZ_PH_SIL)
        len = len * 2 / 5;
    return len < REACH ? len : REACH;
}

/** Quietest place near `at`: energy in 8 ms windows, in dB, plus a price for distance. */
static int64_t quietest(const float *x, int64_t n, int64_t at, int64_t lo, int64_t hi)
{
    enum { WIN = 128, STEP = 16 };
    int64_t best = at;
    double least = 1e30;

    for (int64_t c = lo; c <= hi; c += STEP) {
        int64_t a = c - WIN / 2 < 0 ? 0 : c - WIN / 2, b = c + WIN / 2 > n ? n : c + WIN / 2;
        double db = 20.0 * log10(pz_rms(x + a, b - a) + 1e-5);
        double cost = db + 10.0 * fabs((double)(c - at)) / REACH;

        if (cost < least) {
            least = cost;
            best = c;
        }
    }
    return best;
}

/** Refine one edge; returns its new place. */
static enum pz_status refine(const struct pz_tap *sound, struct pz_analysis *a, int64_t *edge)
{
    enum { SPAN = 4 * REACH };
    enum pz_status st;
    float *x;
    int before = phone_at(&a->phones, *edge, 0), after = phone_at(&a->phones, *edge, 1);
    int64_t from = *edge - SPAN / 2, lo = *edge - room(&a->phones, before),
            hi = *edge + room(&a->phones, after), to;

    if (before < 0)
        lo = *edge > REACH ? *edge - REACH : 0;
    if (after < 0)
        hi = *edge + REACH < a->n_samples ? *edge + REACH : a->n_samples;
    x = pz_calloc(SPAN, sizeof *x);
    if (!x)
        return PZ_ERR_NOMEM;
    st = pz_tap_read_speech(sound, from, x, SPAN);
    if (st == PZ_OK) {
        to = quietest(x, SPAN, *edge - from, lo - from, hi - from);
        to = from + pz_zero_crossing(x, SPAN, to, to - FINE, to + FINE);
        if (to < lo)
            to = lo;
        if (to > hi)
            to = hi;
        if (before >= 0)
            a->phones.items[before].end = to;
        if (after >= 0)
            a->phones.items[after].start = to;
        for (int i = 0; i < a->words.n; i++) {
            if (a->words.items[i].start == *edge)
                a->words.items[i].start = to;
            if (a->words.items[i].end == *edge)
                a->words.items[i].end = to;
        }
        *edge = to;
    }
    pz_free(x);
    return st;
}

enum pz_status pz_edges_refine(const struct pz_tap *sound, struct pz_analysis *a)
{
    enum pz_status st = PZ_OK;

    for (int i = 0; i < a->n_slots; i++) {
        int64_t was = a->slots[i].end;

        PZ_TRY(refine(sound, a, &a->slots[i].start));
        PZ_TRY(refine(sound, a, &a->slots[i].end));
        for (int k = i + 1; k < a->n_slots; k++) // a slot that touched this one still does
            if (a->slots[k].start == was)
                a->slots[k].start = a->slots[i].end;
    }
fail:
    return st;
}

void pz_edges_finish(struct pz_analysis *a)
{
    int p = 0;

    for (int i = 0; i < a->words.n; i++) {
        struct pz_word *w = &a->words.items[i];

        while (p < a->phones.n && a->phones.items[p].start < w->start)
            p++;
        w->first_phone = p;
        w->n_phones = 0;
        while (p < a->phones.n && a->phones.items[p].end <= w->end) {
            p++;
            w->n_phones++;
        }
    }
    for (int i = 0; i < a->n_slots; i++) {
        struct pz_slot *s = &a->slots[i];

        s->pause_before = s->pause_after = 0;
        for (int k = 0; k < a->phones.n; k++) {
            const struct pz_phone *ph = &a->phones.items[k];

            if (ph->id == PZ_PH_SIL && ph->end == s->start)
                s->pause_before = ph->end - ph->start;
            if (ph->id == PZ_PH_SIL && ph->start == s->end)
                s->pause_after = ph->end - ph->start;
        }
    }
}

// Edges: the aligner is good to some 10 ms between two words. Before and after a pause the sound itself says
// more: the word goes on as long as any of five bands stands out of the pause's own noise. A joint wants the
// nearest zero crossing, last of all. Phones and words that meet at a moved edge move with it. Nothing is
// recognised here.
#include "speech/edges.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "audio/mel.h"
#include "audio/track.h"
#include "base/mem.h"
#include "base/order.h"

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

/** Lengths of the stretch looked at for one edge, samples. */
#define INWARD 2400   /* 150 ms of the word */
#define OUTWARD 2400  /* of the pause */
#define FLOOR_AT 1600 /* the pause's own level is measured from 100 ms off the edge on */
#define FLOOR_LEAST 960
#define REACH 128 /* 8 ms: how far an edge between two words may move */
#define FINE 48   /* 3 ms: zero crossing search */
#define STEP 40   /* 2.5 ms */
#define WIN 320   /* 20 ms */
#define FFT 512
#define BANDS 5
#define CLEAN_DB 32.0f      /* how far a pause must lie below the word for this */
#define BELOW_PEAK_DB 28.0f /* what is quieter than that is not the word any more */
#define OVER_FLOOR_DB 3.0f  /* over the 90th percentile of the pause */
#define GAP 28              /* steps (70 ms) of quiet inside a word: a stop's closure */

/** Sound around one edge: the word on its left in [0, mid), the pause behind (a word's start is mirrored). */
struct look {
    struct pz_fft *fft;
    float x[INWARD + OUTWARD + 16000];
    int64_t n, mid, word_from; /* word_from: the last phone begins there */
};

static void band_levels(const struct look *k, int64_t centre, float db[BANDS])
{
    static const int edge[BANDS + 1] = {3, 13, 32, 64, 128, 240}; /* bins of 31.25 Hz */
    float buf[FFT] = {0}, spec[FFT + 2];

    for (int i = 0; i < WIN; i++) {
        int64_t at = centre - WIN / 2 + i;

        if (at >= 0 && at < k->n)
            buf[i] = k->x[at] * (0.5f - 0.5f * cosf(2.0f * (float)M_PI * ((float)i + 0.5f) / WIN));
    }
    pz_fft_real(k->fft, buf, spec);
    for (int b = 0; b < BANDS; b++) {
        float p = 1e-9f;

        for (int i = edge[b]; i < edge[b + 1]; i++)
            p += spec[2 * i] * spec[2 * i] + spec[2 * i + 1] * spec[2 * i + 1];
        db[b] = 10.0f * log10f(p);
    }
}

/** What the pause itself sounds like: 90th percentile of each band. False when the pause is too short. */
static bool pause_floor(const struct look *k, float floor_db[BANDS])
{
    enum { MOST = 128 };
    float all[BANDS][MOST], db[BANDS];
    int64_t from = k->mid + FLOOR_AT, to = k->n - WIN / 2;
    int n = 0;

    if (to - from < FLOOR_LEAST) // a short pause: its last half
        from = k->mid + (to - k->mid) / 2;
    for (int64_t c = from; c < to && n < MOST; c += STEP, n++) {
        band_levels(k, c, db);
        for (int b = 0; b < BANDS; b++)
            all[b][n] = db[b];
    }
    for (int b = 0; b < BANDS; b++) {
        qsort(all[b], (size_t)n, sizeof all[b][0], pz_by_float);
        floor_db[b] = all[b][n * 9 / 10];
    }
    return n > 5;
}

/** Where the word before a pause dies away; `mid` when the sound does not say. */
static int64_t last_sound(const struct look *k)
{
    float floor_db[BANDS], db[BANDS], peak = -90.0f, noise = -90.0f;
    int64_t from = k->word_from, to = k->mid + OUTWARD < k->n ? k->mid + OUTWARD : k->n, last = -1;
    int quiet = 0, loud = 0;

    if (!pause_floor(k, floor_db))
        return k->mid;
    for (int64_t c = WIN / 2; c < k->mid; c += 2 * STEP) {
        float p = 0.0f;

        band_levels(k, c, db);
        for (int b = 0; b < BANDS; b++)
            p += powf(10.0f, db[b] / 10.0f);
        peak = fmaxf(peak, 10.0f * log10f(p));
    }
    for (int b = 0; b < BANDS; b++)
        noise = fmaxf(noise, floor_db[b]);
    if (noise > peak - CLEAN_DB) // the end of the word drowns: what knows its phones is better
        return k->mid;
    for (int64_t c = from; c < to; c += STEP) {
        bool sound = false;

        band_levels(k, c, db);
        for (int b = 0; b < BANDS; b++)
            sound |= db[b] > fmaxf(floor_db[b] + OVER_FLOOR_DB, peak - BELOW_PEAK_DB);
        quiet = sound ? 0 : quiet + 1;
        loud = sound ? loud + 1 : 0;
        if (loud >= 3)
            last = c;
        if (last >= 0 && c > k->mid && quiet > GAP)
            break;
    }
    return last < 0 || last >= to - STEP ? k->mid : last;
}

/** An edge at a pause: the aligner's place is the beginning, the sound's own end decides. */
static enum pz_status refine_pause(const struct pz_tap *sound, const struct pz_analysis *a, int64_t edge,
                                   const struct pz_phone *word, const struct pz_phone *pause, bool start,
                                   int64_t *to)
{
    enum pz_status st = PZ_ERR_NOMEM;
    struct look *k = pz_calloc(1, sizeof *k);
    int64_t inward = word->end - word->start, outward = pause->end - pause->start, from;

    *to = edge;
    if (!k)
        return st;
    k->fft = pz_fft_create(FFT);
    if (!k->fft)
        goto fail;
    inward = inward < INWARD ? inward : INWARD;
    outward = outward < OUTWARD + 16000 ? outward : OUTWARD + 16000;
    k->mid = INWARD;
    k->n = k->mid + outward;
    k->word_from = k->mid - inward;
    from = start ? edge - outward : edge - k->mid;
    PZ_TRY(pz_tap_read_speech(sound, from, k->x, k->n));
    if (start)
        for (int64_t i = 0; i < k->n / 2; i++) {
            float v = k->x[i];

            k->x[i] = k->x[k->n - 1 - i];
            k->x[k->n - 1 - i] = v;
        }
    *to = edge + (start ? -1 : 1) * (last_sound(k) - k->mid);
    *to = *to < 0 ? 0 : *to > a->n_samples ? a->n_samples : *to;
fail:
    pz_fft_destroy(&k->fft);
    pz_free(k);
    return st;
}

/** Quietest place near `at`: energy in 8 ms windows, in dB, plus a price for distance. */
static int64_t quietest(const float *x, int64_t n, int64_t at, int64_t lo, int64_t hi)
{
    enum { SHORT = 128, FAR_DB = 10, EVERY = 16 };
    int64_t best = at;
    double least = 1e30;

    for (int64_t c = lo; c <= hi; c += EVERY) {
        int64_t a = c - SHORT / 2 < 0 ? 0 : c - SHORT / 2, b = c + SHORT / 2 > n ? n : c + SHORT / 2;
        double cost = 20.0 * log10(pz_rms(x + a, b - a) + 1e-5) + FAR_DB * fabs((double)(c - at)) / REACH;

        if (cost < least) {
            least = cost;
            best = c;
        }
    }
    return best;
}

/** A stop after a pause begins with a closure nobody hears: the aligner knows better than the sound. */
static bool is_stop(int phone)
{
    return phone == PZ_PH_P || phone == PZ_PH_T || phone == PZ_PH_K || phone == PZ_PH_B || phone == PZ_PH_D ||
           phone == PZ_PH_G || phone == PZ_PH_CH || phone == PZ_PH_JH;
}

/** Last step: the quietest zero crossing close by. */
static enum pz_status to_crossing(const struct pz_tap *sound, int64_t reach, int64_t *at)
{
    enum { SPAN = 1024 };
    enum pz_status st;
    float x[SPAN];
    int64_t from = *at - SPAN / 2, c;

    st = pz_tap_read_speech(sound, from, x, SPAN);
    if (st < PZ_OK)
        return st;
    c = reach ? quietest(x, SPAN, SPAN / 2, SPAN / 2 - reach, SPAN / 2 + reach) : SPAN / 2;
    c = from + pz_zero_crossing(x, SPAN, c, c - FINE, c + FINE);
    *at = c < 0 ? 0 : c;
    return PZ_OK;
}

/** Refine one edge of a slot and all that meets there. */
static enum pz_status refine(const struct pz_tap *sound, struct pz_analysis *a, int64_t *edge, bool start)
{
    enum pz_status st;
    int before = phone_at(&a->phones, *edge, 0), after = phone_at(&a->phones, *edge, 1);
    struct pz_phone *l = before >= 0 ? &a->phones.items[before] : NULL,
                    *r = after >= 0 ? &a->phones.items[after] : NULL;
    struct pz_phone *word = start ? r : l, *pause = start ? l : r;
    bool at_pause = word && pause && pause->id == PZ_PH_SIL && word->id != PZ_PH_SIL;
    int64_t to = *edge;

    if (at_pause && !(start && is_stop(word->id)))
        PZ_TRY(refine_pause(sound, a, *edge, word, pause, start, &to));
    PZ_TRY(to_crossing(sound, at_pause ? 0 : REACH, &to));
    if (l && to <= l->start)
        to = l->start + 1;
    if (r && to >= r->end)
        to = r->end - 1;
    if (l)
        l->end = to;
    if (r)
        r->start = to;
    for (int i = 0; i < a->words.n; i++) {
        if (a->words.items[i].start == *edge)
            a->words.items[i].start = to;
        if (a->words.items[i].end == *edge)
            a->words.items[i].end = to;
    }
    *edge = to;
fail:
    return st;
}

enum pz_status pz_edges_refine(const struct pz_tap *sound, struct pz_analysis *a)
{
    enum pz_status st = PZ_OK;

    for (int i = 0; i < a->n_slots; i++) {
        int64_t was = a->slots[i].end;

        PZ_TRY(refine(sound, a, &a->slots[i].start, true));
        PZ_TRY(refine(sound, a, &a->slots[i].end, false));
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

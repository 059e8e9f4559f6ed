// What the speaker sounds like, and pitch and spectrum of a new word brought to it. Loudness is set in dub.c,
// where the word is final; rooms are join.c's business.
#include "speech/match.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define SIDE_S 5
#define HOP 80 /* 5 ms at PZ_SPEECH_RATE */
#define F0_MIN 60.0f
#define F0_MAX 420.0f
#define EQ_LIMIT_DB 12.0

void pz_speaker_free(struct pz_speaker *s)
{
    pz_free(s->mono);
    s->mono = NULL;
}

/** Phones of speech per second between two times. */
static double speed(const struct pz_phone *ph, int n, int64_t from, int64_t to)
{
    int64_t time = 0;
    int count = 0;

    for (int i = 0; i < n; i++)
        if (ph[i].id != PZ_PH_SIL && ph[i].start >= from && ph[i].end <= to) {
            time += ph[i].end - ph[i].start;
            count++;
        }
    return count >= 8 ? (double)count * PZ_SPEECH_RATE / (double)time : 0.0;
}

enum pz_status pz_speaker_measure(const struct pz_dub_params *p, struct pz_speaker *s)
{
    enum pz_status st;
    const struct pz_tap *tap = p->sound;
    struct pz_rational speech = {1, PZ_SPEECH_RATE}, own = {1, tap->rate};
    int64_t a = pz_rescale(p->slot->start, speech, own), b = pz_rescale(p->slot->end, speech, own);
    int64_t from = a - SIDE_S * (int64_t)tap->rate, to = b + SIDE_S * (int64_t)tap->rate, n16, n_t, t0, t1;
    struct pz_pitch *track = NULL;
    struct pz_pitch_stats all, slot;
    float *x = NULL;

    *s = (struct pz_speaker){0};
    s->at = from < 0 ? 0 : from;
    s->n = (to > tap->n ? tap->n : to) - s->at;
    if (s->n < tap->rate / 10)
        return PZ_ERR_INPUT;
    s->mono = pz_calloc((size_t)s->n, sizeof *s->mono);
    if (!s->mono)
        return PZ_ERR_NOMEM;
    PZ_TRY(pz_tap_read_mono(tap, s->at, s->mono, s->n));
    PZ_TRY(pz_resample(s->mono, s->n, tap->rate, PZ_SPEECH_RATE, &x, &n16));
    n_t = n16 / HOP;
    track = pz_calloc((size_t)n_t + 1, sizeof *track);
    if (!track) {
        st = PZ_ERR_NOMEM;
        goto fail;
    }
    PZ_TRY(pz_pitch_track(x, n16, PZ_SPEECH_RATE, HOP, F0_MIN, F0_MAX, track, n_t));
    all = pz_pitch_stats(track, n_t);
    t0 = (p->slot->start - pz_rescale(s->at, own, speech)) / HOP;
    t1 = (p->slot->end - pz_rescale(s->at, own, speech)) / HOP;
    t0 = t0 < 0 ? 0 : t0;
    t1 = t1 > n_t ? n_t : t1;
    slot = pz_pitch_stats(track + t0, t1 - t0);
    s->f0_hz = all.median_hz;
    s->range_st = all.range_st;
    // The old word's own level carries the sentence's intonation; a creaky or octave-slipped one is not
    // believed.
    s->f0_slot_hz =
        slot.voiced > 0.2 && all.median_hz > 0.0 && fabs(12.0 * log2(slot.median_hz / all.median_hz)) < 6.0
            ? slot.median_hz
            : all.median_hz;
    s->phones_per_s =
        speed(p->phones, p->n_phones, pz_rescale(s->at, own, speech), pz_rescale(s->at + s->n, own, speech));
    PZ_TRY(pz_ltas(s->mono, s->n, tap->rate, s->ltas_db));
    s->lufs = pz_loudness(s->mono, s->n, tap->rate, 1);
fail:
    pz_free(x);
    pz_free(track);
    if (st < PZ_OK)
        pz_speaker_free(s);
    return st;
}

enum pz_status pz_match_pitch(struct pz_utterance *u, const struct pz_speaker *s, double *before,
                              double *after)
{
    enum pz_status st = PZ_ERR_NOMEM;
    int hop = u->rate / 200;
    int64_t n_t = u->n / hop;
    struct pz_pitch *track = pz_calloc((size_t)n_t + 1, sizeof *track);
    float *target = pz_calloc((size_t)n_t + 1, sizeof *target),
          *out = pz_calloc((size_t)u->n + 1, sizeof *out);
    struct pz_pitch_stats own;
    double range, centre;

    *before = *after = 0.0;
    if (!track || !target || !out)
        goto fail;
    PZ_TRY(pz_pitch_track(u->samples, u->n, u->rate, hop, F0_MIN, F0_MAX, track, n_t));
    own = pz_pitch_stats(track, n_t);
    *before = *after = own.median_hz;
    st = PZ_OK;
    if (own.median_hz <= 0.0 || s->f0_slot_hz <= 0.0)
        goto fail; // nothing voiced on one side: nothing to do
    // A word moves less than a sentence; the factor only widens or narrows, within reason.
    range = own.range_st > 0.5 ? fmax(0.6, fmin(1.5, s->range_st * 0.7 / own.range_st)) : 1.0;
    centre = fmax(own.median_hz * 0.6, fmin(own.median_hz * 1.7, s->f0_slot_hz));
    for (int64_t t = 0; t < n_t; t++)
        if (track[t].hz > 0.0f)
            target[t] = (float)(centre * pow(track[t].hz / own.median_hz, range));
    PZ_TRY(pz_psola(u->samples, u->n, u->rate, track, n_t, hop, target, out));
    memcpy(u->samples, out, (size_t)u->n * sizeof *out);
    PZ_TRY(pz_pitch_track(u->samples, u->n, u->rate, hop, F0_MIN, F0_MAX, track, n_t));
    *after = pz_pitch_stats(track, n_t).median_hz;
fail:
    pz_free(track);
    pz_free(target);
    pz_free(out);
    return st;
}

/** Bands whose levels are compared: 100 Hz to 7 kHz, and below what both rates carry. */
static bool compared(int b, const double x[PZ_LTAS_BANDS], const double y[PZ_LTAS_BANDS])
{
    return pz_ltas_hz(b) > 95.0 && pz_ltas_hz(b) < 7200.0 && x[b] > -110.0 && y[b] > -110.0;
}

/** Mean level difference x − y over the compared bands. */
static double offset(const double x[PZ_LTAS_BANDS], const double y[PZ_LTAS_BANDS])
{
    double sum = 0.0;
    int n = 0;

    for (int b = 0; b < PZ_LTAS_BANDS; b++)
        if (compared(b, x, y)) {
            sum += x[b] - y[b];
            n++;
        }
    return n ? sum / n : 0.0;
}

static double distance(const double x[PZ_LTAS_BANDS], const double y[PZ_LTAS_BANDS])
{
    double off = offset(x, y), sum = 0.0;
    int n = 0;

    for (int b = 0; b < PZ_LTAS_BANDS; b++)
        if (compared(b, x, y)) {
            sum += fabs(x[b] - y[b] - off);
            n++;
        }
    return n ? sum / n : 0.0;
}

enum pz_status pz_match_spectrum(const struct pz_utterance *reference, const struct pz_speaker *s,
                                 double share, double gain_db[PZ_LTAS_BANDS], double *before, double *after)
{
    enum pz_status st;
    double own[PZ_LTAS_BANDS], raw[PZ_LTAS_BANDS], off;
    float *copy;

    st = pz_ltas(reference->samples, reference->n, reference->rate, own);
    if (st < PZ_OK)
        return st;
    *before = distance(s->ltas_db, own);
    off = offset(s->ltas_db, own);
    for (int b = 0; b < PZ_LTAS_BANDS; b++)
        raw[b] = compared(b, s->ltas_db, own) ? share * (s->ltas_db[b] - own[b] - off) : 0.0;
    for (int b = PZ_LTAS_BANDS - 2; b > 10;
         b--) // above what is compared: the last compared band's gain goes on
        if (raw[b] != 0.0) {
            for (int k = b + 1; k < PZ_LTAS_BANDS; k++)
                raw[k] = raw[b];
            break;
        }
    for (int b = 0; b < PZ_LTAS_BANDS; b++) {
        double l = raw[b > 0 ? b - 1 : b], r = raw[b + 1 < PZ_LTAS_BANDS ? b + 1 : b];

        gain_db[b] = fmax(-EQ_LIMIT_DB, fmin(EQ_LIMIT_DB, 0.2 * l + 0.6 * raw[b] + 0.2 * r));
    }
    copy = pz_calloc((size_t)reference->n, sizeof *copy);
    if (!copy)
        return PZ_ERR_NOMEM;
    memcpy(copy, reference->samples, (size_t)reference->n * sizeof *copy);
    st = pz_eq_apply(copy, reference->n, reference->rate, gain_db);
    if (st == PZ_OK)
        st = pz_ltas(copy, reference->n, reference->rate, own);
    *after = distance(s->ltas_db, own);
    pz_free(copy);
    return st;
}

// Edges between known phones: the places where the network hears the one end and the other start, and that
// make the sounds' own probabilities, the usual lengths of the phones at this speaker's pace, and (a little)
// the aligner's places likeliest together. One search over all edges of a stretch: from far around where the
// aligner put them, then from closer around what that found. A pause may appear or vanish between any two
// words.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/order.h"
#include "speech/sounds.h"
#include "speech/sounds_net.h"

/* Frames of 5 ms to each side that each round looks at: noise takes the aligner far away, more so where it
 * has missed a pause. */
#define FAR 200
static const int spans[] = {FAR, 60, 60};
#define PLACES (2 * FAR + 1)
#define LEAST_PHONE 3
#define LONGEST 120 /* frames; what is longer is no likelier */
#define LEAST_PAUSE 6
#define COMMA 40    /* frames of a short pause, */
#define SENTENCE 80 /* and of a long one */
/* Weights, set on slt saying the tuning half's sentences. */
#define EDGE_WEIGHT 1.25f  /* of what the network says of the edge itself, */
#define BELIEF 0.081f      /* and of the phones between: neighbouring frames hear nearly the same sound */
#define PAUSE_DEARER 0.06f /* nats a frame: silence is what the network says when it hears little */
#define LENGTH_WEIGHT 2.0f
#define LAST_WEIGHT 6.0f     /* before a pause: speech sinks into the room before it is over */
#define SENTENCE_LONGER 0.1f /* logarithm: so much longer before a long pause than before most */
#define LENGTH_SPREAD 0.35f  /* of the logarithm of a phone's length */
#define PLACE_WEIGHT 0.1f    /* nats a frame away from the place before, */
#define PLACE_MOST 6.0f      /* at most */
#define DROWNED_DB 29.0f     /* speech over noise below which what ends before a pause is heard too short, */
#define DROWNED_FOR_DB 8.0f
#define DROWNED_MOST 0.7f /* and so far below how much its usual length counts */
#define PACE_MOST 0.5f
#define EARLY (PZ_SOUNDS_HOP / 2) /* an edge lies between the middles of two frames */
#define NEVER (-1e30f)
#define ROUNDS ((int)(sizeof spans / sizeof *spans))

/** A phone. */
struct piece {
    int phone;      /**< enum pz_phone_id */
    int item;       /**< index into the line */
    int word;       /**< −1: none */
    float usual[2]; /**< logarithm of the usual length in frames; before a pause */
};

/** What lies between two phones, in front of the first or behind the last. */
struct joint {
    bool may_pause, paused; /**< a pause can be here; the aligner heard one */
    int word;               /**< of that pause, −1: none */
    int end, start;         /**< frames where the phone before ends and the one behind starts */
};

/** Places of one edge. */
struct range {
    int lo, hi; /**< first frame and one past the last */
};

struct search {
    struct piece *pieces; /**< [n] */
    struct joint *joints; /**< [n + 1]; joint i is in front of piece i */
    int n, span;
    const struct pz_sounds *heard;
    float *sums;   /**< [phones][frames + 1]: log-probabilities summed up, weighted */
    float *starts; /**< [PLACES]: best of all that ends with the current phone starting there, */
    float *ends;   /**< [2][PLACES]: and with it ending there, at a length of inside or before a pause */
    float *meet;   /**< [3][PLACES]: log-probability of its edges: phones meeting, a pause's start, its end */
    int16_t *back; /**< [n + 1][3][PLACES]: start of the phone that ended here (inside, before a pause); end
                      of the phone before that start (−1: the same frame) */
    float *room;   /**< [n] */
};

static struct range reach(const struct search *s, int from)
{
    int last = (int)s->heard->frames;
    struct range r = {.lo = from - s->span};

    r.lo = r.lo < 0 ? 0 : r.lo > last - 1 ? last - 1 : r.lo;
    r.hi = r.lo + 2 * s->span + 1 < last + 1 ? r.lo + 2 * s->span + 1 : last + 1;
    return r;
}

/** Where the phone before joint `i` may end. */
static struct range end_reach(const struct search *s, int i)
{
    int last = (int)s->heard->frames;

    if (i == 0)
        return (struct range){0, 1};
    if (i == s->n && !s->joints[i].may_pause)
        return (struct range){last, last + 1};
    return reach(s, s->joints[i].end);
}

/** Where the phone behind it may start. */
static struct range start_reach(const struct search *s, int i)
{
    int last = (int)s->heard->frames;

    if (i == s->n)
        return (struct range){last, last + 1};
    if (i == 0 && !s->joints[i].may_pause)
        return (struct range){0, 1};
    return reach(s, s->joints[i].start);
}

/** Log-probabilities of the places of an edge between two phones, weighted; `from`: where it was before. */
static void weigh(const struct search *s, struct range r, int left, int right, int from, float *out)
{
    float most = NEVER;
    double sum = 0.0;

    for (int b = r.lo; b < r.hi; b++) {
        int64_t t = b < s->heard->frames ? b : s->heard->frames - 1;

        out[b - r.lo] = pz_sounds_at(s->heard, t, 1)[left] + pz_sounds_at(s->heard, t, 2)[right];
        most = fmaxf(most, out[b - r.lo]);
    }
    for (int b = r.lo; b < r.hi; b++)
        sum += exp((double)(out[b - r.lo] - most));
    for (int b = r.lo; b < r.hi; b++)
        out[b - r.lo] = EDGE_WEIGHT * (out[b - r.lo] - most - (float)log(sum)) -
                        fminf(PLACE_MOST, PLACE_WEIGHT * (float)abs(b - from));
}

/** Over joint `i`: from ends to starts. */
static void cross(struct search *s, int i)
{
    const struct joint *j = &s->joints[i];
    const struct range from = end_reach(s, i), to = start_reach(s, i);
    const float *sum = s->sums + (size_t)PZ_PH_SIL * (size_t)(s->heard->frames + 1);
    int left = i > 0 ? s->pieces[i - 1].phone : PZ_PH_SIL, right = i < s->n ? s->pieces[i].phone : PZ_PH_SIL;
    float *through = s->meet, *closing = s->meet + PLACES, *opening = s->meet + 2 * (size_t)PLACES;
    const float *inside = s->ends, *last = s->ends + PLACES;
    int16_t *back = s->back + ((size_t)i * 3 + 2) * PLACES;
    float best = NEVER;
    int at = 0, b = from.lo;

    if (i > 0 && i < s->n)
        weigh(s, to, left, right, j->start, through);
    else
        memset(through, 0, sizeof *through * PLACES);
    if (i > 0)
        weigh(s, from, left, PZ_PH_SIL, j->end, closing);
    else
        closing[0] = 0.0f;
    if (i < s->n)
        weigh(s, to, PZ_PH_SIL, right, j->start, opening);
    else
        opening[0] = 0.0f;
    for (int c = to.lo; c < to.hi; c++) {
        float v = NEVER;

        back[c - to.lo] = -1;
        if (c >= from.lo && c < from.hi && inside[c - from.lo] > NEVER) {
            v = inside[c - from.lo] + through[c - to.lo];
            if (j->paused)
                v -= fminf(PLACE_MOST, PLACE_WEIGHT * (float)abs(c - j->end));
        }
        for (; j->may_pause && b < from.hi && b <= c - LEAST_PAUSE; b++) {
            float w = last[b - from.lo] + closing[b - from.lo] - sum[b] + PAUSE_DEARER * (float)b;

            if (last[b - from.lo] > NEVER && w > best) {
                best = w;
                at = b - from.lo;
            }
        }
        if (best > NEVER) {
            float w = best + sum[c] - PAUSE_DEARER * (float)c + opening[c - to.lo];

            if (w > v) {
                v = w;
                back[c - to.lo] = (int16_t)at;
            }
        }
        s->starts[c - to.lo] = v;
    }
}

/** Through piece `i`: from starts to ends, at usual lengths of inside (0) or before a pause (1). */
static void pass(struct search *s, int i, int last)
{
    const struct piece *p = &s->pieces[i];
    const struct range from = start_reach(s, i), to = end_reach(s, i + 1);
    const float *sum = s->sums + (size_t)p->phone * (size_t)(s->heard->frames + 1);
    float cost[LONGEST + 1], *start = s->room, best = NEVER, *ends = s->ends + (last ? PLACES : 0);
    int16_t *back = s->back + ((size_t)(i + 1) * 3 + (size_t)last) * PLACES;
    int at = 0, far = from.lo;

    for (int d = LEAST_PHONE; d <= LONGEST; d++) {
        float away = (logf((float)d) - p->usual[last]) / LENGTH_SPREAD;

        cost[d] = (last ? LAST_WEIGHT : LENGTH_WEIGHT) * 0.5f * away * away;
    }
    for (int a = from.lo; a < from.hi; a++)
        start[a - from.lo] = s->starts[a - from.lo] > NEVER ? s->starts[a - from.lo] - sum[a] : NEVER;
    for (int b = to.lo; b < to.hi; b++) {
        int least = b - LONGEST > from.lo ? b - LONGEST : from.lo,
            most = b - LEAST_PHONE < from.hi - 1 ? b - LEAST_PHONE : from.hi - 1, a = at;
        float v;

        for (; far < b - LONGEST && far < from.hi; far++)
            if (start[far - from.lo] > best) {
                best = start[far - from.lo];
                at = a = far - from.lo;
            }
        v = best > NEVER ? best - cost[LONGEST] : NEVER;
        for (int k = least; k <= most; k++)
            if (start[k - from.lo] - cost[b - k] > v) {
                v = start[k - from.lo] - cost[b - k];
                a = k - from.lo;
            }
        ends[b - to.lo] = v > NEVER / 2 ? v + sum[b] : NEVER;
        back[b - to.lo] = (int16_t)a;
    }
}

/** The best edges into the joints; false when there are none (a stretch too short for its phones). */
static bool best_edges(struct search *s)
{
    int start = (int)s->heard->frames;

    s->ends[0] = s->ends[PLACES] = 0.0f;
    for (int i = 0; i <= s->n; i++) {
        cross(s, i);
        if (i < s->n) {
            pass(s, i, 0);
            pass(s, i, 1);
        }
    }
    if (s->starts[0] <= NEVER / 2)
        return false;
    for (int i = s->n; i >= 0; i--) {
        // The ranges of what is still to be read off depend on joints that have not been changed yet.
        const int16_t *back = s->back + (size_t)i * 3 * PLACES;
        struct range from = end_reach(s, i), to = start_reach(s, i), before;
        int at = back[2 * PLACES + start - to.lo], end = at < 0 ? start : from.lo + at;

        before = i > 0 ? start_reach(s, i - 1) : (struct range){0, 0};
        s->joints[i].start = start;
        s->joints[i].end = end;
        s->joints[i].paused = at >= 0;
        if (i > 0)
            start = before.lo + back[(at >= 0 ? PLACES : 0) + end - from.lo];
    }
    return true;
}

/** Phones of a stretch and what lies between them. */
static void cut(struct search *s, const struct pz_phone_line *l, int first, const struct pz_words *w,
                int first_word, int64_t at)
{
    int word = first_word, frames = (int)s->heard->frames;

    s->joints[0] = (struct joint){.may_pause = true, .word = -1};
    for (int i = first; i < l->n; i++) {
        const struct pz_phone *p = &l->items[i];
        int from = (int)((p->start - at + PZ_SOUNDS_HOP / 2) / PZ_SOUNDS_HOP), mine = -1;
        struct joint *j = &s->joints[s->n];

        while (word < w->n && w->items[word].first_phone + w->items[word].n_phones <= i)
            word++;
        if (word < w->n && i >= w->items[word].first_phone)
            mine = word;
        if (p->id == PZ_PH_SIL && !j->paused) {
            j->paused = j->may_pause = true;
            j->word = mine;
            j->end = s->n ? from : 0;
            continue;
        }
        if (p->id == PZ_PH_SIL) // a second one in a row
            continue;
        j->start = s->n || j->paused ? from : 0;
        j->end = j->paused ? j->end : j->start;
        j->may_pause |= s->n && s->pieces[s->n - 1].word != mine;
        s->pieces[s->n++] = (struct piece){.phone = p->id, .item = i, .word = mine};
        s->joints[s->n] = (struct joint){.word = -1, .end = frames};
    }
    s->joints[s->n].may_pause = true;
    s->joints[s->n].start = frames;
}

/** What comes before a pause of `n` frames, against what comes before most, logarithm: sentences end more
 * slowly than their parts. */
static float longer_before(int n)
{
    return SENTENCE_LONGER * fmaxf(0.0f, fminf(1.0f, (float)(n - COMMA) / (SENTENCE - COMMA)));
}

/** Usual lengths, at the pace that the lengths so far tell. */
static void set_lengths(struct search *s)
{
    float pace = 0.0f;
    int n = 0;

    for (int i = 0; i < s->n; i++) {
        struct piece *p = &s->pieces[i];
        const struct joint *next = &s->joints[i + 1];
        int length = next->end - s->joints[i].start;

        for (int last = 0; last < 2; last++)
            p->usual[last] = pz_sounds_length(p->phone, last);
        p->usual[1] += longer_before(next->start - next->end);
        if (length > 0)
            s->room[n++] = logf((float)length) - p->usual[next->paused || i + 1 == s->n];
    }
    if (n == 0)
        return;
    qsort(s->room, (size_t)n, sizeof *s->room, pz_by_float);
    pace = fmaxf(-PACE_MOST, fminf(PACE_MOST, s->room[n / 2]));
    for (int i = 0; i < s->n; i++)
        for (int last = 0; last < 2; last++)
            s->pieces[i].usual[last] += pace;
}

/** The end of speech sinks into noise before it is over: what is shorter than it usually is there goes on. */
static void lengthen_ends(struct search *s, double snr_db)
{
    float u = DROWNED_MOST * fmaxf(0.0f, fminf(1.0f, (DROWNED_DB - (float)snr_db) / DROWNED_FOR_DB));

    for (int i = 0; i < s->n; i++) {
        struct joint *j = &s->joints[i + 1];
        int n = j->end - s->joints[i].start, pause = j->start - j->end, more;

        if (pause == 0)
            continue;
        more = (int)(u * (expf(s->pieces[i].usual[1]) - (float)n));
        more = more < pause - LEAST_PAUSE ? more : pause - LEAST_PAUSE;
        if (more > 0)
            j->end += more;
    }
}

/** Frame edge to sample. */
static int64_t sample_at(const struct search *s, int edge, int64_t at, int64_t n)
{
    return at + (edge == 0 ? 0 : edge == (int)s->heard->frames ? n : (int64_t)edge * PZ_SOUNDS_HOP - EARLY);
}

/** One phone or pause into the line, its word's times with it. */
static enum pz_status put(struct pz_phone out, int word, int first_phone, struct pz_words *w, int *open,
                          struct pz_phone_line *line)
{
    if (word >= 0) {
        struct pz_word *to = &w->items[word];

        if (*open != word) {
            to->start = out.start;
            to->first_phone = first_phone + line->n;
            to->n_phones = 0;
        }
        to->end = out.end;
        to->n_phones++;
    }
    *open = word;
    return pz_phone_line_add(line, out);
}

/** Times out of the edges. `line` takes phones and pauses, `words` their times. */
static enum pz_status take(const struct search *s, int64_t at, int64_t n, const struct pz_phone_line *l,
                           struct pz_words *w, int first_phone, struct pz_phone_line *line)
{
    enum pz_status st = PZ_OK;
    int open = -1;

    for (int i = 0; i <= s->n; i++) {
        const struct joint *j = &s->joints[i];
        struct pz_phone out = {.id = PZ_PH_SIL, .score = 1.0f};

        out.start = sample_at(s, j->end, at, n);
        out.end = sample_at(s, j->start, at, n);
        if (j->start > j->end)
            PZ_TRY(put(out, j->word, first_phone, w, &open, line));
        if (i == s->n)
            break;
        out = l->items[s->pieces[i].item];
        out.start = sample_at(s, j->start, at, n);
        out.end = sample_at(s, s->joints[i + 1].end, at, n);
        PZ_TRY(put(out, s->pieces[i].word, first_phone, w, &open, line));
    }
fail:
    return st;
}

static void search_free(struct search *s)
{
    pz_free(s->pieces);
    pz_free(s->joints);
    pz_free(s->sums);
    pz_free(s->starts);
    pz_free(s->ends);
    pz_free(s->meet);
    pz_free(s->back);
    pz_free(s->room);
}

/** Room for `most` pieces; what was heard is there. */
static enum pz_status search_make(struct search *s, size_t most)
{
    const size_t edges = (size_t)s->heard->frames + 1;

    s->pieces = pz_calloc(most, sizeof *s->pieces);
    s->joints = pz_calloc(most + 1, sizeof *s->joints);
    s->sums = pz_calloc(edges * PZ_PH_COUNT, sizeof *s->sums);
    s->starts = pz_calloc(PLACES, sizeof *s->starts);
    s->ends = pz_calloc(2 * PLACES, sizeof *s->ends);
    s->meet = pz_calloc(3 * PLACES, sizeof *s->meet);
    s->back = pz_calloc((most + 1) * 3 * PLACES, sizeof *s->back);
    s->room = pz_calloc(most > PLACES ? most : PLACES, sizeof *s->room);
    if (!s->pieces || !s->joints || !s->sums || !s->starts || !s->ends || !s->meet || !s->back || !s->room)
        return PZ_ERR_NOMEM;
    for (int p = 0; p < PZ_PH_COUNT; p++) {
        double sum = 0.0;

        for (int64_t t = 0; t < s->heard->frames; t++) {
            sum += (double)(pz_sounds_at(s->heard, t, 0)[p] - pz_sounds_prior(p));
            s->sums[(size_t)p * edges + (size_t)t + 1] = BELIEF * (float)sum;
        }
    }
    return PZ_OK;
}

enum pz_status pz_sounds_settle_heard(const struct pz_sounds *heard, int64_t n, int64_t at, double snr_db,
                                      struct pz_phone_line *phones, int first_phone, struct pz_words *words,
                                      int first_word)
{
    enum pz_status st;
    struct pz_phone_line line = {0};
    struct search s = {.heard = heard};

    if (phones->n <= first_phone || heard->frames < 1)
        return PZ_OK;
    PZ_TRY(search_make(&s, (size_t)(phones->n - first_phone)));
    cut(&s, phones, first_phone, words, first_word, at);
    for (int round = 0; round < ROUNDS; round++) {
        s.span = spans[round];
        set_lengths(&s);
        if (!best_edges(&s))
            goto fail;
    }
    lengthen_ends(&s, snr_db);
    PZ_TRY(take(&s, at, n, phones, words, first_phone, &line));
    phones->n = first_phone;
    for (int i = 0; i < line.n; i++)
        PZ_TRY(pz_phone_line_add(phones, line.items[i]));
fail:
    pz_phone_line_free(&line);
    search_free(&s);
    return st;
}

enum pz_status pz_sounds_settle(const float *samples, int64_t n, int64_t at, double snr_db,
                                struct pz_phone_line *phones, int first_phone, struct pz_words *words,
                                int first_word)
{
    enum pz_status st;
    struct pz_sounds heard;

    if (phones->n <= first_phone)
        return PZ_OK;
    st = pz_sounds_listen(samples, n, PZ_SOUNDS_EDGES, NULL, &heard);
    if (st == PZ_OK)
        st = pz_sounds_settle_heard(&heard, n, at, snr_db, phones, first_phone, words, first_word);
    pz_sounds_free(&heard);
    return st;
}

// Edges between known phones: the places where the network hears the one end and the other start, and that
// make the sounds' own probabilities, the usual lengths of the phones at this speaker's pace, and (a little)
// the aligner's places likeliest together. One search over all edges of a stretch, each within SPAN of where
// the aligner put it; a pause may appear or vanish between any two words.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/order.h"
#include "speech/sounds.h"
#include "speech/sounds_net.h"

#define SPAN 60 /* frames of 5 ms to each side */
#define ROUNDS                                                                                               \
    2 /* each starts where the one before ended: noise takes the aligner further away than SPAN              \
       */
#define PLACES (2 * SPAN + 1)
#define LEAST_PHONE 3
#define LONGEST 400 /* frames; what is longer is no likelier */
#define LEAST_PAUSE 6
/* Weights, set on slt saying the tuning half's sentences. */
#define EDGE_WEIGHT 0.96f  /* of what the network says of the edge itself, */
#define BELIEF 0.048f      /* and of the phones between: neighbouring frames hear nearly the same sound */
#define PAUSE_DEARER 0.06f /* nats a frame: silence is what the network says when it hears little */
#define LENGTH_WEIGHT 2.0f
#define LAST_WEIGHT 6.0f    /* before a pause: speech sinks into the room before it is over */
#define LENGTH_SPREAD 0.35f /* of the logarithm of a phone's length */
#define PLACE_WEIGHT 0.1f   /* nats a frame away from the place before */
#define DROWNED_DB 13.3f    /* speech over noise below which what ends before a pause is heard too short, */
#define DROWNED_FOR_DB 8.0f
#define DROWNED_MOST 0.7f /* and so far below how much its usual length counts */
#define PACE_MOST 0.5f
#define EARLY (PZ_SOUNDS_HOP / 2) /* an edge lies between the middles of two frames */
#define NEVER (-1e30f)

/** What may lie between two edges. */
struct piece {
    int phone;    /**< enum pz_phone_id */
    int item;     /**< index into the line */
    int word;     /**< −1: none */
    float usual;  /**< logarithm of the usual length in frames */
    float weight; /**< of that */
    int from;     /**< frame the aligner starts it at */
};

struct search {
    struct piece *pieces;
    int n;
    struct pz_sounds heard; /* the caller's */
    float *meet;            /**< [n][PLACES]: log-probability of the edge in front of a piece lying there */
    float *skip;            /**< [n][PLACES]: of the edge behind a pause, were the pause not there */
    double *sums;           /**< [phones][frames + 1]: log-probabilities summed up */
    float *cost;            /**< [2][PLACES] */
    int16_t *back;          /**< [n][PLACES] */
    int *edges;             /**< [n + 1] result */
    float *room;            /**< [n] */
    float log_of[LONGEST];
};

/** First and one past last frame that edge `i` (in front of piece i) may lie at. */
static void reach(const struct search *s, int i, int *lo, int *hi)
{
    int last = (int)s->heard.frames;

    if (i == 0 || i == s->n) {
        *lo = i == 0 ? 0 : last;
        *hi = *lo + 1;
        return;
    }
    *lo = s->pieces[i].from - SPAN;
    *lo = *lo < 0 ? 0 : *lo > last - 1 ? last - 1 : *lo;
    *hi = *lo + PLACES < last + 1 ? *lo + PLACES : last + 1;
}

/** Log-probabilities of the places of edge `i` between two phones, weighted. */
static void weigh_edge(const struct search *s, int i, int left, int right, float out[PLACES])
{
    int lo, hi;
    float most = NEVER;
    double sum = 0.0;

    reach(s, i, &lo, &hi);
    for (int b = lo; b < hi; b++) {
        int64_t t = b < s->heard.frames ? b : s->heard.frames - 1;

        out[b - lo] = pz_sounds_at(&s->heard, t, 1)[left] + pz_sounds_at(&s->heard, t, 2)[right];
        most = fmaxf(most, out[b - lo]);
    }
    for (int b = lo; b < hi; b++)
        sum += exp((double)(out[b - lo] - most));
    for (int b = lo; b < hi; b++)
        out[b - lo] = EDGE_WEIGHT * (out[b - lo] - most - (float)log(sum));
}

static void weigh_edges(struct search *s)
{
    for (int i = 1; i < s->n; i++) {
        weigh_edge(s, i, s->pieces[i - 1].phone, s->pieces[i].phone, s->meet + (size_t)i * PLACES);
        if (s->pieces[i].phone == PZ_PH_SIL && i + 1 < s->n)
            weigh_edge(s, i + 1, s->pieces[i - 1].phone, s->pieces[i + 1].phone,
                       s->skip + (size_t)i * PLACES);
    }
}

/** Piece i at frames [a, b). */
static float score(const struct search *s, const struct piece *p, int a, int b)
{
    const double *sum = s->sums + (size_t)p->phone * (size_t)(s->heard.frames + 1);
    int n = b - a;
    float v = BELIEF * (float)(sum[b] - sum[a]), d;

    if (p->phone == PZ_PH_SIL)
        return n == 0 ? 0.0f : n < LEAST_PAUSE ? NEVER : v - PAUSE_DEARER * (float)n;
    if (n < LEAST_PHONE)
        return NEVER;
    d = (s->log_of[n < LONGEST ? n : LONGEST - 1] - p->usual) / LENGTH_SPREAD;
    return v - p->weight * 0.5f * d * d;
}

/** The best edges; false when there are none (a stretch too short for its phones). */
static bool best_edges(struct search *s)
{
    float *now = s->cost, *next = s->cost + PLACES;
    int lo, hi, to_lo, to_hi, at;

    reach(s, 0, &lo, &hi);
    now[0] = 0.0f;
    for (int i = 0; i < s->n; i++, lo = to_lo, hi = to_hi) {
        reach(s, i + 1, &to_lo, &to_hi);
        for (int b = to_lo; b < to_hi; b++) {
            float best = NEVER,
                  away = i + 1 < s->n ? PLACE_WEIGHT * (float)abs(b - s->pieces[i + 1].from) : 0.0f;
            int from = 0;

            for (int a = lo; a < hi && a <= b; a++) {
                float v = now[a - lo] > NEVER ? now[a - lo] + score(s, &s->pieces[i], a, b) : NEVER;

                if (a == b && i > 0 && i + 1 < s->n) // no pause: the phones around it meet
                    v += s->skip[(size_t)i * PLACES + (size_t)(b - to_lo)] -
                         s->meet[(size_t)i * PLACES + (size_t)(a - lo)] -
                         s->meet[(size_t)(i + 1) * PLACES + (size_t)(b - to_lo)];

                if (v > best) {
                    best = v;
                    from = a - lo;
                }
            }
            next[b - to_lo] =
                best > NEVER
                    ? best - away +
                          (i + 1 < s->n ? s->meet[(size_t)(i + 1) * PLACES + (size_t)(b - to_lo)] : 0.0f)
                    : NEVER;
            s->back[(size_t)i * PLACES + (size_t)(b - to_lo)] = (int16_t)from;
        }
        float *swap = now;
        now = next;
        next = swap;
    }
    if (now[0] <= NEVER / 2)
        return false;
    at = 0;
    s->edges[s->n] = (int)s->heard.frames;
    for (int i = s->n; i > 0; i--) {
        at = s->back[(size_t)(i - 1) * PLACES + (size_t)at];
        reach(s, i - 1, &lo, &hi);
        s->edges[i - 1] = lo + at;
    }
    return true;
}

/** Pieces of a stretch: its phones and pauses. */
static void cut(struct search *s, const struct pz_phone_line *l, int first, const struct pz_words *w,
                int first_word, int64_t at)
{
    int word = first_word;

    for (int i = first; i < l->n; i++) {
        const struct pz_phone *p = &l->items[i];
        int from = (int)((p->start - at + PZ_SOUNDS_HOP / 2) / PZ_SOUNDS_HOP), mine = -1;

        while (word < w->n && w->items[word].first_phone + w->items[word].n_phones <= i)
            word++;
        if (word < w->n && i >= w->items[word].first_phone)
            mine = word;
        s->pieces[s->n++] = (struct piece){.phone = p->id, .item = i, .word = mine, .from = from};
    }
}

/** Usual lengths, at the pace that the lengths so far tell. */
static void set_lengths(struct search *s)
{
    float pace;
    int n = 0;

    for (int i = 0; i < s->n; i++) {
        struct piece *p = &s->pieces[i];
        int to = i + 1 < s->n ? s->pieces[i + 1].from : (int)s->heard.frames;
        bool last = i + 1 == s->n || s->pieces[i + 1].phone == PZ_PH_SIL;

        if (p->phone == PZ_PH_SIL)
            continue;
        p->usual = pz_sounds_length(p->phone, last);
        p->weight = last ? LAST_WEIGHT : LENGTH_WEIGHT;
        if (to > p->from)
            s->room[n++] = logf((float)(to - p->from)) - p->usual;
    }
    if (n == 0)
        return;
    qsort(s->room, (size_t)n, sizeof *s->room, pz_by_float);
    pace = fmaxf(-PACE_MOST, fminf(PACE_MOST, s->room[n / 2]));
    for (int i = 0; i < s->n; i++)
        s->pieces[i].usual += pace;
}

/** The end of speech sinks into noise before it is over: what is shorter than it usually is there goes on. */
static void lengthen_ends(struct search *s, double snr_db)
{
    float u = DROWNED_MOST * fmaxf(0.0f, fminf(1.0f, (DROWNED_DB - (float)snr_db) / DROWNED_FOR_DB));

    for (int i = 0; i + 1 < s->n; i++) {
        int n = s->edges[i + 1] - s->edges[i], pause = s->edges[i + 2] - s->edges[i + 1], more;

        if (s->pieces[i].phone == PZ_PH_SIL || s->pieces[i + 1].phone != PZ_PH_SIL || n == 0)
            continue;
        more = (int)(u * (expf(s->pieces[i].usual) - (float)n));
        more = more < pause - LEAST_PAUSE ? more : pause - LEAST_PAUSE;
        if (more > 0)
            s->edges[i + 1] += more;
    }
}

/** Times out of the edges. `line` takes phones and pauses, `words` their times. */
static enum pz_status take(const struct search *s, int64_t at, int64_t n, const struct pz_phone_line *l,
                           struct pz_words *w, int first_phone, struct pz_phone_line *line)
{
    enum pz_status st = PZ_OK;

    for (int i = 0; i < s->n; i++) {
        const struct piece *p = &s->pieces[i];
        struct pz_phone out = l->items[p->item];

        if (s->edges[i] == s->edges[i + 1])
            continue;
        out.start = at + (i == 0 ? 0 : (int64_t)s->edges[i] * PZ_SOUNDS_HOP - EARLY);
        out.end = at + (i + 1 == s->n ? n : (int64_t)s->edges[i + 1] * PZ_SOUNDS_HOP - EARLY);
        if (p->word >= 0) {
            struct pz_word *word = &w->items[p->word];

            if (i == 0 || s->pieces[i - 1].word != p->word) {
                word->start = out.start;
                word->first_phone = first_phone + line->n;
                word->n_phones = 0;
            }
            word->end = out.end;
            word->n_phones++;
        }
        PZ_TRY(pz_phone_line_add(line, out));
    }
fail:
    return st;
}

/** The next round starts here; pauses that vanished are gone. */
static void keep_edges(struct search *s)
{
    int n = 0;

    for (int i = 0; i < s->n; i++) {
        if (s->edges[i] == s->edges[i + 1])
            continue;
        s->pieces[n] = s->pieces[i];
        s->pieces[n].from = s->edges[n] = s->edges[i];
        n++;
    }
    s->edges[n] = s->edges[s->n];
    s->n = n;
}

static void search_free(struct search *s)
{
    pz_free(s->meet);
    pz_free(s->skip);
    pz_free(s->room);
    pz_free(s->pieces);
    pz_free(s->sums);
    pz_free(s->cost);
    pz_free(s->back);
    pz_free(s->edges);
}

/** Room for `most` pieces; what was heard is there. */
static enum pz_status search_make(struct search *s, size_t most)
{
    s->pieces = pz_calloc(most, sizeof *s->pieces);
    s->sums = pz_calloc((size_t)(s->heard.frames + 1) * PZ_PH_COUNT, sizeof *s->sums);
    s->meet = pz_calloc(most * PLACES, sizeof *s->meet);
    s->skip = pz_calloc(most * PLACES, sizeof *s->skip);
    s->cost = pz_calloc(2 * PLACES, sizeof *s->cost);
    s->back = pz_calloc(most * PLACES, sizeof *s->back);
    s->edges = pz_calloc(most + 1, sizeof *s->edges);
    s->room = pz_calloc(most, sizeof *s->room);
    if (!s->pieces || !s->meet || !s->skip || !s->sums || !s->cost || !s->back || !s->edges || !s->room)
        return PZ_ERR_NOMEM;
    for (int p = 0; p < PZ_PH_COUNT; p++) {
        double *sum = s->sums + (size_t)p * (size_t)(s->heard.frames + 1);

        for (int64_t t = 0; t < s->heard.frames; t++)
            sum[t + 1] = sum[t] + (double)(pz_sounds_at(&s->heard, t, 0)[p] - pz_sounds_prior(p));
    }
    for (int i = 1; i < LONGEST; i++)
        s->log_of[i] = logf((float)i);
    return PZ_OK;
}

enum pz_status pz_sounds_settle_heard(const struct pz_sounds *heard, int64_t n, int64_t at, double snr_db,
                                      struct pz_phone_line *phones, int first_phone, struct pz_words *words,
                                      int first_word)
{
    enum pz_status st;
    struct pz_phone_line line = {0};
    struct search s = {.heard = *heard};

    if (phones->n <= first_phone)
        return PZ_OK;
    PZ_TRY(search_make(&s, (size_t)(phones->n - first_phone) + 1));
    cut(&s, phones, first_phone, words, first_word, at);
    for (int round = 0; round < ROUNDS; round++) {
        set_lengths(&s);
        weigh_edges(&s);
        if (!best_edges(&s))
            goto fail;
        keep_edges(&s);
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
    st = pz_sounds_listen(samples, n, PZ_SOUNDS_EDGES, &heard);
    if (st == PZ_OK)
        st = pz_sounds_settle_heard(&heard, n, at, snr_db, phones, first_phone, words, first_word);
    pz_sounds_free(&heard);
    return st;
}

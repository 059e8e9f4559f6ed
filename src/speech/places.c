// Where words sound as if they were said: one pass through the scores of their phones' states finds, for
// every frame, the best path that ends there; the best paths that do not overlap are places. The recogniser's
// model of phones in context judges them (acoustic.h), our own network (sounds.h) is a second judge.
#include "speech/places.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

#define STATES PZ_ACOUSTIC_STATES
#define STAY (-0.3f) /* nats: another frame in a state, */
#define GO (-0.7f)   /* the next one */
#define REWARD 3.0f  /* nats a frame: what may be lost before a place is no place at all */
#define LEAST_PLACES 3
#define PLACE_EVERY (5 * PZ_SPEECH_RATE)         /* one more for so much sound */
#define HEARD_AROUND (PZ_SPEECH_RATE * 15 / 100) /* the network looks so far beyond the place */
#define WORSE 2.0f /* how much worse than a place chance is where there is room for two places only */
#define LEAST_HEARD (-5.0f)
#define NOWHERE (-1e30f)

/** A state of one pronunciation; a path through it. */
struct link {
    int column; /* of the scores */
    bool first, last;
    int keyword, pron, phones;
};

/** Best path of a keyword that ends behind a frame. */
struct end {
    float value;
    int32_t start; /* frame */
    int32_t link;  /* the last one */
};

struct search {
    struct link *links;
    int n_links;
    uint16_t *states; /* that are scored, each once */
    int n_states;
    struct pz_scores scores;
    float *value; /* [n_links] */
    int32_t *start;
    struct end *ends; /* [n_keywords][frames] */
    int *path;        /* [frames]: links of the path that is looked at */
};

static void search_free(struct search *s)
{
    pz_free(s->links);
    pz_free(s->states);
    pz_scores_free(&s->scores);
    pz_free(s->value);
    pz_free(s->start);
    pz_free(s->ends);
    pz_free(s->path);
}

static int column_of(struct search *s, uint16_t state)
{
    for (int i = 0; i < s->n_states; i++)
        if (s->states[i] == state)
            return i;
    s->states[s->n_states] = state;
    return s->n_states++;
}

static enum pz_status make_links(const struct pz_acoustic *a, const struct pz_keyword *const *k,
                                 int n_keywords, struct search *s)
{
    int most = 0;

    for (int w = 0; w < n_keywords; w++)
        for (int i = 0; i < k[w]->n_prons; i++)
            most += k[w]->prons[i].n * STATES;
    s->links = pz_calloc((size_t)most + 1, sizeof *s->links);
    s->states = pz_calloc((size_t)most + 1, sizeof *s->states);
    s->value = pz_calloc((size_t)most + 1, sizeof *s->value);
    s->start = pz_calloc((size_t)most + 1, sizeof *s->start);
    if (!s->links || !s->states || !s->value || !s->start)
        return PZ_ERR_NOMEM;
    for (int w = 0; w < n_keywords; w++)
        for (int i = 0; i < k[w]->n_prons; i++) {
            uint16_t chain[PZ_PRON_MAX * STATES];
            const int n = k[w]->prons[i].n * STATES;

            pz_acoustic_chain(a, &k[w]->prons[i], chain);
            for (int j = 0; j < n; j++)
                s->links[s->n_links++] = (struct link){.column = column_of(s, chain[j]),
                                                       .first = j == 0,
                                                       .last = j + 1 == n,
                                                       .keyword = w,
                                                       .pron = i,
                                                       .phones = k[w]->prons[i].n};
        }
    return PZ_OK;
}

/** Best paths that end behind every frame. */
static void follow(struct search *s, int n_keywords)
{
    const int64_t frames = s->scores.frames;

    for (int i = 0; i < s->n_links; i++)
        s->value[i] = NOWHERE;
    for (int64_t t = 0; t < frames; t++) {
        const float *row = s->scores.values + t * s->scores.n;

        for (int w = 0; w < n_keywords; w++)
            s->ends[w * frames + t].value = NOWHERE;
        for (int i = s->n_links - 1; i >= 0; i--) { // backwards: the link before is still a frame behind
            const struct link *l = &s->links[i];
            float stay = s->value[i] + STAY, go = l->first ? 0.0f : s->value[i - 1] + GO;
            struct end *e = &s->ends[l->keyword * frames + t];

            if (go > stay)
                s->start[i] = l->first ? (int32_t)t : s->start[i - 1];
            s->value[i] = fmaxf(fmaxf(stay, go) + row[l->column] + REWARD, NOWHERE);
            if (l->last && s->value[i] > e->value)
                *e = (struct end){.value = s->value[i], .start = s->start[i], .link = (int32_t)i};
        }
    }
}

/** The best place left in `ends` [frames], which is taken away with all that overlap it. */
static bool take_best(struct end *ends, int64_t frames, struct end *out, int64_t *last)
{
    int64_t at = 0;
    struct end best;

    for (int64_t t = 1; t < frames; t++)
        at = ends[t].value > ends[at].value ? t : at;
    if (frames < 1 || ends[at].value <= 0.5f * NOWHERE)
        return false;
    best = ends[at];
    *out = best;
    *last = at;
    for (int64_t t = best.start; t < frames; t++)
        if (ends[t].start <= at)
            ends[t].value = NOWHERE;
    return true;
}

/** Which phone every frame of a path belongs to: `phone` [frames] for frames [first, first + frames) and
 * links [from, from + n). `room` [frames][n]. */
static float trace(const struct search *s, int64_t first, int frames, int from, int n, uint8_t *room,
                   int *phone)
{
    float value[PZ_PRON_MAX * STATES];

    for (int i = 0; i < n; i++)
        value[i] = NOWHERE;
    for (int t = 0; t < frames; t++) {
        const float *row = s->scores.values + (first + t) * s->scores.n;

        for (int i = n - 1; i >= 0; i--) {
            float stay = value[i] + STAY, go = i ? value[i - 1] + GO : t ? NOWHERE : 0.0f;

            room[t * n + i] = go > stay;
            value[i] = fmaxf(fmaxf(stay, go) + row[s->links[from + i].column], NOWHERE);
        }
    }
    for (int t = frames - 1, i = n - 1; t >= 0; t--) {
        phone[t] = i / STATES;
        s->path[t] = from + i;
        i -= room[t * n + i] && i > 0;
    }
    return value[n - 1];
}

/** Nats that phone `id` loses in the network's ears around a frame of the recogniser's. */
static float unheard(const struct pz_sounds *heard, int64_t frame, int id)
{
    const int64_t at = pz_sounds_under(frame);
    float best = NOWHERE, mine;

    if (at + 1 >= heard->frames)
        return LEAST_HEARD;
    for (int p = 0; p < PZ_PH_COUNT; p++)
        best = fmaxf(best, pz_sounds_at(heard, at, 0)[p] + pz_sounds_at(heard, at + 1, 0)[p]);
    mine = pz_sounds_at(heard, at, 0)[id] + pz_sounds_at(heard, at + 1, 0)[id];
    return fmaxf(LEAST_HEARD, 0.5f * (mine - best));
}

/** Mean of the two lowest of `v` [n]. */
static float two_lowest(const float *v, int n)
{
    float first = -NOWHERE, second = -NOWHERE;

    for (int i = 0; i < n; i++) {
        second = fminf(second, fmaxf(first, v[i]));
        first = fminf(first, v[i]);
    }
    return n > 1 ? 0.5f * (first + second) : first;
}

/** What each phone of a path says for the place. `pron`: whose path it is. */
static void judge(const struct search *s, const struct pz_sounds *heard, const struct pz_pron *pron,
                  int64_t first, int frames, const int *phone, struct pz_place *out)
{
    float fit[PZ_PRON_MAX] = {0}, mine[PZ_PRON_MAX] = {0}, most[PZ_PRON_MAX], length[PZ_PRON_MAX] = {0};

    for (int i = 0; i < pron->n; i++)
        most[i] = LEAST_HEARD;
    for (int t = 0; t < frames; t++) {
        const int i = phone[t];
        const float u = unheard(heard, first + t, pron->phones[i]);

        fit[i] += s->scores.values[(first + t) * s->scores.n + s->links[s->path[t]].column];
        mine[i] += u;
        most[i] = fmaxf(most[i], u);
        length[i] += 1.0f;
    }
    out->even = out->best_heard = 0.0f;
    for (int i = 0; i < pron->n; i++) {
        const float n = fmaxf(length[i], 1.0f);

        fit[i] /= n;
        mine[i] /= n;
        out->even += fit[i] / (float)pron->n;
        out->best_heard += most[i] / (float)pron->n;
    }
    out->worst_heard = two_lowest(mine, pron->n);
}

/** A path as a place. */
static enum pz_status describe(struct search *s, const struct pz_sounds *heard, const struct pz_keyword *k,
                               const struct end *e, int64_t last, struct pz_place *out)
{
    const int frames = (int)(last + 1 - e->start), n = s->links[e->link].phones * STATES;
    const struct pz_pron *pron = &k->prons[s->links[e->link].pron];
    uint8_t *room = pz_calloc((size_t)frames * (size_t)n, 1);
    int *phone = pz_calloc((size_t)frames, sizeof *phone);
    enum pz_status st = PZ_ERR_NOMEM;

    if (!room || !phone)
        goto fail;
    *out = (struct pz_place){.start = e->start ? (int64_t)e->start * PZ_EARS_HOP + PZ_EARS_SHIFT : 0,
                             .end = (last + 1) * PZ_EARS_HOP + PZ_EARS_SHIFT,
                             .keyword = s->links[e->link].keyword,
                             .phones = pron->n,
                             .fit = e->value / (float)frames - REWARD};
    trace(s, e->start, frames, e->link - n + 1, n, room, phone);
    judge(s, heard, pron, e->start, frames, phone, out);
    st = pz_sounds_fit(heard, k, out->start - HEARD_AROUND, out->end + HEARD_AROUND, &out->network);
fail:
    pz_free(room);
    pz_free(phone);
    return st;
}

/** What chance gives: all places [n] of a keyword but the two best, by either judge. */
static void add_usual(struct pz_place *p, int n)
{
    float fit = 0.0f, network = 0.0f, first = NOWHERE, second = NOWHERE;

    for (int i = 0; i < n; i++) {
        fit += i < 2 ? 0.0f : p[i].fit;
        network += p[i].network;
        second = fmaxf(second, fminf(first, p[i].network));
        first = fmaxf(first, p[i].network);
    }
    network -= first + second;
    for (int i = 0; i < n; i++) {
        p[i].usual_fit = n > 2 ? fit / (float)(n - 2) : p[i].fit - WORSE;
        p[i].usual_network = n > 2 ? network / (float)(n - 2) : p[i].network - WORSE;
    }
}

/** Follow the keywords with frequencies as `warp` says; `*value`: mean over keywords of what a frame of the
 * best place has. */
static enum pz_status follow_warped(struct pz_acoustic *a, const float *samples, int64_t n, int n_keywords,
                                    int warp, struct search *s, double *value)
{
    enum pz_status st;

    pz_scores_free(&s->scores);
    PZ_TRY(pz_acoustic_score(a, warp, samples, n, s->states, s->n_states, &s->scores));
    if (!s->ends)
        s->ends = pz_calloc((size_t)n_keywords * (size_t)s->scores.frames + 1, sizeof *s->ends);
    if (!s->path)
        s->path = pz_calloc((size_t)s->scores.frames + 1, sizeof *s->path);
    if (!s->ends || !s->path)
        return PZ_ERR_NOMEM;
    follow(s, n_keywords);
    *value = 0.0;
    for (int w = 0; w < n_keywords; w++) {
        const struct end *e = s->ends + w * s->scores.frames;
        int64_t at = 0;

        for (int64_t t = 1; t < s->scores.frames; t++)
            at = e[t].value > e[at].value ? t : at;
        if (s->scores.frames > 0)
            *value += fmax((double)e[at].value / (double)(at + 1 - e[at].start), NOWHERE) / n_keywords;
    }
fail:
    return st;
}

static void swap_kept(struct search *s, struct pz_scores *scores, struct end **ends)
{
    const struct pz_scores kept = *scores;
    struct end *e = *ends;

    *scores = s->scores;
    *ends = s->ends;
    s->scores = kept;
    s->ends = e;
}

/** Scores and ends of paths with the frequencies that the keywords fit best with. */
static enum pz_status fit_best(struct pz_acoustic *a, const float *samples, int64_t n, int n_keywords,
                               struct search *s, int *warp)
{
    double best = -INFINITY, value;
    struct pz_scores scores = {0}; // the best so far, and their ends
    struct end *ends = NULL;
    enum pz_status st;

    *warp = PZ_ACOUSTIC_AS_IS;
    for (int w = 0; w < PZ_ACOUSTIC_WARPS; w++) {
        PZ_TRY(follow_warped(a, samples, n, n_keywords, w, s, &value));
        if (w && value <= best)
            continue;
        best = value;
        *warp = w;
        swap_kept(s, &scores, &ends);
    }
    swap_kept(s, &scores, &ends);
    st = PZ_OK;
fail:
    pz_scores_free(&scores);
    pz_free(ends);
    return st;
}

enum pz_status pz_places_find(struct pz_acoustic *a, const float *samples, int64_t n,
                              const struct pz_sounds *heard, const struct pz_keyword *const *k,
                              int n_keywords, int *warp, struct pz_place **places, int *n_places)
{
    const int many = LEAST_PLACES + (int)(n / PLACE_EVERY);
    struct search s = {0};
    enum pz_status st;

    *n_places = 0;
    *places = pz_calloc((size_t)n_keywords * (size_t)many + 1, sizeof **places);
    if (!*places)
        return PZ_ERR_NOMEM;
    PZ_TRY(make_links(a, k, n_keywords, &s));
    PZ_TRY(fit_best(a, samples, n, n_keywords, &s, warp));
    for (int w = 0, first = 0; w < n_keywords; w++) {
        for (int i = 0; i < many; i++) {
            struct pz_place *p = *places + *n_places;
            struct end e;
            int64_t last;

            if (!take_best(s.ends + w * s.scores.frames, s.scores.frames, &e, &last))
                break;
            PZ_TRY(describe(&s, heard, k[w], &e, last, p));
            p->end = p->end < n ? p->end : n;
            ++*n_places;
        }
        add_usual(*places + first, *n_places - first);
        first = *n_places;
    }
fail:
    search_free(&s);
    if (st < PZ_OK) {
        pz_free(*places);
        *places = NULL;
        *n_places = 0;
    }
    return st;
}

/** Frames that a stretch of sound covers: [*first, *end). */
static void frames_of(const struct search *s, int64_t start, int64_t end, int64_t *first, int64_t *last)
{
    *first = start > PZ_EARS_SHIFT ? (start - PZ_EARS_SHIFT) / PZ_EARS_HOP : 0;
    *last = end > PZ_EARS_SHIFT ? (end - PZ_EARS_SHIFT) / PZ_EARS_HOP : 0;
    *last = *last < s->scores.frames ? *last : s->scores.frames;
}

/** What a written word loses, frame by frame, into `loss`, in the pronunciation that fits best. */
static enum pz_status follow_written(struct search *s, int word, const struct pz_written *w, float *loss)
{
    int64_t first, end;
    enum pz_status st = PZ_ERR_NOMEM;
    float best = NOWHERE;
    uint8_t *room;
    int *phone;

    frames_of(s, w->start, w->end, &first, &end);
    if (end <= first)
        return PZ_OK;
    room = pz_calloc((size_t)(end - first) * PZ_PRON_MAX * STATES, 1);
    phone = pz_calloc((size_t)(end - first), sizeof *phone);
    if (!room || !phone)
        goto fail;
    for (int i = 0; i < s->n_links; i++) {
        const struct link *l = &s->links[i];
        const int n = l->phones * STATES;
        float value;

        if (l->keyword != word || !l->first || n > end - first)
            continue;
        value = trace(s, first, (int)(end - first), i, n, room, phone);
        if (value <= best)
            continue;
        best = value;
        for (int64_t t = first; t < end; t++)
            loss[t] = s->scores.values[t * s->scores.n + s->links[s->path[t - first]].column];
    }
    st = PZ_OK;
fail:
    pz_free(room);
    pz_free(phone);
    return st;
}

enum pz_status pz_places_rival(struct pz_acoustic *a, int warp, const float *samples, int64_t n,
                               const struct pz_written *written, int n_written, struct pz_place *places,
                               int n_places)
{
    static const struct pz_keyword pause = {{{.phones = {PZ_PH_SIL}, .n = 1}}, 1};
    const struct pz_keyword **k = pz_calloc((size_t)n_written + 1, sizeof *k);
    struct search s = {0};
    float *loss = NULL;
    enum pz_status st = PZ_ERR_NOMEM;

    if (!k)
        return st;
    k[0] = &pause;
    for (int i = 0; i < n_written; i++)
        k[i + 1] = &written[i].keyword;
    PZ_TRY(make_links(a, k, n_written + 1, &s));
    PZ_TRY(pz_acoustic_score(a, warp, samples, n, s.states, s.n_states, &s.scores));
    st = PZ_ERR_NOMEM;
    loss = pz_calloc((size_t)s.scores.frames + 1, sizeof *loss);
    s.path = pz_calloc((size_t)s.scores.frames + 1, sizeof *s.path);
    if (!loss || !s.path)
        goto fail;
    for (int64_t t = 0; t < s.scores.frames; t++) { // no word: a pause, in any of its states
        const float *row = s.scores.values + t * s.scores.n;

        loss[t] = fmaxf(fmaxf(row[s.links[0].column], row[s.links[1].column]), row[s.links[2].column]);
    }
    for (int i = 0; i < n_written; i++)
        PZ_TRY(follow_written(&s, i + 1, &written[i], loss));
    for (int i = 0; i < n_places; i++) {
        int64_t first, end;

        frames_of(&s, places[i].start, places[i].end, &first, &end);
        places[i].rival = 0.0f;
        for (int64_t t = first; t < end; t++)
            places[i].rival += loss[t] / (float)(end - first);
    }
    st = PZ_OK;
fail:
    pz_free(loss);
    pz_free(k);
    search_free(&s);
    return st;
}

static float look_apart(const float *a, const float *b)
{
    float sum = 0.0f;

    for (int k = 0; k < PZ_LOOK; k++)
        sum += (a[k] - b[k]) * (a[k] - b[k]);
    return sqrtf(sum / PZ_LOOK);
}

enum pz_status pz_places_apart(const float *a, int na, const float *b, int nb, float *distance)
{
    // Two rows of paths' costs and of their weights.
    float *room = pz_calloc(4 * ((size_t)nb + 1), sizeof *room);
    float *cost = room, *last = room + nb + 1, *weight = room + 2 * (nb + 1),
          *last_weight = room + 3 * (nb + 1);

    *distance = -NOWHERE;
    if (!room)
        return PZ_ERR_NOMEM;
    for (int j = 1; j <= nb; j++)
        last[j] = -NOWHERE;
    for (int i = 0; i < na; i++) {
        float *swap;

        cost[0] = -NOWHERE;
        for (int j = 1; j <= nb; j++) {
            const float d = look_apart(a + (size_t)i * PZ_LOOK, b + (size_t)(j - 1) * PZ_LOOK);

            cost[j] = last[j - 1] + 2.0f * d;
            weight[j] = last_weight[j - 1] + 2.0f;
            if (last[j] + d < cost[j]) {
                cost[j] = last[j] + d;
                weight[j] = last_weight[j] + 1.0f;
            }
            if (cost[j - 1] + d < cost[j]) {
                cost[j] = cost[j - 1] + d;
                weight[j] = weight[j - 1] + 1.0f;
            }
        }
        swap = last;
        last = cost;
        cost = swap;
        swap = last_weight;
        last_weight = weight;
        weight = swap;
    }
    if (na > 0 && nb > 0)
        *distance = last[nb] / last_weight[nb];
    pz_free(room);
    return PZ_OK;
}

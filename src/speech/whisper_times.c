// Times of words from cross attention: the decoder runs once over what was said, the queries of the heads
// that follow the sound are multiplied with the keys of the audio, and the cheapest path through the result
// says when each token began. Source: spec/whisper.md §9.
#include "speech/whisper_times.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "speech/whisper_decode.h"

#define WIDTH 7
#define PIECE 32             /* tokens whose logits are kept at once */
#define FRAMES_A_SECOND 50.0 /* columns of the attention */

/* ---- arithmetic ---- */

void pz_whisper_normalise(float *x, int tokens, int frames)
{
    for (int t = 0; t < tokens; t++) {
        float *row = x + (size_t)t * (size_t)frames, top = row[0];
        double sum = 0;
        for (int f = 1; f < frames; f++)
            top = row[f] > top ? row[f] : top;
        for (int f = 0; f < frames; f++)
            sum += (double)(row[f] = expf(row[f] - top));
        for (int f = 0; f < frames; f++)
            row[f] = (float)(row[f] / sum);
    }
    for (int f = 0; f < frames; f++) {
        double sum = 0, square = 0;
        for (int t = 0; t < tokens; t++)
            sum += (double)x[(size_t)t * (size_t)frames + (size_t)f];
        double mean = sum / tokens;
        for (int t = 0; t < tokens; t++) {
            double e = (double)x[(size_t)t * (size_t)frames + (size_t)f] - mean;
            square += e * e;
        }
        double std = sqrt(square / tokens);
        for (int t = 0; t < tokens; t++) {
            float *v = &x[(size_t)t * (size_t)frames + (size_t)f];
            *v = std > 0 ? (float)((*v - mean) / std) : 0;
        }
    }
}

static float middle_of_7(const float *x)
{
    float w[WIDTH];
    for (int k = 0; k < WIDTH; k++) {
        int j = k;
        for (; j > 0 && w[j - 1] > x[k]; j--)
            w[j] = w[j - 1];
        w[j] = x[k];
    }
    return w[WIDTH / 2];
}

void pz_whisper_median(float *x, int rows, int n, float *room)
{
    enum { HALF = WIDTH / 2 };
    for (int r = 0; n > HALF && r < rows; r++) {
        float *row = x + (size_t)r * (size_t)n;
        memcpy(room + HALF, row, (size_t)n * sizeof *row);
        for (int k = 1; k <= HALF; k++) {
            room[HALF - k] = row[k];
            room[HALF + n - 1 + k] = row[n - 1 - k];
        }
        for (int i = 0; i < n; i++)
            row[i] = middle_of_7(room + i);
    }
}

int pz_whisper_dtw(const float *x, int n, int m, int *rows, int *cols)
{
    enum { DIAGONAL, UP, LEFT };
    const size_t wide = (size_t)m + 1;
    float *cost = pz_calloc(2 * wide, sizeof *cost), *above = cost, *here = cost ? cost + wide : NULL;
    unsigned char *trace = pz_calloc(((size_t)n + 1) * wide, 1);
    int steps = -1;
    if (!cost || !trace)
        goto fail;
    for (int j = 1; j <= m; j++)
        above[j] = INFINITY;
    for (int i = 1; i <= n; i++) {
        here[0] = INFINITY;
        for (int j = 1; j <= m; j++) {
            float d = above[j - 1], u = above[j], l = here[j - 1];
            int way = d < u && d < l ? DIAGONAL : u < d && u < l ? UP : LEFT;
            float c = way == DIAGONAL ? d : way == UP ? u : l;
            here[j] = (float)((double)x[(size_t)(i - 1) * (size_t)m + (size_t)(j - 1)] + (double)c);
            trace[(size_t)i * wide + (size_t)j] = (unsigned char)way;
        }
        float *swap = above;
        above = here;
        here = swap;
    }
    steps = 0;
    for (int i = n, j = m; i > 0 || j > 0; steps++) {
        int way = i == 0 ? LEFT : j == 0 ? UP : trace[(size_t)i * wide + (size_t)j];
        rows[steps] = i - 1;
        cols[steps] = j - 1;
        i -= way != LEFT;
        j -= way != UP;
    }
    for (int a = 0, b = steps - 1; a < b; a++, b--) {
        int r = rows[a], c = cols[a];
        rows[a] = rows[b];
        cols[a] = cols[b];
        rows[b] = r;
        cols[b] = c;
    }
fail:
    pz_free(cost);
    pz_free(trace);
    return steps;
}

/* ---- heads ---- */

struct known {
    const char *name;
    short heads[24][2]; /* ends with −1 */
};

static const struct known published[] = {
    {"tiny.en", {{1, 0}, {2, 0}, {2, 5}, {3, 0}, {3, 1}, {3, 2}, {3, 3}, {3, 4}, {-1, 0}}},
    {"tiny", {{2, 2}, {3, 0}, {3, 2}, {3, 3}, {3, 4}, {3, 5}, {-1, 0}}},
    {"base.en", {{3, 3}, {4, 7}, {5, 1}, {5, 5}, {5, 7}, {-1, 0}}},
    {"base", {{3, 1}, {4, 2}, {4, 3}, {4, 7}, {5, 1}, {5, 2}, {5, 4}, {5, 6}, {-1, 0}}},
    {"small.en", {{6, 6},  {7, 0},  {7, 3},  {7, 8},  {8, 2},  {8, 5},  {8, 7},   {9, 0},  {9, 4},  {9, 8},
                  {9, 10}, {10, 0}, {10, 1}, {10, 2}, {10, 3}, {10, 6}, {10, 11}, {11, 2}, {11, 4}, {-1, 0}}},
    {"small", {{5, 3}, {5, 9}, {8, 0}, {8, 4}, {8, 7}, {8, 8}, {9, 0}, {9, 7}, {9, 9}, {10, 5}, {-1, 0}}},
    {"medium.en",
     {{11, 4},
      {14, 1},
      {14, 12},
      {14, 14},
      {15, 4},
      {16, 0},
      {16, 4},
      {16, 9},
      {17, 12},
      {17, 14},
      {18, 7},
      {18, 10},
      {18, 15},
      {20, 0},
      {20, 3},
      {20, 9},
      {20, 14},
      {21, 12},
      {-1, 0}}},
    {"medium", {{13, 15}, {15, 4}, {15, 15}, {16, 1}, {20, 0}, {23, 4}, {-1, 0}}},
    {"large-v1",
     {{9, 19}, {11, 2}, {11, 4}, {11, 17}, {22, 7}, {22, 11}, {22, 17}, {23, 2}, {23, 15}, {-1, 0}}},
    {"large-v2", {{10, 12}, {13, 17}, {16, 11}, {16, 12}, {16, 13}, {17, 15}, {17, 16}, {18, 4},
                  {18, 11}, {18, 19}, {19, 11}, {21, 2},  {21, 3},  {22, 3},  {22, 9},  {22, 12},
                  {23, 5},  {23, 7},  {23, 13}, {25, 5},  {26, 1},  {26, 12}, {27, 15}, {-1, 0}}},
    {"large-v3",
     {{7, 0}, {10, 17}, {12, 18}, {13, 12}, {16, 1}, {17, 14}, {19, 11}, {21, 4}, {24, 1}, {25, 6}, {-1, 0}}},
    {"large-v3-turbo", {{2, 4}, {2, 11}, {3, 3}, {3, 6}, {3, 11}, {3, 14}, {-1, 0}}},
};

int pz_whisper_heads(const char *name, const struct pz_whisper_dims *d, struct pz_whisper_head *out, int max)
{
    int n = 0;
    for (size_t i = 0; name && i < sizeof published / sizeof *published; i++) {
        const short(*h)[2] = published[i].heads;
        if (strcmp(published[i].name, name) != 0)
            continue;
        for (; h[n][0] >= 0 && n < max; n++) {
            if (h[n][0] >= d->text_layers || h[n][1] >= d->text_heads)
                return pz_whisper_heads(NULL, d, out, max); /* another model under this name */
            out[n] = (struct pz_whisper_head){h[n][0], h[n][1]};
        }
        return n;
    }
    for (int l = d->text_layers / 2; l < d->text_layers; l++)
        for (int h = 0; h < d->text_heads && n < max; h++)
            out[n++] = (struct pz_whisper_head){(short)l, (short)h};
    return n;
}

/* ---- words ---- */

enum pz_status pz_whisper_words_add(struct pz_whisper_words *w, const struct pz_whisper_word *word)
{
    if (w->n == w->cap) {
        int want = w->cap ? 2 * w->cap : 64;
        void *p = w->items ? pz_regrow(w->items, (size_t)w->n, (size_t)want, sizeof *w->items)
                           : pz_calloc((size_t)want, sizeof *w->items);
        if (!p)
            return PZ_ERR_NOMEM;
        w->items = p;
        w->cap = want;
    }
    w->items[w->n++] = *word;
    return PZ_OK;
}

void pz_whisper_words_free(struct pz_whisper_words *w)
{
    pz_free(w->items);
    *w = (struct pz_whisper_words){0};
}

/* One pass of the decoder: probability of each text token, queries of all tokens. */
static enum pz_status say_again(struct pz_whisper *w, const struct pz_whisper_align_params *p,
                                const int *tokens, int n, int n_start, float *chance, float *queries)
{
    const struct pz_whisper_dims *d = pz_whisper_sizes(w);
    const size_t layer_row = (size_t)d->text_layers * (size_t)d->text_state;
    enum pz_status st = PZ_ERR_NOMEM;
    struct pz_whisper_item items[PIECE];
    float *logits = pz_calloc(PIECE * (size_t)d->vocab, sizeof *logits);
    int *rows = pz_calloc((size_t)n, sizeof *rows), end = pz_whisper_vocab_special(p->vocab)->end_of_text;
    if (!logits || !rows)
        goto fail;
    for (int i = 0; i < n; i++)
        rows[i] = i;
    for (int from = 0, m; from < n; from += m) {
        m = n - from < PIECE ? n - from : PIECE;
        for (int i = 0; i < m; i++)
            items[i] = (struct pz_whisper_item){.token = tokens[from + i],
                                                .rows = rows,
                                                .n_rows = from + i,
                                                .row = from + i,
                                                .logits = logits + (size_t)i * (size_t)d->vocab,
                                                .queries = queries + (size_t)(from + i) * layer_row};
        PZ_TRY(pz_whisper_step(w, items, m));
        for (int i = 0; i < m; i++) {
            int k = from + i - n_start; /* this row foretells text token k */
            if (k >= 0 && k < p->n)
                chance[k] = (float)exp((double)items[i].logits[p->tokens[k]] -
                                       pz_whisper_log_sum(items[i].logits, end));
        }
    }
    st = PZ_OK;
fail:
    pz_free(logits);
    pz_free(rows);
    return st;
}

/* q·k of one head: [n][frames]. */
static void scores_of(const struct pz_whisper *w, struct pz_whisper_head h, const float *queries, int n,
                      int frames, float *out)
{
    const struct pz_whisper_dims *d = pz_whisper_sizes(w);
    const size_t size = (size_t)d->text_state, width = size / (size_t)d->text_heads;
    const float *keys = pz_whisper_audio_keys(w, h.layer) + (size_t)h.head * width;
    const float scale = 1.0f / sqrtf((float)width);
    for (int t = 0; t < n; t++) {
        const float *q =
            queries + ((size_t)t * (size_t)d->text_layers + (size_t)h.layer) * size + (size_t)h.head * width;
        for (int f = 0; f < frames; f++) {
            const float *k = keys + (size_t)f * size;
            float sum[8] = {0};
            size_t i = 0;
            for (; i + 8 <= width; i += 8)
                for (int j = 0; j < 8; j++)
                    sum[j] += q[i + (size_t)j] * k[i + (size_t)j];
            for (; i < width; i++)
                sum[0] += q[i] * k[i];
            out[(size_t)t * (size_t)frames + (size_t)f] =
                scale * (((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7])));
        }
    }
}

/* Mean over the heads, negated: what the path is sought through. */
static enum pz_status cost_of(const struct pz_whisper *w, const struct pz_whisper_align_params *p,
                              const float *queries, int n, int frames, float *cost)
{
    size_t all = (size_t)n * (size_t)frames;
    float *one = pz_calloc(all, sizeof *one), *room = pz_calloc((size_t)frames + WIDTH, sizeof *room);
    for (int h = 0; one && room && h < p->n_heads; h++) {
        scores_of(w, p->heads[h], queries, n, frames, one);
        pz_whisper_normalise(one, n, frames);
        pz_whisper_median(one, n, frames, room);
        for (size_t i = 0; i < all; i++)
            cost[i] -= one[i] / (float)p->n_heads;
    }
    enum pz_status st = one && room ? PZ_OK : PZ_ERR_NOMEM;
    pz_free(one);
    pz_free(room);
    return st;
}

/* Words of the path: jump[i] is the column at which text token i began. */
static enum pz_status take_words(const struct pz_whisper_align_params *p, const int *jump,
                                 const float *chance, struct pz_whisper_words *out)
{
    const struct pz_whisper_special *s = pz_whisper_vocab_special(p->vocab);
    const char *language = s->multilingual && p->language >= 0 ? pz_whisper_languages[p->language] : NULL;
    int *ends = pz_calloc((size_t)p->n + 1, sizeof *ends), from = 0;
    int n = ends ? pz_whisper_vocab_words(p->vocab, language, p->tokens, p->n, ends) : -1;
    enum pz_status st = n < 0 ? PZ_ERR_NOMEM : PZ_OK;
    for (int i = 0; i < n && st >= PZ_OK; i++) {
        struct pz_whisper_word word = {.n_tokens = ends[i] - from,
                                       .start = jump[from] / FRAMES_A_SECOND,
                                       .end = jump[ends[i]] / FRAMES_A_SECOND};
        char *text = pz_whisper_vocab_decode(p->vocab, p->tokens + from, ends[i] - from);
        double sum = 0;
        for (int k = from; k < ends[i]; k++)
            sum += (double)chance[k];
        word.probability = (float)(sum / (ends[i] - from));
        if (text) {
            size_t len = strlen(text);
            if (len >= sizeof word.text) /* cut between characters */
                for (len = sizeof word.text - 1; len && ((unsigned char)text[len] & 0xc0) == 0x80;)
                    len--;
            memcpy(word.text, text, len);
        }
        st = text ? pz_whisper_words_add(out, &word) : PZ_ERR_NOMEM;
        pz_free(text);
        from = ends[i];
    }
    pz_free(ends);
    return st;
}

/* Path through rows [n_start, n_start + p->n + 1) of the cost: row of the last start token to the last text
 * token. */
static enum pz_status warp(const struct pz_whisper_align_params *p, const float *cost, int frames, int *jump)
{
    int tokens = p->n + 1, last = -1;
    int *path = pz_calloc(2 * (size_t)(tokens + frames), sizeof *path),
        *cols = path ? path + tokens + frames : NULL;
    int steps = path ? pz_whisper_dtw(cost, tokens, frames, path, cols) : -1;
    for (int i = 0; i < steps; i++)
        if (path[i] != last) {
            last = path[i];
            if (last >= 0)
                jump[last] = cols[i] > 0 ? cols[i] : 0;
        }
    pz_free(path);
    return steps < 0 ? PZ_ERR_NOMEM : PZ_OK;
}

enum pz_status pz_whisper_align(struct pz_whisper *w, const struct pz_whisper_align_params *p,
                                const struct pz_job *job, struct pz_whisper_words *out)
{
    const struct pz_whisper_dims *d = pz_whisper_sizes(w);
    const struct pz_whisper_special *s = pz_whisper_vocab_special(p->vocab);
    enum pz_status st = PZ_ERR_NOMEM;
    int start[4], n_start = pz_whisper_start_tokens(p->vocab, p->language, false, true, start);
    int n = n_start + p->n + 1, frames = p->frames / 2 < d->audio_ctx ? p->frames / 2 : d->audio_ctx;
    if (p->n < 1 || frames < 1)
        return PZ_OK;
    if (n > d->text_ctx)
        return pz_fail(job->log, PZ_ERR_INTERNAL, "Whisper: %d tokens at once are too many", n);
    int *tokens = pz_calloc((size_t)n, sizeof *tokens), *jump = pz_calloc((size_t)p->n + 2, sizeof *jump);
    float *chance = pz_calloc((size_t)p->n, sizeof *chance);
    float *queries = pz_calloc((size_t)n * (size_t)d->text_layers * (size_t)d->text_state, sizeof *queries);
    float *cost = pz_calloc((size_t)n * (size_t)frames, sizeof *cost);
    if (!tokens || !jump || !chance || !queries || !cost)
        goto fail;
    memcpy(tokens, start, (size_t)n_start * sizeof *start);
    memcpy(tokens + n_start, p->tokens, (size_t)p->n * sizeof *tokens);
    tokens[n - 1] = s->end_of_text;
    PZ_TRY(say_again(w, p, tokens, n, n_start - 1, chance, queries));
    PZ_TRY(cost_of(w, p, queries, n, frames, cost));
    PZ_TRY(warp(p, cost + (size_t)(n_start - 1) * (size_t)frames, frames, jump));
    PZ_TRY(take_words(p, jump, chance, out));
fail:
    pz_free(tokens);
    pz_free(jump);
    pz_free(chance);
    pz_free(queries);
    pz_free(cost);
    return st == PZ_ERR_NOMEM ? pz_fail(job->log, st, "no memory for the times of words") : st;
}

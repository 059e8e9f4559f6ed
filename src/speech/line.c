// Growing lists of words and phones, and taps over sound. No recognition here.
#include "speech/line.h"

#include <stdlib.h>
#include <string.h>

#include "audio/shape.h"
#include "base/mem.h"
#include "base/rational.h"

#define CHUNK 4096

static enum pz_status memory_read(void *user, int64_t at, float *interleaved, int64_t n)
{
    const struct pz_tap_memory *m = user;

    for (int64_t i = 0; i < n; i++) {
        int64_t s = at + i;
        bool inside = s >= 0 && s < m->n;

        for (int c = 0; c < m->channels; c++)
            interleaved[i * m->channels + c] = inside ? m->samples[s * m->channels + c] : 0.0f;
    }
    return PZ_OK;
}

struct pz_tap pz_tap_from_memory(struct pz_tap_memory *mem, const float *samples, int64_t n, int rate,
                                 int channels)
{
    *mem = (struct pz_tap_memory){.samples = samples, .n = n, .channels = channels};
    return (struct pz_tap){.user = mem, .rate = rate, .channels = channels, .n = n, .read = memory_read};
}

enum pz_status pz_tap_read_mono(const struct pz_tap *tap, int64_t at, float *out, int64_t n)
{
    enum pz_status st = PZ_OK;
    float *buf;
    float scale = 1.0f / (float)tap->channels;

    if (tap->channels == 1)
        return tap->read(tap->user, at, out, n);
    buf = pz_calloc((size_t)CHUNK * (size_t)tap->channels, sizeof *buf);
    if (!buf)
        return PZ_ERR_NOMEM;
    for (int64_t done = 0; done < n && st == PZ_OK; done += CHUNK) {
        int64_t k = n - done < CHUNK ? n - done : CHUNK;

        st = tap->read(tap->user, at + done, buf, k);
        for (int64_t i = 0; i < k && st == PZ_OK; i++) {
            float sum = 0.0f;

            for (int c = 0; c < tap->channels; c++)
                sum += buf[i * tap->channels + c];
            out[done + i] = sum * scale;
        }
    }
    pz_free(buf);
    return st;
}

#define MARGIN_S 1 /* whole seconds: keeps the two clocks' phases aligned at every cut */

int64_t pz_tap_speech_length(const struct pz_tap *tap)
{
    struct pz_rational from = {1, tap->rate}, to = {1, PZ_SPEECH_RATE};

    return tap->rate == PZ_SPEECH_RATE ? tap->n : pz_rescale(tap->n, from, to);
}

enum pz_status pz_tap_read_speech(const struct pz_tap *tap, int64_t at, float *out, int64_t n)
{
    enum pz_status st;
    int64_t first, seconds, got = 0;
    float *in = NULL, *res = NULL;

    if (tap->rate < 1000 || tap->channels < 1 || tap->channels > 64)
        return PZ_ERR_USAGE;
    if (tap->rate == PZ_SPEECH_RATE)
        return pz_tap_read_mono(tap, at, out, n);
    // Resample from whole second to whole second around the stretch: both clocks count from the same instant
    // there.
    first = (at >= 0 ? at / PZ_SPEECH_RATE : -((-at + PZ_SPEECH_RATE - 1) / PZ_SPEECH_RATE)) - MARGIN_S;
    seconds = (at + n + PZ_SPEECH_RATE - 1) / PZ_SPEECH_RATE - first + MARGIN_S + 1;
    in = pz_calloc((size_t)seconds, (size_t)tap->rate * sizeof *in);
    if (!in)
        return PZ_ERR_NOMEM;
    PZ_TRY(pz_tap_read_mono(tap, first * tap->rate, in, seconds * tap->rate));
    PZ_TRY(pz_resample(in, seconds * tap->rate, tap->rate, PZ_SPEECH_RATE, &res, &got));
    memcpy(out, res + (at - first * PZ_SPEECH_RATE), (size_t)n * sizeof *out);
    st = PZ_OK;
fail:
    pz_free(in);
    pz_free(res);
    return st;
}

/** Room for one more item; false on no memory. */
static bool grow(void **items, int n, int *cap, size_t size)
{
    int want;
    void *p;

    if (n < *cap)
        return true;
    if (*cap > INT32_MAX / 2)
        return false;
    want = *cap ? *cap * 2 : 64;
    p = *items ? pz_regrow(*items, (size_t)n, (size_t)want, size) : pz_calloc((size_t)want, size);
    if (!p)
        return false;
    *items = p;
    *cap = want;
    return true;
}

enum pz_status pz_words_add(struct pz_words *w, const struct pz_word *word)
{
    void *items = w->items;

    if (!grow(&items, w->n, &w->cap, sizeof *w->items))
        return PZ_ERR_NOMEM;
    w->items = items;
    w->items[w->n++] = *word;
    return PZ_OK;
}

void pz_words_free(struct pz_words *w)
{
    pz_free(w->items);
    *w = (struct pz_words){0};
}

enum pz_status pz_phone_line_add(struct pz_phone_line *l, struct pz_phone p)
{
    void *items = l->items;

    if (!grow(&items, l->n, &l->cap, sizeof *l->items))
        return PZ_ERR_NOMEM;
    l->items = items;
    l->items[l->n++] = p;
    return PZ_OK;
}

void pz_phone_line_free(struct pz_phone_line *l)
{
    pz_free(l->items);
    *l = (struct pz_phone_line){0};
}

static int by_start(const void *a, const void *b)
{
    const struct pz_phone *p = a, *q = b;

    return p->start < q->start ? -1 : p->start > q->start;
}

/** Append to a covered line: silence joins silence. */
static enum pz_status put(struct pz_phone_line *l, struct pz_phone p)
{
    struct pz_phone *last = l->n ? &l->items[l->n - 1] : NULL;

    if (p.end <= p.start)
        return PZ_OK;
    if (last && last->id == PZ_PH_SIL && p.id == PZ_PH_SIL && last->end == p.start) {
        last->end = p.end;
        return PZ_OK;
    }
    return pz_phone_line_add(l, p);
}

enum pz_status pz_phone_line_cover(struct pz_phone_line *l, int64_t start, int64_t end)
{
    enum pz_status st = PZ_OK;
    struct pz_phone_line out = {0};
    int64_t at = start;

    if (l->n > 1)
        qsort(l->items, (size_t)l->n, sizeof *l->items, by_start);
    for (int i = 0; i < l->n; i++) {
        struct pz_phone p = l->items[i];

        if (p.start < at)
            p.start = at;
        if (p.end > end)
            p.end = end;
        if (p.end <= p.start)
            continue;
        PZ_TRY(put(&out, (struct pz_phone){.id = PZ_PH_SIL, .score = 1.0f, .start = at, .end = p.start}));
        PZ_TRY(put(&out, p));
        at = p.end;
    }
    PZ_TRY(put(&out, (struct pz_phone){.id = PZ_PH_SIL, .score = 1.0f, .start = at, .end = end}));
    pz_phone_line_free(l);
    *l = out;
    return PZ_OK;
fail:
    pz_phone_line_free(&out);
    return st;
}

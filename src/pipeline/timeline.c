/* Timeline arithmetic in integers. Does not know about speech or faces; frames come out in presentation
 * order. */
#include "pipeline/timeline.h"

#include <string.h>

#include "base/mem.h"

enum pz_status pz_timeline_init(struct pz_timeline *t, int rate, int64_t in_len, const struct pz_edit *edits,
                                int n, struct pz_log *log)
{
    *t = (struct pz_timeline){.rate = rate, .in_len = in_len, .n_edits = n};
    int64_t at = 0, shift = 0;
    for (int i = 0; i < n; i++) {
        const struct pz_edit *e = &edits[i];
        if (e->in_start < at || e->in_end < e->in_start || e->in_end > in_len || e->out_len < 0 ||
            (e->out_len == 0 && e->in_end > e->in_start))
            return pz_fail(log, PZ_ERR_USAGE, "edit %d [%lld, %lld) overlaps another or leaves the film", i,
                           (long long)e->in_start, (long long)e->in_end);
        at = e->in_end;
    }
    t->edits = pz_calloc((size_t)n + 1, sizeof *t->edits);
    t->out_start = pz_calloc((size_t)n + 1, sizeof *t->out_start);
    if (!t->edits || !t->out_start) {
        pz_timeline_free(t);
        return pz_fail(log, PZ_ERR_NOMEM, "no memory for the timeline");
    }
    for (int i = 0; i < n; i++) {
        t->edits[i] = edits[i];
        t->out_start[i] = edits[i].in_start + shift;
        shift += edits[i].out_len - (edits[i].in_end - edits[i].in_start);
    }
    t->out_len = in_len + shift;
    return PZ_OK;
}

void pz_timeline_free(struct pz_timeline *t)
{
    pz_free(t->edits);
    pz_free(t->out_start);
    *t = (struct pz_timeline){0};
}

/* a*b/c rounded down for non-negative a, in 128 bits. */
static int64_t scale(int64_t a, int64_t b, int64_t c)
{
    __extension__ typedef __int128 wide;
    return (int64_t)((wide)a * b / c);
}

int64_t pz_timeline_to_input(const struct pz_timeline *t, int64_t out)
{
    int64_t shift = 0;
    for (int i = 0; i < t->n_edits; i++) {
        const struct pz_edit *e = &t->edits[i];
        if (out < t->out_start[i])
            break;
        if (out < t->out_start[i] + e->out_len)
            return e->in_start + scale(out - t->out_start[i], e->in_end - e->in_start, e->out_len);
        shift = t->out_start[i] + e->out_len - e->in_end;
    }
    return out - shift;
}

int64_t pz_timeline_to_output(const struct pz_timeline *t, int64_t in)
{
    int64_t shift = 0;
    for (int i = 0; i < t->n_edits; i++) {
        const struct pz_edit *e = &t->edits[i];
        if (in < e->in_start)
            break;
        if (in < e->in_end)
            return t->out_start[i] + scale(in - e->in_start, e->out_len, e->in_end - e->in_start);
        shift = t->out_start[i] + e->out_len - e->in_end;
    }
    return in + shift;
}

int pz_timeline_edit_at(const struct pz_timeline *t, int64_t out)
{
    for (int i = 0; i < t->n_edits; i++)
        if (out >= t->out_start[i] && out < t->out_start[i] + t->edits[i].out_len)
            return i;
    return -1;
}

static bool in_touch(const struct pz_touch *touches, int n, int64_t at)
{
    for (int i = 0; i < n; i++)
        if (at >= touches[i].out_start && at < touches[i].out_end)
            return true;
    return false;
}

int64_t pz_timeline_grid(const struct pz_film_info *info)
{
    int64_t g = 0;
    for (int64_t i = 1; i < info->n_frames; i++) {
        int64_t a = info->frames[i].pts - info->frames[i - 1].pts, b = g;
        while (b != 0) {
            int64_t r = a % b;
            a = b;
            b = r;
        }
        g = a;
        if (g * info->time_base.num * 250 < info->time_base.den)
            return 0;
    }
    return g;
}

struct builder {
    const struct pz_timeline *t;
    int64_t grid; /**< ticks output times keep to where a span changes length; 1 = none */
    const struct pz_film_info *info;
    struct pz_rational sample;
    struct pz_out_frame *out;
    int64_t n, cap;
};

static bool push(struct builder *b, int64_t src, int64_t pts, int64_t duration)
{
    if (b->n == b->cap) {
        struct pz_out_frame *q = pz_regrow(b->out, (size_t)b->cap, (size_t)b->cap * 2 + 64, sizeof *q);
        if (!q)
            return false;
        b->out = q;
        b->cap = b->cap * 2 + 64;
    }
    b->out[b->n++] = (struct pz_out_frame){.src = src, .pts = pts, .duration = duration};
    return true;
}

/* Frames [first, last) of an edit whose length changes: same cadence, nearest picture. */
static bool push_retimed(struct builder *b, int64_t first, int64_t last, int64_t pts0, int64_t span_out)
{
    const struct pz_frame_entry *f = b->info->frames;
    int64_t span_in = f[last - 1].pts + f[last - 1].duration - f[first].pts;
    int64_t n_in = last - first;
    if (span_out <= 0 || span_in <= 0)
        return true;
    int64_t n_out = (2 * n_in * span_out + span_in) / (2 * span_in);
    if (n_out < 1)
        n_out = 1;
    int64_t g = b->grid;
    for (int64_t k = 0; k < n_out; k++) {
        /* on the film's own clock, so that its nominal frame rate stays what it is */
        int64_t a = pts0 + scale(k, span_out, n_out * g) * g;
        int64_t z = k + 1 < n_out ? pts0 + scale(k + 1, span_out, n_out * g) * g : pts0 + span_out;
        if (z <= a)
            continue;
        int64_t src = first + scale(2 * k + 1, n_in, 2 * n_out);
        if (!push(b, src < last ? src : last - 1, a, z - a))
            return false;
    }
    return true;
}

enum pz_status pz_timeline_frames(const struct pz_timeline *t, const struct pz_film_info *info,
                                  const struct pz_touch *touches, int n_touches, struct pz_out_frame **frames,
                                  int64_t *n_frames)
{
    struct builder b = {.t = t, .info = info, .sample = {1, t->rate}, .cap = 0};
    struct pz_rational tb = info->time_base;
    int64_t i = 0, shift = 0, grid = pz_timeline_grid(info);
    b.grid = grid > 0 ? grid : 1;
    bool ok = true;
    for (int e = 0; e <= t->n_edits && ok; e++) {
        int64_t stop = e < t->n_edits ? t->edits[e].in_start : INT64_MAX;
        for (; ok && i < info->n_frames && pz_rescale(info->frames[i].pts, tb, b.sample) < stop; i++)
            ok = push(&b, i, info->frames[i].pts + shift, info->frames[i].duration);
        if (e == t->n_edits || i >= info->n_frames || !ok)
            break;
        const struct pz_edit *ed = &t->edits[e];
        int64_t next_shift = pz_rescale(t->out_start[e] + ed->out_len - ed->in_end, b.sample, tb);
        int64_t last = i;
        while (last < info->n_frames && pz_rescale(info->frames[last].pts, tb, b.sample) < ed->in_end)
            last++;
        if (next_shift == shift || last == i) {
            shift = next_shift; /* same length: the frames are taken as they come, next round */
            continue;
        }
        int64_t pts0 = info->frames[i].pts + shift;
        int64_t end_in = info->frames[last - 1].pts + info->frames[last - 1].duration;
        ok = push_retimed(&b, i, last, pts0, end_in + next_shift - pts0);
        i = last;
        shift = next_shift;
    }
    if (!ok) {
        pz_free(b.out);
        return PZ_ERR_NOMEM;
    }
    for (int64_t k = 0; k < b.n; k++)
        b.out[k].touched = in_touch(touches, n_touches, pz_rescale(b.out[k].pts, tb, b.sample));
    *frames = b.out;
    *n_frames = b.n;
    return PZ_OK;
}

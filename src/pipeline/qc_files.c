/* Quality control, whole files: untouched pictures and the offset of sound against picture.
 *
 * Cheap by choice of frames: key frames cost one picture to decode, and the few others lie in groups that are
 * decoded once, in ascending order; of the source those seen while drawing were kept. Does not compare sound
 * samples: those of the slots are meant to differ, the others are media's promise. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "image/metrics.h"
#include "pipeline/qc_state.h"

#define MAX_KEYS 3
#define MAX_TAILS 2 /* frames behind touched stretches */
#define MAX_LOOKS (MAX_KEYS + MAX_TAILS + PZ_QC_SPOTS)
#define EQUAL_DB 100.0
#define RATE 16000
#define WINDOW (RATE / 2)   /* sound compared around a frame */
#define MAX_LAG (RATE / 25) /* 40 ms */
#define CLEAR_S 0.75        /* distance to touched frames */
#define MAX_WINDOWS 3

/** One frame to be compared: whole, or without a box. */
struct look {
    int64_t out;
    struct pz_box without;         /**< empty = whole */
    const struct pz_picture *film; /**< the source's, NULL: to be decoded */
};

static int by_frame(const void *a, const void *b)
{
    const struct look *x = a, *y = b;
    return (x->out > y->out) - (x->out < y->out);
}

static int choose(const struct pz_qc *qc, const struct pz_out_frame *frames, int64_t n, struct look *look)
{
    int k = 0;
    int64_t keys = 0, seen = 0;
    for (int64_t i = 0; i < n; i++)
        keys += !frames[i].touched && qc->info->frames[frames[i].src].key;
    for (int64_t i = 0; i < n && k < MAX_KEYS; i++) {
        if (frames[i].touched || !qc->info->frames[frames[i].src].key)
            continue;
        if (keys <= MAX_KEYS || seen * MAX_KEYS / keys == k) /* evenly over the film */
            look[k++] = (struct look){.out = i};
        seen++;
    }
    /* The frame behind each of the first touched stretches: its packets are new although it was not touched.
     */
    for (int64_t i = 1; i < n && k < MAX_KEYS + MAX_TAILS; i++)
        if (frames[i - 1].touched && !frames[i].touched)
            look[k++] = (struct look){.out = i};
    for (int64_t s = 0; s < qc->n_spots && s < PZ_QC_SPOTS; s++)
        if (qc->spot[s].frame >= 0 && qc->spot[s].frame < n)
            look[k++] = (struct look){qc->spot[s].frame, qc->spot[s].box, &qc->spot[s].film};
    qsort(look, (size_t)k, sizeof *look, by_frame);
    return k;
}

static void add_frame(const struct pz_picture *a, const struct pz_picture *b, const struct pz_box *out,
                      double *sse, double *n)
{
    int w = a->width, h = a->height;
    struct pz_box o = *out;
    if (o.x1 <= o.x0 || o.y1 <= o.y0)
        o = (struct pz_box){0, 0, 0, 0};
    *sse += pz_metric_luma_sse(a, b, 0, 0, w, o.y0) + pz_metric_luma_sse(a, b, 0, o.y0, o.x0, o.y1) +
            pz_metric_luma_sse(a, b, o.x1, o.y0, w, o.y1) + pz_metric_luma_sse(a, b, 0, o.y1, w, h);
    *n += (double)w * h - (double)(o.x1 - o.x0) * (o.y1 - o.y0);
}

static enum pz_status compare_pictures(struct pz_qc *qc, const char *source, const char *output,
                                       const struct pz_film_info *made, const struct pz_out_frame *frames,
                                       int64_t n, const struct pz_job *job)
{
    enum pz_status st = PZ_OK;
    struct look look[MAX_LOOKS];
    struct pz_reader *a = NULL, *b = NULL;
    double sse = 0, count = 0;
    int n_looks = choose(qc, frames, n, look);
    PZ_TRY(pz_reader_open(source, qc->info, job, &a));
    PZ_TRY(pz_reader_open(output, made, job, &b));
    for (int i = 0; i < n_looks; i++) {
        const struct pz_picture *p = look[i].film, *q;
        bool bad_a = false, bad_b;
        if (look[i].out >= made->n_frames)
            break;
        if (!p)
            PZ_TRY(pz_reader_frame(a, frames[look[i].out].src, &p, &bad_a));
        PZ_TRY(pz_reader_frame(b, look[i].out, &q, &bad_b));
        if (bad_a || bad_b || p->width != q->width || p->height != q->height)
            continue;
        add_frame(p, q, &look[i].without, &sse, &count);
    }
    if (count > 0)
        qc->untouched_psnr = sse > 0 ? fmin(EQUAL_DB, 10 * log10(255.0 * 255 * count / sse)) : EQUAL_DB;
fail:
    pz_reader_close(&a);
    pz_reader_close(&b);
    return st;
}

/** Is frame i at least CLEAR_S away from everything touched, and from both ends of the sound? */
static bool clear_of_touched(const struct pz_film_info *info, const struct pz_out_frame *frames, int64_t n,
                             int64_t i)
{
    for (int dir = -1; dir <= 1; dir += 2)
        for (int64_t j = i; j >= 0 && j < n; j += dir) {
            double d = pz_seconds(frames[j].pts - frames[i].pts, info->time_base);
            if (fabs(d) > CLEAR_S)
                break;
            /* A jump in the map next to it would put two different sounds into one window. */
            if (frames[j].touched ||
                llabs((frames[j].pts - info->frames[frames[j].src].pts) -
                      (frames[i].pts - info->frames[frames[i].src].pts)) > frames[i].duration / 2)
                return false;
        }
    return true;
}

static enum pz_status read_window(struct pz_sound *s, double centre, float *out)
{
    int64_t n = WINDOW + 2 * MAX_LAG, at = llround(centre * RATE) - n / 2, got = 0, skip = at < 0 ? -at : 0;
    memset(out, 0, (size_t)n * sizeof *out);
    return skip < n ? pz_sound_read(s, at + skip, out + skip, n - skip, &got) : PZ_OK;
}

static enum pz_status compare_sound(struct pz_qc *qc, const char *source, const char *output,
                                    const struct pz_film_info *made, const struct pz_out_frame *frames,
                                    int64_t n, const struct pz_job *job)
{
    enum pz_status st = PZ_OK;
    struct pz_sound *a = NULL, *b = NULL;
    int64_t len = WINDOW + 2 * MAX_LAG, last_out = -1;
    int used = 0;
    float *x = pz_calloc((size_t)len, 2 * sizeof *x), *y = x ? x + len : NULL;
    st = x ? PZ_OK : PZ_ERR_NOMEM;
    PZ_TRY(st);
    PZ_TRY(pz_sound_open(source, RATE, 1, job, &a));
    PZ_TRY(pz_sound_open(output, RATE, 1, job, &b));
    int64_t step = n / 24 + 1;
    for (int64_t i = step / 2; i < n && i < made->n_frames && used < MAX_WINDOWS; i += step) {
        if (last_out >= 0 && i - last_out < n / (MAX_WINDOWS + 1))
            continue;
        if (!clear_of_touched(qc->info, frames, n, i))
            continue;
        double ta = pz_seconds(qc->info->frames[frames[i].src].pts, qc->info->time_base);
        double tb = pz_seconds(made->frames[i].pts, made->time_base), peak;
        PZ_TRY(read_window(a, ta, x));
        PZ_TRY(read_window(b, tb, y));
        /* The source is read on its own grid; what the rounding of both centres loses is put back. */
        double lost = (tb * RATE - (double)llround(tb * RATE)) - (ta * RATE - (double)llround(ta * RATE));
        double lag = pz_metric_lag(x, y, len, MAX_LAG, &peak) - lost;
        if (isnan(lag) || peak < 0.8)
            continue;
        double ms = lag * 1000 / RATE;
        if (isnan(qc->av_offset_ms) || fabs(ms) > fabs(qc->av_offset_ms))
            qc->av_offset_ms = ms;
        used++;
        last_out = i;
    }
fail:
    pz_sound_close(&a);
    pz_sound_close(&b);
    pz_free(x);
    return st;
}

enum pz_status pz_qc_finish(struct pz_qc *qc, const char *source, const char *output,
                            const struct pz_out_frame *frames, int64_t n_frames, const struct pz_job *job)
{
    enum pz_status st = PZ_OK;
    struct pz_film_info *made = NULL;
    PZ_TRY(pz_film_info_read(output, job, &made));
    PZ_TRY(compare_pictures(qc, source, output, made, frames, n_frames, job));
    if (qc->info->has_sound && made->has_sound)
        PZ_TRY(compare_sound(qc, source, output, made, frames, n_frames, job));
fail:
    pz_film_info_free(&made);
    return st;
}

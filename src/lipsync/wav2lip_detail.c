// Texture on a made mouth: likeness maps at the network's size, enlarged, times the fine layers. The header
// of wav2lip_texture.h says what is added where.
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "image/filter.h"
#include "lipsync/wav2lip_texture_impl.h"

#define BEST 3 /* moments that share a mouth */
#define FILM_TOLERANCE 0.04f
#define MOMENT_TOLERANCE 0.06f
#define PAST 0.5f /* weight of the frame before */

struct pz_wav2lip_detail {
    const struct pz_wav2lip_texture *t;
    float *film_map;   /* [size][size] likeness of made and seen, smoothed over frames */
    float *moment_map; /* [size][size] */
    float *scratch;    /* [size][size] */
    float *weight;     /* [n] of the moments, smoothed over frames */
    float *distance;   /* [n] */
    float *film_high;  /* [high] */
    struct pz_wav2lip_high_work work;
    struct pz_enlarge *cubic, *linear; /* whole patches; maps below the first row */
    float *sum_high;                   /* [high] */
    float *large_map;                  /* [high] a map enlarged */
    int last;                          /* index of the frame before; −2 = none */
};

struct pz_wav2lip_detail *pz_wav2lip_detail_create(const struct pz_wav2lip_texture *t)
{
    struct pz_wav2lip_detail *d = pz_calloc(1, sizeof *d);
    size_t n = (size_t)t->size * (size_t)t->size, high = pz_wav2lip_high_floats(t);
    if (!d)
        return NULL;
    d->t = t;
    d->last = -2;
    d->film_map = pz_calloc(n, sizeof *d->film_map);
    d->moment_map = pz_calloc(n, sizeof *d->moment_map);
    d->scratch = pz_calloc(n, sizeof *d->scratch);
    d->weight = pz_calloc((size_t)t->n, sizeof *d->weight);
    d->distance = pz_calloc((size_t)t->n, sizeof *d->distance);
    d->film_high = pz_calloc(high, sizeof *d->film_high);
    d->cubic = pz_enlarge_create(t->size, t->side, 0, true);
    d->linear = pz_enlarge_create(t->size, t->side, t->row, false);
    enum pz_status st = pz_wav2lip_high_open(&d->work, t->size, t->side, t->row);
    d->sum_high = pz_calloc(high, sizeof *d->sum_high);
    d->large_map = pz_calloc(high, sizeof *d->large_map);
    if (!d->film_map || !d->moment_map || !d->scratch || !d->weight || !d->distance || !d->film_high ||
        !d->sum_high || !d->large_map || !d->cubic || !d->linear || st < PZ_OK)
        pz_wav2lip_detail_destroy(&d);
    return d;
}

void pz_wav2lip_detail_destroy(struct pz_wav2lip_detail **dp)
{
    struct pz_wav2lip_detail *d = *dp;
    if (!d)
        return;
    pz_free(d->film_map);
    pz_free(d->moment_map);
    pz_free(d->scratch);
    pz_free(d->weight);
    pz_free(d->distance);
    pz_free(d->film_high);
    pz_free(d->sum_high);
    pz_free(d->large_map);
    pz_wav2lip_high_close(&d->work);
    pz_enlarge_destroy(&d->cubic);
    pz_enlarge_destroy(&d->linear);
    pz_free(d);
    *dp = NULL;
}

/* Mean difference of two pictures' lower halves per channel: a colour cast is no difference in shape. */
static void casts(const float *a, const float *b, int size, float cast[3])
{
    size_t n = (size_t)size * (size_t)size;
    for (size_t k = 0; k < 3; k++) {
        double sum = 0;
        for (size_t i = n / 2; i < n; i++)
            sum += a[k * n + i] - b[k * n + i];
        cast[k] = (float)(sum / (double)(n - n / 2));
    }
}

/* Where two pictures show the same: exp(−(d/tolerance)²) of the blurred difference, lower half. */
static void likeness(struct pz_wav2lip_detail *d, const float *a, const float *b, float tolerance, float *map)
{
    int s = d->t->size;
    size_t n = (size_t)s * (size_t)s;
    float cast[3];
    casts(a, b, s, cast);
    memset(map, 0, n / 2 * sizeof *map);
    for (size_t i = n / 2; i < n; i++) {
        float sum = 0;
        for (size_t k = 0; k < 3; k++)
            sum += fabsf(a[k * n + i] - b[k * n + i] - cast[k]);
        map[i] = sum / 3;
    }
    pz_blur_gaussian(map + n / 2, d->scratch, s, s / 2, 1.5f * (float)s / 96);
    for (size_t i = n / 2; i < n; i++)
        map[i] = expf(-map[i] * map[i] / (tolerance * tolerance));
}

/* How unlike the mouths of `made` and of moment m are: mean squared difference around the mouth without the
 * cast. */
static float unlike(const struct pz_wav2lip_detail *d, const float *made, int m)
{
    int s = d->t->size;
    size_t n = (size_t)s * (size_t)s;
    const float *crop = d->t->crop + (size_t)m * pz_wav2lip_crop_floats(d->t);
    float cast[3], sum = 0;
    int count = 0;
    casts(made, crop, s, cast);
    for (int y = s * 55 / 100; y < s * 95 / 100; y++)
        for (int x = s / 4; x < s * 3 / 4; x++, count++)
            for (size_t k = 0; k < 3; k++) {
                size_t at = k * n + (size_t)y * (size_t)s + (size_t)x;
                float e = made[at] - crop[at] - cast[k];
                sum += e * e;
            }
    return sum / (float)(3 * count);
}

/* Weights of the moments for this mouth: the likest few, the less like the less. */
static void weigh(struct pz_wav2lip_detail *d, const float *made, float past)
{
    int n = d->t->n, order[BEST], kept = 0;
    float total = 0, w[BEST];
    for (int m = 0; m < n; m++) {
        d->distance[m] = unlike(d, made, m);
        int at = kept < BEST ? kept++ : BEST - 1;
        if (at == BEST - 1 && kept == BEST && m >= BEST && d->distance[m] >= d->distance[order[at]])
            continue;
        while (at > 0 && d->distance[order[at - 1]] > d->distance[m]) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = m;
    }
    float least = d->distance[order[0]];
    for (int i = 0; i < kept; i++)
        total += w[i] = expf(-(d->distance[order[i]] - least) / (0.5f * least + 1e-5f));
    for (int m = 0; m < n; m++)
        d->weight[m] *= past;
    for (int i = 0; i < kept; i++)
        d->weight[order[i]] += (1 - past) * w[i] / total;
}

static void add_moments(struct pz_wav2lip_detail *d, const float *made)
{
    const struct pz_wav2lip_texture *t = d->t;
    size_t high = pz_wav2lip_high_floats(t);
    memset(d->sum_high, 0, high * sizeof *d->sum_high);
    for (int m = 0; m < t->n; m++) {
        const float *layer = t->high + (size_t)m * high;
        if (d->weight[m] < 0.01f)
            continue;
        likeness(d, made, t->crop + (size_t)m * pz_wav2lip_crop_floats(t), MOMENT_TOLERANCE, d->moment_map);
        pz_enlarge_run(d->linear, d->moment_map, d->large_map);
        for (size_t i = 0; i < high; i++)
            d->sum_high[i] += d->weight[m] * d->large_map[i] * layer[i];
    }
}

/* The frame's own layer where it agrees, in place of the moments'. */
static void add_film(struct pz_wav2lip_detail *d, const float *made, const float *seen,
                     const struct pz_picture *frame, const struct pz_affine *to_frame, float past)
{
    const struct pz_wav2lip_texture *t = d->t;
    size_t n = (size_t)t->size * (size_t)t->size, high = pz_wav2lip_high_floats(t);
    likeness(d, made, seen, FILM_TOLERANCE, d->moment_map);
    for (size_t i = 0; i < n; i++)
        d->film_map[i] = past * d->film_map[i] + (1 - past) * d->moment_map[i];
    pz_enlarge_run(d->linear, d->film_map, d->large_map);
    pz_wav2lip_high(&d->work, seen, t->size, frame, to_frame, t->side, t->row, d->film_high);
    for (size_t i = 0; i < high; i++)
        d->sum_high[i] += d->large_map[i] * (d->film_high[i] - d->sum_high[i]);
}

void pz_wav2lip_detail_apply(struct pz_wav2lip_detail *d, const float *made, const float *seen,
                             const struct pz_picture *frame, const struct pz_affine *to_frame, int index,
                             float *out)
{
    const struct pz_wav2lip_texture *t = d->t;
    size_t n = (size_t)t->side * (size_t)t->side, first = (size_t)t->row * (size_t)t->side;
    float past = index == d->last + 1 ? PAST : 0;
    for (size_t k = 0; k < 3; k++)
        pz_enlarge_run(d->cubic, made + k * (size_t)t->size * (size_t)t->size, out + k * n);
    d->last = index;
    if (t->side <= t->size)
        return; // nothing was lost
    weigh(d, made, past);
    add_moments(d, made);
    if (frame)
        add_film(d, made, seen, frame, to_frame, past);
    for (size_t k = 0; k < 3; k++)
        for (size_t i = first; i < n; i++)
            out[k * n + i] += d->sum_high[i - first];
}

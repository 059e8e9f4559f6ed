// The networks of phones: what the networks of band_net.h that know phones say of every frame. Where several
// are asked, or one several times with the bands moved as other throats would, their answers are averaged.
// Edges are sounds_settle.c's.
#include "speech/sounds.h"

#include <math.h>

#include "base/mem.h"
#include "speech/band_net.h"

#define HEADS (3 * PZ_PH_COUNT)

/* Edges are asked through the bands of several throats: no voice is one that was taught. */
#define THROATS 5
static const double throats[THROATS] = {1.0, 0.94, 1.06, 0.88, 1.13};

/** Logarithms of probabilities out of the first head, all heads given to AX as well; x [HEADS] in place. */
static void log_softmax(float *x)
{
    float most = x[0];
    double sum = 0.0;

    for (int i = 1; i < PZ_PH_COUNT; i++)
        most = i == PZ_PH_AX ? most : fmaxf(most, x[i]);
    for (int i = 0; i < PZ_PH_COUNT; i++)
        sum += i == PZ_PH_AX ? 0.0 : exp((double)(x[i] - most));
    for (int i = 0; i < PZ_PH_COUNT; i++)
        x[i] -= most + (float)log(sum);
    for (int h = 0; h < 3; h++)
        x[h * PZ_PH_COUNT + PZ_PH_AX] = x[h * PZ_PH_COUNT + PZ_PH_AH];
}

void pz_sounds_free(struct pz_sounds *s)
{
    pz_free(s->values);
    *s = (struct pz_sounds){0};
}

/** What one network hears through one throat's bands is added to `out`. */
static enum pz_status add_view(const struct pz_band_net *net, double warp, struct pz_band_room *r,
                               struct pz_sounds *out)
{
    enum pz_status st = pz_band_net_run(net, warp, r);

    for (int64_t t = 0; t < out->frames && st >= PZ_OK; t++) {
        log_softmax(r->out + t * HEADS);
        for (int i = 0; i < HEADS; i++)
            out->values[t * HEADS + i] += r->out[t * HEADS + i];
    }
    return st;
}

enum pz_status pz_sounds_listen(const float *samples, int64_t n, enum pz_sounds_for what,
                                struct pz_pool *pool, struct pz_sounds *out)
{
    enum pz_status st = PZ_ERR_NOMEM;
    const size_t f = (size_t)(n / PZ_SOUNDS_HOP);
    struct pz_band_room r = {0};
    struct pz_band_net net = {0};
    int views = 0, i = 0;

    *out = (struct pz_sounds){.frames = (int64_t)f, .values = pz_calloc(f * HEADS + 1, sizeof *out->values)};
    if (!out->values)
        goto fail;
    for (;;) {
        PZ_TRY(pz_band_net_next((enum pz_band_net_for)what, &i, &net));
        if (net.width == 0)
            break;
        PZ_TRY(pz_band_room_make(samples, n, &net, pool, &r));
        for (int k = 0; k < (what == PZ_SOUNDS_EDGES ? THROATS : 1); k++, views++)
            PZ_TRY(add_view(&net, throats[k], &r, out));
        pz_band_room_free(&r);
        pz_band_net_free(&net);
    }
    for (size_t k = 0; k < f * HEADS; k++)
        out->values[k] /= (float)views;
    for (size_t t = 0; t < f && views > 1; t++)
        log_softmax(out->values + t * HEADS);
fail:
    pz_band_net_free(&net);
    pz_band_room_free(&r);
    if (st < PZ_OK)
        pz_sounds_free(out);
    return st;
}

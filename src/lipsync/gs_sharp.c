/* The last step of a fit: which frame lends the head its finest detail, and how much of it. Learns nothing
 * else. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "lipsync/gs_skin.h"
#include "lipsync/gs_train.h"

#define SHARP_TARGET 0.8 /* of the film's variance of the Laplacian, part of which is codec noise */
#define LOOKS 150        /* frames looked at */
#define NEAREST 5        /* the sharpest of the nearest 1/5 of them is taken */
#define TURN 0.1f        /* radians of turn that count like one deviation of motion */

static void luma_of(const uint8_t *rgb, int area, float *out)
{
    for (int i = 0; i < area; i++)
        out[i] =
            (0.299f * (float)rgb[i] + 0.587f * (float)rgb[area + i] + 0.114f * (float)rgb[2 * area + i]) /
            255.0f;
}

static void skin_mask(const struct pz_gs_sample *s, int area, float *out)
{
    for (int i = 0; i < area; i++)
        out[i] = s->weight[i] > 0 && s->hole[i] == 0 ? 1.0f : 0.0f;
}

/** How far a frame is from the middle of all. */
static float distance(const struct pz_gs_model *m, const struct pz_gs_sample *s, const float turn[2])
{
    float sum = 0.0f;
    for (int k = 0; k < m->k; k++) {
        const float x = s->tracked_m[k] / m->unit[k];
        sum += x * x / (float)m->k;
    }
    for (int a = 0; a < 2; a++) {
        const float d = (s->tracked.r[a ? 5 : 2] - turn[a]) / TURN;
        sum += d * d;
    }
    return sum;
}

static double detail_energy(const struct pz_gs_model *m, const struct pz_gs_sample *s, struct pz_gs_bench *b)
{
    const int area = m->width * m->height;
    float *luma = b->g_rgb, *tmp = luma + area, *detail = tmp + area, *mask = b->g_back;
    double sum = 0, n = 1;
    luma_of(s->rgb, area, luma);
    skin_mask(s, area, mask);
    pz_gs_detail(luma, tmp, detail, m->width, m->height);
    for (int i = 0; i < area; i++) {
        sum += (double)(mask[i] * detail[i] * detail[i]);
        n += (double)mask[i];
    }
    return sum / n;
}

/** The frame to take the skin from; −1 when there is none. */
static int choose_frame(const struct pz_gs_model *m, const struct pz_gs_samples *all, struct pz_gs_bench *b)
{
    float turn[2] = {0}, far[LOOKS];
    const int step = (all->n + LOOKS - 1) / LOOKS;
    int n = 0, best = -1;
    double most = -1;
    for (int i = 0; i < all->n; i++)
        for (int a = 0; a < 2; a++)
            turn[a] += all->s[i].tracked.r[a ? 5 : 2] / (float)all->n;
    for (int i = 0; i < all->n; i += step)
        far[n++] = all->s[i].held ? INFINITY : distance(m, &all->s[i], turn);
    for (int i = 0; i < n; i++) {
        int nearer = 0;
        for (int j = 0; j < n; j++)
            nearer += far[j] < far[i];
        if (nearer > n / NEAREST || !isfinite(far[i]))
            continue;
        const double e = detail_energy(m, &all->s[i * step], b);
        if (e > most) {
            most = e;
            best = i * step;
        }
    }
    return best;
}

struct sums {
    double film, made, cross, added; /* energies of the Laplacian */
};

/** Of one held-out mouth: what is drawn without the skin, and what the skin adds. */
static void add_sums(const struct pz_gs_model *m, const struct pz_gs_sample *s, struct pz_gs_bench *b,
                     float (*nodes)[2], struct sums *e)
{
    const int w = m->width, area = w * m->height;
    float *made = b->g_rgb, *film = made + area, *own = film + area, *tmp = b->g_back;
    const struct pz_gs_skin_map map = {b->truth, b->truth + area};
    for (int i = 0; i < area; i++)
        made[i] = 0.299f * b->rgb[i] + 0.587f * b->rgb[area + i] + 0.114f * b->rgb[2 * area + i];
    luma_of(s->rgb, area, film);
    pz_gs_detail(made, tmp, own, w, m->height);
    pz_gs_skin_lay(m, &s->tracked, s->tracked_m, nodes, &map);
    for (int i = 0; i < area; i++) {
        const float cover = map.cover[i] * (1.0f - b->hole[i]);
        made[i] -= cover * own[i];
        own[i] = cover * map.detail[i] + (1.0f - cover) * 0.5f * own[i];
    }
    for (int y = s->box[1] + 3; y < s->box[3] - 3; y++)
        for (int x = s->box[0] + 3; x < s->box[2] - 3; x++) {
            double l[3];
            const float *plane[3] = {film, made, own};
            for (int c = 0; c < 3; c++) {
                const float *p = plane[c] + (ptrdiff_t)y * w + x;
                l[c] = (double)(p[-1] + p[1] + p[-w] + p[w] - 4.0f * p[0]);
            }
            e->film += l[0] * l[0];
            e->made += l[1] * l[1];
            e->cross += l[1] * l[2];
            e->added += l[2] * l[2];
        }
}

enum pz_status pz_gs_choose_skin(struct pz_gs_model *m, const struct pz_gs_samples *all,
                                 struct pz_gs_bench *b, struct pz_log *log)
{
    static const float grey[3] = {0.5f, 0.5f, 0.5f};
    enum pz_status st = PZ_OK;
    const int area = m->width * m->height, from = choose_frame(m, all, b);
    struct sums e = {0};
    float(*nodes)[2] = pz_calloc((size_t)m->skin.net.n + 1, sizeof *nodes);
    if (!nodes)
        return PZ_ERR_NOMEM;
    if (from >= 0 && m->skin.net.n > 0) {
        struct pz_splat_camera cam;
        pz_gs_sample_camera(&all->s[from], &cam);
        luma_of(all->s[from].rgb, area, b->truth);
        skin_mask(&all->s[from], area, b->weight);
        PZ_TRY(pz_gs_skin_take(m, b->truth, b->weight, &cam, all->s[from].m));
    }
    for (int i = 0; i < all->n; i++) {
        const struct pz_gs_sample *s = &all->s[i];
        if (s->held && pz_gs_bench_draw(b, m, s, &s->tracked, s->tracked_m, grey) == PZ_OK)
            add_sums(m, s, b, nodes, &e);
    }
    const double root = e.cross * e.cross - e.added * (e.made - SHARP_TARGET * e.film);
    const double share = e.added > 0 && root > 0 ? (sqrt(root) - e.cross) / e.added : 0.0;
    m->crisp = (float)fmin(fmax(share, 0.0), (double)PZ_GS_CRISP_MAX);
    if (e.film > 0)
        pz_info(log,
                "gaussian head: sharpness %.2f of the film without skin, %.2f of it laid on from frame %lld",
                e.made / e.film, (double)m->crisp, from >= 0 ? (long long)all->s[from].frame : -1LL);
fail:
    pz_free(nodes);
    return st;
}

/**
 * Speed of drawing and of gradients, one thread, by instruction set. Times are CPU time of the thread, so
 * that other work on the machine does not count. Floors: spec/gaussian_splatting.md §7, §8 (Zen 4, AVX-512):
 * 8k forward 3.9 ms, 10k forward 4.6 ms; 8k backward 6.1 ms.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/rng.h"
#include "splat/fit.h"

enum { SIDE = 256, REPEATS = 20 };

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

/** Discs that tile the image about as a face does: σ = 0.62 of the spacing. */
static void random_set(struct pz_splat_set *s, int n, int k)
{
    struct pz_rng rng;
    pz_rng_init(&rng, 11, 0);
    if (pz_splat_set_alloc(s, n, k) < PZ_OK)
        exit(5);
    s->n = n;
    const float spacing = 2.0f / sqrtf((float)n);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < pz_splat_planes(s); j++)
            pz_splat_plane(s, j)[i] = 0.01f * pz_rng_normal(&rng);
        for (int j = 0; j < 2; j++)
            pz_splat_plane(s, j)[i] = 2.0f * pz_rng_uniform(&rng) - 1.0f;
        pz_splat_plane(s, PZ_SPLAT_OPACITY)[i] = 0.85f;
        for (int j = 0; j < 3; j++) {
            pz_splat_plane(s, PZ_SPLAT_COLOR + j)[i] = pz_rng_uniform(&rng);
            pz_splat_plane(s, PZ_SPLAT_SCALE + j)[i] = logf((j < 2 ? 0.62f : 0.15f) * spacing);
        }
        pz_splat_plane(s, PZ_SPLAT_ROT)[i] = 1.0f;
    }
}

int main(void)
{
    static const char *const names[] = {"plain C", "AVX2", "AVX-512"};
    const struct pz_splat_camera cam = {{1, 0, 0, 0, 1, 0, 0, 0, 1}, 128.0f, 128.0f, 128.0f};
    float *rgb = pz_calloc(3 * SIDE * SIDE, sizeof(float)), *g = pz_calloc(3 * SIDE * SIDE, sizeof(float));
    float *truth = pz_calloc(3 * SIDE * SIDE, sizeof(float)), *weight = pz_calloc(SIDE * SIDE, sizeof(float));
    const float m[12] = {0.5f, -0.5f, 0.2f};
    for (int i = 0; i < SIDE * SIDE; i++)
        weight[i] = 1.0f;
    for (int n = 6000; n <= 10000; n += 2000)
        for (int rung = PZ_SPLAT_REF; rung <= PZ_SPLAT_AVX512; rung++) {
            if ((int)pz_splat_rung_best((enum pz_splat_rung)rung) != rung)
                continue;
            struct pz_splat_set s;
            struct pz_splat_work *w = NULL;
            struct pz_splat_loss *l = NULL;
            random_set(&s, n, 12);
            float *blended = pz_calloc((size_t)s.cap * PZ_SPLAT_BASE, sizeof(float));
            if (!rgb || !g || !truth || !weight || !blended ||
                pz_splat_work_create(n, SIDE, SIDE, (enum pz_splat_rung)rung, &w) < PZ_OK ||
                pz_splat_loss_create(SIDE, SIDE, (enum pz_splat_rung)rung, &l) < PZ_OK)
                return 5;
            double draw = 0, loss = 0, back = 0;
            for (int q = 0; q < REPEATS; q++) {
                const double t0 = cpu_ms();
                if (pz_splat_draw(w, &s, &cam, m, NULL, rgb, NULL, NULL) < PZ_OK)
                    return 5;
                const double t1 = cpu_ms();
                pz_splat_loss_value(l, rgb, truth, weight, 0.2f, g);
                const double t2 = cpu_ms();
                float gm[12];
                struct pz_splat_gradient out = {.blended = blended, .m = gm};
                pz_splat_gradient(w, &s, &cam, m, NULL, g, NULL, &out);
                draw += t1 - t0;
                loss += t2 - t1;
                back += cpu_ms() - t2;
            }
            printf(
                "%5d gaussians, 12 components, %dx%d, %-7s: draw %.2f ms, loss %.2f ms, gradient %.2f ms\n",
                n, SIDE, SIDE, names[rung], draw / REPEATS, loss / REPEATS, back / REPEATS);
            pz_free(blended);
            pz_splat_loss_destroy(&l);
            pz_splat_work_destroy(&w);
            pz_splat_set_free(&s);
        }
    pz_free(rgb);
    pz_free(g);
    pz_free(truth);
    pz_free(weight);
    return 0;
}

/**
 * Every derivative of the splat maths against central differences, in double: the same lines the float
 * kernels are made of (geometry_body.h), with splat_real = double. Then the float gradient of the library
 * against the double one.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"
#include "splat/kernels.h"

typedef double splat_real;
#define splat_exp exp
#define splat_log log
#define splat_sqrt sqrt
#include "splat/geometry_body.h"

enum { N = 24, CAP = 32, K = 3, W = 32, H = 32, PLANES = 14 + 7 * K };
#define SEED 20261122

struct scene {
    double data[PLANES * CAP], m[K], r[9], scale, tx, ty, bg[3 * W * H], grad[3 * W * H], grad_t[W * H];
};

struct images {
    double rgb[3 * W * H], t[W * H], last[W * H];
    int order[N];
};

struct screen {
    double moved[7 * CAP], x[CAP], y[CAP], a[CAP], b[CAP], c[CAP], alpha[CAP], rx[CAP], ry[CAP], depth[CAP];
};

static void rotation(double out[9], const double w[3])
{
    const double th = sqrt(w[0] * w[0] + w[1] * w[1] + w[2] * w[2]) + 1e-300;
    const double k[3] = {w[0] / th, w[1] / th, w[2] / th}, s = sin(th), c = 1 - cos(th);
    const double kx[9] = {0, -k[2], k[1], k[2], 0, -k[0], -k[1], k[0], 0};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            double sq = 0;
            for (int l = 0; l < 3; l++)
                sq += kx[3 * i + l] * kx[3 * l + j];
            out[3 * i + j] = (i == j) + s * kx[3 * i + j] + c * sq;
        }
}

static void multiply(const double a[9], const double b[9], double out[9])
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            out[3 * i + j] = 0;
            for (int l = 0; l < 3; l++)
                out[3 * i + j] += a[3 * i + l] * b[3 * l + j];
        }
}

static void make_scene(struct scene *s)
{
    struct pz_rng rng;
    pz_rng_init(&rng, SEED, 0);
    memset(s, 0, sizeof(*s));
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < PLANES; j++) {
            double v = 0.2 * (double)pz_rng_normal(&rng);
            if (j == 3)
                v = (double)pz_rng_normal(&rng);
            else if (j >= 4 && j < 7)
                v = (double)pz_rng_uniform(&rng);
            else if (j >= 7 && j < 11)
                v = (double)pz_rng_normal(&rng);
            else if (j >= 11 && j < 14)
                v = -2.3 + 0.5 * (double)pz_rng_normal(&rng);
            s->data[j * CAP + i] = v;
        }
    }
    for (int k = 0; k < K; k++)
        s->m[k] = 0.5 * (double)pz_rng_normal(&rng);
    const double w[3] = {0.2, -0.3, 0.1};
    rotation(s->r, w);
    s->scale = 30;
    s->tx = 15.3;
    s->ty = 16.7;
    for (int i = 0; i < 3 * W * H; i++) {
        s->bg[i] = (double)pz_rng_uniform(&rng);
        s->grad[i] = (double)pz_rng_normal(&rng);
    }
    for (int i = 0; i < W * H; i++)
        s->grad_t[i] = (double)pz_rng_normal(&rng);
}

static void project(const struct scene *s, struct screen *p)
{
    const struct body_screen o = {p->x, p->y, p->a, p->b, p->c, p->alpha, p->rx, p->ry, p->depth};
    body_blend(N, CAP, K, s->data, s->m, p->moved);
    body_project(N, CAP, s->data, p->moved, s->r, s->scale, s->tx, s->ty, &o);
}

static struct body_item item_of(const struct screen *p, int i)
{
    const struct body_item g = {p->x[i],
                                p->y[i],
                                p->a[i],
                                p->b[i],
                                p->c[i],
                                p->alpha[i],
                                {p->moved[4 * CAP + i], p->moved[5 * CAP + i], p->moved[6 * CAP + i]},
                                p->ry[i],
                                i};
    return g;
}

/** L = Σ grad·rgb + Σ grad_t·T, drawn in double without tiles. */
static double loss(const struct scene *s, struct screen *p, struct images *im)
{
    project(s, p);
    for (int i = 0; i < N; i++)
        im->order[i] = i;
    for (int i = 1; i < N; i++)
        for (int j = i; j > 0 && p->depth[im->order[j]] < p->depth[im->order[j - 1]]; j--) {
            const int t = im->order[j];
            im->order[j] = im->order[j - 1];
            im->order[j - 1] = t;
        }
    double sum = 0;
    for (int q = 0; q < W * H; q++) {
        double rgb[3] = {0}, t = 1, last = 0;
        for (int k = 0; k < N; k++) {
            const struct body_item g = item_of(p, im->order[k]);
            if (!body_pixel(&g, q % W + 0.5, q / W + 0.5, &t, rgb, &last, k))
                break;
        }
        t = fabs(t);
        im->t[q] = t;
        im->last[q] = last;
        for (int c = 0; c < 3; c++) {
            im->rgb[c * W * H + q] = rgb[c] + t * s->bg[c * W * H + q];
            sum += s->grad[c * W * H + q] * im->rgb[c * W * H + q];
        }
        sum += s->grad_t[q] * t;
    }
    return sum;
}

struct analytic {
    double blended[14 * CAP], pose[6], m[K];
};

static void analytic_gradient(const struct scene *s, struct screen *p, const struct images *im,
                              struct analytic *out)
{
    static double gs[9 * CAP];
    memset(gs, 0, sizeof(gs));
    memset(out, 0, sizeof(*out));
    double sums[N][9] = {{0}};
    for (int q = 0; q < W * H; q++) {
        double t = im->t[q], dot = s->grad_t[q], g[3];
        for (int c = 0; c < 3; c++) {
            g[c] = s->grad[c * W * H + q];
            dot += g[c] * s->bg[c * W * H + q];
        }
        double behind = t * dot;
        for (int k = (int)im->last[q] - 1; k >= 0; k--) {
            const struct body_item it = item_of(p, im->order[k]);
            body_pixel_back(&it, q % W + 0.5, q / W + 0.5, &t, &behind, g, sums[it.id]);
        }
    }
    for (int i = 0; i < N; i++) {
        for (int c = 0; c < 4; c++)
            gs[c * CAP + i] = sums[i][c];
        gs[4 * CAP + i] = p->a[i] * sums[i][4] + p->b[i] * sums[i][5];
        gs[5 * CAP + i] = p->b[i] * sums[i][4] + p->c[i] * sums[i][5];
        gs[6 * CAP + i] = 0.5 * sums[i][6];
        gs[7 * CAP + i] = sums[i][7];
        gs[8 * CAP + i] = 0.5 * sums[i][8];
    }
    double gq[8] = {0};
    body_project_back(N, CAP, s->data, p->moved, s->r, s->scale, p->a, p->b, p->c, p->alpha, gs, out->blended,
                      gq);
    body_pose_gradient(s->r, s->scale, gq, out->pose);
    for (int k = 0; k < K; k++)
        for (int j = 0; j < 7; j++)
            for (int i = 0; i < N; i++)
                out->m[k] += out->blended[j * CAP + i] * s->data[(14 + 7 * k + j) * CAP + i];
}

/** Central difference of the loss along one parameter, given the two moved scenes. */
static double difference(const struct scene *plus, const struct scene *minus, double h)
{
    static struct screen p;
    static struct images im;
    const double a = loss(plus, &p, &im);
    return (a - loss(minus, &p, &im)) / (2 * h);
}

struct error {
    double diff2, norm2, max;
};

static void compare(struct error *e, double want, double got)
{
    e->diff2 += (want - got) * (want - got);
    e->norm2 += want * want;
}

static void test_gradients_in_double(void **state)
{
    (void)state;
    printf("seed %d\n", SEED);
    static struct scene s, plus, minus;
    static struct screen p;
    static struct images im;
    static struct analytic an;
    make_scene(&s);
    loss(&s, &p, &im);
    analytic_gradient(&s, &p, &im, &an);
    const double h = 1e-6;
    static const char *const names[] = {"position", "opacity", "colour", "rotation", "scale"};
    static const int first[] = {0, 3, 4, 7, 11, 14};
    for (int group = 0; group < 5; group++) {
        struct error e = {0}, moving = {0};
        for (int j = first[group]; j < first[group + 1]; j++)
            for (int i = 0; i < N; i++) {
                plus = s;
                minus = s;
                plus.data[j * CAP + i] += h;
                minus.data[j * CAP + i] -= h;
                compare(&e, difference(&plus, &minus, h), an.blended[j * CAP + i]);
                if (j >= 7)
                    continue;
                for (int k = 0; k < K; k++) {
                    const int at = (14 + 7 * k + j) * CAP + i;
                    plus = s;
                    minus = s;
                    plus.data[at] += h;
                    minus.data[at] -= h;
                    compare(&moving, difference(&plus, &minus, h), s.m[k] * an.blended[j * CAP + i]);
                }
            }
        printf("%-9s rel L2 %.2e\n", names[group], sqrt(e.diff2 / e.norm2));
        assert_true(e.norm2 > 0 && sqrt(e.diff2 / e.norm2) < 1e-6);
        if (group < 3) {
            printf("%-9s motion components rel L2 %.2e\n", names[group], sqrt(moving.diff2 / moving.norm2));
            assert_true(moving.norm2 > 0 && sqrt(moving.diff2 / moving.norm2) < 1e-6);
        }
    }
    struct error em = {0}, ep = {0};
    const double hp = 1e-8; /* thresholds move with everything at once: a small step meets few of them */
    for (int k = 0; k < K; k++) {
        plus = s;
        minus = s;
        plus.m[k] += hp;
        minus.m[k] -= hp;
        compare(&em, difference(&plus, &minus, hp), an.m[k]);
    }
    for (int j = 0; j < 6; j++) {
        plus = s;
        minus = s;
        double w[3] = {0}, d[9];
        if (j < 3) {
            w[j] = hp;
            rotation(d, w);
            multiply(d, s.r, plus.r);
            w[j] = -hp;
            rotation(d, w);
            multiply(d, s.r, minus.r);
        } else if (j == 3) {
            plus.scale *= exp(hp);
            minus.scale *= exp(-hp);
        } else if (j == 4) {
            plus.tx += hp;
            minus.tx -= hp;
        } else {
            plus.ty += hp;
            minus.ty -= hp;
        }
        compare(&ep, difference(&plus, &minus, hp), an.pose[j]);
    }
    printf("motion    rel L2 %.2e\npose      rel L2 %.2e\n", sqrt(em.diff2 / em.norm2),
           sqrt(ep.diff2 / ep.norm2));
    assert_true(em.norm2 > 0 && sqrt(em.diff2 / em.norm2) < 1e-6);
    assert_true(ep.norm2 > 0 && sqrt(ep.diff2 / ep.norm2) < 1e-6);
}

/** The library's float gradient, tiles and all, against the double one. */
static void library_rung(enum pz_splat_rung rung)
{
    static struct scene s;
    static struct screen p;
    static struct images im;
    static struct analytic an;
    make_scene(&s);
    struct pz_splat_set set;
    assert_int_equal(pz_splat_set_alloc(&set, CAP, K), PZ_OK);
    set.n = N;
    for (int j = 0; j < PLANES * CAP; j++) {
        set.data[j] = (float)s.data[j];
        s.data[j] = (double)set.data[j];
    }
    struct pz_splat_camera cam = {.scale = (float)s.scale, .tx = (float)s.tx, .ty = (float)s.ty};
    float m[K], gm[K], *blended = calloc(14 * CAP, 4), *screen = calloc(CAP, 4);
    static float bg[3 * W * H], g[3 * W * H], gt[W * H], rgb[3 * W * H], t[W * H], gbg[3 * W * H];
    for (int j = 0; j < 9; j++)
        s.r[j] = (double)(cam.r[j] = (float)s.r[j]);
    for (int k = 0; k < K; k++)
        s.m[k] = (double)(m[k] = (float)s.m[k]);
    s.scale = (double)cam.scale;
    s.tx = (double)cam.tx;
    s.ty = (double)cam.ty;
    for (int j = 0; j < 3 * W * H; j++) {
        s.bg[j] = (double)(bg[j] = (float)s.bg[j]);
        s.grad[j] = (double)(g[j] = (float)s.grad[j]);
    }
    for (int j = 0; j < W * H; j++)
        s.grad_t[j] = (double)(gt[j] = (float)s.grad_t[j]);
    loss(&s, &p, &im);
    analytic_gradient(&s, &p, &im, &an);
    struct pz_splat_work *w = NULL;
    assert_int_equal(pz_splat_work_create(CAP, W, H, rung, &w), PZ_OK);
    assert_int_equal(pz_splat_draw(w, &set, &cam, m, bg, rgb, t, NULL), PZ_OK);
    struct error pic = {0}, e = {0}, em = {0}, ep = {0};
    for (int j = 0; j < 3 * W * H; j++)
        compare(&pic, im.rgb[j], (double)rgb[j]);
    for (int j = 0; j < W * H; j++)
        compare(&pic, im.t[j], (double)t[j]);
    struct pz_splat_gradient out = {.blended = blended, .m = gm, .bg = gbg, .screen = screen};
    pz_splat_gradient(w, &set, &cam, m, bg, g, gt, &out);
    for (int j = 0; j < 14; j++)
        for (int i = 0; i < N; i++)
            compare(&e, an.blended[j * CAP + i], (double)blended[j * CAP + i]);
    for (int k = 0; k < K; k++)
        compare(&em, an.m[k], (double)gm[k]);
    for (int j = 0; j < 6; j++)
        compare(&ep, an.pose[j], (double)out.pose[j]);
    for (int j = 0; j < 3 * W * H; j++)
        assert_true(fabs((double)gbg[j] - im.t[j % (W * H)] * s.grad[j]) < 1e-3);
    printf("rung %d: picture %.2e, gradient %.2e, motion %.2e, pose %.2e\n", (int)rung,
           sqrt(pic.diff2 / pic.norm2), sqrt(e.diff2 / e.norm2), sqrt(em.diff2 / em.norm2),
           sqrt(ep.diff2 / ep.norm2));
    assert_true(sqrt(pic.diff2 / pic.norm2) < 1e-4);
    assert_true(sqrt(e.diff2 / e.norm2) < 1e-3);
    assert_true(sqrt(em.diff2 / em.norm2) < 1e-3);
    assert_true(sqrt(ep.diff2 / ep.norm2) < 1e-3);
    pz_splat_work_destroy(&w);
    pz_splat_set_free(&set);
    free(blended);
    free(screen);
}

static void test_library_agrees(void **state)
{
    (void)state;
    for (int rung = PZ_SPLAT_REF; rung <= PZ_SPLAT_AVX512; rung++) {
        if ((int)pz_splat_rung_best((enum pz_splat_rung)rung) == rung)
            library_rung((enum pz_splat_rung)rung);
        else
            printf("rung %d: not on this processor\n", rung);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_in_double),
        cmocka_unit_test(test_library_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

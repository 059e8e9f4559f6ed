// Mixed-radix (4, 2, 3, 5) complex transform, Stockham's self-sorting form, vectors over independent frames,
// and the split of two real frames from one complex transform. No inverse: nobody needs one here (fft.c has
// one for powers of two). Source: Cochran et al. 1967 (autosort); Van Loan, Computational Frameworks for the
// FFT, 1992, §1.7, §2.4, §4.3.
#include "audio/dft.h"

#include <math.h>
#include <stdbool.h>

#include "base/mem.h"

typedef double vec __attribute__((vector_size(PZ_DFT_LANES * sizeof(double))));

struct cpx {
    vec re, im;
};

struct pz_dft {
    int n, n_factors;
    int factor[16];
    double *root; /* [n][2] e^(−2πik/n) */
};

struct pz_dft *pz_dft_create(int n)
{
    static const int radix[] = {4, 2, 3, 5};
    struct pz_dft *d;
    int rest = n;

    if (n < 2 || n > 8192)
        return NULL;
    d = pz_calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->n = n;
    for (size_t r = 0; r < sizeof radix / sizeof radix[0]; r++)
        for (; rest % radix[r] == 0; rest /= radix[r])
            d->factor[d->n_factors++] = radix[r];
    if (rest == 1)
        d->root = pz_calloc((size_t)n, 2 * sizeof *d->root);
    if (!d->root) {
        pz_dft_destroy(&d);
        return NULL;
    }
    for (int k = 0; k < n; k++) {
        d->root[2 * k] = cos(2.0 * M_PI * k / n);
        d->root[2 * k + 1] = -sin(2.0 * M_PI * k / n);
    }
    return d;
}

void pz_dft_destroy(struct pz_dft **d)
{
    if (!*d)
        return;
    pz_free((*d)->root);
    pz_free(*d);
    *d = NULL;
}

size_t pz_dft_work(const struct pz_dft *d)
{
    return (size_t)d->n * 2 * PZ_DFT_LANES;
}

static inline struct cpx add(struct cpx a, struct cpx b)
{
    return (struct cpx){a.re + b.re, a.im + b.im};
}

static inline struct cpx sub(struct cpx a, struct cpx b)
{
    return (struct cpx){a.re - b.re, a.im - b.im};
}

/* −i·a */
static inline struct cpx turn(struct cpx a)
{
    return (struct cpx){a.im, -a.re};
}

static inline struct cpx scale(struct cpx a, double s)
{
    return (struct cpx){a.re * s, a.im * s};
}

static inline struct cpx times(struct cpx a, const double w[2])
{
    return (struct cpx){a.re * w[0] - a.im * w[1], a.re * w[1] + a.im * w[0]};
}

static inline void butterfly2(struct cpx *u)
{
    struct cpx a = u[0];
    u[0] = add(a, u[1]);
    u[1] = sub(a, u[1]);
}

static inline void butterfly3(struct cpx *u)
{
    const double h = 0.86602540378443864676; // sin 2π/3
    struct cpx s = add(u[1], u[2]), t = scale(turn(sub(u[1], u[2])), h), m = sub(u[0], scale(s, 0.5));
    u[0] = add(u[0], s);
    u[1] = add(m, t);
    u[2] = sub(m, t);
}

static inline void butterfly4(struct cpx *u)
{
    struct cpx a = add(u[0], u[2]), b = sub(u[0], u[2]), c = add(u[1], u[3]), d = turn(sub(u[1], u[3]));
    u[0] = add(a, c);
    u[1] = add(b, d);
    u[2] = sub(a, c);
    u[3] = sub(b, d);
}

static inline void butterfly5(struct cpx *u)
{
    const double c1 = 0.30901699437494742410, c2 = -0.80901699437494742410; // cos 2π/5, cos 4π/5
    const double s1 = 0.95105651629515357212, s2 = 0.58778525229247312917;  // sin 2π/5, sin 4π/5
    struct cpx p = add(u[1], u[4]), q = add(u[2], u[3]), r = turn(sub(u[1], u[4])), t = turn(sub(u[2], u[3]));
    struct cpx a = add(u[0], add(scale(p, c1), scale(q, c2))), b = add(u[0], add(scale(p, c2), scale(q, c1)));
    struct cpx e = add(scale(r, s1), scale(t, s2)), f = sub(scale(r, s2), scale(t, s1));
    u[0] = add(u[0], add(p, q));
    u[1] = add(a, e);
    u[2] = add(b, f);
    u[3] = sub(b, f);
    u[4] = sub(a, e);
}

/* One pass: transforms of length `n` (`s` of them, interleaved) into p·s of length n/p. Inlined for each p,
 * so that the loops over p unroll. */
static inline __attribute__((always_inline)) void pass(const struct pz_dft *d, int p, int n, int s,
                                                       const struct cpx *x, struct cpx *y)
{
    int m = n / p;
    for (int k = 0; k < m; k++) {
        const double *w[5] = {d->root};
        for (int j = 1; j < p; j++)
            w[j] = d->root + 2 * (size_t)(j * k) * (size_t)s; // e^(−2πijk/n), and N = n·s
        for (int q = 0; q < s; q++) {
            struct cpx u[5];
            for (int i = 0; i < p; i++)
                u[i] = x[q + s * (k + m * i)];
            if (p == 2)
                butterfly2(u);
            else if (p == 3)
                butterfly3(u);
            else if (p == 4)
                butterfly4(u);
            else
                butterfly5(u);
            y[q + s * p * k] = u[0];
            for (int j = 1; j < p; j++)
                y[q + s * (p * k + j)] = times(u[j], w[j]);
        }
    }
}

void pz_dft_real(const struct pz_dft *d, double *work, double *other, double *re, double *im)
{
    struct cpx *x = (struct cpx *)(void *)work, *y = (struct cpx *)(void *)other;
    int n = d->n, s = 1;
    for (int f = 0; f < d->n_factors; f++) {
        int p = d->factor[f];
        if (p == 2)
            pass(d, 2, n, s, x, y);
        else if (p == 3)
            pass(d, 3, n, s, x, y);
        else if (p == 4)
            pass(d, 4, n, s, x, y);
        else
            pass(d, 5, n, s, x, y);
        struct cpx *t = x;
        x = y;
        y = t;
        n /= p;
        s *= p;
    }
    for (int k = 0; k <= d->n / 2; k++) {
        struct cpx a = x[k], b = x[k ? d->n - k : 0];
        vec *r = (vec *)(void *)(re + (size_t)k * PZ_DFT_FRAMES),
            *i = (vec *)(void *)(im + (size_t)k * PZ_DFT_FRAMES);
        // The frame in the real part is the even half of the spectrum, the one in the imaginary part the odd
        // one.
        r[0] = 0.5 * (a.re + b.re);
        i[0] = 0.5 * (a.im - b.im);
        r[1] = 0.5 * (a.im + b.im);
        i[1] = 0.5 * (b.re - a.re);
    }
}

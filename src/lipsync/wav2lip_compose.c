// Bending and mixing the speaker's moments. Sampling is Catmull-Rom with the four channels of a pixel in one
// vector, which plain C targets lower by themselves; where the processor has AVX2, the four pixels of a row
// are read at once. What is coarse is mixed as the network says; what is fine comes from one of the two
// moments, but for a narrow band between them: the mean of two pictures is softer than either.
#include "lipsync/wav2lip_compose.h"

#include <math.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/mem.h"
#include "nn/wav2lip_bend.h"

#define SIZE PZ_W2L_BEND_SIZE
#define N_ASKED 10 /* values a pixel needs: flow 4, look 5, opacity */
#define ROWS 16    /* of a task */
#define NOTHING (1.0f / 512)
#define CHOICE 5.0f /* how much steeper the share of fine things is than that of coarse ones */
#define PALEST 0.5f /* of a pixel's colour that paint leaves: about what teeth have of the skin's */

typedef float v4 __attribute__((vector_size(16)));
typedef uint8_t b4 __attribute__((vector_size(4)));
typedef uint16_t h4 __attribute__((vector_size(8)));

/* Where a pixel of the patch lies between two of the crop. */
struct lie {
    int at[2];
    float t;
};

struct pz_wav2lip_compose {
    int side;
    struct lie *lie;        /* [side] */
    float *asked;           /* [128][128][N_ASKED] */
    bool reached[SIZE + 1]; /* rows of the crop where opacity is not 0 */
    const uint8_t *fine[2];
    uint16_t *half[2];        /* [side / 2][side / 2][4] what is coarse in them, times 4 */
    struct pz_affine turn[2]; /* in px of the patch */
    float *rgb, *large;
    bool quick; /* AVX2 and FMA are there */
};

struct pz_wav2lip_compose *pz_wav2lip_compose_create(int side)
{
    struct pz_wav2lip_compose *c = pz_calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->side = side;
#if defined(__x86_64__)
    c->quick = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    c->lie = pz_calloc((size_t)side, sizeof *c->lie);
    c->asked = pz_calloc((size_t)SIZE * SIZE, N_ASKED * sizeof *c->asked);
    for (int k = 0; k < 2; k++)
        c->half[k] = pz_calloc((size_t)(side / 2) * (size_t)(side / 2) + 1, 4 * sizeof *c->half[k]);
    if (!c->lie || !c->asked || !c->half[0] || !c->half[1]) {
        pz_wav2lip_compose_destroy(&c);
        return NULL;
    }
    for (int i = 0; i < side; i++) {
        float x = ((float)i + 0.5f) * SIZE / (float)side - 0.5f;
        x = fminf(fmaxf(x, 0), SIZE - 1);
        int k = (int)x;
        c->lie[i] = (struct lie){{k, k + 1 < SIZE ? k + 1 : k}, x - (float)k};
    }
    return c;
}

void pz_wav2lip_compose_destroy(struct pz_wav2lip_compose **c)
{
    if (!*c)
        return;
    pz_free((*c)->lie);
    pz_free((*c)->asked);
    pz_free((*c)->half[0]);
    pz_free((*c)->half[1]);
    pz_free(*c);
    *c = NULL;
}

static inline v4 weights(float t)
{
    const v4 c0 = {0, 1, 0, 0}, c1 = {-0.5f, 0, 0.5f, 0}, c2 = {1, -2.5f, 2, -0.5f},
             c3 = {-0.5f, 1.5f, -1.5f, 0.5f};
    return c0 + t * (c1 + t * (c2 + t * c3));
}

static inline int held(int i, int n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

static inline v4 pixel(const uint8_t *p, size_t at)
{
    b4 b;
    memcpy(&b, p + at * 4, 4);
    return __builtin_convertvector(b, v4);
}

#if defined(__x86_64__)
/* The inner case of fetch(): 4 × 4 pixels from `p` on. */
__attribute__((target("avx2,fma"))) static v4 fetch_block(const uint8_t *p, size_t row, v4 wx, v4 wy)
{
    const __m256 w01 = _mm256_permutevar8x32_ps(_mm256_castps128_ps256((__m128)wx),
                                                _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1)),
                 w23 = _mm256_permutevar8x32_ps(_mm256_castps128_ps256((__m128)wx),
                                                _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3));
    __m256 sum = _mm256_setzero_ps();
    for (int j = 0; j < 4; j++, p += row) {
        __m128i b = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m256 left = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(b)),
               right = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(b, 8)));
        sum = _mm256_fmadd_ps(_mm256_set1_ps(wy[j]), _mm256_fmadd_ps(w23, right, _mm256_mul_ps(w01, left)),
                              sum);
    }
    return (v4)_mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
}
#endif

/* Colour (0 … 255) of a moment at (x, y) in px, centres at +½; edges are repeated. `quick`: the processor has
 * AVX2 and FMA. */
static v4 fetch(const uint8_t *p, int side, float x, float y, bool quick)
{
    float last = (float)side;
    // Written so that NaN, which a broken file could bring, becomes 0.
    x = x > 0 ? x < last ? x : last : 0;
    y = y > 0 ? y < last ? y : last : 0;
    int ix = (int)(x + 0.5f) - 2, iy = (int)(y + 0.5f) - 2; // of the first of four pixels
    v4 wx = weights(x - 1.5f - (float)ix), wy = weights(y - 1.5f - (float)iy), sum = {0, 0, 0, 0};
    bool inner = ix >= 0 && iy >= 0 && ix + 4 <= side && iy + 4 <= side;
#if defined(__x86_64__)
    if (inner && quick)
        return fetch_block(p + ((size_t)iy * (size_t)side + (size_t)ix) * 4, (size_t)side * 4, wx, wy);
#endif
    for (int j = 0; j < 4; j++) {
        size_t row = (size_t)held(iy + j, side) * (size_t)side;
        v4 r = {0, 0, 0, 0};
        for (int i = 0; i < 4; i++)
            r += wx[i] * pixel(p, row + (size_t)(inner ? ix + i : held(ix + i, side)));
        sum += wy[j] * r;
    }
    return sum;
}

static inline v4 pixel4(const uint16_t *p, size_t at)
{
    h4 h;
    memcpy(&h, p + at * 4, 8);
    return __builtin_convertvector(h, v4);
}

/* What is coarse in a moment at (x, y), px of the fine picture: bilinear in the half. */
static v4 fetch_coarse(const uint16_t *p, int side, float x, float y)
{
    float last = (float)(side - 1);
    x = 0.5f * x - 0.5f;
    y = 0.5f * y - 0.5f;
    x = x > 0 ? x < last ? x : last : 0;
    y = y > 0 ? y < last ? y : last : 0;
    int ix = (int)x, iy = (int)y;
    size_t row = (size_t)iy * (size_t)side, below = iy + 1 < side ? row + (size_t)side : row,
           right = ix + 1 < side ? 1 : 0;
    float tx = x - (float)ix, ty = y - (float)iy;
    v4 a = pixel4(p, row + (size_t)ix), b = pixel4(p, row + (size_t)ix + right),
       d = pixel4(p, below + (size_t)ix), e = pixel4(p, below + (size_t)ix + right);
    a += tx * (b - a);
    d += tx * (e - d);
    return 0.25f * (a + ty * (d - a));
}

static inline v4 moment(const struct pz_wav2lip_compose *c, int k, float x, float y, bool coarse)
{
    const struct pz_affine *m = &c->turn[k];
    float u = m->a * x + m->b * y + m->c, v = m->d * x + m->e * y + m->f;
    return coarse ? fetch_coarse(c->half[k], c->side / 2, u, v) : fetch(c->fine[k], c->side, u, v, c->quick);
}

/* Both moments, where a pixel asks for them: mixed by `soft` in what is coarse, hardly mixed in what is fine.
 */
static inline v4 mixed(const struct pz_wav2lip_compose *c, const float rest[2], const float open[2],
                       float soft)
{
    float hard = fminf(fmaxf((soft - 0.5f) * CHOICE + 0.5f, 0), 1), rise = soft - hard;
    v4 made = {0, 0, 0, 0};
    if (hard < 1 - NOTHING)
        made = moment(c, 0, rest[0], rest[1], false);
    if (hard > NOTHING) {
        v4 o = moment(c, 1, open[0], open[1], false);
        made = hard < 1 - NOTHING ? made + hard * (o - made) : o;
    }
    if (fabsf(rise) > NOTHING)
        made += rise * (moment(c, 1, open[0], open[1], true) - moment(c, 0, rest[0], rest[1], true));
    return made;
}

static inline float luma(v4 c)
{
    return 0.299f * c[0] + 0.587f * c[1] + 0.114f * c[2];
}

/* Paint on a pixel of a moment. The network has learned mouths of rendered heads, whose teeth are neutral; on
 * a real mouth it goes past neutral, into green. So lightness is taken as painted; of the colour only how
 * pale it makes the film's own, within bounds. */
static v4 painted(v4 own, v4 paint, float share)
{
    v4 p = own + share * (paint - own);
    float y = luma(p);
    v4 c = own - luma(own), d = p - y;
    float left =
        (c[0] * d[0] + c[1] * d[1] + c[2] * d[2] + 1) / (c[0] * c[0] + c[1] * c[1] + c[2] * c[2] + 1);
    return y + fminf(fmaxf(left, PALEST), 1) * c;
}

/* Everything the network and the mask say about a pixel, between the crop's. */
static inline void ask(const struct pz_wav2lip_compose *c, int x, int y, float out[N_ASKED])
{
    const struct lie *u = &c->lie[x], *v = &c->lie[y];
    const float *top = c->asked + (size_t)v->at[0] * SIZE * N_ASKED,
                *low = c->asked + (size_t)v->at[1] * SIZE * N_ASKED;
    const float *a = top + u->at[0] * N_ASKED, *b = top + u->at[1] * N_ASKED, *d = low + u->at[0] * N_ASKED,
                *e = low + u->at[1] * N_ASKED;
    for (int k = 0; k < N_ASKED; k++) {
        float p = a[k] + u->t * (b[k] - a[k]), q = d[k] + u->t * (e[k] - d[k]);
        out[k] = p + v->t * (q - p);
    }
}

static void pixel_of(struct pz_wav2lip_compose *c, int x, int y)
{
    int side = c->side;
    size_t n = (size_t)side * (size_t)side, at = (size_t)y * (size_t)side + (size_t)x;
    float s[N_ASKED], px = PZ_W2L_BEND_FLOW * (float)side / SIZE;
    ask(c, x, y, s);
    c->large[at] = s[9];
    if (!(s[9] > 0))
        return;
    float cx = (float)x + 0.5f, cy = (float)y + 0.5f;
    v4 paint = {s[6] * 255, s[7] * 255, s[8] * 255, 0},
       made = mixed(c, (const float[2]){cx + px * s[0], cy + px * s[1]},
                    (const float[2]){cx + px * s[2], cy + px * s[3]}, s[4]);
    if (s[5] > NOTHING)
        made = painted(made, paint, s[5]);
    for (size_t k = 0; k < 3; k++)
        c->rgb[k * n + at] = fminf(fmaxf(made[k] * (1.0f / 255), 0), 1);
}

/* Rows of both halves. */
static void halve(void *user, int index, int worker)
{
    struct pz_wav2lip_compose *c = user;
    size_t h = (size_t)c->side / 2, first = (size_t)index * ROWS, last = first + ROWS < h ? first + ROWS : h;
    (void)worker;
    for (int k = 0; k < 2; k++)
        for (size_t y = first; y < last; y++) {
            const uint8_t *a = c->fine[k] + 2 * y * (size_t)c->side * 4, *b = a + (size_t)c->side * 4;
            uint16_t *out = c->half[k] + y * h * 4;
            for (size_t x = 0; x < h; x++)
                for (size_t i = 0; i < 4; i++)
                    out[4 * x + i] =
                        (uint16_t)(a[8 * x + i] + a[8 * x + 4 + i] + b[8 * x + i] + b[8 * x + 4 + i]);
        }
}

static void rows(void *user, int index, int worker)
{
    struct pz_wav2lip_compose *c = user;
    int first = index * ROWS, last = first + ROWS < c->side ? first + ROWS : c->side;
    for (int y = first; y < last; y++) {
        const struct lie *v = &c->lie[y];
        if (!c->reached[v->at[0]] && !c->reached[v->at[1]])
            memset(c->large + (size_t)y * (size_t)c->side, 0, (size_t)c->side * sizeof *c->large);
        else
            for (int x = 0; x < c->side; x++)
                pixel_of(c, x, y);
    }
}

void pz_wav2lip_compose_run(struct pz_wav2lip_compose *c, const float *flow, const float *look,
                            const struct pz_affine turn[2], const uint8_t *const fine[2], const float *alpha,
                            struct pz_pool *pool, float *rgb, float *large)
{
    for (int k = 0; k < 2; k++) {
        c->turn[k] = turn[k];
        c->turn[k].c *= (float)c->side / SIZE;
        c->turn[k].f *= (float)c->side / SIZE;
    }
    for (int y = 0; y < SIZE; y++) {
        c->reached[y] = false;
        for (int x = 0; x < SIZE; x++) {
            size_t i = (size_t)(y * SIZE + x);
            float *s = c->asked + i * N_ASKED;
            memcpy(s, flow + i * 4, 4 * sizeof *s);
            const float *square =
                look + ((size_t)(y / 2) * (SIZE / 2) + (size_t)(x / 2)) * 20 + (y % 2) * 2 + x % 2;
            for (int k = 0; k < 5; k++)
                s[4 + k] = square[4 * k];
            s[9] = alpha[i];
            c->reached[y] |= alpha[i] > 0;
        }
    }
    c->fine[0] = fine[0];
    c->fine[1] = fine[1];
    c->rgb = rgb;
    c->large = large;
    pz_pool_run(pool, halve, c, (c->side / 2 + ROWS - 1) / ROWS);
    pz_pool_run(pool, rows, c, (c->side + ROWS - 1) / ROWS);
}

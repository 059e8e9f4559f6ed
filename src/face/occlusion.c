/*
 * Something before the mouth (a hand, a cup, a microphone), from the colours of 32 places of skin around it.
 *
 * Each place has a usual colour (median over the film) and a usual spread (quartiles): an outlier in luma or
 * chroma is unusual, many at once mean that something covers them. Light that changes on the whole face goes
 * out by measuring luma against the upper face. It does not see what always is there (a beard, a microphone
 * in every frame), nor a cover of the very colour and shade of the skin.
 */
#include "face/occlusion.h"

#include <stdlib.h>

#include "base/mem.h"

#define ENOUGH 20
#define SPREADS 4.5f      /* robust standard deviations that are still usual */
#define LUMA_FLOOR 24.0f  /* code values: noise, talking muscles, stubble in motion */
#define CHROMA_FLOOR 7.0f /* code values */

/* Skin between nose and chin that stays skin while the mouth moves; numbers of MediaPipe's face mesh. */
static const int place[PZ_FACE_LOOKS] = {164, 18,  200, 199, 165, 391, 92,  322, 186, 410, 83,
                                         313, 182, 406, 106, 335, 43,  273, 57,  287, 204, 424,
                                         201, 421, 202, 422, 205, 425, 206, 426, 203, 423};
static const int upper[] = {6, 197, 195, 9, 151, 108, 337};

struct pz_face_usual {
    uint32_t count[PZ_FACE_LOOKS][3][256];
    float median[PZ_FACE_LOOKS][3], limit[PZ_FACE_LOOKS][3];
    uint32_t n;
};

static int clamp(int v, int hi)
{
    return v < 0 ? 0 : v > hi ? hi : v;
}

/* Mean of 3 × 3 samples of a plane around a place, at the plane's own resolution (`half`: chroma). */
static int sample(const struct pz_picture *pic, int plane, const float *p, bool half)
{
    int w = half ? (pic->width + 1) / 2 : pic->width, h = half ? (pic->height + 1) / 2 : pic->height;
    float limit = 2.0f * PZ_PICTURE_MAX_SIDE; /* keeps the conversion defined */
    float px = p[0] > -limit && p[0] < limit ? p[0] : 0, py = p[1] > -limit && p[1] < limit ? p[1] : 0;
    int x = (int)(half ? px / 2 : px), y = (int)(half ? py / 2 : py), sum = 0;
    for (int j = -1; j <= 1; j++)
        for (int i = -1; i <= 1; i++)
            sum += pic->plane[plane][(size_t)clamp(y + j, h - 1) * (size_t)pic->stride[plane] +
                                     (size_t)clamp(x + i, w - 1)];
    return (sum + 4) / 9;
}

void pz_face_look_take(const struct pz_picture *pic, const float (*xyz)[3], struct pz_face_look *look)
{
    const int n_upper = (int)(sizeof upper / sizeof upper[0]);
    int reference = 0;
    for (int i = 0; i < n_upper; i++)
        reference += sample(pic, 0, xyz[upper[i]], false);
    reference /= n_upper;
    for (int i = 0; i < PZ_FACE_LOOKS; i++) {
        const float *p = xyz[place[i]];
        look->at[i][0] = (uint8_t)clamp(sample(pic, 0, p, false) - reference + 128, 255);
        look->at[i][1] = (uint8_t)sample(pic, 1, p, true);
        look->at[i][2] = (uint8_t)sample(pic, 2, p, true);
    }
}

struct pz_face_usual *pz_face_usual_create(void)
{
    return pz_calloc(1, sizeof(struct pz_face_usual));
}

void pz_face_usual_destroy(struct pz_face_usual **u)
{
    pz_free(*u);
    *u = NULL;
}

void pz_face_usual_add(struct pz_face_usual *u, const struct pz_face_look *look)
{
    for (int i = 0; i < PZ_FACE_LOOKS; i++)
        for (int c = 0; c < 3; c++)
            u->count[i][c][look->at[i][c]]++;
    u->n++;
}

/* Value below which `share` of a histogram lies. */
static float quantile(const uint32_t count[256], uint32_t n, double share)
{
    double want = share * (double)n, seen = 0;
    for (int v = 0; v < 256; v++) {
        seen += count[v];
        if (seen >= want)
            return (float)v;
    }
    return 255;
}

void pz_face_usual_finish(struct pz_face_usual *u)
{
    for (int i = 0; i < PZ_FACE_LOOKS; i++)
        for (int c = 0; c < 3; c++) {
            float spread =
                (quantile(u->count[i][c], u->n, 0.75) - quantile(u->count[i][c], u->n, 0.25)) / 1.35f;
            float least = c ? CHROMA_FLOOR : LUMA_FLOOR;
            u->median[i][c] = quantile(u->count[i][c], u->n, 0.5);
            u->limit[i][c] = SPREADS * spread > least ? SPREADS * spread : least;
        }
}

float pz_face_usual_covered(const struct pz_face_usual *u, const struct pz_face_look *look)
{
    int unusual = 0;
    if (u->n < ENOUGH)
        return 0;
    for (int i = 0; i < PZ_FACE_LOOKS; i++) {
        bool odd = false;
        for (int c = 0; c < 3; c++) {
            float d = (float)look->at[i][c] - u->median[i][c];
            odd = odd || (d < 0 ? -d : d) > u->limit[i][c];
        }
        unusual += odd;
    }
    return (float)unusual / PZ_FACE_LOOKS;
}

/* Synthetic pictures for the tests of this folder: smooth scenes with texture, seeded. */
#ifndef PZ_TEST_IMAGE_SCENE_H
#define PZ_TEST_IMAGE_SCENE_H

#include <math.h>

#include "base/rng.h"
#include "image/picture.h"

/* A warm, face-like gradient in R'G'B' at a point in [0,1]², plus a fine texture value. */
static inline void scene_rgb(float x, float y, float fine, float rgb[3])
{
    float light = 0.55f + 0.2f * x - 0.12f * y + 0.05f * sinf(5 * x + 3 * y);
    rgb[0] = light * 1.15f + fine;
    rgb[1] = light * 0.85f + fine;
    rgb[2] = light * 0.70f + fine;
}

static inline void scene_fill(struct pz_rgb *p, float detail)
{
    size_t n = (size_t)p->width * p->height;
    for (int y = 0; y < p->height; y++)
        for (int x = 0; x < p->width; x++) {
            float rgb[3];
            scene_rgb(((float)x + 0.5f) / (float)p->width, ((float)y + 0.5f) / (float)p->height,
                      detail * sinf(0.9f * (float)x) * cosf(0.8f * (float)y), rgb);
            for (int k = 0; k < 3; k++)
                p->data[k * n + (size_t)y * p->width + x] = rgb[k];
        }
}

/* Elliptical mask with a smooth edge, 1 inside. */
static inline void scene_mask(float *alpha, int w, int h, float radius, float feather)
{
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            float dx = ((float)x + 0.5f) / (float)w - 0.5f, dy = ((float)y + 0.5f) / (float)h - 0.5f;
            float t = (radius - sqrtf(dx * dx + dy * dy)) * (float)w / feather;
            t = t < 0 ? 0 : t > 1 ? 1 : t;
            alpha[(size_t)y * w + x] = t * t * (3 - 2 * t);
        }
}

#endif

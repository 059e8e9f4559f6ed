// Boxes and mask of the wav2lip engine. Neither finds faces nor touches pictures.
#include "lipsync/wav2lip_face.h"

#include <math.h>
#include <stddef.h>

#include "image/affine.h"

#define REACH_S 0.1 /* half the window of the mean */

static struct pz_wav2lip_box padded(const struct pz_face *f)
{
    return (struct pz_wav2lip_box){f->box[0], f->box[1], f->box[2], f->box[3] + PZ_WAV2LIP_PAD_BOTTOM};
}

static void add(struct pz_wav2lip_box *sum, const struct pz_wav2lip_box *b, float w)
{
    sum->x0 += w * b->x0;
    sum->y0 += w * b->y0;
    sum->x1 += w * b->x1;
    sum->y1 += w * b->y1;
}

void pz_wav2lip_boxes(const struct pz_face *const *faces, const double *times, int n,
                      struct pz_wav2lip_box *out)
{
    for (int i = 0; i < n; i++) {
        struct pz_wav2lip_box sum = {0};
        float all = 0;
        for (int step = -1; step <= 1; step += 2)
            for (int k = step < 0 ? i : i + 1; k >= 0 && k < n && fabs(times[k] - times[i]) < REACH_S;
                 k += step) {
                if (!faces[k] || !faces[k]->present)
                    continue;
                struct pz_wav2lip_box b = padded(faces[k]);
                float w =
                    (float)(1 - fabs(times[k] - times[i]) / REACH_S) * (faces[k]->present == 1 ? 1 : 0.01f);
                add(&sum, &b, w);
                all += w;
            }
        out[i] = (struct pz_wav2lip_box){0};
        if (all > 0)
            add(&out[i], &sum, 1 / all);
    }
}

void pz_wav2lip_smooth_published(int (*boxes)[4], int n)
{
    enum { T = 5 };
    for (int i = 0; i < n; i++) {
        // A slice from n − 5 that begins before the list counts from its end once more, as in Python.
        int from = i + T > n ? n - T : i, to = i + T > n ? n : i + T;
        if (from < 0)
            from = from + n < 0 ? 0 : from + n;
        for (int k = 0; k < 4 && to > from; k++) {
            int64_t sum = 0;
            for (int j = from; j < to; j++)
                sum += boxes[j][k];
            boxes[i][k] = (int)(sum / (to - from));
        }
    }
}

struct pz_affine pz_wav2lip_to_frame(const struct pz_wav2lip_box *b, int side)
{
    float s = 1 / (float)side;
    return (struct pz_affine){(b->x1 - b->x0) * s, 0, b->x0, 0, (b->y1 - b->y0) * s, b->y0};
}

static float smooth(float a, float b, float x)
{
    float u = fminf(fmaxf((x - a) / (b - a), 0), 1);
    return u * u * (3 - 2 * u);
}

void pz_wav2lip_mask(int side, float *alpha)
{
    float s = (float)side;
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) {
            float u = ((float)x + 0.5f) / s, v = ((float)y + 0.5f) / s;
            // Ellipse around the middle of the box: 0 on it, growing inwards, in parts of the side.
            float r = hypotf((u - 0.5f) / 0.5f, (v - 0.5f) / 0.5f), inside = 0.5f * (1 - r);
            alpha[(size_t)y * (size_t)side + (size_t)x] = smooth(0.46f, 0.56f, v) * smooth(0, 0.1f, inside);
        }
}

int pz_wav2lip_first_row(int side)
{
    return side * 46 / 100;
}

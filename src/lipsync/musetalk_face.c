// Boxes and masks of MuseTalk. Neither finds faces nor parses them.
#include "lipsync/musetalk_face.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "lipsync/pixels.h"

#define REACH_S 0.12 /* half the window of the mean */
#define N PZ_MUSETALK_PARSED
#define KERNEL 33

enum { SKIN = 1, NOSE = 10, MOUTH = 11, UPPER_LIP = 12, LOWER_LIP = 13, NECK = 14 };

bool pz_musetalk_box_rule(float half, float min_x, float max_x, float max_y,
                          const struct pz_musetalk_frame *f, int box[4])
{
    // Points are whole px (cut off) before anything is computed from them.
    int h = (int)half, down = (int)max_y, d = down - h;
    box[0] = (int)min_x;
    box[1] = h - d > 0 ? h - d : 0;
    box[2] = (int)max_x;
    box[3] = down;
    if (box[2] - box[0] <= 0 || box[3] - box[1] <= 0 || box[0] < 0)
        return false;
    box[3] = box[3] + f->margin < f->height ? box[3] + f->margin : f->height;
    return true;
}

bool pz_musetalk_box(const struct pz_face *face, const struct pz_face_topology *t,
                     const struct pz_musetalk_frame *f, float box[4])
{
    float eyes = 0.5f * (face->xyz[t->eye_inner[0]][1] + face->xyz[t->eye_inner[1]][1]);
    float half = eyes + (face->xyz[t->nose_tip][1] - eyes) * 2 / 3;
    float min_x = INFINITY, max_x = -INFINITY, max_y = -INFINITY;
    int whole[4];
    for (int i = 0; i < t->n_oval; i++) {
        const float *p = face->xyz[t->oval[i]];
        if (p[1] < eyes)
            continue; // the forehead has none of the 68 points
        min_x = fminf(min_x, p[0]);
        max_x = fmaxf(max_x, p[0]);
        max_y = fmaxf(max_y, p[1]);
    }
    if (isfinite(half) && isfinite(min_x) && isfinite(max_x) && isfinite(max_y) && fabsf(half) < 1e5f &&
        fabsf(min_x) < 1e5f && fabsf(max_x) < 1e5f && fabsf(max_y) < 1e5f &&
        pz_musetalk_box_rule(half, min_x, max_x, max_y, f, whole))
        for (int k = 0; k < 4; k++)
            box[k] = (float)whole[k];
    else
        memcpy(box, face->box, 4 * sizeof *box);
    // The published code's crop ends with the picture as well.
    box[0] = fmaxf(box[0], 0);
    box[1] = fmaxf(box[1], 0);
    box[2] = fminf(box[2], (float)f->width);
    box[3] = fminf(box[3], (float)f->height);
    return box[2] - box[0] >= 8 && box[3] - box[1] >= 8;
}

void pz_musetalk_boxes(const struct pz_face *const *faces, const double *times, int n,
                       const struct pz_face_topology *t, const struct pz_musetalk_frame *f, bool calm,
                       float (*out)[4])
{
    for (int i = 0; i < n; i++) {
        float sum[4] = {0}, all = 0;
        for (int step = -1; step <= 1; step += 2)
            for (int k = step < 0 ? i : i + 1;
                 k >= 0 && k < n && (k == i || (calm && fabs(times[k] - times[i]) < REACH_S)); k += step) {
                float b[4];
                if (!faces[k] || !faces[k]->present || !pz_musetalk_box(faces[k], t, f, b))
                    continue;
                float w =
                    (float)(1 - fabs(times[k] - times[i]) / REACH_S) * (faces[k]->present == 1 ? 1 : 0.01f);
                for (int c = 0; c < 4; c++)
                    sum[c] += w * b[c];
                all += w;
            }
        for (int c = 0; c < 4; c++)
            out[i][c] = all > 0 ? sum[c] / all : 0;
    }
}

void pz_musetalk_sides(const float box[4], int *w, int *h)
{
    *w = (int)lrintf(box[2]) - (int)lrintf(box[0]);
    *h = (int)lrintf(box[3]) - (int)lrintf(box[1]);
}

struct pz_musetalk_square pz_musetalk_square(const float box[4])
{
    int w, h, x = (int)lrintf(box[0]), y = (int)lrintf(box[1]);
    pz_musetalk_sides(box, &w, &h);
    int cx = (2 * x + w) / 2, cy = (2 * y + h) / 2, s = (int)((w > h ? w : h) / 2 * 1.5);
    return (struct pz_musetalk_square){cx - s, cy - s, 2 * s};
}

/* ---- parsed masks ---- */

void pz_musetalk_jaw_kernel(uint8_t kernel[33][33])
{
    memset(kernel, 0, sizeof(uint8_t[33][33]));
    for (int r = 10; r < KERNEL; r++) {
        int reach = r <= 20 ? r - 10 : 10;
        for (int c = 16 - reach; c <= 16 + reach; c++)
            kernel[r][c] = 1;
    }
}

/* Grow: set where any pixel under the kernel (placed with its middle on the pixel) is set. */
static void grow(const uint8_t *src, const uint8_t kernel[33][33], int *sums, uint8_t *out)
{
    memset(out, 0, (size_t)N * N);
    for (int y = 0; y < N; y++) { // row y of the source reaches the rows whose kernel row lies on it
        sums[0] = 0;
        for (int x = 0; x < N; x++)
            sums[x + 1] = sums[x] + (src[y * N + x] != 0);
        if (!sums[N])
            continue;
        for (int r = 0; r < KERNEL; r++) {
            int to = y - (r - 16), reach = -1;
            for (int c = 16; c < KERNEL && kernel[r][c]; c++)
                reach = c - 16;
            if (to < 0 || to >= N || reach < 0)
                continue;
            for (int x = 0; x < N; x++) {
                int a = x - reach < 0 ? 0 : x - reach, b = x + reach >= N ? N - 1 : x + reach;
                if (sums[b + 1] > sums[a])
                    out[to * N + x] = 1;
            }
        }
    }
}

/* Shrink once by a row of 35 and one pixel above and below its middle; outside the picture counts as set. */
static void shrink(const uint8_t *src, int *sums, uint8_t *out)
{
    for (int y = 0; y < N; y++) {
        sums[0] = 0;
        for (int x = 0; x < N; x++)
            sums[x + 1] = sums[x] + (src[y * N + x] == 0);
        for (int x = 0; x < N; x++) {
            int a = x < 17 ? 0 : x - 17, b = x + 17 >= N ? N - 1 : x + 17;
            out[y * N + x] = sums[b + 1] == sums[a] && (y == 0 || src[(y - 1) * N + x]) &&
                             (y == N - 1 || src[(y + 1) * N + x]);
        }
    }
}

static enum pz_status jaw(const uint8_t *classes, int cheek, uint8_t *out)
{
    uint8_t kernel[33][33], *face = pz_calloc((size_t)N * N, 3), *large = face + N * N,
                            *small = large + N * N;
    int *sums = pz_calloc(N + 1, sizeof *sums);
    if (!face || !sums) {
        pz_free(face);
        pz_free(sums);
        return PZ_ERR_NOMEM;
    }
    for (int i = 0; i < N * N; i++)
        face[i] = classes[i] == SKIN;
    pz_musetalk_jaw_kernel(kernel);
    grow(face, kernel, sums, large);
    shrink(face, sums, small);
    shrink(small, sums, face);
    for (int i = 0; i < N * N; i++) {
        int x = i % N, c = classes[i];
        bool side = x <= N / 2 - cheek || x >= N / 2 + cheek, in = side ? face[i] : large[i];
        out[i] = (in && c != NOSE) || c == MOUTH || c == UPPER_LIP || c == LOWER_LIP ? 255 : 0;
    }
    pz_free(face);
    pz_free(sums);
    return PZ_OK;
}

enum pz_status pz_musetalk_mask(const uint8_t *classes, enum pz_musetalk_mode mode, int cheek, uint8_t *out)
{
    if (mode == PZ_MUSETALK_JAW)
        return jaw(classes, cheek, out);
    for (int i = 0; i < N * N; i++) {
        int c = classes[i];
        out[i] = c == SKIN || c == MOUTH || c == UPPER_LIP || c == LOWER_LIP ||
                         (c == NECK && mode == PZ_MUSETALK_NECK)
                     ? 255
                     : 0;
    }
    return PZ_OK;
}

void pz_musetalk_pack(const uint8_t *mask, uint8_t *bits)
{
    memset(bits, 0, PZ_MUSETALK_MASK_BYTES);
    for (int i = 0; i < N * N; i++)
        bits[i / 8] |= (uint8_t)((mask[i] >= 128) << (i % 8));
}

void pz_musetalk_unpack(const uint8_t *const *bits, const float *weight, int n, uint8_t *mask)
{
    uint8_t value[8]; // of every way to be set in the (up to three) masks
    for (int set = 0; set < 8; set++) {
        float s = 0;
        for (int k = 0; k < n; k++)
            s += weight[k] * (float)(set >> k & 1);
        value[set] = (uint8_t)lrintf(fminf(s * 255, 255));
    }
    for (int i = 0; i < N * N / 8; i++) {
        unsigned a = bits[0][i], b = n > 1 ? bits[1][i] : 0, c = n > 2 ? bits[2][i] : 0;
        for (int k = 0; k < 8; k++)
            mask[8 * i + k] = value[(a >> k & 1) | (b >> k & 1) << 1 | (c >> k & 1) << 2];
    }
}

/* ---- weights ---- */

int pz_musetalk_blur_taps(int side)
{
    return (int)(0.05 * side / 2) * 2 + 1;
}

/* The square's lower half inside the box is all that is not zero. It lies in the middle of the square, the
 * blur's reach away from its edges and more, so that only it and a border of zeros need be blurred. */
enum pz_status pz_musetalk_weights(const uint8_t *mask, const float box[4], uint8_t *out)
{
    struct pz_musetalk_square q = pz_musetalk_square(box);
    int w, h, x0 = (int)lrintf(box[0]) - q.x, y0 = (int)lrintf(box[1]) - q.y;
    int taps = pz_musetalk_blur_taps(q.side), reach = taps / 2, top = q.side / 2 > y0 ? q.side / 2 : y0;
    pz_musetalk_sides(box, &w, &h);
    int high = y0 + h - top, wide = w + 2 * reach;
    uint8_t *part = NULL, *plane = NULL;
    enum pz_status st = PZ_OK;
    memset(out, 0, (size_t)w * (size_t)h);
    if (high < 1)
        return PZ_OK;
    part = pz_calloc((size_t)w, (size_t)high);
    plane = pz_calloc((size_t)wide, (size_t)(high + 3 * reach));
    if (!part || !plane) {
        st = PZ_ERR_NOMEM;
        goto fail;
    }
    PZ_TRY(pz_pixels_resize_part(mask, N, N, 1, PZ_PIXELS_BICUBIC, q.side, q.side,
                                 (const int[4]){x0, top, w, high}, part));
    for (int y = 0; y < high; y++)
        memcpy(plane + (size_t)(y + 2 * reach) * (size_t)wide + (size_t)reach, part + (size_t)y * (size_t)w,
               (size_t)w);
    PZ_TRY(pz_pixels_blur(plane, wide, high + 3 * reach, taps));
    for (int y = top - reach > y0 ? top - reach : y0; y < y0 + h; y++)
        memcpy(out + (size_t)(y - y0) * (size_t)w,
               plane + (size_t)(y - top + 2 * reach) * (size_t)wide + (size_t)reach, (size_t)w);
fail:
    pz_free(part);
    pz_free(plane);
    return st;
}

/* Cuts by hard change; dissolves are not cuts: the face is followed through them. */
#include "face/cut.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STEP 4         /* one sample in so many, both ways */
#define LEAST 14       /* mean change of the thumbnail, code values */
#define TIMES 4        /* and so many times the usual change */
#define HISTOGRAM 0.3f /* share of the picture whose light is elsewhere */
#define HARD 40        /* change that is a cut whatever the histogram says */

static void look(const struct pz_picture *pic, uint8_t *thumb, float *histogram)
{
    uint32_t sum[PZ_CUT_H * PZ_CUT_W] = {0}, n[PZ_CUT_H * PZ_CUT_W] = {0}, h[32] = {0}, all = 0;
    for (int y = 0; y < pic->height; y += STEP) {
        const uint8_t *p = pic->plane[0] + (size_t)y * (size_t)pic->stride[0];
        int row = (int)((int64_t)y * PZ_CUT_H / pic->height) * PZ_CUT_W;
        for (int x = 0; x < pic->width; x += STEP, all++) {
            int k = row + (int)((int64_t)x * PZ_CUT_W / pic->width);
            sum[k] += p[x];
            n[k]++;
            h[p[x] >> 3]++;
        }
    }
    for (int i = 0; i < PZ_CUT_H * PZ_CUT_W; i++)
        thumb[i] = (uint8_t)(n[i] ? sum[i] / n[i] : 0);
    for (int i = 0; i < 32; i++)
        histogram[i] = (float)h[i] / (float)(all ? all : 1);
}

bool pz_cut_seen(struct pz_cut *c, const struct pz_picture *pic)
{
    uint8_t thumb[PZ_CUT_H * PZ_CUT_W];
    float histogram[32], moved = 0;
    int64_t sum = 0;
    look(pic, thumb, histogram);
    for (int i = 0; i < PZ_CUT_H * PZ_CUT_W; i++)
        sum += abs((int)thumb[i] - (int)c->thumb[i]);
    for (int i = 0; i < 32; i++)
        moved += fabsf(histogram[i] - c->histogram[i]) / 2;
    float change = (float)sum / (PZ_CUT_H * PZ_CUT_W);
    bool cut = c->any && change > LEAST && change > TIMES * c->usual && (moved > HISTOGRAM || change > HARD);
    if (c->any && !cut)
        c->usual += 0.1f * (change - c->usual);
    c->any = true;
    memcpy(c->thumb, thumb, sizeof thumb);
    memcpy(c->histogram, histogram, sizeof histogram);
    return cut;
}

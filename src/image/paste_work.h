/* Inside of the compositor, shared by paste.c (state, blending, warp) and paste_measure.c (match). */
#ifndef PZ_IMAGE_PASTE_WORK_H
#define PZ_IMAGE_PASTE_WORK_H

#include "image/affine.h"
#include "image/color.h"
#include "image/paste.h"

#define PZ_PASTE_PAD 4     /* empty px around the premultiplied patch: bicubic never needs a bounds check */
#define PZ_PASTE_NOISE 256 /* side of the noise tile */
#define PZ_PASTE_SAMPLES 1536 /* lattice points at which sharpness and noise are compared */
#define PZ_PASTE_SUPPORT 0.02f

/** One lattice point's second-order responses: film, patch, and the patch's own high band. */
struct pz_paste_sample {
    float lap[3], imm[3];
    bool ring;
};

struct pz_paste {
    struct pz_paste_params params;
    struct pz_paste_match running;
    bool primed;
    int w, h;      /* patch size the buffers are for */
    int cell;      /* patch px a side of a low-band cell */
    int lw, lh;    /* low-band grid */
    float unit;    /* px of this patch per px at 256 */
    float *block;  /* everything below */
    float *alpha;  /* [h][w] cleaned, occluder applied */
    float *ycc[3]; /* [h][w] patch in the frame's code values, colour matched */
    float *high;   /* [h][w] luma high band */
    float *low_alpha, *low_weight, *low_dist, *low_scratch; /* [lh][lw] */
    float *low_p[3], *low_f[3], *low_d[3]; /* [lh][lw] means of patch and film, their difference */
    float *row;                            /* [4][lw] one interpolated low-band row */
    float *luma;                           /* [h+2P][w+2P][2] premultiplied Y, a */
    float *chroma;                         /* [h+2P][w+2P][4] premultiplied Cb, Cr, a, 0 */
    float *line;                           /* [2][w+2P][4] filter rows */
    float *noise;                          /* [256][256] unit by Immerkær's measure */
    struct pz_paste_sample *sample;
    int box[4]; /* x0, y0, x1, y1 of alpha > 0, patch px */
    struct pz_color color;
    struct pz_affine to_patch;
};

/** Clean alpha, fill the low-band grids and distances for one frame. False when nothing is to be pasted. */
bool pz_paste_look(struct pz_paste *p, const struct pz_picture *frame, const struct pz_paste_patch *patch);

/** Gain and offset from the grids. */
void pz_paste_fit_color(const struct pz_paste *p, struct pz_paste_match *m);

/** Fill ycc and high for a gain and offset. */
void pz_paste_to_ycc(struct pz_paste *p, const struct pz_rgb *rgb, const struct pz_paste_match *m);

/** Detail and grain; needs ycc and high. */
void pz_paste_fit_texture(struct pz_paste *p, const struct pz_picture *frame,
                          const struct pz_paste_patch *patch, struct pz_paste_match *m);

#endif

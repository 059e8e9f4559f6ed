/* Quality control of one render: figures collected frame by frame. The comparison of whole files is in
 * qc_files.c. Does not decide what is good enough and does not look for faces. */
#include "pipeline/qc.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "image/affine.h"
#include "image/filter.h"
#include "image/metrics.h"
#include "pipeline/qc_state.h"
#include "speech/speech.h"

#define SEAM_EVERY 5
#define MOUTH_FACTOR 1.5f
#define SEAM_MARGIN 24 /* patch px outside the patch that pz_metric_seam() looks at */

enum pz_status pz_qc_create(const struct pz_film_info *info, const struct pz_face_topology *topology,
                            struct pz_qc **qc)
{
    *qc = pz_calloc(1, sizeof **qc);
    if (!*qc)
        return PZ_ERR_NOMEM;
    (*qc)->info = info;
    (*qc)->topology = topology;
    (*qc)->last = -10;
    (*qc)->av_offset_ms = (*qc)->untouched_psnr = NAN;
    return PZ_OK;
}

void pz_qc_destroy(struct pz_qc **qc)
{
    if (!qc || !*qc)
        return;
    pz_picture_free(&(*qc)->film);
    for (int k = 0; k < PZ_QC_SPOTS; k++)
        pz_picture_free(&(*qc)->spot[k].film);
    pz_free((*qc)->luma.data);
    pz_free(*qc);
    *qc = NULL;
}

/** Is the next frame compared outside the patch? The first, second, third, fifth, ninth … touched frame. */
static bool is_spot(const struct pz_qc *qc)
{
    return !(qc->touched & (qc->touched - 1));
}

/** Box of the patch in the frame, `margin` patch px wider, clipped. */
static struct pz_box patch_box(const struct pz_picture *pic, const struct pz_paste_patch *patch, float margin)
{
    float lo[2] = {INFINITY, INFINITY}, hi[2] = {-INFINITY, -INFINITY};
    float w = (float)pic->width, h = (float)pic->height;
    for (int k = 0; k < 4; k++) {
        float p[2];
        pz_affine_apply(&patch->to_frame, k & 1 ? (float)patch->rgb->width + margin : -margin,
                        k & 2 ? (float)patch->rgb->height + margin : -margin, &p[0], &p[1]);
        for (int a = 0; a < 2; a++) {
            lo[a] = fminf(lo[a], p[a]);
            hi[a] = fmaxf(hi[a], p[a]);
        }
    }
    return (struct pz_box){(int)fminf(fmaxf(lo[0] - 8, 0), w), (int)fminf(fmaxf(lo[1] - 8, 0), h),
                           (int)fmaxf(fminf(hi[0] + 8, w), 0), (int)fmaxf(fminf(hi[1] + 8, h), 0)};
}

enum pz_status pz_qc_before(struct pz_qc *qc, int64_t i, const struct pz_picture *pic,
                            const struct pz_face *face, const struct pz_paste_patch *patch)
{
    qc->pending = -1;
    if (qc->film.width != pic->width || qc->film.height != pic->height) {
        pz_picture_free(&qc->film);
        enum pz_status st = pz_picture_alloc(&qc->film, pic->width, pic->height);
        if (st < PZ_OK)
            return st;
    }
    if (is_spot(qc)) {
        pz_picture_copy(&qc->film, pic);
    } else {
        struct pz_box b = patch_box(pic, patch, SEAM_MARGIN);
        pz_picture_copy_box(&qc->film, pic, b.x0, b.y0, b.x1, b.y1);
        if (face && qc->topology &&
            pz_mouth_box(face, qc->topology, MOUTH_FACTOR, pic->width, pic->height, &b))
            pz_picture_copy_box(&qc->film, pic, b.x0, b.y0, b.x1, b.y1);
    }
    qc->pending = i;
    return PZ_OK;
}

/** Luma at the nodes of a grid that spans the patch: what a point of the moving face looks like. */
static void sample_grid(const struct pz_picture *p, const struct pz_paste_patch *patch, uint8_t *out)
{
    float sx = (float)patch->rgb->width / PZ_QC_GRID, sy = (float)patch->rgb->height / PZ_QC_GRID;
    for (int j = 0; j < PZ_QC_GRID; j++)
        for (int i = 0; i < PZ_QC_GRID; i++) {
            float u, v;
            pz_affine_apply(&patch->to_frame, ((float)i + 0.5f) * sx, ((float)j + 0.5f) * sy, &u, &v);
            u = fminf(fmaxf(u - 0.5f, 0), (float)(p->width - 2));
            v = fminf(fmaxf(v - 0.5f, 0), (float)(p->height - 2));
            int x = (int)u, y = (int)v;
            const uint8_t *s = p->plane[0] + (size_t)y * p->stride[0] + x, *t = s + p->stride[0];
            float a = s[0] + (u - (float)x) * (float)(s[1] - s[0]),
                  b = t[0] + (u - (float)x) * (float)(t[1] - t[0]);
            out[j * PZ_QC_GRID + i] = (uint8_t)(a + (v - (float)y) * (b - a) + 0.5f);
        }
}

static void add_jitter(struct pz_qc *qc, int64_t i, const struct pz_picture *made,
                       const struct pz_paste_patch *patch)
{
    size_t n = (size_t)PZ_QC_GRID * PZ_QC_GRID;
    qc->history = i == qc->last + 1 ? qc->history + 1 : 1;
    for (int k = 0; k < 2; k++) {
        memmove(qc->grid[k][0], qc->grid[k][1], 2 * n);
        sample_grid(k ? made : &qc->film, patch, qc->grid[k][2]);
    }
    if (qc->history < 3)
        return;
    for (int k = 0; k < 2; k++) {
        int64_t s = 0;
        for (size_t c = 0; c < n; c++) {
            float alpha =
                patch->alpha[(size_t)((c / PZ_QC_GRID * 2 + 1) * (size_t)patch->rgb->height /
                                      (2 * PZ_QC_GRID)) *
                                 (size_t)patch->rgb->width +
                             (c % PZ_QC_GRID * 2 + 1) * (size_t)patch->rgb->width / (2 * PZ_QC_GRID)];
            if (alpha > 0.5f) {
                int d = qc->grid[k][0][c] - 2 * qc->grid[k][1][c] + qc->grid[k][2][c];
                s += d < 0 ? -d : d;
            }
        }
        qc->jitter[k] += (double)s;
    }
}

/** Keep where the frame was changed, and what it was; its memory is taken over. */
static void keep_spot(struct pz_qc *qc, int64_t i, const struct pz_picture *pic,
                      const struct pz_paste_patch *patch)
{
    struct pz_qc_spot *s = &qc->spot[qc->n_spots++ % PZ_QC_SPOTS];
    struct pz_picture old = s->film;
    s->frame = i;
    s->box = patch_box(pic, patch, 0);
    s->film = qc->film;
    qc->film = old;
}

enum pz_status pz_qc_after(struct pz_qc *qc, int64_t i, const struct pz_picture *pic,
                           const struct pz_face *face, const struct pz_paste_patch *patch)
{
    enum pz_status st = PZ_OK;
    struct pz_box box;
    if (qc->pending != i || pic->width != qc->film.width || pic->height != qc->film.height)
        return PZ_OK;
    if (qc->touched % SEAM_EVERY == 0) {
        double d;
        PZ_TRY(pz_metric_seam(pic, &qc->film, patch->alpha, patch->rgb->width, patch->rgb->height,
                              &patch->to_frame, &d));
        if (!isnan(d)) {
            qc->seam += d;
            qc->n_seam++;
        }
    }
    if (face && qc->topology &&
        pz_mouth_box(face, qc->topology, MOUTH_FACTOR, pic->width, pic->height, &box)) {
        int w = box.x1 - box.x0, h = box.y1 - box.y0;
        PZ_TRY(pz_plane_reserve(&qc->luma, (size_t)w * h));
        pz_box_luma(&qc->film, &box, qc->luma.data);
        qc->sharp[0] += pz_laplacian_variance(qc->luma.data, w, w, h);
        pz_box_luma(pic, &box, qc->luma.data);
        qc->sharp[1] += pz_laplacian_variance(qc->luma.data, w, w, h);
    }
    add_jitter(qc, i, pic, patch);
    if (is_spot(qc))
        keep_spot(qc, i, pic, patch);
    qc->last = i;
    qc->touched++;
fail:
    qc->pending = -1;
    return st;
}

void pz_qc_opening(struct pz_qc *qc, float lip_gap, bool silent)
{
    if (!silent || !isfinite(lip_gap))
        return;
    qc->opening += lip_gap;
    qc->n_opening++;
}

void pz_qc_readback(struct pz_qc *qc, const char *text, float score)
{
    size_t used = strlen(qc->text), left = sizeof qc->text - used;
    if (qc->heard && left > 4) {
        memcpy(qc->text + used, " | ", 4);
        used += 3;
        left -= 3;
    }
    size_t n = strlen(text);
    if (n >= left) { /* cut before a UTF-8 sequence, not inside it */
        n = left - 1;
        while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
            n--;
    }
    memcpy(qc->text + used, text, n);
    qc->text[used + n] = '\0';
    qc->score = qc->heard ? fminf(qc->score, score) : score;
    qc->heard = true;
}

json_t *pz_qc_number(double v, double scale)
{
    return isfinite(v) ? json_real(round(v * scale) / scale) : json_null();
}

static double ratio(const double pair[2])
{
    return pair[0] > 1e-9 ? pair[1] / pair[0] : NAN;
}

json_t *pz_qc_json(const struct pz_qc *qc)
{
    json_t *read = qc->heard
                       ? json_pack("{s:s, s:o, s:b}", "text", qc->text, "score", pz_qc_number(qc->score, 1e3),
                                   "review", (int)(qc->score < PZ_READBACK_REVIEW))
                       : json_null();
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "av_offset_ms", pz_qc_number(qc->av_offset_ms, 1e3),
        "seam_delta_e", pz_qc_number(qc->n_seam ? qc->seam / qc->n_seam : NAN, 1e3), "sharpness_ratio",
        pz_qc_number(ratio(qc->sharp), 1e3), "jitter_ratio", pz_qc_number(ratio(qc->jitter), 1e3),
        "silence_opening", pz_qc_number(qc->n_opening ? qc->opening / qc->n_opening : NAN, 1e4),
        "untouched_psnr_db", pz_qc_number(qc->untouched_psnr, 1e2), "readback", read);
}

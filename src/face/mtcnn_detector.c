/* MTCNN behind the detectors' face: pictures in, our coordinates out. */
#include <math.h>

#include "base/mem.h"
#include "face/detector_impl.h"
#include "face/mtcnn.h"
#include "image/color.h"

#define SMALLEST                                                                                             \
    24 /* of the long side, with PZ_DETECT_PARTS; without, the two finest levels are left out: half of it */

struct mtcnn_detector {
    struct pz_face_detector base;
    struct pz_log *log;
    struct pz_mtcnn *net;
    struct pz_rgb rgb;
    float *pixels; /* [h][w][3], 0 … 255 in whole numbers as the original is given them */
};

static void destroy(struct pz_face_detector *base)
{
    struct mtcnn_detector *d = (struct mtcnn_detector *)base;
    pz_mtcnn_destroy(&d->net);
    pz_rgb_free(&d->rgb);
    pz_free(d->pixels);
    pz_free(d);
}

static enum pz_status profile(struct pz_face_detector *base, struct pz_profile *p)
{
    return pz_mtcnn_profile(((struct mtcnn_detector *)base)->net, p);
}

static enum pz_status take(struct mtcnn_detector *d, const struct pz_picture *pic)
{
    size_t n = (size_t)pic->width * (size_t)pic->height;
    if (d->rgb.width != pic->width || d->rgb.height != pic->height) {
        pz_rgb_free(&d->rgb);
        pz_free(d->pixels);
        d->pixels = pz_calloc(3 * n, sizeof *d->pixels);
        if (!d->pixels || pz_rgb_alloc(&d->rgb, pic->width, pic->height) < PZ_OK)
            return pz_fail(d->log, PZ_ERR_NOMEM, "no memory to look for faces");
    }
    pz_picture_to_rgb(pic, &d->rgb);
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < 3; c++)
            d->pixels[3 * i + c] = rintf(255 * fminf(fmaxf(d->rgb.data[c * n + i], 0), 1));
    return PZ_OK;
}

static enum pz_status run(struct pz_face_detector *base, const struct pz_picture *pic, unsigned how,
                          struct pz_pool *pool, struct pz_face_detection *out, int *n)
{
    struct mtcnn_detector *d = (struct mtcnn_detector *)base;
    struct pz_mtcnn_face f[PZ_FACE_MAX_DETECTIONS];
    int side = pic->width > pic->height ? pic->width : pic->height;
    enum pz_status st = take(d, pic);
    if (st >= PZ_OK)
        st = pz_mtcnn_run(d->net, d->pixels, pic->width, pic->height, fmaxf(20, (float)side / SMALLEST),
                          how & PZ_DETECT_PARTS ? 0 : 2, pool, f, PZ_FACE_MAX_DETECTIONS, n);
    for (int i = 0; st >= PZ_OK && i < *n; i++) {
        struct pz_face_detection *o = &out[i];
        *o = (struct pz_face_detection){.score = f[i].score, .has_mouth = true};
        for (int k = 0; k < 4; k++) {
            o->box[k] = f[i].box[k] + 0.5f; /* our pixel centres lie at a half */
            o->eye[k / 2][k % 2] = f[i].point[k / 2][k % 2] + 0.5f;
            o->mouth[k / 2][k % 2] = f[i].point[3 + k / 2][k % 2] + 0.5f;
        }
        o->nose[0] = f[i].point[2][0] + 0.5f;
        o->nose[1] = f[i].point[2][1] + 0.5f;
    }
    return st;
}

enum pz_status pz_mtcnn_detector_create(const char *models_dir, struct pz_log *log,
                                        struct pz_face_detector **out)
{
    static const char *const names[3] = {"pnet.pt", "rnet.pt", "onet.pt"};
    char *path[3] = {NULL};
    enum pz_status st = PZ_OK;
    struct pz_job job = {.log = log};
    struct mtcnn_detector *d = NULL;
    for (int i = 0; i < 3; i++)
        PZ_TRY(pz_face_model_path(models_dir, "mtcnn", names[i], log, &path[i]));
    d = pz_calloc(1, sizeof *d);
    if (!d) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for the face detector");
        goto fail;
    }
    d->base = (struct pz_face_detector){destroy, profile, run};
    d->log = log;
    st = pz_mtcnn_create(path[0], path[1], path[2], &job, &d->net);
    *out = &d->base;
    if (st < PZ_OK)
        pz_face_detector_destroy(out);
fail:
    for (int i = 0; i < 3; i++)
        pz_free(path[i]);
    return st;
}

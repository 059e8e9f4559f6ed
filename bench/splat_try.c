/**
 * Development tool, not installed: fit a Gaussian head to the first part of a clip with known landmarks, draw
 * the rest with the tracked motion, write strips to look at and print figures.
 *
 *     splat_try FACES TRIANGLES WIDTH HEIGHT OUT_DIR [IMAGES] < frames.yuv    (yuv420p, BT.709 limited)
 *
 * FACES: int32 T, N, then per frame float32 R (9), scale, tx, ty, N × 3 px. TRIANGLES: int32 × 3, MediaPipe's
 * indices.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "image/filter.h"
#include "image/metrics.h"
#include "image/paste.h"
#include "image/png.h"
#include "image/color.h"
#include "lipsync/gs_model.h"

static const int outer[] = {61,  185, 40,  39,  37,  0,  267, 269, 270, 409,
                            291, 375, 321, 405, 314, 17, 84,  181, 91,  146};
static const int inner[] = {78,  191, 80,  81,  82,  13, 312, 311, 310, 415,
                            308, 324, 318, 402, 317, 14, 87,  178, 88,  95};
static const int pairs[][2] = {{13, 14}, {312, 317}, {82, 87}, {311, 402}, {81, 178}};
static const int oval[] = {10,  338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288,
                           397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136,
                           172, 58,  132, 93,  234, 127, 162, 21,  54,  103, 67,  109};
static const int rigid[] = {33,  133, 263, 362, 168, 6,   197, 195, 5,   4,  10,
                            151, 9,   8,   67,  297, 109, 338, 46,  276, 70, 300};

struct clip {
    int n, width, height;
    struct pz_picture *pic;
    struct pz_face *face;
};

static double clip_time(void *user, int64_t i)
{
    return (double)i / 25.0;
}

static enum pz_status clip_picture(void *user, int64_t i, const struct pz_picture **out)
{
    *out = &((struct clip *)user)->pic[i];
    return PZ_OK;
}

static const struct pz_face *clip_face(void *user, int64_t i)
{
    return &((struct clip *)user)->face[i];
}

static const struct pz_face *motion_face(const void *user, int64_t i)
{
    return &((const struct clip *)user)->face[i];
}

static void print_log(void *user, enum pz_log_level level, const char *text)
{
    fprintf(stderr, "%s\n", text);
}

static double user_seconds(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)r.ru_utime.tv_sec + 1e-6 * (double)r.ru_utime.tv_usec;
}

static bool read_clip(struct clip *c, const char *faces)
{
    char *data;
    size_t n;
    if (pz_file_read(NULL, faces, (size_t)1 << 30, &data, &n) < PZ_OK)
        return false;
    const int32_t *head = (const int32_t *)(const void *)data;
    const int points = head[1];
    const float *p = (const float *)(const void *)(data + 8);
    c->n = head[0];
    c->face = pz_calloc((size_t)c->n, sizeof(*c->face));
    c->pic = pz_calloc((size_t)c->n, sizeof(*c->pic));
    for (int t = 0; t < c->n; t++, p += 12 + 3 * points) {
        struct pz_face *f = &c->face[t];
        f->frame = t;
        f->present = 1;
        memcpy(f->pose.r, p, sizeof(f->pose.r));
        f->pose.scale = f->interocular = p[9];
        f->pose.tx = p[10];
        f->pose.ty = p[11];
        f->n_points = points;
        memcpy(f->xyz, p + 12, sizeof(float) * 3 * (size_t)points);
        const float dx = f->xyz[13][0] - f->xyz[14][0], dy = f->xyz[13][1] - f->xyz[14][1];
        f->lip_gap = sqrtf(dx * dx + dy * dy) / p[9];
        if (pz_picture_alloc(&c->pic[t], c->width, c->height) < PZ_OK)
            return false;
        c->pic[t].matrix = PZ_MATRIX_BT709;
        for (int q = 0; q < 3; q++)
            for (int y = 0; y < (q ? c->height / 2 : c->height); y++)
                if (fread(c->pic[t].plane[q] + (ptrdiff_t)y * c->pic[t].stride[q], 1,
                          (size_t)(q ? c->width / 2 : c->width), stdin) == 0) {
                    c->n = t;
                    pz_free(data);
                    return t > 0;
                }
    }
    pz_free(data);
    return true;
}

struct sums {
    double sse, n, lap_true, lap_made, seam, db;
    int frames;
};

/** Compare a pasted frame with the film in the mouth box. */
static void measure(const struct clip *c, int t, const struct pz_picture *made, struct sums *s)
{
    float lo[2] = {1e9f, 1e9f}, hi[2] = {-1e9f, -1e9f};
    for (int i = 0; i < 20; i++)
        for (int a = 0; a < 2; a++) {
            lo[a] = fminf(lo[a], c->face[t].xyz[outer[i]][a]);
            hi[a] = fmaxf(hi[a], c->face[t].xyz[outer[i]][a]);
        }
    int x0 = (int)(0.5f * (lo[0] + hi[0]) - 0.75f * (hi[0] - lo[0])),
        x1 = (int)(0.5f * (lo[0] + hi[0]) + 0.75f * (hi[0] - lo[0]));
    int y0 = (int)(0.5f * (lo[1] + hi[1]) - 0.75f * (hi[1] - lo[1])),
        y1 = (int)(0.5f * (lo[1] + hi[1]) + 0.75f * (hi[1] - lo[1]));
    x0 = x0 < 0 ? 0 : x0;
    y0 = y0 < 0 ? 0 : y0;
    x1 = x1 > c->width ? c->width : x1;
    y1 = y1 > c->height ? c->height : y1;
    struct pz_rgb a, b;
    if (pz_rgb_alloc(&a, c->width, c->height) < PZ_OK || pz_rgb_alloc(&b, c->width, c->height) < PZ_OK)
        exit(5);
    pz_picture_to_rgb(&c->pic[t], &a);
    pz_picture_to_rgb(made, &b);
    const int area = c->width * c->height;
    float *luma[2] = {a.data, b.data};
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++)
            for (int ch = 0; ch < 3; ch++) {
                const float d = a.data[ch * area + y * c->width + x] - b.data[ch * area + y * c->width + x];
                s->sse += (double)(d * d);
                s->n += 1;
            }
    for (int q = 0; q < 2; q++)
        for (int i = 0; i < area; i++)
            luma[q][i] = 0.2126f * luma[q][i] + 0.7152f * luma[q][area + i] + 0.0722f * luma[q][2 * area + i];
    s->lap_true += pz_laplacian_variance(luma[0] + y0 * c->width + x0, c->width, x1 - x0, y1 - y0);
    s->lap_made += pz_laplacian_variance(luma[1] + y0 * c->width + x0, c->width, x1 - x0, y1 - y0);
    s->frames++;
    pz_rgb_free(&a);
    pz_rgb_free(&b);
}

/** True above, pasted below. */
static void strip(const struct clip *c, int t, const struct pz_picture *made, const struct pz_patch *p,
                  const char *dir)
{
    struct pz_rgb a, b, out;
    const int w = p->rgb.width, h = p->rgb.height, area = c->width * c->height;
    if (pz_rgb_alloc(&a, c->width, c->height) < PZ_OK || pz_rgb_alloc(&b, c->width, c->height) < PZ_OK ||
        pz_rgb_alloc(&out, 3 * w, h) < PZ_OK)
        exit(5);
    pz_picture_to_rgb(&c->pic[t], &a);
    pz_picture_to_rgb(made, &b);
    for (int ch = 0; ch < 3; ch++)
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                int fx = (int)((float)x * p->to_frame.a + p->to_frame.c),
                    fy = (int)((float)y * p->to_frame.e + p->to_frame.f);
                fx = fx < 0 ? 0 : fx >= c->width ? c->width - 1 : fx;
                fy = fy < 0 ? 0 : fy >= c->height ? c->height - 1 : fy;
                float *o = out.data + ((ptrdiff_t)ch * h + y) * 3 * w + x;
                o[0] = a.data[ch * area + fy * c->width + fx];
                o[w] = b.data[ch * area + fy * c->width + fx];
                o[2 * w] = p->rgb.data[(ch * h + y) * w + x] * (0.3f + 0.7f * p->alpha[y * w + x]);
            }
    char path[512];
    snprintf(path, sizeof(path), "%s/strip-%03d.png", dir, t);
    if (pz_png_write(NULL, path, &out) < PZ_OK)
        fprintf(stderr, "cannot write %s\n", path);
    pz_rgb_free(&a);
    pz_rgb_free(&b);
    pz_rgb_free(&out);
}

static void report(const char *name, const struct sums *s)
{
    printf("%s: psnr_mouth %.2f dB pooled, %.2f dB mean of frames, sharpness %.3f, seam %.2f\n", name,
           -10 * log10(s->sse / s->n), s->db / s->frames, s->lap_made / s->lap_true, s->seam / s->frames);
}

int main(int argc, char **argv)
{
    if (argc < 6)
        return 1;
    struct clip c = {.width = atoi(argv[3]), .height = atoi(argv[4])};
    char *tri;
    size_t n_tri;
    if (!read_clip(&c, argv[1]) || pz_file_read(NULL, argv[2], 1 << 20, &tri, &n_tri) < PZ_OK)
        return 2;
    const int n_triangles = (int)(n_tri / 12);
    uint16_t(*triangles)[3] = pz_calloc((size_t)n_triangles, sizeof(*triangles));
    for (int i = 0; i < n_triangles * 3; i++)
        triangles[i / 3][i % 3] = (uint16_t)((const int32_t *)(const void *)tri)[i];
    const struct pz_face_topology topo = {.name = "mediapipe-468",
                                          .n_points = c.face[0].n_points,
                                          .outer_lip = outer,
                                          .n_outer_lip = 20,
                                          .inner_lip = inner,
                                          .n_inner_lip = 20,
                                          .lip_pairs = pairs,
                                          .n_lip_pairs = 5,
                                          .oval = oval,
                                          .n_oval = 36,
                                          .rigid = rigid,
                                          .n_rigid = 22,
                                          .eye_outer = {33, 263},
                                          .eye_inner = {133, 362},
                                          .nose_tip = 1,
                                          .chin = 152,
                                          .mouth_corner = {61, 291},
                                          .triangles = (const uint16_t(*)[3])triangles,
                                          .n_triangles = n_triangles};
    int64_t *fit = pz_calloc((size_t)c.n, sizeof(int64_t));
    const int n_fit = c.n * 7 / 10;
    for (int i = 0; i < n_fit; i++)
        fit[i] = i;
    struct pz_pool *pool = pz_pool_create(0);
    struct pz_log *log = pz_log_create(print_log, NULL, PZ_LOG_INFO);
    const struct pz_job job = {.log = log, .pool = pool, .seed = 1};
    const struct pz_motion_faces mf = {&c, motion_face, fit, n_fit};
    struct pz_motion_space *space = NULL;
    if (pz_motion_space_fit(&mf, &topo, PZ_MOTION_MAX, &job, &space) < PZ_OK)
        return 3;
    const struct pz_film film = {.user = &c,
                                 .n_frames = c.n,
                                 .frame_time = clip_time,
                                 .picture = clip_picture,
                                 .face = clip_face,
                                 .topology = &topo,
                                 .fit_frames = fit,
                                 .n_fit_frames = n_fit};
    struct pz_gs_fit_params p = PZ_GS_FIT_DEFAULT;
    p.images = argc > 6 ? atoi(argv[6]) : 0;
    struct pz_gs_model *m = NULL;
    double wall = pz_now(), user = user_seconds();
    if (p.images < 0) {
        if (pz_gs_model_load(argv[5], log, &m) < PZ_OK)
            return 2;
    } else if (pz_gs_model_fit(&film, space, &p, &job, &m) < PZ_OK)
        return 5;
    for (int k = 0; k < m->k; k++)
        printf("%s%.2f", k ? " " : "units ", (double)m->unit[k]);
    printf("\nK %d, patch %dx%d zoom %.3f, %d + %d gaussians; fit %.1f s wall, %.1f s user\n", m->k, m->width,
           m->height, (double)m->zoom, m->face.n, m->mouth.n, pz_now() - wall, user_seconds() - user);
    if (pz_make_dirs(log, argv[5]) < PZ_OK || pz_gs_model_save(m, argv[5], log) < PZ_OK)
        return 6;
    pz_gs_model_free(&m);
    if (pz_gs_model_load(argv[5], log, &m) < PZ_OK)
        return 2;
    struct pz_gs_canvas *canvas = NULL;
    struct pz_paste *paste = NULL;
    if (pz_gs_canvas_create(m, p.rung, &canvas) < PZ_OK ||
        pz_paste_create(&PZ_PASTE_PARAMS_DEFAULT, &paste) < PZ_OK)
        return 5;
    struct sums sums[2] = {{0}};
    double draw_user = 0, draw_wall = 0;
    int drawn = 0;
    struct pz_picture made;
    if (pz_picture_alloc(&made, c.width, c.height) < PZ_OK)
        return 5;
    for (int t = 0; t < c.n; t++) {
        const int which = t >= n_fit;
        const bool held = which;
        if (!held && t % 10)
            continue;
        if (t == n_fit)
            pz_paste_reset(paste);
        float motion[PZ_MOTION_MAX];
        if (!pz_motion_space_project(space, &c.face[t], motion))
            continue;
        for (int k = argc > 7 ? atoi(argv[7]) : PZ_MOTION_MAX; k < PZ_MOTION_MAX; k++)
            motion[k] = 0.0f;
        float norm = 0;
        for (int k = 0; k < space->n_components; k++)
            norm += motion[k] * motion[k];
        if (which == 1 && t % 20 == 0)
            printf("frame %d |m| %.2f of %.2f\n", t, sqrt((double)norm), (double)m->reach);
        struct pz_patch patch = {0};
        const double w0 = pz_now(), u0 = user_seconds();
        if (pz_gs_draw(canvas, &c.face[t], motion, motion, pool, &patch) < PZ_OK)
            return 5;
        draw_wall += pz_now() - w0;
        draw_user += user_seconds() - u0;
        drawn++;
        pz_picture_copy(&made, &c.pic[t]);
        made.matrix = c.pic[t].matrix;
        const struct pz_paste_patch pp = {&patch.rgb, patch.alpha, NULL, patch.to_frame};
        if (pz_paste_draw(paste, &made, &pp, NULL, 1.0f, t, NULL) < PZ_OK)
            return 5;
        double seam = 0;
        if (pz_metric_seam(&made, &c.pic[t], patch.alpha, m->width, m->height, &patch.to_frame, &seam) ==
            PZ_OK)
            sums[which].seam += seam;
        struct sums one = {0};
        measure(&c, t, &made, &one);
        if (getenv("VERBOSE"))
            printf("frame %d psnr %.2f sharpness %.2f\n", t, -10 * log10(one.sse / one.n),
                   one.lap_made / one.lap_true);
        sums[which].db += -10 * log10(one.sse / one.n);
        sums[which].sse += one.sse;
        sums[which].n += one.n;
        sums[which].lap_true += one.lap_true;
        sums[which].lap_made += one.lap_made;
        sums[which].frames++;
        if (t % 20 == 0)
            strip(&c, t, &made, &patch, argv[5]);
    }
    report("seen  ", &sums[0]);
    report("unseen", &sums[1]);
    printf("draw %.1f frames/s wall, %.2f ms user a frame\n", drawn / draw_wall, 1e3 * draw_user / drawn);
    return 0;
}

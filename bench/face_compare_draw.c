/* Overlay pictures: a crop of the face with the points of one landmarker above, of the other below. */
#include <math.h>

#include "base/mem.h"
#include "face_compare.h"
#include "image/png.h"

enum pz_status overlay_open(struct overlay *o, int side, struct pz_face_parts *parser)
{
    *o = (struct overlay){.side = side, .rows = parser ? 3 : 2, .parser = parser};
    return pz_rgb_alloc(&o->rgb, OVERLAYS * side, o->rows * side);
}

/* Parts of the face, laid over the third row of its column. */
static void parts(struct overlay *o, const struct pz_picture *pic, const struct pz_face_points *f,
                  const struct pz_face_rect *r)
{
    static const float colour[PZ_PARTS][3] = {{0, 0, 0},       {0.9f, 0.7f, 0.5f}, {1, 0.1f, 0.2f},
                                              {0.4f, 0, 0.1f}, {1, 1, 1},          {0.2f, 0.5f, 1},
                                              {0.5f, 0.3f, 0}, {0.3f, 0.1f, 0.5f}, {0, 1, 1},
                                              {1, 0, 1},       {0.1f, 0.6f, 0.2f}, {1, 0.8f, 0}};
    uint8_t map[96][96];
    struct pz_face_rect roi;
    size_t plane = (size_t)o->rgb.width * (size_t)o->rgb.height;
    if (pz_face_parts_run(o->parser, pic, (const float(*)[3])f->xyz, NULL, map, &roi) < PZ_OK)
        return;
    float c = cosf(roi.angle), s = sinf(roi.angle);
    for (int y = 0; y < o->side; y++)
        for (int x = 0; x < o->side; x++) {
            float px = r->cx + (((float)x + 0.5f) / (float)o->side - 0.5f) * r->w - roi.cx,
                  py = r->cy + (((float)y + 0.5f) / (float)o->side - 0.5f) * r->h - roi.cy;
            int u = (int)floorf(((c * px + s * py) / roi.w + 0.5f) * 96),
                v = (int)floorf(((c * py - s * px) / roi.w + 0.5f) * 96);
            if (u < 0 || v < 0 || u >= 96 || v >= 96 || map[v][u] == PZ_PART_BACKGROUND)
                continue;
            float *p =
                o->rgb.data + (size_t)(2 * o->side + y) * (size_t)o->rgb.width + (size_t)(o->n * o->side + x);
            for (size_t k = 0; k < 3; k++)
                p[k * plane] += 0.5f * (colour[map[v][u]][k] - p[k * plane]);
        }
}

static void dot(struct overlay *o, float x, float y, int column, int row, const float colour[3])
{
    int size = o->side * o->side * o->rows * OVERLAYS;
    for (int dy = 0; dy < 2; dy++)
        for (int dx = 0; dx < 2; dx++) {
            int ix = (int)floorf(x - 0.5f) + dx, iy = (int)floorf(y - 0.5f) + dy;
            if (ix < 0 || iy < 0 || ix >= o->side || iy >= o->side)
                continue;
            float wx = 1 - fabsf(x - 0.5f - (float)ix), wy = 1 - fabsf(y - 0.5f - (float)iy),
                  w = fminf(1.6f * wx * wy, 1);
            float *p = o->rgb.data + (size_t)(row * o->side + iy) * (size_t)o->rgb.width +
                       (size_t)(column * o->side + ix);
            for (int c = 0; c < 3; c++)
                p[(size_t)c * (size_t)size] += w * (colour[c] - p[(size_t)c * (size_t)size]);
        }
}

static void points(struct overlay *o, const struct pz_face_points *f, const struct pz_face_rect *r,
                   int column, int row, const float colour[3])
{
    for (int i = 0; i < PZ_FACE_MESH_POINTS; i++)
        dot(o, (f->xyz[i][0] - r->cx + r->w / 2) / r->w * (float)o->side,
            (f->xyz[i][1] - r->cy + r->h / 2) / r->h * (float)o->side, column, row, colour);
}

void overlay_add(struct overlay *o, const struct pz_picture *pic, const struct pz_face_points *a,
                 const struct pz_face_points *b)
{
    static const float red[3] = {1, 0.15f, 0.1f}, green[3] = {0.2f, 1, 0.2f};
    float box[4], *crop = pz_calloc((size_t)o->side * (size_t)o->side * 3, sizeof *crop);
    struct pz_crop_scratch scratch = {0};
    if (o->n >= OVERLAYS || !crop) {
        pz_free(crop);
        return;
    }
    pz_face_points_box((const float(*)[3])a->xyz, box);
    float side = 1.2f * fmaxf(box[2] - box[0], box[3] - box[1]);
    struct pz_face_rect r = {(box[0] + box[2]) / 2, (box[1] + box[3]) / 2, side, side, 0};
    size_t plane = (size_t)o->rgb.width * (size_t)o->rgb.height;
    if (pz_face_crop(pic, &r, 0, 1, PZ_CROP_FINE, &scratch, crop, o->side, o->side) == PZ_OK)
        for (int y = 0; y < o->rows * o->side; y++)
            for (int x = 0; x < o->side; x++)
                for (size_t c = 0; c < 3; c++)
                    o->rgb.data[c * plane + (size_t)y * (size_t)o->rgb.width + (size_t)(o->n * o->side + x)] =
                        crop[((size_t)(y % o->side) * (size_t)o->side + (size_t)x) * 3 + c];
    points(o, a, &r, o->n, 0, red);
    if (b)
        points(o, b, &r, o->n, 1, green);
    if (b && o->parser)
        parts(o, pic, b, &r);
    pz_crop_scratch_free(&scratch);
    pz_free(crop);
    o->n++;
}

enum pz_status overlay_close(struct overlay *o, struct pz_log *log, const char *path)
{
    enum pz_status st = path ? pz_png_write(log, path, &o->rgb) : PZ_OK;
    pz_rgb_free(&o->rgb);
    return st;
}

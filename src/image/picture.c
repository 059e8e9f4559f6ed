/* Picture memory: one block per picture, rows padded to 64 bytes. Does not convert, scale or count
 * references. */
#include "image/picture.h"

#include <string.h>

#include "base/mem.h"

#define ROW_ALIGN 64

static int padded(int width)
{
    return (width + ROW_ALIGN - 1) / ROW_ALIGN * ROW_ALIGN;
}

static bool size_ok(int width, int height)
{
    return width >= 1 && height >= 1 && width <= PZ_PICTURE_MAX_SIDE && height <= PZ_PICTURE_MAX_SIDE;
}

enum pz_status pz_picture_alloc(struct pz_picture *p, int width, int height)
{
    memset(p, 0, sizeof *p);
    if (!size_ok(width, height))
        return PZ_ERR_USAGE;
    int cw = (width + 1) / 2, ch = (height + 1) / 2;
    size_t luma = (size_t)padded(width) * height, chroma = (size_t)padded(cw) * ch;
    /* The tail lets vector loads run past the last row's end. */
    uint8_t *block = pz_calloc(luma + 2 * chroma + ROW_ALIGN, 1);
    if (!block)
        return PZ_ERR_NOMEM;
    p->width = width;
    p->height = height;
    p->block = block;
    p->plane[0] = block;
    p->plane[1] = block + luma;
    p->plane[2] = block + luma + chroma;
    p->stride[0] = padded(width);
    p->stride[1] = p->stride[2] = padded(cw);
    p->matrix = PZ_MATRIX_BT709;
    return PZ_OK;
}

void pz_picture_free(struct pz_picture *p)
{
    if (!p)
        return;
    pz_free(p->block);
    memset(p, 0, sizeof *p);
}

void pz_picture_copy(struct pz_picture *dst, const struct pz_picture *src)
{
    pz_picture_copy_box(dst, src, 0, 0, src->width, src->height);
}

void pz_picture_copy_box(struct pz_picture *dst, const struct pz_picture *src, int x0, int y0, int x1, int y1)
{
    x0 = x0 > 0 ? x0 : 0;
    y0 = y0 > 0 ? y0 : 0;
    x1 = x1 < src->width ? x1 : src->width;
    y1 = y1 < src->height ? y1 : src->height;
    for (int i = 0; i < 3 && x0 < x1; i++) {
        size_t a = (size_t)(i ? x0 / 2 : x0), b = (size_t)(i ? (x1 + 1) / 2 : x1);
        for (int y = i ? y0 / 2 : y0; y < (i ? (y1 + 1) / 2 : y1); y++)
            memcpy(dst->plane[i] + (size_t)y * (size_t)dst->stride[i] + a,
                   src->plane[i] + (size_t)y * (size_t)src->stride[i] + a, b - a);
    }
    dst->matrix = src->matrix;
    dst->full_range = src->full_range;
}

enum pz_status pz_rgb_alloc(struct pz_rgb *p, int width, int height)
{
    memset(p, 0, sizeof *p);
    if (!size_ok(width, height))
        return PZ_ERR_USAGE;
    p->data = pz_calloc((size_t)width * height, 3 * sizeof(float));
    if (!p->data)
        return PZ_ERR_NOMEM;
    p->width = width;
    p->height = height;
    return PZ_OK;
}

void pz_rgb_free(struct pz_rgb *p)
{
    if (!p)
        return;
    pz_free(p->data);
    memset(p, 0, sizeof *p);
}

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
    for (int i = 0; i < 3; i++) {
        int w = i ? (src->width + 1) / 2 : src->width, h = i ? (src->height + 1) / 2 : src->height;
        for (int y = 0; y < h; y++)
            memcpy(dst->plane[i] + (size_t)y * dst->stride[i], src->plane[i] + (size_t)y * src->stride[i], w);
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

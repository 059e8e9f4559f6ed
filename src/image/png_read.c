/* PNG reader on zlib: 8 bits a channel, grey, RGB, with or without opacity (which is dropped), not
 * interlaced. Every length is checked against the file before it is used, and every checksum. ISO/IEC 15948.
 */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "image/png.h"

#define MOST_BYTES ((size_t)64 << 20)
#define MOST_SIDE 8192

struct png {
    struct pz_log *log;
    const char *path;
    const uint8_t *data;
    size_t bytes, at;
    uint32_t width, height;
    size_t channels;
    uint8_t *packed; /* all IDAT chunks, one after another */
    size_t n_packed;
    uint8_t *raw; /* rows with their filter bytes */
};

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static enum pz_status bad(const struct png *f, const char *what)
{
    return pz_fail(f->log, PZ_ERR_FORMAT, "'%s': %s", f->path, what);
}

/* The next chunk: type and data inside the file, checksum right. */
static enum pz_status next(struct png *f, const uint8_t **type, const uint8_t **data, size_t *n)
{
    size_t left = f->bytes - f->at;
    if (left < 12)
        return bad(f, "a PNG that ends too early");
    const uint8_t *p = f->data + f->at;
    *n = get32(p);
    if (*n > left - 12)
        return bad(f, "a PNG that ends too early");
    *type = p + 4;
    *data = p + 8;
    if (get32(p + 8 + *n) != (uint32_t)crc32(crc32(0, Z_NULL, 0), p + 4, (uInt)(*n + 4)))
        return bad(f, "a PNG with a wrong checksum");
    f->at += *n + 12;
    return PZ_OK;
}

static enum pz_status header(struct png *f)
{
    static const uint8_t magic[8] = {0x89, 'P', 'N', 'G', 0x0d, 0x0a, 0x1a, 0x0a};
    static const uint8_t channels[7] = {1, 0, 3, 0, 2, 0, 4};
    const uint8_t *type, *p;
    size_t n;
    if (f->bytes < 8 || memcmp(f->data, magic, 8) != 0)
        return bad(f, "not a PNG");
    f->at = 8;
    enum pz_status st = next(f, &type, &p, &n);
    if (st < PZ_OK)
        return st;
    if (memcmp(type, "IHDR", 4) != 0 || n != 13)
        return bad(f, "a PNG without a header");
    f->width = get32(p);
    f->height = get32(p + 4);
    if (!f->width || !f->height || f->width > MOST_SIDE || f->height > MOST_SIDE)
        return bad(f, "a PNG larger than 8192 px, or of none");
    f->channels = p[9] < 7 ? channels[p[9]] : 0;
    if (p[8] != 8 || !f->channels || p[10] || p[11] || p[12])
        return bad(f, "a PNG that is not 8-bit grey or RGB, or is interlaced: save it as plain RGB");
    return PZ_OK;
}

static enum pz_status collect(struct png *f)
{
    const uint8_t *type, *p;
    size_t n;
    f->packed = pz_calloc(f->bytes, 1);
    if (!f->packed)
        return pz_fail(f->log, PZ_ERR_NOMEM, "no memory for '%s'", f->path);
    for (;;) {
        enum pz_status st = next(f, &type, &p, &n);
        if (st < PZ_OK)
            return st;
        if (!memcmp(type, "IEND", 4))
            return PZ_OK;
        if (memcmp(type, "IDAT", 4) != 0)
            continue;
        memcpy(f->packed + f->n_packed, p,
               n); // chunks do not overlap: together they are shorter than the file
        f->n_packed += n;
    }
}

static int paeth(int a, int b, int c)
{
    int p = a + b - c, pa = abs(p - a), pb = abs(p - b), pc = abs(p - c);
    return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

/* Undo the rows' filters in place. */
static enum pz_status unfilter(struct png *f)
{
    size_t row = f->width * f->channels, c = f->channels;
    for (size_t y = 0; y < f->height; y++) {
        uint8_t *d = f->raw + y * (row + 1) + 1;
        const uint8_t *up = y ? d - row - 1 : NULL;
        for (size_t i = 0; i < row; i++) {
            int left = i >= c ? d[i - c] : 0, above = up ? up[i] : 0, corner = up && i >= c ? up[i - c] : 0;
            switch (d[-1]) {
            case 0:
                break;
            case 1:
                d[i] = (uint8_t)(d[i] + left);
                break;
            case 2:
                d[i] = (uint8_t)(d[i] + above);
                break;
            case 3:
                d[i] = (uint8_t)(d[i] + (left + above) / 2);
                break;
            case 4:
                d[i] = (uint8_t)(d[i] + paeth(left, above, corner));
                break;
            default:
                return bad(f, "a PNG with an unknown filter");
            }
        }
    }
    return PZ_OK;
}

static enum pz_status unpack(struct png *f)
{
    size_t bytes = (f->width * f->channels + 1) * f->height;
    uLongf n = bytes;
    f->raw = pz_calloc(bytes, 1);
    if (!f->raw)
        return pz_fail(f->log, PZ_ERR_NOMEM, "no memory for '%s'", f->path);
    int rc = uncompress(f->raw, &n, f->packed, f->n_packed);
    if (rc != Z_OK || n != bytes)
        return bad(f, rc == Z_OK ? "a PNG of too few rows" : zError(rc));
    return unfilter(f);
}

enum pz_status pz_png_read(struct pz_log *log, const char *path, struct pz_rgb *rgb)
{
    enum pz_status st = PZ_OK;
    char *data = NULL;
    struct png f = {.log = log, .path = path};
    *rgb = (struct pz_rgb){0};
    PZ_TRY(pz_file_read(log, path, MOST_BYTES, &data, &f.bytes));
    f.data = (const uint8_t *)data;
    PZ_TRY(header(&f));
    PZ_TRY(collect(&f));
    PZ_TRY(unpack(&f));
    if (pz_rgb_alloc(rgb, (int)f.width, (int)f.height) < PZ_OK) {
        st = pz_fail(log, PZ_ERR_NOMEM, "no memory for '%s'", path);
        goto fail;
    }
    size_t n = (size_t)f.width * f.height;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < 3; k++) {
            const uint8_t *p =
                f.raw + i / f.width * (f.width * f.channels + 1) + 1 + i % f.width * f.channels;
            rgb->data[k * n + i] = (float)p[f.channels < 3 ? 0 : k] / 255;
        }
fail:
    pz_free(data);
    pz_free(f.packed);
    pz_free(f.raw);
    return st;
}

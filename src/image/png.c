/* PNG writer on zlib: filter type 2 (up) for every row, one IDAT. Format: ISO/IEC 15948. */
#include "image/png.h"

#include <string.h>
#include <zlib.h>

#include "base/file.h"
#include "base/mem.h"

static void put32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

/** Append a chunk whose data already lie at out+8; returns its whole size. */
static size_t chunk(uint8_t *out, const char type[4], size_t n)
{
    put32(out, (uint32_t)n);
    memcpy(out + 4, type, 4);
    put32(out + 8 + n, (uint32_t)crc32(crc32(0, Z_NULL, 0), out + 4, (uInt)(n + 4)));
    return n + 12;
}

static uint8_t code(float v)
{
    return v >= 0 ? (uint8_t)(v < 1 ? v * 255 + 0.5f : 255) : 0;
}

/** Filtered rows: one type byte, then differences to the row above. */
static void fill_rows(const struct pz_rgb *rgb, uint8_t *raw)
{
    size_t n = (size_t)rgb->width * rgb->height, row = (size_t)rgb->width * 3;
    for (int y = rgb->height - 1; y >= 0; y--) {
        uint8_t *d = raw + (size_t)y * (row + 1);
        *d++ = 2;
        for (int x = 0; x < rgb->width; x++)
            for (int k = 0; k < 3; k++) {
                size_t i = k * n + (size_t)y * rgb->width + x;
                uint8_t up = y ? code(rgb->data[i - rgb->width]) : 0;
                d[3 * x + k] = (uint8_t)(code(rgb->data[i]) - up);
            }
    }
}

enum pz_status pz_png_write(struct pz_log *log, const char *path, const struct pz_rgb *rgb)
{
    static const uint8_t magic[8] = {0x89, 'P', 'N', 'G', 0x0d, 0x0a, 0x1a, 0x0a};
    enum pz_status st = PZ_ERR_NOMEM;
    size_t raw_bytes = ((size_t)rgb->width * 3 + 1) * rgb->height, at = 8;
    uLongf packed = compressBound(raw_bytes);
    if (raw_bytes > 0x7fff0000u)
        return pz_fail(log, PZ_ERR_USAGE, "%s: picture of %d x %d is too large for a PNG", path, rgb->width,
                       rgb->height);
    uint8_t *raw = pz_calloc(raw_bytes, 1), *out = pz_calloc(packed + 128, 1);
    if (!raw || !out)
        goto fail;
    fill_rows(rgb, raw);
    memcpy(out, magic, 8);
    put32(out + at + 8, (uint32_t)rgb->width);
    put32(out + at + 12, (uint32_t)rgb->height);
    memcpy(out + at + 16, "\x08\x02\x00\x00\x00",
           5); /* 8 bits, RGB, deflate, adaptive filters, not interlaced */
    at += chunk(out + at, "IHDR", 13);
    int rc = compress2(out + at + 8, &packed, raw, raw_bytes, 6);
    if (rc != Z_OK) {
        st = pz_fail(log, PZ_ERR_INTERNAL, "%s: zlib refused the picture: %s", path, zError(rc));
        goto fail;
    }
    at += chunk(out + at, "IDAT", packed);
    at += chunk(out + at, "IEND", 0);
    st = pz_file_write(log, path, out, at);
fail:
    pz_free(raw);
    pz_free(out);
    return st;
}

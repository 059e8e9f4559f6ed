/* Writes PNG with stored deflate blocks. Source: PNG specification (ISO 15948), RFC 1950, RFC 1951. */
#include "png.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"

static void be32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t crc(const uint8_t *p, size_t n)
{
    uint32_t c = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ (0xedb88320u & (0u - (c & 1u)));
    }
    return ~c;
}

static size_t chunk(uint8_t *out, const char *type, size_t n)
{
    be32(out, (uint32_t)n);
    memcpy(out + 4, type, 4);
    be32(out + 8 + n, crc(out + 4, n + 4));
    return n + 12;
}

enum pz_status pz_syn_png_write(struct pz_log *log, const char *path, const uint8_t *rgb, int w, int h)
{
    size_t row = 3 * (size_t)w + 1, raw = row * (size_t)h, blocks = (raw + 65534) / 65535;
    size_t zn = 2 + raw + 5 * blocks + 4;
    uint8_t *b = pz_calloc(8 + 25 + zn + 12 + 12, 1), *line = pz_calloc(raw, 1);
    if (!b || !line) {
        pz_free(b);
        pz_free(line);
        return pz_fail(log, PZ_ERR_NOMEM, "png: out of memory");
    }
    for (int y = 0; y < h; y++)
        memcpy(line + (size_t)y * row + 1, rgb + (size_t)y * (row - 1), row - 1);
    memcpy(b, "\x89PNG\r\n\x1a\n", 8);
    size_t o = 8;
    be32(b + o + 8, (uint32_t)w);
    be32(b + o + 12, (uint32_t)h);
    memcpy(b + o + 16, "\x08\x02\0\0\0", 5);
    o += chunk(b + o, "IHDR", 13);
    uint8_t *z = b + o + 8;
    *z++ = 0x78;
    *z++ = 0x01;
    uint32_t s1 = 1, s2 = 0;
    for (size_t i = 0; i < raw; i += 65535) {
        size_t n = raw - i < 65535 ? raw - i : 65535;
        *z++ = i + n == raw;
        *z++ = (uint8_t)n;
        *z++ = (uint8_t)(n >> 8);
        *z++ = (uint8_t)~n;
        *z++ = (uint8_t)(~n >> 8);
        memcpy(z, line + i, n);
        z += n;
    }
    for (size_t i = 0; i < raw; i++) {
        s1 = (s1 + line[i]) % 65521u;
        s2 = (s2 + s1) % 65521u;
    }
    be32(z, s2 << 16 | s1);
    o += chunk(b + o, "IDAT", zn);
    o += chunk(b + o, "IEND", 0);
    enum pz_status st = pz_file_write(log, path, b, o);
    pz_free(b);
    pz_free(line);
    return st;
}

/* 16-bit PCM WAV, written whole and atomically. Reading is sound.c's, through FFmpeg. */
#include <math.h>

#include "base/file.h"
#include "base/mem.h"
#include "media/media.h"

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

enum pz_status pz_wav_write(struct pz_log *log, const char *path, const float *x, int64_t n, int rate,
                            int channels)
{
    if (n < 0 || rate <= 0 || channels <= 0 || channels > 64 || n > (INT32_MAX - 64) / (2 * channels))
        return pz_fail(log, PZ_ERR_USAGE, "cannot write '%s': %lld samples of %d channels do not fit a WAV",
                       path, (long long)n, channels);
    uint32_t bytes = (uint32_t)(n * channels * 2);
    uint8_t *d = pz_calloc((size_t)bytes + 44, 1);
    if (!d)
        return pz_fail(log, PZ_ERR_NOMEM, "no memory to write '%s'", path);
    const uint8_t head[44] = "RIFF....WAVEfmt ....................data....";
    for (int i = 0; i < 44; i++)
        d[i] = head[i];
    put32(d + 4, bytes + 36);
    put32(d + 16, 16);
    put32(d + 20, 1u | (uint32_t)channels << 16);
    put32(d + 24, (uint32_t)rate);
    put32(d + 28, (uint32_t)(rate * channels * 2));
    put32(d + 32, (uint32_t)(channels * 2) | 16u << 16);
    put32(d + 40, bytes);
    for (int64_t i = 0; i < n * channels; i++) {
        float v = x[i] * 32768.0f;
        long q = v >= 32767.0f ? 32767 : v <= -32768.0f ? -32768 : isnan(v) ? 0 : lrintf(v);
        d[44 + 2 * i] = (uint8_t)q;
        d[45 + 2 * i] = (uint8_t)(q >> 8);
    }
    enum pz_status st = pz_file_write(log, path, d, (size_t)bytes + 44);
    pz_free(d);
    return st;
}

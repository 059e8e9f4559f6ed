// RIFF/WAVE reader for what voices write. Every length in the file is distrusted: programs that write to a
// pipe give sizes of 2 GiB or 0, which are cut to what is there.
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "speech/voice.h"

#define MAX_SECONDS 600

struct wav_format {
    int tag, channels, rate, bits;
};

static uint32_t le(const uint8_t *p, int n)
{
    uint32_t v = 0;

    for (int i = n - 1; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

static float sample(const uint8_t *p, const struct wav_format *f)
{
    if (f->tag == 3) {
        uint32_t u = le(p, 4);
        float v;

        memcpy(&v, &u, sizeof v);
        return isfinite(v) ? fmaxf(-1.0f, fminf(1.0f, v)) : 0.0f;
    }
    switch (f->bits) {
    case 8:
        return ((float)p[0] - 128.0f) / 128.0f;
    case 16:
        return (float)(int16_t)le(p, 2) / 32768.0f;
    case 24:
        return (float)(int32_t)(le(p, 3) << 8) / 2147483648.0f;
    default:
        return (float)(int32_t)le(p, 4) / 2147483648.0f;
    }
}

enum pz_status pz_wav_parse(struct pz_log *log, const uint8_t *data, size_t n_bytes, float **samples,
                            int64_t *n, int *rate)
{
    struct wav_format f = {0};
    const uint8_t *pcm = NULL;
    size_t pcm_n = 0, frame, frames;

    *samples = NULL;
    *n = 0;
    *rate = 0;
    if (n_bytes < 12 || memcmp(data, "RIFF", 4) != 0 || memcmp(data + 8, "WAVE", 4) != 0)
        return pz_fail(log, PZ_ERR_FORMAT, "WAV: %zu bytes that do not begin with RIFF…WAVE", n_bytes);
    for (size_t at = 12; at + 8 <= n_bytes && !pcm;) {
        size_t size = le(data + at + 4, 4), left = n_bytes - at - 8;
        const uint8_t *body = data + at + 8;

        if (memcmp(data + at, "fmt ", 4) == 0 && size >= 16 && left >= 16) {
            f = (struct wav_format){.tag = (int)le(body, 2),
                                    .channels = (int)le(body + 2, 2),
                                    .rate = le(body + 4, 4) < 1000000u ? (int)le(body + 4, 4) : 0,
                                    .bits = (int)le(body + 14, 2)};
            if (f.tag == 0xFFFE && size >= 26 && left >= 26) // extensible: the first two bytes of the GUID
                f.tag = (int)le(body + 24, 2);
        } else if (memcmp(data + at, "data", 4) == 0) {
            pcm = body;
            pcm_n = size == 0 || size > left ? left : size;
        }
        if (size > left)
            size = left;
        at += 8 + size + (size & 1);
    }
    if (!pcm || f.tag == 0)
        return pz_fail(log, PZ_ERR_FORMAT, "WAV: no %s chunk", pcm ? "fmt" : "data");
    if (f.rate < 4000 || f.rate > 384000 || f.channels < 1 || f.channels > 8 ||
        !((f.tag == 1 && (f.bits == 8 || f.bits == 16 || f.bits == 24 || f.bits == 32)) ||
          (f.tag == 3 && f.bits == 32)))
        return pz_fail(log, PZ_ERR_UNSUPPORTED,
                       "WAV: format %d, %d bits, %d channels at %d Hz; PCM or float is needed", f.tag, f.bits,
                       f.channels, f.rate);
    frame = (size_t)f.channels * (size_t)f.bits / 8;
    frames = pcm_n / frame;
    if (frames > (size_t)MAX_SECONDS * (size_t)f.rate)
        return pz_fail(log, PZ_ERR_UNSUPPORTED, "WAV: longer than %d s", MAX_SECONDS);
    *samples = pz_calloc(frames + 1, sizeof **samples);
    if (!*samples)
        return PZ_ERR_NOMEM;
    for (size_t i = 0; i < frames; i++) {
        float sum = 0.0f;

        for (int c = 0; c < f.channels; c++)
            sum += sample(pcm + i * frame + (size_t)c * (size_t)f.bits / 8, &f);
        (*samples)[i] = sum / (float)f.channels;
    }
    *n = (int64_t)frames;
    *rate = f.rate;
    return PZ_OK;
}

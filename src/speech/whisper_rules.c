// What Whisper may say next, and measures of what it said. Pure functions. Source: spec/whisper.md §7.
#include <float.h>
#include <math.h>
#include <string.h>
#include <zlib.h>

#include "base/mem.h"
#include "speech/whisper_decode.h"

#define FIRST_AT_MOST 50 /* timestamps of 0.02 s: what is said first begins within one second */
#define ZLIB_LEVEL 6     /* the threshold of 2.4 speaks of this one */

static void forbid(float *logits, int from, int to)
{
    for (int i = from; i < to; i++)
        logits[i] = -INFINITY;
}

double pz_whisper_log_sum(const float *logits, int n)
{
    float top = -INFINITY;
    double sum = 0;
    for (int i = 0; i < n; i++)
        top = logits[i] > top ? logits[i] : top;
    if (!(top > -INFINITY))
        return -INFINITY;
    for (int i = 0; i < n; i++)
        sum += (double)expf(logits[i] - top);
    return (double)top + log(sum);
}

static void timestamp_rules(const struct pz_whisper_rules *r, const int *said, int n, float *logits)
{
    const int first = r->special->first_timestamp, end = r->n_vocab;
    bool last = n >= 1 && said[n - 1] >= first, before = n < 2 || said[n - 2] >= first;
    logits[r->special->no_timestamps] = -INFINITY;
    if (last && before)
        forbid(logits, first, end);
    else if (last)
        forbid(logits, 0, r->special->end_of_text);
    for (int i = n - 1; i >= 0; i--)
        if (said[i] >= first) { /* never back in time, and a pair is longer than nothing */
            forbid(logits, first, said[i] + (last && !before ? 0 : 1));
            break;
        }
    if (n == 0) {
        forbid(logits, 0, first);
        forbid(logits, first + FIRST_AT_MOST + 1, end);
    }
    float text = -INFINITY;
    for (int i = 0; i < first; i++)
        text = logits[i] > text ? logits[i] : text;
    if (pz_whisper_log_sum(logits + first, end - first) > (double)text)
        forbid(logits, 0, first);
}

void pz_whisper_filter(const struct pz_whisper_rules *r, const int *said, int n, float *logits)
{
    if (n == 0) {
        if (r->blank >= 0)
            logits[r->blank] = -INFINITY;
        logits[r->special->end_of_text] = -INFINITY;
    }
    for (int i = 0; i < r->n_suppressed; i++)
        logits[r->suppressed[i]] = -INFINITY;
    if (r->timestamps)
        timestamp_rules(r, said, n, logits);
}

static bool white(char c)
{
    return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x1f);
}

double pz_whisper_compression(const char *text)
{
    size_t n = strlen(text);
    while (n && white(text[n - 1]))
        n--;
    while (n && white(*text)) {
        text++;
        n--;
    }
    uLongf made = compressBound((uLong)n);
    Bytef *room = pz_calloc(made, 1);
    if (!room || compress2(room, &made, (const Bytef *)text, (uLong)n, ZLIB_LEVEL) != Z_OK)
        made = 0;
    pz_free(room);
    return made ? (double)n / (double)made : 0;
}

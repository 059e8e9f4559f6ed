// Are two spellings the same words? Letters and digits count; case, marks, punctuation and where words are
// split do not.
#include <ctype.h>
#include <string.h>

#include "speech/flite_say.h"
#include "speech/hear.h"

/** Signs without a sound of their own: combining marks, directions, joiners, Hebrew points, Arabic vowels. */
static bool is_silent(unsigned c)
{
    return (c >= 0x300 && c <= 0x36F) || (c >= 0x591 && c <= 0x5C7) || c == 0x61C ||
           (c >= 0x64B && c <= 0x652) || c == 0x640 || (c >= 0x2000 && c <= 0x206F) || c == 0xFEFF ||
           (c >= 0x80 && c < 0xC0);
}

size_t pz_squash(const char *text, char *out, size_t n, size_t cap)
{
    const unsigned char *p = (const unsigned char *)text;

    while (*p) {
        size_t k = *p >= 0xF0 ? 4 : *p >= 0xE0 ? 3 : *p >= 0xC0 ? 2 : 1;
        unsigned c = k > 1 ? *p & (0x7Fu >> k) : *p;
        char one[5] = "", folded[8];

        for (size_t i = 1; i < k; i++) {
            if ((p[i] & 0xC0) != 0x80) {
                k = i;
                break;
            }
            c = c << 6 | (p[i] & 0x3Fu);
        }
        memcpy(one, p, k);
        p += k;
        if (is_silent(c))
            continue;
        pz_fold_ascii(one, folded, sizeof folded);
        if (isalnum((unsigned char)folded[0]) && n + 1 < cap) {
            if (n && out[n - 1] == (char)tolower((unsigned char)folded[0]))
                continue; // said once: "Anuj ji", "Anuji"
            out[n++] = (char)tolower((unsigned char)folded[0]);
        } else if (c >= 0x370 && n + k < cap) {
            memcpy(out + n, one, k);
            n += k;
        }
    }
    out[n] = 0;
    return n;
}

int pz_words_same(const char *const *texts, int n, const char *wanted)
{
    char want[512], have[512];
    size_t w = pz_squash(wanted, want, 0, sizeof want), h = 0;

    for (int i = 0; i < n && h < w; i++) {
        h = pz_squash(texts[i], have, h, sizeof have);
        if (h == 0 || memcmp(want, have, h < w ? h : w) != 0)
            return 0;
        if (h == w)
            return i + 1;
    }
    return 0;
}

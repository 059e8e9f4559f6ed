// IPA to phones, folding of Latin letters, and phonetic likeness. Tables only; no dictionary.
//
// The mapping is by articulation (what the mouth does), since its first use is lips: a nasal vowel is its
// oral one, every r is R, clicks and tones have no place. Source of the letters: the IPA chart (2020),
// espeak-ng's --ipa output.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "speech/flite_say.h"
#include "speech/lexicon.h"

/** Decode one code point and step on; 0 at the end or on a broken sequence. */
static uint32_t next_code(const char **s)
{
    const unsigned char *p = (const unsigned char *)*s;
    uint32_t c = *p;
    int more;

    if (c < 0x80) {
        *s += c ? 1 : 0;
        return c;
    }
    more = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : 1;
    c &= 0x3Fu >> more;
    for (int i = 1; i <= more; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3Fu);
    }
    *s += more + 1;
    return c;
}

struct ipa_unit {
    const char *text; /* UTF-8; longer ones first among those with a common start */
    int8_t phones[2]; /* second −1 = none */
};

static const struct ipa_unit units[] = {
    {"tʃ", {PZ_PH_CH, -1}},
    {"t͡ʃ", {PZ_PH_CH, -1}},
    {"tɕ", {PZ_PH_CH, -1}},
    {"t͡ɕ", {PZ_PH_CH, -1}},
    {"ʈʂ", {PZ_PH_CH, -1}},
    {"dʒ", {PZ_PH_JH, -1}},
    {"d͡ʒ", {PZ_PH_JH, -1}},
    {"dʑ", {PZ_PH_JH, -1}},
    {"d͡ʑ", {PZ_PH_JH, -1}},
    {"ts", {PZ_PH_T, PZ_PH_S}},
    {"aɪ", {PZ_PH_AY, -1}},
    {"aʊ", {PZ_PH_AW, -1}},
    {"eɪ", {PZ_PH_EY, -1}},
    {"oʊ", {PZ_PH_OW, -1}},
    {"əʊ", {PZ_PH_OW, -1}},
    {"ɔɪ", {PZ_PH_OY, -1}},
    {"ɔʏ", {PZ_PH_OY, -1}},
    {"aɪ̯", {PZ_PH_AY, -1}},
    {"aʊ̯", {PZ_PH_AW, -1}},
    {"ɪə", {PZ_PH_IH, PZ_PH_AH}},
    {"eə", {PZ_PH_EH, PZ_PH_AH}},
    {"ʊə", {PZ_PH_UH, PZ_PH_AH}},
    {"ɜː", {PZ_PH_ER, -1}},
    {"iː", {PZ_PH_IY, -1}},
    {"uː", {PZ_PH_UW, -1}},
    {"oː", {PZ_PH_OW, -1}},
    {"eː", {PZ_PH_EY, -1}},
    {"a", {PZ_PH_AA, -1}},
    {"ɑ", {PZ_PH_AA, -1}},
    {"ɒ", {PZ_PH_AA, -1}},
    {"ɐ", {PZ_PH_AH, -1}},
    {"æ", {PZ_PH_AE, -1}},
    {"ʌ", {PZ_PH_AH, -1}},
    {"ə", {PZ_PH_AX, -1}},
    {"ɘ", {PZ_PH_AX, -1}},
    {"ɵ", {PZ_PH_UH, -1}},
    {"ᵻ", {PZ_PH_IH, -1}},
    {"ɨ", {PZ_PH_IH, -1}},
    {"ɚ", {PZ_PH_ER, -1}},
    {"ɝ", {PZ_PH_ER, -1}},
    {"ɜ", {PZ_PH_ER, -1}},
    {"ɞ", {PZ_PH_ER, -1}},
    {"e", {PZ_PH_EH, -1}},
    {"ɛ", {PZ_PH_EH, -1}},
    {"œ", {PZ_PH_UH, -1}},
    {"ø", {PZ_PH_UH, -1}},
    {"ɪ", {PZ_PH_IH, -1}},
    {"i", {PZ_PH_IY, -1}},
    {"y", {PZ_PH_UW, -1}},
    {"ʏ", {PZ_PH_UH, -1}},
    {"ɔ", {PZ_PH_AO, -1}},
    {"o", {PZ_PH_OW, -1}},
    {"ɤ", {PZ_PH_AH, -1}},
    {"ʊ", {PZ_PH_UH, -1}},
    {"u", {PZ_PH_UW, -1}},
    {"ɯ", {PZ_PH_UH, -1}},
    {"ʉ", {PZ_PH_UW, -1}},
    {"p", {PZ_PH_P, -1}},
    {"b", {PZ_PH_B, -1}},
    {"ɓ", {PZ_PH_B, -1}},
    {"t", {PZ_PH_T, -1}},
    {"ʈ", {PZ_PH_T, -1}},
    {"d", {PZ_PH_D, -1}},
    {"ɖ", {PZ_PH_D, -1}},
    {"ɗ", {PZ_PH_D, -1}},
    {"k", {PZ_PH_K, -1}},
    {"c", {PZ_PH_K, -1}},
    {"q", {PZ_PH_K, -1}},
    {"ɡ", {PZ_PH_G, -1}},
    {"g", {PZ_PH_G, -1}},
    {"ɟ", {PZ_PH_G, -1}},
    {"ɢ", {PZ_PH_G, -1}},
    {"ɠ", {PZ_PH_G, -1}},
    {"f", {PZ_PH_F, -1}},
    {"ɸ", {PZ_PH_F, -1}},
    {"v", {PZ_PH_V, -1}},
    {"ʋ", {PZ_PH_V, -1}},
    {"β", {PZ_PH_V, -1}},
    {"θ", {PZ_PH_TH, -1}},
    {"ð", {PZ_PH_DH, -1}},
    {"s", {PZ_PH_S, -1}},
    {"z", {PZ_PH_Z, -1}},
    {"ʃ", {PZ_PH_SH, -1}},
    {"ʂ", {PZ_PH_SH, -1}},
    {"ɕ", {PZ_PH_SH, -1}},
    {"ç", {PZ_PH_HH, -1}},
    {"ʒ", {PZ_PH_ZH, -1}},
    {"ʐ", {PZ_PH_ZH, -1}},
    {"ʑ", {PZ_PH_ZH, -1}},
    {"x", {PZ_PH_HH, -1}},
    {"χ", {PZ_PH_HH, -1}},
    {"h", {PZ_PH_HH, -1}},
    {"ɦ", {PZ_PH_HH, -1}},
    {"ħ", {PZ_PH_HH, -1}},
    {"ɣ", {PZ_PH_G, -1}},
    {"ʁ", {PZ_PH_R, -1}},
    {"ʀ", {PZ_PH_R, -1}},
    {"m", {PZ_PH_M, -1}},
    {"ɱ", {PZ_PH_M, -1}},
    {"n", {PZ_PH_N, -1}},
    {"ɳ", {PZ_PH_N, -1}},
    {"ɲ", {PZ_PH_N, PZ_PH_Y}},
    {"ŋ", {PZ_PH_NG, -1}},
    {"ɴ", {PZ_PH_NG, -1}},
    {"l", {PZ_PH_L, -1}},
    {"ɭ", {PZ_PH_L, -1}},
    {"ɫ", {PZ_PH_L, -1}},
    {"ʎ", {PZ_PH_L, PZ_PH_Y}},
    {"ɬ", {PZ_PH_L, -1}},
    {"r", {PZ_PH_R, -1}},
    {"ɹ", {PZ_PH_R, -1}},
    {"ɾ", {PZ_PH_D, -1}},
    {"ɽ", {PZ_PH_R, -1}},
    {"ɻ", {PZ_PH_R, -1}},
    {"j", {PZ_PH_Y, -1}},
    {"w", {PZ_PH_W, -1}},
    {"ʍ", {PZ_PH_W, -1}},
    {"ɥ", {PZ_PH_W, -1}},
    {"ʔ", {-1, -1}},
    {"ʕ", {-1, -1}},
};

/** Marks without a sound of their own: stress, length, ties, tones, spaces, brackets, combining signs, raised
 * letters. */
static bool is_mark(uint32_t c)
{
    return c == ' ' || c == '/' || c == '[' || c == ']' || c == '.' || c == '-' || c == '_' || c == '|' ||
           c == '(' || c == ')' || c == '\'' || c == ',' || c == ':' || c == '\n' || c == '\r' ||
           (c >= '0' && c <= '9') || (c >= 0x2B0 && c <= 0x2FF) || (c >= 0x300 && c <= 0x36F) ||
           (c >= 0x200B && c <= 0x203F) || c == 0x1D4A || (c >= 0x2050 && c <= 0x209C) || c == 0x1DBF;
}

bool pz_ipa_parse(const char *utf8, struct pz_pron *out)
{
    out->n = 0;
    while (*utf8) {
        const struct ipa_unit *best = NULL;
        size_t best_n = 0;

        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
            size_t n = strlen(units[i].text);

            if (n > best_n && strncmp(utf8, units[i].text, n) == 0) {
                best = &units[i];
                best_n = n;
            }
        }
        if (best) {
            for (int k = 0; k < 2 && best->phones[k] >= 0; k++) {
                if (out->n == PZ_PRON_MAX)
                    return false;
                out->phones[out->n++] = (uint8_t)best->phones[k];
            }
            utf8 += best_n;
        } else {
            uint32_t c = next_code(&utf8);

            if (!c || !is_mark(c))
                return false;
        }
    }
    return out->n > 0;
}

/** Base letters of U+00C0…U+017F, one per code point; ' ' = drop, lower-case digraphs are handled by their
 * first letter. */
static const char latin[] =
    "AAAAAAACEEEEIIIIDNOOOOO OUUUUYTsaaaaaaaceeeeiiiidnooooo ouuuuyty"
    "AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIiIiJjKkkLlLlLlLlLlNnNnNnnNnOoOoOoOo"
    "RrRrRrSsSsSsSsTtTtTtUuUuUuUuUuUuWwYyYZzZzZzs";

int pz_fold_ascii(const char *utf8, char *out, size_t out_bytes)
{
    size_t n = 0;
    int dropped = 0;

    while (*utf8 && n + 1 < out_bytes) {
        uint32_t c = next_code(&utf8);

        if (!c)
            break;
        if (c < 0x80)
            out[n++] = (char)c;
        else if (c >= 0xC0 && c < 0xC0 + sizeof latin - 1)
            out[n++] = latin[c - 0xC0];
        else if (c == 0x2018 || c == 0x2019 || c == 0x2BC)
            out[n++] = '\'';
        else if (c >= 0x300 && c <= 0x36F)
            continue; // a mark on the letter before
        else {
            out[n++] = ' ';
            dropped += c >= 0x370;
        }
    }
    out[n] = 0;
    return dropped;
}

/** Articulation class: lips and tongue place, for substitution costs. */
static int class_of(int p)
{
    switch (p) {
    case PZ_PH_P:
    case PZ_PH_B:
        return 1;
    case PZ_PH_F:
    case PZ_PH_V:
        return 2;
    case PZ_PH_TH:
    case PZ_PH_DH:
        return 3;
    case PZ_PH_T:
    case PZ_PH_D:
        return 4;
    case PZ_PH_S:
    case PZ_PH_Z:
        return 5;
    case PZ_PH_SH:
    case PZ_PH_ZH:
    case PZ_PH_CH:
    case PZ_PH_JH:
        return 6;
    case PZ_PH_K:
    case PZ_PH_G:
        return 7;
    case PZ_PH_M:
    case PZ_PH_N:
    case PZ_PH_NG:
        return 8;
    case PZ_PH_IY:
    case PZ_PH_IH:
    case PZ_PH_Y:
    case PZ_PH_EY:
        return 9;
    case PZ_PH_EH:
    case PZ_PH_AE:
        return 10;
    case PZ_PH_AA:
    case PZ_PH_AO:
    case PZ_PH_AH:
    case PZ_PH_AX:
        return 11;
    case PZ_PH_UW:
    case PZ_PH_UH:
    case PZ_PH_OW:
    case PZ_PH_W:
        return 12;
    case PZ_PH_AY:
    case PZ_PH_AW:
    case PZ_PH_OY:
        return 13;
    case PZ_PH_L:
        return 14;
    case PZ_PH_R:
    case PZ_PH_ER:
        return 15;
    case PZ_PH_HH:
        return 16;
    default:
        return 0;
    }
}

static bool is_vowel(int p)
{
    int c = class_of(p);

    return (c >= 9 && c <= 13 && p != PZ_PH_Y && p != PZ_PH_W) || p == PZ_PH_ER;
}

static float swap_cost(int a, int b)
{
    if (a == b)
        return 0.0f;
    if ((a == PZ_PH_AX || a == PZ_PH_AH) && (b == PZ_PH_AX || b == PZ_PH_AH))
        return 0.0f;
    if (class_of(a) == class_of(b))
        return 0.35f;
    if (is_vowel(a) && is_vowel(b))
        return 0.6f;
    return 1.0f;
}

float pz_phones_likeness(const uint8_t *a, int na, const uint8_t *b, int nb)
{
    float row[PZ_PRON_MAX * 4 + 1];
    int longer = na > nb ? na : nb;

    if (longer == 0)
        return 1.0f;
    if (nb > PZ_PRON_MAX * 4)
        nb = PZ_PRON_MAX * 4;
    for (int j = 0; j <= nb; j++)
        row[j] = (float)j * 0.8f;
    for (int i = 1; i <= na; i++) {
        float diag = row[0];

        row[0] = (float)i * 0.8f;
        for (int j = 1; j <= nb; j++) {
            float best = diag + swap_cost(a[i - 1], b[j - 1]);

            diag = row[j];
            if (row[j] + 0.8f < best)
                best = row[j] + 0.8f;
            if (row[j - 1] + 0.8f < best)
                best = row[j - 1] + 0.8f;
            row[j] = best;
        }
    }
    return row[nb] >= (float)longer ? 0.0f : 1.0f - row[nb] / (float)longer;
}

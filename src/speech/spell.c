// Reading names that no dictionary has as most of the world spells them. No exceptions, no stress.
#include "speech/spell.h"

#include <ctype.h>
#include <string.h>

#include "speech/flite_say.h"

struct rule {
    const char *letters;
    signed char phones[2]; /* second −1 = none */
};

// Longer ones first.
static const struct rule rules[] = {
    {"sch", {PZ_PH_SH, -1}},     {"tch", {PZ_PH_CH, -1}},     {"sh", {PZ_PH_SH, -1}},
    {"ch", {PZ_PH_CH, -1}},      {"th", {PZ_PH_T, -1}},       {"ph", {PZ_PH_F, -1}},
    {"kh", {PZ_PH_K, -1}},       {"gh", {PZ_PH_G, -1}},       {"bh", {PZ_PH_B, -1}},
    {"dh", {PZ_PH_D, -1}},       {"jh", {PZ_PH_JH, -1}},      {"zh", {PZ_PH_ZH, -1}},
    {"ng", {PZ_PH_NG, -1}},      {"ck", {PZ_PH_K, -1}},       {"qu", {PZ_PH_K, PZ_PH_W}},
    {"aa", {PZ_PH_AA, -1}},      {"ee", {PZ_PH_IY, -1}},      {"oo", {PZ_PH_UW, -1}},
    {"ou", {PZ_PH_UW, -1}},      {"ai", {PZ_PH_AY, -1}},      {"ay", {PZ_PH_AY, -1}},
    {"au", {PZ_PH_AW, -1}},      {"ei", {PZ_PH_EY, -1}},      {"ey", {PZ_PH_EY, -1}},
    {"ce", {PZ_PH_S, PZ_PH_EH}}, {"ci", {PZ_PH_S, PZ_PH_IY}}, {"ya", {PZ_PH_Y, PZ_PH_AA}},
    {"ye", {PZ_PH_Y, PZ_PH_EH}}, {"yo", {PZ_PH_Y, PZ_PH_OW}}, {"yu", {PZ_PH_Y, PZ_PH_UW}},
    {"a", {PZ_PH_AA, -1}},       {"b", {PZ_PH_B, -1}},        {"c", {PZ_PH_K, -1}},
    {"d", {PZ_PH_D, -1}},        {"e", {PZ_PH_EH, -1}},       {"f", {PZ_PH_F, -1}},
    {"g", {PZ_PH_G, -1}},        {"h", {PZ_PH_HH, -1}},       {"i", {PZ_PH_IY, -1}},
    {"j", {PZ_PH_JH, -1}},       {"k", {PZ_PH_K, -1}},        {"l", {PZ_PH_L, -1}},
    {"m", {PZ_PH_M, -1}},        {"n", {PZ_PH_N, -1}},        {"o", {PZ_PH_OW, -1}},
    {"p", {PZ_PH_P, -1}},        {"q", {PZ_PH_K, -1}},        {"r", {PZ_PH_R, -1}},
    {"s", {PZ_PH_S, -1}},        {"t", {PZ_PH_T, -1}},        {"u", {PZ_PH_UW, -1}},
    {"v", {PZ_PH_V, -1}},        {"w", {PZ_PH_V, -1}},        {"x", {PZ_PH_K, PZ_PH_S}},
    {"y", {PZ_PH_IY, -1}},       {"z", {PZ_PH_Z, -1}},
};

bool pz_spell_plain(const char *word, struct pz_pron *out)
{
    char folded[256], last = 0;
    const char *p = folded;

    out->n = 0;
    pz_fold_ascii(word, folded, sizeof folded);
    for (char *q = folded; *q; q++)
        *q = (char)tolower((unsigned char)*q);
    while (*p) {
        const struct rule *r = NULL;

        for (size_t i = 0; i < sizeof rules / sizeof *rules && !r; i++)
            if (strncmp(p, rules[i].letters, strlen(rules[i].letters)) == 0)
                r = &rules[i];
        if (!r || (*p == last && !strchr("aeiou", *p))) { // no letter; a letter written twice is said once
            last = *p++;
            continue;
        }
        for (int k = 0; k < 2 && r->phones[k] >= 0; k++) {
            if (out->n == PZ_PRON_MAX)
                return false;
            out->phones[out->n++] = (unsigned char)r->phones[k];
        }
        p += strlen(r->letters);
        last = p[-1];
    }
    return out->n > 0;
}

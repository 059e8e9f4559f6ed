// What is looked for, as phones.
#include "speech/spot.h"

#include <ctype.h>
#include <string.h>

enum pz_status pz_keyword_make(const struct pz_lexicon *lex, struct pz_log *log, const char *words,
                               const char *say, struct pz_keyword *k)
{
    char word[64];
    size_t n = 0;

    *k = (struct pz_keyword){0};
    if (say && say[0]) {
        k->n_prons = 1;
        return pz_say_parse(lex, log, say, &k->prons[0]);
    }
    k->n_prons = 1;
    for (const char *p = words;; p++) {
        if (*p && !isspace((unsigned char)*p)) {
            if (n + 1 < sizeof word)
                word[n++] = *p;
            continue;
        }
        word[n] = 0;
        if (n) {
            struct pz_pron alt[PZ_SPOT_PRONS];
            int n_alt = pz_lexicon_pronounce(lex, word, alt, PZ_SPOT_PRONS);
            bool first = k->prons[0].n == 0;

            // The first word's alternatives are kept; later words use their best one, or the list would
            // multiply.
            for (int i = 0; i < (first ? n_alt : k->n_prons); i++) {
                const struct pz_pron *add = first ? &alt[i] : &alt[0];
                struct pz_pron *dst = &k->prons[i];

                if (n_alt < 1)
                    break;
                if (dst->n + add->n > PZ_PRON_MAX)
                    return pz_fail(log, PZ_ERR_INPUT, "\"%s\" is too long to look for", words);
                memcpy(dst->phones + dst->n, add->phones, (size_t)add->n);
                dst->n += add->n;
            }
            if (first && n_alt > 0)
                k->n_prons = n_alt;
        }
        n = 0;
        if (!*p)
            break;
    }
    if (k->prons[0].n == 0)
        return pz_fail(log, PZ_ERR_INPUT, "cannot tell how \"%s\" is pronounced; give it with --say", words);
    return PZ_OK;
}

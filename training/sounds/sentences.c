// Sentences to be spoken while teaching. No meaning is intended.
#include "sentences.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define MOST_WORDS 140000
#define PAUSES 0.18f
#define OFTEN 0.35f /* share of little words */

static const char *const little[] = {"the",  "a",    "of",  "and", "to",   "in",   "is",   "you",
                                     "that", "it",   "for", "was", "on",   "are",  "with", "as",
                                     "his",  "they", "be",  "at",  "your", "have", "from", "this",
                                     "we",   "will", "our", "has", "my",   "me"};

bool sentences_open(struct sentences *s, const char *path)
{
    FILE *f = fopen(path, "r");
    char line[512], word[128];

    *s = (struct sentences){.words = pz_calloc(MOST_WORDS, sizeof *s->words)};
    while (f && s->words && s->n < MOST_WORDS && fgets(line, sizeof line, f)) {
        size_t n = sscanf(line, "%120s", word) == 1 ? strlen(word) : 0;
        bool good = n >= 3 && n <= 12;

        for (size_t i = 0; i < n && good; i++)
            good = islower((unsigned char)word[i]) != 0;
        if (good)
            memcpy(s->words[s->n++], word, n + 1);
    }
    if (f)
        fclose(f);
    return s->n > 0;
}

void sentences_close(struct sentences *s)
{
    pz_free(s->words);
    *s = (struct sentences){0};
}

void sentence_make(const struct sentences *s, struct pz_rng *rng, char out[256])
{
    int n = 3 + (int)pz_rng_below(rng, 5);
    size_t at = 0;

    for (int i = 0; i < n; i++) {
        const char *w = pz_rng_uniform(rng) < OFTEN
                            ? little[pz_rng_below(rng, sizeof little / sizeof *little)]
                            : s->words[pz_rng_below(rng, (uint32_t)s->n)];
        const char *join = i + 1 == n ? "." : pz_rng_uniform(rng) < PAUSES ? ", " : " ";

        at += (size_t)snprintf(out + at, 256 - at, "%s%s", w, join);
    }
    out[0] = (char)toupper((unsigned char)out[0]);
}

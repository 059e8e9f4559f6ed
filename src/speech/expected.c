// Words that are looked for, made known to the recogniser: each way of saying one is a word of its own, at a
// likelihood that names in a message have, not the one they have in newspapers (or none). The recogniser then
// weighs them against all other words in their places. The library can add words to a language model, but
// reads beyond its tables afterwards (5prealpha, trie models); so they get a small model of their own, and
// the two are mixed.
#include "speech/expected.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sphinxbase/logmath.h>
#include <sphinxbase/ngram_model.h>

#define SHARE_MOST 0.3 /* of the words that are said, for all wanted ones together */
#define NAME 24

/** Phones as the dictionary has them. */
static bool spelled(const struct pz_pron *p, char *out, size_t cap)
{
    size_t n = 0;

    for (int i = 0; i < p->n; i++) {
        const char *name = pz_phone_name(p->phones[i] == PZ_PH_AX ? PZ_PH_AH : p->phones[i]);
        int k = snprintf(out + n, cap - n, "%s%s", i ? " " : "", name);

        if (k < 0 || (size_t)k >= cap - n)
            return false;
        n += (size_t)k;
    }
    return n > 0;
}

/** Words into the dictionary; *count of them. */
static enum pz_status add_words(struct pz_log *log, ps_decoder_t *ps, const struct pz_keyword *const *k,
                                int n, int *count)
{
    *count = 0;
    for (int i = 0; i < n; i++)
        for (int p = 0; p < k[i]->n_prons; p++) {
            char name[NAME], phones[8 * PZ_PRON_MAX];

            snprintf(name, sizeof name, "@%d.%d", i, p);
            if (!spelled(&k[i]->prons[p], phones, sizeof phones) || ps_add_word(ps, name, phones, FALSE) < 0)
                return pz_fail(log, PZ_ERR_INTERNAL, "speech recogniser: wanted word %d is refused", i + 1);
            ++*count;
        }
    return PZ_OK;
}

/** A language model of these words alone, all alike. The library reads models from files only. */
static enum pz_status small_model(struct pz_log *log, ps_decoder_t *ps, const struct pz_keyword *const *k,
                                  int n, int count, double share, ngram_model_t **out)
{
    char path[64];
    int fd = memfd_create("wanted words", MFD_CLOEXEC);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;

    *out = NULL;
    if (!f) {
        if (fd >= 0)
            close(fd);
        return PZ_ERR_NOMEM;
    }
    fprintf(f, "\\data\\\nngram 1=%d\nngram 2=1\n\n\\1-grams:\n-99 <s> 0.0\n-0.01 </s> 0.0\n", count + 2);
    for (int i = 0; i < n; i++)
        for (int p = 0; p < k[i]->n_prons; p++)
            fprintf(f, "%.3f @%d.%d 0.0\n", log10(fmin(share, SHARE_MOST / count)), i, p);
    fprintf(f, "\n\\2-grams:\n-1 <s> </s>\n\n\\end\\\n");
    if (fflush(f) == 0) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        *out = ngram_model_read(ps_get_config(ps), path, NGRAM_ARPA, ps_get_logmath(ps));
    }
    fclose(f);
    return *out ? PZ_OK
                : pz_fail(log, PZ_ERR_INTERNAL, "speech recogniser: no language model of %d words", count);
}

enum pz_status pz_expected_add(struct pz_log *log, ps_decoder_t *ps, const char *lm,
                               const struct pz_keyword *const *k, int n, double share)
{
    ngram_model_t *models[2] = {NULL, NULL}, *both = NULL;
    char *names[2] = {"all", "wanted"};
    float32 shares[2];
    enum pz_status st;
    int count;

    PZ_TRY(add_words(log, ps, k, n, &count));
    PZ_TRY(small_model(log, ps, k, n, count, share, &models[1]));
    models[0] = ngram_model_read(ps_get_config(ps), lm, NGRAM_AUTO, ps_get_logmath(ps));
    shares[1] = 0.5f;
    shares[0] = 1.0f - shares[1];
    if (models[0])
        both = ngram_model_set_init(ps_get_config(ps), models, names, shares, 2);
    st = both && ps_set_lm(ps, "wanted", both) == 0 && ps_set_search(ps, "wanted") == 0
             ? PZ_OK
             : pz_fail(log, PZ_ERR_WEIGHTS, "speech recogniser: the language model %s cannot be used", lm);
fail:
    if (both) // it and the decoder keep references of their own
        ngram_model_free(both);
    for (int i = 0; i < 2; i++)
        if (models[i])
            ngram_model_free(models[i]);
    return st;
}

int pz_expected_index(const char *text)
{
    int i = 0;

    if (text[0] != '@' || !isdigit((unsigned char)text[1]))
        return -1;
    for (const char *p = text + 1; isdigit((unsigned char)*p) && i < 100000; p++)
        i = i * 10 + (*p - '0');
    return i;
}

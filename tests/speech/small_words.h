/* A rank file small enough to be made here: the single bytes and a few merges. For tests only. */
#ifndef PZ_TEST_SMALL_WORDS_H
#define PZ_TEST_SMALL_WORDS_H

static const char *const merges[] = {"he", "ll",  "hell", "hello", " w", "or", " wor", "ld", " world",
                                     "42", " 42", "'s",   "  ",    "é",  "'l", "'ll",  " -", " '"};
#define N_MERGES ((int)(sizeof merges / sizeof *merges))
#define N_RANKS (256 + N_MERGES)
#define FIXED (8 + PZ_WHISPER_TIMESTAMPS)

static size_t encode64(const char *s, size_t n, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t k = 0;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t b = 0;
        for (size_t j = 0; j < 3; j++)
            b = b << 8 | (i + j < n ? (unsigned char)s[i + j] : 0);
        for (size_t j = 0; j < 4; j++)
            out[k++] = i + j < n + 1 ? digits[b >> (18 - 6 * j) & 63] : '=';
    }
    return k;
}

/* Bytes 0 … 255 in turn, then the merges, then (multilingual) the empty token. */
static size_t rank_file(char *out, bool multilingual)
{
    size_t n = 0;
    for (int i = 0; i < N_RANKS; i++) {
        char c = (char)i;
        n += encode64(i < 256 ? &c : merges[i - 256], i < 256 ? 1 : strlen(merges[i - 256]), out + n);
        n += (size_t)sprintf(out + n, " %d\n", i);
    }
    if (multilingual)
        n += (size_t)sprintf(out + n, "= %d\n", N_RANKS);
    return n;
}

static struct pz_whisper_vocab *open_small(bool multilingual, int languages)
{
    static char text[16384];
    struct pz_whisper_vocab *v;
    size_t n = rank_file(text, multilingual);
    assert_int_equal(
        pz_whisper_vocab_parse(NULL, text, n, "small", N_RANKS + multilingual + FIXED + languages, &v),
        PZ_OK);
    return v;
}

#endif

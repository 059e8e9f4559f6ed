/* Whisper's tokens on a small rank file made here: splitting, merging, special tokens of the three kinds of
 * model, text of broken bytes, words, and broken files. With the official rank files in
 * $PERSONALIZE_MODELS/whisper the fact sheet's own lines are compared as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "speech/whisper_vocab.h"
#include "small_words.h"

static void same(const struct pz_whisper_vocab *v, const char *text, const int *want)
{
    int ids[128], n = pz_whisper_vocab_encode(v, text, strlen(text), ids, 128), k = 0;
    for (; want[k] >= 0; k++)
        if (k >= n || ids[k] != want[k])
            fail_msg("'%s': token %d is %d, want %d", text, k, k < n ? ids[k] : -1, want[k]);
    assert_int_equal(n, k);
    char *back = pz_whisper_vocab_decode(v, ids, n);
    assert_string_equal(back, text);
    pz_free(back);
}

#define M(i) (256 + (i))
static void pieces_and_merges(void **state)
{
    struct pz_whisper_vocab *v = open_small(true, 99);
    same(v, "hello", (int[]){M(3), -1});
    same(v, "hello world", (int[]){M(3), M(8), -1});
    same(v, "hell", (int[]){M(2), -1});
    same(v, "hells", (int[]){M(2), 's', -1});
    same(v, "he's 42", (int[]){M(0), M(11), M(10), -1});
    same(v, "he'll", (int[]){M(0), M(15), -1});
    same(v, "HE'LL", (int[]){'H', 'E', '\'', 'L', 'L', -1}); /* lower case only */
    same(v, "a42b", (int[]){'a', M(9), 'b', -1});            /* letters and numbers part */
    same(v, "a   b", (int[]){'a', M(12), ' ', 'b', -1});     /* the last space goes with the word */
    same(v, "a\n\n b", (int[]){'a', '\n', '\n', ' ', 'b', -1});
    same(v, "b  ", (int[]){'b', M(12), -1});
    same(v, "caf\xc3\xa9\xc3\xa9", (int[]){'c', 'a', 'f', M(13), M(13), -1});
    same(v, "\xc2\xa0x", (int[]){0xc2, 0xa0, 'x', -1}); /* a hard space is white space */
    same(v, "", (int[]){-1});
    int ids[2], n = pz_whisper_vocab_encode(v, "hello world 42", 14, ids, 2);
    assert_int_equal(n, 3); /* more than there is room for: counted only */
    assert_int_equal(ids[1], M(8));
    n = pz_whisper_vocab_encode(v, "\xff\xfe", 2, ids, 2); /* no UTF-8 at all */
    assert_int_equal(n, 2);
    assert_int_equal(ids[0], 0xff);
    int silent[128];
    n = pz_whisper_vocab_silent(v, silent, 128);
    assert_true(n > 20);
    bool hyphen = false, letter = false;
    for (int i = 0; i < n; i++) {
        hyphen |= silent[i] == M(16);
        letter |= silent[i] == 'a';
        assert_true(i == 0 || silent[i] > silent[i - 1]);
    }
    assert_true(hyphen && !letter);
    pz_whisper_vocab_close(&v);
}

static void special_tokens(void **state)
{
    static const struct {
        bool multilingual;
        int languages;
    } kinds[] = {{false, 99}, {true, 99}, {true, 100}};
    for (int k = 0; k < 3; k++) {
        struct pz_whisper_vocab *v = open_small(kinds[k].multilingual, kinds[k].languages);
        const struct pz_whisper_special *s = pz_whisper_vocab_special(v);
        /* distances of the fact sheet's table, from the first special token */
        int e = N_RANKS + kinds[k].multilingual, l = kinds[k].languages;
        assert_int_equal(s->multilingual, kinds[k].multilingual);
        assert_int_equal(s->end_of_text, e);
        assert_int_equal(s->first_language, e + 2);
        assert_int_equal(s->transcribe, e + 2 + l + 1);
        assert_int_equal(s->no_speech, e + 2 + l + 4);
        assert_int_equal(s->first_timestamp, e + 2 + l + 6);
        assert_int_equal(s->first_timestamp + 1500, pz_whisper_vocab_size(v) - 1);
        char *text = pz_whisper_vocab_decode(
            v, (int[]){s->start, s->first_language + 2, s->first_timestamp, 'a', s->end_of_text, -1, 1 << 30},
            7);
        assert_string_equal(text, "<|startoftranscript|><|de|>a<|endoftext|>");
        pz_free(text);
        pz_whisper_vocab_close(&v);
    }
    assert_int_equal(pz_whisper_language_find("yue"), 99);
    assert_int_equal(pz_whisper_language_find("su"), 98);
    assert_int_equal(pz_whisper_language_find("xx"), -1);
}

static void broken_text_and_words(void **state)
{
    struct pz_whisper_vocab *v = open_small(true, 99);
    /* as Python's decode(errors="replace") */
    static const struct {
        int ids[6], n;
        const char *text;
    } cases[] = {{{0xc3, 'a'},
                  2,
                  "\xef\xbf\xbd"
                  "a"},
                 {{0xe2, 0x82, 'a'},
                  3,
                  "\xef\xbf\xbd"
                  "a"},
                 {{0x80, 0x80}, 2, "\xef\xbf\xbd\xef\xbf\xbd"},
                 {{0xed, 0xa0, 0x80}, 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
                 {{0xf0, 0x9f, 0x98, 0x80}, 4, "\xf0\x9f\x98\x80"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = pz_whisper_vocab_decode(v, cases[i].ids, cases[i].n);
        assert_string_equal(text, cases[i].text);
        pz_free(text);
    }
    int ends[16];
    int said[] = {M(3), M(8), '!', ' ', 'h', M(13), M(10), '.'};
    assert_int_equal(pz_whisper_vocab_words(v, "en", said, 8, ends),
                     6); /* hello, world, !, " hé", " 42", . */
    static const int want[] = {1, 2, 3, 6, 7, 8};
    for (int i = 0; i < 6; i++)
        assert_int_equal(ends[i], want[i]);
    int han[] = {0xe4, 0xbd, 0xa0, 0xe5, 0xa5, 0xbd, 0xe5};
    assert_int_equal(pz_whisper_vocab_words(v, "zh", han, 6, ends), 2); /* two characters, three bytes each */
    assert_int_equal(ends[0], 3);
    assert_int_equal(pz_whisper_vocab_words(v, "en", han, 6, ends), 1);
    assert_int_equal(pz_whisper_vocab_words(v, "zh", han, 7, ends), 3); /* a broken one stays a word */
    assert_int_equal(ends[2], 7);
    pz_whisper_vocab_close(&v);
}

static void broken_files(void **state)
{
    static char good[16384], text[16384 + 64];
    size_t n = rank_file(good, true);
    struct pz_whisper_vocab *v;
    int size = N_RANKS + 1 + FIXED + 99;
    static const struct {
        const char *from, *to;
    } cases[] = {{"aGU= 256", "aGU=256"},  {"aGU= 256", "a*U= 256"},        {"aGU= 256", "aGU= 255"},
                 {"aGU= 256", "aGU= 999"}, {"aGU= 256", "aGU= 2x6"},        {"aGU= 256", "bGw= 256"},
                 {"QQ== 65\n", ""},        {"aGU= 256", "aGU= 99999999999"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        good[n] = 0;
        char *at = strstr(good, cases[i].from);
        assert_non_null(at);
        sprintf(text, "%.*s%s%s", (int)(at - good), good, cases[i].to, at + strlen(cases[i].from));
        assert_int_equal(pz_whisper_vocab_parse(NULL, text, strlen(text), "bent", size, &v), PZ_ERR_FORMAT);
        assert_null(v);
    }
    assert_int_equal(pz_whisper_vocab_parse(NULL, good, n, "small", size + 2, &v), PZ_ERR_WEIGHTS);
    assert_int_equal(pz_whisper_vocab_parse(NULL, good, 20, "short", size, &v), PZ_ERR_FORMAT);
    assert_int_equal(pz_whisper_vocab_open(NULL, "/nonexistent/x.tiktoken", size, &v), PZ_ERR_WEIGHTS);
}

/* ---- the official files, where there are any ---- */

static struct pz_whisper_vocab *official(const char *name, int n_vocab)
{
    const char *dir = getenv("PERSONALIZE_MODELS");
    char *path = pz_asprintf("%s/whisper/%s", dir ? dir : "", name);
    struct pz_whisper_vocab *v = NULL;
    if (dir && pz_file_exists(path))
        assert_int_equal(pz_whisper_vocab_open(NULL, path, n_vocab, &v), PZ_OK);
    pz_free(path);
    return v;
}

static void official_multilingual(void **state)
{
    static const int silent[] = {
        1,     2,     7,     8,     9,     10,    14,    25,    26,    27,    28,    29,    31,    58,
        59,    60,    61,    62,    63,    90,    91,    92,    93,    359,   503,   522,   542,   873,
        893,   902,   918,   922,   931,   1350,  1853,  1982,  2460,  2627,  3246,  3253,  3268,  3536,
        3846,  3961,  4183,  4667,  6585,  6647,  7273,  9061,  9383,  10428, 10929, 11938, 12033, 12331,
        12562, 13793, 14157, 14635, 15265, 15618, 16553, 16604, 18362, 18956, 20075, 21675, 22520, 26130,
        26161, 26435, 28279, 29464, 31650, 32302, 32470, 36865, 42863, 47425, 49870, 50254};
    struct pz_whisper_vocab *v = official("multilingual.tiktoken", 51865);
    int have[128];
    if (!v)
        skip();
    const struct pz_whisper_special *s = pz_whisper_vocab_special(v);
    assert_int_equal(s->end_of_text, 50257);
    assert_int_equal(s->first_timestamp, 50364);
    same(v, " Hello, world!", (int[]){2425, 11, 1002, 0, -1});
    same(v, "The quick brown fox's 42 jumps.  End\n",
         (int[]){2278, 1702, 6292, 21026, 311, 14034, 16704, 13, 220, 6967, 198, -1});
    same(v, " 你好,世界", (int[]){10930, 2131, 11, 24486, -1});
    same(v, "  two  spaces", (int[]){220, 732, 220, 7673, -1});
    same(v, " I'm don't we'll", (int[]){286, 478, 500, 380, 321, 603, -1});
    same(v, "Příliš žluťoučký kůň",
         (int[]){47, 15781, 870, 2081, 7891, 17305, 2781, 27101, 263, 10236, 74, 11822, 350, 23241, 129, 230,
                 -1});
    assert_int_equal(pz_whisper_vocab_silent(v, have, 128), 82);
    assert_memory_equal(have, silent, sizeof silent);
    pz_whisper_vocab_close(&v);
}

static void official_english(void **state)
{
    struct pz_whisper_vocab *v = official("gpt2.tiktoken", 51864);
    int have[128];
    if (!v)
        skip();
    const struct pz_whisper_special *s = pz_whisper_vocab_special(v);
    assert_false(s->multilingual);
    assert_int_equal(s->end_of_text, 50256);
    assert_int_equal(s->no_timestamps, 50362);
    same(v, " Hello, world!", (int[]){18435, 11, 995, 0, -1});
    same(v, "The quick brown fox's 42 jumps.  End\n",
         (int[]){464, 2068, 7586, 21831, 338, 5433, 18045, 13, 220, 5268, 198, -1});
    same(v, " 你好,世界", (int[]){220, 19526, 254, 25001, 121, 11, 10310, 244, 45911, 234, -1});
    same(v, "  two  spaces", (int[]){220, 734, 220, 9029, -1});
    assert_int_equal(pz_whisper_vocab_silent(v, have, 128), 84);
    assert_int_equal(have[23], 357);
    assert_int_equal(have[83], 49146);
    pz_whisper_vocab_close(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_and_merges),     cmocka_unit_test(special_tokens),
        cmocka_unit_test(broken_text_and_words), cmocka_unit_test(broken_files),
        cmocka_unit_test(official_multilingual), cmocka_unit_test(official_english),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

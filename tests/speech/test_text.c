// What needs no sound: phones, IPA, likeness, lexicon, transcript, values, WAV, programs, phone lines, fit.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "speech/fit.h"
#include "speech/hear.h"
#include "speech/process.h"
#include "speech/voice.h"
#include "speech/spell.h"

#define SEED 7u

static struct pz_lexicon *lex;

static int open_lexicon(void **state)
{
    (void)state;
    return pz_lexicon_open(NULL, NULL, &lex) == PZ_OK ? 0 : -1;
}

static int close_lexicon(void **state)
{
    (void)state;
    pz_lexicon_close(&lex);
    return 0;
}

static void text_of(const struct pz_pron *p, char out[256])
{
    out[0] = 0;
    for (int i = 0; i < p->n; i++) {
        strcat(out, i ? " " : "");
        strcat(out, pz_phone_name(p->phones[i]));
    }
}

static void phone_names(void **state)
{
    (void)state;
    for (int i = 0; i < PZ_PH_COUNT; i++)
        assert_int_equal(pz_phone_from_name(pz_phone_name(i)), i);
    assert_int_equal(pz_phone_from_name("ae1"), PZ_PH_AE);
    assert_int_equal(pz_phone_from_name("Zh"), PZ_PH_ZH);
    assert_int_equal(pz_phone_from_name(""), -1);
    assert_int_equal(pz_phone_from_name("AEX1"), -1);
    assert_int_equal(pz_phone_from_name("A12"), -1);
    assert_string_equal(pz_phone_name(-3), "SIL");
}

static void pronunciations(void **state)
{
    struct pz_pron p[4];
    char t[256];

    (void)state;
    assert_int_equal(pz_lexicon_pronounce(lex, "Bali", p, 4), 1);
    text_of(&p[0], t);
    assert_string_equal(t, "B AA L IY");
    assert_int_equal(pz_lexicon_pronounce(lex, "tomato", p, 4), 2);
    assert_true(pz_lexicon_has(lex, "COUNTRY") && !pz_lexicon_has(lex, "anuj"));
    assert_in_range(pz_lexicon_pronounce(lex, "Anuj", p, 4), 1, 3); // letter-to-sound
    text_of(&p[0], t);
    assert_string_equal(t, "AE N AH JH");
    assert_in_range(pz_lexicon_pronounce(lex, "Zo\u00eb", p, 4), 1, 3);
    assert_int_equal(pz_lexicon_pronounce(lex, "2026", p, 4), 1);
    assert_true(p[0].n > 10);
    assert_int_equal(pz_lexicon_pronounce(lex, "\u2026", p, 4), 0);
}

static void say(void **state)
{
    const struct {
        const char *in, *want;
    } t[] = {{"AH N UW JH", "AH N UW JH"},
             {"/\u0259\u02c8nu\u02d0d\u0292/", "AX N UW JH"},
             {"p\u025b\u02c8\u0281i", "P EH R IY"},
             {"uh-NOOJ", NULL},
             {"k\u0283it\u026ad\u0292", "K SH IY T IH JH"}};
    struct pz_pron p;
    char s[256];

    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        assert_int_equal(pz_say_parse(lex, NULL, t[i].in, &p), PZ_OK);
        text_of(&p, s);
        if (t[i].want)
            assert_string_equal(s, t[i].want);
        else
            assert_true(p.n >= 3);
    }
    assert_int_equal(pz_say_parse(lex, NULL, "/\u6771/", &p), PZ_ERR_INPUT);
    assert_int_equal(pz_say_parse(lex, NULL, "", &p), PZ_ERR_INPUT);
    assert_int_equal(pz_say_parse(lex, NULL, "-- --", &p), PZ_ERR_INPUT);
}

static void likeness(void **state)
{
    struct pz_pron a, b, c;

    (void)state;
    assert_true(pz_say_parse(lex, NULL, "B AA L IY", &a) == PZ_OK &&
                pz_say_parse(lex, NULL, "P AO L IY", &b) == PZ_OK &&
                pz_say_parse(lex, NULL, "K AH M P Y UW T ER", &c) == PZ_OK);
    assert_true(pz_phones_likeness(a.phones, a.n, a.phones, a.n) == 1.0f);
    assert_true(pz_phones_likeness(a.phones, a.n, b.phones, b.n) > 0.75f);
    assert_true(pz_phones_likeness(a.phones, a.n, c.phones, c.n) < 0.35f);
    assert_true(pz_phones_likeness(a.phones, a.n, NULL, 0) < 0.25f);
}

static enum pz_status parse(const char *s, struct pz_transcript *t)
{
    return pz_transcript_parse(NULL, s, strlen(s), t);
}

static void transcript_words(void **state)
{
    struct pz_transcript t;

    (void)state;
    assert_int_equal(
        parse("Hi {customer-name=Anuj}, I'm \"Kshitij\" \u2014 your {destination=New Delhi} trip!", &t),
        PZ_OK);
    assert_int_equal(t.n_words, 8);
    assert_int_equal(t.n_variables, 2);
    assert_string_equal(t.variables[0].name, "customer_name");
    assert_string_equal(t.variables[0].spoken, "Anuj");
    assert_int_equal(t.variables[0].first_word, 1);
    assert_int_equal(t.variables[1].first_word, 5);
    assert_int_equal(t.variables[1].n_words, 2);
    assert_string_equal(t.words[2].text, "I'm");
    assert_string_equal(t.words[3].text, "Kshitij");
    assert_true(t.words[1].pause_after && t.words[3].pause_after && !t.words[2].pause_after);
    assert_string_equal(t.words[7].text, "trip");
    pz_transcript_free(&t);
    assert_int_equal(parse("\u0928\u092e\u0938\u094d\u0924\u0947 {n=\u0905\u0928\u0941\u091c}", &t), PZ_OK);
    assert_int_equal(t.n_words, 2);
    assert_string_equal(t.words[1].text, "\u0905\u0928\u0941\u091c");
    pz_transcript_free(&t);
    assert_int_equal(parse("it costs 3.5 or 1,000... well {{not}} push-ups", &t), PZ_OK);
    assert_int_equal(t.n_words, 8);
    assert_string_equal(t.words[2].text, "3.5");
    assert_string_equal(t.words[7].text, "push-ups");
    pz_transcript_free(&t);
}

static void transcript_hostile(void **state)
{
    const char *bad[] = {"",
                         "  ,.! ",
                         "{",
                         "}",
                         "a {b} c",
                         "{=x}",
                         "{9a=x}",
                         "{a=}",
                         "{a= , }",
                         "{a=b",
                         "{a b=c}",
                         "{a={b=c}}",
                         "x\x01y",
                         "\xc3(",
                         "\xed\xa0\x80 surrogate",
                         "\xc0\xaf overlong"};
    struct pz_transcript t;
    struct pz_rng r;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(parse(bad[i], &t), PZ_ERR_INPUT);
        assert_null(t.words);
    }
    pz_rng_init(&r, SEED, 2);
    for (int i = 0; i < 20000; i++) {
        static const char alphabet[] = "a {}=,.'-\n\xc3\xa9\xe2\x80\x94"
                                       "b1_";
        char s[64];
        size_t n = pz_rng_below(&r, 63);

        for (size_t k = 0; k < n; k++)
            s[k] = alphabet[pz_rng_below(&r, sizeof alphabet - 1)];
        if (pz_transcript_parse(NULL, s, n, &t) == PZ_OK) {
            assert_true(t.n_words > 0 && pz_utf8_valid(s, n));
            pz_transcript_free(&t);
        }
    }
}

static void values(void **state)
{
    char long_value[1001];

    (void)state;
    memset(long_value, 'a', 1000);
    long_value[1000] = 0;
    assert_int_equal(pz_value_check(NULL, "n", "Zo\u00eb"), PZ_OK);
    assert_int_equal(pz_value_check(NULL, "n", "\u041c\u043e\u0441\u043a\u0432\u0430"), PZ_OK);
    assert_int_equal(pz_value_check(NULL, "n", ""), PZ_ERR_INPUT);
    assert_int_equal(pz_value_check(NULL, "n", " ?! "), PZ_ERR_INPUT);
    assert_int_equal(pz_value_check(NULL, "n", "a\nb"), PZ_ERR_INPUT);
    assert_int_equal(pz_value_check(NULL, "n", "\xff"), PZ_ERR_INPUT);
    long_value[400] = 0;
    assert_int_equal(pz_value_check(NULL, "n", long_value), PZ_ERR_INPUT);
}

static size_t put_wav(uint8_t *b, int tag, int bits, int channels, int rate, const void *pcm, uint32_t n)
{
    uint32_t v[4] = {36 + n, 16, (uint32_t)rate, (uint32_t)(rate * channels * bits / 8)};

    memcpy(b, "RIFF", 4);
    memcpy(b + 4, &v[0], 4);
    memcpy(b + 8, "WAVEfmt ", 8);
    memcpy(b + 16, &v[1], 4);
    b[20] = (uint8_t)tag;
    b[21] = 0;
    b[22] = (uint8_t)channels;
    b[23] = 0;
    memcpy(b + 24, &v[2], 4);
    memcpy(b + 28, &v[3], 4);
    b[32] = (uint8_t)(channels * bits / 8);
    b[33] = 0;
    b[34] = (uint8_t)bits;
    b[35] = 0;
    memcpy(b + 36, "data", 4);
    memcpy(b + 40, &n, 4);
    memcpy(b + 44, pcm, n);
    return 44 + n;
}

static void wav(void **state)
{
    int16_t pcm[8] = {16384, -16384, 8192, 8192, -32768, -32768, 0, 100};
    uint8_t b[256];
    size_t n = put_wav(b, 1, 16, 2, 22050, pcm, sizeof pcm);
    uint32_t huge = 0x7ffff000;
    float *x;
    int64_t m;
    int rate;

    (void)state;
    assert_int_equal(pz_wav_parse(NULL, b, n, &x, &m, &rate), PZ_OK);
    assert_true(m == 4 && rate == 22050 && x[0] == 0.0f && x[1] == 0.25f && x[2] == -1.0f);
    pz_free(x);
    memcpy(b + 40, &huge, 4); // as a program on a pipe writes it
    assert_int_equal(pz_wav_parse(NULL, b, n, &x, &m, &rate), PZ_OK);
    assert_int_equal(m, 4);
    pz_free(x);
    for (size_t cut = 0; cut < 44; cut++)
        assert_int_equal(pz_wav_parse(NULL, b, cut, &x, &m, &rate), PZ_ERR_FORMAT);
    n = put_wav(b, 7, 8, 1, 8000, pcm, 8); // µ-law
    assert_int_equal(pz_wav_parse(NULL, b, n, &x, &m, &rate), PZ_ERR_UNSUPPORTED);
    assert_null(x);
}

static bool always(void *user)
{
    (void)user;
    return true;
}

static void programs(void **state)
{
    const char *cat[] = {"cat", NULL}, *no[] = {"no-such-program-here", NULL}, *fail[] = {"false", NULL};
    const char *slow[] = {"sleep", "30", NULL}, *deaf[] = {"true", NULL}, *loud[] = {"yes", NULL}, *argv[8];
    struct pz_job stop = {.cancelled = always};
    char store[64], *big = pz_calloc(1 << 20, 1);
    uint8_t *out;
    size_t n;
    double t0 = pz_now();

    (void)state;
    memset(big, 'x', 1 << 20);
    assert_int_equal(pz_process_run(cat, "t", big, 1 << 20, 2 << 20, 20.0, NULL, &out, &n), PZ_OK);
    assert_true(n == 1 << 20 && memcmp(out, big, n) == 0);
    pz_free(out);
    assert_int_equal(pz_process_run(no, "t", "", 0, 100, 5.0, NULL, &out, &n), PZ_ERR_UNSUPPORTED);
    assert_int_equal(pz_process_run(fail, "t", "", 0, 100, 5.0, NULL, &out, &n), PZ_ERR_INTERNAL);
    assert_int_equal(pz_process_run(slow, "t", "", 0, 100, 0.3, NULL, &out, &n), PZ_ERR_INTERNAL);
    assert_int_equal(pz_process_run(slow, "t", "", 0, 100, 30.0, &stop, &out, &n), PZ_ERR_CANCELLED);
    assert_int_equal(pz_process_run(loud, "t", "", 0, 100000, 30.0, NULL, &out, &n), PZ_ERR_INTERNAL);
    assert_int_equal(pz_process_run(deaf, "t", big, 1 << 20, 100, 10.0, NULL, &out, &n), PZ_OK); // no SIGPIPE
    pz_free(out);
    assert_true(pz_now() - t0 < 25.0);
    pz_free(big);
    assert_true(pz_process_split("say -v \"a b\" 'c'", store, sizeof store, argv, 8));
    assert_string_equal(argv[2], "a b");
    assert_string_equal(argv[3], "c");
    assert_null(argv[4]);
    assert_false(pz_process_split("say \"open", store, sizeof store, argv, 8));
    assert_false(pz_process_split("  ", store, sizeof store, argv, 8));
}

static void phone_line_covers(void **state)
{
    struct pz_phone_line l = {0};

    (void)state;
    assert_int_equal(pz_phone_line_add(&l, (struct pz_phone){.id = PZ_PH_AA, .start = 500, .end = 700}),
                     PZ_OK);
    assert_int_equal(pz_phone_line_add(&l, (struct pz_phone){.id = PZ_PH_B, .start = 100, .end = 300}),
                     PZ_OK);
    assert_int_equal(pz_phone_line_add(&l, (struct pz_phone){.id = PZ_PH_SIL, .start = 300, .end = 400}),
                     PZ_OK);
    assert_int_equal(pz_phone_line_add(&l, (struct pz_phone){.id = PZ_PH_K, .start = 650, .end = 1200}),
                     PZ_OK);
    assert_int_equal(pz_phone_line_cover(&l, 0, 1000), PZ_OK);
    assert_int_equal(l.n, 5);
    for (int i = 0; i < l.n; i++) {
        assert_int_equal(l.items[i].start, i ? l.items[i - 1].end : 0);
        assert_true(l.items[i].end > l.items[i].start);
    }
    assert_int_equal(l.items[2].id, PZ_PH_SIL);
    assert_int_equal(l.items[2].start, 300);
    assert_int_equal(l.items[4].end, 1000);
    pz_phone_line_free(&l);
}

static void fits(void **state)
{
    struct pz_fit_input in = {
        .rate = 48000, .start = 48000, .end = 72000, .limit_end = 480000, .frame = {1, 25}};
    struct pz_fit_plan p;
    struct pz_rng r;

    (void)state;
    in.word = 30000; // 25 % too long, no pauses: stretching is not enough
    assert_int_equal(pz_fit_decide(&in, NULL, &p), PZ_OK);
    assert_int_equal(p.fit, PZ_FIT_RETIME);
    assert_int_equal(p.delta_frames, 4); // 0.125 s in frames of 0.04
    assert_int_equal(p.delta, 4 * 1920);
    in.word = 26000;
    assert_int_equal(pz_fit_decide(&in, NULL, &p), PZ_OK);
    assert_int_equal(p.fit, PZ_FIT_STRETCH);
    assert_true(p.stretch > 0.9 && p.stretch < 0.93 && p.delta == 0);
    in.pause_after = 24000;
    assert_int_equal(pz_fit_decide(&in, NULL, &p), PZ_OK);
    assert_int_equal(p.fit, PZ_FIT_BORROW);
    assert_true(p.stretch == 1.0 && p.word_n == 26000 && p.b > in.end);
    in.fit = PZ_FIT_STRETCH;
    in.word = 40000;
    assert_int_equal(pz_fit_decide(&in, NULL, &p), PZ_ERR_UNUSABLE);
    pz_rng_init(&r, SEED, 3);
    for (int i = 0; i < 20000; i++) {
        in.start = pz_rng_below(&r, 200000);
        in.end = in.start + 1000 + pz_rng_below(&r, 60000);
        in.pause_before = pz_rng_below(&r, 3) ? 0 : pz_rng_below(&r, 40000);
        in.pause_after = pz_rng_below(&r, 3) ? 0 : pz_rng_below(&r, 40000);
        in.limit_start = in.start - (int64_t)pz_rng_below(&r, (uint32_t)in.start + 1);
        in.limit_end = in.end + pz_rng_below(&r, 60000);
        in.word = 500 + pz_rng_below(&r, 100000);
        in.fit = (enum pz_fit)pz_rng_below(&r, PZ_FIT_COUNT);
        if (pz_fit_decide(&in, NULL, &p) != PZ_OK) {
            assert_true(in.fit == PZ_FIT_STRETCH || in.fit == PZ_FIT_BORROW);
            continue;
        }
        // The word is never cut, nothing outside the limits is touched, and the old word is always replaced
        // whole.
        assert_true(p.word_at >= 0 && p.word_at + p.word_n <= p.n);
        assert_true(p.a >= in.limit_start && p.b <= in.limit_end && p.a <= in.start && p.b >= in.end);
        assert_true(p.n == p.b - p.a + p.delta && p.n > 0);
        assert_true(p.delta == 0 || p.fit == PZ_FIT_RETIME);
        assert_true(p.stretch >= 0.8499 && p.stretch <= 1.1501);
        assert_true(llabs(p.word_n - llrint((double)in.word * p.stretch)) <= 1);
        assert_true(p.delta == llrint((double)p.delta_frames * 1920.0));
    }
    assert_int_equal(pz_fit_from_name("retime"), PZ_FIT_RETIME);
    assert_int_equal(pz_fit_from_name("cut"), -1);
}

/** Every way of saying a name is looked for, the rest of a name behind each. */
static void keywords_keep_all_readings(void **state)
{
    struct pz_keyword one, two;

    (void)state;
    assert_int_equal(pz_keyword_make(lex, NULL, "Anuj", NULL, &one), PZ_OK);
    assert_int_equal(one.n_prons, 3);
    assert_int_equal(one.prons[0].phones[2], PZ_PH_AH);
    assert_int_equal(one.prons[1].phones[2], PZ_PH_UW);
    assert_int_equal(one.prons[1].phones[0], PZ_PH_AA);
    assert_int_equal(one.prons[2].phones[0], PZ_PH_AH);
    assert_int_equal(pz_keyword_make(lex, NULL, "Anuj country", NULL, &two), PZ_OK);
    assert_int_equal(two.n_prons, 3);
    for (int i = 0; i < 3; i++) {
        assert_true(two.prons[i].n > one.prons[i].n + 4);
        assert_memory_equal(two.prons[i].phones, one.prons[i].phones, (size_t)one.prons[i].n);
        assert_int_equal(two.prons[i].phones[one.prons[i].n], PZ_PH_K);
    }
}

static void same_words_however_split(void **state)
{
    const char *split[] = {"Anuj", "ji", "said"}, *joined[] = {"ANUJI,", "said"}, *accent[] = {"Jose\u0301"};
    const char *arabic[] = {"\u200f\u0645\u064f\u062d\u0645\u062f"}, *other[] = {"Anu", "j", "is"};
    struct pz_pron p;

    (void)state;
    assert_int_equal(pz_words_same(split, 3, "Anuji"), 2);
    assert_int_equal(pz_words_same(joined, 2, "Anuj i"), 1);
    assert_int_equal(pz_words_same(accent, 1, "jos\u00e9"), 1);
    assert_int_equal(pz_words_same(arabic, 1, "\u0645\u062d\u0645\u062f"), 1);
    assert_int_equal(pz_words_same(other, 3, "Anuj i"), 0);
    assert_int_equal(pz_words_same(split, 1, "..."), 0);
    assert_true(pz_spell_plain("Anuj", &p));
    assert_int_equal(p.n, 4);
    assert_int_equal(p.phones[2], PZ_PH_UW);
    assert_false(pz_spell_plain("\u0905", &p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_words_however_split),
        cmocka_unit_test(keywords_keep_all_readings),
        cmocka_unit_test(phone_names),
        cmocka_unit_test(pronunciations),
        cmocka_unit_test(say),
        cmocka_unit_test(likeness),
        cmocka_unit_test(transcript_words),
        cmocka_unit_test(transcript_hostile),
        cmocka_unit_test(values),
        cmocka_unit_test(wav),
        cmocka_unit_test(programs),
        cmocka_unit_test(phone_line_covers),
        cmocka_unit_test(fits),
    };

    printf("seed %u\n", SEED);
    return cmocka_run_group_tests(tests, open_lexicon, close_lexicon);
}

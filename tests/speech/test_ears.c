// Ears and dubbing on sound whose truth is known: flite's own phone times, and two real recordings (skipped
// when they are not here).
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "audio/shape.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/order.h"
#include "base/rng.h"
#include "speech/dub.h"

#define LEAD 4800 /* 0.3 s of room before the words */

static struct pz_ears *ears;
static struct pz_job job;

static int open_ears(void **state)
{
    (void)state;
    job.log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    return pz_ears_open(NULL, &job, &ears) == PZ_OK ? 0 : -1;
}

static int close_ears(void **state)
{
    (void)state;
    pz_ears_close(&ears);
    pz_log_destroy(&job.log);
    return 0;
}

/** flite's sentence with room noise around and under it; phones get the same offset. */
static float *sentence(const char *voice, const char *text, int64_t *n, struct pz_utterance *u)
{
    struct pz_say s = {.voice = voice, .text = text};
    struct pz_rng r;
    float *x;

    memset(u, 0, sizeof *u);
    assert_int_equal(pz_voice_say(&s, NULL, &job, u), PZ_OK);
    assert_int_equal(u->rate, PZ_SPEECH_RATE);
    *n = u->n + 2 * LEAD;
    x = pz_calloc((size_t)*n, sizeof *x);
    pz_rng_init(&r, 11, 0);
    for (int64_t i = 0; i < *n; i++)
        x[i] =
            0.001f * pz_rng_normal(&r) + (i >= LEAD && i < LEAD + u->n ? 0.7f * u->samples[i - LEAD] : 0.0f);
    for (int i = 0; i < u->phones.n; i++) {
        u->phones.items[i].start += LEAD;
        u->phones.items[i].end += LEAD;
    }
    return x;
}

static void alignment_finds_known_times(void **state)
{
    static const char *const voices[] = {"flite:slt", "flite:rms", "flite:awb"};
    static const char *const words[] = {"we", "found", "three", "cheap", "hotels", "near", "the", "beach"};
    double err[200];
    int n_err = 0;

    (void)state;
    for (int v = 0; v < 3; v++) {
        struct pz_align_word aw[8] = {{0}};
        struct pz_words found = {0};
        struct pz_phone_line line = {0};
        struct pz_utterance u;
        int64_t n;
        float *x = sentence(voices[v], "we found three cheap hotels near the beach", &n, &u);

        for (int i = 0; i < 8; i++)
            aw[i].text = words[i];
        assert_int_equal(pz_speech_align(ears, x, n, aw, 8, &job, &found, &line), PZ_OK);
        assert_int_equal(found.n, 8);
        for (int i = 1; i < line.n; i++)
            assert_int_equal(line.items[i].start, line.items[i - 1].end);
        for (int i = 0; i < u.phones.n; i++) { // nearest aligned phone of the same name
            double best = 1e9;
            int id = u.phones.items[i].id == PZ_PH_AX ? PZ_PH_AH : u.phones.items[i].id;

            if (id == PZ_PH_SIL)
                continue;
            for (int k = 0; k < line.n; k++)
                if (line.items[k].id == id)
                    best = fmin(best, fabs((double)(line.items[k].start - u.phones.items[i].start)));
            if (best < 3200)
                err[n_err++] = best / 16.0;
        }
        pz_words_free(&found);
        pz_phone_line_free(&line);
        pz_utterance_free(&u);
        pz_free(x);
    }
    qsort(err, (size_t)n_err, sizeof *err, pz_by_double);
    printf("phone starts: %d, median %.1f ms, p95 %.1f ms\n", n_err, err[n_err / 2], err[n_err * 95 / 100]);
    assert_true(n_err > 55);
    assert_true(err[n_err / 2] < 12.0 && err[n_err * 95 / 100] < 60.0);
}

static void transcript_gives_slots(void **state)
{
    const char *text = "Hi {customer_name=Anuj}, I'll help plan your {destination=Bali} trip.";
    struct pz_spoken unsaid = {.name = "x", .words = "elephant"};
    char error[512];
    const char *other = "quite another text which nobody ever said";
    struct pz_analyse_params p = {0};
    struct pz_transcript t;
    struct pz_analysis a;
    struct pz_tap_memory m;
    struct pz_utterance u;
    struct pz_tap tap;
    int64_t n;
    float *x = sentence("flite:rms", "Hi Anuj, I'll help plan your Bali trip", &n, &u);
    int bali = 0;

    (void)state;
    tap = pz_tap_from_memory(&m, x, n, PZ_SPEECH_RATE, 1);
    assert_int_equal(pz_transcript_parse(NULL, text, strlen(text), &t), PZ_OK);
    p.transcript = &t;
    assert_int_equal(pz_speech_analyse(ears, &tap, &p, &job, &a), PZ_OK);
    assert_int_equal(a.n_slots, 2);
    assert_string_equal(a.slots[0].name, "customer_name");
    assert_string_equal(a.slots[1].spoken, "Bali");
    for (int i = 0; i + 3 < u.phones.n; i++)
        if (u.phones.items[i].id == PZ_PH_B && u.phones.items[i + 1].id == PZ_PH_AA)
            bali = i;
    assert_true(bali > 0);
    assert_true(llabs(a.slots[1].start - u.phones.items[bali].start) < 800); // 50 ms
    assert_true(llabs(a.slots[1].end - u.phones.items[bali + 3].end) < 800);
    assert_int_equal(a.phones.items[0].start, 0);
    assert_int_equal(a.phones.items[a.phones.n - 1].end, n);
    for (int i = 1; i < a.phones.n; i++)
        assert_int_equal(a.phones.items[i].start, a.phones.items[i - 1].end);
    pz_analysis_free(&a);
    pz_transcript_free(&t);
    // A transcript of another film is refused, not forced.
    assert_int_equal(pz_transcript_parse(NULL, other, strlen(other), &t), PZ_OK);
    assert_int_equal(pz_speech_analyse(ears, &tap, &p, &job, &a), PZ_ERR_INPUT);
    pz_transcript_free(&t);
    assert_int_equal(pz_transcript_parse(NULL, text, strlen(text), &t), PZ_OK);
    p = (struct pz_analyse_params){.spoken = &unsaid, .n_spoken = 1};
    assert_int_equal(pz_speech_analyse(ears, &tap, &p, &job, &a), PZ_ERR_UNUSABLE);
    pz_log_last_error(job.log, error, sizeof error);
    assert_non_null(strstr(error, "elephant"));
    assert_non_null(strstr(error, "heard"));
    p = (struct pz_analyse_params){.transcript = &t};
    tap.n = 8000;
    assert_true(pz_speech_analyse(ears, &tap, &p, &job, &a) == PZ_ERR_INPUT);
    pz_transcript_free(&t);
    pz_utterance_free(&u);
    pz_free(x);
}

/** The template: flite's rms as stereo at 48 kHz, the left channel twice as loud as the right. */
static float *stereo(const float *x, int64_t n, int64_t *m)
{
    float *y, *out;

    assert_int_equal(pz_resample(x, n, PZ_SPEECH_RATE, 48000, &y, m), PZ_OK);
    out = pz_calloc((size_t)*m * 2, sizeof *out);
    for (int64_t i = 0; i < *m; i++) {
        out[2 * i] = 0.8f * y[i];
        out[2 * i + 1] = 0.4f * y[i];
    }
    pz_free(y);
    return out;
}

static void dub_replaces_a_word(void **state)
{
    struct pz_spoken spoken = {.name = "destination", .words = "Bali"};
    struct pz_analyse_params p = {.spoken = &spoken, .n_spoken = 1};
    struct pz_analysis a;
    struct pz_tap_memory m, m2;
    struct pz_utterance u;
    struct pz_tap tap, tap2;
    struct pz_dub_params d = {0};
    struct pz_readback r, r2;
    struct pz_job two = job;
    struct pz_dub o, again;
    int64_t n, n48, total, w0;
    float *x = sentence("flite:rms", "I will help you plan your Bali trip for the summer", &n, &u), *y, *film;
    double l = 0.0, rr = 0.0;

    (void)state;
    y = stereo(x, n, &n48);
    tap = pz_tap_from_memory(&m, y, n48, 48000, 2);
    assert_int_equal(pz_speech_analyse(ears, &tap, &p, &job, &a), PZ_OK);
    assert_int_equal(a.n_slots, 1);
    d = (struct pz_dub_params){.sound = &tap,
                               .phones = a.phones.items,
                               .n_phones = a.phones.n,
                               .slot = &a.slots[0],
                               .say = {.text = "Paris", .before = "plan your", .after = "trip for"},
                               .frame = {1, 25},
                               .seed = 1};
    assert_int_equal(pz_dub_make(&d, ears, &job, &o), PZ_OK);
    assert_int_equal(pz_dub_make(&d, ears, &job, &again), PZ_OK);
    assert_memory_equal(o.sound, again.sound,
                        (size_t)o.plan.n * 2 * sizeof *o.sound); // same seed, same sound
    pz_dub_free(&again);
    printf("fit %s, f0 %.0f → %.0f (template %.0f) Hz, loudness %+.2f LU, spectrum %.1f → %.1f dB\n",
           pz_fit_name(o.plan.fit), o.f0_voice_hz, o.f0_result_hz, o.f0_template_hz, o.loudness_delta_lu,
           o.spectrum_before_db, o.spectrum_after_db);
    assert_true(fabs(o.loudness_delta_lu) <= 1.0);
    assert_true(fabs(12.0 * log2(o.f0_result_hz / o.f0_template_hz)) < 1.5);
    assert_true(o.spectrum_after_db < 3.0);
    // The ends continue the template exactly enough for no click.
    for (int c = 0; c < 2; c++) {
        assert_true(fabsf(o.sound[c] - y[2 * o.plan.a + c]) < 0.01f);
        assert_true(fabsf(o.sound[2 * (o.plan.n - 1) + c] - y[2 * (o.plan.b - 1) + c]) < 0.01f);
    }
    for (int64_t i = 0; i < o.plan.n; i++) {
        l += (double)o.sound[2 * i] * o.sound[2 * i];
        rr += (double)o.sound[2 * i + 1] * o.sound[2 * i + 1];
    }
    assert_true(fabs(sqrt(l / rr) - 2.0) < 0.1); // the speaker's panning
    assert_int_equal(o.phones.items[0].start, 0);
    assert_int_equal(o.phones.items[o.phones.n - 1].end, o.n_speech);
    // The finished film is understood.
    total = n48 + o.plan.delta;
    film = pz_calloc((size_t)total * 2, sizeof *film);
    memcpy(film, y, (size_t)o.plan.a * 2 * sizeof *film);
    memcpy(film + 2 * o.plan.a, o.sound, (size_t)o.plan.n * 2 * sizeof *film);
    memcpy(film + 2 * (o.plan.a + o.plan.n), y + 2 * o.plan.b, (size_t)(n48 - o.plan.b) * 2 * sizeof *film);
    tap2 = pz_tap_from_memory(&m2, film, total, 48000, 2);
    w0 = (o.plan.a + o.plan.word_at) / 3;
    assert_int_equal(
        pz_speech_readback(ears, &tap2, w0, w0 + o.plan.word_n / 3, "Paris", NULL, "Bali", &job, &r), PZ_OK);
    printf("read back \"%s\" %.2f\n", r.text, (double)r.score);
    assert_true(r.score > 0.5f);
    // Two threads hear what one does.
    two.pool = pz_pool_create(2);
    assert_non_null(two.pool);
    assert_int_equal(
        pz_speech_readback(ears, &tap2, w0, w0 + o.plan.word_n / 3, "Paris", NULL, "Bali", &two, &r2), PZ_OK);
    pz_pool_destroy(&two.pool);
    assert_string_equal(r.text, r2.text);
    assert_true(r.score == r2.score && r.likeness == r2.likeness);
    assert_int_equal(
        pz_speech_readback(ears, &tap2, w0, w0 + o.plan.word_n / 3, "computer", NULL, "Paris", &job, &r),
        PZ_OK);
    assert_true(r.score < 0.4f);
    pz_free(film);
    pz_dub_free(&o);
    pz_analysis_free(&a);
    pz_utterance_free(&u);
    pz_free(x);
    pz_free(y);
}

static void jfk_says_country_twice(void **state)
{
    struct pz_spoken spoken[2] = {{.name = "country", .words = "country"},
                                  {.name = "x", .words = "elephant"}};
    struct pz_analyse_params p = {.spoken = spoken, .n_spoken = 1};
    struct pz_analysis a;
    struct pz_tap_memory m;
    struct pz_tap tap;
    char *data;
    size_t n_bytes;
    float *x;
    int64_t n;
    int rate;

    (void)state;
    if (pz_file_read(NULL, PZ_SHARED_DIR "/data/audio/jfk.wav", 1 << 24, &data, &n_bytes) != PZ_OK)
        skip();
    assert_int_equal(pz_wav_parse(NULL, (const uint8_t *)data, n_bytes, &x, &n, &rate), PZ_OK);
    tap = pz_tap_from_memory(&m, x, n, rate, 1);
    assert_int_equal(pz_speech_analyse(ears, &tap, &p, &job, &a), PZ_OK);
    assert_int_equal(a.n_slots, 2);
    assert_true(a.slots[0].start > 5.7 * 16000 && a.slots[0].end < 6.6 * 16000);
    assert_true(a.slots[1].start > 9.85 * 16000 && a.slots[1].end < 10.65 * 16000);
    pz_analysis_free(&a);
    pz_free(x);
    pz_free(data);
}

/* Without a transcript the network places the edges of what was looked for and of nothing else: recognised
 * words may be wrong, and mouths are learned from the phone line. */
static void only_found_words_are_settled(void **state)
{
    // Told of a word it hears otherwise than told of none: beside it, it is told of one that nobody says.
    struct pz_spoken spoken = {.name = "place", .words = "country"},
                     other = {.name = "x", .words = "Vladivostok"};
    struct pz_analyse_params plain = {.spoken = &other, .n_spoken = 1, .missing_ok = true},
                             p = {.spoken = &spoken, .n_spoken = 1};
    struct pz_utterance u;
    struct pz_analysis a, b;
    struct pz_tap_memory m;
    struct pz_tap tap;
    int64_t n;
    int same = 0, far = 0;
    float *x = sentence("flite:rms", "Ask not what your country can do for you.", &n, &u);

    (void)state;
    tap = pz_tap_from_memory(&m, x, n, PZ_SPEECH_RATE, 1);
    assert_int_equal(pz_speech_analyse(ears, &tap, &plain, &job, &a), PZ_OK);
    assert_int_equal(pz_speech_analyse(ears, &tap, &p, &job, &b), PZ_OK);
    assert_int_equal(a.n_slots, 0);
    assert_int_equal(b.n_slots, 1);
    for (int i = 0; i < b.phones.n; i++) {
        const struct pz_phone *h = &b.phones.items[i];
        bool found = false;

        if (h->end > b.slots[0].start - 800 && h->start < b.slots[0].end + 800)
            continue;
        far++;
        for (int k = 0; k < a.phones.n && !found; k++)
            found = a.phones.items[k].id == h->id && a.phones.items[k].start == h->start &&
                    a.phones.items[k].end == h->end;
        same += found;
    }
    print_message("%d of %d phones away from the word lie where they lay\n", same, far);
    assert_true(far > 10);
    assert_int_equal(same, far);
    pz_analysis_free(&a);
    pz_analysis_free(&b);
    pz_utterance_free(&u);
    pz_free(x);
}

/* In noise the recogniser writes nonsense; the words are found by sound, and one that is not said is not. */
static void words_are_found_in_noise(void **state)
{
    struct pz_spoken spoken[3] = {{.name = "name", .words = "Kimberly"},
                                  {.name = "city", .words = "Denver"},
                                  {.name = "x", .words = "Vladivostok"}};
    struct pz_analyse_params p = {.spoken = spoken, .n_spoken = 3, .missing_ok = true};
    struct pz_utterance u;
    struct pz_analysis a;
    struct pz_tap_memory m;
    struct pz_tap tap;
    struct pz_rng r;
    double power = 0.0;
    int64_t n;
    float *x = sentence("flite:slt", "Please ask for Kimberly when you come to our Denver office.", &n, &u);

    (void)state;
    print_message("seed 15\n");
    pz_rng_init(&r, 15, 0);
    for (int64_t i = 0; i < n; i++)
        power += (double)x[i] * x[i] / (double)u.n;
    for (int64_t i = 0; i < n; i++)
        x[i] += (float)sqrt(power * pow(10.0, -1.5)) * pz_rng_normal(&r);
    tap = pz_tap_from_memory(&m, x, n, PZ_SPEECH_RATE, 1);
    assert_int_equal(pz_speech_analyse(ears, &tap, &p, &job, &a), PZ_OK);
    print_message("heard: %s\n", a.text);
    assert_int_equal(a.n_slots, 2);
    assert_string_equal(a.slots[0].name, "name");
    assert_string_equal(a.slots[1].name, "city");
    assert_true(a.slots[0].end < a.slots[1].start);
    pz_analysis_free(&a);
    pz_utterance_free(&u);
    pz_free(x);
}

static void other_scripts_and_programs(void **state)
{
    struct pz_say s = {.text = "\u0905\u0928\u0941\u091c"}; // Anuj in Devanagari
    struct pz_utterance u;
    char error[512];

    (void)state;
    if (system("command -v espeak-ng >/dev/null") != 0)
        skip();
    assert_int_equal(pz_voice_say(&s, ears, &job, &u), PZ_OK);
    assert_string_equal(u.voice, "espeak-ng:hi");
    assert_true(u.n > u.rate / 5 && u.n < 2 * u.rate);
    assert_true(u.phones.n >= 4);
    pz_utterance_free(&u);
    s = (struct pz_say){.text = "Paris", .voice = "command:espeak-ng --stdout --stdin"};
    assert_int_equal(pz_voice_say(&s, ears, &job, &u), PZ_OK);
    assert_true(u.phones.n >= 5);
    pz_utterance_free(&u);
    s.voice = "command:sh -c 'echo no voice today >&2; exit 3'";
    assert_int_equal(pz_voice_say(&s, ears, &job, &u), PZ_ERR_INTERNAL);
    pz_log_last_error(job.log, error, sizeof error);
    assert_non_null(strstr(error, "exit code 3"));
    assert_non_null(strstr(error, "no voice today"));
    s.voice = "siri";
    assert_int_equal(pz_voice_say(&s, ears, &job, &u), PZ_ERR_USAGE);
}

/** espeak-ng speaks Hindi; a transcript in Devanagari finds the name in it. Its true place is where the same
 * words without the rest end. */
static void another_language_by_transcript(void **state)
{
    const char *said = "\u0928\u092e\u0938\u094d\u0924\u0947 \u0905\u0928\u0941\u091c \u0906\u092a "
                       "\u0915\u0948\u0938\u0947 \u0939\u0948\u0902";
    const char *marked = "\u0928\u092e\u0938\u094d\u0924\u0947 {name=\u0905\u0928\u0941\u091c} \u0906\u092a "
                         "\u0915\u0948\u0938\u0947 \u0939\u0948\u0902";
    struct pz_say s = {.voice = "espeak:hi", .text = said};
    struct pz_analyse_params p = {0};
    struct pz_transcript t;
    struct pz_analysis a;
    struct pz_utterance u;
    struct pz_tap_memory m;
    struct pz_tap tap;

    (void)state;
    if (system("command -v espeak-ng >/dev/null") != 0)
        skip();
    assert_int_equal(pz_ears_set_language(ears, "no such"), PZ_ERR_USAGE);
    assert_int_equal(pz_ears_set_language(ears, "hi"), PZ_OK);
    assert_int_equal(pz_voice_say(&s, ears, &job, &u), PZ_OK);
    assert_int_equal(pz_transcript_parse(NULL, marked, strlen(marked), &t), PZ_OK);
    p.transcript = &t;
    tap = pz_tap_from_memory(&m, u.samples, u.n, u.rate, 1);
    assert_int_equal(pz_speech_analyse(ears, &tap, &p, &job, &a), PZ_OK);
    assert_int_equal(a.n_slots, 1);
    assert_int_equal(a.words.n, 5);
    printf("name at %.3f-%.3f of %.3f s\n", (double)a.slots[0].start / 16000, (double)a.slots[0].end / 16000,
           (double)u.n / u.rate);
    assert_true(a.slots[0].start > 0.15 * (double)a.n_samples && a.slots[0].end < 0.62 * (double)a.n_samples);
    assert_true(a.slots[0].end - a.slots[0].start > 16000 * 0.2);
    pz_analysis_free(&a);
    pz_transcript_free(&t);
    pz_utterance_free(&u);
    assert_int_equal(pz_ears_set_language(ears, NULL), PZ_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alignment_finds_known_times),  cmocka_unit_test(transcript_gives_slots),
        cmocka_unit_test(dub_replaces_a_word),          cmocka_unit_test(jfk_says_country_twice),
        cmocka_unit_test(only_found_words_are_settled), cmocka_unit_test(words_are_found_in_noise),
        cmocka_unit_test(other_scripts_and_programs),   cmocka_unit_test(another_language_by_transcript),
    };

    printf("seed 11\n");
    return cmocka_run_group_tests(tests, open_ears, close_ears);
}

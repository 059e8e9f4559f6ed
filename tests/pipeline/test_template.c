/* template.json: what is written is read back, what is wrong is named, and hostile texts are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "pipeline/manual.h"
#include "pipeline/provenance.h"
#include "pipeline/template.h"

static struct pz_template_data example(void)
{
    struct pz_template_data t = {.source_name = pz_strdup("fílm \"1\".mp4"),
                                 .source_bytes = 12345678901,
                                 .film = "film.mp4",
                                 .transcript = pz_strdup("Hi {customer_name=Anuj}"),
                                 .recogniser = pz_strdup("pocketsphinx"),
                                 .engine = pz_strdup("gaussian_splatting"),
                                 .face_detector = pz_strdup("mediapipe"),
                                 .face_track = 2,
                                 .face_share = 0.75f,
                                 .fit_s = 12.5,
                                 .seed = 99,
                                 .consent_json = pz_strdup("{\"who\": \"K\"}")};
    memset(t.source_sha256, 'a', 64);
    t.n_words = 2;
    t.words = pz_calloc(2, sizeof *t.words);
    t.words[0] = (struct pz_template_word){pz_strdup("hi"), 160, 4800, 0.5f};
    t.words[1] = (struct pz_template_word){pz_strdup("Anuj"), 5001, 12001, 1};
    t.n_slots = 1;
    t.slots = pz_calloc(1, sizeof *t.slots);
    t.slots[0] = (struct pz_template_slot){.name = pz_strdup("customer_name"),
                                           .spoken = pz_strdup("Anuj"),
                                           .before = pz_strdup("hi"),
                                           .after = pz_strdup(""),
                                           .fallback = pz_strdup("there"),
                                           .start = 5001,
                                           .end = 12001,
                                           .confidence = 0.25f,
                                           .yaw = -3.5f,
                                           .occluded = true,
                                           .verdict = "risky",
                                           .verdict_reason = "small"};
    t.n_phones = 2;
    t.phones = pz_calloc(2, sizeof *t.phones);
    t.phones[0] = (struct pz_phone){PZ_PH_SIL, 1, 0, 160};
    t.phones[1] = (struct pz_phone){PZ_PH_HH, 0.5f, 160, 4801};
    return t;
}

static void written_is_read(void **state)
{
    char dir[] = "/tmp/pz-template-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct pz_template_data a = example(), b;
    assert_int_equal(pz_template_save(&a, dir, NULL), PZ_OK);
    assert_int_equal(pz_template_load(&b, dir, NULL), PZ_OK);
    assert_string_equal(b.source_name, a.source_name);
    assert_int_equal(b.source_bytes, a.source_bytes);
    assert_string_equal(b.film, "film.mp4");
    assert_string_equal(b.transcript, a.transcript);
    assert_string_equal(b.engine, a.engine);
    assert_string_equal(b.consent_json, a.consent_json);
    assert_int_equal(b.face_track, 2);
    assert_int_equal(b.seed, 99);
    assert_int_equal(b.n_words, 2);
    assert_int_equal(b.words[1].start, 5001);
    assert_int_equal(b.n_slots, 1);
    assert_int_equal(b.slots[0].start, 5001);
    assert_int_equal(b.slots[0].end, 12001);
    assert_string_equal(b.slots[0].fallback, "there");
    assert_string_equal(b.slots[0].verdict, "risky");
    assert_true(b.slots[0].occluded);
    assert_int_equal(b.n_phones, 2);
    assert_int_equal(b.phones[1].id, PZ_PH_HH);
    assert_int_equal(b.phones[1].end, 4801);
    char *one = pz_template_to_json(&a, true), *two = pz_template_to_json(&b, true);
    assert_string_equal(one, two);
    pz_free(one);
    pz_free(two);
    pz_template_data_free(&a);
    pz_template_data_free(&b);
    pz_remove_tree(dir);
}

/* Replace one piece of a good template and expect a refusal that names `told`. */
static void refused(const char *from, const char *to, const char *told)
{
    struct pz_template_data a = example(), b;
    struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    char *good = pz_template_to_json(&a, true), why[512];
    char *at = strstr(good, from);
    if (!at)
        fail_msg("'%s' is not in the template", from);
    char *bad = pz_asprintf("%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
    enum pz_status st = pz_template_parse(&b, bad, strlen(bad), log);
    pz_log_last_error(log, why, sizeof why);
    if (st >= PZ_OK || !strstr(why, told))
        fail_msg("'%s' → '%s': status %d, said '%s'", from, to, st, why);
    pz_free(good);
    pz_free(bad);
    pz_template_data_free(&a);
    pz_log_destroy(&log);
}

static void wrong_fields_are_named(void **state)
{
    refused("\"version\": 1", "\"version\": 2", "version 2");
    refused("personalize-template", "other", "not a template");
    refused("film.mp4", "../film.mp4", "film must be a file name");
    refused("\"customer_name\"", "\"Customer Name\"", "slots[0]");
    refused("\"name\": \"customer_name\"", "\"name\": 7", "slots[0]");
    refused("\"end_s\": 0.750063", "\"end_s\": -1", "slots[0]: end_s");
    refused("\"end_s\": 0.750063", "\"end_s\": 1e300", "slots[0]: end_s");
    refused("\"end_s\": 0.750063", "\"end_s\": 0.1", "greater than start_s");
    refused("\"HH\"", "\"QQ\"", "phones[1]");
    refused("\"SIL\"", "null", "phones[0]");
    refused("\"words\": [", "\"words\": {}, \"w\": [", "words");
    refused("{", "{{", "line");
}

static void cut_and_scrambled_texts_do_no_harm(void **state)
{
    struct pz_template_data a = example(), b;
    char *good = pz_template_to_json(&a, true);
    size_t n = strlen(good);
    for (size_t cut = 0; cut < n; cut += 7)
        assert_true(pz_template_parse(&b, good, cut, NULL) < PZ_OK);
    struct pz_rng r;
    pz_rng_init(&r, 20261122, 0);
    print_message("seed 20261122\n");
    char *text = pz_calloc(n + 1, 1);
    for (int round = 0; round < 3000; round++) {
        memcpy(text, good, n);
        for (int k = 0; k < 3; k++)
            text[pz_rng_below(&r, (uint32_t)n)] = (char)pz_rng_below(&r, 256);
        if (pz_template_parse(&b, text, n, NULL) == PZ_OK)
            pz_template_data_free(&b);
    }
    pz_free(text);
    pz_free(good);
    pz_template_data_free(&a);
}

static void provenance_names_the_source_type(void **state)
{
    struct pz_edited_range r[2] = {{1.25, 1.75, true, true}, {3, 4, true, false}};
    char *x = pz_provenance_xmp(r, 2, "gaussian_splatting", "abc", false);
    assert_non_null(strstr(x, "compositeWithTrainedAlgorithmicMedia"));
    assert_non_null(strstr(x, "<pz:start_s>1.250000</pz:start_s>"));
    assert_non_null(strstr(x, "<pz:picture>false</pz:picture>"));
    assert_non_null(strstr(x, "pz:ConsentRecord=\"none\""));
    pz_free(x);
}

/** A slot moved by hand in a template that is prepared again stays where it was put; the others are heard
 * anew, and a file of slots replaces them all. */
static void corrections_are_kept(void **state)
{
    char dir[] = "/tmp/pz-manual-XXXXXX", *path;
    struct pz_template_data old = example(), fresh = example();
    const char *hand =
        "{\"slots\": [{\"name\": \"city\", \"spoken\": \"x\", \"start_s\": 0.5, \"end_s\": 0.75}]}";

    (void)state;
    assert_non_null(mkdtemp(dir));
    for (int i = 0; i < old.n_slots; i++) {
        old.slots[i].found_start = fresh.slots[i].found_start = old.slots[i].start;
        old.slots[i].found_end = fresh.slots[i].found_end = old.slots[i].end;
    }
    assert_true(old.n_slots >= 1);
    old.slots[0].end -= 80; // 5 ms
    assert_int_equal(pz_template_save(&old, dir, NULL), PZ_OK);
    assert_int_equal(pz_manual_apply(NULL, dir, &fresh, NULL), PZ_OK);
    assert_int_equal(fresh.n_slots, old.n_slots);
    for (int i = 0; i < old.n_slots; i++) {
        assert_int_equal(fresh.slots[i].start, old.slots[i].start);
        assert_int_equal(fresh.slots[i].end, old.slots[i].end);
    }
    assert_int_not_equal(fresh.slots[0].found_end, fresh.slots[0].end); // and so the next time too
    // Of another film nothing is kept.
    fresh.slots[0].end = fresh.slots[0].found_end;
    snprintf(fresh.source_sha256, sizeof fresh.source_sha256, "%s", "another");
    assert_int_equal(pz_manual_apply(NULL, dir, &fresh, NULL), PZ_OK);
    assert_int_equal(fresh.slots[0].end, fresh.slots[0].found_end);
    path = pz_path_join(dir, "slots.json");
    assert_int_equal(pz_file_write(NULL, path, hand, strlen(hand)), PZ_OK);
    assert_int_equal(pz_manual_apply(path, NULL, &fresh, NULL), PZ_OK);
    assert_int_equal(fresh.n_slots, 1);
    assert_string_equal(fresh.slots[0].name, "city");
    assert_int_equal(fresh.slots[0].start, 8000);
    assert_int_equal(pz_file_write(NULL, path, "{\"slots\": 3}", 12), PZ_OK);
    assert_int_equal(pz_manual_apply(path, NULL, &fresh, NULL), PZ_ERR_FORMAT);
    pz_free(path);
    pz_remove_tree(dir);
    pz_template_data_free(&old);
    pz_template_data_free(&fresh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_is_read),
        cmocka_unit_test(corrections_are_kept),
        cmocka_unit_test(wrong_fields_are_named),
        cmocka_unit_test(cut_and_scrambled_texts_do_no_harm),
        cmocka_unit_test(provenance_names_the_source_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

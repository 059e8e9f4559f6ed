/* Tests of the talking-head generator: file reader, rig, visemes and closures, and that frames do not depend
 * on the number of threads. Those that need the head in ../shared are skipped (exit 77) where it is absent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "behave.h"
#include "viseme.h"

static const char kHead[] = PZ_SHARED_DIR "/data/ict_facekit.safetensors";
static struct pz_syn_asset g_asset;
static struct pz_syn_rig g_rig;

/** Broken files are refused with FORMAT, whatever their header claims. */
static void test_hostile(void **state)
{
    (void)state;
    static const char *const head[] = {
        "",
        "{",
        "[]",
        "{\"neutral\":3}",
        "{\"neutral\":{\"dtype\":\"F32\",\"shape\":[26719,3],\"data_offsets\":[0,320628]}}",
        "{\"neutral\":{\"dtype\":\"F32\",\"shape\":[26719,3],\"data_offsets\":[-8,320620]}}",
        "{\"neutral\":{\"dtype\":\"F32\",\"shape\":[26719,3],\"data_offsets\":[9223372036854775807,1]}}"};
    char path[64];
    snprintf(path, sizeof path, "/tmp/pz-synth-%d.bin", (int)getpid());
    struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    for (size_t i = 0; i < sizeof head / sizeof *head; i++)
        for (int lie = 0; lie < 3; lie++) {
            char b[512] = {0};
            uint64_t n = strlen(head[i]), claim = lie == 1 ? n + 1 : lie == 2 ? UINT64_MAX - 7 : n;
            memcpy(b, &claim, 8);
            memcpy(b + 8, head[i], n);
            assert_int_equal(pz_file_write(log, path, b, 8 + n), PZ_OK);
            struct pz_syn_asset a;
            assert_int_equal(pz_syn_asset_open(log, path, &a), PZ_ERR_FORMAT);
            assert_null(a.neutral);
        }
    assert_int_equal(pz_file_write(log, path, "abc", 3), PZ_OK);
    struct pz_syn_asset a;
    assert_int_equal(pz_syn_asset_open(log, path, &a), PZ_ERR_FORMAT);
    unlink(path);
    pz_log_destroy(&log);
}

/** Lower teeth at jawOpen 1 turn by 25.33° about x in the data, and the rig's true rotation lands on the
 * data. */
static void test_jaw(void **state)
{
    (void)state;
    int jaw = g_rig.jaw_open;
    const struct pz_syn_sparse *e = &g_asset.expr[jaw];
    double my = 0, mz = 0, ny = 0, nz = 0, sc = 0, ss = 0;
    int n = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < e->n; i++) {
            int v = e->vertex[i];
            if (v < 19247 || v >= 21451)
                continue;
            struct v3 p = g_asset.neutral[v], q = v3_add(p, e->delta[i]);
            if (!pass) {
                my += (double)p.y;
                mz += (double)p.z;
                ny += (double)q.y;
                nz += (double)q.z;
                n++;
            } else {
                double ay = (double)p.y - my / n, az = (double)p.z - mz / n, by = (double)q.y - ny / n,
                       bz = (double)q.z - nz / n;
                sc += ay * by + az * bz;
                ss += ay * bz - az * by;
            }
        }
    assert_int_equal(n, 21451 - 19247);
    double deg = atan2(ss, sc) * 57.2957795;
    printf("jaw rotation %.3f deg\n", deg);
    assert_true(fabs(fabs(deg) - 25.33) < .1);
    struct pz_syn_face_pose pose;
    memset(&pose, 0, sizeof pose);
    pose.w[jaw] = 1.f;
    struct v3 *out = pz_calloc(PZ_SYN_N_VERTS, sizeof *out);
    assert_non_null(out);
    pz_syn_rig_pose(&g_rig, &pose, out);
    float worst = 0;
    for (int i = 0; i < e->n; i++) {
        int v = e->vertex[i];
        if (v >= 19247 && v < 21451)
            worst = fmaxf(worst, v3_len(v3_sub(out[v], v3_add(g_rig.base[v], e->delta[i]))));
    }
    printf("rig against data, lower teeth: %.4f cm\n", (double)worst);
    assert_true(worst < .03f);
    pz_free(out);
}

/** Every viseme opens the lips as the fact sheet's table says. */
static void test_viseme_gaps(void **state)
{
    (void)state;
    for (int i = 0; i < PZ_SYN_N_VISEME; i++) {
        struct pz_syn_face_pose p;
        memset(&p, 0, sizeof p);
        pz_syn_viseme_target(&g_asset, i, &p);
        float g = pz_syn_rig_gap(&g_rig, p.w), want = pz_syn_viseme_gap(i);
        printf("%-4s %.3f cm, table %.2f\n", pz_syn_viseme_name(i), (double)g, (double)want);
        assert_true(fabsf(g - want) < .02f);
    }
}

/** A blink brings the lids together. */
static void test_blink(void **state)
{
    (void)state;
    struct pz_syn_face_pose p;
    memset(&p, 0, sizeof p);
    p.w[pz_syn_expr_find(&g_asset, "eyeBlink_L")] = 1.f;
    p.w[pz_syn_expr_find(&g_asset, "eyeBlink_R")] = 1.f;
    struct v3 *out = pz_calloc(PZ_SYN_N_VERTS, sizeof *out);
    assert_non_null(out);
    pz_syn_rig_pose(&g_rig, &p, out);
    static const int pair[4][2] = {{37, 41}, {38, 40}, {43, 47}, {44, 46}};
    for (int i = 0; i < 4; i++) {
        int a = pz_syn_landmark(pair[i][0]), b = pz_syn_landmark(pair[i][1]);
        float open = g_rig.base[a].y - g_rig.base[b].y, shut = out[a].y - out[b].y;
        assert_true(open > .5f);
        assert_true(fabsf(shut) < .1f * open);
    }
    pz_free(out);
}

/** In six sentences every p, b, m shuts the lips in a 25 fps frame, at each of four sampling phases. */
static void test_closures(void **state)
{
    (void)state;
    static const char script[] =
        "~200 My mother bought a big blue boat. ~200 Pick up the map before me. ~200 Bob may be a happy man. "
        "~200 Please help Pam prepare a simple meal. ~200 Remember my number. ~200 The plumber came by at a "
        "quarter past three.";
    struct pz_syn_speech *s = pz_calloc(1, sizeof *s);
    assert_non_null(s);
    struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    assert_int_equal(pz_syn_speak(log, script, "rms", 1.f, 1, s), PZ_OK);
    int total = 0, shut = 0;
    for (int i = 0; i < s->n_phone; i++) {
        const struct pz_syn_phone *p = &s->phone[i];
        if (strcmp(p->name, "p") && strcmp(p->name, "b") && strcmp(p->name, "m"))
            continue;
        for (int phase = 0; phase < 4; phase++) {
            float best = 9;
            for (int f = 0; f < 25 * 60; f++) {
                float t = ((float)f + .25f * (float)phase) / 25.f;
                if (t + .03f < p->start || t + .03f > p->end)
                    continue;
                struct pz_syn_face_pose pose;
                struct pz_syn_seal seal;
                pz_syn_mouth_at(&g_rig, s, t, 1.f, &pose, &seal);
                pz_syn_mouth_seal(&g_rig, seal, &pose);
                float g = pz_syn_rig_gap(&g_rig, pose.w);
                assert_true(g > -.0601f);
                best = fminf(best, g);
            }
            if (p->end - p->start < .04f && best > 8.f)
                continue; /* shorter than a frame and between two samples */
            total++;
            shut += best <= 0.f;
        }
    }
    printf("closures: %d of %d\n", shut, total);
    assert_true(total >= 80);
    assert_int_equal(shut, total);
    pz_syn_speech_close(s);
    pz_free(s);
    pz_log_destroy(&log);
}

/** Speech: times rise, words carry their variables, sound has the length of the phones. */
static void test_speech(void **state)
{
    (void)state;
    struct pz_syn_speech *s = pz_calloc(1, sizeof *s);
    assert_non_null(s);
    struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    assert_int_equal(pz_syn_speak(log, "Hi ~90 {customer_name=Anuj}[unoodge], I'll help.", "slt", 1.f, 5, s),
                     PZ_OK);
    assert_string_equal(s->transcript, "Hi {customer_name=Anuj}, I'll help.");
    assert_int_equal(s->n_word, 4);
    assert_string_equal(s->word[1].text, "Anuj");
    assert_string_equal(s->word[1].variable, "customer_name");
    for (int i = 0; i < s->n_phone; i++) {
        assert_true(s->phone[i].end > s->phone[i].start);
        assert_true(i == 0 || fabsf(s->phone[i].start - s->phone[i - 1].end) < 1e-4f);
    }
    assert_true(s->word[1].start - s->word[0].end > .085f && s->word[1].start - s->word[0].end < .1f);
    assert_true(fabsf((float)s->n_samples / PZ_SYN_RATE - s->phone[s->n_phone - 1].end) < 1e-3f);
    double tone = 0;
    for (int i = s->n_samples - 12000; i < s->n_samples; i++)
        tone += (double)s->pcm[i] * (double)s->pcm[i];
    double db = 10. * log10(tone / 12000.);
    printf("room tone %.1f dBFS\n", db);
    assert_true(db > -66. && db < -54.);
    pz_syn_speech_close(s);
    assert_int_equal(pz_syn_speak(log, "{a=b", "rms", 1.f, 1, s), PZ_ERR_INPUT);
    assert_int_equal(pz_syn_speak(log, " ", "rms", 1.f, 1, s), PZ_ERR_INPUT);
    pz_free(s);
    pz_log_destroy(&log);
}

/** The same frame from one thread and from three, set-up included. */
static void test_threads(void **state)
{
    (void)state;
    enum { W = 108, H = 192 };
    static uint8_t rgb[2][W * H * 3];
    struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    struct pz_syn_label label[2];
    for (int k = 0; k < 2; k++) {
        struct pz_pool *pool = pz_pool_create(k ? 3 : 1);
        struct pz_syn_scene *s = pz_calloc(1, sizeof *s);
        assert_non_null(s);
        assert_int_equal(pz_syn_scene_open(log, pool, kHead, 11, 0, W, H, 2, s), PZ_OK);
        struct pz_syn_state st;
        memset(&st, 0, sizeof st);
        st.yaw = .1f;
        st.pitch = -.05f;
        st.face.gaze_yaw = -.1f;
        st.face.w[s->rig.jaw_open] = .25f;
        pz_syn_scene_render(s, &st, rgb[k], &label[k]);
        pz_syn_scene_close(s);
        pz_free(s);
        pz_pool_destroy(&pool);
    }
    assert_memory_equal(rgb[0], rgb[1], sizeof rgb[0]);
    assert_memory_equal(&label[0], &label[1], sizeof label[0]);
    assert_true(label[0].gap_px > .5f);
    /* A picture, not a flat field: the middle of the face is lit skin, redder than blue. */
    const uint8_t *p = rgb[0] + 3 * (70 * W + W / 2);
    assert_true(p[0] > 90 && p[0] > p[2]);
    pz_log_destroy(&log);
}

int main(void)
{
    const struct CMUnitTest bare[] = {cmocka_unit_test(test_hostile), cmocka_unit_test(test_speech)};
    int r = cmocka_run_group_tests_name("synth, no head needed", bare, NULL, NULL);
    if (r || !pz_file_exists(kHead)) {
        if (!r)
            printf("skipped: %s is absent\n", kHead);
        return r ? r : 77;
    }
    static const float none[PZ_SYN_N_ID];
    struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    if (pz_syn_asset_open(log, kHead, &g_asset) != PZ_OK ||
        pz_syn_rig_open(log, &g_asset, none, 0.f, 1, &g_rig) != PZ_OK)
        return 1;
    const struct CMUnitTest all[] = {cmocka_unit_test(test_jaw), cmocka_unit_test(test_viseme_gaps),
                                     cmocka_unit_test(test_blink), cmocka_unit_test(test_closures),
                                     cmocka_unit_test(test_threads)};
    r = cmocka_run_group_tests_name("synth", all, NULL, NULL);
    pz_syn_rig_close(&g_rig);
    pz_syn_asset_close(&g_asset);
    pz_log_destroy(&log);
    return r;
}

// Wav2Lip's generator, discriminators and SyncNet against spec/wav2lip.md §11, on the plain C and the CPU
// backend.
#include "sheet.h"

#include "nn/syncnet.h"
#include "nn/wav2lip.h"

static const enum pz_backend backends[] = {PZ_BACKEND_REF, PZ_BACKEND_CPU};

#define SHAPE4(b, h, w, c) ((struct pz_shape){.rank = 4, .dim = {(b), (h), (w), (c)}})

static void build_generator(struct sheet_net *n, const struct pz_wav2lip_config *c, int batch)
{
    struct pz_wav2lip_taps taps = {0};
    sheet_begin(n);
    int mel = pz_graph_input(n->g, "mel", SHAPE4(batch, 80, 16, 1));
    int face = pz_graph_input(n->g, "face", SHAPE4(batch, c->size, c->size, 6));
    int out = pz_wav2lip_face(n->p, c, pz_wav2lip_audio(n->p, c, mel), face, &taps);
    pz_graph_output(n->g, "audio", taps.audio);
    for (int b = 0; b < c->n_blocks; b++) {
        char name[16];
        snprintf(name, sizeof name, "enc%d", b);
        pz_graph_output(n->g, name, taps.encoder[b]);
        snprintf(name, sizeof name, "dec%d", b);
        pz_graph_output(n->g, name, taps.decoder[b]);
    }
    pz_graph_output(n->g, "out", out);
}

/* The sheet's inputs: the first three channels without their lower half. */
static void fill_generator(const struct sheet_net *n)
{
    sheet_input(n->session, "mel", 1000, -4, 4);
    sheet_input(n->session, "face", 1001, 0, 1);
    struct pz_view v = pz_session_input(n->session, "face", 0);
    float *x = v.data;
    for (int i = 0; i < v.shape.dim[0] * 96 * 96; i++)
        for (int k = 0; k < 3 && i / 96 % 96 >= 48; k++)
            x[i * 6 + k] = 0;
}

static void tiny_generator(void **state)
{
    static const struct sheet_line lines[] = {
        {"audio", .2822369, .4623694, {{0, 0}, {42, .4468545}, {91, .3211427}}, 3},
        {"enc0",
         .3042009,
         .2773158,
         {{0, .03148533}, {2, .3605127}, {26331, .1763025}, {36863, .2448207}},
         4},
        {"enc1", .1893771, .2354744, {{2633, .2566803}, {18431, .6508648}}, 2},
        {"enc2", .5232000, .4688995, {{0, .03135034}, {6582, .9857389}}, 2},
        {"enc3", .8382474, .7527393, {{0, .5008340}, {658, 2.006018}}, 2},
        {"enc4", .2708940, .3758249, {{0, .1733220}, {329, .4915093}}, 2},
        {"enc5", .2372547, .2950114, {{0, .3129511}, {1151, .6375940}}, 2},
        {"enc6", .08082688, .1080334, {{1, .09766185}, {2, .4404765}}, 2},
        {"dec0", .1926247, .2797366, {{0, .1211614}}, 1},
        {"dec1", .09241538, NAN, {{0, .2877443}}, 1},
        {"dec2", .1842204, NAN, {{1536, .2521713}}, 1},
        {"dec3", .1717985, NAN, {{0, .1386411}}, 1},
        {"dec4", .3215715, .3596923, {{5266, .9967002}}, 1},
        {"dec5", .1890544, NAN, {{0, .2102266}}, 1},
        {"dec6", .1545064, .1885487, {{0, .4050535}, {147455, .08639163}}, 2},
        {"out",
         .5226223,
         .05549693,
         {{0, .5067418},
          {1, .5317162},
          {2, .5442140},
          {7899, .5286989},
          {18432, .4703705},
          {27648, .5152495},
          {39497, .5471529},
          {55295, .4729568}},
         8},
    };
    (void)state;
    for (size_t b = 0; b < 2; b++) {
        struct pz_wav2lip_config c = pz_wav2lip_published(8);
        struct sheet_net n;
        build_generator(&n, &c, 2);
        sheet_open(&n, backends[b]);
        assert_int_equal(n.n_params,
                         571449 + 2844); // the sheet counts no running statistics: 25 norms' two vectors
        fill_generator(&n);
        sheet_run(&n);
        for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
            sheet_check(n.session, &lines[i]);
        sheet_end(&n);
    }
}

static void full_generator(void **state)
{
    static const struct sheet_line lines[] = {
        {"audio", .2441284, .3511736, {{0, 1.032286}, {2, 1.456270}, {256, .5759382}}, 3},
        {"enc0", .1761220, .2258115, {{0, 0}}, 0},
        {"enc3", .3762500, .4072278, {{0, .4090150}}, 1},
        {"enc6", .1031393, .1476959, {{0, .05127764}}, 1},
        {"out",
         .5008971,
         .03246046,
         {{0, .5220725},
          {1, .5081977},
          {2, .5394987},
          {3949, .5430376},
          {9216, .5023931},
          {13824, .4991671},
          {19748, .4463966},
          {27647, .4812811}},
         8},
    };
    struct pz_wav2lip_config c = pz_wav2lip_published(1);
    struct sheet_net n;
    (void)state;
    build_generator(&n, &c, 1);
    sheet_open(&n, PZ_BACKEND_CPU);
    assert_int_equal(n.n_params, 36320787);
    fill_generator(&n);
    sheet_run(&n);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        sheet_check(n.session, &lines[i]);
    sheet_end(&n);
}

/* Unit length (at least 1e-12), in place. */
static void normalise(float *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    for (int i = 0; i < n; i++)
        x[i] = (float)(x[i] / fmax(sqrt(sum), 1e-12));
}

static void expert_of(int divisor, enum pz_backend backend, int batch, const struct sheet_line *a,
                      const struct sheet_line *v, const double *cosine)
{
    struct sheet_net n;
    int width = 512 / divisor;
    sheet_begin(&n);
    int mel = pz_graph_input(n.g, "mel", SHAPE4(batch, 80, 16, 1));
    int face = pz_graph_input(n.g, "face", SHAPE4(batch, 48, 96, 15));
    pz_graph_output(n.g, "a", pz_wav2lip_expert_audio(n.p, divisor, mel));
    pz_graph_output(n.g, "v", pz_wav2lip_expert_face(n.p, divisor, face));
    sheet_open(&n, backend);
    sheet_input(n.session, "mel", 1000, -4, 4);
    sheet_input(n.session, "face", 1002, 0, 1);
    sheet_run(&n);
    float *x = sheet_nchw(pz_session_output(n.session, "a", 0)),
          *y = sheet_nchw(pz_session_output(n.session, "v", 0));
    for (int b = 0; b < batch; b++) {
        double dot = 0;
        normalise(x + b * width, width);
        normalise(y + b * width, width);
        for (int i = 0; i < width; i++)
            dot += (double)x[b * width + i] * y[b * width + i];
        assert_true(fabs(dot - cosine[b]) < 1e-5);
    }
    sheet_check_values(x, (size_t)(batch * width), a);
    sheet_check_values(y, (size_t)(batch * width), v);
    pz_free(x);
    pz_free(y);
    sheet_end(&n);
}

static void expert(void **state)
{
    static const struct sheet_line a8 = {"a", .06758885, .1051511, {{0, .3142429}, {64, .3423385}}, 2};
    static const struct sheet_line v8 = {"v", .06788921, NAN, {{2, .2696526}, {18, .2591889}}, 2};
    static const struct sheet_line a1 = {"a", .02377998, NAN, {{170, .02690255}, {256, .08297352}}, 2};
    static const struct sheet_line v1 = {"v", .02503845, NAN, {{0, .06110086}}, 1};
    (void)state;
    for (size_t b = 0; b < 2; b++)
        expert_of(8, backends[b], 2, &a8, &v8, (const double[]){.1606433, .1309074});
    expert_of(1, PZ_BACKEND_CPU, 1, &a1, &v1, (const double[]){.2751988});
}

static void quality(void **state)
{
    // X([1,3,2,96,96]): two frames of one item; the network sees the lower halves, frame by frame.
    static const double want[2] = {.5306094, .5307674};
    struct sheet_net n;
    float *all = pz_calloc(3 * 2 * 96 * 96, sizeof *all);
    (void)state;
    assert_non_null(all);
    sheet_begin(&n);
    int face = pz_graph_input(n.g, "face", SHAPE4(2, 48, 96, 3));
    pz_graph_output(n.g, "y", pz_wav2lip_quality(n.p, 1, face));
    sheet_open(&n, PZ_BACKEND_CPU);
    pz_rule_input(1003, 0, 1, 3 * 2 * 96 * 96, all);
    float *x = pz_session_input(n.session, "face", 0).data;
    for (int f = 0; f < 2; f++)
        for (int i = 0; i < 48 * 96; i++)
            for (int k = 0; k < 3; k++)
                x[(f * 48 * 96 + i) * 3 + k] = all[(k * 2 + f) * 96 * 96 + 48 * 96 + i];
    sheet_run(&n);
    const float *y = pz_session_output(n.session, "y", 0).data;
    for (int f = 0; f < 2; f++)
        assert_true(fabs(y[f] - want[f]) < 2e-6);
    assert_int_equal(n.n_params, 14113793);
    pz_free(all);
    sheet_end(&n);
}

static void syncnet_of(const struct pz_syncnet_config *c, enum pz_backend backend, int64_t n_params,
                       const struct sheet_line *a, const struct sheet_line *v)
{
    struct sheet_net n;
    float *all = pz_calloc(3 * 5 * 224 * 224, sizeof *all);
    assert_non_null(all);
    sheet_begin(&n);
    int mfcc = pz_graph_input(n.g, "mfcc", SHAPE4(1, 13, 20, 1));
    int lip = pz_graph_input(n.g, "lip", SHAPE4(1, 224, 224, 15));
    pz_graph_output(n.g, "aud", pz_syncnet_audio(n.p, c, mfcc));
    pz_graph_output(n.g, "lip", pz_syncnet_lip(n.p, c, lip));
    sheet_open(&n, backend);
    sheet_input(n.session, "mfcc", 1005, -10, 10);
    pz_rule_input(1006, 0, 255, 3 * 5 * 224 * 224, all); // [1,3,5,224,224]
    float *x = pz_session_input(n.session, "lip", 0).data;
    for (int d = 0; d < 5; d++)
        for (int k = 0; k < 3; k++)
            for (int i = 0; i < 224 * 224; i++)
                x[i * 15 + d * 3 + k] = all[(k * 5 + d) * 224 * 224 + i];
    sheet_run(&n);
    sheet_check(n.session, a);
    sheet_check(n.session, v);
    if (n_params)
        assert_int_equal(n.n_params, n_params);
    pz_free(all);
    sheet_end(&n);
}

static void syncnet(void **state)
{
    static const struct pz_syncnet_config tiny = {
        .audio = {8, 24, 48, 32, 32, 64}, .lip = {12, 32, 32, 32, 32, 64}, .hidden = 64, .out = 128};
    static const struct sheet_line a8 = {"aud", .03650435, .4757259, {{0, .05384649}, {127, -.1339728}}, 2};
    static const struct sheet_line v8 = {"lip", .1460805, 9.390249, {{0, -7.898752}, {127, -.03929436}}, 2};
    static const struct sheet_line a1 = {"aud", .01364884, .5934345, {{0, -.5168876}, {1023, -.2873527}}, 2};
    static const struct sheet_line v1 = {"lip", -.6572022, 12.73256, {{0, 7.296267}, {1023, -8.452254}}, 2};
    (void)state;
    for (size_t b = 0; b < 2; b++)
        syncnet_of(&tiny, backends[b], 0, &a8, &v8);
    syncnet_of(&pz_syncnet_published, PZ_BACKEND_CPU, 0, &a1, &v1);
}

static void syncnet_score(void **state)
{
    // Sounds that are the lips, three windows late: the offset is found, the distance there is the added
    // epsilon's.
    enum { N = 60, W = 16 };
    float lip[N * W], audio[N * W];
    struct pz_syncnet_score s;
    (void)state;
    pz_rule_input(1, -1, 1, N * W, lip);
    for (int i = 0; i < N; i++)
        for (int k = 0; k < W; k++)
            audio[i * W + k] = i >= 3 ? lip[(i - 3) * W + k] : 0;
    pz_syncnet_score(lip, audio, N, W, &s);
    assert_int_equal(s.offset, -3); // best k = 18
    // The last three windows have no such sound: zeros count with the length of their own vectors.
    double tail = 0;
    for (int i = N - 3; i < N; i++) {
        double sum = 0;
        for (int k = 0; k < W; k++)
            sum += (double)lip[i * W + k] * lip[i * W + k];
        tail += sqrt(sum);
    }
    assert_true(fabs(s.distance - tail / N) < 1e-4);
    assert_true(s.confidence > 1 && s.confidence < 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiny_generator), cmocka_unit_test(full_generator), cmocka_unit_test(expert),
        cmocka_unit_test(quality),        cmocka_unit_test(syncnet),        cmocka_unit_test(syncnet_score),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* PyTorch checkpoints: real files written by torch 2.11 (values from torch itself), by torch < 1.6 (values
 * from an independent reader in Python), and files made here byte by byte. Hostile ones:
 * test_pytorch_hostile.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "tensor/half.h"
#include "test_pytorch_make.h"
#include "weights/checkpoint.h"
#include "weights/safetensors.h"

#define REAL(n) PZ_SOURCE_DIR "/fuzz/corpus/pytorch/" n

static char dir[] = "/tmp/pz-pt-XXXXXX";

/* What torch 2.11.0 itself printed for the state dict of the module whose checkpoints are in
 * fuzz/corpus/pytorch: type, shape, strides, Σ x and Σ (i+1)·x over the elements in row-major order, in
 * double. */
static const struct truth {
    const char *name;
    enum pz_dtype dtype;
    int rank;
    int64_t shape[4], strides[4];
    double sum, weighted;
} truth[] = {
    {"t", PZ_DTYPE_F32, 2, {6, 4}, {1, 6}, 10.648110076785088, 84.18656387925148},
    {"ex", PZ_DTYPE_F32, 2, {3, 4}, {1, 0}, -0.15327411890029907, -22.85921874642372},
    {"v1", PZ_DTYPE_F32, 2, {3, 4}, {4, 1}, 3.90279820561409, 33.93610590696335},
    {"v2", PZ_DTYPE_F32, 1, {10}, {3}, -0.5532941445708275, 6.194003276526928},
    {"h", PZ_DTYPE_F16, 1, {7}, {1}, 1.27685546875, -4.232421875},
    {"bf", PZ_DTYPE_BF16, 1, {7}, {1}, 0.062255859375, -2.49853515625},
    {"d", PZ_DTYPE_F64, 1, {3}, {1}, 1.3786995932459831, 3.861441396176815},
    {"i", PZ_DTYPE_I64, 1, {7}, {1}, 0, 28},
    {"i32", PZ_DTYPE_I32, 1, {5}, {1}, 10, 40},
    {"u8", PZ_DTYPE_U8, 1, {5}, {1}, 10, 40},
    {"bo", PZ_DTYPE_U8, 1, {3}, {1}, 2, 4},
    {"cl", PZ_DTYPE_F32, 4, {2, 3, 4, 5}, {60, 1, 15, 3}, 4.369098615774419, 40.28867445245851},
    {"z", PZ_DTYPE_F32, 2, {0, 3}, {3, 1}, 0, 0},
    {"s", PZ_DTYPE_F32, 0, {0}, {0}, 2.5, 2.5},
    {"conv.weight", PZ_DTYPE_F32, 4, {4, 3, 3, 3}, {27, 9, 3, 1}, 0.4400490837288089, 14.218627306283452},
    {"conv.bias", PZ_DTYPE_F32, 1, {4}, {1}, 0.373446736484766, 0.9623778276145458},
    {"bn.weight", PZ_DTYPE_F32, 1, {4}, {1}, 4, 10},
    {"bn.bias", PZ_DTYPE_F32, 1, {4}, {1}, 0, 0},
    {"bn.running_mean", PZ_DTYPE_F32, 1, {4}, {1}, 0, 0},
    {"bn.running_var", PZ_DTYPE_F32, 1, {4}, {1}, 4, 10},
    {"bn.num_batches_tracked", PZ_DTYPE_I64, 0, {0}, {0}, 0, 0},
    {"fc.weight", PZ_DTYPE_F32, 2, {6, 5}, {5, 1}, 1.1341897174715996, 12.28078805282712},
    {"fc.bias", PZ_DTYPE_F32, 1, {6}, {1}, 0.23705139011144638, 1.7688782215118408},
};
#define N_TRUTH (int)(sizeof truth / sizeof *truth)

static void sums(const struct pz_checkpoint_tensor *t, double *sum, double *weighted, size_t *n)
{
    *n = pz_checkpoint_elements(t);
    float *v = malloc((*n + 1) * sizeof *v);
    assert_int_equal(pz_checkpoint_read_f32(NULL, t, v, *n), PZ_OK);
    *sum = *weighted = 0;
    for (size_t i = 0; i < *n; i++) {
        *sum += (double)v[i];
        *weighted += (double)v[i] * (double)(i + 1);
    }
    free(v);
}

static void check_real(const char *path, const char *format)
{
    const struct pz_checkpoint_options options = {.remove = "module."};
    struct pz_checkpoint *c;
    assert_int_equal(pz_checkpoint_open_with(path, &options, NULL, &c), PZ_OK);
    assert_string_equal(pz_checkpoint_format(c), format);
    assert_int_equal(pz_checkpoint_count(c), N_TRUTH);
    for (int i = 0; i < N_TRUTH; i++) {
        const struct truth *w = &truth[i];
        const struct pz_checkpoint_tensor *t = pz_checkpoint_find(c, w->name);
        assert_non_null(t);
        assert_int_equal(t->dtype, w->dtype);
        assert_int_equal(t->rank, w->rank);
        for (int k = 0; k < w->rank; k++) {
            assert_int_equal(t->shape[k], w->shape[k]);
            assert_int_equal(t->strides[k], w->strides[k]);
        }
        double sum, weighted;
        size_t n;
        sums(t, &sum, &weighted, &n);
        if (fabs(sum - w->sum) > 1e-6 || fabs(weighted - w->weighted) > 2e-6)
            fail_msg("%s '%s': sums %.9f %.9f, torch says %.9f %.9f", path, w->name, sum, weighted, w->sum,
                     w->weighted);
        /* the own type, packed, says the same as float */
        uint16_t half[512];
        assert_int_equal(pz_checkpoint_read_f16(NULL, t, half, n), PZ_OK);
        uint8_t raw[512 * 8];
        assert_int_equal(pz_checkpoint_read(NULL, t, raw, n * pz_dtype_size(t->dtype)), PZ_OK);
        float f[512];
        assert_int_equal(pz_checkpoint_read_f32(NULL, t, f, n), PZ_OK);
        for (size_t k = 0; k < n; k++)
            assert_int_equal(half[k], pz_f32_to_f16(f[k]));
        if (t->dtype == PZ_DTYPE_F32)
            assert_memory_equal(raw, f, n * 4);
        assert_int_equal(pz_checkpoint_read_f32(NULL, t, f, n + 1), PZ_ERR_FORMAT);
    }
    assert_null(pz_checkpoint_find(c, "global_step"));
    assert_null(pz_checkpoint_at(c, N_TRUTH));
    pz_checkpoint_close(&c);
    assert_null(c);
}

static void torch_files(void **state)
{
    check_real(REAL("ck.pt"), "PyTorch zip");
    check_real(REAL("p4.pt"), "PyTorch zip"); /* pickle protocol 4 */
    check_real(REAL("leg.pth"), "PyTorch legacy");
    check_real(REAL("ckleg.pth"), "PyTorch legacy"); /* with an optimizer, numpy values, a Namespace … */
    struct pz_checkpoint *c;
    double v;
    assert_int_equal(pz_checkpoint_open(REAL("ck.pt"), NULL, &c), PZ_OK);
    assert_non_null(pz_checkpoint_find(c, "module.fc.weight"));
    assert_true(pz_checkpoint_number(c, "global_step", &v) && v == 5);
    assert_false(pz_checkpoint_number(c, "no_step", &v));
    /* views of one storage share it */
    assert_int_equal((const char *)pz_checkpoint_find(c, "module.v2")->data -
                         (const char *)pz_checkpoint_find(c, "module.v1")->data,
                     7 * 4);
    pz_checkpoint_close(&c);
    const struct pz_checkpoint_options whole = {.root = "optimizer"};
    assert_int_equal(pz_checkpoint_open_with(REAL("ck.pt"), &whole, NULL, &c), PZ_OK);
    const struct pz_checkpoint_tensor *t = pz_checkpoint_find(c, "state.0.exp_avg");
    assert_non_null(t);
    assert_int_equal(t->rank, 4);
    pz_checkpoint_close(&c);
}

static void torch_objects_are_named(void **state)
{
    static const struct {
        const char *path, *root, *word;
    } cases[] = {
        {REAL("mod.pt"), NULL, "__main__.M"},
        {REAL("odd.pt"), NULL, "_rebuild_sparse_tensor"},
        {REAL("ck.pt"), "nothing", "nothing"},
        {REAL("ck.pt"), "args", "no tensors"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
        struct pz_job job = {.log = log};
        const struct pz_checkpoint_options o = {.root = cases[i].root};
        struct pz_checkpoint *c;
        char msg[512];
        enum pz_status st = pz_checkpoint_open_with(cases[i].path, &o, &job, &c);
        pz_log_last_error(log, msg, sizeof msg);
        assert_int_equal(st, i < 2 ? PZ_ERR_UNSUPPORTED : PZ_ERR_FORMAT);
        assert_null(c);
        if (!strstr(msg, cases[i].word))
            fail_msg("'%s' is not in: %s", cases[i].word, msg);
        pz_log_destroy(&log);
    }
}

/* Values from an independent reader: Python's own pickle module and numpy. Σ of all is also in
 * spec/wav2lip.md §10. */
static void mtcnn_files(void **state)
{
    static const struct {
        const char *name;
        int n;
        size_t elements;
        int64_t conv1[4];
        const char *dense;
        int64_t dense_shape[2];
        double sum, weighted;
    } files[] = {
        {"pnet", 13, 6632, {10, 3, 3, 3}, "conv4_1.weight", {2, 32}, -43.12531704072171, -160855.9782358084},
        {"rnet",
         16,
         100178,
         {28, 3, 3, 3},
         "dense4.weight",
         {128, 576},
         -178.50655001851723,
         -3621402.7090303707},
        {"onet",
         21,
         389040,
         {32, 3, 3, 3},
         "dense5.weight",
         {256, 1152},
         -354.43949631894327,
         -23085678.976620235},
    };
    if (!pz_file_exists(PZ_SHARED_DIR "/data/mtcnn/pnet.pt"))
        skip();
    for (size_t i = 0; i < 3; i++) {
        char path[512];
        snprintf(path, sizeof path, PZ_SHARED_DIR "/data/mtcnn/%s.pt", files[i].name);
        struct pz_checkpoint *c;
        assert_int_equal(pz_checkpoint_open(path, NULL, &c), PZ_OK);
        assert_string_equal(pz_checkpoint_format(c), "PyTorch legacy");
        assert_int_equal(pz_checkpoint_count(c), files[i].n);
        const struct pz_checkpoint_tensor *t = pz_checkpoint_find(c, "conv1.weight");
        assert_memory_equal(t->shape, files[i].conv1, sizeof files[i].conv1);
        t = pz_checkpoint_find(c, files[i].dense);
        assert_memory_equal(t->shape, files[i].dense_shape, sizeof files[i].dense_shape);
        double sum = 0, weighted = 0;
        size_t elements = 0;
        for (int k = 0; k < files[i].n; k++) {
            double s, w;
            size_t n;
            sums(pz_checkpoint_at(c, k), &s, &w, &n);
            sum += s, weighted += w, elements += n;
        }
        assert_int_equal(elements, files[i].elements);
        if (fabs(sum - files[i].sum) > 1e-7 || fabs(weighted - files[i].weighted) > 1e-3)
            fail_msg("%s: %.12f %.6f", files[i].name, sum, weighted);
        pz_checkpoint_close(&c);
    }
}

/* ---- files made here ---- */

static void big_endian(void **state)
{
    static const float want[6] = {1, -2, 3.5f, 0, 1e-30f, 6};
    for (int legacy = 0; legacy < 2; legacy++) {
        struct buf file = {0}, data = {0}, pkl = {0};
        for (int i = 0; i < 6; i++) {
            uint32_t u;
            memcpy(&u, &want[i], 4);
            for (int k = 3; k >= 0; k--)
                put_u8(&data, (uint8_t)(u >> (8 * k)));
        }
        make_pickle(&pkl, "w", "FloatStorage", "0", 6, 0, 2, (int64_t[]){2, 3}, (int64_t[]){1, 2});
        if (legacy)
            make_legacy(&file, &pkl, "0", 6, &data, true);
        else
            make_zip(&file, &(struct zip_opts){.byteorder = "big"}, &pkl, &data);
        struct pz_checkpoint *c;
        assert_int_equal(pz_checkpoint_parse(file.p, file.n, "made", NULL, NULL, &c), PZ_OK);
        const struct pz_checkpoint_tensor *t = pz_checkpoint_find(c, "w");
        assert_true(t->swapped && !t->contiguous);
        float v[6];
        assert_int_equal(pz_checkpoint_read_f32(NULL, t, v, 6), PZ_OK);
        for (int r = 0; r < 2; r++)
            for (int k = 0; k < 3; k++)
                assert_true(v[r * 3 + k] == want[r + 2 * k]);
        pz_checkpoint_close(&c);
        buf_free(&file), buf_free(&data), buf_free(&pkl);
    }
}

static void zip64_and_offsets(void **state)
{
    struct buf file = {0}, data = {0}, pkl = {0};
    for (int i = 0; i < 24; i++)
        put_f32(&data, (float)i);
    make_pickle(&pkl, "a.b", "FloatStorage", "0", 24, 4, 2, (int64_t[]){3, 2}, (int64_t[]){5, 2});
    make_zip(&file, &(struct zip_opts){.zip64 = true, .comment = "a comment"}, &pkl, &data);
    struct pz_checkpoint *c;
    assert_int_equal(pz_checkpoint_parse(file.p, file.n, "made", NULL, NULL, &c), PZ_OK);
    const struct pz_checkpoint_tensor *t = pz_checkpoint_at(c, 0);
    assert_string_equal(t->name, "a.b");
    assert_false(t->contiguous);
    assert_int_equal(t->n_bytes, 4 * (1 + 2 * 5 + 2));
    float v[6];
    assert_int_equal(pz_checkpoint_read_f32(NULL, t, v, 6), PZ_OK);
    for (int r = 0; r < 3; r++)
        for (int k = 0; k < 2; k++)
            assert_true(v[r * 2 + k] == (float)(4 + 5 * r + 2 * k));
    pz_checkpoint_close(&c);
    buf_free(&file), buf_free(&data), buf_free(&pkl);
}

static void legacy_view(void **state)
{
    struct buf file = {0}, data = {0}, pkl = {0};
    for (int i = 0; i < 10; i++)
        put_f32(&data, (float)i);
    make_pickle_view(&pkl, "w", "123", 10, 3, 5);
    make_legacy(&file, &pkl, "123", 10, &data, false);
    struct pz_checkpoint *c;
    assert_int_equal(pz_checkpoint_parse(file.p, file.n, "made", NULL, NULL, &c), PZ_OK);
    float v[5];
    assert_int_equal(pz_checkpoint_read_f32(NULL, pz_checkpoint_find(c, "w"), v, 5), PZ_OK);
    for (int i = 0; i < 5; i++)
        assert_true(v[i] == (float)(3 + i));
    pz_checkpoint_close(&c);
    buf_free(&file), buf_free(&data), buf_free(&pkl);
}

static void write_text(const char *name, const char *text)
{
    char *path = pz_path_join(dir, name);
    assert_int_equal(pz_file_write(NULL, path, text, strlen(text)), PZ_OK);
    pz_free(path);
}

static enum pz_status open_in_dir(const char *name, char *msg, size_t n_msg, struct pz_checkpoint **c)
{
    char *path = pz_path_join(dir, name);
    struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    struct pz_job job = {.log = log};
    enum pz_status st = pz_checkpoint_open(path, &job, c);
    pz_log_last_error(log, msg, n_msg);
    pz_log_destroy(&log);
    pz_free(path);
    return st;
}

static void shards(void **state)
{
    float a[4] = {1, 2, 3, 4}, b[2] = {5, 6};
    struct pz_stored_tensor t = {.name = "x.a", .dtype = PZ_DTYPE_F32, .rank = 2, .shape = {2, 2}, .data = a};
    char *path = pz_path_join(dir, "m-1.safetensors");
    assert_int_equal(pz_safetensors_write(NULL, path, &t, 1, NULL, 0), PZ_OK);
    pz_free(path);
    struct buf file = {0}, data = {0}, pkl = {0};
    put_f32(&data, b[0]), put_f32(&data, b[1]);
    make_pickle(&pkl, "x.b", "FloatStorage", "0", 2, 0, 1, (int64_t[]){2}, (int64_t[]){1});
    make_zip(&file, &(struct zip_opts){0}, &pkl, &data);
    path = pz_path_join(dir, "m-2.bin");
    assert_int_equal(pz_file_write(NULL, path, file.p, file.n), PZ_OK);
    pz_free(path);
    buf_free(&file), buf_free(&data), buf_free(&pkl);

    struct pz_checkpoint *c;
    char msg[512];
    write_text("ok.json", "{\"metadata\": {\"total_size\": 24, \"l\": [1, \"\\u00e4\", {}]}, \"weight_map\": "
                          "{\"x.b\": \"m-2.bin\", \"x.a\": \"m-1.safetensors\"}}\n");
    assert_int_equal(open_in_dir("ok.json", msg, sizeof msg, &c), PZ_OK);
    assert_string_equal(pz_checkpoint_format(c), "sharded");
    assert_int_equal(pz_checkpoint_count(c), 2);
    float v[4];
    assert_int_equal(pz_checkpoint_read_f32(NULL, pz_checkpoint_find(c, "x.a"), v, 4), PZ_OK);
    assert_memory_equal(v, a, sizeof a);
    assert_int_equal(pz_checkpoint_read_f32(NULL, pz_checkpoint_find(c, "x.b"), v, 2), PZ_OK);
    assert_memory_equal(v, b, sizeof b);
    pz_checkpoint_close(&c);

    static const struct {
        const char *text, *word;
    } bad[] = {
        {"{\"weight_map\": {\"x.a\": \"m-9.bin\"}}", "m-9.bin"},
        {"{\"weight_map\": {\"x.q\": \"m-2.bin\"}}", "x.q"},
        {"{\"weight_map\": {\"x.a\": \"../m-2.bin\"}}", "no file beside"},
        {"{\"weight_map\": {\"x.a\": \"bad.json\"}}", "perhaps an index"},
        {"{\"weight_map\": {\"x.a\": \"ok.json\"}}", "perhaps an index"},
        {"{\"weight_map\": {\"x.b\": \"m-2.bin\", \"x.b\": \"m-2.bin\"}}", "twice"},
        {"{\"weight_map\": {\"x.b\": \"m-2.bin\"", "does not end"},
        {"{\"weight_map\": [", "no object"},
        {"{\"a\": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}",
         "broken JSON"},
        {"{\"a\": 1}", "no weight_map"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_text("bad.json", bad[i].text);
        assert_true(open_in_dir("bad.json", msg, sizeof msg, &c) < PZ_OK);
        assert_null(c);
        if (!strstr(msg, bad[i].word))
            fail_msg("'%s' is not in: %s", bad[i].word, msg);
    }
}

/* Opening must not read the data: 1.7 GB of holes, 1200 tensors. */
static void large_file_opens_at_once(void **state)
{
    enum { N = 1200 };
    const uint64_t each = 1450000;
    char *path = pz_path_join(dir, "large.pt");
    make_large_zip(path, N, each);
    int64_t before = pz_peak_rss();
    double start = pz_now();
    struct pz_checkpoint *c;
    assert_int_equal(pz_checkpoint_open(path, NULL, &c), PZ_OK);
    double took = pz_now() - start;
    int64_t grown = pz_peak_rss() - before;
    assert_int_equal(pz_checkpoint_count(c), N);
    const struct pz_checkpoint_tensor *t = pz_checkpoint_find(c, "t1199");
    float last;
    memcpy(&last, (const char *)t->data + t->n_bytes - 4, 4);
    assert_true(last == 1199.0f);
    print_message("[          ] 1.74 GB, %d tensors: opened in %.1f ms, peak memory grew by %.1f MB\n", N,
                  took * 1e3, (double)grown / 1e6);
    assert_true(took < 1.0);
    assert_true(grown < 64 << 20);
    pz_checkpoint_close(&c);
    unlink(path);
    pz_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(torch_files),
        cmocka_unit_test(torch_objects_are_named),
        cmocka_unit_test(mtcnn_files),
        cmocka_unit_test(big_endian),
        cmocka_unit_test(zip64_and_offsets),
        cmocka_unit_test(legacy_view),
        cmocka_unit_test(shards),
        cmocka_unit_test(large_file_opens_at_once),
    };
    if (!mkdtemp(dir))
        return 1;
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    pz_remove_tree(dir);
    return rc;
}

/* Broken and hostile checkpoints: each ends in one line that names the fault; no cut or flipped byte of a
 * good file is read out of bounds (the sanitizers' build sees that, files lie in blocks of their exact size).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "test_pytorch_make.h"
#include "weights/checkpoint.h"

static enum pz_status parse(const struct buf *file, char *msg, size_t n_msg)
{
    uint8_t *exact = malloc(file->n ? file->n : 1);
    memcpy(exact, file->p, file->n);
    struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    struct pz_job job = {.log = log};
    struct pz_checkpoint *c;
    enum pz_status st = pz_checkpoint_parse(exact, file->n, "made", NULL, &job, &c);
    pz_log_last_error(log, msg, n_msg);
    for (int i = 0; st == PZ_OK && i < pz_checkpoint_count(c); i++) {
        const struct pz_checkpoint_tensor *t = pz_checkpoint_at(c, i);
        size_t n = pz_checkpoint_elements(t);
        float *v = n < 100000 ? malloc(n * 4 + 4) : NULL;
        if (v)
            assert_int_equal(pz_checkpoint_read_f32(NULL, t, v, n), PZ_OK);
        free(v);
    }
    if (st != PZ_OK) {
        assert_null(c);
        assert_true(msg[0]);
    }
    pz_checkpoint_close(&c);
    pz_log_destroy(&log);
    free(exact);
    return st;
}

static void expect(const char *what, const struct buf *file, enum pz_status want, const char *word)
{
    char msg[1024] = "";
    enum pz_status st = parse(file, msg, sizeof msg);
    if (st != want || (word && !strstr(msg, word)))
        fail_msg("%s: status %d, '%s' is not in: %s", what, (int)st, word ? word : "", msg);
}

/* A pickle's bytes as a zip checkpoint with one storage "0" of 8 floats. */
static void expect_pickle(const char *what, struct buf *pkl, enum pz_status want, const char *word)
{
    struct buf file = {0}, data = {0};
    for (int i = 0; i < 8; i++)
        put_f32(&data, (float)i);
    make_zip(&file, &(struct zip_opts){0}, pkl, &data);
    expect(what, &file, want, word);
    buf_free(&file), buf_free(&data), buf_free(pkl);
}

static void shapes(void **state)
{
    static const struct {
        const char *what, *type, *key;
        int64_t numel, offset, shape[2], stride[2];
        enum pz_status want;
        const char *word;
    } cases[] = {
        {"fits", "FloatStorage", "0", 8, 0, {2, 4}, {4, 1}, PZ_OK, NULL},
        {"fits at the end", "FloatStorage", "0", 8, 7, {1, 1}, {99, 99}, PZ_OK, NULL},
        {"expanded", "FloatStorage", "0", 8, 7, {1000, 1000}, {0, 0}, PZ_OK, NULL},
        {"empty", "FloatStorage", "0", 8, 8, {0, 4}, {4, 1}, PZ_OK, NULL},
        {"offset", "FloatStorage", "0", 8, 1, {2, 4}, {4, 1}, PZ_ERR_FORMAT, "'w' reaches beyond"},
        {"empty outside", "FloatStorage", "0", 8, 9, {0, 4}, {4, 1}, PZ_ERR_FORMAT, "'w' reaches beyond"},
        {"stride", "FloatStorage", "0", 8, 0, {2, 4}, {5, 1}, PZ_ERR_FORMAT, "reaches beyond"},
        {"negative offset", "FloatStorage", "0", 8, -1, {2, 4}, {4, 1}, PZ_ERR_FORMAT, "reaches beyond"},
        {"negative stride", "FloatStorage", "0", 8, 4, {2, 2}, {-2, 1}, PZ_ERR_FORMAT, "impossible"},
        {"negative shape", "FloatStorage", "0", 8, 0, {-2, -2}, {2, 1}, PZ_ERR_FORMAT, "impossible"},
        {"overflow", "FloatStorage", "0", 8, 0, {INT64_MAX, 4}, {0, 1}, PZ_ERR_FORMAT, "impossible"},
        {"overflow of reach", "FloatStorage", "0", 8, 0, {3, 1}, {INT64_MAX, 1}, PZ_ERR_FORMAT, "impossible"},
        {"huge offset", "FloatStorage", "0", 8, INT64_MAX, {1, 1}, {1, 1}, PZ_ERR_FORMAT, "reaches beyond"},
        {"enormous", "FloatStorage", "0", 8, 0, {1 << 20, 1 << 20}, {0, 0}, PZ_ERR_FORMAT, "enormous"},
        {"short storage", "FloatStorage", "0", 9, 0, {2, 4}, {4, 1}, PZ_ERR_FORMAT, "32 bytes"},
        {"huge storage", "DoubleStorage", "0", INT64_MAX, 0, {1, 1}, {1, 1}, PZ_ERR_FORMAT, "promised"},
        {"negative storage", "FloatStorage", "0", -1, 0, {1, 1}, {1, 1}, PZ_ERR_FORMAT, "storage record"},
        {"no storage", "FloatStorage", "1", 8, 0, {2, 4}, {4, 1}, PZ_ERR_FORMAT, "storage '1'"},
        {"outside key", "FloatStorage", "../data.pkl", 8, 0, {2, 4}, {4, 1}, PZ_ERR_FORMAT, "not there"},
        {"type",
         "ComplexFloatStorage",
         "0",
         4,
         0,
         {1, 1},
         {1, 1},
         PZ_ERR_UNSUPPORTED,
         "torch.ComplexFloatStorage"},
        {"unknown type", "EvilStorage", "0", 4, 0, {1, 1}, {1, 1}, PZ_ERR_UNSUPPORTED, "torch.EvilStorage"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf pkl = {0};
        make_pickle(&pkl, "w", cases[i].type, cases[i].key, cases[i].numel, cases[i].offset, 2,
                    cases[i].shape, cases[i].stride);
        expect_pickle(cases[i].what, &pkl, cases[i].want, cases[i].word);
    }
}

static void tensor_w(struct buf *b)
{
    op_tensor(b, "FloatStorage", "0", 8, 0, 1, (int64_t[]){8}, (int64_t[]){1});
}

#define RAW(b, s) put((b), (s), sizeof(s) - 1)

static void pickles(void **state)
{
    static const struct {
        const char *what, *bytes;
        size_t n;
        enum pz_status want;
        const char *word;
    } cases[] = {
#define CASE(w, s, st, word) {w, s, sizeof(s) - 1, st, word}
        CASE("nothing", "", PZ_ERR_FORMAT, "does not end"),
        CASE("no value", "\x80\x02.", PZ_ERR_FORMAT, "0 values"),
        CASE("two values", "\x80\x02NN.", PZ_ERR_FORMAT, "2 values"),
        CASE("open mark", "\x80\x02(N.", PZ_ERR_FORMAT, "values"),
        CASE("protocol 0", "\x80\x00N.", PZ_ERR_UNSUPPORTED, "protocol 0"),
        CASE("protocol 9", "\x80\x09N.", PZ_ERR_UNSUPPORTED, "protocol 9"),
        CASE("text opcode", "\x80\x02I01\n.", PZ_ERR_UNSUPPORTED, "opcode 0x49"),
        CASE("instance opcode", "\x80\x02(ios\nsystem\n.", PZ_ERR_UNSUPPORTED, "opcode 0x69"),
        CASE("extension", "\x80\x02\x82\x01.", PZ_ERR_UNSUPPORTED, "opcode 0x82"),
        CASE("underflow", "\x80\x02R.", PZ_ERR_FORMAT, "not there"),
        CASE("underflow below a mark", "\x80\x02N(\x85.", PZ_ERR_FORMAT, "not there"),
        CASE("tuple without mark", "\x80\x02t.", PZ_ERR_FORMAT, "did not begin"),
        CASE("odd dict", "\x80\x02(Nd.", PZ_ERR_FORMAT, "no value"),
        CASE("odd items", "\x80\x02}(Nu.", PZ_ERR_FORMAT, "no value"),
        CASE("items of nothing", "\x80\x02(NNu.", PZ_ERR_FORMAT, "nothing"),
        CASE("items of a number", "\x80\x02K\x01(NNu.", PZ_ERR_FORMAT, "holds none"),
        CASE("memo", "\x80\x02h\x05.", PZ_ERR_FORMAT, "stored value 5"),
        CASE("huge memo", "\x80\x02Nr\xff\xff\xff\xff.", PZ_ERR_FORMAT, "memo number 4294967295"),
        CASE("long text", "\x80\x02X\xff\xff\xff\xffx.", PZ_ERR_FORMAT, "4294967295 bytes"),
        CASE("longest text", "\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xffx.", PZ_ERR_FORMAT, "bytes"),
        CASE("cut integer", "\x80\x02J\x01", PZ_ERR_FORMAT, "bytes"),
        CASE("endless class",
             "\x80\x02"
             "cos\nsystem",
             PZ_ERR_FORMAT, "class name"),
        CASE("persistent integer", "\x80\x02K\x01Q.", PZ_ERR_UNSUPPORTED, "reference"),
        CASE("persistent junk", "\x80\x02(NNNNNtQ.", PZ_ERR_FORMAT, "storage record"),
        CASE("code is not run, and holds no tensors",
             "\x80\x02"
             "cos\nsystem\nX\x01\x00\x00\x00x\x85R.",
             PZ_ERR_FORMAT, "no tensors"),
        CASE("empty dict", "\x80\x02}.", PZ_ERR_FORMAT, "no tensors"),
        CASE("list in itself",
             "\x80\x02}X\x01\x00\x00\x00k]q\x00h\x00"
             "as.",
             PZ_ERR_FORMAT, "contains itself"),
#undef CASE
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf pkl = {0};
        put(&pkl, cases[i].bytes, cases[i].n);
        expect_pickle(cases[i].what, &pkl, cases[i].want, cases[i].word);
    }
}

static void objects(void **state)
{
    struct buf b = {0};
    /* an object without tensors beside them is passed over */
    RAW(&b, "\x80\x02}");
    op_text(&b, "args");
    op_global(&b, "argparse", "Namespace");
    RAW(&b, ")\x81}");
    op_text(&b, "lr");
    RAW(&b, "K\x01sbs");
    op_text(&b, "w");
    tensor_w(&b);
    RAW(&b, "s.");
    expect_pickle("harmless object", &b, PZ_OK, NULL);
    /* one with a tensor in its state is an error that names class and place */
    RAW(&b, "\x80\x02}");
    op_text(&b, "net");
    op_global(&b, "my.models", "Net");
    RAW(&b, ")\x81}");
    op_text(&b, "w");
    tensor_w(&b);
    RAW(&b, "sbs.");
    expect_pickle("object with tensors", &b, PZ_ERR_UNSUPPORTED,
                  "'net' holds tensors inside an object of class my.models.Net");
    /* the same beside a state_dict does not matter */
    RAW(&b, "\x80\x02}");
    op_text(&b, "hub");
    op_global(&b, "mmengine.logging", "MessageHub");
    RAW(&b, ")\x81");
    tensor_w(&b);
    RAW(&b, "bs");
    op_text(&b, "state_dict");
    RAW(&b, "}");
    op_text(&b, "w");
    tensor_w(&b);
    RAW(&b, "ss.");
    expect_pickle("object beside the state dict", &b, PZ_OK, NULL);
    /* a function of torch that makes tensors and is not known */
    RAW(&b, "\x80\x02}");
    op_text(&b, "q");
    op_global(&b, "torch._utils", "_rebuild_qtensor");
    RAW(&b, ")Rs.");
    expect_pickle("unknown builder", &b, PZ_ERR_UNSUPPORTED, "torch._utils._rebuild_qtensor");
    RAW(&b, "\x80\x02}");
    op_text(&b, "w");
    tensor_w(&b);
    RAW(&b, "s");
    op_text(&b, "w");
    tensor_w(&b);
    RAW(&b, "s.");
    expect_pickle("same name twice", &b, PZ_ERR_FORMAT, "'w' appears twice");
}

static void depth_and_counts(void **state)
{
    struct buf b = {0};
    RAW(&b, "\x80\x02");
    for (int i = 0; i < 200000; i++)
        RAW(&b, "]");
    for (int i = 1; i < 200000; i++)
        RAW(&b, "a");
    RAW(&b, ".");
    expect_pickle("deep lists", &b, PZ_ERR_FORMAT, "nested deeper");
    RAW(&b, "\x80\x02}");
    op_text(&b, "o");
    for (int i = 0; i < 100000; i++) {
        op_global(&b, "a", "B");
        RAW(&b, ")\x81");
    }
    for (int i = 1; i < 100000; i++)
        RAW(&b, "b");
    RAW(&b, "s.");
    expect_pickle("deep objects", &b, PZ_ERR_FORMAT, "nested too deep");
    RAW(&b, "\x80\x02");
    for (int i = 0; i < 20000; i++)
        RAW(&b, "(");
    expect_pickle("marks", &b, PZ_ERR_FORMAT, "groups inside each other");
    /* 2^40 values by doubling 40 times */
    RAW(&b, "\x80\x02]q\x00");
    for (int i = 0; i < 40; i++) {
        RAW(&b, "0](h\x00h\x00"
                "eq\x00");
    }
    RAW(&b, ".");
    expect_pickle("doubling lists", &b, PZ_ERR_FORMAT, "more than 4194304 values");
    RAW(&b, "\x80\x02}");
    for (int i = 0; i < 30; i++) {
        char name[101];
        memset(name, 'n', 100);
        name[100] = '\0';
        op_text(&b, name);
        RAW(&b, "}");
    }
    op_text(&b, "w");
    tensor_w(&b);
    for (int i = 0; i < 31; i++)
        RAW(&b, "s");
    RAW(&b, ".");
    expect_pickle("long name", &b, PZ_ERR_FORMAT, "too long");
}

static void containers(void **state)
{
    struct buf file = {0}, data = {0}, pkl = {0};
    for (int i = 0; i < 8; i++)
        put_f32(&data, (float)i);
    make_pickle(&pkl, "w", "FloatStorage", "0", 8, 0, 1, (int64_t[]){8}, (int64_t[]){1});

    make_zip(&file, &(struct zip_opts){.method = 8}, &pkl, &data);
    expect("deflated", &file, PZ_ERR_UNSUPPORTED, "compressed");
    buf_free(&file);
    make_zip(&file, &(struct zip_opts){.byteorder = "middle"}, &pkl, &data);
    expect("byte order", &file, PZ_ERR_FORMAT, "byte order");
    buf_free(&file);

    struct zip_writer w;
    zip_begin(&w, &file, &(struct zip_opts){0});
    zip_add(&w, "a.txt", "x", 1);
    zip_end(&w);
    expect("other zip", &file, PZ_ERR_INPUT, "no data.pkl");
    buf_free(&file);
    zip_begin(&w, &file, &(struct zip_opts){0});
    zip_add(&w, "t/data.pkl", pkl.p, pkl.n);
    zip_add(&w, "t/data/0", data.p, data.n);
    zip_add(&w, "t/data/0", data.p, data.n);
    zip_end(&w);
    expect("same member twice", &file, PZ_ERR_FORMAT, "'t/data/0' appears twice");
    buf_free(&file);
    /* The inner archive is the content of a member of the outer one, and both claim the inner member. */
    zip_begin(&w, &file, &(struct zip_opts){0});
    struct buf inner = {0};
    struct zip_writer wi;
    zip_begin(&wi, &inner, &(struct zip_opts){0});
    wi.base = 64; /* where the outer member's content begins */
    zip_add(&wi, "t/data/1", data.p, data.n);
    zip_add(&w, "t/data/0", inner.p, inner.n);
    put(&w.dir, wi.dir.p, wi.dir.n);
    w.n_members++;
    zip_end(&w);
    expect("overlap", &file, PZ_ERR_FORMAT, "overlap");
    buf_free(&file), buf_free(&inner), buf_free(&wi.dir);

    make_legacy(&file, &pkl, "0", 8, &data, false);
    expect("good legacy", &file, PZ_OK, NULL);
    put_u8(&file, 0);
    expect("bytes behind", &file, PZ_ERR_FORMAT, "1 bytes behind");
    file.n -= 2;
    expect("cut legacy", &file, PZ_ERR_FORMAT, "truncated: storage '0'");
    buf_free(&file);
    make_legacy(&file, &pkl, "0", INT64_MIN, &data, false);
    expect("count", &file, PZ_ERR_FORMAT, "9223372036854775808 elements");
    buf_free(&file);
    make_legacy(&file, &pkl, "7", 8, &data, false);
    expect("stranger", &file, PZ_ERR_FORMAT, "belongs to no tensor");
    buf_free(&file);
    put(&file, "\x80\x02N.", 4);
    expect("other pickle", &file, PZ_ERR_INPUT, "no PyTorch checkpoint");
    file.n = 0;
    expect("empty", &file, PZ_ERR_INPUT, "empty");
    put(&file, "GIF89a", 6);
    expect("other file", &file, PZ_ERR_INPUT, "no checkpoint");
    buf_free(&file);
    for (int i = 0; i < 1024; i++)
        put_u8(&file, 0);
    memcpy(file.p, "sys_info", 8);
    memcpy(file.p + 257, "ustar", 5);
    expect("tar", &file, PZ_ERR_UNSUPPORTED, "tar checkpoint");
    buf_free(&file), buf_free(&data), buf_free(&pkl);
}

/* Every prefix and thousands of flipped bytes of good files. */
static void cut_and_flipped(void **state)
{
    const uint64_t seed = 20261122;
    print_message("[          ] seed %llu\n", (unsigned long long)seed);
    struct pz_rng rng;
    pz_rng_init(&rng, seed, 0);
    int survived = 0, refused = 0;
    for (int kind = 0; kind < 3; kind++) {
        struct buf file = {0}, data = {0}, pkl = {0};
        char msg[1024];
        for (int i = 0; i < 8; i++)
            put_f32(&data, (float)i);
        make_pickle(&pkl, "w", "FloatStorage", "0", 8, 0, 2, (int64_t[]){4, 2}, (int64_t[]){1, 4});
        if (kind == 0)
            make_legacy(&file, &pkl, "0", 8, &data, false);
        else
            make_zip(&file, &(struct zip_opts){.zip64 = kind == 2}, &pkl, &data);
        assert_int_equal(parse(&file, msg, sizeof msg), PZ_OK);
        size_t n = file.n;
        for (file.n = 0; file.n < n; file.n++)
            assert_true(parse(&file, msg, sizeof msg) < PZ_OK);
        for (int i = 0; i < 4000; i++) {
            size_t at = pz_rng_below(&rng, (uint32_t)n);
            uint8_t was = file.p[at];
            file.p[at] = (uint8_t)pz_rng_u32(&rng);
            if (parse(&file, msg, sizeof msg) == PZ_OK)
                survived++;
            else
                refused++;
            file.p[at] = was;
        }
        buf_free(&file), buf_free(&data), buf_free(&pkl);
    }
    print_message("[          ] of 12000 flipped bytes %d were refused, %d left a readable file\n", refused,
                  survived);
    assert_true(refused > 3000 && survived > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes),           cmocka_unit_test(pickles),    cmocka_unit_test(objects),
        cmocka_unit_test(depth_and_counts), cmocka_unit_test(containers), cmocka_unit_test(cut_and_flipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

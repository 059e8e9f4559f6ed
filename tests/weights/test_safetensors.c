/* safetensors: what is written is read back; broken headers of every kind are refused with a line that names
 * the fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "weights/safetensors.h"

static char dir[] = "/tmp/pz-st-XXXXXX";

static void round_trip(void **state)
{
    char *path = pz_path_join(dir, "a.safetensors");
    uint8_t bytes[5] = {1, 2, 3, 4, 255};
    float f[6] = {1, -2, 3.5f, 0, 1e-30f, 6};
    uint16_t h[2] = {0x3c00, 0xc000};
    int64_t big[1] = {INT64_C(-9007199254740993)};
    struct pz_stored_tensor t[] = {
        {.name = "bytes", .dtype = PZ_DTYPE_U8, .rank = 1, .shape = {5}, .data = bytes},
        {.name = "f\"\\\n\xc3\xa4", .dtype = PZ_DTYPE_F32, .rank = 2, .shape = {2, 3}, .data = f},
        {.name = "h", .dtype = PZ_DTYPE_F16, .rank = 1, .shape = {2}, .data = h},
        {.name = "scalar", .dtype = PZ_DTYPE_I64, .rank = 0, .data = big},
        {.name = "none", .dtype = PZ_DTYPE_F32, .rank = 2, .shape = {0, 4}, .data = NULL},
    };
    struct pz_stored_text m[] = {{"who", "quote \" tab \t \xe4\xbd\xa0"}, {"empty", ""}};
    assert_int_equal(pz_safetensors_write(NULL, path, t, 5, m, 2), PZ_OK);
    struct pz_safetensors *s;
    assert_int_equal(pz_safetensors_open(NULL, path, &s), PZ_OK);
    assert_int_equal(pz_safetensors_count(s), 5);
    for (int i = 0; i < 5; i++) {
        const struct pz_stored_tensor *r = pz_safetensors_find(s, t[i].name);
        assert_non_null(r);
        assert_int_equal(r->dtype, t[i].dtype);
        assert_int_equal(r->rank, t[i].rank);
        assert_int_equal((uintptr_t)r->data % pz_dtype_size(r->dtype), 0);
        assert_memory_equal(r->shape, t[i].shape, sizeof r->shape);
        if (r->n_bytes)
            assert_memory_equal(r->data, t[i].data, r->n_bytes);
    }
    assert_string_equal(pz_safetensors_text(s, "who"), m[0].value);
    assert_string_equal(pz_safetensors_text(s, "empty"), "");
    assert_null(pz_safetensors_text(s, "nobody"));
    assert_null(pz_safetensors_find(s, "nobody"));
    float v[2];
    assert_int_equal(pz_safetensors_read_f32(NULL, pz_safetensors_find(s, "h"), v, 2), PZ_OK);
    assert_true(v[0] == 1.0f && v[1] == -2.0f);
    assert_int_equal(pz_safetensors_read_f32(NULL, pz_safetensors_find(s, "h"), v, 1), PZ_ERR_FORMAT);
    assert_int_equal(pz_safetensors_read_f32(NULL, pz_safetensors_find(s, "scalar"), v, 1), PZ_ERR_FORMAT);
    const struct pz_stored_tensor *e;
    assert_int_equal(pz_safetensors_expect(NULL, s, t[1].name, PZ_DTYPE_F32, 2, (int64_t[]){-1, 3}, &e),
                     PZ_OK);
    assert_ptr_equal(e, pz_safetensors_find(s, t[1].name));
    assert_int_equal(pz_safetensors_expect(NULL, s, t[1].name, PZ_DTYPE_F32, 2, (int64_t[]){3, 3}, &e),
                     PZ_ERR_FORMAT);
    pz_safetensors_close(&s);
    assert_null(s);
    pz_free(path);
}

static void writer_refuses(void **state)
{
    char *path = pz_path_join(dir, "never.safetensors");
    float f[2] = {0};
    struct pz_stored_tensor twice[] = {{.name = "x", .rank = 1, .shape = {2}, .data = f},
                                       {.name = "x", .rank = 1, .shape = {2}, .data = f}};
    assert_int_equal(pz_safetensors_write(NULL, path, twice, 2, NULL, 0), PZ_ERR_USAGE);
    struct pz_stored_tensor bad = {.name = "x", .rank = 2, .shape = {INT64_MAX, 4}, .data = f};
    assert_int_equal(pz_safetensors_write(NULL, path, &bad, 1, NULL, 0), PZ_ERR_USAGE);
    bad = (struct pz_stored_tensor){.name = "", .rank = 0, .data = f};
    assert_int_equal(pz_safetensors_write(NULL, path, &bad, 1, NULL, 0), PZ_ERR_USAGE);
    bad.name = "x";
    assert_int_equal(pz_safetensors_write(NULL, "/nonexistent/dir/x", &bad, 1, NULL, 0), PZ_ERR_WRITE);
    assert_false(pz_file_exists(path));
    pz_free(path);
}

static enum pz_status try_header(const char *json, size_t n_data, char *msg, size_t n_msg)
{
    size_t n = strlen(json);
    uint8_t *buf =
        calloc(1, 8 + n + n_data + 1); /* exact-size copy below, so that over-reads are seen by asan */
    buf[0] = (uint8_t)n;
    buf[1] = (uint8_t)(n >> 8);
    memcpy(buf + 8, json, n);
    uint8_t *exact = malloc(8 + n + n_data);
    memcpy(exact, buf, 8 + n + n_data);
    free(buf);
    struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    struct pz_safetensors *s;
    enum pz_status st = pz_safetensors_parse(log, exact, 8 + n + n_data, "t", &s);
    pz_log_last_error(log, msg, n_msg);
    pz_safetensors_close(&s);
    pz_log_destroy(&log);
    free(exact);
    return st;
}

static void reader_refuses(void **state)
{
    static const struct {
        const char *json;
        size_t n;
        const char *word; /* NULL: accepted */
    } cases[] = {
        {"{}", 0, NULL},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}  ", 4, NULL},
        {"{\"\\ud83d\\ude00\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, NULL},
        {"{", 0, "JSON"},
        {"[]", 0, "JSON object"},
        {"{\"a\":1}", 0, "object"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}} x", 4, "behind"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}", 4, "outside"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387905],\"data_offsets\":[0,4]}}", 4, "shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,4]}}", 4, "shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, "shape"},
        {"{\"a\":{\"dtype\":\"F99\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "type"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 0, "incomplete"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 5, "belong"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
         3, "overlaps"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
         2, "twice"},
        {"{\"\\u0000\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "JSON"},
        {"{\"\\ud83d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "JSON"},
        {"{\"__metadata__\":{\"k\":1}}", 0, "metadata"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char msg[256];
        enum pz_status st = try_header(cases[i].json, cases[i].n, msg, sizeof msg);
        print_message("%s\n  -> %d %s\n", cases[i].json, st, msg);
        assert_int_equal(st, cases[i].word ? PZ_ERR_FORMAT : PZ_OK);
        if (cases[i].word)
            assert_non_null(strstr(msg, cases[i].word));
    }
    struct pz_safetensors *s;
    assert_int_equal(pz_safetensors_parse(NULL, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, "t", &s),
                     PZ_ERR_FORMAT);
    assert_int_equal(pz_safetensors_parse(NULL, "abc", 3, "t", &s), PZ_ERR_FORMAT);
    assert_int_equal(pz_safetensors_open(NULL, "/nonexistent", &s), PZ_ERR_INPUT);
}

static void a_real_file(void **state)
{
    const char *path = PZ_SHARED_DIR "/data/ict_facekit.safetensors";
    if (!pz_file_exists(path))
        skip();
    struct pz_safetensors *s;
    assert_int_equal(pz_safetensors_open(NULL, path, &s), PZ_OK);
    assert_true(pz_safetensors_count(s) > 3);
    for (int i = 0; i < pz_safetensors_count(s); i++) {
        const struct pz_stored_tensor *t = pz_safetensors_at(s, i);
        assert_true(pz_stored_count(t) * pz_dtype_size(t->dtype) == t->n_bytes);
    }
    pz_safetensors_close(&s);
}

int main(void)
{
    if (!mkdtemp(dir))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(writer_refuses),
        cmocka_unit_test(reader_refuses),
        cmocka_unit_test(a_real_file),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    pz_remove_tree(dir);
    return rc;
}

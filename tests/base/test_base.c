/* Floor 0: known answers for hash and generator, exact rescaling, pool coverage, atomic writes. */
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
#include "base/hash.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rational.h"
#include "base/rng.h"

static void sha256_known_answers(void **state)
{
    char hex[65];
    struct pz_sha256 s;
    pz_sha256_init(&s);
    pz_sha256_update(&s, "abc", 3);
    pz_sha256_hex(&s, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    pz_sha256_init(&s);
    for (int i = 0; i < 1000000; i++)
        pz_sha256_update(&s, "a", 1);
    pz_sha256_hex(&s, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void philox_known_answer(void **state)
{
    struct pz_rng r; /* Random123 kat_vectors: philox4x32 10, all-zero counter and key */
    pz_rng_init(&r, 0, 0);
    assert_int_equal(pz_rng_u32(&r), 0x6627e8d5);
    assert_int_equal(pz_rng_u32(&r), 0xe169c58d);
    assert_int_equal(pz_rng_u32(&r), 0xbc57ac4c);
    assert_int_equal(pz_rng_u32(&r), 0x9b00dbd8);
}

static void rescale_is_exact(void **state)
{
    struct pz_rational ntsc = {1001, 30000}, us = {1, 1000000}, big = {1, 90000};
    assert_int_equal(pz_rescale(30000, ntsc, us), 1001000000);
    assert_int_equal(pz_rescale(1, ntsc, us), 33367);
    assert_int_equal(pz_rescale(-1, ntsc, us), -33367);
    assert_int_equal(pz_rescale(INT64_C(1) << 40, big, big), INT64_C(1) << 40);
}

static void count_task(void *user, int i, int worker)
{
    ((int *)user)[i]++;
}

static void pool_runs_each_task_once(void **state)
{
    struct pz_pool *p = pz_pool_create(4);
    assert_non_null(p);
    for (int round = 0; round < 200; round++) {
        int seen[97] = {0};
        pz_pool_run(p, count_task, seen, 97);
        for (int i = 0; i < 97; i++)
            assert_int_equal(seen[i], 1);
    }
    pz_pool_destroy(&p);
    assert_null(p);
}

static void an_unnamed_file_appears_whole(void **state)
{
    char dir[] = "/tmp/pz-unnamed-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *path = pz_path_join(dir, "film.bin");
    for (int round = 0; round < 3; round++) { /* 0 abandoned, 1 new, 2 replaces */
        struct pz_unnamed u;
        assert_int_equal(pz_unnamed_open(NULL, path, &u), PZ_OK);
        FILE *f = fopen(u.writer, "wb");
        assert_non_null(f);
        assert_true(fprintf(f, "round %d", round) > 0);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(pz_file_exists(path), round == 2);
        if (round > 0)
            assert_int_equal(pz_unnamed_commit(NULL, &u), PZ_OK);
        pz_unnamed_close(&u);
        assert_int_equal(pz_file_exists(path), round > 0);
    }
    char *text = NULL;
    size_t n = 0;
    assert_int_equal(pz_file_read(NULL, path, 100, &text, &n), PZ_OK);
    assert_string_equal(text, "round 2");
    pz_free(text);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0); /* nothing else was left in it */
    pz_free(path);
}

static void write_is_atomic_and_errors_are_told(void **state)
{
    char dir[] = "/tmp/pz-base-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct pz_log *log = pz_log_create(NULL, NULL, PZ_LOG_ERROR);
    char *path = pz_path_join(dir, "a/b"), *file = pz_path_join(path, "x.bin"), *data, text[256];
    size_t n;
    assert_int_equal(pz_make_dirs(log, path), PZ_OK);
    assert_int_equal(pz_file_write(log, file, "hello", 5), PZ_OK);
    assert_int_equal(pz_file_read(log, file, 100, &data, &n), PZ_OK);
    assert_int_equal(n, 5);
    assert_string_equal(data, "hello");
    pz_free(data);
    assert_int_equal(pz_file_read(log, file, 4, &data, &n), PZ_ERR_INPUT);
    assert_int_equal(pz_file_read(log, dir, 4, &data, &n), PZ_ERR_INPUT);
    pz_log_last_error(log, text, sizeof text);
    assert_non_null(strstr(text, dir));
    assert_int_equal(pz_file_write(log, "/nonexistent-folder/x", "a", 1), PZ_ERR_WRITE);
    pz_remove_tree(dir);
    assert_false(pz_is_dir(dir));
    pz_free(path);
    pz_free(file);
    pz_log_destroy(&log);
}

static void allocation_is_checked(void **state)
{
    assert_null(pz_calloc(SIZE_MAX / 2, 4));
    char *p = pz_calloc(3, 5);
    assert_int_equal((uintptr_t)p % 64, 0);
    p[14] = 7;
    p = pz_regrow(p, 15, 30, 1);
    assert_int_equal(p[14], 7);
    assert_int_equal(p[29], 0);
    pz_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_known_answers),
        cmocka_unit_test(philox_known_answer),
        cmocka_unit_test(rescale_is_exact),
        cmocka_unit_test(pool_runs_each_task_once),
        cmocka_unit_test(an_unnamed_file_appears_whole),
        cmocka_unit_test(write_is_atomic_and_errors_are_told),
        cmocka_unit_test(allocation_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/** A folder for a test program's films: made before its first test, removed with all in it after the last. */
#ifndef PZ_TESTS_MEDIA_SCRATCH_H
#define PZ_TESTS_MEDIA_SCRATCH_H

/** Group set-up and teardown for cmocka_run_group_tests(). */
int scratch_setup(void **state);
int scratch_teardown(void **state);

/** Path of a file in the folder; overwritten by the next call. */
const char *in(const char *name);

#endif

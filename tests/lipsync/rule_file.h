/** Weight files of the hash rule, for tests that go the way a user's files go. */
#ifndef PZ_TEST_RULE_FILE_H
#define PZ_TEST_RULE_FILE_H

#include "nn/param.h"

/** Write a finished tree's parameters (tables too) as safetensors. `without`: leave out the tensor of that
 * name; `longer`: give that one a first axis too long; NULL: whole. 0 on success. */
int rule_file_write(const char *path, const struct pz_params *p, const char *without, const char *longer);

#endif

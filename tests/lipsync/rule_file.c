/* Weight files of the hash rule. */
#include "rule_file.h"

#include <stdlib.h>
#include <string.h>

#include "weights/safetensors.h"

int rule_file_write(const char *path, const struct pz_params *p, const char *without, const char *longer)
{
    int n = pz_params_count(p), m = 0, failed = 0;
    struct pz_stored_tensor *t = calloc((size_t)n + 1, sizeof *t);
    for (int i = 0; t && i < n; i++) {
        struct pz_param_info q = pz_params_at(p, i);
        size_t count = 1;
        if (without && !strcmp(q.name, without))
            continue;
        t[m] = (struct pz_stored_tensor){.name = q.name, .dtype = PZ_DTYPE_F32, .rank = q.rank};
        for (int k = 0; k < q.rank; k++) {
            t[m].shape[k] = q.shape[k];
            count *= (size_t)q.shape[k];
        }
        size_t row = q.rank ? count / (size_t)q.shape[0] : 1, more = 0;
        if (longer && !strcmp(q.name, longer)) {
            t[m].shape[0]++;
            more = row;
        }
        float *x = calloc(count + more, sizeof *x);
        if (!x)
            failed = 1;
        else
            pz_params_rule(p, i, 0, count, x);
        t[m++].data = x;
    }
    if (!t || failed || pz_safetensors_write(NULL, path, t, m, NULL, 0) < PZ_OK)
        failed = 1;
    for (int i = 0; i < m; i++)
        free((void *)(uintptr_t)t[i].data);
    free(t);
    return failed;
}

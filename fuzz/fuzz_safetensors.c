/* safetensors headers of any kind: parsed, walked, read. Input is copied to its exact size so that over-reads
 * are seen. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "weights/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct pz_safetensors *st;
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy)
        return 0;
    memcpy(copy, data, n);
    if (pz_safetensors_parse(NULL, copy, n, "fuzz", &st) == PZ_OK) {
        for (int i = 0; i < pz_safetensors_count(st); i++) {
            const struct pz_stored_tensor *t = pz_safetensors_at(st, i);
            size_t m = pz_stored_count(t);
            float *f = m && m < 65536 ? malloc(m * sizeof *f) : NULL;
            if (pz_safetensors_find(st, t->name) != t)
                abort();
            if (f && pz_safetensors_read_f32(NULL, t, f, m) == PZ_OK && f[0] > 1e38f)
                f[0] = 0;
            free(f);
        }
        if (pz_safetensors_text(st, "k") && strlen(pz_safetensors_text(st, "k")) > n)
            abort();
    }
    pz_safetensors_close(&st);
    free(copy);
    return 0;
}

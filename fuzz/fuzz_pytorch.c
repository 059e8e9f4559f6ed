/* Checkpoints of any kind: opened, listed, read. The input is the file, copied to its exact size so that
 * over-reads are seen; the last byte chooses the options. What begins like JSON is also read as an index of
 * shards, none of which exists. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "weights/checkpoint_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void read_index(const uint8_t *text, size_t n)
{
    char path[] = "/nonexistent/index.json";
    struct pz_checkpoint c = {.path = path};
    if (pz_checkpoint_index_load(&c, (const char *)text, n) == PZ_OK && c.n_tensors)
        abort();
    pz_free(c.shards);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct pz_checkpoint_options options[2] = {{0}, {.remove = "module.", .root = NULL}};
    struct pz_checkpoint *c;
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy)
        return 0;
    memcpy(copy, data, n);
    if (n && copy[0] == '{')
        read_index(copy, n);
    if (pz_checkpoint_parse(copy, n, "fuzz", &options[n && data[n - 1] & 1], NULL, &c) == PZ_OK) {
        for (int i = 0; i < pz_checkpoint_count(c); i++) {
            const struct pz_checkpoint_tensor *t = pz_checkpoint_at(c, i);
            const uint8_t *p = t->data;
            size_t m = pz_checkpoint_elements(t);
            if (pz_checkpoint_find(c, t->name) != t || t->n_bytes > n ||
                (m && (p < copy || p + t->n_bytes > copy + n)))
                abort();
            void *f = m && m < 65536 ? malloc(m * 8) : NULL;
            if (f && (pz_checkpoint_read_f32(NULL, t, f, m) != PZ_OK ||
                      pz_checkpoint_read_f16(NULL, t, f, m) != PZ_OK ||
                      pz_checkpoint_read(NULL, t, f, m * pz_dtype_size(t->dtype)) != PZ_OK))
                abort();
            free(f);
        }
    }
    pz_checkpoint_close(&c);
    free(copy);
    return 0;
}

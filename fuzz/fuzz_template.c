/* Fuzzes template.json: any bytes are either refused or give a template that can be written again. */
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "pipeline/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct pz_template_data t;
    if (pz_template_parse(&t, (const char *)data, n, NULL) != PZ_OK)
        return 0;
    char *text = pz_template_to_json(&t, true);
    if (!text)
        __builtin_trap();
    pz_free(text);
    pz_template_data_free(&t);
    return 0;
}

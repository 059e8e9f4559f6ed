/* .tflite files of any kind: parsed, and what parses is planned and, when small, run on both backends. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/plan.h"
#include "weights/tflite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy)
        return 0;
    memcpy(copy, data, n);
    for (int k = 0; k < 2; k++) {
        struct pz_graph *g;
        struct pz_plan *plan;
        struct pz_session *s;
        struct pz_plan_params params = {
            .backend = k ? PZ_BACKEND_CPU : PZ_BACKEND_REF, .rung = 2, .threads = 1};
        if (pz_tflite_parse(NULL, copy, n, "fuzz", &g) != PZ_OK)
            break;
        if (pz_plan_create(&g, &params, NULL, &plan) != PZ_OK)
            break;
        if (pz_plan_arena_bytes(plan) < (size_t)64 << 20 && pz_plan_cost(plan) < 2e6 &&
            pz_session_create(plan, NULL, &s) == PZ_OK) {
            pz_session_run(s, NULL);
            pz_session_destroy(&s);
        }
        pz_plan_destroy(&plan);
    }
    free(copy);
    return 0;
}

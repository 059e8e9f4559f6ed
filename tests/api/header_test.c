/* The public header alone, first and twice: it must need nothing and guard itself. Compiled as C11 and as
 * C++17. */
#include "personalize.h"
#include "personalize.h"

int pz_header_test(void);

int pz_header_test(void)
{
    struct pz_context_params context = PZ_CONTEXT_PARAMS_DEFAULT;
    struct pz_prepare_params prepare = PZ_PREPARE_PARAMS_DEFAULT;
    struct pz_render_params render = PZ_RENDER_PARAMS_DEFAULT;
    struct pz_evaluate_params evaluate = PZ_EVALUATE_PARAMS_DEFAULT;
    return context.threads + prepare.n_spoken + render.n_values + (evaluate.video != 0);
}

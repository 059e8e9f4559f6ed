/* What both readers of the head share: freeing and looking up names. */
#include <string.h>

#include "asset.h"
#include "base/mem.h"

void pz_syn_asset_close(struct pz_syn_asset *a)
{
    for (int k = 0; k < PZ_SYN_N_EXPR; k++) {
        pz_free(a->expr[k].vertex);
        pz_free(a->expr[k].delta);
    }
    pz_free(a->neutral);
    pz_free(a->identity);
    pz_free(a->part);
    pz_free(a->lower);
    pz_free(a->tri);
    pz_free(a->tri_uv);
    pz_free(a->mat);
    memset(a, 0, sizeof *a);
}

int pz_syn_expr_find(const struct pz_syn_asset *a, const char *name)
{
    for (int k = 0; k < PZ_SYN_N_EXPR; k++)
        if (!strcmp(a->expr_name[k], name))
            return k;
    return -1;
}

/* Vector kernels for the compiler's base instruction set. */
#define LANES 4
#define TILE 6
#define FNS pz_cpu_fns_c
#define NAME "c"
#include "tensor/cpu/kernels_tmpl.h"

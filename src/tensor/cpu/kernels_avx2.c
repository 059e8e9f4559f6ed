/* Vector kernels for AVX2 + FMA: 12 sums in 16 registers. */
#define LANES 8
#define TILE 6
#define FNS pz_cpu_fns_avx2
#define NAME "avx2"
#include "tensor/cpu/kernels_tmpl.h"

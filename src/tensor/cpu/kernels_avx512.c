/* Vector kernels for AVX-512: 24 sums in 32 registers. */
#define LANES 16
#define TILE 12
#define FNS pz_cpu_fns_avx512
#define NAME "avx512"
#include "tensor/cpu/kernels_tmpl.h"

/* Vector kernels for AVX-512 with BF16 products; everything in F32 as kernels_avx512.c. */
#define LANES 16
#define TILE 12
#define HAVE_BF16 1
#define FNS pz_cpu_fns_bf16
#define NAME "avx512bf16"
#include "tensor/cpu/kernels_tmpl.h"

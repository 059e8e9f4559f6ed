/**
 * Kernels for AVX-512 F, VL, DQ and BW; this file alone is compiled with those instructions and is only
 * entered after pz_splat_rung_best() has seen them.
 */
#include "splat/plane_body.h"
#include "splat/tile_body.h"

const struct pz_splat_kernels pz_splat_kernels_avx512 = {
    .blend = plane_blend,
    .project = plane_project,
    .project_back = plane_project_back,
    .tile = tile_forward,
    .tile_back = tile_backward,
    .adam = plane_adam,
    .blur11 = plane_blur11,
};

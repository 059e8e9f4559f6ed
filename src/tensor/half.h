/**
 * Conversions between binary32 and the 16-bit float types. Round to nearest, ties to even; infinities, NaN
 * and subnormals are kept. The array forms use the processor's vectors and give the same bits.
 * Threads: all functions are pure.
 */
#ifndef PZ_TENSOR_HALF_H
#define PZ_TENSOR_HALF_H

#include <stddef.h>
#include <stdint.h>

float pz_f16_to_f32(uint16_t h);
uint16_t pz_f32_to_f16(float f);
float pz_bf16_to_f32(uint16_t h);
uint16_t pz_f32_to_bf16(float f);

/** Convert `n` elements. `src` and `dst` must not overlap; neither needs any alignment. */
void pz_f16_to_f32_array(const void *src, float *dst, size_t n);
void pz_f32_to_f16_array(const float *src, void *dst, size_t n);
void pz_bf16_to_f32_array(const void *src, float *dst, size_t n);
void pz_f32_to_bf16_array(const float *src, void *dst, size_t n);

#endif

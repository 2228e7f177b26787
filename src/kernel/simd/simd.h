/* One thin vocabulary of vector operations, and the instruction sets behind it.
 *
 * A kernel written over these names is compiled once for each instruction set (kernel/x86/<isa>/, kernel/arm/<isa>/) and once
 * more, by the tests, over plain C (-DSIMD_EMULATE): so the arithmetic of a level that this processor lacks is still checked.
 * Vectors are always sixteen 32-bit lanes, one cache line: a zmm register, two ymm, four NEON registers, or an array. Because
 * the lanes are the same everywhere, a sum kept in lanes has the same bits at every level.
 *
 *   f32x16   float32                       i32x16   int32
 *   i16x32   int16, and bfloat16 pairs     i8x32    thirty-two bytes: the codes of a group of weights
 *   mask16   one truth value a lane
 *
 * Loads and stores take any alignment. `_part` forms touch only the first n lanes (0 <= n <= 16); a load fills the rest with 0.
 * Rounding is to nearest even, fma(a, b, c) is a * b + c rounded once, in every backend.
 *
 * f32x16  zero set1 load load_part store store_part add sub mul div min max fma fnma(a,b,c)=c-a*b abs round sqrt
 *         unzip(32 floats in memory, &even, &odd) zip(to memory, even, odd)
 *         sum max_lane (over lanes, halves folded: 8, 4, 2, 1) less(a,b) select(mask,yes,no)
 *         from_i32 from_f16 from_bf16 from_i8 (from memory) to_f16 (to memory) pow2(i32x16 n) as_i32
 *         dot_bf16(acc, a, b): acc + the products of both elements of each lane's pair
 *         dot32(acc, w, x, scale): acc + scale * dot of 32 int16, spread over the lanes in any way: use sum() of it
 *         dot16x2(acc, w, x, low, high): the same with a float scale for each sixteen products
 * i32x16  zero set1 load store add sub and or sll srl from_f32 as_f32 dot(acc, a, b): int16 pairs, as dot_bf16
 * i16x32  load store set1 set2(low 16 lanes, high 16) pair(memory: one 4-byte pair for all lanes) add sll sra mulhrs
 *         mulhrs(a,b) = (a*b + 2^14) >> 15      from_f32(low, high) saturates      from_i8(i8x32)
 *         bf16(low, high) rounds; numbers below 2^-126, zero to dot products, may become zero
 * i8x32   load store set1 sub or field(v, shift, mask): bytes (v >> shift) & mask
 *         shl(v, n): no byte may lose a bit     nibbles(16 bytes): low halves, then high halves
 *         bits(word, value): byte i = bit i of the word ? value : 0
 * simd_f16: one float16 to float32        simd_round_i32: one float32 to int32
 * simd_transpose16: sixteen rows of sixteen 4-byte units        simd_prefetch
 * f32x16_fma_into(&acc, a, b), i32x16_dot_into(&acc, a, b): for the inner loops of tiles. They keep acc in its register and happen in
 * the order written; given plain arithmetic, gcc computes all the products of a tile at once and spills them.
 */
#ifndef KERNEL_SIMD_SIMD_H
#define KERNEL_SIMD_SIMD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef SIMD_EMULATE /* quick to compile rather than to run */
#define SIMD_FN static inline __attribute__((unused))
#else
#define SIMD_FN static inline __attribute__((always_inline, unused))
#endif

#if defined(SIMD_EMULATE)
#include "kernel/simd/simd_plain.inc"
#elif defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#include "kernel/simd/simd_avx512.inc"
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include "kernel/simd/simd_avx2.inc"
#elif defined(__aarch64__) && defined(__ARM_NEON)
#include "kernel/simd/simd_neon.inc"
#else
#include "kernel/simd/simd_plain.inc"
#endif

SIMD_FN void simd_prefetch(const void *p) { __builtin_prefetch(p, 0, 3); }

#endif

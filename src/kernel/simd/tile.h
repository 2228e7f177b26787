/* Eight tiles of sixteen lines of 64 bytes, and the products between them: Intel AMX, or the same arithmetic in plain C.
 *
 *   tile_configure()          this thread may use tiles from here on; all are whole (sixteen full lines)
 *   tile_release()            ... no longer: a thread that blocks with tiles in use makes every switch of context slower
 *   tile_zero(t)              t is a literal 0 .. 7: instructions name their tiles
 *   tile_load(t, p, stride)   line i from p + i * stride bytes
 *   tile_store(t, p, stride)
 *   tile_dot_bf16(c, a, b)    c, as float32 [16][16], += a, as bfloat16 [16][32], times b, as bfloat16 pairs [16][16][2]:
 *                             c[m][n] += sum over k of a[m][2k] b[k][n][0] + a[m][2k+1] b[k][n][1]
 *
 * Plain C stands in with -DSIMD_EMULATE (along with plain-C vectors) or with -DTILE_EMULATE (under the vectors of this processor, quick
 * enough for whole models). It follows Intel's manual to the bit, so a result checked there is the result of the processor.
 * Linux gives tiles to a process that asks (cpu_get does), so a level that uses them is chosen by what cpu_get says.
 */
#ifndef KERNEL_SIMD_TILE_H
#define KERNEL_SIMD_TILE_H

#include <stddef.h>
#include <stdint.h>

enum { TILE_LINES = 16, TILE_LINE = 64, TILE_BYTES = TILE_LINES * TILE_LINE, TILES = 8 };

#if defined(SIMD_EMULATE) || defined(TILE_EMULATE)
#include "kernel/simd/tile_plain.inc"
#elif defined(__x86_64__)
#include "kernel/simd/tile_amx.inc"
#else
#error "tiles are x86-64's; define SIMD_EMULATE to have them in plain C"
#endif

#endif

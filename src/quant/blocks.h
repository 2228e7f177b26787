/* The stored blocks, field by field. Multi-byte fields are little-endian; no block has padding, and 2-byte alignment is enough.
 *
 * Blocks of 32 elements: code i of the first half is the low nibble of qs[i], code i + 16 the high nibble of qs[i].
 *   Q4_0 (code - 8) * d             Q4_1 code * d + m
 *   Q5_0 (code - 16) * d            Q5_1 code * d + m       bit i of the little-endian word qh is bit 4 of code i
 *   Q8_0 code * d
 * Super-blocks of 256 elements:
 *   Q4_K, Q5_K  code * (d * scale) - dmin * minimum, with a 6-bit scale and minimum for each run of 32 elements (quant_k_scale)
 *               Bytes 32c .. 32c+31 of qs hold elements 64c .. 64c+31 (low nibbles) and 64c+32 .. 64c+63 (high nibbles), c < 4;
 *               in Q5_K bit r of qh[i] is bit 4 of the code of element 32r + i.
 *   Q6_K        (code - 32) * (d * scale), an 8-bit scale for each run of 16 elements. Half h < 2 of the block has 64 bytes of
 *               ql and 32 of qh. Its element 32r + i (r < 4) has its low nibble in ql[64h + 32(r & 1) + i], the upper nibble of
 *               that byte where r >= 2, and its two high bits in qh[32h + i] at bit 2r.
 */
#ifndef QUANT_BLOCKS_H
#define QUANT_BLOCKS_H

#include <stdint.h>

enum { QUANT_BLOCK = 32, QUANT_SUPER = 256, QUANT_K_SCALE_BYTES = 12 };

typedef struct quant_block_q4_0 { uint16_t d; uint8_t qs[16]; } quant_block_q4_0;
typedef struct quant_block_q4_1 { uint16_t d, m; uint8_t qs[16]; } quant_block_q4_1;
typedef struct quant_block_q5_0 { uint16_t d; uint8_t qh[4], qs[16]; } quant_block_q5_0;
typedef struct quant_block_q5_1 { uint16_t d, m; uint8_t qh[4], qs[16]; } quant_block_q5_1;
typedef struct quant_block_q8_0 { uint16_t d; int8_t qs[32]; } quant_block_q8_0;
typedef struct quant_block_q4_k { uint16_t d, dmin; uint8_t scales[QUANT_K_SCALE_BYTES], qs[128]; } quant_block_q4_k;
typedef struct quant_block_q5_k { uint16_t d, dmin; uint8_t scales[QUANT_K_SCALE_BYTES], qh[32], qs[128]; } quant_block_q5_k;
typedef struct quant_block_q6_k { uint8_t ql[128], qh[64]; int8_t scales[16]; uint16_t d; } quant_block_q6_k;

_Static_assert(sizeof(quant_block_q4_0) == 18, "as stored");
_Static_assert(sizeof(quant_block_q4_1) == 20, "as stored");
_Static_assert(sizeof(quant_block_q5_0) == 22, "as stored");
_Static_assert(sizeof(quant_block_q5_1) == 24, "as stored");
_Static_assert(sizeof(quant_block_q8_0) == 34, "as stored");
_Static_assert(sizeof(quant_block_q4_k) == 144, "as stored");
_Static_assert(sizeof(quant_block_q5_k) == 176, "as stored");
_Static_assert(sizeof(quant_block_q6_k) == 210, "as stored");

/* The 6-bit scale and minimum of run r < 8 of a Q4_K or Q5_K block. Runs 0-3 have theirs in the low six bits of bytes r and
 * r + 4; runs 4-7 have four low bits in byte r + 4 and two high bits on top of bytes r - 4 and r. */
static inline void quant_k_scale(const uint8_t s[QUANT_K_SCALE_BYTES], int r, uint8_t *scale, uint8_t *minimum)
{
    if (r < 4) {
        *scale = s[r] & 63;
        *minimum = s[r + 4] & 63;
    } else {
        *scale = (uint8_t)((s[r + 4] & 15) | s[r - 4] >> 6 << 4);
        *minimum = (uint8_t)(s[r + 4] >> 4 | s[r] >> 6 << 4);
    }
}

#endif

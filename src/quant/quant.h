/* Block layouts of stored weights: the format truth, in scalar C. Numbers of the types are those of GGUF.
 *
 * A row of n elements is n / block_elems blocks, one after the other; n must be a multiple of block_elems.
 * Source of the layouts: the GGUF specification and the ggml type table (../docs/formats.md says which fields mean what).
 */
#ifndef QUANT_QUANT_H
#define QUANT_QUANT_H

#include <stddef.h>
#include <stdint.h>

typedef enum quant_type {
    QUANT_F32 = 0, QUANT_F16 = 1, QUANT_Q4_0 = 2, QUANT_Q4_1 = 3, QUANT_Q5_0 = 6, QUANT_Q5_1 = 7, QUANT_Q8_0 = 8,
    QUANT_Q4_K = 12, QUANT_Q5_K = 13, QUANT_Q6_K = 14, QUANT_BF16 = 30,
    QUANT_TYPE_END = 31
} quant_type;

typedef struct quant_info {
    const char *name;         /* "Q4_K"; NULL for a number that is no type we know */
    int32_t block_elems, block_bytes;
    /* n elements, a multiple of block_elems. decode: blocks -> float32. encode: float32 -> blocks (NULL: cannot be written). */
    void (*decode)(const void *blocks, float *out, int64_t n);
    void (*encode)(const float *in, void *blocks, int64_t n);
} quant_info;

/* NULL for an unknown type. */
const quant_info *quant_info_get(int type);
/* -1 for an unknown name (compares without case). */
int quant_type_by_name(const char *name);
/* Bytes of a row of n elements; 0 when n is no multiple of the block or on overflow. */
size_t quant_row_bytes(int type, int64_t n);

static inline float quant_f16_to_f32(uint16_t h);
static inline uint16_t quant_f32_to_f16(float f); /* round to nearest even */
static inline float quant_bf16_to_f32(uint16_t h);
static inline uint16_t quant_f32_to_bf16(float f); /* round to nearest even; NaN stays NaN */

#include "quant/half.h"

#endif

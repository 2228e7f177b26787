/* The table of types, and the codecs of the three plain ones. */
#include "quant/quant.h"

#include <stdbool.h>
#include <strings.h>

#include "base/mem.h"
#include "quant/blocks.h"
#include "quant/codec.h"

static void decode_f32(const void *blocks, float *out, int64_t n) { memcpy(out, blocks, (size_t)n * 4); }
static void encode_f32(const float *in, void *blocks, int64_t n) { memcpy(blocks, in, (size_t)n * 4); }

static void decode_f16(const void *blocks, float *out, int64_t n)
{
    const uint16_t *h = blocks;
    for (int64_t i = 0; i < n; i++) out[i] = quant_f16_to_f32(h[i]);
}

static void encode_f16(const float *in, void *blocks, int64_t n)
{
    uint16_t *h = blocks;
    for (int64_t i = 0; i < n; i++) h[i] = quant_f32_to_f16(in[i]);
}

static void decode_bf16(const void *blocks, float *out, int64_t n)
{
    const uint16_t *h = blocks;
    for (int64_t i = 0; i < n; i++) out[i] = quant_bf16_to_f32(h[i]);
}

static void encode_bf16(const float *in, void *blocks, int64_t n)
{
    uint16_t *h = blocks;
    for (int64_t i = 0; i < n; i++) h[i] = quant_f32_to_bf16(in[i]);
}

static const quant_info table[QUANT_TYPE_END] = {
    [QUANT_F32] = {"F32", 1, 4, decode_f32, encode_f32},
    [QUANT_F16] = {"F16", 1, 2, decode_f16, encode_f16},
    [QUANT_BF16] = {"BF16", 1, 2, decode_bf16, encode_bf16},
    [QUANT_Q4_0] = {"Q4_0", QUANT_BLOCK, sizeof(quant_block_q4_0), quant_decode_q4_0, quant_encode_q4_0},
    [QUANT_Q4_1] = {"Q4_1", QUANT_BLOCK, sizeof(quant_block_q4_1), quant_decode_q4_1, quant_encode_q4_1},
    [QUANT_Q5_0] = {"Q5_0", QUANT_BLOCK, sizeof(quant_block_q5_0), quant_decode_q5_0, quant_encode_q5_0},
    [QUANT_Q5_1] = {"Q5_1", QUANT_BLOCK, sizeof(quant_block_q5_1), quant_decode_q5_1, quant_encode_q5_1},
    [QUANT_Q8_0] = {"Q8_0", QUANT_BLOCK, sizeof(quant_block_q8_0), quant_decode_q8_0, quant_encode_q8_0},
    [QUANT_Q4_K] = {"Q4_K", QUANT_SUPER, sizeof(quant_block_q4_k), quant_decode_q4_k, quant_encode_q4_k},
    [QUANT_Q5_K] = {"Q5_K", QUANT_SUPER, sizeof(quant_block_q5_k), quant_decode_q5_k, quant_encode_q5_k},
    [QUANT_Q6_K] = {"Q6_K", QUANT_SUPER, sizeof(quant_block_q6_k), quant_decode_q6_k, quant_encode_q6_k},
};

const quant_info *quant_info_get(int type)
{
    if (type < 0 || type >= QUANT_TYPE_END || !table[type].name) return NULL;
    return &table[type];
}

int quant_type_by_name(const char *name)
{
    for (int i = 0; i < QUANT_TYPE_END; i++)
        if (table[i].name && strcasecmp(name, table[i].name) == 0) return i;
    return -1;
}

size_t quant_row_bytes(int type, int64_t n)
{
    const quant_info *q = quant_info_get(type);
    size_t bytes;
    if (!q || n < 0 || n % q->block_elems) return 0;
    return size_mul((size_t)(n / q->block_elems), (size_t)q->block_bytes, &bytes) ? bytes : 0;
}

/* The bfloat16 form: products with weights in AMX tiles, summed in float32.
 *
 * A weight row's elements already lie one after the other along K, as lines of the left operand do, so weights are the left operand
 * and are never transposed: what is laid out once for all rows of x must be cheap. x is the right one, as pairs, and the sums
 * are c^T, transposed once at the end.
 *
 *     w panel   [k/32][2 halves][16 rows][32]         x panel   [k/32][2 halves][16 pairs][16 rows][2]
 *     c         [2 halves of x][2 halves of w][16 rows of w][16 rows of x]
 *
 * The micro-kernel is two tiles of w by two of x: four loads feed four products, 16 cycles each, whose sums stay in tiles for k_step
 * elements. Then x (24 KiB), w (24 KiB) and c share the first-level cache about equally; w comes from the second.
 */
#if !defined(SIMD_EMULATE) && !(defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__) && defined(__AVX512BF16__))
#error "compile this file with -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512bf16"
#endif
#include "kernel/gemm.h"
#include "kernel/simd/codes.h"
#include "kernel/simd/tile_product.h"

#ifdef SIMD_EMULATE
#define ISA(name) name##_amx_emulated
#else
#define ISA(name) name##_amx
#endif

enum {
    ROWS = 32, /* of a panel of either operand */
    HALF = TILE_LINES,
    DEPTH = TILE_LINE / 2,           /* elements of K in a tile */
    STEP_BYTES = 2 * TILE_BYTES,     /* of DEPTH elements of a panel */
    BLOCK_BYTES = GEMM_BLOCK / DEPTH * STEP_BYTES,
    ROUNDED = 512,                   /* elements of a row of x that are read at a time: long reads are quick reads */
    NR = ROWS,                       /* for gemm_pack.inc */
};
_Static_assert((int)DEPTH == (int)CODES_GROUP && (int)GEMM_BLOCK == (int)CODES_BLOCK, "a group of codes is a line");
#include "kernel/simd/gemm_pack.inc"

/* Line of row r in the first step of a w panel. */
SIMD_FN char *line_of(void *panel, int r) { return (char *)panel + r * TILE_LINE; }

SIMD_FN void pack_zeros(char *to, int64_t k)
{
    for (int64_t at = 0; at < k; at += DEPTH, to += STEP_BYTES) memset(to, 0, TILE_LINE);
}

SIMD_FN void pack_row_codes(char *to, const void *row, int64_t k0, int64_t k, const codes_type *type)
{
    for (int64_t at = 0; at < k; at += GEMM_BLOCK) {
        codes_block b;
        codes_read(&b, row, k0 + at, k - at, type);
#pragma GCC unroll 4
        for (int g = 0; g < CODES_GROUPS; g++, to += STEP_BYTES) {
            f32x16 low, high;
            codes_decode(&b, g, type->has_min, &low, &high);
            i16x32_store(to, i16x32_bf16(low, high));
        }
    }
}

SIMD_FN void pack_w_codes(void *panel, const void *w, size_t row_bytes, int rows, int64_t k0, int64_t k, const codes_type *type)
{
    for (int r = 0; r < ROWS; r++) {
        if (r < rows) pack_row_codes(line_of(panel, r), (const char *)w + (size_t)r * row_bytes, k0, k, type);
        else pack_zeros(line_of(panel, r), k);
    }
}

SIMD_FN void pack_row_floats(char *to, const void *row, int64_t k0, int64_t k, quant_type type)
{
    for (int64_t at = 0; at < k; at += DEPTH, to += STEP_BYTES) {
        int64_t i = k0 + at, left = k - at;
        if (type == QUANT_BF16 && left >= DEPTH) memcpy(to, (const uint16_t *)row + i, TILE_LINE);
        else i16x32_store(to, i16x32_bf16(pack_load(type, row, i, left), pack_load(type, row, i + 16, left - 16)));
    }
}

SIMD_FN void pack_w_floats(void *panel, const void *w, size_t row_bytes, int rows, int64_t k0, int64_t k, quant_type type)
{
    for (int r = 0; r < ROWS; r++) {
        if (r < rows) pack_row_floats(line_of(panel, r), (const char *)w + (size_t)r * row_bytes, k0, k, type);
        else pack_zeros(line_of(panel, r), k);
    }
}

/* One row's next ROUNDED elements as bfloat16, zeros after those that are left. */
SIMD_FN void round_row(uint16_t *to, const float *row, int64_t left)
{
    for (int i = 0; i < ROUNDED && i < left; i += DEPTH)
        i16x32_store(to + i, i16x32_bf16(pack_load(QUANT_F32, row, i, left - i), pack_load(QUANT_F32, row, i + 16, left - i - 16)));
}

static void ISA(pack_x)(void *panel, const float *x, int64_t ldx, int rows, int64_t k)
{
    _Alignas(64) uint16_t lines[HALF][ROUNDED];
    for (int64_t at = 0; at < k; at += ROUNDED)
        for (int r0 = 0; r0 < ROWS; r0 += HALF) {
            char *to = (char *)panel + at / DEPTH * STEP_BYTES + r0 / HALF * TILE_BYTES;
            for (int r = 0; r < HALF; r++) {
                if (r0 + r < rows) round_row(lines[r], x + (r0 + r) * ldx + at, k - at);
                else memset(lines[r], 0, sizeof lines[r]);
            }
            for (int i = 0; i < ROUNDED && i < k - at; i += DEPTH, to += STEP_BYTES) simd_transpose16(to, TILE_LINE, &lines[0][i], sizeof lines[0]);
        }
}

static void ISA(tile)(float *c, const void *x, const void *w, int64_t k, int rows, bool first)
{
    tile_sums sums = {.at = (char *)c, .line = TILE_LINE, .row = TILE_BYTES, .col = 2 * TILE_BYTES, .add = !first};
    tile_operand a = {w, TILE_LINE, TILE_BYTES, STEP_BYTES}, b = {x, TILE_LINE, TILE_BYTES, STEP_BYTES};
    int64_t steps = (k + DEPTH - 1) / DEPTH;
    if (rows > HALF) tile_product_2x2(sums, a, b, steps);
    else tile_product_2x1(sums, a, b, steps);
}

static void ISA(unpack)(float *rows, int64_t ld, const float *c, int n)
{
    for (int r = 0; r < n; r += HALF)
        for (int i = 0; i < ROWS; i += HALF, c += HALF * HALF) simd_transpose16(rows + r * ld + i, (size_t)ld * sizeof *rows, c, TILE_LINE);
}

#define DEFINE_CODES(name, ...)                                                                                      \
    static void ISA(pack_w_##name)(void *panel, const void *w, size_t row_bytes, int rows, int64_t k0, int64_t k)    \
    {                                                                                                                \
        pack_w_codes(panel, w, row_bytes, rows, k0, k, &codes_type_##name);                                          \
    }
CODES_TYPES(DEFINE_CODES)

#define FLOAT_TYPES(M) M(f32, QUANT_F32) M(f16, QUANT_F16) M(bf16, QUANT_BF16)
#define DEFINE_FLOATS(name, number)                                                                                  \
    static void ISA(pack_w_##name)(void *panel, const void *w, size_t row_bytes, int rows, int64_t k0, int64_t k)    \
    {                                                                                                                \
        pack_w_floats(panel, w, row_bytes, rows, k0, k, number);                                                     \
    }
FLOAT_TYPES(DEFINE_FLOATS)

void ISA(gemm_fill)(gemm_table *t); /* also declared in gemm.h, the emulated one aside */
void ISA(gemm_fill)(gemm_table *t)
{
    t->fast = (gemm_form){
        .mr = ROWS, .nr = ROWS, .blocking = {.k_step = 384, .rows = 512, .columns = 8, .items = 2}, .x_block = BLOCK_BYTES, .w_block = BLOCK_BYTES,
        .pack_x = ISA(pack_x), .tile = ISA(tile), .unpack = ISA(unpack), .enter = tile_configure, .leave = tile_release,
    };
    t->turned.fast_w = NULL;
#define FILL(name, number, ...) t->fast.pack_w[number] = ISA(pack_w_##name);
    CODES_TYPES(FILL)
    FLOAT_TYPES(FILL)
#undef FILL
}

/* Attention in AMX tiles: bfloat16 queries, keys, weights and values, summed in float32.
 *
 * Pages of bfloat16 are laid out as tiles already (kv_layout.h): a group of keys is the right operand of q k, two tokens of values that
 * of the weighted sum. What is not quite so (codes, sizes that fill no tile, the last tokens of a page that is not full) is laid
 * out anew, once for all rows. Keys of q8 and q4 are multiplied by the scales of their blocks and rounded, as a bfloat16 page would hold them;
 * values are codes, whole numbers below 128 that bfloat16 holds exactly, and their scales go to the weights, in float32.
 *
 * float32 pages, exact mode and fewer than TILED_ROWS rows are left to the AVX-512 kernels; so is the softmax.
 */
#if !defined(SIMD_EMULATE) && !(defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__) && defined(__AVX512BF16__))
#error "compile this file with -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512bf16"
#endif
#include "kernel/attn.h"
#include "kernel/simd/tile_product.h"

enum {
    TILED_ROWS = 4,            /* below this reading the pages takes longer than the arithmetic of either kind */
    DEPTH = TILE_LINE / 2,     /* elements of a key, or tokens, in a step */
    BLOCK = TILE_LINES,        /* rows, tokens of a group of keys, columns of a value in a tile */
    ROWS = 2 * BLOCK,          /* whose weights are rounded at a time */
};
_Static_assert((int)BLOCK == (int)KV_GROUP && (int)BLOCK == (int)ATTN_COLS, "tiles, groups of keys and padded outputs are of one size");

static int ceil_div(int a, int b) { return (a + b - 1) / b; }
static int dk_steps(const attn_tile *t) { return ceil_div(t->kv->dk, DEPTH); }
static bool tiled(const attn_tile *t) { return !t->exact && t->kv->type != KV_F32 && t->st.rows >= TILED_ROWS; }

/* The level below, which has what tiles do not do. */
static attn_table below(void)
{
    attn_table t;
#ifdef SIMD_EMULATE
    attn_fill_avx512(&t);
#else
    attn_fill_avx512vnni(&t); /* every processor with tiles has VNNI */
#endif
    return t;
}

/* float32 whose upper half is x rounded to bfloat16 (to nearest even; a NaN stays one). */
SIMD_FN i32x16 rounded(f32x16 x)
{
    i32x16 bits = f32x16_as_i32(x), odd = i32x16_and(i32x16_srl(bits, 16), i32x16_set1(1));
    return i32x16_add(bits, i32x16_add(odd, i32x16_set1(0x7fff)));
}

/* Code j of each unit, in the upper bits: a code of 8 bits times 2^24, of 4 bits times 2^28. */
SIMD_FN f32x16 code_at(const kv_type type, i32x16 units, int j)
{
    const int u = kv_unit(type), bits = 32 / u;
    const i32x16 top = i32x16_set1(type == KV_Q4 ? (int32_t)0xf0000000u : (int32_t)0xff000000u);
    return f32x16_from_i32(i32x16_and(i32x16_sll(units, 32 - bits - kv_unit_bit(u, j)), top));
}

static float code_unit(kv_type type) { return type == KV_Q4 ? 0x1p-28f : 0x1p-24f; }

/* Codes 2j and 2j + 1 of each unit, times `by`, as a pair of bfloat16: u / 2 lines, `line` floats from one to the next. */
SIMD_FN void put_pairs(const kv_type type, float *to, int64_t line, i32x16 units, f32x16 by)
{
    const int u = kv_unit(type);
    for (int j = 0; j < u; j += 2, to += line) {
        i32x16 low = rounded(f32x16_mul(code_at(type, units, j), by)), high = rounded(f32x16_mul(code_at(type, units, j + 1), by));
        i32x16_store(to, i32x16_or(i32x16_srl(low, 16), i32x16_and(high, i32x16_set1((int32_t)0xffff0000u))));
    }
}

static void put_unit(kv_type type, float *to, int64_t line, i32x16 units, f32x16 by)
{
    if (type == KV_Q4) put_pairs(KV_Q4, to, line, units, by);
    else put_pairs(KV_Q8, to, line, units, by);
}

/* ---- scores ---- */

/* packed: [rows/16][dk/32][16 rows][32], rows and elements that there are not are zeros. */
static void queries(attn_tile *t)
{
    if (!tiled(t)) {
        below().queries(t);
        return;
    }
    const int dk = t->kv->dk;
    char *to = t->packed;
    for (int r0 = 0; r0 < t->st.rows; r0 += BLOCK)
        for (int c = 0; c < dk; c += DEPTH)
            for (int r = r0; r < r0 + BLOCK; r++, to += TILE_LINE) {
                const float *q = t->q + r * dk + c;
                int left = r < t->st.rows ? dk - c : 0, low = left < 16 ? left : 16, high = left < 16 ? 0 : left < 32 ? left - 16 : 16;
                i16x32_store(to, i16x32_bf16(f32x16_load_part(q, low), f32x16_load_part(q + (high ? 16 : 0), high)));
            }
}

/* The first n keys as tiles [group][dk/32][16 pairs][16 tokens][2] in the panel. */
static void lay_out_keys(attn_tile *t, const uint8_t *head, int n)
{
    const int dk = t->kv->dk, u = kv_unit(t->kv->type);
    char *to = t->panel;
    for (int g = 0; g < n; g += KV_GROUP) {
        const char *from = (const char *)head + (size_t)g * (size_t)kv_key_units(t->kv) * 4;
        char *end = to + dk_steps(t) * TILE_BYTES;
        if (t->kv->type == KV_BF16) {
            memcpy(to, from, (size_t)dk / 2 * TILE_LINE);
            to += dk / 2 * TILE_LINE;
        } else {
            const uint16_t *scales = (const uint16_t *)(const void *)(head + kv_k_scales(t->kv));
            for (int c = 0; c < dk; c += u, from += TILE_LINE, to += u / 2 * TILE_LINE) {
                f32x16 by = f32x16_mul(f32x16_from_bf16(scales + kv_k_scale_index(t->kv, g, c)), f32x16_set1(code_unit(t->kv->type)));
                put_unit(t->kv->type, (float *)(void *)to, TILE_LINE / 4, i32x16_load(from), by);
            }
        }
        memset(to, 0, (size_t)(end - to));
        to = end;
    }
}

static void scores(attn_tile *t, const uint8_t *head, int n)
{
    if (!tiled(t)) {
        below().scores(t, head, n);
        return;
    }
    const size_t steps = (size_t)dk_steps(t);
    tile_operand q = {t->packed, TILE_LINE, steps * TILE_BYTES, TILE_BYTES}, keys = {(const char *)head, TILE_LINE, steps * TILE_BYTES, TILE_BYTES};
    if (t->kv->type != KV_BF16 || t->kv->dk % DEPTH) {
        lay_out_keys(t, head, n);
        keys.at = t->panel;
    }
    tile_sums s = {.at = (char *)t->s, .line = KV_PAGE * sizeof *t->s, .row = BLOCK * KV_PAGE * sizeof *t->s, .col = TILE_LINE};
    tile_configure();
    tile_product(s, q, keys, ceil_div(t->st.rows, BLOCK), ceil_div(n, KV_GROUP), (int64_t)steps);
    tile_release();
}

/* ---- values ---- */

/* Weights of rows [r0, r0 + ROWS) and whole steps of tokens, by the scales of their values if these have any. */
static void round_weights(uint16_t (*out)[KV_PAGE], const attn_tile *t, int r0, int steps, const float *by)
{
    for (int r = 0; r < ROWS; r++) {
        if (r0 + r >= t->st.rows) {
            memset(out[r], 0, sizeof out[r]);
            continue;
        }
        const float *s = t->s + (r0 + r) * KV_PAGE;
        for (int i = 0; i < steps * DEPTH; i += DEPTH) {
            f32x16 low = f32x16_load(s + i), high = f32x16_load(s + i + 16);
            if (by) {
                low = f32x16_mul(low, f32x16_load(by + i));
                high = f32x16_mul(high, f32x16_load(by + i + 16));
            }
            i16x32_store(out[r] + i, i16x32_bf16(low, high));
        }
    }
}

/* A run of units with columns that there are not as zeros. */
SIMD_FN void pad_line(float *to, const float *from, int dv, int64_t ld, i32x16 keep)
{
    for (int c = 0; c < ld; c += 16) {
        f32x16 x = f32x16_load_part(from + c, dv - c < 16 ? dv - c : 16);
        i32x16_store(to + c, i32x16_and(f32x16_as_i32(x), keep));
    }
}

/* Steps [step, end) of the first n tokens' values as lines [token pairs][ld][2] at the same places of the panel; zeros from token n on. */
static void lay_out_values(attn_tile *t, const uint8_t *head, int step, int end, int n)
{
    const int64_t ld = t->st.ld;
    const int dv = t->kv->dv, u = kv_unit(t->kv->type);
    const float *v = (const float *)(const void *)(head + kv_v_offset(t->kv));
    for (int i = step * DEPTH; i < end * DEPTH; i += u) {
        const float *from = v + i / u * dv;
        float *to = (float *)t->panel + i / 2 * ld;
        if (i >= n) {
            memset(to, 0, (size_t)(u / 2 * ld) * sizeof *to);
        } else if (u == 2) {
            pad_line(to, from, dv, ld, i32x16_set1(i + 1 < n ? -1 : 0xffff));
        } else {
            for (int c = 0; c < ld; c += 16) {
                i32x16 units = f32x16_as_i32(f32x16_load_part(from + c, dv - c < 16 ? dv - c : 16));
                put_unit(t->kv->type, to + c, ld, units, f32x16_set1(code_unit(t->kv->type)));
            }
        }
    }
}

/* st.out = st.out * alpha; most pages bring few rows a new maximum. */
static void rescale(attn_tile *t)
{
    for (int r = 0; r < t->st.rows; r++) {
        if (t->alpha[r] == 1) continue;
        float *out = t->st.out + r * t->st.ld;
        f32x16 by = f32x16_set1(t->alpha[r]);
        for (int c = 0; c < t->st.ld; c += 16) f32x16_store(out + c, f32x16_mul(f32x16_load(out + c), by));
    }
}

typedef struct value_steps {
    int steps, direct; /* steps of tokens, and how many of them the page itself holds as tiles */
    tile_operand page, panel;
} value_steps;

static value_steps find_values(attn_tile *t, const uint8_t *head, int n)
{
    const size_t dv = (size_t)t->kv->dv * 4, ld = (size_t)t->st.ld * 4;
    value_steps v = {.steps = ceil_div(n, DEPTH)};
    if (t->kv->type == KV_BF16 && t->kv->dv % BLOCK == 0) v.direct = n / DEPTH;
    v.page = (tile_operand){(const char *)head + kv_v_offset(t->kv), dv, TILE_LINE, BLOCK * dv};
    v.panel = (tile_operand){(const char *)t->panel + (size_t)v.direct * BLOCK * ld, ld, TILE_LINE, BLOCK * ld};
    lay_out_values(t, head, v.direct, v.steps, n);
    return v;
}

/* out[blocks of 16 rows] += weights . values */
static void add_values(const attn_tile *t, float *out, uint16_t (*weights)[KV_PAGE], int blocks, const value_steps *v)
{
    const size_t line = (size_t)t->st.ld * sizeof *out;
    const int cols = (int)(t->st.ld / BLOCK);
    tile_sums sums = {.at = (char *)out, .line = line, .row = BLOCK * line, .col = TILE_LINE, .add = true};
    tile_operand w = {(const char *)weights, sizeof *weights, BLOCK * sizeof *weights, TILE_LINE};
    if (v->direct) tile_product(sums, w, v->page, blocks, cols, v->direct);
    w.at += v->direct * TILE_LINE;
    if (v->direct < v->steps) tile_product(sums, w, v->panel, blocks, cols, v->steps - v->direct);
}

static void values(attn_tile *t, const uint8_t *head, int n)
{
    if (!tiled(t)) {
        below().values(t, head, n);
        return;
    }
    const int64_t ld = t->st.ld;
    float by[KV_PAGE], *last = (float *)t->panel + KV_PAGE / 2 * ld; /* where sums of a block that is not full are made */
    _Alignas(64) uint16_t weights[ROWS][KV_PAGE];
    value_steps v = find_values(t, head, n);
    if (kv_coded(t->kv->type)) {
        memset(by, 0, sizeof by);
        memcpy(by, head + kv_v_scales(t->kv), (size_t)n * sizeof *by);
    }
    rescale(t);
    tile_configure();
    for (int r = 0; r < t->st.rows; r += ROWS) {
        int rows = t->st.rows - r < ROWS ? t->st.rows - r : ROWS, full = rows / BLOCK, rest = rows % BLOCK;
        float *out = t->st.out + r * ld;
        round_weights(weights, t, r, v.steps, kv_coded(t->kv->type) ? by : NULL);
        add_values(t, out, weights, full, &v);
        if (!rest) continue;
        out += full * BLOCK * ld;
        memcpy(last, out, (size_t)(rest * ld) * sizeof *out);
        add_values(t, last, weights + full * BLOCK, 1, &v);
        memcpy(out, last, (size_t)(rest * ld) * sizeof *out);
    }
    tile_release();
}

void attn_fill_amx(attn_table *t)
{
    t->queries = queries;
    t->scores = scores;
    t->values = values;
}

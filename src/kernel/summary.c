/* Summaries of pages. Sums run over the tokens in order, in float32: the same bits on every processor. */
#include "kernel/summary.h"

#include "kernel/attn.h"
#include "kernel/gather.h"
#include "quant/quant.h"

enum { UNIT_MAX = 8 };

/* The codes, two halves or one float of a unit as numbers. */
static inline void unit_values(kv_type type, const uint8_t *unit, float x[UNIT_MAX])
{
    switch (type) {
    case KV_F32: memcpy(x, unit, sizeof *x); break;
    case KV_BF16:
        for (int j = 0; j < 2; j++) x[j] = quant_bf16_to_f32((uint16_t)(unit[2 * j] | unit[2 * j + 1] << 8));
        break;
    case KV_Q4:
        for (int j = 0; j < 4; j++) {
            x[j] = (float)((unit[j] & 15) - (unit[j] << 1 & 16));
            x[j + 4] = (float)((unit[j] >> 4) - (unit[j] >> 3 & 16));
        }
        break;
    default:
        for (int j = 0; j < 4; j++) x[j] = (float)(int8_t)unit[j];
    }
}

/* Of the tokens [from, from + n), whole groups; mean[]: whole units. */
static void mean_key(const kv_layout *l, const uint8_t *head, int from, int n, float *mean)
{
    const int u = kv_unit(l->type), units = kv_key_units(l);
    const uint16_t *scales = (const uint16_t *)(const void *)(head + kv_k_scales(l));
    for (int c = 0; c < units * u; c++) mean[c] = 0;
    for (int g = from / KV_GROUP; g < (from + n) / KV_GROUP; g++)
        for (int c = 0; c < units; c++)
            for (int i = 0; i < KV_GROUP; i++) {
                float x[UNIT_MAX], by = 1;
                unit_values(l->type, head + 4 * ((size_t)(g * units + c) * KV_GROUP + (size_t)i), x);
                if (kv_coded(l->type)) by = quant_bf16_to_f32(scales[kv_k_scale_index(l, g * KV_GROUP + i, c * u)]);
                for (int j = 0; j < u; j++) mean[c * u + j] += x[j] * by;
            }
    for (int c = 0; c < l->dk; c++) mean[c] /= (float)n;
}

static void mean_value(const kv_layout *l, const uint8_t *head, int from, int n, float *mean)
{
    const int u = kv_unit(l->type);
    const float *scales = (const float *)(const void *)(head + kv_v_scales(l));
    for (int c = 0; c < l->dv; c++) mean[c] = 0;
    for (int t = from / u; t < (from + n) / u; t++)
        for (int c = 0; c < l->dv; c++) {
            float x[UNIT_MAX];
            unit_values(l->type, head + kv_v_offset(l) + 4 * ((size_t)t * (size_t)l->dv + (size_t)c), x);
            for (int j = 0; j < u; j++) mean[c] += kv_coded(l->type) ? x[j] * scales[t * u + j] : x[j];
        }
    for (int c = 0; c < l->dv; c++) mean[c] /= (float)n;
}

/* The head of the summary page that has the slot. */
static uint8_t *slot_head(const kv_layout *y, uint8_t *summaries, int64_t index, int h)
{
    return summaries + (size_t)(index / KV_PAGE) * kv_page_bytes(y) + (size_t)h * kv_head_bytes(y);
}

/* The means of n tokens of a page of layout l, from `first` on, into a slot. */
static void make(const kv_layout *l, const uint8_t *page, int first, int n, uint8_t *summaries, int64_t index)
{
    const kv_layout y = summary_layout(l);
    for (int h = 0; h < l->heads; h++) {
        const uint8_t *from = page + (size_t)h * kv_head_bytes(l);
        float key[KV_DIMS_MAX], value[KV_DIMS_MAX];
        mean_key(l, from, first, n, key);
        mean_value(l, from, first, n, value);
        if (y.type == KV_Q8) { /* the means are rotated as the page is, and shall stay so: storing rotates once more by blocks */
            attn_rotate(key, l->dk, KV_BLOCK);
            attn_rotate(value, l->dv, KV_BLOCK);
        }
        attn_store_ref(&y, slot_head(&y, summaries, index, h), (int)(index % KV_PAGE), 1, key, l->dk, value, l->dv);
    }
}

void summary_make(const kv_layout *l, const uint8_t *page, uint8_t *summaries, int64_t index) { make(l, page, 0, KV_PAGE, summaries, index); }

void summary_make_group(const kv_layout *l, const uint8_t *summaries, uint8_t *groups, int64_t index)
{
    const kv_layout y = summary_layout(l);
    const int64_t first = index * SUMMARY_GROUP;
    make(&y, summaries + (size_t)(first / KV_PAGE) * kv_page_bytes(&y), (int)(first % KV_PAGE), SUMMARY_GROUP, groups, index);
}

size_t summary_bytes(const kv_layout *l)
{
    const kv_layout y = summary_layout(l);
    return (size_t)y.heads * gather_bytes(&y);
}

void summary_get(const kv_layout *l, const uint8_t *summaries, int64_t index, uint8_t *out)
{
    const kv_layout y = summary_layout(l);
    for (int h = 0; h < l->heads; h++, out += gather_bytes(&y)) gather_take(&y, out, slot_head(&y, (uint8_t *)(uintptr_t)summaries, index, h), (int)(index % KV_PAGE));
}

void summary_put(const kv_layout *l, uint8_t *summaries, int64_t index, const uint8_t *from)
{
    const kv_layout y = summary_layout(l);
    for (int h = 0; h < l->heads; h++, from += gather_bytes(&y)) gather_put(&y, slot_head(&y, summaries, index, h), (int)(index % KV_PAGE), from);
}

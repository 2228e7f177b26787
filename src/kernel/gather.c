/* Gathering. What a page has of a group of tokens are runs of bytes: keys, values and, of codes, the scales of both. */
#include "kernel/gather.h"

#include <assert.h>

/* Group `to` of a part of the page, of so many bytes a group, becomes group `from` of another page; zeros where there is none. */
static void move(uint8_t *to_head, int to, const uint8_t *from_head, int from, size_t at, size_t bytes)
{
    uint8_t *dst = to_head + at + (size_t)to * bytes;
    if (from_head) memcpy(dst, from_head + at + (size_t)from * bytes, bytes);
    else memset(dst, 0, bytes);
}

void gather_group(const kv_layout *l, uint8_t *to_head, int to, const uint8_t *from_head, int from)
{
    move(to_head, to, from_head, from, 0, (size_t)KV_GROUP * (size_t)kv_key_units(l) * 4);
    move(to_head, to, from_head, from, kv_v_offset(l), (size_t)KV_GROUP * (size_t)l->dv * 4 / (size_t)kv_unit(l->type));
    if (!kv_coded(l->type)) return;
    move(to_head, to, from_head, from, kv_k_scales(l), (size_t)KV_GROUP * (size_t)kv_blocks(l) * sizeof(uint16_t));
    move(to_head, to, from_head, from, kv_v_scales(l), KV_GROUP * sizeof(float));
}

static void clear_group(const kv_layout *l, uint8_t *head, int group) { gather_group(l, head, group, NULL, 0); }

/* The values of a token are one lane of u in each of dv units of 4 bytes; the lane `to` of the units is 0 so far. */
static void move_lane(uint32_t *restrict dst, const uint32_t *restrict src, int n, int u, int to, int from)
{
    const int width = 32 / u, left = kv_unit_bit(u, to), right = kv_unit_bit(u, from);
    const uint32_t lane = width == 32 ? UINT32_MAX : (1u << width) - 1;
    for (int c = 0; c < n; c++) dst[c] |= (src[c] >> right & lane) << left;
}

void gather_token(const kv_layout *l, uint8_t *to_head, int to, const uint8_t *from_head, int from)
{
    const int u = kv_unit(l->type);
    if (to % KV_GROUP == 0) clear_group(l, to_head, to / KV_GROUP);
    uint32_t *k = (uint32_t *)(void *)to_head + kv_k_unit(l, to, 0);
    const uint32_t *key = (const uint32_t *)(const void *)from_head + kv_k_unit(l, from, 0);
    for (int c = 0; c < kv_key_units(l); c++) k[c * KV_GROUP] = key[c * KV_GROUP];
    move_lane((uint32_t *)(void *)(to_head + kv_v_offset(l)) + to / u * l->dv, (const uint32_t *)(const void *)(from_head + kv_v_offset(l)) + from / u * l->dv,
              l->dv, u, to % u, from % u);
    if (!kv_coded(l->type)) return;
    uint16_t *ks = (uint16_t *)(void *)(to_head + kv_k_scales(l));
    const uint16_t *key_scales = (const uint16_t *)(const void *)(from_head + kv_k_scales(l));
    for (int b = 0; b < kv_blocks(l); b++) ks[kv_k_scale_index(l, to, b * KV_BLOCK)] = key_scales[kv_k_scale_index(l, from, b * KV_BLOCK)];
    ((float *)(void *)(to_head + kv_v_scales(l)))[to] = ((const float *)(const void *)(from_head + kv_v_scales(l)))[from];
}

enum { LINE = 64 };

static void bring(const uint8_t *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += LINE) __builtin_prefetch(from + i);
}

void gather_soon(const kv_layout *l, const uint8_t *head, int t)
{
    const int u = kv_unit(l->type), group = t / KV_GROUP;
    const size_t keys = (size_t)KV_GROUP * (size_t)kv_key_units(l) * 4, scales = (size_t)KV_GROUP * (size_t)kv_blocks(l) * sizeof(uint16_t);
    bring(head + (size_t)group * keys, keys); /* each line has 4 bytes of the token */
    bring(head + kv_v_offset(l) + (size_t)(t / u * l->dv) * 4, (size_t)l->dv * 4);
    if (kv_coded(l->type)) bring(head + kv_k_scales(l) + (size_t)group * scales, scales);
}

/* ---- by themselves: keys, values, scales of keys, scale of the value ---- */

static size_t key_bytes(const kv_layout *l) { return (size_t)l->dk * 4 / (size_t)kv_unit(l->type); }
static size_t value_bytes(const kv_layout *l) { return (size_t)l->dv * 4 / (size_t)kv_unit(l->type); }

size_t gather_bytes(const kv_layout *l)
{
    assert(l->type != KV_Q4); /* its values share bytes */
    return key_bytes(l) + value_bytes(l) + (l->type == KV_Q8 ? (size_t)kv_blocks(l) * sizeof(uint16_t) + sizeof(float) : 0);
}

/* Moves each part between its place in the page and its place in the bytes. */
static void move_token(const kv_layout *l, uint8_t *head, int t, uint8_t *flat, bool out)
{
    const int u = kv_unit(l->type), element = 4 / u;
    const size_t v = kv_v_offset(l), ks = kv_k_scales(l), vs = kv_v_scales(l);
#define MOVE(at, bytes) \
    do { \
        if (out) memcpy(flat, head + (at), (bytes)); \
        else memcpy(head + (at), flat, (bytes)); \
        flat += (bytes); \
    } while (0)
    for (int c = 0; c < l->dk; c += u) MOVE(kv_k_index(l, t, c) * (size_t)element, (size_t)4);
    for (int c = 0; c < l->dv; c++) MOVE(v + kv_v_index(l, t, c) * (size_t)element, (size_t)element);
    for (int b = 0; l->type == KV_Q8 && b < kv_blocks(l); b++) MOVE(ks + kv_k_scale_index(l, t, b * KV_BLOCK) * sizeof(uint16_t), sizeof(uint16_t));
    if (l->type == KV_Q8) MOVE(vs + (size_t)t * sizeof(float), sizeof(float));
#undef MOVE
}

void gather_take(const kv_layout *l, uint8_t *out, const uint8_t *head, int t) { move_token(l, (uint8_t *)(uintptr_t)head, t, out, true); }
void gather_put(const kv_layout *l, uint8_t *head, int t, const uint8_t *from) { move_token(l, head, t, (uint8_t *)(uintptr_t)from, false); }

/* The layout of a page of keys and values: one versioned format, in memory and on disk, for every processor.
 *
 * A page holds KV_PAGE tokens of one layer, all its KV heads one after the other. One head is
 *
 *     K   [KV_PAGE/16 groups][dk/u][16 tokens][u]   u = elements in 4 bytes: f32 1, bf16 2, q8 4
 *     V   [KV_PAGE/u][dv][u tokens]
 *     of q8 only: bfloat16 K scales [KV_PAGE/16 groups][blocks of 32 elements][16 tokens], float32 V scales [KV_PAGE]
 *
 * so that 16 tokens x 4 bytes of keys are one 64-byte line and u tokens x 16 value elements another: AMX loads both as tiles,
 * the vector levels and the reference read the same bytes. dk and dv are multiples of 4 (padded with zeros where a model's are
 * not). Keys are stored rotated by (position mod s), see rope.h. Tokens not yet written are never read.
 *
 * q8 is symmetric: an element is a signed code times a scale. Some channels are far larger than the others, above all of keys, so every
 * whole block of 32 elements is stored after a Hadamard rotation (attn_rotate), which spreads an outlier over its block, and a key has a
 * scale for each block; a value, tamer, has one. A query rotated alike has the same products with the keys; a sum of values is
 * rotated back at the end.
 */
#ifndef KERNEL_KV_LAYOUT_H
#define KERNEL_KV_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { KV_PAGE = 128, KV_GROUP = 16, KV_BLOCK = 32, KV_DIMS_MAX = 1024 /* of dk, of dv */, KV_LAYOUT_VERSION = 3 };

/* KV_STATE is no kind of page that a user can ask for: it is what a recurrent layer keeps, see delta.h. Its "page" is the layer's state after so
 * many tokens, heads of [dk][dv] float32. */
typedef enum kv_type { KV_F32, KV_BF16, KV_Q8, KV_TYPES, KV_STATE = KV_TYPES } kv_type;

/* "f32", "bf16", "q8": NULL for a number that is none; false, and *out untouched, for a name that is none. */
static inline const char *kv_type_name(int t) { return t == KV_F32 ? "f32" : t == KV_BF16 ? "bf16" : t == KV_Q8 ? "q8" : NULL; }
static inline bool kv_type_by_name(const char *name, kv_type *out)
{
    for (int t = 0; t < KV_TYPES; t++)
        if (!strcmp(kv_type_name(t), name)) {
            *out = (kv_type)t;
            return true;
        }
    return false;
}

typedef struct kv_layout {
    kv_type type;
    int heads;  /* KV heads of the layer */
    int dk, dv; /* elements of a key, of a value; multiples of 4 */
} kv_layout;

/* Elements in 4 bytes. */
static inline int kv_unit(kv_type t) { return t == KV_F32 ? 1 : t == KV_BF16 ? 2 : 4; }

/* Byte offsets inside one head, and the sizes of a head and a page; all multiples of 64. */
static inline size_t kv_v_offset(const kv_layout *l) { return (size_t)KV_PAGE * (size_t)l->dk * 4 / (size_t)kv_unit(l->type); }
static inline size_t kv_k_scales(const kv_layout *l) { return kv_v_offset(l) + (size_t)KV_PAGE * (size_t)l->dv * 4 / (size_t)kv_unit(l->type); }
static inline int kv_blocks(const kv_layout *l) { return (l->dk + KV_BLOCK - 1) / KV_BLOCK; }
static inline size_t kv_v_scales(const kv_layout *l) { return kv_k_scales(l) + (size_t)KV_PAGE * (size_t)kv_blocks(l) * sizeof(uint16_t); }
static inline size_t kv_head_bytes(const kv_layout *l) { return l->type == KV_Q8 ? kv_v_scales(l) + KV_PAGE * sizeof(float) : kv_k_scales(l); }
static inline size_t kv_page_bytes(const kv_layout *l)
{
    return (l->type == KV_STATE ? (size_t)l->dk * (size_t)l->dv * sizeof(float) : kv_head_bytes(l)) * (size_t)l->heads;
}

/* Element index (in elements of the type) of key element c of token t, of value element c of token t, inside their parts. */
static inline size_t kv_k_index(const kv_layout *l, int t, int c)
{
    int u = kv_unit(l->type);
    return (((size_t)(t / KV_GROUP) * (size_t)(l->dk / u) + (size_t)(c / u)) * KV_GROUP + (size_t)(t % KV_GROUP)) * (size_t)u + (size_t)(c % u);
}
/* Index of the scale of key element c of token t. */
static inline size_t kv_k_scale_index(const kv_layout *l, int t, int c)
{
    return ((size_t)(t / KV_GROUP) * (size_t)kv_blocks(l) + (size_t)(c / KV_BLOCK)) * KV_GROUP + (size_t)(t % KV_GROUP);
}
static inline size_t kv_v_index(const kv_layout *l, int t, int c)
{
    int u = kv_unit(l->type);
    return ((size_t)(t / u) * (size_t)l->dv + (size_t)c) * (size_t)u + (size_t)(t % u);
}

#endif

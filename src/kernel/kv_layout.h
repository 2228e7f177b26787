/* The layout of a page of keys and values: one versioned format, in memory and on disk, for every processor.
 *
 * A page holds KV_PAGE tokens of one layer, all its KV heads one after the other. One head is
 *
 *     K   [KV_PAGE/16 groups][dk/u][16 tokens][u]   u = elements in 4 bytes: f32 1, bf16 2, q8 4, q4 8; dk/u rounded up, zeros after dk
 *     V   [KV_PAGE/u][dv][u tokens]
 *     of q8 and q4 only: bfloat16 K scales [KV_PAGE/16 groups][blocks of 32 elements][16 tokens], float32 V scales [KV_PAGE]
 *
 * so that 16 tokens x 4 bytes of keys are one 64-byte line and u tokens x 16 value elements another: AMX loads both as tiles,
 * the vector levels and the reference read the same bytes. dk and dv are multiples of 4 (padded with zeros where a model's are
 * not). Keys are stored rotated by (position mod s), see rope.h. Tokens not yet written are never read.
 *
 * Of q8 and q4 an element is a signed code times a scale. Some channels are far larger than the others, above all of keys, so elements are
 * stored after a Hadamard rotation (attn_rotate), which spreads an outlier over all that are rotated together. Keys are rotated in blocks of
 * 32, each of which has a scale: an outlier costs its own block a little and other blocks nothing. A value, tamer, has one scale; of q8 it
 * is rotated in blocks of 32 too, of q4 as a whole, so that its one scale suits all elements. A query rotated as keys are has the same products
 * with them; a sum of values is rotated back at the end. A unit of q4 is two of q8's laid over each other: byte b has element b in its lower half
 * and element b + 4 in its upper one.
 */
#ifndef KERNEL_KV_LAYOUT_H
#define KERNEL_KV_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { KV_PAGE = 128, KV_GROUP = 16, KV_BLOCK = 32, KV_DIMS_MAX = 1024 /* of dk, of dv */, KV_LAYOUT_VERSION = 3 };

/* These numbers are in files. KV_STATE is no kind of page that a user can ask for: it is what a recurrent layer keeps, see delta.h. Its "page" is
 * the layer's state after so many tokens, heads of [dk][dv] float32. */
typedef enum kv_type { KV_F32, KV_BF16, KV_Q8, KV_STATE, KV_Q4, KV_TYPES } kv_type;

/* Whether pages hold codes and scales. */
static inline bool kv_coded(kv_type t) { return t == KV_Q8 || t == KV_Q4; }

/* "f32", "bf16", "q8", "q4": NULL for a number of no pages; false, and *out untouched, for a name that is none. */
static inline const char *kv_type_name(int t)
{
    return t == KV_F32 ? "f32" : t == KV_BF16 ? "bf16" : t == KV_Q8 ? "q8" : t == KV_Q4 ? "q4" : NULL;
}
static inline bool kv_type_by_name(const char *name, kv_type *out)
{
    for (int t = 0; t < KV_TYPES; t++)
        if (kv_type_name(t) && !strcmp(kv_type_name(t), name)) {
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
static inline int kv_unit(kv_type t) { return t == KV_F32 ? 1 : t == KV_BF16 ? 2 : t == KV_Q4 ? 8 : 4; }
/* Where element j of a unit of u elements begins, in bits. */
static inline int kv_unit_bit(int u, int j) { return u == 8 ? j % 4 * 8 + j / 4 * 4 : j * (32 / u); }
/* Units of a key. */
static inline int kv_key_units(const kv_layout *l) { return (l->dk + kv_unit(l->type) - 1) / kv_unit(l->type); }
/* How many elements of a key, of a value of dv are rotated together, a power of two; what is left over stays as it is. 0: nothing is rotated. */
static inline int kv_key_rotation(kv_type t) { return kv_coded(t) ? KV_BLOCK : 0; }
static inline int kv_value_rotation(kv_type t, int dv)
{
    const int even = dv & -dv; /* the largest power of two that divides it */
    return t == KV_Q4 && even >= KV_BLOCK / 2 ? even : kv_coded(t) ? KV_BLOCK : 0;
}

/* Byte offsets inside one head, and the sizes of a head and a page; all multiples of 64. */
static inline size_t kv_v_offset(const kv_layout *l) { return (size_t)KV_PAGE * (size_t)kv_key_units(l) * 4; }
static inline size_t kv_k_scales(const kv_layout *l) { return kv_v_offset(l) + (size_t)KV_PAGE * (size_t)l->dv * 4 / (size_t)kv_unit(l->type); }
static inline int kv_blocks(const kv_layout *l) { return (l->dk + KV_BLOCK - 1) / KV_BLOCK; }
static inline size_t kv_v_scales(const kv_layout *l) { return kv_k_scales(l) + (size_t)KV_PAGE * (size_t)kv_blocks(l) * sizeof(uint16_t); }
static inline size_t kv_head_bytes(const kv_layout *l) { return kv_coded(l->type) ? kv_v_scales(l) + KV_PAGE * sizeof(float) : kv_k_scales(l); }
static inline size_t kv_page_bytes(const kv_layout *l)
{
    return (l->type == KV_STATE ? (size_t)l->dk * (size_t)l->dv * sizeof(float) : kv_head_bytes(l)) * (size_t)l->heads;
}

/* The unit that has key element c of token t, value element c of token t, inside their parts. */
static inline size_t kv_k_unit(const kv_layout *l, int t, int c)
{
    return ((size_t)(t / KV_GROUP) * (size_t)kv_key_units(l) + (size_t)(c / kv_unit(l->type))) * KV_GROUP + (size_t)(t % KV_GROUP);
}
static inline size_t kv_v_unit(const kv_layout *l, int t, int c) { return (size_t)(t / kv_unit(l->type)) * (size_t)l->dv + (size_t)c; }
/* Index (in elements of the type) of key element c of token t, of value element c of token t, inside their parts. */
static inline size_t kv_k_index(const kv_layout *l, int t, int c)
{
    const int u = kv_unit(l->type);
    return kv_k_unit(l, t, c) * (size_t)u + (size_t)(c % u);
}
static inline size_t kv_v_index(const kv_layout *l, int t, int c)
{
    const int u = kv_unit(l->type);
    return kv_v_unit(l, t, c) * (size_t)u + (size_t)(t % u);
}
/* Index of the scale of key element c of token t. */
static inline size_t kv_k_scale_index(const kv_layout *l, int t, int c)
{
    return ((size_t)(t / KV_GROUP) * (size_t)kv_blocks(l) + (size_t)(c / KV_BLOCK)) * KV_GROUP + (size_t)(t % KV_GROUP);
}

#endif

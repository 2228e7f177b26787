/* What op_attention and op_attention_mass share: a worker's memory, and a tile going over pages. */
#ifndef KERNEL_ATTN_WORK_H
#define KERNEL_ATTN_WORK_H

#include <math.h>

#include "kernel/ctx.h"

/* 2^(max - to), what a running softmax of one maximum is multiplied by for another; both may be -INFINITY, a NaN stays. */
static inline float attn_rescale(float max, float to) { return max == -INFINITY ? 0 : exp2f(max - to); }

/* Rows [row, row + rows) of sequence seq, folded with query heads [head, head + heads) of KV head kv_head, over pages
 * [page, page_end). A folded row is row * heads + head. */
typedef struct attn_item {
    const attn_seq *seq;
    int64_t row;            /* counted from the sequence's first in this batch */
    int rows, head, heads, kv_head;
    int64_t page, page_end;
    int parts, part;        /* into how many parts the tile's keys are cut; which shared state takes this one's result */
    bool first;             /* the part with the first keys; the other parts' items and states follow it */
} attn_item;

/* First and last key that row i of the item sees (absolute), as a half-open range. */
static inline int64_t attn_row_end(const attn_item *it, int i) { return it->seq->pos + it->row + i + 1; }
static inline int64_t attn_row_begin(const op_attn_args *a, const attn_item *it, int i)
{
    return a->window ? i64_max(0, attn_row_end(it, i) - a->window) : 0;
}

/* Bytes of one worker's panels, and of one state, for these limits. */
size_t attn_worker_bytes(int dk, int dv);
size_t attn_state_bytes(int rows, int dv);
/* Lays a state's arrays into block; returns what follows them. */
char *attn_state_place(attn_state *s, char *block, int rows, int dv);
/* Lays a tile for the item into a worker's block, its state included. */
void attn_tile_place(attn_tile *t, char *block, const op_attn_args *a, const attn_item *it, bool exact);

/* Rotates and scales the tile's queries for keys of chunk m. */
void attn_tile_queries(const attn_table *k, const vec_table *v, attn_tile *t, const op_attn_args *a, const attn_item *it, int64_t m);
/* Masked scores of the page's first *n tokens; true when some row does not see all of these. */
bool attn_tile_scores(const attn_table *k, const vec_table *v, attn_tile *t, const op_attn_args *a, const attn_item *it, int64_t page, int *n);
/* Scores of the first n tokens of a head's page, softcapped, not masked. */
void attn_tile_logits(const attn_table *k, const vec_table *v, attn_tile *t, const op_attn_args *a, const uint8_t *head, int n);
/* Brings in the sinks, divides by the sums and writes the rows out. */
void attn_finish(const attn_table *k, const op_attn_args *a, const attn_item *it, attn_state *s);
/* The head's part of a page. */
const uint8_t *attn_page_head(const op_attn_args *a, const attn_item *it, int64_t page);

#endif

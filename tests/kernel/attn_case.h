/* A random batch over random pages, and attention over it in double precision: what check_attn compares the kernels with. */
#ifndef TESTS_ATTN_CASE_H
#define TESTS_ATTN_CASE_H

#include "kernel/ops.h"

typedef struct attn_shape {
    kv_type type;
    int heads, kv_heads, dk, dv;
    int64_t window;
    float softcap;
    bool sinks;
    int rope_dims;        /* 0: none */
    bool interleaved;
    int64_t stride, trained; /* s and c of rope.h */
    int n_seqs;
    int64_t pos[4], count[4];
    uint32_t seed;
} attn_shape;

typedef struct attn_case {
    attn_shape shape;
    kv_layout kv;
    rope_spec spec;
    rope_tables tables;
    op_attn_args args;
    attn_seq seqs[4];
    uint8_t **pages[4];
    uint8_t *page_block[4];
    int64_t rows, end[4];
    float *q, *k[4], *v[4], *near, *far, *sinks, *out; /* k: not rotated */
} attn_case;

void attn_case_make(attn_case *c, const attn_shape *shape);
void attn_case_free(attn_case *c);
/* Rotates and stores all keys and values: those before the batch one by one, the batch's own with one call. */
void attn_case_store(attn_case *c, kernel_ctx *ctx);
/* The same without the batch's own. */
void attn_case_store_prefix(attn_case *c, kernel_ctx *ctx);
/* Keys [n][kv_heads][dk] of positions from pos on, rotated in double. */
float *attn_case_keys(const attn_case *c, int s, int64_t pos, int64_t n);
/* Reserves, and fills the tables of positions. */
void attn_case_reserve(attn_case *c, kernel_ctx *ctx);
/* Reserves, runs; the result is in c->out. */
void attn_case_run(attn_case *c, kernel_ctx *ctx);
/* Row `row` of head `head` in double; scale[d] is the sum of the magnitudes added and score_scale that of the largest score. */
void attn_case_row(const attn_case *c, int seq, int64_t row, int head, double *out, double *scale, double *score_scale, double *mass);
float case_random(uint32_t *state); /* about normal */

#endif

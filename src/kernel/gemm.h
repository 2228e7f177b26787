/* Products with weights: y[rows][n] = x[rows][k] . w[n][k]^T for every stored type.
 *
 * Weights stay as they are stored. A product of many rows cuts K into blocks of GEMM_BLOCK elements and works tile by tile: `mr` rows of x
 * against `nr` rows of w, both first laid out as panels (block after block) in the order the tile reads them:
 *
 *     c[mr][nr] += x panel [mr][k] . w panel [nr][k]^T
 *
 * How c lies in memory while it is summed up is the form's own affair, as are the sizes of the blocks that suit its caches.
 *
 * A form is one arithmetic for this. `exact` is float32: fused multiply-adds over rising k within a block, then the sum of the blocks
 * in order, so each y has the same bits at every level, row count and thread count. `fast` is what the level does best:
 *   ref     float32 as exact
 *   avx2, avx512, neon   int16 codes, one scale for each row and block, products summed in int32 (see simd/gemm_i16.inc)
 *   amx     bfloat16 tiles, summed in float32 (see x86/amx/gemm_amx.c)
 * A product of a few rows is bound by reading w: gemm_few takes dot products with the stored blocks themselves.
 * All functions are single-threaded and keep no state; op_linear.c cuts the work and owns the memory.
 */
#ifndef KERNEL_GEMM_H
#define KERNEL_GEMM_H

#include <stdbool.h>

#include "kernel/weight.h"

enum {
    GEMM_BLOCK = 128,    /* elements of K in a block of a panel; the last block is padded with zeros */
    GEMM_K_STEP = 512,   /* elements of K in a w panel of most forms */
    GEMM_FEW_MAX = 6,    /* rows of x that gemm_few takes, at most */
};

/* Up to `columns` tile columns of w by up to `rows` rows of x are an item of a thread. It lays w out for k_step elements at a time: a
 * panel of mr rows of x stays in the first-level cache for all of them, the w panels and the sums in the second. */
typedef struct gemm_blocking {
    int k_step;         /* a multiple of GEMM_BLOCK */
    int rows, columns;
    int items;          /* wanted for each thread: more balance better, fewer reuse more */
} gemm_blocking;

#define GEMM_BLOCKING {.k_step = GEMM_K_STEP, .rows = 512, .columns = 4, .items = 4}

/* Lays out x[rows][ldx], k elements each; missing rows become zeros. */
typedef void (*gemm_pack_x_fn)(void *panel, const float *x, int64_t ldx, int rows, int64_t k);

typedef struct gemm_form {
    int mr, nr;
    gemm_blocking blocking;
    size_t x_block, w_block; /* bytes of one block of an x panel, of a w panel; multiples of 64 */
    gemm_pack_x_fn pack_x;   /* rows <= mr */
    /* Lays out elements [k0, k0 + k) of `rows` <= nr rows of w, row_bytes apart; missing rows become zeros. k0 is a multiple of
     * k_step. */
    void (*pack_w[QUANT_TYPE_END])(void *panel, const void *w, size_t row_bytes, int rows, int64_t k0, int64_t k);
    /* c (first ? = : +=) panels; only the first `rows` rows of c need be right. */
    void (*tile)(float *c, const void *x, const void *w, int64_t k, int rows, bool first);
    /* A finished c as rows of nr, the first n of them, ld floats apart; NULL: it is [mr][nr] already. */
    void (*unpack)(float *rows, int64_t ld, const float *c, int n);
    /* What a thread does before and after it calls `tile`; NULL: nothing. */
    void (*enter)(void), (*leave)(void);
} gemm_form;

/* y[r][i] = x[r] . w[i] for a few rows and i < n; y rows are ldy apart. panel is x packed, x itself is for the float types. */
typedef void (*gemm_few_fn)(float *y, int64_t ldy, const void *w, size_t row_bytes, int64_t n, const void *panel, const float *x,
                            int64_t ldx, int rows, int64_t k);

typedef struct gemm_few {
    int rows;       /* at most so many; 0: none */
    size_t x_block;
    gemm_pack_x_fn pack_x;
    gemm_few_fn product[QUANT_TYPE_END];
} gemm_few;

/* Panels of the exact form from operands that lie the other way round: for training (train.h). Panels are panel_bytes apart. */
typedef struct gemm_turned {
    /* x is stored as [k][ldx]: its columns [0, rows) become rows of as many panels as that takes. Rows that are missing in the last one
     * stay as they are: they reach no other row. */
    void (*pack_x)(void *panels, size_t panel_bytes, const float *x, int64_t ldx, int rows, int64_t k);
    /* k rows of w, row_bytes apart: their elements from n0 on, at most GEMM_BLOCK of them and no more than the n that are left, become
     * as many panels of nr as that takes. n0 is a multiple of GEMM_BLOCK. */
    void (*pack_w[QUANT_TYPE_END])(void *panels, size_t panel_bytes, const void *w, size_t row_bytes, int64_t n0, int64_t n, int64_t k);
    /* A block of a w panel of the fast form from one of the exact form, k <= GEMM_BLOCK elements of K; NULL: the forms are not alike. */
    void (*fast_w)(void *block, const void *exact, int64_t k);
} gemm_turned;

/* c[m][n] (=, += when add) a . b of which m, n or k is small, without panels: for training. */
typedef struct gemm_narrow_args {
    float *c;
    int64_t ldc;
    bool add;
    const float *a;
    int64_t lda;
    bool a_t;       /* a is stored as [k][m] */
    const float *b; /* [k][ldb] */
    int64_t ldb;
    int64_t m, n, k;
} gemm_narrow_args;

typedef struct gemm_narrow {
    void (*product)(const gemm_narrow_args *p); /* the exact form's sums, to the bit; NULL: there is none */
    void (*turn)(float *to, int64_t ldt, const float *from, int64_t ldf, int64_t n, int64_t k); /* to[k][ldt] from from[n][ldf] */
} gemm_narrow;

typedef struct gemm_table {
    gemm_form exact, fast;
    gemm_turned turned;
    gemm_narrow narrow;
    gemm_few few; /* of fast mode */
} gemm_table;

void gemm_fill_ref(gemm_table *t);
void gemm_fill_avx2(gemm_table *t);
void gemm_fill_avxvnni(gemm_table *t);
void gemm_fill_avx512(gemm_table *t);
void gemm_fill_avx512vnni(gemm_table *t);
void gemm_fill_neon(gemm_table *t);
void gemm_fill_amx(gemm_table *t); /* over those of avx512 */

#endif

/* Attention over pages of keys and values (kv_layout.h): the running softmax and what a level provides.
 *
 * A tile is the work of one thread: some rows of one sequence times the query heads that share one KV head, folded into at most
 * ATTN_ROWS rows. It goes over the pages it can see; for each page a level computes scores, a softmax that goes on from the
 * pages before (Milakov & Gimelshein 2018), and the weighted sum of values. Scores are in units of log 2: 2^x is what processors do.
 *
 * A row's result never depends on the other rows of its tile: kernels add in an order that depends on the page alone.
 */
#ifndef KERNEL_ATTN_H
#define KERNEL_ATTN_H

#include <stdbool.h>

#include "kernel/kv_layout.h"

enum { ATTN_ROWS = 128, ATTN_COLS = 16 }; /* rows of a tile; outputs are padded to a multiple of ATTN_COLS */
#define ATTN_LOG2_E 1.44269504088896340736f

/* Attention of `rows` rows over some of their keys: enough to go on, or to be joined with the same rows over other keys. */
typedef struct attn_state {
    int rows;
    int64_t ld;   /* floats from one row of out to the next: dv rounded up to ATTN_COLS */
    float *max;   /* [rows] the largest score; -INFINITY: no key seen */
    double *sum;  /* [rows] of 2^(score - max) */
    float *out;   /* [rows][ld] of 2^(score - max) * value as it is stored */
} attn_state;

void attn_state_reset(attn_state *s);
/* into = both together; their keys must be disjoint. The same calls in the same order give the same bits. */
void attn_state_merge(attn_state *into, const attn_state *part);
/* A key without a value: its score, in units of log 2, joins row r. */
void attn_state_sink(attn_state *s, int r, float score);

typedef struct attn_tile {
    const kv_layout *kv;
    attn_state st;
    bool exact;     /* float32 arithmetic throughout */
    float *q;       /* [rows][dk] rotated as the keys are stored, and scaled: a score is q.k */
    float *s;       /* [rows][KV_PAGE] scores, then weights */
    float *alpha;   /* [rows] what the page's softmax multiplies st.out by */
    const uint8_t *next; /* the head's part of the page that comes after this one, to be brought near; NULL after the last */
    void *packed;   /* q as the level wants it: room for [ATTN_ROWS][max(dk, 20)] floats */
    void *panel;    /* the page's keys or values as the level wants them: room for [KV_PAGE][max(dk, st.ld)] floats */
} attn_tile;

/* c[m][n] (=, += when add) a . b, for training. b are panels of 16 columns, [ceil(n / 16)][k][16], ldb floats from one to the next; whole panels of c
 * are written. Every element is one chain of FMAs in the order of k, which c begins when it is added to. */
typedef struct attn_product {
    float *c;
    int64_t ldc;
    bool add;
    const float *a;
    int64_t lda;
    bool a_t; /* a is stored as [k][m] */
    const float *b;
    int64_t ldb;
    int m, n, k;
} attn_product;

typedef struct attn_table {
    /* Writes keys [n][dk] and values [n][dv] (strides in floats) of one head into slots t .. t + n - 1 of the head's page: the same bytes
     * at every level. */
    void (*store)(const kv_layout *l, uint8_t *head, int t, int n, const float *k, int64_t ldk, const float *v, int64_t ldv);
    /* attn_rotate: the same bits at every level. */
    void (*rotate)(float *x, int n, int width);
    /* The tile's queries have changed. */
    void (*queries)(attn_tile *t);
    /* s[rows][0..n) = q . keys of the page's first n tokens. */
    void (*scores)(attn_tile *t, const uint8_t *head, int n);
    /* s = 2^(s - max) over the first n tokens, zero after them; brings st.max, st.sum and alpha up to date. */
    void (*softmax)(attn_tile *t, int n);
    /* st.out = st.out * alpha + s . values of the page's first n tokens. */
    void (*values)(attn_tile *t, const uint8_t *head, int n);

    /* ---- of training (op_attn_train.c), float32 throughout; ld: floats from one panel of 16 columns to the next ---- */
    /* The page's first n keys as they are stored, a token a column: out[ceil(n / 16)][dk][16]; room for whole units. Columns from n on are anything. */
    void (*page_keys)(const kv_layout *l, const uint8_t *head, int n, float *out, int64_t ld);
    /* Its first n values as they are stored, an element a column: out[ceil(dv / 16)][n][16]; room for whole units. */
    void (*page_values)(const kv_layout *l, const uint8_t *head, int n, float *out, int64_t ld);
    /* out[ceil(d / 16)][n][16] = x[n][d], zeros after its last column. */
    void (*panels)(float *out, int64_t ld, const float *x, int64_t ldx, int n, int d);
    /* out[ceil(n / 16)][d][16] = x[n][d] turned, zeros after its last column. */
    void (*panels_turned)(float *out, int64_t ld, const float *x, int64_t ldx, int n, int d);
    void (*product)(const attn_product *p);
    /* Over n numbers, a multiple of 16: the largest of s and max; s = 2^(s - from), returning the sum. */
    float (*largest)(const float *s, int n, float max);
    float (*weights)(float *s, int n, float from);
    /* s = 2^(s - from) = p; dp = p (dp - mean) (1 - by s^2): from the gradients of probabilities to those of scores. n is a multiple of 16. */
    void (*weights_back)(float *s, float *dp, int n, float from, float mean, float by);
} attn_table;

void attn_fill_ref(attn_table *t);
void attn_train_fill_ref(attn_table *t); /* those of training, for attn_fill_ref */
void attn_fill_avx2(attn_table *t);
void attn_fill_avxvnni(attn_table *t);
void attn_fill_avx512(attn_table *t);
void attn_fill_avx512vnni(attn_table *t);
void attn_fill_neon(attn_table *t);
void attn_fill_amx(attn_table *t); /* over those of avx512 */

/* The Hadamard rotation of each whole run of `width` elements of x[n], a power of two or 0 (none); its own inverse. */
void attn_rotate(float *x, int n, int width);
/* What it multiplies by: 1 / sqrt(width). */
static inline float attn_rotate_by(int width)
{
    float by = 1;
    for (; width >= 4; width /= 4) by /= 2;
    return width == 2 ? by * 0x1.6a09e6p-1f : by;
}
/* The scale of signed codes of numbers of magnitudes up to `top`, the largest being `high`. Where one of them is not finite it is NaN, so that
 * what looks at them sees NaN; where all are too small to tell from zero it is 0. Codes of 8 bits are -127 to 127, those of 4 bits -8 to 7:
 * the sign of their scale is such that the number of the largest magnitude is -8. */
#define ATTN_CODE_ZERO 1e-30f
float attn_code_scale(kv_type type, float top, float high, bool finite);
/* `store` in plain C. */
void attn_store_ref(const kv_layout *l, uint8_t *head, int t, int n, const float *k, int64_t ldk, const float *v, int64_t ldv);
/* The key, the value of token i of a head as it was before it was rotated for storing, and whether all values of the first n tokens are finite: any
 * level, not fast. */
void attn_key(const kv_layout *l, const uint8_t *head, int i, float *key);
void attn_value(const kv_layout *l, const uint8_t *head, int i, float *value);
bool attn_values_finite(const kv_layout *l, const uint8_t *head, int n);
/* `values` for a page where a row must not touch what it cannot see: tokens of weight 0 are left out. */
void attn_values_careful(attn_tile *t, const uint8_t *head, int n);

#endif

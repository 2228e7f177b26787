/* What the forward and the backward pass of op_attention_train share: how a batch is cut into parts, and what a worker makes of keys and queries.
 *
 * The keys of a sequence are blocks of up to KV_PAGE tokens that lie in one page of positions: the pages of its prefix, then its own rows. A part is a run of
 * blocks of one sequence and one KV head, and the work of one thread, for all rows that see them. It goes through its blocks by groups, of one kind
 * (of the prefix, or not) and one chunk of positions (rope.h), and through the rows by tiles of one query head. A group's keys and values are laid out
 * once, a tile's queries rotated once for a group.
 *
 * Where the cuts are depends on the batch alone, and so does the order in which anything is added: forward, parts are joined as attn_state.c does;
 * backward, a key is of one part only, and the parts of a query's gradient are added in their order.
 *
 * Coded pages hold rotated keys and values (kv_layout.h). Queries are rotated for them too, and sums of values rotated back after the last group of the prefix.
 */
#ifndef KERNEL_ATTN_TRAIN_WORK_H
#define KERNEL_ATTN_TRAIN_WORK_H

#include "kernel/attn_train.h"
#include "kernel/attn_work.h"

enum {
    TRAIN_ROWS = 96,          /* of a tile */
    TRAIN_BLOCKS = 4,         /* of a group */
    TRAIN_LD = KV_PAGE + 16,  /* floats from one row of scores to the next: no multiple of a page of memory */
    TRAIN_STRIP = 24,         /* rows, or keys, that are taken together where not all rows see all keys */
};

typedef struct train_part {
    const attn_seq *seq;
    int kv_head;
    int64_t block, block_end; /* numbered as pages are; where the batch's own rows begin inside a page, that page of positions is two blocks */
    int64_t cells;            /* the first of its cells: one for each of [query heads of the KV head][rows of the sequence] */
    int parts;                /* in the first part of a sequence and KV head: how many follow one another, itself counted; else 0 */
} train_part;

typedef struct train_job {
    kernel_ctx *ctx;
    const op_attn_train *t;
    const float *dout;     /* backward: the op's arguments */
    float *dq, *dk, *dv;
    train_part *parts;
    int64_t n_parts, cells;
    char *cell_block;      /* a cell is, forward, a row of an attn_state; backward, dk floats: a part of the gradient of a query */
    char *workers;
    size_t worker_bytes;
} train_job;

/* Cuts the batch, lays out the scratch. */
void train_plan(train_job *j);
/* Makes p, whose sequence and KV head are set, a part of the blocks that have keys [begin, end), but for those that no row sees. */
void train_part_of_keys(const op_attn_args *a, train_part *p, int64_t begin, int64_t end);
/* The threads, or NULL where the work is not worth waking them. */
pool *train_pool(const train_job *j);

/* Keys [base, base + n) of a sequence. */
typedef struct train_keys {
    int64_t base;
    int n;
    bool own; /* the batch's, not the prefix's */
} train_keys;

/* A worker's memory, and where it is in its part. Panels are those of attn.h. */
typedef struct train_work {
    const train_job *j;
    const attn_table *k;
    const vec_table *v;
    const train_part *part;
    int group, dk, dv;           /* query heads of the KV head; sizes rounded up to whole panels */
    /* the group of blocks */
    int n_keys;
    int64_t chunk, next;         /* its chunk of positions; the block after it */
    bool own, coded, last_prefix; /* its kind; pages of codes; whether the part goes on with own rows or ends */
    train_keys keys[TRAIN_BLOCKS];
    float *keys_turned, *key_panels, *values_turned, *value_panels; /* [TRAIN_BLOCKS][KV_PAGE * dk | dv]; turned: a token a column */
    float *sum_k, *sum_v;        /* backward: [TRAIN_BLOCKS][KV_PAGE][dk | dv] */
    /* the tile: rows [row, row + rows) of the sequence, of one query head */
    int head, rows;
    int64_t row;
    float *q, *dout, *dq;        /* [TRAIN_ROWS][dk | dv] */
    float *q_panels, *dout_panels;
    float *s, *dp;               /* [TRAIN_ROWS][TRAIN_LD] */
    float mean[TRAIN_ROWS];      /* backward: of the gradients of a row's probabilities */
    int begin[TRAIN_ROWS], end[TRAIN_ROWS]; /* what each row sees of the block at hand */
} train_work;

size_t train_worker_bytes(int dk, int dv);
void train_work_open(train_work *w, const train_job *j, const train_part *part, int worker);
/* The next group of the part and its layouts; false after the last. */
bool train_next_group(train_work *w, bool backward);
/* The next tile of rows of query head `head` that see the group, from row `from` on; false when there is none. */
bool train_next_tile(train_work *w, int head, int64_t from);
/* Rotates and scales the tile's queries for the group: a score is q.k, in units of log 2 where there is no softcap. */
void train_queries(train_work *w);
/* The table that rotates row i of the tile for the group, NULL for none. */
const float *train_rotation(const train_work *w, int i);
/* What the tile's rows see of block b, into begin and end; false when it is not all of it for all rows. */
bool train_sees_all(train_work *w, int b);
/* Scores of the tile's rows [r, r_end) with keys [begin[r] rounded down to 16, end[r_end - 1]) of block b, softcapped, in units of log 2. */
void train_scores(train_work *w, int b, int r, int r_end);

/* Which cell has row i of the tile. */
static inline int64_t train_cell(const train_work *w, int i)
{
    return w->part->cells + (w->head - w->part->kv_head * w->group) * w->part->seq->count + w->row + i;
}

static inline int64_t train_aim_rows(const op_attn_train *t, const op_attn_aim *m) { return m->rows ? m->rows : t->a.seqs[m->seq].count - m->row; }
/* The mean of what an aim's rows pay, not 0. */
double train_aim_mass(const op_attn_train *t, const op_attn_aim *m);

#endif

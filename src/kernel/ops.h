/* Operations on tensors, over all threads: what model/ calls. Tensor data is never dereferenced above this line, so that
 * another device can stand behind the same calls.
 *
 * A kernel_ctx is one device as one engine uses it: a kernel table, a thread pool, scratch memory and the numerics mode. Ops
 * cannot fail: what they need is reserved beforehand (kernel_reserve). One ctx is used by one thread at a time.
 * Activations are float32 [rows][columns], row-major.
 */
#ifndef KERNEL_OPS_H
#define KERNEL_OPS_H

#include "kernel/kv_layout.h"
#include "kernel/rope.h"
#include "kernel/table.h"
#include "kernel/weight.h"
#include "parallel/pool.h"

typedef struct kernel_ctx kernel_ctx;

typedef struct kernel_options {
    kernel_level level; /* KERNEL_AUTO: the best */
    int threads;        /* 0: all */
    bool exact;         /* float32 everywhere: weights dequantised, activations not quantised */
} kernel_options;

CJ_NODISCARD cj_err kernel_open(kernel_ctx **out, const kernel_options *opt, cj_diag *d);
void kernel_close(kernel_ctx **ctx);
const kernel_table *kernel_table_of(const kernel_ctx *ctx);
pool *kernel_pool(const kernel_ctx *ctx);
int kernel_threads(const kernel_ctx *ctx);
bool kernel_exact(const kernel_ctx *ctx);

/* Largest sizes any op will be called with; grows what is there already. */
typedef struct kernel_limits {
    int64_t rows;      /* rows of a batch */
    int64_t cols;      /* widest input of a linear */
    int heads;         /* query heads */
    int dk, dv;        /* largest head sizes */
    int64_t channels;  /* columns of q, k and v of a delta layer */
    int64_t sparse_pages; /* pages of the longest sequence that op_attention_sparse is called with; 0: it is not */
    int64_t train_rows; /* rows of a batch of op_attention_train (attn_train.h); 0: nothing of training (train.h) is called */
} kernel_limits;
CJ_NODISCARD cj_err kernel_reserve(kernel_ctx *ctx, const kernel_limits *l, cj_diag *d);

/* Device memory: 64-byte aligned, zeroed. */
void *kernel_alloc(kernel_ctx *ctx, size_t bytes);
void kernel_free(kernel_ctx *ctx, void *block);
void kernel_upload(kernel_ctx *ctx, void *device, const void *host, size_t bytes);
void kernel_download(kernel_ctx *ctx, void *host, const void *device, size_t bytes);

/* y[rows][ldy] (=, or += when add) x[rows][ldx] . w^T (+ bias[w->rows]). All outputs of one call share x, which is prepared once.
 * A gated output has a second weight of the same shape: y = act(x . w^T + bias) * (x . up^T + up_bias). */
typedef struct op_linear_out {
    const kernel_weight *w;
    const float *bias; /* NULL: none */
    float *y;
    int64_t ldy;
    bool add;                /* not with a gate */
    const kernel_weight *up; /* NULL: no gate */
    const float *up_bias;
    vec_act act;
} op_linear_out;
void op_linear(kernel_ctx *ctx, const op_linear_out *outs, int n_outs, const float *x, int64_t ldx, int64_t rows);

/* y[rows][n] += scale * t[rows][rank] . b: the second product of a low-rank pair, by rising rank. b is [rank][n], F32 or BF16. */
typedef struct op_low_rank_part {
    float *y;
    int64_t ldy, n;
    const float *t;
    int64_t ldt;
    const void *b;
    quant_type type;
    int rank;
    float scale;
} op_low_rank_part;
void op_low_rank(kernel_ctx *ctx, const op_low_rank_part *parts, int n_parts, int64_t rows);

/* y[rows][w->cols] = row ids[r] of w, times scale. 0 <= ids[r] < w->rows. */
void op_embed(kernel_ctx *ctx, float *y, const kernel_weight *w, const int32_t *ids, int64_t rows, float scale);

/* Over rows of `cols`; y may be x. w is [cols]. */
void op_rms_norm(kernel_ctx *ctx, float *y, const float *x, const float *w, int64_t rows, int64_t cols, float eps);
void op_rms_norm_add(kernel_ctx *ctx, float *y, const float *x, const float *w, int64_t rows, int64_t cols, float eps);
void op_zero(kernel_ctx *ctx, float *x, int64_t n);
void op_softcap(kernel_ctx *ctx, float *x, float cap, int64_t n);
/* y[r] = log(sum(exp(x[r][cols]))) */
void op_log_sum_exp(kernel_ctx *ctx, float *y, const float *x, int64_t rows, int64_t cols);
/* Copies rows idx[r] of x to row r of y. */
void op_gather(kernel_ctx *ctx, float *y, const float *x, const int32_t *idx, int64_t rows, int64_t cols);
/* y[idx[r]] += weights[r] * x[r]; no index twice. */
void op_scatter_add(kernel_ctx *ctx, float *y, const float *x, const int32_t *idx, const float *weights, int64_t rows, int64_t cols);

/* y[n] = act(gate) * up; y may be one of them. */
void op_glu(kernel_ctx *ctx, float *y, const float *gate, const float *up, int64_t n, vec_act act);
/* x[n] = 1 / (1 + e^-x), of a few numbers. */
void op_sigmoid(kernel_ctx *ctx, float *x, int64_t n);

/* The `used` likeliest experts of every row by softmax of its router logits (overwritten), likeliest first. */
typedef struct moe_choice {
    int experts, used;
    bool normalise;   /* the weights of a row sum to `scale` */
    float scale;
    float *logits;    /* [rows][experts] */
    int32_t *idx;     /* [rows][used] */
    float *weights;   /* [rows][used] */
} moe_choice;
void op_moe_choose(kernel_ctx *ctx, const moe_choice *c, int64_t rows);

/* Fills near[rope_near(spec)][rows][dims] and far[dims] for rows at the given positions (computed in double). */
void op_rope_tables(kernel_ctx *ctx, const rope_spec *spec, const int64_t *positions, int64_t rows, float *near, float *far);
/* Rotates x[rows][heads][dim] by table near[0], as keys are. */
void op_rope_keys(kernel_ctx *ctx, float *x, int64_t rows, int heads, int dim, const rope_tables *t);

/* One sequence's part of a batch: rows [row, row + count) stand at positions pos, pos + 1, ... pages[p] holds the tokens
 * [p * KV_PAGE, ...) of this layer; entries that a window has left behind may be NULL. */
typedef struct attn_seq {
    int64_t row, count, pos;
    uint8_t *const *pages;
} attn_seq;

/* Writes k[rows][heads][dk] (rotated) and v[rows][heads][dv] of each sequence into its pages. Tokens of a group are written
 * one by one: nothing but the token's own bytes changes. */
void op_kv_store(kernel_ctx *ctx, const kv_layout *l, const attn_seq *seqs, int n_seqs, const float *k, const float *v);

typedef struct op_attn_args {
    const kv_layout *kv;
    int heads;               /* query heads, a multiple of kv->heads */
    float scale, softcap;    /* scores = q.k * scale, then softcap when > 0 */
    int64_t window;          /* a query sees keys j with i - window < j <= i; 0: all j <= i */
    const float *sinks;      /* [heads] logits of a key without a value, NULL: none */
    const rope_tables *rope; /* NULL: no positions */
    const float *q;          /* [rows][heads][dk], not rotated */
    float *out;              /* [rows][heads][dv] */
    const attn_seq *seqs;
    int n_seqs;
} op_attn_args;
/* Causal attention of every row over the keys of its sequence, its own included (store first). Exact running max/sum over
 * pages (Milakov & Gimelshein 2018); results do not depend on the number of threads. */
void op_attention(kernel_ctx *ctx, const op_attn_args *a);

/* Tokens that rows look at one by one, wherever they lie: row r of a batch at at[begin[r]] .. at[begin[r + 1] - 1], ascending. */
typedef struct op_repeats {
    const int64_t *begin; /* [rows + 1] */
    const int32_t *at;    /* none in the first page, none in a row's near pages */
} op_repeats;

/* What a row looks at token by token. */
typedef struct op_sparse {
    const uint8_t *summaries;  /* of the sequence's pages (summary.h), there for all pages before its rows' near ones */
    const uint8_t *groups;     /* and of the groups of these; NULL: none */
    int64_t open;              /* so many pages are weighed each by itself, or four times as many as are kept if that is more; where there are more, those of the groups that promise most */
    int64_t keep;              /* so many pages that promise most, of those far behind; < 0: none of these, nor their means, nor repeats (for comparison) */
    const uint8_t *times;      /* [heads] of a query head: so many times `keep`, 1 or more; NULL: 1 each */
    int64_t near;              /* and always so many up to the row's own, and the first */
    const op_repeats *repeats; /* NULL: none */
} op_sparse;
/* The same for one sequence, in fast mode: pages that are not looked at stand in as their means. Work per row: keep + near pages, the
 * repeats and a part in KV_PAGE of the rest. Exact where keep is as many as there are. */
void op_attention_sparse(kernel_ctx *ctx, const op_attn_args *a, const op_sparse *s);

/* Which pages the rows of one head look at token by token: 1 for these, 0 for those whose means stand in, or that are not looked at. */
typedef struct op_choice {
    int head;      /* query head */
    int64_t ld;    /* at least the pages of the sequence */
    uint8_t *kept; /* rows that stand in the n-th page of positions of the batch: page p at kept[n * ld + p], up to their own */
} op_choice;
/* What op_attention_sparse chooses for these rows, by the same arithmetic: for evaluation and measurement. */
void op_sparse_choice(kernel_ctx *ctx, const op_attn_args *a, const op_sparse *s, const op_choice *c);

/* One sequence's part of a batch of a delta layer: rows [row, row + count), the state before them and where the state after them goes. */
typedef struct delta_seq {
    int64_t row, count;
    const float *from; /* NULL: the rows are the sequence's first */
    float *to;         /* not `from` */
} delta_seq;

typedef struct op_delta_args {
    const delta_shape *shape;
    const delta_seq *seqs;
    int n_seqs;
    float *gates; /* [rows][2][heads]: betas, then decays */
} op_delta_args;
/* y[rows][channels] = silu of the convolution of x with w[taps][channels], each sequence's own; y is not x. Keeps its last inputs. */
void op_short_conv(kernel_ctx *ctx, const op_delta_args *a, const float *x, const float *w, float *y);
/* gates hold what the projections gave: beta = sigmoid of it, decay = e^(rate softplus(it + dt)); rate and dt are [heads]. */
void op_delta_gates(kernel_ctx *ctx, const op_delta_args *a, const float *rate, const float *dt, int64_t rows);
/* out[rows][heads][dv] from qkv[rows][channels], whose queries and keys are brought to unit length there. */
void op_delta_rule(kernel_ctx *ctx, const op_delta_args *a, float *qkv, float *out, int64_t rows);

/* Which attention is added up, and into what. */
typedef struct op_mass {
    int head;           /* query head */
    int64_t row0, rows; /* rows [row0, row0 + rows) of the first sequence */
    int64_t bin;        /* keys in a bin: a divisor or a multiple of KV_PAGE, at most OP_MASS_BIN_MAX; 1: each by itself */
    int64_t ld;         /* row r goes to mass + r * ld; 0: all rows into the same bins */
    float *mass;        /* [ceil((pos + count) / bin)] bins (for each row when ld is given), zeroed by the caller */
} op_mass;
enum { OP_MASS_BIN_MAX = 16 * KV_PAGE };
/* mass[j / bin] += the attention probability of key j, of a->seqs[0] only. For finding passages, not in the way of a forward pass. */
CJ_NODISCARD cj_err op_attention_mass(kernel_ctx *ctx, const op_attn_args *a, const op_mass *m, cj_diag *d);

#endif

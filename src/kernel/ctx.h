/* The inside of kernel_ctx, for the op_*.c files of this room. */
#ifndef KERNEL_CTX_H
#define KERNEL_CTX_H

#include "base/mem.h"
#include "kernel/ops.h"

typedef struct kernel_scratch {
    void *block;
    size_t bytes;
} kernel_scratch;

struct kernel_ctx {
    kernel_table table;
    pool *pool;
    bool exact;
    kernel_limits limits;
    kernel_scratch linear; /* shared and per-thread memory of op_linear (op_linear.c) */
    kernel_scratch attn;   /* of op_attention (op_attn.c) */
    kernel_scratch delta;  /* zeros, as many as a delta layer has channels */
    kernel_scratch sparse; /* of op_attention_sparse (op_attn_sparse.c) */
    kernel_scratch train;  /* of op_attention_train and its backward pass (attn_train_work.c) */
    kernel_scratch matmul; /* of op_matmul and op_linear_back (op_matmul.c) */
};

/* Makes s hold at least `bytes`; contents are lost when it grows. */
CJ_NODISCARD cj_err kernel_scratch_reserve(kernel_scratch *s, size_t bytes, cj_diag *d);

/* Each op file says how much it needs for these limits; called by kernel_reserve. */
size_t op_linear_scratch(const kernel_ctx *ctx, const kernel_limits *l);
size_t op_attn_scratch(const kernel_ctx *ctx, const kernel_limits *l);
size_t op_matmul_scratch(const kernel_ctx *ctx, const kernel_limits *l);

struct op_matmul_args;
/* op_matmul, where it is one for the level's gemm_narrow; else false, and nothing has happened. */
bool op_matmul_narrow(kernel_ctx *ctx, const struct op_matmul_args *p);
size_t op_attn_train_scratch(const kernel_ctx *ctx, const kernel_limits *l);
size_t op_attn_sparse_scratch(const kernel_ctx *ctx, const kernel_limits *l);

/* Runs fn over `rows` rows in slices: on this thread when the work (rows * cols elements) is small. fn gets [begin, end). */
typedef void (*kernel_rows_fn)(void *arg, int64_t begin, int64_t end);
void kernel_rows_run(kernel_ctx *ctx, kernel_rows_fn fn, void *arg, int64_t rows, int64_t cols);

#endif

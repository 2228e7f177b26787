/* kernel_ctx: opening, limits, scratch, device memory (here: the host's). */
#include "kernel/ctx.h"

#include <string.h>

#include "base/mem.h"

cj_err kernel_open(kernel_ctx **out, const kernel_options *opt, cj_diag *d)
{
    const cpu_info *cpu = cpu_get();
    kernel_level level = opt->level == KERNEL_AUTO ? kernel_level_best(cpu) : opt->level;
    if (!kernel_level_runs(level, cpu))
        return diag_fail(d, CJ_E_UNSUPPORTED, MSG_LEVEL_MISSING, "%s" ARG "%s", kernel_level_name(level),
                         kernel_level_name(kernel_level_best(cpu)));
    kernel_ctx *ctx = mem_zalloc(sizeof *ctx);
    if (!ctx) return diag_nomem(d, sizeof *ctx);
    cj_err e = pool_open(&ctx->pool, opt->threads, d);
    if (e) {
        mem_free(ctx);
        return e;
    }
    ctx->exact = opt->exact;
    kernel_table_fill(&ctx->table, level, cpu);
    *out = ctx;
    return CJ_OK;
}

void kernel_close(kernel_ctx **pctx)
{
    kernel_ctx *ctx = *pctx;
    if (!ctx) return;
    pool_close(&ctx->pool);
    mem_free(ctx->linear.block);
    mem_free(ctx->attn.block);
    mem_free(ctx->delta.block);
    mem_free(ctx->sparse.block);
    mem_free(ctx->train.block);
    mem_free(ctx->matmul.block);
    mem_free(ctx);
    *pctx = NULL;
}

const kernel_table *kernel_table_of(const kernel_ctx *ctx) { return &ctx->table; }
pool *kernel_pool(const kernel_ctx *ctx) { return ctx->pool; }
int kernel_threads(const kernel_ctx *ctx) { return pool_threads(ctx->pool); }
bool kernel_exact(const kernel_ctx *ctx) { return ctx->exact; }

cj_err kernel_scratch_reserve(kernel_scratch *s, size_t bytes, cj_diag *d)
{
    if (bytes <= s->bytes) return CJ_OK;
    void *block = mem_alloc(bytes);
    if (!block) return diag_nomem(d, bytes);
    mem_free(s->block);
    *s = (kernel_scratch){block, bytes};
    return CJ_OK;
}

cj_err kernel_reserve(kernel_ctx *ctx, const kernel_limits *l, cj_diag *d)
{
    kernel_limits *have = &ctx->limits;
    kernel_limits want = {
        .rows = i64_max(have->rows, l->rows), .cols = i64_max(have->cols, l->cols),
        .heads = (int)i64_max(have->heads, l->heads), .dk = (int)i64_max(have->dk, l->dk), .dv = (int)i64_max(have->dv, l->dv),
        .channels = i64_max(have->channels, l->channels),
        .sparse_pages = i64_max(have->sparse_pages, l->sparse_pages),
        .train_rows = i64_max(have->train_rows, l->train_rows),
    };
    TRY(kernel_scratch_reserve(&ctx->linear, op_linear_scratch(ctx, &want), d));
    TRY(kernel_scratch_reserve(&ctx->attn, op_attn_scratch(ctx, &want), d));
    TRY(kernel_scratch_reserve(&ctx->delta, (size_t)want.channels * sizeof(float), d));
    if (want.channels) memset(ctx->delta.block, 0, ctx->delta.bytes);
    TRY(kernel_scratch_reserve(&ctx->sparse, op_attn_sparse_scratch(ctx, &want), d));
    TRY(kernel_scratch_reserve(&ctx->train, op_attn_train_scratch(ctx, &want), d));
    TRY(kernel_scratch_reserve(&ctx->matmul, op_matmul_scratch(ctx, &want), d));
    *have = want;
    return CJ_OK;
}

void *kernel_alloc(kernel_ctx *ctx, size_t bytes) { return mem_zalloc(bytes); }
void kernel_free(kernel_ctx *ctx, void *block) { mem_free(block); }
void kernel_upload(kernel_ctx *ctx, void *device, const void *host, size_t bytes) { memcpy(device, host, bytes); }
void kernel_download(kernel_ctx *ctx, void *host, const void *device, size_t bytes) { memcpy(host, device, bytes); }

typedef struct rows_job {
    kernel_rows_fn fn;
    void *arg;
    int64_t rows, slice;
} rows_job;

static void rows_item(void *arg, int64_t item, int worker)
{
    rows_job *j = arg;
    j->fn(j->arg, item * j->slice, i64_min(j->rows, (item + 1) * j->slice));
}

void kernel_rows_run(kernel_ctx *ctx, kernel_rows_fn fn, void *arg, int64_t rows, int64_t cols)
{
    enum { WORTH_A_FORK = 16384 }; /* elements: below, waking the others costs more than the work */
    if (rows == 1 || rows * cols < WORTH_A_FORK) {
        fn(arg, 0, rows);
        return;
    }
    rows_job j = {fn, arg, rows, i64_ceil_div(rows, 4 * (int64_t)kernel_threads(ctx))};
    pool_run(ctx->pool, rows_item, &j, i64_ceil_div(rows, j.slice));
}

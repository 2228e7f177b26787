/* Attention over all threads. */
#include <math.h>

#include "base/mem.h"
#include "kernel/ctx.h"

size_t op_attn_scratch(const kernel_ctx *ctx, const kernel_limits *l)
{
    return (size_t)kernel_threads(ctx) * (size_t)(2 * l->dk + l->dv) * sizeof(float);
}

void op_kv_store(kernel_ctx *ctx, const kv_layout *l, const attn_seq *seqs, int n_seqs, const float *k, const float *v)
{
    for (int s = 0; s < n_seqs; s++)
        for (int64_t i = 0; i < seqs[s].count; i++)
            for (int h = 0; h < l->heads; h++) {
                int64_t row = (seqs[s].row + i) * l->heads + h, pos = seqs[s].pos + i;
                uint8_t *head = seqs[s].pages[pos / KV_PAGE] + (size_t)h * kv_head_bytes(l);
                ctx->table.attn.store(l, head, (int)(pos % KV_PAGE), k + row * l->dk, v + row * l->dv);
            }
}

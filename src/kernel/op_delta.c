/* The gated delta rule and its short convolution over all threads. See delta.h. */
#include <math.h>
#include <string.h>

#include "kernel/ctx.h"

/* ---- the short convolution ---- */

typedef struct conv_job {
    const delta_table *t;
    const op_delta_args *a;
    const float *x, *w, *tail; /* x: the sequence's first row; tail NULL: zeros */
    const float *zeros;
    float *y;
    int64_t channels;
} conv_job;

/* Row r of the inputs, of those before the chunk when r is negative. */
static const float *input(const conv_job *j, int64_t r)
{
    if (r >= 0) return j->x + r * j->channels;
    return j->tail ? j->tail + (r + j->a->shape->taps - 1) * j->channels : j->zeros;
}

static void conv_rows(void *arg, int64_t begin, int64_t end)
{
    const conv_job *j = arg;
    const int taps = j->a->shape->taps;
    const float *x[DELTA_TAPS_MAX];
    for (int64_t r = begin; r < end; r++) {
        for (int t = 0; t < taps; t++) x[t] = input(j, r - taps + 1 + t);
        j->t->conv(j->y + r * j->channels, x, j->w, taps, j->channels);
    }
}

static float *tail_of(const delta_shape *s, float *state) { return state + delta_states_floats(s); }

void op_short_conv(kernel_ctx *ctx, const op_delta_args *a, const float *x, const float *w, float *y)
{
    const delta_shape *s = a->shape;
    const int64_t channels = delta_channels(s), kept = s->taps - 1;
    for (int i = 0; i < a->n_seqs; i++) {
        const delta_seq *q = &a->seqs[i];
        conv_job j = {.t = &ctx->table.delta, .a = a, .x = x + q->row * channels, .w = w, .y = y + q->row * channels, .channels = channels,
                      .tail = q->from ? tail_of(s, (float *)(uintptr_t)q->from) : NULL, .zeros = ctx->delta.block};
        kernel_rows_run(ctx, conv_rows, &j, q->count, channels * s->taps);
        for (int64_t t = 0; t < kept; t++) memcpy(tail_of(s, q->to) + t * channels, input(&j, q->count - kept + t), (size_t)channels * sizeof *x);
    }
}

/* ---- gates ---- */

typedef struct gates_job {
    const op_delta_args *a;
    const float *rate, *dt;
} gates_job;

/* log(1 + e^x) */
static float softplus(float x) { return x > 20 ? x : log1pf(expf(x)); }

static void gate_rows(void *arg, int64_t begin, int64_t end)
{
    const gates_job *j = arg;
    const int heads = j->a->shape->heads;
    for (int64_t r = begin; r < end; r++) {
        float *beta = j->a->gates + r * 2 * heads, *decay = beta + heads;
        for (int h = 0; h < heads; h++) {
            beta[h] = 1.0f / (1.0f + expf(-beta[h]));
            decay[h] = expf(j->rate[h] * softplus(decay[h] + j->dt[h]));
        }
    }
}

void op_delta_gates(kernel_ctx *ctx, const op_delta_args *a, const float *rate, const float *dt, int64_t rows)
{
    kernel_rows_run(ctx, gate_rows, &(gates_job){a, rate, dt}, rows, 64 * a->shape->heads); /* a head costs like 64 sums */
}

/* ---- the rule ---- */

typedef struct rule_job {
    const delta_table *t;
    const vec_table *vec;
    const op_delta_args *a;
    float *qkv;
    float *out;
} rule_job;

static void unit_rows(void *arg, int64_t begin, int64_t end)
{
    const rule_job *j = arg;
    const delta_shape *s = j->a->shape;
    const float n = (float)s->dk;
    for (int64_t r = begin; r < end; r++)
        for (int h = 0; h < 2 * s->key_heads; h++) {
            float *x = j->qkv + r * delta_channels(s) + h * s->dk;
            j->vec->rms_norm(x, x, NULL, s->dk, 1e-6f / n);                     /* of length sqrt(n) */
            j->vec->scale(x, h < s->key_heads ? 1 / n : 1 / sqrtf(n), s->dk); /* queries are divided by sqrt(n) once more */
        }
}

static void rule_item(void *arg, int64_t item, int worker)
{
    const rule_job *j = arg;
    const delta_shape *s = j->a->shape;
    const int blocks = delta_blocks(s), h = (int)(item / blocks % s->heads), column = (int)(item % blocks) * DELTA_BLOCK;
    const delta_seq *q = &j->a->seqs[item / blocks / s->heads];
    const int key = s->tiled ? h % s->key_heads : h / (s->heads / s->key_heads);
    const size_t at = (size_t)(item % ((int64_t)blocks * s->heads)) * delta_block_floats(s), bytes = delta_block_floats(s) * sizeof(float);
    const int64_t channels = delta_channels(s);
    const float *row = j->qkv + q->row * channels, *gates = j->a->gates + q->row * 2 * s->heads;
    if (q->from) memcpy(q->to + at, q->from + at, bytes);
    else memset(q->to + at, 0, bytes);
    j->t->steps(q->to + at, &(delta_part){
        .dk = s->dk, .columns = (int)i64_min(DELTA_BLOCK, s->dv - column), .rows = q->count, .ld_qkv = channels, .ld_out = (int64_t)s->heads * s->dv,
        .ld_gate = 2 * s->heads, .q = row + key * s->dk, .k = row + (s->key_heads + key) * s->dk,
        .v = row + 2 * s->key_heads * s->dk + h * s->dv + column, .beta = gates + h, .decay = gates + s->heads + h,
        .out = j->out + (q->row * s->heads + h) * s->dv + column});
}

void op_delta_rule(kernel_ctx *ctx, const op_delta_args *a, float *qkv, float *out, int64_t rows)
{
    const delta_shape *s = a->shape;
    rule_job j = {&ctx->table.delta, &ctx->table.vec, a, qkv, out};
    kernel_rows_run(ctx, unit_rows, &j, rows, 2 * (int64_t)s->key_heads * s->dk);
    pool_run(ctx->pool, rule_item, &j, (int64_t)a->n_seqs * s->heads * delta_blocks(s));
}

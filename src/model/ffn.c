/* Feed-forward halves of a layer: dense, and mixture of experts. */
#include <string.h>

#include "base/mem.h"
#include "model/job.h"

typedef struct gated {
    const kernel_weight *gate, *up, *down;
    const float *gate_bias, *up_bias, *down_bias;
    int64_t width;
    vec_act act;
} gated;

/* job->gate = act(gate x) * up x */
static void run_gate(model_job *job, const gated *f, const float *x, int64_t rows)
{
    const op_linear_out in = {.w = f->gate, .bias = f->gate_bias, .y = job->gate, .ldy = f->width,
                              .up = f->up, .up_bias = f->up_bias, .act = f->act};
    op_linear(job->ctx, &in, 1, x, job->spec->hidden, rows);
}

static void run_gated(model_job *job, const gated *f, const float *x, int64_t rows, float *y, bool add)
{
    run_gate(job, f, x, rows);
    op_linear(job->ctx, &(op_linear_out){.w = f->down, .bias = f->down_bias, .y = y, .ldy = job->spec->hidden, .add = add}, 1, job->gate,
              f->width, rows);
}

/* What an adapter adds to gate and up comes before they are one: they are written out. */
static void open_gate(model_job *job, const dense_spec *f, int layer, const row_set *set, const float *norm)
{
    adapted low = {.set = set, .layer = layer, .side = LOW_GATED, .n = 2, .x = norm, .y = {job->gate, job->up}};
    op_linear_out outs[] = {
        {.w = &f->gate.w, .bias = f->gate.bias, .y = job->gate, .ldy = f->width}, {.w = &f->up.w, .bias = f->up.bias, .y = job->up, .ldy = f->width}, {0}};
    op_linear(job->ctx, outs, 2 + adapted_join(job, &low, &outs[2]), norm, job->spec->hidden, set->rows);
    adapted_add(job, &low);
    op_glu(job->ctx, job->gate, job->gate, job->up, set->rows * f->width, f->act);
}

void ffn_dense(model_job *job, const dense_spec *f, int layer, const row_set *set, const float *norm, float *y, bool add)
{
    adapted low = {.set = set, .layer = layer, .side = LOW_DOWN, .n = 1, .x = job->gate, .y = {y}};
    const gated plain = {.gate = &f->gate.w, .up = &f->up.w, .gate_bias = f->gate.bias, .up_bias = f->up.bias, .width = f->width, .act = f->act};
    op_linear_out outs[] = {{.w = &f->down.w, .bias = f->down.bias, .y = y, .ldy = job->spec->hidden, .add = add}, {0}};
    if (adapted_here(set, layer, LOW_GATED)) open_gate(job, f, layer, set, norm);
    else run_gate(job, &plain, norm, set->rows);
    op_linear(job->ctx, outs, 1 + adapted_join(job, &low, &outs[1]), job->gate, f->width, set->rows);
    adapted_add(job, &low);
}

/* ---- mixture of experts ---- */

struct moe_room {
    float *logits, *weights; /* [max_rows][experts], [max_rows][used] */
    int32_t *idx;            /* [max_rows][used] */
    float *in, *out;         /* [max_rows][hidden]: an expert's rows, and what it makes of them */
    int32_t *rows;           /* [max_rows] which rows an expert got, and with what weight */
    float *row_weights;
};

cj_err moe_room_open(model_job *job, cj_diag *d)
{
    int64_t experts = 0, used = 0, n = job->max_rows, h = job->spec->hidden;
    for (int i = 0; i < job->spec->n_layers; i++)
        if (job->spec->layers[i].ffn == FFN_MOE) {
            experts = i64_max(experts, job->spec->layers[i].moe.experts);
            used = i64_max(used, job->spec->layers[i].moe.used);
        }
    if (!experts) return CJ_OK;
    struct moe_room *r = job->moe = mem_zalloc(sizeof *r);
    if (!r) return diag_nomem(d, sizeof *r);
    r->logits = kernel_alloc(job->ctx, (size_t)(n * experts) * sizeof(float));
    r->weights = kernel_alloc(job->ctx, (size_t)(n * used) * sizeof(float));
    r->idx = kernel_alloc(job->ctx, (size_t)(n * used) * sizeof(int32_t));
    r->in = kernel_alloc(job->ctx, (size_t)(n * h) * sizeof(float));
    r->out = kernel_alloc(job->ctx, (size_t)(n * h) * sizeof(float));
    r->rows = kernel_alloc(job->ctx, (size_t)n * sizeof(int32_t));
    r->row_weights = kernel_alloc(job->ctx, (size_t)n * sizeof(float));
    bool whole = r->logits && r->weights && r->idx && r->in && r->out && r->rows && r->row_weights;
    return whole ? CJ_OK : diag_nomem(d, (size_t)(n * (experts + 2 * h)) * sizeof(float));
}

void moe_room_close(model_job *job)
{
    struct moe_room *r = job->moe;
    if (!r) return;
    void *blocks[] = {r->logits, r->weights, r->idx, r->in, r->out, r->rows, r->row_weights};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) kernel_free(job->ctx, blocks[i]);
    mem_free(r);
    job->moe = NULL;
}

/* Rows that chose expert e, with their weights; returns how many. */
static int64_t rows_of_expert(struct moe_room *r, const moe_spec *f, int e, int64_t rows)
{
    int64_t n = 0;
    for (int64_t i = 0; i < rows * f->used; i++) {
        if (r->idx[i] != e) continue;
        r->rows[n] = (int32_t)(i / f->used);
        r->row_weights[n++] = r->weights[i];
    }
    return n;
}

/* y += what the shared expert makes of every row, times its gate. */
static void add_shared(model_job *job, const moe_spec *f, const float *norm, int64_t rows, float *y)
{
    struct moe_room *r = job->moe;
    const dense_spec *s = &f->shared;
    const gated shared = {&s->gate.w, &s->up.w, &s->down.w, s->gate.bias, s->up.bias, s->down.bias, s->width, s->act};
    const int64_t h = job->spec->hidden;
    op_linear(job->ctx, &(op_linear_out){.w = &f->shared_gate.w, .bias = f->shared_gate.bias, .y = r->row_weights, .ldy = 1}, 1, norm, h, rows);
    op_sigmoid(job->ctx, r->row_weights, rows);
    run_gated(job, &shared, norm, rows, r->out, false);
    for (int64_t i = 0; i < rows; i++) r->rows[i] = (int32_t)i;
    op_scatter_add(job->ctx, y, r->out, r->rows, r->row_weights, rows, h);
}

void ffn_moe(model_job *job, const moe_spec *f, const float *norm, int64_t rows, float *y, bool add)
{
    struct moe_room *r = job->moe;
    int64_t h = job->spec->hidden;
    op_linear(job->ctx, &(op_linear_out){.w = &f->router.w, .bias = f->router.bias, .y = r->logits, .ldy = f->experts}, 1, norm, h, rows);
    op_moe_choose(job->ctx, &(moe_choice){f->experts, f->used, f->normalise, f->scale, r->logits, r->idx, r->weights}, rows);
    if (!add) op_zero(job->ctx, y, rows * h);
    if (f->shared.width) add_shared(job, f, norm, rows, y);
    for (int e = 0; e < f->experts; e++) {
        int64_t n = rows_of_expert(r, f, e, rows);
        if (!n) continue;
        op_gather(job->ctx, r->in, norm, r->rows, n, h);
        run_gated(job, &(gated){.gate = &f->gate[e], .up = &f->up[e], .down = &f->down[e], .width = f->width, .act = f->act}, r->in, n,
                  r->out, false);
        op_scatter_add(job->ctx, y, r->out, r->rows, r->row_weights, n, h);
    }
}

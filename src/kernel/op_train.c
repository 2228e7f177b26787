/* Gradients of row operations, the loss and the optimiser's step, over all threads.
 *
 * Work is cut by the shape alone: rows where they are independent of each other, stretches of SLICE elements, or, where rows are summed,
 * strips of columns that each take all rows in order. So no sum depends on which thread takes what.
 */
#include <math.h>
#include <string.h>

#include "kernel/ctx.h"
#include "kernel/train.h"

enum {
    SLICE = 4096,     /* elements of an element-wise operation at a time */
    STRIP = 64,       /* columns of a sum over rows */
    NORM_ROWS = 2048, /* rows of a norm whose factors are at hand */
};

typedef struct train_job {
    const vec_table *vec;
    const train_table *t;
    float *y, *y2;
    const float *x, *x2, *x3;
    int64_t rows, cols, ld;
    float f;
    bool add;
    vec_act act;
} train_job;

static train_job job_of(const kernel_ctx *ctx) { return (train_job){.vec = &ctx->table.vec, .t = &ctx->table.train}; }

static void run_slices(kernel_ctx *ctx, kernel_rows_fn fn, void *job, int64_t n) { kernel_rows_run(ctx, fn, job, i64_ceil_div(n, SLICE), SLICE); }

/* Where slices [begin, end) of n elements begin, and how many elements they have. */
static int64_t stretch(int64_t begin, int64_t end, int64_t n, int64_t *from)
{
    *from = begin * SLICE;
    return i64_min(end * SLICE, n) - *from;
}

/* ---- sums over rows ---- */

static void run_strips(kernel_ctx *ctx, kernel_rows_fn fn, train_job *j) { kernel_rows_run(ctx, fn, j, i64_ceil_div(j->cols, STRIP), j->rows * STRIP); }

static int64_t strip_cols(const train_job *j, int64_t strip) { return i64_min(STRIP, j->cols - strip * STRIP); }

static void bias_strips(void *arg, int64_t begin, int64_t end)
{
    const train_job *j = arg;
    for (int64_t s = begin; s < end; s++)
        for (int64_t r = 0; r < j->rows; r++) j->vec->add(j->y + s * STRIP, j->x + r * j->ld + s * STRIP, strip_cols(j, s));
}

void op_bias_back(kernel_ctx *ctx, float *db, const float *dy, int64_t ldy, int64_t rows, int64_t cols)
{
    train_job j = job_of(ctx);
    j.y = db, j.x = dy, j.ld = ldy, j.rows = rows, j.cols = cols;
    run_strips(ctx, bias_strips, &j);
}

typedef struct embed_job {
    train_job job;
    const int32_t *ids;
} embed_job;

static void embed_strips(void *arg, int64_t begin, int64_t end)
{
    const embed_job *e = arg;
    const train_job *j = &e->job;
    for (int64_t s = begin; s < end; s++)
        for (int64_t r = 0; r < j->rows; r++)
            j->vec->axpy(j->y + e->ids[r] * j->cols + s * STRIP, j->x + r * j->cols + s * STRIP, j->f, strip_cols(j, s));
}

void op_embed_back(kernel_ctx *ctx, float *dw, const int32_t *ids, const float *dy, int64_t rows, int64_t cols, float scale)
{
    embed_job e = {.job = job_of(ctx), .ids = ids};
    e.job.y = dw, e.job.x = dy, e.job.rows = rows, e.job.cols = cols, e.job.f = scale;
    kernel_rows_run(ctx, embed_strips, &e, i64_ceil_div(cols, STRIP), rows * STRIP);
}

/* ---- norms ---- */

typedef struct norm_job {
    train_job job;
    float factors[NORM_ROWS];
} norm_job;

static void factor_rows(void *arg, int64_t begin, int64_t end)
{
    norm_job *n = arg;
    const train_job *j = &n->job;
    for (int64_t r = begin; r < end; r++) n->factors[r] = j->t->rms_factor(j->x2 + r * j->cols, j->cols, j->f);
}

static void norm_dw_strips(void *arg, int64_t begin, int64_t end)
{
    const norm_job *n = arg;
    const train_job *j = &n->job;
    for (int64_t s = begin; s < end; s++)
        j->t->rms_norm_dw(j->y2 + s * STRIP, j->x + s * STRIP, j->x2 + s * STRIP, n->factors, j->rows, j->cols, strip_cols(j, s));
}

static void norm_dx_rows(void *arg, int64_t begin, int64_t end)
{
    const norm_job *n = arg;
    const train_job *j = &n->job;
    for (int64_t r = begin; r < end; r++)
        j->t->rms_norm_back(j->y + r * j->cols, j->x + r * j->cols, j->x2 + r * j->cols, j->x3, j->cols, j->f, j->add);
}

void op_rms_norm_back(kernel_ctx *ctx, float *dx, const float *dy, const float *x, const float *w, float *dw, int64_t rows, int64_t cols,
                      float eps, bool add)
{
    norm_job n = {.job = job_of(ctx)};
    train_job *j = &n.job;
    j->x3 = w, j->y2 = dw, j->cols = cols, j->f = eps, j->add = add;
    for (int64_t r = 0; r < rows; r += NORM_ROWS) {
        j->rows = i64_min(NORM_ROWS, rows - r);
        j->y = dx + r * cols, j->x = dy + r * cols, j->x2 = x + r * cols;
        if (dw) { /* before dx, which may overwrite dy */
            kernel_rows_run(ctx, factor_rows, &n, j->rows, cols);
            run_strips(ctx, norm_dw_strips, j);
        }
        kernel_rows_run(ctx, norm_dx_rows, &n, j->rows, cols);
    }
}

/* ---- element by element ---- */

static void glu_slices(void *arg, int64_t begin, int64_t end)
{
    const train_job *j = arg;
    int64_t at, n = stretch(begin, end, j->cols, &at);
    j->t->glu_back(j->y + at, j->y2 + at, j->x + at, j->x2 + at, j->x3 + at, n, j->act);
}

void op_glu_back(kernel_ctx *ctx, float *dgate, float *dup, const float *dy, const float *gate, const float *up, int64_t n, vec_act act)
{
    train_job j = job_of(ctx);
    j.y = dgate, j.y2 = dup, j.x = dy, j.x2 = gate, j.x3 = up, j.cols = n, j.act = act;
    run_slices(ctx, glu_slices, &j, n);
}

static void softcap_slices(void *arg, int64_t begin, int64_t end)
{
    const train_job *j = arg;
    int64_t at, n = stretch(begin, end, j->cols, &at);
    j->t->softcap_back(j->y + at, j->x + at, j->f, n);
}

void op_softcap_back(kernel_ctx *ctx, float *dx, const float *y, float cap, int64_t n)
{
    train_job j = job_of(ctx);
    j.y = dx, j.x = y, j.f = cap, j.cols = n;
    run_slices(ctx, softcap_slices, &j, n);
}

static void axpy_slices(void *arg, int64_t begin, int64_t end)
{
    const train_job *j = arg;
    int64_t at, n = stretch(begin, end, j->cols, &at);
    j->vec->axpy(j->y + at, j->x + at, j->f, n);
}

void op_axpy(kernel_ctx *ctx, float *y, const float *x, float by, int64_t n)
{
    train_job j = job_of(ctx);
    j.y = y, j.x = x, j.f = by, j.cols = n;
    run_slices(ctx, axpy_slices, &j, n);
}

static void scale_slices(void *arg, int64_t begin, int64_t end)
{
    const train_job *j = arg;
    int64_t at, n = stretch(begin, end, j->cols, &at);
    j->vec->scale(j->y + at, j->f, n);
}

void op_scale(kernel_ctx *ctx, float *x, float by, int64_t n)
{
    train_job j = job_of(ctx);
    j.y = x, j.f = by, j.cols = n;
    run_slices(ctx, scale_slices, &j, n);
}

/* ---- positions ---- */

typedef struct turn_job {
    const vec_table *vec;
    float *x;
    const rope_tables *tables;
    int heads, dim;
} turn_job;

static void turn_rows(void *arg, int64_t begin, int64_t end)
{
    const turn_job *j = arg;
    const rope_spec *s = j->tables->spec;
    float back[ROPE_DIMS_MAX]; /* by the opposite angle */
    for (int64_t r = begin; r < end; r++) {
        const float *table = rope_row(j->tables, r, 0);
        for (int i = 0; i < s->dims; i += 2) back[i] = table[i], back[i + 1] = -table[i + 1];
        for (int h = 0; h < j->heads; h++) j->vec->rope(j->x + (r * j->heads + h) * j->dim, back, s->dims, s->interleaved);
    }
}

void op_rope_keys_back(kernel_ctx *ctx, float *x, int64_t rows, int heads, int dim, const rope_tables *t)
{
    turn_job j = {.vec = &ctx->table.vec, .x = x, .tables = t, .heads = heads, .dim = dim};
    kernel_rows_run(ctx, turn_rows, &j, rows, (int64_t)heads * dim);
}

/* ---- the loss ---- */

typedef struct loss_job {
    const vec_table *vec;
    float *logits, *loss;
    const int32_t *targets;
    const float *weights;
    int64_t vocab;
} loss_job;

/* e^(x - its own maximum) for each of at most PARTS parts of the row, which are then brought to one maximum and sum: two walks, and a sum
 * in double over the parts. */
static void loss_row(const loss_job *j, float *x, int64_t r)
{
    enum { PARTS = 256 };
    float peak[PARTS], top = -INFINITY;
    double sum = 0, total[PARTS];
    const int64_t len = i64_max(SLICE, i64_ceil_div(j->vocab, PARTS)), parts = i64_ceil_div(j->vocab, len);
    const int32_t target = j->targets[r];
    const double score = x[target], weight = j->weights ? (double)j->weights[r] : 1;
    for (int64_t p = 0; p < parts; p++) {
        total[p] = j->vec->softmax_part(x + p * len, i64_min(len, j->vocab - p * len), &peak[p]);
        if (peak[p] > top) top = peak[p];
    }
    for (int64_t p = 0; p < parts; p++) sum += peak[p] == -INFINITY ? 0 : total[p] * exp((double)peak[p] - top);
    for (int64_t p = 0; p < parts; p++)
        j->vec->scale(x + p * len, peak[p] == -INFINITY ? 0 : (float)(weight * exp((double)peak[p] - top) / sum), i64_min(len, j->vocab - p * len));
    x[target] -= (float)weight;
    j->loss[r] = (float)(top - score + log(sum));
}

static void loss_rows(void *arg, int64_t begin, int64_t end)
{
    const loss_job *j = arg;
    for (int64_t r = begin; r < end; r++) {
        float *x = j->logits + r * j->vocab;
        if (j->targets[r] >= 0) loss_row(j, x, r);
        else {
            memset(x, 0, (size_t)j->vocab * sizeof *x);
            j->loss[r] = 0;
        }
    }
}

void op_cross_entropy(kernel_ctx *ctx, float *logits, const int32_t *targets, const float *weights, float *loss, int64_t rows, int64_t vocab)
{
    loss_job j = {.vec = &ctx->table.vec, .logits = logits, .targets = targets, .weights = weights, .loss = loss, .vocab = vocab};
    kernel_rows_run(ctx, loss_rows, &j, rows, 4 * vocab); /* an exponential costs more than a sum */
}

/* ---- the optimiser ---- */

enum { SUM_PARTS = 64 };
typedef struct squares_job {
    const train_table *t;
    const float *x;
    int64_t n, part;
    double sums[SUM_PARTS];
} squares_job;

static void squares_parts(void *arg, int64_t begin, int64_t end)
{
    squares_job *j = arg;
    for (int64_t p = begin; p < end; p++) {
        double sum = 0;
        for (int64_t at = p * j->part, stop = i64_min(j->n, at + j->part); at < stop; at += SLICE)
            sum += (double)j->t->sum_squares(j->x + at, i64_min(SLICE, stop - at));
        j->sums[p] = sum;
    }
}

double op_sum_squares(kernel_ctx *ctx, const float *x, int64_t n)
{
    squares_job j = {.t = &ctx->table.train, .x = x, .n = n, .part = i64_ceil_div(i64_ceil_div(n, SLICE), SUM_PARTS) * SLICE};
    if (n == 0) return 0;
    int64_t parts = i64_ceil_div(n, j.part);
    kernel_rows_run(ctx, squares_parts, &j, parts, j.part);
    double sum = 0;
    for (int64_t p = 0; p < parts; p++) sum += j.sums[p];
    return sum;
}

typedef struct adamw_job {
    const train_table *t;
    float *w, *m, *v;
    const float *g;
    int64_t n;
    train_adamw a;
} adamw_job;

static void adamw_slices(void *arg, int64_t begin, int64_t end)
{
    const adamw_job *j = arg;
    int64_t at, n = stretch(begin, end, j->n, &at);
    j->t->adamw(j->w + at, j->g + at, j->m + at, j->v + at, n, &j->a);
}

void op_adamw(kernel_ctx *ctx, float *w, const float *g, float *m, float *v, int64_t n, const op_adamw_args *p)
{
    adamw_job j = {.t = &ctx->table.train, .w = w, .m = m, .v = v, .g = g, .n = n};
    j.a = (train_adamw){
        .grad_scale = (float)p->grad_scale,
        .keep_m = (float)p->beta1, .new_m = (float)(1 - p->beta1), .keep_v = (float)p->beta2, .new_v = (float)(1 - p->beta2),
        .keep_w = (float)(1 - p->lr * p->decay), .rate = (float)(p->lr / (1 - pow(p->beta1, (double)p->step))),
        .root = (float)(1 / sqrt(1 - pow(p->beta2, (double)p->step))), .eps = (float)p->eps,
    };
    run_slices(ctx, adamw_slices, &j, n);
}

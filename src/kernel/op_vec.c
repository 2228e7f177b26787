/* Row operations over all threads. */
#include <math.h>
#include <string.h>

#include "kernel/ctx.h"

typedef struct vec_job {
    const vec_table *t;
    float *y;
    const float *x, *x2;
    int64_t cols;
    float f;
    vec_act act;
} vec_job;

static void norm_rows(void *arg, int64_t begin, int64_t end)
{
    vec_job *j = arg;
    for (int64_t r = begin; r < end; r++) j->t->rms_norm(j->y + r * j->cols, j->x + r * j->cols, j->x2, j->cols, j->f);
}

static void norm_add_rows(void *arg, int64_t begin, int64_t end)
{
    vec_job *j = arg;
    for (int64_t r = begin; r < end; r++) j->t->rms_norm_add(j->y + r * j->cols, j->x + r * j->cols, j->x2, j->cols, j->f);
}

void op_rms_norm(kernel_ctx *ctx, float *y, const float *x, const float *w, int64_t rows, int64_t cols, float eps)
{
    vec_job j = {.t = &ctx->table.vec, .y = y, .x = x, .x2 = w, .cols = cols, .f = eps};
    kernel_rows_run(ctx, norm_rows, &j, rows, cols);
}

void op_rms_norm_add(kernel_ctx *ctx, float *y, const float *x, const float *w, int64_t rows, int64_t cols, float eps)
{
    vec_job j = {.t = &ctx->table.vec, .y = y, .x = x, .x2 = w, .cols = cols, .f = eps};
    kernel_rows_run(ctx, norm_add_rows, &j, rows, cols);
}

/* Element-wise operations are cut into rows of SLICE elements, the last one shorter. */
enum { SLICE = 4096 };

static int64_t slice_len(const vec_job *j, int64_t r) { return i64_min(SLICE, j->cols - r * SLICE); }

static void softcap_slices(void *arg, int64_t begin, int64_t end)
{
    vec_job *j = arg;
    for (int64_t r = begin; r < end; r++) j->t->softcap(j->y + r * SLICE, j->f, slice_len(j, r));
}

static void run_slices(kernel_ctx *ctx, kernel_rows_fn fn, vec_job *j)
{
    kernel_rows_run(ctx, fn, j, i64_ceil_div(j->cols, SLICE), SLICE);
}

void op_softcap(kernel_ctx *ctx, float *x, float cap, int64_t n)
{
    run_slices(ctx, softcap_slices, &(vec_job){.t = &ctx->table.vec, .y = x, .cols = n, .f = cap});
}

static void glu_slices(void *arg, int64_t begin, int64_t end)
{
    vec_job *j = arg;
    for (int64_t r = begin; r < end; r++) j->t->glu(j->y + r * SLICE, j->x + r * SLICE, j->x2 + r * SLICE, slice_len(j, r), j->act);
}

void op_glu(kernel_ctx *ctx, float *y, const float *gate, const float *up, int64_t n, vec_act act)
{
    run_slices(ctx, glu_slices, &(vec_job){.t = &ctx->table.vec, .y = y, .x = gate, .x2 = up, .cols = n, .act = act});
}

void op_sigmoid(kernel_ctx *ctx, float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) x[i] = 1.0f / (1.0f + expf(-x[i]));
}

/* Slice by slice, so that the sum of a long row is taken in double. */
static void log_sum_exp_rows(void *arg, int64_t begin, int64_t end)
{
    vec_job *j = arg;
    float part[SLICE], part_max;
    for (int64_t r = begin; r < end; r++) {
        double sum = 0;
        float max = -INFINITY;
        for (int64_t c = 0; c < j->cols; c += SLICE) {
            int64_t n = i64_min(SLICE, j->cols - c);
            memcpy(part, j->x + r * j->cols + c, (size_t)n * sizeof *part);
            double part_sum = j->t->softmax_part(part, n, &part_max);
            if (part_max == -INFINITY) continue;
            if (part_max > max) {
                sum = sum * exp((double)(max - part_max)) + part_sum;
                max = part_max;
            } else
                sum += part_sum * exp((double)(part_max - max));
        }
        j->y[r] = (float)(max + log(sum));
    }
}

void op_log_sum_exp(kernel_ctx *ctx, float *y, const float *x, int64_t rows, int64_t cols)
{
    kernel_rows_run(ctx, log_sum_exp_rows, &(vec_job){.t = &ctx->table.vec, .y = y, .x = x, .cols = cols}, rows, cols);
}

void op_zero(kernel_ctx *ctx, float *x, int64_t n) { memset(x, 0, (size_t)n * sizeof *x); }

void op_gather(kernel_ctx *ctx, float *y, const float *x, const int32_t *idx, int64_t rows, int64_t cols)
{
    for (int64_t r = 0; r < rows; r++) memcpy(y + r * cols, x + idx[r] * cols, (size_t)cols * sizeof *y);
}

/* ---- positions ---- */

typedef struct rope_job {
    const vec_table *t;
    const rope_spec *spec;
    const int64_t *positions;
    float *x;
    const rope_tables *tables;
    int64_t rows;
    int heads, dim;
} rope_job;

static void rope_fill(const rope_spec *s, int64_t position, float *row)
{
    for (int i = 0; i < s->dims / 2; i++) {
        double angle = (double)position * s->inv_freq[i];
        row[2 * i] = (float)(cos(angle) * s->magnitude);
        row[2 * i + 1] = (float)(sin(angle) * s->magnitude);
    }
}

static void rope_fill_rows(void *arg, int64_t begin, int64_t end)
{
    rope_job *j = arg;
    const rope_spec *s = j->spec;
    for (int64_t r = begin; r < end; r++)
        for (int64_t u = 0; u < rope_near(s); u++)
            rope_fill(s, i64_min(j->positions[r] % s->stride + u * s->stride, s->window - 1), j->x + (u * j->rows + r) * s->dims);
}

void op_rope_tables(kernel_ctx *ctx, const rope_spec *spec, const int64_t *positions, int64_t rows, float *near, float *far)
{
    rope_job j = {.spec = spec, .positions = positions, .x = near, .rows = rows};
    kernel_rows_run(ctx, rope_fill_rows, &j, rows, 64 * spec->dims); /* a sine costs like 64 sums */
    rope_fill(spec, spec->window - 1, far);
}

static void rope_key_rows(void *arg, int64_t begin, int64_t end)
{
    rope_job *j = arg;
    const rope_spec *s = j->tables->spec;
    for (int64_t r = begin; r < end; r++)
        for (int h = 0; h < j->heads; h++)
            j->t->rope(j->x + (r * j->heads + h) * j->dim, rope_row(j->tables, r, 0), s->dims, s->interleaved);
}

void op_rope_keys(kernel_ctx *ctx, float *x, int64_t rows, int heads, int dim, const rope_tables *t)
{
    rope_job j = {.t = &ctx->table.vec, .x = x, .tables = t, .heads = heads, .dim = dim};
    kernel_rows_run(ctx, rope_key_rows, &j, rows, (int64_t)heads * dim);
}

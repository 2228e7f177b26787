/* What adapters add to the products of the base, for the rows of a set that have one. */
#include "model/job.h"

/* Where all rows have one adapter, its first product is one more output of the base's call. */
static bool is_joined(const row_set *set) { return set->n_runs == 1 && set->runs[0].rows == set->rows; }

/* The first matrix of the call's targets as part of the side's; no rows: they have no pairs. */
static kernel_weight first_matrix(const low_rank *l, const adapted *p)
{
    const low_group *g = low_rank_group(l, p->layer, p->side);
    kernel_weight a = {0};
    int64_t begin = 0;
    if (!g) return a;
    a = (kernel_weight){.type = g->a.type, .cols = g->a.cols};
    for (int i = 0; i < p->first + p->n; i++) *(i < p->first ? &begin : &a.rows) += g->of[i].rank;
    a.data = (const char *)g->a.data + (size_t)begin * quant_row_bytes(a.type, a.cols);
    return a;
}

int adapted_join(model_job *job, adapted *p, op_linear_out *out)
{
    if (!is_joined(p->set)) return 0;
    p->a = first_matrix(p->set->runs[0].adapter, p);
    if (!p->a.rows) return 0;
    *out = (op_linear_out){.w = &p->a, .y = job->low, .ldy = p->a.rows};
    return 1;
}

static void add_run(model_job *job, const adapted *p, const low_run *run)
{
    const kernel_weight a = first_matrix(run->adapter, p);
    if (!a.rows) return;
    if (!is_joined(p->set))
        op_linear(job->ctx, &(op_linear_out){.w = &a, .y = job->low, .ldy = a.rows}, 1, p->x + run->row * a.cols, a.cols, run->rows);
    const low_group *g = low_rank_group(run->adapter, p->layer, p->side);
    const float *t = job->low;
    op_low_rank_part parts[LOW_TARGETS];
    int n = 0;
    for (int i = 0; i < p->n; i++) {
        const low_pair *of = &g->of[p->first + i];
        if (!of->rank) continue;
        parts[n++] = (op_low_rank_part){.y = p->y[i] + run->row * of->rows, .ldy = of->rows, .n = of->rows, .t = t, .ldt = a.rows, .b = of->b,
                                        .type = of->type, .rank = of->rank, .scale = run->adapter->scale};
        t += of->rank;
    }
    op_low_rank(job->ctx, parts, n, run->rows);
}

void adapted_add(model_job *job, const adapted *p)
{
    for (int i = 0; i < p->set->n_runs; i++) add_run(job, p, &p->set->runs[i]);
}

bool adapted_here(const row_set *set, int layer, low_side side)
{
    for (int i = 0; i < set->n_runs; i++)
        if (low_rank_group(set->runs[i].adapter, layer, side)) return true;
    return false;
}

/* ---- which rows ---- */

void adapted_take(row_set *set, const model_rows *r, int64_t count)
{
    const int64_t plain = i64_min(count, i64_max(0, r->plain - (r->count - count))), row = set->rows + plain;
    low_run *last = set->n_runs ? &set->runs[set->n_runs - 1] : NULL;
    if (!r->adapter || plain == count) return;
    if (last && last->adapter == r->adapter && last->row + last->rows == row) last->rows += count - plain;
    else set->runs[set->n_runs++] = (low_run){r->adapter, row, count - plain};
}

static cj_err grow(model_job *job, float **block, int64_t *has, int64_t cols, cj_diag *d)
{
    if (cols <= *has) return CJ_OK;
    const size_t bytes = (size_t)(job->max_rows * cols) * sizeof(float);
    float *more = kernel_alloc(job->ctx, bytes);
    if (!more) return diag_nomem(d, bytes);
    kernel_free(job->ctx, *block);
    *block = more;
    *has = cols;
    return CJ_OK;
}

cj_err adapted_reserve(model_job *job, const low_rank *l, cj_diag *d)
{
    int64_t width = 0;
    if (!l) return CJ_OK;
    for (int i = 0; l->gated && i < job->spec->n_layers; i++) width = i64_max(width, job->spec->layers[i].dense.width);
    TRY(grow(job, &job->low, &job->low_cols, l->width, d));
    return grow(job, &job->up, &job->up_cols, width, d);
}

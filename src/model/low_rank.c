/* Laying out an adapter for the forward pass. */
#include "model/low_rank.h"

#include <string.h>

#include "base/mem.h"

static const struct {
    int n;
    adapter_target of[LOW_TARGETS];
} sides[LOW_SIDES] = {{3, {ADAPTER_K, ADAPTER_V, ADAPTER_Q}}, {1, {ADAPTER_O}}, {2, {ADAPTER_GATE, ADAPTER_UP}}, {1, {ADAPTER_DOWN}}};

static void decode(const kernel_weight *w, float *out) { quant_info_get(w->type)->decode(w->data, out, w->rows * w->cols); }

static cj_err upload_floats(low_rank *l, void *to, const kernel_weight *w, cj_diag *d)
{
    const size_t n = (size_t)(w->rows * w->cols);
    float *plain = mem_array(n, sizeof *plain);
    if (!plain) return diag_nomem(d, n * sizeof *plain);
    decode(w, plain);
    kernel_upload(l->ctx, to, plain, n * sizeof *plain);
    mem_free(plain);
    return CJ_OK;
}

/* [rank][rows] of [rows][rank]; BF16 stays so, for it is read with every token. */
static cj_err turn(low_rank *l, low_pair *p, const kernel_weight *b, cj_diag *d)
{
    const size_t n = (size_t)(b->rows * b->cols), bytes = b->type == QUANT_BF16 ? sizeof(uint16_t) : sizeof(float);
    float *plain = mem_array(n, sizeof *plain);
    char *turned = mem_array(n, bytes);
    p->b = kernel_alloc(l->ctx, n * bytes);
    const bool room = plain && turned && p->b;
    if (room) {
        decode(b, plain);
        for (int64_t r = 0; r < b->rows; r++)
            for (int64_t k = 0; k < b->cols; k++) {
                const int64_t at = k * b->rows + r;
                if (b->type == QUANT_BF16) ((uint16_t *)(void *)turned)[at] = quant_f32_to_bf16(plain[r * b->cols + k]);
                else ((float *)(void *)turned)[at] = plain[r * b->cols + k];
            }
        kernel_upload(l->ctx, p->b, turned, n * bytes);
    }
    mem_free(plain);
    mem_free(turned);
    p->type = b->type == QUANT_BF16 ? QUANT_BF16 : QUANT_F32;
    p->rows = b->rows;
    return room ? CJ_OK : diag_nomem(d, n * (sizeof *plain + 2 * bytes));
}

/* The first matrices of a side one below the other: as they are stored where they are of one type, else as float32. */
static cj_err stack(low_rank *l, low_group *g, const adapter_pair *const *pairs, int n, cj_diag *d)
{
    const adapter_pair *some = NULL;
    bool alike = true;
    for (int i = 0; i < n; i++) {
        if (!pairs[i]->a.data) continue;
        alike &= !some || some->a.type == pairs[i]->a.type;
        some = pairs[i];
        g->of[i].first = (int)g->a.rows;
        g->of[i].rank = (int)some->a.rows;
        g->a.rows += some->a.rows;
    }
    if (!some) return CJ_OK;
    g->a.cols = some->a.cols;
    g->a.type = alike ? some->a.type : QUANT_F32;
    const size_t row = quant_row_bytes(g->a.type, g->a.cols);
    char *to = kernel_alloc(l->ctx, (size_t)g->a.rows * row);
    g->a.data = to;
    if (!to) return diag_nomem(d, (size_t)g->a.rows * row);
    for (int i = 0; i < n; i++) {
        const kernel_weight *a = &pairs[i]->a;
        if (!a->data) continue;
        if (alike) kernel_upload(l->ctx, to, a->data, (size_t)a->rows * row);
        else TRY(upload_floats(l, to, a, d));
        to += (size_t)a->rows * row;
    }
    return CJ_OK;
}

static cj_err fill(low_rank *l, const model_adapter *a, cj_diag *d)
{
    for (int i = 0; i < l->n_layers; i++)
        for (low_side s = 0; s < LOW_SIDES; s++) {
            low_group *g = &l->groups[i * LOW_SIDES + s];
            const adapter_pair *pairs[LOW_TARGETS];
            for (int t = 0; t < sides[s].n; t++) pairs[t] = adapter_pair_of(a, i, sides[s].of[t]);
            TRY(stack(l, g, pairs, sides[s].n, d));
            for (int t = 0; t < sides[s].n; t++)
                if (g->of[t].rank) TRY(turn(l, &g->of[t], &pairs[t]->b, d));
            l->width = (int)i64_max(l->width, g->a.rows);
            l->gated |= s == LOW_GATED && g->a.rows;
        }
    return CJ_OK;
}

cj_err low_rank_open(low_rank **out, kernel_ctx *ctx, const model_adapter *a, cj_diag *d)
{
    low_rank *l = mem_zalloc(sizeof *l);
    if (!l) return diag_nomem(d, sizeof *l);
    *l = (low_rank){.ctx = ctx, .scale = a->scale};
    l->groups = mem_array((size_t)a->n_layers * LOW_SIDES, sizeof *l->groups);
    cj_err e = l->groups ? CJ_OK : diag_nomem(d, (size_t)a->n_layers * LOW_SIDES * sizeof *l->groups);
    if (!e) {
        l->n_layers = a->n_layers;
        e = fill(l, a, d);
    }
    if (e) low_rank_close(&l);
    else *out = l;
    return e;
}

void low_rank_close(low_rank **pl)
{
    low_rank *l = *pl;
    if (!l) return;
    for (int i = 0; i < l->n_layers * LOW_SIDES; i++) {
        kernel_free(l->ctx, (void *)(uintptr_t)l->groups[i].a.data);
        for (int t = 0; t < LOW_TARGETS; t++) kernel_free(l->ctx, l->groups[i].of[t].b);
    }
    mem_free(l->groups);
    mem_free(l);
    *pl = NULL;
}

size_t low_rank_bytes(const low_rank *l)
{
    size_t sum = 0;
    for (int i = 0; i < l->n_layers * LOW_SIDES; i++) {
        const low_group *g = &l->groups[i];
        sum += (size_t)g->a.rows * quant_row_bytes(g->a.type, g->a.cols);
        for (int t = 0; t < LOW_TARGETS; t++)
            if (g->of[t].rank) sum += (size_t)g->of[t].rank * quant_row_bytes(g->of[t].type, g->of[t].rows);
    }
    return sum;
}

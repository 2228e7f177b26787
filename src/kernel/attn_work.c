/* A tile going over pages: its memory, its queries, its mask. */
#include "kernel/attn_work.h"

#include <math.h>
#include <string.h>

enum { PACKED_MIN = 20 }; /* floats of a packed query: 32 elements of 2 bytes, and a scale */

static int64_t padded(int dv) { return (dv + ATTN_COLS - 1) / ATTN_COLS * ATTN_COLS; }

size_t attn_state_bytes(int rows, int dv)
{
    return (size_t)rows * ((size_t)padded(dv) * sizeof(float) + sizeof(double) + sizeof(float));
}

char *attn_state_place(attn_state *s, char *block, int rows, int dv)
{
    *s = (attn_state){.rows = rows, .ld = padded(dv)};
    s->out = (float *)(void *)block;
    s->sum = (double *)(void *)(s->out + rows * s->ld);
    s->max = (float *)(void *)(s->sum + rows);
    return block + size_round_up(attn_state_bytes(rows, dv), MEM_ALIGN);
}

size_t attn_worker_bytes(int dk, int dv)
{
    size_t widest = (size_t)i64_max(dk, padded(dv));
    size_t floats = ATTN_ROWS * (size_t)(dk + i64_max(dk, PACKED_MIN)) + ATTN_ROWS * (size_t)KV_PAGE + ATTN_ROWS + KV_PAGE * widest;
    return size_round_up(attn_state_bytes(ATTN_ROWS, dv), MEM_ALIGN) + size_round_up(floats * sizeof(float), 4096);
}

void attn_tile_place(attn_tile *t, char *block, const op_attn_args *a, const attn_item *it, bool exact)
{
    *t = (attn_tile){.kv = a->kv, .exact = exact};
    float *f = (float *)(void *)attn_state_place(&t->st, block, it->rows * it->heads, a->kv->dv);
    t->q = f;
    t->packed = f += ATTN_ROWS * a->kv->dk;
    t->s = f += ATTN_ROWS * i64_max(a->kv->dk, PACKED_MIN);
    t->alpha = f += ATTN_ROWS * KV_PAGE;
    t->panel = f + ATTN_ROWS;
}

void attn_tile_queries(const attn_table *k, const vec_table *v, attn_tile *t, const op_attn_args *a, const attn_item *it, int64_t m)
{
    const int dk = a->kv->dk;
    const float scale = a->softcap > 0 ? a->scale : a->scale * ATTN_LOG2_E;
    const rope_spec *spec = a->rope && a->rope->spec->dims ? a->rope->spec : NULL;
    for (int i = 0; i < it->rows; i++) {
        int64_t row = it->seq->row + it->row + i;
        float *q = t->q + (size_t)i * (size_t)it->heads * (size_t)dk;
        memcpy(q, a->q + (row * a->heads + it->head) * dk, (size_t)it->heads * (size_t)dk * sizeof *q);
        v->scale(q, scale, (int64_t)it->heads * dk);
        int64_t u = spec ? (attn_row_end(it, i) - 1) / spec->stride - m : -1; /* below 0: the row sees nothing of the chunk */
        for (int h = 0; h < it->heads; h++) {
            if (u >= 0) v->rope(q + h * dk, rope_row(a->rope, row, u), spec->dims, spec->interleaved);
            k->rotate(q + h * dk, dk, kv_key_rotation(a->kv->type));
        }
    }
    k->queries(t);
}

const uint8_t *attn_page_head(const op_attn_args *a, const attn_item *it, int64_t page)
{
    return it->seq->pages[page] + (size_t)it->kv_head * kv_head_bytes(a->kv);
}

/* Scores of what a row does not see become -INFINITY, before any maximum is taken. */
static void mask(attn_tile *t, const op_attn_args *a, const attn_item *it, int64_t base, int n)
{
    for (int i = 0; i < it->rows; i++) {
        int begin = (int)i64_max(0, i64_min(n, attn_row_begin(a, it, i) - base));
        int end = (int)i64_max(0, i64_min(n, attn_row_end(it, i) - base));
        for (int h = 0; h < it->heads; h++) {
            float *s = t->s + (i * it->heads + h) * KV_PAGE;
            for (int j = 0; j < begin; j++) s[j] = -INFINITY;
            for (int j = end; j < n; j++) s[j] = -INFINITY;
        }
    }
}

void attn_tile_logits(const attn_table *k, const vec_table *v, attn_tile *t, const op_attn_args *a, const uint8_t *head, int n)
{
    k->scores(t, head, n);
    for (int r = 0; a->softcap > 0 && r < t->st.rows; r++) {
        v->softcap(t->s + r * KV_PAGE, a->softcap, n);
        v->scale(t->s + r * KV_PAGE, ATTN_LOG2_E, n);
    }
}

bool attn_tile_scores(const attn_table *k, const vec_table *v, attn_tile *t, const op_attn_args *a, const attn_item *it, int64_t page, int *n)
{
    int64_t base = page * KV_PAGE, end = attn_row_end(it, it->rows - 1);
    *n = (int)i64_min(KV_PAGE, end - base);
    attn_tile_logits(k, v, t, a, attn_page_head(a, it, page), *n);
    bool edge = attn_row_end(it, 0) < base + *n || attn_row_begin(a, it, it->rows - 1) > base;
    if (edge) mask(t, a, it, base, *n);
    return edge;
}

void attn_finish(const attn_table *k, const op_attn_args *a, const attn_item *it, attn_state *s)
{
    const int dv = a->kv->dv;
    for (int i = 0; i < it->rows; i++)
        for (int h = 0; h < it->heads; h++) {
            int r = i * it->heads + h;
            if (a->sinks) attn_state_sink(s, r, a->sinks[it->head + h] * ATTN_LOG2_E);
            float by = s->sum[r] != 0 ? (float)(1.0 / s->sum[r]) : 0; /* a row that sees nothing is zeros */
            float *out = a->out + ((it->seq->row + it->row + i) * a->heads + it->head + h) * dv;
            for (int c = 0; c < dv; c++) out[c] = s->out[r * s->ld + c] * by;
            k->rotate(out, dv, kv_value_rotation(a->kv->type, dv));
        }
}

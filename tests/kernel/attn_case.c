#include "attn_case.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernel/attn.h"

float case_random(uint32_t *state)
{
    float sum = 0;
    for (int i = 0; i < 4; i++) {
        *state = *state * 1664525u + 1013904223u;
        sum += (float)(*state >> 8) / 16777216.0f - 0.5f;
    }
    return sum * 1.7320508f;
}

static float *randoms(int64_t n, uint32_t *state)
{
    float *x = mem_alloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = case_random(state);
    return x;
}

static void make_pages(attn_case *c, int s)
{
    int64_t n = (c->end[s] + KV_PAGE - 1) / KV_PAGE;
    size_t bytes = kv_page_bytes(&c->kv);
    c->pages[s] = mem_array((size_t)n, sizeof *c->pages[s]);
    c->page_block[s] = mem_alloc((size_t)n * bytes);
    memset(c->page_block[s], 0xff, (size_t)n * bytes); /* NaN in f32 and bf16: tokens not written must not be read */
    for (int64_t p = 0; p < n; p++) c->pages[s][p] = c->page_block[s] + (size_t)p * bytes;
}

void attn_case_make(attn_case *c, const attn_shape *shape)
{
    memset(c, 0, sizeof *c);
    c->shape = *shape;
    uint32_t seed = shape->seed * 2654435761u + 1;
    c->kv = (kv_layout){shape->type, shape->kv_heads, shape->dk, shape->dv};
    for (int s = 0; s < shape->n_seqs; s++) {
        c->seqs[s] = (attn_seq){.row = c->rows, .count = shape->count[s], .pos = shape->pos[s]};
        c->rows += shape->count[s];
        c->end[s] = shape->pos[s] + shape->count[s];
        make_pages(c, s);
        c->seqs[s].pages = c->pages[s];
        c->k[s] = randoms(c->end[s] * shape->kv_heads * shape->dk, &seed);
        c->v[s] = randoms(c->end[s] * shape->kv_heads * shape->dv, &seed);
    }
    c->q = randoms(c->rows * shape->heads * shape->dk, &seed);
    c->sinks = randoms(shape->heads, &seed);
    c->out = mem_array((size_t)(c->rows * shape->heads * shape->dv), sizeof *c->out);
    c->spec = (rope_spec){.dims = shape->rope_dims, .interleaved = shape->interleaved, .magnitude = 1, .stride = shape->stride, .window = shape->trained};
    for (int i = 0; i < shape->rope_dims / 2; i++) c->spec.inv_freq[i] = pow(10000.0, -2.0 * i / shape->rope_dims);
    c->args = (op_attn_args){
        .kv = &c->kv, .heads = shape->heads, .scale = 1.5f / sqrtf((float)shape->dk), .softcap = shape->softcap, .window = shape->window,
        .sinks = shape->sinks ? c->sinks : NULL, .q = c->q, .out = c->out, .seqs = c->seqs, .n_seqs = shape->n_seqs,
    };
}

void attn_case_free(attn_case *c)
{
    for (int s = 0; s < c->shape.n_seqs; s++) {
        mem_free(c->pages[s]);
        mem_free(c->page_block[s]);
        mem_free(c->k[s]);
        mem_free(c->v[s]);
    }
    mem_free(c->q);
    mem_free(c->sinks);
    mem_free(c->out);
    mem_free(c->near);
    mem_free(c->far);
}

float *attn_case_keys(const attn_case *c, int s, int64_t pos, int64_t n)
{
    const rope_spec *spec = &c->spec;
    int dk = c->kv.dk, half = spec->dims / 2;
    int64_t heads = n * c->kv.heads;
    float *out = mem_alloc((size_t)(heads * dk) * sizeof *out);
    memcpy(out, c->k[s] + pos * c->kv.heads * dk, (size_t)(heads * dk) * sizeof *out);
    for (int64_t r = 0; r < heads; r++)
        for (int i = 0; i < half; i++) {
            double a = (double)((pos + r / c->kv.heads) % spec->stride) * spec->inv_freq[i];
            float *x = out + r * dk + (spec->interleaved ? 2 * i : i), *y = spec->interleaved ? x + 1 : x + half;
            double x0 = *x, y0 = *y;
            *x = (float)(x0 * cos(a) - y0 * sin(a));
            *y = (float)(x0 * sin(a) + y0 * cos(a));
        }
    return out;
}

static void store(attn_case *c, kernel_ctx *ctx, bool own)
{
    for (int s = 0; s < c->shape.n_seqs; s++) {
        for (int64_t done = 0, end = own ? c->end[s] : c->seqs[s].pos; done < end;) { /* uneven stretches: pages fill in several steps */
            int64_t n = done < c->seqs[s].pos ? i64_min(c->seqs[s].pos - done, 1 + (done * 7 + 3) % 301) : c->seqs[s].count;
            float *k = attn_case_keys(c, s, done, n);
            attn_seq part = {.row = 0, .count = n, .pos = done, .pages = c->pages[s]};
            op_kv_store(ctx, &c->kv, &part, 1, k, c->v[s] + done * c->kv.heads * c->kv.dv);
            mem_free(k);
            done += n;
        }
    }
}

void attn_case_store(attn_case *c, kernel_ctx *ctx) { store(c, ctx, true); }
void attn_case_store_prefix(attn_case *c, kernel_ctx *ctx) { store(c, ctx, false); }

void attn_case_reserve(attn_case *c, kernel_ctx *ctx)
{
    kernel_limits l = {.rows = c->rows, .cols = c->kv.dk, .heads = c->shape.heads, .dk = c->kv.dk, .dv = c->kv.dv, .train_rows = c->rows};
    if (kernel_reserve(ctx, &l, NULL)) abort();
    if (c->spec.dims && !c->near) {
        int64_t *positions = mem_array((size_t)c->rows, sizeof *positions);
        for (int s = 0; s < c->shape.n_seqs; s++)
            for (int64_t i = 0; i < c->seqs[s].count; i++) positions[c->seqs[s].row + i] = c->seqs[s].pos + i;
        c->near = mem_array((size_t)(rope_near(&c->spec) * c->rows * c->spec.dims), sizeof *c->near);
        c->far = mem_array((size_t)c->spec.dims, sizeof *c->far);
        op_rope_tables(ctx, &c->spec, positions, c->rows, c->near, c->far);
        c->tables = (rope_tables){&c->spec, c->rows, c->near, c->far};
        c->args.rope = &c->tables;
        mem_free(positions);
    }
}

void attn_case_run(attn_case *c, kernel_ctx *ctx)
{
    attn_case_reserve(c, ctx);
    memset(c->out, 0xff, (size_t)(c->rows * c->shape.heads * c->kv.dv) * sizeof *c->out);
    op_attention(ctx, &c->args);
}

static void rotate(const attn_case *c, double *q, int64_t position)
{
    const rope_spec *s = &c->spec;
    for (int i = 0; i < s->dims / 2; i++) {
        double a = (double)position * s->inv_freq[i];
        double *x = q + (s->interleaved ? 2 * i : i), *y = s->interleaved ? x + 1 : x + s->dims / 2, x0 = *x, y0 = *y;
        *x = x0 * cos(a) - y0 * sin(a);
        *y = x0 * sin(a) + y0 * cos(a);
    }
}

/* The score of key j for query position i, by the stored bytes. */
static double score_of(const attn_case *c, int s, int64_t i, int64_t j, int head, const double *q, double *magnitude)
{
    const uint8_t *at = c->pages[s][j / KV_PAGE] + (size_t)(head / (c->shape.heads / c->kv.heads)) * kv_head_bytes(&c->kv);
    double sum = 0;
    float key[512];
    attn_key(&c->kv, at, (int)(j % KV_PAGE), key);
    *magnitude = 0;
    for (int d = 0; d < c->kv.dk; d++) {
        double product = q[d] * (double)key[d] * (double)c->args.scale;
        sum += product;
        *magnitude += fabs(product);
    }
    return c->args.softcap > 0 ? (double)c->args.softcap * tanh(sum / (double)c->args.softcap) : sum;
}

void attn_case_row(const attn_case *c, int s, int64_t row, int head, double *out, double *scale, double *score_scale, double *mass)
{
    const attn_seq *seq = &c->seqs[s];
    int64_t i = seq->pos + row, begin = c->args.window ? i64_max(0, i + 1 - c->args.window) : 0;
    double *scores = malloc((size_t)(i + 1) * sizeof *scores), q[512], max = c->args.sinks ? (double)c->args.sinks[head] : -INFINITY;
    int64_t chunk = -1;
    *score_scale = 0;
    for (int64_t j = begin; j <= i; j++) {
        int64_t m = c->spec.dims ? j / c->spec.stride : 0;
        if (m != chunk) {
            for (int d = 0; d < c->kv.dk; d++) q[d] = (double)c->q[((seq->row + row) * c->shape.heads + head) * c->kv.dk + d];
            if (c->spec.dims) rotate(c, q, i64_min(i - m * c->spec.stride, c->spec.window - 1));
            chunk = m;
        }
        double magnitude;
        scores[j] = score_of(c, s, i, j, head, q, &magnitude);
        max = fmax(max, scores[j]);
        *score_scale = fmax(*score_scale, magnitude);
    }
    double sum = c->args.sinks ? exp((double)c->args.sinks[head] - max) : 0;
    for (int64_t j = begin; j <= i; j++) sum += exp(scores[j] - max);
    for (int d = 0; d < c->kv.dv; d++) out[d] = scale[d] = 0;
    for (int64_t j = begin; j <= i; j++) {
        const uint8_t *at = c->pages[s][j / KV_PAGE] + (size_t)(head / (c->shape.heads / c->kv.heads)) * kv_head_bytes(&c->kv);
        double p = exp(scores[j] - max) / sum;
        if (mass) mass[j] += p;
        float value[512];
        attn_value(&c->kv, at, (int)(j % KV_PAGE), value);
        for (int d = 0; d < c->kv.dv; d++) {
            out[d] += p * (double)value[d];
            scale[d] += p * fabs((double)value[d]);
        }
    }
    const int width = kv_value_rotation(c->kv.type, c->kv.dv);
    for (int d = 0; width && d < c->kv.dv; d += width) { /* rounding spreads over what is rotated together; and many a code of 4 bits is 0 */
        const int end = d + width < c->kv.dv ? d + width : c->kv.dv;
        for (int e = d; e < end; e++) scale[d] = fmax(scale[d], scale[e]);
        for (int e = d; e < end; e++) scale[e] = scale[d];
    }
    free(scores);
}

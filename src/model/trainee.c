/* Building a trainee: first every parameter is listed with what points to it, then the blocks are made, filled and bound. */
#include "model/trainee.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"

enum { ALIGN_FLOATS = MEM_ALIGN / (int)sizeof(float), LAYER_PIECES_MAX = 4 * ADAPTER_TARGETS + 6, OTHER_PIECES = 4 };
static const size_t lists_max = (size_t)1 << 32;

/* What a parameter holds at first. */
typedef enum piece_fill { FILL_COPY, FILL_ZERO, FILL_ONE, FILL_EVEN, FILL_NORMAL } piece_fill;

/* A parameter on its way. */
typedef struct piece {
    param *p;
    piece_fill fill;
    float spread;              /* of what is drawn: the bound, or the deviation */
    const kernel_weight *from; /* FILL_COPY: a matrix, or ... */
    const float *vector;       /* ... a vector */
    kernel_weight *to;         /* what shall be it: a matrix, or ... */
    float **to_vector;         /* ... a vector */
    float **grad;
} piece;

typedef struct builder {
    trainee t;                 /* first: a trainee is the head of its builder */
    arena mem;
    piece *pieces;
    param *params;
    model_spec spec;           /* of the copy */
    model_adapter adapter;
} builder;

model_linear *layer_linear(layer_spec *y, adapter_target t)
{
    model_linear *all[ADAPTER_TARGETS] = {
        [ADAPTER_Q] = &y->gqa.q, [ADAPTER_K] = &y->gqa.k, [ADAPTER_V] = &y->gqa.v, [ADAPTER_O] = &y->gqa.o,
        [ADAPTER_GATE] = &y->dense.gate, [ADAPTER_UP] = &y->dense.up, [ADAPTER_DOWN] = &y->dense.down,
    };
    return all[t];
}

cj_err trainee_check(const model *m, cj_diag *d)
{
    const model_spec *s = model_spec_of(m);
    for (int i = 0; i < s->n_layers; i++) {
        const layer_spec *y = &s->layers[i];
        if (y->mixer != MIXER_GQA || y->gqa.gate.w.data || y->ffn != FFN_DENSE)
            return diag_fail(d, CJ_E_UNSUPPORTED, MSG_TRAIN_LAYER, "%s" ARG "%d", model_path(m), i);
    }
    return CJ_OK;
}

/* ---- listing ---- */

static piece *add_piece(builder *b, const char *name, int64_t rows, int64_t cols, float **grad)
{
    piece *e = &b->pieces[b->t.n_params];
    param *p = &b->params[b->t.n_params++];
    snprintf(p->name, sizeof p->name, "%s", name);
    p->rows = rows;
    p->cols = cols;
    p->at = b->t.size;
    b->t.size += i64_ceil_div(rows * cols, ALIGN_FLOATS) * ALIGN_FLOATS;
    e->p = p;
    e->grad = grad;
    return e;
}

/* A matrix that is trained itself; `spread` is what it is drawn with. */
static void add_matrix(builder *b, const char *name, kernel_weight *w, float **grad, bool fresh, float spread)
{
    piece *e = add_piece(b, name, w->rows, w->cols, grad);
    e->fill = fresh ? FILL_NORMAL : FILL_COPY;
    e->spread = spread;
    e->from = e->to = w;
    e->p->decay = true;
}

static void add_vector(builder *b, const char *name, float **v, int64_t n, float **grad, piece_fill fill)
{
    if (!*v) return;
    piece *e = add_piece(b, name, 1, n, grad);
    e->fill = fill;
    e->vector = *v;
    e->to_vector = v;
}

static void layer_name(char out[PARAM_NAME_MAX], int layer, const char *what, const char *end)
{
    snprintf(out, PARAM_NAME_MAX, "blk.%d.%s%s", layer, what, end);
}

static void add_layer(builder *b, int i, bool fresh)
{
    layer_spec *y = &b->spec.layers[i];
    layer_grads *g = &b->t.layers[i];
    char name[PARAM_NAME_MAX];
    for (int t = 0; t < ADAPTER_TARGETS; t++) {
        model_linear *l = layer_linear(y, t);
        const bool adds = t == ADAPTER_O || t == ADAPTER_DOWN;
        layer_name(name, i, adapter_target_name(t), ".weight");
        add_matrix(b, name, &l->w, &g->linears[t].w, fresh, 0.02f / (adds ? sqrtf(2.0f * (float)b->spec.n_layers) : 1));
        layer_name(name, i, adapter_target_name(t), ".bias");
        add_vector(b, name, &l->bias, l->w.rows, &g->linears[t].bias, fresh ? FILL_ZERO : FILL_COPY);
    }
    const struct { const char *name; float **v, **g; int64_t n; } norms[] = {
        {"attn_norm", &y->mixer_norm, &g->mixer_norm, b->spec.hidden}, {"ffn_norm", &y->ffn_norm, &g->ffn_norm, b->spec.hidden},
        {"post_attention_norm", &y->mixer_post_norm, &g->mixer_post_norm, b->spec.hidden},
        {"post_ffw_norm", &y->ffn_post_norm, &g->ffn_post_norm, b->spec.hidden},
        {"attn_q_norm", &y->gqa.q_norm, &g->q_norm, y->gqa.dk}, {"attn_k_norm", &y->gqa.k_norm, &g->k_norm, y->gqa.dk},
    };
    for (size_t k = 0; k < sizeof norms / sizeof *norms; k++) {
        layer_name(name, i, norms[k].name, ".weight");
        add_vector(b, name, norms[k].v, norms[k].n, norms[k].g, fresh ? FILL_ONE : FILL_COPY);
    }
}

/* A pair for a matrix; with `from` its numbers are copied. */
static void add_pair(builder *b, int layer, adapter_target t, int rank, const adapter_pair *from)
{
    const kernel_weight *w = &layer_linear(&b->spec.layers[layer], t)->w;
    linear_grads *g = &b->t.layers[layer].linears[t];
    adapter_pair *pair = adapter_pair_of(&b->adapter, layer, t);
    char name[PARAM_NAME_MAX];
    layer_name(name, layer, adapter_target_name(t), ".weight.lora_a");
    piece *a = add_piece(b, name, rank, w->cols, &g->a);
    a->fill = from ? FILL_COPY : FILL_EVEN;
    a->spread = 1 / sqrtf((float)w->cols);
    a->from = from ? &from->a : NULL;
    a->to = &pair->a;
    layer_name(name, layer, adapter_target_name(t), ".weight.lora_b");
    piece *z = add_piece(b, name, w->rows, rank, &g->b);
    z->fill = from ? FILL_COPY : FILL_ZERO;
    z->from = from ? &from->b : NULL;
    z->to = &pair->b;
    a->p->decay = z->p->decay = true;
}

/* ---- filling and binding ---- */

static void draw(const piece *e, float *to, int64_t n, uint64_t seed)
{
    random_state r = {seed};
    for (int64_t i = 0; i < n; i++) {
        if (e->fill == FILL_EVEN) to[i] = e->spread * (float)(2 * random_unit(&r) - 1);
        else if (e->fill == FILL_NORMAL) to[i] = e->spread * (float)random_normal(&r);
        else to[i] = e->fill == FILL_ONE ? 1 : 0;
    }
}

/* row: room for the longest row of a parameter. Every row of what is drawn has a seed of its own. */
static void fill_piece(builder *b, const piece *e, uint64_t seed, float *row)
{
    const param *p = e->p;
    for (int64_t r = 0; r < p->rows; r++) {
        float *to = b->t.w + p->at + r * p->cols;
        if (e->fill != FILL_COPY) draw(e, row, p->cols, seed ^ (uint64_t)(p->at + r * p->cols) * 0xD1342543DE82EF95u);
        else if (e->from) quant_info_get(e->from->type)->decode(kernel_weight_row(e->from, r), row, p->cols);
        else kernel_download(b->t.ctx, row, e->vector, (size_t)p->cols * sizeof *row);
        kernel_upload(b->t.ctx, to, row, (size_t)p->cols * sizeof *row);
    }
}

static void bind_piece(builder *b, const piece *e)
{
    float *w = b->t.w + e->p->at;
    *e->grad = b->t.g + e->p->at;
    if (e->to_vector) *e->to_vector = w;
    else *e->to = (kernel_weight){.data = w, .type = QUANT_F32, .rows = e->p->rows, .cols = e->p->cols};
}

static cj_err make_blocks(builder *b, uint64_t seed, cj_diag *d)
{
    const size_t bytes = (size_t)b->t.size * sizeof(float);
    int64_t widest = 1;
    for (int i = 0; i < b->t.n_params; i++) widest = i64_max(widest, b->params[i].cols);
    float *row = mem_array((size_t)widest, sizeof *row);
    b->t.w = row ? kernel_alloc(b->t.ctx, bytes) : NULL;
    b->t.g = b->t.w ? kernel_alloc(b->t.ctx, bytes) : NULL;
    for (int i = 0; b->t.g && i < b->t.n_params; i++) fill_piece(b, &b->pieces[i], seed, row);
    for (int i = 0; b->t.g && i < b->t.n_params; i++) bind_piece(b, &b->pieces[i]);
    mem_free(row);
    return b->t.g ? CJ_OK : diag_nomem(d, 2 * bytes);
}

/* The spec again, with layers of its own to bind to. */
static cj_err begin(builder **out, const model *m, cj_diag *d)
{
    const model_spec *s = model_spec_of(m);
    TRY(trainee_check(m, d));
    builder *b = *out = mem_zalloc(sizeof *b);
    if (!b) return diag_nomem(d, sizeof *b);
    arena_init(&b->mem, lists_max);
    const size_t n = (size_t)s->n_layers, most = n * LAYER_PIECES_MAX + OTHER_PIECES;
    b->spec = *s;
    b->spec.layers = arena_alloc(&b->mem, n * sizeof *s->layers);
    b->t.layers = arena_zalloc(&b->mem, n * sizeof *b->t.layers);
    b->pieces = arena_zalloc(&b->mem, most * sizeof *b->pieces);
    b->params = arena_zalloc(&b->mem, most * sizeof *b->params);
    if (!b->spec.layers || !b->t.layers || !b->pieces || !b->params) return diag_nomem(d, most * sizeof *b->pieces);
    memcpy(b->spec.layers, s->layers, n * sizeof *s->layers);
    b->t.ctx = model_kernel(m);
    b->t.params = b->params;
    return CJ_OK;
}

/* Takes what was built, or clears it away. */
static cj_err end(trainee **out, builder *b, cj_err e)
{
    trainee *t = b ? &b->t : NULL;
    if (e) trainee_close(&t);
    else *out = t;
    return e;
}

static bool wants(const trainee_adapter_options *o, int layer, adapter_target t)
{
    return layer >= o->first_layer && (!o->end_layer || layer < o->end_layer) && (!o->targets || o->targets >> t & 1);
}

static cj_err list_adapter(builder *b, const model *m, const trainee_adapter_options *o, cj_diag *d)
{
    const int layers = b->spec.n_layers;
    if (o->rank < 1 || o->rank > ADAPTER_RANK_MAX)
        return diag_fail(d, CJ_E_INPUT, MSG_TRAIN_RANK, "%d" ARG "%d", o->rank, (int)ADAPTER_RANK_MAX);
    b->adapter = (model_adapter){.n_layers = layers, .rank = o->rank, .scale = o->alpha / (float)o->rank};
    b->adapter.pairs = arena_zalloc(&b->mem, (size_t)layers * ADAPTER_TARGETS * sizeof *b->adapter.pairs);
    if (!b->adapter.pairs) return diag_nomem(d, (size_t)layers * ADAPTER_TARGETS * sizeof *b->adapter.pairs);
    for (int i = 0; i < layers; i++)
        for (int t = 0; t < ADAPTER_TARGETS; t++) {
            const adapter_pair *from = o->from ? adapter_pair_of(o->from, i, t) : NULL;
            if (!wants(o, i, t)) continue;
            if (from && (!from->a.data || from->a.rows != o->rank)) return diag_fail(d, CJ_E_INPUT, MSG_TRAIN_FROM, "%d" ARG "%s" ARG "%d", i, adapter_target_name(t), o->rank);
            add_pair(b, i, t, o->rank, from);
        }
    b->t.adapter = &b->adapter;
    b->t.spec = model_spec_of(m);
    return CJ_OK;
}

cj_err trainee_open_adapter(trainee **out, const model *m, const trainee_adapter_options *o, cj_diag *d)
{
    builder *b = NULL;
    cj_err e = begin(&b, m, d);
    if (!e) e = list_adapter(b, m, o, d);
    if (!e) e = make_blocks(b, o->seed, d);
    return end(out, b, e);
}

static void list_whole(builder *b, bool fresh)
{
    model_spec *s = &b->spec;
    const bool tied = s->head.w.data == s->embed.data;
    add_matrix(b, "token_embd.weight", &s->embed, &b->t.embed, fresh, 0.02f);
    if (!tied) add_matrix(b, "output.weight", &s->head.w, &b->t.head, fresh, 0.02f);
    add_vector(b, "output.bias", &s->head.bias, s->vocab, &b->t.head_bias, fresh ? FILL_ZERO : FILL_COPY);
    add_vector(b, "output_norm.weight", &s->final_norm, s->hidden, &b->t.final_norm, fresh ? FILL_ONE : FILL_COPY);
    for (int i = 0; i < s->n_layers; i++) add_layer(b, i, fresh);
}

cj_err trainee_open_whole(trainee **out, const model *m, const trainee_whole_options *o, cj_diag *d)
{
    builder *b = NULL;
    cj_err e = begin(&b, m, d);
    if (!e) {
        const bool tied = b->spec.head.w.data == b->spec.embed.data;
        list_whole(b, o->fresh);
        b->t.spec = &b->spec;
        e = make_blocks(b, o->seed, d);
        if (!e && tied) {
            b->spec.head.w = b->spec.embed;
            b->t.head = b->t.embed;
        }
    }
    return end(out, b, e);
}

void trainee_close(trainee **pt)
{
    builder *b = (builder *)*pt;
    if (!b) return;
    kernel_free(b->t.ctx, b->t.w);
    kernel_free(b->t.ctx, b->t.g);
    arena_deinit(&b->mem);
    mem_free(b);
    *pt = NULL;
}

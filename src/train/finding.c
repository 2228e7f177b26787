/* Texts of passages, and questions about them as batches. See finding.h. */
#include "train/finding.h"

#include <string.h>

#include "base/hash.h"
#include "base/random.h"
#include "model/forward.h"

enum { READ_ROWS = 512 }; /* of a text at a time */

/* A question about the text that was read. */
typedef struct asking {
    int64_t sample, begin, end; /* its aim, in the text's tokens */
} asking;

struct finding {
    const model *m;
    const sample_set *set;
    finding_options opt;
    model_job *reader;
    token_list between;       /* passages */
    int32_t begin;            /* the token that a text begins with, -1: none */
    int64_t *order, n;        /* [n] groups of the part, as they follow one another in the epoch `drawn` */
    int64_t drawn;
    /* the text */
    int64_t epoch, first, next; /* it has groups order[first .. next); epoch -1: there is none */
    kv_cache *kv;
    int32_t *ids;             /* [cap] */
    int64_t n_ids, cap;
    asking *asked;            /* [n_asked] */
    int64_t n_asked, asked_cap;
    /* the batch */
    grad_seq *seqs;           /* [rows] */
    op_attn_aim *aims;        /* [n_heads * rows] by layer */
    int *aim_begin;           /* [layers + 1] */
    int32_t *targets;         /* [rows] -1 */
    float *mass, *loss;       /* [n_heads * rows] each */
    int64_t rows;
    uint64_t fingerprint;
};

/* ---- questions ---- */

/* The tokens of a sample before those that are scored: its question. */
static int64_t question_tokens(const sample_set *set, const sample *s)
{
    int64_t n = 0;
    while (n < s->n && !set->scored[s->first + n]) n++;
    return n;
}

static bool asks(const sample_set *set, const sample *s) { return s->aim < s->aim_end && question_tokens(set, s) > 0; }

/* ---- a text ---- */

static void draw_order(finding *f, int64_t epoch)
{
    random_state all = {f->opt.seed ^ 0x66696E64u}, r = {random_bits(&all) + (uint64_t)epoch};
    f->n = 0;
    for (int64_t i = 0; i < f->set->n_groups; i++) {
        const sample_group *g = &f->set->group[i];
        if (g->passage < 0 || !f->set->prefix[g->passage].n || g->held != f->opt.held) continue;
        const int64_t j = random_below(&r, f->n + 1);
        f->order[f->n] = f->order[j];
        f->order[j] = i;
        f->n++;
    }
    f->drawn = epoch;
}

static cj_err add_ids(finding *f, const int32_t *ids, int64_t n, cj_diag *d)
{
    if (f->n_ids + n > f->cap) {
        const int64_t cap = i64_max(2 * f->cap, f->n_ids + n);
        int32_t *more = mem_grow(f->ids, (size_t)f->n_ids * sizeof *more, (size_t)cap * sizeof *more);
        if (!more) return diag_nomem(d, (size_t)cap * sizeof *more);
        f->ids = more;
        f->cap = cap;
    }
    memcpy(f->ids + f->n_ids, ids, (size_t)n * sizeof *ids);
    f->n_ids += n;
    return CJ_OK;
}

static cj_err add_asked(finding *f, asking a, cj_diag *d)
{
    if (f->n_asked == f->asked_cap) {
        const int64_t cap = f->asked_cap ? 2 * f->asked_cap : 256;
        asking *more = mem_grow(f->asked, (size_t)f->n_asked * sizeof *more, (size_t)cap * sizeof *more);
        if (!more) return diag_nomem(d, (size_t)cap * sizeof *more);
        f->asked = more;
        f->asked_cap = cap;
    }
    f->asked[f->n_asked++] = a;
    return CJ_OK;
}

/* The group's passage comes after what the text has, and its questions are asked. */
static cj_err add_group(finding *f, const sample_group *g, cj_diag *d)
{
    const sample_prefix *p = &f->set->prefix[g->passage];
    const int32_t *ids = f->set->tokens + p->first;
    const int64_t skip = f->n_ids && f->begin >= 0 && ids[0] == f->begin; /* only the text begins */
    if (f->n_ids) TRY(add_ids(f, f->between.ids, (int64_t)f->between.count, d));
    const int64_t at = f->n_ids - skip;
    TRY(add_ids(f, ids + skip, p->n - skip, d));
    for (int64_t i = g->first; i < g->first + g->n; i++) {
        const sample *s = &f->set->sample[i];
        if (asks(f->set, s)) TRY(add_asked(f, (asking){i, at + s->aim, at + s->aim_end}, d));
    }
    return CJ_OK;
}

static cj_err read_text(finding *f, cj_diag *d)
{
    kv_close(&f->kv);
    TRY(model_kv_open(f->m, f->opt.kv, &f->kv, d));
    for (int64_t at = 0; at < f->n_ids; at += READ_ROWS) {
        const model_rows rows = {.kv = f->kv, .ids = f->ids + at, .count = i64_min(READ_ROWS, f->n_ids - at), .logits = WANT_NONE};
        TRY(model_job_begin(f->reader, &(model_batch){.seqs = &rows, .n_seqs = 1}, d));
        for (bool done = false; !done;) TRY(model_job_step(f->reader, &done, d));
    }
    return CJ_OK;
}

/* Makes the text whose passages begin at order[first]. `text` counts those before it in the epoch. */
static cj_err make_text(finding *f, int64_t epoch, int64_t first, int64_t text, cj_diag *d)
{
    const int64_t most = f->opt.lengths[text % f->opt.n_lengths];
    f->epoch = -1;
    f->n_ids = f->n_asked = 0;
    if (f->drawn != epoch) draw_order(f, epoch);
    f->first = f->next = first;
    for (; f->next < f->n; f->next++) {
        const sample_group *g = &f->set->group[f->order[f->next]];
        if (f->n_ids && f->n_ids + (int64_t)f->between.count + f->set->prefix[g->passage].n > most) break;
        TRY(add_group(f, g, d));
    }
    return CJ_OK;
}

/* The same, read where anything is asked about it. */
static cj_err need_text(finding *f, int64_t epoch, int64_t first, int64_t text, cj_diag *d)
{
    if (f->epoch == epoch && f->first == first) return CJ_OK;
    TRY(make_text(f, epoch, first, text, d));
    if (f->n_asked) TRY(read_text(f, d));
    f->epoch = epoch;
    return CJ_OK;
}

/* ---- batches ---- */

/* How many questions of the text are in the batch that begins with the one given. */
static int64_t batch_of(const finding *f, int64_t first)
{
    int64_t n = 0, rows = 0;
    for (; first + n < f->n_asked; n++) {
        rows += question_tokens(f->set, &f->set->sample[f->asked[first + n].sample]);
        if (n && rows > f->opt.tokens) break;
    }
    return n;
}

static void put_question(finding *f, const asking *a, grad_seq *q)
{
    const sample *s = &f->set->sample[a->sample];
    *q = (grad_seq){.prefix = f->kv, .ids = f->set->tokens + s->first, .targets = f->targets, .count = question_tokens(f->set, s)};
}

/* An aim of each head for each of the sequences, by layer. */
static void put_aims(finding *f, int64_t first, int n)
{
    int k = 0;
    for (int layer = 0; layer < model_spec_of(f->m)->n_layers; layer++) {
        f->aim_begin[layer] = k;
        for (int h = 0; h < f->opt.n_heads; h++) {
            const finding_head *head = &f->opt.heads[h];
            if (head->layer != layer) continue;
            for (int i = 0, row = 0; i < n; row += (int)f->seqs[i].count, i++, k++)
                f->aims[k] = (op_attn_aim){.seq = i, .head = head->head, .begin = f->asked[first + i].begin, .end = f->asked[first + i].end,
                                           .weight = head->weight, .mass = f->mass + h * f->rows + row, .loss = f->loss + k};
        }
    }
    f->aim_begin[model_spec_of(f->m)->n_layers] = k;
}

static cj_err next(void *arg, train_cursor *cursor, grad_batch *out, cj_diag *d)
{
    finding *f = arg;
    uint64_t *at = cursor->at; /* epoch, passage, question, text */
    *out = (grad_batch){0};
    for (;;) {
        if (f->opt.held && at[0]) return CJ_OK;
        TRY(need_text(f, (int64_t)at[0], (int64_t)at[1], (int64_t)at[3], d));
        if ((int64_t)at[2] < f->n_asked) break;
        at[1] = (uint64_t)f->next;
        at[2] = 0;
        at[3]++;
        if (f->next >= f->n) at[0]++, at[1] = 0;
    }
    out->n_seqs = (int)batch_of(f, (int64_t)at[2]);
    for (int i = 0; i < out->n_seqs; i++) put_question(f, &f->asked[at[2] + (uint64_t)i], &f->seqs[i]);
    put_aims(f, (int64_t)at[2], out->n_seqs);
    at[2] += (uint64_t)out->n_seqs;
    out->seqs = f->seqs;
    out->aims = f->aims;
    out->aim_begin = f->aim_begin;
    return CJ_OK;
}

cj_err finding_batches(finding *f, int64_t *n, cj_diag *d)
{
    *n = 0;
    for (int64_t first = 0, text = 0; !first || first < f->n; first = f->next, text++) {
        TRY(make_text(f, 0, first, text, d));
        for (int64_t i = 0; i < f->n_asked; ++*n) i += batch_of(f, i);
    }
    return CJ_OK;
}

/* ---- opening ---- */

/* Of all that decides what the batches are. */
static uint64_t fingerprint_of(const sample_set *s, const finding_options *o)
{
    uint64_t parts[] = {hash_xxh3(s->tokens, (size_t)s->n_tokens * sizeof *s->tokens), hash_xxh3(s->scored, (size_t)s->n_tokens), 0, 0,
                        hash_xxh3(o->lengths, (size_t)o->n_lengths * sizeof *o->lengths), o->held, (uint64_t)o->tokens, o->seed, (uint64_t)o->kv};
    for (int64_t i = 0; i < s->n; i++) {
        const int64_t one[] = {(int64_t)parts[2], s->sample[i].first, s->sample[i].n, s->sample[i].aim, s->sample[i].aim_end};
        parts[2] = hash_xxh3(one, sizeof one);
    }
    for (int i = 0; i < o->n_heads; i++) {
        const double one[] = {(double)(parts[3] >> 11), o->heads[i].layer, o->heads[i].head, (double)o->heads[i].weight};
        parts[3] = hash_xxh3(one, sizeof one);
    }
    return hash_xxh3(parts, sizeof parts);
}

int64_t finding_rows(const finding *f) { return f->rows; }

static cj_err check_heads(const finding *f, cj_diag *d)
{
    const model_spec *m = model_spec_of(f->m);
    for (int i = 0; i < f->opt.n_heads; i++) {
        const finding_head h = f->opt.heads[i];
        if (h.layer < 0 || h.layer >= m->n_layers || h.head < 0 || h.head >= m->layers[h.layer].gqa.heads || m->layers[h.layer].gqa.window)
            return diag_fail(d, CJ_E_INPUT, MSG_TRAIN_HEAD, "%d" ARG "%d", h.layer, h.head);
    }
    return CJ_OK;
}

static cj_err make_room(finding *f, cj_diag *d)
{
    int64_t asked = 0;
    f->rows = f->opt.tokens;
    for (int64_t i = 0; i < f->set->n; i++) {
        if (!asks(f->set, &f->set->sample[i])) continue;
        f->rows = i64_max(f->rows, question_tokens(f->set, &f->set->sample[i]));
        asked++;
    }
    if (!asked) return diag_fail(d, CJ_E_INPUT, MSG_TRAIN_NO_QUOTES, "%lld", (long long)f->set->n);
    const size_t rows = (size_t)f->rows, aims = rows * (size_t)f->opt.n_heads;
    f->order = mem_array((size_t)f->set->n_groups, sizeof *f->order);
    f->seqs = mem_array(rows, sizeof *f->seqs);
    f->targets = mem_array(rows, sizeof *f->targets);
    f->aims = mem_array(aims, sizeof *f->aims);
    f->mass = mem_array(aims, sizeof *f->mass);
    f->loss = mem_array(aims, sizeof *f->loss);
    f->aim_begin = mem_array((size_t)model_spec_of(f->m)->n_layers + 1, sizeof *f->aim_begin);
    if (!f->order || !f->seqs || !f->targets || !f->aims || !f->mass || !f->loss || !f->aim_begin) return diag_nomem(d, aims * sizeof *f->aims);
    for (size_t i = 0; i < rows; i++) f->targets[i] = -1;
    return CJ_OK;
}

static cj_err open_all(finding *f, const tokenizer *t, cj_diag *d)
{
    const token_specials *s = tokenizer_specials(t);
    f->begin = s->add_bos ? s->bos : -1;
    TRY(check_heads(f, d));
    TRY(make_room(f, d));
    TRY(tokenizer_encode(t, "\n", 1, TOKEN_VERBATIM | TOKEN_CONTINUES, &f->between, d));
    draw_order(f, 0);
    bool any = false;
    for (int64_t i = 0; i < f->n; i++)
        for (int64_t k = 0; k < f->set->group[f->order[i]].n; k++) any |= asks(f->set, &f->set->sample[f->set->group[f->order[i]].first + k]);
    if (!any) return diag_fail(d, CJ_E_INPUT, MSG_TRAIN_NO_QUOTES, "%lld", (long long)f->set->n);
    return model_job_open(&f->reader, f->m, READ_ROWS, d);
}

cj_err finding_open(finding **out, const model *m, const tokenizer *t, const sample_set *set, const finding_options *o, cj_diag *d)
{
    finding *f = mem_zalloc(sizeof *f);
    if (!f) return diag_nomem(d, sizeof *f);
    *f = (finding){.m = m, .set = set, .opt = *o, .epoch = -1, .drawn = -1, .fingerprint = fingerprint_of(set, o)};
    token_list_init(&f->between);
    cj_err e = open_all(f, t, d);
    if (e) finding_close(&f);
    *out = f;
    return e;
}

void finding_close(finding **pf)
{
    finding *f = *pf;
    if (!f) return;
    void *lists[] = {f->order, f->ids, f->asked, f->seqs, f->aims, f->aim_begin, f->targets, f->mass, f->loss};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) mem_free(lists[i]);
    token_list_deinit(&f->between);
    model_job_close(&f->reader);
    kv_close(&f->kv);
    mem_free(f);
    *pf = NULL;
}

train_source finding_source(finding *f) { return (train_source){.arg = f, .fingerprint = f->fingerprint, .next = next}; }

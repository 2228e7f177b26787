/* The benchmark: real work on random tokens, or on a text that was read before. */
#include "eval/bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

typedef struct bench {
    const bench_options *opt;
    const kernel_ceilings *ceilings;
    engine *e;
    session *s;
    int32_t *ids;
    int64_t done, total, held; /* tokens, for progress; held: by the session before what is under way */
} bench;

static bool step(void *arg, int64_t at, int64_t of)
{
    bench *b = arg;
    (void)of;
    return !b->opt->on_progress || b->opt->on_progress(b->opt->arg, i64_min(b->total, b->done + i64_max(0, at - b->held)), b->total);
}

static cj_err eval(bench *b, int64_t n, model_want want, cj_diag *d)
{
    session_call call = {.want = want, .on_progress = step, .arg = b};
    int64_t reused = 0;
    b->held = i64_min(n, session_count(b->s));
    TRY(session_eval(b->s, b->ids, n, &call, &reused, d));
    b->done += n - reused;
    return CJ_OK;
}

/* Pairs of query and key that `rows` tokens from `pos` on look at, in a layer with this window (0: all). */
static double visible(int64_t pos, int64_t rows, int64_t window)
{
    double pairs = 0;
    for (int64_t i = pos; i < pos + rows; i++) pairs += (double)(window ? i64_min(i + 1, window) : i + 1);
    return pairs;
}

static double matrix_ops(const kernel_weight *w) { return 2.0 * (double)w->rows * (double)w->cols; }

/* Multiplications of one token with the weights that a layer's keys and values need, and with the rest. */
static void layer_ops(const layer_spec *y, double *kv, double *rest)
{
    const gqa_spec *a = &y->gqa;
    const delta_spec *r = &y->delta;
    *kv = matrix_ops(&a->k.w) + matrix_ops(&a->v.w) + matrix_ops(&r->qkv.w) + matrix_ops(&r->z.w) + matrix_ops(&r->beta.w) + matrix_ops(&r->alpha.w);
    *rest = matrix_ops(&a->q.w) + matrix_ops(&a->gate.w) + matrix_ops(&a->o.w) + matrix_ops(&r->out.w);
    if (y->ffn == FFN_MOE) *rest += y->moe.used * 3 * matrix_ops(&y->moe.gate[0]) + matrix_ops(&y->moe.router.w);
    else *rest += 3 * matrix_ops(&y->dense.gate.w);
}

double bench_read_floor(const engine *e, const kernel_ceilings *c, int64_t from, int64_t count, bool logits)
{
    const model_spec *m = model_spec_of(engine_model(e));
    double linear = logits ? matrix_ops(&m->head.w) : 0, attention = 0;
    for (int i = 0; i < m->n_layers; i++) {
        const gqa_spec *a = &m->layers[i].gqa;
        int64_t rows = i < m->n_layers - 1 ? count : logits ? 1 : 0; /* that go on above this layer's keys and values */
        double kv, rest;
        layer_ops(&m->layers[i], &kv, &rest);
        linear += (double)count * kv + (double)rows * rest;
        attention += 2.0 * a->heads * (a->dk + a->dv) * visible(from + count - rows, rows, a->window);
    }
    kernel_level level = kernel_table_of(engine_kernel(e))->level;
    bool exact = kernel_exact(engine_kernel(e)), amx = level == KERNEL_AMX && !exact;
    double linear_rate = exact || level == KERNEL_REF ? c->f32_gflops : amx ? c->bf16_gflops : c->int8_gops;
    return linear / (linear_rate * 1e9) + attention / ((amx ? c->bf16_gflops : c->f32_gflops) * 1e9);
}

/* Each weight is read once (one row of the embedding), and what the token sees of keys and values. */
double bench_write_floor(const engine *e, const kernel_ceilings *c, int64_t from)
{
    const model *mo = engine_model(e);
    const model_spec *m = model_spec_of(mo);
    double bytes = (double)model_weight_bytes(mo);
    if (m->head.w.data != m->embed.data) bytes -= (double)quant_row_bytes(m->embed.type, m->embed.cols) * (double)m->embed.rows;
    for (int i = 0; i < m->n_layers; i++) {
        const layer_spec *y = &m->layers[i];
        kv_layout l = {engine_options_of(e)->kv, y->gqa.kv_heads, y->gqa.dk, y->gqa.dv};
        bytes += (double)kv_page_bytes(&l) / KV_PAGE * visible(from, 1, y->gqa.window);
        if (y->ffn == FFN_MOE)
            bytes -= (double)(y->moe.experts - y->moe.used) * 3 * (double)quant_row_bytes(y->moe.gate[0].type, y->moe.gate[0].cols) * (double)y->moe.width;
    }
    return bytes / (c->read_gbytes * 1e9);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bench_result summary(double *rates, int n)
{
    qsort(rates, (size_t)n, sizeof *rates, ascending);
    return (bench_result){.min = rates[0], .max = rates[n - 1], .median = n % 2 ? rates[n / 2] : (rates[n / 2 - 1] + rates[n / 2]) / 2};
}

/* Back to `depth` tokens: of the entry, or, as the session keeps the longest common prefix, by another token after it. */
static cj_err go_to_depth(bench *b, int64_t depth, cj_diag *d)
{
    if (b->opt->entry && session_count(b->s) != depth) TRY(session_attach(b->s, b->opt->entry, depth, NULL, d));
    else if (session_count(b->s) > depth) b->ids[depth] = b->ids[depth] ? 0 : 1;
    return depth ? eval(b, depth, WANT_NONE, d) : CJ_OK;
}

static cj_err run_prefill(bench *b, int64_t depth, double *rate, cj_diag *d)
{
    TRY(go_to_depth(b, depth, d));
    double start = clock_now();
    TRY(eval(b, depth + b->opt->prefill, WANT_LAST, d));
    *rate = (double)b->opt->prefill / (clock_now() - start);
    return CJ_OK;
}

static cj_err run_decode(bench *b, int64_t depth, double *rate, cj_diag *d)
{
    TRY(go_to_depth(b, i64_max(depth, 1), d));
    depth = i64_max(depth, 1);
    double start = clock_now();
    for (int64_t i = 1; i <= b->opt->decode; i++) TRY(eval(b, depth + i, WANT_LAST, d));
    *rate = (double)b->opt->decode / (clock_now() - start);
    return CJ_OK;
}

static void tell(const bench *b, bench_result *r, bool decode, int64_t depth)
{
    r->decode = decode;
    r->depth = depth;
    r->tokens = decode ? b->opt->decode : b->opt->prefill;
    const double seconds = (double)r->tokens / r->median;
    if (b->opt->keep || r->adapter) r->share = NAN;
    else if (decode) r->share = bench_write_floor(b->e, b->ceilings, depth + r->tokens / 2) * (double)r->tokens / seconds;
    else r->share = bench_read_floor(b->e, b->ceilings, depth, r->tokens, true) / seconds;
}

/* The first round is a warm-up. */
static cj_err run_test(bench *b, bool decode, int64_t depth, bench_result *out, cj_diag *d)
{
    const int n = 1 + b->opt->n_adapters;
    double rates[1 + BENCH_ADAPTERS_MAX][BENCH_REPEATS_MAX];
    for (int i = -1; i < b->opt->repeats; i++)
        for (int a = 0; a < n; a++) {
            double rate;
            TRY(session_set_adapter(b->s, a ? b->opt->adapters[a - 1] : NULL, decode ? i64_max(depth, 1) : depth, d));
            TRY(decode ? run_decode(b, depth, &rate, d) : run_prefill(b, depth, &rate, d));
            if (i >= 0) rates[a][i] = rate;
        }
    for (int a = 0; a < n; a++) {
        out[a] = summary(rates[a], b->opt->repeats);
        out[a].adapter = a ? b->opt->adapters[a - 1] : NULL;
        tell(b, &out[a], decode, depth);
    }
    return CJ_OK;
}

static cj_err run_all(bench *b, bench_result *results, int *n, cj_diag *d)
{
    *n = 0;
    for (int i = 0; i < b->opt->n_depths; i++)
        for (int decode = 0; decode < 2; decode++) {
            if (!(decode ? b->opt->decode : b->opt->prefill) || *n + b->opt->n_adapters >= BENCH_RESULTS_MAX) continue;
            TRY(run_test(b, decode, b->opt->depths[i], &results[*n], d));
            *n += 1 + b->opt->n_adapters;
        }
    return CJ_OK;
}

/* [n] random tokens, or those of the entry as far as it goes. */
static int32_t *make_ids(const bench_options *opt, int64_t n, int64_t vocab)
{
    int32_t *ids = mem_array((size_t)n, sizeof *ids);
    uint64_t x = opt->seed;
    for (int64_t i = 0; ids && i < n; i++) ids[i] = (int32_t)(((x = x * 6364136223846793005u + 1442695040888963407u) >> 33) % (uint64_t)vocab);
    if (ids && opt->entry) memcpy(ids, shelf_entry_ids(opt->entry), (size_t)i64_min(n, shelf_entry_info(opt->entry)->tokens) * sizeof *ids);
    return ids;
}

static cj_err check_depth(const bench_options *opt, int64_t deepest, cj_diag *d)
{
    const shelf_info *info = opt->entry ? shelf_entry_info(opt->entry) : NULL;
    if (!info || deepest <= info->tokens) return CJ_OK;
    return diag_fail(d, CJ_E_INPUT, MSG_BENCH_SHORT, "%s" ARG "%lld" ARG "%lld", info->name, (long long)info->tokens, (long long)deepest);
}

cj_err bench_run(engine *e, const bench_options *opt, const kernel_ceilings *ceilings, bench_result *results, int *n, cj_diag *d)
{
    bench b = {.opt = opt, .ceilings = ceilings, .e = e};
    int64_t longest = i64_max(opt->prefill, opt->decode) + 1, deepest = 0, vocab = model_spec_of(engine_model(e))->vocab;
    for (int i = 0; i < opt->n_depths; i++) {
        deepest = i64_max(deepest, opt->depths[i]);
        b.total += opt->depths[i] + (opt->repeats + 1) * (1 + opt->n_adapters) * (opt->prefill + opt->decode);
    }
    TRY(check_depth(opt, deepest, d));
    b.ids = make_ids(opt, deepest + longest + 1, vocab);
    if (!b.ids) return diag_nomem(d, (size_t)(deepest + longest) * sizeof *b.ids);
    cj_err err = session_open(&b.s, e, deepest + longest, d);
    if (!err) session_set_keep(b.s, opt->keep);
    if (!err) err = run_all(&b, results, n, d);
    session_close(&b.s);
    mem_free(b.ids);
    return err;
}

/* Estimates. A pass needs a context as long as the depth that it is timed at, but not what is in it: arithmetic takes as long over zeros. So
 * every page behind the pass is one and the same page of zeros, and a depth of 100,000 tokens costs nothing to set up.
 *
 * What is timed is processor time, spread over the threads: what else the machine does now says little about the next hours.
 *
 * A token at depth n is taken to cost a + b n exactly. In a fast read it costs the same until there are more pages than it looks at, f + g n (g:
 * choosing among them) until they are chosen among by groups, and h + i n from there on. Then come the exact rows at its end, few at a time: a few of
 * them cost more each than many do. All of it is added up in closed form. */
#include "reader/estimate.h"

#include "base/clock.h"
#include "model/model.h"
#include "reader/read.h"

enum { ROWS = 256, ROWS_SLOW = 32, DEPTH = 16384 };

typedef struct timing {
    const engine *e;
    model_job *job;
    uint8_t *zeros; /* a page of any layer */
    int32_t *ids;
    int64_t rows;
    int threads;
    bool (*on_progress)(void *arg);
    void *arg;
} timing;

int64_t read_estimate_same(int64_t keep) { return (keep + MODEL_NEAR_PAGES + 1) * KV_PAGE; }

static cj_err pretend(kv_cache *kv, int64_t depth, const uint8_t *zeros, cj_diag *d)
{
    TRY(kv_resume(kv, depth, NULL, d));
    for (int i = 0; i < kv_layers(kv); i++)
        for (int64_t p = kv_first_needed(kv_layer_at(kv, i), depth); p < i64_ceil_div(depth, KV_PAGE); p++) TRY(kv_attach(kv, i, p, zeros, true, d));
    return CJ_OK;
}

static cj_err run(timing *t, kv_cache *kv, int64_t keep, cj_diag *d)
{
    const model_rows rows = {.kv = kv, .ids = t->ids, .count = t->rows, .keep = keep};
    const model_batch batch = {.seqs = &rows, .n_seqs = 1};
    TRY(model_job_begin(t->job, &batch, d));
    for (bool done = false; !done;) {
        TRY(model_job_step(t->job, &done, d));
        if (t->on_progress && !t->on_progress(t->arg)) return diag_fail(d, CJ_E_CANCELLED, MSG_CANCELLED, "%s", "");
    }
    return CJ_OK;
}

/* Seconds a token takes at a depth. */
static cj_err pass(timing *t, int64_t depth, int64_t keep, double *out, cj_diag *d)
{
    kv_cache *kv = NULL;
    TRY(model_kv_open(engine_model(t->e), engine_options_of(t->e)->kv, &kv, d));
    cj_err err = pretend(kv, depth, t->zeros, d);
    double start = clock_processor();
    if (!err) err = run(t, kv, keep, d);
    *out = (clock_processor() - start) / ((double)t->threads * (double)t->rows);
    kv_close(&kv);
    return err;
}

/* A straight line through two measured points; noise must not make deep tokens cheaper. */
typedef struct line {
    double at0, slope, least;
} line;

static line through(int64_t x0, double y0, int64_t x1, double y1, double least)
{
    double slope = y1 > y0 ? (y1 - y0) / (double)(x1 - x0) : 0;
    return (line){y0 - slope * (double)x0, slope, least};
}

/* Of the tokens [from, to). */
static double sum(line l, int64_t from, int64_t to)
{
    double n = (double)i64_max(0, to - from), middle = 0.5 * ((double)from + (double)to);
    double each = l.at0 + l.slope * middle;
    return n * (each > l.least ? each : l.least);
}

/* Seconds of the tokens [same, tokens) of a fast read, the exact end aside. No token is taken to cost less than `least`. */
static cj_err measure_sparse(timing *t, int64_t tokens, int64_t keep, double least, double *out, cj_diag *d)
{
    const int64_t same = read_estimate_same(keep), deep = same + 4 * DEPTH, grouped = i64_max(deep + DEPTH, MODEL_OPEN_PAGES * KV_PAGE);
    const int64_t middle = tokens > grouped + DEPTH ? grouped : i64_max(tokens, deep) + DEPTH;
    double at_deep, at_middle, at_end;
    TRY(pass(t, deep, keep, &at_deep, d));
    TRY(pass(t, middle, keep, &at_middle, d));
    *out = sum(through(deep, at_deep, middle, at_middle, least), same, i64_min(tokens, middle));
    if (tokens <= middle) return CJ_OK;
    TRY(pass(t, tokens, keep, &at_end, d));
    *out += sum(through(middle, at_middle, tokens, at_end, least), middle, tokens);
    return CJ_OK;
}

/* Seconds of the exact rows at the end of a fast read. */
static cj_err measure_end(timing *t, int64_t tokens, double *out, cj_diag *d)
{
    double shallow, deep;
    t->rows = ENGINE_EXACT_ROWS;
    TRY(pass(t, 0, 0, &shallow, d));
    TRY(pass(t, 4 * DEPTH, 0, &deep, d));
    *out = sum(through(0, shallow, 4 * DEPTH, deep, shallow), tokens - READ_LAST, tokens);
    return CJ_OK;
}

static cj_err measure(timing *t, int64_t tokens, int64_t keep, read_estimate *out, cj_diag *d)
{
    const int64_t same = read_estimate_same(keep);
    double first, shallow, exact, fast, end;
    t->rows = ROWS_SLOW;
    TRY(pass(t, 0, 0, &first, d)); /* weights come into memory */
    if (first * ROWS < 4) t->rows = ROWS;
    TRY(pass(t, 0, 0, &shallow, d));
    TRY(pass(t, DEPTH, 0, &exact, d));
    const line dense = through(0, shallow, DEPTH, exact, shallow);
    out->exact_seconds = sum(dense, 0, tokens);
    out->fast_seconds = out->exact_seconds;
    if (tokens <= same) return CJ_OK;
    TRY(measure_sparse(t, i64_max(same, tokens - READ_LAST), keep, shallow, &fast, d));
    TRY(measure_end(t, tokens, &end, d));
    out->fast_seconds = sum(dense, 0, same) + fast + end;
    return CJ_OK;
}

cj_err read_estimate_make(const engine *e, int64_t tokens, int64_t keep, bool (*on_progress)(void *arg), void *arg, read_estimate *out,
                          cj_diag *d)
{
    timing t = {.e = e, .threads = pool_threads(kernel_pool(engine_kernel(e))), .on_progress = on_progress, .arg = arg};
    size_t bytes = 0;
    kv_cache *kv = NULL;
    TRY(model_kv_open(engine_model(e), engine_options_of(e)->kv, &kv, d));
    for (int i = 0; i < kv_layers(kv); i++) bytes = (size_t)i64_max((int64_t)bytes, (int64_t)kv_page_bytes(&kv_layer_at(kv, i)->layout));
    kv_close(&kv);
    t.zeros = mem_zalloc(bytes);
    t.ids = mem_array(ROWS, sizeof *t.ids);
    cj_err err = t.zeros && t.ids ? model_job_open(&t.job, engine_model(e), ROWS, d) : diag_nomem(d, bytes);
    if (!err) err = measure(&t, tokens, keep, out, d);
    model_job_close(&t.job);
    mem_free(t.zeros);
    mem_free(t.ids);
    return err;
}

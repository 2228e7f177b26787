/* Tuning. See tune.h. */
#include "tune/tune.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/hash.h"
#include "data/qa_form.h"
#include "model/trainee_write.h"
#include "reader/finder.h"
#include "tune/inner.h"

enum { PREFIX_TOKENS = 1 << 15, FREE_SHARE = 3 /* this part of what is free is for us */, KEEP_MAX = 1 << 30, FEW_TOKENS = 4, CHECK_LEAST = 10 };

#define USUAL_SHARE 0.5 /* of the machine's ceiling that training reaches: for the estimate of time */
#define PASSES 3        /* a backward pass is about twice a forward one */

tune_options tune_usual(void)
{
    return (tune_options){.rank = 16, .epochs = 2, .batch = 1024, .accumulate = 1, .sample_tokens = 2048, .held = -1, .patience = 4, .kv = KV_Q8, .seed = 1,
                          .texts = {2048, 4096, 8192}, .n_texts = 3};
}

const tune_plan *tune_plan_of(const tuning *t) { return &t->plan; }
const train_state *tune_state_of(const tuning *t) { return train_state_of(t->trainer); }
const trainee *tune_trainee_of(const tuning *t) { return t->trainee; }
const cj_diag *tune_log_trouble(const tuning *t) { return t->log_trouble.code ? &t->log_trouble : NULL; }

/* ---- samples ---- */

static tune_kind kind_of(const training_rows *rows, tune_kind wanted)
{
    if (wanted != TUNE_AUTO) return wanted;
    for (int64_t i = 0; i < rows->n; i++)
        if (rows->row[i].form != ROW_PASSAGE) return TUNE_ORDINARY;
    return TUNE_ACTIVATED;
}

static bool finds(const tuning *t) { return t->plan.kind == TUNE_FINDING; }

static double held_share(const tuning *t)
{
    return t->opt.held >= 0 ? t->opt.held : fmin(0.05, TUNE_HELD_ROWS / fmax(1, (double)t->rows->n));
}

static cj_err make_samples(tuning *t, cj_diag *d)
{
    const tokenizer *words;
    tune_plan *p = &t->plan;
    TRY(engine_need_tokenizer(t->e, &words, d));
    const sample_options how = {.chat_template = engine_template(t->e), .whole = p->kind != TUNE_ACTIVATED && !finds(t), .sample_tokens = t->opt.sample_tokens,
                                .prefix_tokens = PREFIX_TOKENS, .group_tokens = finds(t) ? INT64_MAX : i64_max(t->opt.batch, t->opt.sample_tokens), .held = held_share(t)};
    TRY(samples_make(&t->set, t->rows, words, &how, d));
    p->rows = t->rows->n;
    p->too_long = t->set.too_long;
    p->no_template = t->set.no_template;
    p->samples = t->set.n;
    p->scored = t->set.scored_tokens;
    for (int64_t i = 0; i < t->set.n_groups; i++) {
        p->tokens += t->set.group[i].tokens;
        if (t->set.group[i].held) p->held += t->set.group[i].n;
    }
    for (int64_t i = 0; i < t->rows->n_passages; i++) p->passage_tokens += t->set.prefix[i].n;
    return CJ_OK;
}

/* The tokens of the rows, where they are few of the model's: logits of the others would cost more than the rest of the step, and an answer is hardly
 * ever made of them. */
static cj_err choose_vocabulary(tuning *t, cj_diag *d)
{
    const int64_t all = model_spec_of(engine_model(t->e))->vocab;
    t->plan.vocabulary = all;
    if (t->opt.all_vocabulary || t->plan.kind == TUNE_WHOLE || finds(t)) return CJ_OK;
    uint8_t *here = mem_array((size_t)all, sizeof *here);
    if (!here) return diag_nomem(d, (size_t)all);
    for (int64_t i = 0; i < t->set.n_tokens; i++) here[t->set.tokens[i]] = 1;
    int64_t n = 0;
    for (int64_t i = 0; i < all; i++) n += here[i];
    const bool few = n * FEW_TOKENS <= all;
    if (few) t->vocabulary = mem_array((size_t)n, sizeof *t->vocabulary);
    int64_t at = 0;
    for (int64_t i = 0; t->vocabulary && i < all; i++)
        if (here[i]) t->vocabulary[at++] = (int32_t)i;
    mem_free(here);
    if (few && !t->vocabulary) return diag_nomem(d, (size_t)n * sizeof *t->vocabulary);
    if (few) t->plan.vocabulary = n;
    return CJ_OK;
}

/* ---- memory ---- */

static int64_t memory_of(const tuning *t) { return t->opt.memory ? t->opt.memory : cpu_memory_available() / FREE_SHARE; }

/* A quarter of it, and not more than is of use, keeps what layers compute; the rest is for passages, of which those that are held out have their part. */
static size_t keep_bytes(const tuning *t) { return (size_t)i64_min(memory_of(t) / 4, KEEP_MAX); }

static size_t passage_bytes(const tuning *t, bool held)
{
    const double part = (double)t->plan.held / (double)t->plan.samples;
    return (size_t)((double)(memory_of(t) - (int64_t)keep_bytes(t)) * (held ? part : 1 - part));
}

/* ---- lessons ---- */

static cj_err open_finding(tuning *t, bool held, finding **out, train_source *source, cj_diag *d)
{
    const tune_options *o = &t->opt;
    const finding_options how = {.held = held, .heads = o->heads, .n_heads = o->n_heads, .lengths = o->texts, .n_lengths = o->n_texts,
                                 .tokens = o->batch, .seed = o->seed, .kv = o->kv};
    TRY(finding_open(out, engine_model(t->e), engine_tokenizer(t->e), &t->set, &how, d));
    *source = finding_source(*out);
    return CJ_OK;
}

static cj_err open_part(tuning *t, bool held, lessons **out, train_source *source, cj_diag *d)
{
    const lessons_options o = {.held = held, .tokens = t->opt.batch, .seed = t->opt.seed, .kv = t->opt.kv, .passage_bytes = passage_bytes(t, held)};
    TRY(lessons_open(out, engine_model(t->e), &t->set, &o, d));
    *source = lessons_source(*out);
    return CJ_OK;
}

/* Batches of the first epoch; later ones have as many, or nearly. */
static cj_err count_batches(const tuning *t, int64_t *n, cj_diag *d)
{
    batch_feed feed = {0};
    const training_batch *b;
    if (finds(t)) return finding_batches(t->finding, n, d);
    TRY(feed_open(&feed, &t->set, false, t->opt.batch, (batch_place){.seed = t->opt.seed}, d));
    cj_err e = CJ_OK;
    for (*n = 0; !e && !feed.at.epoch; ++*n) e = feed_next(&feed, &b, d);
    feed_close(&feed);
    return e;
}

static cj_err plan_steps(tuning *t, cj_diag *d)
{
    int64_t batches = 0;
    tune_plan *p = &t->plan;
    TRY(count_batches(t, &batches, d));
    p->steps_per_epoch = (batches + t->opt.accumulate - 1) / t->opt.accumulate;
    p->steps = t->opt.steps ? t->opt.steps : i64_max(1, (int64_t)ceil(t->opt.epochs * (double)batches / (double)t->opt.accumulate));
    p->check_every = t->opt.check_every ? t->opt.check_every : i64_max(CHECK_LEAST, i64_min(p->steps_per_epoch, p->steps) / 4);
    return CJ_OK;
}

/* ---- the trainer ---- */

/* Beyond the last head that learns to find there is nothing to train. 0: all layers. */
static int end_layer(const tune_options *o)
{
    int last = -1;
    for (int i = 0; i < o->n_heads; i++) last = o->heads[i].layer > last ? o->heads[i].layer : last;
    return last + 1;
}

/* What it goes on from decides the shape of what comes of it. */
static cj_err take_from(tuning *t, cj_diag *d)
{
    tune_options *o = &t->opt;
    TRY(adapter_file_open(&t->from, o->from, d));
    TRY(adapter_file_fit(t->from, engine_model(t->e), d));
    const model_adapter *a = adapter_file_data(t->from);
    o->rank = a->rank;
    o->alpha = (double)a->scale * a->rank;
    o->targets = 0;
    for (int i = o->first_layer; i < a->n_layers; i++)
        for (adapter_target k = 0; k < ADAPTER_TARGETS; k++)
            if (adapter_pair_of(a, i, k)->a.data) o->targets |= 1u << k;
    return CJ_OK;
}

static cj_err open_trainee(tuning *t, cj_diag *d)
{
    const model *m = engine_model(t->e);
    const tune_options *o = &t->opt;
    if (t->plan.kind == TUNE_WHOLE) return trainee_open_whole(&t->trainee, m, &(trainee_whole_options){.seed = o->seed}, d);
    if (o->from) TRY(take_from(t, d));
    const trainee_adapter_options a = {.rank = o->rank, .alpha = (float)o->alpha, .targets = o->targets, .first_layer = o->first_layer, .end_layer = end_layer(o),
                                       .seed = o->seed, .from = t->from ? adapter_file_data(t->from) : NULL};
    return trainee_open_adapter(&t->trainee, m, &a, d);
}

/* What decides the bits of a step besides what the trainer itself knows of. */
static uint64_t settings_of(const tuning *t)
{
    const kernel_table *k = kernel_table_of(engine_kernel(t->e));
    const double reals[] = {t->opt.alpha};
    const int64_t wholes[] = {t->plan.kind, t->plan.vocabulary, (int64_t)k->level, engine_options_of(t->e)->exact};
    const uint64_t sums[] = {hash_xxh3(reals, sizeof reals), hash_xxh3(wholes, sizeof wholes), t->from ? adapter_print(adapter_file_data(t->from)) : 0};
    return hash_xxh3(sums, sizeof sums);
}

static cj_err open_trainer(tuning *t, cj_diag *d)
{
    const tune_options *o = &t->opt;
    const tune_plan *p = &t->plan;
    const double peak = o->rate > 0 ? o->rate : p->kind == TUNE_WHOLE ? TUNE_RATE_WHOLE : TUNE_RATE;
    const int64_t rows = finds(t) ? finding_rows(t->finding) : i64_max(lessons_rows(t->lessons), t->held ? lessons_rows(t->held) : 0);
    const train_options how = {
        .passes = {.max_rows = rows, .keep_bytes = keep_bytes(t), .vocabulary = t->vocabulary, .n_vocabulary = t->vocabulary ? p->vocabulary : 0},
        .schedule = {.kind = o->schedule, .peak = peak, .least = peak / 20, .warmup = p->steps / 30, .steps = p->steps, .fall = p->steps / 5},
        .optimiser = OPTIMISER_USUAL,
        .accumulate = o->accumulate,
        .held_out = t->held || t->held_finding ? &t->held_source : NULL,
        .check_every = p->check_every,
        .patience = o->patience,
        .checkpoint = t->checkpoint,
        .save_every = o->save_every ? o->save_every : TUNE_SAVE_EVERY,
        .settings = settings_of(t),
        .ceiling = o->ceiling,
    };
    return train_open(&t->trainer, engine_model(t->e), t->trainee, &t->source, &how, d);
}

/* Operations of a forward pass over one token: two for each weight of the layers, attention left out. */
static double operations_of_layers(const tuning *t)
{
    const model_spec *spec = model_spec_of(engine_model(t->e));
    double n = 0;
    for (int i = 0; i < spec->n_layers; i++)
        for (adapter_target k = 0; k < ADAPTER_TARGETS; k++) {
            const kernel_weight *w = adapter_base(spec, i, k);
            if (w) n += 2.0 * (double)w->rows * (double)w->cols;
        }
    return n;
}

static double seconds_of(const tuning *t)
{
    const tune_plan *p = &t->plan;
    if (t->opt.ceiling <= 0 || !p->samples) return 0;
    const double learnt = (double)(p->steps - p->resumed) / (double)i64_max(1, p->steps_per_epoch) * (1 - (double)p->held / (double)p->samples);
    const double head = finds(t) ? 0 : 2.0 * (double)p->vocabulary * (double)model_spec_of(engine_model(t->e))->hidden;
    const double each = operations_of_layers(t) * (double)p->tokens + head * (double)p->scored;
    return (PASSES * each * learnt + operations_of_layers(t) * (double)p->passage_tokens) / (USUAL_SHARE * t->opt.ceiling);
}

static int64_t bytes_of(const tuning *t)
{
    const model *m = engine_model(t->e);
    const int64_t passages = t->plan.passage_tokens * model_token_bytes(m, t->opt.kv), room = (int64_t)(passage_bytes(t, false) + passage_bytes(t, true));
    const int64_t blocks = t->held || t->held_finding ? 5 : 4; /* weights, gradients, two moments, the best weights */
    return model_weight_bytes(m) + blocks * t->trainee->size * (int64_t)sizeof(float) + (int64_t)train_bytes(t->trainer) + i64_min(passages, room);
}

static cj_err resume(tuning *t, cj_diag *d)
{
    bool found = false;
    if (t->opt.fresh) return CJ_OK;
    TRY(train_resume(t->trainer, &found, d));
    t->plan.resumed = found ? train_state_of(t->trainer)->step : 0;
    return CJ_OK;
}

static cj_err open_parts(tuning *t, cj_diag *d)
{
    TRY(trainee_check(engine_model(t->e), d));
    TRY(make_samples(t, d));
    TRY(choose_vocabulary(t, d));
    if (finds(t)) {
        TRY(open_finding(t, false, &t->finding, &t->source, d));
        if (t->plan.held) TRY(open_finding(t, true, &t->held_finding, &t->held_source, d));
    } else {
        TRY(open_part(t, false, &t->lessons, &t->source, d));
        if (t->plan.held) TRY(open_part(t, true, &t->held, &t->held_source, d));
    }
    TRY(plan_steps(t, d));
    TRY(open_trainee(t, d));
    for (int i = 0; i < t->trainee->n_params; i++) t->plan.parameters += t->trainee->params[i].rows * t->trainee->params[i].cols;
    if (!t->plan.parameters) return diag_fail(d, CJ_E_USAGE, MSG_TUNE_NOTHING, "%d", model_spec_of(engine_model(t->e))->n_layers);
    TRY(open_trainer(t, d));
    TRY(resume(t, d));
    t->plan.bytes = bytes_of(t);
    t->plan.seconds = seconds_of(t);
    return CJ_OK;
}

/* The output may be replaced by what this tuning makes of it, and by nothing else. */
static cj_err check_out(const tuning *t, cj_diag *d)
{
    char *out = file_absolute(t->opt.out), *base = file_absolute(model_path(engine_model(t->e)));
    const bool good = out && base, same = good && !strcmp(out, base);
    mem_free(out);
    mem_free(base);
    if (!good) return diag_nomem(d, strlen(t->opt.out));
    if (same) return diag_fail(d, CJ_E_USAGE, MSG_TUNE_OUT_IS_MODEL, "%s", t->opt.out);
    if (!t->opt.fresh && file_exists(t->opt.out) && !file_exists(t->checkpoint)) return diag_fail(d, CJ_E_USAGE, MSG_TUNE_OUT_THERE, "%s", t->opt.out);
    return CJ_OK;
}

static cj_err take_lock(tuning *t, cj_diag *d)
{
    TRY(folder_lock(t->lock_path, &t->lock, d));
    return t->lock >= 0 ? CJ_OK : diag_fail(d, CJ_E_USAGE, MSG_TUNE_BUSY, "%s", t->opt.out);
}

static void leave_lock(tuning *t)
{
    if (t->lock >= 0) unlink(t->lock_path);
    folder_unlock(t->lock);
}

static char *beside(const char *out, const char *ending)
{
    const size_t size = strlen(out) + strlen(ending) + 1;
    char *path = mem_alloc(size);
    if (path) snprintf(path, size, "%s%s", out, ending);
    return path;
}

cj_err tune_open(tuning **out, engine *e, const training_rows *rows, const tune_options *o, cj_diag *d)
{
    *out = NULL;
    tuning *t = mem_zalloc(sizeof *t);
    if (!t) return diag_nomem(d, sizeof *t);
    *t = (tuning){.e = e, .rows = rows, .opt = *o, .lock = -1, .plan = {.kind = kind_of(rows, o->kind)}};
    if (!(t->opt.alpha > 0)) t->opt.alpha = 2 * o->rank;
    t->opt.accumulate = i64_max(1, o->accumulate);
    t->checkpoint = beside(o->out, ".checkpoint");
    t->log_path = beside(o->out, ".log.jsonl");
    t->picture_path = beside(o->out, ".svg");
    t->lock_path = beside(o->out, ".lock");
    cj_err err = t->checkpoint && t->log_path && t->picture_path && t->lock_path ? check_out(t, d) : diag_nomem(d, strlen(o->out));
    if (!err) err = take_lock(t, d);
    if (!err) err = open_parts(t, d);
    if (err) tune_close(&t);
    *out = t;
    return err;
}

void tune_close(tuning **pt)
{
    tuning *t = *pt;
    if (!t) return;
    tune_log_close(&t->log);
    train_close(&t->trainer);
    trainee_close(&t->trainee);
    adapter_file_close(&t->from);
    finding_close(&t->held_finding);
    finding_close(&t->finding);
    lessons_close(&t->held);
    lessons_close(&t->lessons);
    samples_deinit(&t->set);
    mem_free(t->vocabulary);
    mem_free(t->checkpoint);
    mem_free(t->log_path);
    mem_free(t->picture_path);
    leave_lock(t);
    mem_free(t->lock_path);
    mem_free(t);
    *pt = NULL;
}

/* ---- the run ---- */

/* What keeps the log from being written must not keep a model from learning. */
static void give_up_log(tuning *t) { tune_log_close(&t->log); }

static void on_report(void *arg, const train_report *r)
{
    tuning *t = arg;
    if (t->log && tune_log_add(t->log, r, &t->log_trouble)) give_up_log(t);
    if (t->log && r->checked && tune_log_draw(t->log, &t->opt.picture, t->picture_path, &t->log_trouble)) give_up_log(t);
    if (t->watch && t->watch->on_report) t->watch->on_report(t->watch->arg, r);
}

static bool go_on(void *arg)
{
    const tuning *t = arg;
    return !t->watch || !t->watch->go_on || t->watch->go_on(t->watch->arg);
}

cj_err tune_run(tuning *t, const train_watch *watch, cj_diag *d)
{
    const train_state *s = train_state_of(t->trainer);
    const train_watch ours = {t, go_on, on_report};
    t->watch = watch;
    if (!t->log && tune_log_open(&t->log, t->log_path, s->step, s->checked, &t->log_trouble)) give_up_log(t);
    cj_err e = train_run(t->trainer, &ours, d);
    if (t->log && tune_log_draw(t->log, &t->opt.picture, t->picture_path, &t->log_trouble)) give_up_log(t);
    t->watch = NULL;
    return e;
}

/* ---- what comes out ---- */

static adapter_facts facts_of(const tuning *t)
{
    const model *m = engine_model(t->e);
    const gguf_str base = source_name(model_source_of(m));
    adapter_facts f = {.base_print = model_fingerprint(m), .activated = t->plan.kind == TUNE_ACTIVATED || finds(t)};
    snprintf(f.name, sizeof f.name, "%s", t->opt.name);
    snprintf(f.arch, sizeof f.arch, "%s", model_spec_of(m)->family);
    snprintf(f.base, sizeof f.base, "%.*s", (int)base.len, base.data ? base.data : "");
    if (f.activated) snprintf(f.prompt, sizeof f.prompt, "%s", finds(t) ? FINDER_FORM : QA_FORM_NAME);
    for (int i = 0, n = 0; finds(t) && i < t->opt.n_heads && n < ADAPTER_TEXT_MAX; i++)
        n += snprintf(f.heads + n, sizeof f.heads - (size_t)n, i ? " %d.%d*%g" : "%d.%d*%g", t->opt.heads[i].layer, t->opt.heads[i].head, (double)t->opt.heads[i].weight);
    return f;
}

cj_err tune_write(const tuning *t, cj_diag *d)
{
    const adapter_facts facts = facts_of(t);
    const model *m = engine_model(t->e);
    convert_result r;
    if (t->plan.kind != TUNE_WHOLE) return adapter_file_write(t->opt.out, t->trainee->adapter, &facts, QUANT_F16, d);
    return trainee_write(t->trainee, m, t->opt.out, &(convert_options){.type = CONVERT_KEEP, .pool = kernel_pool(engine_kernel(t->e))}, &r, d);
}

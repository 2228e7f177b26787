/* Tuning. See tune.h. */
#include "tune/tune.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/file.h"
#include "base/hash.h"
#include "data/qa_form.h"
#include "model/adapter_file.h"
#include "model/trainee_write.h"

enum { PREFIX_TOKENS = 1 << 15, FREE_SHARE = 3 /* this part of what is free is for us */, KEEP_MAX = 1 << 30, FEW_TOKENS = 4 };

struct tuning {
    engine *e;
    const training_rows *rows;
    tune_options opt;
    char *checkpoint;
    tune_plan plan;
    sample_set set;
    lessons *lessons, *held;
    train_source source, held_source;
    int32_t *vocabulary; /* [plan.vocabulary] that the loss is taken over; NULL: all */
    trainee *trainee;
    trainer *trainer;
};

tune_options tune_usual(void)
{
    return (tune_options){.rank = 16, .epochs = 2, .batch = 1024, .accumulate = 1, .sample_tokens = 2048, .held = -1, .patience = 4, .kv = KV_Q8, .seed = 1};
}

const tune_plan *tune_plan_of(const tuning *t) { return &t->plan; }
const train_state *tune_state_of(const tuning *t) { return train_state_of(t->trainer); }
const trainee *tune_trainee_of(const tuning *t) { return t->trainee; }

/* ---- samples ---- */

static tune_kind kind_of(const training_rows *rows, tune_kind wanted)
{
    if (wanted != TUNE_AUTO) return wanted;
    for (int64_t i = 0; i < rows->n; i++)
        if (rows->row[i].form != ROW_PASSAGE) return TUNE_ORDINARY;
    return TUNE_ACTIVATED;
}

static double held_share(const tuning *t)
{
    return t->opt.held >= 0 ? t->opt.held : fmin(0.05, TUNE_HELD_ROWS / fmax(1, (double)t->rows->n));
}

static cj_err make_samples(tuning *t, cj_diag *d)
{
    const tokenizer *words;
    tune_plan *p = &t->plan;
    TRY(engine_need_tokenizer(t->e, &words, d));
    const sample_options how = {.chat_template = engine_template(t->e), .whole = p->kind != TUNE_ACTIVATED, .sample_tokens = t->opt.sample_tokens,
                                .prefix_tokens = PREFIX_TOKENS, .group_tokens = i64_max(t->opt.batch, t->opt.sample_tokens), .held = held_share(t)};
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
    if (t->opt.all_vocabulary || t->plan.kind == TUNE_WHOLE) return CJ_OK;
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
    p->check_every = t->opt.check_every ? t->opt.check_every : i64_max(1, i64_min(p->steps_per_epoch, p->steps) / 4);
    return CJ_OK;
}

/* ---- the trainer ---- */

static cj_err open_trainee(tuning *t, cj_diag *d)
{
    const model *m = engine_model(t->e);
    const tune_options *o = &t->opt;
    if (t->plan.kind == TUNE_WHOLE) return trainee_open_whole(&t->trainee, m, &(trainee_whole_options){.seed = o->seed}, d);
    const trainee_adapter_options a = {.rank = o->rank, .alpha = (float)o->alpha, .targets = o->targets, .first_layer = o->first_layer, .seed = o->seed};
    return trainee_open_adapter(&t->trainee, m, &a, d);
}

/* What decides the bits of a step besides what the trainer itself knows of. */
static uint64_t settings_of(const tuning *t)
{
    const kernel_table *k = kernel_table_of(engine_kernel(t->e));
    const double reals[] = {t->opt.alpha};
    const int64_t wholes[] = {t->plan.kind, t->plan.vocabulary, (int64_t)k->level, engine_options_of(t->e)->exact};
    const uint64_t sums[] = {hash_xxh3(reals, sizeof reals), hash_xxh3(wholes, sizeof wholes)};
    return hash_xxh3(sums, sizeof sums);
}

static cj_err open_trainer(tuning *t, cj_diag *d)
{
    const tune_options *o = &t->opt;
    const tune_plan *p = &t->plan;
    const double peak = o->rate > 0 ? o->rate : p->kind == TUNE_WHOLE ? TUNE_RATE_WHOLE : TUNE_RATE;
    const int64_t rows = i64_max(lessons_rows(t->lessons), t->held ? lessons_rows(t->held) : 0);
    const train_options how = {
        .passes = {.max_rows = rows, .keep_bytes = keep_bytes(t), .vocabulary = t->vocabulary, .n_vocabulary = t->vocabulary ? p->vocabulary : 0},
        .schedule = {.kind = o->schedule, .peak = peak, .least = peak / 20, .warmup = p->steps / 30, .steps = p->steps, .fall = p->steps / 5},
        .optimiser = OPTIMISER_USUAL,
        .accumulate = o->accumulate,
        .held_out = t->held ? &t->held_source : NULL,
        .check_every = p->check_every,
        .patience = o->patience,
        .checkpoint = t->checkpoint,
        .save_every = o->save_every ? o->save_every : TUNE_SAVE_EVERY,
        .settings = settings_of(t),
        .ceiling = o->ceiling,
    };
    return train_open(&t->trainer, engine_model(t->e), t->trainee, &t->source, &how, d);
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
    TRY(open_part(t, false, &t->lessons, &t->source, d));
    if (t->plan.held) TRY(open_part(t, true, &t->held, &t->held_source, d));
    TRY(plan_steps(t, d));
    TRY(open_trainee(t, d));
    for (int i = 0; i < t->trainee->n_params; i++) t->plan.parameters += t->trainee->params[i].rows * t->trainee->params[i].cols;
    t->plan.bytes = memory_of(t) + t->trainee->size * (int64_t)sizeof(float) * (t->held ? 5 : 4);
    TRY(open_trainer(t, d));
    return resume(t, d);
}

cj_err tune_open(tuning **out, engine *e, const training_rows *rows, const tune_options *o, cj_diag *d)
{
    *out = NULL;
    tuning *t = mem_zalloc(sizeof *t);
    if (!t) return diag_nomem(d, sizeof *t);
    *t = (tuning){.e = e, .rows = rows, .opt = *o, .plan = {.kind = kind_of(rows, o->kind)}};
    if (!(t->opt.alpha > 0)) t->opt.alpha = 2 * o->rank;
    t->opt.accumulate = i64_max(1, o->accumulate);
    const size_t size = strlen(o->out) + sizeof ".checkpoint";
    t->checkpoint = mem_alloc(size);
    if (t->checkpoint) snprintf(t->checkpoint, size, "%s.checkpoint", o->out);
    cj_err err = t->checkpoint ? open_parts(t, d) : diag_nomem(d, size);
    if (err) tune_close(&t);
    *out = t;
    return err;
}

void tune_close(tuning **pt)
{
    tuning *t = *pt;
    if (!t) return;
    train_close(&t->trainer);
    trainee_close(&t->trainee);
    lessons_close(&t->held);
    lessons_close(&t->lessons);
    samples_deinit(&t->set);
    mem_free(t->vocabulary);
    mem_free(t->checkpoint);
    mem_free(t);
    *pt = NULL;
}

cj_err tune_run(tuning *t, const train_watch *watch, cj_diag *d) { return train_run(t->trainer, watch, d); }

/* ---- what comes out ---- */

static adapter_facts facts_of(const tuning *t)
{
    const model *m = engine_model(t->e);
    const gguf_str base = source_name(model_source_of(m));
    adapter_facts f = {.base_print = model_fingerprint(m), .activated = t->plan.kind == TUNE_ACTIVATED};
    snprintf(f.name, sizeof f.name, "%s", t->opt.name);
    snprintf(f.arch, sizeof f.arch, "%s", model_spec_of(m)->family);
    snprintf(f.base, sizeof f.base, "%.*s", (int)base.len, base.data ? base.data : "");
    if (f.activated) snprintf(f.prompt, sizeof f.prompt, "%s", QA_FORM_NAME);
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

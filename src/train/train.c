/* The loop. See train.h. */
#include "train/train.h"

#include <math.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "kernel/train.h"

struct trainer {
    const model *m;
    trainee *t;
    train_source source;
    train_options opt;
    grad_job *job;
    optimiser optimiser;
    train_state state;  /* without the optimiser's, which is put in when it is saved */
    float *best;        /* device memory: the weights that did best on the held-out part; NULL without one */
};

/* ---- opening ---- */

cj_err train_open(trainer **out, const model *m, trainee *t, const train_source *source, const train_options *o, cj_diag *d)
{
    trainer *r = mem_zalloc(sizeof *r);
    if (!r) return diag_nomem(d, sizeof *r);
    *r = (trainer){.m = m, .t = t, .source = *source, .opt = *o};
    r->opt.accumulate = i64_max(1, o->accumulate);
    cj_err e = grad_open(&r->job, t, &o->passes, d);
    if (!e) e = optimiser_open(&r->optimiser, t, &o->optimiser, d);
    if (!e && o->held_out && !(r->best = kernel_alloc(t->ctx, (size_t)t->size * sizeof *r->best))) e = diag_nomem(d, (size_t)t->size * sizeof *r->best);
    if (e) {
        train_close(&r);
        return e;
    }
    op_zero(t->ctx, t->g, t->size);
    *out = r;
    return CJ_OK;
}

void train_close(trainer **pr)
{
    trainer *r = *pr;
    if (!r) return;
    grad_close(&r->job);
    optimiser_close(&r->optimiser);
    kernel_free(r->t->ctx, r->best);
    mem_free(r);
    *pr = NULL;
}

const train_state *train_state_of(const trainer *r) { return &r->state; }
size_t train_bytes(const trainer *r) { return grad_bytes(r->job); }

/* A check follows a step as a unit of its own, so that it can be stopped, and done after a resume. */
static bool check_is_due(const trainer *r)
{
    const train_options *o = &r->opt;
    const int64_t step = r->state.step;
    return o->held_out && step > r->state.checked && (step >= o->schedule.steps || (o->check_every && step % o->check_every == 0));
}

bool train_is_done(const trainer *r)
{
    const bool enough = r->opt.patience && r->state.worse >= r->opt.patience;
    return !check_is_due(r) && (enough || r->state.step >= r->opt.schedule.steps);
}

/* ---- checkpoints ---- */

/* Numbers that decide what the next step does. */
static uint64_t settings_of(const trainer *r)
{
    const train_options *o = &r->opt;
    const optimiser_options *a = &o->optimiser;
    const schedule *s = &o->schedule;
    const double reals[] = {a->beta1, a->beta2, a->eps, a->decay, a->clip, a->spike, s->peak, s->least};
    const int64_t wholes[] = {s->kind, s->warmup, s->steps, s->fall, o->accumulate, o->held_out ? o->check_every : 0, o->held_out ? o->patience : 0};
    const uint64_t sums[] = {hash_xxh3(reals, sizeof reals), hash_xxh3(wholes, sizeof wholes), o->settings};
    return hash_xxh3(sums, sizeof sums);
}

static checkpoint_key key_of(const trainer *r)
{
    const uint64_t data[] = {r->source.fingerprint, r->opt.held_out ? r->opt.held_out->fingerprint : 0};
    return (checkpoint_key){.model = model_fingerprint(r->m), .shape = checkpoint_shape(r->t), .data = hash_xxh3(data, sizeof data),
                            .settings = settings_of(r), .size = r->t->size, .blocks = r->best ? 4 : 3};
}

cj_err train_resume(trainer *r, bool *found, cj_diag *d)
{
    const checkpoint_key key = key_of(r);
    *found = r->opt.checkpoint && file_exists(r->opt.checkpoint);
    if (!*found) return CJ_OK;
    TRY(checkpoint_read(r->opt.checkpoint, r->t->ctx, &key, &r->state, (float *const[]){r->t->w, r->optimiser.m, r->optimiser.v, r->best}, d));
    r->optimiser.state = r->state.optimiser;
    op_zero(r->t->ctx, r->t->g, r->t->size);
    return CJ_OK;
}

cj_err train_save(trainer *r, cj_diag *d)
{
    const checkpoint_key key = key_of(r);
    if (!r->opt.checkpoint) return CJ_OK;
    r->state.optimiser = r->optimiser.state;
    return checkpoint_write(r->opt.checkpoint, r->t->ctx, &key, &r->state, (float *const[]){r->t->w, r->optimiser.m, r->optimiser.v, r->best}, d);
}

/* ---- steps ---- */

/* What the batches of a step, or of a check, add up to. */
typedef struct tally {
    double loss, weight, operations;
    int64_t rows, scored;
} tally;

static cj_err run_batch(trainer *r, const grad_batch *b, const train_watch *watch, tally *sum, cj_diag *d)
{
    TRY(grad_begin(r->job, b, d));
    for (bool done = false; !done;) {
        if (watch && watch->go_on && !watch->go_on(watch->arg)) return diag_fail(d, CJ_E_CANCELLED, MSG_CANCELLED, "%d", 0);
        TRY(grad_step(r->job, &done, d));
    }
    const grad_result g = grad_result_of(r->job);
    sum->loss += g.loss;
    sum->weight += g.weight;
    sum->operations += g.operations;
    sum->rows += g.rows;
    sum->scored += g.scored;
    return CJ_OK;
}

static cj_err gather_gradients(trainer *r, const train_watch *watch, train_cursor *cursor, tally *sum, cj_diag *d)
{
    for (int64_t i = 0; i < r->opt.accumulate; i++) {
        grad_batch b = {0};
        TRY(r->source.next(r->source.arg, cursor, &b, d));
        if (!b.n_seqs) return diag_fail(d, CJ_E_INPUT, MSG_TRAIN_NO_DATA, "%d", 0);
        b.only_loss = false;
        b.losses = NULL;
        TRY(run_batch(r, &b, watch, sum, d));
    }
    return CJ_OK;
}

cj_err train_step(trainer *r, const train_watch *watch, train_report *out, cj_diag *d)
{
    train_state *s = &r->state;
    train_cursor cursor = s->cursor;
    tally sum = {0};
    const double start = clock_now(), rate = schedule_rate(&r->opt.schedule, s->step + 1);
    *out = (train_report){.steps = r->opt.schedule.steps, .rate = rate};
    cj_err e = gather_gradients(r, watch, &cursor, &sum, d);
    if (e) {
        op_zero(r->t->ctx, r->t->g, r->t->size);
        return e;
    }
    TRY(optimiser_step(&r->optimiser, rate, sum.weight > 0 ? sum.weight : 1, &out->norm, &out->skipped, d));
    const double seconds = clock_now() - start;
    s->cursor = cursor;
    s->step++;
    s->rows += sum.rows;
    s->scored += sum.scored;
    s->seconds += seconds;
    s->optimiser = r->optimiser.state;
    out->step = s->step;
    out->loss = sum.weight > 0 ? sum.loss / sum.weight : 0;
    out->rows = s->rows;
    out->skips = s->optimiser.skipped;
    out->rows_per_second = (double)sum.rows / fmax(seconds, 1e-9);
    out->share = r->opt.ceiling > 0 ? sum.operations / fmax(seconds, 1e-9) / r->opt.ceiling : 0;
    out->eta_seconds = s->seconds / (double)s->step * (double)(out->steps - s->step);
    return CJ_OK;
}

/* ---- the held-out part ---- */

cj_err train_measure(trainer *r, const train_source *source, const train_watch *watch, double *loss, cj_diag *d)
{
    train_cursor cursor = {0};
    tally sum = {0};
    for (;;) {
        grad_batch b = {0};
        TRY(source->next(source->arg, &cursor, &b, d));
        if (!b.n_seqs) break;
        b.only_loss = true;
        b.losses = NULL;
        TRY(run_batch(r, &b, watch, &sum, d));
    }
    if (!(sum.weight > 0)) return diag_fail(d, CJ_E_INPUT, MSG_TRAIN_NO_DATA, "%d", 0);
    *loss = sum.loss / sum.weight;
    return CJ_OK;
}

static void copy(trainer *r, float *to, const float *from)
{
    op_zero(r->t->ctx, to, r->t->size);
    op_axpy(r->t->ctx, to, from, 1, r->t->size);
}

static cj_err check(trainer *r, const train_watch *watch, train_report *out, cj_diag *d)
{
    train_state *s = &r->state;
    *out = (train_report){.step = s->step, .steps = r->opt.schedule.steps, .checked = true};
    TRY(train_measure(r, r->opt.held_out, watch, &out->held_out, d));
    out->best = !s->best_step || out->held_out < s->best_loss;
    s->checked = s->step;
    s->worse++;
    if (!out->best) return CJ_OK;
    s->worse = 0;
    s->best_step = s->step;
    s->best_loss = out->held_out;
    copy(r, r->best, r->t->w);
    return CJ_OK;
}

/* ---- the run ---- */

static cj_err run_unit(trainer *r, const train_watch *watch, cj_diag *d)
{
    train_report report;
    const bool checks = check_is_due(r);
    TRY(checks ? check(r, watch, &report, d) : train_step(r, watch, &report, d));
    if (watch && watch->on_report) watch->on_report(watch->arg, &report);
    return !checks && r->opt.save_every && r->state.step % r->opt.save_every == 0 ? train_save(r, d) : CJ_OK;
}

cj_err train_run(trainer *r, const train_watch *watch, cj_diag *d)
{
    cj_err e = CJ_OK;
    while (!e && !train_is_done(r)) e = run_unit(r, watch, d);
    if (e == CJ_E_CANCELLED) TRY(train_save(r, d));
    if (e) return e;
    TRY(train_save(r, d));
    if (r->best && r->state.best_step) copy(r, r->t->w, r->best);
    return CJ_OK;
}

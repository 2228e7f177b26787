/* The losses of 300 steps are those of PyTorch on the same data from the same weights, within 1e-3 at each step: whole models, and adapters over
 * prefixes, in exact mode and in the fast one. The figures are tests/fixtures/train_losses, made by tests/train/torch_losses.py, which draws tokens and weights as this file does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "model/forward.h"
#include "train/train.h"

enum { STEPS = 300, SEQS = 4, ROWS = 24, PREFIX = 20, RANK = 4, ALPHA = 8 };

typedef struct world {
    kernel_ctx *ctx;
    model *m;
    trainee *t;
    trainer *r;
    kv_cache *prefix[SEQS];
    int32_t text[SEQS][ROWS + 1];
    grad_seq seqs[SEQS];
} world;

static void ok(cj_err e, cj_diag *d)
{
    char text[1024];
    if (!e) return;
    cj_diag_text(d, CJ_LANG_EN, text, sizeof text);
    fail_msg("%s", text);
}

static void draw_tokens(int32_t *out, int64_t step, int seq, int n, int64_t vocab)
{
    random_state r = {(uint64_t)(step * 1000 + seq)};
    out[0] = (int32_t)((step * 31 + seq * 17 + 3) % vocab);
    for (int i = 1; i < n; i++) out[i] = (int32_t)((out[i - 1] * 5 + 7 + (int64_t)(random_bits(&r) % 3)) % vocab);
}

static cj_err next(void *arg, train_cursor *cursor, grad_batch *out, cj_diag *d)
{
    world *w = arg;
    const int64_t step = (int64_t)++cursor->at[0];
    for (int s = 0; s < SEQS; s++) {
        draw_tokens(w->text[s], step, s, ROWS + 1, model_spec_of(w->m)->vocab);
        w->seqs[s] = (grad_seq){.prefix = w->prefix[s], .ids = w->text[s], .targets = w->text[s] + 1, .count = ROWS};
    }
    *out = (grad_batch){.seqs = w->seqs, .n_seqs = SEQS};
    return CJ_OK;
}

static void open_adapter(world *w)
{
    cj_diag d = {0};
    ok(trainee_open_adapter(&w->t, w->m, &(trainee_adapter_options){.rank = RANK, .alpha = ALPHA}, &d), &d);
    for (int k = 0; k < w->t->n_params; k += 2) {
        const param *p = &w->t->params[k];
        const double spread = 2 / sqrt((double)p->cols);
        for (uint64_t i = 0; i < (uint64_t)(p->rows * p->cols); i++) {
            const uint32_t x = (uint32_t)(i * 2654435761u + (uint64_t)k * 40503u + 12345u);
            w->t->w[p->at + (int64_t)i] = (float)(((double)x / 4294967296.0 - 0.5) * spread);
        }
    }
}

static void read_prefixes(world *w)
{
    cj_diag d = {0};
    int32_t ids[PREFIX];
    model_job *job = NULL;
    ok(model_job_open(&job, w->m, PREFIX, &d), &d);
    for (int s = 0; s < SEQS; s++) {
        bool done = false;
        draw_tokens(ids, 900, s, PREFIX, model_spec_of(w->m)->vocab);
        ok(model_kv_open(w->m, KV_F32, &w->prefix[s], &d), &d);
        const model_rows rows = {.kv = w->prefix[s], .ids = ids, .count = PREFIX};
        ok(model_job_begin(job, &(model_batch){.seqs = &rows, .n_seqs = 1}, &d), &d);
        while (!done) ok(model_job_step(job, &done, &d), &d);
    }
    model_job_close(&job);
}

static void begin(world *w, const char *name, bool adapter, bool exact)
{
    char path[512];
    cj_diag d = {0};
    *w = (world){0};
    snprintf(path, sizeof path, "%s/tests/golden/%s/model.gguf", getenv("CJ_SOURCE"), name);
    ok(kernel_open(&w->ctx, &(kernel_options){.level = KERNEL_AUTO, .threads = 1, .exact = exact}, &d), &d);
    ok(model_open(&w->m, w->ctx, path, &d), &d);
    if (adapter) {
        open_adapter(w);
        read_prefixes(w);
    } else ok(trainee_open_whole(&w->t, w->m, &(trainee_whole_options){0}, &d), &d);
    const train_source source = {.arg = w, .next = next};
    const train_options o = {
        .passes = {.max_rows = SEQS * ROWS, .keep_bytes = 1 << 28},
        .schedule = {.peak = 2e-3, .least = 2e-4, .warmup = 20, .steps = STEPS},
        .optimiser = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .decay = 0.1, .clip = 1},
    };
    ok(train_open(&w->r, w->m, w->t, &source, &o, &d), &d);
}

static void end(world *w)
{
    train_close(&w->r);
    trainee_close(&w->t);
    for (int s = 0; s < SEQS; s++) kv_close(&w->prefix[s]);
    model_close(&w->m);
    kernel_close(&w->ctx);
}

static void compare(const char *name, const char *model_name, bool adapter, bool exact)
{
    char path[512];
    cj_diag d = {0};
    world w;
    double worst = 0;
    int worst_step = 0;
    snprintf(path, sizeof path, "%s/tests/fixtures/train_losses/%s.txt", getenv("CJ_SOURCE"), name);
    FILE *f = fopen(path, "r");
    if (!f) fail_msg("%s cannot be read", path);
    begin(&w, model_name, adapter, exact);
    const double most = exact || kernel_table_of(w.ctx)->level != KERNEL_AMX ? 1e-3 : 2e-2; /* tiles multiply in bfloat16 */
    for (int i = 1; i <= STEPS; i++) {
        train_report r;
        double want;
        assert_int_equal(fscanf(f, "%lf", &want), 1);
        ok(train_step(w.r, NULL, &r, &d), &d);
        if (fabs(r.loss - want) > worst) worst = fabs(r.loss - want), worst_step = i;
        if (!(fabs(r.loss - want) <= most)) fail_msg("%s, step %d: %.6f, PyTorch has %.6f", name, i, r.loss, want);
    }
    print_message("# %s, %s: at most %.1e from PyTorch, at step %d\n", name, exact ? "exact" : "fast", worst, worst_step);
    fclose(f);
    end(&w);
}

static void a_whole_model_without_ties(void **state) { (void)state; compare("whole-llama-biases", "llama-biases", false, true); }
static void a_whole_model_with_windows(void **state) { (void)state; compare("whole-gemma3", "gemma3", false, true); }
static void an_adapter_after_a_prefix(void **state) { (void)state; compare("adapter-gemma3", "gemma3", true, true); }
static void an_adapter_with_biases(void **state) { (void)state; compare("adapter-qwen2", "qwen2", true, true); }

static void a_whole_model_in_fast_mode(void **state) { (void)state; compare("whole-gemma3", "gemma3", false, false); }
static void an_adapter_in_fast_mode(void **state) { (void)state; compare("adapter-gemma3", "gemma3", true, false); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_model_without_ties), cmocka_unit_test(a_whole_model_with_windows), cmocka_unit_test(an_adapter_after_a_prefix),
        cmocka_unit_test(an_adapter_with_biases), cmocka_unit_test(a_whole_model_in_fast_mode), cmocka_unit_test(an_adapter_in_fast_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

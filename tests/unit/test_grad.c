/* The forward and backward passes of training, on the golden models: the loss is what inference says it is, and the gradients are what finite
 * differences say they are, of a whole model and of an adapter, with a prefix and without, kept or computed again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "model/forward.h"
#include "model/grad.h"
#include "model/low_rank.h"
#include "model/trainee_write.h"
#include "support/own_folder.h"

enum { ROWS = 40, SEQS = 3, PREFIX = 29, AIMS = 3, LAYERS_MAX = 16 };
static const int64_t counts[SEQS] = {22, 1, 17};

/* What the tests of one model share: rows of several sequences, some scored, with weights. */
typedef struct world {
    kernel_ctx *ctx;
    model *m;
    trainee *t;
    grad_job *job;
    kv_cache *prefix[SEQS];
    int32_t ids[ROWS], targets[ROWS], before[SEQS][PREFIX];
    float weights[ROWS], losses[ROWS];
    grad_seq seqs[SEQS];
    op_attn_aim aims[AIMS];      /* looked at only with aim_begin */
    int aim_begin[LAYERS_MAX + 1];
    float mass[AIMS][ROWS], looks[AIMS];
    bool aiming;
} world;

static const char *golden(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/tests/golden/%s/model.gguf", getenv("CJ_SOURCE"), name);
    return path;
}

static void ok(cj_err e, cj_diag *d)
{
    char text[1024];
    if (!e) return;
    cj_diag_text(d, CJ_LANG_EN, text, sizeof text);
    fail_msg("%s", text);
}

static void open_threads(world *w, const char *path, int threads)
{
    cj_diag d = {0};
    *w = (world){0};
    ok(kernel_open(&w->ctx, &(kernel_options){.level = KERNEL_AUTO, .threads = threads, .exact = true}, &d), &d);
    ok(model_open(&w->m, w->ctx, path, &d), &d);
    random_state r = {7};
    const uint64_t vocab = (uint64_t)model_spec_of(w->m)->vocab;
    for (int i = 0, at = 0; i < SEQS; at += (int)counts[i++]) {
        w->seqs[i] = (grad_seq){.ids = w->ids + at, .targets = w->targets + at, .weights = w->weights + at, .count = counts[i]};
        for (int k = 0; k < PREFIX; k++) w->before[i][k] = (int32_t)(random_bits(&r) % vocab);
    }
    for (int i = 0; i < ROWS; i++) {
        w->ids[i] = (int32_t)(random_bits(&r) % vocab);
        w->targets[i] = i % 5 == 2 ? -1 : (int32_t)(random_bits(&r) % vocab);
        w->weights[i] = 0.5f + (float)random_unit(&r);
    }
}

/* By one thread: any number gives the same bits (keeping_changes_nothing), and these models are so small that threads would wait for each other most
 * of the time, and on a busy machine all of it. */
static void open_model(world *w, const char *path) { open_threads(w, path, 1); }

static void close_model(world *w)
{
    grad_close(&w->job);
    trainee_close(&w->t);
    for (int i = 0; i < SEQS; i++) kv_close(&w->prefix[i]);
    model_close(&w->m);
    kernel_close(&w->ctx);
}

/* Reads ids on into a context by the ordinary forward pass, through an adapter or not (NULL); logits [n][vocab] or NULL. */
static void read_on(world *w, kv_cache *kv, const int32_t *ids, int64_t n, const low_rank *adapter, float *logits)
{
    cj_diag d = {0};
    model_job *job = NULL;
    bool done = false;
    ok(model_job_open(&job, w->m, n, &d), &d);
    const model_rows rows = {.kv = kv, .ids = ids, .count = n, .adapter = adapter, .logits = logits ? WANT_ALL : WANT_NONE};
    ok(model_job_begin(job, &(model_batch){.seqs = &rows, .n_seqs = 1, .logits = logits}, &d), &d);
    while (!done) ok(model_job_step(job, &done, &d), &d);
    model_job_close(&job);
}

/* The first and the last sequence get a prefix, of different lengths. */
static void read_prefixes(world *w)
{
    cj_diag d = {0};
    for (int i = 0; i < SEQS; i += 2) {
        ok(model_kv_open(w->m, KV_F32, &w->prefix[i], &d), &d);
        read_on(w, w->prefix[i], w->before[i], PREFIX - i, NULL, NULL);
        w->seqs[i].prefix = w->prefix[i];
    }
}

static grad_result run(world *w, bool only_loss)
{
    cj_diag d = {0};
    bool done = false;
    ok(grad_begin(w->job, &(grad_batch){.seqs = w->seqs, .n_seqs = SEQS, .only_loss = only_loss, .losses = w->losses, .aims = w->aims, .aim_begin = w->aiming ? w->aim_begin : NULL}, &d), &d);
    while (!done) ok(grad_step(w->job, &done, &d), &d);
    return grad_result_of(w->job);
}

static void open_job(world *w, size_t keep)
{
    cj_diag d = {0};
    grad_close(&w->job);
    ok(grad_open(&w->job, w->t, &(grad_options){.max_rows = ROWS, .keep_bytes = keep}, &d), &d);
}

/* An adapter that does something: b is not 0 any more. */
static void open_adapter(world *w, unsigned targets, int first_layer)
{
    cj_diag d = {0};
    random_state r = {11};
    ok(trainee_open_adapter(&w->t, w->m, &(trainee_adapter_options){.rank = 3, .alpha = 6, .targets = targets, .first_layer = first_layer, .seed = 5}, &d), &d);
    for (int i = 0; i < w->t->n_params; i++) {
        const param *p = &w->t->params[i];
        for (int64_t k = 0; k < p->rows * p->cols; k++) w->t->w[p->at + k] += 0.1f * (float)random_normal(&r);
    }
}

static void open_whole(world *w)
{
    cj_diag d = {0};
    ok(trainee_open_whole(&w->t, w->m, &(trainee_whole_options){0}, &d), &d);
}

/* ---- the loss ---- */

static double nll(const float *logits, int64_t vocab, int32_t target)
{
    double sum = 0, max = -INFINITY;
    for (int64_t i = 0; i < vocab; i++) max = fmax(max, (double)logits[i]);
    for (int64_t i = 0; i < vocab; i++) sum += exp((double)logits[i] - max);
    return max + log(sum) - (double)logits[target];
}

/* With an adapter: inference acts by it from the end of the prefix on. */
static void check_loss(const char *name, bool prefixed, bool adapter)
{
    world w;
    open_model(&w, golden(name));
    if (prefixed) read_prefixes(&w);
    low_rank *low = NULL;
    if (adapter) {
        cj_diag d = {0};
        open_adapter(&w, 0, 0);
        ok(low_rank_open(&low, w.ctx, w.t->adapter, &d), &d);
    } else open_whole(&w);
    open_job(&w, 0);
    const grad_result got = run(&w, true);
    const int64_t vocab = model_spec_of(w.m)->vocab;
    double loss = 0, weight = 0;
    int64_t scored = 0;
    for (int s = 0, at = 0; s < SEQS; at += (int)counts[s++]) {
        cj_diag d = {0};
        kv_cache *kv = NULL;
        float *logits = mem_array((size_t)(ROWS * vocab), sizeof *logits);
        ok(model_kv_open(w.m, KV_F32, &kv, &d), &d);
        if (w.prefix[s]) read_on(&w, kv, w.before[s], PREFIX - s, NULL, NULL);
        read_on(&w, kv, w.seqs[s].ids, counts[s], low, logits);
        for (int i = 0; i < counts[s]; i++) {
            const double want = w.targets[at + i] < 0 ? 0 : nll(logits + i * vocab, vocab, w.targets[at + i]);
            if (!(fabs((double)w.losses[at + i] - want) < 2e-5)) fail_msg("%s row %d: %.7f, inference says %.7f", name, at + i, (double)w.losses[at + i], want);
            if (w.targets[at + i] < 0) continue;
            loss += (double)w.weights[at + i] * want;
            weight += (double)w.weights[at + i];
            scored++;
        }
        kv_close(&kv);
        mem_free(logits);
    }
    assert_true(fabs(got.loss - loss) < 1e-4 * loss && fabs(got.weight - weight) < 1e-9 && got.scored == scored && got.rows == ROWS);
    assert_true(got.operations > 0);
    low_rank_close(&low);
    close_model(&w);
}

static const char *const families[] = {"llama", "llama-biases", "llama-yarn", "gemma3", "gemma3-mqa", "qwen2", "qwen3"};
enum { FAMILIES = sizeof families / sizeof *families };

static void the_loss_is_that_of_inference(void **state)
{
    (void)state;
    for (int i = 0; i < FAMILIES; i++) {
        check_loss(families[i], false, false);
        check_loss(families[i], true, false);
        check_loss(families[i], true, true);
    }
}

/* ---- gradients ---- */

/* The derivative of the loss along u, by differences of the fourth order. */
static double derivative(world *w, const param *p, const float *u, double h)
{
    const int64_t n = p->rows * p->cols;
    float *x = w->t->w + p->at, *old = mem_array((size_t)n, sizeof *old);
    const double at[4] = {1, -1, 2, -2}, by[4] = {8, -8, -1, 1};
    double sum = 0;
    memcpy(old, x, (size_t)n * sizeof *x);
    for (int k = 0; k < 4; k++) {
        for (int64_t i = 0; i < n; i++) x[i] = (float)((double)old[i] + h * at[k] * (double)u[i]);
        sum += by[k] * run(w, true).loss;
    }
    memcpy(x, old, (size_t)n * sizeof *x);
    mem_free(old);
    return sum / (12 * h);
}

/* Every parameter along its gradient, and along a random direction with the gradient mixed in. */
static void check_gradients(world *w, const char *what)
{
    int64_t widest = 0;
    memset(w->t->g, 0, (size_t)w->t->size * sizeof(float));
    run(w, false);
    for (int i = 0; i < w->t->n_params; i++) widest = i64_max(widest, w->t->params[i].rows * w->t->params[i].cols);
    float *u = mem_array((size_t)widest, sizeof *u);
    random_state r = {3};
    for (int i = 0; i < w->t->n_params; i++) {
        const param *p = &w->t->params[i];
        const float *g = w->t->g + p->at;
        const int64_t n = p->rows * p->cols;
        double norm = 0, along = 0, length = 0;
        for (int64_t k = 0; k < n; k++) norm += (double)g[k] * (double)g[k];
        norm = sqrt(norm);
        if (!(norm > 0)) fail_msg("%s %s: no gradient", what, p->name);
        for (int64_t k = 0; k < n; k++) u[k] = (float)((double)g[k] / norm + random_normal(&r) / sqrt((double)n));
        for (int64_t k = 0; k < n; k++) length += (double)u[k] * (double)u[k];
        for (int64_t k = 0; k < n; k++) u[k] = (float)((double)u[k] / sqrt(length));
        for (int64_t k = 0; k < n; k++) along += (double)g[k] * (double)u[k];
        const double want = derivative(w, p, u, fmin(0.02, 0.3 / norm));
        if (!(fabs(want - along) <= 3e-3 * norm + 2e-3)) fail_msg("%s %s: %.6f, differences say %.6f (norm %.4f)", what, p->name, along, want, norm);
    }
    mem_free(u);
}

static void a_whole_model(void **state)
{
    (void)state;
    static const char *const names[] = {"llama-biases", "gemma3"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        world w;
        open_model(&w, golden(names[i]));
        if (i) read_prefixes(&w);
        open_whole(&w);
        open_job(&w, SIZE_MAX);
        check_gradients(&w, names[i]);
        close_model(&w);
    }
}

/* No golden model has caps, so the copy of one gets them. */
static void caps_on_scores_and_logits(void **state)
{
    (void)state;
    world w;
    open_model(&w, golden("gemma3"));
    open_whole(&w);
    model_spec *spec = (model_spec *)(uintptr_t)w.t->spec;
    spec->logit_softcap = 3;
    for (int i = 0; i < spec->n_layers; i++) spec->layers[i].gqa.softcap = 1.5f;
    open_job(&w, 0);
    check_gradients(&w, "caps");
    close_model(&w);
}

static void an_adapter(void **state)
{
    (void)state;
    static const struct { const char *name; bool prefixed; unsigned targets; int first_layer; } cases[] = {
        {"gemma3", true, 0, 0}, {"llama", false, 0, 0}, {"qwen2", true, 1u << ADAPTER_Q | 1u << ADAPTER_V | 1u << ADAPTER_DOWN, 1},
        {"gemma3-mqa", true, 1u << ADAPTER_K | 1u << ADAPTER_O | 1u << ADAPTER_UP, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        world w;
        open_model(&w, golden(cases[i].name));
        if (cases[i].prefixed) read_prefixes(&w);
        open_adapter(&w, cases[i].targets, cases[i].first_layer);
        open_job(&w, 0);
        check_gradients(&w, cases[i].name);
        close_model(&w);
    }
}

/* Two aims in the first layer, one in the second: at the prefix, at a row's own sequence, and at both. */
static void set_aims(world *w)
{
    const int64_t after = kv_count(w->prefix[0]);
    const op_attn_aim aims[AIMS] = {{.seq = 0, .head = 1, .begin = 4, .end = 9, .weight = 0.7f}, {.seq = 2, .head = 0, .row = 3, .begin = PREFIX - 4, .end = PREFIX + 4, .weight = 1.5f},
                                    {.seq = 0, .head = 0, .row = 10, .rows = 2, .begin = after, .end = after + 6, .weight = 1}};
    for (int i = 0; i < AIMS; i++) {
        w->aims[i] = aims[i];
        w->aims[i].mass = w->mass[i];
        w->aims[i].loss = &w->looks[i];
    }
    for (int i = 0; i <= LAYERS_MAX; i++) w->aim_begin[i] = i > 1 ? AIMS : i > 0 ? 2 : 0;
    w->aiming = true;
}

/* Beside what is predicted, and alone: then no more is run than they need. */
static void aims(void **state)
{
    (void)state;
    for (int alone = 0; alone < 2; alone++) {
        world w;
        cj_diag d = {0};
        open_model(&w, golden("gemma3"));
        read_prefixes(&w);
        random_state r = {11};
        const trainee_adapter_options o = {.rank = 3, .alpha = 6, .targets = 1u << ADAPTER_Q | 1u << ADAPTER_K, .end_layer = alone ? 2 : 0, .seed = 5};
        ok(trainee_open_adapter(&w.t, w.m, &o, &d), &d);
        for (int64_t i = 0; i < w.t->size; i++) w.t->w[i] += (float)(0.2 * random_normal(&r));
        for (int i = 0; alone && i < ROWS; i++) w.targets[i] = -1;
        open_job(&w, alone ? 0 : SIZE_MAX);
        const grad_result before = run(&w, true);
        set_aims(&w);
        const grad_result all = run(&w, true);
        double want = before.loss;
        for (int i = 0; i < AIMS; i++) want += (double)w.aims[i].weight * (double)w.looks[i];
        assert_float_equal(all.loss, want, 1e-4 * want);
        assert_float_equal(all.weight - before.weight, 3.2, 1e-5);
        if (alone) assert_true(all.operations < before.operations);
        check_gradients(&w, alone ? "aims alone" : "aims");
        close_model(&w);
    }
}

/* Over weights that are stored in 8 bits. */
static void an_adapter_on_a_quantised_model(void **state)
{
    (void)state;
    world w;
    open_model(&w, getenv("CJ_TINY_WINDOWS"));
    open_adapter(&w, 1u << ADAPTER_Q | 1u << ADAPTER_DOWN, 5);
    open_job(&w, 1 << 20);
    check_gradients(&w, "quantised");
    close_model(&w);
}

/* Whatever is kept, the same bits come out; and again, and at another number of threads. */
static void keeping_changes_nothing(void **state)
{
    (void)state;
    for (int whole = 0; whole < 2; whole++) {
        float *first = NULL;
        int64_t size = 0;
        for (int round = 0; round < 4; round++) {
            world w;
            open_threads(&w, golden("gemma3"), round == 3 ? 1 : 2);
            read_prefixes(&w);
            if (whole) open_whole(&w);
            else open_adapter(&w, 0, 0);
            open_job(&w, (const size_t[]){0, 100000, SIZE_MAX, 100000}[round]);
            run(&w, false);
            if (!first) {
                size = w.t->size;
                first = mem_array((size_t)size, sizeof *first);
                memcpy(first, w.t->g, (size_t)size * sizeof *first);
            }
            assert_int_equal(size, w.t->size);
            assert_memory_equal(first, w.t->g, (size_t)size * sizeof *first);
            close_model(&w);
        }
        mem_free(first);
    }
}

/* ---- a part of the vocabulary ---- */

/* Every third token, and all targets. Returns how many. */
static int64_t part_of(const world *w, int32_t *part)
{
    const int64_t vocab = model_spec_of(w->m)->vocab;
    int64_t n = 0;
    for (int32_t id = 0; id < vocab; id++) {
        bool in = id % 3 == 1;
        for (int i = 0; i < ROWS; i++) in |= w->targets[i] == id;
        if (in) part[n++] = id;
    }
    return n;
}

static void open_part(world *w, const int32_t *part, int64_t n)
{
    cj_diag d = {0};
    ok(grad_open(&w->job, w->t, &(grad_options){.max_rows = ROWS, .vocabulary = part, .n_vocabulary = n}, &d), &d);
}

static void the_loss_over_a_part_of_the_vocabulary(void **state)
{
    (void)state;
    static const char *const names[] = {"gemma3", "llama-biases"}; /* a tied head, and one of its own */
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        world w;
        cj_diag d = {0};
        low_rank *low = NULL;
        open_model(&w, golden(names[k]));
        open_adapter(&w, 0, 0);
        const int64_t vocab = model_spec_of(w.m)->vocab;
        int32_t *part = mem_array((size_t)vocab, sizeof *part);
        float *logits = mem_array((size_t)(ROWS * vocab), sizeof *logits), of_part[4096];
        const int64_t n = part_of(&w, part);
        assert_true(n < vocab && n <= 4096);
        open_part(&w, part, n);
        run(&w, true);
        ok(low_rank_open(&low, w.ctx, w.t->adapter, &d), &d);
        for (int s = 0, at = 0; s < SEQS; at += (int)counts[s++]) {
            kv_cache *kv = NULL;
            ok(model_kv_open(w.m, KV_F32, &kv, &d), &d);
            read_on(&w, kv, w.seqs[s].ids, counts[s], low, logits);
            for (int i = 0; i < counts[s]; i++) {
                int32_t target = -1;
                for (int64_t c = 0; c < n; c++) {
                    of_part[c] = logits[i * vocab + part[c]];
                    if (part[c] == w.targets[at + i]) target = (int32_t)c;
                }
                const double want = target < 0 ? 0 : nll(of_part, n, target);
                if (!(fabs((double)w.losses[at + i] - want) < 2e-5)) fail_msg("%s row %d: %.7f, not %.7f", names[k], at + i, (double)w.losses[at + i], want);
            }
            kv_close(&kv);
        }
        check_gradients(&w, names[k]);
        low_rank_close(&low);
        mem_free(logits);
        mem_free(part);
        close_model(&w);
    }
}

static void a_part_that_cannot_be_is_refused(void **state)
{
    (void)state;
    world w;
    cj_diag d = {0};
    open_model(&w, golden("llama"));
    open_adapter(&w, 0, 0);
    const int32_t vocab = (int32_t)model_spec_of(w.m)->vocab, twice[] = {1, 1}, beyond[] = {1, vocab}, little[] = {0};
    assert_int_equal(grad_open(&w.job, w.t, &(grad_options){.max_rows = ROWS, .vocabulary = twice, .n_vocabulary = 2}, &d), CJ_E_INPUT);
    assert_int_equal(grad_open(&w.job, w.t, &(grad_options){.max_rows = ROWS, .vocabulary = beyond, .n_vocabulary = 2}, &d), CJ_E_INPUT);
    open_part(&w, little, 1);
    w.targets[0] = 1; /* what is to be predicted must be among them */
    assert_int_equal(grad_begin(w.job, &(grad_batch){.seqs = w.seqs, .n_seqs = SEQS}, &d), CJ_E_INTERNAL);
    grad_close(&w.job);
    trainee_close(&w.t);
    open_whole(&w);
    assert_int_equal(grad_open(&w.job, w.t, &(grad_options){.max_rows = ROWS, .vocabulary = little, .n_vocabulary = 1}, &d), CJ_E_INTERNAL);
    close_model(&w);
}

/* ---- what is refused, and what fails ---- */

static void batches_are_checked(void **state)
{
    (void)state;
    world w;
    cj_diag d = {0};
    open_model(&w, golden("llama"));
    open_adapter(&w, 0, 0);
    open_job(&w, 0);
    grad_batch b = {.seqs = w.seqs, .n_seqs = SEQS};
    w.ids[3] = (int32_t)model_spec_of(w.m)->vocab;
    assert_int_equal(grad_begin(w.job, &b, &d), CJ_E_INPUT);
    w.ids[3] = -1;
    assert_int_equal(grad_begin(w.job, &b, &d), CJ_E_INPUT);
    w.ids[3] = 0;
    w.targets[4] = (int32_t)model_spec_of(w.m)->vocab;
    assert_int_equal(grad_begin(w.job, &b, &d), CJ_E_INPUT);
    w.targets[4] = 0;
    assert_int_equal(grad_begin(w.job, &b, &d), CJ_OK);
    b.n_seqs = 0;
    assert_int_equal(grad_begin(w.job, &b, &d), CJ_E_INTERNAL);
    close_model(&w);
}

static void models_that_cannot_be_trained_are_told(void **state)
{
    (void)state;
    world w;
    cj_diag d = {0};
    open_model(&w, golden("qwen3_moe"));
    assert_int_equal(trainee_open_whole(&w.t, w.m, &(trainee_whole_options){0}, &d), CJ_E_UNSUPPORTED);
    assert_null(w.t);
    close_model(&w);
    open_model(&w, golden("llama"));
    assert_int_equal(trainee_open_adapter(&w.t, w.m, &(trainee_adapter_options){.rank = 0, .alpha = 1}, &d), CJ_E_INPUT);
    assert_int_equal(trainee_open_adapter(&w.t, w.m, &(trainee_adapter_options){.rank = ADAPTER_RANK_MAX + 1, .alpha = 1}, &d), CJ_E_INPUT);
    close_model(&w);
}

static void fresh_weights_are_drawn(void **state)
{
    (void)state;
    world w;
    cj_diag d = {0};
    trainee *other = NULL;
    open_model(&w, golden("gemma3"));
    ok(trainee_open_whole(&w.t, w.m, &(trainee_whole_options){.fresh = true, .seed = 1}, &d), &d);
    ok(trainee_open_whole(&other, w.m, &(trainee_whole_options){.fresh = true, .seed = 1}, &d), &d);
    assert_memory_equal(w.t->w, other->w, (size_t)w.t->size * sizeof(float));
    trainee_close(&other);
    ok(trainee_open_whole(&other, w.m, &(trainee_whole_options){.fresh = true, .seed = 2}, &d), &d);
    assert_memory_not_equal(w.t->w, other->w, (size_t)w.t->size * sizeof(float));
    trainee_close(&other);
    open_job(&w, 0);
    const grad_result r = run(&w, true); /* a model that knows nothing */
    assert_true(fabs(r.loss / r.weight - log((double)model_spec_of(w.m)->vocab)) < 0.2);
    close_model(&w);
}

static float *weights_of(const world *w)
{
    float *copy = mem_array((size_t)w->t->size, sizeof *copy);
    memcpy(copy, w->t->w, (size_t)w->t->size * sizeof *copy);
    return copy;
}

/* What was trained, written to a file, is what is read again. */
static void a_trained_model_is_written(void **state)
{
    (void)state;
    world w;
    cj_diag d = {0};
    convert_result r;
    open_model(&w, golden("gemma3"));
    ok(trainee_open_whole(&w.t, w.m, &(trainee_whole_options){.fresh = true, .seed = 4}, &d), &d);
    float *want = weights_of(&w);
    const int64_t size = w.t->size;
    ok(trainee_write(w.t, w.m, in_folder("trained.gguf"), &(convert_options){.type = CONVERT_KEEP}, &r, &d), &d);
    close_model(&w);
    open_model(&w, in_folder("trained.gguf"));
    open_whole(&w);
    assert_int_equal(w.t->size, size);
    assert_memory_equal(w.t->w, want, (size_t)size * sizeof *want);
    mem_free(want);
    close_model(&w);
}

static void memory_may_fail_anywhere(void **state)
{
    (void)state;
    for (int whole = 0; whole < 2; whole++) {
        bool went = false;
        for (int n = 0; !went; n++) {
            world w;
            cj_diag d = {0};
            open_model(&w, golden("gemma3"));
            mem_fail_after(n);
            cj_err e = whole ? trainee_open_whole(&w.t, w.m, &(trainee_whole_options){0}, &d)
                             : trainee_open_adapter(&w.t, w.m, &(trainee_adapter_options){.rank = 2, .alpha = 2}, &d);
            const int32_t part[] = {0, 7};
            if (!e) e = grad_open(&w.job, w.t, &(grad_options){.max_rows = ROWS, .keep_bytes = 100000, .vocabulary = whole ? NULL : part, .n_vocabulary = 2}, &d);
            mem_fail_after(-1);
            assert_true(!e || e == CJ_E_NOMEM);
            went = !e;
            close_model(&w);
            assert_true(n < 1000);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loss_is_that_of_inference), cmocka_unit_test(a_whole_model), cmocka_unit_test(caps_on_scores_and_logits),
        cmocka_unit_test(an_adapter), cmocka_unit_test(aims), cmocka_unit_test(an_adapter_on_a_quantised_model), cmocka_unit_test(keeping_changes_nothing),
        cmocka_unit_test(the_loss_over_a_part_of_the_vocabulary), cmocka_unit_test(a_part_that_cannot_be_is_refused),
        cmocka_unit_test(batches_are_checked), cmocka_unit_test(models_that_cannot_be_trained_are_told), cmocka_unit_test(fresh_weights_are_drawn), cmocka_unit_test(a_trained_model_is_written),
        cmocka_unit_test(memory_may_fail_anywhere),
    };
    return cmocka_run_group_tests(tests, own_folder_make, own_folder_remove);
}

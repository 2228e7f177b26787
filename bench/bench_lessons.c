/* How fast an activated adapter is trained: steps over the questions of a file of rows, each after its passage, which the model reads.
 *
 *     bench_lessons MODEL ROWS RANK TOKENS STEPS [LEVEL [exact]]
 *
 * TOKENS: of a batch. The loss is taken over the tokens that occur in the file. Prints one JSON object: rows a second with reading and without (medians over the steps but the first), and how fast passages are read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "model/vocab_gguf.h"
#include "train/lessons.h"

enum { STEPS_MAX = 1000 };

typedef struct bench {
    kernel_ctx *ctx;
    model *m;
    tokenizer *words;
    training_rows rows;
    sample_set set;
    lessons *lessons;
    trainee *t;
    trainer *r;
    train_source inner;
    double reading;       /* seconds of the step, in the source */
    int64_t own, read;    /* tokens of the step */
    int32_t *vocabulary;  /* tokens that occur in the data */
    int64_t n_vocabulary;
} bench;

static cj_err next(void *arg, train_cursor *cursor, grad_batch *out, cj_diag *d)
{
    bench *b = arg;
    const double start = clock_now();
    TRY(b->inner.next(b->inner.arg, cursor, out, d));
    b->reading = clock_now() - start;
    b->own = b->read = 0;
    for (int i = 0; i < out->n_seqs; i++) {
        b->own += out->seqs[i].count;
        if (out->seqs[i].prefix && (!i || out->seqs[i].prefix != out->seqs[i - 1].prefix)) b->read += kv_count(out->seqs[i].prefix);
    }
    return CJ_OK;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, int64_t n)
{
    qsort(x, (size_t)n, sizeof *x, by_size);
    return n ? x[n / 2] : 0;
}

static cj_err open_data(bench *b, const char *path, int64_t tokens, cj_diag *d)
{
    const sample_options how = {.sample_tokens = tokens, .prefix_tokens = 4096, .group_tokens = tokens};
    TRY(vocab_gguf_open(&b->words, model_file(b->m), d));
    TRY(rows_open(&b->rows, path, d));
    TRY(samples_make(&b->set, &b->rows, b->words, &how, d));
    return lessons_open(&b->lessons, b->m, &b->set, &(lessons_options){.tokens = tokens, .seed = 1, .kv = KV_Q8}, d);
}

static cj_err collect_vocabulary(bench *b, cj_diag *d)
{
    const int64_t vocab = model_spec_of(b->m)->vocab;
    b->vocabulary = mem_array((size_t)vocab, sizeof *b->vocabulary);
    uint8_t *there = mem_zalloc((size_t)vocab);
    if (!b->vocabulary || !there) {
        mem_free(there);
        return diag_nomem(d, (size_t)vocab);
    }
    for (int64_t i = 0; i < b->set.n_tokens; i++) there[b->set.tokens[i]] = 1;
    for (int64_t i = 0; i < vocab; i++)
        if (there[i]) b->vocabulary[b->n_vocabulary++] = (int32_t)i;
    mem_free(there);
    return CJ_OK;
}

static cj_err run(bench *b, char **argv, int argc, cj_diag *d)
{
    const int rank = atoi(argv[3]);
    const int64_t steps = i64_min(STEPS_MAX, i64_max(2, atoll(argv[5])));
    double whole[STEPS_MAX], trained[STEPS_MAX], read[STEPS_MAX];
    TRY(kernel_open(&b->ctx, &(kernel_options){.level = argc > 6 ? kernel_level_by_name(argv[6]) : KERNEL_AUTO, .exact = argc > 7}, d));
    TRY(model_open(&b->m, b->ctx, argv[1], d));
    TRY(open_data(b, argv[2], atoll(argv[4]), d));
    TRY(collect_vocabulary(b, d));
    b->inner = lessons_source(b->lessons);
    TRY(trainee_open_adapter(&b->t, b->m, &(trainee_adapter_options){.rank = rank, .alpha = 2 * (float)rank, .seed = 1}, d));
    const train_options o = {
        .passes = {.max_rows = lessons_rows(b->lessons), .keep_bytes = (size_t)4 << 30, .vocabulary = b->vocabulary, .n_vocabulary = b->n_vocabulary},
        .schedule = {.peak = 1e-4, .least = 1e-5, .steps = steps}, .optimiser = OPTIMISER_USUAL,
    };
    TRY(train_open(&b->r, b->m, b->t, &(train_source){.arg = b, .next = next}, &o, d));
    train_report r = {0};
    for (int64_t i = -1; i < steps; i++) {
        const double start = clock_now();
        TRY(train_step(b->r, NULL, &r, d));
        if (i < 0) continue; /* memory comes */
        const double seconds = clock_now() - start;
        whole[i] = (double)b->own / seconds;
        trained[i] = (double)b->own / (seconds - b->reading);
        read[i] = (double)b->read / b->reading;
    }
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    printf("{\"rows_per_second\": %.1f, \"without_reading\": %.1f, \"read_per_second\": %.1f, \"peak_mib\": %ld, \"loss\": %.4f, \"vocabulary\": %lld, \"level\": \"%s\", \"threads\": %d}\n",
           median(whole, steps), median(trained, steps), median(read, steps), use.ru_maxrss / 1024, r.loss, (long long)b->n_vocabulary, kernel_level_name(kernel_table_of(b->ctx)->level),
           kernel_threads(b->ctx));
    return CJ_OK;
}

int main(int argc, char **argv)
{
    bench b = {0};
    cj_diag d = {0};
    char text[1024];
    if (argc < 6) {
        fprintf(stderr, "usage: bench_lessons MODEL ROWS RANK TOKENS STEPS [LEVEL [exact]]\n");
        return 2;
    }
    rows_init(&b.rows);
    const cj_err e = run(&b, argv, argc, &d);
    if (e) cj_diag_text(&d, CJ_LANG_EN, text, sizeof text), fprintf(stderr, "%s\n", text);
    train_close(&b.r);
    trainee_close(&b.t);
    lessons_close(&b.lessons);
    samples_deinit(&b.set);
    rows_deinit(&b.rows);
    mem_free(b.vocabulary);
    tokenizer_close(&b.words);
    model_close(&b.m);
    kernel_close(&b.ctx);
    return e ? 1 : 0;
}

/* How fast training is: steps over random tokens, with their share of what the processor can do: in float32; where products are not exact,
 * in bfloat16 if it has that, whose rate is also that of products of 16-bit codes.
 *
 *     bench_train MODEL (whole | RANK) SEQUENCES ROWS STEPS [PREFIX [KEEP_MIB [LEVEL [exact]]]]
 *
 * whole: all weights, drawn anew; RANK: an adapter over the model as it is stored. PREFIX: so many tokens before each sequence that are only read.
 * Prints one JSON object: the median of the steps' rates, memory, and the time of reading the prefixes apart. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/random.h"
#include "kernel/ceiling.h"
#include "model/forward.h"
#include "train/train.h"

enum { SEQS_MAX = 64, STEPS_MAX = 1000 };

typedef struct bench {
    kernel_ctx *ctx;
    model *m;
    trainee *t;
    trainer *r;
    int seqs;
    int64_t rows, prefix;
    int32_t *ids; /* [seqs][rows + 1] */
    grad_seq batch[SEQS_MAX];
} bench;

static cj_err next(void *arg, train_cursor *cursor, grad_batch *out, cj_diag *d)
{
    bench *b = arg;
    random_state r = {++cursor->at[0]};
    const uint64_t vocab = (uint64_t)model_spec_of(b->m)->vocab;
    for (int64_t i = 0; i < b->seqs * (b->rows + 1); i++) b->ids[i] = (int32_t)(random_bits(&r) % vocab);
    *out = (grad_batch){.seqs = b->batch, .n_seqs = b->seqs};
    return CJ_OK;
}

static cj_err read_prefixes(bench *b, cj_diag *d)
{
    model_job *job = NULL;
    int32_t *ids = mem_array((size_t)b->prefix, sizeof *ids);
    if (!ids) return diag_nomem(d, (size_t)b->prefix * sizeof *ids);
    cj_err e = model_job_open(&job, b->m, 512, d);
    for (int s = 0; !e && s < b->seqs; s++) {
        e = model_kv_open(b->m, KV_BF16, &b->batch[s].prefix, d);
        for (int64_t at = 0; !e && at < b->prefix; at += 512) {
            bool done = false;
            const model_rows rows = {.kv = b->batch[s].prefix, .ids = ids, .count = i64_min(512, b->prefix - at)};
            e = model_job_begin(job, &(model_batch){.seqs = &rows, .n_seqs = 1}, d);
            while (!e && !done) e = model_job_step(job, &done, d);
        }
    }
    model_job_close(&job);
    mem_free(ids);
    return e;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static cj_err run(bench *b, char **argv, int argc, cj_diag *d)
{
    const bool whole = !strcmp(argv[2], "whole");
    const int rank = atoi(argv[2]);
    const int64_t steps = i64_min(STEPS_MAX, atoll(argv[5]));
    kernel_ceilings c;
    double rates[STEPS_MAX], shares[STEPS_MAX];
    b->seqs = (int)i64_min(SEQS_MAX, atoll(argv[3]));
    b->rows = atoll(argv[4]);
    b->prefix = argc > 6 ? atoll(argv[6]) : 0;
    const bool exact = argc > 9;
    TRY(kernel_open(&b->ctx, &(kernel_options){.level = argc > 8 ? kernel_level_by_name(argv[8]) : KERNEL_AUTO, .exact = exact}, d));
    TRY(model_open(&b->m, b->ctx, argv[1], d));
    TRY(kernel_ceilings_measure(b->ctx, &c, d));
    const double ceiling = exact || c.bf16_gflops <= 0 ? c.f32_gflops : c.bf16_gflops;
    if (!(b->ids = mem_array((size_t)(b->seqs * (b->rows + 1)), sizeof *b->ids))) return diag_nomem(d, 0);
    for (int s = 0; s < b->seqs; s++) {
        int32_t *at = b->ids + s * (b->rows + 1);
        b->batch[s] = (grad_seq){.ids = at, .targets = at + 1, .count = b->rows};
    }
    const double start = clock_now();
    if (b->prefix) TRY(read_prefixes(b, d));
    const double reading = clock_now() - start;
    if (whole) TRY(trainee_open_whole(&b->t, b->m, &(trainee_whole_options){.fresh = true, .seed = 1}, d));
    else TRY(trainee_open_adapter(&b->t, b->m, &(trainee_adapter_options){.rank = rank, .alpha = (float)rank, .seed = 1}, d));
    const train_options o = {
        .passes = {.max_rows = b->seqs * b->rows, .keep_bytes = (size_t)(argc > 7 ? atoll(argv[7]) : 2048) << 20},
        .schedule = {.peak = 1e-4, .least = 1e-5, .steps = steps}, .optimiser = OPTIMISER_USUAL, .ceiling = 1e9 * ceiling,
    };
    TRY(train_open(&b->r, b->m, b->t, &(train_source){.arg = b, .next = next}, &o, d));
    train_report r = {0};
    for (int64_t i = 0; i < steps; i++) {
        TRY(train_step(b->r, NULL, &r, d));
        rates[i] = r.rows_per_second;
        shares[i] = r.share;
    }
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    qsort(rates, (size_t)steps, sizeof *rates, by_size);
    qsort(shares, (size_t)steps, sizeof *shares, by_size);
    printf("{\"tokens_per_second\": %.1f, \"share_of_ceiling\": %.3f, \"peak_mib\": %ld, \"loss\": %.4f, \"trained\": %lld, \"prefix_seconds\": %.2f, "
           "\"ceiling_gflops\": %.0f, \"level\": \"%s\", \"threads\": %d}\n", rates[steps / 2], shares[steps / 2], use.ru_maxrss / 1024, r.loss, (long long)b->t->size,
           reading, ceiling, kernel_level_name(kernel_table_of(b->ctx)->level), kernel_threads(b->ctx));
    return CJ_OK;
}

int main(int argc, char **argv)
{
    bench b = {0};
    cj_diag d = {0};
    char text[1024];
    if (argc < 6) {
        fprintf(stderr, "usage: bench_train MODEL (whole | RANK) SEQUENCES ROWS STEPS [PREFIX [KEEP_MIB [LEVEL [exact]]]]\n");
        return 2;
    }
    const cj_err e = run(&b, argv, argc, &d);
    if (e) cj_diag_text(&d, CJ_LANG_EN, text, sizeof text), fprintf(stderr, "%s\n", text);
    train_close(&b.r);
    trainee_close(&b.t);
    for (int s = 0; s < b.seqs; s++) kv_close(&b.batch[s].prefix);
    mem_free(b.ids);
    model_close(&b.m);
    kernel_close(&b.ctx);
    return e ? 1 : 0;
}

/* Measuring ceilings. */
#include "kernel/ceiling.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

enum { RUNS = 5, CHAINS = 8 };
#define RUN_SECONDS 0.012
#define BUFFER_BYTES ((size_t)192 << 20)

/* ---- plain C ---- */

static volatile float keep_f32;
static volatile int32_t keep_i32;

static double f32_ref(int64_t rounds)
{
    float acc[CHAINS] = {0}, x = 0.999f;
    for (int64_t i = 0; i < rounds; i++)
        for (int c = 0; c < CHAINS; c++) {
            acc[c] = acc[c] * x + 1.0f;
            __asm__ volatile("" : "+m"(acc[c])); /* nothing is to be proved about the result */
        }
    keep_f32 = acc[0] + acc[CHAINS - 1];
    return 2 * CHAINS;
}

static double int8_ref(int64_t rounds)
{
    int32_t acc[CHAINS] = {0};
    int8_t x = (int8_t)rounds;
    for (int64_t i = 0; i < rounds; i++)
        for (int c = 0; c < CHAINS; c++) {
            acc[c] = (int32_t)((uint32_t)acc[c] + (uint32_t)((int8_t)acc[c] * x));
            __asm__ volatile("" : "+m"(acc[c]));
        }
    keep_i32 = acc[0] + acc[CHAINS - 1];
    return 2 * CHAINS;
}

void ceiling_fill_ref(ceiling_table *t) { *t = (ceiling_table){.f32 = f32_ref, .int8 = int8_ref}; }

/* ---- arithmetic ---- */

typedef struct arithmetic_job {
    ceiling_fn fn;
    int64_t rounds;
    double ops; /* of a round; every thread writes the same */
} arithmetic_job;

static void arithmetic_item(void *arg, int64_t item, int worker)
{
    arithmetic_job *j = arg;
    double ops = j->fn(j->rounds);
    if (item == 0) j->ops = ops;
}

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static double median(double *v) { return qsort(v, RUNS, sizeof *v, descending), v[RUNS / 2]; }

static double measure_arithmetic(kernel_ctx *ctx, ceiling_fn fn)
{
    if (!fn) return 0;
    arithmetic_job j = {.fn = fn, .rounds = 1000};
    int threads = kernel_threads(ctx);
    double rates[RUNS];
    for (;;) { /* find a length that can be timed */
        double start = clock_now();
        pool_run(kernel_pool(ctx), arithmetic_item, &j, threads);
        if (clock_now() - start > RUN_SECONDS || j.rounds > INT64_MAX / 4) break;
        j.rounds *= 2;
    }
    for (int i = 0; i < RUNS; i++) {
        double start = clock_now();
        pool_run(kernel_pool(ctx), arithmetic_item, &j, threads);
        rates[i] = (double)threads * (double)j.rounds * j.ops / (clock_now() - start);
    }
    return median(rates) / 1e9;
}

/* ---- memory ---- */

enum { SLICE_BYTES = 1 << 20 };

typedef struct read_job {
    const uint64_t *words;
    _Atomic uint64_t sum; /* so that the reading is not left out */
} read_job;

static void read_item(void *arg, int64_t item, int worker)
{
    read_job *j = arg;
    const uint64_t *w = j->words + item * (SLICE_BYTES / 8);
    uint64_t sum[8] = {0};
    for (int64_t i = 0; i < SLICE_BYTES / 8; i += 8)
        for (int k = 0; k < 8; k++) sum[k] += w[i + k];
    for (int k = 1; k < 8; k++) sum[0] += sum[k];
    j->sum += sum[0];
}

static cj_err measure_read(kernel_ctx *ctx, double *gbytes, cj_diag *d)
{
    uint8_t *buffer = mem_alloc(BUFFER_BYTES);
    if (!buffer) return diag_nomem(d, BUFFER_BYTES);
    memset(buffer, 1, BUFFER_BYTES);
    read_job j = {.words = (const uint64_t *)(const void *)buffer};
    double rates[RUNS];
    for (int i = 0; i < RUNS; i++) {
        double start = clock_now();
        pool_run(kernel_pool(ctx), read_item, &j, (int64_t)(BUFFER_BYTES / SLICE_BYTES));
        rates[i] = (double)BUFFER_BYTES / (clock_now() - start);
    }
    mem_free(buffer);
    *gbytes = median(rates) / 1e9;
    return CJ_OK;
}

cj_err kernel_ceilings_measure(kernel_ctx *ctx, kernel_ceilings *out, cj_diag *d)
{
    const ceiling_table *t = &kernel_table_of(ctx)->ceiling;
    out->f32_gflops = measure_arithmetic(ctx, t->f32);
    out->bf16_gflops = measure_arithmetic(ctx, t->bf16);
    out->int8_gops = measure_arithmetic(ctx, t->int8);
    return measure_read(ctx, &out->read_gbytes, d);
}

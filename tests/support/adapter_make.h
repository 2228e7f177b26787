/* Adapters for tests: random numbers, for every matrix of a model that can have a pair, or for some. */
#ifndef TESTS_SUPPORT_ADAPTER_MAKE_H
#define TESTS_SUPPORT_ADAPTER_MAKE_H

#include <string.h>

#include "base/mem.h"
#include "model/adapter.h"

typedef struct made_adapter {
    model_adapter data;
    arena mem;
} made_adapter;

static inline float made_number(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(*seed >> 32) / 2147483648.0f;
}

static inline kernel_weight made_matrix(made_adapter *m, int64_t rows, int64_t cols, quant_type type, uint64_t *seed, float by)
{
    const int64_t n = rows * cols;
    float *x = arena_alloc(&m->mem, (size_t)n * sizeof *x);
    void *data = arena_alloc(&m->mem, (size_t)rows * quant_row_bytes(type, cols));
    for (int64_t i = 0; i < n; i++) x[i] = by * made_number(seed);
    quant_info_get(type)->encode(x, data, n);
    return (kernel_weight){.data = data, .type = type, .rows = rows, .cols = cols};
}

/* targets: bits 1 << adapter_target. by: how large the second matrices' numbers are. */
static inline void make_adapter(made_adapter *m, const model_spec *spec, int rank, quant_type type, unsigned targets, uint64_t seed, float by)
{
    *m = (made_adapter){0};
    arena_init(&m->mem, (size_t)1 << 30);
    m->data = (model_adapter){.n_layers = spec->n_layers, .rank = rank, .scale = 2};
    m->data.pairs = arena_zalloc(&m->mem, (size_t)(spec->n_layers * ADAPTER_TARGETS) * sizeof *m->data.pairs);
    for (int i = 0; i < spec->n_layers; i++)
        for (adapter_target t = 0; t < ADAPTER_TARGETS; t++) {
            const kernel_weight *w = adapter_base(spec, i, t);
            if (!w || !(targets >> t & 1)) continue;
            adapter_pair *p = adapter_pair_of(&m->data, i, t);
            p->a = made_matrix(m, rank, w->cols, type, &seed, 0.1f);
            p->b = made_matrix(m, w->rows, rank, type, &seed, by);
        }
}

#endif

#include "gemm_case.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "quant/blocks.h"

const quant_type gemm_types[GEMM_TYPES] = {QUANT_F32,  QUANT_F16,  QUANT_BF16, QUANT_Q4_0, QUANT_Q4_1, QUANT_Q5_0,
                                           QUANT_Q5_1, QUANT_Q8_0, QUANT_Q4_K, QUANT_Q5_K, QUANT_Q6_K};

uint64_t gemm_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull; /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

float gemm_gauss(uint64_t *state)
{
    double u = ((double)(gemm_random(state) >> 11) + 1) * 0x1p-53, v = (double)(gemm_random(state) >> 11) * 0x1p-53;
    return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

/* A float16 of either sign between 1/256 and 1/32; minima get the sign that real files give them. */
static uint16_t scale16(uint64_t *s, int sign)
{
    float f = 0x1p-8f + (float)(gemm_random(s) % 1024) / 1024.0f * 0x1p-5f;
    return quant_f32_to_f16(sign ? (float)sign * f : gemm_random(s) & 1 ? f : -f);
}

static void set_scales(quant_type type, uint8_t *b, uint64_t *s)
{
    uint16_t d = scale16(s, type == QUANT_Q4_0 || type == QUANT_Q5_0 || type == QUANT_Q6_K ? 0 : 1), m = scale16(s, -1);
    switch (type) {
    case QUANT_Q4_1: case QUANT_Q5_1:
        m = quant_f32_to_f16(7 * quant_f16_to_f32(m)); /* fall through */
    case QUANT_Q4_K: case QUANT_Q5_K:
        if (type >= QUANT_Q4_K) m ^= 0x8000u;
        memcpy(b, &d, 2);
        memcpy(b + 2, &m, 2);
        break;
    case QUANT_Q6_K: memcpy(b + offsetof(quant_block_q6_k, d), &d, 2); break;
    default: memcpy(b, &d, 2);
    }
}

static void fill_weights(gemm_case *c, uint64_t *s)
{
    const quant_info *q = quant_info_get(c->w.type);
    int64_t n = c->w.rows * c->w.cols;
    if (q->block_elems == 1) {
        float *row = mem_alloc((size_t)c->w.cols * sizeof *row);
        for (int64_t r = 0; r < c->w.rows; r++) {
            for (int64_t i = 0; i < c->w.cols; i++) row[i] = 0.05f * gemm_gauss(s);
            q->encode(row, c->bytes + (size_t)r * quant_row_bytes(c->w.type, c->w.cols), c->w.cols);
        }
        mem_free(row);
        return;
    }
    for (size_t i = 0; i < (size_t)(n / q->block_elems) * (size_t)q->block_bytes; i++) c->bytes[i] = (uint8_t)gemm_random(s);
    for (int64_t i = 0; i < n / q->block_elems; i++) set_scales(c->w.type, c->bytes + i * q->block_bytes, s);
}

static void multiply(gemm_case *c)
{
    int64_t n = c->w.rows, k = c->w.cols;
    float *row = mem_alloc((size_t)k * sizeof *row);
    for (int64_t i = 0; i < n; i++) {
        quant_info_get(c->w.type)->decode(kernel_weight_row(&c->w, i), row, k);
        for (int64_t r = 0; r < c->rows; r++) {
            double sum = 0, squares = 0;
            for (int64_t j = 0; j < k; j++) {
                double p = (double)c->x[r * k + j] * row[j];
                sum += p;
                squares += p * p;
            }
            c->y[r * n + i] = sum;
            c->norm[r * n + i] = sqrt(squares);
        }
    }
    mem_free(row);
}

bool gemm_case_init(gemm_case *c, quant_type type, int64_t n, int64_t k, int64_t rows, uint64_t seed, bool product)
{
    size_t row = quant_row_bytes(type, k);
    if (!row) return false;
    uint64_t s = seed;
    *c = (gemm_case){.rows = rows, .bytes = mem_alloc((size_t)n * row), .x = mem_alloc((size_t)(rows * k) * sizeof(float))};
    c->w = (kernel_weight){.data = c->bytes, .type = type, .rows = n, .cols = k};
    fill_weights(c, &s);
    for (int64_t i = 0; i < rows * k; i++) c->x[i] = gemm_gauss(&s) * (i % 61 == 7 ? 20.0f : 1.0f); /* some outliers */
    if (!product) return true;
    c->y = mem_alloc((size_t)(rows * n) * sizeof(double));
    c->norm = mem_alloc((size_t)(rows * n) * sizeof(double));
    multiply(c);
    return true;
}

void gemm_case_deinit(gemm_case *c)
{
    mem_free(c->bytes);
    mem_free(c->x);
    mem_free(c->y);
    mem_free(c->norm);
}

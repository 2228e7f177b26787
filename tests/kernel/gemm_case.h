/* Random weights of every stored type, random rows, and their product in double precision. */
#ifndef GEMM_CASE_H
#define GEMM_CASE_H

#include "kernel/ops.h"

extern const quant_type gemm_types[];
enum { GEMM_TYPES = 11 };

typedef struct gemm_case {
    kernel_weight w;
    uint8_t *bytes;
    float *x;             /* [rows][k] */
    int64_t rows;
    double *y, *norm;     /* [rows][n]: sums of products, square roots of the sums of their squares */
} gemm_case;

/* False when k is no multiple of the type's block. The product is computed only when asked for. */
bool gemm_case_init(gemm_case *c, quant_type type, int64_t n, int64_t k, int64_t rows, uint64_t seed, bool product);
void gemm_case_deinit(gemm_case *c);

/* A stream of random numbers: the same everywhere. */
uint64_t gemm_random(uint64_t *state);
float gemm_gauss(uint64_t *state);

#endif

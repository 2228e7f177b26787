/* Products with weights: y[rows][n] = x[rows][k] . w[n][k]^T for every stored type. */
#ifndef KERNEL_GEMM_H
#define KERNEL_GEMM_H

#include "kernel/weight.h"

typedef struct gemm_table {
    float (*dot)(const float *x, const float *y, int64_t n);
} gemm_table;

void gemm_fill_ref(gemm_table *t);

#endif

/* Times op_linear: the benchmark half of check_gemm.c. */
#ifndef BENCH_GEMM_H
#define BENCH_GEMM_H
/* level_name: NULL for the best; threads: 0 for all. Returns an exit status. */
int bench_gemm(const char *level_name, int threads);
#endif

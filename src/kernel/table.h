/* The kernel table: what one processor level can do, as typed function pointers.
 *
 * kernel_table_fill starts from the C reference and lets each instruction set that this processor has (and the chosen level
 * permits) override entries, upwards: avx2 -> avx512 -> amx, or neon. A table entry is a single-threaded function with no
 * state: preconditions are asserted, nothing is allocated. Threads, scratch and memory belong to kernel_ctx (ops.h).
 * The families are declared beside their kernels: vec.h (rows), gemm.h (weights), attn.h (attention on pages), delta.h (the gated delta rule),
 * train_table.h (rows of training); ceiling_table.h has the loops that the others are measured by.
 */
#ifndef KERNEL_TABLE_H
#define KERNEL_TABLE_H

#include "base/cpu.h"
#include "kernel/attn.h"
#include "kernel/ceiling_table.h"
#include "kernel/delta.h"
#include "kernel/gemm.h"
#include "kernel/train_table.h"
#include "kernel/vec.h"

typedef enum kernel_level { KERNEL_AUTO = -1, KERNEL_REF, KERNEL_AVX2, KERNEL_AVX512, KERNEL_AMX, KERNEL_NEON, KERNEL_LEVELS } kernel_level;

typedef struct kernel_table {
    kernel_level level;
    vec_table vec;
    gemm_table gemm;
    attn_table attn;
    delta_table delta;
    train_table train;
    ceiling_table ceiling;
} kernel_table;

/* "ref", "avx2", "avx512", "amx", "neon". */
const char *kernel_level_name(kernel_level level);
/* KERNEL_AUTO for "auto" or NULL; KERNEL_LEVELS for a name that is none. */
kernel_level kernel_level_by_name(const char *name);
/* The best level of this processor; whether it (and this build) has `level`. */
kernel_level kernel_level_best(const cpu_info *cpu);
bool kernel_level_runs(kernel_level level, const cpu_info *cpu);

/* Fills t for `level`, which must run on cpu. */
void kernel_table_fill(kernel_table *t, kernel_level level, const cpu_info *cpu);

#endif

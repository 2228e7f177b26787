/* What this processor can do, asked once. */
#ifndef BASE_CPU_H
#define BASE_CPU_H
#include <stdbool.h>
#include <stdint.h>
typedef struct cpu_info {
    char name[64];
    int cores;                 /* usable by this process (affinity) */
    bool avx2, fma, f16c, avx_vnni;
    bool avx512, avx512_vnni, avx512_bf16; /* avx512 means F, BW, DQ, VL and VBMI-free use */
    bool amx_int8, amx_bf16;   /* the processor and the kernel both allow them */
    bool neon, dotprod, i8mm;
    int64_t memory_total, memory_available; /* bytes */
    int64_t l2_bytes;          /* per core, 0 unknown */
} cpu_info;
const cpu_info *cpu_get(void); /* memory_available is read at the first call */
int64_t cpu_memory_available(void); /* now */
int64_t cpu_memory_peak(void);      /* largest resident size of this process */
#endif

/* Fills the kernel table up the ladder of instruction sets. */
#include "kernel/table.h"

#include <string.h>
#include <strings.h>

static const char *const names[KERNEL_LEVELS] = {"ref", "avx2", "avx512", "amx", "neon"};

const char *kernel_level_name(kernel_level level) { return level >= 0 && level < KERNEL_LEVELS ? names[level] : "auto"; }

kernel_level kernel_level_by_name(const char *name)
{
    if (!name || !strcasecmp(name, "auto")) return KERNEL_AUTO;
    for (int i = 0; i < KERNEL_LEVELS; i++)
        if (!strcasecmp(name, names[i])) return (kernel_level)i;
    return KERNEL_LEVELS;
}

/* A build may have tiles in plain C (meson's option emulate_amx). */
static bool has_tiles(const cpu_info *cpu)
{
#ifdef TILE_EMULATE
    return true;
#else
    return cpu->amx_bf16;
#endif
}

bool kernel_level_runs(kernel_level level, const cpu_info *cpu)
{
    switch (level) {
    case KERNEL_REF: return true;
    case KERNEL_AVX2: return cpu->avx2 && cpu->fma && cpu->f16c;
    case KERNEL_AVX512: return cpu->avx512 && kernel_level_runs(KERNEL_AVX2, cpu);
    case KERNEL_AMX: return has_tiles(cpu) && cpu->avx512_vnni && cpu->avx512_bf16 && kernel_level_runs(KERNEL_AVX512, cpu);
    case KERNEL_NEON: return cpu->neon;
    default: return false;
    }
}

kernel_level kernel_level_best(const cpu_info *cpu)
{
    static const kernel_level order[] = {KERNEL_AMX, KERNEL_AVX512, KERNEL_AVX2, KERNEL_NEON};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (kernel_level_runs(order[i], cpu)) return order[i];
    return KERNEL_REF;
}

void kernel_table_fill(kernel_table *t, kernel_level level, const cpu_info *cpu)
{
    memset(t, 0, sizeof *t);
    t->level = level;
    vec_fill_ref(&t->vec);
    gemm_fill_ref(&t->gemm);
    attn_fill_ref(&t->attn);
    delta_fill_ref(&t->delta);
    train_fill_ref(&t->train);
    ceiling_fill_ref(&t->ceiling);
#if defined(__x86_64__)
    if (level >= KERNEL_AVX2 && level <= KERNEL_AMX) {
        vec_fill_avx2(&t->vec);
        attn_fill_avx2(&t->attn);
        delta_fill_avx2(&t->delta);
        train_fill_avx2(&t->train);
        gemm_fill_avx2(&t->gemm);
        ceiling_fill_avx2(&t->ceiling);
        if (cpu->avx_vnni) {
            attn_fill_avxvnni(&t->attn);
            gemm_fill_avxvnni(&t->gemm);
            ceiling_fill_avxvnni(&t->ceiling);
        }
    }
    if (level >= KERNEL_AVX512 && level <= KERNEL_AMX) {
        vec_fill_avx512(&t->vec);
        attn_fill_avx512(&t->attn);
        delta_fill_avx512(&t->delta);
        train_fill_avx512(&t->train);
        gemm_fill_avx512(&t->gemm);
        ceiling_fill_avx512(&t->ceiling);
        if (cpu->avx512_vnni) {
            attn_fill_avx512vnni(&t->attn);
            gemm_fill_avx512vnni(&t->gemm);
            ceiling_fill_avx512vnni(&t->ceiling);
        }
        if (cpu->avx512_bf16) ceiling_fill_avx512bf16(&t->ceiling);
    }
    if (level == KERNEL_AMX) {
        attn_fill_amx(&t->attn);
        gemm_fill_amx(&t->gemm);
        if (cpu->amx_bf16 && cpu->amx_int8) ceiling_fill_amx(&t->ceiling);
    }
#elif defined(__aarch64__)
    if (level == KERNEL_NEON) {
        vec_fill_neon(&t->vec);
        attn_fill_neon(&t->attn);
        delta_fill_neon(&t->delta);
        train_fill_neon(&t->train);
        gemm_fill_neon(&t->gemm);
        ceiling_fill_neon(&t->ceiling);
    }
#endif
}

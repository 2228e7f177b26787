/* Ceilings of AMX: tile products in registers, full depth (64 bytes of K). */
#if !defined(__x86_64__)
#error "AMX is x86-64"
#endif
#include <string.h>

#include "kernel/ceiling.h"

/* Instructions are written out: compilers differ in how, and whether, they offer them (GCC 12's _tile_loadconfig loses the store of
 * the configuration). Four tiles of sums, two of x, two of w. */
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t cols[16];
    uint8_t rows[16];
} tile_config;

static void configure(void)
{
    tile_config c = {.palette = 1};
    for (int t = 0; t < 8; t++) {
        c.cols[t] = 64;
        c.rows[t] = 16;
    }
    __asm__ volatile("ldtilecfg %0" : : "m"(c));
    __asm__ volatile("tilezero %%tmm0\n tilezero %%tmm1\n tilezero %%tmm2\n tilezero %%tmm3\n"
                     "tilezero %%tmm4\n tilezero %%tmm5\n tilezero %%tmm6\n tilezero %%tmm7" : : );
}

static double bf16_amx(int64_t rounds)
{
    configure();
    for (int64_t i = 0; i < rounds; i++)
        __asm__ volatile("tdpbf16ps %%tmm6, %%tmm4, %%tmm0\n tdpbf16ps %%tmm7, %%tmm4, %%tmm1\n"
                         "tdpbf16ps %%tmm6, %%tmm5, %%tmm2\n tdpbf16ps %%tmm7, %%tmm5, %%tmm3" : : );
    __asm__ volatile("tilerelease" : : );
    return 4.0 * 2 * 16 * 16 * 32;
}

static double int8_amx(int64_t rounds)
{
    configure();
    for (int64_t i = 0; i < rounds; i++)
        __asm__ volatile("tdpbssd %%tmm6, %%tmm4, %%tmm0\n tdpbssd %%tmm7, %%tmm4, %%tmm1\n"
                         "tdpbssd %%tmm6, %%tmm5, %%tmm2\n tdpbssd %%tmm7, %%tmm5, %%tmm3" : : );
    __asm__ volatile("tilerelease" : : );
    return 4.0 * 2 * 16 * 16 * 64;
}

void ceiling_fill_amx(ceiling_table *t)
{
    t->bf16 = bf16_amx;
    t->int8 = int8_amx;
}

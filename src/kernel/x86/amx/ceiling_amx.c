/* Ceilings of AMX: tile products in registers, full depth (64 bytes of K). */
#if !defined(__x86_64__)
#error "AMX is x86-64"
#endif
#include "kernel/ceiling_table.h"
#include "kernel/simd/tile.h"

/* Four tiles of sums, two of x, two of w. */
static void configure(void)
{
    tile_configure();
    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
    tile_zero(4);
    tile_zero(5);
    tile_zero(6);
    tile_zero(7);
}

static double bf16_amx(int64_t rounds)
{
    configure();
    for (int64_t i = 0; i < rounds; i++) {
        tile_dot_bf16(0, 4, 6);
        tile_dot_bf16(1, 4, 7);
        tile_dot_bf16(2, 5, 6);
        tile_dot_bf16(3, 5, 7);
    }
    tile_release();
    return 4.0 * 2 * 16 * 16 * 32;
}

/* No kernel has 8-bit tiles, so tile.h has no word for this. */
static double int8_amx(int64_t rounds)
{
    configure();
    for (int64_t i = 0; i < rounds; i++)
        __asm__ volatile("tdpbssd %%tmm6, %%tmm4, %%tmm0\n tdpbssd %%tmm7, %%tmm4, %%tmm1\n"
                         "tdpbssd %%tmm6, %%tmm5, %%tmm2\n tdpbssd %%tmm7, %%tmm5, %%tmm3" : : );
    tile_release();
    return 4.0 * 2 * 16 * 16 * 64;
}

void ceiling_fill_amx(ceiling_table *t)
{
    t->bf16 = bf16_amx;
    t->int8 = int8_amx;
}

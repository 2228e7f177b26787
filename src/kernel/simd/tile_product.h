/* Products of tiles: sums kept in tile registers for a whole run of K.
 *
 * An operand is a grid of tiles in memory: `line` bytes from one line of a tile to the next, `block` to the tile beside it (the next
 * sixteen rows or columns), `step` to the next along K. `row` and `col` do the same for the sums. `add`: to what is there.
 *
 * A product of two tiles takes the processor 16 cycles and must wait 52 for the sum it adds to, a load takes 8. So four sums are under way
 * at a time, and 2 x 2 loads one tile for each product.
 */
#ifndef KERNEL_SIMD_TILE_PRODUCT_H
#define KERNEL_SIMD_TILE_PRODUCT_H

#include <stdbool.h>

#include "kernel/simd/simd.h"
#include "kernel/simd/tile.h"

typedef struct tile_operand {
    const char *at;
    size_t line, block, step;
} tile_operand;

typedef struct tile_sums {
    char *at;
    size_t line, row, col;
    bool add;
} tile_sums;

/* Two blocks of a by two of b. */
SIMD_FN void tile_product_2x2(tile_sums c, tile_operand a, tile_operand b, int64_t steps)
{
    char *next = c.at + c.row;
    if (c.add) {
        tile_load(0, c.at, c.line);
        tile_load(1, c.at + c.col, c.line);
        tile_load(2, next, c.line);
        tile_load(3, next + c.col, c.line);
    } else {
        tile_zero(0);
        tile_zero(1);
        tile_zero(2);
        tile_zero(3);
    }
    for (; steps > 0; steps--, a.at += a.step, b.at += b.step) {
        tile_load(4, a.at, a.line);
        tile_load(6, b.at, b.line);
        tile_dot_bf16(0, 4, 6);
        tile_load(5, a.at + a.block, a.line);
        tile_dot_bf16(2, 5, 6);
        tile_load(7, b.at + b.block, b.line);
        tile_dot_bf16(1, 4, 7);
        tile_dot_bf16(3, 5, 7);
    }
    tile_store(0, c.at, c.line);
    tile_store(1, c.at + c.col, c.line);
    tile_store(2, next, c.line);
    tile_store(3, next + c.col, c.line);
}

/* Two blocks of a by one of b. */
SIMD_FN void tile_product_2x1(tile_sums c, tile_operand a, tile_operand b, int64_t steps)
{
    if (c.add) {
        tile_load(0, c.at, c.line);
        tile_load(1, c.at + c.row, c.line);
    } else {
        tile_zero(0);
        tile_zero(1);
    }
    for (; steps > 0; steps--, a.at += a.step, b.at += b.step) {
        tile_load(6, b.at, b.line);
        tile_load(4, a.at, a.line);
        tile_dot_bf16(0, 4, 6);
        tile_load(5, a.at + a.block, a.line);
        tile_dot_bf16(1, 5, 6);
    }
    tile_store(0, c.at, c.line);
    tile_store(1, c.at + c.row, c.line);
}

/* One block of a by four of b: for few rows. */
SIMD_FN void tile_product_1x4(tile_sums c, tile_operand a, tile_operand b, int64_t steps)
{
    if (c.add) {
        tile_load(0, c.at, c.line);
        tile_load(1, c.at + c.col, c.line);
        tile_load(2, c.at + 2 * c.col, c.line);
        tile_load(3, c.at + 3 * c.col, c.line);
    } else {
        tile_zero(0);
        tile_zero(1);
        tile_zero(2);
        tile_zero(3);
    }
    for (; steps > 0; steps--, a.at += a.step, b.at += b.step) {
        tile_load(4, a.at, a.line);
        tile_load(5, b.at, b.line);
        tile_dot_bf16(0, 4, 5);
        tile_load(6, b.at + b.block, b.line);
        tile_dot_bf16(1, 4, 6);
        tile_load(7, b.at + 2 * b.block, b.line);
        tile_dot_bf16(2, 4, 7);
        tile_load(5, b.at + 3 * b.block, b.line);
        tile_dot_bf16(3, 4, 5);
    }
    tile_store(0, c.at, c.line);
    tile_store(1, c.at + c.col, c.line);
    tile_store(2, c.at + 2 * c.col, c.line);
    tile_store(3, c.at + 3 * c.col, c.line);
}

SIMD_FN void tile_product_1x1(tile_sums c, tile_operand a, tile_operand b, int64_t steps)
{
    if (c.add) tile_load(0, c.at, c.line);
    else tile_zero(0);
    for (; steps > 0; steps--, a.at += a.step, b.at += b.step) {
        tile_load(4, a.at, a.line);
        tile_load(5, b.at, b.line);
        tile_dot_bf16(0, 4, 5);
    }
    tile_store(0, c.at, c.line);
}

/* `rows` blocks of a by `cols` of b. */
static inline __attribute__((unused)) void tile_product(tile_sums c, tile_operand a, tile_operand b, int rows, int cols, int64_t steps)
{
    for (int r = 0; r < rows; r += 2, c.at += 2 * c.row, a.at += 2 * a.block) {
        tile_sums to = c;
        tile_operand by = b;
        for (int i = 0, n; i < cols; i += n, to.at += (size_t)n * c.col, by.at += (size_t)n * b.block) {
            if (rows - r >= 2) {
                n = cols - i >= 2 ? 2 : 1;
                if (n == 2) tile_product_2x2(to, a, by, steps);
                else tile_product_2x1(to, a, by, steps);
            } else {
                n = cols - i >= 4 ? 4 : 1;
                if (n == 4) tile_product_1x4(to, a, by, steps);
                else tile_product_1x1(to, a, by, steps);
            }
        }
    }
}

#endif

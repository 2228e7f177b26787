/* The loops that measure how much arithmetic a level can do at most (ceiling.h). */
#ifndef KERNEL_CEILING_TABLE_H
#define KERNEL_CEILING_TABLE_H

#include <stdint.h>

/* One instruction set's loops: each does `rounds` rounds of as much independent arithmetic as its registers hold and returns how
 * many operations a round is; NULL where there is none. */
typedef double (*ceiling_fn)(int64_t rounds);
typedef struct ceiling_table {
    ceiling_fn f32, bf16, int8;
} ceiling_table;
void ceiling_fill_ref(ceiling_table *t);
void ceiling_fill_avx2(ceiling_table *t);
void ceiling_fill_avxvnni(ceiling_table *t);
void ceiling_fill_avx512(ceiling_table *t);
void ceiling_fill_avx512vnni(ceiling_table *t);
void ceiling_fill_avx512bf16(ceiling_table *t);
void ceiling_fill_amx(ceiling_table *t);
void ceiling_fill_neon(ceiling_table *t);

#endif

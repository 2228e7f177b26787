/* Attention over pages of keys and values (kv_layout.h). */
#ifndef KERNEL_ATTN_H
#define KERNEL_ATTN_H

#include "kernel/kv_layout.h"

typedef struct attn_table {
    /* Writes one token's key [dk] and value [dv] of one head into slot t of the head's page. */
    void (*store)(const kv_layout *l, uint8_t *head, int t, const float *k, const float *v);
} attn_table;

void attn_fill_ref(attn_table *t);

#endif

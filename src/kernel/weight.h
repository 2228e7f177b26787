/* A weight: a canonical tensor as stored, plus forms that kernels pack from it when they first want them.
 *
 * The canonical bytes are never written through this struct (they may be a read-only mapping of the model file). Training bumps
 * `version`; a packed form remembers the version it was made from. kernel_weight_release frees packed forms, not the bytes.
 */
#ifndef KERNEL_WEIGHT_H
#define KERNEL_WEIGHT_H

#include <stdint.h>

#include "quant/quant.h"

typedef struct kernel_weight {
    const void *data;     /* [rows] of quant_row_bytes(type, cols); 32-byte aligned at least */
    quant_type type;
    int64_t rows, cols;   /* outputs, inputs */
    uint64_t version;
    void *packed;         /* owned by the kernels (gemm.h) */
} kernel_weight;

static inline const void *kernel_weight_row(const kernel_weight *w, int64_t r)
{
    return (const char *)w->data + (size_t)r * quant_row_bytes(w->type, w->cols);
}

#endif

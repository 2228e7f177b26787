/* Positions: rotary embedding whose keys do not depend on what comes later (dual chunk attention, An et al. 2024).
 *
 * A key at j is rotated by j mod s. A query at i looks at the keys of chunk m = j / s rotated by min(i - s*m, c - 1), c being the
 * trained window. Inside c this is plain RoPE: (i - s*m) - (j mod s) = i - j. For a query, only u = i/s - m matters, and from
 * u >= near on the rotation is the same for every query: rope_tables holds `near` tables of one row a query, and one far row.
 */
#ifndef KERNEL_ROPE_H
#define KERNEL_ROPE_H

#include <stdbool.h>
#include <stdint.h>

enum { ROPE_DIMS_MAX = 512, ROPE_NEAR_MAX = 3 };

typedef struct rope_spec {
    int dims;            /* rotated elements of a head; 0: no positions */
    bool interleaved;    /* pairs (2i, 2i+1), not (i, i + dims/2) */
    float magnitude;     /* multiplies cos and sin (YaRN's mscale); 1 otherwise */
    int64_t stride;      /* s: keys are rotated by j mod s; a multiple of KV_PAGE */
    int64_t window;      /* c: no query position goes beyond c - 1 */
    double inv_freq[ROPE_DIMS_MAX / 2];
} rope_spec;

/* How many values of u = i/s - m have a row of their own. */
static inline int rope_near(const rope_spec *s) { return (int)((s->window - 1 + s->stride - 1) / s->stride); }

/* cos, sin pairs: near[u][row][dims], far[dims]. near[0] is also what rotates the row's own key. */
typedef struct rope_tables {
    const rope_spec *spec;
    int64_t rows;
    const float *near, *far;
} rope_tables;

static inline const float *rope_row(const rope_tables *t, int64_t row, int64_t u)
{
    return u < rope_near(t->spec) ? t->near + (u * t->rows + row) * t->spec->dims : t->far;
}

#endif

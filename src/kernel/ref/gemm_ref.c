/* Products with weights in plain C: the oracle, and the definition of exact mode. */
#include <math.h>
#include <string.h>

#include "kernel/gemm.h"

enum { MR = 4, NR = 4 };
typedef float row_block[GEMM_BLOCK];

static int64_t block_left(int64_t k, int64_t at) { return k - at < GEMM_BLOCK ? k - at : GEMM_BLOCK; }

/* x panel: [block][MR][128]. */
static void pack_x(void *panel, const float *x, int64_t ldx, int rows, int64_t k)
{
    row_block *to = panel;
    for (int64_t at = 0; at < k; at += GEMM_BLOCK)
        for (int r = 0; r < MR; r++, to++) {
            memset(to, 0, sizeof *to);
            if (r < rows) memcpy(to, x + r * ldx + at, (size_t)block_left(k, at) * sizeof *x);
        }
}

/* w panel: [block][NR][128]. */
static void pack_w(void *panel, quant_type type, const void *w, size_t row_bytes, int rows, int64_t k0, int64_t k)
{
    row_block *to = panel;
    float row[GEMM_K_STEP];
    memset(to, 0, (size_t)(k + GEMM_BLOCK - 1) / GEMM_BLOCK * NR * sizeof *to);
    for (int r = 0; r < rows; r++) {
        quant_info_get(type)->decode((const char *)w + (size_t)r * row_bytes + quant_row_bytes(type, k0), row, k);
        for (int64_t at = 0; at < k; at += GEMM_BLOCK)
            memcpy(to[at / GEMM_BLOCK * NR + r], row + at, (size_t)block_left(k, at) * sizeof *row);
    }
}

/* Both turned: element by element. */
static void turn_x(void *panels, size_t panel_bytes, const float *x, int64_t ldx, int rows, int64_t k)
{
    for (int64_t i = 0; i < k; i++)
        for (int r = 0; r < rows; r++) {
            row_block *to = (row_block *)(void *)((char *)panels + (size_t)(r / MR) * panel_bytes);
            to[i / GEMM_BLOCK * MR + r % MR][i % GEMM_BLOCK] = x[i * ldx + r];
        }
}

static void turn_w(void *panels, size_t panel_bytes, quant_type type, const void *w, size_t row_bytes, int64_t n0, int64_t n, int64_t k)
{
    enum { WHOLE = 2 * GEMM_BLOCK }; /* no stored block is longer */
    float decoded[WHOLE];
    const quant_info *q = quant_info_get(type);
    const int64_t skip = n0 % WHOLE;
    const float *row = decoded + skip;
    n = block_left(n, 0);
    for (int64_t i = 0; i < k; i++) {
        const char *from = (const char *)w + (size_t)i * row_bytes + quant_row_bytes(type, n0 - skip);
        q->decode(from, decoded, (skip + n + q->block_elems - 1) / q->block_elems * q->block_elems);
        for (int64_t c = 0; c < n; c++) {
            row_block *to = (row_block *)(void *)((char *)panels + (size_t)(c / NR) * panel_bytes);
            to[i / GEMM_BLOCK * NR + c % NR][i % GEMM_BLOCK] = row[c];
        }
    }
}

static void tile(float *c, const void *x, const void *w, int64_t k, int rows, bool first)
{
    if (first) memset(c, 0, MR * NR * sizeof *c);
    const row_block *xb = x, *wb = w;
    for (int64_t at = 0; at < k; at += GEMM_BLOCK, xb += MR, wb += NR)
        for (int r = 0; r < rows; r++)
            for (int n = 0; n < NR; n++) {
                float sum = 0;
                for (int64_t i = 0; i < block_left(k, at); i++) sum = fmaf(xb[r][i], wb[n][i], sum);
                c[r * NR + n] += sum;
            }
}

/* A table entry knows its type. */
#define TYPES(M) M(F32) M(F16) M(BF16) M(Q4_0) M(Q4_1) M(Q5_0) M(Q5_1) M(Q8_0) M(Q4_K) M(Q5_K) M(Q6_K)
#define DEFINE(name)                                                                                              \
    static void pack_w_##name(void *panel, const void *w, size_t row_bytes, int rows, int64_t k0, int64_t k)      \
    {                                                                                                             \
        pack_w(panel, QUANT_##name, w, row_bytes, rows, k0, k);                                                   \
    }                                                                                                             \
    static void turn_w_##name(void *panels, size_t panel_bytes, const void *w, size_t row_bytes, int64_t n0, int64_t n, int64_t k) \
    {                                                                                                             \
        turn_w(panels, panel_bytes, QUANT_##name, w, row_bytes, n0, n, k);                                        \
    }
TYPES(DEFINE)

void gemm_fill_ref(gemm_table *t)
{
    t->exact = (gemm_form){.mr = MR, .nr = NR, .blocking = GEMM_BLOCKING, .x_block = MR * sizeof(row_block), .w_block = NR * sizeof(row_block),
                           .pack_x = pack_x, .tile = tile};
    t->turned = (gemm_turned){.pack_x = turn_x};
#define FILL(name)                                     \
    t->exact.pack_w[QUANT_##name] = pack_w_##name;     \
    t->turned.pack_w[QUANT_##name] = turn_w_##name;
    TYPES(FILL)
#undef FILL
    t->fast = t->exact;
    t->few.rows = 0;
}

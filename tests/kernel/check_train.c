/* Operations of training at every level, and over the plain-C vocabulary: products against double precision, gradients against finite
 * differences in double precision of what they are gradients of. `check_train --bench [LEVEL [THREADS [NAME]]]` times them instead (bench_train.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "bench_train.h"
#include "gemm_case.h"
#include "kernel/ctx.h"
#include "kernel/train.h"
#include "level_case.h"

#ifdef CHECK_LEVELS_ONLY
enum { NARROW = true }; /* an emulated processor takes its time */
#else
enum { NARROW = false };
#endif

#ifndef CHECK_LEVELS_ONLY
void gemm_fill_avx512_emulated(gemm_table *t);
void gemm_fill_amx_emulated(gemm_table *t);
void train_fill_emulated(train_table *t);
void vec_fill_emulated(vec_table *t);

static void emulate(kernel_table *t)
{
    gemm_fill_avx512_emulated(&t->gemm);
    train_fill_emulated(&t->train);
    vec_fill_emulated(&t->vec);
}
#else
#define emulate NULL
#endif

static kernel_ctx *open_mode(const subject *s, int threads, bool exact)
{
    kernel_ctx *ctx = NULL;
    if (!level_runs(s)) skip_because("this processor has no such level; its arithmetic is checked in plain C");
    if (kernel_open(&ctx, &(kernel_options){.level = s->level, .threads = threads, .exact = exact}, NULL)) fail_msg("%s does not open", s->name);
    ctx->table = level_table(s, emulate);
    if (kernel_reserve(ctx, &(kernel_limits){.train_rows = 1}, NULL)) fail_msg("no scratch");
    return ctx;
}

static kernel_ctx *open_ctx(const subject *s, int threads) { return open_mode(s, threads, true); }

static float *random_floats(int64_t n, uint64_t seed, float by)
{
    float *v = mem_alloc((size_t)n * sizeof *v);
    for (int64_t i = 0; i < n; i++) v[i] = by * gemm_gauss(&seed);
    return v;
}

static void near(const subject *s, const char *op, int64_t i, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance)) fail_msg("%s: %s, element %ld: %.9g, not %.9g (%.2g off)", s->name, op, (long)i, got, want, got - want);
}

/* ---- products ---- */

typedef struct product {
    op_matmul_args p;
    float *a, *b, *c, *before;
    int64_t size; /* of c */
} product;

/* Rows a little longer than they need be, so that strides are heeded. */
static product product_of(int64_t m, int64_t n, int64_t k, int form, uint64_t seed)
{
    product t = {.size = m * (n + 3)};
    bool a_t = form & 1, b_t = form & 2;
    t.p = (op_matmul_args){.ldc = n + 3, .add = form & 4, .lda = (a_t ? m : k) + 1, .a_t = a_t, .ldb = (b_t ? k : n) + 2, .b_t = b_t, .m = m, .n = n, .k = k};
    t.a = random_floats((a_t ? k : m) * t.p.lda, seed, 1);
    t.b = random_floats((b_t ? n : k) * t.p.ldb, seed + 1, 1);
    t.c = random_floats(t.size, seed + 2, 1);
    t.before = mem_alloc((size_t)t.size * sizeof *t.before);
    memcpy(t.before, t.c, (size_t)t.size * sizeof *t.c);
    t.p.a = t.a, t.p.b = t.b, t.p.c = t.c;
    return t;
}

static void product_end(product *t)
{
    mem_free(t->a);
    mem_free(t->b);
    mem_free(t->c);
    mem_free(t->before);
}

/* tolerance: of the root of the sum of the squared products. */
static void product_right(const char *name, const product *t, double tolerance)
{
    const op_matmul_args *p = &t->p;
    for (int64_t r = 0; r < p->m; r++)
        for (int64_t c = 0; c < p->ldc; c++) {
            double sum = 0, squares = 0, got = t->c[r * p->ldc + c], before = t->before[r * p->ldc + c];
            for (int64_t i = 0; i < p->k && c < p->n; i++) {
                double v = (double)(p->a_t ? p->a[i * p->lda + r] : p->a[r * p->lda + i]) * (p->b_t ? p->b[c * p->ldb + i] : p->b[i * p->ldb + c]);
                sum += v;
                squares += v * v;
            }
            if (c >= p->n || p->add) sum += before;
            if (c >= p->n && got != before) fail_msg("%s: row %ld is written past its end", name, (long)r);
            if (!(fabs(got - sum) <= tolerance * sqrt(squares) + 4e-6 * fabs(before)))
                fail_msg("%s: %ldx%ldx%ld%s%s%s, row %ld, column %ld: %.9g, not %.9g", name, (long)p->m, (long)p->n, (long)p->k, p->a_t ? ", a_t" : "",
                         p->b_t ? ", b_t" : "", p->add ? ", add" : "", (long)r, (long)c, got, sum);
        }
}

static const int64_t shapes[][3] = {{1, 1, 1}, {3, 5, 7}, {6, 16, 128}, {14, 32, 129}, {17, 33, 260}, {50, 70, 31}, {1, 300, 140}, {200, 2, 16}, {64, 64, 64}, {121, 150, 600}};
enum { SHAPES = sizeof shapes / sizeof *shapes, FORMS = 8 };

#define EXACT_ERROR 4e-6
#define FAST_ERROR 2e-3  /* codes of 16 bits */
#define TILES_ERROR 2e-2 /* both factors rounded to bfloat16, and a product that stands alone has no average */

static void check_products(kernel_ctx *ctx, const char *name, double tolerance)
{
    for (int i = 0; i < SHAPES * FORMS; i++) {
        const int64_t *shape = shapes[i / FORMS];
        if (NARROW && i % FORMS % 3 != i / FORMS % 3) continue;
        product t = product_of(shape[0], shape[1], shape[2], i % FORMS, (uint64_t)i);
        op_matmul(ctx, &t.p);
        product_right(name, &t, tolerance);
        product_end(&t);
    }
}

static void products_are_right(void **state)
{
    const subject *s = *state;
    for (int exact = 0; exact < 2; exact++) {
        kernel_ctx *ctx = open_mode(s, 2, exact);
        check_products(ctx, s->name, exact ? EXACT_ERROR : FAST_ERROR);
        kernel_close(&ctx);
    }
}

/* Sums so long, of so many rows, that they are cut into chunks. */
static void chunks_add_up(void **state)
{
    const subject *s = *state;
    for (int exact = 0; exact < 2; exact++) {
        kernel_ctx *ctx = open_mode(s, 2, exact);
        const bool few = s->emulated || NARROW;
        product t = product_of(few ? 20 : exact ? 270 : 520, few ? 20 : 66, 4200, exact ? 2 : 5, 1);
        op_matmul(ctx, &t.p);
        product_right(s->name, &t, exact ? EXACT_ERROR : FAST_ERROR);
        product_end(&t);
        kernel_close(&ctx);
    }
}

/* Narrow operands are read where they lie: the same bits as by way of panels, whoever takes which part. */
static void narrow_products_are_the_exact_ones(void **state)
{
    const subject *s = *state;
    static const int64_t sizes[][3] = {{50, 16, 300}, {9, 8, 2100}, {65, 33, 130}, {50, 300, 16}, {7, 130, 1}, {16, 300, 270}, {300, 16, 270}, {5, 70, 2100}, {70, 5, 2100}};
    for (size_t i = 0; i < FORMS * sizeof sizes / sizeof *sizes; i++) {
        const int64_t *size = sizes[i / FORMS];
        if ((NARROW || s->emulated) && (i % FORMS + i / FORMS) % 3) continue;
        product t = product_of(size[0], size[1], size[2], i % FORMS, i), general = product_of(size[0], size[1], size[2], i % FORMS, i);
        for (int threads = 1; threads < 4; threads += 2) {
            kernel_ctx *ctx = open_ctx(s, threads);
            memcpy(t.c, t.before, (size_t)t.size * sizeof *t.c);
            memcpy(general.c, t.before, (size_t)t.size * sizeof *t.c);
            op_matmul(ctx, &t.p);
            ctx->table.gemm.narrow.product = NULL;
            op_matmul(ctx, &general.p);
            if (memcmp(t.c, general.c, (size_t)t.size * sizeof *t.c)) fail_msg("%s: size %d, form %d", s->name, (int)(i / FORMS), (int)(i % FORMS));
            kernel_close(&ctx);
        }
        product_end(&t);
        product_end(&general);
    }
}

/* dx of a weight of every type: the product with what the weight stands for. */
static void check_weights(kernel_ctx *ctx, const char *name, double tolerance)
{
    static const int64_t sizes[][3] = {{1, 256, 1}, {37, 256, 5}, {130, 768, 3}, {70, 512, 70}, {9, 96, 20}, {33, 331, 9}}; /* outputs, inputs, rows */
    for (int t = 0; t < GEMM_TYPES; t++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            gemm_case g;
            if (NARROW && (size_t)t % 3 != i % 3) continue;
            int64_t n = sizes[i][0], k = sizes[i][1], rows = sizes[i][2];
            if (!gemm_case_init(&g, gemm_types[t], n, k, 1, (uint64_t)(10 * t) + i, false)) continue;
            float *w = mem_alloc((size_t)(n * k) * sizeof *w);
            for (int64_t r = 0; r < n; r++) quant_info_get(gemm_types[t])->decode(kernel_weight_row(&g.w, r), w + r * k, k);
            product p = product_of(rows, k, n, i & 1 ? 4 : 0, i);
            op_linear_back(ctx, &g.w, p.a, p.p.lda, p.c, p.p.ldc, rows, p.p.add);
            p.p.b = w, p.p.ldb = k;
            product_right(name, &p, tolerance);
            product_end(&p);
            mem_free(w);
            gemm_case_deinit(&g);
        }
}

static void weights_are_right(void **state)
{
    const subject *s = *state;
    for (int exact = 0; exact < 2; exact++) {
        kernel_ctx *ctx = open_mode(s, 2, exact);
        check_weights(ctx, s->name, exact ? EXACT_ERROR : FAST_ERROR);
        kernel_close(&ctx);
    }
}

#ifndef CHECK_LEVELS_ONLY
static void tiles_are_right(void **state)
{
    (void)state;
    kernel_ctx *ctx = open_mode(&subjects[0], 1, false);
    gemm_fill_avx512_emulated(&ctx->table.gemm);
    gemm_fill_amx_emulated(&ctx->table.gemm);
    if (kernel_reserve(ctx, &(kernel_limits){.train_rows = 2}, NULL)) fail_msg("no scratch");
    check_products(ctx, "amx emulated", TILES_ERROR);
    check_weights(ctx, "amx emulated", TILES_ERROR);
    kernel_close(&ctx);
}
#endif

/* ---- gradients ---- */

/* A function of x[n] whose gradient is wanted, in double. */
typedef struct scalar {
    double (*of)(const struct scalar *f, const double *x);
    int64_t n;
    const float *dy, *w, *other;
    double eps, cap;
    vec_act act;
    bool by_other; /* x stands for `other`, and the other way round */
    int target;
} scalar;

/* Central differences; the error is of the order of the third derivative times 1e-10. */
static void differences(const scalar *f, const float *at, double *gradient)
{
    double *x = mem_alloc((size_t)f->n * sizeof *x);
    for (int64_t i = 0; i < f->n; i++) x[i] = at[i];
    for (int64_t i = 0; i < f->n; i++) {
        const double h = 1e-5, middle = x[i];
        x[i] = middle + h;
        double up = f->of(f, x);
        x[i] = middle - h;
        gradient[i] = (up - f->of(f, x)) / (2 * h);
        x[i] = middle;
    }
    mem_free(x);
}

static double norm_of(const scalar *f, const double *x)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < f->n; i++) {
        squares += x[i] * x[i];
        sum += (double)f->dy[i] * x[i] * (f->w ? (double)f->w[i] : 1);
    }
    return sum / sqrt(squares / (double)f->n + f->eps);
}

static const int64_t lengths[] = {1, 2, 15, 16, 17, 33, 64, 70, 128, 640};
enum { LENGTHS = sizeof lengths / sizeof *lengths, ROWS = 5 };

static void norms_turn_back(void **state)
{
    const subject *s = *state;
    kernel_ctx *ctx = open_ctx(s, 2);
    const float eps = 1e-5f;
    for (int i = 0; i < 4 * LENGTHS; i++) { /* with weights or not, added or not */
        int64_t n = lengths[i / 4], size = ROWS * n;
        bool weighted = i & 1, add = i & 2;
        float *x = random_floats(size, 1, 2), *dy = random_floats(size, 2, 1), *w = random_floats(n, 3, 1), *dx = random_floats(size, 4, 1);
        float *before = random_floats(size, 4, 1), *dw = random_floats(n, 5, 1), *dw_before = random_floats(n, 5, 1);
        double *want = mem_alloc((size_t)n * sizeof *want), *sum = mem_array((size_t)n, sizeof *sum);
        op_rms_norm_back(ctx, dx, dy, x, weighted ? w : NULL, dw, ROWS, n, eps, add);
        for (int64_t r = 0; r < ROWS; r++) {
            scalar f = {.of = norm_of, .n = n, .dy = dy + r * n, .w = weighted ? w : NULL, .eps = eps};
            double squares = 0;
            differences(&f, x + r * n, want);
            for (int64_t c = 0; c < n; c++) squares += (double)x[r * n + c] * x[r * n + c];
            double factor = 1 / sqrt(squares / (double)n + eps);
            for (int64_t c = 0; c < n; c++) {
                double b = add ? (double)before[r * n + c] : 0;
                near(s, "norm", c, dx[r * n + c], b + want[c], 2e-6 * (factor * 4 + fabs(b) + fabs(want[c])));
                sum[c] += (double)dy[r * n + c] * x[r * n + c] * factor;
            }
        }
        for (int64_t c = 0; c < n; c++) near(s, "norm's weights", c, dw[c], dw_before[c] + sum[c], 1e-5 * (fabs((double)dw_before[c]) + 4));
        memcpy(before, dy, (size_t)size * sizeof *dy); /* in place */
        op_rms_norm_back(ctx, dx, dy, x, w, NULL, ROWS, n, eps, false);
        op_rms_norm_back(ctx, before, before, x, w, dw, ROWS, n, eps, false);
        assert_memory_equal(before, dx, (size_t)size * sizeof *dx);
        float *all[] = {x, dy, w, dx, before, dw, dw_before};
        for (size_t a = 0; a < sizeof all / sizeof *all; a++) mem_free(all[a]);
        mem_free(want);
        mem_free(sum);
    }
    kernel_close(&ctx);
}

static double act(double v, vec_act a)
{
    switch (a) {
    case VEC_SILU: return v / (1 + exp(-v));
    case VEC_GELU_TANH: return v / (1 + exp(-2 * sqrt(2 / acos(-1)) * v * (1 + 0.044715 * v * v)));
    case VEC_GELU_ERF: return 0.5 * v * erfc(-v / sqrt(2));
    case VEC_RELU: return v > 0 ? v : 0;
    case VEC_SIGMOID: return 1 / (1 + exp(-v));
    }
    return v;
}

static void gates_turn_back(void **state)
{
    const subject *s = *state;
    kernel_ctx *ctx = open_ctx(s, 2);
    enum { N = 5003 };
    static const float edges[] = {0.1f, -0.1f, 20, -20, 80, -80, 100, -100, 1e4f, -1e4f, 1e-3f, -1e-3f};
    for (int a = VEC_SILU; a <= VEC_SIGMOID; a++) {
        float *gate = random_floats(N, 1, 3), *up = random_floats(N, 2, 1), *dy = random_floats(N, 3, 1);
        float *dgate = random_floats(N, 4, 1), *dup = random_floats(N, 5, 1);
        memcpy(gate, edges, sizeof edges);
        op_glu_back(ctx, dgate, dup, dy, gate, up, N, (vec_act)a);
        for (int i = 0; i < N; i++) {
            const double h = 1e-6, g = gate[i], size = fabs((double)dy[i] * up[i]);
            double slope = (act(g + h, (vec_act)a) - act(g - h, (vec_act)a)) / (2 * h);
            near(s, "gate", i, dgate[i], (double)dy[i] * up[i] * slope, 3e-6 * size + 1e-8 * size * fabs(g));
            near(s, "up", i, dup[i], dy[i] * act(g, (vec_act)a), 1e-6 * fabs(dy[i] * g) + 1e-7);
        }
        op_glu_back(ctx, gate, dy, dy, gate, up, N, (vec_act)a); /* in place */
        assert_memory_equal(gate, dgate, N * sizeof *gate);
        assert_memory_equal(dy, dup, N * sizeof *dy);
        float *all[] = {gate, up, dy, dgate, dup};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) mem_free(all[i]);
    }
    kernel_close(&ctx);
}

static void softcaps_turn_back(void **state)
{
    const subject *s = *state;
    kernel_ctx *ctx = open_ctx(s, 2);
    enum { N = 4999 };
    float *x = random_floats(N, 1, 40), *y = mem_alloc(N * sizeof *y), *dx = random_floats(N, 2, 1), *dy = random_floats(N, 2, 1);
    memcpy(y, x, N * sizeof *y);
    op_softcap(ctx, y, 30, N);
    op_softcap_back(ctx, dx, y, 30, N);
    for (int i = 0; i < N; i++) {
        const double h = 1e-5;
        near(s, "softcap", i, dx[i], dy[i] * (30 * tanh((x[i] + h) / 30) - 30 * tanh((x[i] - h) / 30)) / (2 * h), 2e-6 * fabs((double)dy[i]) + 1e-9);
    }
    mem_free(x);
    mem_free(y);
    mem_free(dx);
    mem_free(dy);
    kernel_close(&ctx);
}

/* Turning back is the transpose of turning: (R x) . y = x . (R^T y). */
static void positions_turn_back(void **state)
{
    const subject *s = *state;
    kernel_ctx *ctx = open_ctx(s, 2);
    enum { HEADS = 3, DIM = 80, POSITIONS = 40 };
    for (int form = 0; form < 2; form++) {
        static rope_spec spec;
        spec = (rope_spec){.dims = 64, .interleaved = form, .magnitude = 1.2f, .stride = 1 << 20, .window = 1 << 20};
        for (int i = 0; i < spec.dims / 2; i++) spec.inv_freq[i] = pow(10000, -2.0 * i / spec.dims);
        int64_t positions[POSITIONS], size = POSITIONS * HEADS * DIM;
        for (int i = 0; i < POSITIONS; i++) positions[i] = 7 * i;
        float *table = mem_alloc((size_t)(rope_near(&spec) * POSITIONS * spec.dims) * sizeof *table), far[64];
        op_rope_tables(ctx, &spec, positions, POSITIONS, table, far);
        rope_tables t = {.spec = &spec, .rows = POSITIONS, .near = table, .far = far};
        float *x = random_floats(size, 1, 1), *turned = random_floats(size, 1, 1), *y = random_floats(size, 2, 1), *back = random_floats(size, 2, 1);
        op_rope_keys(ctx, turned, POSITIONS, HEADS, DIM, &t);
        op_rope_keys_back(ctx, back, POSITIONS, HEADS, DIM, &t);
        for (int64_t r = 0; r < POSITIONS * HEADS; r++) {
            double forth = 0, home = 0;
            for (int64_t i = r * DIM; i < (r + 1) * DIM; i++) {
                forth += (double)turned[i] * y[i];
                home += (double)x[i] * back[i];
            }
            near(s, "rotation", r, home, forth, 1e-5);
        }
        float *all[] = {x, turned, y, back, table};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) mem_free(all[i]);
    }
    kernel_close(&ctx);
}

static void rows_are_summed(void **state)
{
    const subject *s = *state;
    kernel_ctx *ctx = open_ctx(s, 2);
    enum { N = 150, MANY = 300, VOCAB = 40, LD = N + 5 };
    float *dy = random_floats(MANY * LD, 1, 1), *db = random_floats(N, 2, 1), *before = random_floats(N, 2, 1), *dw = mem_array(VOCAB * N, sizeof *dw);
    op_bias_back(ctx, db, dy, LD, MANY, N);
    for (int i = 0; i < N; i++) {
        double sum = before[i];
        for (int r = 0; r < MANY; r++) sum += dy[r * LD + i];
        near(s, "bias", i, db[i], sum, 1e-4);
    }
    int32_t ids[MANY];
    double *want = mem_array(VOCAB * N, sizeof *want);
    for (int r = 0; r < MANY; r++) {
        ids[r] = r * r % VOCAB;
        for (int i = 0; i < N; i++) want[ids[r] * N + i] += 2.5 * (double)dy[r * N + i];
    }
    op_embed_back(ctx, dw, ids, dy, MANY, N, 2.5f);
    for (int i = 0; i < VOCAB * N; i++) near(s, "embedding", i, dw[i], want[i], 1e-4);
    float *all[] = {dy, db, before, dw};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) mem_free(all[i]);
    mem_free(want);
    kernel_close(&ctx);
}

/* ---- the loss ---- */

static double loss_of(const scalar *f, const double *x)
{
    double top = -INFINITY, sum = 0;
    for (int64_t i = 0; i < f->n; i++) top = fmax(top, x[i]);
    for (int64_t i = 0; i < f->n; i++) sum += exp(x[i] - top);
    return top + log(sum) - x[f->target];
}

static void losses_are_right(void **state)
{
    const subject *s = *state;
    kernel_ctx *ctx = open_ctx(s, 2);
    static const int64_t vocabularies[] = {1, 2, 17, 300, 6400, 262144};
    for (size_t v = 0; v < sizeof vocabularies / sizeof *vocabularies; v++) {
        int64_t n = vocabularies[v];
        float *x = random_floats(3 * n, v, 5), *logits = random_floats(3 * n, v, 5), loss[3] = {9, 9, 9};
        const int32_t targets[3] = {(int32_t)(n / 3), -1, (int32_t)(n - 1)};
        const float weights[3] = {0.25f, 7, 1};
        double *want = mem_alloc((size_t)n * sizeof *want), *row = mem_alloc((size_t)n * sizeof *row);
        op_cross_entropy(ctx, logits, targets, v & 1 ? weights : NULL, loss, 3, n);
        for (int r = 0; r < 3; r++) {
            scalar f = {.of = loss_of, .n = n, .target = targets[r]};
            double weight = v & 1 ? (double)weights[r] : 1;
            for (int64_t i = 0; i < n; i++) row[i] = x[r * n + i];
            if (r == 1) {
                for (int64_t i = 0; i < n; i++) assert_true(logits[r * n + i] == 0);
                assert_true(loss[r] == 0);
                continue;
            }
            double l = loss_of(&f, row);
            near(s, "loss", r, loss[r], l, 1e-6 * (fabs(l) + 1));
            if (n <= 300) differences(&f, x + r * n, want);
            else
                for (int64_t i = 0; i < n; i++) want[i] = exp(row[i] - (l + row[f.target])) - (i == f.target);
            for (int64_t i = 0; i < n; i++) near(s, "loss's gradient", i, logits[r * n + i], weight * want[i], 6e-6 * weight * fabs(want[i]) + (n <= 300 ? 2e-9 : 1e-12) + (i == f.target ? 1e-7 : 0));
        }
        mem_free(x);
        mem_free(logits);
        mem_free(want);
        mem_free(row);
    }
    kernel_close(&ctx);
}

/* What cannot be the next token is masked with -infinity, and a row that holds a NaN spoils itself only. */
static void losses_of_odd_rows(void **state)
{
    const subject *s = *state;
    kernel_ctx *ctx = open_ctx(s, 1);
    enum { N = 9000, MASKED = 4200 };
    float *x = random_floats(2 * N, 1, 3), loss[2];
    for (int i = 0; i < MASKED; i++) x[i] = -INFINITY;
    x[N + 77] = NAN;
    op_cross_entropy(ctx, x, (const int32_t[]){MASKED, 5}, NULL, loss, 2, N);
    double sum = 0;
    for (int i = 0; i < N; i++) {
        if (i < MASKED) assert_true(x[i] == 0);
        sum += x[i];
    }
    near(s, "masked row's sum", 0, sum, 0, 1e-6);
    assert_true(isfinite(loss[0]) && isnan(loss[1]));
    mem_free(x);
    kernel_close(&ctx);
}

/* ---- the optimiser ---- */

static void steps_are_right(void **state)
{
    const subject *s = *state;
    kernel_ctx *ctx = open_ctx(s, 2);
    enum { N = 9001, STEPS = 5 };
    float *w = random_floats(N, 1, 1), *m = mem_array(N, sizeof *m), *v = mem_array(N, sizeof *v);
    double *want = mem_alloc(3 * N * sizeof *want), *first = want + N, *second = want + 2 * N;
    for (int i = 0; i < N; i++) want[i] = w[i], first[i] = second[i] = 0;
    for (int step = 1; step <= STEPS; step++) {
        const op_adamw_args p = {.lr = 1e-2, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .decay = 0.1, .grad_scale = 0.5, .step = step};
        float *g = random_floats(N, (uint64_t)step, 1e-3f);
        g[0] = 0;
        op_adamw(ctx, w, g, m, v, N, &p);
        for (int i = 0; i < N; i++) {
            double d = 0.5 * g[i];
            first[i] = 0.9 * first[i] + 0.1 * d;
            second[i] = 0.95 * second[i] + 0.05 * d * d;
            want[i] -= p.lr * (first[i] / (1 - pow(0.9, step)) / (sqrt(second[i] / (1 - pow(0.95, step))) + p.eps) + p.decay * want[i]);
            near(s, "step", i, w[i], want[i], 1e-6 * (fabs(want[i]) + 0.1));
        }
        mem_free(g);
    }
    double sum = 0;
    for (int i = 0; i < N; i++) sum += (double)w[i] * w[i];
    near(s, "squares", 0, op_sum_squares(ctx, w, N), sum, 1e-6 * sum);
    assert_true(op_sum_squares(ctx, w, 0) == 0);
    w[17] = NAN;
    assert_true(isnan(op_sum_squares(ctx, w, N)));
    w[17] = 1;
    op_scale(ctx, w, 3, N);
    op_axpy(ctx, w, w, 0.5f, N);
    assert_true(w[17] == 4.5f);
    mem_free(w);
    mem_free(m);
    mem_free(v);
    mem_free(want);
    kernel_close(&ctx);
}

/* ---- the same bits ---- */

/* Everything there is once, over more data than one thread takes; returns what came out, products first. */
static float *everything(kernel_ctx *ctx, int64_t *size, int64_t *products)
{
    enum { M = NARROW ? 70 : 210, N = NARROW ? 66 : 180, K = NARROW ? 130 : 300, VOCAB = NARROW ? 3000 : 20000, OUT = 4 * M * N + K * N + 2 * K + 3 * VOCAB + 8 };
    float *out = mem_array(OUT, sizeof *out), *at = out, *a = random_floats(M * K, 1, 1), *b = random_floats(K * N, 2, 1), *x = random_floats(M * K, 3, 1);
    for (int form = 0; form < 4; form++, at += M * N)
        op_matmul(ctx, &(op_matmul_args){.c = at, .ldc = N, .a = a, .lda = form & 1 ? M : K, .a_t = form & 1, .b = b, .ldb = form & 2 ? K : N,
                                         .b_t = form & 2, .m = M, .n = N, .k = K});
    *products = at - out;
    op_rms_norm_back(ctx, x, x, a, b, at, M, K, 1e-6f, false);
    at += K;
    op_bias_back(ctx, at, x, K, M, K);
    at += K;
    op_glu_back(ctx, at, x, b, a, b, K * N, VEC_GELU_TANH);
    at += K * N;
    memcpy(at, x, 3 * VOCAB * sizeof *x);
    op_cross_entropy(ctx, at, (const int32_t[]){3, 4, VOCAB - 1}, NULL, at + 3 * VOCAB, 3, VOCAB);
    at += 3 * VOCAB + 3;
    *at++ = (float)op_sum_squares(ctx, x, M * K);
    *size = at - out;
    assert_true(*size <= OUT);
    mem_free(a);
    mem_free(b);
    mem_free(x);
    return out;
}

static void threads_do_not_matter(void **state)
{
    const subject *s = *state;
    float *expected = NULL;
    for (int i = 0; i < 6; i++) {
        const int threads = 1 + i % 3 * 2;
        int64_t size, products;
        kernel_ctx *ctx = open_mode(s, threads, i < 3);
        float *got = everything(ctx, &size, &products);
        if (i % 3) assert_memory_equal(got, expected, (size_t)size * sizeof *got);
        mem_free(expected);
        expected = got;
        kernel_close(&ctx);
    }
    mem_free(expected);
}

/* Products have the same bits at every level, and so has everything else at the levels of vectors. */
static void levels_agree(void **state)
{
    (void)state;
    float *expected = NULL;
    int64_t products = 0;
    for (int k = 0; k < SUBJECTS; k++) {
        int64_t size;
        if (!level_runs(&subjects[k])) continue;
        kernel_ctx *ctx = open_ctx(&subjects[k], 2);
        float *got = everything(ctx, &size, &products);
        if (k > 1 && memcmp(got, expected, (size_t)size * sizeof *got)) fail_msg("%s: not the bits of the level before", subjects[k].name);
        if (k == 1) assert_memory_equal(got, expected, (size_t)products * sizeof *got);
        mem_free(expected);
        expected = got;
        kernel_close(&ctx);
    }
    mem_free(expected);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--bench")) return bench_train(argc > 2 ? argv[2] : NULL, argc > 3 ? atoi(argv[3]) : 0, argc > 4 ? argv[4] : NULL);
    static const level_test each[] = {{"products_are_right", products_are_right}, {"weights_are_right", weights_are_right}, {"chunks_add_up", chunks_add_up},
                                      {"narrow_products_are_the_exact_ones", narrow_products_are_the_exact_ones},
                                      {"norms_turn_back", norms_turn_back}, {"gates_turn_back", gates_turn_back},
                                      {"softcaps_turn_back", softcaps_turn_back}, {"positions_turn_back", positions_turn_back},
                                      {"rows_are_summed", rows_are_summed}, {"losses_are_right", losses_are_right},
                                      {"losses_of_odd_rows", losses_of_odd_rows}, {"steps_are_right", steps_are_right},
                                      {"threads_do_not_matter", threads_do_not_matter}};
    enum { EACH = sizeof each / sizeof *each };
    static const struct CMUnitTest once[] = {
        cmocka_unit_test(levels_agree),
#ifndef CHECK_LEVELS_ONLY
        cmocka_unit_test(tiles_are_right),
#endif
    };
    enum { ONCE = sizeof once / sizeof *once };
    struct CMUnitTest all[SUBJECTS * EACH], tests[SUBJECTS * EACH + ONCE];
    const int left_out = NARROW ? EACH : 0; /* plain C is checked on this processor */
    level_tests(all, each, EACH);
    memcpy(tests, once, sizeof once);
    memcpy(tests + ONCE, all + left_out, (size_t)(SUBJECTS * EACH - left_out) * sizeof *all);
    return _cmocka_run_group_tests("train", tests, (size_t)(SUBJECTS * EACH - left_out + ONCE), NULL, NULL);
}

/* How makers say that rotary positions are scaled. A GGUF file has linear scaling and YaRN in words, but that of Llama 3.1 only as the divisors that
 * come of it, so the words are found again from them. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/family/dialect.h"
#include "model/family/publish.h"

static cj_err put_linear(const model_source *s, buf *b, cj_diag *d)
{
    float factor = 1;
    TRY(source_float(s, "rope.scaling.factor", GGUF_REQUIRED, &factor, d));
    return buf_printf(b, d, ",\n  \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": %.9g}", (double)factor);
}

static cj_err put_yarn(const model *m, buf *b, cj_diag *d)
{
    const model_source *s = model_source_of(m);
    const model_spec *spec = model_spec_of(m);
    float factor = 1, fast = 32, slow = 1;
    int64_t original = spec->context;
    TRY(source_float(s, "rope.scaling.factor", GGUF_REQUIRED, &factor, d));
    TRY(source_float(s, "rope.scaling.yarn_beta_fast", GGUF_OPTIONAL, &fast, d));
    TRY(source_float(s, "rope.scaling.yarn_beta_slow", GGUF_OPTIONAL, &slow, d));
    TRY(source_int(s, "rope.scaling.original_context_length", GGUF_OPTIONAL, 0, 1, (int64_t)1 << 32, &original, d));
    return buf_printf(b, d, ",\n  \"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": %.9g, \"original_max_position_embeddings\": %lld, "
                      "\"beta_fast\": %.9g, \"beta_slow\": %.9g, \"attention_factor\": %.9g}",
                      (double)factor, (long long)original, (double)fast, (double)slow, (double)spec->ropes[0].magnitude);
}

/* ---- Llama 3.1 ---- */

/* A wave that makes x turns a position is divided by 1 / ((1 - kept) / factor + kept), kept = slope x + at, not below 0 nor above 1. */
typedef struct ramp {
    double slope, at;
} ramp;

/* Through the points that lie on it; where there are fewer than two, one that is steep enough for those beside. */
static ramp find_ramp(const double *x, const double *kept, int n)
{
    int first = -1, last = -1, whole = -1, none = -1; /* x falls with i: first those kept whole, then those between, then none of them */
    for (int i = 0; i < n; i++) {
        const bool between = kept[i] > 1e-5 && kept[i] < 1 - 1e-5;
        if (between && first < 0) first = i;
        if (between) last = i;
        if (kept[i] >= 1 - 1e-5) whole = i;
        if (kept[i] <= 1e-5 && none < 0) none = i;
    }
    double slope = 1;
    if (first < last) slope = (kept[first] - kept[last]) / (x[first] - x[last]);
    else if (first >= 0) {
        slope = kept[first] / x[first];
        if (whole >= 0) slope = fmax(slope, (1 - kept[first]) / (x[whole] - x[first]));
        if (none >= 0) slope = fmax(slope, kept[first] / (x[first] - x[none]));
    } else if (whole >= 0 && none >= 0) {
        slope = 1 / (x[whole] - x[none]);
        return (ramp){slope, -slope * x[none]};
    }
    return (ramp){slope, first >= 0 ? kept[first] - slope * x[first] : 0};
}

/* The words have one measure too many: the original context, low and high can be larger together. Llama's own have high - low = 3; where that gives no
 * whole context, larger ones do nearly. */
static cj_err put_llama3(const model *m, const float *divisors, float base, buf *b, cj_diag *d)
{
    const rope_spec *r = &model_spec_of(m)->ropes[0];
    const int n = r->dims / 2;
    double x[ROPE_DIMS_MAX / 2], kept[ROPE_DIMS_MAX / 2], factor = 1, span = 3;
    for (int i = 0; i < n; i++) factor = fmax(factor, (double)divisors[i]);
    if (!(factor > 1)) return CJ_OK;
    for (int i = 0; i < n; i++) {
        x[i] = pow((double)base, -2.0 * i / r->dims) / (2 * M_PI);
        kept[i] = (1 / (double)divisors[i] - 1 / factor) / (1 - 1 / factor);
    }
    const ramp p = find_ramp(x, kept, n);
    double original = span * p.slope;
    if (fabs(original - round(original)) > 1e-5 * original) original = span *= round(fmax(1, (1 << 20) / fmax(original, 1))), original *= p.slope;
    return buf_printf(b, d, ",\n  \"rope_scaling\": {\"rope_type\": \"" ROPE_SMOOTH "\", \"factor\": %.9g, \"low_freq_factor\": %.9g, "
                      "\"high_freq_factor\": %.9g, \"original_max_position_embeddings\": %lld}",
                      factor, -p.at * span, (1 - p.at) * span, llround(original));
}

cj_err publish_rope_scaling(const model *m, float base, buf *b, cj_diag *d)
{
    const model_source *s = model_source_of(m);
    gguf_str type = {0};
    source_tensor t;
    bool table;
    TRY(source_tensor_find(s, "rope_freqs.weight", &table, &t, d));
    TRY(source_text(s, "rope.scaling.type", GGUF_OPTIONAL, 0, &type, d));
    if (table) return put_llama3(m, t.data, base, b, d);
    if (type.len == 4 && !memcmp(type.data, "yarn", 4)) return put_yarn(m, b, d);
    if (type.len == 6 && !memcmp(type.data, "linear", 6)) return put_linear(s, b, d);
    return CJ_OK;
}

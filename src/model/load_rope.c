/* Rotary frequencies: plain, linear, YaRN (Peng et al. 2023), a smooth one, or a table of divisors (rope_freqs). */
#include <math.h>

#include "model/family/dialect.h"
#include "model/load.h"

static const int64_t window_max = (int64_t)1 << 32;

/* Three quarters of the window are a chunk of keys; the rest is what a query sees of the chunk before at true distance. */
static void set_window(rope_spec *r, int64_t window)
{
    r->window = i64_max(window, 2 * KV_PAGE);
    r->stride = i64_max(r->window * 3 / 4 / KV_PAGE, 1) * KV_PAGE;
}

/* Settings of YaRN in folders that change it in ways not known here. */
static cj_err refuse_variants(model_load *l, cj_diag *d)
{
    static const char *const keys[] = {"rope.scaling.mscale", "rope.scaling.mscale_all_dim"};
    bool truncate = true;
    for (int i = 0; i < 2; i++) {
        float x = NAN;
        TRY(load_float(l, keys[i], GGUF_OPTIONAL, &x, d));
        if (!isnan(x))
            return diag_fail(d, CJ_E_UNSUPPORTED, MSG_CONFIG_UNSUPPORTED, "%s" ARG "%s" ARG "%g", source_path(l->source), i ? "mscale_all_dim" : "mscale", (double)x);
    }
    TRY(source_bool(l->source, "rope.scaling.truncate", GGUF_OPTIONAL, 0, &truncate, d));
    return truncate ? CJ_OK : diag_fail(d, CJ_E_UNSUPPORTED, MSG_CONFIG_UNSUPPORTED, "%s" ARG "truncate" ARG "false", source_path(l->source));
}

/* The dimension whose wave makes `turns` turns within `length` positions. */
static double yarn_dim(double turns, int dims, double base, double length)
{
    return dims * log(length / (turns * 2 * M_PI)) / (2 * log(base));
}

static cj_err scale_yarn(model_load *l, rope_spec *r, float base, cj_diag *d)
{
    float factor = 1, attn = 1, fast = 32, slow = 1, extension = 1;
    int64_t original = 0;
    if (source_is_folder(l->source)) TRY(refuse_variants(l, d));
    TRY(load_float(l, "rope.scaling.factor", GGUF_REQUIRED, &factor, d));
    TRY(load_float(l, "rope.scaling.attn_factor", GGUF_OPTIONAL, &attn, d));
    TRY(load_float(l, "rope.scaling.yarn_beta_fast", GGUF_OPTIONAL, &fast, d));
    TRY(load_float(l, "rope.scaling.yarn_beta_slow", GGUF_OPTIONAL, &slow, d));
    TRY(load_float(l, "rope.scaling.yarn_ext_factor", GGUF_OPTIONAL, &extension, d));
    TRY(load_int(l, "rope.scaling.original_context_length", GGUF_OPTIONAL, 0, 1, window_max, &original, d));
    if (!(factor >= 1) || !(fast > 0) || !(slow > 0)) return diag_fail(d, CJ_E_INPUT, MSG_ROPE_BAD, "%s", source_path(l->source));
    if (!original) original = l->spec->context;
    else set_window(r, i64_max(l->spec->context, (int64_t)fmin(factor * (double)original, (double)window_max))); /* what it is stretched to */
    double low = floor(yarn_dim(fast, r->dims, base, (double)original)), high = ceil(yarn_dim(slow, r->dims, base, (double)original));
    low = fmax(low, 0);
    high = fmin(high, r->dims - 1);
    if (high <= low) high = low + 0.001;
    for (int i = 0; i < r->dims / 2; i++) {
        double kept = (1 - fmin(1, fmax(0, (i - low) / (high - low)))) * extension; /* 1: a fast wave, left as it is */
        r->inv_freq[i] = r->inv_freq[i] / factor * (1 - kept) + r->inv_freq[i] * kept;
    }
    r->magnitude = attn * (float)(1 + 0.1 * log(factor));
    TRY(load_float(l, "rope.scaling.attention_factor", GGUF_OPTIONAL, &r->magnitude, d)); /* folders give the whole of it */
    return r->magnitude > 0 ? CJ_OK : diag_fail(d, CJ_E_INPUT, MSG_ROPE_BAD, "%s", source_path(l->source));
}

/* ROPE_SMOOTH */
static cj_err scale_smooth(model_load *l, rope_spec *r, cj_diag *d)
{
    float factor = 1, low = 1, high = 1;
    int64_t original = 1;
    TRY(load_float(l, "rope.scaling.factor", GGUF_REQUIRED, &factor, d));
    TRY(load_float(l, "rope.scaling.low_freq_factor", GGUF_REQUIRED, &low, d));
    TRY(load_float(l, "rope.scaling.high_freq_factor", GGUF_REQUIRED, &high, d));
    TRY(load_int(l, "rope.scaling.original_context_length", GGUF_REQUIRED, 0, 1, window_max, &original, d));
    if (!(factor > 0) || !(high > low)) return diag_fail(d, CJ_E_INPUT, MSG_ROPE_BAD, "%s", source_path(l->source));
    for (int i = 0; i < r->dims / 2; i++) {
        const double turns = r->inv_freq[i] * (double)original / (2 * M_PI), kept = fmin(1, fmax(0, (turns - low) / (high - low)));
        r->inv_freq[i] *= (1 - kept) / factor + kept;
    }
    return CJ_OK;
}

static cj_err scale_linear(model_load *l, rope_spec *r, cj_diag *d)
{
    float factor = 0;
    TRY(load_float(l, "rope.scaling.factor", GGUF_REQUIRED, &factor, d));
    if (!(factor > 0)) return diag_fail(d, CJ_E_INPUT, MSG_ROPE_BAD, "%s", source_path(l->source));
    for (int i = 0; i < r->dims / 2; i++) r->inv_freq[i] /= factor;
    return CJ_OK;
}

/* rope_freqs.weight divides each frequency. */
static cj_err divide_by_table(model_load *l, rope_spec *r, bool *found, cj_diag *d)
{
    source_tensor t;
    TRY(source_tensor_find(l->source, "rope_freqs.weight", found, &t, d));
    if (!*found) return CJ_OK;
    if (t.type != QUANT_F32 || t.dims[0] != r->dims / 2 || t.dims[1] * t.dims[2] * t.dims[3] != 1)
        return diag_fail(d, CJ_E_INPUT, MSG_ROPE_BAD, "%s", source_path(l->source));
    for (int i = 0; i < r->dims / 2; i++) {
        float by = ((const float *)t.data)[i];
        if (!(by > 0)) return diag_fail(d, CJ_E_INPUT, MSG_ROPE_BAD, "%s", source_path(l->source));
        r->inv_freq[i] /= (double)by;
    }
    return CJ_OK;
}

/* A scaling that is named, and not known here, must not be left out silently. */
static cj_err known_scaling(model_load *l, cj_diag *d)
{
    gguf_str type = {0};
    TRY(source_text(l->source, "rope.scaling.type", GGUF_OPTIONAL, 0, &type, d));
    if (!type.len || load_string_is(l, "rope.scaling.type", "default") || load_string_is(l, "rope.scaling.type", "none")) return CJ_OK;
    return diag_fail(d, CJ_E_UNSUPPORTED, MSG_CONFIG_UNSUPPORTED, "%s" ARG "%s" ARG "%.*s", source_path(l->source), "rope_type",
                     (int)(type.len < 40 ? type.len : 40), type.data);
}

cj_err load_rope(model_load *l, rope_spec *r, const rope_options *o, cj_diag *d)
{
    if (o->dims < 0 || o->dims % 2 || o->dims > ROPE_DIMS_MAX || !(o->base > 0))
        return diag_fail(d, CJ_E_INPUT, MSG_ROPE_BAD, "%s", source_path(l->source));
    *r = (rope_spec){.dims = o->dims, .interleaved = o->interleaved, .magnitude = 1};
    set_window(r, l->spec->context);
    for (int i = 0; i < o->dims / 2; i++) r->inv_freq[i] = pow(o->base, -2.0 * i / o->dims);
    if (!o->scaled) return CJ_OK;
    bool table;
    TRY(divide_by_table(l, r, &table, d));
    if (load_string_is(l, "rope.scaling.type", "yarn")) return scale_yarn(l, r, o->base, d);
    if (load_string_is(l, "rope.scaling.type", "linear")) return scale_linear(l, r, d);
    if (load_string_is(l, "rope.scaling.type", ROPE_SMOOTH)) return scale_smooth(l, r, d);
    return table ? CJ_OK : known_scaling(l, d); /* the table is the scaling, whatever it is called */
}

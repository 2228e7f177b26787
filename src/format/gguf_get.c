/* Values of GGUF keys: one place that checks kind, range and index, and typed calls over it. */
#include <math.h>
#include <string.h>

#include "format/gguf.h"

/* ---- elements ---- */

#define LOAD(ctype, a, i) (__extension__({ ctype v_; memcpy(&v_, (a)->data + (size_t)(i) * sizeof v_, sizeof v_); v_; }))

int64_t gguf_array_int(const gguf_array *a, int64_t i)
{
    switch (a->item) {
    case GGUF_U8:
    case GGUF_BOOL: return a->data[i];
    case GGUF_I8: return LOAD(int8_t, a, i);
    case GGUF_U16: return LOAD(uint16_t, a, i);
    case GGUF_I16: return LOAD(int16_t, a, i);
    case GGUF_U32: return LOAD(uint32_t, a, i);
    case GGUF_I32: return LOAD(int32_t, a, i);
    case GGUF_I64: return LOAD(int64_t, a, i);
    case GGUF_U64: {
        uint64_t v = LOAD(uint64_t, a, i);
        return v > INT64_MAX ? INT64_MAX : (int64_t)v;
    }
    default: return 0;
    }
}

double gguf_array_float(const gguf_array *a, int64_t i)
{
    if (a->item == GGUF_F32) return (double)LOAD(float, a, i);
    if (a->item == GGUF_F64) return LOAD(double, a, i);
    return (double)gguf_array_int(a, i);
}

gguf_str gguf_array_string(const gguf_array *a, int64_t i)
{
    size_t start = (i ? a->ends[i - 1] : 0) + sizeof(uint64_t);
    return (gguf_str){(const char *)a->data + start, a->ends[i] - start};
}

/* ---- keys ---- */

static bool is_integer(gguf_type t) { return t <= GGUF_I32 || t == GGUF_U64 || t == GGUF_I64; }

static bool is_kind(gguf_type t, gguf_kind kind)
{
    switch (kind) {
    case GGUF_INTS: return is_integer(t);
    case GGUF_FLOATS: return t == GGUF_F32 || t == GGUF_F64 || is_integer(t);
    case GGUF_BOOLS: return t == GGUF_BOOL;
    default: return t == GGUF_STRING;
    }
}

/* *out stays as it was when the key is absent and need not be there. */
static cj_err get(const gguf *g, const char *name, gguf_need need, gguf_kind kind, const gguf_key **out, cj_diag *d)
{
    static const char *const kinds[] = {"integer", "number", "bool", "string"};
    const gguf_key *k = gguf_key_find(g, name);
    if (!k && need == GGUF_OPTIONAL) return CJ_OK;
    if (!k) return diag_fail(d, CJ_E_INPUT, MSG_GGUF_KEY_MISSING, "%s" ARG "%s", gguf_path(g), name);
    if (!is_kind(k->array.item, kind))
        return diag_fail(d, CJ_E_INPUT, MSG_GGUF_KEY_KIND, "%s" ARG "%s" ARG "%s" ARG "%s", gguf_path(g), k->name,
                         gguf_type_name(k->array.item), kinds[kind]);
    *out = k;
    return CJ_OK;
}

/* A single value: the scalar itself (index < 0), or the element `index` of an array or the scalar for any index. */
static cj_err get_at(const gguf *g, const char *name, gguf_need need, gguf_kind kind, int64_t *index, const gguf_key **out,
                     cj_diag *d)
{
    TRY(get(g, name, need, kind, out, d));
    const gguf_key *k = *out;
    if (!k) return CJ_OK;
    if (k->type != GGUF_ARRAY) {
        *index = 0;
        return CJ_OK;
    }
    if (*index < 0)
        return diag_fail(d, CJ_E_INPUT, MSG_GGUF_KEY_KIND, "%s" ARG "%s" ARG "%s" ARG "%s", gguf_path(g), k->name, "array",
                         "a single value");
    if (*index >= k->array.count)
        return diag_fail(d, CJ_E_INPUT, MSG_GGUF_KEY_INDEX, "%s" ARG "%s" ARG "%lld" ARG "%lld", gguf_path(g), k->name,
                         (long long)k->array.count, (long long)*index + 1);
    return CJ_OK;
}

static cj_err get_int(const gguf *g, const char *name, gguf_need need, int64_t index, int64_t lo, int64_t hi, int64_t *out,
                      cj_diag *d)
{
    const gguf_key *k = NULL;
    TRY(get_at(g, name, need, GGUF_INTS, &index, &k, d));
    if (!k) return CJ_OK;
    int64_t v = gguf_array_int(&k->array, index);
    if (v < lo || v > hi)
        return diag_fail(d, CJ_E_INPUT, MSG_GGUF_KEY_RANGE, "%s" ARG "%s" ARG "%lld" ARG "%lld" ARG "%lld", gguf_path(g), k->name,
                         (long long)v, (long long)lo, (long long)hi);
    *out = v;
    return CJ_OK;
}

static cj_err get_float(const gguf *g, const char *name, gguf_need need, int64_t index, float *out, cj_diag *d)
{
    const gguf_key *k = NULL;
    TRY(get_at(g, name, need, GGUF_FLOATS, &index, &k, d));
    if (!k) return CJ_OK;
    double v = gguf_array_float(&k->array, index);
    if (!(fabs(v) <= 3.4028234663852886e38))
        return diag_fail(d, CJ_E_INPUT, MSG_GGUF_KEY_RANGE, "%s" ARG "%s" ARG "%g" ARG "-3.4e38" ARG "3.4e38", gguf_path(g), k->name, v);
    *out = (float)v;
    return CJ_OK;
}

static cj_err get_bool(const gguf *g, const char *name, gguf_need need, int64_t index, bool *out, cj_diag *d)
{
    const gguf_key *k = NULL;
    TRY(get_at(g, name, need, GGUF_BOOLS, &index, &k, d));
    if (k) *out = k->array.data[index] != 0;
    return CJ_OK;
}

cj_err gguf_int(const gguf *g, const char *name, gguf_need need, int64_t lo, int64_t hi, int64_t *out, cj_diag *d)
{
    return get_int(g, name, need, -1, lo, hi, out, d);
}

cj_err gguf_float(const gguf *g, const char *name, gguf_need need, float *out, cj_diag *d)
{
    return get_float(g, name, need, -1, out, d);
}

cj_err gguf_bool(const gguf *g, const char *name, gguf_need need, bool *out, cj_diag *d)
{
    return get_bool(g, name, need, -1, out, d);
}

cj_err gguf_string(const gguf *g, const char *name, gguf_need need, gguf_str *out, cj_diag *d)
{
    const gguf_key *k = NULL;
    int64_t index = -1;
    TRY(get_at(g, name, need, GGUF_STRINGS, &index, &k, d));
    if (k) *out = gguf_array_string(&k->array, 0);
    return CJ_OK;
}

cj_err gguf_int_at(const gguf *g, const char *name, gguf_need need, int64_t index, int64_t lo, int64_t hi, int64_t *out,
                   cj_diag *d)
{
    return get_int(g, name, need, index, lo, hi, out, d);
}

cj_err gguf_float_at(const gguf *g, const char *name, gguf_need need, int64_t index, float *out, cj_diag *d)
{
    return get_float(g, name, need, index, out, d);
}

cj_err gguf_bool_at(const gguf *g, const char *name, gguf_need need, int64_t index, bool *out, cj_diag *d)
{
    return get_bool(g, name, need, index, out, d);
}

cj_err gguf_array_get(const gguf *g, const char *name, gguf_need need, gguf_kind kind, gguf_array *out, cj_diag *d)
{
    const gguf_key *k = NULL;
    TRY(get(g, name, need, kind, &k, d));
    if (k) *out = k->array;
    return CJ_OK;
}

/* Arithmetic and joining, with the results of Python: floored division, a modulo with the sign of its right side, text and
 * lists that add and repeat. Integers have 64 bits; what does not fit is an error, not a wrong number. */
#include <math.h>

#include "token/jinja_lexer.h"
#include "token/jinja_run.h"

/* Copies what an undefined says it lacks: "name", "mapping.name", or its reason. */
static cj_err wrong_undefined(jinja_run *r, jinja_value v)
{
    if (v.mark == JINJA_VARIABLE || v.mark == JINJA_REASON)
        return jinja_fail(&r->work, CJ_E_INPUT, MSG_TEMPLATE_UNDEFINED, "%.*s", JINJA_SHOW(v.text, v.size));
    return jinja_fail(&r->work, CJ_E_INPUT, MSG_TEMPLATE_UNDEFINED, "%s.%.*s", jinja_kind_name((jinja_kind)v.mark),
                      JINJA_SHOW(v.text, v.size));
}

cj_err jinja_wrong_type(jinja_run *r, const char *what, jinja_value v)
{
    if (v.kind == JINJA_UNDEFINED) return wrong_undefined(r, v);
    return jinja_fail(&r->work, CJ_E_INPUT, MSG_TEMPLATE_TYPE, "%s" ARG "%s", what, jinja_type_name(v));
}

cj_err jinja_wrong_types(jinja_run *r, const char *what, jinja_value a, jinja_value b)
{
    if (a.kind == JINJA_UNDEFINED) return wrong_undefined(r, a);
    if (b.kind == JINJA_UNDEFINED) return wrong_undefined(r, b);
    return jinja_fail(&r->work, CJ_E_INPUT, MSG_TEMPLATE_TYPE, "%s" ARG "%s, %s", what, jinja_type_name(a), jinja_type_name(b));
}

static cj_err too_large(jinja_run *r) { return diag_fail(r->work.diag, CJ_E_LIMIT, MSG_TEMPLATE_NUMBER, "%d", r->work.line); }
static cj_err by_zero(jinja_run *r) { return diag_fail(r->work.diag, CJ_E_INPUT, MSG_TEMPLATE_ZERO, "%d", r->work.line); }

/* ---- text and lists ---- */

cj_err jinja_join_text(jinja_run *r, jinja_value a, jinja_value b, jinja_value *out)
{
    jinja_work *w = &r->work;
    uint8_t mark = a.mark | b.mark;
    if (a.mark != b.mark) { /* marked text takes the other side in escaped */
        jinja_value *plain = a.mark ? &b : &a;
        TRY(jinja_spend_bytes(r, plain->size));
        TRY(jinja_escape(w, *plain, plain));
    }
    /* Text that ends where free memory begins is extended in place, so that long chains of + copy each part once. */
    bool at_top = a.size && a.text + a.size == w->top && (size_t)(w->end - w->top) >= b.size;
    TRY(jinja_spend_bytes(r, at_top ? b.size : a.size + b.size));
    if (at_top) {
        memcpy(w->top, b.text, b.size);
        w->top += b.size;
        *out = jinja_text(a.text, a.size + b.size);
    } else {
        char *text;
        TRY(jinja_take_text(w, a.size + b.size, &text));
        if (a.size) memcpy(text, a.text, a.size);
        if (b.size) memcpy(text + a.size, b.text, b.size);
        *out = jinja_text(text, a.size + b.size);
    }
    out->mark = mark;
    return CJ_OK;
}

static cj_err join_lists(jinja_run *r, const jinja_list *a, const jinja_list *b, jinja_value *out)
{
    jinja_list *sum;
    TRY(jinja_spend(r, (a->count + b->count) / 8));
    TRY(jinja_list_new(&r->work, a->count + b->count, a->form, &sum));
    if (a->count) memcpy(sum->items, a->items, a->count * sizeof *a->items);
    if (b->count) memcpy(sum->items + a->count, b->items, b->count * sizeof *b->items);
    sum->count = a->count + b->count;
    *out = jinja_list_value(sum);
    return CJ_OK;
}

/* times is cut so that the product of sizes cannot overflow: memory is refused far below that. */
static size_t repetitions(int64_t times, size_t count)
{
    if (times <= 0 || !count) return 0;
    return (uint64_t)times > ((size_t)1 << 40) / count ? ((size_t)1 << 40) / count : (size_t)times;
}

static cj_err repeat_text(jinja_run *r, jinja_value v, int64_t times, jinja_value *out)
{
    size_t n = repetitions(times, v.size);
    char *text;
    TRY(jinja_spend_bytes(r, v.size * n));
    TRY(jinja_take_text(&r->work, v.size * n, &text));
    for (size_t i = 0; i < n; i++) memcpy(text + i * v.size, v.text, v.size);
    *out = jinja_text(text, v.size * n);
    out->mark = v.mark;
    return CJ_OK;
}

static cj_err repeat_list(jinja_run *r, const jinja_list *v, int64_t times, jinja_value *out)
{
    size_t n = repetitions(times, v->count);
    jinja_list *list;
    TRY(jinja_spend(r, v->count * n / 8));
    TRY(jinja_list_new(&r->work, v->count * n, v->form, &list));
    for (size_t i = 0; i < n; i++) memcpy(list->items + i * v->count, v->items, v->count * sizeof *v->items);
    list->count = v->count * n;
    *out = jinja_list_value(list);
    return CJ_OK;
}

static bool is_sequence(jinja_value v) { return v.kind == JINJA_LIST && (v.list->form == JINJA_PLAIN || v.list->form == JINJA_TUPLE); }

static cj_err repeat(jinja_run *r, jinja_value v, int64_t times, jinja_value *out)
{
    return v.kind == JINJA_STRING ? repeat_text(r, v, times, out) : repeat_list(r, v.list, times, out);
}

/* ---- numbers ---- */

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

static int64_t floor_mod(int64_t a, int64_t b)
{
    int64_t m = a % b;
    return m != 0 && (m < 0) != (b < 0) ? m + b : m;
}

static cj_err power_whole(jinja_run *r, int64_t a, int64_t b, jinja_value *out)
{
    int64_t v = 1;
    if (a == 0 || a == 1 || a == -1) v = b == 0 ? 1 : a == -1 && b % 2 == 0 ? 1 : a;
    else
        for (; b > 0; b--)
            if (!i64_mul(v, a, &v)) return too_large(r);
    *out = jinja_integer(v);
    return CJ_OK;
}

static cj_err whole(jinja_run *r, int op, int64_t a, int64_t b, jinja_value *out)
{
    int64_t v;
    bool fits = true;
    switch (op) {
    case JINJA_T_ADD: fits = i64_add(a, b, &v); break;
    case JINJA_T_SUB: fits = !__builtin_sub_overflow(a, b, &v); break;
    case JINJA_T_MUL: fits = i64_mul(a, b, &v); break;
    case JINJA_T_POW: return power_whole(r, a, b, out);
    default: /* // and % */
        if (!b) return by_zero(r);
        if (b == -1) return op == JINJA_T_MOD ? whole(r, JINJA_T_MUL, a, 0, out) : whole(r, JINJA_T_SUB, 0, a, out);
        v = op == JINJA_T_MOD ? floor_mod(a, b) : floor_div(a, b);
    }
    if (!fits) return too_large(r);
    *out = jinja_integer(v);
    return CJ_OK;
}

static double float_mod(double a, double b)
{
    double m = fmod(a, b);
    if (m == 0) return copysign(0, b);
    return (m < 0) != (b < 0) ? m + b : m;
}

static double float_floor_div(double a, double b)
{
    double m = fmod(a, b), q = (a - m) / b;
    if (m != 0 && (m < 0) != (b < 0)) q -= 1;
    if (q == 0) return copysign(0, a / b);
    double f = floor(q);
    return q - f > 0.5 ? f + 1 : f;
}

static cj_err real(jinja_run *r, int op, double a, double b, jinja_value *out)
{
    double v;
    switch (op) {
    case JINJA_T_ADD: v = a + b; break;
    case JINJA_T_SUB: v = a - b; break;
    case JINJA_T_MUL: v = a * b; break;
    case JINJA_T_POW:
        v = pow(a, b);
        if (a == 0 && b < 0) return by_zero(r);
        if (isnan(v) && !isnan(a) && !isnan(b)) return jinja_wrong_type(r, "**", jinja_float(a)); /* Python: a complex number */
        if (isinf(v) && isfinite(a) && isfinite(b)) return too_large(r);
        break;
    default:
        if (b == 0) return by_zero(r);
        v = op == JINJA_T_DIV ? a / b : op == JINJA_T_MOD ? float_mod(a, b) : float_floor_div(a, b);
    }
    *out = jinja_float(v);
    return CJ_OK;
}

cj_err jinja_sign(jinja_run *r, int op, jinja_value v, jinja_value *out)
{
    if (v.kind == JINJA_FLOAT) *out = jinja_float(op == JINJA_T_SUB ? -v.real : v.real);
    else if (!jinja_is_whole(v)) return jinja_wrong_type(r, op == JINJA_T_SUB ? "-" : "+", v);
    else if (op == JINJA_T_SUB) return whole(r, JINJA_T_SUB, 0, jinja_whole(v), out);
    else *out = jinja_integer(jinja_whole(v));
    return CJ_OK;
}

cj_err jinja_binary(jinja_run *r, int op, jinja_value a, jinja_value b, jinja_value *out)
{
    if (jinja_is_number(a) && jinja_is_number(b)) {
        bool wholes = jinja_is_whole(a) && jinja_is_whole(b);
        if (wholes && op != JINJA_T_DIV && !(op == JINJA_T_POW && jinja_whole(b) < 0))
            return whole(r, op, jinja_whole(a), jinja_whole(b), out);
        return real(r, op, jinja_number(a), jinja_number(b), out);
    }
    if (op == JINJA_T_ADD && a.kind == JINJA_STRING && b.kind == JINJA_STRING) return jinja_join_text(r, a, b, out);
    if (op == JINJA_T_ADD && is_sequence(a) && is_sequence(b) && a.list->form == b.list->form)
        return join_lists(r, a.list, b.list, out);
    if (op == JINJA_T_MUL && (a.kind == JINJA_STRING || is_sequence(a)) && jinja_is_whole(b)) return repeat(r, a, jinja_whole(b), out);
    if (op == JINJA_T_MUL && (b.kind == JINJA_STRING || is_sequence(b)) && jinja_is_whole(a)) return repeat(r, b, jinja_whole(a), out);
    if (op == JINJA_T_MOD && a.kind == JINJA_STRING) return jinja_format_percent(r, a, b, out);
    return jinja_wrong_types(r, jinja_token_name((jinja_token_type)op), a, b);
}

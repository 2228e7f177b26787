/* Filters on text, numbers and single values. */
#include <math.h>
#include <stdlib.h>

#include "token/jinja_lexer.h"
#include "token/jinja_number.h"
#include "token/jinja_run.h"

#define FILTER(name) static cj_err name(jinja_run *r, jinja_value self, const jinja_arguments *a, jinja_value *out)

/* ---- text ---- */

static cj_err in_case(jinja_run *r, jinja_value self, jinja_case to, jinja_value *out)
{
    TRY(jinja_string(r, self, &self));
    TRY(jinja_spend_bytes(r, self.size));
    return jinja_change_case(&r->work, self, to, out);
}

FILTER(upper) { return in_case(r, self, JINJA_UPPER, out); }
FILTER(lower) { return in_case(r, self, JINJA_LOWER, out); }
FILTER(capitalize) { return in_case(r, self, JINJA_CAPITAL, out); }
FILTER(title) { return in_case(r, self, JINJA_TITLE_FILTER, out); }
FILTER(string) { return jinja_string(r, self, out); }

FILTER(trim)
{
    jinja_value set = a->items[0];
    TRY(jinja_string(r, self, &self));
    bool blanks = set.kind == JINJA_ABSENT || set.kind == JINJA_NONE;
    if (!blanks && set.kind != JINJA_STRING) return jinja_wrong_type(r, "trim", set);
    if (!blanks && set.size > 16) TRY(jinja_spend(r, self.size / 64 * set.size));
    *out = jinja_strip(self, blanks ? NULL : &set, true, true);
    return CJ_OK;
}

FILTER(replace)
{
    jinja_value old, with;
    int64_t count = -1;
    TRY(jinja_string(r, self, &self));
    TRY(jinja_string(r, a->items[0], &old));
    TRY(jinja_string(r, a->items[1], &with));
    if (a->items[2].kind != JINJA_NONE) TRY(jinja_argument_integer(r, a, 2, -1, &count));
    TRY(jinja_spend_search(r, self, old, false));
    self.mark = 0;
    TRY(jinja_replace(&r->work, self, old, with, count, out));
    return jinja_spend_bytes(r, out->size);
}

FILTER(indent)
{
    jinja_value with = a->items[0];
    int64_t width = 4;
    bool first = jinja_argument_truth(a, 1), blank = jinja_argument_truth(a, 2);
    jinja_list *lines;
    jinja_writer w = {.work = &r->work};
    if (self.kind != JINJA_STRING) return jinja_wrong_type(r, "indent", self);
    if (with.kind != JINJA_STRING) {
        TRY(jinja_argument_integer(r, a, 0, 4, &width));
        TRY(jinja_binary(r, JINJA_T_MUL, jinja_literal(" "), jinja_integer(width), &with));
    }
    TRY(jinja_spend_bytes(r, self.size));
    TRY(jinja_split_lines(&r->work, self, false, &lines));
    if (!self.size || self.text[self.size - 1] == '\n') TRY(jinja_list_add(&r->work, lines, jinja_text("", 0)));
    for (size_t i = 0; i < lines->count; i++) {
        jinja_value line = lines->items[i];
        TRY(jinja_spend_bytes(r, with.size + line.size));
        if (i) TRY(jinja_write(&w, "\n", 1));
        if (i ? blank || line.size : first) TRY(jinja_write(&w, with.text, with.size));
        TRY(jinja_write(&w, line.text, line.size));
    }
    *out = jinja_written(&w);
    out->mark = self.mark;
    return CJ_OK;
}

FILTER(escape)
{
    TRY(jinja_string(r, self, &self));
    *out = self;
    if (self.mark) return CJ_OK;
    TRY(jinja_spend_bytes(r, self.size));
    TRY(jinja_escape(&r->work, self, out));
    out->mark = JINJA_SAFE;
    return CJ_OK;
}

FILTER(force_escape)
{
    TRY(jinja_string(r, self, &self));
    self.mark = 0;
    return escape(r, self, a, out);
}

FILTER(safe)
{
    TRY(jinja_string(r, self, out));
    out->mark = JINJA_SAFE;
    return CJ_OK;
}

/* Positional values or keywords, never both. */
FILTER(format)
{
    jinja_value values;
    TRY(jinja_string(r, self, &self));
    if (a->keyword_count) {
        jinja_dict *d;
        if (a->count) return jinja_wrong_arguments(r, "format", "(...)");
        TRY(jinja_dict_new(&r->work, a->keyword_count, &d));
        for (size_t i = 0; i < a->keyword_count; i++) TRY(jinja_dict_set(r, d, a->keywords[i].name, a->keywords[i].value));
        values = (jinja_value){.kind = JINJA_DICT, .dict = d};
    } else {
        jinja_list *tuple;
        TRY(jinja_list_new(&r->work, a->count, JINJA_TUPLE, &tuple));
        for (size_t i = 0; i < a->count; i++) TRY(jinja_list_add(&r->work, tuple, a->items[i]));
        values = jinja_list_value(tuple);
    }
    return jinja_format_percent(r, self, values, out);
}

/* ---- JSON ---- */

/* indent: a number of blanks, or the text of a level. */
static cj_err json_indent(jinja_run *r, jinja_value v, jinja_value *out)
{
    *out = jinja_none();
    if (v.kind == JINJA_ABSENT || v.kind == JINJA_NONE) return CJ_OK;
    *out = v;
    if (v.kind == JINJA_STRING) return CJ_OK;
    if (!jinja_is_whole(v)) return jinja_wrong_type(r, "tojson(indent)", v);
    return jinja_binary(r, JINJA_T_MUL, jinja_literal(" "), jinja_integer(jinja_whole(v)), out);
}

FILTER(to_json)
{
    jinja_json_style style = {.ascii = jinja_argument_truth(a, 0), .sorted = jinja_argument_truth(a, 3)};
    jinja_value separators = a->items[2];
    TRY(json_indent(r, a->items[1], &style.indent));
    style.between = jinja_literal(style.indent.kind == JINJA_NONE ? ", " : ",");
    style.after_key = jinja_literal(": ");
    if (separators.kind != JINJA_ABSENT && separators.kind != JINJA_NONE) {
        if (separators.kind != JINJA_LIST || separators.list->count != 2 || separators.list->items[0].kind != JINJA_STRING ||
            separators.list->items[1].kind != JINJA_STRING)
            return jinja_wrong_type(r, "tojson(separators)", separators);
        style.between = separators.list->items[0];
        style.after_key = separators.list->items[1];
    }
    return jinja_to_json(r, self, &style, out);
}

/* ---- numbers ---- */

/* A float cut to an integer; false when it is none that fits. */
static bool truncated(double x, int64_t *out)
{
    if (!(fabs(x) < 9.2e18)) return false;
    *out = (int64_t)x;
    return true;
}

FILTER(integer)
{
    int64_t base, i;
    double x;
    TRY(jinja_argument_integer(r, a, 1, 10, &base));
    if (base != 0 && (base < 2 || base > 36)) return jinja_wrong_arguments(r, "int", "base");
    if (jinja_is_whole(self)) *out = jinja_integer(jinja_whole(self));
    else if (self.kind == JINJA_FLOAT && truncated(self.real, &i)) *out = jinja_integer(i);
    else if (self.kind == JINJA_STRING && jinja_integer_read(self, (int)base, &i)) *out = jinja_integer(i);
    else if (self.kind == JINJA_STRING && jinja_float_read(self, &x) && truncated(x, &i)) *out = jinja_integer(i); /* "42.23" is 42 */
    else if (self.kind == JINJA_UNDEFINED) return jinja_wrong_type(r, "int", self);
    else *out = a->items[0].kind == JINJA_ABSENT ? jinja_integer(0) : a->items[0];
    return CJ_OK;
}

FILTER(real)
{
    double x;
    if (self.kind == JINJA_UNDEFINED) return jinja_wrong_type(r, "float", self);
    if (jinja_is_number(self)) *out = jinja_float(jinja_number(self));
    else if (self.kind == JINJA_STRING && jinja_float_read(self, &x)) *out = jinja_float(x);
    else *out = a->items[0].kind == JINJA_ABSENT ? jinja_float(0) : a->items[0];
    return CJ_OK;
}

FILTER(absolute)
{
    if (self.kind == JINJA_FLOAT) *out = jinja_float(fabs(self.real));
    else if (!jinja_is_whole(self)) return jinja_wrong_type(r, "abs", self);
    else if (jinja_whole(self) < 0) return jinja_sign(r, JINJA_T_SUB, self, out);
    else *out = jinja_integer(jinja_whole(self));
    return CJ_OK;
}

/* To `digits` decimals as the exact binary value says; halves go to even. */
static double round_common(double x, int64_t digits)
{
    char text[800], *end;
    if (!isfinite(x) || digits > 300) return x;
    if (digits < 0) {
        double unit = pow(10, (double)-digits);
        return isinf(unit) ? 0 * x : nearbyint(x / unit) * unit;
    }
    jinja_number_format(text, sizeof text, 'f', false, (int)digits, x);
    double v;
    for (end = text; *end; end++) {}
    return jinja_float_read(jinja_text(text, (size_t)(end - text)), &v) ? v : x;
}

FILTER(round_number)
{
    int64_t digits;
    jinja_value method;
    TRY(jinja_argument_integer(r, a, 0, 0, &digits));
    TRY(jinja_argument_text(r, a, 1, "common", &method));
    bool up = jinja_text_is(method, "ceil"), down = jinja_text_is(method, "floor");
    if (!up && !down && !jinja_text_is(method, "common")) return jinja_wrong_arguments(r, "round", "common, ceil, floor");
    if (!jinja_is_number(self)) return jinja_wrong_type(r, "round", self);
    if (!up && !down && jinja_is_whole(self) && digits >= 0) {
        *out = jinja_integer(jinja_whole(self));
        return CJ_OK;
    }
    double x = jinja_number(self), unit = pow(10, (double)digits);
    x = up ? (ceil(x * unit) + 0.0) / unit : down ? floor(x * unit) / unit : round_common(x, digits); /* no -0.0 */
    *out = jinja_float(x);
    int64_t i;
    if (!up && !down && jinja_is_whole(self) && truncated(x, &i)) *out = jinja_integer(i);
    return CJ_OK;
}

/* ---- any value ---- */

FILTER(fallback)
{
    bool missing = self.kind == JINJA_UNDEFINED || (jinja_argument_truth(a, 1) && !jinja_truth(self));
    *out = !missing ? self : a->items[0].kind == JINJA_ABSENT ? jinja_literal("") : a->items[0];
    return CJ_OK;
}

FILTER(length)
{
    size_t n;
    if (self.kind == JINJA_LOOP) {
        TRY(jinja_loop_length(r, self.loop));
        n = (size_t)self.loop->length;
    } else if (self.kind == JINJA_STRING)
        TRY(jinja_spend_bytes(r, self.size));
    if (self.kind != JINJA_LOOP && !jinja_count(self, &n)) return jinja_wrong_type(r, "length", self);
    *out = jinja_integer((int64_t)n);
    return CJ_OK;
}

const jinja_builtin jinja_text_filters[] = {
    {"abs", "", absolute}, {"capitalize", "", capitalize}, {"count", "", length}, {"d", "default_value? boolean?", fallback},
    {"default", "default_value? boolean?", fallback}, {"e", "", escape}, {"escape", "", escape}, {"float", "default?", real},
    {"forceescape", "", force_escape}, {"format", NULL, format}, {"indent", "width? first? blank?", indent},
    {"int", "default? base?", integer}, {"length", "", length}, {"lower", "", lower}, {"replace", "old new count?", replace},
    {"round", "precision? method?", round_number}, {"safe", "", safe}, {"string", "", string}, {"title", "", title},
    {"tojson", "ensure_ascii? indent? separators? sort_keys?", to_json}, {"trim", "chars?", trim}, {"upper", "", upper},
};
const size_t jinja_text_filter_count = sizeof jinja_text_filters / sizeof *jinja_text_filters;

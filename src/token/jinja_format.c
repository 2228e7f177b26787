/* Python's two ways to format text: "%s of %d" % (a, b), and "{} of {n:>4}".format(a, n=b). Both come down to one spec. */
#include <math.h>
#include <stdio.h>

#include "token/jinja_number.h"
#include "token/jinja_run.h"

enum { WIDTH_MAX = 100000, PRECISION_MAX = 300 };

/* [[fill]align][sign][#][0][width][,][.precision][type] */
typedef struct spec {
    uint32_t fill;
    char align; /* < > ^ =, 0: by the type of the value */
    char sign;  /* + or blank before what is not negative; 0: nothing */
    char group; /* between thousands; 0: nothing */
    bool alternate;
    size_t width;
    int precision; /* -1: not given */
    char type;     /* 0: by the type of the value */
} spec;

static cj_err bad_format(jinja_run *r, jinja_value format)
{
    return jinja_fail(&r->work, CJ_E_INPUT, MSG_TEMPLATE_ARGUMENTS, "format" ARG "%.*s", JINJA_SHOW(format.text, format.size));
}

/* Digits at *at, at most max. */
static bool read_number(jinja_value s, size_t *at, size_t max, size_t *out)
{
    *out = 0;
    for (; *at < s.size && s.text[*at] >= '0' && s.text[*at] <= '9'; ++*at) {
        *out = *out * 10 + (size_t)(s.text[*at] - '0');
        if (*out > max) return false;
    }
    return true;
}

/* ---- one value ---- */

/* body (with `sign` before it) filled up to the width. */
static cj_err pad(jinja_writer *w, const spec *s, const char *sign, jinja_value body, char align)
{
    size_t have = jinja_length(body) + strlen(sign), fill = s->width > have ? s->width - have : 0;
    size_t left = align == '<' ? 0 : align == '^' ? fill / 2 : fill, i = 0;
    if (align == '=') TRY(jinja_write(w, sign, strlen(sign)));
    for (; i < left; i++) TRY(jinja_write_char(w, s->fill));
    if (align != '=') TRY(jinja_write(w, sign, strlen(sign)));
    TRY(jinja_write(w, body.text, body.size));
    for (; i < fill; i++) TRY(jinja_write_char(w, s->fill));
    return CJ_OK;
}

/* Puts the separator between thousands of the digits at the front of `digits`; returns the length. */
static size_t group_thousands(const char *digits, char separator, char *out)
{
    size_t whole = strspn(digits, "0123456789"), o = 0;
    for (size_t i = 0; digits[i]; i++) {
        if (i && i < whole && (whole - i) % 3 == 0) out[o++] = separator;
        out[o++] = digits[i];
    }
    return o;
}

static cj_err write_digits(jinja_writer *w, const spec *s, bool negative, const char *digits, const char *prefix)
{
    char grouped[2 * (PRECISION_MAX + 340)], sign[8];
    jinja_value body = jinja_literal(digits);
    if (s->group) body = jinja_text(grouped, group_thousands(digits, s->group, grouped));
    snprintf(sign, sizeof sign, "%s%s", negative ? "-" : s->sign == '+' ? "+" : s->sign == ' ' ? " " : "", prefix);
    return pad(w, s, sign, body, s->align ? s->align : '>');
}

static cj_err format_whole(jinja_writer *w, const spec *s, int64_t i)
{
    uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    char digits[72];
    const char *prefix = "";
    if (s->type == 'b') {
        int n = 0;
        for (int bit = 63; bit >= 0; bit--)
            if (n || u >> bit & 1 || !bit) digits[n++] = (char)('0' + (u >> bit & 1));
        digits[n] = 0;
    } else
        snprintf(digits, sizeof digits, s->type == 'x' ? "%llx" : s->type == 'X' ? "%llX" : s->type == 'o' ? "%llo" : "%llu",
                 (unsigned long long)u);
    if (s->alternate) prefix = s->type == 'x' ? "0x" : s->type == 'X' ? "0X" : s->type == 'o' ? "0o" : s->type == 'b' ? "0b" : "";
    return write_digits(w, s, i < 0, digits, prefix);
}

static cj_err format_real(jinja_writer *w, const spec *s, double x)
{
    char digits[PRECISION_MAX + 340];
    bool percent = s->type == '%';
    double magnitude = fabs(percent ? x * 100 : x);
    if (!s->type && s->precision < 0) jinja_number_write(magnitude, digits);
    else if (!isfinite(magnitude)) snprintf(digits, sizeof digits, "%s", isnan(magnitude) ? "nan" : "inf");
    else
        jinja_number_format(digits, sizeof digits, percent ? 'f' : s->type ? s->type : 'g', s->alternate,
                            s->precision < 0 ? 6 : s->precision, magnitude);
    size_t n = strlen(digits);
    if (percent && n + 1 < sizeof digits) memcpy(digits + n, "%", 2);
    return write_digits(w, s, signbit(x) && !isnan(x), digits, "");
}

static cj_err format_text(jinja_writer *w, const spec *s, jinja_value v)
{
    if (s->precision >= 0) v.size = jinja_offset(v, (size_t)s->precision);
    return pad(w, s, "", v, s->align == '=' || !s->align ? '<' : s->align);
}

/* Appends v as the spec asks. `plain`: no spec was given, so that any value will do. `safe`: into marked text, escaped. */
static cj_err format_value(jinja_run *r, jinja_writer *w, const spec *s, jinja_value v, bool plain, bool safe)
{
    bool whole_type = s->type && strchr("dxXobn", s->type), real_type = s->type && strchr("fFeEgG%", s->type);
    if (whole_type && jinja_is_whole(v)) return format_whole(w, s, jinja_whole(v));
    if (real_type && jinja_is_number(v)) return format_real(w, s, jinja_number(v));
    if (!s->type && !plain && jinja_is_whole(v)) return format_whole(w, s, jinja_whole(v));
    if (!s->type && !plain && v.kind == JINJA_FLOAT) return format_real(w, s, v.real);
    bool text = v.kind == JINJA_STRING || plain;
    if (!text || (s->type && s->type != 's')) return jinja_wrong_type(r, "format", v);
    TRY(jinja_string(r, v, &v));
    if (safe && !v.mark) TRY(jinja_escape(&r->work, v, &v));
    return format_text(w, s, v);
}

/* ---- "..." % values ---- */

typedef struct percent {
    jinja_run *run;
    jinja_value format, values;
    size_t at, next; /* in format; in a tuple of values */
    jinja_writer out;
} percent;

static cj_err next_value(percent *p, jinja_value *out)
{
    bool tuple = p->values.kind == JINJA_LIST && p->values.list->form == JINJA_TUPLE;
    size_t count = tuple ? p->values.list->count : 1;
    if (p->next >= count) return bad_format(p->run, p->format);
    *out = tuple ? p->values.list->items[p->next] : p->values;
    p->next++;
    return CJ_OK;
}

/* %(name): looks the value up. */
static cj_err named_value(percent *p, jinja_value *out)
{
    size_t from = ++p->at;
    while (p->at < p->format.size && p->format.text[p->at] != ')') p->at++;
    if (p->at == p->format.size || p->values.kind != JINJA_DICT) return bad_format(p->run, p->format);
    jinja_value *found;
    TRY(jinja_dict_find(p->run, p->values.dict, jinja_cut(p->format, from, p->at++), &found));
    if (!found) return bad_format(p->run, p->format);
    *out = *found;
    return CJ_OK;
}

static bool read_percent_spec(percent *p, spec *s)
{
    jinja_value f = p->format;
    bool zero = false, left = false;
    *s = (spec){.fill = ' ', .precision = -1};
    for (; p->at < f.size; p->at++) {
        char c = f.text[p->at];
        if (c == '-') left = true;
        else if (c == '0') zero = true;
        else if (c == '#') s->alternate = true;
        else if (c == '+' || (c == ' ' && s->sign != '+')) s->sign = c;
        else break;
    }
    size_t precision;
    if (!read_number(f, &p->at, WIDTH_MAX, &s->width)) return false;
    if (p->at < f.size && f.text[p->at] == '.') {
        p->at++;
        if (!read_number(f, &p->at, PRECISION_MAX, &precision)) return false;
        s->precision = (int)precision;
    }
    if (p->at >= f.size) return false;
    s->type = f.text[p->at++];
    s->align = left ? '<' : zero && s->type != 's' ? '=' : '>';
    if (s->align == '=') s->fill = '0';
    return strchr("diuxXofFeEgGsrc", s->type) != NULL && s->type;
}

static cj_err one_percent(percent *p)
{
    jinja_value v = jinja_none();
    spec s;
    bool named = p->at < p->format.size && p->format.text[p->at] == '(';
    if (named) TRY(named_value(p, &v));
    if (!read_percent_spec(p, &s)) return bad_format(p->run, p->format);
    if (!named) TRY(next_value(p, &v));
    if (s.type == 'i' || s.type == 'u') s.type = 'd';
    if (s.type == 'd' && v.kind == JINJA_FLOAT && fabs(v.real) < 9e18) v = jinja_integer((int64_t)v.real);
    if (s.type == 'c' && jinja_is_whole(v)) {
        s.align = s.align == '=' ? '>' : s.align;
        return jinja_write_char(&p->out, (uint32_t)jinja_whole(v));
    }
    if (s.type == 'r') TRY(jinja_repr(p->run, v, &v));
    bool text = s.type == 's' || s.type == 'r' || s.type == 'c';
    if (text) s.type = 0;
    return format_value(p->run, &p->out, &s, v, text, p->format.mark);
}

cj_err jinja_format_percent(jinja_run *r, jinja_value format, jinja_value values, jinja_value *out)
{
    percent p = {.run = r, .format = format, .values = values, .out = {.work = &r->work}};
    while (p.at < format.size) {
        TRY(jinja_spend(r, 1));
        const char *sign = memchr(format.text + p.at, '%', format.size - p.at);
        size_t plain = sign ? (size_t)(sign - format.text) - p.at : format.size - p.at;
        TRY(jinja_write(&p.out, format.text + p.at, plain));
        p.at += plain + 1;
        if (!sign) break;
        if (p.at < format.size && format.text[p.at] == '%') {
            p.at++;
            TRY(jinja_write(&p.out, "%", 1));
        } else
            TRY(one_percent(&p));
    }
    /* Values left over are a mistake, unless they are something that could be looked into by name. */
    bool list = values.kind == JINJA_LIST && values.list->form <= JINJA_RANGE, tuple = list && values.list->form == JINJA_TUPLE;
    bool open = list || values.kind == JINJA_DICT || values.kind == JINJA_UNDEFINED;
    if (tuple ? p.next < values.list->count : !open && !p.next) return bad_format(r, format);
    *out = jinja_written(&p.out);
    out->mark = format.mark;
    return CJ_OK;
}

/* ---- "...".format(values) ---- */

static bool read_brace_spec(jinja_value t, spec *s)
{
    size_t at = 0, precision;
    uint32_t cp = 0;
    *s = (spec){.fill = ' ', .precision = -1};
    int n = t.size ? utf8_decode(t.text, t.size, &cp) : 0;
    if (n && (size_t)n < t.size && strchr("<>^=", t.text[n])) {
        s->fill = cp;
        s->align = t.text[n];
        at = (size_t)n + 1;
    } else if (n && cp < 0x80 && cp && strchr("<>^=", (int)cp))
        s->align = t.text[at++];
    if (at < t.size && strchr("+- ", t.text[at])) s->sign = t.text[at++];
    if (at < t.size && t.text[at] == '#') s->alternate = ++at > 0;
    if (at < t.size && t.text[at] == '0' && !s->align) {
        s->fill = '0';
        s->align = '=';
    }
    if (!read_number(t, &at, WIDTH_MAX, &s->width)) return false;
    if (at < t.size && (t.text[at] == ',' || t.text[at] == '_')) s->group = t.text[at++];
    if (at < t.size && t.text[at] == '.') {
        at++;
        if (!read_number(t, &at, PRECISION_MAX, &precision)) return false;
        s->precision = (int)precision;
    }
    if (at < t.size) s->type = t.text[at++];
    return at == t.size;
}

typedef struct braces {
    jinja_run *run;
    jinja_value format;
    const jinja_arguments *a;
    size_t automatic; /* the next {} */
    jinja_writer out;
} braces;

static cj_err field_value(braces *b, jinja_value name, jinja_value *out)
{
    size_t index = b->automatic, at = 0;
    bool number = name.size == 0;
    if (number) b->automatic++;
    else if (read_number(name, &at, 1000, &index) && at == name.size) number = true;
    if (number && index < b->a->count) {
        *out = b->a->items[index];
        return CJ_OK;
    }
    for (size_t i = 0; i < b->a->keyword_count && !number; i++)
        if (b->a->keywords[i].name.size == name.size && !memcmp(b->a->keywords[i].name.text, name.text, name.size)) {
            *out = b->a->keywords[i].value;
            return CJ_OK;
        }
    return bad_format(b->run, b->format);
}

/* The inside of {name!r:spec}; a name is a number, a keyword or nothing. */
static cj_err one_field(braces *b, jinja_value field)
{
    size_t name = 0, colon;
    while (name < field.size && field.text[name] != '!' && field.text[name] != ':') name++;
    bool converted = name + 1 < field.size && field.text[name] == '!';
    char conversion = converted ? field.text[name + 1] : 0;
    colon = converted ? name + 2 : name;
    if (colon < field.size && field.text[colon] != ':') return bad_format(b->run, b->format);
    jinja_value v, text = colon < field.size ? jinja_cut(field, colon + 1, field.size) : jinja_text("", 0);
    spec s;
    if (!read_brace_spec(text, &s) || (conversion && conversion != 'r' && conversion != 's')) return bad_format(b->run, b->format);
    TRY(field_value(b, jinja_cut(field, 0, name), &v));
    if (conversion == 's') TRY(jinja_string(b->run, v, &v));
    if (conversion == 'r') TRY(jinja_repr(b->run, v, &v));
    return format_value(b->run, &b->out, &s, v, text.size == 0, b->format.mark);
}

cj_err jinja_format_braces(jinja_run *r, jinja_value format, const jinja_arguments *a, jinja_value *out)
{
    braces b = {.run = r, .format = format, .a = a, .out = {.work = &r->work}};
    for (size_t at = 0; at < format.size;) {
        char c = format.text[at], after = at + 1 < format.size ? format.text[at + 1] : 0;
        TRY(jinja_spend(r, 1));
        if ((c == '{' || c == '}') && after == c) at++; /* doubled: itself */
        else if (c == '}') return bad_format(r, format);
        else if (c == '{') {
            const char *end = memchr(format.text + at, '}', format.size - at);
            if (!end) return bad_format(r, format);
            size_t to = (size_t)(end - format.text);
            TRY(one_field(&b, jinja_cut(format, at + 1, to)));
            at = to + 1;
            continue;
        }
        TRY(jinja_write(&b.out, format.text + at++, 1));
    }
    *out = jinja_written(&b.out);
    out->mark = format.mark;
    return CJ_OK;
}

/* Values as text: str and repr as Python writes them, and JSON as its json.dumps does. Printing costs a step for each value,
 * because a list can hold the same list many times over. */
#include <math.h>
#include <stdio.h>

#include "token/jinja_number.h"
#include "token/jinja_run.h"

/* ---- the output ---- */

cj_err jinja_emit(jinja_run *r, const char *s, size_t n)
{
    size_t written = r->out->len - r->out_start;
    TRY(jinja_spend_bytes(r, n));
    if (n > r->limits.output_bytes || written > r->limits.output_bytes - n)
        return jinja_fail(&r->work, CJ_E_LIMIT, MSG_TEMPLATE_OUTPUT, "%zu", r->limits.output_bytes);
    return buf_append(r->out, s, n, r->work.diag);
}

cj_err jinja_print(jinja_run *r, jinja_value v)
{
    TRY(jinja_string(r, v, &v));
    return jinja_emit(r, v.text, v.size);
}

/* ---- repr ---- */

static cj_err put(jinja_writer *w, const char *s) { return jinja_write(w, s, strlen(s)); }

static cj_err write_number(jinja_writer *w, jinja_value v, bool json)
{
    char text[JINJA_NUMBER_MAX];
    if (v.kind == JINJA_INTEGER) snprintf(text, sizeof text, "%lld", (long long)v.integer);
    else if (v.mark == JINJA_UNSIGNED) snprintf(text, sizeof text, "%zu", v.size);
    else if (json && !isfinite(v.real)) return put(w, isnan(v.real) ? "NaN" : v.real < 0 ? "-Infinity" : "Infinity");
    else jinja_number_write(v.real, text);
    return put(w, text);
}

static cj_err repr_text(jinja_writer *w, jinja_value v)
{
    bool single = memchr(v.text, '\'', v.size) != NULL, twice = memchr(v.text, '"', v.size) != NULL;
    char quote = single && !twice ? '"' : '\'', spelled[16];
    if (v.mark) TRY(put(w, "Markup("));
    TRY(jinja_write(w, &quote, 1));
    for (size_t i = 0; i < v.size;) {
        uint32_t cp;
        size_t n = (size_t)utf8_decode(v.text + i, v.size - i, &cp);
        const char *escape = cp == '\n' ? "\\n" : cp == '\r' ? "\\r" : cp == '\t' ? "\\t" : cp == '\\' ? "\\\\" : NULL;
        if (!escape && cp == (uint32_t)quote) escape = "\\'";
        if (!escape && !jinja_is_printable(cp)) {
            snprintf(spelled, sizeof spelled, cp < 0x100 ? "\\x%02x" : cp < 0x10000 ? "\\u%04x" : "\\U%08x", cp);
            escape = spelled;
        }
        if (escape) TRY(put(w, escape));
        else TRY(jinja_write(w, v.text + i, n));
        i += n;
    }
    TRY(jinja_write(w, &quote, 1));
    return v.mark ? put(w, ")") : CJ_OK;
}

static cj_err repr(jinja_run *r, jinja_writer *w, jinja_value v);

static cj_err repr_list(jinja_run *r, jinja_writer *w, const jinja_list *l)
{
    static const char *const open[] = {"[", "(", "range(", "dict_keys([", "dict_values([", "dict_items(["};
    static const char *const close[] = {"]", ")", ")", "])", "])", "])"};
    if (l->form == JINJA_ITERATOR) return put(w, "<generator object>");
    TRY(put(w, open[l->form]));
    if (l->form == JINJA_RANGE) {
        char text[80];
        int n = snprintf(text, sizeof text, "%lld, %lld", (long long)l->start, (long long)l->stop);
        if (l->step != 1) snprintf(text + n, sizeof text - (size_t)n, ", %lld", (long long)l->step);
        TRY(put(w, text));
    } else
        for (size_t i = 0; i < l->count; i++) {
            if (i) TRY(put(w, ", "));
            TRY(repr(r, w, l->items[i]));
        }
    if (l->form == JINJA_TUPLE && l->count == 1) TRY(put(w, ","));
    return put(w, close[l->form]);
}

static cj_err repr_dict(jinja_run *r, jinja_writer *w, const jinja_dict *d)
{
    TRY(put(w, "{"));
    for (size_t i = 0; i < d->count; i++) {
        if (i) TRY(put(w, ", "));
        TRY(repr(r, w, d->entries[i].key));
        TRY(put(w, ": "));
        TRY(repr(r, w, d->entries[i].value));
    }
    return put(w, "}");
}

static cj_err repr_object(jinja_run *r, jinja_writer *w, jinja_value v)
{
    const jinja_name *name = v.kind == JINJA_MACRO ? v.macro->node->name : NULL;
    switch ((jinja_kind)v.kind) {
    case JINJA_NAMESPACE:
        TRY(put(w, "<Namespace "));
        TRY(repr_dict(r, w, v.dict));
        return put(w, ">");
    case JINJA_MACRO:
        TRY(put(w, "<Macro "));
        TRY(repr_text(w, name ? jinja_text(name->text, name->size) : jinja_literal("caller")));
        return put(w, ">");
    case JINJA_FUNCTION:
        TRY(put(w, "<function "));
        TRY(put(w, v.function->builtin->name));
        return put(w, ">");
    default: return put(w, v.kind == JINJA_LOOP ? "<LoopContext>" : "");
    }
}

static cj_err repr(jinja_run *r, jinja_writer *w, jinja_value v)
{
    TRY(jinja_enter(r));
    switch ((jinja_kind)v.kind) {
    case JINJA_UNDEFINED: TRY(put(w, "Undefined")); break;
    case JINJA_NONE: TRY(put(w, "None")); break;
    case JINJA_BOOLEAN: TRY(put(w, v.truth ? "True" : "False")); break;
    case JINJA_INTEGER: case JINJA_FLOAT: TRY(write_number(w, v, false)); break;
    case JINJA_STRING:
        TRY(jinja_spend_bytes(r, v.size));
        TRY(repr_text(w, v));
        break;
    case JINJA_LIST: TRY(repr_list(r, w, v.list)); break;
    case JINJA_DICT: TRY(repr_dict(r, w, v.dict)); break;
    default: TRY(repr_object(r, w, v));
    }
    r->depth--;
    return CJ_OK;
}

cj_err jinja_string(jinja_run *r, jinja_value v, jinja_value *out)
{
    if (v.kind != JINJA_STRING && v.kind != JINJA_UNDEFINED) return jinja_repr(r, v, out);
    *out = v.kind == JINJA_STRING ? v : jinja_literal("");
    return CJ_OK;
}

cj_err jinja_repr(jinja_run *r, jinja_value v, jinja_value *out)
{
    jinja_writer w = {.work = &r->work};
    TRY(repr(r, &w, v));
    *out = jinja_written(&w);
    return CJ_OK;
}

/* ---- JSON ---- */

typedef struct json_writer {
    jinja_run *run;
    jinja_writer w;
    const jinja_json_style *style;
    int level;
} json_writer;

static cj_err json_text(json_writer *j, jinja_value v)
{
    static const char from[] = "\"\\\n\r\t\f\b", *const to[] = {"\\\"", "\\\\", "\\n", "\\r", "\\t", "\\f", "\\b"};
    TRY(jinja_spend_bytes(j->run, v.size));
    TRY(put(&j->w, "\""));
    for (size_t i = 0; i < v.size;) {
        uint32_t cp;
        char spelled[16];
        size_t n = (size_t)utf8_decode(v.text + i, v.size - i, &cp);
        const char *at = cp && cp < 0x80 ? strchr(from, (int)cp) : NULL, *escape = at ? to[at - from] : NULL;
        if (!escape && (cp < ' ' || (j->style->ascii && cp > '~'))) {
            if (cp < 0x10000) snprintf(spelled, sizeof spelled, "\\u%04x", cp);
            else snprintf(spelled, sizeof spelled, "\\u%04x\\u%04x", 0xD7C0 + (cp >> 10), 0xDC00 + (cp & 0x3FF));
            escape = spelled;
        }
        if (escape) TRY(put(&j->w, escape));
        else TRY(jinja_write(&j->w, v.text + i, n));
        i += n;
    }
    return put(&j->w, "\"");
}

static cj_err json_break(json_writer *j)
{
    if (j->style->indent.kind == JINJA_NONE) return CJ_OK;
    TRY(put(&j->w, "\n"));
    for (int i = 0; i < j->level; i++) TRY(jinja_write(&j->w, j->style->indent.text, j->style->indent.size));
    return CJ_OK;
}

static cj_err json_value(json_writer *j, jinja_value v);

/* Before the i-th item of a container: separator and line break. */
static cj_err json_between(json_writer *j, size_t i)
{
    if (i) TRY(jinja_write(&j->w, j->style->between.text, j->style->between.size));
    return json_break(j);
}

static cj_err json_key(json_writer *j, jinja_value key)
{
    switch ((jinja_kind)key.kind) {
    case JINJA_STRING: return json_text(j, key);
    case JINJA_NONE: return put(&j->w, "\"null\"");
    case JINJA_BOOLEAN: return put(&j->w, key.truth ? "\"true\"" : "\"false\"");
    case JINJA_INTEGER: case JINJA_FLOAT:
        TRY(put(&j->w, "\""));
        TRY(write_number(&j->w, key, true));
        return put(&j->w, "\"");
    default: return jinja_wrong_type(j->run, "tojson", key);
    }
}

static cj_err json_list(json_writer *j, const jinja_list *l)
{
    if (!l->count) return put(&j->w, "[]");
    TRY(put(&j->w, "["));
    j->level++;
    for (size_t i = 0; i < l->count; i++) {
        TRY(json_between(j, i));
        TRY(json_value(j, l->items[i]));
    }
    j->level--;
    TRY(json_break(j));
    return put(&j->w, "]");
}

/* A copy of d in the order of its keys. */
static cj_err sorted_copy(jinja_run *r, const jinja_dict *d, jinja_dict **out)
{
    void *memory;
    TRY(jinja_take(&r->work, 2 * d->count * sizeof(jinja_value), &memory));
    jinja_value *keys = memory, *values = keys + d->count;
    for (size_t i = 0; i < d->count; i++) {
        keys[i] = d->entries[i].key;
        values[i] = d->entries[i].value;
    }
    TRY(jinja_sort(r, values, keys, d->count, false));
    TRY(jinja_dict_new(&r->work, d->count, out));
    for (size_t i = 0; i < d->count; i++) (*out)->entries[i] = (jinja_entry){keys[i], values[i]};
    (*out)->count = d->count;
    return CJ_OK;
}

static cj_err json_dict(json_writer *j, jinja_dict *d)
{
    if (!d->count) return put(&j->w, "{}");
    if (j->style->sorted) TRY(sorted_copy(j->run, d, &d));
    TRY(put(&j->w, "{"));
    j->level++;
    for (size_t i = 0; i < d->count; i++) {
        TRY(json_between(j, i));
        TRY(json_key(j, d->entries[i].key));
        TRY(jinja_write(&j->w, j->style->after_key.text, j->style->after_key.size));
        TRY(json_value(j, d->entries[i].value));
    }
    j->level--;
    TRY(json_break(j));
    return put(&j->w, "}");
}

static cj_err json_value(json_writer *j, jinja_value v)
{
    TRY(jinja_enter(j->run));
    switch ((jinja_kind)v.kind) {
    case JINJA_NONE: TRY(put(&j->w, "null")); break;
    case JINJA_BOOLEAN: TRY(put(&j->w, v.truth ? "true" : "false")); break;
    case JINJA_INTEGER: case JINJA_FLOAT: TRY(write_number(&j->w, v, true)); break;
    case JINJA_STRING: TRY(json_text(j, v)); break;
    case JINJA_DICT: TRY(json_dict(j, v.dict)); break;
    case JINJA_LIST:
        if (v.list->form > JINJA_TUPLE) return jinja_wrong_type(j->run, "tojson", v);
        TRY(json_list(j, v.list));
        break;
    default: return jinja_wrong_type(j->run, "tojson", v);
    }
    j->run->depth--;
    return CJ_OK;
}

cj_err jinja_to_json(jinja_run *r, jinja_value v, const jinja_json_style *style, jinja_value *out)
{
    json_writer j = {.run = r, .w = {.work = &r->work}, .style = style};
    TRY(json_value(&j, v));
    *out = jinja_written(&j.w);
    return CJ_OK;
}

/* Filters on sequences. Those that are lazy in Jinja (map, select, ...) give an iterator here too: always true, without a
 * length, walked once; but its items are made at once. */
#include "token/jinja_lexer.h"
#include "token/jinja_number.h"
#include "token/jinja_run.h"

#define FILTER(name) static cj_err name(jinja_run *r, jinja_value self, const jinja_arguments *a, jinja_value *out)

static cj_err new_list(jinja_run *r, jinja_form form, jinja_list **list, jinja_value *out)
{
    TRY(jinja_list_new(&r->work, 0, form, list));
    *out = jinja_list_value(*list);
    return CJ_OK;
}

/* ---- keys: attribute paths, letter case ---- */

static bool all_digits(jinja_value v)
{
    for (size_t i = 0; i < v.size; i++)
        if (v.text[i] < '0' || v.text[i] > '9') return false;
    return v.size > 0;
}

/* Follows "a.b.0" from v; parts of digits are positions. An integer is one such position. */
static cj_err follow(jinja_run *r, jinja_value v, jinja_value path, jinja_value *out)
{
    *out = v;
    if (path.kind == JINJA_ABSENT || path.kind == JINJA_NONE) return CJ_OK;
    if (path.kind != JINJA_STRING) return jinja_item(r, v, path, out);
    for (size_t at = 0; at <= path.size;) {
        const char *dot = memchr(path.text + at, '.', path.size - at);
        size_t end = dot ? (size_t)(dot - path.text) : path.size;
        jinja_value part = jinja_cut(path, at, end);
        int64_t position;
        bool digits = all_digits(part) && jinja_integer_read(part, 10, &position);
        TRY(jinja_item(r, *out, digits ? jinja_integer(position) : part, out));
        at = end + 1;
    }
    return CJ_OK;
}

static cj_err fold_case(jinja_run *r, bool sensitive, jinja_value *v)
{
    if (sensitive || v->kind != JINJA_STRING) return CJ_OK;
    TRY(jinja_spend_bytes(r, v->size));
    return jinja_change_case(&r->work, *v, JINJA_LOWER, v);
}

/* "a,b.c" gives two keys. Always a tuple: items without the attribute are equal then, and comparing them is no error. */
static cj_err sort_key(jinja_run *r, jinja_value v, jinja_value path, bool sensitive, jinja_value *out)
{
    jinja_list *key;
    TRY(new_list(r, JINJA_TUPLE, &key, out));
    for (size_t at = 0, end; path.kind != JINJA_STRING || at <= path.size; at = end + 1) {
        jinja_value part = path, value;
        const char *comma = part.kind == JINJA_STRING ? memchr(path.text + at, ',', path.size - at) : NULL;
        end = comma ? (size_t)(comma - path.text) : path.size;
        if (part.kind == JINJA_STRING) part = jinja_cut(path, at, end);
        TRY(follow(r, v, part, &value));
        TRY(fold_case(r, sensitive, &value));
        TRY(jinja_list_add(&r->work, key, value));
        if (path.kind != JINJA_STRING) break;
    }
    return CJ_OK;
}

/* ---- picking and ordering ---- */

FILTER(first)
{
    self.mark = self.kind == JINJA_STRING ? 0 : self.mark; /* walking over marked text gives plain characters */
    if (self.kind == JINJA_STRING && self.size) return jinja_item(r, self, jinja_integer(0), out);
    if (self.kind == JINJA_LIST && self.list->form == JINJA_ITERATOR) { /* takes one, leaves the rest */
        jinja_list *i = self.list;
        *out = i->next < i->count ? i->items[i->next++] : jinja_missing("|first");
        return CJ_OK;
    }
    jinja_list *items;
    TRY(jinja_items(r, self, &items));
    *out = items->count ? items->items[0] : jinja_missing("|first");
    return CJ_OK;
}

FILTER(last)
{
    if (self.kind == JINJA_STRING && self.size) return jinja_item(r, self, jinja_integer(-1), out);
    if (self.kind == JINJA_LIST && self.list->form == JINJA_ITERATOR) return jinja_wrong_type(r, "last", self);
    jinja_list *items;
    TRY(jinja_items(r, self, &items));
    *out = items->count ? items->items[items->count - 1] : jinja_missing("|last");
    return CJ_OK;
}

/* A copy with this form, which the filter may change. */
static cj_err copy(jinja_run *r, jinja_value v, jinja_form form, jinja_list **list, jinja_value *out)
{
    jinja_list *items;
    TRY(jinja_items(r, v, &items));
    TRY(jinja_spend(r, items->count / 8));
    TRY(jinja_list_new(&r->work, items->count, form, list));
    if (items->count) memcpy((*list)->items, items->items, items->count * sizeof *items->items);
    (*list)->count = items->count;
    *out = jinja_list_value(*list);
    return CJ_OK;
}

FILTER(list)
{
    jinja_list *l;
    return copy(r, self, JINJA_PLAIN, &l, out);
}

FILTER(reverse)
{
    jinja_list *l;
    if (self.kind == JINJA_STRING) {
        const jinja_value part[3] = {jinja_none(), jinja_none(), jinja_integer(-1)};
        return jinja_slice(r, self, part, out);
    }
    bool iterator = self.kind == JINJA_LIST && self.list->form == JINJA_ITERATOR; /* Python cannot reverse that lazily */
    TRY(copy(r, self, iterator ? JINJA_PLAIN : JINJA_ITERATOR, &l, out));
    for (size_t i = 0, j = l->count; i + 1 < j; i++) {
        jinja_value v = l->items[i];
        l->items[i] = l->items[--j];
        l->items[j] = v;
    }
    return CJ_OK;
}

FILTER(sort)
{
    bool reversed = jinja_argument_truth(a, 0), sensitive = jinja_argument_truth(a, 1);
    jinja_list *l, *keys;
    TRY(copy(r, self, JINJA_PLAIN, &l, out));
    TRY(jinja_list_new(&r->work, l->count, JINJA_PLAIN, &keys));
    for (size_t i = 0; i < l->count; i++) TRY(sort_key(r, l->items[i], a->items[2], sensitive, &keys->items[i]));
    return jinja_sort(r, l->items, keys->items, l->count, reversed);
}

FILTER(dict_sort)
{
    bool sensitive = jinja_argument_truth(a, 0), reversed = jinja_argument_truth(a, 2);
    jinja_value by;
    TRY(jinja_argument_text(r, a, 1, "key", &by));
    bool values = jinja_text_is(by, "value");
    if (!values && !jinja_text_is(by, "key")) return jinja_wrong_arguments(r, "dictsort", "key, value");
    if (self.kind != JINJA_DICT) return jinja_wrong_type(r, "dictsort", self);
    jinja_list *keys;
    TRY(jinja_dict_view(r, self.dict, JINJA_ITEMS, out));
    out->list->form = JINJA_PLAIN;
    TRY(jinja_list_new(&r->work, out->list->count, JINJA_PLAIN, &keys));
    for (size_t i = 0; i < out->list->count; i++) {
        keys->items[i] = values ? self.dict->entries[i].value : self.dict->entries[i].key;
        TRY(fold_case(r, sensitive, &keys->items[i]));
    }
    return jinja_sort(r, out->list->items, keys->items, out->list->count, reversed);
}

FILTER(unique)
{
    jinja_list *items, *l, *seen;
    TRY(jinja_items(r, self, &items));
    TRY(jinja_list_new(&r->work, 0, JINJA_PLAIN, &seen));
    TRY(new_list(r, JINJA_ITERATOR, &l, out));
    for (size_t i = 0; i < items->count; i++) {
        jinja_value key;
        bool known = false;
        TRY(follow(r, items->items[i], a->items[1], &key));
        TRY(fold_case(r, jinja_argument_truth(a, 0), &key));
        if (!jinja_hashable(key)) return jinja_wrong_type(r, "unique", key);
        TRY(jinja_contains(r, jinja_list_value(seen), key, &known));
        if (known) continue;
        TRY(jinja_list_add(&r->work, seen, key));
        TRY(jinja_list_add(&r->work, l, items->items[i]));
    }
    return CJ_OK;
}

/* The item whose key is smallest (or largest); the first of equals. */
static cj_err extreme(jinja_run *r, jinja_value self, const jinja_arguments *a, bool largest, jinja_value *out)
{
    jinja_list *items;
    jinja_value best = jinja_none(), key;
    TRY(jinja_items(r, self, &items));
    *out = jinja_missing(largest ? "|max" : "|min");
    for (size_t i = 0; i < items->count; i++) {
        bool better = true;
        TRY(follow(r, items->items[i], a->items[1], &key));
        TRY(fold_case(r, jinja_argument_truth(a, 0), &key));
        if (i) TRY(jinja_compare(r, largest ? JINJA_T_GT : JINJA_T_LT, key, best, &better));
        if (!better) continue;
        best = key;
        *out = items->items[i];
    }
    return CJ_OK;
}

FILTER(smallest) { return extreme(r, self, a, false, out); }
FILTER(largest) { return extreme(r, self, a, true, out); }

/* ---- gathering ---- */

FILTER(sum)
{
    jinja_list *items;
    TRY(jinja_items(r, self, &items));
    jinja_value total = a->items[1].kind == JINJA_ABSENT ? jinja_integer(0) : a->items[1], v;
    if (total.kind == JINJA_STRING) return jinja_wrong_type(r, "sum", total);
    for (size_t i = 0; i < items->count; i++) {
        TRY(follow(r, items->items[i], a->items[0], &v));
        TRY(jinja_spend(r, 1));
        TRY(jinja_binary(r, JINJA_T_ADD, total, v, &total));
    }
    *out = total;
    return CJ_OK;
}

FILTER(join)
{
    jinja_list *items;
    jinja_value between, v;
    TRY(jinja_items(r, self, &items));
    if (a->items[0].kind == JINJA_ABSENT) between = jinja_literal("");
    else TRY(jinja_string(r, a->items[0], &between));
    jinja_writer w = {.work = &r->work};
    for (size_t i = 0; i < items->count; i++) {
        TRY(follow(r, items->items[i], a->items[1], &v));
        TRY(jinja_string(r, v, &v));
        TRY(jinja_spend_bytes(r, v.size + between.size));
        if (i) TRY(jinja_write(&w, between.text, between.size));
        TRY(jinja_write(&w, v.text, v.size));
    }
    *out = jinja_written(&w);
    return CJ_OK;
}

FILTER(items)
{
    jinja_list *l;
    if (self.kind == JINJA_UNDEFINED) return new_list(r, JINJA_ITERATOR, &l, out);
    if (self.kind != JINJA_DICT) return jinja_wrong_type(r, "items", self);
    TRY(jinja_dict_view(r, self.dict, JINJA_ITEMS, out));
    out->list->form = JINJA_ITERATOR;
    return CJ_OK;
}

FILTER(batch)
{
    int64_t size;
    jinja_list *items, *rows, *row;
    TRY(jinja_argument_integer(r, a, 0, 0, &size));
    TRY(jinja_items(r, self, &items));
    TRY(new_list(r, JINJA_ITERATOR, &rows, out));
    TRY(jinja_list_new(&r->work, 0, JINJA_PLAIN, &row));
    for (size_t i = 0; i < items->count; i++) {
        TRY(jinja_spend(r, 1));
        if ((int64_t)row->count == size) {
            TRY(jinja_list_add(&r->work, rows, jinja_list_value(row)));
            TRY(jinja_list_new(&r->work, 0, JINJA_PLAIN, &row));
        }
        TRY(jinja_list_add(&r->work, row, items->items[i]));
    }
    if (!row->count) return CJ_OK;
    bool fill = a->items[1].kind != JINJA_ABSENT && a->items[1].kind != JINJA_NONE;
    while (fill && (int64_t)row->count < size) {
        TRY(jinja_spend(r, 1));
        TRY(jinja_list_add(&r->work, row, a->items[1]));
    }
    return jinja_list_add(&r->work, rows, jinja_list_value(row));
}

/* Like a dot, but without looking into a mapping. */
FILTER(attribute)
{
    jinja_value name;
    TRY(jinja_argument_text(r, a, 0, NULL, &name));
    if (self.kind != JINJA_DICT) return jinja_attribute(r, self, name, out);
    bool unsafe;
    const jinja_builtin *b = jinja_method_find(self, name, &unsafe);
    if (b) return jinja_bind(r, b, self, out);
    *out = jinja_undefined(name.text, name.size, self.kind);
    return CJ_OK;
}

/* ---- map and select ---- */

/* The arguments behind the first `skip`, for the filter or test that is named among those. */
static jinja_arguments behind(const jinja_arguments *a, size_t skip)
{
    jinja_arguments rest = *a;
    if (skip) rest.items += skip; /* without arguments there are no items to step over */
    rest.count -= skip;
    return rest;
}

static cj_err unknown(jinja_run *r, const char *sign, jinja_value name)
{
    TRY(jinja_string(r, name, &name));
    return jinja_fail(&r->work, CJ_E_UNSUPPORTED, MSG_TEMPLATE_UNSUPPORTED, "%s %.*s", sign, JINJA_SHOW(name.text, name.size));
}

/* map(attribute="a.b", default=x) */
static cj_err map_attribute(jinja_run *r, const jinja_list *items, const jinja_arguments *a, jinja_list *into)
{
    jinja_value path = {0}, absent = {0};
    for (size_t i = 0; i < a->keyword_count; i++) {
        if (jinja_text_is(a->keywords[i].name, "attribute")) path = a->keywords[i].value;
        else if (jinja_text_is(a->keywords[i].name, "default")) absent = a->keywords[i].value;
        else return jinja_wrong_arguments(r, "map", "attribute, default");
    }
    if (path.kind == JINJA_ABSENT) return jinja_wrong_arguments(r, "map", "attribute=");
    for (size_t i = 0; i < items->count; i++) {
        jinja_value v;
        TRY(jinja_spend(r, 1));
        TRY(follow(r, items->items[i], path, &v));
        if (v.kind == JINJA_UNDEFINED && absent.kind != JINJA_ABSENT && absent.kind != JINJA_NONE) v = absent;
        TRY(jinja_list_add(&r->work, into, v));
    }
    return CJ_OK;
}

FILTER(map)
{
    jinja_list *items, *l;
    TRY(new_list(r, JINJA_ITERATOR, &l, out));
    if (!jinja_truth(self)) return CJ_OK;
    TRY(jinja_items(r, self, &items));
    if (!a->count) return map_attribute(r, items, a, l);
    const jinja_builtin *b = a->items[0].kind == JINJA_STRING ? jinja_filter_find(a->items[0]) : NULL;
    if (!b) return unknown(r, "| map", a->items[0]);
    jinja_arguments rest = behind(a, 1);
    for (size_t i = 0; i < items->count; i++) {
        jinja_value v;
        TRY(jinja_invoke(r, b, items->items[i], &rest, &v));
        TRY(jinja_list_add(&r->work, l, v));
    }
    return CJ_OK;
}

/* Keeps the items that pass the test named in the arguments, or that are true without one. `by_attribute`: the first
 * argument is a path, and what it leads to is tested. */
static cj_err choose(jinja_run *r, jinja_value self, const jinja_arguments *a, bool keep, bool by_attribute, jinja_value *out)
{
    jinja_list *items, *l;
    TRY(new_list(r, JINJA_ITERATOR, &l, out));
    if (!jinja_truth(self)) return CJ_OK;
    TRY(jinja_items(r, self, &items));
    size_t off = by_attribute ? 1 : 0;
    if (a->count < off) return jinja_wrong_arguments(r, "selectattr", "attribute");
    jinja_value path = by_attribute ? a->items[0] : (jinja_value){0};
    const jinja_builtin *b = a->count > off && a->items[off].kind == JINJA_STRING ? jinja_test_find(a->items[off]) : NULL;
    if (a->count > off && !b) return unknown(r, "is", a->items[off]);
    jinja_arguments rest = behind(a, b ? off + 1 : off);
    for (size_t i = 0; i < items->count; i++) {
        jinja_value v;
        TRY(jinja_spend(r, 1));
        TRY(follow(r, items->items[i], path, &v));
        if (b) TRY(jinja_invoke(r, b, v, &rest, &v));
        if (jinja_truth(v) == keep) TRY(jinja_list_add(&r->work, l, items->items[i]));
    }
    return CJ_OK;
}

FILTER(select_items) { return choose(r, self, a, true, false, out); }
FILTER(reject) { return choose(r, self, a, false, false, out); }
FILTER(select_by_attribute) { return choose(r, self, a, true, true, out); }
FILTER(reject_by_attribute) { return choose(r, self, a, false, true, out); }

const jinja_builtin jinja_sequence_filters[] = {
    {"attr", "name", attribute}, {"batch", "linecount fill_with?", batch}, {"dictsort", "case_sensitive? by? reverse?", dict_sort},
    {"first", "", first}, {"items", "", items}, {"join", "d? attribute?", join}, {"last", "", last}, {"list", "", list},
    {"map", NULL, map}, {"max", "case_sensitive? attribute?", largest}, {"min", "case_sensitive? attribute?", smallest},
    {"reject", NULL, reject}, {"rejectattr", NULL, reject_by_attribute}, {"reverse", "", reverse}, {"select", NULL, select_items},
    {"selectattr", NULL, select_by_attribute}, {"sort", "reverse? case_sensitive? attribute?", sort}, {"sum", "attribute? start?", sum},
    {"unique", "case_sensitive? attribute?", unique},
};
const size_t jinja_sequence_filter_count = sizeof jinja_sequence_filters / sizeof *jinja_sequence_filters;

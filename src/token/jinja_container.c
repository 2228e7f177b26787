/* Containers: members, items, slices, walking; and how the caller's JSON becomes values. */
#include "token/jinja_run.h"

/* ---- dictionaries ---- */

/* A key must not be able to change: lists and dictionaries cannot be keys. Of tuples only flat ones can. */
bool jinja_hashable(jinja_value v)
{
    if (v.kind != JINJA_LIST || v.list->form == JINJA_RANGE) return v.kind != JINJA_DICT;
    if (v.list->form != JINJA_TUPLE) return false;
    for (size_t i = 0; i < v.list->count; i++)
        if (v.list->items[i].kind == JINJA_LIST || v.list->items[i].kind == JINJA_DICT) return false;
    return true;
}

cj_err jinja_dict_find(jinja_run *r, const jinja_dict *d, jinja_value key, jinja_value **out)
{
    if (!jinja_hashable(key)) return jinja_wrong_type(r, "key", key);
    *out = NULL;
    TRY(jinja_spend(r, d->count / 16));
    for (size_t i = 0; i < d->count && !*out; i++) {
        jinja_entry *e = &d->entries[i];
        bool same = key.kind == JINJA_STRING && e->key.kind == JINJA_STRING && e->key.size != key.size;
        if (same) continue; /* names of different lengths: the common case */
        TRY(jinja_equal(r, e->key, key, &same));
        if (same) *out = &e->value;
    }
    return CJ_OK;
}

cj_err jinja_dict_set(jinja_run *r, jinja_dict *d, jinja_value key, jinja_value v)
{
    jinja_value *found;
    TRY(jinja_dict_find(r, d, key, &found));
    if (found) {
        *found = v;
        return CJ_OK;
    }
    void *entries = d->entries;
    TRY(jinja_grow(&r->work, &entries, d->count, &d->capacity, sizeof *d->entries));
    d->entries = entries;
    d->entries[d->count++] = (jinja_entry){key, v};
    return CJ_OK;
}

cj_err jinja_dict_view(jinja_run *r, const jinja_dict *d, jinja_form form, jinja_value *out)
{
    jinja_list *list;
    TRY(jinja_spend(r, d->count / 4));
    TRY(jinja_list_new(&r->work, d->count, form, &list));
    for (size_t i = 0; i < d->count; i++) {
        jinja_value v = form == JINJA_KEYS ? d->entries[i].key : d->entries[i].value;
        if (form == JINJA_ITEMS) {
            jinja_list *tuple;
            TRY(jinja_list_new(&r->work, 2, JINJA_TUPLE, &tuple));
            TRY(jinja_list_add(&r->work, tuple, d->entries[i].key));
            TRY(jinja_list_add(&r->work, tuple, v));
            v = jinja_list_value(tuple);
        }
        TRY(jinja_list_add(&r->work, list, v));
    }
    *out = jinja_list_value(list);
    return CJ_OK;
}

/* ---- walking ---- */

bool jinja_iterable(jinja_value v)
{
    return v.kind == JINJA_UNDEFINED || v.kind == JINJA_STRING || v.kind == JINJA_LIST || v.kind == JINJA_DICT || v.kind == JINJA_LOOP;
}

bool jinja_count(jinja_value v, size_t *out)
{
    switch ((jinja_kind)v.kind) {
    case JINJA_UNDEFINED: *out = 0; return true;
    case JINJA_STRING: *out = jinja_length(v); return true;
    case JINJA_LIST: *out = v.list->count; return v.list->form != JINJA_ITERATOR;
    case JINJA_DICT: *out = v.dict->count; return true;
    default: return false;
    }
}

static cj_err characters(jinja_run *r, jinja_value v, jinja_list **out)
{
    TRY(jinja_spend(r, v.size));
    TRY(jinja_list_new(&r->work, jinja_length(v), JINJA_PLAIN, out));
    v.mark = 0; /* the characters of marked text are plain text, as in Python */
    for (size_t i = 0; i < v.size;) {
        uint32_t cp;
        size_t n = (size_t)utf8_decode(v.text + i, v.size - i, &cp);
        TRY(jinja_list_add(&r->work, *out, jinja_cut(v, i, i + n)));
        i += n;
    }
    return CJ_OK;
}

/* What an iterator still has; it is empty afterwards. */
static cj_err rest_of(jinja_run *r, jinja_list *iterator, jinja_list **out)
{
    TRY(jinja_list_new(&r->work, 0, JINJA_PLAIN, out));
    (*out)->items = iterator->items + iterator->next;
    (*out)->count = (*out)->capacity = iterator->count - iterator->next;
    iterator->next = iterator->count;
    return CJ_OK;
}

cj_err jinja_items(jinja_run *r, jinja_value v, jinja_list **out)
{
    jinja_value keys;
    switch ((jinja_kind)v.kind) {
    case JINJA_UNDEFINED: return jinja_list_new(&r->work, 0, JINJA_PLAIN, out);
    case JINJA_STRING: return characters(r, v, out);
    case JINJA_LIST:
        if (v.list->form == JINJA_ITERATOR) return rest_of(r, v.list, out);
        *out = v.list;
        return CJ_OK;
    case JINJA_DICT:
        TRY(jinja_dict_view(r, v.dict, JINJA_KEYS, &keys));
        *out = keys.list;
        return CJ_OK;
    default: return jinja_wrong_type(r, "for", v);
    }
}

/* ---- members ---- */

static cj_err loop_member(jinja_run *r, jinja_loop *loop, jinja_value name, jinja_value *out)
{
    if (jinja_text_is(name, "index0")) *out = jinja_integer(loop->index);
    else if (jinja_text_is(name, "index")) *out = jinja_integer(loop->index + 1);
    else if (jinja_text_is(name, "first")) *out = jinja_boolean(loop->index == 0);
    else if (jinja_text_is(name, "depth")) *out = jinja_integer(1);
    else if (jinja_text_is(name, "depth0")) *out = jinja_integer(0);
    else if (jinja_text_is(name, "previtem")) *out = loop->index ? loop->before : jinja_missing("loop.previtem");
    else if (jinja_text_is(name, "last") || jinja_text_is(name, "nextitem")) {
        TRY(jinja_loop_peek(r, loop));
        bool last = loop->after.kind == JINJA_ABSENT;
        *out = jinja_text_is(name, "last") ? jinja_boolean(last) : last ? jinja_missing("loop.nextitem") : loop->after;
    } else if (jinja_text_is(name, "length") || jinja_text_is(name, "revindex") || jinja_text_is(name, "revindex0")) {
        TRY(jinja_loop_length(r, loop));
        int64_t left = loop->length - loop->index;
        *out = jinja_integer(jinja_text_is(name, "length") ? loop->length : jinja_text_is(name, "revindex") ? left : left - 1);
    } else
        *out = jinja_undefined(name.text, name.size, JINJA_LOOP);
    return CJ_OK;
}

/* A method of v; undefined when there is none. */
static cj_err method(jinja_run *r, jinja_value v, jinja_value name, jinja_value *out)
{
    bool unsafe;
    const jinja_builtin *b = jinja_method_find(v, name, &unsafe);
    if (b) return jinja_bind(r, b, v, out);
    *out = jinja_undefined(name.text, name.size, v.kind);
    return CJ_OK;
}

static cj_err dict_member(jinja_run *r, const jinja_dict *d, jinja_value key, jinja_value *out)
{
    jinja_value *found;
    TRY(jinja_dict_find(r, d, key, &found));
    *out = found ? *found : (jinja_value){0};
    return CJ_OK;
}

/* Methods go before members: {"items": 1}.items is the method. */
cj_err jinja_attribute(jinja_run *r, jinja_value v, jinja_value name, jinja_value *out)
{
    if (v.kind == JINJA_UNDEFINED) return jinja_wrong_type(r, ".", v);
    if (v.kind == JINJA_NAMESPACE) {
        TRY(dict_member(r, v.dict, name, out));
        if (out->kind == JINJA_ABSENT) *out = jinja_undefined(name.text, name.size, v.kind);
        return CJ_OK;
    }
    bool unsafe;
    if (v.kind == JINJA_DICT && !jinja_method_find(v, name, &unsafe) && !unsafe) {
        TRY(dict_member(r, v.dict, name, out));
        if (out->kind != JINJA_ABSENT) return CJ_OK;
    }
    jinja_value object = v;
    TRY(method(r, object, name, out));
    if (object.kind == JINJA_LOOP && out->kind == JINJA_UNDEFINED) return loop_member(r, object.loop, name, out);
    return CJ_OK;
}

/* Members go before methods: {"items": 1}["items"] is 1. */
cj_err jinja_item(jinja_run *r, jinja_value v, jinja_value index, jinja_value *out)
{
    if (v.kind == JINJA_UNDEFINED) return jinja_wrong_type(r, "[...]", v);
    if (v.kind == JINJA_DICT && index.kind != JINJA_LIST && index.kind != JINJA_DICT) {
        TRY(dict_member(r, v.dict, index, out));
        if (out->kind != JINJA_ABSENT) return CJ_OK;
        bool unsafe;
        if (index.kind == JINJA_STRING && jinja_method_find(v, index, &unsafe)) return method(r, v, index, out);
    } else if (jinja_is_whole(index) && (v.kind == JINJA_STRING || (v.kind == JINJA_LIST && v.list->form <= JINJA_RANGE))) {
        size_t count = 0;
        jinja_count(v, &count);
        int64_t i = jinja_whole(index);
        if (i < 0) i += (int64_t)count;
        if (i >= 0 && (uint64_t)i < count) {
            if (v.kind == JINJA_LIST) *out = v.list->items[i];
            else {
                TRY(jinja_spend_bytes(r, v.size));
                size_t from = jinja_offset(v, (size_t)i);
                uint32_t cp;
                *out = jinja_cut(v, from, from + (size_t)utf8_decode(v.text + from, v.size - from, &cp));
            }
            return CJ_OK;
        }
    } else if (index.kind == JINJA_STRING && v.kind != JINJA_DICT)
        return jinja_attribute(r, v, index, out);
    jinja_value shown = index.kind == JINJA_STRING ? index : jinja_literal("[...]");
    *out = jinja_undefined(shown.text, shown.size, v.kind);
    return CJ_OK;
}

/* ---- slices ---- */

typedef struct bounds { int64_t start, stop, step; size_t count; } bounds;

static int64_t clamp(int64_t i, int64_t low, int64_t high) { return i < low ? low : i > high ? high : i; }

/* Python's rules: negative positions count from the end, what is outside is cut. */
static cj_err slice_bounds(jinja_run *r, const jinja_value part[3], int64_t count, bounds *out)
{
    int64_t p[3] = {0, 0, 1};
    for (int i = 0; i < 3; i++) {
        if (part[i].kind == JINJA_NONE) continue;
        if (!jinja_is_whole(part[i])) return jinja_wrong_type(r, "[:]", part[i]);
        p[i] = jinja_whole(part[i]);
    }
    int64_t step = p[2] == INT64_MIN ? -INT64_MAX : p[2], low = step < 0 ? -1 : 0, high = step < 0 ? count - 1 : count;
    if (!step) return diag_fail(r->work.diag, CJ_E_INPUT, MSG_TEMPLATE_ZERO, "%d", r->work.line);
    for (int i = 0; i < 2; i++) p[i] = clamp(p[i] < 0 ? p[i] + count : p[i], low, high);
    int64_t start = part[0].kind == JINJA_NONE ? (step < 0 ? high : low) : p[0];
    int64_t stop = part[1].kind == JINJA_NONE ? (step < 0 ? low : high) : p[1];
    int64_t span = step < 0 ? start - stop : stop - start, stride = step < 0 ? -step : step;
    *out = (bounds){start, stop, step, span > 0 ? (size_t)((span - 1) / stride + 1) : 0};
    return CJ_OK;
}

static cj_err slice_text(jinja_run *r, jinja_value v, const jinja_value part[3], jinja_value *out)
{
    bounds b;
    TRY(jinja_spend_bytes(r, v.size));
    size_t count = jinja_length(v);
    TRY(slice_bounds(r, part, (int64_t)count, &b));
    if (b.step == 1) { /* a view */
        size_t from = jinja_offset(v, (size_t)b.start);
        *out = jinja_cut(v, from, from + jinja_offset(jinja_cut(v, from, v.size), b.count));
        if (!b.count) out->size = 0;
        return CJ_OK;
    }
    jinja_list *all;
    jinja_writer w = {.work = &r->work};
    TRY(characters(r, v, &all));
    for (size_t i = 0; i < b.count; i++) {
        jinja_value c = all->items[b.start + (int64_t)i * b.step];
        TRY(jinja_write(&w, c.text, c.size));
    }
    uint8_t mark = v.mark;
    *out = jinja_written(&w);
    out->mark = mark;
    return CJ_OK;
}

cj_err jinja_slice(jinja_run *r, jinja_value v, const jinja_value part[3], jinja_value *out)
{
    if (v.kind == JINJA_STRING) return slice_text(r, v, part, out);
    if (v.kind != JINJA_LIST || v.list->form > JINJA_RANGE) return jinja_wrong_type(r, "[:]", v);
    bounds b;
    jinja_list *list;
    TRY(slice_bounds(r, part, (int64_t)v.list->count, &b));
    TRY(jinja_spend(r, b.count / 8));
    TRY(jinja_list_new(&r->work, b.count, v.list->form, &list));
    for (size_t i = 0; i < b.count; i++) list->items[i] = v.list->items[b.start + (int64_t)i * b.step];
    list->count = b.count;
    if (list->form == JINJA_RANGE) { /* what its repr shows */
        const jinja_list *of = v.list;
        list->step = of->step * b.step;
        list->start = of->start + b.start * of->step;
        list->stop = of->start + b.stop * of->step;
    }
    *out = jinja_list_value(list);
    return CJ_OK;
}

/* ---- JSON ---- */

static cj_err checked_text(jinja_run *r, const char *s, size_t n, jinja_value *out)
{
    *out = jinja_text(s, n);
    TRY(jinja_spend_bytes(r, n));
    if (utf8_valid_prefix(s, n) == n) return CJ_OK;
    return diag_fail(r->work.diag, CJ_E_INPUT, MSG_TEMPLATE_UTF8, "%s", "request");
}

static cj_err array_from_json(jinja_run *r, json_object *o, jinja_value *out)
{
    size_t n = json_object_array_length(o);
    jinja_list *list;
    TRY(jinja_spend(r, n));
    TRY(jinja_list_new(&r->work, n, JINJA_PLAIN, &list));
    for (; list->count < n; list->count++) TRY(jinja_from_json(r, json_object_array_get_idx(o, list->count), &list->items[list->count]));
    *out = jinja_list_value(list);
    return CJ_OK;
}

static cj_err object_from_json(jinja_run *r, json_object *o, jinja_value *out)
{
    size_t n = (size_t)json_object_object_length(o);
    jinja_dict *d;
    TRY(jinja_spend(r, n));
    TRY(jinja_dict_new(&r->work, n, &d));
    json_object_object_foreach(o, key, member) { /* keys are distinct: no search */
        jinja_entry *e = &d->entries[d->count];
        TRY(checked_text(r, key, strlen(key), &e->key));
        TRY(jinja_from_json(r, member, &e->value));
        d->count++;
    }
    *out = (jinja_value){.kind = JINJA_DICT, .dict = d};
    return CJ_OK;
}

static jinja_value integer_from_json(json_object *o)
{
    int64_t i = json_object_get_int64(o);
    uint64_t u = json_object_get_uint64(o);
    if (i != INT64_MAX || u <= INT64_MAX) return jinja_integer(i);
    return (jinja_value){.kind = JINJA_FLOAT, .mark = JINJA_UNSIGNED, .real = (double)u, .size = (size_t)u};
}

cj_err jinja_from_json(jinja_run *r, json_object *o, jinja_value *out)
{
    TRY(jinja_enter(r));
    switch (json_object_get_type(o)) {
    case json_type_null: *out = jinja_none(); break;
    case json_type_boolean: *out = jinja_boolean(json_object_get_boolean(o)); break;
    case json_type_double: *out = jinja_float(json_object_get_double(o)); break;
    case json_type_int: *out = integer_from_json(o); break;
    case json_type_string: TRY(checked_text(r, json_object_get_string(o), (size_t)json_object_get_string_len(o), out)); break;
    case json_type_array: TRY(array_from_json(r, o, out)); break;
    case json_type_object: TRY(object_from_json(r, o, out)); break;
    }
    r->depth--;
    return CJ_OK;
}

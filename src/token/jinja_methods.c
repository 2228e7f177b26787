/* Methods of strings, lists, dictionaries and loops. Methods that would change a list or dictionary do not exist here. */
#include "token/jinja_lexer.h"
#include "token/jinja_run.h"

#define METHOD(name) static cj_err name(jinja_run *r, jinja_value self, const jinja_arguments *a, jinja_value *out)

/* ---- strings: cutting ---- */

/* The set of characters to strip, NULL for white space. */
static cj_err strip(jinja_run *r, jinja_value self, const jinja_arguments *a, bool left, bool right, jinja_value *out)
{
    const jinja_value *set = &a->items[0];
    if (set->kind == JINJA_ABSENT || set->kind == JINJA_NONE) set = NULL;
    else if (set->kind != JINJA_STRING) return jinja_wrong_type(r, "strip", *set);
    if (set && set->size > 16) TRY(jinja_spend(r, self.size / 64 * set->size));
    *out = jinja_strip(self, set, left, right);
    return CJ_OK;
}

METHOD(strip_both) { return strip(r, self, a, true, true, out); }
METHOD(strip_left) { return strip(r, self, a, true, false, out); }
METHOD(strip_right) { return strip(r, self, a, false, true, out); }

static cj_err split(jinja_run *r, jinja_value self, const jinja_arguments *a, bool from_end, jinja_value *out)
{
    const jinja_value *separator = &a->items[0];
    int64_t limit;
    jinja_list *list;
    TRY(jinja_argument_integer(r, a, 1, -1, &limit));
    if (separator->kind == JINJA_ABSENT || separator->kind == JINJA_NONE) separator = NULL;
    else if (separator->kind != JINJA_STRING) return jinja_wrong_type(r, "split", *separator);
    else if (!separator->size) return jinja_wrong_arguments(r, "split", "\"\"");
    if (separator) TRY(jinja_spend_search(r, self, *separator, from_end));
    TRY(jinja_split(&r->work, self, separator, limit, from_end, &list));
    *out = jinja_list_value(list);
    return jinja_spend(r, self.size / 64 + list->count);
}

METHOD(split_left) { return split(r, self, a, false, out); }
METHOD(split_right) { return split(r, self, a, true, out); }

METHOD(split_lines)
{
    jinja_list *list;
    TRY(jinja_spend_bytes(r, self.size));
    TRY(jinja_split_lines(&r->work, self, jinja_argument_truth(a, 0), &list));
    *out = jinja_list_value(list);
    return jinja_spend(r, list->count);
}

/* (before, separator, after) */
static cj_err partition(jinja_run *r, jinja_value self, const jinja_arguments *a, bool last, jinja_value *out)
{
    jinja_value at;
    jinja_list *list;
    TRY(jinja_argument_text(r, a, 0, NULL, &at));
    if (!at.size) return jinja_wrong_arguments(r, "partition", "\"\"");
    TRY(jinja_spend_search(r, self, at, last));
    TRY(jinja_list_new(&r->work, 3, JINJA_TUPLE, &list));
    size_t found = jinja_find(self, at, 0, self.size, last);
    bool there = found != SIZE_MAX;
    size_t before = there ? found : last ? 0 : self.size, after = there ? found + at.size : last ? 0 : self.size;
    TRY(jinja_list_add(&r->work, list, jinja_cut(self, 0, before)));
    TRY(jinja_list_add(&r->work, list, jinja_cut(self, before, after)));
    TRY(jinja_list_add(&r->work, list, jinja_cut(self, after, self.size)));
    *out = jinja_list_value(list);
    return CJ_OK;
}

METHOD(partition_first) { return partition(r, self, a, false, out); }
METHOD(partition_last) { return partition(r, self, a, true, out); }

METHOD(remove_prefix)
{
    jinja_value v;
    TRY(jinja_argument_text(r, a, 0, NULL, &v));
    *out = jinja_starts(self, v) ? jinja_cut(self, v.size, self.size) : self;
    return CJ_OK;
}

METHOD(remove_suffix)
{
    jinja_value v;
    TRY(jinja_argument_text(r, a, 0, NULL, &v));
    *out = jinja_ends(self, v) ? jinja_cut(self, 0, self.size - v.size) : self;
    return CJ_OK;
}

/* ---- strings: searching ---- */

/* Arguments 1 and 2 are a slice of characters to look in: its bytes. False: it begins behind the end. */
static cj_err window(jinja_run *r, jinja_value self, const jinja_arguments *a, size_t *from, size_t *to, bool *inside)
{
    int64_t start = 0, stop = INT64_MAX, count;
    if (a->items[1].kind != JINJA_NONE) TRY(jinja_argument_integer(r, a, 1, start, &start));
    if (a->items[2].kind != JINJA_NONE) TRY(jinja_argument_integer(r, a, 2, stop, &stop));
    *from = 0;
    *to = self.size;
    *inside = true;
    if (start == 0 && stop == INT64_MAX) return CJ_OK;
    TRY(jinja_spend_bytes(r, self.size));
    count = (int64_t)jinja_length(self);
    start = start < 0 ? i64_max(start + count, 0) : start;
    stop = i64_min(stop < 0 ? i64_max(stop + count, 0) : stop, count);
    *inside = start <= count && start <= stop;
    if (!*inside) return CJ_OK;
    *from = jinja_offset(self, (size_t)start);
    *to = jinja_offset(self, (size_t)stop);
    return CJ_OK;
}

static cj_err affix(jinja_run *r, jinja_value self, const jinja_arguments *a, bool front, jinja_value *out)
{
    size_t from, to;
    bool inside, found = false;
    jinja_value what = a->items[0];
    TRY(window(r, self, a, &from, &to, &inside));
    jinja_value part = jinja_cut(self, from, to);
    jinja_list one = {.items = &what, .count = 1}, *all = what.kind == JINJA_LIST && what.list->form == JINJA_TUPLE ? what.list : &one;
    for (size_t i = 0; i < all->count; i++) { /* a tuple: any of them */
        jinja_value w = all->items[i];
        if (w.kind != JINJA_STRING) return jinja_wrong_type(r, front ? "startswith" : "endswith", w);
        TRY(jinja_spend_bytes(r, w.size));
        found |= inside && (front ? jinja_starts(part, w) : jinja_ends(part, w));
    }
    *out = jinja_boolean(found);
    return CJ_OK;
}

METHOD(starts_with) { return affix(r, self, a, true, out); }
METHOD(ends_with) { return affix(r, self, a, false, out); }

static cj_err find(jinja_run *r, jinja_value self, const jinja_arguments *a, bool last, bool must, jinja_value *out)
{
    size_t from, to;
    bool inside;
    jinja_value what;
    TRY(jinja_argument_text(r, a, 0, NULL, &what));
    TRY(window(r, self, a, &from, &to, &inside));
    TRY(jinja_spend_search(r, self, what, last));
    size_t at = inside ? jinja_find(self, what, from, to, last) : SIZE_MAX;
    if (at == SIZE_MAX && must) return jinja_wrong_arguments(r, "index", "not found");
    *out = jinja_integer(at == SIZE_MAX ? -1 : (int64_t)jinja_length(jinja_cut(self, 0, at)));
    return CJ_OK;
}

METHOD(find_first) { return find(r, self, a, false, false, out); }
METHOD(find_last) { return find(r, self, a, true, false, out); }
METHOD(index_first) { return find(r, self, a, false, true, out); }
METHOD(index_last) { return find(r, self, a, true, true, out); }

METHOD(count)
{
    size_t from, to, at;
    bool inside;
    jinja_value what;
    int64_t n = 0;
    TRY(jinja_argument_text(r, a, 0, NULL, &what));
    TRY(window(r, self, a, &from, &to, &inside));
    TRY(jinja_spend_search(r, self, what, false));
    if (inside && !what.size) n = (int64_t)jinja_length(jinja_cut(self, from, to)) + 1; /* between all characters */
    for (; inside && what.size && (at = jinja_find(self, what, from, to, false)) != SIZE_MAX; n++) from = at + what.size;
    *out = jinja_integer(n);
    return CJ_OK;
}

/* ---- strings: making new ones ---- */

METHOD(replace)
{
    jinja_value old, with;
    int64_t limit;
    TRY(jinja_argument_text(r, a, 0, NULL, &old));
    TRY(jinja_argument_text(r, a, 1, NULL, &with));
    TRY(jinja_argument_integer(r, a, 2, -1, &limit));
    if (self.mark && !with.mark) TRY(jinja_escape(&r->work, with, &with));
    TRY(jinja_spend_search(r, self, old, false));
    TRY(jinja_replace(&r->work, self, old, with, limit, out));
    return jinja_spend_bytes(r, out->size);
}

METHOD(join)
{
    jinja_list *items;
    TRY(jinja_items(r, a->items[0], &items));
    *out = jinja_text("", 0);
    out->mark = self.mark;
    for (size_t i = 0; i < items->count; i++) {
        jinja_value v = items->items[i];
        if (v.kind != JINJA_STRING) return jinja_wrong_type(r, "join", v);
        if (!self.mark) v.mark = 0;
        if (i) TRY(jinja_join_text(r, *out, self, out));
        TRY(jinja_join_text(r, *out, v, out));
    }
    return CJ_OK;
}

static cj_err in_case(jinja_run *r, jinja_value self, jinja_case to, jinja_value *out)
{
    TRY(jinja_spend_bytes(r, self.size));
    return jinja_change_case(&r->work, self, to, out);
}

METHOD(upper) { return in_case(r, self, JINJA_UPPER, out); }
METHOD(lower) { return in_case(r, self, JINJA_LOWER, out); }
METHOD(title) { return in_case(r, self, JINJA_TITLE, out); }
METHOD(capitalize) { return in_case(r, self, JINJA_CAPITAL, out); }
METHOD(format) { return jinja_format_braces(r, self, a, out); }

/* Fills up to a width, `left` of the text and right of it in these shares of the missing characters. */
static cj_err justify(jinja_run *r, jinja_value self, const jinja_arguments *a, int side, jinja_value *out)
{
    int64_t width;
    jinja_value fill;
    TRY(jinja_argument_integer(r, a, 0, 0, &width));
    TRY(jinja_argument_text(r, a, 1, " ", &fill));
    if (jinja_length(fill) != 1) return jinja_wrong_arguments(r, "justify", "fillchar");
    TRY(jinja_spend_bytes(r, self.size));
    int64_t missing = i64_max(width, 0) - (int64_t)jinja_length(self);
    if (missing < 0) missing = 0;
    int64_t left = side < 0 ? 0 : side > 0 ? missing : missing / 2 + (missing & width & 1); /* Python's center leans left so */
    jinja_value before, after;
    TRY(jinja_binary(r, JINJA_T_MUL, fill, jinja_integer(left), &before));
    TRY(jinja_binary(r, JINJA_T_MUL, fill, jinja_integer(missing - left), &after));
    before.mark = after.mark = self.mark;
    TRY(jinja_join_text(r, before, self, out));
    return jinja_join_text(r, *out, after, out);
}

METHOD(justify_left) { return justify(r, self, a, -1, out); }
METHOD(justify_right) { return justify(r, self, a, 1, out); }
METHOD(center) { return justify(r, self, a, 0, out); }

METHOD(zero_fill)
{
    int64_t width;
    TRY(jinja_argument_integer(r, a, 0, 0, &width));
    bool sign = self.size && (*self.text == '-' || *self.text == '+');
    int64_t missing = i64_max(width, 0) - (int64_t)jinja_length(self);
    jinja_value zeros;
    TRY(jinja_binary(r, JINJA_T_MUL, jinja_literal("0"), jinja_integer(missing), &zeros));
    zeros.mark = self.mark;
    TRY(jinja_join_text(r, jinja_cut(self, 0, sign), zeros, out));
    return jinja_join_text(r, *out, jinja_cut(self, sign, self.size), out);
}

/* ---- strings: asking ---- */

static bool is_alphanumeric(uint32_t cp) { return jinja_is_letter(cp) || jinja_is_digit(cp); }

static cj_err all_are(jinja_run *r, jinja_value self, bool (*is)(uint32_t), jinja_value *out)
{
    bool all = self.size > 0;
    TRY(jinja_spend_bytes(r, self.size));
    for (size_t i = 0; i < self.size && all;) {
        uint32_t cp;
        i += (size_t)utf8_decode(self.text + i, self.size - i, &cp);
        all = is(cp);
    }
    *out = jinja_boolean(all);
    return CJ_OK;
}

METHOD(is_digit) { return all_are(r, self, jinja_is_digit, out); }
METHOD(is_alpha) { return all_are(r, self, jinja_is_letter, out); }
METHOD(is_alnum) { return all_are(r, self, is_alphanumeric, out); }
METHOD(is_space) { return all_are(r, self, jinja_is_space, out); }

/* Has letters with case, and all of them are in this one. */
static cj_err is_case(jinja_run *r, jinja_value self, jinja_case to, jinja_value *out)
{
    jinja_value upper, lower;
    TRY(in_case(r, self, JINJA_UPPER, &upper));
    TRY(in_case(r, self, JINJA_LOWER, &lower));
    bool cased = upper.size != lower.size || memcmp(upper.text, lower.text, upper.size);
    jinja_value same = to == JINJA_UPPER ? upper : lower;
    *out = jinja_boolean(cased && same.size == self.size && !memcmp(same.text, self.text, self.size));
    return CJ_OK;
}

METHOD(is_upper) { return is_case(r, self, JINJA_UPPER, out); }
METHOD(is_lower) { return is_case(r, self, JINJA_LOWER, out); }

const jinja_builtin jinja_string_methods[] = {
    {"strip", "chars?", strip_both}, {"lstrip", "chars?", strip_left}, {"rstrip", "chars?", strip_right},
    {"split", "sep? maxsplit?", split_left}, {"rsplit", "sep? maxsplit?", split_right}, {"splitlines", "keepends?", split_lines},
    {"startswith", "prefix start? end?", starts_with}, {"endswith", "suffix start? end?", ends_with},
    {"replace", "old new count?", replace}, {"find", "sub start? end?", find_first}, {"rfind", "sub start? end?", find_last},
    {"index", "sub start? end?", index_first}, {"rindex", "sub start? end?", index_last}, {"count", "sub start? end?", count},
    {"join", "iterable", join}, {"format", NULL, format}, {"upper", "", upper}, {"lower", "", lower}, {"title", "", title},
    {"capitalize", "", capitalize}, {"partition", "sep", partition_first}, {"rpartition", "sep", partition_last},
    {"removeprefix", "prefix", remove_prefix}, {"removesuffix", "suffix", remove_suffix}, {"ljust", "width fillchar?", justify_left},
    {"rjust", "width fillchar?", justify_right}, {"center", "width fillchar?", center}, {"zfill", "width", zero_fill},
    {"isdigit", "", is_digit}, {"isdecimal", "", is_digit}, {"isalpha", "", is_alpha}, {"isalnum", "", is_alnum},
    {"isspace", "", is_space}, {"isupper", "", is_upper}, {"islower", "", is_lower},
};
const size_t jinja_string_method_count = sizeof jinja_string_methods / sizeof *jinja_string_methods;

/* ---- lists, dictionaries, loops ---- */

METHOD(list_count)
{
    int64_t n = 0;
    for (size_t i = 0; i < self.list->count; i++) {
        bool same;
        TRY(jinja_equal(r, self.list->items[i], a->items[0], &same));
        TRY(jinja_spend(r, 1));
        n += same;
    }
    *out = jinja_integer(n);
    return CJ_OK;
}

METHOD(list_index)
{
    for (size_t i = 0; i < self.list->count; i++) {
        bool same;
        TRY(jinja_equal(r, self.list->items[i], a->items[0], &same));
        TRY(jinja_spend(r, 1));
        if (!same) continue;
        *out = jinja_integer((int64_t)i);
        return CJ_OK;
    }
    return jinja_wrong_arguments(r, "index", "not found");
}

METHOD(list_copy)
{
    const jinja_value part[3] = {jinja_none(), jinja_none(), jinja_none()};
    return jinja_slice(r, self, part, out);
}

METHOD(dict_items) { return jinja_dict_view(r, self.dict, JINJA_ITEMS, out); }
METHOD(dict_keys) { return jinja_dict_view(r, self.dict, JINJA_KEYS, out); }
METHOD(dict_values) { return jinja_dict_view(r, self.dict, JINJA_VALUES, out); }

METHOD(dict_get)
{
    jinja_value *found;
    TRY(jinja_dict_find(r, self.dict, a->items[0], &found));
    *out = found ? *found : a->items[1].kind == JINJA_ABSENT ? jinja_none() : a->items[1];
    return CJ_OK;
}

METHOD(dict_copy)
{
    *out = self; /* it cannot change: one will do */
    return CJ_OK;
}

METHOD(loop_cycle)
{
    if (!a->count) return jinja_wrong_arguments(r, "loop.cycle", "(...)");
    *out = a->items[(size_t)self.loop->index % a->count];
    return CJ_OK;
}

METHOD(loop_changed)
{
    jinja_list *now;
    bool same = self.loop->changed.kind == JINJA_LIST;
    TRY(jinja_list_new(&r->work, a->count, JINJA_TUPLE, &now));
    for (size_t i = 0; i < a->count; i++) TRY(jinja_list_add(&r->work, now, a->items[i]));
    if (same) TRY(jinja_equal(r, self.loop->changed, jinja_list_value(now), &same));
    self.loop->changed = jinja_list_value(now);
    *out = jinja_boolean(!same);
    return CJ_OK;
}

static const jinja_builtin list_methods[] = {{"count", "value", list_count}, {"index", "value", list_index}, {"copy", "", list_copy}};
static const jinja_builtin dict_methods[] = {
    {"get", "key default?", dict_get}, {"items", "", dict_items}, {"keys", "", dict_keys}, {"values", "", dict_values},
    {"copy", "", dict_copy},
};
static const jinja_builtin loop_methods[] = {{"cycle", NULL, loop_cycle}, {"changed", NULL, loop_changed}};

#define FIND(table, name) jinja_builtin_find(table, sizeof(table) / sizeof *(table), name)

const jinja_builtin *jinja_method_find(jinja_value v, jinja_value name, bool *unsafe)
{
    static const char *const forbidden[] = {"clear", "pop", "popitem", "setdefault", "update", "fromkeys"};
    *unsafe = false;
    switch ((jinja_kind)v.kind) {
    case JINJA_STRING: return jinja_builtin_find(jinja_string_methods, jinja_string_method_count, name);
    case JINJA_LOOP: return FIND(loop_methods, name);
    case JINJA_LIST: {
        const jinja_builtin *b = v.list->form <= JINJA_RANGE ? FIND(list_methods, name) : NULL;
        return b && v.list->form != JINJA_PLAIN && b->code == list_copy ? NULL : b;
    }
    case JINJA_DICT:
        for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) *unsafe |= jinja_text_is(name, forbidden[i]);
        return FIND(dict_methods, name);
    default: return NULL;
    }
}

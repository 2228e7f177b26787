/* Equality, order, membership, sorting: Python's rules. Containers cost a step for each item compared, because nested ones can
 * hold the same list many times over. */
#include <math.h>

#include "token/jinja_lexer.h"
#include "token/jinja_run.h"

/* ---- equality ---- */

static cj_err equal_lists(jinja_run *r, const jinja_list *a, const jinja_list *b, bool *out)
{
    bool tuples = a->form == JINJA_TUPLE, same = tuples == (b->form == JINJA_TUPLE) && a->count == b->count;
    if (a->form >= JINJA_KEYS || b->form >= JINJA_KEYS || (a->form == JINJA_RANGE) != (b->form == JINJA_RANGE)) same = a == b;
    if (same && a != b)
        for (size_t i = 0; i < a->count && same; i++) TRY(jinja_equal(r, a->items[i], b->items[i], &same));
    *out = same;
    return CJ_OK;
}

static cj_err equal_dicts(jinja_run *r, const jinja_dict *a, const jinja_dict *b, bool *out)
{
    *out = a->count == b->count;
    for (size_t i = 0; a != b && i < a->count && *out; i++) {
        jinja_value *other;
        TRY(jinja_dict_find(r, b, a->entries[i].key, &other));
        *out = other != NULL;
        if (other) TRY(jinja_equal(r, a->entries[i].value, *other, out));
    }
    return CJ_OK;
}

/* -1, 0, 1 for numbers; 2 when one is not a number. Exact where a double cannot hold the integer. */
static int order_numbers(jinja_value a, jinja_value b)
{
    long double x = a.kind == JINJA_FLOAT ? (long double)a.real : (long double)jinja_whole(a);
    long double y = b.kind == JINJA_FLOAT ? (long double)b.real : (long double)jinja_whole(b);
    if (isnan(x) || isnan(y)) return 2;
    return x < y ? -1 : x > y;
}

cj_err jinja_equal(jinja_run *r, jinja_value a, jinja_value b, bool *out)
{
    *out = false;
    if (jinja_is_number(a) && jinja_is_number(b)) {
        *out = order_numbers(a, b) == 0;
        return CJ_OK;
    }
    if (a.kind != b.kind) return CJ_OK;
    switch ((jinja_kind)a.kind) {
    case JINJA_UNDEFINED: case JINJA_NONE: *out = true; return CJ_OK;
    case JINJA_STRING:
        TRY(jinja_spend(r, a.size == b.size ? a.size / 64 : 0));
        *out = a.size == b.size && !memcmp(a.text, b.text, a.size);
        return CJ_OK;
    case JINJA_LIST: case JINJA_DICT: {
        TRY(jinja_enter(r));
        if (a.kind == JINJA_LIST) TRY(equal_lists(r, a.list, b.list, out));
        else TRY(equal_dicts(r, a.dict, b.dict, out));
        r->depth--;
        return CJ_OK;
    }
    case JINJA_FUNCTION:
        *out = a.function == b.function;
        return CJ_OK;
    default: *out = a.dict == b.dict; return CJ_OK; /* the same object */
    }
}

/* ---- order ---- */

static int order_text(jinja_value a, jinja_value b)
{
    size_t n = a.size < b.size ? a.size : b.size;
    int c = n ? memcmp(a.text, b.text, n) : 0; /* the order of UTF-8 bytes is the order of code points */
    return c ? (c < 0 ? -1 : 1) : a.size < b.size ? -1 : a.size > b.size;
}

static cj_err order(jinja_run *r, int op, jinja_value a, jinja_value b, int *out);

/* The first items that differ decide. */
static cj_err order_lists(jinja_run *r, int op, const jinja_list *a, const jinja_list *b, int *out)
{
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        bool same;
        TRY(jinja_equal(r, a->items[i], b->items[i], &same));
        if (!same) return order(r, op, a->items[i], b->items[i], out);
    }
    *out = a->count < b->count ? -1 : a->count > b->count;
    return CJ_OK;
}

/* -1, 0, 1, or 2 when neither is smaller (not a number). */
static cj_err order(jinja_run *r, int op, jinja_value a, jinja_value b, int *out)
{
    if (jinja_is_number(a) && jinja_is_number(b)) *out = order_numbers(a, b);
    else if (a.kind == JINJA_STRING && b.kind == JINJA_STRING) {
        TRY(jinja_spend(r, (a.size < b.size ? a.size : b.size) / 64));
        *out = order_text(a, b);
    } else if (a.kind == JINJA_LIST && b.kind == JINJA_LIST && a.list->form == b.list->form && a.list->form <= JINJA_TUPLE) {
        TRY(jinja_enter(r));
        TRY(order_lists(r, op, a.list, b.list, out));
        r->depth--;
    } else
        return jinja_wrong_types(r, jinja_token_name((jinja_token_type)op), a, b);
    return CJ_OK;
}

cj_err jinja_compare(jinja_run *r, int op, jinja_value a, jinja_value b, bool *out)
{
    if (op == JINJA_T_EQ || op == JINJA_T_NE) {
        TRY(jinja_equal(r, a, b, out));
        *out ^= op == JINJA_T_NE;
        return CJ_OK;
    }
    int c;
    TRY(order(r, op, a, b, &c));
    *out = op == JINJA_T_LT ? c == -1 : op == JINJA_T_LE ? c == -1 || c == 0 : op == JINJA_T_GT ? c == 1 : c == 1 || c == 0;
    return CJ_OK;
}

/* ---- membership ---- */

cj_err jinja_contains(jinja_run *r, jinja_value container, jinja_value v, bool *out)
{
    *out = false;
    if (container.kind == JINJA_UNDEFINED) return CJ_OK;
    if (container.kind == JINJA_STRING) {
        if (v.kind != JINJA_STRING) return jinja_wrong_types(r, "in", v, container);
        TRY(jinja_spend_search(r, container, v, false));
        *out = jinja_find(container, v, 0, container.size, false) != SIZE_MAX;
        return CJ_OK;
    }
    if (container.kind == JINJA_DICT) {
        jinja_value *found;
        TRY(jinja_dict_find(r, container.dict, v, &found));
        *out = found != NULL;
        return CJ_OK;
    }
    if (container.kind != JINJA_LIST && container.kind != JINJA_LOOP) return jinja_wrong_types(r, "in", v, container);
    jinja_list *items;
    TRY(jinja_items(r, container, &items));
    TRY(jinja_spend(r, items->count / 4));
    for (size_t i = 0; i < items->count && !*out; i++) TRY(jinja_equal(r, items->items[i], v, out));
    return CJ_OK;
}

/* ---- sorting ---- */

typedef struct pair { jinja_value key, item; } pair;

/* Merges from[lo..mid) and from[mid..hi) into to. The right side goes first only when it is strictly before the left. */
static cj_err merge(jinja_run *r, const pair *from, pair *to, size_t lo, size_t mid, size_t hi, bool reverse)
{
    size_t a = lo, b = mid;
    for (size_t i = lo; i < hi; i++) {
        bool right = a == mid;
        if (!right && b < hi) {
            if (reverse) TRY(jinja_compare(r, JINJA_T_LT, from[a].key, from[b].key, &right));
            else TRY(jinja_compare(r, JINJA_T_LT, from[b].key, from[a].key, &right));
            TRY(jinja_spend(r, 1));
        }
        to[i] = right ? from[b++] : from[a++];
    }
    return CJ_OK;
}

cj_err jinja_sort(jinja_run *r, jinja_value *items, jinja_value *keys, size_t count, bool reverse)
{
    void *memory;
    if (!count) return CJ_OK;
    TRY(jinja_take(&r->work, 2 * count * sizeof(pair), &memory));
    pair *from = memory, *to = from + count;
    for (size_t i = 0; i < count; i++) from[i] = (pair){keys[i], items[i]};
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t lo = 0; lo < count; lo += 2 * width) {
            size_t mid = lo + width < count ? lo + width : count, hi = lo + 2 * width < count ? lo + 2 * width : count;
            TRY(merge(r, from, to, lo, mid, hi, reverse));
        }
        pair *swap = from;
        from = to;
        to = swap;
    }
    for (size_t i = 0; i < count; i++) {
        keys[i] = from[i].key;
        items[i] = from[i].item;
    }
    return CJ_OK;
}

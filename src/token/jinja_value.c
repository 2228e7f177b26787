/* Memory of the template language, and what needs nothing but a value: truth, names of types, lists. */
#include "token/jinja_value.h"

enum { CHUNK = 64 * 1024 - MEM_ALIGN };

void jinja_work_init(jinja_work *w, size_t max_bytes, cj_diag *d)
{
    *w = (jinja_work){.diag = d, .line = 1};
    arena_init(&w->arena, max_bytes);
}

void jinja_work_deinit(jinja_work *w) { arena_deinit(&w->arena); }

/* Makes room for `bytes` at top. The rest of the old chunk is given up. */
static cj_err refill(jinja_work *w, size_t bytes)
{
    size_t left = w->arena.max_bytes - w->arena.used;
    if (bytes > left) return jinja_fail(w, CJ_E_LIMIT, MSG_TEMPLATE_MEMORY, "%zu", w->arena.max_bytes);
    size_t want = bytes < CHUNK ? CHUNK : bytes + bytes / 2; /* long texts tend to be appended to */
    if (want > left) want = bytes;
    char *p = arena_alloc(&w->arena, want);
    if (!p) return diag_nomem(w->diag, want);
    w->top = p;
    w->end = p + want;
    return CJ_OK;
}

cj_err jinja_take(jinja_work *w, size_t bytes, void **out)
{
    size_t pad = (size_t)(-(intptr_t)w->top) & 15;
    if (!w->top || (size_t)(w->end - w->top) < pad || (size_t)(w->end - w->top) - pad < bytes) {
        TRY(refill(w, bytes));
        pad = 0; /* chunks are aligned */
    }
    *out = w->top + pad;
    w->top += pad + bytes;
    return CJ_OK;
}

cj_err jinja_take_text(jinja_work *w, size_t bytes, char **out)
{
    if (!w->top || (size_t)(w->end - w->top) < bytes) TRY(refill(w, bytes));
    *out = w->top;
    w->top += bytes;
    return CJ_OK;
}

cj_err jinja_grow(jinja_work *w, void **items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) return CJ_OK;
    size_t more = *capacity ? *capacity * 2 : 4, bytes;
    if (!size_mul(more, size, &bytes)) return diag_nomem(w->diag, SIZE_MAX);
    void *p;
    TRY(jinja_take(w, bytes, &p));
    if (count) memcpy(p, *items, count * size);
    *items = p;
    *capacity = more;
    return CJ_OK;
}

const char *jinja_kind_name(jinja_kind kind)
{
    static const char *const names[] = {
        [JINJA_ABSENT] = "nothing", [JINJA_UNDEFINED] = "undefined", [JINJA_NONE] = "none", [JINJA_BOOLEAN] = "boolean",
        [JINJA_INTEGER] = "integer", [JINJA_FLOAT] = "float", [JINJA_STRING] = "string", [JINJA_LIST] = "list",
        [JINJA_DICT] = "mapping", [JINJA_NAMESPACE] = "namespace", [JINJA_FUNCTION] = "function", [JINJA_MACRO] = "macro",
        [JINJA_LOOP] = "loop",
    };
    return names[kind];
}

const char *jinja_type_name(jinja_value v)
{
    static const char *const forms[] = {
        [JINJA_PLAIN] = "list", [JINJA_TUPLE] = "tuple", [JINJA_RANGE] = "range", [JINJA_KEYS] = "keys",
        [JINJA_VALUES] = "values", [JINJA_ITEMS] = "items", [JINJA_ITERATOR] = "iterator",
    };
    return v.kind == JINJA_LIST ? forms[v.list->form] : jinja_kind_name((jinja_kind)v.kind);
}

bool jinja_truth(jinja_value v)
{
    switch ((jinja_kind)v.kind) {
    case JINJA_ABSENT: case JINJA_UNDEFINED: case JINJA_NONE: return false;
    case JINJA_BOOLEAN: return v.truth;
    case JINJA_INTEGER: return v.integer != 0;
    case JINJA_FLOAT: return v.real != 0;
    case JINJA_STRING: return v.size != 0;
    case JINJA_LIST: return v.list->count != 0 || v.list->form == JINJA_ITERATOR;
    case JINJA_DICT: return v.dict->count != 0;
    case JINJA_NAMESPACE: case JINJA_FUNCTION: case JINJA_MACRO: case JINJA_LOOP: break;
    }
    return true;
}

cj_err jinja_list_new(jinja_work *w, size_t capacity, jinja_form form, jinja_list **out)
{
    void *p;
    size_t bytes;
    if (!size_mul(capacity, sizeof(jinja_value), &bytes) || !size_add(bytes, sizeof(jinja_list), &bytes))
        return diag_nomem(w->diag, SIZE_MAX);
    TRY(jinja_take(w, bytes, &p));
    jinja_list *list = p;
    *list = (jinja_list){.items = (jinja_value *)(list + 1), .capacity = capacity, .form = form};
    *out = list;
    return CJ_OK;
}

cj_err jinja_list_add(jinja_work *w, jinja_list *list, jinja_value v)
{
    void *items = list->items;
    TRY(jinja_grow(w, &items, list->count, &list->capacity, sizeof v));
    list->items = items;
    list->items[list->count++] = v;
    return CJ_OK;
}

cj_err jinja_dict_new(jinja_work *w, size_t capacity, jinja_dict **out)
{
    void *p;
    size_t bytes;
    if (!size_mul(capacity, sizeof(jinja_entry), &bytes) || !size_add(bytes, sizeof(jinja_dict), &bytes))
        return diag_nomem(w->diag, SIZE_MAX);
    TRY(jinja_take(w, bytes, &p));
    jinja_dict *dict = p;
    *dict = (jinja_dict){.entries = (jinja_entry *)(dict + 1), .capacity = capacity};
    *out = dict;
    return CJ_OK;
}

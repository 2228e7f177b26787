/* The global functions: range, dict, namespace, joiner, and the two that transformers adds. */
#include <stdio.h>

#include "base/clock.h"
#include "token/jinja_number.h"
#include "token/jinja_run.h"

#define GLOBAL(name) static cj_err name(jinja_run *r, jinja_value self, const jinja_arguments *a, jinja_value *out)

enum { RANGE_MAX = 100000 }; /* as Jinja's sandbox */

GLOBAL(raise_exception)
{
    jinja_value message;
    TRY(jinja_string(r, a->items[0], &message));
    return jinja_fail(&r->work, CJ_E_INPUT, MSG_TEMPLATE_RAISED, "%.*s", jinja_shown_length(message.text, message.size, 600), message.text);
}

GLOBAL(strftime_now)
{
    jinja_value format;
    char pattern[256], text[1024];
    struct tm local;
    const struct tm *now = r->now;
    TRY(jinja_argument_text(r, a, 0, NULL, &format));
    if (format.size >= sizeof pattern) return jinja_wrong_arguments(r, "strftime_now", "format");
    memcpy(pattern, format.text, format.size);
    pattern[format.size] = 0;
    if (!now) {
        clock_calendar(&local);
        now = &local;
    }
    size_t n = jinja_time_format(text, sizeof text, pattern, now);
    char *copy;
    TRY(jinja_take_text(&r->work, n, &copy));
    memcpy(copy, text, n);
    *out = jinja_text(copy, n);
    return utf8_valid_prefix(text, n) == n ? CJ_OK : jinja_wrong_arguments(r, "strftime_now", "format");
}

GLOBAL(range)
{
    int64_t start = 0, stop, step = 1;
    jinja_list *list;
    TRY(jinja_argument_integer(r, a, 0, 0, &stop));
    if (a->items[1].kind != JINJA_ABSENT) {
        start = stop;
        TRY(jinja_argument_integer(r, a, 1, 0, &stop));
        TRY(jinja_argument_integer(r, a, 2, 1, &step));
    }
    if (!step) return jinja_wrong_arguments(r, "range", "step 0");
    /* Unsigned: the distance of two int64 fits, and so does its quotient. */
    uint64_t span = step > 0 ? (stop > start ? (uint64_t)stop - (uint64_t)start : 0) : start > stop ? (uint64_t)start - (uint64_t)stop : 0;
    uint64_t stride = step > 0 ? (uint64_t)step : 0 - (uint64_t)step, count = span ? (span - 1) / stride + 1 : 0;
    if (count > RANGE_MAX) return jinja_fail(&r->work, CJ_E_LIMIT, MSG_TEMPLATE_RANGE, "%d", RANGE_MAX);
    TRY(jinja_spend(r, count / 8));
    TRY(jinja_list_new(&r->work, count, JINJA_RANGE, &list));
    for (uint64_t i = 0; i < count; i++) list->items[i] = jinja_integer((int64_t)((uint64_t)start + i * (uint64_t)step));
    list->count = count;
    list->start = start;
    list->stop = stop;
    list->step = step;
    *out = jinja_list_value(list);
    return CJ_OK;
}

/* dict(other, a=1) and namespace(other, a=1): a copy with more members. `other` may be a list of pairs. */
static cj_err make_dict(jinja_run *r, const jinja_arguments *a, jinja_dict **d)
{
    TRY(jinja_dict_new(&r->work, a->keyword_count, d));
    if (a->count > 1) return jinja_wrong_arguments(r, "dict", "too many");
    if (a->count && a->items[0].kind == JINJA_DICT) {
        const jinja_dict *from = a->items[0].dict;
        for (size_t i = 0; i < from->count; i++) TRY(jinja_dict_set(r, *d, from->entries[i].key, from->entries[i].value));
    } else if (a->count) {
        jinja_list *pairs, *pair;
        TRY(jinja_items(r, a->items[0], &pairs));
        for (size_t i = 0; i < pairs->count; i++) {
            TRY(jinja_items(r, pairs->items[i], &pair));
            if (pair->count != 2) return jinja_wrong_arguments(r, "dict", "pairs");
            TRY(jinja_dict_set(r, *d, pair->items[0], pair->items[1]));
        }
    }
    for (size_t i = 0; i < a->keyword_count; i++) TRY(jinja_dict_set(r, *d, a->keywords[i].name, a->keywords[i].value));
    return CJ_OK;
}

GLOBAL(dict)
{
    *out = (jinja_value){.kind = JINJA_DICT};
    return make_dict(r, a, &out->dict);
}

GLOBAL(space)
{
    *out = (jinja_value){.kind = JINJA_NAMESPACE};
    return make_dict(r, a, &out->dict);
}

/* Gives nothing the first time it is called, the separator afterwards: self is a list of one, emptied by the first call. */
GLOBAL(join_next)
{
    *out = self.list->count > 1 ? jinja_text("", 0) : self.list->items[0];
    self.list->count = 1;
    return CJ_OK;
}

GLOBAL(joiner)
{
    static const jinja_builtin next = {"joiner", "", join_next};
    jinja_list *state;
    TRY(jinja_list_new(&r->work, 2, JINJA_PLAIN, &state));
    state->items[0] = a->items[0].kind == JINJA_ABSENT ? jinja_literal(", ") : a->items[0];
    state->items[1] = jinja_none();
    state->count = 2;
    return jinja_bind(r, &next, jinja_list_value(state), out);
}

static const jinja_builtin globals[] = {
    {"raise_exception", "message", raise_exception}, {"strftime_now", "format", strftime_now}, {"range", "start stop? step?", range},
    {"dict", NULL, dict}, {"namespace", NULL, space}, {"joiner", "sep?", joiner},
};

const jinja_builtin *jinja_global_find(jinja_value name)
{
    return jinja_builtin_find(globals, sizeof globals / sizeof *globals, name);
}

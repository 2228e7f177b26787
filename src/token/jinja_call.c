/* Calls: evaluating arguments, binding them to parameters, builtins and macros. */
#include "token/jinja_lexer.h"
#include "token/jinja_run.h"

cj_err jinja_wrong_arguments(jinja_run *r, const char *function, const char *why)
{
    return jinja_fail(&r->work, CJ_E_INPUT, MSG_TEMPLATE_ARGUMENTS, "%s" ARG "%s", function, why);
}

/* ---- evaluating ---- */

typedef struct collected {
    jinja_list *items;
    jinja_keyword *keywords;
    size_t count, capacity;
} collected;

static cj_err add_keyword(jinja_run *r, collected *c, jinja_value name, jinja_value v)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->keywords[i].name.size == name.size && !memcmp(c->keywords[i].name.text, name.text, name.size))
            return jinja_fail(&r->work, CJ_E_INPUT, MSG_TEMPLATE_ARGUMENTS, "(...)" ARG "%.*s=, %.*s=",
                              JINJA_SHOW(name.text, name.size), JINJA_SHOW(name.text, name.size));
    void *keywords = c->keywords;
    TRY(jinja_grow(&r->work, &keywords, c->count, &c->capacity, sizeof *c->keywords));
    c->keywords = keywords;
    c->keywords[c->count++] = (jinja_keyword){name, v};
    return CJ_OK;
}

static cj_err spread_list(jinja_run *r, collected *c, jinja_value v)
{
    jinja_list *list;
    TRY(jinja_items(r, v, &list));
    for (size_t i = 0; i < list->count; i++) TRY(jinja_list_add(&r->work, c->items, list->items[i]));
    return CJ_OK;
}

static cj_err spread_dict(jinja_run *r, collected *c, jinja_value v)
{
    if (v.kind != JINJA_DICT) return jinja_wrong_type(r, "**", v);
    for (size_t i = 0; i < v.dict->count; i++) {
        if (v.dict->entries[i].key.kind != JINJA_STRING) return jinja_wrong_type(r, "**", v.dict->entries[i].key);
        TRY(add_keyword(r, c, v.dict->entries[i].key, v.dict->entries[i].value));
    }
    return CJ_OK;
}

cj_err jinja_arguments_evaluate(jinja_run *r, const jinja_node *list, jinja_arguments *out)
{
    *out = (jinja_arguments){0};
    if (!list) return CJ_OK;
    collected c = {0};
    TRY(jinja_list_new(&r->work, 0, JINJA_PLAIN, &c.items));
    for (const jinja_node *n = list; n; n = n->next) {
        jinja_value v;
        TRY(jinja_evaluate(r, n->left, &v));
        r->work.line = n->line;
        if (n->op == JINJA_T_MUL) TRY(spread_list(r, &c, v));
        else if (n->op == JINJA_T_POW) TRY(spread_dict(r, &c, v));
        else if (n->value.kind == JINJA_STRING) TRY(add_keyword(r, &c, n->value, v));
        else TRY(jinja_list_add(&r->work, c.items, v));
    }
    *out = (jinja_arguments){c.items->items, c.items->count, c.keywords, c.count};
    return CJ_OK;
}

/* ---- builtins ---- */

/* Steps through "old new count?": the next name, its length, whether it can be left out. */
static bool next_parameter(const char **spec, const char **name, size_t *n, bool *optional)
{
    while (**spec == ' ') ++*spec;
    if (!**spec) return false;
    *name = *spec;
    *n = strcspn(*spec, "? ");
    *optional = (*spec)[*n] == '?';
    *spec += *n + *optional;
    return true;
}

static const jinja_keyword *find_keyword(const jinja_arguments *a, const char *name, size_t n)
{
    for (size_t i = 0; i < a->keyword_count; i++)
        if (a->keywords[i].name.size == n && !memcmp(a->keywords[i].name.text, name, n)) return &a->keywords[i];
    return NULL;
}

static cj_err bind_parameters(jinja_run *r, const jinja_builtin *b, const jinja_arguments *a, jinja_value *slots, size_t *count)
{
    const char *spec = b->parameters, *name;
    size_t n, used = 0;
    bool optional;
    for (*count = 0; next_parameter(&spec, &name, &n, &optional); ++*count) {
        const jinja_keyword *k = find_keyword(a, name, n);
        jinja_value *slot = &slots[*count];
        if (*count < a->count) {
            if (k) return jinja_wrong_arguments(r, b->name, b->parameters);
            *slot = a->items[*count];
        } else if (k) {
            *slot = k->value;
            used++;
        } else if (optional)
            *slot = (jinja_value){0};
        else
            return jinja_wrong_arguments(r, b->name, b->parameters);
    }
    return a->count > *count || used < a->keyword_count ? jinja_wrong_arguments(r, b->name, b->parameters) : CJ_OK;
}

cj_err jinja_invoke(jinja_run *r, const jinja_builtin *b, jinja_value self, const jinja_arguments *a, jinja_value *out)
{
    TRY(jinja_enter(r));
    if (b->parameters) {
        jinja_value slots[JINJA_PARAMETERS_MAX];
        jinja_arguments bound = {.items = slots};
        TRY(bind_parameters(r, b, a, slots, &bound.count));
        TRY(b->code(r, self, &bound, out));
    } else
        TRY(b->code(r, self, a, out));
    r->depth--;
    return CJ_OK;
}

cj_err jinja_bind(jinja_run *r, const jinja_builtin *b, jinja_value self, jinja_value *out)
{
    void *p;
    TRY(jinja_take(&r->work, sizeof(jinja_function), &p));
    jinja_function *f = p;
    *f = (jinja_function){b, self};
    *out = (jinja_value){.kind = JINJA_FUNCTION, .function = f};
    return CJ_OK;
}

cj_err jinja_argument_integer(jinja_run *r, const jinja_arguments *a, size_t i, int64_t absent, int64_t *out)
{
    jinja_value v = a->items[i];
    if (v.kind == JINJA_ABSENT) *out = absent;
    else if (jinja_is_whole(v)) *out = jinja_whole(v);
    else return jinja_wrong_type(r, "integer", v);
    return CJ_OK;
}

cj_err jinja_argument_text(jinja_run *r, const jinja_arguments *a, size_t i, const char *absent, jinja_value *out)
{
    *out = a->items[i];
    if (out->kind == JINJA_STRING) return CJ_OK;
    if (out->kind != JINJA_ABSENT || !absent) return jinja_wrong_type(r, "string", *out);
    *out = jinja_literal(absent);
    return CJ_OK;
}

/* ---- macros ---- */

/* The arguments of a macro call on their way to its parameters. */
typedef struct incoming {
    const jinja_arguments *a;
    size_t next;          /* positional, not yet taken */
    size_t keywords_used; /* counts them */
} incoming;

static cj_err take_parameter(jinja_run *r, const jinja_node *parameter, incoming *in)
{
    const jinja_keyword *k = find_keyword(in->a, parameter->value.text, parameter->value.size);
    jinja_value v;
    if (in->next < in->a->count) {
        v = in->a->items[in->next++];
        k = NULL; /* a keyword of the same name is one too many */
    } else if (k) {
        v = k->value;
        in->keywords_used++;
    } else if (parameter->left)
        TRY(jinja_evaluate(r, parameter->left, &v));
    else
        v = jinja_undefined(parameter->value.text, parameter->value.size, JINJA_VARIABLE);
    return jinja_scope_set(r, r->scope, parameter->name, v);
}

static cj_err take_caller(jinja_run *r, incoming *in)
{
    const jinja_keyword *k = find_keyword(in->a, "caller", 6);
    in->keywords_used += k != NULL;
    return jinja_scope_set(r, r->scope, r->program->caller, k ? k->value : jinja_missing("caller"));
}

/* kwargs: those keywords that no parameter took. */
static cj_err take_keywords(jinja_run *r, const jinja_node *macro, incoming *in)
{
    jinja_dict *d;
    TRY(jinja_dict_new(&r->work, 0, &d));
    for (size_t i = 0; i < in->a->keyword_count; i++) {
        jinja_value name = in->a->keywords[i].name;
        bool taken = macro->takes_caller && jinja_text_is(name, "caller");
        size_t position = 0;
        for (const jinja_node *p = macro->items; p && !taken; p = p->next, position++)
            taken = position >= in->a->count && p->value.size == name.size && !memcmp(p->value.text, name.text, name.size);
        if (!taken) TRY(jinja_dict_set(r, d, name, in->a->keywords[i].value));
    }
    in->keywords_used = in->a->keyword_count;
    return jinja_scope_set(r, r->scope, r->program->keywords, (jinja_value){.kind = JINJA_DICT, .dict = d});
}

static cj_err take_rest(jinja_run *r, incoming *in)
{
    jinja_list *rest;
    TRY(jinja_list_new(&r->work, in->a->count - in->next, JINJA_TUPLE, &rest));
    while (in->next < in->a->count) TRY(jinja_list_add(&r->work, rest, in->a->items[in->next++]));
    return jinja_scope_set(r, r->scope, r->program->rest, jinja_list_value(rest));
}

static cj_err call_macro(jinja_run *r, const jinja_macro *m, const jinja_arguments *a, jinja_value *out)
{
    const jinja_node *n = m->node;
    jinja_scope *before = r->scope;
    incoming in = {.a = a};
    TRY(jinja_enter(r));
    TRY(jinja_scope_new(r, m->scope, &r->scope));
    for (const jinja_node *p = n->items; p; p = p->next) TRY(take_parameter(r, p, &in));
    if (n->takes_caller) TRY(take_caller(r, &in));
    if (n->takes_keywords) TRY(take_keywords(r, n, &in));
    if (n->takes_rest) TRY(take_rest(r, &in));
    if (in.next < a->count || in.keywords_used < a->keyword_count) {
        jinja_value name = n->name ? jinja_text(n->name->text, n->name->size) : jinja_literal("caller");
        return jinja_fail(&r->work, CJ_E_INPUT, MSG_TEMPLATE_ARGUMENTS, "%.*s" ARG "%s", JINJA_SHOW(name.text, name.size),
                          in.next < a->count ? "too many" : "unknown keyword");
    }
    TRY(jinja_capture(r, n->body, out));
    r->scope = before;
    r->depth--;
    return CJ_OK;
}

cj_err jinja_call(jinja_run *r, jinja_value callee, const jinja_arguments *a, jinja_value *out)
{
    switch ((jinja_kind)callee.kind) {
    case JINJA_FUNCTION: return jinja_invoke(r, callee.function->builtin, callee.function->self, a, out);
    case JINJA_MACRO: return call_macro(r, callee.macro, a, out);
    default: return jinja_wrong_type(r, "(...)", callee);
    }
}

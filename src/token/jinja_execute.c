/* Statements. A body is a list of nodes; break and continue travel upwards in r->flow. On an error nothing is put back in
 * order (depth, scope): the render is over. */
#include <stdio.h>

#include "token/jinja_run.h"

/* ---- scopes ---- */

cj_err jinja_scope_new(jinja_run *r, jinja_scope *outer, jinja_scope **out)
{
    void *p;
    TRY(jinja_take(&r->work, sizeof(jinja_scope), &p));
    jinja_scope *s = p;
    *s = (jinja_scope){.outer = outer};
    *out = s;
    return CJ_OK;
}

cj_err jinja_scope_set(jinja_run *r, jinja_scope *s, const jinja_name *name, jinja_value v)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->variables[i].name == name) {
            s->variables[i].value = v;
            return CJ_OK;
        }
    void *variables = s->variables;
    TRY(jinja_grow(&r->work, &variables, s->count, &s->capacity, sizeof *s->variables));
    s->variables = variables;
    s->variables[s->count++] = (jinja_variable){name, v};
    return CJ_OK;
}

static cj_err assign(jinja_run *r, const jinja_node *target, jinja_value v);

static cj_err unpack(jinja_run *r, const jinja_node *target, jinja_value v)
{
    jinja_list *items;
    TRY(jinja_items(r, v, &items));
    size_t want = 0;
    for (const jinja_node *t = target->items; t; t = t->next) want++;
    if (want != items->count) {
        char why[80];
        snprintf(why, sizeof why, "%zu names, %zu items", want, items->count);
        return jinja_wrong_arguments(r, "=", why);
    }
    size_t i = 0;
    for (const jinja_node *t = target->items; t; t = t->next, i++) TRY(assign(r, t, items->items[i]));
    return CJ_OK;
}

static cj_err assign(jinja_run *r, const jinja_node *target, jinja_value v)
{
    r->work.line = target->line;
    if (target->type == JINJA_N_NAME) return jinja_scope_set(r, r->scope, target->name, v);
    if (target->type == JINJA_N_TUPLE) return unpack(r, target, v);
    jinja_value space;
    TRY(jinja_evaluate(r, target->left, &space));
    if (space.kind != JINJA_NAMESPACE) return jinja_wrong_type(r, "set ... .name", space);
    return jinja_dict_set(r, space.dict, target->value, v);
}

/* ---- captured blocks ---- */

cj_err jinja_capture(jinja_run *r, const jinja_node *body, jinja_value *out)
{
    size_t start = r->out->len;
    TRY(jinja_execute(r, body));
    size_t n = r->out->len - start;
    char *text;
    TRY(jinja_spend_bytes(r, n));
    TRY(jinja_take_text(&r->work, n, &text));
    if (n) memcpy(text, r->out->data + start, n);
    r->out->len = start;
    *out = jinja_text(text, n);
    return CJ_OK;
}

/* A block in a scope of its own, captured, through its filters if it has any. */
static cj_err capture_filtered(jinja_run *r, const jinja_node *n, jinja_value *out)
{
    jinja_scope *outer = r->scope;
    TRY(jinja_scope_new(r, outer, &r->scope));
    TRY(jinja_capture(r, n->body, out));
    if (n->left && r->flow == JINJA_ON) {
        jinja_value before = r->captured;
        r->captured = *out;
        TRY(jinja_evaluate(r, n->left, out));
        r->captured = before;
    }
    r->scope = outer;
    return CJ_OK;
}

/* A block writes text only: `{% filter length %}` is a mistake. */
static cj_err print_text(jinja_run *r, const char *tag, jinja_value v)
{
    return v.kind == JINJA_STRING ? jinja_print(r, v) : jinja_wrong_type(r, tag, v);
}

static cj_err set_block(jinja_run *r, const jinja_node *n)
{
    jinja_value v;
    TRY(capture_filtered(r, n, &v));
    return r->flow == JINJA_ON ? assign(r, n->target, v) : CJ_OK; /* a break skips the assignment */
}

static cj_err filter_block(jinja_run *r, const jinja_node *n)
{
    jinja_value v;
    TRY(capture_filtered(r, n, &v));
    return r->flow == JINJA_ON ? print_text(r, "filter", v) : CJ_OK;
}

/* ---- macros ---- */

static cj_err define(jinja_run *r, const jinja_node *n, jinja_value *out)
{
    void *p;
    TRY(jinja_take(&r->work, sizeof(jinja_macro), &p));
    jinja_macro *m = p;
    *m = (jinja_macro){n, r->scope};
    *out = (jinja_value){.kind = JINJA_MACRO, .macro = m};
    return CJ_OK;
}

static cj_err macro(jinja_run *r, const jinja_node *n)
{
    jinja_value v;
    TRY(define(r, n, &v));
    return jinja_scope_set(r, r->scope, n->name, v);
}

/* `{% call f(x) %}body{% endcall %}` is f(x, caller=body). */
static cj_err call_block(jinja_run *r, const jinja_node *n)
{
    jinja_value callee, caller, v;
    jinja_arguments a;
    TRY(define(r, n->right, &caller));
    TRY(jinja_evaluate(r, n->left->left, &callee));
    TRY(jinja_arguments_evaluate(r, n->left->items, &a));
    void *p;
    TRY(jinja_take(&r->work, (a.keyword_count + 1) * sizeof(jinja_keyword), &p));
    jinja_keyword *keywords = p;
    if (a.keyword_count) memcpy(keywords, a.keywords, a.keyword_count * sizeof *keywords);
    keywords[a.keyword_count++] = (jinja_keyword){jinja_literal("caller"), caller};
    a.keywords = keywords;
    r->work.line = n->line;
    TRY(jinja_call(r, callee, &a, &v));
    return print_text(r, "call", v);
}

/* ---- loops ---- */

/* Whether an item passes the loop's filter, which sees the loop's names but not `loop`. */
static cj_err passes(jinja_run *r, jinja_loop *loop, jinja_value v, bool *out)
{
    jinja_scope *before = r->scope;
    TRY(jinja_scope_new(r, loop->scope, &r->scope));
    TRY(assign(r, loop->node->target, v));
    TRY(jinja_evaluate(r, loop->node->right, &v));
    *out = jinja_truth(v);
    r->scope = before;
    return CJ_OK;
}

cj_err jinja_loop_peek(jinja_run *r, jinja_loop *loop)
{
    while (loop->after.kind == JINJA_ABSENT && loop->next < loop->items->count) {
        jinja_value v = loop->items->items[loop->next++];
        bool good = true;
        TRY(jinja_spend(r, 1));
        if (loop->filtered) TRY(passes(r, loop, v, &good));
        if (good) loop->after = v;
    }
    return CJ_OK;
}

cj_err jinja_loop_length(jinja_run *r, jinja_loop *loop)
{
    if (loop->length >= 0) return CJ_OK;
    jinja_list *rest; /* asking for the length filters what is left, now */
    TRY(jinja_list_new(&r->work, 0, JINJA_PLAIN, &rest));
    int64_t early = loop->after.kind != JINJA_ABSENT;
    for (; loop->next < loop->items->count; loop->next++) {
        bool good;
        TRY(passes(r, loop, loop->items->items[loop->next], &good));
        if (good) TRY(jinja_list_add(&r->work, rest, loop->items->items[loop->next]));
    }
    loop->items = rest;
    loop->next = 0;
    loop->filtered = false;
    loop->length = loop->index + 1 + early + (int64_t)rest->count;
    return CJ_OK;
}

static cj_err loop_new(jinja_run *r, const jinja_node *n, jinja_loop **out)
{
    jinja_value iterable;
    jinja_list *items;
    TRY(jinja_evaluate(r, n->left, &iterable));
    r->work.line = n->line;
    TRY(jinja_items(r, iterable, &items));
    void *p;
    TRY(jinja_take(&r->work, sizeof(jinja_loop), &p));
    jinja_loop *loop = p;
    *loop = (jinja_loop){.node = n, .items = items, .filtered = n->right != NULL, .index = -1, .scope = r->scope,
                         .length = n->right ? -1 : (int64_t)items->count};
    *out = loop;
    return CJ_OK;
}

static cj_err for_loop(jinja_run *r, const jinja_node *n)
{
    jinja_loop *loop;
    jinja_scope *outer = r->scope, *inner;
    bool finished = false; /* one iteration came to its end: in Jinja the else branch asks for that */
    TRY(loop_new(r, n, &loop));
    TRY(jinja_scope_new(r, outer, &inner));
    while (r->flow == JINJA_ON) {
        TRY(jinja_loop_peek(r, loop));
        if (loop->after.kind == JINJA_ABSENT) break;
        loop->index++;
        loop->before = loop->current;
        loop->current = loop->after;
        loop->after.kind = JINJA_ABSENT;
        inner->count = 0; /* what one iteration sets, the next does not see */
        r->scope = inner;
        if (r->program->loop) TRY(jinja_scope_set(r, inner, r->program->loop, (jinja_value){.kind = JINJA_LOOP, .loop = loop}));
        TRY(assign(r, n->target, loop->current));
        TRY(jinja_execute(r, n->body));
        r->scope = outer;
        finished |= r->flow == JINJA_ON;
        if (r->flow == JINJA_CONTINUE) r->flow = JINJA_ON;
    }
    r->flow = JINJA_ON;
    if (finished || !n->otherwise) return CJ_OK;
    inner->count = 0;
    r->scope = inner;
    TRY(jinja_execute(r, n->otherwise));
    r->scope = outer;
    return CJ_OK;
}

/* ---- the rest ---- */

static cj_err if_chain(jinja_run *r, const jinja_node *n)
{
    for (;; n = n->right) {
        jinja_value v;
        TRY(jinja_evaluate(r, n->left, &v));
        if (jinja_truth(v)) return jinja_execute(r, n->body);
        if (!n->right) return jinja_execute(r, n->otherwise);
    }
}

static cj_err with(jinja_run *r, const jinja_node *n)
{
    jinja_scope *outer = r->scope, *inner;
    TRY(jinja_scope_new(r, outer, &inner));
    for (const jinja_node *pair = n->items; pair; pair = pair->next) {
        jinja_value v;
        TRY(jinja_evaluate(r, pair->right, &v)); /* in the scope around: the names do not see each other */
        r->scope = inner;
        TRY(assign(r, pair->left, v));
        r->scope = outer;
    }
    r->scope = inner;
    TRY(jinja_execute(r, n->body));
    r->scope = outer;
    return CJ_OK;
}

static cj_err generation(jinja_run *r, const jinja_node *n)
{
    jinja_scope *outer = r->scope;
    TRY(jinja_scope_new(r, outer, &r->scope));
    TRY(jinja_execute(r, n->body));
    r->scope = outer;
    return CJ_OK;
}

static cj_err statement(jinja_run *r, const jinja_node *n)
{
    jinja_value v;
    switch (n->type) {
    case JINJA_N_TEXT: return jinja_emit(r, n->value.text, n->value.size);
    case JINJA_N_OUTPUT:
        TRY(jinja_evaluate(r, n->left, &v));
        return jinja_print(r, v);
    case JINJA_N_IF: return if_chain(r, n);
    case JINJA_N_FOR: return for_loop(r, n);
    case JINJA_N_SET:
        TRY(jinja_evaluate(r, n->left, &v));
        return assign(r, n->target, v);
    case JINJA_N_SET_BLOCK: return set_block(r, n);
    case JINJA_N_MACRO: return macro(r, n);
    case JINJA_N_CALL_BLOCK: return call_block(r, n);
    case JINJA_N_FILTER_BLOCK: return filter_block(r, n);
    case JINJA_N_WITH: return with(r, n);
    case JINJA_N_GENERATION: return generation(r, n);
    case JINJA_N_BREAK: r->flow = JINJA_BREAK; return CJ_OK;
    case JINJA_N_CONTINUE: r->flow = JINJA_CONTINUE; return CJ_OK;
    default: return diag_fail(r->work.diag, CJ_E_INTERNAL, MSG_INTERNAL, "template statement %d", (int)n->type);
    }
}

cj_err jinja_execute(jinja_run *r, const jinja_node *body)
{
    TRY(jinja_enter(r));
    for (const jinja_node *n = body; n && r->flow == JINJA_ON; n = n->next) {
        r->work.line = n->line;
        TRY(jinja_spend(r, 1));
        TRY(statement(r, n));
    }
    r->depth--;
    return CJ_OK;
}

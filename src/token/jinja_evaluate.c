/* Expressions. Every evaluation costs one step and one level, so that neither long nor deep templates run away. */
#include "token/jinja_lexer.h"
#include "token/jinja_run.h"

cj_err jinja_spend(jinja_run *r, size_t steps)
{
    if (steps <= (size_t)r->fuel) {
        r->fuel -= (int64_t)steps;
        return CJ_OK;
    }
    return jinja_fail(&r->work, CJ_E_LIMIT, MSG_TEMPLATE_FUEL, "%lld", (long long)r->limits.steps);
}

cj_err jinja_spend_bytes(jinja_run *r, size_t bytes) { return jinja_spend(r, 1 + bytes / 64); }

/* Searching forwards compares each place of the text with up to 256 bytes of `what` before it goes on cleverly; backwards it
 * never is clever. */
cj_err jinja_spend_search(jinja_run *r, jinja_value text, jinja_value what, bool last)
{
    size_t each = last || what.size < 256 ? what.size : 256, steps;
    return jinja_spend(r, size_mul(text.size / 256 + 1, each, &steps) ? steps : SIZE_MAX);
}

cj_err jinja_enter(jinja_run *r)
{
    if (r->depth >= r->limits.depth) return jinja_fail(&r->work, CJ_E_LIMIT, MSG_TEMPLATE_DEPTH, "%d", r->limits.depth);
    r->depth++;
    return jinja_spend(r, 1);
}

static cj_err name(jinja_run *r, const jinja_node *n, jinja_value *out)
{
    for (const jinja_scope *s = r->scope; s; s = s->outer)
        for (size_t i = 0; i < s->count; i++)
            if (s->variables[i].name == n->name) {
                *out = s->variables[i].value;
                return CJ_OK;
            }
    *out = r->context[n->name->index];
    if (out->kind == JINJA_ABSENT) *out = jinja_undefined(n->name->text, n->name->size, JINJA_VARIABLE);
    return CJ_OK;
}

static cj_err list(jinja_run *r, const jinja_node *n, jinja_form form, jinja_value *out)
{
    jinja_list *l;
    TRY(jinja_list_new(&r->work, 0, form, &l));
    for (const jinja_node *item = n->items; item; item = item->next) {
        jinja_value v;
        TRY(jinja_evaluate(r, item, &v));
        TRY(jinja_list_add(&r->work, l, v));
    }
    *out = jinja_list_value(l);
    return CJ_OK;
}

static cj_err dict(jinja_run *r, const jinja_node *n, jinja_value *out)
{
    jinja_dict *d;
    TRY(jinja_dict_new(&r->work, 0, &d));
    for (const jinja_node *pair = n->items; pair; pair = pair->next) {
        jinja_value key, v;
        TRY(jinja_evaluate(r, pair->left, &key));
        TRY(jinja_evaluate(r, pair->right, &v));
        r->work.line = pair->line;
        TRY(jinja_dict_set(r, d, key, v));
    }
    *out = (jinja_value){.kind = JINJA_DICT, .dict = d};
    return CJ_OK;
}

static cj_err slice(jinja_run *r, const jinja_node *n, jinja_value *out)
{
    jinja_value v, part[3];
    TRY(jinja_evaluate(r, n->left, &v));
    const jinja_node *p = n->items;
    for (int i = 0; i < 3; i++, p = p->next) TRY(jinja_evaluate(r, p, &part[i]));
    r->work.line = n->line;
    return jinja_slice(r, v, part, out);
}

static cj_err item(jinja_run *r, const jinja_node *n, jinja_value *out)
{
    jinja_value v, index;
    TRY(jinja_evaluate(r, n->left, &v));
    TRY(jinja_evaluate(r, n->right, &index));
    r->work.line = n->line;
    return jinja_item(r, v, index, out);
}

static cj_err call(jinja_run *r, const jinja_node *n, jinja_value *out)
{
    jinja_value callee;
    jinja_arguments a;
    TRY(jinja_evaluate(r, n->left, &callee));
    TRY(jinja_arguments_evaluate(r, n->items, &a));
    r->work.line = n->line;
    return jinja_call(r, callee, &a, out);
}

static cj_err filter_or_test(jinja_run *r, const jinja_node *n, jinja_value *out)
{
    jinja_value subject = r->captured;
    jinja_arguments a;
    if (n->left) TRY(jinja_evaluate(r, n->left, &subject));
    TRY(jinja_arguments_evaluate(r, n->items, &a));
    r->work.line = n->line;
    if (!n->builtin)
        return jinja_fail(&r->work, CJ_E_UNSUPPORTED, MSG_TEMPLATE_UNSUPPORTED, "%s %.*s",
                          n->type == JINJA_N_FILTER ? "|" : "is", JINJA_SHOW(n->value.text, n->value.size));
    return jinja_invoke(r, n->builtin, subject, &a, out);
}

static cj_err and_or(jinja_run *r, const jinja_node *n, jinja_value *out)
{
    TRY(jinja_evaluate(r, n->left, out));
    return jinja_truth(*out) == (n->type == JINJA_N_OR) ? CJ_OK : jinja_evaluate(r, n->right, out);
}

static cj_err binary(jinja_run *r, const jinja_node *n, jinja_value *out)
{
    jinja_value a, b;
    TRY(jinja_evaluate(r, n->left, &a));
    TRY(jinja_evaluate(r, n->right, &b));
    r->work.line = n->line;
    return jinja_binary(r, n->op, a, b, out);
}

static cj_err concat(jinja_run *r, const jinja_node *n, jinja_value *out)
{
    *out = jinja_literal("");
    for (const jinja_node *part = n->items; part; part = part->next) {
        jinja_value v;
        TRY(jinja_evaluate(r, part, &v));
        TRY(jinja_string(r, v, &v));
        v.mark = 0;
        TRY(jinja_join_text(r, *out, v, out));
    }
    return CJ_OK;
}

static cj_err comparison(jinja_run *r, const jinja_node *n, jinja_value *out)
{
    jinja_value a, b;
    bool holds = true;
    TRY(jinja_evaluate(r, n->left, &a));
    for (const jinja_node *o = n->items; o && holds; o = o->next, a = b) {
        TRY(jinja_evaluate(r, o->left, &b));
        r->work.line = o->line;
        if (o->op == JINJA_OP_IN || o->op == JINJA_OP_NOT_IN) {
            TRY(jinja_contains(r, b, a, &holds));
            holds ^= o->op == JINJA_OP_NOT_IN;
        } else
            TRY(jinja_compare(r, o->op, a, b, &holds));
    }
    *out = jinja_boolean(holds);
    return CJ_OK;
}

static cj_err conditional(jinja_run *r, const jinja_node *n, jinja_value *out)
{
    jinja_value condition;
    TRY(jinja_evaluate(r, n->right, &condition));
    if (jinja_truth(condition)) return jinja_evaluate(r, n->left, out);
    if (n->otherwise) return jinja_evaluate(r, n->otherwise, out);
    *out = jinja_missing("if without else");
    return CJ_OK;
}

static cj_err evaluate(jinja_run *r, const jinja_node *n, jinja_value *out)
{
    switch (n->type) {
    case JINJA_N_CONSTANT: *out = n->value; return CJ_OK;
    case JINJA_N_NAME: return name(r, n, out);
    case JINJA_N_LIST: return list(r, n, JINJA_PLAIN, out);
    case JINJA_N_TUPLE: return list(r, n, JINJA_TUPLE, out);
    case JINJA_N_DICT: return dict(r, n, out);
    case JINJA_N_ATTRIBUTE:
        TRY(jinja_evaluate(r, n->left, out));
        r->work.line = n->line;
        return jinja_attribute(r, *out, n->value, out);
    case JINJA_N_ITEM: return item(r, n, out);
    case JINJA_N_SLICE: return slice(r, n, out);
    case JINJA_N_CALL: return call(r, n, out);
    case JINJA_N_FILTER: case JINJA_N_TEST: return filter_or_test(r, n, out);
    case JINJA_N_UNARY:
        TRY(jinja_evaluate(r, n->left, out));
        return jinja_sign(r, n->op, *out, out);
    case JINJA_N_BINARY: return binary(r, n, out);
    case JINJA_N_AND: case JINJA_N_OR: return and_or(r, n, out);
    case JINJA_N_NOT:
        TRY(jinja_evaluate(r, n->left, out));
        *out = jinja_boolean(!jinja_truth(*out));
        return CJ_OK;
    case JINJA_N_CONCAT: return concat(r, n, out);
    case JINJA_N_COMPARE: return comparison(r, n, out);
    case JINJA_N_CONDITIONAL: return conditional(r, n, out);
    default: return diag_fail(r->work.diag, CJ_E_INTERNAL, MSG_INTERNAL, "template expression %d", (int)n->type);
    }
}

cj_err jinja_evaluate(jinja_run *r, const jinja_node *n, jinja_value *out)
{
    r->work.line = n->line;
    TRY(jinja_enter(r));
    TRY(evaluate(r, n, out));
    r->depth--;
    return CJ_OK;
}

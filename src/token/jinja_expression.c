/* The parser's first half: expressions, in the order of precedence of Jinja (from the loosest): if-else; or; and; not;
 * comparisons, in; + -; ~; * / // %; **; signs; calls, attributes, items; filters and tests. */
#include "base/hash.h"
#include "token/jinja_builtin.h"
#include "token/jinja_parser.h"

/* ---- tokens and nodes ---- */

cj_err jinja_node_new(jinja_parser *p, jinja_node_type type, jinja_node **out)
{
    void *memory;
    p->work->line = p->now->line;
    TRY(jinja_take(p->work, sizeof(jinja_node), &memory));
    jinja_node *n = memory;
    *n = (jinja_node){.type = type, .line = p->now->line, .value = jinja_none()};
    *out = n;
    return CJ_OK;
}

cj_err jinja_name_get(jinja_parser *p, jinja_value text, const jinja_name **out)
{
    jinja_name **bucket = &p->buckets[hash_xxh3(text.text, text.size) % JINJA_NAME_BUCKETS];
    for (jinja_name *n = *bucket; n; n = n->bucket_next)
        if (n->size == text.size && !memcmp(n->text, text.text, text.size)) {
            *out = n;
            return CJ_OK;
        }
    void *memory;
    TRY(jinja_take(p->work, sizeof(jinja_name), &memory));
    jinja_name *n = memory;
    jinja_program *g = p->program;
    *n = (jinja_name){.text = text.text, .size = text.size, .index = g->name_count++, .next = g->names, .bucket_next = *bucket};
    *bucket = g->names = n;
    if (jinja_text_is(text, "loop")) g->loop = n;
    if (jinja_text_is(text, "caller")) g->caller = n;
    if (jinja_text_is(text, "kwargs")) g->keywords = n;
    if (jinja_text_is(text, "varargs")) g->rest = n;
    *out = n;
    return CJ_OK;
}

cj_err jinja_deeper(jinja_parser *p)
{
    if (++p->depth <= JINJA_PARSE_DEPTH) return CJ_OK;
    p->work->line = p->now->line;
    return jinja_fail(p->work, CJ_E_LIMIT, MSG_TEMPLATE_DEPTH, "%d", JINJA_PARSE_DEPTH);
}

bool jinja_skip(jinja_parser *p, jinja_token_type type)
{
    bool there = jinja_at(p, type);
    if (there) jinja_next(p);
    return there;
}

bool jinja_skip_word(jinja_parser *p, const char *word)
{
    bool there = jinja_at_word(p, word);
    if (there) jinja_next(p);
    return there;
}

cj_err jinja_unexpected(jinja_parser *p, const char *wanted)
{
    const jinja_token *t = p->now;
    p->work->line = t->line;
    bool shown = t->type == JINJA_T_NAME || (t->type == JINJA_T_CONSTANT && t->value.kind == JINJA_STRING);
    const char *name = jinja_token_name(t->type);
    jinja_value text = shown ? t->value : jinja_literal(name);
    return jinja_fail(p->work, CJ_E_INPUT, MSG_TEMPLATE_UNEXPECTED, "%.*s" ARG "%s", JINJA_SHOW(text.text, text.size), wanted);
}

cj_err jinja_expect(jinja_parser *p, jinja_token_type type)
{
    return jinja_skip(p, type) ? CJ_OK : jinja_unexpected(p, jinja_token_name(type));
}

cj_err jinja_expect_word(jinja_parser *p, const char *word)
{
    return jinja_skip_word(p, word) ? CJ_OK : jinja_unexpected(p, word);
}

/* ---- literals and names ---- */

static cj_err parse_items(jinja_parser *p, jinja_token_type closer, jinja_node **list)
{
    while (!jinja_at(p, closer)) {
        TRY(jinja_parse_expression(p, true, list));
        list = &(*list)->next;
        if (!jinja_at(p, closer)) TRY(jinja_expect(p, JINJA_T_COMMA));
    }
    return jinja_expect(p, closer);
}

static cj_err parse_dict(jinja_parser *p, jinja_node **out)
{
    TRY(jinja_node_new(p, JINJA_N_DICT, out));
    jinja_next(p);
    jinja_node **list = &(*out)->items;
    while (!jinja_at(p, JINJA_T_RBRACE)) {
        TRY(jinja_node_new(p, JINJA_N_PAIR, list));
        TRY(jinja_parse_expression(p, true, &(*list)->left));
        TRY(jinja_expect(p, JINJA_T_COLON));
        TRY(jinja_parse_expression(p, true, &(*list)->right));
        list = &(*list)->next;
        if (!jinja_at(p, JINJA_T_RBRACE)) TRY(jinja_expect(p, JINJA_T_COMMA));
    }
    return jinja_expect(p, JINJA_T_RBRACE);
}

/* Adjacent string literals are one. */
static cj_err parse_constant(jinja_parser *p, jinja_node **out)
{
    TRY(jinja_node_new(p, JINJA_N_CONSTANT, out));
    jinja_value v = p->now->value;
    jinja_next(p);
    if (v.kind == JINJA_STRING && jinja_at(p, JINJA_T_CONSTANT) && p->now->value.kind == JINJA_STRING) {
        size_t size = v.size;
        const jinja_token *first = p->now;
        for (; jinja_at(p, JINJA_T_CONSTANT) && p->now->value.kind == JINJA_STRING; jinja_next(p)) size += p->now->value.size;
        char *joined;
        TRY(jinja_take_text(p->work, size, &joined));
        memcpy(joined, v.text, v.size);
        size_t at = v.size;
        for (const jinja_token *t = first; t < p->now; t++) {
            memcpy(joined + at, t->value.text, t->value.size);
            at += t->value.size;
        }
        v = jinja_text(joined, size);
    }
    (*out)->value = v;
    return CJ_OK;
}

/* Macros take caller, kwargs and varargs only when their bodies speak of them. */
static void note_special_name(jinja_parser *p, const jinja_name *name)
{
    for (jinja_macro_frame *f = p->macro; f; f = f->outer) {
        if (name == p->program->caller) f->macro->takes_caller = true;
        if (name == p->program->keywords) f->macro->takes_keywords = true;
        if (name == p->program->rest) f->macro->takes_rest = true;
    }
}

static cj_err parse_name(jinja_parser *p, jinja_node **out)
{
    static const struct { const char *word; uint8_t kind; bool truth; } words[] = {
        {"true", JINJA_BOOLEAN, true}, {"false", JINJA_BOOLEAN, false}, {"none", JINJA_NONE, false},
        {"True", JINJA_BOOLEAN, true}, {"False", JINJA_BOOLEAN, false}, {"None", JINJA_NONE, false},
    };
    TRY(jinja_node_new(p, JINJA_N_NAME, out));
    jinja_value text = p->now->value;
    jinja_next(p);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (jinja_text_is(text, words[i].word)) {
            (*out)->type = JINJA_N_CONSTANT;
            (*out)->value = words[i].kind == JINJA_NONE ? jinja_none() : jinja_boolean(words[i].truth);
            return CJ_OK;
        }
    TRY(jinja_name_get(p, text, &(*out)->name));
    note_special_name(p, (*out)->name);
    return CJ_OK;
}

static cj_err parse_parentheses(jinja_parser *p, jinja_node **out)
{
    jinja_next(p);
    if (jinja_at(p, JINJA_T_RPAREN)) TRY(jinja_node_new(p, JINJA_N_TUPLE, out));
    else TRY(jinja_parse_tuple(p, true, NULL, out));
    return jinja_expect(p, JINJA_T_RPAREN);
}

static cj_err parse_primary(jinja_parser *p, jinja_node **out)
{
    switch (p->now->type) {
    case JINJA_T_NAME: return parse_name(p, out);
    case JINJA_T_CONSTANT: return parse_constant(p, out);
    case JINJA_T_LPAREN: return parse_parentheses(p, out);
    case JINJA_T_LBRACE: return parse_dict(p, out);
    case JINJA_T_LBRACKET:
        TRY(jinja_node_new(p, JINJA_N_LIST, out));
        jinja_next(p);
        return parse_items(p, JINJA_T_RBRACKET, &(*out)->items);
    default: return jinja_unexpected(p, "an expression");
    }
}

/* ---- what follows a value: attributes, items, calls ---- */

static cj_err parse_attribute(jinja_parser *p, jinja_node **node)
{
    jinja_node *n, *index;
    TRY(jinja_node_new(p, JINJA_N_ATTRIBUTE, &n));
    n->left = *node;
    jinja_next(p);
    n->value = p->now->value;
    if (jinja_at(p, JINJA_T_CONSTANT) && n->value.kind == JINJA_INTEGER) { /* list.0 is list[0] */
        TRY(jinja_node_new(p, JINJA_N_CONSTANT, &index));
        index->value = n->value;
        n->type = JINJA_N_ITEM;
        n->right = index;
    } else if (!jinja_at(p, JINJA_T_NAME))
        return jinja_unexpected(p, "a name");
    jinja_next(p);
    *node = n;
    return CJ_OK;
}

/* One part of a slice; a constant none when it is left out. */
static cj_err parse_slice_part(jinja_parser *p, jinja_node **out)
{
    if (jinja_at(p, JINJA_T_COLON) || jinja_at(p, JINJA_T_RBRACKET)) return jinja_node_new(p, JINJA_N_CONSTANT, out);
    return jinja_parse_expression(p, true, out);
}

static cj_err parse_item(jinja_parser *p, jinja_node **node)
{
    jinja_node *n, *first;
    TRY(jinja_node_new(p, JINJA_N_ITEM, &n));
    jinja_next(p);
    n->left = *node;
    *node = n;
    if (jinja_at(p, JINJA_T_RBRACKET)) return jinja_unexpected(p, "an expression");
    TRY(parse_slice_part(p, &first));
    if (jinja_skip(p, JINJA_T_COLON)) {
        n->type = JINJA_N_SLICE;
        n->items = first;
        TRY(parse_slice_part(p, &first->next));
        if (!jinja_skip(p, JINJA_T_COLON)) TRY(jinja_node_new(p, JINJA_N_CONSTANT, &first->next->next));
        else TRY(parse_slice_part(p, &first->next->next));
    } else
        n->right = first;
    return jinja_expect(p, JINJA_T_RBRACKET);
}

/* (a, b, key=c, *d, **e): keywords follow the positional, the starred come last. */
static cj_err parse_arguments(jinja_parser *p, jinja_node **list)
{
    enum { POSITIONAL, KEYWORD, STARRED, DOUBLE_STARRED } stage = POSITIONAL;
    TRY(jinja_expect(p, JINJA_T_LPAREN));
    while (!jinja_at(p, JINJA_T_RPAREN)) {
        jinja_node *n;
        TRY(jinja_node_new(p, JINJA_N_ARGUMENT, &n));
        *list = n;
        list = &n->next;
        int now = jinja_at(p, JINJA_T_MUL) ? STARRED : jinja_at(p, JINJA_T_POW) ? DOUBLE_STARRED
                : jinja_at(p, JINJA_T_NAME) && p->now[1].type == JINJA_T_ASSIGN ? KEYWORD : POSITIONAL;
        if (now < (int)stage || (now == (int)stage && now >= STARRED)) return jinja_unexpected(p, ")");
        stage = now;
        if (now >= STARRED) {
            n->op = (int)p->now->type;
            jinja_next(p);
        } else if (now == KEYWORD) {
            n->value = p->now->value;
            jinja_next(p);
            jinja_next(p);
        }
        TRY(jinja_parse_expression(p, true, &n->left));
        if (!jinja_at(p, JINJA_T_RPAREN)) TRY(jinja_expect(p, JINJA_T_COMMA));
    }
    return jinja_expect(p, JINJA_T_RPAREN);
}

static cj_err parse_call(jinja_parser *p, jinja_node **node)
{
    jinja_node *n;
    TRY(jinja_node_new(p, JINJA_N_CALL, &n));
    n->left = *node;
    *node = n;
    return parse_arguments(p, &n->items);
}

static cj_err parse_postfix(jinja_parser *p, jinja_node **node)
{
    for (;;) {
        if (jinja_at(p, JINJA_T_DOT)) TRY(parse_attribute(p, node));
        else if (jinja_at(p, JINJA_T_LBRACKET)) TRY(parse_item(p, node));
        else if (jinja_at(p, JINJA_T_LPAREN)) TRY(parse_call(p, node));
        else return CJ_OK;
    }
}

/* ---- filters and tests ---- */

cj_err jinja_parse_filters(jinja_parser *p, bool started, jinja_node **subject)
{
    while (started || jinja_skip(p, JINJA_T_PIPE)) {
        started = false;
        jinja_node *n;
        TRY(jinja_node_new(p, JINJA_N_FILTER, &n));
        if (!jinja_at(p, JINJA_T_NAME)) return jinja_unexpected(p, "a name");
        n->value = p->now->value;
        n->builtin = jinja_filter_find(n->value);
        n->left = *subject;
        *subject = n;
        jinja_next(p);
        if (jinja_at(p, JINJA_T_LPAREN)) TRY(parse_arguments(p, &n->items));
    }
    return CJ_OK;
}

/* Whether the token begins the argument of a test that has no brackets: `is divisibleby 3`. */
static bool at_test_argument(const jinja_parser *p)
{
    switch (p->now->type) {
    case JINJA_T_NAME: return !jinja_at_word(p, "else") && !jinja_at_word(p, "or") && !jinja_at_word(p, "and");
    case JINJA_T_CONSTANT: case JINJA_T_LBRACKET: case JINJA_T_LBRACE: return true;
    default: return false;
    }
}

static cj_err parse_test(jinja_parser *p, jinja_node **subject)
{
    jinja_node *n, *not = NULL;
    TRY(jinja_node_new(p, JINJA_N_TEST, &n));
    jinja_next(p);
    if (jinja_at_word(p, "not")) {
        TRY(jinja_node_new(p, JINJA_N_NOT, &not));
        jinja_next(p);
    }
    if (!jinja_at(p, JINJA_T_NAME)) return jinja_unexpected(p, "a name");
    n->value = p->now->value;
    n->builtin = jinja_test_find(n->value);
    n->left = *subject;
    jinja_next(p);
    if (jinja_at(p, JINJA_T_LPAREN)) TRY(parse_arguments(p, &n->items));
    else if (at_test_argument(p)) {
        if (jinja_at_word(p, "is")) return jinja_unexpected(p, "an operator");
        TRY(jinja_node_new(p, JINJA_N_ARGUMENT, &n->items));
        TRY(parse_primary(p, &n->items->left));
        TRY(parse_postfix(p, &n->items->left));
    }
    if (not) not->left = n;
    *subject = not ? not : n;
    return CJ_OK;
}

static cj_err parse_filters_and_tests(jinja_parser *p, jinja_node **node)
{
    for (;;) {
        if (jinja_at(p, JINJA_T_PIPE)) TRY(jinja_parse_filters(p, false, node));
        else if (jinja_at_word(p, "is")) TRY(parse_test(p, node));
        else if (jinja_at(p, JINJA_T_LPAREN)) TRY(parse_call(p, node));
        else return CJ_OK;
    }
}

/* ---- operators ---- */

/* -a|f is (-a)|f, but -a.b is -(a.b). */
static cj_err parse_unary(jinja_parser *p, bool filters, jinja_node **out)
{
    if (jinja_at(p, JINJA_T_SUB) || jinja_at(p, JINJA_T_ADD)) {
        TRY(jinja_node_new(p, JINJA_N_UNARY, out));
        (*out)->op = (int)p->now->type;
        jinja_next(p);
        TRY(jinja_deeper(p));
        TRY(parse_unary(p, false, &(*out)->left));
        p->depth--;
    } else
        TRY(parse_primary(p, out));
    TRY(parse_postfix(p, out));
    return filters ? parse_filters_and_tests(p, out) : CJ_OK;
}

typedef enum level { LEVEL_OR, LEVEL_AND, LEVEL_NOT, LEVEL_COMPARE, LEVEL_SUM, LEVEL_CONCAT, LEVEL_PRODUCT, LEVEL_POWER, LEVEL_UNARY } level;

static bool operator_at(const jinja_parser *p, level at)
{
    jinja_token_type t = p->now->type;
    switch (at) {
    case LEVEL_OR: return jinja_at_word(p, "or");
    case LEVEL_AND: return jinja_at_word(p, "and");
    case LEVEL_SUM: return t == JINJA_T_ADD || t == JINJA_T_SUB;
    case LEVEL_CONCAT: return t == JINJA_T_TILDE;
    case LEVEL_PRODUCT: return t == JINJA_T_MUL || t == JINJA_T_DIV || t == JINJA_T_FLOORDIV || t == JINJA_T_MOD;
    case LEVEL_POWER: return t == JINJA_T_POW;
    default: return false;
    }
}

static cj_err parse_level(jinja_parser *p, level at, jinja_node **out);

static cj_err parse_not(jinja_parser *p, jinja_node **out)
{
    TRY(jinja_node_new(p, JINJA_N_NOT, out));
    jinja_next(p);
    TRY(jinja_deeper(p));
    TRY(parse_level(p, LEVEL_NOT, &(*out)->left));
    p->depth--;
    return CJ_OK;
}

/* a < b < c is one node. */
static cj_err parse_comparisons(jinja_parser *p, jinja_node **first)
{
    jinja_node *n = NULL, **list = NULL;
    for (;;) {
        int op = (int)p->now->type;
        bool not_in = jinja_at_word(p, "not") && p->now[1].type == JINJA_T_NAME && jinja_text_is(p->now[1].value, "in");
        if (not_in) op = JINJA_OP_NOT_IN;
        else if (jinja_at_word(p, "in")) op = JINJA_OP_IN;
        else if (op < JINJA_T_EQ || op > JINJA_T_LE) return CJ_OK;
        if (!n) {
            TRY(jinja_node_new(p, JINJA_N_COMPARE, &n));
            n->left = *first;
            *first = n;
            list = &n->items;
        }
        TRY(jinja_node_new(p, JINJA_N_OPERAND, list));
        jinja_next(p);
        if (not_in) jinja_next(p);
        (*list)->op = op;
        TRY(parse_level(p, LEVEL_SUM, &(*list)->left));
        list = &(*list)->next;
    }
}

static cj_err parse_concat(jinja_parser *p, jinja_node **first)
{
    jinja_node *n, **list;
    TRY(jinja_node_new(p, JINJA_N_CONCAT, &n));
    n->items = *first;
    *first = n;
    for (list = &n->items->next; jinja_skip(p, JINJA_T_TILDE); list = &(*list)->next) TRY(parse_level(p, LEVEL_PRODUCT, list));
    return CJ_OK;
}

static cj_err parse_level(jinja_parser *p, level at, jinja_node **out)
{
    if (at == LEVEL_UNARY) return parse_unary(p, true, out);
    if (at == LEVEL_NOT && jinja_at_word(p, "not")) return parse_not(p, out);
    TRY(parse_level(p, at + 1, out));
    if (at == LEVEL_COMPARE) return parse_comparisons(p, out);
    if (at == LEVEL_CONCAT && operator_at(p, at)) return parse_concat(p, out);
    while (operator_at(p, at)) {
        jinja_node *n;
        TRY(jinja_node_new(p, at == LEVEL_OR ? JINJA_N_OR : at == LEVEL_AND ? JINJA_N_AND : JINJA_N_BINARY, &n));
        n->op = (int)p->now->type;
        n->left = *out;
        *out = n;
        jinja_next(p);
        TRY(parse_level(p, at + 1, &n->right));
    }
    return CJ_OK;
}

cj_err jinja_parse_expression(jinja_parser *p, bool conditional, jinja_node **out)
{
    TRY(jinja_deeper(p));
    TRY(parse_level(p, LEVEL_OR, out));
    while (conditional && jinja_at_word(p, "if")) {
        jinja_node *n;
        TRY(jinja_node_new(p, JINJA_N_CONDITIONAL, &n));
        jinja_next(p);
        n->left = *out;
        *out = n;
        TRY(parse_level(p, LEVEL_OR, &n->right));
        if (jinja_skip_word(p, "else")) TRY(jinja_parse_expression(p, true, &n->otherwise));
    }
    p->depth--;
    return CJ_OK;
}

cj_err jinja_parse_tuple(jinja_parser *p, bool conditional, const char *end_word, jinja_node **out)
{
    jinja_node *first, *tuple, **list = &first;
    const jinja_token *from = p->now;
    bool commas = false;
    do {
        bool end = jinja_at(p, JINJA_T_PRINT_END) || jinja_at(p, JINJA_T_BLOCK_END) || jinja_at(p, JINJA_T_RPAREN) ||
                   (end_word && jinja_at_word(p, end_word));
        if (end && commas) break; /* (1,) */
        TRY(jinja_parse_expression(p, conditional, list));
        list = &(*list)->next;
        commas |= jinja_at(p, JINJA_T_COMMA);
    } while (jinja_skip(p, JINJA_T_COMMA));
    *out = first;
    if (!commas) return CJ_OK;
    TRY(jinja_node_new(p, JINJA_N_TUPLE, &tuple));
    tuple->line = from->line;
    tuple->items = first;
    *out = tuple;
    return CJ_OK;
}

/* The parser's second half: text and tags. */
#include "token/jinja_parser.h"

static cj_err parse_body(jinja_parser *p, const char *const *ends, jinja_node **list);

/* `%}`, the statements up to one of the tags in `ends` (which becomes p->now, behind its `{%`). */
static cj_err parse_block(jinja_parser *p, const char *const *ends, jinja_node **list)
{
    jinja_skip(p, JINJA_T_COLON); /* `{% if x: %}` */
    TRY(jinja_expect(p, JINJA_T_BLOCK_END));
    TRY(jinja_deeper(p));
    TRY(parse_body(p, ends, list));
    p->depth--;
    return CJ_OK;
}

/* A block with a single end tag, which is stepped over. */
static cj_err parse_whole_block(jinja_parser *p, const char *end, jinja_node **list)
{
    const char *const ends[] = {end, NULL};
    TRY(parse_block(p, ends, list));
    jinja_next(p);
    return CJ_OK;
}

/* ---- targets of assignments ---- */

static cj_err parse_target(jinja_parser *p, bool members, jinja_node **out);

/* name | name.member | (targets) */
static cj_err parse_one_target(jinja_parser *p, bool members, jinja_node **out)
{
    if (jinja_skip(p, JINJA_T_LPAREN)) {
        TRY(jinja_deeper(p));
        TRY(parse_target(p, members, out));
        p->depth--;
        return jinja_expect(p, JINJA_T_RPAREN);
    }
    if (!jinja_at(p, JINJA_T_NAME)) return jinja_unexpected(p, "a name");
    TRY(jinja_node_new(p, JINJA_N_NAME, out));
    TRY(jinja_name_get(p, p->now->value, &(*out)->name));
    jinja_next(p);
    if (!members || !jinja_at(p, JINJA_T_DOT)) return CJ_OK;
    jinja_node *n;
    TRY(jinja_node_new(p, JINJA_N_ATTRIBUTE, &n));
    jinja_next(p);
    if (!jinja_at(p, JINJA_T_NAME)) return jinja_unexpected(p, "a name");
    n->value = p->now->value;
    jinja_next(p);
    n->left = *out;
    *out = n;
    return CJ_OK;
}

static cj_err parse_target(jinja_parser *p, bool members, jinja_node **out)
{
    jinja_node *first;
    TRY(parse_one_target(p, members, &first));
    *out = first;
    if (!jinja_at(p, JINJA_T_COMMA)) return CJ_OK;
    TRY(jinja_node_new(p, JINJA_N_TUPLE, out));
    (*out)->items = first;
    for (jinja_node **list = &first->next; jinja_skip(p, JINJA_T_COMMA); list = &(*list)->next) {
        if (!jinja_at(p, JINJA_T_NAME) && !jinja_at(p, JINJA_T_LPAREN)) break; /* `a, =` */
        if (jinja_at_word(p, "in")) break;
        TRY(parse_one_target(p, members, list));
    }
    return CJ_OK;
}

/* ---- tags ---- */

static cj_err parse_if(jinja_parser *p, jinja_node *n)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    for (;; n = n->right) {
        TRY(jinja_parse_tuple(p, false, NULL, &n->left));
        TRY(parse_block(p, ends, &n->body));
        if (!jinja_at_word(p, "elif")) break;
        TRY(jinja_node_new(p, JINJA_N_IF, &n->right));
        jinja_next(p);
    }
    if (jinja_skip_word(p, "else")) return parse_whole_block(p, "endif", &n->otherwise);
    jinja_next(p);
    return CJ_OK;
}

static cj_err parse_for(jinja_parser *p, jinja_node *n)
{
    static const char *const ends[] = {"else", "endfor", NULL};
    TRY(parse_target(p, false, &n->target));
    TRY(jinja_expect_word(p, "in"));
    TRY(jinja_parse_tuple(p, false, "recursive", &n->left));
    if (jinja_skip_word(p, "if")) TRY(jinja_parse_expression(p, true, &n->right));
    if (jinja_at_word(p, "recursive")) {
        p->work->line = p->now->line;
        return jinja_fail(p->work, CJ_E_UNSUPPORTED, MSG_TEMPLATE_UNSUPPORTED, "%s", "recursive");
    }
    p->loops++;
    TRY(parse_block(p, ends, &n->body));
    p->loops--;
    if (jinja_skip_word(p, "else")) return parse_whole_block(p, "endfor", &n->otherwise);
    jinja_next(p);
    return CJ_OK;
}

static cj_err parse_set(jinja_parser *p, jinja_node *n)
{
    TRY(parse_target(p, true, &n->target));
    if (jinja_skip(p, JINJA_T_ASSIGN)) return jinja_parse_tuple(p, true, NULL, &n->left);
    n->type = JINJA_N_SET_BLOCK;
    TRY(jinja_parse_filters(p, false, &n->left));
    return parse_whole_block(p, "endset", &n->body);
}

/* (a, b=1): those with defaults come last. */
static cj_err parse_signature(jinja_parser *p, jinja_node **list)
{
    bool defaults = false;
    TRY(jinja_expect(p, JINJA_T_LPAREN));
    while (!jinja_at(p, JINJA_T_RPAREN)) {
        if (!jinja_at(p, JINJA_T_NAME)) return jinja_unexpected(p, "a name");
        TRY(jinja_node_new(p, JINJA_N_PARAMETER, list));
        (*list)->value = p->now->value;
        TRY(jinja_name_get(p, p->now->value, &(*list)->name));
        jinja_next(p);
        if (jinja_skip(p, JINJA_T_ASSIGN)) {
            defaults = true;
            TRY(jinja_parse_expression(p, true, &(*list)->left));
        } else if (defaults)
            return jinja_unexpected(p, "=");
        list = &(*list)->next;
        if (!jinja_at(p, JINJA_T_RPAREN)) TRY(jinja_expect(p, JINJA_T_COMMA));
    }
    return jinja_expect(p, JINJA_T_RPAREN);
}

/* The body of a macro or call block: break cannot leave it, and the names it speaks of decide what it takes. */
static cj_err parse_macro_body(jinja_parser *p, jinja_node *macro, const char *end)
{
    jinja_macro_frame frame = {macro, p->macro};
    int loops = p->loops;
    p->macro = &frame;
    p->loops = 0;
    cj_err e = parse_whole_block(p, end, &macro->body);
    p->macro = frame.outer;
    p->loops = loops;
    for (jinja_node *a = macro->items; a; a = a->next) { /* a parameter of that name is like any other */
        if (a->name == p->program->caller) macro->takes_caller = false;
        if (a->name == p->program->keywords) macro->takes_keywords = false;
        if (a->name == p->program->rest) macro->takes_rest = false;
    }
    return e;
}

static cj_err parse_macro(jinja_parser *p, jinja_node *n)
{
    if (!jinja_at(p, JINJA_T_NAME)) return jinja_unexpected(p, "a name");
    TRY(jinja_name_get(p, p->now->value, &n->name));
    jinja_next(p);
    TRY(parse_signature(p, &n->items));
    return parse_macro_body(p, n, "endmacro");
}

static cj_err parse_call_block(jinja_parser *p, jinja_node *n)
{
    TRY(jinja_node_new(p, JINJA_N_MACRO, &n->right));
    if (jinja_at(p, JINJA_T_LPAREN)) TRY(parse_signature(p, &n->right->items));
    TRY(jinja_parse_expression(p, true, &n->left));
    if (n->left->type != JINJA_N_CALL) return jinja_unexpected(p, "a call");
    return parse_macro_body(p, n->right, "endcall");
}

static cj_err parse_filter_block(jinja_parser *p, jinja_node *n)
{
    TRY(jinja_parse_filters(p, true, &n->left));
    return parse_whole_block(p, "endfilter", &n->body);
}

static cj_err parse_with(jinja_parser *p, jinja_node *n)
{
    jinja_node **list = &n->items;
    while (!jinja_at(p, JINJA_T_BLOCK_END)) {
        TRY(jinja_node_new(p, JINJA_N_PAIR, list));
        TRY(parse_one_target(p, false, &(*list)->left));
        TRY(jinja_expect(p, JINJA_T_ASSIGN));
        TRY(jinja_parse_expression(p, true, &(*list)->right));
        list = &(*list)->next;
        if (!jinja_at(p, JINJA_T_BLOCK_END)) TRY(jinja_expect(p, JINJA_T_COMMA));
    }
    return parse_whole_block(p, "endwith", &n->body);
}

static cj_err parse_generation(jinja_parser *p, jinja_node *n)
{
    int loops = p->loops;
    p->loops = 0;
    TRY(parse_whole_block(p, "endgeneration", &n->body));
    p->loops = loops;
    return CJ_OK;
}

static cj_err parse_jump(jinja_parser *p, jinja_node *n)
{
    return p->loops ? CJ_OK : jinja_unexpected(p, "{% for %}");
}

static const struct { const char *word; jinja_node_type type; cj_err (*parse)(jinja_parser *, jinja_node *); } tags[] = {
    {"if", JINJA_N_IF, parse_if}, {"for", JINJA_N_FOR, parse_for}, {"set", JINJA_N_SET, parse_set},
    {"macro", JINJA_N_MACRO, parse_macro}, {"call", JINJA_N_CALL_BLOCK, parse_call_block},
    {"filter", JINJA_N_FILTER_BLOCK, parse_filter_block}, {"with", JINJA_N_WITH, parse_with},
    {"generation", JINJA_N_GENERATION, parse_generation}, {"break", JINJA_N_BREAK, parse_jump},
    {"continue", JINJA_N_CONTINUE, parse_jump},
};

/* Tags of Jinja that chat templates have no use for: they would read other files. */
static const char *const foreign_tags[] = {"include", "import", "from", "extends", "block", "autoescape", "print", "do", "trans"};

/* Behind `{%`, up to and with `%}`. */
static cj_err parse_tag(jinja_parser *p, jinja_node **out)
{
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (!jinja_at_word(p, tags[i].word)) continue;
        TRY(jinja_node_new(p, tags[i].type, out));
        jinja_next(p);
        TRY(tags[i].parse(p, *out));
        return jinja_expect(p, JINJA_T_BLOCK_END);
    }
    for (size_t i = 0; i < sizeof foreign_tags / sizeof *foreign_tags; i++)
        if (jinja_at_word(p, foreign_tags[i])) {
            p->work->line = p->now->line;
            return jinja_fail(p->work, CJ_E_UNSUPPORTED, MSG_TEMPLATE_UNSUPPORTED, "{%% %s %%}", foreign_tags[i]);
        }
    return jinja_unexpected(p, "a tag");
}

static bool at_end_tag(const jinja_parser *p, const char *const *ends)
{
    for (; ends && *ends; ends++)
        if (jinja_at_word(p, *ends)) return true;
    return false;
}

static cj_err parse_body(jinja_parser *p, const char *const *ends, jinja_node **list)
{
    const jinja_token *from = p->now;
    for (;; list = &(*list)->next) {
        if (jinja_at(p, JINJA_T_END)) {
            if (!ends) return CJ_OK;
            p->work->line = from->line;
            while (ends[1]) ends++;
            return jinja_fail(p->work, CJ_E_INPUT, MSG_TEMPLATE_UNCLOSED, "{%% ... %%}" ARG "{%% %s %%}", *ends);
        }
        if (jinja_at(p, JINJA_T_TEXT)) {
            TRY(jinja_node_new(p, JINJA_N_TEXT, list));
            (*list)->value = p->now->value;
            jinja_next(p);
        } else if (jinja_skip(p, JINJA_T_PRINT_BEGIN)) {
            TRY(jinja_node_new(p, JINJA_N_OUTPUT, list));
            TRY(jinja_parse_tuple(p, true, NULL, &(*list)->left));
            TRY(jinja_expect(p, JINJA_T_PRINT_END));
        } else {
            TRY(jinja_expect(p, JINJA_T_BLOCK_BEGIN));
            if (at_end_tag(p, ends)) return CJ_OK;
            TRY(parse_tag(p, list));
        }
    }
}

cj_err jinja_parse(jinja_work *w, const char *text, size_t n, jinja_program *out)
{
    jinja_token *tokens;
    TRY(jinja_lex(w, text, n, &tokens));
    jinja_parser p = {.work = w, .program = out, .now = tokens};
    *out = (jinja_program){0};
    return parse_body(&p, NULL, &out->body);
}

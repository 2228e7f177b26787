/* Between the two halves of the parser: expressions (jinja_expression.c) and statements (jinja_statement.c). */
#ifndef TOKEN_JINJA_PARSER_H
#define TOKEN_JINJA_PARSER_H

#include "token/jinja_lexer.h"
#include "token/jinja_node.h"

enum { JINJA_PARSE_DEPTH = 150 };

typedef struct jinja_macro_frame {
    jinja_node *macro;
    struct jinja_macro_frame *outer;
} jinja_macro_frame;

typedef struct jinja_parser {
    jinja_work *work;
    jinja_program *program;
    const jinja_token *now; /* stays on END at the end */
    int depth;              /* of brackets, tags and unary signs */
    int loops;              /* enclosing for tags that break could leave */
    jinja_macro_frame *macro;
    jinja_name *buckets[JINJA_NAME_BUCKETS];
} jinja_parser;

CJ_NODISCARD cj_err jinja_node_new(jinja_parser *p, jinja_node_type type, jinja_node **out); /* at the line of p->now */
CJ_NODISCARD cj_err jinja_name_get(jinja_parser *p, jinja_value text, const jinja_name **out);
CJ_NODISCARD cj_err jinja_deeper(jinja_parser *p); /* p->depth--, when the level is done */

static inline void jinja_next(jinja_parser *p) { p->now += p->now->type != JINJA_T_END; }
static inline bool jinja_at(const jinja_parser *p, jinja_token_type type) { return p->now->type == type; }
static inline bool jinja_at_word(const jinja_parser *p, const char *word)
{
    return p->now->type == JINJA_T_NAME && jinja_text_is(p->now->value, word);
}
bool jinja_skip(jinja_parser *p, jinja_token_type type); /* steps over it if it is there */
bool jinja_skip_word(jinja_parser *p, const char *word);
CJ_NODISCARD cj_err jinja_expect(jinja_parser *p, jinja_token_type type);
CJ_NODISCARD cj_err jinja_expect_word(jinja_parser *p, const char *word);
cj_err jinja_unexpected(jinja_parser *p, const char *wanted); /* fails at p->now */

/* An expression; `conditional`: with `a if b else c`. */
CJ_NODISCARD cj_err jinja_parse_expression(jinja_parser *p, bool conditional, jinja_node **out);
/* Expressions with commas between are a tuple. Ends before `end_word`, where one is given. */
CJ_NODISCARD cj_err jinja_parse_tuple(jinja_parser *p, bool conditional, const char *end_word, jinja_node **out);
/* `|name(...)` once or more; the first pipe is implied when `started`. *subject is wrapped; it may be NULL. */
CJ_NODISCARD cj_err jinja_parse_filters(jinja_parser *p, bool started, jinja_node **subject);

#endif

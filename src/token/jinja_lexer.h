/* Splits a template into tokens: text between tags, and the words, numbers and signs inside them.
 *
 * White space is treated here, as transformers sets it up: the line break after a block tag goes (trim_blocks), and so do the
 * blanks before one that starts its line (lstrip_blocks), `-` and `+` beside a tag overrule that. Comments and raw sections
 * end here too: the parser sees only text.
 */
#ifndef TOKEN_JINJA_LEXER_H
#define TOKEN_JINJA_LEXER_H

#include "token/jinja_value.h"

typedef enum jinja_token_type {
    JINJA_T_END,
    JINJA_T_TEXT, /* outside tags: `value` is the text */
    JINJA_T_BLOCK_BEGIN, JINJA_T_BLOCK_END, JINJA_T_PRINT_BEGIN, JINJA_T_PRINT_END,
    JINJA_T_NAME, JINJA_T_CONSTANT, /* `value`: a name's text; a string, an integer or a float */
    JINJA_T_ADD, JINJA_T_SUB, JINJA_T_DIV, JINJA_T_FLOORDIV, JINJA_T_MUL, JINJA_T_MOD, JINJA_T_POW, JINJA_T_TILDE,
    JINJA_T_EQ, JINJA_T_NE, JINJA_T_GT, JINJA_T_GE, JINJA_T_LT, JINJA_T_LE, JINJA_T_ASSIGN,
    JINJA_T_LPAREN, JINJA_T_RPAREN, JINJA_T_LBRACKET, JINJA_T_RBRACKET, JINJA_T_LBRACE, JINJA_T_RBRACE,
    JINJA_T_DOT, JINJA_T_COLON, JINJA_T_PIPE, JINJA_T_COMMA, JINJA_T_SEMICOLON,
} jinja_token_type;

typedef struct jinja_token {
    jinja_token_type type;
    int line;
    jinja_value value;
} jinja_token;

/* Tokens of text[0..n), the last of type END. `text` must be valid UTF-8, end in a 0 and outlive the tokens. */
CJ_NODISCARD cj_err jinja_lex(jinja_work *w, const char *text, size_t n, jinja_token **out);

/* How a token reads in a message, such as `%}` or `name`. */
const char *jinja_token_name(jinja_token_type type);

#endif

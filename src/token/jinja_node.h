/* The syntax tree of a template: one struct for every kind of node, so that it can be read as a table.
 *
 *   expressions                 left          right        other
 *   CONSTANT                                               value
 *   NAME                                                   name
 *   LIST TUPLE                                             items
 *   DICT                                                   items: PAIR (left key, right value)
 *   ATTRIBUTE                   object                     value: the attribute's name
 *   ITEM                        object        index
 *   SLICE                       object                     items: start, stop, step (constant none when left out)
 *   CALL                        callee                     items: ARGUMENT (left; value: keyword or none; op: 0, MUL, POW)
 *   FILTER TEST                 subject       |            items: ARGUMENT; value: name; builtin (NULL: unknown)
 *                               (a FILTER without a subject works on the captured block)
 *   UNARY BINARY                operand       operand      op: the token
 *   AND OR                      operand       operand
 *   NOT                         operand
 *   CONCAT                                                 items
 *   COMPARE                     first                      items: OPERAND (left; op: a token, IN or NOT_IN)
 *   CONDITIONAL                 if true       condition    otherwise (NULL: undefined)
 *
 *   statements
 *   TEXT                                                   value
 *   OUTPUT                      expression
 *   IF                          condition     next elif    body, otherwise (of the last of the chain)
 *   FOR                         iterable      filter       target, body, otherwise
 *   SET                         expression                 target
 *   SET_BLOCK                   filters                    target, body
 *   MACRO                                                  name, items: PARAMETER (name; left: default), body, takes_*
 *   CALL_BLOCK                  the CALL      its MACRO
 *   FILTER_BLOCK                filters                    body
 *   WITH                                                   items: PAIR (left target, right value), body
 *   GENERATION                                             body
 *   BREAK CONTINUE
 *
 *   targets: NAME, TUPLE of targets, ATTRIBUTE of a NAME (a namespace's member)
 */
#ifndef TOKEN_JINJA_NODE_H
#define TOKEN_JINJA_NODE_H

#include "token/jinja_value.h"

typedef enum jinja_node_type {
    JINJA_N_CONSTANT, JINJA_N_NAME, JINJA_N_LIST, JINJA_N_TUPLE, JINJA_N_DICT, JINJA_N_PAIR, JINJA_N_ATTRIBUTE, JINJA_N_ITEM,
    JINJA_N_SLICE, JINJA_N_CALL, JINJA_N_ARGUMENT, JINJA_N_FILTER, JINJA_N_TEST, JINJA_N_UNARY, JINJA_N_BINARY, JINJA_N_AND,
    JINJA_N_OR, JINJA_N_NOT, JINJA_N_CONCAT, JINJA_N_COMPARE, JINJA_N_OPERAND, JINJA_N_CONDITIONAL,
    JINJA_N_TEXT, JINJA_N_OUTPUT, JINJA_N_IF, JINJA_N_FOR, JINJA_N_SET, JINJA_N_SET_BLOCK, JINJA_N_MACRO, JINJA_N_PARAMETER,
    JINJA_N_CALL_BLOCK, JINJA_N_FILTER_BLOCK, JINJA_N_WITH, JINJA_N_GENERATION, JINJA_N_BREAK, JINJA_N_CONTINUE,
} jinja_node_type;

enum { JINJA_OP_IN = 1000, JINJA_OP_NOT_IN }; /* beside the tokens */

/* A variable's name, one object for each spelling in a template, so that scopes compare pointers. */
typedef struct jinja_name {
    const char *text;
    size_t size;
    size_t index; /* counts the names of the template */
    struct jinja_name *next, *bucket_next;
} jinja_name;

struct jinja_builtin;

typedef struct jinja_node {
    jinja_node_type type;
    int line, op;
    struct jinja_node *next; /* of a list of items, or of the statements of a body */
    struct jinja_node *left, *right, *otherwise, *items, *body, *target;
    const jinja_name *name;
    const struct jinja_builtin *builtin;
    jinja_value value;
    bool takes_caller, takes_keywords, takes_rest; /* a macro whose body speaks of caller, kwargs, varargs */
} jinja_node;

enum { JINJA_NAME_BUCKETS = 256 };

typedef struct jinja_program {
    jinja_node *body;
    jinja_name *names; /* all of them, the latest first */
    size_t name_count;
    const jinja_name *loop, *caller, *keywords, *rest; /* the names the language itself sets; NULL where never used */
} jinja_program;

/* Parses text[0..n) (UTF-8, line breaks as \n, a 0 at the end) into *out, all of it in w's memory. `text` must outlive it. */
CJ_NODISCARD cj_err jinja_parse(jinja_work *w, const char *text, size_t n, jinja_program *out);

#endif

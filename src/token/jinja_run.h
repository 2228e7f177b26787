/* One render: its state, and the calls by which statements, expressions and builtins reach each other. */
#ifndef TOKEN_JINJA_RUN_H
#define TOKEN_JINJA_RUN_H

#include <time.h>

#include "base/json.h"
#include "token/jinja_builtin.h"
#include "token/jinja_node.h"
#include "token/jinja_text.h"
#include "token/template.h"

typedef struct jinja_variable { const jinja_name *name; jinja_value value; } jinja_variable;
typedef struct jinja_scope {
    struct jinja_scope *outer;
    jinja_variable *variables;
    size_t count, capacity;
} jinja_scope;

struct jinja_macro {
    const jinja_node *node;
    jinja_scope *scope; /* where it was defined: its body sees that */
};

/* A for loop under way. Items come one by one, because its filter may look at what the body changes. */
struct jinja_loop {
    const jinja_node *node;
    jinja_list *items;
    size_t next;                        /* in items */
    bool filtered;                      /* items[next..] have not passed the filter yet */
    int64_t index;                      /* from 0 */
    int64_t length;                     /* -1: not known yet */
    jinja_value before, current, after; /* after: taken early by loop.last or loop.nextitem; ABSENT when not */
    jinja_value changed;                /* the last arguments of loop.changed, a tuple */
    jinja_scope *scope;                 /* around the loop */
};

typedef enum jinja_flow { JINJA_ON, JINJA_BREAK, JINJA_CONTINUE } jinja_flow;

struct jinja_run {
    jinja_work work;
    const jinja_program *program;
    jinja_limits limits;
    const struct tm *now; /* NULL: ask the clock */
    int64_t fuel;
    int depth;
    buf *out; /* captured blocks are written behind the output and cut off again */
    size_t out_start;
    jinja_scope *scope;
    jinja_value *context; /* variables of the request and global functions, by name index; ABSENT: none */
    jinja_flow flow;
    jinja_value captured; /* what the filters of the innermost captured block work on */
};

/* ---- budgets ---- */
CJ_NODISCARD cj_err jinja_spend(jinja_run *r, size_t steps);
CJ_NODISCARD cj_err jinja_spend_bytes(jinja_run *r, size_t bytes); /* a step for each 64 bytes handled */
CJ_NODISCARD cj_err jinja_spend_search(jinja_run *r, jinja_value text, jinja_value what, bool last);
CJ_NODISCARD cj_err jinja_enter(jinja_run *r);                     /* one level deeper; r->depth-- afterwards */

/* ---- statements and expressions ---- */
CJ_NODISCARD cj_err jinja_execute(jinja_run *r, const jinja_node *body);
CJ_NODISCARD cj_err jinja_evaluate(jinja_run *r, const jinja_node *n, jinja_value *out);
CJ_NODISCARD cj_err jinja_scope_new(jinja_run *r, jinja_scope *outer, jinja_scope **out);
CJ_NODISCARD cj_err jinja_scope_set(jinja_run *r, jinja_scope *s, const jinja_name *name, jinja_value v);
/* Executes body and takes what it writes as text instead. */
CJ_NODISCARD cj_err jinja_capture(jinja_run *r, const jinja_node *body, jinja_value *out);
CJ_NODISCARD cj_err jinja_loop_peek(jinja_run *r, jinja_loop *loop); /* fills loop->after unless at the end */
CJ_NODISCARD cj_err jinja_loop_length(jinja_run *r, jinja_loop *loop);

/* ---- calls ---- */
CJ_NODISCARD cj_err jinja_arguments_evaluate(jinja_run *r, const jinja_node *list, jinja_arguments *out);
CJ_NODISCARD cj_err jinja_call(jinja_run *r, jinja_value callee, const jinja_arguments *a, jinja_value *out);
CJ_NODISCARD cj_err jinja_invoke(jinja_run *r, const jinja_builtin *b, jinja_value self, const jinja_arguments *a, jinja_value *out);
CJ_NODISCARD cj_err jinja_bind(jinja_run *r, const jinja_builtin *b, jinja_value self, jinja_value *out);
cj_err jinja_wrong_arguments(jinja_run *r, const char *function, const char *why);

/* ---- operators (jinja_operator.c) ---- */
CJ_NODISCARD cj_err jinja_binary(jinja_run *r, int op, jinja_value a, jinja_value b, jinja_value *out);
CJ_NODISCARD cj_err jinja_sign(jinja_run *r, int op, jinja_value v, jinja_value *out);
CJ_NODISCARD cj_err jinja_join_text(jinja_run *r, jinja_value a, jinja_value b, jinja_value *out);
/* Fails: `what` cannot be done with v, or between a and b. An undefined says what is missing. */
cj_err jinja_wrong_type(jinja_run *r, const char *what, jinja_value v);
cj_err jinja_wrong_types(jinja_run *r, const char *what, jinja_value a, jinja_value b);

/* ---- comparing (jinja_compare.c) ---- */
CJ_NODISCARD cj_err jinja_equal(jinja_run *r, jinja_value a, jinja_value b, bool *out);
CJ_NODISCARD cj_err jinja_compare(jinja_run *r, int op, jinja_value a, jinja_value b, bool *out);
CJ_NODISCARD cj_err jinja_contains(jinja_run *r, jinja_value container, jinja_value v, bool *out);
/* Sorts items by keys (of the same count), stable; `reverse` keeps equal ones in their order too. */
CJ_NODISCARD cj_err jinja_sort(jinja_run *r, jinja_value *items, jinja_value *keys, size_t count, bool reverse);

/* ---- containers (jinja_container.c) ---- */
CJ_NODISCARD cj_err jinja_attribute(jinja_run *r, jinja_value v, jinja_value name, jinja_value *out); /* v.name */
CJ_NODISCARD cj_err jinja_item(jinja_run *r, jinja_value v, jinja_value index, jinja_value *out);     /* v[index] */
CJ_NODISCARD cj_err jinja_slice(jinja_run *r, jinja_value v, const jinja_value part[3], jinja_value *out);
/* The items that walking over v gives; an iterator is used up by it. */
CJ_NODISCARD cj_err jinja_items(jinja_run *r, jinja_value v, jinja_list **out);
bool jinja_iterable(jinja_value v);
bool jinja_count(jinja_value v, size_t *out); /* Python's len; false where it has none */
bool jinja_hashable(jinja_value v);             /* may be a key of a dictionary */
CJ_NODISCARD cj_err jinja_dict_find(jinja_run *r, const jinja_dict *d, jinja_value key, jinja_value **out); /* NULL: not there */
CJ_NODISCARD cj_err jinja_dict_set(jinja_run *r, jinja_dict *d, jinja_value key, jinja_value v);
CJ_NODISCARD cj_err jinja_dict_view(jinja_run *r, const jinja_dict *d, jinja_form form, jinja_value *out);
CJ_NODISCARD cj_err jinja_from_json(jinja_run *r, json_object *o, jinja_value *out);

/* ---- printing (jinja_print.c) ---- */
CJ_NODISCARD cj_err jinja_emit(jinja_run *r, const char *s, size_t n); /* to the output */
CJ_NODISCARD cj_err jinja_print(jinja_run *r, jinja_value v);          /* str(v) to the output */
CJ_NODISCARD cj_err jinja_string(jinja_run *r, jinja_value v, jinja_value *out); /* str(v); a string is itself */
CJ_NODISCARD cj_err jinja_repr(jinja_run *r, jinja_value v, jinja_value *out);
typedef struct jinja_json_style {
    bool ascii, sorted;
    jinja_value indent; /* none, or the text of one level */
    jinja_value between, after_key; /* separators */
} jinja_json_style;
CJ_NODISCARD cj_err jinja_to_json(jinja_run *r, jinja_value v, const jinja_json_style *style, jinja_value *out);

/* ---- formatting (jinja_format.c) ---- */
CJ_NODISCARD cj_err jinja_format_percent(jinja_run *r, jinja_value format, jinja_value values, jinja_value *out);
CJ_NODISCARD cj_err jinja_format_braces(jinja_run *r, jinja_value format, const jinja_arguments *a, jinja_value *out);

#endif

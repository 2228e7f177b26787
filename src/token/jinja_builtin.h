/* Everything a template can call that is not its own macro: filters, tests, methods, global functions; one table each. */
#ifndef TOKEN_JINJA_BUILTIN_H
#define TOKEN_JINJA_BUILTIN_H

#include "token/jinja_value.h"

typedef struct jinja_run jinja_run;

typedef struct jinja_keyword { jinja_value name, value; } jinja_keyword;
typedef struct jinja_arguments {
    const jinja_value *items;
    size_t count;
    const jinja_keyword *keywords;
    size_t keyword_count;
} jinja_arguments;

/* `self` is the subject of a filter or test, the object of a method. A test answers with a boolean. */
typedef cj_err (*jinja_code)(jinja_run *r, jinja_value self, const jinja_arguments *a, jinja_value *out);

enum { JINJA_PARAMETERS_MAX = 6 };

typedef struct jinja_builtin {
    const char *name;
    /* Names of the parameters, "old new count?": a question mark lets one be left out (it is then ABSENT in `items`).
     * The caller binds keywords to them, so that the code sees exactly these items. NULL: the code takes what comes. */
    const char *parameters;
    jinja_code code;
} jinja_builtin;

struct jinja_function { /* a builtin bound to its object */
    const jinja_builtin *builtin;
    jinja_value self;
};

const jinja_builtin *jinja_builtin_find(const jinja_builtin *table, size_t count, jinja_value name);
const jinja_builtin *jinja_filter_find(jinja_value name);
const jinja_builtin *jinja_test_find(jinja_value name);
const jinja_builtin *jinja_global_find(jinja_value name);
/* The method `name` of v's type, or NULL. *unsafe: there is one, but it would change v. */
const jinja_builtin *jinja_method_find(jinja_value v, jinja_value name, bool *unsafe);
/* The tables behind jinja_filter_find and jinja_method_find. */
extern const jinja_builtin jinja_text_filters[], jinja_sequence_filters[], jinja_string_methods[];
extern const size_t jinja_text_filter_count, jinja_sequence_filter_count, jinja_string_method_count;

/* Helpers of the builtins. The i-th argument, with a value to take when it is absent; a wrong type fails. */
CJ_NODISCARD cj_err jinja_argument_integer(jinja_run *r, const jinja_arguments *a, size_t i, int64_t absent, int64_t *out);
CJ_NODISCARD cj_err jinja_argument_text(jinja_run *r, const jinja_arguments *a, size_t i, const char *absent, jinja_value *out);
static inline bool jinja_argument_truth(const jinja_arguments *a, size_t i) { return jinja_truth(a->items[i]); }

#endif

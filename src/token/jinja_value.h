/* Values of the template language and the memory they live in.
 *
 * A value is 24 bytes and copied freely. Text is a view: of the template, of the caller's JSON, or of the render's memory;
 * cutting text therefore copies nothing. Everything that a render makes lives until the render ends.
 *
 * Invariants: text is valid UTF-8. Lists and dictionaries never change once a template can see them (only a namespace does),
 * so the only cycles go through namespaces. A one-pass iterator remembers how far it was read in `next`.
 */
#ifndef TOKEN_JINJA_VALUE_H
#define TOKEN_JINJA_VALUE_H

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

typedef enum jinja_kind {
    JINJA_ABSENT, /* an argument that was not given; templates never see it */
    JINJA_UNDEFINED,
    JINJA_NONE,
    JINJA_BOOLEAN,
    JINJA_INTEGER,
    JINJA_FLOAT,
    JINJA_STRING,
    JINJA_LIST, /* every sequence: see jinja_form */
    JINJA_DICT,
    JINJA_NAMESPACE,
    JINJA_FUNCTION,
    JINJA_MACRO,
    JINJA_LOOP,
} jinja_kind;

enum {
    JINJA_SAFE = 1,      /* mark of a string: adding to it escapes the other side, as Python's Markup does */
    JINJA_UNSIGNED = 1,  /* mark of a float: it came as an integer above 2^63 - 1, which `size` holds exactly */
    JINJA_VARIABLE = 0,  /* mark of an undefined: `text` names a variable, else the kind of the value that lacks `text` ... */
    JINJA_REASON = 255,  /* ... or `text` is itself the reason */
};

typedef struct jinja_list jinja_list;
typedef struct jinja_dict jinja_dict;
typedef struct jinja_function jinja_function;
typedef struct jinja_macro jinja_macro;
typedef struct jinja_loop jinja_loop;

typedef struct jinja_value {
    uint8_t kind, mark;
    union {
        bool truth;
        int64_t integer;
        double real;
        const char *text; /* size bytes, not terminated; also the name in an undefined */
        jinja_list *list;
        jinja_dict *dict; /* also of a namespace */
        const jinja_function *function;
        const jinja_macro *macro;
        jinja_loop *loop;
    };
    size_t size;
} jinja_value;

typedef enum jinja_form {
    JINJA_PLAIN, JINJA_TUPLE, JINJA_RANGE,
    JINJA_KEYS, JINJA_VALUES, JINJA_ITEMS, /* views of a dictionary: can be counted and walked, not indexed */
    JINJA_ITERATOR,                        /* what map, select, ... give: walked once, no length, always true */
} jinja_form;

struct jinja_list {
    jinja_value *items;
    size_t count, capacity;
    size_t next; /* of an iterator: the first item not yet taken */
    jinja_form form;
    int64_t start, stop, step; /* of a range, for printing */
};

typedef struct jinja_entry { jinja_value key, value; } jinja_entry;
/* In order of insertion, searched from the front: the dictionaries of a chat have a dozen members. */
struct jinja_dict {
    jinja_entry *entries;
    size_t count, capacity;
};

static inline jinja_value jinja_none(void) { return (jinja_value){.kind = JINJA_NONE}; }
static inline jinja_value jinja_boolean(bool truth) { return (jinja_value){.kind = JINJA_BOOLEAN, .truth = truth}; }
static inline jinja_value jinja_integer(int64_t i) { return (jinja_value){.kind = JINJA_INTEGER, .integer = i}; }
static inline jinja_value jinja_float(double f) { return (jinja_value){.kind = JINJA_FLOAT, .real = f}; }
static inline jinja_value jinja_text(const char *s, size_t n) { return (jinja_value){.kind = JINJA_STRING, .text = s, .size = n}; }
static inline jinja_value jinja_literal(const char *s) { return jinja_text(s, strlen(s)); }
static inline jinja_value jinja_list_value(jinja_list *list) { return (jinja_value){.kind = JINJA_LIST, .list = list}; }
static inline jinja_value jinja_undefined(const char *s, size_t n, uint8_t mark)
{
    return (jinja_value){.kind = JINJA_UNDEFINED, .mark = mark, .text = s, .size = n};
}
/* An undefined that says why: `reason` has static storage. */
static inline jinja_value jinja_missing(const char *reason) { return jinja_undefined(reason, strlen(reason), JINJA_REASON); }
static inline bool jinja_text_is(jinja_value v, const char *s) { return v.size == strlen(s) && !memcmp(v.text, s, v.size); }
/* Integers and booleans are both whole numbers, as in Python. */
static inline bool jinja_is_whole(jinja_value v) { return v.kind == JINJA_INTEGER || v.kind == JINJA_BOOLEAN; }
static inline int64_t jinja_whole(jinja_value v) { return v.kind == JINJA_BOOLEAN ? v.truth : v.integer; }
static inline bool jinja_is_number(jinja_value v) { return jinja_is_whole(v) || v.kind == JINJA_FLOAT; }
static inline double jinja_number(jinja_value v) { return v.kind == JINJA_FLOAT ? v.real : (double)jinja_whole(v); }

/* Memory, place and report of one compilation or one render. Allocation is a bump of `top`; what fails fills `diag`. */
typedef struct jinja_work {
    arena arena;
    char *top, *end;
    cj_diag *diag;
    int line; /* of the template, for messages */
} jinja_work;
void jinja_work_init(jinja_work *w, size_t max_bytes, cj_diag *d);
void jinja_work_deinit(jinja_work *w);
/* 16-byte aligned, uninitialised; a zero size gives a pointer too. */
CJ_NODISCARD cj_err jinja_take(jinja_work *w, size_t bytes, void **out);
CJ_NODISCARD cj_err jinja_take_text(jinja_work *w, size_t bytes, char **out); /* not aligned */
/* Grows an array of `count` items of `size` bytes so that one more fits; *capacity counts items. */
CJ_NODISCARD cj_err jinja_grow(jinja_work *w, void **items, size_t count, size_t *capacity, size_t size);

/* Fails with a sentence whose {0} is the line; the rest of the arguments follow ARG-separated. */
#define jinja_fail(w, code, id, format, ...) diag_fail((w)->diag, (code), (id), "%d" ARG format, (w)->line, __VA_ARGS__)
/* A view for "%.*s" in a message: cut to a readable length, at a character. */
#define JINJA_SHOW(text, size) jinja_shown_length((text), (size), 120), (text)
static inline int jinja_shown_length(const char *text, size_t size, size_t most)
{
    return (int)(size <= most ? size : most - utf8_incomplete_tail(text, most));
}

/* The name of v's type as messages show it. */
const char *jinja_type_name(jinja_value v);
const char *jinja_kind_name(jinja_kind kind);
bool jinja_truth(jinja_value v);

CJ_NODISCARD cj_err jinja_list_new(jinja_work *w, size_t capacity, jinja_form form, jinja_list **out);
CJ_NODISCARD cj_err jinja_list_add(jinja_work *w, jinja_list *list, jinja_value v);
CJ_NODISCARD cj_err jinja_dict_new(jinja_work *w, size_t capacity, jinja_dict **out);

#endif

/* What may stand behind `is`, and where the names of builtins are looked up. */
#include "token/jinja_lexer.h"
#include "token/jinja_run.h"

#define TEST(name) static cj_err name(jinja_run *r, jinja_value self, const jinja_arguments *a, jinja_value *out)
/* A test that only looks at the value. */
#define SIMPLE(name, expression)                       \
    TEST(name)                                         \
    {                                                  \
        (void)r, (void)a;                              \
        *out = jinja_boolean(expression);              \
        return CJ_OK;                                  \
    }

SIMPLE(defined, self.kind != JINJA_UNDEFINED)
SIMPLE(undefined, self.kind == JINJA_UNDEFINED)
SIMPLE(none, self.kind == JINJA_NONE)
SIMPLE(boolean, self.kind == JINJA_BOOLEAN)
SIMPLE(is_true, self.kind == JINJA_BOOLEAN && self.truth)
SIMPLE(is_false, self.kind == JINJA_BOOLEAN && !self.truth)
SIMPLE(number, jinja_is_number(self))
SIMPLE(integer, self.kind == JINJA_INTEGER || (self.kind == JINJA_FLOAT && self.mark == JINJA_UNSIGNED))
SIMPLE(real, self.kind == JINJA_FLOAT && self.mark != JINJA_UNSIGNED)
SIMPLE(string, self.kind == JINJA_STRING)
SIMPLE(mapping, self.kind == JINJA_DICT)
SIMPLE(iterable, jinja_iterable(self))
SIMPLE(sequence, self.kind == JINJA_UNDEFINED || self.kind == JINJA_STRING || self.kind == JINJA_DICT ||
                     (self.kind == JINJA_LIST && self.list->form <= JINJA_RANGE))
SIMPLE(callable, self.kind == JINJA_FUNCTION || self.kind == JINJA_MACRO || self.kind == JINJA_UNDEFINED || self.kind == JINJA_LOOP)
SIMPLE(escaped, self.kind == JINJA_STRING && self.mark == JINJA_SAFE)
SIMPLE(is_filter, self.kind == JINJA_STRING && jinja_filter_find(self))
SIMPLE(is_test, self.kind == JINJA_STRING && jinja_test_find(self))

/* self % n == want */
static cj_err remainder_is(jinja_run *r, jinja_value self, jinja_value n, int64_t want, jinja_value *out)
{
    bool same;
    TRY(jinja_binary(r, JINJA_T_MOD, self, n, &self));
    TRY(jinja_equal(r, self, jinja_integer(want), &same));
    *out = jinja_boolean(same);
    return CJ_OK;
}

TEST(odd) { return remainder_is(r, self, jinja_integer(2), 1, out); }
TEST(even) { return remainder_is(r, self, jinja_integer(2), 0, out); }
TEST(divisible) { return remainder_is(r, self, a->items[0], 0, out); }

static cj_err in_case(jinja_run *r, jinja_value self, const char *method, jinja_value *out)
{
    bool unsafe;
    const jinja_arguments nothing = {0};
    TRY(jinja_string(r, self, &self));
    return jinja_invoke(r, jinja_method_find(self, jinja_literal(method), &unsafe), self, &nothing, out);
}

TEST(upper) { return in_case(r, self, "isupper", out); }
TEST(lower) { return in_case(r, self, "islower", out); }

TEST(same_as)
{
    jinja_value other = a->items[0];
    bool same = self.kind == other.kind;
    if (same && (self.kind == JINJA_LIST || self.kind == JINJA_DICT)) same = self.list == other.list;
    else if (same) TRY(jinja_equal(r, self, other, &same));
    *out = jinja_boolean(same);
    return CJ_OK;
}

static cj_err compare(jinja_run *r, int op, jinja_value self, const jinja_arguments *a, jinja_value *out)
{
    bool holds;
    TRY(jinja_compare(r, op, self, a->items[0], &holds));
    *out = jinja_boolean(holds);
    return CJ_OK;
}

TEST(eq) { return compare(r, JINJA_T_EQ, self, a, out); }
TEST(ne) { return compare(r, JINJA_T_NE, self, a, out); }
TEST(gt) { return compare(r, JINJA_T_GT, self, a, out); }
TEST(ge) { return compare(r, JINJA_T_GE, self, a, out); }
TEST(lt) { return compare(r, JINJA_T_LT, self, a, out); }
TEST(le) { return compare(r, JINJA_T_LE, self, a, out); }

TEST(in)
{
    bool holds;
    TRY(jinja_contains(r, a->items[0], self, &holds));
    *out = jinja_boolean(holds);
    return CJ_OK;
}

static const jinja_builtin tests[] = {
    {"defined", "", defined}, {"undefined", "", undefined}, {"none", "", none}, {"boolean", "", boolean}, {"true", "", is_true},
    {"false", "", is_false}, {"number", "", number}, {"integer", "", integer}, {"float", "", real}, {"string", "", string},
    {"mapping", "", mapping}, {"iterable", "", iterable}, {"sequence", "", sequence}, {"callable", "", callable},
    {"escaped", "", escaped}, {"filter", "", is_filter}, {"test", "", is_test}, {"odd", "", odd}, {"even", "", even},
    {"divisibleby", "num", divisible}, {"upper", "", upper}, {"lower", "", lower}, {"sameas", "other", same_as}, {"in", "seq", in},
    {"==", "other", eq}, {"eq", "other", eq}, {"equalto", "other", eq}, {"!=", "other", ne}, {"ne", "other", ne},
    {">", "other", gt}, {"gt", "other", gt}, {"greaterthan", "other", gt}, {">=", "other", ge}, {"ge", "other", ge},
    {"<", "other", lt}, {"lt", "other", lt}, {"lessthan", "other", lt}, {"<=", "other", le}, {"le", "other", le},
};

const jinja_builtin *jinja_builtin_find(const jinja_builtin *table, size_t count, jinja_value name)
{
    for (size_t i = 0; i < count; i++)
        if (jinja_text_is(name, table[i].name)) return &table[i];
    return NULL;
}

const jinja_builtin *jinja_test_find(jinja_value name) { return jinja_builtin_find(tests, sizeof tests / sizeof *tests, name); }

const jinja_builtin *jinja_filter_find(jinja_value name)
{
    const jinja_builtin *b = jinja_builtin_find(jinja_text_filters, jinja_text_filter_count, name);
    return b ? b : jinja_builtin_find(jinja_sequence_filters, jinja_sequence_filter_count, name);
}

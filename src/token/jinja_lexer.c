/* The lexer: a root state for text, an inner state for tags. Lines are counted as the position moves. */
#include "token/jinja_lexer.h"

#include "token/jinja_number.h"
#include "token/jinja_text.h"

enum { BRACKETS_MAX = 200 };

typedef struct lexer {
    jinja_work *work;
    const char *text;
    size_t size, at;
    int line;
    char brackets[BRACKETS_MAX]; /* the closers expected, innermost last */
    int open;
    jinja_token *tokens;
    size_t count, capacity;
} lexer;

const char *jinja_token_name(jinja_token_type type)
{
    static const char *const names[] = {
        [JINJA_T_END] = "the end of the template", [JINJA_T_TEXT] = "text", [JINJA_T_BLOCK_BEGIN] = "{%",
        [JINJA_T_BLOCK_END] = "%}", [JINJA_T_PRINT_BEGIN] = "{{", [JINJA_T_PRINT_END] = "}}", [JINJA_T_NAME] = "a name",
        [JINJA_T_CONSTANT] = "a constant", [JINJA_T_ADD] = "+", [JINJA_T_SUB] = "-", [JINJA_T_DIV] = "/",
        [JINJA_T_FLOORDIV] = "//", [JINJA_T_MUL] = "*", [JINJA_T_MOD] = "%", [JINJA_T_POW] = "**", [JINJA_T_TILDE] = "~",
        [JINJA_T_EQ] = "==", [JINJA_T_NE] = "!=", [JINJA_T_GT] = ">", [JINJA_T_GE] = ">=", [JINJA_T_LT] = "<",
        [JINJA_T_LE] = "<=", [JINJA_T_ASSIGN] = "=", [JINJA_T_LPAREN] = "(", [JINJA_T_RPAREN] = ")",
        [JINJA_T_LBRACKET] = "[", [JINJA_T_RBRACKET] = "]", [JINJA_T_LBRACE] = "{", [JINJA_T_RBRACE] = "}",
        [JINJA_T_DOT] = ".", [JINJA_T_COLON] = ":", [JINJA_T_PIPE] = "|", [JINJA_T_COMMA] = ",", [JINJA_T_SEMICOLON] = ";",
    };
    return names[type];
}

static char peek(const lexer *x, size_t ahead) { return x->at + ahead < x->size ? x->text[x->at + ahead] : 0; }

static void move(lexer *x, size_t n)
{
    for (size_t end = x->at + n; x->at < end; x->at++) x->line += x->text[x->at] == '\n';
}

static void skip_space(lexer *x) { move(x, jinja_space_prefix(x->text + x->at, x->size - x->at)); }

static cj_err add(lexer *x, jinja_token_type type, jinja_value value, int line)
{
    void *tokens = x->tokens;
    TRY(jinja_grow(x->work, &tokens, x->count, &x->capacity, sizeof *x->tokens));
    x->tokens = tokens;
    x->tokens[x->count++] = (jinja_token){.type = type, .line = line, .value = value};
    return CJ_OK;
}

static cj_err unclosed(lexer *x, int line, const char *what, const char *closer)
{
    x->work->line = line;
    return jinja_fail(x->work, CJ_E_INPUT, MSG_TEMPLATE_UNCLOSED, "%s" ARG "%s", what, closer);
}

/* After the closer of a block or comment whose sign was `sign`: what white space goes with it. */
static void trim_after(lexer *x, char sign)
{
    if (sign == '-') skip_space(x);
    else if (sign != '+' && peek(x, 0) == '\n') move(x, 1);
}

/* The bytes of text[from..to) that stay before a tag with this sign. */
static size_t keep_before(const lexer *x, size_t from, size_t to, char sign, bool print)
{
    const char *s = x->text + from;
    size_t n = to - from;
    if (sign == '-') return n - jinja_space_suffix(s, n);
    if (sign == '+' || print) return n;
    size_t line = n;
    while (line && s[line - 1] != '\n') line--;
    bool starts_line = line > 0 || from == 0 || x->text[from - 1] == '\n';
    return starts_line && jinja_space_prefix(s + line, n - line) == n - line ? line : n;
}

static cj_err add_text(lexer *x, size_t from, size_t n)
{
    int line = x->line;
    if (!n) return CJ_OK;
    return add(x, JINJA_T_TEXT, jinja_text(x->text + from, n), line);
}

/* ---- comments and raw sections ---- */

static cj_err comment(lexer *x)
{
    int line = x->line;
    const char *end = memmem(x->text + x->at, x->size - x->at, "#}", 2);
    if (!end) return unclosed(x, line, "{#", "#}");
    size_t n = (size_t)(end - (x->text + x->at));
    char sign = n ? end[-1] : 0;
    move(x, n + 2);
    trim_after(x, sign);
    return CJ_OK;
}

/* If a tag `{% word %}` stands at the position `at`, returns its length up to its closer, which follows, else 0. */
static size_t word_tag(const lexer *x, size_t at, const char *word, char *before)
{
    size_t i = at + 2, n = strlen(word);
    *before = i < x->size && (x->text[i] == '-' || x->text[i] == '+') ? x->text[i++] : 0;
    i += jinja_space_prefix(x->text + i, x->size - i);
    if (x->size - i < n || memcmp(x->text + i, word, n)) return 0;
    i += n;
    i += jinja_space_prefix(x->text + i, x->size - i);
    return i - at;
}

/* At the closer of a raw or endraw tag: its length with the sign, else 0. */
static size_t raw_closer(const lexer *x, size_t at, bool plus, char *sign)
{
    const char *s = x->text + at;
    size_t left = x->size - at;
    *sign = left >= 3 && (*s == '-' || (plus && *s == '+')) ? *s : 0;
    size_t i = *sign ? 1 : 0;
    return left >= i + 2 && s[i] == '%' && s[i + 1] == '}' ? i + 2 : 0;
}

/* Inside a raw section that began at `line`: everything up to endraw is text. */
static cj_err raw_section(lexer *x, int line)
{
    size_t from = x->at;
    for (size_t at = from;; at += 2) {
        const char *tag = memmem(x->text + at, x->size - at, "{%", 2);
        if (!tag) return unclosed(x, line, "raw", "endraw");
        at = (size_t)(tag - x->text);
        char before, after;
        size_t head = word_tag(x, at, "endraw", &before), tail = head ? raw_closer(x, at + head, true, &after) : 0;
        if (!tail) continue;
        TRY(add_text(x, from, keep_before(x, from, at, before, false)));
        move(x, at + head + tail - from);
        trim_after(x, after);
        return CJ_OK;
    }
}

/* ---- inside tags ---- */

static bool is_name_start(uint32_t cp) { return cp == '_' || jinja_is_letter(cp); }

static size_t name_length(const lexer *x)
{
    size_t n = 0;
    while (x->at + n < x->size) {
        uint32_t cp;
        int len = utf8_decode(x->text + x->at + n, x->size - x->at - n, &cp);
        if (!is_name_start(cp) && !(n && jinja_is_digit(cp))) break;
        n += (size_t)len;
    }
    return n;
}

static cj_err string(lexer *x)
{
    int line = x->line;
    char quote = peek(x, 0);
    size_t n = 1;
    while (peek(x, n) != quote) {
        if (x->at + n >= x->size) return unclosed(x, line, "\"", "\"");
        n += peek(x, n) == '\\' ? 2 : 1;
    }
    jinja_value v;
    x->work->line = line;
    TRY(jinja_unescape(x->work, x->text + x->at + 1, n - 1, &v));
    move(x, n + 1);
    return add(x, JINJA_T_CONSTANT, v, line);
}

static cj_err number(lexer *x)
{
    jinja_value v;
    x->work->line = x->line;
    bool after_dot = x->at && x->text[x->at - 1] == '.'; /* a.0.1 is two indices */
    size_t n = jinja_number_scan(x->text + x->at, x->size - x->at, !after_dot, &v);
    if (!n) return jinja_fail(x->work, CJ_E_INPUT, MSG_TEMPLATE_LITERAL, "%.*s",
                              jinja_shown_length(x->text + x->at, x->size - x->at, 24), x->text + x->at);
    TRY(add(x, JINJA_T_CONSTANT, v, x->line));
    move(x, n);
    return CJ_OK;
}

static const struct { char sign[3]; jinja_token_type type; } signs[] = {
    {"//", JINJA_T_FLOORDIV}, {"**", JINJA_T_POW}, {"==", JINJA_T_EQ}, {"!=", JINJA_T_NE}, {">=", JINJA_T_GE},
    {"<=", JINJA_T_LE}, {"+", JINJA_T_ADD}, {"-", JINJA_T_SUB}, {"/", JINJA_T_DIV}, {"*", JINJA_T_MUL}, {"%", JINJA_T_MOD},
    {"~", JINJA_T_TILDE}, {"[", JINJA_T_LBRACKET}, {"]", JINJA_T_RBRACKET}, {"(", JINJA_T_LPAREN}, {")", JINJA_T_RPAREN},
    {"{", JINJA_T_LBRACE}, {"}", JINJA_T_RBRACE}, {">", JINJA_T_GT}, {"<", JINJA_T_LT}, {"=", JINJA_T_ASSIGN},
    {".", JINJA_T_DOT}, {":", JINJA_T_COLON}, {"|", JINJA_T_PIPE}, {",", JINJA_T_COMMA}, {";", JINJA_T_SEMICOLON},
};

/* Keeps account of brackets: the closer of a tag counts only outside of them. */
static cj_err balance(lexer *x, char c)
{
    const char *opens = "([{", *closes = ")]}", *at;
    if ((at = memchr(opens, c, 3))) {
        if (x->open == BRACKETS_MAX) return jinja_fail(x->work, CJ_E_LIMIT, MSG_TEMPLATE_DEPTH, "%d", BRACKETS_MAX);
        x->brackets[x->open++] = closes[at - opens];
    } else if (memchr(closes, c, 3)) {
        if (!x->open || x->brackets[x->open - 1] != c)
            return jinja_fail(x->work, CJ_E_INPUT, MSG_TEMPLATE_UNEXPECTED, "%c" ARG "%c", c,
                              x->open ? x->brackets[x->open - 1] : '(');
        x->open--;
    }
    return CJ_OK;
}

static cj_err sign(lexer *x)
{
    x->work->line = x->line;
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        size_t n = strlen(signs[i].sign);
        if (x->size - x->at < n || memcmp(x->text + x->at, signs[i].sign, n)) continue;
        TRY(balance(x, *signs[i].sign));
        TRY(add(x, signs[i].type, jinja_none(), x->line));
        move(x, n);
        return CJ_OK;
    }
    uint32_t cp;
    int len = utf8_decode(x->text + x->at, x->size - x->at, &cp);
    return jinja_fail(x->work, CJ_E_INPUT, MSG_TEMPLATE_LITERAL, "%.*s", len, x->text + x->at);
}

/* The tokens of a tag up to and with its closer. `print`: {{ }}, else {% %}. */
static cj_err tag(lexer *x, bool print, int line)
{
    TRY(add(x, print ? JINJA_T_PRINT_BEGIN : JINJA_T_BLOCK_BEGIN, jinja_none(), line));
    x->open = 0;
    for (;;) {
        skip_space(x);
        if (x->at >= x->size) return unclosed(x, line, print ? "{{" : "{%", print ? "}}" : "%}");
        char c = peek(x, 0), mark = c == '-' || (c == '+' && !print) ? c : 0;
        size_t i = mark ? 1 : 0;
        if (!x->open && peek(x, i) == (print ? '}' : '%') && peek(x, i + 1) == '}') {
            TRY(add(x, print ? JINJA_T_PRINT_END : JINJA_T_BLOCK_END, jinja_none(), x->line));
            move(x, i + 2);
            if (print && mark) skip_space(x);
            if (!print) trim_after(x, mark);
            return CJ_OK;
        }
        size_t n = name_length(x);
        if (c >= '0' && c <= '9') TRY(number(x));
        else if (n) {
            TRY(add(x, JINJA_T_NAME, jinja_text(x->text + x->at, n), x->line));
            move(x, n);
        } else if (c == '"' || c == '\'') TRY(string(x));
        else TRY(sign(x));
    }
}

/* ---- the root ---- */

/* The first of {{ {% {# at or after `at`; x->size when there is none. */
static size_t find_opener(const lexer *x, size_t at)
{
    while (at < x->size) {
        const char *brace = memchr(x->text + at, '{', x->size - at);
        if (!brace) return x->size;
        at = (size_t)(brace - x->text);
        char c = at + 1 < x->size ? x->text[at + 1] : 0;
        if (c == '{' || c == '%' || c == '#') return at;
        at++;
    }
    return x->size;
}

static cj_err root(lexer *x)
{
    size_t from = x->at, opener = find_opener(x, from);
    if (opener == x->size) {
        TRY(add_text(x, from, opener - from));
        move(x, opener - from);
        return CJ_OK;
    }
    char kind = x->text[opener + 1], c = opener + 2 < x->size ? x->text[opener + 2] : 0;
    char mark = c == '-' || c == '+' ? c : 0;
    TRY(add_text(x, from, keep_before(x, from, opener, mark, kind == '{')));
    move(x, opener - from);
    int line = x->line;
    char before, after = 0;
    size_t head = kind == '%' ? word_tag(x, opener, "raw", &before) : 0, tail = head ? raw_closer(x, opener + head, false, &after) : 0;
    if (tail) {
        move(x, head + tail);
        if (after == '-') skip_space(x);
        return raw_section(x, line);
    }
    move(x, mark ? 3 : 2);
    return kind == '#' ? comment(x) : tag(x, kind == '{', line);
}

cj_err jinja_lex(jinja_work *w, const char *text, size_t n, jinja_token **out)
{
    lexer x = {.work = w, .text = text, .size = n, .line = 1};
    while (x.at < n) TRY(root(&x));
    TRY(add(&x, JINJA_T_END, jinja_none(), x.line));
    *out = x.tokens;
    return CJ_OK;
}

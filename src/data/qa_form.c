/* The form of questions and answers. */
#include "data/qa_form.h"

#include <string.h>

#include "base/utf8.h"

enum { FIRST_CHINESE = 0x2E80, REFUSAL_FAR = 24 }; /* a refusal stands among the first so many characters */

static const qa_words chinese = {"\n\n问：", "\n答：", "「", "」", "文中未提及"};
static const qa_words english = {"\n\nQuestion: ", "\nAnswer:", " “", "”", " The text does not say"};

const qa_words *qa_words_for(const char *question)
{
    uint32_t c;
    for (size_t n = strlen(question), at = 0; at < n;) {
        at += (size_t)utf8_decode(question + at, n - at, &c);
        if (c >= FIRST_CHINESE && c != UTF8_INVALID) return &chinese;
    }
    return &english;
}

static bool is_space(uint32_t c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == 0x3000 || c == 0xA0; }

/* Narrows [byte, end) to what lies between white space. */
static qa_piece trim(const char *text, size_t byte, size_t end)
{
    uint32_t c;
    qa_piece p = {end, end};
    for (size_t at = byte, n; at < end; at += n) {
        n = (size_t)utf8_decode(text + at, end - at, &c);
        if (is_space(c)) continue;
        if (p.byte == end) p.byte = at;
        p.end = at + n;
    }
    return p.byte == end ? (qa_piece){byte, byte} : p;
}

/* ---- writing ---- */

/* Appends a text trimmed, its line ends as spaces. */
static cj_err put_line(buf *out, const char *text, cj_diag *d)
{
    qa_piece p = trim(text, 0, strlen(text));
    size_t from = out->len;
    TRY(buf_append(out, text + p.byte, p.end - p.byte, d));
    for (size_t i = from; i < out->len; i++)
        if (out->data[i] == '\n' || out->data[i] == '\r') out->data[i] = ' ';
    return CJ_OK;
}

cj_err qa_put_question(buf *out, const char *question, cj_diag *d)
{
    const qa_words *w = qa_words_for(question);
    TRY(buf_puts(out, w->question, d));
    TRY(put_line(out, question, d));
    return buf_puts(out, w->answer, d);
}

cj_err qa_put_answer(buf *out, const char *question, const char *quote, const char *answer, cj_diag *d)
{
    const qa_words *w = qa_words_for(question);
    if (quote && *quote) {
        TRY(buf_puts(out, w->open, d));
        TRY(buf_puts(out, quote, d));
        TRY(buf_puts(out, w->close, d));
        TRY(buf_puts(out, "\n", d));
    } else if (w == &english) TRY(buf_puts(out, " ", d));
    return put_line(out, answer, d);
}

cj_err qa_encode(const tokenizer *t, bool first, const char *text, size_t n, token_list *out, cj_diag *d)
{
    const token_specials *s = tokenizer_specials(t);
    if (first && s->add_bos && s->bos >= 0) TRY(token_list_push(out, s->bos, 0, 0, d));
    return tokenizer_encode(t, text, n, TOKEN_VERBATIM | (first ? 0 : TOKEN_CONTINUES), out, d);
}

int32_t qa_end_token(const tokenizer *t)
{
    const token_specials *s = tokenizer_specials(t);
    return s->eot >= 0 ? s->eot : s->eos;
}

/* ---- reading ---- */

static bool starts(const char *text, size_t at, size_t end, const char *what)
{
    size_t n = strlen(what);
    return end - at >= n && !memcmp(text + at, what, n);
}

/* The mark of a row of marks, parted by spaces, that stands at `at`; 0: none, else its bytes. */
static size_t one_of(const char *text, size_t at, size_t end, const char *marks)
{
    for (const char *m = marks; *m;) {
        size_t n = strcspn(m, " ");
        if (end - at >= n && !memcmp(text + at, m, n)) return n;
        m += n + strspn(m + n, " ");
    }
    return 0;
}

static const char openers[] = "「 『 “ \" ‘ ﹁ «", closers[] = "」 』 ” \" ’ ﹂ »";

bool qa_refuses(const char *answer, size_t n)
{
    static const char said[] = "文中未提及 文中没有 文中并未 文中未 未提及 未說明 未说明 没有提到 沒有提到 没有提及 沒有提及 文章没有 文章未 原文未 原文没有 无法回答 無法回答";
    static const char *const in_english[] = {"does not say", "not mentioned", "doesn't say", "does not mention", "no answer in the text", NULL};
    uint32_t c;
    int chars = 0;
    for (size_t at = 0; at < n && chars < REFUSAL_FAR; chars++) {
        if (one_of(answer, at, n, openers)) return false; /* what follows is a quote */
        if (one_of(answer, at, n, said)) return true;
        for (int i = 0; in_english[i]; i++)
            if (starts(answer, at, n, in_english[i])) return true;
        at += (size_t)utf8_decode(answer + at, n - at, &c);
        if (c == '\n' && chars) return false;
    }
    return false;
}

/* Where the model goes on to something else. */
static size_t own_part(const char *text, size_t n)
{
    size_t at = 0;
    while (at < n && is_space((unsigned char)text[at])) at++;
    for (; at < n; at++) {
        if (text[at] != '\n') continue;
        size_t next = at + 1;
        if (starts(text, next, n, "\n") || starts(text, next, n, "\r\n") || starts(text, next, n, "问：") || starts(text, next, n, "問：") ||
            starts(text, next, n, "Question:"))
            return at;
    }
    return n;
}

/* The last closing mark in [at, end) that only white space follows there; else the first one; end: none. */
static size_t find_close(const char *text, size_t at, size_t end, size_t *mark)
{
    size_t first = end, last = end, first_n = 0, last_n = 0;
    for (size_t n; at < end; at += n) {
        n = one_of(text, at, end, closers);
        if (n) {
            if (first == end) first = at, first_n = n;
            last = at, last_n = n;
        } else {
            uint32_t c;
            n = (size_t)utf8_decode(text + at, end - at, &c);
            if (!is_space(c)) last = end;
        }
    }
    *mark = last < end ? last_n : first_n;
    return last < end ? last : first;
}

static size_t line_end(const char *text, size_t at, size_t end)
{
    const char *p = memchr(text + at, '\n', end - at);
    return p ? (size_t)(p - text) : end;
}

/* The answer in [at, end): without a word before it that says so, and without quotation marks around it. */
static qa_piece take_answer(const char *text, size_t at, size_t end)
{
    static const char labels[] = "答案是： 答案是 答案： 答案: 答： Answer: answer:";
    qa_piece p = trim(text, at, end);
    size_t n;
    while ((n = one_of(text, p.byte, p.end, closers))) p = trim(text, p.byte + n, p.end); /* left over from marks inside the quote */
    if ((n = one_of(text, p.byte, p.end, labels))) p = trim(text, p.byte + n, p.end);
    p.end = p.byte + (line_end(text, p.byte, p.end) - p.byte);
    p = trim(text, p.byte, p.end);
    size_t open = one_of(text, p.byte, p.end, openers), close = 0;
    for (size_t back = 1; open && back <= 3 && p.end - p.byte > open + back; back++)
        if (one_of(text, p.end - back, p.end, closers) == back) close = back;
    return close ? (qa_piece){p.byte + open, p.end - close} : p;
}

void qa_read(const char *text, size_t n, qa_written *out)
{
    qa_piece all = trim(text, 0, own_part(text, n));
    *out = (qa_written){.quote = {all.byte, all.byte}, .answer = all};
    if (qa_refuses(text + all.byte, all.end - all.byte)) {
        out->refused = out->ended = true;
        return;
    }
    size_t line = line_end(text, all.byte, all.end), open = all.byte, mark = 0;
    uint32_t c;
    while (open < line && !(mark = one_of(text, open, line, openers))) open += (size_t)utf8_decode(text + open, line - open, &c);
    if (!mark) {
        out->answer = take_answer(text, all.byte, all.end);
        return;
    }
    size_t begin = open + mark, close = find_close(text, begin, line, &mark);
    if (close == line) { /* a quote over several lines, or cut short */
        size_t later = begin;
        while (later < all.end && !(mark = one_of(text, later, all.end, closers))) later += (size_t)utf8_decode(text + later, all.end - later, &c);
        close = later;
    }
    out->ended = close < all.end;
    out->quote = trim(text, begin, close);
    out->answer = out->ended ? take_answer(text, close + mark, all.end) : (qa_piece){all.end, all.end};
}

/* Answers that quote. */
#include "reader/quoting.h"

#include <string.h>

static const char opens[] = "「", closes[] = "」\n";
enum { OPENS = sizeof opens - 1, CLOSES = sizeof closes - 1 };

/* Where s[0..n) stands in the passage; NULL: nowhere. */
static const char *find(const quoting *q, const char *s, size_t n) { return n > QUOTING_QUOTE_MAX ? NULL : memmem(q->passage, q->bytes, s, n); }

/* Whether body[0..n) is a quote that was closed, and what may be, or is, an answer from it. The passage may have the closing mark itself, so each is tried. */
static bool is_answered(const quoting *q, const char *body, size_t n, bool ended, size_t *closed)
{
    for (size_t i = 1; i + CLOSES <= n; i++) {
        if (memcmp(body + i, closes, CLOSES)) continue;
        const char *answer = body + i + CLOSES;
        const size_t len = n - i - CLOSES;
        *closed = i;
        if ((len || !ended) && !memchr(answer, '\n', len) && find(q, body, i) && memmem(body, i, answer, len)) return true;
    }
    return false;
}

/* Whether body[0..n) is the beginning of a quote, perhaps with a part of what closes it. */
static bool is_quoting(const quoting *q, const char *body, size_t n)
{
    if (find(q, body, n)) return true;
    for (size_t mark = 1; mark < CLOSES && mark < n; mark++)
        if (!memcmp(body + n - mark, closes, mark) && find(q, body, n - mark)) return true;
    return false;
}

bool quoting_fits(const quoting *q, const char *text, size_t n, bool ended)
{
    const size_t absent = strlen(q->absent);
    size_t closed;
    if (n <= absent && !memcmp(text, q->absent, n) && (!ended || n == absent)) return true;
    if (n < OPENS) return !ended && !memcmp(text, opens, n);
    if (memcmp(text, opens, OPENS)) return false;
    return is_answered(q, text + OPENS, n - OPENS, ended, &closed) || (!ended && is_quoting(q, text + OPENS, n - OPENS));
}

bool quoting_parse(const quoting *q, const char *text, size_t n, quoted *out)
{
    size_t closed;
    if (n < OPENS || memcmp(text, opens, OPENS) || !is_answered(q, text + OPENS, n - OPENS, true, &closed)) return false;
    *out = (quoted){.quote = OPENS, .quote_end = OPENS + closed, .answer = OPENS + closed + CLOSES, .answer_end = n,
                    .at = (size_t)(find(q, text + OPENS, closed) - q->passage)};
    return true;
}

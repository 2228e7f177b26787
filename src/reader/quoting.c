/* Answers that quote. */
#include "reader/quoting.h"

#include <math.h>
#include <string.h>

#include "base/utf8.h"

enum { MARK_MAX = 16 };

static bool begins(const char *text, size_t n, const char *with) { return n <= strlen(with) && !memcmp(text, with, n); }

/* Whether s[0..n) stands in a piece, and where. */
static bool stands(const quoting *q, const char *s, size_t n, quoted *out)
{
    for (int i = 0; i < q->n && n <= QUOTING_QUOTE_MAX; i++) {
        const char *at = memmem(q->pieces[i].text, q->pieces[i].bytes, s, n);
        if (!at) continue;
        out->piece = i;
        out->at = (size_t)(at - q->pieces[i].text);
        out->end = out->at + n;
        return true;
    }
    return false;
}

/* What closes a quote: the mark and a line end. Returns its bytes. */
static size_t closing(const quoting *q, char mark[MARK_MAX])
{
    const size_t n = strlen(q->words->close);
    memcpy(mark, q->words->close, n);
    mark[n] = '\n';
    return n + 1;
}

/* Both may begin with a space. */
bool quoting_refuses(const quoting *q, const char *text, size_t n) { return begins(text, n, q->words->refusal) && !begins(text, n, q->words->open); }

/* Text that was quoted may have the closing mark in it, so each is tried. */
bool quoting_closed(const quoting *q, const char *text, size_t n, bool ended, quoted *out)
{
    char mark[MARK_MAX];
    const size_t opens = strlen(q->words->open), closes = closing(q, mark);
    if (n < opens || memcmp(text, q->words->open, opens)) return false;
    const char *body = text + opens;
    for (size_t i = 1; opens + i + closes <= n; i++) {
        if (memcmp(body + i, mark, closes)) continue;
        const char *answer = body + i + closes;
        const size_t len = n - opens - i - closes;
        out->answer = (size_t)(answer - text);
        if (ended && (!len || utf8_valid_prefix(answer, len) < len)) continue;
        if (!memchr(answer, '\n', len) && memmem(body, i, answer, len) && stands(q, body, i, out)) return true;
    }
    return false;
}

/* Where body[0..n) is the beginning of a quote, perhaps with a part of what closes it: the bytes without that part; 0 where it is not. */
static size_t quote_begun(const quoting *q, const char *body, size_t n)
{
    char mark[MARK_MAX];
    quoted where;
    const size_t closes = closing(q, mark);
    if (stands(q, body, n, &where)) return n;
    for (size_t part = 1; part < closes && part < n; part++)
        if (!memcmp(body + n - part, mark, part) && stands(q, body, n - part, &where)) return n - part;
    return 0;
}

bool quoting_fits(const quoting *q, const char *text, size_t n, bool ended)
{
    quoted where;
    const size_t opens = strlen(q->words->open);
    if (begins(text, n, q->words->refusal) && (!ended || n == strlen(q->words->refusal))) return true;
    if (n <= opens) return !ended && begins(text, n, q->words->open);
    if (memcmp(text, q->words->open, opens)) return false;
    return quoting_closed(q, text, n, ended, &where) || (!ended && quote_begun(q, text + opens, n - opens));
}

/* Of the best place where s[0..n) stands. */
static float best_lean(const quoting *q, const char *s, size_t n)
{
    float best = -INFINITY;
    for (int64_t i = 0; i < q->n_leans; i++) {
        const quoting_lean *l = &q->leans[i];
        const char *piece = q->pieces[l->piece].text;
        const size_t last = i64_min((int64_t)(l->end + n - 1), (int64_t)q->pieces[l->piece].bytes);
        if (l->lean > best && memmem(piece + l->at, last - l->at, s, n)) best = l->lean;
    }
    return isfinite(best) ? best : -1; /* between the stretches */
}

float quoting_weigh(const quoting *q, const char *text, size_t n, bool ended)
{
    quoted where;
    const size_t opens = strlen(q->words->open);
    if (!quoting_fits(q, text, n, ended)) return -INFINITY;
    if (!q->n_leans || n <= opens || memcmp(text, q->words->open, opens)) return 0;
    const bool closed = quoting_closed(q, text, n, ended, &where);
    return q->weight * best_lean(q, text + opens, closed ? where.end - where.at : quote_begun(q, text + opens, n - opens));
}

/* Scoring short answers. */
#include "data/measure.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "data/qa_form.h"

enum { LETTERS_MAX = 1 << 16 }; /* of an answer; what goes beyond is not looked at */

typedef struct letters {
    uint32_t *at; /* [n] */
    int64_t n;
} letters;

static bool counts(uint32_t c)
{
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO) || (k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO);
}

static cj_err take_letters(letters *l, const char *text, size_t n, cj_diag *d)
{
    uint32_t c;
    size_t most = n < LETTERS_MAX ? n : LETTERS_MAX;
    *l = (letters){mem_alloc((most + 1) * sizeof *l->at), 0};
    if (!l->at) return diag_nomem(d, (most + 1) * sizeof *l->at);
    for (size_t at = 0; at < n && l->n < LETTERS_MAX;) {
        at += (size_t)utf8_decode(text + at, n - at, &c);
        if (c != UTF8_INVALID && counts(c)) l->at[l->n++] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
    }
    return CJ_OK;
}

static bool same(const letters *a, const letters *b) { return a->n == b->n && !memcmp(a->at, b->at, (size_t)a->n * sizeof *a->at); }

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Both are sorted. */
static double shared_f1(const letters *a, const letters *b)
{
    int64_t common = 0;
    for (int64_t i = 0, j = 0; i < a->n && j < b->n;) {
        if (a->at[i] == b->at[j]) common++, i++, j++;
        else if (a->at[i] < b->at[j]) i++;
        else j++;
    }
    return common ? 2.0 * (double)common / (double)(a->n + b->n) : 0;
}

static cj_err compare(const letters *given, const letters *sorted, const char *known, answer_score *best, cj_diag *d)
{
    letters k;
    TRY(take_letters(&k, known, strlen(known), d));
    if (same(given, &k)) best->exact = 1;
    qsort(k.at, (size_t)k.n, sizeof *k.at, by_value);
    double f1 = shared_f1(sorted, &k);
    if (f1 > best->f1) best->f1 = f1;
    mem_free(k.at);
    return CJ_OK;
}

cj_err measure_answer(const char *given, size_t n, const char *const *known, int n_known, answer_score *out, cj_diag *d)
{
    letters g, sorted = {0};
    answer_score best = {0};
    TRY(take_letters(&g, given, n, d));
    cj_err e = take_letters(&sorted, given, n, d);
    if (!e) qsort(sorted.at, (size_t)sorted.n, sizeof *sorted.at, by_value);
    for (int i = 0; !e && i < n_known; i++) e = compare(&g, &sorted, known[i], &best, d);
    mem_free(g.at);
    mem_free(sorted.at);
    if (!e) *out = best;
    return e;
}

static bool holds(const char *text, qa_piece p, const char *what, size_t n) { return n && memmem(text + p.byte, p.end - p.byte, what, n) != NULL; }

cj_err measure_written(answer_tally *t, const char *passage, const char *written, const char *const *known, int n_known, cj_diag *d)
{
    qa_written w;
    answer_score s = {0};
    qa_read(written, strlen(written), &w);
    size_t quote = w.quote.end - w.quote.byte, answer = w.answer.end - w.answer.byte;
    qa_piece said = answer || !quote ? w.answer : w.quote; /* a quote alone is an answer too */
    if (n_known && !w.refused) TRY(measure_answer(written + said.byte, said.end - said.byte, known, n_known, &s, d));
    t->answerable += n_known > 0;
    t->unanswerable += n_known == 0;
    t->refused += w.refused && !n_known;
    t->refused_wrongly += w.refused && n_known;
    t->exact += s.exact;
    t->f1 += s.f1;
    if (w.refused || !quote) return CJ_OK;
    t->quoted++;
    t->verbatim += memmem(passage, strlen(passage), written + w.quote.byte, quote) != NULL;
    t->answer_in_quote += holds(written, w.quote, written + w.answer.byte, answer);
    for (int i = 0; i < n_known; i++)
        if (holds(written, w.quote, known[i], strlen(known[i]))) {
            t->quote_holds++;
            break;
        }
    return CJ_OK;
}

/* Comparing answers, letter by letter: Chinese is not cut into words, so figures do not depend on a dictionary. */
#include "eval/score.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"

enum { LETTERS_MAX = 1 << 14, NUMBERS_MAX = 4096, NUMBER_MAX = 1000000000 }; /* of an answer; what goes beyond is not looked at */

typedef struct letters {
    uint32_t *at; /* [n] folded */
    int64_t n;
} letters;

static bool counts(uint32_t c)
{
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_NO) || k == UTF8PROC_CATEGORY_SO;
}

static cj_err fold(letters *l, const char *text, size_t n, cj_diag *d)
{
    uint32_t c;
    *l = (letters){mem_array(LETTERS_MAX, sizeof *l->at), 0};
    if (!l->at) return diag_nomem(d, LETTERS_MAX * sizeof *l->at);
    for (size_t at = 0; at < n && l->n < LETTERS_MAX;) {
        at += (size_t)utf8_decode(text + at, n - at, &c);
        if (c >= 0xFF01 && c <= 0xFF5E) c -= 0xFEE0; /* full width */
        if (c != UTF8_INVALID && counts(c)) l->at[l->n++] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
    }
    return CJ_OK;
}

static bool contains(const letters *all, const letters *part)
{
    if (!part->n) return false;
    for (int64_t i = 0; i + part->n <= all->n; i++)
        if (memcmp(all->at + i, part->at, (size_t)part->n * sizeof *part->at) == 0) return true;
    return false;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double harmonic(double same, int64_t a, int64_t b) { return same > 0 ? 2 * same / (double)(a + b) : 0; }

/* Sorts both. */
static double letters_f1(letters *a, letters *b)
{
    int64_t same = 0;
    qsort(a->at, (size_t)a->n, sizeof *a->at, by_value);
    qsort(b->at, (size_t)b->n, sizeof *b->at, by_value);
    for (int64_t i = 0, j = 0; i < a->n && j < b->n;) {
        if (a->at[i] == b->at[j]) same++, i++, j++;
        else if (a->at[i] < b->at[j]) i++;
        else j++;
    }
    return harmonic((double)same, a->n, b->n);
}

/* The longest common subsequence of two rows of numbers; row[n_b + 1] is scratch, zero. */
static int64_t longest_common(const uint32_t *a, int64_t n_a, const uint32_t *b, int64_t n_b, int32_t *row)
{
    for (int64_t i = 0; i < n_a; i++) {
        int32_t before = 0;
        for (int64_t j = 0; j < n_b; j++) {
            int32_t above = row[j + 1];
            row[j + 1] = a[i] == b[j] ? before + 1 : above > row[j] ? above : row[j];
            before = above;
        }
    }
    return row[n_b];
}

static cj_err common(const letters *a, const letters *b, int64_t *n, cj_diag *d)
{
    int32_t *row = mem_array((size_t)b->n + 1, sizeof *row);
    if (!row) return diag_nomem(d, ((size_t)b->n + 1) * sizeof *row);
    *n = longest_common(a->at, a->n, b->at, b->n, row);
    mem_free(row);
    return CJ_OK;
}

/* The whole numbers in a text, in Arabic digits. */
static cj_err read_numbers(letters *l, const char *text, size_t n, cj_diag *d)
{
    uint32_t c;
    bool inside = false;
    *l = (letters){mem_array(NUMBERS_MAX, sizeof *l->at), 0};
    if (!l->at) return diag_nomem(d, NUMBERS_MAX * sizeof *l->at);
    for (size_t at = 0; at < n && l->n < NUMBERS_MAX;) {
        at += (size_t)utf8_decode(text + at, n - at, &c);
        if (c >= 0xFF10 && c <= 0xFF19) c -= 0xFEE0;
        bool digit = c >= '0' && c <= '9';
        if (digit && !inside) l->at[l->n++] = 0;
        uint32_t *v = digit ? &l->at[l->n - 1] : NULL;
        if (v && *v < NUMBER_MAX / 10) *v = *v * 10 + c - '0';
        inside = digit;
    }
    return CJ_OK;
}

/* ---- one known answer ---- */

static cj_err score_letters(eval_metric m, const char *known, const char *answer, size_t n, double *score, cj_diag *d)
{
    letters a = {0}, k = {0};
    int64_t same = 0;
    cj_err e = fold(&a, answer, n, d);
    if (!e) e = fold(&k, known, strlen(known), d);
    if (!e && (m == METRIC_ANY || m == METRIC_ALL)) *score = contains(&a, &k);
    else if (!e && m == METRIC_F1) *score = letters_f1(&a, &k);
    else if (!e) {
        e = common(&a, &k, &same, d);
        *score = harmonic((double)same, a.n, k.n);
    }
    mem_free(a.at);
    mem_free(k.at);
    return e;
}

/* ---- rows of numbers ---- */

static cj_err score_numbers(const eval_question *q, const char *answer, size_t n, double *score, cj_diag *d)
{
    letters told = {0}, known = {mem_array((size_t)q->n_answers, sizeof *known.at), q->n_answers};
    cj_err e = known.at ? read_numbers(&told, answer, n, d) : diag_nomem(d, (size_t)q->n_answers * sizeof *known.at);
    for (int i = 0; !e && i < q->n_answers; i++) known.at[i] = (uint32_t)strtoul(q->answer[i], NULL, 10);
    if (!e && q->metric == METRIC_NUMBER) *score = told.n && q->n_answers && told.at[0] == known.at[0];
    if (!e && q->metric == METRIC_ORDER) {
        int64_t same = 0;
        e = common(&told, &known, &same, d);
        *score = q->n_answers ? (double)same / q->n_answers : 0;
    }
    mem_free(told.at);
    mem_free(known.at);
    return e;
}

cj_err score_answer(const eval_question *q, const char *answer, size_t n, double *score, cj_diag *d)
{
    double best = 0, sum = 0;
    if (q->metric == METRIC_ORDER || q->metric == METRIC_NUMBER) return score_numbers(q, answer, n, score, d);
    for (int i = 0; i < q->n_answers; i++) {
        double s = 0;
        TRY(score_letters(q->metric, q->answer[i], answer, n, &s, d));
        best = s > best ? s : best;
        sum += s;
    }
    *score = q->metric == METRIC_ALL ? (q->n_answers ? sum / q->n_answers : 0) : best;
    return CJ_OK;
}

/* Leaning by the question's words. */
#include "reader/leaning.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "reader/passages.h"

enum { RUN = 2 /* letters at most, of 21 bits each */, LETTER_BITS = 21 };

/* Runs of letters of the question. */
typedef struct runs {
    uint64_t *key;        /* [n] rising */
    int64_t *last;        /* [n] the sentence it stood in last; -1: none */
    int64_t *sentences;   /* [n] how many it stands in */
    int64_t n;
} runs;

/* The last letters of a text, while it is gone through. */
typedef struct tail {
    uint64_t key[RUN]; /* of the last 1, 2 letters */
    int length;        /* so many of them there are */
} tail;

static bool is_letter(uint32_t c)
{
    const utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_NO;
}

/* Goes on by the character at s; returns its bytes. */
static int go_on(tail *t, const char *s, size_t n)
{
    uint32_t c;
    const int len = utf8_decode(s, n, &c);
    if (c == UTF8_INVALID || !is_letter(c)) {
        t->length = 0;
        return len;
    }
    const uint64_t low = (uint64_t)(uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
    for (int i = RUN - 1; i > 0; i--) t->key[i] = t->key[i - 1] << LETTER_BITS | low;
    t->key[0] = low;
    if (t->length < RUN) t->length++;
    return len;
}

static int by_key(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static cj_err take_runs(runs *r, const char *question, cj_diag *d)
{
    const size_t n = strlen(question), most = n * RUN + 1;
    tail t = {0};
    *r = (runs){mem_array(most, sizeof *r->key), mem_array(most, sizeof *r->last), mem_array(most, sizeof *r->sentences), 0};
    if (!r->key || !r->last || !r->sentences) return diag_nomem(d, most * sizeof *r->key);
    int64_t all = 0;
    for (size_t at = 0; at < n;) {
        at += (size_t)go_on(&t, question + at, n - at);
        for (int i = 0; i < t.length; i++) r->key[all++] = t.key[i];
    }
    qsort(r->key, (size_t)all, sizeof *r->key, by_key);
    for (int64_t i = 0; i < all; i++)
        if (!i || r->key[i] != r->key[i - 1]) r->key[r->n++] = r->key[i];
    return CJ_OK;
}

/* What stands in a sentence is counted (sum NULL), or scored. */
static void look(runs *r, const char *s, size_t n, int64_t sentence, int64_t sentences, double *sum)
{
    tail t = {0};
    for (size_t at = 0; at < n;) {
        at += (size_t)go_on(&t, s + at, n - at);
        for (int i = 0; i < t.length; i++) {
            const uint64_t *found = bsearch(&t.key[i], r->key, (size_t)r->n, sizeof *r->key, by_key);
            const int64_t k = found ? found - r->key : -1;
            if (k < 0 || r->last[k] == sentence) continue;
            r->last[k] = sentence;
            if (!sum) r->sentences[k]++;
            else *sum += log(1 + (double)sentences / (double)r->sentences[k]);
        }
    }
}

static void score_all(runs *r, const quoting_piece *pieces, quoting_lean *l, int64_t n)
{
    float best = 0;
    for (int pass = 0; pass < 2; pass++) {
        memset(r->last, -1, (size_t)r->n * sizeof *r->last);
        for (int64_t i = 0; i < n; i++) {
            double sum = 0;
            look(r, pieces[l[i].piece].text + l[i].at, l[i].end - l[i].at, i, n, pass ? &sum : NULL);
            l[i].lean = (float)sum;
            best = fmaxf(best, l[i].lean);
        }
    }
    for (int64_t i = 0; i < n; i++) l[i].lean = best > 0 ? l[i].lean / best - 1 : 0;
}

/* A piece's sentences are added. */
static cj_err cut(const quoting_piece *pieces, int piece, quoting_lean **l, int64_t *n, cj_diag *d)
{
    passage_list sentences = {0};
    cj_err e = passages_cut(pieces[piece].text, pieces[piece].bytes, &sentences, d);
    const size_t had = (size_t)*n * sizeof **l, more = (size_t)(*n + sentences.n) * sizeof **l;
    quoting_lean *all = e ? NULL : mem_grow(*l, had, more + sizeof **l);
    if (!e && !all) e = diag_nomem(d, more);
    if (!e) {
        *l = all;
        for (int64_t i = 0; i < sentences.n; i++) all[(*n)++] = (quoting_lean){piece, sentences.item[i].byte, sentences.item[i].end, 0};
    }
    passages_deinit(&sentences);
    return e;
}

cj_err leaning_make(const quoting_piece *pieces, int n_pieces, const char *question, quoting_lean **out, int64_t *n, cj_diag *d)
{
    runs r = {0};
    quoting_lean *l = NULL;
    *n = 0;
    cj_err e = take_runs(&r, question, d);
    for (int i = 0; !e && i < n_pieces; i++) e = cut(pieces, i, &l, n, d);
    if (!e) score_all(&r, pieces, l, *n);
    mem_free(r.key);
    mem_free(r.last);
    mem_free(r.sentences);
    if (e) mem_free(l);
    *out = e ? NULL : l;
    return e;
}

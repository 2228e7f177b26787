/* Planting. */
#include "eval/plant.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

enum { SHARE_MAX = 2 }; /* what is planted makes up at most one part in so many of the text */

typedef struct spots {
    size_t *at; /* [n] bytes of the haystack where a sentence ends */
    int64_t n, cap;
} spots;

static cj_err add_spot(spots *s, size_t at, cj_diag *d)
{
    if (s->n == s->cap) {
        int64_t more = s->cap ? 2 * s->cap : 1024;
        size_t *grown = mem_grow(s->at, (size_t)s->cap * sizeof *grown, (size_t)more * sizeof *grown);
        if (!grown) return diag_nomem(d, (size_t)more * sizeof *grown);
        s->at = grown;
        s->cap = more;
    }
    s->at[s->n++] = at;
    return CJ_OK;
}

static bool ends_sentence(uint32_t c) { return c == 0x3002 || c == 0xFF01 || c == 0xFF1F || c == 0x2026 || c == '!' || c == '?'; }
static bool closes(uint32_t c) { return c == 0x201D || c == 0x2019 || c == 0x300D || c == 0x300F || c == 0xFF09 || c == 0x300B || c == ')' || c == '"'; }

/* The ends of sentences, with the quotation marks that close after them: not a heading's, not an empty line's. */
static cj_err find_spots(spots *s, const char *text, size_t bytes, cj_diag *d)
{
    bool ended = false;
    uint32_t c;
    for (size_t at = 0; at < bytes;) {
        size_t n = (size_t)utf8_decode(text + at, bytes - at, &c);
        if (ended && !closes(c) && !ends_sentence(c)) {
            TRY(add_spot(s, at, d));
            ended = false;
        }
        if (ends_sentence(c)) ended = true;
        at += n;
    }
    return ended ? add_spot(s, bytes, d) : CJ_OK;
}

/* The first `chars` characters in bytes; -1 when there are fewer. */
static int64_t bytes_of(const char *text, size_t bytes, int64_t chars)
{
    uint32_t c;
    size_t at = 0;
    for (; chars > 0 && at < bytes; chars--) at += (size_t)utf8_decode(text + at, bytes - at, &c);
    return chars > 0 ? -1 : (int64_t)at;
}

/* The free spot nearest to byte `want`; below first. -1: none is free. */
static int64_t nearest_free(const spots *s, const bool *taken, size_t want)
{
    int64_t low = 0, high = s->n;
    while (low < high) {
        int64_t mid = (low + high) / 2;
        if (s->at[mid] < want) low = mid + 1;
        else high = mid;
    }
    for (int64_t down = low - 1, up = low; down >= 0 || up < s->n;) {
        bool below = up >= s->n || (down >= 0 && want - s->at[down] <= s->at[up] - want);
        int64_t i = below ? down-- : up++;
        if (!taken[i]) return i;
    }
    return -1;
}

/* who[spot]: the item planted there, + 1. */
static cj_err choose_spots(const spots *s, size_t bytes, const plant_item *items, int n, int *who, cj_diag *d)
{
    bool *taken = mem_array((size_t)s->n, sizeof *taken);
    cj_err e = taken ? CJ_OK : diag_nomem(d, (size_t)s->n);
    for (int i = 0; !e && i < n; i++) {
        int64_t spot = nearest_free(s, taken, (size_t)(items[i].depth * (double)bytes));
        if (spot < 0) e = diag_fail(d, CJ_E_INPUT, MSG_EVAL_FULL, "%d" ARG "%lld", n, (long long)s->n);
        else taken[spot] = true, who[spot] = i + 1;
    }
    mem_free(taken);
    return e;
}

static cj_err write_text(eval_task *t, const char *text, size_t bytes, const spots *s, const int *who, plant_item *items, cj_diag *d)
{
    size_t from = 0;
    for (int64_t i = 0; i < s->n; i++) {
        if (!who[i]) continue;
        plant_item *p = &items[who[i] - 1];
        TRY(buf_append(&t->text, text + from, s->at[i] - from, d));
        p->placed.byte = t->text.len;
        TRY(buf_puts(&t->text, p->text, d));
        p->placed.end = t->text.len;
        from = s->at[i];
    }
    TRY(buf_append(&t->text, text + from, bytes - from, d));
    t->chars = (int64_t)utf8_count(t->text.data, t->text.len);
    return CJ_OK;
}

cj_err plant_items(eval_task *t, const char *haystack, size_t bytes, int64_t chars, plant_item *items, int n, cj_diag *d)
{
    int64_t planted = 0;
    if (n > PLANT_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "planted sentences", PLANT_MAX);
    for (int i = 0; i < n; i++) planted += (int64_t)utf8_count(items[i].text, strlen(items[i].text));
    if (planted > chars / SHARE_MAX)
        return diag_fail(d, CJ_E_INPUT, MSG_EVAL_CROWDED, "%d" ARG "%lld" ARG "%lld", n, (long long)planted, (long long)chars);
    int64_t cut = bytes_of(haystack, bytes, chars - planted);
    if (cut < 0)
        return diag_fail(d, CJ_E_INPUT, MSG_EVAL_SHORT, "%lld" ARG "%lld", (long long)utf8_count(haystack, bytes), (long long)(chars - planted));
    spots s = {0};
    cj_err e = find_spots(&s, haystack, (size_t)cut, d);
    int *who = e ? NULL : mem_array((size_t)s.n, sizeof *who);
    if (!e && !who) e = diag_nomem(d, (size_t)s.n * sizeof *who);
    if (!e) e = choose_spots(&s, (size_t)cut, items, n, who, d);
    if (!e) e = write_text(t, haystack, (size_t)cut, &s, who, items, d);
    mem_free(who);
    mem_free(s.at);
    return e;
}

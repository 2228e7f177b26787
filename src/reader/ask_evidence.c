/* Evidence: from passages that were found to quotes of documents, and to what is read again. */
#include <stdlib.h>
#include <string.h>

#include "reader/asker.h"

enum {
    EVIDENCE_DEFAULT = 3,
    CONTEXT_CHARS = 120, /* what is read again before and after a passage */
};
#define ALL_SHARE 0.6f /* of the best score: what comes closer bears on the question too */

#define NO_SCORE (-1.0f)

/* By the way that found it, the better one where both did. */
static float score_of(const found_passage *found) { return found->reading > found->index ? found->reading : found->index; }

/* All attention to a text of one passage falls on it, whatever is asked: that says nothing of it. */
static float told_score(const book *b, const found_passage *found) { return b->passages.n == 1 && found->by == FIND_READING ? NO_SCORE : score_of(found); }

static ask_evidence evidence_at(const asker *a, const ask_range *r, int by, float score)
{
    const book *b = a->sources[r->source].book;
    int doc = book_document_of(b, r->byte);
    const document *from = b->docs[doc];
    size_t byte = r->byte - b->begin[doc], end = r->end - b->begin[doc];
    return (ask_evidence){
        .source = r->source, .document = doc, .byte = byte, .end_byte = end, .start = document_char_at(from, byte), .end = document_char_at(from, end),
        .chapter = document_chapter_of(from, byte), .article = document_article_of(from, byte), .page = document_page_of(from, byte),
        .paragraph = document_paragraph_of(from, byte), .found_by = by, .score = score,
        .verified = end <= document_bytes(from) && !memcmp(document_text(from) + byte, b->text.data + r->byte, end - byte),
    };
}

static ask_range range_of(const asker *a, const found_passage *found)
{
    const passage *p = &a->sources[found->source].book->passages.item[found->passage];
    return (ask_range){found->source, p->byte, p->end};
}

static ask_evidence evidence_of(const asker *a, const found_passage *found)
{
    const ask_range r = range_of(a, found);
    return evidence_at(a, &r, found->by, told_score(a->sources[found->source].book, found));
}

static bool overlap(const ask_range *x, const ask_range *y) { return x->source == y->source && x->byte < y->end && y->byte < x->end; }

/* Whether a passage bears on the question: both ways found it, or one did and it is not far behind the best that this way found. */
static bool bears(const asker *a, const found_passage *found)
{
    float best = 0;
    for (int i = 0; i < a->n_found; i++)
        if (a->found[i].by & found->by && score_of(&a->found[i]) > best) best = score_of(&a->found[i]);
    return found->by == FIND_BOTH || score_of(found) >= ALL_SHARE * best;
}

static int by_place(const void *a, const void *b)
{
    const found_passage *x = a, *y = b;
    if (x->source != y->source) return x->source < y->source ? -1 : 1;
    return (x->passage > y->passage) - (x->passage < y->passage);
}

/* All that bear on the question, in the order of the text. */
static int take_all(asker *a)
{
    found_passage all[FINDER_FOUND_MAX];
    int n = 0;
    for (int i = 0; i < a->n_found; i++)
        if (bears(a, &a->found[i])) all[n++] = a->found[i];
    qsort(all, (size_t)n, sizeof *all, by_place);
    for (int i = 0; i < n; i++) a->out->evidence[i] = evidence_of(a, &all[i]);
    return n;
}

/* A quote, found by what found the passage it is from. */
static ask_evidence evidence_quoted(const asker *a, const ask_range *quote)
{
    for (int i = 0; i < a->n_found; i++) {
        const ask_range r = range_of(a, &a->found[i]);
        if (overlap(&r, quote)) return evidence_at(a, quote, a->found[i].by, told_score(a->sources[r.source].book, &a->found[i]));
    }
    return evidence_at(a, quote, FIND_READING, NO_SCORE);
}

/* Of each source the best `most`; best first over all, after the quote, and none that it is from. */
static int take_some(asker *a, int most, const ask_range *quote)
{
    int taken[SEARCH_SOURCES_MAX] = {0}, n = 0;
    if (quote) {
        a->out->evidence[n++] = evidence_quoted(a, quote);
        taken[quote->source]++;
    }
    for (int i = 0; i < a->n_found; i++) {
        const ask_range r = range_of(a, &a->found[i]);
        if (quote && overlap(&r, quote)) continue;
        if (taken[r.source] >= most) continue;
        taken[r.source]++;
        a->out->evidence[n++] = evidence_of(a, &a->found[i]);
    }
    return n;
}

void ask_take_evidence(asker *a, const ask_range *quote)
{
    a->phase = ASK_ANSWERING; /* what is still read belongs to the answer: the caller may be showing it from here on */
    int n = a->opt->all ? take_all(a) : take_some(a, a->opt->evidence ? a->opt->evidence : EVIDENCE_DEFAULT, quote);
    a->out->n_evidence = n;
    if (a->opt->on_evidence) a->opt->on_evidence(a->opt->arg, a->out->evidence, n);
}

/* ---- what is read again ---- */

/* Those of one source, in its order, with CONTEXT_CHARS of their document before and after. */
static int ranges_of_source(const asker *a, int source, int most, ask_range *out)
{
    const book *b = a->sources[source].book;
    const passage *p = b->passages.item;
    size_t done = 0, reach = CONTEXT_CHARS * 3; /* bytes, as Chinese has them; before `done` all has been taken */
    int n = 0;
    for (int64_t i = 0; i < b->passages.n; i++) {
        bool chosen = false;
        for (int k = 0; k < most; k++) chosen |= a->found[k].source == source && a->found[k].passage == i;
        if (!chosen) continue;
        const int doc = book_document_of(b, p[i].byte);
        int64_t from = i, to = i;
        while (from > 0 && p[from - 1].byte >= b->begin[doc] && p[i].byte - p[from - 1].byte <= reach) from--;
        while (to + 1 < b->passages.n && p[to + 1].end <= b->begin[doc + 1] && p[to + 1].end - p[i].end <= reach) to++;
        const size_t byte = p[from].byte > done ? p[from].byte : done;
        if (byte < p[to].end) out[n++] = (ask_range){source, byte, done = p[to].end};
    }
    return n;
}

int ask_ranges(const asker *a, ask_portion portion, ask_range out[ASK_REREAD_MAX])
{
    const int most = ask_reread(a, portion);
    int n = 0;
    for (int i = 0; portion == ASK_CONTEXT && i < a->n_sources; i++) n += ranges_of_source(a, i, most, out + n);
    for (int i = most; portion != ASK_CONTEXT && i-- > 0;) out[n++] = range_of(a, &a->found[i]);
    return n;
}

cj_err ask_gather(const asker *a, const ask_range *ranges, int n, buf *text, cj_diag *d)
{
    buf_clear(text);
    for (int i = 0; i < n; i++) {
        const ask_range *r = &ranges[i];
        if (text->len) TRY(buf_puts(text, "\n", d));
        TRY(buf_append(text, a->sources[r->source].book->text.data + r->byte, r->end - r->byte, d));
    }
    return CJ_OK;
}

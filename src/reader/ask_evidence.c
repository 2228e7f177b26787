/* Evidence: from passages that were found to quotes of documents, and to what is read again. */
#include <stdlib.h>
#include <string.h>

#include "reader/asker.h"

enum {
    EVIDENCE_DEFAULT = 3,
    CONTEXT_CHARS = 120, /* what is read again before and after a passage */
    REREAD_PASSAGES = 3,
};
#define ALL_SHARE 0.6f /* of the best score: what comes closer bears on the question too */

#define NO_SCORE (-1.0f)

/* By the way that found it, the better one where both did. */
static float score_of(const found_passage *found) { return found->reading > found->index ? found->reading : found->index; }

/* All attention to a text of one passage falls on it, whatever is asked: that says nothing of it. */
static float told_score(const book *b, const found_passage *found) { return b->passages.n == 1 && found->by == FIND_READING ? NO_SCORE : score_of(found); }

static ask_evidence evidence_of(const asker *a, const found_passage *found)
{
    const book *b = a->sources[found->source].book;
    passage p = b->passages.item[found->passage];
    int doc = book_document_of(b, p.byte);
    const document *from = b->docs[doc];
    size_t byte = p.byte - b->begin[doc], end = p.end - b->begin[doc];
    return (ask_evidence){
        .source = found->source, .document = doc, .byte = byte, .end_byte = end, .start = document_char_at(from, byte), .end = document_char_at(from, end),
        .chapter = document_chapter_of(from, byte), .article = document_article_of(from, byte), .page = document_page_of(from, byte),
        .paragraph = document_paragraph_of(from, byte), .found_by = found->by, .score = told_score(b, found),
        .verified = end <= document_bytes(from) && !memcmp(document_text(from) + byte, b->text.data + p.byte, end - byte),
    };
}

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

/* Of each source the best `most`; best first over all. */
static int take_some(asker *a, int most)
{
    int taken[SEARCH_SOURCES_MAX] = {0}, n = 0;
    for (int i = 0; i < a->n_found; i++)
        if (taken[a->found[i].source]++ < most) a->out->evidence[n++] = evidence_of(a, &a->found[i]);
    return n;
}

void ask_take_evidence(asker *a)
{
    a->phase = ASK_ANSWERING; /* what is still read belongs to the answer: the caller may be showing it from here on */
    int n = a->opt->all ? take_all(a) : take_some(a, a->opt->evidence ? a->opt->evidence : EVIDENCE_DEFAULT);
    a->out->n_evidence = n;
    if (a->opt->on_evidence) a->opt->on_evidence(a->opt->arg, a->out->evidence, n);
}

/* ---- what is read again ---- */

/* The best `most` passages alone; the best comes last, nearest to the question. */
static cj_err gather_sentences(const asker *a, int most, buf *text, cj_diag *d)
{
    for (int n = most; n-- > 0;) {
        const book *b = a->sources[a->found[n].source].book;
        passage p = b->passages.item[a->found[n].passage];
        TRY(buf_append(text, b->text.data + p.byte, p.end - p.byte, d));
        if (n) TRY(buf_puts(text, "\n", d));
    }
    return CJ_OK;
}

/* The best `most` passages with CONTEXT_CHARS of their document before and after, those of one source, in its order, without overlaps. */
static cj_err gather_context(const asker *a, int source, int most, buf *text, cj_diag *d)
{
    const book *b = a->sources[source].book;
    const passage *p = b->passages.item;
    size_t done = 0, reach = CONTEXT_CHARS * 3; /* bytes, as Chinese has them; before `done` all has been taken */
    for (int64_t i = 0; i < b->passages.n; i++) {
        bool chosen = false;
        for (int k = 0; k < most; k++) chosen |= a->found[k].source == source && a->found[k].passage == i;
        if (!chosen) continue;
        const int doc = book_document_of(b, p[i].byte);
        int64_t from = i, to = i;
        while (from > 0 && p[from - 1].byte >= b->begin[doc] && p[i].byte - p[from - 1].byte <= reach) from--;
        while (to + 1 < b->passages.n && p[to + 1].end <= b->begin[doc + 1] && p[to + 1].end - p[i].end <= reach) to++;
        size_t byte = p[from].byte > done ? p[from].byte : done;
        if (byte >= p[to].end) continue;
        if (text->len) TRY(buf_puts(text, "\n", d));
        TRY(buf_append(text, b->text.data + byte, p[to].end - byte, d));
        done = p[to].end;
    }
    return CJ_OK;
}

cj_err ask_gather(const asker *a, ask_portion portion, buf *text, int *passages, cj_diag *d)
{
    const int most = (int)i64_min(a->n_found, portion == ASK_BEST ? 1 : REREAD_PASSAGES);
    buf_clear(text);
    *passages = most;
    if (portion != ASK_CONTEXT) return gather_sentences(a, most, text, d);
    for (int i = 0; i < a->n_sources; i++) TRY(gather_context(a, i, most, text, d));
    return CJ_OK;
}

/* Books. On the shelf: a blob "documents" (how many, little-endian u32), "document.0", "document.1", ... (document_save) and "spans" (the end of
 * each token in the joined text, u32). */
#include "reader/book.h"

#include <stdio.h>
#include <string.h>

static const char between[] = "\n\n";

static cj_err join(book *b, document *const *docs, int n_docs, cj_diag *d)
{
    if (n_docs < 1 || n_docs > BOOK_DOCUMENTS_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "documents", BOOK_DOCUMENTS_MAX);
    b->docs = docs;
    b->n_docs = n_docs;
    b->begin = mem_array((size_t)n_docs + 1, sizeof *b->begin);
    if (!b->begin) return diag_nomem(d, ((size_t)n_docs + 1) * sizeof *b->begin);
    for (int i = 0; i < n_docs; i++) {
        b->begin[i] = b->text.len;
        TRY(buf_append(&b->text, document_text(docs[i]), document_bytes(docs[i]), d));
        if (i + 1 < n_docs) TRY(buf_puts(&b->text, between, d));
    }
    b->begin[n_docs] = b->text.len;
    TRY(passages_cut(b->text.data, b->text.len, &b->passages, d));
    return b->passages.n ? CJ_OK : diag_fail(d, CJ_E_INPUT, MSG_NO_TOKENS, "%s", "");
}

static void begin(book *b)
{
    *b = (book){0};
    buf_init(&b->text, BOOK_BYTES_MAX);
    token_list_init(&b->tokens);
}

cj_err book_join(book *b, document *const *docs, int n_docs, cj_diag *d)
{
    begin(b);
    return join(b, docs, n_docs, d);
}

void book_deinit(book *b)
{
    for (int i = 0; b->own && i < b->n_docs; i++) document_close(&b->own[i]);
    mem_free(b->own);
    mem_free(b->begin);
    buf_deinit(&b->text);
    passages_deinit(&b->passages);
    token_list_deinit(&b->tokens);
}

/* Tokens of text[from, to) with spans that are bytes of the joined text. */
static cj_err encode(book *b, const tokenizer *t, size_t from, size_t to, cj_diag *d)
{
    size_t first = b->tokens.count;
    TRY(tokenizer_encode(t, b->text.data + from, to - from, TOKEN_VERBATIM, &b->tokens, d));
    for (size_t i = first; i < b->tokens.count; i++) {
        b->tokens.spans[i].start += from;
        b->tokens.spans[i].end += from;
    }
    return CJ_OK;
}

cj_err book_encode(book *b, const tokenizer *t, int64_t *cuts, cj_diag *d)
{
    const token_specials *s = tokenizer_specials(t);
    if (s->add_bos && s->bos >= 0) TRY(token_list_push(&b->tokens, s->bos, 0, 0, d));
    for (int i = 0; i < b->n_docs; i++) {
        size_t end = i + 1 < b->n_docs ? b->begin[i + 1] - strlen(between) : b->begin[i + 1];
        TRY(encode(b, t, b->begin[i], end, d));
        cuts[i] = (int64_t)b->tokens.count;
        if (end < b->begin[i + 1]) TRY(encode(b, t, end, b->begin[i + 1], d));
    }
    return CJ_OK;
}

int book_document_of(const book *b, size_t byte)
{
    int lo = 0, hi = b->n_docs; /* begin[lo] <= byte < begin[hi] */
    while (hi - lo > 1) {
        int mid = lo + (hi - lo) / 2;
        if (b->begin[mid] <= byte) lo = mid;
        else hi = mid;
    }
    return lo;
}

int64_t book_chars(const book *b)
{
    int64_t n = 0;
    for (int i = 0; i < b->n_docs; i++) n += document_chars(b->docs[i]);
    return n;
}

/* ---- on the shelf ---- */

static void document_kind(char kind[32], int i) { snprintf(kind, 32, "document.%d", i); }

static cj_err save_document(const book *b, int i, shelf_entry *e, cj_diag *d)
{
    char kind[32];
    buf blob;
    buf_init(&blob, SHELF_BLOB_MAX);
    document_kind(kind, i);
    cj_err err = document_save(b->docs[i], &blob, d);
    if (!err) err = shelf_put(e, kind, blob.data, blob.len, d);
    buf_deinit(&blob);
    return err;
}

static cj_err save_spans(const book *b, shelf_entry *e, cj_diag *d)
{
    size_t n = b->tokens.count;
    uint32_t *ends = mem_array(n, sizeof *ends);
    if (!ends) return diag_nomem(d, n * sizeof *ends);
    for (size_t i = 0; i < n; i++) ends[i] = (uint32_t)b->tokens.spans[i].end;
    cj_err err = shelf_put(e, "spans", ends, n * sizeof *ends, d);
    mem_free(ends);
    return err;
}

cj_err book_save(const book *b, shelf_entry *e, cj_diag *d)
{
    uint32_t n = (uint32_t)b->n_docs;
    for (int i = 0; i < b->n_docs; i++) TRY(save_document(b, i, e, d));
    TRY(save_spans(b, e, d));
    return shelf_put(e, "documents", &n, sizeof n, d);
}

static cj_err load_documents(book *b, const shelf_entry *e, cj_diag *d)
{
    buf blob;
    uint32_t n = 0;
    TRY(shelf_get(e, "documents", &blob, d));
    if (blob.len == sizeof n) memcpy(&n, blob.data, sizeof n);
    buf_deinit(&blob);
    if (n < 1 || n > BOOK_DOCUMENTS_MAX) return diag_fail(d, CJ_E_INPUT, MSG_BOOK_BAD, "%s", shelf_entry_info(e)->name);
    b->own = mem_array(n, sizeof *b->own);
    if (!b->own) return diag_nomem(d, n * sizeof *b->own);
    for (b->n_docs = 0; b->n_docs < (int)n; b->n_docs++) {
        char kind[32];
        document_kind(kind, b->n_docs);
        TRY(shelf_get(e, kind, &blob, d));
        cj_err err = document_load(&b->own[b->n_docs], blob.data, blob.len, shelf_entry_info(e)->name, d);
        buf_deinit(&blob);
        TRY(err);
    }
    return CJ_OK;
}

/* Tokens lie one after the other, so the end of each says where all are. */
static cj_err load_tokens(book *b, const shelf_entry *e, cj_diag *d)
{
    const int32_t *ids = shelf_entry_ids(e);
    int64_t n = shelf_entry_info(e)->tokens_total;
    buf blob;
    TRY(shelf_get(e, "spans", &blob, d));
    const uint32_t *ends = (const uint32_t *)(const void *)blob.data;
    cj_err err = blob.len == (size_t)n * sizeof *ends ? CJ_OK : CJ_E_INPUT;
    size_t at = 0;
    for (int64_t i = 0; !err && i < n; i++) {
        size_t end = ends[i];
        if (end < at || end > b->text.len) err = CJ_E_INPUT;
        else err = token_list_push(&b->tokens, ids[i], at, end, d);
        at = end;
    }
    buf_deinit(&blob);
    return err == CJ_E_INPUT ? diag_fail(d, CJ_E_INPUT, MSG_BOOK_BAD, "%s", shelf_entry_info(e)->name) : err;
}

cj_err book_load(book *b, const shelf_entry *e, cj_diag *d)
{
    begin(b);
    TRY(load_documents(b, e, d));
    TRY(join(b, b->own, b->n_docs, d));
    return load_tokens(b, e, d);
}

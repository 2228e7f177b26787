/* SentencePiece's spaces and Unicode's form NFC. Only what changes is copied piece by piece; a text that is as it should be,
 * which is the rule, is not copied at all. */
#include "token/normalise.h"

#include <string.h>
#include <utf8proc.h>

/* Longer runs of combining characters are no language: they stay as they are, which bounds the time of sorting them. */
enum { NFC_RUN_MAX = 256 };

void normal_text_init(normal_text *x)
{
    *x = (normal_text){0};
    buf_init(&x->changed, TOKEN_TEXT_MAX);
}

void normal_text_deinit(normal_text *x)
{
    buf_deinit(&x->changed);
    mem_free(x->edits);
    *x = (normal_text){0};
}

size_t normal_text_source(normal_text *x, size_t at)
{
    while (x->edit_at < x->edit_count && at >= x->edits[x->edit_at].text_end) {
        x->text_base = x->edits[x->edit_at].text_end;
        x->source_base = x->edits[x->edit_at].source_end;
        x->edit_at++;
    }
    if (x->edit_at < x->edit_count) {
        const text_edit *e = &x->edits[x->edit_at];
        if (at > e->text_end - e->text_size) return e->source_end - e->source_size;
    }
    return x->source_base + (at - x->text_base);
}

/* Copies source[*done..begin), puts `text` for source[begin..end), and moves *done to end. */
static cj_err edit(normal_text *x, const char *source, size_t *done, size_t begin, size_t end, const char *text, size_t size,
                   cj_diag *d)
{
    if (x->edit_count == x->edit_capacity) {
        size_t capacity = x->edit_capacity ? 2 * x->edit_capacity : 16;
        text_edit *grown = mem_grow(x->edits, x->edit_count * sizeof *grown, capacity * sizeof *grown);
        if (!grown) return diag_nomem(d, capacity * sizeof *grown);
        x->edits = grown;
        x->edit_capacity = capacity;
    }
    TRY(buf_append(&x->changed, source + *done, begin - *done, d));
    TRY(buf_append(&x->changed, text, size, d));
    x->edits[x->edit_count++] = (text_edit){x->changed.len, size, end, end - begin};
    *done = end;
    return CJ_OK;
}

static cj_err finish(normal_text *x, const char *source, size_t n, size_t done, cj_diag *d)
{
    if (x->edit_count == 0) {
        x->text = source;
        x->size = n;
        return CJ_OK;
    }
    TRY(buf_append(&x->changed, source + done, n - done, d));
    x->text = x->changed.data;
    x->size = x->changed.len;
    return CJ_OK;
}

/* Pieces hold ' ' for U+2581, so a literal U+2581 becomes the space that it would be read as. */
static cj_err set_spaces(normal_text *x, const char *source, size_t n, bool prefix, cj_diag *d)
{
    size_t done = 0;
    if (prefix) TRY(edit(x, source, &done, 0, 0, " ", 1, d));
    for (const char *p = source, *end = source + n; (p = memchr(p, 0xE2, (size_t)(end - p))); p++) {
        size_t at = (size_t)(p - source);
        if (n - at >= 3 && memcmp(p, "\xE2\x96\x81", 3) == 0) TRY(edit(x, source, &done, at, at + 3, " ", 1, d));
    }
    return finish(x, source, n, done, d);
}

/* ---- NFC ---- */

static void order_marks(int32_t *cps, int count)
{
    for (int i = 1; i < count; i++) {
        int32_t cp = cps[i];
        int klass = utf8proc_get_property(cp)->combining_class, j = i;
        if (!klass) continue;
        for (; j > 0 && utf8proc_get_property(cps[j - 1])->combining_class > klass; j--) cps[j] = cps[j - 1];
        cps[j] = cp;
    }
}

/* The form NFC of source[0..n), written to out; returns its size, 0 when the run is too long. */
static size_t compose(const char *source, size_t n, char out[4 * NFC_RUN_MAX])
{
    int32_t cps[NFC_RUN_MAX];
    int count = 0, boundary = 0;
    for (size_t at = 0; at < n;) {
        uint32_t cp;
        at += (size_t)utf8_decode(source + at, n - at, &cp);
        utf8proc_ssize_t more = utf8proc_decompose_char((int32_t)cp, cps + count, NFC_RUN_MAX - count, UTF8PROC_DECOMPOSE, &boundary);
        if (more < 0 || more > NFC_RUN_MAX - count) return 0;
        count += (int)more;
    }
    order_marks(cps, count);
    count = (int)utf8proc_normalize_utf32(cps, count, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    size_t size = 0;
    for (int i = 0; i < count; i++) size += (size_t)utf8_encode((uint32_t)cps[i], out + size);
    return size;
}

/* A run that NFC may change is a character that never changes and what follows it up to the next such character. */
static cj_err set_nfc(normal_text *x, const unicode_table *classes, const char *source, size_t n, cj_diag *d)
{
    size_t done = 0, begin = 0; /* of the last character that never changes */
    for (size_t at = 0, next; at < n; at = next) {
        uint32_t cp;
        next = at + (size_t)utf8_decode(source + at, n - at, &cp);
        if (cp == (uint32_t)UTF8_INVALID) {
            begin = next;
            continue;
        }
        if (!(unicode_class(classes, cp) & UNI_NFC_CHECK)) {
            begin = at;
            continue;
        }
        while (next < n) {
            size_t length = (size_t)utf8_decode(source + next, n - next, &cp);
            if (cp == (uint32_t)UTF8_INVALID || !(unicode_class(classes, cp) & UNI_NFC_CHECK)) break;
            next += length;
        }
        char out[4 * NFC_RUN_MAX];
        size_t size = compose(source + begin, next - begin, out);
        if (size && (size != next - begin || memcmp(out, source + begin, size) != 0))
            TRY(edit(x, source, &done, begin, next, out, size, d));
        begin = next;
    }
    return finish(x, source, n, done, d);
}

cj_err normal_text_set(normal_text *x, const tokenizer *t, const char *source, size_t n, bool at_start, bool verbatim, cj_diag *d)
{
    buf_clear(&x->changed);
    x->edit_count = x->edit_at = x->text_base = x->source_base = 0;
    if (t->spaces) return set_spaces(x, source, n, t->space_prefix && at_start, d);
    if (t->nfc && !verbatim) return set_nfc(x, t->classes, source, n, d);
    return finish(x, source, n, 0, d);
}

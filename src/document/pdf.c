/* PDF, by poppler's pdftotext behind a fence.
 *
 * A page is a picture of lines: which of them belong together is not said. Lines that are about as long as most long lines of the
 * document go on in the next one, unless that begins as a heading, an article or an item of a list does. A quotation therefore
 * lies on one page.
 */
#include "document/pdf.h"

#include <string.h>

#include "base/process.h"
#include "base/utf8.h"
#include "document/chapters.h"
#include "document/formats.h"

enum {
    WIDTH_MAX = 512,      /* columns; wider lines count as that */
    FULL_SHARE = 85,      /* a line is full from so many hundredths of the usual width on */
    LABEL_COLUMNS = 14,
    FULL_COLUMNS = 30,    /* and from so many columns on: verse is not joined */
};

/* What is no character, or controls something, becomes a space; line ends and form feeds stay. */
static void blank(char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t step = (size_t)utf8_decode(text + i, n - i, &cp);
        if (cp == UTF8_INVALID || (utf8_is_control(cp) && cp != '\n' && cp != '\f')) memset(text + i, ' ', step);
        i += step;
    }
}

static int columns(const char *s, const char *end)
{
    int width = 0;
    while (s < end && width < WIDTH_MAX) {
        uint32_t cp;
        s += utf8_decode(s, (size_t)(end - s), &cp);
        width += utf8_width(cp);
    }
    return width < WIDTH_MAX ? width : WIDTH_MAX;
}

/* The end of the line that begins at s: a line end, a form feed or the end of all. */
static const char *line_end(const char *s, const char *stop)
{
    while (s < stop && *s != '\n' && *s != '\f') s++;
    return s;
}

/* The width that nine in ten lines do not pass: that of a full line. */
static int usual_width(const char *text, const char *stop)
{
    int64_t count[WIDTH_MAX + 1] = {0}, lines = 0, seen = 0;
    for (const char *s = text; s < stop; s = line_end(s, stop) + 1) {
        int width = columns(s, line_end(s, stop));
        count[width] += width > 0;
        lines += width > 0;
    }
    for (int width = 0; width <= WIDTH_MAX; width++) {
        seen += count[width];
        if (seen * 10 >= lines * 9) return width;
    }
    return WIDTH_MAX;
}

/* Whether a line begins something of its own: a heading, an article, an item, an indented paragraph. */
static bool begins_anew(const char *s, const char *end)
{
    static const char *const marks[] = {"　", "•", "·", "●", "■", "◆", "—", "（", "(", "【", "①", "②", "③", "④", "⑤", "⑥", "⑦", "⑧", "⑨"};
    if (chapters_is_heading(s, end)) return true;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        size_t n = strlen(marks[i]);
        if ((size_t)(end - s) >= n && !memcmp(s, marks[i], n)) return true;
    }
    const char *digits = s;
    while (digits < end && *digits >= '0' && *digits <= '9') digits++;
    return digits > s && digits < end && (*digits == '.' || *digits == ')' || !strncmp(digits, "、", (size_t)(end - digits) < 3 ? (size_t)(end - digits) : 3));
}

/* A line that is a number alone (第三章, 第十二条): a wide gap has cut off what belongs to it. */
static bool is_label(const char *s, const char *end)
{
    return columns(s, end) <= LABEL_COLUMNS && chapters_is_heading(s, end) && !memchr(s, ' ', (size_t)(end - s));
}

cj_err pdf_text_to_draft(char *text, size_t n, draft *out, cj_diag *d)
{
    blank(text, n);
    const char *stop = text + n;
    int full = usual_width(text, stop) * FULL_SHARE / 100;
    if (full < FULL_COLUMNS) full = FULL_COLUMNS;
    bool page_begins = true, goes_on = false, label = false;
    for (const char *s = text; s < stop;) {
        const char *end = line_end(s, stop);
        if (page_begins) TRY(draft_page(out, d));
        if (s < end) {
            bool anew = begins_anew(s, end);
            draft_break(out, anew ? DRAFT_LINE : label ? DRAFT_SPACE : goes_on ? DRAFT_SOFT_SPACE : DRAFT_LINE);
            TRY(draft_words(out, s, (size_t)(end - s), d));
            label = anew && is_label(s, end);
        }
        goes_on = columns(s, end) >= full;
        page_begins = end < stop && *end == '\f';
        s = end + 1;
    }
    return CJ_OK;
}

/* Which sentence fits what pdftotext said when it failed. */
static cj_err failed(const document_source *s, int status, const char *words, cj_diag *d)
{
    enum { NOT_PERMITTED = 3 };
    if (strstr(words, "ncorrect password")) return diag_fail(d, CJ_E_INPUT, MSG_PDF_ENCRYPTED, "%s", s->path);
    if (status == NOT_PERMITTED) return diag_fail(d, CJ_E_INPUT, MSG_PDF_FORBIDDEN, "%s", s->path);
    return diag_fail(d, CJ_E_INPUT, MSG_PDF_BROKEN, "%s" ARG "%s", s->path, words);
}

static bool has_words(const buf *text)
{
    for (size_t i = 0; i < text->len; i++)
        if ((unsigned char)text->data[i] > ' ') return true;
    return false;
}

cj_err pdf_extract(const document_source *s, draft *out, cj_diag *d)
{
    static const char *const argv[] = {"pdftotext", "-enc", "UTF-8", "-eol", "unix", "-", "-", NULL};
    process_fence fence = formats_fence(s);
    buf text;
    int status = 0;
    char words[256];
    buf_init(&text, FORMATS_OUTPUT + 65536);
    cj_err e = process_run_fenced(&fence, argv, s->bytes, s->n, &text, &status, words, sizeof words, d);
    if (e == CJ_E_NOT_FOUND) e = diag_fail(d, CJ_E_NOT_FOUND, MSG_PDF_NO_PROGRAM, "%s", s->path);
    if (!e && status) e = failed(s, status, words, d);
    if (!e && !has_words(&text)) e = diag_fail(d, CJ_E_INPUT, MSG_PDF_SCANNED, "%s", s->path);
    if (!e) e = pdf_text_to_draft(text.data, text.len, out, d);
    buf_deinit(&text);
    return e;
}

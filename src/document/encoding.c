/* Finding out an encoding and converting, by iconv and uchardet. */
#include "document/encoding.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>
#include <strings.h>
#include <uchardet.h>

#include "base/utf8.h"

/* Names that are told to the user, by what uchardet calls them. GB18030 contains GB2312 and GBK. */
static const struct { const char *guessed, *name; } known[] = {
    {"GB18030", "GB18030"}, {"GB2312", "GB18030"}, {"GBK", "GB18030"}, {"HZ-GB-2312", "HZ"}, {"BIG5", "BIG5-HKSCS"},
    {"EUC-TW", "EUC-TW"}, {"SHIFT_JIS", "SHIFT_JIS"}, {"EUC-JP", "EUC-JP"}, {"EUC-KR", "EUC-KR"}, {"UHC", "UHC"},
    {"WINDOWS-1252", "WINDOWS-1252"}, {"ISO-8859-1", "WINDOWS-1252"}, {"ISO-8859-15", "ISO-8859-15"},
    {"WINDOWS-1251", "WINDOWS-1251"}, {"KOI8-R", "KOI8-R"},
};

static cj_err convert(const char *name, const char *from, const char *bytes, size_t n, buf *out, cj_diag *d)
{
    iconv_t cd = iconv_open("UTF-8", from);
    if (cd == (iconv_t)-1) return diag_fail(d, CJ_E_UNSUPPORTED, MSG_ENCODING_UNKNOWN, "%s", name);
    char *in = (char *)(uintptr_t)bytes;
    size_t left = n;
    cj_err e = CJ_OK;
    while (left && !e) {
        e = buf_reserve(out, 65536, d);
        if (e) break;
        char *to = out->data + out->len;
        size_t room = 65535;
        size_t r = iconv(cd, &in, &left, &to, &room);
        out->len = (size_t)(to - out->data);
        if (r == (size_t)-1 && errno != E2BIG)
            e = diag_fail(d, CJ_E_INPUT, MSG_ENCODING_BROKEN, "%s" ARG "%s" ARG "%zu", name, from, n - left);
    }
    iconv_close(cd);
    return e ? e : buf_append(out, "", 0, d);
}

static const char *guess(const char *bytes, size_t n)
{
    enum { SAMPLE = 1 << 18 };
    const char *name = NULL;
    uchardet_t u = uchardet_new();
    if (!u) return NULL;
    if (!uchardet_handle_data(u, bytes, n < SAMPLE ? n : SAMPLE)) {
        uchardet_data_end(u);
        const char *g = uchardet_get_charset(u);
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (!strcasecmp(g, known[i].guessed)) name = known[i].name;
    }
    uchardet_delete(u);
    return name;
}

/* Line ends and spaces when the bytes are read as UTF-16; -1 when there are control characters, as no text has. */
static int64_t utf16_blanks(const char *bytes, size_t n, bool big)
{
    int64_t blanks = 0;
    for (size_t i = 0; i + 1 < n; i += 2) {
        unsigned a = (unsigned char)bytes[i], b = (unsigned char)bytes[i + 1], unit = big ? a << 8 | b : b << 8 | a;
        bool blank = unit == '\n' || unit == '\r' || unit == ' ';
        if (unit < ' ' && !blank && unit != '\t' && unit != '\f') return -1;
        blanks += blank;
    }
    return blanks;
}

/* UTF-16 without a mark: the side on which there are line ends and spaces. NULL when neither reading is text. */
static const char *utf16_side(const char *bytes, size_t n)
{
    int64_t little = utf16_blanks(bytes, n, false), big = utf16_blanks(bytes, n, true);
    if (n % 2 || (little <= 0 && big <= 0)) return NULL;
    return big > little ? "UTF-16BE" : "UTF-16LE";
}

cj_err encoding_to_utf8(const char *name, const char *b, size_t n, buf *out, const char **from, cj_diag *d)
{
    *from = NULL;
    if (!n) return CJ_OK;
    if (n >= 3 && !memcmp(b, "\xEF\xBB\xBF", 3)) b += 3, n -= 3;
    else if (n >= 2 && !memcmp(b, "\xFF\xFE", 2)) *from = "UTF-16LE", b += 2, n -= 2;
    else if (n >= 2 && !memcmp(b, "\xFE\xFF", 2)) *from = "UTF-16BE", b += 2, n -= 2;
    if (*from) return convert(name, *from, b, n, out, d);
    bool zeros = memchr(b, 0, n);
    size_t valid = utf8_valid_prefix(b, n);
    if (valid == n && !zeros) return buf_append(out, b, n, d);
    if (zeros) {
        *from = utf16_side(b, n);
        if (!*from) return diag_fail(d, CJ_E_INPUT, MSG_DOCUMENT_BINARY, "%s", name);
        return convert(name, *from, b, n, out, d);
    }
    *from = guess(b, n);
    if (!*from) return diag_fail(d, CJ_E_INPUT, MSG_UTF8_BAD, "%s" ARG "%zu", name, valid);
    return convert(name, *from, b, n, out, d);
}

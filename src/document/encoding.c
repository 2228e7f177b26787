/* Finding out an encoding and converting, by iconv and uchardet. */
#include "document/encoding.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>
#include <strings.h>
#include <uchardet.h>

#include "base/utf8.h"

/* Names that are told to the user, by what uchardet and web pages call them. GB18030 contains GB2312 and GBK. */
static const struct { const char *guessed, *name; } known[] = {
    {"GB18030", "GB18030"}, {"GB2312", "GB18030"}, {"GBK", "GB18030"}, {"HZ-GB-2312", "HZ"}, {"BIG5", "BIG5-HKSCS"},
    {"EUC-TW", "EUC-TW"}, {"SHIFT_JIS", "SHIFT_JIS"}, {"EUC-JP", "EUC-JP"}, {"EUC-KR", "EUC-KR"}, {"UHC", "UHC"},
    {"WINDOWS-1252", "WINDOWS-1252"}, {"ISO-8859-1", "WINDOWS-1252"}, {"ISO-8859-15", "ISO-8859-15"},
    {"GB_2312-80", "GB18030"}, {"X-GBK", "GB18030"}, {"CP936", "GB18030"}, {"BIG5-HKSCS", "BIG5-HKSCS"}, {"LATIN1", "WINDOWS-1252"},
    {"US-ASCII", "WINDOWS-1252"}, {"WINDOWS-31J", "SHIFT_JIS"}, {"X-SJIS", "SHIFT_JIS"}, {"KS_C_5601-1987", "UHC"},
    {"WINDOWS-1251", "WINDOWS-1251"}, {"KOI8-R", "KOI8-R"},
};

/* Broken characters are borne up to one in so many of those beyond ASCII: with more of them it is another encoding, or no text. */
enum { BROKEN_ONE_IN = 20 };

static size_t count_beyond_ascii(const char *text, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += (unsigned char)text[i] >= 0xC0;
    return count;
}

/* Converts all of it with U+FFFD for what is broken; *first is where that is first. Given up once it is too much for any text of n bytes. */
static cj_err convert_all(iconv_t cd, size_t unit, const char *bytes, size_t n, buf *out, size_t *unread, size_t *first, cj_diag *d)
{
    enum { ROOM = 65536 };
    char *in = (char *)(uintptr_t)bytes;
    size_t left = n;
    *unread = *first = 0;
    while (left && *unread <= n / BROKEN_ONE_IN) {
        TRY(buf_reserve(out, ROOM, d));
        char *to = out->data + out->len;
        size_t room = ROOM - 1;
        size_t r = iconv(cd, &in, &left, &to, &room);
        out->len = (size_t)(to - out->data);
        if (r != (size_t)-1 || errno == E2BIG) continue;
        if (!(*unread)++) *first = n - left;
        const size_t step = errno == EINVAL || left < unit ? left : unit; /* EINVAL: the last one is cut off */
        in += step;
        left -= step;
        TRY(buf_puts(out, "\xEF\xBF\xBD", d));
    }
    return buf_append(out, "", 0, d);
}

static cj_err convert(const char *name, const char *from, const char *bytes, size_t n, buf *out, int64_t *broken, cj_diag *d)
{
    iconv_t cd = iconv_open("UTF-8", from);
    if (cd == (iconv_t)-1) return diag_fail(d, CJ_E_UNSUPPORTED, MSG_ENCODING_UNKNOWN, "%s", name);
    const size_t begin = out->len;
    size_t unread = 0, first = 0;
    cj_err e = convert_all(cd, !strncmp(from, "UTF-16", 6) ? 2 : 1, bytes, n, out, &unread, &first, d);
    iconv_close(cd);
    const size_t beyond = unread ? count_beyond_ascii(out->data + begin, out->len - begin) : 0; /* the broken ones as well */
    if (!e && unread * BROKEN_ONE_IN <= beyond) {
        *broken = (int64_t)unread;
        return CJ_OK;
    }
    out->len = begin;
    return e ? e : diag_fail(d, CJ_E_INPUT, MSG_ENCODING_BROKEN, "%s" ARG "%s" ARG "%zu", name, from, first);
}

static const char *known_name(const char *called)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcasecmp(called, known[i].guessed)) return known[i].name;
    return NULL;
}

static const char *guess(const char *bytes, size_t n)
{
    enum { SAMPLE = 1 << 18 };
    const char *name = NULL;
    uchardet_t u = uchardet_new();
    if (!u) return NULL;
    if (!uchardet_handle_data(u, bytes, n < SAMPLE ? n : SAMPLE)) {
        uchardet_data_end(u);
        name = known_name(uchardet_get_charset(u));
    }
    uchardet_delete(u);
    return name;
}

/* What Chinese text is mostly made of, in both scripts. */
static const char common[] = "的一是不了在有人我他這这個个們们中來来上大為为和國国地到以說说時时要就出會会可也你對对生能而子那得於于着著下自之年過过發发後后作里裡用道行所"
                             "然家種种事成方多經经麼么去法學学如都同現现當当沒没動动面起看定天分還还進进好小部其些主樣样理心她本前開开但因只從从想實实，。、：；？！「」“”《》";

/* What share of the characters beyond ASCII is common when a sample is read as `from`; 0 when it cannot be. */
static double familiar(const char *from, const char *bytes, size_t n)
{
    enum { SAMPLE = 1 << 14 };
    size_t chars = 0, seen = 0;
    int64_t broken;
    buf text;
    buf_init(&text, 8 * SAMPLE + 65536);
    cj_err e = convert("", from, bytes, n > SAMPLE ? SAMPLE : n, &text, &broken, NULL);
    for (size_t at = 0; !e && at < text.len;) {
        uint32_t cp;
        char c[5] = {0};
        size_t step = (size_t)utf8_decode(text.data + at, text.len - at, &cp);
        if (cp > 0x7F) {
            memcpy(c, text.data + at, step);
            chars++;
            seen += strstr(common, c) != NULL;
        }
        at += step;
    }
    buf_deinit(&text);
    return chars ? (double)seen / (double)chars : 0;
}

/* The statistics of bytes take short Big5 for GB18030, and any GB18030 is Big5 in part: read as either, which is Chinese? */
static const char *guess_chinese(const char *bytes, size_t n)
{
    double gb = familiar("GB18030", bytes, n), big5 = familiar("BIG5-HKSCS", bytes, n);
    if (gb < 0.2 && big5 < 0.2) return NULL;
    return big5 > gb ? "BIG5-HKSCS" : "GB18030";
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

cj_err encoding_to_utf8(const char *name, const char *said, const char *b, size_t n, buf *out, encoding_found *found, cj_diag *d)
{
    const char **from = &found->from;
    *found = (encoding_found){0};
    if (!n) return CJ_OK;
    if (n >= 3 && !memcmp(b, "\xEF\xBB\xBF", 3)) b += 3, n -= 3;
    else if (n >= 2 && !memcmp(b, "\xFF\xFE", 2)) *from = "UTF-16LE", b += 2, n -= 2;
    else if (n >= 2 && !memcmp(b, "\xFE\xFF", 2)) *from = "UTF-16BE", b += 2, n -= 2;
    if (*from) return convert(name, *from, b, n, out, &found->unread, d);
    bool zeros = memchr(b, 0, n);
    size_t valid = utf8_valid_prefix(b, n);
    if (valid == n && !zeros) return buf_append(out, b, n, d);
    if (zeros) {
        *from = utf16_side(b, n);
        if (!*from) return diag_fail(d, CJ_E_INPUT, MSG_DOCUMENT_BINARY, "%s", name);
        return convert(name, *from, b, n, out, &found->unread, d);
    }
    if (!convert(name, "UTF-8", b, n, out, &found->unread, NULL)) return CJ_OK;
    *from = known_name(said);
    if (*from && !convert(name, *from, b, n, out, &found->unread, NULL)) return CJ_OK;
    *from = guess_chinese(b, n);
    if (!*from) *from = guess(b, n);
    if (!*from) return diag_fail(d, CJ_E_INPUT, MSG_UTF8_BAD, "%s" ARG "%zu", name, valid);
    return convert(name, *from, b, n, out, &found->unread, d);
}

/* Fills and renders diagnostics. No state: the table of sentences is constant. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"

static const struct { const char *text[2]; } sentences[MSG_COUNT] = {
    [MSG_NONE] = {{"", ""}},
#define MSG(id, en, zh) [id] = {{en, zh}},
#include "base/messages/all.def"
#undef MSG
};

const char *msg_text(msg_id id, cj_lang lang)
{
    if (id < 0 || id >= MSG_COUNT) return "";
    return sentences[id].text[lang == CJ_LANG_ZH];
}

cj_err diag_fail_at(cj_diag *d, cj_err code, msg_id id, const char *file, int line, const char *args, ...)
{
    if (!d) return code;
    d->code = code;
    d->message = (int)id;
    d->place = file;
    d->line = line;
    va_list ap;
    va_start(ap, args);
    int n = vsnprintf(d->args, sizeof d->args, args, ap);
    va_end(ap);
    if (n < 0) d->args[0] = 0;
    if (n >= (int)sizeof d->args) { /* cut at a character, not in one */
        size_t tail = utf8_incomplete_tail(d->args, sizeof d->args - 1);
        d->args[sizeof d->args - 1 - tail] = 0;
    }
    return code;
}

cj_err diag_errno(cj_diag *d, int errnum, const char *path)
{
    switch (errnum) {
    case ENOENT: case ENOTDIR: return diag_fail(d, CJ_E_NOT_FOUND, MSG_FILE_NOT_FOUND, "%s", path);
    case EACCES: case EPERM: case EROFS: return diag_fail(d, CJ_E_IO, MSG_FILE_DENIED, "%s", path);
    case EISDIR: return diag_fail(d, CJ_E_INPUT, MSG_FILE_IS_DIR, "%s", path);
    case ENOSPC: case EDQUOT: case EFBIG: return diag_fail(d, CJ_E_NOSPACE, MSG_FILE_NOSPACE, "%s", path);
    case EINTR: return diag_fail(d, CJ_E_CANCELLED, MSG_CANCELLED, "%s", path);
    case ENOMEM: return diag_fail(d, CJ_E_NOMEM, MSG_FILE_IO, "%s" ARG "%s", path, strerror(errnum));
    default: return diag_fail(d, CJ_E_IO, MSG_FILE_IO, "%s" ARG "%s", path, strerror(errnum));
    }
}

/* The n-th of the 0x1f-separated args, its length in *len. */
static const char *arg_at(const char *args, int n, size_t *len)
{
    for (; n > 0 && args; n--) {
        args = strchr(args, ARG[0]);
        if (args) args++;
    }
    if (!args) args = "";
    *len = strcspn(args, ARG);
    return args;
}

/* Appends to a bounded, always terminated text; counts what did not fit. */
static void put(char *out, size_t size, size_t *at, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++, ++*at)
        if (*at + 1 < size) out[*at] = s[i];
}

size_t msg_format(const char *sentence, const char *args, char *out, size_t size)
{
    size_t at = 0;
    for (const char *s = sentence; *s; s++) {
        if (s[0] == '{' && s[1] >= '0' && s[1] <= '9' && s[2] == '}') {
            size_t n;
            const char *a = arg_at(args, s[1] - '0', &n);
            put(out, size, &at, a, n);
            s += 2;
        } else
            put(out, size, &at, s, 1);
    }
    if (size) {
        size_t end = at < size ? at : size - 1;
        if (at >= size) end -= utf8_incomplete_tail(out, end);
        out[end] = 0;
    }
    return at;
}

size_t cj_diag_text(const cj_diag *d, cj_lang lang, char *out, size_t out_size)
{
    return msg_format(msg_text((msg_id)d->message, lang), d->args, out, out_size);
}

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
const char *cj_version(void)
{
    return TEXT(CJ_VERSION_MAJOR) "." TEXT(CJ_VERSION_MINOR) "." TEXT(CJ_VERSION_PATCH);
}

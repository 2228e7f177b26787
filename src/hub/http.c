/* One file from an address, by libcurl. The part knows which remote file its bytes are of (address, length, ETag, date); a
 * transfer goes on from them only when the answer proves that it is still the same file, and starts anew when it is not.
 *
 * A try ends in one of: done; a fault that another try may mend (connection, 429, 5xx), after a wait that doubles; a fault that
 * it will not mend (404, certificate, wrong length), which ends the source. */
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "hub/pull.h"

enum {
    REDIRECTS_MAX = 10,
    TRIES_MAX = 200,        /* of one file, however much each brings */
    PROGRESS_BYTES = 65536, /* a try that brought so much does not count as in vain */
    NOTE_EVERY = 8 << 20,
    ERROR_PAGE_MAX = 1 << 16,
    WAIT_MAX = 60,          /* seconds, also when the server asks for more */
    SLOW_BYTES = 512,       /* a second */
};

/* One try. */
typedef struct transfer {
    pull *p;
    part *out;
    const hub_file *file;
    cj_diag *d;
    CURL *curl;
    cj_err err;       /* what a callback found, CJ_OK while all is well */
    bool answered;    /* a server spoke */
    bool begun;       /* the body has started and is being kept */
    size_t page;      /* bytes of a body that is not the file */
    bool again;       /* err is to be cured by starting from nothing */
    int64_t asked;    /* the Range asked for, 0: all */
    /* of the last answer's headers */
    part_origin from;
    int64_t first;    /* of Content-Range, -1: none */
    int64_t retry_after;
} transfer;

/* ---- headers ---- */

/* Copies a header's value if it is plain text that fits, else leaves out empty. */
static void take_text(const char *value, size_t n, char *out, size_t size)
{
    out[0] = 0;
    if (n >= size) return;
    for (size_t i = 0; i < n; i++)
        if (value[i] < ' ' || value[i] > '~') return;
    memcpy(out, value, n);
    out[n] = 0;
}

/* Strict decimal of n bytes; false: it is not one. */
static bool take_number(const char *s, size_t n, int64_t *out)
{
    char digits[20];
    if (n >= sizeof digits) return false;
    memcpy(digits, s, n);
    digits[n] = 0;
    return catalogue_number(digits, INT64_MAX, out);
}

/* "bytes FIRST-LAST/TOTAL" or "bytes * /TOTAL". */
static void take_range(transfer *t, const char *value, size_t n)
{
    const char *slash = memchr(value, '/', n), *dash = memchr(value, '-', n);
    if (n < 8 || strncasecmp(value, "bytes ", 6) || !slash) return;
    if (dash && dash < slash && !take_number(value + 6, (size_t)(dash - value) - 6, &t->first)) t->first = -1;
    if (!take_number(slash + 1, n - (size_t)(slash + 1 - value), &t->from.total)) t->from.total = -1;
}

static size_t on_header(char *line, size_t size, size_t count, void *user)
{
    transfer *t = user;
    size_t n = size * count;
    if (n > 5 && !strncmp(line, "HTTP/", 5)) { /* a new answer, after a redirect for one */
        t->answered = true;
        t->from.etag[0] = t->from.modified[0] = 0;
        t->from.total = t->first = t->retry_after = -1;
        return n;
    }
    const char *colon = memchr(line, ':', n);
    if (!colon) return n;
    size_t key = (size_t)(colon - line), end = n;
    const char *value = colon + 1;
    while (value < line + end && (*value == ' ' || *value == '\t')) value++;
    while (end && strchr("\r\n \t", line[end - 1])) end--;
    size_t length = value < line + end ? (size_t)(line + end - value) : 0;
    if (key == 4 && !strncasecmp(line, "etag", 4)) take_text(value, length, t->from.etag, sizeof t->from.etag);
    if (key == 13 && !strncasecmp(line, "last-modified", 13)) take_text(value, length, t->from.modified, sizeof t->from.modified);
    if (key == 13 && !strncasecmp(line, "content-range", 13)) take_range(t, value, length);
    if (key == 11 && !strncasecmp(line, "retry-after", 11) && !take_number(value, length, &t->retry_after)) t->retry_after = -1;
    return n;
}

/* ---- the body ---- */

/* How long the file is to be, -1 when nobody says. */
static int64_t wanted(const transfer *t) { return t->file->size >= 0 ? t->file->size : t->out->from.total; }

/* The answer is about the same remote file as the bytes that are here. */
static bool same_file(const part_origin *here, const part_origin *there)
{
    if (here->total >= 0 && there->total != here->total) return false;
    if (*here->etag && *there->etag) return !strcmp(here->etag, there->etag);
    return !*here->modified || !*there->modified || !strcmp(here->modified, there->modified);
}

static cj_err begin_body(transfer *t, long status)
{
    curl_off_t length = -1;
    if (status == 206) {
        if (t->asked && t->first == t->asked && same_file(&t->out->from, &t->from)) return CJ_OK;
        t->again = true; /* not what was asked for, or not the file that it was */
        return diag_fail(t->d, CJ_E_NETWORK, MSG_HUB_CHANGED_THERE, "%s", t->from.address);
    }
    curl_easy_getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    t->from.total = length;
    if (t->file->size >= 0 && length >= 0 && length != t->file->size)
        return diag_fail(t->d, CJ_E_INPUT, MSG_HUB_SIZE, "%s" ARG "%lld" ARG "%lld", t->file->name, (long long)length, (long long)t->file->size);
    TRY(part_restart(t->out, &t->from, t->d));
    if (t->p->total < 0 && t->p->m->file_count == 1) t->p->total = length;
    return length > 0 ? pull_space(t->out->file.path, length, t->d) : CJ_OK;
}

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    transfer *t = user;
    size_t n = size * count;
    long status = 0;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200 && status != 206) return (t->page += n) > ERROR_PAGE_MAX ? 0 : n;
    if (!t->begun) {
        t->err = begin_body(t, status);
        if (t->err) return 0;
        t->begun = true;
    }
    int64_t limit = wanted(t) >= 0 ? wanted(t) : INT64_C(1) << 50;
    if ((int64_t)n > limit - t->out->file.size)
        t->err = diag_fail(t->d, CJ_E_INPUT, MSG_HUB_SIZE, "%s" ARG ">%lld" ARG "%lld", t->file->name, (long long)limit, (long long)limit);
    if (!t->err) t->err = part_write(t->out, data, n, t->d);
    if (!t->err && t->out->file.size - t->out->safe >= NOTE_EVERY) t->err = part_note(t->out, t->d);
    return t->err ? 0 : n;
}

static int on_progress(void *user, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up)
{
    transfer *t = user;
    if (!t->err) t->err = pull_report(t->p, HUB_DOWNLOADING, t->out->file.size, t->d);
    return t->err != CJ_OK;
}

/* ---- one try ---- */

/* The condition under which a range may be sent: a strong ETag, else the date. */
static const char *validator(const part_origin *from)
{
    return *from->etag && strncmp(from->etag, "W/", 2) ? from->etag : from->modified;
}

/* Sets all options; the list of headers must live as long as the transfer. */
static bool prepare(transfer *t, const char *address, struct curl_slist **headers)
{
    CURL *c = t->curl;
    bool secure = !strncmp(address, "https:", 6);
    char line[300], range[32];
    bool ok = true;
    const char *if_range = t->asked ? validator(&t->out->from) : "";
    if (*if_range) {
        snprintf(line, sizeof line, "If-Range: %s", if_range);
        ok = (*headers = curl_slist_append(NULL, line)) != NULL;
    }
    snprintf(range, sizeof range, "%lld-", (long long)t->asked);
#define SET(option, value) ok = ok && curl_easy_setopt(c, option, value) == CURLE_OK
    SET(CURLOPT_URL, address);
    SET(CURLOPT_USERAGENT, "juan");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https"); /* never from a safe connection to an open one */
    SET(CURLOPT_FOLLOWLOCATION, 1L);
    SET(CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(t->p->opts.stall_seconds * 1000));
    SET(CURLOPT_LOW_SPEED_LIMIT, (long)SLOW_BYTES);
    SET(CURLOPT_LOW_SPEED_TIME, t->p->opts.stall_seconds < 1 ? 1L : (long)t->p->opts.stall_seconds);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, t);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, t);
    if (t->asked) SET(CURLOPT_RANGE, range);
    if (*headers) SET(CURLOPT_HTTPHEADER, *headers);
#undef SET
    return ok;
}

/* The sentence for an answer that is not the file; true when another try may bring it. */
static bool status_failed(transfer *t, long status)
{
    t->err = diag_fail(t->d, status == 404 || status == 410 ? CJ_E_NOT_FOUND : CJ_E_NETWORK,
                       status == 404 || status == 410   ? MSG_HUB_404
                       : status == 401 || status == 403 ? MSG_HUB_403
                                                        : MSG_HUB_HTTP,
                       "%s" ARG "%ld", t->from.address, status);
    return status == 408 || status == 425 || status == 429 || status >= 500;
}

static bool connection_failed(transfer *t, CURLcode code)
{
    t->err = diag_fail(t->d, CJ_E_NETWORK, MSG_HUB_CONNECTION, "%s" ARG "%s", t->from.address, curl_easy_strerror(code));
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION: case CURLE_SSL_CACERT_BADFILE: case CURLE_SSL_CERTPROBLEM: case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_UNSUPPORTED_PROTOCOL: case CURLE_URL_MALFORMAT: case CURLE_OUT_OF_MEMORY: case CURLE_NOT_BUILT_IN:
        return false;
    default: return true;
    }
}

/* Runs one try. CJ_OK: the part is whole. *retry: another try may help. */
static cj_err run(transfer *t, const char *address, bool *retry)
{
    struct curl_slist *headers = NULL;
    *retry = false;
    t->curl = curl_easy_init();
    if (!t->curl || !prepare(t, address, &headers)) {
        if (t->curl) curl_easy_cleanup(t->curl);
        curl_slist_free_all(headers);
        return diag_nomem(t->d, sizeof *t);
    }
    CURLcode code = curl_easy_perform(t->curl);
    long status = 0;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK && status == 200 && !t->begun) t->err = begin_body(t, status); /* an empty file */
    curl_easy_cleanup(t->curl);
    curl_slist_free_all(headers);
    if (t->err) *retry = t->again;
    else if (code != CURLE_OK && !t->page) *retry = connection_failed(t, code);
    else if (status == 416 && t->asked) { /* our bytes are not of the file that is there now */
        t->err = diag_fail(t->d, CJ_E_NETWORK, MSG_HUB_CHANGED_THERE, "%s", t->from.address);
        *retry = t->again = true;
    } else if (status != 200 && status != 206) *retry = status_failed(t, status);
    else if (wanted(t) >= 0 && t->out->file.size != wanted(t)) *retry = connection_failed(t, CURLE_PARTIAL_FILE);
    return t->err;
}

/* ---- all tries ---- */

/* Whether a transfer can go on from what the part holds. */
static bool resumable(const part *out, const char *address, const hub_file *file)
{
    if (out->file.size == 0 || strcmp(out->from.address, address)) return false;
    return *out->from.etag || *out->from.modified || (out->from.total >= 0 && file->sha256);
}

/* A server that cannot be found or does not speak at all is given up sooner than one that breaks off. */
static int tries_in_vain(const transfer *t, int retries)
{
    return t->answered || t->out->file.size ? retries : (retries + 1) / 2;
}

static cj_err try_on(pull *p, const char *address, const hub_file *file, part *out, cj_diag *d)
{
    double wait = p->opts.retry_seconds;
    int64_t most = out->file.size; /* what was ever reached: coming so far again is no progress */
    for (int tries = 0, in_vain = 0;; tries++) {
        transfer t = {.p = p, .out = out, .file = file, .d = d, .first = -1, .retry_after = -1, .from.total = -1};
        cj_diag why = {0};
        if (!d) t.d = &why;
        snprintf(t.from.address, sizeof t.from.address, "%s", address);
        if (!resumable(out, address, file)) TRY(part_restart(out, &t.from, d));
        t.asked = out->file.size;
        if (t.asked && t.asked == wanted(&t)) return CJ_OK; /* all of it was here before it could be put in its place */
        bool retry;
        cj_err e = run(&t, address, &retry);
        if (!e) return CJ_OK;
        if (out->file.size > out->safe && e != CJ_E_NOSPACE) TRY(part_note(out, d));
        bool brought = out->file.size - most >= PROGRESS_BYTES;
        most = i64_max(most, out->file.size);
        if (t.again) TRY(part_restart(out, &t.from, d));
        in_vain = brought ? 0 : in_vain + 1;
        if (brought) wait = p->opts.retry_seconds;
        if (!retry || in_vain >= tries_in_vain(&t, p->opts.retries) || tries >= TRIES_MAX) return e;
        if (t.retry_after > wait) wait = (double)t.retry_after;
        why = *t.d;
        TRY(pull_wait(p, wait < WAIT_MAX ? wait : WAIT_MAX, out->file.size, &why, d));
        wait *= 2;
    }
}

cj_err pull_http(pull *p, const char *address, const hub_file *file, part *out, cj_diag *d)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT)) return diag_nomem(d, sizeof *p);
    cj_err e = try_on(p, address, file, out, d);
    curl_global_cleanup();
    return e;
}

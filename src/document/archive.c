/* Zip archives by libzip, over the file's bytes. */
#include "document/archive.h"

#include <string.h>
#include <zip.h>

static cj_err failed(const archive *a, int code, cj_diag *d)
{
    if (code == ZIP_ER_NOPASSWD || code == ZIP_ER_WRONGPASSWD) return diag_fail(d, CJ_E_INPUT, MSG_ARCHIVE_LOCKED, "%s", a->path);
    if (code == ZIP_ER_MEMORY) return diag_nomem(d, 0);
    return diag_fail(d, CJ_E_INPUT, MSG_ARCHIVE_BROKEN, "%s", a->path);
}

cj_err archive_open(archive *a, const document_source *s, cj_diag *d)
{
    zip_error_t error;
    *a = (archive){.path = s->path};
    zip_error_init(&error);
    zip_source_t *source = zip_source_buffer_create(s->bytes, s->n, 0, &error);
    if (source) a->zip = zip_open_from_source(source, ZIP_RDONLY, &error);
    if (source && !a->zip) zip_source_free(source);
    int code = zip_error_code_zip(&error);
    zip_error_fini(&error);
    if (!a->zip) return failed(a, code, d);
    if (zip_get_num_entries(a->zip, 0) > ARCHIVE_PARTS_MAX) {
        archive_close(a);
        return diag_fail(d, CJ_E_LIMIT, MSG_ARCHIVE_LARGE, "%s" ARG "%zu", s->path, ARCHIVE_TOTAL_MAX >> 20);
    }
    return CJ_OK;
}

void archive_close(archive *a)
{
    if (a->zip) zip_discard(a->zip);
    a->zip = NULL;
}

bool archive_has(const archive *a, const char *part) { return zip_name_locate(a->zip, part, 0) >= 0; }

static cj_err read_part(archive *a, zip_file_t *f, buf *out, cj_diag *d)
{
    enum { PIECE = 65536 };
    for (;;) {
        TRY(buf_reserve(out, PIECE + 1, d));
        zip_int64_t n = zip_fread(f, out->data + out->len, PIECE);
        if (n < 0) return failed(a, zip_error_code_zip(zip_file_get_error(f)), d);
        out->len += (size_t)n;
        out->data[out->len] = 0;
        a->unpacked += (size_t)n;
        if (!n) return CJ_OK;
        if (out->len > ARCHIVE_PART_MAX || a->unpacked > ARCHIVE_TOTAL_MAX)
            return diag_fail(d, CJ_E_LIMIT, MSG_ARCHIVE_LARGE, "%s" ARG "%zu", a->path, ARCHIVE_TOTAL_MAX >> 20);
    }
}

cj_err archive_read(archive *a, const char *part, buf *out, cj_diag *d)
{
    buf_init(out, ARCHIVE_PART_MAX + 3 * 65536);
    zip_file_t *f = zip_fopen(a->zip, part, 0);
    if (!f) return failed(a, zip_error_code_zip(zip_get_error(a->zip)), d);
    cj_err e = read_part(a, f, out, d);
    zip_fclose(f);
    return e;
}

cj_err archive_read_xml(archive *a, const char *part, const xml_reader *r, void *user, cj_diag *d)
{
    buf text;
    cj_err e = archive_read(a, part, &text, d);
    if (!e) e = xml_read(text.data, text.len, a->path, part, r, user, d);
    buf_deinit(&text);
    return e;
}

static int hex(char c) { return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1; }

bool archive_resolve(const char *from, const char *reference, char out[ARCHIVE_NAME_MAX])
{
    const char *slash = strrchr(from, '/');
    size_t n = *reference != '/' && slash ? (size_t)(slash + 1 - from) : 0;
    if (n >= ARCHIVE_NAME_MAX) return false;
    memcpy(out, from, n);
    if (*reference == '/') reference++;
    while (*reference && *reference != '#') { /* one step of the path at a time */
        size_t begin = n;
        while (*reference && *reference != '#' && *reference != '/') {
            char c = *reference++;
            if (c == '%' && hex(reference[0]) >= 0 && hex(reference[1]) >= 0) {
                c = (char)(hex(reference[0]) * 16 + hex(reference[1]));
                reference += 2;
            }
            if (!c || n + 2 >= ARCHIVE_NAME_MAX) return false;
            out[n++] = c;
        }
        bool up = n - begin == 2 && !memcmp(out + begin, "..", 2), here = n == begin || (n - begin == 1 && out[begin] == '.');
        if (up || here) n = begin;
        if (up && !n) return false;
        if (up)
            for (n--; n && out[n - 1] != '/';) n--;
        if (*reference == '/') {
            reference++;
            if (!up && !here) out[n++] = '/';
        }
    }
    out[n] = 0;
    return n > 0;
}

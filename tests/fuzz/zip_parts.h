/* For fuzz targets of formats that are zip archives: an input that is no archive is a list of parts, "--- NAME" lines with the content
 * behind them, and is packed into one. So mutations reach what is inside, past compression and checksums. */
#ifndef TESTS_FUZZ_ZIP_PARTS_H
#define TESTS_FUZZ_ZIP_PARTS_H

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "base/utf8.h"
#include "document/formats.h"

/* The next "--- " at the beginning of a line in [s, end), else end. */
static const char *zip_next_part(const char *s, const char *end)
{
    for (const char *at = s; at + 4 < end; at++)
        if (!memcmp(at, "--- ", 4) && (at == s || at[-1] == '\n')) return at;
    return end;
}

/* Packs the parts; *n is the size. The caller frees it. */
static char *zip_parts(const uint8_t *data, size_t size, size_t *n)
{
    zip_source_t *target = zip_source_buffer_create(NULL, 0, 0, NULL);
    zip_t *zip = target ? zip_open_from_source(target, ZIP_TRUNCATE, NULL) : NULL;
    const char *end = (const char *)data + size;
    if (!zip) exit(2);
    zip_source_keep(target);
    for (const char *at = zip_next_part((const char *)data, end); at < end;) {
        const char *line = memchr(at, '\n', (size_t)(end - at)), *body = line ? line + 1 : end, *after = zip_next_part(body, end);
        char name[128] = "";
        size_t k = (size_t)((line ? line : end) - at) - 4;
        memcpy(name, at + 4, k < sizeof name ? k : sizeof name - 1);
        zip_source_t *part = zip_source_buffer(zip, body, (size_t)(after - body), 0);
        zip_int64_t index = part ? zip_file_add(zip, name, part, ZIP_FL_OVERWRITE) : -1;
        if (part && index < 0) zip_source_free(part);
        if (index >= 0) zip_set_file_compression(zip, (zip_uint64_t)index, ZIP_CM_STORE, 0);
        at = after;
    }
    char *bytes = NULL;
    *n = 0;
    zip_stat_t st;
    if (zip_close(zip)) zip_discard(zip);
    else if (!zip_source_stat(target, &st) && !zip_source_open(target)) {
        bytes = malloc(st.size + 1);
        zip_int64_t got = zip_source_read(target, bytes, st.size);
        *n = got > 0 ? (size_t)got : 0;
        zip_source_close(target);
    }
    zip_source_free(target);
    return bytes ? bytes : calloc(1, 1);
}

typedef cj_err zip_extractor(const document_source *s, draft *out, cj_diag *d);

/* The archive, or the parts packed into one, is read as text with headings that lie in it, or refused. */
static void zip_extract(zip_extractor *extract, const uint8_t *data, size_t size)
{
    bool is_archive = size > 2 && data[0] == 'P' && data[1] == 'K';
    size_t n = size;
    char *packed = is_archive ? NULL : zip_parts(data, size, &n);
    draft t;
    cj_diag d = {0};
    draft_init(&t);
    if (!extract(&(document_source){.path = "a", .name = "a", .bytes = packed ? packed : (const char *)data, .n = n}, &t, &d)) {
        assert(utf8_valid_prefix(t.text.data ? t.text.data : "", t.text.len) == t.text.len);
        for (int i = 0; i < t.n_headings; i++)
            assert(t.headings[i].title_byte < t.headings[i].title_end && t.headings[i].title_end <= t.text.len);
    } else assert(d.code < 0);
    draft_deinit(&t);
    free(packed);
}

#endif

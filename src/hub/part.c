/* Files in the making. Invariant: hash covers file's bytes [0, file.size), and the note never speaks for bytes that were not
 * synced before it was written. */
#include "hub/part.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "hub/catalogue.h"

enum { PIECE = 1 << 20 };

/* Hashes g's bytes from the start. */
static cj_err hash_all(grow_file *g, hash_sha256 *h, part_progress progress, void *user, cj_diag *d)
{
    uint8_t *piece = mem_alloc(PIECE);
    if (!piece) return diag_nomem(d, PIECE);
    hash_sha256_init(h);
    cj_err e = CJ_OK;
    size_t got = 1;
    for (int64_t at = 0; !e && got; at += (int64_t)got) {
        e = grow_read(g, at, piece, PIECE, &got, d);
        if (e || !got) break;
        hash_sha256_add(h, piece, got);
        if (progress) e = progress(user, at + (int64_t)got, d);
    }
    mem_free(piece);
    return e;
}

static bool take(const char *line, const char *key, char *out, size_t size)
{
    size_t n = strlen(key);
    if (strncmp(line, key, n) || line[n] != ' ' || strlen(line + n + 1) >= size) return false;
    memcpy(out, line + n + 1, strlen(line + n + 1) + 1);
    return true;
}

/* Fills p's origin, steps and safe from the note; false when it is not whole. */
static bool read_note(part *p, char *text)
{
    int seen = 0;
    char number[24], *save;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (take(line, "from", p->from.address, sizeof p->from.address)) seen |= 1;
        else if (take(line, "etag", p->from.etag, sizeof p->from.etag)) seen |= 2;
        else if (take(line, "modified", p->from.modified, sizeof p->from.modified)) seen |= 4;
        else if (take(line, "total", number, sizeof number) && catalogue_number(number, INT64_MAX, &p->from.total)) seen |= 8;
        else if (take(line, "steps", number, sizeof number) && catalogue_number(number, INT64_MAX, &p->steps)) seen |= 16;
        else if (take(line, "bytes", number, sizeof number) && catalogue_number(number, INT64_MAX, &p->safe)) seen |= 32;
        else if (strcmp(line, "end")) return false;
        else return (seen & (1 | 16 | 32)) == (1 | 16 | 32);
    }
    return false;
}

static cj_err load_note(part *p, cj_diag *d)
{
    buf text;
    p->from = (part_origin){.total = -1};
    if (!file_exists(p->note)) return CJ_OK;
    cj_err e = file_read(p->note, 1 << 14, &text, d);
    if (e) return e == CJ_E_NOMEM ? e : CJ_OK; /* a note that cannot be read is no note */
    if (!read_note(p, text.data)) {
        p->from = (part_origin){.total = -1};
        p->steps = p->safe = 0;
    }
    buf_deinit(&text);
    return CJ_OK;
}

static char *with_ending(const char *path, const char *ending)
{
    size_t n = strlen(path), m = strlen(ending);
    char *s = mem_alloc(n + m + 1);
    if (!s) return NULL;
    memcpy(s, path, n);
    memcpy(s + n, ending, m + 1);
    return s;
}

static void close_part(part *p)
{
    grow_close(&p->file);
    mem_free(p->note);
    *p = (part){.file.fd = -1};
}

cj_err part_open(part *p, const char *path, part_progress progress, void *user, cj_diag *d)
{
    *p = (part){.file.fd = -1, .note = with_ending(path, ".note")};
    char *growing = with_ending(path, ".part");
    cj_err e = p->note && growing ? load_note(p, d) : diag_nomem(d, strlen(path));
    if (!e) e = grow_open(&p->file, growing, p->safe, d);
    if (!e && p->file.size < p->safe) { /* the note speaks of bytes that are not there: believe nothing */
        p->from = (part_origin){.total = -1};
        p->steps = p->safe = 0;
        e = grow_cut(&p->file, 0, d);
    }
    if (!e) e = hash_all(&p->file, &p->hash, progress, user, d);
    mem_free(growing);
    if (e) part_leave(p);
    return e;
}

cj_err part_restart(part *p, const part_origin *from, cj_diag *d)
{
    p->from = *from;
    p->steps = p->safe = 0;
    hash_sha256_init(&p->hash);
    TRY(folder_remove(p->note, d)); /* before the bytes it speaks of */
    return grow_cut(&p->file, 0, d);
}

cj_err part_write(part *p, const void *data, size_t n, cj_diag *d)
{
    TRY(grow_write(&p->file, data, n, d));
    hash_sha256_add(&p->hash, data, n);
    return CJ_OK;
}

cj_err part_note(part *p, cj_diag *d)
{
    TRY(grow_sync(&p->file, d));
    buf text;
    buf_init(&text, 1 << 14);
    cj_err e = buf_printf(&text, d, "from %s\n", p->from.address);
    if (!e && *p->from.etag) e = buf_printf(&text, d, "etag %s\n", p->from.etag);
    if (!e && *p->from.modified) e = buf_printf(&text, d, "modified %s\n", p->from.modified);
    if (!e && p->from.total >= 0) e = buf_printf(&text, d, "total %" PRId64 "\n", p->from.total);
    if (!e) e = buf_printf(&text, d, "steps %" PRId64 "\nbytes %" PRId64 "\nend\n", p->steps, p->file.size);
    file_out out;
    if (!e) e = file_out_open(&out, p->note, d);
    if (!e) {
        e = file_out_write(&out, text.data, text.len, d);
        if (e) file_out_abort(&out);
        else e = file_out_commit(&out, d);
    }
    buf_deinit(&text);
    if (!e) p->safe = p->file.size;
    return e;
}

cj_err part_finish(part *p, const char *path, char sha256[65], cj_diag *d)
{
    hash_sha256_hex(&p->hash, sha256);
    cj_err e = grow_finish(&p->file, path, d);
    if (!e) e = folder_remove(p->note, d);
    close_part(p);
    return e;
}

void part_drop(part *p)
{
    /* What cannot be removed now is refused by its hash or overwritten later; there is nothing to tell the user. */
    cj_err ignored = p->note ? folder_remove(p->note, NULL) : CJ_OK;
    if (p->file.path) ignored = folder_remove(p->file.path, NULL);
    (void)ignored;
    close_part(p);
}

void part_leave(part *p)
{
    bool cut = p->file.fd < 0 || p->file.size <= p->safe || !grow_cut(&p->file, p->safe, NULL);
    if (p->file.fd >= 0 && (!cut || p->safe == 0)) part_drop(p);
    else close_part(p);
}

cj_err part_hash_file(const char *path, char sha256[65], part_progress progress, void *user, cj_diag *d)
{
    grow_file g;
    hash_sha256 h;
    TRY(grow_read_only(&g, path, d));
    cj_err e = hash_all(&g, &h, progress, user, d);
    if (!e) hash_sha256_hex(&h, sha256);
    grow_close(&g);
    return e;
}

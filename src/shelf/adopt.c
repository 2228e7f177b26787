/* A new index over segments that are there already: the old one was damaged, or lost. A segment says what comes before it only by a hash, so
 * the chains are followed from the beginning: first the heads are gathered, then, in the order of their first tokens, each is looked for behind
 * those that are known. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/folder.h"
#include "shelf/index.h"

enum { ADOPT_MAX = 1 << 16 };

typedef struct found {
    segment_row row;
    uint64_t shape; /* XXH3 of it */
    bool known;     /* the chain leads here: */
    chain behind;
} found;

typedef struct adoption {
    shelf *s;
    buf found;
    cj_err err;
    cj_diag *d;
} adoption;

/* Maps and scans a file; *good false: it is no closed segment. */
static cj_err scan(shelf *s, found *f, shelf_shape *shape, chain *c, bool *good, cj_diag *d)
{
    file_map m = {0};
    int64_t file = f->row.file;
    char *path = shelf_segment_path(s, file);
    *good = false;
    if (!path) return diag_nomem(d, 64);
    cj_err e = file_map_open(&m, path, NULL) ? CJ_OK : segment_scan(m.data, m.size, shape, &f->row, c, good, d);
    file_map_close(&m);
    mem_free(path);
    f->row.file = file;
    return e;
}

static cj_err shape_sum(const shelf_shape *s, uint64_t *out, cj_diag *d)
{
    size_t n = shape_bytes(s);
    uint8_t *bytes = mem_alloc(n);
    if (!bytes) return diag_nomem(d, n);
    shape_encode(s, bytes);
    *out = hash_xxh3(bytes, n);
    mem_free(bytes);
    return CJ_OK;
}

static bool gather(void *user, const char *path, bool is_dir)
{
    adoption *a = user;
    char *end;
    const char *name = strrchr(path, '/') + 1;
    found f = {.row.file = (int64_t)strtoull(name, &end, 16)};
    shelf_shape shape;
    bool good;
    if (is_dir || strcmp(end, ".seg") || f.row.file <= 0) return true;
    a->err = scan(a->s, &f, &shape, NULL, &good, a->d);
    if (a->err || !good) return !a->err;
    a->err = shape_sum(&shape, &f.shape, a->d);
    shape_deinit(&shape);
    if (!a->err) a->err = buf_append(&a->found, &f, sizeof f, a->d);
    return !a->err;
}

static int by_start(const void *x, const void *y)
{
    const found *a = x, *b = y;
    return a->row.start != b->row.start ? (a->row.start > b->row.start) - (a->row.start < b->row.start) : (a->row.file > b->row.file) - (a->row.file < b->row.file);
}

/* The chain that ends where f begins: of a known segment before it, or the beginning of all. */
static cj_err chain_before(const found *first, const found *f, const shelf_shape *shape, chain *c, bool *there, cj_diag *d)
{
    uint8_t hash[SEGMENT_HASH];
    TRY(chain_begin(c, shape, d));
    chain_digest(c, hash);
    *there = f->row.start == 0 && !memcmp(hash, f->row.before, SEGMENT_HASH);
    for (const found *p = first; p < f && !*there; p++) {
        if (!p->known || p->shape != f->shape || p->behind.at != f->row.start || memcmp(p->row.after, f->row.before, SEGMENT_HASH)) continue;
        *c = p->behind;
        *there = true;
    }
    return CJ_OK;
}

static cj_err make_known(shelf *s, const found *first, found *f, cj_diag *d)
{
    shelf_shape shape;
    chain c;
    bool good, there = false;
    TRY(scan(s, f, &shape, NULL, &good, d));
    if (!good) return CJ_OK;
    cj_err e = chain_before(first, f, &shape, &c, &there, d);
    shape_deinit(&shape);
    if (e || !there) return e;
    TRY(scan(s, f, &shape, &c, &good, d));
    if (!good) return CJ_OK;
    shape_deinit(&shape);
    f->behind = c;
    f->known = true;
    chain_digest(&c, f->row.after);
    TRY(segment_row_insert(s, &f->row, d));
    return index_run(s, d, "INSERT INTO links(entry, start, segment) VALUES(?,?,?)", "iii", -f->row.id, f->row.start, f->row.id);
}

cj_err shelf_adopt(shelf *s, cj_diag *d)
{
    adoption a = {.s = s, .d = d};
    char *segments = file_join(s->folder, "segments");
    if (!segments) return diag_nomem(d, 64);
    buf_init(&a.found, ADOPT_MAX * sizeof(found));
    cj_err e = file_is_dir(segments) ? folder_each(segments, gather, &a, d) : CJ_OK;
    if (!e) e = a.err;
    mem_free(segments);
    found *first = (found *)(void *)a.found.data;
    size_t n = a.found.len / sizeof(found);
    if (n) qsort(first, n, sizeof *first, by_start);
    for (size_t i = 0; !e && i < n; i++) e = make_known(s, first, &first[i], d);
    buf_deinit(&a.found);
    return e;
}

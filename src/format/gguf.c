/* Opening and checking GGUF files. See gguf.h for what holds afterwards and docs/formats.md for the layout.
 *
 * A part is parsed front to back by a cursor that never passes the end of its bytes; allocations are made only after a count
 * has been held against the bytes that are left, so a small file cannot ask for much memory.
 */
#include "format/gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mapped.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "quant/quant.h"

enum {
    KEY_BYTES_MIN = 8 + 1 + 4 + 1,           /* name length, one letter, type, a byte */
    TENSOR_BYTES_MIN = 8 + 1 + 4 + 8 + 4 + 8, /* name length, one letter, dimensions, one of them, type, offset */
    SPLIT_SUFFIX = sizeof "-00001-of-00001.gguf" - 1
};
static const size_t arena_max = (size_t)1 << 30;

/* An entry of a list sorted by name; names are unique in it. */
typedef struct named {
    const char *name;
    const void *what;
} named;

typedef struct part {
    file_map map;
    char *path;
    const uint8_t *bytes;
    size_t size, alignment, data_at;
    int64_t n_keys, n_tensors;
    gguf_key *keys;
    named *keys_by_name;
    gguf_tensor *tensors;
} part;

struct gguf {
    arena arena;
    part *parts;
    int n_parts;
    int64_t n_tensors;
    const gguf_tensor **tensors;
    named *tensors_by_name;
};

typedef struct cursor {
    part *part;
    arena *arena;
    size_t at;
    cj_diag *d;
} cursor;

/* ---- bytes ---- */

static cj_err take(cursor *c, size_t n, const char *what, const uint8_t **p)
{
    if (n > c->part->size - c->at)
        return diag_fail(c->d, CJ_E_INPUT, MSG_GGUF_TRUNCATED, "%s" ARG "%s" ARG "%zu" ARG "%zu" ARG "%zu", c->part->path, what,
                         n, c->at, c->part->size);
    *p = c->part->bytes + c->at;
    c->at += n;
    return CJ_OK;
}

static cj_err take_u32(cursor *c, const char *what, uint32_t *v)
{
    const uint8_t *p;
    TRY(take(c, 4, what, &p));
    memcpy(v, p, 4);
    return CJ_OK;
}

static cj_err take_u64(cursor *c, const char *what, uint64_t *v)
{
    const uint8_t *p;
    TRY(take(c, 8, what, &p));
    memcpy(v, p, 8);
    return CJ_OK;
}

static cj_err bad_count(cursor *c, const char *what, uint64_t count, uint64_t max)
{
    return diag_fail(c->d, CJ_E_INPUT, MSG_GGUF_COUNT, "%s" ARG "%s" ARG "%llu" ARG "%llu", c->part->path, what,
                     (unsigned long long)count, (unsigned long long)max);
}

/* A count of things of at least min_bytes each, not more than max nor than the bytes left can hold. */
static cj_err take_count(cursor *c, const char *what, uint64_t max, size_t min_bytes, int64_t *count)
{
    uint64_t n;
    TRY(take_u64(c, what, &n));
    if (n > max) return bad_count(c, what, n, max);
    uint64_t fit = (c->part->size - c->at) / min_bytes;
    if (n > fit) return bad_count(c, what, n, fit);
    *count = (int64_t)n;
    return CJ_OK;
}

/* A leading dot is ours: it asks gguf_key_find to put the architecture in front. */
static bool proper_name(const char *s, size_t n)
{
    if (s[0] == '.') return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < 32 || s[i] == 127) return false;
    return utf8_valid_prefix(s, n) == n;
}

static cj_err take_name(cursor *c, const char *what, const char **name)
{
    size_t start = c->at;
    uint64_t n;
    const uint8_t *p;
    TRY(take_u64(c, what, &n));
    if (n == 0 || n > GGUF_NAME_MAX) return diag_fail(c->d, CJ_E_INPUT, MSG_GGUF_NAME, "%s" ARG "%zu", c->part->path, start);
    TRY(take(c, (size_t)n, what, &p));
    if (!proper_name((const char *)p, (size_t)n))
        return diag_fail(c->d, CJ_E_INPUT, MSG_GGUF_NAME, "%s" ARG "%zu", c->part->path, start);
    *name = arena_strndup(c->arena, (const char *)p, (size_t)n);
    return *name ? CJ_OK : diag_nomem(c->d, (size_t)n);
}

/* ---- keys ---- */

size_t gguf_type_bytes(gguf_type t)
{
    static const uint8_t bytes[GGUF_TYPE_END] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return (unsigned)t < GGUF_TYPE_END ? bytes[t] : 0;
}

const char *gguf_type_name(gguf_type t)
{
    static const char *const names[GGUF_TYPE_END] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                                     "bool", "string", "array", "u64", "i64", "f64"};
    return (unsigned)t < GGUF_TYPE_END ? names[t] : "unknown";
}

/* The strings of an array, one after the other, each after its length; their ends are noted for random access. */
static cj_err take_strings(cursor *c, const char *name, gguf_array *a)
{
    uint32_t *ends = arena_alloc(c->arena, (size_t)a->count * sizeof *ends);
    if (!ends) return diag_nomem(c->d, (size_t)a->count * sizeof *ends);
    size_t start = c->at;
    a->data = c->part->bytes + start;
    for (int64_t i = 0; i < a->count; i++) {
        uint64_t n;
        const uint8_t *p;
        TRY(take_u64(c, name, &n));
        if (n > GGUF_STRING_MAX) return bad_count(c, name, n, GGUF_STRING_MAX);
        TRY(take(c, (size_t)n, name, &p));
        if (c->at - start > UINT32_MAX) return bad_count(c, name, c->at - start, UINT32_MAX);
        ends[i] = (uint32_t)(c->at - start);
    }
    a->ends = ends;
    return CJ_OK;
}

static cj_err take_items(cursor *c, const char *name, gguf_array *a)
{
    if (a->item == GGUF_STRING) return take_strings(c, name, a);
    TRY(take(c, (size_t)a->count * gguf_type_bytes(a->item), name, &a->data));
    for (int64_t i = 0; a->item == GGUF_BOOL && i < a->count; i++)
        if (a->data[i] > 1) return diag_fail(c->d, CJ_E_INPUT, MSG_GGUF_KEY_BOOL, "%s" ARG "%s", c->part->path, name);
    return CJ_OK;
}

static cj_err bad_type(cursor *c, const char *name, uint32_t type)
{
    return diag_fail(c->d, CJ_E_INPUT, MSG_GGUF_KEY_TYPE, "%s" ARG "%s" ARG "%u", c->part->path, name, type);
}

static cj_err take_key(cursor *c, gguf_key *k)
{
    uint32_t type;
    TRY(take_name(c, "key", &k->name));
    TRY(take_u32(c, k->name, &type));
    if (type >= GGUF_TYPE_END) return bad_type(c, k->name, type);
    k->type = (gguf_type)type;
    size_t start = c->at;
    k->value = c->part->bytes + start;
    k->array = (gguf_array){.item = k->type, .count = 1};
    if (k->type == GGUF_ARRAY) {
        TRY(take_u32(c, k->name, &type));
        if (type >= GGUF_TYPE_END || type == GGUF_ARRAY) return bad_type(c, k->name, type);
        k->array.item = (gguf_type)type;
        size_t least = type == GGUF_STRING ? 8 : gguf_type_bytes((gguf_type)type);
        TRY(take_count(c, k->name, GGUF_ARRAY_MAX, least, &k->array.count));
    }
    TRY(take_items(c, k->name, &k->array));
    k->value_bytes = c->at - start;
    return CJ_OK;
}

static int by_name(const void *a, const void *b) { return strcmp(((const named *)a)->name, ((const named *)b)->name); }

static cj_err sort_names(const char *path, named *list, int64_t n, cj_diag *d)
{
    qsort(list, (size_t)n, sizeof *list, by_name);
    for (int64_t i = 1; i < n; i++)
        if (strcmp(list[i - 1].name, list[i].name) == 0)
            return diag_fail(d, CJ_E_INPUT, MSG_GGUF_DUPLICATE, "%s" ARG "%s", path, list[i].name);
    return CJ_OK;
}

static const void *find_name(const named *list, int64_t n, const char *name)
{
    const named wanted = {.name = name}, *hit = n ? bsearch(&wanted, list, (size_t)n, sizeof *list, by_name) : NULL;
    return hit ? hit->what : NULL;
}

static cj_err take_keys(cursor *c)
{
    part *p = c->part;
    size_t n = (size_t)p->n_keys;
    p->keys = arena_zalloc(c->arena, n * sizeof *p->keys);
    p->keys_by_name = arena_alloc(c->arena, n * sizeof *p->keys_by_name);
    if (!p->keys || !p->keys_by_name) return diag_nomem(c->d, n * sizeof *p->keys);
    for (size_t i = 0; i < n; i++) {
        TRY(take_key(c, &p->keys[i]));
        p->keys_by_name[i] = (named){p->keys[i].name, &p->keys[i]};
    }
    return sort_names(p->path, p->keys_by_name, p->n_keys, c->d);
}

/* An integer key of this part; `value` stays when it is absent. */
static cj_err part_int(const part *p, const char *name, int64_t *value, cj_diag *d)
{
    const gguf_key *k = find_name(p->keys_by_name, p->n_keys, name);
    if (!k) return CJ_OK;
    if (k->type == GGUF_ARRAY || k->type == GGUF_STRING || k->type == GGUF_F32 || k->type == GGUF_F64 || k->type == GGUF_BOOL)
        return diag_fail(d, CJ_E_INPUT, MSG_GGUF_KEY_KIND, "%s" ARG "%s" ARG "%s" ARG "%s", p->path, name, gguf_type_name(k->type),
                         "integer");
    *value = gguf_array_int(&k->array, 0);
    return CJ_OK;
}

/* ---- tensors ---- */

/* What the wider world calls the types that we do not read. */
static const char *foreign_type_name(uint32_t type, char number[16])
{
    static const char *const names[] = {[10] = "Q2_K",    [11] = "Q3_K",   [15] = "Q8_K",  [16] = "IQ2_XXS", [17] = "IQ2_XS",
                                        [18] = "IQ3_XXS", [19] = "IQ1_S",  [20] = "IQ4_NL", [21] = "IQ3_S",  [22] = "IQ2_S",
                                        [23] = "IQ4_XS",  [24] = "I8",     [25] = "I16",   [26] = "I32",     [27] = "I64",
                                        [28] = "F64",     [29] = "IQ1_M",  [34] = "TQ1_0", [35] = "TQ2_0",   [39] = "MXFP4"};
    if (type < sizeof names / sizeof *names && names[type]) return names[type];
    snprintf(number, 16, "%u", type);
    return number;
}

static cj_err bad_shape(cursor *c, const gguf_tensor *t)
{
    return diag_fail(c->d, CJ_E_INPUT, MSG_GGUF_TENSOR_SHAPE, "%s" ARG "%s", c->part->path, t->name);
}

/* The description of a tensor; `offset` counts from the start of the data, whose place is not yet known. */
static cj_err take_tensor(cursor *c, gguf_tensor *t, uint64_t *offset)
{
    uint32_t n_dims, type;
    TRY(take_name(c, "tensor", &t->name));
    TRY(take_u32(c, t->name, &n_dims));
    if (n_dims < 1 || n_dims > GGUF_DIMS_MAX) return bad_shape(c, t);
    t->n_dims = (int)n_dims;
    size_t rows = 1;
    for (int i = 0; i < GGUF_DIMS_MAX; i++) {
        uint64_t dim = 1;
        if (i < t->n_dims) TRY(take_u64(c, t->name, &dim));
        if (dim < 1 || dim > INT64_MAX || (i > 0 && !size_mul(rows, (size_t)dim, &rows))) return bad_shape(c, t);
        t->dims[i] = (int64_t)dim;
    }
    TRY(take_u32(c, t->name, &type));
    if (type >= QUANT_TYPE_END || !quant_info_get((int)type)) {
        char number[16];
        return diag_fail(c->d, CJ_E_UNSUPPORTED, MSG_GGUF_TENSOR_TYPE, "%s" ARG "%s" ARG "%s", c->part->path, t->name,
                         foreign_type_name(type, number));
    }
    t->type = (int)type;
    size_t row = quant_row_bytes(t->type, t->dims[0]);
    if (!row || !size_mul(rows, row, &t->bytes)) return bad_shape(c, t);
    return take_u64(c, t->name, offset);
}

static cj_err place_tensor(cursor *c, gguf_tensor *t, uint64_t offset)
{
    const part *p = c->part;
    if (offset % p->alignment)
        return diag_fail(c->d, CJ_E_INPUT, MSG_GGUF_TENSOR_MISALIGNED, "%s" ARG "%s" ARG "%llu" ARG "%zu", p->path, t->name,
                         (unsigned long long)offset, p->alignment);
    size_t room = p->size > p->data_at ? p->size - p->data_at : 0;
    if (offset > room || t->bytes > room - offset)
        return diag_fail(c->d, CJ_E_INPUT, MSG_GGUF_TRUNCATED, "%s" ARG "%s" ARG "%zu" ARG "%llu" ARG "%zu", p->path, t->name,
                         t->bytes, (unsigned long long)offset + p->data_at, p->size);
    t->data = p->bytes + p->data_at + offset;
    return CJ_OK;
}

static int by_data(const void *a, const void *b)
{
    const gguf_tensor *x = *(const gguf_tensor *const *)a, *y = *(const gguf_tensor *const *)b;
    return x->data < y->data ? -1 : x->data > y->data;
}

static cj_err check_overlap(cursor *c, const gguf_tensor **sorted)
{
    const part *p = c->part;
    qsort(sorted, (size_t)p->n_tensors, sizeof *sorted, by_data);
    for (int64_t i = 1; i < p->n_tensors; i++) {
        const gguf_tensor *x = sorted[i - 1], *y = sorted[i];
        if ((const uint8_t *)x->data + x->bytes > (const uint8_t *)y->data)
            return diag_fail(c->d, CJ_E_INPUT, MSG_GGUF_TENSOR_OVERLAP, "%s" ARG "%s" ARG "%s", p->path, x->name, y->name);
    }
    return CJ_OK;
}

static cj_err take_tensors(cursor *c)
{
    part *p = c->part;
    size_t n = (size_t)p->n_tensors;
    p->tensors = arena_zalloc(c->arena, n * sizeof *p->tensors);
    uint64_t *offsets = arena_alloc(c->arena, n * sizeof *offsets);
    const gguf_tensor **sorted = arena_alloc(c->arena, n * sizeof *sorted);
    if (!p->tensors || !offsets || !sorted) return diag_nomem(c->d, n * sizeof *p->tensors);
    for (size_t i = 0; i < n; i++) TRY(take_tensor(c, &p->tensors[i], &offsets[i]));
    if (!size_add(c->at, p->alignment - 1, &p->data_at)) return bad_count(c, "header", c->at, SIZE_MAX);
    p->data_at -= p->data_at % p->alignment;
    for (size_t i = 0; i < n; i++) {
        TRY(place_tensor(c, &p->tensors[i], offsets[i]));
        sorted[i] = &p->tensors[i];
    }
    return check_overlap(c, sorted);
}

/* ---- parts ---- */

static cj_err take_alignment(cursor *c)
{
    int64_t a = GGUF_ALIGN_DEFAULT;
    TRY(part_int(c->part, "general.alignment", &a, c->d));
    if (a < GGUF_ALIGN_MIN || a > GGUF_ALIGN_MAX || (a & (a - 1)))
        return diag_fail(c->d, CJ_E_INPUT, MSG_GGUF_ALIGNMENT, "%s" ARG "%lld", c->part->path, (long long)a);
    c->part->alignment = (size_t)a;
    return CJ_OK;
}

static cj_err part_parse(part *p, arena *a, cj_diag *d)
{
    cursor c = {.part = p, .arena = a, .d = d};
    uint32_t version;
    if (p->size < 4 || memcmp(p->bytes, "GGUF", 4)) return diag_fail(d, CJ_E_INPUT, MSG_GGUF_MAGIC, "%s", p->path);
    c.at = 4;
    TRY(take_u32(&c, "version", &version));
    if (version < 2 || version > 3) return diag_fail(d, CJ_E_UNSUPPORTED, MSG_GGUF_VERSION, "%s" ARG "%u", p->path, version);
    TRY(take_count(&c, "tensor count", GGUF_TENSORS_MAX, TENSOR_BYTES_MIN, &p->n_tensors));
    TRY(take_count(&c, "key count", GGUF_KEYS_MAX, KEY_BYTES_MIN, &p->n_keys));
    TRY(take_keys(&c));
    TRY(take_alignment(&c));
    return take_tensors(&c);
}

static cj_err part_open(part *p, const char *path, arena *a, cj_diag *d)
{
    p->path = arena_strndup(a, path, strlen(path));
    if (!p->path) return diag_nomem(d, strlen(path));
    TRY(file_map_open(&p->map, path, d));
    p->bytes = p->map.data;
    p->size = p->map.size;
    return part_parse(p, a, d);
}

/* That p says it is part `no` (counted from 0) of `count`. */
static cj_err check_part_number(const part *p, int no, int count, cj_diag *d)
{
    int64_t says_no = -1, says_count = -1;
    TRY(part_int(p, "split.no", &says_no, d));
    TRY(part_int(p, "split.count", &says_count, d));
    if (says_no == no && says_count == count) return CJ_OK;
    return diag_fail(d, CJ_E_INPUT, MSG_GGUF_SPLIT_PART, "%s" ARG "%d" ARG "%d" ARG "%lld" ARG "%lld", p->path, no + 1, count,
                     (long long)says_no + 1, (long long)says_count);
}

/* How many files the model has, read from its first part; that part is checked to be the first. */
static cj_err split_count(const part *first, int *count, cj_diag *d)
{
    int64_t no = 0, n = 1;
    TRY(part_int(first, "split.no", &no, d));
    TRY(part_int(first, "split.count", &n, d));
    if (n == 0) n = 1;
    if (n < 1 || n > GGUF_PARTS_MAX)
        return diag_fail(d, CJ_E_INPUT, MSG_GGUF_COUNT, "%s" ARG "%s" ARG "%lld" ARG "%d", first->path, "split.count", (long long)n,
                         GGUF_PARTS_MAX);
    if (no != 0)
        return diag_fail(d, CJ_E_INPUT, MSG_GGUF_SPLIT_FIRST, "%s" ARG "%lld" ARG "%lld" ARG "%05lld", first->path,
                         (long long)no + 1, (long long)n, (long long)n);
    *count = (int)n;
    return CJ_OK;
}

static cj_err open_other_parts(gguf *g, cj_diag *d)
{
    const char *path = g->parts[0].path;
    size_t len = strlen(path), stem = len < SPLIT_SUFFIX ? 0 : len - SPLIT_SUFFIX;
    char suffix[64];
    snprintf(suffix, sizeof suffix, "-00001-of-%05d.gguf", g->n_parts);
    if (!g->parts[0].map.data || strcmp(path + stem, suffix))
        return diag_fail(d, CJ_E_INPUT, MSG_GGUF_SPLIT_NAME, "%s" ARG "%d" ARG "%05d", path, g->n_parts, g->n_parts);
    char *name = arena_strndup(&g->arena, path, len);
    if (!name) return diag_nomem(d, len);
    for (int i = 1; i < g->n_parts; i++) {
        snprintf(suffix, sizeof suffix, "-%05d-of-%05d.gguf", i + 1, g->n_parts);
        memcpy(name + stem, suffix, SPLIT_SUFFIX);
        TRY(part_open(&g->parts[i], name, &g->arena, d));
        TRY(check_part_number(&g->parts[i], i, g->n_parts, d));
    }
    return CJ_OK;
}

/* Replaces the one part by an array with room for all. */
static cj_err add_parts(gguf *g, cj_diag *d)
{
    int count;
    TRY(split_count(&g->parts[0], &count, d));
    if (count == 1) return CJ_OK;
    part *parts = arena_zalloc(&g->arena, (size_t)count * sizeof *parts);
    if (!parts) return diag_nomem(d, (size_t)count * sizeof *parts);
    parts[0] = g->parts[0];
    g->parts = parts;
    g->n_parts = count;
    return open_other_parts(g, d);
}

/* One list of all tensors in file order, one by name. */
static cj_err index_tensors(gguf *g, cj_diag *d)
{
    const part *first = &g->parts[0];
    for (int i = 0; i < g->n_parts; i++) g->n_tensors += g->parts[i].n_tensors;
    int64_t announced = g->n_tensors;
    if (g->n_parts > 1) TRY(part_int(first, "split.tensors.count", &announced, d));
    if (announced != g->n_tensors)
        return diag_fail(d, CJ_E_INPUT, MSG_GGUF_SPLIT_TENSORS, "%s" ARG "%lld" ARG "%lld", first->path, (long long)g->n_tensors,
                         (long long)announced);
    if (g->n_tensors > GGUF_TENSORS_MAX)
        return diag_fail(d, CJ_E_INPUT, MSG_GGUF_COUNT, "%s" ARG "%s" ARG "%lld" ARG "%d", first->path, "tensor count",
                         (long long)g->n_tensors, GGUF_TENSORS_MAX);
    size_t n = (size_t)g->n_tensors;
    g->tensors = arena_alloc(&g->arena, n * sizeof *g->tensors);
    g->tensors_by_name = arena_alloc(&g->arena, n * sizeof *g->tensors_by_name);
    if (!g->tensors || !g->tensors_by_name) return diag_nomem(d, n * sizeof *g->tensors_by_name);
    int64_t at = 0;
    for (int i = 0; i < g->n_parts; i++)
        for (int64_t t = 0; t < g->parts[i].n_tensors; t++, at++) {
            const gguf_tensor *tensor = &g->parts[i].tensors[t];
            g->tensors[at] = tensor;
            g->tensors_by_name[at] = (named){tensor->name, tensor};
        }
    return sort_names(first->path, g->tensors_by_name, g->n_tensors, d);
}

/* ---- opening ---- */

static cj_err gguf_new(gguf **out, cj_diag *d)
{
    gguf *g = mem_zalloc(sizeof *g);
    if (!g) return diag_nomem(d, sizeof *g);
    arena_init(&g->arena, arena_max);
    g->parts = arena_zalloc(&g->arena, sizeof *g->parts);
    g->n_parts = 1;
    if (!g->parts) {
        gguf_close(&g);
        return diag_nomem(d, sizeof *g->parts);
    }
    *out = g;
    return CJ_OK;
}

static cj_err gguf_finish(gguf **out, gguf *g, cj_err e, cj_diag *d)
{
    if (!e) e = add_parts(g, d);
    if (!e) e = index_tensors(g, d);
    if (e) gguf_close(&g);
    else *out = g;
    return e;
}

cj_err gguf_open(gguf **out, const char *path, cj_diag *d)
{
    gguf *g;
    TRY(gguf_new(&g, d));
    return gguf_finish(out, g, part_open(&g->parts[0], path, &g->arena, d), d);
}

cj_err gguf_open_memory(gguf **out, const void *bytes, size_t n, cj_diag *d)
{
    gguf *g;
    TRY(gguf_new(&g, d));
    part *p = &g->parts[0];
    p->bytes = bytes;
    p->size = n;
    p->path = arena_strndup(&g->arena, "(memory)", 8);
    return gguf_finish(out, g, p->path ? part_parse(p, &g->arena, d) : diag_nomem(d, 9), d);
}

bool gguf_is_cut(const gguf *g)
{
    for (int i = 0; mapped_any_cut() && g->parts && i < g->n_parts; i++)
        if (mapped_is_cut(&g->parts[i].map)) return true;
    return false;
}

void gguf_close(gguf **gp)
{
    gguf *g = *gp;
    if (!g) return;
    for (int i = 0; g->parts && i < g->n_parts; i++) file_map_close(&g->parts[i].map);
    arena_deinit(&g->arena);
    mem_free(g);
    *gp = NULL;
}

/* ---- looking things up ---- */

const char *gguf_path(const gguf *g) { return g->parts[0].path; }
int gguf_parts(const gguf *g) { return g->n_parts; }
int64_t gguf_tensor_count(const gguf *g) { return g->n_tensors; }
const gguf_tensor *gguf_tensor_at(const gguf *g, int64_t i) { return g->tensors[i]; }
int64_t gguf_key_count(const gguf *g) { return g->parts[0].n_keys; }
const gguf_key *gguf_key_at(const gguf *g, int64_t i) { return &g->parts[0].keys[i]; }

const gguf_tensor *gguf_tensor_find(const gguf *g, const char *name)
{
    return find_name(g->tensors_by_name, g->n_tensors, name);
}

const gguf_key *gguf_key_find(const gguf *g, const char *name)
{
    const part *p = &g->parts[0];
    if (name[0] != '.') return find_name(p->keys_by_name, p->n_keys, name);
    const gguf_key *k = find_name(p->keys_by_name, p->n_keys, "general.architecture");
    if (!k || k->type != GGUF_STRING) return NULL;
    gguf_str family = gguf_array_string(&k->array, 0);
    char full[2 * GGUF_NAME_MAX + 2];
    int n = snprintf(full, sizeof full, "%.*s%s", (int)(family.len <= GGUF_NAME_MAX ? family.len : 0), family.data, name);
    return n > 0 && (size_t)n < sizeof full ? find_name(p->keys_by_name, p->n_keys, full) : NULL;
}

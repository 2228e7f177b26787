/* Opening and checking safetensors files. See safetensors.h for what holds afterwards.
 *
 * Bytes, little-endian:  u64 length of the header, the header (JSON, may end in spaces), then the data.
 * Header: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ..., "__metadata__": {...}}, offsets from the data's begin.
 * Because the tensors must fill the data exactly, a name that stands there twice leaves a gap, and is found out by it.
 */
#include "format/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/json.h"
#include "base/mapped.h"
#include "base/utf8.h"
#include "quant/quant.h"

#define INDEX_NAME "model.safetensors.index.json"
#define SINGLE_NAME "model.safetensors"

static const size_t arena_max = (size_t)1 << 30;

struct safetensors {
    arena arena;
    char *path;
    file_map *maps; /* [n_maps] */
    int n_maps;
    safetensor *tensors; /* [count] sorted by name */
    int64_t count;
};

/* A file that is being taken in. */
typedef struct part {
    safetensors *s;
    const char *name;    /* for messages */
    const uint8_t *data; /* [size] behind the header */
    size_t size;
    cj_diag *d;
} part;

static cj_err bad(const part *p, const char *what)
{
    return diag_fail(p->d, CJ_E_INPUT, MSG_SAFETENSORS_BAD, "%s" ARG "%.80s", p->name, what);
}

/* ---- one tensor ---- */

typedef struct element {
    const char *name;
    int type; /* quant_type; -1: none */
    size_t bytes;
} element;

static const element *element_named(const char *name)
{
    static const element all[] = {
        {"F32", QUANT_F32, 4}, {"F16", QUANT_F16, 2}, {"BF16", QUANT_BF16, 2}, {"F64", -1, 8}, {"I64", -1, 8}, {"U64", -1, 8}, {"I32", -1, 4},
        {"U32", -1, 4}, {"I16", -1, 2}, {"U16", -1, 2}, {"I8", -1, 1}, {"U8", -1, 1}, {"BOOL", -1, 1}, {"F8_E4M3", -1, 1}, {"F8_E5M2", -1, 1},
        {"F8_E8M0", -1, 1},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(all[i].name, name)) return &all[i];
    return NULL;
}

static bool name_good(const char *name)
{
    size_t n = strlen(name);
    return n && n <= SAFETENSORS_NAME_MAX && utf8_is_plain(name, n);
}

/* A number of the header: an integer that is not negative. */
static bool number_of(json_object *o, int64_t *out)
{
    *out = json_object_is_type(o, json_type_int) ? json_object_get_int64(o) : -1;
    return *out >= 0 && *out < INT64_MAX; /* json-c gives the last one for anything larger */
}

/* The shape, turned round; *elements is the product. */
static bool read_shape(json_object *shape, safetensor *t, size_t *elements)
{
    if (!json_object_is_type(shape, json_type_array)) return false;
    size_t n = json_object_array_length(shape), skip = 0;
    for (int64_t v; n - skip > SAFETENSORS_DIMS_MAX; skip++)
        if (!number_of(json_object_array_get_idx(shape, skip), &v) || v != 1) return false;
    t->n_dims = (int)(n - skip);
    *elements = 1;
    for (int i = 0; i < SAFETENSORS_DIMS_MAX; i++) t->dims[i] = 1;
    for (int i = 0; i < t->n_dims; i++) {
        int64_t v;
        if (!number_of(json_object_array_get_idx(shape, skip + (size_t)i), &v) || v > SAFETENSORS_DIM_MAX || !size_mul(*elements, (size_t)v, elements)) return false;
        t->dims[t->n_dims - 1 - i] = v;
    }
    return true;
}

static cj_err read_tensor(const part *p, const char *name, json_object *o, safetensor *t)
{
    json_object *dtype, *shape, *offsets;
    int64_t begin, end;
    size_t elements, bytes;
    if (!name_good(name)) return bad(p, "the name of a tensor");
    if (!json_object_object_get_ex(o, "dtype", &dtype) || !json_object_object_get_ex(o, "shape", &shape) ||
        !json_object_object_get_ex(o, "data_offsets", &offsets) || !json_object_is_type(offsets, json_type_array) || json_object_array_length(offsets) != 2)
        return bad(p, name);
    const char *type = json_object_is_type(dtype, json_type_string) ? json_object_get_string(dtype) : "";
    const element *e = element_named(type);
    if (!e) return diag_fail(p->d, CJ_E_UNSUPPORTED, MSG_SAFETENSORS_DTYPE, "%s" ARG "%s" ARG "%.40s", p->name, name, type);
    if (!read_shape(shape, t, &elements) || !size_mul(elements, e->bytes, &bytes)) return bad(p, name);
    if (!number_of(json_object_array_get_idx(offsets, 0), &begin) || !number_of(json_object_array_get_idx(offsets, 1), &end)) return bad(p, name);
    if (begin > end || (size_t)end > p->size || (size_t)(end - begin) != bytes) return bad(p, name);
    t->data = p->data + begin;
    t->bytes = bytes;
    t->type = e->type;
    snprintf(t->dtype, sizeof t->dtype, "%s", e->name);
    t->name = arena_strndup(&p->s->arena, name, strlen(name));
    return t->name ? CJ_OK : diag_nomem(p->d, strlen(name));
}

/* ---- a whole header ---- */

static int by_place(const void *a, const void *b)
{
    const safetensor *x = a, *y = b;
    if (x->data != y->data) return (uintptr_t)x->data < (uintptr_t)y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int by_name(const void *a, const void *b) { return strcmp(((const safetensor *)a)->name, ((const safetensor *)b)->name); }

/* The tensors lie one behind the other, from the first byte to the last. */
static bool fills(const part *p, safetensor *t, int64_t n)
{
    const uint8_t *at = p->data;
    qsort(t, (size_t)n, sizeof *t, by_place);
    for (int64_t i = 0; i < n; at += t[i++].bytes)
        if (t[i].data != at) return false;
    return at == p->data + p->size;
}

/* A file that was made to be large holds zeros that take no room until they are copied. */
static cj_err align(const part *p, safetensor *t)
{
    if (t->type < 0 || (uintptr_t)t->data % element_named(t->dtype)->bytes == 0) return CJ_OK;
    const int64_t most = cpu_memory_available();
    void *copy = most && t->bytes > (size_t)most ? NULL : mem_alloc(t->bytes);
    if (!copy) return diag_nomem(p->d, t->bytes);
    memcpy(copy, t->data, t->bytes);
    t->data = copy;
    t->copied = true;
    return CJ_OK;
}

static cj_err read_header(const part *p, json_object *header)
{
    if (!json_object_is_type(header, json_type_object)) return bad(p, "the header");
    safetensors *s = p->s;
    int64_t more = json_object_object_length(header), n = s->count;
    if (more + n > SAFETENSORS_TENSORS_MAX) return bad(p, "the number of tensors");
    safetensor *t = mem_grow(s->tensors, (size_t)n * sizeof *t, (size_t)(n + more + 1) * sizeof *t);
    if (!t) return diag_nomem(p->d, (size_t)(n + more) * sizeof *t);
    s->tensors = t;
    json_object_object_foreach(header, name, value)
    {
        if (!strcmp(name, "__metadata__")) continue;
        if (!json_object_is_type(value, json_type_object)) return bad(p, "the header");
        t[n] = (safetensor){0};
        TRY(read_tensor(p, name, value, &t[n]));
        n++;
    }
    if (!fills(p, t + s->count, n - s->count)) return bad(p, "the places of the tensors");
    int64_t i = s->count;
    s->count = n;
    for (; i < n; i++) TRY(align(p, &t[i]));
    return CJ_OK;
}

static cj_err take_bytes(safetensors *s, const uint8_t *bytes, size_t n, const char *name, cj_diag *d)
{
    part p = {.s = s, .name = name, .d = d};
    uint64_t length;
    if (n < sizeof length) return bad(&p, "the header");
    memcpy(&length, bytes, sizeof length);
    if (length > n - sizeof length || length > SAFETENSORS_HEADER_MAX) return bad(&p, "the length of the header");
    p.data = bytes + sizeof length + length;
    p.size = n - sizeof length - (size_t)length;
    json_object *header = NULL;
    TRY(json_parse((const char *)bytes + sizeof length, (size_t)length, name, &header, d));
    cj_err e = read_header(&p, header);
    json_object_put(header);
    return e;
}

static cj_err take_file(safetensors *s, const char *path, cj_diag *d)
{
    file_map *maps = mem_grow(s->maps, (size_t)s->n_maps * sizeof *maps, (size_t)(s->n_maps + 1) * sizeof *maps);
    if (!maps) return diag_nomem(d, sizeof *maps);
    s->maps = maps;
    TRY(file_map_open(&maps[s->n_maps], path, d));
    const file_map *m = &maps[s->n_maps++];
    return take_bytes(s, m->data, m->size, path, d);
}

/* ---- opening ---- */

static cj_err begin(safetensors **out, const char *path, cj_diag *d)
{
    safetensors *s = mem_zalloc(sizeof *s);
    if (!s) return diag_nomem(d, sizeof *s);
    arena_init(&s->arena, arena_max);
    s->path = mem_strdup(path);
    *out = s;
    return s->path ? CJ_OK : diag_nomem(d, strlen(path));
}

static cj_err finish(safetensors *s, cj_diag *d)
{
    if (s->count) qsort(s->tensors, (size_t)s->count, sizeof *s->tensors, by_name);
    for (int64_t i = 1; i < s->count; i++)
        if (!strcmp(s->tensors[i - 1].name, s->tensors[i].name))
            return diag_fail(d, CJ_E_INPUT, MSG_GGUF_DUPLICATE, "%s" ARG "%s", s->path, s->tensors[i].name);
    return CJ_OK;
}

/* Frees what a failure has left. */
static cj_err ended(safetensors **out, safetensors **s, cj_err e)
{
    if (e) safetensors_close(s);
    else *out = *s;
    return e;
}

cj_err safetensors_open(safetensors **out, const char *path, cj_diag *d)
{
    safetensors *s = NULL;
    cj_err e = begin(&s, path, d);
    if (!e) e = take_file(s, path, d);
    if (!e) e = finish(s, d);
    return ended(out, &s, e);
}

cj_err safetensors_open_memory(safetensors **out, const void *bytes, size_t n, cj_diag *d)
{
    safetensors *s = NULL;
    cj_err e = begin(&s, "-", d);
    if (!e) e = take_bytes(s, bytes, n, s->path, d);
    if (!e) e = finish(s, d);
    return ended(out, &s, e);
}

/* ---- folders ---- */

static bool has_file(const char *folder, const char *name)
{
    char *path = file_join(folder, name);
    bool there = path && file_exists(path);
    mem_free(path);
    return there;
}

bool safetensors_here(const char *folder) { return file_is_dir(folder) && (has_file(folder, SINGLE_NAME) || has_file(folder, INDEX_NAME)); }

static cj_err take_named(safetensors *s, const char *name, cj_diag *d)
{
    char *path = file_join(s->path, name);
    cj_err e = path ? take_file(s, path, d) : diag_nomem(d, strlen(name));
    mem_free(path);
    return e;
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* The different files that the map of an index names, sorted, into files[map's length]. */
static cj_err index_files(const safetensors *s, json_object *map, const char **files, int *n, cj_diag *d)
{
    size_t at = 0;
    json_object_object_foreach(map, name, file)
    {
        const char *f = json_object_is_type(file, json_type_string) ? json_object_get_string(file) : "";
        if (!name_good(f) || strchr(f, '/') || f[0] == '.' || !name_good(name))
            return diag_fail(d, CJ_E_INPUT, MSG_SAFETENSORS_BAD, "%s/" INDEX_NAME ARG "%.80s", s->path, name);
        files[at++] = f;
    }
    qsort(files, at, sizeof *files, by_text);
    *n = 0;
    for (size_t i = 0; i < at; i++)
        if (!i || strcmp(files[i], files[i - 1])) files[(*n)++] = files[i];
    return *n <= SAFETENSORS_FILES_MAX ? CJ_OK : diag_fail(d, CJ_E_INPUT, MSG_LIMIT, "%s" ARG "%d", INDEX_NAME, SAFETENSORS_FILES_MAX);
}

static cj_err take_index(safetensors *s, json_object *index, cj_diag *d)
{
    json_object *map;
    if (!json_object_object_get_ex(index, "weight_map", &map) || !json_object_is_type(map, json_type_object))
        return diag_fail(d, CJ_E_INPUT, MSG_SAFETENSORS_BAD, "%s/" INDEX_NAME ARG "weight_map", s->path);
    const char **files = mem_array((size_t)json_object_object_length(map) + 1, sizeof *files);
    if (!files) return diag_nomem(d, (size_t)json_object_object_length(map) * sizeof *files);
    int n = 0;
    cj_err e = index_files(s, map, files, &n, d);
    for (int i = 0; !e && i < n; i++) e = take_named(s, files[i], d);
    mem_free(files);
    if (!e) e = finish(s, d);
    json_object_object_foreach(map, name, file)
    {
        (void)file;
        if (!e && !safetensors_find(s, name)) e = diag_fail(d, CJ_E_INPUT, MSG_TENSOR_MISSING, "%s" ARG "%s", s->path, name);
    }
    return e;
}

static cj_err take_indexed(safetensors *s, cj_diag *d)
{
    buf text = {0};
    json_object *index = NULL;
    char *path = file_join(s->path, INDEX_NAME);
    cj_err e = path ? file_read_regular(path, SAFETENSORS_HEADER_MAX, &text, d) : diag_nomem(d, sizeof INDEX_NAME);
    if (!e) e = json_parse(text.data, text.len, path, &index, d);
    if (!e) e = take_index(s, index, d);
    json_object_put(index);
    buf_deinit(&text);
    mem_free(path);
    return e;
}

cj_err safetensors_open_folder(safetensors **out, const char *folder, cj_diag *d)
{
    safetensors *s = NULL;
    cj_err e = begin(&s, folder, d);
    bool single = has_file(folder, SINGLE_NAME);
    if (!e) e = single ? take_named(s, SINGLE_NAME, d) : take_indexed(s, d);
    if (!e && single) e = finish(s, d);
    return ended(out, &s, e);
}

bool safetensors_is_cut(const safetensors *s)
{
    for (int i = 0; mapped_any_cut() && i < s->n_maps; i++)
        if (mapped_is_cut(&s->maps[i])) return true;
    return false;
}

void safetensors_close(safetensors **ps)
{
    safetensors *s = *ps;
    if (!s) return;
    for (int64_t i = 0; i < s->count; i++)
        if (s->tensors[i].copied) mem_free((void *)(uintptr_t)s->tensors[i].data);
    for (int i = 0; i < s->n_maps; i++) file_map_close(&s->maps[i]);
    mem_free(s->maps);
    mem_free(s->tensors);
    mem_free(s->path);
    arena_deinit(&s->arena);
    mem_free(s);
    *ps = NULL;
}

int64_t safetensors_count(const safetensors *s) { return s->count; }
const safetensor *safetensors_at(const safetensors *s, int64_t i) { return &s->tensors[i]; }

const safetensor *safetensors_find(const safetensors *s, const char *name)
{
    const safetensor want = {.name = name};
    return s->count ? bsearch(&want, s->tensors, (size_t)s->count, sizeof want, by_name) : NULL;
}

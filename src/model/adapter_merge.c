/* Merging. */
#include "model/adapter_merge.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "format/safetensors_write.h"
#include "model/publish.h"

enum { NAME_BYTES = 256, COPY_BYTES_MAX = 1 << 28 };

/* A tensor that is changed: with which matrices, as float32. */
typedef struct change {
    const char *name; /* as stored */
    int64_t rows, cols, rank;
    float *a, *b;
} change;

typedef struct merging {
    const model_source *source;
    const convert_options *options;
    arena mem;
    change *changes;
    int n_changes;
    float scale;
    safetensors_writer *writer;
    convert_result result;
    cj_diag *d;
} merging;

/* ---- what is changed ---- */

static cj_err floats(merging *m, const kernel_weight *w, float **out)
{
    const size_t n = (size_t)(w->rows * w->cols);
    *out = arena_alloc(&m->mem, n * sizeof **out);
    if (!*out) return diag_nomem(m->d, n * sizeof **out);
    quant_info_get(w->type)->decode(w->data, *out, (int64_t)n);
    return CJ_OK;
}

static cj_err add_change(merging *m, const adapter_pair *p, int layer, adapter_target t)
{
    char name[NAME_BYTES];
    source_tensor base;
    bool found;
    change *c = &m->changes[m->n_changes++];
    snprintf(name, sizeof name, "blk.%d.%s.weight", layer, adapter_target_name(t));
    TRY(source_tensor_find(m->source, name, &found, &base, m->d));
    if (!found || base.form != SOURCE_AS_IS || base.dims[0] != p->a.cols || base.dims[1] != p->b.rows || base.dims[2] != 1)
        return diag_fail(m->d, CJ_E_UNSUPPORTED, MSG_ADAPTER_MERGE_FORM, "%s" ARG "%s", source_path(m->source), name);
    *c = (change){.name = base.name, .rows = p->b.rows, .cols = p->a.cols, .rank = p->a.rows};
    TRY(floats(m, &p->a, &c->a));
    return floats(m, &p->b, &c->b);
}

static cj_err gather(merging *m, const model_adapter *a)
{
    int n = 0;
    for (int i = 0; i < a->n_layers * ADAPTER_TARGETS; i++) n += a->pairs[i].a.data != NULL;
    m->scale = a->scale;
    m->changes = arena_zalloc(&m->mem, (size_t)n * sizeof *m->changes);
    if (!m->changes) return diag_nomem(m->d, (size_t)n * sizeof *m->changes);
    for (int i = 0; i < a->n_layers; i++)
        for (adapter_target t = 0; t < ADAPTER_TARGETS; t++) {
            const adapter_pair *p = adapter_pair_of(a, i, t);
            if (p->a.data) TRY(add_change(m, p, i, t));
        }
    return CJ_OK;
}

static const change *change_of(const merging *m, const char *name)
{
    for (int i = 0; i < m->n_changes; i++)
        if (!strcmp(m->changes[i].name, name)) return &m->changes[i];
    return NULL;
}

/* x[n]: elements [at, at + n) of the tensor. */
static void add_product(const change *c, float scale, float *x, int64_t at, int64_t n)
{
    for (int64_t end = at + n; at < end;) {
        const int64_t row = at / c->cols, c0 = at % c->cols, some = i64_min(c->cols - c0, end - at);
        for (int64_t k = 0; k < c->rank; k++) {
            const float by = scale * c->b[row * c->rank + k], *a = c->a + k * c->cols + c0;
            for (int64_t i = 0; i < some; i++) x[i] += by * a[i];
        }
        x += some;
        at += some;
    }
}

/* ---- a file ---- */

static bool touches(const void *of, const gguf_tensor *t) { return change_of(of, t->name); }

static void on_elements(const void *of, const gguf_tensor *t, float *x, int64_t at, int64_t n)
{
    const merging *m = of;
    add_product(change_of(m, t->name), m->scale, x, at, n);
}

static cj_err merge_file(merging *m, const model *base, const char *out)
{
    const convert_edit edit = {touches, on_elements, m};
    convert_options o = *m->options;
    o.edit = &edit;
    if (publish_is_folder(out)) return model_publish(base, out, &o, &m->result, m->d);
    return convert_gguf(source_path(m->source), out, &o, &m->result, m->d);
}

/* ---- a folder ---- */

static cj_err write_changed(merging *m, const source_tensor *t, const change *c)
{
    const quant_info *q = quant_info_get(t->type);
    const int64_t step = i64_max(1, (1 << 18) / c->cols);
    float *x = mem_array((size_t)(step * c->cols), sizeof *x);
    char *bytes = mem_array((size_t)(step * c->cols), sizeof *x);
    cj_err e = x && bytes ? CJ_OK : diag_nomem(m->d, 2 * (size_t)(step * c->cols) * sizeof *x);
    for (int64_t r = 0; !e && r < c->rows; r += step) {
        const int64_t n = i64_min(step, c->rows - r) * c->cols;
        q->decode((const char *)t->data + (size_t)(r * c->cols) * (size_t)q->block_bytes, x, n);
        add_product(c, m->scale, x, r * c->cols, n);
        for (int64_t i = 0; !e && i < n; i++)
            if (!isfinite(x[i])) e = diag_fail(m->d, CJ_E_INPUT, MSG_CONVERT_NOT_FINITE, "%s" ARG "%s", source_path(m->source), t->name);
        if (e) break;
        q->encode(x, bytes, n);
        e = safetensors_write_data(m->writer, bytes, (size_t)n * (size_t)q->block_bytes, m->d);
    }
    mem_free(x);
    mem_free(bytes);
    return e;
}

static cj_err write_tensors(merging *m, const safetensors *s, const char *path)
{
    const convert_options *o = m->options;
    int64_t done = 0;
    TRY(safetensors_writer_open(&m->writer, path, m->d));
    for (int64_t i = 0; i < safetensors_count(s); i++) {
        const safetensor *t = safetensors_at(s, i);
        TRY(safetensors_put(m->writer, t->name, t->dtype, t->n_dims, t->dims, t->bytes, m->d));
        m->result.tensors++;
        m->result.bytes_in += (int64_t)t->bytes;
    }
    m->result.bytes_out = m->result.bytes_in;
    for (int64_t i = 0; i < safetensors_count(s); i++) {
        const source_tensor t = source_tensor_at(m->source, i);
        const change *c = change_of(m, t.name);
        TRY(c ? write_changed(m, &t, c) : safetensors_write_data(m->writer, t.data, t.bytes, m->d));
        done += (int64_t)t.bytes;
        if (o->progress && !o->progress(o->arg, done, m->result.bytes_in)) return diag_fail(m->d, CJ_E_CANCELLED, MSG_CONVERT_STOPPED, "%s", source_path(m->source));
    }
    return safetensors_writer_commit(&m->writer, m->d);
}

typedef struct copying {
    const char *to;
    cj_err err;
    cj_diag *d;
} copying;

/* Everything that lies beside the weights: settings, vocabulary, template. */
static bool copy_file(void *user, const char *path, bool is_dir)
{
    copying *c = user;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    buf content;
    if (is_dir || *name == '.' || strstr(name, ".safetensors") || strstr(name, ".bin") || strstr(name, ".gguf") || !folder_is_file(path)) return true;
    c->err = file_read_regular(path, COPY_BYTES_MAX, &content, c->d);
    if (c->err) return false;
    char *to = file_join(c->to, name);
    c->err = to ? file_write(to, content.data ? content.data : "", content.len, c->d) : diag_nomem(c->d, strlen(name));
    mem_free(to);
    buf_deinit(&content);
    return !c->err;
}

static cj_err merge_folder(merging *m, const char *out)
{
    const convert_options *o = m->options;
    copying c = {.to = out, .d = m->d};
    if (o->type != CONVERT_KEEP) return diag_fail(m->d, CJ_E_USAGE, MSG_ADAPTER_MERGE_TYPE, "%s", source_path(m->source));
    if (file_exists(out)) return diag_fail(m->d, CJ_E_USAGE, MSG_ADAPTER_MERGE_THERE, "%s", out);
    TRY(file_make_dirs(out, m->d));
    char *path = file_join(out, "model.safetensors");
    cj_err e = path ? folder_each(source_path(m->source), copy_file, &c, m->d) : diag_nomem(m->d, strlen(out));
    if (!e) e = c.err;
    if (!e) e = write_tensors(m, source_safetensors(m->source), path); /* the last: what lacks it is no model */
    mem_free(path);
    safetensors_writer_abort(&m->writer);
    if (e) (void)!folder_remove(out, NULL); /* which this has made */
    return e;
}

/* ---- */

cj_err adapter_merge(const model *base, const adapter_file *a, const char *out, const convert_options *o, convert_result *r, cj_diag *d)
{
    merging m = {.source = model_source_of(base), .options = o, .d = d};
    arena_init(&m.mem, (size_t)1 << 36);
    cj_err e = gather(&m, adapter_file_data(a));
    if (!e) e = source_is_folder(m.source) ? merge_folder(&m, out) : merge_file(&m, base, out);
    arena_deinit(&m.mem);
    if (!e && r) *r = m.result;
    return e;
}

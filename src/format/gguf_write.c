/* The writer gathers keys and descriptions in memory, and streams everything from the first tensor byte on. */
#include "format/gguf_write.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "quant/quant.h"

static const size_t header_max = (size_t)1 << 32;

struct gguf_writer {
    file_out out;
    buf keys, tensors, sizes; /* sizes: a size_t for each tensor */
    uint64_t n_keys, n_tensors, offset;
    bool streaming;
    uint64_t tensor;          /* the one whose bytes come next, and how many of them have come */
    size_t received;
};

cj_err gguf_writer_open(gguf_writer **out, const char *path, cj_diag *d)
{
    gguf_writer *w = mem_zalloc(sizeof *w);
    if (!w) return diag_nomem(d, sizeof *w);
    buf_init(&w->keys, header_max);
    buf_init(&w->tensors, header_max);
    buf_init(&w->sizes, header_max);
    cj_err e = file_out_open(&w->out, path, d);
    if (e) gguf_writer_abort(&w);
    else *out = w;
    return e;
}

void gguf_writer_abort(gguf_writer **wp)
{
    gguf_writer *w = *wp;
    if (!w) return;
    file_out_abort(&w->out);
    buf_deinit(&w->keys);
    buf_deinit(&w->tensors);
    buf_deinit(&w->sizes);
    mem_free(w);
    *wp = NULL;
}

static cj_err misuse(cj_diag *d, const char *what) { return diag_fail(d, CJ_E_INTERNAL, MSG_INTERNAL, "gguf_write: %s", what); }

/* ---- keys ---- */

static cj_err append_string(buf *b, const char *s, size_t n, cj_diag *d)
{
    uint64_t len = n;
    TRY(buf_append(b, &len, sizeof len, d));
    return buf_append(b, s, n, d);
}

static cj_err begin_key(gguf_writer *w, const char *name, gguf_type type, cj_diag *d)
{
    if (w->streaming) return misuse(d, "a key after the data has begun");
    uint32_t t = type;
    TRY(append_string(&w->keys, name, strlen(name), d));
    TRY(buf_append(&w->keys, &t, sizeof t, d));
    w->n_keys++;
    return CJ_OK;
}

static cj_err begin_array(gguf_writer *w, const char *name, gguf_type item, int64_t count, cj_diag *d)
{
    uint32_t t = item;
    TRY(begin_key(w, name, GGUF_ARRAY, d));
    TRY(buf_append(&w->keys, &t, sizeof t, d));
    return buf_append(&w->keys, &count, sizeof count, d);
}

cj_err gguf_put_scalar(gguf_writer *w, const char *name, gguf_type type, const void *value, cj_diag *d)
{
    if (!gguf_type_bytes(type)) return misuse(d, "not a scalar");
    TRY(begin_key(w, name, type, d));
    return buf_append(&w->keys, value, gguf_type_bytes(type), d);
}

cj_err gguf_put_u32(gguf_writer *w, const char *name, uint32_t v, cj_diag *d) { return gguf_put_scalar(w, name, GGUF_U32, &v, d); }
cj_err gguf_put_f32(gguf_writer *w, const char *name, float v, cj_diag *d) { return gguf_put_scalar(w, name, GGUF_F32, &v, d); }

cj_err gguf_put_bool(gguf_writer *w, const char *name, bool v, cj_diag *d)
{
    uint8_t byte = v;
    return gguf_put_scalar(w, name, GGUF_BOOL, &byte, d);
}

cj_err gguf_put_string(gguf_writer *w, const char *name, gguf_str s, cj_diag *d)
{
    TRY(begin_key(w, name, GGUF_STRING, d));
    return append_string(&w->keys, s.data, s.len, d);
}

cj_err gguf_put_array(gguf_writer *w, const char *name, gguf_type item, const void *items, int64_t count, cj_diag *d)
{
    size_t bytes;
    if (!gguf_type_bytes(item) || count < 0 || !size_mul((size_t)count, gguf_type_bytes(item), &bytes)) return misuse(d, "array");
    TRY(begin_array(w, name, item, count, d));
    return buf_append(&w->keys, items, bytes, d);
}

cj_err gguf_put_strings(gguf_writer *w, const char *name, const gguf_str *items, int64_t count, cj_diag *d)
{
    TRY(begin_array(w, name, GGUF_STRING, count, d));
    for (int64_t i = 0; i < count; i++) TRY(append_string(&w->keys, items[i].data, items[i].len, d));
    return CJ_OK;
}

cj_err gguf_put_key(gguf_writer *w, const gguf_key *k, cj_diag *d)
{
    TRY(begin_key(w, k->name, k->type, d));
    return buf_append(&w->keys, k->value, k->value_bytes, d);
}

/* ---- tensors ---- */

cj_err gguf_put_tensor(gguf_writer *w, const char *name, int type, int n_dims, const int64_t *dims, cj_diag *d)
{
    if (w->streaming) return misuse(d, "a tensor after the data has begun");
    if (n_dims < 1 || n_dims > GGUF_DIMS_MAX) return misuse(d, "dimensions");
    size_t bytes = quant_row_bytes(type, dims[0]);
    for (int i = 1; i < n_dims; i++)
        if (dims[i] < 1 || !size_mul(bytes, (size_t)dims[i], &bytes)) return misuse(d, "dimensions");
    if (!bytes || bytes > SIZE_MAX / 2) return misuse(d, "dimensions");
    uint32_t n = (uint32_t)n_dims, t = (uint32_t)type;
    TRY(append_string(&w->tensors, name, strlen(name), d));
    TRY(buf_append(&w->tensors, &n, sizeof n, d));
    TRY(buf_append(&w->tensors, dims, n * sizeof *dims, d));
    TRY(buf_append(&w->tensors, &t, sizeof t, d));
    TRY(buf_append(&w->tensors, &w->offset, sizeof w->offset, d));
    TRY(buf_append(&w->sizes, &bytes, sizeof bytes, d));
    w->offset += size_round_up(bytes, GGUF_ALIGN_DEFAULT);
    w->n_tensors++;
    return CJ_OK;
}

static cj_err begin_data(gguf_writer *w, cj_diag *d)
{
    const uint32_t version = 3;
    w->streaming = true;
    TRY(file_out_write(&w->out, "GGUF", 4, d));
    TRY(file_out_write(&w->out, &version, sizeof version, d));
    TRY(file_out_write(&w->out, &w->n_tensors, sizeof w->n_tensors, d));
    TRY(file_out_write(&w->out, &w->n_keys, sizeof w->n_keys, d));
    if (w->keys.len) TRY(file_out_write(&w->out, w->keys.data, w->keys.len, d));
    if (w->tensors.len) TRY(file_out_write(&w->out, w->tensors.data, w->tensors.len, d));
    return file_out_pad(&w->out, GGUF_ALIGN_DEFAULT, d);
}

cj_err gguf_write_data(gguf_writer *w, const void *bytes, size_t n, cj_diag *d)
{
    if (!w->streaming) TRY(begin_data(w, d));
    if (w->tensor >= w->n_tensors) return misuse(d, "more data than tensors");
    size_t size;
    memcpy(&size, w->sizes.data + w->tensor * sizeof size, sizeof size);
    if (n > size - w->received) return misuse(d, "data past the end of a tensor");
    TRY(file_out_write(&w->out, bytes, n, d));
    w->received += n;
    if (w->received < size) return CJ_OK;
    w->tensor++;
    w->received = 0;
    return file_out_pad(&w->out, GGUF_ALIGN_DEFAULT, d);
}

cj_err gguf_writer_commit(gguf_writer **wp, cj_diag *d)
{
    gguf_writer *w = *wp;
    cj_err e = w->streaming ? CJ_OK : begin_data(w, d);
    if (!e && (w->tensor < w->n_tensors || w->received)) e = misuse(d, "a tensor without its data");
    if (!e) e = file_out_commit(&w->out, d);
    gguf_writer_abort(wp);
    return e;
}

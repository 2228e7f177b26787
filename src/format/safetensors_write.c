/* The writer gathers the header in memory; the length before it is known when the first bytes of a tensor come. */
#include "format/safetensors_write.h"

#include <string.h>

#include "base/file.h"
#include "base/json.h"

struct safetensors_writer {
    file_out out;
    json_object *header;
    uint64_t described, received; /* bytes */
    bool streaming;
};

static cj_err misuse(cj_diag *d, const char *what) { return diag_fail(d, CJ_E_INTERNAL, MSG_INTERNAL, "safetensors_write: %s", what); }

cj_err safetensors_writer_open(safetensors_writer **out, const char *path, cj_diag *d)
{
    safetensors_writer *w = mem_zalloc(sizeof *w);
    if (!w) return diag_nomem(d, sizeof *w);
    w->out.fd = -1;
    w->header = json_object_new_object();
    cj_err e = w->header ? file_out_open(&w->out, path, d) : diag_nomem(d, 0);
    if (e) safetensors_writer_abort(&w);
    else *out = w;
    return e;
}

void safetensors_writer_abort(safetensors_writer **pw)
{
    safetensors_writer *w = *pw;
    if (!w) return;
    file_out_abort(&w->out);
    json_object_put(w->header);
    mem_free(w);
    *pw = NULL;
}

/* An array of whole numbers; those of a shape turned round. NULL: no memory. */
static json_object *numbers(const int64_t *v, int n, bool turned)
{
    json_object *list = json_object_new_array();
    for (int i = 0; list && i < n; i++) {
        json_object *one = json_object_new_int64(v[turned ? n - 1 - i : i]);
        if (one && !json_object_array_add(list, one)) continue;
        json_object_put(one);
        json_object_put(list);
        list = NULL;
    }
    return list;
}

static bool set(json_object *o, const char *key, json_object *v)
{
    if (v && !json_object_object_add(o, key, v)) return true;
    json_object_put(v);
    return false;
}

cj_err safetensors_put(safetensors_writer *w, const char *name, const char *dtype, int n_dims, const int64_t *dims, size_t bytes, cj_diag *d)
{
    if (w->streaming || bytes > (size_t)INT64_MAX - w->described) return misuse(d, name);
    const int64_t offsets[] = {(int64_t)w->described, (int64_t)(w->described + bytes)};
    json_object *o = json_object_new_object();
    bool room = o && set(o, "dtype", json_object_new_string(dtype)) && set(o, "shape", numbers(dims, n_dims, true)) && set(o, "data_offsets", numbers(offsets, 2, false));
    if (!room) json_object_put(o);
    else room = set(w->header, name, o);
    w->described += bytes;
    return room ? CJ_OK : diag_nomem(d, strlen(name));
}

/* Spaces behind the header bring the data to a multiple of 8. */
static cj_err begin_data(safetensors_writer *w, cj_diag *d)
{
    const char *text = json_object_to_json_string_ext(w->header, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    if (!text) return diag_nomem(d, 0);
    const size_t n = strlen(text);
    const uint64_t length = size_round_up(n, 8);
    if (length > SAFETENSORS_HEADER_MAX) return misuse(d, "header");
    w->streaming = true;
    TRY(file_out_write(&w->out, &length, sizeof length, d));
    TRY(file_out_write(&w->out, text, n, d));
    return file_out_write(&w->out, "       ", (size_t)length - n, d);
}

cj_err safetensors_write_data(safetensors_writer *w, const void *bytes, size_t n, cj_diag *d)
{
    if (!w->streaming) TRY(begin_data(w, d));
    if (n > w->described - w->received) return misuse(d, "more data than tensors");
    w->received += n;
    return file_out_write(&w->out, bytes, n, d);
}

cj_err safetensors_writer_commit(safetensors_writer **pw, cj_diag *d)
{
    safetensors_writer *w = *pw;
    cj_err e = w->streaming ? CJ_OK : begin_data(w, d);
    if (!e && w->received < w->described) e = misuse(d, "a tensor without its data");
    if (!e) e = file_out_commit(&w->out, d);
    safetensors_writer_abort(pw);
    return e;
}

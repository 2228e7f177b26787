/* Writing adapters. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "format/gguf_write.h"
#include "model/adapter_file.h"

static gguf_str str_of(const char *s) { return (gguf_str){s, strlen(s)}; }

static cj_err put_text(gguf_writer *w, const char *key, const char *value, cj_diag *d) { return *value ? gguf_put_string(w, key, str_of(value), d) : CJ_OK; }

static cj_err put_keys(gguf_writer *w, const model_adapter *a, const adapter_facts *f, cj_diag *d)
{
    TRY(gguf_put_string(w, "general.architecture", str_of(f->arch), d));
    TRY(gguf_put_string(w, "general.type", str_of("adapter"), d));
    TRY(put_text(w, "general.name", f->name, d));
    if (*f->base) TRY(gguf_put_u32(w, "general.base_model.count", 1, d));
    TRY(put_text(w, "general.base_model.0.name", f->base, d));
    TRY(gguf_put_string(w, "adapter.type", str_of("lora"), d));
    TRY(gguf_put_f32(w, "adapter.lora.alpha", a->scale * (float)a->rank, d));
    TRY(gguf_put_bool(w, "changjuan.adapter.activated", f->activated, d));
    if (f->base_print) TRY(gguf_put_scalar(w, "changjuan.adapter.base", GGUF_U64, &f->base_print, d));
    TRY(put_text(w, "changjuan.adapter.heads", f->heads, d));
    return put_text(w, "changjuan.adapter.prompt", f->prompt, d);
}

/* Calls `what` for every matrix, in one order. */
typedef cj_err matrix_fn(gguf_writer *w, const char *name, const kernel_weight *m, int type, cj_diag *d);

static cj_err each(gguf_writer *w, const model_adapter *a, matrix_fn *what, int type, cj_diag *d)
{
    for (int i = 0; i < a->n_layers; i++)
        for (adapter_target t = 0; t < ADAPTER_TARGETS; t++) {
            const adapter_pair *p = adapter_pair_of(a, i, t);
            char name[GGUF_NAME_MAX + 1];
            if (!p->a.data) continue;
            if (p->a.rows != a->rank || p->b.cols != a->rank) return diag_fail(d, CJ_E_INTERNAL, MSG_INTERNAL, "rank %d", (int)p->a.rows);
            snprintf(name, sizeof name, "blk.%d.%s.weight.lora_a", i, adapter_target_name(t));
            TRY(what(w, name, &p->a, type, d));
            name[strlen(name) - 1] = 'b';
            TRY(what(w, name, &p->b, type, d));
        }
    return CJ_OK;
}

static cj_err put_matrix(gguf_writer *w, const char *name, const kernel_weight *m, int type, cj_diag *d)
{
    return gguf_put_tensor(w, name, type, 2, (const int64_t[]){m->cols, m->rows}, d);
}

cj_err adapter_matrix_as(const kernel_weight *m, const char *name, int type, void **out, cj_diag *d)
{
    const int64_t n = m->rows * m->cols;
    const size_t bytes = (size_t)m->rows * quant_row_bytes(type, m->cols);
    float *x = mem_array((size_t)n, sizeof *x);
    void *to = mem_alloc(bytes);
    cj_err e = x && to ? CJ_OK : diag_nomem(d, (size_t)n * sizeof *x + bytes);
    if (!e) {
        quant_info_get(m->type)->decode(m->data, x, n);
        quant_info_get(type)->encode(x, to, n);
        quant_info_get(type)->decode(to, x, n);
        for (int64_t i = 0; !e && i < n; i++)
            if (!isfinite(x[i])) e = diag_fail(d, CJ_E_INPUT, MSG_ADAPTER_UNWRITABLE, "%s" ARG "%s", name, quant_info_get(type)->name);
    }
    mem_free(x);
    if (e) mem_free(to);
    else *out = to;
    return e;
}

static cj_err write_matrix(gguf_writer *w, const char *name, const kernel_weight *m, int type, cj_diag *d)
{
    void *bytes;
    TRY(adapter_matrix_as(m, name, type, &bytes, d));
    cj_err e = gguf_write_data(w, bytes, (size_t)m->rows * quant_row_bytes(type, m->cols), d);
    mem_free(bytes);
    return e;
}

cj_err adapter_file_write(const char *path, const model_adapter *a, const adapter_facts *facts, int type, cj_diag *d)
{
    gguf_writer *w = NULL;
    if (type != QUANT_F32 && type != QUANT_F16 && type != QUANT_BF16) return diag_fail(d, CJ_E_INTERNAL, MSG_INTERNAL, "type %d", type);
    TRY(gguf_writer_open(&w, path, d));
    cj_err e = put_keys(w, a, facts, d);
    if (!e) e = each(w, a, put_matrix, type, d);
    if (!e) e = each(w, a, write_matrix, type, d);
    if (!e) return gguf_writer_commit(&w, d);
    gguf_writer_abort(&w);
    return e;
}

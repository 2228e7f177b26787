/* Adapters for other programs: a GGUF file that llama.cpp loads, a folder that PEFT loads. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "format/safetensors_write.h"
#include "model/adapter_file.h"
#include "model/family/dialect.h"
#include "model/family/family.h"
#include "model/publish.h"

enum { NAME_BYTES = 256 };

typedef struct peft {
    const model_adapter *a;
    const adapter_facts *facts;
    const char *folder;
    int type;
    safetensors_writer *writer;
    cj_diag *d;
} peft;

/* "layers.3.self_attn.q_proj" */
static bool module_name(int layer, adapter_target t, char out[NAME_BYTES])
{
    char ours[64];
    snprintf(ours, sizeof ours, "blk.%d.%s.weight", layer, adapter_target_name(t));
    if (!source_tensor_name(NULL, ours, out, NAME_BYTES)) return false;
    out[strlen(out) - strlen(".weight")] = 0;
    return true;
}

/* ---- adapter_config.json ---- */

static bool in_all_layers(const model_adapter *a, adapter_target t, bool *some)
{
    int n = 0;
    for (int i = 0; i < a->n_layers; i++) n += adapter_pair_of(a, i, t)->a.data != NULL;
    *some = n;
    return n == a->n_layers;
}

/* By the last part of their names where every layer has them, else each by its own. */
static cj_err put_modules(const peft *p, buf *b)
{
    const char *between = "";
    for (adapter_target t = 0; t < ADAPTER_TARGETS; t++) {
        bool some;
        const bool all = in_all_layers(p->a, t, &some);
        for (int i = 0; some && i < (all ? 1 : p->a->n_layers); i++) {
            char name[NAME_BYTES];
            if (!adapter_pair_of(p->a, i, t)->a.data || !module_name(i, t, name)) continue;
            TRY(buf_printf(b, p->d, "%s\"%s\"", between, all ? strrchr(name, '.') + 1 : name));
            between = ", ";
        }
    }
    return CJ_OK;
}

static cj_err put_config(const peft *p, buf *b)
{
    TRY(buf_puts(b, "{\n  \"peft_type\": \"LORA\",\n  \"task_type\": \"CAUSAL_LM\",\n  \"inference_mode\": true,\n  \"base_model_name_or_path\": ", p->d));
    bool sayable = *p->facts->base;
    for (const char *s = p->facts->base; *s; s++) sayable &= *s != '"' && *s != '\\';
    TRY(sayable ? buf_printf(b, p->d, "\"%s\"", p->facts->base) : buf_puts(b, "null", p->d));
    TRY(buf_printf(b, p->d, ",\n  \"r\": %d,\n  \"lora_alpha\": %.9g,\n  \"lora_dropout\": 0.0,\n  \"bias\": \"none\",\n  \"target_modules\": [", p->a->rank,
                   (double)(p->a->scale * (float)p->a->rank)));
    TRY(put_modules(p, b));
    return buf_puts(b, "]\n}\n", p->d);
}

static cj_err write_config(const peft *p)
{
    buf text;
    buf_init(&text, 1 << 20);
    char *path = file_join(p->folder, "adapter_config.json");
    cj_err e = path ? put_config(p, &text) : diag_nomem(p->d, strlen(p->folder));
    if (!e) e = file_write(path, text.data, text.len, p->d);
    mem_free(path);
    buf_deinit(&text);
    return e;
}

/* ---- adapter_model.safetensors ---- */

typedef cj_err matrix_fn(const peft *p, const char *name, const kernel_weight *w);

static cj_err each(const peft *p, matrix_fn *what)
{
    for (int i = 0; i < p->a->n_layers; i++)
        for (adapter_target t = 0; t < ADAPTER_TARGETS; t++) {
            const adapter_pair *pair = adapter_pair_of(p->a, i, t);
            char module[NAME_BYTES], name[NAME_BYTES + 64];
            if (!pair->a.data || !module_name(i, t, module)) continue;
            if (pair->a.rows != p->a->rank) return diag_fail(p->d, CJ_E_INTERNAL, MSG_INTERNAL, "rank %d", (int)pair->a.rows);
            snprintf(name, sizeof name, "base_model.model.model.%s.lora_A.weight", module);
            TRY(what(p, name, &pair->a));
            snprintf(name, sizeof name, "base_model.model.model.%s.lora_B.weight", module);
            TRY(what(p, name, &pair->b));
        }
    return CJ_OK;
}

static cj_err describe(const peft *p, const char *name, const kernel_weight *w)
{
    return safetensors_put(p->writer, name, quant_info_get(p->type)->name, 2, (const int64_t[]){w->cols, w->rows}, (size_t)w->rows * quant_row_bytes(p->type, w->cols), p->d);
}

static cj_err write_matrix(const peft *p, const char *name, const kernel_weight *w)
{
    void *bytes;
    TRY(adapter_matrix_as(w, name, p->type, &bytes, p->d));
    cj_err e = safetensors_write_data(p->writer, bytes, (size_t)w->rows * quant_row_bytes(p->type, w->cols), p->d);
    mem_free(bytes);
    return e;
}

static cj_err write_tensors(peft *p)
{
    char *path = file_join(p->folder, "adapter_model.safetensors");
    cj_err e = path ? safetensors_writer_open(&p->writer, path, p->d) : diag_nomem(p->d, strlen(p->folder));
    if (!e) e = each(p, describe);
    if (!e) e = each(p, write_matrix);
    if (!e) e = safetensors_writer_commit(&p->writer, p->d);
    safetensors_writer_abort(&p->writer);
    mem_free(path);
    return e;
}

cj_err adapter_folder_write(const char *folder, const model_adapter *a, const adapter_facts *facts, int type, cj_diag *d)
{
    peft p = {.a = a, .facts = facts, .folder = folder, .type = type, .d = d};
    if (file_exists(folder)) return diag_fail(d, CJ_E_USAGE, MSG_ADAPTER_MERGE_THERE, "%s", folder);
    TRY(file_make_dirs(folder, d));
    cj_err e = write_config(&p);
    if (!e) e = write_tensors(&p);
    if (e) (void)!folder_remove(folder, NULL); /* which this has made */
    return e;
}

/* ---- an adapter that is open ---- */

/* Both programs have one rank: pairs of a smaller one get zeros. */
static cj_err widen(kernel_weight *w, int64_t rank, bool second, arena *mem, cj_diag *d)
{
    const quant_info *q = quant_info_get(w->type);
    const int64_t rows = second ? w->rows : rank, cols = second ? rank : w->cols;
    if (w->rows == rows && w->cols == cols) return CJ_OK;
    char *to = arena_zalloc(mem, (size_t)(rows * cols) * (size_t)q->block_bytes);
    if (!to) return diag_nomem(d, (size_t)(rows * cols) * (size_t)q->block_bytes);
    for (int64_t r = 0; r < w->rows; r++) memcpy(to + (size_t)(r * cols) * (size_t)q->block_bytes, kernel_weight_row(w, r), quant_row_bytes(w->type, w->cols));
    *w = (kernel_weight){.data = to, .type = w->type, .rows = rows, .cols = cols};
    return CJ_OK;
}

/* The type of all matrices; F32 where they have several. */
static int type_of(const model_adapter *a)
{
    int type = -1;
    for (int i = 0; i < a->n_layers * ADAPTER_TARGETS; i++) {
        const adapter_pair *p = &a->pairs[i];
        if (!p->a.data) continue;
        if (type < 0) type = p->a.type;
        if ((int)p->a.type != type || (int)p->b.type != type) return QUANT_F32;
    }
    return type;
}

static cj_err export_copy(model_adapter *a, const adapter_facts *facts, const model *m, const char *out, int type, arena *mem, cj_diag *d)
{
    const model_spec *s = model_spec_of(m);
    const bool folder = publish_is_folder(out), wanted = !folder && family_find(s->family, strlen(s->family))->neighbours;
    if (wanted != adapter_turns_neighbours(m)) TRY(adapter_turn(a, m, wanted, mem, d));
    if (type < 0) type = type_of(a);
    for (int i = 0; i < a->n_layers * ADAPTER_TARGETS; i++) {
        if (!a->pairs[i].a.data) continue;
        TRY(widen(&a->pairs[i].a, a->rank, false, mem, d));
        TRY(widen(&a->pairs[i].b, a->rank, true, mem, d));
    }
    return folder ? adapter_folder_write(out, a, facts, type, d) : adapter_file_write(out, a, facts, type, d);
}

cj_err adapter_export(const adapter_file *f, const model *m, const char *out, int type, cj_diag *d)
{
    const model_spec *s = model_spec_of(m);
    model_adapter a = *adapter_file_data(f);
    adapter_facts facts = *adapter_file_facts(f);
    const size_t pairs = (size_t)(a.n_layers * ADAPTER_TARGETS) * sizeof *a.pairs;
    arena mem;
    if (!*facts.arch) snprintf(facts.arch, sizeof facts.arch, "%s", s->family);
    arena_init(&mem, (size_t)1 << 36);
    a.pairs = arena_alloc(&mem, pairs);
    if (a.pairs) memcpy(a.pairs, adapter_file_data(f)->pairs, pairs);
    cj_err e = a.pairs ? export_copy(&a, &facts, m, out, type, &mem, d) : diag_nomem(d, pairs);
    arena_deinit(&mem);
    return e;
}

/* Publishing: small files first, the weights last, then the folder is opened again; a folder that is not right is removed. */
#include "model/publish.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "format/safetensors_write.h"
#include "model/family/dialect.h"
#include "model/family/publish.h"
#include "model/vocab_gguf.h"
#include "token/tokenizer_json_write.h"

enum { NAME_BYTES = 256, PIECE_ELEMENTS = 1 << 18 };

typedef struct publishing {
    const model *m;
    const gguf *file;
    const publish_maker *maker;
    const source_dialect *dialect;
    const convert_options *o;
    const char *folder;
    int type;
    safetensors_writer *writer;
    convert_result result;
    int64_t done;
    cj_diag *d;
} publishing;

bool publish_is_folder(const char *out)
{
    const size_t n = strlen(out);
    return n < 5 || strcmp(out + n - 5, ".gguf");
}

/* ---- what is written ---- */

static bool is_plain_type(int type) { return type == QUANT_F32 || type == QUANT_F16 || type == QUANT_BF16; }

static cj_err choose_type(publishing *p)
{
    const gguf_tensor *embed = gguf_tensor_find(p->file, "token_embd.weight");
    p->type = p->o->type;
    if (p->type == CONVERT_KEEP) p->type = embed && is_plain_type(embed->type) ? embed->type : QUANT_BF16;
    return is_plain_type(p->type) ? CJ_OK : diag_fail(p->d, CJ_E_USAGE, MSG_PUBLISH_TYPE, "%s", p->folder);
}

static cj_err check_family(publishing *p)
{
    const model_spec *s = model_spec_of(p->m);
    bool dense = true;
    for (int i = 0; i < s->n_layers; i++) dense &= s->layers[i].mixer == MIXER_GQA && s->layers[i].ffn == FFN_DENSE;
    p->maker = publish_maker_of(s->family);
    p->dialect = source_dialect_for(s->family);
    if (p->file && dense && p->maker && p->dialect) return CJ_OK;
    return diag_fail(p->d, CJ_E_UNSUPPORTED, MSG_PUBLISH_FAMILY, "%s" ARG "%s", model_path(p->m), s->family);
}

/* The maker's full name; false: it is said in config.json instead. */
static cj_err name_of(const publishing *p, const gguf_tensor *t, char out[NAME_BYTES], bool *wanted)
{
    char inside[NAME_BYTES - 8];
    *wanted = strcmp(t->name, "rope_freqs.weight");
    if (!*wanted) return CJ_OK;
    if (!source_tensor_name(p->dialect, t->name, inside, sizeof inside))
        return diag_fail(p->d, CJ_E_UNSUPPORTED, MSG_PUBLISH_FORM, "%s" ARG "%s", model_path(p->m), t->name);
    snprintf(out, NAME_BYTES, "%s%s", strncmp(inside, "lm_head.", 8) ? "model." : "", inside);
    return CJ_OK;
}

/* ---- the weights ---- */

/* Heads whose rows lie in another order than the maker's: a GGUF file has those of q and k as neighbours where the model turns neighbours. */
static int64_t turned_rows(const publishing *p, const gguf_tensor *t, int *dims)
{
    const model_spec *s = model_spec_of(p->m);
    const rope_spec *r = &s->ropes[0];
    int layer = 0, used = 0;
    *dims = r->dims;
    if (!r->interleaved || sscanf(t->name, "blk.%d.attn_%n", &layer, &used) != 1 || !used) return 0;
    const char *what = t->name + used;
    return (*what == 'q' || *what == 'k') && what[1] == '.' ? s->layers[layer].gqa.dk : 0;
}

/* Row r of the maker's is this one of the file's. */
static int64_t row_of(int64_t r, int64_t head, int dims)
{
    const int64_t i = head ? r % head : 0, half = dims / 2;
    if (!head || i >= dims) return r;
    return r - i + (i < half ? 2 * i : 2 * (i - half) + 1);
}

/* A bias is a column: its elements are rows. */
static void as_rows(const gguf_tensor *t, int64_t *rows, int64_t *cols)
{
    *cols = t->n_dims > 1 ? t->dims[0] : 1;
    *rows = t->n_dims > 1 ? t->dims[1] : t->dims[0];
}

static void read_row(const publishing *p, const gguf_tensor *t, int64_t row, int64_t cols, bool edited, float *x)
{
    const quant_info *q = quant_info_get(t->type);
    q->decode((const char *)t->data + (size_t)(row * cols / q->block_elems) * (size_t)q->block_bytes, x, cols);
    if (edited) p->o->edit->change(p->o->edit->of, t, x, row * cols, cols);
}

static cj_err write_piece(publishing *p, const gguf_tensor *t, float *x, char *bytes, int64_t n)
{
    const quant_info *to = quant_info_get(p->type);
    if (source_tensor_form(p->dialect, t->name) == SOURCE_PLUS_ONE)
        for (int64_t i = 0; i < n; i++) x[i] -= 1;
    to->encode(x, bytes, n);
    to->decode(bytes, x, n); /* a number may be too large for the type */
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(x[i])) return diag_fail(p->d, CJ_E_INPUT, MSG_CONVERT_NOT_FINITE, "%s" ARG "%s", model_path(p->m), t->name);
    return safetensors_write_data(p->writer, bytes, (size_t)n * (size_t)to->block_bytes, p->d);
}

static cj_err write_rows(publishing *p, const gguf_tensor *t, float *x, char *bytes, int64_t step)
{
    const bool edited = p->o->edit && p->o->edit->touches(p->o->edit->of, t);
    int64_t rows, cols;
    int dims;
    as_rows(t, &rows, &cols);
    const int64_t head = turned_rows(p, t, &dims);
    for (int64_t r = 0; r < rows; r += step) {
        const int64_t n = i64_min(step, rows - r);
        for (int64_t i = 0; i < n; i++) read_row(p, t, row_of(r + i, head, dims), cols, edited, x + i * cols);
        TRY(write_piece(p, t, x, bytes, n * cols));
    }
    p->done += (int64_t)t->bytes;
    if (!p->o->progress || p->o->progress(p->o->arg, p->done, p->result.bytes_in)) return CJ_OK;
    return diag_fail(p->d, CJ_E_CANCELLED, MSG_CONVERT_STOPPED, "%s", model_path(p->m));
}

static cj_err write_tensor(publishing *p, const gguf_tensor *t)
{
    int64_t rows, cols;
    as_rows(t, &rows, &cols);
    const int64_t step = i64_max(1, PIECE_ELEMENTS / cols);
    float *x = mem_array((size_t)(step * cols), sizeof *x);
    char *bytes = mem_array((size_t)(step * cols), sizeof *x);
    cj_err e = x && bytes ? write_rows(p, t, x, bytes, step) : diag_nomem(p->d, 2 * (size_t)(step * cols) * sizeof *x);
    mem_free(x);
    mem_free(bytes);
    return e;
}

static cj_err describe(publishing *p, const gguf_tensor *t)
{
    const quant_info *to = quant_info_get(p->type);
    char name[NAME_BYTES];
    bool wanted;
    int64_t n = 1;
    TRY(name_of(p, t, name, &wanted));
    if (!wanted) return CJ_OK;
    if (t->n_dims > 2) return diag_fail(p->d, CJ_E_UNSUPPORTED, MSG_PUBLISH_FORM, "%s" ARG "%s", model_path(p->m), t->name);
    for (int i = 0; i < t->n_dims; i++) n *= t->dims[i];
    p->result.tensors++;
    p->result.bytes_in += (int64_t)t->bytes;
    p->result.bytes_out += n * to->block_bytes;
    return safetensors_put(p->writer, name, to->name, t->n_dims, t->dims, (size_t)n * (size_t)to->block_bytes, p->d);
}

static cj_err write_weights(publishing *p, const char *path)
{
    char name[NAME_BYTES];
    bool wanted;
    TRY(safetensors_writer_open(&p->writer, path, p->d));
    for (int64_t i = 0; i < gguf_tensor_count(p->file); i++) TRY(describe(p, gguf_tensor_at(p->file, i)));
    const int64_t room = file_free_space(p->folder);
    if (room >= 0 && room < p->result.bytes_out) return diag_fail(p->d, CJ_E_NOSPACE, MSG_FILE_NOSPACE, "%s", p->folder);
    for (int64_t i = 0; i < gguf_tensor_count(p->file); i++) {
        const gguf_tensor *t = gguf_tensor_at(p->file, i);
        TRY(name_of(p, t, name, &wanted));
        if (wanted) TRY(write_tensor(p, t));
    }
    return safetensors_writer_commit(&p->writer, p->d);
}

/* ---- the small files ---- */

static cj_err write_beside(const publishing *p, const char *name, const void *text, size_t n)
{
    char *path = file_join(p->folder, name);
    cj_err e = path ? file_write(path, text, n, p->d) : diag_nomem(p->d, strlen(p->folder));
    mem_free(path);
    return e;
}

static cj_err write_settings(const publishing *p, const tokenizer *vocab)
{
    buf text;
    buf_init(&text, 1 << 20);
    cj_err e = publish_config(p->m, p->maker, p->type, vocab, &text, p->d);
    if (!e) e = write_beside(p, "config.json", text.data, text.len);
    buf_clear(&text);
    if (!e && vocab) e = publish_generation(vocab, &text, p->d);
    if (!e && vocab) e = write_beside(p, "generation_config.json", text.data, text.len);
    buf_deinit(&text);
    return e;
}

static cj_err write_vocabulary(const publishing *p)
{
    vocab_gguf v;
    tokenizer *t = NULL;
    gguf_str template = {0};
    if (!vocab_gguf_present(p->file)) return write_settings(p, NULL);
    cj_err e = vocab_gguf_read(&v, p->file, p->d);
    if (!e) e = tokenizer_open(&t, &v.desc, p->d);
    if (!e) e = tokenizer_json_write(&v.desc, t, p->folder, p->d);
    if (!e) e = write_settings(p, t);
    if (!e) e = gguf_string(p->file, "tokenizer.chat_template", GGUF_OPTIONAL, &template, p->d);
    if (!e && template.len) e = write_beside(p, "chat_template.jinja", template.data, template.len);
    tokenizer_close(&t);
    vocab_gguf_deinit(&v);
    return e;
}

/* ---- read again ---- */

static bool near(double a, double b) { return fabs(a - b) <= 2e-5 * fmax(fabs(a), fabs(b)); }

static bool same_ropes(const model_spec *a, const model_spec *b)
{
    for (int r = 0; r < a->n_ropes; r++) {
        if (a->ropes[r].dims != b->ropes[r].dims || !near((double)a->ropes[r].magnitude, (double)b->ropes[r].magnitude)) return false;
        for (int i = 0; i < a->ropes[r].dims / 2; i++)
            if (!near(a->ropes[r].inv_freq[i], b->ropes[r].inv_freq[i])) return false;
    }
    return a->n_ropes == b->n_ropes;
}

static bool same_layers(const model_spec *a, const model_spec *b)
{
    for (int i = 0; i < a->n_layers; i++) {
        const gqa_spec *x = &a->layers[i].gqa, *y = &b->layers[i].gqa;
        if (x->heads != y->heads || x->kv_heads != y->kv_heads || x->dk != y->dk || x->dv != y->dv || x->window != y->window || x->rope != y->rope) return false;
        if (!near((double)x->scale, (double)y->scale) || !near((double)x->softcap, (double)y->softcap)) return false;
        if (a->layers[i].dense.width != b->layers[i].dense.width || a->layers[i].dense.act != b->layers[i].dense.act) return false;
    }
    return true;
}

static cj_err check_written(const publishing *p)
{
    const model_spec *a = model_spec_of(p->m), *b;
    model *back = NULL;
    TRY(model_open(&back, model_kernel(p->m), p->folder, p->d));
    b = model_spec_of(back);
    const bool frame = a->n_layers == b->n_layers && a->hidden == b->hidden && a->vocab == b->vocab && a->context == b->context &&
                       near((double)a->norm_eps, (double)b->norm_eps) && near((double)a->embed_scale, (double)b->embed_scale) &&
                       near((double)a->logit_softcap, (double)b->logit_softcap);
    const char *other = !frame ? "config.json" : !same_ropes(a, b) ? "rope_scaling" : !same_layers(a, b) ? "layers" : NULL;
    model_close(&back);
    return other ? diag_fail(p->d, CJ_E_UNSUPPORTED, MSG_PUBLISH_FORM, "%s" ARG "%s", model_path(p->m), other) : CJ_OK;
}

/* ---- */

cj_err model_publish(const model *m, const char *out, const convert_options *o, convert_result *r, cj_diag *d)
{
    publishing p = {.m = m, .file = model_file(m), .o = o, .folder = out, .d = d};
    TRY(check_family(&p));
    TRY(choose_type(&p));
    if (file_exists(out)) return diag_fail(d, CJ_E_USAGE, MSG_ADAPTER_MERGE_THERE, "%s", out);
    TRY(file_make_dirs(out, d));
    char *path = file_join(out, "model.safetensors");
    cj_err e = path ? write_vocabulary(&p) : diag_nomem(d, strlen(out));
    if (!e) e = write_weights(&p, path);
    safetensors_writer_abort(&p.writer);
    if (!e) e = check_written(&p);
    if (e && path) (void)!folder_remove(path, NULL); /* needs no memory; what lacks it is no model */
    mem_free(path);
    if (e) (void)!folder_remove(out, NULL); /* which this has made */
    else if (r) *r = p.result;
    return e;
}

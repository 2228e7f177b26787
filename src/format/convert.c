/* Requantising. See convert.h.
 *
 * A tensor is a list of elements in which every row is whole blocks, before and after; so it is cut into pieces without regard
 * to rows. The pieces of a batch are decoded and encoded by the pool, each into its place in the batch, then written in order.
 */
#include "format/convert.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/gguf_write.h"
#include "quant/quant.h"

enum { PIECE = 1 << 14, BATCH = 1 << 22 }; /* elements; PIECE is a multiple of every block */

typedef struct job {
    const quant_info *from, *to;
    const uint8_t *in;
    uint8_t *out;
    float *scratch;   /* PIECE floats for each worker */
    int64_t elements; /* in this batch */
    const convert_edit *edit; /* NULL: not of this tensor */
    const gguf_tensor *tensor;
    int64_t at;       /* where the batch begins in it */
    atomic_bool broken;
} job;

typedef struct conversion {
    const gguf *source;
    const convert_options *options;
    convert_result result;
    gguf_writer *writer;
    float *scratch;
    uint8_t *batch;
    cj_diag *d;
} conversion;

/* ---- choosing types ---- */

static bool has(const char *name, const char *part) { return strstr(name, part) != NULL; }

static bool is_matrix(const gguf_tensor *t)
{
    static const char *const small[] = {"norm", "ffn_gate_inp", "ssm_conv1d", "shortconv.conv", "position_embd", "token_types"};
    size_t n = strlen(t->name);
    if (t->n_dims < 2 || n < 7 || strcmp(t->name + n - 7, ".weight")) return false;
    for (size_t i = 0; i < sizeof small / sizeof *small; i++)
        if (has(t->name, small[i])) return false;
    return true;
}

/* The matrix that makes logits: errors in it reach every answer directly. */
static bool is_output(const gguf *g, const gguf_tensor *t)
{
    return !strcmp(t->name, "output.weight") || (!strcmp(t->name, "token_embd.weight") && !gguf_tensor_find(g, "output.weight"));
}

/* Of the layers of a model, the first and last eighth and every third between are worth more bits. */
static bool is_sensitive_layer(const gguf *g, const gguf_tensor *t)
{
    int64_t layers = 0;
    if (gguf_int(g, ".block_count", GGUF_OPTIONAL, 1, 1 << 16, &layers, NULL) || layers < 1) return false;
    if (strncmp(t->name, "blk.", 4)) return false;
    int64_t layer = strtoll(t->name + 4, NULL, 10), eighth = layers / 8;
    return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

static int finer_type(const gguf *g, const gguf_tensor *t, int wanted)
{
    bool coarse = wanted == QUANT_Q4_0 || wanted == QUANT_Q4_1 || wanted == QUANT_Q5_0 || wanted == QUANT_Q5_1 ||
                  wanted == QUANT_Q4_K || wanted == QUANT_Q5_K;
    if (coarse && is_output(g, t)) return QUANT_Q6_K;
    bool mixed = wanted == QUANT_Q4_K || wanted == QUANT_Q5_K;
    if (mixed && (has(t->name, "attn_v.") || has(t->name, "ffn_down")) && is_sensitive_layer(g, t)) return QUANT_Q6_K;
    return wanted;
}

/* For rows that are no whole blocks: the nearest type with smaller blocks that is not coarser. */
static int fitting_type(int type, int64_t row)
{
    if (row % quant_info_get(type)->block_elems == 0) return type;
    switch (type) {
    case QUANT_Q4_K: return fitting_type(QUANT_Q5_0, row);
    case QUANT_Q5_K: return fitting_type(QUANT_Q5_1, row);
    case QUANT_Q6_K: return fitting_type(QUANT_Q8_0, row);
    default: return QUANT_F16;
    }
}

int convert_type(const gguf *g, const gguf_tensor *t, int wanted)
{
    if (wanted == CONVERT_KEEP) return t->type;
    return is_matrix(t) ? fitting_type(finer_type(g, t, wanted), t->dims[0]) : QUANT_F32;
}

/* The number by which general.file_type names a file that is mostly of this type. */
static uint32_t file_type_number(int type)
{
    static const uint8_t numbers[QUANT_TYPE_END] = {[QUANT_F32] = 0,  [QUANT_F16] = 1,  [QUANT_Q4_0] = 2, [QUANT_Q4_1] = 3,
                                                    [QUANT_Q8_0] = 7, [QUANT_Q5_0] = 8, [QUANT_Q5_1] = 9, [QUANT_Q4_K] = 15,
                                                    [QUANT_Q5_K] = 17, [QUANT_Q6_K] = 18, [QUANT_BF16] = 32};
    return numbers[type];
}

/* ---- data ---- */

static bool all_finite(const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(x[i])) return false;
    return true;
}

static size_t bytes_of(const quant_info *q, int64_t elements) { return (size_t)(elements / q->block_elems) * (size_t)q->block_bytes; }

static void convert_piece(void *arg, int64_t item, int worker)
{
    job *j = arg;
    int64_t at = item * PIECE, n = i64_min(PIECE, j->elements - at);
    float *x = j->scratch + (size_t)worker * PIECE;
    j->from->decode(j->in + bytes_of(j->from, at), x, n);
    if (j->edit) j->edit->change(j->edit->of, j->tensor, x, j->at + at, n);
    if (!all_finite(x, n)) {
        atomic_store(&j->broken, true);
        return;
    }
    j->to->encode(x, j->out + bytes_of(j->to, at), n);
}

static cj_err report(conversion *c, int64_t done)
{
    const convert_options *o = c->options;
    if (!o->progress || o->progress(o->arg, done, c->result.bytes_in)) return CJ_OK;
    return diag_fail(c->d, CJ_E_CANCELLED, MSG_CONVERT_STOPPED, "%s", gguf_path(c->source));
}

static bool is_edited(const conversion *c, const gguf_tensor *t)
{
    const convert_edit *e = c->options->edit;
    return e && e->touches(e->of, t);
}

static cj_err convert_tensor(conversion *c, const gguf_tensor *t, int64_t *done)
{
    int type = convert_type(c->source, t, c->options->type);
    job j = {.from = quant_info_get(t->type), .to = quant_info_get(type), .out = c->batch, .scratch = c->scratch, .tensor = t};
    if (is_edited(c, t)) j.edit = c->options->edit;
    int64_t elements = (int64_t)(t->bytes / (size_t)j.from->block_bytes) * j.from->block_elems;
    for (int64_t at = 0; at < elements; at += j.elements) {
        j.elements = i64_min(BATCH, elements - at);
        j.at = at;
        j.in = (const uint8_t *)t->data + bytes_of(j.from, at);
        const uint8_t *ready = j.out;
        if (type == t->type && !j.edit) ready = j.in;
        else pool_run(c->options->pool, convert_piece, &j, i64_ceil_div(j.elements, PIECE));
        if (atomic_load(&j.broken))
            return diag_fail(c->d, CJ_E_INPUT, MSG_CONVERT_NOT_FINITE, "%s" ARG "%s", gguf_path(c->source), t->name);
        TRY(gguf_write_data(c->writer, ready, bytes_of(j.to, j.elements), c->d));
        *done += (int64_t)bytes_of(j.from, j.elements);
        TRY(report(c, *done));
    }
    return CJ_OK;
}

/* ---- the file ---- */

static cj_err put_keys(conversion *c)
{
    static const char *const ours[] = {"general.alignment", "general.file_type", "general.quantization_version", "split.no",
                                       "split.count", "split.tensors.count"};
    for (int64_t i = 0; i < gguf_key_count(c->source); i++) {
        const gguf_key *k = gguf_key_at(c->source, i);
        bool skip = false;
        for (size_t n = 0; n < sizeof ours / sizeof *ours; n++) skip |= !strcmp(k->name, ours[n]);
        if (c->options->type == CONVERT_KEEP) skip &= strcmp(k->name, "general.file_type") && strcmp(k->name, "general.quantization_version");
        if (!skip) TRY(gguf_put_key(c->writer, k, c->d));
    }
    if (c->options->type == CONVERT_KEEP) return CJ_OK;
    TRY(gguf_put_u32(c->writer, "general.quantization_version", 2, c->d));
    return gguf_put_u32(c->writer, "general.file_type", file_type_number(c->options->type), c->d);
}

static cj_err put_tensors(conversion *c)
{
    for (int64_t i = 0; i < gguf_tensor_count(c->source); i++) {
        const gguf_tensor *t = gguf_tensor_at(c->source, i);
        int type = convert_type(c->source, t, c->options->type);
        TRY(gguf_put_tensor(c->writer, t->name, type, t->n_dims, t->dims, c->d));
        c->result.tensors++;
        c->result.bytes_in += (int64_t)t->bytes;
        const quant_info *from = quant_info_get(t->type), *to = quant_info_get(type);
        c->result.bytes_out += (int64_t)(t->bytes / (size_t)from->block_bytes * (size_t)from->block_elems /
                                         (size_t)to->block_elems * (size_t)to->block_bytes);
        if (!is_matrix(t)) continue;
        c->result.finer += type != c->options->type && c->options->type != CONVERT_KEEP;
        c->result.requantised += (type != t->type || is_edited(c, t)) && from->block_elems > 1;
    }
    return CJ_OK;
}

static cj_err check_space(const conversion *c, const char *out)
{
    int64_t room = file_free_space(out);
    if (room < 0 || room >= c->result.bytes_out) return CJ_OK;
    return diag_fail(c->d, CJ_E_NOSPACE, MSG_FILE_NOSPACE, "%s", out);
}

static cj_err convert_all(conversion *c, const char *out)
{
    size_t floats = (size_t)pool_threads(c->options->pool) * PIECE;
    c->scratch = mem_alloc(floats * sizeof(float));
    c->batch = mem_alloc((size_t)BATCH * sizeof(float));
    if (!c->scratch || !c->batch) return diag_nomem(c->d, (floats + BATCH) * sizeof(float));
    TRY(gguf_writer_open(&c->writer, out, c->d));
    TRY(put_keys(c));
    TRY(put_tensors(c));
    TRY(check_space(c, out));
    int64_t done = 0;
    for (int64_t i = 0; i < gguf_tensor_count(c->source); i++) TRY(convert_tensor(c, gguf_tensor_at(c->source, i), &done));
    return gguf_writer_commit(&c->writer, c->d);
}

cj_err convert_gguf(const char *in, const char *out, const convert_options *o, convert_result *r, cj_diag *d)
{
    const quant_info *to = quant_info_get(o->type);
    if (o->type != CONVERT_KEEP && (!to || !to->encode)) return diag_fail(d, CJ_E_USAGE, MSG_CONVERT_TYPE, "%d", o->type);
    gguf *source = NULL;
    TRY(gguf_open(&source, in, d));
    conversion c = {.source = source, .options = o, .d = d};
    cj_err e = convert_all(&c, out);
    gguf_writer_abort(&c.writer);
    mem_free(c.scratch);
    mem_free(c.batch);
    gguf_close(&source);
    if (!e && r) *r = c.result;
    return e;
}

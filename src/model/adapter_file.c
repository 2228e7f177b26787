/* Reading adapters: a list of matrices with their places, from a GGUF file or a folder of PEFT's; then what both must be. */
#include "model/adapter_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "model/family/dialect.h"
#include "model/family/family.h"

#define PEFT_CONFIG "adapter_config.json"
#define PEFT_TENSORS "adapter_model.safetensors"

enum { NAME_BYTES = 256, CONFIG_BYTES_MAX = 1 << 20 };
static const size_t copies_max = (size_t)1 << 36;

/* Of q and k; a GGUF file has the one that its family's models have there. */
typedef enum row_order { ORDER_OF_FILE, ORDER_HALVES, ORDER_NEIGHBOURS } row_order;

struct adapter_file {
    char *path;
    gguf *file;           /* NULL: a folder */
    safetensors *tensors;
    arena mem;            /* the pairs, and matrices that had to be changed */
    model_adapter data;
    adapter_facts facts;
    float alpha;
    bool by_root;         /* scale = alpha / sqrt(rank) */
    int64_t bytes;
    row_order order;
};

/* ---- matrices to their places ---- */

typedef struct matrix {
    const char *name;
    int type;
    const int64_t *dims;
    int n_dims;
    const void *data;
} matrix;

/* Of "blk.3.attn_q.weight.lora_a", or of what PEFT calls it. */
typedef struct place {
    int layer;
    adapter_target target;
    bool second;
} place;

static bool ends(const char *s, const char *end, size_t *stem)
{
    const size_t n = strlen(s), m = strlen(end);
    *stem = n < m ? 0 : n - m;
    return n > m && !strcmp(s + n - m, end);
}

/* Finds where among the layers a name belongs; `theirs`: named as in a folder, `name` then begins with "layers.". */
static bool find_place(const char *name, size_t stem, bool theirs, place *p)
{
    const size_t begin = strlen(theirs ? "layers." : "blk.");
    char *end;
    if (name[begin] < '0' || name[begin] > '9') return false;
    const long layer = strtol(name + begin, &end, 10);
    if (layer >= MODEL_LAYERS_MAX || *end != '.') return false;
    p->layer = (int)layer;
    for (p->target = 0; p->target < ADAPTER_TARGETS; p->target++) {
        char ours[NAME_BYTES], want[NAME_BYTES];
        snprintf(ours, sizeof ours, "blk.%d.%s.weight", p->layer, adapter_target_name(p->target));
        if (!theirs) snprintf(want, sizeof want, "%s", ours);
        else if (!source_tensor_name(NULL, ours, want, sizeof want)) continue;
        if (strlen(want) == stem && !memcmp(want, name, stem)) return true;
    }
    return false;
}

static bool place_ours(const char *name, place *p)
{
    size_t stem;
    p->second = ends(name, ".lora_b", &stem);
    return (p->second || ends(name, ".lora_a", &stem)) && !strncmp(name, "blk.", 4) && find_place(name, stem, false, p);
}

/* "base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight" */
static bool place_theirs(const char *name, place *p)
{
    char plain[NAME_BYTES];
    size_t stem;
    const char *layers = strstr(name, ".layers.");
    p->second = ends(name, ".lora_B.weight", &stem);
    if (!layers || strncmp(name, "base_model.model.", strlen("base_model.model.")) || (!p->second && !ends(name, ".lora_A.weight", &stem))) return false;
    const size_t n = stem - (size_t)(layers + 1 - name);
    if (layers + 1 > name + stem || snprintf(plain, sizeof plain, "%.*s.weight", (int)n, layers + 1) >= (int)sizeof plain) return false;
    return find_place(plain, strlen(plain), true, p);
}

static bool all_finite(const matrix *m, int64_t n)
{
    enum { PIECE = 4096 };
    float x[PIECE];
    const quant_info *q = quant_info_get(m->type);
    for (int64_t at = 0; at < n; at += PIECE) {
        const int64_t some = i64_min(PIECE, n - at);
        q->decode((const char *)m->data + (size_t)at * (size_t)q->block_bytes, x, some);
        for (int64_t i = 0; i < some; i++)
            if (!isfinite(x[i])) return false;
    }
    return true;
}

static cj_err take(adapter_file *f, const matrix *m, cj_diag *d)
{
    place p;
    if (!(f->file ? place_ours(m->name, &p) : place_theirs(m->name, &p)))
        return diag_fail(d, CJ_E_UNSUPPORTED, MSG_ADAPTER_TENSOR, "%s" ARG "%s", f->path, m->name);
    if (m->type != QUANT_F32 && m->type != QUANT_F16 && m->type != QUANT_BF16)
        return diag_fail(d, CJ_E_UNSUPPORTED, MSG_ADAPTER_TYPE, "%s" ARG "%s", f->path, m->name);
    adapter_pair *pair = adapter_pair_of(&f->data, p.layer, p.target);
    kernel_weight *w = p.second ? &pair->b : &pair->a;
    const kernel_weight got = {.data = m->data, .type = (quant_type)m->type, .rows = m->dims[1], .cols = m->dims[0]};
    const int64_t rank = p.second ? got.cols : got.rows;
    if (m->n_dims > 2 || got.rows < 1 || got.cols < 1 || rank > ADAPTER_RANK_MAX || w->data)
        return diag_fail(d, rank > ADAPTER_RANK_MAX ? CJ_E_LIMIT : CJ_E_INPUT, MSG_ADAPTER_SHAPE, "%s" ARG "%s" ARG "%lldx%lld" ARG "%d", f->path, m->name,
                         (long long)got.cols, (long long)got.rows, ADAPTER_RANK_MAX);
    if (!all_finite(m, got.rows * got.cols)) return diag_fail(d, CJ_E_INPUT, MSG_ADAPTER_NOT_FINITE, "%s" ARG "%s", f->path, m->name);
    *w = got;
    f->bytes += (int64_t)((size_t)got.rows * quant_row_bytes(got.type, got.cols));
    if (p.layer >= f->data.n_layers) f->data.n_layers = p.layer + 1;
    return CJ_OK;
}

/* ---- pairs ---- */

static cj_err bad_pair(const adapter_file *f, int i, msg_id id, cj_diag *d)
{
    return diag_fail(d, CJ_E_INPUT, id, "%s" ARG "blk.%d.%s", f->path, i / ADAPTER_TARGETS, adapter_target_name((adapter_target)(i % ADAPTER_TARGETS)));
}

/* Each pair has a scale of its own, by its rank: those of smaller ones goes into their numbers, so that one is left. */
static cj_err rescale(adapter_file *f, adapter_pair *p, float by, cj_diag *d)
{
    const int64_t n = p->b.rows * p->b.cols;
    float *x = arena_alloc(&f->mem, (size_t)n * sizeof *x);
    if (!x) return diag_nomem(d, (size_t)n * sizeof *x);
    quant_info_get(p->b.type)->decode(p->b.data, x, n);
    for (int64_t i = 0; i < n; i++) x[i] *= by;
    p->b.data = x;
    p->b.type = QUANT_F32;
    return CJ_OK;
}

/* An alpha of 0 in a GGUF file stands for none. */
static float scale_of(const adapter_file *f, int64_t rank)
{
    if (f->file && f->alpha == 0) return 1;
    return f->alpha / (f->by_root ? sqrtf((float)rank) : (float)rank);
}

static cj_err check_pairs(adapter_file *f, cj_diag *d)
{
    model_adapter *a = &f->data;
    for (int i = 0; i < a->n_layers * ADAPTER_TARGETS; i++) {
        const adapter_pair *p = &a->pairs[i];
        if (!p->a.data != !p->b.data) return bad_pair(f, i, MSG_ADAPTER_HALF, d);
        if (p->a.data && p->a.rows != p->b.cols) return bad_pair(f, i, MSG_ADAPTER_RANKS, d);
        if (p->a.data) a->rank = (int)i64_max(a->rank, p->a.rows);
    }
    if (!a->rank) return diag_fail(d, CJ_E_INPUT, MSG_ADAPTER_EMPTY, "%s", f->path);
    a->scale = scale_of(f, a->rank);
    for (int i = 0; i < a->n_layers * ADAPTER_TARGETS; i++) {
        adapter_pair *p = &a->pairs[i];
        if (p->a.data && p->a.rows != a->rank) TRY(rescale(f, p, scale_of(f, p->a.rows) / a->scale, d));
    }
    return CJ_OK;
}

/* ---- a GGUF file ---- */

static cj_err text(const adapter_file *f, const char *key, char out[ADAPTER_TEXT_MAX + 1], cj_diag *d)
{
    gguf_str s = {0};
    TRY(gguf_string(f->file, key, GGUF_OPTIONAL, &s, d));
    size_t n = i64_min((int64_t)s.len, ADAPTER_TEXT_MAX);
    n = utf8_valid_prefix(s.data ? s.data : "", n);
    if (n) memcpy(out, s.data, n);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)out[i] < ' ' || out[i] == 127) out[i] = ' '; /* it will be shown */
    out[n] = 0;
    return CJ_OK;
}

static cj_err read_keys(adapter_file *f, cj_diag *d)
{
    char kind[ADAPTER_TEXT_MAX + 1];
    adapter_facts *a = &f->facts;
    TRY(text(f, "general.type", kind, d));
    if (strcmp(kind, "adapter")) return diag_fail(d, CJ_E_INPUT, MSG_ADAPTER_KIND, "%s", f->path);
    TRY(text(f, "adapter.type", kind, d));
    if (strcmp(kind, "lora")) return diag_fail(d, CJ_E_UNSUPPORTED, MSG_ADAPTER_OTHER, "%s" ARG "%s", f->path, kind);
    TRY(text(f, "general.architecture", a->arch, d));
    TRY(text(f, "general.name", a->name, d));
    TRY(text(f, "general.base_model.0.name", a->base, d));
    TRY(text(f, "changjuan.adapter.prompt", a->prompt, d));
    TRY(text(f, "changjuan.adapter.heads", a->heads, d));
    TRY(gguf_bool(f->file, "changjuan.adapter.activated", GGUF_OPTIONAL, &a->activated, d));
    TRY(gguf_float(f->file, "adapter.lora.alpha", GGUF_REQUIRED, &f->alpha, d));
    const gguf_key *print = gguf_key_find(f->file, "changjuan.adapter.base");
    if (print && print->type == GGUF_U64) memcpy(&a->base_print, print->array.data, sizeof a->base_print);
    return CJ_OK;
}

static cj_err read_file(adapter_file *f, cj_diag *d)
{
    TRY(read_keys(f, d));
    for (int64_t i = 0; i < gguf_tensor_count(f->file); i++) {
        const gguf_tensor *t = gguf_tensor_at(f->file, i);
        TRY(take(f, &(matrix){t->name, t->type, t->dims, t->n_dims, t->data}, d));
    }
    return CJ_OK;
}

/* ---- a folder ---- */

static json_object *member(json_object *o, const char *name)
{
    json_object *v;
    return json_object_object_get_ex(o, name, &v) ? v : NULL;
}

static cj_err bad_setting(const adapter_file *f, const char *name, cj_diag *d)
{
    return diag_fail(d, CJ_E_UNSUPPORTED, MSG_ADAPTER_SETTING, "%s" ARG "%s", f->path, name);
}

/* Whether it changes nothing: not there, false, null, empty, "none". */
static bool is_off(json_object *v)
{
    switch (json_object_get_type(v)) {
    case json_type_null: return true;
    case json_type_boolean: return !json_object_get_boolean(v);
    case json_type_object: return !json_object_object_length(v);
    case json_type_array: return !json_object_array_length(v);
    case json_type_string: return !strcmp(json_object_get_string(v), "none");
    default: return false;
    }
}

static cj_err read_settings(adapter_file *f, json_object *o, cj_diag *d)
{
    static const char *const beyond[] = {"use_dora", "use_qalora", "use_bdlora", "kasa_config", "fan_in_fan_out", "alpha_pattern", "bias", "modules_to_save",
                                         "layer_replication", "lora_bias", "trainable_token_indices"};
    if (!json_object_is_type(o, json_type_object)) return bad_setting(f, "{...}", d);
    json_object *kind = member(o, "peft_type"), *alpha = member(o, "lora_alpha"), *base = member(o, "base_model_name_or_path");
    if (!json_object_is_type(kind, json_type_string) || strcmp(json_object_get_string(kind), "LORA")) return bad_setting(f, "peft_type", d);
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++)
        if (!is_off(member(o, beyond[i]))) return bad_setting(f, beyond[i], d);
    if (!json_object_is_type(alpha, json_type_int) && !json_object_is_type(alpha, json_type_double)) return bad_setting(f, "lora_alpha", d);
    f->alpha = (float)json_object_get_double(alpha);
    if (!isfinite(f->alpha)) return bad_setting(f, "lora_alpha", d);
    f->by_root = !is_off(member(o, "use_rslora"));
    f->facts.activated = !is_off(member(o, "alora_invocation_tokens"));
    if (json_object_is_type(base, json_type_string)) {
        const char *name = json_object_get_string(base), *slash = strrchr(name, '/');
        name = slash && slash[1] ? slash + 1 : name;
        if (utf8_is_plain(name, strlen(name))) snprintf(f->facts.base, sizeof f->facts.base, "%s", name);
    }
    return CJ_OK;
}

static cj_err read_config(adapter_file *f, cj_diag *d)
{
    buf content = {0};
    json_object *o = NULL;
    char *path = file_join(f->path, PEFT_CONFIG);
    cj_err e = path ? file_read_regular(path, CONFIG_BYTES_MAX, &content, d) : diag_nomem(d, sizeof PEFT_CONFIG);
    if (!e) e = json_parse(content.data, content.len, path, &o, d);
    if (!e) e = read_settings(f, o, d);
    json_object_put(o);
    buf_deinit(&content);
    mem_free(path);
    return e;
}

static cj_err read_folder(adapter_file *f, cj_diag *d)
{
    char *path = file_join(f->path, PEFT_TENSORS);
    if (!path) return diag_nomem(d, sizeof PEFT_TENSORS);
    cj_err e = read_config(f, d);
    if (!e) e = safetensors_open(&f->tensors, path, d);
    mem_free(path);
    TRY(e);
    f->order = ORDER_HALVES;
    for (int64_t i = 0; i < safetensors_count(f->tensors); i++) {
        const safetensor *t = safetensors_at(f->tensors, i);
        TRY(take(f, &(matrix){t->name, t->type, t->dims, t->n_dims, t->data}, d));
    }
    return CJ_OK;
}

/* ---- opening ---- */

/* Without a name of its own it is called by that of its file. */
static void name_by_path(adapter_file *f)
{
    size_t n = strlen(f->path), begin, end;
    while (n > 1 && f->path[n - 1] == '/') n--;
    for (begin = n; begin && f->path[begin - 1] != '/';) begin--;
    end = n > begin + 5 && !strncmp(f->path + n - 5, ".gguf", 5) ? n - 5 : n;
    const size_t len = i64_min((int64_t)(end - begin), ADAPTER_TEXT_MAX);
    memcpy(f->facts.name, f->path + begin, utf8_valid_prefix(f->path + begin, len));
}

/* bytes NULL: from path. */
static cj_err open_any(adapter_file **out, const char *path, const void *bytes, size_t n, cj_diag *d)
{
    adapter_file *f = mem_zalloc(sizeof *f);
    if (!f) return diag_nomem(d, sizeof *f);
    arena_init(&f->mem, copies_max);
    f->path = mem_strdup(path);
    f->data.pairs = arena_zalloc(&f->mem, (size_t)MODEL_LAYERS_MAX * ADAPTER_TARGETS * sizeof *f->data.pairs);
    const bool folder = !bytes && file_is_dir(path);
    cj_err e = f->path && f->data.pairs ? CJ_OK : diag_nomem(d, (size_t)MODEL_LAYERS_MAX * ADAPTER_TARGETS * sizeof *f->data.pairs);
    if (!e && !folder) e = bytes ? gguf_open_memory(&f->file, bytes, n, d) : gguf_open(&f->file, path, d);
    if (!e) e = folder ? read_folder(f, d) : read_file(f, d);
    if (!e) e = check_pairs(f, d);
    if (!e && !*f->facts.name) name_by_path(f);
    if (e) adapter_file_close(&f);
    else *out = f;
    return e;
}

cj_err adapter_file_open(adapter_file **out, const char *path, cj_diag *d) { return open_any(out, path, NULL, 0, d); }
cj_err adapter_file_open_memory(adapter_file **out, const void *bytes, size_t n, cj_diag *d) { return open_any(out, "(memory)", bytes, n, d); }

void adapter_file_close(adapter_file **pf)
{
    adapter_file *f = *pf;
    if (!f) return;
    gguf_close(&f->file);
    safetensors_close(&f->tensors);
    arena_deinit(&f->mem);
    mem_free(f->path);
    mem_free(f);
    *pf = NULL;
}

bool adapter_file_here(const char *path)
{
    size_t stem;
    if (!file_is_dir(path)) return ends(path, ".gguf", &stem) && file_exists(path);
    char *config = file_join(path, PEFT_CONFIG);
    const bool here = config && file_exists(config);
    mem_free(config);
    return here;
}

const model_adapter *adapter_file_data(const adapter_file *f) { return &f->data; }
const adapter_facts *adapter_file_facts(const adapter_file *f) { return &f->facts; }
int64_t adapter_file_bytes(const adapter_file *f) { return f->bytes; }

/* ---- to a model ---- */

/* Of a head's rows the first `dims` are turned, as neighbours (x[2i], x[2i + 1]) or as halves: from one order to the other. */
static int64_t row_before(int64_t i, int64_t dims, bool to_neighbours)
{
    if (i >= dims) return i;
    if (to_neighbours) return i / 2 + i % 2 * (dims / 2);
    return i < dims / 2 ? 2 * i : 2 * (i - dims / 2) + 1;
}

static cj_err turn_rows(kernel_weight *b, int heads, int dims, bool to_neighbours, arena *mem, cj_diag *d)
{
    const size_t row = quant_row_bytes(b->type, b->cols);
    const int64_t head = b->rows / heads;
    char *to = arena_alloc(mem, (size_t)b->rows * row);
    if (!to) return diag_nomem(d, (size_t)b->rows * row);
    for (int64_t r = 0; r < b->rows; r++) {
        const int64_t i = r % head;
        memcpy(to + (size_t)r * row, kernel_weight_row(b, r - i + row_before(i, dims, to_neighbours)), row);
    }
    b->data = to;
    return CJ_OK;
}

bool adapter_turns_neighbours(const model *m)
{
    const model_spec *s = model_spec_of(m);
    return s->n_ropes && s->ropes[0].interleaved;
}

cj_err adapter_turn(model_adapter *a, const model *m, bool to_neighbours, arena *mem, cj_diag *d)
{
    const model_spec *spec = model_spec_of(m);
    for (int i = 0; i < a->n_layers; i++) {
        const gqa_spec *g = &spec->layers[i].gqa;
        if (g->rope < 0) continue;
        kernel_weight *q = &adapter_pair_of(a, i, ADAPTER_Q)->b, *k = &adapter_pair_of(a, i, ADAPTER_K)->b;
        if (q->data) TRY(turn_rows(q, g->heads, spec->ropes[g->rope].dims, to_neighbours, mem, d));
        if (k->data) TRY(turn_rows(k, g->kv_heads, spec->ropes[g->rope].dims, to_neighbours, mem, d));
    }
    return CJ_OK;
}

cj_err adapter_file_fit(adapter_file *f, const model *m, cj_diag *d)
{
    const char *arch = model_spec_of(m)->family;
    const bool wanted = adapter_turns_neighbours(m);
    if (*f->facts.arch && strcmp(f->facts.arch, arch))
        return diag_fail(d, CJ_E_INPUT, MSG_ADAPTER_ARCH, "%s" ARG "%s" ARG "%s" ARG "%s", f->path, f->facts.arch, model_spec_of(m)->name, arch);
    TRY(adapter_fits(&f->data, model_spec_of(m), f->path, d));
    if (f->order == ORDER_OF_FILE) f->order = family_find(arch, strlen(arch))->neighbours ? ORDER_NEIGHBOURS : ORDER_HALVES;
    if ((f->order == ORDER_NEIGHBOURS) != wanted) TRY(adapter_turn(&f->data, m, wanted, &f->mem, d));
    f->order = wanted ? ORDER_NEIGHBOURS : ORDER_HALVES;
    return CJ_OK;
}

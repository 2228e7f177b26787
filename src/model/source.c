/* Sources: a GGUF file answers by itself, a folder through its config.json and the tables of family/dialect.c. */
#include "model/source.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "model/family/dialect.h"
#include "quant/quant.h"

enum { NAME_BYTES = 256, CONFIG_BYTES_MAX = 1 << 24 };

struct model_source {
    gguf *file;             /* NULL: a folder */
    safetensors *tensors;
    char *path;
    json_object *root, *config; /* of a model that sees, config is the part about text */
    const source_dialect *dialect;
    const char *model_type; /* inside config */
    const char *prefix;     /* of the tensors, up to "layers." */
};

/* ---- opening ---- */

static json_object *member(json_object *o, const char *name)
{
    json_object *v;
    return o && json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, name, &v) ? v : NULL; /* null is absent */
}

static const safetensor *prefixed(const model_source *s, const char *prefix, const char *name)
{
    char full[NAME_BYTES];
    return snprintf(full, sizeof full, "%s%s", prefix, name) < (int)sizeof full ? safetensors_find(s->tensors, full) : NULL;
}

/* What stands in front of the names depends on what else the model can do. */
static const char *prefix_of(const model_source *s)
{
    static const char *const known[] = {"model.", "model.language_model.", "language_model.model.", ""};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (prefixed(s, known[i], "embed_tokens.weight")) return known[i];
    return known[0];
}

static cj_err read_config(model_source *s, cj_diag *d)
{
    buf text = {0};
    char *path = file_join(s->path, "config.json");
    cj_err e = path ? file_read_regular(path, CONFIG_BYTES_MAX, &text, d) : diag_nomem(d, 16);
    if (!e) e = json_parse(text.data, text.len, path, &s->root, d);
    buf_deinit(&text);
    mem_free(path);
    TRY(e);
    json_object *part, *type;
    if (!json_object_is_type(s->root, json_type_object)) return diag_fail(d, CJ_E_INPUT, MSG_CONFIG_VALUE, "%s" ARG "%s" ARG "%s", s->path, "config.json", "{...}");
    s->config = json_object_object_get_ex(s->root, "text_config", &part) && json_object_is_type(part, json_type_object) ? part : s->root;
    if (!json_object_object_get_ex(s->config, "model_type", &type) || !json_object_is_type(type, json_type_string))
        return diag_fail(d, CJ_E_INPUT, MSG_CONFIG_MISSING, "%s" ARG "%s", s->path, "model_type");
    s->model_type = json_object_get_string(type);
    s->dialect = source_dialect_of(s->model_type);
    return CJ_OK;
}

static cj_err open_folder(model_source *s, const char *path, cj_diag *d)
{
    s->path = mem_strdup(path);
    if (!s->path) return diag_nomem(d, strlen(path));
    TRY(read_config(s, d));
    TRY(safetensors_open_folder(&s->tensors, path, d));
    s->prefix = prefix_of(s);
    return CJ_OK;
}

cj_err source_open(model_source **out, const char *path, cj_diag *d)
{
    model_source *s = mem_zalloc(sizeof *s);
    if (!s) return diag_nomem(d, sizeof *s);
    cj_err e = file_is_dir(path) ? open_folder(s, path, d) : gguf_open(&s->file, path, d);
    if (e) source_close(&s);
    else *out = s;
    return e;
}

void source_close(model_source **ps)
{
    model_source *s = *ps;
    if (!s) return;
    gguf_close(&s->file);
    safetensors_close(&s->tensors);
    json_object_put(s->root);
    mem_free(s->path);
    mem_free(s);
    *ps = NULL;
}

const char *source_path(const model_source *s) { return s->file ? gguf_path(s->file) : s->path; }
bool source_is_folder(const model_source *s) { return !s->file; }
bool source_is_cut(const model_source *s) { return s->file ? gguf_is_cut(s->file) : s->tensors && safetensors_is_cut(s->tensors); }
const gguf *source_gguf(const model_source *s) { return s->file; }
const safetensors *source_safetensors(const model_source *s) { return s->tensors; }

bool source_is_known(const model_source *s) { return s->file || s->dialect; }

bool source_is_layered(const model_source *s, int64_t i)
{
    if (s->file) return false;
    const size_t n = strlen(s->prefix);
    const char *name = safetensors_at(s->tensors, i)->name;
    return !strncmp(name, s->prefix, n) && !strncmp(name + n, "layers.", strlen("layers."));
}

bool source_is_quantised(const model_source *s)
{
    return !s->file && (member(s->config, "quantization_config") || member(s->root, "quantization_config"));
}

static gguf_str str_of(const char *text) { return (gguf_str){text, strlen(text)}; }

gguf_str source_arch(const model_source *s)
{
    gguf_str arch = {"", 0};
    if (!s->file) return str_of(s->dialect ? s->dialect->arch : s->model_type);
    return gguf_string(s->file, "general.architecture", GGUF_OPTIONAL, &arch, NULL) ? (gguf_str){"", 0} : arch;
}

/* A folder is called by its own name. */
gguf_str source_name(const model_source *s)
{
    gguf_str name = {"", 0};
    if (s->file) return gguf_string(s->file, "general.name", GGUF_OPTIONAL, &name, NULL) ? (gguf_str){"", 0} : name;
    size_t n = strlen(s->path), begin;
    while (n > 1 && s->path[n - 1] == '/') n--;
    for (begin = n; begin && s->path[begin - 1] != '/';) begin--;
    return (gguf_str){s->path + begin, n - begin};
}

/* ---- settings ---- */

/* "attention.head_count" -> ".attention.head_count": gguf puts the architecture in front. */
static const char *dotted(const char *key, char out[NAME_BYTES])
{
    snprintf(out, NAME_BYTES, ".%s", key);
    return out;
}

/* Settings of positions lie in the config itself, or in a part of it, newer or older, which may have a part of its own for each kind of layer; that
 * of the head may stand beside the part about text. */
static json_object *folder_value(const model_source *s, const char *key)
{
    static const char *const parts[] = {"rope_parameters", "rope_scaling"};
    const bool windows = !strcmp(key, "rope.freq_base_swa");
    const char *name = source_key_name(key);
    json_object *v = name ? member(s->config, name) : NULL;
    if (!v && !strcmp(key, "tie_word_embeddings")) v = member(s->root, name);
    if (v || !name || strncmp(key, "rope.", 5)) return v;
    for (int i = 0; !v && i < 2; i++) {
        json_object *part = member(s->config, parts[i]), *own = member(part, windows ? "sliding_attention" : "full_attention");
        if (own) part = own;
        v = member(part, windows ? own ? "rope_theta" : "" : name);
        if (!v && !strcmp(key, "rope.scaling.type")) v = member(part, "type"); /* what it was called once */
    }
    return v;
}

static cj_err wrong(const model_source *s, const char *key, const char *wanted, cj_diag *d)
{
    return diag_fail(d, CJ_E_INPUT, MSG_CONFIG_VALUE, "%s" ARG "%s" ARG "%s", s->path, source_key_name(key), wanted);
}

/* *out stays NULL where an optional setting is absent. */
static cj_err folder_get(const model_source *s, const char *key, gguf_need need, int64_t layer, json_object **out, cj_diag *d)
{
    const char *name = source_key_name(key);
    *out = folder_value(s, key);
    if (*out && source_key_by_layer(key)) {
        *out = json_object_is_type(*out, json_type_array) ? json_object_array_get_idx(*out, (size_t)layer) : NULL;
        return *out ? CJ_OK : wrong(s, key, "[..., ...]", d);
    }
    if (*out || need == GGUF_OPTIONAL) return CJ_OK;
    return diag_fail(d, CJ_E_INPUT, MSG_CONFIG_MISSING, "%s" ARG "%s", s->path, name ? name : key);
}

cj_err source_int(const model_source *s, const char *key, gguf_need need, int64_t layer, int64_t lo, int64_t hi, int64_t *out, cj_diag *d)
{
    char text[NAME_BYTES];
    json_object *v;
    if (s->file) return gguf_int_at(s->file, dotted(key, text), need, layer, lo, hi, out, d);
    TRY(folder_get(s, key, need, layer, &v, d));
    if (!v) return CJ_OK;
    int64_t n = json_object_get_int64(v);
    snprintf(text, sizeof text, "%lld..%lld", (long long)lo, (long long)hi);
    if (!json_object_is_type(v, json_type_int) || n < lo || n > hi) return wrong(s, key, text, d);
    *out = n;
    return CJ_OK;
}

cj_err source_float(const model_source *s, const char *key, gguf_need need, float *out, cj_diag *d)
{
    char text[NAME_BYTES];
    json_object *v;
    if (s->file) return gguf_float(s->file, dotted(key, text), need, out, d);
    TRY(folder_get(s, key, need, 0, &v, d));
    if (!v) return CJ_OK;
    bool number = json_object_is_type(v, json_type_double) || json_object_is_type(v, json_type_int);
    double n = number ? json_object_get_double(v) : NAN;
    if (!(fabs(n) <= 3.4028234663852886e38)) return wrong(s, key, "1.0", d);
    *out = (float)n;
    return CJ_OK;
}

cj_err source_bool(const model_source *s, const char *key, gguf_need need, int64_t layer, bool *out, cj_diag *d)
{
    char text[NAME_BYTES];
    json_object *v;
    if (s->file) return gguf_bool_at(s->file, dotted(key, text), need, layer, out, d);
    TRY(folder_get(s, key, need, layer, &v, d));
    if (v && !json_object_is_type(v, json_type_boolean)) return wrong(s, key, "true, false", d);
    if (v) *out = json_object_get_boolean(v);
    return CJ_OK;
}

cj_err source_text(const model_source *s, const char *key, gguf_need need, int64_t layer, gguf_str *out, cj_diag *d)
{
    char text[NAME_BYTES];
    json_object *v;
    if (s->file) return gguf_string(s->file, dotted(key, text), need, out, d);
    TRY(folder_get(s, key, need, layer, &v, d));
    if (v && !json_object_is_type(v, json_type_string)) return wrong(s, key, "\"...\"", d);
    if (v) *out = str_of(json_object_get_string(v));
    return CJ_OK;
}

/* ---- tensors ---- */

static const safetensor *folder_tensor(const model_source *s, const char *name)
{
    static const char *const beside[] = {"", "language_model.", "model.language_model.", "model."};
    char theirs[NAME_BYTES];
    const safetensor *t = NULL;
    if (!source_tensor_name(s->dialect, name, theirs, sizeof theirs)) return NULL;
    if (strncmp(theirs, "lm_head.", 8)) return prefixed(s, s->prefix, theirs);
    for (size_t i = 0; !t && i < sizeof beside / sizeof *beside; i++) t = prefixed(s, beside[i], theirs); /* beside the model, not in it */
    return t;
}

static source_tensor of_gguf(const gguf_tensor *t)
{
    source_tensor v = {.name = t->name, .type = t->type, .data = t->data, .bytes = t->bytes};
    memcpy(v.dims, t->dims, sizeof v.dims);
    return v;
}

static source_tensor of_folder(const model_source *s, const safetensor *t, source_form form)
{
    source_tensor v = {.name = t->name, .type = t->type, .data = t->data, .bytes = t->bytes, .form = form, .index = t - safetensors_at(s->tensors, 0)};
    memcpy(v.dims, t->dims, sizeof v.dims);
    if (v.dims[1] == 1 && v.dims[2] > 1) { /* a filter of one channel: [channels][1][taps] */
        v.dims[1] = v.dims[2];
        v.dims[2] = 1;
    }
    return v;
}

cj_err source_tensor_find(const model_source *s, const char *name, bool *found, source_tensor *out, cj_diag *d)
{
    if (s->file) {
        const gguf_tensor *t = gguf_tensor_find(s->file, name);
        if ((*found = t)) *out = of_gguf(t);
        return CJ_OK;
    }
    const safetensor *t = folder_tensor(s, name);
    if (!(*found = t)) return CJ_OK;
    if (t->type < 0) return diag_fail(d, CJ_E_UNSUPPORTED, MSG_SAFETENSORS_DTYPE, "%s" ARG "%s" ARG "%s", s->path, t->name, t->dtype);
    *out = of_folder(s, t, source_tensor_form(s->dialect, name));
    return CJ_OK;
}

bool source_tensor_here(const model_source *s, const char *name)
{
    return s->file ? gguf_tensor_find(s->file, name) != NULL : folder_tensor(s, name) != NULL;
}

int64_t source_tensor_count(const model_source *s) { return s->file ? gguf_tensor_count(s->file) : safetensors_count(s->tensors); }

source_tensor source_tensor_at(const model_source *s, int64_t i)
{
    return s->file ? of_gguf(gguf_tensor_at(s->file, i)) : of_folder(s, safetensors_at(s->tensors, i), SOURCE_AS_IS);
}

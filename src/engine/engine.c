/* Engines. */
#include "engine/engine.h"

#include <string.h>

#include "engine/inner.h"
#include "model/vocab_gguf.h"
#include "token/tokenizer_json.h"

enum { TEMPLATE_MAX = 1 << 20 };

/* A folder has it in a file of its own, or none. */
static cj_err load_folder_template(engine *e, cj_diag *d)
{
    buf text = {0};
    char *path = file_join(e->opt.path, "chat_template.jinja");
    if (!path) return diag_nomem(d, strlen(e->opt.path));
    cj_err err = file_exists(path) ? file_read_regular(path, TEMPLATE_MAX, &text, d) : CJ_OK;
    if (!err && text.len && !(e->chat_template = mem_strndup(text.data, text.len))) err = diag_nomem(d, text.len);
    buf_deinit(&text);
    mem_free(path);
    return err;
}

static cj_err load_template(engine *e, cj_diag *d)
{
    gguf_str s = {0};
    if (!model_file(e->model)) return load_folder_template(e, d);
    TRY(gguf_string(model_file(e->model), "tokenizer.chat_template", GGUF_OPTIONAL, &s, d));
    if (!s.len) return CJ_OK;
    if (s.len > TEMPLATE_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "tokenizer.chat_template", TEMPLATE_MAX);
    e->chat_template = mem_strndup(s.data, s.len);
    return e->chat_template ? CJ_OK : diag_nomem(d, s.len);
}

/* A vocabulary of another size than the embedding would make ids that the model does not have. */
static cj_err load_vocabulary(engine *e, cj_diag *d)
{
    const gguf *g = model_file(e->model);
    if (g ? !vocab_gguf_present(g) : !tokenizer_json_here(e->opt.path)) return CJ_OK;
    TRY(g ? vocab_gguf_open(&e->tokenizer, g, d) : tokenizer_json_open(&e->tokenizer, e->opt.path, d));
    int64_t rows = model_spec_of(e->model)->vocab;
    if (tokenizer_size(e->tokenizer) > rows)
        return diag_fail(d, CJ_E_INPUT, MSG_VOCAB_SIZE, "%s" ARG "%d" ARG "%lld", e->opt.path, tokenizer_size(e->tokenizer), (long long)rows);
    return CJ_OK;
}

static cj_err open_parts(engine *e, cj_diag *d)
{
    TRY(kernel_open(&e->ctx, &(kernel_options){e->opt.level, e->opt.threads, e->opt.exact}, d));
    TRY(model_open(&e->model, e->ctx, e->opt.path, d));
    TRY(load_vocabulary(e, d));
    TRY(load_template(e, d));
    return model_job_open(&e->job, e->model, e->opt.chunk, d);
}

cj_err engine_open(engine **out, const engine_options *opt, cj_diag *d)
{
    engine *e = mem_zalloc(sizeof *e);
    if (!e) return diag_nomem(d, sizeof *e);
    e->opt = *opt;
    if (!e->opt.chunk) e->opt.chunk = ENGINE_CHUNK;
    cj_err err = open_parts(e, d);
    e->opt.path = NULL; /* the caller's string */
    if (err) {
        engine_close(&e);
        return err;
    }
    *out = e;
    return CJ_OK;
}

void engine_close(engine **pe)
{
    engine *e = *pe;
    if (!e) return;
    model_job_close(&e->job);
    tokenizer_close(&e->tokenizer);
    model_close(&e->model);
    kernel_close(&e->ctx);
    mem_free(e->chat_template);
    mem_free(e);
    *pe = NULL;
}

const model *engine_model(const engine *e) { return e->model; }
cj_err engine_keep_more(engine *e, int layer, int head, int times, cj_diag *d) { return model_keep_more(e->model, layer, head, times, d); }
const engine_options *engine_options_of(const engine *e) { return &e->opt; }
kernel_ctx *engine_kernel(const engine *e) { return e->ctx; }
const tokenizer *engine_tokenizer(const engine *e) { return e->tokenizer; }
const char *engine_template(const engine *e) { return e->chat_template; }

cj_err engine_need_tokenizer(const engine *e, const tokenizer **out, cj_diag *d)
{
    if (!e->tokenizer) return diag_fail(d, CJ_E_UNSUPPORTED, MSG_NO_VOCAB, "%s", model_path(e->model));
    *out = e->tokenizer;
    return CJ_OK;
}

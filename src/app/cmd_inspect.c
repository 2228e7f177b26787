/* juan inspect: what a model file is, and what it would need. */
#include <string.h>

#include "app/commands.h"
#include "app/heads_view.h"
#include "base/utf8.h"
#include "model/vocab_gguf.h"
#include "reader/named.h"
#include "token/tokenizer_json.h"

enum { LENGTHS = 3 };
static const int64_t lengths[LENGTHS] = {10000, 100000, 1000000}; /* characters */

/* Prose to measure how many characters make a token. Old Chinese takes more tokens than what is written today; novels and laws lie
 * between the two. */
static const char modern[] =
    "清晨的雨停了，巷子里的石板路还泛着水光。卖豆腐的老人推着车慢慢走过，吆喝声隔着几道院墙传来。他说这条街三十年没有变过，"
    "变的只是住在里面的人：有的搬去了城里，有的再也没有回来。根据合同第十二条，双方应在收到书面通知之日起十五日内协商解决争议。";
static const char classical[] =
    "话说天下大势，分久必合，合久必分。周末七国分争，并入于秦。及秦灭之后，楚、汉分争，又并入于汉。汉朝自高祖斩白蛇而起义，一统天下，"
    "后来光武中兴，传至献帝，遂分为三国。榜文行到涿县，引出涿县中一个英雄。那人不甚好读书，性宽和，寡言语，喜怒不形于色。";
static const char english[] =
    "The rain stopped before dawn, and the stones of the lane still shone. An old man pushed his cart past the gates, calling "
    "softly as he had done for thirty years. Under section twelve of the agreement, the parties shall settle any dispute within "
    "fifteen days of receiving written notice.";

/* What there is to say; only the file is always there. */
typedef struct facts {
    const cli *cli;
    const char *argument;
    char *path;
    model_source *source; /* ours until a model takes it */
    kernel_ctx *ctx;
    model *model;         /* NULL: cannot be run, why_not says why */
    cj_diag why_not;
    kv_cache *kv;
    kv_type type;
    tokenizer *vocabulary; /* NULL: none */
    hub *hub;
    const hub_model *entry; /* of the catalogue, NULL: none */
    known_heads heads;      /* of a model that can be run */
} facts;

static const model_source *source_of(const facts *f) { return f->model ? model_source_of(f->model) : f->source; }

/* ---- figures ---- */

static int64_t weight_bytes(const facts *f)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < source_tensor_count(source_of(f)); i++) sum += (int64_t)source_tensor_at(source_of(f), i).bytes;
    return sum;
}

/* Keys and values of n tokens: whole pages; layers with a window drop what lies behind it. A recurrent layer has its state. */
static int64_t context_bytes(const facts *f, int64_t n)
{
    int64_t sum = 0;
    for (int i = 0; i < kv_layers(f->kv); i++) {
        const kv_layer *l = kv_layer_at(f->kv, i);
        if (l->layout.type == KV_STATE) {
            sum += (2 + KV_MARKS) * (int64_t)kv_page_bytes(&l->layout); /* the one before a pass, the one after it, those remembered */
            continue;
        }
        int64_t held = l->window ? i64_min(n, l->window + KV_SLACK + KV_PAGE) : n;
        sum += i64_ceil_div(held, KV_PAGE) * (int64_t)kv_page_bytes(&l->layout);
    }
    return sum;
}

/* 0: cannot be told. */
static double characters_per_token(const facts *f, const char *text)
{
    token_list ids;
    double ratio = 0;
    token_list_init(&ids);
    if (f->vocabulary && !tokenizer_encode(f->vocabulary, text, strlen(text), 0, &ids, NULL) && ids.count)
        ratio = (double)utf8_count(text, strlen(text)) / (double)ids.count;
    token_list_deinit(&ids);
    return ratio;
}

/* The string value of a key (of a folder: name and architecture), cut to what is valid UTF-8; "" when it is absent. Copied into out. */
static const char *key_text(const facts *f, const char *key, char *out, size_t size)
{
    const gguf *g = source_gguf(source_of(f));
    gguf_str s = {0};
    out[0] = 0;
    if (g && gguf_string(g, key, GGUF_OPTIONAL, &s, NULL)) return out;
    if (!g && !strcmp(key, "general.name")) s = source_name(source_of(f));
    if (!g && !strcmp(key, "general.architecture")) s = source_arch(source_of(f));
    if (!s.len) return out;
    size_t n = utf8_valid_prefix(s.data, s.len < size - 1 ? s.len : size - 1);
    memcpy(out, s.data, n);
    out[utf8_make_plain(out, n, '?')] = 0;
    return out;
}

/* Layers of one kind in a row. */
typedef struct layer_run {
    int first, count;
    mixer_kind mixer;
    int64_t window;
    int experts;
} layer_run;

static layer_run run_from(const model_spec *m, int first)
{
    const layer_spec *a = &m->layers[first];
    layer_run r = {first, 1, a->mixer, a->gqa.window, a->ffn == FFN_MOE ? a->moe.experts : 0};
    for (int i = first + 1; i < m->n_layers; i++, r.count++) {
        const layer_spec *b = &m->layers[i];
        if (b->mixer != r.mixer || b->gqa.window != r.window || (b->ffn == FFN_MOE ? b->moe.experts : 0) != r.experts) break;
    }
    return r;
}

/* The first layer that attends: what heads it has is said of the model. */
static const gqa_spec *attention_of(const model_spec *m)
{
    int i = 0;
    while (i < m->n_layers - 1 && m->layers[i].mixer != MIXER_GQA) i++;
    return &m->layers[i].gqa;
}

/* Whether any layer sees the whole text. */
static bool sees_all(const model_spec *m)
{
    for (int i = 0; i < m->n_layers; i++)
        if (m->layers[i].mixer == MIXER_GQA && !m->layers[i].gqa.window) return true;
    return false;
}

/* ---- JSON ---- */

static void add_text(json_object *o, const char *key, const char *text) { json_object_object_add(o, key, *text ? json_object_new_string(text) : NULL); }
static void add_int(json_object *o, const char *key, int64_t v) { json_object_object_add(o, key, json_object_new_int64(v)); }

/* Whether it has a chat template: of a folder, in a file of its own. */
static bool chats(const facts *f)
{
    char text[8];
    if (!source_is_folder(source_of(f))) return *key_text(f, "tokenizer.chat_template", text, sizeof text);
    char *path = file_join(source_path(source_of(f)), "chat_template.jinja");
    bool there = path && file_exists(path);
    mem_free(path);
    return there;
}

static json_object *types_json(const facts *f)
{
    json_object *o = json_object_new_object();
    int64_t count[QUANT_TYPE_END] = {0};
    for (int64_t i = 0; i < source_tensor_count(source_of(f)); i++) {
        int type = source_tensor_at(source_of(f), i).type;
        if (type >= 0) count[type]++;
    }
    for (int t = 0; t < QUANT_TYPE_END; t++)
        if (count[t]) add_int(o, quant_info_get(t)->name, count[t]);
    return o;
}

/* {"from", "heads"}: none are named where all of them are used. */
static json_object *finding_json(const facts *f)
{
    static const char *const from[] = {[HEADS_ALL] = "all", [HEADS_CATALOGUE] = "catalogue", [HEADS_CALIBRATED] = "calibrate"};
    json_object *o = json_object_new_object();
    add_text(o, "from", f->heads.n || sees_all(model_spec_of(f->model)) ? from[f->heads.from] : "");
    json_object_object_add(o, "heads", heads_view_json(f->heads.item, f->heads.n));
    return o;
}

static void add_model(json_object *o, const facts *f)
{
    const model_spec *m = model_spec_of(f->model);
    const gqa_spec *a = attention_of(m);
    json_object *runs = json_object_new_array(), *memory = json_object_new_array();
    for (int i = 0; i < m->n_layers;) {
        layer_run r = run_from(m, i);
        json_object *run = json_object_new_object();
        add_int(run, "layers", r.count);
        add_text(run, "mixer", r.mixer == MIXER_DELTA ? "gated delta" : "attention");
        json_object_object_add(run, "window", r.window ? json_object_new_int64(r.window) : NULL);
        json_object_object_add(run, "experts", r.experts ? json_object_new_int(r.experts) : NULL);
        json_object_array_add(runs, run);
        i += r.count;
    }
    add_text(o, "family", m->family);
    add_int(o, "layers", m->n_layers);
    json_object_object_add(o, "mixers", runs);
    add_int(o, "hidden", m->hidden);
    add_int(o, "heads", a->heads);
    add_int(o, "kv_heads", a->kv_heads);
    add_int(o, "head_size", a->dk);
    add_int(o, "context", m->context);
    add_int(o, "vocabulary", m->vocab);
    add_int(o, "context_bytes_per_token", model_token_bytes(f->model, f->type));
    double ratio = characters_per_token(f, classical); /* the dearer of the two */
    for (int i = 0; i < LENGTHS && ratio > 0; i++) {
        json_object *row = json_object_new_object();
        int64_t tokens = (int64_t)((double)lengths[i] / ratio);
        add_int(row, "characters", lengths[i]);
        add_int(row, "tokens", tokens);
        add_int(row, "context_bytes", context_bytes(f, tokens));
        json_object_array_add(memory, row);
    }
    json_object_object_add(o, "memory", memory);
    json_object_object_add(o, "finds_by", finding_json(f));
}

static void print_json(const facts *f)
{
    char text[256];
    json_object *o = json_object_new_object(), *ratio = json_object_new_object();
    add_text(o, "path", f->path);
    add_text(o, "name", key_text(f, "general.name", text, sizeof text));
    add_text(o, "family", key_text(f, "general.architecture", text, sizeof text));
    json_object_object_add(o, "runs", json_object_new_boolean(f->model != NULL));
    if (f->model) add_model(o, f);
    else {
        char why[2048];
        cj_diag_text(&f->why_not, f->cli->lang, why, sizeof why);
        add_text(o, "why_not", why);
    }
    add_int(o, "weight_bytes", weight_bytes(f));
    add_int(o, "tensors", source_tensor_count(source_of(f)));
    json_object_object_add(o, "types", types_json(f));
    if (f->vocabulary) {
        json_object_object_add(ratio, "zh", cli_json_number(characters_per_token(f, modern)));
        json_object_object_add(ratio, "zh_classical", cli_json_number(characters_per_token(f, classical)));
        json_object_object_add(ratio, "en", cli_json_number(characters_per_token(f, english)));
        add_int(o, "tokens", tokenizer_size(f->vocabulary));
    }
    json_object_object_add(o, "characters_per_token", ratio);
    json_object_object_add(o, "chat_template", json_object_new_boolean(chats(f)));
    add_text(o, "licence", f->entry ? f->entry->licence : key_text(f, "general.license", text, sizeof text));
    add_text(o, "licence_url", f->entry ? f->entry->licence_url : "");
    cli_json(o);
}

/* ---- for people ---- */

static void label(const facts *f, msg_id id) { term_label(cli_text(f->cli, id)); }

/* One square a layer: light where attention sees a window, full where it sees everything, between them where a state is kept instead. */
static void draw_layers(const facts *f)
{
    const model_spec *m = model_spec_of(f->model);
    int room = term_columns(stdout) - TERM_LABEL - 1, column = 0;
    for (int i = 0; i < m->n_layers; i++, column++) {
        if (column >= room) {
            printf("\n%*s", TERM_LABEL, "");
            column = 0;
        }
        fputs(m->layers[i].mixer == MIXER_DELTA ? "▒" : m->layers[i].gqa.window ? "░" : "█", stdout);
    }
    putchar('\n');
}

/* "5 x window 512, 1 x full, 5 x ...": repeated patterns once. */
static void print_runs(const facts *f)
{
    const model_spec *m = model_spec_of(f->model);
    int64_t window = 0;
    int windows = 0, states = 0, experts = 0, used = 0;
    for (int i = 0; i < m->n_layers; i++) {
        const layer_spec *l = &m->layers[i];
        states += l->mixer == MIXER_DELTA;
        if (l->gqa.window) windows++, window = l->gqa.window;
        if (l->ffn == FFN_MOE) experts = l->moe.experts, used = l->moe.used;
    }
    layer_run a = run_from(m, 0);
    printf("%*s", TERM_LABEL, "");
    if (states) cli_print(f->cli, MSG_INSPECT_STATES, "%d" ARG "%d", states, m->n_layers - states);
    else if (!windows) cli_print(f->cli, MSG_INSPECT_ALL_FULL, "%s", "");
    else if (a.count == m->n_layers) cli_print(f->cli, MSG_INSPECT_ALL_WINDOW, "%lld", (long long)window);
    else cli_print(f->cli, MSG_INSPECT_MIXED, "%d" ARG "%lld" ARG "%d", windows, (long long)window, m->n_layers - windows);
    if (!experts) return;
    printf("%*s", TERM_LABEL, "");
    cli_print(f->cli, MSG_INSPECT_EXPERTS, "%d" ARG "%d", experts, used);
}

static void print_structure(const facts *f)
{
    const model_spec *m = model_spec_of(f->model);
    const gqa_spec *a = attention_of(m);
    char text[TERM_TEXT];
    label(f, MSG_INSPECT_LAYERS);
    printf("%d\n%*s", m->n_layers, TERM_LABEL, "");
    draw_layers(f);
    print_runs(f);
    label(f, MSG_INSPECT_WIDTH);
    cli_print(f->cli, MSG_INSPECT_WIDTH_IS, "%s" ARG "%d" ARG "%d" ARG "%d", term_count(text, m->hidden), a->heads, a->kv_heads, a->dk);
    label(f, MSG_INSPECT_CONTEXT);
    cli_print(f->cli, MSG_INSPECT_CONTEXT_IS, "%s", term_count(text, m->context));
}

static void print_finding(const facts *f)
{
    static const msg_id from[] = {[HEADS_ALL] = MSG_INSPECT_FINDS_ALL, [HEADS_CATALOGUE] = MSG_INSPECT_FINDS_CATALOGUE, [HEADS_CALIBRATED] = MSG_INSPECT_FINDS_CALIBRATED};
    char heads[HEADS_VIEW_TEXT];
    label(f, MSG_INSPECT_FINDS);
    cli_print(f->cli, f->heads.n || sees_all(model_spec_of(f->model)) ? from[f->heads.from] : MSG_INSPECT_FINDS_NONE, "%s", heads_view_text(heads, f->heads.item, f->heads.n));
}

static void print_weights(const facts *f)
{
    char text[TERM_TEXT];
    label(f, MSG_INSPECT_WEIGHTS);
    printf("%s:", term_bytes(text, weight_bytes(f)));
    json_object *types = types_json(f);
    json_object_object_foreach(types, name, count) printf(" %s × %lld", name, (long long)json_object_get_int64(count));
    json_object_put(types);
    putchar('\n');
}

static void print_vocabulary(const facts *f)
{
    char text[TERM_TEXT];
    label(f, MSG_INSPECT_VOCABULARY);
    if (!f->vocabulary) {
        cli_print(f->cli, MSG_INSPECT_NO_VOCABULARY, "%s", "");
        return;
    }
    cli_print(f->cli, MSG_INSPECT_VOCABULARY_IS, "%s", term_count(text, tokenizer_size(f->vocabulary)));
    printf("%*s", TERM_LABEL, "");
    cli_print(f->cli, MSG_INSPECT_PER_TOKEN, "%.2f" ARG "%.2f" ARG "%.1f",
              characters_per_token(f, modern), characters_per_token(f, classical), characters_per_token(f, english));
    label(f, MSG_INSPECT_CHAT);
    cli_print(f->cli, chats(f) ? MSG_INSPECT_CHATS : MSG_INSPECT_BASE, "%s", "");
}

static void print_memory(const facts *f)
{
    double ratio = characters_per_token(f, classical);
    if (ratio <= 0) return;
    label(f, MSG_INSPECT_MEMORY);
    for (int i = 0; i < LENGTHS; i++) {
        char chars[TERM_TEXT], tokens[TERM_TEXT], bytes[TERM_TEXT];
        int64_t n = (int64_t)((double)lengths[i] / ratio);
        bool fits = n <= model_spec_of(f->model)->context;
        if (i) printf("%*s", TERM_LABEL, "");
        cli_print(f->cli, fits ? MSG_INSPECT_MEMORY_ROW : MSG_INSPECT_MEMORY_PAST, "%s" ARG "%s" ARG "%s", term_count(chars, lengths[i]),
                  term_count(tokens, n), term_bytes(bytes, context_bytes(f, n)));
    }
}

static void print_drawing(const facts *f)
{
    char text[256];
    const char *bold = term_style_code(stdout, TERM_BOLD), *plain = term_style_code(stdout, TERM_PLAIN);
    const char *name = key_text(f, "general.name", text, sizeof text)[0] ? text : f->argument;
    fputs(bold, stdout);
    term_write(stdout, name, strlen(name));
    printf("%s  %s\n", plain, key_text(f, "general.architecture", text, sizeof text));
    term_write(stdout, f->path, strlen(f->path));
    printf("\n\n");
    if (f->model) print_structure(f);
    if (f->model) print_finding(f);
    print_vocabulary(f);
    print_weights(f);
    if (f->model) print_memory(f);
    const char *licence = f->entry ? f->entry->licence : key_text(f, "general.license", text, sizeof text);
    if (*licence) {
        label(f, MSG_INSPECT_LICENCE);
        printf("%s%s%s\n", licence, f->entry ? "  " : "", f->entry ? f->entry->licence_url : "");
    }
    if (!f->model) {
        char why[2048];
        cj_diag_text(&f->why_not, f->cli->lang, why, sizeof why);
        printf("\n%s%s%s\n", term_style_code(stdout, TERM_WARN), why, plain);
    }
}

/* ---- gathering ---- */

static cj_err gather(facts *f, const engine_options *opt, cj_diag *d)
{
    if (hub_open(&f->hub, NULL, NULL, NULL) == CJ_OK) f->entry = hub_find(f->hub, f->argument);
    TRY(source_open(&f->source, f->path, d));
    const gguf *g = source_gguf(f->source);
    if (g && vocab_gguf_present(g)) TRY(vocab_gguf_open(&f->vocabulary, g, d));
    if (!g && tokenizer_json_here(f->path)) TRY(tokenizer_json_open(&f->vocabulary, f->path, d));
    TRY(kernel_open(&f->ctx, &(kernel_options){opt->level, 1, false}, d));
    if (model_open_source(&f->model, f->ctx, f->source, &f->why_not)) { /* shown, unless it is our own trouble */
        if (f->why_not.code != CJ_E_NOMEM) return CJ_OK;
        *d = f->why_not;
        return CJ_E_NOMEM;
    }
    f->source = NULL;
    f->type = opt->kv;
    if (f->hub) TRY(named_heads(&f->heads, f->hub, f->argument, f->model, d));
    if (f->heads.trouble.code) cli_note(f->cli, &f->heads.trouble);
    return model_kv_open(f->model, opt->kv, &f->kv, d);
}

static void let_go(facts *f)
{
    kv_close(&f->kv);
    model_close(&f->model);
    kernel_close(&f->ctx);
    tokenizer_close(&f->vocabulary);
    source_close(&f->source);
    hub_close(&f->hub);
    mem_free(f->path);
}

int cmd_inspect(cli *c)
{
    const cli_help help = {"MODEL [--kv TYPE]", MSG_CMD_INSPECT_ABOUT,
                           "inspect {0}\n"
                           "inspect model.gguf --json", 1, 1};
    int code = cli_parse(c, &help, NULL, 0);
    if (code) return code;
    engine_options opt = {0};
    facts f = {.cli = c, .argument = c->argv[0]};
    cj_diag d = {0};
    code = cli_engine_options(c, &opt);
    if (!code) code = cli_model_path(c, f.argument, &f.path);
    if (code) return code;
    if (gather(&f, &opt, &d)) code = cli_fail(c, &d);
    else if (c->json) print_json(&f);
    else print_drawing(&f);
    let_go(&f);
    return code;
}

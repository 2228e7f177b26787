/* juan doctor: what this machine can do, what is here, and what to do about what is not. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/catalogue_view.h"
#include "app/commands.h"
#include "app/term.h"
#include "base/confine.h"
#include "base/share.h"

typedef struct findings {
    const cli *cli;
    const cpu_info *cpu;
    kernel_ctx *kernel;     /* of the level that would be used */
    kernel_ceilings ceilings;
    char *home, *share;
    int64_t memory, disk;   /* bytes free */
    hub *hub;               /* NULL: the catalogue cannot be read, hub_trouble says why */
    cj_diag hub_trouble;
    json_object *advice;    /* sentences */
} findings;

/* The libraries this was built with, by the build: "name version" pairs. */
static const struct { const char *name, *version; } libraries[] = {APP_LIBRARIES};
enum { LIBRARIES = sizeof libraries / sizeof *libraries };

static const struct { const char *name; size_t offset; } features[] = {
#define FEATURE(f) {#f, offsetof(cpu_info, f)}
    FEATURE(avx2), FEATURE(fma), FEATURE(f16c), FEATURE(avx_vnni), FEATURE(avx512), FEATURE(avx512_vnni), FEATURE(avx512_bf16),
    FEATURE(amx_int8), FEATURE(amx_bf16), FEATURE(neon), FEATURE(dotprod), FEATURE(i8mm),
#undef FEATURE
};
enum { FEATURES = sizeof features / sizeof *features };

static bool has(const cpu_info *cpu, int feature) { return *(const bool *)((const char *)cpu + features[feature].offset); }

static kernel_level level_of(const findings *f) { return kernel_table_of(f->kernel)->level; }

static bool on_path(const char *program)
{
    const char *path = getenv("PATH");
    for (const char *at = path ? path : ""; *at;) {
        char full[4096];
        size_t n = strcspn(at, ":");
        snprintf(full, sizeof full, "%.*s/%s", (int)n, at, program);
        if (n && !access(full, X_OK)) return true;
        at += n + (at[n] == ':');
    }
    return false;
}

/* ---- advice ---- */

static void advise(findings *f, msg_id id, const char *arg)
{
    char text[2048];
    msg_format(cli_text(f->cli, id), arg, text, sizeof text);
    json_object_array_add(f->advice, json_object_new_string(text));
}

static void advise_models(findings *f)
{
    int here = 0;
    for (size_t i = 0; i < hub_count(f->hub); i++) {
        const hub_model *m = hub_at(f->hub, i);
        hub_state s = view_status(f->hub, m->name).state;
        if (s == HUB_CHANGED) advise(f, MSG_DOCTOR_CHANGED, m->name);
        if (s == HUB_PARTIAL) advise(f, MSG_DOCTOR_PARTIAL, m->name);
        if (s != HUB_INSTALLED) continue;
        here++;
        if (f->memory > 0 && m->memory > f->memory) advise(f, MSG_DOCTOR_MEMORY, m->name);
    }
    const hub_model *first = hub_default(f->hub) ? hub_find(f->hub, hub_default(f->hub)) : NULL;
    if (!here && first) advise(f, MSG_DOCTOR_NO_MODEL, first->name);
    if (!here && first && f->disk >= 0 && 2 * hub_model_size(first) > f->disk) advise(f, MSG_DOCTOR_DISK, f->home);
}

/* ---- models for this machine ---- */

/* The first of a kind that fits where a quarter of the memory that is free (4 GiB of it where nobody knows) is left for what was read. NULL: none does. */
static const hub_model *choose(const findings *f, unsigned can, int64_t taken)
{
    const int64_t unknown = (int64_t)4 << 30, free = f->memory > 0 ? f->memory : unknown;
    const hub_model *list[32];
    size_t n = f->hub ? hub_recommend(f->hub, free - free / 4 - taken, list, sizeof list / sizeof *list) : 0;
    for (size_t i = 0; i < n; i++)
        if (list[i]->can & can) return list[i];
    return NULL;
}

/* The model of the catalogue to read with: the default, or another that fits. */
static const hub_model *choose_reader(const findings *f)
{
    const hub_model *usual = f->hub && hub_default(f->hub) ? hub_find(f->hub, hub_default(f->hub)) : NULL;
    return usual && usual->ready && (f->memory <= 0 || usual->memory <= f->memory) ? usual : choose(f, HUB_FINDS, 0);
}

/* The one to answer with beside it. */
static const hub_model *choose_answerer(const findings *f)
{
    const hub_model *reader = choose_reader(f);
    return choose(f, HUB_SUMMARISES, reader ? reader->memory : 0);
}

static bool is_here(const findings *f, const hub_model *m) { return view_status(f->hub, m->name).state == HUB_INSTALLED; }

/* Whether path, or the nearest folder above it that exists, can be written to. */
static bool can_write(const char *path)
{
    char at[PATH_MAX];
    snprintf(at, sizeof at, "%s", path);
    while (!file_exists(at)) {
        char *slash = strrchr(at, '/');
        if (!slash) return !access(".", W_OK);
        slash[slash == at] = 0;
    }
    return file_is_dir(at) && !access(at, W_OK);
}

static void advise_all(findings *f)
{
    kernel_level best = kernel_level_best(f->cpu);
    char text[2048];
    if (best == KERNEL_REF) advise(f, MSG_DOCTOR_SLOW_CPU, f->cpu->name);
    else if (level_of(f) != best) advise(f, MSG_DOCTOR_LOWER_LEVEL, kernel_level_name(best));
    if (!can_write(f->home)) advise(f, MSG_DOCTOR_HOME, f->home);
    if (f->hub) advise_models(f);
    else {
        cj_diag_text(&f->hub_trouble, f->cli->lang, text, sizeof text);
        json_object_array_add(f->advice, json_object_new_string(text));
    }
    if (!on_path("python3")) advise(f, MSG_DOCTOR_NO_PIP, "python3");
    if (!on_path("pdftotext")) advise(f, MSG_DOCTOR_NO_PDF, "pdftotext");
    if (!confine_has_filter()) advise(f, MSG_DOCTOR_NO_FILTER, "");
}

/* ---- JSON ---- */

static void add_text(json_object *o, const char *key, const char *text) { json_object_object_add(o, key, text ? json_object_new_string(text) : NULL); }
static void add_int(json_object *o, const char *key, int64_t v) { json_object_object_add(o, key, json_object_new_int64(v)); }

static json_object *processor_json(const findings *f)
{
    json_object *o = json_object_new_object(), *list = json_object_new_array();
    for (int i = 0; i < FEATURES; i++)
        if (has(f->cpu, i)) json_object_array_add(list, json_object_new_string(features[i].name));
    add_text(o, "name", f->cpu->name);
    add_int(o, "cores", f->cpu->cores);
    json_object_object_add(o, "features", list);
    return o;
}

static json_object *levels_json(const findings *f)
{
    json_object *o = json_object_new_object();
    for (int i = 0; i < KERNEL_LEVELS; i++)
        json_object_object_add(o, kernel_level_name((kernel_level)i), json_object_new_boolean(kernel_level_runs((kernel_level)i, f->cpu)));
    return o;
}

static json_object *models_json(const findings *f)
{
    json_object *list = json_object_new_array();
    for (size_t i = 0; f->hub && i < hub_count(f->hub); i++)
        if (view_status(f->hub, hub_at(f->hub, i)->name).state != HUB_ABSENT) json_object_array_add(list, view_json(f->hub, hub_at(f->hub, i)));
    return list;
}

static json_object *choice_json(const findings *f, const hub_model *m)
{
    if (!m) return NULL;
    json_object *o = json_object_new_object();
    add_text(o, "name", m->name);
    add_int(o, "memory", m->memory);
    json_object_object_add(o, "installed", json_object_new_boolean(is_here(f, m)));
    return o;
}

static void print_json(findings *f)
{
    json_object *o = json_object_new_object(), *memory = json_object_new_object(), *folders = json_object_new_object();
    json_object *libs = json_object_new_object(), *progs = json_object_new_object();
    add_text(o, "version", cj_version());
    json_object_object_add(o, "processor", processor_json(f));
    add_text(o, "level", kernel_level_name(level_of(f)));
    json_object_object_add(o, "levels", levels_json(f));
    json_object_object_add(o, "ceilings", cli_json_ceilings(&f->ceilings));
    add_int(memory, "total", f->cpu->memory_total);
    add_int(memory, "available", f->memory);
    json_object_object_add(o, "memory", memory);
    add_int(o, "disk_free", f->disk);
    add_text(folders, "home", f->home);
    add_text(folders, "share", f->share);
    json_object_object_add(o, "folders", folders);
    for (int i = 0; i < LIBRARIES; i++) add_text(libs, libraries[i].name, libraries[i].version);
    json_object_object_add(progs, "python3", json_object_new_boolean(on_path("python3")));
    json_object_object_add(progs, "pdftotext", json_object_new_boolean(on_path("pdftotext")));
    json_object_object_add(o, "libraries", libs);
    json_object_object_add(o, "programs", progs);
    add_text(o, "confinement", confine_has_filter() ? "filter" : "limits");
    json_object_object_add(o, "models", models_json(f));
    json_object_object_add(o, "reader", choice_json(f, choose_reader(f)));
    json_object_object_add(o, "answerer", choice_json(f, choose_answerer(f)));
    json_object_object_add(o, "advice", json_object_get(f->advice));
    cli_json(o);
}

/* ---- for people ---- */

static void label(const findings *f, msg_id id) { term_label(cli_text(f->cli, id)); }

static void print_processor(const findings *f)
{
    label(f, MSG_DOCTOR_PROCESSOR);
    cli_print(f->cli, MSG_DOCTOR_CORES, "%s" ARG "%d", f->cpu->name, f->cpu->cores);
    printf("%*s", TERM_LABEL - 1, "");
    for (int i = 0; i < FEATURES; i++)
        if (has(f->cpu, i)) printf(" %s", features[i].name);
    putchar('\n');
    label(f, MSG_DOCTOR_LEVEL);
    bool first = true;
    for (int i = 0; i < KERNEL_LEVELS; i++) {
        kernel_level l = (kernel_level)i;
        if (!kernel_level_runs(l, f->cpu)) continue;
        const char *style = term_style_code(stdout, l == level_of(f) ? TERM_GOOD : TERM_PLAIN);
        printf("%s%s%s %s%s", first ? "" : "  ", style, l == level_of(f) ? "●" : "○", kernel_level_name(l), term_style_code(stdout, TERM_PLAIN));
        first = false;
    }
    putchar('\n');
}

static void print_ceiling(const findings *f, msg_id id, double value, int decimals)
{
    if (value <= 0) return;
    printf("%*s", TERM_LABEL, "");
    cli_print(f->cli, id, "%.*f", decimals, value);
}

static void print_machine(const findings *f)
{
    char a[TERM_TEXT], b[TERM_TEXT];
    label(f, MSG_DOCTOR_CEILINGS);
    cli_print(f->cli, MSG_DOCTOR_F32, "%.0f", f->ceilings.f32_gflops);
    print_ceiling(f, MSG_DOCTOR_BF16, f->ceilings.bf16_gflops, 0);
    print_ceiling(f, MSG_DOCTOR_INT8, f->ceilings.int8_gops, 0);
    print_ceiling(f, MSG_DOCTOR_READ, f->ceilings.read_gbytes, 1);
    label(f, MSG_DOCTOR_MEMORY_LABEL);
    cli_print(f->cli, MSG_DOCTOR_OF, "%s" ARG "%s", term_bytes(a, f->memory), term_bytes(b, f->cpu->memory_total));
    label(f, MSG_DOCTOR_HOME_LABEL);
    cli_print(f->cli, MSG_DOCTOR_DISK_FREE, "%s" ARG "%s", f->home, f->disk >= 0 ? term_bytes(a, f->disk) : "?");
    label(f, MSG_DOCTOR_SHARE_LABEL);
    char real[PATH_MAX];
    puts(realpath(f->share, real) ? real : f->share);
}

/* Words one after the other, folded. */
static void print_list(const findings *f, msg_id id, const char *words)
{
    label(f, id);
    term_fold(stdout, words, TERM_LABEL, TERM_LABEL, term_columns(stdout));
    putchar('\n');
}

static void print_found(const findings *f)
{
    char words[1024];
    size_t at = 0;
    for (int i = 0; i < LIBRARIES && at < sizeof words; i++)
        at += (size_t)snprintf(words + at, sizeof words - at, "%s%s %s", i ? ", " : "", libraries[i].name, libraries[i].version);
    print_list(f, MSG_DOCTOR_LIBRARIES, words);
    label(f, MSG_DOCTOR_MODELS);
    int n = 0;
    for (size_t i = 0; f->hub && i < hub_count(f->hub); i++) {
        const char *name = hub_at(f->hub, i)->name;
        if (view_status(f->hub, name).state == HUB_INSTALLED) printf("%s%s", n++ ? ", " : "", name);
    }
    puts(n ? "" : cli_text(f->cli, MSG_DOCTOR_NONE));
}

static void print_choice(const findings *f, msg_id id, const hub_model *m)
{
    char memory[TERM_TEXT];
    label(f, id);
    if (m) cli_print(f->cli, is_here(f, m) ? MSG_DOCTOR_FITS : MSG_DOCTOR_FITS_PULL, "%s" ARG "%s", m->name, term_bytes(memory, m->memory));
    else cli_print(f->cli, MSG_DOCTOR_NONE_FITS, "%s", "");
}

static void print_advice(const findings *f)
{
    size_t n = json_object_array_length(f->advice);
    putchar('\n');
    if (!n) cli_print(f->cli, MSG_DOCTOR_WELL, "%s", "");
    for (size_t i = 0; i < n; i++) {
        printf("%s→%s ", term_style_code(stdout, TERM_WARN), term_style_code(stdout, TERM_PLAIN));
        term_fold(stdout, json_object_get_string(json_object_array_get_idx(f->advice, i)), 2, 2, term_columns(stdout));
        putchar('\n');
    }
}

static void print_all(const findings *f)
{
    print_processor(f);
    print_machine(f);
    print_found(f);
    print_choice(f, MSG_DOCTOR_READER, choose_reader(f));
    print_choice(f, MSG_DOCTOR_ANSWERER, choose_answerer(f));
    print_advice(f);
}

/* ---- gathering ---- */

static cj_err examine(findings *f, const engine_options *opt, cj_diag *d)
{
    TRY(kernel_open(&f->kernel, &(kernel_options){opt->level, opt->threads, false}, d));
    TRY(kernel_ceilings_measure(f->kernel, &f->ceilings, d));
    f->cpu = cpu_get();
    f->home = file_home();
    f->share = share_folder();
    f->advice = json_object_new_array();
    if (!f->home || !f->share || !f->advice) return diag_nomem(d, 0);
    f->memory = cpu_memory_available();
    f->disk = file_free_space(f->home);
    if (hub_open(&f->hub, NULL, NULL, &f->hub_trouble)) f->hub = NULL;
    advise_all(f);
    return CJ_OK;
}

int cmd_doctor(cli *c)
{
    const cli_help help = {"[--cpu LEVEL]", MSG_CMD_DOCTOR_ABOUT, "doctor\ndoctor --json", 0, 0};
    int code = cli_parse(c, &help, NULL, 0);
    if (code) return code;
    findings f = {.cli = c};
    engine_options opt = {0};
    cj_diag d = {0};
    code = cli_engine_options(c, &opt);
    if (!code && examine(&f, &opt, &d)) code = cli_fail(c, &d);
    if (!code && c->json) print_json(&f);
    if (!code && !c->json) print_all(&f);
    hub_close(&f.hub);
    kernel_close(&f.kernel);
    json_object_put(f.advice);
    mem_free(f.home);
    mem_free(f.share);
    return code;
}

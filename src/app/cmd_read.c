/* juan read: documents onto the shelf. */
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "app/documents.h"
#include "app/reading.h"
#include "app/term.h"
#include "base/background.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "eval/bench.h"
#include "reader/estimate.h"
#include "reader/named.h"
#include "reader/read.h"

typedef struct reader {
    cli *c;
    document_set docs;    /* of files */
    book kept;            /* or of an entry that is gone on with */
    const char *resume;   /* its name */
    background *settling; /* of a process in the background that has not settled yet */
    named_model model;
    shelf *shelf;
    cli_progress progress;
    double told;              /* when the last JSON line was written */
    bool logged;              /* standard error is the log */
    kernel_ceilings ceilings; /* f32_gflops 0: not measured */
    int64_t first;            /* the token at which this run began to read, */
    double began;             /* and when */
    int64_t keep;
    read_progress last;
    const char *name;
    read_result result;
} reader;

/* Of what this machine could do at most with the tokens read so far; 0: not known. A fast read is counted as if every token beyond the pages that are
 * looked at token by token looked at just those. */
static double share_of_ceiling(const reader *r, const read_progress *p)
{
    const double seconds = clock_now() - r->began;
    const int64_t same = r->keep ? read_estimate_same(r->keep) : INT64_MAX, middle = i64_min(i64_max(r->first, same), p->tokens);
    if (!(r->ceilings.f32_gflops > 0) || seconds <= 0 || p->tokens <= r->first) return 0;
    double least = bench_read_floor(r->model.engine, &r->ceilings, r->first, middle - r->first, false);
    if (p->tokens > middle) least += (double)(p->tokens - middle) * bench_read_floor(r->model.engine, &r->ceilings, same, 1, false);
    return least / seconds;
}

static json_object *progress_json(const reader *r, const read_progress *p)
{
    const double share = share_of_ceiling(r, p);
    json_object *o = json_object_new_object();
    double rate = p->seconds > 0 ? (double)(p->tokens - p->tokens_before) / p->seconds : 0;
    json_object_object_add(o, "phase", json_object_new_string(p->phase == READ_TEXT ? "text" : "tokens"));
    json_object_object_add(o, "characters", json_object_new_int64(p->characters));
    json_object_object_add(o, "tokens", json_object_new_int64(p->tokens));
    json_object_object_add(o, "tokens_total", json_object_new_int64(p->tokens_total));
    json_object_object_add(o, "tokens_per_second", cli_json_number(rate));
    json_object_object_add(o, "share_of_ceiling", share > 0 ? cli_json_number(share) : NULL);
    json_object_object_add(o, "eta_seconds", rate > 0 ? cli_json_number((double)(p->tokens_total - p->tokens) / rate) : NULL);
    json_object_object_add(o, "ram_bytes", json_object_new_int64(cpu_memory_peak()));
    json_object_object_add(o, "disk_bytes", json_object_new_int64(p->disk_bytes));
    return o;
}

/* In the background: from here on nobody listens, and what goes wrong is found in the log. */
static bool settle(reader *r)
{
    cj_diag d = {0};
    char *home = file_home(), *log = home ? file_join(home, READING_LOG) : NULL;
    cj_err e = log ? background_settle(r->settling, r->name, log, &d) : diag_nomem(&d, 64);
    if (e) (void)cli_fail(r->c, &d);
    r->settling = NULL;
    r->logged = !e;
    r->c->quiet = true;
    background_give_way();
    mem_free(home);
    mem_free(log);
    return !e;
}

/* "1,234 characters, 41% of the ceiling, 512 MiB of memory, 77 MiB on disk" */
static void say_more(void *arg, char *out, size_t size)
{
    const reader *r = arg;
    const double share = share_of_ceiling(r, &r->last);
    char chars[TERM_TEXT], memory[TERM_TEXT], disk[TERM_TEXT], args[4 * TERM_TEXT];
    snprintf(args, sizeof args, "%s" ARG "%s" ARG "%s" ARG "%.0f", term_count(chars, r->last.characters), term_bytes(memory, cpu_memory_peak()),
             term_bytes(disk, r->last.disk_bytes), 100 * share);
    msg_format(cli_text(r->c, share > 0 ? MSG_READING_MORE : MSG_READING_MORE_UNMEASURED), args, out, size);
}

static bool on_progress(void *arg, const read_progress *p)
{
    reader *r = arg;
    r->last = *p;
    if (r->settling && p->phase == READ_TOKENS && !settle(r)) return false;
    double now = clock_now();
    if (p->phase == READ_TOKENS && !r->began) r->first = p->tokens, r->began = now;
    if (!r->c->json) return p->phase == READ_TEXT ? !cli_interrupted() : cli_progress_step(&r->progress, p->tokens, p->tokens_total);
    if (now - r->told >= 1) {
        cli_json(progress_json(r, p));
        fflush(stdout);
        r->told = now;
    }
    return !cli_interrupted();
}

static const char *mode_name(int64_t keep) { return keep ? "fast" : "exact"; }

/* Where it takes long enough to be worth knowing, and somebody looks on; it wants memory. What cannot be measured is not told. */
static void measure_ceilings(reader *r, int64_t tokens)
{
    const int64_t worth = 32768;
    r->ceilings = (kernel_ceilings){0};
    if (tokens < worth || r->settling || r->c->ram || (r->c->quiet && !r->c->json)) return;
    if (kernel_ceilings_measure(engine_kernel(r->model.engine), &r->ceilings, NULL)) r->ceilings = (kernel_ceilings){0};
}

static void on_choice(void *arg, const read_choice *x)
{
    reader *r = arg;
    r->keep = x->keep;
    measure_ceilings(r, x->tokens);
    char exact[TERM_TEXT], fast[TERM_TEXT];
    cli_progress_end(&r->progress);
    if (r->c->json) {
        static const char *const whys[] = {"asked", "begun", "same", "estimated"};
        const bool known = x->why == READ_ESTIMATED;
        json_object *o = json_object_new_object();
        json_object_object_add(o, "phase", json_object_new_string("estimate"));
        json_object_object_add(o, "mode", json_object_new_string(mode_name(x->keep)));
        json_object_object_add(o, "why", json_object_new_string(whys[x->why]));
        json_object_object_add(o, "exact_seconds", known ? cli_json_number(x->exact_seconds) : NULL);
        json_object_object_add(o, "fast_seconds", known ? cli_json_number(x->fast_seconds) : NULL);
        json_object_object_add(o, "characters_total", json_object_new_int64(x->characters));
        json_object_object_add(o, "tokens_total", json_object_new_int64(x->tokens));
        cli_json(o);
    } else if (x->why == READ_ESTIMATED)
        cli_say(r->c, x->keep ? MSG_READ_CHOSE_FAST : MSG_READ_CHOSE_EXACT, "%s" ARG "%s", term_seconds(exact, x->exact_seconds), term_seconds(fast, x->fast_seconds));
    else if (x->why == READ_BEGUN)
        cli_say(r->c, x->keep ? MSG_READ_BEGUN_FAST : MSG_READ_BEGUN_EXACT, "%s", "");
    else if (x->why == READ_SAME)
        cli_say(r->c, MSG_READ_CHOSE_SAME, "%s", "");
}

static void print_result(const reader *r, const char *name)
{
    const read_result *x = &r->result;
    int64_t read = x->tokens - x->tokens_before;
    double rate = x->seconds > 0 ? (double)read / x->seconds : 0;
    if (r->c->json) {
        json_object *o = json_object_new_object();
        json_object_object_add(o, "done", json_object_new_boolean(true));
        json_object_object_add(o, "name", json_object_new_string(name));
        json_object_object_add(o, "mode", json_object_new_string(mode_name(x->keep)));
        json_object_object_add(o, "characters", json_object_new_int64(x->characters));
        json_object_object_add(o, "tokens", json_object_new_int64(x->tokens));
        json_object_object_add(o, "tokens_before", json_object_new_int64(x->tokens_before));
        json_object_object_add(o, "seconds", cli_json_number(x->seconds));
        json_object_object_add(o, "tokens_per_second", cli_json_number(rate));
        json_object_object_add(o, "ram_bytes", json_object_new_int64(cpu_memory_peak()));
        json_object_object_add(o, "disk_bytes", json_object_new_int64(x->bytes));
        cli_json(o);
        return;
    }
    char chars[TERM_TEXT], tokens[TERM_TEXT], speed[TERM_TEXT], disk[TERM_TEXT], time[TERM_TEXT];
    cli_print(r->c, MSG_READ_DONE, "%s" ARG "%s" ARG "%s" ARG "%s" ARG "%s" ARG "%s" ARG "%lld", name, term_count(chars, x->characters),
              term_count(tokens, x->tokens), term_seconds(time, x->seconds), term_count(speed, (int64_t)rate), term_bytes(disk, x->bytes),
              (long long)(cpu_memory_peak() >> 20));
}

/* The name of the folder, or of the file without its ending; of several, the first one's. */
static void default_name(const document *doc, char *out, size_t size)
{
    const char *name = document_name(doc), *folder_end = strchr(name, '/'), *dot = strrchr(name, '.');
    const char *end = folder_end ? folder_end : dot && dot != name ? dot : name + strlen(name);
    int n = (int)(end - name);
    snprintf(out, size, "%.*s", n, name);
}

typedef struct wanted {
    const char *model;
    engine_options engine;
    read_options read;
    char name[SHELF_NAME_MAX + 1];
    shelf_info kept; /* of the entry that is gone on with */
} wanted;

/* The documents of an entry that was begun, and how it was begun. */
static cj_err open_kept(reader *r, wanted *w, cj_diag *d)
{
    shelf_entry *e = NULL;
    TRY(shelf_read_unfinished(r->shelf, &e, r->resume, d));
    w->read.name = r->resume;
    w->kept = *shelf_entry_info(e);
    w->model = w->kept.model_name;
    session_mode_read(w->kept.mode, &w->engine, &w->read.keep);
    cj_err err = book_load(&r->kept, e, d);
    shelf_entry_close(&e);
    return err;
}

static cj_err open_text(reader *r, wanted *w, cj_diag *d)
{
    if (r->resume) return open_kept(r, w, d);
    TRY(documents_open(&r->docs, r->c, r->c->argc, d));
    if (w->read.name) return CJ_OK;
    default_name(r->docs.docs[0], w->name, sizeof w->name);
    w->read.name = w->name;
    return CJ_OK;
}

static cj_err open_all(reader *r, wanted *w, cj_diag *d)
{
    TRY(shelf_open(&r->shelf, NULL, d));
    cj_err e = open_text(r, w, d);
    r->name = w->read.name;
    if (!e) e = named_open(&r->model, w->model, r->resume ? w->kept.model_path : NULL, &w->engine, d);
    w->read.model_name = r->model.name;
    return e;
}

/* The log is of many days and entries. */
static void log_place(const reader *r)
{
    struct tm t;
    clock_calendar(&t);
    fprintf(stderr, "%04d-%02d-%02d %02d:%02d:%02d %s: ", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, r->name);
}

static int read_now(reader *r, wanted *w)
{
    cj_diag d = {0};
    cli_progress_begin(&r->progress, r->c, MSG_READING);
    r->progress.form = MSG_READING_TOKENS;
    r->progress.more = say_more;
    r->progress.arg = r;
    cj_err e = open_all(r, w, &d);
    document *const *docs = r->resume ? r->kept.docs : r->docs.docs;
    if (!e) e = read_documents(r->model.engine, r->shelf, docs, r->resume ? r->kept.n_docs : r->docs.n, &w->read, &r->result, &d);
    cli_progress_end(&r->progress);
    if (!e) print_result(r, w->read.name);
    if (!e && r->settling) cli_say(r->c, MSG_READ_COMPLETE, "%s", w->read.name);
    named_close(&r->model);
    book_deinit(&r->kept);
    shelf_close(&r->shelf);
    document_set_close(&r->docs);
    if (e && r->logged) log_place(r);
    return e ? cli_fail(r->c, &d) : EXIT_DONE;
}

/* In a process of its own. Here its beginning is waited for, so that what cannot be read is told at once. */
static int read_in_background(reader *r, wanted *w)
{
    enum { SPARE_ONE_OF = 4 };
    background b;
    cj_diag d = {0};
    if (background_begin(&b, &d)) return cli_fail(r->c, &d);
    if (b.pid) return reading_await(r->c, &b);
    r->c->terminal = false;
    r->settling = &b;
    if (!r->c->threads && cpu_get()->cores >= SPARE_ONE_OF) w->engine.threads = cpu_get()->cores - 1;
    return read_now(r, w);
}

int cmd_read(cli *c)
{
    reader r = {.c = c};
    bool exact = false, fast = false, in_background = false;
    const char *pause = NULL;
    wanted w = {.read = {.on_progress = on_progress, .on_choice = on_choice, .arg = &r}};
    read_options *opt = &w.read;
    const cli_option options[] = {
        {"as", 0, CLI_TEXT, &opt->name, "NAME", MSG_OPT_AS},
        {"exact", 0, CLI_FLAG, &exact, NULL, MSG_OPT_READ_EXACT},
        {"fast", 0, CLI_FLAG, &fast, NULL, MSG_OPT_READ_FAST},
        {"keep", 0, CLI_INT, &opt->keep, "N", MSG_OPT_KEEP},
        {"background", 'b', CLI_FLAG, &in_background, NULL, MSG_OPT_BACKGROUND},
        {"pause", 0, CLI_TEXT, &pause, "NAME", MSG_OPT_PAUSE},
        {"resume", 0, CLI_TEXT, &r.resume, "NAME", MSG_OPT_RESUME},
        {"model", 'm', CLI_TEXT, &w.model, "MODEL", MSG_OPT_MODEL},
    };
    const cli_help help = {"FILE... | --pause NAME | --resume NAME", MSG_CMD_READ_ABOUT,
                           "read book.txt\nread contract.pdf annex.docx --as contract\nread papers/ --as papers --background\nread --pause papers\nread --resume papers", 0,
                           BOOK_DOCUMENTS_MAX};
    int code = cli_parse(c, &help, options, sizeof options / sizeof *options);
    if (code) return code;
    const bool files = !pause && !r.resume;
    if (files && !c->argc) return cli_usage(c, MSG_CLI_TOO_FEW, "juan read FILE...");
    if (!files && c->argc) return cli_usage(c, MSG_CLI_TOO_MANY, c->argv[0]);
    if (!files && (exact || fast || opt->keep || opt->name || w.model)) return cli_usage(c, MSG_READ_AS_BEGUN, r.resume ? "--resume" : "--pause");
    if ((exact && (fast || opt->keep)) || opt->keep < 0 || opt->keep > INT32_MAX) return cli_usage(c, MSG_CLI_BAD_VALUE, exact ? "--exact" : "--keep");
    if (pause) return reading_pause(c, pause);
    if (!exact && !opt->keep) opt->keep = fast ? ENGINE_KEEP : READ_CHOOSE;
    code = cli_engine_options(c, &w.engine);
    if (code) return code;
    if (!c->kv && !c->exact_math) w.engine.kv = KV_Q8;
    if (r.resume && !reading_can_resume(c, r.resume, &code)) return code;
    return in_background || r.resume ? read_in_background(&r, &w) : read_now(&r, &w);
}

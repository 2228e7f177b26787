/* juan pull: brings a model of the catalogue to this machine, or says which one suits it. */
#include <string.h>

#include "app/catalogue_view.h"
#include "app/commands.h"
#include "app/term.h"
#include "base/clock.h"

typedef struct pull_view {
    const cli *cli;
    cli_progress progress;
    hub_phase phase;
    bool begun;
    size_t sources; /* that may still be tried; the failure of the last is the command's */
} pull_view;

static msg_id label_of(hub_phase p)
{
    return p == HUB_CHECKING ? MSG_PULL_CHECKING : p == HUB_UNPACKING ? MSG_PULL_UNPACKING : MSG_PULL_DOWNLOADING;
}

static void say_why(const pull_view *v, const hub_progress *p)
{
    char why[2048] = "";
    if (p->why) cj_diag_text(p->why, v->cli->lang, why, sizeof why);
    if (p->phase == HUB_WAITING) cli_say(v->cli, MSG_PULL_WAITING, "%s" ARG "%.0f", why, p->wait_seconds);
    else if (v->sources) cli_say(v->cli, MSG_PULL_SOURCE_FAILED, "%s" ARG "%s", p->source ? p->source : "", why);
}

static bool on_progress(void *user, const hub_progress *p)
{
    pull_view *v = user;
    bool changed = !v->begun || p->phase != v->phase;
    if (changed) {
        if (p->phase == HUB_SOURCE_FAILED && v->sources) v->sources--;
        cli_progress_end(&v->progress);
        cli_progress_begin(&v->progress, v->cli, label_of(p->phase));
        v->progress.bytes = true;
        if (p->phase == HUB_WAITING || p->phase == HUB_SOURCE_FAILED) say_why(v, p);
        else if (p->phase == HUB_DOWNLOADING && p->source) cli_say(v->cli, MSG_PULL_FROM, "%s", p->source);
    }
    v->begun = true;
    v->phase = p->phase;
    if (p->phase == HUB_WAITING || p->phase == HUB_SOURCE_FAILED || p->phase == HUB_DONE) return !cli_interrupted();
    return cli_progress_step(&v->progress, p->bytes, p->total);
}

/* What is about to be fetched, and under which licence. */
static void announce(const cli *c, const hub_model *m)
{
    char size[TERM_TEXT];
    int64_t bytes = hub_model_size(m);
    cli_say(c, MSG_PULL_WHAT, "%s" ARG "%s" ARG "%s", m->title, m->vendor, bytes >= 0 ? term_bytes(size, bytes) : "?");
    cli_say(c, MSG_PULL_LICENCE, "%s" ARG "%s", m->licence, m->licence_url);
}

static int report(const cli *c, const hub *h, const hub_model *m, double seconds)
{
    char *path = NULL, size[TERM_TEXT], time[TERM_TEXT];
    cj_diag d = {0};
    hub_status s = view_status(h, m->name);
    if (hub_model_path(h, m->name, &path, &d)) return cli_fail(c, &d);
    if (c->json) {
        json_object *o = view_json(h, m);
        json_object_object_add(o, "path", json_object_new_string(path));
        json_object_object_add(o, "seconds", cli_json_number(seconds));
        cli_json(o);
    } else {
        cli_print(c, MSG_PULL_DONE, "%s" ARG "%s" ARG "%s" ARG "%s", m->name, term_bytes(size, s.bytes), term_seconds(time, seconds), path);
        cli_print(c, s.verified ? MSG_PULL_VERIFIED : MSG_PULL_UNVERIFIED, "%s", m->name);
        cli_print(c, m->can & HUB_CHATS ? MSG_PULL_TRY_RUN : MSG_PULL_TRY_ASK, "%s", m->name);
    }
    mem_free(path);
    return EXIT_DONE;
}

static int pull(const cli *c, hub *h, const char *name, bool unverified)
{
    pull_view v = {.cli = c};
    cj_diag d = {0};
    double start = clock_now();
    const hub_model *m = hub_find(h, name);
    if (m) {
        announce(c, m);
        v.sources = m->source_count;
    }
    cj_err e = hub_pull(h, name, &(hub_pull_opts){.unverified = unverified, .progress = on_progress, .user = &v}, &d);
    if (v.begun) cli_progress_end(&v.progress);
    return e ? cli_fail(c, &d) : report(c, h, hub_find(h, name), clock_now() - start);
}

static int recommend(const cli *c, const hub *h)
{
    enum { MOST = 5 };
    const hub_model *best[MOST];
    int64_t memory = cpu_memory_available();
    size_t n = hub_recommend(h, memory, best, MOST);
    char text[TERM_TEXT];
    if (c->json) {
        json_object *o = json_object_new_object(), *list = json_object_new_array();
        for (size_t i = 0; i < n; i++) json_object_array_add(list, view_json(h, best[i]));
        json_object_object_add(o, "memory_available", json_object_new_int64(memory));
        json_object_object_add(o, "recommended", list);
        cli_json(o);
        return EXIT_DONE;
    }
    cli_print(c, n ? MSG_PULL_RECOMMEND : MSG_PULL_NOTHING_FITS, "%s", term_bytes(text, memory));
    putchar('\n');
    view_table(c, h, best, n);
    if (n) {
        putchar('\n');
        cli_print(c, MSG_PULL_HOW, "%s", best[0]->name);
    }
    return EXIT_DONE;
}

int cmd_pull(cli *c)
{
    bool unverified = false;
    const cli_option options[] = {{"unverified", 0, CLI_FLAG, &unverified, NULL, MSG_OPT_UNVERIFIED}};
    const cli_help help = {"[NAME]", MSG_CMD_PULL_ABOUT,
                           "pull\n"
                           "pull {0}", 0, 1};
    int code = cli_parse_plain(c, &help, options, 1);
    if (code) return code;
    hub *h = NULL;
    cj_diag d = {0};
    if (hub_open(&h, NULL, NULL, &d)) return cli_fail(c, &d);
    code = c->argc ? pull(c, h, c->argv[0], unverified) : recommend(c, h);
    hub_close(&h);
    return code;
}

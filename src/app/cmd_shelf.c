/* juan shelf: what was read and is kept. */
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "app/reading.h"
#include "app/term.h"
#include "base/clock.h"
#include "reader/book.h"

typedef struct tending {
    cli *c;
    shelf *shelf;
    const char *as;
    cli_progress progress;
    json_object *list, *others; /* entries, or damage; entries of other versions */
    bool unchecked;             /* there is one whose pages are in another format */
    int64_t entries;
    buf doomed;        /* damage that can be cut off */
    cj_err err;
    cj_diag d;
} tending;

/* ---- entries ---- */

/* A document of an entry, as it was kept with it. */
static cj_err open_document(tending *t, const char *name, int i, document **out, cj_diag *d)
{
    char kind[32];
    buf blob;
    snprintf(kind, sizeof kind, "document.%d", i);
    TRY(shelf_peek(t->shelf, name, kind, &blob, d));
    cj_err e = document_load(out, blob.data, blob.len, name, d);
    buf_deinit(&blob);
    return e;
}

/* Documents that cannot be loaded are left out: the list is for people, and verify says what is wrong. */
static json_object *documents_json(tending *t, const shelf_info *info)
{
    json_object *array = json_object_new_array();
    for (int i = 0; i < info->documents && i < BOOK_DOCUMENTS_MAX; i++) {
        document *doc = NULL;
        if (open_document(t, info->name, i, &doc, NULL)) break;
        json_object *o = json_object_new_object();
        json_object_object_add(o, "file", json_object_new_string(document_name(doc)));
        json_object_object_add(o, "characters", json_object_new_int64(document_chars(doc)));
        json_object_object_add(o, "sha256", json_object_new_string(document_sha256(doc)));
        json_object_array_add(array, o);
        document_close(&doc);
    }
    return array;
}

static json_object *entry_json(tending *t, const shelf_info *i, bool damaged)
{
    json_object *o = json_object_new_object();
    json_object_object_add(o, "name", json_object_new_string(i->name));
    json_object_object_add(o, "damaged", json_object_new_boolean(damaged));
    if (damaged) return o;
    json_object_object_add(o, "other_version", json_object_new_boolean(i->format != 0));
    engine_options how = {0};
    int64_t kept = 0; /* pages that a token looks at; 0: all */
    session_mode_read(i->mode, &how, &kept);
    json_object_object_add(o, "model", json_object_new_string(i->model_name));
    json_object_object_add(o, "model_path", *i->model_path ? json_object_new_string(i->model_path) : NULL);
    json_object_object_add(o, "documents", documents_json(t, i));
    json_object_object_add(o, "tokens", json_object_new_int64(i->tokens));
    json_object_object_add(o, "tokens_total", json_object_new_int64(i->tokens_total));
    json_object_object_add(o, "characters", json_object_new_int64(i->characters));
    json_object_object_add(o, "bytes", json_object_new_int64(i->bytes));
    json_object_object_add(o, "complete", json_object_new_boolean(i->complete));
    json_object_object_add(o, "state", json_object_new_string(reading_state(t->shelf, i)));
    json_object_object_add(o, "mode", json_object_new_string(kept ? "fast" : "exact"));
    json_object_object_add(o, "kv", json_object_new_string(kv_type_name(how.kv)));
    json_object_object_add(o, "created", json_object_new_int64((int64_t)i->created));
    json_object_object_add(o, "changed", json_object_new_int64((int64_t)i->changed));
    return o;
}

static void print_name(const char *name)
{
    fputs(term_style_code(stdout, TERM_BOLD), stdout);
    term_write(stdout, name, strlen(name));
    printf("%s\n  ", term_style_code(stdout, TERM_PLAIN));
}

static void print_entry(const tending *t, const shelf_info *i, bool damaged)
{
    char chars[TERM_TEXT], tokens[TERM_TEXT], bytes[TERM_TEXT], date[TERM_TEXT], part[TERM_TEXT];
    struct tm when;
    print_name(i->name);
    if (damaged) {
        cli_print(t->c, MSG_SHELF_ROW_BAD, "%s", "");
        return;
    }
    clock_calendar_of(i->changed, &when);
    snprintf(date, sizeof date, "%04d-%02d-%02d", (when.tm_year + 1900) % 10000, when.tm_mon + 1, when.tm_mday);
    cli_print(t->c, MSG_SHELF_ROW, "%s" ARG "%s" ARG "%s" ARG "%s" ARG "%s", term_count(chars, i->characters), term_count(tokens, i->tokens_total),
              term_bytes(bytes, i->bytes), i->model_name, date);
    if (i->format) {
        fputs("  ", stdout);
        cli_print(t->c, MSG_SHELF_ROW_OTHER, "%s", i->name);
    }
    if (i->complete || i->format) return;
    const char state = *reading_state(t->shelf, i);
    snprintf(part, sizeof part, "%d", (int)(100 * i->tokens / i->tokens_total));
    fputs("  ", stdout);
    cli_print(t->c, state == 'r' ? MSG_SHELF_ROW_READING : state == 'p' ? MSG_SHELF_ROW_PAUSED : MSG_SHELF_ROW_PART, "%s" ARG "%s", part, i->name);
}

static bool on_entry(void *user, const shelf_info *info, bool damaged)
{
    tending *t = user;
    t->entries++;
    if (t->list) json_object_array_add(t->list, entry_json(t, info, damaged));
    else print_entry(t, info, damaged);
    return !cli_interrupted();
}

static cj_err list(tending *t)
{
    if (t->c->json) t->list = json_object_new_array();
    TRY(shelf_each(t->shelf, on_entry, t, &t->d));
    if (t->c->json) {
        json_object *o = json_object_new_object();
        json_object_object_add(o, "entries", t->list);
        t->list = NULL;
        cli_json(o);
    } else if (!t->entries)
        cli_print(t->c, MSG_SHELF_EMPTY, "%s", "");
    return CJ_OK;
}

static cj_err print_documents(tending *t, const shelf_info *info)
{
    for (int i = 0; i < info->documents && i < BOOK_DOCUMENTS_MAX; i++) {
        document *doc = NULL;
        char chars[TERM_TEXT];
        TRY(open_document(t, info->name, i, &doc, &t->d));
        cli_print(t->c, MSG_SHELF_DOCUMENT, "%s" ARG "%s" ARG "%s", document_name(doc), term_count(chars, document_chars(doc)), document_sha256(doc));
        document_close(&doc);
    }
    return CJ_OK;
}

/* An entry, and beside a complete one the longer version that is being read. */
static json_object *named_json(tending *t, const shelf_named *l)
{
    shelf_info bad = {0};
    snprintf(bad.name, sizeof bad.name, "%s", t->c->argv[1]);
    if (!l->is_complete && !l->is_unfinished) return l->is_other ? entry_json(t, &l->other, false) : entry_json(t, &bad, true);
    json_object *o = entry_json(t, l->is_complete ? &l->complete : &l->unfinished, false);
    if (l->is_complete && l->is_unfinished) json_object_object_add(o, "unfinished", entry_json(t, &l->unfinished, false));
    return o;
}

static cj_err show(tending *t)
{
    shelf_named l;
    const char *name = t->c->argv[1];
    TRY(shelf_find(t->shelf, name, &l, &t->d));
    if (t->c->json) {
        cli_json(named_json(t, &l));
        return CJ_OK;
    }
    const shelf_info *info = l.is_complete ? &l.complete : l.is_unfinished ? &l.unfinished : NULL;
    if (info) {
        print_entry(t, info, false);
        if (*info->model_path) cli_print(t->c, MSG_SHELF_MODEL_PATH, "%s", info->model_path);
        TRY(print_documents(t, info));
    }
    if (info == &l.complete && l.is_unfinished) print_entry(t, &l.unfinished, false);
    if (l.is_other) print_entry(t, &l.other, false);
    if (l.is_damaged) {
        print_name(name);
        cli_print(t->c, MSG_SHELF_ROW_BAD, "%s", "");
    }
    return CJ_OK;
}

/* ---- rm, gc ---- */

static cj_err print_freed(const tending *t, msg_id id, const char *name, int64_t freed)
{
    char size[TERM_TEXT];
    if (t->c->json) {
        json_object *o = json_object_new_object();
        if (name) json_object_object_add(o, "name", json_object_new_string(name));
        json_object_object_add(o, "bytes", json_object_new_int64(freed));
        cli_json(o);
    } else if (name)
        cli_print(t->c, id, "%s" ARG "%s", name, term_bytes(size, freed));
    else
        cli_print(t->c, id, "%s", term_bytes(size, freed));
    return CJ_OK;
}

static cj_err rm(tending *t)
{
    int64_t freed = 0;
    TRY(shelf_rm(t->shelf, t->c->argv[1], &freed, &t->d));
    return print_freed(t, MSG_SHELF_RM_DONE, t->c->argv[1], freed);
}

static cj_err gc(tending *t)
{
    int64_t freed = 0;
    TRY(shelf_gc(t->shelf, &freed, &t->d));
    return print_freed(t, MSG_SHELF_GC_DONE, NULL, freed);
}

/* ---- verify ---- */

typedef struct doomed {
    int64_t entry, position;
} doomed;

static bool on_progress(void *user, int64_t done, int64_t total)
{
    tending *t = user;
    return cli_progress_step(&t->progress, done, total);
}

static json_object *damage_json(const shelf_damage *w)
{
    static const char *const kinds[] = {"index", "row", "blob", "segment", "page"};
    json_object *o = json_object_new_object();
    json_object_object_add(o, "name", json_object_new_string(w->name));
    json_object_object_add(o, "kind", json_object_new_string(kinds[w->kind]));
    json_object_object_add(o, "what", json_object_new_string(w->what));
    json_object_object_add(o, "position", w->position >= 0 ? json_object_new_int64(w->position) : NULL);
    if (w->kind == SHELF_DAMAGED_PAGE) {
        json_object_object_add(o, "layer", json_object_new_int(w->layer));
        json_object_object_add(o, "page", json_object_new_int64(w->page));
    }
    return o;
}

static void on_damage(void *user, const shelf_damage *w)
{
    tending *t = user;
    doomed x = {w->entry, w->position};
    if (x.position >= 0 && !t->err) t->err = buf_append(&t->doomed, &x, sizeof x, &t->d);
    if (t->list) json_object_array_add(t->list, damage_json(w));
    else if (w->kind == SHELF_DAMAGED_INDEX) cli_print(t->c, MSG_SHELF_DAMAGE_INDEX, "%s", w->what);
    else if (w->kind == SHELF_DAMAGED_PAGE) cli_print(t->c, MSG_SHELF_DAMAGE_PAGE, "%s" ARG "%lld" ARG "%d" ARG "%s", w->name, (long long)w->page, w->layer, w->what);
    else cli_print(t->c, MSG_SHELF_DAMAGE_PART, "%s" ARG "%s", w->name, w->what);
}

/* Pages of another version are no damage, but it is said what can be done with them. */
static void on_verified(void *user, const shelf_info *info)
{
    tending *t = user;
    if (!info->format && !session_mode_other(info->mode)) return;
    t->unchecked = t->unchecked || info->format;
    if (t->others) {
        json_object *o = json_object_new_object();
        json_object_object_add(o, "name", json_object_new_string(info->name));
        json_object_object_add(o, "checked", json_object_new_boolean(!info->format));
        json_object_array_add(t->others, o);
    } else
        cli_print(t->c, info->format ? MSG_SHELF_VERIFY_FORMAT : MSG_SHELF_VERIFY_SPARSE, "%s", info->name);
}

/* From the last to the first: an entry ends at its first damage, and what lies behind is kept for the repair. */
static void drop_damaged(tending *t)
{
    const doomed *x = (const doomed *)(const void *)t->doomed.data;
    cj_diag d = {0};
    for (size_t n = t->doomed.len / sizeof *x; n-- > 0;)
        if (shelf_forget(t->shelf, x[n].entry, x[n].position, &d)) {
            cli_say(t->c, MSG_SHELF_DAMAGE_KEPT, "%s", "");
            (void)cli_fail(t->c, &d);
            return;
        }
}

static cj_err verify(tending *t)
{
    int64_t damages = 0;
    const shelf_watch watch = {t, on_progress, on_damage, on_verified};
    buf_init(&t->doomed, (size_t)1 << 28);
    if (t->c->json) t->list = json_object_new_array(), t->others = json_object_new_array();
    cli_progress_begin(&t->progress, t->c, MSG_SHELF_VERIFYING);
    t->progress.bytes = true;
    cj_err e = shelf_verify(t->shelf, t->c->argc > 1 ? t->c->argv[1] : NULL, &watch, &damages, &t->d);
    cli_progress_end(&t->progress);
    drop_damaged(t);
    TRY(e ? e : t->err);
    if (t->c->json) {
        json_object *o = json_object_new_object();
        json_object_object_add(o, "damaged", t->list);
        json_object_object_add(o, "other_versions", t->others);
        t->list = t->others = NULL;
        cli_json(o);
    } else if (!damages)
        cli_print(t->c, t->unchecked ? MSG_SHELF_SOUND_REST : MSG_SHELF_SOUND, "%s", "");
    return damages ? diag_fail(&t->d, CJ_E_INPUT, MSG_SHELF_DAMAGE_COUNT, "%lld", (long long)damages) : CJ_OK;
}

/* ---- export, import ---- */

static cj_err export(tending *t)
{
    const char *name = t->c->argv[1], *path = t->c->argv[2];
    shelf_watch watch = {.user = t, .progress = on_progress};
    char size[TERM_TEXT];
    cli_progress_begin(&t->progress, t->c, MSG_SHELF_EXPORTING);
    t->progress.bytes = true;
    cj_err e = shelf_export(t->shelf, name, path, &watch, &t->d);
    cli_progress_end(&t->progress);
    TRY(e);
    if (t->c->json) {
        json_object *o = json_object_new_object();
        json_object_object_add(o, "name", json_object_new_string(name));
        json_object_object_add(o, "file", json_object_new_string(path));
        json_object_object_add(o, "bytes", json_object_new_int64(file_size(path)));
        cli_json(o);
    } else
        cli_print(t->c, MSG_SHELF_EXPORT_DONE, "%s" ARG "%s" ARG "%s", name, path, term_bytes(size, file_size(path)));
    return CJ_OK;
}

static cj_err import(tending *t)
{
    char name[SHELF_NAME_MAX + 1];
    shelf_watch watch = {.user = t, .progress = on_progress};
    shelf_named l;
    cli_progress_begin(&t->progress, t->c, MSG_SHELF_IMPORTING);
    t->progress.bytes = true;
    cj_err e = shelf_import(t->shelf, t->c->argv[1], t->as, &watch, name, &t->d);
    cli_progress_end(&t->progress);
    TRY(e);
    if (t->c->json) {
        TRY(shelf_find(t->shelf, name, &l, &t->d));
        cli_json(entry_json(t, &l.complete, !l.is_complete));
    } else
        cli_print(t->c, MSG_SHELF_IMPORT_DONE, "%s", name);
    return CJ_OK;
}

/* ---- */

static const struct {
    const char *name, *form;
    int least, most; /* arguments after the name */
    cj_err (*run)(tending *t);
} tasks[] = {
    {"list", "juan shelf list", 0, 0, list},
    {"show", "juan shelf show NAME", 1, 1, show},
    {"rm", "juan shelf rm NAME", 1, 1, rm},
    {"verify", "juan shelf verify [NAME]", 0, 1, verify},
    {"export", "juan shelf export NAME FILE", 2, 2, export},
    {"import", "juan shelf import FILE [--as NAME]", 1, 1, import},
    {"gc", "juan shelf gc", 0, 0, gc},
};
enum { TASKS = sizeof tasks / sizeof *tasks };

static int choose(const cli *c)
{
    if (!c->argc) return 0;
    for (int i = 0; i < TASKS; i++)
        if (!strcmp(c->argv[0], tasks[i].name)) return i;
    return -1;
}

int cmd_shelf(cli *c)
{
    tending t = {.c = c};
    const cli_option options[] = {{"as", 0, CLI_TEXT, &t.as, "NAME", MSG_OPT_SHELF_AS}};
    const cli_help help = {"[list|show NAME|rm NAME|verify [NAME]|export NAME FILE|import FILE|gc]", MSG_CMD_SHELF_ABOUT,
                           "shelf\n"
                           "shelf show contract --json\n"
                           "shelf verify\n"
                           "shelf export contract contract.juan\n"
                           "shelf import contract.juan --as contract-2",
                           0, 3};
    int code = cli_parse_plain(c, &help, options, 1);
    if (code) return code;
    int task = choose(c);
    int given = c->argc ? c->argc - 1 : 0;
    if (task < 0) return cli_usage(c, MSG_SHELF_UNKNOWN, c->argv[0]);
    if (given < tasks[task].least) return cli_usage(c, MSG_CLI_TOO_FEW, tasks[task].form);
    if (given > tasks[task].most) return cli_usage(c, MSG_CLI_TOO_MANY, c->argv[1 + tasks[task].most]);
    cj_err e = shelf_open(&t.shelf, NULL, &t.d);
    if (!e) e = tasks[task].run(&t);
    if (t.list) json_object_put(t.list);
    if (t.others) json_object_put(t.others);
    buf_deinit(&t.doomed);
    shelf_close(&t.shelf);
    return e ? cli_fail(c, &t.d) : EXIT_DONE;
}

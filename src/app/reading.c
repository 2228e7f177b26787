/* Reading that goes on elsewhere. Nothing is kept about it but what the shelf knows: who writes an entry holds its lock, and the wish to pause is a
 * mark beside that. So nothing has to be cleared up after a crash or a restart. */
#include "app/reading.h"

#include <stdio.h>

#include "base/clock.h"

const char *reading_state(shelf *s, const shelf_info *info)
{
    if (info->complete) return "complete";
    if (shelf_is_written(s, info->name)) return "reading";
    return shelf_is_paused(s, info->name) ? "paused" : "interrupted";
}

static int percent(const shelf_info *i) { return (int)(100 * i->tokens / i->tokens_total); }

/* Those that cannot be used aside. */
static cj_err find(shelf *s, const char *name, shelf_named *l, cj_diag *d)
{
    TRY(shelf_find(s, name, l, d));
    return l->is_complete || l->is_unfinished ? CJ_OK : shelf_unusable(name, l->other.format, d);
}

static void tell(const cli *c, shelf *s, const shelf_named *l, msg_id id)
{
    const shelf_info *i = l->is_unfinished ? &l->unfinished : &l->complete;
    if (!c->json) {
        cli_print(c, l->is_unfinished ? id : MSG_READ_COMPLETE, "%s" ARG "%d", i->name, percent(i));
        return;
    }
    json_object *o = json_object_new_object();
    json_object_object_add(o, "name", json_object_new_string(i->name));
    json_object_object_add(o, "state", json_object_new_string(reading_state(s, i)));
    json_object_object_add(o, "tokens", json_object_new_int64(i->tokens));
    json_object_object_add(o, "tokens_total", json_object_new_int64(i->tokens_total));
    cli_json(o);
}

/* The wish stays where nobody reads now, too: the entry then counts as paused. */
static cj_err pause_entry(const cli *c, shelf *s, const char *name, cj_diag *d)
{
    const double patience = 30, start = clock_now();
    shelf_named l;
    TRY(find(s, name, &l, d));
    TRY(shelf_pause(s, name, d));
    while (shelf_is_written(s, name)) {
        if (cli_interrupted()) return diag_fail(d, CJ_E_CANCELLED, MSG_CANCELLED, "%s", "");
        if (clock_now() - start > patience) return diag_fail(d, CJ_E_IO, MSG_READ_PAUSE_LATE, "%s", name);
        clock_sleep(0.05);
    }
    TRY(find(s, name, &l, d));
    if (!l.is_unfinished) shelf_unpause(s, name);
    tell(c, s, &l, MSG_READ_PAUSED);
    return CJ_OK;
}

int reading_pause(const cli *c, const char *name)
{
    shelf *s = NULL;
    cj_diag d = {0};
    cj_err e = shelf_open(&s, NULL, &d);
    if (!e) e = pause_entry(c, s, name, &d);
    shelf_close(&s);
    return e ? cli_fail(c, &d) : EXIT_DONE;
}

bool reading_can_resume(const cli *c, const char *name, int *code)
{
    shelf *s = NULL;
    cj_diag d = {0};
    shelf_named l = {0};
    cj_err e = shelf_open(&s, NULL, &d);
    if (!e) e = find(s, name, &l, &d);
    bool can = !e && l.is_unfinished && !shelf_is_written(s, name);
    if (!e && !can) tell(c, s, &l, MSG_READ_ALREADY);
    shelf_close(&s);
    *code = e ? cli_fail(c, &d) : EXIT_DONE;
    return can;
}

static void hand_on(const char *text, size_t n) { fwrite(text, 1, n, stderr); }

int reading_await(const cli *c, background *b)
{
    char name[BACKGROUND_WORD_MAX];
    int status = EXIT_DONE;
    bool reads = background_await(b, hand_on, name, &status);
    if (!reads && status) return cli_interrupted() ? EXIT_INTERRUPTED : status;
    if (c->json) {
        json_object *o = json_object_new_object();
        json_object_object_add(o, "name", reads ? json_object_new_string(name) : NULL);
        json_object_object_add(o, "process", reads ? json_object_new_int(b->pid) : NULL);
        json_object_object_add(o, "background", json_object_new_boolean(reads));
        cli_json(o);
    } else if (reads)
        cli_print(c, MSG_READ_IN_BACKGROUND, "%s" ARG "%d", name, b->pid);
    return EXIT_DONE;
}

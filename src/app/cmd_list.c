/* juan list: the models of the catalogue, and which are here. */
#include <string.h>

#include "app/catalogue_view.h"
#include "app/commands.h"

/* Fills out [hub_count]: those that are here first, each group in the catalogue's order. */
static size_t choose(const hub *h, bool all, const hub_model **out)
{
    size_t n = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < hub_count(h); i++) {
            const hub_model *m = hub_at(h, i);
            bool here = view_status(h, m->name).state != HUB_ABSENT;
            if (here == (pass == 0) && (here || all || m->ready)) out[n++] = m;
        }
    return n;
}

static int list(const cli *c, const hub *h, bool all)
{
    const hub_model **models = mem_array(hub_count(h) + 1, sizeof *models);
    cj_diag d = {0};
    if (!models) {
        cj_err e = diag_nomem(&d, hub_count(h) * sizeof *models);
        return e ? cli_fail(c, &d) : EXIT_FAILED;
    }
    size_t n = choose(h, all, models);
    if (c->json) {
        json_object *o = json_object_new_object(), *array = json_object_new_array();
        for (size_t i = 0; i < n; i++) json_object_array_add(array, view_json(h, models[i]));
        json_object_object_add(o, "models", array);
        json_object_object_add(o, "default", hub_default(h) ? json_object_new_string(hub_default(h)) : NULL);
        cli_json(o);
    } else {
        view_table(c, h, models, n);
        cli_print(c, all ? MSG_LIST_FOOT_ALL : MSG_LIST_FOOT, "%s", "");
    }
    mem_free(models);
    return EXIT_DONE;
}

int cmd_list(cli *c)
{
    bool all = false;
    const cli_option options[] = {{"all", 'a', CLI_FLAG, &all, NULL, MSG_OPT_LIST_ALL}};
    const cli_help help = {"[--all]", MSG_CMD_LIST_ABOUT,
                           "list\n"
                           "list --all --json", 0, 0};
    int code = cli_parse_plain(c, &help, options, 1);
    if (code) return code;
    hub *h = NULL;
    cj_diag d = {0};
    if (hub_open(&h, NULL, NULL, &d)) return cli_fail(c, &d);
    code = list(c, h, all);
    hub_close(&h);
    return code;
}

/* juan rm: removes a model from this machine. */
#include "app/catalogue_view.h"
#include "app/commands.h"
#include "app/term.h"

int cmd_rm(cli *c)
{
    const cli_help help = {"NAME", MSG_CMD_RM_ABOUT, "rm {0}", 1, 1};
    int code = cli_parse_plain(c, &help, NULL, 0);
    if (code) return code;
    hub *h = NULL;
    cj_diag d = {0};
    if (hub_open(&h, NULL, NULL, &d)) return cli_fail(c, &d);
    hub_status before = view_status(h, c->argv[0]);
    if (hub_remove(h, c->argv[0], &d)) code = cli_fail(c, &d);
    else if (c->json) {
        json_object *o = json_object_new_object();
        json_object_object_add(o, "name", json_object_new_string(c->argv[0]));
        json_object_object_add(o, "bytes", json_object_new_int64(before.bytes));
        cli_json(o);
    } else {
        char size[TERM_TEXT];
        cli_print(c, MSG_RM_DONE, "%s" ARG "%s", c->argv[0], term_bytes(size, before.bytes));
    }
    hub_close(&h);
    return code;
}

/* Models of the catalogue as tables and as JSON. */
#include "app/catalogue_view.h"

#include <string.h>

#include "app/term.h"

static const char *const states[] = {"absent", "partial", "installed", "changed"};
static const msg_id state_texts[] = {MSG_STATE_ABSENT, MSG_STATE_PARTIAL, MSG_STATE_INSTALLED, MSG_STATE_CHANGED};
static const struct { unsigned bit; msg_id text; } abilities[] = {
    {HUB_FINDS, MSG_CAN_FINDS},           {HUB_ANSWERS, MSG_CAN_ANSWERS},       {HUB_CHATS, MSG_CAN_CHATS},
    {HUB_SUMMARISES, MSG_CAN_SUMMARISES}, {HUB_TRANSLATES, MSG_CAN_TRANSLATES}, {HUB_TOOLS, MSG_CAN_TOOLS},
};
enum { ABILITIES = sizeof abilities / sizeof *abilities };

static void add(json_object *o, const char *key, const char *text) { json_object_object_add(o, key, text ? json_object_new_string(text) : NULL); }

hub_status view_status(const hub *h, const char *name)
{
    hub_status s;
    return hub_status_of(h, name, &s, NULL) ? (hub_status){.state = HUB_ABSENT} : s;
}

json_object *view_json(const hub *h, const hub_model *m)
{
    hub_status s = view_status(h, m->name);
    int64_t size = hub_model_size(m);
    json_object *o = json_object_new_object(), *can = json_object_new_array();
    for (int i = 0; i < ABILITIES; i++)
        if (m->can & abilities[i].bit) json_object_array_add(can, json_object_new_string(hub_ability_name(abilities[i].bit)));
    add(o, "name", m->name);
    add(o, "title", m->title);
    add(o, "vendor", m->vendor);
    add(o, "licence", m->licence);
    add(o, "licence_url", m->licence_url);
    add(o, "languages", m->languages);
    add(o, "note", m->note);
    json_object_object_add(o, "chinese", json_object_new_boolean(m->chinese));
    json_object_object_add(o, "ready", json_object_new_boolean(m->ready));
    json_object_object_add(o, "can", can);
    json_object_object_add(o, "context", json_object_new_int64(m->context));
    json_object_object_add(o, "memory", json_object_new_int64(m->memory));
    json_object_object_add(o, "size", size >= 0 ? json_object_new_int64(size) : NULL);
    add(o, "state", states[s.state]);
    json_object_object_add(o, "bytes", json_object_new_int64(s.bytes));
    json_object_object_add(o, "verified", json_object_new_boolean(s.verified));
    return o;
}

/* "finds, chats" in the reader's language. */
static void abilities_text(const cli *c, const hub_model *m, char *out, size_t size)
{
    size_t at = 0;
    out[0] = 0;
    for (int i = 0; i < ABILITIES; i++)
        if ((m->can & abilities[i].bit) && at < size)
            at += (size_t)snprintf(out + at, size - at, "%s%s", at ? cli_text(c, MSG_LIST_COMMA) : "", cli_text(c, abilities[i].text));
}

void view_table(const cli *c, const hub *h, const hub_model *const *models, size_t n)
{
    int name_width = 12;
    for (size_t i = 0; i < n; i++)
        if ((int)strlen(models[i]->name) + 2 > name_width) name_width = (int)strlen(models[i]->name) + 2;
    for (size_t i = 0; i < n; i++) {
        const hub_model *m = models[i];
        char size[TERM_TEXT] = "?", can[256];
        hub_status s = view_status(h, m->name);
        bool here = s.state == HUB_INSTALLED;
        fputs(term_style_code(stdout, here ? TERM_GOOD : TERM_PLAIN), stdout);
        printf("%s ", here ? "●" : s.state == HUB_ABSENT ? "○" : "◐");
        term_pad(stdout, m->name, name_width);
        fputs(term_style_code(stdout, TERM_PLAIN), stdout);
        if (hub_model_size(m) >= 0) term_bytes(size, hub_model_size(m));
        term_pad(stdout, size, 10);
        term_pad(stdout, cli_text(c, m->ready ? state_texts[s.state] : MSG_STATE_LATER), 12);
        abilities_text(c, m, can, sizeof can);
        printf("%s\n", can);
        fputs(term_style_code(stdout, TERM_DIM), stdout);
        printf("  %s · %s · %s", m->title, m->vendor, m->licence);
        printf("%s\n", term_style_code(stdout, TERM_PLAIN));
    }
}

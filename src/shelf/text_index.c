/* The text index over SQLite's FTS5.
 *
 * Tables: `text`, contentless FTS5 with the tokenizer below, row i the passage i; `passage`, where each lies; and views of FTS5's
 * own lists of words (fts5vocab) in the temporary schema. A question is answered from those lists, piece by piece, the rare ones
 * first, and scored here, because FTS5's own ranking cannot weigh pieces and looks at every row with a common character.
 */
#include "shelf/text_index.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/grow.h"
#include "shelf/text_pieces.h"

enum {
    FORMAT = 1,               /* PRAGMA user_version */
    PLACES_MAX = 1 << 18,     /* of all pieces of a question that are looked at: the rarest pieces first, at least one */
    PROGRESS_EVERY = 4096,
    STEPS_MAX = 200 * 1000 * 1000, /* of SQLite's machine for one call: a damaged file cannot keep it busy for ever */
    STEPS_EVERY = 100 * 1000,
};

/* What a piece of a question that only asks counts, what a passage's neighbours add, and how a long passage is held back:
 * docs/finding.md has the figures. */
static const float ASKING = 0.2f, NEIGHBOUR = 0.1f, LENGTH = 0.05f;

static const char create_text[] = "CREATE VIRTUAL TABLE text USING fts5(body, content='', columnsize=0, tokenize='juan_pieces')";
static const char create_passage[] = "CREATE TABLE passage(id INTEGER PRIMARY KEY, byte INTEGER, end INTEGER)";

struct text_index {
    sqlite3 *db;
    sqlite3_stmt *count, *places; /* fts5vocab: rows with a piece; each place of it, by row */
    text_range *passages;         /* [n] */
    int64_t n, steps;
    double mean_bytes;
    float *own;                   /* [n], all zero between calls */
    int64_t *touched;             /* [n] */
    char *path;
};

/* ---- SQLite ---- */

static cj_err fail(int rc, const char *path, sqlite3 *db, cj_diag *d)
{
    switch (rc & 0xFF) {
    case SQLITE_NOMEM: return diag_nomem(d, 0);
    case SQLITE_FULL: return diag_errno(d, ENOSPC, path);
    case SQLITE_PERM: case SQLITE_READONLY: return diag_errno(d, EACCES, path);
    case SQLITE_CANTOPEN: case SQLITE_IOERR: return diag_errno(d, db && sqlite3_system_errno(db) ? sqlite3_system_errno(db) : EIO, path);
    default: return diag_fail(d, CJ_E_INPUT, MSG_TEXT_INDEX_DAMAGED, "%s" ARG "%s", path, sqlite3_errstr(rc));
    }
}

static cj_err run(sqlite3 *db, const char *sql, const char *path, cj_diag *d)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return rc ? fail(rc, path, db, d) : CJ_OK;
}

static cj_err prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out, const char *path, cj_diag *d)
{
    int rc = sqlite3_prepare_v2(db, sql, -1, out, NULL);
    return rc ? fail(rc, path, db, d) : CJ_OK;
}

typedef struct token_sink {
    void *arg;
    int (*token)(void *arg, int flags, const char *bytes, int length, int from, int end);
    bool query;
} token_sink;

static int pass_token(void *arg, const text_piece *p)
{
    const token_sink *s = arg;
    if (s->query && p->pair) return SQLITE_OK; /* a phrase is made of characters; the pairs in it would only repeat it */
    return s->token(s->arg, p->pair ? FTS5_TOKEN_COLOCATED : 0, p->bytes, p->length, (int)p->from, (int)p->end);
}

static int tokenize(Fts5Tokenizer *t, void *arg, int flags, const char *text, int n, int (*token)(void *, int, const char *, int, int, int))
{
    (void)t;
    token_sink s = {arg, token, (flags & FTS5_TOKENIZE_QUERY) != 0};
    return text_pieces(text, n > 0 ? (size_t)n : 0, pass_token, &s);
}

/* FTS5 wants a tokenizer to be an object; ours has no state. */
static int tokenizer_create(void *arg, const char **args, int n, Fts5Tokenizer **out)
{
    static char only;
    (void)arg, (void)args, (void)n;
    *out = (Fts5Tokenizer *)&only;
    return SQLITE_OK;
}

static void tokenizer_delete(Fts5Tokenizer *t) { (void)t; }

static cj_err add_tokenizer(sqlite3 *db, const char *path, cj_diag *d)
{
    static fts5_tokenizer ours = {tokenizer_create, tokenizer_delete, tokenize};
    fts5_api *api = NULL;
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(db, "SELECT fts5(?1)", -1, &s, NULL);
    if (!rc) rc = sqlite3_bind_pointer(s, 1, &api, "fts5_api_ptr", NULL);
    if (!rc) (void)sqlite3_step(s);
    int ended = sqlite3_finalize(s);
    if ((rc ? rc : ended) == SQLITE_NOMEM) return diag_nomem(d, 0);
    if (!api) return diag_fail(d, CJ_E_UNSUPPORTED, MSG_TEXT_INDEX_NO_FTS5, "%s", sqlite3_libversion());
    rc = api->xCreateTokenizer(api, "juan_pieces", NULL, &ours, NULL);
    return rc ? fail(rc, path, db, d) : CJ_OK;
}

/* Paths as SQLite wants them in a URI: nothing in a name can become an option. mem_free it. */
static char *uri_of(const char *path, const char *options)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-~";
    static const char hex[] = "0123456789ABCDEF", front[] = "file:";
    size_t n = 0, room = sizeof front + 3 * strlen(path) + strlen(options) + 2;
    char *uri = mem_alloc(room);
    if (!uri) return NULL;
    memcpy(uri, front, n = sizeof front - 1);
    if (path[0] == '/' && path[1] == '/') path++; /* "//x" would be a host */
    for (; *path; path++)
        if (strchr(plain, *path)) uri[n++] = *path;
        else {
            uri[n++] = '%';
            uri[n++] = hex[(unsigned char)*path >> 4];
            uri[n++] = hex[(unsigned char)*path & 15];
        }
    memcpy(uri + n, options, strlen(options) + 1);
    return uri;
}

static cj_err open_database(sqlite3 **db, const char *path, const char *options, int flags, cj_diag *d)
{
    char *uri = uri_of(path, options);
    if (!uri) return diag_nomem(d, strlen(path));
    int rc = sqlite3_open_v2(uri, db, flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
    mem_free(uri);
    if (rc) return fail(rc, path, *db, d);
    return add_tokenizer(*db, path, d);
}

/* ---- building ---- */

typedef struct builder {
    const char *path, *text;
    size_t bytes;
    const text_range *passages;
    int64_t n;
    bool (*on_progress)(void *arg, int64_t done, int64_t total);
    void *arg;
    sqlite3 *db;
    sqlite3_stmt *add, *place;
} builder;

static cj_err check_passages(const builder *b, cj_diag *d)
{
    if (b->n > TEXT_INDEX_PASSAGES_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "passages", TEXT_INDEX_PASSAGES_MAX);
    for (int64_t i = 0; i < b->n; i++) {
        text_range p = b->passages[i];
        if (p.byte > p.end || p.end > b->bytes || (i && p.byte < b->passages[i - 1].end))
            return diag_fail(d, CJ_E_INTERNAL, MSG_INTERNAL, "%s", "passages of an index");
        if (p.end - p.byte > TEXT_INDEX_PASSAGE_BYTES_MAX)
            return diag_fail(d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", "bytes of a passage", TEXT_INDEX_PASSAGE_BYTES_MAX);
    }
    return CJ_OK;
}

static cj_err add_passage(builder *b, int64_t i, cj_diag *d)
{
    text_range p = b->passages[i];
    sqlite3_bind_int64(b->place, 1, i);
    sqlite3_bind_int64(b->place, 2, (int64_t)p.byte);
    sqlite3_bind_int64(b->place, 3, (int64_t)p.end);
    int rc = sqlite3_step(b->place);
    sqlite3_reset(b->place);
    if (rc != SQLITE_DONE) return fail(rc, b->path, b->db, d);
    sqlite3_bind_int64(b->add, 1, i);
    rc = sqlite3_bind_text(b->add, 2, b->text + p.byte, (int)(p.end - p.byte), SQLITE_STATIC);
    if (!rc) rc = sqlite3_step(b->add);
    sqlite3_reset(b->add);
    return rc != SQLITE_DONE ? fail(rc, b->path, b->db, d) : CJ_OK;
}

static cj_err fill(builder *b, cj_diag *d)
{
    /* Nobody else sees the file, and a half-built one is thrown away: no journal. */
    TRY(run(b->db, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-65536; PRAGMA temp_store=MEMORY", b->path, d));
    TRY(run(b->db, create_text, b->path, d));
    TRY(run(b->db, create_passage, b->path, d));
    TRY(run(b->db, "INSERT INTO text(text, rank) VALUES('hashsize', 67108864), ('automerge', 0), ('crisismerge', 64)", b->path, d));
    TRY(run(b->db, "PRAGMA user_version=1; BEGIN", b->path, d));
    TRY(prepare(b->db, "INSERT INTO passage VALUES(?, ?, ?)", &b->place, b->path, d));
    TRY(prepare(b->db, "INSERT INTO text(rowid, body) VALUES(?, ?)", &b->add, b->path, d));
    for (int64_t i = 0; i < b->n; i++) {
        TRY(add_passage(b, i, d));
        if (b->on_progress && (i % PROGRESS_EVERY == 0 || i + 1 == b->n) && !b->on_progress(b->arg, i + 1, b->n))
            return diag_fail(d, CJ_E_CANCELLED, MSG_CANCELLED, "%s", "");
    }
    TRY(run(b->db, "COMMIT", b->path, d));
    return run(b->db, "INSERT INTO text(text) VALUES('optimize')", b->path, d);
}

/* Of the parts beside an index those whose process is gone. */
static bool remove_remains(void *index, const char *path, bool is_dir)
{
    const size_t n = strlen(index);
    char *end = NULL;
    if (is_dir || strncmp(path, index, n) != 0 || path[n] != '.') return true;
    const long process = strtol(path + n + 1, &end, 10);
    if (process > 0 && !strcmp(end, ".part") && kill((pid_t)process, 0) && errno == ESRCH) (void)!folder_remove(path, NULL);
    return true;
}

/* What runs that did not end have left; it only takes room. */
static void clear_remains(char *path)
{
    char *folder = mem_strdup(path), *slash = folder ? strrchr(folder, '/') : NULL;
    if (slash && slash > folder) {
        *slash = 0;
        (void)!folder_each(folder, remove_remains, path, NULL);
    }
    mem_free(folder);
}

static cj_err build(builder *b, const char *part, cj_diag *d)
{
    TRY(folder_remove(part, d)); /* of an earlier process of our number */
    cj_err e = open_database(&b->db, part, "", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, d);
    if (!e) e = fill(b, d);
    sqlite3_finalize(b->add);
    sqlite3_finalize(b->place);
    int rc = sqlite3_close(b->db);
    if (!e && rc) e = fail(rc, part, NULL, d);
    grow_file whole;
    if (!e) e = grow_open(&whole, part, file_size(part), d);
    if (!e) e = grow_finish(&whole, b->path, d);
    if (e) {
        cj_err ignored = folder_remove(part, NULL);
        (void)ignored;
    }
    return e;
}

cj_err text_index_build(const char *path, const char *text, size_t bytes, const text_range *passages, int64_t n,
                        bool (*on_progress)(void *arg, int64_t done, int64_t total), void *arg, cj_diag *d)
{
    builder b = {.path = path, .text = text, .bytes = bytes, .passages = passages, .n = n, .on_progress = on_progress, .arg = arg};
    buf part;
    TRY(check_passages(&b, d));
    buf_init(&part, 1 << 16);
    cj_err e = buf_puts(&part, path, d);
    if (!e) clear_remains(part.data);
    if (!e) e = buf_printf(&part, d, ".%ld.part", (long)getpid()); /* several processes may want the index of one text */
    if (!e) e = build(&b, part.data, d);
    buf_deinit(&part);
    return e;
}

/* ---- opening ---- */

static int count_steps(void *arg)
{
    text_index *ix = arg;
    ix->steps += STEPS_EVERY;
    return ix->steps > STEPS_MAX;
}

/* What a file says must not reach beyond itself: no functions, triggers or views of its own, no other files, no long values. */
static cj_err lock_down(text_index *ix, cj_diag *d)
{
    sqlite3 *db = ix->db;
    int rc = sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (!rc) rc = sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (!rc) rc = sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    if (!rc) rc = sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    if (rc) return fail(rc, ix->path, db, d);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 1 << 26);
    sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, 1 << 16);
    sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_limit(db, SQLITE_LIMIT_VDBE_OP, 1 << 16);
    sqlite3_progress_handler(db, STEPS_EVERY, count_steps, ix);
    return run(db, "PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY", ix->path, d);
}

static bool is_ours(const char *type, const char *name, const char *sql)
{
    static const char *const inner[] = {"text_data", "text_idx", "text_config"}; /* FTS5 writes these; their SQL is SQLite's */
    if (!type || !name || !sql || strcmp(type, "table") != 0) return false;
    if (strcmp(name, "text") == 0) return strcmp(sql, create_text) == 0;
    if (strcmp(name, "passage") == 0) return strcmp(sql, create_passage) == 0;
    for (size_t i = 0; i < sizeof inner / sizeof *inner; i++)
        if (strcmp(name, inner[i]) == 0) return true;
    return false;
}

/* The file holds our tables and nothing else. */
static cj_err check_schema(text_index *ix, cj_diag *d)
{
    sqlite3_stmt *s = NULL;
    int rc, version = -1, tables = 0;
    TRY(prepare(ix->db, "PRAGMA user_version", &s, ix->path, d));
    if (sqlite3_step(s) == SQLITE_ROW) version = sqlite3_column_int(s, 0);
    rc = sqlite3_finalize(s);
    if (rc) return fail(rc, ix->path, ix->db, d);
    if (version != FORMAT) return diag_fail(d, CJ_E_INPUT, MSG_TEXT_INDEX_FOREIGN, "%s", ix->path);
    TRY(prepare(ix->db, "SELECT type, name, sql FROM sqlite_schema", &s, ix->path, d));
    bool ours = true;
    while (ours && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        ours = is_ours((const char *)sqlite3_column_text(s, 0), (const char *)sqlite3_column_text(s, 1), (const char *)sqlite3_column_text(s, 2));
        tables++;
    }
    rc = sqlite3_finalize(s);
    if (rc) return fail(rc, ix->path, ix->db, d);
    return ours && tables == 5 ? CJ_OK : diag_fail(d, CJ_E_INPUT, MSG_TEXT_INDEX_FOREIGN, "%s", ix->path);
}

static cj_err add_range(text_index *ix, sqlite3_stmt *s, size_t bytes, int64_t *room, cj_diag *d)
{
    int64_t id = sqlite3_column_int64(s, 0), byte = sqlite3_column_int64(s, 1), end = sqlite3_column_int64(s, 2);
    int64_t before = ix->n ? (int64_t)ix->passages[ix->n - 1].end : 0;
    if (id != ix->n || byte < before || end < byte || (uint64_t)end > bytes || ix->n == TEXT_INDEX_PASSAGES_MAX)
        return diag_fail(d, CJ_E_INPUT, MSG_TEXT_INDEX_DAMAGED, "%s" ARG "%s", ix->path, "passage");
    if (ix->n == *room) {
        int64_t more = i64_max(1024, 2 * *room);
        text_range *grown = mem_grow(ix->passages, (size_t)*room * sizeof *grown, (size_t)more * sizeof *grown);
        if (!grown) return diag_nomem(d, (size_t)more * sizeof *grown);
        ix->passages = grown;
        *room = more;
    }
    ix->passages[ix->n++] = (text_range){(size_t)byte, (size_t)end};
    ix->mean_bytes += (double)(end - byte);
    return CJ_OK;
}

static cj_err read_passages(text_index *ix, size_t bytes, cj_diag *d)
{
    sqlite3_stmt *s = NULL;
    int64_t room = 0;
    cj_err e = CJ_OK;
    TRY(prepare(ix->db, "SELECT id, byte, end FROM passage ORDER BY id", &s, ix->path, d));
    while (!e && sqlite3_step(s) == SQLITE_ROW) e = add_range(ix, s, bytes, &room, d);
    int rc = sqlite3_finalize(s);
    if (e || rc) return e ? e : fail(rc, ix->path, ix->db, d);
    ix->mean_bytes = ix->n && ix->mean_bytes > 0 ? ix->mean_bytes / (double)ix->n : 1;
    ix->own = mem_array((size_t)ix->n, sizeof *ix->own);
    ix->touched = mem_array((size_t)ix->n, sizeof *ix->touched);
    return ix->own && ix->touched ? CJ_OK : diag_nomem(d, (size_t)ix->n * sizeof *ix->touched);
}

static cj_err open_index(text_index *ix, const char *path, size_t bytes, cj_diag *d)
{
    ix->path = mem_strdup(path);
    if (!ix->path) return diag_nomem(d, strlen(path));
    if (file_is_dir(path)) return diag_errno(d, EISDIR, path);
    /* immutable: no locks, and no journal that lies beside it is played back */
    TRY(open_database(&ix->db, path, "?immutable=1", SQLITE_OPEN_READONLY, d));
    TRY(lock_down(ix, d));
    TRY(check_schema(ix, d));
    TRY(run(ix->db, "CREATE VIRTUAL TABLE temp.counts USING fts5vocab(main, text, row); "
                    "CREATE VIRTUAL TABLE temp.places USING fts5vocab(main, text, instance)", path, d));
    TRY(prepare(ix->db, "SELECT doc FROM temp.counts WHERE term = ?", &ix->count, path, d));
    TRY(prepare(ix->db, "SELECT doc FROM temp.places WHERE term = ?", &ix->places, path, d));
    return read_passages(ix, bytes, d);
}

cj_err text_index_open(text_index **out, const char *path, size_t bytes, cj_diag *d)
{
    text_index *ix = mem_zalloc(sizeof *ix);
    if (!ix) return diag_nomem(d, sizeof *ix);
    cj_err e = open_index(ix, path, bytes, d);
    if (e) text_index_close(&ix);
    else *out = ix;
    return e;
}

void text_index_close(text_index **at)
{
    text_index *ix = *at;
    if (!ix) return;
    sqlite3_finalize(ix->count);
    sqlite3_finalize(ix->places);
    sqlite3_close(ix->db);
    mem_free(ix->passages);
    mem_free(ix->own);
    mem_free(ix->touched);
    mem_free(ix->path);
    mem_free(ix);
    *at = NULL;
}

int64_t text_index_passages(const text_index *ix) { return ix->n; }
text_range text_index_range(const text_index *ix, int64_t passage) { return ix->passages[passage]; }

/* ---- the pieces of a question ---- */

typedef struct piece {
    char bytes[TEXT_PIECE_MAX];
    int length;
    int64_t rows; /* passages that have it */
    float weight;
} piece;

typedef struct piece_list {
    piece *item; /* [TEXT_INDEX_PIECES_MAX] */
    int n;
} piece_list;

static int add_piece(void *arg, const text_piece *p)
{
    piece_list *l = arg;
    if (l->n == TEXT_INDEX_PIECES_MAX) return 1;
    memcpy(l->item[l->n].bytes, p->bytes, (size_t)p->length);
    l->item[l->n++].length = p->length;
    return 0;
}

static int by_bytes(const void *a, const void *b)
{
    const piece *x = a, *y = b;
    int c = memcmp(x->bytes, y->bytes, (size_t)(x->length < y->length ? x->length : y->length));
    return c ? c : x->length - y->length;
}

static int by_rows(const void *a, const void *b)
{
    const piece *x = a, *y = b;
    return x->rows != y->rows ? (x->rows < y->rows ? -1 : 1) : by_bytes(a, b);
}

/* Does the piece ask rather than say what is asked for? */
static bool asks(const piece *p)
{
    static const char words[] =
        " 什么 哪里 哪儿 哪个 哪些 哪位 哪一 哪天 多少 怎么 怎样 如何 为什 几个 谁的 是谁 的是 是什 叫什 了什 么样 时候 何时 何人 何处 请问"
        " 谁 的 是 了 么 什 哪 吗 呢 几 何 怎 吧 啊 在 有 和 与 被 把 他 她 它 们 这 那 个"
        " a an and are as at by did do does for from had has have he her his how in is it its of on or she that the their they this to was were"
        " what when where which who whom whose why with ";
    char padded[TEXT_PIECE_MAX + 3];
    padded[0] = ' ';
    memcpy(padded + 1, p->bytes, (size_t)p->length);
    memcpy(padded + 1 + p->length, " ", 2);
    return strstr(words, padded) != NULL;
}

static cj_err count_rows(text_index *ix, piece *p, cj_diag *d)
{
    p->rows = 0;
    int rc = sqlite3_bind_text(ix->count, 1, p->bytes, p->length, SQLITE_STATIC);
    if (!rc && sqlite3_step(ix->count) == SQLITE_ROW) p->rows = sqlite3_column_int64(ix->count, 0);
    int ended = sqlite3_reset(ix->count);
    rc = rc ? rc : ended;
    p->rows = i64_min(i64_max(p->rows, 0), ix->n);
    double n = (double)ix->n, rows = (double)p->rows;
    p->weight = (float)log(1 + (n - rows + 0.5) / (rows + 0.5)) * (asks(p) ? ASKING : 1);
    return rc ? fail(rc, ix->path, ix->db, d) : CJ_OK;
}

/* Each piece once, the rare ones first. *whole: what all of them weigh. */
static cj_err weigh_pieces(text_index *ix, const char *question, piece_list *l, double *whole, cj_diag *d)
{
    int n = 0;
    text_pieces(question, strlen(question), add_piece, l);
    qsort(l->item, (size_t)l->n, sizeof *l->item, by_bytes);
    for (int i = 0; i < l->n; i++)
        if (!n || by_bytes(&l->item[n - 1], &l->item[i]) != 0) l->item[n++] = l->item[i];
    l->n = n;
    *whole = 0;
    for (int i = 0; i < l->n; i++) {
        TRY(count_rows(ix, &l->item[i], d));
        *whole += (double)l->item[i].weight;
    }
    qsort(l->item, (size_t)l->n, sizeof *l->item, by_rows);
    return CJ_OK;
}

/* ---- scores ---- */

/* Adds a piece's weight to every passage that has it, once. */
static cj_err look_up(text_index *ix, const piece *p, double whole, int64_t *n_touched, cj_diag *d)
{
    int64_t last = -1;
    int rc = sqlite3_bind_text(ix->places, 1, p->bytes, p->length, SQLITE_STATIC);
    while (!rc && sqlite3_step(ix->places) == SQLITE_ROW) {
        int64_t row = sqlite3_column_int64(ix->places, 0);
        if (row == last || row < 0 || row >= ix->n) continue;
        last = row;
        if (ix->own[row] == 0) ix->touched[(*n_touched)++] = row;
        double length = (double)(ix->passages[row].end - ix->passages[row].byte) / ix->mean_bytes;
        ix->own[row] += p->weight / (float)(whole * (1 + (double)LENGTH * length));
    }
    int ended = sqlite3_reset(ix->places);
    rc = rc ? rc : ended;
    return rc ? fail(rc, ix->path, ix->db, d) : CJ_OK;
}

/* Inserts into hits[0..*n), best first. */
static void keep_best(text_hit *hits, int most, int *n, text_hit h)
{
    int at = *n;
    while (at > 0 && (h.score > hits[at - 1].score || (h.score == hits[at - 1].score && h.passage < hits[at - 1].passage))) at--;
    if (at >= most) return;
    if (*n < most) (*n)++;
    memmove(hits + at + 1, hits + at, (size_t)(*n - 1 - at) * sizeof *hits);
    hits[at] = h;
}

static void choose(text_index *ix, int64_t n_touched, text_hit *hits, int most, int *n)
{
    for (int64_t i = 0; i < n_touched; i++) {
        int64_t p = ix->touched[i];
        float left = p > 0 ? ix->own[p - 1] : 0, right = p + 1 < ix->n ? ix->own[p + 1] : 0;
        float score = (ix->own[p] + NEIGHBOUR * (left > right ? left : right)) / (1 + NEIGHBOUR);
        keep_best(hits, most, n, (text_hit){p, ix->passages[p], score});
    }
}

static cj_err find(text_index *ix, const char *question, piece_list *l, text_hit *hits, int most, int *n, cj_diag *d)
{
    double whole;
    int64_t places = 0, n_touched = 0;
    cj_err e = weigh_pieces(ix, question, l, &whole, d);
    for (int i = 0; !e && i < l->n; i++) {
        places += l->item[i].rows;
        if (places > PLACES_MAX && i) break;
        if (l->item[i].rows) e = look_up(ix, &l->item[i], whole, &n_touched, d);
    }
    if (!e) choose(ix, n_touched, hits, most, n);
    for (int64_t i = 0; i < n_touched; i++) ix->own[ix->touched[i]] = 0;
    return e;
}

cj_err text_index_find(text_index *ix, const char *question, text_hit *hits, int most, int *n, cj_diag *d)
{
    piece_list l = {mem_array(TEXT_INDEX_PIECES_MAX, sizeof *l.item), 0};
    *n = 0;
    if (!l.item) return diag_nomem(d, TEXT_INDEX_PIECES_MAX * sizeof *l.item);
    ix->steps = 0;
    cj_err e = most > 0 ? find(ix, question, &l, hits, most, n, d) : CJ_OK;
    mem_free(l.item);
    return e;
}

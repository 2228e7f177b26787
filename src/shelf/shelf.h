/* The shelf: what was read is kept, page by page, and found again by what it says.
 *
 * On disk a shelf is a folder: index.db (SQLite: entries, segments, blobs) and a folder of segment files. A segment holds the keys
 * and values of a stretch of tokens of all layers without a window, the tokens, the summaries of its pages, a checksum of every
 * page and, once it is closed, a checkpoint of the window layers at its end. docs/formats.md has the bytes.
 *
 * Invariants
 *  1. Nothing that was acknowledged is lost: pages are on disk before the index says so, in one transaction. What lies beyond
 *     what the index says is cut off by the next writer.
 *  2. A segment only grows at its end, and only while it is open; an open one belongs to one entry. A closed one may be shared.
 *  3. A segment is known by a chain of hashes (model, layers, mode, every token up to its beginning and its end): two entries, or
 *     two versions of a book, that begin alike share the segments of what they share.
 *  4. Nothing that was read from disk is used before its checksum was compared, pages when they are first used.
 *  5. One process at a time writes an entry (a lock that ends with the process), any number read. Clocks are for people only.
 * A shelf and its entries belong to one thread at a time; two shelves on one folder may be used from two threads or processes.
 */
#ifndef SHELF_SHELF_H
#define SHELF_SHELF_H

#include "context/kv.h"

enum {
    SHELF_SEGMENT = 32768,      /* tokens of a segment at most */
    SHELF_SEGMENT_LEAST = 8192, /* a cut that comes sooner in a segment is left out: a checkpoint has its price */
    SHELF_NAME_MAX = 255,       /* bytes of an entry's name */
    SHELF_KIND_MAX = 63,        /* bytes of a blob's kind */
    SHELF_TOKENS_MAX = 1 << 26,
    SHELF_LAYERS_MAX = 1024,
    SHELF_BLOB_MAX = 1 << 28,   /* bytes */
};

typedef struct shelf shelf;             /* a folder of read documents */
typedef struct shelf_entry shelf_entry; /* one of them, open for reading or writing */

/* Made when it is not there; on a read-only disk opened for reading. NULL: the folder "shelf" of file_home(). */
CJ_NODISCARD cj_err shelf_open(shelf **out, const char *folder, cj_diag *d);
void shelf_close(shelf **s); /* after its entries */

/* What pages depend on. */
typedef struct shelf_key {
    uint64_t model;         /* model_fingerprint */
    uint64_t mode;          /* exact, or how sparse: pages of different modes are not mixed */
    const kv_layer *layers; /* [n_layers] */
    int n_layers;
} shelf_key;

typedef struct shelf_info {
    char name[SHELF_NAME_MAX + 1];
    char model_name[128], model_path[1024]; /* as they were given: for people, and to open the model again */
    uint64_t model, mode;
    int64_t tokens, tokens_total; /* acknowledged; to be read */
    int64_t characters, documents;
    int64_t bytes;                /* on disk, shared segments counted in full */
    double created, changed;      /* seconds since 1970, by the clock of then */
    bool complete;
    uint32_t format;              /* of pages that another version laid out, so that they cannot be used; 0: as KV_LAYOUT_VERSION says */
} shelf_info;

/* What is to be read. */
typedef struct shelf_plan {
    const char *name;
    shelf_key key;
    const char *model_name, *model_path;
    const int32_t *ids; /* [n], the whole timeline; copied */
    int64_t n;
    const int64_t *cuts; /* [n_cuts], ascending: where a segment should end (ends of documents) */
    int n_cuts;
    int64_t characters, documents;
} shelf_plan;

/* Begins or goes on with an entry. One of that name for the same key and tokens goes on where it stopped (a damaged segment is
 * dropped first, and read again); with other tokens a new one is begun, which takes the old one's place when it is finished.
 * Whatever closed segments of any entry have the same beginning are used. CJ_E_IO and MSG_SHELF_BUSY when another process writes it. */
CJ_NODISCARD cj_err shelf_write(shelf *s, shelf_entry **out, const shelf_plan *plan, cj_diag *d);
/* Opens an entry that is there, complete or not (of two the complete one), to read it. */
CJ_NODISCARD cj_err shelf_read(shelf *s, shelf_entry **out, const char *name, cj_diag *d);
/* The same for an entry that is not complete, whether or not there is a complete one of the name: what comes before its first damage. */
CJ_NODISCARD cj_err shelf_read_unfinished(shelf *s, shelf_entry **out, const char *name, cj_diag *d);
void shelf_entry_close(shelf_entry **e); /* after every kv that has its pages */

/* Whether a process is writing entries of this name now. */
bool shelf_is_written(shelf *s, const char *name);
/* The wish that whoever writes entries of this name stops as soon as it can. It stays until somebody takes it back. */
CJ_NODISCARD cj_err shelf_pause(shelf *s, const char *name, cj_diag *d);
void shelf_unpause(shelf *s, const char *name);
bool shelf_is_paused(shelf *s, const char *name);

/* Whether pages of this key are the entry's; else a sentence that names both models. */
CJ_NODISCARD cj_err shelf_entry_fits(const shelf_entry *e, const shelf_key *key, const char *model_name, cj_diag *d);

/* Puts the entry's pages (mapped, not copied) and summaries into kv, which is emptied first, at the latest position not after
 * `most` that has a checkpoint: *count tokens then are held (0: none fits). Pages are checked when they are first used. */
CJ_NODISCARD cj_err shelf_attach(shelf_entry *e, kv_cache *kv, int64_t most, int64_t *count, cj_diag *d);
/* How many tokens that would be, of checkpoints that are in memory. */
int64_t shelf_entry_reach(const shelf_entry *e, int64_t most);
/* Keeps what kv has read beyond what is kept: acknowledged when this returns CJ_OK. kv's own pages are exchanged for mapped ones,
 * so that they need no memory of ours. kv must not stand beyond shelf_entry_next. On failure nothing acknowledged is lost, and
 * it may be tried again. Where the text after a closed segment is kept already (a repair, a shared end), info->tokens is beyond
 * kv's count afterwards: attach again and go on there. */
CJ_NODISCARD cj_err shelf_append(shelf_entry *e, kv_cache *kv, cj_diag *d);
/* The same in two steps: after the first one kv may read on, though not past shelf_entry_next, while a thread waits for the disk; nothing is
 * acknowledged before the second (which does nothing where nothing was begun). An entry that is closed between the two has lost only that. */
CJ_NODISCARD cj_err shelf_append_begin(shelf_entry *e, kv_cache *kv, cj_diag *d);
CJ_NODISCARD cj_err shelf_append_end(shelf_entry *e, kv_cache *kv, cj_diag *d);
/* Where the segment that is being written ends: the next append at the latest. tokens_total when all is read. */
int64_t shelf_entry_next(const shelf_entry *e);
/* Bytes on disk, nearly, that what is still to be read will take. */
int64_t shelf_entry_needs(const shelf_entry *e);
/* All tokens are kept: the entry is complete, and an older one of its name is gone. */
CJ_NODISCARD cj_err shelf_finish(shelf_entry *e, cj_diag *d);
#define SHELF_HANDED_ON "outline." /* blobs of such kinds go to the entry that takes the place of another, unless it has its own */

/* Bytes that belong to an entry: text, byte spans, marks. Kept in the index with a checksum; committed at once; what is there already
 * is not written again. A kind is letters, digits, '-', '_' and '.', not first. CJ_E_NOT_FOUND when there is none, or when the entry itself has been
 * removed meanwhile. out is initialised here. */
CJ_NODISCARD cj_err shelf_put(shelf_entry *e, const char *kind, const void *data, size_t n, cj_diag *d);
CJ_NODISCARD cj_err shelf_get(const shelf_entry *e, const char *kind, buf *out, cj_diag *d);
/* Path of a file of the entry's own (a text index, say) in a folder that is made here and removed with the entry. Such files are
 * not exported. mem_free it. */
CJ_NODISCARD cj_err shelf_entry_file(const shelf_entry *e, const char *kind, char **path, cj_diag *d);

const shelf_info *shelf_entry_info(const shelf_entry *e);
const int32_t *shelf_entry_ids(const shelf_entry *e); /* [tokens_total] */

/* CJ_OK unless a file of the entry was cut short while it was open (mapped_guard): what was computed over its pages since the last time must
 * not be used. The entry is then cut back to there, as by a damaged page. */
CJ_NODISCARD cj_err shelf_entry_sound(shelf_entry *e, cj_diag *d);
/* Has the disk begin to read a layer's pages up to position `end`, the newest `bytes` of them. */
void shelf_entry_ahead(const shelf_entry *e, int layer, int64_t end, int64_t bytes);

/* ---- looking after it ---- */

/* The entries of a name: a complete one, and one that is being read or was interrupted. */
typedef struct shelf_named {
    bool is_complete, is_unfinished, is_other, is_damaged; /* other: of another format; damaged: there is one more of which nothing is known */
    shelf_info complete, unfinished, other;
} shelf_named;
CJ_NODISCARD cj_err shelf_find(shelf *s, const char *name, shelf_named *out, cj_diag *d); /* CJ_E_NOT_FOUND: there is none at all */
/* What is to be said of an entry of another format, or (format 0) of a damaged one. */
CJ_NODISCARD cj_err shelf_unusable(const char *name, uint32_t format, cj_diag *d);
/* Every entry by name, complete ones first; of a damaged one only the name is known. False from visit ends it. */
CJ_NODISCARD cj_err shelf_each(shelf *s, bool (*visit)(void *user, const shelf_info *info, bool damaged), void *user, cj_diag *d);
/* A blob without opening the entry, whose pages may be damaged. Of two entries of a name that of the complete one. */
CJ_NODISCARD cj_err shelf_peek(shelf *s, const char *name, const char *kind, buf *out, cj_diag *d);
/* Takes an entry off the shelf, and what no other needs. */
CJ_NODISCARD cj_err shelf_rm(shelf *s, const char *name, int64_t *freed, cj_diag *d);
typedef enum shelf_damage_kind { SHELF_DAMAGED_INDEX, SHELF_DAMAGED_ROW, SHELF_DAMAGED_BLOB, SHELF_DAMAGED_SEGMENT, SHELF_DAMAGED_PAGE } shelf_damage_kind;

typedef struct shelf_damage {
    shelf_damage_kind kind;
    int64_t entry;        /* for shelf_forget */
    const char *name;     /* of the entry; "" for the index as a whole */
    const char *what;     /* the file, the kind of blob, what SQLite says */
    int64_t position;     /* shelf_forget there; -1: that does not help */
    int layer;            /* of a page */
    int64_t page;
} shelf_damage;

/* Who watches something long. Each may be NULL. */
typedef struct shelf_watch {
    void *user;
    bool (*progress)(void *user, int64_t done, int64_t total); /* bytes; false cancels */
    void (*damage)(void *user, const shelf_damage *w);
    void (*entry)(void *user, const shelf_info *info); /* each that is verified and whose row is whole, before its parts */
} shelf_watch;
/* Looks at every row, blob and page of an entry, or of all (name NULL); of pages in another format (info->format) only at the row.
 * Damage is reported and counted, and changes nothing. */
CJ_NODISCARD cj_err shelf_verify(shelf *s, const char *name, const shelf_watch *watch, int64_t *damages, cj_diag *d);
/* Drops the segment of an entry in which `position` lies: it is read again by the next shelf_write. What comes behind it stays. */
CJ_NODISCARD cj_err shelf_forget(shelf *s, int64_t entry, int64_t position, cj_diag *d);
/* Writes a complete entry as one file, which another machine with the same model imports, whatever its processor. Its own files
 * (shelf_entry_file) and the path of the model stay here. Every page is checked on the way. */
CJ_NODISCARD cj_err shelf_export(shelf *s, const char *name, const char *path, const shelf_watch *watch, cj_diag *d);
/* The entry of an exported file, under its own name or `as`. Every byte is checked before anything is taken; name [SHELF_NAME_MAX + 1]
 * (may be NULL) is what it is called. */
CJ_NODISCARD cj_err shelf_import(shelf *s, const char *path, const char *as, const shelf_watch *watch, char *name, cj_diag *d);
/* Removes what no entry has, and what a crash left (that only while nobody writes). */
CJ_NODISCARD cj_err shelf_gc(shelf *s, int64_t *freed, cj_diag *d);

#endif

/* The inside of an open entry, shared by those who load, write and check it. */
#ifndef SHELF_INNER_H
#define SHELF_INNER_H

#include "parallel/task.h"
#include "shelf/index.h"

/* A page in a mapping. */
typedef struct page_ref {
    const uint8_t *bytes;
    const uint8_t *summary; /* NULL until the page is full */
    uint64_t sum;
} page_ref;

typedef struct layer_refs {
    page_ref *page; /* [cap] */
    int64_t cap;
} layer_refs;

typedef struct entry_segment {
    segment_row row;
    bool has_checkpoint;       /* at its end: in the segment, or in the tail of an open one */
    segment_record checkpoint;
} entry_segment;

/* An append that is written and not yet acknowledged. While it is active its thread waits for the disk, and touches nothing but the files. */
typedef struct entry_append {
    bool active, fresh;        /* fresh: of a new segment */
    int64_t at, from, to;      /* byte in the file; tokens */
    entry_segment segment;     /* as it is afterwards */
    grow_file tail;            /* the checkpoint of an open segment; fd -1: none */
    bool folder;               /* files were made */
    task sync;
    cj_err err;                /* of the thread */
    cj_diag diag;
} entry_append;

struct shelf_entry {
    shelf *shelf;
    entry_row row;             /* row.info.tokens is what is acknowledged */
    buf ids;                   /* int32 [tokens_total] */
    entry_segment *segment;    /* [n_segments], one after the other from 0 to tokens */
    int64_t n_segments, cap_segments;
    layer_refs *layer;         /* [n_layers]; empty for those with a window */
    int n_layers;
    file_map *map;             /* [n_maps], until the entry is closed */
    int64_t n_maps, cap_maps;
    chain chain;               /* at row.info.tokens */
    int64_t damage;            /* where a damaged page was met, -1 */
    /* of a writer */
    bool writing, broken;      /* broken: an acknowledgement failed half-way */
    int lock, store_lock;      /* -1: none */
    int64_t *cut;              /* [n_cuts] where segments should end */
    int n_cuts;
    int64_t kept;              /* where the next segment behind a gap begins; 0: there is none */
    int64_t next;              /* where the segment being written ends */
    grow_file file;            /* the open segment */
    entry_append append;
};

/* The tokens, unless ids holds them, and the beginning of the chain. CJ_E_INPUT when they are not those of the row, CJ_E_NOT_FOUND
 * when they are not there. */
CJ_NODISCARD cj_err entry_load_ids(shelf_entry *e, cj_diag *d);
/* Loads the tokens, unless ids holds them, and the segments that the index says the entry has. *damaged is the beginning of the first
 * one that is damaged, -1 where none is; what is before it has been loaded. */
CJ_NODISCARD cj_err entry_load(shelf_entry *e, int64_t *damaged, cj_diag *d);
/* An entry for a row, which it takes; nothing is loaded. */
CJ_NODISCARD cj_err entry_new(shelf_entry **out, shelf *s, entry_row *row, cj_diag *d);

/* Maps the segment of a row and adds it after the last one. False in *good: it is damaged. The chain must stand at its beginning,
 * and stands at its end then. */
CJ_NODISCARD cj_err entry_add_segment(shelf_entry *e, const segment_row *row, bool *good, cj_diag *d);
CJ_NODISCARD cj_err entry_room_pages(shelf_entry *e, int64_t tokens, cj_diag *d); /* in the tables */
/* Puts the pages of a mapped record into the tables, which have room. */
void entry_add_record(shelf_entry *e, const segment_record *r);
/* Takes a mapping, which stays until the entry is closed. */
CJ_NODISCARD cj_err entry_keep_map(shelf_entry *e, file_map *m, cj_diag *d);
CJ_NODISCARD cj_err entry_room_segment(shelf_entry *e, cj_diag *d);
/* *good false: the file is not there, or shorter than the row says. */
CJ_NODISCARD cj_err shelf_map_segment(shelf *s, const segment_row *row, file_map *m, bool *good, cj_diag *d);
/* Reads the tail of an open segment into *map, its checkpoint into *out. False: there is none, or it is damaged. */
bool entry_read_tail(shelf *s, const shelf_shape *shape, const segment_row *row, file_map *map, segment_record *out);
/* Maps the checkpoint at the end of an open segment, if there is one and it has not been mapped. */
CJ_NODISCARD cj_err entry_load_tail(shelf_entry *e, cj_diag *d);
/* That the hashes and tokens in front of a row's segment and behind it are the entry's. *behind: the chain at its end. */
bool entry_row_fits(const shelf_entry *e, const segment_row *row, chain *behind);

/* Waits for an append's thread and gives it up: nothing of it was acknowledged. */
void entry_append_drop(shelf_entry *e);

/* Removes what nothing refers to: segments without an entry, and, when nobody writes, files without a row. *freed counts bytes. */
CJ_NODISCARD cj_err shelf_sweep(shelf *s, int64_t *freed, cj_diag *d);
/* Inside a transaction: an entry's row, links and blobs. Its own files are the caller's to remove after it. */
CJ_NODISCARD cj_err shelf_drop_entry(shelf *s, int64_t id, cj_diag *d);
/* Inside a transaction: the entry no longer has the segment that begins at `start`; nobody else begins to use it. */
CJ_NODISCARD cj_err shelf_drop_link(shelf *s, int64_t entry, int64_t start, cj_diag *d);

/* A damaged page was met in the segment that begins at `start`: the entry is cut back there, as far as that can be done now. */
void shelf_note_damage(shelf_entry *e, int64_t start);

#endif

/* Segment files: their bytes, written and read. docs/formats.md has the tables; in short, little-endian, everything at multiples of 64:
 *
 *     head     "CJSG", what the pages depend on (the shape), the position of the first token and the hash of all before it
 *     records  pages: tokens [from, to) with every page that holds one of them, their checksums, ids and summaries;
 *              checkpoint: at the end of a closed segment, the pages of the window layers that a context needs to go on there
 *
 * A page that was not full comes again, fuller, in the next record; the last one counts. The newest checkpoint of an open segment
 * is a file of its own (a tail): a head and one checkpoint record. Nothing here is believed: the head and the table of each record
 * have a checksum, every size is computed and compared, and pages have theirs in the table.
 */
#ifndef SHELF_SEGMENT_H
#define SHELF_SEGMENT_H

#include "base/grow.h"
#include "base/hash.h"
#include "shelf/shelf.h"

enum { SEGMENT_VERSION = 1, SEGMENT_ALIGN = 64, SEGMENT_HASH = 32 };

/* What pages depend on, in a form that can be stored, hashed and compared. */
typedef struct shelf_shape {
    uint64_t model, mode;
    int n_layers, n_full, n_window; /* all; without a window; with one */
    kv_layer *layers;               /* [n_layers] */
    size_t page_bytes;              /* of a page of every layer without a window */
    size_t summary_bytes;           /* of their summaries */
} shelf_shape;

CJ_NODISCARD cj_err shape_init(shelf_shape *out, const shelf_key *key, cj_diag *d);
void shape_deinit(shelf_shape *s);
size_t shape_bytes(const shelf_shape *s);                          /* of the stored form */
void shape_encode(const shelf_shape *s, uint8_t *out);
/* How many of bytes[0..n) are a stored form that begins there; 0: there is none. */
size_t shape_peek(const uint8_t *bytes, size_t n);
/* The version of the pages' layout in a stored form of n bytes; 0: it is none. */
uint32_t shape_layout(const uint8_t *bytes, size_t n);
/* CJ_E_INPUT for bytes that are none. */
CJ_NODISCARD cj_err shape_decode(shelf_shape *out, const uint8_t *bytes, size_t n, cj_diag *d);
bool shape_same(const shelf_shape *a, const shelf_shape *b);

/* The hash of a shape and of the first `at` tokens after it: moves forward only; a copy looks ahead. */
typedef struct chain {
    hash_sha256 hash;
    int64_t at;
} chain;
CJ_NODISCARD cj_err chain_begin(chain *c, const shelf_shape *s, cj_diag *d);
void chain_move(chain *c, const int32_t *ids, int64_t to);
void chain_digest(const chain *c, uint8_t out[SEGMENT_HASH]);

typedef enum segment_state { SEGMENT_OPEN = 0, SEGMENT_CLOSED = 1, SEGMENT_BAD = 2 /* damaged: nobody begins to use it */ } segment_state;

/* What the index says of a segment. */
typedef struct segment_row {
    int64_t id, file, start, tokens, bytes, owner;
    segment_state state;
    uint8_t before[SEGMENT_HASH], after[SEGMENT_HASH]; /* hashes of what comes before it, and with it */
} segment_row;

/* ---- writing ---- */

CJ_NODISCARD cj_err segment_write_head(grow_file *g, const shelf_shape *s, int64_t start, const uint8_t before[SEGMENT_HASH], cj_diag *d);
/* The record of the tokens [from, to), which kv holds; ids is the whole timeline. */
CJ_NODISCARD cj_err segment_write_pages(grow_file *g, const shelf_shape *s, const kv_cache *kv, const int32_t *ids, int64_t from, int64_t to, cj_diag *d);
/* The checkpoint at kv_count. */
CJ_NODISCARD cj_err segment_write_checkpoint(grow_file *g, const shelf_shape *s, const kv_cache *kv, cj_diag *d);
/* Bytes that n more tokens take, nearly, checkpoints and all. */
int64_t segment_estimate(const shelf_shape *s, int64_t tokens);

/* ---- reading ---- */

typedef enum record_kind { RECORD_PAGES = 1, RECORD_CHECKPOINT = 2 } record_kind;

/* A record whose head and table are as they should be; its pages have not been looked at. */
typedef struct segment_record {
    record_kind kind;
    int64_t from, to;
    size_t bytes;                 /* of all of it */
    const uint8_t *sums;          /* uint64 [layers of its kind][pages of the layer] */
    const uint8_t *ids;           /* int32 [to - from] */
    const uint8_t *summaries;     /* [full layers][pages filled][bytes of the layer] */
    const uint8_t *firsts;        /* int64 [window layers] */
    const uint8_t *pages;
} segment_record;

/* The checkpoint in the bytes of a row's tail. False: they are damaged. */
bool segment_tail_read(const uint8_t *data, size_t size, const shelf_shape *s, const segment_row *row, segment_record *out);
/* Reads the record at data[0..size), which follows position `at` of a segment. False: it is damaged. */
bool segment_record_read(const uint8_t *data, size_t size, const shelf_shape *s, int64_t at, segment_record *out);

/* Who goes through a segment: called with each record, whose tokens have been compared. */
typedef struct segment_visit {
    const shelf_shape *shape;
    const int32_t *ids; /* the whole timeline */
    cj_err (*record)(void *user, const segment_record *r, cj_diag *d);
    void *user;
} segment_visit;
/* Goes through the bytes of a row's segment. *good false: they are damaged, or another segment's; the visit has then seen what comes
 * before that. A newer format is CJ_E_UNSUPPORTED. */
CJ_NODISCARD cj_err segment_walk(const segment_visit *v, const segment_row *row, const uint8_t *data, size_t size, bool *good, cj_diag *d);

/* Reads what a file that begins with a closed segment says of itself: shape, and of *row start, tokens, bytes and before; its ids are added to
 * the chain, unless that is NULL. *good false: it holds none. shape_deinit the shape of a good one. */
CJ_NODISCARD cj_err segment_scan(const uint8_t *data, size_t size, shelf_shape *shape, segment_row *row, chain *c, bool *good, cj_diag *d);

/* First page of a layer in the record, and how many there are. */
int64_t record_first(const segment_record *r, const shelf_shape *s, int layer);
int64_t record_count(const segment_record *r, const shelf_shape *s, int layer);
/* Page `page` of a layer of the record's kind, its checksum in *sum. */
const uint8_t *record_page(const segment_record *r, const shelf_shape *s, int layer, int64_t page, uint64_t *sum);
/* Summaries of the layer's pages that [from, to) filled: from record_first on, *n of them. */
const uint8_t *record_summaries(const segment_record *r, const shelf_shape *s, int layer, int64_t *n);
/* Finds the first page, from a layer's page on, that is not as its checksum says. False: there is none. */
bool record_find_damage(const segment_record *r, const shelf_shape *s, int *layer, int64_t *page);

#endif

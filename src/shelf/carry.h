/* The file of an exported entry (docs/formats.md): a head, then sections at multiples of 64 bytes: the entry, its blobs, its segments, the
 * end. Each section begins with its kind, its length and a checksum: of all its bytes, but of a segment of what is in front of the
 * segment file's own bytes, which have theirs. */
#ifndef SHELF_CARRY_H
#define SHELF_CARRY_H

#include "shelf/inner.h"

enum { CARRY_VERSION = 1, CARRY_MODEL_NAME = 128 };

typedef struct carry_head {
    char magic[4]; /* "CJSX" */
    uint32_t version;
    uint64_t bytes; /* of the file */
    uint8_t zero[40];
    uint64_t sum;   /* XXH3 of the head, this being 0 */
} carry_head;

typedef enum carry_kind { CARRY_ENTRY = 1, CARRY_BLOB = 2, CARRY_SEGMENT = 3, CARRY_END = 4 } carry_kind;

typedef struct carry_section {
    char magic[4]; /* "CJXS" */
    uint32_t kind;
    uint64_t bytes;  /* that follow, before the zeros up to a multiple of 64 */
    uint64_t summed; /* of those, how many the checksum covers */
    uint64_t body_sum;
    uint8_t zero[24];
    uint64_t sum;    /* XXH3 of this, this being 0 */
} carry_section;

/* In front of the shape. */
typedef struct carry_entry {
    int64_t tokens, characters, documents;
    double created;
    uint8_t hash[SEGMENT_HASH];
    char name[SHELF_NAME_MAX + 1], model_name[CARRY_MODEL_NAME]; /* zeros to their ends */
} carry_entry;

/* In front of a blob's bytes. */
typedef struct carry_blob {
    char kind[SHELF_KIND_MAX + 1];
} carry_blob;

/* In front of a segment file's bytes. */
typedef struct carry_segment {
    int64_t start, tokens;
    uint8_t before[SEGMENT_HASH], after[SEGMENT_HASH];
    uint8_t zero[48];
} carry_segment;

_Static_assert(sizeof(carry_head) == 64 && sizeof(carry_section) == 64 && sizeof(carry_entry) == 448 && sizeof(carry_segment) == 128
               && sizeof(carry_blob) == 64, "no gaps, and pages stay aligned");

#endif

/* Reading: documents become an entry of the shelf, segment by segment; what was interrupted goes on where it was. */
#ifndef READER_READ_H
#define READER_READ_H

#include "engine/engine.h"
#include "reader/finder.h"

typedef enum read_phase { READ_TEXT /* extracting, cutting into tokens, indexing */, READ_TOKENS } read_phase;

typedef struct read_progress {
    read_phase phase;
    int64_t tokens, tokens_total, tokens_before; /* read, to be read, read in earlier runs or for other entries */
    int64_t characters;                          /* of the text, up to here */
    int64_t disk_bytes;                          /* of the entry so far */
    double seconds;                              /* since reading began */
} read_progress;

typedef struct read_options {
    const char *name;        /* of the entry */
    const char *model_name;  /* as it was asked for */
    int64_t keep;            /* far pages that are looked at token by token (session_set_keep); 0: exact attention */
    int64_t segment;         /* tokens after which what was read is acknowledged; 0: READ_SEGMENT */
    bool (*on_progress)(void *arg, const read_progress *p); /* false cancels; what was acknowledged stays */
    void *arg;
} read_options;

enum { READ_SEGMENT = 4096 };

typedef struct read_result {
    int64_t tokens, tokens_before, characters, bytes; /* bytes: on disk */
    double seconds;
} read_result;

CJ_NODISCARD cj_err read_documents(engine *e, shelf *s, document *const *docs, int n_docs, const read_options *opt, read_result *out, cj_diag *d);

#endif

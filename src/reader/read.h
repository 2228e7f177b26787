/* Reading: documents become an entry of the shelf, segment by segment; what was interrupted goes on where it was. */
#ifndef READER_READ_H
#define READER_READ_H

#include "engine/engine.h"
#include "reader/finder.h"

typedef enum read_phase { READ_TEXT /* extracting, cutting into tokens, indexing */, READ_TOKENS } read_phase;

/* Why a text is read as it is. */
typedef enum read_why {
    READ_ASKED,     /* somebody said so */
    READ_BEGUN,     /* an entry of the name, which begins alike, was read so: it goes on */
    READ_SAME,      /* so short that fast reading would leave nothing out */
    READ_ESTIMATED, /* exactly where that takes READ_PATIENCE seconds at most */
} read_why;
enum { READ_CHOOSE = -1, READ_PATIENCE = 300 };

typedef struct read_choice {
    int64_t keep;                       /* 0: exactly */
    read_why why;
    int64_t tokens, characters;         /* of the text */
    double exact_seconds, fast_seconds; /* READ_ESTIMATED: about how long it takes */
} read_choice;

typedef struct read_progress {
    read_phase phase;
    int64_t tokens, tokens_total, tokens_before; /* read, to be read, read in earlier runs or for other entries */
    int64_t characters;                          /* of the text, up to here */
    int64_t disk_bytes;                          /* of the entry so far */
    double seconds;                              /* since reading began */
} read_progress;

typedef struct read_options {
    const char *name;        /* of the entry; an older wish that it be paused is forgotten once nobody else reads it */
    const char *model_name;  /* as it was asked for */
    int64_t keep;            /* far pages that are looked at token by token (session_set_keep); 0: exact attention; READ_CHOOSE: 0 or ENGINE_KEEP */
    int64_t segment;         /* tokens after which what was read is acknowledged; 0: READ_SEGMENT */
    bool (*on_progress)(void *arg, const read_progress *p); /* false cancels; what was acknowledged stays */
    void (*on_choice)(void *arg, const read_choice *c);     /* before reading begins; may be NULL */
    void *arg;
} read_options;

enum { READ_SEGMENT = 4096, READ_LAST = 64 /* tokens at the end of a text that are read exactly, however the others are */ };

typedef struct read_result {
    int64_t tokens, tokens_before, characters, bytes; /* bytes: on disk */
    int64_t keep;
    double seconds;
    bool paused; /* somebody wished it (shelf_pause): CJ_E_CANCELLED, and a sentence that says how to go on */
} read_result;

CJ_NODISCARD cj_err read_documents(engine *e, shelf *s, document *const *docs, int n_docs, const read_options *opt, read_result *out, cj_diag *d);

#endif

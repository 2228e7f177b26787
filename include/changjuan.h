/* changjuan.h - the one public header of libchangjuan (长卷).
 *
 * Conventions that hold for every call:
 *  - A function that can fail returns cj_err (0, or negative) and takes a cj_diag that the caller owns (NULL is allowed).
 *    On failure the out-parameters are untouched and every argument still belongs to the caller.
 *  - Strings are UTF-8. Sizes are bytes unless a name says otherwise. Shapes are written [rows][columns], row-major.
 *  - An object may be used from one thread at a time; two objects may be used from two threads.
 */
#ifndef CHANGJUAN_H
#define CHANGJUAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(CJ_BUILD)
#define CJ_API __attribute__((visibility("default")))
#else
#define CJ_API
#endif
#define CJ_NODISCARD __attribute__((warn_unused_result))

#define CJ_VERSION_MAJOR 0
#define CJ_VERSION_MINOR 1
#define CJ_VERSION_PATCH 0

/* ---- errors ---------------------------------------------------------------------------------------------------- */

typedef int cj_err;
enum {
    CJ_OK = 0,
    CJ_E_USAGE = -1,       /* the call itself makes no sense: a wrong option, a contradiction */
    CJ_E_INPUT = -2,       /* a file, document or request is not what it should be */
    CJ_E_UNSUPPORTED = -3, /* well-formed, but beyond what this build or model can do */
    CJ_E_NOT_FOUND = -4,   /* no such file, model, entry */
    CJ_E_LIMIT = -5,       /* a declared maximum would be passed (context, size, depth, fuel) */
    CJ_E_NOMEM = -6,       /* not enough memory */
    CJ_E_NOSPACE = -7,     /* not enough disk */
    CJ_E_IO = -8,          /* the operating system refused a read, a write, a mapping */
    CJ_E_NETWORK = -9,     /* a download could not be made */
    CJ_E_CANCELLED = -10,  /* the caller asked to stop */
    CJ_E_INTERNAL = -11,   /* our own bug, caught before it did harm */
};

enum { CJ_DIAG_ARGS_MAX = 1024 };

/* What went wrong, as data: rendered by cj_diag_text in the reader's language. Zero-initialise it. */
typedef struct cj_diag {
    cj_err code;
    int message;                 /* which sentence (see src/base/messages) */
    const char *place;           /* source place, for bug reports; static storage */
    int line;
    char args[CJ_DIAG_ARGS_MAX]; /* the sentence's arguments, separated by 0x1f */
} cj_diag;

typedef enum cj_lang { CJ_LANG_EN = 0, CJ_LANG_ZH = 1 } cj_lang;

/* Writes the sentence for d into out (always terminated, cut at a character). Returns the length it needs. */
CJ_API size_t cj_diag_text(const cj_diag *d, cj_lang lang, char *out, size_t out_size);

/* The library's version, "major.minor.patch"; static storage. */
CJ_API const char *cj_version(void);

/* Models and documents are mapped files. If somebody cuts one short while it is open, a read beyond its new end raises SIGBUS, which ends a process
 * that does not handle it. From this call on such a read gives zeros instead, and the call it happened in fails with CJ_E_INPUT and a sentence.
 * It sets a handler for the whole process, which is why the library does not do so unasked; a SIGBUS that comes of other memory goes on to the
 * handler that was there before. May be called again, as after somebody else has set one; from one thread at a time. */
CJ_API void cj_guard_files(void);

/* ---- a model ---------------------------------------------------------------------------------------------------- */

/* One model, and the keys and values of what cj_write read last. Opening maps the file: nothing is copied, and no network is used. */
typedef struct cj_engine cj_engine;

/* {0} is the default of everything. Strings are only read during the call. */
typedef struct cj_engine_options {
    const char *model; /* a catalogue name that is installed, or a path; NULL: the catalogue's default */
    int threads;       /* 0: all */
    const char *cpu;   /* "ref", "avx2", "avx512", "amx", "neon"; NULL: the best that runs here */
    const char *kv;    /* keys and values as "f32", "bf16", "q8" or "q4"; NULL: "bf16", "f32" when exact */
    bool exact;        /* float32 everywhere: slower, the same numbers on every processor */
} cj_engine_options;

/* Opens a model into *out; opt may be NULL. Close it with cj_engine_close.
 * CJ_E_NOT_FOUND: no such file, or a catalogue model that has not been pulled; CJ_E_INPUT: the file is damaged or no model;
 * CJ_E_UNSUPPORTED: a family or weight type this build does not know; CJ_E_USAGE: a bad option; CJ_E_NOMEM. */
CJ_API CJ_NODISCARD cj_err cj_engine_open(cj_engine **out, const cj_engine_options *opt, cj_diag *d);

/* Frees *e and sets it to NULL; a NULL *e is allowed. Answers and texts that were handed out stay valid. */
CJ_API void cj_engine_close(cj_engine **e);

/* ---- writing ---------------------------------------------------------------------------------------------------- */

/* New text: whole UTF-8 characters, not terminated, valid during the call. False ends the writing there,
 * which is no error. */
typedef bool (*cj_text_fn)(void *user, const char *text, size_t bytes);

/* How much has been read: `done` of `total` tokens (0 of 0 while files are opened). Called at least every layer of a chunk, so within tens of milliseconds. False
 * stops the call with CJ_E_CANCELLED. */
typedef bool (*cj_progress_fn)(void *user, int64_t done, int64_t total);

/* {0}: the likeliest token each time, until the model ends the text or the context is full. */
typedef struct cj_write_options {
    double temperature; /* 0: the likeliest token each time; at most 100 */
    double top_p;       /* draw from the likeliest tokens that make up this probability, 0..1; 0 counts as 1 */
    int64_t top_k;      /* draw from this many of the likeliest; 0: all */
    uint64_t seed;      /* the same seed gives the same text, whatever the number of threads */
    int64_t max_tokens; /* 0: until the model ends or the context is full */
    const char *stop;   /* the text ends before this; NULL: none */
    cj_text_fn on_text; /* may be NULL */
    cj_progress_fn on_progress; /* while the prompt is read; may be NULL */
    void *user;         /* given to both */
} cj_write_options;

/* Goes on writing after `prompt`, which is taken as plain text: no chat template, no control tokens. What the engine has read of the
 * same beginning before is not read again. opt may be NULL. *out, if out is not NULL, gets the whole text, terminated, which the
 * caller frees with cj_free.
 * CJ_E_LIMIT: the prompt is longer than the context; CJ_E_USAGE: an option out of range, or a prompt without tokens;
 * CJ_E_UNSUPPORTED: the model has no vocabulary; CJ_E_CANCELLED; CJ_E_NOMEM. */
CJ_API CJ_NODISCARD cj_err cj_write(cj_engine *e, const char *prompt, const cj_write_options *opt, char **out, cj_diag *d);

/* ---- asking documents ------------------------------------------------------------------------------------------- */

typedef struct cj_quote {
    const char *text;     /* a sentence of the document, cut from it; terminated */
    size_t document;      /* index into the files */
    const char *name;     /* of the document: the file's name, or within a folder the path below it; terminated */
    const char *chapter;  /* the heading it stands under, terminated; NULL: none */
    const char *article;  /* the article of a law or a contract, terminated, as "第十二条"; NULL: none */
    int page;             /* from 1; 0: the document has no pages */
    int64_t start, end;   /* where it stands: characters (code points) from the beginning of the document, [start, end) */
    double score;         /* how much of the question looks here, 0..1; to compare quotes of one answer. -1: there was only this one to find */
    bool verified;        /* text is document[start:end], letter for letter */
} cj_quote;

/* All of it belongs to the answer: one cj_answer_free frees it. */
typedef struct cj_answer {
    const char *text;       /* what the model wrote, terminated; may be "" */
    const cj_quote *quotes; /* [n_quotes], best first */
    size_t n_quotes;
    const char *end;        /* why text ends there: "stop" (the model ended it), "length" (max_tokens), "context" (it is full), "cancelled" (by
                             * on_text); NULL: none was written, as nothing bears on the question. Static storage */
} cj_answer;

/* {0} is the default of everything. */
typedef struct cj_ask_options {
    int quotes;         /* most quotes, at most 192; 0: 3 */
    int64_t max_tokens; /* of the answer, at most 1,048,576; 0: 64 */
    cj_text_fn on_text; /* the answer as it is written; may be NULL */
    cj_progress_fn on_progress; /* while the files are read; may be NULL */
    void *user;         /* given to both */
} cj_ask_options;

/* Reads the files [n_files], 1 to 4096 files or folders of any format that docs/documents.md names, as one context; finds the sentences
 * that bear on the question and answers. opt may be NULL. *out must be freed with cj_answer_free.
 * CJ_E_NOT_FOUND, CJ_E_INPUT, CJ_E_IO: a file is missing, no text, unreadable; CJ_E_LIMIT: too many files, or more text than the model
 * takes at once (the sentence says by how much; nothing is ever cut); CJ_E_UNSUPPORTED: no layer of the model attends to a whole text;
 * CJ_E_CANCELLED; CJ_E_NOMEM. */
CJ_API CJ_NODISCARD cj_err cj_ask(cj_engine *e, const char *const *files, size_t n_files, const char *question, const cj_ask_options *opt,
                                  cj_answer **out, cj_diag *d);

/* Frees *a and sets it to NULL; a NULL *a is allowed. */
CJ_API void cj_answer_free(cj_answer **a);

/* Frees text that the library handed out; NULL is allowed. */
CJ_API void cj_free(void *block);

#ifdef __cplusplus
}
#endif
#endif

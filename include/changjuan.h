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

#ifdef __cplusplus
}
#endif
#endif

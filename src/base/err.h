/* Errors inside the library: how a room reports what went wrong.
 *
 * A failing function fills the caller's diag once, at the place that knows the most, and returns its code; callers above pass
 * the code on and leave the diag alone. The sentence is chosen by id (base/messages/<room>.def) and rendered later, in the
 * reader's language; arguments are printed at once and kept as text.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "changjuan.h"

typedef enum msg_id {
    MSG_NONE = 0,
#define MSG(id, en, zh) id,
#include "base/messages/all.def"
#undef MSG
    MSG_COUNT
} msg_id;

/* Separates two arguments in the format of diag_fail: diag_fail(d, CJ_E_INPUT, MSG_X, "%s" ARG "%zu", path, n). */
#define ARG "\x1f"

/* Fills d (which may be NULL) and returns code. In the sentence {0}, {1}, ... stand for the arguments.
 * A macro, so that the compiler sees a constant code and knows that what follows a TRY has been set. */
#define diag_fail(d, code, id, ...) diag_code(diag_fail_at((d), (code), (id), __FILE__, __LINE__, __VA_ARGS__), (code))
static inline cj_err diag_code(cj_err filled, cj_err code) { (void)filled; return code; }
cj_err diag_fail_at(cj_diag *d, cj_err code, msg_id id, const char *file, int line, const char *args, ...)
    __attribute__((format(printf, 6, 7), cold));

/* For a failed allocation of `bytes`: MSG_NOMEM, CJ_E_NOMEM. */
#define diag_nomem(d, bytes) diag_fail((d), CJ_E_NOMEM, MSG_NOMEM, "%zu", (size_t)(bytes))

/* For errno after a system call on `path`: chooses code and sentence (no such file, no space, not permitted, ...). */
cj_err diag_errno(cj_diag *d, int errnum, const char *path) __attribute__((cold));

/* Returns early with the error of `call`, whose diag has been filled already. */
#define TRY(call)                    \
    do {                             \
        cj_err try_err_ = (call);    \
        if (try_err_) return try_err_; \
    } while (0)

/* Sentence texts that are not errors (progress, headings, notes): the same table. Static storage. */
const char *msg_text(msg_id id, cj_lang lang);

/* Fills {0}, {1}... of `sentence` from 0x1f-separated args. Returns the length needed; out is always terminated. */
size_t msg_format(const char *sentence, const char *args, char *out, size_t out_size);

#endif

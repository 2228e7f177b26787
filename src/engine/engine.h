/* An engine owns one model: its weights, tokenizer, kernels. A session is one timeline of tokens on it.
 *
 * Callers hand a session the whole token prefix every time; it keeps the longest prefix that it already holds and computes the
 * rest, chunk by chunk, layer by layer, so that a cancel is heard within a unit of work. No caller manages a cache.
 * One engine is used by one thread at a time (its kernels are one device); sessions of an engine likewise.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "model/forward.h"
#include "shelf/shelf.h"
#include "token/tokenizer.h"

typedef struct engine engine;

typedef struct engine_options {
    const char *path;    /* a model file */
    kernel_level level;  /* KERNEL_AUTO: the best */
    int threads;         /* 0: all */
    bool exact;          /* float32 everywhere */
    kv_type kv;          /* how keys and values are kept */
    int64_t chunk;       /* tokens in one forward pass; 0: ENGINE_CHUNK */
} engine_options;

enum {
    ENGINE_CHUNK = 512,
    ENGINE_KEEP = 128,      /* pages that sparse attention looks at token by token */
    ENGINE_EXACT_ROWS = 16, /* tokens in one pass of the exact end of a session that attends sparsely */
};

CJ_NODISCARD cj_err engine_open(engine **out, const engine_options *opt, cj_diag *d);
void engine_close(engine **e);
const model *engine_model(const engine *e);
/* model_keep_more, for every session of the engine. */
CJ_NODISCARD cj_err engine_keep_more(engine *e, int layer, int head, int times, cj_diag *d);
const engine_options *engine_options_of(const engine *e);
kernel_ctx *engine_kernel(const engine *e);
/* NULL for a file without a vocabulary. */
const tokenizer *engine_tokenizer(const engine *e);
/* The same, or a sentence. */
CJ_NODISCARD cj_err engine_need_tokenizer(const engine *e, const tokenizer **out, cj_diag *d);
/* The chat template of the model file; NULL when it has none. */
const char *engine_template(const engine *e);

typedef struct session session;

/* context: most tokens it may hold; 0: the model's trained window. */
CJ_NODISCARD cj_err session_open(session **out, engine *e, int64_t context, cj_diag *d);
void session_close(session **s);
engine *session_engine(const session *s);
int64_t session_context(const session *s);
/* How many far pages a row looks at token by token from now on (model_rows.keep); 0, as at first: all, attention is exact. */
void session_set_keep(session *s, int64_t keep);
/* Whatever that says, tokens from this position on are read exactly; INT64_MAX, as at first: none. */
void session_set_exact_from(session *s, int64_t position);
/* Tokens held, and which. */
int64_t session_count(const session *s);
const int32_t *session_ids(const session *s);

/* Adds up the attention that the tokens [from, end) pay to every token, for one head. Tokens from `from` on are computed even if
 * the session holds them. */
enum { SESSION_PROBES_MAX = 64 };
typedef struct session_probe {
    int layer, head;
    int64_t from, end; /* end 0: to the last token */
    int64_t bin;       /* tokens added up into one entry (see op_mass); 0: 1 */
    int64_t ld;        /* token from + r has its own row mass + r * ld; 0: one row for all */
    float *mass;       /* [ceil(n / bin)] of the n tokens given, for each row, zeroed by the caller; NULL: not wanted */
    /* NULL, or which pages the rows look at token by token (op_choice): kept + n * kept_ld for those in the n-th page of positions from that of `from`
     * on. The session must hold all before `from`; of rows of one page computed in two passes the later say. */
    uint8_t *kept;
    int64_t kept_ld;
} session_probe;

typedef struct session_call {
    model_want want;    /* WANT_LAST: session_logits afterwards; WANT_ALL: on_logits for every row computed */
    cj_err (*on_logits)(void *arg, int64_t position, int64_t rows, const float *logits, cj_diag *d);
    /* Called between units of work with tokens done and to do; false cancels. May be NULL. */
    bool (*on_progress)(void *arg, int64_t done, int64_t total);
    void *arg;
    const session_probe *probes;
    int n_probes;
} session_call;

/* Makes the session hold exactly ids[0..n), n >= 1. *reused, if not NULL, says how many were held already: all of them where the last prompt, whose
 * logits are remembered, is asked for again. After a cancel or an error the session holds the prefix that was finished. */
CJ_NODISCARD cj_err session_eval(session *s, const int32_t *ids, int64_t n, const session_call *call, int64_t *reused, cj_diag *d);
/* [vocab] logits after the last token, from the last session_eval with WANT_LAST. */
float *session_logits(session *s);

/* A snapshot: tokens, keys and values, keyed by model and settings. Loading it gives what reading again would give. */
CJ_NODISCARD cj_err session_save(const session *s, const char *path, cj_diag *d);
CJ_NODISCARD cj_err session_load(session *s, const char *path, cj_diag *d);

/* What a shelf entry of this session's pages depends on: the model, exact mode, the kind of pages, the pages kept. Its layers are the session's. */
shelf_key session_shelf_key(const session *s);
/* The options and the pages kept (NULL: not asked for) that sessions of an entry of this mode have. */
void session_mode_read(uint64_t mode, engine_options *out, int64_t *keep);
/* Whether an entry of this mode was read with the sparse attention of another version: it can be asked, but not gone on with. */
bool session_mode_other(uint64_t mode);
/* The session begins anew with what the entry holds, up to `most` tokens; *count (may be NULL) says how many. The entry must outlive the
 * session and have been made in this one's mode; the pages kept may differ. Where later calls give up more than the windows remember, the session goes back to the entry's checkpoints. */
CJ_NODISCARD cj_err session_attach(session *s, shelf_entry *e, int64_t most, int64_t *count, cj_diag *d);
/* Keeps what the session holds beyond the entry: acknowledged when this returns. */
CJ_NODISCARD cj_err session_keep(session *s, shelf_entry *e, cj_diag *d);
/* The same while the session reads on: acknowledged when the second returns (shelf_append_begin). */
CJ_NODISCARD cj_err session_keep_begin(session *s, shelf_entry *e, cj_diag *d);
CJ_NODISCARD cj_err session_keep_end(session *s, shelf_entry *e, cj_diag *d);

#endif

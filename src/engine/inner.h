/* The inside of engines and sessions, for the files of this room. */
#ifndef ENGINE_INNER_H
#define ENGINE_INNER_H

#include "engine/adapter.h"
#include "engine/repeats.h"

struct engine {
    engine_options opt;
    kernel_ctx *ctx;
    model *model;
    tokenizer *tokenizer;
    char *chat_template;
    model_job *job;
};

struct engine_adapter {
    const engine *engine;
    low_rank *laid;
    adapter_facts facts;
    uint64_t fingerprint;
};

struct session {
    engine *engine;
    kv_cache *kv;
    kv_layer *layers;   /* [layers of the model] */
    shelf_entry *entry; /* the one attached; NULL: none */
    int64_t context, keep;
    const engine_adapter *adapter; /* that tokens from adapter_from on are read with; NULL: none */
    int64_t adapter_from;
    int64_t exact_from; /* rows from this position on look at everything */
    int32_t *ids;       /* [cap], the first kv_count(kv) are held */
    repeats repeats;    /* of ids; empty until attention is sparse */
    int64_t cap;
    float *logits;      /* [vocab] */
    float *prompt_logits; /* [vocab] after the last prompt, which is ... */
    int64_t prompt;       /* ... the first so many of ids; 0: none is held any more */
    float *all_logits;  /* [chunk][vocab] once WANT_ALL was asked for */
};

/* Forgets everything from position n on; *left is how many tokens are left, n or what can be had. ids[0..n) are the tokens held now. */
CJ_NODISCARD cj_err session_cut(session *s, const int32_t *ids, int64_t n, int64_t *left, cj_diag *d);
/* Only the first n tokens are what they were: what is remembered of more is forgotten. */
void session_left(session *s, int64_t n);
/* Of the first n tokens: the model that has written them, and the adapter where one had a part in it. */
uint64_t session_writer(const session *s, int64_t n);
/* Room for n ids. */
CJ_NODISCARD cj_err session_ids_reserve(session *s, int64_t n, cj_diag *d);

#endif

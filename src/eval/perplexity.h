/* Perplexity by the protocol of llama-perplexity: windows of `ctx` tokens that do not overlap, each beginning with the begin
 * token where the model has one; the second half of each window is scored.
 *
 * With `reference` given, the same windows also run there (the same model in exact mode), and the divergence of the scored
 * distributions is summed up: KL(reference || this), and how often both have the same likeliest token.
 */
#ifndef EVAL_PERPLEXITY_H
#define EVAL_PERPLEXITY_H

#include "engine/engine.h"

typedef struct perplexity_options {
    int64_t ctx;              /* tokens in a window, even, >= 4 */
    int64_t max_windows;      /* 0: all */
    engine *reference;        /* NULL: none */
    bool (*on_progress)(void *arg, int64_t done, int64_t total); /* in windows; false cancels */
    void *arg;
} perplexity_options;

typedef struct perplexity_result {
    int64_t windows, tokens_scored, chars_scored;
    double nll_mean, nll_stderr; /* nats a token, and its standard error */
    double ppl, bits_per_char;
    double seconds;
    /* with a reference */
    double reference_nll_mean, kl_mean, kl_max, top1_same;
} perplexity_result;

CJ_NODISCARD cj_err perplexity_run(engine *e, const char *text, size_t bytes, const perplexity_options *opt, perplexity_result *out, cj_diag *d);

#endif

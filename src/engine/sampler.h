/* Choosing the next token from logits.
 *
 * Order: logit bias and penalties change the logits; temperature 0 then takes the likeliest (the lower id wins a tie). Otherwise
 * logits / temperature make a distribution, of which top_k, top_p and min_p keep a part, and the seed draws from that part.
 * The n-th draw of a seed is the same number everywhere, so the same seed on the same logits gives the same text. A token whose
 * logit the caller lessens must be taken, or drawn, again with what is left of it; one that the caller refuses is as if forbidden.
 */
#ifndef ENGINE_SAMPLER_H
#define ENGINE_SAMPLER_H

#include <stdbool.h>

#include "base/err.h"

typedef struct sampler_bias {
    int32_t id;
    float add; /* to the logit; -INFINITY forbids */
} sampler_bias;

typedef struct sampler_options {
    float temperature;   /* 0: the likeliest token */
    int32_t top_k;       /* 0: all */
    float top_p;         /* smallest set whose probability reaches it; 1: all. Holtzman et al. 2020 */
    float min_p;         /* at least this share of the likeliest; 0: all */
    float repetition;    /* > 1 makes tokens of the recent past less likely (CTRL, Keskar et al. 2019); 1: off */
    float presence, frequency; /* taken from the logit once / for every time the token is in the recent past; 0: off */
    int32_t penalty_last;      /* how many tokens the recent past is; 0: 64 */
    const sampler_bias *bias;  /* copied */
    int32_t n_bias;
    uint64_t seed;
    /* What to add to a token's logit, 0 or less; -INFINITY refuses it. Asked of tokens in the order in which they would be taken, once each. NULL: 0. */
    float (*weigh)(void *arg, int32_t id);
    void *arg;
} sampler_options;

/* Greedy: all else off. */
#define SAMPLER_GREEDY ((sampler_options){.top_p = 1, .repetition = 1})

typedef struct sampler sampler;

/* Checks the options (a sentence names the one out of range). */
CJ_NODISCARD cj_err sampler_open(sampler **out, const sampler_options *opt, int64_t vocab, cj_diag *d);
void sampler_close(sampler **s);
/* history[0..n): the tokens so far, the prompt included. -1: none is accepted. */
int32_t sampler_pick(sampler *s, const float *logits, const int32_t *history, int64_t n);

typedef struct sampler_logprob {
    int32_t id;
    float logprob;
} sampler_logprob;
/* Natural log-probability of id under softmax(logits); and the n_top likeliest into top, likeliest first. */
float sampler_logprobs(const float *logits, int64_t vocab, int32_t id, sampler_logprob *top, int32_t n_top);

#endif

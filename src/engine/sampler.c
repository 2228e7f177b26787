/* Sampling. See sampler.h for the order of things. */
#include "engine/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

typedef struct candidate {
    float logit;
    int32_t id;
} candidate;

struct sampler {
    sampler_options opt;
    sampler_bias *bias;
    int64_t vocab;
    uint64_t draws;
    float *logits;     /* [vocab] changed copy */
    candidate *part;   /* [vocab] */
    uint8_t *weighed;  /* [vocab] whether the caller was asked; NULL where there is none to ask */
};

enum { PENALTY_LAST = 64 };

static cj_err check(const sampler_options *o, int64_t vocab, cj_diag *d)
{
    const struct { const char *name; double value, lo, hi; } ranges[] = {
        {"temperature", o->temperature, 0, 100}, {"top_k", o->top_k, 0, INT32_MAX}, {"top_p", o->top_p, 0, 1}, {"min_p", o->min_p, 0, 1},
        {"repetition penalty", o->repetition, 0.01, 100}, {"presence penalty", o->presence, -100, 100},
        {"frequency penalty", o->frequency, -100, 100}, {"penalty_last", o->penalty_last, 0, INT32_MAX},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (!(ranges[i].value >= ranges[i].lo && ranges[i].value <= ranges[i].hi))
            return diag_fail(d, CJ_E_USAGE, MSG_SAMPLING_RANGE, "%s" ARG "%g" ARG "%g" ARG "%g", ranges[i].name, ranges[i].value,
                             ranges[i].lo, ranges[i].hi);
    for (int32_t i = 0; i < o->n_bias; i++)
        if (o->bias[i].id < 0 || o->bias[i].id >= vocab || isnan(o->bias[i].add))
            return diag_fail(d, CJ_E_USAGE, MSG_TOKEN_RANGE, "%d" ARG "%lld", o->bias[i].id, (long long)vocab);
    return CJ_OK;
}

cj_err sampler_open(sampler **out, const sampler_options *opt, int64_t vocab, cj_diag *d)
{
    TRY(check(opt, vocab, d));
    sampler *s = mem_zalloc(sizeof *s);
    if (!s) return diag_nomem(d, sizeof *s);
    s->opt = *opt;
    s->vocab = vocab;
    if (!s->opt.penalty_last) s->opt.penalty_last = PENALTY_LAST;
    s->logits = mem_array((size_t)vocab, sizeof *s->logits);
    s->part = mem_array((size_t)vocab, sizeof *s->part);
    s->bias = mem_array((size_t)opt->n_bias, sizeof *s->bias);
    s->weighed = opt->weigh ? mem_zalloc((size_t)vocab) : NULL;
    if (!s->logits || !s->part || !s->bias || (opt->weigh && !s->weighed)) {
        sampler_close(&s);
        return diag_nomem(d, (size_t)vocab * (sizeof(float) + sizeof(candidate)));
    }
    if (opt->n_bias) memcpy(s->bias, opt->bias, (size_t)opt->n_bias * sizeof *s->bias);
    s->opt.bias = s->bias;
    *out = s;
    return CJ_OK;
}

void sampler_close(sampler **ps)
{
    sampler *s = *ps;
    if (!s) return;
    mem_free(s->logits);
    mem_free(s->part);
    mem_free(s->weighed);
    mem_free(s->bias);
    mem_free(s);
    *ps = NULL;
}

/* splitmix64 of seed and draw number, as a number in [0, 1). */
static double draw(sampler *s)
{
    uint64_t x = s->opt.seed + 0x9e3779b97f4a7c15u * ++s->draws;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (double)((x ^ x >> 31) >> 11) * 0x1p-53;
}

/* Each distinct recent token is treated once: at its last occurrence, with the number of times it occurs. */
static void apply_penalties(sampler *s, const int32_t *history, int64_t n)
{
    const sampler_options *o = &s->opt;
    if (o->repetition == 1 && o->presence == 0 && o->frequency == 0) return;
    int64_t from = i64_max(0, n - o->penalty_last);
    for (int64_t i = from; i < n; i++) {
        int32_t id = history[i], count = 1;
        bool later = false;
        for (int64_t j = i + 1; j < n && !later; j++) later = history[j] == id;
        if (later || id < 0 || id >= s->vocab) continue;
        for (int64_t j = from; j < i; j++) count += history[j] == id;
        float *x = &s->logits[id];
        *x = *x > 0 ? *x / o->repetition : *x * o->repetition;
        *x -= o->presence + o->frequency * (float)count;
    }
}

static int32_t likeliest(const float *x, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (x[i] > x[best] || (isnan(x[best]) && !isnan(x[i]))) best = i;
    return (int32_t)best;
}

/* Likelier first; the lower id first among equals. */
static int by_logit(const void *pa, const void *pb)
{
    const candidate *a = pa, *b = pb;
    if (a->logit != b->logit) return a->logit < b->logit ? 1 : -1;
    return (a->id > b->id) - (a->id < b->id);
}

/* All tokens within `reach` of the maximum, sorted; returns how many. */
static int64_t gather(sampler *s, float max, float reach)
{
    int64_t n = 0;
    for (int64_t i = 0; i < s->vocab; i++)
        if (s->logits[i] >= max - reach) s->part[n++] = (candidate){s->logits[i], (int32_t)i};
    qsort(s->part, (size_t)n, sizeof *s->part, by_logit);
    return n;
}

/* The part of the distribution that top_k, top_p and min_p keep: how many of the sorted candidates. Few tokens carry nearly all
 * of the mass, so only those near the maximum are sorted, and more only if they do not suffice. */
static int64_t keep_part(sampler *s, float max)
{
    const sampler_options *o = &s->opt;
    double total = 0;
    for (int64_t i = 0; i < s->vocab; i++) total += exp((double)(s->logits[i] - max));
    float widest = o->min_p > 0 ? -logf(o->min_p) : INFINITY;
    for (float reach = fminf(8, widest);; reach = fminf(reach * 4, widest)) {
        if (reach > 1e4f) reach = widest; /* whatever is left */
        int64_t n = gather(s, max, reach), kept = 0, most = o->top_k ? i64_min(o->top_k, s->vocab) : s->vocab;
        double mass = 0;
        while (kept < n && kept < most && (kept == 0 || mass < o->top_p * total)) mass += exp((double)(s->part[kept++].logit - max));
        bool enough = kept == most || (o->top_p < 1 && mass >= o->top_p * total) || reach == widest || n == s->vocab;
        if (enough) return kept;
    }
}

/* Of s->logits, changed and divided by the temperature. */
static int32_t draw_token(sampler *s, float max)
{
    int64_t kept = keep_part(s, max);
    double mass = 0, at;
    for (int64_t i = 0; i < kept; i++) mass += exp((double)(s->part[i].logit - max));
    at = draw(s) * mass;
    for (int64_t i = 0; i < kept; i++)
        if ((at -= exp((double)(s->part[i].logit - max))) < 0) return s->part[i].id;
    return s->part[kept - 1].id;
}

int32_t sampler_pick(sampler *s, const float *logits, const int32_t *history, int64_t n)
{
    const bool greedy = s->opt.temperature == 0;
    memcpy(s->logits, logits, (size_t)s->vocab * sizeof *logits);
    for (int32_t i = 0; i < s->opt.n_bias; i++) s->logits[s->bias[i].id] += s->bias[i].add;
    apply_penalties(s, history, n);
    for (int64_t i = 0; !greedy && i < s->vocab; i++) s->logits[i] = isnan(s->logits[i]) ? -INFINITY : s->logits[i] / s->opt.temperature;
    if (s->weighed) memset(s->weighed, 0, (size_t)s->vocab);
    for (int64_t tries = 0; tries <= s->vocab; tries++) {
        int32_t id = likeliest(s->logits, s->vocab);
        const float max = s->logits[id];
        const bool left = isfinite(max);
        if (!left && tries) return -1;
        if (!left && !greedy) id = likeliest(logits, s->vocab); /* everything was forbidden */
        else if (!greedy) id = draw_token(s, max);
        if (!s->weighed || s->weighed[id]) return id;
        const float less = s->opt.weigh(s->opt.arg, id);
        if (less == 0) return id;
        s->logits[id] += greedy ? less : less / s->opt.temperature;
        s->weighed[id] = 1;
    }
    return -1;
}

float sampler_logprobs(const float *logits, int64_t vocab, int32_t id, sampler_logprob *top, int32_t n_top)
{
    float max = logits[likeliest(logits, vocab)];
    double sum = 0;
    for (int64_t i = 0; i < vocab; i++) sum += exp((double)(logits[i] - max));
    double base = (double)max + log(sum);
    int32_t held = 0;
    for (int64_t i = 0; n_top && i < vocab; i++) { /* insertion into the few best */
        float p = (float)(logits[i] - base);
        if (held == n_top && !(p > top[held - 1].logprob)) continue;
        int32_t at = held < n_top ? held++ : held - 1;
        for (; at > 0 && p > top[at - 1].logprob; at--) top[at] = top[at - 1];
        top[at] = (sampler_logprob){(int32_t)i, p};
    }
    return (float)((double)logits[id] - base);
}

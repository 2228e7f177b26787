/* Writing text: the loop of eval, sample, decode, until something ends it.
 *
 * Text handed out is always whole UTF-8. With stop strings, text that could still become one is held back, so a stop string is
 * never seen by the caller.
 */
#ifndef ENGINE_GENERATE_H
#define ENGINE_GENERATE_H

#include "engine/engine.h"
#include "engine/sampler.h"

enum { GENERATE_TOP_MAX = 20, GENERATE_STOPS_MAX = 16, GENERATE_STOP_BYTES_MAX = 1024 };

typedef struct generate_piece {
    const char *text;   /* new text, n bytes; may be empty while a character is unfinished */
    size_t n;
    int32_t id;
    float logprob;
    const sampler_logprob *top; /* [n_top] */
    int32_t n_top;
} generate_piece;

typedef enum generate_end { END_TOKEN, END_LENGTH, END_STOP, END_CONTEXT, END_CALLER } generate_end;
/* "stop", "length", "stop", "context", "cancelled": as `juan run --json` says it. */
const char *generate_end_name(generate_end e);

/* Bytes at the end of a written text that stand for a character which was never finished. */
size_t generate_unfinished(const char *text, size_t n);

typedef struct generate_options {
    sampler_options sampling;
    int64_t max_tokens;          /* 0: as many as the context takes */
    const char *const *stops;    /* stop strings */
    int n_stops;
    int32_t n_top;               /* log-probabilities wanted beside each token */
    bool ignore_end;             /* go on past end tokens (benchmarks) */
    unsigned decode_flags;       /* token_stream flags */
    /* How well the text goes on so: all that was written with one token more, its last character perhaps unfinished; or ends here. What is added to
     * the token's logit, 0 or less; -INFINITY refuses it, and where everything is refused the text ends (END_STOP). NULL: 0. */
    float (*weigh)(void *arg, const char *text, size_t n, bool ended);
    bool (*on_piece)(void *arg, const generate_piece *p);              /* false ends the text: END_CALLER */
    bool (*on_progress)(void *arg, int64_t done, int64_t total);       /* while the prompt is read; false cancels */
    void *arg;
} generate_options;

typedef struct generate_result {
    generate_end end;
    int64_t prompt_tokens, reused_tokens, written_tokens;
    double prompt_seconds, write_seconds, first_token_seconds;
} generate_result;

/* Reads prompt ids[0..n) into the session (reusing what it holds) and writes on. Appends all text to *out when out is given. */
CJ_NODISCARD cj_err generate(session *s, const int32_t *ids, int64_t n, const generate_options *opt, buf *out, generate_result *r, cj_diag *d);

#endif

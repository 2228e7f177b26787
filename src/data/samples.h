/* Training rows as tokens: what is read as a prefix, what is trained on, and which tokens are scored.
 *
 * A sample is one sequence: tokens of its own, of which some are to be predicted, and perhaps a passage before them that is read
 * without gradients. Samples of one passage stand together in a group, so that it is read once for all of them; every other sample is
 * a group of its own. Nothing changes after samples_make.
 *
 * What is scored: of a conversation what the assistant says, with the token that ends its turn; of a question the quote and the
 * answer, with the end token; of plain text everything but the first token of each piece.
 */
#ifndef DATA_SAMPLES_H
#define DATA_SAMPLES_H

#include "data/rows.h"
#include "token/tokenizer.h"

typedef struct sample {
    int64_t row;            /* of the training rows */
    int64_t first, n;       /* its tokens: tokens[first .. first + n) */
    int32_t aim, aim_end;   /* the quote's tokens: of the passage's where it is a prefix, else of the sample's; equal: none */
} sample;

typedef struct sample_group {
    int64_t passage;        /* its prefix; -1: none */
    int64_t first, n;       /* samples */
    int64_t tokens;         /* of all of them */
    bool held;              /* kept out of training */
} sample_group;

typedef struct sample_prefix {
    int64_t first, n;       /* tokens; n 0: of no use to any sample */
} sample_prefix;

typedef struct sample_set {
    int32_t *tokens;        /* [n_tokens] */
    uint8_t *scored;        /* [n_tokens] 1: to be predicted from the tokens before it */
    int64_t n_tokens, tokens_cap;
    sample *sample;         /* [n], group by group */
    int64_t n, cap;
    sample_group *group;    /* [n_groups] */
    int64_t n_groups, groups_cap;
    sample_prefix *prefix;  /* [passages of the rows] */
    int64_t too_long, no_template; /* rows that were left out */
    int64_t scored_tokens;
} sample_set;

typedef struct sample_options {
    const char *chat_template; /* of the model; NULL: it has none, and conversations are left out */
    bool whole;                /* passages are not prefixes: they stand in the samples, unscored */
    int64_t sample_tokens;     /* the most of a sample; plain text is cut into pieces, other rows that are longer are left out */
    int64_t prefix_tokens;     /* the most of a passage */
    int64_t group_tokens;      /* a group with more is split, and its passage read again */
    double held;               /* this share of the documents is held out, 0..0.5; with few documents, of the passages */
} sample_options;

/* out is initialised here; samples_deinit it whatever comes back. */
CJ_NODISCARD cj_err samples_make(sample_set *out, const training_rows *rows, const tokenizer *t, const sample_options *opt, cj_diag *d);
void samples_deinit(sample_set *s);

#endif

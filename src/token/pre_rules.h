/* The matchers of pre-tokenizers: one struct of settings, a few functions that read it. Private to pretokenize.c. */
#ifndef TOKEN_PRE_RULES_H
#define TOKEN_PRE_RULES_H

#include "token/unicode_class.h"

typedef struct pre_cursor {
    const unicode_table *table;
    const char *text;
    size_t start, end; /* of the piece; a matcher looks at nothing outside */
} pre_cursor;

typedef enum pre_contractions { PRE_NO_CONTRACTIONS, PRE_LOWER_CASE, PRE_ANY_CASE } pre_contractions;
typedef enum pre_tail { PRE_TAIL_NONE, PRE_TAIL_NEWLINES, PRE_TAIL_NEWLINES_SLASHES } pre_tail;

typedef struct pre_range {
    uint32_t first, last;
} pre_range;

typedef struct pre_rule pre_rule;
/* Where the match that begins at `at` < end ends; `at` itself when nothing matches there. */
typedef size_t pre_matcher(const pre_cursor *c, size_t at, const pre_rule *rule);

struct pre_rule {
    pre_matcher *match;
    /* of pre_match_words; sets are of classes */
    pre_contractions contractions; /* 's 't 're 've 'm 'll 'd: pieces of their own, or with `cased` the ends of words */
    bool ascii_punctuation_word;   /* one ASCII punctuation mark and ASCII letters are a word */
    bool cased;                    /* words end before a capital that follows a small letter */
    bool han_apart;                /* runs of Han characters are pieces of their own */
    bool prefix_is_space;          /* only a space may stand before a word, but also before numbers (GPT-2) */
    uint64_t letters;              /* of words */
    uint64_t no_prefix;            /* what may not stand before a word; line ends never do */
    uint64_t numbers;
    int digits_max;                /* 0: any number */
    uint64_t others;               /* runs of these, with a space before and a tail behind */
    pre_tail tail;
    bool newlines;                 /* white space up to the last line end is a piece */
    const pre_range *ranges;       /* of pre_match_ranges; ends with {0, 0} */
};

pre_matcher pre_match_words;
pre_matcher pre_match_class;             /* runs of `letters`, at most digits_max; white space before them with prefix_is_space */
pre_matcher pre_match_ranges;            /* runs of `ranges`, likewise */
pre_matcher pre_match_newline;           /* one \r or \n */
pre_matcher pre_match_trailing_space;    /* \s+$ */
pre_matcher pre_match_ascii_punctuation; /* [\p{P}\$\+<=>\^~\|]+ */
pre_matcher pre_match_three_digits;      /* [0-9][0-9][0-9] */

extern const pre_range pre_ranges_deepseek_v3_cjk[], pre_ranges_deepseek_cjk[], pre_ranges_deepseek_letters[],
    pre_ranges_deepseek_punctuation[];

/* The character after the one at `at`. */
static inline size_t pre_next(const pre_cursor *c, size_t at)
{
    uint32_t cp;
    return at + (size_t)utf8_decode(c->text + at, c->end - at, &cp);
}

#endif

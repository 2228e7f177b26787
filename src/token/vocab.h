/* What a tokenizer is made of. Private to token/: callers use token/tokenizer.h.
 *
 * Invariants after tokenizer_open:
 *   1. 0 <= every id stored anywhere < count, or -1 where that is said.
 *   2. Every byte, or every character, can be encoded: by its token, by byte tokens, or by lost_ids.
 *   3. In a vocabulary with spaces, the pieces of normal tokens have ' ' where the file has U+2581.
 */
#ifndef TOKEN_VOCAB_H
#define TOKEN_VOCAB_H

#include "token/pretokenize.h"
#include "token/tokenizer.h"

/* ---- piece -> id ---- */

typedef struct piece_slot {
    uint32_t tag;  /* upper bits of the hash */
    uint32_t next; /* id + 1; 0: empty */
} piece_slot;

/* ---- pair of ids -> merge ---- */

typedef struct pair_slot {
    uint64_t key; /* left << 32 | right; PAIR_EMPTY */
    uint32_t rank;
    int32_t merged;
} pair_slot;
#define PAIR_EMPTY UINT64_MAX

/* ---- tokens found in the text before anything is merged ---- */

typedef struct special_token {
    uint32_t offset, size; /* in special_set.bytes */
    int32_t id;
    bool always;           /* also without TOKEN_PARSE_SPECIAL */
    uint8_t strips;        /* token_strip */
} special_token;

typedef struct special_set {
    special_token *tokens; /* in the order of their bytes */
    size_t count;
    char *bytes;
    uint32_t first[257];   /* tokens[first[b]..first[b + 1]) begin with byte b */
    bool starts[2][256];   /* does any begin so; [0] those found always, [1] all */
} special_set;

/* The longest special token at text[at]; all: with control tokens. NULL: none. */
const special_token *special_match(const special_set *s, const char *text, size_t at, size_t n, bool all);

/* ---- the tokenizer ---- */

struct tokenizer {
    token_kind kind;
    bool by_text;        /* two pieces merge where the vocabulary has their text, by priority (TOKEN_SPM); else by the pairs */
    bool spaces;         /* ' ' in the text is U+2581 in the file */
    bool space_prefix, ignore_merges, nfc;
    int32_t count;
    uint32_t *ends;      /* piece i is bytes[ends[i] .. ends[i + 1]) */
    char *bytes;
    uint8_t *types;      /* token_type, | PIECE_END */
    uint32_t *priority;  /* by_text: the smallest is merged first */
    piece_slot *pieces;
    size_t piece_mask;
    pair_slot *pairs;
    size_t pair_mask;
    int32_t byte_ids[256];  /* -1: none */
    int32_t lost_ids[3];    /* what stands for bytes that the vocabulary does not have */
    int lost_count;
    special_set specials;
    token_specials special_ids;
    const pre_tokenizer *pre;
    unicode_table *classes;
    uint64_t *bigrams;      /* Bloom filter of neighbours inside tokens, see vocab_may_join */
    unsigned bigram_shift;
};
enum { PIECE_TYPE = 0x0F, PIECE_END = 0x10 };

static inline token_text vocab_piece(const tokenizer *t, int32_t id)
{
    return (token_text){t->bytes + t->ends[id], t->ends[id + 1] - t->ends[id]};
}

/* The slot of a piece with this text and hash, or the empty one where it belongs. */
piece_slot *vocab_slot(const tokenizer *t, const char *text, size_t n, uint64_t hash);
/* The token that merging may produce with exactly these bytes; -1: none. */
int32_t vocab_find(const tokenizer *t, const char *text, size_t n);

static inline uint64_t pair_hash(uint64_t key)
{
    key *= UINT64_C(0x9E3779B97F4A7C15);
    return key ^ key >> 32;
}

/* The merge of two tokens; NULL: they do not merge. */
static inline const pair_slot *vocab_pair(const tokenizer *t, int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    for (size_t i = pair_hash(key) & t->pair_mask;; i = (i + 1) & t->pair_mask) {
        if (t->pairs[i].key == key) return &t->pairs[i];
        if (t->pairs[i].key == PAIR_EMPTY) return NULL;
    }
}

/* What may stand on one side of a place between two characters inside a token: a whole character, or, where a token of bytes
 * begins or ends within one, the part of it that the token has. */
typedef struct join_sides {
    uint32_t keys[4];
    int count;
} join_sides;

static inline uint32_t join_part(const char *bytes, int n)
{
    uint32_t key = 0x80000000u;
    for (int i = 0; i < n; i++) key |= (uint32_t)(unsigned char)bytes[i] << 8 * i;
    return key;
}

static inline uint64_t join_bit(const tokenizer *t, uint32_t left, uint32_t right)
{
    return (((uint64_t)left << 32 | right) * UINT64_C(0xD6E8FEB86659FD93)) >> t->bigram_shift;
}

/* false: no token contains these two side by side, so no merge ever crosses the place between them. */
static inline bool vocab_may_join(const tokenizer *t, uint32_t left, uint32_t right)
{
    uint64_t bit = join_bit(t, left, right);
    return t->bigrams[bit >> 6] >> (bit & 63) & 1;
}

#endif

/* Lookups in a vocabulary that is complete. The tables are open-addressing hash tables, at most half full; building them is in
 * vocab_build.c. */
#include "token/vocab.h"

#include <string.h>

#include "token/piece_hash.h"

piece_slot *vocab_slot(const tokenizer *t, const char *text, size_t n, uint64_t hash)
{
    uint32_t tag = (uint32_t)(hash >> 32);
    size_t i = hash & t->piece_mask;
    for (; t->pieces[i].next; i = (i + 1) & t->piece_mask) {
        if (t->pieces[i].tag != tag) continue;
        token_text piece = vocab_piece(t, (int32_t)(t->pieces[i].next - 1));
        if (piece.size == n && memcmp(piece.data, text, n) == 0) break;
    }
    return &t->pieces[i];
}

int32_t vocab_find(const tokenizer *t, const char *text, size_t n)
{
    return (int32_t)vocab_slot(t, text, n, piece_hash(text, n))->next - 1;
}

int32_t tokenizer_size(const tokenizer *t) { return t->count; }

const token_specials *tokenizer_specials(const tokenizer *t) { return &t->special_ids; }

static bool in_range(const tokenizer *t, int32_t id) { return id >= 0 && id < t->count; }

token_text tokenizer_piece(const tokenizer *t, int32_t id)
{
    return in_range(t, id) ? vocab_piece(t, id) : (token_text){"", 0};
}

token_type tokenizer_type(const tokenizer *t, int32_t id)
{
    return in_range(t, id) ? (token_type)(t->types[id] & PIECE_TYPE) : TOKEN_UNUSED;
}

bool tokenizer_is_end(const tokenizer *t, int32_t id) { return in_range(t, id) && (t->types[id] & PIECE_END); }

int32_t tokenizer_find(const tokenizer *t, const char *text, size_t size)
{
    if (!size) return -1;
    const special_token *s = special_match(&t->specials, text, 0, size, true);
    if (s && s->size == size) return s->id;
    int32_t id = vocab_find(t, text, size);
    return id < 0 && size == 1 ? t->byte_ids[(unsigned char)*text] : id;
}

/* ---- special tokens ---- */

/* Narrows the sorted tokens [low, high), which agree on their first `depth` bytes, to those whose next byte is `byte`. */
static void narrow(const special_set *s, size_t depth, unsigned char byte, size_t *low, size_t *high)
{
    size_t a = *low, b = *high;
    while (a < b) { /* the first that has a byte there and it is >= byte */
        size_t m = a + (b - a) / 2;
        const special_token *k = &s->tokens[m];
        if (k->size > depth && (unsigned char)s->bytes[k->offset + depth] >= byte) b = m; else a = m + 1;
    }
    *low = a;
    b = *high;
    while (a < b) { /* the first that is greater */
        size_t m = a + (b - a) / 2;
        if ((unsigned char)s->bytes[s->tokens[m].offset + depth] > byte) b = m; else a = m + 1;
    }
    *high = a;
}

const special_token *special_match(const special_set *s, const char *text, size_t at, size_t n, bool all)
{
    unsigned char byte = (unsigned char)text[at];
    const special_token *best = NULL;
    size_t low = s->first[byte], high = s->first[byte + 1];
    for (size_t depth = 1; low < high; depth++) {
        const special_token *k = &s->tokens[low]; /* the shortest comes first */
        if (k->size == depth && (all || k->always)) best = k;
        if (at + depth >= n) break;
        narrow(s, depth, (unsigned char)text[at + depth], &low, &high);
    }
    return best;
}

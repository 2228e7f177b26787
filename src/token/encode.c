/* Text to ids: special tokens are found first; what lies between them is normalised, cut into pieces across which nothing
 * merges, and each piece is merged. Pieces of a language repeat, so the ids of short ones are kept in a cache for the length of
 * the call: a tokenizer itself never changes. */
#include <string.h>

#include "token/merge.h"
#include "token/normalise.h"
#include "token/piece_hash.h"

enum { CACHED_BYTES = 30, CACHED_IDS = 8 };

typedef struct cached_piece { /* one cache line */
    uint8_t size, count; /* size 0: empty */
    char bytes[CACHED_BYTES];
    int32_t ids[CACHED_IDS];
} cached_piece;
_Static_assert(sizeof(cached_piece) == 64, "a cached piece fills a cache line");

typedef struct encoder {
    const tokenizer *t;
    token_list *out;
    normal_text text;
    size_t at;     /* in the text: where the next token begins */
    size_t origin; /* of the text in the source */
    size_t source; /* where the next token's span begins */
    cached_piece *cache;
    size_t cache_mask;
    merge_room room;
    cj_diag *d;
} encoder;

/* ---- the list of tokens ---- */

void token_list_init(token_list *l) { *l = (token_list){0}; }

void token_list_deinit(token_list *l)
{
    mem_free(l->ids);
    mem_free(l->spans);
    *l = (token_list){0};
}

static cj_err grow(token_list *l, size_t capacity, cj_diag *d)
{
    size_t bytes;
    if (!size_mul(capacity, sizeof *l->spans, &bytes)) return diag_nomem(d, SIZE_MAX);
    int32_t *ids = mem_alloc(capacity * sizeof *ids);
    token_span *spans = mem_alloc(bytes);
    if (!ids || !spans) {
        mem_free(ids);
        mem_free(spans);
        return diag_nomem(d, bytes);
    }
    if (l->count) {
        memcpy(ids, l->ids, l->count * sizeof *ids);
        memcpy(spans, l->spans, l->count * sizeof *spans);
    }
    mem_free(l->ids);
    mem_free(l->spans);
    l->ids = ids;
    l->spans = spans;
    l->capacity = capacity;
    return CJ_OK;
}

cj_err token_list_push(token_list *l, int32_t id, size_t start, size_t end, cj_diag *d)
{
    if (l->count == l->capacity) TRY(grow(l, l->capacity ? 2 * l->capacity : 64, d));
    l->ids[l->count] = id;
    l->spans[l->count++] = (token_span){start, end};
    return CJ_OK;
}

/* Adds a token that stands for the next `size` bytes of the text. */
static inline cj_err push(encoder *e, int32_t id, size_t size)
{
    e->at += size;
    size_t end = e->origin + (e->text.edit_count ? normal_text_source(&e->text, e->at) : e->at);
    size_t start = e->source;
    e->source = end;
    return token_list_push(e->out, id, start, end, e->d);
}

/* ---- one piece ---- */

/* Bytes or a character without a token of their own. */
static cj_err push_lost(encoder *e, const char *bytes, size_t size)
{
    bool known = true;
    for (size_t i = 0; i < size; i++) known = known && e->t->byte_ids[(unsigned char)bytes[i]] >= 0;
    if (known) {
        for (size_t i = 0; i < size; i++) TRY(push(e, e->t->byte_ids[(unsigned char)bytes[i]], 1));
        return CJ_OK;
    }
    for (int i = 0; i < e->t->lost_count; i++) TRY(push(e, e->t->lost_ids[i], i ? 0 : size));
    return CJ_OK;
}

static void remember(encoder *e, cached_piece *slot, const char *piece, size_t n, const merge_result *results, size_t count)
{
    if (count > CACHED_IDS) return;
    for (size_t i = 0; i < count; i++)
        if (results[i].id < 0) return; /* before anything is written: the slot may hold another piece */
    for (size_t i = 0; i < count; i++) slot->ids[i] = results[i].id;
    slot->size = (uint8_t)n;
    slot->count = (uint8_t)count;
    memcpy(slot->bytes, piece, n);
}

/* Merges a piece that nothing joins to what stands around it. */
static cj_err encode_piece(encoder *e, const char *piece, size_t n)
{
    const tokenizer *t = e->t;
    cached_piece *slot = NULL;
    if (n <= CACHED_BYTES) {
        slot = &e->cache[piece_hash(piece, n) & e->cache_mask];
        if (slot->size == n && memcmp(slot->bytes, piece, n) == 0) {
            for (int i = 0; i < slot->count; i++) TRY(push(e, slot->ids[i], vocab_piece(t, slot->ids[i]).size));
            return CJ_OK;
        }
    }
    const merge_result *results;
    size_t count;
    TRY(merge_piece(t, &e->room, piece, n, &results, &count, e->d));
    if (slot) remember(e, slot, piece, n, results, count);
    for (size_t i = 0; i < count; i++) {
        if (results[i].id >= 0) TRY(push(e, results[i].id, results[i].size));
        else TRY(push_lost(e, e->text.text + e->at, results[i].size));
    }
    return CJ_OK;
}

/* ---- a text between special tokens ---- */

/* A character as it may stand inside tokens to the left, or to the right, of its neighbour. Tokens of bytes may hold a part. */
static inline void left_sides(const tokenizer *t, const char *c, int length, uint32_t cp, join_sides *s)
{
    s->keys[0] = cp;
    s->count = t->kind == TOKEN_BPE_BYTES ? length : 1;
    for (int i = 1; i < s->count; i++) s->keys[i] = join_part(c + i, length - i);
}

static inline bool may_join(const tokenizer *t, const join_sides *left, const char *c, int length, uint32_t cp)
{
    if (vocab_may_join(t, left->keys[0], cp)) return true;
    if (t->kind != TOKEN_BPE_BYTES) return false;
    for (int j = 0; j < length; j++) {
        uint32_t right = j ? join_part(c, j) : cp;
        for (int i = 0; i < left->count; i++)
            if (vocab_may_join(t, left->keys[i], right)) return true;
    }
    return false;
}

/* Cuts text[start..end) where nothing can join and encodes what is between. Bytes that are no UTF-8 are left joined. */
static cj_err encode_joined(encoder *e, const char *text, size_t start, size_t end)
{
    join_sides left = {.count = 0};
    bool left_valid = false;
    for (size_t at = start; at < end;) {
        uint32_t cp;
        int length = utf8_decode(text + at, end - at, &cp);
        bool valid = cp != (uint32_t)UTF8_INVALID;
        if (left_valid && valid && !may_join(e->t, &left, text + at, length, cp)) {
            TRY(encode_piece(e, text + start, at - start));
            start = at;
        }
        left_valid = valid;
        if (valid) left_sides(e->t, text + at, length, cp, &left);
        at += (size_t)length;
    }
    return start < end ? encode_piece(e, text + start, end - start) : CJ_OK;
}

static cj_err emit_piece(void *self, size_t start, size_t end, cj_diag *d)
{
    encoder *e = self;
    const char *text = e->text.text;
    if (e->t->ignore_merges) {
        int32_t id = vocab_find(e->t, text + start, end - start);
        if (id >= 0) return push(e, id, end - start);
    }
    return encode_joined(e, text, start, end);
}

static cj_err encode_between(encoder *e, const char *source, size_t start, size_t end, bool at_start, bool verbatim)
{
    if (start == end) return CJ_OK;
    TRY(normal_text_set(&e->text, e->t, source + start, end - start, at_start, verbatim, e->d));
    e->at = 0;
    e->origin = e->source = start;
    if (e->t->kind != TOKEN_BPE_BYTES) return encode_joined(e, e->text.text, 0, e->text.size);
    return pre_tokenizer_split(e->t->pre, e->t->classes, e->text.text, e->text.size, emit_piece, e, e->d);
}

/* The white space around source[*begin..*end) inside [low, high), as far as the token takes it along. */
static void take_space(const tokenizer *t, const special_token *s, const char *source, size_t low, size_t high, size_t *begin, size_t *end)
{
    uint32_t cp;
    while ((s->strips & TOKEN_STRIP_RIGHT) && *end < high) {
        int length = utf8_decode(source + *end, high - *end, &cp);
        if (!(unicode_class(t->classes, cp) & UNI_SPACE)) break;
        *end += (size_t)length;
    }
    while ((s->strips & TOKEN_STRIP_LEFT) && *begin > low) {
        size_t before = *begin - 1;
        while (before > low && ((unsigned char)source[before] & 0xC0) == 0x80) before--;
        int length = utf8_decode(source + before, *begin - before, &cp);
        if (!(unicode_class(t->classes, cp) & UNI_SPACE) || before + (size_t)length != *begin) break;
        *begin = before;
    }
}

static cj_err encode_all(encoder *e, const char *source, size_t n, unsigned flags)
{
    const special_set *specials = &e->t->specials;
    const token_specials *ids = &e->t->special_ids;
    bool all = flags & TOKEN_PARSE_SPECIAL, add = flags & TOKEN_ADD_SPECIAL, verbatim = flags & TOKEN_VERBATIM, at_start = !(flags & TOKEN_CONTINUES);
    if (add && ids->add_bos) TRY(token_list_push(e->out, ids->bos, 0, 0, e->d));
    size_t start = 0; /* of the text that is not yet encoded */
    for (size_t at = 0; at < n;) {
        const special_token *s = specials->starts[all][(unsigned char)source[at]] ? special_match(specials, source, at, n, all) : NULL;
        if (!s) {
            at++;
            continue;
        }
        size_t begin = at, end = at + s->size;
        if (s->strips) take_space(e->t, s, source, start, n, &begin, &end);
        TRY(encode_between(e, source, start, begin, at_start, verbatim));
        TRY(token_list_push(e->out, s->id, begin, end, e->d));
        at = start = end;
        at_start = true;
    }
    TRY(encode_between(e, source, start, n, at_start, verbatim));
    return add && ids->add_eos ? token_list_push(e->out, ids->eos, n, n, e->d) : CJ_OK;
}

/* Large enough that a book's words stay, small enough that a short prompt does not pay for it. */
static size_t cache_size(size_t n)
{
    size_t size = 16;
    while (size < 16384 && size < n / 16) size *= 2;
    return size;
}

cj_err tokenizer_encode(const tokenizer *t, const char *text, size_t n, unsigned flags, token_list *out, cj_diag *d)
{
    if (n > TOKEN_TEXT_MAX) return diag_fail(d, CJ_E_LIMIT, MSG_TOKEN_TEXT_LONG, "%zu" ARG "%zu", n, TOKEN_TEXT_MAX);
    encoder e = {.t = t, .out = out, .d = d};
    size_t slots = cache_size(n);
    e.cache_mask = slots - 1;
    e.cache = mem_array(slots, sizeof *e.cache);
    if (!e.cache) return diag_nomem(d, slots * sizeof *e.cache);
    normal_text_init(&e.text);
    cj_err err = encode_all(&e, text, n, flags);
    normal_text_deinit(&e.text);
    merge_room_deinit(&e.room);
    mem_free(e.cache);
    return err;
}

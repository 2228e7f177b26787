/* Builds a tokenizer from its description. The description comes from a file that anybody may have written: every number in it
 * is checked here, and what is contradictory is refused with a sentence. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "token/piece_hash.h"
#include "token/vocab.h"

#define SPACE_MARK "\xE2\x96\x81" /* U+2581 */

enum { SPLIT_BYTES_MAX = 256 }; /* of a token, where the merges have to be found by trying */

typedef struct vocab_builder {
    const tokenizer_desc *desc;
    tokenizer *t;
    int16_t alphabet[324]; /* code point -> byte in the GPT-2 alphabet; -1 */
    bool *mergeable;       /* [count]: merging may produce the token */
    cj_diag *d;
} vocab_builder;

/* A token's text for a message: cut, and without what a terminal would take for a command. */
typedef struct shown {
    char text[64];
} shown;

static shown show(token_text t)
{
    shown s;
    size_t n = t.size < sizeof s.text - 1 ? t.size : sizeof s.text - 1;
    if (n) memcpy(s.text, t.data, n);
    s.text[utf8_make_plain(s.text, utf8_valid_prefix(s.text, n), '.')] = 0;
    return s;
}

/* ---- the alphabet of byte-level BPE: printable Latin-1 stands for itself, the other bytes for U+0100 and on ---- */

static void fill_alphabet(int16_t alphabet[324])
{
    int beyond = 256;
    for (int cp = 0; cp < 324; cp++) alphabet[cp] = -1;
    for (int byte = 0; byte < 256; byte++) {
        bool printable = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
        alphabet[printable ? byte : beyond++] = (int16_t)byte;
    }
}

/* Writes the bytes that a token in the alphabet stands for. false: it is not in the alphabet. */
static bool decode_alphabet(const vocab_builder *b, token_text text, char *out, size_t *out_size)
{
    size_t n = 0;
    for (size_t at = 0; at < text.size;) {
        uint32_t cp;
        at += (size_t)utf8_decode(text.data + at, text.size - at, &cp);
        if (cp >= 324 || b->alphabet[cp] < 0) return false;
        out[n++] = (char)b->alphabet[cp];
    }
    *out_size = n;
    return true;
}

static size_t decode_spaces(token_text text, char *out)
{
    size_t n = 0;
    if (!text.size || !memchr(text.data, SPACE_MARK[0], text.size)) {
        if (text.size) memcpy(out, text.data, text.size);
        return text.size;
    }
    for (size_t at = 0; at < text.size;) {
        bool mark = text.size - at >= 3 && memcmp(text.data + at, SPACE_MARK, 3) == 0;
        out[n++] = mark ? ' ' : text.data[at];
        at += mark ? 3 : 1;
    }
    return n;
}

/* ---- pieces ---- */

static token_type type_of(const vocab_builder *b, size_t i)
{
    return b->desc->types && b->desc->types[i] ? (token_type)b->desc->types[i] : TOKEN_NORMAL;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static cj_err add_byte(vocab_builder *b, size_t i, char *out)
{
    token_text s = b->desc->tokens[i];
    int high = -1, low = -1;
    if (s.size == 6 && memcmp(s.data, "<0x", 3) == 0 && s.data[5] == '>') {
        high = hex_digit(s.data[3]);
        low = hex_digit(s.data[4]);
    }
    if (high < 0 || low < 0)
        return diag_fail(b->d, CJ_E_INPUT, MSG_TOKEN_BYTE_BAD, "%s" ARG "%zu" ARG "%s", b->desc->name, i, show(s).text);
    int32_t *id = &b->t->byte_ids[high << 4 | low];
    if (*id >= 0)
        return diag_fail(b->d, CJ_E_INPUT, MSG_TOKEN_TWICE, "%s" ARG "%d" ARG "%zu" ARG "%s", b->desc->name, *id, i, show(s).text);
    *id = (int32_t)i;
    *out = (char)(high << 4 | low);
    return CJ_OK;
}

/* Writes the piece of token i, says whether merging may produce it. */
static cj_err add_piece(vocab_builder *b, size_t i, char *out, size_t *size)
{
    token_text s = b->desc->tokens[i];
    token_type type = type_of(b, i);
    *size = 1;
    if (type == TOKEN_BYTE && b->t->spaces) return add_byte(b, i, out);
    bool normal = type == TOKEN_NORMAL || type == TOKEN_UNUSED;
    if (b->t->kind == TOKEN_BPE_BYTES) {
        b->mergeable[i] = normal && decode_alphabet(b, s, out, size);
        if (b->mergeable[i]) return CJ_OK;
    } else if (normal || (b->t->kind == TOKEN_BPE_CHARS && type == TOKEN_USER)) {
        b->mergeable[i] = !memchr(s.data ? s.data : "", ' ', s.size); /* a space in the text never stays one */
        *size = decode_spaces(s, out);
        return CJ_OK;
    }
    if (s.size) memcpy(out, s.data, s.size);
    *size = s.size;
    return CJ_OK;
}

static cj_err check_tokens(const vocab_builder *b, size_t *bytes)
{
    const tokenizer_desc *desc = b->desc;
    *bytes = 0;
    for (size_t i = 0; i < desc->count; i++) {
        size_t size = desc->tokens[i].size;
        if (size > TOKEN_BYTES_MAX)
            return diag_fail(b->d, CJ_E_INPUT, MSG_TOKEN_TOO_LONG, "%s" ARG "%zu" ARG "%zu" ARG "%d", desc->name, i, size, TOKEN_BYTES_MAX);
        if (type_of(b, i) > TOKEN_BYTE)
            return diag_fail(b->d, CJ_E_INPUT, MSG_TOKEN_TYPE_BAD, "%s" ARG "%zu" ARG "%d", desc->name, i, (int)type_of(b, i));
        if (desc->scores && isnan(desc->scores[i]))
            return diag_fail(b->d, CJ_E_INPUT, MSG_TOKEN_SCORE_BAD, "%s" ARG "%zu", desc->name, i);
        *bytes += size > 0 ? size : 1;
        if (*bytes > TOKEN_VOCAB_BYTES_MAX)
            return diag_fail(b->d, CJ_E_LIMIT, MSG_LIMIT, "%s" ARG "%d", desc->name, TOKEN_VOCAB_BYTES_MAX);
    }
    return CJ_OK;
}

static cj_err add_pieces(vocab_builder *b)
{
    tokenizer *t = b->t;
    size_t bytes, count = (size_t)t->count, fill = 0;
    TRY(check_tokens(b, &bytes));
    t->bytes = mem_alloc(bytes);
    t->ends = mem_array(count + 1, sizeof *t->ends);
    t->types = mem_array(count, 1);
    b->mergeable = mem_array(count, sizeof *b->mergeable);
    if (!t->bytes || !t->ends || !t->types || !b->mergeable) return diag_nomem(b->d, bytes);
    for (size_t i = 0; i < count; i++) {
        size_t size;
        t->types[i] = (uint8_t)type_of(b, i);
        TRY(add_piece(b, i, t->bytes + fill, &size));
        fill += size;
        t->ends[i + 1] = (uint32_t)fill;
    }
    return CJ_OK;
}

static size_t table_size(size_t entries)
{
    size_t size = 64;
    while (size < 2 * entries) size *= 2;
    return size;
}

static cj_err index_pieces(vocab_builder *b)
{
    tokenizer *t = b->t;
    size_t size = table_size((size_t)t->count);
    t->pieces = mem_array(size, sizeof *t->pieces);
    if (!t->pieces) return diag_nomem(b->d, size * sizeof *t->pieces);
    t->piece_mask = size - 1;
    for (int32_t id = 0; id < t->count; id++) {
        token_text piece = vocab_piece(t, id);
        if (!b->mergeable[id] || !piece.size) continue;
        piece_slot *slot = vocab_slot(t, piece.data, piece.size, piece_hash(piece.data, piece.size));
        if (slot->next)
            return diag_fail(b->d, CJ_E_INPUT, MSG_TOKEN_TWICE, "%s" ARG "%d" ARG "%d" ARG "%s", b->desc->name, (int32_t)slot->next - 1, id,
                             show(b->desc->tokens[id]).text);
        slot->tag = (uint32_t)(piece_hash(piece.data, piece.size) >> 32);
        slot->next = (uint32_t)id + 1;
    }
    return CJ_OK;
}

/* ---- merges ---- */

static cj_err merge_error(const vocab_builder *b, size_t i)
{
    const token_merge *m = &b->desc->merges[i];
    return diag_fail(b->d, CJ_E_INPUT, MSG_TOKEN_MERGE_BAD, "%s" ARG "%zu" ARG "%s %s", b->desc->name, i, show(m->left).text,
                     show(m->right).text);
}

/* The piece that one half of a merge names, written to out[0..TOKEN_BYTES_MAX). */
static bool merge_half(const vocab_builder *b, token_text half, char *out, size_t *size)
{
    if (!half.size || half.size > TOKEN_BYTES_MAX) return false;
    if (b->t->kind == TOKEN_BPE_BYTES) return decode_alphabet(b, half, out, size);
    *size = decode_spaces(half, out);
    return true;
}

static cj_err make_pairs(vocab_builder *b, size_t count)
{
    tokenizer *t = b->t;
    size_t size = table_size(count);
    t->pairs = mem_array(size, sizeof *t->pairs);
    if (!t->pairs) return diag_nomem(b->d, size * sizeof *t->pairs);
    for (size_t i = 0; i < size; i++) t->pairs[i].key = PAIR_EMPTY;
    t->pair_mask = size - 1;
    return CJ_OK;
}

/* Of two merges of the same pair the first counts. */
static void add_pair(tokenizer *t, int32_t left, int32_t right, uint32_t rank, int32_t merged)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t slot = pair_hash(key) & t->pair_mask;
    while (t->pairs[slot].key != PAIR_EMPTY && t->pairs[slot].key != key) slot = (slot + 1) & t->pair_mask;
    if (t->pairs[slot].key == PAIR_EMPTY) t->pairs[slot] = (pair_slot){key, rank, merged};
}

static cj_err add_merges(vocab_builder *b)
{
    TRY(make_pairs(b, b->desc->merge_count));
    char *text = mem_alloc(2 * TOKEN_BYTES_MAX);
    if (!text) return diag_nomem(b->d, 2 * TOKEN_BYTES_MAX);
    cj_err e = CJ_OK;
    for (size_t i = 0; !e && i < b->desc->merge_count; i++) {
        size_t n, m;
        bool ok = merge_half(b, b->desc->merges[i].left, text, &n) && merge_half(b, b->desc->merges[i].right, text + n, &m);
        int32_t left = ok ? vocab_find(b->t, text, n) : -1, right = ok ? vocab_find(b->t, text + n, m) : -1;
        int32_t merged = left >= 0 && right >= 0 ? vocab_find(b->t, text, n + m) : -1;
        if (merged < 0) e = merge_error(b, i);
        else add_pair(b->t, left, right, (uint32_t)i, merged);
    }
    mem_free(text);
    return e;
}

/* Without merges the ids are the order: any two tokens whose bytes together are a token merge, the lowest id first. With
 * add false only counts such pairs. */
static size_t pairs_by_id(vocab_builder *b, bool add)
{
    size_t count = 0;
    for (int32_t id = 0; id < b->t->count; id++) {
        token_text piece = vocab_piece(b->t, id);
        if (!b->mergeable[id]) continue;
        for (size_t n = 1; n < piece.size; n++) {
            int32_t left = vocab_find(b->t, piece.data, n);
            int32_t right = left < 0 ? -1 : vocab_find(b->t, piece.data + n, piece.size - n);
            if (right < 0) continue;
            count++;
            if (add) add_pair(b->t, left, right, (uint32_t)id, id);
        }
    }
    return count;
}

static cj_err add_pairs_by_id(vocab_builder *b)
{
    for (int32_t id = 0; id < b->t->count; id++) {
        size_t size = vocab_piece(b->t, id).size;
        if (b->mergeable[id] && size > SPLIT_BYTES_MAX) /* bounds the time of trying every split */
            return diag_fail(b->d, CJ_E_INPUT, MSG_TOKEN_TOO_LONG, "%s" ARG "%d" ARG "%zu" ARG "%d", b->desc->name, id, size, SPLIT_BYTES_MAX);
    }
    TRY(make_pairs(b, pairs_by_id(b, false)));
    pairs_by_id(b, true);
    return CJ_OK;
}

/* The larger the score, the smaller the number. */
static uint32_t score_key(float score)
{
    uint32_t bits;
    score += 0.0f; /* -0 is 0 */
    memcpy(&bits, &score, sizeof bits);
    return bits >> 31 ? bits : ~(bits | 0x80000000u);
}

static cj_err add_priorities(vocab_builder *b)
{
    tokenizer *t = b->t;
    t->by_text = true;
    t->priority = mem_array((size_t)t->count, sizeof *t->priority);
    if (!t->priority) return diag_nomem(b->d, (size_t)t->count * sizeof *t->priority);
    for (int32_t id = 0; b->desc->scores && id < t->count; id++) t->priority[id] = score_key(b->desc->scores[id]);
    return CJ_OK;
}

/* ---- neighbours inside tokens ---- */

static bool is_continuation(char byte) { return ((unsigned char)byte & 0xC0) == 0x80; }

static void add_join(tokenizer *t, bool first, uint32_t left, uint32_t right)
{
    uint64_t bit = join_bit(t, left, right), set = UINT64_C(1) << (bit & 63);
    if (!first && !(t->bigrams[bit >> 6] & set)) t->bigrams[bit >> 6] |= set;
}

/* The characters of one piece, whole ones and the parts at its ends. What is no UTF-8 in its middle never occurs in a text that
 * is cut. */
static void add_joins_of(tokenizer *t, token_text piece)
{
    uint32_t left = 0, right;
    size_t at = 0;
    while (at < piece.size && at < 3 && is_continuation(piece.data[at])) at++;
    if (at) left = join_part(piece.data, (int)at);
    for (bool first = at == 0; at < piece.size; left = right, first = false) {
        size_t rest = piece.size - at;
        int length = utf8_decode(piece.data + at, rest, &right);
        if (right == (uint32_t)UTF8_INVALID && rest <= 3) { /* the beginning of a character, most likely */
            length = (int)rest;
            right = join_part(piece.data + at, length);
        }
        add_join(t, first, left, right);
        at += (size_t)length;
    }
}

/* Where texts can be cut without changing their tokens. A false "may join" of the filter costs time only. */
static cj_err add_joins(vocab_builder *b)
{
    tokenizer *t = b->t;
    unsigned log2 = 12;
    while (log2 < 21 && (size_t)1 << log2 < 16 * (size_t)t->count) log2++;
    t->bigram_shift = 64 - log2;
    t->bigrams = mem_array((size_t)1 << (log2 - 6), sizeof *t->bigrams);
    if (!t->bigrams) return diag_nomem(b->d, (size_t)1 << (log2 - 3));
    for (int32_t id = 0; id < t->count; id++)
        if (b->mergeable[id]) add_joins_of(t, vocab_piece(t, id));
    return CJ_OK;
}

/* ---- bytes and special tokens ---- */

static bool byte_in_utf8(int byte) { return byte != 0xC0 && byte != 0xC1 && byte < 0xF5; }

/* What stands for a byte without a token: the unknown token, or U+FFFD for bytes that never occur in UTF-8. */
static cj_err add_lost(vocab_builder *b)
{
    tokenizer *t = b->t;
    if (t->kind == TOKEN_BPE_BYTES)
        for (int byte = 0; byte < 256; byte++) {
            char c = (char)byte;
            t->byte_ids[byte] = vocab_find(t, &c, 1);
        }
    if (t->special_ids.unk >= 0) {
        t->lost_ids[t->lost_count++] = t->special_ids.unk;
        return CJ_OK;
    }
    for (int byte = 0; byte < 256; byte++)
        if (t->byte_ids[byte] < 0 && (byte_in_utf8(byte) || t->kind != TOKEN_BPE_BYTES))
            return diag_fail(b->d, CJ_E_INPUT, MSG_TOKEN_NO_BYTES, "%s" ARG "0x%02X", b->desc->name, (unsigned)byte);
    for (const char *p = "\xEF\xBF\xBD"; *p; p++) t->lost_ids[t->lost_count++] = t->byte_ids[(unsigned char)*p];
    return CJ_OK;
}

static cj_err check_ids(vocab_builder *b)
{
    const tokenizer_desc *desc = b->desc;
    const struct { const char *name; int32_t id; } ids[] = {
        {"begin", desc->bos}, {"end", desc->eos}, {"end-of-turn", desc->eot}, {"unknown", desc->unk}, {"padding", desc->pad}};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (ids[i].id < -1 || ids[i].id >= b->t->count)
            return diag_fail(b->d, CJ_E_INPUT, MSG_TOKEN_ID_RANGE, "%s" ARG "%s" ARG "%d" ARG "%d", desc->name, ids[i].name, ids[i].id, b->t->count);
    bool usual_bos = desc->kind != TOKEN_BPE_BYTES || (b->t->pre && pre_tokenizer_adds_bos(b->t->pre));
    token_specials *s = &b->t->special_ids;
    *s = (token_specials){desc->bos, desc->eos, desc->eot, desc->unk, desc->pad, .add_eos = desc->add_eos == TOKEN_YES};
    s->add_bos = desc->add_bos == TOKEN_AS_USUAL ? usual_bos && s->bos >= 0 : desc->add_bos == TOKEN_YES;
    if ((s->add_bos && s->bos < 0) || (s->add_eos && s->eos < 0))
        return diag_fail(b->d, CJ_E_INPUT, MSG_TOKEN_ID_MISSING, "%s" ARG "%s", desc->name, s->add_bos && s->bos < 0 ? "begin" : "end");
    return CJ_OK;
}

static int compare_specials(const void *a, const void *b, void *bytes)
{
    const special_token *x = a, *y = b;
    size_t n = x->size < y->size ? x->size : y->size;
    int order = memcmp((const char *)bytes + x->offset, (const char *)bytes + y->offset, n);
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

/* Orders the tokens and fills what the search begins with. Two with the same text are refused. */
static cj_err sort_specials(vocab_builder *b, special_set *s)
{
    qsort_r(s->tokens, s->count, sizeof *s->tokens, compare_specials, s->bytes);
    for (size_t i = 0; i < s->count; i++) {
        const special_token *k = &s->tokens[i];
        if (i && compare_specials(k - 1, k, s->bytes) == 0)
            return diag_fail(b->d, CJ_E_INPUT, MSG_TOKEN_TWICE, "%s" ARG "%d" ARG "%d" ARG "%s", b->desc->name, k[-1].id, k->id,
                             show(b->desc->tokens[k->id]).text);
        unsigned char byte = (unsigned char)s->bytes[k->offset];
        s->first[byte + 1]++;
        s->starts[1][byte] = true;
        s->starts[0][byte] |= k->always;
    }
    for (int byte = 0; byte < 256; byte++) s->first[byte + 1] += s->first[byte];
    return CJ_OK;
}

static bool is_special(token_type type) { return type == TOKEN_CONTROL || type == TOKEN_UNKNOWN || type == TOKEN_USER; }

static cj_err add_specials(vocab_builder *b)
{
    special_set *s = &b->t->specials;
    size_t bytes = 0, count = 0, fill = 0;
    for (size_t i = 0; i < b->desc->count; i++)
        if (is_special(type_of(b, i)) && b->desc->tokens[i].size) {
            bytes += b->desc->tokens[i].size;
            count++;
        }
    s->tokens = mem_array(count, sizeof *s->tokens);
    s->bytes = mem_alloc(bytes);
    if (!s->tokens || !s->bytes) return diag_nomem(b->d, bytes);
    for (size_t i = 0; i < b->desc->count; i++) {
        token_text text = b->desc->tokens[i];
        if (!is_special(type_of(b, i)) || !text.size) continue;
        uint8_t strips = b->desc->strips ? b->desc->strips[i] : 0;
        s->tokens[s->count++] = (special_token){(uint32_t)fill, (uint32_t)text.size, (int32_t)i, type_of(b, i) == TOKEN_USER, strips};
        memcpy(s->bytes + fill, text.data, text.size);
        fill += text.size;
    }
    return sort_specials(b, s);
}

/* Names that the vendors give to tokens which end an answer; files seldom name them all. */
static const char *const end_names[] = {
    "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|return|>", "<|call|>", "<|flush|>",
    "<end_of_turn>", "<turn|>", "<eos>", "<EOT>", "[EOT]", "[EOS]", "[e~[", "<｜end▁of▁sentence｜>", "<end_of_utterance>"};
static const char *const turn_names[] = {"<|eot_id|>", "<|im_end|>", "<end_of_turn>", "<turn|>", "<|end|>", "[EOT]"};

static int32_t special_named(const tokenizer *t, const char *name)
{
    size_t n = strlen(name);
    const special_token *s = special_match(&t->specials, name, 0, n, true);
    return s && s->size == n ? s->id : -1;
}

static void mark_ends(tokenizer *t)
{
    token_specials *s = &t->special_ids;
    for (size_t i = 0; i < sizeof turn_names / sizeof *turn_names && s->eot < 0; i++) s->eot = special_named(t, turn_names[i]);
    for (size_t i = 0; i < sizeof end_names / sizeof *end_names; i++) {
        int32_t id = special_named(t, end_names[i]);
        if (id >= 0) t->types[id] |= PIECE_END;
    }
    if (s->eos >= 0) t->types[s->eos] |= PIECE_END;
    /* In the harmony format <|end|> ends a message, not the answer, which <|return|> and <|call|> do. */
    int32_t message_end = special_named(t, "<|end|>");
    bool harmony = message_end >= 0 && special_named(t, "<|return|>") >= 0 && special_named(t, "<|call|>") >= 0;
    if (s->eot >= 0 && !(harmony && s->eot == message_end)) t->types[s->eot] |= PIECE_END;
    if (message_end >= 0 && !harmony) t->types[message_end] |= PIECE_END;
}

/* ---- open and close ---- */

static cj_err choose_pre(vocab_builder *b)
{
    tokenizer *t = b->t;
    const char *name = b->desc->pre ? b->desc->pre : "default";
    if (t->kind == TOKEN_BPE_BYTES && !(t->pre = pre_tokenizer_find(name)))
        return diag_fail(b->d, CJ_E_UNSUPPORTED, MSG_TOKEN_PRE_UNKNOWN, "%s" ARG "%s", b->desc->name, show((token_text){name, strlen(name)}).text);
    t->ignore_merges = b->desc->ignore_merges == TOKEN_AS_USUAL ? t->pre && pre_tokenizer_ignores_merges(t->pre)
                                                                : b->desc->ignore_merges == TOKEN_YES;
    t->space_prefix = t->spaces && b->desc->add_space_prefix != TOKEN_NO;
    t->classes = mem_alloc(sizeof *t->classes);
    if (!t->classes) return diag_nomem(b->d, sizeof *t->classes);
    unicode_table_fill(t->classes);
    return CJ_OK;
}

static cj_err build(vocab_builder *b)
{
    const tokenizer_desc *desc = b->desc;
    if (desc->count < 1 || desc->count > TOKEN_COUNT_MAX)
        return diag_fail(b->d, CJ_E_INPUT, MSG_TOKEN_VOCAB_SIZE, "%s" ARG "%zu" ARG "%d", desc->name, desc->count, TOKEN_COUNT_MAX);
    if (desc->merge_count > TOKEN_MERGES_MAX)
        return diag_fail(b->d, CJ_E_INPUT, MSG_TOKEN_MERGES_MANY, "%s" ARG "%zu" ARG "%d", desc->name, desc->merge_count, TOKEN_MERGES_MAX);
    tokenizer *t = b->t;
    t->count = (int32_t)desc->count;
    t->kind = desc->kind;
    t->spaces = desc->kind != TOKEN_BPE_BYTES;
    t->nfc = desc->nfc;
    for (int byte = 0; byte < 256; byte++) t->byte_ids[byte] = -1;
    fill_alphabet(b->alphabet);
    TRY(choose_pre(b));
    TRY(check_ids(b));
    TRY(add_pieces(b));
    TRY(index_pieces(b));
    bool listed = desc->merge_count || desc->kind == TOKEN_BPE_CHARS;
    TRY(desc->kind == TOKEN_SPM ? add_priorities(b) : listed ? add_merges(b) : add_pairs_by_id(b));
    TRY(add_joins(b));
    TRY(add_lost(b));
    TRY(add_specials(b));
    mark_ends(t);
    return CJ_OK;
}

cj_err tokenizer_open(tokenizer **out, const tokenizer_desc *desc, cj_diag *d)
{
    tokenizer *t = mem_zalloc(sizeof *t);
    if (!t) return diag_nomem(d, sizeof *t);
    vocab_builder b = {.desc = desc, .t = t, .d = d};
    cj_err e = build(&b);
    mem_free(b.mergeable);
    if (e) tokenizer_close(&t);
    else *out = t;
    return e;
}

void tokenizer_close(tokenizer **t)
{
    if (!*t) return;
    void *const blocks[] = {(*t)->ends, (*t)->bytes, (*t)->types, (*t)->priority, (*t)->pieces, (*t)->pairs, (*t)->specials.tokens,
                            (*t)->specials.bytes, (*t)->classes, (*t)->bigrams, *t};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) mem_free(blocks[i]);
    *t = NULL;
}

bool token_merge_split(token_text merge, token_merge *out)
{
    const char *space = merge.size > 2 ? memchr(merge.data + 1, ' ', merge.size - 2) : NULL;
    if (!space) return false;
    size_t n = (size_t)(space - merge.data);
    *out = (token_merge){{merge.data, n}, {space + 1, merge.size - n - 1}};
    return true;
}

bool token_kind_named(token_text name, token_kind *kind)
{
    static const struct { const char *name; token_kind kind; } known[] = {{"llama", TOKEN_SPM}, {"gpt2", TOKEN_BPE_BYTES}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (name.size == strlen(known[i].name) && memcmp(name.data, known[i].name, name.size) == 0) {
            *kind = known[i].kind;
            return true;
        }
    return false;
}

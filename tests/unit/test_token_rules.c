/* token/ by its own rules, on small vocabularies made here: merging against a plain reference, spans, special tokens, streams,
 * vocabularies that are wrong, memory that is not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "token/tokenizer.h"
#include "token/tokenizer_json.h"

/* ---- vocabularies ---- */

enum { VOCAB_MAX = 2048 };

typedef struct vocab {
    char texts[VOCAB_MAX][40]; /* as the file has them */
    token_text tokens[VOCAB_MAX];
    float scores[VOCAB_MAX];
    uint8_t types[VOCAB_MAX], strips[VOCAB_MAX];
    token_merge merges[VOCAB_MAX];
    tokenizer_desc desc;
} vocab;

static int32_t add(vocab *v, const char *text, token_type type, float score)
{
    size_t i = v->desc.count++;
    assert_true(i < VOCAB_MAX && strlen(text) < sizeof *v->texts);
    strcpy(v->texts[i], text);
    v->tokens[i] = (token_text){v->texts[i], strlen(text)};
    v->types[i] = (uint8_t)type;
    v->scores[i] = score;
    return (int32_t)i;
}

static void add_merge(vocab *v, int32_t left, int32_t right)
{
    v->merges[v->desc.merge_count++] = (token_merge){v->tokens[left], v->tokens[right]};
}

static vocab *new_vocab(token_kind kind)
{
    vocab *v = calloc(1, sizeof *v);
    v->desc = (tokenizer_desc){.name = "test", .kind = kind, .pre = "gpt-2", .tokens = v->tokens, .types = v->types, .strips = v->strips,
                               .merges = v->merges, .bos = -1, .eos = -1, .eot = -1, .unk = -1, .pad = -1, .add_bos = TOKEN_AS_USUAL,
                               .add_eos = TOKEN_AS_USUAL, .add_space_prefix = TOKEN_AS_USUAL, .ignore_merges = TOKEN_AS_USUAL};
    if (kind == TOKEN_SPM) v->desc.scores = v->scores;
    return v;
}

/* A byte as the GPT-2 alphabet writes it. */
static void write_byte(int byte, char *out)
{
    int beyond = 0;
    bool plain = false;
    for (int b = 0; b <= byte; b++) {
        plain = (b > 32 && b < 127) || (b > 160 && b != 173);
        beyond += !plain;
    }
    out[utf8_encode(plain ? (uint32_t)byte : 255u + (uint32_t)beyond, out)] = 0;
}

static vocab *byte_vocab(void)
{
    vocab *v = new_vocab(TOKEN_BPE_BYTES);
    for (int byte = 0; byte < 256; byte++) {
        char text[8];
        write_byte(byte, text);
        add(v, text, TOKEN_NORMAL, 0);
    }
    return v;
}

static vocab *spm_vocab(token_kind kind)
{
    vocab *v = new_vocab(kind);
    v->desc.unk = add(v, "<unk>", TOKEN_UNKNOWN, 0);
    v->desc.bos = add(v, "<s>", TOKEN_CONTROL, 0);
    v->desc.eos = add(v, "</s>", TOKEN_CONTROL, 0);
    for (int byte = 0; byte < 256; byte++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", (unsigned)byte);
        add(v, text, TOKEN_BYTE, 0);
    }
    return v;
}

static tokenizer *open_vocab(const vocab *v)
{
    tokenizer *t = NULL;
    cj_diag d = {0};
    char text[512];
    if (tokenizer_open(&t, &v->desc, &d)) {
        cj_diag_text(&d, CJ_LANG_EN, text, sizeof text);
        fail_msg("%s", text);
    }
    return t;
}

/* ---- checks ---- */

static token_list encode(const tokenizer *t, const char *text, unsigned flags)
{
    token_list l;
    token_list_init(&l);
    assert_int_equal(tokenizer_encode(t, text, strlen(text), flags, &l, NULL), CJ_OK);
    size_t at = 0;
    for (size_t i = 0; i < l.count; i++) {
        assert_int_equal(l.spans[i].start, at);
        assert_true(l.spans[i].end >= at);
        at = l.spans[i].end;
    }
    if (l.count) assert_int_equal(at, strlen(text));
    return l;
}

/* "piece|piece|": the pieces that the tokens of a text stand for. */
static void expect(const tokenizer *t, const char *text, unsigned flags, const char *want)
{
    char got[1024];
    size_t n = 0;
    token_list l = encode(t, text, flags);
    for (size_t i = 0; i < l.count; i++) {
        token_text p = tokenizer_piece(t, l.ids[i]);
        n += (size_t)snprintf(got + n, sizeof got - n, "%.*s|", (int)p.size, p.data);
    }
    got[n] = 0;
    assert_string_equal(got, want);
    token_list_deinit(&l);
}

static void expect_decoded(const tokenizer *t, const char *text, unsigned encode_flags, unsigned decode_flags, const char *want)
{
    token_list l = encode(t, text, encode_flags);
    buf out;
    buf_init(&out, 1 << 20);
    assert_int_equal(tokenizer_decode(t, l.ids, l.count, decode_flags, &out, NULL), CJ_OK);
    assert_string_equal(out.data ? out.data : "", want);
    buf_deinit(&out);
    token_list_deinit(&l);
}

/* ---- merging against a plain reference ---- */

static uint64_t random_state;

static uint32_t below(uint32_t n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % n);
}

/* The order of merging two neighbours in the description itself; -1: they do not merge. */
static double reference_rank(const vocab *v, const char *left, const char *right)
{
    char both[80];
    if (v->desc.kind != TOKEN_SPM) {
        for (size_t i = 0; i < v->desc.merge_count; i++)
            if (v->merges[i].left.size == strlen(left) && memcmp(v->merges[i].left.data, left, strlen(left)) == 0 &&
                v->merges[i].right.size == strlen(right) && memcmp(v->merges[i].right.data, right, strlen(right)) == 0)
                return (double)i;
        return -1;
    }
    snprintf(both, sizeof both, "%s%s", left, right);
    for (size_t i = 0; i < v->desc.count; i++)
        if (v->types[i] == TOKEN_NORMAL && strcmp(v->texts[i], both) == 0) return 1000 - (double)v->scores[i];
    return -1;
}

enum { REFERENCE_MAX = 1200 };

/* Merges symbols as the file writes them, the cheapest pair first, among equals the leftmost. */
static size_t reference_merge(const vocab *v, char symbols[REFERENCE_MAX][40], size_t count)
{
    static double ranks[REFERENCE_MAX];
    for (size_t i = 0; i + 1 < count; i++) ranks[i] = reference_rank(v, symbols[i], symbols[i + 1]);
    for (;;) {
        size_t best = count;
        for (size_t i = 0; i + 1 < count; i++)
            if (ranks[i] >= 0 && (best == count || ranks[i] < ranks[best])) best = i;
        if (best == count) return count;
        size_t size = strlen(symbols[best]), more = strlen(symbols[best + 1]);
        assert_true(size + more < sizeof *symbols);
        memmove(symbols[best] + size, symbols[best + 1], more + 1);
        memmove(symbols + best + 1, symbols + best + 2, (count - best - 2) * sizeof *symbols);
        memmove(ranks + best + 1, ranks + best + 2, (count - best - 2) * sizeof *ranks);
        count--;
        if (best) ranks[best - 1] = reference_rank(v, symbols[best - 1], symbols[best]);
        if (best + 1 < count) ranks[best] = reference_rank(v, symbols[best], symbols[best + 1]);
    }
}

/* Letters only, so that a pre-tokenizer leaves them together; some share bytes. */
static const char *const letters[] = {"a", "b", "c", "é", "è", "中", "丮", "国", "𠀀", "𠀁"};
enum { LETTERS = sizeof letters / sizeof *letters };

static size_t random_symbols(token_kind kind, size_t count, char *text, char symbols[REFERENCE_MAX][40])
{
    size_t n = 0;
    *text = 0;
    for (size_t i = 0; i < count; i++) {
        const char *letter = letters[below(LETTERS)];
        strcat(text, letter);
        if (kind != TOKEN_BPE_BYTES) strcpy(symbols[n++], letter);
        else
            for (; *letter; letter++) write_byte((unsigned char)*letter, symbols[n++]);
    }
    return n;
}

static void compare_with_reference(const vocab *v, const tokenizer *t, size_t count)
{
    static char symbols[REFERENCE_MAX][40];
    char text[REFERENCE_MAX * 4 + 1];
    size_t n = reference_merge(v, symbols, random_symbols(v->desc.kind, count, text, symbols));
    token_list l = encode(t, text, 0);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const char *want = symbols[i];
        size_t id = 0;
        while (id < v->desc.count && strcmp(v->texts[id], want) != 0) id++;
        size_t bytes = id < v->desc.count ? 1 : strlen(want); /* no token: one for each byte */
        for (size_t b = 0; b < bytes; b++, at++) {
            char byte[8];
            snprintf(byte, sizeof byte, "<0x%02X>", (unsigned char)want[b]);
            assert_true(at < l.count);
            assert_string_equal(v->texts[l.ids[at]], id < v->desc.count ? want : byte);
        }
    }
    assert_int_equal(at, l.count);
    token_list_deinit(&l);
}

/* A vocabulary that grows as training grows one: from tokens that are there already. */
static vocab *random_vocab(token_kind kind, int merges)
{
    vocab *v = kind == TOKEN_BPE_BYTES ? byte_vocab() : spm_vocab(kind);
    if (kind != TOKEN_BPE_BYTES) {
        v->desc.add_space_prefix = TOKEN_NO;
        for (size_t i = 0; i + 1 < LETTERS; i++) add(v, letters[i], TOKEN_NORMAL, 0); /* the last has to go by bytes */
    }
    size_t first = kind == TOKEN_BPE_BYTES ? 0 : 259;
    for (int m = 0; m < merges; m++) {
        char text[80];
        uint32_t left = (uint32_t)first + below((uint32_t)(v->desc.count - first)), right = (uint32_t)first + below((uint32_t)(v->desc.count - first));
        if (kind == TOKEN_BPE_BYTES && left < 256 && right < 256) { /* bytes that do stand side by side, now and then across letters */
            const char *a = letters[below(LETTERS)], *b = letters[below(LETTERS)];
            char both[16];
            snprintf(both, sizeof both, "%s%s", a, b);
            size_t place = below((uint32_t)strlen(both) - 1);
            left = (unsigned char)both[place];
            right = (unsigned char)both[place + 1];
        }
        snprintf(text, sizeof text, "%s%s", v->texts[left], v->texts[right]);
        size_t same = 0;
        while (same < v->desc.count && strcmp(v->texts[same], text) != 0) same++;
        if (strlen(text) > 30 || same < v->desc.count) continue;
        add(v, text, TOKEN_NORMAL, -(float)below(20)); /* scores tie */
        if (kind != TOKEN_SPM) add_merge(v, (int32_t)left, (int32_t)right);
    }
    return v;
}

/* An order in which no training would put them. */
static void shuffle_merges(vocab *v)
{
    for (size_t i = v->desc.merge_count; i > 1; i--) {
        size_t j = below((uint32_t)i);
        token_merge m = v->merges[i - 1];
        v->merges[i - 1] = v->merges[j];
        v->merges[j] = m;
    }
}

static void merges_like_reference(void **state)
{
    random_state = 7;
    for (int round = 0; round < 60; round++)
        for (int kind = TOKEN_SPM; kind <= TOKEN_BPE_CHARS; kind++) {
            vocab *v = random_vocab((token_kind)kind, 20 + 40 * (round % 8));
            if (round % 2) shuffle_merges(v);
            tokenizer *t = open_vocab(v);
            for (size_t count = 1; count < 60; count += 1 + below(7)) compare_with_reference(v, t, count);
            for (int i = 0; i < 3; i++) compare_with_reference(v, t, 60 + below(240)); /* more than merge at once */
            tokenizer_close(&t);
            free(v);
        }
}

/* Without merges, in the manner of tiktoken. */
static void ids_can_be_the_order(void **state)
{
    vocab *v = byte_vocab();
    const char *const words[] = {"ab", "ba", "aba", "abab"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) add(v, words[i], TOKEN_NORMAL, 0);
    tokenizer *t = open_vocab(v);
    expect(t, "abababa", 0, "abab|aba|"); /* ab ab ab a, ab ab aba, abab aba */
    expect(t, "abababab", 0, "abab|abab|");
    expect(t, "bbab", 0, "b|b|ab|");
    tokenizer_close(&t);
    free(v);
}

/* ---- texts that would take for ever if time were quadratic ---- */

static void long_texts_take_their_time_only(void **state)
{
    for (int kind = TOKEN_SPM; kind <= TOKEN_BPE_CHARS; kind++) {
        vocab *v = kind == TOKEN_BPE_BYTES ? byte_vocab() : spm_vocab((token_kind)kind);
        const char *words[] = {"a", "aa", "aaaa", "aaaaaaaa"};
        int32_t ids[4];
        for (int i = 0; i < 4; i++) ids[i] = kind == TOKEN_BPE_BYTES && i == 0 ? 'a' - 33 : add(v, words[i], TOKEN_NORMAL, (float)-i);
        if (kind == TOKEN_BPE_BYTES)
            for (ids[0] = 0; strcmp(v->texts[ids[0]], "a") != 0;) ids[0]++;
        if (kind != TOKEN_SPM)
            for (int i = 0; i < 3; i++) add_merge(v, ids[i], ids[i]);
        v->desc.add_space_prefix = TOKEN_NO;
        tokenizer *t = open_vocab(v);
        enum { N = 1 << 20 };
        char *text = malloc(N + 1);
        const char *units[] = {"a", " ", "\n ", "中", "\xCC\x81"};
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            size_t n = 0;
            while (n + strlen(units[u]) <= N) n += (size_t)sprintf(text + n, "%s", units[u]);
            token_list l = encode(t, text, 0);
            if (u == 0) assert_int_equal(l.count, N / 8);
            token_list_deinit(&l);
        }
        free(text);
        tokenizer_close(&t);
        free(v);
    }
}

/* ---- what each kind does ---- */

static void spm_spaces_bytes_and_specials(void **state)
{
    vocab *v = spm_vocab(TOKEN_SPM);
    add(v, "▁a", TOKEN_NORMAL, -1);
    add(v, "▁", TOKEN_NORMAL, -2);
    add(v, "a", TOKEN_NORMAL, -3);
    add(v, "\n\n", TOKEN_USER, 0);
    add(v, "\n", TOKEN_USER, 0);
    tokenizer *t = open_vocab(v);
    expect(t, "", 0, "");
    expect(t, "", TOKEN_ADD_SPECIAL, "<s>|");
    expect(t, "a a", TOKEN_ADD_SPECIAL, "<s>| a| a|");
    expect(t, " a", 0, " | a|");
    expect(t, "▁a", 0, " | a|");             /* U+2581 is a space to it */
    expect(t, "aé", 0, " a|\xC3|\xA9|");
    expect(t, "a\n\n\na", 0, " a|\n\n|\n| a|"); /* found first, the longest first; a space after each */
    expect(t, "a</s>a", TOKEN_PARSE_SPECIAL, " a|</s>| a|");
    expect(t, "a<", 0, " a|<|");
    expect_decoded(t, "a</s>a", TOKEN_PARSE_SPECIAL | TOKEN_ADD_SPECIAL, 0, "aa");
    expect_decoded(t, "a</s>a", TOKEN_PARSE_SPECIAL | TOKEN_ADD_SPECIAL, TOKEN_SHOW_SPECIAL, "<s>a</s>a");
    expect_decoded(t, "  a é\n\n a</s>", 0, 0, "  a é\n\n a</s>");
    expect_decoded(t, "a", 0, TOKEN_CONTINUES, " a");
    assert_true(tokenizer_is_end(t, v->desc.eos));
    assert_false(tokenizer_is_end(t, v->desc.bos));
    assert_int_equal(tokenizer_find(t, " a", 2), 259);
    assert_int_equal(tokenizer_find(t, "</s>", 4), 2);
    assert_int_equal(tokenizer_find(t, "\x80", 1), 3 + 0x80);
    assert_int_equal(tokenizer_find(t, "zz", 2), -1);
    assert_int_equal(tokenizer_find(t, "", 0), -1);
    assert_int_equal(tokenizer_piece(t, -1).size + tokenizer_piece(t, 1 << 30).size, 0);
    tokenizer_close(&t);
    free(v);
}

static void spans_point_into_the_source(void **state)
{
    vocab *v = spm_vocab(TOKEN_SPM);
    add(v, "▁a", TOKEN_NORMAL, -1);
    add(v, "▁", TOKEN_NORMAL, -2);
    add(v, "中国", TOKEN_NORMAL, -3);
    add(v, "中", TOKEN_NORMAL, -4);
    add(v, "国", TOKEN_NORMAL, -4);
    tokenizer *t = open_vocab(v);
    token_list l = encode(t, "a▁a 中国é<s>", TOKEN_PARSE_SPECIAL | TOKEN_ADD_SPECIAL);
    const struct { const char *piece; size_t start, end; } want[] = {
        {"<s>", 0, 0}, {" a", 0, 1}, {" a", 1, 5}, {" ", 5, 6}, {"中国", 6, 12}, {"\xC3", 12, 13}, {"\xA9", 13, 14}, {"<s>", 14, 17}};
    assert_int_equal(l.count, sizeof want / sizeof *want);
    for (size_t i = 0; i < l.count; i++) {
        token_text p = tokenizer_piece(t, l.ids[i]);
        assert_memory_equal(p.data, want[i].piece, p.size);
        assert_int_equal(l.spans[i].start, want[i].start);
        assert_int_equal(l.spans[i].end, want[i].end);
    }
    token_list_deinit(&l);
    tokenizer_close(&t);
    free(v);
}

static void normal_form_keeps_spans(void **state)
{
    vocab *v = byte_vocab();
    v->desc.nfc = true;
    tokenizer *t = open_vocab(v);
    /* e + acute, then acute below and grave in the wrong order, a compatibility ideograph, Hangul from its parts */
    expect_decoded(t, "e\u0301x", 0, 0, "éx");
    expect_decoded(t, "a\u0301\u0316", 0, 0, "á\u0316");
    expect_decoded(t, "\uF900", 0, 0, "豈");
    expect_decoded(t, "\u1112\u1161\u11AB", 0, 0, "한");
    expect_decoded(t, "e\u0301x", TOKEN_VERBATIM, 0, "e\u0301x");
    token_list l = encode(t, "be\u0301x", 0); /* b, two bytes of é, x */
    assert_int_equal(l.count, 4);
    assert_int_equal(l.spans[1].start, 1);
    assert_int_equal(l.spans[1].end, 1);
    assert_int_equal(l.spans[2].end, 4);
    assert_int_equal(l.spans[3].end, 5);
    token_list_deinit(&l);
    tokenizer_close(&t);
    free(v);
}

static void special_tokens_take_space_along(void **state)
{
    vocab *v = byte_vocab();
    int32_t left = add(v, "<left>", TOKEN_CONTROL, 0), right = add(v, "<right>", TOKEN_CONTROL, 0);
    v->strips[left] = TOKEN_STRIP_LEFT;
    v->strips[right] = TOKEN_STRIP_RIGHT;
    tokenizer *t = open_vocab(v);
    expect(t, "a \u3000<left> b", TOKEN_PARSE_SPECIAL, "a|<left>| |b|");
    expect(t, "a <right> \u3000b", TOKEN_PARSE_SPECIAL, "a| |<right>|b|");
    expect(t, " <left><right> ", TOKEN_PARSE_SPECIAL, "<left>|<right>|");
    expect(t, "<left", TOKEN_PARSE_SPECIAL, "<|l|e|f|t|");
    expect(t, "<left>", 0, "<|l|e|f|t|>|");
    tokenizer_close(&t);
    free(v);
}

static void whole_pieces_first_where_the_model_wants_it(void **state)
{
    vocab *v = byte_vocab();
    add(v, "abc", TOKEN_NORMAL, 0);
    add(v, "ab", TOKEN_NORMAL, 0);
    for (size_t i = 0; i < 256; i++)
        if (strcmp(v->texts[i], "a") == 0)
            for (size_t j = 0; j < 256; j++)
                if (strcmp(v->texts[j], "b") == 0) add_merge(v, (int32_t)i, (int32_t)j);
    tokenizer *t = open_vocab(v);
    expect(t, "abc", 0, "ab|c|");
    tokenizer_close(&t);
    v->desc.ignore_merges = TOKEN_YES;
    t = open_vocab(v);
    expect(t, "abc", 0, "abc|");
    expect(t, "abcc", 0, "ab|c|c|");
    tokenizer_close(&t);
    free(v);
}

static void ends_are_known_by_name(void **state)
{
    vocab *v = byte_vocab();
    int32_t turn = add(v, "<|im_end|>", TOKEN_CONTROL, 0), text = add(v, "<|endoftext|>", TOKEN_CONTROL, 0);
    int32_t other = add(v, "<|im_start|>", TOKEN_CONTROL, 0);
    tokenizer *t = open_vocab(v);
    assert_true(tokenizer_is_end(t, turn) && tokenizer_is_end(t, text));
    assert_false(tokenizer_is_end(t, other) || tokenizer_is_end(t, 0) || tokenizer_is_end(t, -1));
    assert_int_equal(tokenizer_specials(t)->eot, turn);
    tokenizer_close(&t);
    int32_t end = add(v, "<|end|>", TOKEN_CONTROL, 0);
    t = open_vocab(v);
    assert_true(tokenizer_is_end(t, end));
    tokenizer_close(&t);
    add(v, "<|return|>", TOKEN_CONTROL, 0); /* now <|end|> only ends a message */
    add(v, "<|call|>", TOKEN_CONTROL, 0);
    t = open_vocab(v);
    assert_false(tokenizer_is_end(t, end));
    tokenizer_close(&t);
    free(v);
}

/* ---- streams ---- */

static void streams_write_whole_characters(void **state)
{
    vocab *v = byte_vocab();
    tokenizer *t = open_vocab(v);
    const char *texts[] = {"红楼梦 a é 𠀀", "a\xE4\xB8", "\xFF\xFE红\x80", "\xE4\xE4\xB8\xAD", "\xF0\x9F\xE7\xBA\xA2", "\xED\xA0\x80z", ""};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        token_list l = encode(t, texts[i], 0);
        token_stream s;
        buf out, want;
        buf_init(&out, 4096);
        buf_init(&want, 4096);
        token_stream_init(&s, t, 0);
        for (size_t k = 0; k < l.count; k++) {
            assert_int_equal(token_stream_push(&s, l.ids[k], &out, NULL), CJ_OK);
            assert_int_equal(utf8_valid_prefix(out.data ? out.data : "", out.len), out.len);
        }
        assert_int_equal(token_stream_end(&s, &out, NULL), CJ_OK);
        for (size_t at = 0, n = strlen(texts[i]); at < n;) { /* every byte that is no UTF-8 becomes U+FFFD */
            uint32_t cp;
            int length = utf8_decode(texts[i] + at, n - at, &cp);
            bool bad = cp == (uint32_t)UTF8_INVALID;
            assert_int_equal(buf_append(&want, bad ? "\uFFFD" : texts[i] + at, bad ? 3 : (size_t)length, NULL), CJ_OK);
            at += (size_t)length;
        }
        assert_string_equal(out.data ? out.data : "", want.data ? want.data : "");
        buf_deinit(&out);
        buf_deinit(&want);
        token_list_deinit(&l);
    }
    buf out;
    token_stream s;
    buf_init(&out, 64);
    token_stream_init(&s, t, 0);
    assert_int_equal(token_stream_push(&s, 256, &out, NULL), CJ_E_INPUT);
    assert_int_equal(token_stream_push(&s, -1, &out, NULL), CJ_E_INPUT);
    buf_deinit(&out);
    tokenizer_close(&t);
    free(v);
}

/* ---- vocabularies that are wrong ---- */

static void refuse(const vocab *v, cj_err code, int message)
{
    tokenizer *t = NULL;
    cj_diag d = {0};
    char text[512];
    assert_int_equal(tokenizer_open(&t, &v->desc, &d), code);
    assert_int_equal(d.message, message);
    assert_true(cj_diag_text(&d, CJ_LANG_ZH, text, sizeof text) > 10 && strncmp(d.args, "test", 4) == 0);
    assert_null(t);
}

static void wrong_vocabularies_are_refused(void **state)
{
    vocab *v = byte_vocab();
    v->desc.count = 0;
    refuse(v, CJ_E_INPUT, MSG_TOKEN_VOCAB_SIZE);
    v->desc.count = (size_t)TOKEN_COUNT_MAX + 1;
    refuse(v, CJ_E_INPUT, MSG_TOKEN_VOCAB_SIZE);
    v->desc.count = 256;
    v->desc.merge_count = SIZE_MAX / 2;
    refuse(v, CJ_E_INPUT, MSG_TOKEN_MERGES_MANY);
    v->desc.merge_count = 0;
    v->desc.pre = "klingon\x1b[2J";
    refuse(v, CJ_E_UNSUPPORTED, MSG_TOKEN_PRE_UNKNOWN);
    v->desc.pre = "gpt-2";
    v->tokens[5].size = SIZE_MAX;
    refuse(v, CJ_E_INPUT, MSG_TOKEN_TOO_LONG);
    v->tokens[5] = v->tokens[6];
    refuse(v, CJ_E_INPUT, MSG_TOKEN_TWICE);
    v->tokens[5] = (token_text){NULL, 0}; /* a byte is gone */
    refuse(v, CJ_E_INPUT, MSG_TOKEN_NO_BYTES);
    v->desc.unk = 6;
    tokenizer *t = open_vocab(v);
    char lost[2] = {5, 0};
    expect(t, lost, 0, "\x06|");
    tokenizer_close(&t);
    v->desc.unk = 256;
    refuse(v, CJ_E_INPUT, MSG_TOKEN_ID_RANGE);
    v->desc.unk = -1;
    v->desc.bos = -2;
    refuse(v, CJ_E_INPUT, MSG_TOKEN_ID_RANGE);
    v->desc.bos = -1;
    v->desc.add_bos = TOKEN_YES;
    refuse(v, CJ_E_INPUT, MSG_TOKEN_ID_MISSING);
    v->desc.add_bos = TOKEN_NO;
    v->types[9] = 7;
    refuse(v, CJ_E_INPUT, MSG_TOKEN_TYPE_BAD);
    free(v);
}

static void wrong_merges_bytes_and_scores_are_refused(void **state)
{
    vocab *v = byte_vocab();
    const char *halves[][2] = {{"a", "zz"}, {"zz", "a"}, {"a", "b"}, {"", "a"}, {"a", ""}, {"\n", "a"}, {"\xFF", "a"}};
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
        v->desc.merge_count = 1;
        v->merges[0] = (token_merge){{halves[i][0], strlen(halves[i][0])}, {halves[i][1], strlen(halves[i][1])}};
        refuse(v, CJ_E_INPUT, MSG_TOKEN_MERGE_BAD);
    }
    static char endless[TOKEN_BYTES_MAX + 1];
    memset(endless, 'a', sizeof endless);
    v->merges[0] = (token_merge){{endless, sizeof endless}, {"a", 1}};
    refuse(v, CJ_E_INPUT, MSG_TOKEN_MERGE_BAD);
    v->desc.merge_count = 0;
    add(v, "<x>", TOKEN_USER, 0);
    add(v, "<x>", TOKEN_CONTROL, 0);
    refuse(v, CJ_E_INPUT, MSG_TOKEN_TWICE);
    free(v);
    v = spm_vocab(TOKEN_SPM);
    const char *bytes[] = {"<0x-1>", "<0x4>", "<0x441>", "0x41", "<0xG0>", "", "<0x 1>"};
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        v->tokens[40] = (token_text){bytes[i], strlen(bytes[i])};
        refuse(v, CJ_E_INPUT, MSG_TOKEN_BYTE_BAD);
    }
    v->tokens[40] = v->tokens[41];
    refuse(v, CJ_E_INPUT, MSG_TOKEN_TWICE);
    v->tokens[40] = (token_text){"", 0};
    v->types[40] = TOKEN_NORMAL;
    v->desc.unk = -1;
    refuse(v, CJ_E_INPUT, MSG_TOKEN_NO_BYTES);
    v->desc.unk = 0;
    v->scores[100] = NAN;
    refuse(v, CJ_E_INPUT, MSG_TOKEN_SCORE_BAD);
    free(v);
    token_merge m;
    const char *forms[] = {"", " ", "a", "a ", " a", "  ", "ab"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        assert_false(token_merge_split((token_text){forms[i], strlen(forms[i])}, &m));
    assert_true(token_merge_split((token_text){"  b", 3}, &m));
    assert_int_equal(m.left.size + m.right.size, 2);
}

/* ---- tokenizer.json ---- */

#define JSON_HEAD "{\"added_tokens\": [{\"id\": 3, \"content\": \"<s>\", \"special\": true}], \"normalizer\": {\"type\": \"Sequence\", " \
                  "\"normalizers\": [{\"type\": \"Prepend\", \"prepend\": \"\u2581\"}, {\"type\": \"Replace\", \"pattern\": {\"String\": " \
                  "\" \"}, \"content\": \"\u2581\"}]}, \"model\": {\"type\": \"BPE\", \"unk_token\": \"?\", \"vocab\": {\"?\": 0, \"\u2581\": 1, " \
                  "\"a\": 2, \"\u2581a\": 5"
#define JSON_TAIL "}, \"merges\": [\"\u2581 a\"]}}"

static cj_err parse(const char *json, tokenizer **t, cj_diag *d)
{
    const char *config = "{\"bos_token\": {\"content\": \"<s>\"}, \"add_bos_token\": true, \"eos_token\": \"</s>\"}";
    return tokenizer_json_parse(t, "t.json", json, strlen(json), config, strlen(config), d);
}

static void json_makes_a_tokenizer(void **state)
{
    tokenizer *t = NULL;
    assert_int_equal(parse(JSON_HEAD JSON_TAIL, &t, NULL), CJ_OK);
    assert_int_equal(tokenizer_size(t), 6); /* number 4 is nothing */
    assert_int_equal(tokenizer_piece(t, 4).size, 0);
    expect(t, "a ax", TOKEN_ADD_SPECIAL, "<s>| a| a|?|");
    expect(t, "a<s>a", TOKEN_PARSE_SPECIAL, " a|<s>| a|");
    assert_int_equal(tokenizer_specials(t)->bos, 3);
    assert_int_equal(tokenizer_specials(t)->eos, -1);
    tokenizer_close(&t);
}

/* White space, escapes and the newer form of merges say the same. */
static void json_has_many_forms(void **state)
{
    static const char *const same[] = {
        JSON_HEAD "}, \"merges\": [[\"\u2581\", \"a\"]]}}",
        JSON_HEAD "\n}\t,\r\n\"merges\" : [ [ \"\\u2581\" , \"\\u0061\" ] ] } }\n",
        "{\"model\": {\"merges\": [\"\\u2581 \\u0061\"], \"vocab\": {\"\\u003f\":0,\"\\u2581\":1,\"a\":2,\"\u2581\\u0061\":5}, \"unk_token\": \"?\", "
        "\"nested\": [{\"vocab\": {\"}\": [\"\\\"{\"]}}, 1e3, true]}, \"vocab\": 3, "
        "\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", \"prepend\": \"\u2581\"}, {\"type\": "
        "\"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"\u2581\"}]}, \"added_tokens\": [{\"id\": 3, \"content\": \"<s>\", "
        "\"special\": true}]}",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        tokenizer *t = NULL;
        assert_int_equal(parse(same[i], &t, NULL), CJ_OK);
        expect(t, "a ax", TOKEN_ADD_SPECIAL, "<s>| a| a|?|");
        tokenizer_close(&t);
    }
    tokenizer *t = NULL;
    assert_int_equal(parse(JSON_HEAD ", \"\\ud83c\\udc04\": 4, \"\\\\\\\"\\/\\n\\t\": 6" JSON_TAIL, &t, NULL), CJ_OK);
    assert_int_equal(tokenizer_find(t, "\xF0\x9F\x80\x84", 4), 4);
    assert_int_equal(tokenizer_find(t, "\\\"/\n\t", 5), 6);
    tokenizer_close(&t);
}

/* However much of a file is there, and whatever byte of it is wrong, it is refused or read, never read past. */
static void damaged_json_is_refused(void **state)
{
    static const char whole[] = JSON_HEAD ", \"\\ud83c\\udc04\": 4" JSON_TAIL;
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        tokenizer *t = NULL;
        cj_diag d = {0};
        char *cut = malloc(n ? n : 1); /* of exactly this size, for the sanitizers */
        memcpy(cut, whole, n);
        assert_int_equal(tokenizer_json_parse(&t, "t.json", cut, n, NULL, 0, &d), CJ_E_INPUT);
        assert_int_equal(d.message, MSG_JSON_BAD);
        free(cut);
        for (int byte = 0; byte < 256; byte += byte < 128 ? 1 : 9) {
            char *changed = malloc(sizeof whole - 1);
            memcpy(changed, whole, sizeof whole - 1);
            changed[n] = (char)byte;
            if (!tokenizer_json_parse(&t, "t.json", changed, sizeof whole - 1, NULL, 0, &d)) tokenizer_close(&t);
            assert_null(t);
            free(changed);
        }
    }
}

static void wrong_json_is_refused(void **state)
{
    const struct { const char *json; int message; } wrong[] = {
        {"", MSG_JSON_BAD},
        {"[]", MSG_TOKEN_JSON_FORM},
        {"{}", MSG_TOKEN_JSON_FORM},
        {"{\"model\": {\"type\": \"Unigram\"}}", MSG_TOKEN_MODEL_UNKNOWN},
        {"{\"model\": {\"type\": \"BPE\", \"end_of_word_suffix\": \"</w>\"}}", MSG_TOKEN_JSON_PART},
        {"{\"model\": {}, \"normalizer\": {\"type\": \"Lowercase\"}}", MSG_TOKEN_JSON_PART},
        {"{\"model\": {}, \"normalizer\": 7}", MSG_TOKEN_JSON_PART},
        {"{\"model\": {}, \"pre_tokenizer\": {\"type\": \"Whitespace\"}}", MSG_TOKEN_JSON_PART},
        {"{\"model\": {}, \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true}}", MSG_TOKEN_JSON_PART},
        {"{\"model\": {}, \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"use_regex\": false}}", MSG_TOKEN_PRE_UNKNOWN},
        {"{\"model\": {}}", MSG_TOKEN_JSON_PART},
        {JSON_HEAD ", \"b\": -1" JSON_TAIL, MSG_TOKEN_JSON_FORM},
        {JSON_HEAD ", \"b\": 4194304" JSON_TAIL, MSG_TOKEN_JSON_FORM},
        {JSON_HEAD ", \"b\": 99999999999999999999" JSON_TAIL, MSG_TOKEN_JSON_FORM},
        {JSON_HEAD ", \"b\": \"4\"" JSON_TAIL, MSG_TOKEN_JSON_FORM},
        {JSON_HEAD ", \"b\": 2" JSON_TAIL, MSG_TOKEN_JSON_ID_TWICE},
        {JSON_HEAD "}, \"merges\": [\"a b\"]}}", MSG_TOKEN_MERGE_BAD},
        {JSON_HEAD "}, \"merges\": [[\"a\"]]}}", MSG_TOKEN_JSON_FORM},
        {JSON_HEAD "}, \"merges\": [7]}}", MSG_TOKEN_JSON_FORM},
        {JSON_HEAD "}, \"merges\": {}}}", MSG_TOKEN_JSON_FORM},
        {JSON_HEAD "}}}", MSG_TOKEN_JSON_FORM},
        {JSON_HEAD ", \"b\": 1.0" JSON_TAIL, MSG_TOKEN_JSON_FORM},
        {JSON_HEAD ", \"b\": 04" JSON_TAIL, MSG_JSON_BAD},
        {JSON_HEAD ", \"\\ud800\": 4" JSON_TAIL, MSG_TOKEN_JSON_FORM},
        {JSON_HEAD ", \"\\x\": 4" JSON_TAIL, MSG_JSON_BAD},
        {JSON_HEAD ", \"\n\": 4" JSON_TAIL, MSG_TOKEN_JSON_FORM},
        {JSON_HEAD ", \"\xE2\x96\": 4" JSON_TAIL, MSG_JSON_BAD},
        {JSON_HEAD ", " JSON_TAIL, MSG_JSON_BAD},
        {JSON_HEAD "}, \"vocab\": {\"?\": 0" JSON_TAIL, MSG_TOKEN_JSON_FORM},
        {JSON_HEAD JSON_TAIL "}", MSG_JSON_BAD},
        {JSON_HEAD "}, \"merges\": [\"\u2581 a\"]}, \"model\": {}}", MSG_TOKEN_JSON_FORM},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        tokenizer *t = NULL;
        cj_diag d = {0};
        assert_true(parse(wrong[i].json, &t, &d) < 0);
        if (d.message != wrong[i].message) fail_msg("case %zu: %s", i, wrong[i].json);
        assert_null(t);
    }
}

/* ---- no memory ---- */

/* 0: ended well; CJ_E_NOMEM otherwise, with nothing left behind (the sanitizers see to that). */
static cj_err use_everything(const vocab *v, const char *text)
{
    tokenizer *t = NULL;
    token_list l;
    buf out;
    token_list_init(&l);
    buf_init(&out, 1 << 20);
    cj_err e = tokenizer_open(&t, &v->desc, NULL);
    if (!e) e = tokenizer_encode(t, text, strlen(text), TOKEN_ADD_SPECIAL, &l, NULL);
    if (!e) e = tokenizer_decode(t, l.ids, l.count, 0, &out, NULL);
    tokenizer_close(&t);
    token_list_deinit(&l);
    buf_deinit(&out);
    return e;
}

static void every_allocation_may_fail(void **state)
{
    char text[600] = "▁e\u0301 ";
    memset(text + 7, 'a', 500);
    for (int kind = TOKEN_SPM; kind <= TOKEN_BPE_CHARS; kind++) {
        random_state = 3;
        vocab *v = random_vocab((token_kind)kind, 100);
        v->desc.nfc = kind == TOKEN_BPE_BYTES;
        v->desc.add_space_prefix = TOKEN_YES;
        cj_err e = CJ_E_NOMEM;
        for (int n = 0; e; n++) {
            mem_fail_after(n);
            e = use_everything(v, text);
            mem_fail_after(-1);
            if (e) assert_int_equal(e, CJ_E_NOMEM);
            assert_true(n < 100);
        }
        free(v);
    }
    cj_err e = CJ_E_NOMEM;
    for (int n = 0; e; n++) {
        tokenizer *t = NULL;
        mem_fail_after(n);
        e = parse(JSON_HEAD JSON_TAIL, &t, NULL);
        mem_fail_after(-1);
        tokenizer_close(&t);
        if (e) assert_int_equal(e, CJ_E_NOMEM);
        assert_true(n < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_like_reference),
        cmocka_unit_test(ids_can_be_the_order),
        cmocka_unit_test(long_texts_take_their_time_only),
        cmocka_unit_test(spm_spaces_bytes_and_specials),
        cmocka_unit_test(spans_point_into_the_source),
        cmocka_unit_test(normal_form_keeps_spans),
        cmocka_unit_test(special_tokens_take_space_along),
        cmocka_unit_test(whole_pieces_first_where_the_model_wants_it),
        cmocka_unit_test(ends_are_known_by_name),
        cmocka_unit_test(streams_write_whole_characters),
        cmocka_unit_test(wrong_vocabularies_are_refused),
        cmocka_unit_test(wrong_merges_bytes_and_scores_are_refused),
        cmocka_unit_test(json_makes_a_tokenizer),
        cmocka_unit_test(wrong_json_is_refused), cmocka_unit_test(json_has_many_forms), cmocka_unit_test(damaged_json_is_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

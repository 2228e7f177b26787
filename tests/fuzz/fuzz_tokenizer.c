/* Any text through a small vocabulary of each kind: the tokens cover the text, they give it back, and a stream writes valid
 * UTF-8 only. The first byte chooses vocabulary and flags, the rest is the text. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "token/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TOKENS_MAX = 512 };

typedef struct small_vocab {
    char texts[TOKENS_MAX][16];
    token_text tokens[TOKENS_MAX];
    uint8_t types[TOKENS_MAX];
    float scores[TOKENS_MAX];
    token_merge merges[16];
    tokenizer_desc desc;
} small_vocab;

static void add(small_vocab *v, token_type type, const char *text)
{
    size_t i = v->desc.count++;
    snprintf(v->texts[i], sizeof v->texts[i], "%s", text);
    v->tokens[i] = (token_text){v->texts[i], strlen(v->texts[i])};
    v->types[i] = (uint8_t)type;
    v->scores[i] = -(float)(i % 7);
}

static void add_bytes(small_vocab *v)
{
    uint32_t beyond = 256;
    for (uint32_t b = 0; b < 256; b++) {
        char text[8];
        bool plain = (b > 32 && b < 127) || (b > 160 && b != 173);
        if (v->desc.kind == TOKEN_BPE_BYTES) text[utf8_encode(plain ? b : beyond++, text)] = 0;
        else snprintf(text, sizeof text, "<0x%02X>", (unsigned)b);
        add(v, v->desc.kind == TOKEN_BPE_BYTES ? TOKEN_NORMAL : TOKEN_BYTE, text);
    }
}

static tokenizer *make(token_kind kind, const char *pre)
{
    static const char *const words[] = {"a", "b", "▁", "aa", "ab", "▁a", "aab", "▁▁", "中", "国", "中国", "aaaa"};
    static const char *const byte_words[] = {"aa", "ab", "Ġa", "aaaa", "ä¸", "¸Ń", "ä¸Ń", "Ńå"};
    static const char *const merges[] = {"a a", "a b", "Ġ a", "aa aa", "ä ¸", "¸ Ń", "ä¸ Ń", "Ń å"};
    static const char *const char_merges[] = {"a a", "a b", "▁ a", "a ab", "▁ ▁", "中 国", "aa aa"};
    small_vocab *v = calloc(1, sizeof *v);
    tokenizer *t = NULL;
    v->desc = (tokenizer_desc){.name = "small", .kind = kind, .pre = pre, .tokens = v->tokens, .types = v->types, .scores = v->scores,
                               .merges = v->merges, .bos = -1, .eos = -1, .eot = -1, .unk = -1, .pad = -1, .nfc = true,
                               .add_space_prefix = kind == TOKEN_SPM ? TOKEN_YES : TOKEN_NO};
    add_bytes(v);
    bool bytes = kind == TOKEN_BPE_BYTES;
    for (size_t i = 0; i < (bytes ? 8 : sizeof words / sizeof *words); i++) add(v, TOKEN_NORMAL, bytes ? byte_words[i] : words[i]);
    for (size_t i = 0; kind != TOKEN_SPM && i < (bytes ? 8 : 7); i++) {
        const char *m = bytes ? merges[i] : char_merges[i];
        if (!token_merge_split((token_text){m, strlen(m)}, &v->merges[v->desc.merge_count++])) abort();
    }
    add(v, TOKEN_CONTROL, "<s>");
    add(v, TOKEN_CONTROL, "<s");
    add(v, TOKEN_USER, "\n\n");
    add(v, TOKEN_USER, "\n");
    v->desc.bos = (int32_t)v->desc.count - 4;
    if (tokenizer_open(&t, &v->desc, NULL)) abort();
    free(v);
    return t;
}

/* What decoding gives: a literal U+2581 is a space to SentencePiece. */
static size_t readable(const char *text, size_t n, bool spaces, char *out)
{
    size_t m = 0;
    for (size_t at = 0; at < n;) {
        bool mark = spaces && n - at >= 3 && memcmp(text + at, "\xE2\x96\x81", 3) == 0;
        out[m++] = mark ? ' ' : text[at];
        at += mark ? 3 : 1;
    }
    return m;
}

static void check(const tokenizer *t, bool spaces, unsigned flags, const char *text, size_t n)
{
    token_list l;
    buf out, streamed;
    token_stream s;
    token_list_init(&l);
    buf_init(&out, 1 << 24);
    buf_init(&streamed, 1 << 26);
    assert(tokenizer_encode(t, text, n, flags, &l, NULL) == CJ_OK);
    token_stream_init(&s, t, TOKEN_SHOW_SPECIAL);
    size_t at = 0;
    for (size_t i = 0; i < l.count; i++) {
        assert(l.spans[i].start == at && l.spans[i].end >= at && l.ids[i] >= 0 && l.ids[i] < tokenizer_size(t));
        at = l.spans[i].end;
        assert(token_stream_push(&s, l.ids[i], &streamed, NULL) == CJ_OK);
        assert(utf8_valid_prefix(streamed.data ? streamed.data : "", streamed.len) == streamed.len);
    }
    assert(at == n || !l.count);
    assert(token_stream_end(&s, &streamed, NULL) == CJ_OK);
    if ((flags & TOKEN_VERBATIM) && !(flags & TOKEN_ADD_SPECIAL)) {
        char *want = malloc(n + 1);
        size_t m = readable(text, n, spaces, want);
        assert(tokenizer_decode(t, l.ids, l.count, TOKEN_SHOW_SPECIAL, &out, NULL) == CJ_OK);
        assert(out.len == m && (!m || memcmp(out.data, want, m) == 0));
        free(want);
    }
    token_list_deinit(&l);
    buf_deinit(&out);
    buf_deinit(&streamed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct { token_kind kind; const char *pre; } kinds[] = {
        {TOKEN_SPM, NULL}, {TOKEN_BPE_CHARS, NULL}, {TOKEN_BPE_BYTES, "qwen2"}, {TOKEN_BPE_BYTES, "deepseek-v3"},
        {TOKEN_BPE_BYTES, "deepseek-llm"}, {TOKEN_BPE_BYTES, "kimi-k2"}, {TOKEN_BPE_BYTES, "smollm"}, {TOKEN_BPE_BYTES, "deepseek-coder"}};
    static tokenizer *made[sizeof kinds / sizeof *kinds];
    if (size < 1) return 0;
    unsigned which = data[0] & 7, flags = data[0] >> 3 & 7;
    if (!made[which]) made[which] = make(kinds[which].kind, kinds[which].pre);
    check(made[which], kinds[which].kind != TOKEN_BPE_BYTES, flags, (const char *)data + 1, size - 1);
    return 0;
}

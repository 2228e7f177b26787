/* token/ against others: vectors, ids and pieces that other implementations give, and the books. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/vocab_gguf.h"
#include "support/skip.h"
#include "token/pretokenize.h"
#include "token/tokenizer_json.h"

/* ---- files beside the checkout ---- */

static const char *shared_path(const char *name, char path[512])
{
    const char *shared = getenv("CJ_SHARED");
    snprintf(path, 512, "%s/%s", shared ? shared : "../shared", name);
    return path;
}

static void need(const char *name)
{
    char path[512];
    if (!file_exists(shared_path(name, path))) skip_because("there is no %s", path);
}

static void must(cj_err e, const cj_diag *d)
{
    char text[512];
    cj_diag_text(d, CJ_LANG_EN, text, sizeof text);
    if (e) fail_msg("%s", text);
}

static tokenizer *open_gguf(const char *name)
{
    char path[512];
    gguf *g = NULL;
    tokenizer *t = NULL;
    cj_diag d = {0};
    must(gguf_open(&g, shared_path(name, path), &d), &d);
    must(vocab_gguf_open(&t, g, &d), &d);
    gguf_close(&g);
    return t;
}

static tokenizer *open_json(const char *name)
{
    char path[512], folder[64];
    tokenizer *t = NULL;
    cj_diag d = {0};
    snprintf(folder, sizeof folder, "tokenizers/%s", name);
    must(tokenizer_json_open(&t, shared_path(folder, path), &d), &d);
    return t;
}

static buf read_shared(const char *name)
{
    char path[512];
    buf b;
    assert_int_equal(file_read(shared_path(name, path), 64 << 20, &b, NULL), CJ_OK);
    return b;
}

/* ---- checks ---- */

static token_list encode(const tokenizer *t, const char *text, size_t n, unsigned flags)
{
    token_list l;
    token_list_init(&l);
    assert_int_equal(tokenizer_encode(t, text, n, flags, &l, NULL), CJ_OK);
    size_t at = 0;
    for (size_t i = 0; i < l.count; i++) { /* the spans cover the text without gaps */
        assert_int_equal(l.spans[i].start, at);
        assert_true(l.spans[i].end >= at);
        at = l.spans[i].end;
    }
    if (l.count) assert_int_equal(at, n);
    return l;
}

static void round_trips(const tokenizer *t, const char *text, size_t n)
{
    token_list l = encode(t, text, n, TOKEN_VERBATIM);
    buf out;
    buf_init(&out, SIZE_MAX / 2);
    assert_int_equal(tokenizer_decode(t, l.ids, l.count, 0, &out, NULL), CJ_OK);
    assert_int_equal(out.len, n);
    if (n) assert_memory_equal(out.data, text, n);
    buf_deinit(&out);
    token_list_deinit(&l);
}

/* ---- vectors ---- */

/* The ids of l are the numbers in `want`. */
static void check_ids(const char *name, const token_list *l, const char *want)
{
    for (size_t i = 0; i < l->count; i++) {
        char *after;
        if (l->ids[i] != strtol(want, &after, 10) || after == want)
            fail_msg("%s: token %zu (byte %zu) is %d, wanted %.30s", name, i, l->spans[i].start, l->ids[i], want);
        want = after;
    }
    assert_int_equal(strspn(want, " \n"), strlen(want)); /* none is left */
}

static void check_cases(const tokenizer *t, const char *name, const char *inputs, const char *outputs)
{
    static const char separator[] = "\n__ggml_vocab_test__\n";
    buf in = read_shared(inputs), out = read_shared(outputs);
    int cases = 0;
    const char *text = in.data, *end;
    char *line = out.data;
    for (; (end = strstr(text, separator)); text = end + strlen(separator), cases++) {
        token_list l = encode(t, text, (size_t)(end - text), 0);
        char *next = strchr(line, '\n');
        assert_non_null(next);
        *next = 0;
        check_ids(name, &l, line);
        line = next + 1;
        token_list_deinit(&l);
        round_trips(t, text, (size_t)(end - text));
    }
    assert_true(cases >= 40);
    buf_deinit(&in);
    buf_deinit(&out);
}

static void check_vectors(const char *name)
{
    char model[128], inputs[160], outputs[160];
    snprintf(model, sizeof model, "tokenizers/vocab-vectors/ggml-vocab-%s.gguf", name);
    snprintf(inputs, sizeof inputs, "%s.inp", model);
    snprintf(outputs, sizeof outputs, "%s.out", model);
    need(model);
    tokenizer *t = open_gguf(model);
    check_cases(t, name, inputs, outputs);
    tokenizer_close(&t);
}

static void vectors_deepseek_coder(void **state) { check_vectors("deepseek-coder"); }
static void vectors_deepseek_llm(void **state) { check_vectors("deepseek-llm"); }
static void vectors_gpt2(void **state) { check_vectors("gpt-2"); }
static void vectors_llama_spm(void **state) { check_vectors("llama-spm"); }

/* The second generation of a vendor has the vocabulary of the third. */
static void vectors_qwen2(void **state)
{
    static const char inputs[] = "tokenizers/vocab-vectors/ggml-vocab-qwen2.gguf.inp", outputs[] = "tokenizers/vocab-vectors/ggml-vocab-qwen2.gguf.out";
    need("tokenizers/qwen3");
    need(inputs);
    tokenizer *t = open_json("qwen3");
    check_cases(t, "qwen2", inputs, outputs);
    tokenizer_close(&t);
}

/* ---- what the Hugging Face library makes of a text of many scripts (tools/tokenizer_expectations.py) ---- */

static buf read_fixture(const char *name)
{
    char path[512];
    const char *source = getenv("CJ_SOURCE");
    buf b;
    snprintf(path, sizeof path, "%s/tests/fixtures/tokenizer/%s", source ? source : ".", name);
    assert_int_equal(file_read(path, 1 << 20, &b, NULL), CJ_OK);
    return b;
}

static void check_mixed(const char *name)
{
    char file[64];
    snprintf(file, sizeof file, "tokenizers/%s", name);
    need(file);
    snprintf(file, sizeof file, "%s.ids", name);
    tokenizer *t = open_json(name);
    buf text = read_fixture("mixed.txt"), want = read_fixture(file);
    token_list l = encode(t, text.data, text.len, TOKEN_PARSE_SPECIAL);
    check_ids(name, &l, want.data);
    token_list_deinit(&l);
    buf_deinit(&text);
    buf_deinit(&want);
    tokenizer_close(&t);
}

static void mixed_qwen3(void **state) { check_mixed("qwen3"); }
static void mixed_deepseek_v3(void **state) { check_mixed("deepseek-v3"); }
static void mixed_llama2(void **state) { check_mixed("llama-2-7b"); }
static void mixed_minimind(void **state) { check_mixed("minimind"); }

/* pieces.txt: the name of a pre-tokenizer and the sizes of the pieces that its regular expressions give. */
typedef struct piece_check {
    const char *name;
    char *next;
    size_t at;
    int count;
} piece_check;

static cj_err check_piece(void *self, size_t start, size_t end, cj_diag *d)
{
    piece_check *c = self;
    long want = strtol(c->next, &c->next, 10);
    if (start != c->at || (long)(end - start) != want)
        fail_msg("%s: piece %d at byte %zu has %zu bytes, wanted %ld", c->name, c->count, start, end - start, want);
    c->at = end;
    c->count++;
    return CJ_OK;
}

static void pieces_of_every_pre_tokenizer(void **state)
{
    buf text = read_fixture("mixed.txt"), lines = read_fixture("pieces.txt");
    unicode_table *u = mem_alloc(sizeof *u);
    unicode_table_fill(u);
    int checked = 0;
    for (char *line = strtok(lines.data, "\n"); line; line = strtok(NULL, "\n"), checked++) {
        char *space = strchr(line, ' ');
        *space = 0;
        const pre_tokenizer *p = pre_tokenizer_find(line);
        if (!p) fail_msg("%s is not known", line);
        piece_check c = {.name = line, .next = space + 1};
        assert_int_equal(pre_tokenizer_split(p, u, text.data, text.len, check_piece, &c, NULL), CJ_OK);
        assert_int_equal(c.at, text.len);
        assert_int_equal(strlen(c.next), 0);
    }
    assert_int_equal(checked, 15);
    mem_free(u);
    buf_deinit(&text);
    buf_deinit(&lines);
}

/* ---- books ---- */

static const char *const books[] = {"texts/hongloumeng.txt", "texts/sanguoyanyi.txt", "texts/shiji.txt",
                                    "texts/shuihuzhuan.txt", "texts/xiyouji.txt",     "texts/zizhitongjian.txt"};

static void books_round_trip(const tokenizer *t)
{
    for (size_t i = 0; i < sizeof books / sizeof *books; i++) {
        buf b = read_shared(books[i]);
        round_trips(t, b.data, b.len);
        buf_deinit(&b);
    }
}

static void books_in(tokenizer *t)
{
    books_round_trip(t);
    tokenizer_close(&t);
}

static void books_llama_spm(void **state)
{
    need(books[0]);
    books_in(open_gguf("tokenizers/vocab-vectors/ggml-vocab-llama-spm.gguf"));
}

static void books_qwen3(void **state)
{
    need(books[0]);
    books_in(open_json("qwen3"));
}

static void books_deepseek_v3(void **state)
{
    need(books[0]);
    books_in(open_json("deepseek-v3"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_deepseek_coder),
        cmocka_unit_test(vectors_deepseek_llm),
        cmocka_unit_test(vectors_gpt2),
        cmocka_unit_test(vectors_llama_spm),
        cmocka_unit_test(vectors_qwen2),
        cmocka_unit_test(mixed_qwen3),
        cmocka_unit_test(mixed_deepseek_v3),
        cmocka_unit_test(mixed_llama2),
        cmocka_unit_test(mixed_minimind),
        cmocka_unit_test(pieces_of_every_pre_tokenizer),
        cmocka_unit_test(books_llama_spm),
        cmocka_unit_test(books_qwen3),
        cmocka_unit_test(books_deepseek_v3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

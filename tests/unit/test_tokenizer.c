/* token/: the vectors that other implementations agree on, the books, and every rule on small vocabularies written here. */
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

static tokenizer *open_gguf(const char *name)
{
    char path[512], text[512];
    gguf *g = NULL;
    tokenizer *t = NULL;
    cj_diag d = {0};
    cj_err e = gguf_open(&g, shared_path(name, path), &d);
    if (!e) e = vocab_gguf_open(&t, g, &d);
    cj_diag_text(&d, CJ_LANG_EN, text, sizeof text);
    if (e) fail_msg("%s", text);
    gguf_close(&g);
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

static void check_vectors(const char *name)
{
    static const char separator[] = "\n__ggml_vocab_test__\n";
    char model[128], inputs[160], outputs[160];
    snprintf(model, sizeof model, "tokenizers/vocab-vectors/ggml-vocab-%s.gguf", name);
    snprintf(inputs, sizeof inputs, "%s.inp", model);
    snprintf(outputs, sizeof outputs, "%s.out", model);
    need(model);
    tokenizer *t = open_gguf(model);
    buf in = read_shared(inputs), out = read_shared(outputs);
    int cases = 0;
    const char *text = in.data, *end;
    char *line = out.data;
    for (; (end = strstr(text, separator)); text = end + strlen(separator), cases++) {
        token_list l = encode(t, text, (size_t)(end - text), 0);
        char *next = strchr(line, '\n');
        assert_non_null(next);
        *next = 0;
        for (size_t i = 0; i < l.count; i++) {
            char *after;
            if (l.ids[i] != strtol(line, &after, 10) || after == line)
                fail_msg("%s, case %d: token %zu is %d, wanted %.30s", name, cases, i, l.ids[i], line);
            line = after;
        }
        assert_int_equal(strspn(line, " "), strlen(line)); /* none is left */
        line = next + 1;
        token_list_deinit(&l);
        round_trips(t, text, (size_t)(end - text));
    }
    assert_true(cases >= 40);
    buf_deinit(&in);
    buf_deinit(&out);
    tokenizer_close(&t);
}

static void vectors_deepseek_coder(void **state) { check_vectors("deepseek-coder"); }
static void vectors_deepseek_llm(void **state) { check_vectors("deepseek-llm"); }
static void vectors_gpt2(void **state) { check_vectors("gpt-2"); }
static void vectors_llama_spm(void **state) { check_vectors("llama-spm"); }

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

static void books_llama_spm(void **state)
{
    need(books[0]);
    tokenizer *t = open_gguf("tokenizers/vocab-vectors/ggml-vocab-llama-spm.gguf");
    books_round_trip(t);
    tokenizer_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_deepseek_coder), cmocka_unit_test(vectors_deepseek_llm), cmocka_unit_test(vectors_gpt2),
        cmocka_unit_test(vectors_llama_spm), cmocka_unit_test(books_llama_spm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

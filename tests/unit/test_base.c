/* base/: UTF-8, buffers, arenas, diagnostics, atomic files, half-precision conversions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/utf8.h"
#include "quant/quant.h"

static void utf8_round_trip(void **state)
{
    (void)state;
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp++) {
        if (cp >= 0xD800 && cp < 0xE000) continue;
        char s[4];
        uint32_t back;
        int n = utf8_encode(cp, s);
        assert_int_equal(utf8_decode(s, (size_t)n, &back), n);
        assert_int_equal(back, cp);
        for (int cut = 1; cut < n; cut++) {
            assert_int_equal(utf8_decode(s, (size_t)cut, &back), 1);
            assert_int_equal(back, UTF8_INVALID);
            assert_int_equal(utf8_incomplete_tail(s, (size_t)cut), cut);
        }
        assert_int_equal(utf8_incomplete_tail(s, (size_t)n), 0);
    }
    const char *bad[] = {"\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE0\x80\x80", "\xFF", "\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(utf8_valid_prefix(bad[i], strlen(bad[i])), 0);
}

static void what_could_steer_a_terminal_is_told(void **state)
{
    (void)state;
    char text[] = "a\x1b[1m\xC2\x9B" "2J\x7F中\xFF文\n";
    const size_t n = strlen(text), plain = utf8_make_plain(text, n, '?');
    assert_memory_equal(text, "a?[1m?2J?中?文?", plain);
    assert_int_equal(plain, n - 1); /* C1 takes two bytes */
    assert_true(utf8_is_plain(text, plain));
    assert_true(utf8_is_plain("", 0) && utf8_is_plain("名 \xC2\xA0", strlen("名 \xC2\xA0")));
    const char *const bad[] = {"\x1b", "a\n", "\x7F", "\xC2\x80", "\xC2\x9F", "\xC2", "中\xE4"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(utf8_is_plain(bad[i], strlen(bad[i])));
}

static void diag_is_a_sentence(void **state)
{
    (void)state;
    cj_diag d = {0};
    assert_int_equal(diag_fail(&d, CJ_E_INPUT, MSG_FILE_TOO_LARGE, "%s" ARG "%d" ARG "%d", "红楼梦.txt", 10, 5), CJ_E_INPUT);
    char text[256];
    cj_diag_text(&d, CJ_LANG_EN, text, sizeof text);
    assert_string_equal(text, "红楼梦.txt has 10 bytes; at most 5 are read here.");
    for (size_t size = 1; size < 60; size++) { /* cut anywhere, it stays valid UTF-8 */
        cj_diag_text(&d, CJ_LANG_ZH, text, size);
        assert_true(strlen(text) < size);
        assert_int_equal(utf8_valid_prefix(text, strlen(text)), strlen(text));
    }
    for (int id = 1; id < MSG_COUNT; id++)
        for (int lang = 0; lang < 2; lang++) assert_true(*msg_text((msg_id)id, (cj_lang)lang));
}

static void buffers_hold_their_maximum(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 10);
    assert_int_equal(buf_puts(&b, "12345", NULL), CJ_OK);
    assert_int_equal(buf_printf(&b, NULL, "%d", 678), CJ_OK);
    assert_string_equal(b.data, "12345678");
    assert_int_equal(buf_puts(&b, "901", NULL), CJ_E_LIMIT);
    buf_deinit(&b);
    arena a;
    arena_init(&a, 1 << 20);
    for (int i = 0; i < 100; i++) assert_int_equal((uintptr_t)arena_alloc(&a, 1000) % MEM_ALIGN, 0);
    assert_null(arena_alloc(&a, 1 << 20));
    arena_reset(&a);
    assert_non_null(arena_alloc(&a, 1 << 20));
    arena_deinit(&a);
    assert_null(mem_array(SIZE_MAX / 2, 3));
}

static void files_are_replaced_whole(void **state)
{
    (void)state;
    char dir[] = "/tmp/cj-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *path = file_join(dir, "f");
    file_out f;
    assert_int_equal(file_out_open(&f, path, NULL), CJ_OK);
    assert_int_equal(file_out_write(&f, "old", 3, NULL), CJ_OK);
    assert_int_equal(file_out_commit(&f, NULL), CJ_OK);
    assert_int_equal(file_out_open(&f, path, NULL), CJ_OK);
    assert_int_equal(file_out_write(&f, "newer", 5, NULL), CJ_OK);
    file_out_abort(&f);
    buf b;
    assert_int_equal(file_read(path, 100, &b, NULL), CJ_OK);
    assert_string_equal(b.data, "old");
    buf_deinit(&b);
    assert_int_equal(file_read(path, 2, &b, NULL), CJ_E_LIMIT);
    assert_int_equal(file_read(dir, 100, &b, NULL), CJ_E_INPUT);
    file_map m;
    assert_int_equal(file_map_open(&m, dir, NULL), CJ_E_INPUT);
    assert_int_equal(file_map_open(&m, path, NULL), CJ_OK);
    assert_int_equal(m.size, 3);
    file_map_close(&m);
    unlink(path);
    assert_int_equal(rmdir(dir), 0); /* nothing half-written was left */
    mem_free(path);
}

static void halves_round_to_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float f = quant_f16_to_f32((uint16_t)h);
        if (!isnan(f)) assert_int_equal(quant_f32_to_f16(f), h);
        f = quant_bf16_to_f32((uint16_t)h);
        if (!isnan(f)) assert_int_equal(quant_f32_to_bf16(f), h);
    }
    assert_int_equal(quant_f32_to_f16(65520.f), 0x7c00);
    assert_int_equal(quant_f32_to_f16(65519.f), 0x7bff);
    assert_int_equal(quant_f32_to_f16(0x1p-25f), 0);
    assert_int_equal(quant_f32_to_f16(0x1.8p-24f), 2);
    assert_int_equal(quant_f32_to_bf16(1.00390625f), 0x3f80);
}

static void json_is_strict(void **state)
{
    (void)state;
    json_object *o = NULL;
    const char *good = "{\"a\": [1, 2.5, \"红\"]}";
    assert_int_equal(json_parse(good, strlen(good), "x", &o, NULL), CJ_OK);
    json_object_put(o);
    const char *bad[] = {"{\"a\":1} x", "{a:1}", "[1,]", "", "\"\xff\"", "{", "[1", "nul"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(json_parse(bad[i], strlen(bad[i]), "x", &o, NULL), CJ_E_INPUT);
}

static void sha256_is_sha256(void **state)
{
    (void)state;
    hash_sha256 h;
    char hex[65];
    hash_sha256_init(&h);
    hash_sha256_add(&h, "abc", 3);
    hash_sha256_hex(&h, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_round_trip), cmocka_unit_test(what_could_steer_a_terminal_is_told), cmocka_unit_test(diag_is_a_sentence), cmocka_unit_test(buffers_hold_their_maximum),
        cmocka_unit_test(files_are_replaced_whole), cmocka_unit_test(halves_round_to_even), cmocka_unit_test(json_is_strict),
        cmocka_unit_test(sha256_is_sha256),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

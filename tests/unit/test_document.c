/* document/: encodings, positions, chapters, paragraphs, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <iconv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "document/document.h"
#include "support/skip.h"

static const char book[] =
    "长卷\n\n第一回 起\n\n　　话说某年某月，有一人姓甄。\n他笑道：“好！”\n\n第二回 承\n却说次日天明，众人散去。\n第二回 承\n正文又起，万里江山如画，一卷读来，字字分明，句句可考，读者自知。\n";

static document *open_bytes(const char *bytes, size_t n)
{
    document *doc = NULL;
    assert_int_equal(document_from_bytes(&doc, "dir/book.txt", bytes, n, NULL), CJ_OK);
    return doc;
}

static void positions_go_both_ways(void **state)
{
    (void)state;
    size_t n = 0;
    char *big = malloc(sizeof book * 200);
    for (int i = 0; i < 200; i++) memcpy(big + n, book, sizeof book - 1), n += sizeof book - 1;
    document *doc = open_bytes(big, n);
    int64_t ch = 0;
    for (size_t b = 0; b <= n; b++) {
        if (b < n && ((unsigned char)big[b] & 0xC0) == 0x80) continue;
        assert_int_equal(document_char_at(doc, b), ch);
        assert_int_equal(document_byte_at(doc, ch), b);
        ch++;
    }
    assert_int_equal(document_chars(doc), ch - 1);
    document_close(&doc);
    free(big);
}

static void chapters_and_paragraphs(void **state)
{
    (void)state;
    document *doc = open_bytes(book, sizeof book - 1);
    assert_string_equal(document_name(doc), "book.txt");
    assert_int_equal(document_chapters(doc), 3);
    const document_chapter *c = document_chapter_at(doc, 1);
    assert_memory_equal(document_text(doc) + c->title_byte, "第二回 承", c->title_end - c->title_byte);
    size_t at = (size_t)(strstr(book, "他笑") - book);
    assert_int_equal(document_chapter_of(doc, 0), -1);
    assert_int_equal(document_chapter_of(doc, at), 0);
    assert_int_equal(document_paragraph_of(doc, at), 2);
    document_close(&doc);
    const char *const headings[] = {"第十二章", "卷三", "Chapter 4 The Dog", "## Part", "第三节 自然人", "第一章绪论", "第五章 你是谁？", "第二回：风，从东边来", "CHAPTER 1. Loomings.",
                                    "第七章《狂人日记》", "第一章：", "第三回 贾雨村夤缘复旧职 林黛玉抛父进京都"};
    const char *const others[] = {"第一次见面时", "卷起帘子", "Chapters of it", "#tag", "第三条 自然人", "第四回中既将薛家母子等事略已表明，此回则暂不能写矣。", "第五章我们讲过，", "第二回 他说不去。",
                                  "Chapter 4 shows that it is so.", "第三部分！谁来写", "第一章中所说的这些人后来都离开了那座他们住过多年的山也没有再回来过一次", "第二节课后，大家都走了"};
    for (size_t i = 0; i < sizeof headings / sizeof *headings; i++) {
        char text[256];
        for (int good = 0; good < 2; good++) {
            const char *line = good ? headings[i] : others[i];
            strcpy(text, line);
            strcat(text, "\nsome text\n");
            doc = open_bytes(text, strlen(text));
            assert_int_equal(document_chapters(doc), good);
            document_close(&doc);
        }
    }
}

/* Real books: every chapter is found, and nothing else. */
static void chapters_of_books(void **state)
{
    (void)state;
    static const struct { const char *name; int chapters; } books[] = {{"hongloumeng", 126}, {"sanguoyanyi", 120}, {"xiyouji", 100}, {"shuihuzhuan", 120}};
    const char *shared = getenv("CJ_SHARED");
    for (size_t i = 0; i < sizeof books / sizeof *books; i++) {
        char path[512];
        document *doc = NULL;
        snprintf(path, sizeof path, "%s/texts/%s.txt", shared ? shared : "", books[i].name);
        if (access(path, R_OK)) skip_because("shared/texts is not beside the checkout");
        assert_int_equal(document_open(&doc, path, NULL), CJ_OK);
        int found = document_chapters(doc);
        for (int c = 0; c < found; c++) assert_memory_equal(document_text(doc) + document_chapter_at(doc, c)->title_byte, "第", strlen("第"));
        document_close(&doc);
        if (found != books[i].chapters) fail_msg("%s: %d chapters", books[i].name, found);
    }
}

/* The book in another encoding, with iconv. */
static size_t encode(const char *to, char *out, size_t size)
{
    iconv_t cd = iconv_open(to, "UTF-8");
    char *in = (char *)(uintptr_t)book, *at = out;
    size_t left = sizeof book - 1, room = size;
    assert_int_equal(iconv(cd, &in, &left, &at, &room), 0);
    iconv_close(cd);
    return size - room;
}

static void encodings_are_found_out(void **state)
{
    (void)state;
    const char *const names[] = {"GB18030", "UTF-16LE", "UTF-16BE", "UTF-16"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char bytes[4096];
        size_t n = encode(names[i], bytes, sizeof bytes);
        document *doc = open_bytes(bytes, n);
        assert_string_equal(document_text(doc), book);
        assert_non_null(document_converted_from(doc));
        document_close(&doc);
    }
    /* Both scripts, and short: 話說天下大勢，分久必合 and its simplified form; Latin text is no Chinese. */
    const struct { const char *bytes, *text, *from; } shorts[] = {
        {"\xB8\xDC\xBB\xA1\xA4\xD1\xA4\x55\xA4\x6A\xB6\xD5\xA1\x41\xA4\xC0\xA4\x5B\xA5\xB2\xA6\x58", "話說天下大勢，分久必合", "BIG5-HKSCS"},
        {"\xBB\xB0\xCB\xB5\xCC\xEC\xCF\xC2\xB4\xF3\xCA\xC6\xA3\xAC\xB7\xD6\xBE\xC3\xB1\xD8\xBA\xCF", "话说天下大势，分久必合", "GB18030"},
        {"Le caf\xE9 est ferm\xE9 l'\xE9t\xE9, et le garc\xE7on aussi.", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof shorts / sizeof *shorts; i++) {
        document *doc = open_bytes(shorts[i].bytes, strlen(shorts[i].bytes));
        if (shorts[i].text) {
            assert_string_equal(document_text(doc), shorts[i].text);
            assert_string_equal(document_converted_from(doc), shorts[i].from);
        } else assert_non_null(strstr(document_text(doc), "café"));
        document_close(&doc);
    }
    document *doc = open_bytes("\xEF\xBB\xBF甲", 6);
    assert_string_equal(document_text(doc), "甲");
    assert_null(document_converted_from(doc));
    assert_int_equal(document_chars(doc), 1);
    document_close(&doc);
}

/* A few broken bytes cost the characters that they stand in, and are counted; with many it is no text of that encoding. */
static void broken_bytes_are_borne(void **state)
{
    (void)state;
    static const struct { const char *encoding; int width; } cases[] = {{"GB18030", 2}, {"UTF-8", 3}, {"UTF-16LE", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char bytes[4096];
        const size_t n = encode(cases[i].encoding, bytes, sizeof bytes);
        char *first = memchr(bytes, '\n', n), *last = memrchr(bytes, '\n', n - 3);
        const bool wide = !strcmp(cases[i].encoding, "UTF-16LE");
        /* the first character of the third line and of the last one */
        char *spoilt[] = {first + (wide ? 4 : 2), last + (wide ? 2 : 1)};
        for (int k = 0; k < 2; k++) {
            if (wide) spoilt[k][0] = 0, spoilt[k][1] = '\xDC'; /* half of a pair */
            else spoilt[k][0] = '\xFF', memset(spoilt[k] + 1, '?', (size_t)cases[i].width - 1);
        }
        document *doc = open_bytes(bytes, n);
        assert_int_equal(document_unread(doc), 2);
        const char *text = document_text(doc), *at = strstr(text, "\xEF\xBF\xBD");
        assert_non_null(at);
        assert_non_null(strstr(at + 3, "\xEF\xBF\xBD"));
        assert_memory_equal(text, book, (size_t)(at - text));
        assert_non_null(strstr(text, "话说某年某月，有一人姓甄。"));
        assert_true(!i == (document_converted_from(doc) && !strcmp(document_converted_from(doc), "GB18030")));
        document_close(&doc);
        for (size_t k = 0; k + 4 < n; k += 8) {
            if (wide) bytes[k] = 0, bytes[k + 1] = '\xDC';
            else bytes[k] = '\xFF';
        }
        assert_int_equal(document_from_bytes(&doc, "x", bytes, n, NULL), CJ_E_INPUT);
    }
    document *doc = open_bytes(book, sizeof book - 1);
    assert_int_equal(document_unread(doc), 0);
    document_close(&doc);
}

static void what_is_no_text_is_refused(void **state)
{
    (void)state;
    static const char zeros[4096], elf[] = "\x7f" "ELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0\x01\0\0\0binary";
    document *doc = NULL;
    assert_int_equal(document_from_bytes(&doc, "x", "", 0, NULL), CJ_E_INPUT);
    assert_int_equal(document_from_bytes(&doc, "x", "\xEF\xBB\xBF", 3, NULL), CJ_E_INPUT);
    assert_int_equal(document_from_bytes(&doc, "x", zeros, sizeof zeros, NULL), CJ_E_INPUT);
    assert_int_equal(document_from_bytes(&doc, "x", elf, sizeof elf - 1, NULL), CJ_E_INPUT);
    assert_int_equal(document_open(&doc, "/", NULL), CJ_E_INPUT);
    assert_int_equal(document_open(&doc, "/no/such/file", NULL), CJ_E_NOT_FOUND);
    assert_null(doc);
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    for (int64_t n = 0;; n++) {
        document *doc = NULL;
        mem_fail_after(n);
        cj_err e = document_from_bytes(&doc, "x", book, sizeof book - 1, NULL);
        mem_fail_after(-1);
        if (!e) {
            document_close(&doc);
            assert_true(n > 3);
            return;
        }
        assert_int_equal(e, CJ_E_NOMEM);
        assert_null(doc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions_go_both_ways), cmocka_unit_test(chapters_and_paragraphs), cmocka_unit_test(chapters_of_books), cmocka_unit_test(encodings_are_found_out), cmocka_unit_test(broken_bytes_are_borne),
        cmocka_unit_test(what_is_no_text_is_refused), cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* document/: formats other than plain text, and documents as bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/hash.h"
#include "document/document.h"
#include "document/draft.h"
#include "document/formats.h"
#include "document/archive.h"
#include "document/html.h"
#include "document/ignore.h"
#include "document/inside.h"
#include "document/pdf.h"
#include "document/set.h"
#include "document/xml.h"

static document *opened(const char *name, const char *bytes)
{
    document *doc = NULL;
    cj_diag d = {0};
    char text[512];
    if (document_from_bytes(&doc, name, bytes, strlen(bytes), &d)) {
        cj_diag_text(&d, CJ_LANG_EN, text, sizeof text);
        print_message("%s\n", text);
        fail();
    }
    return doc;
}

static void text_is(const char *html, const char *expected)
{
    document *doc = opened("a.html", html);
    assert_string_equal(document_text(doc), expected);
    document_close(&doc);
}

static const char *title_of(const document *doc, int i)
{
    static char title[512];
    const document_chapter *c = document_chapter_at(doc, i);
    snprintf(title, sizeof title, "%.*s", (int)(c->title_end - c->title_byte), document_text(doc) + c->title_byte);
    return title;
}

static void html_blocks_are_lines(void **state)
{
    (void)state;
    text_is("<p>a<p>b<div>c</div>d", "a\nb\nc\nd");
    text_is("<p> one \n two <b>three</b>four </p>\n\n<p>\n</p>five<br>six<br><br>seven", "one two threefour\nfive\nsix\nseven");
    text_is("<body>中文\n换行<span>无</span>\n空格 有 english\nword", "中文换行无空格 有 english word");
    text_is("x &lt;&amp;&#x4e2d;&#25991;&hellip;&nope; y", "x <&中文…&nope; y");
    text_is("<ul><li>甲<li>乙</ul><pre>\n  a\n    b\n</pre>c", "甲\n乙\n  a\n    b\nc");
    text_is("<dl><dt>词<dd>义</dl><hr><blockquote>引</blockquote>", "词\n义\n引");
}

static void html_tables_are_lines(void **state)
{
    (void)state;
    text_is("<table><tr><th>名<th>价<tr><td><p>茶</p><td><p>3</p><tr><td>酒</table>后", "名 | 价\n茶 | 3\n酒\n后");
    text_is("<table><tr><td><p>一</p><p>二</p><td>三</table>", "一\n二 | 三");
    text_is("<table><tr><td><table><tr><td>a<td>b</table><td>c</table>", "a | b\nc");
}

static void html_leaves_out_what_is_not_seen(void **state)
{
    (void)state;
    text_is("<style>p{}</style><script>if (a<b) document.write('<p>x</p>')</script>a<template><p>t</p></template><noscript>n</noscript>b", "ab");
    text_is("<!-- c --><p hidden>h</p><div style='display:none'><div>i</div>j</div><p>见</p>", "见");
    text_is("<ruby>漢<rp>(</rp><rt>hàn</rt><rp>)</rp>字<rt>zì</rt></ruby>", "漢字");
    text_is("<script/>a<iframe src='http://x/'>f</iframe>b", "ab");
}

static void html_headings_are_chapters(void **state)
{
    (void)state;
    document *doc = opened("a.html", "<title>页名</title><p>前言<h1>第一<br>章 <i>起</i></h1><p>话说<h2></h2><h3>节</h3>正文<h2>空</h2><h2>末</h2>完");
    assert_string_equal(document_text(doc), "前言\n第一 章 起\n话说\n节\n正文\n空\n末\n完");
    assert_int_equal(document_chapters(doc), 3); /* one without text is left out */
    assert_string_equal(title_of(doc, 0), "第一 章 起");
    assert_string_equal(title_of(doc, 1), "节");
    assert_string_equal(title_of(doc, 2), "末");
    document_close(&doc);
    doc = opened("x", "\n<!DOCTYPE HTML><html><head><title> 页\n名 </title></head>只有正文"); /* known by its beginning; its title is its heading */
    assert_string_equal(document_text(doc), "页名\n只有正文");
    assert_int_equal(document_chapters(doc), 1);
    document_close(&doc);
}

static void html_says_its_encoding(void **state)
{
    (void)state;
    /* 中文网页 in GBK, too little to guess from. */
    document *doc = opened("a.htm", "<meta http-equiv=Content-Type content='text/html; charset=gb2312'><p>\xD6\xD0\xCE\xC4\xCD\xF8\xD2\xB3");
    assert_string_equal(document_text(doc), "中文网页");
    assert_string_equal(document_converted_from(doc), "GB18030");
    document_close(&doc);
    doc = opened("a.htm", "<meta charset=\"Big5\"><p>\xA4\xA4\xA4\xE5");
    assert_string_equal(document_text(doc), "中文");
    document_close(&doc);
    doc = opened("a.htm", "<meta charset='gbk'><p>其实是 UTF-8");
    assert_string_equal(document_text(doc), "其实是 UTF-8");
    assert_null(document_converted_from(doc));
    document_close(&doc);
    char name[32];
    const struct { const char *page, *charset; } cases[] = {
        {"<?xml version='1.0' encoding='GBK'?>", "GBK"}, {"<meta charset = utf-8>", "utf-8"}, {"<p charset=gbk>", ""}, {"<meta", ""}, {"", ""},
        {"<meta charset=>", ""}, {"<meta charset=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa>", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        html_charset(cases[i].page, strlen(cases[i].page), name, sizeof name);
        assert_string_equal(name, cases[i].charset);
    }
}

static void html_of_any_depth(void **state)
{
    (void)state;
    size_t n = 0;
    char *deep = malloc(2000000);
    for (int i = 0; i < 100000; i++) n += (size_t)sprintf(deep + n, "<div><b>");
    strcpy(deep + n, "底");
    document *doc = NULL;
    cj_diag d = {0};
    cj_err e = document_from_bytes(&doc, "a.html", deep, strlen(deep), &d); /* no recursion, no quadratic time */
    assert_int_equal(e, CJ_OK);
    assert_string_equal(document_text(doc), "底");
    document_close(&doc);
    free(deep);
}

static void headings_that_look_so_count_beside_those_that_are_told(void **state)
{
    (void)state;
    document *doc = opened("a.html", "<h1>书名</h1><p>序。<p>第一回 起<p>话说。<h2>第二回 承</h2><p>且说。<pre>\n# 注释\n</pre>");
    assert_int_equal(document_chapters(doc), 3);
    assert_string_equal(title_of(doc, 0), "书名");
    assert_string_equal(title_of(doc, 1), "第一回 起");
    assert_string_equal(title_of(doc, 2), "第二回 承");
    document_close(&doc);
    const char text[] = "# 一\n字\n```sh\n# 注释\nls\n```\n## 二\n字\n";
    const struct { const char *name; int chapters; } files[] = {{"a.md", 2}, {"a.txt", 2}, {"-", 2}, {"a.py", 0}, {"Makefile", 0}, {"a.md.yml", 0}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        doc = opened(files[i].name, text);
        assert_int_equal(document_chapters(doc), files[i].chapters);
        document_close(&doc);
    }
}

/* ---- PDF ---- */

static void lines_of_a_page_are_joined(void **state)
{
    (void)state;
    char text[] = "第一章\n\n总则\n\n"
                  "第一条 甲方应当于每月五日之前向乙方支付租金人民币三千元整，逾期\n每日加收百分之一的违约金。\n"
                  "第二条 乙方应当按时交付房屋，房屋应当符合约定的用途，并保持清洁\n（一）有水；\n（二）有电。\n"
                  "The tenant shall keep the house in good repair and shall not make any\nchanges without consent of the owner of it.\n12\n"
                  "\f\fThird \x01page\xFF\n";
    draft t;
    draft_init(&t);
    assert_int_equal(pdf_text_to_draft(text, sizeof text - 1, &t, NULL), CJ_OK);
    assert_string_equal(t.text.data, "第一章 总则\n"
                        "第一条 甲方应当于每月五日之前向乙方支付租金人民币三千元整，逾期每日加收百分之一的违约金。\n"
                        "第二条 乙方应当按时交付房屋，房屋应当符合约定的用途，并保持清洁\n（一）有水；\n（二）有电。\n"
                        "The tenant shall keep the house in good repair and shall not make any changes without consent of the owner of it.\n12\n"
                        "Third page");
    assert_int_equal(t.n_pages, 3);
    assert_int_equal(t.pages[0], 0);
    assert_int_equal(t.pages[1], t.pages[2]);
    assert_string_equal(t.text.data + t.pages[2], "Third page");
    document *doc = NULL;
    assert_int_equal(document_of_draft(&doc, "a.pdf", &t, NULL), CJ_OK);
    assert_int_equal(document_pages(doc), 3);
    assert_int_equal(document_pages_without_text(doc), 1);
    assert_int_equal(document_page_of(doc, 0), 1);
    assert_int_equal(document_page_of(doc, document_bytes(doc) - 1), 3);
    assert_int_equal(document_articles(doc), 2);
    document_close(&doc);
    draft_deinit(&t);
}

static void verse_is_not_joined(void **state)
{
    (void)state;
    char text[] = "床前明月光\n疑是地上霜\n举头望明月\n低头思故乡\n\f";
    draft t;
    draft_init(&t);
    assert_int_equal(pdf_text_to_draft(text, sizeof text - 1, &t, NULL), CJ_OK);
    assert_string_equal(t.text.data, "床前明月光\n疑是地上霜\n举头望明月\n低头思故乡");
    assert_int_equal(t.n_pages, 1);
    draft_deinit(&t);
}

/* ---- archives ---- */

static void references_are_resolved_within_an_archive(void **state)
{
    (void)state;
    const struct { const char *from, *reference, *path; } cases[] = {
        {"OEBPS/a.opf", "t/b.xhtml", "OEBPS/t/b.xhtml"}, {"a.opf", "b.xhtml#x", "b.xhtml"}, {"O/x/a.opf", "../c", "O/c"},
        {"O/a", "/word/b.xml", "word/b.xml"}, {"a", "./b", "b"}, {"", "word/document.xml", "word/document.xml"}, {"a", "%E4%B8%AD.x", "中.x"},
        {"a", "b%", "b%"}, {"a/b", "../../c", NULL}, {"a", "../c", NULL}, {"a", "", NULL}, {"a", "#b", NULL}, {"a", "b%00c", NULL},
        {"a/b", "c/%2e%2e/d", "a/d"}, {"a/b", "c//d", "a/c/d"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[ARCHIVE_NAME_MAX];
        bool found = archive_resolve(cases[i].from, cases[i].reference, out);
        assert_int_equal(found, cases[i].path != NULL);
        if (found) assert_string_equal(out, cases[i].path);
    }
    char *far = calloc(1, 4000), out[ARCHIVE_NAME_MAX];
    memset(far, 'a', 3999);
    assert_false(archive_resolve("a", far, out));
    far[3000] = '/';
    assert_false(archive_resolve(far, "a", out));
    free(far);
}

static cj_err keep_name(void *user, const xml_element *e, cj_diag *d)
{
    char value[32];
    xml_attribute(e, "a", value, sizeof value);
    return buf_printf(user, d, "<%s %s %lld>", e->name, value, (long long)xml_number(e, "n", -1));
}

static cj_err keep_text(void *user, const char *s, size_t n, cj_diag *d) { return buf_append(user, s, n, d); }

static void xml_takes_no_entities(void **state)
{
    (void)state;
    const struct { const char *text, *seen; msg_id refusal; } cases[] = {
        {"<x a='1' p:a='2' xmlns:p='q' n='12'>t&lt;&#x4e2d;<![CDATA[<c>]]><y n='1x'/></x>", "<x 1 12>t<中<c><y  -1>", MSG_NONE},
        {"<!DOCTYPE ncx PUBLIC 'a' 'http://127.0.0.1:9/none.dtd'><x/>", "<x  -1>", MSG_NONE},
        {"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>", NULL, MSG_XML_ENTITIES},
        {"<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]><x>&b;</x>", NULL, MSG_XML_ENTITIES},
        {"<!DOCTYPE x [<!ENTITY % e SYSTEM 'file:///etc/passwd'> %e;]><x/>", NULL, MSG_XML_ENTITIES},
        {"<x>&undeclared;</x>", NULL, MSG_XML_BROKEN}, {"<x><y></x>", NULL, MSG_XML_BROKEN}, {"", NULL, MSG_XML_BROKEN}, {"x", NULL, MSG_XML_BROKEN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf seen;
        cj_diag d = {0};
        buf_init(&seen, 1000);
        cj_err e = xml_read(cases[i].text, strlen(cases[i].text), "a", "b", &(xml_reader){.begin = keep_name, .text = keep_text}, &seen, &d);
        assert_int_equal(e, cases[i].seen ? CJ_OK : CJ_E_INPUT);
        if (e) assert_int_equal(d.message, cases[i].refusal);
        else assert_string_equal(seen.data, cases[i].seen);
        buf_deinit(&seen);
    }
    buf small;
    buf_init(&small, 20);
    assert_int_equal(xml_read("<x>aaaaaaaaaaaaaaaaaaaaaaaaaa</x>", 33, "a", "b", &(xml_reader){.text = keep_text}, &small, NULL), CJ_E_LIMIT);
    buf_deinit(&small);
}

static void what_is_no_document_is_named(void **state)
{
    (void)state;
    const struct { const char *bytes; cj_err code; msg_id refusal; } cases[] = {
        {"PK\3\4 some other archive, xl/workbook.xml", CJ_E_UNSUPPORTED, MSG_ARCHIVE_OTHER},
        {"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1....", CJ_E_UNSUPPORTED, MSG_DOCUMENT_OLD_OFFICE},
        {"{\\rtf1 x}", CJ_E_UNSUPPORTED, MSG_DOCUMENT_RTF},
        {"PK\3\4 word/document.xml", CJ_E_INPUT, MSG_ARCHIVE_BROKEN},
        {"PK\3\4 META-INF/container.xml", CJ_E_INPUT, MSG_ARCHIVE_BROKEN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        document *doc = NULL;
        cj_diag d = {0};
        assert_int_equal(document_from_bytes(&doc, "a", cases[i].bytes, strlen(cases[i].bytes), &d), cases[i].code);
        assert_int_equal(d.message, cases[i].refusal);
    }
}

/* ---- folders ---- */

static void ignored_names_are_found(void **state)
{
    (void)state;
    static const char outer[] = "# c\n\n*.o\n/build\nlogs/\n!keep.o\ndoc/*.txt\n**/deep\na/**/z \r\n", inner[] = "!x.o\n/only\n";
    ignore_list l = {0};
    assert_int_equal(ignore_add(&l, 2, outer, sizeof outer - 1, NULL), CJ_OK);
    int rules = l.n;
    assert_int_equal(ignore_add(&l, 6, inner, sizeof inner - 1, NULL), CJ_OK);
    const struct { const char *path; bool folder, ignored; } cases[] = {
        {"r/a.o", false, true}, {"r/s/b.o", false, true}, {"r/keep.o", false, false}, {"r/build", true, true}, {"r/s/build", true, false},
        {"r/logs", true, true}, {"r/logs", false, false}, {"r/s/logs", true, true}, {"r/doc/a.txt", false, true}, {"r/doc/b/a.txt", false, false},
        {"r/x/y/deep", true, true}, {"r/a/b/c/z", false, true}, {"r/sub/x.o", false, false}, {"r/sub/only", false, true}, {"r/a.c", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (ignore_has(&l, cases[i].path, cases[i].folder) == cases[i].ignored) continue;
        print_message("%s\n", cases[i].path);
        fail();
    }
    ignore_cut(&l, rules);
    assert_true(ignore_has(&l, "r/sub/x.o", false)); /* the inner file's rules are gone */
    ignore_cut(&l, 0);
}

static void put_file(const char *folder, const char *name, const char *text)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static bool never(void *user)
{
    (void)user;
    return false;
}

static void folders_become_documents(void **state)
{
    (void)state;
    char root[] = "/tmp/cj-set-XXXXXX", inner[64];
    assert_non_null(mkdtemp(root));
    snprintf(inner, sizeof inner, "%s/卷2", root);
    assert_int_equal(file_make_dirs(inner, NULL), CJ_OK);
    put_file(root, "卷10.txt", "第十");
    put_file(root, "卷1.txt", "第一");
    put_file(inner, "a.txt", "第二");
    put_file(inner, "b.o", "忽略");
    put_file(inner, ".gitignore", "*.o");
    const char *const paths[] = {root, inner}, *const base = strrchr(root, '/') + 1;
    document_set set;
    for (int64_t n = 0;; n++) { /* every allocation fails once */
        mem_fail_after(n);
        cj_err e = document_set_open(&set, paths, 2, NULL, NULL);
        mem_fail_after(-1);
        if (!e) {
            assert_true(n > 30);
            break;
        }
        assert_int_equal(e, CJ_E_NOMEM);
        document_set_close(&set);
    }
    const char *const texts[] = {"第一", "第二", "第十", "第二"}, *const names[] = {"卷1.txt", "卷2/a.txt", "卷10.txt"};
    assert_int_equal(set.n, 4);
    assert_int_equal(set.hidden, 2);
    assert_int_equal(set.ignored, 2);
    for (int i = 0; i < 4; i++) {
        assert_string_equal(document_text(set.docs[i]), texts[i]);
        assert_int_equal(set.path[i], i == 3);
        assert_memory_equal(document_name(set.docs[i]), i < 3 ? base : "卷2/", strlen(i < 3 ? base : "卷2/"));
        if (i < 3) assert_string_equal(document_name(set.docs[i]) + strlen(base) + 1, names[i]);
    }
    document_set_close(&set);
    assert_int_equal(document_set_open(&set, paths, 2, &(document_watch){.go_on = never}, NULL), CJ_E_CANCELLED);
    document_set_close(&set);
    assert_int_equal(folder_remove(root, NULL), CJ_OK);
}

/* ---- documents as bytes ---- */

static const char law[] = "示范法\n\n第一章 总则\n第一条　为了规范。\n本条第二款。\n第二条　适用范围。\n第二章 分则\n通则一句。\n第三条之一 补充。\n";

static void documents_are_saved_and_loaded(void **state)
{
    (void)state;
    const char *const texts[] = {law, "<p>a<h1>标题</h1>b", "x"};
    for (size_t i = 0; i < 3; i++) {
        document *doc = opened(i == 1 ? "dir/a.html" : "dir/a.txt", texts[i]), *again = NULL;
        buf saved, twice;
        buf_init(&saved, 1 << 20);
        buf_init(&twice, 1 << 20);
        assert_int_equal(document_save(doc, &saved, NULL), CJ_OK);
        assert_int_equal(document_load(&again, saved.data, saved.len, "x", NULL), CJ_OK);
        assert_int_equal(document_save(again, &twice, NULL), CJ_OK);
        assert_int_equal(saved.len, twice.len);
        assert_memory_equal(saved.data, twice.data, saved.len);
        assert_string_equal(document_text(again), document_text(doc));
        assert_string_equal(document_sha256(again), document_sha256(doc));
        assert_int_equal(strlen(document_sha256(again)), 64);
        assert_int_equal(document_chars(again), document_chars(doc));
        assert_int_equal(document_chapters(again), document_chapters(doc));
        document_close(&again);
        document_close(&doc);
        buf_deinit(&saved);
        buf_deinit(&twice);
    }
}

/* Puts a right checksum over what was changed. */
static void seal(char *blob, size_t n)
{
    uint64_t sum = hash_xxh3(blob + 16, n - 16);
    memcpy(blob + 8, &sum, 8);
}

static void a_damaged_blob_is_refused(void **state)
{
    (void)state;
    document *doc = opened("a", law), *again = NULL;
    buf saved;
    buf_init(&saved, 1 << 20);
    assert_int_equal(document_save(doc, &saved, NULL), CJ_OK);
    for (size_t i = 0; i < saved.len; i++) { /* every byte, and every cut: the checksum tells */
        saved.data[i] ^= 0x40;
        assert_int_equal(document_load(&again, saved.data, saved.len, "x", NULL), CJ_E_INPUT);
        saved.data[i] ^= 0x40;
        assert_int_equal(document_load(&again, saved.data, i, "x", NULL), CJ_E_INPUT);
    }
    int loaded = 0;
    for (size_t i = 16; i < saved.len; i++) /* with a right checksum: refused, or a document that holds together */
        for (int bit = 0; bit < 8; bit++) {
            saved.data[i] = (char)(saved.data[i] ^ 1 << bit);
            seal(saved.data, saved.len);
            if (!document_load(&again, saved.data, saved.len, "x", NULL)) {
                loaded++;
                for (int c = 0; c < document_chapters(again); c++) assert_true(document_chapter_at(again, c)->end <= document_bytes(again));
                document_close(&again);
            }
            saved.data[i] = (char)(saved.data[i] ^ 1 << bit);
        }
    assert_true(loaded > 0); /* changed letters are no damage that can be told */
    document_close(&doc);
    buf_deinit(&saved);
}

static void laws_have_articles(void **state)
{
    (void)state;
    document *doc = opened("law.txt", law);
    const struct { const char *in, *article; } places[] = {
        {"为了", "第一条"}, {"第二款", "第一条"}, {"适用", "第二条"}, {"通则", NULL}, {"补充", "第三条之一"}, {"示范", NULL},
    };
    assert_int_equal(document_chapters(doc), 2);
    assert_int_equal(document_articles(doc), 3);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int a = document_article_of(doc, (size_t)(strstr(law, places[i].in) - law));
        if (!places[i].article) assert_int_equal(a, -1);
        else {
            const document_article *at = document_article_at(doc, a);
            assert_int_equal(at->label_end - at->byte, strlen(places[i].article));
            assert_memory_equal(law + at->byte, places[i].article, strlen(places[i].article));
        }
    }
    document_close(&doc);
    const struct { const char *line; bool article; } lines[] = {
        {"第12條：甲方", true}, {"**第十二条** 甲方", true}, {"Article 12. The", true}, {"ARTICLE 3", true}, {"第 八 条 乙方", true}, {"第一百二十条之一　丙", true},
        {"第三条路在哪里", false}, {"Articles 3", false}, {"Article B", false}, {"条约第一条 x", false}, {"第条 x", false}, {"第十二条之 一", true},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        doc = opened("a", lines[i].line);
        assert_int_equal(document_articles(doc), lines[i].article);
        document_close(&doc);
    }
}

/* ---- no memory ---- */

/* Every allocation of ours fails once; behind a fence and before it. */
static void no_memory_is_an_error(void **state)
{
    (void)state;
    const char page[] = "<title>t</title><p>a<h1>标题</h1>正文";
    for (int64_t n = 0;; n++) {
        draft t;
        buf title;
        document_source s = {.path = "a.html", .name = "a.html", .bytes = page, .n = sizeof page - 1};
        draft_init(&t);
        buf_init(&title, 100);
        mem_fail_after(n);
        cj_err e = html_extract(&s, &t, NULL);
        mem_fail_after(-1);
        draft_deinit(&t);
        if (!e) {
            assert_true(n > 2);
            break;
        }
        assert_int_equal(e, CJ_E_NOMEM);
    }
    for (int64_t n = 0;; n++) {
        document *doc = NULL;
        mem_fail_after(n);
        cj_err e = document_from_bytes(&doc, "a.html", page, sizeof page - 1, NULL);
        mem_fail_after(-1);
        document_close(&doc);
        if (!e) return;
        assert_int_equal(e, CJ_E_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(html_blocks_are_lines), cmocka_unit_test(html_tables_are_lines), cmocka_unit_test(html_leaves_out_what_is_not_seen),
        cmocka_unit_test(html_headings_are_chapters), cmocka_unit_test(html_says_its_encoding), cmocka_unit_test(html_of_any_depth),
        cmocka_unit_test(headings_that_look_so_count_beside_those_that_are_told), cmocka_unit_test(lines_of_a_page_are_joined), cmocka_unit_test(verse_is_not_joined),
        cmocka_unit_test(references_are_resolved_within_an_archive),
        cmocka_unit_test(xml_takes_no_entities), cmocka_unit_test(what_is_no_document_is_named), cmocka_unit_test(ignored_names_are_found),
        cmocka_unit_test(folders_become_documents),
        cmocka_unit_test(documents_are_saved_and_loaded), cmocka_unit_test(a_damaged_blob_is_refused), cmocka_unit_test(laws_have_articles),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

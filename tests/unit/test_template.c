/* token/template.h: what templates print is compared with what Python's jinja2 printed (tests/parity/template_oracle.py wrote it
 * down), and hostile ones must end in a sentence: out of steps, too deep, too large. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "parallel/pool.h"
#include "support/skip.h"
#include "token/template.h"

static const struct tm noon = {.tm_year = 125, .tm_mon = 6, .tm_mday = 28, .tm_hour = 8, .tm_wday = 1, .tm_yday = 208};

/* ---- help ---- */

static json_object *parse(const char *text)
{
    json_object *o = NULL;
    assert_int_equal(json_parse(text, strlen(text), "test", &o, NULL), CJ_OK);
    return o;
}

static json_object *fixture(const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s/tests/fixtures/templates/%s.json", getenv("CJ_SOURCE"), name);
    buf b;
    assert_int_equal(file_read(path, 1 << 20, &b, NULL), CJ_OK);
    json_object *o = parse(b.data);
    buf_deinit(&b);
    return o;
}

static json_object *member(json_object *o, const char *key)
{
    json_object *m = NULL;
    json_object_object_get_ex(o, key, &m);
    return m;
}

/* Renders into out, which this initialises. */
static cj_err render(const char *text, size_t n, json_object *variables, const jinja_options *o, buf *out, cj_diag *d)
{
    jinja_template *t = NULL;
    buf_init(out, (size_t)1 << 30);
    cj_err e = jinja_template_open(&t, text, n, d);
    if (!e) e = jinja_template_render(t, variables, o, out, d);
    jinja_template_close(&t);
    return e;
}

/* The English sentence that rendering ends in; "" when it succeeds. */
static const char *sentence(const char *text, const char *variables, const jinja_options *o, cj_err want)
{
    static char said[2048];
    cj_diag d = {0};
    buf out;
    json_object *v = parse(variables);
    cj_err e = render(text, strlen(text), v, o, &out, &d);
    if (e != want) fail_msg("%.200s: %d instead of %d", text, e, want);
    said[0] = 0;
    if (e) cj_diag_text(&d, CJ_LANG_EN, said, sizeof said);
    json_object_put(v);
    buf_deinit(&out);
    return said;
}

/* ---- parity ---- */

static void features_print_as_in_python(void **state)
{
    (void)state;
    json_object *features = fixture("features"), *variables = fixture("variables");
    const jinja_options o = {.now = &noon};
    size_t n = json_object_array_length(features);
    assert_true(n > 250);
    for (size_t i = 0; i < n; i++) {
        json_object *f = json_object_array_get_idx(features, i), *text = member(f, "template"), *want = member(f, "output");
        cj_diag d = {0};
        buf out;
        cj_err e = render(json_object_get_string(text), (size_t)json_object_get_string_len(text), member(variables, "variables"), &o, &out, &d);
        const char *name = json_object_get_string(member(f, "name"));
        if (!want && !e) fail_msg("%s should fail, but printed %s", name, out.data ? out.data : "");
        if (want && e) fail_msg("%s: failed at template line %s", name, d.args);
        if (want && (out.len != (size_t)json_object_get_string_len(want) || (out.len && memcmp(out.data, json_object_get_string(want), out.len))))
            fail_msg("%s: %s\nshould be %s", name, out.data ? out.data : "", json_object_get_string(want));
        buf_deinit(&out);
    }
    json_object_put(features);
    json_object_put(variables);
}

/* {"messages": conversation, settings..., tokens...} */
static json_object *make_request(json_object *messages, json_object *settings, json_object *tokens)
{
    json_object *request = json_object_new_object();
    json_object_object_add(request, "messages", json_object_get(messages));
    json_object_object_foreach(settings, key, setting) json_object_object_add(request, key, json_object_get(setting));
    json_object_object_foreach(tokens, name, token) json_object_object_add(request, name, json_object_get(token));
    return request;
}

/* As template_oracle.py's digest(). */
static void digest(const jinja_template *t, json_object *messages, json_object *requests, char hex[65])
{
    hash_sha256 h;
    hash_sha256_init(&h);
    json_object_object_foreach(member(requests, "settings"), name, settings) {
        (void)name;
        json_object *request = make_request(messages, settings, member(requests, "tokens"));
        const jinja_options o = {.now = &noon};
        buf out;
        buf_init(&out, 1 << 20);
        cj_err e = jinja_template_render(t, request, &o, &out, NULL);
        hash_sha256_add(&h, e ? "\2" : "\1", 1);
        if (!e) hash_sha256_add(&h, out.data, out.len);
        buf_deinit(&out);
        json_object_put(request);
    }
    hash_sha256_hex(&h, hex);
    hex[16] = 0;
}

/* The template text of a .jinja file or of the "chat_template" of a tokenizer_config.json. */
static jinja_template *open_shared(const char *shared, const char *name)
{
    char *path = file_join(shared, name);
    buf b;
    assert_int_equal(file_read(path, 64 << 20, &b, NULL), CJ_OK);
    mem_free(path);
    jinja_template *t = NULL;
    if (strstr(name, ".json")) {
        json_object *config = parse(b.data), *text = member(config, "chat_template");
        assert_int_equal(jinja_template_open(&t, json_object_get_string(text), (size_t)json_object_get_string_len(text), NULL), CJ_OK);
        json_object_put(config);
    } else
        assert_int_equal(jinja_template_open(&t, b.data, b.len, NULL), CJ_OK);
    buf_deinit(&b);
    return t;
}

static void models_templates_print_as_in_python(void **state)
{
    (void)state;
    const char *shared = getenv("CJ_SHARED");
    if (!shared || !file_is_dir(shared)) skip_because("the models' chat templates are not at %s (CJ_SHARED)", shared ? shared : "../shared");
    json_object *models = fixture("models"), *requests = fixture("requests");
    for (size_t i = 0; i < json_object_array_length(models); i++) {
        json_object *m = json_object_array_get_idx(models, i), *digests = member(m, "digests");
        const char *name = json_object_get_string(member(m, "template"));
        jinja_template *t = open_shared(shared, name);
        size_t at = 0;
        json_object_object_foreach(member(requests, "conversations"), title, messages) {
            char hex[65];
            digest(t, messages, requests, hex);
            if (strcmp(hex, json_object_get_string(json_object_array_get_idx(digests, at++))))
                fail_msg("%s: conversation \"%s\" differs (template_oracle.py check shows how)", name, title);
        }
        jinja_template_close(&t);
    }
    json_object_put(models);
    json_object_put(requests);
}

/* ---- hostile templates ---- */

static void budgets_hold(void **state)
{
    (void)state;
    static const char *const hostile[] = {
        "{% for i in range(1000000000) %}x{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{% set b = range(99999)|list %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f(n) %}{{ f(n + 1) ~ f(n + 2) }}{% endmacro %}{{ f(0) }}",
        "{% macro f(g) %}{% call g(g) %}{% endcall %}{% endmacro %}{% call f(f) %}{% endcall %}",
        "{% set ns = namespace(s='aaaaaaaaaaaaaaaa') %}{% for i in range(64) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
        "{% set ns = namespace(s='aaaaaaaaaaaaaaaa') %}{% for i in range(64) %}{% set ns.s = ns.s ~ 'b' ~ ns.s %}{% endfor %}",
        "{{ 'x' * 99999999999 }}", "{{ [1] * 99999999999 }}", "{{ ['ab'] * 9223372036854775807 }}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(64) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(64) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(64) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l|tojson }}",
        "{% set ns = namespace(l=[1], m=[1]) %}{% for i in range(64) %}{% set ns.l = [ns.l, ns.l] %}{% set ns.m = [ns.m, ns.m] %}{% endfor %}{{ ns.l == ns.m }}",
        "{% set ns = namespace(l=(1,), m=(1,)) %}{% for i in range(64) %}{% set ns.l = (ns.l, ns.l) %}{% set ns.m = (ns.m, ns.m) %}{% endfor %}{{ ns.l < ns.m }}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(9000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
        "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}",
        "{% for i in range(99999) %}{% for j in range(1000) %}0123456789abcdef{% endfor %}{% endfor %}",
        "{% set a = 'a' * 8000000 %}{% for i in range(9999) %}{{ a.strip('b' * 100000 ~ 'a') }}{% endfor %}",
        "{% set a = 'a' * 1000000 %}{% set b = 'a' * 250000 ~ 'b' ~ 'a' * 250000 %}{{ a.rsplit(b) }}{{ a.rfind(b) }}{{ b in a }}"
        "{% for i in range(9999) %}{{ a.rfind(b) }}{% endfor %}",
        "{% for i in range(99999) %}{{ '%100000d' % 1 }}{% endfor %}", "{% for i in range(99999) %}{{ '{:>100000}'.format(1) }}{% endfor %}",
        "{% for i in range(99999) %}{{ 'a'.center(99999) }}{% endfor %}", "{{ 'a'.ljust(9223372036854775807) }}", "{{ 'a'|indent(99999999999) }}",
        "{{ 'a\n'|list|batch(9223372036854775807, 1)|list }}", "{{ range(99999)|map('list')|list }}" "{{ range(99999)|map('string')|map('list')|map('tojson', indent=99999)|list }}",
        "{% for i in range(9999) %}{{ range(99999)|sort(reverse=true) }}{% endfor %}", "{{ range(99999)|map('string')|unique|list|length }}",
        "{{ 'a'|tojson(indent=99999999999) }}", "{% set ns = namespace(x=1) %}{% for i in range(99999) %}{% set ns.x = ns.x * 3 %}{% endfor %}",
        "{% filter replace('a', 'aaaaaaaaaaaaaaaa' * 9999) %}{{ 'a' * 999999 }}{% endfilter %}", "{{ 'aaaa' * 99999|replace('', 'bbbbbbbbb' * 9999) }}",
        "{% macro m() %}{{ 'a' * 9000000 }}{{ m() }}{% endmacro %}{{ m() }}",
    };
    /* a tenth of the default, to be quick; a thousandth under a slow sanitizer */
    const jinja_options o = {.limits = {.steps = getenv("CJ_TEST_QUICK") ? 20000 : 2000000, .memory_bytes = 64 << 20, .output_bytes = 8 << 20}};
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        cj_diag d = {0};
        buf out;
        json_object *v = parse("{}");
        double start = clock_now();
        cj_err e = render(hostile[i], strlen(hostile[i]), v, &o, &out, &d);
        if (clock_now() - start > 20) fail_msg("%s takes %.1f s", hostile[i], clock_now() - start);
        if (e != CJ_E_LIMIT && e != CJ_E_INPUT) fail_msg("%s: %d", hostile[i], e);
        assert_int_equal(out.len, 0);
        char text[600];
        for (int lang = 0; lang < 2; lang++) assert_true(cj_diag_text(&d, (cj_lang)lang, text, sizeof text) > 20);
        json_object_put(v);
        buf_deinit(&out);
    }
}

static void limits_can_be_set(void **state)
{
    (void)state;
    const char *text = "{% for i in range(1000) %}{{ i }}{% endfor %}";
    sentence(text, "{}", NULL, CJ_OK);
    sentence(text, "{}", &(jinja_options){.limits.steps = 1000}, CJ_E_LIMIT);
    sentence(text, "{}", &(jinja_options){.limits.output_bytes = 1000}, CJ_E_LIMIT);
    sentence(text, "{}", &(jinja_options){.limits.depth = 2}, CJ_E_LIMIT);
    sentence(text, "{}", &(jinja_options){.limits.memory_bytes = 1000}, CJ_E_LIMIT);
}

/* `piece` n times between head and tail. */
static void nested_fails(const char *head, const char *piece, const char *tail, size_t n)
{
    buf b;
    buf_init(&b, JINJA_SOURCE_MAX);
    assert_int_equal(buf_puts(&b, head, NULL), CJ_OK);
    for (size_t i = 0; i < n; i++) assert_int_equal(buf_puts(&b, piece, NULL), CJ_OK);
    assert_int_equal(buf_puts(&b, tail, NULL), CJ_OK);
    sentence(b.data, "{}", NULL, CJ_E_LIMIT);
    buf_deinit(&b);
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    nested_fails("{{ ", "(", "", 60000);
    nested_fails("{{ ", "[", "", 60000);
    nested_fails("{{ ", "not ", "1 }}", 60000);
    nested_fails("{{ ", "-", "1 }}", 60000);
    nested_fails("{{ ", "1 if 1 else ", "1 }}", 30000);
    nested_fails("{{ 1", " + 1", " }}", 60000);
    nested_fails("{{ ''", "|upper", " }}", 60000);
    nested_fails("{{ x", "[x", " }}", 60000);
    nested_fails("", "{% if 1 %}", "", 30000);
    nested_fails("", "{% for a in [1] %}", "", 20000);
    nested_fails("", "{% set a %}", "", 20000);
    nested_fails("{% set ", "(", "", 60000);
}

static void sources_are_checked(void **state)
{
    (void)state;
    jinja_template *t = NULL;
    char *large = mem_alloc(JINJA_SOURCE_MAX + 1);
    memset(large, 'x', JINJA_SOURCE_MAX + 1);
    assert_int_equal(jinja_template_open(&t, large, JINJA_SOURCE_MAX + 1, NULL), CJ_E_LIMIT);
    assert_int_equal(jinja_template_open(&t, large, JINJA_SOURCE_MAX, NULL), CJ_OK);
    jinja_template_close(&t);
    mem_free(large);
    assert_int_equal(jinja_template_open(&t, "a\xff", 2, NULL), CJ_E_INPUT);
    assert_int_equal(jinja_template_open(&t, "{{ 'a\0b' }}\0", 12, NULL), CJ_OK);
    jinja_template_close(&t);
}

/* Every beginning of every feature template is either a template or an error. */
static void cut_sources_are_errors_or_templates(void **state)
{
    (void)state;
    json_object *features = fixture("features"), *variables = fixture("variables");
    const jinja_options o = {.now = &noon, .limits.steps = 20000};
    for (size_t i = 0; i < json_object_array_length(features); i++) {
        json_object *text = member(json_object_array_get_idx(features, i), "template");
        for (int n = json_object_get_string_len(text); n > 0; n--) {
            cj_diag d = {0};
            buf out;
            char *cut = mem_strndup(json_object_get_string(text), (size_t)n); /* its own block, so that a sanitizer sees the end */
            cj_err e = render(cut, (size_t)n, member(variables, "variables"), &o, &out, &d);
            assert_true(e == CJ_OK || e == CJ_E_INPUT || e == CJ_E_LIMIT || e == CJ_E_UNSUPPORTED);
            buf_deinit(&out);
            mem_free(cut);
        }
    }
    json_object_put(features);
    json_object_put(variables);
}

/* ---- sentences ---- */

static void sentences_name_line_and_cause(void **state)
{
    (void)state;
    assert_non_null(strstr(sentence("a\nb\n{{ x.y.z }}", "{\"x\": {}}", NULL, CJ_E_INPUT), "Line 3 of the chat template needs mapping.y"));
    assert_non_null(strstr(sentence("{% if x %}\n\n{% for a in b %}", "{}", NULL, CJ_E_INPUT), "line 3 is never closed by {% endfor %}"));
    assert_non_null(strstr(sentence("\n{{ 1 + }}", "{}", NULL, CJ_E_INPUT), "line 2: }} stands where an expression is needed"));
    assert_non_null(strstr(sentence("\n\n{{ raise_exception('只能 ' ~ 1) }}", "{}", NULL, CJ_E_INPUT), "does not accept this conversation: 只能 1 (template line 3)"));
    assert_non_null(strstr(sentence("{{ 1\n + 'a' }}", "{}", NULL, CJ_E_INPUT), "+ does not work with integer, string"));
    assert_non_null(strstr(sentence("\n{{ x|sideways }}", "{}", NULL, CJ_E_UNSUPPORTED), "Line 2 of the chat template uses | sideways"));
    assert_non_null(strstr(sentence("{% include 'x' %}", "{}", NULL, CJ_E_UNSUPPORTED), "{% include %}"));
    assert_non_null(strstr(sentence("{{ 'a'|replace('b') }}", "{}", NULL, CJ_E_INPUT), "calls replace with wrong arguments"));
    assert_non_null(strstr(sentence("{{ 9223372036854775807 + 1 }}", "{}", NULL, CJ_E_LIMIT), "larger than 64 bits"));
    assert_non_null(strstr(sentence("{{ 1 // 0 }}", "{}", NULL, CJ_E_INPUT), "divides by zero"));
}

static void requests_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"[]", "{}", "{\"messages\": {}}", "{\"messages\": [1]}", "{\"messages\": [{\"content\": \"x\"}]}"};
    buf out;
    buf_init(&out, 1000);
    assert_int_equal(buf_puts(&out, "kept", NULL), CJ_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_object *o = parse(bad[i]);
        assert_int_equal(template_render_request("x", 1, o, NULL, &out, NULL), CJ_E_INPUT);
        json_object_put(o);
    }
    json_object *o = parse("{\"messages\": [{\"role\": \"user\", \"content\": \"红\"}], \"bos_token\": \"<s>\", \"n\": 1.0}");
    const char *good = "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{{ n }}", *wrong = "a{{ messages[0].content }}{{ a.b }}";
    assert_int_equal(template_render_request(wrong, strlen(wrong), o, NULL, &out, NULL), CJ_E_INPUT);
    assert_string_equal(out.data, "kept"); /* a failure leaves what was there */
    assert_int_equal(template_render_request(good, strlen(good), o, NULL, &out, NULL), CJ_OK);
    assert_string_equal(out.data, "kept<s>[user]红1.0");
    json_object_put(o);
    buf_deinit(&out);
}

static void invalid_text_is_refused(void **state)
{
    (void)state;
    json_object *o = json_object_new_object();
    json_object_object_add(o, "x", json_object_new_string("a\xc3"));
    buf out;
    cj_diag d = {0};
    assert_int_equal(render("{{ x }}", 7, o, NULL, &out, &d), CJ_E_INPUT);
    assert_int_equal(render("{{ y }}", 7, o, NULL, &out, &d), CJ_OK); /* what is not used is not looked at */
    json_object_put(o);
    buf_deinit(&out);
}

static void integers_keep_all_digits(void **state)
{
    (void)state;
    json_object *o = parse("{\"x\": [18446744073709551615, 9223372036854775807, -9223372036854775808, 1.0]}");
    buf out;
    const char *text = "{{ x }} {{ x|tojson }} {{ x[0] is integer }}{{ x[0] is float }} {{ x[0] > x[1] }}";
    assert_int_equal(render(text, strlen(text), o, NULL, &out, NULL), CJ_OK);
    assert_string_equal(out.data, "[18446744073709551615, 9223372036854775807, -9223372036854775808, 1.0] "
                                  "[18446744073709551615, 9223372036854775807, -9223372036854775808, 1.0] TrueFalse True");
    json_object_put(o);
    buf_deinit(&out);
}

static void time_is_the_callers_or_now(void **state)
{
    (void)state;
    json_object *o = parse("{}");
    buf out;
    struct tm now;
    char year[16];
    clock_calendar(&now);
    snprintf(year, sizeof year, "%d", now.tm_year + 1900);
    assert_int_equal(render("{{ strftime_now('%Y') }}", 24, o, NULL, &out, NULL), CJ_OK);
    assert_int_equal(abs(atoi(out.data) - atoi(year)) <= 1, 1); /* or it is New Year */
    buf_deinit(&out);
    assert_int_equal(render("{{ strftime_now('%d %b') }}", 27, o, &(jinja_options){.now = &noon}, &out, NULL), CJ_OK);
    assert_string_equal(out.data, "28 Jul");
    buf_deinit(&out);
    json_object_put(o);
}

/* ---- memory and threads ---- */

static const char *const busy =
    "{% macro show(m, n=2) %}{{ m.role ~ ':' ~ m.content|trim|upper }}{{ caller(n) if caller }}{% endmacro %}"
    "{% set ns = namespace(seen=[], text='') %}{% for m in messages if m.content is string %}{% set ns.seen = ns.seen + [m.role] %}"
    "{% set ns.text = ns.text + '%s-%05d' % (m.role, loop.index) %}{% call(k) show(m, n=loop.index) %}<{{ k }}>{% endcall %}{% endfor %}"
    "{% set block %}{{ ns.seen|unique|sort|join(', ') }}{% endset %}{{ block }}{{ ns.text.split('-')|map('length')|list }}"
    "{{ tree|tojson(indent=2, sort_keys=true) }}{{ {'a': 1, 'b': [1, 2.5]}|dictsort }}{{ '{:>5}|{}'.format('x', y=1, *[2]) }}{{ 'a<b'|e }}"
    "{{ 'abc'[::-1] }}{{ range(20)|batch(3)|list|length }}{% filter replace('a', 'bb') %}aaa{% endfilter %}{{ 'x\\ty' }}{{ 'a' * 300 }}";

static void every_failed_allocation_is_an_error(void **state)
{
    (void)state;
    json_object *o = parse("{\"messages\": [{\"role\": \"user\", \"content\": \" hi \"}, {\"role\": \"tool\", \"content\": null}], \"tree\": {\"b\": [1], \"a\": {}}}");
    int64_t n = 0;
    for (;; n++) {
        buf out;
        cj_diag d = {0};
        mem_fail_after(n);
        cj_err e = render(busy, strlen(busy), o, NULL, &out, &d);
        mem_fail_after(-1);
        if (e) assert_int_equal(out.len, 0);
        buf_deinit(&out);
        if (!e) break;
        assert_int_equal(e, CJ_E_NOMEM);
        assert_int_equal(d.code, CJ_E_NOMEM);
    }
    assert_true(n >= 4);
    json_object_put(o);
}

/* The same with a small budget, so that every place that takes memory is refused once. */
static void every_refused_byte_is_an_error(void **state)
{
    (void)state;
    json_object *o = parse("{\"messages\": [{\"role\": \"user\", \"content\": \" hi \"}], \"tree\": {\"b\": [1], \"a\": {}}}");
    jinja_template *t = NULL;
    assert_int_equal(jinja_template_open(&t, busy, strlen(busy), NULL), CJ_OK);
    cj_err e = CJ_E_LIMIT;
    for (size_t bytes = 16; e && bytes < 1 << 20; bytes += 61) {
        buf out;
        buf_init(&out, 1 << 20);
        cj_diag d = {0};
        e = jinja_template_render(t, o, &(jinja_options){.limits.memory_bytes = bytes}, &out, &d);
        assert_true(e == CJ_OK || e == CJ_E_LIMIT);
        buf_deinit(&out);
    }
    assert_int_equal(e, CJ_OK);
    jinja_template_close(&t);
    json_object_put(o);
}

typedef struct shared_job { const jinja_template *t; json_object *o[8]; buf out[8]; } shared_job;

static void render_one(void *arg, int64_t i, int worker)
{
    (void)worker;
    shared_job *job = arg;
    buf_init(&job->out[i], 1 << 20);
    if (jinja_template_render(job->t, job->o[i], NULL, &job->out[i], NULL)) job->out[i].len = 0;
}

static void threads_share_a_template(void **state)
{
    (void)state;
    shared_job job = {0};
    jinja_template *t = NULL;
    pool *p = NULL;
    assert_int_equal(jinja_template_open(&t, busy, strlen(busy), NULL), CJ_OK);
    job.t = t;
    for (int i = 0; i < 8; i++) job.o[i] = parse("{\"messages\": [{\"role\": \"user\", \"content\": \" hi \"}], \"tree\": {\"b\": [1]}}");
    assert_int_equal(pool_open(&p, 4, NULL), CJ_OK);
    pool_run(p, render_one, &job, 8);
    pool_close(&p);
    for (int i = 0; i < 8; i++) {
        assert_true(job.out[i].len > 100);
        assert_string_equal(job.out[i].data, job.out[0].data);
    }
    for (int i = 0; i < 8; i++) {
        buf_deinit(&job.out[i]);
        json_object_put(job.o[i]);
    }
    jinja_template_close(&t);
}

/* A book in one message: neither steps nor memory run out, and it is not copied over and over. */
static void a_book_in_a_message_renders(void **state)
{
    (void)state;
    size_t n = 6u << 20;
    char *book = mem_alloc(n + 1);
    for (size_t i = 0; i < n; i += 3) memcpy(book + i, "红", 3);
    book[n] = 0;
    json_object *m = json_object_new_object(), *list = json_object_new_array(), *o = json_object_new_object();
    json_object_object_add(m, "role", json_object_new_string("user"));
    json_object_object_add(m, "content", json_object_new_string_len(book, (int)n));
    json_object_array_add(list, m);
    json_object_object_add(o, "messages", list);
    const char *text = "{% for m in messages %}{% set c = m.content|trim %}{% if '</think>' in c %}{% set c = c.split('</think>')[-1] %}{% endif %}"
                       "{{ '<|im_start|>' + m.role + '\n' + c.replace('<x>', '') + '<|im_end|>' + '\n' }}{% endfor %}";
    buf out;
    double start = clock_now();
    assert_int_equal(render(text, strlen(text), o, NULL, &out, NULL), CJ_OK);
    assert_true(clock_now() - start < 5);
    assert_int_equal(out.len, n + strlen("<|im_start|>user\n<|im_end|>\n"));
    buf_deinit(&out);
    json_object_put(o);
    mem_free(book);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features_print_as_in_python), cmocka_unit_test(models_templates_print_as_in_python), cmocka_unit_test(budgets_hold),
        cmocka_unit_test(limits_can_be_set), cmocka_unit_test(nesting_is_bounded), cmocka_unit_test(sources_are_checked),
        cmocka_unit_test(cut_sources_are_errors_or_templates), cmocka_unit_test(sentences_name_line_and_cause),
        cmocka_unit_test(requests_are_checked), cmocka_unit_test(invalid_text_is_refused), cmocka_unit_test(integers_keep_all_digits),
        cmocka_unit_test(time_is_the_callers_or_now), cmocka_unit_test(every_failed_allocation_is_an_error),
        cmocka_unit_test(every_refused_byte_is_an_error), cmocka_unit_test(threads_share_a_template), cmocka_unit_test(a_book_in_a_message_renders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

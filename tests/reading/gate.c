/* Does attention find what was planted in a long text? Reads a text once, then puts questions after it, for tests/reading/gate.py.
 *
 *     gate MODEL TEXT QUESTIONS OUT [TOKENS [ADAPTER]]
 *
 * The text is cut after TOKENS tokens. QUESTIONS has one a line; the first asks for nothing in particular. OUT gets, as float32, for each
 * question but the first, each head without a window (later layers first) and each block of 32 tokens of the text: the share of
 * the attention of the question's words that falls on the block; then the sum over the words of the root of what a word's share is
 * beyond that of the first question (with an adapter that finds, as it is). Standard output has the heads, the number of tokens and blocks, and the byte at which each block begins.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "data/qa_form.h"
#include "engine/adapter.h"

enum { BLOCK = 32, HEADS_MAX = SESSION_PROBES_MAX };

typedef struct gate {
    engine *e;
    session *s;
    const tokenizer *t;
    engine_adapter *adapter; /* that reads the questions; NULL: none */
    token_list tokens;    /* the text's */
    int64_t n, blocks;    /* tokens of it, blocks */
    int layer[HEADS_MAX], head[HEADS_MAX], heads;
    float *usual;         /* [heads][blocks] of the first question */
} gate;

static void must(cj_err e, const cj_diag *d)
{
    char text[2048];
    if (!e) return;
    cj_diag_text(d, CJ_LANG_EN, text, sizeof text);
    fprintf(stderr, "gate: %s\n", text);
    exit(1);
}

static bool say(void *arg, int64_t done, int64_t total)
{
    static double start, last;
    double now = clock_now();
    (void)arg;
    if (!start) start = now;
    if (now - last > 20 && done < total) fprintf(stderr, "%lld of %lld tokens, %.0f s\n", (long long)done, (long long)total, now - start);
    if (now - last > 20) last = now;
    return true;
}

static cj_err put_in_form(gate *g, const char *question, cj_diag *d)
{
    buf text;
    buf_init(&text, 1 << 16);
    cj_err e = qa_put_question(&text, question, d);
    if (!e) e = qa_encode(g->t, false, text.data, text.len, &g->tokens, d);
    buf_deinit(&text);
    return e;
}

/* mass [heads][words][blocks] of a question; *words is how many tokens it has. */
static float *look(gate *g, const char *question, int64_t *words)
{
    cj_diag d = {0};
    int64_t reused;
    g->tokens.count = (size_t)g->n;
    if (!g->adapter) must(tokenizer_encode(g->t, "\n问题：", strlen("\n问题："), 0, &g->tokens, &d), &d);
    int64_t from = (int64_t)g->tokens.count;
    if (g->adapter) must(put_in_form(g, question, &d), &d);
    else must(tokenizer_encode(g->t, question, strlen(question), 0, &g->tokens, &d), &d);
    int64_t end = (int64_t)g->tokens.count, bins = (end + BLOCK - 1) / BLOCK;
    *words = end - from;
    float *mass = mem_array((size_t)(g->heads * *words), (size_t)bins * sizeof *mass);
    session_probe probes[HEADS_MAX];
    for (int h = 0; h < g->heads; h++)
        probes[h] = (session_probe){.layer = g->layer[h], .head = g->head[h], .from = from, .end = end, .bin = BLOCK, .ld = bins, .mass = mass + h * *words * bins};
    must(session_eval(g->s, g->tokens.ids, end, &(session_call){.probes = probes, .n_probes = g->heads}, &reused, &d), &d);
    if (reused < g->n) fprintf(stderr, "gate: read again from %lld\n", (long long)reused);
    for (int64_t i = 0; i < g->heads * *words; i++) memmove(mass + i * g->blocks, mass + i * bins, (size_t)g->blocks * sizeof *mass);
    return mass;
}

/* Shares of the text's blocks: they sum to 1. */
static void share(float *row, int64_t n)
{
    double sum = 0;
    for (int64_t b = 0; b < n; b++) sum += (double)row[b];
    for (int64_t b = 0; b < n; b++) row[b] = (float)((double)row[b] / sum);
}

static void score(const gate *g, const float *mass, int64_t words, FILE *out)
{
    float *plain = mem_array((size_t)g->blocks, sizeof *plain), *beyond = mem_array((size_t)g->blocks, sizeof *beyond);
    for (int h = 0; h < g->heads; h++) {
        memset(plain, 0, (size_t)g->blocks * sizeof *plain);
        memset(beyond, 0, (size_t)g->blocks * sizeof *beyond);
        for (int64_t w = 0; w < words; w++)
            for (int64_t b = 0; b < g->blocks; b++) {
                float x = mass[(h * words + w) * g->blocks + b];
                plain[b] += x;
                beyond[b] += sqrtf(fmaxf(0, x - g->usual[h * g->blocks + b]));
            }
        fwrite(plain, sizeof *plain, (size_t)g->blocks, out);
        fwrite(beyond, sizeof *beyond, (size_t)g->blocks, out);
    }
    mem_free(plain);
    mem_free(beyond);
}

int main(int argc, char **argv)
{
    gate g = {0};
    cj_diag d = {0};
    buf text;
    char line[1024];
    if (argc < 5) return 2;
    must(engine_open(&g.e, &(engine_options){.path = argv[1], .level = KERNEL_AUTO, .kv = KV_Q8}, &d), &d);
    must(engine_need_tokenizer(g.e, &g.t, &d), &d);
    must(file_read(argv[2], (size_t)1 << 30, &text, &d), &d);
    token_list_init(&g.tokens);
    must(token_list_push(&g.tokens, tokenizer_specials(g.t)->bos, 0, 0, &d), &d);
    must(tokenizer_encode(g.t, text.data, text.len, TOKEN_VERBATIM, &g.tokens, &d), &d);
    g.n = argc > 5 ? i64_min((int64_t)g.tokens.count, atoll(argv[5])) : (int64_t)g.tokens.count;
    g.blocks = (g.n + BLOCK - 1) / BLOCK;
    const model_spec *m = model_spec_of(engine_model(g.e));
    for (int l = m->n_layers - 1; l >= 0; l--)
        for (int h = 0; !m->layers[l].gqa.window && h < m->layers[l].gqa.heads && g.heads < HEADS_MAX; h++) {
            g.layer[g.heads] = l;
            g.head[g.heads++] = h;
        }
    must(session_open(&g.s, g.e, g.n + 4096, &d), &d);
    if (argc > 6) must(engine_adapter_open(&g.adapter, g.e, argv[6], &d), &d);
    must(session_set_adapter(g.s, g.adapter, g.n, &d), &d);
    double start = clock_now();
    must(session_eval(g.s, g.tokens.ids, g.n, &(session_call){.on_progress = say}, NULL, &d), &d);
    fprintf(stderr, "%lld tokens read in %.1f s\n", (long long)g.n, clock_now() - start);
    printf("{\"tokens\": %lld, \"blocks\": %lld, \"heads\": [", (long long)g.n, (long long)g.blocks);
    for (int h = 0; h < g.heads; h++) printf("%s[%d, %d]", h ? ", " : "", g.layer[h], g.head[h]);
    printf("], \"begin\": [");
    for (int64_t b = 0; b < g.blocks; b++) printf("%s%zu", b ? ", " : "", (size_t)g.tokens.spans[b * BLOCK].start);
    printf("]}\n");
    FILE *in = fopen(argv[3], "r"), *out = fopen(argv[4], "wb");
    if (!in || !out) return 2;
    for (bool first = true; fgets(line, sizeof line, in); first = false) {
        int64_t words;
        line[strcspn(line, "\n")] = 0;
        float *mass = look(&g, line, &words);
        for (int64_t i = 0; i < g.heads * words; i++) share(mass + i * g.blocks, g.blocks);
        if (!first) {
            score(&g, mass, words, out);
            mem_free(mass);
            continue;
        }
        g.usual = mem_array((size_t)(g.heads * g.blocks), sizeof *g.usual);
        for (int64_t i = 0; !g.adapter && i < g.heads * words * g.blocks; i++)
            g.usual[i / g.blocks / words * g.blocks + i % g.blocks] += mass[i] / (float)words;
        mem_free(mass);
    }
    fclose(in);
    fclose(out);
    mem_free(g.usual);
    token_list_deinit(&g.tokens);
    buf_deinit(&text);
    session_close(&g.s);
    engine_adapter_close(&g.adapter);
    engine_close(&g.e);
    return 0;
}

/* Where questions look: the attention of every head without a window to every passage of a book, for experiments with scores.
 *
 *     look MODEL BOOK.txt QUESTIONS.txt [CHARACTERS] > looks.json
 *
 * QUESTIONS.txt has one question a line. The book is read once. Printed for each question and head, as sums over each passage: the
 * attention of all tokens after the book, that of the very last token, and that of each token of the question's own words;
 * tests/reading/finding.py makes scores of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "document/document.h"
#include "reader/passages.h"
#include "reader/prompt.h"

enum { HEADS_MAX = 16, WORDS_MAX = SESSION_PROBES_MAX - 2 };

typedef struct looker {
    engine *e;
    session *s;
    document *doc;
    char *text; /* the first so many characters of it */
    size_t bytes;
    passage_list passages;
    session_probe heads[HEADS_MAX]; /* layer and head */
    int n_heads;
} looker;

static void fail(const cj_diag *d)
{
    char text[2048];
    cj_diag_text(d, CJ_LANG_EN, text, sizeof text);
    fprintf(stderr, "look: %s\n", text);
    exit(1);
}

static void choose_heads(looker *l)
{
    const model_spec *m = model_spec_of(engine_model(l->e));
    for (int i = m->n_layers - 1; i >= 0; i--)
        for (int h = 0; !m->layers[i].gqa.window && h < m->layers[i].gqa.heads && l->n_heads < HEADS_MAX; h++)
            l->heads[l->n_heads++] = (session_probe){.layer = i, .head = h};
}

/* The sums of one head's attention over each passage. */
static void print_sums(const looker *l, const prompt *p, const float *mass)
{
    int64_t j = p->text;
    for (int64_t i = 0; i < l->passages.n; i++) {
        double sum = 0;
        passage w = l->passages.item[i];
        for (; j < p->text_end && p->tokens.spans[j].start < w.end; j++)
            if (p->tokens.spans[j].end > w.byte) sum += (double)mass[j];
        printf("%s%.4g", i ? "," : "", sum);
    }
}

/* One head: everything after the book, the last token, each token of the words. */
static void look_head(looker *l, const prompt *p, int head)
{
    session_probe probes[SESSION_PROBES_MAX];
    cj_diag d = {0};
    int64_t n = (int64_t)p->tokens.count, words = i64_min(p->words_end - p->words, WORDS_MAX);
    int n_probes = 2 + (int)words;
    for (int i = 0; i < n_probes; i++) {
        int64_t from = i == 0 ? p->text_end : i == 1 ? n - 1 : p->words + i - 2;
        probes[i] = (session_probe){.layer = l->heads[head].layer, .head = l->heads[head].head, .from = from, .end = i < 2 ? n : from + 1,
                                    .mass = mem_array((size_t)n, sizeof(float))};
    }
    session_call call = {.want = WANT_NONE, .probes = probes, .n_probes = n_probes};
    if (session_eval(l->s, p->tokens.ids, n, &call, NULL, &d)) fail(&d);
    printf("%s[", head ? "," : "");
    for (int i = 0; i < n_probes; i++) {
        printf("%s[", i ? "," : "");
        print_sums(l, p, probes[i].mass);
        printf("]");
        mem_free(probes[i].mass);
    }
    printf("]");
}

static void look(looker *l, const char *question, bool first)
{
    prompt p;
    cj_diag d = {0};
    if (prompt_find(&p, l->e, l->text, l->bytes, question, &d)) fail(&d);
    printf("%s\n[", first ? "" : ",");
    for (int i = 0; i < l->n_heads; i++) look_head(l, &p, i);
    printf("]");
    prompt_deinit(&p);
}

int main(int argc, char **argv)
{
    looker l = {0};
    cj_diag d = {0};
    char line[1024];
    if (argc < 4) return 2;
    if (engine_open(&l.e, &(engine_options){.path = argv[1], .level = KERNEL_AUTO, .kv = KV_BF16}, &d) || session_open(&l.s, l.e, 0, &d) ||
        document_open(&l.doc, argv[2], &d)) fail(&d);
    l.bytes = document_byte_at(l.doc, argc > 4 ? atoll(argv[4]) : document_chars(l.doc));
    l.text = mem_strndup(document_text(l.doc), l.bytes);
    if (passages_cut(l.text, l.bytes, &l.passages, &d)) fail(&d);
    choose_heads(&l);
    printf("{\"heads\": [");
    for (int i = 0; i < l.n_heads; i++) printf("%s[%d,%d]", i ? "," : "", l.heads[i].layer, l.heads[i].head);
    printf("], \"passages\": [");
    for (int64_t i = 0; i < l.passages.n; i++)
        printf("%s[%lld,%lld]", i ? "," : "", (long long)document_char_at(l.doc, l.passages.item[i].byte),
               (long long)document_char_at(l.doc, l.passages.item[i].end));
    printf("], \"looks\": [");
    FILE *in = fopen(argv[3], "r");
    if (!in) return 2;
    for (bool first = true; fgets(line, sizeof line, in); first = false) {
        line[strcspn(line, "\n")] = 0;
        look(&l, line, first);
    }
    printf("]}\n");
    fclose(in);
    mem_free(l.text);
    passages_deinit(&l.passages);
    document_close(&l.doc);
    session_close(&l.s);
    engine_close(&l.e);
    return 0;
}

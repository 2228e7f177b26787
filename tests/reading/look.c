/* Where questions look: the attention of every head without a window to every passage of a book, for experiments with scores.
 *
 *     look MODEL BOOK.txt QUESTIONS.txt [CHARACTERS] > looks.json
 *
 * QUESTIONS.txt has one question a line. The book is read once. Of each question and head four sums over each passage are
 * printed: of the attention of all tokens after the book, of those from the question's first and after its last word on, and of
 * the very last token; tests/reading/finding.py makes scores of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "document/document.h"
#include "reader/passages.h"
#include "reader/prompt.h"

enum { FROMS = 4, HEADS_MAX = 16 };

typedef struct looker {
    engine *e;
    session *s;
    document *doc;
    char *text; /* the first so many characters of it */
    size_t bytes;
    passage_list passages;
    session_probe probes[FROMS * HEADS_MAX];
    int heads;
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
        for (int h = 0; !m->layers[i].gqa.window && h < m->layers[i].gqa.heads && l->heads < HEADS_MAX; h++, l->heads++)
            for (int f = 0; f < FROMS; f++) l->probes[l->heads * FROMS + f] = (session_probe){.layer = i, .head = h};
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

static void look(looker *l, const char *question, bool first)
{
    prompt p;
    cj_diag d = {0};
    if (prompt_find(&p, l->e, l->text, l->bytes, question, &d)) fail(&d);
    int64_t n = (int64_t)p.tokens.count, tail = 0;
    prompt empty;
    if (prompt_find(&empty, l->e, "", 0, "", &d)) fail(&d);
    tail = ((int64_t)empty.tokens.count - empty.question) / 2;
    prompt_deinit(&empty);
    const int64_t from[FROMS] = {p.question, p.question + tail, n - tail, n - 1};
    for (int i = 0; i < l->heads * FROMS; i++) {
        l->probes[i].from = from[i % FROMS];
        l->probes[i].mass = mem_array((size_t)n, sizeof(float));
    }
    session_call call = {.want = WANT_NONE, .probes = l->probes, .n_probes = l->heads * FROMS};
    if (session_eval(l->s, p.tokens.ids, n, &call, NULL, &d)) fail(&d);
    printf("%s\n[", first ? "" : ",");
    for (int i = 0; i < l->heads * FROMS; i++) {
        printf("%s[", i ? "," : "");
        print_sums(l, &p, l->probes[i].mass);
        printf("]");
        mem_free(l->probes[i].mass);
    }
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
    for (int i = 0; i < l.heads; i++) printf("%s[%d,%d]", i ? "," : "", l.probes[i * FROMS].layer, l.probes[i * FROMS].head);
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

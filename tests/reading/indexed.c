/* What the text index finds: for tests/reading/finding.py.
 *
 *     indexed BOOK.txt INDEX QUESTIONS.txt [CHARACTERS] > found.json
 *
 * Cuts the book as `juan ask` does, indexes it in the file INDEX and asks it every line of QUESTIONS.txt. Printed: the passages, by
 * characters, and for each question the numbers of the best hundred, best first. How long it took goes to standard error.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "document/document.h"
#include "reader/passages.h"
#include "shelf/text_index.h"

enum { MOST = 100 };

static void check(cj_err e, const cj_diag *d)
{
    char text[2048];
    if (!e) return;
    cj_diag_text(d, CJ_LANG_EN, text, sizeof text);
    fprintf(stderr, "indexed: %s\n", text);
    exit(1);
}

static text_index *index_book(const document *doc, const passage_list *l, size_t bytes, const char *path)
{
    text_index *ix = NULL;
    cj_diag d = {0};
    text_range *ranges = mem_array((size_t)l->n, sizeof *ranges);
    if (!ranges) exit(1);
    for (int64_t i = 0; i < l->n; i++) ranges[i] = (text_range){l->item[i].byte, l->item[i].end};
    double start = clock_now();
    check(text_index_build(path, document_text(doc), bytes, ranges, l->n, NULL, NULL, &d), &d);
    double built = clock_now();
    check(text_index_open(&ix, path, bytes, &d), &d);
    fprintf(stderr, "%lld passages indexed in %.2f s, %lld bytes, opened in %.3f s\n", (long long)l->n, built - start,
            (long long)file_size(path), clock_now() - built);
    mem_free(ranges);
    return ix;
}

static void ask(text_index *ix, const char *question, bool first)
{
    text_hit hits[MOST];
    cj_diag d = {0};
    int n;
    check(text_index_find(ix, question, hits, MOST, &n, &d), &d);
    printf("%s\n[", first ? "" : ",");
    for (int i = 0; i < n; i++) printf("%s%lld", i ? "," : "", (long long)hits[i].passage);
    printf("]");
}

int main(int argc, char **argv)
{
    document *doc = NULL;
    passage_list l = {0};
    cj_diag d = {0};
    char line[4096];
    if (argc < 4) return 2;
    check(document_open(&doc, argv[1], &d), &d);
    size_t bytes = document_byte_at(doc, argc > 4 ? atoll(argv[4]) : document_chars(doc));
    check(passages_cut(document_text(doc), bytes, &l, &d), &d);
    text_index *ix = index_book(doc, &l, bytes, argv[2]);
    printf("{\"passages\": [");
    for (int64_t i = 0; i < l.n; i++)
        printf("%s[%lld,%lld]", i ? "," : "", (long long)document_char_at(doc, l.item[i].byte), (long long)document_char_at(doc, l.item[i].end));
    printf("], \"found\": [");
    FILE *in = fopen(argv[3], "r");
    if (!in) return 2;
    int asked = 0;
    double start = clock_now();
    for (; fgets(line, sizeof line, in); asked++) {
        line[strcspn(line, "\n")] = 0;
        ask(ix, line, !asked);
    }
    fprintf(stderr, "%d questions, %.1f ms each\n", asked, 1e3 * (clock_now() - start) / (asked ? asked : 1));
    printf("]}\n");
    fclose(in);
    text_index_close(&ix);
    passages_deinit(&l);
    document_close(&doc);
    return 0;
}

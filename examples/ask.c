/* Asks a text file a question and prints the answer with its evidence.
 *
 *     cc ask.c -o ask $(pkg-config --cflags --libs changjuan)
 *     ./ask hongloumeng-chapter.txt "甄士隐的岳丈叫什么名字？"
 */
#include <changjuan.h>
#include <stdio.h>
#include <string.h>

static int fail(const cj_diag *d)
{
    char text[2048];
    cj_diag_text(d, CJ_LANG_ZH, text, sizeof text);
    fprintf(stderr, "%s\n", text);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        bool asked = argc == 2 && !strcmp(argv[1], "--help");
        fprintf(asked ? stdout : stderr, "ask FILE \"QUESTION\"\n");
        return asked ? 0 : 2;
    }
    cj_diag d = {0};
    cj_engine *engine = NULL;
    cj_answer *answer = NULL;
    const char *files[] = {argv[1]};
    if (cj_engine_open(&engine, &(cj_engine_options){0}, &d)) return fail(&d);
    if (cj_ask(engine, files, 1, argv[2], &(cj_ask_options){.quotes = 2}, &answer, &d)) {
        cj_engine_close(&engine);
        return fail(&d);
    }
    printf("%s\n", answer->text);
    for (size_t i = 0; i < answer->n_quotes; i++) {
        const cj_quote *q = &answer->quotes[i];
        printf("「%s」 %s %lld-%lld\n", q->text, q->chapter ? q->chapter : "", (long long)q->start, (long long)q->end);
    }
    cj_answer_free(&answer);
    cj_engine_close(&engine);
    return 0;
}

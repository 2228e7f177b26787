/* The Chinese tasks of LongBench, from files that are read when wanted and are no part of the project: one JSON object a line with
 * "task", "prompt" and "gold". A prompt is taken apart into the text and the question about it. Untrusted input.
 */
#ifndef EVAL_LONGBENCH_H
#define EVAL_LONGBENCH_H

#include "eval/task.h"

enum { LONGBENCH_LINES_MAX = 4096, LONGBENCH_FILE_MAX = 1 << 27, LONGBENCH_GOLD_MAX = 256 };

typedef struct longbench {
    struct longbench_line {
        int kind;
        char *text;            /* own; the text, then the question, both ended by 0 */
        const char *question;
        const char *answer[LONGBENCH_GOLD_MAX]; /* point into text too */
        int n_answers;
        int64_t chars;
    } *line;                   /* [n] */
    int n, cap;
} longbench;

/* Reads every known task that lies in the folder as NAME.jsonl. */
CJ_NODISCARD cj_err longbench_open(longbench *l, const char *folder, cj_diag *d);
/* One file's lines, in memory, added to those there are; `name` is used in messages. */
CJ_NODISCARD cj_err longbench_parse(longbench *l, const char *name, const char *bytes, size_t n, cj_diag *d);
void longbench_close(longbench *l);

/* Mean number of characters of the texts of line i's kind. */
int64_t longbench_length(const longbench *l, int i);
/* Line i. Its group is the name of its kind; a place is known where the answer is a numbered paragraph or stands in the text. */
CJ_NODISCARD cj_err longbench_task(eval_task *t, const longbench *l, int i, cj_diag *d);

#endif

/* A conversation over books of the shelf: each question is found in, and answered with what was said before in view.
 *
 * Over one entry whose reader also answers, everything that is written attends to the entry: by page selection, with the passages that were found
 * read again beside the question; or (`direct` of the options) exactly, with no passages. Over several entries, or with another answerer, what answers
 * has the passages and the conversation only. An adapter acts from the first thing said on; one that quotes
 * (ask.h) answers each question by itself, from the passages that were found.
 */
#ifndef READER_TALK_H
#define READER_TALK_H

#include "reader/ask.h"

typedef struct talk talk;

/* Sources [n], all of them entries, and options must outlive it. */
CJ_NODISCARD cj_err talk_open(talk **out, engine *e, const search_source *sources, int n, const ask_options *opt, cj_diag *d);
void talk_close(talk **t);
/* Asks and remembers question and answer; what fails or is cancelled before an answer begins is not remembered. Where there is no room for all that was said the
 * older half of the turns is forgotten, and as much again until there is (`forgotten` of the result). The result must be given to ask_deinit whatever comes back. */
CJ_NODISCARD cj_err talk_say(talk *t, const char *question, ask_result *out, cj_diag *d);
/* Forgets what was said. */
void talk_clear(talk *t);
/* Tokens that a conversation may have, the text aside. */
int64_t talk_room(const talk *t);
/* Tokens of the text that what is written attends to; 0: of none. */
int64_t talk_held(const talk *t);

#endif

/* Questions made from a document that nobody has asked about: so a model can be tuned to a house's own texts without labelling.
 *
 * The text is cut into passages; of each some questions are made whose quote and answer stand in it word for word:
 *   hidden   a name, number, date, place, title or office is blanked out of a sentence, and asked for
 *   asked    the same, put as a question: the word that asks stands where the answer stood
 *   said     who says it
 *   where    which sentence tells of something; in a law, which article rules it
 *   next     what follows a sentence
 *   absent   nothing in the passage answers it, though its names and numbers are there: a question of another passage of the document,
 *            or one of this passage with a name or number put in the place of another
 * The same text and options give the same rows.
 */
#ifndef DATA_QUESTIONS_H
#define DATA_QUESTIONS_H

#include "data/rows.h"

typedef enum question_kind { QUESTION_HIDDEN, QUESTION_ASKED, QUESTION_SAID, QUESTION_WHERE, QUESTION_NEXT, QUESTION_ABSENT, QUESTION_KINDS } question_kind;

const char *question_kind_name(question_kind k); /* "hidden", ...: what rows have as "kind" */

typedef struct questions_options {
    uint64_t seed;
    int passage_min, passage_max; /* characters of a passage, drawn evenly between; 0: 250 and 900 */
    int each;                     /* questions of a passage, at most; 0: 4 */
    double absent;                /* share of the questions that have no answer; 0..0.5 */
    int64_t passages;             /* at most so many passages, spread evenly over the text; 0: all */
} questions_options;

enum { QUESTIONS_PASSAGE_MIN = 80, QUESTIONS_PASSAGE_MAX = 8000, QUESTIONS_EACH_MAX = 64 };

typedef struct questions_count {
    int64_t passages, chars, kind[QUESTION_KINDS];
} questions_count;

/* Appends rows made of text[0..bytes) to out and adds to *count; `document` names it in the rows. A text without anything to ask gives none. */
CJ_NODISCARD cj_err questions_make(training_rows *out, const char *document, const char *text, size_t bytes, const questions_options *opt,
                                   questions_count *count, cj_diag *d);

#endif

/* What a question is put to: files that are read now, or entries of the shelf; and the models that read and answer. */
#ifndef APP_ASKED_H
#define APP_ASKED_H

#include "app/ask_view.h"
#include "document/set.h"
#include "reader/adapters.h"
#include "reader/named.h"

typedef struct asked {
    const cli *c;
    document_set docs;    /* files */
    shelf *shelf;
    shelf_entry *entries[SEARCH_SOURCES_MAX];
    book books[SEARCH_SOURCES_MAX];
    search_source sources[SEARCH_SOURCES_MAX];
    int n;                /* of sources, books; and of entries unless there are files */
    engine_adapter *finder, *adapter; /* of the model that finds, and of the one that answers; NULL: none */
    named_model reader, answerer; /* answerer: without an engine when one model does both */
} asked;

/* Whether names[n] mean files: one of them is there, or standard input. */
bool asked_files(char *const *names, int n);
/* Opens the first n arguments with their model (NULL: the one that read the entries, or the default) and another that answers (NULL: the same). Says what a
 * reader should know of them. entries: files are not taken. adapter: as adapters_open has it, to answer with or, by what it is made for, to find; of the other
 * the default is taken, unless it is "none". answers: whether an answer has a default. To be given to asked_close whatever comes back. */
CJ_NODISCARD cj_err asked_open(asked *a, const cli *c, int n, bool entries, const char *model_name, const char *answerer, const char *adapter, bool answers,
                               engine_options *opt, cj_diag *d);
void asked_close(asked *a);
ask_view asked_view(const asked *a);

#endif

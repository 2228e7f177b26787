/* Opening what a command is to read. */
#include "app/documents.h"

#include "app/term.h"

enum { TOLD_MAX = 5 }; /* files that cannot be read, each with its sentence; more are only counted */

typedef struct telling {
    const cli *c;
    int told;
} telling;

static bool go_on(void *user)
{
    (void)user;
    return !cli_interrupted();
}

static void unreadable(void *user, const cj_diag *why)
{
    telling *t = user;
    if (t->told++ < TOLD_MAX) cli_say(t->c, (msg_id)why->message, "%s", why->args);
}

void documents_say_of(const cli *c, const document *doc)
{
    int without = document_pages_without_text(doc);
    if (without) cli_say(c, MSG_PDF_SOME_SCANNED, "%s" ARG "%d" ARG "%d", document_name(doc), without, document_pages(doc));
    if (document_converted_from(doc)) cli_say(c, MSG_ASK_CONVERTED, "%s" ARG "%s", document_name(doc), document_converted_from(doc));
    if (document_unread(doc)) cli_say(c, MSG_DOCUMENT_UNREAD, "%s" ARG "%lld", document_name(doc), (long long)document_unread(doc));
}

cj_err documents_open(document_set *out, const cli *c, int n, cj_diag *d)
{
    telling t = {.c = c};
    TRY(document_set_open(out, (const char *const *)c->argv, (size_t)n, &(document_watch){go_on, unreadable, &t}, d));
    for (int i = 0; i < out->n; i++) documents_say_of(c, out->docs[i]);
    if (out->n > n) cli_say(c, MSG_SET_READ, "%d", out->n);
    if (out->hidden || out->ignored || out->links || out->empty || out->unreadable)
        cli_say(c, MSG_SET_LEFT_OUT, "%d" ARG "%d" ARG "%d" ARG "%d" ARG "%d", out->hidden, out->ignored, out->links, out->empty, out->unreadable);
    return CJ_OK;
}

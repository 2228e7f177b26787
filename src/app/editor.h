/* Lines from a person at a terminal: editing, history (libedit). UTF-8 whatever the locale says. One thread, one editor. */
#ifndef APP_EDITOR_H
#define APP_EDITOR_H

#include "base/mem.h"

typedef struct editor editor;

typedef enum editor_event {
    EDITOR_LINE,
    EDITOR_INTERRUPTED, /* Ctrl-C: what had been typed is dropped */
    EDITOR_END,         /* Ctrl-D on an empty line, or the terminal is gone */
} editor_event;

/* history: the file it is kept in; NULL: kept nowhere. */
CJ_NODISCARD cj_err editor_open(editor **out, const char *history, cj_diag *d);
void editor_close(editor **e); /* writes the history */
/* Reads a line into *line (cleared before; no line break at its end) and remembers it unless it is empty. */
editor_event editor_read(editor *e, const char *prompt, buf *line);

#endif

/* Editing by libedit, with our own reading of characters: so that Ctrl-C ends a line at once, a terminal that changes its size
 * or comes back from the background is drawn anew, and UTF-8 is read in any locale. */
#include "app/editor.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/cli.h"
#include "base/utf8.h"

enum { HISTORY_LINES = 1000, PROMPT_MAX = 32, LINE_MAX_BYTES = 1 << 20 };

struct editor {
    EditLine *line;
    HistoryW *history;
    char *history_path;
    wchar_t prompt[PROMPT_MAX];
};

static volatile sig_atomic_t resized, came_back;

static void on_window(int sig)
{
    if (sig == SIGCONT) came_back = 1;
    else resized = 1;
    cli_wake();
}

static wchar_t *prompt_of(EditLine *line)
{
    editor *e = NULL;
    el_wget(line, EL_CLIENTDATA, &e);
    return e->prompt;
}

/* What a window or job signal asks for. */
static void redraw(EditLine *line)
{
    if (came_back) { /* the shell has set the terminal to its own liking */
        el_wset(line, EL_PREP_TERM, 0);
        el_wset(line, EL_PREP_TERM, 1);
    }
    if (resized) el_resize(line);
    if (came_back || resized) el_wset(line, EL_REFRESH);
    came_back = resized = 0;
}

/* Waits for a byte: 1, 0 at the end, -1 when the line is to be given up. */
static int read_byte(EditLine *line, char *out)
{
    struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = cli_wake_fd(), .events = POLLIN}};
    for (;;) {
        if (cli_interrupted()) return -1;
        redraw(line);
        char drained[64];
        if (poll(fds, 2, -1) < 0) continue;
        if (fds[1].revents && read(fds[1].fd, drained, sizeof drained) > 0) continue;
        if (!fds[0].revents) continue;
        ssize_t n = read(STDIN_FILENO, out, 1);
        if (n >= 0 || (errno != EINTR && errno != EAGAIN)) return (int)n;
    }
}

/* One character from the terminal, as read_byte. */
static int read_character(EditLine *line, wchar_t *out)
{
    char bytes[4];
    for (size_t n = 0;;) {
        int got = read_byte(line, bytes + n);
        if (got <= 0) return got;
        n++;
        if (n < 4 && utf8_incomplete_tail(bytes, n) == n) continue;
        uint32_t cp;
        utf8_decode(bytes, n, &cp);
        if (cp == UTF8_INVALID) { /* not typed by anybody who writes UTF-8 */
            n = 0;
            continue;
        }
        *out = (wchar_t)cp;
        return 1;
    }
}

static void catch_window_signals(void)
{
    struct sigaction a = {.sa_handler = on_window};
    sigaction(SIGWINCH, &a, NULL);
    sigaction(SIGCONT, &a, NULL);
}

cj_err editor_open(editor **out, const char *history, cj_diag *d)
{
    editor *e = mem_zalloc(sizeof *e);
    if (!e) return diag_nomem(d, sizeof *e);
    HistEventW event;
    e->line = el_init("juan", stdin, isatty(STDOUT_FILENO) ? stdout : stderr, stderr);
    e->history = history_winit();
    if (history) e->history_path = mem_strdup(history);
    if (!e->line || !e->history || (history && !e->history_path)) {
        editor_close(&e);
        return diag_nomem(d, 0);
    }
    history_w(e->history, &event, H_SETSIZE, HISTORY_LINES);
    history_w(e->history, &event, H_SETUNIQUE, 1);
    if (history) history_w(e->history, &event, H_LOAD, history);
    el_wset(e->line, EL_CLIENTDATA, e);
    el_wset(e->line, EL_EDITOR, L"emacs");
    el_wset(e->line, EL_SIGNAL, 0);
    el_wset(e->line, EL_PROMPT, prompt_of);
    el_wset(e->line, EL_HIST, history_w, e->history);
    el_wset(e->line, EL_GETCFN, read_character);
    el_wset(e->line, EL_BIND, L"^R", L"em-inc-search-prev", NULL);
    el_source(e->line, NULL);
    catch_window_signals();
    *out = e;
    return CJ_OK;
}

/* For the user alone, and never half-written. A history that cannot be kept is no reason to complain. */
static void save_history(editor *e)
{
    char temp[4096];
    HistEventW event;
    if (snprintf(temp, sizeof temp, "%s.%ld.part", e->history_path, (long)getpid()) >= (int)sizeof temp) return;
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return;
    close(fd);
    if (history_w(e->history, &event, H_SAVE, temp) < 0 || rename(temp, e->history_path)) unlink(temp);
}

void editor_close(editor **pe)
{
    editor *e = *pe;
    if (!e) return;
    if (e->line) el_end(e->line);
    if (e->history_path && e->history) save_history(e);
    if (e->history) history_wend(e->history);
    mem_free(e->history_path);
    mem_free(e);
    *pe = NULL;
}

static void widen(const char *text, wchar_t *out, size_t max)
{
    size_t n = strlen(text), at = 0;
    for (size_t i = 0; i < n && at + 1 < max;) {
        uint32_t cp;
        i += (size_t)utf8_decode(text + i, n - i, &cp);
        out[at++] = (wchar_t)cp;
    }
    out[at] = 0;
}

editor_event editor_read(editor *e, const char *prompt, buf *line)
{
    int n = 0;
    bool blank = true;
    HistEventW event;
    widen(prompt, e->prompt, PROMPT_MAX);
    buf_clear(line);
    el_wset(e->line, EL_PREP_TERM, 1); /* libedit does so after the prompt: a key pressed in between would be lost on it */
    const wchar_t *typed = el_wgets(e->line, &n);
    if (!typed || n <= 0) return cli_interrupted() ? EDITOR_INTERRUPTED : EDITOR_END;
    for (int i = 0; i < n && typed[i] != L'\n' && line->len < LINE_MAX_BYTES; i++) {
        char bytes[4];
        if (buf_append(line, bytes, (size_t)utf8_encode((uint32_t)typed[i], bytes), NULL)) return EDITOR_END;
        if (typed[i] != L' ') blank = false;
    }
    if (!blank) history_w(e->history, &event, H_ENTER, typed);
    return EDITOR_LINE;
}

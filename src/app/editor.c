/* Editing by libedit, with our own reading of characters: so that Ctrl-C ends a line at once, a terminal that changes its size
 * or comes back from the background is drawn anew, UTF-8 is read in any locale, and several lines that are pasted are one message:
 * the terminal marks what is pasted (ESC [200~ ... ESC [201~), and a line break in it is shown as PASTED_BREAK until the line is
 * taken. */
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

enum { HISTORY_LINES = 1000, PROMPT_MAX = 32, LINE_MAX_BYTES = 1 << 20, HELD_MAX = 8, ESCAPE_MS = 30 };
#define PASTED_BREAK L'\u21B5'

struct editor {
    EditLine *line;
    HistoryW *history;
    char *history_path;
    wchar_t prompt[PROMPT_MAX];
    char held[HELD_MAX]; /* bytes read ahead that were no mark */
    int n_held;
    bool pasting;
};

static volatile sig_atomic_t resized, came_back;

static void on_window(int sig)
{
    if (sig == SIGCONT) came_back = 1;
    else resized = 1;
    cli_wake();
}

static editor *editor_of(EditLine *line)
{
    editor *e = NULL;
    el_wget(line, EL_CLIENTDATA, &e);
    return e;
}

static wchar_t *prompt_of(EditLine *line) { return editor_of(line)->prompt; }

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

/* As read_byte, what was read ahead first. */
static int next_byte(EditLine *line, char *out)
{
    editor *e = editor_of(line);
    if (!e->n_held) return read_byte(line, out);
    *out = e->held[0];
    memmove(e->held, e->held + 1, (size_t)--e->n_held);
    return 1;
}

/* After an ESC: whether `mark` follows, which is then taken. What follows otherwise is held. A terminal sends a mark in one go. */
static bool take_mark(EditLine *line, const char *mark)
{
    editor *e = editor_of(line);
    int want = (int)strlen(mark), n = 0;
    while (n < want) {
        if (n == e->n_held) {
            struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
            if (e->n_held == HELD_MAX || poll(&in, 1, ESCAPE_MS) <= 0 || read(STDIN_FILENO, e->held + n, 1) != 1) return false;
            e->n_held++;
        }
        if (e->held[n] != mark[n]) return false;
        n++;
    }
    e->n_held -= want;
    memmove(e->held, e->held + want, (size_t)e->n_held);
    return true;
}

/* One character from the terminal, as read_byte. */
static int read_one(EditLine *line, wchar_t *out)
{
    char bytes[4];
    for (size_t n = 0;;) {
        int got = next_byte(line, bytes + n);
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

/* The same, with the marks of a paste taken out and its line breaks made harmless. */
static int read_character(EditLine *line, wchar_t *out)
{
    editor *e = editor_of(line);
    for (;;) {
        int got = read_one(line, out);
        if (got <= 0) return got;
        if (*out == L'\033' && take_mark(line, e->pasting ? "[201~" : "[200~")) e->pasting = !e->pasting;
        else if (!e->pasting) return 1;
        else if (*out == L'\r' || *out == L'\n') {
            *out = PASTED_BREAK;
            return 1;
        } else if (*out == L'\t') {
            *out = L' ';
            return 1;
        } else if (*out >= L' ' && *out != 0x7F)
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
    bool blank = true, terminal = isatty(STDOUT_FILENO);
    HistEventW event;
    widen(prompt, e->prompt, PROMPT_MAX);
    buf_clear(line);
    e->n_held = 0;
    e->pasting = false;
    if (terminal) fputs("\033[?2004h", stdout); /* mark what is pasted; only while we listen */
    el_wset(e->line, EL_PREP_TERM, 1); /* libedit does so after the prompt: a key pressed in between would be lost on it */
    const wchar_t *typed = el_wgets(e->line, &n);
    if (terminal) fputs("\033[?2004l", stdout);
    fflush(stdout);
    if (!typed || n <= 0) return cli_interrupted() ? EDITOR_INTERRUPTED : EDITOR_END;
    for (int i = 0; i < n && typed[i] != L'\n' && line->len < LINE_MAX_BYTES; i++) {
        char bytes[4];
        uint32_t cp = typed[i] == PASTED_BREAK ? '\n' : (uint32_t)typed[i];
        if (buf_append(line, bytes, (size_t)utf8_encode(cp, bytes), NULL)) return EDITOR_END;
        if (cp != ' ' && cp != '\n') blank = false;
    }
    while (line->len && line->data[line->len - 1] == '\n') line->data[--line->len] = 0; /* a paste often ends in one */
    if (!blank) history_w(e->history, &event, H_ENTER, typed);
    return EDITOR_LINE;
}

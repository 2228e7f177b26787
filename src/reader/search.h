/* Finding in several books at once: in each on its own, then brought together.
 *
 * Attention is shared out over one book, so what it says of a passage holds beside the other passages of that book; between books the
 * question's look is compared as it is, and with what of the question stands there (finder_rank).
 */
#ifndef READER_SEARCH_H
#define READER_SEARCH_H

#include "reader/finder.h"

enum { SEARCH_SOURCES_MAX = 16 };

typedef struct search_source {
    const book *book;
    shelf_entry *entry; /* that holds it; NULL: it is read now */
} search_source;

typedef struct search search;

/* Sources [n] and options must outlive it. All entries must have been read by the model of the engine. */
CJ_NODISCARD cj_err search_open(search **out, engine *e, const search_source *sources, int n, const finder_options *opt, cj_diag *d);
void search_close(search **s);

/* The best passages of all, best first, at most FINDER_FOUND_MAX, of which each source has its n-th part; *n of them. costs[sources] (may be NULL) says
 * what was done. May be repeated. */
CJ_NODISCARD cj_err search_find(search *s, const char *question, found_passage *out, int *n, finder_cost *costs, cj_diag *d);

/* Whether entries were read by one model in one way, so that one engine can look at all of them; else a sentence that names two. */
CJ_NODISCARD cj_err search_check(shelf_entry *const *entries, int n, cj_diag *d);

#endif

/* The best pages of heads. */
#include "eval/agreement_pages.h"

#include <string.h>

#include "base/mem.h"

/* Groups of `rows` rows wherever they begin. */
static int64_t groups_most(int64_t rows) { return i64_ceil_div(rows - 1, KV_PAGE) + 1; }

_Static_assert(AGREEMENT_HEADS_MAX * (ENGINE_CHUNK / KV_PAGE + 1) <= SESSION_PROBES_MAX, "a probe for each head and group");

cj_err agreement_pages_open(agreement_pages *p, const agreement_options *opt, int64_t deepest, cj_diag *d)
{
    *p = (agreement_pages){.heads = opt->heads, .n_heads = opt->n_heads, .rows = opt->rows};
    const size_t n = (size_t)(opt->n_heads * groups_most(opt->rows) * i64_ceil_div(deepest + opt->rows, KV_PAGE));
    if (!n) return CJ_OK;
    p->mass = mem_array(n, sizeof *p->mass);
    p->kept = mem_array(n, sizeof *p->kept);
    return p->mass && p->kept ? CJ_OK : diag_nomem(d, n * (sizeof *p->mass + sizeof *p->kept));
}

void agreement_pages_close(agreement_pages *p)
{
    mem_free(p->mass);
    mem_free(p->kept);
    *p = (agreement_pages){0};
}

int agreement_pages_ask_mass(agreement_pages *p, int64_t at, session_probe *probes)
{
    const int64_t first = at / KV_PAGE;
    int n = 0;
    p->pages = i64_ceil_div(at + p->rows, KV_PAGE);
    p->groups = p->pages - first;
    if (p->n_heads) memset(p->mass, 0, (size_t)(p->n_heads * p->groups * p->pages) * sizeof *p->mass);
    for (int h = 0; h < p->n_heads; h++)
        for (int64_t g = 0; g < p->groups; g++, n++)
            probes[n] = (session_probe){.layer = p->heads[h].layer, .head = p->heads[h].head, .from = i64_max(at, (first + g) * KV_PAGE),
                                        .end = i64_min(at + p->rows, (first + g + 1) * KV_PAGE), .bin = KV_PAGE, .mass = p->mass + n * p->pages};
    return n;
}

int agreement_pages_ask_kept(agreement_pages *p, int64_t at, session_probe *probes)
{
    for (int h = 0; h < p->n_heads; h++)
        probes[h] = (session_probe){.layer = p->heads[h].layer, .head = p->heads[h].head, .from = at, .kept = p->kept + h * p->groups * p->pages, .kept_ld = p->pages};
    return p->n_heads;
}

/* Indices of the largest of x[n], the earlier of two equals first; returns how many. */
static int largest(const float *x, int64_t n, int64_t best[AGREEMENT_BEST])
{
    int held = 0;
    for (int64_t i = 0; i < n; i++) {
        if (held == AGREEMENT_BEST && !(x[i] > x[best[held - 1]])) continue;
        int at = held < AGREEMENT_BEST ? held++ : held - 1;
        for (; at > 0 && x[i] > x[best[at - 1]]; at--) best[at] = best[at - 1];
        best[at] = i;
    }
    return held;
}

void agreement_pages_compare(const agreement_pages *p, int64_t at, agreement_best *best)
{
    for (int h = 0; h < p->n_heads; h++) {
        best[h] = (agreement_best){0};
        for (int64_t g = 0; g < p->groups; g++) {
            const int64_t own = at / KV_PAGE + g, row = (h * p->groups + g) * p->pages;
            int64_t page[AGREEMENT_BEST];
            const int n = largest(p->mass + row, own + 1, page);
            for (int64_t i = 1; i <= own - MODEL_NEAR_PAGES; i++) {
                best[h].paid += (double)p->mass[row + i];
                best[h].paid_kept += p->kept[row + i] ? (double)p->mass[row + i] : 0;
            }
            for (int i = 0; i < n; i++) {
                const bool kept = p->kept[row + page[i]], far = page[i] > 0 && page[i] <= own - MODEL_NEAR_PAGES;
                best[h].pages++;
                best[h].kept += kept;
                best[h].far += far;
                best[h].far_kept += far && kept;
            }
        }
    }
}

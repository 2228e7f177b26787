/* What is usual, on disk. */
#include "reader/usual.h"

#include <string.h>

#include "base/file.h"
#include "base/hash.h"

enum { USUAL_VERSION = 2 }; /* 2: without what the question looks at of itself */

typedef struct usual_head {
    char magic[4];
    uint32_t version;
    usual_key key;
    uint64_t sum;
} usual_head;

static usual_head head_of(const usual_key *key, const float *usual, size_t n)
{
    const uint64_t sums[] = {hash_xxh3(key, sizeof *key), hash_xxh3(usual, n * sizeof *usual)};
    return (usual_head){{'C', 'J', 'U', 'S'}, USUAL_VERSION, *key, hash_xxh3(sums, sizeof sums)};
}

bool usual_load(const char *path, const usual_key *key, float *usual, size_t n)
{
    file_map m;
    if (file_map_open(&m, path, NULL)) return false;
    bool good = m.size == sizeof(usual_head) + n * sizeof *usual;
    if (good) {
        memcpy(usual, m.data + sizeof(usual_head), n * sizeof *usual);
        const usual_head want = head_of(key, usual, n);
        good = !memcmp(m.data, &want, sizeof want);
    }
    for (size_t i = 0; good && i < n; i++) good = usual[i] >= 0 && usual[i] <= 1.001f; /* shares, and no NaN, whoever wrote them */
    file_map_close(&m);
    return good;
}

void usual_save(const char *path, const usual_key *key, const float *usual, size_t n)
{
    const usual_head head = head_of(key, usual, n);
    file_out f;
    if (file_out_open(&f, path, NULL)) return;
    cj_err e = file_out_write(&f, &head, sizeof head, NULL);
    if (!e) e = file_out_write(&f, usual, n * sizeof *usual, NULL);
    if (e) file_out_abort(&f);
    else (void)!file_out_commit_soon(&f, NULL); /* a question waits for this */
}

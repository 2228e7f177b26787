/* Text indexes: a file is refused with a sentence, or what is found in it lies in the text. Seeds are pieces that are put into a good
 * index: two bytes say where, the rest is what stands there then. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "shelf/text_index.h"
#include "shelf/text_pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char text[] = "甄士隐住在葫芦庙旁。他的女儿叫英莲。那晚，霍启抱英莲去看灯。Alice met the White Rabbit.";
static const char *path;
static buf good;

static void remove_file(void) { unlink(path); }

static void begin(void)
{
    static char name[] = "/tmp/fuzz-text-index-XXXXXX";
    int f = mkstemp(name);
    assert(f >= 0);
    close(f);
    path = name;
    atexit(remove_file);
    size_t n = sizeof text - 1;
    cj_err e = text_index_build(path, text, n, (text_range[]){{0, 30}, {30, 54}, {54, 90}, {90, n}}, 4, NULL, NULL, NULL);
    if (!e) e = file_read(path, 1 << 20, &good, NULL);
    assert(!e);
}

static int check_piece(void *arg, const text_piece *p)
{
    assert(p->length > 0 && p->length <= TEXT_PIECE_MAX && p->from < p->end && p->end <= *(size_t *)arg);
    return 0;
}

static void ask(text_index *ix)
{
    static const char *const questions[] = {"英莲叫什么名字", "white rabbit", "住在葫芦庙"};
    text_hit hits[8];
    cj_diag d = {0};
    for (int q = 0; q < 3; q++) {
        int n = 0;
        if (text_index_find(ix, questions[q], hits, 8, &n, &d)) assert(d.code < 0);
        for (int i = 0; i < n; i++) assert(hits[i].range.byte <= hits[i].range.end && hits[i].range.end < sizeof text && hits[i].score <= 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    text_index *ix = NULL;
    cj_diag d = {0};
    text_pieces((const char *)data, size, check_piece, &size);
    if (!path) begin();
    FILE *f = fopen(path, "wb");
    assert(f);
    size_t at = size < 2 ? 0 : (size_t)(data[0] | data[1] << 8) % good.len, n = size < 2 ? 0 : size - 2;
    if (n > good.len - at) n = good.len - at;
    fwrite(good.data, 1, good.len, f);
    fseek(f, (long)at, SEEK_SET);
    if (n) fwrite(data + 2, 1, n, f);
    fclose(f);
    if (text_index_open(&ix, path, sizeof text - 1, &d)) assert(!ix && d.code < 0);
    else ask(ix);
    text_index_close(&ix);
    return 0;
}

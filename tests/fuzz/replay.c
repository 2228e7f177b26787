/* Stands in for libFuzzer where there is no clang: runs a fuzz target over its seeds and over simple mutations of them.
 *
 *     fuzz_NAME [--mutations N] [--seconds S] SEED_OR_FOLDER...
 *
 * Each seed is run as it is and then in N mutated forms (default 64), the same ones every time. With --seconds the mutations
 * go on, round after round, until the time is over. A finding is a crash or a sanitizer's report: the input that was running is
 * then in crash-input, in the working directory. Results are told in TAP, one line a seed, as all tests do.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEED_MAX = 1 << 24, SEEDS_MAX = 4096, GROW = 64 };

static const uint8_t *running;
static size_t running_size;

/* Called by the sanitizers before they end the process, and on a plain crash. Only async-signal-safe calls. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void keep_input(void)
{
    int f = open("crash-input", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (f < 0) return;
    for (size_t at = 0; at < running_size;) {
        ssize_t n = write(f, running + at, running_size - at);
        if (n <= 0) break;
        at += (size_t)n;
    }
    close(f);
}

static void on_signal(int number)
{
    keep_input();
    signal(number, SIG_DFL);
    raise(number);
}

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* One to four small changes: a bit, a telling byte, a cut, a stretch removed or doubled, a huge number. */
static size_t mutate(uint8_t *data, size_t size, size_t room, uint64_t *state)
{
    static const uint8_t telling[] = {0x00, 0x01, 0x7f, 0x80, 0xff, '"', '{', '}', '%', '\n', 0xe4, 0xc0};
    for (uint64_t changes = 1 + random_next(state) % 4; changes; changes--) {
        size_t at = size ? random_next(state) % size : 0, n = 1 + random_next(state) % 16;
        switch (random_next(state) % 6) {
        case 0:
            if (size) data[at] ^= (uint8_t)(1u << random_next(state) % 8);
            break;
        case 1:
            if (size) data[at] = telling[random_next(state) % sizeof telling];
            break;
        case 2:
            size = at; /* cut off */
            break;
        case 3: /* remove a stretch */
            if (n > size - at) n = size - at;
            memmove(data + at, data + at + n, size - at - n);
            size -= n;
            break;
        case 4: /* double a stretch */
            if (n > size - at) n = size - at;
            if (size + n > room) break;
            memmove(data + at + n, data + at, size - at);
            size += n;
            break;
        default: /* a large or a negative number, as lengths and counts are stored */
            for (size_t i = at; i < size && i < at + (n > 8 ? 8 : 4); i++) data[i] = random_next(state) % 3 ? 0xff : 0x7f;
        }
    }
    return size;
}

static void run_one(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1); /* of its own size, so that a read past the end is seen */
    if (!exact) exit(2);
    memcpy(exact, data, size);
    running = exact;
    running_size = size;
    LLVMFuzzerTestOneInput(exact, size);
    running_size = 0;
    free(exact);
}

static uint8_t *seed_read(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = f ? malloc(SEED_MAX) : NULL;
    if (!data) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(2);
    }
    *size = fread(data, 1, SEED_MAX, f);
    fclose(f);
    return data;
}

static void seed_run(const char *path, int mutations, uint64_t round)
{
    size_t size, room;
    uint8_t *seed = seed_read(path, &size);
    room = size + GROW;
    uint8_t *work = malloc(room);
    if (!work) exit(2);
    uint64_t state = 0x9e3779b97f4a7c15u ^ (round + 1) * 0xbf58476d1ce4e5b9u ^ size;
    if (round == 0) run_one(seed, size);
    for (int i = 0; i < mutations; i++) {
        memcpy(work, seed, size);
        run_one(work, mutate(work, size, room, &state));
    }
    free(work);
    free(seed);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Adds the path, or the files of the folder. */
static int seeds_add(char **seeds, int n, const char *path)
{
    struct stat s;
    DIR *folder = stat(path, &s) == 0 && S_ISDIR(s.st_mode) ? opendir(path) : NULL;
    if (!folder) {
        seeds[n] = strdup(path);
        return n + 1;
    }
    int first = n;
    for (struct dirent *e; (e = readdir(folder)) && n < SEEDS_MAX;) {
        if (e->d_name[0] == '.') continue;
        size_t length = strlen(path) + strlen(e->d_name) + 2;
        seeds[n] = malloc(length);
        snprintf(seeds[n++], length, "%s/%s", path, e->d_name);
    }
    closedir(folder);
    qsort(seeds + first, (size_t)(n - first), sizeof *seeds, by_name);
    return n;
}

int main(int argc, char **argv)
{
    static char *seeds[SEEDS_MAX];
    int count = 0, mutations = 64, seconds = 0;
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--mutations") && i + 1 < argc) mutations = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--seconds") && i + 1 < argc) seconds = atoi(argv[++i]);
        else if (count < SEEDS_MAX) count = seeds_add(seeds, count, argv[i]);
    if (!count) {
        fprintf(stderr, "no seeds: fuzz_NAME [--mutations N] [--seconds S] SEED_OR_FOLDER...\n");
        return 2;
    }
    if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(keep_input);
    static const int fatal[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE}; /* the sanitizers watch over all but the first */
    size_t watched = __sanitizer_set_death_callback ? 1 : sizeof fatal / sizeof *fatal;
    for (size_t i = 0; i < watched; i++) signal(fatal[i], on_signal);
    printf("1..%d\n", count);
    time_t end = time(NULL) + seconds;
    for (int i = 0; i < count; i++) {
        seed_run(seeds[i], mutations, 0);
        const char *slash = strrchr(seeds[i], '/');
        printf("ok %d - %s\n", i + 1, slash ? slash + 1 : seeds[i]);
        fflush(stdout);
    }
    for (uint64_t round = 1; time(NULL) < end; round++)
        for (int i = 0; i < count && time(NULL) < end; i++) seed_run(seeds[i], mutations, round);
    for (int i = 0; i < count; i++) free(seeds[i]);
    return 0;
}

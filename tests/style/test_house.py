#!/usr/bin/env python3
"""The house rules hold, and each of them finds a breach that is planted in a small tree."""
import os
import sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path[:0] = [os.path.join(ROOT, "tools"), os.path.join(ROOT, "tests", "support")]
import check_house as house
import tap

HEAD = "/* A file. */\n"
ALL_DEF = {"src/base/messages/all.def": '#include "base/messages/a.def"\n'}


def sentences(text):
    return {**ALL_DEF, "src/base/messages/a.def": text}


def guarded(body, lines=0):
    return HEAD + "#ifndef BASE_A_H\n#define BASE_A_H\n" + body + "\n" * lines + "#endif\n"


# rule: (trees it must accept, trees it must refuse)
PLANTED = {
    house.ranks: (
        [{"src/engine/a.c": '#include "base/a.h"\n#include "engine/b.h"\n#include "changjuan.h"\n', "src/base/a.h": "", "src/engine/b.h": ""},
         {"src/base/a.c": '/* #include "engine/b.h" */\n'}],
        [{"src/base/a.c": '#include "engine/b.h"\n', "src/engine/b.h": ""},
         {"src/hub/a.c": '#include "model/b.h"\n', "src/model/b.h": ""},
         {"src/kernel/a.c": '#include "b.h"\n', "src/kernel/b.h": ""},
         {"src/kernel/a.c": '#include "base/gone.h"\n'},
         {"src/attic/a.c": "int a;\n"}]),
    house.limits: (
        [{"src/base/a.c": "int f(void)\n{\n" + "    g();\n" * 118 + "}\n"},
         {"src/base/a.c": "static const int t[] = {\n" + "    1,\n" * 400 + "};\n"},
         {"src/base/a.h": guarded("int a;\n", 240)}],
        [{"src/base/a.c": "int f(void)\n{\n" + "    g();\n" * 119 + "}\n"},
         {"src/base/a.c": "int f(void) {\n" + "    g();\n" * 119 + "}\n"},
         {"src/base/a.c": "int a;\n" * 1001},
         {"src/base/a.h": guarded("int a;\n", 250)}]),
    house.families: (
        [{"src/model/family/qwen3.c": "/* qwen3 */\n", "src/token/pre.c": '"llama-bpe"', "src/quant/a.c": "/* as llama.cpp has it */"}],
        [{"src/engine/a.c": "if (gemma) f();\n"}, {"src/app/a.c": '"Qwen3-0.6B"\n'}, {"src/model/forward.h": "int is_llama;\n"}]),
    house.quiet: (
        [{"src/app/a.c": "printf(x); exit(1);\n", "src/base/a.c": '/* exit(1) */ char *s = "printf(x)"; snprintf(b, n, s); _exit(1);\n'}],
        [{"src/base/a.c": f"void f(void) {{ {c}; }}\n"} for c in
         ("printf(x)", "puts (x)", "fprintf(stderr, x)", "fflush(stdout)", "exit(1)", "abort()", "perror(x)")]),
    house.doors: (
        [{"src/hub/http.c": "#include <curl/curl.h>\n", "src/base/process.c": "#include <spawn.h>\nposix_spawnp(a);\n",
          "src/base/a.c": "/* fork() */ reconnect(a); file_system(b); executor(c);\n"}],
        [{"src/app/a.c": f"{c}\n"} for c in
         ("#include <curl/curl.h>", "#include <sys/socket.h>", "int s = socket(a, b, c);", "getaddrinfo(a);", "if (fork()) f();", "system(a);",
          "popen(a, b);", "execvp(a, b);", "#include <spawn.h>")]),
    house.messages: (
        [sentences('/* Sentences of a. MSG(...) */\nMSG(MSG_A, "{0} is \\"bad\\", "\n    "{1}.", "{1}{0} 错了。")\n')],
        [sentences(t) for t in (
            'MSG(MSG_A, "Bad.", "")', 'MSG(MSG_A, "", "错。")', 'MSG(MSG_A, "错。", "错。")', 'MSG(MSG_A, "Bad.", "Bad.")', 'MSG(MSG_A, "Bad.")',
            'MSG(MSG_A, "{0} is bad.", "错。")', 'MSG(MSG_A, "Bad.", "错。")\nMSG(MSG_A, "Bad.", "错。")\n')]
        + [{"src/base/messages/all.def": "", "src/base/messages/a.def": 'MSG(MSG_A, "Bad.", "错。")'}]),
    house.markers: (
        [{"docs/a.md": "Nothing to do. XXXXXX\n"}],
        [{"src/base/a.c": f"/* {a + b}: later */\n"} for a, b in (("TO", "DO"), ("FIX", "ME"), ("XX", "X"), ("HA", "CK"))]),
    house.places: (
        [{"docs/a.md": "src/work/a.c, net/work/ and https://example.org/\n"}],
        [{"docs/a.md": f"see {a + b} for it\n"} for a, b in
         (("https://pypi.o", "rg/simple"), ("/wor", "k/main"), ("'/roo", "t/x'"), ("/hom", "e/somebody/x"), ("deb.deb", "ian.org"))]),
    house.listed: (
        [{"src/base/meson.build": "sources += files(\n  'a.c',\n  'ref/b.c',\n)\n", "src/base/a.c": "", "src/base/ref/b.c": ""},
         {"tests/meson.build": "unit_tests = [\n  'a',\n]\n", "tests/unit/test_a.c": ""}],
        [{"src/base/meson.build": "sources += files(\n  'a.c',\n)\n", "src/base/a.c": "", "src/base/b.c": ""},
         {"src/base/meson.build": "sources += files(\n  'a.c',\n  # 'b.c',\n)\n", "src/base/a.c": "", "src/base/b.c": ""},
         {"src/base/meson.build": "sources += files('a.c')\n"},
         {"tests/meson.build": "unit_tests = [\n  'a',\n]\n", "tests/unit/test_a.c": "", "tests/unit/test_b.c": ""}]),
    house.heads: (
        [{"src/base/a.c": HEAD, "src/base/a.h": guarded("int a;\n")}],
        [{"src/base/a.c": "int a;\n"}, {"src/base/a.h": guarded("").replace("BASE_A_H", "A_H")}, {"src/base/a.h": HEAD + "int a;\n"}]),
}


def holds(rule):
    def test():
        bad = rule(TREE)
        assert not bad, "\n" + "\n".join(f"{p}:{n}: {s}" for p, n, s in bad)
    return test


def can_fail(rule):
    def test():
        accepted, refused = PLANTED[rule]
        for tree in accepted:
            assert not rule(tree), f"refused without a reason: {rule(tree)}"
        for tree in refused:
            assert rule(tree), f"the planted breach was not found: {str(tree)[:200]}"
    return test


TREE = house.read_tree(ROOT)
assert len(TREE) > 50, "the project's files were not found"
tap.run([t for rule in house.RULES for t in ((f"{rule.__name__} holds", holds(rule)), (f"{rule.__name__} can fail", can_fail(rule)))])

#!/usr/bin/env python3
"""The house rules that a script can check (docs/contributing.md says why each is there).

    tools/check_house.py [RULE...]      prints every breach as `file:line: sentence`, exits 1 when there is one

A rule is a function from a tree ({path: text}) to a list of (path, line, sentence), so that the tests can plant a breach in a
small tree and see it found. tests/style/test_house.py runs each rule twice: on the project, and on its planted breach.
"""
import os
import re
import subprocess
import sys

RANKS = {"base": 0, "parallel": 1, "quant": 1, "kernel": 2, "format": 3, "token": 3, "context": 3, "model": 4, "document": 4,
         "hub": 4, "shelf": 4, "data": 4, "engine": 5, "train": 5, "reader": 6, "eval": 6, "safety": 6, "tune": 7, "server": 7, "api": 7, "app": 8}
FUNCTION_MAX, FILE_MAX, HEADER_MAX = 120, 1000, 250
FAMILIES = ("gemma llama qwen mistral mixtral deepseek chatglm kimi minicpm minimax smollm internlm baichuan hunyuan ernie "
            "bailing moonlight granite falcon mamba olmo starcoder").split()
TEXT = (".c", ".h", ".inc", ".def", ".build", ".py", ".sh", ".md", ".ini", ".txt", ".1", ".s", ".S", ".json", ".js", ".html", ".css", "")
DATA = re.compile(r"^(examples/[^/]*\.txt|tests/(fixtures|golden|fuzz/corpus)/.*)$")


def read_tree(root):
    """Every text file that git tracks or would track; without git, every file outside the build folders."""
    git = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True, text=True)
    if git.returncode == 0:
        paths = [p for p in git.stdout.split("\0") if p]
    else:
        paths = []
        for folder, folders, files in os.walk(root):
            folders[:] = [f for f in folders if not f.startswith(("build", "."))]
            paths += [os.path.relpath(os.path.join(folder, f), root) for f in files]
    tree = {}
    for path in sorted(paths):
        full = os.path.join(root, path)
        if DATA.match(path) or os.path.splitext(path)[1] not in TEXT or not os.path.isfile(full):
            continue
        with open(full, "rb") as f:
            raw = f.read()
        if b"\0" not in raw:
            tree[path] = raw.decode("utf-8", "replace")
    return tree


TOKENS = re.compile(r'(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<string>"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')', re.S)


def code_only(text, keep_strings=False):
    """The text with comments (and strings) blanked; line numbers stay."""
    def blank(m):
        if m.group("string") and keep_strings:
            return m.group()
        return "\n" * m.group().count("\n") or " "
    return TOKENS.sub(blank, text)


def lines_with(pattern, text):
    return [(n, m) for n, line in enumerate(text.split("\n"), 1) for m in pattern.finditer(line)]


def sources(tree, *suffixes):
    return {p: t for p, t in tree.items() if p.startswith("src/") and p.endswith(suffixes)}


def ranks(tree):
    """A file includes its own room's headers, or those of a lower rank, by "room/file.h"."""
    bad, include = [], re.compile(r'^\s*#\s*include\s*"([^"]*)"')
    for path, text in sources(tree, ".c", ".h", ".inc", ".def").items():
        room = path.split("/")[1]
        if room not in RANKS:
            bad.append((path, 1, f"the room {room}/ has no rank"))
            continue
        for n, m in lines_with(include, code_only(text, keep_strings=True)):
            target, other = m.group(1), m.group(1).split("/")[0]
            if target == "changjuan.h":
                continue
            if "src/" + target not in tree:
                bad.append((path, n, f'"{target}" is not the path of a file below src/'))
            elif other != room and RANKS.get(other, 99) >= RANKS[room]:
                bad.append((path, n, f'{room}/ (rank {RANKS[room]}) may not include "{target}"'))
    return bad


def function_lengths(text):
    """(first line, lines) of every function: from its brace in column 0 to the brace that closes it there."""
    start, found = None, []
    lines = code_only(text).split("\n")
    for n, line in enumerate(lines, 1):
        opens = line.rstrip() == "{" or (re.match(r"^[A-Za-z_].*\)\s*\{\s*$", line) and not line.startswith(("typedef", "struct")))
        if start is None and opens:
            start = n
        elif start is not None and line.startswith("}"):
            found.append((start, n - start + 1))
            start = None
    return found


def limits(tree):
    """No function over 120 lines, no file over 1,000, no header over 250. A table may be longer than a function."""
    bad = []
    for path, text in tree.items():
        if not path.endswith((".c", ".h", ".inc")):
            continue
        count, most = text.count("\n"), HEADER_MAX if path.endswith(".h") else FILE_MAX
        if count > most:
            bad.append((path, 1, f"{count} lines; at most {most}"))
        bad += [(path, n, f"a function of {size} lines; at most {FUNCTION_MAX}")
                for n, size in function_lengths(text) if size > FUNCTION_MAX]
    return bad


def families(tree):
    """No model family is named outside model/family/; token/ names pre-tokenizers, which are data."""
    bad, name = [], re.compile(r"(?<![a-z])(" + "|".join(FAMILIES) + r")(?!\.cpp|-bench|[a-z]*-perplexity)", re.I)
    for path, text in sources(tree, ".c", ".h", ".inc", ".def").items():
        if not path.startswith(("src/model/family/", "src/token/")):
            bad += [(path, n, f'names the family "{m.group(1)}"') for n, m in lines_with(name, text)]
    return bad


def quiet(tree):
    """Code below src/ never prints and never ends the process; app/ may."""
    bad = []
    said = re.compile(r"\b(printf|vprintf|wprintf|puts|putchar|perror|exit|quick_exit|abort)\s*\(|\b(stdout|stderr)\b")
    for path, text in sources(tree, ".c", ".h", ".inc").items():
        if not path.startswith("src/app/"):
            bad += [(path, n, f"{m.group(1) or m.group(2)}: only app/ prints or ends the process")
                    for n, m in lines_with(said, code_only(text))]
    return bad


def doors(tree):
    """Only hub/http.c opens connections and only base/process.c starts programs."""
    bad = []
    opened = (("src/hub/http.c", "opens connections", r"[<\"](curl/curl|sys/socket|netdb|netinet/\w+|arpa/\w+|sys/un)\.h[>\"]|\b(socket|connect|getaddrinfo)\s*\("),
              ("src/base/process.c", "starts programs", r"[<\"]spawn\.h[>\"]|\b(fork|vfork|system|popen|posix_spawnp?|execl?[vpe]*)\s*\("))
    for path, text in sources(tree, ".c", ".h").items():
        for place, what, pattern in opened:
            if path != place:
                code = code_only(text, keep_strings=True)
                bad += [(path, n, f"{m.group()}: only {place} {what}") for n, m in lines_with(re.compile(pattern), code)]
    return bad


STRINGS = r'((?:"(?:\\.|[^"\\])*"\s*)+)'
MESSAGE = re.compile(r"\bMSG\(\s*(\w+)\s*,\s*" + STRINGS + r",\s*" + STRINGS + r"\)")


def messages(tree):
    """Every sentence is there in English and in Chinese, with the same arguments, under a name of its own."""
    bad, seen = [], {}
    for path, text in tree.items():
        if not re.match(r"src/base/messages/\w+\.def$", path) or path.endswith("all.def"):
            continue
        if f'"{path[4:]}"' not in tree.get("src/base/messages/all.def", ""):
            bad.append((path, 1, "all.def does not include this file"))
        text = re.sub(r"^\s*/\*.*?\*/", "", text, flags=re.S | re.M)
        found = list(MESSAGE.finditer(text))
        if len(found) != len(re.findall(r"\bMSG\(", text)):
            bad.append((path, 1, 'a sentence is not written MSG(NAME, "English", "中文")'))
        for m in found:
            line = text.count("\n", 0, m.start()) + 1
            name, english, chinese = m.group(1), *("".join(re.findall(r'"((?:\\.|[^"\\])*)"', g)) for g in m.groups()[1:])
            if name in seen:
                bad.append((path, line, f"{name} is there twice ({seen[name]})"))
            seen[name] = path
            if not english.strip() or re.search(r"[\u4e00-\u9fff]", english):
                bad.append((path, line, f"{name} has no English sentence"))
            if not re.search(r"[\u3000-\u9fff\uff00-\uffef]", chinese):
                bad.append((path, line, f"{name} has no Chinese sentence"))
            if set(re.findall(r"\{\d\}", english)) != set(re.findall(r"\{\d\}", chinese)):
                bad.append((path, line, f"{name}: the two sentences use different arguments"))
    return bad


def markers(tree):
    """Nothing is left for later in the source: open work is an issue."""
    word = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
    return [(path, n, f"{m.group(1)}: finish it, or open an issue") for path, text in tree.items() for n, m in lines_with(word, text)]


def places(tree):
    """No package registry's host and no path of one particular machine."""
    host = re.compile(r"pypi\.or" r"g|python" r"hosted|registry\.npm" r"js|deb\.deb" r"ian\.org|(?<![\w.~$}])/(?:wor" r"k|far" r"m|roo" r"t|hom" r"e/\w+)/")
    return [(path, n, f'names "{m.group()}"') for path, text in tree.items() for n, m in lines_with(host, text)]


def listed(tree):
    """Every .c file is named by a meson.build, and every .c file that a meson.build names is there."""
    bad, named = [], set()
    for path, text in tree.items():
        if os.path.basename(path) != "meson.build":
            continue
        folder = os.path.dirname(path)
        for n, m in lines_with(re.compile(r"'([\w/.-]+\.c)'"), re.sub(r"#[^\n]*", "", text)):
            target = os.path.normpath(os.path.join(folder, m.group(1)))
            named.add(target)
            if target not in tree and "' + " not in text.split("\n")[n - 1]:
                bad.append((path, n, f"{m.group(1)} is not there"))
    by_name = {"tests/unit/test_": "tests/meson.build", "tests/fuzz/fuzz_": "tests/fuzz/meson.build"}
    for path in tree:
        for start, build in by_name.items():
            if path.startswith(start) and path.endswith(".c") and build in tree:
                if re.search(rf"'{re.escape(path[len(start):-2])}'", tree[build]):
                    named.add(path)
        if path.startswith(("src/", "tests/")) and path.endswith(".c") and path not in named:
            bad.append((path, 1, "no meson.build names this file: it is not built"))
    return bad


def heads(tree):
    """A source file opens by saying what it is for; a header's guard is its path."""
    bad = []
    for path, text in sources(tree, ".c", ".h", ".inc").items():
        if not text.startswith("/*"):
            bad.append((path, 1, "does not open with a comment that says what the file is for"))
        guard = re.sub(r"\W", "_", path[4:]).upper()
        if path.endswith(".h") and not re.search(rf"#ifndef {guard}\n#define {guard}\n", text) and "#pragma once" not in text:
            bad.append((path, 1, f"has no include guard {guard}"))
    return bad


RULES = [ranks, limits, families, quiet, doors, messages, markers, places, listed, heads]


def main(names):
    unknown = set(names) - {r.__name__ for r in RULES}
    if unknown:
        sys.exit(f"no such rule: {', '.join(sorted(unknown))}; there are {', '.join(r.__name__ for r in RULES)}")
    tree = read_tree(os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")))
    bad = [b for rule in RULES if not names or rule.__name__ in names for b in rule(tree)]
    for path, line, sentence in bad:
        print(f"{path}:{line}: {sentence}")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main(sys.argv[1:])

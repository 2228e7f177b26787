#!/usr/bin/env python3
"""Every header compiles alone: it includes what it uses.

    tools/check_headers.py BUILD [COMPILER...]      default: gcc and clang, where they are there

The flags are those of BUILD's compile_commands.json; a header in the folder of an instruction set gets that folder's flags.
"""
import concurrent.futures
import glob
import json
import os
import shlex
import shutil
import subprocess
import sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
OTHER_PROCESSOR = {"x86_64": "/arm/", "aarch64": "/x86/"}


def compilers():
    """gcc and the newest clang of this machine, as command names."""
    clang = next((c for c in ["clang"] + [f"clang-{n}" for n in range(30, 12, -1)] if shutil.which(c)), None)
    return [c for c in (shutil.which("gcc") and "gcc", clang) if c]


def folder_flags(build):
    """{source folder: flags} from what the build does to a file of that folder."""
    with open(os.path.join(build, "compile_commands.json")) as f:
        commands = json.load(f)
    flags = {}
    for c in commands:
        source = os.path.normpath(os.path.join(c["directory"], c["file"]))
        keep = [a for a in shlex.split(c["command"]) if a.startswith(("-I", "-D", "-U", "-m", "-std"))]
        keep = ["-I" + os.path.join(c["directory"], a[2:]) if a.startswith("-I") else a for a in keep]
        flags.setdefault(os.path.dirname(source), [a for a in keep if not a.endswith(".p")])
    return flags


def compile_alone(compiler, header, flags):
    """None, or what the compiler says against the header."""
    warn = ["-Wall", "-Wextra", "-Wshadow", "-Wundef", "-Werror", "-Wno-unused-parameter", "-Wno-unused-function"]
    language = "c++" if "++" in compiler else "c"
    r = subprocess.run([compiler, "-x", language, "-fsyntax-only", *flags, *warn, header], capture_output=True, text=True)
    return None if r.returncode == 0 else r.stderr.strip()


def check(build, compiler, headers=None):
    """[(header, what the compiler says)] of the headers that do not stand alone."""
    flags = folder_flags(build)
    common = flags[os.path.join(ROOT, "src", "base")]
    if headers is None:
        headers = glob.glob(ROOT + "/include/*.h") + glob.glob(ROOT + "/src/**/*.h", recursive=True)
        headers = [h for h in sorted(headers) if OTHER_PROCESSOR.get(os.uname().machine, "//") not in h]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        said = pool.map(lambda h: compile_alone(compiler, h, flags.get(os.path.dirname(h), common)), headers)
        return [(os.path.relpath(h, ROOT), s) for h, s in zip(headers, said) if s]


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    bad = [(c, *b) for c in sys.argv[2:] or compilers() for b in check(sys.argv[1], c)]
    for compiler, header, said in bad:
        print(f"{header} does not compile alone with {compiler}:\n{said}")
    sys.exit(bool(bad))

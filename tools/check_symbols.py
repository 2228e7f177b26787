#!/usr/bin/env python3
"""The shared library exports cj_* and nothing else, and carries its SONAME.

    tools/check_symbols.py build/libchangjuan.so
"""
import re
import subprocess
import sys


def exported(library):
    """Names that a program can link against; the linker's own marks (_init, __bss_start, ...) are not ours."""
    out = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", library], capture_output=True, text=True, check=True).stdout
    marks = {"_init", "_fini", "__bss_start", "_edata", "_end"}
    return [line.split()[0] for line in out.splitlines() if line.split()[0] not in marks]


def check(library):
    """Sentences on what is wrong; empty when nothing is."""
    names = exported(library)
    bad = [f"{name} is exported; only cj_* may be" for name in names if not name.startswith("cj_")]
    if not names:
        bad.append("nothing is exported: is CJ_API missing?")
    head = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout
    if not re.search(r"SONAME.*\[libchangjuan\.so\.\d+\]", head):
        bad.append("the library carries no SONAME libchangjuan.so.N")
    return bad


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    bad = check(sys.argv[1])
    print("\n".join(bad))
    sys.exit(bool(bad))

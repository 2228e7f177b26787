#!/usr/bin/env python3
"""Headers stand alone and the library exports only cj_*; both checks find a planted breach."""
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path[:0] = [os.path.join(ROOT, "tools"), os.path.join(ROOT, "tests", "support")]
import check_headers
import check_symbols
import tap

BUILD = os.environ["CJ_BUILD"]


def headers_stand_alone(compiler):
    def test():
        bad = check_headers.check(BUILD, compiler)
        assert not bad, "\n" + "\n".join(f"{h}:\n{s}" for h, s in bad)
    return test


def headers_can_fail(compiler):
    def test():
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (("good", "#include <stddef.h>\nsize_t f(void);\n"), ("bad", "size_t f(void);\n")):
                with open(f"{folder}/{name}.h", "w") as f:
                    f.write(text)
            bad = check_headers.check(BUILD, compiler, [f"{folder}/good.h", f"{folder}/bad.h"])
        assert [os.path.basename(h) for h, _ in bad] == ["bad.h"], bad
    return test


def public_header_is_cxx():
    if not shutil.which("g++"):
        raise tap.Skip("no g++ on this machine")
    said = check_headers.compile_alone("g++", f"{ROOT}/include/changjuan.h", [])
    assert not said, said


def symbols_are_ours():
    bad = check_symbols.check(f"{BUILD}/libchangjuan.so")
    assert not bad, "\n" + "\n".join(bad)


def symbols_can_fail():
    cc = check_headers.compilers()[0]
    with tempfile.TemporaryDirectory() as folder:
        for source, soname, wrong in (("int cj_a; int pool_b;", "libchangjuan.so.0", 1), ("int cj_a;", "libelse.so", 1),
                                      ("static int a; void *f(void); int cj_a;", "libchangjuan.so.0", 0), ("", "libchangjuan.so.0", 1)):
            subprocess.run([cc, "-x", "c", "-", "-shared", "-fPIC", f"-Wl,-soname,{soname}", "-o", f"{folder}/x.so"],
                           input=source, text=True, check=True)
            assert len(check_symbols.check(f"{folder}/x.so")) == wrong, source


def replay_can_fail():
    target = """#include <stddef.h>
        #include <stdint.h>
        int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
        int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
        {
            if (size > 2 && data[0] == 'o' && data[1] != 'k') __builtin_trap();
            return 0;
        }"""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([check_headers.compilers()[0], "-x", "c", "-", f"{ROOT}/tests/fuzz/replay.c", "-o", f"{folder}/fuzz"], input=target,
                       text=True, check=True)
        os.mkdir(f"{folder}/seeds")
        with open(f"{folder}/seeds/1", "w") as f:
            f.write("okay")
        run = [f"{folder}/fuzz", "--mutations"]
        good = subprocess.run([*run, "0", "seeds"], cwd=folder, capture_output=True, text=True)
        assert good.returncode == 0 and "ok 1 - 1" in good.stdout, good
        bad = subprocess.run([*run, "2000", "seeds"], cwd=folder, capture_output=True, text=True)
        assert bad.returncode < 0 and "ok 1" not in bad.stdout, bad
        with open(f"{folder}/crash-input", "rb") as f:
            kept = f.read()
        assert kept[:1] == b"o" and kept[1:2] != b"k", kept


per_compiler = [t for c in check_headers.compilers() for t in ((f"headers stand alone with {c}", headers_stand_alone(c)),
                                                               (f"the header check can fail with {c}", headers_can_fail(c)))]
tap.run(per_compiler + [("the public header is C++ too", public_header_is_cxx), ("only cj_ is exported", symbols_are_ours),
                        ("the symbol check can fail", symbols_can_fail),
                        ("the replay of fuzz seeds can fail", replay_can_fail)])

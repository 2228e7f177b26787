#!/usr/bin/env python3
"""`make install` into a folder of its own: what is installed runs, and every example builds against it by pkg-config."""
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path[:0] = [os.path.join(ROOT, "tests", "support")]
import tap

BUILD = os.environ["CJ_BUILD"]
EXAMPLE_LINES = 60


def run(*command, **environment):
    r = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, cwd=ROOT)
    assert r.returncode == 0, f"{' '.join(command)}: exit {r.returncode}\n{r.stdout}{r.stderr}"
    return r.stdout


with open(f"{BUILD}/meson-info/intro-buildoptions.json") as f:
    options = {o["name"]: o["value"] for o in json.load(f)}
prefix, libdir = options["prefix"], options["libdir"]
staged = tempfile.mkdtemp(prefix="changjuan-install-")
root = staged + prefix
library = {"LD_LIBRARY_PATH": f"{root}/{libdir}"}
package = {"PKG_CONFIG_PATH": f"{root}/{libdir}/pkgconfig", "PKG_CONFIG_SYSROOT_DIR": staged}


def installs():
    run("make", "install", f"BUILD={BUILD}", f"PREFIX={prefix}", f"LIBDIR={libdir}", f"DESTDIR={staged}")
    for path in ("bin/juan", "include/changjuan.h", f"{libdir}/libchangjuan.so", f"{libdir}/libchangjuan.so.0", f"{libdir}/pkgconfig/changjuan.pc"):
        assert os.path.exists(f"{root}/{path}"), f"{path} was not installed"
    shipped = sorted(os.listdir(f"{ROOT}/share/adapters"))
    assert "NOTICE" in shipped and sorted(os.listdir(f"{root}/share/juan/adapters")) == shipped
    headers = [os.path.relpath(h, root) for h in glob.glob(f"{root}/include/**/*.h", recursive=True)]
    assert headers == ["include/changjuan.h"], headers


def command_runs():
    assert run(f"{root}/bin/juan", "--version").startswith("juan ")


def adapters_are_found():
    """Those that come with the program, by the installed command."""
    shipped = [f for f in os.listdir(f"{ROOT}/share/adapters") if f.endswith(".gguf")]
    listed = json.loads(run(f"{root}/bin/juan", "adapter", "list", "--json", JUAN_HOME=f"{staged}/home"))["adapters"]
    assert sorted(a["name"] + ".gguf" for a in listed) == sorted(shipped) and not any(a["own"] or a["damaged"] for a in listed), listed
    if not shipped:
        raise tap.Skip("share/adapters holds no adapter: make adapter makes one")


def package_is_whole():
    version = run("pkg-config", "--modversion", "changjuan", **package).strip()
    with open(f"{ROOT}/meson.build") as f:
        assert f"version: '{version}'" in f.read()
    assert "-lchangjuan" in run("pkg-config", "--libs", "changjuan", **package)


def example_builds(source):
    def test():
        with open(source) as f:
            count = len(f.readlines())
        assert count < EXAMPLE_LINES, f"{count} lines; an example has fewer than {EXAMPLE_LINES}"
        flags = run("pkg-config", "--cflags", "--libs", "changjuan", **package).split()
        # Headers and libraries of this build are out of reach: only what was installed is used.
        program = f"{staged}/{os.path.basename(source)[:-2]}"
        run("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-o", program, source, *flags)
        needed = run("readelf", "-d", program)
        assert "libchangjuan.so.0" in needed, needed
        said = subprocess.run([program, "--help"], capture_output=True, text=True, env={**os.environ, **library})
        assert said.returncode == 0 and said.stdout, f"--help: exit {said.returncode}\n{said.stderr}"
    return test


try:
    examples = sorted(glob.glob(f"{ROOT}/examples/*.c"))
    tap.run([("make install", installs), ("the installed command runs", command_runs), ("adapters are found", adapters_are_found), ("the package file is whole", package_is_whole)]
            + [(f"{os.path.basename(e)} builds and runs", example_builds(e)) for e in examples])
finally:
    shutil.rmtree(staged, ignore_errors=True)

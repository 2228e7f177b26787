#!/usr/bin/env python3
"""tools/install-deps on machines that are made up: a PATH with the basic tools, a package manager that only writes down what it is
asked, and nothing that the project needs."""
import os
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path[:0] = [os.path.join(ROOT, "tests", "support")]
import tap

SCRIPT = os.path.join(ROOT, "tools", "install-deps")
MACHINES = tempfile.mkdtemp(prefix="changjuan-deps-")
BASIC = ("sh", "sed", "sort", "head", "cut", "env")


class Machine:
    """A folder of programs: the basic ones, `id` that says who we are, and scripts by name."""

    def __init__(self, root=True, **scripts):
        self.folder = tempfile.mkdtemp(dir=MACHINES)
        for name in BASIC:
            os.symlink(shutil.which(name), os.path.join(self.folder, name))
        self.script("id", f"echo {0 if root else 1000}")
        for name, text in scripts.items():
            self.script(name.replace("_", "-"), text)

    def script(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(f"#!{shutil.which('sh')}\n{text}\n")
        os.chmod(path, 0o755)

    def run(self, *arguments, lang="C"):
        return subprocess.run([os.path.join(self.folder, "sh"), SCRIPT, *arguments], capture_output=True, text=True, timeout=60,
                              env={"PATH": self.folder, "LANG": lang, "FOLDER": self.folder, "SSL_CERT_FILE": ""})

    def asked(self):
        path = os.path.join(self.folder, "asked")
        return open(path).read() if os.path.exists(path) else ""


WRITES_DOWN = 'echo "${0##*/} $*" >>"$FOLDER/asked"'


def each_manager_gets_its_own_names():
    for manager, names, foreign in (("apt-get", "libcurl4-openssl-dev libc6-dev ninja-build", "libcurl-devel"),
                                    ("dnf", "libcurl-devel glibc-devel ninja-build", "libcurl4-openssl-dev"),
                                    ("pacman", "libutf8proc python-pip ninja", "ninja-build")):
        machine = Machine(**{manager.replace("-", "_"): WRITES_DOWN})
        done = machine.run()
        words = machine.asked().split()
        assert set(names.split()) <= set(words) and foreign not in words, machine.asked()
        assert done.returncode == 1 and "Still missing" in done.stdout, done  # it installed nothing


def sudo_is_used_by_others_than_root():
    machine = Machine(root=False, apt_get=WRITES_DOWN, sudo=WRITES_DOWN)
    machine.run()
    assert "sudo apt-get update" in machine.asked() and "sudo env DEBIAN_FRONTEND=noninteractive apt-get install" in machine.asked(), machine.asked()


def a_sentence_when_it_cannot():
    nobody = Machine(root=False, apt_get=WRITES_DOWN).run()
    assert nobody.returncode == 1 and "no sudo" in nobody.stdout and "libzip-dev" in nobody.stdout, nobody
    bare = Machine().run(lang="zh_CN.UTF-8")
    assert bare.returncode == 1 and "没有 apt、dnf 或 pacman" in bare.stdout, bare


def checking_installs_nothing():
    machine = Machine(apt_get=WRITES_DOWN)
    done = machine.run("--check")
    assert done.returncode == 1 and "Missing: C compiler, make" in done.stdout and not machine.asked(), done


def only_what_is_missing_is_installed():
    machine = Machine(apt_get=WRITES_DOWN, make="", git="", cc="", meson="echo 1.0.1", ninja="", python3="", pdftotext="")
    machine.script("pkg-config", 'case "$2" in libzip*|cmocka*) exit 1;; esac')
    machine.run()
    asked = machine.asked().splitlines()[-1].split("--no-install-recommends ")[1].split()
    assert set(asked) - {"ca-certificates"} == {"libzip-dev", "libcmocka-dev"}, asked
    for version, enough in (("1.0.0", True), ("1.10.2", True), ("0.61.2", False), ("", False)):
        machine.script("meson", f"echo {version}")
        assert ("meson" not in machine.run("--check").stdout) == enough, version


def nothing_is_done_when_nothing_is_missing():
    machine = Machine(**{name: WRITES_DOWN for name in ("apt_get", "sudo")}, make="", git="", cc="", meson="echo 1.3", ninja="", python3="", pkg_config="", pdftotext="")
    start = time.time()
    done = machine.run()
    if "ca-certificates" in machine.asked():
        raise tap.Skip("this machine has no certificate authorities")
    assert done.returncode == 0 and not machine.asked() and time.time() - start < 5, (done, machine.asked())


try:
    tap.run([(f.__name__.replace("_", " "), f) for f in (
        each_manager_gets_its_own_names, sudo_is_used_by_others_than_root, a_sentence_when_it_cannot, checking_installs_nothing,
        only_what_is_missing_is_installed, nothing_is_done_when_nothing_is_missing)])
finally:
    shutil.rmtree(MACHINES, ignore_errors=True)

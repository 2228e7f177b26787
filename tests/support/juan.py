"""Calls the command from outside, as a user would: in a home of its own, without the network, with tiny random models."""
import ctypes
import fcntl
import json
import os
import platform
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

ROOT = os.environ["CJ_SOURCE"]
JUAN = os.path.join(os.environ["CJ_BUILD"], "juan")
CHATML = os.path.join(ROOT, "tests", "fixtures", "chatml.jinja")
sys.path[:0] = [os.path.join(ROOT, "tests", "support")]
import tap

# A shell that starts the tests in the background has them ignore Ctrl-C, and `juan` would rightly inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


class Result:
    def __init__(self, code, out, err):
        self.code, self.raw, self.out, self.err = code, out, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.out)

    def lines(self):
        return [json.loads(line) for line in self.out.splitlines()]

    def __str__(self):
        return f"exit {self.code}\n{self.out[-2000:]}\n{self.err[-2000:]}"


# ---- no sockets ----

# A filter of system calls that ends the process at socket(2): load the number, compare, kill or allow.
SOCKET = {"x86_64": 41, "aarch64": 198}.get(platform.machine())


def forbid_sockets():
    """Run in the child before exec. A process that opens a socket is ended by SIGSYS."""
    if SOCKET is None:
        return
    kill, allow = 0x80000000, 0x7FFF0000
    code = b"".join(struct.pack("<HBBI", *i) for i in ((0x20, 0, 0, 0), (0x15, 0, 1, SOCKET), (0x06, 0, 0, kill), (0x06, 0, 0, allow)))
    kept = ctypes.create_string_buffer(code)
    program = struct.pack("<HxxxxxxQ", 4, ctypes.addressof(kept))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.create_string_buffer(program), 0, 0):
        os._exit(99)


# ---- running ----

class Home:
    """A folder with a home, tiny models and whatever a test writes; gone at the end."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="juan-test-")
        self.home = os.path.join(self.folder, "home")
        os.mkdir(self.home)

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data.encode() if isinstance(data, str) else data)
        return self.path(name)

    def model(self, name="tiny.gguf", shape="tiny-qwen3", *options):
        if not os.path.exists(self.path(name)):
            subprocess.run([sys.executable, f"{ROOT}/tools/make_gguf.py", self.path(name), "--shape", shape, *options], check=True)
        return self.path(name)

    def chat_model(self):
        return self.model("chat.gguf", "tiny-qwen3", "--template", CHATML)

    def environment(self, **more):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "JUAN_"))}
        return {**clean, "JUAN_HOME": self.home, "LANG": "C.UTF-8", **more}

    def juan(self, *arguments, given=b"", before=None, timeout=60, **environment):
        """Runs juan; given: standard input. before: called in the child too."""
        def prepare():
            forbid_sockets()
            if before:
                before()
        r = subprocess.run([JUAN, *arguments], input=given.encode() if isinstance(given, str) else given, capture_output=True,
                           env=self.environment(**environment), preexec_fn=prepare, timeout=timeout, cwd=self.folder)
        return Result(r.returncode, r.stdout, r.stderr)

    def ok(self, *arguments, **more):
        r = self.juan(*arguments, **more)
        assert r.code == 0, f"juan {' '.join(arguments)}: {r}"
        return r

    def fails(self, code, *arguments, says=None, **more):
        """juan leaves with this code, one sentence, nothing on standard output, and no crash."""
        r = self.juan(*arguments, **more)
        assert r.code == code, f"juan {' '.join(arguments)}: exit {code} was wanted\n{r}"
        assert r.err.strip(), f"juan {' '.join(arguments)}: no sentence"
        assert says is None or says in r.err, f"juan {' '.join(arguments)}: {says!r} is not said\n{r}"
        return r

    def files(self):
        return sorted(os.path.relpath(os.path.join(f, n), self.folder) for f, _, names in os.walk(self.folder) for n in names)


# ---- at a terminal ----

class Terminal:
    """juan with a terminal of its own."""

    def __init__(self, home, *arguments, columns=100, **environment):
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
            forbid_sockets()
            os.chdir(home.folder)
            os.execve(JUAN, [JUAN, *arguments], home.environment(TERM="xterm", COLUMNS=str(columns), **environment))

    def read(self, seconds=0.1):
        """Reads for so long; False at the end."""
        if select.select([self.fd], [], [], seconds)[0]:
            try:
                part = os.read(self.fd, 65536)
            except OSError:
                return False
            self.text += part.decode("utf-8", "replace")
            return bool(part)
        return True

    def wait_for(self, pattern, seconds=20):
        """Waits until the pattern stands in what came since the last wait."""
        end = time.time() + seconds
        while not (found := re.search(pattern, self.text, re.S)):
            assert time.time() < end and self.read(), f"{pattern!r} did not come: {self.text[-1500:]!r}"
        self.text = self.text[found.end():]
        return found

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def say(self, line, answer=r"\[[^]]* used\]"):
        self.type(line + "\r")
        self.wait_for(answer)
        self.wait_for(r"> ")

    def end(self):
        deadline = time.time() + 20
        while self.read():
            if time.time() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError(f"it does not end: {self.text[-500:]!r}")
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def run(tests, home):
    try:
        tap.run(tests)
    finally:
        home.close()


def commands():
    r = subprocess.run([JUAN, "--help", "--lang", "en"], capture_output=True, text=True, env={**os.environ, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"})
    names = [line.split()[0] for line in r.stdout.splitlines() if line.startswith("  ")]
    assert len(names) > 5, r.stdout
    return names

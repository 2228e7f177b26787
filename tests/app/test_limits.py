#!/usr/bin/env python3
"""What happens at the edges of the machine: Ctrl-C, full disks, closed pipes, no memory, no network."""
import os
import re
import resource
import select
import signal
import subprocess
import sys
import time

sys.path[:0] = [os.path.join(os.environ["CJ_SOURCE"], "tests", "support")]
import juan
from juan import tap

home = juan.Home()


def start(*arguments, **more):
    return subprocess.Popen([juan.JUAN, *arguments], env=home.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, preexec_fn=juan.forbid_sockets, cwd=home.folder, **more)


def unfinished():
    return [f for f in home.files() if f.endswith(".part")]


def interrupted(signals, *arguments, after=0.3):
    """Starts juan, sends the signals after so many seconds (None: when it has begun to write; a function: when that is true), and gives
    exit code and output."""
    p = start(*arguments)
    begun = os.read(p.stdout.fileno(), 1) if after is None else b""
    if callable(after):
        end = time.time() + 20
        while not after() and time.time() < end:
            time.sleep(0.005)
    else:
        time.sleep(after or 0)
    assert p.poll() is None, f"it ended before it could be interrupted: {p.communicate()}"
    for s in signals:
        p.send_signal(s)
        time.sleep(0.02)
    out, err = p.communicate(timeout=20)
    return p.returncode, (begun + out).decode("utf-8", "replace"), err.decode("utf-8", "replace")


# ---- Ctrl-C ----

def big_model():
    """Slow enough to be caught at work with --cpu ref, and not large on disk."""
    return home.model("slow.gguf", "tiny-llama", "--set", "context=100000", "--set", "layers=8")


def stops_writing():
    write = ("run", big_model(), "--raw", "-p", "x", "-n", "0", "--temp", "0", "--cpu", "ref")  # greedily: drawn tokens may be the one that ends
    code, out, _ = interrupted([signal.SIGINT], *write, "-t", "1", after=None)
    assert code == 130 and out, (code, out)
    code, out, _ = interrupted([signal.SIGTERM], *write, "--json", after=1)
    assert code == 130 and '"stop":"cancelled"' in out.splitlines()[-1], (code, out[-300:])


def stops_reading():
    text = home.write("long.txt", "a b c d " * 11000)
    code, out, err = interrupted([signal.SIGINT], "run", big_model(), "--raw", "-f", text, "-p", "x", "--cpu", "ref", "-t", "1", after=1)
    assert code == 130 and not out and "Stopped" in err, (code, out, err)


def keeps_nothing_half_written():
    model, ids, out = big_model(), home.write("ids", b"\1\0\0\0" * 60000), home.write("out", "as it was")
    for signals in ([signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGINT, signal.SIGINT]):
        code, _, err = interrupted(signals, "logits", model, "--ids", ids, "--out", out, "--cpu", "ref", "-t", "1", after=1)
        assert code == 130, (code, err)
        assert not unfinished(), unfinished()
        with open(out) as f:
            assert f.read() == "as it was"


def stops_converting():
    wide = home.model("wide.gguf", "tiny-llama", "--set", "layers=40", "--type", "Q8_0")
    code, _, _ = interrupted([signal.SIGINT], "quantize", wide, home.path("q.gguf"), "--type", "Q4_K", "-t", "1", after=unfinished)
    assert code == 130 and not os.path.exists(home.path("q.gguf")) and not unfinished()


def stops_waiting():
    """Ctrl-C is heard while nobody writes into the pipe that is to be read; a model is never waited for."""
    model, pipe = home.chat_model(), home.path("pipe")
    os.mkfifo(pipe)
    home.fails(3, "inspect", pipe, says="pipe", timeout=10)
    for command in (("tokenize", model, pipe), ("ask", pipe, "x", "--model", model), ("run", model, "-f", pipe, "-p", "x")):
        code, _, err = interrupted([signal.SIGINT], *command, after=0.7)
        assert code == 130 and "Stopped" in err, (command, code, err)
    p = subprocess.Popen([juan.JUAN, "tokenize", model], env=home.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(0.7)
    p.send_signal(signal.SIGINT)
    p.wait(timeout=10)
    assert p.returncode == 130, p.returncode


# ---- full disks, closed pipes ----

def limited_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))


def file_cannot_grow():
    """A write past the limit is like a full disk: a sentence, exit 4, nothing half-written, and the old file still there."""
    model = home.model()
    old = home.write("old.gguf", "as it was")
    home.fails(4, "quantize", model, old, "--type", "Q8_0", before=limited_files, says="full")
    with open(old) as f:
        assert f.read() == "as it was"
    ids = home.write("ids", b"\1\0\0\0" * 600)
    home.fails(4, "logits", model, "--ids", ids, "--out", home.path("logits"), before=limited_files, says="full")
    assert not os.path.exists(home.path("logits")) and not unfinished()


def full_file_system():
    """The same on a file system that is full: a tmpfs of 256 KiB in a mount namespace of its own."""
    model = home.model()
    os.makedirs(home.path("tmpfs"), exist_ok=True)
    can = ["unshare", "-rm", "mount", "-t", "tmpfs", "-o", "size=256k", "none", home.path("tmpfs")]
    if subprocess.run(can, capture_output=True).returncode:
        raise tap.Skip("no mount namespace of one's own is allowed here")
    script = f'mount -t tmpfs -o size=256k none tmpfs && {{ "{juan.JUAN}" quantize "{model}" tmpfs/q.gguf --type Q8_0; echo "exit $?"; ls -A tmpfs; }}'
    r = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, env=home.environment(), cwd=home.folder)
    assert r.stdout == "exit 4\n" and "full" in r.stderr, (r.stdout, r.stderr)


def output_is_full():
    model = home.model()
    for command in (("list",), ("inspect", model, "--json"), ("tokenize", model, home.write("t.txt", "x" * 30000)), ("doctor",),
                    ("run", model, "--raw", "-p", "x", "-n", "3"), ("--help",), ("run", "--help")):
        with open("/dev/full", "wb") as full:
            r = subprocess.run([juan.JUAN, *command], stdout=full, stderr=subprocess.PIPE, env=home.environment())
        assert r.returncode == 4 and r.stderr, (command, r.returncode, r.stderr)


def reader_goes_away():
    p = start("run", big_model(), "--raw", "-p", "x", "-n", "0")
    p.stdout.read(1)
    p.stdout.close()
    p.wait(timeout=20)
    assert p.returncode in (-signal.SIGPIPE, 1), p.returncode


# ---- no memory, no network ----

def little_memory():
    """With ever less address space every command comes to an answer or to a sentence with exit code 4, and leaves nothing behind."""
    model, out = home.model("f32.gguf", "tiny-qwen3", "--type", "F32", "--set", "layers=2"), home.path("out")
    book, ids = home.write("book.txt", "从前有座山。山上有座庙，庙里有个老和尚。\n" * 9), home.write("few", b"\1\0\0\0" * 4)
    for arguments in (("run", model, "--raw", "-p", "hello", "-n", "2"), ("quantize", model, out, "--type", "Q4_K"), ("logits", model, "--ids", ids, "--out", out),
                      ("tokenize", model, book), ("inspect", model), ("perplexity", model, book, "--ctx", "64"), ("ask", book, "庙在哪里？", "--model", model)):
        codes = set()
        for mebibytes in (400, 120, 80, 60, 50, 44, 40, 38, 36, 34, 32, 30, 28, 26, 24, 22, 20):
            size = mebibytes << 20
            r = home.juan(*arguments, "-t", "1", before=lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size)), timeout=30)
            if r.code == 127 or "error while loading shared libraries" in r.err:
                break
            assert r.code in (0, 4), f"{arguments[0]}, {mebibytes} MiB: {r}"
            assert r.code == 0 or r.err.strip(), f"{arguments[0]}, {mebibytes} MiB: no sentence"
            assert r.code == 0 or not os.path.exists(out), f"{arguments[0]}: left something behind"
            codes.add(r.code)
            if os.path.exists(out):
                os.remove(out)
        assert 0 in codes, f"{arguments[0]} never ran"


def no_socket():
    """The filter that every test here runs under does end a process that opens a socket; only pull wants one."""
    if juan.SOCKET is None:
        raise tap.Skip("the number of socket(2) is not known for this processor")
    opens = subprocess.run([sys.executable, "-c", "import socket; socket.socket()"], preexec_fn=juan.forbid_sockets, capture_output=True)
    if opens.returncode != -signal.SIGSYS:
        raise tap.Skip("system calls cannot be filtered here")
    home.write("home/models.ini", "[far]\ntitle = Far\nvendor = V\nlicence = L\nlicence-text = https://example.org\nlanguages = en\ncontext = 1\n"
               "memory = 1 MiB\ncan = chats\nfile = f.gguf\nsize = 10\nsha256 = " + "0" * 64 + "\nsource = https://127.0.0.1:9/f.gguf\n")
    r = home.juan("pull", "far")
    os.remove(home.path("home/models.ini"))
    assert r.code == -signal.SIGSYS, f"pull opens a socket, so the filter must have ended it: {r}"


def progress():
    """Work of more than a second is told on a terminal, with the time left; nothing with --quiet, nothing half-drawn at the end."""
    def said(wanted, seconds, *more):
        """What stands on the terminal once `wanted` is there, or after so many seconds; then Ctrl-C."""
        ours, theirs = os.openpty()
        p = subprocess.Popen([juan.JUAN, "run", big_model(), "--raw", "-f", home.write("long.txt", "a b c d " * 11000), "-p", "x",
                              "--cpu", "ref", *more], env=home.environment(), stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=theirs, preexec_fn=juan.forbid_sockets)
        os.close(theirs)
        text, end = "", time.time() + seconds
        while time.time() < end and not (wanted and re.search(wanted, text)):
            if select.select([ours], [], [], 0.1)[0]:
                text += os.read(ours, 65536).decode("utf-8", "replace")
        p.send_signal(signal.SIGINT)
        p.wait(timeout=20)
        while select.select([ours], [], [], 0.1)[0]:
            try:
                text += os.read(ours, 65536).decode("utf-8", "replace")
            except OSError:  # the other end is closed
                break
        os.close(ours)
        return text
    text = said(r"Reading \d+%  [\d,]+ of [\d,]+, [\d,]+/s, [\d:]+( s)? left", 20)
    assert " left" in text, text
    assert text.rindex("\r\033[J") < text.rindex("Stopped"), "the line is wiped before the last word"
    assert "还需" in said("还需", 20, "--lang", "zh")
    assert "%" not in said("", 2.5, "-q")


juan.run([("Ctrl-C while writing", stops_writing), ("Ctrl-C while reading", stops_reading),
          ("Ctrl-C leaves nothing half-written", keeps_nothing_half_written), ("Ctrl-C while converting", stops_converting),
          ("Ctrl-C while waiting for a pipe", stops_waiting),
          ("a file cannot grow", file_cannot_grow), ("a full file system", full_file_system), ("standard output is full", output_is_full),
          ("the reader goes away", reader_goes_away), ("little memory", little_memory), ("no socket but for pull", no_socket),
          ("progress on a terminal", progress)], home)

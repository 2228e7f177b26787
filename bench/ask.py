#!/usr/bin/env python3
"""Times `juan ask` on a shelf entry from outside, one process a question: first byte written, all of it, memory.

    juan read hongloumeng.txt sanguoyanyi.txt xiyouji.txt --as three
    bench/ask.py three [--questions bench/questions-zh.txt] [--juan build/juan] [-- OPTIONS OF juan ask]
"""
import argparse
import os
import statistics
import subprocess
import time


def once(command):
    start = time.monotonic()
    p = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    first = None
    while os.read(p.stdout.fileno(), 1 << 16):
        first = first or time.monotonic() - start
    _, status, usage = os.wait4(p.pid, 0)
    if status or first is None:
        raise SystemExit(f"{' '.join(command)}: status {status}")
    return first, time.monotonic() - start, usage.ru_maxrss / 1024


def spread(name, values, unit):
    v = sorted(values)
    print(f"{name}: median {statistics.median(v):.2f} {unit}, nine of ten below {v[int(0.9 * (len(v) - 1))]:.2f}, most {v[-1]:.2f}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("entry")
    p.add_argument("--questions", default=os.path.join(os.path.dirname(__file__), "questions-zh.txt"))
    p.add_argument("--juan", default="build/juan")
    p.add_argument("options", nargs="*")
    a = p.parse_args()
    questions = [q for q in open(a.questions, encoding="utf-8").read().split("\n") if q]
    runs = [once([a.juan, "ask", a.entry, q, *a.options]) for q in questions]
    print(f"{len(runs)} questions to {a.entry}; the first of all: {runs[0][0]:.2f} s to the first byte, {runs[0][1]:.2f} s in all")
    spread("first byte", [r[0] for r in runs], "s")
    spread("whole answer with evidence", [r[1] for r in runs], "s")
    spread("resident memory, mapped pages included", [r[2] for r in runs], "MiB")


main()

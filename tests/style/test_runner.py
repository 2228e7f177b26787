#!/usr/bin/env python3
"""tools/run-tests counts what it should: a crash, a lost result, a wrong exit status or a timeout is never a pass."""
import importlib.machinery
import importlib.util
import io
import contextlib
import os
import sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path[:0] = [os.path.join(ROOT, "tests", "support")]
import tap

loader = importlib.machinery.SourceFileLoader("run_tests", os.path.join(ROOT, "tools", "run-tests"))
sys.dont_write_bytecode = True
runner = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_tests", loader))
sys.modules["run_tests"] = runner
loader.exec_module(runner)


def counts(o):
    return o.passed, len(o.failed), len(o.skipped)


def reads_tap():
    def read(text, status=0, ended=None):
        return counts(runner.read_tap("t", text, status, ended))
    assert read("1..2\nok 1 - a\nok 2 - b\n") == (2, 0, 0)
    assert read("1..2\nnoise\nok 1 - a\nnot ok 2 - b\n# why\n# not ok - group\n", 1) == (1, 1, 0)
    assert read("1..3\nok 1 - a\n", 0) == (1, 1, 0), "lost results"
    assert read("1..1\nok 1 - a\n", 1) == (1, 1, 0), "a leak found at the end"
    assert read("1..2\nok 1 - a\nok 2 - b\n", 0, "not finished") == (2, 1, 0)
    assert read("", 0) == (1, 0, 0) and read("", 3) == (0, 1, 0) and read("no network\n", 77) == (0, 0, 1)
    assert read("1..0\n", 255) == (0, 1, 0)


def keeps_reasons():
    o = runner.read_tap("t", "1..3\nSKIP no model\nnot ok 1 # SKIP reads\nok 2 - b # SKIP no net\nnot ok 3 # SKIP mute\n", 0, None)
    assert o.skipped == [("reads", "no model"), ("b", "no net"), ("mute", "no reason given")], o.skipped
    assert counts(o) == (0, 0, 3)


def watches_programs():
    def program(script, limit=20):
        return runner.run_program("t", ["sh", "-c", script], {}, ROOT, limit)
    assert counts(program("echo 1..1; echo ok 1 - a")) == (1, 0, 0)
    assert counts(program("echo 1..1; echo ok 1 - a; kill -SEGV $$")) == (1, 1, 0)
    assert "SIGSEGV" in program("kill -SEGV $$").failed[0][1]
    late = program("echo 1..2; echo ok 1 - a; sleep 60 & sleep 60", 1)
    assert counts(late) == (1, 1, 0) and late.seconds < 20 and "not finished" in late.failed[0][1]
    assert "complaint" in program("echo complaint >&2; exit 1").output


def sums_up():
    report, text = runner.Report(), io.StringIO()
    with contextlib.redirect_stdout(text):
        report.add("unit", runner.Outcome("t", 2, [("broken", "why")], [("left", "no model")], "noise\nok 1 - a\n# a != b\n"))
        report.stage("unit", [], 1)
        status = report.finish()
    lines = text.getvalue().splitlines()
    assert status == 1 and lines[-1] == "2 passed, 1 failed, 1 skipped", lines
    assert "    | # a != b" in lines and "skipped unit: t left: no model" in lines
    with contextlib.redirect_stdout(io.StringIO()) as text:
        assert runner.Report().finish() == 1, "no test at all is not a success"
        report = runner.Report()
        report.add("unit", runner.Outcome("t", 2))
        assert report.finish() == 0
    assert text.getvalue().splitlines()[-1] == "2 passed, 0 failed"


tap.run([("reads TAP", reads_tap), ("keeps the reasons of skips", keeps_reasons), ("watches programs", watches_programs), ("sums up", sums_up)])

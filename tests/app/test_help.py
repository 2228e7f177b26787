#!/usr/bin/env python3
"""Every command explains itself in both languages with examples that parse; the manual names every command and option."""
import os
import re
import shutil
import subprocess
import sys

sys.path[:0] = [os.path.join(os.environ["CJ_SOURCE"], "tests", "support")]
import juan

home = juan.Home()
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def options_of(help_text):
    return re.findall(r"^ {2}(?:-\w, | {4})(--[a-z-]+)", help_text, re.M)


def explains(command):
    def test():
        english, chinese = home.ok(command, "--help").out, home.ok(command, "--help", "--lang", "zh").out
        assert english.startswith("Usage: juan " + command) and "Examples:" in english and "--help" in options_of(english), english
        assert CHINESE.search(chinese) and options_of(chinese) == options_of(english), chinese
        for part in re.split(r"\n\n", english)[1:2]:
            assert not CHINESE.search(part), part
        by_locale = home.ok(command, "--help", LC_ALL="zh_CN.UTF-8").out
        assert by_locale == chinese
        for line in english.split("Examples:\n")[1].splitlines():
            assert line.startswith(f"  juan {command}"), line
        assert home.ok("help", command).out == english
        assert not re.search(r"[ \t]$", english + chinese, re.M), "a line ends in white space"
    return test


def width():
    for command in juan.commands():
        for language in ("en", "zh"):
            for line in home.ok(command, "--help", "--lang", language).out.splitlines():
                columns = sum(2 if CHINESE.match(c) or c in "，。；：（）、“”" else 1 for c in line)
                assert columns <= 80 or line.startswith(("  juan", "Usage", "用法")), f"{columns} columns: {line}"


def overview():
    english, chinese = home.ok("--help").out, home.ok("--help", LANG="zh_CN.UTF-8").out
    assert english == home.ok().out and CHINESE.search(chinese) and not CHINESE.search(english.split("\n", 2)[2])
    assert home.ok("--version").out.startswith("juan ")
    for command in juan.commands():
        assert re.search(rf"^  {command} +\S", english, re.M) and re.search(rf"^  {command} +\S", chinese, re.M), command


def usage_errors():
    home.fails(2, "nonsense", says="no command")
    home.fails(2, "inspcet", says="inspect")
    for command in juan.commands():
        home.fails(2, command, "--no-such-option", says="--no-such-option")
        home.fails(2, command, "--threads", says="needs a value")
        home.fails(2, command, "--threads", "many")
        home.fails(2, command, "--threads=-1")
        home.fails(2, command, "--cpu", "abacus")
        home.fails(2, command, "--lang", "fr")
        r = home.fails(2, command, "--lang", "zh", "--no-such-option")
        assert CHINESE.search(r.err), r
        home.fails(2, command, "--helpp", says="--help meant")
        home.fails(2, command, "--qiuet=1", says="--quiet meant")
        assert "meant" not in home.fails(2, command, "--xyzzy").err
    for command in ("run", "inspect", "tokenize", "detokenize", "template", "quantize", "logits", "rm"):
        home.fails(2, command, says=f"juan {command} ")
    home.fails(2, "inspect", "a", "b", says='"b"')


def manual():
    with open(os.path.join(juan.ROOT, "share", "man", "juan.1"), encoding="utf-8") as f:
        page = f.read().replace("\\-", "-")
    for command in juan.commands():
        text = home.ok(command, "--help").out
        assert re.search(rf"^\.SS juan {command}\b", page, re.M), f"the manual does not describe juan {command}"
        for option in options_of(text):
            assert option in page, f"the manual does not name {option} of juan {command}"


def completion():
    script = (f'PATH="{os.path.dirname(juan.JUAN)}:$PATH"; source "{juan.ROOT}/share/completions/juan.bash"; '
              'complete_juan() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _juan; echo "${COMPREPLY[@]}"; }; '
              'complete_juan juan ""; complete_juan juan run --to; complete_juan juan rm ""')
    if not shutil.which("bash"):
        raise juan.tap.Skip("there is no bash")
    r = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=home.environment(), cwd=home.home)
    commands, options, models = r.stdout.splitlines()
    assert commands.split() == juan.commands(), r
    assert options.split() == ["--top-k", "--top-p"], r
    assert models.split() == [m["name"] for m in home.ok("list", "--json").json()["models"]], r


juan.run([("the overview", overview)] + [(f"juan {c} --help", explains(c)) for c in juan.commands()]
         + [("help fits a terminal of 80 columns", width), ("usage errors", usage_errors), ("the manual is complete", manual), ("completion in bash", completion)], home)

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


WRONG = {"N": ("abc", "", "12x", "1.5", "99999999999999999999", "0x10"), "BYTES": ("4Q", "G", "99999999999G"), "T": ("nan", "inf", "1e999", "hot", ""),
         "P": ("nan", "0,5"), "X": ("--", "x")}


def wrong_values():
    """Every option that takes a number, of every command: what is none is refused with the option's name."""
    tried = 0
    for command in juan.commands():
        for option, what in re.findall(r"^ {2}(?:-\w, | {4})(--[a-z-]+) ([A-Z]+) ", home.ok(command, "--help").out, re.M):
            for value in WRONG.get(what, ()):
                home.fails(2, command, f"{option}={value}", says=option)
                home.fails(2, command, f"{option}={value}", "--lang", "zh", says=option)
                tried += 1
    assert tried > 50, tried


def values_out_of_range():
    model, text = home.chat_model(), home.write("text.txt", "从前有座山。" * 20)
    cases = {("run", model, "-p", "x", "-n", "1"): "--temp=-1 --temp=1e30 --top-p=2 --min-p=-1 --top-k=-3 --max-tokens=-5 --repeat-penalty=0 "
                                                    "--presence-penalty=1e9 --logit-bias=x --logit-bias=5=nan --logit-bias=99999=1 --logprobs=999 "
                                                    "--seed=-5 --threads=1000 --kv=q7 --cpu=avx9",
             ("perplexity", model, text): "--ctx=3 --ctx=0 --ctx=-2 --ctx=99999999 --windows=-1 --chars=-5",
             ("bench", model): "--prefill=-1 --decode=-1 --repeat=0 --depth=x --depth=-5 --depth=1,,2 --depth=,1 --depth=1Q --depth=1KB --depth=17M --depth=9999999T "
                                "--depth=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
             ("eval", "needle", model, "--text", text): "--lengths=0 --lengths=x --lengths=1,,2 --lengths=9999M --lengths=1KB --depths=101 --depths=-1 --repeat=0 "
                                                       "--repeat=9999 --find=luck --find=index,index --find= --stars=0 --stars=9999",
             ("eval", "agreement", model, "--text", text): "--lengths=0 --lengths=x --lengths=2K,1K --rows=0 --rows=9999 --keep=0 --copies=-1 --copies=99 "
                                                           "--heads=1 --heads=1.x --heads= --heads=-1.0",
             ("eval", "qa", model, "--data", text): "--questions=-1 --questions=99999999 --seed=-5",
             ("ask", text, "庙在哪里？", "--model", model): "--evidence=-1 --evidence=99999 --tokens=-1 --tokens=9999999"}
    for command, options in cases.items():
        for option in options.split():
            home.fails(2, *command, option)
    home.fails(2, "ask", text, "", "--model", model, says="empty")


def manual():
    with open(os.path.join(juan.ROOT, "share", "man", "juan.1"), encoding="utf-8") as f:
        page = f.read().replace("\\-", "-")
    common = re.sub(r"^\.SS juan .*?(?=^\.S[SH] )", "", page, flags=re.M | re.S)
    for command in juan.commands():
        text = home.ok(command, "--help").out
        assert re.search(rf"^\.SS juan {command}\b", page, re.M), f"the manual does not describe juan {command}"
        section = re.search(rf"^\.SS juan {command}\b.*?(?=^\.S[SH] )", page, re.M | re.S).group()
        for option in options_of(text):
            assert option in section or option in common, f"the manual does not name {option} of juan {command}"


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
         + [("help fits a terminal of 80 columns", width), ("usage errors", usage_errors),
            ("numbers that are none", wrong_values), ("values out of range", values_out_of_range), ("the manual is complete", manual), ("completion in bash", completion)], home)

#!/usr/bin/env python3
"""juan calibrate: heads are found, kept with the model, used, shown and forgotten; what cannot be done is said."""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path[:0] = [os.path.join(os.environ["CJ_SOURCE"], "tests", "support")]
import juan

home = juan.Home()
NEEDLES = os.path.join(juan.ROOT, "share", "needles-zh.tsv")


def model():
    """A copy outside the hub, so that nothing is kept beside the one that all tests share."""
    path = home.path("copy.gguf")
    if not os.path.exists(path):
        shutil.copy(os.environ["CJ_TINY_BASE"], path)
    return path


def kept():
    return glob.glob(os.path.join(home.home, "models", ".heads", "*.json"))


def finds_by(name=None):
    return home.ok("inspect", name or model(), "--json").json()["finds_by"]


def calibrated():
    assert finds_by() == {"from": "all", "heads": []}
    r = home.ok("calibrate", model(), "--length", "6K", "--json", timeout=300).json()
    assert r["facts"] >= 8 and 5000 < r["tokens"] < 7000 and kept() == [r["kept"]], r
    assert len(r["heads"]) == 8 and 1 <= len(r["chosen"]) <= 4, r
    for h in r["heads"] + [r["together"], r["unseen"]]:
        for way in ("words", "other"):
            assert 0 <= h[way]["first"] <= h[way]["among_three"] <= r["facts"] and 0 <= h[way]["reciprocal_mean"] <= 1, h
    value = [sum(h[way]["reciprocal_mean"] for way in ("words", "other")) for h in r["heads"]]
    assert value == sorted(value, reverse=True), value
    assert finds_by() == {"from": "calibrate", "heads": r["chosen"]}
    assert all(any((c["layer"], c["head"]) == (h["layer"], h["head"]) for h in r["heads"]) and 0 < c["weight"] <= 1 for c in r["chosen"]), r
    assert home.ok("calibrate", model(), "--length", "6K", "--json", timeout=300).json() == r, "the same twice"
    for language, word in (("en", "juan calibrate"), ("zh", "juan calibrate")):
        assert word in home.ok("inspect", model(), "--lang", language).out
    text = home.write("text.txt", "从前有座山，山里有座庙。庙里有个老和尚。\n" * 20)
    home.ok("ask", text, "庙里有谁？", "--model", model(), "--json")


def told():
    r = home.ok("calibrate", model(), "--length", "6K", "--lang", "zh", "--text", home.write("long.txt", "庙外有一棵树，树下有一口井。\n" * 400), timeout=300)
    assert "选定" in r.out and "层" in r.out and "--forget" in r.err, r
    assert "Chosen" in home.ok("calibrate", model(), "--length", "6K", timeout=300).out


def damaged():
    path, = kept()
    with open(path, encoding="utf-8") as f:
        good = f.read()
    for bad in (good[:40], good.replace('"version": 1', '"version": 9'), good.replace("}]", "}"), "", "\0\0"):
        home.write(path, bad)
        r = home.ok("inspect", model(), "--json")
        assert r.json()["finds_by"]["from"] == "all" and path in r.err and "damaged" in r.err, r
    r = home.ok("ask", home.path("text.txt"), "庙里有谁？", "--model", model(), "--json")
    assert "damaged" in r.err and r.json()["evidence"], r
    other = json.loads(good)
    other["fingerprint"] = "0" * 16
    home.write(path, json.dumps(other))
    assert "other weights" in home.ok("inspect", model()).err
    other = json.loads(good)
    other["heads"] = [{"layer": 999, "head": 999, "weight": 1}]  # heads that the model does not have
    home.write(path, json.dumps(other))
    assert home.ok("ask", home.path("text.txt"), "庙里有谁？", "--model", model(), "--json").json()["evidence"]
    home.write(path, good)
    assert finds_by()["from"] == "calibrate"


def forgotten():
    assert "removed" in home.ok("calibrate", model(), "--forget").out and not kept()
    assert home.ok("calibrate", model(), "--forget", "--json").json() == {"model": model(), "forgotten": False}
    assert finds_by()["from"] == "all"


def with_the_model():
    """Of an installed model they lie in its folder and go with it."""
    home.write(os.path.join(home.home, "models.ini"), "[mine]\ntitle = T\nvendor = V\nlicence = L\nlicence-text = https://example.org\nlanguages = zh\ncontext = 2048\n"
               f"memory = 1 MiB\ncan = finds\nheads = 1.1 0.3*0.5\nfile = m.gguf\nsource = path:{model()}\n")
    home.ok("pull", "mine", "--unverified")
    assert finds_by("mine") == {"from": "catalogue", "heads": [{"layer": 1, "head": 1, "weight": 1}, {"layer": 0, "head": 3, "weight": 0.5}]}
    r = home.ok("calibrate", "mine", "--length", "6K", "--json", timeout=300).json()
    assert r["kept"] == os.path.join(home.home, "models", "mine", "heads.json") and not kept(), r
    assert finds_by("mine") == {"from": "calibrate", "heads": r["chosen"]}
    home.ok("pull", "mine", "--unverified")  # nothing to do, nothing lost
    assert finds_by("mine")["from"] == "calibrate"
    home.ok("calibrate", "mine", "--forget")
    assert finds_by("mine")["from"] == "catalogue"
    home.ok("rm", "mine")


def interrupted():
    p = subprocess.Popen([juan.JUAN, "calibrate", model(), "--length", "16K"], env=home.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(0.5)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=200)
    assert p.returncode == 130 and not out and not kept(), (p.returncode, out, err)


def refused():
    home.fails(2, "calibrate", says="MODEL")
    home.fails(2, "calibrate", model(), "--length=-1", says="--length")
    home.fails(3, "calibrate", "no-such-model", says="no-such-model")
    home.fails(3, "calibrate", model(), "--length", "60", says="too short to hide a fact")
    assert "太短" in home.fails(3, "calibrate", model(), "--length", "60", "--lang", "zh").err
    few = re.search(r"takes 8 facts or more, and only (\d+) can be", home.fails(3, "calibrate", model(), "--length", "600").err)
    assert few and 0 < int(few.group(1)) < 8
    home.fails(3, "calibrate", model(), "--length", "1M", says="--text")
    home.fails(3, "calibrate", model(), "--length", "6K", "--text", home.path("absent.txt"), says="absent.txt")
    home.fails(3, "calibrate", model(), "--length", "6K", "--needles", home.write("bad.tsv", "one\n"), says="bad.tsv")
    r = home.fails(3, "calibrate", os.environ["CJ_TINY_SPACES"], "--length", "6K", says="no layer")
    assert "juan list" in r.err, r
    home.fails(3, "calibrate", os.path.join(juan.ROOT, "tests", "golden", "qwen3", "model.gguf"))  # it has no vocabulary
    os.makedirs(os.path.join(home.home, "models"), exist_ok=True)
    shutil.rmtree(os.path.join(home.home, "models", ".heads"), ignore_errors=True)
    home.write(os.path.join(home.home, "models", ".heads"), "in the way")
    r = home.juan("calibrate", model(), "--length", "6K", timeout=300)
    assert r.code in (1, 3) and "Chosen" in r.out and ".heads" in r.err, r  # what was found out is shown all the same
    os.unlink(os.path.join(home.home, "models", ".heads"))


juan.run([("heads are found and used", calibrated), ("in words", told), ("damaged files", damaged), ("forgotten", forgotten),
          ("with an installed model", with_the_model), ("interrupted", interrupted), ("refused", refused)], home)

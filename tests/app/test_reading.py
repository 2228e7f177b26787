#!/usr/bin/env python3
"""juan read: how it is read is chosen and said; in the background, paused, gone on with after the process was killed."""
import os
import re
import signal
import subprocess
import sys
import time
import unicodedata

sys.path[:0] = [os.path.join(os.environ["CJ_SOURCE"], "tests", "support")]
import juan

home = juan.Home()
TEXT = "".join(f"第{i}回说的是从前有座山，山里有座庙，庙里的老和尚讲第{i * 7}个故事。\n\n" for i in range(300))
PATIENCE = 200


def model():
    return os.environ["CJ_TINY_WINDOWS"]


def show(name):
    return home.ok("shelf", "show", name, "--json").json()


def until(name, what):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        e = show(name)
        if what(e):
            return e
        time.sleep(0.1)
    raise AssertionError(f"waited in vain: {e}")


def said():
    short = home.write("short.txt", TEXT[:2000])
    lines = home.ok("read", short, "--as", "short", "--model", model(), "--json").lines()
    choice, = (line for line in lines if line["phase" if "phase" in line else "done"] == "estimate")
    assert choice["mode"] == "exact" and choice["why"] == "same" and choice["tokens_total"] == lines[-1]["tokens"], choice
    assert lines[-1]["done"] and lines[-1]["mode"] == "exact", lines[-1]
    shown = {"characters", "tokens", "tokens_total", "tokens_per_second", "share_of_ceiling", "eta_seconds", "ram_bytes", "disk_bytes"}
    events = [line for line in lines if line.get("phase") in ("text", "tokens")]
    assert events and all(shown <= set(line) for line in events), lines
    r = home.ok("read", short, "--as", "other", "--model", model(), "--lang", "zh")
    assert "精确" in r.err, r
    r = home.ok("read", short, "--as", "quick", "--fast", "--model", model(), "--json").lines()
    assert r[-1]["mode"] == "fast" and show("quick")["mode"] == "fast", r
    r = home.ok("read", short, "--as", "quick", "--model", model())
    assert "fast" in r.err, r


def measured():
    """juan bench at depths of an entry: no figures beyond its end, no share of sparse attention."""
    home.ok("read", home.write("measured.txt", TEXT[:2000]), "--as", "measured", "--model", model())
    tokens = show("measured")["tokens"]
    command = ("bench", model(), "--entry", "measured", "-p", "8", "-n", "4", "-r", "1", "--json")
    exact, sparse = (home.ok(*command, "-d", f"0,{tokens}", *options).json()["results"] for options in ((), ("--keep", "2")))
    assert [(r["test"], r["depth"]) for r in exact] == [(t, d) for d in (0, tokens) for t in ("prefill", "decode")], exact
    assert all(r["share_of_ceiling"] > 0 for r in exact) and all(r["share_of_ceiling"] is None for r in sparse), (exact, sparse)
    home.fails(3, *command, "-d", str(tokens + 1), says="--depth")
    home.fails(3, "bench", model(), "--entry", "no such entry", says="no such entry")


def shown_together():
    """A longer version that is being read beside the complete one; the model is found from any folder."""
    start = TEXT[:2000]
    home.ok("read", home.write("grows.txt", start), "--as", "grows", "--model", os.path.relpath(model(), home.folder))
    e = show("grows")
    assert os.path.isabs(e["model_path"]) and os.path.samefile(e["model_path"], model()) and "unfinished" not in e, e
    path = home.write("grows.txt", start + TEXT)
    r = home.ok("read", path, "--as", "grows", "--model", model(), "--exact", "--threads", "1", "--background", "--json").json()
    until("grows", lambda e: "unfinished" in e)
    home.ok("read", "--pause", "grows", "--json")
    e = show("grows")
    assert e["complete"] and e["unfinished"]["state"] == "paused" and e["unfinished"]["tokens_total"] > e["tokens_total"], (r, e)
    text = home.ok("shelf", "show", "grows").out
    assert text.count("grows\n") == 2 and "--resume grows" in text, text
    home.ok("shelf", "rm", "grows")


def interrupted():
    """Ctrl-C before the reader in the background has settled stops it too."""
    path = home.write("slow.txt", TEXT * 40)
    for wait in (0.2, 0.6):
        p = subprocess.Popen([juan.JUAN, "read", path, "--as", "slow", "--model", model(), "--exact", "--background"], env=home.environment(),
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(wait)
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=PATIENCE)
        if p.returncode == 0:  # it had begun, and said so
            assert b"--pause" in out, (out, err)
            home.ok("read", "--pause", "slow")
        else:
            assert p.returncode in (130, -signal.SIGINT), (p.returncode, out, err)
            assert not [e for e in home.ok("shelf", "--json").json()["entries"] if e["state"] == "reading"], "it goes on"


def paused():
    path = home.write("long.txt", TEXT)
    r = home.ok("read", path, "--as", "long", "--model", model(), "--exact", "--threads", "1", "--background", "--json").json()
    assert r["background"] and r["name"] == "long", r
    e = until("long", lambda e: e["tokens"] > 0)
    assert e["state"] == "reading" and not e["complete"], e
    home.fails(1, "read", path, "--as", "long", "--exact", "--model", model(), says="another process")
    p = home.ok("read", "--pause", "long", "--json").json()
    assert p["state"] == "paused" and e["tokens"] <= p["tokens"] < p["tokens_total"], p
    assert show("long")["state"] == "paused" and "paused" in home.ok("shelf").out and "--resume long" in home.ok("shelf").out
    assert home.ok("read", "--pause", "long", "--json").json()["tokens"] == p["tokens"]
    os.unlink(path)  # its text is kept with the entry
    r = home.ok("read", "--resume", "long", "--threads", "1", "--json").json()
    assert r["background"], r
    e = until("long", lambda e: e["tokens"] > p["tokens"])
    os.kill(r["process"], signal.SIGKILL)
    e = until("long", lambda e: e["state"] != "reading")
    assert e["state"] == "interrupted" and e["tokens"] > p["tokens"], e
    path = home.write("long.txt", TEXT)
    done = home.ok("read", path, "--as", "long", "--model", model(), "--json", timeout=300).lines()[-1]
    assert done["mode"] == "exact" and done["tokens_before"] >= e["tokens"] and show("long")["complete"], done
    assert home.ok("read", "--pause", "long", "--json").json()["state"] == "complete"
    assert home.ok("read", "--resume", "long", "--json").json()["state"] == "complete"
    assert home.ok("shelf", "verify", "long", "--json").json() == {"damaged": [], "other_versions": []}


def within_memory():
    path = home.write("again.txt", TEXT[4000:12000])
    plain = home.ok("read", path, "--as", "plain", "--model", model(), "--fast", "--json").lines()[-1]
    home.ok("shelf", "rm", "plain")
    r = home.ok("read", path, "--as", "small", "--model", model(), "--fast", "--ram", "48M", "--json").lines()[-1]
    assert r["tokens"] == plain["tokens"] and r["ram_bytes"] <= 48 << 20, r
    assert home.ok("ask", "small", "第7个故事讲了什么", "--ram", "48M", "--json").json()["evidence"]
    home.fails(4, "ask", "small", "第7个故事讲了什么", "--ram", "2M", says="--ram")
    home.fails(2, "read", path, "--ram", "much")


def outlined():
    text = "第一章 开始\n\n从前有座山。山里有座庙。\n\n第二章 结束\n\n庙里有个老和尚。他在讲故事。\n"
    home.ok("read", home.write("two.txt", text), "--as", "two", "--model", model())
    r = home.ok("outline", "two", "--json")
    o = r.json()
    assert "--answerer" in r.err and o["answerer"] is None and [c["chapter"] for c in o["chapters"]] == ["第一章 开始", "第二章 结束"], o
    assert o["chapters"][0]["start"] == 0 and o["chapters"][-1]["end"] == len(text) and all(c["summary"] is None for c in o["chapters"]), o
    o = home.ok("outline", "two", "--answerer", home.chat_model(), "--json").json()
    assert all(isinstance(c["summary"], str) and c["parts"] for c in o["chapters"]), o
    for c in o["chapters"]:
        for p in c["parts"]:
            assert all(text[q["start"]:q["end"]] == q["quote"] for q in p["quotes"]), p
    assert home.ok("outline", "two", "--answerer", home.chat_model(), "--json").json() == o
    assert "第二章 结束" in home.ok("outline", "two", "--chapters", "--lang", "zh").out
    home.fails(3, "outline", "absent", says="absent")
    home.fails(3, "outline", "two", "--answerer", model(), says="cannot write summaries")


def width(text):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def progress_shown():
    """Characters, tokens, speed, time left, memory and disk, folded to the terminal; one line in a log; nothing with --quiet."""
    path = home.write("watched.txt", TEXT * 40)
    command = ("read", path, "--as", "watched", "--model", model(), "--exact", "--threads", "1")
    for lang, says in (("en", r"Reading\d+%.*tokens,.*tokens/s,.*left.*characters,.*ofmemory,.*ondisk"),
                       ("zh", r"阅读中\d+%.*词元，每秒.*词元，还需.*已读.*字，.*内存.*，磁盘")):
        for columns in (80, 40):
            t = juan.Terminal(home, *command, "--lang", lang, columns=columns)
            t.wait_for("\033\\[J", 60)
            drawn = t.wait_for("^(.*?)(\033\\[A)*\r\033\\[J", 60).group(1)
            lines = drawn.split("\r\n")
            assert len(lines) > 1 and max(map(width, lines)) < columns, drawn
            assert re.search(says, re.sub(r"\s", "", drawn)), drawn
            t.type("\x03")
            assert t.end() == 130, t.text
    p = subprocess.Popen([juan.JUAN, *command, "--quiet"], env=home.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(2)
    p.send_signal(signal.SIGINT)
    assert b"%" not in p.communicate(timeout=PATIENCE)[1]
    home.ok("shelf", "rm", "watched")


def refused():
    home.fails(2, "read", says="FILE")
    home.fails(2, "read", "a.txt", "--pause", "long")
    home.fails(2, "read", "--resume", "long", "--exact", says="--resume")
    home.fails(3, "read", "--pause", "absent", says="absent")
    home.fails(3, "read", "--resume", "absent", says="absent")
    r = home.juan("read", home.path("absent.txt"), "--background", "--model", model())
    assert r.code == 3 and "absent.txt" in r.err, r
    r = home.juan("read", home.write("x.txt", TEXT), "--background", "--model", "no-such-model")
    assert r.code == 3 and "no-such-model" in r.err, r


juan.run([("the choice is said", said), ("measured", measured), ("background, pause, kill, resume", paused), ("two versions are shown", shown_together), ("interrupted", interrupted), ("memory", within_memory), ("progress", progress_shown), ("outline", outlined), ("refused", refused)], home)
